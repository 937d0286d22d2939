"""total_tokens(steps, batch_size, seq_len, accumulation=1, devices=1) -> int: what so many updates read."""

import math

import numpy as np

from gdlab.counting import total_tokens
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part


def _cases(rng):
    def case(part, steps, batch_size, accumulation=1, devices=1):
        # Steps are a multiple of both, so that a wrong division leaves no rest to round.
        return Case(
            part,
            {
                "steps": steps * accumulation * devices,
                "batch_size": batch_size,
                "seq_len": int(rng.integers(100, 1000)),
                "accumulation": accumulation,
                "devices": devices,
            },
        )

    def factors():
        accumulation, devices = rng.choice([2, 3, 5], 2, replace=False)
        return {"accumulation": int(accumulation), "devices": int(devices)}

    return [
        case("one", int(rng.integers(12, 50)), int(rng.integers(52, 90))),
        case("one", int(rng.integers(12, 50)), int(rng.integers(52, 90))),
        case("many", int(rng.integers(12, 50)), int(rng.integers(13, 40)), **factors()),
        case("many", int(rng.integers(12, 50)), int(rng.integers(13, 40)), **factors()),
        case("large", int(rng.integers(100_000, 200_000)), int(rng.integers(250, 500)), **factors()),
    ]


def _micro_batch_by_micro_batch(steps, batch_size, seq_len, accumulation, devices):
    tokens = 0
    for _ in range(devices):
        for _ in range(accumulation):
            tokens += steps * batch_size * seq_len
    return tokens


def _in_int64(steps, batch_size, seq_len, accumulation, devices):
    return np.prod([steps, batch_size, seq_len, accumulation, devices], dtype=np.int64)


def _through_the_global_batch(steps, batch_size, seq_len, accumulation, devices):
    global_batch = batch_size * accumulation * devices
    per_step = global_batch * seq_len
    return per_step * steps


def _in_torch(*factors):
    import torch

    return torch.tensor(factors).prod()


def _wrapped_to_32_bits(*inputs):
    return (total_tokens(*inputs) + 2**31) % 2**32 - 2**31


EXERCISE = Exercise(
    name="total_tokens",
    version=1,
    reference=total_tokens,
    cases=_cases,
    parts=(
        Part("one", "one device, no accumulation", 1),
        Part("many", "several devices and micro-batches", 1),
        Part("large", "more tokens than 32 bits can count", 1),
    ),
    mistakes=(
        Mistake(
            "forgets-accumulation",
            lambda steps, b, seq_len, accumulation, devices: steps * b * seq_len * devices,
            "Each update reads several micro-batches, one after the other; yours reads one.",
        ),
        Mistake(
            "forgets-devices",
            lambda steps, b, seq_len, accumulation, devices: steps * b * seq_len * accumulation,
            "All devices read at once, each its own sequences; you count one device's.",
        ),
        Mistake(
            "forgets-both",
            lambda steps, b, seq_len, accumulation, devices: steps * b * seq_len,
            "batch_size is what one device reads in one micro-batch; an update has more of both.",
        ),
        Mistake(
            "counts-sequences",
            lambda steps, b, seq_len, accumulation, devices: steps * b * accumulation * devices,
            "Those are sequences. How many tokens has each?",
        ),
        Mistake(
            "divides-by-accumulation",
            lambda steps, b, seq_len, accumulation, devices: steps * b * seq_len * devices / accumulation,
            "Accumulating adds micro-batches to an update; it does not split one up. batch_size is the micro-batch here.",
        ),
        Mistake(
            "divides-by-devices",
            lambda steps, b, seq_len, accumulation, devices: steps * b * seq_len * accumulation / devices,
            "Some programs split one batch among the devices. Here batch_size is what each of them reads.",
        ),
        Mistake(
            "one-step-only",
            lambda steps, *rest: total_tokens(1, *rest),
            "That is what a single update reads. How many updates are there?",
        ),
        Mistake(
            "targets-only",
            lambda steps, b, seq_len, accumulation, devices: steps * b * (seq_len - 1) * accumulation * devices,
            "seq_len − 1 counts the tokens that are predicted, as some papers do; here every token that is read counts.",
        ),
        Mistake(
            "32-bit",
            _wrapped_to_32_bits,
            "Beyond 2³¹ your number wraps round: an integer of 32 bits overflowed. Python's own integers do not.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative("math.prod", lambda *factors: math.prod(factors)),
        Alternative("repeated sum", _micro_batch_by_micro_batch),
        Alternative("int64", _in_int64),
        Alternative("through the global batch", _through_the_global_batch),
        Alternative("torch tensor", _in_torch),
        Alternative("float", lambda *factors: float(math.prod(factors))),
    ),
    notice="Notice that all five factors weigh the same: twice the devices or twice the accumulation is twice the tokens.",
    tolerance=0,
)
