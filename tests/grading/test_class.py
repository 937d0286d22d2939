"""A class from end to end: scores exactly as written down, in nbgrader's gradebook, with a page for each learner."""

import io
import json
import re

import nbformat
import pytest
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from rich.console import Console
from traitlets.config import Config

from gdlab.cli.class_tables import summary
from gdlab.grading import workers
from gdlab.grading.box import NoSandbox
from gdlab.grading.class_run import ClassRun
from gdlab.grading.course import nbgrader_log
from gdlab.grading.recording import Recorder
from gdlab.grading.workers import one_after_the_other
from gdlab.judge.verdict import verdicts_in

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


@pytest.fixture(scope="module")
def expected(root):
    return json.loads((root / "tests" / "sample_class" / "expected.json").read_text())


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def graded(root, results, grade_class):
    return grade_class(root / "tests" / "sample_class" / "submitted", results)


def test_the_sample_class_is_in_step_with_its_script(root, sample_class, tmp_path):
    sample_class.write(tmp_path)
    committed = root / "tests" / "sample_class"
    names = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(committed) for p in committed.rglob("*") if p.suffix in {".ipynb", ".json"})
    for name in names:
        assert (committed / name).read_text() == (tmp_path / name).read_text(), (
            f"{name}: run python tests/sample_class/make.py"
        )


def test_every_learner_gets_exactly_the_points_written_down(graded, expected):
    points = {student: {name: v.points for name, v in one.verdicts.items()} for student, one in graded.items()}
    assert points == {student: row["points"] for student, row in expected.items()}


def test_on_a_narrow_terminal_a_line_says_what_each_learner_has(graded):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary(list(graded.values())))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    [amara] = [line for line in lines if "amara" in line]
    [gustav] = [line for line in lines if "gustav" in line]
    assert "20 of 20" in amara and amara.count("✓") == 5
    assert "0 of 20" in gustav and gustav.count("✗") == 5 and "gradient_step: adds-the-gradient" in gustav


def test_the_class_shows_every_exercise_right_in_several_styles_wrong_in_several_ways_and_untouched(sample_class):
    for name, points in sample_class.POINTS.items():
        rows = [(learner.answers.get(name, ""), learner.points.get(name, 0)) for learner in sample_class.CLASS]
        assert len({body for body, earned in rows if earned == points}) >= 5
        assert len({body for body, earned in rows if body and earned < points}) >= 5
        assert any(not body for body, _ in rows)
    assert sum(sample_class.POINTS.values()) == 20


def test_every_mistake_is_named_and_no_other(graded, expected):
    named = {student: sorted({m for v in one.verdicts.values() for m in v.mistakes}) for student, one in graded.items()}
    assert named == {student: sorted(row["mistakes"]) for student, row in expected.items()}


def test_nbgraders_own_api_reads_the_scores(graded, expected, results):
    config = Config()
    config.CourseDirectory.root = str(results)
    config.CourseDirectory.db_url = f"sqlite:///{results / 'gradebook.db'}"
    with nbgrader_log():
        rows = NbGraderAPI(config=config).get_submissions("update_rule")
    assert {row["student"]: row["score"] for row in rows} == {
        student: sum(row["points"].values()) for student, row in expected.items()
    }
    assert {row["max_score"] for row in rows} == {20.0}
    assert not any(row["needs_manual_grade"] for row in rows)


def test_verdicts_travel_with_the_graded_notebook(graded, results):
    notebook = nbformat.read(results / "autograded" / "gustav" / "update_rule" / "update_rule.ipynb", as_version=4)
    assert verdicts_in(notebook.cells) == graded["gustav"].verdicts


def test_every_learner_gets_a_page_that_says_what_is_wrong(graded):
    page = graded["gustav"].feedback.read_text()
    assert "0 of 20 points" in page and "which way does a gradient point?" in page
    assert "return theta + lr * grad" in re.sub("<[^>]+>", "", page)
    assert "20 of 20 points" in graded["amara"].feedback.read_text()


def test_pages_are_small_and_ask_nobody_for_anything(graded):
    for one in graded.values():
        page = one.feedback.read_text()
        assert len(page) < 300_000
        assert "<script" not in page and not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)


def test_grading_again_gives_the_same_scores_in_the_same_gradebook(
    root, graded, expected, results, grade_class, tmp_path
):
    (tmp_path / "submitted").mkdir()
    for student in ("hana", "noor"):
        (tmp_path / "submitted" / student).symlink_to(root / "tests" / "sample_class" / "submitted" / student)
    again = grade_class(tmp_path / "submitted", results)
    assert {s: one.points for s, one in again.items()} == {"hana": 9, "noor": 3}


def test_a_sandbox_that_fails_mid_class_stops_the_run_with_its_own_sentence(tmp_path, hand_in, root):
    hand_in(tmp_path / "submitted", "student")

    def no_box():
        raise NoSandbox("there is no sandbox any more")

    run = ClassRun(tmp_path / "submitted", tmp_path / "out", root / "solutions", one_after_the_other(no_box))
    with pytest.raises(NoSandbox, match="there is no sandbox any more"):
        list(run.grade(run.find()))


def test_a_submission_that_breaks_the_grader_counts_as_empty_and_the_class_goes_on(
    tmp_path, hand_in, grade_class, monkeypatch
):
    for student in ("before", "breaks-it", "later"):
        hand_in(tmp_path / "submitted", student, extra="'a bug of ours'" if student == "breaks-it" else "")
    honest = workers.judge_cells

    def buggy(cells, *rest):
        if "'a bug of ours'" in cells:
            raise ZeroDivisionError("in the grader itself")
        return honest(cells, *rest)

    monkeypatch.setattr(workers, "judge_cells", buggy)
    problems = []
    graded = grade_class(tmp_path / "submitted", tmp_path / "out", problems=problems)
    assert {student: one.points for student, one in graded.items()} == {"before": 8, "breaks-it": 0, "later": 8}
    assert "ask your instructor" in graded["breaks-it"].feedback.read_text()
    assert "ZeroDivisionError: in the grader itself" in problems[0]


def test_a_submission_that_cannot_even_be_recorded_is_said_and_the_class_goes_on(
    tmp_path, hand_in, grade_class, monkeypatch
):
    for student in ("before", "nowhere", "later"):
        hand_in(tmp_path / "submitted", student)
    honest = Recorder.record

    def failing(recorder, submission, *rest):
        if submission.student == "nowhere":
            raise OSError("its folder is gone")
        return honest(recorder, submission, *rest)

    monkeypatch.setattr(Recorder, "record", failing)
    problems = []
    graded = grade_class(tmp_path / "submitted", tmp_path / "out", problems=problems)
    assert {student: one.points for student, one in graded.items()} == {"before": 8, "later": 8}
    assert problems[-1] == "nowhere/update_rule was not graded: OSError: its folder is gone"


@pytest.mark.parametrize(
    ("stamp", "recorded"),
    [("2026-11-20 10:00:00 UTC", "2026-11-20 10:00:00"), ("next Tuesday \x00", None), ("9" * 90, None)],
)
def test_the_time_of_handing_in_is_recorded_where_it_can_be_read(stamp, recorded, tmp_path, hand_in, grade_class):
    hand_in(tmp_path / "submitted", "student").with_name("timestamp.txt").write_text(stamp)
    assert grade_class(tmp_path / "submitted", tmp_path / "out")["student"].points == 8
    with Gradebook(f"sqlite:///{tmp_path / 'out' / 'gradebook.db'}") as book:
        timestamp = book.find_submission("update_rule", "student").timestamp
    assert (str(timestamp) if timestamp else None) == recorded
