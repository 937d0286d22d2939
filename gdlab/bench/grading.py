"""Measuring the grader: `gdlab bench grading` puts stock nbgrader and ours on the same notebooks, side by side in one run.

Stock is one `nbgrader autograde` and one `nbgrader generate_feedback` over all submissions; ours is one `gdlab grade` with all
walls up, gradebook and feedback included. Each is run over one submission and over all of them: the difference, by
the number of submissions between, is what one more submission costs; the rest is start-up.

One worker makes the next box while it judges, so it keeps more than one processor busy. What a second processor and
worker bring is therefore seen beside a run that has a single processor for everything.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import nbformat

from gdlab.assignments import exercises_of
from gdlab.bench.machine import this_machine
from gdlab.bench.table import write_files
from gdlab.grading.box import Limits
from gdlab.grading.bubblewrap import descendants
from gdlab.grading.needed import cells_to_leave_out
from gdlab.grading.workers import Task, heavy_imports, in_warm_boxes

NUMPY, TORCH = "update_rule", "training_loop"
ONE_PROCESSOR, ONE_WORKER, TWO_WORKERS = "ours, one worker on one processor", "ours, one worker", "ours, two workers"
TIMES_AS_MANY = 4  # of ours: what takes a tenth of the time is measured over more of them
STOCK_EVERY = 3  # rounds: it takes minutes, and its ratio is far from its goal
LOOK_EVERY = 0.25
ROLLUP = "Pss:"


@dataclass(frozen=True)
class Cost:
    """What one way of grading costs: seconds to start, seconds for one more submission, megabytes at most."""

    way: str
    assignment: str
    submissions: int
    start_seconds: float
    seconds_each: float
    peak_megabytes: float


@dataclass(frozen=True)
class Table:
    """What was measured, where, and when.

    Attributes:
        costs: stock, ours with one worker (on one processor, and on all), ours with two, for each assignment.
        judging: milliseconds of box and judge alone, by assignment; the median over notebooks, the least of the rounds.
        scale: ours at growing numbers of submissions.
        feedback_kilobytes: the largest page.
        machine: where and when.
    """

    costs: tuple[Cost, ...]
    judging: dict[str, float]
    scale: tuple[Cost, ...]
    feedback_kilobytes: float
    machine: dict[str, str]


def bench_grading(
    root: Path, submissions: int = 20, scale: Sequence[int] = (10, 100), rounds: int = 6
) -> Iterator[tuple[str, int, int] | Table]:
    """Measure stock nbgrader and ours.

    Args:
        root: the course.
        submissions: how many stock grades, at least 2; ours grades four times as many.
        scale: how many, to see whether one more costs the same in a large class.
        rounds: how often each is measured, stock in every third of them; the least counts.

    Yields:
        (what was measured, steps done, steps in all) after each step, and at last the `Table`.
    """
    ways = {"nbgrader": (_stock, submissions)}
    of_ours = TIMES_AS_MANY * submissions
    ways |= {
        ONE_PROCESSOR: (_ours(1, one_processor=True), of_ours),
        ONE_WORKER: (_ours(1), of_ours),
        TWO_WORKERS: (_ours(2), of_ours),
    }
    steps = 2 * (rounds * len(ways) + -(-rounds // STOCK_EVERY)) + len(scale)
    costs, judging, growing, done = [], {}, [], count(1)
    with tempfile.TemporaryDirectory(prefix="gdlab-bench-") as scratch:
        for assignment in (NUMPY, TORCH):
            measured: dict[str, list[tuple[Cost, Cost]]] = {way: [] for way in ways}
            boxes_and_judge = []
            for number in range(rounds):  # by turns: a machine that others use too is now faster, now slower
                for way, (grade, many) in list(ways.items())[number % STOCK_EVERY > 0 :]:
                    pair = (_whole(way, grade, root, assignment, size, Path(scratch)) for size in (1, many))
                    measured[way].append(tuple(pair))
                    yield f"{way}, {assignment}", next(done), steps
                boxes_and_judge.append(_judging_milliseconds(root, assignment, of_ours))
                yield f"box and judge, {assignment}", next(done), steps
            costs += [_least(pairs) for pairs in measured.values()]
            judging[assignment] = min(boxes_and_judge)
        for size in scale:
            growing.append(_whole(TWO_WORKERS, _ours(2), root, NUMPY, size, Path(scratch)))
            yield f"{size} submissions", next(done), steps
        largest = (
            max((page.stat().st_size for page in Path(scratch).rglob("out/feedback/*/*/*.html")), default=0) / 1000
        )
    yield Table(tuple(costs), judging, tuple(growing), largest, this_machine())


def write_table(table: Table, folder: Path) -> Path:
    """Write a table as Markdown and JSON; returns the Markdown file."""
    stock = {cost.assignment: cost.seconds_each for cost in table.costs if cost.way == "nbgrader"}
    alone = {cost.assignment: cost.seconds_each for cost in table.costs if cost.way == ONE_PROCESSOR}
    lines = [
        "# What grading costs",
        "",
        "Made by `gdlab bench grading`: stock is `nbgrader autograde` and `generate_feedback`, without any wall; ours is `gdlab grade`",
        "with all walls, gradebook and feedback. The same solved notebooks for all, by turns, and the least of each, stock in every third",
        "round. Ours does not run the course's own cells that only draw, and draws no pictures, since nobody looks at them. A worker makes",
        "the next box while it judges, on another processor if it may have one; so the last ratio is to a worker that has a single one.",
        "",
        "| | assignment | submissions | start, s | each, s | times stock | times one processor | peak, MB |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {c.way} | {c.assignment} | {c.submissions} | {c.start_seconds:.1f} | {c.seconds_each:.3f} "
            f"| {stock[c.assignment] / c.seconds_each:.1f} | {alone[c.assignment] / c.seconds_each:.2f} | {c.peak_megabytes:.0f} |"
            for c in table.costs
        ),
        "",
        "Box and judge alone, one more submission: "
        + ", ".join(f"{name} {milliseconds:.0f} ms" for name, milliseconds in table.judging.items())
        + f". The largest page of feedback has {table.feedback_kilobytes:.0f} KB.",
    ]
    if table.scale:
        lines += [
            "",
            f"A class of growing size, {NUMPY}, two workers:",
            "",
            "| submissions | all, s | each, ms | peak, MB |",
            "|---:|---:|---:|---:|",
            *(
                f"| {c.submissions} | {c.seconds_each * c.submissions:.0f} | {1000 * c.seconds_each:.0f} | {c.peak_megabytes:.0f} |"
                for c in table.scale
            ),
        ]
    return write_files(folder, "grading", asdict(table), lines)


def _least(pairs: Sequence[tuple[Cost, Cost]]) -> Cost:
    """The cost of a start and of one more submission, from the least of each: whatever disturbs can only add."""
    one = min(cost.seconds_each for cost, _ in pairs)
    every = min((cost for _, cost in pairs), key=lambda cost: cost.seconds_each)
    each = (every.seconds_each * every.submissions - one) / (every.submissions - 1)
    peak = max(cost.peak_megabytes for _, cost in pairs)
    return Cost(every.way, every.assignment, every.submissions, one - each, each, peak)


def _whole(way: str, grade, root: Path, assignment: str, submissions: int, scratch: Path) -> Cost:
    """Grade a class of solved notebooks: seconds for each of them, start-up included."""
    course = Path(tempfile.mkdtemp(dir=scratch))
    for number in range(submissions):
        shutil.copytree(root / "solutions" / assignment, course / "submitted" / f"s{number:04}" / assignment)
    seconds, peak = grade(root, course, assignment)
    return Cost(way, assignment, submissions, 0.0, seconds / submissions, peak)


def _stock(root: Path, course: Path, assignment: str) -> tuple[float, float]:
    shutil.copytree(root / "solutions" / assignment, course / "source" / assignment)
    (course / "nbgrader_config.py").write_text("get_config().CourseDirectory.course_id = 'bench'\n")
    nbgrader = [sys.executable, "-m", "nbgrader"]
    _run([*nbgrader, "generate_assignment", assignment, "--create", "--force"], course)
    spent = [
        _run([*nbgrader, command, assignment, "--force"], course) for command in ("autograde", "generate_feedback")
    ]
    return sum(seconds for seconds, _ in spent), max(peak for _, peak in spent)


def _ours(workers: int, one_processor: bool = False):
    def grade(root: Path, course: Path, assignment: str) -> tuple[float, float]:
        command = [sys.executable, "-c", "from gdlab.cli import main; main()", "grade", str(course / "submitted")]
        pinned = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))] if one_processor else []
        return _run([*pinned, *command, "--out", str(course / "out"), "--workers", str(workers)], root)

    return grade


def _run(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds that a command takes, and the most megabytes that it and all its processes held together."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    peak, ended = [0.0], threading.Event()
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    watch = threading.Thread(target=_watch, args=(process.pid, peak, ended))
    watch.start()
    complaint = process.communicate()[1]
    seconds = time.perf_counter() - began
    ended.set()
    watch.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[1:4])} failed: {complaint.decode(errors='replace')[-500:]}")
    return seconds, peak[0]


def _watch(pid: int, peak: list[float], ended: threading.Event) -> None:
    while not ended.wait(LOOK_EVERY):
        peak[0] = max(peak[0], sum(map(_megabytes, descendants((pid,)))))


def _megabytes(pid: int) -> float:
    """What a process holds, with what it shares divided among those who share it."""
    try:
        account = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in account.splitlines() if line.startswith(ROLLUP)), 0.0)


def _judging_milliseconds(root: Path, assignment: str, submissions: int) -> float:
    """Box and judge alone: the median over solved notebooks, once the first has been judged."""
    solved = nbformat.read(root / "solutions" / assignment / f"{assignment}.ipynb", as_version=4)
    released = nbformat.read(root / "exercises" / assignment / f"{assignment}.ipynb", as_version=4)
    cells = tuple(cell.source for cell in solved.cells if cell.cell_type == "code")
    ungraded = {cell.source for cell in released.cells if cell.cell_type == "code" and "nbgrader" not in cell.metadata}
    leave_out = tuple(cells_to_leave_out(cells, ungraded))
    exercises_of(assignment)
    tasks = (Task(number, assignment, cells, leave_out, (), 7) for number in range(submissions + 1))
    times, last = [], None
    for _ in in_warm_boxes(Limits())(tasks, heavy_imports(cells)):
        now = time.perf_counter()
        if last is not None:
            times.append(now - last)
        last = now
    return 1000 * sorted(times)[len(times) // 2]
