"""The instructor's solutions, read from the notebooks in solutions/."""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from gdlab.audit.mutants import Mutant
from gdlab.judge.exercise import Exercise

DEFINES = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


class NoSolution(LookupError):
    """The notebook does not define the function; the message says which notebook."""


@dataclass(frozen=True)
class Solution:
    """The functions that one exercise asks for, as the notebook solves them.

    Attributes:
        names: what they are called.
        sources: their text, by name.
        surroundings: what else the notebook imports and defines.
    """

    names: Sequence[str]
    sources: Mapping[str, str]
    surroundings: Mapping[str, Any]

    def functions(self) -> tuple[Callable, ...]:
        """The solution itself."""
        return self.functions_with(self.names[0], self.sources[self.names[0]])

    def functions_with(self, name: str, source: str) -> tuple[Callable, ...]:
        """The solution with other source for one of its functions; empty where that source does not run."""
        scope = dict(self.surroundings)
        try:
            for each in self.names:
                exec(compile(source if each == name else self.sources[each], f"<{each}>", "exec"), scope)
        except Exception:
            return ()
        return tuple(scope[each] for each in self.names)

    def mutants(self, make: Callable[[str], list[Mutant]]) -> Iterator[tuple[str, Mutant]]:
        """(the changed function's name, the mutant), over all functions."""
        for name in self.names:
            for mutant in make(self.sources[name]):
                yield name, mutant


def solution_of(exercise: Exercise, notebook: Path) -> Solution:
    """Find an exercise's solution in its notebook.

    Raises:
        NoSolution: if a function is not there.
    """
    cells = [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    nodes = [node for cell in cells for node in ast.parse(cell).body if isinstance(node, DEFINES)]
    sources = {node.name: ast.unparse(node) for node in nodes if isinstance(node, ast.FunctionDef)}
    missing = [name for name in exercise.function_names if name not in sources]
    if missing:
        raise NoSolution(f"{notebook} defines no function {missing[0]}, which the exercise {exercise.name} asks for.")
    surroundings: dict[str, Any] = {"__name__": "solution"}
    exec(compile(ast.Module(body=nodes, type_ignores=[]), str(notebook), "exec"), surroundings)
    return Solution(exercise.function_names, {name: sources[name] for name in exercise.function_names}, surroundings)
