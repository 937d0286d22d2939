"""The page a learner gets back: each exercise with its points, their own code, and what the judge says.

The page stands alone: no script, no request to any host. Everything a learner wrote is escaped.
nbgrader's own `generate_feedback` works on the graded notebooks too; this page leaves out what only
instructors need, and shows verdicts instead of test code.
"""

from functools import cache, lru_cache
from pathlib import Path

import jinja2
from nbformat import NotebookNode
from nbgrader.api import SubmittedNotebook
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from gdlab.grading.ledger import Entry
from gdlab.grading.submission import Submission
from gdlab.judge.verdict import STYLE, as_html, verdicts_in

SHOWN_CHARACTERS = 4_000
CODE = HtmlFormatter(cssclass="code", style="default")


def feedback_page(submission: Submission, notebook: NotebookNode, entry: Entry, row: SubmittedNotebook) -> str:
    """The page of one graded notebook.

    Args:
        submission: whose it is.
        notebook: with outputs and verdicts in its cells.
        entry: the judgement, for the number by which it can be replayed.
        row: the gradebook's, with whatever an instructor has since changed by hand.
    """
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    left_out = set(entry.judged.left_out)
    shown = [cell for place, cell in enumerate(code_cells) if place not in left_out and cell.source.strip()]
    return _template().render(
        student=submission.student,
        assignment=submission.assignment.replace("_", " "),
        note=entry.note,
        number=entry.id,
        left_out=len(left_out),
        style=_style(),
        cells=[_shown(cell) for cell in shown],
        rows=[(grade.name.removeprefix("check_"), grade.score, grade.max_score) for grade in row.grades],
        score=row.score,
        max_score=row.max_score,
        penalty=row.late_submission_penalty or 0,
    )


def _shown(cell) -> dict:
    """One code cell as the page shows it: a check as its verdict, any other as code and plain outputs."""
    verdicts = verdicts_in([cell])
    if verdicts:
        return {"verdict": "".join(as_html(verdict, with_style=False) for verdict in verdicts.values())}
    texts = [_text(output) for output in cell.outputs]
    pictures = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    return {
        "code": _highlighted(cell.source[: 5 * SHOWN_CHARACTERS]),
        "outputs": [text for text in texts if text],
        "pictures": pictures,
    }


@lru_cache(maxsize=4096)  # most cells of a class are the same
def _highlighted(source: str) -> str:
    return highlight(source, PythonLexer(), CODE)


def _text(output) -> str:
    if output.output_type == "stream":
        text = output.text
    elif output.output_type == "error":
        text = "\n".join(output.traceback)
    else:
        text = output.data.get("text/plain", "")
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "\n… (the rest was left out)"


@cache
def _style() -> str:
    return STYLE + CODE.get_style_defs(".code")


@cache
def _template() -> jinja2.Template:
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    return jinja2.Environment(loader=folder, autoescape=True, undefined=jinja2.StrictUndefined).get_template(
        "feedback.html"
    )
