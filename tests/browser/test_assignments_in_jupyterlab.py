"""One function of each assignment solved in a real JupyterLab: type the answer, run the check, read the verdict."""

import shutil

import nbformat
import pytest
from playwright.sync_api import expect

from gdlab.assignments import assignments, exercises_of

pytestmark = pytest.mark.system

SET_SOURCE = """([id, source]) => {
    const cells = jupyterapp.shell.currentWidget.content.widgets;
    cells.find((cell) => cell.model.id === id).model.sharedModel.setSource(source);
}"""

RUN = """async (id) => {
    const notebook = jupyterapp.shell.currentWidget.content;
    notebook.activeCellIndex = notebook.widgets.findIndex((cell) => cell.model.id === id);
    notebook.deselectAll();
    await jupyterapp.commands.execute("notebook:run-cell");
}"""


def marked(notebook) -> dict[str, nbformat.NotebookNode]:
    return {cell.metadata.nbgrader.grade_id: cell for cell in notebook.cells if "nbgrader" in cell.metadata}


@pytest.mark.parametrize("assignment", assignments())
def test_a_learner_solves_the_first_function(assignment, root, tmp_path, jupyterlab, open_notebook):
    name, exercise = next(iter(exercises_of(assignment).items()))
    solution = marked(nbformat.read(root / "solutions" / assignment / f"{assignment}.ipynb", as_version=4))[name]
    released = root / "exercises" / assignment / f"{assignment}.ipynb"
    cells = nbformat.read(released, as_version=4).cells
    shutil.copy(released, tmp_path)
    page = open_notebook(jupyterlab(tmp_path), released.name, run=False)
    check = marked(nbformat.read(released, as_version=4))[f"check_{name}"]
    verdict = page.locator(".jp-Notebook .jp-Cell").nth([c.id for c in cells].index(check.id)).locator(".gdlab-verdict")

    for cell in cells:  # what the notebook runs before the first task
        if cell.id == solution.id:
            break
        if cell.cell_type == "code":
            page.evaluate(RUN, cell.id)
    page.evaluate(RUN, solution.id)
    page.evaluate(RUN, check.id)
    expect(verdict).to_contain_text(f"Not started: 0 of {exercise.points:g} points")

    page.evaluate(SET_SOURCE, [solution.id, solution.source])
    page.evaluate(RUN, solution.id)
    page.evaluate(RUN, check.id)
    expect(verdict).to_contain_text(f"Right: {exercise.points:g} of {exercise.points:g} points")
    if exercise.picture:
        expect(verdict.locator("svg").first).to_be_visible()
