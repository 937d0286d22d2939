"""The browser that figures and pages are measured in, and the book is printed by: Debian's Chromium, driven by Playwright, without a graphics card."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

CHROMIUMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first is the same engine without the windows that nobody sees: pages open in a third of the processor time."""


class NoBrowser(Exception):
    """There is no browser to work with; the message says how to get one."""


@contextmanager
def chromium() -> Iterator:
    """A Playwright browser, closed at the end.

    Raises:
        NoBrowser: if there is no Chromium, or Playwright is not installed.
    """
    program = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if program is None:
        raise NoBrowser("This needs a browser, and none was found: install Chromium.")
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise NoBrowser("This needs Playwright to drive the browser: pip install 'gdlab[test]'.") from error
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-quic"])
        except Error as error:
            raise NoBrowser(f"{program} does not start: {str(error).partition(chr(10))[0]}") from error
        yield browser
        browser.close()
