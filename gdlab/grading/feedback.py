"""The page a learner gets back: each exercise with its points, their own code, and what the judge says.

The page stands alone: no script, no request to any host. Everything a learner wrote is escaped.
nbgrader's own `generate_feedback` works on the graded notebooks too; this page leaves out what only
instructors need, and shows verdicts instead of test code.
"""

from functools import cache
from pathlib import Path

import jinja2
import nbformat
from nbgrader.coursedir import CourseDirectory
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from gdlab.grading.course import gradebook
from gdlab.grading.submission import Submission
from gdlab.judge.verdict import STYLE, as_html, verdicts_in

SHOWN_CHARACTERS = 4_000
CODE = HtmlFormatter(cssclass="code", style="default")


def write_feedback(course: CourseDirectory, submission: Submission, notebook: str, note: str) -> Path:
    """Write the page of one graded notebook from what gradebook and graded notebook say.

    Returns:
        Where the page is: feedback/<student>/<assignment>/<notebook>.html below the course's folder.
    """
    graded = Path(
        course.format_path(course.autograded_directory, submission.student, submission.assignment), f"{notebook}.ipynb"
    )
    page = Path(
        course.format_path(course.feedback_directory, submission.student, submission.assignment), f"{notebook}.html"
    )
    cells = nbformat.read(graded, as_version=4)
    text = _template().render(
        student=submission.student,
        assignment=submission.assignment.replace("_", " "),
        note=note,
        style=STYLE + CODE.get_style_defs(".code"),
        cells=[_shown(cell) for cell in cells.cells if cell.cell_type == "code" and cell.source.strip()],
        **_scores(course, submission, notebook),
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")
    return page


def _scores(course: CourseDirectory, submission: Submission, notebook: str) -> dict:
    """Points as the gradebook has them, with whatever an instructor has since changed by hand."""
    with gradebook(course) as book:
        entry = book.find_submission_notebook(notebook, submission.assignment, submission.student)
        rows = [(grade.name.removeprefix("check_"), grade.score, grade.max_score) for grade in entry.grades]
        return {
            "rows": rows,
            "score": entry.score,
            "max_score": entry.max_score,
            "penalty": entry.late_submission_penalty or 0,
        }


def _shown(cell) -> dict:
    """One code cell as the page shows it: a check as its verdict, any other as code and plain outputs."""
    verdicts = verdicts_in([cell])
    if verdicts:
        return {"verdict": "".join(as_html(verdict, with_style=False) for verdict in verdicts.values())}
    texts = [_text(output) for output in cell.outputs]
    pictures = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    code = highlight(cell.source[: 5 * SHOWN_CHARACTERS], PythonLexer(), CODE)
    return {"code": code, "outputs": [text for text in texts if text], "pictures": pictures}


def _text(output) -> str:
    if output.output_type == "stream":
        text = output.text
    elif output.output_type == "error":
        text = "\n".join(output.traceback)
    else:
        text = output.data.get("text/plain", "")
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "\n… (the rest was left out)"


@cache
def _template() -> jinja2.Template:
    folder = jinja2.FileSystemLoader(Path(__file__).parent)
    return jinja2.Environment(loader=folder, autoescape=True, undefined=jinja2.StrictUndefined).get_template(
        "feedback.html"
    )
