"""Build the book.

`build_book` runs Jupyter Book strictly: a failing cell, a warning or a dangling reference fails the
build. Jupyter Book keeps what the notebooks' cells gave last time, but looks only at the notebooks; the
figures and formulas that the cells import live in `gdlab/`. So the build forgets those results when
`gdlab/` has changed. Where only the text of pages has changed since a good build, those pages alone are read again; all
are written anew, because a page that has not changed may point to something that has gone. What is read in a build
that fails is forgotten, because Sphinx warns only about the pages it reads; the last good pages stay where they are. If
nothing at all has changed since the last good build, there is nothing to do.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

CODE_SUFFIXES = {".py", ".js", ".css", ".mplstyle"}
PAGE_SUFFIXES = {".ipynb", ".md"}
NOT_INPUT = {"__pycache__", ".ipynb_checkpoints", "_build"}
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main(prog_name='jupyter-book')"
RUN_NOTEBOOKS = """
from pathlib import Path

import yaml
from jupyter_cache import get_cache
from jupyter_cache.executors import load_executor
from sphinx_external_toc.parsing import parse_toc_yaml

cache = get_cache("_build/.jupyter_cache")
for page in parse_toc_yaml(Path("book/_toc.yml")):
    if (notebook := Path("book", f"{page}.ipynb")).is_file():
        cache.add_nb_to_project(str(notebook.resolve()))
timeout = yaml.safe_load(Path("_config.yml").read_text(encoding="utf-8"))["execute"]["timeout"]
load_executor("local-parallel", cache).run_and_cache(timeout=timeout)
"""
TAIL = 25  # lines of the log that an error shows


class BookError(Exception):
    """The book could not be built, printed or served; the message says why and what to do."""


# Building


def build_book(root: Path) -> Path:
    """Build the book under `root` if anything it is made from has changed since the last good build.

    Args:
        root: the folder that holds _config.yml and book/.

    Returns:
        The built book's index.html.

    Raises:
        BookError: if a cell fails, if anything warns, or if Jupyter Book cannot be run.
    """
    root = Path(root).resolve()
    (root / "_build").mkdir(exist_ok=True)
    with FileLock(root / "_build" / "book.lock"):  # a second build waits for the first, and then has nothing to do
        return _build_if_stale(root, root / "_build")


def _build_if_stale(root: Path, build: Path) -> Path:
    index = build / "html" / "index.html"
    stamp = build / "book.stamp"
    code, frame, text = _hash(_code_files(root)), _hash(_frame(root)), _hash(_pages(root))
    before = stamp.read_text(encoding="utf-8").split() if stamp.is_file() else []
    if index.is_file() and before == [code, frame, text]:
        return index

    # The stamp says what results and pages were made from: three parts where the pages are good, of a build that failed
    # only the first.
    stale = [".doctrees"] if before[:2] != [code, frame] else []
    stale += [".jupyter_cache"] if before[:1] != [code] else []
    for folder in stale:
        shutil.rmtree(build / folder, ignore_errors=True)
    stamp.write_text(code, encoding="utf-8")
    with _put_back_on_failure(build / "html", stamp, are_good=len(before) == 3):
        _run_jupyter_book(root, build / "book.log")
        if not index.is_file():
            raise BookError(
                f"Jupyter Book ended well but left no {index}: book/_toc.yml has to name 'index' as its root."
            )
    stamp.write_text(f"{code} {frame} {text}", encoding="utf-8")
    return index


@contextmanager
def _put_back_on_failure(pages: Path, stamp: Path, are_good: bool) -> Iterator[None]:
    """Let all pages be written anew; where that fails or is stopped, the last good ones are there again."""
    good = pages.with_name("html.good")  # left there by a build that was killed, it still is
    if are_good and pages.is_dir():
        shutil.rmtree(good, ignore_errors=True)
        pages.rename(good)
    shutil.rmtree(pages, ignore_errors=True)
    try:
        yield
    except BaseException:
        if good.is_dir():
            _put_back(good, pages, stamp)
        raise
    shutil.rmtree(good, ignore_errors=True)


def _put_back(good: Path, pages: Path, stamp: Path) -> None:
    """The stamp then has three parts, since the pages are good, but fits no book: they are older."""
    shutil.rmtree(pages, ignore_errors=True)
    good.rename(pages)
    stamp.write_text(f"{stamp.read_text(encoding='utf-8')} older older", encoding="utf-8")


def _run_jupyter_book(root: Path, log: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="gdlab-book-") as scratch:
        _draw_plots_as_svg(Path(scratch))
        # Notebooks that changed are run several at once, then Jupyter Book, which runs one after the other, finds them
        # done. What fails here it runs once more, and says why.
        _run(RUN_NOTEBOOKS, [], root, Path(scratch))
        done = _run(JUPYTER_BOOK, ["build", "-W", "-n", "--keep-going", "book"], root, Path(scratch))
    text = _plain(done.stdout)
    log.write_text(text, encoding="utf-8")
    if done.returncode:
        raise BookError(f"{_reason(text)}\nThe whole log is in {log}; it ends with:\n\n{_tail(text)}")


def _run(program: str, arguments: list[str], root: Path, scratch: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments],
        cwd=root,
        env=kernel_environment(scratch),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def kernel_environment(scratch: Path) -> dict[str, str]:
    """The environment Jupyter Book runs in: this interpreter's own kernel, and no reader's settings.

    Jupyter looks for a kernel named python3 in the reader's home before it looks beside the interpreter,
    and anyone may have one there that belongs to another environment. So every folder of the reader's
    that Jupyter, IPython or Matplotlib would look into or write to is an empty one of ours.
    """
    bin_folder = str(Path(sys.executable).parent)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "PYTHON"))},
        "PATH": os.pathsep.join([bin_folder, os.environ.get("PATH", os.defpath)]),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTER_PLATFORM_DIRS": "1",
        "JUPYTER_CONFIG_DIR": str(scratch / "config"),
        "JUPYTER_DATA_DIR": str(scratch / "data"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "IPYTHONDIR": str(scratch / "ipython"),
        "MPLCONFIGDIR": str(scratch / "matplotlib"),
        "XDG_CACHE_HOME": str(scratch / "cache"),
        "PYTHONUTF8": "1",
        "PYTHONHASHSEED": "0",
    }


def _draw_plots_as_svg(scratch: Path) -> None:
    """Plots that stay sharp at any size, in a quarter of a picture's bytes; in JupyterLab they are pictures, as usual."""
    profile = scratch / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text('c.InlineBackend.figure_formats = {"svg"}\n', encoding="utf-8")


def _plain(text: str) -> str:
    """Without the terminal's colours, and with one line where a progress line was overwritten."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).replace("\r\n", "\n").replace("\r", "\n")


def _reason(log: str) -> str:
    """What went wrong, in one sentence, as far as the log says."""
    if failed := re.search(r"^(.*ExecutionError.*|.*CellExecutionError.*|.*Executing notebook failed.*)$", log, re.M):
        where = re.search(r"(\S+\.(?:ipynb|md))", failed[1])
        return f"The book was not built: a cell of {where[1] if where else 'a notebook'} failed."
    if warning := re.search(r"^.*\b(?:WARNING|ERROR): .*$", log, re.M):
        return f"The book was not built, because building it warned: {warning[0].strip()}"
    return "The book was not built: Jupyter Book stopped with an error."


def _tail(log: str) -> str:
    """The log's last lines, without the tracebacks in which Jupyter Book wraps the one that matters."""
    told = log.split("\nThe above exception was the direct cause", 1)[0]
    return "\n".join([line for line in told.splitlines() if line.strip()][-TAIL:])


# What the book is made from


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and NOT_INPUT.isdisjoint(path.relative_to(folder).parts):
            yield path


def _code_files(root: Path) -> list[Path]:
    """What the notebooks' cells run and read besides their own text."""
    package = [path for path in _files(Path(__file__).parents[1]) if path.suffix in CODE_SUFFIXES]
    return package + _present(root / "requirements.lock", root / "benchmarks" / "grading.json")


def _pages(root: Path) -> list[Path]:
    return [path for path in _files(root / "book") if path.suffix in PAGE_SUFFIXES]


def _frame(root: Path) -> list[Path]:
    """What every page may depend on: settings, contents, bibliography, tables and pictures."""
    others = [path for path in _files(root / "book") if path.suffix not in PAGE_SUFFIXES]
    return [*_present(root / "_config.yml"), *others, *_files(root / "benchmarks")]


def _present(*paths: Path) -> list[Path]:
    return [path for path in paths if path.is_file()]


def _hash(paths: list[Path]) -> str:
    """A hash of names and contents, so that moving, renaming or touching a file is told apart."""
    total = hashlib.sha256(sys.version.encode())
    for path in paths:
        total.update(str(path).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
