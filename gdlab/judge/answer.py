"""What the judge asks: a learner's function, wherever it lives.

The judge calls an *answer* with inputs and gets a `Reply`, or `Failed` says what happened instead.
In the learner's notebook the answer is their function in the same process (`Local`); when a class
is graded it is a stand-in that sends the inputs into a box and waits (`gdlab.grading`).
"""

import copy
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gdlab.judge.plain import NotPlain, plain


@dataclass(frozen=True)
class Reply:
    """A plain value, and the names of the inputs that the call changed."""

    value: Any
    changed: tuple[str, ...] = ()


@dataclass
class Failed(Exception):
    """The answer gave no value.

    Attributes:
        kind: "raised" (an exception), "untouched" (the stub is still there), "missing" (no such
            function), "slow" (time is up), "ended" (its process stopped), "unreadable" (not plain).
        sentence: what happened, for the learner.
        line: the line of their code where it happened, if known.
    """

    kind: str
    sentence: str
    line: str = ""


class Answer(Protocol):
    """A learner's function, as the judge sees it."""

    def __call__(self, inputs: Mapping[str, Any]) -> Reply:
        """Call the function with `inputs` in their order; raises `Failed`."""
        ...


@dataclass
class Oracle:
    """A function handed to the learner's code (a gradient, a loss), which remembers what it was asked.

    Attributes:
        function: what it computes.
        shown: how the inputs of a failing case print it.
        queries: the points at which it was called.
    """

    function: Callable
    shown: str
    queries: list = field(default_factory=list)

    def __call__(self, point):
        point = plain(point)
        self.queries.append(point)
        # Plain both ways, here as in the box: what works in the notebook works when it is graded.
        return plain(self.function(np.asarray(point) if isinstance(point, list) else point))

    def fresh(self) -> "Oracle":
        return Oracle(self.function, self.shown)


def fresh(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs for one call: arrays copied, oracles with empty memories."""
    return {
        name: value.fresh() if isinstance(value, Oracle) else copy.deepcopy(value) for name, value in inputs.items()
    }


def changed_inputs(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the arrays that a call changed in place."""
    return tuple(name for name in before if not np.array_equal(before[name], after[name], equal_nan=True))


@dataclass(frozen=True)
class Local:
    """A function of this very process: for learners checking their own work, never for grades."""

    function: Callable

    def __call__(self, inputs: Mapping[str, Any]) -> Reply:
        if not callable(self.function):
            raise Failed("missing", f"check wants your function itself, but was given {_described(self.function)}.")
        before = {name: copy.deepcopy(value) for name, value in inputs.items() if isinstance(value, np.ndarray)}
        try:
            value = plain(self.function(*inputs.values()))
        except NotImplementedError:
            raise Failed("untouched", "Nothing here yet: write your code where the stub says so.") from None
        except NotPlain as refused:
            raise Failed("unreadable", str(refused)) from None
        except Exception as error:
            raise failure_of(error) from None
        return Reply(value, changed_inputs(before, inputs))


def failure_of(error: Exception) -> Failed:
    """An exception in the learner's function, as a `Failed` that quotes the line where it happened."""
    ours = str(Path(__file__).parents[1])
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    theirs = [frame for frame in own if "site-packages" not in frame.filename] or own
    line = f"line {theirs[-1].lineno}: {theirs[-1].line}" if theirs and theirs[-1].line else ""
    said = str(error).strip()
    return Failed("raised", f"Your function raised {type(error).__name__}{': ' + said[:300] if said else ''}.", line)


def _described(value) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
