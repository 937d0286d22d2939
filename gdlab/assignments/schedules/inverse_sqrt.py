"""inverse_sqrt(step, peak_lr, warmup_steps) -> a rate: up in a straight line, then down with one over the root."""

import math

import numpy as np

from gdlab.assignments.schedules._curve import a_rate, beside_the_right_one, by_step, curve, whole_number
from gdlab.judge.exercise import Alternative, Exercise, Mistake, Part
from gdlab.schedules import inverse_sqrt


def _cases(rng):
    def case(part, first, last, warmup):
        return curve(part, first, last, peak_lr=a_rate(rng), warmup_steps=warmup)

    def a_warmup():
        return whole_number(rng, 4, 7)

    def rise(warmup):
        return case("rise", 1, warmup - 1, warmup)

    def fall(warmup):
        return case("fall", warmup, 5 * warmup, warmup)

    def from_zero(warmup):
        return case("zero", 0, 3 * warmup, warmup)

    return [rise(a_warmup()), rise(a_warmup()), fall(a_warmup()), fall(a_warmup()), from_zero(a_warmup()), from_zero(1)]


def _jump_after_warmup(step, peak_lr, warmup_steps):
    return peak_lr * step / warmup_steps if step < warmup_steps else peak_lr / math.sqrt(step)


def _no_square_root(step, peak_lr, warmup_steps):
    return peak_lr * step / warmup_steps if step < warmup_steps else peak_lr * warmup_steps / step


def _clock_restarts(step, peak_lr, warmup_steps):
    return peak_lr * step / warmup_steps if step < warmup_steps else peak_lr / math.sqrt(step - warmup_steps + 1)


def _larger_of_two(step, peak_lr, warmup_steps):
    return peak_lr * max(step / warmup_steps, math.sqrt(warmup_steps / step)) if step else 0.0


def _multiplies_both(step, peak_lr, warmup_steps):
    return peak_lr * min(step / warmup_steps, 1) * math.sqrt(warmup_steps / step) if step else 0.0


def _no_warmup(step, peak_lr, warmup_steps):
    return peak_lr * math.sqrt(warmup_steps / step) if step else 0.0


def _crashes_at_0(step, peak_lr, warmup_steps):
    return peak_lr * min(step / warmup_steps, math.sqrt(warmup_steps / step))


def _flat_warmup(step, peak_lr, warmup_steps):
    return peak_lr * math.sqrt(warmup_steps / max(step, warmup_steps))


def _counts_from_1(step, peak_lr, warmup_steps):
    return _crashes_at_0(step + 1, peak_lr, warmup_steps)


def _up_or_down(step, peak_lr, warmup_steps):
    if step <= warmup_steps:
        return peak_lr / warmup_steps * step
    return peak_lr * math.sqrt(warmup_steps) / math.sqrt(step)


def _by_powers(step, peak_lr, warmup_steps):
    if step == 0:
        return 0
    return peak_lr * warmup_steps**0.5 * min(step**-0.5, step * warmup_steps**-1.5)


def _by_logarithms(step, peak_lr, warmup_steps):
    log_ratio = math.log(max(step, 1e-300) / warmup_steps)
    return peak_lr * math.exp(min(log_ratio, -log_ratio / 2))


def _one_over_a_root(step, peak_lr, warmup_steps):
    share = step / warmup_steps
    return peak_lr * share if share < 1 else peak_lr * 1 / np.sqrt(share)


def _in_torch(step, peak_lr, warmup_steps):
    import torch

    t = torch.tensor(float(step))
    return peak_lr * torch.minimum(t / warmup_steps, torch.sqrt(warmup_steps / t))


def _in_float32(step, peak_lr, warmup_steps):
    ratio = np.float32(step) / np.float32(warmup_steps)
    return np.float32(peak_lr) * (ratio if ratio < 1 else np.float32(1) / np.sqrt(ratio))


EXERCISE = Exercise(
    name="inverse_sqrt",
    version=1,
    reference=inverse_sqrt,
    cases=_cases,
    parts=(
        Part("rise", "the warm-up, from step 1 on", 1),
        Part("fall", "down with one over the root", 1),
        Part("zero", "step 0, and the shortest warm-up", 1),
    ),
    mistakes=(
        Mistake(
            "jump-after-warmup",
            _jump_after_warmup,
            "Your curve breaks at the end of warm-up: both halves should give peak_lr there.",
        ),
        Mistake(
            "no-square-root", _no_square_root, "Too steep: four times the steps should halve the rate, not quarter it."
        ),
        Mistake(
            "clock-restarts", _clock_restarts, "Your decay forgets the steps spent warming up: the step counts from 0."
        ),
        Mistake(
            "larger-of-two", _larger_of_two, "Your curve dips where it should peak: which of the two is in force when?"
        ),
        Mistake("multiplies-both", _multiplies_both, "The decay already acts during your warm-up: one at a time."),
        Mistake("no-warmup", _no_warmup, "Your rate is highest at step 1 and far above peak_lr: where is the warm-up?"),
        Mistake("crashes-at-0", _crashes_at_0, "Step 0 divides by zero; what should the rate be there?"),
        Mistake(
            "flat-warmup",
            _flat_warmup,
            "You hold the peak during warm-up, as T5 does. Here the rate climbs from 0 in a straight line.",
        ),
        Mistake(
            "counts-from-1",
            _counts_from_1,
            "You count steps from 1, as the Transformer paper does. Here they count from 0, so step 0 has the rate 0.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative("two branches, <= for <", _up_or_down),
        Alternative("powers, as in the Transformer paper", _by_powers),
        Alternative("logarithms", _by_logarithms),
        Alternative("one over the root of the ratio", _one_over_a_root),
        Alternative("torch tensors, infinite at step 0", _in_torch),
        Alternative("float32", _in_float32),
    ),
    notice="Notice that it never ends: you need no total_steps, and four times the steps halve the rate.",
    axes=("step",),
    picture=beside_the_right_one(inverse_sqrt, 24, peak_lr=1e-3, warmup_steps=5),
    protocols=("every_step",),
    judged_on=by_step,
    equivalent_mutants={
        "if step < warmup_steps: → if step <= warmup_steps:": "at step W both branches give the peak",
    },
)
