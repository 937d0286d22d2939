"""The bibliography: an ordinary list, in which every entry is cited and leads to the work itself."""

from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from pybtex.database import parse_file, parse_string

from gdlab.book.bibliography import AuthorYear
from gdlab.book.build import build_book

ROOT = Path(__file__).parents[2]
REFERENCES = parse_file(ROOT / "book" / "references.bib").entries

TWO_WORKS = r"""
@misc{zhu2020, author = {Zhu, A. and Yu, B. and others}, title = {Later in the Alphabet}, year = {2020}, eprint = {2001.00001}}
@article{abel1826, author = {Abel, Niels Henrik}, title = {{\"U}ber {Reihen}}, journal = {Journal}, volume = {1},
  pages = {311--339}, year = {1826}, url = {https://example.org/abel}}
@misc{never1999, author = {Never, C.}, title = {Not Cited}, year = {1999}}
"""


def read(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.mark.parametrize("key", sorted(REFERENCES))
def test_every_entry_says_where_the_work_is_to_be_found(key):
    entry = REFERENCES[key]
    assert entry.persons["author"] and entry.fields["title"] and 1800 < int(entry.fields["year"]) < 2100
    assert {"eprint", "doi", "url"} & set(entry.fields)
    assert key.endswith(entry.fields["year"]) or key[:-1].endswith(entry.fields["year"])


def test_every_entry_is_cited_and_stands_on_the_page_with_its_links(real_book):
    items = {item["id"]: item for item in read(real_book / "references.html").select("ul.bibliography > li")}
    assert set(items) == set(REFERENCES), "An entry that no chapter cites does not get onto the page."
    for item in items.values():
        assert all(link["href"].startswith("https://") for link in item.select("a")) and item.select("a")


def test_an_entry_opens_with_the_names_and_the_year():
    entries = AuthorYear().format_bibliography(parse_string(TWO_WORKS, "bibtex"), ["zhu2020", "abel1826"])
    assert [entry.text.render_as("text") for entry in entries] == [
        "Abel, N. H. (1826). Über Reihen. Journal, 1:311–339. https://example.org/abel.",
        "Zhu, A., Yu, B., and others (2020). Later in the Alphabet. arXiv:2001.00001.",
    ]


def test_the_page_is_an_ordinary_list_to_which_citations_lead(small_book):
    text = "# A page\n\n{cite:t}`zhu2020` and {cite:p}`abel1826{page 312}`.\n\n```{bibliography}\n```"
    page = read(build_book(small_book(text=text, references=TWO_WORKS)).parent / "index.html")
    assert [item["id"] for item in page.select("ul.bibliography > li")] == ["abel1826", "zhu2020"]
    assert not page.select(".citation, .citation-list, [role=doc-biblioentry]")
    said = [(span.get_text(), span.a["href"]) for span in page.select("p .bibtex-citation")]
    assert said == [("Zhu et al. [2020]", "#zhu2020"), ("[Abel, 1826, page 312]", "#abel1826")]
