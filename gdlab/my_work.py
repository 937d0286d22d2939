"""A learner's own notebooks: where they lie, how far they are, and how one stub is brought back.

exercises/<assignment>/<notebook>.ipynb     as released
my-work/<assignment>/<notebook>.ipynb       the learner's copy, made by `copy_exercises`, theirs to change
my-work/.before-reset/…                     what a stub held before it was brought back
"""

import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from gdlab.assignments import assignments, exercises_of, find_exercise
from gdlab.judge.exercise import Exercise
from gdlab.judge.verdict import Verdict, verdicts_in

MINUTES = re.compile(r"[Aa]bout (\d+) minutes")
DIFFICULTY = re.compile(r"[Dd]ifficulty: (\w+)")


class NotFound(LookupError):
    """A notebook or a stub that is not where it should be; the message says what to do."""


@dataclass(frozen=True)
class Standing:
    """How far one assignment is.

    Attributes:
        assignment: its name.
        notebook: where the learner's copy is, None where there is none yet.
        minutes, difficulty: as the notebook says.
        exercises: each exercise with the verdict of the last check that was saved, None where there is none.
    """

    assignment: str
    notebook: Path | None
    minutes: int | None
    difficulty: str
    exercises: dict[str, tuple[Exercise, Verdict | None]]

    @property
    def points(self) -> float:
        return sum(verdict.points for _, verdict in self.exercises.values() if verdict)

    @property
    def max_points(self) -> float:
        return sum(exercise.points for exercise, _ in self.exercises.values())

    @property
    def next(self) -> str | None:
        """The first exercise that is not right yet."""
        return next((name for name, (_, verdict) in self.exercises.items() if not (verdict and verdict.right)), None)


def copy_exercises(exercises: Path, work: Path) -> list[Path]:
    """Copy the released notebooks to the learner's folder, never over what is there; returns those copied."""
    copied = []
    for notebook in sorted(exercises.glob("*/*.ipynb")):
        mine = work / notebook.relative_to(exercises)
        if not mine.exists():
            mine.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(notebook, mine)
            copied.append(mine)
    return copied


def standings(exercises: Path, work: Path) -> Iterator[Standing]:
    """How far each assignment is, in the order of the course.

    Raises:
        NotFound: if a notebook of the learner's cannot be read.
    """
    for assignment in assignments():
        released = exercises / assignment / f"{assignment}.ipynb"
        mine = work / assignment / f"{assignment}.ipynb"
        notebook = mine if mine.is_file() else None
        cells = read_notebook(notebook or released).cells
        intro = "\n".join(cell.source for cell in cells[:3] if cell.cell_type == "markdown")
        minutes, difficulty = MINUTES.search(intro), DIFFICULTY.search(intro)
        found = verdicts_in(cells) if notebook else {}
        yield Standing(
            assignment,
            notebook,
            int(minutes[1]) if minutes else None,
            difficulty[1] if difficulty else "",
            {name: (exercise, found.get(name)) for name, exercise in exercises_of(assignment).items()},
        )


def reset_stub(name: str, exercises: Path, work: Path) -> tuple[Path, Path]:
    """Bring an exercise's stub back as it was released; everything else in the notebook stays.

    Returns:
        The notebook, and the file that keeps what the learner had written.

    Raises:
        LookupError: if there is no such exercise; `NotFound` if the learner's notebook lacks it.
    """
    exercise = find_exercise(name)
    assignment = next(a for a in assignments() if name in exercises_of(a))
    path = work / assignment / f"{assignment}.ipynb"
    if not path.is_file():
        raise NotFound(f"There is no {path}; `gdlab lab` makes your copy of the exercises.")
    mine, released = read_notebook(path), read_notebook(exercises / assignment / f"{assignment}.ipynb")
    stubs = {grade_id(cell): cell.source for cell in released.cells}
    written = [cell for cell in mine.cells if grade_id(cell) in exercise.function_names]
    if len(written) != len(exercise.function_names):
        raise NotFound(
            f"{path} has no stub of {name} any more. Move that file away, and `gdlab lab` copies a fresh one; nothing was changed."
        )
    kept = _keep("\n\n".join(cell.source for cell in written), name, work)
    for cell in written:
        cell.source, cell.outputs, cell.execution_count = stubs[grade_id(cell)], [], None
    for cell in mine.cells:
        if grade_id(cell) == f"check_{name}":
            cell.outputs, cell.execution_count = [], None
    _replace(path, nbformat.writes(mine))
    return path, kept


def read_notebook(path: Path) -> NotebookNode:
    """A notebook; raises `NotFound` with a sentence where there is none to read."""
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except FileNotFoundError:
        raise NotFound(f"There is no notebook {path}.") from None
    except Exception as error:  # nbformat fails in as many ways as there are broken files
        raise NotFound(
            f"{path} is not a readable notebook ({type(error).__name__}). Open it in Jupyter and save it again, or move it away."
        ) from error


def grade_id(cell: NotebookNode) -> str:
    """What nbgrader calls a cell; nothing where its mark is missing or damaged."""
    mark = cell.metadata.get("nbgrader")
    name = mark.get("grade_id") if isinstance(mark, dict) else None
    return name if isinstance(name, str) else ""


def _keep(source: str, name: str, work: Path) -> Path:
    folder = work / ".before-reset"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{time.strftime('%Y-%m-%d-%H%M%S')}.py"
    path.write_text(source + "\n", encoding="utf-8")
    return path


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
