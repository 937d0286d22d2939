"""lion_step(theta, grad, m, lr, beta1, beta2, weight_decay) -> theta, m: θ − η·(sign(β₁m + (1 − β₁)g) + λθ), then m."""

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone, signed
from gdlab.assignments.optimizers._ravine import paths_on_the_ravine
from gdlab.assignments.optimizers._steps import UNCHANGED, returned_otherwise, several_gradients, zeros
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part
from gdlab.rules import lion_step


def _lion_cases(rng):
    def rates(weight_decay):
        return {
            "lr": float(rng.uniform(0.1, 0.2)),
            "beta1": float(rng.uniform(0.85, 0.92)),
            "beta2": float(rng.uniform(0.97, 0.99)),
            "weight_decay": weight_decay,
        }

    def cold(shape):
        return Case("first", {**several_gradients(rng, shape, 1), "m": zeros(shape), **rates(0.0)})

    def warm_number(part, weight_decay):
        start = several_gradients(rng, None, 2)
        return Case(part, {**start, "m": float(rng.uniform(0.5, 2)), **rates(weight_decay)})

    def warm(part, shape, weight_decay):
        """Theta lies on the far side of zero from m: there the decay would turn the sign of a small blend."""
        m, chosen = signed(rng, 0.5, 1.5, shape), rates(weight_decay)
        theta = -np.sign(m) * rng.uniform(2, 5, shape)
        grads = _gradients_that_tell(rng, m, 3, chosen["beta1"], chosen["beta2"])
        return Case(part, {"theta": theta, "grads": grads, "m": m, **chosen})

    def decay():
        return float(rng.uniform(0.2, 0.5))

    return [
        cold(None),
        cold(3),
        warm_number("later", 0.0),
        warm("later", 4, 0.0),
        warm("later", (2, 2), 0.0),
        warm_number("decay", decay()),
        warm("decay", 4, decay()),
    ]


def _gradients_that_tell(rng, m, steps: int, beta1: float, beta2: float) -> np.ndarray:
    """Gradients in whose blends with m the slips change a sign, and none of which comes near a change of it.

    With g = −x·m the right blend changes its sign at x = β₁/(1 − β₁), 9 for the usual 0.9 and 0.99. An m that
    moved first does at β₂/(1 − β₂), 99; the blend with that m at 8.17. So at every step there is one entry
    with its x below all three, one between each two, and one beyond.
    """
    turns = beta1 / (1 - beta1)
    moved_first = beta2 / (1 - beta2)
    moved_and_blended = beta1 * beta2 / (1 - beta1 * beta2)
    grads = []
    for _ in range(steps):
        between = moved_and_blended + rng.uniform(0.3, 0.7) * (turns - moved_and_blended)
        between_too = turns * (moved_first / turns) ** rng.uniform(0.3, 0.7)
        sizes = [rng.uniform(0.2, 0.8) * moved_and_blended, between, between_too, rng.uniform(1.2, 2) * moved_first]
        grads.append(-rng.permutation(sizes).reshape(m.shape) * m)
        m = beta2 * m + (1 - beta2) * grads[-1]
    return np.array(grads)


def _memory(grad, m, beta2):
    return beta2 * m + (1 - beta2) * grad


def _with_direction(direction):
    """A rule whose memory and decay are right, and whose direction is a slip: (g, m, β₁, β₂) -> d."""

    def rule(theta, grad, m, lr, beta1, beta2, weight_decay):
        return theta - lr * (direction(grad, m, beta1, beta2) + weight_decay * theta), _memory(grad, m, beta2)

    return rule


def _decayed(decay):
    """A rule whose direction and memory are right, and which decays in its own way: (θ before, θ after, η, λ) -> θ."""

    def rule(theta, grad, m, lr, beta1, beta2, weight_decay):
        moved, m = lion_step(theta, grad, m, lr, beta1, beta2, 0.0)
        return decay(theta, moved, lr, weight_decay), m

    return rule


def _betas_swapped(theta, grad, m, lr, beta1, beta2, weight_decay):
    return lion_step(theta, grad, m, lr, beta2, beta1, weight_decay)


def _one_beta(theta, grad, m, lr, beta1, beta2, weight_decay):
    return lion_step(theta, grad, m, lr, beta1, beta1, weight_decay)


def _decay_inside_sign(theta, grad, m, lr, beta1, beta2, weight_decay):
    blend = beta1 * m + (1 - beta1) * grad
    return theta - lr * np.sign(blend + weight_decay * theta), _memory(grad, m, beta2)


def _memory_not_kept(theta, grad, m, lr, beta1, beta2, weight_decay):
    return lion_step(theta, grad, m, lr, beta1, beta2, weight_decay)[0], m


def _climbs(theta, grad, m, lr, beta1, beta2, weight_decay):
    moved, new_m = lion_step(theta, grad, m, lr, beta1, beta2, 0.0)
    return 2 * theta - moved - lr * weight_decay * theta, new_m


def _by_mixtures(theta, grad, m, lr, beta1, beta2, weight_decay):
    blend = m + (1 - beta1) * (grad - m)
    theta = (1 - lr * weight_decay) * theta - lr * np.sign(blend)
    return theta, m + (1 - beta2) * (grad - m)


def _by_comparisons(theta, grad, m, lr, beta1, beta2, weight_decay):
    blend = beta1 * m + (1 - beta1) * grad
    theta = np.where(blend > 0, theta - lr - lr * weight_decay * theta, theta + lr - lr * weight_decay * theta)
    return theta, beta2 * m + (1 - beta2) * grad


def _by_the_size(theta, grad, m, lr, beta1, beta2, weight_decay):
    blend = beta1 * m + (1 - beta1) * grad
    update = blend / abs(blend)
    return [theta - lr * update - lr * weight_decay * theta, beta2 * m + (1 - beta2) * grad]


def _by_loop(theta, grad, m, lr, beta1, beta2, weight_decay):
    theta, m, grad = np.array(theta, dtype=float), np.array(m, dtype=float), np.asarray(grad)
    for i in np.ndindex(theta.shape):
        blend = beta1 * m[i] + (1 - beta1) * grad[i]
        direction = 1 if blend > 0 else -1
        theta[i] -= lr * (direction + weight_decay * theta[i])
        m[i] = beta2 * m[i] + (1 - beta2) * grad[i]
    return theta, m


def _in_torch(theta, grad, m, lr, beta1, beta2, weight_decay):
    import torch

    theta, grad, m = (torch.as_tensor(x, dtype=torch.float64) for x in (theta, grad, m))
    update = m.lerp(grad, 1 - beta1).sign()
    return theta.mul(1 - lr * weight_decay).sub(update, alpha=lr), m.lerp(grad, 1 - beta2)


def _in_single_precision(theta, grad, m, lr, beta1, beta2, weight_decay):
    theta, grad, m = map(np.float32, (theta, grad, m))
    update = np.sign(beta1 * m + (1 - beta1) * grad)
    return theta - lr * (update + weight_decay * theta), beta2 * m + (1 - beta2) * grad


EXERCISE = Exercise(
    name="lion_step",
    version=1,
    reference=lion_step,
    cases=_lion_cases,
    parts=(
        Part("first", "the first step, from a memory of zeros", 1),
        Part("later", "the steps after it, with what m remembers", 1.5),
        Part("decay", "the weight decay", 1),
        Part("unchanged", UNCHANGED, 0.5),
    ),
    mistakes=(
        Mistake(
            "moves-m-first",
            _with_direction(lambda grad, m, beta1, beta2: np.sign(_memory(grad, m, beta2))),
            "m moved before you used it: your step takes its sign from the new m.",
        ),
        Mistake(
            "blends-with-new-m",
            _with_direction(
                lambda grad, m, beta1, beta2: np.sign(beta1 * _memory(grad, m, beta2) + (1 - beta1) * grad)
            ),
            "You blended the gradient with an m that had already moved; blend it with the m you received.",
        ),
        Mistake(
            "betas-swapped",
            _betas_swapped,
            "Your betas are swapped: beta1 steers the step, beta2 the memory.",
        ),
        Mistake(
            "sign-of-gradient",
            _with_direction(lambda grad, m, beta1, beta2: np.sign(grad)),
            "Your step looks at today's gradient alone: where's the memory?",
        ),
        Mistake(
            "sign-of-memory",
            _with_direction(lambda grad, m, beta1, beta2: np.sign(m)),
            "Today's gradient has no say in your step: it should be blended with m.",
        ),
        Mistake(
            "forgets-sign",
            _with_direction(lambda grad, m, beta1, beta2: beta1 * m + (1 - beta1) * grad),
            "Your steps differ in length, but in Lion every coordinate moves equally far.",
        ),
        Mistake("one-beta", _one_beta, "You kept the blend that made the step, but m moves with a beta of its own."),
        Mistake("memory-not-kept", _memory_not_kept, "Your step is right, but you returned the m you were given."),
        Mistake("climbs", _climbs, "You moved uphill; which way does the blend point?"),
        Mistake(
            "decay-inside-sign",
            _decay_inside_sign,
            "Your decay vanished inside the sign: however large a weight is, it counts for one step or none.",
        ),
        Mistake(
            "decay-without-lr",
            _decayed(lambda theta, moved, lr, decay: moved - decay * theta),
            "Your decay should follow the learning rate.",
        ),
        Mistake(
            "no-decay",
            _decayed(lambda theta, moved, lr, decay: moved),
            "weight_decay has no effect.",
        ),
        Mistake(
            "weights-grow",
            _decayed(lambda theta, moved, lr, decay: moved + lr * decay * theta),
            "Your weights grow; decay should shrink them.",
        ),
        Mistake(
            "decays-after-step",
            _decayed(lambda theta, moved, lr, decay: moved - lr * decay * moved),
            "You decayed the point you had just moved; which theta should shrink?",
        ),
        *returned_otherwise(lion_step, "m"),
    ),
    properties=(leaves_inputs_alone(part="unchanged"),),
    alternatives=(
        Alternative("moves towards the gradient by a share", _by_mixtures),
        Alternative("comparisons", _by_comparisons),
        Alternative("divides the blend by its size, returns a list", _by_the_size),
        Alternative("loop over entries", _by_loop),
        Alternative("torch tensors, lerp", _in_torch),
        Alternative("float32", _in_single_precision),
    ),
    notice="Notice that the gradient's size never reaches theta: only its sign, blended with memory, decides where to go.",
    axes=("entry", "column"),
    picture=lambda answer: paths_on_the_ravine(
        EXERCISE.local(lion_step),
        answer,
        ("m",),
        {"lr": 0.25, "beta1": 0.9, "beta2": 0.99, "weight_decay": 0.1},
    ),
    protocols=("several_steps",),
    equivalent_mutants={
        "theta = theta - lr * (np.sign(blend) + weight_decay * theta) ⇄ m = beta2 * m + (1 - beta2) * grad": (
            "The move reads the blend, not m, and the memory does not read theta."
        )
    },
)
