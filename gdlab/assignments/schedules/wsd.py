"""wsd(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr=0.0) -> a rate: warm-up, stable, decay."""

import math

import numpy as np

from gdlab.assignments.schedules._curve import a_rate, below, beside_the_right_one, by_step, curve, whole_number
from gdlab.judge.exercise import Alternative, Exercise, Mistake, Part
from gdlab.schedules import linear_decay, linear_warmup, wsd


def _cases(rng):
    def case(part, *, first=0, last=3, beyond=0, floor=True, **given):
        """From the end of the phase `first` to the end of the phase `last`, and `beyond` steps more."""
        lengths = {
            "warmup_steps": whole_number(rng, 3, 5),
            "stable_steps": whole_number(rng, 4, 7),
            "decay_steps": whole_number(rng, 4, 7),
            **given,
        }
        ends = np.cumsum([0, *lengths.values()]).tolist()
        peak = a_rate(rng)
        floor_lr = below(rng, peak) if floor else 0.0
        return curve(part, ends[first], ends[last] + beyond, peak_lr=peak, **lengths, floor_lr=floor_lr)

    return [
        case("rise", last=1, beyond=-1),
        case("rise", last=1, beyond=-1, floor=False),
        case("tail", first=1, floor=False),
        case("tail", first=1, floor=False),
        case("floor", first=1),
        case("floor", first=1),
        case("hold", first=1, beyond=6),
        case("hold", beyond=3, warmup_steps=0),
        case("hold", first=1, beyond=3, decay_steps=0),
    ]


def _with_tail(tail):
    """The right rise and plateau, and then `tail(steps into the tail, its length, peak, floor, the whole run)`."""

    def schedule(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr):
        into, run = step - warmup_steps - stable_steps, warmup_steps + stable_steps + decay_steps
        if into < 0:
            return linear_warmup(step, peak_lr, warmup_steps)
        return tail(into, decay_steps, peak_lr, floor_lr, run)

    return schedule


def _done(into, length):
    """How much of the tail is over; without a tail all of it."""
    return min(into / length, 1) if length else 1


def _line(into, length, peak, floor):
    return peak - (peak - floor) * _done(into, length)


def _plateau_from_0(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr):
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return _line(max(step - stable_steps, 0), decay_steps, peak_lr, floor_lr) if step >= stable_steps else peak_lr


def _no_plateau(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr):
    if step < warmup_steps:
        return peak_lr * step / warmup_steps
    return _line(step - warmup_steps, decay_steps, peak_lr, floor_lr)


_falls_below_floor = _with_tail(lambda into, D, peak, floor, run: peak - (peak - floor) * (into / D if D else 1))
_cliff = _with_tail(lambda into, D, peak, floor, run: floor)
_decay_over_total = _with_tail(lambda into, D, peak, floor, run: peak - (peak - floor) * min(into / run, 1))
_jumps_to_the_floor = _with_tail(
    lambda into, D, peak, floor, run: peak - (peak - floor) * into / run if into < D else floor
)
_floor_by_max = _with_tail(lambda into, D, peak, floor, run: max(floor, _line(into, D, peak, 0.0)))
_ignores_floor = _with_tail(lambda into, D, peak, floor, run: _line(into, D, peak, 0.0))
_cosine_tail = _with_tail(
    lambda into, D, peak, floor, run: floor + (peak - floor) * (1 + math.cos(math.pi * _done(into, D))) / 2
)
_root_tail = _with_tail(lambda into, D, peak, floor, run: floor + (peak - floor) * (1 - math.sqrt(_done(into, D))))


def _warmup_one_step_ahead(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr):
    if step < warmup_steps:
        return peak_lr * (step + 1) / warmup_steps
    return wsd(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr)


def _zero_after_end(step, *rest):
    return wsd(step, *rest) if step <= sum(rest[1:4]) else 0.0


def _whole_curve_one_step_ahead(step, *rest):
    return wsd(step + 1, *rest)


def _by_interp(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr=0.0):
    corners = np.cumsum([0, warmup_steps, stable_steps, decay_steps])
    return np.interp(step, corners, [0.0, peak_lr, peak_lr, floor_lr])


def _from_a_table(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr=0.0):
    table = np.concatenate(
        [
            np.linspace(0, peak_lr, warmup_steps, endpoint=False),
            np.full(stable_steps, peak_lr),
            np.linspace(peak_lr, floor_lr, decay_steps, endpoint=False),
            [floor_lr],
        ]
    )
    return table[min(step, len(table) - 1)]


def _weighted_ends(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr=0.0):
    if step < warmup_steps:
        return peak_lr * (step / warmup_steps)
    left = warmup_steps + stable_steps + decay_steps - step
    if left <= 0:
        return floor_lr
    weight = min(left / decay_steps, 1) if decay_steps else 1
    return weight * peak_lr + (1 - weight) * floor_lr


def _one_phase_after_the_other(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr=0.0):
    phases = [(warmup_steps, 0.0, peak_lr), (stable_steps, peak_lr, peak_lr), (decay_steps, peak_lr, floor_lr)]
    for length, first, last in phases:
        if step < length:
            return first + (last - first) * step / length
        step -= length
    return floor_lr


def _by_two_calls(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr=0.0):
    tail = warmup_steps + stable_steps
    if step < tail:
        return linear_warmup(step, peak_lr, warmup_steps)
    return linear_decay(step - tail, peak_lr, decay_steps, floor_lr)


def _in_torch(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr=0.0):
    import torch

    peak, floor = torch.tensor(peak_lr), torch.tensor(floor_lr)
    up = torch.tensor(step / warmup_steps if warmup_steps else 1.0).clamp(max=1)
    into = step - warmup_steps - stable_steps
    down = torch.tensor(into / decay_steps if decay_steps else float(into >= 0)).clamp(0, 1)
    return up * torch.lerp(peak, floor, down)


def _in_float32(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr=0.0):
    return np.float32(_one_phase_after_the_other(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr))


EXERCISE = Exercise(
    name="wsd",
    version=1,
    reference=wsd,
    cases=_cases,
    parts=(
        Part("rise", "the warm-up", 1),
        Part("tail", "along the plateau and down to 0", 1),
        Part("floor", "along the plateau and down to floor_lr", 1),
        Part("hold", "holds the floor beyond the end, and works where a phase is left out", 1),
    ),
    mistakes=(
        Mistake(
            "plateau-from-0",
            _plateau_from_0,
            "Your plateau is warmup_steps too short: its length is counted after the warm-up.",
        ),
        Mistake("no-plateau", _no_plateau, "You fall as soon as you peak: stable_steps come first."),
        Mistake(
            "falls-below-floor",
            _falls_below_floor,
            "Past the end your rate falls on, below the floor and in the end below zero; the floor should hold.",
        ),
        Mistake("cliff", _cliff, "You jump down when the plateau ends; spread the fall over decay_steps."),
        Mistake(
            "decay-over-total",
            _decay_over_total,
            "You do not arrive in time: divide by the tail's own length, not by the whole run's.",
        ),
        Mistake(
            "jumps-to-the-floor",
            _jumps_to_the_floor,
            "Your tail is too flat and then jumps to the floor: how many steps has the tail itself?",
        ),
        Mistake(
            "floor-by-max",
            _floor_by_max,
            "You fall towards 0 and hit the floor early; the line itself should end at the floor.",
        ),
        Mistake("ignores-floor", _ignores_floor, "You end at zero, not at floor_lr."),
        Mistake("zero-after-end", _zero_after_end, "Past the end the floor still holds; yours drops to 0."),
        Mistake(
            "warmup-one-step-ahead",
            _warmup_one_step_ahead,
            "Your warm-up is one step ahead: (t + 1)/W is what some libraries use, but here step 0 has the rate 0.",
        ),
        Mistake(
            "one-step-ahead",
            _whole_curve_one_step_ahead,
            "Your whole curve is one step ahead: steps count from 0 here, and step 0 has the rate 0.",
        ),
        Mistake(
            "cosine-tail",
            _cosine_tail,
            "Your tail is half a cosine wave, which is a choice Hugging Face offers. Here it is a straight line.",
        ),
        Mistake(
            "root-tail",
            _root_tail,
            "Your tail is 1 − √p, a choice that Hägele et al. found to do well. Here it is a straight line.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative("numpy.interp over the corners", _by_interp),
        Alternative("a table of the whole run", _from_a_table),
        Alternative("weighted ends, counted from the end", _weighted_ends),
        Alternative("one phase after the other", _one_phase_after_the_other),
        Alternative("two schedules called in turn", _by_two_calls),
        Alternative("torch tensors", _in_torch),
        Alternative("float32", _in_float32),
    ),
    notice="Notice that the plateau can be made longer while you train: nothing before the tail depends on where it ends.",
    axes=("step",),
    picture=beside_the_right_one(wsd, 20, peak_lr=1e-3, warmup_steps=4, stable_steps=7, decay_steps=5, floor_lr=2e-4),
    protocols=("every_step",),
    judged_on=by_step,
    equivalent_mutants={
        "decay_start = warmup_steps + stable_steps ⇄ if step < warmup_steps:": "the warm-up does not use decay_start",
        "if step < decay_start: ⇄ if step >= decay_start + decay_steps:": "no step is before the decay and after it at once",
    },
)
