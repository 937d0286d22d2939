"""The learning-rate finder in a real browser: gdlab's suggestion, a rate dragged along a logarithmic axis, the blow-up."""

import json
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from gdlab.diagnose import smooth
from gdlab.figures import lr_finder

pytestmark = pytest.mark.system

LRS = [10.0**power for power in range(-4, 2)]
LOSSES = [2.3, 2.2, 1.8, 1.0, 0.8, 500.0]


class Finder:
    """The figure on a page, as a reader meets it."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".gdl")
        self.line = page.locator(".gdl-line")
        self.says = page.locator(".gdl-says")
        self.rate = page.get_by_role("slider", name="learning rate", exact=True)

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def picked(self):
        return float(re.search(r"η = ([\d.]+)", self.rate.get_attribute("aria-valuetext"))[1])

    def places(self, path):
        drawn = self.page.locator(path).first.get_attribute("d")
        return [tuple(map(float, spot)) for spot in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", drawn)]

    def tick(self, text):
        box = self.page.locator(".gdl-stage .gdl-grid text").get_by_text(text, exact=True).last.bounding_box()
        return box["x"] + box["width"] / 2

    def drag_to(self, x):
        box = self.rate.locator(".gdl-thumb").bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.mouse.down()
        self.page.mouse.move(x, box["y"] + 3, steps=6)
        self.page.mouse.up()
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        expect(self.root).to_have_attribute("data-settled", "true")


@pytest.fixture
def show(open_figures):
    return lambda figure, **settings: Finder(open_figures(figure, **settings))


def test_smoothing_slopes_and_suggestion_are_gdlabs(open_figures):
    uneven = [1e-4, 3e-4, 2e-3, 1e-2, 0.3, 1.0, 4.0]
    figures = [
        *(lr_finder(beta=beta, skip=skip) for beta in (0.0, 0.5, 0.9) for skip in (0, 5, 40, 1000)),
        *(lr_finder(uneven, [2.0, 2.1, 1.9, 1.5, 0.7, 0.8, float("inf")], beta=beta) for beta in (0.0, 0.6)),
        lr_finder(uneven, [2.0, float("nan"), 1.9, 1.5, 0.7, 0.8, 9.0]),
        lr_finder([0.1, 1.0], [1.0, 2.0]),
        lr_finder([0.1], [1.0]),
    ]
    page = open_figures(*figures)
    drawn = page.evaluate(
        "[...document.querySelectorAll('.gdl')].map(({ dataset }) => [dataset.smoothed, dataset.slopes, dataset.suggested])"
    )
    for texts, figure in zip(drawn, figures, strict=True):
        smoothed, slopes, suggested = map(json.loads, texts)
        right = smooth([np.nan if loss is None else loss for loss in figure.losses], figure.beta)
        assert np.array(smoothed, dtype=float) == pytest.approx(right, rel=1e-9, nan_ok=True)
        lrs, losses = figure.curve()
        known = np.isfinite(losses)
        if known.sum() >= 2:
            assert slopes == pytest.approx(np.gradient(losses[known], np.log(lrs[known])).tolist(), rel=1e-9, abs=1e-9)
        assert suggested == figure.suggestion()


def test_rates_stand_where_the_logarithmic_axis_says(show):
    finder = show(lr_finder(LRS, LOSSES))
    left = finder.page.locator(".gdl-stage svg").bounding_box()["x"]
    spots = finder.places(".gdl-stage .gdl-trail:not(.gdl-raw)")
    for (px, _), text in zip(spots, ("0.0001", "0.001", "0.01", "0.1", "1", "10"), strict=True):
        assert left + px == pytest.approx(finder.tick(text), abs=2)


def test_a_rate_is_dragged_along_the_logarithmic_axis(show):
    finder = show(lr_finder())
    for text in ("0.001", "0.1"):
        finder.drag_to(finder.tick(text))
        assert finder.picked() == pytest.approx(float(text), rel=0.06)
    expect(finder.line).to_contain_text("before the lowest.")
    finder.drag_to(finder.tick("1") + 200)
    assert finder.picked() == pytest.approx(lr_finder().lrs[-1], rel=0.01)
    expect(finder.line).to_contain_text("beyond the lowest: the blow-up has begun.")


def test_keys_multiply_the_rate(show):
    finder = show(lr_finder(lr=0.01))
    finder.rate.focus()
    for key, factor in (("ArrowRight", 10**0.02), ("ArrowLeft", 1), ("PageUp", 10**0.2)):
        finder.page.keyboard.press(key)
        finder.page.wait_for_function("document.querySelector('.gdl').dataset.settled === 'true'")
        expect(finder.rate).to_have_attribute("aria-valuetext", re.compile(rf"η = {0.01 * factor:.3g}"[:9]))
    finder.page.keyboard.press("Home")
    expect(finder.rate).to_have_attribute("aria-valuetext", re.compile("η = 0.0001,"))


def test_a_finger_moves_the_rate(show):
    finder = show(lr_finder(), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    box = finder.rate.locator(".gdl-thumb").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before, hand = finder.picked(), finder.page.context.new_cdp_session(finder.page)
    for kind, points in (
        ("touchStart", [(x, y)]),
        ("touchMove", [(x + 25, y)]),
        ("touchMove", [(x + 50, y)]),
        ("touchEnd", []),
    ):
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": px, "y": py} for px, py in points]})
    expect(finder.line).not_to_contain_text(f"η = {before}")
    assert finder.picked() > 2 * before


def test_buttons_snap_to_the_suggestion_and_to_a_tenth_of_the_lowest(show):
    figure = lr_finder(LRS, LOSSES)
    finder = show(figure)
    finder.button("Take the suggestion").click()
    expect(finder.line).to_contain_text(
        f"η = {figure.suggestion():.3g}. Loss 1.8, before the lowest. It is the suggestion."
    )
    finder.button("Lowest ÷ 10").press("Enter")
    expect(finder.line).to_contain_text("η = 0.1.")


def test_the_suggestion_is_shown_when_the_reader_asks_for_it(show):
    finder = show(lr_finder(reveal=False))
    name = finder.page.locator(".gdl-best-name")
    expect(name).to_have_count(0)
    expect(finder.says).to_contain_text("Which rate would you take?")
    expect(finder.root).not_to_contain_text("0.578")
    expect(finder.button("Take the suggestion")).to_have_attribute("aria-disabled", "true")
    finder.page.get_by_role("switch", name="show the suggestion").click()
    expect(name).to_have_text("suggested: 0.578")
    expect(finder.says).to_contain_text("The loss falls fastest at 0.578, and is lowest at 1.09")


def test_skipped_points_are_left_out_of_the_suggestion(show):
    finder = show(lr_finder([1e-3, 1e-2, 1e-1, 1.0], [9.0, 2.0, 1.9, 1.0]))
    expect(finder.root).to_have_attribute("data-suggested", "0.001")
    finder.page.get_by_role("slider", name="points skipped").fill("1")
    expect(finder.root).to_have_attribute("data-suggested", "1")


def test_the_blow_up_leaves_the_picture_and_not_the_page(show):
    finder = show(lr_finder(LRS, LOSSES))
    expect(finder.page.locator(".gdl-stage").get_by_text("blow-up")).to_be_visible()
    spots = finder.places(".gdl-stage .gdl-trail:not(.gdl-raw)")
    assert spots[-1][1] < 0 < spots[4][1]
    edge = float(finder.page.locator(".gdl-after").get_attribute("x"))
    assert edge == pytest.approx(spots[4][0], abs=0.1)


def test_a_learners_own_suggestion_stands_beside_gdlabs(show):
    finder = show(lr_finder(LRS, LOSSES, suggest=lambda lrs, losses: 1e-3))
    expect(finder.page.locator(".gdl-best-name")).to_have_text("your suggestion: 0.001")
    expect(finder.page.locator(".gdl-stage")).to_contain_text("gdlab: 0.01")
    expect(finder.says).to_contain_text("Your function suggests 0.001. The loss falls fastest at 0.01,")
    expect(
        finder.page.get_by_role("slider", name="smoothing")
    ).to_be_hidden()  # without a kernel nobody can ask it again


def test_a_learners_unwritten_suggestion_says_what_to_do(show):
    def stub(lrs, losses):
        raise NotImplementedError

    expect(show(lr_finder(suggest=stub)).line).to_contain_text("Your suggest function is not written yet")


@pytest.mark.parametrize(
    "curve", [(None,), ([], []), ([0.1], [1.0]), ([0.1, 1.0], [float("nan")] * 2), ([0.1, 1.0], [-1.0, -1.0])], ids=str
)
def test_odd_curves_do_no_harm(show, curve):
    finder = show(lr_finder(*curve))
    finder.rate.press("ArrowRight")
    finder.button("Lowest ÷ 10").click(force=True)
    expect(finder.says).to_contain_text("The loss never falls along this curve")
