"""What an instructor sees: nbgrader's own formgrader, a running one, on a class that was graded here."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

import pytest

STARTS_WITHIN = 120
EXTENSIONS = "{'nbgrader.server_extensions.formgrader': True}"


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


@pytest.fixture(scope="module")
def graded(hand_in, grade_class, tmp_path_factory) -> Path:
    """The results of a class of three: all that was handed in right, half of it, and untouched stubs."""
    folder = tmp_path_factory.mktemp("class")
    hand_in(folder / "submitted", "ada")
    hand_in(folder / "submitted", "ben", walk="return theta")
    hand_in(folder / "submitted", "dora", step="", walk="")
    grade_class(folder / "submitted", folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def formgrader(graded, tmp_path_factory):
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
                *(f"--ServerApp.root_dir={graded}", f"--ServerApp.jpserver_extensions={EXTENSIONS}"),
            ],
            cwd=graded,
            env=os.environ | own_folders,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        running = Formgrader(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + STARTS_WITHIN
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


def test_formgrader_lists_the_scores(formgrader):
    scores = {
        s["student"]: (s["score"], s["max_score"])
        for s in formgrader.ask("submitted_notebooks/update_rule/update_rule")
    }
    assert scores == {"ada": (8, 20), "ben": (3, 20), "dora": (0, 20)}


def test_formgrader_reads_the_points_of_every_check(formgrader):
    grades = formgrader.ask(f"grades?submission_id={formgrader.submission_of('ben')['id']}")
    points = {grade["name"]: (grade["auto_score"], grade["max_score"]) for grade in grades}
    assert points["check_gradient_step"] == (3, 3) and points["check_descend"] == (0, 5)


def test_formgrader_reads_the_comment_on_an_untouched_stub(formgrader):
    comments = formgrader.ask(f"comments?submission_id={formgrader.submission_of('dora')['id']}")
    said = {comment["name"]: comment["auto_comment"] for comment in comments}
    assert said["gradient_step"] == "No response." and said["descend"] == "No response."


def test_formgraders_page_shows_verdict_and_part_marks(formgrader, graded):
    page = formgrader.get(f"/formgrader/submissions/{quote(formgrader.submission_of('ben')['id'])}/")
    stored = json.loads((graded / "autograded" / "ben" / "update_rule" / "update_rule.ipynb").read_text())
    [check] = [c for c in stored["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "check_descend"]
    [verdict] = [output["metadata"]["gdlab"] for output in check["outputs"]]
    assert verdict["sentences"][0] in page and 'id="check_descend"' in page
