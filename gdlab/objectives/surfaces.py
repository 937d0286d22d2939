"""Loss surfaces, each with its gradient and with what is known about its lowest points.

A surface of one number reads an array as many separate numbers; a surface of two reads the last axis as
(x, y), so that a grid of shape (…, 2) gives losses of shape (…): what a plot of its contours needs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj


@dataclass(frozen=True)
class Objective:
    """A loss, its gradient, and what is known about it.

    Attributes:
        name: what figures and tests call it.
        formula: the loss in LaTeX.
        loss: θ -> L(θ).
        grad: θ -> ∇L(θ), of θ's shape.
        start: where the book's walks begin: a number, or a tuple of numbers.
        minimum: a θ where the loss is lowest; None where there is none, or none is known.
        other_minima: further θ with a loss lower than all around.
        flat_points: further θ where the gradient is zero: saddles and maxima.
        hessian: for a quadratic its second derivatives, a number or a matrix (d, d); else None.
    """

    name: str
    formula: str
    loss: Callable[[Any], Any]
    grad: Callable[[Any], Any]
    start: Any
    minimum: Any
    other_minima: tuple = ()
    flat_points: tuple = ()
    hessian: Any = None

    @property
    def minima(self) -> tuple:
        """All minima that are known.

        >>> double_well.minima
        (1.0, -1.0)
        """
        return (() if self.minimum is None else (self.minimum,)) + self.other_minima


def numerical_gradient(loss_fn: Callable[[Any], Any], theta, h: float = 1e-5):
    """The gradient by central differences: (L(θ + h·eᵢ) − L(θ − h·eᵢ))/2h for every coordinate i.

    The error is of order h², plus rounding of order 1e-16·L/h: 1e-5 balances the two.

    Args:
        loss_fn: θ -> a number; called twice a coordinate, with new arrays.
        theta: where, an array of any shape or a number; whole numbers are read as floats.
        h: how far to look either way, above 0.

    Returns:
        ∇L(θ), float64 of `theta`'s shape; a float for a number.

    >>> numerical_gradient(lambda theta: float((theta**2).sum()), np.array([1, -2])).round(6)
    array([ 2., -4.])
    """
    if not h > 0:
        raise ValueError(f"h says how far to look to either side, above 0, but is {h!r}.")
    theta = np.asarray(theta, dtype=float)
    slopes = np.empty_like(theta)
    for place in np.ndindex(theta.shape):
        nudge = np.zeros_like(theta)
        nudge[place] = h
        slopes[place] = (loss_fn(theta + nudge) - loss_fn(theta - nudge)) / (2 * h)
    return slopes if theta.ndim else float(slopes)


# ------------------------------------------------------------------ of one number


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
    hessian=2.0,
)
"""The parabola of chapter 1: L(θ) = (θ − 3)² + ½, ∇L(θ) = 2(θ − 3), lowest at θ = 3 where L = ½.

θ is one number. An array is read as many separate numbers, each with its own loss: that is what a
plot of the curve needs.

>>> bowl.loss(-1.0), bowl.grad(-1.0)
(16.5, -8.0)
"""


def _double_well_loss(theta):
    return (theta**2 - 1.0) ** 2


def _double_well_grad(theta):
    return 4.0 * theta * (theta**2 - 1.0)


double_well = Objective(
    name="double well",
    formula=r"L(\theta) = (\theta^2 - 1)^2",
    loss=_double_well_loss,
    grad=_double_well_grad,
    start=0.1,
    minimum=1.0,
    other_minima=(-1.0,),
    flat_points=(0.0,),
)
"""Two equal valleys at ±1 and a hilltop at 0 between them: the side you start on is where you end."""


# ----------------------------------------------------------------- of two numbers


def _xy(theta):
    theta = theta if is_array_api_obj(theta) else np.asarray(theta, dtype=float)
    if theta.shape[-1:] != (2,):
        raise ValueError(
            f"A point on this surface is a pair (x, y), so theta's last axis has length 2, but its shape is {tuple(theta.shape)}."
        )
    return theta[..., 0], theta[..., 1]


def _pair(x, y):
    return array_namespace(x).stack((x, y), axis=-1)


def _saddle_loss(theta):
    x, y = _xy(theta)
    return 0.5 * x**2 - 0.5 * y**2 + 0.25 * y**4


def _saddle_grad(theta):
    x, y = _xy(theta)
    return _pair(x, y**3 - y)


saddle = Objective(
    name="saddle",
    formula=r"L(x, y) = \tfrac12 x^2 - \tfrac12 y^2 + \tfrac14 y^4",
    loss=_saddle_loss,
    grad=_saddle_grad,
    start=(2.0, 1e-3),
    minimum=(0.0, 1.0),
    other_minima=((0.0, -1.0),),
    flat_points=((0.0, 0.0),),
)
"""A pass between two valleys: up along x, down along y until y⁴ turns it. From y = 0 a walk stops at the pass."""


def _rosenbrock_loss(theta):
    x, y = _xy(theta)
    return (1.0 - x) ** 2 + 100.0 * (y - x**2) ** 2


def _rosenbrock_grad(theta):
    x, y = _xy(theta)
    return _pair(-2.0 * (1.0 - x) - 400.0 * x * (y - x**2), 200.0 * (y - x**2))


rosenbrock = Objective(
    name="Rosenbrock",
    formula=r"L(x, y) = (1 - x)^2 + 100\,(y - x^2)^2",
    loss=_rosenbrock_loss,
    grad=_rosenbrock_grad,
    start=(-1.2, 1.0),
    minimum=(1.0, 1.0),
)
"""A long curved valley (Rosenbrock 1960): its floor is soon found, and then hardly slopes.

>>> rosenbrock.loss(np.array([-1.2, 1.0])).round(1)
np.float64(24.2)
"""


def _beale_terms(theta):
    x, y = _xy(theta)
    return x, y, [(c - x + x * y**k, k) for c, k in ((1.5, 1), (2.25, 2), (2.625, 3))]


def _beale_loss(theta):
    _, _, terms = _beale_terms(theta)
    return sum(r**2 for r, _ in terms)


def _beale_grad(theta):
    x, y, terms = _beale_terms(theta)
    return _pair(sum(2.0 * r * (y**k - 1.0) for r, k in terms), sum(2.0 * r * k * x * y ** (k - 1) for r, k in terms))


beale = Objective(
    name="Beale",
    formula=r"L(x, y) = (1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2",
    loss=_beale_loss,
    grad=_beale_grad,
    start=(1.0, 1.5),
    minimum=(3.0, 0.5),
    flat_points=((0.0, 1.0),),
)
"""Flat plains with steep walls at the corners (Beale 1958)."""


def _himmelblau_loss(theta):
    x, y = _xy(theta)
    return (x**2 + y - 11.0) ** 2 + (x + y**2 - 7.0) ** 2


def _himmelblau_grad(theta):
    x, y = _xy(theta)
    a, b = x**2 + y - 11.0, x + y**2 - 7.0
    return _pair(4.0 * x * a + 2.0 * b, 2.0 * a + 4.0 * y * b)


himmelblau = Objective(
    name="Himmelblau",
    formula=r"L(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2",
    loss=_himmelblau_loss,
    grad=_himmelblau_grad,
    start=(0.0, 0.0),
    minimum=(3.0, 2.0),
    other_minima=(
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.283185991286170),
        (3.584428340330492, -1.848126526964404),
    ),
    flat_points=(
        (-0.2708445906673476, -0.9230385564799816),
        (0.08667750455539634, 2.884254701174776),
        (3.385154183607021, 0.07385187983774928),
        (-0.1279613467306801, -1.953714980244577),
        (-3.073025750764390, -0.08135304428796751),
    ),
)
"""Four minima, all of loss 0, four saddles and one hilltop (Himmelblau 1972): the start decides."""


# --------------------------------------------------------------- of as many as you like


def quadratic(eigenvalues, rotation=0.0, centre=None, start=None, name="quadratic") -> Objective:
    """L(θ) = ½(θ − c)ᵀH(θ − c), with the curvatures you choose: H = QΛQᵀ, ∇L = H(θ − c).

    Args:
        eigenvalues: the d curvatures on Λ's diagonal; the largest limits the rate, the ratio of largest
            to smallest (the condition number) the pace.
        rotation: how Q turns the axes: an angle in radians when d = 2, a `numpy.random.Generator` for a
            random rotation of any d, or 0 for none.
        centre: c, the point where the gradient is zero; the origin when left out.
        start: where walks begin; one away from c along every coordinate when left out.
        name: what figures call it.

    Returns:
        An `Objective` with H as `hessian`. Its `minimum` is c if all curvatures are above 0; else there
        is none, and c is a flat point.

    >>> steep = quadratic([1.0, 10.0])
    >>> steep.loss(np.array([2.0, 1.0])), steep.grad(np.array([2.0, 1.0]))
    (np.float64(7.0), array([ 2., 10.]))
    """
    eigenvalues = np.asarray(eigenvalues, dtype=float)
    if eigenvalues.ndim != 1 or eigenvalues.size == 0 or not np.isfinite(eigenvalues).all():
        raise ValueError(f"eigenvalues is a row of one or more finite curvatures, but is {eigenvalues.tolist()!r}.")
    turn = _rotation(rotation, eigenvalues.size)
    hessian = (turn * eigenvalues) @ turn.T
    hessian = 0.5 * (hessian + hessian.T)
    centre = np.zeros(eigenvalues.size) if centre is None else np.array(centre, dtype=float)
    if centre.shape != eigenvalues.shape:
        raise ValueError(f"centre is a point with {eigenvalues.size} coordinates, but has the shape {centre.shape}.")
    for constant in (hessian, centre):
        constant.flags.writeable = False

    def at(theta):
        theta = theta if is_array_api_obj(theta) else np.asarray(theta, dtype=float)
        xp, where = array_namespace(theta), device(theta)
        away = theta - xp.asarray(centre.copy(), dtype=theta.dtype, device=where)
        return xp, away, away @ xp.asarray(hessian.copy(), dtype=theta.dtype, device=where)

    def loss(theta):
        xp, away, slope = at(theta)
        return 0.5 * xp.sum(away * slope, axis=-1)

    def grad(theta):
        return at(theta)[2]

    point = tuple(centre.tolist())
    bowl_shaped = bool((eigenvalues > 0).all())
    return Objective(
        name=name,
        formula=r"L(\theta) = \tfrac12 (\theta - c)^\top H\,(\theta - c)",
        loss=loss,
        grad=grad,
        start=tuple((centre + 1.0).tolist()) if start is None else start,
        minimum=point if bowl_shaped else None,
        flat_points=() if bowl_shaped else (point,),
        hessian=hessian,
    )


def _rotation(rotation, size):
    if isinstance(rotation, np.random.Generator):
        turn, signs = np.linalg.qr(rotation.normal(size=(size, size)))
        return turn * np.sign(np.diag(signs))
    if rotation == 0:
        return np.eye(size)
    if size != 2:
        raise ValueError(f"An angle turns two axes; for {size} give rotation=numpy.random.default_rng(seed).")
    return np.array([[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]])


ravine = quadratic([0.2, 4.0], start=(-5.0, -2.0), name="ravine")
"""L = 0.1·x² + 2·y², twenty times as steep across as along: gradient descent zigzags, momentum does not.

Dive into Deep Learning's example, with its start.
"""
