"""Who grades what, where several graders share a database: a submission is one grader's, from before it is looked at until it is recorded.

A claim is an advisory lock of PostgreSQL's, on a connection of its own. Whatever ends a grader (an exit, `kill -9`, a
power cut) ends the connection, and the server gives its claims to whoever asks next: no clock is compared, and no lease
runs out under a grader that is only slow. Where the database is a file there is one grader to each folder, held by the
folder's own lock.

Source: PostgreSQL, "Advisory Locks" (session level) and `tcp_keepalives_idle`.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, NullPool, create_engine, func, select, text
from sqlalchemy.orm import scoped_session

from gdlab.grading.database import is_shared, named
from gdlab.grading.submission import Submission

CLASS, SET_UP, PERSON = "class", "set up", "person"
KEEP_ALIVE = {"idle": 30, "interval": 10, "count": 3}  # seconds: a machine that has vanished holds nothing for a minute


class AtWork(Exception):
    """Somebody else is grading here; the message says where."""


class Claims(Protocol):
    """What one grader may grade at the moment."""

    def take(self, submission: Submission) -> bool:
        """Claim a submission; False where another grader has it."""
        ...

    def give_back(self, submission: Submission) -> None:
        """Let others have it."""
        ...

    def make_sure(self) -> None:
        """Raises `sqlalchemy.exc.SQLAlchemyError` if what was claimed may be another's by now."""
        ...

    @contextmanager
    def setting_up(self) -> Iterator[None]:
        """Nobody else makes tables, releases assignments or opens runs meanwhile."""
        ...

    def alone_with(self, student: str, session: scoped_session) -> None:
        """Nobody else records for that learner until the session's transaction ends."""
        ...


class OnlyOne:
    """The claims of a grader that is alone: everything is its own."""

    def take(self, submission: Submission) -> bool:
        return True

    def give_back(self, submission: Submission) -> None:
        pass

    def make_sure(self) -> None:
        pass

    @contextmanager
    def setting_up(self) -> Iterator[None]:
        yield

    def alone_with(self, student: str, session: scoped_session) -> None:
        pass


class OneOfSeveral:
    """The claims of one grader among several, as locks in the database that they share."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def take(self, submission: Submission) -> bool:
        return self._ask(func.pg_try_advisory_lock(_key("submission", str(submission))))

    def give_back(self, submission: Submission) -> None:
        self._ask(func.pg_advisory_unlock(_key("submission", str(submission))))

    def make_sure(self) -> None:
        self._ask(1)  # locks last as long as their connection does

    @contextmanager
    def setting_up(self) -> Iterator[None]:
        self._ask(func.pg_advisory_lock(_key(SET_UP)))
        try:
            yield
        finally:
            self._ask(func.pg_advisory_unlock(_key(SET_UP)))

    def alone_with(self, student: str, session: scoped_session) -> None:
        session.execute(select(func.pg_advisory_xact_lock(_key(PERSON, student))))

    def join_class(self, alone: bool) -> bool:
        """Grade beside others, or alone; False where that cannot be now."""
        lock = func.pg_try_advisory_lock if alone else func.pg_try_advisory_lock_shared
        return self._ask(lock(_key(CLASS)))

    def _ask(self, what):
        return self._connection.execute(select(what)).scalar_one()


@contextmanager
def claims_on(url: str, out: Path, alone: bool) -> Iterator[Claims]:
    """A grader's claims, while it is at work.

    Args:
        url: of the database.
        out: the folder that is written into.
        alone: whether no other grader may be at work meanwhile, as for a regrade, or where a learner is forgotten.

    Raises:
        AtWork: if another grader is in the way.
        SQLAlchemyError: if the server cannot be reached.
    """
    if not is_shared(url):
        with _alone_in(out):
            yield OnlyOne()
        return
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        for name, value in KEEP_ALIVE.items():
            connection.execute(text(f"SET tcp_keepalives_{name} = {value}"))
        claims = OneOfSeveral(connection)
        if not claims.join_class(alone):
            doing = "A regrade has to be alone" if alone else "A regrade is being made"
            raise AtWork(f"Another gdlab grade is at work on {named(url)}. {doing}: wait for the other.")
        yield claims


def _key(*names: str) -> int:
    """What a lock goes by in PostgreSQL: a signed 64-bit number, here of a hash."""
    return int.from_bytes(hashlib.sha256("\0".join(("gdlab", *names)).encode()).digest()[:8], signed=True)


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """No two runs write into one folder at once; the lock goes with the process."""
    with open(out / ".gdlab-grading", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AtWork(
                f"Another gdlab grade is at work in {out}. Wait for it, or grade into another folder (--out)."
            ) from None
        try:
            yield
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # a process that is just being started may hold the file a little longer
