"""No walls at all: the runner as a plain process of the learner's own, for `gdlab check`.

What runs is what the box runs, so the verdicts are the grader's. Nothing is kept from the code, which may
do whatever its author may do; that is why no class is ever graded this way.
"""

import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gdlab.grading.box import Limits, NoSandbox, conversation, last_words
from gdlab.grading.bubblewrap import RUNNER, STAND_IN, lay_out
from gdlab.grading.inside.environment import ENVIRONMENT

KEEPS = ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR")


@dataclass(frozen=True)
class NoWalls:
    """The runner's process, the folder its files were copied to, and the pipe ends to talk to it."""

    process: subprocess.Popen
    folder: tempfile.TemporaryDirectory
    ends: tuple[int, int]

    def prove(self, deadline: float) -> None:
        """There is nothing to prove."""

    def holds_more_than(self, most: int) -> bool:
        """Nobody watches: it is the learner's own machine."""
        return False

    def seconds_kept_waiting(self, copies_only: bool) -> float:
        """Nobody counts: what else runs here is the learner's own affair."""
        return 0.0

    def ended_from_outside(self) -> bool:
        """Nobody can tell."""
        return False

    def did_not_start(self) -> NoSandbox:
        """In the process's own last words."""
        return NoSandbox(f"The Python that runs your notebook did not start ({last_words(self.process)}).")

    def tear_down(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.folder.cleanup()
        for fd in self.ends:
            os.close(fd)


def own_limits(seconds: float, function_seconds: float) -> Limits:
    """Times as in a box; memory, files and processes as the learner's own account allows."""
    return Limits(
        cells_seconds=seconds,
        function_seconds=function_seconds,
        memory_bytes=resource.getrlimit(resource.RLIMIT_AS)[1],
        file_bytes=resource.getrlimit(resource.RLIMIT_FSIZE)[1],
        processes=resource.getrlimit(resource.RLIMIT_NPROC)[1],
    )


def start_without_walls(limits: Limits) -> NoWalls:
    """Start a runner; raises `NoSandbox` if it could not be started."""
    folder = tempfile.TemporaryDirectory(prefix="gdlab-check-", ignore_cleanup_errors=True)
    lay_out(STAND_IN, Path(folder.name))
    kept = {name: os.environ[name] for name in KEEPS if name in os.environ}
    scratch = {
        "IPYTHONDIR": f"{folder.name}/ipython",
        "MPLBACKEND": ENVIRONMENT["MPLBACKEND"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": ENVIRONMENT["PYTHONHASHSEED"],
    }
    try:
        with conversation() as (ours, theirs):
            process = subprocess.Popen(
                [sys.executable, "-P", str(Path(folder.name) / Path(RUNNER).name), *map(str, theirs)],
                pass_fds=theirs,
                cwd=folder.name,
                env=kept | scratch | {"PYTHONPATH": folder.name},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
    except OSError as error:
        folder.cleanup()
        raise NoSandbox(f"Python could not be started ({error.strerror or error}).") from error
    return NoWalls(process, folder, ours)
