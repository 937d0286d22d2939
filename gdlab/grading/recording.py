"""From a judgement to what people read: nbgrader's gradebook, the graded notebook, the page for the learner.

This does what nbgrader's `autograde` does once a notebook has been executed, with nbgrader's own database objects and
its own plugin for late submissions, but in one transaction: a submission is recorded whole or not at all, and doing
it twice changes nothing. Manual scores, extra credit, comments and extensions that were set in formgrader stay.
"""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from nbformat import NotebookNode
from nbgrader.api import Assignment, Comment, Grade, Gradebook, MissingEntry, SubmittedAssignment, SubmittedNotebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import compute_checksum, is_solution, is_task
from sqlalchemy import select
from traitlets.config import Config

from gdlab.grading.claims import Claims
from gdlab.grading.course import nbgrader_log
from gdlab.grading.feedback import feedback_page, set_by_hand_in
from gdlab.grading.judging import check_id, write_outputs
from gdlab.grading.ledger import Entry, Ledger
from gdlab.grading.submission import Submission

NO_RESPONSE = "No response."
NOBODYS = {"timestamp.txt": str, "submission_secret.txt": lambda: secrets.token_hex(64)}
"""What stands in for a time and a secret: `nbgrader release_feedback` ends for the whole class where one learner has none."""


@dataclass
class Recorder:
    """Records judgements in an open gradebook.

    Attributes:
        course: where the folders are.
        gradebook: nbgrader's.
        ledger: in the same database.
        config: the course's nbgrader settings, among them the plugin for late submissions.
        claims: what this grader may record.
    """

    course: CourseDirectory
    gradebook: Gradebook
    ledger: Ledger
    config: Config
    claims: Claims
    _since: dict[str, tuple[frozenset[str], frozenset[str], dict[str, str]]] = field(default_factory=dict)

    def places(self, submission: Submission, name: str) -> tuple[Path, Path]:
        """Where a submission's graded notebook and its page belong."""
        where = self.course.format_path, submission.student, submission.assignment
        graded = Path(where[0](self.course.autograded_directory, *where[1:]), f"{name}.ipynb")
        return graded, Path(where[0](self.course.feedback_directory, *where[1:]), f"{name}.html")

    def record(self, submission: Submission, notebook: NotebookNode, name: str, entry: Entry) -> Path:
        """Record one judgement; the learner's page."""
        graded, page = self.places(submission, name)
        write_outputs(notebook, entry.judged)
        try:
            self.claims.alone_with(submission.student, self.gradebook.db)
            with _committed_later(self.gradebook):
                row = self._submission_row(submission, name)
            self._set_scores(row, notebook, entry)
            self._set_penalty(row, submission)
            write_whole(graded, as_json(notebook))
            for beside, text in (("timestamp.txt", submission.handed_in), ("submission_secret.txt", submission.secret)):
                if text:
                    write_whole(graded.with_name(beside), text)
                write_whole(page.with_name(beside), text or NOBODYS[beside]())
            by_hand = self._by_hand(submission.assignment, submission.student).get(submission.student, "")
            write_whole(page, feedback_page(submission, notebook, entry, row, by_hand))
            self.ledger.note_recorded(entry, submission.handed_in)
            self.gradebook.db.commit()
        except BaseException:
            self.gradebook.db.rollback()
            raise
        return page

    def _submission_row(self, submission: Submission, name: str) -> SubmittedNotebook:
        self.gradebook.update_or_create_student(submission.student)
        when = {"timestamp": submission.handed_in} if submission.handed_in else {}
        self.gradebook.update_or_create_submission(submission.assignment, submission.student, **when)
        return self.gradebook.find_submission_notebook(name, submission.assignment, submission.student)

    def _set_scores(self, row: SubmittedNotebook, notebook: NotebookNode, entry: Entry) -> None:
        """The automatic part of every grade and comment; what an instructor set by hand is not touched."""
        points = {check_id(name): verdict.points for name, verdict in entry.judged.verdicts.items()}
        stands = self.ledger.recorded(entry)
        judged_anew = stands is None or stands[0] != entry.id
        for grade in row.grades:
            if grade.name in points:
                grade.auto_score = points[grade.name]
                if judged_anew:  # as nbgrader does: look at it again
                    grade.needs_manual_grade = grade.manual_score is not None
        marked = {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}
        for comment in row.comments:
            cell = marked.get(comment.name)
            if cell is not None and (is_solution(cell) or is_task(cell)):
                untouched = cell.metadata.nbgrader.get("checksum") == compute_checksum(cell) and not is_task(cell)
                comment.auto_comment = NO_RESPONSE if untouched else None
        self.gradebook.db.flush()
        self.gradebook.db.refresh(row)

    def _set_penalty(self, row: SubmittedNotebook, submission: Submission) -> None:
        """What the course's plugin takes off for lateness; extensions granted in the gradebook count."""
        row.late_submission_penalty = self._penalty(row, submission.student)
        self.gradebook.db.flush()

    def _penalty(self, row: SubmittedNotebook, student: str) -> float | None:
        late = row.assignment.total_seconds_late
        if late <= 0:
            return None
        with nbgrader_log():
            step = AssignLatePenalties(config=self.config)
            step.init_plugin()
            penalty = step.plugin_inst.late_submission_penalty(student, row.score, late)
            return None if penalty is None else step._check_late_penalty(row, penalty)

    def is_out_of_date(self, submission: Submission, page: Path) -> bool:
        """Whether the gradebook says other than what was recorded: nothing at all, or of what is set by hand or lateness costs."""
        assignment, student = submission.assignment, submission.student
        if assignment not in self._since:
            rows = self.gradebook.assignment_submissions(assignment)
            there = frozenset(row.student_id for row in rows)
            self._since[assignment] = there, self._penalised_otherwise(rows), self._by_hand(assignment)
        there, penalised, by_hand = self._since[assignment]
        gone = student not in there and not self._has_row(submission)
        return gone or student in penalised or by_hand.get(student, "") != set_by_hand_in(page)

    def _has_row(self, submission: Submission) -> bool:
        """Whether nbgrader knows of it now: another grader may have entered it, or somebody have removed the learner."""
        try:
            return bool(self.gradebook.find_submission(submission.assignment, submission.student))
        except MissingEntry:
            return False

    def _penalised_otherwise(self, rows: Sequence[SubmittedAssignment]) -> frozenset[str]:
        """Whose points would now be cut by more or less than they were: deadline, extension or policy have changed since."""
        concerned = [row for row in rows if row.total_seconds_late > 0 or row.late_submission_penalty]
        return frozenset(
            row.student.id
            for row in concerned
            for notebook in row.notebooks
            if (self._penalty(notebook, row.student.id) or 0) != (notebook.late_submission_penalty or 0)
        )

    def _by_hand(self, assignment: str, student: str = "") -> dict[str, str]:
        """A hash of the scores and comments that were set by hand for each learner, or for one; no entry where none were."""
        scores = select(SubmittedAssignment.student_id, Grade.cell_id, Grade.manual_score, Grade.extra_credit)
        comments = select(SubmittedAssignment.student_id, Comment.cell_id, Comment.manual_comment)
        found: dict[str, list[tuple]] = defaultdict(list)
        for query, kind, what in (
            (scores, Grade, Grade.manual_score.is_not(None) | Grade.extra_credit.is_not(None)),
            (comments, Comment, Comment.manual_comment.is_not(None)),
        ):
            query = query.join(SubmittedNotebook, kind.notebook_id == SubmittedNotebook.id)
            query = query.join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
            query = query.join(Assignment, SubmittedAssignment.assignment_id == Assignment.id)
            query = query.where(what, Assignment.name == assignment)
            if student:
                query = query.where(SubmittedAssignment.student_id == student)
            for learner, *entry in self.gradebook.db.execute(query):
                found[learner].append((kind.__name__, *entry))
        return {learner: hashlib.sha256(repr(sorted(all_)).encode()).hexdigest() for learner, all_ in found.items()}


@contextmanager
def _committed_later(gradebook: Gradebook) -> Iterator[None]:
    """nbgrader's methods commit after every row; here a submission is one transaction."""
    gradebook.db.commit = gradebook.db.flush
    try:
        yield
    finally:
        del gradebook.db.commit


def as_json(notebook: NotebookNode) -> str:
    """A notebook as a file: what nbformat would write but for the line breaks within strings, in a tenth of its time."""
    return msgspec.json.format(msgspec.json.encode(notebook), indent=1).decode() + "\n"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it; what a killed run left of one is overwritten by the next."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
