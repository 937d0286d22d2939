"""Formgrader in a real browser, on a class that was graded here: an instructor reads a verdict and decides otherwise."""

from pathlib import Path
from urllib.parse import quote

import pytest
from nbgrader.api import Gradebook
from playwright.sync_api import expect
from typer.testing import CliRunner

from gdlab.cli import app

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")]
LOADED = "window.formgrader && formgrader.grades?.loaded && formgrader.comments?.loaded"


@pytest.fixture(scope="module")
def folder(hand_in, grade_class, sample_class, tmp_path_factory) -> Path:
    """A class of two; Ben's descend is right for numbers only, like Mateo's: it moves one coordinate after the other."""
    folder = tmp_path_factory.mktemp("class")
    [one_by_one] = [learner.answers["descend"] for learner in sample_class.CLASS if learner.name == "mateo"]
    hand_in(folder / "submitted", "ada")
    hand_in(folder / "submitted", "ben", walk=one_by_one)
    grade_class(folder / "submitted", folder)
    return folder


@pytest.fixture
def bens(folder, open_formgrader, browser):
    """The page on which Ben's notebook is graded by hand, with its scores loaded.

    It is nbconvert's template that asks a host for MathJax; here it gets nothing, and the page has to do without.
    """
    with open_formgrader(folder) as running:
        context = browser.new_context(viewport={"width": 1440, "height": 1000})
        context.route(lambda url: not url.startswith(running.url), lambda route: route.abort())
        page = context.new_page()
        page.goto(f"{running.url}/formgrader/submissions/{quote(running.submission_of('ben')['id'])}/")
        page.wait_for_function(LOADED)
        yield page
        context.close()


def score_of(page, exercise: str):
    return page.locator(f"input#check_{exercise}")


def test_an_instructor_reads_the_verdicts_and_what_they_set_by_hand_survives_a_regrade(bens, folder):
    expect(score_of(bens, "gradient_step")).to_have_attribute("placeholder", "3")
    expect(score_of(bens, "descend")).to_have_attribute("placeholder", "2")  # part marks, of 5
    expect(bens.locator(".gdlab-verdict", has_text="descend").first).to_be_visible()
    score_of(bens, "descend").fill("4")
    with bens.expect_response(lambda answer: "/api/grade/" in answer.url and answer.request.method == "PUT") as saved:
        score_of(bens, "descend").press("Tab")
    assert saved.value.ok
    comment = bens.locator("textarea#descend-comment")
    comment.fill("Right for numbers.")
    with bens.expect_response(lambda answer: "/api/comment/" in answer.url and answer.request.method == "PUT") as saved:
        comment.blur()
    assert saved.value.ok
    done = CliRunner().invoke(app, ["grade", str(folder / "submitted"), "--out", str(folder), "--regrade", "--yes"])
    assert done.exit_code == 0, done.output
    bens.reload()
    bens.wait_for_function(LOADED)
    expect(score_of(bens, "descend")).to_have_value("4")
    expect(score_of(bens, "descend")).to_have_attribute("placeholder", "2")
    expect(comment).to_have_value("Right for numbers.")
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        assert book.find_submission("update_rule", "ben").score == 3 + 4
    page = (folder / "feedback" / "ben" / "update_rule" / "update_rule.html").read_text()
    assert "7 of 20 points" in page and "Right for numbers." in page
