"""Counting: against batches really drawn, against published runs, and back again without loss."""

import doctest
import itertools
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gdlab.counting
from gdlab.batching import Batches, epoch_batches
from gdlab.counting import (
    accumulation_steps,
    epochs_seen,
    examples_for_tokens,
    examples_seen,
    global_batch_size,
    params_for_flops,
    step_at,
    steps_for_epochs,
    steps_for_examples,
    steps_for_tokens,
    steps_per_epoch,
    tokens_for_examples,
    tokens_for_flops,
    tokens_per_step,
    total_tokens,
    training_flops,
    where_am_i,
)

unhurried = settings(deadline=None)  # the machine may be busy, and seconds are not what is tested

# Remainders 0, 1, B−1 and in between, on both sides of B/2, with the last batch kept and dropped.
SIZES = [(12, 4), (13, 4), (15, 4), (22, 5), (23, 5), (7, 7), (5, 1)]
RUNS = [(*size, drop_last) for size in SIZES for drop_last in (False, True)]


def counted(n, batch_size, drop_last, epochs=4):
    """For each step of a run that really draws its batches: (epoch, step in epoch, examples before it)."""
    rows, seen = [], 0
    for epoch in range(epochs):
        for k, batch in enumerate(epoch_batches(n, batch_size, np.random.default_rng(0), drop_last)):
            rows.append((epoch, k, seen))
            seen += len(batch)
    return rows


TABLE = {run: counted(*run) for run in RUNS}


def misses_per_epoch(function):
    return [run for run in RUNS if function(*run) != len(TABLE[run]) // 4]


def misses_where(function):
    return [(step, *run) for run in RUNS for step, row in enumerate(TABLE[run]) if function(step, *run) != row[:2]]


def misses_seen(function):
    return [(step, *run) for run in RUNS for step, row in enumerate(TABLE[run]) if function(step, *run) != row[2]]


WRONG_PER_EPOCH = {
    "always-floor": lambda n, b, drop_last: n // b,
    "always-ceil": lambda n, b, drop_last: math.ceil(n / b),
    "one-more-even-if-full": lambda n, b, drop_last: n // b + (not drop_last),
    "rounds": lambda n, b, drop_last: n // b if drop_last else round(n / b),
    "drop-last-reversed": lambda n, b, drop_last: steps_per_epoch(n, b, not drop_last),
    "fraction": lambda n, b, drop_last: n / b,
}
WRONG_WHERE = {
    "epochs-from-1": lambda t, *run: (where_am_i(t, *run)[0] + 1, where_am_i(t, *run)[1]),
    "steps-from-1": lambda t, *run: (where_am_i(t, *run)[0], where_am_i(t, *run)[1] + 1),
    "one-step-ahead": lambda t, *run: where_am_i(t + 1, *run),
    "always-floor": lambda t, n, b, drop_last: divmod(t, n // b),
    "swapped": lambda t, *run: where_am_i(t, *run)[::-1],
    "by-examples": lambda t, n, b, drop_last: (t * b // n, where_am_i(t, n, b, drop_last)[1]),
    "running-step": lambda t, *run: (where_am_i(t, *run)[0], t),
}
WRONG_SEEN = {
    "every-batch-full": lambda t, n, b, drop_last: t * b,
    "counts-current-batch": lambda t, *run: examples_seen(t + 1, *run),
    "one-epoch-only": lambda t, n, b, drop_last: min(examples_seen(t, n, b, drop_last), n),
    "whole-epochs-only": lambda t, n, b, drop_last: where_am_i(t, n, b, drop_last)[0] * n,
    "dropped-ones-counted": lambda t, n, b, drop_last: (
        where_am_i(t, n, b, drop_last)[0] * n + where_am_i(t, n, b, drop_last)[1] * b
    ),
    "average-batch": lambda t, n, b, drop_last: t * n / steps_per_epoch(n, b, drop_last),
}


def test_steps_epochs_and_examples_are_those_of_batches_really_drawn():
    assert misses_per_epoch(steps_per_epoch) == misses_where(where_am_i) == misses_seen(examples_seen) == []


@pytest.mark.parametrize(
    ("misses", "wrong"),
    [
        (misses, wrong[name])
        for misses, wrong in [
            (misses_per_epoch, WRONG_PER_EPOCH),
            (misses_where, WRONG_WHERE),
            (misses_seen, WRONG_SEEN),
        ]
        for name in wrong
    ],
    ids=[*WRONG_PER_EPOCH, *WRONG_WHERE, *WRONG_SEEN],
)
def test_a_wrong_count_misses_a_batch_really_drawn(misses, wrong):
    assert misses(wrong)


def test_where_am_i_agrees_with_batches_without_end():
    batches = Batches(23, 5, np.random.default_rng(0))
    for step, _ in enumerate(itertools.islice(batches, 17)):
        assert where_am_i(step, 23, 5) == (batches.epoch, batches.position - 1)


# ---------------------------------------------------------------- published runs


def test_the_counts_of_the_sources():
    assert steps_per_epoch(50_000, 100) == 500 and steps_per_epoch(12, 3) == 4
    assert (steps_per_epoch(50_001, 100), steps_per_epoch(50_001, 100, drop_last=True)) == (501, 500)
    assert epochs_seen(100_000, 50_000, 100) == 200 and epochs_seen(100_000, 10**8, 100) == Fraction(1, 10)
    assert accumulation_steps(4096, 256) == 16
    assert tokens_for_examples(1024, 4096) == 2**22 and examples_for_tokens(4_000_000, 4096) == 977
    assert steps_for_tokens(300_000_000_000, 1, 3_200_000) == 93_750  # GPT-3: 300B tokens, 3.2M a batch
    assert steps_for_tokens(2 * 10**12, 1000, 4000) == 500_000  # Llama 2: 2T tokens, 4M a batch


# Brown et al. 2020 (arXiv 2005.14165), table D.1: parameters, and training compute for 300B tokens to three digits.
GPT3 = [
    (125_000_000, "2.25e+20"),
    (2_650_000_000, "4.77e+21"),
    (12_850_000_000, "2.31e+22"),
    (174_600_000_000, "3.14e+23"),
]


def published_compute(flops):
    return all(f"{flops(n_params, 300_000_000_000):.2e}" == printed for n_params, printed in GPT3)


def test_six_operations_give_the_compute_that_gpt3s_table_prints():
    assert published_compute(training_flops)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_another_factor_does_not(factor):
    assert not published_compute(lambda n, d: factor * n * d)


# ---------------------------------------------------------------- tokens

TOKENS = (1_700, 12, 2_048, 5, 8)
WRONG_TOKENS = {
    "forgets-accumulation": lambda t, b, s, a, d: t * b * s * d,
    "forgets-devices": lambda t, b, s, a, d: t * b * s * a,
    "counts-sequences": lambda t, b, s, a, d: t * b * a * d,
    "divides-by-accumulation": lambda t, b, s, a, d: t * b * s * d // a,
    "one-step-only": lambda t, b, s, a, d: b * s * a * d,
    "32-bit": lambda t, b, s, a, d: int(np.prod([t, b, s, a, d], dtype=np.int32)),
}


def test_tokens_are_counted_one_sequence_at_a_time():
    steps, batch_size, seq_len, accumulation, devices = TOKENS
    sequences = sum(batch_size for _ in range(steps) for _ in range(accumulation) for _ in range(devices))
    assert total_tokens(*TOKENS) == sequences * seq_len == 1_671_168_000


@pytest.mark.parametrize("name", WRONG_TOKENS)
def test_a_wrong_number_of_tokens_differs(name):
    big = (17_000, *TOKENS[1:])
    assert WRONG_TOKENS[name](*big) != total_tokens(*big) == 16_711_680_000


def test_numpys_small_integers_do_not_overflow():
    assert total_tokens(np.int32(17_000), *map(np.int32, TOKENS[1:])) == 16_711_680_000


AROUND = [(k * 983_040 + rest, k + (rest > 0)) for k in (0, 1, 7) for rest in (0, 1, 491_520, 491_521, 983_039)]
WRONG_STEPS = {
    "rounds-down": lambda n, b, s, a, d: n // (b * s * a * d),
    "rounds": lambda n, b, s, a, d: round(n / (b * s * a * d)),
    "one-more-even-if-exact": lambda n, b, s, a, d: n // (b * s * a * d) + 1,
    "forgets-accumulation": lambda n, b, s, a, d: steps_for_tokens(n, b, s, 1, d),
    "forgets-devices": lambda n, b, s, a, d: steps_for_tokens(n, b, s, a, 1),
    "multiplies-accumulation": lambda n, b, s, a, d: steps_for_tokens(n, b, s, 1, d) * a,
}


def misses_steps(function):
    return [tokens for tokens, steps in AROUND if function(tokens, *TOKENS[1:]) != steps]


def test_steps_for_tokens_reach_the_budget_and_not_a_step_more():
    assert tokens_per_step(*TOKENS[1:]) == 983_040 and misses_steps(steps_for_tokens) == []


@pytest.mark.parametrize("name", WRONG_STEPS)
def test_a_wrong_number_of_steps_misses_the_budget(name):
    assert misses_steps(WRONG_STEPS[name])


# ---------------------------------------------------------------- the global batch

BATCHES = [
    ((4096, 16, 64), 4),
    ((96, 4, 3), 8),
    ((96, 8, 12), 1),
    ((96, 4, 5), None),
    ((90, 9, 4), None),
    ((12, 8, 3), None),
    ((97, 1, 2), None),
]
WRONG_ACCUMULATION = {
    "forgets-devices": lambda g, m, d: g // m,
    "forgets-micro-batch": lambda g, m, d: g // d,
    "times-devices": lambda g, m, d: g // m * d,
    "rounds-down": lambda g, m, d: g // (m * d),
    "rounds-up": lambda g, m, d: -(-g // (m * d)),
    "at-least-one": lambda g, m, d: max(1, g // (m * d)),
}


def misses_accumulation(function):
    missed = []
    for given_, steps in BATCHES:
        try:
            found = function(*given_)
        except ValueError:
            found = None
        if found != steps:
            missed.append(given_)
    return missed


def test_the_global_batch_is_split_exactly_or_not_at_all():
    assert misses_accumulation(accumulation_steps) == []
    with pytest.raises(ValueError) as refused:
        accumulation_steps(12, 8, 3)
    assert str(refused.value) == (
        "3 device(s) with 8 examples each take 24 at once, and 12 is no multiple of that: "
        "change the global batch, the micro-batch or the devices."
    )


@pytest.mark.parametrize("name", WRONG_ACCUMULATION)
def test_a_wrong_split_shows(name):
    assert misses_accumulation(WRONG_ACCUMULATION[name])


# ---------------------------------------------------------------- there and back

some = st.integers(1, 10**7)
few = st.integers(1, 10**4)


@unhurried
@given(st.integers(0, 10**12), some, some, st.booleans())
def test_a_step_is_found_again_from_its_epoch_and_from_its_examples(step, n, batch_size, drop_last):
    assume(not (drop_last and batch_size > n))
    assert step_at(*where_am_i(step, n, batch_size, drop_last), n, batch_size, drop_last) == step
    assert steps_for_examples(examples_seen(step, n, batch_size, drop_last), n, batch_size, drop_last) == step
    assert steps_for_epochs(epochs_seen(step, n, batch_size, drop_last), n, batch_size, drop_last) == step


@unhurried
@given(st.integers(1, 10**12), some, some, st.booleans())
def test_steps_for_examples_are_enough_and_one_less_is_not(examples, n, batch_size, drop_last):
    assume(not (drop_last and batch_size > n))
    steps = steps_for_examples(examples, n, batch_size, drop_last)
    assert (
        examples_seen(steps - 1, n, batch_size, drop_last) < examples <= examples_seen(steps, n, batch_size, drop_last)
    )


@unhurried
@given(st.integers(0, 10**9), few, few, few, few)
def test_steps_and_tokens_invert(steps, batch_size, seq_len, accumulation, devices):
    shape = (batch_size, seq_len, accumulation, devices)
    tokens = total_tokens(steps, *shape)
    assert steps_for_tokens(tokens, *shape) == steps and steps_for_tokens(tokens + 1, *shape) == steps + 1
    assert examples_for_tokens(tokens, seq_len) == steps * global_batch_size(batch_size, accumulation, devices)
    assert tokens_for_examples(examples_for_tokens(tokens, seq_len), seq_len) == tokens


@unhurried
@given(few, few, few)
def test_accumulation_and_global_batch_invert(micro_batch, accumulation, devices):
    assert (
        accumulation_steps(global_batch_size(micro_batch, accumulation, devices), micro_batch, devices) == accumulation
    )


@unhurried
@given(st.integers(1, 10**13), st.integers(1, 10**15))
def test_compute_gives_back_its_tokens_and_its_parameters(n_params, tokens):
    flops = training_flops(n_params, tokens)
    assert tokens_for_flops(flops, n_params) == tokens and params_for_flops(flops, tokens) == n_params
    assert tokens_for_flops(flops - 1, n_params) == tokens - 1 and params_for_flops(flops - 1, tokens) == n_params - 1


def test_whole_epochs_take_whole_epochs_of_steps():
    assert steps_for_epochs(3, 1000, 128) == step_at(3, 0, 1000, 128) == 24
    assert steps_for_epochs(0.5, 1000, 100) == 5 and steps_for_epochs(0, 10, 3) == 0


def test_the_last_batch_is_kept_unless_it_is_said_to_be_dropped():
    assert (steps_per_epoch(13, 4), steps_for_epochs(2, 13, 4), steps_for_examples(26, 13, 4)) == (4, 8, 8)
    assert (where_am_i(4, 13, 4), step_at(1, 0, 13, 4), examples_seen(4, 13, 4)) == ((1, 0), 4, 13)
    assert epochs_seen(4, 13, 4) == 1


def test_without_accumulation_and_devices_there_is_one_of_each():
    assert (tokens_per_step(3, 5), total_tokens(2, 3, 5), steps_for_tokens(31, 3, 5)) == (15, 30, 3)
    assert (global_batch_size(3), accumulation_steps(12, 3)) == (3, 4)


def test_nothing_costs_nothing():
    assert total_tokens(0, 2, 3) == training_flops(7, 0) == tokens_for_flops(0, 7) == params_for_flops(0, 7) == 0
    assert tokens_for_examples(0, 5) == examples_for_tokens(0, 5) == steps_for_tokens(0, 2, 3) == 0
    assert examples_seen(0, 5, 2) == steps_for_examples(0, 5, 2) == steps_for_epochs(0, 5, 2) == 0


# ---------------------------------------------------------------- what is refused


def test_floats_that_are_whole_are_taken_and_others_refused():
    assert training_flops(70e9, 1.4e12) == 588 * 10**21
    for bad in (2.5, math.nan, math.inf, "many", "", None, -1):
        with pytest.raises(ValueError, match="steps is a whole number from 0 up, but is"):
            total_tokens(bad, 2, 3)
    with pytest.raises(ValueError, match="batch_size is a whole number from 1 up, but is 0"):
        steps_per_epoch(10, 0)


@pytest.mark.parametrize("epochs", [-1, math.nan, math.inf])
def test_epochs_that_make_no_sense_are_refused(epochs):
    with pytest.raises(
        ValueError, match=f"^epochs says how often to go through the data, from 0 up, but is {epochs}.$"
    ):
        steps_for_epochs(epochs, 10, 3)


# Each function with arguments that fit, and the least that each argument may be.
ACCEPTED = {
    steps_per_epoch: {"n_examples": 10, "batch_size": 3},
    where_am_i: {"step": 5, "n_examples": 10, "batch_size": 3},
    step_at: {"epoch": 1, "step_in_epoch": 2, "n_examples": 10, "batch_size": 3},
    examples_seen: {"step": 5, "n_examples": 10, "batch_size": 3},
    steps_for_examples: {"examples": 5, "n_examples": 10, "batch_size": 3},
    epochs_seen: {"step": 5, "n_examples": 10, "batch_size": 3},
    steps_for_epochs: {"epochs": 2, "n_examples": 10, "batch_size": 3},
    global_batch_size: {"micro_batch": 4, "accumulation": 2, "devices": 3},
    accumulation_steps: {"global_batch": 24, "micro_batch": 4, "devices": 3},
    tokens_per_step: {"batch_size": 4, "seq_len": 5},
    total_tokens: {"steps": 2, "batch_size": 4, "seq_len": 5, "accumulation": 2, "devices": 3},
    steps_for_tokens: {"tokens": 7, "batch_size": 4, "seq_len": 5, "accumulation": 2, "devices": 3},
    tokens_for_examples: {"examples": 7, "seq_len": 5},
    examples_for_tokens: {"tokens": 7, "seq_len": 5},
    training_flops: {"n_params": 7, "tokens": 5},
    tokens_for_flops: {"flops": 100, "n_params": 7},
    params_for_flops: {"flops": 100, "tokens": 5},
}
# How much there is or has been may be nothing; what is divided by, or makes a batch, may not.
FROM_ZERO = {"step", "steps", "epoch", "step_in_epoch", "examples", "tokens", "flops"}


@pytest.mark.parametrize(
    ("function", "argument"),
    [(function, argument) for function, accepted in ACCEPTED.items() for argument in accepted if argument != "epochs"],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_what_is_no_number_of_things_is_refused_by_its_own_name(function, argument):
    least = 1 if argument not in FROM_ZERO or (function, argument) == (params_for_flops, "tokens") else 0
    assert function(**ACCEPTED[function] | ({argument: 0} if least == 0 else {})) is not None
    for bad in (least - 1, 2.5):
        with pytest.raises(ValueError) as refused:
            function(**ACCEPTED[function] | {argument: bad})
        assert str(refused.value) == f"{argument} is a whole number from {least} up, but is {bad}."


def test_an_epoch_without_steps_has_no_where():
    assert steps_per_epoch(3, 5, drop_last=True) == 0
    for function in (
        lambda: where_am_i(0, 3, 5, True),
        lambda: examples_seen(0, 3, 5, True),
        lambda: steps_for_examples(1, 3, 5, True),
    ):
        with pytest.raises(ValueError, match="no full batch of 5.* drops the rest: make .* or keep the last batch.$"):
            function()


@pytest.mark.parametrize(("epoch", "step"), [(-1, 0), (0, -1), (0.5, 0)])
def test_places_before_the_start_are_refused(epoch, step):
    with pytest.raises(ValueError, match="whole number from 0 up"):
        step_at(epoch, step, 12, 3)


def test_a_step_that_an_epoch_does_not_have_is_refused():
    with pytest.raises(ValueError, match="4 steps, numbered 0 to 3: there is no step 4"):
        step_at(1, 4, 12, 3)


# ---------------------------------------------------------------- the module itself


def test_the_examples_in_the_docstrings_are_true():
    assert doctest.testmod(gdlab.counting).failed == 0


def test_importing_it_brings_neither_torch_nor_matplotlib():
    code = (
        "import sys, gdlab.counting; print(sorted({'torch', 'matplotlib', 'ipywidgets', 'numpy'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
