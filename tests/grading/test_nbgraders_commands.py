"""nbgrader's own commands around our grades: archives from Canvas and Moodle, and assignments through an exchange folder."""

import csv
import datetime
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from typer.testing import CliRunner

from gdlab.cli import app
from gdlab.grading.class_folder import make_class
from gdlab.grading.deadlines import BadDeadline, extend, open_class, set_due

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
NOW = datetime.datetime.now(datetime.UTC)
HALF = "return [theta]"


@pytest.fixture(scope="module")
def class_folder(root, tmp_path_factory) -> Path:
    """A class as `gdlab class` makes it; tests work on copies."""
    folder = tmp_path_factory.mktemp("template") / "class"
    make_class(folder, root / "solutions", "sgd", None, "")
    return folder


@pytest.fixture(scope="module")
def new_class(class_folder, root, tmp_path_factory):
    """Make a class in next to no time: new_class(exchange=…, lms=…)."""

    def new_class(exchange: Path | None = None, lms: str = "") -> Path:
        folder = tmp_path_factory.mktemp("class") / "class"
        shutil.copytree(class_folder, folder)
        (folder / "nbgrader_config.py").unlink()
        make_class(folder, root / "solutions", "sgd", exchange, lms)
        return folder

    return new_class


@pytest.fixture(scope="module")
def nbgrader(tmp_path_factory):
    """Run a command of nbgrader's in a folder: nbgrader(folder, "collect", "update_rule") -> what it said."""
    own = {"JUPYTER_DATA_DIR": str(tmp_path_factory.mktemp("jupyter"))}

    def nbgrader(folder: Path, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *command],
            cwd=folder,
            env=os.environ | own,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return nbgrader


def scores(folder: Path) -> dict[str, float]:
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        return {row.student.id: row.score for row in book.assignment_submissions("update_rule")}


def archive(folder: Path, hand_in, files: dict[str, str | None]) -> None:
    """Put an archive where `nbgrader zip_collect` looks: by file name, what descend answers; None for a file of another kind."""
    target = folder / "downloaded" / "update_rule" / "archive" / "all of them.zip"
    target.parent.mkdir(parents=True)
    with zipfile.ZipFile(target, "w") as opened:
        for name, walk in files.items():
            answers = {"walk": walk} if walk else {}
            notebook = hand_in(folder / "handed", "somebody", **answers).read_bytes()
            opened.writestr(name, b"a picture" if walk is None else notebook)


RIGHT = ""


def test_an_archive_from_canvas_is_collected_graded_and_goes_back_by_canvas_ids(
    new_class, nbgrader, hand_in, grade_class
):
    folder = new_class(lms="canvas")
    files = {
        "doejane_12345_67890_update_rule.ipynb": RIGHT,
        "lovelaceada_LATE_12346_67891_update_rule-1.ipynb": HALF,
        "münzerjörg_12347_67892_my work.ipynb": RIGHT,
        "münzerjörg_12347_67893_plot.png": None,
        "anon_a8Zk1_67894_update_rule.ipynb": RIGHT,
        "anon_a8Zk1_67895_update_rule (1).ipynb": HALF,
    }
    archive(folder, hand_in, files)
    said = nbgrader(folder, "zip_collect", "update_rule")
    assert "lovelaceada_12346 is late, says Canvas" in said and "two files called update_rule" in said
    grade_class(folder / "submitted", folder)
    assert scores(folder) == {"doejane_12345": 8, "lovelaceada_12346": 3, "münzerjörg_12347": 8, "anon_a8Zk1": 8}
    grades = folder / "canvas.csv"
    done = CliRunner().invoke(app, ["export", "--out", str(folder), "--format", "canvas", "--to", str(grades)])
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(grades.read_text(encoding="utf-8").splitlines()))
    assert {row["ID"]: row["update_rule"] for row in rows if row["ID"]} == {
        "12345": "8.0",
        "12346": "3.0",
        "12347": "8.0",
    }


def test_an_archive_from_moodle_is_collected_and_graded_in_both_of_its_forms(new_class, nbgrader, hand_in, grade_class):
    folder = new_class(lms="moodle")
    files = {
        "Jane Doe_111_assignsubmission_file/update_rule.ipynb": RIGHT,
        "Siân O'Neil_112_assignsubmission_file_update_rule.ipynb": HALF,
        "Jörg Münzer_113_assignsubmission_file/update_rule.ipynb": RIGHT,
        "Jörg Münzer_114_assignsubmission_file/deeper/update_rule.ipynb": HALF,
    }
    archive(folder, hand_in, files)
    nbgrader(folder, "zip_collect", "update_rule")
    grade_class(folder / "submitted", folder)
    assert scores(folder) == {"Jane Doe": 8, "Siân O'Neil": 3, "Jörg Münzer 113": 8, "Jörg Münzer 114": 3}


@pytest.fixture(scope="module")
def exchanged(new_class, nbgrader, hand_in, grade_class, tmp_path_factory):
    """Ada and Ben fetch and submit through an exchange, after the deadline, which is later for Ada; all get their feedback.

    Cleo's notebook came by mail. Returns the class's folder, and the folder in which Ada works.
    """
    exchange = tmp_path_factory.mktemp("exchange")
    exchange.chmod(0o777)
    folder, work = new_class(exchange=exchange), tmp_path_factory.mktemp("work")
    (work / "nbgrader_config.py").write_text((folder / "nbgrader_config.py").read_text())
    nbgrader(folder, "release_assignment", "update_rule")
    nbgrader(work, "fetch_assignment", "update_rule")
    assert [path.name for path in (work / "update_rule").iterdir()] == ["update_rule.ipynb"]
    for learner, walk in (("ada", {}), ("ben", {"walk": HALF})):
        shutil.copy(hand_in(work / "handed", learner, **walk), work / "update_rule" / "update_rule.ipynb")
        nbgrader(work, "submit", "update_rule", f"--student={learner}")
    nbgrader(folder, "collect", "update_rule")
    hand_in(folder / "submitted", "cleo")
    (folder / "nbgrader_config.json").write_text('{"LateSubmissionPlugin": {"penalty_method": "zero"}}')
    with open_class(folder, folder, "update_rule") as book:
        set_due(book, "update_rule", NOW - datetime.timedelta(hours=1))
        extend(book, "update_rule", "ada", datetime.timedelta(hours=48), folder / "submitted")
    grade_class(folder / "submitted", folder)
    nbgrader(folder, "release_feedback", "update_rule")
    nbgrader(work, "fetch_feedback", "update_rule")
    return folder, work


def test_what_comes_through_an_exchange_is_graded_with_the_time_it_came(exchanged):
    folder, _ = exchanged
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        rows = {row.student.id: row for row in book.assignment_submissions("update_rule")}
        late = {learner: round(row.total_seconds_late / 3600) for learner, row in rows.items()}
        assert (late["ada"], late["cleo"]) == (0, 0) and late["ben"] >= 1
        assert {learner: row.score - row.late_submission_penalty for learner, row in rows.items()} == {
            "ada": 8, "ben": 0, "cleo": 8,
        }  # fmt: skip


def test_a_learner_gets_our_page_back_through_the_exchange(exchanged):
    folder, work = exchanged
    pages = [page.read_text() for page in (work / "update_rule" / "feedback").rglob("update_rule.html")]
    ours = [
        (folder / "feedback" / learner / "update_rule" / "update_rule.html").read_text() for learner in ("ada", "ben")
    ]
    assert sorted(pages) == sorted(ours)  # both, for both submitted from this one account
    assert "less 3 for lateness" in ours[1]


def test_nbgraders_own_feedback_can_be_made_from_the_graded_notebooks(exchanged, nbgrader, tmp_path):
    folder = tmp_path / "class"
    shutil.copytree(exchanged[0], folder)
    nbgrader(folder, "generate_feedback", "update_rule", "--student=ben", "--force")
    page = (folder / "feedback" / "ben" / "update_rule" / "update_rule.html").read_text(encoding="utf-8")
    assert "Score: 3.0 / 3.0" in page and "Score: -3.0" in page and "gdlab-verdict" in page  # and its lateness


def test_a_class_that_is_there_keeps_its_settings(new_class, root):
    folder = new_class(lms="moodle")
    before = (folder / "nbgrader_config.py").read_text()
    assert "MoodleCollector" in before
    make_class(folder, root / "solutions", "other", None, "canvas")
    assert (folder / "nbgrader_config.py").read_text() == before


def test_a_course_or_class_that_cannot_be_is_a_sentence(tmp_path):
    done = CliRunner().invoke(app, ["class", str(tmp_path / "new"), "--course", "a/b"])
    assert done.exit_code == 1 and "'a/b' cannot name a course" in done.output and not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    done = CliRunner().invoke(app, ["class", str(tmp_path / "file" / "new")])
    assert done.exit_code == 1 and done.exception is None or isinstance(done.exception, SystemExit)
    with pytest.raises(BadDeadline, match="There is no gradebook"), open_class(tmp_path / "new", tmp_path):
        raise AssertionError("it was opened")
