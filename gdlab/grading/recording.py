"""From a judgement to what people read: nbgrader's gradebook, the graded notebook, the page for the learner.

This does what nbgrader's `autograde` does once a notebook has been executed, with nbgrader's own database objects and
its own plugin for late submissions, but in one transaction: a submission is recorded whole or not at all, and doing
it twice changes nothing. Manual scores, extra credit, comments and extensions that were set in formgrader stay.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from nbformat import NotebookNode
from nbgrader.api import Gradebook, SubmittedNotebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import compute_checksum, is_solution, is_task
from traitlets.config import Config

from gdlab.grading.course import nbgrader_log
from gdlab.grading.feedback import feedback_page
from gdlab.grading.judging import check_id, write_outputs
from gdlab.grading.ledger import Entry, Ledger
from gdlab.grading.submission import Submission

NO_RESPONSE = "No response."


@dataclass
class Recorder:
    """Records judgements in an open gradebook.

    Attributes:
        course: where the folders are.
        gradebook: nbgrader's.
        ledger: in the same database.
        config: the course's nbgrader settings, among them the plugin for late submissions.
    """

    course: CourseDirectory
    gradebook: Gradebook
    ledger: Ledger
    config: Config

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
            with _committed_later(self.gradebook):
                row = self._submission_row(submission, name)
            self._set_scores(row, notebook, entry)
            self._set_penalty(row, submission)
            write_whole(graded, as_json(notebook))
            if submission.handed_in:
                write_whole(graded.with_name("timestamp.txt"), submission.handed_in)
            write_whole(page, feedback_page(submission, notebook, entry, row))
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
        for grade in row.grades:
            if grade.name in points:
                grade.auto_score = points[grade.name]
                grade.needs_manual_grade = grade.manual_score is not None  # as nbgrader does: look at it again
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
        row.late_submission_penalty = None
        late = row.assignment.total_seconds_late
        if late > 0:
            with nbgrader_log():
                step = AssignLatePenalties(config=self.config)
                step.init_plugin()
                penalty = step.plugin_inst.late_submission_penalty(submission.student, row.score, late)
                row.late_submission_penalty = None if penalty is None else step._check_late_penalty(row, penalty)
        self.gradebook.db.flush()


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
