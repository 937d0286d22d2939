"""Grading a class: every submission gets a verdict, a place in the gradebook and a page of feedback.

    submitted/ ──> sound notebooks ──> boxes and judge ──> ledger ──> nbgrader's gradebook, graded notebooks, feedback

Each judgement is in the ledger before anything else is done with it, so a run can be ended at any moment and the
same command goes on where it stopped. What has not changed since it was judged is not judged again. A submission that
breaks anything on its way is graded as an empty one, with the reason, and the class goes on. Where the database is a
server, several runs may be at work on one class: each claims a submission before it looks at it, and ends when all are
graded, whoever did it.
"""

import errno
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from itertools import chain
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sqlalchemy.exc import SQLAlchemyError

from gdlab.assignments import exercises_of
from gdlab.grading.box import Limits
from gdlab.grading.bubblewrap import refuse_in_reach
from gdlab.grading.claims import AtWork, claims_on
from gdlab.grading.course import (
    course_directory,
    enter_assignment,
    gradebook,
    last_line,
    nbgrader_log,
    nbgrader_settings,
)
from gdlab.grading.database import NoDatabase, is_shared, named, said_by
from gdlab.grading.judging import Judged
from gdlab.grading.ledger import (
    ACCEPTED,
    DECLINED,
    DONE,
    GRADE,
    REGRADE,
    Entry,
    Ledger,
    Run,
    fingerprint,
    upgrade_ledger,
)
from gdlab.grading.needed import cells_to_leave_out
from gdlab.grading.recording import Recorder
from gdlab.grading.submission import Submission, find_submissions, sound_notebook
from gdlab.grading.workers import Judges, Task, heavy_imports
from gdlab.installed import installed_versions
from gdlab.judge.verdict import Verdict

NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
PACKAGES = ("numpy", "matplotlib", "ipython", "torch", "gdlab")
BROKE = "Your notebook could not be graded as it is; ask your instructor."
LONGEST_NAME = 128
LOOK_EVERY = 0.2  # seconds between looks at what other graders have in hand


class CannotRecord(Exception):
    """Gradebook or folders cannot be written to; the message says which, and that what was judged is kept."""


@dataclass(frozen=True)
class Graded:
    """What came of one submission.

    Attributes:
        verdicts: by exercise, in the notebook's order.
        note: what was wrong with the file itself, "" if nothing.
        feedback: the page for the learner.
        judgement: the number under which it can be replayed.
        unchanged: whether it had been judged before, and nothing has changed since.
    """

    submission: Submission
    verdicts: dict[str, Verdict]
    note: str
    feedback: Path
    judgement: int
    unchanged: bool = False

    @property
    def points(self) -> float:
        return sum(verdict.points for verdict in self.verdicts.values())

    @property
    def max_points(self) -> float:
        return sum(verdict.max_points for verdict in self.verdicts.values())


@dataclass(frozen=True)
class Change:
    """What a regrade would change for one submission: points of each exercise, before (None: never graded) and after."""

    submission: Submission
    points: dict[str, tuple[float | None, float]]

    @property
    def differs(self) -> bool:
        return any(before != after for before, after in self.points.values())


@dataclass(frozen=True)
class Notebook:
    """A submission that was read: its sound notebook, and all that its judgement depends on."""

    submission: Submission
    node: NotebookNode
    name: str
    note: str
    cells: tuple[str, ...]
    leave_out: tuple[int, ...]
    provenance: dict

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.cells, self.note, self.provenance)


@dataclass
class ClassRun:
    """One run over a class.

    Attributes:
        submitted: nbgrader's submitted folder.
        out: where gradebook, graded notebooks and feedback go.
        solutions: the instructor's source notebooks.
        judges: who judges, as `gdlab.grading.workers` makes them.
        limits: what the judges hold submissions to; a judgement under other limits is another judgement.
        seed: what the graded cases are drawn from; by default nobody can know it beforehand.
        database: its URL; what the course's nbgrader_config.py names, or a file in `out`, where there is none.
        problems: sentences on what went wrong outside any verdict.
    """

    submitted: Path
    out: Path
    solutions: Path
    judges: Judges
    limits: Limits = field(default_factory=Limits)
    seed: int | None = None
    database: str = ""
    problems: list[str] = field(default_factory=list)
    _released: dict[str, "Released"] = field(default_factory=dict)
    _provenances: dict[str, dict] = field(default_factory=dict)
    _on_server: bool = False

    def find(self) -> list[Submission]:
        """The submissions to grade; raises `NoSubmissions`, or `NoSandbox` where boxes could read them."""
        refuse_in_reach(self.submitted, self.out, self.solutions)
        found, ignored = find_submissions(self.submitted)
        self.problems += ignored
        return found

    def grade(self, submissions: Sequence[Submission]) -> Iterator[Graded]:
        """Judge what is new, record each judgement as it comes; what has not changed comes first.

        Raises:
            NoSandbox: if no box can be made (any more).
            CannotRecord: if results cannot be written (any more); what was judged is kept.
            CannotRelease: if an assignment's source notebook is broken.
            BadSettings: if the course's nbgrader_config.py is.
        """
        with self._open(submissions) as at_work:
            with at_work.claims.setting_up():
                run = at_work.ledger.open_run(GRADE, self.seed)
            for notebook, entry in self._judged(at_work, run, submissions, at_work.ledger.made_before):
                if graded := self._recorded_before(at_work, notebook, entry) or self._record(at_work, notebook, entry):
                    yield graded
            at_work.ledger.end_run(run, DONE)

    def regrade(self, submissions: Sequence[Submission]) -> Iterator[Change]:
        """Judge everything anew, and record nothing: what would change. `accept` or `decline` ends it.

        Raises:
            As `grade` does.
        """
        with self._open(submissions, alone=True) as at_work:
            run = at_work.ledger.open_run(REGRADE, self.seed)
            made = partial(at_work.ledger.made_in, run)
            for notebook, entry in self._judged(at_work, run, submissions, made):
                yield self._change(at_work, notebook, entry)

    def accept(self, submissions: Sequence[Submission]) -> Iterator[Graded]:
        """Record what `regrade` judged."""
        with self._open(submissions, alone=True) as at_work:
            run = at_work.ledger.open_run(REGRADE, self.seed)
            entries = []
            for notebook in filter(None, map(self._read, submissions)):
                if entry := at_work.ledger.made_in(run, notebook.submission, notebook.fingerprint):
                    entries.append((notebook, entry.id))
            at_work.ledger.end_run(run, ACCEPTED)  # from here on `grade` would record the rest, should this be ended
            for notebook, number in entries:
                if graded := self._record(at_work, notebook, at_work.ledger.entry(number)):
                    yield graded

    def decline(self, submissions: Sequence[Submission]) -> None:
        """Leave the gradebook as it is; the judgements stay in the ledger, marked as declined."""
        with self._open(submissions, alone=True) as at_work:
            at_work.ledger.end_run(at_work.ledger.open_run(REGRADE, self.seed), DECLINED)

    @contextmanager
    def _open(self, submissions: Sequence[Submission], alone: bool = False) -> Iterator[Recorder]:
        """Everything that is written to: for this process alone, or with claims on each submission."""
        where = str(self.out)
        with ExitStack() as stack:
            try:
                self.out.mkdir(parents=True, exist_ok=True)
                course = course_directory(self.out, self.solutions, database=self.database)
                self._on_server = is_shared(course.db_url)
                where = named(course.db_url) if self._on_server else where
                claims = stack.enter_context(claims_on(course.db_url, self.out, alone))
                with claims.setting_up():
                    book = stack.enter_context(gradebook(course))
                    upgrade_ledger(book.engine)
                    self._released = {}
                    for assignment in sorted({submission.assignment for submission in submissions}):
                        self._released[assignment] = Released(enter_assignment(course, assignment))
                    stack.enter_context(nbgrader_log())
                    recorder = Recorder(course, book, Ledger(book.db), nbgrader_settings(self.out), claims)
            except (AtWork, NoDatabase) as error:
                raise CannotRecord(str(error)) from error
            except (OSError, SQLAlchemyError) as error:
                raise _cannot_record(where, error) from error
            try:
                yield recorder
            except SQLAlchemyError as error:
                raise _cannot_record(where, error) from error

    def _read(self, submission: Submission) -> Notebook | None:
        released = self._released[submission.assignment]
        if self._on_server and len(submission.student) > LONGEST_NAME:  # nbgrader's own columns; a file takes more
            self.problems.append(f"{submission} was not graded: its name has more than {LONGEST_NAME} characters.")
            return None
        try:
            node, note = sound_notebook(submission, released.node, released.name)
        except Exception as error:
            self.problems.append(f"{submission} was not graded: {type(error).__name__}: {last_line(str(error))}")
            return None
        cells = tuple(cell.source for cell in node.cells if cell.cell_type == "code")
        leave_out = () if self.limits.pictures else tuple(sorted(cells_to_leave_out(cells, released.ungraded)))
        return Notebook(
            submission, node, released.name, note, cells, leave_out, self._provenance(submission.assignment)
        )

    def _provenance(self, assignment: str) -> dict:
        """All that a judgement depends on beside the cells and the seed."""
        if assignment not in self._provenances:
            exercises = {name: exercise.version for name, exercise in exercises_of(assignment).items()}
            provenance = {"exercises": exercises, "limits": asdict(self.limits), "versions": self._versions}
            self._provenances[assignment] = provenance
        return self._provenances[assignment]

    @cached_property
    def _versions(self) -> dict[str, str]:
        return installed_versions(PACKAGES)

    def _judged(
        self, at_work: Recorder, run: Run, submissions: Sequence[Submission], made: Callable[..., Entry | None]
    ) -> Iterator[tuple[Notebook, Entry]]:
        """Each submission with its judgement: the one that `made` finds, or a new one, in the ledger before anything else.

        What other graders have in hand is looked at again once this one has nothing else to do: they may have judged it
        by then, or they were ended. Nothing is waited for while this one holds a claim, so no two wait for each other.
        """
        left = list(submissions)
        while left:
            elsewhere: list[Submission] = []
            yield from self._judged_once(at_work, run, left, made, elsewhere)
            if len(elsewhere) == len(left):
                time.sleep(LOOK_EVERY)
            left = elsewhere

    def _judged_once(
        self,
        at_work: Recorder,
        run: Run,
        submissions: Sequence[Submission],
        made: Callable[..., Entry | None],
        elsewhere: list[Submission],
    ) -> Iterator[tuple[Notebook, Entry]]:
        """One pass over submissions; those that other graders have in hand are added to `elsewhere`."""
        claims = at_work.claims
        in_hand: dict[int, Notebook] = {}
        known: deque[tuple[Submission, int]] = deque()

        def tasks() -> Iterator[Task]:
            for number, submission in enumerate(submissions):
                if not claims.take(submission):
                    elsewhere.append(submission)
                    continue
                notebook = self._read(submission)
                entry = notebook and made(submission, notebook.fingerprint)
                if notebook and not entry:
                    in_hand[number] = notebook
                    yield self._task(number, notebook, run)
                    continue
                # A server has room for some thousand claims, not for those of a large class.
                claims.give_back(submission)
                if entry:
                    known.append((submission, entry.id))

        def known_ones() -> Iterator[tuple[Notebook, Entry]]:
            while known:
                submission, number = known.popleft()
                if not claims.take(submission):
                    elsewhere.append(submission)
                    continue
                if notebook := self._read(submission):
                    yield notebook, at_work.ledger.entry(number)
                claims.give_back(submission)

        heavy = heavy_imports(released.text for released in self._released.values())
        to_judge = tasks()
        if first := next(to_judge, None):  # where nothing is to be judged, no judges are called
            for number, judged in self.judges(chain([first], to_judge), heavy):
                yield from known_ones()
                notebook = in_hand.pop(number)
                yield notebook, self._enter(at_work, run, notebook, judged)
                claims.give_back(notebook.submission)
        yield from known_ones()

    def _enter(self, at_work: Recorder, run: Run, notebook: Notebook, judged: Judged) -> Entry:
        at_work.claims.make_sure()
        note = notebook.note
        if judged.trouble:
            self.problems.append(f"{notebook.submission} broke the grader and counts as empty:\n{judged.trouble}")
            note = BROKE
        return at_work.ledger.append(run, notebook.submission, note, notebook.provenance, notebook.cells, judged)

    def _task(self, number: int, notebook: Notebook, run: Run) -> Task:
        empty = self._released[notebook.submission.assignment].cells
        return Task(
            number,
            notebook.submission.assignment,
            notebook.cells,
            notebook.leave_out,
            empty,
            run.seed,
            self.limits.pictures,
        )

    def _recorded_before(self, at_work: Recorder, notebook: Notebook, entry: Entry) -> Graded | None:
        """What stands already: this very judgement, handed in at this time, with its files in place and up to date."""
        places = at_work.places(notebook.submission, notebook.name)
        stands = at_work.ledger.recorded(notebook.submission) == (entry.id, notebook.submission.handed_in)
        if not stands or not all(place.is_file() for place in places):
            return None
        if at_work.is_out_of_date(notebook.submission, places[1]):
            return None
        return Graded(notebook.submission, entry.judged.verdicts, entry.note, places[1], entry.id, unchanged=True)

    def _record(self, at_work: Recorder, notebook: Notebook, entry: Entry) -> Graded | None:
        """Record one judgement; a file that cannot be written ends the run only if no file can be."""
        try:
            page = at_work.record(notebook.submission, notebook.node, notebook.name, entry)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) in NO_PLACE:
                raise _cannot_record(str(self.out), error) from error
            self.problems.append(
                f"{notebook.submission} was not graded: {type(error).__name__}: {last_line(str(error))}"
            )
            return None
        return Graded(notebook.submission, entry.judged.verdicts, entry.note, page, entry.id)

    def _change(self, at_work: Recorder, notebook: Notebook, entry: Entry) -> Change:
        stands = at_work.ledger.recorded(notebook.submission)
        before = at_work.ledger.entry(stands[0]).judged.verdicts if stands else {}
        points = {
            name: (before[name].points if name in before else None, verdict.points)
            for name, verdict in entry.judged.verdicts.items()
        }
        return Change(notebook.submission, points)


class Released:
    """A released notebook, read once for the whole class."""

    def __init__(self, path: Path):
        self.name = path.stem
        self.text = path.read_text(encoding="utf-8")
        self.node = nbformat.reads(self.text, as_version=4)
        code = [cell for cell in self.node.cells if cell.cell_type == "code"]
        self.cells = tuple(cell.source for cell in code)
        self.ungraded = frozenset(cell.source for cell in code if "nbgrader" not in cell.metadata)


def _cannot_record(where: str, error: Exception) -> CannotRecord:
    """What a file system or database said, as a sentence."""
    said = getattr(error, "strerror", None) or said_by(error)
    return CannotRecord(
        f"{where} cannot be written to ({said}). What was judged so far is kept: mend that, and run the same command."
    )
