"""adamw_step(theta, grad, m, v, step, lr, beta1, beta2, eps, weight_decay): θ − η·(m̂/(√v̂ + ε) + λθ), and m, v."""

import math

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone
from gdlab.assignments.optimizers._adam import INDEPENDENT_LINES, averages, corrected, returned_wrongly, state
from gdlab.assignments.optimizers._ravine import paths_on_the_ravine
from gdlab.assignments.optimizers._steps import TINY, UNCHANGED, returned_otherwise, several_gradients
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part
from gdlab.rules import adam_step, adamw_step


def _adamw_cases(rng):
    def case(part, shape, steps, after=0, **chosen):
        """`after` so many steps the averages are warm."""
        rates = {
            "step": after,
            "lr": float(rng.uniform(0.1, 0.3)),
            "beta1": float(rng.uniform(0.6, 0.8)),
            "beta2": float(rng.uniform(0.9, 0.97)),
            "eps": 1e-8,
            "weight_decay": float(rng.uniform(0.2, 0.5)),
        }
        size = chosen.pop("size", 1.0)
        return Case(part, {**several_gradients(rng, shape, steps, size), **state(rng, shape, after), **rates, **chosen})

    return [
        case("adam", None, 1, weight_decay=0.0),
        case("adam", (2, 2), 3, after=int(rng.integers(2, 5)), weight_decay=0.0),
        case("adam", 4, 3, weight_decay=0.0, size=TINY, eps=float(rng.uniform(1, 4)) * TINY),
        case("decay", None, 1),
        case("decay", None, 3, after=int(rng.integers(3, 7))),
        case("decay", 4, 4),
        case("decay", (2, 2), 3, after=int(rng.integers(2, 5))),
    ]


def _after_adam(decayed):
    """A rule that takes Adam's step and then decays in its own way: (θ before, θ after, η, λ) -> θ."""

    def rule(theta, grad, m, v, step, lr, beta1, beta2, eps, weight_decay):
        moved, m, v = adam_step(theta, grad, m, v, step, lr, beta1, beta2, eps)
        return decayed(theta, moved, lr, weight_decay), m, v

    return rule


def _l2_in_gradient(theta, grad, m, v, step, lr, beta1, beta2, eps, weight_decay):
    return adam_step(theta, grad + weight_decay * theta, m, v, step, lr, beta1, beta2, eps)


def _l2_and_decoupled(theta, grad, *rest):
    return adamw_step(theta, grad + rest[-1] * theta, *rest)


def _decay_over_root_v(theta, grad, m, v, step, lr, beta1, beta2, eps, weight_decay):
    m, v = averages(grad, m, v, beta1, beta2)
    m_hat, v_hat = corrected(m, v, step, beta1, beta2)
    return theta - lr * (m_hat + weight_decay * theta) / (np.sqrt(v_hat) + eps), m, v


def _shrinks_first(theta, grad, m, v, step, lr, beta1, beta2, eps, weight_decay):
    theta = theta * (1 - lr * weight_decay)
    m, v = averages(grad, m, v, beta1, beta2)
    m_hat, v_hat = corrected(m, v, step, beta1, beta2)
    return theta - lr * m_hat / (np.sqrt(v_hat) + eps), m, v


def _subtracts_last(theta, grad, m, v, step, lr, beta1, beta2, eps, weight_decay):
    m, v = m + (1 - beta1) * (grad - m), v + (1 - beta2) * (np.square(grad) - v)
    rate = lr * math.sqrt(1 - beta2 ** (step + 1)) / (1 - beta1 ** (step + 1))
    new_theta = theta - rate * m / (np.sqrt(v) + eps * math.sqrt(1 - beta2 ** (step + 1)))
    new_theta = new_theta - lr * weight_decay * theta
    return [new_theta, m, v]


def _by_loop(theta, grad, m, v, step, lr, beta1, beta2, eps, weight_decay):
    theta, m, v = (np.array(x, dtype=float) for x in (theta, m, v))
    grad = np.asarray(grad)
    for i in np.ndindex(theta.shape):
        m[i] = beta1 * m[i] + (1 - beta1) * grad[i]
        v[i] = beta2 * v[i] + (1 - beta2) * grad[i] ** 2
        m_hat, v_hat = corrected(m[i], v[i], step, beta1, beta2)
        theta[i] -= lr * (m_hat / (math.sqrt(v_hat) + eps) + weight_decay * theta[i])
    return theta, m, v


def _in_torch(theta, grad, m, v, step, lr, beta1, beta2, eps, weight_decay):
    import torch

    theta, grad, m, v = (torch.as_tensor(x, dtype=torch.float64) for x in (theta, grad, m, v))
    theta = theta.mul(1 - lr * weight_decay)
    m = m.lerp(grad, 1 - beta1)
    v = v.mul(beta2).addcmul(grad, grad, value=1 - beta2)
    denominator = (v.sqrt() / math.sqrt(1 - beta2 ** (step + 1))).add(eps)
    return theta.addcdiv(m, denominator, value=-lr / (1 - beta1 ** (step + 1))), m, v


def _in_single_precision(theta, grad, m, v, step, lr, beta1, beta2, eps, weight_decay):
    theta, grad, m, v = map(np.float32, (theta, grad, m, v))
    m, v = averages(grad, m, v, beta1, beta2)
    m_hat, v_hat = corrected(m, v, step, beta1, beta2)
    return theta - lr * (m_hat / (np.sqrt(v_hat) + eps) + weight_decay * theta), m, v


EXERCISE = Exercise(
    name="adamw_step",
    version=1,
    reference=adamw_step,
    cases=_adamw_cases,
    parts=(
        Part("adam", "Adam's share, with no weight decay", 1.5),
        Part("decay", "the weight decay", 2),
        Part("unchanged", UNCHANGED, 0.5),
    ),
    mistakes=(
        Mistake(
            "l2-in-gradient",
            _l2_in_gradient,
            "Your decay went through Adam's scaling with the gradient, as in torch's Adam(weight_decay=…). In AdamW it "
            "bypasses the averages.",
        ),
        Mistake(
            "decay-without-lr",
            _after_adam(lambda theta, moved, lr, decay: moved - decay * theta),
            "Your decay doesn't follow the learning rate. (The paper's λ stands apart from it; here, as in torch, the "
            "decay is scaled by lr.)",
        ),
        Mistake(
            "weights-grow",
            _after_adam(lambda theta, moved, lr, decay: moved + lr * decay * theta),
            "Your weights grow; decay should shrink them.",
        ),
        Mistake(
            "decay-over-root-v",
            _decay_over_root_v,
            "Large gradients weaken your decay: it is divided by the root of v along with m.",
        ),
        Mistake(
            "no-decay",
            _after_adam(lambda theta, moved, lr, decay: moved),
            "weight_decay has no effect: this is plain Adam.",
        ),
        Mistake(
            "decays-after-step",
            _after_adam(lambda theta, moved, lr, decay: moved - lr * decay * moved),
            "You decayed the point you had just moved; which theta should shrink?",
        ),
        Mistake(
            "decays-twice",
            _after_adam(lambda theta, moved, lr, decay: moved - 2 * lr * decay * theta),
            "Your decay acts twice.",
        ),
        Mistake(
            "l2-and-decoupled",
            _l2_and_decoupled,
            "Your decay acts twice: once inside the gradient, where it doesn't belong, and once outside it.",
        ),
        *returned_otherwise(adamw_step, "m", "v"),
        *returned_wrongly(adamw_step),
    ),
    properties=(leaves_inputs_alone(part="unchanged"),),
    alternatives=(
        Alternative("shrinks first", _shrinks_first),
        Alternative("subtracts the decay last, corrections in the rate, returns a list", _subtracts_last),
        Alternative("loop over entries", _by_loop),
        Alternative("torch tensors, lerp and addcdiv", _in_torch),
        Alternative("float32", _in_single_precision),
    ),
    notice="Notice that m and v never hear of the decay: every weight shrinks by the same share, lr · weight_decay.",
    axes=("entry", "column"),
    picture=lambda answer: paths_on_the_ravine(
        EXERCISE.local(adamw_step),
        answer,
        ("m", "v"),
        {"step": 0, "lr": 0.4, "beta1": 0.8, "beta2": 0.95, "eps": 1e-8, "weight_decay": 0.1},
    ),
    protocols=("several_steps",),
    equivalent_mutants=INDEPENDENT_LINES,
)
