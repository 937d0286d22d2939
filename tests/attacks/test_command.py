"""A mixed class of every family through the command itself: `gdlab grade`, as an instructor types it."""

import subprocess
import sys

import pytest
from corpus import broken_notebooks, escape, forgery, resources, right_answers
from grading import HONEST, ROOT, hand_in_class

CHOSEN = (
    *(case for case in resources.CASES if case.id in ("busy-function", "one-line", "fills-tmp", "parser-bomb")),
    *(case for case in escape.CASES if case.id in ("reads-gradebook", "tcp", "daemon", "kills-everything")),
    *(case for case in forgery.CASES if case.id in ("always-equal", "exit-in-a-cell", "pickle", "patches-testing")),
    *(case for case in broken_notebooks.CASES if case.id in ("empty-file", "schema-99", "copied-check", "255")),
    *(case for case in right_answers.CASES if case.id in ("warns", "list")),
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory, world):
    folder = tmp_path_factory.mktemp("command")
    hand_in_class(CHOSEN, folder / "submitted", world)
    limits = ["--cells-seconds", "20", "--function-seconds", "2", "--memory-mb", "512"]
    program = [sys.executable, "-c", "from gdlab.cli import main; main()"]
    command = [*program, "grade", str(folder / "submitted"), "--out", str(folder / "out"), *limits]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    return done, folder / "out"


def test_it_ends_well_and_without_a_stack_trace(ran):
    done, _ = ran
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_everybody_gets_a_page(ran):
    _, out = ran
    students = {page.parents[1].name for page in (out / "feedback").rglob("update_rule.html")}
    assert students == {case.folder for case in CHOSEN} | set(HONEST)


def test_nothing_outside_was_touched(ran, world):
    assert world.traces() == []
