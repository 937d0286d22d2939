"""Measuring: `gdlab bench torch` times one AdamW step of `gdlab.torch` against torch's own, on tensors as models have them.

Every case times our optimizer and torch's four (a loop, foreach, fused, compiled) side by side: in each round every
variant takes its turn, on the same parameters and gradients. The floor is the time in which this machine copies as
many bytes as an AdamW step must move, 28 a parameter; a step in place can beat it, because a copy also fetches the
memory it overwrites. A first step in an empty compiler cache is timed as well: it includes compiling.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch._dynamo
from torch._inductor.utils import fresh_cache

from gdlab import rules
from gdlab.bench.machine import this_machine
from gdlab.bench.table import write_files
from gdlab.torch.optim import RuleOptimizer

LR, WEIGHT_DECAY = 1e-3, 1e-2
BYTES_A_PARAMETER = 4 * 7  # float32: θ, g, m, v are read, θ, m, v are written
LEAST_SECONDS = 0.02  # a turn takes as many steps as fill this
OURS, FUSED, FOREACH = "gdlab.torch", "torch.optim, fused", "torch.optim, foreach"
Shapes = Sequence[tuple[int, ...]]


def gpt2_shapes(width: int = 768, layers: int = 12, context: int = 1024, vocabulary: int = 50_257) -> list:
    """The shapes of GPT-2's parameters (Radford et al. 2019), whose output layer is its embedding.

    >>> shapes = gpt2_shapes()
    >>> len(shapes), sum(torch.Size(shape).numel() for shape in shapes)
    (148, 124439808)
    """
    vector, wide = (width,), 4 * width
    attention = [vector, vector, (width, 3 * width), (3 * width,), (width, width), vector]
    feed_forward = [vector, vector, (width, wide), (wide,), (wide, width), vector]
    return [(vocabulary, width), (context, width), *(layers * (attention + feed_forward)), vector, vector]


CASES = {
    "GPT-2, 124 M": gpt2_shapes(),
    "one tensor of 50 M": [(50_000_000,)],
    "200 vectors of 768": [(768,)] * 200,
}
GPU_CASES = CASES | {"GPT-2 XL, 1.5 B": gpt2_shapes(width=1600, layers=48)}


@dataclass(frozen=True)
class Row:
    """One variant: the median of its rounds, how many times as fast as others it is, and its first step.

    `times_fused` and `times_foreach` are medians of the ratios within each round, so that a slow moment, which hits
    a whole round, does not count. `of_floor` is floor/time, so 1 is as fast as copying. `gigabytes` is what a step
    on a GPU needs for the moment, at its peak (None elsewhere).
    """

    variant: str
    milliseconds: float
    times_fused: float
    times_foreach: float
    of_floor: float
    first_step_seconds: float
    gigabytes: float | None


@dataclass(frozen=True)
class Case:
    """One set of tensors."""

    name: str
    tensors: int
    parameters: int
    copy_gigabytes_a_second: float
    floor_milliseconds: float
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """What was measured, where, and when."""

    title: str
    device: str
    rounds: int
    cases: tuple[Case, ...]
    machine: dict[str, str]
    note: str


def bench_torch(
    rounds: int = 15,
    device: str | None = None,
    cases: dict[str, Shapes] | None = None,
    torch_compiles_up_to: int = 10,
) -> Iterator[tuple[int, int] | Table]:
    """Time one AdamW step on every case.

    Args:
        rounds: how often each variant takes its turn.
        device: where; the GPU if there is one.
        cases: name -> shapes; those of this module when left out, the largest only on a GPU.
        torch_compiles_up_to: of how many tensors torch's own step is compiled, too; hundreds take it many minutes.

    Yields:
        (rounds done, rounds in all) after each round, for a progress bar, and at last the `Table`.
    """
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    cases = cases or (CASES if where.type == "cpu" else GPU_CASES)
    rule, measured = rules.adamw(weight_decay=WEIGHT_DECAY), []  # a new rule, which no one has compiled yet
    for number, (name, shapes) in enumerate(cases.items()):
        for news in _measure(
            variants(shapes, where, rule, len(shapes) <= torch_compiles_up_to), name, shapes, rounds, where
        ):
            if isinstance(news, Case):
                measured.append(news)
            else:
                yield number * rounds + news, len(cases) * rounds
    yield Table(
        "One AdamW step in torch",
        where.type,
        rounds,
        tuple(measured),
        _machine(where),
        _note(where, os.getloadavg()[0]),
    )


def write_table(table: Table, folder: Path) -> Path:
    """Write a table as Markdown and JSON, the processor's as torch, a GPU's beside it; returns the Markdown file."""
    lines = [
        f"# {table.title}",
        "",
        f"Made by `gdlab bench torch`: float32, median of {table.rounds} rounds in which the variants take turns on the same tensors.",
        "The floor is the time in which this machine copies the 28 bytes a parameter that any AdamW step reads and writes;",
        "a step in place can beat it, because a copy also fetches the memory it overwrites. The ratios are medians",
        "of the ratios within each round. The first step of a compiled variant includes compiling, with an empty cache;",
        "gdlab.torch compiles one kernel for tensors of every length, in the first case. torch.optim, compiled stands only",
        "where there are few tensors: it makes a kernel of all of them together, which for hundreds takes many minutes.",
    ]
    for case in table.cases:
        memory = any(row.gigabytes is not None for row in case.rows)
        lines += [
            "",
            f"## {case.name}",
            "",
            f"{case.tensors:,} tensors, {case.parameters:,} parameters. Copying: {case.copy_gigabytes_a_second:.1f} GB/s, "
            f"so the floor is {case.floor_milliseconds:.3g} ms.",
            "",
            "| variant | ms | times as fast as fused | as foreach | of the floor | first step, s |"
            + (" peak, GB |" if memory else ""),
            "|---|---:|---:|---:|---:|---:|" + ("---:|" if memory else ""),
            *(_line(row, memory) for row in case.rows),
        ]
    name = "torch" if table.device == "cpu" else f"torch.{table.device}"
    return write_files(folder, name, asdict(table), [*lines, *(["", table.note] if table.note else [])])


def _line(row: Row, memory: bool) -> str:
    cells = [
        row.variant,
        f"{row.milliseconds:.3g}",
        f"{row.times_fused:.2f}",
        f"{row.times_foreach:.2f}",
        f"{row.of_floor:.2f}",
        f"{row.first_step_seconds:.1f}",
        *([f"{row.gigabytes:.2f}"] if memory and row.gigabytes is not None else []),
    ]
    return f"| {' | '.join(cells)} |"


def _note(device: torch.device, load: float) -> str:
    busy = (
        "The machine was busy with other work: times are longer than they would be, and only ratios count. "
        if load > os.cpu_count()
        else ""
    )
    if device.type != "cpu":
        return busy
    return busy + (
        "These figures are a processor's. **Figures of a GPU are still missing**: `gdlab bench torch` on a machine with "
        "one measures them and writes them beside these."
    )


def _machine(device: torch.device) -> dict[str, str]:
    gpu = {"GPU": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores in the last minute"
    return this_machine(**gpu, threads=str(torch.get_num_threads()), load=load, torch=torch.__version__)


def variants(shapes: Shapes, device: torch.device, rule: rules.Rule, torch_compiled: bool) -> dict[str, Callable]:
    """What is compared, a step a call, all on one set of parameters and gradients."""
    rng = torch.Generator(device).manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=rng, device=device)) for shape in shapes]
    for parameter in params:
        parameter.grad = torch.randn(parameter.shape, generator=rng, device=device)

    def torchs(**how) -> Callable[[], None]:
        return torch.optim.AdamW(params, lr=LR, weight_decay=WEIGHT_DECAY, **how).step

    return {
        OURS: RuleOptimizer(params, rule, LR).step,
        FUSED: torchs(fused=True),
        FOREACH: torchs(foreach=True),
        "torch.optim, a loop": torchs(foreach=False),
        **({"torch.optim, compiled": torch.compile(torchs(foreach=True))} if torch_compiled else {}),
    }


def _measure(steps: dict, name: str, shapes: Shapes, rounds: int, device: torch.device) -> Iterator[int | Case]:
    first, peaks = {}, {}
    with fresh_cache():
        for variant, step in steps.items():
            first[variant] = _seconds(step, device)
            peaks[variant] = _peak(step, device)
    parameters = sum(torch.Size(shape).numel() for shape in shapes)
    source = torch.ones(parameters, device=device)
    target = torch.empty_like(source)
    turns = steps | {"copy": lambda: target.copy_(source)}
    repeats = {variant: _repeats(step, device) for variant, step in turns.items()}
    seconds: dict[str, list[float]] = {variant: [] for variant in turns}
    for done in range(1, rounds + 1):
        for variant, step in turns.items():
            seconds[variant].append(_seconds(step, device, repeats[variant]))
        yield done
    medians = {variant: statistics.median(values) for variant, values in seconds.items()}

    def times(other: str, variant: str) -> float:
        return statistics.median(a / b for a, b in zip(seconds[other], seconds[variant], strict=True))

    bandwidth = 2 * 4 * parameters / medians.pop("copy")  # a copy reads and writes
    floor = BYTES_A_PARAMETER * parameters / bandwidth
    rows = tuple(
        Row(variant, 1e3 * s, times(FUSED, variant), times(FOREACH, variant), floor / s, first[variant], peaks[variant])
        for variant, s in sorted(medians.items(), key=lambda item: item[1])
    )
    yield Case(name, len(shapes), parameters, bandwidth / 1e9, 1e3 * floor, rows)


def _seconds(step: Callable[[], None], device: torch.device, repeats: int = 1) -> float:
    _wait(device)
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    _wait(device)
    return (time.perf_counter() - start) / repeats


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _repeats(step: Callable[[], None], device: torch.device) -> int:
    """How many steps make a turn long enough for the clock, after one that warms the caches."""
    step()
    return max(1, min(100, int(LEAST_SECONDS / _seconds(step, device))))


def _peak(step: Callable[[], None], device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step()
    return (torch.cuda.max_memory_allocated(device) - before) / 1e9
