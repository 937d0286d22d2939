"""Grading a class: every submission gets a verdict, a place in the gradebook and a page of feedback.

    submitted/ ──> a sound notebook ──> nbgrader's sanitising ──> box and judge ──> nbgrader's gradebook
                                                                                └─> feedback/<student>/…

nbgrader's own autograder does the bookkeeping, with one step replaced: where it would execute the
notebook and believe what the cells print, ours asks the judge. A submission that breaks anything on
its way is graded as an empty one, with the reason, and the class goes on.
"""

import secrets
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)

from gdlab.assignments import exercises_of
from gdlab.grading.box import Box, NoSandbox
from gdlab.grading.course import course_directory, enter_assignment, last_line, nbgrader_log, tools_on_path
from gdlab.grading.feedback import write_feedback
from gdlab.grading.judging import judge_cells, write_outputs
from gdlab.grading.submission import Submission, find_submissions, sound_notebook
from gdlab.judge.verdict import Verdict


@dataclass(frozen=True)
class Graded:
    """What came of one submission.

    Attributes:
        verdicts: by exercise, in the notebook's order.
        note: what was wrong with the file itself, "" if nothing.
        feedback: the page for the learner.
    """

    submission: Submission
    verdicts: dict[str, Verdict]
    note: str
    feedback: Path

    @property
    def points(self) -> float:
        return sum(verdict.points for verdict in self.verdicts.values())

    @property
    def max_points(self) -> float:
        return sum(verdict.max_points for verdict in self.verdicts.values())


@dataclass
class ClassRun:
    """One run over a class.

    Attributes:
        submitted: nbgrader's submitted folder.
        out: where gradebook, graded notebooks and feedback go.
        solutions: the instructor's source notebooks.
        make_box: gives a fresh box for a submission.
        seed: what the graded cases are drawn from; by default nobody can know it beforehand.
        problems: sentences on what went wrong outside any verdict.
    """

    submitted: Path
    out: Path
    solutions: Path
    make_box: Callable[[], Box]
    seed: int = field(default_factory=lambda: secrets.randbits(48))
    problems: list[str] = field(default_factory=list)

    def find(self) -> list[Submission]:
        """The submissions to grade; raises `NoSubmissions`."""
        found, ignored = find_submissions(self.submitted)
        self.problems += ignored
        return found

    def grade(self, submissions: Sequence[Submission]) -> Iterator[Graded]:
        """Grade one after the other; each is in the gradebook before the next begins."""
        self.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="gdlab-class-") as scratch:
            staged = Path(scratch) / "submitted"
            course = course_directory(self.out, self.solutions, submitted=staged, released=Path(scratch) / "release")
            for assignment in sorted({submission.assignment for submission in submissions}):
                enter_assignment(course, assignment)
            for submission in submissions:
                graded = self._grade_or_say_why_not(course, submission)
                if graded:
                    yield graded

    def _grade_or_say_why_not(self, course: CourseDirectory, submission: Submission) -> Graded | None:
        """Whatever happens to one submission, the others are graded; only a missing sandbox ends the run."""
        try:
            return self._grade_one(course, submission)
        except NoSandbox:
            raise
        except Exception as error:
            self.problems.append(f"{submission} was not graded: {type(error).__name__}: {last_line(str(error))}")
            return None

    def _grade_one(self, course: CourseDirectory, submission: Submission) -> Graded:
        [source] = Path(course.release_directory, submission.assignment).glob("*.ipynb")
        released = nbformat.read(source, as_version=4)
        notebook, note = sound_notebook(submission, released, source.stem)
        try:
            verdicts = self._record(course, submission, notebook, source.stem)
        except NoSandbox:
            raise
        except Exception:
            self.problems.append(
                f"{submission} broke the grader and counts as empty:\n{traceback.format_exc(limit=-3)}"
            )
            note = "Your notebook could not be graded as it is; ask your instructor."
            verdicts = self._record(course, submission, released, source.stem)
        feedback = write_feedback(course, submission, source.stem, note)
        return Graded(submission, verdicts, note, feedback)

    def _record(self, course: CourseDirectory, submission: Submission, notebook, name: str) -> dict[str, Verdict]:
        """Let nbgrader sanitise, grade (by our judge) and record one notebook."""
        staged = Path(course.format_path(course.submitted_directory, submission.student, submission.assignment))
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        nbformat.write(notebook, staged / f"{name}.ipynb")
        if submission.handed_in:
            (staged / "timestamp.txt").write_text(submission.handed_in, encoding="utf-8")
        autograde = JudgedAutograde(coursedir=course, staged=staged, judge=lambda nb: self._judge(submission, nb))
        with nbgrader_log() as said, tools_on_path():
            try:
                autograde.start()
            except Exception as error:
                if autograde.failure:
                    raise autograde.failure from None
                raise RuntimeError(last_line(said[0] if said else str(error))) from error
        return autograde.verdicts

    def _judge(self, submission: Submission, notebook) -> dict[str, Verdict]:
        cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        judged = judge_cells(cells, exercises_of(submission.assignment), self.make_box, self.seed)
        write_outputs(notebook, judged)
        return dict(judged.verdicts)


class JudgedAutograde(Autograde):
    """nbgrader's autograder for one submission, with the judge where notebooks used to be executed."""

    def __init__(self, coursedir: CourseDirectory, staged: Path, judge: Callable, **kwargs):
        super().__init__(coursedir=coursedir, **kwargs)
        self._staged, self._judge = staged, judge
        self.verdicts: dict[str, Verdict] = {}
        self.failure: Exception | None = None
        self.force = True
        self.sanitize_preprocessors = [
            ClearOutput,
            DeduplicateIds,
            OverwriteKernelspec,
            OverwriteCells,
            CheckCellMetadata,
        ]
        self.autograde_preprocessors = [
            self._judge_step,
            LimitOutput,
            SaveAutoGrades,
            AssignLatePenalties,
            CheckCellMetadata,
        ]

    def init_notebooks(self) -> None:
        """This submission and no other: nbgrader would search by glob, and student names may hold its signs."""
        self.assignments = {str(self._staged): [str(path) for path in self._staged.glob("*.ipynb")]}

    def _judge_step(self, notebook, resources):
        try:
            self.verdicts = self._judge(notebook)
        except Exception as failure:  # nbgrader logs what it catches and raises something else
            self.failure = failure
            raise
        return notebook, resources
