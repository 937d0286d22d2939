"""The API reference: every public name stands on its pages, in the words of its docstring, and the index finds it."""

import re
from importlib import import_module
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from sphinx.pycode import ModuleAnalyzer

from gdlab import figures, objectives
from gdlab.book.pdf import parts_of
from gdlab.book.reference import MODULES, to_rst

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.stem for path in (ROOT / "book").glob("api-reference*.md"))


def public_names(module):
    """The functions and classes that a module defines for others."""
    own = {name: value for name, value in vars(module).items() if name[0] != "_" and callable(value)}
    return sorted(name for name, value in own.items() if getattr(value, "__module__", "") == module.__name__)


def all_public_names():
    """Full name -> docstring, of everything that the reference has to describe."""
    found = {}
    for module in map(import_module, MODULES):
        found |= {f"{module.__name__}.{name}": getattr(module, name).__doc__ for name in public_names(module)}
        constants = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
        found |= {
            f"{module.__name__}.{name}": "\n".join(doc)
            for (owner, name), doc in constants.items()
            if not owner and name[0] != "_"
        }
    for name in figures.__all__:
        value = getattr(figures, name)
        found[f"{value.__module__}.{name}"] = value.__doc__
    return found


def without_marks(text):
    """The words alone: no backticks and stars, straight quotes, one space between two words."""
    return " ".join(re.sub(r"[`*]", "", text).translate(str.maketrans("“”‘’", "\"\"''")).replace("...", "…").split())


def entries(html):
    """Anchor -> what the entry says, of every name that a page describes."""
    page = BeautifulSoup(html, "html.parser")
    return {sign["id"]: without_marks(sign.find_next_sibling("dd").get_text(" ")) for sign in page.select("dt.sig[id]")}


def summary(docstring):
    return without_marks(docstring.strip().split("\n\n")[0])


def undescribed(described, wanted):
    """The names that have no docstring, no entry, or an entry that says something else."""
    return [
        name
        for name, docstring in wanted.items()
        if not docstring or name not in described or squeezed(summary(docstring)) not in squeezed(described[name])
    ]


def squeezed(text):
    """Without spaces: where one part of a text ends and the next begins, the page may have one more."""
    return text.replace(" ", "")


@pytest.fixture(scope="session")
def described(real_book):
    return {
        name: text
        for page in PAGES
        for name, text in entries((real_book / f"{page}.html").read_text(encoding="utf-8")).items()
    }


def test_every_public_name_is_described_with_the_summary_of_its_docstring(described):
    wanted = all_public_names()
    assert len(wanted) > 150
    assert undescribed(described, wanted) == []


def test_all_that_the_packages_export_is_among_them(described):
    ends = {name.rpartition(".")[2] for name in described}
    assert set(objectives.__all__) | set(figures.__all__) <= ends


@pytest.mark.parametrize("module", ["rules", "schedules", "batching", "counting", "loop", "diagnose", "learn"])
def test_a_module_that_chapters_import_is_described_whole(module):
    assert f"gdlab.{module}" in MODULES


def test_the_index_leads_to_every_name(described, real_book):
    index = BeautifulSoup((real_book / "genindex.html").read_text(encoding="utf-8"), "html.parser")
    places = {link["href"].partition("#")[2] for link in index.select(".indextable a[href]")}
    assert set(described) <= places


def test_the_contents_and_the_front_page_name_it_and_paper_has_every_page_of_it(real_book):
    front = BeautifulSoup((real_book / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert front.select_one("article a[href='api-reference.html']")
    [appendices] = [names for caption, names in parts_of(ROOT / "book" / "_toc.yml") if caption == "Appendices"]
    assert set(PAGES) <= set(appendices)


def test_a_class_says_which_arguments_it_takes_itself(real_book):
    page = (real_book / "api-reference-figures.html").read_text(encoding="utf-8")
    signs = {sign["id"]: sign.get_text() for sign in BeautifulSoup(page, "html.parser").select("dt.sig[id]")}
    assert "step: Callable" in signs["gdlab.figures.bowl.BowlWalk"]
    assert not any(wrong in sign for sign in signs.values() for wrong in ("<factory>", "<function", "~"))


def test_a_class_is_made_and_returns_nothing(real_book):
    page = BeautifulSoup((real_book / "api-reference-loop.html").read_text(encoding="utf-8"), "html.parser")
    sign = page.find(id="gdlab.loop.Run").get_text()
    assert "record: list[dict[str, Any]] = list()" in " ".join(sign.split()) and "→" not in sign


def test_no_list_of_descriptions_is_without_a_name(real_book):
    for page in PAGES:
        read = BeautifulSoup((real_book / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
        assert all(described.find("dt", recursive=False) for described in read.select("article dl")), page
        assert all(fold.get("aria-label") for fold in read.select("nav summary")), page


def test_the_formula_of_a_surface_is_typeset(real_book):
    page = (real_book / "api-reference-objectives.html").read_text(encoding="utf-8")
    sign = BeautifulSoup(page, "html.parser").find(id="gdlab.objectives.surfaces.rosenbrock")
    assert sign.find_next_sibling("dd").select_one("annotation").get_text() == objectives.rosenbrock.formula


# The tests' own measure


ENTRY = '<dl><dt class="sig" id="m.f">f()</dt><dd><p>Half of <code>x</code>, “so to say”.</p></dd></dl>'


@pytest.mark.parametrize(
    ("wanted", "faults"),
    [
        ({"m.f": 'Half of `x`,\n    "so to say".\n\n    More.'}, []),
        ({"m.f": "Twice `x`."}, ["m.f"]),
        ({"m.f": None}, ["m.f"]),
        ({"m.g": "Half of `x`."}, ["m.g"]),
    ],
    ids=["same words", "other words", "no docstring", "no entry"],
)
def test_a_name_that_is_not_described_is_found(wanted, faults):
    assert undescribed(entries(ENTRY), wanted) == faults


# Docstrings into reStructuredText


@pytest.mark.parametrize(
    ("line", "rst"),
    [
        ("|G|² and θ_ and *args", r"\|G\|² and θ\_ and \*args"),
        ("the *mean* of W_1", "the *mean* of W_1"),
        ("`n`, `a | b`", "``n``, ``a | b``"),
        ("see `adam`", "see :py:obj:`adam <gdlab.rules.adam>`"),
        ("see `bowl_walk()`", "see :py:obj:`bowl_walk() <gdlab.figures.bowl.bowl_walk>`"),
        ("see `loop.train`", "see :py:obj:`loop.train <gdlab.loop.train>`"),
        ("see `train`", "see ``train``"),
        ("arXiv 1706.02677, doi:10.24432/C50P49,", None),
    ],
    ids=["other meanings", "emphasis", "code", "a name", "a call", "with its module", "one of two", "works"],
)
def test_what_rst_would_misread_is_escaped_and_what_is_known_is_linked(line, rst):
    works = "`arXiv 1706.02677 <https://arxiv.org/abs/1706.02677>`__, `doi:10.24432/C50P49 <https://doi.org/10.24432/C50P49>`__,"
    assert to_rst([line]) == [rst or works, ""]


def test_a_name_is_looked_up_in_its_own_module_first():
    assert to_rst(["`train`"], "gdlab.loop")[0] == ":py:obj:`train <gdlab.loop.train>`"
    assert to_rst(["`train`"], "gdlab.torch.loop")[0] == ":py:obj:`train <gdlab.torch.loop.train>`"


@pytest.mark.parametrize(
    ("lines", "language"),
    [(["    v ← μv + g"], "text"), (["    for a in b:", "        c = a"], "python"), ([">>> 1 + 1", "2"], "pycon")],
    ids=["formula", "code", "example"],
)
def test_what_stands_alone_is_set_as_what_it_is(lines, language):
    assert to_rst(lines)[0] == f".. code-block:: {language}"


def test_a_colon_in_what_is_returned_makes_no_type():
    assert to_rst(["Returns:", "    X of shape (n, 1): areas; y: prices."]) == [
        ":Returns:",
        "    X of shape (n, 1): areas; y: prices.",
        "",
    ]
