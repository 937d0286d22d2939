"""Batch noise: the same 14 steps at the same rate, with gradients of all examples, of a few, or of one.

Chapter 3's figure. A line b + w·x is fitted to 64 points by gradient descent. A batch of B of them, drawn
without replacement, has a gradient that is off by s/√B · √(1 − B/n) as a rule (`gdlab.batching.gradient_noise`),
so the walks of 40 seeds fan out around the walk of the full batch. Chance comes from `noise.Seeded`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import traitlets as t

from gdlab.batching import epoch_batches, gradient_noise, minibatch_gradient
from gdlab.figures.base import Figure, Number, finite
from gdlab.figures.batch_fan_svg import fan_picture
from gdlab.figures.noise import Seeded
from gdlab.figures.own import trouble, two_numbers

Gradient = Callable[[np.ndarray, np.ndarray, np.ndarray, Any], np.ndarray]
"""A learner's own mini-batch gradient: (theta, X, y, batch) -> the gradient, shape (2,)."""

Path = list[list[float]]

EXAMPLES = 64
START = (-2.0, -1.0)
FAN = 40
"""The fan shows seeds 0 … 39."""


def examples() -> tuple[np.ndarray, np.ndarray]:
    """The 64 points: X with a column of ones and one of x, and y = 1 + 2x + a normal error.

    >>> X, y = examples()
    >>> X.shape, y.shape
    ((64, 2), (64,))
    """
    chance = Seeded(3)
    x = np.array([-1.6 + 3.2 * i / (EXAMPLES - 1) for i in range(EXAMPLES)])
    y = np.array([1 + 2 * xi + chance.standard_normal() for xi in x])
    return np.stack([np.ones(EXAMPLES), x], axis=1), y


X, Y = examples()


def batches_of(seed: int, batch_size: int, steps: int) -> list[Any]:
    """The batches of a walk, reshuffled whenever the 64 examples are used up.

    >>> [len(batch) for batch in batches_of(0, 24, 5)]
    [24, 24, 16, 24, 24]
    """
    chance, batches = Seeded(seed), []
    while len(batches) < steps:
        batches += epoch_batches(EXAMPLES, batch_size, chance)
    return batches[:steps]


def noisy_path(
    seed: int, batch_size: int, lr: float, steps: int, gradient: Gradient = minibatch_gradient
) -> tuple[Path, str]:
    """θ₀ … θ_steps = [b, w] with the batches of a seed.

    Returns:
        The points, and a sentence on why a learner's own gradient ends the walk early ("" where it does not).
    """
    path = [list(START)]
    for batch in batches_of(seed, batch_size, steps):
        try:
            slope = two_numbers(gradient(np.array(path[-1]), X, Y, batch), "the gradient")
        except Exception as error:
            return path, trouble(error, "gradient")
        path.append([at - lr * g for at, g in zip(path[-1], slope, strict=True)])
    return path, ""


def loss(theta) -> float:
    """The mean of ½(b + w·x − y)² over all 64 examples."""
    return float(np.mean((X @ np.asarray(theta) - Y) ** 2) / 2)


def standard_error(theta, batch_size: int, *, replace: bool = False) -> float:
    """How far a batch's gradient lies from the gradient of all examples, as a rule: the length of `gradient_noise`.

    >>> round(standard_error(START, 1), 3), standard_error(START, 64)
    (4.802, 0.0)
    """
    grads = (X @ np.asarray(theta) - Y)[:, None] * X
    return float(np.linalg.norm(gradient_noise(grads, batch_size, replace=replace)))


def measured_error(theta, batch_size: int) -> float:
    """The same, measured: the root mean square over the first batches of the fan's seeds."""
    exact = minibatch_gradient(np.asarray(theta), X, Y, range(EXAMPLES))
    off = [
        minibatch_gradient(np.asarray(theta), X, Y, batches_of(seed, batch_size, 1)[0]) - exact for seed in range(FAN)
    ]
    return float(np.sqrt(np.mean(np.sum(np.square(off), axis=1))))


class BatchNoise(Figure):
    """The figure; see the module's first paragraph. `batch_noise` is its short name."""

    figure = "batch_noise"
    settings = ("batch_size", "lr", "seed", "fan", "steps", "frame")
    told = ("paths", "trouble")

    batch_size = t.Int(8, min=1, max=EXAMPLES, help="B, the examples behind one gradient").tag(sync=True)
    lr = Number(0.3, min=0.0, max=2.0, help="the learning rate η").tag(sync=True)
    seed = t.Int(0, min=0, max=9_999, help="whose walk is drawn boldly").tag(sync=True)
    fan = t.Bool(True, help="draw the walks of 40 seeds").tag(sync=True)
    steps = t.Int(14, min=1, max=100, help="how many steps the walks have").tag(sync=True)
    frame = t.Int(14, min=0, max=100, help="the step that is shown, from 0 to steps").tag(sync=True)
    paths = t.List(help="with a learner's own gradient: the bold walk, then the fan; else empty").tag(sync=True)
    trouble = t.Unicode(help="why a learner's own walk went no further; empty when it did").tag(sync=True)

    def __init__(self, *, gradient: Gradient | None = None, **traits):
        self._gradient = gradient
        super().__init__(**{"frame": traits.get("steps", 14), **traits})
        self._walk_again()
        self.observe(self._walk_again, names=["batch_size", "lr", "seed", "steps"])

    def trajectory(self, seed: int | None = None) -> Path:
        """The points of a seed's walk, by default of the bold one, with gdlab's gradient or the learner's own."""
        return self._walk(self.seed if seed is None else seed)[0]

    def spread(self) -> float:
        """How far the fan's walks lie from their mean at the step that is shown, as a root mean square."""
        at = np.array([self.trajectory(seed)[self.frame] for seed in range(FAN)])
        return float(np.sqrt(np.mean(np.sum((at - at.mean(axis=0)) ** 2, axis=1))))

    def picture(self) -> str:
        errors = [(size, standard_error(START, size), measured_error(START, size)) for size in (1, 2, 4, 8, 16, 32, 64)]
        full = noisy_path(0, EXAMPLES, self.lr, self.steps)[0]
        if self._gradient is not None:
            panels = [(f"your gradient, B = {self.batch_size}", self._walks())]
        else:
            sizes = (("one example", 1), ("mini-batch of 8", 8), ("all 64 examples", EXAMPLES))
            panels = [
                (name, [noisy_path(seed, size, self.lr, self.steps)[0] for seed in (self.seed, *range(FAN))])
                for name, size in sizes
            ]
        least = np.linalg.lstsq(X, Y, rcond=None)[0].tolist()
        return fan_picture(panels, full, least, errors, self.trouble)

    def _walk(self, seed: int) -> tuple[Path, str]:
        return noisy_path(seed, self.batch_size, self.lr, self.steps, self._gradient or minibatch_gradient)

    def _walks(self) -> list[Path]:
        path, trouble = self._walk(self.seed)
        return [path] if trouble else [path, *(self._walk(seed)[0] for seed in range(FAN))]

    def _walk_again(self, _change=None):
        if self._gradient is not None:
            with self.hold_sync():
                self.paths = [[[finite(number) for number in point] for point in path] for path in self._walks()]
                self.trouble = self._walk(self.seed)[1]

    @t.observe("steps")
    def _stay_on_the_walk(self, _change):
        self.frame = min(self.frame, self.steps)


def batch_noise(my_gradient: Gradient | None = None, **traits) -> BatchNoise:
    """Show what the batch size does to a walk: `batch_noise()`, `batch_noise(batch_size=1)`, `batch_noise(my_gradient)`.

    Args:
        my_gradient: a function of your own, (theta, X, y, batch) -> the gradient, like
            `gdlab.batching.minibatch_gradient`, which it is when left out.
        **traits: batch_size, lr, seed, fan, steps, frame: what the figure starts with. Each stays live:
            after `noise = batch_noise()`, setting `noise.batch_size = 1` moves the picture.
    """
    return BatchNoise(gradient=my_gradient, **traits)
