"""The report on a class in a real browser: readable in light and dark, at a desk and on a phone."""

import pytest
from playwright.sync_api import expect

from gdlab.grading.report import class_report, report_page
from gdlab.grading.results import open_results

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")]
SCREENS = {"desk": (1440, 1000), "phone": (390, 844), "small phone": (320, 640)}
LONG = "a-learner-with-a-very-long-name-and-an-address@a-very-long-institution.example.org"


@pytest.fixture(scope="module")
def address(hand_in, grade_class, tmp_path_factory) -> str:
    """The report on a class in which everything happens: each shade, mistakes, somebody stuck, a long name, lateness."""
    folder = tmp_path_factory.mktemp("class")
    for step in ("return theta + lr * grad", "up = theta + lr * grad\nreturn up"):
        for learner, answers in {
            "ada": {},
            "ben": {"step": step},
            LONG: {"step": step, "walk": "return theta"},
        }.items():
            handed = hand_in(folder / "submitted", learner, **answers)
            handed.with_name("timestamp.txt").write_text("2026-11-20 10:00:00 UTC")
        grade_class(folder / "submitted", folder)
    with open_results(folder) as book:
        page = report_page(class_report(book), anonymous=False)
    (folder / "report.html").write_text(page, encoding="utf-8")
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(new_page, address, serious_findings, scheme, screen):
    width, height = SCREENS[screen]
    page = new_page(color_scheme=scheme, viewport={"width": width, "height": height})
    page.goto(address)
    expect(page.get_by_role("heading", name="Stuck on the same mistake")).to_be_visible()
    for folded in page.locator("details").all():
        folded.locator("summary").click()
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_scheme(new_page, address, scheme):
    page = new_page(color_scheme=scheme, viewport={"width": 1440, "height": 1000})
    page.goto(address)
    paper, ink = page.evaluate(
        """() => { const look = getComputedStyle(document.body);
        return [look.backgroundColor, look.color].map(c => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3); }"""
    )
    assert (paper > 200 and ink < 80) if scheme == "light" else (paper < 60 and ink > 180)
