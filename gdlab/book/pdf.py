"""The whole book as one PDF, printed by a browser: contents with page numbers, figures as still pictures.

Each page of the built book is printed by itself, as a reader's browser would; pypdf then joins them, writes
the numbers, and turns the links between pages into places in the document.
"""

import html
import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import ArrayObject, NameObject

from gdlab.book.build import BookError
from gdlab.book.serve import open_server
from gdlab.browser import chromium

PAPER = {"format": "A4", "print_background": True, "tagged": True}
MARGINS = {"top": "20mm", "bottom": "22mm", "left": "20mm", "right": "20mm"}
SCALE = 0.8  # a page on a screen is read from further away
SETTLED = (
    "document.querySelectorAll('.gdl-figure').length === document.querySelectorAll('.gdl[data-settled=true]').length"
)
UNFOLD = "document.querySelectorAll('details').forEach(folded => folded.open = true)"
CONTENTS = """<!doctype html><meta charset="utf-8"><title>Contents</title><style>
body {{ font: 12pt/1.5 system-ui, sans-serif; margin: 0 }} h1 {{ font-size: 26pt; margin: 0 0 2em }} h2 {{ font-size: 14pt; margin: 1.6em 0 .4em }}
p {{ display: flex; margin: .15em 0; gap: .6em }} p::before {{ order: 1; flex: 1; content: ""; border-bottom: 1px dotted #999; margin-bottom: .35em }}
span:last-child {{ order: 2; font-variant-numeric: tabular-nums }}</style><h1>{title}</h1>{rows}"""
NUMBERS = """<!doctype html><meta charset="utf-8"><title>Page numbers</title><style>@page {{ size: A4; margin: 0 }} body {{ margin: 0 }}
div {{ height: 296.9mm; position: relative; break-after: page; font: 9pt system-ui, sans-serif; color: #555 }}
span {{ position: absolute; bottom: 11mm; width: 100%; text-align: center }}</style>{rows}"""


@dataclass(frozen=True)
class Printed:
    """One page of the book on paper: its name without ".html", its title, and the sheets it takes."""

    name: str
    title: str
    sheets: PdfReader


def parts_of(contents: Path) -> list[tuple[str, list[str]]]:
    """The book's parts, as _toc.yml has them: caption and page names; the front page is a part without a caption."""
    toc = yaml.safe_load(contents.read_text(encoding="utf-8"))
    return [("", [toc["root"]]), *((part["caption"], list(_names(part["chapters"]))) for part in toc["parts"])]


def _names(entries: Sequence[dict]) -> Iterator[str]:
    """A page comes before the pages that belong to it."""
    for entry in entries:
        yield entry["file"]
        yield from _names(entry.get("sections", ()))


def print_book(built: Path, parts: Sequence[tuple[str, Sequence[str]]], pdf: Path) -> Iterator[str]:
    """Print a built book.

    Args:
        built: the folder of its pages.
        parts: caption and page names of each part, in order, as `parts_of` gives them.
        pdf: where the document goes.

    Yields:
        The title of each page once it is printed.

    Raises:
        NoBrowser: if there is no Chromium to print with.
        BookError: if there is no built book, a page cannot be printed, or the document cannot be written.
    """
    printed: dict[str, Printed] = {}
    with chromium() as browser, open_server(built, 0) as server:
        # Only here is it sure to be installed.
        from playwright.sync_api import Error as BrowserError

        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            base = f"http://127.0.0.1:{server.server_port}/"
            for name in (name for _, names in parts for name in names):
                try:
                    printed[name] = _print_page(browser, base, name)
                except BrowserError as error:
                    raise BookError(f"The browser could not print {name}.html: {str(error).splitlines()[0]}") from error
                yield printed[name].title
            front = _print_contents(browser, parts, printed)
            document = _joined(browser, base, front, list(printed.values()))
        finally:
            server.shutdown()
            thread.join()
    document.add_metadata({"/Title": next(iter(printed.values())).title})
    part = pdf.with_name(f".{pdf.name}.part")
    try:
        document.write(part)
        part.replace(pdf)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BookError(f"{pdf} could not be written ({error.strerror or error}).") from error


def _print_page(browser, base: str, name: str) -> Printed:
    page = browser.new_page(viewport={"width": 794, "height": 1123}, color_scheme="light")
    page.goto(f"{base}{name}.html", wait_until="load")
    page.wait_for_function(SETTLED)
    page.evaluate(UNFOLD)
    title = page.locator("article h1").first.evaluate("heading => heading.firstChild.textContent.trim()")
    page.emulate_media(media="print")
    sheets = PdfReader(io.BytesIO(page.pdf(**PAPER, margin=MARGINS, scale=SCALE)))
    page.close()
    return Printed(name, title, sheets)


def _print_contents(browser, parts: Sequence[tuple[str, Sequence[str]]], printed: dict[str, Printed]) -> PdfReader:
    """The contents, with the numbers that hold once they stand in front themselves."""
    sheets, takes = _contents(browser, parts, printed, before=1), 0
    while takes != len(sheets.pages):
        takes = len(sheets.pages)
        sheets = _contents(browser, parts, printed, before=takes)
    return sheets


def _contents(browser, parts, printed: dict[str, Printed], before: int) -> PdfReader:
    rows, number = [], before + 1
    for caption, names in parts:
        rows += [f"<h2>{html.escape(caption)}</h2>"] if caption else []
        for name in names:
            rows.append(f"<p><span>{html.escape(printed[name].title)}</span><span>{number}</span></p>")
            number += len(printed[name].sheets.pages)
    return _print_text(browser, CONTENTS.format(title="Contents", rows="".join(rows)), MARGINS)


def _print_text(browser, text: str, margins: dict[str, str]) -> PdfReader:
    page = browser.new_page()
    page.set_content(text)
    sheets = PdfReader(io.BytesIO(page.pdf(**PAPER, margin=margins)))
    page.close()
    return sheets


def _joined(browser, base: str, front: PdfReader, printed: Sequence[Printed]) -> PdfWriter:
    document, starts = PdfWriter(), {}
    document.append(front, "Contents", import_outline=False)
    for page in printed:
        starts[page.name] = len(document.pages)
        document.append(page.sheets, page.title, import_outline=False)
    for sheet in document.pages:
        _link_within(document, sheet, base, starts)
    rows = "".join(f"<div><span>{number + 1}</span></div>" for number in range(len(document.pages)))
    numbers = _print_text(browser, NUMBERS.format(rows=rows), {})
    for sheet, number in zip(document.pages, numbers.pages, strict=False):
        sheet.merge_page(number)
    document.compress_identical_objects()
    return document


def _link_within(document: PdfWriter, sheet: PageObject, base: str, starts: dict[str, int]) -> None:
    """Let links to other pages of the book lead to where those begin in the document."""
    for reference in sheet.get("/Annots", ()):
        link = reference.get_object()
        uri = str(link.get("/A", {}).get("/URI", ""))
        if uri.startswith(base):
            name = urlsplit(uri).path.removeprefix("/").removesuffix(".html")
            del link["/A"]
            target = document.pages[starts[name]] if name in starts else sheet
            link[NameObject("/Dest")] = ArrayObject([target.indirect_reference, NameObject("/Fit")])
