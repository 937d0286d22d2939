"""Mutants: the solution of an exercise with one thing changed, as a slip of the keyboard would change it.

    return theta - lr * grad   ->   return theta + lr * grad,   return theta - lr / grad,   pass, …

Changed are operators, comparisons, constants, signs, bounds, arguments, the order of two statements, and
whether a statement is there at all. Libraries for mutation testing change files of a package and run
its test suite on each; here a single function is changed in memory and judged, and lines are dropped
and swapped, which they do not do. That is why this one is written by hand.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

OPERATORS = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Div, ast.Mult),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "floor": "ceil",
    "ceil": "floor",
    "mean": "sum",
    "sum": "mean",
    "argmin": "argmax",
    "argmax": "argmin",
    "nanargmin": "nanargmax",
    "sin": "cos",
    "cos": "sin",
    "eigvalsh": "diag",
    "minimum": "maximum",
    "maximum": "minimum",
    "shuffle": "permutation",
    "zeros": "ones",
    "zeros_like": "ones_like",
}


@dataclass(frozen=True)
class Mutant:
    """A changed function: `change` says "old statement → new statement", `source` is the whole of it."""

    change: str
    source: str


def mutants_of(source: str) -> list[Mutant]:
    """All mutants of the one function that `source` defines, without doubles.

    Raises:
        ValueError: if `source` does not begin with a function.

    >>> [mutant.change for mutant in mutants_of("def half(x):\\n    return x / 2")]
    ['return x / 2 → return x * 2', 'return x / 2 → return 2 / x', 'return x / 2 → return x / 3', 'return x / 2 → return x / 1', 'return x / 2 → pass']
    """
    tree = ast.parse(source)
    if not tree.body or not isinstance(tree.body[0], ast.FunctionDef):
        raise ValueError(f"Mutants are made of a function, but this begins with {source[:40]!r}.")
    _drop_docstring(tree.body[0])
    original = ast.unparse(tree)
    found: dict[str, Mutant] = {}
    for mutated, change in _changes(tree):
        text = ast.unparse(ast.fix_missing_locations(mutated))
        if text != original:
            found.setdefault(text, Mutant(change, text))
    return list(found.values())


def _changes(tree: ast.Module) -> Iterator[tuple[ast.Module, str]]:
    """Every change, each made to a copy of the tree."""
    statements = [node for node in ast.walk(tree.body[0]) if isinstance(node, ast.stmt)][1:]
    for at, statement in enumerate(statements):
        for edit in _edits(statement):
            mutated = copy.deepcopy(tree)
            twin = [node for node in ast.walk(mutated.body[0]) if isinstance(node, ast.stmt)][1:][at]
            edit(twin)
            yield mutated, f"{_line(statement)} → {_line(twin)}"
        yield from _dropped(tree, at, statement)
    yield from _swapped(tree)


def _line(statement: ast.stmt) -> str:
    """The first line of a statement."""
    return ast.unparse(statement).splitlines()[0]


def _edits(statement: ast.stmt) -> Iterator[Callable[[ast.stmt], None]]:
    """Changes within one statement, each as a function that makes it on a copy of that statement."""
    for i, node in enumerate(_own_nodes(statement)):
        for edit in _edits_of_node(node):
            yield lambda twin, i=i, edit=edit: edit(_own_nodes(twin)[i])


def _own_nodes(statement: ast.stmt) -> list[ast.AST]:
    """The nodes of a statement, without those of the statements inside it."""
    nodes: list[ast.AST] = [statement]
    for node in nodes:
        nodes += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]
    return nodes


def _edits_of_node(node: ast.AST) -> Iterator[Callable]:
    match node:
        case ast.BinOp() | ast.AugAssign() | ast.BoolOp():
            yield from (_setting("op", other()) for other in OPERATORS.get(type(node.op), ()))
            if isinstance(node, ast.BinOp) and isinstance(
                node.op, ast.Sub | ast.Div | ast.FloorDiv | ast.Mod | ast.Pow
            ):
                yield _swap_sides
        case ast.Compare():
            for i, operator in enumerate(node.ops):
                for other in OPERATORS.get(type(operator), ()):
                    yield lambda twin, i=i, other=other: twin.ops.__setitem__(i, other())
        case ast.Constant(value=bool()):
            yield _setting("value", not node.value)
        case ast.Constant(value=int()):
            yield from (_setting("value", node.value + by) for by in (1, -1))
        case ast.Constant(value=float()):
            yield _setting("value", node.value * 2 if node.value else 1.0)
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            yield _drop_sign
        case ast.Slice():
            yield from (_setting(bound, None) for bound in ("lower", "upper", "step") if getattr(node, bound))
        case ast.Attribute() | ast.Name():
            name = "attr" if isinstance(node, ast.Attribute) else "id"
            if getattr(node, name) in NAMES and isinstance(node.ctx, ast.Load):
                yield _setting(name, NAMES[getattr(node, name)])
        case ast.Call():
            yield from (lambda twin, i=i: twin.keywords.pop(i) for i in range(len(node.keywords)))
            if len(node.args) >= 2 and not any(isinstance(a, ast.Starred) for a in node.args[:2]):
                yield lambda twin: twin.args.insert(0, twin.args.pop(1))
        case ast.IfExp():
            yield _swap_branches
        case ast.If() | ast.While():
            yield _setting("test", ast.Constant(value=False))
            if isinstance(node, ast.If):
                yield _setting("test", ast.Constant(value=True))


def _setting(name: str, value) -> Callable:
    return lambda twin: setattr(twin, name, value)


def _swap_sides(twin: ast.BinOp) -> None:
    twin.left, twin.right = twin.right, twin.left


def _swap_branches(twin: ast.IfExp) -> None:
    twin.body, twin.orelse = twin.orelse, twin.body


def _drop_sign(twin: ast.UnaryOp) -> None:
    twin.op = ast.UAdd() if isinstance(twin.op, ast.USub) else ast.Not()
    if isinstance(twin.op, ast.Not):
        twin.operand = ast.UnaryOp(op=ast.Not(), operand=twin.operand)


def _dropped(tree: ast.Module, at: int, statement: ast.stmt) -> Iterator[tuple[ast.Module, str]]:
    if isinstance(statement, ast.Pass):
        return
    mutated = copy.deepcopy(tree)
    twin = [node for node in ast.walk(mutated.body[0]) if isinstance(node, ast.stmt)][1:][at]
    for node in ast.walk(mutated):
        for _, block in _blocks(node):
            if twin in block:
                block[block.index(twin)] = ast.Pass()
    yield mutated, f"{_line(statement)} → pass"


def _swapped(tree: ast.Module) -> Iterator[tuple[ast.Module, str]]:
    """Two neighbours in a block, the other way round."""
    for i, node in enumerate(ast.walk(tree)):
        for name, block in _blocks(node):
            for k, (first, second) in enumerate(pairwise(block)):
                if isinstance(first, ast.FunctionDef):
                    continue
                mutated = copy.deepcopy(tree)
                twin = getattr(list(ast.walk(mutated))[i], name)
                twin[k], twin[k + 1] = twin[k + 1], twin[k]
                yield mutated, f"{_line(first)} ⇄ {_line(second)}"


def _blocks(node: ast.AST) -> Iterator[tuple[str, list[ast.stmt]]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list) and not isinstance(node, ast.Module):
            yield name, block


def _drop_docstring(function: ast.FunctionDef) -> None:
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:] or [ast.Pass()]
