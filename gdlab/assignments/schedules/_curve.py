"""A schedule is judged as a curve: a case asks at many steps in a row, and a picture shows it beside the right one.

Some cases begin where an earlier part of the curve is over, so that a wrong warm-up does not cost the points of
what follows it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer, fresh
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Case


def a_rate(rng) -> float:
    """A peak or a base rate; rates are compared relative to it, so that its size does not matter."""
    return float(10 ** rng.uniform(-4, 0))


def below(rng, rate: float) -> float:
    """A start or a floor: clearly above 0, clearly below `rate`."""
    return rate * float(rng.uniform(0.15, 0.45))


def whole_number(rng, low: int, high: int) -> int:
    """From `low` to `high`, both included."""
    return int(rng.integers(low, high + 1))


def curve(part: str, first: int, last: int, **fixed) -> Case:
    """The rates at steps `first` … `last`, with everything else fixed."""
    return Case(part, {"step": np.arange(first, last + 1), **fixed})


def by_step(inputs: Mapping[str, Any], value):
    """The rates with an empty place for each step before the first, so that a wrong one is called by its step."""
    if not is_numeric(value) or np.shape(value) != np.shape(inputs["step"]):
        return value
    return np.concatenate([np.full(inputs["step"][0], np.nan), value])


def beside_the_right_one(reference: Callable, last: int, **fixed) -> Callable[[Answer], str]:
    """A picture: the learner's curve over steps 0 … `last` beside the reference's."""

    def picture(answer: Answer) -> str:
        steps = np.arange(last + 1)
        came = answer(fresh({"step": steps, **fixed})).value
        yours = np.ravel(came) if is_numeric(came) else []
        return curve_picture(
            [("right", reference(steps, **fixed)), ("yours", yours)], x_label="step", y_label="learning rate"
        )

    return picture
