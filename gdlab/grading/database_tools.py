"""Keeping a gradebook: copies of it, from one kind of database to another, and older ones brought up to date.

A copy is consistent, as of one moment, also while a class is being graded: SQLite's own backup takes a file's pages in one
go, and PostgreSQL is read in one transaction that sees nothing newer than its beginning. So one command is a backup, the
way from a file to a server, and the way back. nbgrader's tables are upgraded by nbgrader's own migrations (Alembic).

Source: SQLite, "Online Backup API"; PostgreSQL, "Repeatable Read Isolation Level"; nbgrader, `nbgrader db upgrade`.
"""

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from nbgrader.api import Assignment, Base, Course
from nbgrader.dbutil import write_alembic_ini
from sqlalchemy import Connection, Engine, Table, create_engine, func, insert, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from gdlab.grading.course import last_line, tools_on_path
from gdlab.grading.database import NoDatabase, database_url, file_of, is_shared, named, said_by
from gdlab.grading.ledger import LAYOUTS, TABLES, upgrade_ledger
from gdlab.grading.migrations import note_revision, require_todays_tables, revision_of

ROWS_AT_ONCE = 500


def copy_database(source: str, target: str) -> dict[str, int]:
    """Copy a gradebook with its ledger into a database that is still empty; how many rows each table has.

    Raises:
        NoDatabase: if either cannot be used, the source needs an upgrade, or the target has tables already.
    """
    source, target = database_url(source), database_url(target)
    if not is_shared(target) and file_of(target).exists():
        raise NoDatabase(f"{named(target)} is there already; a copy is written into a new file.")
    try:
        if is_shared(source):
            return _copy_rows(source, target)
        with _snapshot(file_of(source)) as snapshot:
            return _copy_rows(f"sqlite:///{snapshot}", target, named(source))
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise NoDatabase(
            f"{named(source)} could not be copied to {named(target)} ({said_by(error)}). The target is as it was."
        ) from error


def upgrade_database(url: str) -> Path | None:
    """Bring an older gradebook and its ledger up to what this nbgrader and this gdlab use.

    Returns:
        The file as it was before, where the database is a file.

    Raises:
        NoDatabase: if it cannot be used or upgraded.
    """
    url = database_url(url)
    file, before = file_of(url), None
    if file is not None:
        if not file.is_file():
            raise NoDatabase(f"There is no file {file}.")
        before = file.with_name(f"{file.name}.{datetime.now():%Y-%m-%d-%H%M%S}")
        try:
            _back_up(file, before)
        except (sqlite3.Error, OSError) as error:
            before.unlink(missing_ok=True)
            raise NoDatabase(f"{file} could not be copied before the upgrade: {error}. Nothing was changed.") from error
    with tempfile.TemporaryDirectory() as folder, tools_on_path():
        settings = Path(folder, "alembic.ini")
        write_alembic_ini(str(settings), url.replace("%", "%%"))  # a percent sign means something in that file
        done = subprocess.run(
            ["alembic", "-c", settings, "upgrade", "head"], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise NoDatabase(f"{named(url)} could not be upgraded: {last_line(done.stderr)}")
    with _engine(url) as engine:
        Base.metadata.create_all(engine)
        upgrade_ledger(engine)
    return before


def _copy_rows(source: str, target: str, name: str = "") -> dict[str, int]:
    require_todays_tables(source, name)
    isolation = "REPEATABLE READ" if is_shared(source) else "SERIALIZABLE"
    with (
        _engine(source, isolation) as there,
        _new(target) as here,
        there.connect() as reading,
        here.begin() as writing,
    ):
        if taken := inspect(writing).get_table_names():
            raise NoDatabase(f"{named(target)} is not empty: it has the table {taken[0]}, for one.")
        known = set(inspect(reading).get_table_names())
        counts = {}
        for metadata in (Base.metadata, TABLES, LAYOUTS):
            metadata.create_all(writing)
            for table in metadata.sorted_tables:
                if table.name in known:
                    counts[table.name] = _copy_table(reading, writing, table)
                if table is Course.__table__:
                    _name_courses(reading, writing)
        note_revision(writing, revision_of(reading))
    return counts


def _name_courses(reading: Connection, writing: Connection) -> None:
    """Enter the courses that assignments belong to and nbgrader has not entered: a file does not mind, a server does."""
    there = set(writing.scalars(select(Course.id)))
    for course in set(reading.scalars(select(Assignment.course_id))) - there:
        writing.execute(insert(Course).values(id=course))


def _copy_table(reading: Connection, writing: Connection, table: Table) -> int:
    """Copy one table, a few hundred rows at a time, and have the next number that the target gives out be a new one."""
    rows = reading.execution_options(yield_per=ROWS_AT_ONCE).execute(select(table))
    for some in rows.mappings().partitions():
        writing.execute(insert(table), [dict(row) for row in some])
    numbered = table.autoincrement_column
    if numbered is not None and is_shared(str(writing.engine.url)):
        last = writing.execute(select(func.max(numbered))).scalar_one()
        if last is not None:
            writing.execute(select(func.setval(func.pg_get_serial_sequence(table.name, numbered.name), last)))
    return writing.execute(select(func.count()).select_from(table)).scalar_one()


@contextmanager
def _engine(url: str, isolation: str | None = None) -> Iterator[Engine]:
    engine = create_engine(url, **({"isolation_level": isolation} if isolation else {}))
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _new(target: str) -> Iterator[Engine]:
    """A database to write into; a file appears when it is complete."""
    if is_shared(target):
        with _engine(target) as engine:
            yield engine
        return
    file = file_of(target)
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    _make_private(part)
    try:
        with _engine(f"sqlite:///{part}") as engine:
            yield engine
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _snapshot(file: Path) -> Iterator[Path]:
    """An SQLite database as it is at this moment, in a file of its own."""
    if not file.is_file():
        raise NoDatabase(f"There is no file {file}.")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "snapshot.db")
        _back_up(file, copy)
        yield copy


def _back_up(file: Path, copy: Path) -> None:
    """Copy an SQLite database in one go."""
    _make_private(copy)
    with (
        closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def _make_private(file: Path) -> None:
    """An empty file that only its owner can read: grades will be in it."""
    os.close(os.open(file, os.O_CREAT | os.O_EXCL, 0o600))
