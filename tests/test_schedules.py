"""Every schedule against published values, torch's schedulers, and properties that hold for any settings.

Each published curve is asked for twice: the right schedule gives it, and the classic mistakes do not.
"""

import doctest
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gdlab import schedules
from gdlab.schedules import (
    constant,
    cosine_decay,
    cosine_restarts,
    cyclic,
    exponential_decay,
    inverse_sqrt,
    inverse_time,
    join,
    linear_decay,
    linear_warmup,
    one_cycle,
    polynomial_decay,
    step_decay,
    warmup_cosine,
    wsd,
)


def test_the_examples_in_the_docstrings_are_true():
    result = doctest.testmod(schedules)
    assert result.failed == 0 and result.attempted >= 15


def curve(schedule, steps):
    return np.array([schedule(step) for step in range(steps)])


def same(ours, theirs, rel=1e-12):
    return ours == pytest.approx(theirs, rel=rel, abs=1e-15)


# --------------------------------------------------------------- published curves

CS336 = [
    *[k / 7 for k in range(7)], 1.0,
    0.9887175604818206, 0.9554359905560885, 0.9018241671106134, 0.8305704108364301, 0.7452476826029011,
    0.6501344202803414, 0.55, 0.44986557971965857, 0.3547523173970989, 0.26942958916356996,
    0.19817583288938662, 0.14456400944391146, 0.11128243951817937, 0.1, 0.1, 0.1, 0.1,
]  # fmt: skip
"""Stanford CS336, assignment 1: learning rates at steps 0 … 24; peak 1, floor .1, warm-up 7, 21 steps."""


def _cosine(p):
    return 0.5 * (1 + math.cos(math.pi * p))


def _wrong_cosines(peak, warm, total, floor, start=0.0):
    """The rows of mistakes.md for warmup_cosine and its two halves, as functions of the step."""

    def assemble(up=None, progress=None, down=None, at=lambda t: t < warm):
        up = up or (lambda t: start + (peak - start) * t / warm)
        progress = progress or (lambda t: min((t - warm) / (total - warm), 1))
        down = down or (lambda p: floor + (peak - floor) * _cosine(p))
        return lambda t: up(t) if at(t) else down(progress(t))

    return {
        "cosine-from-step-0": assemble(progress=lambda t: min(t / total, 1)),
        "divides-by-total": assemble(progress=lambda t: min((t - warm) / total, 1)),
        "subtracts-warmup-twice": assemble(progress=lambda t: min((t - warm) / (total - 2 * warm), 1)),
        "total-after-warmup": assemble(progress=lambda t: min((t - warm) / (total + warm), 1)),
        "multiplies-both": lambda t: min(t / warm, 1) * (floor + (peak - floor) * _cosine(min(t / total, 1))),
        "rises-after-end": assemble(progress=lambda t: (t - warm) / (total - warm)),
        "one-step-ahead": assemble(up=lambda t: peak * (t + 1) / warm),
        "nanogpt-warmup": assemble(up=lambda t: peak * (t + 1) / (warm + 1)),
        "floor-on-last-step": assemble(progress=lambda t: min((t - warm) / (total - warm - 1), 1)),
        "full-wave": assemble(down=lambda p: floor + (peak - floor) * _cosine(2 * p)),
        "forgets-half": assemble(down=lambda p: floor + (peak - floor) * 2 * _cosine(p)),
        "floor-by-max": assemble(down=lambda p: max(floor, peak * _cosine(p))),
        "floor-added": assemble(down=lambda p: floor + peak * _cosine(p)),
        "degrees": assemble(down=lambda p: floor + (peak - floor) * 0.5 * (1 + math.cos(180 * p))),
        "quarter-wave": assemble(down=lambda p: floor + (peak - floor) * math.cos(math.pi * p / 2)),
        "zero-after-end": lambda t: assemble()(t) if t < total else 0.0,
    }


def test_warmup_cosine_gives_cs336s_25_values():
    assert same(
        curve(partial(warmup_cosine, peak_lr=1.0, warmup_steps=7, total_steps=21, floor_lr=0.1), 25), CS336, rel=1e-14
    )


@pytest.mark.parametrize("mistake", _wrong_cosines(1.0, 7, 21, 0.1))
def test_a_wrong_cosine_does_not_give_cs336s_values(mistake):
    assert not same(curve(_wrong_cosines(1.0, 7, 21, 0.1)[mistake], 25), CS336, rel=1e-3)


def test_a_warm_up_from_zero_is_told_from_one_with_a_start():
    ours = curve(partial(warmup_cosine, peak_lr=1.0, warmup_steps=7, total_steps=21, start_lr=0.3, floor_lr=0.1), 25)
    assert ours[0] == 0.3 and same(ours[7:], CS336[7:])
    assert not same(ours, CS336, rel=1e-3)


def test_warmup_cosine_gives_nanogpts_values():
    """train.py of nanoGPT: peak 6e-4, warm-up 2000 as (t + 1)/(W + 1), cosine to 6e-5 at step 600,000."""
    shape = {"peak_lr": 6e-4, "warmup_steps": 2000, "total_steps": 600_000, "floor_lr": 6e-5}
    published = {0: 3.00e-7, 10: 3.30e-6, 1000: 3.00e-4, 2000: 6e-4, 600_000: 6e-5}

    def gives(schedule):
        return all(schedule(t) == pytest.approx(lr, rel=1.7e-3) for t, lr in published.items())

    assert gives(partial(warmup_cosine, start_lr=6e-4 / 2001, **shape))
    assert not gives(partial(warmup_cosine, **shape))  # t/W: the first update moves nothing
    wrong = _wrong_cosines(6e-4, 2000, 600_000, 6e-5)
    assert not any(gives(wrong[name]) for name in ("cosine-from-step-0", "total-after-warmup", "zero-after-end"))


def test_a_linear_warmup_starts_where_it_is_told_and_meets_nanogpts_line():
    warm = partial(linear_warmup, peak_lr=6e-4, warmup_steps=2000, start_lr=6e-4 / 2001)
    assert same(curve(warm, 2000), [6e-4 * (t + 1) / 2001 for t in range(2000)])


def test_the_seeds_recipe_at_step_50000_is_1693e_7():
    recipe = partial(warmup_cosine, peak_lr=3e-4, warmup_steps=2000, total_steps=100_000, floor_lr=3e-5)
    assert [recipe(0), recipe(2000), recipe(100_000)] == pytest.approx([0.0, 3e-4, 3e-5], rel=1e-15)
    assert recipe(50_000) == pytest.approx(1.693e-4, abs=5e-8)
    assert recipe(51_000) == pytest.approx(1.65e-4, rel=1e-12)  # the value that is often given for step 50,000


# The schedules line of numerics.md: what each library uses at steps 0, 1, …, peak 1.
LIBRARIES = {
    "torch cosine, T = 4": ([1, 0.854, 0.5, 0.146, 0], partial(cosine_decay, peak_lr=1.0, total_steps=4)),
    "optax, Keras, timm cosine, T = 4": (
        [1, 0.854, 0.5, 0.146, 0, 0, 0],
        partial(cosine_decay, peak_lr=1.0, total_steps=4),
    ),
    "HF cosine, W = 2, T = 6": (
        [0, 0.5, 1, 0.854, 0.5, 0.146, 0],
        partial(warmup_cosine, peak_lr=1.0, warmup_steps=2, total_steps=6),
    ),
    "nanoGPT, W = 2, T = 6": (
        [0.333, 0.667, 1, 0.854, 0.5, 0.146, 0],
        partial(warmup_cosine, peak_lr=1.0, warmup_steps=2, total_steps=6, start_lr=1 / 3),
    ),
    "HF inverse square root, W = 4": (
        [0, 0.25, 0.5, 0.75, 1, 0.894],
        partial(inverse_sqrt, peak_lr=1.0, warmup_steps=4),
    ),
    "HF warm-up, stable, decay 2/3/3": (
        [0, 0.5, 1, 1, 1, 1, 0.667, 0.333, 0],
        partial(wsd, peak_lr=1.0, warmup_steps=2, stable_steps=3, decay_steps=3),
    ),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_librarys_curve(library):
    values, ours = LIBRARIES[library]
    assert curve(ours, len(values)) == pytest.approx(values, abs=5.1e-4)
    for other, (wrong, _) in LIBRARIES.items():
        if other != library and wrong[: len(values)] != values[: len(wrong)]:
            n = min(len(values), len(wrong))
            assert curve(ours, n) != pytest.approx(wrong[:n], abs=5.1e-4)


def test_past_the_end_ours_holds_its_floor_where_torchs_and_hugging_faces_rise():
    assert curve(partial(cosine_decay, peak_lr=1.0, total_steps=4), 7)[4:].tolist() == [0, 0, 0]
    torchs = torch_rates(torch.optim.lr_scheduler.CosineAnnealingLR, 7, T_max=4)
    assert torchs == pytest.approx([1, 0.854, 0.5, 0.146, 0, 0.146, 0.5], abs=5.1e-4)
    ours = curve(partial(warmup_cosine, peak_lr=1.0, warmup_steps=2, total_steps=6), 8)
    assert ours[6:].tolist() == [0, 0]
    assert curve(_wrong_cosines(1.0, 2, 6, 0.0)["rises-after-end"], 8)[7] == pytest.approx(
        0.146, abs=5.1e-4
    )  # HF's value


def test_one_cycle_has_optaxs_corners_and_torchs_are_one_earlier():
    ours = curve(partial(one_cycle, peak_lr=1.0, total_steps=10), 12)
    assert (int(ours.argmax()), int(ours.argmin())) == (3, 10)
    torchs = torch_rates(torch.optim.lr_scheduler.OneCycleLR, 10, max_lr=1.0, total_steps=10, cycle_momentum=False)
    assert (int(torchs.argmax()), int(torchs.argmin())) == (2, 9)
    assert same(curve(partial(one_cycle, peak_lr=1.0, total_steps=9, warmup_fraction=2 / 9), 10), torchs)
    assert not same(ours[:10], torchs, rel=1e-2)


# ------------------------------------------------------------- torch's schedulers


def torch_rates(scheduler, steps, lr=1.0, **arguments):
    """The rate that torch uses for updates 0, 1, …: read before each update."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler, rates = scheduler(optimizer, **arguments), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


S = torch.optim.lr_scheduler
TORCHS = {
    "cosine": (
        partial(cosine_decay, peak_lr=0.7, total_steps=40, floor_lr=0.05),
        S.CosineAnnealingLR,
        {"T_max": 40, "eta_min": 0.05},
    ),
    "milestones": (
        partial(step_decay, base_lr=0.7, milestones=[3, 10, 25], factor=0.3),
        S.MultiStepLR,
        {"milestones": [3, 10, 25], "gamma": 0.3},
    ),
    "every 7": (
        partial(step_decay, base_lr=0.7, milestones=range(7, 100, 7), factor=0.3),
        S.StepLR,
        {"step_size": 7, "gamma": 0.3},
    ),
    "exponential": (partial(exponential_decay, base_lr=0.7, factor=0.93), S.ExponentialLR, {"gamma": 0.93}),
    "polynomial": (
        partial(polynomial_decay, peak_lr=0.7, total_steps=30, power=2.5),
        S.PolynomialLR,
        {"total_iters": 30, "power": 2.5},
    ),
    "linear": (
        partial(linear_decay, peak_lr=0.7, total_steps=30, floor_lr=0.07),
        S.LinearLR,
        {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 30},
    ),
    "warm-up": (
        partial(linear_warmup, peak_lr=0.7, warmup_steps=9, start_lr=0.14),
        S.LinearLR,
        {"start_factor": 0.2, "total_iters": 9},
    ),
    "constant": (partial(constant, base_lr=0.7), S.ConstantLR, {"factor": 1.0}),
    "restarts": (
        partial(cosine_restarts, peak_lr=0.7, first_cycle=6, floor_lr=0.05),
        S.CosineAnnealingWarmRestarts,
        {"T_0": 6, "eta_min": 0.05},
    ),
    "longer restarts": (
        partial(cosine_restarts, peak_lr=0.7, first_cycle=4, growth=2, floor_lr=0.05),
        S.CosineAnnealingWarmRestarts,
        {"T_0": 4, "T_mult": 2, "eta_min": 0.05},
    ),
    "triangles": (
        partial(cyclic, peak_lr=0.7, up_steps=4, down_steps=6, floor_lr=0.1),
        S.CyclicLR,
        {"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 4, "step_size_down": 6, "cycle_momentum": False},
    ),
    "halving triangles": (
        partial(cyclic, peak_lr=0.7, up_steps=5, floor_lr=0.1, shrink=0.5),
        S.CyclicLR,
        {"base_lr": 0.1, "max_lr": 0.7, "step_size_up": 5, "mode": "triangular2", "cycle_momentum": False},
    ),
    "one cycle": (
        partial(one_cycle, peak_lr=0.7, total_steps=40, warmup_fraction=11 / 40, start_divisor=10, end_divisor=100),
        S.OneCycleLR,
        {
            "max_lr": 0.7,
            "total_steps": 41,
            "pct_start": 12 / 41,
            "div_factor": 10,
            "final_div_factor": 100,
            "cycle_momentum": False,
        },
    ),
    "inverse time": (
        partial(inverse_time, base_lr=0.7, decay=0.1),
        S.LambdaLR,
        {"lr_lambda": lambda t: 1 / (1 + 0.1 * t)},
    ),
}


@pytest.mark.parametrize("name", TORCHS)
def test_forty_steps_equal_torchs_scheduler(name):
    ours, scheduler, arguments = TORCHS[name]
    torchs = torch_rates(scheduler, 40, lr=0.7, **arguments)
    assert same(curve(ours, 40), torchs)
    shifted = np.array([ours(step + 1) for step in range(40)])
    assert name == "constant" or not same(shifted, torchs, rel=1e-4)


@pytest.mark.parametrize("other", [n for n in TORCHS if n != "constant"])
def test_a_schedule_is_a_lambda_for_torch(other):
    """LambdaLR multiplies the optimizer's rate by what our schedule says."""
    relative = TORCHS[other][0]
    assert same(torch_rates(S.LambdaLR, 40, lr=0.3, lr_lambda=relative), 0.3 * curve(relative, 40))


# ------------------------------------------------ the classic mistakes are visible


def _inverse_sqrt(t, w=5, peak=0.8):
    return peak * min(t / w, math.sqrt(w / t)) if t else 0.0


def _steps(t, marks=(3, 5, 10), base=0.8, factor=0.3):
    return base * factor ** sum(m <= t for m in marks)


def _wsd(t, w=3, s=4, d=5, peak=0.8, floor=0.1, tail=None, begin=None, length=None):
    if t < w:
        return peak * t / w
    begin, length = w + s if begin is None else begin, d if length is None else length
    p = max(t - begin, 0) / length
    return tail(p) if tail else peak + (floor - peak) * min(p, 1)


WRONG = {
    "linear_warmup": (
        partial(linear_warmup, peak_lr=0.8, warmup_steps=6, start_lr=0.1),
        lambda t: 0.1 + 0.7 * min(t, 6) / 6,
        {
            "ignores-start": lambda t: 0.8 * min(t, 6) / 6,
            "never-stops-rising": lambda t: 0.1 + 0.7 * t / 6,
            "overshoots-by-start": lambda t: 0.1 + 0.8 * min(t, 6) / 6,
            "whole-number-division": lambda t: 0.1 + 0.7 * (min(t, 6) // 6),
            "falls-back-after": lambda t: 0.1 + 0.7 * t / 6 if t <= 6 else 0.1,
            "multiplies-up": lambda t: 0.1 * 8 ** (min(t, 6) / 6),
            "one step ahead": lambda t: 0.1 + 0.7 * min(t + 1, 6) / 6,
            "peak at W - 1": lambda t: 0.1 + 0.7 * min(t, 5) / 5,
        },
    ),
    "step_decay": (
        partial(step_decay, base_lr=0.8, milestones=(3, 5, 10), factor=0.3),
        _steps,
        {
            "drops-once": lambda t: 0.8 * 0.3 ** (t >= 3),
            "keeps-dropping": lambda t: 0.8 * 0.3 ** max(t - 2, 0),
            "only-at-milestone": lambda t: 0.8 * 0.3 ** (t in (3, 5, 10)),
            "divides-by-factor": lambda t: _steps(t, factor=1 / 0.3),
            "factor-times-count": lambda t: 0.8 * (0.3 * sum(m <= t for m in (3, 5, 10)) or 1),
            "one-step-early": lambda t: _steps(t + 1),
            "milestones-as-lengths": lambda t: _steps(t, (3, 8, 18)),
            "one step late (Keras)": lambda t: _steps(t - 1),
        },
    ),
    "inverse_sqrt": (
        partial(inverse_sqrt, peak_lr=0.8, warmup_steps=5),
        _inverse_sqrt,
        {
            "jump-after-warmup": lambda t: 0.8 * t / 5 if t <= 5 else 0.8 / math.sqrt(t),
            "no-square-root": lambda t: 0.8 * min(t / 5, 5 / max(t, 1)),
            "clock-restarts": lambda t: 0.8 * t / 5 if t < 5 else 0.8 / math.sqrt(t - 4),
            "larger-of-two": lambda t: 0.8 * max(t / 5, math.sqrt(5 / max(t, 1))),
            "multiplies-both": lambda t: 0.8 * min(t / 5, 1) * math.sqrt(5 / max(t, 1)),
            "counts from 1": lambda t: _inverse_sqrt(t + 1),
            "flat warm-up (T5)": lambda t: 0.8 * math.sqrt(5 / max(t, 5)),
        },
    ),
    "wsd": (
        partial(wsd, peak_lr=0.8, warmup_steps=3, stable_steps=4, decay_steps=5, floor_lr=0.1),
        _wsd,
        {
            "plateau-from-0": lambda t: _wsd(t, begin=4),
            "no-plateau": lambda t: _wsd(t, begin=3),
            "falls-below-floor": lambda t: _wsd(t, tail=lambda p: 0.8 - 0.7 * p),
            "cliff": lambda t: _wsd(t, tail=lambda p: 0.8 if p <= 0 else 0.1),
            "decay-over-total": lambda t: _wsd(t, length=12),
            "floor-by-max": lambda t: _wsd(t, tail=lambda p: max(0.1, 0.8 * (1 - p))),
            "ignores-floor": lambda t: _wsd(t, floor=0.0),
            "cosine tail": lambda t: _wsd(t, tail=lambda p: 0.1 + 0.7 * _cosine(min(p, 1))),
            "one step ahead": lambda t: _wsd(t + 1),
        },
    ),
    "cosine_decay": (
        partial(cosine_decay, peak_lr=0.8, total_steps=9, floor_lr=0.1),
        lambda t: 0.1 + 0.7 * _cosine(min(t / 9, 1)),
        {
            n: w
            for n, w in _wrong_cosines(0.8, 0, 9, 0.1).items()
            if n
            in (
                "full-wave",
                "forgets-half",
                "rises-after-end",
                "floor-by-max",
                "floor-added",
                "degrees",
                "quarter-wave",
                "zero-after-end",
                "floor-on-last-step",
            )
        },
    ),
    "warmup_cosine": (
        partial(warmup_cosine, peak_lr=0.8, warmup_steps=4, total_steps=13, start_lr=0.05, floor_lr=0.1),
        lambda t: 0.05 + 0.75 * t / 4 if t < 4 else 0.1 + 0.7 * _cosine(min((t - 4) / 9, 1)),
        _wrong_cosines(0.8, 4, 13, 0.1, 0.05) | {"warmup-from-zero": _wrong_cosines(0.8, 4, 13, 0.1)["nanogpt-warmup"]},
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_formula_by_hand(name):
    ours, right, _ = WRONG[name]
    assert same(curve(ours, 16), [right(t) for t in range(16)])


@pytest.mark.parametrize(("name", "mistake"), [(name, mistake) for name, row in WRONG.items() for mistake in row[2]])
def test_a_classic_mistake_would_not_pass(name, mistake):
    ours, _, mistakes = WRONG[name]
    wrong = np.array([mistakes[mistake](t) for t in range(16)])
    assert np.abs(curve(ours, 16) - wrong).max() > 1e-3


# ------------------------------------------------------------- for any settings

rates = st.floats(0, 10) | st.floats(1e-12, 1e-3)
lengths = st.integers(0, 300) | st.integers(1000, 10**9)
positive = st.integers(1, 300) | st.floats(0.5, 1e6)
times = st.lists(st.integers(0, 1200) | st.integers(0, 2 * 10**9) | st.floats(0, 1e4), min_size=1, max_size=12)


@st.composite
def any_schedule(draw):
    """(a schedule of the step, its lowest and its highest rate)"""
    low, high = sorted((draw(rates), draw(rates)))
    warm, more, tail, long = (draw(lengths) for _ in range(4))
    factor = draw(st.floats(1e-3, 1))
    return draw(
        st.sampled_from(
            [
                (partial(constant, base_lr=high), high, high),
                (partial(linear_warmup, peak_lr=high, warmup_steps=warm, start_lr=low), low, high),
                (partial(cosine_decay, peak_lr=high, total_steps=long, floor_lr=low), low, high),
                (partial(linear_decay, peak_lr=high, total_steps=long, floor_lr=low), low, high),
                (
                    partial(
                        polynomial_decay, peak_lr=high, total_steps=long, power=draw(st.floats(0.1, 9)), floor_lr=low
                    ),
                    low,
                    high,
                ),
                (
                    partial(
                        warmup_cosine,
                        peak_lr=high,
                        warmup_steps=warm,
                        total_steps=warm + more,
                        start_lr=low,
                        floor_lr=low,
                    ),
                    low,
                    high,
                ),
                (
                    partial(wsd, peak_lr=high, warmup_steps=warm, stable_steps=more, decay_steps=tail, floor_lr=low),
                    0.0,
                    high,
                ),
                (
                    partial(
                        one_cycle,
                        peak_lr=high,
                        total_steps=long,
                        warmup_fraction=draw(st.floats(0, 1)),
                        start_divisor=3,
                        end_divisor=7,
                    ),
                    high / 3 / 7,
                    high,
                ),
                (
                    partial(step_decay, base_lr=high, milestones=sorted([warm, more, long]), factor=factor),
                    high * factor**3 * (1 - 1e-12),
                    high,
                ),
                (partial(exponential_decay, base_lr=high, factor=factor, every=draw(positive)), 0.0, high),
                (partial(inverse_time, base_lr=high, decay=draw(st.floats(0, 5))), 0.0, high),
                (partial(inverse_sqrt, peak_lr=high, warmup_steps=warm + 1), 0.0, high),
                (
                    partial(
                        cyclic,
                        peak_lr=high,
                        up_steps=draw(positive),
                        down_steps=draw(positive),
                        floor_lr=low,
                        shrink=factor,
                    ),
                    low,
                    high,
                ),
                (
                    partial(
                        cosine_restarts,
                        peak_lr=high,
                        first_cycle=draw(positive),
                        growth=draw(st.integers(1, 3)),
                        floor_lr=low,
                    ),
                    low,
                    high,
                ),
            ]
        )
    )


@given(any_schedule(), times)
@settings(max_examples=300, deadline=None)
def test_every_schedule_stays_between_its_floor_and_its_peak(schedule, steps):
    schedule, low, high = schedule
    values = schedule(np.array(steps))
    assert (values >= low).all() and (values <= high).all()


@given(any_schedule(), times)
@settings(max_examples=150, deadline=None)
def test_an_array_of_steps_is_each_step_alone(schedule, steps):
    schedule = schedule[0]
    alone = [schedule(step) for step in steps]
    assert all(type(value) is float for value in alone)
    assert schedule(np.array(steps)).tolist() == alone == schedule(steps).tolist()
    assert schedule(np.array([steps, steps])).shape == (2, len(steps))


@given(any_schedule(), any_schedule(), lengths, times)
@settings(max_examples=60, deadline=None)
def test_joined_schedules_take_turns(first, second, boundary, steps):
    joined = partial(join, first=first[0], second=second[0], boundary=boundary)
    expected = [first[0](t) if t < boundary else second[0](t - boundary) for t in steps]
    assert [joined(t) for t in steps] == expected == joined(np.array(steps)).tolist()


@given(rates, rates, st.integers(1, 10**6), st.floats(0.1, 9))
@settings(max_examples=100, deadline=None)
def test_every_decay_begins_at_its_peak_ends_at_its_floor_and_never_rises(one, other, total, power):
    low, high = sorted((one, other))
    for decay in (cosine_decay, linear_decay, partial(polynomial_decay, power=power)):
        values = decay(np.linspace(0, 1.2 * total, 50), peak_lr=high, total_steps=total, floor_lr=low)
        assert values[0] == high and decay(total, peak_lr=high, total_steps=total, floor_lr=low) == low == values[-1]
        assert (np.diff(values) <= 1e-15 * high).all()


@given(rates, st.integers(1, 10**4), st.integers(0, 10**4))
@settings(max_examples=100, deadline=None)
def test_warmup_cosine_is_a_warm_up_joined_to_a_cosine(peak, warm, more):
    steps = np.linspace(0, 1.3 * (warm + more), 60)
    pieces = {
        "first": partial(linear_warmup, peak_lr=peak, warmup_steps=warm),
        "second": partial(cosine_decay, peak_lr=peak, total_steps=more, floor_lr=peak / 10),
    }
    assert np.array_equal(
        warmup_cosine(steps, peak, warm, warm + more, floor_lr=peak / 10), join(steps, boundary=warm, **pieces)
    )


@given(st.floats(1e-6, 1), st.integers(1, 10**5))
@settings(max_examples=100, deadline=None)
def test_the_inverse_root_halves_in_four_times_the_steps(peak, warm):
    assert inverse_sqrt(warm, peak, warm) == peak
    assert inverse_sqrt(4 * warm, peak, warm) == pytest.approx(peak / 2, rel=1e-14)


def test_a_run_never_uses_its_floor_and_a_warm_up_never_wastes_two_steps():
    """The corners, in one place: T updates use steps 0 … T − 1."""
    used = warmup_cosine(np.arange(12), peak_lr=1.0, warmup_steps=4, total_steps=12, floor_lr=0.1)
    assert used[0] == 0.0 and used[4] == 1.0 and used[-1] > 0.1
    assert warmup_cosine(12, peak_lr=1.0, warmup_steps=4, total_steps=12, floor_lr=0.1) == 0.1


def test_without_a_warm_up_the_peak_comes_first():
    assert linear_warmup(0, peak_lr=0.5, warmup_steps=0) == 0.5
    assert warmup_cosine(0, peak_lr=0.5, warmup_steps=0, total_steps=10) == 0.5
    assert wsd(0, peak_lr=0.5, warmup_steps=0, stable_steps=1, decay_steps=1) == 0.5
    assert one_cycle(0, peak_lr=0.5, total_steps=10, warmup_fraction=0.0) == 0.5
    assert one_cycle(1, peak_lr=0.5, total_steps=1, warmup_fraction=5e-324) == 0.5 / 25 / 1e4


def test_a_run_that_is_all_warm_up_ends_at_its_floor():
    values = warmup_cosine(np.arange(6), peak_lr=1.0, warmup_steps=4, total_steps=4, floor_lr=0.1)
    assert values.tolist() == [0.0, 0.25, 0.5, 0.75, 0.1, 0.1]
    assert (
        one_cycle(np.array([9, 10]), peak_lr=1.0, total_steps=10, warmup_fraction=1.0, start_divisor=2, end_divisor=2)[
            1
        ]
        == 0.25
    )


def test_a_factor_above_one_grows_as_a_range_test_needs():
    assert exponential_decay(np.array([0, 50, 100]), base_lr=1e-6, factor=1e6, every=100) == pytest.approx(
        [1e-6, 1e-3, 1.0]
    )


def test_the_rates_of_many_steps_are_the_callers_to_change():
    rates = constant(np.arange(3), base_lr=0.5)
    rates[0] = 0.25
    assert rates.tolist() == [0.25, 0.5, 0.5]


def test_a_step_need_not_be_an_int():
    for step in (3, np.int64(3), np.float32(3), 3.0, torch.tensor(3)):
        assert type(linear_decay(step, peak_lr=1.0, total_steps=4)) is float
        assert linear_decay(step, peak_lr=1.0, total_steps=4) == 0.25


# Each schedule with settings that make sense.
ACCEPTED = {
    constant: {"base_lr": 1.0},
    linear_warmup: {"peak_lr": 1.0, "warmup_steps": 4, "start_lr": 0.25},
    cosine_decay: {"peak_lr": 1.0, "total_steps": 10, "floor_lr": 0.25},
    linear_decay: {"peak_lr": 1.0, "total_steps": 10, "floor_lr": 0.25},
    polynomial_decay: {"peak_lr": 1.0, "total_steps": 10, "power": 2, "floor_lr": 0.25},
    warmup_cosine: {"peak_lr": 1.0, "warmup_steps": 2, "total_steps": 10, "start_lr": 0.25, "floor_lr": 0.25},
    wsd: {"peak_lr": 1.0, "warmup_steps": 2, "stable_steps": 3, "decay_steps": 4, "floor_lr": 0.25},
    one_cycle: {"peak_lr": 1.0, "total_steps": 10, "warmup_fraction": 0.5, "start_divisor": 2, "end_divisor": 2},
    step_decay: {"base_lr": 1.0, "milestones": [2, 4], "factor": 0.5},
    exponential_decay: {"base_lr": 1.0, "factor": 0.5, "every": 5},
    inverse_time: {"base_lr": 1.0, "decay": 0.5},
    inverse_sqrt: {"peak_lr": 1.0, "warmup_steps": 4},
    cyclic: {"peak_lr": 1.0, "up_steps": 4, "down_steps": 2, "floor_lr": 0.25, "shrink": 0.5},
    cosine_restarts: {"peak_lr": 1.0, "first_cycle": 4, "growth": 2, "floor_lr": 0.25},
    join: {"first": np.zeros_like, "second": np.ones_like, "boundary": 4},
}


@pytest.mark.parametrize("schedule", ACCEPTED, ids=lambda schedule: schedule.__name__)
def test_steps_may_come_in_any_kind_of_array(schedule):
    """Small and unsigned integers would wrap around where a schedule subtracts, and no steps have no largest one."""
    steps = np.arange(12).reshape(3, 4)
    rates = schedule(steps, **ACCEPTED[schedule])
    for kind in (np.int8, np.uint8, np.uint64, np.float32):
        found = schedule(steps.astype(kind), **ACCEPTED[schedule])
        assert found.dtype == np.float64 and np.array_equal(found, rates)
    assert schedule(np.array([]), **ACCEPTED[schedule]).shape == (0,)


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: constant(-1, 0.1), "Steps count from 0 .* but step is -1"),
        (lambda: constant([3, -2], 0.1), r"step is \[3, -2\]"),
        (lambda: constant(math.nan, 0.1), "step is nan"),
        (lambda: constant(math.inf, 0.1), "step is inf"),
        (lambda: constant(0, -0.1), "base_lr is a learning rate, 0 or more, but is -0.1"),
        (lambda: constant(0, math.nan), "base_lr .* but is nan"),
        (lambda: linear_warmup(0, 1.0, -1), "warmup_steps is a number of steps, 0 or more, but is -1"),
        (lambda: linear_warmup(0, 1.0, 5, 2.0), "start_lr = 2.0 lies above peak_lr = 1.0"),
        (lambda: linear_warmup(0, 1.0, 5, -0.1), "start_lr is a learning rate, 0 or more, but is -0.1"),
        (lambda: cosine_decay(0, 1.0, 10, 2.0), "floor_lr = 2.0 lies above peak_lr = 1.0"),
        (lambda: cosine_decay(0, math.inf, 10), "peak_lr .* but is inf"),
        (lambda: cosine_decay(0, 1.0, math.nan), "total_steps .* but is nan"),
        (lambda: cosine_decay(0, 1.0, "10"), "total_steps .* but is '10'"),
        (lambda: linear_decay(0, 1.0, -10), "total_steps .* but is -10"),
        (lambda: linear_decay(0, 1.0, 10, 1.5), "floor_lr = 1.5 lies above"),
        (lambda: polynomial_decay(0, 1.0, 10, 0), "power .* above 0, but is 0"),
        (lambda: warmup_cosine(0, 1.0, 11, 10), "warm-up takes 11 steps, longer than the whole run of 10"),
        (lambda: warmup_cosine(0, 1.0, 2, 10, floor_lr=1.1), "floor_lr = 1.1 lies above"),
        (lambda: warmup_cosine(0, 1.0, 2, 10, start_lr=1.1), "start_lr = 1.1 lies above"),
        (lambda: wsd(0, 1.0, 2, -3, 4), "stable_steps .* but is -3"),
        (lambda: wsd(0, 1.0, 2, 3, 4, 5.0), "floor_lr = 5.0 lies above"),
        (lambda: one_cycle(0, 1.0, 10, 1.5), "warmup_fraction .* from 0 to 1, but is 1.5"),
        (lambda: one_cycle(0, 1.0, 10, start_divisor=0.5), "start_divisor .* 1 or more, but is 0.5"),
        (lambda: one_cycle(0, 1.0, 10, end_divisor=0), "end_divisor .* 1 or more, but is 0"),
        (lambda: step_decay(0, 1.0, [4, 2], 0.1), r"ascending order, but are \[4, 2\]"),
        (lambda: step_decay(0, 1.0, [-1, 2], 0.1), r"but are \[-1, 2\]"),
        (lambda: step_decay(0, 1.0, np.array([4, 2], np.uint8), 0.1), "ascending order, but are array"),
        (lambda: step_decay(0, 1.0, 5, 0.1), "milestones are steps, .* but are 5"),
        (lambda: step_decay(0, 1.0, [5], 0), "factor .* above 0, but is 0"),
        (lambda: exponential_decay(0, 1.0, -0.5), "factor .* but is -0.5"),
        (lambda: exponential_decay(0, 1.0, 0.5, 0), "every .* but is 0"),
        (lambda: inverse_time(0, 1.0, -1), "decay .* but is -1"),
        (lambda: inverse_sqrt(0, 1.0, 0), "warmup_steps is a number of steps, 1 or more, but is 0"),
        (lambda: cyclic(0, 1.0, 0), "up_steps .* above 0, but is 0"),
        (lambda: cyclic(0, 1.0, 5, -1), "down_steps .* above 0, but is -1"),
        (lambda: cyclic(0, 1.0, 5, floor_lr=2.0), "floor_lr = 2.0 lies above"),
        (lambda: cyclic(0, 1.0, 5, shrink=1.5), "shrink .* but is 1.5"),
        (lambda: cosine_restarts(0, 1.0, 0), "first_cycle .* above 0, but is 0"),
        (lambda: cosine_restarts(0, 1.0, 5, 1.5), "growth is a whole number, 1 or more, but is 1.5"),
        (lambda: join(0, lambda t: t, lambda t: t, -1), "boundary .* but is -1"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


RATE, LENGTH = "is a learning rate, 0 or more", "is a number of steps, 0 or more"
# What each setting is, and the nearest that it may not be.
SETTINGS = {
    "base_lr": (RATE, [-1e-9, math.inf]),
    "peak_lr": (RATE, [-1e-9, math.inf]),
    "start_lr": (RATE, [-1e-9]),
    "floor_lr": (RATE, [-1e-9]),
    "warmup_steps": (LENGTH, [-1, math.inf]),
    "total_steps": (LENGTH, [-1, math.inf]),
    "stable_steps": (LENGTH, [-1, math.inf]),
    "decay_steps": (LENGTH, [-1, math.inf]),
    "boundary": (LENGTH, [-1, math.inf]),
    "up_steps": ("is a number of steps above 0", [0, math.inf]),
    "down_steps": ("is a number of steps above 0", [0, math.inf]),
    "first_cycle": ("is a number of steps above 0", [0, math.inf]),
    "every": ("is a number of steps above 0", [0, math.inf]),
    "power": ("bends the line and lies above 0", [0, math.inf]),
    "factor": ("is what the rate is multiplied by and lies above 0", [0, math.inf]),
    "decay": ("says how fast the rate falls and is 0 or more", [-1e-9, math.inf]),
    "warmup_fraction": ("is a part of the run, from 0 to 1", [-1e-9, 1.1]),
    "start_divisor": ("says how many times lower the rate is there, 1 or more", [0.9, math.inf]),
    "end_divisor": ("says how many times lower the rate is there, 1 or more", [0.9, math.inf]),
    "shrink": ("is what each cycle's height is multiplied by, above 0 and at most 1", [0, 1.1]),
    "growth": ("is a whole number, 1 or more", [0, 1.5]),
}


@pytest.mark.parametrize(
    ("schedule", "setting"),
    [(schedule, name) for schedule, settings in ACCEPTED.items() for name in settings if name in SETTINGS],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_setting_is_refused_by_its_own_name(schedule, setting):
    what, too_far = SETTINGS[setting]
    if (schedule, setting) == (inverse_sqrt, "warmup_steps"):
        what, too_far = "is a number of steps, 1 or more", [0, math.inf]
    for bad in too_far:
        with pytest.raises(ValueError) as refused:
            schedule(3, **ACCEPTED[schedule] | {setting: bad})
        assert str(refused.value) == f"{setting} {what}, but is {bad!r}."


@pytest.mark.parametrize(
    ("schedule", "low"),
    [(schedule, low) for schedule, settings in ACCEPTED.items() for low in ("start_lr", "floor_lr") if low in settings],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_low_rate_may_be_as_large_as_the_peak_and_not_larger(schedule, low):
    schedule(3, **ACCEPTED[schedule] | {low: 1.0})
    with pytest.raises(ValueError) as refused:
        schedule(3, **ACCEPTED[schedule] | {low: 1.5})
    assert str(refused.value) == f"{low} = 1.5 lies above peak_lr = 1.0; it has to be at most as large."


def test_milestones_may_meet_and_may_lie_at_the_start():
    assert step_decay(np.arange(3), 1.0, [0, 2, 2], 0.5).tolist() == [0.5, 0.5, 0.125]
    assert step_decay(3, 1.0, [], 0.5) == 1.0


def test_joined_schedules_are_asked_only_for_steps_of_their_own():
    first, second = (lambda t: np.array([0.5])[t.astype(int)]), (lambda t: np.array([0.25, 0.125])[t.astype(int)])
    assert join(np.arange(3), first, second, boundary=1).tolist() == [0.5, 0.25, 0.125]
    assert join(np.arange(2), second, first, boundary=2).tolist() == [0.25, 0.125]


def test_settings_at_the_edge_of_sense_are_taken():
    assert constant(0, 0.0) == 0.0
    assert inverse_time(5, 1.0, 0) == 1.0
    assert inverse_sqrt(4, 1.0, 1) == 0.5
    assert one_cycle(5, 1.0, 10, warmup_fraction=0.5, start_divisor=1, end_divisor=1) == 1.0
    assert one_cycle(10, 1.0, 10, warmup_fraction=1.0, start_divisor=4, end_divisor=1) == 0.25
    assert cyclic(6, 1.0, 2, shrink=1) == 1.0
    assert cosine_restarts(np.arange(3), 1.0, 1).tolist() == [1.0, 1.0, 1.0]
    assert join(0, lambda t: t + 1, lambda t: t + 2, 0) == 2.0
    assert warmup_cosine(0, 1.0, 0, 0, floor_lr=0.5) == 0.5
    assert wsd(0, 1.0, 0, 0, 0, floor_lr=0.5) == 0.5
