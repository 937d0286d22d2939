"""Libraries that hold the answer are noted from the source."""

import pytest

from gdlab.judge.borrowed import borrowed


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["import torch\ndef step(x):\n    return torch.optim.Adam([x])"], ("torch.optim.Adam",)),
        (["from torch.optim import SGD as S", "def step(x):\n    return S([x])"], ("torch.optim.SGD",)),
        (["def step(x):\n    import optax\n    return optax.adam(x)"], ("optax.adam",)),
        (
            ["from gdlab.rules import gradient_step as g", "def step(x):\n    return g(x)"],
            ("gdlab.rules.gradient_step",),
        ),
        (["import torch\ndef step(x):\n    return torch.tensor(x)"], ()),
        (["import torch\ndef other(x):\n    return torch.optim.Adam([x])", "def step(x):\n    return x"], ()),
        (["from gdlab.learn import check\ndef step(x):\n    return check"], ()),
        (["%matplotlib inline", "def step(x:", "def step(x):\n    return x"], ()),
    ],
)
def test_what_a_function_borrows_is_called_by_its_full_name(cells, found):
    assert borrowed(cells, ["step"]) == found


def test_long_names_many_names_and_sources_that_break_a_parser_are_no_trouble():
    bombs = ['"-"*100_000 + "1"', "-" * 50_000 + "1", "x = [" + "0," * 500_000 + "]"]
    assert borrowed(bombs, ["step"]) == ()
    deep = "def step(x):\n    return x" + ".T" * 2_000
    assert borrowed([deep], ["step"]) == ()
    many = "import torch\ndef step(x):\n" + "".join(f"    torch.optim.a{n}\n" for n in range(4_000))
    assert len(borrowed([many], ["step"])) == 20
