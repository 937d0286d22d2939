"""steps_for_tokens(tokens, batch_size, seq_len, accumulation=1, devices=1) -> int: the fewest that read so many."""

import math

import numpy as np

from gdlab.counting import steps_for_tokens, tokens_per_step
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part


def _cases(rng):
    def case(part, rest, *, several: bool, most_steps: int = 900):
        """`rest`: tokens per step -> how many tokens are left after the last full step."""
        accumulation, devices = (int(k) for k in rng.choice([2, 3, 5, 7], 2, replace=False)) if several else (1, 1)
        # A multiple of both, so that a wrong division is exact and looks the same in every formula.
        batch_size, seq_len = int(rng.integers(4, 30)), int(rng.integers(8, 30)) * accumulation * devices
        per_step = batch_size * seq_len * accumulation * devices
        tokens = int(rng.integers(most_steps // 3, most_steps)) * per_step + rest(per_step)
        return Case(
            part,
            {
                "tokens": tokens,
                "batch_size": batch_size,
                "seq_len": seq_len,
                "accumulation": accumulation,
                "devices": devices,
            },
        )

    def fits(per_step):
        return 0

    def one_left(per_step):
        return 1

    def less_than_half(per_step):
        return int(0.4 * per_step)

    def one_short(per_step):
        return -1

    return [
        case("one", fits, several=False),
        case("one", one_left, several=False),
        case("one", one_short, several=False),
        case("fits", fits, several=True),
        case("fits", fits, several=True),
        case("rest", one_left, several=True),
        case("rest", less_than_half, several=True),
        case("rest", one_short, several=True),
    ]


def _up(amount, unit):
    return -(-amount // unit)


def _remainder_test(tokens, batch_size, seq_len, accumulation, devices):
    per_step = batch_size * seq_len * accumulation * devices
    steps = tokens // per_step
    if tokens % per_step > 0:
        steps += 1
    return steps


def _search(tokens, *factors):
    steps = 0
    while steps * math.prod(factors) < tokens:
        steps += 1
    return steps


def _add_and_floor(tokens, batch_size, seq_len, accumulation, devices):
    per_step = batch_size * seq_len * accumulation * devices
    return (tokens + per_step - 1) // per_step


def _halving(tokens, *factors):
    low, high = 0, tokens
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if middle * math.prod(factors) >= tokens else (middle + 1, high)
    return low


EXERCISE = Exercise(
    name="steps_for_tokens",
    version=1,
    reference=steps_for_tokens,
    cases=_cases,
    parts=(
        Part("one", "one device, no accumulation", 1),
        Part("fits", "several of both, and the steps fit exactly", 1),
        Part("rest", "several of both, and some tokens are left over", 1),
    ),
    mistakes=(
        Mistake(
            "rounds-down",
            lambda tokens, *factors: tokens // tokens_per_step(*factors),
            "You stop just short of the goal: the tokens left over need a step too.",
        ),
        Mistake(
            "rounds",
            lambda tokens, *factors: round(tokens / tokens_per_step(*factors)),
            "You round to the nearest, but the goal must be reached: even less than half a step is still needed.",
        ),
        Mistake(
            "one-more-even-if-exact",
            lambda tokens, *factors: tokens // tokens_per_step(*factors) + 1,
            "When it fits exactly you pay for one step too many.",
        ),
        Mistake(
            "fraction",
            lambda tokens, *factors: tokens / tokens_per_step(*factors),
            "Steps come whole; yours end in the middle of one.",
        ),
        Mistake(
            "forgets-accumulation",
            lambda tokens, b, seq_len, accumulation, devices: _up(tokens, b * seq_len * devices),
            "One update reads several micro-batches, so fewer updates are enough.",
        ),
        Mistake(
            "forgets-devices",
            lambda tokens, b, seq_len, accumulation, devices: _up(tokens, b * seq_len * accumulation),
            "All devices read at once, so fewer updates are enough.",
        ),
        Mistake(
            "multiplies-accumulation",
            lambda tokens, b, seq_len, accumulation, devices: _up(tokens * accumulation, b * seq_len * devices),
            "More accumulation makes larger updates, so there should be fewer of them; yours become more.",
        ),
        Mistake(
            "counts-sequences",
            lambda tokens, b, seq_len, accumulation, devices: _up(tokens, b * accumulation * devices),
            "An update reads sequences, and each of them has seq_len tokens.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative("math.ceil", lambda tokens, *factors: math.ceil(tokens / math.prod(factors))),
        Alternative("add and floor", _add_and_floor),
        Alternative("remainder test", _remainder_test),
        Alternative("search", _search),
        Alternative("halving an interval", _halving),
        Alternative("numpy float", lambda tokens, *factors: np.ceil(tokens / np.prod(factors))),
    ),
    notice="Notice the direction: a goal that must be reached is rounded up, a budget that must not be exceeded is rounded down.",
    tolerance=0,
)
