"""Does a class run lose anything? `gdlab bench kills` ends runs, workers, fork servers and boxes at random moments, and counts.

Each round starts `gdlab grade` on the same class and sends SIGKILL to one of its processes after a random time; then the same
command goes on. At the end every submission must have exactly one judgement of one run, recorded once, and the scores of a
run that nobody disturbed, and of a killed run no process may go on.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

KINDS = ("run", "worker", "fork server", "box")
LONGEST = 600.0
LONGEST_FAREWELL = 60.0
LOOK_EVERY = 0.01


@dataclass
class Toll:
    """What came of it.

    Attributes:
        killed: how many of each kind of process.
        rounds: how many runs it took.
        faults: sentences on what was lost, doubled or broken; none is the goal.
    """

    killed: Counter = field(default_factory=Counter)
    rounds: int = 0
    faults: list[str] = field(default_factory=list)


def endure(submitted: Path, out: Path, times: int, seed: int = 0, workers: int = 2) -> Iterator[Toll]:
    """Kill processes of a class run until `times` were killed and the class is graded; yields the toll after each round.

    Args:
        submitted: a class; every submission in it must come to the same points each time.
        out: a folder for the results, which is emptied.
        times: how many processes to kill: one of each kind, and again from the beginning.
        seed: of the random moments, and of which process of its kind.
        workers: of each run.
    """
    draw, toll = random.Random(seed), Toll()
    shutil.rmtree(out, ignore_errors=True)
    began = time.monotonic()
    _grade(submitted, out / "calm", workers).wait(LONGEST)
    usual = time.monotonic() - began
    while True:
        results = out / f"class-{toll.rounds}"
        while toll.killed.total() < times:
            process = _grade(submitted, results, workers)
            toll.rounds += 1
            before, began = toll.killed.total(), time.monotonic()
            ended = _kill_something(process, results, draw, usual, toll)
            if toll.killed.total() == before:  # it was over before its moment came: runs take less long by now
                usual = time.monotonic() - began
                if not ended:
                    toll.faults.append(f"a run that nobody killed ended so: {_complaints(results).read_text()[-300:]}")
            yield toll
            if toll.faults:
                return
            if ended:
                break
        process = _grade(submitted, results, workers)
        process.wait(LONGEST)
        toll.rounds += 1
        toll.faults += _faults(out / "calm", results, process)
        yield toll
        if toll.killed.total() >= times:
            return


def _grade(submitted: Path, results: Path, workers: int) -> subprocess.Popen:
    command = ["grade", str(submitted), "--out", str(results), "--workers", str(workers)]
    with _complaints(results).open("wb") as complaints:  # a file: a pipe would fill, and orphans would hold it open
        return subprocess.Popen(
            [sys.executable, "-c", "from gdlab.cli import main; main()", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
        )


def _complaints(results: Path) -> Path:
    """Where the last run that wrote into a folder has said what went wrong."""
    results.parent.mkdir(parents=True, exist_ok=True)
    return results.with_suffix(".stderr")


def _kill_something(process: subprocess.Popen, results: Path, draw: random.Random, usual: float, toll: Toll) -> bool:
    """Kill one process of a run at a random moment; whether the run has come to its end by itself."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(draw.uniform(0.1, 0.9) * usual)
    kind = KINDS[toll.killed.total() % len(KINDS)]
    helpers = {}
    while process.poll() is None:
        helpers = below(process.pid)
        if victims := [process.pid] if kind == "run" else [pid for pid, its in helpers.items() if its == kind]:
            with suppress(ProcessLookupError):
                os.kill(draw.choice(victims), signal.SIGKILL)
                toll.killed[kind] += 1
                break
        time.sleep(LOOK_EVERY)
    try:
        process.wait(1 if kind == "run" else LONGEST)
    except subprocess.TimeoutExpired:
        toll.faults.append(f"a run went on for {LONGEST:g} seconds after its {kind} was killed")
        process.kill()
        process.wait()
    if left := still_there(helpers):
        toll.faults.append(f"stayed behind after the {kind} of a run was killed: {', '.join(left)}")
    said = _complaints(results).read_text()
    if "Traceback" in said:
        toll.faults.append(f"a stack trace after its {kind} was killed: {said[-300:]}")
    return process.returncode == 0


def below(root: int) -> dict[int, str]:
    """The processes below a run, and of which kind each is."""
    found, left = {}, [root]
    while left:
        pid = left.pop()
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            for thread in os.listdir(f"/proc/{pid}/task"):
                left += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
        except OSError:
            continue
        if pid != root:
            found[pid] = _kind(command)
    return found


def still_there(helpers: dict[int, str]) -> list[str]:
    """Which of the processes that a run had go on after it, for longer than they need to notice."""
    deadline = time.monotonic() + LONGEST_FAREWELL
    while there := [f"{kind or 'process'} {pid}" for pid, kind in helpers.items() if _runs(pid)]:
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK_EVERY)
    return there


def _runs(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _kind(command: list[bytes]) -> str:
    words = b" ".join(command)
    if b"multiprocessing.forkserver" in words:
        return "worker"
    if b"forkserver.py" in words:
        return "fork server"
    return "box" if b"bwrap" in command[0] else ""


def _faults(calm: Path, results: Path, process: subprocess.Popen) -> list[str]:
    """What is wrong with the results of a class whose runs were killed, held against a calm one."""
    said = _complaints(results).read_text()
    faults = (
        []
        if process.returncode == 0 and not said.strip()
        else [f"the last run ended with {process.returncode}: {said[-300:]}"]
    )
    wanted, had = scores(calm), scores(results)
    faults += [f"{who}: {had.get(who)} instead of {points}" for who, points in wanted.items() if had.get(who) != points]
    with closing(sqlite3.connect(results / "gradebook.db")) as database:
        [[sound]] = database.execute("PRAGMA integrity_check").fetchall()
        twice = {
            what: database.execute(
                f"SELECT student, assignment FROM {table} GROUP BY student, assignment HAVING count(*) > 1"
            ).fetchall()
            for what, table in (("judged", "gdlab_judgement"), ("recorded", "gdlab_recording"))
        }
        seeds = database.execute("SELECT count(DISTINCT run) FROM gdlab_judgement").fetchone()[0]
    faults += [] if sound == "ok" else [f"the database: {sound}"]
    faults += [f"{who}'s {name} was {what} more than once" for what, those in twice.items() for who, name in those]
    faults += [] if seeds == 1 else [f"judged in {seeds} runs, so with cases from {seeds} seeds"]
    pages = {path.parent.parent.name for path in (results / "feedback").glob("*/*/*.html")}
    faults += [f"{who} has no page" for who, _ in wanted if who not in pages]
    faults += [f"{path.relative_to(results)} was left half-written" for path in results.rglob(".*.part")]
    return faults


def scores(results: Path) -> dict[tuple[str, str], str]:
    """The points of every student and assignment in a gradebook."""
    with closing(sqlite3.connect(results / "gradebook.db")) as database:
        rows = database.execute(
            "SELECT sa.student_id, a.name, g.auto_score, c.name FROM grade g JOIN submitted_notebook sn ON g.notebook_id = sn.id "
            "JOIN submitted_assignment sa ON sn.assignment_id = sa.id JOIN assignment a ON sa.assignment_id = a.id "
            "JOIN base_cell c ON g.cell_id = c.id"
        ).fetchall()
    points: dict[tuple[str, str], dict[str, float]] = {}
    for student, assignment, score, cell in rows:
        points.setdefault((student, assignment), {})[cell] = score
    return {key: json.dumps(value, sort_keys=True) for key, value in points.items()}
