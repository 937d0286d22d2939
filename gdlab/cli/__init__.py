"""The command line: a module for each kind of people who use it. Every command has --help with examples."""

import sys

import typer

from gdlab.cli import grading, learning, measuring, results, start
from gdlab.cli.console import STYLE, complaints

app = typer.Typer(**STYLE)
for module, purpose in (
    (start, "To begin with"),
    (learning, "To learn"),
    (grading, "To teach"),
    (results, "To teach"),
    (measuring, "To measure"),
):
    for command in (*module.commands.registered_commands, *module.commands.registered_groups):
        command.rich_help_panel = purpose
    app.add_typer(module.commands)


@app.callback()
def gdlab() -> None:
    """Gradient Descent Lab: the book, the exercises, and the grader that names the mistake."""


def main() -> None:
    """The entry point: Ctrl-C ends quietly."""
    try:
        app()
    except KeyboardInterrupt:
        complaints.print("Stopped.")
        sys.exit(130)
