"""Handing in the corpus and grading it by each runner."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from corpus import BOASTS, HONEST_WALK, LIMITS, RIGHT, Case
from world import ROOT, World

from gdlab.grading.class_run import ClassRun, Graded
from gdlab.grading.workers import in_cold_boxes, in_warm_boxes

SEED = 20261122
HONEST = ("a before", "p after", "z last")
TASKS = ("gradient_step", "descend")


RUNNERS = {"cold": in_cold_boxes, "warm": in_warm_boxes}


@dataclass(frozen=True)
class Result:
    """What came of one student: the verdicts, and the words of the page."""

    graded: Graded

    @property
    def points(self) -> tuple[float, float]:
        return tuple(self.graded.verdicts[task].points for task in TASKS)

    @property
    def kind(self) -> str:
        return self.graded.verdicts["gradient_step"].outcome

    @property
    def page(self) -> BeautifulSoup:
        return BeautifulSoup(self.graded.feedback.read_bytes(), "html.parser")

    @property
    def words(self) -> str:
        return " ".join(self.page.get_text(" ").split())

    @property
    def notebook(self) -> Path:
        """The graded notebook, as nbgrader keeps it."""
        submission, out = self.graded.submission, self.graded.feedback.parents[3]
        return out / "autograded" / submission.student / submission.assignment / "update_rule.ipynb"


def cells_of(case: Case, world: World) -> list[str]:
    """The code cells of a case, in order."""
    own = [BOASTS + world.filled_in(case.cell)] if "boast()" in case.cell else [world.filled_in(case.cell)]
    tasks = [
        function("gradient_step(theta, grad, lr)", world.filled_in(case.step)),
        'check("gradient_step", gradient_step)',
        function("descend(grad_fn, theta, lr, steps)", case.walk),
        'check("descend", descend)',
    ]
    return ["import numpy as np\nfrom gdlab.learn import check", *(own if case.cell else []), *tasks]


def function(head: str, body: str) -> str:
    return f"def {head}:\n" + "\n".join(f"    {line}" for line in body.strip("\n").splitlines())


def notebook_of(case: Case, world: World) -> dict:
    """The released notebook with a case's cells; what only shows something is left out, as learners do."""
    released = nbformat.read(ROOT / "exercises" / "update_rule" / "update_rule.ipynb", as_version=4)
    setup, *rest = cells_of(case, world)
    sources = dict(zip(("gradient-step", "check-gradient-step", "descend", "check-descend"), rest[-4:], strict=True))
    kept = [cell for cell in released.cells if cell.id == "setup" or "nbgrader" in cell.metadata]
    for cell in kept:
        cell.source = setup if cell.id == "setup" else sources.get(cell.id, cell.source)
    released.cells = kept[:1] + [nbformat.v4.new_code_cell(source, id="own") for source in rest[:-4]] + kept[1:]
    return json.loads(json.dumps(released))


def hand_in(case: Case, submitted: Path, world: World) -> None:
    """Put a case where its student would: submitted/<student>/update_rule/."""
    folder = submitted / case.folder / "update_rule"
    folder.mkdir(parents=True)
    notebook = notebook_of(case, world)
    if case.hand_in:
        case.hand_in(folder, notebook)
    else:
        (folder / "update_rule.ipynb").write_text(json.dumps(notebook))


def hand_in_class(cases: Sequence[Case], submitted: Path, world: World) -> None:
    """All cases, and honest students before, between and after them."""
    for case in cases:
        hand_in(case, submitted, world)
    for student in HONEST:
        honest = Case("honest", "", "", "", step=RIGHT, walk=HONEST_WALK, student=student)
        hand_in(honest, submitted, world)


@dataclass
class GradedClass:
    """What came of a family graded by one runner: the results by case, those of the honest, and what went wrong."""

    results: dict[str, Result] = field(default_factory=dict)
    honest: list[Result] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)


def grade(cases: Sequence[Case], out: Path, world: World, runner: str) -> GradedClass:
    """Grade cases as classes, one for each of the limits that they need."""
    came = GradedClass()
    for name, limits in LIMITS.items():
        members = [case for case in cases if case.limits == name]
        if members:
            submitted = out / name / "submitted"
            hand_in_class(members, submitted, world)
            run = ClassRun(submitted, out / name, ROOT / "solutions", RUNNERS[runner](limits), limits, SEED)
            by_student = {one.submission.student: Result(one) for one in run.grade(run.find())}
            came.problems += run.problems
            came.results |= {case.id: by_student[case.folder] for case in members if case.folder in by_student}
            came.honest += [by_student[student] for student in HONEST if student in by_student]
    came.traces = world.traces()
    return came
