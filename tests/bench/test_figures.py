"""The figures' benchmark drags every figure in a real browser and writes what it counted."""

import json

import pytest

from gdlab import browser
from gdlab.bench import figures as measured
from gdlab.figures.base import SCRIPTS


@pytest.mark.system
def test_every_figure_is_dragged_and_its_row_is_written(tmp_path):
    *progress, table = measured.bench_figures(seconds=0.3, rounds=1)
    assert [(name, done, total) for name, done, total in progress] == [
        (name, i + 1, len(SCRIPTS)) for i, name in enumerate(SCRIPTS)
    ]
    for row in table.rows:
        assert row.frames_a_second > 0 and 5 < row.script_kilobytes < 30
        assert row.longest_frame_milliseconds >= 1000 / row.frames_a_second - 0.1
    page = measured.write_table(table, tmp_path / "benchmarks")
    assert all(f"| {name} |" in page.read_text() for name in SCRIPTS)
    assert len(json.loads((tmp_path / "benchmarks" / "figures.json").read_text())["rows"]) == len(SCRIPTS)


def test_without_a_browser_it_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(browser, "CHROMIUMS", ("no-such-browser",))
    with pytest.raises(browser.NoBrowser, match="install Chromium"):
        list(measured.bench_figures())
