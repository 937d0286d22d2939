"""A learner's own function in a figure: asked politely, believed only where it gives a number.

An unfinished function is what a figure in an exercise starts with, and it deserves a picture, not a
traceback. So whatever it does wrong becomes a sentence that stands under the figure.
"""

from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any


def one_number(value: Any, what: str) -> float:
    """What a learner's function returned, if it is one number.

    Args:
        value: what came back: a number, or an array that holds one.
        what: what it stands for, in words.

    Raises:
        TypeError: a sentence on what came instead.

    >>> one_number(2, "the next theta")
    2.0
    """
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, Real) or isinstance(value, bool):
        missing = " (is its return statement missing?)" if value is None else ""
        raise TypeError(f"it has to return {what}, one number, but it returned {value!r}{missing}.")
    return float(value)


def two_numbers(value: Any, what: str) -> list[float]:
    """What a learner's function returned, if it is two numbers, in a list, a tuple or an array.

    >>> two_numbers((1, 2), "the gradient")
    [1.0, 2.0]
    """
    try:
        numbers = list(value)
    except TypeError:
        numbers = []
    if len(numbers) != 2:
        missing = " (is its return statement missing?)" if value is None else ""
        raise TypeError(f"it has to return {what}, two numbers, but it returned {value!r}{missing}.")
    return [one_number(number, f"{what}, two numbers") for number in numbers]


def trouble(error: Exception, name: str) -> str:
    """The sentence for what a learner's function raised; `name` says which: "step", "schedule".

    >>> trouble(ZeroDivisionError("division by zero"), "schedule")
    'Your schedule stopped here with ZeroDivisionError: division by zero'
    """
    if isinstance(error, NotImplementedError):
        return f"Your {name} is not written yet: fill in the function, run its cell, and run this one again."
    return f"Your {name} stopped here with {type(error).__name__}: {error}"


def ask_each(function: Callable[[Any], Any], arguments: Iterable, name: str, what: str) -> tuple[list[float], str]:
    """A learner's function at one argument after the other, until the first that goes wrong.

    Returns:
        The numbers, and the sentence on why there are not more of them ("" where all are there).

    >>> ask_each(lambda step: 1 / (2 - step), range(4), "schedule", "a learning rate")
    ([0.5, 1.0], 'Your schedule stopped here with ZeroDivisionError: division by zero')
    """
    numbers: list[float] = []
    for argument in arguments:
        try:
            numbers.append(one_number(function(argument), what))
        except Exception as error:
            return numbers, trouble(error, name)
    return numbers, ""
