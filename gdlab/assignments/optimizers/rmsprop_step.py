"""rmsprop_step(theta, grad, square_avg, lr, decay=0.99, eps=1e-8) -> theta, square_avg: θ − η·g/(√s + ε)."""

import math

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone
from gdlab.assignments.optimizers._ravine import paths_on_the_ravine
from gdlab.assignments.optimizers._steps import TINY, UNCHANGED, returned_otherwise, several_gradients, squares, zeros
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part
from gdlab.rules import rmsprop_step


def _rmsprop_cases(rng):
    def case(part, shape, steps, warm=False):
        square_avg = squares(rng, shape, 1, 9) if warm else zeros(shape)
        rates = {"lr": float(rng.uniform(0.05, 0.2)), "decay": float(rng.uniform(0.6, 0.9)), "eps": 1e-8}
        return Case(part, {**several_gradients(rng, shape, steps), "square_avg": square_avg, **rates})

    def tiny(shape, **rates):
        lr = float(rng.uniform(0.05, 0.2))
        gradients = several_gradients(rng, shape, 3, size=TINY)
        return Case("tiny", {**gradients, "square_avg": zeros(shape), "lr": lr, **rates})

    return [
        case("first", None, 1),
        case("first", 3, 1),
        case("later", None, 3, warm=True),
        case("later", 4, 4),
        case("later", (3, 2), 3, warm=True),
        tiny(None),
        tiny(3, decay=0.9, eps=float(rng.uniform(1, 4)) * TINY),
    ]


def _with_average(average, direction=lambda grad, new, old, eps: grad / (np.sqrt(new) + eps)):
    """A rule made of (grad, s, ρ) -> new s and (grad, new s, old s, ε) -> direction, one of which is a slip."""

    def rule(theta, grad, square_avg, lr, decay=0.99, eps=1e-8):
        with np.errstate(all="ignore"):
            new = average(grad, square_avg, decay)
            return theta - lr * direction(grad, new, square_avg, eps), new

    return rule


def _right_average(grad, square_avg, decay):
    return decay * square_avg + (1 - decay) * grad**2


def _climbs(theta, grad, square_avg, lr, decay=0.99, eps=1e-8):
    return rmsprop_step(theta, grad, square_avg, -lr, decay, eps)


def _average_not_kept(theta, grad, square_avg, lr, decay=0.99, eps=1e-8):
    return rmsprop_step(theta, grad, square_avg, lr, decay, eps)[0], square_avg


def _as_a_mixture(theta, grad, square_avg, lr, decay=0.99, eps=1e-8):
    square_avg = square_avg + (1 - decay) * (grad * grad - square_avg)
    return theta - lr / (square_avg**0.5 + eps) * grad, square_avg


def _by_absolute_values(theta, grad, square_avg, lr, decay=0.99, eps=1e-8):
    size = np.abs(grad)
    new = np.average([square_avg, size**2], axis=0, weights=[decay, 1 - decay])
    return theta - lr * np.sign(grad) * size / (np.sqrt(new) + eps), new


def _by_loop(theta, grad, square_avg, lr, decay=0.99, eps=1e-8):
    theta, square_avg, grad = np.array(theta, dtype=float), np.array(square_avg, dtype=float), np.asarray(grad)
    for i in np.ndindex(theta.shape):
        square_avg[i] = decay * square_avg[i] + (1 - decay) * grad[i] ** 2
        theta[i] -= lr * grad[i] / (math.sqrt(square_avg[i]) + eps)
    return [theta, square_avg]


def _in_torch(theta, grad, square_avg, lr, decay=0.99, eps=1e-8):
    import torch

    theta, grad, square_avg = (torch.as_tensor(x, dtype=torch.float64) for x in (theta, grad, square_avg))
    square_avg = square_avg.mul(decay).addcmul(grad, grad, value=1 - decay)
    return theta.addcdiv(grad, square_avg.sqrt().add(eps), value=-lr), square_avg


def _in_single_precision(theta, grad, square_avg, lr, decay=0.99, eps=1e-8):
    theta, grad, square_avg = map(np.float32, (theta, grad, square_avg))
    square_avg = decay * square_avg + (1 - decay) * grad**2
    return theta - lr * grad / (np.sqrt(square_avg) + eps), square_avg


EXERCISE = Exercise(
    name="rmsprop_step",
    version=1,
    reference=rmsprop_step,
    cases=_rmsprop_cases,
    parts=(
        Part("first", "the first step, from an average of zeros", 0.5),
        Part("later", "the steps after it, with what the average remembers", 1.25),
        Part("tiny", "gradients so small that eps counts", 0.75),
        Part("unchanged", UNCHANGED, 0.5),
    ),
    mistakes=(
        Mistake(
            "forgets-root",
            _with_average(_right_average, lambda grad, new, old, eps: grad / (new + eps)),
            "Units don't match: square_avg is a square, and you divide by it as it is.",
        ),
        Mistake(
            "forgets-square",
            _with_average(lambda grad, old, decay: decay * old + (1 - decay) * grad),
            "You average gradients, not their squares: a negative average has no root.",
        ),
        Mistake(
            "never-forgets",
            _with_average(lambda grad, old, decay: old + grad**2),
            "Your sum of squares only grows, so your steps only shrink: this is AdaGrad.",
        ),
        Mistake(
            "weights-swapped",
            _with_average(lambda grad, old, decay: (1 - decay) * old + decay * grad**2),
            "You forget almost everything each step: which part should decay keep?",
        ),
        Mistake(
            "full-weight-on-new",
            _with_average(lambda grad, old, decay: decay * old + grad**2),
            "Your two weights do not sum to one, so this is no average.",
        ),
        Mistake(
            "full-weight-on-old",
            _with_average(lambda grad, old, decay: old + (1 - decay) * grad**2),
            "The past never fades in your average: its weight and that of the new square should sum to one.",
        ),
        Mistake(
            "uses-old-average",
            _with_average(_right_average, lambda grad, new, old, eps: grad / (np.sqrt(old) + eps)),
            "Today's gradient hasn't entered the scale: you divided by the average you were given.",
        ),
        Mistake(
            "average-not-kept",
            _average_not_kept,
            "You divided by the new average, but returned the old one.",
        ),
        Mistake(
            "one-scale-for-all",
            _with_average(lambda grad, old, decay: decay * old + (1 - decay) * np.mean(grad**2)),
            "All parameters share one scale, but the point is that each has its own.",
        ),
        Mistake("climbs", _climbs, "You moved uphill; which way does a gradient point?"),
        Mistake(
            "no-eps",
            _with_average(_right_average, lambda grad, new, old, eps: grad / np.sqrt(new)),
            "eps has no effect: where the average is nearly zero, your step is too long.",
        ),
        Mistake(
            "eps-inside-root",
            _with_average(_right_average, lambda grad, new, old, eps: grad / np.sqrt(new + eps)),
            "This is how Keras and optax do it: eps under the root, among the squares. Here, as in torch, eps is added to "
            "the root; only tiny gradients tell the two apart.",
        ),
        *returned_otherwise(rmsprop_step, "square_avg"),
    ),
    properties=(leaves_inputs_alone(part="unchanged"),),
    alternatives=(
        Alternative("moves the average towards the square", _as_a_mixture),
        Alternative("sign and size apart, np.average", _by_absolute_values),
        Alternative("loop over entries, returns a list", _by_loop),
        Alternative("torch tensors", _in_torch),
        Alternative("float32", _in_single_precision),
    ),
    notice="Notice that multiplying all gradients by 1000 would change nothing: each parameter's step is measured in lr.",
    axes=("entry", "column"),
    picture=lambda answer: paths_on_the_ravine(
        EXERCISE.local(rmsprop_step), answer, ("square_avg",), {"lr": 0.3, "decay": 0.9, "eps": 1e-8}
    ),
    protocols=("several_steps",),
)
