"""Learning-rate regimes in a real browser: predict first, then see; the label follows the rate; numbers are gdlab's."""

import json

import pytest
from playwright.sync_api import expect

from gdlab.figures import learning_rate_regimes
from gdlab.figures.bowl import walk_path
from gdlab.figures.regimes import REGIMES, regime

pytestmark = pytest.mark.system


class Rates:
    """The figure on a page, as a reader meets it."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".gdl")
        self.rate = page.get_by_role("slider", name="learning rate")
        self.label = page.locator(".gdl-regime")
        self.verdict = page.locator(".gdl-predict [role=status]")

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def path(self):
        return json.loads(self.root.get_attribute("data-path"))

    def expect_frame(self, frame):
        expect(self.root).to_have_attribute("data-frame", str(frame), timeout=15_000)
        expect(self.root).to_have_attribute("data-settled", "true")


@pytest.fixture
def show(open_figures):
    return lambda figure, **settings: Rates(open_figures(figure, **settings))


def test_trajectories_and_regimes_are_gdlabs(open_figures):
    settings = [
        (lr, theta0) for lr in (0.0, 0.02, 0.05, 0.3, 0.5, 0.735, 0.999, 1.0, 1.05, 1.2, 10.0) for theta0 in (-1.0, 7.5)
    ]
    page = open_figures(*(learning_rate_regimes(lr=lr, theta0=theta0, ask=False) for lr, theta0 in settings))
    drawn = page.evaluate(
        "[...document.querySelectorAll('.gdl')].map((root) => [JSON.parse(root.dataset.path), root.dataset.regime])"
    )
    for (path, name), (lr, theta0) in zip(drawn, settings, strict=True):
        assert path == pytest.approx(walk_path(theta0, lr, 8), rel=1e-9, abs=1e-9)
        assert name == regime(lr)


def test_nothing_is_shown_before_the_reader_has_predicted(show):
    rates = show(learning_rate_regimes(lr=1.05))
    rates.expect_frame(0)
    expect(rates.label).to_have_text("?")
    expect(rates.button("Play")).to_have_attribute("aria-disabled", "true")
    expect(rates.page.locator(".gdl-past")).to_have_count(2)  # the start, in the picture and in the loss curve
    expect(rates.root).not_to_contain_text("too big")
    rates.rate.fill("0.5")
    rates.expect_frame(0)


@pytest.mark.parametrize("lr", [0.02, 0.3, 0.9, 1.0, 1.05])
def test_a_right_prediction_is_confirmed_and_the_walk_is_shown(show, lr):
    rates = show(learning_rate_regimes(lr=lr), reduced_motion="reduce")
    rates.button(regime(lr)).click()
    rates.expect_frame(8)
    expect(rates.label).to_contain_text(regime(lr))
    expect(rates.verdict).to_contain_text(f"✓ {regime(lr)}.")


def test_a_wrong_prediction_is_told_apart_from_what_happens(show):
    rates = show(learning_rate_regimes(lr=1.05), reduced_motion="reduce")
    rates.button("converging").click()
    expect(rates.verdict).to_contain_text("You said converging; it is diverging. Each hop lands further out")


def test_the_walk_plays_after_a_prediction(show):
    rates = show(learning_rate_regimes(lr=1.05, steps=3))
    rates.button("diverging").click()
    expect(rates.root).to_have_attribute("data-frame", "1")
    rates.expect_frame(3)


def test_moving_on_leaves_the_prediction_behind(show):
    rates = show(learning_rate_regimes(lr=1.05), reduced_motion="reduce")
    rates.button("critical").click()
    rates.rate.fill("0.3")
    expect(rates.verdict).to_contain_text("converging. It comes closer")
    expect(rates.verdict).not_to_contain_text("You said")


def test_one_can_be_asked_again(show):
    rates = show(learning_rate_regimes(lr=0.02), reduced_motion="reduce")
    seen = []
    for _ in range(6):
        rates.button("critical").click()
        seen.append(rates.root.get_attribute("data-regime"))
        rates.button("Ask me another").click()
        expect(rates.label).to_have_text("?")
    assert set(seen) == set(REGIMES)


def test_the_focus_stays_in_the_question(show):
    rates = show(learning_rate_regimes(), reduced_motion="reduce")
    rates.button("crawling").focus()
    rates.page.keyboard.press("Enter")
    expect(rates.button("Ask me another")).to_be_focused()
    rates.page.keyboard.press("Enter")
    expect(rates.button("crawling")).to_be_focused()


def test_the_label_follows_the_rate(show):
    rates = show(learning_rate_regimes(ask=False))
    for lr, name in (
        (0.02, "crawling"),
        (0.5, "converging"),
        (0.7, "overshooting"),
        (1.0, "critical"),
        (1.005, "diverging"),
    ):
        rates.rate.fill(str(lr))
        expect(rates.label).to_contain_text(name)
        assert rates.path() == pytest.approx(walk_path(-1.0, lr, 8), abs=1e-9)


def test_presets_set_the_rate_and_play(show):
    rates = show(learning_rate_regimes(ask=False), reduced_motion="reduce")
    for words, lr in (("too big", 1.05), ("right", 0.3), ("too small", 0.02)):
        rates.page.get_by_role("radio", name=words).check(force=True)
        expect(rates.rate).to_have_value(str(lr))
        rates.expect_frame(8)


def test_the_marks_stand_under_the_slider_where_they_belong(show):
    rates = show(learning_rate_regimes(ask=False))
    marks = rates.page.locator(".gdl-mark")
    for i, lr in enumerate(("0.5", "1")):
        rates.rate.fill(lr)
        expect(rates.label).to_contain_text(regime(float(lr)))
        expect(rates.root).to_have_attribute("data-settled", "true")
        track, mark = rates.rate.bounding_box(), marks.nth(i).evaluate("node => node.getBoundingClientRect().x")
        expected = track["x"] + 8 + (track["width"] - 16) * float(lr) / 1.2
        assert mark == pytest.approx(expected, abs=1.5)


def test_a_walk_that_leaves_all_numbers_does_no_harm(show):
    rates = show(learning_rate_regimes(lr=10.0, steps=200, ask=False))
    rates.button("Reset").click()
    rates.expect_frame(0)
