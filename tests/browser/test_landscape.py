"""Landscape in a real browser: gdlab's walks and ends, a start that is dragged, noise, the ridge, predict first."""

import json

import numpy as np
import pytest
from playwright.sync_api import expect

from gdlab.figures import landscape
from gdlab.figures.base import LIBRARY, packed
from gdlab.figures.basins import FAN, OUTCOMES, RULES, SCALE, escape_step, kicks, middles, outcome, outcome_map

pytestmark = pytest.mark.system

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


class Wells:
    """The figure on a page, as a reader meets it."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".gdl")
        self.line = page.locator(".gdl-line")
        self.label = page.locator(".gdl-regime")
        self.says = page.locator(".gdl-says")
        self.verdict = page.locator(".gdl-predict [role=status]")
        self.map = page.get_by_role("slider", name="start and rate", exact=True)
        self.start = page.get_by_role("slider", name="start", exact=True)
        self.noise = page.get_by_role("slider", name="gradient noise")
        self.step = page.get_by_role("slider", name="step", exact=True)

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def data(self, name):
        return json.loads(self.root.get_attribute(f"data-{name}"))

    def expect_settled(self):
        expect(self.root).to_have_attribute("data-settled", "true")

    def expect_walk(self, wells):
        """What is drawn is what gdlab walks for these settings."""
        expect(self.root).to_have_attribute("data-ending", wells.outcome())
        self.expect_settled()
        assert flat(self.data("path")) == pytest.approx(flat(wells.trajectory()), rel=1e-9, abs=1e-9)

    def tiles(self, ending, svg="Which start"):
        """How much of the map an outcome has, or of the strip above it; both in one picture, the map first."""
        paths = self.page.locator(f"svg[aria-label^='{svg}'] path[fill$='{OUTCOMES.index(ending)})']")
        return [areas(d) for d in paths.evaluate_all("all => all.map((one) => one.getAttribute('d'))")]


def areas(d):
    """The area of tiles M left top H right V bottom H left z."""
    corners = [
        [float(number) for number in tile.replace("H", " ").replace("V", " ").split()]
        for tile in d.replace("M", "").split("z")[:-1]
    ]
    return sum((right - left) * (bottom - top) for left, top, right, bottom, _ in corners)


def flat(path):
    return np.array(path, dtype=float).ravel()


@pytest.fixture
def show(open_figures):
    return lambda figure, **settings: Wells(open_figures(figure, **settings))


@pytest.fixture
def run(page):
    """Run one line of JavaScript that knows the library."""
    page.add_script_tag(content="\n".join(map(packed, LIBRARY)))

    def run(line, **names):
        return page.evaluate(f"({{ {', '.join(names)} }}) => {line}", names)

    return run


# The mathematics


def test_walks_and_ends_are_gdlabs(open_figures):
    settings = [(start, lr) for start in (-0.3, 0.001, 0.0, 1.7) for lr in (0.02, 0.15, 0.24)] + [
        (1.9, 0.3),
        (0.4, 0.52),
    ]
    figures = [landscape(start=start, lr=lr, ask=False) for start, lr in settings]
    figures += [landscape(surface="saddle", start=start, lr=4 * lr, height=1.3, ask=False) for start, lr in settings]
    figures += [landscape(start=0.1, noise=1.2, seed=9_999, steps=90, ask=False)]
    figures += [landscape(surface="saddle", start=0.0, noise=0.3, seed=3, ask=False)]
    figures += [
        landscape(rule=rule, surface=surface, start=start, lr=lr * SCALE[surface], noise=noise, seed=4, ask=False)
        for rule in ("schedule_free_sgd", "schedule_free_adamw")
        for surface in SCALE
        for start, lr, noise in (
            (-0.3, 0.05, 0.0),
            (0.001, 0.3, 0.0),
            (1.7, 0.15, 0.0),
            (0.0, 0.1, 0.8),
            (1.9, 0.5, 0.0),
        )
    ]
    drawn = open_figures(*figures).evaluate(
        "[...document.querySelectorAll('.gdl')].map((root) => ({ ...root.dataset }))"
    )
    for said, wells in zip(drawn, figures, strict=True):
        # Where a walk bounces, rounding grows at every hop: there only its beginning can be compared.
        path = wells.trajectory()[: 12 if wells.outcome() in ("bouncing", "diverged") else None]
        assert flat(json.loads(said["path"])[: len(path)]) == pytest.approx(flat(path), rel=1e-9, abs=1e-9)
        assert said["ending"] == wells.outcome()
        off = escape_step(wells.trajectory())
        assert int(said["escape"]) == (-1 if off is None else off)
        counts = wells.shares()
        assert np.array(json.loads(said["counts"])) / sum(json.loads(said["counts"])) == pytest.approx(
            [counts[name] / FAN for name in OUTCOMES]
        )


MADE = {
    "gradient_descent": "gradientDescent()",
    "schedule_free_sgd": "scheduleFreeSgd()",
    "schedule_free_adamw": "scheduleFreeAdamw()",
}
SLOPES = {"double_well": "doubleWell.grad", "saddle": "(y) => saddle.grad([0, y])[1]"}


def test_the_map_is_gdlabs(run):
    starts = middles(-1.9, 1.9, 50)
    for rule, made in MADE.items():
        # At larger rates AdamW's walks leave a well again once rounding has grown, at a step of each language's own.
        rates = middles(0, 0.45 if rule == "schedule_free_adamw" else 0.55, 40)
        there = {"starts": starts, "rates": rates}
        for surface, slope in SLOPES.items():
            found = run(
                f"rates.map((lr) => starts.map((start) => endings[wellEnding({made}, {slope}, start, lr)]))", **there
            )
            assert found == outcome_map(starts, rates, surface, rule)


@pytest.mark.parametrize("rule", MADE)
def test_the_map_with_noise_is_gdlabs(run, rule):
    starts, rates, seed = middles(-1.5, 1.5, 16), [0.05, 0.12, 0.2], 7
    pushed = "kicksOf(seed, 40, 1).map(([kick]) => kick)"
    found = run(
        f"rates.map((lr) => starts.map((start) => "
        f"endings[wellEnding({MADE[rule]}, doubleWell.grad, start, lr, 0.8, {pushed})]))",
        starts=starts,
        rates=rates,
        seed=seed,
    )
    assert found == [
        [outcome("double_well", start, lr, RULES[rule], 40, 0.8, seed) for start in starts] for lr in rates
    ]


def test_noise_is_the_same_numbers_in_both_languages(run):
    found = run("kicksOf(11, 30, 2)")
    assert flat(found) == pytest.approx(flat(kicks("saddle", 11, 30)), rel=1e-9, abs=1e-9)


# Basins


def test_another_rule_walks_is_judged_by_its_average_and_has_its_own_map(show):
    wells = show(landscape(start=0.4, lr=0.3, ask=False))
    expect(wells.label).to_contain_text("bouncing")
    pick = wells.page.get_by_label("rule", exact=True)
    for rule in ("schedule_free_sgd", "schedule_free_adamw"):
        pick.select_option(rule)
        wells.expect_walk(landscape(rule=rule, start=0.4, lr=0.3))
        expect(wells.label).to_contain_text("right well")
        expect(wells.line).to_contain_text("average θ = 1")
        assert wells.tiles("bouncing")[0] < 0.01 * wells.tiles("right")[0]
    expect(wells.label).not_to_contain_text("L″")
    expect(wells.page.get_by_text("2/L″ =")).to_have_count(0)
    pick.select_option("gradient_descent")
    expect(wells.label).to_contain_text("bouncing L″·η = 2.4")
    expect(wells.line).not_to_contain_text("average")


def test_a_name_in_the_map_stands_on_its_own_region(show):
    wells = show(landscape(rule="schedule_free_sgd", start=0.4, lr=0.3, ask=False))
    name = wells.page.locator("svg[aria-label^='Which start'] .gdl-here", has_text="diverged")
    x = float(name.get_attribute("x"))
    ends = outcome_map(middles(-1.9, 1.9, 200), [0.54], rule="schedule_free_sgd")[0]
    window = wells.page.locator("svg[aria-label^='Which start'] clipPath rect")
    left, across = (float(window.get_attribute(side)) for side in ("x", "width"))
    assert ends[int(200 * (x - left) / across)] == "diverged" != ends[100]


def test_the_strip_shows_the_basins_at_the_rate_and_breaks_up_as_it_rises(show):
    shares = {}
    for lr in (0.05, 0.15, 0.3):
        wells = show(landscape(lr=lr, ask=False))
        strip = {name: wells.tiles(name)[1] for name in OUTCOMES}
        shares[lr] = {name: area / sum(strip.values()) for name, area in strip.items()}
        (right,) = outcome_map(middles(-1.9, 1.9, 300), [lr])
        for name in OUTCOMES:
            assert shares[lr][name] == pytest.approx(right.count(name) / 300, abs=0.02)
    pieces = show(landscape(lr=0.15, ask=False)).page.locator("path[fill$='0)']").last.get_attribute("d").count("M")
    assert pieces == 2  # the left well's own side, and what is thrown over from the right
    assert shares[0.05]["bouncing"] == 0 and shares[0.3]["left"] == 0 and shares[0.3]["diverged"] > 0.1


def test_with_noise_the_strip_shows_how_many_seeds_end_where(show):
    wells = show(landscape(start=0.0, noise=1.0, ask=False))
    strip = [wells.tiles(name)[1] for name in OUTCOMES]
    assert strip[0] == pytest.approx(strip[1], rel=0.2) and sum(strip[2:]) == 0
    blurred = wells.page.locator("path[fill$='0)']").last.get_attribute("d").count("M")
    assert blurred > 100
    counts = landscape(start=0.0, noise=1.0).shares()
    expect(wells.says).to_have_text(f"Of 40 seeds: {counts['left']} left well, {counts['right']} right well.")


def test_the_map_has_every_region_and_its_name(show):
    wells = show(landscape(ask=False))
    window = wells.page.locator("svg[aria-label^='Which start'] clipPath rect")
    across, up = (float(window.get_attribute(name)) / 3 for name in ("width", "height"))  # tiles of 3 pixels
    right = sum(outcome_map(middles(-1.9, 1.9, 2 * round(across / 2)), middles(0, 0.55, round(up))), [])
    total = sum(wells.tiles(name)[0] for name in OUTCOMES)
    for name in OUTCOMES:
        assert wells.tiles(name)[0] / total == pytest.approx(right.count(name) / len(right), abs=0.001)
    names = wells.page.locator("svg[aria-label^='Which start'] .gdl-here").all_text_contents()
    assert [name for name in names if name] == ["left well", "right well", "bouncing", "diverged"]
    for mark in ("1/L″ = 0.125", "2/L″ = 0.25"):
        expect(wells.page.get_by_text(mark)).to_be_visible()


# Controls


def drag(wells, node, dx, dy):
    box = node.locator(".gdl-thumb").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    wells.page.mouse.move(x, y)
    wells.page.mouse.down()
    wells.page.mouse.move(x + dx, y + dy, steps=5)
    wells.page.mouse.up()
    wells.expect_settled()


def pixels(wells):
    """The map's pixels for one unit of the start."""
    ticks = wells.page.locator("svg[aria-label^='Which start'] .gdl-grid text")
    at = [ticks.filter(has_text=text).last.bounding_box() for text in ("−1", "1")]
    return (at[1]["x"] + at[1]["width"] / 2 - at[0]["x"] - at[0]["width"] / 2) / 2


def test_the_start_is_dragged_on_the_curve(show):
    wells = show(landscape(start=0.4, ask=False))
    drag(wells, wells.start, -pixels(wells), 0)
    start = float(wells.start.get_attribute("aria-valuenow"))
    assert start == pytest.approx(-0.6, abs=0.03)
    wells.expect_walk(landscape(start=start))
    expect(wells.label).to_contain_text("left well")


def test_start_and_rate_are_dragged_in_the_map(show):
    wells = show(landscape(start=0.4, ask=False))
    drag(wells, wells.map, 0, -100)
    expect(wells.label).to_contain_text("bouncing")
    text = wells.map.get_attribute("aria-valuetext")
    assert text.startswith("θ₀ = 0.4, η = 0.3")
    drag(wells, wells.map, pixels(wells) * 1.4, 0)
    expect(wells.label).to_contain_text("diverged")


def test_a_finger_drags_the_start_and_the_page_stays(show):
    wells = show(landscape(start=0.4, ask=False), **PHONE)
    wells.map.evaluate("node => node.scrollIntoView({ block: 'center' })")
    stood, box = wells.page.evaluate("scrollY"), wells.map.locator(".gdl-thumb").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    finger = wells.page.context.new_cdp_session(wells.page)
    for kind, points in (
        ("touchStart", [(x, y)]),
        ("touchMove", [(x - 40, y)]),
        ("touchMove", [(x - 90, y)]),
        ("touchEnd", []),
    ):
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})
    expect(wells.label).to_contain_text("left well")
    assert wells.page.evaluate("scrollY") == stood


def test_keys_move_start_and_rate(show):
    wells = show(landscape(start=0.4, ask=False))
    wells.map.focus()
    for key, text in (
        ("ArrowRight", "θ₀ = 0.42, η = 0.05"),
        ("ArrowUp", "θ₀ = 0.42, η = 0.055"),
        ("PageUp", "θ₀ = 0.42, η = 0.105"),
        ("ArrowLeft", "θ₀ = 0.4, η = 0.105"),
        ("Home", "θ₀ = −0.3, η = 0.05"),
    ):
        wells.page.keyboard.press(key)
        expect(wells.map).to_have_attribute("aria-valuetext", text)
    wells.start.focus()
    wells.page.keyboard.press("End")
    expect(wells.start).to_have_attribute("aria-valuetext", "θ₀ = 1.9")


def test_the_rate_has_a_slider_as_long_as_the_map_is_high(show):
    for surface, scale in (("double_well", 1), ("saddle", 4)):
        wells = show(landscape(surface=surface, start=0.4, ask=False))
        rate = wells.page.get_by_role("slider", name="learning rate")
        rate.fill(str(0.3 * scale))
        expect(wells.map).to_have_attribute(
            "aria-valuetext", f"{'y' if scale > 1 else 'θ'}₀ = 0.4, η = {0.3 * scale:g}"
        )
        expect(wells.label).to_have_text("bouncing L″·η = 2.4")
        rate.press("End")
        assert float(rate.input_value()) == pytest.approx(0.55 * scale)
        expect(wells.label).to_contain_text("diverged")


def test_a_key_that_changes_the_rate_leaves_a_nudge_what_it_is(show):
    wells = show(landscape(start=0.001, ask=False))
    wells.map.focus()
    wells.page.keyboard.press("ArrowUp")
    expect(wells.map).to_have_attribute("aria-valuetext", "θ₀ = 0.001, η = 0.055")
    wells.expect_walk(landscape(start=0.001, lr=0.055))


def test_the_saddle_is_the_same_picture_at_four_times_the_rate(show):
    wells = show(landscape(start=0.4, lr=0.1, noise=1.0, ask=False))
    before = wells.tiles("left")[0]
    wells.page.get_by_role("radio", name="saddle").check(force=True)
    wells.expect_walk(landscape(surface="saddle", start=0.4, lr=0.4, noise=0.25))
    expect(wells.page.get_by_text("2/L″ = 1", exact=True)).to_be_visible()
    expect(wells.noise).to_have_value("0.25")
    wells.noise.fill("0")
    wells.page.get_by_role("radio", name="two wells").check(force=True)
    wells.expect_walk(landscape(start=0.4, lr=0.1))
    assert wells.tiles("left")[0] != before  # the noise had blurred it


def test_on_the_ridge_it_stays_a_nudge_and_noise_escape_and_the_steps_are_counted(show):
    wells = show(landscape(surface="saddle", ask=False))
    wells.button("On the ridge").click()
    wells.expect_walk(landscape(surface="saddle", start=0.0))
    expect(wells.label).to_contain_text("stuck")
    expect(wells.line).not_to_contain_text("Off the ridge")
    wells.button("Nudge: 0.001").click()
    wells.expect_walk(landscape(surface="saddle", start=0.001))
    expect(wells.line).to_contain_text("Off the ridge after 36 steps.")
    wells.button("On the ridge").click()
    wells.noise.fill("0.2")
    noisy = landscape(surface="saddle", start=0.0, noise=0.2)
    wells.expect_walk(noisy)
    expect(wells.line).to_contain_text(f"Off the ridge after {escape_step(noisy.trajectory())} steps.")


def test_the_fan_has_the_colours_of_its_ends_and_the_next_seed_is_one_of_it(show):
    wells = show(landscape(start=0.0, noise=1.0, ask=False))
    counts = landscape(start=0.0, noise=1.0).shares()
    middle = float(wells.page.locator("svg[aria-label^='The way, step'] .gdl-grid line").nth(1).get_attribute("y1"))
    for i, name in enumerate(OUTCOMES):
        d = wells.page.locator(f".gdl-fan.gdl-ending-{i}").get_attribute("d")
        assert d.count("M") == counts[name]
        ends = [float(walk.split("L")[-1].split()[1]) for walk in d.split("M")[1:]]
        assert all((end < middle) == (name == "right") for end in ends)
    wells.button("Next seed").click()
    wells.expect_walk(landscape(start=0.0, noise=1.0, seed=1))
    expect(wells.page.get_by_text("with seed 1’s noise")).to_be_visible()
    wells.noise.fill("0")
    expect(wells.button("Next seed")).to_have_attribute("aria-disabled", "true")
    expect(wells.says).to_have_text("Without noise every seed goes the same way.")


def test_any_step_can_be_looked_at(show):
    wells = show(landscape(start=0.4, ask=False))
    wells.step.fill("3")
    expect(wells.line).to_contain_text("Step 3 of 60.")
    wells.expect_settled()
    expect(wells.page.locator(".gdl-past")).to_have_count(3)
    wells.step.focus()
    wells.page.keyboard.press("ArrowRight")
    expect(wells.line).to_contain_text("Step 4 of 60.")


# Predict first


def test_nothing_is_shown_before_the_reader_has_predicted(show):
    wells = show(landscape())
    expect(wells.label).to_have_text("?")
    expect(wells.page.locator(".gdl-past")).to_have_count(0)
    assert sum(sum(wells.tiles(name)) for name in OUTCOMES) == 0
    expect(wells.step).to_be_hidden()
    expect(wells.page.get_by_text("predict first")).to_be_visible()
    wells.noise.fill("1")
    expect(wells.says).to_have_text("")


def test_a_prediction_is_judged_and_the_walk_shown(show):
    wells = show(landscape(start=1.7, lr=0.15), reduced_motion="reduce")
    wells.button("right well").click()
    expect(wells.verdict).to_contain_text("You said right well; it is left well. A hop throws it across.")
    expect(wells.root).to_have_attribute("data-frame", "60")
    assert wells.tiles("left")[0] > 0
    wells.map.focus()
    wells.page.keyboard.press("ArrowLeft")
    expect(wells.verdict).not_to_contain_text("You said")


def test_every_question_has_an_answer_and_all_kinds_of_ends_come_up(show):
    wells = show(landscape(), reduced_motion="reduce")
    seen = []
    for _ in range(6):
        wells.button("left well").click()
        seen.append(wells.root.get_attribute("data-ending"))
        expect(wells.verdict).to_contain_text("✓" if seen[-1] == "left" else "You said left well; it is")
        wells.button("Ask me another").click()
        expect(wells.label).to_have_text("?")
    assert set(seen) == set(OUTCOMES) and seen[0] == "left"


# A learner's own step


def test_a_learners_own_step_is_drawn_with_its_map_and_what_needs_a_kernel_is_put_away(show):
    wells = show(landscape(step=lambda theta, grad, lr: theta + lr * grad, start=0.4))
    assert wells.data("path") == landscape(step=lambda theta, grad, lr: theta + lr * grad, start=0.4).trajectory()
    expect(wells.label).to_contain_text("stuck")
    assert wells.tiles("ridge")[0] > wells.tiles("diverged")[0] > 0
    rate = wells.page.get_by_role("slider", name="learning rate")
    for control in (wells.map, wells.start, rate, wells.noise, wells.button("On the ridge")):
        expect(control).to_be_hidden()
    wells.step.fill("1")
    expect(wells.line).to_contain_text("Step 1 of 60.")


def test_a_learners_own_strip_is_at_the_rate_that_is_set(show):
    wells = show(landscape(step=lambda theta, grad, lr: theta - lr * grad, lr=0.3))
    (right,) = outcome_map(middles(-1.9, 1.9, 60), [0.3])
    strip = [wells.tiles(name)[1] for name in OUTCOMES]
    assert [area / sum(strip) for area in strip] == pytest.approx(
        [right.count(name) / 60 for name in OUTCOMES], abs=0.01
    )
    assert wells.tiles("left")[0] > 0 == strip[0]


def test_a_learners_unwritten_step_says_what_to_do(show):
    def stub(theta, grad, lr):
        raise NotImplementedError

    expect(show(landscape(step=stub)).line).to_contain_text("Your step is not written yet")


def test_a_walk_that_leaves_all_numbers_does_no_harm(show):
    wells = show(landscape(start=3.0, lr=2.2, noise=10.0, steps=300, ask=False))
    expect(wells.label).to_contain_text("diverged")
    expect(wells.line).to_contain_text("Step 1 of 1.")
