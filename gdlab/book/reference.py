"""The API reference: the docstrings of this package as pages of the book.

Our docstrings are written to be read in a terminal: Google's sections, `code` in single backticks, formulas in
Unicode, and what stands alone is set in. Sphinx's autodoc reads reStructuredText, in which bars, stars and
underscores mean something else (|G|² would be a substitution), and napoleon would take the words before any colon
for a type. So `to_rst` turns the one into the other. A name in backticks becomes a link where the reference describes
it, and arXiv and DOI numbers lead to the work. `setup` is a Sphinx extension, listed in _config.yml.
"""

import re
import sys
from dataclasses import MISSING
from functools import cache
from importlib import import_module
from inspect import Signature, cleandoc, getdoc, isfunction
from pathlib import Path
from typing import Any

from sphinx.util import inspect as sphinx_inspect

from gdlab import figures

MODULES = (
    "gdlab.rules",
    "gdlab.schedules",
    "gdlab.batching",
    "gdlab.counting",
    "gdlab.scaling",
    "gdlab.loop",
    "gdlab.objectives.surfaces",
    "gdlab.objectives.models",
    "gdlab.data",
    "gdlab.diagnose",
    "gdlab.sweep",
    "gdlab.torch.optim",
    "gdlab.torch.loop",
    "gdlab.torch.data",
    "gdlab.torch.models",
    "gdlab.torch.parallel",
    "gdlab.torch.checkpoint",
    "gdlab.torch.devices",
    "gdlab.learn",
)
"""What the pages describe whole; of the figures' modules they describe what `gdlab.figures` exports."""

SECTIONS = {"Args:": "Parameters", "Attributes:": "Attributes", "Raises:": "Raises", "Returns:": "Returns"}
IN_BACKTICKS = re.compile(r"(`[^`]+`)")
EMPHASIS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*]+)(?<=[^\s*])\*(?![\w*])")
MEANS_SOMETHING_ELSE = re.compile(r"[\\|*]|_(?!\w)")
WORKS = (
    (re.compile(r"arXiv (\d{4}\.\d{5})"), "https://arxiv.org/abs/"),
    (re.compile(r"doi:(10\.[\w./]+\w)"), "https://doi.org/"),
)
CLASS_OF_A_FORMULA = "gdl-formula"


# Docstrings into reStructuredText


def to_rst(lines: list[str], module: str = "") -> list[str]:
    """A docstring as reStructuredText.

    Args:
        lines: of the docstring, without its own indentation.
        module: where names in backticks are looked up first.

    >>> to_rst(["The mean |G|² of `n` rows.", "", "Args:", "    n: how many,", "        1 or more."])
    ['The mean \\\\|G\\\\|² of ``n`` rows.', '', ':Parameters:', '    * **n** -- how many, 1 or more.', '']
    """
    done: list[str] = []
    for block in _blocks(lines):
        if block[0] in SECTIONS:
            done += _section(block, module)
        elif block[0].startswith(">>>"):
            done += _literal(block, "pycon")
        elif block[0].startswith(" "):
            done += _literal(block, "python" if _is_python(block) else "text")
        else:
            done += [*_prose(block, module), ""]
    return done


def _section(block: list[str], module: str) -> list[str]:
    """A field of the docstring: one text where things are returned, else a row for each name."""
    head, body = SECTIONS[block[0]], cleandoc("\n" + "\n".join(block[1:]))
    if head == "Returns":
        return [":Returns:", *("    " + line for line in _prose(body.split("\n"), module)), ""]
    rows = [row.partition(": ") for row in re.sub(r"\n +", " ", body).split("\n")]
    return [
        f":{head}:",
        *(f"    * **{_words(name)}** -- {' '.join(_prose([text], module))}" for name, _, text in rows),
        "",
    ]


def _blocks(lines: list[str]) -> list[list[str]]:
    """Lines without a blank one between them."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def _literal(block: list[str], language: str) -> list[str]:
    options = [f"   :class: {CLASS_OF_A_FORMULA}"] if language == "text" else []
    text = cleandoc("\n" + "\n".join(block))
    return [f".. code-block:: {language}", *options, "", *("   " + line for line in text.split("\n")), ""]


def _is_python(block: list[str]) -> bool:
    try:
        compile(cleandoc("\n" + "\n".join(block)), "docstring", "exec")
    except SyntaxError:
        return False
    return True


def _prose(block: list[str], module: str) -> list[str]:
    parts = IN_BACKTICKS.split("\n".join(block))
    return "".join(_code(part[1:-1], module) if part[:1] == "`" else _words(part) for part in parts).split("\n")


def _words(text: str) -> str:
    text = MEANS_SOMETHING_ELSE.sub(r"\\\g<0>", EMPHASIS.sub("\ue000\\1\ue001", text))
    for number, site in WORKS:
        text = number.sub(rf"`\g<0> <{site}\1>`__", text)
    return text.replace("\ue000", "*").replace("\ue001", "*")


def _code(text: str, module: str) -> str:
    text = " ".join(text.split())
    target = _described_as(text.removesuffix("()"), module)
    return f":py:obj:`{text} <{target}>`" if target else f"``{text}``"


# Names


@cache
def _described() -> dict[str, str]:
    """Where each public function and class of the reference stands: its own name, or the one with its module's."""
    found: dict[str, str] = {}
    for module in MODULES:
        for name, value in vars(import_module(module)).items():
            if name[0] != "_" and getattr(value, "__module__", None) == module and callable(value):
                found[f"{module}.{name}"] = f"{module}.{name}"
                found[name] = "" if name in found else f"{module}.{name}"  # "" where two modules have one
    for name in figures.__all__:
        home = getattr(figures, name).__module__
        found |= dict.fromkeys((f"{home}.{name}", f"gdlab.figures.{name}", name), f"{home}.{name}")
    return found


def _described_as(text: str, module: str) -> str:
    """The full name under which the reference describes what a docstring calls `text`, or nothing."""
    known = _described()
    return next((known[name] for name in (f"{module}.{text}", f"gdlab.{text}", text) if name in known), "")


# What Sphinx asks


def _docstring(app, what, name, value, options, lines: list[str]) -> None:
    module = name if what == "module" else _module_of(name)
    lines[:] = to_rst(lines, module)
    if what == "data" and hasattr(value, "formula"):  # after the first paragraph
        lines[lines.index("") :] = ["", ".. math::", "", f"   {value.formula}", *lines[lines.index("") :]]
    if what == "class" and hasattr(value, "class_traits"):
        traits = {trait: value.class_traits()[trait] for trait in (*value.settings, *value.told)}
        lines += to_rst(["Attributes:", *(f"    {trait}: {kind.help}." for trait, kind in traits.items())], module)


def _module_of(name: str) -> str:
    while name not in sys.modules:
        name = name.rpartition(".")[0]
    return name


class _Written(str):
    """A default as it stands in the code, where Python would say <function …> or <factory>."""

    __repr__ = str.__str__


def _signature(app, what, name, value, options, signature, returned):
    """A class's own arguments, where an inherited `__new__` would take anything, with defaults that are Python."""
    if what != "class" or not ("__init__" in vars(value) or hasattr(value, "class_traits")):
        return None
    own = sphinx_inspect.signature(value.__init__, bound_method=True)
    made = {field.name: field.default_factory for field in getattr(value, "__dataclass_fields__", {}).values()}
    arguments = [argument.replace(default=_written(argument, made)) for argument in own.parameters.values()]
    own = own.replace(parameters=arguments, return_annotation=Signature.empty)
    return sphinx_inspect.stringify_signature(own, unqualified_typehints=True), returned


def _written(argument, made: dict[str, Any]) -> Any:
    if made.get(argument.name, MISSING) is not MISSING:
        return _Written(f"{made[argument.name].__name__}()")
    return _Written(argument.default.__name__) if isfunction(argument.default) else argument.default


def _skip(app, what, name, value, skip, options) -> bool | None:
    """The fields of a named tuple and a figure's traits are told with their class."""
    if (getdoc(value) or "").startswith("Alias for field number") or hasattr(value, "this_class"):
        return True
    return None


# What axe would find serious in what Sphinx and the theme write


ARGUMENTS = re.compile(r"<dl>\n((?:<dd><em class=\"sig-param\">.*</dd>\n)+)</dl>")
FOLD = '<summary><span class="toctree-toggle"'
NAMED_FOLD = '<summary aria-label="The pages of this part"><span class="toctree-toggle"'


def _mend(app, error) -> None:
    if error or app.builder.format != "html":
        return
    for page in Path(app.outdir).glob("*.html"):
        text = page.read_text(encoding="utf-8")
        mended = mended_html(text)
        if mended != text:
            page.write_text(mended, encoding="utf-8")


def mended_html(html: str) -> str:
    """A list of descriptions that describe nothing becomes lines, and what folds the contents gets a name.

    >>> mended_html('<dl>\\n<dd><em class="sig-param">x</em>,</dd>\\n</dl>')
    '<span class="sig-line"><em class="sig-param">x</em>,</span>\\n'
    """
    lines = ARGUMENTS.sub(
        lambda found: found[1].replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>"), html
    )
    return lines.replace(FOLD, NAMED_FOLD)


def setup(app) -> dict[str, Any]:
    """Sphinx calls this for every extension in _config.yml."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-skip-member", _skip)
    app.connect("build-finished", _mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
