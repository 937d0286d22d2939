"""Every number in the prose of chapters and appendices is computed on its page or has a source.

A number in a text drifts away from what the code gives, unless something holds it. So each number that a
chapter's prose prints has to be one of these:

- glued: `{glue:text}` put it there when the book was built;
- shown: a cell on the same page has it, in its code or in its output;
- a whole number up to twelve, such as "five sources" or "the 2 in it";
- part of a reference: a citation, a link, a footnote's mark, "table 2.1", the year of a work that the page
  cites, a name that has a number in it ("PyTorch 2.0");
- in cited_numbers.toml, with the work that it comes from; there are at most 60 of those.

Numbers are compared by their value: 1,000 and 1e3 are the same, and so are "4 million" and 4_000_000. A
word of magnitude, a power of ten and a per cent sign belong to their number, so "4 million" is not a whole
number up to twelve. A formula is prose: "$\\eta = 0.3$" says as much as a sentence does, so its numbers count
like any others, exponents and indices too. `code` in a sentence is code. Numbers in words are words.

How long a page and its exercise take is held against the words on the page and the exercise's own notebook.
"""

import re
import tomllib
from math import isclose
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from pybtex.database import parse_file

from gdlab.book.build import build_book

ROOT = Path(__file__).parents[2]
REFERENCES = parse_file(ROOT / "book" / "references.bib").entries
CITED_NUMBERS = tomllib.loads((ROOT / "tests" / "book" / "cited_numbers.toml").read_text(encoding="utf-8"))["number"]
CHAPTERS = sorted(path.stem for path in (ROOT / "book").glob("0[1-5]-*.ipynb"))
IN_CONTENTS = set(re.findall(r"file: (\S+)", (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")))
APPENDICES = sorted(IN_CONTENTS & {path.stem for path in (ROOT / "book").glob("appendix-*")})
PAGES = CHAPTERS + APPENDICES
WITH_AN_EXERCISE = [*CHAPTERS, "appendix-optimizers"]
AT_MOST = 60

MAGNITUDES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "M": 1e6, "B": 1e9, "T": 1e12}
RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
GLUED = "\ue000"  # stands where a glued number stood

DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+(?:_\d+)*)(?:\.\d+)?(?:[eE][+-]?\d+)?"
TEN_TO_THE = r"10(?:\^\{?(?P<%stex>-?\d+)\}?|(?P<%sraised>[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))"
NUMBER = re.compile(
    rf"(?<![\w.])(?:{TEN_TO_THE % ('bare_', 'bare_')}|(?P<digits>{DIGITS}|{GLUED})"
    rf"(?:\s*(?:·|×|\\cdot|\\times)\s*{TEN_TO_THE % ('', '')})?"
    r"(?:[\s~]?(?P<word>thousand|million|billion|trillion)|(?P<letter>[MBT])\b)?(?P<percent>\s?\\?%)?)"
)
LOCATOR = re.compile(
    r"\b(?i:sections?|tables?|figures?|equations?|chapters?|pages?|volume|appendix)\s+[A-Z]?[\d.]*\d(?:[–-]\d+)?"
)
NAMES = re.compile(r"\b(?:Llama|PyTorch|TensorFlow) \d+\.\d+\b")
MINUTES = re.compile(
    r"About (?P<read>\d+) minutes to read and try(?:, then (?P<exercise>an hour|\d+ minutes))?|Allow about \d+ minutes"
)
WORDS_A_MINUTE = 110  # of a page that is also tried out
NOT_PROSE = "script, style, code, pre, .headerlink, .bibtex-citation, .footnote-reference, .fn-backref, .backrefs"
ALSO_NOT_PROSE = "aside.footnote > .label, a.reference.external, .eqno, a[href*='#equation-']"


def numbers(text):
    """Each number in a text: as printed, its possible values (0.1 as well as 10 for 10 %), and whether it is bare."""
    for match in NUMBER.finditer(text):
        if match["digits"] == GLUED:
            continue
        power = match["bare_tex"] or match["bare_raised"] or match["tex"] or match["raised"]
        value = float(re.sub("[,_]", "", match["digits"] or "1"))
        scale = 10.0 ** int(power.translate(RAISED)) if power else 1.0
        scale *= MAGNITUDES.get(match["word"] or match["letter"], 1.0)
        values = (value * scale, value * scale / 100) if match["percent"] else (value * scale,)
        yield match[0].strip(), values, scale == 1.0 and not match["percent"]


def is_small_whole(values, bare):
    return bare and values[0] <= 12 and values[0] == int(values[0])


def same(one, other):
    return isclose(one, other, rel_tol=1e-9)


def article(html):
    page = BeautifulSoup(html, "html.parser")
    return page.find("article") or page


def shown(page):
    """The values that stand in the page's cells. In code, "3 billion" may also be a 3 and a word."""
    found = set()
    for cell in page.select("div.cell"):
        text = cell.get_text(" ")
        found |= {value for _, values, _ in numbers(text) for value in values}
        found |= {float(re.sub("[,_]", "", digits)) for digits in re.findall(rf"(?<![\w.]){DIGITS}", text)}
    return found


def cited(page):
    """The keys of the works that a page cites."""
    return {link["href"].partition("#")[2] for link in page.select(".bibtex-citation a.reference")}


def prose(page):
    """What a page says outside its cells, with formulas as they were written."""
    for part in page.select("div.cell"):
        part.extract()
    for part in page.select(f"{NOT_PROSE}, {ALSO_NOT_PROSE}"):
        part.extract()
    for part in page.select("[class*=pasted]"):
        part.replace_with(GLUED)
    for formula in page.select(".math"):
        written = formula.find("annotation") or formula
        formula.string = re.sub(r"(?<=\d)(?=[A-Za-z])", " ", written.get_text())  # 2M is two times M
    return NAMES.sub(" ", LOCATOR.sub(" ", page.get_text(" ").replace("\N{MINUS SIGN}", "-")))


def unexplained(html):
    """The numbers of a page that neither a cell nor a reference explains: as printed, and their values."""
    page = article(html)
    known = shown(page) | {float(REFERENCES[key].fields["year"]) for key in cited(page)}
    return [
        (printed, values)
        for printed, values, bare in numbers(MINUTES.sub(" ", prose(page)))
        if not is_small_whole(values, bare) and not any(same(one, value) for one in known for value in values)
    ]


def faults(html, entries):
    """What is wrong with a page and its part of the list, in words."""
    left, works = unexplained(html), cited(article(html))
    for entry in entries:
        value = next(numbers(entry["number"]))[1][0]
        still_left = [(printed, values) for printed, values in left if not any(same(value, one) for one in values)]
        if still_left == left:
            yield f"{entry['number']} is in the list but not in the prose, or a cell has it by now"
        if entry["cite"] not in REFERENCES or entry["cite"] not in works:
            yield f"{entry['number']} is from {entry['cite']}, which the page does not cite"
        left = still_left
    for printed, _ in left:
        yield f"{printed}: compute it in a cell, glue it, or list it with the work it is from"


def listed_as(name):
    """How the list calls a page: a chapter by its number, an appendix by its file's name."""
    return int(name[:2]) if name in CHAPTERS else name


@pytest.fixture(scope="session")
def page(real_book):
    return lambda name: (real_book / f"{name}.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_every_number_in_the_prose_is_computed_or_cited(page, name):
    entries = [entry for entry in CITED_NUMBERS if entry["chapter"] == listed_as(name)]
    assert list(faults(page(name), entries)) == []


def test_the_list_is_short_and_says_what_each_number_is():
    assert len(CITED_NUMBERS) <= AT_MOST
    assert {entry["chapter"] for entry in CITED_NUMBERS} <= {listed_as(name) for name in PAGES}
    for entry in CITED_NUMBERS:
        assert set(entry) == {"chapter", "number", "cite", "what"} and entry["what"].strip()
    pairs = [(entry["chapter"], entry["number"]) for entry in CITED_NUMBERS]
    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("name", PAGES)
def test_the_time_to_read_fits_the_words(page, name):
    text = prose(article(page(name)))
    words = re.findall(r"[^\W\d_]{2,}", text)
    assert abs(int(MINUTES.search(text)["read"]) - len(words) / WORDS_A_MINUTE) < 5


@pytest.mark.parametrize("name", WITH_AN_EXERCISE)
def test_the_time_for_the_exercise_is_the_one_that_the_exercise_says(page, name):
    text = article(page(name)).get_text(" ")
    said = {"an hour": "60 minutes"}.get(time := MINUTES.search(text)["exercise"], time)
    exercise = re.search(r"\b(\w+)/\1\.ipynb", text)[1]
    notebook = (ROOT / "exercises" / exercise / f"{exercise}.ipynb").read_text(encoding="utf-8")
    assert said in re.search(r"\*About \d+ minutes", notebook)[0]


# The test itself, on pages that are made up

PAGE = """<article><p>{}</p><div class="cell"><div class="cell_input">walk(lr=0.3, steps=1_000, size=4e6)</div>
<div class="cell_output">loss 2.0625, 45 % of 3e-4, or 1,437 pictures</div></div></article>"""
LEE = '<span class="bibtex-citation">Lee <em>et al.</em> [<a class="reference internal" href="references.html#lee2016">2016</a>]</span>'


@pytest.mark.parametrize(
    "text",
    [
        "The rate 0.3 and the loss 2.0625 are in the cell, and so are 0.30, 1,000 steps and 1437 pictures.",
        "4 million, or 4M; 45 %; 3 · 10⁻⁴",
        r'<span class="math">\(3 \cdot 10^{-4}\) and \(10^3\)</span>',
        "Five sources, twelve steps, 12 steps, 8 by 8.",
        '<span class="pasted-text">77.7</span> and <span class="pasted-text">1.6</span> · 10⁻⁵',
        f"In 2016 {LEE} proved it; table 2.17, section 3.4.1, pages 400–407, appendix A.25.",
        '<a class="footnote-reference">[13]</a><a class="reference external" href="#">pull request 3377</a>',
        'By <a class="reference internal" href="#equation-descent">(17)</a> each step pays.',
        "PyTorch 2.0 on an A100, with <code>lr=0.77</code>",
        "About 35 minutes to read and try, then 45 minutes of exercise. Allow about 45 minutes.",
    ],
)
def test_a_number_that_is_computed_or_part_of_a_reference_passes(text):
    assert unexplained(PAGE.format(text)) == []


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("The loss is 2.06.", "2.06"),
        ("It took 13 steps.", "13"),
        ("It has 5 million of them.", "5 million"),
        ("It has 7B of them.", "7B"),
        ("It keeps 3 % of it.", "3 %"),
        (r'<span class="math">\(\eta = 0.7\)</span>', "0.7"),
        (r'<span class="math">\(2 \cdot 10^{-4}\)</span>', r"2 \cdot 10^{-4}"),
        (r'<span class="math">\(x^{17}\)</span>', "17"),
        ("The peak is 2 · 10⁻⁴.", "2 · 10⁻⁴"),
        ("It was found in 1951.", "1951"),
        ("<table><tr><td>128</td></tr></table>", "128"),
        ('<aside class="footnote"><span class="label">[14]</span><p>It takes 260 of them.</p></aside>', "260"),
        ('<span class="pasted-text">1.5</span> of 19', "19"),
    ],
)
def test_a_number_that_nothing_explains_is_found(text, printed):
    assert [found for found, _ in unexplained(PAGE.format(text))] == [printed]


@pytest.mark.parametrize(
    ("number", "cite", "fault"),
    [
        ("260 billion", "lee2016", None),
        ("260", "lee2016", "260 is in the list but not in the prose"),
        ("1,437", "lee2016", "1,437 is in the list but not in the prose"),
        ("260 billion", "brown2020", "260 billion is from brown2020, which the page does not cite"),
        ("260 billion", "nobody1900", "260 billion is from nobody1900, which the page does not cite"),
    ],
)
def test_a_listed_number_has_to_stand_on_a_page_that_cites_the_work(number, cite, fault):
    found = list(
        faults(PAGE.format(f"{LEE} took 260 billion tokens, 1,437 at a time."), [{"number": number, "cite": cite}])
    )
    assert (found == []) if fault is None else found[0].startswith(fault)


def test_a_built_page_is_read_as_it_is_meant(small_book):
    root = small_book(
        "from myst_nb import glue\nglue('share', 0.125, display=False)\nprint(6 * 7)",
        text="# A page\n\n{cite:t}`lee2016` got {glue:text}`share:.3f`, 42 and $\\eta = 0.7$; 23 of 500.[^note]\n\n"
        "[^note]: See {cite:p}`lee2016{table 17}`.\n\n```{bibliography}\n```",
        references="@misc{lee2016, author = {Lee, Jason}, title = {A title}, year = {2016}}",
    )
    html = (build_book(root).parent / "index.html").read_text(encoding="utf-8")
    assert [printed for printed, _ in unexplained(html)] == ["0.7", "23", "500"]
    assert cited(article(html)) == {"lee2016"}
