"""How the book's bibliography reads: who (when), what, where, and links, in the order of the names.

A citation in a chapter says "Lee et al. [2016]", so an entry opens with the names and the year: the style
below, with which sphinxcontrib-bibtex sets every entry of book/references.bib. It would draw the page as a
list of citations, with links as children of the list and with roles that are deprecated, which axe finds
critical. So the page becomes an ordinary list. `setup` (a Sphinx extension, listed in _config.yml) makes
both known.
"""

from typing import Any

from docutils import nodes
from pybtex.plugin import find_plugin, register_plugin
from pybtex.style.formatting import toplevel
from pybtex.style.formatting.plain import Style
from pybtex.style.formatting.unsrt import pages
from pybtex.style.template import field, href, join, optional, sentence, tag, words
from sphinx.transforms.post_transforms import SphinxPostTransform

NAME = "author_year"


class AuthorYear(Style):
    """Entries like: Robbins, H. and Monro, S. (1951). A Stochastic Approximation Method. *Journal*, 22(3):400–407."""

    default_name_style = "lastfirst"

    def __init__(self, **settings):
        super().__init__(**{"abbreviate_names": True, **settings})

    def get_article_template(self, entry):
        place = join[field("volume"), optional["(", field("number"), ")"], optional[":", pages]]
        return self._template(entry, sentence[tag("em")[field("journal")], optional[place]])

    def get_inproceedings_template(self, entry):
        return self._template(
            entry, sentence[words["In", tag("em")[field("booktitle")]], optional[words["pages", pages]]]
        )

    def get_misc_template(self, entry):
        return self._template(entry, optional[sentence[field("howpublished")]])

    def format_url(self, entry):
        url = field("url", raw=True)
        return href(url)[url]

    def _template(self, entry, place):
        return toplevel[
            words[self.format_names("author", as_sentence=False), join["(", field("year"), ")."]],
            sentence[field("title")],
            place,
            self.format_web_refs(entry),
        ]


class PlainList(SphinxPostTransform):
    """Turn each list of citations into a list of items that a link can lead to."""

    default_priority = 6  # at 5 the list is made; at 10 links look for their targets

    def run(self, **settings):
        for container in list(self.document.findall(nodes.container)):
            if container.children and all(isinstance(child, nodes.citation) for child in container):
                items = [nodes.list_item("", *entry.children[1:], ids=entry["ids"]) for entry in container]
                container.replace_self(nodes.bullet_list("", *items, classes=["bibliography"]))


def setup(app) -> dict[str, Any]:
    """Sphinx calls this for every extension in _config.yml."""
    app.add_post_transform(PlainList)
    register_plugin("pybtex.style.formatting", NAME, AuthorYear)
    for backend in ("docutils", "plaintext"):  # else every citation searches all installed packages for them anew
        register_plugin("pybtex.backends", backend, find_plugin("pybtex.backends", backend), force=True)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
