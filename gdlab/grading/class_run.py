"""Grading a class: every submission gets a verdict, a place in the gradebook and a page of feedback.

    submitted/ ──> sound notebooks ──> boxes and judge ──> ledger ──> nbgrader's gradebook, graded notebooks, feedback

Each judgement is in the ledger before anything else is done with it, so a run can be ended at any moment and the
same command goes on where it stopped. What has not changed since it was judged is not judged again. A submission that
breaks anything on its way is graded as an empty one, with the reason, and the class goes on.
"""

import errno
import fcntl
import platform
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from sqlalchemy.exc import SQLAlchemyError

from gdlab.assignments import exercises_of
from gdlab.grading.box import Limits
from gdlab.grading.course import (
    course_directory,
    enter_assignment,
    gradebook,
    last_line,
    nbgrader_log,
    nbgrader_settings,
)
from gdlab.grading.judging import Judged
from gdlab.grading.ledger import ACCEPTED, DECLINED, DONE, GRADE, REGRADE, Entry, Ledger, Run, fingerprint
from gdlab.grading.needed import cells_to_leave_out
from gdlab.grading.recording import Recorder
from gdlab.grading.submission import Submission, find_submissions, sound_notebook
from gdlab.grading.workers import Judges, Task, heavy_imports
from gdlab.judge.verdict import Verdict

NO_PLACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
PACKAGES = ("numpy", "matplotlib", "ipython", "torch", "gdlab")
BROKE = "Your notebook could not be graded as it is; ask your instructor."


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
        problems: sentences on what went wrong outside any verdict.
    """

    submitted: Path
    out: Path
    solutions: Path
    judges: Judges
    limits: Limits = field(default_factory=Limits)
    seed: int | None = None
    problems: list[str] = field(default_factory=list)
    _released: dict[str, "Released"] = field(default_factory=dict)
    _provenances: dict[str, dict] = field(default_factory=dict)

    def find(self) -> list[Submission]:
        """The submissions to grade; raises `NoSubmissions`."""
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
        with self._open(submissions) as at_work:
            run = at_work.ledger.open_run(REGRADE, self.seed)
            made = partial(at_work.ledger.made_in, run)
            for notebook, entry in self._judged(at_work, run, submissions, made):
                yield self._change(at_work, notebook, entry)

    def accept(self, submissions: Sequence[Submission]) -> Iterator[Graded]:
        """Record what `regrade` judged."""
        with self._open(submissions) as at_work:
            run = at_work.ledger.open_run(REGRADE, self.seed)
            entries = []
            for notebook in self._read(submissions):
                if entry := at_work.ledger.made_in(run, notebook.submission, notebook.fingerprint):
                    entries.append((notebook, entry.id))
            at_work.ledger.end_run(run, ACCEPTED)  # from here on `grade` would record the rest, should this be ended
            for notebook, number in entries:
                if graded := self._record(at_work, notebook, at_work.ledger.entry(number)):
                    yield graded

    def decline(self, submissions: Sequence[Submission]) -> None:
        """Leave the gradebook as it is; the judgements stay in the ledger, marked as declined."""
        with self._open(submissions) as at_work:
            at_work.ledger.end_run(at_work.ledger.open_run(REGRADE, self.seed), DECLINED)

    @contextmanager
    def _open(self, submissions: Sequence[Submission]) -> Iterator[Recorder]:
        """Everything that is written to, for this process alone."""
        with ExitStack() as stack:
            try:
                self.out.mkdir(parents=True, exist_ok=True)
                stack.enter_context(_alone_in(self.out))
                course = course_directory(self.out, self.solutions)
                book = stack.enter_context(gradebook(course))
                self._released = {}
                for assignment in sorted({submission.assignment for submission in submissions}):
                    self._released[assignment] = Released(enter_assignment(course, assignment))
                stack.enter_context(nbgrader_log())
                recorder = Recorder(course, book, Ledger(book.db), nbgrader_settings(self.out))
            except (OSError, SQLAlchemyError) as error:
                raise _cannot_record(self.out, error) from error
            try:
                yield recorder
            except SQLAlchemyError as error:
                raise _cannot_record(self.out, error) from error

    def _read(self, submissions: Sequence[Submission]) -> Iterator[Notebook]:
        for submission in submissions:
            released = self._released[submission.assignment]
            try:
                node, note = sound_notebook(submission, released.node, released.name)
            except Exception as error:
                self.problems.append(f"{submission} was not graded: {type(error).__name__}: {last_line(str(error))}")
                continue
            cells = tuple(cell.source for cell in node.cells if cell.cell_type == "code")
            leave_out = () if self.limits.pictures else tuple(sorted(cells_to_leave_out(cells, released.ungraded)))
            yield Notebook(
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
        return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}

    def _judged(
        self, at_work: Recorder, run: Run, submissions: Sequence[Submission], made: Callable[..., Entry | None]
    ) -> Iterator[tuple[Notebook, Entry]]:
        """Each submission with its judgement: the one that `made` finds, or a new one, in the ledger before anything else."""
        in_hand: dict[int, Notebook] = {}
        known: deque[tuple[Submission, int]] = deque()

        def tasks() -> Iterator[Task]:
            for number, notebook in enumerate(self._read(submissions)):
                if entry := made(notebook.submission, notebook.fingerprint):
                    known.append((notebook.submission, entry.id))
                else:
                    in_hand[number] = notebook
                    yield self._task(number, notebook, run)

        def known_ones() -> Iterator[tuple[Notebook, Entry]]:
            while known:
                submission, number = known.popleft()
                for notebook in self._read([submission]):
                    yield notebook, at_work.ledger.entry(number)

        heavy = heavy_imports(released.text for released in self._released.values())
        for number, judged in self.judges(tasks(), heavy):
            yield from known_ones()
            notebook = in_hand.pop(number)
            yield notebook, self._enter(at_work, run, notebook, judged)
        yield from known_ones()

    def _enter(self, at_work: Recorder, run: Run, notebook: Notebook, judged: Judged) -> Entry:
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
        """What stands already: this very judgement, handed in at this time, with its files in place."""
        places = at_work.places(notebook.submission, notebook.name)
        stands = at_work.ledger.recorded(notebook.submission) == (entry.id, notebook.submission.handed_in)
        if not stands or not all(place.is_file() for place in places):
            return None
        return Graded(notebook.submission, entry.judged.verdicts, entry.note, places[1], entry.id, unchanged=True)

    def _record(self, at_work: Recorder, notebook: Notebook, entry: Entry) -> Graded | None:
        """Record one judgement; a file that cannot be written ends the run only if no file can be."""
        try:
            page = at_work.record(notebook.submission, notebook.node, notebook.name, entry)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) in NO_PLACE:
                raise _cannot_record(self.out, error) from error
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


@contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """No two runs write into one folder at once; the lock goes with the process."""
    with open(out / ".gdlab-grading", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRecord(
                f"Another gdlab grade is at work in {out}. Wait for it, or grade into another folder (--out)."
            ) from None
        try:
            yield
        finally:
            fcntl.flock(
                lock, fcntl.LOCK_UN
            )  # a process that is just being started may hold the file open a little longer


def _cannot_record(out: Path, error: Exception) -> CannotRecord:
    reason = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
    return CannotRecord(
        f"{out} cannot be written to ({last_line(str(reason))}). What was judged so far is kept: mend that, and run the same command."
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
