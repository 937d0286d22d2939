"""Auditing many exercises at once: one process for each core, one exercise after the other in each."""

import gc
import os
import resource
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from gdlab.assignments import assignments, exercises_of
from gdlab.audit.audit import Audited, audit
from gdlab.audit.solutions import solution_of

MOST_MEMORY = 8 << 30


def audit_all(
    solutions: Path, names: Sequence[str] = (), rounds: int = 200, seed: int = 0, workers: int | None = None
) -> Iterator[Audited]:
    """Audit exercises, each as it is done.

    Args:
        solutions: the instructor's notebooks.
        names: exercises or assignments; all where there are none.
        rounds: how many sets of fresh cases each.
        seed: where the rounds begin.
        workers: how many processes; one for each core by default.

    Raises:
        LookupError: if a name is neither an assignment nor an exercise.
    """
    wanted = chosen(names)
    workers = workers or os.cpu_count() or 1
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_prepare) as pool:
        jobs = [pool.submit(_audit_one, solutions, *which, rounds, seed) for which in wanted]
        for job in as_completed(jobs):
            yield job.result()


def chosen(names: Sequence[str]) -> list[tuple[str, str]]:
    """(assignment, exercise) for each exercise that the names mean, in the order of the course."""
    every = [(assignment, exercise) for assignment in assignments() for exercise in exercises_of(assignment)]
    unknown = [name for name in names if not any(name in which for which in every)]
    if unknown:
        raise LookupError(
            f"There is no assignment and no exercise {unknown[0]!r}; there is {', '.join(assignments())}, "
            f"and in them {', '.join(exercise for _, exercise in every)}."
        )
    return [which for which in every if not names or set(which) & set(names)]


def _prepare() -> None:
    """Bound the memory, which some mutants would fill, and keep what they warn of to themselves."""
    warnings.simplefilter("ignore")
    gc.set_threshold(100_000, 50, 100)  # a tenth of the time went into looking for garbage
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _audit_one(solutions: Path, assignment: str, name: str, rounds: int, seed: int) -> Audited:
    exercise = exercises_of(assignment)[name]
    solution = solution_of(exercise, solutions / assignment / f"{assignment}.ipynb")
    return audit(assignment, exercise, solution, rounds, seed)
