"""Who judges: this process, one notebook after the other, or several worker processes that share one fork server.

A worker that is killed takes nothing with it: what it had in hand is judged again, by another.
"""

import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import islice
from multiprocessing.connection import wait as wait_until_ready
from multiprocessing.sharedctypes import Synchronized
from threading import Thread
from typing import Protocol

import msgspec

from gdlab.assignments import exercises_of
from gdlab.grading.box import Box, BoxTaken, Limits, NoSandbox
from gdlab.grading.inside.fork import end_with
from gdlab.grading.judging import Judged, judge_cells
from gdlab.grading.walled_box import WalledBox
from gdlab.grading.warm import ForkServer

MOST_TRIES = 3
POOL_GONE = (BrokenProcessPool, ConnectionError, EOFError)  # a worker was ended, or the process that they are copies of


class Task(msgspec.Struct, frozen=True):
    """One notebook to judge.

    Attributes:
        number: which; the answer carries it too.
        assignment: whose exercises.
        cells: the sources of the code cells.
        leave_out: the positions of cells that need not run.
        empty: the cells of the released notebook, which are judged instead where the grader itself breaks.
        seed: what the cases are drawn from.
        pictures: whether verdicts show the learner's functions at work.
    """

    number: int
    assignment: str
    cells: tuple[str, ...]
    leave_out: tuple[int, ...]
    empty: tuple[str, ...]
    seed: int
    pictures: bool = False


class Judges(Protocol):
    """Judges tasks, in any order; gives (number, judged), and raises `NoSandbox`."""

    def __call__(self, tasks: Iterable[Task], heavy: Sequence[str] = ()) -> Iterator[tuple[int, Judged]]: ...


def judge_task(task: Task, make_box: Callable[[], Box]) -> Judged:
    """Judge one notebook; a fault of the grader's own makes it count as empty, and is kept in `Judged.trouble`."""
    try:
        return _judge_persistently(task, make_box)
    except NoSandbox:
        raise
    except Exception:
        trouble = traceback.format_exc(limit=-3)
        judged = judge_cells(task.empty, exercises_of(task.assignment), make_box, task.seed)
        return msgspec.structs.replace(judged, outputs=((),) * len(task.cells), trouble=trouble)


def _judge_persistently(task: Task, make_box: Callable[[], Box], tries: int = MOST_TRIES) -> Judged:
    """Judge a notebook; once more where the machine has taken a box away."""
    exercises = exercises_of(task.assignment)
    try:
        return judge_cells(task.cells, exercises, make_box, task.seed, task.leave_out, task.pictures)
    except BoxTaken:
        if tries == 1:
            raise
        return _judge_persistently(task, make_box, tries - 1)


def one_after_the_other(make_box: Callable[[], Box]) -> Judges:
    """Judge in this process, in boxes that `make_box` gives."""

    def judge_all(tasks: Iterable[Task], heavy: Sequence[str] = ()) -> Iterator[tuple[int, Judged]]:
        for task in tasks:
            yield task.number, judge_task(task, make_box)

    return judge_all


def in_cold_boxes(limits: Limits) -> Judges:
    """Judge in this process, with a fresh Python for every notebook."""
    return one_after_the_other(lambda: WalledBox(limits))


def in_warm_boxes(limits: Limits, workers: int = 1) -> Judges:
    """Judge with a fork server: in this process, or in several worker processes that share it."""

    def judge_all(tasks: Iterable[Task], heavy: Sequence[str] = ()) -> Iterator[tuple[int, Judged]]:
        if workers > 1:
            yield from _with_workers(tasks, limits, workers, heavy)
            return
        with ForkServer(heavy) as server:
            server.start()
            import_installed(heavy)  # while the server does the same: the judge needs what the notebooks need
            yield from one_after_the_other(lambda: WalledBox(limits, server.raise_walls))(tasks)

    return judge_all


def _with_workers(
    tasks: Iterable[Task], limits: Limits, workers: int, heavy: Sequence[str]
) -> Iterator[tuple[int, Judged]]:
    """A few tasks at a time are on their way, so that thousands of notebooks take no more memory than ten."""
    left, next_ones, failures = iter(tasks), deque[Task](), 0
    while True:
        running: dict[Future, Task] = {}
        try:
            with _pool(limits, workers, heavy) as pool:
                while True:
                    next_ones.extend(islice(left, max(0, 2 * workers - len(running) - len(next_ones))))
                    while next_ones and len(running) < 2 * workers:
                        future = pool.submit(_judge, next_ones[0])
                        running[future] = next_ones.popleft()
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        judged = future.result()
                        yield running.pop(future).number, msgspec.msgpack.decode(judged, type=Judged)
                        failures = 0
        except POOL_GONE as broken:
            next_ones.extendleft(running.values())
            failures += 1
            if failures >= MOST_TRIES:
                raise NoSandbox(
                    "The worker processes were ended again and again; is there too little memory? Try --workers 1."
                ) from broken


@contextmanager
def _pool(limits: Limits, workers: int, heavy: Sequence[str]) -> Iterator[ProcessPoolExecutor]:
    """Worker processes, and a fork server that makes the boxes of all of them."""
    context = multiprocessing.get_context("forkserver")  # what they all import is there once, for all of them
    context.set_forkserver_preload([__name__, *heavy])
    with ForkServer(heavy) as server:
        server.start()
        shared = server.connection, context.Lock()
        start = limits, tuple(heavy), shared, workers, context.Value("i", 0)
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=start) as pool:
            pool.submit(_nothing)  # so that they start, and import, while the server does
            server.wait_until_ready()
            yield pool


def _nothing() -> None:
    pass


def import_installed(modules: Iterable[str]) -> None:
    """Import what is there; whoever needs what is not will be told in their own notebook."""
    for name in modules:
        with suppress(ImportError):
            import_module(name)


_at_work: dict = {}


def _begin(limits: Limits, heavy: tuple[str, ...], shared: tuple, workers: int, workers_before: Synchronized) -> None:
    """A worker's start: it ends with the run and with the process it was copied from; Ctrl-C is left to the run."""
    with workers_before.get_lock():
        worker = workers_before.value
        workers_before.value += 1
    os.sched_setaffinity(0, processors_of(worker, workers, os.sched_getaffinity(0)))
    parent = os.getppid()
    Thread(target=_end_with_run, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if parent == 1:
        os._exit(0)
    end_with(parent)
    _at_work.update(limits=limits, server=ForkServer(heavy, shared))


def processors_of(worker: int, workers: int, processors: Collection[int]) -> set[int]:
    """Where a worker and its boxes run: on one processor, if the run has a worker for each, and else wherever there is room.

    Judge and box take turns, thousands of times a notebook: where they share a processor, none has to be woken. With
    fewer workers the kernel finds the processors that nobody uses; runs that chose their own would meet on the same.

    >>> processors_of(1, workers=2, processors={4, 6}), processors_of(1, workers=2, processors={4, 5, 6})
    ({6}, {4, 5, 6})
    """
    return {sorted(processors)[worker % len(processors)]} if workers >= len(processors) else set(processors)


def _end_with_run() -> None:
    """The process that workers are copies of cannot see a killed run go: each of them holds a line to it open."""
    wait_until_ready([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _judge(task: Task) -> bytes:
    server: ForkServer = _at_work["server"]
    judged = judge_task(task, lambda: WalledBox(_at_work["limits"], server.raise_walls))
    return msgspec.msgpack.encode(judged)


def heavy_imports(sources: Iterable[str]) -> tuple[str, ...]:
    """What is worth importing before a class is judged: torch, where any of the released notebooks imports it."""
    return ("torch", "torch._dynamo") if any("import torch" in source for source in sources) else ()
