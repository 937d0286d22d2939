"""A box: one submission's sandbox, as the rest of the grader sees it.

However a box is made, it runs the cells of one notebook and then answers for one function at a
time. `gdlab.grading.walled_box` makes one from bubblewrap and a fresh Python, or a copy of a warm one.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from gdlab.grading.inside.wire import Output
from gdlab.judge.answer import Answer


class NoSandbox(Exception):
    """This machine can make no box; the message says why and what to do, in one sentence."""


class BoxTaken(NoSandbox):
    """A box was ended from outside while it was at work: what was being judged in it can be judged again."""


class BoxFailed(Exception):
    """A cell broke the box: it did not end in time, or it ended its process.

    Attributes:
        cell: which one, counting code cells from 0.
        kind: "slow" or "ended", as in `gdlab.judge.answer.Failed`.
    """

    def __init__(self, sentence: str, cell: int, kind: str):
        super().__init__(sentence)
        self.cell, self.kind = cell, kind


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes:
        cell_seconds: for one cell, which is then interrupted; the cells after it still run.
        cells_seconds: for all cells together, after which the box is torn down.
        function_seconds: for all calls of one graded function together.
        memory_bytes: of each process, libraries aside, and what all of them hold together.
        processes: processes and threads at once.
        file_bytes: the largest file.
        disk_bytes: each of the box's scratch folders.
        output_bytes: of all that a cell prints and shows.
        pictures: whether plots are drawn; otherwise their size in words stands for them.
    """

    cell_seconds: float = 20.0
    cells_seconds: float = 60.0
    function_seconds: float = 5.0
    memory_bytes: int = 3 << 30
    processes: int = 64
    file_bytes: int = 64 << 20
    disk_bytes: int = 128 << 20
    output_bytes: int = 1 << 20
    pictures: bool = False


class Walls(Protocol):
    """A started runner and what stands around it.

    Attributes:
        ends: the pipe ends at which the grader reads what the runner says, and writes to it.
    """

    ends: tuple[int, int]

    def ended_from_outside(self) -> bool:
        """Whether the machine or its administrator has ended it, and not the code in it."""
        ...

    def prove(self, deadline: float) -> None:
        """Hold what stands against what is claimed; raises `NoSandbox`."""
        ...

    def holds_more_than(self, most: int) -> bool:
        """Whether all processes in it hold more than `most` bytes together."""
        ...

    def seconds_kept_waiting(self, copies_only: bool) -> float:
        """How long it was ready to run while others on this machine had the processors."""
        ...

    def did_not_start(self) -> NoSandbox:
        """The error to raise where the runner gave up before it said a word."""
        ...

    def tear_down(self) -> None:
        """End everything in it, and close the pipe ends."""
        ...


def last_words(process: subprocess.Popen) -> str:
    """End a process, and give the last line that it wrote of its troubles."""
    process.kill()
    said = process.stderr.read().decode(errors="replace").strip()
    return said.rpartition("\n")[2] or "it said nothing"


@contextmanager
def conversation() -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Two pipes, as the grader's ends and the box's, each (read, write); the box's are closed at the end, and all after an error."""
    their_read, our_write = os.pipe()
    our_read, their_write = os.pipe()
    try:
        yield (our_read, our_write), (their_read, their_write)
    except BaseException:
        os.close(our_read)
        os.close(our_write)
        raise
    finally:
        os.close(their_read)
        os.close(their_write)


class Box(Protocol):
    """One submission, walled off; used as a context manager, gone with everything in it at the end."""

    def run_cells(self, cells: Sequence[str]) -> list[tuple[Output, ...]]:
        """Run the cells in order; the outputs of each. Raises `BoxFailed`."""
        ...

    def function(self, name: str, exercise: str = "", position: int = 0) -> AbstractContextManager[Answer]:
        """A fresh copy of the state after the cells, answering for one function.

        Args:
            name: what the function is called, where no check was given one.
            exercise: the name its check uses; the function's own where it is left out.
            position: which of the functions that the check was given.
        """
        ...

    def __enter__(self) -> "Box": ...

    def __exit__(self, *exc_info) -> None: ...
