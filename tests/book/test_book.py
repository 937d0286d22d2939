"""Building and serving the book: strict, not twice, and asking no other host for anything."""

import json
import os
import re
import shutil
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont

from gdlab.book import build, serve
from gdlab.book.build import BookError, build_book
from gdlab.book.lighter_pages import used_icons
from gdlab.book.serve import open_server, serve_book

ROOT = Path(__file__).parents[2]


def age(path):
    return path.stat().st_mtime_ns


def test_a_book_is_built_and_not_built_again_until_something_changes(small_book):
    root = small_book("print(6 * 7)")
    index = build_book(root)
    assert index == root / "_build/html/index.html"
    assert ">42" in index.read_text(encoding="utf-8")
    built = age(index)
    assert build_book(root) == index and age(index) == built
    small_book("print(6 * 8)")
    assert ">48" in build_book(root).read_text(encoding="utf-8")


def test_two_builds_at_once_take_turns_and_the_second_has_nothing_to_do(small_book, monkeypatch):
    root = small_book("print(6 * 7)")
    runs = []
    really_run = build._run_jupyter_book
    monkeypatch.setattr(build, "_run_jupyter_book", lambda *args: runs.append(args) or really_run(*args))
    with ThreadPoolExecutor(2) as both:
        indexes = list(both.map(build_book, [root, root]))
    assert indexes == [root / "_build/html/index.html"] * 2 and len(runs) == 1


def test_after_a_change_of_text_that_page_is_read_and_every_page_is_written(small_book, monkeypatch):
    """What a page points to may have gone from another one: the page that has not changed would not be read again."""

    monkeypatch.setattr(build, "_code_files", lambda root: [])  # whoever works on gdlab meanwhile
    root = small_book(text="(there)=\n# First")
    (root / "book" / "other.md").write_text("# Other\n\n[](there)\n", encoding="utf-8")
    toc = root / "book" / "_toc.yml"
    toc.write_text(chapters := toc.read_text() + "chapters:\n- file: other\n", encoding="utf-8")
    build_book(root)

    small_book(text="(there)=\n# Second")
    toc.write_text(chapters, encoding="utf-8")
    other = build_book(root).with_name("other.html")
    assert ">Second<" in other.read_text(encoding="utf-8")
    read = re.findall(r"^reading sources\.\.\..* (\w+)$", (root / "_build" / "book.log").read_text(), re.M)
    assert read == ["index"]

    small_book(text="# Second")
    toc.write_text(chapters, encoding="utf-8")
    with pytest.raises(BookError, match="because building it warned: .*there"):
        build_book(root)


def test_notebooks_run_at_the_same_time(small_book):
    """Each says that it runs and then waits for the other: one after the other, neither would get any further."""
    meets = """
import time
from pathlib import Path

def meet(mine, other):
    Path(mine).touch()
    end = time.monotonic() + 60
    while not Path(other).exists():
        assert time.monotonic() < end, "nobody came"
        time.sleep(0.1)
    print("we " + "met")
"""
    root = small_book(meets, "meet('first', 'second')")
    shutil.copy(root / "book" / "index.ipynb", root / "book" / "second.ipynb")
    second = nbformat.read(root / "book" / "second.ipynb", as_version=4)
    second.cells[-1].source = "meet('second', 'first')"
    nbformat.write(second, root / "book" / "second.ipynb")
    (root / "book" / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nchapters:\n- file: second\n", encoding="utf-8"
    )
    pages = build_book(root).parent
    assert all("we met" in (pages / name).read_text(encoding="utf-8") for name in ("index.html", "second.html"))


def test_changed_code_reaches_cells_that_did_not_change(small_book, monkeypatch, tmp_path_factory):
    code = tmp_path_factory.mktemp("code") / "formula.py"
    code.write_text("print('old')")
    monkeypatch.setattr(build, "_code_files", lambda root: [code])
    root = small_book(f"exec(open({str(code)!r}).read())")
    assert ">old" in build_book(root).read_text(encoding="utf-8")
    code.write_text("print('new')")
    assert ">new" in build_book(root).read_text(encoding="utf-8")


def test_a_failing_cell_fails_the_build_and_names_the_notebook(small_book):
    root = small_book("1 / 0")
    with pytest.raises(BookError, match=r"(?s)a cell of \S*index\.ipynb failed.*ZeroDivisionError"):
        build_book(root)
    assert "ZeroDivisionError" in (root / "_build/book.log").read_text(encoding="utf-8")
    with pytest.raises(BookError):  # and it is not taken for good the second time
        build_book(root)


def test_the_last_good_pages_outlive_builds_that_fail(small_book):
    root = small_book("print(6 * 7)")
    index = build_book(root)
    for wrong in ("1 / 0", "print(1 / 0)"):
        small_book(wrong)
        with pytest.raises(BookError):
            build_book(root)
        assert ">42" in index.read_text(encoding="utf-8")
    small_book("print(6 * 8)")
    assert ">48" in build_book(root).read_text(encoding="utf-8") and not list(index.parents[1].glob("html.*"))


def test_the_last_good_pages_outlive_a_build_that_is_killed(small_book, monkeypatch):
    """What is killed puts nothing back: the next build does, if it fails as well."""
    root = small_book("print(6 * 7)")
    index = build_book(root)
    monkeypatch.setattr(build, "_put_back", lambda *args: None)
    small_book("1 / 0")
    with pytest.raises(BookError):
        build_book(root)
    assert not index.is_file() or ">42" not in index.read_text(encoding="utf-8")
    monkeypatch.undo()
    with pytest.raises(BookError):
        build_book(root)
    assert ">42" in index.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["# A page\n\n[nowhere](nowhere.md)", "# A page\n\n### A level left out", "# A page\n\n{doc}`nowhere`"]
)
def test_a_warning_fails_the_build_every_time(small_book, text):
    root = small_book(text=text)
    for _ in range(2):
        with pytest.raises(BookError, match="because building it warned: .*WARNING"):
            build_book(root)


def test_the_kernel_is_this_environments_own(small_book, monkeypatch, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    for folder in (home / ".local/share/jupyter", home / "jupyter-path"):
        kernel = folder / "kernels/python3"
        kernel.mkdir(parents=True)
        (kernel / "kernel.json").write_text(
            json.dumps({"argv": ["/bin/false"], "display_name": "Another", "language": "python"})
        )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("JUPYTER_PATH", str(home / "jupyter-path"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    root = small_book("import sys\nprint(sys.prefix)")
    assert sys.prefix in build_book(root).read_text(encoding="utf-8")


def test_a_home_that_is_no_place_at_all_does_not_matter(small_book, monkeypatch):
    monkeypatch.setenv("HOME", "/proc/nowhere")
    assert build_book(small_book("1 + 1")).is_file()


def test_a_figure_in_a_page_needs_nothing_from_outside(small_book):
    root = small_book("from gdlab.figures import bowl_walk\nbowl_walk(lr=0.7)", text="# A page\n\n$x^2$")
    page = build_book(root).read_text(encoding="utf-8")
    assert 'data-figure="bowl_walk"' in page and "&quot;lr&quot;: 0.7" in page
    assert "gdl-still" in page and "<svg" in page
    assert "widget-state" not in page and "require.js" not in page
    assert outside(page) == []


def test_a_plot_is_drawn_sharp_and_for_both_themes(small_book):
    plot = 'import matplotlib.pyplot as plt\nplt.style.use("gdlab.plots")\nplt.plot([1, 2])\nplt.xlabel("step");'
    [picture] = build_book(small_book(plot)).parent.glob("_images/*.svg")
    drawn = picture.read_text(encoding="utf-8")
    assert "#0072b2" in drawn and "#737373" in drawn
    assert "#ffffff" not in drawn and "#000000" not in drawn  # nothing is filled white, nothing is black


# The real book, as committed


def outside(page):
    """What a page would fetch from another host; a link that a reader may click is no such thing."""
    fetched = re.findall(
        r"<(?:script|link|img|iframe|source|video|audio|object|embed)\b[^>]*?(?:src|href|data)=[\"']([^\"']+)", page
    )
    fetched += re.findall(r"(?:@import|url\()\s*[\"']?([^\"')]+)", page)
    return [url for url in fetched if re.match(r"(?:https?:)?//", url) and "www.w3.org" not in url]


def test_no_page_and_no_style_asks_another_host(real_book):
    files = [*real_book.rglob("*.html"), *real_book.rglob("*.css")]
    assert len(files) > 3
    assert {str(path): found for path in files if (found := outside(path.read_text(encoding="utf-8")))} == {}


def pages_of(book):
    """The pages that someone wrote; the index and the search page are the theme's own."""
    return [page for page in sorted(book.glob("*.html")) if page.stem not in ("genindex", "search")]


def test_the_icon_font_has_every_icon_that_is_shown_and_little_else(real_book):
    [cut] = real_book.glob("_static/**/fa-solid-900.woff")
    glyphs = set(TTFont(cut).getBestCmap())
    assert glyphs >= {
        0xF002,
        0xF185,
        0xF0EB,
    }  # the search's glass and the theme's sun in pages, a tip's lamp in a style
    assert glyphs >= used_icons(real_book) - {0xF09B, 0xF296}  # GitHub's and GitLab's marks are of another font
    assert cut.stat().st_size < 10_000
    theme = (real_book / "_static/styles/pydata-sphinx-theme.css").read_text(encoding="utf-8")
    assert theme.count("fa-solid-900") == 1 and "fa-solid-900.woff)" in theme


def test_only_the_search_page_brings_the_index_of_the_book(real_book):
    asking = {page.name for page in real_book.glob("*.html") if "searchindex.js" in page.read_text(encoding="utf-8")}
    assert asking == {"search.html"}


def test_every_page_says_its_licence(real_book):
    assert "CC BY 4.0" in (real_book / "index.html").read_text(encoding="utf-8")


def test_every_page_says_where_mistakes_are_reported(real_book):
    for page in pages_of(real_book):
        assert 'href="errata.html"' in page.read_text(encoding="utf-8"), page


def test_a_shared_link_shows_a_card_and_says_what_the_page_is_about(real_book):
    card = real_book / "_static" / "card.png"
    assert int.from_bytes(card.read_bytes()[16:20]) == 1200 and int.from_bytes(card.read_bytes()[20:24]) == 630
    page = BeautifulSoup((real_book / "01-update-rule.html").read_text(encoding="utf-8"), "html.parser")
    said = {tag["property"]: tag["content"] for tag in page.find_all("meta", property=True)}
    assert said["og:image"] == "_static/card.png" and said["og:image:alt"]
    assert said["og:title"] == "The update rule" and len(said["og:description"]) > 100


def test_every_link_within_the_book_leads_somewhere(real_book):
    """To a file that is there, and to a place in it that is there."""
    pages = {page: BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser") for page in pages_of(real_book)}
    places = {page: {tag["id"] for tag in soup.find_all(id=True)} for page, soup in pages.items()}
    links = [(page, tag["href"]) for page, soup in pages.items() for tag in soup.find_all("a", href=True)]
    within = [(page, urlsplit(href)) for page, href in links if not urlsplit(href).scheme]
    assert len(within) > 100
    astray = []
    for page, link in within:
        there = (page.parent / unquote(link.path)).resolve() if link.path else page
        figure = set(re.findall(r"(\w+(?:-\d+)?)\.\w+=", link.fragment))  # the setting of a figure: #bowl_walk.lr=0.9
        wanted = figure or ({unquote(link.fragment)} if link.fragment else set())
        if not there.is_file() or (there in places and not wanted <= places[there]):
            astray.append((page.name, link.geturl()))
    assert astray == []


@pytest.mark.parametrize("path", sorted((ROOT / "book").rglob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_committed_without_results(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None, cell.source[:80]


# Serving


def fetch(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode(), answer.headers


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "index.html").write_text("hello")
    return tmp_path


def test_a_book_is_served_to_this_machine_only(folder):
    with open_server(folder, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        text, headers = fetch(f"http://127.0.0.1:{server.server_port}/index.html")
        server.shutdown()
    assert text == "hello" and headers["Cache-Control"] == "no-cache"
    assert server.server_address[0] == "127.0.0.1"


def test_a_taken_port_is_named_with_a_way_out(folder):
    with open_server(folder, 0) as server:
        port = server.server_port
        with pytest.raises(BookError, match=rf"Port {port} is taken.*--port"):
            serve_book(folder, port)


@pytest.mark.parametrize("port", [-1, 70_000])
def test_a_port_that_cannot_be_is_refused(folder, port):
    with pytest.raises(BookError, match=f"Port {port} "):
        serve_book(folder, port)


def test_serving_no_book_says_how_to_get_one(tmp_path):
    with pytest.raises(BookError, match="build it first"):
        serve_book(tmp_path, 0)


def test_ctrl_c_ends_serving_quietly(folder, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(serve._Server, "serve_forever", interrupted)
    serve_book(folder, 0)


def test_an_ordinary_user_can_build_where_root_has_built(real_book):
    """The build leaves nothing that only its owner may read."""
    for path in real_book.rglob("*"):
        assert path.stat().st_mode & 0o004, path
        assert os.access(path, os.R_OK)
