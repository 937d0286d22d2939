"""Grades as tables for other programs: plain CSV, and what the gradebooks of Canvas and Moodle take in.

Each format is an export plugin of nbgrader, so its own command knows them as well:

    nbgrader export --exporter=gdlab.grading.export.CanvasExport --to=grades.csv

Canvas matches learners by ID (nbgrader's `lms_user_id`) or SIS login, and wants a row of the points possible under the
heading; Moodle matches by the e-mail address or the ID number, whichever column is chosen there. A learner who has
handed nothing in has an empty cell, which both leave as it is. Sources: "How do I import grades in the Gradebook?"
in Canvas's guides; "Grade import" in Moodle's documentation.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from nbgrader.api import Assignment, Gradebook, MissingEntry, Student, SubmittedAssignment
from nbgrader.plugins.export import ExportPlugin

from gdlab.grading.recording import write_whole

Row = Sequence[object]


class NoAssignment(Exception):
    """The gradebook has no such assignment; the message says which it has."""


class TableExport(ExportPlugin):
    """Writes the rows of a table, whole or not at all."""

    def export(self, gradebook: Gradebook) -> None:
        """Write the table to `self.to`; by default grades.csv in this folder."""
        rows = list(self.rows(self._chosen(gradebook.assignments), self._learners(gradebook), _submissions(gradebook)))
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(rows)
        write_whole(Path(self.to or "grades.csv"), table.getvalue())

    def rows(self, assignments: list[Assignment], learners: list[Student], submission: "Find") -> Iterable[Row]:
        raise NotImplementedError

    def _chosen(self, assignments: Iterable[Assignment]) -> list[Assignment]:
        return [one for one in assignments if not self.assignment or one.name in self.assignment]

    def _learners(self, gradebook: Gradebook) -> list[Student]:
        return [one for one in gradebook.students if not self.student or one.id in self.student]


Find = Callable[[Assignment, Student], SubmittedAssignment | None]


def _submissions(gradebook: Gradebook) -> Find:
    def find(assignment: Assignment, learner: Student) -> SubmittedAssignment | None:
        try:
            row = gradebook.find_submission(assignment.name, learner.id)
        except MissingEntry:
            return None
        return row if was_handed_in(row) else None

    return find


def was_handed_in(submission: SubmittedAssignment) -> bool:
    """Whether there is anything behind a row of the gradebook: an extension makes one before anything is handed in."""
    graded = (grade for notebook in submission.notebooks for grade in notebook.grades)
    return submission.timestamp is not None or any(one.auto_score is not None or one.manual_score for one in graded)


def final_score(submission: SubmittedAssignment) -> float:
    """What counts: the points, less what is taken off for lateness, and not below nothing."""
    return max(0.0, submission.score - (submission.late_submission_penalty or 0.0))


class CsvExport(TableExport):
    """A row for each learner and assignment, with the columns of nbgrader's own CSV; commas in names are quoted."""

    COLUMNS = (
        "assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email",
        "raw_score", "late_submission_penalty", "score", "max_score",
    )  # fmt: skip

    def rows(self, assignments: list[Assignment], learners: list[Student], submission: Find) -> Iterator[Row]:
        yield self.COLUMNS
        for one in assignments:
            for learner in learners:
                came = submission(one, learner)
                scores = (came.score, came.late_submission_penalty or 0.0, final_score(came)) if came else ("", "", "")
                when = came.timestamp if came else None
                who = (learner.id, learner.last_name, learner.first_name, learner.email)
                yield one.name, one.duedate, when, *who, *scores, one.max_score


class CanvasExport(TableExport):
    """A row for each learner, as Canvas's gradebook exports and imports them."""

    COLUMNS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")

    def rows(self, assignments: list[Assignment], learners: list[Student], submission: Find) -> Iterator[Row]:
        yield *self.COLUMNS, *(one.name for one in assignments)
        yield "    Points Possible", "", "", "", "", *(one.max_score for one in assignments)
        for learner in learners:
            named = [part for part in (learner.last_name, learner.first_name) if part]
            who = (", ".join(named) or learner.id, learner.lms_user_id, "", learner.id, "")
            yield *who, *_scores(assignments, learner, submission)


class MoodleExport(TableExport):
    """A row for each learner; Moodle asks which column tells who it is, and which grade each other one is."""

    COLUMNS = ("First name", "Last name", "ID number", "Email address")

    def rows(self, assignments: list[Assignment], learners: list[Student], submission: Find) -> Iterator[Row]:
        yield *self.COLUMNS, *(one.name for one in assignments)
        for learner in learners:
            who = (learner.first_name, learner.last_name, learner.lms_user_id or learner.id, learner.email)
            yield *who, *_scores(assignments, learner, submission)


def _scores(assignments: list[Assignment], learner: Student, submission: Find) -> Iterator[float | str]:
    for one in assignments:
        came = submission(one, learner)
        yield "" if came is None else final_score(came)


FORMATS: dict[str, type[TableExport]] = {"csv": CsvExport, "canvas": CanvasExport, "moodle": MoodleExport}


def export_grades(book: Gradebook, kind: str, to: Path, assignments: Sequence[str] = ()) -> Path:
    """Write the grades of a gradebook in one of `FORMATS`.

    Raises:
        NoAssignment: if one of `assignments` is not in the gradebook.
    """
    known = [one.name for one in book.assignments]
    for name in assignments:
        if name not in known:
            raise NoAssignment(f"The gradebook has no assignment {name!r}; it has {', '.join(known) or 'none'}.")
    FORMATS[kind](to=str(to), assignment=list(assignments)).export(book)
    return to
