"""What is asked: one module per assignment, and one way to find an exercise by its function's name."""

import difflib
import importlib
from types import MappingProxyType

from gdlab.judge.exercise import Exercise

ASSIGNMENTS = ("update_rule",)
"""The assignments in the order of the chapters; each is a module here and a folder in solutions/ and exercises/."""


def exercises_of(assignment: str) -> MappingProxyType[str, Exercise]:
    """The exercises of one assignment, by name, in the order of its notebook.

    Raises:
        LookupError: if there is no such assignment.
    """
    if assignment not in ASSIGNMENTS:
        raise LookupError(f"There is no assignment {assignment!r}; there is {', '.join(ASSIGNMENTS)}.")
    module = importlib.import_module(f"gdlab.assignments.{assignment}")
    return MappingProxyType({exercise.name: exercise for exercise in module.EXERCISES})


def find_exercise(name: str) -> Exercise:
    """The exercise whose function is called `name`.

    Raises:
        LookupError: if there is none; the message names the nearest.
    """
    known = {exercise.name: exercise for a in ASSIGNMENTS for exercise in exercises_of(a).values()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(known)}."
    raise LookupError(f"There is no exercise {name!r}: {hint}")
