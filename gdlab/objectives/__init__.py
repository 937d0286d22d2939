"""What gets minimised: loss surfaces that the chapters walk on, and small models of data.

An objective is a loss L(θ) and its gradient ∇L(θ); a model's loss also needs examples, L(θ; X, y). All
are written once, with what NumPy arrays and torch tensors share, so that an array goes in and the same
kind comes out, and every gradient is worked out by hand: `surfaces` holds functions of one, two or d
numbers, `models` holds regression, classification and a small neural network.
"""

from gdlab.objectives.models import (
    Model,
    least_squares,
    linear_regression,
    logistic_regression,
    mlp,
    mlp_start,
    softmax_regression,
    with_intercept,
)
from gdlab.objectives.surfaces import (
    Objective,
    beale,
    bowl,
    double_well,
    himmelblau,
    numerical_gradient,
    quadratic,
    ravine,
    rosenbrock,
    saddle,
)

__all__ = [
    "Model",
    "Objective",
    "beale",
    "bowl",
    "double_well",
    "himmelblau",
    "least_squares",
    "linear_regression",
    "logistic_regression",
    "mlp",
    "mlp_start",
    "numerical_gradient",
    "quadratic",
    "ravine",
    "rosenbrock",
    "saddle",
    "softmax_regression",
    "with_intercept",
]
