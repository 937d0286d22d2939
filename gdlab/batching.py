"""Mini-batches: how many examples one gradient looks at, and what that does to its noise.

The exact gradient averages over all n examples. A batch of B of them, drawn at random, gives

    g_B = (1/B)·Σ_{i in batch} g_i          E[g_B] = ∇L          Var[g_B] = Σ/B  (drawn with replacement)

where g_i is example i's own gradient and Σ the covariance of the g_i: right on average, with a
spread that shrinks like 1/√B (Robbins and Monro 1951; Bottou, Curtis and Nocedal 2018). Full-batch
descent is `batch_size=n`, one example at a time is `batch_size=1`, and everything between is a
mini-batch.
"""

import copy
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

# ---------------------------------------------------------------- drawing batches


def epoch_batches(n: int, batch_size: int, rng: np.random.Generator, drop_last: bool = False) -> list[np.ndarray]:
    """Cut one epoch into batches: the n examples in a fresh random order, `batch_size` at a time.

    Args:
        n: how many examples there are.
        batch_size: examples in a batch, 1 or more; `n` gives the full batch, 1 single examples.
        rng: where the order is drawn from. Pass the same generator every epoch, and every epoch differs.
        drop_last: leave out the last batch if it is shorter than the others.

    Returns:
        Arrays of row numbers (int64). Together they hold each of 0 … n−1 once; with `drop_last` the
        n mod batch_size examples at the end of this epoch's order are missing.

    Raises:
        ValueError: if `n` or `batch_size` is not a whole number from 1 up.

    >>> [len(batch) for batch in epoch_batches(12, 5, np.random.default_rng(0))]
    [5, 5, 2]
    """
    n, batch_size = _whole("n", n), _whole("batch_size", batch_size)
    order = rng.permutation(n)
    end = n - n % batch_size if drop_last else n
    return [order[start : start + batch_size] for start in range(0, end, batch_size)]


class Batches:
    """Batch after batch, epoch after epoch, without end; can be saved and taken up again in the middle of an epoch.

    Args:
        n, batch_size, rng, drop_last: as in `epoch_batches`, which draws every epoch.

    Attributes:
        epoch: the epoch that the last batch came from, counted from 0.
        position: how many batches of that epoch have been handed out.
        rng: the generator; others may draw from it too.

    Raises:
        ValueError: if an epoch would have no batch (`drop_last` and a batch larger than n).

    >>> batches = Batches(12, 3, np.random.default_rng(0))
    >>> seen = [next(batches) for _ in range(5)]
    >>> batches.epoch, batches.position
    (1, 1)
    """

    def __init__(self, n: int, batch_size: int, rng: np.random.Generator, drop_last: bool = False):
        self.n, self.batch_size = _whole("n", n), _whole("batch_size", batch_size)
        self.rng, self.drop_last = rng, bool(drop_last)
        if self.drop_last and self.batch_size > self.n:
            raise ValueError(
                f"An epoch of {self.n} examples has no full batch of {self.batch_size}, and drop_last drops the rest: "
                "make batch_size smaller or keep the last batch."
            )
        self.epoch, self.position = 0, 0
        self._epoch_batches: list[np.ndarray] | None = None
        self._shuffled_from: dict | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        return self

    def __next__(self) -> np.ndarray:
        """The next batch's row numbers; a new epoch is shuffled when the old one is used up."""
        if self._epoch_batches is None:
            self._shuffle()
        elif self.position == len(self._epoch_batches):
            self._shuffle()
            self.epoch, self.position = self.epoch + 1, 0
        self.position += 1
        return self._epoch_batches[self.position - 1]

    def _shuffle(self) -> None:
        self._shuffled_from = copy.deepcopy(self.rng.bit_generator.state)
        self._epoch_batches = epoch_batches(self.n, self.batch_size, self.rng, self.drop_last)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on from here, as plain values.

        The order of the examples is not stored but the generator's state before the shuffle: a few
        numbers however large n is. `rng` is its state now, because others may have drawn since.
        """
        return {
            "n": self.n,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "epoch": self.epoch,
            "position": self.position,
            "shuffled_from": copy.deepcopy(self._shuffled_from),
            "rng": copy.deepcopy(self.rng.bit_generator.state),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken: the same batches follow, and `rng` stands where it stood.

        Raises:
            ValueError: if the state belongs to other data, another batch size or another kind of generator.

        >>> first = Batches(10, 4, np.random.default_rng(1))
        >>> _ = next(first)
        >>> second = Batches(10, 4, np.random.default_rng(99))
        >>> second.restore(first.state())
        >>> bool((next(first) == next(second)).all())
        True
        """
        for name in ("n", "batch_size", "drop_last"):
            if state[name] != getattr(self, name):
                raise ValueError(
                    f"These batches have {name} = {getattr(self, name)!r}, but the saved ones had {state[name]!r}: "
                    "to go on where they stopped, make them the same."
                )
        if state["rng"]["bit_generator"] != self.rng.bit_generator.state["bit_generator"]:
            raise ValueError(
                f"The saved batches were drawn with {state['rng']['bit_generator']}, but rng is a "
                f"{self.rng.bit_generator.state['bit_generator']}: pass a generator of the same kind."
            )
        self._epoch_batches, self._shuffled_from = None, None
        if state["shuffled_from"] is not None:
            self.rng.bit_generator.state = state["shuffled_from"]
            self._shuffle()
        self.epoch, self.position = state["epoch"], state["position"]
        self.rng.bit_generator.state = state["rng"]


# ---------------------------------------------------------------- gradients of batches


def minibatch_gradient(theta, X, y, batch):
    """The gradient of a linear model's half squared error, averaged over a batch: (1/B)·Σ (xᵢᵀθ − yᵢ)·xᵢ.

    Args:
        theta: the weights, shape (d,).
        X: the examples, shape (n, d).
        y: their labels, shape (n,) or (n, 1).
        batch: row numbers of the B examples to look at.

    Returns:
        Shape (d,): ∇ of mean ½(xᵀθ − y)² over the batch.

    Raises:
        ValueError: if the batch is empty, `theta` is not (d,), or `y` is neither (n,) nor (n, 1).

    >>> X, y = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([1.0, 2.0, 3.0])
    >>> minibatch_gradient(np.zeros(2), X, y, [2, 0])
    array([ -8., -10.])
    """
    if len(batch) == 0:
        raise ValueError("The batch is empty: a mean over no examples has no value.")
    if theta.shape != X.shape[1:]:
        raise ValueError(
            f"theta holds one weight for each of the {X.shape[1]} columns of X, but has shape {tuple(theta.shape)}."
        )
    if y.shape not in {(len(X),), (len(X), 1)}:
        raise ValueError(f"y holds one label for each of the {len(X)} rows of X, but has shape {tuple(y.shape)}.")
    inputs, labels = X[batch], y[batch].reshape(len(batch))
    return inputs.T @ (inputs @ theta - labels) / len(batch)


def accumulate_gradients(grads, counts):
    """The gradient of one large batch from those of its parts: Σ nₖ·gₖ / Σ nₖ.

    A part with twice the examples has twice the say. Averaging the parts without weights is exact
    only if all have the same size.

    Args:
        grads: one gradient per micro-batch, each the *mean* over its examples: arrays of one shape,
            or nested dicts and lists of arrays, all built alike.
        counts: how many examples (for language models: target tokens) each is the mean of. A part
            that counts 0 has no say, even if its mean is NaN.

    Returns:
        The mean gradient over all examples, built like each of `grads`.

    Raises:
        ValueError: if the lengths differ, a count is negative or not whole, or all are 0.

    Source: PyTorch's and Hugging Face's trainers divided each part by K until 2024, which is exact
    for equal counts only (https://huggingface.co/blog/gradient_accumulation).

    >>> accumulate_gradients([np.array([1.0, 2.0]), np.array([5.0, 8.0])], counts=[3, 1])
    array([2. , 3.5])
    """
    grads, counts = list(grads), [_whole("each count", count, least=0) for count in counts]
    if len(grads) != len(counts):
        raise ValueError(
            f"Each micro-batch has one gradient and one count, but there are {len(grads)} and {len(counts)}."
        )
    if sum(counts) == 0:
        raise ValueError("There are no examples to average over: every count is 0.")
    return _weighted_mean(
        [grad for grad, count in zip(grads, counts, strict=True) if count], [count for count in counts if count]
    )


def _weighted_mean(trees, weights):
    first = trees[0]
    if isinstance(first, dict):
        return {key: _weighted_mean([tree[key] for tree in trees], weights) for key in first}
    if isinstance(first, (list, tuple)):
        return type(first)(_weighted_mean(list(parts), weights) for parts in zip(*trees, strict=True))
    return sum(weight * part for weight, part in zip(weights, trees, strict=True)) / sum(weights)


def in_micro_batches(loss_and_grad: Callable, micro_batch: int) -> Callable:
    """Look at a large batch in pieces that fit: same loss, same gradient, less memory.

    Args:
        loss_and_grad: (theta, batch) -> (mean loss, mean gradient).
        micro_batch: the most examples to look at together.

    Returns:
        A function of the same kind. It agrees with `loss_and_grad` up to rounding as long as the
        loss is a mean over examples and no layer couples them (batch normalisation does).

    Raises:
        ValueError: if `micro_batch` is not a whole number from 1 up.

    >>> mean = lambda theta, batch: (theta * sum(batch) / len(batch), sum(batch) / len(batch))
    >>> in_micro_batches(mean, 2)(10.0, [1, 2, 6])
    (30.0, 3.0)
    """
    micro_batch = _whole("micro_batch", micro_batch)

    def accumulated(theta, batch):
        parts = [batch[start : start + micro_batch] for start in range(0, len(batch), micro_batch)]
        loss, grad = accumulate_gradients(
            [tuple(loss_and_grad(theta, part)) for part in parts], [len(part) for part in parts]
        )
        return float(loss), grad

    return accumulated


# ---------------------------------------------------------------- learning rate and batch size


def scale_lr(base_lr: float, base_batch: int, batch: int, rule: str) -> float:
    """The learning rate for another batch size: lr·k ("linear") or lr·√k ("sqrt"), k = batch / base_batch.

    Args:
        base_lr: the rate that works at `base_batch`.
        base_batch, batch: examples in a batch, before and after.
        rule: "linear" for SGD (Goyal et al. 2017, arXiv 1706.02677), "sqrt" for Adam and RMSProp
            (Malladi et al. 2022, arXiv 2205.10287). Both fail beyond the critical batch size.

    Raises:
        ValueError: if a batch is not a whole number from 1 up, or the rule has another name.

    >>> scale_lr(0.1, 256, 1024, "linear"), scale_lr(0.1, 256, 1024, "sqrt")
    (0.4, 0.2)
    """
    ratio = _whole("batch", batch) / _whole("base_batch", base_batch)
    if rule not in {"linear", "sqrt"}:
        raise ValueError(f'The rule is "linear" or "sqrt", but is {rule!r}.')
    return base_lr * (ratio if rule == "linear" else math.sqrt(ratio))


# ---------------------------------------------------------------- gradient noise


def gradient_noise(grads, batch_size: int, *, replace: bool = True) -> np.ndarray:
    """How far a batch's gradient lies from the mean gradient, per coordinate: s/√B, a standard error.

    Args:
        grads: the examples' own gradients, shape (n, d), n ≥ 2.
        batch_size: B.
        replace: True for batches drawn with replacement, or from endless data. False for batches
            of B different examples out of these n: then √(1 − B/n) is multiplied in (the
            finite-population correction, Cochran 1977, chapter 2), and the full batch has no noise.

    Returns:
        Shape (d,), in the gradient's unit. s is the sample standard deviation, divided by n − 1.

    Raises:
        ValueError: if there are fewer than 2 rows, B is not a whole number from 1 up, or B > n without replacement.

    >>> gradient_noise(np.array([[0.0], [4.0], [8.0], [4.0], [4.0]]), batch_size=2)
    array([2.])
    """
    grads, batch_size = np.asarray(grads, dtype=float), _whole("batch_size", batch_size)
    if grads.ndim != 2 or len(grads) < 2:
        raise ValueError(f"grads holds one row per example and at least two rows, but has shape {grads.shape}.")
    error = np.std(grads, axis=0, ddof=1) / math.sqrt(batch_size)
    return error if replace else error * finite_population_correction(len(grads), batch_size)


def finite_population_correction(n: int, batch_size: int) -> float:
    """What drawing without replacement multiplies a standard error by: √(1 − B/n).

    Exact when the spread was computed with n − 1 (`gradient_noise` does).

    Raises:
        ValueError: if B > n: there are not that many different examples.

    >>> finite_population_correction(100, 64)
    0.6
    """
    n, batch_size = _whole("n", n), _whole("batch_size", batch_size)
    if batch_size > n:
        raise ValueError(f"A batch of {batch_size} different examples cannot be drawn from {n}.")
    return math.sqrt(1 - batch_size / n)


def draw_batch_gradients(
    grads, batch_size: int, draws: int, rng: np.random.Generator, *, replace: bool = False
) -> np.ndarray:
    """Measure instead of computing: the gradients of `draws` random batches.

    Args:
        grads: the examples' own gradients, shape (n, d).
        batch_size: B, at most n without replacement.
        draws: how many batches.
        rng: where they are drawn from.
        replace: may a batch hold an example twice?

    Returns:
        Shape (draws, d). The standard deviation of its columns is what `gradient_noise` predicts.

    >>> draw_batch_gradients(np.array([[1.0], [3.0]]), 2, 3, np.random.default_rng(0))
    array([[2.],
           [2.],
           [2.]])
    """
    grads = np.asarray(grads, dtype=float)
    rows = range(_whole("draws", draws))
    return np.stack([grads[rng.choice(len(grads), batch_size, replace=replace)].mean(axis=0) for _ in rows])


class NoiseScale(NamedTuple):
    """Signal and noise of a gradient: estimates of |G|² and of tr Σ, both in squared units of the gradient.

    Average each of the two over several steps *before* dividing: the ratio of two noisy numbers is
    biased, the numbers are not (McCandlish et al. 2018, appendix A.1).
    """

    signal: float
    noise: float

    @property
    def batch_size(self) -> float:
        """The simple noise scale tr Σ / |G|², in examples; infinite where no signal could be measured."""
        return self.noise / self.signal if self.signal > 0 else math.inf


def noise_scale(small_sq_norm: float, small_batch: int, big_sq_norm: float, big_batch: int) -> NoiseScale:
    """Signal and noise from two batch sizes, unbiased:

        |G|² ≈ (B_big·|g_big|² − B_small·|g_small|²) / (B_big − B_small)
        tr Σ ≈ (|g_small|² − |g_big|²) / (1/B_small − 1/B_big)

    Both follow from E|g_B|² = |G|² + tr Σ / B.

    Args:
        small_sq_norm, big_sq_norm: |g|², the squared norm of a batch gradient, at each size (better: a mean of several).
        small_batch, big_batch: the sizes, in examples; in data-parallel training one device's share and the whole.

    Raises:
        ValueError: unless small_batch < big_batch.

    Source: McCandlish et al. 2018, arXiv 1812.06162, appendix A.1.

    >>> noise_scale(small_sq_norm=5.0, small_batch=4, big_sq_norm=2.0, big_batch=16)
    NoiseScale(signal=1.0, noise=16.0)
    """
    small_batch, big_batch = _whole("small_batch", small_batch), _whole("big_batch", big_batch)
    if small_batch >= big_batch:
        raise ValueError(f"small_batch must be below big_batch, but they are {small_batch} and {big_batch}.")
    signal = (big_batch * big_sq_norm - small_batch * small_sq_norm) / (big_batch - small_batch)
    noise = (small_sq_norm - big_sq_norm) / (1 / small_batch - 1 / big_batch)
    return NoiseScale(float(signal), float(noise))


def noise_scale_of(grads) -> NoiseScale:
    """Signal and noise from the examples' own gradients: `noise_scale` with batches of 1 and of all n.

    Args:
        grads: shape (n, d), n ≥ 2.

    >>> noise_scale_of(np.array([[1.0, 0.0], [3.0, 0.0]]))
    NoiseScale(signal=3.0, noise=2.0)
    """
    grads = np.asarray(grads, dtype=float)
    if grads.ndim != 2 or len(grads) < 2:
        raise ValueError(f"grads holds one row per example and at least two rows, but has shape {grads.shape}.")
    return noise_scale(np.mean(np.sum(grads**2, axis=1)), 1, np.sum(grads.mean(axis=0) ** 2), len(grads))


# ---------------------------------------------------------------- the price of a batch size


def critical_batch_size(min_steps: float, min_examples: float) -> float:
    """Where steps and examples are both twice their least: B_crit = E_min / S_min, in examples.

    Source: McCandlish et al. 2018, section 2.3; near it lies the simple noise scale.

    >>> critical_batch_size(min_steps=500, min_examples=500_000)
    1000.0
    """
    return min_examples / min_steps


def cost_of_batch_size(batch_size: float, min_steps: float, min_examples: float) -> tuple[float, float]:
    """Steps and examples to reach a goal: S = S_min·(1 + B_crit/B), E = E_min·(1 + B/B_crit) = S·B.

    Small batches waste steps, large ones waste examples: (S/S_min − 1)·(E/E_min − 1) = 1.

    Args:
        batch_size: B, in examples.
        min_steps: S_min, the steps with endless batches.
        min_examples: E_min, the examples with the smallest batches.

    Returns:
        (steps, examples), not rounded: a model's prediction.

    Source: McCandlish et al. 2018, section 2.3.

    >>> cost_of_batch_size(1000, min_steps=500, min_examples=500_000)
    (1000.0, 1000000.0)
    """
    steps = min_steps * (1 + critical_batch_size(min_steps, min_examples) / batch_size)
    return steps, steps * batch_size


def fit_cost_of_batch_size(batch_sizes, steps) -> tuple[float, float]:
    """S_min and E_min from runs to the same goal at several batch sizes: a line through S = S_min + E_min·(1/B).

    Least squares on relative errors, since a run of 100,000 steps is no surer than one of 100.

    Args:
        batch_sizes: B of each run, at least two different ones.
        steps: how many steps each needed.

    Returns:
        (min_steps, min_examples), ready for `cost_of_batch_size` and `critical_batch_size`.

    Raises:
        ValueError: with fewer than two different batch sizes.

    >>> min_steps, min_examples = fit_cost_of_batch_size([500, 1000, 4000], [1500, 1000, 625])
    >>> round(min_steps), round(min_examples)
    (500, 500000)
    """
    batch_sizes, steps = np.asarray(batch_sizes, dtype=float), np.asarray(steps, dtype=float)
    if batch_sizes.shape != steps.shape or len(np.unique(batch_sizes)) < 2:
        raise ValueError("A line needs two points: give steps for at least two different batch sizes, one number each.")
    design = np.stack([1 / steps, 1 / (batch_sizes * steps)], axis=1)
    min_steps, min_examples = np.linalg.lstsq(design, np.ones(len(steps)), rcond=None)[0]
    return float(min_steps), float(min_examples)


def _whole(name: str, value, least: int = 1) -> int:
    """`value` as a Python integer of at least `least`, or a sentence."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least:
        raise ValueError(f"{name} is a whole number from {least} up, but is {value!r}.")
    return number
