"""The bowl walk in a real JupyterLab: cells move the figure, and the figure moves the kernel's traits."""

import json

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.system


def test_figure_and_kernel_move_each_other(notebook, run_in_kernel, await_in_kernel):
    page = notebook("from gdlab.figures import bowl_walk\nwalk = bowl_walk()", "walk")
    root = page.locator(".gdl")
    expect(root).to_have_attribute("data-frame", "0")

    run_in_kernel(page, "walk.lr = 0.9")
    expect(page.locator(".gdl-line")).to_contain_text("0.9 × (−8)")
    assert json.loads(root.get_attribute("data-path")) == json.loads(run_in_kernel(page, "print(walk.trajectory())"))

    root.get_by_role("button", name="Step", exact=True).click()
    expect(root).to_have_attribute("data-frame", "1")
    await_in_kernel(page, "walk.frame", "1")

    page.locator(".gdl-stage").focus()
    page.keyboard.press("ArrowRight")
    expect(root).to_have_attribute("data-frame", "2")  # and JupyterLab's own arrow keys stayed out of it
    await_in_kernel(page, "walk.frame", "2")

    root.get_by_role("switch").click()
    await_in_kernel(page, "walk.climb", "True")

    root.get_by_role("slider", name="start").focus()
    page.keyboard.press("Home")
    await_in_kernel(page, "walk.theta0", "-3.0")
    await_in_kernel(page, "walk.frame", "0")


def test_a_learners_own_step_stays_live(notebook):
    page = notebook(
        "from gdlab.figures import bowl_walk\ndef my_step(theta, grad, lr):\n    return theta - lr * grad / 2\nwalk = bowl_walk(step=my_step)\nwalk"
    )
    root = page.locator(".gdl")
    expect(root).to_have_attribute("data-path", "[-1,0.19999999999999996,1.04,1.6280000000000001]")
    root.get_by_role("slider", name="learning rate").fill("1")
    expect(root).to_have_attribute("data-path", "[-1,3,3,3]")


def test_the_dark_theme_reaches_the_figure(notebook, serious_findings):
    page = notebook("from gdlab.figures import bowl_walk\nbowl_walk()")
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
    page.wait_for_function(
        "getComputedStyle(document.querySelector('.gdl')).backgroundColor.match(/\\d+/g).every(c => c < 60)"
    )
    page.wait_for_selector("#jupyterlab-splash", state="detached")  # it covers everything while the theme changes
    assert serious_findings(page, ".gdl") == []
