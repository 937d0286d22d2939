"""Figures in the built book, without a kernel and without another host.

A figure's output carries its state and its picture (`base.MIME`). `FigureRenderer` (myst-nb finds it by
the entry point in pyproject.toml) writes both into the page; the script and the style that `setup`
(a Sphinx extension, listed in _config.yml) adds to the book turn the state into the living figure. The
picture stays for paper and for a reader without JavaScript. JupyterLab's copy of each figure is left out.
"""

import json
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes

from gdlab.figures.base import MIME, page_script, source

HTML_BUILDERS = ("html", "dirhtml", "singlehtml")


def figure_html(figure: str, state: dict[str, Any], settings: dict[str, Any], svg: str) -> str:
    """The element in a page that the script brings to life."""
    return (
        f'<div class="gdl-figure" data-figure="{escape(figure)}" data-state="{escape(json.dumps(state, allow_nan=False))}"'
        f' data-settings="{escape(json.dumps(settings, allow_nan=False))}">'
        f'<div class="gdl-still">{svg}</div></div>'
    )


class FigureRenderer:
    """myst-nb's way to draw a mime type it does not know."""

    mime_priority_overrides: ClassVar = [(builder, MIME, 1) for builder in HTML_BUILDERS]

    @staticmethod
    def handle_mime(renderer, data, inline: bool) -> list[nodes.Element] | None:
        if data.mime_type != MIME:
            return None
        return [nodes.raw(text=figure_html(**data.content), format="html")]


def _write_assets(app) -> None:
    """Write the script and the style into a folder that Sphinx copies into the book."""
    folder = Path(app.doctreedir).parent / ".figures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("figures.js", page_script()), ("figures.css", source("figures.css"))):
        (folder / name).write_text(text, encoding="utf-8")
    app.config.html_static_path.append(str(folder))
    app.add_js_file("figures.js", loading_method="defer")
    app.add_css_file("figures.css")


def _forget_widget_state(app, env) -> None:
    """Leave JupyterLab's copy of each figure out of the pages: it repeats the whole script, and nothing there reads it."""
    for page in getattr(env, "nb_metadata", {}).values():
        page.get("js_files", {}).pop("ipywidgets_state", None)


def setup(app) -> dict[str, Any]:
    """Sphinx calls this for every extension in _config.yml."""
    app.connect("builder-inited", _write_assets)
    app.connect("env-updated", _forget_widget_state)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
