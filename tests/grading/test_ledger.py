"""Never lose anything: what was judged stays judged, whatever happens to the run, and nothing an instructor set is overwritten."""

import datetime
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from nbgrader.api import Gradebook

from gdlab.bench.kills import KINDS, endure, still_there
from gdlab.grading import class_run as class_run_module
from gdlab.grading.box import Limits
from gdlab.grading.class_run import CannotRecord, ClassRun
from gdlab.grading.course import BadSettings, course_directory, enter_assignment, gradebook, nbgrader_log
from gdlab.grading.recording import Recorder
from gdlab.grading.replay import NoJudgement, replay
from gdlab.grading.report import class_report
from gdlab.grading.results import open_results
from gdlab.grading.walled_box import WalledBox
from gdlab.grading.warm import ForkServer
from gdlab.grading.workers import Task, one_after_the_other
from gdlab.installed import installed_versions

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
LIMITS = Limits(cell_seconds=5, cells_seconds=10, function_seconds=2)


class Counted:
    """Judges who remember how many notebooks they were handed."""

    def __init__(self, server: ForkServer):
        self.judged = 0
        self._judges = one_after_the_other(lambda: WalledBox(LIMITS, server.raise_walls))

    def __call__(self, tasks, heavy=()):
        for number, judged in self._judges(tasks, heavy):
            self.judged += 1
            yield number, judged


@pytest.fixture(scope="module")
def server():
    with ForkServer() as server:
        yield server


@pytest.fixture(scope="module")
def empty_gradebook(root, tmp_path_factory):
    """Results of no class at all: nbgrader takes seconds to make a gradebook."""
    out = tmp_path_factory.mktemp("empty") / "out"
    out.mkdir()
    course = course_directory(out, root / "solutions")
    with nbgrader_log(), gradebook(course):
        enter_assignment(course, "update_rule")
    return out


@pytest.fixture
def course(root, tmp_path, hand_in, server, empty_gradebook):
    """A class of three, and a way to grade it: course.grade() -> points by student; course.judged counts the work."""
    for student in ("ada", "ben", "cleo"):
        hand_in(tmp_path / "submitted", student, **({"walk": "return [theta]"} if student == "ben" else {}))
    shutil.copytree(empty_gradebook, tmp_path / "out")
    return Course(root, tmp_path, Counted(server))


class Course:
    def __init__(self, root: Path, folder: Path, judges: Counted):
        self.submitted, self.out, self.root = folder / "submitted", folder / "out", root
        self.judges = judges
        self.run: ClassRun | None = None

    def new_run(self, **settings) -> ClassRun:
        self.run = ClassRun(self.submitted, self.out, self.root / "solutions", self.judges, LIMITS, **settings)
        return self.run

    def grade(self, most: int | None = None, **settings) -> dict[str, float]:
        """Grade; stop after `most` submissions, as a run that was ended would."""
        run, points = self.new_run(**settings), {}
        for graded in run.grade(run.find()):
            points[graded.submission.student] = graded.points
            self.last = graded
            if len(points) == most:
                break
        return points

    def regrade(self, save: bool) -> list:
        run = self.new_run()
        changes = list(run.regrade(run.find()))
        if save:
            list(run.accept(run.find()))
        else:
            run.decline(run.find())
        return changes

    def gradebook(self) -> Gradebook:
        return Gradebook(f"sqlite:///{self.out / 'gradebook.db'}")

    def score(self, student: str) -> float:
        with self.gradebook() as book:
            return book.find_submission("update_rule", student).score

    def ask(self, question: str):
        with closing(sqlite3.connect(self.out / "gradebook.db")) as database:
            return database.execute(question).fetchall()


POINTS = {"ada": 8, "ben": 3, "cleo": 8}


def test_what_has_not_changed_is_not_run_again(course):
    assert course.grade() == POINTS and course.judges.judged == 3
    assert course.grade() == POINTS and course.judges.judged == 3
    assert course.last.unchanged


def test_what_was_handed_in_again_is_run_and_nothing_else(course, hand_in):
    course.grade()
    hand_in(course.submitted, "ben")
    assert course.grade() == {**POINTS, "ben": 8} and course.judges.judged == 4
    assert course.score("ben") == 8


@pytest.mark.parametrize("what", ["autograded", "feedback"])
def test_a_file_that_was_lost_is_written_again_without_a_new_judgement(what, course):
    course.grade()
    [lost] = (course.out / what / "ada").rglob("*.ipynb" if what == "autograded" else "*.html")
    content = lost.read_text()
    lost.unlink()
    assert course.grade() == POINTS and course.judges.judged == 3
    assert lost.read_text() == content


def test_a_run_that_was_stopped_goes_on_with_the_same_cases(course):
    assert len(course.grade(most=1)) == 1
    assert course.grade() == POINTS and course.judges.judged <= 4
    [[runs]] = course.ask("SELECT count(DISTINCT seed) FROM gdlab_run")
    assert runs == 1
    course.grade()
    [[runs]] = course.ask("SELECT count(DISTINCT seed) FROM gdlab_run")
    assert runs == 2  # once a run has ended, the next one draws cases of its own


def test_a_judgement_that_was_not_recorded_is_recorded_by_the_next_run(course, monkeypatch):
    honest = Recorder.record

    def ended(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "record", ended)
    with pytest.raises(KeyboardInterrupt):
        course.grade()
    assert course.judges.judged == 1 and course.ask("SELECT count(*) FROM gdlab_recording") == [(0,)]
    monkeypatch.setattr(Recorder, "record", honest)
    assert course.grade() == POINTS and course.judges.judged == 3


def test_gradebook_and_ledger_change_together_or_not_at_all(course, monkeypatch):
    course.grade()
    before = course.ask("SELECT auto_score FROM grade ORDER BY id")
    monkeypatch.setattr("gdlab.grading.recording.feedback_page", lambda *_: 1 / 0)
    for change in ("ada", "ben"):
        (course.out / "feedback" / change / "update_rule" / "update_rule.html").unlink()
    with pytest.raises(ZeroDivisionError):
        course.grade()
    assert course.ask("SELECT auto_score FROM grade ORDER BY id") == before


def test_other_limits_or_versions_are_another_judgement(course, monkeypatch):
    course.grade()
    other = installed_versions(class_run_module.PACKAGES) | {"numpy": "9.9"}
    monkeypatch.setattr(class_run_module, "installed_versions", lambda packages: other)
    course.grade()
    assert course.judges.judged == 6


def test_a_regrade_shows_what_would_change_and_saves_nothing_unless_told_to(course, monkeypatch):
    course.grade()
    with course.gradebook() as book:  # as though the exercise had been graded otherwise
        for row in book.find_submission_notebook("update_rule", "update_rule", "ben").grades:
            row.auto_score = 0
        book.db.commit()
    changes = course.regrade(save=False)
    assert course.judges.judged == 6 and not any(change.differs for change in changes)  # against what was judged
    assert course.score("ben") == 0
    course.regrade(save=True)
    assert course.score("ben") == 3 and course.judges.judged == 9


def test_a_regrade_that_was_declined_does_not_come_back(course, monkeypatch):
    course.grade()
    course.regrade(save=False)
    standing = course.ask("SELECT max(judgement) FROM gdlab_recording")
    assert course.grade() == POINTS
    assert course.ask("SELECT max(judgement) FROM gdlab_recording") == standing


def test_a_regrade_that_was_stopped_goes_on(course):
    course.grade()
    run = course.new_run()
    next(iter(run.regrade(run.find())))
    assert course.judges.judged == 4
    assert len(course.regrade(save=True)) == 3 and course.judges.judged <= 7


def test_what_an_instructor_set_by_hand_survives_a_regrade(course):
    """Manual score, extra credit, comment, and an extension that keeps a late submission from losing its points."""
    (course.out / "nbgrader_config.py").write_text("get_config().LateSubmissionPlugin.penalty_method = 'zero'\n")
    (course.submitted / "ada" / "update_rule" / "timestamp.txt").write_text("2026-11-20 10:00:00 UTC")
    (course.submitted / "cleo" / "update_rule" / "timestamp.txt").write_text("2026-11-20 10:00:00 UTC")
    course.grade()
    with course.gradebook() as book:
        book.find_assignment("update_rule").duedate = datetime.datetime(2026, 11, 20, 9)
        book.grant_extension("update_rule", "cleo", hours=2)
        grade = book.find_grade("check_gradient_step", "update_rule", "update_rule", "ben")
        grade.manual_score, grade.extra_credit = 2.5, 1
        comment = book.find_comment("gradient_step", "update_rule", "update_rule", "ben")
        comment.manual_comment = "Nearly."
        book.db.commit()
    course.regrade(save=True)
    with course.gradebook() as book:
        ada, ben, cleo = (book.find_submission("update_rule", student) for student in ("ada", "ben", "cleo"))
        assert (ada.score, ada.late_submission_penalty) == (8, 8)
        assert (cleo.score, cleo.late_submission_penalty, cleo.extension) == (8, 0, datetime.timedelta(hours=2))
        grade = book.find_grade("check_gradient_step", "update_rule", "update_rule", "ben")
        assert (grade.manual_score, grade.extra_credit, grade.score, grade.needs_manual_grade) == (2.5, 1, 3.5, True)
        assert ben.score == 3.5
        comment = book.find_comment("gradient_step", "update_rule", "update_rule", "ben")
        assert comment.manual_comment == "Nearly."
    page = (course.out / "feedback" / "ada" / "update_rule" / "update_rule.html").read_text()
    assert "less 8 for lateness" in page


def test_what_an_instructor_sets_by_hand_reaches_the_learners_page_without_a_new_judgement(course):
    course.grade()
    page = course.out / "feedback" / "ben" / "update_rule" / "update_rule.html"
    with course.gradebook() as book:
        grade = book.find_grade("check_descend", "update_rule", "update_rule", "ben")
        grade.manual_score, grade.needs_manual_grade = 4, False
        book.find_comment("descend", "update_rule", "update_rule", "ben").manual_comment = "Only <b>nearly</b>."
        book.db.commit()
    course.grade()
    assert "7 of 20 points" in page.read_text() and "on descend:</strong> Only &lt;b&gt;nearly" in page.read_text()
    written = page.stat().st_mtime_ns
    course.grade()
    assert page.stat().st_mtime_ns == written  # now it is up to date
    with course.gradebook() as book:
        grade = book.find_grade("check_descend", "update_rule", "update_rule", "ben")
        assert not grade.needs_manual_grade  # nothing was judged anew, so there is nothing to look at again
        grade.manual_score = None
        book.find_comment("descend", "update_rule", "update_rule", "ben").manual_comment = None
        book.db.commit()
    course.grade()
    assert "3 of 20 points" in page.read_text() and "instructor on" not in page.read_text()
    assert course.judges.judged == 3


def test_an_untouched_stub_is_marked_as_no_response(course, hand_in):
    hand_in(course.submitted, "dora", step="", walk="")
    course.grade()
    with course.gradebook() as book:
        comment = book.find_comment("gradient_step", "update_rule", "update_rule", "dora")
        assert comment.auto_comment == "No response."
        assert book.find_comment("gradient_step", "update_rule", "update_rule", "ada").auto_comment is None


def test_settings_that_cannot_be_read_are_said(course):
    (course.out / "nbgrader_config.py").write_text("c.")
    with pytest.raises(BadSettings, match="could not be read: SyntaxError"):
        course.grade()


def test_two_runs_do_not_write_into_one_folder(course):
    run = course.new_run()
    first = run.grade(run.find())
    next(first)
    with pytest.raises(CannotRecord, match="Another gdlab grade is at work"):
        course.grade()
    first.close()
    assert course.grade() == POINTS


def test_a_locked_gradebook_is_said_and_what_was_judged_is_kept(course, monkeypatch):
    course.grade(most=1)
    lock = sqlite3.connect(course.out / "gradebook.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CannotRecord, match=r"cannot be written to \(database is locked\).*run the same command"):
        course.grade()
    lock.execute("ROLLBACK")
    lock.close()
    assert course.grade() == POINTS and course.judges.judged <= 4


def test_a_full_disk_is_said_and_what_was_judged_is_kept(course, monkeypatch):
    honest = Path.write_text

    def full(path, *args, **kwargs):
        if path.suffix == ".part" and "cleo" in str(path):
            raise OSError(28, "No space left on device")
        return honest(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(CannotRecord, match="No space left on device"):
        course.grade()
    monkeypatch.undo()
    judged = course.judges.judged
    assert course.grade() == POINTS and course.judges.judged == judged


def test_a_folder_that_cannot_be_written_to_is_said(course):
    shutil.rmtree(course.out)
    course.out.write_text("a file is in the way")
    with pytest.raises(CannotRecord, match="cannot be written to"):
        course.grade()


def test_a_judgement_is_made_again_bit_for_bit(course, hand_in):
    hand_in(
        course.submitted, "ada", step="import numpy as np\n    return theta - lr * grad + 1e-3 * np.random.random()"
    )
    course.grade(seed=7)
    numbers = [number for (number,) in course.ask("SELECT id FROM gdlab_judgement")]
    for number in numbers:
        assert replay(course.out, number).differing == ()
    assert replay(course.out, numbers[0], cold=True).differing == ()


def test_a_judgement_that_comes_out_otherwise_is_told(course):
    course.grade()
    [[number, wrong]] = course.ask(
        "SELECT j.id, k.judgement FROM gdlab_judgement j, gdlab_judgement k WHERE j.student = 'ada' AND k.student = 'ben'"
    )
    with closing(sqlite3.connect(course.out / "gradebook.db")) as database, database:
        database.execute("UPDATE gdlab_judgement SET judgement = ? WHERE id = ?", (wrong, number))
    assert replay(course.out, number).differing == ("descend",)


def test_a_judgement_that_is_not_there_is_said(course, tmp_path):
    with pytest.raises(NoJudgement, match="There is no gradebook"):
        replay(tmp_path / "nowhere", 1)
    course.grade()
    with pytest.raises(NoJudgement, match="There is no judgement 99"):
        replay(course.out, 99)


def test_the_page_says_the_number_under_which_it_can_be_made_again(course):
    course.grade()
    assert f"gdlab replay {course.last.judgement}</code>" in course.last.feedback.read_text()


def test_killed_runs_workers_servers_and_boxes_lose_nothing(course, tmp_path):
    """The short form of `gdlab bench kills`."""
    *_, toll = endure(course.submitted, tmp_path / "kills", times=4, seed=3)
    assert toll.faults == [] and toll.killed == dict.fromkeys(KINDS, 1)


def test_a_worker_that_was_killed_takes_nothing_with_it(course, monkeypatch):
    """The second notebook kills the worker that judges it, once: a file outside tells whether it has."""
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom gdlab.grading import workers\nfrom gdlab.grading.box import Limits\n"
        "if __name__ == '__main__':\n"
        "    tasks = [workers.Task(n, 'update_rule', ('x = 1',), (), (), 1) for n in range(4)]\n"
        "    killed = False\n"
        "    done = []\n"
        "    for number, judged in workers.in_warm_boxes(Limits(), 2)(tasks):\n"
        "        done.append(number)\n"
        "        if not killed:\n"
        "            killed = True\n"
        "            import multiprocessing\n"
        "            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)\n"
        "    print(sorted(done))\n"
    )
    script = course.out.parent / "program.py"
    script.write_text(program)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.strip() == "[0, 1, 2, 3]", done.stderr


def test_workers_that_end_leave_nothing_in_the_temporary_folder(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(
        "from gdlab.grading import workers\nfrom gdlab.grading.box import Limits\n"
        "if __name__ == '__main__':\n"
        "    tasks = [workers.Task(n, 'update_rule', ('x = 1',), (), (), 1) for n in range(4)]\n"
        "    print(len(list(workers.in_warm_boxes(Limits(), 2)(tasks))))\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch).chmod(0o755)  # boxes have to reach it
        done = subprocess.run(
            [sys.executable, script],
            env=os.environ | {"TMPDIR": scratch},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.stdout.strip() == "4", done.stderr
        assert os.listdir(scratch) == []


def test_a_run_that_was_killed_leaves_no_process_behind(tmp_path):
    """Workers, the process that they are copies of, the fork server, and the boxes that wait for the next notebook."""
    script = tmp_path / "program.py"
    script.write_text(
        "import json, os, signal\nfrom gdlab.bench.kills import below\nfrom gdlab.grading import workers\n"
        "from gdlab.grading.box import Limits\n"
        "if __name__ == '__main__':\n"
        "    tasks = [workers.Task(n, 'update_rule', ('x = 1',), (), (), 1) for n in range(4)]\n"
        "    for _ in workers.in_warm_boxes(Limits(), 2)(tasks):\n"
        "        print(json.dumps(below(os.getpid())), flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with (tmp_path / "below.json").open("w") as said:  # a pipe would be held open by what stays
        subprocess.run([sys.executable, script], stdout=said, stderr=subprocess.DEVNULL, check=False, timeout=300)
    helpers = {int(pid): kind for pid, kind in json.loads((tmp_path / "below.json").read_text()).items()}
    assert {"worker", "fork server", "box"} <= set(helpers.values())
    assert still_there(helpers) == []


def test_one_after_the_other_needs_no_worker(course):
    boxes = []

    def make_box():
        boxes.append(os.getpid())
        raise RuntimeError("only counted")

    with pytest.raises(RuntimeError):
        list(one_after_the_other(make_box)([Task(0, "update_rule", ("x = 1",), (), ("x = 1",), 1)]))
    assert boxes == [os.getpid()] * 2  # once for the notebook, once for the empty one


def test_who_was_removed_with_nbgraders_own_command_is_entered_again_without_being_judged_again(course):
    course.grade()
    with nbgrader_log(), course.gradebook() as book:
        book.remove_student("ben")
    with open_results(course.out) as book:
        [report] = class_report(book)  # without ben, and without a stack trace
    assert len(report.scores) == 2
    assert course.grade()["ben"] == 3 and course.judges.judged == 3
    with course.gradebook() as book:
        assert book.find_submission("update_rule", "ben").score == 3
