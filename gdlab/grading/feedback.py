"""The page a learner gets back: each exercise with its points, their own code, and what the judge says.

The page stands alone: no script, no request to any host. Everything a learner wrote is escaped.
nbgrader's own `generate_feedback` works on the graded notebooks too; this page leaves out what only
instructors need, and shows verdicts instead of test code.
"""

import re
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
BY_HAND = re.compile(r'<meta name="set-by-hand" content="([0-9a-f]*)">')
CODE = HtmlFormatter(cssclass="code", style="default")


def feedback_page(
    submission: Submission, notebook: NotebookNode, entry: Entry, row: SubmittedNotebook, by_hand: str
) -> str:
    """The page of one graded notebook.

    Args:
        submission: whose it is.
        notebook: with outputs and verdicts in its cells.
        entry: the judgement, for the number by which it can be replayed.
        row: the gradebook's, with whatever an instructor has since changed by hand.
        by_hand: a hash of that, which the page keeps, so that it can be told when it is out of date.
    """
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    left_out = set(entry.judged.left_out)
    shown = [cell for place, cell in enumerate(code_cells) if place not in left_out and cell.source.strip()]
    return template("feedback.html").render(
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
        comments=[(comment.name, comment.manual_comment) for comment in row.comments if comment.manual_comment],
        by_hand=by_hand,
    )


def set_by_hand_in(page: Path) -> str:
    """The hash of what was set by hand when a page was written; "" where nothing was."""
    with page.open(encoding="utf-8", errors="replace") as file:
        found = BY_HAND.search(file.read(1000))
    return found[1] if found else ""


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
def template(name: str) -> jinja2.Template:
    """A page's template, from beside this file: everything that is put into it is escaped."""
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    return jinja2.Environment(loader=folder, autoescape=True, undefined=jinja2.StrictUndefined).get_template(name)
