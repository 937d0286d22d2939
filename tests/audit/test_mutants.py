"""Mutants: one change each, all kinds of change, none twice."""

import pytest

from gdlab.audit.mutants import mutants_of

DESCEND = '''
def descend(grad_fn, theta, lr, steps):
    """The docstring is not mutated: 1 + 1."""
    path = [theta]
    for _ in range(steps):
        path.append(path[-1] - lr * grad_fn(path[-1]))
    return np.array(path)
'''


@pytest.mark.parametrize(
    ("source", "change"),
    [
        ("return a - b", "return a - b → return a + b"),
        ("return a - b", "return a - b → return b - a"),
        ("return a if a < b else b", "return a if a < b else b → return a if a <= b else b"),
        ("return a if a < b else b", "return a if a < b else b → return b if a < b else a"),
        ("return a and b", "return a and b → return a or b"),
        ("return a[1:]", "return a[1:] → return a[:]"),
        ("return a[0]", "return a[0] → return a[1]"),
        ("return 0.5 * a", "return 0.5 * a → return 1.0 * a"),
        ("return -a", "return -a → return +a"),
        ("return not a", "return not a → return not not a"),
        ("return min(a, b)", "return min(a, b) → return max(a, b)"),
        ("return min(a, b)", "return min(a, b) → return min(b, a)"),
        ("return a.sum(axis=b)", "return a.sum(axis=b) → return a.sum()"),
        ("a += b\n    return a", "a += b → a -= b"),
        ("a += b\n    return a", "a += b → pass"),
        ("a += b\n    return a", "a += b ⇄ return a"),
        ("return a is True", "return a is True → return a is False"),
        ("if a:\n        return b", "if a: → if True:"),
        ("while a:\n        a -= 1", "while a: → while False:"),
    ],
)
def test_every_kind_of_change_is_made(source, change):
    assert change in [mutant.change for mutant in mutants_of(f"def f(a, b):\n    {source}\n")]


def test_each_mutant_is_another_function_and_differs_from_the_original():
    mutants = mutants_of(DESCEND)
    sources = [mutant.source for mutant in mutants]
    assert len(set(sources)) == len(sources) > 10
    assert not any("docstring" in source for source in sources)
    for source in sources:
        compile(source, "a mutant", "exec")


def test_what_is_no_function_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="Mutants are made of a function, but this begins with 'x = 1'"):
        mutants_of("x = 1")
