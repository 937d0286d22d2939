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
