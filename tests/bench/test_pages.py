"""The pages' benchmark opens pages in a real browser and weighs what they ask for."""

import gzip
import json

import pytest

from gdlab.bench import pages as measured


@pytest.mark.system
def test_every_page_is_opened_and_weighed_with_all_that_it_asks_for(tmp_path):
    book = tmp_path / "book"
    book.mkdir()
    text = "a" * 50_000
    (book / "index.html").write_text("<!doctype html><link rel=icon href='data:,'><link rel=stylesheet href=one.css>")
    (book / "one.css").write_text(f"/* {text} */")
    (book / "two.html").write_text("<!doctype html><link rel=icon href='data:,'><p>nothing else")
    (book / "search.html").write_text("the theme's own")
    *progress, table = measured.bench_pages(book, rounds=2)
    assert progress == [("index.html", 1, 2), ("two.html", 2, 2)]
    one, two = table.rows
    assert (one.files, two.files, one.figures) == (2, 1, 0)
    sizes = [len((book / name).read_bytes()) for name in ("index.html", "two.html")]
    squeezed = len(gzip.compress((book / "one.css").read_bytes(), mtime=0))
    assert two.kilobytes == pytest.approx(sizes[1] / 1000, abs=0.02)  # too short for gzip to help
    assert one.kilobytes == pytest.approx((sizes[0] + squeezed) / 1000, abs=0.03)
    assert one.interactive_milliseconds > 0
    page = measured.write_table(table, tmp_path / "benchmarks")
    assert "| index.html | 0 | 2 |" in page.read_text()
    assert len(json.loads((tmp_path / "benchmarks" / "pages.json").read_text())["rows"]) == 2


@pytest.mark.system
def test_a_page_that_is_still_at_work_is_not_interactive(tmp_path):
    busy = "setTimeout(() => { while (performance.now() < 900); }, 100)"
    (tmp_path / "index.html").write_text(f"<!doctype html><link rel=icon href='data:,'><script>{busy}</script>")
    *_, table = measured.bench_pages(tmp_path, rounds=1)
    assert table.rows[0].interactive_milliseconds > 890  # the browser tells times of tasks to some milliseconds
