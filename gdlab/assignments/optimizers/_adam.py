"""What Adam and AdamW share: their averages, and the slips that concern both of them alike."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from gdlab.assignments.optimizers._steps import squares, values, zeros
from gdlab.judge.exercise import Mistake


def state(rng, shape: tuple[int, ...] | int | None, step: int) -> dict:
    """m and v before this step: zeros at step 0, warm after it."""
    if step == 0:
        return {"m": zeros(shape), "v": zeros(shape)}
    return {"m": values(rng, shape, 0.5, 2), "v": squares(rng, shape, 2, 9)}


def averages(grad, m, v, beta1, beta2):
    return beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad**2


def corrected(m, v, step, beta1, beta2):
    return m / (1 - beta1 ** (step + 1)), v / (1 - beta2 ** (step + 1))


def returned_wrongly(rule: Callable) -> tuple[Mistake, ...]:
    """m and v as they were, or each in the other's place."""

    def not_kept(theta, grad, m, v, *rest):
        return rule(theta, grad, m, v, *rest)[0], m, v

    def swapped(*inputs):
        with np.errstate(all="ignore"):  # an m that is taken for v may have no root
            theta, m, v = rule(*inputs)
        return theta, v, m

    return (
        Mistake("averages-not-kept", not_kept, "You moved with the new averages, but returned the old ones."),
        Mistake("m-and-v-swapped", swapped, "You return m and v in each other's place: the order is theta, m, v."),
    )


INDEPENDENT_LINES: Mapping[str, str] = MappingProxyType(
    {
        "m = beta1 * m + (1 - beta1) * grad ⇄ v = beta2 * v + (1 - beta2) * grad ** 2": "Neither average reads the other.",
        "v = beta2 * v + (1 - beta2) * grad ** 2 ⇄ m_hat = m / (1 - beta1 ** (step + 1))": "m_hat does not read v.",
        "m_hat = m / (1 - beta1 ** (step + 1)) ⇄ v_hat = v / (1 - beta2 ** (step + 1))": "Neither correction reads the other.",
    }
)
"""Mutants of the two solutions that only change the order of lines which do not read each other."""
