"""A term on a JupyterHub: an instructor and two learners on one machine, from release to feedback, through hub, proxy and exchange.

The hub, its proxy and every server are real. All servers run under one account, as they do in the Jupyter project's
container images, where it is called jovyan and nbgrader takes people's names from the hub. bubblewrap lends that name here:
to the hub and what it starts, the account that runs these tests is jovyan.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from nbgrader.api import Gradebook

from gdlab.grading.bubblewrap import find_bubblewrap

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
COURSE, ASSIGNMENT = "sgd", "update_rule"
PEOPLE = ("grace", "ada", "ben")
STARTS_WITHIN = 120.0
PROXY = [sys.executable, "-c", "from configurable_http_proxy.cli import main; main()"]
SERVER = [sys.executable, "-m", "jupyterhub.singleuser"]


class Hub:
    """A JupyterHub on the loopback address, with everybody's homes and the exchange in one folder."""

    def __init__(self, folder: Path):
        self.folder, self.url = folder, f"http://127.0.0.1:{_free_port()}"
        self.password = secrets.token_hex(16)
        self.exchange = folder / "exchange"
        self.exchange.mkdir(mode=0o777)
        self.exchange.chmod(0o777)
        for person in PEOPLE:
            self.home(person).mkdir(parents=True)
            _write_settings(
                self.home(person), {"Exchange.root": str(self.exchange), "CourseDirectory.course_id": COURSE}
            )
        settings = {
            "JupyterHub.bind_url": self.url,
            "JupyterHub.hub_bind_url": f"http://127.0.0.1:{_free_port()}",
            "JupyterHub.authenticator_class": "shared-password",
            "JupyterHub.spawner_class": "simple",
            "ConfigurableHTTPProxy.api_url": f"http://127.0.0.1:{_free_port()}",
            "ConfigurableHTTPProxy.command": PROXY,
            "SharedPasswordAuthenticator.user_password": self.password,
            "Authenticator.allowed_users": set(PEOPLE),
            "SimpleLocalProcessSpawner.home_dir_template": str(folder / "{username}"),
            "Spawner.cmd": SERVER,
            "Spawner.args": ["--allow-root"] * (os.geteuid() == 0),
        }
        (folder / "jupyterhub_config.py").write_text(_as_python(settings))
        (folder / "passwd").write_text(f"jovyan:x:{os.geteuid()}:{os.getegid()}::{folder}:/bin/sh\n")
        walls = [find_bubblewrap(), "--dev-bind", "/", "/", "--ro-bind", folder / "passwd", "/etc/passwd"]
        with (folder / "hub.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*walls, "--die-with-parent", "--unshare-pid", "--", sys.executable, "-m", "jupyterhub"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def home(self, person: str) -> Path:
        return self.folder / person

    def stop(self) -> None:
        """End it, and with its process namespace every server and the proxy."""
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        return (self.folder / "hub.log").read_text(errors="replace")[-3000:]


class Browser:
    """A person who has logged in, and whose server has started."""

    def __init__(self, hub: Hub, person: str):
        self.hub, self.person, self._session = hub, person, requests.Session()
        until = time.monotonic() + STARTS_WITHIN
        while True:
            with suppress(requests.ConnectionError):
                page = self._session.get(f"{hub.url}/hub/login")
                if page.ok:
                    break
            assert time.monotonic() < until, hub.log()
            time.sleep(0.2)
        who = {"username": person, "password": hub.password, "_xsrf": self._session.cookies["_xsrf"]}
        assert self._session.post(f"{hub.url}/hub/login", data=who).ok, hub.log()
        while "/hub/" in (page := self._session.get(f"{hub.url}/user/{person}/lab")).url or not page.ok:
            assert time.monotonic() < until, hub.log()
            time.sleep(0.5)

    def ask(self, method: str, path: str, **what) -> requests.Response:
        """Ask a server through the proxy, as its own page does."""
        place = f"/user/{self.person}/"
        token = next(c.value for c in self._session.cookies if c.name == "_xsrf" and c.path == place)
        return self._session.request(method, self.hub.url + path, headers={"X-XSRFToken": token}, timeout=120, **what)

    def nbgrader(self, action: str, **what) -> dict:
        """A button of nbgrader's own page in JupyterLab."""
        answer = self.ask("POST", f"/user/{self.person}/{action}", data=what)
        assert answer.ok, answer.text + self.hub.log()
        return answer.json()

    def close(self) -> None:
        self._session.close()


def _write_settings(home: Path, settings: dict) -> None:
    (home / ".jupyter").mkdir(exist_ok=True)
    (home / ".jupyter" / "nbgrader_config.py").write_text(_as_python(settings))


def _as_python(settings: dict) -> str:
    return "c = get_config()\n" + "".join(f"c.{name} = {value!r}\n" for name, value in settings.items())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    hub = Hub(tmp_path_factory.mktemp("hub"))
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def term(hub, root, hand_in, tmp_path_factory):
    """The whole of it: what everybody was told at each step, by name of the step."""
    course = hub.home("grace") / "course"
    _gdlab("class", course, "--course", COURSE, "--exchange", hub.exchange, cwd=root)
    in_course = {
        "Exchange.root": str(hub.exchange),
        "CourseDirectory.course_id": COURSE,
        "CourseDirectory.root": str(course),
    }
    _write_settings(hub.home("grace"), in_course)
    grace, ada, ben = (Browser(hub, person) for person in PEOPLE)
    told = {"stranger": ada.ask("GET", "/user/ben/api/contents")}
    of_one = {"course_id": COURSE, "assignment_id": ASSIGNMENT}
    told["released"] = grace.nbgrader(f"formgrader/api/assignment/{ASSIGNMENT}/release")
    answers = {"ada": {}, "ben": {"walk": "return [theta]"}}
    for learner in (ada, ben):
        told[f"fetched {learner.person}"] = learner.nbgrader("assignments/fetch", **of_one)
        notebook = hand_in(tmp_path_factory.mktemp("written"), learner.person, **answers[learner.person])
        saved = {"type": "notebook", "format": "json", "content": json.loads(notebook.read_text())}
        path = f"/user/{learner.person}/api/contents/{ASSIGNMENT}/{ASSIGNMENT}.ipynb"
        assert learner.ask("PUT", path, json=saved).ok
        told[f"submitted {learner.person}"] = learner.nbgrader("assignments/submit", **of_one)
    told["collected"] = grace.nbgrader(f"formgrader/api/assignment/{ASSIGNMENT}/collect")
    told["graded"] = _gdlab("grade", course / "submitted", cwd=root)
    told["given back"] = grace.nbgrader(f"formgrader/api/assignment/{ASSIGNMENT}/release_feedback")
    for learner in (ada, ben):
        told[f"feedback {learner.person}"] = learner.nbgrader("assignments/fetch_feedback", **of_one)
    yield told
    for person in (grace, ada, ben):
        person.close()


def _gdlab(*command, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from gdlab.cli import main; main()", *map(str, command)],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


def test_every_step_succeeds(term):
    assert all(said["success"] for step, said in term.items() if isinstance(said, dict)), term


def test_what_learners_handed_in_is_graded_under_their_names(term, hub):
    with Gradebook(f"sqlite:///{hub.home('grace')}/course/gradebook.db", COURSE) as book:
        scores = {one.student.id: one.score for one in book.assignment_submissions(ASSIGNMENT)}
        times = [one.timestamp for one in book.assignment_submissions(ASSIGNMENT)]
    assert scores == {"ada": 8, "ben": 3} and all(times)


@pytest.mark.parametrize(("learner", "points"), [("ada", "8 of 20 points"), ("ben", "3 of 20 points")])
def test_every_learner_finds_their_own_page_of_feedback_in_their_home(term, hub, learner, points):
    [page] = (hub.home(learner) / ASSIGNMENT / "feedback").rglob("*.html")
    assert points in page.read_text(encoding="utf-8")


def test_no_learner_gets_into_the_server_of_another(term):
    assert term["stranger"].status_code == 403
