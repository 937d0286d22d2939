"""A warm Python that makes copies of itself, one for each box: everything is imported once, before any learner's code.

    grader ──(pidfd of a box, two pipe ends)──> fork server ──fork──> joins the box ──fork──> runner.py
           <──(process number, or why not)─────

It runs no learner's code itself and has loaded nothing that a learner may not see: what stands in the box, and
the libraries. Its own program is a sealed copy in memory, because a copy's /proc/self/exe leads out of the box, to
the file that this process was started from: nobody can write to that one.
"""

import ctypes
import gc
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import enter
from environment import ENVIRONMENT
from fork import fork
from stepdown import become

HERE, BOX = sys.path[0], "/box"
HUGE_PAGE, MADV_COLLAPSE = 2 << 20, 25  # linux/mman.h


def main(socket_fd: int, user: str, folders: str, heavy: list[str]) -> None:
    """Import, say that all is ready, and serve until the grader goes.

    Args:
        socket_fd: the grader's.
        user: the user id to become where this is started as root; "" for nobody else.
        folders: where interpreter and packages lie, separated by ":".
        heavy: what to import beforehand.
    """
    connection = socket.socket(fileno=socket_fd)
    if user:
        become(int(user), [Path(folder) for folder in folders.split(":")])
    os.environ.pop("LD_LIBRARY_PATH", None)  # a program that lies in memory does not find its library otherwise
    enter.adopt_orphans()
    import runner  # after the signal is set: what it imports starts no process

    warm_up(runner, heavy)
    ours = modules_from(HERE)
    gc.collect()
    gc.freeze()
    gather_in_huge_pages()
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        raise SystemExit(f"it has {threads} threads")
    connection.send(b"ready")
    while True:
        message, fds, _, _ = socket.recv_fds(connection, 1 << 16, 3)
        if not message:
            shutil.rmtree(HERE, ignore_errors=True)
            return
        connection.send(message[: enter.REQUEST.size] + copy_into_box(message, *fds, runner, ours))
        for fd in fds:
            os.close(fd)


def warm_up(runner: ModuleType, heavy: list[str]) -> None:
    """Pay now for what the first cell of every notebook would pay for."""
    shell = runner.make_shell()
    import gdlab.figures  # noqa: F401

    for name in heavy:
        with suppress(ImportError):  # whoever needs it will be told in their own cell
            __import__(name)
    if "matplotlib.pyplot" in heavy:
        runner.set_picture_formats(shell, {"png"})
        shell.run_cell("import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.title('$x$'); plt.show()\ndel plt")
        shell.reset(new_session=True)
        runner.set_picture_formats(shell, set())


def gather_in_huge_pages() -> None:
    """Put this process's own memory into pages of 2 MB: a copy then takes a fifth of the time to make and to end.

    What a fork copies is the table of pages, and a huge one is a single line in it. Kernels before 6.1 cannot
    do this (madvise(2), MADV_COLLAPSE), and then it is left.
    """
    for start, end in own_memory():
        first, last = -(-start // HUGE_PAGE) * HUGE_PAGE, end // HUGE_PAGE * HUGE_PAGE
        if first < last:
            enter.libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), MADV_COLLAPSE)


def own_memory() -> Iterator[tuple[int, int]]:
    """Where this process may write and no file lies behind it: first and last address of each stretch."""
    with open("/proc/self/maps") as maps:
        for line in list(maps):
            addresses, rights, _, _, _, *name = line.split(maxsplit=5)
            if "w" in rights and (not name or name[0].startswith("[heap]")):
                start, end = addresses.split("-")
                yield int(start, 16), int(end, 16)


def copy_into_box(
    message: bytes, pidfd: int, read_fd: int, write_fd: int, runner: ModuleType, ours: Sequence[ModuleType]
) -> bytes:
    """Make one copy, in the box of the process that `pidfd` is of: its process number, or "!" and why there is none."""
    (pid,), program = enter.REQUEST.unpack_from(message), message[enter.REQUEST.size :]
    told, tell = os.pipe()
    if fork() == 0:
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.sched_setaffinity(0, os.sched_getaffinity(pid))  # where who asks may run: see `workers.processors_of`
            enter.join(pidfd, pid)
            copy = fork()  # the first process inside
            if copy == 0:
                run(runner, ours, read_fd, write_fd, program)
            os.write(tell, str(copy).encode())
        except OSError as error:
            os.write(tell, f"!{error.strerror or error}".encode())
        finally:
            os._exit(0)
    os.close(tell)
    with open(told, "rb") as said:
        return said.read() or b"!it ended before it said anything"


def run(runner: ModuleType, ours: Sequence[ModuleType], read_fd: int, write_fd: int, program: bytes) -> None:
    """Become the runner of this box."""
    try:
        enter.give_up_everything((read_fd, write_fd), program)
        move_in(ours)
        runner.main(read_fd, write_fd)
    finally:
        os._exit(0)


def modules_from(folder: str) -> list[ModuleType]:
    """The modules whose files lie in a folder; a copy that looked at all modules would have to copy most of its memory."""
    modules = [(module, vars(module)) for module in list(sys.modules.values())]
    return [
        m
        for m, names in modules
        if any(str(p).startswith(folder) for p in (names.get("__file__"), *names.get("__path__", ())))
    ]


def move_in(ours: Sequence[ModuleType]) -> None:
    """From here on, what is ours lies where the box has it."""
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    os.chdir(os.environ["HOME"])
    folders = dict.fromkeys(BOX if folder == HERE else folder for folder in sys.path)
    sys.path[:] = [
        folder for folder in folders if os.path.isdir(folder) or folder.endswith(".zip")
    ]  # as a fresh Python would
    for module in ours:
        for name in ("__file__", "__path__"):
            value = getattr(module, name, None)
            if isinstance(value, str) and value.startswith(HERE):
                setattr(module, name, BOX + value[len(HERE) :])
            elif isinstance(value, list):
                value[:] = [BOX + folder[len(HERE) :] if folder.startswith(HERE) else folder for folder in value]


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
