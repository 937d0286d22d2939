"""descend(grad_fn, theta, lr, steps) -> (steps + 1, …): repeat the step, keep every position."""

import itertools

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone, signed
from gdlab.assignments.update_rule._picture import PICTURE_LR, PICTURE_STEPS, walks_on_the_bowl
from gdlab.judge.answer import Answer, Oracle
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part, Property
from gdlab.objectives import bowl
from gdlab.rules import descend


def _slope_1d(rng):
    """The slope of a curve with a bend beyond quadratic: a·(θ − c) + b·sin θ."""
    a, b, c = rng.uniform(0.8, 1.6), rng.uniform(0.3, 0.6), signed(rng, 1, 3)
    return Oracle(lambda theta: a * (theta - c) + b * np.sin(theta), f"the slope {a:.3g}·(θ − {c:.3g}) + {b:.3g}·sin θ")


def _slope_coupled(rng, size):
    """A gradient in which every coordinate pulls on every other: A·(θ − c) + b·sin(Σθ), all |A_ij| ≥ 0.6."""
    signs = rng.choice([-1.0, 1.0], size)
    curvature = 0.6 * np.outer(signs, signs) + np.diag(rng.uniform(0.4, 1.0, size))
    centre, b = signed(rng, 1, 3, size), rng.uniform(0.3, 0.6)

    def gradient(theta):
        flat = curvature @ (np.ravel(theta) - centre) + b * np.sin(np.sum(theta))
        return flat.reshape(np.shape(theta))

    return Oracle(gradient, f"a gradient in {size} coupled coordinates")


def _walk_cases(rng):
    def lr():
        return float(rng.uniform(0.1, 0.3))

    def number(steps):
        return Case(
            "number", {"grad_fn": _slope_1d(rng), "theta": float(signed(rng, 3, 6)), "lr": lr(), "steps": steps}
        )

    def array(shape, steps):
        grad_fn = _slope_coupled(rng, int(np.prod(shape)))
        return Case("array", {"grad_fn": grad_fn, "theta": signed(rng, 2, 5, shape), "lr": lr(), "steps": steps})

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


def _path_of_walk(answer: Answer) -> list[float]:
    """The learner's walk on the bowl, from the book's start."""
    grad_fn = Oracle(bowl.grad, "the bowl's slope")
    came = answer({"grad_fn": grad_fn, "theta": bowl.start, "lr": PICTURE_LR, "steps": PICTURE_STEPS}).value
    return [float(theta) for theta in np.ravel(came)] if is_numeric(came) else []


EXERCISE = Exercise(
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
        leaves_inputs_alone(part="manners"),
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
    picture=lambda answer: walks_on_the_bowl(_path_of_walk(answer)),
)
