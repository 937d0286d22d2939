"""For instructors, once a class is graded: `gdlab report`, `export`, `forget` and `db`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from gdlab.cli.class_runs import grading_errors
from gdlab.cli.console import STYLE, Results, complaints, fail, out, shown

if TYPE_CHECKING:
    from nbgrader.api import Gradebook

commands = typer.Typer(**STYLE)


databases = typer.Typer(**STYLE)
commands.add_typer(databases, name="db", help="Keep a gradebook: copies, moves to a server and back, upgrades.")


class Kind(StrEnum):
    """What `gdlab export` writes."""

    csv = "csv"
    canvas = "canvas"
    moodle = "moodle"


@commands.command()
def report(
    results: Results = Path("."),
    to: Annotated[Path | None, typer.Option(help="The page; report.html beside the gradebook by default.")] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Learners by number, to show around.")] = False,
) -> None:
    """One page on a graded class: how scores lie, the hardest exercises, the mistakes, and who is stuck on one.

    [bold]Examples:[/]  gdlab report --out results    ·    gdlab report --out results --anonymous --to class.html
    """
    from gdlab.grading.recording import write_whole
    from gdlab.grading.report import class_report, report_page

    page = to or results / "report.html"
    with _results(results, page) as book:
        reports = class_report(book, anonymous)
        write_whole(page, report_page(reports, anonymous))
    for one in reports:
        out.print(
            f"{one.name}: {len(one.scores)} learners, median {one.median:.3g} of {one.max_score:g}",
            highlight=False,
        )
    out.print(f"The report is at {shown(str(page.resolve()))}", soft_wrap=True, highlight=False)


@commands.command("export")
def export_(
    results: Results = Path("."),
    kind: Annotated[Kind, typer.Option("--format", help="For which program.")] = Kind.csv,
    to: Annotated[Path, typer.Option(help="The file to write.")] = Path("grades.csv"),
    assignment: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
) -> None:
    """Write the grades for a spreadsheet, for Canvas or for Moodle.

    Learners go by the names, e-mail addresses and LMS ids that the gradebook has (nbgrader db student import).

    [bold]Examples:[/]  gdlab export --out results    ·    gdlab export --out results --format canvas --to canvas.csv
    """
    from gdlab.grading.export import NoAssignment, export_grades

    with _results(results, to) as book:
        try:
            export_grades(book, kind.value, to, assignment or ())
        except NoAssignment as error:
            fail(str(error))
        learners = len(book.students)
    out.print(f"The grades of {learners} learners are in {shown(str(to.resolve()))}", soft_wrap=True, highlight=False)


@commands.command()
def forget(
    learner: Annotated[str, typer.Argument(help="As their folder in submitted/ is called.", show_default=False)],
    results: Results = Path("."),
    submitted: Annotated[
        Path | None, typer.Option(help="Where submissions are; submitted/ beside the gradebook by default.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> None:
    """Remove all that a class keeps of one learner: submissions, grades, judgements, feedback. It cannot be undone.

    Shows first what will go, and what is out of reach. A removal that was stopped is finished by the same command.

    [bold]Examples:[/]  gdlab forget ada    ·    gdlab forget ada --out results --submitted submitted --yes
    """
    from gdlab.grading import forget as forgetting
    from gdlab.grading.claims import AtWork

    results = results.resolve()
    came = (submitted or results / "submitted").resolve()
    try:
        with grading_errors(), forgetting.alone_in_class(results) as book:
            traces = forgetting.find_traces(book, results, came, learner)
            out.print(_traces_table(traces))
            unreached = "\n".join(f"  {place}" for place in forgetting.OUT_OF_REACH)
            out.print(f"Out of reach:\n{unreached}", highlight=False, soft_wrap=True)
            if not came.is_dir():
                complaints.print(
                    f"There is no folder {shown(str(came))}. Name the one with the submissions (--submitted), "
                    "or the next gdlab grade brings back what is in it.",
                    style="yellow",
                    soft_wrap=True,
                )
            if not yes and not sys.stdin.isatty():
                fail("Nothing was removed: say --yes where nobody can be asked.")
            if not yes and not typer.confirm("Remove all of this for good?"):
                out.print("Nothing was removed.")
                return
            forgetting.forget(book, traces)
        out.print(f"{shown(learner)} is forgotten.", highlight=False)
        mentions = forgetting.mentions(results, learner)
    except (forgetting.NobodyThere, AtWork, OSError) as error:
        fail(str(error))
    for path in mentions:
        complaints.print(
            f"The name still stands in {shown(str(path))}; look whether it means them.", style="yellow", soft_wrap=True
        )


@databases.command("copy")
def copy_database(
    source: Annotated[str, typer.Argument(help="Its URL.", show_default=False)],
    target: Annotated[str, typer.Argument(help="The URL of one that is still empty.", show_default=False)],
) -> None:
    """Copy a gradebook with its ledger, as of one moment, also while a class is being graded.

    So it is a backup, the way from a file to PostgreSQL, and the way back.

    [bold]Examples:[/]  gdlab db copy sqlite:///gradebook.db sqlite:///backup.db    ·    gdlab db copy sqlite:///gradebook.db postgresql://grader@host/course
    """
    from gdlab.grading.database import named
    from gdlab.grading.database_tools import copy_database

    with grading_errors(), out.status("Copying ..."):
        counts = copy_database(source, target)
    judgements = counts.get("gdlab_judgement", 0)
    out.print(
        f"{sum(counts.values())} rows, {judgements} judgements among them, are in {shown(named(target))}",
        soft_wrap=True,
        highlight=False,
    )


@databases.command("upgrade")
def upgrade_database(url: Annotated[str, typer.Argument(help="Its URL.", show_default=False)]) -> None:
    """Bring a gradebook that an older nbgrader made up to this one; a file is kept as it was, beside it.

    [bold]Example:[/]  gdlab db upgrade sqlite:///results/gradebook.db
    """
    from gdlab.grading.database import named
    from gdlab.grading.database_tools import upgrade_database

    with grading_errors(), out.status("Upgrading ..."):
        before = upgrade_database(url)
    out.print(f"{shown(named(url))} is up to date.", soft_wrap=True, highlight=False)
    if before:
        out.print(f"As it was before: {shown(str(before))}", soft_wrap=True, highlight=False)


@contextmanager
def _results(folder: Path, writes: Path) -> Iterator["Gradebook"]:
    """What a class run has left in a folder; what is in the way of reading it, or of writing a file from it, as a sentence."""
    from gdlab.grading.results import NoGradebook, open_results

    try:
        with open_results(folder.resolve()) as book:
            yield book
    except NoGradebook as error:
        fail(str(error))
    except OSError as error:
        fail(f"{writes} cannot be written ({error.strerror or error}); name another file with --to.")


def _traces_table(traces) -> Table:
    table = Table(title=f"What is kept of {shown(traces.learner)}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold", ratio=1)
    for path in traces.paths:
        table.add_row("theirs", shown(str(path)))
    for path in traces.tables:
        table.add_row("of the class", f"{shown(str(path))} [dim](gdlab report and export make it anew)[/]")
    for path in traces.archives:
        table.add_row("archive, written anew", shown(str(path)))
    for what, count in traces.rows.items():
        if count:
            table.add_row("database", f"{count} × {what}")
    return table
