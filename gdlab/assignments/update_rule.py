"""Assignment 1, the update rule: one step against the gradient, and a whole walk of them.

gradient_step(theta, grad, lr)          -> theta                      3 points
descend(grad_fn, theta, lr, steps)      -> path (steps + 1, …)        5 points
"""

import functools
import itertools

import numpy as np

from gdlab.figures.bowl_svg import bowl_picture
from gdlab.judge.answer import Answer, Oracle
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part, Property
from gdlab.objectives import bowl
from gdlab.rules import descend, gradient_step

PICTURE_LR, PICTURE_STEPS = 0.3, 4

LEAVES_INPUTS_ALONE = functools.partial(
    Property,
    name="changes-its-input",
    holds=lambda inputs, reply: not reply.changed,
    sentence="Your answer is right, but the caller's array changed too. Make a new array instead of writing into theta.",
)


def _signed(rng, low, high, shape=None):
    """Numbers whose size lies between `low` and `high`, of either sign: never near zero, never alike."""
    return rng.uniform(low, high, shape) * rng.choice([-1.0, 1.0], shape)


# ---------------------------------------------------------------- gradient_step


def _step_cases(rng):
    def case(part, shape):
        theta, grad = _signed(rng, 1, 5, shape), _signed(rng, 0.5, 4, shape)
        if shape is None:
            theta, grad = float(theta), float(grad)
        return Case(part, {"theta": theta, "grad": grad, "lr": float(rng.uniform(0.05, 0.4))})

    return [case("number", None), case("number", None), case("array", 3), case("array", 5), case("array", (2, 3))]


def _step_in_place_on_a_copy(theta, grad, lr):
    moved = np.array(theta, dtype=float)
    moved -= lr * np.asarray(grad)
    return moved


def _step_by_loop(theta, grad, lr):
    moved = np.array(theta, dtype=float)
    for i in np.ndindex(moved.shape):
        moved[i] = moved[i] - lr * np.asarray(grad)[i]
    return moved


def _step_in_torch(theta, grad, lr):
    import torch

    return torch.as_tensor(theta) - lr * torch.as_tensor(grad)


def _path_of_steps(answer: Answer) -> list[float]:
    """Where the learner's step leads on the bowl, from the book's start."""
    path = [bowl.start]
    for _ in range(PICTURE_STEPS):
        came = answer({"theta": path[-1], "grad": bowl.grad(path[-1]), "lr": PICTURE_LR}).value
        if not is_numeric(came) or np.size(came) != 1:
            break
        path.append(float(np.asarray(came).item()))
    return path


def _picture(path: list[float]) -> str:
    right = [float(theta) for theta in descend(bowl.grad, bowl.start, PICTURE_LR, PICTURE_STEPS)]
    return bowl_picture([("right", right), ("yours", path)], width=460, height=280)


GRADIENT_STEP = Exercise(
    name="gradient_step",
    version=1,
    reference=gradient_step,
    cases=_step_cases,
    parts=(
        Part("number", "one parameter", 1),
        Part("array", "an array of parameters", 1),
        Part("unchanged", "the caller's theta stays as it was", 1),
    ),
    mistakes=(
        Mistake(
            "adds-the-gradient",
            lambda theta, grad, lr: theta + lr * grad,
            "You moved uphill; which way does a gradient point?",
        ),
        Mistake("forgets-lr", lambda theta, grad, lr: theta - grad, "Doubling lr changes nothing in your step."),
        Mistake(
            "assigns-the-step", lambda theta, grad, lr: -lr * grad, "The old position is lost; compare =- with -=."
        ),
        Mistake(
            "returns-only-the-step", lambda theta, grad, lr: lr * grad, "That is how far to move; where do you arrive?"
        ),
        Mistake(
            "lr-outside-bracket",
            lambda theta, grad, lr: lr * (theta - grad),
            "lr shrinks theta as well; look at your brackets.",
        ),
        Mistake(
            "sign-only",
            lambda theta, grad, lr: theta - lr * np.sign(grad),
            "Steep and flat slopes move you equally far.",
        ),
        Mistake(
            "one-slope-for-all",
            lambda theta, grad, lr: theta - lr * np.mean(grad),
            "All coordinates moved alike, yet each has its own slope.",
        ),
    ),
    properties=(LEAVES_INPUTS_ALONE(part="unchanged"),),
    alternatives=(
        Alternative("ufuncs", lambda theta, grad, lr: np.add(theta, np.multiply(-lr, grad))),
        Alternative("loop over entries", _step_by_loop),
        Alternative("in place on a copy", _step_in_place_on_a_copy),
        Alternative("torch tensors", _step_in_torch),
        Alternative("float32", lambda theta, grad, lr: np.float32(theta) - np.float32(lr) * np.float32(grad)),
        Alternative("returns a list", lambda theta, grad, lr: np.subtract(theta, lr * np.asarray(grad)).tolist()),
    ),
    notice="Notice that one line serves a single number and a whole matrix: every parameter takes its own step.",
    axes=("entry", "column"),
    picture=lambda answer: _picture(_path_of_steps(answer)),
)

# ---------------------------------------------------------------------- descend


def _slope_1d(rng):
    """The slope of a curve with a bend beyond quadratic: a·(θ − c) + b·sin θ."""
    a, b, c = rng.uniform(0.8, 1.6), rng.uniform(0.3, 0.6), _signed(rng, 1, 3)
    return Oracle(lambda theta: a * (theta - c) + b * np.sin(theta), f"the slope {a:.3g}·(θ − {c:.3g}) + {b:.3g}·sin θ")


def _slope_coupled(rng, size):
    """A gradient in which every coordinate pulls on every other: A·(θ − c) + b·sin(Σθ), all |A_ij| ≥ 0.6."""
    signs = rng.choice([-1.0, 1.0], size)
    curvature = 0.6 * np.outer(signs, signs) + np.diag(rng.uniform(0.4, 1.0, size))
    centre, b = _signed(rng, 1, 3, size), rng.uniform(0.3, 0.6)

    def gradient(theta):
        flat = curvature @ (np.ravel(theta) - centre) + b * np.sin(np.sum(theta))
        return flat.reshape(np.shape(theta))

    return Oracle(gradient, f"a gradient in {size} coupled coordinates")


def _walk_cases(rng):
    def lr():
        return float(rng.uniform(0.1, 0.3))

    def number(steps):
        return Case(
            "number", {"grad_fn": _slope_1d(rng), "theta": float(_signed(rng, 3, 6)), "lr": lr(), "steps": steps}
        )

    def array(shape, steps):
        grad_fn = _slope_coupled(rng, int(np.prod(shape)))
        return Case("array", {"grad_fn": grad_fn, "theta": _signed(rng, 2, 5, shape), "lr": lr(), "steps": steps})

    return [
        number(int(rng.integers(4, 8))),
        number(1),
        number(0),
        array((2,), int(rng.integers(4, 8))),
        array((3,), 2),
        array((2, 2), 3),
    ]


def _walk_by_filling_in(grad_fn, theta, lr, steps):
    path = np.empty((steps + 1, *np.shape(theta)))
    path[0] = theta
    for k in range(steps):
        path[k + 1] = path[k] - lr * grad_fn(path[k])
    return path


def _walk_by_recursion(grad_fn, theta, lr, steps):
    if steps == 0:
        return [theta]
    return [theta, *_walk_by_recursion(grad_fn, theta - lr * grad_fn(theta), lr, steps - 1)]


def _walk_by_accumulate(grad_fn, theta, lr, steps):
    return list(itertools.accumulate(range(steps), lambda here, _: here - lr * grad_fn(here), initial=theta))


def _walk_by_appending_copies(grad_fn, theta, lr, steps):
    here = np.array(theta, dtype=float)
    path = [here.copy()]
    while len(path) <= steps:
        here -= lr * grad_fn(here)
        path.append(here.copy())
    return np.array(path)


def _walk_in_torch(grad_fn, theta, lr, steps):
    import torch

    path = [torch.as_tensor(theta, dtype=torch.float64)]
    for _ in range(steps):
        path.append(path[-1] - lr * torch.as_tensor(grad_fn(path[-1].numpy())))
    return torch.stack(path)


def _never_recomputed(grad_fn, theta, lr, steps):
    slope = grad_fn(theta)
    return np.array([theta - k * lr * slope for k in range(steps + 1)])


def _same_array_appended(grad_fn, theta, lr, steps):
    path = [theta]
    for _ in range(steps):
        theta -= lr * grad_fn(theta)
        path.append(theta)
    return np.array(path)


def _one_coordinate_at_a_time(grad_fn, theta, lr, steps):
    here = np.array(theta, dtype=float)
    path = [here.copy()]
    for _ in range(steps):
        for i in np.ndindex(here.shape):
            here[i] -= lr * np.asarray(grad_fn(here if here.ndim else float(here)))[i]
        path.append(here.copy())
    return np.array(path)


def _climbs(grad_fn, theta, lr, steps):
    return descend(grad_fn, theta, -lr, steps)


DESCEND = Exercise(
    name="descend",
    version=1,
    reference=descend,
    cases=_walk_cases,
    parts=(
        Part("number", "the path of one parameter", 2),
        Part("array", "the path of several parameters at once", 2),
        Part("manners", "one gradient a step, and the caller's theta stays as it was", 1),
    ),
    mistakes=(
        Mistake(
            "start-not-recorded",
            lambda *inputs: descend(*inputs)[1:],
            "Row 0 is missing: what do you know before stepping?",
        ),
        Mistake(
            "returns-only-the-end",
            lambda *inputs: descend(*inputs)[-1],
            "We want the whole path, not only its last point.",
        ),
        Mistake(
            "one-step-short", lambda *inputs: descend(*inputs)[:-1], "One point too few: count fence posts, not gaps."
        ),
        Mistake("gradient-never-recomputed", _never_recomputed, "The slope changes as you move; you measured it once."),
        Mistake("same-array-appended", _same_array_appended, "All rows are equal: you stored one array many times."),
        Mistake(
            "one-coordinate-at-a-time",
            _one_coordinate_at_a_time,
            "Later coordinates saw a point that had already moved.",
        ),
        Mistake("climbs", _climbs, "The loss grows along your path; check the sign."),
    ),
    properties=(
        Property(
            name="gradient-more-than-once-a-step",
            part="manners",
            holds=lambda inputs, reply: len(inputs["grad_fn"].queries) == inputs["steps"],
            sentence="Your path is right, but it should ask for the gradient exactly once a step: on a real model every call is costly.",
        ),
        LEAVES_INPUTS_ALONE(part="manners"),
    ),
    alternatives=(
        Alternative("preallocated array", _walk_by_filling_in),
        Alternative("recursion", _walk_by_recursion),
        Alternative("itertools.accumulate", _walk_by_accumulate),
        Alternative("in place, appending copies", _walk_by_appending_copies),
        Alternative("torch tensors", _walk_in_torch),
    ),
    notice="Notice that row 0 is where you started: a walk of n steps has n + 1 points.",
    axes=("step", "coordinate"),
    picture=lambda answer: _picture(_path_of_walk(answer)),
)


def _path_of_walk(answer: Answer) -> list[float]:
    """The learner's walk on the bowl, from the book's start."""
    grad_fn = Oracle(bowl.grad, "the bowl's slope")
    came = answer({"grad_fn": grad_fn, "theta": bowl.start, "lr": PICTURE_LR, "steps": PICTURE_STEPS}).value
    return [float(theta) for theta in np.ravel(came)] if is_numeric(came) else []


EXERCISES = (GRADIENT_STEP, DESCEND)
