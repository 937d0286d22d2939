"""Measuring: training steps by `gdlab.torch.loop.train`, beside the loops that people write by hand.

A small model spends its time on launching kernels; there the question is how much faster `train` is than the loop that
comes to mind first, with torch's own optimizer. On a GPT the question is what `train` itself costs: the loop by hand
has the same optimizer, schedule and clipping, and only the halt at a bad number and the record are missing from it.

Each turn is a run of many steps, with everything that a run takes (capturing a CUDA graph included). The first loop's
time over another's, both of one round, says how many times as fast the other is.
"""

import statistics
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from gdlab import rules
from gdlab.bench.torch_device import seconds_of
from gdlab.schedules import warmup_cosine
from gdlab.torch.data import DeviceBatches, Prefetch, TokenBatches
from gdlab.torch.loop import train
from gdlab.torch.models import GPT, class_loss, mlp, next_token_loss
from gdlab.torch.optim import RuleOptimizer

LR, MAX_NORM = 1e-3, 1.0
BY_HAND, OURS, CAPTURED = "a loop by hand", "gdlab.torch.loop.train", "gdlab.torch.loop.train, captured"


@dataclass(frozen=True)
class Setting:
    """What is trained: `loops` are the variants by name, the one by hand first, `steps` steps a call."""

    name: str
    text: str
    parameters: int
    steps: int
    loops: dict[str, Callable[[], None]]


@dataclass(frozen=True)
class Pace:
    """One loop: the median of its rounds, and how many times as fast as the one by hand it is."""

    variant: str
    milliseconds: float
    times_by_hand: float


@dataclass(frozen=True)
class Training:
    """The loops of one setting."""

    name: str
    text: str
    parameters: int
    steps: int
    paces: tuple[Pace, ...]


def settings(device: torch.device) -> list[Callable[[], Setting]]:
    """What `gdlab bench torch` trains, each made when its turn comes."""
    if device.type == "cpu":
        return [partial(perceptron, device), partial(gpt, device)]
    sizes = {"context": 256, "width": 384, "layers": 6, "heads": 6}
    return [partial(perceptron, device, steps=1000), partial(gpt, device, batch_size=64, **sizes)]


def perceptron(device: torch.device, steps: int = 200, hidden: int = 128) -> Setting:
    """A small perceptron on images of 64 pixels, against the loop that one writes first."""
    rng = torch.Generator().manual_seed(0)
    images, digits = torch.randn(2048, 64, generator=rng), torch.randint(10, (2048,), generator=rng)
    data = [images.to(device), digits.to(device)]

    def start() -> tuple[torch.nn.Module, DeviceBatches]:
        torch.manual_seed(0)
        model = mlp([64, hidden, hidden, 10]).to(device)
        return model, DeviceBatches(data, batch_size=128, seed=0)

    model, batches = start()
    loops = {BY_HAND: partial(_first_loop, model, batches, torch.optim.AdamW(model.parameters(), lr=LR), steps)}
    for name in (OURS, CAPTURED) if device.type == "cuda" else (OURS,):
        model, batches = start()
        optimizer = RuleOptimizer(model.parameters(), rules.adamw(), LR)
        loops[name] = partial(train, model, class_loss, batches, optimizer, steps, captured=name == CAPTURED)
    text = f"64, {hidden}, {hidden} and 10 numbers wide, 128 images a step. By hand: torch.optim.AdamW, nothing else."
    return Setting("A small perceptron", text, _count(model), steps, loops)


def _first_loop(model, batches, optimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        class_loss(model, next(batches)).backward()
        optimizer.step()


def gpt(device: torch.device, steps: int = 20, batch_size: int = 8, context: int = 64, **sizes) -> Setting:
    """A small GPT, in bfloat16 on a GPU, against a loop by hand that does the same work."""
    tokens = np.random.default_rng(0).integers(256, size=100_000)
    schedule = partial(warmup_cosine, peak_lr=LR, warmup_steps=2, total_steps=steps)
    precision = torch.bfloat16 if device.type == "cuda" else None
    loops = {}
    for name, loop in ((BY_HAND, _careful_loop), (OURS, _train)):
        torch.manual_seed(0)
        model = GPT(vocabulary=256, context=context, **sizes).to(device)
        batches = Prefetch(TokenBatches(tokens, batch_size, context, np.random.default_rng(0)), device)
        optimizer = RuleOptimizer(model.parameters(), rules.adamw(), LR)
        loops[name] = partial(loop, model, batches, optimizer, steps, schedule, precision)
    text = (
        f"{len(model.blocks)} layers of width {model.tokens.weight.shape[1]}, {batch_size} × {context} tokens a step"
        + (", bfloat16" if precision else "")
        + ". By hand: the same optimizer, schedule and clipping."
    )
    return Setting("A small GPT", text, _count(model), steps, loops)


def _careful_loop(model, batches, optimizer, steps: int, schedule, precision) -> None:
    device, params = next(model.parameters()).device, list(model.parameters())
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = schedule(step)
        with nullcontext() if precision is None else torch.autocast(device.type, dtype=precision):
            loss = next_token_loss(model, next(batches))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, MAX_NORM)
        optimizer.step()
        optimizer.zero_grad()


def _train(model, batches, optimizer, steps: int, schedule, precision) -> None:
    how = {"schedule": schedule, "max_norm": MAX_NORM, "precision": precision}
    train(model, next_token_loss, batches, optimizer, steps, **how)


def _count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def measure(setting: Setting, rounds: int, device: torch.device) -> Iterator[int | Training]:
    """Time the loops of a setting by turns; yields how many rounds are done, and at last the `Training`."""
    for loop in setting.loops.values():  # compile, allocate
        loop()
    seconds: dict[str, list[float]] = {name: [] for name in setting.loops}
    for done in range(1, rounds + 1):
        order = list(setting.loops.items())
        for name, loop in order if done % 2 else reversed(order):
            seconds[name].append(seconds_of(loop, device) / setting.steps)
        yield done
    by_hand = seconds[BY_HAND]
    paces = tuple(
        Pace(name, 1e3 * statistics.median(s), statistics.median(a / b for a, b in zip(by_hand, s, strict=True)))
        for name, s in seconds.items()
    )
    yield Training(setting.name, setting.text, setting.parameters, setting.steps, paces)


def lines_of(training: Training) -> list[str]:
    """The table of one setting, as Markdown."""
    return [
        "",
        f"## Training: {training.name[0].lower()}{training.name[1:]}",
        "",
        f"{training.parameters:,} parameters, {training.text} {training.steps:,} steps a turn.",
        "",
        "| loop | ms a step | times as fast as by hand |",
        "|---|---:|---:|",
        *(f"| {pace.variant} | {pace.milliseconds:.3g} | {pace.times_by_hand:.3f} |" for pace in training.paces),
    ]
