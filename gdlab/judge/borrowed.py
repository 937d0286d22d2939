"""What a function borrows: libraries that already hold the answer, seen in its source.

A note to the instructor and no more: values cannot tell who computed them, and a source can hide
what it does. Nothing is refused because of it.
"""

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

LIBRARIES = (
    "torch.optim",
    "torch.nn.utils.clip_grad",
    "torch.autograd.gradcheck",
    "gdlab",
    "scipy.optimize",
    "optax",
    "keras",
    "tensorflow",
    "sklearn",
    "jax",
)
"""Names that begin with one of these are noted; what an exercise hands in (an optimizer) is not a name."""

WITHIN = tuple(f"{library}." for library in LIBRARIES)

MOST_CHARACTERS = 100_000
"""A longer cell is not read: Python's parser takes five hundred times its size, here, outside of any box."""
MOST_NAMES = 20

OF_COURSE = ("gdlab.learn", "gdlab.figures")


def borrowed(cells: Iterable[str], functions: Sequence[str]) -> tuple[str, ...]:
    """The dotted names from `LIBRARIES` that these functions use, in a notebook's code cells.

    >>> borrowed(["import torch.optim as o", "def step(x):\\n    return o.SGD([x])"], ["step"])
    ('torch.optim.SGD',)
    """
    statements, aliases = _read(tuple(cells))
    defined = [node for node in statements if isinstance(node, ast.FunctionDef) and node.name in functions]
    found: dict[str, None] = {}
    for function in defined:
        known = aliases | {name: full for node in ast.walk(function) for name, full in _imported(node).items()}
        found |= dict.fromkeys(_outermost(_names(function, known)))
    return tuple(found)[:MOST_NAMES]


@lru_cache(maxsize=8)  # the same cells are asked about for every exercise of a notebook
def _read(cells: tuple[str, ...]) -> tuple[list[ast.stmt], dict[str, str]]:
    """The statements of all cells, and what the names that they import stand for."""
    statements = [statement for cell in cells for statement in _statements(cell)]
    aliases: dict[str, str] = {}
    for statement in statements:
        aliases |= _imported(statement)
    return statements, aliases


@lru_cache(maxsize=256)  # most cells of a class are the same
def _statements(cell: str) -> tuple[ast.stmt, ...]:
    if len(cell) > MOST_CHARACTERS:
        return ()
    try:
        return tuple(ast.parse(cell).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # magics, half-typed lines, bytes, bombs
        return ()


def _imported(node: ast.AST) -> dict[str, str]:
    """The names that an import statement binds, and what they stand for."""
    if isinstance(node, ast.Import):
        return {
            a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0] for a in node.names
        }
    if isinstance(node, ast.ImportFrom) and node.module:
        return {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return {}


def _names(function: ast.FunctionDef, aliases: dict[str, str]) -> Iterator[str]:
    for node in ast.walk(function):
        name = _dotted(node, aliases)
        if f"{name}.".startswith(WITHIN) and not name.startswith(OF_COURSE):
            yield name


def _dotted(node: ast.AST, aliases: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    first = aliases.get(node.id, "") if isinstance(node, ast.Name) else ""
    return ".".join([first, *reversed(parts)]) if first else ""


def _outermost(names: Iterable[str]) -> list[str]:
    """Without the names that another one goes on from: torch.optim where there is torch.optim.SGD."""
    every = dict.fromkeys(names)
    gone_on_from = {name[:dot] for name in every for dot, sign in enumerate(name) if sign == "."}
    return [name for name in every if name not in gone_on_from]
