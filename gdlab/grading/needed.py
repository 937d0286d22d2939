"""Which cells of a notebook a judgement can do without: those of the course's own that only draw.

An exercise notebook shows learners their functions at work, and drawing takes most of its time. When a class is
graded nobody looks at that. A cell is left out if the learner has not touched it, it is not graded, and no cell that
stays asks for a name that it binds. Whoever reaches for names in other ways (`globals()`, `exec`, magics) has all cells run.
"""

import ast
import re
import symtable
from collections.abc import Collection, Iterator, Sequence
from functools import cache, lru_cache

MOST_CHARACTERS = 100_000  # what is longer is run, but not read: Python's parser takes many times its size
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # of the parser: null bytes are a ValueError
REACHES_FOR_NAMES = re.compile(
    r"\b(globals|locals|vars|eval|exec|compile|getattr|get_ipython|__main__|In|Out)\b|^\s*[%!]", re.MULTILINE
)


def cells_to_leave_out(cells: Sequence[str], ungraded: Collection[str]) -> frozenset[int]:
    """The positions of the cells that only draw.

    Args:
        cells: the sources of the code cells, in order.
        ungraded: the sources of the released notebook's code cells that are neither tasks nor checks.
    """
    if any(len(cell) > MOST_CHARACTERS for cell in cells):
        return frozenset()
    left_out = {position for position, cell in enumerate(cells) if cell in ungraded and not _may_change_others(cell)}
    stays = [cell for position, cell in enumerate(cells) if position not in left_out]
    if any(cell not in ungraded and REACHES_FOR_NAMES.search(cell) for cell in stays):
        return frozenset()
    try:
        asked_for = set().union(*(_asked_for(cell) for cell in stays))
        while needed := {position for position in left_out if _bound(cells[position]) & asked_for}:
            left_out -= needed
            asked_for.update(*(_asked_for(cells[position]) for position in needed))
    except UNREADABLE:  # it may ask for anything
        return frozenset()
    return frozenset(left_out)


@cache
def _bound(source: str) -> frozenset[str]:
    """The names of the notebook that a cell binds: its assignments, imports, functions and loop variables."""
    top, *inner = _scopes(source)
    names = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    return frozenset(names.union(*(_globals(scope, symtable.Symbol.is_assigned) for scope in inner)))


@lru_cache(maxsize=1024)  # learners' cells: most of them are many a learner's
def _asked_for(source: str) -> frozenset[str]:
    """The names of the notebook that a cell asks for, in its functions too; their parameters and variables are their own."""
    top, *inner = _scopes(source)
    names = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    return frozenset(names.union(*(_globals(scope, symtable.Symbol.is_referenced) for scope in inner)))


def _globals(scope: symtable.SymbolTable, how) -> set[str]:
    return {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global() and how(symbol)}


def _scopes(source: str) -> Iterator[symtable.SymbolTable]:
    """A cell's own scope, then those of its functions, classes and comprehensions."""
    left = [symtable.symtable(_with_scopes_of_their_own(source), "<cell>", "exec")]
    while left:
        scope = left.pop(0)
        yield scope
        left += scope.get_children()


def _with_scopes_of_their_own(source: str) -> str:
    """The same with comprehensions as generators: from Python 3.12 on, symtable takes the others' variables for the cell's."""
    if "for" not in source:
        return source
    tree = ast.parse(source)
    return ast.unparse(_Generators().visit(tree)) if any(map(_is_comprehension, ast.walk(tree))) else source


def _is_comprehension(node: ast.AST) -> bool:
    return isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp)


class _Generators(ast.NodeTransformer):
    def visit(self, node: ast.AST) -> ast.AST:
        node = self.generic_visit(node)
        if not _is_comprehension(node):
            return node
        each = ast.Tuple([node.key, node.value], ast.Load()) if isinstance(node, ast.DictComp) else node.elt
        return ast.GeneratorExp(each, node.generators)


@cache
def _may_change_others(source: str) -> bool:
    """Whether a cell is no plain Python, or stores into something that it has not made itself."""
    try:
        tree, own = ast.parse(source), _bound(source)
    except UNREADABLE:
        return True
    stores = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load)
    ]
    return any(not (isinstance(target, ast.Name) and target.id in own) for target in stores)
