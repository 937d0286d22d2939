"""Update rules: how a gradient turns into a move.

Gradient descent (Cauchy 1847) subtracts a small multiple of the gradient, again and again:

    θ ← θ − η·∇L(θ)

Each rule is written once, with operators that floats, NumPy arrays and torch tensors share; it
returns new values and never changes what it was given.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj


def gradient_step(theta, grad, lr):
    """One step against the gradient: θ − η·∇L.

    Args:
        theta: the parameters, an array of any shape or a number.
        grad: ∇L at `theta`, of the same shape.
        lr: the learning rate η, in units of θ² per unit of loss.

    Returns:
        The new parameters, of `theta`'s shape and kind. `theta` itself is left as it was.

    >>> gradient_step(-1.0, -8.0, lr=0.25)
    1.0
    """
    return theta - lr * grad


def descend(grad_fn: Callable[[Any], Any], theta, lr, steps: int):
    """Repeat `gradient_step` and keep every point: θ₀, θ₁, …, θ_steps.

    Args:
        grad_fn: θ -> ∇L(θ); called once a step.
        theta: the start θ₀, an array of any shape or a number.
        lr: the learning rate η.
        steps: how many steps to take, 0 or more.

    Returns:
        An array of shape (steps + 1, *theta.shape), of `theta`'s kind and dtype; row 0 is the start.

    Raises:
        ValueError: if `steps` is negative or not a whole number.

    >>> descend(lambda theta: 2 * (theta - 3), -1.0, lr=0.25, steps=2)
    array([-1.,  1.,  2.])
    """
    if steps != int(steps) or steps < 0:
        raise ValueError(f"steps says how many steps to take, a whole number from 0 up, but is {steps!r}.")
    theta = theta if is_array_api_obj(theta) else np.asarray(theta, dtype=float)
    path = [theta]
    for _ in range(int(steps)):
        path.append(gradient_step(path[-1], grad_fn(path[-1]), lr))
    return array_namespace(theta).stack(path)
