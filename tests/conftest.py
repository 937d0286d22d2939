"""Shared by all tests: notebooks as learners hand them in, and a class run over them."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from gdlab.grading.box import Limits
from gdlab.grading.class_run import ClassRun, Graded
from gdlab.grading.workers import in_warm_boxes

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The course's own folder."""
    return ROOT


@pytest.fixture(scope="session")
def sample_class():
    """The module that writes the sample class."""
    spec = importlib.util.spec_from_file_location("sample_class", ROOT / "tests" / "sample_class" / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def hand_in(sample_class) -> Callable[..., Path]:
    """Hand in a notebook: hand_in(submitted, student, step=…, walk=…, extra=…), right answers where none are given.

    Step and walk are gradient_step and descend, 8 points of 20; the other tasks stay stubs unless `others` names them.
    """

    def hand_in(
        submitted: Path, student: str, step=sample_class.RIGHT_STEP, walk=sample_class.RIGHT_WALK, extra="", **others
    ) -> Path:
        answers = {"gradient_step": step, "descend": walk, **others}
        learner = sample_class.Learner(student, answers, extra=extra)
        path = submitted / student / "update_rule" / "update_rule.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(sample_class.notebook_of(learner), path)
        return path

    return hand_in


@pytest.fixture(scope="session")
def grade_class() -> Callable[..., dict[str, Graded]]:
    """Grade a folder of submissions: grade_class(submitted, out) -> what came of each student."""

    def grade_class(
        submitted: Path, out: Path, limits: Limits | None = None, problems: list | None = None
    ) -> dict[str, Graded]:
        limits = limits or Limits()
        run = ClassRun(submitted, out, ROOT / "solutions", in_warm_boxes(limits), limits)
        graded = {one.submission.student: one for one in run.grade(run.find())}
        if problems is None:
            assert run.problems == []
        else:
            problems += run.problems
        return graded

    return grade_class
