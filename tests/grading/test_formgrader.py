"""What an instructor sees: nbgrader's own formgrader, a running one, on a class that was graded here."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest


@pytest.fixture(scope="module")
def graded(hand_in, grade_class, tmp_path_factory) -> Path:
    """The results of a class of three: all that was handed in right, half of it, and untouched stubs."""
    folder = tmp_path_factory.mktemp("class")
    hand_in(folder / "submitted", "ada")
    hand_in(folder / "submitted", "ben", walk="return theta")
    hand_in(folder / "submitted", "dora", step="", walk="")
    grade_class(folder / "submitted", folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def formgrader(graded, open_formgrader):
    with open_formgrader(graded) as running:
        yield running


def test_formgrader_lists_the_scores(formgrader):
    scores = {
        s["student"]: (s["score"], s["max_score"])
        for s in formgrader.ask("submitted_notebooks/update_rule/update_rule")
    }
    assert scores == {"ada": (8, 20), "ben": (3, 20), "dora": (0, 20)}


def test_formgrader_reads_the_points_of_every_check(formgrader):
    grades = formgrader.ask(f"grades?submission_id={formgrader.submission_of('ben')['id']}")
    points = {grade["name"]: (grade["auto_score"], grade["max_score"]) for grade in grades}
    assert points["check_gradient_step"] == (3, 3) and points["check_descend"] == (0, 5)


def test_formgrader_reads_the_comment_on_an_untouched_stub(formgrader):
    comments = formgrader.ask(f"comments?submission_id={formgrader.submission_of('dora')['id']}")
    said = {comment["name"]: comment["auto_comment"] for comment in comments}
    assert said["gradient_step"] == "No response." and said["descend"] == "No response."


def test_formgraders_page_shows_verdict_and_part_marks(formgrader, graded):
    page = formgrader.get(f"/formgrader/submissions/{quote(formgrader.submission_of('ben')['id'])}/")
    stored = json.loads((graded / "autograded" / "ben" / "update_rule" / "update_rule.ipynb").read_text())
    [check] = [c for c in stored["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "check_descend"]
    [verdict] = [output["metadata"]["gdlab"] for output in check["outputs"]]
    assert verdict["sentences"][0] in page and 'id="check_descend"' in page
