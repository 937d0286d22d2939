"""What all commands share: how they look, where they print, the course they are about."""

import re
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

STYLE = {
    "no_args_is_help": True,
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": "rich",
}
out = Console()
complaints = Console(stderr=True)

MY_WORK = "my-work"
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
MARKS = {"right": "[green]✓[/]", "partly": "[yellow]~[/]"}
Results = Annotated[Path, typer.Option("--out", help="Where the gradebook is.")]


def mark(outcome: str) -> str:
    """A verdict's outcome as one coloured sign."""
    return MARKS.get(outcome, "[red]✗[/]")


def shown(text: str) -> str:
    """A text from elsewhere as a terminal may have it: no markup of ours, and nothing that a terminal obeys."""
    return escape(CONTROLS.sub("�", text))


def progress_bar() -> Progress:
    """A bar for long work, with what is done at the moment before it; gone once all is done."""
    columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=complaints, transient=True)


def course_root() -> Path:
    """The folder of the course: the nearest above this one that has book/ and _config.yml, else where gdlab lies."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "_config.yml").is_file() and (folder / "book").is_dir():
            return folder
    fail("This is not the folder of a course: go to the one that holds book/ and _config.yml.")


def fail(sentence: str) -> NoReturn:
    """End with a sentence on what was wrong, and exit code 1."""
    complaints.print(shown(sentence), style="red", soft_wrap=True, highlight=False)
    raise typer.Exit(1)
