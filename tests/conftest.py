"""Shared by all tests: notebooks as learners hand them in, and a class run over them."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import nbformat
import pytest

from gdlab.grading.box import Limits
from gdlab.grading.class_run import ClassRun, Graded
from gdlab.grading.workers import in_warm_boxes

os.environ["COLUMNS"] = "300"  # no sentence is broken into lines, however wide the terminal is in which tests run
ROOT = Path(__file__).resolve().parents[1]
FORMGRADER_STARTS_WITHIN = 120
EXTENSIONS = "{'nbgrader.server_extensions.formgrader': True}"


@pytest.fixture(scope="session")
def root() -> Path:
    """The course's own folder."""
    return ROOT


@pytest.fixture(scope="session")
def sample_class():
    """The module that writes the sample class."""
    spec = importlib.util.spec_from_file_location("sample_class", ROOT / "tests" / "sample_class" / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def hand_in(sample_class) -> Callable[..., Path]:
    """Hand in a notebook: hand_in(submitted, student, step=…, walk=…, extra=…), right answers where none are given.

    Step and walk are gradient_step and descend, 8 points of 20; the other tasks stay stubs unless `others` names them.
    """

    def hand_in(
        submitted: Path, student: str, step=sample_class.RIGHT_STEP, walk=sample_class.RIGHT_WALK, extra="", **others
    ) -> Path:
        answers = {"gradient_step": step, "descend": walk, **others}
        learner = sample_class.Learner(student, answers, extra=extra)
        path = submitted / student / "update_rule" / "update_rule.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(sample_class.notebook_of(learner), path)
        return path

    return hand_in


@pytest.fixture(scope="session")
def grade_class() -> Callable[..., dict[str, Graded]]:
    """Grade a folder of submissions: grade_class(submitted, out) -> what came of each student."""

    def grade_class(
        submitted: Path, out: Path, limits: Limits | None = None, problems: list | None = None
    ) -> dict[str, Graded]:
        limits = limits or Limits()
        run = ClassRun(submitted, out, ROOT / "solutions", in_warm_boxes(limits), limits)
        graded = {one.submission.student: one for one in run.grade(run.find())}
        if problems is None:
            assert run.problems == []
        else:
            problems += run.problems
        return graded

    return grade_class


class Formgrader:
    """A running formgrader: `get` fetches a page, `ask` an answer of its interface."""

    def __init__(self, url: str):
        self.url = url

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=60) as page:
            return page.read().decode()

    def ask(self, path: str):
        return json.loads(self.get(f"/formgrader/api/{path}"))

    def submission_of(self, student: str) -> dict:
        return next(s for s in self.ask("submitted_notebooks/update_rule/update_rule") if s["student"] == student)


@pytest.fixture(scope="session")
def open_formgrader(tmp_path_factory) -> Callable[[Path], AbstractContextManager[Formgrader]]:
    """Run nbgrader's formgrader on the results of a class: `with open_formgrader(results) as running`."""

    @contextmanager
    def open_formgrader(results: Path) -> Iterator[Formgrader]:
        scratch = tmp_path_factory.mktemp("jupyter")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        own_folders = {
            name: str(scratch / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
        }
        with open(scratch / "log", "wb") as log:
            server = subprocess.Popen(
                [
                    *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1"),
                    *(f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="),
                    *(f"--ServerApp.root_dir={results}", f"--ServerApp.jpserver_extensions={EXTENSIONS}"),
                ],
                cwd=results,
                env=os.environ | own_folders,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            running = Formgrader(f"http://127.0.0.1:{port}")
            deadline = time.monotonic() + FORMGRADER_STARTS_WITHIN
            while True:
                try:
                    running.get("/api/status")
                    break
                except OSError:
                    assert server.poll() is None and time.monotonic() < deadline, (scratch / "log").read_text()[-3000:]
                    time.sleep(0.1)
            yield running
        finally:
            server.terminate()
            server.wait(30)

    return open_formgrader
