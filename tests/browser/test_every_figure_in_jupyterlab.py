"""Every figure in a real JupyterLab: the kernel moves the figure, and the figure moves the kernel's traits."""

import json

import pytest
from playwright.sync_api import expect

import gdlab.figures
from gdlab.figures.base import SCRIPTS

pytestmark = pytest.mark.system

OWN = """
def my_step(theta, grad, lr):
    return theta - lr * grad / 2

def my_schedule(step):
    raise NotImplementedError

walk = figures.bowl_walk(step=my_step)
plot = figures.schedule_plot(my_schedule)
display(walk, plot)
"""


def test_every_figure_and_its_kernel_move_each_other(notebook, run_in_kernel):
    page = notebook("import gdlab.figures as figures", *(f"{name} = figures.{name}()\n{name}" for name in SCRIPTS))
    expect(page.locator(".gdl")).to_have_count(len(SCRIPTS))

    def state(name):
        return json.loads(run_in_kernel(page, f"import json; print(json.dumps({name}.state()))"))

    for i, name in enumerate(SCRIPTS):
        root, main = page.locator(".gdl").nth(i), page.locator(".gdl").nth(i).locator("[data-main]")
        root.scroll_into_view_if_needed()
        expect(root).to_have_attribute("data-settled", "true")

        before = state(name)
        main.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        changed, last = [], before
        for _ in range(50):  # messages from the figure arrive when they do: wait for the last of them
            dragged = state(name)
            changed = [key for key in dragged if dragged[key] != before[key]]
            if changed and dragged == last:
                break
            last = dragged
        assert changed, f"the main control of {name} reached no trait"

        told = main.get_attribute("aria-valuetext")
        key = next(key for key in changed if key in getattr(gdlab.figures, name)().settings)
        assert run_in_kernel(page, f"{name}.{key} = {before[key]!r}") == ""
        expect(main).not_to_have_attribute("aria-valuetext", told)


def test_learners_own_functions_are_drawn(notebook, run_in_kernel):
    page = notebook("import gdlab.figures as figures", OWN)
    walk, plot = page.locator(".gdl").first, page.locator(".gdl").last
    expect(walk).to_have_attribute("data-path", "[-1,0.19999999999999996,1.04,1.6280000000000001]")
    expect(plot.locator(".gdl-line")).to_contain_text("Your schedule is not written yet")
    run_in_kernel(page, "plot = figures.schedule_plot(lambda step: step / 8, total_steps=8); walk.lr = 0.5")
    expect(walk).to_have_attribute("data-path", "[-1,1,2,2.5]")
