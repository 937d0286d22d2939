"""Judging one notebook: its cells run in a box, its functions are asked from outside."""

import base64
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack

import msgspec
from msgspec.structs import replace
from nbformat import NotebookNode

from gdlab.grading.box import Box, BoxFailed
from gdlab.grading.inside.wire import Output
from gdlab.judge.answer import Failed
from gdlab.judge.borrowed import borrowed
from gdlab.judge.exercise import Exercise
from gdlab.judge.judge import judge, without_answer
from gdlab.judge.verdict import METADATA, Verdict
from gdlab.my_work import grade_id

MOST_BROKEN_CELLS = 2
PNG = b"\x89PNG\r\n\x1a\n"


class Judged(msgspec.Struct, frozen=True):
    """What came of one notebook.

    Attributes:
        outputs: of its code cells, in order.
        verdicts: by exercise.
        left_out: the positions of the code cells that were not run, because they only draw.
        trouble: what went wrong in the grader itself; the notebook then counts as empty.
        seconds: how long this took, with waiting for boxes, but not the making of one that was made ahead; 0 in ledgers
            that did not keep it.
    """

    outputs: tuple[tuple[Output, ...], ...]
    verdicts: dict[str, Verdict]
    left_out: tuple[int, ...] = ()
    trouble: str = ""
    seconds: float = 0.0


def judge_cells(
    cells: Sequence[str],
    exercises: Mapping[str, Exercise],
    make_box: Callable[[], Box],
    seed: int,
    leave_out: Collection[int] = (),
    pictures: bool = False,
) -> Judged:
    """Run a notebook's code cells in a fresh box, then judge each exercise by asking its function.

    Args:
        cells: the sources of the code cells, in order.
        exercises: what to judge, by function name.
        make_box: gives a new box.
        seed: what the cases are drawn from; learners must not know it.
        leave_out: the positions of cells that need not run.
        pictures: whether verdicts show the learner's functions at work.
    """
    began = time.monotonic()
    cells = ["" if position in leave_out else cell for position, cell in enumerate(cells)]
    left_out = tuple(sorted(leave_out))
    with make_box() as box:
        try:
            outputs = _run_what_runs(box, cells)
        except BoxFailed as failure:
            lost = Failed(failure.kind, f"{failure} So none of its functions could be asked.")
            verdicts = {name: without_answer(exercise, lost, seed) for name, exercise in exercises.items()}
            return Judged(((),) * len(cells), verdicts, left_out, seconds=_since(began))
        verdicts = {
            name: _judge_one(box, exercise, make_box, cells, seed, pictures) for name, exercise in exercises.items()
        }
        noted = {name: _with_notes(verdict, exercises[name], cells) for name, verdict in verdicts.items()}
        return Judged(tuple(outputs), noted, left_out, seconds=_since(began))


def _since(began: float) -> float:
    return round(time.monotonic() - began, 3)


def _with_notes(verdict: Verdict, exercise: Exercise, cells: Sequence[str]) -> Verdict:
    """The verdict with a note on each library that the function takes its answer from."""
    notes = tuple(f"uses {name}" for name in borrowed(cells, exercise.function_names))
    return replace(verdict, notes=notes)


def _run_what_runs(box: Box, cells: Sequence[str]) -> list[tuple[Output, ...]]:
    """Run the cells, leaving out those that break the box: what the others define is still judged."""
    broken: dict[int, str] = {}
    for tries_left in reversed(range(MOST_BROKEN_CELLS + 1)):
        try:
            outputs = box.run_cells(["" if i in broken else cell for i, cell in enumerate(cells)])
            break
        except BoxFailed as failure:
            if not tries_left:
                raise
            broken[failure.cell] = str(failure)
    return [(Output("error", broken[i]),) if i in broken else shown for i, shown in enumerate(outputs)]


def _judge_one(
    box: Box, exercise: Exercise, make_box: Callable[[], Box], cells: Sequence[str], seed: int, picture: bool
) -> Verdict:
    """Judge one exercise; its second function lives in a box of its own, which shares nothing with the first."""
    with ExitStack() as open_boxes:
        answers = []
        try:
            for position, name in enumerate(exercise.function_names):
                if position:
                    box = open_boxes.enter_context(make_box())
                    _run_what_runs(box, cells)
                answers.append(open_boxes.enter_context(box.function(name, exercise.name, position)))
            return judge(exercise, answers, seed, picture)
        except BoxFailed as failure:  # a box made anew, whose cells did not run as they had before
            return without_answer(exercise, Failed(failure.kind, str(failure)), seed)


def check_id(exercise: str) -> str:
    """nbgrader's id of the cell that checks an exercise."""
    return f"check_{exercise}"


def write_outputs(notebook: NotebookNode, judged: Judged) -> None:
    """Put outputs and verdicts into the notebook's code cells, in nbgrader's terms.

    A check cell ends in an `execute_result` whose plain text is a number between nothing and the
    cell's points: that, and only that, is what nbgrader records.
    """
    by_cell = {check_id(name): verdict for name, verdict in judged.verdicts.items()}
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, (cell, outputs) in enumerate(zip(code_cells, judged.outputs, strict=True), start=1):
        verdict = by_cell.get(grade_id(cell))
        cell.execution_count = count
        cell.outputs = (
            [_verdict_output(verdict, count)] if verdict else [_notebook_output(output) for output in outputs]
        )


def _verdict_output(verdict: Verdict, count: int) -> NotebookNode:
    stored = json.loads(msgspec.json.encode(verdict))  # whole, with its picture: the feedback page is made from it
    data, _ = verdict._repr_mimebundle_()
    return _output("execute_result", data=data, metadata={METADATA: stored}, execution_count=count)


def _notebook_output(output: Output) -> NotebookNode:
    """An output of the learner's, as text or picture: nothing that a browser would run."""
    if output.kind in ("stdout", "stderr"):
        return _output("stream", name=output.kind, text=output.text)
    if output.kind == "error":
        last = output.text.strip().rpartition("\n")[2]
        name, _, said = last.partition(": ")
        return _output("error", ename=name[:100], evalue=said[:1000], traceback=output.text.splitlines())
    data = {"text/plain": output.text}
    if output.png.startswith(PNG):
        data["image/png"] = base64.b64encode(output.png).decode()
    return _output("display_data", data=data, metadata={})


def _output(kind: str, **fields) -> NotebookNode:
    return NotebookNode(output_type=kind, **fields)
