"""Deadlines: set, shown and extended with their zone; points follow a change without any notebook being run again."""

import datetime
import shutil
from pathlib import Path

import pytest
from dateutil import tz
from nbgrader.api import Gradebook
from typer.testing import CliRunner

from gdlab.cli import app
from gdlab.grading.box import Limits
from gdlab.grading.class_run import ClassRun
from gdlab.grading.deadlines import BadDeadline, moment, span, spelled_moment, spelled_span
from gdlab.grading.late import BadPenalty, LatePenalty, penalty_settings

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
CAME = "2026-12-02 20:00:00 UTC"
DAY = 86400


@pytest.fixture(scope="module")
def graded(tmp_path_factory, hand_in, grade_class) -> Path:
    """Ada and Ben have handed in at the same time, and were graded when there was no deadline."""
    folder = tmp_path_factory.mktemp("class")
    for learner in ("ada", "ben"):
        hand_in(folder / "submitted", learner).with_name("timestamp.txt").write_text(CAME)
    grade_class(folder / "submitted", folder)
    return folder


@pytest.fixture
def folder(graded, tmp_path) -> Path:
    shutil.copytree(graded, tmp_path / "class")
    return tmp_path / "class"


@pytest.fixture
def deadline(folder):
    """Run the command: deadline("update_rule", "2026-12-01 18:00") -> what it said, in one line."""

    def deadline(*words: str, fails: bool = False) -> str:
        done = CliRunner().invoke(app, ["deadline", *words, "--out", str(folder)], env={"COLUMNS": "300"})
        assert done.exit_code == fails, done.output
        return " ".join(done.output.split())

    return deadline


@pytest.fixture
def final(folder, root):
    """Grade again with judges who refuse to judge: final() -> points of each learner, less what lateness costs."""

    def nobody(tasks, heavy=()):
        assert list(tasks) == []
        return iter(())

    def final() -> dict[str, float]:
        run = ClassRun(folder / "submitted", folder, root / "solutions", nobody)
        assert len(list(run.grade(run.find()))) == 2 and run.problems == []
        with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
            rows = book.assignment_submissions("update_rule")
            return {row.student.id: row.score - row.late_submission_penalty for row in rows}

    return final


def test_points_follow_a_deadline_that_was_set_moved_extended_and_taken_away(deadline, final, folder):
    assert final() == {"ada": 8, "ben": 8}
    assert "Lateness costs 10 % of the points for each day begun." in deadline(
        "update_rule", "2026-12-01 18:00 UTC", "--late-penalty", "10%/day"
    )
    assert final() == pytest.approx({"ada": 6.4, "ben": 6.4})  # 26 hours: the second day has begun
    assert "less 1.6 for lateness" in (folder / "feedback" / "ada" / "update_rule" / "update_rule.html").read_text()
    deadline("update_rule", "--extend", "ada", "48h")
    assert final() == pytest.approx({"ada": 8, "ben": 6.4})
    assert "lateness" not in (folder / "feedback" / "ada" / "update_rule" / "update_rule.html").read_text()
    deadline("update_rule", "2026-12-02 18:00 UTC", "--late-penalty", "zero")
    assert final() == {"ada": 8, "ben": 0}
    deadline("update_rule", "--extend", "ada", "none")
    assert final() == {"ada": 0, "ben": 0}
    deadline("update_rule", "none")
    assert final() == {"ada": 8, "ben": 8}


def test_a_manual_score_changes_what_lateness_costs(deadline, final, folder):
    deadline("update_rule", "2026-12-01 18:00 UTC", "--late-penalty", "10%/day")
    final()
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        book.find_grade("check_gradient_step", "update_rule", "update_rule", "ben").manual_score = 13
        book.db.commit()
    assert final()["ben"] == pytest.approx(0.8 * 18)


def test_all_is_shown_with_its_zone(deadline):
    deadline("update_rule", "2026-12-01 18:00", "--timezone", "Europe/Berlin", "--extend", "ben", "1d 12h")
    said = deadline("--timezone", "Europe/Berlin")
    assert "2026-12-01 18:00 CET (2026-12-01 17:00 UTC)" in said and "ben +1d 12h" in said
    assert "Scores follow" not in said


def test_an_extension_can_be_given_before_anything_is_handed_in_and_counts_as_nothing_handed_in(deadline, folder):
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        book.add_student("cleo")
    deadline("update_rule", "2026-12-01 18:00 UTC", "--extend", "cleo", "2w")
    grades = folder / "grades.csv"
    done = CliRunner().invoke(app, ["export", "--out", str(folder), "--format", "moodle", "--to", str(grades)])
    assert done.exit_code == 0
    assert {row.split(",")[2]: row.split(",")[4] for row in grades.read_text().splitlines()[1:]} == {
        "ada": "8.0", "ben": "8.0", "cleo": "",
    }  # fmt: skip


def test_who_has_longer_keeps_it_when_they_hand_in(deadline, folder, hand_in, grade_class):
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        book.add_student("cleo")
    deadline("update_rule", "2026-12-01 18:00 UTC", "--late-penalty", "zero", "--extend", "cleo", "2w")
    hand_in(folder / "submitted", "cleo").with_name("timestamp.txt").write_text(CAME)
    grade_class(folder / "submitted", folder, Limits(function_seconds=4))
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        row = book.find_submission("update_rule", "cleo")
        assert (row.score, row.late_submission_penalty, row.total_seconds_late) == (8, 0, 0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nine", "2026-12-01 18:00"], "There is no assignment 'nine'; there is update_rule"),
        (["update_rule", "tomorrow"], "'tomorrow' is no date and time; write it as 2026-12-01 18:00"),
        (["update_rule", "2026-12-01"], "'2026-12-01' says no time of day; write it as 2026-12-01 23:59"),
        (["update_rule", "2026-12-01 18:00 Nowhere/Land"], "There is no time zone 'Nowhere/Land'"),
        (["update_rule", "2026-12-01 18:00", "--timezone", "Moon"], "There is no time zone 'Moon'"),
        (["update_rule", "2026-12-01 18:00", "--extend", "adda", "2h"], "Did you mean ada?"),
        (["update_rule", "2026-12-01 18:00", "--extend", "ada", "long"], "'long' is no length of time"),
        (["update_rule", "--extend", "ada", "2h"], "update_rule has no deadline to extend"),
        (["--extend", "ada", "2h"], "Say which assignment that is for"),
        (["--late-penalty", "some"], "'some' is no penalty"),
        (["--late-penalty", "200%/day"], "'200%/day' is no penalty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_set_is_a_sentence(words, sentence, deadline):
    assert sentence in deadline(*words, fails=True)


def test_nothing_is_half_set(deadline):
    deadline("update_rule", "2026-12-01 18:00", "--extend", "ada", "long", fails=True)
    deadline("update_rule", "2026-12-01 18:00", "--late-penalty", "some", fails=True)
    assert "2026-12-01" not in deadline()


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-12-01 18:00", "Europe/Berlin", "2026-12-01 17:00"),
        ("2026-07-01 18:00", "Europe/Berlin", "2026-07-01 16:00"),
        ("2026-12-01 18:00 America/New_York", "Europe/Berlin", "2026-12-01 23:00"),
        ("2026-12-01T18:00+05:30", "Europe/Berlin", "2026-12-01 12:30"),
        ("2026-12-01 18:00 UTC", None, "2026-12-01 18:00"),
    ],
)
def test_a_moment_is_read_in_its_zone(text, zone, utc):
    assert f"{moment(text, zone).astimezone(datetime.UTC):%Y-%m-%d %H:%M}" == utc


def test_a_moment_and_a_length_are_written_as_they_can_be_typed():
    when = moment("2026-12-01 18:00 Europe/Berlin")
    assert spelled_moment(when, tz.gettz("Europe/Berlin")) == "2026-12-01 18:00 CET (2026-12-01 17:00 UTC)"
    assert spelled_moment(when, tz.UTC) == "2026-12-01 17:00 UTC" and spelled_moment(None, tz.UTC) == "never"
    for text in ("2d", "1d 12h", "90m", "36h", "2w", "1.5h"):
        assert span(spelled_span(span(text))) == span(text)
    with pytest.raises(BadDeadline):
        span("2 fortnights")


@pytest.mark.parametrize(
    ("spelled", "late", "taken"),
    [
        ("10%/day", 1, 1), ("10%/day", DAY, 1), ("10%/day", DAY + 1, 2), ("10%/day", 30 * DAY, 10),
        ("5 % an hour", 2 * 3600, 1), ("zero", 1, 10), ("none", 10 * DAY, None),
    ],
)  # fmt: skip
def test_a_penalty_takes_what_it_says_off_ten_points(spelled, late, taken):
    assert LatePenalty(**penalty_settings(spelled)["LatePenalty"]).late_submission_penalty("ada", 10, late) == taken


def test_settings_that_are_no_json_are_said_and_left_alone(deadline, folder):
    (folder / "nbgrader_config.json").write_text("{")
    assert "could not be read" in deadline("--late-penalty", "zero", fails=True)
    assert (folder / "nbgrader_config.json").read_text() == "{"


def test_other_settings_stay(deadline, folder):
    (folder / "nbgrader_config.json").write_text('{"Exchange": {"root": "/srv"}}')
    deadline("--late-penalty", "zero")
    assert '"root": "/srv"' in (folder / "nbgrader_config.json").read_text()
    with pytest.raises(BadPenalty):
        penalty_settings("")
