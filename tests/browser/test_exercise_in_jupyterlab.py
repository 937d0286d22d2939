"""The first exercise in a real JupyterLab: a learner fills in a stub, runs the check, reads the verdict."""

import shutil

import nbformat
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.system

FILL_IN = """([id, body]) => {
    const cells = jupyterapp.shell.currentWidget.content.widgets;
    const model = cells.find((cell) => cell.model.id === id).model.sharedModel;
    const stub = model.source.slice(0, model.source.lastIndexOf('"'.repeat(3)) + 4);  // up to the docstring's end
    model.setSource(stub + body.split("\\n").map((line) => "    " + line).join("\\n"));
}"""

RUN = """async (id) => {
    const notebook = jupyterapp.shell.currentWidget.content;
    notebook.activeCellIndex = notebook.widgets.findIndex((cell) => cell.model.id === id);
    notebook.deselectAll();
    await jupyterapp.commands.execute("notebook:run-cell");
}"""


@pytest.fixture
def exercise(root, tmp_path, jupyterlab, open_notebook):
    """The exercise notebook, open, with its first cell run."""
    shutil.copy(root / "exercises" / "update_rule" / "update_rule.ipynb", tmp_path)
    page = open_notebook(jupyterlab(tmp_path), "update_rule.ipynb", run=False)
    page.evaluate(RUN, "setup")
    return page


def cell(page, root, cell_id):
    """The cell of an id, as the page shows it."""
    ids = [c.id for c in nbformat.read(root / "exercises" / "update_rule" / "update_rule.ipynb", as_version=4).cells]
    return page.locator(".jp-Notebook .jp-Cell").nth(ids.index(cell_id))


def answer(page, cell_id, body):
    page.evaluate(FILL_IN, [cell_id, body])
    page.evaluate(RUN, cell_id)
    page.evaluate(RUN, f"check-{cell_id}")


def test_the_check_judges_what_the_learner_wrote(exercise, root):
    verdict = cell(exercise, root, "check-gradient-step").locator(".gdlab-verdict")

    exercise.evaluate(RUN, "gradient-step")
    exercise.evaluate(RUN, "check-gradient-step")
    expect(verdict).to_contain_text("Not started: 0 of 3 points")
    exercise.evaluate(RUN, "step-figure")
    expect(cell(exercise, root, "step-figure").locator(".gdl-trouble")).to_contain_text("Your step is not written yet")

    answer(exercise, "gradient-step", "return theta + lr * grad")
    expect(verdict).to_contain_text("Not yet: 0 of 3 points")
    expect(verdict).to_contain_text("You moved uphill; which way does a gradient point?")
    expect(verdict).to_contain_text("expected")
    picture = verdict.locator("svg")
    expect(picture).to_be_visible()
    expect(picture).to_contain_text("yours")

    answer(exercise, "gradient-step", "theta -= lr * grad\nreturn theta")
    expect(verdict).to_contain_text("Partly right: 2 of 3 points")

    answer(exercise, "gradient-step", "return theta - lr * grad")
    expect(verdict).to_contain_text("Right: 3 of 3 points")


def test_a_right_notebook_runs_from_top_to_bottom(exercise, root, sample_class):
    for name, body in sample_class.RIGHT.items():
        answer(exercise, name.replace("_", "-"), body.strip())
    exercise.evaluate("void jupyterapp.commands.execute('notebook:restart-run-all')")
    exercise.get_by_role("button", name="Confirm Kernel Restart").click()
    last = cell(exercise, root, "last-predictions-run").locator(".jp-OutputArea-output")
    expect(last).to_contain_text("0.0005 of the limit: crawling", timeout=90_000)  # all cells above have run
    expect(cell(exercise, root, "walk-predict-run").locator(".jp-OutputArea-output")).to_contain_text(
        "[0.4 0.4 0.4 0.4]"
    )
    for name, points in sample_class.POINTS.items():
        verdict = cell(exercise, root, f"check-{name.replace('_', '-')}").locator(".gdlab-verdict")
        expect(verdict).to_contain_text(f"Right: {points} of {points} points")
    expect(cell(exercise, root, "step-figure").locator(".gdl")).to_be_visible()
    for figure in ("slope-figure", "limit-figure", "run-figure"):
        expect(cell(exercise, root, figure).locator(".jp-OutputArea-output img")).to_have_count(1)
    expect(exercise.locator(".jp-RenderedText[data-mime-type='application/vnd.jupyter.stderr']")).to_have_count(0)
