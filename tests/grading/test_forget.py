"""Forgetting a learner: nothing below the class names them any more, whatever moment the command was ended at."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from nbgrader.api import Gradebook
from sqlalchemy import Engine, event
from typer.testing import CliRunner

from gdlab.cli import app
from gdlab.grading import forget as forgetting
from gdlab.grading.forget import NobodyThere, alone_in_class, find_traces, forget, mentions
from gdlab.grading.recording import write_whole

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
ZOE = "zoelemaire_4711"
OTHERS = ("ada", "zoe")


@pytest.fixture(scope="module")
def graded(tmp_path_factory, hand_in, grade_class) -> Path:
    """A class with everything in it that names a learner: two versions, archives from Canvas, a roster, a report, tables."""
    folder = tmp_path_factory.mktemp("class")
    notebooks = {name: hand_in(folder / "submitted", name, extra=f"# by {name}") for name in (ZOE, *OTHERS)}
    archive = folder / "downloaded" / "update_rule" / "archive" / "submissions.zip"
    unpacked = folder / "downloaded" / "update_rule" / "extracted" / "submissions"
    for path in (archive.parent, unpacked):
        path.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as opened:
        for name in (ZOE, "ada_8"):
            file = f"{name}_99_update_rule.ipynb"
            opened.write(notebooks[ZOE if name == ZOE else "ada"], file)
            shutil.copy(notebooks[ZOE if name == ZOE else "ada"], unpacked / file)
    grade_class(folder / "submitted", folder)
    hand_in(folder / "submitted", ZOE, step="return theta + lr * grad", extra=f"# by {ZOE}")
    grade_class(folder / "submitted", folder)
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        book.update_or_create_student(ZOE, first_name="Zoë-Marguerite", email="zoe@lemaire.example", lms_user_id="4711")
    for command in (["report"], ["export", "--to", str(folder / "grades.csv")]):
        done = CliRunner().invoke(app, [*command, "--out", str(folder)])
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def folder(graded, tmp_path) -> Path:
    shutil.copytree(graded, tmp_path / "class")
    return tmp_path / "class"


def traces_in(folder: Path) -> set[Path]:
    """Where any name of Zoe's stands: in the name of a file, in its bytes, or in the bytes of what an archive holds."""
    found = set()
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as opened:
                content += b"".join(name.encode() + opened.read(name) for name in opened.namelist())
        names = (ZOE, "Zoë-Marguerite", "lemaire")
        if any(name in path.name or name.encode() in content for name in names):
            found.add(path.relative_to(folder))
    return found


@pytest.fixture
def careless_sqlite():
    """SQLite as it comes from its makers, which leaves what was deleted in the file; some distributions' does not."""

    def careless(connection, _):
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA secure_delete = OFF")

    event.listen(Engine, "connect", careless)
    yield
    event.remove(Engine, "connect", careless)


def run(folder: Path, *words: str, **options):
    return CliRunner().invoke(app, ["forget", *words, "--out", str(folder)], env={"COLUMNS": "300"}, **options)


def test_after_it_nothing_below_the_class_names_the_learner_and_the_others_are_as_they_were(folder):
    assert len(traces_in(folder)) > 8
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        before = {name: book.find_submission("update_rule", name).score for name in OTHERS}
    done = run(folder, ZOE, "--yes")
    assert done.exit_code == 0, done.output
    assert traces_in(folder) == set()
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        assert {student.id for student in book.students} == set(OTHERS)
        assert {name: book.find_submission("update_rule", name).score for name in OTHERS} == before
    for step in ("submitted", "autograded", "feedback"):
        assert {path.name for path in (folder / step).iterdir()} == set(OTHERS)
    with zipfile.ZipFile(folder / "downloaded" / "update_rule" / "archive" / "submissions.zip") as opened:
        assert opened.namelist() == ["ada_8_99_update_rule.ipynb"] and opened.testzip() is None


def test_no_deleted_bytes_stay_in_the_database(folder, careless_sqlite):
    """Neither of what is deleted now, nor of what was deleted before: here, a note that filled a page of its own."""
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as book:
        comment = book.find_comment("descend", "update_rule", "update_rule", "ada")
        comment.manual_comment = f"See {ZOE}. " * 1000
        book.db.commit()
        comment.manual_comment = None
        book.db.commit()
    run(folder, ZOE, "--yes")
    assert traces_in(folder) == set()


def test_a_report_that_counts_them_by_number_goes_too(folder):
    page = folder / "report.html"
    assert CliRunner().invoke(app, ["report", "--out", str(folder), "--anonymous"]).exit_code == 0
    assert page.is_file() and ZOE not in page.read_text()
    run(folder, ZOE, "--yes")
    assert not page.exists()


def test_the_class_goes_on_without_them(folder, grade_class):
    run(folder, ZOE, "--yes")
    assert {name: one.unchanged for name, one in grade_class(folder / "submitted", folder).items()} == dict.fromkeys(
        OTHERS, True
    )
    assert CliRunner().invoke(app, ["report", "--out", str(folder)]).exit_code == 0


def test_it_shows_what_goes_and_what_is_out_of_reach_and_asks(folder):
    before = traces_in(folder)
    done = run(folder, ZOE)
    said = " ".join(done.output.split())
    assert done.exit_code == 1 and "say --yes" in said
    for what in (f"submitted/{ZOE}", f"feedback/{ZOE}", "submissions.zip", "report.html", "grades.csv"):
        assert what in said
    assert "2 × judgements in the ledger" in said and "backups" in said and "exchange" in said and "Canvas" in said
    assert traces_in(folder) == before


@pytest.mark.parametrize("name", ["zoelemaire", "ZOE", "", "..", "../zoe", "*"])
def test_a_name_that_nobody_has_is_a_sentence(name, folder):
    before = sorted(folder.rglob("*"))
    done = run(folder, name, "--yes")
    assert done.exit_code == 1 and (repr(name) in done.output) and "Traceback" not in done.output
    assert sorted(folder.rglob("*")) == before


def test_a_folder_without_a_class_is_a_sentence(tmp_path):
    done = run(tmp_path, ZOE, "--yes")
    assert done.exit_code == 1 and "There is no gradebook" in done.output and list(tmp_path.iterdir()) == []


def test_not_while_the_class_is_being_graded(folder):
    with alone_in_class(folder):
        done = run(folder, ZOE, "--yes")
    assert done.exit_code == 1 and "at work" in done.output and traces_in(folder)


def test_where_the_name_still_stands_is_said(folder):
    write_whole(folder / "notes.md", f"{ZOE} was ill.\n{ZOE}x is somebody else.")
    write_whole(folder / "list.txt", f"{ZOE}x")
    done = run(folder, ZOE, "--yes")
    assert done.exit_code == 0 and "notes.md" in done.output and "list.txt" not in done.output
    assert mentions(folder, ZOE) == [folder / "notes.md"]


def test_submissions_that_lie_elsewhere_are_named_or_warned_of(folder):
    elsewhere = folder.parent / "elsewhere"
    (folder / "submitted").rename(elsewhere)
    assert "Name the one with the submissions" in run(folder, ZOE, input="n\n").output
    done = run(folder, ZOE, "--yes", "--submitted", str(elsewhere))
    assert done.exit_code == 0 and traces_in(folder.parent) == set()


STEPS = ["rmtree", "unlink", "_rewrite_without", "remove_submission", "_pack", "_overwrite_what_is_deleted"]


@pytest.mark.parametrize("step", STEPS)
def test_one_that_was_ended_is_finished_by_the_same_command(step, folder, monkeypatch):
    class Ended(Exception):
        pass

    def ended(*_, **__):
        raise Ended

    owner = {"rmtree": shutil, "unlink": Path, "remove_submission": Gradebook}.get(step, forgetting)
    honest = getattr(owner, step)
    with alone_in_class(folder) as book:
        traces = find_traces(book, folder, folder / "submitted", ZOE)
        monkeypatch.setattr(owner, step, ended)
        with pytest.raises(Ended):
            forget(book, traces)
        monkeypatch.setattr(owner, step, honest)
    assert run(folder, ZOE, "--yes").exit_code == 0
    assert traces_in(folder) == set()
    with pytest.raises(NobodyThere), alone_in_class(folder) as book:
        find_traces(book, folder, folder / "submitted", ZOE)


def test_one_that_was_killed_within_the_database_is_finished_by_the_same_command(folder):
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom gdlab.grading import forget\n"
        "def kill(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        "forget._pack = kill\n"
        "folder = Path(sys.argv[1])\n"
        "with forget.alone_in_class(folder) as book:\n"
        f"    forget.forget(book, forget.find_traces(book, folder, folder / 'submitted', {ZOE!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], env=os.environ, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert traces_in(folder) == {Path("gradebook.db")}
    assert run(folder, ZOE, "--yes").exit_code == 0
    assert traces_in(folder) == set()


def test_a_database_on_a_server_forgets_too(tmp_path, postgres, ask_database, hand_in, grade_class):
    url, folder = postgres(), tmp_path / "class"
    for name in (ZOE, "ada"):
        hand_in(folder / "submitted", name)
    (folder / "nbgrader_config.py").write_text(f"get_config().CourseDirectory.db_url = {url!r}\n")
    grade_class(folder / "submitted", folder)
    done = run(folder, ZOE, "--yes")
    assert done.exit_code == 0, done.output
    for table, column in (("student", "id"), ("gdlab_judgement", "student"), ("gdlab_recording", "student")):
        assert ask_database(url, f"SELECT {column} FROM {table}") == [("ada",)]
    assert traces_in(folder) == set()
