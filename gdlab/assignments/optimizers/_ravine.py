"""A learner's optimizer on the ravine L = 0.1·x² + 2·y², beside the right one and lines of equal loss."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer
from gdlab.judge.compare import is_numeric
from gdlab.objectives import ravine

STEPS = 20
LEVELS = (2.5, 0.5)


def paths_on_the_ravine(right: Answer, yours: Answer, state: tuple[str, ...], rates: Mapping[str, Any]) -> str:
    """Both paths of 20 steps from (−5, −2), each started with a state of zeros.

    Args:
        right, yours: two optimizers, asked with the protocol `several_steps`.
        state: the names of the parts of their state, in the order of the signature.
        rates: what follows in the signature; a `step` among them is the first one.
    """
    curves = [(label, *_path(answer, state, rates)) for label, answer in (("right", right), ("yours", yours))]
    return curve_picture([*curves, *map(_equal_loss, LEVELS)], x_label="theta[0]", y_label="theta[1]")


def _path(answer: Answer, state: tuple[str, ...], rates: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Each step is asked for by itself: where the next gradient is measured depends on where it led."""
    now = {"theta": np.array(ravine.start), "grads": None, **{name: np.zeros(2) for name in state}, **rates}
    first = now.get("step", 0)
    path = [now["theta"]]
    for step in range(first, first + STEPS):
        now |= {"grads": ravine.grad(path[-1])[np.newaxis]} | ({"step": step} if "step" in rates else {})
        came = answer(now).value[f"step {step if 'step' in rates else 0}"]
        if not isinstance(came, dict) or not all(is_numeric(part) and np.shape(part) == (2,) for part in came.values()):
            break
        now |= came
        path.append(now["theta"])
    xs, ys = np.transpose(path).tolist()
    return xs, ys


def _equal_loss(level: float) -> tuple[str, list[float], list[float]]:
    """The ellipse on which the ravine's loss is `level`."""
    turn = np.linspace(0, 2 * np.pi, 65)
    x_curvature, y_curvature = np.diag(ravine.hessian)
    xs, ys = np.sqrt(2 * level / x_curvature) * np.cos(turn), np.sqrt(2 * level / y_curvature) * np.sin(turn)
    return f"loss {level:g}", xs.tolist(), ys.tolist()
