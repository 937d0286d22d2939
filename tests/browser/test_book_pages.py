"""Every page of the built book in a real browser: whole, quiet, readable by everyone, with or without a server."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from gdlab.bench.pages import open_anew
from gdlab.figures.base import SCRIPTS

pytestmark = pytest.mark.system

NOT_CHAPTERS = {"genindex.html", "search.html", "py-modindex.html"}
CHAPTER = "01-update-rule.html"
GALLERY = "figures.html"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def chapters(folder):
    return sorted(path.name for path in Path(folder).glob("*.html") if path.name not in NOT_CHAPTERS)


def open_page(page, address):
    page.goto(address)
    for figure in page.locator(".gdl").all():
        expect(figure).to_have_attribute("data-settled", "true")
    return page


@pytest.fixture(params=["http", "file"])
def address(request, built_book, built_book_url):
    """Where the book's pages are: served, and straight from the disk."""
    return built_book_url if request.param == "http" else built_book.as_uri()


def test_every_page_opens_without_an_error_and_without_another_host(page, address, built_book):
    # `page` fails the test on any console error, missing file or request to another host.
    assert CHAPTER in chapters(built_book)
    for name in chapters(built_book):
        open_page(page, f"{address}/{name}")
        assert page.locator("h1").count() >= 1


MOST_KILOBYTES = 700


def test_no_page_weighs_more_than_a_phone_likes(browser, built_book, built_book_url):
    weights = {name: open_anew(browser, f"{built_book_url}/{name}")[2] for name in chapters(built_book)}
    assert {name: weight for name, weight in weights.items() if weight > MOST_KILOBYTES} == {}


def test_formulas_are_drawn_with_their_own_font(page, address):
    open_page(page, f"{address}/{CHAPTER}")
    assert page.locator(".katex").count() > 0
    assert page.evaluate(
        "document.fonts.ready.then(() => [...document.fonts].filter(f => f.family.startsWith('KaTeX') && f.status === 'loaded').length)"
    )


def test_formulas_are_read_without_a_script(new_page, address):
    page = new_page(own=False, java_script_enabled=False)  # not own: every script that it may not run counts as missing
    page.goto(f"{address}/{CHAPTER}")
    expect(page.locator(".katex-html").first).to_be_visible()
    expect(page.locator("math").first).to_be_attached()


def test_a_formula_that_is_too_wide_scrolls_by_itself(new_page, built_book_url):
    page = open_page(new_page(viewport={"width": 240, "height": 800}), f"{built_book_url}/{CHAPTER}")
    formulas = page.locator(".katex-display").all()
    assert all(formula.evaluate("box => box.scrollHeight <= box.clientHeight") for formula in formulas)
    wide = [formula for formula in formulas if formula.evaluate("box => box.scrollWidth > box.clientWidth")]
    assert wide
    assert all(formula.evaluate("box => (box.scrollLeft = 1000, box.scrollLeft > 0)") for formula in wide)


def test_the_themes_icons_are_drawn(page, address):
    open_page(page, f"{address}/{CHAPTER}")
    icon = page.locator(".btn-fullscreen-button i").first
    assert "Font Awesome" in icon.evaluate("node => getComputedStyle(node, '::before').fontFamily")
    assert page.evaluate("document.fonts.ready.then(() => document.fonts.check('900 16px \"Font Awesome 6 Free\"'))")


def test_the_chapters_figure_walks(page, address):
    open_page(page, f"{address}/{CHAPTER}")
    figure = page.locator(".gdl").first
    figure.get_by_role("button", name="Step", exact=True).click()
    expect(figure).to_have_attribute("data-frame", "1")
    figure.locator(".gdl-stage").focus()
    page.keyboard.press("ArrowRight")
    expect(figure).to_have_attribute("data-frame", "2")


def test_the_gallery_shows_every_figure_with_one_line_of_python(page, address):
    open_page(page, f"{address}/{GALLERY}")
    shown = page.locator(".gdl-figure").evaluate_all("all => all.map((one) => one.dataset.figure)")
    assert sorted(shown) == sorted(SCRIPTS)
    for name in SCRIPTS:
        expect(page.locator(f"#{name} .gdl")).to_be_visible()
        assert page.locator(".cell_input pre").filter(has_text=f"figures.{name}()").count() == 1
    lines = page.locator(".cell_input pre").all_inner_texts()
    assert all(text.strip().count("\n") == 0 for text in lines)


def test_a_link_into_a_page_leads_to_the_figure_and_its_setting(page, address):
    open_page(page, f"{address}/{GALLERY}#schedule_plot.schedule=wsd&schedule_plot.peak_lr=0.001")
    expect(page.locator("#schedule_plot .gdl-code")).to_contain_text("wsd(step")
    expect(page.locator("#schedule_plot .gdl-code")).to_contain_text("peak_lr=0.001")
    expect(page.locator("#schedule_plot .gdl-stage")).to_be_in_viewport()
    page.evaluate("location.hash = 'bowl_walk.lr=0.9'")
    expect(page.locator("#bowl_walk .gdl-line")).to_contain_text("0.9 × (−8)")
    expect(page.locator("#bowl_walk .gdl-stage")).to_be_in_viewport()


def test_no_page_scrolls_sideways_on_a_phone(new_page, built_book_url, built_book):
    page = new_page(**PHONE)
    for name in chapters(built_book):
        open_page(page, f"{built_book_url}/{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_figure_follows_the_theme(new_page, built_book_url, scheme):
    page = open_page(new_page(color_scheme=scheme), f"{built_book_url}/{CHAPTER}")
    expect(page.locator("html")).to_have_attribute("data-theme", scheme)
    paper, ink = page.evaluate(
        """() => { const look = getComputedStyle(document.querySelector('.gdl'));
        return [look.backgroundColor, look.color].map(c => c.match(/[\\d.]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3); }"""
    )
    assert (paper > 200 and ink < 80) if scheme == "light" else (paper < 60 and ink > 180)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [{"viewport": {"width": 1440, "height": 1000}}, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_serious_in_the_figures(new_page, built_book_url, serious_findings, scheme, screen):
    page = open_page(new_page(color_scheme=scheme, **screen), f"{built_book_url}/{GALLERY}")
    assert serious_findings(page, ".gdl-figure") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_pages(new_page, built_book_url, built_book, serious_findings, scheme):
    page = new_page(color_scheme=scheme, viewport={"width": 1440, "height": 1000})
    found = {}
    for name in chapters(built_book):
        open_page(page, f"{built_book_url}/{name}")
        found[name] = serious_findings(page)
    assert {name: list_ for name, list_ in found.items() if list_} == {}


def test_without_javascript_the_still_picture_stands_there(new_page, built_book_url):
    page = new_page(own=False, java_script_enabled=False)  # the scripts the theme preloads count as not found
    page.goto(f"{built_book_url}/{CHAPTER}")
    assert page.locator(".gdl-still svg").first.bounding_box()["height"] > 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_the_still_picture_is_dark_ink(new_page, built_book_url, scheme):
    page = open_page(new_page(color_scheme=scheme), f"{built_book_url}/{CHAPTER}")
    page.emulate_media(media="print", color_scheme=scheme)
    picture = page.locator(".gdl-still svg").first
    expect(picture).to_be_visible()
    expect(page.locator(".gdl").first).to_be_hidden()
    assert picture.locator("text").first.evaluate("node => getComputedStyle(node).fill") == "rgb(0, 0, 0)"
