"""Broken and tampered notebooks: each is graded, none stops the class."""

import json
import os

import nbformat
import pytest

from gdlab.grading import submission
from gdlab.grading.submission import NoSubmissions, Submission, find_submissions, sound_notebook


@pytest.fixture(scope="module")
def released(root):
    return nbformat.read(root / "exercises" / "update_rule" / "update_rule.ipynb", as_version=4)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "submitted" / "student" / "update_rule"
    path.mkdir(parents=True)
    return path


def sound(folder, released):
    return sound_notebook(Submission("student", "update_rule", folder), released, "update_rule")


def graded_cells(notebook):
    marks = (cell.metadata["nbgrader"] for cell in notebook.cells if "nbgrader" in cell.metadata)
    return [(mark["grade_id"], mark.get("points")) for mark in marks]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a readable notebook"),
        (b"not json", "not a readable notebook"),
        (b'{"cells": 5}', "not a readable notebook"),
        (b'{"a": 1}', "not a readable notebook"),
        (b"[1, 2]", "not a readable notebook"),
        (b'{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": {"a": 1}}', "not a readable notebook"),
        (b"[" * 100_000, "not a readable notebook"),
        (b"\xff\xfe\x00garbage", "not a readable notebook"),
    ],
)
def test_what_cannot_be_read_is_graded_as_empty_with_the_reason(content, says, folder, released):
    (folder / "update_rule.ipynb").write_bytes(content)
    notebook, note = sound(folder, released)
    assert says in note
    assert graded_cells(notebook) == graded_cells(released)


def test_a_missing_notebook_has_its_reason(folder, released):
    assert "no notebook update_rule.ipynb" in sound(folder, released)[1]


def test_a_renamed_notebook_is_graded_with_a_note(folder, released):
    nbformat.write(released, folder / "update_rule (2).ipynb")
    assert "update_rule (2).ipynb was graded" in sound(folder, released)[1]


def test_a_link_to_another_place_is_not_followed(folder, released, tmp_path):
    nbformat.write(released, tmp_path / "other.ipynb")
    (folder / "update_rule.ipynb").symlink_to(tmp_path / "other.ipynb")
    assert "link to another place" in sound(folder, released)[1]


def test_an_old_notebook_format_is_read(folder, released):
    cells = [
        {
            "cell_type": "code",
            "input": "x = 1",
            "language": "python",
            "outputs": [],
            "metadata": {},
            "collapsed": False,
            "prompt_number": 1,
        }
    ]
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [{"cells": cells, "metadata": {}}],
    }
    (folder / "update_rule.ipynb").write_text(json.dumps(old))
    notebook, note = sound(folder, released)
    assert note == "" and "x = 1" in [cell.source for cell in notebook.cells]


def test_a_task_that_lost_its_mark_is_not_hidden_by_the_stub(folder, released):
    bare = nbformat.from_dict(json.loads(json.dumps(released)))
    for cell in bare.cells:
        cell.metadata = {}
    nbformat.write(bare, folder / "update_rule.ipynb")
    sources = [cell.source for cell in sound(folder, released)[0].cells]
    [stub] = [cell.source for cell in released.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "descend"]
    assert [place for place, source in enumerate(sources) if source == stub] == [
        1,
        max(p for p, s in enumerate(sources) if s == stub),
    ]


def test_half_a_surrogate_pair_becomes_a_question_mark(folder, released):
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "\ud800"}]
    (folder / "update_rule.ipynb").write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})
    )
    assert "?" in [cell.source for cell in sound(folder, released)[0].cells]


def tampered(released, change):
    notebook = nbformat.from_dict(json.loads(json.dumps(released)))
    check = next(cell for cell in notebook.cells if cell.get("id") == "check-gradient-step")
    change(notebook, check)
    return notebook


TAMPERING = {
    "points raised": lambda nb, check: check.metadata.nbgrader.update(points=1000),
    "check deleted": lambda nb, check: nb.cells.remove(check),
    "check copied": lambda nb, check: nb.cells.append(check),
    "check rewritten": lambda nb, check: check.update(source="1000"),
    "check turned to text": lambda nb, check: check.update(cell_type="markdown"),
    "check marked as solution": lambda nb, check: check.metadata.nbgrader.update(solution=True, grade=False),
    "schema of the future": lambda nb, check: check.metadata.nbgrader.update(schema_version=99),
    "schema of the past": lambda nb, check: check.metadata.nbgrader.update(schema_version=1),
    "metadata of the wrong kind": lambda nb, check: check.metadata.update(nbgrader=[1, 2]),
    "a grade that nobody set": lambda nb, check: nb.cells[0].metadata.update(
        nbgrader={"grade": True, "points": 50, "grade_id": "extra", "schema_version": 3}
    ),
    "no metadata at all": lambda nb, check: [cell.pop("metadata") for cell in nb.cells],
    "kernel of another language": lambda nb, check: nb.metadata.kernelspec.update(name="julia", language="julia"),
}


@pytest.mark.parametrize("how", TAMPERING)
def test_tampering_changes_neither_points_nor_checks(how, folder, released):
    (folder / "update_rule.ipynb").write_text(json.dumps(tampered(released, TAMPERING[how])))
    notebook, _ = sound(folder, released)
    assert sorted(graded_cells(notebook)) == sorted(graded_cells(released))
    checks = {
        cell.metadata.nbgrader.grade_id: cell
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade")
    }
    assert checks["check_gradient_step"].source == 'check("gradient_step", gradient_step)'
    assert all(cell.cell_type == "code" for cell in checks.values())
    assert notebook.metadata.kernelspec.name == "python3"


def test_a_class_with_broken_notebooks_is_graded_to_the_end(tmp_path, hand_in, grade_class, released):
    submitted = tmp_path / "submitted"
    hand_in(submitted, "a-good-one")
    hand_in(submitted, "z-good-one")
    for student, content in {
        "empty": b"",
        "garbage": b"\x00\xff{",
        "a space 'quote\" [0-9]": json.dumps(released).encode(),
    }.items():
        path = submitted / student / "update_rule" / "update_rule.ipynb"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    for how, change in TAMPERING.items():
        path = submitted / f"tampered {how}" / "update_rule" / "update_rule.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(tampered(released, change)))
    graded = grade_class(submitted, tmp_path / "out")
    assert {student: one.points for student, one in graded.items() if one.points} == {"a-good-one": 8, "z-good-one": 8}
    assert len(graded) == 5 + len(TAMPERING)
    assert "not a readable notebook" in graded["garbage"].feedback.read_text()


def test_folders_that_are_no_submissions_are_named(tmp_path):
    (tmp_path / "student" / "update_rule").mkdir(parents=True)
    (tmp_path / "student" / "essay").mkdir()
    found, ignored = find_submissions(tmp_path)
    assert [s.student for s in found] == ["student"]
    assert ignored == ["student handed in 'essay', which is no assignment of this course; it was left out."]


@pytest.mark.parametrize("where", ["nowhere", "empty"])
def test_a_folder_without_a_class_is_refused_with_a_sentence(where, tmp_path):
    os.mkdir(tmp_path / "empty")
    with pytest.raises(NoSubmissions, match="gdlab grade wants|expected <student>/<assignment>"):
        find_submissions(tmp_path / where)


def test_a_name_that_is_not_utf_8_is_left_out_and_said(tmp_path):
    (tmp_path / "student" / "update_rule").mkdir(parents=True)
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")
    found, ignored = find_submissions(tmp_path)
    assert [s.student for s in found] == ["student"]
    assert ignored == ["'caf\\udce9' is not a name in UTF-8; it was left out. Rename the folder."]


def test_a_folder_that_cannot_be_looked_into_stops_nobody_else(folder, monkeypatch):
    """As an ordinary user meets one that another made; root may look into all."""
    honest = submission._folders

    def refuses(parent):
        if parent.name == "closed":
            raise PermissionError(13, "Permission denied")
        return honest(parent)

    (folder.parents[1] / "closed").mkdir()
    monkeypatch.setattr(submission, "_folders", refuses)
    found, ignored = find_submissions(folder.parents[1])
    assert [one.student for one in found] == ["student"]
    assert ignored == ["closed cannot be looked into (Permission denied); it was left out."]


def test_of_a_time_only_the_beginning_is_read(folder):
    """A learner may hand in anything under that name: forty gigabytes of nothing, for instance."""
    with (folder / "timestamp.txt").open("wb") as file:
        file.truncate(40 << 30)
    assert Submission("student", "update_rule", folder).handed_in == ""
