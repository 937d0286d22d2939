"""linear_warmup(step, peak_lr, warmup_steps, start_lr=0.0) -> a rate: up in a straight line, then level."""

import numpy as np

from gdlab.assignments.schedules._curve import a_rate, below, beside_the_right_one, curve, whole_number
from gdlab.judge.exercise import Alternative, Exercise, Mistake, Part
from gdlab.schedules import linear_warmup


def _cases(rng):
    def case(part, beyond, *, warmup=None, from_zero=False):
        warmup = whole_number(rng, 4, 9) if warmup is None else warmup
        peak = a_rate(rng)
        start = 0.0 if from_zero else below(rng, peak)
        return curve(part, 0, warmup + beyond, peak_lr=peak, warmup_steps=warmup, start_lr=start)

    return [
        case("rise", 0, from_zero=True),
        case("rise", 0, from_zero=True),
        case("hold", 5, from_zero=True),
        case("hold", 5, warmup=0),
        case("start", 3),
        case("start", 4),
    ]


def _line(peak_lr, warmup_steps, start_lr, share):
    """The mistakes that take the right line at the wrong place; without a warm-up they are right."""
    return start_lr + (peak_lr - start_lr) * share if warmup_steps else peak_lr


def _ignores_start(step, peak_lr, warmup_steps, start_lr):
    return peak_lr * step / warmup_steps if step < warmup_steps else peak_lr


def _never_stops_rising(step, peak_lr, warmup_steps, start_lr):
    return _line(peak_lr, warmup_steps, start_lr, step / max(warmup_steps, 1))


def _overshoots_by_start(step, peak_lr, warmup_steps, start_lr):
    return start_lr + peak_lr * min(step, warmup_steps) / warmup_steps if warmup_steps else peak_lr


def _whole_number_division(step, peak_lr, warmup_steps, start_lr):
    return start_lr if step < warmup_steps else peak_lr


def _falls_back_after(step, peak_lr, warmup_steps, start_lr):
    rising = _line(peak_lr, warmup_steps, start_lr, step / max(warmup_steps, 1))
    return rising if step <= warmup_steps else start_lr


def _multiplies_up(step, peak_lr, warmup_steps, start_lr):
    if not warmup_steps or step >= warmup_steps:
        return peak_lr
    return start_lr * (peak_lr / start_lr) ** (step / warmup_steps)


def _divides_by_zero(step, peak_lr, warmup_steps, start_lr):
    return start_lr + (peak_lr - start_lr) * min(step / warmup_steps, 1)


def _one_step_ahead(step, peak_lr, warmup_steps, start_lr):
    return _line(peak_lr, warmup_steps, start_lr, min((step + 1) / max(warmup_steps, 1), 1))


def _nanogpt(step, peak_lr, warmup_steps, start_lr):
    return _line(peak_lr, warmup_steps, start_lr, min((step + 1) / (warmup_steps + 1), 1))


def _peak_one_step_early(step, peak_lr, warmup_steps, start_lr):
    return _line(peak_lr, warmup_steps, start_lr, min(step / max(warmup_steps - 1, 1), 1))


def _by_weighing_both_ends(step, peak_lr, warmup_steps, start_lr=0.0):
    if warmup_steps == 0:
        return peak_lr
    done = min(step, warmup_steps) / warmup_steps
    return (1 - done) * start_lr + done * peak_lr


def _from_a_table(step, peak_lr, warmup_steps, start_lr=0.0):
    table = [*np.linspace(start_lr, peak_lr, warmup_steps, endpoint=False), peak_lr]
    return table[min(step, warmup_steps)]


def _by_equal_increments(step, peak_lr, warmup_steps, start_lr=0.0):
    lr = start_lr if warmup_steps else peak_lr
    for _ in range(min(step, warmup_steps)):
        lr += (peak_lr - start_lr) / warmup_steps
    return lr


def _in_torch(step, peak_lr, warmup_steps, start_lr=0.0):
    import torch

    share = torch.clamp(torch.tensor(step / warmup_steps), max=1) if warmup_steps else 1.0
    return torch.lerp(torch.tensor(start_lr), torch.tensor(peak_lr), share)


def _in_float32(step, peak_lr, warmup_steps, start_lr=0.0):
    if step >= warmup_steps:
        return np.float32(peak_lr)
    return np.float32(start_lr) + np.float32(peak_lr - start_lr) * np.float32(step) / np.float32(warmup_steps)


EXERCISE = Exercise(
    name="linear_warmup",
    version=1,
    reference=linear_warmup,
    cases=_cases,
    parts=(
        Part("rise", "from 0 up to the peak", 1),
        Part("hold", "holds the peak, and works without a warm-up", 1),
        Part("start", "begins at start_lr", 1),
    ),
    mistakes=(
        Mistake("ignores-start", _ignores_start, "Step 0 should use start_lr; your line always begins at 0."),
        Mistake(
            "never-stops-rising", _never_stops_rising, "After warm-up your rate keeps growing: where should it rest?"
        ),
        Mistake(
            "overshoots-by-start",
            _overshoots_by_start,
            "You end above the peak, by exactly start_lr: how much is there left to climb?",
        ),
        Mistake(
            "whole-number-division",
            _whole_number_division,
            "Your rate waits at the start and jumps at the end; // drops fractions.",
        ),
        Mistake(
            "falls-back-after", _falls_back_after, "Warm-up is over, yet you are cold again: the peak should hold."
        ),
        Mistake(
            "multiplies-up",
            _multiplies_up,
            "Equal factors instead of equal increments: your curve is bent, and from a start of 0 it cannot begin.",
        ),
        Mistake(
            "divides-by-zero",
            _divides_by_zero,
            "With warmup_steps = 0 you divide by zero. What should the rate be when there is no warm-up?",
        ),
        Mistake(
            "one-step-ahead",
            _one_step_ahead,
            "You are one step ahead: (t + 1)/W is what some libraries use, but here step 0 has the rate start_lr.",
        ),
        Mistake(
            "nanogpt",
            _nanogpt,
            "That is nanoGPT's warm-up, (t + 1)/(W + 1) of the way. Here step 0 has start_lr, so the share done is 0 there.",
        ),
        Mistake(
            "peak-one-step-early",
            _peak_one_step_early,
            "You arrive one step early: count W gaps between step 0 and step W, not W points.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative(
            "min and max",
            lambda step, peak_lr, warmup_steps, start_lr=0.0: max(
                start_lr,
                min(peak_lr, start_lr + (peak_lr - start_lr) * step / warmup_steps if warmup_steps else peak_lr),
            ),
        ),
        Alternative(
            "numpy.interp",
            lambda step, peak_lr, warmup_steps, start_lr=0.0: np.interp(step, [0, warmup_steps], [start_lr, peak_lr]),
        ),
        Alternative("a table from linspace", _from_a_table),
        Alternative("a weighted average of both ends", _by_weighing_both_ends),
        Alternative("a loop of equal increments", _by_equal_increments),
        Alternative("torch.lerp", _in_torch),
        Alternative("float32", _in_float32),
    ),
    notice="Notice that with start_lr = 0 the first update moves nothing: step 0 is a step too.",
    axes=("step",),
    picture=beside_the_right_one(linear_warmup, 9, peak_lr=1e-3, warmup_steps=6, start_lr=2e-4),
    protocols=("every_step",),
)
