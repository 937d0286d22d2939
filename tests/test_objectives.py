"""The bowl: its values, and a gradient that is really the gradient of its loss."""

import numpy as np
import pytest
import torch

from gdlab.objectives import bowl


def test_the_start_and_the_minimum_are_those_of_the_primer():
    assert bowl.loss(bowl.start) == 16.5
    assert bowl.loss(bowl.minimum) == 0.5
    assert bowl.grad(bowl.minimum) == 0.0


@pytest.mark.parametrize("theta", [-4.2, -1.0, 0.3, 3.0, 7.5])
def test_the_gradient_is_what_automatic_differentiation_says(theta):
    point = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    bowl.loss(point).backward()
    assert bowl.grad(theta) == pytest.approx(point.grad.item(), rel=1e-14)


def test_an_array_is_many_separate_points():
    thetas = np.linspace(-2, 5, 7)
    assert np.array_equal(bowl.loss(thetas), [bowl.loss(theta) for theta in thetas])
