"""A learner's own notebooks: `gdlab check`, `progress` and `reset`, on copies in a course of their own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from gdlab.assignments import assignments
from gdlab.judge.verdict import METADATA
from gdlab.learn import check
from gdlab.my_work import NotFound, copy_exercises, reset_stub, standings

GDLAB = str(Path(sys.executable).parent / "gdlab")
ANSWER = "def gradient_step(theta, grad, lr):\n    return theta - lr * grad"


@pytest.fixture
def course(tmp_path, root) -> Path:
    """A course with the released exercises and a learner's untouched copy of them."""
    shutil.copytree(root / "exercises", tmp_path / "exercises")
    shutil.copyfile(root / "_config.yml", tmp_path / "_config.yml")
    (tmp_path / "book").mkdir()
    copy_exercises(tmp_path / "exercises", tmp_path / "my-work")
    return tmp_path


def gdlab(*arguments, cwd):
    return subprocess.run(
        [GDLAB, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "160"},
    )


def notebook(course: Path) -> Path:
    return course / "my-work" / "update_rule" / "update_rule.ipynb"


def edit(path: Path, **sources: str) -> nbformat.NotebookNode:
    """Write these sources into the cells with these nbgrader ids."""
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = sources.get(name, cell.source)
    nbformat.write(book, path)
    return book


def test_check_says_what_the_grader_will_say_and_fails_until_all_is_right(course):
    edit(notebook(course), gradient_step=ANSWER)
    done = gdlab("check", notebook(course), cwd=course)
    assert done.returncode == 1
    assert "✓ gradient_step: Right: 3 of 3 points" in done.stdout
    assert "✗ descend: Not started: 0 of 5 points\n  Nothing here yet" in done.stdout


@pytest.mark.parametrize("assignment", assignments())
def test_check_gives_every_solution_full_points(assignment, root):
    done = gdlab("check", root / "solutions" / assignment / f"{assignment}.ipynb", "--fresh", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_and_the_grader_give_the_same_verdicts(course, sample_class, tmp_path, grade_class):
    names = ("gustav", "ivan", "mateo", "noor")
    for name in names:
        shutil.copytree(sample_class.HERE / "submitted" / name, tmp_path / "submitted" / name)
    graded = grade_class(tmp_path / "submitted", tmp_path / "out")
    for name in names:
        said = gdlab("check", tmp_path / "submitted" / name / "update_rule" / "update_rule.ipynb", cwd=course).stdout
        for exercise, verdict in graded[name].verdicts.items():
            assert f"{exercise}: {verdict.headline}\n  {verdict.sentences[0]}" in said


def test_what_a_learners_process_writes_stays_in_its_own_folder_and_is_gone(course):
    edit(notebook(course), gradient_step="open('left-behind', 'w').write('x')\n" + ANSWER)
    assert "✓ gradient_step" in gdlab("check", notebook(course), cwd=course).stdout
    assert not list(course.rglob("left-behind"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "There is no notebook"),
        ("not json", "is not a readable notebook"),
        ("empty", "holds no exercise of this course"),
    ],
)
def test_what_cannot_be_checked_gets_one_sentence(course, content, says):
    path = course / "mine.ipynb"
    if content == "empty":
        nbformat.write(nbformat.v4.new_notebook(), path)
    elif content:
        path.write_text(content)
    done = gdlab("check", path, cwd=course)
    assert (done.returncode, done.stdout) == (1, "") and says in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("damage", ["a word", None, {"grade_id": ["a", "list"]}], ids=["word", "nothing", "list"])
def test_a_cell_whose_nbgrader_mark_is_damaged_does_not_stop_the_check(course, damage):
    book = edit(notebook(course), gradient_step=ANSWER)
    book.cells[0].metadata["nbgrader"] = damage
    notebook(course).write_text(json.dumps(book), encoding="utf-8")
    assert "✓ gradient_step" in gdlab("check", notebook(course), cwd=course).stdout


def test_progress_begins_with_nothing_done_and_names_what_is_next(course):
    done = gdlab("progress", cwd=course)
    assert done.returncode == 0, done.stderr
    assert "0 of" in done.stdout and "Next: gradient_step, in my-work/update_rule/update_rule.ipynb" in done.stdout


def test_progress_reads_the_verdicts_that_were_saved_with_the_notebook(course):
    book = edit(notebook(course))
    verdict = check("gradient_step", lambda theta, grad, lr: theta - lr * grad)
    for cell in book.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "check_gradient_step":
            data, metadata = verdict._repr_mimebundle_()
            metadata = nbformat.from_dict(
                {METADATA: {k: list(v) if isinstance(v, tuple) else v for k, v in metadata[METADATA].items()}}
            )
            cell.outputs = [nbformat.v4.new_output("execute_result", data=data, metadata=metadata, execution_count=1)]
    nbformat.write(book, notebook(course))
    first = next(standings(course / "exercises", course / "my-work"))
    assert (first.assignment, first.points, first.next) == ("update_rule", 3, "descend")
    assert first.minutes and first.difficulty


def test_a_copy_is_never_made_over_what_a_learner_wrote(course):
    edit(notebook(course), gradient_step=ANSWER)
    written = notebook(course).read_bytes()
    assert copy_exercises(course / "exercises", course / "my-work") == []
    assert notebook(course).read_bytes() == written


def test_reset_brings_one_stub_back_and_keeps_the_rest_and_what_was_written(course):
    before = notebook(course).read_bytes()
    edit(notebook(course), gradient_step=ANSWER, descend="def descend(*inputs):\n    return 'mine'")
    path, kept = reset_stub("gradient_step", course / "exercises", course / "my-work")
    assert ANSWER in kept.read_text()
    now = {c.metadata.nbgrader.grade_id: c.source for c in nbformat.read(path, 4).cells if "nbgrader" in c.metadata}
    released = {
        c.metadata.nbgrader.grade_id: c.source
        for c in nbformat.reads(before.decode(), 4).cells
        if "nbgrader" in c.metadata
    }
    assert now["gradient_step"] == released["gradient_step"] and "'mine'" in now["descend"]
    assert gdlab("reset", "descend", cwd=course).returncode == 0
    assert nbformat.read(path, 4) == nbformat.reads(before.decode(), 4)


def test_reset_changes_nothing_where_the_stub_is_gone(course):
    book = nbformat.read(notebook(course), as_version=4)
    book.cells = [cell for cell in book.cells if cell.metadata.get("nbgrader", {}).get("grade_id") != "descend"]
    nbformat.write(book, notebook(course))
    before = notebook(course).read_bytes()
    with pytest.raises(NotFound, match="has no stub of descend any more"):
        reset_stub("descend", course / "exercises", course / "my-work")
    assert notebook(course).read_bytes() == before
    done = gdlab("reset", "descent", cwd=course)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "descen" in done.stderr
