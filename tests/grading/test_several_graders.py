"""Several graders on one class, on a real PostgreSQL server: nothing is judged twice, nothing is lost, whoever is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

from gdlab.grading.box import Limits
from gdlab.grading.claims import AtWork, claims_on
from gdlab.grading.class_run import CannotRecord, ClassRun
from gdlab.grading.course import course_directory, enter_assignment, gradebook, nbgrader_log
from gdlab.grading.database import database_url
from gdlab.grading.ledger import Ledger
from gdlab.grading.replay import replay
from gdlab.grading.report import class_report
from gdlab.grading.results import open_results
from gdlab.grading.submission import Submission
from gdlab.grading.walled_box import WalledBox
from gdlab.grading.warm import ForkServer
from gdlab.grading.workers import one_after_the_other

pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")]
LIMITS = Limits()
ADA = Submission("ada", "update_rule", Path())


@pytest.fixture(scope="module")
def server():
    with ForkServer() as server:
        yield server


@pytest.fixture(scope="module")
def empty(root, postgres, tmp_path_factory):
    """A gradebook of no class at all, and the folder beside it: nbgrader takes seconds to make one."""
    url, out = postgres(), tmp_path_factory.mktemp("empty") / "out"
    out.mkdir()
    course = course_directory(out, root / "solutions", database=url)
    with nbgrader_log(), gradebook(course):
        enter_assignment(course, "update_rule")
    return url, out


@pytest.fixture
def course(empty, postgres, root, tmp_path, server, ask_database, hand_in):
    url, out = empty
    for student in ("ada", "ben", "cleo"):
        hand_in(tmp_path / "submitted", student, **({"walk": "return [theta]"} if student == "ben" else {}))
    shutil.copytree(out, tmp_path / "out")
    return Course(postgres(like=url), root, tmp_path, server, ask_database)


class Course:
    """A class of three on a server, and a way to grade it in this process."""

    def __init__(self, url, root, folder, server, ask):
        self.url, self.submitted, self.out, self.root = url, folder / "submitted", folder / "out", root
        self._ask = ask
        self.judged = 0
        self._judges = one_after_the_other(lambda: WalledBox(LIMITS, server.raise_walls))

    def ask(self, question: str) -> list:
        return self._ask(self.url, question)

    def judges(self, tasks, heavy=()):
        for number, judged in self._judges(tasks, heavy):
            self.judged += 1
            yield number, judged

    def new_run(self, out: Path | None = None) -> ClassRun:
        return ClassRun(
            self.submitted, out or self.out, self.root / "solutions", self.judges, LIMITS, database=self.url
        )

    def grade(self, out: Path | None = None) -> dict[str, float]:
        run = self.new_run(out)
        points = {one.submission.student: one.points for one in run.grade(run.find())}
        self.problems = run.problems
        return points

    def start(self, submitted: Path) -> subprocess.Popen:
        """`gdlab grade`, as a process of its own."""
        command = ["grade", str(submitted), "--out", str(self.out), "--db", self.url, "--workers", "1"]
        return subprocess.Popen(
            [sys.executable, "-c", "from gdlab.cli import main; main()", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def judgements(self) -> Counter:
        return Counter(student for (student,) in self.ask("SELECT student FROM gdlab_judgement"))

    def scores(self) -> dict[str, float]:
        config = Config()
        config.CourseDirectory.root = str(self.out)
        config.CourseDirectory.db_url = database_url(self.url)
        with nbgrader_log():
            return {row["student"]: row["score"] for row in NbGraderAPI(config=config).get_submissions("update_rule")}


POINTS = {"ada": 8, "ben": 3, "cleo": 8}


@pytest.fixture(scope="module")
def expected(root):
    """Half of the sample class, and the points written down for it."""
    rows = json.loads((root / "tests" / "sample_class" / "expected.json").read_text())
    return {student: sum(rows[student]["points"].values()) for student in sorted(rows)[::2]}


@pytest.fixture
def sample(root, expected, tmp_path):
    for student in expected:
        link = tmp_path / "sample" / student
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(root / "tests" / "sample_class" / "submitted" / student)
    return tmp_path / "sample"


def test_two_graders_share_a_class(course, sample, expected):
    graders = [course.start(sample) for _ in range(2)]
    for grader in graders:
        _, said = grader.communicate(timeout=300)
        assert grader.returncode == 0 and said == ""
    assert course.judgements() == dict.fromkeys(expected, 1) and course.scores() == expected
    assert course.ask("SELECT count(*) FROM gdlab_run") == [(1,)]


def test_a_gradebook_that_is_not_there_yet_is_made_once_by_whoever_comes_first(course, postgres, sample, expected):
    course.url = postgres()
    shutil.rmtree(course.out)
    test_two_graders_share_a_class(course, sample, expected)


def test_a_grader_that_is_killed_leaves_its_work_to_the_other(course, sample, expected):
    graders = [course.start(sample) for _ in range(2)]
    while not _some_are_judged(course):
        time.sleep(0.05)
        assert all(grader.poll() is None for grader in graders)
    os.kill(graders[0].pid, signal.SIGKILL)
    graders[0].communicate()
    _, said = graders[1].communicate(timeout=300)
    assert graders[1].returncode == 0 and said == ""
    assert course.judgements() == dict.fromkeys(expected, 1) and course.scores() == expected
    assert {path.parent.parent.name for path in course.out.glob("feedback/*/*/*.html")} == set(expected)


def _some_are_judged(course) -> bool:
    [[there]] = course.ask("SELECT to_regclass('gdlab_judgement') IS NOT NULL")
    return there and len(course.judgements()) >= 3


def test_what_one_has_claimed_no_other_gets_until_it_is_given_back(postgres, tmp_path):
    url = database_url(postgres())
    with claims_on(url, tmp_path, alone=False) as one, claims_on(url, tmp_path, alone=False) as other:
        assert one.take(ADA) and not other.take(ADA)
        one.give_back(ADA)
        assert other.take(ADA) and not one.take(ADA)


def test_a_claim_ends_with_its_graders_connection(postgres, tmp_path):
    url = database_url(postgres())
    with claims_on(url, tmp_path, alone=False) as other:
        with claims_on(url, tmp_path, alone=False) as one:
            assert one.take(ADA) and not other.take(ADA)
        until = time.monotonic() + 30
        while not other.take(ADA):
            assert time.monotonic() < until


def test_what_another_has_judged_and_not_recorded_is_recorded_and_not_judged_again(course, monkeypatch):
    monkeypatch.setattr("gdlab.grading.recording.feedback_page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        course.grade()
    monkeypatch.undo()
    assert course.judged == 1
    assert course.grade() == POINTS and course.judged == 3
    assert course.scores() == POINTS


def test_graders_with_folders_of_their_own_all_have_every_page(course, tmp_path):
    assert course.grade() == POINTS
    assert course.grade(tmp_path / "another machine's") == POINTS and course.judged == 3
    assert len(list((tmp_path / "another machine's").glob("feedback/*/*/*.html"))) == 3


def test_a_grader_that_has_lost_its_claims_enters_nothing_and_says_so(course):
    run = course.new_run()
    results = run.grade(run.find())
    next(results)
    course.ask("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    with pytest.raises(CannotRecord, match="cannot be written to.*What was judged so far is kept"):
        list(results)
    assert course.judgements().total() == 1
    assert course.grade() == POINTS and course.judgements() == dict.fromkeys(POINTS, 1)


def test_a_regrade_is_made_alone(course, tmp_path):
    url = database_url(course.url)
    with (
        claims_on(url, tmp_path, alone=False),
        claims_on(url, tmp_path, alone=False),
        pytest.raises(AtWork, match="A regrade has to be alone"),
        claims_on(url, tmp_path, alone=True),
    ):
        pass
    run = course.new_run()
    changes = run.regrade(run.find())
    next(changes)
    with pytest.raises(CannotRecord, match="A regrade is being made"):
        course.grade()
    changes.close()
    assert course.grade() == POINTS


def test_what_a_server_cannot_hold_stops_nobody_else(course, hand_in):
    hand_in(course.submitted, "m" * 200)
    (course.submitted / "ben" / "update_rule" / "timestamp.txt").write_text("2026-11-20\x00 10:00:00 UTC")
    assert course.grade() == POINTS
    assert course.problems == [f"{'m' * 200}/update_rule was not graded: its name has more than 128 characters."]
    assert course.ask("SELECT handed_in FROM gdlab_recording WHERE student = 'ben'") == [("2026-11-20 10:00:00 UTC",)]


def test_other_commands_find_the_gradebook_that_the_courses_settings_name(course):
    course.grade()
    (course.out / "nbgrader_config.py").write_text(f"get_config().CourseDirectory.db_url = '{course.url}'\n")
    with open_results(course.out) as book:
        [report] = class_report(book, anonymous=False)
        numbers = [entry.id for entry in Ledger(book.db).standing()]
    assert sorted(report.scores) == [3, 8, 8]
    nbgraders = subprocess.run(
        [sys.executable, "-m", "nbgrader", "db", "student", "list"], cwd=course.out, capture_output=True, text=True
    )
    assert all(student in nbgraders.stdout for student in POINTS), nbgraders.stderr
    assert all(replay(course.out, number).differing == () for number in numbers)
