"""What every figure shares: how its files become one script, and what it leaves in a notebook's output.

A figure's JavaScript is a plain function `(model, el) -> clean-up`. The engine and that function,
joined, make an ES module for JupyterLab (`bundle`) or, together with all other figures and the page's
own model, one classic script for the built book (`page_script`), which also works from file://, where
a browser refuses to import modules. In a notebook's output a figure leaves three things: the widget
for JupyterLab, its state for the built book, and a picture for everything else.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import anywidget

MIME = "application/vnd.gdlab.figure+json"
"""The mime type under which the built book finds a figure's state and picture."""

HERE = Path(__file__).parent

SCRIPTS = {"bowl_walk": "bowlWalk"}
"""Every figure: the name of its file (without .js) and of the function in it."""


@cache
def source(name: str) -> str:
    """The text of one of the figures' files, such as `engine.js`."""
    return (HERE / name).read_text(encoding="utf-8")


def bundle(figure: str) -> str:
    """One figure as an ES module, in the form that anywidget asks for."""
    draw = SCRIPTS[figure]
    return f"{source('engine.js')}\n{source(figure + '.js')}\nexport default {{ render: ({{ model, el }}) => {draw}(model, el) }};\n"


def page_script() -> str:
    """All figures as one classic script that brings a built page's figures to life."""
    figures = "\n".join(source(figure + ".js") for figure in SCRIPTS)
    table = ", ".join(f"{figure}: {draw}" for figure, draw in SCRIPTS.items())
    return f'(() => {{\n"use strict";\n{source("engine.js")}\n{figures}\nconst figures = {{ {table} }};\n{source("page.js")}\n}})();\n'


def finite(value: float) -> float | None:
    """A number as JSON can carry it: None stands for infinity and for "not a number"."""
    return value if math.isfinite(value) else None


class Figure(anywidget.AnyWidget):
    """A figure that lives in JupyterLab and in the built book.

    A subclass names its JavaScript in `figure`, lists in `shown` the traits the JavaScript reads, and
    draws itself on paper in `picture`.
    """

    figure: ClassVar[str]
    shown: ClassVar[tuple[str, ...]]

    def picture(self) -> str:
        """The figure as a self-contained SVG, for paper and for a reader without JavaScript."""
        raise NotImplementedError(f"{type(self).__name__} has to say how it looks on paper: define picture().")

    def state(self) -> dict[str, Any]:
        """What the JavaScript needs in order to draw the figure as it stands, as plain JSON values."""
        return {name: getattr(self, name) for name in self.shown}

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        picture = self.picture()
        return {
            **data,
            MIME: {"figure": self.figure, "state": self.state(), "svg": picture},
            "image/svg+xml": picture,
        }, metadata
