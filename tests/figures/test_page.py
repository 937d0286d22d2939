"""Figures in a page: escaped state, and the myst-nb plugin that writes it."""

import json
from html.parser import HTMLParser
from importlib.metadata import entry_points
from types import SimpleNamespace

from gdlab.figures import bowl_walk
from gdlab.figures.base import MIME
from gdlab.figures.page import HTML_BUILDERS, FigureRenderer, figure_html


class Attributes(HTMLParser):
    def handle_starttag(self, tag, attrs):
        if "data-figure" in dict(attrs):
            self.found = dict(attrs)


def test_the_state_survives_the_page():
    state = {"label": "</div><script>'\"&", "lr": 0.3}
    html = figure_html("bowl_walk", state, {"lr": {"kind": "number"}}, "<svg/>")
    assert "<script>" not in html
    reader = Attributes()
    reader.feed(html)
    assert json.loads(reader.found["data-state"]) == state


def test_the_renderer_draws_figures_and_leaves_the_rest():
    content = bowl_walk()._repr_mimebundle_()[0][MIME]
    (node,) = FigureRenderer.handle_mime(None, SimpleNamespace(mime_type=MIME, content=content), False)
    assert node["format"] == "html" and content["svg"] in node.astext()
    assert FigureRenderer.handle_mime(None, SimpleNamespace(mime_type="text/html", content=""), False) is None


def test_myst_nb_finds_the_renderer():
    (entry,) = entry_points(group="myst_nb.mime_renderers", name="gdlab_figure")
    assert entry.load() is FigureRenderer
    assert {(builder, MIME, 1) for builder in HTML_BUILDERS} == set(FigureRenderer.mime_priority_overrides)
