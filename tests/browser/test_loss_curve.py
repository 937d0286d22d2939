"""The loss curve in a real browser: gdlab's smoothing and patience, both kinds of axes, marks, a reader's own losses."""

import json
import re

import pytest
from playwright.sync_api import expect

from gdlab.figures import loss_curve

pytestmark = pytest.mark.system

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


class Curve:
    """The figure on a page, as a reader meets it."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".gdl")
        self.line = page.locator(".gdl-line")
        self.says = page.locator(".gdl-says")
        self.step = page.get_by_role("slider", name="step", exact=True)

    def choose(self, axis, kind):
        self.page.get_by_role("radiogroup", name=f"{axis} axis").get_by_role("radio", name=kind).check(force=True)
        self.settle()

    def settle(self):
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        expect(self.root).to_have_attribute("data-settled", "true")

    def toggle(self, name):
        self.page.get_by_role("switch", name=name).click()

    def data(self, name):
        return json.loads(self.root.get_attribute(f"data-{name}"))

    def places(self, path):
        """The points of a path in the picture."""
        drawn = self.page.locator(path).get_attribute("d")
        return [tuple(map(float, spot)) for spot in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", drawn)]

    def tick(self, text):
        box = self.page.locator(".gdl-grid text").get_by_text(text, exact=True).first.bounding_box()
        stage = self.page.locator(".gdl-stage svg").bounding_box()
        return box["x"] + box["width"] / 2 - stage["x"], box["y"] + box["height"] / 2 - stage["y"]


@pytest.fixture
def show(open_figures):
    return lambda figure, **settings: Curve(open_figures(figure, **settings))


def test_smoothing_and_patience_are_gdlabs(open_figures):
    rough = [3.0, None, 2.0], {1: None, 2: 5.0, 3: 5.0, 4: None, 5: 4.0, 6: 4.5}
    figures = [
        *(loss_curve(beta=beta, patience=patience) for beta in (0.0, 0.5, 0.97) for patience in (1, 2, 8, 60)),
        *(loss_curve([4.0, 3.0, float("inf"), 2.0], rough[1], beta=0.9, patience=patience) for patience in (1, 2, 9)),
        loss_curve([4.0, 3.0]),
    ]
    page = open_figures(*figures)
    drawn = page.evaluate(
        "[...document.querySelectorAll('.gdl')].map((root) => [JSON.parse(root.dataset.smoothed), JSON.parse(root.dataset.stop)])"
    )
    for (smoothed, stop), figure in zip(drawn, figures, strict=True):
        known = [value for value in smoothed if value is not None]
        right = [value for value in figure.smoothed() if value is not None]
        assert known == pytest.approx(right, rel=1e-9) and len(smoothed) == len(figure.losses)
        assert stop == (list(figure.stop()) if figure.stop() else None)


@pytest.mark.parametrize("kind", ["linear", "log"])
def test_losses_stand_where_the_axes_say(show, kind):
    losses = [10.0, 1.0, 0.1, 0.01, 0.001]
    curve = show(loss_curve(losses, loss_axis=kind))
    spots = curve.places(".gdl-trail:not(.gdl-raw)")
    if kind == "log":
        for (_, py), text in zip(spots, ("10", "1", "0.1", "0.01", "0.001"), strict=True):
            assert py == pytest.approx(curve.tick(text)[1], abs=2)
        assert len({round(b[1] - a[1]) for a, b in zip(spots, spots[1:], strict=False)}) <= 2
    else:
        assert spots[0][1] == pytest.approx(curve.tick("10")[1], abs=2)
        assert spots[4][1] - spots[1][1] < (spots[1][1] - spots[0][1]) / 8


def test_a_logarithmic_step_axis_has_no_place_for_step_0(show):
    curve = show(loss_curve([5.0] * 101, step_axis="log"))
    spots = curve.places(".gdl-trail:not(.gdl-raw)")
    assert len(spots) == 100
    for step in (1, 10, 100):
        assert spots[step - 1][0] == pytest.approx(curve.tick(str(step))[0], abs=2)
    curve.choose("step", "linear")
    assert len(curve.places(".gdl-trail:not(.gdl-raw)")) == 101


def test_axes_are_chosen_by_mouse_and_by_keys(show):
    curve = show(loss_curve())
    before = curve.places(".gdl-second:not(.gdl-dots)")
    curve.choose("loss", "log")
    assert curve.places(".gdl-second:not(.gdl-dots)") != before
    expect(curve.page.locator(".gdl-grid")).to_contain_text("0.001")
    curve.page.keyboard.press("ArrowLeft")
    curve.settle()
    assert curve.places(".gdl-second:not(.gdl-dots)") == before


def test_a_change_of_axis_glides_and_with_reduced_motion_jumps(show):
    gliding = """() => { const path = document.querySelector('.gdl-second').getAttribute.bind(document.querySelector('.gdl-second'), 'd');
        const seen = new Set([path()]); document.querySelector('.gdl-segments input[value=log]').click();
        return new Promise((done) => { const watch = () => { seen.add(path());
            document.querySelector('.gdl').dataset.settled === 'true' && seen.size > 1 ? done(seen.size) : requestAnimationFrame(watch); }; requestAnimationFrame(watch); }); }"""
    assert show(loss_curve()).page.evaluate(gliding) > 3
    assert show(loss_curve(), reduced_motion="reduce").page.evaluate(gliding) == 2


def test_the_step_under_the_mouse_is_read_out(show):
    curve = show(loss_curve())
    stage = curve.page.locator(".gdl-stage svg").bounding_box()
    curve.page.mouse.move(stage["x"] + curve.tick("200")[0], stage["y"] + 80)
    expect(curve.line).to_contain_text(re.compile(r"Step (199|200|201)\."))


def test_keys_walk_along_the_run(show):
    curve = show(loss_curve())
    curve.step.focus()
    curve.page.keyboard.press("ArrowRight")
    expect(curve.line).to_contain_text("Step 21.")
    curve.page.keyboard.press("Home")
    expect(curve.line).to_contain_text("Step 0. Batch loss 2.29, smoothed 2.29. Gradient norm")
    curve.page.keyboard.press("End")
    expect(curve.line).to_contain_text("Validation 0.391 at step 295.")
    curve.page.keyboard.press("ArrowRight")
    expect(curve.line).to_contain_text("Step 299.")


def test_a_clipped_step_says_so(show):
    figure = loss_curve(step=4)
    curve = show(figure)
    expect(curve.line).to_contain_text("Gradient norm 1.94, clipped to 1.5.")
    curve.step.press("ArrowRight")
    expect(curve.line).not_to_contain_text("clipped")
    marked = curve.places(".gdl-rug")
    assert len(marked) == sum(norm > 1.5 for norm in figure.norms) == 15


@pytest.mark.parametrize(
    ("name", "words"),
    [("overfitting", "overfitting"), ("clipping", "gradient clipped: 15 steps"), ("checkpoint", "early stop")],
)
@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desk", "phone"])
def test_each_mark_can_be_put_away_and_brought_back(show, settings, name, words):
    curve = show(loss_curve(), **settings)
    label = curve.page.locator(".gdl-stage svg text").get_by_text(words)
    expect(label).to_have_count(1)
    curve.toggle(name)
    expect(label).to_have_count(0)
    curve.page.get_by_role("switch", name=name).press("Space")
    expect(label).to_have_count(1)


def test_patience_moves_the_stop_and_the_checkpoint(show):
    curve = show(loss_curve())
    expect(curve.says).to_contain_text(
        "Patience ends at step 125 and keeps the checkpoint of step 85: validation 0.224"
    )
    patience = curve.page.get_by_role("slider", name="patience")
    before = curve.places(".gdl-best")
    patience.fill("2")
    expect(curve.says).to_contain_text("Patience ends at step 50 and keeps the checkpoint of step 40")
    assert curve.places(".gdl-best")[0][0] < before[0][0]
    patience.fill("60")
    expect(curve.says).to_contain_text("Patience lasts to the end")
    expect(curve.page.locator(".gdl-best-name").get_by_text("early stop")).to_have_count(0)


def test_smoothing_shows_the_noise_behind_the_curve(show):
    curve = show(loss_curve())
    assert len(curve.places(".gdl-raw")) == 300
    smoothing = curve.page.get_by_role("slider", name="smoothing")
    smoothing.fill("0")
    expect(curve.line).not_to_contain_text("smoothed")
    assert curve.data("smoothed") == loss_curve().losses and curve.places(".gdl-raw") == []


def test_own_losses_are_drawn_without_what_they_lack(show):
    curve = show(loss_curve([4.0, 2.0, 1.0]))
    assert len(curve.places(".gdl-trail:not(.gdl-raw)")) == 3
    expect(curve.page.get_by_role("slider", name="patience")).to_be_hidden()
    expect(curve.page.get_by_role("switch")).to_have_count(0)
    expect(curve.page.locator(".gdl-stage")).not_to_contain_text("validation")


def test_own_losses_that_explode_say_so(show):
    curve = show(loss_curve([1.0, 2.0, 1e200, float("inf"), float("nan")]))
    expect(curve.says).to_contain_text("From step 3 on the loss is no number: this run diverged.")
    for axis in ("loss", "step"):
        curve.choose(axis, "log")
    assert len(curve.places(".gdl-trail:not(.gdl-raw)")) == 2


@pytest.mark.parametrize("losses", [None, [], [0.0], [-1.0, -2.0], [7.0]], ids=str)
def test_odd_losses_do_no_harm(show, losses):
    curve = show(loss_curve(losses))
    for axis in ("loss", "step"):
        curve.choose(axis, "log")
    curve.step.press("ArrowRight")
    expect(curve.line).to_contain_text(
        "Your losses" if losses is None else "no losses yet" if not losses else f"Step {len(losses) - 1}."
    )


NAMES = """() => [...document.querySelectorAll('.gdl-stage svg text')].filter((node) => !node.closest('.gdl-grid'))
    .map((node) => ({ text: node.textContent, ...node.getBoundingClientRect().toJSON() }))"""


@pytest.mark.parametrize("step", [0, 20, 60, 85, 120])
def test_on_a_phone_no_name_covers_another(show, step):
    curve = show(loss_curve(loss_axis="log", step_axis="log", step=step), **PHONE)
    names = curve.page.evaluate(NAMES)
    assert len(names) >= 6
    for i, one in enumerate(names):
        for other in names[:i]:
            beside = one["right"] < other["left"] + 4 or other["right"] < one["left"] + 4
            assert beside or abs(one["top"] - other["top"]) > 11, (one["text"], other["text"])
