"""What every figure shares: how its files become one script, and what it leaves in a notebook's output.

A figure's JavaScript is a plain function `(model, el) -> clean-up`. That function and what it uses of the
library (engine and mathematics) make an ES module for JupyterLab (`bundle`); all figures together with
the page's own model make one classic script for the built book (`page_script`), which also works from
file://, where a browser refuses to import modules. In a notebook's output a figure leaves three things:
the widget for JupyterLab, its state for the built book, and a picture for everything else.
"""

import math
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets as t

MIME = "application/vnd.gdlab.figure+json"
"""The mime type under which the built book finds a figure's state and picture."""

HERE = Path(__file__).parent


SCRIPTS = {
    "bowl_walk": "bowlWalk",
    "schedule_plot": "schedulePlot",
    "learning_rate_regimes": "learningRateRegimes",
    "loss_curve": "lossCurve",
    "lr_finder": "lrFinder",
    "batch_noise": "batchNoise",
    "epoch_counter": "epochCounter",
    "race": "optimizerRace",
    "landscape": "landscape",
    "trainability": "trainabilityMap",
}
"""Every figure: the name of its short function in Python and of its file (without .js), and of the function in it."""

LIBRARY = (
    "engine",
    "contours",
    "predict",
    "mathematics/objectives",
    "mathematics/rules",
    "mathematics/schedules",
    "mathematics/diagnose",
    "mathematics/noise",
    "mathematics/outcomes",
)
"""What figures share. Every statement at the outermost level of these files declares something."""


@cache
def source(name: str) -> str:
    """The text of one of the figures' files, such as `engine.js`."""
    return (HERE / name).read_text(encoding="utf-8")


@cache
def packed(name: str) -> str:
    """A script without what only its readers need: whole-line comments, indentation, spaces around signs."""
    return squeezed(source(name + ".js"))


def squeezed(script: str) -> str:
    """The same script without comments, indentation, spaces around signs, and signs that JavaScript does not ask for.

    >>> squeezed("const a = b ? [1, 2] : c - d;  // why")
    'let a=b?[1,2]:c-d;'
    >>> squeezed("const half = (a) => a * 0.5; const b = half(1);")
    'let half=a=>a*.5,b=half(1);'
    >>> squeezed("function f() { g([1, 2,]); }")
    'function f(){g([1,2])}'
    """
    lines = (re.sub(r"([;,{(\[>])  // .*$", r"\1", line).strip() for line in script.splitlines())
    text = "\n".join(line for line in lines if line and not line.startswith("//"))
    return _joined((part if quoted else _tight(part), quoted) for part, quoted in _parts(text))


def _tight(code: str) -> str:
    code = re.sub(r"\s*([=<>?:,;(){}\[\]&|*]+|!==?)\s*", r"\1", code)
    code = re.sub(r"(?<![-+/ ]) ?(?<![-+/])([-+/%]) ?(?![-+/ ])", r"\1", code)  # "a + +b" is not "a++b"
    code = re.sub(r"(?<![\w$)\]])\((\w+)\)=>", r"\1=>", code)
    code = re.sub(r"\b0(?=\.\d)", "", code)
    code = re.sub(r"\bconst\b", "let", code)  # what is never set anew may be called either
    return re.sub(r";(?=})|,(?=[\])}])", "", code)


def _joined(parts: Iterable[tuple[str, bool]]) -> str:
    """Code and quoted text put together; declarations that follow one another become one: let a,b."""
    declares = [False]  # whether the statement that is open declares something: outermost, then in each open bracket

    def merged(match: re.Match[str]) -> str:
        sign = match[0]
        if sign in ("(", "[", "{"):
            declares.append(False)
        elif sign in (")", "]", "}"):
            declares.pop()
        else:
            follows = sign != ";" and sign[0] == ";" and declares[-1]
            declares[-1] = sign != ";"
            return "," if follows else sign
        return sign

    return "".join(part if quoted else re.sub(r";?\blet\b ?|[;()[\]{}]", merged, part) for part, quoted in parts)


def _parts(script: str) -> Iterator[tuple[str, bool]]:
    """A script in pieces: code, and what stands between quotes, where a space is a space."""
    start, quoted = 0, False
    closing: list[str] = []  # what ends the string, template or ${…} that is open, the innermost last
    for match in re.finditer(r'\\.|\$\{|["`{}]', script):
        sign, text = match[0], closing[-1:] in (['"'], ["`"])
        if sign == (closing[-1] if closing else None):
            closing.pop()
        elif text and not (sign == "${" and closing[-1] == "`"):
            continue
        elif sign in ('"', "`"):
            closing.append(sign)
        elif sign in ("{", "${"):
            closing.append("}")
        else:
            continue
        now = closing[-1:] in (['"'], ["`"])
        if now != quoted:
            cut = match.start() if now else match.end()
            yield script[start:cut], quoted
            start, quoted = cut, now
    yield script[start:], quoted


@cache
def _declarations() -> tuple[tuple[set[str], str], ...]:
    """The library's declarations in order: the names each one makes, and its text."""
    texts = [text for name in LIBRARY for text in re.split(r"(?m)^(?=const |function )", source(name + ".js"))]
    declared = [(re.match(r"(?:const|function) +\[?([\w, ]+)", text), squeezed(text)) for text in texts]
    return tuple((set(re.findall(r"\w+", match[1])), text) for match, text in declared if match)


def library_for(script: str) -> str:
    """What a script uses of the library, and what that uses in turn."""
    used: set[int] = set()
    unread = [script]
    while unread:
        words = set(re.findall(r"\w+", unread.pop()))
        for i, (names, text) in enumerate(_declarations()):
            if i not in used and names & words:
                used.add(i)
                unread.append(text)
    return "\n".join(_declarations()[i][1] for i in sorted(used))


def bundle(figure: str) -> str:
    """One figure as an ES module, in the form that anywidget asks for."""
    own = packed(figure)
    render = f"export default {{ render: ({{ model, el }}) => {SCRIPTS[figure]}(model, el) }};"
    return f"{library_for(own)}\n{own}\n{render}\n"


def page_script() -> str:
    """All figures as one classic script that brings a built page's figures to life."""
    table = ", ".join(f"{figure}: {draw}" for figure, draw in SCRIPTS.items())
    own = "\n".join((*map(packed, SCRIPTS), f"const figures = {{ {table} }};", packed("page")))
    return f'(() => {{\n"use strict";\n{library_for(own)}\n{own}\n}})();\n'


def finite(value: float) -> float | None:
    """A number as JSON can carry it: None stands for infinity and for "not a number"."""
    return value if math.isfinite(value) else None


class Number(t.Float):
    """A number within its bounds; infinity and "not a number" are none."""

    def validate(self, obj, value):
        value = super().validate(obj, value)
        if not math.isfinite(value):
            raise t.TraitError(f"{self.name} has to be an ordinary number, but is {value}.")
        return value


class Figure(anywidget.AnyWidget):
    """A figure that lives in JupyterLab and in the built book.

    A subclass names its JavaScript in `figure`, lists in `settings` the traits that a reader can set (they
    make up the link to an exact setting) and in `told` those that only Python sets, and draws itself on
    paper in `picture`. Numbers among the settings are `Number` or `traitlets.Int` and have bounds: a link
    may hold anything.
    """

    figure: ClassVar[str]
    settings: ClassVar[tuple[str, ...]]
    told: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs):
        if "figure" in vars(cls):  # ipywidgets makes further subclasses of its own
            cls._esm, cls._css = bundle(cls.figure), source("figures.css")
        super().__init_subclass__(**kwargs)

    def picture(self) -> str:
        """The figure as a self-contained SVG, for paper and for a reader without JavaScript."""
        raise NotImplementedError(f"{type(self).__name__} has to say how it looks on paper: define picture().")

    def state(self) -> dict[str, Any]:
        """What the JavaScript needs in order to draw the figure as it stands, as plain JSON values."""
        return {name: getattr(self, name) for name in self.settings + self.told}

    @classmethod
    def limits(cls) -> dict[str, dict[str, Any]]:
        """For each setting what a link may set it to."""
        return {name: _limits(cls.class_traits()[name]) for name in cls.settings}

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        picture = self.picture()
        return {
            **data,
            MIME: {"figure": self.figure, "state": self.state(), "settings": self.limits(), "svg": picture},
            "image/svg+xml": picture,
        }, metadata


def _limits(trait: t.TraitType) -> dict[str, Any]:
    if isinstance(trait, t.Bool):
        return {"kind": "switch"}
    if isinstance(trait, t.Enum):
        return {"kind": "choice", "options": list(trait.values)}
    if isinstance(trait, t.Int | Number) and math.isfinite(trait.min) and math.isfinite(trait.max):
        kind = "whole" if isinstance(trait, t.Int) else "number"
        return {"kind": kind, "min": trait.min, "max": trait.max}
    raise TypeError(
        f"{trait.name} cannot stand in a link: a setting is a Bool, an Enum, or an Int or Number with bounds."
    )
