"""For instructors, while a class is graded: `gdlab release`, `class`, `grade`, `deadline` and `replay`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gdlab.cli.class_runs import grade_class, grading_errors, judges_for, processors
from gdlab.cli.console import STYLE, Results, course_root, fail, mark, out, shown

commands = typer.Typer(**STYLE)


class Lms(StrEnum):
    """Whose archives `nbgrader zip_collect` reads."""

    canvas = "canvas"
    moodle = "moodle"


@commands.command()
def release(assignment: Annotated[str, typer.Argument(help="Which one; all where none is named.")] = "") -> None:
    """Make exercises/ from solutions/: the same notebooks with the solutions blanked (by nbgrader).

    [bold]Examples:[/]  gdlab release    ·    gdlab release update_rule
    """
    from gdlab.assignments import assignments
    from gdlab.grading.course import CannotRelease
    from gdlab.grading.course import release as release_one

    root = course_root()
    if assignment and assignment not in assignments():
        fail(f"There is no assignment {assignment!r}; there is {', '.join(assignments())}.")
    for name in [assignment] if assignment else assignments():
        try:
            out.print(
                f"Released {shown(str(release_one(name, root / 'solutions', root / 'exercises')))}", soft_wrap=True
            )
        except CannotRelease as error:
            fail(str(error))


@commands.command("class")
def class_(
    folder: Annotated[Path, typer.Argument(help="Where the class shall live.", show_default=False)],
    course: Annotated[str, typer.Option(help="The course's name in the exchange.")] = "gradient-descent",
    exchange: Annotated[
        Path | None, typer.Option(help="The folder that learners' accounts share with yours, where there is one.")
    ] = None,
    lms: Annotated[Lms | None, typer.Option(help="Whose archives nbgrader zip_collect shall read.")] = None,
) -> None:
    """Make a folder for a class, with all that nbgrader's own commands need: settings, gradebook, released assignments.

    What is there already stays. Afterwards, in that folder: [bold]nbgrader release_assignment[/], [bold]collect[/] and
    [bold]release_feedback[/] go through the exchange; [bold]nbgrader zip_collect[/] reads the archive that you put into
    downloaded/ASSIGNMENT/archive/; [bold]gdlab grade submitted[/] grades what came.

    [bold]Examples:[/]  gdlab class autumn --exchange /srv/nbgrader/exchange    ·    gdlab class autumn --lms moodle
    """
    from gdlab.grading.class_folder import BadClass, make_class

    solutions = course_root() / "solutions"
    with grading_errors(), out.status("Releasing the assignments ..."):
        try:
            made = make_class(folder.resolve(), solutions, course, exchange, lms.value if lms else "")
        except (BadClass, OSError) as error:
            fail(str(error))
    out.print(
        f"The class is at {shown(str(folder.resolve()))}, with {', '.join(made)}.\n"
        f"Settings   {shown(str(folder.resolve() / 'nbgrader_config.py'))}",
        soft_wrap=True,
        highlight=False,
    )


@commands.command()
def grade(
    submitted: Annotated[
        Path, typer.Argument(help="nbgrader's folder: <student>/<assignment>/<notebook>.ipynb", show_default=False)
    ],
    results: Annotated[
        Path | None,
        typer.Option("--out", help="Where gradebook, graded notebooks and feedback go; beside the folder by default."),
    ] = None,
    function_seconds: Annotated[float, typer.Option(help="Time for all calls of one graded function.", min=0.1)] = 5.0,
    cells_seconds: Annotated[float, typer.Option(help="Time for a notebook's cells.", min=0.1)] = 60.0,
    memory_mb: Annotated[
        int, typer.Option(help="Memory of each process, and of all in a box together.", min=256)
    ] = 3072,
    workers: Annotated[
        int | None,
        typer.Option(
            help="How many processes judge at once; one for each core by default. Not with --cold; of a cluster, only for local.",
            min=1,
        ),
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Draw the plots of the notebooks into the feedback.")
    ] = False,
    cold: Annotated[
        bool, typer.Option("--cold", help="Start Python anew for every submission: slower, and almost no code of ours.")
    ] = False,
    regrade: Annotated[
        bool, typer.Option("--regrade", help="Judge everything anew; show what would change, and ask before saving.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Save a regrade without asking.")] = False,
    database: Annotated[
        str,
        typer.Option(
            "--db",
            help="The gradebook's URL, as postgresql://grader@host/course; a file beside the results by default.",
        ),
    ] = "",
    dask: Annotated[
        str, typer.Option(help="Judge on a Dask cluster: its scheduler, as tcp://10.0.0.5:8786, or local.")
    ] = "",
) -> None:
    """Grade a class: each submission in a box of its own, judged from outside.

    Scores go into nbgrader's gradebook, and each learner gets a page of feedback. What has not changed since it was
    graded is not run again, and a run that was stopped goes on where it stopped.

    On a PostgreSQL server several graders may be at work on one class; its password belongs into ~/.pgpass. On a Dask
    cluster each worker makes its own boxes, and this command records.

    [bold]Examples:[/]  gdlab grade submitted    ·    gdlab grade submitted --out results --workers 8    ·    gdlab grade submitted --regrade
    """
    from gdlab.grading.box import Limits
    from gdlab.grading.course import gradebook_of
    from gdlab.grading.dask_workers import LOCAL

    if cold and (workers or dask):
        fail(
            f"--cold judges one after the other on this machine: leave out {'--dask' if dask else '--workers'}, or --cold."
        )
    if workers and dask not in ("", LOCAL):
        fail(f"The cluster at {shown(dask)} has workers of its own, however many: leave out --workers.")
    limits = Limits(
        cells_seconds=cells_seconds,
        function_seconds=function_seconds,
        memory_bytes=memory_mb << 20,
        pictures=pictures,
    )
    results = (results or submitted.resolve().parent).resolve()
    with grading_errors():
        judges = judges_for(limits, workers or processors(), cold, dask)
        all_graded = grade_class(
            submitted.resolve(), results, course_root(), limits, judges, regrade, yes, database, bool(dask)
        )
        gradebook = gradebook_of(results, database)
    out.print(f"\nGradebook  {shown(gradebook)}\nFeedback   {shown(str(results / 'feedback'))}", soft_wrap=True)
    if not all_graded:
        raise typer.Exit(1)


@commands.command()
def deadline(
    assignment: Annotated[str, typer.Argument(help="Which one; without it, all are shown.")] = "",
    when: Annotated[str, typer.Argument(help="As in '2026-12-01 18:00'; none takes the deadline away.")] = "",
    zone: Annotated[
        str | None, typer.Option("--timezone", help="As in Europe/Berlin or UTC; this machine's by default.")
    ] = None,
    longer: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--extend", metavar="LEARNER LENGTH", help="Give one learner longer: 48h, 2d, 90m; none takes it back."
        ),
    ] = None,
    penalty: Annotated[
        str,
        typer.Option("--late-penalty", help="For the whole class: none, zero (nothing counts), 10%/day or 5%/hour."),
    ] = "",
    results: Results = Path("."),
) -> None:
    """Show or set when assignments are due, who has longer, and what lateness costs.

    The next gdlab grade works the points out anew; no notebook is run again for that.

    [bold]Examples:[/]  gdlab deadline    ·    gdlab deadline update_rule '2026-12-01 18:00' --late-penalty 10%/day    ·    gdlab deadline update_rule --extend ada 48h
    """
    from gdlab.grading import deadlines
    from gdlab.grading.course import nbgrader_settings
    from gdlab.grading.late import BadPenalty, keep_settings, penalty_settings

    results = results.resolve()
    with grading_errors():
        try:
            spoken_in = deadlines.time_zone(zone)
            due = None if when in ("", *deadlines.NOTHING) else deadlines.moment(when, zone)
            span = deadlines.span(longer[1]) if longer else None
            costs = penalty_settings(penalty) if penalty else {}
            if (when or longer) and not assignment:
                raise deadlines.BadDeadline("Say which assignment that is for: gdlab deadline update_rule ...")
            with deadlines.open_class(results, course_root() / "solutions", assignment) as book:
                if when:
                    deadlines.set_due(book, assignment, due)
                if longer:
                    deadlines.extend(book, assignment, longer[0], span, results / "submitted")
                out.print(_deadline_table(deadlines.deadlines(book), spoken_in))
            if costs:
                keep_settings(results, costs)
        except (deadlines.BadDeadline, BadPenalty) as error:
            fail(str(error))
        out.print(f"Lateness costs {shown(deadlines.penalty_in_words(nbgrader_settings(results)))}.", highlight=False)
    if when or longer or penalty:
        out.print("Scores follow with the next gdlab grade.", highlight=False)


@commands.command()
def replay(
    number: Annotated[int, typer.Argument(help="The judgement's number, at the end of its page of feedback.", min=1)],
    results: Results = Path("."),
    cold: Annotated[bool, typer.Option("--cold", help="In a box with a fresh Python.")] = False,
) -> None:
    """Make a judgement again from the ledger, and hold it against what was recorded, bit for bit.

    [bold]Example:[/]  gdlab replay 42 --out results
    """
    from gdlab.grading.replay import NoJudgement
    from gdlab.grading.replay import replay as judge_again

    with grading_errors(), out.status(f"Making judgement {number} again ..."):
        try:
            replayed = judge_again(results.resolve(), number, cold)
        except NoJudgement as error:
            fail(str(error))
    entry = replayed.entry
    out.print(f"{shown(entry.student)}, {entry.assignment}, seed {entry.provenance['seed']}", highlight=False)
    for name, verdict in replayed.verdicts.items():
        out.print(f"{mark(verdict.outcome)} {name}  {verdict.headline}", highlight=False)
        for sentence in () if verdict.right else verdict.sentences:
            out.print(f"    {shown(sentence)}", highlight=False, soft_wrap=True)
    if replayed.differing:
        fail(
            f"Not as it was recorded: {', '.join(replayed.differing)}. Does the notebook depend on the time, or on chance?"
        )
    out.print("The same, bit for bit, as it was recorded.")


def _deadline_table(deadlines, zone) -> Table:
    from gdlab.grading.deadlines import spelled_moment, spelled_span

    table = Table(title="Deadlines", title_justify="left")
    for heading in ("Assignment", "Due"):
        table.add_column(heading)
    table.add_column("Longer", overflow="fold", ratio=1)
    table.add_column("Late", justify="right")
    for one in deadlines:
        longer = ", ".join(f"{learner} +{spelled_span(span)}" for learner, span in one.extensions.items())
        table.add_row(one.assignment, spelled_moment(one.due, zone), shown(longer), str(one.late))
    return table
