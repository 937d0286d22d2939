"""What the judge asks: a learner's function, wherever it lives.

The judge calls an *answer* with inputs and gets a `Reply`, or `Failed` says what happened instead.
In the learner's notebook the answer is their function in the same process (`Local`); when a class
is graded it is a stand-in that sends the inputs into a box and waits (`gdlab.grading`).
"""

import inspect
import random
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gdlab.judge.plain import NotPlain, plain
from gdlab.judge.protocols import PROTOCOLS

MOST_ASKED = 5_000  # numbers in one query: broadcast against each other they make six million
MOST_DIMENSIONS = 2  # with more, they would make any number
# Numbers in all queries together: ten times what a small question, asked for ever, comes to before its time is up, so
# that it is always the time that ends it; a large one ends here, before it has filled the judge's memory.
MOST_REMEMBERED = 20_000_000
EACH_QUERY = 10  # what a query takes beside its numbers, in numbers


@dataclass(frozen=True)
class Reply:
    """What came back, and how it was come by.

    Attributes:
        value: a plain value.
        changed: the names of the inputs that the call changed.
        global_randomness: whether the call drew from NumPy's or Python's global generator, though it was given one.
    """

    value: Any
    changed: tuple[str, ...] = ()
    global_randomness: bool = False


@dataclass
class Failed(Exception):
    """The answer gave no value.

    Attributes:
        kind: "raised" (an exception), "untouched" (the stub is still there), "missing" (no such
            function), "slow" (time is up), "ended" (its process stopped), "unreadable" (not plain).
        sentence: what happened, for the learner.
        line: the line of their code where it happened, if known.
        error: the name of the exception, where one was raised.
    """

    kind: str
    sentence: str
    line: str = ""
    error: str = ""


class Answer(Protocol):
    """A learner's function, as the judge sees it."""

    def __call__(self, inputs: Mapping[str, Any], protocol: str = "once") -> Reply:
        """Ask the function with `inputs` in their order, by a protocol of `protocols.py`; raises `Failed`."""
        ...


class Seed(int):
    """A generator among the inputs: it travels as this seed, and the function gets `numpy.random.default_rng(seed)`."""


@dataclass
class Oracle:
    """A function handed to the learner's code (a gradient, a loss, a rule), which remembers what it was asked.

    Attributes:
        function: what it computes.
        shown: how the inputs of a failing case print it.
        make: gives a function with a fresh memory, for oracles that remember (batches of the next epoch).
        queries: the arguments of every call, a list each.

    It computes and remembers in the judge's own process, so what it may be asked is bounded; no exercise comes near.
    """

    function: Callable | None
    shown: str
    make: Callable[[], Callable] | None = None
    queries: list[list] = field(default_factory=list)
    _room: int = MOST_REMEMBERED

    def __post_init__(self):
        if self.make:
            self.function = self.make()

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names of its arguments, for learners who pass them by name."""
        return tuple(inspect.signature(self.function).parameters)

    def __call__(self, *arguments, **named):
        if named:  # the names are looked up only where they are used
            arguments = in_order(self.parameters, arguments, named)
        arguments = [plain(argument) for argument in arguments]
        self._make_sure_of_room(arguments)
        self.queries.append(arguments)
        # Plain both ways, here as in the box: what works in the notebook works when it is graded.
        return plain(self.function(*arguments))

    def _make_sure_of_room(self, arguments: list) -> None:
        arrays = [array for argument in arguments for array in _arrays(argument)]
        numbers = sum(array.size for array in arrays)
        if numbers > MOST_ASKED or any(array.ndim > MOST_DIMENSIONS for array in arrays):
            raise ValueError(
                f"This function takes {MOST_ASKED:,} numbers at a time at most, in arrays of {MOST_DIMENSIONS} dimensions at most."
            )
        self._room -= numbers + EACH_QUERY
        if self._room < 0:
            raise ValueError(
                f"This function has been asked {len(self.queries):,} times already. Does a loop of yours ever end?"
            )

    def fresh(self) -> "Oracle":
        return Oracle(self.function, self.shown, self.make)


def _arrays(value) -> Iterator[np.ndarray]:
    """The arrays in a plain value."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | dict):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from _arrays(entry)


def in_order(parameters: Sequence[str], arguments: Sequence, named: Mapping[str, Any]) -> Sequence:
    """The arguments of a call in the order of the parameters; raises TypeError as Python would."""
    if not named and len(arguments) == len(parameters):
        return arguments
    left = [name for name in parameters[len(arguments) :] if name in named]
    if len(arguments) + len(left) != len(parameters) or len(left) != len(named):
        raise TypeError(f"This function takes ({', '.join(parameters)}).")
    return [*arguments, *(named[name] for name in left)]


def fresh(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs for one call: arrays copied, oracles with empty memories."""
    return {name: value.fresh() if isinstance(value, Oracle) else copied(value) for name, value in inputs.items()}


def copied(value):
    """A deep copy of a plain value; `copy.deepcopy` takes several times as long."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list):
        return [copied(entry) for entry in value]
    if isinstance(value, dict):
        return {key: copied(entry) for key, entry in value.items()}
    return value  # all else that is plain cannot be changed


def opened(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as the function gets them: a generator for each seed."""
    return {name: np.random.default_rng(value) if isinstance(value, Seed) else value for name, value in inputs.items()}


def same(first, second) -> bool:
    """Whether two plain values are alike to the bit, "not a number" included."""
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.array_equal(first, second, equal_nan=np.asarray(first).dtype.kind == "f")
    if isinstance(first, list | dict) and type(first) is type(second):
        keys = first.keys() if isinstance(first, dict) else range(len(first))
        return len(first) == len(second) and all(
            (isinstance(first, list) or key in second) and same(first[key], second[key]) for key in keys
        )
    return first is second or first == second or (first != first and second != second)


@dataclass(frozen=True)
class Local:
    """A function of this very process: for learners checking their own work, never for grades."""

    function: Callable

    def __call__(self, inputs: Mapping[str, Any], protocol: str = "once") -> Reply:
        if not callable(self.function):
            raise Failed("missing", f"check wants your function itself, but was given {_described(self.function)}.")
        before = {n: copied(v) for n, v in inputs.items() if isinstance(v, np.ndarray | list | dict)}
        watched = any(isinstance(value, Seed) for value in inputs.values())
        generators = _global_generators() if watched else None
        try:
            value = plain(PROTOCOLS[protocol](self.function, opened(inputs)))
        except NotImplementedError:
            raise Failed("untouched", "Nothing here yet: write your code where the stub says so.") from None
        except NotPlain as refused:
            raise Failed("unreadable", str(refused)) from None
        except Exception as error:
            raise failure_of(error) from None
        changed = tuple(name for name in before if not same(before[name], inputs[name]))
        return Reply(value, changed, watched and _global_generators() != generators)


@dataclass(frozen=True)
class Relay:
    """Several functions in a row, each asked with what the one before it gave: one saves, the next loads."""

    answers: Sequence[Answer]
    protocols: Sequence[str]

    def __call__(self, inputs: Mapping[str, Any], protocol: str = "once") -> Reply:
        reply = self.answers[0](inputs, self.protocols[0])
        for answer, protocol in zip(self.answers[1:], self.protocols[1:], strict=True):
            received = answer({"received": reply.value}, protocol)
            reply = Reply(received.value, reply.changed, reply.global_randomness or received.global_randomness)
        return reply


def _global_generators() -> tuple:
    """Where NumPy's and Python's global generators stand."""
    name, words, *rest = np.random.get_state()
    return name, words.tobytes(), rest, random.getstate()


def failure_of(error: Exception) -> Failed:
    """An exception in the learner's function, as a `Failed` that quotes the line where it happened."""
    ours = str(Path(__file__).parents[1])
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    theirs = [frame for frame in own if "site-packages" not in frame.filename] or own
    line = f"line {theirs[-1].lineno}: {theirs[-1].line}" if theirs and theirs[-1].line else ""
    said, where = str(error).strip(), "".join(f" {note}" for note in getattr(error, "__notes__", ()))
    name = type(error).__name__
    sentence = f"Your function raised {name}{where}{': ' + said[:300] if said else ''}."
    return Failed("raised", sentence, line, "ValueError" if isinstance(error, ValueError) else name)


def _described(value) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
