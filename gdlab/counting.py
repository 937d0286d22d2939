"""Counting: epochs, steps, examples, tokens and compute are one quantity in different units.

    steps per epoch = n / B, rounded up, or down with drop_last
    tokens          = steps · batch · accumulation · devices · sequence length
    compute (FLOPs) = 6 · parameters · tokens                     (Kaplan et al. 2020, arXiv 2001.08361)

All of it is integer arithmetic, exact however large the numbers. Two conventions hold throughout:
`step` and `epoch` count from 0, so "step 500" means that 500 updates were made before it; and where
a division leaves a rest, *what must be reached is rounded up* (steps for so many tokens) and *what a
budget pays for is rounded down* (tokens for so much compute).
"""

import math
from fractions import Fraction

# ---------------------------------------------------------------- steps and epochs


def steps_per_epoch(n_examples: int, batch_size: int, drop_last: bool = False) -> int:
    """How many updates one pass over the data makes: ⌈n/B⌉, or ⌊n/B⌋ if the short last batch is dropped.

    Args:
        n_examples: n, examples in the data set.
        batch_size: B, examples behind one update (accumulation and devices counted in: `global_batch_size`).
        drop_last: leave out a last batch that is shorter than B.

    Raises:
        ValueError: if n or B is not a whole number from 1 up, here and in every function below.

    >>> steps_per_epoch(50_001, 100), steps_per_epoch(50_001, 100, drop_last=True)
    (501, 500)
    """
    n_examples, batch_size = _whole("n_examples", n_examples), _whole("batch_size", batch_size)
    return n_examples // batch_size if drop_last else _round_up(n_examples, batch_size)


def where_am_i(step: int, n_examples: int, batch_size: int, drop_last: bool = False) -> tuple[int, int]:
    """Which epoch a step lies in, and which step of that epoch it is, both from 0.

    Raises:
        ValueError: if `step` is negative, or an epoch has no step at all (`drop_last` with B > n).

    >>> where_am_i(1002, 50_001, 100)
    (2, 0)
    """
    return divmod(_whole("step", step, least=0), _some_steps_per_epoch(n_examples, batch_size, drop_last))


def step_at(epoch: int, step_in_epoch: int, n_examples: int, batch_size: int, drop_last: bool = False) -> int:
    """The step that `where_am_i` says this of: epoch · steps per epoch + step in epoch.

    With `step_in_epoch=0` it is how many steps `epoch` whole epochs take.

    Raises:
        ValueError: if an epoch has not that many steps.

    >>> step_at(2, 0, 50_001, 100)
    1002
    """
    per_epoch = _some_steps_per_epoch(n_examples, batch_size, drop_last)
    epoch, step_in_epoch = _whole("epoch", epoch, least=0), _whole("step_in_epoch", step_in_epoch, least=0)
    if step_in_epoch >= per_epoch:
        raise ValueError(
            f"An epoch has {per_epoch} steps, numbered 0 to {per_epoch - 1}: there is no step {step_in_epoch} in it."
        )
    return epoch * per_epoch + step_in_epoch


# ---------------------------------------------------------------- examples


def examples_seen(step: int, n_examples: int, batch_size: int, drop_last: bool = False) -> int:
    """How many examples the updates before this step looked at; a second look counts again.

    Whole epochs count n examples each (n less n mod B with `drop_last`), the epoch begun counts B a
    step: all its batches but the last are full.

    >>> examples_seen(501, 50_001, 100), examples_seen(502, 50_001, 100)
    (50001, 50101)
    """
    epoch, step_in_epoch = where_am_i(step, n_examples, batch_size, drop_last)
    return epoch * _examples_per_epoch(n_examples, batch_size, drop_last) + step_in_epoch * _whole(
        "batch_size", batch_size
    )


def steps_for_examples(examples: int, n_examples: int, batch_size: int, drop_last: bool = False) -> int:
    """The fewest updates that look at `examples` examples or more: rounded up, the inverse of `examples_seen`.

    >>> steps_for_examples(50_001, 50_001, 100), steps_for_examples(50_002, 50_001, 100)
    (501, 502)
    """
    per_epoch = _some_steps_per_epoch(n_examples, batch_size, drop_last)
    epochs, rest = divmod(_whole("examples", examples, least=0), _examples_per_epoch(n_examples, batch_size, drop_last))
    return epochs * per_epoch + _round_up(rest, _whole("batch_size", batch_size))


def epochs_seen(step: int, n_examples: int, batch_size: int, drop_last: bool = False) -> Fraction:
    """How often the updates before this step went through the data: examples seen / n, an exact fraction.

    With `drop_last` a pass is still n examples long, so a whole epoch counts a little less than 1.

    >>> float(epochs_seen(100_000, 1_000_000_000, 1000)), epochs_seen(334, 1000, 3)
    (0.1, Fraction(1, 1))
    """
    return Fraction(examples_seen(step, n_examples, batch_size, drop_last), _whole("n_examples", n_examples))


def steps_for_epochs(epochs, n_examples: int, batch_size: int, drop_last: bool = False) -> int:
    """The fewest updates after which `epochs_seen` is `epochs` or more: rounded up.

    Args:
        epochs: a whole number, a `Fraction`, or a float taken as exactly what it holds (0.1 is a hair more than 1/10).

    Raises:
        ValueError: if `epochs` is negative or not finite.

    >>> steps_for_epochs(Fraction(5, 2), 1000, 128), steps_for_epochs(3, 1000, 128)
    (20, 24)
    """
    if not (math.isfinite(epochs) and epochs >= 0):
        raise ValueError(f"epochs says how often to go through the data, from 0 up, but is {epochs!r}.")
    examples = math.ceil(Fraction(epochs) * _whole("n_examples", n_examples))
    return steps_for_examples(examples, n_examples, batch_size, drop_last)


# ---------------------------------------------------------------- batches


def global_batch_size(micro_batch: int, accumulation: int = 1, devices: int = 1) -> int:
    """Examples behind one update: micro-batch · accumulation · devices.

    Args:
        micro_batch: examples one device looks at together.
        accumulation: micro-batches whose gradients are added up before an update.
        devices: how many hold a copy of the model and their own share of the batch.

    >>> global_batch_size(16, accumulation=4, devices=64)
    4096
    """
    return _whole("micro_batch", micro_batch) * _whole("accumulation", accumulation) * _whole("devices", devices)


def accumulation_steps(global_batch: int, micro_batch: int, devices: int = 1) -> int:
    """How many micro-batches each device adds up to reach the global batch: G / (m · devices), never rounded.

    Raises:
        ValueError: if it does not divide: any rounding would silently change the batch.

    >>> accumulation_steps(4096, 256), accumulation_steps(4096, 16, devices=64)
    (16, 4)
    """
    at_once = global_batch_size(micro_batch, devices=devices)
    steps, rest = divmod(_whole("global_batch", global_batch), at_once)
    if rest:
        raise ValueError(
            f"{devices} device(s) with {micro_batch} examples each take {at_once} at once, and {global_batch} is no "
            "multiple of that: change the global batch, the micro-batch or the devices."
        )
    return steps


# ---------------------------------------------------------------- tokens and compute


def tokens_per_step(batch_size: int, seq_len: int, accumulation: int = 1, devices: int = 1) -> int:
    """Tokens behind one update; arguments as in `total_tokens`.

    >>> tokens_per_step(4, 4096, accumulation=8, devices=32)
    4194304
    """
    return global_batch_size(_whole("batch_size", batch_size), accumulation, devices) * _whole("seq_len", seq_len)


def total_tokens(steps: int, batch_size: int, seq_len: int, accumulation: int = 1, devices: int = 1) -> int:
    """Tokens that so many updates read: steps · batch · sequence length · accumulation · devices.

    Args:
        steps: updates, 0 or more.
        batch_size: sequences per device and micro-batch.
        seq_len: tokens in a sequence.
        accumulation, devices: as in `global_batch_size`.

    >>> total_tokens(93_750, 50, 2048, accumulation=1, devices=32)
    307200000000
    """
    return _whole("steps", steps, least=0) * tokens_per_step(batch_size, seq_len, accumulation, devices)


def steps_for_tokens(tokens: int, batch_size: int, seq_len: int, accumulation: int = 1, devices: int = 1) -> int:
    """The fewest updates that read `tokens` tokens or more: rounded up, the inverse of `total_tokens`.

    >>> steps_for_tokens(2_000_000_000_000, 1000, 4000), steps_for_tokens(4_000_001, 1000, 4000)
    (500000, 2)
    """
    return _round_up(_whole("tokens", tokens, least=0), tokens_per_step(batch_size, seq_len, accumulation, devices))


def tokens_for_examples(examples: int, seq_len: int) -> int:
    """Tokens in so many sequences of full length.

    >>> tokens_for_examples(1024, 4096)
    4194304
    """
    return _whole("examples", examples, least=0) * _whole("seq_len", seq_len)


def examples_for_tokens(tokens: int, seq_len: int) -> int:
    """The fewest sequences that hold `tokens` tokens or more: rounded up.

    >>> examples_for_tokens(4_000_000, 4096)
    977
    """
    return _round_up(_whole("tokens", tokens, least=0), _whole("seq_len", seq_len))


def training_flops(n_params: int, tokens: int) -> int:
    """Compute of a training run, in floating-point operations: 6·N·D.

    Each token costs 2 operations a parameter forward (a multiplication and an addition) and 4
    backward. Attention over the sequence is left out: for large models it adds a few per cent.

    Args:
        n_params: N, the parameters that take part in every token.
        tokens: D, the tokens read; a token read twice counts twice.

    Source: Kaplan et al. 2020, section 2.1.

    >>> training_flops(174_600_000_000, 300_000_000_000) / 1e23
    3.1428
    """
    return FLOPS_PER_PARAMETER_AND_TOKEN * _whole("n_params", n_params) * _whole("tokens", tokens, least=0)


FLOPS_PER_PARAMETER_AND_TOKEN = 6
"""2 forward and 4 backward."""


def tokens_for_flops(flops: int, n_params: int) -> int:
    """The most tokens that so much compute pays for: C / 6N, rounded down.

    >>> tokens_for_flops(10**23, 7_000_000_000)
    2380952380952
    """
    return _whole("flops", flops, least=0) // (FLOPS_PER_PARAMETER_AND_TOKEN * _whole("n_params", n_params))


def params_for_flops(flops: int, tokens: int) -> int:
    """The largest model that so much compute trains on so many tokens: C / 6D, rounded down.

    >>> params_for_flops(10**23, 2_380_952_380_952)
    7000000000
    """
    return _whole("flops", flops, least=0) // (FLOPS_PER_PARAMETER_AND_TOKEN * _whole("tokens", tokens))


# ---------------------------------------------------------------- exact arithmetic


def _examples_per_epoch(n_examples, batch_size, drop_last) -> int:
    n_examples, batch_size = _whole("n_examples", n_examples), _whole("batch_size", batch_size)
    return n_examples - n_examples % batch_size if drop_last else n_examples


def _some_steps_per_epoch(n_examples, batch_size, drop_last) -> int:
    per_epoch = steps_per_epoch(n_examples, batch_size, drop_last)
    if per_epoch == 0:
        raise ValueError(
            f"An epoch of {n_examples} examples has no full batch of {batch_size}, and drop_last drops the rest: "
            "make batch_size smaller or keep the last batch."
        )
    return per_epoch


def _round_up(amount: int, unit: int) -> int:
    return -(-amount // unit)


def _whole(name: str, value, least: int = 1) -> int:
    """`value` as a Python integer, which never overflows. A float counts as what it holds: 300e9 is whole, 2.5 is not."""
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or number != value or number < least:
        raise ValueError(f"{name} is a whole number from {least} up, but is {value!r}.")
    return number
