"""Plain values: the only things that a learner's code and the judge exchange.

Plain is None, a bool, a whole number of 64 bits, a float, a short text, an array of real numbers,
and lists and dicts of these. Everything else is turned into one of them or refused with a sentence.
This file runs on both sides of the wall, so it needs nothing but NumPy.
"""

import numpy as np

MOST_ENTRIES = 1_000_000
MOST_PARTS = 50_000  # of lists and dicts together; an array counts once
MOST_CHARACTERS = 10_000
DEEPEST = 8


class NotPlain(ValueError):
    """The value cannot be judged; the message says why, as a sentence to the learner."""


def plain(value, depth: int = 0):
    """Return `value` as plain values.

    Torch tensors and ndarray subclasses become base NumPy arrays, NumPy scalars Python numbers,
    tuples lists, and lists of equally shaped numbers one array.

    Raises:
        NotPlain: for anything that is not made of numbers, texts, lists and dicts, or is too large.
    """
    if depth > DEEPEST:
        raise NotPlain(f"Your answer is a list in a list, more than {DEEPEST} deep.")
    if value is None or isinstance(value, bool):
        return value
    if type(value) is np.ndarray:  # the commonest kind, and so the first to be looked for
        return _array(value)
    if isinstance(value, int | np.integer):
        return _whole_number(int(value))
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, complex | np.complexfloating):
        return float(_real(value))
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, str):
        return _text(value)
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, list | tuple | dict):
        parts = _dict(value, depth) if isinstance(value, dict) else _list(value, depth)
        if depth == 0 and (count := _count(parts)) > MOST_PARTS:
            raise NotPlain(
                f"Your answer's lists have {count:,} entries in all; {MOST_PARTS:,} is the most. Try an array."
            )
        return parts
    raise NotPlain(f"Your answer is {_kind(value)}; numbers or an array of numbers can be judged.")


def _whole_number(value: int) -> int:
    if not -(2**63) <= value < 2**63:
        raise NotPlain("Your answer holds a whole number too large to judge (more than 64 bits).")
    return value


def _text(value: str) -> str:
    if len(value) > MOST_CHARACTERS:
        raise NotPlain(f"Your answer is a text of {len(value):,} characters; {MOST_CHARACTERS:,} is the most.")
    return value.encode("utf-8", "replace").decode()  # half a surrogate pair cannot travel


def _array(value: np.ndarray) -> np.ndarray:
    if value.size > MOST_ENTRIES:
        raise NotPlain(f"Your answer has {value.size:,} entries; {MOST_ENTRIES:,} is the most.")
    if value.dtype.kind == "c":
        value = _real(value)
    if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
        raise NotPlain(f"Your answer is an array of {value.dtype}; an array of real numbers can be judged.")
    native = value.dtype.newbyteorder("=")
    return np.array(value, dtype=native, order="C", copy=True, subok=False)


def _real(value):
    """Without imaginary parts that are all zero: eigenvalues of any matrix come with them, since NumPy 2.5 even real ones."""
    if np.any(np.imag(value) != 0):
        raise NotPlain("Your answer holds complex numbers; a gradient step stays with real ones.")
    return np.real(value)


def _list(value, depth: int):
    if len(value) > MOST_ENTRIES:
        raise NotPlain(f"Your answer is a list of {len(value):,} entries; {MOST_ENTRIES:,} is the most.")
    entries = [plain(entry, depth + 1) for entry in value]
    return _stacked(entries) if entries else entries


def _count(parts) -> int:
    """How many entries lists and dicts have, with those of the lists and dicts in them."""
    entries = parts.values() if isinstance(parts, dict) else parts if isinstance(parts, list) else ()
    return len(entries) + sum(_count(entry) for entry in entries if isinstance(entry, list | dict))


def _stacked(entries: list):
    """One array where all entries are numbers or arrays of one shape, else the list as it is."""
    if not all(isinstance(entry, int | float | np.ndarray) and not isinstance(entry, bool) for entry in entries):
        return entries
    if len({np.shape(entry) for entry in entries}) > 1:
        return entries
    return _array(np.array(entries))


def _dict(value: dict, depth: int) -> dict:
    if not all(isinstance(key, str) for key in value):
        raise NotPlain("Your answer is a dict whose keys are not all texts.")
    return {_text(key): plain(entry, depth + 1) for key, entry in value.items()}


def _kind(value) -> str:
    name = type(value).__name__
    return f"an object of type {name[:60]}" if not callable(value) else "a function, not the value it returns"
