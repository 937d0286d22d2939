"""The command line: `gdlab course`, `book`, `lab`, `check`, `doctor`, `progress`, `reset`, `release`, `class`, `grade`, `deadline`, `replay`, `report`, `export`, `forget`, `db`, `audit`, `bench`. Each has --help with examples."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from nbgrader.api import Gradebook

STYLE = {
    "no_args_is_help": True,
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "rich",
}
app = typer.Typer(**STYLE)
bench = typer.Typer(**STYLE)
databases = typer.Typer(**STYLE)
app.add_typer(databases, name="db", help="Keep a gradebook: copies, moves to a server and back, upgrades.")
app.add_typer(bench, name="bench", help="Measure: ratios side by side in one run, written to benchmarks/.")
out = Console()
complaints = Console(stderr=True)

SAMPLE_CLASS = Path("tests", "sample_class", "submitted")
MY_WORK = "my-work"
TableFolder = Annotated[
    Path | None, typer.Option("--out", help="Where the table goes; the course's benchmarks/ by default.")
]
Results = Annotated[Path, typer.Option("--out", help="Where the gradebook is.")]


class Lms(StrEnum):
    """Whose archives `nbgrader zip_collect` reads."""

    canvas = "canvas"
    moodle = "moodle"


class Kind(StrEnum):
    """What `gdlab export` writes."""

    csv = "csv"
    canvas = "canvas"
    moodle = "moodle"


HEALTH = {"fine": "[green]✓[/]", "absent": "[yellow]–[/]", "broken": "[red]✗[/]"}
MARKS = {"right": "[green]✓[/]", "partly": "[yellow]~[/]"}


@app.callback()
def gdlab() -> None:
    """Gradient Descent Lab: the book, the exercises, and the grader that names the mistake."""


@app.command()
def course(port: Annotated[int, typer.Option(help="Where to serve the book.")] = 8000) -> None:
    """Build the book, grade the sample class, show where everything is.

    On a terminal it then serves the book until you press Ctrl-C.

    [bold]Example:[/]  gdlab course --port 8080
    """
    root = course_root()
    index = _build(root)
    results = root / "_build" / "sample_class"
    graded = _grade_or_say_why_not(root / SAMPLE_CLASS, results, root)
    _show_places(index, root, results if graded else None)
    if sys.stdin.isatty() and sys.stdout.isatty():
        _serve(index, port)


@app.command()
def book(
    serve: Annotated[bool, typer.Option("--serve", help="Serve it at localhost until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(help="Where to serve it.")] = 8000,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print it as well, as one PDF; needs Chromium.")] = False,
) -> None:
    """Build the book; nothing to do takes about a second.

    [bold]Examples:[/]  gdlab book    ·    gdlab book --serve --port 8080    ·    gdlab book --pdf
    """
    root = course_root()
    index = _build(root)
    out.print(f"The book is at {escape(str(index))}", soft_wrap=True)
    if pdf:
        out.print(f"The PDF is at {escape(str(_print(root, index.parent)))}", soft_wrap=True)
    if serve:
        _serve(index, port)


@app.command()
def lab(
    browser: Annotated[bool, typer.Option(help="Open a browser window on it.")] = True,
    port: Annotated[int, typer.Option(help="Where JupyterLab answers; the next free one if it is taken.")] = 8888,
) -> None:
    """Copy the exercises to my-work/ (never over what you wrote) and open them in JupyterLab.

    [bold]Examples:[/]  gdlab lab    ·    gdlab lab --no-browser --port 9000
    """
    from gdlab.my_work import copy_exercises

    root = course_root()
    work = root / MY_WORK
    copy_exercises(root / "exercises", work)
    out.print(f"Your notebooks are in {escape(str(work))}", soft_wrap=True)
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={work}",
        f"--port={port}",
        "--LabApp.news_url=None",
    ]
    command += ["--no-browser"] * (not browser) + ["--allow-root"] * (os.name == "posix" and os.geteuid() == 0)
    raise typer.Exit(subprocess.run(command, check=False).returncode)


@app.command()
def check(
    notebook: Annotated[Path, typer.Argument(help="Your notebook.", show_default=False)],
    fresh: Annotated[bool, typer.Option("--fresh", help="Draw new cases instead of those that check() uses.")] = False,
    function_seconds: Annotated[float, typer.Option(help="Time for all calls of one function.", min=0.1)] = 5.0,
    cells_seconds: Annotated[float, typer.Option(help="Time for the notebook's cells.", min=0.1)] = 60.0,
) -> None:
    """Check your notebook as the grader will: all cells from the top, then every function.

    Your code runs in a process of its own on this machine. Ends with exit code 1 while anything is missing.

    [bold]Examples:[/]  gdlab check my-work/update_rule/update_rule.ipynb    ·    gdlab check update_rule.ipynb --fresh
    """
    import secrets

    from gdlab.grading.box import NoSandbox
    from gdlab.grading.check_notebook import check_notebook
    from gdlab.judge.verdict import as_text
    from gdlab.learn import PUBLIC_SEED
    from gdlab.my_work import NotFound

    seed = secrets.randbits(48) if fresh else PUBLIC_SEED
    try:
        with complaints.status("Running your notebook, then asking your functions ..."):
            verdicts = check_notebook(notebook, seed, cells_seconds, function_seconds)
    except (NotFound, NoSandbox) as error:
        _fail(str(error))
    for name, verdict in verdicts.items():
        first, *rest = as_text(verdict).splitlines()
        out.print(
            f"{MARKS.get(verdict.outcome, '[red]✗[/]')} [bold]{escape(first)}[/]", soft_wrap=True, highlight=False
        )
        for line in rest:
            out.print(f"  {escape(line)}", soft_wrap=True, highlight=False)
        out.print(end="" if name == list(verdicts)[-1] else "\n")
    earned, most = (sum(getattr(v, what) for v in verdicts.values()) for what in ("points", "max_points"))
    out.print(f"\n[bold]{earned:g} of {most:g} points[/]", highlight=False)
    if not all(verdict.right for verdict in verdicts.values()):
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """What works on this machine, and how to mend what does not; ends with 1 where something has to be mended.

    [bold]Example:[/]  gdlab doctor
    """
    from gdlab.doctor import BROKEN, examine

    table = Table(box=None, padding=(0, 2, 1, 0), show_header=False)
    table.add_column()
    table.add_column(max_width=28)
    table.add_column(overflow="fold", ratio=1)
    broken = 0
    for name, look in examine():
        with out.status(f"{name} ..."):
            finding = look()
        broken += finding.state == BROKEN
        told = escape(finding.found) + (f"\n[bold]{escape(finding.remedy)}[/]" if finding.remedy else "")
        table.add_row(HEALTH[finding.state], f"{finding.what}\n[dim]for {finding.needed_for}[/]", told)
    out.print(table, highlight=False)
    if broken:
        _fail(f"{broken} {'thing has' if broken == 1 else 'things have'} to be mended.")
    out.print("All that has to work does.")


@app.command()
def progress() -> None:
    """What you have done and what comes next, as of the last check in each notebook you saved.

    [bold]Example:[/]  gdlab progress
    """
    from gdlab.my_work import NotFound, standings

    root = course_root()
    try:
        found = list(standings(root / "exercises", root / MY_WORK))
    except NotFound as error:
        _fail(str(error))
    out.print(_progress_table(found))
    ahead = next((standing for standing in found if standing.next), None)
    if ahead is None:
        out.print("Everything is right. Well done.")
    else:
        where = "open it with: gdlab lab" if ahead.notebook is None else f"in {ahead.notebook.relative_to(root)}"
        out.print(f"Next: [bold]{ahead.next}[/], {escape(where)}", soft_wrap=True, highlight=False)


@app.command()
def reset(exercise: Annotated[str, typer.Argument(help="Its name, as in check().", show_default=False)]) -> None:
    """Bring one stub back as it was released; everything else in your notebook stays.

    What you had written is kept in my-work/.before-reset/. Save the notebook before, and reload it in Jupyter afterwards.

    [bold]Example:[/]  gdlab reset descend
    """
    from gdlab.my_work import reset_stub

    root = course_root()
    try:
        notebook, kept = reset_stub(exercise, root / "exercises", root / MY_WORK)
    except LookupError as error:
        _fail(str(error.args[0]))
    out.print(
        f"{exercise} in {escape(str(notebook))} is as it was released.\nWhat you had written is in {escape(str(kept))}",
        soft_wrap=True,
        highlight=False,
    )


@app.command()
def release(assignment: Annotated[str, typer.Argument(help="Which one; all where none is named.")] = "") -> None:
    """Make exercises/ from solutions/: the same notebooks with the solutions blanked (by nbgrader).

    [bold]Examples:[/]  gdlab release    ·    gdlab release update_rule
    """
    from gdlab.assignments import assignments
    from gdlab.grading.course import CannotRelease
    from gdlab.grading.course import release as release_one

    root = course_root()
    if assignment and assignment not in assignments():
        _fail(f"There is no assignment {assignment!r}; there is {', '.join(assignments())}.")
    for name in [assignment] if assignment else assignments():
        try:
            out.print(
                f"Released {escape(str(release_one(name, root / 'solutions', root / 'exercises')))}", soft_wrap=True
            )
        except CannotRelease as error:
            _fail(str(error))


@app.command("class")
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
    with _grading_errors(), out.status("Releasing the assignments ..."):
        try:
            made = make_class(folder.resolve(), solutions, course, exchange, lms.value if lms else "")
        except (BadClass, OSError) as error:
            _fail(str(error))
    out.print(
        f"The class is at {escape(str(folder.resolve()))}, with {', '.join(made)}.\n"
        f"Settings   {escape(str(folder.resolve() / 'nbgrader_config.py'))}",
        soft_wrap=True,
        highlight=False,
    )


@app.command()
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
        int | None, typer.Option(help="How many processes judge at once; one for each core by default.", min=1)
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

    limits = Limits(
        cells_seconds=cells_seconds,
        function_seconds=function_seconds,
        memory_bytes=memory_mb << 20,
        pictures=pictures,
    )
    results = (results or submitted.resolve().parent).resolve()
    with _grading_errors():
        judges = _judges(limits, workers or os.cpu_count() or 1, cold, dask)
        all_graded = _grade(
            submitted.resolve(), results, course_root(), limits, judges, regrade, yes, database, bool(dask)
        )
        gradebook = gradebook_of(results, database)
    out.print(f"\nGradebook  {escape(gradebook)}\nFeedback   {escape(str(results / 'feedback'))}", soft_wrap=True)
    if not all_graded:
        raise typer.Exit(1)


@app.command()
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
    with _grading_errors():
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
            _fail(str(error))
        out.print(f"Lateness costs {escape(deadlines.penalty_in_words(nbgrader_settings(results)))}.", highlight=False)
    if when or longer or penalty:
        out.print("Scores follow with the next gdlab grade.", highlight=False)


@app.command()
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

    with _grading_errors(), out.status(f"Making judgement {number} again ..."):
        try:
            replayed = judge_again(results.resolve(), number, cold)
        except NoJudgement as error:
            _fail(str(error))
    entry = replayed.entry
    out.print(f"{escape(entry.student)}, {entry.assignment}, seed {entry.provenance['seed']}", highlight=False)
    for name, verdict in replayed.verdicts.items():
        mark = MARKS.get(verdict.outcome, "[red]✗[/]")
        out.print(f"{mark} {name}  {verdict.headline}", highlight=False)
        for sentence in () if verdict.right else verdict.sentences:
            out.print(f"    {escape(sentence)}", highlight=False, soft_wrap=True)
    if replayed.differing:
        _fail(
            f"Not as it was recorded: {', '.join(replayed.differing)}. Does the notebook depend on the time, or on chance?"
        )
    out.print("The same, bit for bit, as it was recorded.")


@app.command()
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
    out.print(f"The report is at {escape(str(page.resolve()))}", soft_wrap=True, highlight=False)


@app.command("export")
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
            _fail(str(error))
        learners = len(book.students)
    out.print(f"The grades of {learners} learners are in {escape(str(to.resolve()))}", soft_wrap=True, highlight=False)


@app.command()
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
        with _grading_errors(), forgetting.alone_in_class(results) as book:
            traces = forgetting.find_traces(book, results, came, learner)
            out.print(_traces_table(traces))
            unreached = "\n".join(f"  {place}" for place in forgetting.OUT_OF_REACH)
            out.print(f"Out of reach:\n{unreached}", highlight=False, soft_wrap=True)
            if not came.is_dir():
                complaints.print(
                    f"There is no folder {escape(str(came))}. Name the one with the submissions (--submitted), "
                    "or the next gdlab grade brings back what is in it.",
                    style="yellow",
                    soft_wrap=True,
                )
            if not yes and not sys.stdin.isatty():
                _fail("Nothing was removed: say --yes where nobody can be asked.")
            if not yes and not typer.confirm("Remove all of this for good?"):
                out.print("Nothing was removed.")
                return
            forgetting.forget(book, traces)
    except (forgetting.NobodyThere, AtWork, OSError) as error:
        _fail(str(error))
    out.print(f"{escape(learner)} is forgotten.", highlight=False)
    for path in forgetting.mentions(results, learner):
        complaints.print(
            f"The name still stands in {escape(str(path))}; look whether it means them.", style="yellow", soft_wrap=True
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

    with _grading_errors(), out.status("Copying ..."):
        counts = copy_database(source, target)
    judgements = counts.get("gdlab_judgement", 0)
    out.print(
        f"{sum(counts.values())} rows, {judgements} judgements among them, are in {escape(named(target))}",
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

    with _grading_errors(), out.status("Upgrading ..."):
        before = upgrade_database(url)
    out.print(f"{escape(named(url))} is up to date.", soft_wrap=True, highlight=False)
    if before:
        out.print(f"As it was before: {escape(str(before))}", soft_wrap=True, highlight=False)


@app.command()
def audit(
    names: Annotated[
        list[str] | None, typer.Argument(help="Exercises or assignments; all where none is named.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="How many sets of fresh cases each.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Where the rounds begin.", min=0)] = 0,
    workers: Annotated[
        int | None, typer.Option(help="How many processes; one for each core by default.", min=1)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print counts and misses as JSON instead.")] = False,
    results: Annotated[
        Path | None, typer.Option("--out", help="Also write audit.md and audit.json into this folder.")
    ] = None,
) -> None:
    """Prove the grader: known mistakes, right answers, lazy answers and mutants, each judged as it should be.

    Ends with exit code 1 if anything is judged otherwise, and says what.

    [bold]Examples:[/]  gdlab audit    ·    gdlab audit descend schedules --rounds 20    ·    gdlab audit --json > audit.json
    """
    from gdlab.audit import table
    from gdlab.audit.run import audit_all, chosen
    from gdlab.audit.solutions import NoSolution

    try:
        wanted = chosen(names or ())
    except LookupError as unknown:
        _fail(str(unknown))
    done = []
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=complaints, transient=True) as progress:
        task = progress.add_task("Auditing", total=len(wanted))
        try:
            for one in audit_all(course_root() / "solutions", names or (), rounds, seed, workers):
                done.append(one)
                progress.update(task, advance=1, description=one.exercise)
        except (NoSolution, OSError) as error:
            _fail(str(error))
    done.sort(key=lambda one: wanted.index((one.assignment, one.exercise)))
    if as_json:
        sys.stdout.write(table.as_json(done))
    else:
        out.print(_audit_table(done))
    if results:
        table.write(done, results)
    misses = [(one, miss) for one in done for miss in one.misses]
    for one, miss in misses:
        complaints.print(f"{one.exercise}: {escape(miss)}", style="red", soft_wrap=True, highlight=False)
    if misses:
        raise typer.Exit(1)


@bench.command()
def rules(
    size: Annotated[int, typer.Option(help="How many parameters.", min=1000)] = 10_000_000,
    rounds: Annotated[int, typer.Option(help="How often each variant takes its turn.", min=1)] = 15,
    results: TableFolder = None,
) -> None:
    """Time one AdamW step: our rule on NumPy and compiled, torch's own three ways, and the speed of memory.

    [bold]Example:[/]  gdlab bench rules --size 1000000 --rounds 5
    """
    from gdlab.bench.rules import Table as Measured
    from gdlab.bench.rules import bench_rules, write_table

    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=out, transient=True
    ) as bar:
        task = bar.add_task("Compiling, then measuring", total=rounds)
        for news in bench_rules(size, rounds):
            if not isinstance(news, Measured):
                bar.update(task, completed=news[0])
    _print_page(write_table(news, _table_folder(results)))


@bench.command("torch")
def bench_torch(
    rounds: Annotated[int, typer.Option(help="How often each variant takes its turn.", min=1)] = 15,
    device: Annotated[str | None, typer.Option(help="As torch names it; the GPU where there is one.")] = None,
    results: TableFolder = None,
) -> None:
    """Time gdlab.torch beside torch's own: one AdamW step of a large and of small models, its memory, and whole training steps.

    [bold]Example:[/]  gdlab bench torch --rounds 5    ·    gdlab bench torch --device cuda
    """
    from gdlab.bench import torch as measured

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=complaints, transient=True) as bar:
        task = bar.add_task("Compiling, then measuring", total=None)
        for news in measured.bench_torch(rounds, device):
            if not isinstance(news, measured.Table):
                bar.update(task, completed=news[0], total=news[1])
    _print_page(measured.write_table(news, _table_folder(results)))


@bench.command("sweep")
def bench_sweep(
    side: Annotated[int, typer.Option(help="How many values each of the two axes has.", min=2)] = 256,
    sampled: Annotated[int, typer.Option(help="How many runs are also run one after another.", min=1)] = 12,
    device: Annotated[str | None, typer.Option(help="As torch names it; the GPU where there is one.")] = None,
    results: TableFolder = None,
) -> None:
    """Time whole sweeps of small training runs beside the same runs one after another, and beside the arithmetic itself.

    [bold]Example:[/]  gdlab bench sweep --side 64    ·    gdlab bench sweep --side 4096 --device cuda
    """
    from gdlab.bench import sweep as measured

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=complaints, transient=True) as bar:
        task = bar.add_task("Measuring", total=None)
        for news in measured.bench_sweep(side, sampled, device):
            if not isinstance(news, measured.Table):
                bar.update(task, description=news[0], completed=news[1], total=news[2])
    _print_page(measured.write_table(news, _table_folder(results)))


@bench.command("check")
def bench_check(
    rounds: Annotated[int, typer.Option(help="How often each answer is checked.", min=1)] = 15,
    results: TableFolder = None,
) -> None:
    """Time what a learner waits for: check() on a right answer and on every named mistake of each exercise.

    [bold]Example:[/]  gdlab bench check --rounds 5
    """
    from gdlab.assignments import assignments, exercises_of
    from gdlab.bench import check as measured

    waits = []
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=complaints, transient=True) as bar:
        task = bar.add_task("Checking", total=sum(len(exercises_of(assignment)) for assignment in assignments()))
        for wait in measured.bench_check(rounds):
            waits.append(wait)
            bar.update(task, advance=1, description=wait.exercise)
    _print_page(measured.write(waits, _table_folder(results)))


@bench.command("figures")
def bench_figures(
    seconds: Annotated[float, typer.Option(help="How long each figure is dragged.", min=0.2)] = 2.0,
    rounds: Annotated[int, typer.Option(help="How often; the smoothest turn counts.", min=1)] = 3,
    results: TableFolder = None,
) -> None:
    """Drag every figure's main control in a real Chromium: frames a second, and the longest task.

    [bold]Example:[/]  gdlab bench figures --seconds 5
    """
    from gdlab.bench import figures as measured

    _measure_in_a_browser("Dragging", measured.bench_figures(seconds, rounds), measured, results)


@bench.command("grading")
def bench_grading(
    submissions: Annotated[int, typer.Option(help="How many notebooks each way grades.", min=2)] = 20,
    scale: Annotated[str, typer.Option(help="Sizes of class to grade as well, with commas.")] = "10,100,1000,2000",
    rounds: Annotated[int, typer.Option(help="How often each way takes its turn; the least counts.", min=1)] = 2,
    results: TableFolder = None,
) -> None:
    """Time stock nbgrader and ours on the same notebooks: start-up, one more submission, memory, growing classes.

    Takes about twenty minutes with its defaults; half of that is stock nbgrader.

    [bold]Example:[/]  gdlab bench grading --submissions 5 --scale 10,50
    """
    from gdlab.bench import grading as measured

    sizes = [int(size) for size in scale.split(",") if size.strip().isdigit()]
    columns = (TextColumn("{task.description:<40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=complaints, transient=True) as bar:
        task = bar.add_task("Grading", total=None)
        for news in measured.bench_grading(course_root(), submissions, sizes, rounds):
            if not isinstance(news, measured.Table):
                bar.update(task, description=news[0], completed=news[1], total=news[2])
    _print_page(measured.write_table(news, _table_folder(results)))


@bench.command("kills")
def bench_kills(
    submitted: Annotated[Path, typer.Argument(help="A class to grade; the sample class by default.")] = SAMPLE_CLASS,
    times: Annotated[int, typer.Option(help="How many processes to kill.", min=1)] = 50,
    seed: Annotated[int, typer.Option(help="Of the random moments.", min=0)] = 0,
) -> None:
    """Kill runs, workers, fork servers and boxes at random moments, and hold what is left against a calm run.

    [bold]Example:[/]  gdlab bench kills --times 10
    """
    from gdlab.bench.kills import endure

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with tempfile.TemporaryDirectory() as scratch, Progress(*columns, console=complaints, transient=True) as bar:
        task = bar.add_task("Killing", total=times)
        for toll in endure((course_root() / submitted).resolve(), Path(scratch) / "out", times, seed):
            bar.update(task, completed=toll.killed.total())
    killed = ", ".join(f"{count} × {kind}" for kind, count in sorted(toll.killed.items()))
    out.print(f"{toll.killed.total()} killed ({killed}) over {toll.rounds} runs of one command.", highlight=False)
    if toll.faults:
        _fail("\n".join(toll.faults))
    out.print("Nothing was lost, nothing was judged twice, and every score is that of a calm run.")


@bench.command("pages")
def bench_pages(
    rounds: Annotated[int, typer.Option(help="How often each page is opened.", min=1)] = 5,
    results: TableFolder = None,
) -> None:
    """Open every page of the book in a real Chromium: what it weighs, and how long until its figures answer.

    [bold]Example:[/]  gdlab bench pages --rounds 3
    """
    from gdlab.bench import pages as measured

    book = _build(course_root()).parent
    _measure_in_a_browser("Opening", measured.bench_pages(book, rounds), measured, results)


def _measure_in_a_browser(what: str, measurements: Iterator, measured: ModuleType, results: Path | None) -> None:
    """Show how far a measurement is, and print its table at the end."""
    from gdlab.bench.browser import NoBrowser

    columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=complaints, transient=True) as bar:
        task = bar.add_task(what, total=None)
        try:
            for news in measurements:
                if not isinstance(news, measured.Table):
                    bar.update(task, description=news[0], completed=news[1], total=news[2])
        except NoBrowser as error:
            _fail(str(error))
    _print_page(measured.write_table(news, _table_folder(results)))


def _table_folder(asked: Path | None) -> Path:
    return (asked or course_root() / "benchmarks").resolve()


def _print_page(page: Path) -> None:
    out.print(page.read_text(encoding="utf-8"), markup=False, highlight=False, soft_wrap=True)


def course_root() -> Path:
    """The folder of the course: the nearest above this one that has book/ and _config.yml, else where gdlab lies."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[1]):
        if (folder / "_config.yml").is_file() and (folder / "book").is_dir():
            return folder
    _fail("This is not the folder of a course: go to the one that holds book/ and _config.yml.")


def main() -> None:
    """The entry point: Ctrl-C ends quietly."""
    try:
        app()
    except KeyboardInterrupt:
        complaints.print("Stopped.")
        sys.exit(130)


def _fail(sentence: str) -> None:
    complaints.print(escape(sentence), style="red", soft_wrap=True, highlight=False)
    raise typer.Exit(1)


def _build(root: Path) -> Path:
    from gdlab.book import BookError, build_book

    try:
        with out.status("Building the book (about half a minute the first time) ..."):
            return build_book(root)
    except BookError as error:
        _fail(str(error))


def _print(root: Path, built: Path) -> Path:
    """Print the built book, with a progress bar; where it went."""
    from gdlab.bench.browser import NoBrowser
    from gdlab.book import BookError
    from gdlab.book_pdf import parts_of, print_book

    parts, pdf = parts_of(root / "book" / "_toc.yml"), built.parent / "gradient-descent-lab.pdf"
    try:
        with Progress(console=complaints, transient=True) as progress:
            bar = progress.add_task("Printing", total=sum(len(names) for _, names in parts))
            for title in print_book(built, parts, pdf):
                progress.update(bar, advance=1, description=f"Printed {title}")
    except (NoBrowser, BookError) as error:
        _fail(str(error))
    return pdf


def _serve(index: Path, port: int) -> None:
    from gdlab.book import BookError, serve_book

    try:
        serve_book(
            index.parent, port, lambda url: out.print(f"\nThe book is at {url} until you press Ctrl-C.", soft_wrap=True)
        )
    except BookError as error:
        _fail(str(error))


def _grade_or_say_why_not(submitted: Path, results: Path, root: Path) -> bool:
    """Grade; where this machine can make no sandbox, say so in one sentence instead."""
    from gdlab.grading.box import Limits, NoSandbox
    from gdlab.grading.course import CannotRelease

    limits = Limits()
    grade_sample = partial(_grade, submitted, results, root, limits, _judges(limits, os.cpu_count() or 1, cold=False))
    try:
        try:
            grade_sample()
        except CannotRelease:  # grades of an earlier version of the exercises are in the way, and nobody's here
            shutil.rmtree(results)
            grade_sample()
    except NoSandbox as why:
        complaints.print(
            f"The sample class was not graded: {escape(str(why))}", style="yellow", soft_wrap=True, highlight=False
        )
        return False
    return True


def _judges(limits, workers: int, cold: bool, dask: str = ""):
    if dask:
        from gdlab.grading.dask_workers import on_a_cluster

        return on_a_cluster(dask, limits, workers)
    from gdlab.grading.workers import in_cold_boxes, in_warm_boxes

    return in_cold_boxes(limits) if cold else in_warm_boxes(limits, workers)


@contextmanager
def _grading_errors() -> Iterator[None]:
    """What can be in the way of grading, as a sentence and exit code 1."""
    from gdlab.grading.box import NoSandbox
    from gdlab.grading.class_run import CannotRecord
    from gdlab.grading.course import BadSettings, CannotRelease
    from gdlab.grading.dask_workers import NoCluster
    from gdlab.grading.database import NoDatabase
    from gdlab.grading.submission import NoSubmissions

    try:
        yield
    except (NoSandbox, NoCluster, NoDatabase, NoSubmissions, CannotRelease, CannotRecord, BadSettings) as error:
        _fail(str(error))


def _grade(
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
    from gdlab.grading.bubblewrap import bubblewrap_version
    from gdlab.grading.class_run import ClassRun
    from gdlab.grading.terminal import summary, tally, with_a_bar
    from gdlab.grading.walled_box import WalledBox

    run = ClassRun(submitted, results, root / "solutions", judges, limits, database=database)
    submissions = run.find()
    if not boxes_elsewhere:
        with WalledBox(limits):  # a machine without a sandbox is found out before anything is written
            pass
    how = "on a Dask cluster" if boxes_elsewhere else f"each in a box of {bubblewrap_version()}"
    out.print(f"Grading {len(submissions)} submissions, {escape(how)}", soft_wrap=True, highlight=False)
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
    from gdlab.grading.terminal import differences, with_a_bar

    changes = list(with_a_bar(run.regrade(submissions), len(submissions), out, "Regrading"))
    _complain(run)
    if any(change.differs for change in changes):
        out.print(differences(changes))
    else:
        out.print("No score would change.")
    if yes:
        return True
    if not sys.stdin.isatty():
        _fail("Nothing was saved: say --yes to save a regrade where nobody can be asked. Its judgements are kept.")
    if typer.confirm("Save this?"):
        return True
    run.decline(submissions)
    out.print("Nothing was saved.")
    return False


def _complain(run) -> None:
    while run.problems:
        complaints.print(escape(run.problems.pop(0)), style="yellow", soft_wrap=True, highlight=False)


@contextmanager
def _results(folder: Path, writes: Path) -> Iterator["Gradebook"]:
    """What a class run has left in a folder; what is in the way of reading it, or of writing a file from it, as a sentence."""
    from gdlab.grading.results import NoGradebook, open_results

    try:
        with open_results(folder.resolve()) as book:
            yield book
    except NoGradebook as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{writes} cannot be written ({error.strerror or error}); name another file with --to.")


def _deadline_table(deadlines, zone) -> Table:
    from gdlab.grading.deadlines import spelled_moment, spelled_span

    table = Table(title="Deadlines", title_justify="left")
    for heading in ("Assignment", "Due"):
        table.add_column(heading)
    table.add_column("Longer", overflow="fold", ratio=1)
    table.add_column("Late", justify="right")
    for one in deadlines:
        longer = ", ".join(f"{learner} +{spelled_span(span)}" for learner, span in one.extensions.items())
        table.add_row(one.assignment, spelled_moment(one.due, zone), escape(longer), str(one.late))
    return table


def _traces_table(traces) -> Table:
    table = Table(title=f"What is kept of {escape(traces.learner)}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold", ratio=1)
    for path in traces.paths:
        table.add_row("theirs", escape(str(path)))
    for path in traces.tables:
        table.add_row("of the class", f"{escape(str(path))} [dim](gdlab report and export make it anew)[/]")
    for path in traces.archives:
        table.add_row("archive, written anew", escape(str(path)))
    for what, count in traces.rows.items():
        if count:
            table.add_row("database", f"{count} × {what}")
    return table


def _audit_table(done) -> Table:
    from gdlab.audit.table import COLUMNS

    table = Table(
        title="Judged as they should be: mistakes named, right answers accepted, lazy ones refused, mutants killed",
        title_justify="left",
        show_footer=True,
    )
    table.add_column("Exercise", footer=f"{len(done)} in all", no_wrap=True)
    for heading, good, of in COLUMNS:
        total = f"{sum(getattr(one, good) for one in done)}/{sum(getattr(one, of) for one in done)}"
        table.add_column(heading.rpartition(" ")[0], justify="right", footer=total)
    table.add_column("equivalent", justify="right", footer=str(sum(one.equivalent for one in done)))
    table.add_column("misses", justify="right", footer=str(sum(len(one.misses) for one in done)))
    for one in done:
        counts = [f"{getattr(one, good)}/{getattr(one, of)}" for _, good, of in COLUMNS]
        misses = f"[red]{len(one.misses)}[/]" if one.misses else "0"
        table.add_row(one.exercise, *counts, str(one.equivalent), misses)
    return table


def _progress_table(standings) -> Table:
    table = Table(title="Where you stand", title_justify="left")
    for heading in ("Assignment", "Minutes", "Difficulty"):
        table.add_column(heading)
    table.add_column("Points", justify="right")
    table.add_column("Exercises", overflow="fold", ratio=1)
    for one in standings:
        exercises = ", ".join(
            f"{MARKS.get(verdict.outcome, '[red]✗[/]') if verdict else '·'} {name}"
            for name, (_, verdict) in one.exercises.items()
        )
        minutes = str(one.minutes or "")
        table.add_row(one.assignment, minutes, one.difficulty, f"{one.points:g} of {one.max_points:g}", exercises)
    return table


def _show_places(index: Path, root: Path, results: Path | None) -> None:
    places = {"The book": index, "Your exercises": "make lab", "The instructor's": root / "solutions"}
    if results:
        places |= {"Gradebook": results / "gradebook.db", "Feedback": results / "feedback"}
    grid = Table.grid(padding=(0, 2))
    for what, where in places.items():
        grid.add_row(what, escape(str(where)))
    out.print()
    out.print(grid, soft_wrap=True)
