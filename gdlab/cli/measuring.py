"""For whoever doubts or changes this: `gdlab audit` and `gdlab bench`."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.table import Table

from gdlab.cli.class_runs import grading_errors
from gdlab.cli.console import STYLE, complaints, course_root, fail, out, progress_bar, shown
from gdlab.cli.start import SAMPLE_CLASS, build

commands = typer.Typer(**STYLE)
bench = typer.Typer(**STYLE)
commands.add_typer(bench, name="bench", help="Measure: ratios side by side in one run, written to benchmarks/.")
TableFolder = Annotated[
    Path | None, typer.Option("--out", help="Where the table goes; the course's benchmarks/ by default.")
]


@commands.command()
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
        fail(str(unknown))
    done = []
    with progress_bar() as progress:
        task = progress.add_task("Auditing", total=len(wanted))
        try:
            for one in audit_all(course_root() / "solutions", names or (), rounds, seed, workers):
                done.append(one)
                progress.update(task, advance=1, description=one.exercise)
        except (NoSolution, OSError) as error:
            fail(str(error))
    done.sort(key=lambda one: wanted.index((one.assignment, one.exercise)))
    if as_json:
        sys.stdout.write(table.as_json(done))
    else:
        out.print(_audit_table(done))
    if results:
        table.write(done, results)
    misses = [(one, miss) for one in done for miss in one.misses]
    for one, miss in misses:
        complaints.print(f"{one.exercise}: {shown(miss)}", style="red", soft_wrap=True, highlight=False)
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
    from gdlab.bench import rules as measured

    _measure("Compiling, then measuring", measured.bench_rules(size, rounds), measured, results)


@bench.command("torch")
def bench_torch(
    rounds: Annotated[int, typer.Option(help="How often each variant takes its turn.", min=1)] = 30,
    device: Annotated[str | None, typer.Option(help="As torch names it; the GPU where there is one.")] = None,
    results: TableFolder = None,
) -> None:
    """Time gdlab.torch beside torch's own: one AdamW step of a large and of small models, its memory, and whole training steps.

    [bold]Example:[/]  gdlab bench torch --rounds 5    ·    gdlab bench torch --device cuda
    """
    from gdlab.bench import torch as measured

    _measure("Compiling, then measuring", measured.bench_torch(rounds, device), measured, results)


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

    _measure("Measuring", measured.bench_sweep(side, sampled, device), measured, results)


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
    with progress_bar() as bar:
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
    rounds: Annotated[
        int, typer.Option(help="How often ours take turns, stock every third; the least counts.", min=1)
    ] = 6,
    results: TableFolder = None,
) -> None:
    """Time stock nbgrader and ours on the same notebooks: start-up, one more submission, memory, growing classes.

    Takes half an hour with its defaults. On a machine that others use too, more rounds find more of its quiet moments.

    [bold]Example:[/]  gdlab bench grading --submissions 5 --scale 10,50
    """
    from gdlab.bench import grading as measured

    wanted = [size.strip() for size in scale.split(",") if size.strip()]
    if wrong := [size for size in wanted if not size.isdigit() or int(size) < 1]:
        fail(f"{wrong[0]!r} is no size of a class: --scale wants whole numbers with commas, as in 10,100.")
    sizes = [int(size) for size in wanted]
    _measure("Grading", measured.bench_grading(course_root(), submissions, sizes, rounds), measured, results)


@bench.command("kills")
def bench_kills(
    submitted: Annotated[
        Path | None, typer.Argument(help="A class to grade; the sample class by default.", show_default=False)
    ] = None,
    times: Annotated[int, typer.Option(help="How many processes to kill.", min=1)] = 50,
    seed: Annotated[int, typer.Option(help="Of the random moments.", min=0)] = 0,
) -> None:
    """Kill runs, workers, fork servers and boxes at random moments, and hold what is left against a calm run.

    [bold]Example:[/]  gdlab bench kills --times 10
    """
    from gdlab.bench.kills import endure
    from gdlab.grading.submission import find_submissions

    submitted = (submitted or course_root() / SAMPLE_CLASS).resolve()
    with grading_errors():
        find_submissions(submitted)
    with tempfile.TemporaryDirectory() as scratch, progress_bar() as bar:
        task = bar.add_task("Killing", total=times)
        for toll in endure(submitted, Path(scratch) / "out", times, seed):
            bar.update(task, completed=toll.killed.total())
    killed = ", ".join(f"{count} × {kind}" for kind, count in sorted(toll.killed.items()))
    out.print(f"{toll.killed.total()} killed ({killed}) over {toll.rounds} runs of one command.", highlight=False)
    if toll.faults:
        fail("\n".join(toll.faults))
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

    book = build(course_root()).parent
    _measure_in_a_browser("Opening", measured.bench_pages(book, rounds), measured, results)


def _measure(what: str, measurements: Iterator, measured: ModuleType, results: Path | None) -> None:
    """Show how far a measurement is, and print its table at the end."""
    with progress_bar() as bar:
        task = bar.add_task(what, total=None)
        for news in measurements:
            if not isinstance(news, measured.Table):
                *part, done, total = news
                bar.update(task, description=part[0] if part else what, completed=done, total=total)
    _print_page(measured.write_table(news, _table_folder(results)))


def _measure_in_a_browser(what: str, measurements: Iterator, measured: ModuleType, results: Path | None) -> None:
    """The same, where Chromium may be missing."""
    from gdlab.browser import NoBrowser

    try:
        _measure(what, measurements, measured, results)
    except NoBrowser as error:
        fail(str(error))


def _table_folder(asked: Path | None) -> Path:
    return (asked or course_root() / "benchmarks").resolve()


def _print_page(page: Path) -> None:
    out.print(page.read_text(encoding="utf-8"), markup=False, highlight=False, soft_wrap=True)


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
