"""What an instructor takes away from a graded class: the report, and the grades as tables for other programs."""

import csv
import datetime
import io
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from bs4 import BeautifulSoup
from nbgrader.api import Gradebook
from typer.testing import CliRunner

from gdlab.cli import app
from gdlab.grading.export import NoAssignment, export_grades
from gdlab.grading.judging import Judged
from gdlab.grading.report import AssignmentReport, _numbered, class_report, report_page, rough_span
from gdlab.grading.results import NoGradebook, open_results

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
UPHILL = "return theta + lr * grad"
UPHILL_AGAIN = "up = theta + lr * grad\nreturn up"
WALK = """
path = [np.asarray(theta, dtype=float)]
for _ in range(steps):
    path.append(path[-1] - lr * grad_fn(path[-1]))
return np.array(path)
"""
AWKWARD = "O'Neil, <b>Jr</b>"


@pytest.fixture(scope="module")
def results(tmp_path_factory, hand_in, grade_class) -> Path:
    """Four learners. Ben walks uphill, and does so again when he hands in anew; so does Dora, once."""
    folder = tmp_path_factory.mktemp("class")
    submitted, out = folder / "submitted", folder / "out"
    for learner, answers in {"ada": {}, "ben": {"step": UPHILL}, "cleo": {}, "dora": {"step": UPHILL}}.items():
        hand_in(submitted, learner, walk=WALK, **answers)
    for learner in ("ben", "dora"):
        (submitted / learner / "update_rule" / "timestamp.txt").write_text("2026-11-20 10:00:00 UTC")
    grade_class(submitted, out)
    hand_in(submitted, "ben", step=UPHILL_AGAIN, walk=WALK)
    (submitted / "ben" / "update_rule" / "timestamp.txt").write_text("2026-11-22 14:00:00 CET")
    grade_class(submitted, out)
    with Gradebook(f"sqlite:///{out / 'gradebook.db'}") as book:
        book.update_or_create_student(
            "ada", first_name="Ada", last_name=AWKWARD, email="ada@example.org", lms_user_id="7"
        )
        book.add_student("ed")  # who has handed nothing in
    return out


@pytest.fixture(scope="module")
def report(results) -> AssignmentReport:
    with open_results(results) as book:
        [report] = class_report(book)
    return report


def test_scores_lie_where_the_gradebook_has_them(report, results):
    with Gradebook(f"sqlite:///{results / 'gradebook.db'}") as book:
        scores = [book.find_submission("update_rule", learner).score for learner in ("ada", "ben", "cleo", "dora")]
    assert report.scores == tuple(scores) and report.max_score == 20
    assert sum(report.histogram) == 4 and report.histogram[4] == 2  # 8 of 20 points are 40 percent
    assert (report.mean, report.median) == (sum(scores) / 4, sorted(scores)[1] / 2 + sorted(scores)[2] / 2)


def test_the_hardest_exercise_comes_first(report):
    shares = [one.mean_share for one in report.exercises]
    assert shares == sorted(shares) and all(one.learners == 4 for one in report.exercises)
    by_name = {one.name: one for one in report.exercises}
    assert by_name["descend"].outcomes == {"right": 4} and by_name["descend"].mean_share == 1.0
    assert by_name["classify_run"].outcomes == {"untouched": 4} and by_name["classify_run"].mean_share == 0.0


def test_a_mistake_is_counted_with_all_who_make_it_in_the_words_that_they_were_told(report):
    first = report.mistakes[0]
    assert (first.exercise, first.learners) == ("gradient_step", ("ben", "dora"))
    assert "uphill" in first.sentence


def test_who_hands_in_the_same_mistake_again_is_stuck_and_nobody_else(report):
    assert [(one.learner, one.exercise, one.times) for one in report.stuck] == [("ben", "gradient_step", 2)]


def test_time_is_that_of_the_grader_and_between_versions(report):
    assert {learner for _, learner in report.time.seconds} == {"ada", "ben", "cleo", "dora"}
    assert all(seconds > 0 for seconds, _ in report.time.seconds)
    assert report.time.seconds == tuple(sorted(report.time.seconds, reverse=True))
    assert report.time.spans == (datetime.timedelta(days=2, hours=3),)  # only Ben handed in again


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [(40, "40 seconds"), (300, "5 minutes"), (5400, "90 minutes"), (100000, "28 hours"), (900000, "10 days")],
)
def test_a_span_is_spelled_in_the_largest_unit_that_tells_enough(seconds, spelled):
    assert rough_span(datetime.timedelta(seconds=seconds)) == spelled


def test_judgements_of_a_ledger_that_kept_no_time_are_read(report):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode({"outputs": [], "verdicts": {}}), type=Judged).seconds == 0


def test_the_page_stands_alone_and_says_all_that(report):
    page = report_page([report], anonymous=False)
    soup = BeautifulSoup(page, "html.parser")
    assert not soup.find(["script", "link", "iframe"]) and "http" not in re.sub(r"http-equiv", "", page)
    text = soup.get_text(" ", strip=True)
    assert "4 learners of 20 points" in text and "ben, dora" in text and "Stuck on the same mistake" in text
    assert "1 learner handed in more than one version" in text and "2 days at most" in text
    assert "2 from 40 percent" in soup.svg["aria-label"]


def test_an_anonymous_page_names_nobody_and_keeps_its_numbers(results):
    with open_results(results) as book:
        pages = [report_page(class_report(book, anonymous=True), anonymous=True) for _ in range(2)]
    assert pages[0] == pages[1] and "learner" in pages[0]
    assert not any(learner in pages[0] for learner in ("ada", "ben", "cleo", "dora"))


def test_who_has_the_names_cannot_work_out_the_numbers():
    names = [f"learner of {number}" for number in range(20)]
    numbered = [[_numbered(names, secret)(name) for name in names] for secret in ("1", "1", "2")]
    assert numbered[0] == numbered[1] != numbered[2] and sorted(numbered[0]) == sorted(numbered[2])


def table(results: Path, kind: str, to: Path, **only) -> list[list[str]]:
    with open_results(results) as book:
        export_grades(book, kind, to, **only)
    return list(csv.reader(io.StringIO(to.read_text(encoding="utf-8"))))


def test_canvas_gets_names_ids_points_possible_and_nothing_for_who_handed_nothing_in(results, tmp_path):
    heading, possible, *rows = table(results, "canvas", tmp_path / "canvas.csv")
    assert heading == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "update_rule"]
    assert possible == ["    Points Possible", "", "", "", "", "20.0"]
    by_login = {row[3]: row for row in rows}
    assert by_login["ada"] == [f"{AWKWARD}, Ada", "7", "", "ada", "", "8.0"]
    assert by_login["ed"] == ["ed", "", "", "ed", "", ""]


def test_moodle_gets_what_it_can_tell_people_by(results, tmp_path):
    heading, *rows = table(results, "moodle", tmp_path / "moodle.csv")
    assert heading == ["First name", "Last name", "ID number", "Email address", "update_rule"]
    assert ["Ada", AWKWARD, "7", "ada@example.org", "8.0"] in rows and ["", "", "ed", "", ""] in rows


def test_plain_csv_has_nbgraders_columns_and_its_command_writes_the_same_scores(results, tmp_path):
    ours = table(results, "csv", tmp_path / "ours.csv")
    command = [sys.executable, "-m", "nbgrader", "export", f"--db=sqlite:///{results / 'gradebook.db'}"]
    for exporter, to in (
        ("gdlab.grading.export.CsvExport", "again.csv"),
        ("nbgrader.plugins.CsvExportPlugin", "its.csv"),
    ):
        subprocess.run(
            [*command, f"--exporter={exporter}", f"--to={to}"], cwd=tmp_path, check=True, capture_output=True
        )
    again, its = (
        list(csv.reader(io.StringIO((tmp_path / name).read_text(encoding="utf-8"))))
        for name in ("again.csv", "its.csv")
    )
    assert again == ours
    assert its[0] == ours[0]
    scores = [{row[3]: row[-2] for row in rows[1:] if row[3] in ("ben", "cleo", "dora")} for rows in (its, ours)]
    assert scores[0] == scores[1] and len(scores[0]) == 3


def test_an_assignment_that_is_not_there_is_a_sentence(results, tmp_path):
    with pytest.raises(NoAssignment, match="no assignment 'nine'; it has update_rule"):
        table(results, "csv", tmp_path / "none.csv", assignments=["nine"])
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize("content", [None, b"", b"no database"], ids=["none", "empty", "garbage"])
def test_results_that_cannot_be_read_are_a_sentence(content, tmp_path):
    if content is not None:
        (tmp_path / "gradebook.db").write_bytes(content)
    with pytest.raises(NoGradebook), open_results(tmp_path):
        raise AssertionError("it was opened")
    assert content is None or (tmp_path / "gradebook.db").read_bytes() == content  # reading writes nothing


def test_the_commands_say_where_things_are_and_what_is_in_the_way(results, tmp_path):
    page, grades = tmp_path / "class.html", tmp_path / "grades.csv"
    said = CliRunner().invoke(app, ["report", "--out", str(results), "--to", str(page)])
    assert said.exit_code == 0 and str(page) in said.output.replace("\n", "") and "median" in said.output
    said = CliRunner().invoke(app, ["export", "--out", str(results), "--format", "canvas", "--to", str(grades)])
    assert said.exit_code == 0 and grades.is_file() and "5 learners" in said.output
    said = CliRunner().invoke(app, ["export", "--out", str(tmp_path), "--to", str(grades)])
    assert said.exit_code == 1 and "There is no gradebook" in said.output
    (tmp_path / "a-file").touch()
    for command in ("report", "export"):
        said = CliRunner().invoke(app, [command, "--out", str(results), "--to", str(tmp_path / "a-file" / "below")])
        assert said.exit_code == 1 and "cannot be written" in said.output
