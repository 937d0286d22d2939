"""Lazy answers: what one might hand in to earn points without solving anything."""

from collections.abc import Callable, Mapping

import numpy as np

from gdlab.judge.answer import Failed, fresh
from gdlab.judge.exercise import Exercise
from gdlab.judge.judge import draw_cases


class AlwaysEqual:
    """An object that claims to equal whatever it is compared with."""

    def __eq__(self, other):
        return True

    def __len__(self):
        return 1

    __hash__ = None


def constant(value) -> Callable:
    return lambda *inputs: value


def raises(*inputs):
    raise RuntimeError("no idea")


def never_ends(*inputs):
    while True:
        pass


CONSTANTS: Mapping[str, Callable] = {
    "returns its first input": lambda *inputs: inputs[0],
    "returns its last input": lambda *inputs: inputs[-1],
    "returns None": constant(None),
    "returns not-a-number": constant(float("nan")),
    "returns infinity": constant(float("inf")),
    "returns 0": constant(0),
    "returns 1": constant(1.0),
    "returns True": constant(True),
    "returns an empty list": constant([]),
    "returns two zeros": constant((0, 0)),
    "returns a word": constant("converging"),
    "returns zeros of its first input's shape": lambda *inputs: np.zeros(np.shape(inputs[0])),
    "returns an always-equal object": constant(AlwaysEqual()),
    "raises": raises,
}
"""Answers that must earn nothing at all."""


def right_shape_wrong_numbers(exercise: Exercise) -> tuple[Callable, ...]:
    """The right answer with every number and word in it changed."""
    references = exercise.reference if isinstance(exercise.reference, tuple) else (exercise.reference,)
    return tuple(lambda *inputs, right=right: _spoiled(right(*inputs)) for right in references)


def public_cases_by_heart(exercise: Exercise, seed: int) -> tuple[Callable, ...]:
    """A table of the public cases' answers, and nothing behind it."""
    answers = {}
    for case in draw_cases(exercise, seed):
        try:
            answers[repr(case.inputs)] = exercise.local(exercise.reference)(fresh(case.inputs)).value
        except Failed:
            continue
    names = list(draw_cases(exercise, seed)[0].inputs)

    def by_heart(*inputs):
        return answers.get(repr(dict(zip(names, inputs, strict=False))), 0.0)

    return (by_heart,) * len(exercise.function_names)


def _spoiled(value):
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return value[::-1]
    if isinstance(value, list | tuple):
        return type(value)(_spoiled(entry) for entry in value)
    if isinstance(value, dict):
        return {key: _spoiled(entry) for key, entry in value.items()}
    if isinstance(value, int | float | np.number | np.ndarray):
        return value + 1
    return value
