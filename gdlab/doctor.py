"""What works on this machine, and how to mend what does not: everything is tried, nothing is guessed."""

import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gdlab.installed import installed_versions

FINE, ABSENT, BROKEN = "fine", "absent", "broken"
OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)
PACKAGES = ("numpy", "matplotlib", "torch", "ipywidgets", "jupyterlab", "jupyter-book", "nbgrader")
REINSTALL = "Delete .venv and run make course: it installs what requirements.lock names."
SETTINGS = {
    "/proc/sys/user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=10000"),
    "/proc/sys/kernel/unprivileged_userns_clone": ("0", "sysctl kernel.unprivileged_userns_clone=1"),
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
        "1",
        "an AppArmor profile that lets bwrap use user namespaces, or sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
}
"""Settings of the kernel that forbid user namespaces: the value that does, and what an administrator would change."""


@dataclass(frozen=True)
class Finding:
    """One thing that was tried.

    Attributes:
        what: its name.
        needed_for: what does not work without it.
        state: FINE; ABSENT where one can do without; BROKEN where one cannot.
        found: what was found, versions among it.
        remedy: what to do, where there is something to do.
    """

    what: str
    needed_for: str
    state: str
    found: str
    remedy: str = ""


def examine() -> Iterator[tuple[str, Callable[[], Finding]]]:
    """Each thing to try: its name, and the trial itself, which may take some seconds."""
    yield "Python", python
    yield "Packages", packages
    yield "Sandbox", sandbox
    yield "User namespaces", user_namespaces
    yield "Control groups", control_groups
    yield "Database", database
    yield "GPU", gpu
    yield "Browser", browser


def python(running: tuple[int, ...] = sys.version_info[:2]) -> Finding:
    found = f"{platform.python_version()} on {platform.system()}, {os.cpu_count()} cores"
    if OLDEST_PYTHON <= running <= NEWEST_PYTHON:
        return Finding("Python", "everything", FINE, found)
    ends = " to ".join(".".join(map(str, end)) for end in (OLDEST_PYTHON, NEWEST_PYTHON))
    return Finding(
        "Python", "everything", BROKEN, found, f"Use Python {ends}: delete .venv, then make course PYTHON=python3.12."
    )


def packages(names: Sequence[str] = PACKAGES) -> Finding:
    found = installed_versions(names)
    if missing := [name for name in names if not found[name]]:
        return Finding("Packages", "book, exercises, grading", BROKEN, f"missing: {', '.join(missing)}", REINSTALL)
    return Finding("Packages", "book, exercises, grading", FINE, ", ".join(f"{name} {found[name]}" for name in names))


def sandbox() -> Finding:
    """Make a box and run a cell in it."""
    from gdlab.grading.box import BoxFailed, BoxTaken, Limits, NoSandbox
    from gdlab.grading.bubblewrap import bubblewrap_version
    from gdlab.grading.walled_box import WalledBox

    try:
        with WalledBox(Limits()) as box:
            [[answer]] = box.run_cells(["6 * 7"])
        if answer.text == "42":
            return Finding("Sandbox", "gdlab grade", FINE, f"a cell ran in a box of {bubblewrap_version()}")
        return Finding("Sandbox", "gdlab grade", BROKEN, f"a cell in a box said {answer.text[:60]!r}", REINSTALL)
    except (NoSandbox, BoxFailed, BoxTaken) as error:
        return Finding("Sandbox", "gdlab grade", BROKEN, str(error), "See the line on user namespaces.")


def user_namespaces(
    settings: dict[str, tuple[str, str]] = SETTINGS, boxes_work: Callable[[], bool] = lambda: sandbox().state == FINE
) -> Finding:
    """What the kernel's settings allow; whether boxes really work the sandbox's line says."""
    what, needed_for = "User namespaces", "the sandbox"
    if platform.system() != "Linux":
        return Finding(what, needed_for, BROKEN, f"{platform.system()} has none", "Grade on a machine with Linux.")
    for path, (forbids, remedy) in settings.items():
        if Path(path).is_file() and Path(path).read_text().strip() == forbids:
            if boxes_work():  # as with a profile that allows bubblewrap alone
                return Finding(what, needed_for, FINE, f"{path} is {forbids}, but a box could be made")
            return Finding(
                what, needed_for, BROKEN, f"{path} is {forbids}", f"An administrator can allow them: {remedy}."
            )
    return Finding(what, needed_for, FINE, "no setting of the kernel forbids them")


def control_groups() -> Finding:
    what, needed_for = "Control groups", "nothing yet"
    if Path("/sys/fs/cgroup/cgroup.controllers").is_file():
        return Finding(what, needed_for, FINE, "version 2")
    return Finding(what, needed_for, ABSENT, "no version 2")


def database() -> Finding:
    """Make a gradebook in a temporary folder, as nbgrader does."""
    from nbgrader.api import Gradebook

    from gdlab.grading.course import nbgrader_log, tools_on_path

    try:
        with (
            tempfile.TemporaryDirectory(prefix="gdlab-doctor-") as folder,
            nbgrader_log(),
            tools_on_path(),
            Gradebook(f"sqlite:///{folder}/gradebook.db") as book,
        ):
            book.add_student("somebody")
    except Exception as error:  # alembic, SQLAlchemy and the file system each fail in ways of their own
        return Finding("Database", "gdlab grade", BROKEN, f"{type(error).__name__}: {error}", REINSTALL)
    return Finding("Database", "gdlab grade", FINE, f"SQLite {sqlite3.sqlite_version}")


def gpu() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("GPU", "speed in gdlab.torch", ABSENT, f"torch cannot be imported ({error})", REINSTALL)
    if torch.cuda.is_available():
        return Finding("GPU", "speed in gdlab.torch", FINE, torch.cuda.get_device_name())
    if torch.backends.mps.is_available():
        return Finding("GPU", "speed in gdlab.torch", FINE, "Apple's, through MPS")
    built_for = "this torch is built without CUDA" if torch.version.cuda is None else "torch finds none"
    return Finding("GPU", "speed in gdlab.torch", ABSENT, built_for)


def browser() -> Finding:
    """Start a browser and ask it what it is."""
    from gdlab.browser import NoBrowser, chromium

    needed_for = "gdlab book --pdf, make test-all"
    try:
        with chromium() as started:
            return Finding("Browser", needed_for, FINE, f"Chromium {started.version}")
    except NoBrowser as error:
        return Finding("Browser", needed_for, ABSENT, "not found", str(error))
