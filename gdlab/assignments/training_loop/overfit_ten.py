"""overfit_ten(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol) -> (passed, losses): learn ten examples by heart."""

import math

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone, signed
from gdlab.diagnose import overfit_ten
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer, Oracle, fresh
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part, Property


def _half_mean_square(theta, X, y):
    return float(np.mean((X @ theta - y) ** 2) / 2)


def _its_slope(theta, X, y):
    return X.T @ (X @ theta - y) / len(y)


def _overfit_cases(rng):
    def case(part, d, noise, lr, max_steps, tol):
        """A linear model whose first ten rows pull about equally hard in all directions that they have."""
        n = int(rng.integers(25, 35))
        first = np.linalg.qr(rng.standard_normal((max(10, d), max(10, d))))[0][:10, :d] * np.sqrt(10)
        X = np.concatenate([first * rng.uniform(0.85, 1.15, (10, 1)), signed(rng, 0.3, 1.2, (n - 10, d))])
        true = signed(rng, 2, 4, d)
        y = X @ true + np.concatenate([signed(rng, 0.6, 1, 10) * noise, signed(rng, 1, 2, n - 10)])
        return Case(
            part,
            {
                "theta": signed(rng, 0.1, 0.5, d),
                "X": X,
                "y": y,
                "loss_fn": Oracle(_half_mean_square, "half the mean squared error of a linear model"),
                "grad_fn": Oracle(_its_slope, "its gradient"),
                "lr": lr,
                "max_steps": max_steps,
                "tol": tol,
            },
        )

    def lr():
        return float(rng.uniform(0.35, 0.5))

    def level_with_tol(part, max_steps):
        """The first loss is exactly tol, in every precision: equal is not below."""
        level = case(part, 12, 0.0, lr(), max_steps, 2.0)
        inputs = {**level.inputs, "theta": np.zeros(12), "y": level.inputs["y"].copy()}
        inputs["y"][:10] = rng.choice([-2.0, 2.0], 10)
        return Case(part, inputs)

    return [
        case("can", 12, 0.0, lr(), 40, float(rng.uniform(0.01, 0.03))),
        case("can", 14, 1.0, lr(), 40, float(rng.uniform(0.01, 0.03))),
        case("cannot", 3, 1.0, lr(), int(rng.integers(8, 12)), float(rng.uniform(0.01, 0.03))),
        case("cannot", 12, 1.0, float(rng.uniform(3.2, 3.6)), int(rng.integers(4, 7)), float(rng.uniform(0.01, 0.03))),
        level_with_tol("cannot", int(rng.integers(2, 5))),
        level_with_tol("cannot", 0),
    ]


def _descended(theta, loss_of, grad_of, lr, max_steps, stops):
    """Losses before each step and after the last one; `loss_of` and `grad_of` are asked with theta and the step."""
    losses = [loss_of(theta, 0)]
    for step in range(max_steps):
        if stops(losses):
            break
        theta = theta - lr * grad_of(theta, step)
        losses.append(loss_of(theta, step + 1))
    return losses


def _on_all(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    losses = _descended(
        theta,
        lambda here, step: loss_fn(here, X, y),
        lambda here, step: grad_fn(here, X, y),
        lr,
        max_steps,
        lambda losses: losses[-1] < tol,
    )
    return losses[-1] < tol, losses


def _gradient_of_all(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    return overfit_ten(
        theta, X, y, loss_fn, lambda here, *ten: grad_fn(here, X, y), lr=lr, max_steps=max_steps, tol=tol
    )


def _loss_of_all(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    return overfit_ten(theta, X, y, lambda here, *ten: loss_fn(here, X, y), grad_fn, lr, max_steps, tol)


def _fresh_ten(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    def ten(step):
        rows = np.arange(10 * step, 10 * step + 10) % len(X)
        return X[rows], y[rows]

    losses = _descended(
        theta,
        lambda here, step: loss_fn(here, *ten(step)),
        lambda here, step: grad_fn(here, *ten(step)),
        lr,
        max_steps,
        lambda losses: losses[-1] < tol,
    )
    return losses[-1] < tol, losses


def _any_fall(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    _, losses = overfit_ten(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol)
    return losses[-1] < losses[0], losses


def _tol_as_a_share(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    level = tol * loss_fn(theta, X[:10], y[:10])
    return overfit_ten(theta, X, y, loss_fn, grad_fn, lr, max_steps, level)


def _last_loss_missing(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    losses = []
    for _ in range(max_steps):
        losses.append(loss_fn(theta, X[:10], y[:10]))
        if losses[-1] < tol:
            return True, losses
        theta = theta - lr * grad_fn(theta, X[:10], y[:10])
    return False, losses


def _first_loss_missing(*inputs):
    passed, losses = overfit_ten(*inputs)
    return passed, losses[1:]


def _never_early(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    _, losses = overfit_ten(theta, X, y, loss_fn, grad_fn, lr, max_steps, -math.inf)
    return losses[-1] < tol, losses


def _tie_passes(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    return overfit_ten(theta, X, y, loss_fn, grad_fn, lr, max_steps, math.nextafter(tol, math.inf))


def _climbs(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    return overfit_ten(theta, X, y, loss_fn, grad_fn, -lr, max_steps, tol)


def _for_with_a_break(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    few_X, few_y = X[:10], y[:10]
    losses = [loss_fn(theta, few_X, few_y)]
    for _ in range(max_steps):
        if losses[-1] < tol:
            break
        theta = theta - lr * grad_fn(theta, few_X, few_y)
        losses.append(loss_fn(theta, few_X, few_y))
    return losses[-1] < tol, losses


def _in_place_on_a_copy(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    theta, rows = np.array(theta), np.arange(10)
    losses = np.full(max_steps + 1, np.nan)
    for step in range(max_steps + 1):
        losses[step] = loss_fn(theta, X[rows], y[rows])
        if losses[step] < tol or step == max_steps:
            break
        theta -= lr * grad_fn(theta, X[rows], y[rows])
    return losses[step] < tol, losses[: step + 1]


def _loss_first(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    passed, losses, steps = False, [], 0
    while True:
        losses.append(np.float32(loss_fn(theta, X[:10], y[:10])))
        passed = losses[-1] < tol
        if passed or steps >= max_steps:
            return [passed, losses]
        theta, steps = theta - lr * grad_fn(theta, X[:10], y[:10]), steps + 1


def _by_recursion(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    loss = loss_fn(theta=theta, X=X[:10], y=y[:10])
    if loss < tol or max_steps == 0:
        return loss < tol, [loss]
    moved = theta - lr * grad_fn(theta=theta, X=X[:10], y=y[:10])
    passed, losses = _by_recursion(moved, X, y, loss_fn, grad_fn, lr, max_steps - 1, tol)
    return passed, [loss, *losses]


def _in_torch(theta, X, y, loss_fn, grad_fn, lr, max_steps, tol):
    import torch

    theta, X, y = torch.tensor(theta), torch.tensor(X[:10]), torch.tensor(y[:10])
    losses = [loss_fn(theta, X, y)]
    while len(losses) <= max_steps and losses[-1] >= tol:
        theta = theta - lr * torch.as_tensor(grad_fn(theta, X, y))
        losses.append(loss_fn(theta, X, y))
    return min(losses) < tol, torch.tensor(losses)


def _one_gradient_a_step(inputs, reply) -> bool:
    """n steps have n + 1 losses and need n gradients; what is not (passed, losses) has lost its points anyway."""
    losses = _second(reply.value)
    return not losses or len(inputs["grad_fn"].queries) == len(losses) - 1


def _losses_of_your_run(answer: Answer) -> str:
    case = next(case for case in _overfit_cases(np.random.default_rng(5)) if case.part == "can")
    right, yours = (
        reply.value for reply in (EXERCISE.local(overfit_ten)(fresh(case.inputs)), answer(fresh(case.inputs)))
    )
    return curve_picture(
        [("right", _second(right)), ("yours", _second(yours))], x_label="step", y_label="loss of the ten", log_y=True
    )


def _second(came) -> list[float]:
    """The losses of (passed, losses); none where that is not what came."""
    losses = came[1] if isinstance(came, list) and len(came) == 2 else None
    return [float(loss) for loss in losses] if is_numeric(losses) and np.ndim(losses) == 1 else []


EXERCISE = Exercise(
    name="overfit_ten",
    version=1,
    reference=overfit_ten,
    cases=_overfit_cases,
    parts=(
        Part("can", "a model that can learn ten by heart", 2),
        Part("cannot", "models that cannot, and losses that only just reach tol", 1),
        Part("manners", "one gradient a step, and the caller's arrays stay as they were", 1),
    ),
    mistakes=(
        Mistake(
            "trains-on-everything",
            _on_all,
            "You train on all examples, and measure on all of them. Ten only: that is the point.",
        ),
        Mistake(
            "gradient-of-everything",
            _gradient_of_all,
            "You measure the ten, but you step by the gradient of all examples.",
        ),
        Mistake(
            "fresh-ten-each-step",
            _fresh_ten,
            "You take other ten examples at each step. Keep the same ten, or nothing is learned by heart.",
        ),
        Mistake(
            "reports-all-data",
            _loss_of_all,
            "You step on ten examples, but report the loss of all of them. Measure the ten you train on.",
        ),
        Mistake(
            "any-fall-will-do",
            _any_fall,
            "Your test passes as soon as the loss has fallen at all. Falling isn't learning by heart: compare with tol.",
        ),
        Mistake(
            "relative-tolerance",
            _tol_as_a_share,
            "You take tol as a share of the first loss. It is a level: the loss itself has to come below it.",
        ),
        Mistake(
            "always-passes",
            lambda *inputs: (True, overfit_ten(*inputs)[1]),
            "This model cannot learn ten by heart, yet it passed.",
        ),
        Mistake(
            "last-loss-missing",
            _last_loss_missing,
            "The loss after the final step is missing: n steps have n + 1 losses.",
        ),
        Mistake(
            "first-loss-missing",
            _first_loss_missing,
            "The loss before the first step is missing: n steps have n + 1 losses.",
        ),
        Mistake(
            "never-stops-early",
            _never_early,
            "You take all max_steps, even when the ten have long been learned. Stop once the loss is below tol.",
        ),
        Mistake("tie-passes", _tie_passes, "A loss that equals tol is not below it: you stop and pass too soon."),
        Mistake("climbs", _climbs, "The loss grows with every step: which way does a gradient point?"),
        Mistake(
            "returns-only-passed",
            lambda *inputs: overfit_ten(*inputs)[0],
            "Return the losses beside the answer: whoever fails wants to see how.",
        ),
    ),
    properties=(
        Property(
            name="gradient-more-than-once-a-step",
            part="manners",
            holds=_one_gradient_a_step,
            sentence="Your losses are right, but you ask for more gradients than you take steps: on a real model every call is costly.",
        ),
        leaves_inputs_alone(part="manners"),
    ),
    alternatives=(
        Alternative("for with a break", _for_with_a_break),
        Alternative("in place on a copy, losses in an array", _in_place_on_a_copy),
        Alternative("loss first in an endless loop, float32, returned as a list", _loss_first),
        Alternative("recursion", _by_recursion),
        Alternative("torch tensors", _in_torch),
    ),
    notice="Notice that a model which cannot learn ten examples will not learn a million: look for the bug here, where it is cheap.",
    axes={"losses": ("step",)},
    returns=("passed", "losses"),
    picture=_losses_of_your_run,
)
