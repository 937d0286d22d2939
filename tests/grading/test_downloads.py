"""File names as Canvas and Moodle make them: whose each file is, and what the learner called it."""

import re
from pathlib import Path

import pytest

from gdlab.grading.downloads import Handed, from_canvas, from_moodle, moodle_namesakes

CANVAS = {
    "doejane_12345_67890_update_rule.ipynb": Handed("doejane_12345", "update_rule", "12345"),
    "doejane_LATE_12345_67890_update_rule.ipynb": Handed("doejane_12345", "update_rule", "12345", late=True),
    "doejane_12345_67890_update_rule-2.ipynb": Handed("doejane_12345", "update_rule", "12345"),
    "doejane_12345_67890_update_rule (1).ipynb": Handed("doejane_12345", "update_rule", "12345"),
    "münzerjörg_7_8_my work.ipynb": Handed("münzerjörg_7", "my work", "7"),
    "anon_a8Zk1_67890_update_rule.ipynb": Handed("anon_a8Zk1", "update_rule"),
    "LATE_anon_a8Zk1_67890_update_rule.ipynb": Handed("anon_a8Zk1", "update_rule", late=True),
    "doejane_12345_67890_2_3_update_rule.ipynb": Handed("doejane_12345", "2_3_update_rule", "12345"),
    "submissions/doejane_12345_67890_my work/update_rule.ipynb": Handed("doejane_12345", "update_rule", "12345"),
}
MOODLE = {
    "Jane Doe_98765_assignsubmission_file/update_rule.ipynb": Handed("Jane Doe", "update_rule"),
    "Jane Doe_98765_assignsubmission_file/work/update_rule.ipynb": Handed("Jane Doe", "update_rule"),
    "Jane Doe_98765_assignsubmission_file_/update_rule.ipynb": Handed("Jane Doe", "update_rule"),
    "Jane Doe_98765_assignsubmission_file_update_rule.ipynb": Handed("Jane Doe", "update_rule"),
    "Siân O'Neil-Łuk_9_assignsubmission_file_update_rule (2).ipynb": Handed("Siân O'Neil-Łuk", "update_rule"),
    "Participant_98765_assignsubmission_file_update_rule.ipynb": Handed("Participant", "update_rule"),
}


@pytest.mark.parametrize("name", CANVAS)
def test_a_file_from_canvas_says_whose_it_is(name):
    assert from_canvas(Path("/course/downloaded/update_rule/extracted", name)) == CANVAS[name]


@pytest.mark.parametrize("name", MOODLE)
def test_a_file_from_moodle_says_whose_it_is(name):
    assert from_moodle(Path("/course/downloaded/update_rule/extracted", name)) == MOODLE[name]


@pytest.mark.parametrize(
    "name", ["update_rule.ipynb", "a_b.ipynb", "doejane_1_2_work/.ipynb_checkpoints/update_rule-checkpoint.ipynb"]
)
def test_what_no_lms_has_named_is_nobodys(name):
    path = Path("/course/downloaded/update_rule/extracted", name)
    assert from_canvas(path) is None and from_moodle(path) is None


@pytest.mark.parametrize(
    ("read", "path", "learner"),
    [
        (
            from_moodle,
            "Mallory_1_assignsubmission_file/Jane Doe_98765_assignsubmission_file_update_rule.ipynb",
            "Mallory",
        ),
        (
            from_moodle,
            "Mallory_1_assignsubmission_file_w/Jane Doe_9_assignsubmission_file/update_rule.ipynb",
            "Mallory",
        ),
        (
            from_moodle,
            "Mallory_1_assignsubmission_file/downloaded/a/extracted/Jane_9_assignsubmission_file_a.ipynb",
            "Mallory",
        ),
        (from_canvas, "mallory_1_2_work/doejane_12345_67890_update_rule.ipynb", "mallory_1"),
    ],
)
def test_nobody_hands_in_for_somebody_else_by_the_names_in_an_archive(read, path, learner):
    """What an LMS named is outside; what lies deeper was named by who handed it in."""
    assert read(Path("/course_1_2_x/downloaded/update_rule/extracted", path)).learner == learner


def test_nobody_makes_a_namesake_of_somebody_else():
    names = (
        "Jane_9_assignsubmission_file/a.ipynb",
        "Mallory_1_assignsubmission_file/Jane_8_assignsubmission_file/a.ipynb",
    )
    assert moodle_namesakes(map(Path, names)) == frozenset()


def test_namesakes_in_moodle_are_told_apart_by_number_and_nobody_else_is():
    names = [
        "Jane Doe_1_assignsubmission_file",
        "Jane Doe_2_assignsubmission_file",
        "Ed_3_assignsubmission_file",
        "x.txt",
    ]
    assert moodle_namesakes(map(Path, [*names, names[2]])) == {"Jane Doe"}
    assert [from_moodle(Path(name, "a.ipynb"), {"Jane Doe"}).learner for name in names[:3]] == [
        "Jane Doe 1",
        "Jane Doe 2",
        "Ed",
    ]


def test_blind_marking_in_moodle_tells_its_participants_apart():
    names = ["Participant_1_assignsubmission_file", "Participant_2_assignsubmission_file"]
    assert moodle_namesakes(map(Path, names)) == {"Participant"}


def test_the_books_page_for_instructors_says_the_same(root):
    page = (root / "book" / "run-a-class.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (Canvas|Moodle)[^|]*\| `([^`]+)` \| `([^`]+)` \|$", page, re.MULTILINE)
    assert len(rows) == 4
    read = {"Canvas": from_canvas, "Moodle": from_moodle}
    assert {name: read[lms](Path(name)).learner for lms, name, _ in rows} == {
        name: learner for _, name, learner in rows
    }
