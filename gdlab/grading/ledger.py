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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.orm import scoped_session

from gdlab.grading.database import NoDatabase, named
from gdlab.grading.judging import Judged
from gdlab.grading.submission import Submission

GRADE, REGRADE = "grade", "regrade"
LAYOUT = 1  # of these tables; ledgers without a number have the first
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
LAYOUTS = MetaData()  # apart: whoever only reads an older ledger adds nothing to it
LAYOUT_OF = Table("gdlab_layout", LAYOUTS, Column("number", Integer, primary_key=True, autoincrement=False))


@dataclass(frozen=True)
class Run:
    """One command over a class: all of its cases are drawn from one seed."""

    id: int
    kind: str
    seed: int


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


def upgrade_ledger(engine: Engine) -> None:
    """Make the ledger's tables where there are none, and note their layout; raises `NoDatabase` if it is a newer one."""
    require_known_layout(engine)
    with engine.begin() as connection:
        TABLES.create_all(connection)
        LAYOUTS.create_all(connection)
        if connection.execute(select(func.count()).select_from(LAYOUT_OF)).scalar_one() == 0:
            connection.execute(insert(LAYOUT_OF).values(number=LAYOUT))


def require_known_layout(engine: Engine) -> None:
    """Raises `NoDatabase` where a newer gdlab has written the ledger: what that means nobody knows yet."""
    if not inspect(engine).has_table(LAYOUT_OF.name):
        return
    with engine.connect() as connection:
        number = connection.execute(select(func.max(LAYOUT_OF.c.number))).scalar_one()
    if number is not None and number > LAYOUT:
        raise NoDatabase(
            f"The ledger in {named(str(engine.url))} was written by a newer gdlab (layout {number}, this one knows "
            f"{LAYOUT}). Use that one."
        )


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
            return Run(last.id, kind, int(last.seed))
        seed = secrets.randbits(48) if seed is None else seed
        made = self._session.execute(insert(RUNS).values(kind=kind, state=OPEN, seed=str(seed), began=_now()))
        self._session.commit()
        return Run(made.inserted_primary_key[0], kind, seed)

    def first_seed(self) -> str:
        """The seed of the first run: a number that stays with the class, and that only its instructor can know."""
        return self._session.execute(select(RUNS.c.seed).order_by(RUNS.c.id).limit(1)).scalar() or ""

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

    def standing(self) -> Iterator[Entry]:
        """The judgement that stands in the gradebook for each submission, by assignment and learner."""
        latest = select(func.max(RECORDINGS.c.id)).group_by(RECORDINGS.c.student, RECORDINGS.c.assignment)
        query = select(JUDGEMENTS).join(RECORDINGS, RECORDINGS.c.judgement == JUDGEMENTS.c.id)
        query = query.where(RECORDINGS.c.id.in_(latest)).order_by(JUDGEMENTS.c.assignment, JUDGEMENTS.c.student)
        for row in self._session.execute(query):
            yield _entry(row)

    def earlier(self, entry: Entry) -> list[Entry]:
        """What the same learner had handed in of that assignment before and got recorded, the latest first; each version once."""
        query = select(JUDGEMENTS).join(RECORDINGS, RECORDINGS.c.judgement == JUDGEMENTS.c.id).distinct()
        query = query.where(_of(JUDGEMENTS, entry), JUDGEMENTS.c.id < entry.id).order_by(JUDGEMENTS.c.id.desc())
        versions: dict[tuple[str, ...], Entry] = {}
        for row in self._session.execute(query):
            before = _entry(row)
            versions.setdefault(before.cells, before)
        versions.pop(entry.cells, None)  # the same notebook judged anew is no other version
        return list(versions.values())

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


def _of(table: Table, submission: Submission | Entry):
    return (table.c.student == submission.student) & (table.c.assignment == submission.assignment)


def _entry(row) -> Entry:
    cells = msgspec.msgpack.decode(zlib.decompress(row.cells), type=tuple[str, ...])
    judged = msgspec.msgpack.decode(zlib.decompress(row.judgement), type=Judged)
    provenance = json.loads(row.provenance)
    return Entry(row.id, row.student, row.assignment, row.fingerprint, row.note, provenance, cells, judged)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
