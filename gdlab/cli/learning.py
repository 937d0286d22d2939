"""For learners: `gdlab lab`, `check`, `progress` and `reset`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from gdlab.cli.console import MY_WORK, STYLE, complaints, course_root, fail, mark, out, shown

commands = typer.Typer(**STYLE)


@commands.command()
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
    out.print(f"Your notebooks are in {shown(str(work))}", soft_wrap=True)
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


@commands.command()
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
        fail(str(error))
    for name, verdict in verdicts.items():
        first, *rest = as_text(verdict).splitlines()
        out.print(f"{mark(verdict.outcome)} [bold]{shown(first)}[/]", soft_wrap=True, highlight=False)
        for line in rest:
            out.print(f"  {shown(line)}", soft_wrap=True, highlight=False)
        out.print(end="" if name == list(verdicts)[-1] else "\n")
    earned, most = (sum(getattr(v, what) for v in verdicts.values()) for what in ("points", "max_points"))
    out.print(f"\n[bold]{earned:g} of {most:g} points[/]", highlight=False)
    if not all(verdict.right for verdict in verdicts.values()):
        raise typer.Exit(1)


@commands.command()
def progress() -> None:
    """What you have done and what comes next, as of the last check in each notebook you saved.

    [bold]Example:[/]  gdlab progress
    """
    from gdlab.my_work import NotFound, standings

    root = course_root()
    try:
        found = list(standings(root / "exercises", root / MY_WORK))
    except NotFound as error:
        fail(str(error))
    out.print(_progress_table(found))
    ahead = next((standing for standing in found if standing.next), None)
    if ahead is None:
        out.print("Everything is right. Well done.")
    else:
        where = "open it with: gdlab lab" if ahead.notebook is None else f"in {ahead.notebook.relative_to(root)}"
        out.print(f"Next: [bold]{ahead.next}[/], {shown(where)}", soft_wrap=True, highlight=False)


@commands.command()
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
        fail(str(error.args[0]))
    out.print(
        f"{exercise} in {shown(str(notebook))} is as it was released.\nWhat you had written is in {shown(str(kept))}",
        soft_wrap=True,
        highlight=False,
    )


def _progress_table(standings) -> Table:
    table = Table(title="Where you stand", title_justify="left")
    for heading in ("Assignment", "Minutes", "Difficulty"):
        table.add_column(heading)
    table.add_column("Points", justify="right")
    table.add_column("Exercises", overflow="fold", ratio=1)
    for one in standings:
        exercises = ", ".join(
            f"{mark(verdict.outcome) if verdict else '·'} {name}" for name, (_, verdict) in one.exercises.items()
        )
        minutes = str(one.minutes or "")
        table.add_row(one.assignment, minutes, one.difficulty, f"{one.points:g} of {one.max_points:g}", exercises)
    return table
