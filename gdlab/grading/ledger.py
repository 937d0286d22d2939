"""The ledger: every judgement that was ever made, in the same database as nbgrader's gradebook; nothing is rewritten.

A judgement is committed the moment it is made, before anything else is done with it, with all that is needed to make
it again: the cells, the seed, the limits, the versions. That it has reached gradebook and feedback is a second entry.
So a run may be killed at any moment: what was judged is not judged again, and what was not recorded is recorded by
the next run. A *run* is one command, with one seed for all of its cases; a run that was killed is continued.
"""

import datetime
import hashlib
import json
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, MetaData, String, Table, insert, select, update
from sqlalchemy.orm import scoped_session

from gdlab.grading.judging import Judged
from gdlab.grading.submission import Submission

GRADE, REGRADE = "grade", "regrade"
OPEN, DONE, ACCEPTED, DECLINED = "open", "done", "accepted", "declined"

TABLES = MetaData()
RUNS = Table(
    "gdlab_run",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("seed", String(32), nullable=False),
    Column("began", String(32), nullable=False),
)
JUDGEMENTS = Table(
    "gdlab_judgement",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("run", Integer, ForeignKey("gdlab_run.id"), nullable=False),
    Column("student", String(128), nullable=False),
    Column("assignment", String(128), nullable=False),
    Column("fingerprint", String(64), nullable=False, index=True),
    Column("note", String, nullable=False),
    Column("made", String(32), nullable=False),
    Column("provenance", String, nullable=False),
    Column("cells", LargeBinary, nullable=False),
    Column("judgement", LargeBinary, nullable=False),
)
RECORDINGS = Table(
    "gdlab_recording",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("judgement", Integer, ForeignKey("gdlab_judgement.id"), nullable=False),
    Column("student", String(128), nullable=False, index=True),
    Column("assignment", String(128), nullable=False),
    Column("handed_in", String(128), nullable=False),
    Column("made", String(32), nullable=False),
)


@dataclass(frozen=True)
class Run:
    """One command over a class: all of its cases are drawn from one seed."""

    id: int
    kind: str
    seed: int
    continued: bool = False


@dataclass(frozen=True)
class Entry:
    """One judgement, with what it was made from.

    Attributes:
        id: by which it can be replayed.
        fingerprint: a hash of all that the judgement depends on, save the seed.
        note: what was wrong with the file itself.
        provenance: limits, versions and seed.
        cells: the code cells that were run.
    """

    id: int
    student: str
    assignment: str
    fingerprint: str
    note: str
    provenance: dict
    cells: tuple[str, ...]
    judged: Judged


def fingerprint(cells: tuple[str, ...], note: str, provenance: Mapping) -> str:
    """SHA-256 of all that a judgement depends on, save the seed of its cases."""
    return hashlib.sha256(json.dumps([cells, note, provenance], sort_keys=True).encode()).hexdigest()


class Ledger:
    """The ledger in an open database session.

    Args:
        session: nbgrader's own (`Gradebook.db`), so that grades and the entry that they were recorded are one transaction.
    """

    def __init__(self, session: scoped_session):
        self._session = session
        TABLES.create_all(session.get_bind())

    def open_run(self, kind: str, seed: int | None = None) -> Run:
        """Begin a run, or go on with the last one of its kind if that was not ended."""
        last = self._session.execute(
            select(RUNS.c.id, RUNS.c.seed)
            .where(RUNS.c.kind == kind, RUNS.c.state == OPEN)
            .order_by(RUNS.c.id.desc())
            .limit(1)
        ).first()
        if last:
            return Run(last.id, kind, int(last.seed), continued=True)
        seed = secrets.randbits(48) if seed is None else seed
        made = self._session.execute(insert(RUNS).values(kind=kind, state=OPEN, seed=str(seed), began=_now()))
        self._session.commit()
        return Run(made.inserted_primary_key[0], kind, seed)

    def end_run(self, run: Run, state: str) -> None:
        self._session.execute(update(RUNS).where(RUNS.c.id == run.id).values(state=state))
        self._session.commit()

    def append(
        self, run: Run, submission: Submission, note: str, provenance: Mapping, cells: tuple[str, ...], judged: Judged
    ) -> Entry:
        """Enter a judgement, for good."""
        made = self._session.execute(
            insert(JUDGEMENTS).values(
                run=run.id,
                student=submission.student,
                assignment=submission.assignment,
                fingerprint=fingerprint(cells, note, provenance),
                note=note,
                made=_now(),
                provenance=json.dumps({**provenance, "seed": run.seed}, sort_keys=True),
                cells=zlib.compress(msgspec.msgpack.encode(cells)),
                judgement=zlib.compress(msgspec.msgpack.encode(judged)),
            )
        )
        self._session.commit()
        return self.entry(made.inserted_primary_key[0])  # as it will be read later, to the last bit

    def entry(self, number: int) -> Entry | None:
        """The judgement of that number, or None."""
        row = self._session.execute(select(JUDGEMENTS).where(JUDGEMENTS.c.id == number)).first()
        return _entry(row) if row else None

    def made_before(self, submission: Submission, mark: str) -> Entry | None:
        """The last judgement on a submission with this fingerprint that stands: none of a regrade that was not accepted."""
        stands = (RUNS.c.kind == GRADE) | (RUNS.c.state == ACCEPTED)
        query = select(JUDGEMENTS).join(RUNS, RUNS.c.id == JUDGEMENTS.c.run).where(_of(JUDGEMENTS, submission), stands)
        row = self._session.execute(
            query.where(JUDGEMENTS.c.fingerprint == mark).order_by(JUDGEMENTS.c.id.desc()).limit(1)
        ).first()
        return _entry(row) if row else None

    def made_in(self, run: Run, submission: Submission, mark: str) -> Entry | None:
        """The judgement on a submission with this fingerprint in one run."""
        query = select(JUDGEMENTS).where(_of(JUDGEMENTS, submission), JUDGEMENTS.c.run == run.id)
        row = self._session.execute(query.where(JUDGEMENTS.c.fingerprint == mark).limit(1)).first()
        return _entry(row) if row else None

    def recorded(self, submission: Submission) -> tuple[int, str] | None:
        """Which judgement on a submission stands in the gradebook, and when that was handed in."""
        query = select(RECORDINGS.c.judgement, RECORDINGS.c.handed_in).where(_of(RECORDINGS, submission))
        row = self._session.execute(query.order_by(RECORDINGS.c.id.desc()).limit(1)).first()
        return (row.judgement, row.handed_in) if row else None

    def note_recorded(self, entry: Entry, handed_in: str) -> None:
        """Enter that a judgement has reached the gradebook, within the caller's transaction."""
        self._session.execute(
            insert(RECORDINGS).values(
                judgement=entry.id, student=entry.student, assignment=entry.assignment, handed_in=handed_in, made=_now()
            )
        )


def _of(table: Table, submission: Submission):
    return (table.c.student == submission.student) & (table.c.assignment == submission.assignment)


def _entry(row) -> Entry:
    cells = msgspec.msgpack.decode(zlib.decompress(row.cells), type=tuple[str, ...])
    judged = msgspec.msgpack.decode(zlib.decompress(row.judgement), type=Judged)
    provenance = json.loads(row.provenance)
    return Entry(row.id, row.student, row.assignment, row.fingerprint, row.note, provenance, cells, judged)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
