"""How a class run looks in a terminal: a bar while it works, a table at the end, and the question before a regrade is saved."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from gdlab.cli.console import mark, shown
from gdlab.grading.class_run import Change, Graded
from gdlab.grading.submission import Submission

COLUMNS = (
    TextColumn("{task.description:<24}"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[rate]}"),
    TimeElapsedColumn(),
    TextColumn("left"),
    TimeRemainingColumn(),
)


def with_a_bar(
    results: Iterable[Graded | Change], total: int, console: Console, what: str = "Grading"
) -> Iterator[Graded | Change]:
    """Pass results on while a bar shows how far the run is, how fast, and how long it will take."""
    with Progress(*COLUMNS, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total, rate="")
        for result in results:
            speed = progress.tasks[0].speed
            progress.update(
                task,
                advance=1,
                description=result.submission.student[:24],
                rate=f"{60 * speed:.0f}/min" if speed else "",
            )
            yield result


def summary(graded: Sequence[Graded]) -> Group:
    """A table for each assignment, a line for each learner: points, a sign for each exercise, the first thing that is wrong."""
    by_assignment = groupby(
        sorted(graded, key=lambda one: one.submission.assignment), lambda one: one.submission.assignment
    )
    return Group(*(_assignment_table(name, list(those)) for name, those in by_assignment))


def _assignment_table(assignment: str, graded: Sequence[Graded]) -> Table:
    exercises = max((list(one.verdicts) for one in graded), key=len)
    title = f"{assignment}: {', '.join(exercises)}"
    table = Table(title=shown(title), title_justify="left", title_style="bold")
    table.add_column("Learner", overflow="fold", max_width=24)
    table.add_column("Points", justify="right", no_wrap=True)
    table.add_column("Exercises", no_wrap=True)
    table.add_column("The first thing that is wrong", overflow="fold", ratio=1)
    for one in sorted(graded, key=lambda one: one.submission.student):
        marks = [mark(one.verdicts[name].outcome) if name in one.verdicts else " " for name in exercises]
        points = f"{one.points:g} of {one.max_points:g}"
        table.add_row(shown(one.submission.student), points, " ".join(marks), shown(first_wrong(one)))
    return table


def first_wrong(one: Graded) -> str:
    """What an instructor wants to know first: trouble with the file, the first mistake, or a borrowed library."""
    wrong = next((verdict for verdict in one.verdicts.values() if not verdict.right), None)
    if one.note or wrong is None:
        notes = [f"{name} {note}" for name, verdict in one.verdicts.items() for note in verdict.notes]
        return one.note or "; ".join(notes)
    return f"{wrong.exercise}: {', '.join(wrong.mistakes) or wrong.sentences[0]}"


def differences(changes: Iterable[Change]) -> Table:
    """What a regrade would change: only submissions and exercises whose points differ."""
    table = Table(title="What would change", title_justify="left")
    for heading in ("Student", "Assignment", "Exercise"):
        table.add_column(heading, overflow="fold")
    for heading in ("Before", "Now"):
        table.add_column(heading, justify="right")
    for change in changes:
        for exercise, (before, now) in change.points.items():
            if before != now:
                worse = before is not None and now < before
                table.add_row(
                    shown(change.submission.student),
                    change.submission.assignment,
                    exercise,
                    "–" if before is None else f"{before:g}",
                    f"[{'red' if worse else 'green'}]{now:g}[/]",
                )
    return table


def tally(graded: Sequence[Graded], submissions: Sequence[Submission]) -> str:
    """How many were graded now, and how many had not changed."""
    unchanged = sum(one.unchanged for one in graded)
    said = f"{len(graded) - unchanged} graded, {unchanged} unchanged since they were graded"
    missing = len(submissions) - len(graded)
    return f"{said}, {missing} not graded" if missing else said
