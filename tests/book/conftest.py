"""The books that the tests in this folder build: the real one, and small ones with its settings."""

import re
from pathlib import Path

import nbformat
import pytest

from gdlab.book.build import build_book

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def real_book():
    """The folder of the book, built from this very checkout."""
    return build_book(ROOT).parent


@pytest.fixture
def small_book(tmp_path):
    """A book of one notebook, with the real book's settings: `small_book("1 + 1", text="…")` -> root."""

    def write(*cells, text="# A page", references=""):
        folder = tmp_path / "book"
        folder.mkdir(exist_ok=True)
        config = (ROOT / "_config.yml").read_text(encoding="utf-8")
        config = re.sub(r"^(logo|  favicon):.*\n", "", config, flags=re.M)
        (tmp_path / "_config.yml").write_text(config, encoding="utf-8")
        (folder / "_toc.yml").write_text("format: jb-book\nroot: index\n", encoding="utf-8")
        (folder / "references.bib").write_text(references, encoding="utf-8")
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        page = [nbformat.v4.new_markdown_cell(text), *map(nbformat.v4.new_code_cell, cells)]
        nbformat.write(nbformat.v4.new_notebook(metadata={"kernelspec": kernel}, cells=page), folder / "index.ipynb")
        return tmp_path

    return write
