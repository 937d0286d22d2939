"""A real browser, the built book, and a real JupyterLab, for the tests in this folder.

Nothing a test opens may ask another host for anything: every such request is blocked, and the test
fails, naming it. A page of ours may not write an error to the console either.
"""

import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import expect, sync_playwright

from gdlab.book.build import build_book, kernel_environment
from gdlab.book.serve import open_server
from gdlab.browser import CHROMIUMS
from gdlab.figures.base import MIME, page_script, source
from gdlab.figures.page import figure_html

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox",  # Chromium's own sandbox does not start as root; only our own pages are opened
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

LEFT = "net::ERR_ABORTED"  # what a page still wanted when the next one was opened


@pytest.fixture(scope="module")  # not session: while Playwright runs, no other test could use asyncio
def browser():
    """Headless Chromium."""
    program = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if program is None:
        pytest.fail(
            "These tests drive a real browser and found none: install the Debian package chromium.", pytrace=False
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser):
    """Open pages with settings of their own: `new_page(viewport=…, color_scheme=…)`.

    `own=False` is for pages that are not ours (JupyterLab), whose console is their own affair.
    """
    trouble = []
    with ExitStack() as open_contexts:

        def open_page(own=True, **settings):
            context = browser.new_context(**settings)
            open_contexts.callback(context.close)
            context.set_default_timeout(30_000)

            def guard(route):
                url = urlsplit(route.request.url)
                if url.scheme in ("file", "data", "blob") or url.hostname == "127.0.0.1":
                    route.continue_()
                else:
                    trouble.append(f"asked another host: {route.request.url}")
                    route.abort()

            context.route("**/*", guard)
            page = context.new_page()
            if own:
                page.on("console", lambda m: m.type == "error" and trouble.append(f"console: {m.text}"))
                page.on("pageerror", lambda error: trouble.append(f"script error: {error}"))
                page.on("requestfailed", lambda r: r.failure != LEFT and trouble.append(f"not found: {r.url}"))
                page.on("response", lambda r: r.status >= 400 and trouble.append(f"{r.status}: {r.url}"))
            return page

        yield open_page
    assert not trouble, "\n".join(trouble)


@pytest.fixture
def page(new_page):
    """One page at a desk: 1440 × 1000."""
    return new_page(viewport={"width": 1440, "height": 1000})


PAGE = """<!doctype html><html lang=en data-theme={theme}><meta charset=utf-8><title>A figure</title>
<meta name=viewport content='width=device-width, initial-scale=1'>
<style>html[data-theme=dark] {{ --pst-color-text-base: #ced6dd; --pst-color-background: #14181e; background: #14181e; color: #ced6dd }}
{style}</style><main><h1>A figure</h1>{figures}</main><script>{script}</script>"""


@pytest.fixture
def figure_page(tmp_path):
    """Put figures into a page of their own, as the built book does, and return its file:// address."""

    def write(*made, theme="light"):
        figures = "".join(figure_html(**figure._repr_mimebundle_()[0][MIME]) for figure in made)
        text = PAGE.format(theme=theme, style=source("figures.css"), figures=figures, script=page_script())
        (tmp_path / "page.html").write_text(text, encoding="utf-8")
        return (tmp_path / "page.html").as_uri()

    return write


@pytest.fixture
def open_figures(new_page, figure_page):
    """Open a page of figures, each drawn and at rest: `open_figures(bowl_walk(lr=0.5), viewport=…) -> page`."""

    def open_figures(*made, theme="light", hash="", **settings):
        page = new_page(**{"viewport": {"width": 1000, "height": 800}, **settings})
        page.goto(figure_page(*made, theme=theme) + hash)
        if settings.get("java_script_enabled", True):
            expect(page.locator(".gdl[data-settled=true]")).to_have_count(len(made))
        return page

    return open_figures


@pytest.fixture(scope="session")
def built_book():
    """The folder of the book, built from this very checkout."""
    return build_book(ROOT).parent


@pytest.fixture(scope="session")
def built_book_url(built_book):
    """The built book, served: `built_book_url + "/index.html"`."""
    with open_server(built_book, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def jupyterlab(tmp_path_factory):
    """Start JupyterLab on a folder and return its URL: `jupyterlab(folder)`. It may write to the folder."""
    with ExitStack() as running:

        def start(folder):
            scratch = tmp_path_factory.mktemp("jupyterlab")
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            log = running.enter_context(open(scratch / "log", "wb"))
            server = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"),
                    *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="),
                    *(f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None"),
                ],
                cwd=folder,
                env=kernel_environment(scratch),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            running.callback(_stop, server)
            url = f"http://127.0.0.1:{port}"
            _await_answer(f"{url}/api/status", server, scratch / "log")
            return url

        yield start


def _stop(server):
    server.terminate()  # JupyterLab stops its kernels first
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _await_answer(url, server, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-3000:]}", pytrace=False)


KERNEL_READY = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
    const kernel = context?.session?.kernel;
    return Boolean(context?.isReady && kernel?.connectionStatus === 'connected' && kernel.status === 'idle' && kernel.hasPendingInput === false);
}"""

ALL_RUN = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].map((node) => node.textContent);
    return prompts.length > 0 && prompts.every((text) => /^\\[\\d+\\]:$/.test(text));
}"""


@pytest.fixture
def open_notebook(new_page):
    """Open a notebook in JupyterLab and run all its cells: `open_notebook(url, "a.ipynb")` -> page.

    `run=False` leaves the cells as they are, with the kernel ready.
    """

    def open_it(url, notebook, run=True):
        page = new_page(own=False, viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(90_000)
        page.goto(f"{url}/lab/tree/{notebook}?reset")
        page.wait_for_selector(".jp-Cell")
        page.wait_for_function(KERNEL_READY)
        page.evaluate("jupyterapp.shell.currentWidget.sessionContext.ready")
        if run:
            page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
            page.wait_for_function(ALL_RUN)
        return page

    return open_it


@pytest.fixture
def notebook(tmp_path, jupyterlab, open_notebook):
    """Run cells in JupyterLab: `notebook("1 + 1")` -> page."""

    def run(*cells):
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}  # else JupyterLab asks which
        book = nbformat.v4.new_notebook(
            metadata={"kernelspec": kernel}, cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
        )
        nbformat.write(book, tmp_path / "figure.ipynb")
        return open_notebook(jupyterlab(tmp_path), "figure.ipynb")

    return run


@pytest.fixture
def run_in_kernel():
    """Run code in an open notebook's kernel: `run_in_kernel(page, "print(1)")` -> what it printed."""

    def run(page, code):
        return page.evaluate(
            """async (code) => {
                const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                const future = kernel.requestExecute({ code });
                let printed = "";
                future.onIOPub = (message) => {
                    if (message.header.msg_type === "stream") printed += message.content.text;
                    if (message.header.msg_type === "error") printed += message.content.ename + ": " + message.content.evalue;
                };
                await future.done;
                return printed.trim();
            }""",
            code,
        )

    return run


@pytest.fixture
def await_in_kernel(run_in_kernel):
    """Wait until an expression has a value in the kernel: messages from a figure arrive when they do."""

    def wait(page, expression, value):
        for _ in range(100):
            if (printed := run_in_kernel(page, f"print({expression})")) == value:
                return
        pytest.fail(f"{expression} stayed {printed} and did not become {value}.")

    return wait


@pytest.fixture
def serious_findings():
    """What axe-core finds serious or critical on a page, or in one part of it."""
    from axe_playwright_python.sync_playwright import Axe

    def find(page, part=None):
        # Sections that would be laid out only once they are near would move things under axe while it scrolls
        # and measures: it then takes one thing's place for another's ground. All is laid out first.
        page.add_style_tag(content="*, ::before, ::after { content-visibility: visible !important; }")
        page.evaluate("document.fonts.ready")  # what comes into sight wants its own
        # Without its preload, which asks for style sheets under addresses of its own making.
        found = (
            Axe()
            .run(page, context=part, options={"preload": False, "resultTypes": ["violations"]})
            .response["violations"]
        )
        return [
            f"{finding['id']}: {node['html'][:200]} ({node['failureSummary'][:300]})"
            for finding in found
            if finding["impact"] in ("serious", "critical")
            for node in finding["nodes"]
        ]

    return find
