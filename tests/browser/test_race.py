"""The optimizer race in a real browser: gdlab's walks wherever the start is dragged, and one point marked in both pictures."""

import json
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from gdlab import rules
from gdlab.figures import race
from gdlab.figures.contest import LANDSCAPES, RULES, settings_of

pytestmark = pytest.mark.system

NAMES = ["gradient descent", "momentum", "Nesterov", "AdaGrad", "RMSProp", "Adam", "AdamW", "Lion", "Muon"]
NAMES += ["schedule-free SGD", "schedule-free AdamW"]


class Contest:
    """The figure on a page, as a reader meets it."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".gdl")
        self.line = page.locator(".gdl-line")
        self.start = page.get_by_role("slider", name="start", exact=True)
        self.step = page.get_by_role("slider", name="step", exact=True)
        self.rate = page.get_by_role("slider", name="learning rate")
        self.map = page.locator("svg[aria-label*=contours]")
        self.losses = page.locator("svg[aria-label*=losses]")

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def switch(self, name):
        return self.page.get_by_role("checkbox", name=name, exact=True)

    def highlight(self, name):
        return self.page.get_by_role("radio", name="highlight " + name, exact=True)

    def rest(self):
        """Wait until what was just set is drawn: a figure draws once a frame."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        expect(self.root).to_have_attribute("data-settled", "true")

    def data(self, name):
        self.rest()
        return json.loads(self.root.get_attribute(f"data-{name}"))

    def expect_walks(self, figure):
        """What is drawn is what `figure` computes in Python."""
        expect_walks(self.data("paths"), figure)

    def where(self):
        box = self.start.locator(".gdl-thumb").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def place(self):
        self.rest()
        text = self.start.get_attribute("aria-valuetext")
        return [float(number.replace("−", "-")) for number in text.removeprefix("start (").rstrip(")").split(",")]


def expect_walks(found, figure):
    """The figure's walks to 1e-9, each as far as rounding does not decide where it goes.

    Muon's steps are as long however small its momentum is: in the double well a last digit of the start, and a
    processor that multiplies matrices in another order, end 3e-9 apart.
    """
    right = figure.trajectories()
    figure.start_x, figure.start_y = np.nextafter(figure.start_x, np.inf), np.nextafter(figure.start_y, -np.inf)
    nudged = figure.trajectories()
    assert list(found) == list(right)
    for name in right:
        walk, expected, other = flat(found[name]), flat(right[name]), flat(nudged[name])
        near = np.abs(expected) < 1e6  # a walk that flies off doubles its rounding with every step
        sure = np.logical_and.accumulate(near & np.isclose(expected, other, rtol=1e-10, atol=1e-10))
        assert sure.mean() > 0.9 or not near.all(), (figure.landscape, name)
        assert walk[sure] == pytest.approx(expected[sure], rel=1e-9, abs=1e-9), (figure.landscape, name)


def flat(path):
    return np.array([[np.nan if number is None else number for number in point] for point in path]).ravel()


@pytest.fixture
def show(open_figures):
    return lambda figure, **settings: Contest(open_figures(figure, **settings))


# The walks


def test_all_walks_on_all_landscapes_are_gdlabs(open_figures):
    figures = [
        race(landscape=landscape, start_x=x, start_y=y, steps=steps)
        for landscape, place in LANDSCAPES.items()
        for x, y, steps in ((*place.objective.start, 150), (*(side[1] - 0.3 for side in place.view), 40))
    ]
    page = open_figures(*figures)
    drawn = page.evaluate("[...document.querySelectorAll('.gdl')].map((root) => JSON.parse(root.dataset.paths))")
    for walks, figure in zip(drawn, figures, strict=True):
        expect_walks(walks, figure)


def test_dragging_the_start_walks_from_there(show):
    contest = show(race())
    x, y = contest.where()
    contest.page.mouse.move(x, y)
    contest.page.mouse.down()
    contest.page.mouse.move(x + 90, y - 130, steps=6)
    contest.page.mouse.up()
    expect(contest.start).not_to_have_attribute("aria-valuetext", "start (−5, −2)")
    start_x, start_y = contest.place()
    assert start_x > -5 and start_y > -2 and contest.where() == pytest.approx((x + 90, y - 130), abs=3)
    contest.expect_walks(race(start_x=start_x, start_y=start_y))


def test_a_finger_drags_the_start(show):
    contest = show(race(), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    contest.map.evaluate("node => node.scrollIntoView({ block: 'center' })")
    finger = contest.page.context.new_cdp_session(contest.page)
    x, y = contest.where()
    for kind, points in (("touchStart", [(x, y)]), ("touchMove", [(x + 50, y - 30)]), ("touchEnd", [])):
        points = [{"x": px, "y": py} for px, py in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    expect(contest.start).not_to_have_attribute("aria-valuetext", "start (−5, −2)")
    start_x, start_y = contest.place()
    contest.expect_walks(race(start_x=start_x, start_y=start_y))


def test_keys_move_the_start_both_ways_and_home_brings_it_back(show):
    contest = show(race())
    contest.start.focus()
    for key, text in (
        ("ArrowRight", "start (−4.95, −2)"),
        ("ArrowUp", "start (−4.95, −1.95)"),
        ("PageUp", "start (−4.95, −1.45)"),
        ("ArrowLeft", "start (−5, −1.45)"),
        ("Home", "start (−5, −2)"),
    ):
        contest.page.keyboard.press(key)
        expect(contest.start).to_have_attribute("aria-valuetext", text)
    contest.expect_walks(race())


def test_another_landscape_brings_its_own_start_and_rates(show):
    contest = show(race(start_x=2.0, adam_lr=0.9))
    for landscape in ("saddle", "rosenbrock", "double_well", "beale", "ravine"):
        contest.page.get_by_label("landscape", exact=True).select_option(landscape)
        settings = settings_of(landscape)
        assert contest.place() == [settings["start_x"], settings["start_y"]]
        contest.expect_walks(race(landscape=landscape))


def test_a_rate_that_flies_off_says_so(show):
    contest = show(race(gradient_descent_lr=0.9, highlight="gradient_descent", frame=150))
    expect(contest.line).to_contain_text("gradient descent: L − L* = 2.5 × 10¹²⁵")
    contest = show(race(landscape="rosenbrock", gradient_descent_lr=1.0, frame=150, highlight="gradient_descent"))
    expect(contest.line).to_contain_text("flew off")
    expect(contest.line).to_contain_text("Lowest: Muon")


# Who runs, who is highlighted, and how fast


def test_every_rule_can_be_switched_off_and_on(show):
    contest = show(race(highlight="schedule_free_adamw"))
    for i, name in enumerate(NAMES[:-1]):
        contest.switch(name).uncheck()
        assert list(contest.data("paths")) == list(RULES)[i + 1 :]
    contest.switch("AdaGrad").check()
    assert list(contest.data("paths")) == ["adagrad", "schedule_free_adamw"]


def test_with_nobody_on_it_the_race_asks_for_somebody(show):
    contest = show(race(**dict.fromkeys(RULES, False)))
    expect(contest.line).to_contain_text("Nobody runs: switch a rule on.")
    contest.switch("Adam").check()
    expect(contest.line).to_contain_text("Adam: L − L* =")
    contest.expect_walks(race(**{**dict.fromkeys(RULES, False), "adam": True}))


def test_a_highlighted_rule_runs_and_one_that_stops_passes_it_on(show):
    contest = show(race(lion=False))
    contest.highlight("Lion").check(force=True)
    expect(contest.switch("Lion")).to_be_checked()
    expect(contest.root).to_have_attribute("data-lead", "lion")
    contest.switch("Lion").uncheck()
    expect(contest.root).to_have_attribute("data-lead", "gradient_descent")


def test_arrow_keys_go_from_rule_to_rule(show):
    contest = show(race())
    contest.highlight("momentum").focus()
    contest.page.keyboard.press("ArrowDown")
    expect(contest.root).to_have_attribute("data-lead", "nesterov")
    expect(contest.line).to_contain_text("Nesterov: L")


@pytest.mark.parametrize("name", RULES)
def test_the_slider_sets_the_highlighted_rules_rate_and_the_button_the_usual_one(show, name):
    contest = show(race(highlight=name))
    usual = settings_of("ravine")[f"{name}_lr"]
    expect(contest.rate).to_have_attribute("aria-valuetext", f"η = {usual:g}")
    contest.rate.fill("-2")
    expect(contest.rate).to_have_attribute("aria-valuetext", "η = 0.01")
    contest.expect_walks(race(**{f"{name}_lr": 0.01}))
    contest.button(f"usual here: {usual:g}").click()
    expect(contest.rate).to_have_attribute("aria-valuetext", f"η = {usual:g}")
    contest.expect_walks(race())


# What a rule remembers


@pytest.mark.parametrize(
    ("name", "says"),
    [("momentum", ["v"]), ("nesterov", ["v"]), ("adagrad", ["√s"]), ("rmsprop", ["√s"]), ("adam", ["m̂", "√v̂"])]
    + [("adamw", ["m̂", "√v̂"]), ("lion", ["m"]), ("gradient_descent", [])]
    + [("muon", ["m"]), ("schedule_free_sgd", ["u"]), ("schedule_free_adamw", ["u", "√v̂"])],
)
def test_the_highlighted_rules_memory_is_gdlabs(show, name, says):
    figure = race(highlight=name, frame=30)
    contest = show(figure)
    rule, theta = RULES[name], np.array(figure.objective.start)
    state = rule.init(theta)
    for step in range(30):
        theta, state = rule.step(theta, figure.objective.grad(theta), state, step, getattr(figure, f"{name}_lr"))
    if says == ["√s"]:
        state = [np.sqrt(state[0])]
    if says == ["m̂", "√v̂"]:
        first, second = rule.scalars(29)
        state = [state[0] / first, np.sqrt(state[1] / second)]
    if says == ["u", "√v̂"]:
        state = [state[0], np.sqrt(state[1] / rule.scalars(29)[-1])]
    found = contest.data("memory")
    assert [label for label, _ in found] == says
    for (_, vector), right in zip(found, state, strict=True):
        assert vector == pytest.approx(right.tolist(), rel=1e-9, abs=1e-12)
    arrows, boxes = contest.map.locator(".gdl-memory-arrow"), contest.map.locator(".gdl-memory-box")
    expect(arrows).to_have_count(sum("√" not in label for label in says))
    expect(boxes).to_have_count(sum("√" in label for label in says))


def test_the_gradient_is_an_arrow_beside_it(show):
    contest = show(race(highlight="gradient_descent", frame=2))
    expect(contest.map.locator(".gdl-gradient-arrow")).to_have_count(1)
    expect(contest.map.locator(".gdl-memory-arrow, .gdl-memory-box")).to_have_count(0)


def arrow(contest, kind):
    """Where an arrow in the picture begins and ends, in its pixels."""
    node = contest.map.locator(f".gdl-{kind}-arrow")
    x, y, turned = map(float, re.findall(r"-?[\d.]+(?:e-?\d+)?", node.get_attribute("transform")))
    length = float(re.match(r"M0 0H([\d.]+)", node.get_attribute("d"))[1])
    return np.array([x, y]), np.array([x, y]) + length * np.array(
        [np.cos(np.radians(turned)), np.sin(np.radians(turned))]
    )


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
def test_a_schedule_free_rule_shows_its_average_and_z_ahead_and_the_gradient_from_between_them(show, name):
    figure = race(highlight=name, frame=4)
    contest = show(figure)
    lr, rule, theta = getattr(figure, f"{name}_lr"), RULES[name], np.array(figure.objective.start)
    state = rule.init(theta)
    for step in range(4):
        theta, state = rule.step(theta, figure.objective.grad(theta), state, step, lr)
    average = rules.schedule_free_average(theta, state, lr)
    assert contest.data("paths")[name][4] == pytest.approx(average.tolist(), rel=1e-9)
    ahead, (x, z) = lr * state[0], arrow(contest, "memory")
    pixels = np.linalg.norm(z - x) / np.linalg.norm(ahead)
    assert (z - x) / pixels == pytest.approx(ahead * [1, -1], rel=1e-6)
    y, _ = arrow(contest, "gradient")
    assert y - x == pytest.approx(0.1 * (z - x), abs=1e-6)
    for text in ("z", "−g"):
        expect(contest.map.locator(".gdl-racer-name").get_by_text(text, exact=True)).to_have_count(1)
    expect(contest.root).to_contain_text("x = z − η·u, the average of all z, is drawn and judged")


def test_muon_says_what_it_does_to_a_single_row(show):
    expect(show(race(highlight="muon")).root).to_contain_text("all that Muon does to a matrix of one row")


def test_the_arrow_of_the_velocity_points_where_the_walk_goes(show):
    contest = show(race(frame=3))
    path = contest.data("paths")["momentum"]
    turned = contest.map.locator(".gdl-memory-arrow").get_attribute("transform").split("rotate(")[1].rstrip(")")
    ahead = np.arctan2(path[3][1] - path[2][1], path[3][0] - path[2][0])
    assert -np.radians(float(turned)) == pytest.approx(ahead)


# Steps


def test_steps_are_played_one_by_one(show):
    contest = show(race())
    contest.button("Reset").click()
    expect(contest.line).to_contain_text("Step 0 of 150.")
    assert contest.data("memory") == []
    contest.page.keyboard.press("ArrowRight")
    expect(contest.line).to_contain_text("Step 1 of 150.")
    contest.button("Play").click()
    expect(contest.line).not_to_contain_text("Step 1 of 150.")
    expect(contest.line).to_have_attribute("aria-live", "off")
    contest.button("Pause").click()
    contest.button("Back").click()
    expect(contest.line).to_have_attribute("aria-live", "polite")


def test_walks_and_losses_end_at_the_step_that_is_shown(show):
    contest = show(race(frame=17))
    for picture in (contest.map, contest.losses):
        ends = picture.locator(".gdl-lane:not(.gdl-dotted)").evaluate_all(
            "all => all.map((one) => one.getAttribute('d').split(/[ML]/).length - 1)"
        )
        assert ends == [18] * len(RULES)
        expect(picture.locator(".gdl-head-of")).to_have_count(len(RULES))


def test_the_step_is_dragged_along_the_losses(show):
    contest = show(race())
    box = contest.step.locator(".gdl-thumb").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tick = contest.losses.locator(".gdl-grid text").filter(has_text="100").last.bounding_box()
    contest.page.mouse.move(x, y)
    contest.page.mouse.down()
    contest.page.mouse.move(tick["x"] + tick["width"] / 2, y, steps=5)
    contest.page.mouse.up()
    expect(contest.step).to_have_attribute("aria-valuetext", "step 100")
    expect(contest.line).to_contain_text("Step 100 of 150.")


# One point in both pictures


def place_of(picture, hue, step):
    """Where in the page a walk, or its loss, stands at a step."""
    drawn = picture.locator(f".gdl-lane[style*={hue}]").first.get_attribute("d")
    x, y = map(float, re.findall(r"[ML]([-\d.]+) ([-\d.]+)", drawn)[step])
    corner = picture.bounding_box()
    return corner["x"] + x, corner["y"] + y


@pytest.mark.parametrize("which", ["map", "losses"])
def test_what_is_pointed_at_is_marked_in_both_pictures_and_a_click_highlights_it(show, which):
    contest = show(race())
    contest.page.mouse.move(*place_of(getattr(contest, which), "fourth", 20))
    expect(contest.root).to_have_attribute("data-pointed", "lion 20")
    expect(contest.map.locator(".gdl-here")).to_contain_text("Lion, step 20")
    expect(contest.losses.locator(".gdl-here")).to_contain_text("L − L* =")
    for picture in (contest.map, contest.losses):
        expect(picture.locator(".gdl-lane.gdl-lead")).to_have_count(2)  # momentum's and Lion's
    contest.page.mouse.down()
    contest.page.mouse.up()
    expect(contest.root).to_have_attribute("data-lead", "lion")
    contest.page.mouse.move(2, 2)
    expect(contest.root).to_have_attribute("data-pointed", "")
    expect(contest.map.locator(".gdl-here")).to_have_count(0)


def test_names_in_the_picture_do_not_cover_each_other(show):
    for landscape in LANDSCAPES:
        contest = show(race(landscape=landscape, frame=25))
        boxes = [one.bounding_box() for one in contest.map.locator(".gdl-racer-name").all()]
        assert len(boxes) > 4
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                across = min(a["x"] + a["width"], b["x"] + b["width"]) - max(a["x"], b["x"])
                down = min(a["y"] + a["height"], b["y"] + b["height"]) - max(a["y"], b["y"])
                assert across < 4 or down < 9, landscape  # boxes of 22, in which the letters take 14


# Rules of a learner's own


def descent(theta, grad, state, step, lr):
    return theta - lr * grad, state


def test_a_learners_own_rule_is_drawn_and_what_needs_a_kernel_is_put_away(show):
    contest = show(race(rules={"mine": descent}))
    paths = contest.data("paths")
    assert paths["own_1"] == pytest.approx(np.array(paths["gradient_descent"]))
    expect(contest.root).to_have_attribute("data-lead", "own_1")
    expect(contest.map.locator(".gdl-racer-name", has_text="mine")).to_have_count(1)
    for control in (contest.start, contest.page.get_by_label("landscape", exact=True), contest.rate):
        expect(control).to_be_hidden()
    contest.highlight("Adam").check(force=True)
    expect(contest.rate).to_be_visible()
    expect(contest.step).to_be_visible()


def test_a_learners_unwritten_rule_says_what_to_do(show):
    def stub(theta, grad, state, step, lr):
        raise NotImplementedError

    contest = show(race(rules={"mine": stub}))
    expect(contest.line).to_contain_text("Your rule 'mine' is not written yet")
    assert len(contest.data("paths")["adam"]) == 151


def test_a_learners_own_rule_is_asked_again_in_jupyterlab(notebook, run_in_kernel):
    page = notebook(
        "import gdlab.figures as figures\n"
        "def mine(theta, grad, state, step, lr):\n    return theta - lr * grad, state\n"
        "contest = figures.race(rules={'mine': mine})\ncontest"
    )
    root, last = page.locator(".gdl"), "Object.values(JSON.parse(document.querySelector('.gdl').dataset.paths))"
    expect(root).to_have_attribute("data-settled", "true")
    same = f"() => JSON.stringify({last}[0]) === JSON.stringify({last}[11]) && {last}[11][0][0] === %s"
    page.wait_for_function(same % "-5")
    page.get_by_role("slider", name="start", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(same % "-4.95")
    page.get_by_label("landscape", exact=True).select_option("beale")
    page.wait_for_function(same % "1")
    assert run_in_kernel(page, "print(contest.landscape, contest.own_rates)") == "beale [0.01]"
    page.get_by_role("slider", name="learning rate").fill("-3")
    page.wait_for_function(f"() => Math.abs({last}[11][1][1] - 1.5) < Math.abs({last}[0][1][1] - 1.5) / 9")
    assert run_in_kernel(page, "print(contest.own_rates)") == "[0.001]"
