"""stable_learning_rate(hessian) -> float: 2/λmax, from which gradient descent on ½θᵀHθ no longer shrinks."""

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone, signed
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part
from gdlab.rules import stable_learning_rate


def _curvatures(rng, d, highest):
    """d curvatures in no order, each 1.4 to 2 times the next."""
    ratios = rng.uniform(1.4, 2.0, d - 1)
    return rng.permutation(highest / np.cumprod([1.0, *ratios]))


def _turned(rng, curvatures):
    """A bowl with these curvatures along axes of its own: no entry of H comes near the highest of them."""
    while True:
        directions, _ = np.linalg.qr(signed(rng, 0.2, 1, (len(curvatures), len(curvatures))))
        hessian = (directions * curvatures) @ directions.T
        if np.abs(hessian).max() < 0.9 * curvatures.max():
            return (hessian + hessian.T) / 2


def _cases(rng):
    def highest():
        return float(rng.uniform(3, 9))

    return [
        Case("axes", {"hessian": np.diag(_curvatures(rng, 2, highest()))}),
        Case("axes", {"hessian": np.diag(_curvatures(rng, 4, float(rng.uniform(0.2, 0.6))))}),
        Case("turned", {"hessian": _turned(rng, _curvatures(rng, 2, highest()))}),
        Case("turned", {"hessian": _turned(rng, _curvatures(rng, 3, highest()))}),
        Case("turned", {"hessian": _turned(rng, _curvatures(rng, 5, float(rng.uniform(0.2, 0.6))))}),
    ]


def _power_iteration(hessian):
    direction = np.arange(1.0, len(hessian) + 1)
    for _ in range(300):
        direction = hessian @ direction
        direction /= np.linalg.norm(direction)
    return 2 / (direction @ hessian @ direction)


def _largest_of_all_eigenvalues(hessian):
    largest = 0.0
    for curvature in np.linalg.eig(hessian)[0]:
        if curvature > largest:
            largest = curvature
    return 2.0 / largest


def _in_torch(hessian):
    import torch

    return 2 / torch.linalg.eigvalsh(torch.as_tensor(hessian)).max()


def _by_halving(hessian):
    """The rate up to which I − ηH, and with it every distance, shrinks."""
    stable, unstable = 0.0, 100.0
    for _ in range(60):
        lr = (stable + unstable) / 2
        shrinks = np.linalg.norm(np.eye(len(hessian)) - lr * hessian, ord=2) < 1
        stable, unstable = (lr, unstable) if shrinks else (stable, lr)
    return stable


def _curves(hessian):
    return np.linalg.eigvalsh(hessian)


def _just_below_and_above(answer: Answer) -> str:
    """The loss on a bowl of curvatures 4 and 1, at 95 % and at 105 % of the learner's rate."""
    hessian = np.array([[2.5, 1.5], [1.5, 2.5]])
    came = answer({"hessian": hessian}).value
    if not is_numeric(came) or np.size(came) != 1:
        return ""
    lr = float(np.asarray(came).item())

    def losses(lr):
        theta, seen = np.array([1.0, 0.5]), []
        with np.errstate(all="ignore"):  # a wrong rate may be anything at all
            for _ in range(31):
                seen.append(float(0.5 * theta @ hessian @ theta))
                theta = theta - lr * hessian @ theta
        return seen

    return curve_picture(
        [("5 % below yours", losses(0.95 * lr)), ("5 % above yours", losses(1.05 * lr))],
        x_label="step",
        y_label="loss",
        log_y=True,
    )


EXERCISE = Exercise(
    name="stable_learning_rate",
    version=1,
    reference=stable_learning_rate,
    cases=_cases,
    parts=(
        Part("axes", "a bowl along the axes, and the caller's matrix as it was", 1),
        Part("turned", "a bowl that is turned", 2),
    ),
    mistakes=(
        Mistake(
            "one-over",
            lambda hessian: 1 / _curves(hessian)[-1],
            "Stable, but not yet the limit: at your rate the steepest direction is solved in one step. From which rate on do distances no longer shrink?",
        ),
        Mistake(
            "smallest-curvature",
            lambda hessian: 2 / _curves(hessian)[0],
            "The flattest direction allows this rate; the steepest one explodes.",
        ),
        Mistake(
            "sum-of-curvatures",
            lambda hessian: 2 / np.trace(hessian),
            "You added the curvatures up. Directions do not add up: a single one decides.",
        ),
        Mistake(
            "frobenius-norm",
            lambda hessian: 2 / np.linalg.norm(hessian),
            "Unless you tell it otherwise, numpy.linalg.norm of a matrix mixes all directions; a single one decides.",
        ),
        Mistake(
            "largest-entry",
            lambda hessian: 2 / np.max(np.abs(hessian)),
            "An entry of the matrix is a curvature only where the bowl lies along the axes.",
        ),
        Mistake(
            "best-not-limit",
            lambda hessian: 2 / (_curves(hessian)[0] + _curves(hessian)[-1]),
            "That is the fastest rate; this task asks for the largest.",
        ),
        Mistake(
            "upside-down",
            lambda hessian: _curves(hessian)[-1] / 2,
            "Steeper bowls need smaller steps; yours grow.",
        ),
    ),
    properties=(leaves_inputs_alone(part="axes"),),
    alternatives=(
        Alternative("spectral norm", lambda hessian: 2 / np.linalg.norm(hessian, 2)),
        Alternative("largest singular value", lambda hessian: 2 / np.linalg.svd(hessian, compute_uv=False)[0]),
        Alternative("power iteration", _power_iteration),
        Alternative("loop over eig", _largest_of_all_eigenvalues),
        Alternative("torch tensors", _in_torch),
        Alternative("halving an interval", _by_halving),
        Alternative(
            "float32, smallest of all limits", lambda hessian: np.min(2 / np.linalg.eigvalsh(np.float32(hessian)))
        ),
    ),
    notice="Notice that one direction decides for all: the flat ones would be glad of a larger rate, and wait.",
    picture=_just_below_and_above,
)
