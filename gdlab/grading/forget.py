"""Forgetting a learner: everything that a class keeps of one person is removed, and what is out of reach is named.

Files go first, then rows, then the database is packed so that no deleted bytes stay in it, and the learner's own row
goes last. So a removal that was ended at any moment still finds the learner, and the same command finishes it.
The ledger is append-only but for this.
"""

import csv
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nbgrader.api import Gradebook, Student
from sqlalchemy import delete, func, select, text

from gdlab.grading.claims import claims_on
from gdlab.grading.course import course_directory, gradebook, nbgrader_log
from gdlab.grading.database import file_of
from gdlab.grading.downloads import from_canvas, from_moodle, moodle_namesakes
from gdlab.grading.export import FORMATS
from gdlab.grading.ledger import JUDGEMENTS, RECORDINGS, Ledger

FOLDERS = ("autograded", "feedback")
OUT_OF_REACH = (
    "backups and snapshots of this machine's disk, and of a database server",
    "what the learner handed in through an exchange folder (inbound/), and what was released to it (feedback/)",
    "Canvas, Moodle, and wherever grades were exported to",
)


class NobodyThere(Exception):
    """Nothing is kept of a learner by that name; the message says where it was looked."""


@dataclass(frozen=True)
class Traces:
    """What is kept of one learner.

    Attributes:
        paths: files and folders that are theirs alone.
        tables: pages and tables of a whole class, which can be written anew without them.
        archives: archives from Canvas or Moodle that hold something of theirs.
        rows: how many rows of the database are theirs, by what they are.
    """

    learner: str
    paths: tuple[Path, ...]
    tables: tuple[Path, ...]
    archives: tuple[Path, ...]
    rows: dict[str, int]


@contextmanager
def alone_in_class(out: Path) -> Iterator[Gradebook]:
    """The gradebook of a class, while nobody grades it.

    Raises:
        NobodyThere: if there is no class.
        AtWork: if it is being graded.
    """
    course = course_directory(out, out)
    file = file_of(course.db_url)
    if file and not file.is_file():
        raise NobodyThere(f"There is no gradebook in {out}; name the folder of the class with --out.")
    with claims_on(course.db_url, out, alone=True), nbgrader_log(), gradebook(course) as book:
        yield book


def find_traces(book: Gradebook, out: Path, submitted: Path, learner: str) -> Traces:
    """All that is kept of a learner below two folders and in a gradebook.

    Raises:
        NobodyThere: if that is nothing.
    """
    Ledger(book.db)  # makes its tables where a class was never graded
    if not learner or learner in (".", "..") or "/" in learner or "\0" in learner:
        raise NobodyThere(f"{learner!r} cannot be a learner's name: it is no name of a folder.")
    folders = [submitted / learner, *(out / name / learner for name in FOLDERS)]
    paths = [folder for folder in folders if folder.is_symlink() or folder.exists()]
    paths += _downloaded(out, learner)
    archives = [archive for archive in _archives(out) if any(_theirs(archive, learner))]
    rows = {
        "submissions in the gradebook": len(_submissions(book, learner)),
        "judgements in the ledger": _count(book, JUDGEMENTS, learner),
        "recordings in the ledger": _count(book, RECORDINGS, learner),
        "entry in the list of learners": int(book.db.get(Student, learner) is not None),
    }
    if not paths and not archives and not any(rows.values()):
        raise NobodyThere(
            f"Nothing is kept of {learner!r}, neither in {submitted} and {out} nor in the gradebook. Names are told apart by case."
        )
    return Traces(learner, tuple(paths), tuple(_tables(book, out, learner)), tuple(archives), rows)


def forget(book: Gradebook, traces: Traces) -> None:
    """Remove what was found, in an order in which the learner is found again until nothing is left."""
    for path in (*traces.paths, *traces.tables):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for archive in traces.archives:
        _rewrite_without(archive, traces.learner)
    for table in (RECORDINGS, JUDGEMENTS):
        book.db.execute(delete(table).where(table.c.student == traces.learner))
    for assignment in _submissions(book, traces.learner):
        book.remove_submission(assignment, traces.learner)
    book.db.commit()
    _pack(book)
    if student := book.db.get(Student, traces.learner):
        _overwrite_what_is_deleted(book)
        book.db.delete(student)
        book.db.commit()


def mentions(out: Path, learner: str) -> list[Path]:
    """Files below a folder in which the learner's name still stands as a word of its own."""
    word = re.compile(rb"(?<![0-9A-Za-z_])" + re.escape(learner.encode()) + rb"(?![0-9A-Za-z_])")
    return [path for path in sorted(out.rglob("*")) if path.is_file() and word.search(path.read_bytes())]


def _submissions(book: Gradebook, learner: str) -> list[str]:
    return [row.assignment.name for row in book.student_submissions(learner)]


def _count(book: Gradebook, table, learner: str) -> int:
    return book.db.execute(select(func.count()).where(table.c.student == learner)).scalar_one()


def _pack(book: Gradebook) -> None:
    """Write an SQLite file anew, without what was deleted from it; another database looks after its own files."""
    if book.engine.dialect.name == "sqlite":
        with book.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM"))


def _overwrite_what_is_deleted(book: Gradebook) -> None:
    if book.engine.dialect.name == "sqlite":
        book.db.execute(text("PRAGMA secure_delete = ON"))


def _tables(book: Gradebook, out: Path, learner: str) -> Iterator[Path]:
    """The report, in which a learner counts by name or number, and the tables of `gdlab export` that name them."""
    student = book.db.get(Student, learner)
    names = {learner, *((student.email, student.lms_user_id) if student else ())} - {None, ""}
    headings = {kind.COLUMNS[:4] for kind in FORMATS.values()}
    for table in sorted(out.glob("*.csv")):
        with table.open(newline="", encoding="utf-8", errors="replace") as file:
            try:
                rows = list(csv.reader(file))
            except csv.Error:  # no table of ours
                continue
        if rows and tuple(rows[0][:4]) in headings and any(names.intersection(row) for row in rows):
            yield table
    for page in sorted(out.glob("*.html")):
        if "<h1>Report on a class</h1>" in page.read_text(encoding="utf-8", errors="replace"):
            yield page


def _downloaded(out: Path, learner: str) -> Iterator[Path]:
    """What `nbgrader zip_collect` was given, or has unpacked, for one learner."""
    for folder in sorted(out.glob("downloaded/*/*")):
        if folder.is_dir():
            inside = sorted(path.relative_to(folder) for path in folder.rglob("*"))
            namesakes = moodle_namesakes(inside)
            theirs = [path for path in inside if _whose(path, namesakes) == learner]
            yield from (folder / path for path in theirs if not set(path.parents) & set(theirs))


def _archives(out: Path) -> list[Path]:
    return [path for path in sorted(out.glob("downloaded/*/*/*.zip")) if zipfile.is_zipfile(path)]


def _theirs(archive: Path, learner: str) -> Iterator[str]:
    """The files in an archive that are a learner's."""
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
    namesakes = moodle_namesakes(map(Path, names))
    return (name for name in names if _whose(Path(name), namesakes) == learner)


def _whose(path: Path, namesakes: frozenset[str]) -> str:
    handed = from_moodle(path, namesakes) or from_canvas(path)
    return handed.learner if handed else ""


def _rewrite_without(archive: Path, learner: str) -> None:
    theirs, part = set(_theirs(archive, learner)), archive.with_name(f".{archive.name}.part")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            if item.filename not in theirs:
                new.writestr(item, old.read(item))
    part.replace(archive)
