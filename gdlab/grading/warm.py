"""The warm box: bubblewrap's walls around a copy of a Python that has everything imported.

    bwrap holds the walls with `cat`    <──joins──  a fork of the fork server  <──asks──  the grader

What takes a cold box most of its time, starting Python and importing, is done once for a whole class. The walls are
the same, and so is the conversation (`gdlab.grading.walled_box`): only how a runner gets into its box differs, which
`inside/enter.py` does. The grader believes none of it: before a learner's line runs, it reads from /proc that
the copy has no privilege left and lives in the very namespaces that bubblewrap made.
"""

import fcntl
import os
import select
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from gdlab.grading import bubblewrap, stepdown
from gdlab.grading.box import Limits, NoSandbox, conversation, last_words
from gdlab.grading.bubblewrap import AS_ALONE, INSIDE, SANDBOX_HELP, STAND_IN, STARTS_WITHIN
from gdlab.grading.inside.enter import NAMESPACES, OPTIONAL, REQUEST
from gdlab.grading.inside.environment import ENVIRONMENT
from gdlab.grading.seccomp import deny_list

ALWAYS = ("matplotlib.pyplot",)
FORK_SERVER = {f"/box/{name}.py": INSIDE / f"{name}.py" for name in ("forkserver", "enter", "environment")}
FORK_SERVER["/box/stepdown.py"] = Path(stepdown.__file__)
IMPORTS_WITHIN = 120.0


@dataclass
class WarmWalls(bubblewrap.Walls):
    """A box that bubblewrap holds, and the copy of the fork server that has joined it."""

    runner: int = 0

    def prove(self, deadline: float) -> None:
        """Hold the kernel's account of the copy against what is claimed; raises `NoSandbox`."""
        try:
            wrong = bubblewrap.unproven(Path(f"/proc/{self.runner}/status").read_text())
            wrong += [f"it is not in the box's {name} namespace" for name in NAMESPACES if not self._inside(name)]
        except OSError as error:
            raise NoSandbox(
                f"A copy of the fork server joined a box, but /proc does not show it. {SANDBOX_HELP}"
            ) from error
        if wrong:
            raise NoSandbox(
                f"A copy of the fork server joined a box that is not closed: {'; '.join(wrong)}. {SANDBOX_HELP}"
            )

    def _inside(self, name: str) -> bool:
        ours, theirs, wanted = (os.readlink(f"/proc/{who}/ns/{name}") for who in ("self", self.runner, self.first))
        return theirs == wanted and (theirs != ours or name in OPTIONAL)

    def roots(self) -> tuple[int, ...]:
        return (self.first, self.runner)


class ForkServer:
    """Makes runners for boxes, each one ahead of its time; used as a context manager.

    Args:
        heavy: what to import beforehand beside Matplotlib, as ("torch", "torch._dynamo").
        shared: the connection of a server that other processes use too, and the lock that gives each its turn. Where
            that server goes, this starts one of its own.

    Example:
        with ForkServer() as server, WalledBox(Limits(), server.raise_walls) as box:
            box.run_cells(["x = 3"])
    """

    def __init__(self, heavy: Sequence[str] = (), shared: tuple[socket.socket, AbstractContextManager] | None = None):
        self._heavy = (*ALWAYS, *heavy)
        self.connection, self._turn = shared or (None, nullcontext())
        self._process: subprocess.Popen | None = None
        self._folder: tempfile.TemporaryDirectory | None = None
        self._is_ready = shared is not None
        self._ahead = ThreadPoolExecutor(1, "walls")
        self._coming: tuple[Limits, Future[WarmWalls]] | None = None

    def __enter__(self) -> "ForkServer":
        return self  # it starts when the first box is wanted

    def __exit__(self, *exc_info) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, without waiting until it has imported everything; raises `NoSandbox`."""
        user = bubblewrap.box_user()
        self._folder = tempfile.TemporaryDirectory(prefix="gdlab-forkserver-", ignore_cleanup_errors=True)
        scratch = _laid_out(Path(self._folder.name), user)
        self.connection, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = _sealed_copy(Path(sys.executable).resolve())
        folders = ":".join(map(str, bubblewrap.interpreter_folders()))
        arguments = [f"{self._folder.name}/forkserver.py", str(its.fileno()), str(user or ""), folders, *self._heavy]
        try:
            self._process = subprocess.Popen(
                [sys.executable, *AS_ALONE, *arguments],
                executable=f"/proc/self/fd/{program}",
                env=ENVIRONMENT | scratch | {"LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(its.fileno(), program),
                start_new_session=True,  # Ctrl-C is for the grader, which ends it
            )
        except OSError as error:
            self._end_server()
            raise NoSandbox(f"The fork server could not be started ({error.strerror or error}).") from error
        finally:
            its.close()
            os.close(program)

    def wait_until_ready(self) -> None:
        """Start it if nobody has, and wait until it has imported everything; raises `NoSandbox`."""
        if self.connection is None:
            self.start()
        if self._is_ready:
            return
        try:
            self._receive(IMPORTS_WITHIN)
        except (OSError, EOFError) as error:
            self._end_server()
            raise NoSandbox(f"The fork server could not be started ({error}). {SANDBOX_HELP}") from error
        self._is_ready = True

    def stop(self) -> None:
        """End it; the boxes it has copied itself into go on until they are torn down."""
        self._ahead.shutdown()
        if self._coming is not None and self._coming[1].exception() is None:
            self._coming[1].result().tear_down()
        self._coming = None
        self._end_server()

    def raise_walls(self, limits: Limits) -> WarmWalls:
        """A box with a copy of the server in it, made while the last one was at work; raises `NoSandbox`."""
        coming, self._coming = self._coming, None
        walls = coming and _usable(*coming, limits)
        if walls is None:
            walls = self._make_walls(limits)
        self._coming = limits, self._ahead.submit(self._make_walls, limits)
        return walls

    def _make_walls(self, limits: Limits) -> WarmWalls:
        """Have bubblewrap make a box, and a copy of the server join it.

        What fails is tried once more, with another server where it has gone: a machine short of memory may end both.
        """
        try:
            return self._enter(bubblewrap.stand(bubblewrap.begin_walls(limits)))
        except (OSError, EOFError):
            self._end_server()
        except NoSandbox:
            pass
        try:
            return self._enter(bubblewrap.stand(bubblewrap.begin_walls(limits)))
        except (OSError, EOFError) as error:
            raise NoSandbox(f"The fork server did not answer ({error}). {SANDBOX_HELP}") from error

    def _enter(self, held: bubblewrap.Walls) -> WarmWalls:
        """Have a copy join walls that stand."""
        try:
            self.wait_until_ready()
            with conversation() as (ours, theirs):
                runner = self._ask_for_copy(held.first, theirs)
        except BaseException:
            held.tear_down()
            raise
        return WarmWalls(held.process, held.info_fd, ours, held.first, runner)

    def _ask_for_copy(self, first: int, ends: tuple[int, int]) -> int:
        """The process number of a copy that has joined the box of process `first`."""
        pidfd = os.pidfd_open(first)
        try:
            with self._turn:
                socket.send_fds(self.connection, [REQUEST.pack(first) + deny_list()], [pidfd, *ends])
                answer = self._receive(STARTS_WITHIN)
                while REQUEST.unpack_from(answer) != (first,):  # meant for somebody who has stopped waiting
                    answer = self._receive(STARTS_WITHIN)
        finally:
            os.close(pidfd)
        said = answer[REQUEST.size :]
        if said.startswith(b"!"):
            reason = said[1:].decode(errors="replace")
            raise NoSandbox(f"A copy of the fork server could not join a box: {reason}. {SANDBOX_HELP}")
        return int(said)

    def _receive(self, seconds: float) -> bytes:
        if not select.select([self.connection], [], [], seconds)[0]:
            raise EOFError(f"it said nothing for {seconds:g} seconds")
        said = self.connection.recv(4096)
        if not said:
            raise EOFError(self._last_words())
        return said

    def _last_words(self) -> str:
        if self._process is None:
            return "it has gone"
        return last_words(self._process)

    def _end_server(self) -> None:
        if self.connection is not None:
            self.connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stderr.close()
        if self._folder is not None:
            self._folder.cleanup()
        self.connection = self._process = self._folder = None
        self._turn, self._is_ready = nullcontext(), False


def _usable(limits: Limits, coming: Future, wanted: Limits) -> WarmWalls | None:
    """Walls that were made ahead, unless they are not what is wanted, or were ended meanwhile."""
    if coming.exception() is not None:
        return None
    walls = coming.result()
    if limits == wanted and not walls.ended_from_outside():
        return walls
    walls.tear_down()
    return None


def _laid_out(folder: Path, user: int | None) -> dict[str, str]:
    """Copy what the server needs into a folder that the box's user can read; the variables of its scratch folders."""
    bubblewrap.lay_out(STAND_IN | FORK_SERVER, folder)
    scratch = {"IPYTHONDIR": folder / "ipython", "MPLCONFIGDIR": folder / "matplotlib", "HOME": folder / "home"}
    for path in scratch.values():
        path.mkdir()
    if user is not None:
        for path in (folder, *folder.rglob("*")):  # all of it: the server removes it, should the grader be killed
            os.chown(path, user, user)
    return {name: str(path) for name, path in scratch.items()}


def _sealed_copy(program: Path) -> int:
    """A copy of a program in memory that nobody can change any more, as a file descriptor."""
    fd = os.memfd_create("python", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(fd, "wb", closefd=False) as copy, open(program, "rb") as original:
        shutil.copyfileobj(original, copy)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return fd
