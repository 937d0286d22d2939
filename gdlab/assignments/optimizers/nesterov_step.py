"""nesterov_step(theta, grad, velocity, lr, momentum) -> theta, velocity: v = μv + g, θ − η·(g + μv)."""

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone
from gdlab.assignments.optimizers._ravine import paths_on_the_ravine
from gdlab.assignments.optimizers._steps import UNCHANGED, returned_otherwise, velocity_cases
from gdlab.judge.exercise import Alternative, Exercise, Mistake, Part
from gdlab.rules import nesterov_step


def _with_sum(direction):
    """A rule whose velocity is right, and whose direction is a slip: (grad, velocity before, velocity after, μ) -> d."""

    def rule(theta, grad, velocity, lr, momentum):
        new = momentum * velocity + grad
        return theta - lr * direction(grad, velocity, new, momentum), new

    return rule


def _keeps_the_step(theta, grad, velocity, lr, momentum):
    step = grad + momentum * (momentum * velocity + grad)
    return theta - lr * step, step


def _average_not_sum(theta, grad, velocity, lr, momentum):
    velocity = momentum * velocity + (1 - momentum) * grad
    return theta - lr * (grad + momentum * velocity), velocity


def _average_twice(theta, grad, velocity, lr, momentum):
    velocity = momentum * velocity + (1 - momentum) * grad
    return theta - lr * ((1 - momentum) * grad + momentum * velocity), velocity


def _cs231n(theta, grad, velocity, lr, momentum):
    before = velocity
    velocity = momentum * velocity - lr * grad
    return theta - momentum * before + (1 + momentum) * velocity, velocity


def _lr_in_velocity(theta, grad, velocity, lr, momentum):
    velocity = momentum * velocity + lr * grad
    return theta - (lr * grad + momentum * velocity), velocity


def _in_two_half_steps(theta, grad, velocity, lr, momentum):
    velocity = momentum * velocity + grad
    theta = theta - lr * grad
    theta = theta - lr * momentum * velocity
    return theta, velocity


def _by_loop(theta, grad, velocity, lr, momentum):
    theta, velocity, grad = np.array(theta, dtype=float), np.array(velocity, dtype=float), np.asarray(grad)
    for i in np.ndindex(theta.shape):
        velocity[i] = momentum * velocity[i] + grad[i]
        theta[i] -= lr * (grad[i] + momentum * velocity[i])
    return theta, velocity


def _in_torch(theta, grad, velocity, lr, momentum):
    import torch

    theta, grad, velocity = (torch.as_tensor(x, dtype=torch.float64) for x in (theta, grad, velocity))
    velocity = velocity.mul(momentum).add(grad)
    return theta - lr * grad.add(velocity, alpha=momentum), velocity


def _in_single_precision(theta, grad, velocity, lr, momentum):
    theta, grad, velocity, lr, momentum = map(np.float32, (theta, grad, velocity, lr, momentum))
    velocity = momentum * velocity + grad
    return theta - lr * (grad + momentum * velocity), velocity


EXERCISE = Exercise(
    name="nesterov_step",
    version=1,
    reference=nesterov_step,
    cases=velocity_cases,
    parts=(
        Part("first", "the first step, from a velocity of zeros", 1),
        Part("later", "the steps after it, with what the velocity remembers", 1.5),
        Part("unchanged", UNCHANGED, 0.5),
    ),
    mistakes=(
        Mistake(
            "plain-momentum",
            _with_sum(lambda grad, old, new, momentum: new),
            "This is ordinary momentum: where's the look ahead? (The gradient plus momentum times the old velocity is "
            "ordinary momentum too.)",
        ),
        Mistake(
            "looks-ahead-twice",
            _with_sum(lambda grad, old, new, momentum: new + momentum * new),
            "The past counts twice in your step: once as the velocity, once more as the look ahead.",
        ),
        Mistake(
            "forgets-momentum-ahead",
            _with_sum(lambda grad, old, new, momentum: grad + new),
            "Your look ahead lacks its factor: how much of the velocity survives until the next step?",
        ),
        Mistake(
            "drops-gradient",
            _with_sum(lambda grad, old, new, momentum: momentum * new),
            "You look ahead, but today's gradient itself is missing from the step.",
        ),
        Mistake(
            "keeps-the-step",
            _keeps_the_step,
            "Your first theta is right, but you stored the step. The velocity is something else.",
        ),
        Mistake(
            "average-not-sum",
            _average_not_sum,
            "Your velocity is an average; here it is a sum, in which each gradient counts in full.",
        ),
        Mistake(
            "average-twice",
            _average_twice,
            "You average, as NAdam does, where gradients should be added in full.",
        ),
        Mistake(
            "climbs",
            lambda theta, grad, velocity, lr, momentum: nesterov_step(theta, grad, velocity, -lr, momentum),
            "Your velocity is right, but you moved uphill with it.",
        ),
        Mistake(
            "velocity-not-kept",
            lambda theta, grad, velocity, lr, momentum: (
                nesterov_step(theta, grad, velocity, lr, momentum)[0],
                velocity,
            ),
            "You moved with the new velocity, but returned the old one.",
        ),
        Mistake(
            "velocity-is-the-move",
            _cs231n,
            "This is the form of Stanford's CS231n: right, with a velocity that holds lr and the minus sign. Here, as in "
            "torch, the velocity sums plain gradients, and lr and the minus sign come in with the move.",
        ),
        Mistake(
            "lr-in-velocity",
            _lr_in_velocity,
            "Your theta is a fair one, but your velocity already holds lr. Here, as in torch, it sums plain gradients and "
            "lr comes in with the move: the two part ways once lr changes.",
        ),
        *returned_otherwise(nesterov_step, "velocity"),
    ),
    properties=(leaves_inputs_alone(part="unchanged"),),
    alternatives=(
        Alternative(
            "expanded",
            lambda theta, grad, velocity, lr, momentum: (
                theta - lr * ((1 + momentum) * grad + momentum**2 * velocity),
                momentum * velocity + grad,
            ),
        ),
        Alternative(
            "by the change of velocity",
            _with_sum(lambda grad, old, new, momentum: new + momentum * (new - old)),
        ),
        Alternative("two half steps", _in_two_half_steps),
        Alternative("loop over entries", _by_loop),
        Alternative("torch tensors", _in_torch),
        Alternative("float32", _in_single_precision),
    ),
    notice="Notice that the first step is (1 + momentum) times as long as a plain one: you look ahead from the start.",
    axes=("entry", "column"),
    picture=lambda answer: paths_on_the_ravine(
        EXERCISE.local(nesterov_step), answer, ("velocity",), {"lr": 0.1, "momentum": 0.8}
    ),
    protocols=("several_steps",),
)
