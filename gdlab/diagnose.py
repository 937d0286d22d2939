"""Is it training? What a loss curve says, which learning rate to take, when to stop, what to check first.

A curve of losses has four words, in this order of precedence: *diverging*, *oscillating*, *crawling*,
*converging* (`classify_run`). Before a long run three cheap checks find most mistakes: the loss of a
fresh classifier is ln C, ten examples can be learned by heart, and no part of the gradient is dead or
huge. For the learning rate there is a measurement (`lr_range_test`), a search (`try_rates`) and, where
the loss curves upwards, a limit: 2/λmax (`largest_stable_rate`).

Convergence criteria are callbacks for `loop.train`: functions of the run that return a sentence when
it is time to stop. A fourth beside those here is `loop.early_stopping`, patience.
"""

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from gdlab import loop
from gdlab.loop import Callback, Run
from gdlab.rules import global_norm, gradient_descent, gradient_step, stable_learning_rate

# ---------------------------------------------------------------- the loss curve


def classify_run(losses) -> str:
    """One word for a loss curve; the first that fits, in this order:

        "diverging"     some loss is not finite, or the last is above the first
        "oscillating"   it rises on more than a quarter of its steps
        "crawling"      from first to last it fell by less than a tenth of the first
        "converging"    none of these

    Args:
        losses: one per step, at least two. Smooth those of mini-batches first (`smooth`): their noise
            is no oscillation.

    Raises:
        ValueError: with fewer than two losses.

    >>> classify_run([8.0, 2.0, 0.5]), classify_run([8.0, 7.9, 7.8]), classify_run([8.0, 9.0, 4.0]), classify_run([1.0, 4.0])
    ('converging', 'crawling', 'oscillating', 'diverging')
    """
    losses = _curve("losses", losses)
    first, last = losses[0], losses[-1]
    if not np.isfinite(losses).all() or last > first:
        return "diverging"
    if np.mean(np.diff(losses) > 0) > 1 / 4:
        return "oscillating"
    if first - last < abs(first) / 10:
        return "crawling"
    return "converging"


def smooth(losses, beta: float) -> np.ndarray:
    """The exponential average of a curve, corrected for its start: s ← βs + (1 − β)L, ŝ = s/(1 − β^(t+1)).

    Args:
        losses: one per step.
        beta: how much of the past is kept, at least 0 (the curve itself) and below 1.

    Raises:
        ValueError: if `beta` lies outside.

    >>> smooth([4.0, 4.0, 1.0], beta=0.5).round(3)
    array([4.   , 4.   , 2.286])
    """
    if not 0 <= beta < 1:
        raise ValueError(f"beta says how much of the past is kept, at least 0 and below 1, but is {beta!r}.")
    average, smoothed = 0.0, []
    for step, loss in enumerate(losses):
        average = beta * average + (1 - beta) * loss
        smoothed.append(average / (1 - beta ** (step + 1)))
    return np.array(smoothed)


def _curve(name: str, values) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"{name} is a row of at least two numbers, but has shape {values.shape}.")
    return values


# ---------------------------------------------------------------- choosing a learning rate


def suggest_lr(lrs, losses) -> float:
    """The learning rate at which a range test's loss falls fastest against the *logarithm* of the rate.

    Slopes are differences over both neighbours that mind unequal gaps (`numpy.gradient`). Losses that
    are not finite are dropped first. The rate where the loss is lowest is no good: there the explosion
    has begun. (Lightning's suggestion differentiates by the rate itself and lands elsewhere.)

    Args:
        lrs: the rates tried, rising.
        losses: the loss at each.

    Returns:
        One of `lrs`.

    Raises:
        ValueError: if the rates do not rise from above 0, fewer than two losses are finite, or the loss never falls.

    Source: Smith 2015, arXiv 1506.01186, for the test; fast.ai for the steepest slope.

    >>> suggest_lr([1e-4, 1e-3, 1e-2, 1e-1, 1.0], [2.30, 2.25, 1.80, 1.10, float("nan")])
    0.1
    """
    lrs, losses = _curve("lrs", lrs), _curve("losses", losses)
    if lrs.shape != losses.shape or not (lrs[0] > 0 and np.all(np.diff(lrs) > 0)):
        raise ValueError("lrs are rates above 0 in rising order, one for each loss.")
    known = np.isfinite(losses)
    if known.sum() < 2:
        raise ValueError("Fewer than two losses are finite: start the range test at a lower rate.")
    slopes = np.gradient(losses[known], np.log(lrs[known]))
    if not slopes.min() < 0:
        raise ValueError(
            "The loss never falls along this curve: start the range test at a lower rate, or look for a bug."
        )
    return float(lrs[known][np.argmin(slopes)])


class RangeTest(NamedTuple):
    """A range test: the rates tried and the (smoothed) loss before each one's update."""

    lrs: np.ndarray
    losses: np.ndarray

    def suggestion(self, skip: int = 0) -> float:
        """`suggest_lr` of this curve without its first `skip` points.

        Where losses come from mini-batches the first points are noise: the smoothing has little to average
        yet, and noise has steep slopes. Look at the curve, and skip them (fast.ai skips ten) or `measure`.
        """
        return suggest_lr(self.lrs[skip:], self.losses[skip:])


def lr_range_test(
    loss_and_grad: Callable,
    theta,
    batches: Iterable,
    rule=None,
    min_lr: float = 1e-6,
    max_lr: float = 10.0,
    steps: int = 100,
    beta: float = 0.9,
    explode: float = 4.0,
    measure: Callable[[Any], float] | None = None,
) -> RangeTest:
    """Train briefly while the rate rises by equal factors from `min_lr` to `max_lr`, and watch the loss.

    Args:
        loss_and_grad, theta, batches, rule: as in `loop.train`; the rule is gradient descent if none is given.
        min_lr, max_lr: the first rate and the last.
        steps: how many updates, at most.
        beta: how strongly to smooth the losses; 0 where they carry no noise (full batches, or `measure`).
        explode: stop when the smoothed loss exceeds its lowest so far this many times, or is not finite.
        measure: theta -> the loss to watch instead of the batch's own: on the same few hundred examples each
            time it costs a little more and shows the fall instead of the luck of the draw.

    Returns:
        The curve up to the explosion, if there is one. The caller's `theta` is as before: throw nothing away.

    Raises:
        ValueError: unless 0 < min_lr < max_lr and there are at least two steps.

    >>> import itertools
    >>> bowl = lambda theta, _: (theta**2, 2 * theta)
    >>> found = lr_range_test(bowl, 1.0, itertools.repeat(None), min_lr=1e-3, max_lr=10.0, steps=41, beta=0.0)
    >>> found.suggestion() < 1.0, float(found.lrs[-1]) > 1.0
    (True, True)
    """
    if not (0 < min_lr < max_lr and steps >= 2):
        raise ValueError(
            f"The rate rises from min_lr > 0 to a larger max_lr in at least two steps, but they are {min_lr!r}, {max_lr!r} and {steps!r}."
        )
    lrs = np.geomspace(min_lr, max_lr, steps)

    def exploded(run: Run) -> str | None:
        losses = smooth([row["loss"] for row in run.record], beta)
        lowest = losses.min()
        return None if losses[-1] <= lowest + (explode - 1) * abs(lowest) else "The loss exploded."

    def measured(theta, batch):
        loss, grad = loss_and_grad(theta, batch)
        return (loss if measure is None else measure(theta)), grad

    run = loop.train(
        measured,
        theta,
        batches,
        rule or gradient_descent(),
        lambda step: lrs[step],
        steps,
        callbacks=[exploded],
        stop_on_nan=False,
        progress=False,
    )
    return RangeTest(lrs[: run.step], smooth([row["loss"] for row in run.record], beta))


def decades(low: int, high: int, per_decade: int = 1) -> np.ndarray:
    """A grid of rates from 10^low to 10^high, `per_decade` to each factor of ten, both ends included.

    Raises:
        ValueError: unless low < high and `per_decade` is at least 1.

    >>> decades(-3, 0), decades(-1, 0, per_decade=2).round(3)
    (array([0.001, 0.01 , 0.1  , 1.   ]), array([0.1  , 0.316, 1.   ]))
    """
    if not (low < high and per_decade >= 1):
        raise ValueError(
            f"The grid rises from 10^low to 10^high, but low, high and per_decade are {low!r}, {high!r} and {per_decade!r}."
        )
    return 10.0 ** (low + np.arange((high - low) * per_decade + 1) / per_decade)


def try_rates(losses_at: Callable[[float], Any], lrs) -> list[dict[str, Any]]:
    """Train once with each rate and say how it went.

    Args:
        losses_at: rate -> the losses of a short run with it, always from the same start.
        lrs: the rates; `decades` makes a grid.

    Returns:
        One row per rate, in their order: lr, first, last (losses) and verdict (`classify_run`).

    >>> rows = try_rates(lambda lr: [(1 - 2 * lr) ** (2 * k) for k in range(9)], decades(-3, 1))
    >>> [row["verdict"] for row in rows], best_rate(rows)
    (['crawling', 'converging', 'converging', 'crawling', 'diverging'], 0.1)
    """
    curves = [(float(lr), _curve("the losses of a run", losses_at(float(lr)))) for lr in lrs]
    return [
        {"lr": lr, "first": float(curve[0]), "last": float(curve[-1]), "verdict": classify_run(curve)}
        for lr, curve in curves
    ]


def best_rate(rows: list[dict[str, Any]]) -> float:
    """The rate of `try_rates` that ended lowest among those that did not diverge.

    At an end of the grid it means: look further in that direction.

    Raises:
        ValueError: if all diverged.
    """
    stable = [row for row in rows if row["verdict"] != "diverging"]
    if not stable:
        raise ValueError("Every rate diverged: try lower ones.")
    return min(stable, key=lambda row: row["last"])["lr"]


# ---------------------------------------------------------------- the limit that curvature sets


class Curvature(NamedTuple):
    """An estimate of λmax: some eigenvalue lies within `error` of `value`."""

    value: float
    error: float


def hessian_vector_product(grad_fn: Callable, theta, vector, h: float = 1e-5):
    """H·v from two gradients: (∇L(θ + hv) − ∇L(θ − hv)) / 2h; exact for quadratics up to rounding, else to order h².

    Args:
        grad_fn: θ -> ∇L(θ).
        theta, vector: arrays of one shape; `vector` of length about 1.

    >>> hessian_vector_product(lambda theta: 3.0 * theta, np.zeros(2), np.array([1.0, 0.0])).round(9)
    array([3., 0.])
    """
    return (grad_fn(theta + h * vector) - grad_fn(theta - h * vector)) / (2 * h)


def largest_curvature(
    product: Callable, like, rng: np.random.Generator, tolerance: float = 1e-6, max_iterations: int = 1000
) -> Curvature:
    """λmax of a symmetric H that is only known through v -> H·v, by power iteration: v ← Hv/‖Hv‖, λ = vᵀHv.

    Power iteration runs to the eigenvalue of largest *size*. If that one is negative, or one of either
    sign is equally large, it runs again on H + cI with c that size, where the highest is the largest.

    Args:
        product: v -> H·v, arrays shaped like `like`.
        like: an array of the shape of the parameters.
        rng: where the first v is drawn from.
        tolerance: stop when ‖Hv − λv‖ ≤ tolerance·|λ|.
        max_iterations: stop after so many products per run, converged or not: `error` tells.

    >>> H = np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> round(largest_curvature(lambda v: H @ v, np.zeros(2), np.random.default_rng(0)).value, 6)
    3.618034
    """
    found, size = _power_iteration(product, like, rng, tolerance, max_iterations)
    if found.value >= 0 and found.error <= tolerance * found.value:
        return found
    raised, _ = _power_iteration(lambda v: product(v) + size * v, like, rng, tolerance, max_iterations)
    return Curvature(raised.value - size, raised.error)


def _power_iteration(product, like, rng, tolerance, max_iterations) -> tuple[Curvature, float]:
    """The dominant eigenvalue, and the largest ‖Hv‖ met: a bound on its size once v has settled."""
    v, size = rng.normal(size=np.shape(like)), 0.0
    v = v / global_norm(v)
    for _ in range(max_iterations):
        moved = product(v)
        value, length = float(np.sum(v * moved)), float(global_norm(moved))
        error, size = float(global_norm(moved - value * v)), max(size, length)
        if error <= tolerance * abs(value):
            break
        v = moved / length
    return Curvature(value, error), size


def largest_stable_rate(grad_fn: Callable, theta, rng: np.random.Generator, **options) -> float:
    """2/λmax of the Hessian at θ, for losses too large to write a Hessian down: only gradients are asked for.

    On a quadratic this is the limit (`rules.stable_learning_rate`); elsewhere it holds near θ, for plain
    full-batch gradient descent. λ is found from below, so the limit from above: stay under it.

    Args:
        grad_fn: θ -> ∇L(θ) of the full batch.
        theta: where to look, an array.
        rng, options: for `largest_curvature`.

    Raises:
        ValueError: if the loss curves upwards in no direction.

    >>> round(largest_stable_rate(lambda theta: np.array([4.0, 0.5]) * theta, np.ones(2), np.random.default_rng(0)), 6)
    0.5
    """
    return stable_learning_rate(
        largest_curvature(lambda v: hessian_vector_product(grad_fn, theta, v), theta, rng, **options).value
    )


# ---------------------------------------------------------------- when to stop


def gradient_below(tolerance: float) -> Callback:
    """Stop when the gradient's norm falls below `tolerance`: the point is (nearly) stationary.

    Only for full batches: a mini-batch's gradient keeps its noise at the minimum.

    >>> gradient_below(0.1)(Run(0.0, (), [], record=[{"grad_norm": 0.05}]))
    'Converged: the gradient has norm 0.05, below 0.1.'
    """

    def stop(run: Run) -> str | None:
        norm = run.record[-1]["grad_norm"]
        return f"Converged: the gradient has norm {norm:.6g}, below {tolerance:.6g}." if norm < tolerance else None

    return stop


def loss_settled(tolerance: float, steps: int, watch: str = "loss") -> Callback:
    """Stop when the loss changed by less than `tolerance`, relative to its size, over the last `steps` steps.

    The change is from highest to lowest within them, so an oscillation has not settled. A slow descent
    has: choose `steps` long enough for the progress that you care about.

    Raises:
        ValueError: if `steps` is below 1.

    >>> loss_settled(0.01, steps=2)(Run(0.0, (), [], record=[{"loss": 9.0}, {"loss": 2.0}, {"loss": 1.999}, {"loss": 1.998}]))
    'Converged: loss changed by 0.1 % over the last 2 steps.'
    """
    if steps < 1:
        raise ValueError(f"steps says over how many steps to compare, 1 or more, but is {steps!r}.")

    def stop(run: Run) -> str | None:
        latest = (row[watch] for row in reversed(run.record) if watch in row)
        values = list(itertools.islice(latest, steps + 1))
        if len(values) <= steps or not all(map(math.isfinite, values)):
            return None
        size = max(map(abs, values))
        change = (max(values) - min(values)) / size if size else 0.0
        return (
            f"Converged: {watch} changed by {100 * change:.4g} % over the last {steps} steps."
            if change < tolerance
            else None
        )

    return stop


def out_of_budget(budget: int, per_step: int, unit: str = "tokens") -> Callback:
    """Stop before a step would exceed the budget: after ⌊budget / per_step⌋ steps.

    Args:
        budget: how much may be spent in all.
        per_step: what a step costs: `counting.tokens_per_step`, or `counting.training_flops` of it.
        unit: its name, for the sentence.

    Raises:
        ValueError: if the budget does not pay for a single step.

    >>> out_of_budget(budget=1000, per_step=300)(Run(0.0, (), [], step=3))
    'The budget of 1000 tokens is spent: 3 steps took 900.'
    """
    if not 0 < per_step <= budget:
        raise ValueError(f"A budget of {budget!r} {unit} does not pay for one step of {per_step!r}.")

    def stop(run: Run) -> str | None:
        if (run.step + 1) * per_step <= budget:
            return None
        return f"The budget of {budget} {unit} is spent: {run.step} steps took {run.step * per_step}."

    return stop


# ---------------------------------------------------------------- what to check first


class InitialLoss(NamedTuple):
    """A fresh classifier's loss beside what a guess would have: `fits`, and a sentence that says so."""

    expected: float
    fits: bool
    sentence: str


def check_initial_loss(loss: float, classes: int, tolerance: float = 0.1) -> InitialLoss:
    """Whether a fresh classifier starts at ln C, the cross-entropy of giving each of C classes 1/C.

    Args:
        loss: the mean cross-entropy before training, in nats.
        classes: C, or the size of the vocabulary.
        tolerance: how far off it may be, relative to ln C.

    Raises:
        ValueError: with fewer than two classes.

    Source: Karpathy 2019, "A Recipe for Training Neural Networks" (verify loss at init).

    >>> check_initial_loss(10.9, classes=50_257).sentence
    'The loss starts at 10.9, and ln 50257 = 10.82: as it should.'
    """
    if classes < 2:
        raise ValueError(f"There must be two classes or more to tell apart, but there are {classes!r}.")
    expected = math.log(classes)
    start = f"The loss starts at {loss:.4g}, and ln {classes} = {expected:.4g}: "
    if abs(loss - expected) <= tolerance * expected:
        return InitialLoss(expected, True, start + "as it should.")
    if loss > expected:
        return InitialLoss(
            expected,
            False,
            start + "too high, so the model is confident and wrong. Make the last layer's first weights smaller.",
        )
    if loss < expected:
        return InitialLoss(
            expected,
            False,
            start + "too low, so it knows the answers. Look for labels in the inputs, or classes that are rare.",
        )
    return InitialLoss(expected, False, start + "no number at all. Look at the first batch.")


def overfit_ten(theta, X, y, loss_fn: Callable, grad_fn: Callable, lr: float, max_steps: int, tol: float):
    """Can the model learn ten examples by heart? If not, something is broken, and more data will not help.

    Gradient descent on the first ten examples, all at once, until their loss is below `tol`.

    Args:
        theta: the start.
        X, y: the examples and their labels; ten rows are used.
        loss_fn, grad_fn: (theta, X, y) -> loss and gradient.
        lr: the learning rate.
        max_steps: how many steps to try.
        tol: what loss counts as learned by heart.

    Returns:
        (passed, losses): whether the last loss is below `tol`, and the loss before each step and after the last.

    Source: Karpathy 2019, "A Recipe for Training Neural Networks" (overfit one batch).

    >>> square, slope = lambda t, X, y: (t - 3) ** 2, lambda t, X, y: 2 * (t - 3)
    >>> overfit_ten(-1.0, np.zeros(20), np.zeros(20), square, slope, lr=0.25, max_steps=9, tol=2.0)
    (True, [16.0, 4.0, 1.0])
    """
    X, y = X[:10], y[:10]
    losses = [float(loss_fn(theta, X, y))]
    while not losses[-1] < tol:  # a loss that is not a number is not below anything
        if len(losses) > max_steps:
            return False, losses
        theta = gradient_step(theta, grad_fn(theta, X, y), lr)
        losses.append(float(loss_fn(theta, X, y)))
    return True, losses


def gradient_report(grads, theta=None, lr: float | None = None) -> list[dict[str, Any]]:
    """One row per array: how large its gradient is, and whether it is dead or broken. The last row is all together.

    Args:
        grads: gradients, nested as you like.
        theta, lr: parameters of the same form, and the rate: give both for the column `relative_step`.

    Returns:
        Rows for `pandas.DataFrame`: name, size (how many numbers), norm, largest (absolute entry), zeros (the
        share of entries that are exactly 0), finite; and relative_step, lr·‖g‖/‖θ‖, which for plain gradient
        descent is healthy around 1/1000 (Karpathy, CS231n). A layer far below the others has vanished.

    Raises:
        ValueError: if only one of `theta` and `lr` is given.

    >>> for row in gradient_report({"w": np.array([3.0, 0.0]), "b": np.array([4.0])}):
    ...     print(row["name"], row["norm"], row["zeros"])
    grad['w'] 3.0 0.5
    grad['b'] 4.0 0.0
    all 5.0 0.3333333333333333
    """
    if (theta is None) != (lr is None):
        raise ValueError("relative_step needs both theta and lr.")
    parts = [
        *loop.named_leaves(grads, "grad"),
        ("all", np.concatenate([np.ravel(leaf) for _, leaf in loop.named_leaves(grads)])),
    ]
    rows = [_report_row(name, np.asarray(leaf)) for name, leaf in parts]
    if theta is not None:
        sizes = {name: float(global_norm(leaf)) for name, leaf in [*loop.named_leaves(theta, "grad"), ("all", theta)]}
        for row in rows:
            row["relative_step"] = lr * row["norm"] / sizes[row["name"]] if sizes[row["name"]] else math.inf
    return rows


def _report_row(name: str, grad: np.ndarray) -> dict[str, Any]:
    with np.errstate(over="ignore", invalid="ignore"):  # a report on broken gradients must not break
        norm = float(global_norm(grad))
    return {
        "name": name,
        "size": grad.size,
        "norm": norm,
        "largest": float(np.max(np.abs(grad), initial=0.0)),
        "zeros": float(np.mean(grad == 0)) if grad.size else 0.0,
        "finite": bool(np.all(np.isfinite(grad))),
    }
