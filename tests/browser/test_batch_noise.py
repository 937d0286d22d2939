"""Batch noise in a real browser: gdlab's walks for every batch size and seed, and a fan that closes as the batch grows."""

import json

import numpy as np
import pytest
from playwright.sync_api import expect

from gdlab.batching import minibatch_gradient
from gdlab.figures import batch_noise
from gdlab.figures.batch_fan import EXAMPLES, FAN, measured_error, noisy_path, standard_error

pytestmark = pytest.mark.system

SIZES = (1, 2, 4, 8, 16, 32, 64)


class Noise:
    """The figure on a page, as a reader meets it."""

    def __init__(self, page):
        self.page = page
        self.root = page.locator(".gdl")
        self.line = page.locator(".gdl-line")
        self.size = page.get_by_role("slider", name="batch size", exact=True)
        self.rate = page.get_by_role("slider", name="learning rate")

    def button(self, name):
        return self.root.get_by_role("button", name=name, exact=True)

    def data(self, name):
        return json.loads(self.root.get_attribute(f"data-{name}"))

    def batch_size(self):
        return int(self.size.get_attribute("aria-valuenow"))

    def expect_settled(self):
        expect(self.root).to_have_attribute("data-settled", "true")

    def expect_walk(self, seed, size, lr=0.3, steps=14):
        self.expect_settled()
        assert flat(self.data("path")) == pytest.approx(flat(noisy_path(seed, size, lr, steps)[0]), rel=1e-9, abs=1e-9)


def flat(path):
    return np.array(path, dtype=float).ravel()


@pytest.fixture
def show(open_figures):
    return lambda figure, **settings: Noise(open_figures(figure, **settings))


def test_walks_fans_and_errors_are_gdlabs(open_figures):
    figures = [
        batch_noise(batch_size=size, lr=lr, seed=seed, steps=steps, frame=frame)
        for size in (1, 5, 8, 24, 64)
        for lr, seed, steps, frame in ((0.3, 0, 14, 14), (0.9, 9_999, 30, 17))
    ]
    page = open_figures(*figures)
    drawn = page.evaluate("[...document.querySelectorAll('.gdl')].map((root) => ({ ...root.dataset }))")
    for said, noise in zip(drawn, figures, strict=True):
        assert flat(json.loads(said["path"])) == pytest.approx(flat(noise.trajectory()), rel=1e-9, abs=1e-9)
        ends = [noise.trajectory(seed)[noise.frame] for seed in range(FAN)]
        assert flat(json.loads(said["fan"])) == pytest.approx(flat(ends), rel=1e-9, abs=1e-9)
        assert float(said["spread"]) == pytest.approx(noise.spread(), rel=1e-9, abs=1e-9)
        theta = noisy_path(0, EXAMPLES, noise.lr, noise.steps)[0][noise.frame]
        errors = [standard_error(theta, size) for size in SIZES]
        assert json.loads(said["errors"]) == pytest.approx(errors, rel=1e-9, abs=1e-9)
        measured = [measured_error(theta, size) for size in SIZES]
        assert json.loads(said["measured"]) == pytest.approx(measured, rel=1e-9, abs=1e-9)


def test_the_three_sizes_share_start_rate_and_steps(show):
    noise = show(batch_noise())
    spreads = []
    for name, size in (("one", 1), ("mini: 8", 8), ("all 64", 64)):
        noise.page.get_by_role("radio", name=name).check(force=True)
        expect(noise.size).to_have_attribute("aria-valuenow", str(size))
        noise.expect_walk(0, size)
        spreads.append(noise.data("spread"))
    assert spreads[0] > 3 * spreads[1] > 0 and spreads[2] == pytest.approx(0, abs=1e-12)
    expect(noise.line).to_contain_text("896 examples looked at. All seeds are in one place.")


def test_dragging_the_batch_size_along_the_error_closes_the_fan(show):
    noise = show(batch_noise(batch_size=1))
    spread = noise.data("spread")
    box = noise.size.locator(".gdl-thumb").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    noise.page.mouse.move(x, y)
    noise.page.mouse.down()
    noise.page.mouse.move(x + 140, y, steps=6)
    noise.page.mouse.up()
    noise.expect_settled()
    size = noise.batch_size()
    assert 8 < size < 32 and noise.data("spread") < spread / 3
    noise.expect_walk(0, size)


def test_the_thumb_stands_under_its_batch_size(show):
    noise = show(batch_noise(batch_size=16))
    tick = noise.page.locator("svg[aria-label*='standard error'] .gdl-grid text").filter(has_text="16").bounding_box()
    thumb = noise.size.locator(".gdl-thumb").bounding_box()
    assert thumb["x"] + thumb["width"] / 2 == pytest.approx(tick["x"] + tick["width"] / 2, abs=1.5)


def test_keys_change_the_batch_size_by_one(show):
    noise = show(batch_noise())
    noise.size.focus()
    for key, size in (("ArrowRight", 9), ("PageUp", 19), ("Home", 1), ("ArrowLeft", 1), ("End", 64)):
        noise.page.keyboard.press(key)
        expect(noise.size).to_have_attribute("aria-valuenow", str(size))
    noise.expect_walk(0, 64)


def test_the_rate_changes_every_walk(show):
    noise = show(batch_noise())
    noise.rate.fill("0.7")
    expect(noise.rate).to_have_attribute("aria-valuetext", "η = 0.7")
    noise.page.wait_for_function("document.querySelector('.gdl').dataset.settled === 'true'")
    noise.expect_walk(0, 8, lr=0.7)


def test_the_next_seed_is_another_walk_in_the_same_fan(show):
    noise = show(batch_noise())
    fan = noise.data("fan")
    noise.button("Next seed").click()
    expect(noise.page.locator(".gdl-step-name")).to_have_text("seed 1")
    noise.expect_walk(1, 8)
    assert noise.data("fan") == fan and fan[1] == noise.data("path")[-1]


def test_the_fan_can_be_put_away(show):
    noise = show(batch_noise())
    fan = noise.page.locator(".gdl-stage .gdl-fan")
    assert fan.get_attribute("d").count("M") == FAN
    noise.page.get_by_role("switch", name="40 seeds").click()
    expect(fan).to_have_attribute("d", "")


def test_steps_are_played_one_by_one(show):
    noise = show(batch_noise(), reduced_motion="reduce")
    noise.button("Reset").click()
    expect(noise.line).to_contain_text("Step 0 of 14.")
    noise.page.keyboard.press("ArrowRight")
    expect(noise.line).to_contain_text("Step 1 of 14.")
    expect(noise.line).to_contain_text("8 examples looked at.")
    noise.page.keyboard.press("Space")
    expect(noise.line).not_to_contain_text("Step 1 of 14.")


def test_a_rate_that_diverges_does_no_harm(show):
    noise = show(batch_noise(batch_size=1, lr=2.0, steps=100))
    noise.button("Back").click()
    expect(noise.line).to_contain_text("Step 99 of 100.")


def test_a_learners_own_gradient_is_drawn_and_what_needs_a_kernel_is_put_away(show):
    noise = show(batch_noise(lambda theta, X, y, batch: -minibatch_gradient(theta, X, y, batch), frame=1))
    right = noisy_path(0, 8, 0.3, 1)[0]
    assert noise.data("path")[1] == pytest.approx([2 * start - end for start, end in zip(*right, strict=True)])
    for control in (noise.size, noise.rate, noise.button("Next seed")):
        expect(control).to_be_hidden()
    expect(noise.page.locator(".gdl-step-name")).to_have_text("yours")


def test_a_learners_unwritten_gradient_says_what_to_do(show):
    def stub(theta, X, y, batch):
        raise NotImplementedError

    expect(show(batch_noise(stub)).line).to_contain_text("Your gradient is not written yet")
