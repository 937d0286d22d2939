"""The database of a course: a file beside the results, or a PostgreSQL server that several graders share.

A database goes by its SQLAlchemy URL, as in nbgrader's own settings (`c.CourseDirectory.db_url`):

    sqlite:////srv/course/gradebook.db
    postgresql://grader@db.example.org/course       the password comes from ~/.pgpass, never from the command line

Source: SQLAlchemy, "Database URLs"; PostgreSQL, "The Password File".
"""

from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

DRIVER = "postgresql+psycopg"
SERVERS = {"postgres": DRIVER, "postgresql": DRIVER, DRIVER: DRIVER}


class NoDatabase(Exception):
    """A database that this program cannot use; the message says why and what to do."""


def in_folder(out: Path) -> str:
    """The URL of the database file that lies in a folder of results."""
    return f"sqlite:///{out / 'gradebook.db'}"


def database_url(url: str) -> str:
    """A URL as SQLAlchemy needs it, with the driver that gdlab comes with; raises `NoDatabase`."""
    try:
        parts = make_url(url)
    except ArgumentError as error:
        raise NoDatabase(
            f"{url!r} is no database URL. Expected sqlite:////folder/gradebook.db or postgresql://user@host/name."
        ) from error
    if parts.drivername == "sqlite":
        return url
    if parts.drivername not in SERVERS:
        raise NoDatabase(f"gdlab keeps grades in SQLite or PostgreSQL, not in {parts.drivername!r}.")
    if find_spec("psycopg") is None:
        raise NoDatabase("PostgreSQL needs the driver psycopg: install it with pip install 'gdlab[postgresql]'.")
    return parts.set(drivername=SERVERS[parts.drivername]).render_as_string(hide_password=False)


def is_shared(url: str) -> bool:
    """Whether several graders may use it at once: a server, not a file."""
    return not url.startswith("sqlite")


def file_of(url: str) -> Path | None:
    """The file of an SQLite database; None for a server."""
    return None if is_shared(url) else Path(make_url(url).database or "")


def named(url: str) -> str:
    """A database as a person may read it: a file's path, or a server's URL without the password."""
    return make_url(url).render_as_string(hide_password=True) if is_shared(url) else str(file_of(url))


def said_by(error: Exception) -> str:
    """What a database said, in one line: a server says first what happened, then what it might come from."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
