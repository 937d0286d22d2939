"""The table of waiting times: every exercise has its row, and every number is a time."""

import json

from gdlab.assignments import assignments, exercises_of
from gdlab.bench.check import bench_check, write


def test_every_exercise_has_a_row_that_can_be_read_back(tmp_path):
    waits = list(bench_check(rounds=1))
    assert [wait.exercise for wait in waits] == [name for a in assignments() for name in exercises_of(a)]
    assert all(wait.right > 0 and wait.wrong > 0 and wait.first > 0 for wait in waits)
    page = write(waits, tmp_path)
    assert len(json.loads((tmp_path / "check.json").read_text())["rows"]) == len(waits)
    assert all(f"| {wait.exercise} |" in page.read_text() for wait in waits)
