"""gradient_noise(grads, batch_size) -> (d,): how far a batch's gradient lies from the mean, per coordinate."""

import math
import statistics

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone, signed
from gdlab.batching import gradient_noise
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part


def _cases(rng):
    def case(part, n, d, batch_size):
        """Gradients with a mean far from zero, and coordinates that vary on scales of their own."""
        spread = rng.uniform(0.5, 3, d)
        grads = signed(rng, 1, 3, d) + spread * rng.normal(size=(n, d))
        return Case(part, {"grads": grads, "batch_size": batch_size})

    def rows():
        return int(rng.integers(8, 14))

    return [
        case("one", rows(), 3, 1),
        case("one", rows(), 2, 1),
        case("batch", rows(), 2, 3),
        case("batch", rows(), 3, 4),
        case("batch", rows(), 4, int(rng.integers(5, 8))),
    ]


def _sum_of_squares(grads, batch_size):
    n, d = grads.shape
    noise = []
    for j in range(d):
        mean = sum(grads[:, j]) / n
        squares = sum((g - mean) ** 2 for g in grads[:, j])
        noise.append(math.sqrt(squares / (n - 1) / batch_size))
    return noise


def _mean_of_squares_minus_square_of_mean(grads, batch_size):
    n = len(grads)
    variance = (np.mean(grads**2, axis=0) - np.mean(grads, axis=0) ** 2) * n / (n - 1)
    return np.sqrt(variance / batch_size)


def _all_pairs(grads, batch_size):
    """Half the mean squared distance between two different examples is the variance."""
    n = len(grads)
    distances = grads[:, None, :] - grads[None, :, :]
    return np.sqrt(np.sum(distances**2, axis=(0, 1)) / (2 * n * (n - 1) * batch_size))


def _in_torch(grads, batch_size):
    import torch

    return torch.as_tensor(grads).std(dim=0) / batch_size**0.5


def _without_replacement(grads, batch_size):
    return gradient_noise(grads, batch_size, replace=False)


def _spread(grads, ddof):
    return np.std(grads, axis=0, ddof=ddof)


def _with_either_spread(name, noise, sentence):
    """A mistake, and the same with NumPy's own spread, which divides by n."""
    return (
        Mistake(name, lambda grads, batch_size: noise(grads, batch_size, ddof=1), sentence),
        Mistake(
            f"{name}-and-by-n",
            lambda grads, batch_size: noise(grads, batch_size, ddof=0),
            f"{sentence} And then there is the spread, which here divides by n − 1.",
        ),
    )


PICTURE_BATCHES = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]


def _picture(answer: Answer) -> str:
    """How noise falls with the batch: the learner's and the right one, over all coordinates."""
    grads = np.random.default_rng(2).normal([1.0, -2.0], [1.5, 0.8], size=(40, 2))

    def length(noise) -> float:
        return float(np.linalg.norm(noise)) if is_numeric(noise) else math.nan

    right = [length(gradient_noise(grads, batch)) for batch in PICTURE_BATCHES]
    yours = [length(answer({"grads": grads, "batch_size": batch}).value) for batch in PICTURE_BATCHES]
    curves = [("right", PICTURE_BATCHES, right), ("yours", PICTURE_BATCHES, yours)]
    return curve_picture(curves, x_label="batch", y_label="noise")


EXERCISE = Exercise(
    name="gradient_noise",
    version=1,
    reference=gradient_noise,
    cases=_cases,
    parts=(
        Part("one", "the noise of a single example", 1),
        Part("batch", "the noise of a batch", 2),
        Part("unchanged", "the caller's gradients stay as they were", 1),
    ),
    mistakes=(
        *_with_either_spread(
            "divides-by-b",
            lambda grads, batch_size, ddof: _spread(grads, ddof) / batch_size,
            "Four times the batch should only halve the noise, and yours falls to a quarter.",
        ),
        *_with_either_spread(
            "spread-of-one",
            lambda grads, batch_size, ddof: _spread(grads, ddof),
            "That is the noise of one example; averaging over a batch calms it.",
        ),
        *_with_either_spread(
            "root-of-n",
            lambda grads, batch_size, ddof: _spread(grads, ddof) / math.sqrt(len(grads)),
            "The mean is over a batch, not over all n examples.",
        ),
        *_with_either_spread(
            "variance",
            lambda grads, batch_size, ddof: _spread(grads, ddof) ** 2 / batch_size,
            "The right idea in the wrong unit: yours is a variance, in squares of the gradient's unit.",
        ),
        *_with_either_spread(
            "all-coordinates-mixed",
            lambda grads, batch_size, ddof: np.std(grads, ddof=ddof) / math.sqrt(batch_size),
            "Each coordinate has its own noise, and you mixed them into one number.",
        ),
        *_with_either_spread(
            "wrong-axis",
            lambda grads, batch_size, ddof: np.std(grads, axis=1, ddof=ddof) / math.sqrt(batch_size),
            "You compared the coordinates of one example; compare the examples in one coordinate.",
        ),
        Mistake(
            "not-centred",
            lambda grads, batch_size: np.sqrt(np.mean(grads**2, axis=0) / batch_size),
            "Noise is the distance from the mean gradient, not from zero.",
        ),
        Mistake(
            "divides-by-n",
            lambda grads, batch_size: _spread(grads, 0) / math.sqrt(batch_size),
            "Your spread divides by n, as NumPy does unless told otherwise; the mean was estimated from the same rows, so here it divides by n − 1.",
        ),
        Mistake(
            "without-replacement",
            _without_replacement,
            "That is the noise of batches drawn without replacement, with a statistician's √(1 − B/n); here a row may be drawn again, so leave that factor out.",
        ),
    ),
    properties=(leaves_inputs_alone(part="unchanged"),),
    alternatives=(
        Alternative(
            "diagonal of np.cov",
            lambda grads, batch_size: np.sqrt(np.diag(np.cov(grads, rowvar=False)) / batch_size),
        ),
        Alternative("sum of squares, a list", _sum_of_squares),
        Alternative(
            "statistics.stdev",
            lambda grads, batch_size: [statistics.stdev(column) / batch_size**0.5 for column in grads.T.tolist()],
        ),
        Alternative("mean of squares minus square of mean", _mean_of_squares_minus_square_of_mean),
        Alternative("all pairs of examples", _all_pairs),
        Alternative("torch.std", _in_torch),
        Alternative(
            "float32",
            lambda grads, batch_size: np.std(grads.astype(np.float32), axis=0, ddof=1) / np.float32(batch_size) ** 0.5,
        ),
    ),
    notice="Notice that the noise falls with the root of the batch while the cost grows with the batch itself: calm is expensive.",
    axes=("coordinate",),
    picture=_picture,
)
