"""How an exercise is declared: what is right, on which inputs, worth how much, and wrong in which ways."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdlab.judge.answer import Answer, Local, Relay, Reply
from gdlab.judge.compare import Axes


@dataclass(frozen=True)
class Part:
    """A share of the points, for one thing that an answer gets right.

    Attributes:
        name: what cases and properties refer to.
        title: what the learner reads, as in "an array of parameters".
        points: earned whole or not at all.
    """

    name: str
    title: str
    points: float


@dataclass(frozen=True)
class Case:
    """One set of inputs, in the order of the function's signature, counted towards `part`."""

    part: str
    inputs: Mapping[str, Any]


Functions = Callable | tuple[Callable, ...]
"""One function, or as many as the exercise asks for."""


@dataclass(frozen=True)
class Mistake:
    """A named wrong answer: the function that makes it, and a sentence a learner can act on."""

    name: str
    function: Functions
    sentence: str


@dataclass(frozen=True)
class Property:
    """What a right value cannot show: how it was come by.

    Attributes:
        name: a mistake's name, as `changes-its-input`.
        part: the part that is lost when the property does not hold.
        holds: (inputs after the call, reply) -> bool; the inputs' oracles remember their queries.
        sentence: what to tell the learner when it does not hold.
    """

    name: str
    part: str
    holds: Callable[[Mapping[str, Any], Reply], bool]
    sentence: str


@dataclass(frozen=True)
class Alternative:
    """Another right way to write the answer; `style` says how it differs from the reference."""

    style: str
    function: Functions


class Unlike(ValueError):
    """Raised by `judged_on`: the answer is not even of the kind that was asked for; the message says what was."""


@dataclass(frozen=True, eq=False)
class Exercise:
    """Everything the judge knows about one function that learners write.

    Attributes:
        name: the function's name.
        version: raised whenever cases, points or comparison change; printed in every verdict.
        reference: the right answer.
        cases: rng -> fresh inputs, never degenerate.
        parts: how the points are split.
        mistakes: named wrong answers, no two alike on all cases.
        properties: what is asked beyond the value.
        alternatives: other right answers, which must be accepted.
        notice: one thing to notice once it is right.
        axes: what each axis of the result counts, as ("step", "coordinate"); by name, where `returns` has names.
        returns: the names of the things returned, where there are several: ("theta", "velocity").
        tolerance: largest error allowed, relative to the largest entry of the right answer; 0 asks for equality.
        picture: answer -> a picture (SVG) of the learner's function at work.
        protocols: how each function is asked (a name in `protocols.py`).
        functions: the names of the functions, where they are several or not called as the exercise is.
        judged_on: (inputs, value) -> what is compared, where many values are right (shuffled batches); raises `Unlike`.
        recognised_by: the same for naming a mistake, where more is known of it than is asked of a right answer.
        equivalent_mutants: mutated lines that change no answer on valid inputs, each with the reason (see `audit`).
    """

    name: str
    version: int
    reference: Functions
    cases: Callable[[np.random.Generator], Sequence[Case]]
    parts: Sequence[Part]
    mistakes: Sequence[Mistake]
    properties: Sequence[Property]
    alternatives: Sequence[Alternative]
    notice: str
    axes: Axes = ()
    returns: Sequence[str] = ()
    tolerance: float = 1e-5
    picture: Callable[[Answer], str] | None = None
    protocols: tuple[str, ...] = ("once",)
    functions: tuple[str, ...] = ()
    judged_on: Callable[[Mapping[str, Any], Any], Any] | None = None
    recognised_by: Callable[[Mapping[str, Any], Any], Any] | None = None
    equivalent_mutants: Mapping[str, str] = field(default_factory=dict)

    @property
    def points(self) -> float:
        return sum(part.points for part in self.parts)

    @property
    def function_names(self) -> tuple[str, ...]:
        """What the learner's functions are called."""
        return self.functions or (self.name,)

    def asked(self, answers: Sequence[Answer]) -> Answer:
        """The answer under judgement: each function asked by its protocol, one after the other."""
        return Relay(tuple(answers), self.protocols)

    def local(self, functions: Functions) -> Answer:
        """The answer that functions of this process give."""
        return self.asked([Local(f) for f in (functions if isinstance(functions, tuple) else (functions,))])
