"""A class run on a terminal: who judges, the bar and the tables, and what is in the way as a sentence."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from gdlab.cli.console import complaints, fail, out, shown


def processors() -> int:
    """How many this process may run on: a container, or `taskset`, may have given it a few of many."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def judges_for(limits, workers: int, cold: bool, dask: str = ""):
    if dask:
        from gdlab.grading.dask_workers import on_a_cluster

        return on_a_cluster(dask, limits, workers)
    from gdlab.grading.workers import in_cold_boxes, in_warm_boxes

    return in_cold_boxes(limits) if cold else in_warm_boxes(limits, workers)


@contextmanager
def grading_errors() -> Iterator[None]:
    """What can be in the way of grading, as a sentence and exit code 1."""
    from sqlalchemy.exc import SQLAlchemyError

    from gdlab.grading.box import NoSandbox
    from gdlab.grading.class_run import CannotRecord
    from gdlab.grading.course import BadSettings, CannotRelease
    from gdlab.grading.dask_workers import NoCluster
    from gdlab.grading.database import NoDatabase, said_by
    from gdlab.grading.submission import NoSubmissions

    try:
        yield
    except (NoSandbox, NoCluster, NoDatabase, NoSubmissions, CannotRelease, CannotRecord, BadSettings) as error:
        fail(str(error))
    except SQLAlchemyError as error:
        fail(f"The gradebook cannot be used: {said_by(error)}")


def grade_class(
    submitted: Path,
    results: Path,
    root: Path,
    limits,
    judges,
    regrade=False,
    yes=False,
    database="",
    boxes_elsewhere=False,
) -> bool:
    """Grade a class with a progress bar and a table at the end; whether every submission was graded."""
    from gdlab.cli.class_tables import summary, tally, with_a_bar
    from gdlab.grading.bubblewrap import bubblewrap_version
    from gdlab.grading.class_run import ClassRun
    from gdlab.grading.walled_box import WalledBox

    run = ClassRun(submitted, results, root / "solutions", judges, limits, database=database)
    submissions = run.find()
    if not boxes_elsewhere:
        with WalledBox(limits):  # a machine without a sandbox is found out before anything is written
            pass
    how = "on a Dask cluster" if boxes_elsewhere else f"each in a box of {bubblewrap_version()}"
    out.print(f"Grading {len(submissions)} submissions, {shown(how)}", soft_wrap=True, highlight=False)
    if regrade and not _wanted(run, submissions, yes):
        return True
    results_of_run = run.accept(submissions) if regrade else run.grade(submissions)
    graded = list(with_a_bar(results_of_run, len(submissions), out))
    out.print(summary(graded))
    out.print(tally(graded, submissions), highlight=False)
    _complain(run)
    return len(graded) == len(submissions)


def _wanted(run, submissions, yes: bool) -> bool:
    """Judge everything anew, show what would change, and ask whether it shall be saved."""
    from gdlab.cli.class_tables import differences, with_a_bar

    changes = list(with_a_bar(run.regrade(submissions), len(submissions), out, "Regrading"))
    _complain(run)
    if any(change.differs for change in changes):
        out.print(differences(changes))
    else:
        out.print("No score would change.")
    if yes:
        return True
    if not sys.stdin.isatty():
        fail("Nothing was saved: say --yes to save a regrade where nobody can be asked. Its judgements are kept.")
    if typer.confirm("Save this?"):
        return True
    run.decline(submissions)
    out.print("Nothing was saved.")
    return False


def _complain(run) -> None:
    while run.problems:
        complaints.print(shown(run.problems.pop(0)), style="yellow", soft_wrap=True, highlight=False)
