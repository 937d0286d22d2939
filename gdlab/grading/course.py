"""The course as nbgrader sees it: where its folders are, its gradebook, and the release of an assignment.

solutions/<assignment>/<notebook>.ipynb              what an instructor edits
exercises/<assignment>/<notebook>.ipynb              what a learner gets, made by `release`
OUT/release/<assignment>/<notebook>.ipynb            the same, for nbgrader's own commands
OUT/autograded/<student>/<assignment>/…              graded notebooks, readable by nbgrader's formgrader
OUT/feedback/<student>/<assignment>/<notebook>.html
OUT/gradebook.db                                     nbgrader's own database, and the ledger of judgements; or a server's
OUT/nbgrader_config.py                               nbgrader's settings, where the course has any (late penalties, db_url)
OUT/nbgrader_config.json                             those that `gdlab deadline --late-penalty` sets
"""

import contextlib
import hashlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import traitlets.log
from nbgrader import __version__ as nbgrader_version
from nbgrader.api import Course, Gradebook
from nbgrader.converters import GenerateAssignment
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from sqlalchemy.exc import SAWarning
from traitlets.config import Config, JSONFileConfigLoader, PyFileConfigLoader

from gdlab.grading.database import database_url, in_folder, named
from gdlab.grading.migrations import make_tables, require_todays_tables

OTHER_CELLS = "Cannot add or remove cells"  # nbgrader's words where an assignment has changed since it was graded


class CannotRelease(Exception):
    """nbgrader could not make an assignment's learner version; the message says why."""


class BadSettings(Exception):
    """The course's nbgrader_config.py is broken; the message says how."""


def course_directory(
    out: Path, solutions: Path, submitted: Path | None = None, released: Path | None = None, database: str = ""
) -> CourseDirectory:
    """nbgrader's description of a course whose results lie in `out`.

    Its database is the one that is named here, or that the course's nbgrader_config.py names, or else a file in `out`.

    Raises:
        NoDatabase: if it cannot be used.
        BadSettings: if nbgrader_config.py is broken.
    """
    config = Config()
    config.CourseDirectory.root = str(out)
    config.CourseDirectory.source_directory = str(solutions)
    config.CourseDirectory.submitted_directory = str(submitted or out / "submitted")
    config.CourseDirectory.release_directory = str(released or out / "release")
    named_in_settings = nbgrader_settings(out).CourseDirectory.get("db_url")
    config.CourseDirectory.db_url = database_url(database or named_in_settings or in_folder(out))
    return CourseDirectory(config=config)


def gradebook_of(out: Path, database: str = "") -> str:
    """Where the grades of the course are, in words."""
    return named(course_directory(out, out, database=database).db_url)


def release(assignment: str, solutions: Path, exercises: Path) -> Path:
    """Write an assignment's learner version: solutions blanked, everything else as it is.

    Raises:
        CannotRelease: if nbgrader finds fault with the source notebook.
    """
    with tempfile.TemporaryDirectory() as scratch:  # nbgrader notes every cell in a gradebook; this one is not kept
        _generate(course_directory(Path(scratch), solutions, released=exercises), assignment)
    return exercises / assignment


def enter_assignment(course: CourseDirectory, assignment: str) -> Path:
    """Make an assignment's learner version, and tell the gradebook which cells it has and what each is worth.

    What was made from the same source by the same nbgrader stays as it is.

    Returns:
        The released notebook.

    Raises:
        CannotRelease: if nbgrader finds fault with the source notebook, or there is not exactly one.
    """
    folder = Path(course.release_directory, assignment)
    sources = sorted(Path(course.source_directory, assignment).glob("*.ipynb"))
    if len(sources) != 1:
        raise CannotRelease(f"{course.source_directory}/{assignment} holds {len(sources)} notebooks; one is expected.")
    stamp = folder.with_name(f".{assignment}.made-from")  # not in the folder: all of that goes to learners
    source = hashlib.sha256(nbgrader_version.encode() + sources[0].read_bytes()).hexdigest()
    released = folder / sources[0].name
    if not (
        stamp.is_file() and released.is_file() and stamp.read_text() == source and _in_gradebook(course, assignment)
    ):
        _generate(course, assignment)
        stamp.write_text(source)
    return released


def _in_gradebook(course: CourseDirectory, assignment: str) -> bool:
    with Gradebook(course.db_url, course.course_id) as book:
        return any(known.name == assignment for known in book.assignments)


def _generate(course: CourseDirectory, assignment: str) -> None:
    course.assignment_id = assignment
    converter = GenerateAssignment(coursedir=course)
    converter.force, converter.create_assignment = True, True
    make_tables(course.db_url)
    with nbgrader_log() as said:
        try:
            converter.start()
        except (NbGraderException, SystemExit) as error:
            reason = last_line(said[0] if said else str(error))
            if any(OTHER_CELLS in entry for entry in said):
                reason = (
                    f"the gradebook {named(course.db_url)} holds grades of an earlier version with other "
                    "exercises. Grade into another folder (--out), or move that gradebook away."
                )
            raise CannotRelease(
                f"{assignment} could not be released from {course.source_directory}: {reason}"
            ) from error


def last_line(text: str) -> str:
    """The last line of a log entry, which is where a traceback says what happened."""
    return text.strip().rpartition("\n")[2]


@contextlib.contextmanager
def nbgrader_log() -> Iterator[list[str]]:
    """What nbgrader complains of meanwhile, collected instead of printed.

    Its database layer warns about the order in which nbgrader 0.9 adds rows; that is nobody's business here.
    """
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    log = traitlets.log.get_logger()
    kept = log.handlers, log.propagate
    log.handlers, log.propagate = [handler], False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)
            yield said
    finally:
        log.handlers, log.propagate = kept


def nbgrader_settings(out: Path) -> Config:
    """The course's own nbgrader_config.py and .json beside the gradebook, as every command of nbgrader reads them; raises `BadSettings`."""
    settings = Config()
    for name, loader in (("nbgrader_config.py", PyFileConfigLoader), ("nbgrader_config.json", JSONFileConfigLoader)):
        if (out / name).is_file():
            try:
                settings.merge(loader(name, path=str(out)).load_config())
            except Exception as error:  # the one is a program, and may fail in any way
                raise BadSettings(f"{out / name} could not be read: {type(error).__name__}: {error}") from error
    return settings


@contextlib.contextmanager
def gradebook(course: CourseDirectory) -> Iterator[Gradebook]:
    """The open gradebook; made where there is none. Raises `NoDatabase` where an older nbgrader made it."""
    require_todays_tables(course.db_url)
    make_tables(course.db_url)
    with Gradebook(course.db_url, course.course_id) as book:
        if book.db.get(Course, course.course_id) is None:  # nbgrader enters none without a name; a server insists
            book.db.add(Course(id=course.course_id))
            book.db.commit()
        yield book


@contextlib.contextmanager
def tools_on_path() -> Iterator[None]:
    """nbgrader starts `alembic` by name, so this environment's programs must be found."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before
