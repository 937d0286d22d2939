"""The schedules' figure in a real browser: gdlab's numbers whatever is dragged, and the rate at any step."""

import json

import pytest
from playwright.sync_api import expect

from gdlab.figures import schedule_plot
from gdlab.figures.schedule import NAMES, schedule_of

pytestmark = pytest.mark.system


class Plot:
    """The figure on a page, as a reader meets it."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".gdl")
        self.line = page.locator(".gdl-line")

    def slider(self, name):
        return self.page.get_by_role("slider", name=name, exact=True)

    def values(self):
        return json.loads(self.root.get_attribute("data-values"))

    def drag(self, name, dx, dy):
        box = self.slider(name).locator(".gdl-thumb").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + dx, y + dy, steps=5)
        self.page.mouse.up()
        expect(self.root).to_have_attribute("data-settled", "true")

    def tick(self, text):
        box = self.page.locator(".gdl-grid text").filter(has_text=text).last.bounding_box()
        return box["x"] + box["width"] / 2


@pytest.fixture
def show(open_figures):
    return lambda figure, **settings: Plot(open_figures(figure, **settings))


def test_every_schedule_is_gdlabs(open_figures):
    settings = [(3e-4, 2_000, 100_000, 3e-5), (0.7, 0, 2, 0.0), (0.5, 37, 101, 0.9), (1e-2, 500, 100, 1e-3)]
    figures = [
        schedule_plot(schedule=name, peak_lr=peak, warmup_steps=warmup, total_steps=total, floor_lr=floor)
        for name in NAMES
        for peak, warmup, total, floor in settings
    ]
    page = open_figures(*figures)
    drawn = page.evaluate("[...document.querySelectorAll('.gdl')].map((root) => JSON.parse(root.dataset.values))")
    cases = [(name, *setting) for name in NAMES for setting in settings]
    for values, (name, peak, warmup, total, floor) in zip(drawn, cases, strict=True):
        rate = schedule_of(name, peak, warmup, total, floor)
        assert values == pytest.approx([rate(int(i * total / 100 + 0.5)) for i in range(101)], rel=1e-9, abs=1e-12), (
            name
        )


@pytest.mark.parametrize(
    ("name", "way", "trait"),
    [
        ("warm-up", (120, 0), "warmup_steps"),
        ("total", (-150, 0), "total_steps"),
        ("peak", (0, 60), "peak_lr"),
        ("floor", (0, -50), "floor_lr"),
    ],
)
def test_dragging_changes_the_schedule_and_its_python(show, name, way, trait):
    plot = show(schedule_plot())
    before, code = plot.values(), plot.page.locator(".gdl-code")
    written = code.inner_text()
    plot.drag(name, *way)
    assert plot.values() != before
    changed = [(a, b) for a, b in zip(written.splitlines(), code.inner_text().splitlines(), strict=True) if a != b]
    assert len(changed) == 1 and trait in changed[0][1]


def test_the_python_beside_it_is_the_curve(show):
    from gdlab import schedules

    plot = show(schedule_plot())
    plot.drag("peak", 0, 45)
    plot.drag("warm-up", 80, 0)
    for name in NAMES:
        plot.page.get_by_label("schedule", exact=True).select_option(name)
        expect(plot.page.locator(".gdl-code")).to_contain_text(f"{name}(step")
        code = plot.page.locator(".gdl-code").inner_text()
        total = int(plot.slider("total").get_attribute("aria-valuenow"))
        said = [eval(code, {**vars(schedules), "step": round(i * total / 100)}) for i in range(101)]
        assert plot.values() == pytest.approx(said, rel=1e-5, abs=1e-12), name


def test_the_step_under_the_mouse_is_read_out(show):
    plot = show(schedule_plot())
    box = plot.page.locator(".gdl-stage svg").bounding_box()
    plot.page.mouse.move(plot.tick("60,000"), box["y"] + 80)
    expect(plot.line).to_contain_text("Step 60,")
    step = int(plot.slider("step").get_attribute("aria-valuenow"))
    assert abs(step - 60_000) < 1_000
    assert f"η = {schedule_plot().rate(step):.6f}"[:11] in plot.line.inner_text()


def test_keys_walk_along_the_curve(show):
    plot = show(schedule_plot())
    plot.slider("step").focus()
    plot.page.keyboard.press("ArrowRight")
    expect(plot.line).to_contain_text("Step 40,500.")
    plot.page.keyboard.press("Home")
    expect(plot.line).to_contain_text("Step 0. η = 0, 0 % of the peak, rising.")
    plot.page.keyboard.press("End")
    expect(plot.line).to_contain_text("η = 3 × 10⁻⁵, 10 % of the peak, after the run.")


def test_the_preset_brings_the_book_back(show):
    plot = show(schedule_plot(schedule="constant", peak_lr=1.0, total_steps=10))
    plot.page.get_by_role("button", name="Pre-training preset").click()
    expect(plot.page.locator(".gdl-code")).to_contain_text("warmup_cosine")
    assert plot.values() == pytest.approx([schedule_plot().rate(i * 1000) for i in range(101)], rel=1e-9)


def test_only_what_a_schedule_has_can_be_dragged(show):
    plot = show(schedule_plot(schedule="constant"))
    expect(plot.slider("peak")).to_be_visible()
    expect(plot.slider("warm-up")).to_be_hidden()
    expect(plot.slider("floor")).to_be_hidden()


def test_a_learners_own_schedule_is_drawn_and_what_needs_a_kernel_is_put_away(show):
    plot = show(schedule_plot(lambda step: step / 8, total_steps=8))
    assert plot.values()[::25] == [0, 0.25, 0.5, 0.75, 1.0]
    expect(plot.slider("total")).to_be_hidden()
    expect(plot.page.get_by_label("schedule", exact=True)).to_be_hidden()
    expect(plot.slider("step")).to_be_visible()


def test_a_learners_unwritten_schedule_says_what_to_do(show):
    def stub(step):
        raise NotImplementedError

    plot = show(schedule_plot(stub))
    expect(plot.line).to_contain_text("Your schedule is not written yet")


def test_both_schedules_stand_side_by_side(show):
    plot = show(schedule_plot(lambda step: 2e-4, schedule="warmup_cosine"))
    lines = plot.page.locator(".gdl-trail").evaluate_all("all => all.map((one) => one.getAttribute('d').length)")
    assert all(length > 100 for length in lines)
    expect(plot.page.locator(".gdl-quiet-line")).to_have_count(1)
