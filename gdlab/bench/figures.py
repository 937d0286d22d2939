"""Measuring the figures: `gdlab bench figures` drags each one's main control for two seconds in a real Chromium.

While the mouse goes to and fro over the control, the page counts its frames and times its tasks. Sixty
frames a second is as often as a screen asks; a frame that takes longer than 16.7 ms is one that a reader
may see. The longest task is the longest time that the page could answer nothing. The browser draws with
the processor alone, so a machine with a graphics card does better. Each figure has a few turns, and the one with the
most frames counts: whatever else the machine does can only take frames away.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from gdlab.bench.machine import this_machine
from gdlab.bench.table import write_files
from gdlab.browser import chromium

SECONDS = 2.0
ROUNDS = 3
FRAME = 1000 / 60  # milliseconds

COUNT = """() => {
    const counted = window.counted = { frames: [], tasks: [], on: true };
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => counted.tasks.push(entry.duration))).observe({ entryTypes: ["longtask"] });
    let before = performance.now();
    const frame = (now) => {
        counted.frames.push(now - before);
        before = now;
        if (counted.on) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
}"""


@dataclass(frozen=True)
class Row:
    """One figure: its script, its frames while it is dragged, and how long it kept the page busy at most."""

    figure: str
    script_kilobytes: float
    frames_a_second: float
    slow_frames_percent: float
    longest_frame_milliseconds: float
    longest_task_milliseconds: float


@dataclass(frozen=True)
class Table:
    """What was measured, where, and when."""

    rows: tuple[Row, ...]
    seconds: float
    rounds: int
    machine: dict[str, str]


def bench_figures(seconds: float = SECONDS, rounds: int = ROUNDS) -> Iterator[tuple[str, int, int] | Table]:
    """Drag every figure's main control.

    Args:
        seconds: how long each time.
        rounds: how many turns each figure has.

    Yields:
        (figure, figures done, figures in all) after each one, for a progress bar, and at last the `Table`.

    Raises:
        NoBrowser: if there is no Chromium, or Playwright is not installed.
    """
    from gdlab.figures.base import SCRIPTS

    rows = []
    with chromium() as browser, tempfile.TemporaryDirectory(prefix="gdlab-bench-") as scratch:
        version = browser.version
        for figure in SCRIPTS:
            turns = [_measure(browser, figure, Path(scratch), seconds) for _ in range(rounds)]
            rows.append(max(turns, key=lambda turn: turn.frames_a_second))
            yield figure, len(rows), len(SCRIPTS)
    yield Table(tuple(rows), seconds, rounds, this_machine(Chromium=f"{version}, without a graphics card"))


def _measure(browser, figure: str, scratch: Path, seconds: float) -> Row:
    from gdlab.figures.base import bundle

    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(_page(figure, scratch))
    page.wait_for_selector(".gdl[data-settled=true]")
    main = page.locator(".gdl [data-main]")
    box = (main if main.evaluate("node => node.tagName") == "INPUT" else main.locator(".gdl-thumb")).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(COUNT)
    end, i = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        i += 1
        page.mouse.move(x + 80 * abs((i % 40) / 20 - 1) - 40, y - 40 * abs((i % 30) / 15 - 1))
    page.mouse.up()
    counted = page.evaluate("() => { counted.on = false; return counted; }")
    page.close()
    frames = counted["frames"][1:]
    return Row(
        figure,
        len(bundle(figure).encode()) / 1000,
        1000 * len(frames) / sum(frames),
        100 * sum(frame > 1.5 * FRAME for frame in frames) / len(frames),
        max(frames),
        max(counted["tasks"], default=0.0),
    )


def _page(figure: str, scratch: Path) -> str:
    """A page with nothing but the figure."""
    import gdlab.figures
    from gdlab.figures.base import MIME, page_script, source
    from gdlab.figures.page import figure_html

    content = getattr(gdlab.figures, figure)()._repr_mimebundle_()[0][MIME]
    page = scratch / f"{figure}.html"
    page.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{figure}</title>"
        f"<style>{source('figures.css')}</style><main>{figure_html(**content)}</main><script>{page_script()}</script>",
        encoding="utf-8",
    )
    return page.as_uri()


def write_table(table: Table, folder: Path) -> Path:
    """Write a table as Markdown and JSON; returns the Markdown file."""
    lines = [
        "# Dragging the figures",
        "",
        f"Made by `gdlab bench figures`: each figure's main control is dragged with the mouse for {table.seconds:g} seconds, {table.rounds}",
        "times; the smoothest counts. A screen asks for 60 frames a second; a slow frame took more than 25 ms. A task counts as",
        "long from 50 ms on; 0 means that there was none.",
        "",
        "| figure | script, KB | frames a second | slow frames | longest frame, ms | longest task, ms |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {r.figure} | {r.script_kilobytes:.1f} | {r.frames_a_second:.1f} | {r.slow_frames_percent:.1f} %"
            f" | {r.longest_frame_milliseconds:.0f} | {r.longest_task_milliseconds:.0f} |"
            for r in table.rows
        ),
    ]
    return write_files(folder, "figures", asdict(table), lines)
