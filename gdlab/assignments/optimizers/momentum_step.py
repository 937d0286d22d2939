"""momentum_step(theta, grad, velocity, lr, momentum) -> theta, velocity: v = μv + g, θ − η·v."""

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone
from gdlab.assignments.optimizers._ravine import paths_on_the_ravine
from gdlab.assignments.optimizers._steps import UNCHANGED, returned_otherwise, velocity_cases
from gdlab.judge.exercise import Alternative, Exercise, Mistake, Part
from gdlab.rules import momentum_step


def _moved(theta, lr, velocity):
    return theta - lr * velocity, velocity


def _lr_in_velocity(theta, grad, velocity, lr, momentum):
    velocity = momentum * velocity + lr * grad
    return theta - velocity, velocity


def _keras_velocity(theta, grad, velocity, lr, momentum):
    velocity = momentum * velocity - lr * grad
    return theta + velocity, velocity


def _downhill_velocity(theta, grad, velocity, lr, momentum):
    velocity = momentum * velocity - grad
    return theta + lr * velocity, velocity


def _by_loop(theta, grad, velocity, lr, momentum):
    theta, velocity = np.array(theta, dtype=float), np.array(velocity, dtype=float)
    for i in np.ndindex(theta.shape):
        velocity[i] = momentum * velocity[i] + np.asarray(grad)[i]
        theta[i] = theta[i] - lr * velocity[i]
    return theta, velocity


def _in_place_on_copies(theta, grad, velocity, lr, momentum):
    new_velocity = np.copy(velocity)
    new_velocity *= momentum
    new_velocity += grad
    new_theta = np.copy(theta)
    new_theta -= lr * new_velocity
    return new_theta, new_velocity


def _in_torch(theta, grad, velocity, lr, momentum):
    import torch

    theta, grad, velocity = (torch.as_tensor(x, dtype=torch.float64) for x in (theta, grad, velocity))
    velocity = velocity.mul(momentum).add(grad)
    return theta.add(velocity, alpha=-lr), velocity


def _in_single_precision(theta, grad, velocity, lr, momentum):
    velocity = np.float32(momentum) * np.float32(velocity) + np.float32(grad)
    return np.float32(theta) - np.float32(lr) * velocity, velocity


EXERCISE = Exercise(
    name="momentum_step",
    version=1,
    reference=momentum_step,
    cases=velocity_cases,
    parts=(
        Part("first", "the first step, from a velocity of zeros", 1),
        Part("later", "the steps after it, with what the velocity remembers", 1.5),
        Part("unchanged", UNCHANGED, 0.5),
    ),
    mistakes=(
        Mistake(
            "average-not-sum",
            lambda theta, grad, velocity, lr, momentum: _moved(theta, lr, momentum * velocity + (1 - momentum) * grad),
            "You average, as Adam does for its m, so you move (1 − momentum) times as far. Here gradients are summed.",
        ),
        Mistake(
            "uses-old-velocity",
            lambda theta, grad, velocity, lr, momentum: (theta - lr * velocity, momentum * velocity + grad),
            "Today's gradient hasn't entered your step: you moved with the velocity you were given.",
        ),
        Mistake(
            "velocity-not-kept",
            lambda theta, grad, velocity, lr, momentum: (theta - lr * (momentum * velocity + grad), velocity),
            "You moved with the new velocity, but returned the old one.",
        ),
        Mistake(
            "lr-twice",
            lambda theta, grad, velocity, lr, momentum: _moved(theta, lr, momentum * velocity + lr * grad),
            "lr acts twice: once as the gradient enters the velocity, and again as you move.",
        ),
        Mistake(
            "momentum-on-gradient",
            lambda theta, grad, velocity, lr, momentum: _moved(theta, lr, velocity + momentum * grad),
            "Which should fade: the past, or today's gradient?",
        ),
        Mistake(
            "momentum-on-both",
            lambda theta, grad, velocity, lr, momentum: _moved(theta, lr, momentum * (velocity + grad)),
            "Today's gradient fades too, before it was ever used; look at your brackets.",
        ),
        Mistake(
            "never-fades",
            lambda theta, grad, velocity, lr, momentum: _moved(theta, lr, velocity + grad),
            "Your velocity forgets nothing, whatever momentum is.",
        ),
        Mistake(
            "no-memory",
            lambda theta, grad, velocity, lr, momentum: _moved(theta, lr, grad),
            "The velocity you were given has no effect: this is plain gradient descent.",
        ),
        Mistake(
            "climbs",
            lambda theta, grad, velocity, lr, momentum: _moved(theta, -lr, momentum * velocity + grad),
            "Your velocity is right, but you moved uphill with it.",
        ),
        Mistake(
            "signs-cross",
            lambda theta, grad, velocity, lr, momentum: (
                theta - (momentum * velocity - lr * grad),
                momentum * velocity - lr * grad,
            ),
            "Two minus signs made you climb: one in the velocity, one in the move.",
        ),
        Mistake(
            "lr-in-velocity",
            _lr_in_velocity,
            "Your theta is a fair one, but your velocity already holds lr, as in Caffe. Here, as in torch, it sums plain "
            "gradients and lr comes in with the move: the two part ways once lr changes.",
        ),
        Mistake(
            "velocity-is-the-move",
            _keras_velocity,
            "This is Keras's convention: the velocity is the move itself, lr and minus sign included. Here, as in torch, "
            "it sums plain gradients, and lr and the minus sign come in with the move.",
        ),
        Mistake(
            "velocity-points-down",
            _downhill_velocity,
            "Your velocity points downhill, which some books prefer. Here it sums the gradients as they are, so it "
            "points uphill, and the minus sign comes in with the move.",
        ),
        *returned_otherwise(momentum_step, "velocity"),
    ),
    properties=(leaves_inputs_alone(part="unchanged"),),
    alternatives=(
        Alternative(
            "expanded",
            lambda theta, grad, velocity, lr, momentum: (
                theta - lr * momentum * velocity - lr * grad,
                grad + velocity * momentum,
            ),
        ),
        Alternative("loop over entries", _by_loop),
        Alternative("in place on copies", _in_place_on_copies),
        Alternative(
            "ufuncs, returned as a list",
            lambda theta, grad, velocity, lr, momentum: [
                np.subtract(theta, np.multiply(lr, np.add(np.multiply(momentum, velocity), grad))),
                np.add(np.multiply(momentum, velocity), grad),
            ],
        ),
        Alternative("torch tensors", _in_torch),
        Alternative("float32", _in_single_precision),
    ),
    notice="Notice how your steps grow on a steady slope: up to 1/(1 − momentum) times as long as without a memory.",
    axes=("entry", "column"),
    picture=lambda answer: paths_on_the_ravine(
        EXERCISE.local(momentum_step), answer, ("velocity",), {"lr": 0.1, "momentum": 0.8}
    ),
    protocols=("several_steps",),
)
