"""warmup_cosine(step, peak_lr, warmup_steps, total_steps, start_lr=0.0, floor_lr=0.0) -> a rate: up a line, down a wave."""

import math

import numpy as np

from gdlab.assignments.schedules._curve import a_rate, below, beside_the_right_one, by_step, curve, whole_number
from gdlab.judge.exercise import Alternative, Exercise, Mistake, Part
from gdlab.schedules import cosine_decay, linear_warmup, warmup_cosine


def _cases(rng):
    def case(part, steps, *, start=True, floor=True, warmup=None):
        """`steps` gives the first and the last one for a warm-up and a run of known length."""
        warmup = whole_number(rng, 3, 6) if warmup is None else warmup
        total, peak = 2 * warmup + whole_number(rng, 5, 8), a_rate(rng)
        return curve(
            part,
            *steps(warmup, total),
            peak_lr=peak,
            warmup_steps=warmup,
            total_steps=total,
            start_lr=below(rng, peak) if start else 0.0,
            floor_lr=below(rng, peak) if floor else 0.0,
        )

    def rise(warmup, total):
        return 0, warmup - 1

    def fall(warmup, total):
        return warmup, total

    def beyond(warmup, total):
        return warmup, total + 4

    return [
        case("rise", rise, start=False),
        case("rise", rise),
        case("fall", fall, floor=False),
        case("fall", fall, start=False, floor=False),
        case("floor", fall),
        case("floor", fall, start=False),
        case("hold", beyond),
        case("hold", beyond, warmup=0),
    ]


def _rise(step, peak_lr, warmup_steps, start_lr):
    return start_lr + (peak_lr - start_lr) * step / warmup_steps


def _fall(progress, peak_lr, floor_lr):
    return floor_lr + (peak_lr - floor_lr) * (1 + math.cos(math.pi * progress)) / 2


def _with_progress(progress):
    """The right warm-up, and a wave whose progress is `progress(step, warmup_steps, total_steps)`."""

    def schedule(step, peak_lr, warmup_steps, total_steps, start_lr, floor_lr):
        if step < warmup_steps:
            return _rise(step, peak_lr, warmup_steps, start_lr)
        return _fall(progress(step, warmup_steps, total_steps), peak_lr, floor_lr)

    return schedule


def _with_warmup(share):
    """The right wave, and a warm-up of which `share(step, warmup_steps)` is done."""

    def schedule(step, peak_lr, warmup_steps, total_steps, start_lr, floor_lr):
        if step < warmup_steps:
            return start_lr + (peak_lr - start_lr) * share(step, warmup_steps)
        return _fall(min((step - warmup_steps) / (total_steps - warmup_steps), 1), peak_lr, floor_lr)

    return schedule


_cosine_from_step_0 = _with_progress(lambda t, W, T: min(t / T, 1))
_divides_by_total = _with_progress(lambda t, W, T: min((t - W) / T, 1))
_jumps_to_the_floor = _with_progress(lambda t, W, T: (t - W) / T if t < T else 1)
_subtracts_warmup_twice = _with_progress(lambda t, W, T: min((t - W) / (T - 2 * W), 1))
_total_after_warmup = _with_progress(lambda t, W, T: min((t - W) / (T + W), 1))
_rises_after_end = _with_progress(lambda t, W, T: (t - W) / (T - W))
_nanogpt = _with_warmup(lambda t, W: (t + 1) / (W + 1))
_one_step_ahead = _with_warmup(lambda t, W: (t + 1) / W)


def _multiplies_both(step, peak_lr, warmup_steps, total_steps, start_lr, floor_lr):
    rise = _rise(step, peak_lr, warmup_steps, start_lr) if step < warmup_steps else peak_lr
    return rise * _fall(min(step / total_steps, 1), peak_lr, floor_lr) / peak_lr


def _warmup_from_zero(step, peak_lr, warmup_steps, total_steps, start_lr, floor_lr):
    return warmup_cosine(step, peak_lr, warmup_steps, total_steps, 0.0, floor_lr)


def _ignores_floor(step, peak_lr, warmup_steps, total_steps, start_lr, floor_lr):
    return warmup_cosine(step, peak_lr, warmup_steps, total_steps, start_lr, 0.0)


def _zero_after_end(step, *rest):
    return warmup_cosine(step, *rest) if step <= rest[2] else 0.0


def _by_two_calls(step, peak_lr, warmup_steps, total_steps, start_lr=0.0, floor_lr=0.0):
    if step <= warmup_steps:
        return linear_warmup(step, peak_lr, warmup_steps, start_lr)
    return cosine_decay(step - warmup_steps, peak_lr, total_steps - warmup_steps, floor_lr)


def _lower_of_both(step, peak_lr, warmup_steps, total_steps, start_lr=0.0, floor_lr=0.0):
    up = start_lr + (peak_lr - start_lr) * step / warmup_steps if warmup_steps else math.inf
    progress = np.clip((step - warmup_steps) / (total_steps - warmup_steps), 0, 1)
    return min(up, floor_lr + 0.5 * (peak_lr - floor_lr) * (1 + np.cos(np.pi * progress))) if progress < 1 else floor_lr


def _from_a_table(step, peak_lr, warmup_steps, total_steps, start_lr=0.0, floor_lr=0.0):
    up = np.linspace(start_lr, peak_lr, warmup_steps, endpoint=False)
    angles = np.linspace(0, np.pi, total_steps - warmup_steps + 1)
    table = np.concatenate([up, (peak_lr + floor_lr) / 2 + (peak_lr - floor_lr) / 2 * np.cos(angles)])
    return table[min(step, total_steps)]


def _from_the_end(step, peak_lr, warmup_steps, total_steps, start_lr=0.0, floor_lr=0.0):
    left = total_steps - step
    decay_steps = total_steps - warmup_steps
    if left <= 0:
        return floor_lr
    if left > decay_steps:
        return peak_lr - (peak_lr - start_lr) * (left - decay_steps) / warmup_steps
    return floor_lr + (peak_lr - floor_lr) * math.sin(math.pi / 2 * left / decay_steps) ** 2


def _in_torch(step, peak_lr, warmup_steps, total_steps, start_lr=0.0, floor_lr=0.0):
    import torch

    t = torch.tensor(float(step))
    if step < warmup_steps:
        return torch.lerp(torch.tensor(start_lr), torch.tensor(peak_lr), t / warmup_steps)
    progress = ((t - warmup_steps) / (total_steps - warmup_steps)).clamp(max=1)
    return floor_lr + 0.5 * (peak_lr - floor_lr) * (1 + torch.cos(math.pi * progress))


def _in_float32(step, peak_lr, warmup_steps, total_steps, start_lr=0.0, floor_lr=0.0):
    peak, start, floor = np.float32(peak_lr), np.float32(start_lr), np.float32(floor_lr)
    if step < warmup_steps:
        return start + (peak - start) * np.float32(step / warmup_steps)
    progress = np.float32(min(1, (step - warmup_steps) / (total_steps - warmup_steps)))
    return floor + (peak - floor) * np.float32(0.5) * (1 + np.cos(np.float32(np.pi) * progress))


EXERCISE = Exercise(
    name="warmup_cosine",
    version=1,
    reference=warmup_cosine,
    cases=_cases,
    parts=(
        Part("rise", "the warm-up", 1),
        Part("fall", "from the peak down to 0", 1),
        Part("floor", "from the peak down to floor_lr", 1),
        Part("hold", "stays there beyond the end, and works without a warm-up", 1),
    ),
    mistakes=(
        Mistake(
            "cosine-from-step-0",
            _cosine_from_step_0,
            "Your rate drops suddenly when warm-up ends: the wave has been running since step 0.",
        ),
        Mistake(
            "divides-by-total", _divides_by_total, "You do not reach the floor in time: how many steps has the decay?"
        ),
        Mistake(
            "jumps-to-the-floor",
            _jumps_to_the_floor,
            "At total_steps your rate jumps to the floor: the wave is not yet over, because the decay has fewer steps than the run.",
        ),
        Mistake(
            "subtracts-warmup-twice",
            _subtracts_warmup_twice,
            "You finish warmup_steps too early: take the warm-up off the length once.",
        ),
        Mistake(
            "total-after-warmup",
            _total_after_warmup,
            "Your decay is far too long: total_steps already includes the warm-up, so there is nothing to add.",
        ),
        Mistake(
            "multiplies-both",
            _multiplies_both,
            "The peak is never reached: the two halves take turns, they do not multiply.",
        ),
        Mistake("rises-after-end", _rises_after_end, "Beyond the end your rate climbs again: let progress stop at 1."),
        Mistake("warmup-from-zero", _warmup_from_zero, "Warm-up should begin at start_lr; yours begins at 0."),
        Mistake("ignores-floor", _ignores_floor, "Your curve ends at 0, whatever floor_lr says."),
        Mistake("zero-after-end", _zero_after_end, "Past the end the floor still holds; yours drops to 0."),
        Mistake(
            "nanogpt",
            _nanogpt,
            "That is nanoGPT's warm-up, (t + 1)/(W + 1) of the way. Here step 0 has start_lr, so the share done is 0 there.",
        ),
        Mistake(
            "one-step-ahead",
            _one_step_ahead,
            "Your warm-up is one step ahead: (t + 1)/W is what some libraries use, but here step 0 has start_lr.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative("two schedules called in turn, <= for <", _by_two_calls),
        Alternative("the lower of both branches", _lower_of_both),
        Alternative("a table of the whole run", _from_a_table),
        Alternative("counted from the end, with a sine", _from_the_end),
        Alternative("torch tensors", _in_torch),
        Alternative("float32", _in_float32),
    ),
    notice="Notice that both halves give the peak at step warmup_steps: the curve has a corner there, but no jump.",
    axes=("step",),
    picture=beside_the_right_one(
        warmup_cosine, 20, peak_lr=1e-3, warmup_steps=5, total_steps=16, start_lr=2e-4, floor_lr=1e-4
    ),
    protocols=("every_step",),
    judged_on=by_step,
    equivalent_mutants={
        "progress = min((step - warmup_steps) / (total_steps - warmup_steps), 1) → progress = min(1, (step - warmup_steps) / (total_steps - warmup_steps))": "either way round, min gives the smaller of the two",
        "if step < warmup_steps: ⇄ progress = min((step - warmup_steps) / (total_steps - warmup_steps), 1)": "during the warm-up the progress is computed in vain, and not used",
    },
)
