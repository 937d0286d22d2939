"""Gradient descent against published numbers, against torch.optim, and on every kind of array."""

import doctest
import subprocess
import sys

import numpy as np
import pytest
import torch

import gdlab.objectives
import gdlab.rules
from gdlab.objectives import bowl
from gdlab.rules import descend, gradient_step

# The primer's bowl: L = (θ − 3)² + 0.5, η = 0.3, from θ = −1.
PRIMER_PATH = [-1.0, 1.4, 2.36, 2.744, 2.8976]
PRIMER_LOSSES = [16.5, 3.06, 0.9096, 0.565536, 0.51048576]
PRIMER_CLIMB = [-1.0, -3.4, -7.24, -13.384]


def test_the_walk_is_the_primers():
    path = descend(bowl.grad, -1.0, 0.3, 4)
    assert path == pytest.approx(PRIMER_PATH, rel=1e-14)
    assert bowl.loss(path) == pytest.approx(PRIMER_LOSSES, rel=1e-12)


def test_with_the_sign_flipped_it_climbs_as_the_primer_says():
    assert descend(bowl.grad, -1.0, -0.3, 3) == pytest.approx(PRIMER_CLIMB, rel=1e-14)


@pytest.mark.parametrize(("lr", "last"), [(0.2, 0.060466176), (0.05, 3.486784401), (1.1, 61.9173642240)])
def test_ten_steps_on_a_parabola_end_where_dive_into_deep_learning_says(lr, last):
    assert descend(lambda x: 2 * x, 10.0, lr, 10)[-1] == pytest.approx(last, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_thousand_random_steps_equal_torchs_sgd(dtype):
    rng = torch.Generator().manual_seed(7)
    theirs = torch.nn.Parameter(torch.randn(4, 3, generator=rng, dtype=dtype))
    ours = theirs.detach().clone()
    optimizer = torch.optim.SGD([theirs], lr=0.037)
    for _ in range(1000):
        theirs.grad = torch.randn(4, 3, generator=rng, dtype=dtype)
        ours = gradient_step(ours, theirs.grad, 0.037)
        optimizer.step()
    bound = {torch.float32: 1e-6, torch.float64: 1e-12}[dtype]
    assert torch.linalg.norm(ours - theirs.detach()) <= bound * torch.linalg.norm(theirs.detach())


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_numpy_and_torch_walk_alike_and_keep_their_kind(kind):
    start = np.array([[-1.0, 4.0, 0.5], [2.0, -3.0, 1.0]], dtype=kind)
    with_numpy = descend(lambda t: t**3 - t, start, 0.01, 6)
    with_torch = descend(lambda t: t**3 - t, torch.from_numpy(start), 0.01, 6)
    assert with_numpy.dtype == kind and with_numpy.shape == (7, 2, 3)
    assert isinstance(with_torch, torch.Tensor)
    assert np.allclose(with_numpy, with_torch.numpy(), rtol=1e-6, atol=0)


def test_the_step_compiles_to_the_same_numbers_it_gives_in_numpy():
    theta, grad = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.3, 4.0, -1.0])
    compiled = torch.compile(gradient_step, backend="eager", fullgraph=True)
    assert torch.equal(compiled(theta, grad, 0.1), gradient_step(theta, grad, 0.1))


def test_nothing_that_was_passed_in_changes():
    start = np.array([1.0, 2.0])
    descend(lambda theta: theta, start, 0.5, 3)
    gradient_step(start, np.ones(2), 0.5)
    assert np.array_equal(start, [1.0, 2.0])


def test_the_gradient_is_asked_for_once_a_step():
    asked = []
    descend(lambda theta: asked.append(float(theta)) or 2 * theta, 1.0, 0.25, 3)
    assert asked == [1.0, 0.5, 0.25]


def test_no_steps_is_a_path_of_one_point():
    assert descend(bowl.grad, -1.0, 0.3, 0).tolist() == [-1.0]


@pytest.mark.parametrize("steps", [-1, 2.5])
def test_a_number_of_steps_that_makes_no_sense_is_refused_with_a_sentence(steps):
    with pytest.raises(ValueError, match="whole number from 0 up"):
        descend(bowl.grad, -1.0, 0.3, steps)


@pytest.mark.parametrize("module", [gdlab.rules, gdlab.objectives])
def test_the_examples_in_the_docstrings_are_true(module):
    assert doctest.testmod(module).failed == 0


def test_importing_gdlab_brings_neither_torch_nor_matplotlib():
    code = "import sys, gdlab, gdlab.rules, gdlab.objectives; print(sorted({'torch', 'matplotlib', 'ipywidgets'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
