"""Loss surfaces that the chapters walk on, each with its gradient.

An objective is a loss L(θ) and its gradient ∇L(θ), written with operators only, so that a float,
a NumPy array or a torch tensor goes in and the same kind comes out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Objective:
    """A loss, its gradient, and what is known about it.

    Attributes:
        name: what figures and tests call it.
        formula: the loss in LaTeX.
        loss: θ -> L(θ).
        grad: θ -> ∇L(θ), of θ's shape.
        start: where the book's walks begin.
        minimum: the θ where the gradient is zero.
    """

    name: str
    formula: str
    loss: Callable[[Any], Any]
    grad: Callable[[Any], Any]
    start: float
    minimum: float


def _bowl_loss(theta):
    return (theta - 3.0) ** 2 + 0.5


def _bowl_grad(theta):
    return 2.0 * (theta - 3.0)


bowl = Objective(
    name="bowl",
    formula=r"L(\theta) = (\theta - 3)^2 + 0.5",
    loss=_bowl_loss,
    grad=_bowl_grad,
    start=-1.0,
    minimum=3.0,
)
"""The parabola of chapter 1: L(θ) = (θ − 3)² + ½, ∇L(θ) = 2(θ − 3), lowest at θ = 3 where L = ½.

θ is one number. An array is read as many separate numbers, each with its own loss: that is what a
plot of the curve needs.

>>> bowl.loss(-1.0), bowl.grad(-1.0)
(16.5, -8.0)
"""
