"""When two answers are equal.

A number or an array is right when it has the shape of the expected one and no entry is off by more
than `tolerance` times the largest entry expected (1e-5 by default: float32 answers of the course are
off by at most 1.3e-6, the smallest mistake that shows by 4e-4; a tolerance of 0 asks for equality). A
list stands for an array, a Python number for an array of no dimensions, whole numbers and float32 for
float64. Not-a-number and the infinities equal only themselves. Texts, truth values and None compare
exactly. Several things returned together, lists of unlike arrays and dicts are equal entry by entry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Axes = Sequence[str] | Mapping[str, Sequence[str]]
"""What each axis counts; where several things are returned, by the name of the thing."""

MOST_SHOWN = 400


@dataclass(frozen=True)
class Difference:
    """The first place where an answer is wrong: a sentence ("" for a single number), and the two values there."""

    sentence: str
    right: Any
    yours: Any

    @property
    def expected(self) -> str:
        return show(self.right)

    @property
    def got(self) -> str:
        return show(self.yours)


@dataclass(frozen=True)
class Raises:
    """What is expected where the inputs call for an error: its name, and what the reference says."""

    error: str
    sentence: str


def compare(
    expected, got, tolerance: float, axes: Axes = (), returns: Sequence[str] = (), place: str = ""
) -> Difference | None:
    """Return the first difference between two plain answers, or None where they are equal.

    Args:
        expected: what is right.
        got: what the learner's function returned.
        tolerance: as in this module's definition.
        axes: what each axis counts, to name the place: ("step", "coordinate").
        returns: the names of the things returned, where there are several: ("theta", "velocity").
        place: where in the whole answer these two stand.
    """
    if returns:
        return _compare_entries(expected, got, tolerance, axes, returns)
    if isinstance(expected, dict):
        return _compare_dicts(expected, got, tolerance, axes, place)
    unstacked = isinstance(got, list) and got and isinstance(expected, np.ndarray) and expected.ndim  # unlike entries
    if isinstance(expected, list) and expected or unstacked:
        return _compare_lists(expected, got, tolerance, axes, place)
    if not is_numeric(expected):
        same = type(expected) is type(got) and expected == got
        return None if same else Difference(_at(place, "it is not the value expected."), expected, got)
    return _compare_numbers(expected, got, tolerance, () if isinstance(axes, Mapping) else axes, place)


def _compare_entries(expected, got, tolerance, axes, returns) -> Difference | None:
    """Several things returned together; `plain` has stacked them where they are alike."""
    wanted = f"It should return {len(returns)} things: {', '.join(returns)}."
    if not _has_entries(got):
        return Difference(wanted, expected, got)
    if len(got) != len(returns):
        return Difference(f"{wanted} Yours returned {len(got)}.", expected, got)
    for name, right, yours in zip(returns, expected, got, strict=True):
        named = axes.get(name, ()) if isinstance(axes, Mapping) else axes
        difference = compare(_unboxed(right), _unboxed(yours), tolerance, named, place=name)
        if difference:
            return difference
    return None


def _compare_dicts(expected, got, tolerance, axes, place) -> Difference | None:
    if not isinstance(got, dict) or got.keys() != expected.keys():
        return Difference(_at(place, f"{', '.join(expected)} are expected."), expected, got)
    for name, right in expected.items():
        named = axes.get(name, ()) if isinstance(axes, Mapping) else axes
        difference = compare(right, got[name], tolerance, named, place=f"{place}, {name}" if place else name)
        if difference:
            return difference
    return None


def _compare_lists(expected, got, tolerance, axes, place) -> Difference | None:
    """Entry by entry; an array that `plain` made of a list of alike entries is a list still."""
    if not _has_entries(got):
        return Difference(_at(place, "a list is expected."), expected, got)
    if len(got) != len(expected):
        return Difference(_at(place, f"there are {len(got)} entries, but {len(expected)} are expected."), expected, got)
    named = () if isinstance(axes, Mapping) else axes
    for i, (right, yours) in enumerate(zip(expected, got, strict=True)):
        here = f"{named[0] if named else 'entry'} {i}"
        difference = compare(
            _unboxed(right), _unboxed(yours), tolerance, named[1:], place=f"{place}, {here}" if place else here
        )
        if difference:
            return difference
    return None


def _compare_numbers(expected, got, tolerance, axes, place) -> Difference | None:
    if got is None:
        return Difference(_at(place, "your function returned nothing (None)."), expected, got)
    if not is_numeric(got):
        return Difference(_at(place, "your function did not return numbers."), expected, got)
    if isinstance(expected, int) and isinstance(got, int):  # exact beyond what a float can hold
        return None if abs(expected - got) <= tolerance * abs(expected) else Difference(_at(place), expected, got)
    right, yours = np.asarray(expected, dtype=float), np.asarray(got, dtype=float)
    if right.size == yours.size == 0 or right.shape == yours.shape and (right == yours).all():
        return None
    if right.shape != yours.shape:
        return Difference(_at(place, f"the shape is {_shape(yours)}, but {_shape(right)} is expected."), expected, got)
    wrong = ~_equal(right, yours, tolerance)
    if not wrong.any():
        return None
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    return Difference(_at(", ".join(filter(None, (place, _index(index, axes))))), right[index], yours[index])


def _has_entries(value) -> bool:
    return isinstance(value, list) or isinstance(value, np.ndarray) and value.ndim > 0


def _unboxed(entry):
    """A number that came out of an array, as a Python number."""
    return entry.item() if isinstance(entry, np.generic) else entry


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
    if isinstance(value, list):
        return _cut(f"[{', '.join(map(show, value))}]")
    if isinstance(value, Raises):
        return f"raise {value.error}"
    if isinstance(value, dict):
        return _cut("\n".join(f"{name}: {show(entry)}" for name, entry in value.items()))
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + " …"


def _equal(right: np.ndarray, yours: np.ndarray, tolerance: float) -> np.ndarray:
    finite = np.abs(right[np.isfinite(right)])
    scale = finite.max() if finite.size else 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        close = np.abs(right - yours) <= tolerance * scale
    return close | (right == yours) | (np.isnan(right) & np.isnan(yours))


def _shape(value: np.ndarray) -> str:
    if value.ndim == 0:
        return "that of a single number"
    return " × ".join(str(n) for n in value.shape) + (" (one axis)" if value.ndim == 1 else "")


def _index(index: tuple[int, ...], axes: Sequence[str]) -> str:
    names = list(axes) + ["index"] * (len(index) - len(axes))
    return ", ".join(f"{name} {i}" for name, i in zip(names, index, strict=False))


def _at(place: str, what: str = "") -> str:
    """A sentence on what is wrong and where; "" for a single number, whose two values say it all."""
    if not what:
        return f"It first goes wrong at {place}." if place else ""
    return f"At {place}, {what}" if place else what[0].upper() + what[1:]
