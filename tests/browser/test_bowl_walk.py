"""The bowl walk in a real browser, in a page of its own: every way to move it, and numbers equal to gdlab's."""

import json

import pytest
from playwright.sync_api import expect

from gdlab.figures import bowl_walk
from gdlab.figures.bowl import walk_path

pytestmark = pytest.mark.system

STEP, BACK, PLAY, RESET = "Step", "Back", "Play", "Reset"


class Walk:
    """The figure on a page, as a reader meets it."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".gdl")
        self.stage = page.locator(".gdl-stage")
        self.start = page.get_by_role("slider", name="start")
        self.rate = page.get_by_role("slider", name="learning rate")
        self.sign = page.get_by_role("switch", name="flip the sign")
        self.line = page.locator(".gdl-line")

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def path(self):
        return json.loads(self.root.get_attribute("data-path"))

    def expect_frame(self, frame):
        expect(self.root).to_have_attribute("data-frame", str(frame))
        expect(self.root).to_have_attribute("data-settled", "true")

    def tick(self, text):
        """Where on the screen a number of the θ axis stands."""
        box = self.stage.locator(".gdl-grid text").filter(has_text=text).last.bounding_box()
        return box["x"] + box["width"] / 2, box["y"]

    def thumb(self):
        box = self.page.locator(".gdl-thumb").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@pytest.fixture
def show(open_figures):
    return lambda figure, **settings: Walk(open_figures(figure, **settings))


# The picture


def test_four_frames_show_theta_slope_and_loss(show):
    walk = show(bowl_walk())
    rows = walk.page.locator(".gdl-table tbody tr").all_inner_texts()
    assert [row.split() for row in rows] == [
        ["0", "−1", "−8", "16.5"],
        ["1", "1.4", "−3.2", "3.06"],
        ["2", "2.36", "−1.28", "0.91"],
        ["3", "2.744", "−0.512", "0.566"],
    ]


def test_the_picture_names_slope_step_point_and_minimum(show):
    text = " ".join(show(bowl_walk()).stage.locator("tspan").all_text_contents())
    for words in ("slope −8", "step +2.4", "θ₀ = −1", "L = 16.5", "minimum at θ = 3"):
        assert words in text


def test_the_tangent_has_the_slope_that_it_names(show):
    walk = show(bowl_walk(frame=1))
    line = {k: float(walk.page.locator(".gdl-tangent").get_attribute(k)) for k in ("x1", "y1", "x2", "y2")}
    (left, _), (right, _) = walk.tick("0"), walk.tick("4")
    ticks = walk.page.locator(".gdl-grid text")
    heights = {t: ticks.filter(has_text=t).first.bounding_box()["y"] for t in ("5", "15")}
    per_theta, per_loss = (right - left) / 4, (heights["5"] - heights["15"]) / 10
    slope = -((line["y2"] - line["y1"]) / per_loss) / ((line["x2"] - line["x1"]) / per_theta)
    assert slope == pytest.approx(-3.2, rel=0.01)


def test_the_step_ends_above_the_next_point(show):
    walk = show(bowl_walk())
    tip = float(walk.page.locator(".gdl-head").get_attribute("d").split()[0][1:])
    ghost = float(walk.page.locator(".gdl-ghost").first.get_attribute("cx"))
    assert tip == pytest.approx(ghost)


def test_the_drawn_trajectory_is_gdlabs(open_figures):
    settings = [
        {"theta0": theta0, "lr": lr, "climb": climb, "steps": 12}
        for theta0 in (-3.0, -1.0, 3.0, 8.7)
        for lr in (0.01, 0.3, 0.5, 0.9, 1.0, 1.13)
        for climb in (False, True)
    ]
    page = open_figures(*(bowl_walk(**setting) for setting in settings))
    drawn = page.evaluate("[...document.querySelectorAll('.gdl')].map(root => JSON.parse(root.dataset.path))")
    assert len(drawn) == len(settings)
    for path, setting in zip(drawn, settings, strict=True):
        assert path == pytest.approx(walk_path(**setting), abs=1e-9, rel=1e-12), setting


# Buttons


def test_step_goes_forward_and_stops_at_the_end(show):
    walk = show(bowl_walk())
    for frame in (1, 2, 3):
        walk.button(STEP).click()
        walk.expect_frame(frame)
    expect(walk.button(STEP)).to_have_attribute("aria-disabled", "true")
    walk.button(STEP).click(force=True)
    walk.expect_frame(3)
    expect(walk.line).to_contain_text("Step 3 of 3. θ = 2.744, slope = −0.512, L = 0.566.")


def test_back_goes_back_and_stops_at_the_start(show):
    walk = show(bowl_walk(frame=1))
    walk.button(BACK).click()
    walk.expect_frame(0)
    expect(walk.button(BACK)).to_have_attribute("aria-disabled", "true")
    expect(walk.button(RESET)).to_have_attribute("aria-disabled", "true")
    expect(walk.line).to_contain_text("θ₁ = −1 − 0.3 × (−8) = 1.4")


def test_play_walks_to_the_end_and_plays_again(show):
    walk = show(bowl_walk())
    walk.button(PLAY).click()
    expect(walk.button("Pause")).to_be_visible()
    walk.expect_frame(3)
    walk.button(PLAY).click()
    walk.expect_frame(0)
    walk.expect_frame(3)
    expect(walk.button(PLAY)).to_be_visible()


def test_pause_stops_the_walk(show):
    walk = show(bowl_walk(steps=50))
    walk.page.clock.install()
    walk.button(PLAY).click()
    walk.page.clock.run_for(3000)
    walk.button("Pause").click()
    stopped = walk.root.get_attribute("data-frame")
    assert 0 < int(stopped) < 50
    walk.page.clock.run_for(10_000)
    walk.expect_frame(stopped)


def test_reset_returns_to_the_start(show):
    walk = show(bowl_walk(frame=3))
    walk.button(RESET).click()
    walk.expect_frame(0)


def test_a_row_of_the_table_shows_its_step(show):
    walk = show(bowl_walk())
    walk.page.get_by_role("button", name="show step 2").click()
    walk.expect_frame(2)
    assert walk.page.locator("tr[aria-current=step]").inner_text().split()[0] == "2"


# The rule: rate and sign


def test_the_rate_slider_moves_the_walk(show):
    walk = show(bowl_walk())
    walk.rate.fill("0.9")
    expect(walk.line).to_contain_text("0.9 × (−8)")
    assert walk.path() == pytest.approx(walk_path(-1.0, 0.9, 3), abs=1e-9)


def test_flipping_the_sign_lets_the_loss_climb_and_the_view_widen(show):
    walk = show(bowl_walk())
    reach = "() => Math.max(...[...document.querySelectorAll('.gdl-grid text')].map(t => Number(t.textContent.replace('−', '-'))).filter(Number.isFinite))"
    before = walk.page.evaluate(reach)
    walk.sign.click()
    expect(walk.sign).to_have_attribute("aria-checked", "true")
    for frame in (1, 2, 3):
        walk.button(STEP).click()
        walk.expect_frame(frame)
    assert walk.path() == pytest.approx([-1, -3.4, -7.24, -13.384])
    expect(walk.page.locator(".gdl-rule")).to_have_text("θ ← θ + η · slope")
    expect(walk.line).to_contain_text("climbed from 16.5")
    assert before < 20 and walk.page.evaluate(reach) > 268


# Keys


@pytest.mark.parametrize(("theta0", "lr"), [(-0.8, 0.32), (-0.8, 1.2), (-2.5, 0.9)])
def test_on_a_phone_every_equation_of_a_climb_finds_room(open_figures, theta0, lr):
    """Its numbers grow with every step: the page may not become wider than the phone, nor the figure higher."""
    hash = f"#bowl_walk.theta0={theta0}&bowl_walk.lr={lr}&bowl_walk.climb=true"
    page = open_figures(bowl_walk(), viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, hash=hash)
    heights = set()
    for button in page.locator(".gdl tbody button").all():
        button.click(force=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        heights.add(page.evaluate("Math.round(document.querySelector('.gdl').getBoundingClientRect().height)"))
    assert len(heights) == 1


def test_keys_step_play_and_reset(show):
    walk = show(bowl_walk())
    walk.stage.focus()
    walk.page.keyboard.press("ArrowRight")
    walk.expect_frame(1)
    walk.page.keyboard.press("ArrowRight")
    walk.expect_frame(2)
    walk.page.keyboard.press("ArrowLeft")
    walk.expect_frame(1)
    walk.page.keyboard.press("Home")
    walk.expect_frame(0)
    walk.page.keyboard.press("Space")
    expect(walk.button("Pause")).to_be_visible()
    walk.page.keyboard.press("Space")
    expect(walk.button(PLAY)).to_be_visible()


def test_space_on_a_button_presses_that_button(show):
    walk = show(bowl_walk())
    walk.button(STEP).focus()
    walk.page.keyboard.down("Space")
    assert walk.button(PLAY).is_visible()  # the key has not started the walk on its way to the button
    walk.page.keyboard.up("Space")
    walk.expect_frame(1)


def test_keys_on_a_slider_move_the_slider_only(show):
    walk = show(bowl_walk(frame=1))
    walk.rate.focus()
    walk.page.keyboard.press("ArrowRight")
    expect(walk.rate).to_have_value("0.31")
    walk.expect_frame(1)
    walk.start.focus()
    walk.page.keyboard.press("ArrowLeft")
    expect(walk.start).to_have_attribute("aria-valuenow", "-1.1")
    walk.page.keyboard.press("End")
    expect(walk.start).to_have_attribute("aria-valuenow", "9")


def test_tab_reaches_everything_and_focus_shows(show):
    walk = show(bowl_walk())
    names = []
    for _ in range(12):
        walk.page.keyboard.press("Tab")
        look = walk.page.evaluate(
            """() => { const e = document.activeElement; const s = getComputedStyle(e);
            const thumb = e.querySelector(':scope .gdl-thumb');
            return [e.getAttribute('aria-label') || e.textContent, s.outlineStyle !== 'none' || (thumb && getComputedStyle(thumb).strokeWidth === '4px')]; }"""
        )
        names.append(look[0])
        assert look[1], f"{look[0]} has the focus, and nothing shows it"
        if look[0].startswith("show step 3"):
            break
    assert [name.split(".")[0] for name in names] == [
        *("Bowl walk", "start", "Reset", "Back", "Play", "Step", "learning rate", "flip the sign"),
        *(f"show step {i}" for i in range(4)),
    ]


# Dragging


def test_the_mouse_drags_the_start(show):
    walk = show(bowl_walk(frame=2))
    target, _ = walk.tick("2")
    x, y = walk.thumb()
    walk.page.mouse.move(x, y)
    walk.page.mouse.down()
    walk.page.mouse.move(target, y, steps=8)
    walk.page.mouse.up()
    expect(walk.start).to_have_attribute("aria-valuenow", "2")
    walk.expect_frame(0)
    assert walk.path() == pytest.approx(walk_path(2.0, 0.3, 3))


def test_the_point_itself_can_be_dragged(show):
    walk = show(bowl_walk())
    target, _ = walk.tick("0")
    dot = walk.page.locator(".gdl-now").bounding_box()
    x, y = dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2
    walk.page.mouse.move(x, y)
    walk.page.mouse.down()
    walk.page.mouse.move(target, y, steps=8)
    walk.page.mouse.up()
    expect(walk.start).to_have_attribute("aria-valuenow", "0")


def test_a_finger_drags_the_start_and_the_page_stays(show):
    walk = show(bowl_walk(), viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True)
    target, _ = walk.tick("4")
    x, y = walk.thumb()
    touch = walk.page.context.new_cdp_session(walk.page)

    def send(kind, *points):
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": px, "y": py} for px, py in points]})

    send("touchStart", (x, y))
    for part in (0.25, 0.5, 0.75, 1.0):
        send("touchMove", (x + (target - x) * part, y + 30 * part))
    send("touchEnd")
    expect(walk.start).to_have_attribute("aria-valuenow", "4")
    assert walk.page.evaluate("scrollY") == 0


# Readers differ


COUNT_PLACES = """async () => {
    const seen = new Set();
    [...document.querySelectorAll('.gdl button')].find(b => b.textContent === 'Step').click();
    const root = document.querySelector('.gdl');
    await new Promise((done) => {
        const look = () => {
            seen.add(document.querySelector('.gdl-now').getAttribute('cx'));
            root.dataset.frame === '1' && root.dataset.settled === 'true' ? done() : requestAnimationFrame(look);
        };
        look();
    });
    return seen.size;
}"""


def test_a_step_is_a_movement(show):
    assert show(bowl_walk()).page.evaluate(COUNT_PLACES) > 2


def test_with_reduced_motion_a_step_is_a_jump(show):
    assert show(bowl_walk(), reduced_motion="reduce").page.evaluate(COUNT_PLACES) == 2


def test_numbers_are_announced_politely(show):
    walk = show(bowl_walk())
    expect(walk.line).to_have_attribute("aria-live", "polite")
    walk.button(STEP).click()
    expect(walk.line).to_contain_text("θ = 1.4")


@pytest.mark.parametrize("settings", [{}, {"climb": True, "frame": 3}, {"frame": 1, "steps": 40}], ids=str)
def test_axe_finds_nothing_serious(show, serious_findings, settings):
    walk = show(bowl_walk(**settings))
    walk.expect_frame(settings.get("frame", 0))
    assert serious_findings(walk.page) == []


def test_a_learners_own_step_is_drawn_and_what_needs_a_kernel_is_put_away(show):
    walk = show(bowl_walk(step=lambda theta, grad, lr: theta + 1))
    assert walk.path() == [-1, 0, 1, 2]
    expect(walk.rate).to_be_hidden()
    expect(walk.sign).to_be_hidden()
    expect(walk.start).to_be_hidden()


def test_a_step_to_nowhere_ends_the_walk_in_words(show):
    walk = show(bowl_walk(step=lambda theta, grad, lr: float("nan")))
    walk.button(STEP).click()
    walk.expect_frame(1)
    expect(walk.line).to_contain_text("θ = not a number")


def test_two_figures_in_a_page_do_not_disturb_each_other(open_figures):
    page = open_figures(bowl_walk(lr=0.1), bowl_walk(lr=0.7))
    page.get_by_role("button", name="Step", exact=True).last.click()
    expect(page.locator(".gdl").last).to_have_attribute("data-frame", "1")
    expect(page.locator(".gdl").first).to_have_attribute("data-frame", "0")
    clips = page.evaluate("[...document.querySelectorAll('.gdl clipPath')].map(c => c.id)")
    assert len(set(clips)) == 2
