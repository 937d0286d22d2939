"""Every notebook of the book in a real JupyterLab: a reader who runs it from top to bottom meets no error."""

import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]

# The models, not the page: JupyterLab need not draw what is far from the screen.
STANDING = """() => {
    const cells = jupyterapp.shell.currentWidget.content.widgets.map((cell) => cell.model);
    const code = cells.filter((model) => model.type === "code");
    const outputs = code.flatMap((model) => model.outputs.toJSON());
    return {
        cells: code.length,
        run: code.filter((model) => model.executionCount !== null).length,
        errors: outputs.filter((output) => output.output_type === "error").map((o) => `${o.ename}: ${o.evalue}`),
    };
}"""
ENDED = f"() => {{ const now = ({STANDING})(); return now.run === now.cells || now.errors.length > 0; }}"


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path, jupyterlab, open_notebook):
    shutil.copy(path, tmp_path)
    page = open_notebook(jupyterlab(tmp_path), path.name, run=False)
    page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_function(ENDED, timeout=300_000)
    standing = page.evaluate(STANDING)
    assert standing["errors"] == []
    assert standing["run"] == standing["cells"] > 0
