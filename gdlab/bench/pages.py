"""Measuring the built book's pages: `gdlab bench pages` opens each in a real Chromium that has seen none before.

A page weighs what a server that compresses would send: every file that it asks for, with gzip where that helps.
It is interactive once all of its figures are drawn and answer, and no task of over 50 ms runs or waits any more,
so that a click is answered at once; the time runs from the moment the page is asked for.
"""

import gzip
import statistics
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from gdlab.bench.machine import this_machine
from gdlab.bench.table import write_files
from gdlab.book.serve import open_server
from gdlab.browser import chromium

ROUNDS = 5
MADE_BY_THE_THEME = ("genindex", "search")

QUIET = 300  # milliseconds without a long task, after which none is waiting any more

INTERACTIVE = """(quiet) => new Promise((answer) => {
    let drawn = 0, busy = 0;  // since when the figures are, and until when a task of over 50 ms ran
    let last = 0, late = 0;   // the last frame, and the last that was late: the task before it may not have been told yet
    const note = (task) => (busy = Math.max(busy, task.startTime + task.duration));
    new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({ type: "longtask", buffered: true });
    const look = () => {
        const figures = [...document.querySelectorAll(".gdl-figure")];
        const now = performance.now();
        if (document.readyState !== "loading" && figures.every((figure) => figure.querySelector(".gdl[data-settled=true]")))
            drawn ||= now;
        if (now - last > 50) late = now;
        last = now;
        const since = Math.max(drawn, busy);
        if (drawn && now - Math.max(since, late) > quiet) answer(since);
        else requestAnimationFrame(look);
    };
    look();
})"""


@dataclass(frozen=True)
class Row:
    """One page: its figures, the files it asks for and what they weigh, and the median time until it is interactive."""

    page: str
    figures: int
    files: int
    kilobytes: float
    interactive_milliseconds: float


@dataclass(frozen=True)
class Table:
    """What was measured, how often, where, and when."""

    rows: tuple[Row, ...]
    rounds: int
    machine: dict[str, str]


def bench_pages(book: Path, rounds: int = ROUNDS) -> Iterator[tuple[str, int, int] | Table]:
    """Open every page of a built book.

    Args:
        book: the folder of the built book.
        rounds: how often each page is opened.

    Yields:
        (page, pages done, pages in all) after each one, for a progress bar, and at last the `Table`.

    Raises:
        NoBrowser: if there is no Chromium, or Playwright is not installed.
    """
    names = [path.name for path in sorted(book.glob("*.html")) if path.stem not in MADE_BY_THE_THEME]
    rows = []
    with chromium() as browser, open_server(book, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            for name in names:
                url = f"http://127.0.0.1:{server.server_port}/{name}"
                opened = [open_anew(browser, url) for _ in range(rounds)]
                figures, files, kilobytes, _ = opened[0]
                rows.append(Row(name, figures, files, kilobytes, statistics.median(once[3] for once in opened)))
                yield name, len(rows), len(names)
        finally:
            server.shutdown()
            thread.join()
        version = browser.version
    yield Table(tuple(rows), rounds, this_machine(Chromium=f"{version}, without a graphics card"))


def open_anew(browser, url: str) -> tuple[int, int, float, float]:
    """Open a page with nothing in the cache: its figures, files, compressed kilobytes, milliseconds until interactive."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    answers = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(url, wait_until="commit")
    milliseconds = page.evaluate(INTERACTIVE, QUIET)
    page.wait_for_load_state("networkidle")
    weights = [_compressed(answer.body()) for answer in answers]
    figures = page.locator(".gdl").count()
    context.close()
    return figures, len(weights), sum(weights) / 1000, milliseconds


def _compressed(body: bytes) -> int:
    return min(len(body), len(gzip.compress(body, mtime=0)))


def write_table(table: Table, folder: Path) -> Path:
    """Write a table as Markdown and JSON; returns the Markdown file."""
    lines = [
        "# Opening the pages",
        "",
        f"Made by `gdlab bench pages`: each page is opened {table.rounds} times by a browser that has seen none before. It weighs what",
        "a server that compresses would send, and is interactive (median) once all of its figures are drawn and answer",
        "and no task of over 50 ms runs or waits any more.",
        "",
        "| page | figures | files | compressed, KB | interactive after, ms |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {r.page} | {r.figures} | {r.files} | {r.kilobytes:.0f} | {r.interactive_milliseconds:.0f} |"
            for r in table.rows
        ),
    ]
    return write_files(folder, "pages", asdict(table), lines)
