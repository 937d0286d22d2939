"""What the six rules share: inputs for several steps in a row, and slips that every rule with a state invites.

One step from a cold state hides mistakes: a state of zeros fades into zeros whatever it is multiplied with.
So every rule is fed several unequal gradients, from zeros or from a state that has seen some before.
"""

from collections.abc import Callable

import numpy as np

from gdlab.assignments._shared import signed
from gdlab.judge.exercise import Case, Mistake

TINY = 1e-7
"""Gradients of this size are near eps, so that its place in the formula shows."""

UNCHANGED = "the caller's arrays stay as they were"


def values(rng, shape: tuple[int, ...] | None, low: float, high: float):
    """An array with entries of either sign, their size between `low` and `high`; for no shape, one number above 0.

    A single number keeps its sign over all steps. Sums of both signs would cancel, and what is left of a
    float32 answer would be rounding; in an array the other entries set the scale.
    """
    return float(rng.uniform(low, high)) if shape is None else signed(rng, low, high, shape)


def squares(rng, shape: tuple[int, ...] | None, low: float, high: float):
    """The same, all above 0: what an average of squares can be."""
    return abs(values(rng, shape, low, high))


def zeros(shape: tuple[int, ...] | None):
    """A cold state."""
    return 0.0 if shape is None else np.zeros(shape)


def several_gradients(rng, shape: tuple[int, ...] | None, steps: int, size: float = 1.0) -> dict:
    """Where to start, and one gradient a step, each between 0.5 and 4 times `size`; a number stays away from zero."""
    theta = float(rng.uniform(6, 8)) if shape is None else signed(rng, 1, 5, shape)
    return {"theta": theta, "grads": size * np.array([values(rng, shape, 0.5, 4) for _ in range(steps)])}


def velocity_cases(rng) -> list[Case]:
    """Cases of the two rules that keep a velocity."""

    def case(part, shape, steps, warm=False):
        velocity = values(rng, shape, 1, 4) if warm else zeros(shape)
        rates = {"lr": float(rng.uniform(0.05, 0.1)), "momentum": float(rng.uniform(0.5, 0.9))}
        return Case(part, {**several_gradients(rng, shape, steps), "velocity": velocity, **rates})

    return [
        case("first", None, 1),
        case("first", 3, 1),
        case("later", None, 3, warm=True),
        case("later", 4, 4),
        case("later", (3, 2), 3, warm=True),
    ]


def returned_otherwise(rule: Callable, *state: str) -> tuple[Mistake, ...]:
    """Right numbers, of which the caller gets only some, or others first."""
    kept = " and ".join(state)

    def state_first(*inputs):
        with np.errstate(all="ignore"):  # a theta that is taken for squares may have no root
            theta, *state = rule(*inputs)
        return *state, theta

    return (
        Mistake(
            "returns-only-theta",
            lambda *inputs: rule(*inputs)[0],
            f"Return {kept} as well: without its state your next step remembers nothing.",
        ),
        Mistake(
            "returns-state-first", state_first, f"The right things in another order: theta comes first, then {kept}."
        ),
    )
