"""The warm box: bubblewrap's walls around a copy of a Python that has everything imported.

    bwrap holds the walls with `sleep`  <──joins──  a fork of the fork server  <──asks──  the grader

What takes a cold box most of its time, starting Python and importing, is done once for a whole class. The walls are
the same, and so is the conversation (`gdlab.grading.cold`): only how a runner gets into its box differs, which
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
from dataclasses import dataclass
from pathlib import Path

from gdlab.grading import bubblewrap, stepdown
from gdlab.grading.box import Limits, NoSandbox
from gdlab.grading.bubblewrap import AS_ALONE, INSIDE, SANDBOX_HELP, STAND_IN, STARTS_WITHIN
from gdlab.grading.inside.enter import NAMESPACES, OPTIONAL, REQUEST
from gdlab.grading.inside.environment import ENVIRONMENT
from gdlab.grading.seccomp import deny_list

ALWAYS = ("matplotlib.pyplot",)
FORK_SERVER = {f"{name}.py": INSIDE / f"{name}.py" for name in ("forkserver", "enter", "environment")}
FORK_SERVER["stepdown.py"] = Path(stepdown.__file__)
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
    """Makes runners for boxes; used as a context manager.

    Args:
        heavy: what to import beforehand beside NumPy and Matplotlib, as ("torch", "torch._dynamo").

    Example:
        with ForkServer() as server, ColdBox(Limits(), server.raise_walls) as box:
            box.run_cells(["x = 3"])
    """

    def __init__(self, heavy: Sequence[str] = ()):
        self._heavy = (*ALWAYS, *heavy)
        self._process: subprocess.Popen | None = None
        self._connection: socket.socket | None = None
        self._folder: tempfile.TemporaryDirectory | None = None
        self._spare: tuple[Limits, bubblewrap.Walls] | None = None

    def __enter__(self) -> "ForkServer":
        return self  # it starts when the first box is wanted

    def __exit__(self, *exc_info) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it has imported everything; raises `NoSandbox`."""
        user = bubblewrap.box_user()
        self._folder = tempfile.TemporaryDirectory(prefix="gdlab-forkserver-", ignore_cleanup_errors=True)
        scratch = _laid_out(Path(self._folder.name), user)
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection = ours
        program = _sealed_copy(Path(sys.executable).resolve())
        folders = ":".join(map(str, bubblewrap.interpreter_folders()))
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    *AS_ALONE,
                    f"{self._folder.name}/forkserver.py",
                    str(its.fileno()),
                    str(user or ""),
                    folders,
                    *self._heavy,
                ],
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
            self.stop()
            raise NoSandbox(f"The fork server could not be started ({error.strerror or error}).") from error
        finally:
            its.close()
            os.close(program)
        try:
            self._answer(IMPORTS_WITHIN)
        except EOFError as error:
            self.stop()
            raise NoSandbox(f"The fork server could not be started ({error}). {SANDBOX_HELP}") from error

    def stop(self) -> None:
        """End it; the boxes it has copied itself into go on until they are torn down."""
        if self._spare is not None:
            self._spare[1].tear_down()
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stderr.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._process = self._connection = self._folder = self._spare = None

    def raise_walls(self, limits: Limits, read_fd: int, write_fd: int) -> WarmWalls:
        """Have bubblewrap make a box, and a copy of the server join it, talking over the two pipe ends.

        A server that has gone is started once more: a machine short of memory may end it.

        Raises:
            NoSandbox: if either could not be had.
        """
        if self._process is None:
            self.start()
        try:
            walls = self._enter(self._next_walls(limits), read_fd, write_fd)
        except (NoSandbox, OSError, EOFError):  # the spare walls may have been ended meanwhile, or the server
            if not self._answers():
                self.stop()
                self.start()
            try:
                walls = self._enter(bubblewrap.stand(bubblewrap.begin_walls(limits)), read_fd, write_fd)
            except (OSError, EOFError) as error:
                raise NoSandbox(f"The fork server did not answer ({error}). {SANDBOX_HELP}") from error
        self._spare = limits, bubblewrap.begin_walls(limits)  # they rise while this notebook is judged
        return walls

    def _enter(self, held: bubblewrap.Walls, read_fd: int, write_fd: int) -> WarmWalls:
        """Have a copy join walls that stand."""
        try:
            pidfd = os.pidfd_open(held.first)
            try:
                request = REQUEST.pack(held.first) + deny_list()
                socket.send_fds(self._connection, [request], [pidfd, read_fd, write_fd])
                runner = int(self._answer(STARTS_WITHIN))
            finally:
                os.close(pidfd)
        except BaseException:
            held.tear_down()
            raise
        return WarmWalls(held.process, held.info_fd, held.first, runner)

    def _answers(self) -> bool:
        """Whether the server is still there."""
        return self._process is not None and self._process.poll() is None

    def _next_walls(self, limits: Limits) -> bubblewrap.Walls:
        spare, self._spare = self._spare, None
        if spare and spare[0] == limits:
            try:
                return bubblewrap.stand(spare[1])
            except NoSandbox:  # it was ended meanwhile: by the system, or by whoever is testing us
                pass
        elif spare:
            spare[1].tear_down()
        return bubblewrap.stand(bubblewrap.begin_walls(limits))

    def _answer(self, seconds: float) -> bytes:
        if not select.select([self._connection], [], [], seconds)[0]:
            self.stop()
            raise NoSandbox(f"The fork server said nothing for {seconds:g} seconds.")
        said = self._connection.recv(4096)
        if not said:
            raise EOFError(self._last_words())
        if said.startswith(b"!"):
            raise NoSandbox(
                f"A copy of the fork server could not join a box: {said[1:].decode(errors='replace')}. {SANDBOX_HELP}"
            )
        return said

    def _last_words(self) -> str:
        self._process.kill()
        said = self._process.stderr.read().decode(errors="replace").strip()
        return said.rpartition("\n")[2] or "it has gone"


def _laid_out(folder: Path, user: int | None) -> dict[str, str]:
    """Copy what the server needs into a folder that the box's user can read; the variables of its scratch folders."""
    files = FORK_SERVER | {str(Path(inside).relative_to("/box")): ours for inside, ours in STAND_IN.items()}
    for name, ours in files.items():
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ours, copy)
    scratch = {"IPYTHONDIR": folder / "ipython", "MPLCONFIGDIR": folder / "matplotlib", "HOME": folder / "home"}
    for path in scratch.values():
        path.mkdir()
    if user is not None:
        for path in (
            folder,
            *folder.rglob("*"),
        ):  # all of it: the server removes the folder, should the grader be killed
            os.chown(path, user, user)
    return {name: str(path) for name, path in scratch.items()}


def _sealed_copy(program: Path) -> int:
    """A copy of a program in memory that nobody can change any more, as a file descriptor."""
    fd = os.memfd_create("python", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(fd, "wb", closefd=False) as copy, open(program, "rb") as original:
        shutil.copyfileobj(original, copy)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return fd
