"""To begin with: `gdlab course`, `book` and `doctor`."""

import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gdlab.cli.class_runs import grade_class, grading_errors, judges_for, processors
from gdlab.cli.console import STYLE, complaints, course_root, fail, out, progress_bar, shown

commands = typer.Typer(**STYLE)
SAMPLE_CLASS = Path("tests", "sample_class", "submitted")
HEALTH = {"fine": "[green]✓[/]", "absent": "[yellow]–[/]", "broken": "[red]✗[/]"}


@commands.command()
def course(port: Annotated[int, typer.Option(help="Where to serve the book.")] = 8000) -> None:
    """Build the book, grade the sample class, show where everything is.

    On a terminal it then serves the book until you press Ctrl-C.

    [bold]Example:[/]  gdlab course --port 8080
    """
    root = course_root()
    index = build(root)
    results = root / "_build" / "sample_class"
    graded = _grade_or_say_why_not(root / SAMPLE_CLASS, results, root)
    _show_places(index, root, results if graded else None)
    if sys.stdin.isatty() and sys.stdout.isatty():
        _serve(index, port)


@commands.command()
def book(
    serve: Annotated[bool, typer.Option("--serve", help="Serve it at localhost until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(help="Where to serve it.")] = 8000,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print it as well, as one PDF; needs Chromium.")] = False,
) -> None:
    """Build the book; nothing to do takes about a second.

    [bold]Examples:[/]  gdlab book    ·    gdlab book --serve --port 8080    ·    gdlab book --pdf
    """
    root = course_root()
    index = build(root)
    out.print(f"The book is at {shown(str(index))}", soft_wrap=True)
    if pdf:
        out.print(f"The PDF is at {shown(str(_print(root, index.parent)))}", soft_wrap=True)
    if serve:
        _serve(index, port)


@commands.command()
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
        told = shown(finding.found) + (f"\n[bold]{shown(finding.remedy)}[/]" if finding.remedy else "")
        table.add_row(HEALTH[finding.state], f"{finding.what}\n[dim]for {finding.needed_for}[/]", told)
    out.print(table, highlight=False)
    if broken:
        fail(f"{broken} {'thing has' if broken == 1 else 'things have'} to be mended.")
    out.print("All that has to work does.")


def build(root: Path) -> Path:
    from gdlab.book.build import BookError, build_book

    try:
        with out.status("Building the book (a few minutes the first time) ..."):
            return build_book(root)
    except BookError as error:
        fail(str(error))


def _print(root: Path, built: Path) -> Path:
    """Print the built book, with a progress bar; where it went."""
    from gdlab.book.build import BookError
    from gdlab.book.pdf import parts_of, print_book
    from gdlab.browser import NoBrowser

    parts, pdf = parts_of(root / "book" / "_toc.yml"), built.parent / "gradient-descent-lab.pdf"
    try:
        with progress_bar() as progress:
            bar = progress.add_task("Printing", total=sum(len(names) for _, names in parts))
            for title in print_book(built, parts, pdf):
                progress.update(bar, advance=1, description=f"Printed {title}")
    except (NoBrowser, BookError) as error:
        fail(str(error))
    return pdf


def _serve(index: Path, port: int) -> None:
    from gdlab.book.build import BookError
    from gdlab.book.serve import serve_book

    try:
        serve_book(
            index.parent, port, lambda url: out.print(f"\nThe book is at {url} until you press Ctrl-C.", soft_wrap=True)
        )
    except BookError as error:
        fail(str(error))


def _grade_or_say_why_not(submitted: Path, results: Path, root: Path) -> bool:
    """Grade; where this machine can make no sandbox, say so in one sentence instead."""
    from gdlab.grading.box import Limits, NoSandbox
    from gdlab.grading.course import CannotRelease

    limits = Limits()
    grade_sample = partial(grade_class, submitted, results, root, limits, judges_for(limits, processors(), cold=False))
    with grading_errors():
        try:
            try:
                grade_sample()
            except CannotRelease:  # grades of an earlier version of the exercises are in the way, and nobody's here
                shutil.rmtree(results)
                grade_sample()
        except NoSandbox as why:
            complaints.print(
                f"The sample class was not graded: {shown(str(why))}", style="yellow", soft_wrap=True, highlight=False
            )
            return False
    return True


def _show_places(index: Path, root: Path, results: Path | None) -> None:
    places = {"The book": index, "Your exercises": "make lab", "The instructor's": root / "solutions"}
    if results:
        places |= {"Gradebook": results / "gradebook.db", "Feedback": results / "feedback"}
    grid = Table.grid(padding=(0, 2))
    for what, where in places.items():
        grid.add_row(what, shown(str(where)))
    out.print()
    out.print(grid, soft_wrap=True)
