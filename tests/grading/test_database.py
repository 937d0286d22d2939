"""Which database a course has, said by its URL; and nothing of PostgreSQL or Dask is loaded by whoever does not use it."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from sqlalchemy import create_engine, inspect

from gdlab.grading import database
from gdlab.grading.class_run import CannotRecord, ClassRun
from gdlab.grading.course import course_directory
from gdlab.grading.database import NoDatabase, database_url, named
from gdlab.grading.migrations import make_tables, require_todays_tables
from gdlab.grading.results import NoGradebook, open_results
from gdlab.grading.workers import one_after_the_other


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_to_name_a_server_means_the_driver_that_gdlab_comes_with(scheme):
    assert database_url(f"{scheme}://ada@host/course") == "postgresql+psycopg://ada@host/course"


def test_a_file_stays_as_it_is_named():
    assert database_url("sqlite:////srv/course/gradebook.db") == "sqlite:////srv/course/gradebook.db"


@pytest.mark.parametrize(
    ("url", "said"),
    [("mysql://ada@host/course", "SQLite or PostgreSQL, not in 'mysql'"), ("course.db", "'course.db' is no database")],
)
def test_other_databases_are_refused_in_a_sentence(url, said, tmp_path, root, hand_in):
    with pytest.raises(NoDatabase, match=said):
        database_url(url)
    hand_in(tmp_path / "submitted", "ada")
    run = ClassRun(
        tmp_path / "submitted", tmp_path / "out", root / "solutions", one_after_the_other(None), database=url
    )
    with pytest.raises(CannotRecord, match=said):
        list(run.grade(run.find()))


def test_a_missing_driver_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setattr(database, "find_spec", lambda name: None)
    with pytest.raises(NoDatabase, match=r"pip install 'gdlab\[postgresql\]'"):
        database_url("postgresql://ada@host/course")


def test_a_password_is_used_and_never_shown():
    url = database_url("postgresql://ada:s3cret@host/course")
    assert "s3cret" in url and "s3cret" not in named(url)


def test_a_server_that_does_not_answer_is_said_without_the_password(tmp_path, root, hand_in):
    hand_in(tmp_path / "submitted", "ada")
    url = "postgresql://ada:s3cret@127.0.0.1:1/course"
    run = ClassRun(
        tmp_path / "submitted", tmp_path / "out", root / "solutions", one_after_the_other(None), database=url
    )
    with pytest.raises(CannotRecord, match=r"ada:\*\*\*@127.0.0.1:1/course cannot be written to.*refused") as caught:
        list(run.grade(run.find()))
    assert "s3cret" not in str(caught.value)


def test_the_courses_own_settings_name_its_database(tmp_path):
    (tmp_path / "nbgrader_config.py").write_text(
        "get_config().CourseDirectory.db_url = 'postgresql://ada@host/course'\n"
    )
    assert course_directory(tmp_path, tmp_path).db_url == "postgresql+psycopg://ada@host/course"
    assert course_directory(tmp_path, tmp_path, database="sqlite:////a.db").db_url == "sqlite:////a.db"


@pytest.mark.parametrize("settings", ["get_config().CourseDirectory.db_url = 'mysql://host/course'", "c."])
def test_settings_that_name_none_are_said_to_whoever_wants_to_read(settings, tmp_path):
    (tmp_path / "nbgrader_config.py").write_text(settings)
    with pytest.raises(NoGradebook, match="not in 'mysql'|could not be read"), open_results(tmp_path):
        pass


def test_whoever_uses_neither_a_server_nor_a_cluster_loads_nothing_of_them(tmp_path, root, hand_in):
    program = (
        "import sys\nimport gdlab.cli\nfrom gdlab.grading import class_run, report, replay\n"
        "print([name for name in ('psycopg', 'distributed', 'dask') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


KILLED = """
import os, sys
from gdlab.grading import migrations
migrations.text = lambda words: os.kill(os.getpid(), 9)  # the tables are there by then, and their version is not
migrations.make_tables(sys.argv[1])
"""


@pytest.mark.parametrize("kind", ["file", pytest.param("server", marks=pytest.mark.system)])
def test_a_run_that_is_killed_while_it_makes_a_gradebook_leaves_a_whole_one_or_none(kind, request, tmp_path):
    url = f"sqlite:///{tmp_path}/gradebook.db" if kind == "file" else request.getfixturevalue("postgres")()
    url = database_url(url)
    assert subprocess.run([sys.executable, "-c", KILLED, url], check=False).returncode == -9
    require_todays_tables(url)
    make_tables(url)
    require_todays_tables(url)
    engine = create_engine(url)
    assert {"alembic_version", "submitted_assignment", "grade"} <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_whoever_only_reads_does_not_wait_for_a_run_that_writes(tmp_path):
    url = f"sqlite:///{tmp_path}/gradebook.db"
    make_tables(url)
    with closing(sqlite3.connect(tmp_path / "gradebook.db", isolation_level=None)) as writing:
        writing.execute("BEGIN IMMEDIATE")
        make_tables(url)
        require_todays_tables(url)
