"""Copies of a gradebook while it is written to, from a file to a server and back, and older ones brought up to date."""

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import nbgrader
import pytest
from nbgrader.api import Gradebook
from sqlalchemy import create_engine, select

from gdlab.grading import database_tools
from gdlab.grading.box import Limits
from gdlab.grading.class_run import CannotRecord, ClassRun
from gdlab.grading.database import NoDatabase, database_url
from gdlab.grading.database_tools import copy_database, upgrade_database
from gdlab.grading.ledger import JUDGEMENTS, LAYOUT, Ledger
from gdlab.grading.results import NoGradebook, open_results
from gdlab.grading.workers import one_after_the_other

ONE_LEARNER = """
INSERT INTO student VALUES ('zoe', 'Zoe', 'Zander', NULL);
INSERT INTO assignment VALUES ('a', 'earlier', NULL);
INSERT INTO notebook VALUES ('n', 'sums', 'a');
INSERT INTO grade_cell VALUES ('c', 'check_sum', 4, 'code', 'n');
INSERT INTO submitted_assignment VALUES ('s', 'a', 'zoe', NULL, NULL);
INSERT INTO submitted_notebook VALUES ('m', 's', 'n', 0, NULL);
INSERT INTO grade VALUES ('g', 'm', 'c', 1, 3, 0);
"""
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
OLD = (
    Path(nbgrader.__file__).parent / "tests" / "apps" / "files" / "gradebook.db"
)  # which nbgrader tests its upgrade with


@pytest.fixture(scope="module")
def graded(hand_in, grade_class, tmp_path_factory):
    """A graded class of two, in a folder that no test writes to."""
    folder = tmp_path_factory.mktemp("graded")
    hand_in(folder / "submitted", "ada")
    hand_in(folder / "submitted", "ben", walk="return [theta]")
    grade_class(folder / "submitted", folder / "out")
    return folder


@pytest.fixture
def out(graded, tmp_path):
    shutil.copytree(graded / "out", tmp_path / "out")
    return tmp_path / "out"


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


def scores(url: str) -> dict[str, float]:
    with Gradebook(database_url(url)) as book:
        return {one.student.id: one.score for one in book.assignment_submissions("update_rule")}


def ledger(url: str) -> list[tuple]:
    engine = create_engine(database_url(url))
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.execute(select(JUDGEMENTS).order_by(JUDGEMENTS.c.id))]
    engine.dispose()
    return rows


def test_a_copy_has_every_grade_and_every_judgement(out, tmp_path):
    source, copy = url_of(out / "gradebook.db"), url_of(tmp_path / "backup.db")
    counts = copy_database(source, copy)
    assert counts["gdlab_judgement"] == 2 and counts["submitted_assignment"] == 2
    assert scores(copy) == scores(source) == {"ada": 8, "ben": 3} and ledger(copy) == ledger(source)


def test_a_copy_is_as_of_one_moment_while_the_class_is_being_graded(out, tmp_path):
    """Somebody is in the middle of a transaction: none of it is in the copy, which is whole, and nobody is kept waiting."""
    source = out / "gradebook.db"
    with closing(sqlite3.connect(source, isolation_level=None)) as grader:
        grader.execute("BEGIN")
        grader.execute("UPDATE grade SET auto_score = 0")
        copy_database(url_of(source), url_of(tmp_path / "backup.db"))
        grader.execute("COMMIT")
    assert scores(url_of(tmp_path / "backup.db")) == {"ada": 8, "ben": 3}
    assert scores(url_of(source)) == {"ada": 0, "ben": 0}


def test_nobody_else_may_read_a_copy(out, tmp_path):
    copy_database(url_of(out / "gradebook.db"), url_of(tmp_path / "backup.db"))
    assert stat.S_IMODE((tmp_path / "backup.db").stat().st_mode) == 0o600


def test_nothing_is_copied_over_what_is_there(out, tmp_path):
    (tmp_path / "backup.db").write_text("precious")
    with pytest.raises(NoDatabase, match="is there already"):
        copy_database(url_of(out / "gradebook.db"), url_of(tmp_path / "backup.db"))
    assert (tmp_path / "backup.db").read_text() == "precious"


def test_a_copy_that_fails_leaves_nothing_behind(out, tmp_path):
    (out / "gradebook.db").write_text("this is no database, and longer than a header of one would be" * 10)
    with pytest.raises(NoDatabase, match="could not be copied.*file is not a database"):
        copy_database(url_of(out / "gradebook.db"), url_of(tmp_path / "backup.db"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("what", [copy_database, lambda url, _: upgrade_database(url)])
def test_a_file_that_is_not_there_is_said_and_not_made(what, tmp_path):
    with pytest.raises(NoDatabase, match="There is no file"):
        what(url_of(tmp_path / "none.db"), url_of(tmp_path / "backup.db"))
    assert not list(tmp_path.iterdir())


@pytest.mark.system
def test_a_class_moves_to_a_server_and_goes_on_there(out, graded, root, postgres, grade_class):
    server = postgres()
    source = url_of(out / "gradebook.db")
    copy_database(source, server)
    assert scores(server) == scores(source) and ledger(server) == ledger(source)
    limits = Limits()
    run = ClassRun(graded / "submitted", out, root / "solutions", one_after_the_other(None), limits, database=server)
    assert all(one.unchanged for one in run.grade(run.find()))  # nothing is judged again, so no box is asked for
    with Gradebook(database_url(server)) as book:
        assert Ledger(book.db).open_run("regrade").id > 1  # numbers go on where they were


@pytest.mark.system
def test_the_way_back_is_a_backup_of_a_server(out, postgres, tmp_path):
    server, source = postgres(), url_of(out / "gradebook.db")
    copy_database(source, server)
    copy_database(server, url_of(tmp_path / "backup.db"))
    assert ledger(url_of(tmp_path / "backup.db")) == ledger(source)
    assert scores(url_of(tmp_path / "backup.db")) == scores(source)


@pytest.mark.system
def test_a_copy_of_a_server_is_as_of_one_moment_too(out, postgres, tmp_path, monkeypatch, ask_database):
    """Somebody records a grade between two tables of the copy: it is not in it."""
    server = postgres()
    copy_database(url_of(out / "gradebook.db"), server)
    honest = database_tools._copy_table

    def disturbed(*arguments):
        ask_database(server, "UPDATE grade SET auto_score = 0")
        return honest(*arguments)

    monkeypatch.setattr(database_tools, "_copy_table", disturbed)
    copy_database(server, url_of(tmp_path / "backup.db"))
    assert scores(url_of(tmp_path / "backup.db")) == {"ada": 8, "ben": 3}
    assert scores(server) == {"ada": 0, "ben": 0}


@pytest.mark.system
def test_a_server_that_has_tables_already_is_left_as_it_is(out, postgres):
    server = postgres()
    copy_database(url_of(out / "gradebook.db"), server)
    with pytest.raises(NoDatabase, match="is not empty: it has the table"):
        copy_database(url_of(out / "gradebook.db"), server)
    assert scores(server) == {"ada": 8, "ben": 3}


@pytest.fixture
def old(tmp_path):
    """A gradebook as an early nbgrader made it, before assignments had courses, with one graded learner."""
    (tmp_path / "out").mkdir()
    with closing(sqlite3.connect(shutil.copy(OLD, tmp_path / "out" / "gradebook.db"))) as database:
        database.executescript(ONE_LEARNER)
    return tmp_path / "out" / "gradebook.db"


def test_an_older_gradebook_is_not_graded_into_but_named_for_an_upgrade(old, graded, root):
    before = old.read_bytes()
    run = ClassRun(graded / "submitted", old.parent, root / "solutions", one_after_the_other(None))
    with pytest.raises(CannotRecord, match="was made by an older nbgrader: run gdlab db upgrade"):
        list(run.grade(run.find()))
    assert old.read_bytes() == before


def test_an_older_gradebook_is_not_copied_before_it_is_upgraded(old, tmp_path):
    with pytest.raises(NoDatabase, match="was made by an older nbgrader: run gdlab db upgrade"):
        copy_database(url_of(old), url_of(tmp_path / "backup.db"))


def test_an_upgraded_gradebook_keeps_its_grades_and_takes_a_class(old, graded, grade_class):
    untouched = old.read_bytes()
    before = upgrade_database(url_of(old))
    assert before.read_bytes()[100:] == untouched[100:]  # the first hundred bytes count the changes
    assert grade_class(graded / "submitted", old.parent)["ada"].points == 8
    with open_results(old.parent) as book:
        grade = book.find_grade("check_sum", "sums", "earlier", "zoe")
        assert (grade.auto_score, grade.manual_score, grade.score, grade.max_score) == (1, 3, 3, 4)
        assert [one.id for one in book.students] == ["ada", "ben", "zoe"]
        assert len(list(Ledger(book.db).standing())) == 2


def test_an_older_ledger_is_taken_over_as_it_is(out):
    with closing(sqlite3.connect(out / "gradebook.db", isolation_level=None)) as database:
        database.execute("DROP TABLE gdlab_layout")  # as before layouts were numbered
    before = ledger(url_of(out / "gradebook.db"))
    upgrade_database(url_of(out / "gradebook.db"))
    assert ledger(url_of(out / "gradebook.db")) == before
    with closing(sqlite3.connect(out / "gradebook.db")) as database:
        assert database.execute("SELECT number FROM gdlab_layout").fetchall() == [(LAYOUT,)]


def test_a_newer_ledger_is_left_alone(out, graded, root, tmp_path):
    with closing(sqlite3.connect(out / "gradebook.db", isolation_level=None)) as database:
        database.execute("UPDATE gdlab_layout SET number = 99")
    said = "was written by a newer gdlab"
    run = ClassRun(graded / "submitted", out, root / "solutions", one_after_the_other(None))
    with pytest.raises(CannotRecord, match=said):
        list(run.grade(run.find()))
    with pytest.raises(NoGradebook, match=said), open_results(out):
        pass
    with pytest.raises(NoDatabase, match=said):
        copy_database(url_of(out / "gradebook.db"), url_of(tmp_path / "backup.db"))
