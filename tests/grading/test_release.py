"""exercises/ is what nbgrader makes of solutions/, and runs under plain nbgrader without our judge."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook

from gdlab.assignments import assignments, exercises_of
from gdlab.grading.course import CannotRelease, course_directory, enter_assignment, release
from gdlab.grading.judging import check_id


def sources(path: Path) -> list[tuple[str, str, str]]:
    return [(cell.id, cell.cell_type, cell.source) for cell in nbformat.read(path, as_version=4).cells]


@pytest.mark.parametrize("assignment", assignments())
def test_the_exercises_are_in_step_with_the_solutions(assignment, root, tmp_path):
    fresh = release(assignment, root / "solutions", tmp_path)
    for path in fresh.glob("*.ipynb"):
        assert (root / "exercises" / assignment / path.name).read_text() == path.read_text(), (
            f"run gdlab release {assignment}"
        )


@pytest.mark.parametrize("assignment", assignments())
def test_every_exercise_has_a_stub_and_one_check_worth_its_points(assignment, root):
    [path] = (root / "exercises" / assignment).glob("*.ipynb")
    marks = {
        cell.metadata.nbgrader.grade_id: cell
        for cell in nbformat.read(path, as_version=4).cells
        if "nbgrader" in cell.metadata
    }
    exercises = exercises_of(assignment)
    functions = {name for exercise in exercises.values() for name in exercise.function_names}
    assert set(marks) == functions | {check_id(name) for name in exercises}
    for name in functions:
        assert f"def {name}(" in marks[name].source and marks[name].source.endswith("raise NotImplementedError()")
    for name, exercise in exercises.items():
        assert marks[check_id(name)].source == f'check("{name}", {", ".join(exercise.function_names)})'
        assert marks[check_id(name)].metadata.nbgrader.points == exercise.points


SOLUTION = re.compile(r"### BEGIN SOLUTION\n(.*?)\s*### END SOLUTION", re.DOTALL)


@pytest.mark.parametrize("assignment", assignments())
def test_no_solution_is_left_in_the_exercises(assignment, root):
    [source], [released] = ((root / folder / assignment).glob("*.ipynb") for folder in ("solutions", "exercises"))
    handed_out = "\n".join(text for _, _, text in sources(released))
    solutions = [solution for _, _, text in sources(source) for solution in SOLUTION.findall(text)]
    assert len(solutions) >= len(exercises_of(assignment))
    assert "SOLUTION" not in handed_out and not [solution for solution in solutions if solution in handed_out]


def test_a_gradebook_with_grades_of_another_version_is_named_with_a_way_out(root, tmp_path, hand_in, grade_class):
    hand_in(tmp_path / "submitted", "ada")
    grade_class(tmp_path / "submitted", tmp_path / "out")
    source = tmp_path / "solutions" / "update_rule" / "update_rule.ipynb"
    source.parent.mkdir(parents=True)
    book = nbformat.read(root / "solutions" / "update_rule" / "update_rule.ipynb", as_version=4)
    book.cells = [cell for cell in book.cells if cell.metadata.get("nbgrader", {}).get("grade_id") != "check_descend"]
    nbformat.write(book, source)
    with pytest.raises(CannotRelease, match="holds grades of an earlier version"):
        enter_assignment(course_directory(tmp_path / "out", tmp_path / "solutions"), "update_rule")


def test_an_assignment_without_a_source_is_refused_with_a_sentence(root, tmp_path):
    with pytest.raises(CannotRelease, match="nothing could not be released from"):
        release("nothing", root / "solutions", tmp_path)


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
def test_plain_stock_nbgrader_gives_the_same_points(root, tmp_path, hand_in, sample_class):
    """`nbgrader generate_assignment` and `nbgrader autograde`, with a kernel and without our judge."""
    shutil.copytree(root / "solutions", tmp_path / "source")
    others = {name: sample_class.RIGHT[name] for name in ("numerical_gradient", "stable_learning_rate", "classify_run")}
    hand_in(tmp_path / "submitted", "right", **others)
    one_over = others | {"stable_learning_rate": "return 1 / np.linalg.eigvalsh(hessian).max()"}
    partly = {"step": "theta -= lr * grad\nreturn theta", "walk": "return descent", **one_over}
    hand_in(tmp_path / "submitted", "partly", **partly)
    hand_in(tmp_path / "submitted", "two-of-five")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    environment |= {
        "JUPYTER_PATH": f"{sys.prefix}/share/jupyter",
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "HOME": str(tmp_path),
    }
    for command in (["generate_assignment", "update_rule"], ["autograde", "update_rule"]):
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        scores = {s: book.find_submission("update_rule", s).score for s in ("right", "partly", "two-of-five")}
    assert scores == {"right": 20.0, "partly": 11.0, "two-of-five": 8.0}
