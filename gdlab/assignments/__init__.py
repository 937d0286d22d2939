"""What is asked: one module or package per assignment, and one way to find an exercise by its name.

An assignment is whatever lies in this folder and does not begin with an underscore. It declares
`CHAPTER`, which orders the assignments, and `EXERCISES`, in the order of its notebook
`solutions/<assignment>/<assignment>.ipynb`. There is nothing else to register.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from gdlab.judge.exercise import Exercise


@cache
def assignments() -> tuple[str, ...]:
    """The names of all assignments, in the order of the chapters."""
    found = [info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_")]
    return tuple(sorted(found, key=lambda name: (_module(name).CHAPTER, name)))


def exercises_of(assignment: str) -> Mapping[str, Exercise]:
    """The exercises of one assignment, by name, in the order of its notebook.

    Raises:
        LookupError: if there is no such assignment.
    """
    if assignment not in assignments():
        raise LookupError(f"There is no assignment {assignment!r}; there is {', '.join(assignments())}.")
    return MappingProxyType({exercise.name: exercise for exercise in _module(assignment).EXERCISES})


def find_exercise(name: str) -> Exercise:
    """The exercise called `name`, which for most is the name of its function.

    Raises:
        LookupError: if there is none; the message names the nearest.
    """
    known = {exercise.name: exercise for a in assignments() for exercise in exercises_of(a).values()}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(known)}."
    raise LookupError(f"There is no exercise {name!r}: {hint}")


def _module(assignment: str):
    return importlib.import_module(f"{__name__}.{assignment}")
