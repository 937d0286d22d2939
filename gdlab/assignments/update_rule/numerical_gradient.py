"""numerical_gradient(loss_fn, theta, h=1e-5) -> like theta: the slope along each coordinate, by central differences.

The cases take h = 0.005: so far apart that a one-sided slope shows (its error is of order h), and so
close that central ones of any order, and those computed in float32, lie within 1e-4 of the slope.
"""

from collections.abc import Callable

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone, signed
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer, Oracle
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part, Property
from gdlab.objectives import numerical_gradient

H = 0.005
MOST_CALLS = 4
"""A coordinate: two are enough, the fourth-order formula takes four."""


def _loss_1d(rng, theta):
    """A bowl close by and a wave: ½k·(θ − c)² + b·sin θ, so that no derivative is zero."""
    k, b, c = rng.uniform(4, 8), rng.uniform(0.2, 0.4), float(theta - signed(rng, 0.15, 0.3))
    return Oracle(
        lambda theta: 0.5 * k * (theta - c) ** 2 + b * np.sin(theta),
        f"the loss ½·{k:.3g}·(θ − {c:.3g})² + {b:.3g}·sin θ",
    )


def _loss_coupled(rng, theta):
    """The same in many coordinates that all pull on each other, half of them one way and half the other."""
    signs = rng.choice([-1.0, 1.0], theta.shape)
    centre = theta - signs * rng.uniform(0.1, 0.2, theta.shape)
    k, b = rng.uniform(2, 4, theta.shape), rng.uniform(0.2, 0.4)

    def loss(theta):
        away = theta - centre
        return 0.5 * np.sum(k * away**2) + 1.5 * np.sum(signs * away) ** 2 + b * np.sin(np.sum(away))

    return Oracle(loss, f"a loss of {theta.size} coupled coordinates")


def _cases(rng):
    def number(part, theta):
        return Case(part, {"loss_fn": _loss_1d(rng, theta), "theta": theta, "h": H})

    def array(part, theta):
        return Case(part, {"loss_fn": _loss_coupled(rng, theta), "theta": theta, "h": H})

    def whole(shape=None):
        return rng.integers(2, 6, shape) * rng.choice([-1, 1], shape)

    return [
        number("number", float(signed(rng, 1, 4))),
        number("number", float(signed(rng, 1, 4))),
        array("array", signed(rng, 1, 4, 3)),
        array("array", signed(rng, 1, 4, (2, 3))),
        number("whole", int(whole())),
        array("whole", whole(3)),
        array("whole", whole((2, 2))),
    ]


def _along_each_coordinate(slope: Callable) -> Callable:
    """A numerical gradient from `slope(loss_fn, theta, nudge, h)`, where `nudge` is h at one coordinate, else 0."""

    def gradient(loss_fn, theta, h):
        theta = np.asarray(theta, dtype=float)
        slopes = np.zeros_like(theta)
        for place in np.ndindex(theta.shape):
            nudge = np.zeros_like(theta)
            nudge[place] = h
            slopes[place] = slope(loss_fn, theta, nudge, h)
        return slopes

    return gradient


# ---------------------------------------------------------------- right in other ways


def _rows_of_eye(loss_fn, theta, h):
    theta = np.asarray(theta, dtype=float)
    nudges = h * np.eye(theta.size).reshape(theta.size, *theta.shape)
    slopes = [(loss_fn(theta + nudge) - loss_fn(theta - nudge)) / (2 * h) for nudge in nudges]
    return np.reshape(slopes, theta.shape)


def _nudge_and_move_back(loss_fn, theta, h):
    theta = np.array(theta, dtype=float)
    slopes = np.empty(theta.shape)
    for i in np.ndindex(theta.shape):
        here = theta[i]
        theta[i] = here + h
        up = loss_fn(theta)
        theta[i] = here - h
        down = loss_fn(theta)
        theta[i] = here
        slopes[i] = (up - down) / (2 * h)
    return slopes


def _mean_of_both_sides(loss_fn, theta, h):
    middle = loss_fn(theta)

    def slope(loss_fn, theta, nudge, h):
        return ((loss_fn(theta + nudge) - middle) / h + (middle - loss_fn(theta - nudge)) / h) / 2

    return _along_each_coordinate(slope)(loss_fn, theta, h)


def _fourth_order(loss_fn, theta, nudge, h):
    near = loss_fn(theta + nudge) - loss_fn(theta - nudge)
    far = loss_fn(theta + 2 * nudge) - loss_fn(theta - 2 * nudge)
    return (8 * near - far) / (12 * h)


def _flat_list(loss_fn, theta, h):
    flat = [float(x) for x in np.ravel(theta)]

    def loss_of(numbers):
        return loss_fn(np.reshape(numbers, np.shape(theta)))

    slopes = []
    for i, x in enumerate(flat):
        up, down = flat[:i] + [x + h] + flat[i + 1 :], flat[:i] + [x - h] + flat[i + 1 :]
        slopes.append((loss_of(up) - loss_of(down)) / 2 / h)
    return np.reshape(slopes, np.shape(theta)).tolist()


def _in_torch(loss_fn, theta, h):
    import torch

    theta = torch.as_tensor(theta, dtype=torch.float64)
    slopes = torch.zeros_like(theta)
    for i in np.ndindex(tuple(theta.shape)):
        nudge = torch.zeros_like(theta)
        nudge[i] = h
        slopes[i] = (loss_fn(theta + nudge) - loss_fn(theta - nudge)) / (2 * h)
    return slopes


def _in_float32(loss_fn, theta, h):
    theta, h = np.asarray(theta, dtype=np.float32), np.float32(h)
    slopes = np.zeros(theta.shape, dtype=np.float32)
    for i in np.ndindex(theta.shape):
        up, down = theta.copy(), theta.copy()
        up[i] += h
        down[i] -= h
        slopes[i] = (np.float32(loss_fn(up)) - np.float32(loss_fn(down))) / (2 * h)
    return slopes


# ---------------------------------------------------------------- wrong


def _passes_one_coordinate(loss_fn, theta, h):
    theta = np.asarray(theta, dtype=float)
    slopes = [(loss_fn(x + h) - loss_fn(x - h)) / (2 * h) for x in np.ravel(theta)]
    return np.reshape(slopes, theta.shape)


def _never_moves_back(loss_fn, theta, h):
    theta = np.array(theta, dtype=float)
    slopes = np.zeros(theta.shape)
    for i in np.ndindex(theta.shape):
        theta[i] += h
        up = loss_fn(theta)
        theta[i] -= 2 * h
        slopes[i] = (up - loss_fn(theta)) / (2 * h)
    return slopes


def _with_the_dtype_of_theta(nudges: bool, answer: bool) -> Callable:
    """Where whole numbers in are whole numbers on the way, in the nudged positions or in the answer."""

    def gradient(loss_fn, theta, h):
        slopes = np.zeros_like(theta) if answer else np.zeros(np.shape(theta))
        for i in np.ndindex(np.shape(theta)):
            up, down = (np.array(theta, dtype=None if nudges else float) for _ in range(2))
            up[i] = up[i] + h
            down[i] = down[i] - h
            slopes[i] = (loss_fn(up) - loss_fn(down)) / (2 * h)
        return slopes

    return gradient


def _error_over_h(answer: Answer) -> str:
    """How far the learner's slope of e^θ at 0 is off as h shrinks, beside central differences."""
    powers = np.arange(-1, -12, -0.5)

    def error(gradient) -> list[float]:
        return [
            abs(gradient(Oracle(lambda theta: np.exp(theta), "e^θ"), 0.0, float(10.0**power)) - 1) for power in powers
        ]

    def yours(loss_fn, theta, h):
        came = answer({"loss_fn": loss_fn, "theta": theta, "h": h}).value
        return float(np.asarray(came).item()) if is_numeric(came) and np.size(came) == 1 else np.nan

    return curve_picture(
        [("central", powers, error(numerical_gradient)), ("yours", powers, error(yours))],
        x_label="log₁₀ h",
        y_label="error of the slope",
        log_y=True,
    )


EXERCISE = Exercise(
    name="numerical_gradient",
    version=1,
    reference=numerical_gradient,
    cases=_cases,
    parts=(
        Part("number", "the slope along one parameter", 1),
        Part("array", "the gradient of several parameters, in theta's shape", 1),
        Part("whole", "a theta of whole numbers", 1),
        Part("manners", "few calls, and the caller's theta stays as it was", 1),
    ),
    mistakes=(
        Mistake(
            "one-sided",
            _along_each_coordinate(lambda f, theta, nudge, h: (f(theta + nudge) - f(theta)) / h),
            "Your error shrinks like h, not like h²: you look one way only.",
        ),
        Mistake(
            "one-side-over-two-gaps",
            _along_each_coordinate(lambda f, theta, nudge, h: (f(theta + nudge) - f(theta)) / (2 * h)),
            "About half as steep as it should be: your two points are only h apart, and you divide by 2h.",
        ),
        Mistake(
            "divides-by-h",
            _along_each_coordinate(lambda f, theta, nudge, h: (f(theta + nudge) - f(theta - nudge)) / h),
            "Exactly twice too steep: how far apart are your two points?",
        ),
        Mistake(
            "multiplies-by-h",
            _along_each_coordinate(lambda f, theta, nudge, h: (f(theta + nudge) - f(theta - nudge)) / 2 * h),
            "Far too small: Python reads `/ 2 * h` from left to right, so h multiplies.",
        ),
        Mistake(
            "down-minus-up",
            _along_each_coordinate(lambda f, theta, nudge, h: (f(theta - nudge) - f(theta + nudge)) / (2 * h)),
            "Right size, wrong sign: where the loss rises with theta, the slope is positive.",
        ),
        Mistake(
            "moves-all-coordinates",
            lambda f, theta, h: np.full(np.shape(theta), (f(theta + h) - f(theta - h)) / (2 * h)),
            "All components are equal: you nudged every coordinate together.",
        ),
        Mistake(
            "passes-one-coordinate",
            _passes_one_coordinate,
            "The loss needs all of theta, and you gave it a single number.",
        ),
        Mistake(
            "never-moves-back",
            _never_moves_back,
            "Only the first component is right; the later ones start from a point that has already moved.",
        ),
        Mistake(
            "whole-numbers",
            _with_the_dtype_of_theta(nudges=True, answer=True),
            "An array of whole numbers cuts off what you write into it, small nudges as well as slopes; mind its dtype.",
        ),
        Mistake(
            "whole-number-slopes",
            _with_the_dtype_of_theta(nudges=False, answer=True),
            "Where theta holds whole numbers your slopes lose their decimals; which dtype has the array you put them in?",
        ),
        Mistake(
            "whole-number-nudges",
            _with_the_dtype_of_theta(nudges=True, answer=False),
            "Where theta holds whole numbers your nudge is cut off; which dtype has the array you nudge?",
        ),
    ),
    properties=(
        Property(
            name="too-many-calls",
            part="manners",
            holds=lambda inputs, reply: len(inputs["loss_fn"].queries) <= MOST_CALLS * np.size(inputs["theta"]),
            sentence="Your gradient is right, but it asks for the loss more often than it needs to: two calls a coordinate are enough, and on a real model every call is costly.",
        ),
        leaves_inputs_alone(part="manners"),
    ),
    alternatives=(
        Alternative("rows of eye", _rows_of_eye),
        Alternative("nudge and move back, on a copy", _nudge_and_move_back),
        Alternative("mean of both one-sided slopes", _mean_of_both_sides),
        Alternative("fourth-order formula", _along_each_coordinate(_fourth_order)),
        Alternative("flat lists, returns a list", _flat_list),
        Alternative("torch tensors", _in_torch),
        Alternative("float32", _in_float32),
    ),
    notice="Notice what it costs: two losses for every parameter. A million parameters cost two million losses; backpropagation costs about as much as three.",
    axes=("entry", "column"),
    tolerance=2e-4,
    picture=_error_over_h,
    equivalent_mutants={
        "slopes = np.zeros_like(theta) → slopes = np.ones_like(theta)": "every entry is written before it is returned",
    },
)
