"""functions.md, the contract of all that learners write, says what exercises and notebooks say."""

import ast
import re

import nbformat
import numpy as np
import pytest

from gdlab.assignments import assignments, exercises_of

ROW = re.compile(r"^\| (\w+) \| `((\w+)\(.*?\))` \| (.+?) \| (\w+) \|(?: ([\d.]+))? \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def rows(root) -> list[tuple[str, str, str, str, str, str]]:
    """(assignment, signature, name, returns, imports, points)"""
    return ROW.findall((root / "gdlab" / "assignments" / "functions.md").read_text(encoding="utf-8"))


def test_every_graded_function_has_its_row_in_the_order_of_the_course(rows):
    every = [(a, name) for a in assignments() for e in exercises_of(a).values() for name in e.function_names]
    assert [(assignment, name) for assignment, _, name, *_ in rows] == every


def test_points_are_as_graded(rows):
    firsts = {(a, e.function_names[0]): e.points for a in assignments() for e in exercises_of(a).values()}
    assert {(a, name): float(points) for a, _, name, _, _, points in rows if points} == firsts


@pytest.mark.parametrize("assignment", assignments())
def test_signatures_are_those_of_the_stubs(assignment, rows, root):
    cells = nbformat.read(root / "exercises" / assignment / f"{assignment}.ipynb", as_version=4).cells
    stubs = {
        node.name: f"{node.name}({ast.unparse(node.args)})"
        for cell in cells
        if cell.cell_type == "code" and "nbgrader" in cell.metadata
        for node in ast.parse(cell.source).body
        if isinstance(node, ast.FunctionDef)
    }
    table = {
        name: str(ast.unparse(ast.parse(f"def {signature}: 0").body[0].args))
        for a, signature, name, *_ in rows
        if a == assignment
    }
    assert {name: f"{name}({arguments})" for name, arguments in table.items()} == stubs


@pytest.mark.parametrize("assignment", assignments())
def test_what_goes_in_is_called_as_the_judge_calls_it(assignment, rows):
    signatures = {name: signature for a, signature, name, *_ in rows if a == assignment}
    for exercise in exercises_of(assignment).values():
        if exercise.protocols == ("once",):
            names = [a.arg for a in ast.parse(f"def {signatures[exercise.name]}: 0").body[0].args.args]
            for case in exercise.cases(np.random.default_rng(0)):
                assert list(case.inputs) == names[: len(case.inputs)]


@pytest.mark.parametrize("assignment", assignments())
def test_a_task_needs_no_more_than_its_row_allows(assignment, rows, root):
    """The instructor's own solution imports what the table says, or less."""
    allowed = {name: imports for a, _, name, _, imports, _ in rows if a == assignment}
    cells = nbformat.read(root / "solutions" / assignment / f"{assignment}.ipynb", as_version=4).cells
    for cell in cells:
        for node in ast.parse(cell.source).body if cell.cell_type == "code" else []:
            if isinstance(node, ast.FunctionDef) and node.name in allowed:
                used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & {"np", "math", "torch"}
                module = {"np": "numpy"}
                assert {module.get(n, n) for n in used} <= {
                    allowed[node.name],
                    "math" if allowed[node.name] == "numpy" else "",
                }
