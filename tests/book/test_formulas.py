"""Formulas are typeset while the book is built: for the eye, for a screen reader, and without a script."""

import re

import pytest
from bs4 import BeautifulSoup

from gdlab.book.build import BookError, build_book
from gdlab.book.formulas import FormulaError, one_formula, typeset, without_numbers


def soup_of(page):
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def tex_of(formula):
    return [note.get_text() for note in formula.find_all("annotation", encoding="application/x-tex")]


# One formula


def test_a_formula_is_html_for_the_eye_and_mathml_for_a_screen_reader():
    formula = BeautifulSoup(typeset(r"\frac{1}{B}"), "html.parser")
    assert [part.get_text() for part in formula.select("math mfrac > *")] == ["1", "B"]
    assert formula.select_one(".katex-html")["aria-hidden"] == "true"
    assert tex_of(formula) == [r"\frac{1}{B}"]
    assert "katex-display" not in str(formula) and "katex-display" in typeset(r"\frac{1}{B}", display=True)


@pytest.mark.parametrize(
    ("tex", "why"), [(r"\fra{1}{2}", "Undefined control sequence"), ("{x", "Expected '}'"), ("größe", "strict")]
)
def test_a_bad_formula_is_named_with_the_reason(tex, why):
    with pytest.raises(FormulaError, match=f"(?s)The formula {re.escape(tex)} cannot be typeset: .*{why}"):
        typeset(tex)


def test_blank_lines_part_formulas_and_double_backslashes_part_lines():
    assert one_formula("x") == "x"
    assert one_formula(r"x \\ y") == r"\begin{split}x \\ y\end{split}"
    assert one_formula("x\n\ny\n\n") == r"\begin{aligned}x\\y\end{aligned}"
    assert typeset(one_formula("a &= b \\\\ c &= d\n\nx"), display=True)


def test_an_environment_leaves_its_numbers_to_the_page():
    assert without_numbers(r"\begin{align}x\end{align}") == r"\begin{align*}x\end{align*}"
    assert "eqn-num" not in typeset(without_numbers(r"\begin{gather}x\\y\end{gather}"), display=True)


# In a page

FORMULAS = r"""# A page

Let $\eta > 0$, and

$$x_{t+1} = x_t - \eta g_t$$ (step)

as {eq}`step` says.

```{math}
:label: pair
a &= b \\
c &= d
```

\begin{align}
p &= q
\end{align}

| rule | step |
|---|---|
| plain | $\eta g$ |

By {eq}`pair`, done.
"""


def test_every_way_to_write_a_formula_is_typeset_and_numbered(small_book):
    page = soup_of(build_book(small_book("from IPython.display import Math\nMath(r'\\alpha')", text=FORMULAS)))
    shown = [tex_of(formula) for formula in page.select(".math")]
    assert all(len(tex) == 1 for tex in shown) and len(shown) == 6
    assert tex_of(page.select_one("td .math")) == [r"\eta g"]
    assert tex_of(page.select_one(".cell_output .math")) == [r"\displaystyle \alpha"]
    numbers = {block["id"]: block.select_one(".eqno").get_text()[:3] for block in page.select("div.math[id]")}
    assert (numbers["equation-step"], numbers["equation-pair"]) == ("(1)", "(2)")
    assert [link.get_text() for link in page.select("a[href='#equation-step']:not(.headerlink)")] == ["(1)"]
    assert [link.get_text() for link in page.select("a[href='#equation-pair']:not(.headerlink)")] == ["(2)"]
    assert not page.select(".eqn-num, .mml-eqn-num")


def test_a_bad_formula_fails_the_build_and_names_page_and_line(small_book):
    with pytest.raises(
        BookError, match=r"index\.ipynb:\d+: WARNING: The formula \\fra\{1\}\{2\} cannot be typeset: Und"
    ):
        build_book(small_book(text="# A page\n\nHalf of it is $\\fra{1}{2}$."))


def test_a_page_without_formulas_does_not_ask_for_their_style(small_book):
    assert "katex" not in build_book(small_book(text="# A page")).read_text(encoding="utf-8")


# The real book, as committed


def test_no_formula_is_left_raw_and_nothing_asks_for_mathjax(real_book):
    formulas = 0
    for path in real_book.glob("*.html"):
        page = soup_of(path)
        assert "mathjax" not in str(page).lower(), path.name
        for formula in page.select(".math"):
            assert formula.select(".katex-mathml math") and formula.select(".katex-html"), (path.name, formula)
            formulas += 1
        style = page.select("link[rel=stylesheet][href*='katex/katex.min.css']")
        assert len(style) == bool(page.select(".katex")), path.name
        for code in page.select("pre, code, script, style, annotation"):
            code.decompose()
        assert not re.search(r"\\[a-zA-Z]+\{|\\[\[(]|\$\$", page.get_text()), path.name
    assert formulas > 300


def test_the_fonts_of_formulas_are_there_and_nothing_of_katex_that_no_page_asks_for(real_book):
    folder = real_book / "_static" / "katex"
    style = (folder / "katex.min.css").read_text(encoding="utf-8")
    named = set(re.findall(r"url\(([^)]*)\)", style))
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert len(named) == 20 and there == named | {"katex.min.css", "LICENSE"}
