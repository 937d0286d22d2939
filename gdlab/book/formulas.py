"""Formulas, typeset while the book is built: no script of a page has to do it, and none is needed to read them.

KaTeX turns TeX into HTML for the eye and MathML for a screen reader. It is a JavaScript program
(book/_vendor/katex), which V8 runs in a process of its own (gdlab/book/katex.py). A formula that it cannot set is a
warning that names the page and the line, and a warning fails the build. `setup` is a Sphinx extension, listed in
_config.yml, where `html_math_renderer` chooses it. JupyterLab typesets the same formulas with its own MathJax, so
KaTeX is strict: it takes nothing that LaTeX would not.
"""

import atexit
import json
import os
import re
import subprocess
import sys
from functools import cache
from html import escape
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

from docutils import nodes
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

from gdlab.book import katex
from gdlab.book.katex import KATEX

STYLE = "katex/katex.min.css"
NUMBERED = re.compile(r"\\(begin|end)\{(align|alignat|equation|gather)\}")
OLD_FONTS = re.compile(r',url\([^)]*\.(?:woff|ttf)\) format\("\w+"\)')  # for browsers without WOFF2: none since 2018

logger = logging.getLogger(__name__)


class FormulaError(Exception):
    """A formula that cannot be typeset; the message says which, and why."""


@cache
def typeset(tex: str, display: bool = False) -> str:
    r"""A formula as HTML and MathML, such as `typeset(r"\nabla L")`.

    Args:
        tex: the formula, without dollar signs.
        display: on a line of its own.

    Raises:
        FormulaError: if KaTeX cannot set it.
    """
    setter = _typesetter(os.getpid())
    setter.stdin.write(json.dumps([tex, display]) + "\n")
    setter.stdin.flush()
    answer = json.loads(setter.stdout.readline())
    if "error" in answer:
        shown = " ".join(tex.split())
        raise FormulaError(
            f"The formula {shown} cannot be typeset: {answer['error'].rstrip('.')}. Mend it, or write it in the TeX that KaTeX knows."
        )
    return answer["html"]


@cache
def _typesetter(process: int) -> subprocess.Popen[str]:
    """KaTeX, for one process: a copy of this one starts its own. It ends when nobody can ask it any more."""
    command = [sys.executable, "-P", katex.__file__]
    setter = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
    atexit.register(setter.communicate)
    return setter


def one_formula(tex: str) -> str:
    r"""The TeX of a display formula with what Sphinx lets a writer leave out: blank lines part formulas, \\ parts lines."""
    parts = [part.strip() for part in tex.split("\n\n") if part.strip()]
    lines = [rf"\begin{{split}}{part}\end{{split}}" if r"\\" in part else part for part in parts]
    return lines[0] if len(lines) == 1 else r"\begin{aligned}" + r"\\".join(lines) + r"\end{aligned}"


def without_numbers(tex: str) -> str:
    """An environment of amsmath that leaves the numbers to Sphinx, which knows those of the whole page."""
    return NUMBERED.sub(r"\\\1{\2*}", tex)


def _html(node: nodes.Element, tex: str, display: bool) -> str:
    try:
        return typeset(tex, display)
    except FormulaError as error:
        logger.warning("%s", error, location=node)
        return escape(tex)


def _visit_math(translator, node: nodes.math) -> None:
    opening = translator.starttag(node, "span", "", CLASS="math notranslate nohighlight")
    translator.body.append(f"{opening}{_html(node, node.astext(), display=False)}</span>")
    raise nodes.SkipNode


def _visit_math_block(translator, node: nodes.math_block) -> None:
    translator.body.append(translator.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node.get("number"):
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    tex = without_numbers(node.astext()) if node.get("nowrap") else one_formula(node.astext())
    translator.body.append(f"{_html(node, tex, display=True)}</div>\n")
    raise nodes.SkipNode


def _add_style(app, page: str, template: str, context: dict[str, Any], doctree) -> None:
    """Only pages with formulas ask for KaTeX's style."""
    if 'class="katex' in context.get("body", ""):
        app.add_css_file(STYLE)


def _write_style(app, error) -> None:
    if error or app.builder.format != "html":
        return
    style = Path(app.outdir) / "_static" / STYLE
    copytree(KATEX, style.parent, ignore=ignore_patterns("*.js"), dirs_exist_ok=True)
    style.write_text(OLD_FONTS.sub("", style.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app) -> dict[str, Any]:
    """Sphinx calls this for every extension in _config.yml."""
    app.add_html_math_renderer("katex", (_visit_math, None), (_visit_math_block, None))
    app.connect("html-page-context", _add_style)
    app.connect("build-finished", _write_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
