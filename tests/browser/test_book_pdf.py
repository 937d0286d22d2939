"""The book on paper: contents whose numbers hold, every page once, and links that stay within."""

import re
from unicodedata import normalize

import pytest
from bs4 import BeautifulSoup
from pypdf import PdfReader

from gdlab.book.build import BookError
from gdlab.book.pdf import parts_of, print_book
from gdlab.browser import NoBrowser

PARTS = [("", ["index"]), ("Chapters", ["04-epoch-iteration-step"]), ("Appendices", ["appendix-practice", "glossary"])]


@pytest.fixture(scope="module")
def pdf(built_book, tmp_path_factory) -> PdfReader:
    """A front page, a chapter with a figure, an appendix with folded answers, and the glossary."""
    path = tmp_path_factory.mktemp("paper") / "book.pdf"
    titles = list(print_book(built_book, PARTS, path))
    assert titles == ["Gradient Descent Lab", "Epoch, iteration, step", "Practice", "Glossary"]
    assert list(path.parent.iterdir()) == [path]
    return PdfReader(path)


def starts(pdf: PdfReader) -> dict[str, int]:
    return {entry.title: pdf.get_destination_page_number(entry) + 1 for entry in pdf.outline}


def words(pdf: PdfReader, number: int) -> str:
    """The words of a sheet; a ligature is its letters."""
    return " ".join(normalize("NFKC", pdf.pages[number - 1].extract_text()).split())


def test_the_contents_say_where_each_page_begins(pdf):
    listed = {title: int(number) for title, number in re.findall(r"^(.+?) (\d+)$", pdf.pages[0].extract_text(), re.M)}
    in_outline = starts(pdf)
    assert in_outline.pop("Contents") == 1
    assert listed == in_outline
    assert all(title in words(pdf, number) for title, number in listed.items())


def test_every_sheet_carries_its_number(pdf):
    assert all(words(pdf, number).endswith(str(number)) for number in range(1, len(pdf.pages) + 1))


def test_what_is_folded_on_the_screen_is_open_on_paper(pdf, built_book):
    begin, end = starts(pdf)["Practice"], starts(pdf)["Glossary"]
    paper = " ".join(words(pdf, number) for number in range(begin, end))
    page = BeautifulSoup((built_book / "appendix-practice.html").read_bytes(), "html.parser")
    answers = [
        folded.select_one(".admonition-title ~ p, .admonition-title ~ section > p, p:not(.admonition-title)")
        for folded in page.select(".admonition.dropdown")
    ]
    beginnings = [" ".join(answer.find(string=True).split()[:3]) for answer in answers]
    assert len(beginnings) > 10
    assert [words for words in beginnings if words not in paper] == []
    computations = ["".join(code.get_text().split())[:12] for code in page.select("details pre")]
    assert len(computations) > 10
    assert [code for code in computations if code not in paper.replace(" ", "")] == []


def test_links_between_pages_lead_to_places_in_the_document(pdf):
    links = [link.get_object() for sheet in pdf.pages for link in sheet.get("/Annots", ())]
    outside = [str(link["/A"]["/URI"]) for link in links if "/URI" in link.get("/A", {})]
    assert not [uri for uri in outside if "127.0.0.1" in uri]
    assert any("/Dest" in link for link in links)


def test_a_document_that_cannot_be_written_is_said_and_leaves_nothing(built_book, tmp_path):
    (tmp_path / "book.pdf").mkdir()
    with pytest.raises(BookError, match="could not be written"):
        list(print_book(built_book, [("", ["index"])], tmp_path / "book.pdf"))
    assert [path.name for path in tmp_path.iterdir()] == ["book.pdf"]


def test_without_a_browser_the_command_says_what_to_install(built_book, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoBrowser, match="install Chromium"):
        list(print_book(built_book, PARTS, built_book / "never.pdf"))


def test_the_book_is_printed_in_the_order_of_its_contents(root):
    parts = parts_of(root / "book" / "_toc.yml")
    assert parts[0] == ("", ["index"]) and parts[1][0] == "Chapters" and parts[1][1][0] == "01-update-rule"
