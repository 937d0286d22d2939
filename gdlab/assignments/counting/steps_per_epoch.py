"""steps_per_epoch(n_examples, batch_size, drop_last=False) -> int: ⌈n/B⌉, or ⌊n/B⌋ without the short last batch."""

import math

import numpy as np

from gdlab.assignments.counting._data import all_but_one, data_set, none, one
from gdlab.counting import steps_per_epoch
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part


def _cases(rng):
    def case(part, rest, drop_last):
        return Case(part, {**data_set(rng, rest), "drop_last": drop_last})

    small = int(rng.integers(5, 40))
    return [
        case("full", none, False),
        case("full", none, True),
        case("kept", one, False),
        case("kept", all_but_one, False),
        Case("kept", {"n_examples": small, "batch_size": small + 3, "drop_last": False}),
        case("dropped", one, True),
        case("dropped", all_but_one, True),
    ]


def _up(n_examples, batch_size):
    return -(-n_examples // batch_size)


def _count_batches(n_examples, batch_size, drop_last):
    steps, left = 0, n_examples
    while left >= batch_size:
        left -= batch_size
        steps += 1
    if left > 0 and not drop_last:
        steps += 1
    return steps


def _by_divmod(n_examples, batch_size, drop_last):
    steps, rest = divmod(n_examples, batch_size)
    return steps + (rest > 0 and not drop_last)


EXERCISE = Exercise(
    name="steps_per_epoch",
    version=1,
    reference=steps_per_epoch,
    cases=_cases,
    parts=(
        Part("full", "an epoch of full batches", 1),
        Part("kept", "a short last batch that is kept", 1),
        Part("dropped", "a short last batch that is dropped", 1),
    ),
    mistakes=(
        Mistake("always-floor", lambda n, b, drop_last: n // b, "The short last batch is a step too, unless dropped."),
        Mistake(
            "always-ceil",
            lambda n, b, drop_last: _up(n, b),
            "With drop_last the short batch goes; your answer does not depend on the flag.",
        ),
        Mistake(
            "one-more-even-if-full",
            lambda n, b, drop_last: n // b if drop_last else n // b + 1,
            "When all batches are full, you count one step too many.",
        ),
        Mistake(
            "one-more-always",
            lambda n, b, drop_last: n // b + 1,
            "You always add a step; it is there only for a short last batch that is kept.",
        ),
        Mistake(
            "rounds",
            lambda n, b, drop_last: n // b if drop_last else round(n / b),
            "You round to the nearest; even a single example left over needs a step of its own.",
        ),
        Mistake(
            "rounds-always",
            lambda n, b, drop_last: round(n / b),
            "You round to the nearest, and drop_last makes no difference: kept, a single example left over is a step; dropped, none is.",
        ),
        Mistake(
            "drop-last-reversed",
            lambda n, b, drop_last: _up(n, b) if drop_last else n // b,
            "Your flag works backwards: with drop_last there can only be fewer steps.",
        ),
        Mistake("fraction", lambda n, b, drop_last: n / b, "Steps come whole; yours end in the middle of one."),
    ),
    properties=(),
    alternatives=(
        Alternative("math.ceil", lambda n, b, drop_last: math.floor(n / b) if drop_last else math.ceil(n / b)),
        Alternative("add and floor", lambda n, b, drop_last: (n if drop_last else n + b - 1) // b),
        Alternative("counting loop", _count_batches),
        Alternative("divmod", _by_divmod),
        Alternative("length of a range", lambda n, b, drop_last: len(range(b if drop_last else 1, n + 1, b))),
        Alternative("numpy float", lambda n, b, drop_last: np.floor(n / b) if drop_last else np.ceil(n / b)),
    ),
    notice="Notice that one example more can cost a whole step: 50,000 examples in batches of 100 take 500 steps, 50,001 take 501.",
    tolerance=0,
)
