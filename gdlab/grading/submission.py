"""From a folder of files to notebooks that can be graded, whatever the files hold.

nbgrader collects `submitted/<student>/<assignment>/<notebook>.ipynb`. Nothing in such a file is
taken on trust: a sound notebook is built anew from the sources of its cells and from what the
released notebook says of each (points, locks, order of ids), so that edited points, copied or
deleted checks and broken metadata cannot reach nbgrader, let alone stop a class. What cannot be read
at all is graded as the empty notebook, and the reason is kept.
"""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import parse_utc

from gdlab.assignments import assignments

MOST_BYTES = 50 << 20
MOST_CELLS = 2_000
SECRET = re.compile("[0-9a-f]{128}")


@dataclass(frozen=True)
class Submission:
    """One student's folder for one assignment."""

    student: str
    assignment: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.student}/{self.assignment}"

    @property
    def handed_in(self) -> str:
        """The time in nbgrader's timestamp.txt, "" where there is none that can be read."""
        text = self._short_text("timestamp.txt")
        try:
            parse_utc(text)
        except (ValueError, OverflowError):
            return ""
        return text

    @property
    def secret(self) -> str:
        """By which `nbgrader fetch_feedback` finds a page in the exchange; "" for what did not come through one."""
        text = self._short_text("submission_secret.txt")
        return text if SECRET.fullmatch(text) else ""

    def _short_text(self, name: str) -> str:
        """A short text that nbgrader puts beside a submission, which a learner may have changed."""
        path = self.folder / name
        if not path.is_file() or path.is_symlink():
            return ""
        try:
            with path.open("rb") as text:
                return text.read(200).decode("utf-8", "replace").replace("\x00", "").strip()
        except OSError:
            return ""


class NoSubmissions(Exception):
    """The folder does not hold a class; the message says what was expected."""


class Unreadable(Exception):
    """A submission that holds no notebook to grade; the message is a sentence to the learner."""


def find_submissions(submitted: Path) -> tuple[list[Submission], list[str]]:
    """All submissions below a folder, and a sentence on each folder that is none.

    Raises:
        NoSubmissions: if there is not a single one.
    """
    if not submitted.is_dir():
        raise NoSubmissions(f"There is no folder {submitted}; gdlab grade wants nbgrader's submitted folder.")
    found, ignored = [], []
    for student in _folders(submitted):
        if not _is_text(student.name):
            ignored.append(f"{ascii(student.name)} is not a name in UTF-8; it was left out. Rename the folder.")
            continue
        try:
            folders = _folders(student)
        except OSError as error:
            ignored.append(f"{student.name} cannot be looked into ({error.strerror}); it was left out.")
            continue
        for folder in folders:
            if folder.name in assignments():
                found.append(Submission(student.name, folder.name, folder))
            else:
                name = ascii(folder.name)
                ignored.append(
                    f"{student.name} handed in {name}, which is no assignment of this course; it was left out."
                )
    if not found:
        raise NoSubmissions(
            f"{submitted} holds no submissions: expected <student>/<assignment>/<notebook>.ipynb, "
            f"with an assignment among {', '.join(assignments())}."
        )
    return found, ignored


def _folders(parent: Path) -> list[Path]:
    return sorted(entry for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _is_text(name: str) -> bool:
    """Whether a file's name can be written anywhere: Python stands in for bytes that are not UTF-8 with surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def sound_notebook(submission: Submission, released: NotebookNode, name: str) -> tuple[NotebookNode, str]:
    """The submission as a notebook that nbgrader accepts, and what was wrong with the file ("" if nothing)."""
    try:
        path, note = _notebook_file(submission.folder, name)
        return _rebuilt(_read(path), released), note
    except Unreadable as reason:
        return _rebuilt([], released), str(reason)


def _notebook_file(folder: Path, name: str) -> tuple[Path, str]:
    expected = folder / f"{name}.ipynb"
    if expected.is_symlink() or folder.is_symlink():
        raise Unreadable(
            "The submission is a link to another place, which is not followed. Hand in the notebook itself."
        )
    if expected.is_file():
        return expected, ""
    others = [path for path in sorted(folder.glob("*.ipynb")) if path.is_file() and not path.is_symlink()]
    if len(others) == 1:
        return others[0], f"The notebook should be called {name}.ipynb; {others[0].name} was graded."
    raise Unreadable(f"There is no notebook {name}.ipynb in the submission.")


def _read(path: Path) -> list[tuple[str, str, str]]:
    """The cells as (type, source, nbgrader's id)."""
    if path.stat().st_size > MOST_BYTES:
        raise Unreadable(
            f"The notebook has {path.stat().st_size >> 20} MB; {MOST_BYTES >> 20} MB is the most. Clear its outputs and hand it in again."
        )
    try:
        text = path.read_bytes().decode("utf-8-sig", errors="replace").replace("\x00", "")
        cells = list(_cells(_as_version_4(text)))
    except Exception as error:  # nbformat fails in as many ways as there are broken files
        raise Unreadable(
            f"The file is not a readable notebook ({type(error).__name__}). Open it in Jupyter, save it, and hand it in again."
        ) from error
    if len(cells) > MOST_CELLS:
        raise Unreadable(f"The notebook has {len(cells):,} cells; {MOST_CELLS:,} is the most.")
    return cells


def _as_version_4(text: str) -> dict:
    """A notebook of today's format as it is; an older one brought up to it."""
    notebook = json.loads(text)
    return notebook if notebook["nbformat"] == 4 else nbformat.reads(text, as_version=4)


def _cells(notebook: dict) -> Iterator[tuple[str, str, str]]:
    for cell in notebook["cells"]:
        source = cell.get("source", "")
        text = source if isinstance(source, str) else "".join(map(str, source))
        mark = cell.get("metadata", {}).get("nbgrader", {})
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written to any file
        yield str(cell.get("cell_type")), text, str(mark.get("grade_id", "")) if isinstance(mark, dict) else ""


def _rebuilt(cells: list[tuple[str, str, str]], released: NotebookNode) -> NotebookNode:
    """The learner's sources under the released notebook's metadata; checks always as released."""
    official = {cell.metadata.nbgrader.grade_id: cell for cell in released.cells if "nbgrader" in cell.metadata}
    built, placed = [], set()
    for kind, source, grade_id in cells:
        original = official.get(grade_id) if grade_id not in placed else None
        if original is None:
            built.append(_cell("code" if kind == "code" else "markdown", source, {}, f"handed-in-{len(built)}"))
            continue
        placed.add(grade_id)
        locked = original.metadata.nbgrader.get("locked", False)
        built.append(_like(original, original.source if locked else source))
    missing = [_like(cell, cell.source) for grade_id, cell in official.items() if grade_id not in placed]
    # A task that lost its mark may still be there, as a cell like any other: the stub must not come after it.
    before = [cell for cell in missing if built and not _is_check(cell)]
    built = before + built + [cell for cell in missing if cell not in before]
    return NotebookNode(nbformat=4, nbformat_minor=5, metadata=deepcopy(released.metadata), cells=built)


def _is_check(cell: NotebookNode) -> bool:
    return cell.metadata["nbgrader"].get("grade", False)


def _like(original: NotebookNode, source: str) -> NotebookNode:
    return _cell(original.cell_type, source, deepcopy(original.metadata), original.id)


def _cell(kind: str, source: str, metadata: dict, cell_id: str) -> NotebookNode:
    """A cell as nbformat has it. Its own constructors hold each against the schema, which takes longer than all else here."""
    cell = NotebookNode(cell_type=kind, id=cell_id, metadata=NotebookNode(metadata), source=source)
    if kind == "code":
        cell.update(execution_count=None, outputs=[])
    return cell
