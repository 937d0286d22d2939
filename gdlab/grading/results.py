"""What a class run has left in a folder, opened for reading: nbgrader's gradebook with the ledger of judgements in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nbgrader.api import Gradebook
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from gdlab.grading.course import BadSettings, course_directory, gradebook, nbgrader_log
from gdlab.grading.database import NoDatabase, file_of, named
from gdlab.grading.ledger import JUDGEMENTS, require_known_layout


class NoGradebook(Exception):
    """There is nothing to read; the message says where it was looked for."""


@contextmanager
def open_results(out: Path) -> Iterator[Gradebook]:
    """The gradebook in `out`, or the one that nbgrader_config.py names there.

    Raises:
        NoGradebook: if there is none, it cannot be read, or it has no ledger.
    """
    try:
        course = course_directory(out, out)
    except (BadSettings, NoDatabase) as error:
        raise NoGradebook(str(error)) from error
    file, database = file_of(course.db_url), named(course.db_url)
    if file is not None and not file.is_file():
        raise NoGradebook(f"There is no gradebook in {out}; name the folder of the results with --out.")
    try:
        if not _has_ledger(course.db_url):  # asked first: nbgrader makes its tables wherever it finds none
            raise NoGradebook(f"{database} has no ledger of judgements; it was not written by gdlab grade.")
        with nbgrader_log(), gradebook(course) as book:
            yield book
    except NoDatabase as error:
        raise NoGradebook(str(error)) from error
    except SQLAlchemyError as error:
        raise NoGradebook(f"{database} could not be read ({str(error.__cause__ or error).splitlines()[0]}).") from error


def _has_ledger(url: str) -> bool:
    engine = create_engine(url)
    try:
        require_known_layout(engine)
        return inspect(engine).has_table(JUDGEMENTS.name)
    finally:
        engine.dispose()
