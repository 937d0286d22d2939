"""Who judges: this process, one notebook after the other, or several worker processes, each with a fork server of its own.

A worker that is killed takes nothing with it: what it had in hand is judged again, by another.
"""

import ctypes
import multiprocessing
import os
import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from typing import Protocol

import msgspec

from gdlab.assignments import exercises_of
from gdlab.grading.box import Box, Limits, NoSandbox
from gdlab.grading.cold import ColdBox
from gdlab.grading.judging import Judged, judge_cells
from gdlab.grading.warm import ForkServer

PR_SET_PDEATHSIG = 1
MOST_TRIES = 3


class Task(msgspec.Struct, frozen=True):
    """One notebook to judge.

    Attributes:
        number: which; the answer carries it too.
        assignment: whose exercises.
        cells: the sources of the code cells.
        leave_out: the positions of cells that need not run.
        empty: the cells of the released notebook, which are judged instead where the grader itself breaks.
        seed: what the cases are drawn from.
    """

    number: int
    assignment: str
    cells: tuple[str, ...]
    leave_out: tuple[int, ...]
    empty: tuple[str, ...]
    seed: int


class Judges(Protocol):
    """Judges tasks, in any order; gives (number, judged), and raises `NoSandbox`."""

    def __call__(self, tasks: Iterable[Task], heavy: Sequence[str] = ()) -> Iterator[tuple[int, Judged]]: ...


def judge_task(task: Task, make_box: Callable[[], Box]) -> Judged:
    """Judge one notebook; a fault of the grader's own makes it count as empty, and is kept in `Judged.trouble`."""
    exercises = exercises_of(task.assignment)
    try:
        return judge_cells(task.cells, exercises, make_box, task.seed, task.leave_out)
    except NoSandbox:
        raise
    except Exception:
        trouble = traceback.format_exc(limit=-3)
        judged = judge_cells(task.empty, exercises, make_box, task.seed)
        return msgspec.structs.replace(judged, outputs=((),) * len(task.cells), trouble=trouble)


def one_after_the_other(make_box: Callable[[], Box]) -> Judges:
    """Judge in this process, in boxes that `make_box` gives."""

    def judge_all(tasks: Iterable[Task], heavy: Sequence[str] = ()) -> Iterator[tuple[int, Judged]]:
        for task in tasks:
            yield task.number, judge_task(task, make_box)

    return judge_all


def in_cold_boxes(limits: Limits) -> Judges:
    """Judge in this process, with a fresh Python for every notebook."""
    return one_after_the_other(lambda: ColdBox(limits))


def in_warm_boxes(limits: Limits, workers: int = 1) -> Judges:
    """Judge with fork servers: in this process, or in several worker processes."""

    def judge_all(tasks: Iterable[Task], heavy: Sequence[str] = ()) -> Iterator[tuple[int, Judged]]:
        if workers > 1:
            yield from _with_workers(tasks, limits, workers, heavy)
            return
        with ForkServer(heavy) as server:
            yield from one_after_the_other(lambda: ColdBox(limits, server.raise_walls))(tasks)

    return judge_all


def _with_workers(
    tasks: Iterable[Task], limits: Limits, workers: int, heavy: Sequence[str]
) -> Iterator[tuple[int, Judged]]:
    """A few tasks at a time are on their way, so that thousands of notebooks take no more memory than ten."""
    left, again, tries = iter(tasks), deque[Task](), Counter[int]()
    while True:
        with ExitStack() as stack:
            pool = stack.enter_context(_pool(limits, workers, heavy))
            running: dict[Future, Task] = {}
            try:
                while True:
                    while len(running) < 2 * workers and (task := again.popleft() if again else next(left, None)):
                        tries[task.number] += 1
                        running[pool.submit(_judge, task)] = task
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        judged = future.result()
                        yield running.pop(future).number, msgspec.msgpack.decode(judged, type=Judged)
            except BrokenProcessPool as broken:
                again.extend(running.values())
                if any(tries[task.number] >= MOST_TRIES for task in again):
                    raise NoSandbox(
                        "The worker processes were ended again and again; is there too little memory? Try --workers 1."
                    ) from broken


def _pool(limits: Limits, workers: int, heavy: Sequence[str]) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(limits, tuple(heavy), os.getpid())
    )


_at_work: dict = {}


def _begin(limits: Limits, heavy: tuple[str, ...], parent: int) -> None:
    """A worker's start: it ends with the run that began it, and leaves Ctrl-C to that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    _at_work.update(limits=limits, server=ForkServer(heavy))


def _judge(task: Task) -> bytes:
    server: ForkServer = _at_work["server"]
    judged = judge_task(task, lambda: ColdBox(_at_work["limits"], server.raise_walls))
    return msgspec.msgpack.encode(judged)


def heavy_imports(sources: Mapping[str, str] | Iterable[str]) -> tuple[str, ...]:
    """What is worth importing before a class is judged: torch, where any of the released notebooks imports it."""
    return ("torch", "torch._dynamo") if any("import torch" in source for source in sources) else ()
