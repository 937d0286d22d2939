"""Every assignment as a whole: solved it gets all points, untouched none and a kind sentence, here and under plain nbgrader."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from gdlab.assignments import assignments, exercises_of
from gdlab.grading.box import Limits
from gdlab.grading.class_run import ClassRun
from gdlab.grading.workers import in_warm_boxes

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")

PICTURES = re.compile(r"<svg.*?</svg>|data:image/png;base64,[^\"]*", re.DOTALL)


def points_of(assignment: str) -> float:
    return sum(exercise.points for exercise in exercises_of(assignment).values())


def solved(root: Path, assignment: str) -> nbformat.NotebookNode:
    """The released notebook with the instructor's solutions filled in."""
    released = nbformat.read(root / "exercises" / assignment / f"{assignment}.ipynb", as_version=4)
    source = nbformat.read(root / "solutions" / assignment / f"{assignment}.ipynb", as_version=4)
    answers = {cell.id: cell.source for cell in source.cells if "### BEGIN SOLUTION" in cell.source}
    for cell in released.cells:
        cell.source = answers.get(cell.id, cell.source)
    return released


@pytest.fixture(scope="module")
def submitted(root, tmp_path_factory) -> Path:
    """nbgrader's submitted folder: ada has solved everything, ben nothing."""
    folder = tmp_path_factory.mktemp("class") / "submitted"
    for assignment in assignments():
        untouched = nbformat.read(root / "exercises" / assignment / f"{assignment}.ipynb", as_version=4)
        for student, notebook in (("ada", solved(root, assignment)), ("ben", untouched)):
            path = folder / student / assignment / f"{assignment}.ipynb"
            path.parent.mkdir(parents=True)
            nbformat.write(notebook, path)
    return folder


@pytest.fixture
def grade_all(root, tmp_path):
    def grade_all(submitted):
        run = ClassRun(submitted, tmp_path / "out", root / "solutions", in_warm_boxes(Limits()))
        graded = list(run.grade(run.find()))
        assert run.problems == []
        return graded

    return grade_all


def test_the_grader_gives_solutions_all_points_and_stubs_none_with_a_kind_sentence(submitted, grade_all):
    graded = grade_all(submitted)
    assert len(graded) == 2 * len(assignments())
    for one in graded:
        verdicts = one.verdicts.values()
        if one.submission.student == "ada":
            assert all(verdict.right for verdict in verdicts), [v for v in verdicts if not v.right]
            assert one.points == points_of(one.submission.assignment)
        else:
            assert one.points == 0
            assert all(verdict.sentences[0].startswith("Nothing here yet") for verdict in verdicts)
        page = one.feedback.read_text(encoding="utf-8")
        assert "<script" not in page
        assert len(PICTURES.sub("", page).encode()) < 300_000


@pytest.fixture(scope="module")
def stock_course(root, submitted) -> Path:
    """A plain nbgrader course around the same submissions."""
    course = submitted.parent
    (course / "source").symlink_to(root / "solutions")
    return course


def nbgrader(course: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "IPYTHONDIR": str(course / "ipython"),
        "JUPYTER_PATH": f"{sys.prefix}/share/jupyter",
        "JUPYTER_RUNTIME_DIR": str(course / "runtime"),
        "HOME": str(course),
    }
    return subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("assignment", assignments())
def test_plain_nbgrader_gives_the_same_points_without_our_judge(assignment, stock_course):
    for command in ("generate_assignment", "autograde"):
        done = nbgrader(stock_course, command, assignment)
        assert done.returncode == 0, done.stderr
    with Gradebook(f"sqlite:///{stock_course / 'gradebook.db'}") as book:
        scores = {student: book.find_submission(assignment, student).score for student in ("ada", "ben")}
    assert scores == {"ada": points_of(assignment), "ben": 0}


@pytest.mark.parametrize("assignment", assignments())
def test_a_solved_notebook_passes_nbgraders_validation_from_top_to_bottom(assignment, stock_course):
    done = nbgrader(stock_course, "validate", f"submitted/ada/{assignment}/{assignment}.ipynb")
    assert done.returncode == 0 and "Success" in done.stdout, done.stdout + done.stderr
