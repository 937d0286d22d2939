"""Schedules: the learning rate as a function of the step.

    η = schedule(step)

A schedule is a pure function of the step, which counts from 0: the first update uses schedule(0), the
last of T updates schedule(T − 1). Ask at one step and get a float, ask at an array of steps and get
an array. Every one here has two corners that libraries disagree on, where a warm-up starts (at
`start_lr`, so with the usual 0 the first update moves nothing) and what happens at the end (the floor
is reached at step T and holds from there on). `conventions.md` has them all in one table.

To give a loop or torch's LambdaLR a function of the step alone, fix the rest with functools.partial:

    LambdaLR(optimizer, partial(warmup_cosine, peak_lr=1.0, warmup_steps=100, total_steps=1000))
"""

import functools
import math
from collections.abc import Callable

import numpy as np


def _schedule(shape):
    """Let a function of an array of steps take one step as well, and refuse negative ones."""

    @functools.wraps(shape)
    def schedule(step, *args, **kwargs):
        steps = np.asarray(step, dtype=float)
        if not ((steps >= 0) & (steps < math.inf)).all():
            raise ValueError(f"Steps count from 0 and end somewhere, but step is {step!r}.")
        row = steps.reshape(-1)  # one step is a row of one: NumPy rounds single numbers and arrays differently
        lr = np.broadcast_to(shape(row, *args, **kwargs), row.shape)
        return float(lr[0]) if steps.ndim == 0 else lr.reshape(steps.shape).copy()

    return schedule


def _progress(steps, length):
    """How much of `length` steps is over, from 0 to 1; a length of 0 is over at once."""
    return np.clip(steps, 0.0, length) / length if length > 0 else np.ones_like(steps)


def _blend(low, high, share):
    """`low` at share 0, `high` at share 1, exactly, and never a rounding error outside."""
    return np.clip((1.0 - share) * low + share * high, low, high)


def _check(holds: bool, sentence: str):
    if not holds:
        raise ValueError(sentence)


def _check_length(name, value, least=0):
    _check(
        isinstance(value, int | float | np.number) and least <= value < math.inf,
        f"{name} is a number of steps, {least} or more, but is {value!r}.",
    )


def _check_rates(high_name, high, low_name="floor_lr", low=0.0):
    _check(0 <= high < math.inf, f"{high_name} is a learning rate, 0 or more, but is {high!r}.")
    _check(low >= 0, f"{low_name} is a learning rate, 0 or more, but is {low!r}.")
    _check(low <= high, f"{low_name} = {low!r} lies above {high_name} = {high!r}; it has to be at most as large.")


def _check_warmup(warmup_steps, total_steps):
    _check_length("warmup_steps", warmup_steps)
    _check_length("total_steps", total_steps)
    _check(
        warmup_steps <= total_steps,
        f"The warm-up takes {warmup_steps} steps, longer than the whole run of {total_steps}: total_steps includes the warm-up.",
    )


# ------------------------------------------------------------------- the simplest


@_schedule
def constant(step, base_lr):
    """The same learning rate at every step.

    >>> constant(1000, base_lr=0.5)
    0.5
    """
    _check_rates("base_lr", base_lr)
    return base_lr


@_schedule
def linear_warmup(step, peak_lr, warmup_steps, start_lr=0.0):
    """From `start_lr` up to `peak_lr` in a straight line: start + (peak − start)·min(t, W)/W.

    Args:
        step: t, from 0; one step or an array of them.
        peak_lr: reached at step W, and held.
        warmup_steps: W; 0 means that there is no warm-up.
        start_lr: the rate of step 0. With 0 the first update moves nothing (CS336, Hugging Face);
            peak_lr/(W + 1) gives nanoGPT's warm-up, (t + 1)/(W + 1) of the peak.

    Raises:
        ValueError: for a negative step, W or rate, or a start above the peak.

    >>> [linear_warmup(step, peak_lr=1.0, warmup_steps=4) for step in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """
    _check_rates("peak_lr", peak_lr, "start_lr", start_lr)
    _check_length("warmup_steps", warmup_steps)
    return _blend(start_lr, peak_lr, _progress(step, warmup_steps))


# -------------------------------------------------------- from a peak to a floor


@_schedule
def cosine_decay(step, peak_lr, total_steps, floor_lr=0.0):
    """From `peak_lr` down half a cosine wave: floor + (peak − floor)·½(1 + cos πp), p = min(t/T, 1).

    Args:
        step: t, from 0; one step or an array of them.
        peak_lr: the rate of step 0.
        total_steps: T. The floor is reached at step T, one past the last update, and held (torch's and
            Hugging Face's cosines rise again past T).
        floor_lr: at most `peak_lr`; a tenth of it is common.

    Raises:
        ValueError: for a negative step, T or rate, or a floor above the peak.

    Source: Loshchilov & Hutter 2017, "SGDR", without restarts.

    >>> cosine_decay(np.array([0, 5, 10, 11]), peak_lr=1.0, total_steps=10, floor_lr=0.1)
    array([1.  , 0.55, 0.1 , 0.1 ])
    """
    _check_rates("peak_lr", peak_lr, low=floor_lr)
    _check_length("total_steps", total_steps)
    return _blend(floor_lr, peak_lr, _half_wave(_progress(step, total_steps)))


def _half_wave(progress):
    return 0.5 * (1.0 + np.cos(np.pi * progress))


@_schedule
def linear_decay(step, peak_lr, total_steps, floor_lr=0.0):
    """From `peak_lr` down in a straight line: floor + (peak − floor)·(1 − p), p = min(t/T, 1).

    Args and errors: as `cosine_decay`. BERT's schedule after its warm-up.

    >>> linear_decay(np.array([0, 5, 10, 11]), peak_lr=1.0, total_steps=10, floor_lr=0.5)
    array([1.  , 0.75, 0.5 , 0.5 ])
    """
    _check_rates("peak_lr", peak_lr, low=floor_lr)
    _check_length("total_steps", total_steps)
    return _blend(floor_lr, peak_lr, 1.0 - _progress(step, total_steps))


@_schedule
def polynomial_decay(step, peak_lr, total_steps, power, floor_lr=0.0):
    """From `peak_lr` down a power: floor + (peak − floor)·(1 − p)^power, p = min(t/T, 1).

    Args and errors: as `cosine_decay`; `power` above 0. Power 1 is `linear_decay`.

    >>> polynomial_decay(np.array([0, 5, 10, 11]), peak_lr=1.0, total_steps=10, power=2)
    array([1.  , 0.25, 0.  , 0.  ])
    """
    _check_rates("peak_lr", peak_lr, low=floor_lr)
    _check_length("total_steps", total_steps)
    _check(0 < power < math.inf, f"power bends the line and lies above 0, but is {power!r}.")
    return _blend(floor_lr, peak_lr, (1.0 - _progress(step, total_steps)) ** power)


@_schedule
def warmup_cosine(step, peak_lr, warmup_steps, total_steps, start_lr=0.0, floor_lr=0.0):
    """`linear_warmup` to step W, then half a cosine wave to step T: progress (t − W)/(T − W).

    Args:
        step: t, from 0; one step or an array of them.
        peak_lr: reached at step W.
        warmup_steps: W, at most T.
        total_steps: T, warm-up included; the floor is reached at step T and held.
        start_lr: the rate of step 0.
        floor_lr: the rate from step T on.

    Raises:
        ValueError: for a warm-up longer than the run, a negative step, length or rate, or a start or
            floor above the peak.

    Source: GPT-3 (Brown et al. 2020, appendix B); Stanford CS336 states it with the same corners.

    >>> [round(warmup_cosine(t, 3e-4, 2000, 100_000, floor_lr=3e-5), 8) for t in (0, 2000, 50_000, 100_000)]
    [0.0, 0.0003, 0.00016933, 3e-05]
    """
    _check_warmup(warmup_steps, total_steps)
    warm = linear_warmup(step, peak_lr, warmup_steps, start_lr)
    decay = cosine_decay(np.maximum(step - warmup_steps, 0), peak_lr, total_steps - warmup_steps, floor_lr)
    return np.where(step < warmup_steps, warm, decay)


@_schedule
def wsd(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr=0.0):
    """Warm-up, stable, decay: up to step W, level to step W + S, down in a straight line to W + S + D.

    Args:
        step: t, from 0; one step or an array of them.
        peak_lr: reached at step W, held to step W + S.
        warmup_steps, stable_steps, decay_steps: W, S and D, each 0 or more.
        floor_lr: reached at step W + S + D, and held.

    Raises:
        ValueError: for a negative step, length or rate, or a floor above the peak.

    Source: MiniCPM, Hu et al. 2024. The run can be prolonged as long as its decay has not begun.

    >>> wsd(np.arange(9), peak_lr=1.0, warmup_steps=2, stable_steps=3, decay_steps=2, floor_lr=0.5)
    array([0.  , 0.5 , 1.  , 1.  , 1.  , 1.  , 0.75, 0.5 , 0.5 ])
    """
    for name, length in (("warmup_steps", warmup_steps), ("stable_steps", stable_steps), ("decay_steps", decay_steps)):
        _check_length(name, length)
    tail = warmup_steps + stable_steps
    decay = linear_decay(np.maximum(step - tail, 0), peak_lr, decay_steps, floor_lr)
    return np.where(step < tail, linear_warmup(step, peak_lr, warmup_steps), decay)


@_schedule
def one_cycle(step, peak_lr, total_steps, warmup_fraction=0.3, start_divisor=25.0, end_divisor=1e4):
    """One cycle: half a cosine wave up from peak/start_divisor, then one down to start/end_divisor.

    The peak lies at step warmup_fraction·T and the end at step T, as in optax; torch's OneCycleLR has
    them one step earlier, at warmup_fraction·T − 1 and T − 1.

    Args:
        step: t, from 0; one step or an array of them.
        peak_lr: the highest rate.
        total_steps: T; the lowest rate holds from there on.
        warmup_fraction: the part of the run that rises, from 0 to 1.
        start_divisor: step 0 uses peak_lr/start_divisor; 1 or more.
        end_divisor: step T uses peak_lr/(start_divisor·end_divisor); 1 or more.

    Source: Smith & Topin 2019, "Super-Convergence", with fast.ai's cosine.

    >>> one_cycle(np.array([0, 3, 10, 12]), peak_lr=1.0, total_steps=10, start_divisor=4, end_divisor=2)
    array([0.25 , 1.   , 0.125, 0.125])
    """
    _check_rates("peak_lr", peak_lr)
    _check_length("total_steps", total_steps)
    _check(0 <= warmup_fraction <= 1, f"warmup_fraction is a part of the run, from 0 to 1, but is {warmup_fraction!r}.")
    for name, divisor in (("start_divisor", start_divisor), ("end_divisor", end_divisor)):
        _check(
            1 <= divisor < math.inf,
            f"{name} says how many times lower the rate is there, 1 or more, but is {divisor!r}.",
        )
    start_lr, top = peak_lr / start_divisor, warmup_fraction * total_steps
    up = _blend(start_lr, peak_lr, 1.0 - _half_wave(_progress(step, top)))
    down = _blend(start_lr / end_divisor, peak_lr, _half_wave(_progress(step - top, total_steps - top)))
    return np.where(step < top, up, down)


# -------------------------------------------------------------- without an end


@_schedule
def step_decay(step, base_lr, milestones, factor):
    """`base_lr` times `factor` for every milestone reached: base·factor^k, k = how many milestones ≤ t.

    Args:
        step: t, from 0; one step or an array of them.
        base_lr: the rate before the first milestone.
        milestones: the steps at which the rate drops, in ascending order. The update *at* a milestone is
            the first with the lower rate (torch, optax; Keras drops one later).
        factor: what each drop multiplies by, above 0; usually a tenth.

    Raises:
        ValueError: for a negative step, rate or milestone, milestones out of order, a factor of 0 or less.

    >>> step_decay(np.arange(6), base_lr=1.0, milestones=[2, 4], factor=0.5)
    array([1.  , 1.  , 0.5 , 0.5 , 0.25, 0.25])
    """
    _check_rates("base_lr", base_lr)
    _check_factor(factor)
    marks = np.asarray(milestones, dtype=float)
    _check(
        marks.ndim == 1 and bool((marks >= 0).all()) and bool((np.diff(marks) >= 0).all()),
        f"milestones are steps, 0 or more and in ascending order, but are {milestones!r}.",
    )
    return base_lr * float(factor) ** np.searchsorted(marks, step, side="right")


def _check_factor(factor):
    _check(0 < factor < math.inf, f"factor is what the rate is multiplied by and lies above 0, but is {factor!r}.")


@_schedule
def exponential_decay(step, base_lr, factor, every=1):
    """`base_lr` times `factor` every so many steps, smoothly: base·factor^(t/every).

    Args:
        step: t, from 0; one step or an array of them.
        base_lr: the rate of step 0.
        factor: above 0; above 1 the rate grows, as in a learning-rate range test.
        every: how many steps one factor takes, above 0.

    >>> exponential_decay(np.array([0, 10, 20]), base_lr=1.0, factor=0.5, every=10)
    array([1.  , 0.5 , 0.25])
    """
    _check_rates("base_lr", base_lr)
    _check_factor(factor)
    _check(0 < every < math.inf, f"every is a number of steps above 0, but is {every!r}.")
    return base_lr * float(factor) ** (step / every)


@_schedule
def inverse_time(step, base_lr, decay):
    """base/(1 + decay·t): the rate halves once decay·t = 1.

    Args:
        step: t, from 0; one step or an array of them.
        base_lr: the rate of step 0.
        decay: how fast it falls, per step; 0 or more.

    Source: Robbins & Monro 1951: ∑η diverges and ∑η² does not, so noise averages out in the end.

    >>> inverse_time(np.array([0, 10, 30]), base_lr=1.0, decay=0.1)
    array([1.  , 0.5 , 0.25])
    """
    _check_rates("base_lr", base_lr)
    _check(0 <= decay < math.inf, f"decay says how fast the rate falls and is 0 or more, but is {decay!r}.")
    return base_lr / (1.0 + decay * step)


@_schedule
def inverse_sqrt(step, peak_lr, warmup_steps):
    """Up in a straight line to step W, then down with the root: peak·min(t/W, √(W/t)), 0 at step 0.

    The decay counts from step 0, not from W, so the two branches meet at the peak.

    Args:
        step: t, from 0; one step or an array of them.
        peak_lr: reached at step W.
        warmup_steps: W, 1 or more.

    Source: Vaswani et al. 2017, where peak = 1/√(d_model·W); they count steps from 1.

    >>> inverse_sqrt(np.array([0, 2, 4, 16]), peak_lr=1.0, warmup_steps=4)
    array([0. , 0.5, 1. , 0.5])
    """
    _check_rates("peak_lr", peak_lr)
    _check_length("warmup_steps", warmup_steps, least=1)
    return peak_lr * np.minimum(step / warmup_steps, np.sqrt(warmup_steps / np.maximum(step, warmup_steps)))


# ------------------------------------------------------------------ again and again


@_schedule
def cyclic(step, peak_lr, up_steps, down_steps=None, floor_lr=0.0, shrink=1.0):
    """Triangles: from `floor_lr` up to `peak_lr` and back, again and again.

    Args:
        step: t, from 0; one step or an array of them.
        peak_lr: the top, reached `up_steps` into a cycle.
        up_steps: how long the rise is, above 0.
        down_steps: how long the fall is, above 0; as long as the rise when left out.
        floor_lr: the rate of step 0 and between cycles.
        shrink: what the height (peak − floor) is multiplied by after each cycle, above 0 and at most 1;
            torch's "triangular2" is 0.5.

    Source: Smith 2017, "Cyclical learning rates".

    >>> cyclic(np.arange(7), peak_lr=1.0, up_steps=2, down_steps=1, shrink=0.5)
    array([0.  , 0.5 , 1.  , 0.  , 0.25, 0.5 , 0.  ])
    """
    down_steps = up_steps if down_steps is None else down_steps
    _check_rates("peak_lr", peak_lr, low=floor_lr)
    for name, length in (("up_steps", up_steps), ("down_steps", down_steps)):
        _check(0 < length < math.inf, f"{name} is a number of steps above 0, but is {length!r}.")
    _check(
        0 < shrink <= 1,
        f"shrink is what each cycle's height is multiplied by, above 0 and at most 1, but is {shrink!r}.",
    )
    cycle, place = np.divmod(step, up_steps + down_steps)
    height = np.where(place < up_steps, place / up_steps, 1.0 - (place - up_steps) / down_steps)
    return _blend(floor_lr, peak_lr, height * float(shrink) ** cycle)


@_schedule
def cosine_restarts(step, peak_lr, first_cycle, growth=1, floor_lr=0.0):
    """Half cosine waves in a row, each `growth` times as long as the one before.

    A cycle of length L uses p = 0, 1/L, …, (L − 1)/L: the floor is never used, the next step is a peak.

    Args:
        step: t, from 0; one step or an array of them.
        peak_lr: where each cycle starts.
        first_cycle: the length of the first cycle in steps, above 0.
        growth: a whole number, 1 or more.
        floor_lr: what each cycle runs towards.

    Source: Loshchilov & Hutter 2017, "SGDR"; torch's CosineAnnealingWarmRestarts.

    >>> cosine_restarts(np.arange(7), peak_lr=1.0, first_cycle=2, growth=2).round(3)
    array([1.   , 0.5  , 1.   , 0.854, 0.5  , 0.146, 1.   ])
    """
    _check_rates("peak_lr", peak_lr, low=floor_lr)
    _check(0 < first_cycle < math.inf, f"first_cycle is a number of steps above 0, but is {first_cycle!r}.")
    _check(growth >= 1 and growth == int(growth), f"growth is a whole number, 1 or more, but is {growth!r}.")
    if growth == 1:
        return _blend(floor_lr, peak_lr, _half_wave(np.mod(step, first_cycle) / first_cycle))
    cycles = [0.0]  # where each cycle starts
    while cycles[-1] <= step.max(initial=0.0):
        cycles.append(growth * cycles[-1] + first_cycle)
    cycle = np.searchsorted(cycles, step, side="right") - 1
    return _blend(
        floor_lr, peak_lr, _half_wave((step - np.take(cycles, cycle)) / (first_cycle * float(growth) ** cycle))
    )


# ------------------------------------------------------------------------- joining


@_schedule
def join(step, first: Callable, second: Callable, boundary):
    """`first` before step `boundary`, `second` from there on, its own steps counted from 0 again.

    Args:
        step: t, from 0; one step or an array of them.
        first: step -> learning rate, for t < boundary.
        second: step -> learning rate; at t ≥ boundary it is asked for t − boundary.
        boundary: where the second takes over, 0 or more.

    Joins nest: for three schedules, `second` is a `partial(join, …)` again.

    >>> from functools import partial
    >>> rise, rest = partial(linear_warmup, peak_lr=1.0, warmup_steps=2), partial(constant, base_lr=0.25)
    >>> join(np.arange(5), rise, rest, boundary=3)
    array([0.  , 0.5 , 1.  , 0.25, 0.25])
    """
    _check_length("boundary", boundary)
    early = step < boundary
    return np.where(early, first(np.where(early, step, 0.0)), second(np.where(early, 0.0, step - boundary)))
