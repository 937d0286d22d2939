"""accumulation_steps(global_batch, micro_batch, devices=1) -> int; ValueError where it does not divide."""

from fractions import Fraction

import numpy as np

from gdlab.counting import accumulation_steps
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part


def _cases(rng):
    def case(part, global_batch, micro_batch, devices):
        return Case(part, {"global_batch": global_batch, "micro_batch": micro_batch, "devices": devices})

    def sizes():
        """A micro-batch and a number of devices without a common divisor: neither stands in for the other."""
        micro_batch, devices = rng.choice([3, 4, 5, 7, 11, 13], 2, replace=False)
        return int(micro_batch), int(devices)

    def several():
        return int(rng.integers(2, 20))

    def divides(part):
        micro_batch, devices = sizes()
        return case(part, several() * micro_batch * devices, micro_batch, devices)

    m, d = sizes()
    d_only, neither, too_small = (sizes() for _ in range(3))
    m_only = int(rng.choice([3, 5, 7])), int(rng.choice([2, 4, 8]))
    alone = several()
    return [
        case("one", several() * m, m, 1),
        case("one", several() * d, d, 1),
        divides("several"),
        divides("several"),
        case("several", m * d, m, d),
        divides("refused"),
        case("refused", m_only[0] * (several() * m_only[1] + 1), *m_only),
        case("refused", d_only[1] * (several() * d_only[0] + d_only[0] - 1), *d_only),
        case("refused", several() * neither[0] * neither[1] + 1, *neither),
        case("refused", too_small[0], *too_small),
        case("refused", alone * m + 1, m, 1),
    ]


def _at_once_or_refuse(answer):
    """`answer` where it divides, else ValueError: the check is right, whatever comes after it."""

    def steps(global_batch, micro_batch, devices):
        if global_batch % (micro_batch * devices):
            raise ValueError
        return answer(global_batch, micro_batch, devices)

    return steps


def _by_divmod(global_batch, micro_batch, devices):
    steps, rest = divmod(global_batch, micro_batch * devices)
    if rest != 0:
        raise ValueError(f"{global_batch} examples cannot be split evenly")
    return steps


def _device_by_device(global_batch, micro_batch, devices):
    if global_batch % devices != 0:
        raise ValueError("the devices do not divide the batch")
    per_device = global_batch // devices
    if per_device % micro_batch != 0:
        raise ValueError("the micro-batch does not divide a device's share")
    return per_device // micro_batch


def _search(global_batch, micro_batch, devices):
    for steps in range(1, global_batch + 1):
        if steps * micro_batch * devices == global_batch:
            return steps
    raise ValueError("no number of micro-batches adds up to it")


def _by_fraction(global_batch, micro_batch, devices):
    steps = Fraction(global_batch, micro_batch * devices)
    if steps.denominator != 1:
        raise ValueError(f"{steps} is no whole number")
    return int(steps)


def _by_float(global_batch, micro_batch, devices):
    steps = global_batch / (micro_batch * devices)
    if not steps.is_integer():
        raise ValueError("not a whole number of micro-batches")
    return steps


def _forgets_devices(global_batch, micro_batch, devices):
    return accumulation_steps(global_batch, micro_batch)


def _forgets_micro_batch(global_batch, micro_batch, devices):
    return accumulation_steps(global_batch, devices)


def _checks_micro_batch_only(global_batch, micro_batch, devices):
    if global_batch % micro_batch:
        raise ValueError
    return global_batch // (micro_batch * devices)


def _asserts(global_batch, micro_batch, devices):
    assert global_batch % (micro_batch * devices) == 0
    return global_batch // (micro_batch * devices)


EXERCISE = Exercise(
    name="accumulation_steps",
    version=1,
    reference=accumulation_steps,
    cases=_cases,
    parts=(
        Part("one", "one device", 1),
        Part("several", "several devices", 1),
        Part("refused", "ValueError where it does not divide, and only there", 1),
    ),
    mistakes=(
        Mistake(
            "forgets-devices",
            _forgets_devices,
            "Every device contributes to the global batch, and you count only one.",
        ),
        Mistake(
            "forgets-micro-batch",
            _forgets_micro_batch,
            "Each device handles micro_batch examples at a time, not one.",
        ),
        Mistake(
            "times-devices",
            _at_once_or_refuse(lambda g, m, d: g // m * d),
            "More devices should need fewer micro-batches each; yours need more. Python divides first and then multiplies: check your brackets.",
        ),
        Mistake(
            "rounds-down",
            lambda g, m, d: g // (m * d),
            "Where it does not divide, your batch silently becomes smaller than what was asked for: raise a ValueError.",
        ),
        Mistake(
            "rounds-up",
            lambda g, m, d: -(-g // (m * d)),
            "Where it does not divide, your batch silently becomes larger than what was asked for: raise a ValueError.",
        ),
        Mistake(
            "at-least-one",
            lambda g, m, d: max(1, g // (m * d)),
            "One micro-batch on every device may already exceed the global batch; no number of them is right then.",
        ),
        Mistake(
            "fraction",
            lambda g, m, d: g / (m * d),
            "Half a micro-batch cannot be accumulated: where it does not divide, raise a ValueError.",
        ),
        Mistake(
            "checks-micro-batch-only",
            _checks_micro_batch_only,
            "You check that the micro-batch divides. The devices have to share it evenly too.",
        ),
        Mistake(
            "asserts",
            _asserts,
            "An assert raises AssertionError, and `python -O` leaves it out. Callers wait for a ValueError here.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative("divmod", _by_divmod),
        Alternative("devices first, then micro-batches", _device_by_device),
        Alternative("search", _search),
        Alternative("fractions", _by_fraction),
        Alternative("float", _by_float),
        Alternative("numpy", _at_once_or_refuse(lambda g, m, d: np.floor_divide(g, m * d))),
    ),
    notice="Notice that a refusal is an answer too: a batch that is silently another size is a bug you would search for weeks.",
    tolerance=0,
    equivalent_mutants={
        "return global_batch // at_once → return global_batch / at_once": (
            "where it divides, the float is the same number, and an equal float passes"
        ),
    },
)
