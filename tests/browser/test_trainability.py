"""The trainability map in a real browser: the same numbers as Python's, windows closer and closer, a run under the ring."""

import json

import pytest
from playwright.sync_api import expect

from gdlab.figures import trainability

pytestmark = pytest.mark.system

CALM = [(0.1, 0.1), (0.3, 0.2), (0.05, 0.4)]


def data(page, name):
    expect(page.locator(".gdl")).to_have_attribute("data-settled", "true")
    return json.loads(page.locator(".gdl").get_attribute(f"data-{name}"))


@pytest.mark.parametrize(("u", "v"), CALM)
def test_the_browser_trains_the_same_run(open_figures, u, v):
    figure = trainability(u=u, v=v)
    page = open_figures(figure)
    assert data(page, "rates") == pytest.approx(figure.rates, rel=1e-12)
    assert data(page, "losses") == pytest.approx(figure.losses(), rel=1e-9)
    expect(page.locator(".gdl-regime")).to_have_text("learns")


def test_a_run_that_diverges_is_called_so(open_figures):
    page = open_figures(trainability(u=0.5, v=0.95))
    assert data(page, "learns") is False
    expect(page.locator(".gdl-regime")).to_have_text("diverges")
    expect(page.locator(".gdl-line")).to_contain_text("passes a million times the first at step")


def test_windows_lead_closer_by_keys_and_the_ring_moves_within_them(open_figures):
    page = open_figures(trainability())
    slider = page.get_by_role("slider", name="window")
    image = page.locator(".gdl-stage image")
    seen = [image.get_attribute("href")]
    slider.focus()
    for level in range(1, 6):
        page.keyboard.press("ArrowRight")
        expect(slider).to_have_attribute("aria-valuetext", f"{8**level:,}".replace(",", "") + " ×")
        assert data(page, "window") == trainability(level=level).window
        seen.append(image.get_attribute("href"))
    assert len(set(seen)) == 6
    ring = page.get_by_role("slider", name="the two learning rates")
    before = data(page, "rates")
    ring.focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_function(
        "before => JSON.parse(document.querySelector('.gdl').dataset.rates)[1] !== before", arg=before[1]
    )
    after = data(page, "rates")
    assert after[0] == before[0] and after[1] > before[1]


def test_the_pixel_under_the_ring_tells_what_the_run_does(open_figures):
    """Colours of the picture against the runs themselves, where both are calm."""
    page = open_figures(trainability())
    look = """([u, v]) => new Promise((done) => { const image = new Image(); image.onload = () => {
        const sheet = document.createElement('canvas'); sheet.width = sheet.height = 121;
        const pen = sheet.getContext('2d'); pen.drawImage(image, 0, 0);
        done([...pen.getImageData(Math.round(u * 120), Math.round((1 - v) * 120), 1, 1).data]); };
        image.src = document.querySelector('.gdl-stage image').getAttribute('href'); })"""
    for u, v in CALM:
        assert sum(page.evaluate(look, [u, v])[:3]) > 400  # light: it learns
    assert sum(page.evaluate(look, [0.5, 0.95])[:3]) < 250


def test_without_a_kernel_nothing_offers_to_draw_new_windows(open_figures):
    page = open_figures(trainability())
    expect(page.get_by_role("button", name="Zoom in here")).to_be_hidden()


def test_in_jupyterlab_the_ring_leads_into_windows_that_nobody_recorded(notebook, run_in_kernel):
    page = notebook("from gdlab.figures import trainability", "map = trainability(u=0.25, v=0.5)\nmap")
    root = page.locator(".gdl")
    expect(root).to_have_attribute("data-settled", "true")
    recorded = page.locator(".gdl-stage image").get_attribute("href")
    page.get_by_role("button", name="Zoom in here").click()
    expect(page.locator(".gdl-says")).to_contain_text("Seen 8 times", timeout=60_000)
    expect(page.locator(".gdl-stage image")).not_to_have_attribute("href", recorded)
    assert "121" in run_in_kernel(page, "print(map.own[0]['side'], map.window)")
    page.get_by_role("button", name="Back").click()
    expect(page.locator(".gdl-stage image")).to_have_attribute("href", recorded)
