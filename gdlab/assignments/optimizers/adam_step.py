"""adam_step(theta, grad, m, v, step, lr, beta1, beta2, eps) -> theta, m, v: θ − η·m̂/(√v̂ + ε)."""

import math

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone
from gdlab.assignments.optimizers._adam import INDEPENDENT_LINES, averages, corrected, returned_wrongly, state
from gdlab.assignments.optimizers._ravine import paths_on_the_ravine
from gdlab.assignments.optimizers._steps import TINY, UNCHANGED, returned_otherwise, several_gradients
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part
from gdlab.rules import adam_step

LATE = 3000
"""After so many steps nothing is left to correct: 0.97³⁰⁰⁰ is 10⁻⁴⁰."""


def _adam_cases(rng):
    def case(part, shape, steps, after):
        """`after` so many steps the averages are warm."""
        rates = {
            "step": after,
            "lr": float(rng.uniform(0.05, 0.2)),
            "beta1": float(rng.uniform(0.6, 0.8)),
            "beta2": float(rng.uniform(0.9, 0.97)),
            "eps": 1e-8,
        }
        return Case(part, {**several_gradients(rng, shape, steps), **state(rng, shape, after), **rates})

    def tiny(shape, eps):
        rates = {"step": 0, "lr": float(rng.uniform(0.05, 0.2)), "beta1": 0.9, "beta2": 0.999, "eps": eps}
        gradients = several_gradients(rng, shape, 3, size=TINY)
        return Case("tiny", {**gradients, **state(rng, shape, 0), **rates})

    return [
        case("early", None, 1, after=0),
        case("early", 4, 4, after=0),
        case("early", (2, 2), 3, after=int(rng.integers(2, 5))),
        case("late", None, 3, after=LATE + int(rng.integers(100))),
        case("late", 2, 3, after=LATE + int(rng.integers(100))),
        tiny(None, 1e-8),
        tiny(4, float(rng.uniform(1, 4)) * TINY),
    ]


def _with_direction(direction):
    """A rule whose averages are right, and whose direction is a slip: (m, v, β₁, β₂, t, ε) -> d, t counted from 1."""

    def rule(theta, grad, m, v, step, lr, beta1, beta2, eps):
        m, v = averages(grad, m, v, beta1, beta2)
        with np.errstate(all="ignore"):
            return theta - lr * direction(m, v, beta1, beta2, step + 1, eps), m, v

    return rule


def _keeps_corrected(theta, grad, m, v, step, lr, beta1, beta2, eps):
    m, v = averages(grad, m, v, beta1, beta2)
    m, v = corrected(m, v, step, beta1, beta2)
    return theta - lr * m / (np.sqrt(v) + eps), m, v


def _forgets_square(theta, grad, m, v, step, lr, beta1, beta2, eps):
    m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad
    m_hat, v_hat = corrected(m, v, step, beta1, beta2)
    with np.errstate(all="ignore"):
        return theta - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def _full_weight_on_new(theta, grad, m, v, step, lr, beta1, beta2, eps):
    m, v = beta1 * m + grad, beta2 * v + grad**2
    m_hat, v_hat = corrected(m, v, step, beta1, beta2)
    return theta - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def _climbs(theta, grad, m, v, step, lr, beta1, beta2, eps):
    return adam_step(theta, grad, m, v, step, -lr, beta1, beta2, eps)


def _betas_swapped(theta, grad, m, v, step, lr, beta1, beta2, eps):
    return adam_step(theta, grad, m, v, step, lr, beta2, beta1, eps)


def _folded_into_the_rate(theta, grad, m, v, step, lr, beta1, beta2, eps):
    t = step + 1
    m = m + (1 - beta1) * (grad - m)
    v = v + (1 - beta2) * (grad * grad - v)
    root = math.sqrt(1 - beta2**t)
    return theta - lr * root / (1 - beta1**t) * m / (v**0.5 + eps * root), m, v


def _by_loop(theta, grad, m, v, step, lr, beta1, beta2, eps):
    theta, m, v = (np.array(x, dtype=float) for x in (theta, m, v))
    grad = np.asarray(grad)
    for i in np.ndindex(theta.shape):
        m[i] = beta1 * m[i] + (1 - beta1) * grad[i]
        v[i] = beta2 * v[i] + (1 - beta2) * grad[i] ** 2
        m_hat = m[i] / (1 - beta1 ** (step + 1))
        v_hat = v[i] / (1 - beta2 ** (step + 1))
        theta[i] -= lr * m_hat / (math.sqrt(v_hat) + eps)
    return theta, m, v


def _by_weighted_averages(theta, grad, m, v, step, lr, beta1, beta2, eps):
    m = np.average([m, grad], axis=0, weights=[beta1, 1 - beta1])
    v = np.average([v, np.square(grad)], axis=0, weights=[beta2, 1 - beta2])
    kept1, kept2 = np.power([beta1, beta2], step + 1)
    return np.stack([theta - lr * (m / (1 - kept1)) / (np.sqrt(v / (1 - kept2)) + eps), m, v])


def _in_torch(theta, grad, m, v, step, lr, beta1, beta2, eps):
    import torch

    theta, grad, m, v = (torch.as_tensor(x, dtype=torch.float64) for x in (theta, grad, m, v))
    m = m.lerp(grad, 1 - beta1)
    v = v.mul(beta2).addcmul(grad, grad, value=1 - beta2)
    denominator = (v.sqrt() / math.sqrt(1 - beta2 ** (step + 1))).add(eps)
    return theta.addcdiv(m, denominator, value=-lr / (1 - beta1 ** (step + 1))), m, v


def _in_single_precision(theta, grad, m, v, step, lr, beta1, beta2, eps):
    theta, grad, m, v = map(np.float32, (theta, grad, m, v))
    m, v = averages(grad, m, v, beta1, beta2)
    m_hat, v_hat = corrected(m, v, step, beta1, beta2)
    return theta - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


EXERCISE = Exercise(
    name="adam_step",
    version=1,
    reference=adam_step,
    cases=_adam_cases,
    parts=(
        Part("early", "the first steps, with their corrections", 1.5),
        Part("late", "steps so late that nothing is left to correct", 2),
        Part("tiny", "gradients so small that eps counts", 1),
        Part("unchanged", UNCHANGED, 0.5),
    ),
    mistakes=(
        Mistake(
            "no-correction",
            _with_direction(lambda m, v, beta1, beta2, t, eps: m / (np.sqrt(v) + eps)),
            "Early steps have the wrong length: both averages start at zero, and nothing makes up for it.",
        ),
        Mistake(
            "power-from-0",
            _with_direction(
                lambda m, v, beta1, beta2, t, eps: (
                    (m / (1 - beta1 ** (t - 1))) / (np.sqrt(v / (1 - beta2 ** (t - 1))) + eps)
                )
            ),
            "Step 0 divides by zero: once it is taken, how many gradients are in the averages?",
        ),
        Mistake(
            "corrects-m-only",
            _with_direction(lambda m, v, beta1, beta2, t, eps: (m / (1 - beta1**t)) / (np.sqrt(v) + eps)),
            "You corrected m, but v starts at zero too.",
        ),
        Mistake(
            "corrects-v-only",
            _with_direction(lambda m, v, beta1, beta2, t, eps: m / (np.sqrt(v / (1 - beta2**t)) + eps)),
            "You corrected v, but m starts at zero too.",
        ),
        Mistake(
            "multiplies-correction",
            _with_direction(
                lambda m, v, beta1, beta2, t, eps: m * (1 - beta1**t) / (np.sqrt(v * (1 - beta2**t)) + eps)
            ),
            "The averages start too small, and your correction makes them smaller still.",
        ),
        Mistake("betas-swapped", _betas_swapped, "Your betas are swapped: which average should remember longer?"),
        Mistake(
            "forgets-root",
            _with_direction(lambda m, v, beta1, beta2, t, eps: (m / (1 - beta1**t)) / (v / (1 - beta2**t) + eps)),
            "Units don't match: v is a square, and you divide by it as it is.",
        ),
        Mistake(
            "forgets-square",
            _forgets_square,
            "Your v averages gradients, not their squares: a negative average has no root.",
        ),
        Mistake(
            "full-weight-on-new",
            _full_weight_on_new,
            "m and v should be averages: the weights of old and new sum to one.",
        ),
        Mistake(
            "keeps-corrected",
            _keeps_corrected,
            "Correct m and v for use in this step, but return the raw averages: yours get corrected again next time.",
        ),
        Mistake("climbs", _climbs, "You moved uphill; which way does m point?"),
        Mistake(
            "no-eps",
            _with_direction(lambda m, v, beta1, beta2, t, eps: (m / (1 - beta1**t)) / np.sqrt(v / (1 - beta2**t))),
            "eps has no effect: where v is nearly zero, your step is too long.",
        ),
        Mistake(
            "eps-inside-root",
            _with_direction(
                lambda m, v, beta1, beta2, t, eps: (m / (1 - beta1**t)) / np.sqrt(v / (1 - beta2**t) + eps)
            ),
            "Your eps stands under the root, which optax calls eps_root. Here, as in the paper and in torch, eps is added "
            "to the root; only tiny gradients tell the two apart.",
        ),
        Mistake(
            "eps-before-correction",
            _with_direction(
                lambda m, v, beta1, beta2, t, eps: math.sqrt(1 - beta2**t) / (1 - beta1**t) * m / (np.sqrt(v) + eps)
            ),
            "This is Keras's form: eps joins the root of v before the correction. Here, as in the paper's algorithm and in "
            "torch, it joins the root of the corrected v; only tiny gradients tell the two apart.",
        ),
        *returned_otherwise(adam_step, "m", "v"),
        *returned_wrongly(adam_step),
    ),
    properties=(leaves_inputs_alone(part="unchanged"),),
    alternatives=(
        Alternative("corrections folded into the rate", _folded_into_the_rate),
        Alternative("loop over entries", _by_loop),
        Alternative("np.average, returned as one array", _by_weighted_averages),
        Alternative("torch tensors, lerp and addcdiv", _in_torch),
        Alternative("float32", _in_single_precision),
    ),
    notice="Notice that the first step is lr long in every parameter, whatever the size of its gradient.",
    axes=("entry", "column"),
    picture=lambda answer: paths_on_the_ravine(
        EXERCISE.local(adam_step),
        answer,
        ("m", "v"),
        {"step": 0, "lr": 0.4, "beta1": 0.8, "beta2": 0.95, "eps": 1e-8},
    ),
    protocols=("several_steps",),
    equivalent_mutants=INDEPENDENT_LINES,
)
