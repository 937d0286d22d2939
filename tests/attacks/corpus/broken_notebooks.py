"""Submissions whose file, folder or notebook is not as it should be, by accident or on purpose.

Where the learner's functions can still be found, they earn their points.
"""

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path

import nbformat

from corpus import RIGHT, Case

LINES = (
    "empty file",
    "invalid JSON",
    "JSON that is not a notebook",
    "nbformat 3",
    "schema version 99 and 1",
    "missing metadata",
    "wrong kernel name",
    "renamed notebook",
    "missing notebook",
    "extra notebook",
    "deleted check cells",
    "edited points",
    "check cells turned to markdown",
    "check marked as solution",
    "duplicated grade_id, by accident (copied cell) and on purpose",
    "check cells moved above the answers",
    "stub never filled",
    "syntax error in one cell",
    "cell magics, !shell, %run, input()",
    "non-UTF-8 bytes, BOM, NUL, RTL and emoji names",
    "student folder with spaces, quotes, .., 255 characters",
    "symlinked submission",
    "zip with path traversal",
    "<script> in outputs, names and exceptions (escaped in feedback)",
)
COPIED, MAGICS, BYTES, NAMES, SCRIPT = LINES[14], LINES[18], LINES[19], LINES[20], LINES[23]

NAME = "update_rule.ipynb"
UNREADABLE = "The file is not a readable notebook"
Change = Callable[[dict, dict], None]


def raw(content: bytes) -> Callable[[Path, dict], None]:
    return lambda folder, notebook: (folder / NAME).write_bytes(content)


def as_bytes(encode: Callable[[str], bytes]) -> Callable[[Path, dict], None]:
    return lambda folder, notebook: (folder / NAME).write_bytes(encode(json.dumps(notebook, ensure_ascii=False)))


def changed(change: Change) -> Callable[[Path, dict], None]:
    """The sound notebook after change(notebook, the cell that checks gradient_step)."""

    def hand_in(folder: Path, notebook: dict) -> None:
        change(notebook, next(cell for cell in notebook["cells"] if cell["id"] == "check-gradient-step"))
        (folder / NAME).write_text(json.dumps(notebook))

    return hand_in


def called(name: str) -> Callable[[Path, dict], None]:
    return lambda folder, notebook: (folder / name).write_text(json.dumps(notebook))


def old_format(folder: Path, notebook: dict) -> None:
    nbformat.write(nbformat.convert(nbformat.from_dict(notebook), 3), folder / NAME)


def two_notebooks(folder: Path, notebook: dict) -> None:
    (folder / NAME).write_text(json.dumps(notebook))
    (folder / "scratch.ipynb").write_text("not even a notebook")


def two_renamed(folder: Path, notebook: dict) -> None:
    for name in ("mine.ipynb", "mine (1).ipynb"):
        (folder / name).write_text(json.dumps(notebook))


def link(folder: Path, notebook: dict) -> None:
    elsewhere = folder.parents[2] / "somebody else's.ipynb"
    elsewhere.write_text(json.dumps(notebook))
    (folder / NAME).symlink_to(elsewhere)


def linked_folder(folder: Path, notebook: dict) -> None:
    elsewhere = folder.parents[2] / "somebody else's"
    elsewhere.mkdir()
    (elsewhere / NAME).write_text(json.dumps(notebook))
    folder.rmdir()
    folder.symlink_to(elsewhere)


def device(folder: Path, notebook: dict) -> None:
    os.mkfifo(folder / NAME)


def is_folder(folder: Path, notebook: dict) -> None:
    (folder / NAME).mkdir()


def without_cells(*ids: str) -> Change:
    def change(notebook: dict, check: dict) -> None:
        notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] not in ids]

    return change


def without_metadata(notebook: dict, check: dict) -> None:
    notebook["metadata"] = {}
    for cell in notebook["cells"]:
        cell["metadata"] = {}


def copied(**more) -> Change:
    def change(notebook: dict, check: dict) -> None:
        notebook["cells"].append({**copy.deepcopy(check), "id": "copied", **more})

    return change


def copied_answer(notebook: dict, check: dict) -> None:
    answer = next(cell for cell in notebook["cells"] if cell["id"] == "gradient-step")
    again = {**copy.deepcopy(answer), "id": "copied", "source": "# my first try\n" + answer["source"]}
    notebook["cells"].insert(notebook["cells"].index(answer), again)


def checks_first(notebook: dict, check: dict) -> None:
    checks = [cell for cell in notebook["cells"] if cell["id"].startswith("check-")]
    notebook["cells"] = checks + [cell for cell in notebook["cells"] if cell not in checks]


def own_output(data: dict, kind: str = "display_data") -> Change:
    def change(notebook: dict, check: dict) -> None:
        check["outputs"] = [{"output_type": kind, "data": data, "metadata": {}}]

    return change


def mends(id: str, line: str, does: str, hand_in, says: str = "", **more) -> Case:
    """A notebook that is graded as if nothing were wrong with it."""
    required = {"weak": "stock nbgrader", "points": (3, 5), "kind": "right"} | more
    return Case(id, line, does, required.pop("weak"), step=RIGHT, hand_in=hand_in, says=says, **required)


def empty(id: str, line: str, does: str, hand_in, says: str = UNREADABLE, **more) -> Case:
    """A submission in which no function can be found, and which says so."""
    return mends(id, line, does, hand_in, says, **{"points": (0, 0), "kind": "untouched"} | more)


def named(id: str, line: str, does: str, student: str, **more) -> Case:
    """A sound notebook from a student of an unusual name."""
    return Case(id, line, does, "careless paths", step=RIGHT, points=(3, 5), kind="right", student=student, **more)


def runs(id: str, line: str, does: str, cell: str, weak: str, **more) -> Case:
    """Right answers behind a cell that the notebook's program cannot run, or should not."""
    return Case(id, line, does, weak, cell, RIGHT, points=(3, 5), kind="right", **more)


CASES = (
    empty("empty-file", "empty file", "a file of no bytes", raw(b"")),
    empty("half-a-file", "invalid JSON", "a file that was cut off", as_bytes(lambda text: text.encode()[:5000])),
    empty("deep-json", "invalid JSON", "100,000 brackets", raw(b"[" * 100_000)),
    empty("json-list", "JSON that is not a notebook", "a list", raw(b"[1, 2]")),
    empty("json-number", "JSON that is not a notebook", "a number", raw(b"3")),
    empty("json-other", "JSON that is not a notebook", "an object of another kind", raw(b'{"points": 20}')),
    empty(
        "cells-of-no-kind",
        "JSON that is not a notebook",
        "a notebook whose cells are numbers",
        raw(b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [1, 2, 3]}'),
    ),
    mends("nbformat-3", "nbformat 3", "right answers in the format of 2013", old_format, weak="fields of today"),
    mends(
        "schema-99",
        "schema version 99 and 1",
        "nbgrader's metadata from the future",
        changed(lambda notebook, check: check["metadata"]["nbgrader"].update(schema_version=99)),
    ),
    mends(
        "schema-1",
        "schema version 99 and 1",
        "nbgrader's metadata from the past",
        changed(lambda notebook, check: check["metadata"]["nbgrader"].update(schema_version=1)),
    ),
    mends(
        "no-metadata", "missing metadata", "no metadata at all", changed(without_metadata), weak="checks of the file"
    ),
    mends(
        "metadata-of-another-kind",
        "missing metadata",
        "a list where metadata should be",
        changed(lambda notebook, check: check["metadata"].update(nbgrader=[1, 2])),
    ),
    mends(
        "kernel",
        "wrong kernel name",
        "says that it is written in Julia",
        changed(lambda notebook, check: notebook["metadata"].update(kernelspec={"name": "julia-1.10"})),
        weak="kernel by name",
    ),
    mends("renamed", "renamed notebook", "a download's name", called("update_rule (2).ipynb"), "(2).ipynb was graded"),
    mends(
        "upper-case",
        "renamed notebook",
        "in capital letters",
        called("UPDATE_RULE.ipynb"),
        "UPDATE_RULE.ipynb was graded",
    ),
    empty("no-notebook", "missing notebook", "an empty folder", lambda folder, notebook: None, "There is no notebook"),
    empty("a-folder", "missing notebook", "a folder of the notebook's name", is_folder, "There is no notebook"),
    empty(
        "a-pipe",
        "missing notebook",
        "a pipe of the notebook's name",
        device,
        "There is no notebook",
        weak="blocking reader",
    ),
    mends("extra", "extra notebook", "a second file that is no notebook", two_notebooks, weak="reads them all"),
    empty(
        "two-renamed", "extra notebook", "two notebooks, neither of the right name", two_renamed, "There is no notebook"
    ),
    mends(
        "no-checks",
        "deleted check cells",
        "all checks deleted",
        changed(without_cells("check-gradient-step", "check-descend")),
        weak="checks of the file",
    ),
    mends(
        "points",
        "edited points",
        "a thousand points for the first task",
        changed(lambda notebook, check: check["metadata"]["nbgrader"].update(points=1000)),
        weak="points of the file",
    ),
    mends(
        "negative-points",
        "edited points",
        "less than no points for the first task",
        changed(lambda notebook, check: check["metadata"]["nbgrader"].update(points=-3)),
        weak="points of the file",
    ),
    mends(
        "markdown",
        "check cells turned to markdown",
        "a check that became text",
        changed(
            lambda notebook, check: (
                check.update(cell_type="markdown"),
                check.pop("outputs"),
                check.pop("execution_count"),
            )
        ),
        weak="checks of the file",
    ),
    mends(
        "marked-as-solution",
        "check marked as solution",
        "a check that says it is an answer",
        changed(lambda notebook, check: check["metadata"]["nbgrader"].update(solution=True, grade=False, locked=False)),
        weak="checks of the file",
    ),
    mends("copied-check", COPIED, "a check was copied", changed(copied()), weak="stock nbgrader"),
    mends(
        "copied-answer",
        COPIED,
        "an answer was copied, the second is the one that counts",
        changed(copied_answer),
        weak="stock nbgrader",
    ),
    mends(
        "second-check",
        COPIED,
        "a second check of its own, which shows 3",
        changed(copied(source="3.0")),
        weak="stock nbgrader",
    ),
    mends(
        "foreign-check",
        COPIED,
        "a check that nobody released, worth 50 points",
        changed(
            lambda notebook, check: notebook["cells"].append(
                {
                    **copy.deepcopy(check),
                    "id": "foreign",
                    "metadata": {"nbgrader": {**check["metadata"]["nbgrader"], "grade_id": "foreign", "points": 50}},
                }
            )
        ),
        weak="points of the file",
    ),
    mends(
        "checks-first",
        "check cells moved above the answers",
        "checks before there is anything to check",
        changed(checks_first),
        weak="top to bottom",
    ),
    Case(
        "stub",
        "stub never filled",
        "the stub as it was",
        "silence is gold",
        step="raise NotImplementedError()",
        walk="raise NotImplementedError()",
        points=(0, 0),
        kind="untouched",
        says="Nothing here yet",
    ),
    runs(
        "syntax-error",
        "syntax error in one cell",
        "a cell that is no Python",
        "for i in range(3)\n    print(i)",
        "one script",
        says="SyntaxError",
    ),
    runs("time-magic", MAGICS, "a cell magic", "%%time\nprint('timed')", "one script"),
    runs("bash-magic", MAGICS, "a cell in another language", "%%bash\necho from bash", "one script"),
    runs("shell", MAGICS, "a line for the shell", "!echo from the shell > /tmp/written", "one script"),
    runs("install", MAGICS, "installs a package", "%pip install numpy --no-index", "one script"),
    runs("run-magic", MAGICS, "runs a file that is not there", "%run helpers.py", "one script", says="helpers.py"),
    runs("unknown-magic", MAGICS, "a magic that nobody has", "%%no_such_magic\n1", "one script"),
    runs("input", MAGICS, "asks a person", "name = input('Your name? ')", "waits for an answer", says="Error"),
    mends("bom", BYTES, "a byte order mark", as_bytes(lambda text: b"\xef\xbb\xbf" + text.encode())),
    mends(
        "latin-1",
        BYTES,
        "a letter in an old encoding",
        as_bytes(lambda text: text.replace("import numpy", "# caf\u00e9\\nimport numpy").encode("latin-1", "replace")),
    ),
    mends("nul", BYTES, "a zero byte in the file", as_bytes(lambda text: text.encode() + b"\0")),
    empty("utf-16", BYTES, "the whole file in UTF-16", as_bytes(lambda text: text.encode("utf-16"))),
    mends(
        "surrogate",
        BYTES,
        "half a character",
        changed(
            lambda notebook, check: notebook["cells"].append(
                {"id": "half", "cell_type": "markdown", "metadata": {}, "source": "\ud800"}
            )
        ),
    ),
    named("rtl", BYTES, "a name that turns the line around", "m \u202egnp.evil \u05d0\u05d1"),
    named("emoji", BYTES, "a name of faces", "m \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467"),
    named("spaces", NAMES, "a name of spaces", "m  two  spaces "),
    named("quotes", NAMES, "a name of quotes", "m 'single' \"double\" `back`"),
    named("dots", NAMES, "a name with two dots", "m ..up.."),
    named("glob", NAMES, "a name of patterns", "m [0-9]*?{a,b}"),
    named("shell-name", NAMES, "a name that a shell would run", "m $(touch written);&|"),
    named("format", NAMES, "a name of placeholders", "m {student_id} %s %(x)s"),
    named("newline", NAMES, "a name of two lines", "m two\nlines"),
    named("255", NAMES, "as long as a name can be", "m" + "x" * 254),
    empty(
        "link",
        "symlinked submission",
        "a link to somebody else's notebook",
        link,
        "is a link to another place",
        weak="follows links",
    ),
    empty(
        "linked-folder",
        "symlinked submission",
        "a link to somebody else's folder",
        linked_folder,
        "is a link to another place",
        weak="follows links",
    ),
    runs(
        "script-printed",
        SCRIPT,
        "prints a script",
        "print('<script>alert(1)</script><img src=x onerror=alert(1)>')",
        "pages as they come",
        says="<script>alert(1)</script>",
    ),
    runs(
        "script-shown",
        SCRIPT,
        "shows a page with a script",
        "from IPython.display import HTML, Javascript, display\ndisplay(HTML('<script>alert(1)</script>'), Javascript('alert(1)'))",
        "pages as they come",
    ),
    runs(
        "script-in-a-cell",
        SCRIPT,
        "a script in its own code",
        "text = '</pre><script>alert(1)</script>'",
        "pages as they come",
        says="<script>alert(1)</script>",
    ),
    Case(
        "script-raised",
        SCRIPT,
        "an error that says a script",
        "pages as they come",
        "class Script(Exception):\n    pass\nScript.__name__ = '<script>alert(2)</script>'",
        "raise Script('<script>alert(1)</script>')",
        kind="raised",
        says="<script>alert(1)</script>",
    ),
    Case(
        "script-returned",
        SCRIPT,
        "an answer that is a script",
        "pages as they come",
        step="return '<script>alert(1)</script><svg onload=alert(1)>'",
        says="<script>alert(1)</script>",
    ),
    mends(
        "script-saved",
        SCRIPT,
        "a script among the outputs that were handed in",
        changed(own_output({"text/html": "<script>alert(1)</script>"})),
        weak="pages as they come",
    ),
    named("script-name", SCRIPT, "a student called script", "m <script>alert(1)<", says="<script>alert(1)<"),
)
