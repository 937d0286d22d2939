"""`gdlab check`: a learner's notebook, judged on their own machine as the grader would judge it."""

from collections.abc import Mapping
from pathlib import Path

from nbformat import NotebookNode

from gdlab.assignments import assignments, exercises_of
from gdlab.grading.judging import check_id, judge_cells
from gdlab.grading.plain_process import own_limits, start_without_walls
from gdlab.grading.walled_box import WalledBox
from gdlab.judge.verdict import Verdict
from gdlab.my_work import NotFound, grade_id, read_notebook


def check_notebook(path: Path, seed: int, cells_seconds: float, function_seconds: float) -> Mapping[str, Verdict]:
    """Run a notebook's cells in a plain subprocess and judge every exercise in it.

    Args:
        path: the notebook.
        seed: what the cases are drawn from.
        cells_seconds, function_seconds: as for `gdlab grade`.

    Raises:
        NotFound: if there is no such notebook, or no exercise in it.
    """
    notebook = read_notebook(path)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    limits = own_limits(cells_seconds, function_seconds)
    exercises = exercises_of(_assignment_of(notebook, path))
    return judge_cells(cells, exercises, lambda: WalledBox(limits, start_without_walls), seed).verdicts


def _assignment_of(notebook: NotebookNode, path: Path) -> str:
    """The assignment whose checks the notebook has; its name settles it where the checks were deleted."""
    ids = {grade_id(cell) for cell in notebook.cells}
    for assignment in assignments():
        if path.stem == assignment or ids & {check_id(name) for name in exercises_of(assignment)}:
            return assignment
    raise NotFound(f"{path} holds no exercise of this course; there is {', '.join(assignments())}.")
