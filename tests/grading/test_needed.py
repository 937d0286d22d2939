"""Which cells a judgement can do without: the course's own that only draw, and never one that a learner may lean on."""

import nbformat
import pytest

from gdlab.assignments import assignments
from gdlab.grading.needed import cells_to_leave_out

IMPORTS = "import matplotlib.pyplot as plt\nimport numpy as np"
TASK = "def step(theta, lr):\n    return theta - lr * np.sign(theta)"
DRAWS = "xs = np.arange(9)\nplt.plot(xs, [step(x, 0.1) for x in xs])"
DRAWS_MORE = "plt.plot(xs)"
CHECK = 'check("step", step)'
OURS = frozenset({IMPORTS, DRAWS, DRAWS_MORE})


def test_cells_that_only_draw_are_left_out_and_imports_that_tasks_lean_on_stay():
    assert cells_to_leave_out([IMPORTS, TASK, CHECK, DRAWS, DRAWS_MORE], OURS) == {3, 4}


def test_parameters_and_variables_of_a_function_ask_for_nothing():
    assert cells_to_leave_out(
        [IMPORTS, "def step(xs):\n    x = xs\n    return [np.abs(xs) for xs in x]", DRAWS], OURS
    ) == {2}


@pytest.mark.parametrize(
    "leans",
    [
        "def helper():\n    return xs",
        "print(xs)",
        "def step(theta, lr):\n    def inner():\n        return xs\n    return inner()",
        "[xs for y in (1, 2)]",
    ],
)
def test_a_cell_whose_name_a_learner_asks_for_stays(leans):
    assert cells_to_leave_out([IMPORTS, TASK, DRAWS, leans], OURS) == frozenset()


def test_what_such_a_cell_leans_on_stays_too():
    base, middle = "base = 3", "middle = base + 1"
    ours = {base, middle, "plt.plot(middle)"}
    assert cells_to_leave_out([base, middle, "plt.plot(middle)", "def step():\n    return middle"], ours) == {2}


@pytest.mark.parametrize(
    "reaches",
    [
        "globals()['xs']",
        "eval('x' + 's')",
        "exec(source)",
        "In[1]",
        "%timeit step(1, 2)",
        "!ls",
        "get_ipython()",
        "import __main__",
        "def broken(:",
        "x" * 200_000,
    ],
)
def test_whoever_reaches_for_names_in_other_ways_has_all_cells_run(reaches):
    assert cells_to_leave_out([IMPORTS, TASK, DRAWS, reaches], OURS) == frozenset()


@pytest.mark.parametrize(
    "draws",
    ["print([rate for rate in (1, 2)])", "print({rate: 1 for rate in (1, 2)})", "print({rate for rate in (1, 2)})"],
)
def test_a_comprehensions_variable_is_its_own(draws):
    """Python 3.12 and later make comprehensions part of the scope that they stand in."""
    assert cells_to_leave_out([TASK, draws, "def step(theta):\n    return rate * theta"], {draws}) == {1}


def test_a_cell_that_a_learner_changed_is_theirs():
    assert cells_to_leave_out([IMPORTS, TASK, DRAWS + " "], OURS) == frozenset()


@pytest.mark.parametrize(
    "changes", ["np.pi = 4", "np.seterr.x = 1", "plt.rcParams['axes.grid'] = True", "%matplotlib inline"]
)
def test_a_cell_of_the_courses_own_that_changes_what_others_use_stays(changes):
    assert cells_to_leave_out([TASK, changes], {changes}) == frozenset()


def test_a_name_bound_as_a_global_within_a_function_counts():
    binds = "def setup():\n    global table\n    table = [1]\nsetup()"
    assert cells_to_leave_out([binds, "def step():\n    return table"], {binds}) == frozenset()
    assert cells_to_leave_out([binds, "def step():\n    return 3"], {binds}) == {0}


@pytest.mark.parametrize("assignment", assignments())
def test_in_every_assignment_most_of_the_courses_own_cells_are_left_out_and_none_that_is_graded(root, assignment):
    released = nbformat.read(root / "exercises" / assignment / f"{assignment}.ipynb", as_version=4)
    solved = nbformat.read(root / "solutions" / assignment / f"{assignment}.ipynb", as_version=4)
    ours = {cell.source for cell in released.cells if cell.cell_type == "code" and "nbgrader" not in cell.metadata}
    code = [cell for cell in solved.cells if cell.cell_type == "code"]
    left_out = cells_to_leave_out([cell.source for cell in code], ours)
    assert len(left_out) >= 0.8 * len(ours)
    assert not any("nbgrader" in code[position].metadata for position in left_out)
