"""`gdlab bench check`: how long a learner waits for `check`, exercise by exercise.

Each exercise is checked right (its reference) and wrong (each of its named mistakes), over and over on the
public cases as in a notebook, and in a process that has checked once before. Drawing the picture is timed apart.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gdlab.assignments import assignments, exercises_of
from gdlab.bench.machine import this_machine
from gdlab.bench.table import write_files
from gdlab.judge.answer import Local
from gdlab.judge.exercise import Exercise, Functions
from gdlab.judge.judge import judge
from gdlab.learn import PUBLIC_SEED


@dataclass(frozen=True)
class Waiting:
    """Medians in milliseconds for one exercise: a right answer, a wrong one, and the first check of all in a process."""

    exercise: str
    right: float
    wrong: float
    first: float
    picture: float


def bench_check(rounds: int = 15) -> Iterator[Waiting]:
    """Time `check` for every exercise of the course, one after the other."""
    for assignment in assignments():
        for exercise in exercises_of(assignment).values():
            plain = replace(exercise, picture=None)
            first = _milliseconds(plain, exercise.reference)
            right = statistics.median(_milliseconds(plain, exercise.reference) for _ in range(rounds))
            wrong = statistics.median(
                _milliseconds(plain, mistake.function) for _ in range(rounds) for mistake in exercise.mistakes
            )
            drawn = statistics.median(_milliseconds(exercise, exercise.reference) for _ in range(rounds))
            yield Waiting(exercise.name, right, wrong, first, max(0.0, drawn - right))


def write(waits: list[Waiting], folder: Path) -> Path:
    """Write check.md and check.json; returns the former."""
    lines = [
        "# How long a check takes",
        "",
        "Made by `gdlab bench check`: milliseconds, medians. The first check of an exercise in a process also computes",
        "the right answers, and for `train_torch` it starts torch.",
        "",
        "| exercise | right | wrong | first | its picture |",
        "|---|---:|---:|---:|---:|",
        *(f"| {w.exercise} | {w.right:.1f} | {w.wrong:.1f} | {w.first:.1f} | {w.picture:.1f} |" for w in waits),
        f"| **median** | {_median(waits, 'right'):.1f} | {_median(waits, 'wrong'):.1f} | {_median(waits, 'first'):.1f} | {_median(waits, 'picture'):.1f} |",
    ]
    return write_files(folder, "check", {"machine": this_machine(), "rows": [asdict(w) for w in waits]}, lines)


def _median(waits: list[Waiting], what: str) -> float:
    return statistics.median(getattr(wait, what) for wait in waits)


def _milliseconds(exercise: Exercise, functions: Functions) -> float:
    functions = functions if isinstance(functions, tuple) else (functions,)
    answers = [Local(function) for function in functions]
    start = time.perf_counter()
    judge(exercise, answers, PUBLIC_SEED)
    return 1000 * (time.perf_counter() - start)
