"""When two answers are equal.

An answer is right when it has the shape of the expected one and no entry is off by more than
`tolerance` times the largest entry expected (1e-5 by default: float32 answers of the course are off
by at most 1.3e-6, the smallest mistake that shows by 4e-4). A list stands for an array, a Python
number for an array of no dimensions, whole numbers and float32 for float64. Not-a-number and the
infinities equal only themselves. Texts, truth values and None compare exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Difference:
    """The first place where an answer is wrong: a sentence ("" for a single number), and the two values there."""

    sentence: str
    expected: str
    got: str


def compare(expected, got, tolerance: float, axes: Sequence[str] = ()) -> Difference | None:
    """Return the first difference between two plain answers, or None where they are equal.

    Args:
        expected: what is right.
        got: what the learner's function returned.
        tolerance: as in this module's definition.
        axes: what each axis counts, to name the place: ("step", "coordinate").
    """
    if not is_numeric(expected):
        return (
            None
            if type(expected) is type(got) and expected == got
            else _difference("It is not the value expected.", expected, got)
        )
    if got is None:
        return _difference("Your function returned nothing (None).", expected, got)
    if not is_numeric(got):
        return _difference("Your function did not return numbers.", expected, got)
    right, yours = np.asarray(expected, dtype=float), np.asarray(got, dtype=float)
    if right.size == yours.size == 0:
        return None
    if right.shape != yours.shape:
        return _difference(f"The shape is {_shape(yours)}, but {_shape(right)} is expected.", expected, got)
    wrong = ~_equal(right, yours, tolerance)
    if not wrong.any():
        return None
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return Difference(_sentence(place, axes), show(right[place]), show(yours[place]))


def is_numeric(value) -> bool:
    """Whether a plain value is a number or an array of numbers; an empty list stands for an empty array."""
    return (
        isinstance(value, int | float | np.ndarray)
        and not isinstance(value, bool)
        or (isinstance(value, list) and not value)
    )


def show(value) -> str:
    """A plain value in at most a few lines, six digits a number."""
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    if isinstance(value, np.ndarray):
        return np.array2string(
            value,
            threshold=40,
            edgeitems=4,
            max_line_width=88,
            separator=", ",
            formatter={"float_kind": "{:.6g}".format},
        )
    return repr(value) if len(repr(value)) <= 400 else repr(value)[:400] + " …"


def _equal(right: np.ndarray, yours: np.ndarray, tolerance: float) -> np.ndarray:
    finite = np.abs(right[np.isfinite(right)])
    scale = finite.max() if finite.size else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        close = np.abs(right - yours) <= tolerance * scale
    return close | (right == yours) | (np.isnan(right) & np.isnan(yours))


def _difference(sentence: str, expected, got) -> Difference:
    return Difference(sentence, show(expected), show(got))


def _shape(value: np.ndarray) -> str:
    if value.ndim == 0:
        return "that of a single number"
    return " × ".join(str(n) for n in value.shape) + (" (one axis)" if value.ndim == 1 else "")


def _sentence(place: tuple[int, ...], axes: Sequence[str]) -> str:
    if not place:
        return ""  # a single number: the two values say it all
    names = list(axes) + ["index"] * (len(place) - len(axes))
    where = ", ".join(f"{name} {i}" for name, i in zip(names, place, strict=False))
    return f"It first goes wrong at {where}."
