"""Measuring: `gdlab bench torch` times one AdamW step of `gdlab.torch` against torch's own, on tensors as models have them.

Every case times our optimizer and torch's (a loop, foreach, fused and, where there are few tensors, compiled) side by
side: in each round every variant takes its turn, on the same parameters and gradients, in an order that changes. The floor is the time in which this machine copies as
many bytes as an AdamW step must move, 28 a parameter; a step in place can beat it, because a copy also fetches the
memory it overwrites. Compiling is timed with an empty cache and a rule that no one has compiled yet, apart from the
first step, which makes the state.

Memory is what parameters, gradients, state and a step need together, at their peak. Every variant is measured in a
process of its own, because a processor's memory is only seen as what the whole process holds. What is imported and
compiled before the parameters are made does not count.

Training steps are measured as well (`gdlab.bench.torch_training`).
"""

import json
import random
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch._dynamo
from torch._inductor.utils import fresh_cache

from gdlab import rules
from gdlab.bench.table import row_of, write_files
from gdlab.bench.torch_device import device_called, machine_of, note_on, seconds_of
from gdlab.bench.torch_training import Setting, Training, lines_of, measure, settings
from gdlab.torch.optim import LONG_ROW, RuleOptimizer, compiled_update

LR, WEIGHT_DECAY = 1e-3, 1e-2
BYTES_A_PARAMETER = 4 * 7  # float32: θ, g, m, v are read, θ, m, v are written
LEAST_SECONDS = 0.02  # a turn takes as many steps as fill this
COPIED = 250_000_000  # at most so many numbers are copied to measure the bandwidth
LARGE = 10_000_000  # from so many parameters on, what a process holds says what they take
OURS, FUSED, FOREACH = "gdlab.torch", "torch.optim, fused", "torch.optim, foreach"
LOOP, COMPILED = "torch.optim, a loop", "torch.optim, compiled"
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
    """One variant: the median of its rounds, how many times as fast as others it is, and what it takes besides.

    `times_fused` and `times_foreach` are medians of the ratios within each round, so that a slow moment, which hits
    a whole round, does not count. `of_floor` is floor/time, so 1 is as fast as copying. `compile_seconds` is None
    where nothing is compiled, and `gigabytes`, the peak of parameters, gradients, state and step, where it was not
    measured: of few parameters, and of torch's own compiled step.
    """

    variant: str
    milliseconds: float
    times_fused: float
    times_foreach: float
    of_floor: float
    compile_seconds: float | None
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
    """What was measured, where, and when; `compiler_seconds` is how long a process waits for its first kernel."""

    title: str
    device: str
    rounds: int
    cases: tuple[Case, ...]
    trainings: tuple[Training, ...]
    compiler_seconds: float
    machine: dict[str, str]
    note: str


def bench_torch(
    rounds: int = 30,
    device: str | None = None,
    cases: dict[str, Shapes] | None = None,
    torch_compiles_up_to: int = 10,
    trainings: Sequence[Callable[[], Setting]] | None = None,
) -> Iterator[tuple[int, int] | Table]:
    """Time one AdamW step on every case, and training steps.

    Args:
        rounds: how often each variant takes its turn.
        device: where; the GPU if there is one.
        cases: name -> shapes; those of this module when left out, the largest only on a GPU with room for it.
        torch_compiles_up_to: of how many tensors torch's own step is compiled, too; hundreds take it many minutes.
        trainings: what is trained; the settings of `gdlab.bench.torch_training` when left out.

    Yields:
        (rounds done, rounds in all) after each round, for a progress bar, and at last the `Table`.
    """
    where = device_called(device)
    cases = _that_fit(cases or (CASES if where.type == "cpu" else GPU_CASES), where)
    trainings = settings(where) if trainings is None else trainings
    with fresh_cache():
        compiler_seconds = _seconds_to_compile(rules.gradient_descent(), where)
    measured: dict[type, list] = {Case: [], Training: []}
    parts = [
        _measure(name, shapes, rounds, where, len(shapes) <= torch_compiles_up_to) for name, shapes in cases.items()
    ]
    parts += [measure_training(make, rounds, where) for make in trainings]
    for number, part in enumerate(parts):
        for news in part:
            if isinstance(news, int):
                yield number * rounds + news, len(parts) * rounds
            else:
                measured[type(news)].append(news)
    yield Table(
        "AdamW steps and training steps in torch",
        where.type,
        rounds,
        tuple(measured[Case]),
        tuple(measured[Training]),
        compiler_seconds,
        machine_of(where),
        note_on(where, "gdlab bench torch"),
    )


def _that_fit(cases: dict[str, Shapes], device: torch.device) -> dict[str, Shapes]:
    """The cases for which a GPU has room: parameters and gradients, four states, and what foreach needs in between."""
    if device.type != "cuda":
        return cases
    room = torch.cuda.get_device_properties(device).total_memory
    return {name: shapes for name, shapes in cases.items() if 4 * (2 + 4 * 2 + 2) * _numbers(shapes) < room}


def _numbers(shapes: Shapes) -> int:
    return sum(torch.Size(shape).numel() for shape in shapes)


def measure_training(make: Callable[[], Setting], rounds: int, device: torch.device) -> Iterator[int | Training]:
    yield from measure(make(), rounds, device)


def write_table(table: Table, folder: Path) -> Path:
    """Write a table as Markdown and JSON, the processor's as torch, a GPU's beside it; returns the Markdown file."""
    lines = [
        f"# {table.title}",
        "",
        f"Made by `gdlab bench torch`: float32, median of {table.rounds} rounds in which the variants take turns, in changing order, on the same tensors.",
        "The floor is the time in which this machine copies the 28 bytes a parameter that any AdamW step reads and writes;",
        "a step in place can beat it, because a copy also fetches the memory it overwrites. The ratios are medians",
        "of the ratios within each round. Compiling is timed with an empty cache, after the compiler itself was loaded:",
        f"with that, a process had its first kernel, of another rule, after {table.compiler_seconds:.0f} s. torch.optim, compiled",
        "stands only where there are few tensors: it makes a kernel of all of them together, which for hundreds takes",
        "many minutes. The peak is that of parameters, gradients, state and step together, each variant in a process of",
        f"its own, where there are {LARGE:,} parameters and more.",
    ]
    for case in table.cases:
        lines += [
            "",
            f"## {case.name}",
            "",
            f"{case.tensors:,} tensor{'s' * (case.tensors > 1)}, {case.parameters:,} parameters. Copying: {case.copy_gigabytes_a_second:.1f} GB/s, "
            f"so the floor is {case.floor_milliseconds:.3g} ms.",
            "",
            "| variant | ms | times as fast as fused | as foreach | of the floor | compiling, s | first step, s | peak, GB |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
            *map(_line, case.rows),
        ]
    for training in table.trainings:
        lines += lines_of(training)
    name = "torch" if table.device == "cpu" else f"torch.{table.device}"
    return write_files(folder, name, asdict(table), [*lines, *(["", table.note] if table.note else [])])


def _line(row: Row) -> str:
    return row_of(
        [
            row.variant,
            f"{row.milliseconds:.3g}",
            f"{row.times_fused:.2f}",
            f"{row.times_foreach:.2f}",
            f"{row.of_floor:.2f}",
            "" if row.compile_seconds is None else f"{row.compile_seconds:.1f}",
            f"{row.first_step_seconds:.2f}",
            "" if row.gigabytes is None else f"{row.gigabytes:.3f}",
        ]
    )


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
        LOOP: torchs(foreach=False),
        **({COMPILED: torch.compile(torchs(foreach=True))} if torch_compiled else {}),
    }


def _measure(
    name: str, shapes: Shapes, rounds: int, device: torch.device, torch_compiled: bool
) -> Iterator[int | Case]:
    parameters, rule = _numbers(shapes), rules.adamw(weight_decay=WEIGHT_DECAY)
    measured = (OURS, FUSED, FOREACH, LOOP) if parameters >= LARGE else ()
    peaks = {
        variant: peak_gigabytes(variant, shapes, device) for variant in measured
    }  # while this process holds nothing
    compiling, first = {}, {}
    with fresh_cache():
        compiling[OURS] = _seconds_to_compile(rule, device)
        steps = variants(shapes, device, rule, torch_compiled)
        for variant, step in steps.items():
            first[variant] = seconds_of(step, device)
        if torch_compiled:
            both, first[COMPILED] = first[COMPILED], seconds_of(steps[COMPILED], device)
            compiling[COMPILED] = both - first[COMPILED]
    source = torch.ones(min(parameters, COPIED), device=device)
    target = torch.empty_like(source)
    turns = steps | {"copy": lambda: target.copy_(source)}
    repeats = {variant: _repeats(step, device) for variant, step in turns.items()}
    seconds: dict[str, list[float]] = {variant: [] for variant in turns}
    for done in range(1, rounds + 1):
        # In another order each time: who comes after the copy, or after what fills the caches, is slowed by it.
        for variant, step in random.Random(done).sample(list(turns.items()), len(turns)):
            seconds[variant].append(seconds_of(step, device, repeats[variant]))
        yield done
    medians = {variant: statistics.median(values) for variant, values in seconds.items()}

    def times(other: str, variant: str) -> float:
        return statistics.median(a / b for a, b in zip(seconds[other], seconds[variant], strict=True))

    bandwidth = 2 * 4 * len(source) / medians.pop("copy")  # a copy reads and writes
    floor = BYTES_A_PARAMETER * parameters / bandwidth
    rows = tuple(
        Row(
            variant,
            1e3 * s,
            times(FUSED, variant),
            times(FOREACH, variant),
            floor / s,
            compiling.get(variant),
            first[variant],
            peaks.get(variant),
        )
        for variant, s in sorted(medians.items(), key=lambda item: item[1])
    )
    yield Case(name, len(shapes), parameters, bandwidth / 1e9, 1e3 * floor, rows)


def _seconds_to_compile(rule: rules.Rule, device: torch.device) -> float:
    return seconds_of(lambda: compiled_update(rule, torch.float32, device, False, LONG_ROW), device)


def _repeats(step: Callable[[], None], device: torch.device) -> int:
    """How many steps make a turn long enough for the clock, after one that warms the caches."""
    step()
    return max(1, min(100, int(LEAST_SECONDS / seconds_of(step, device))))


# ---------------------------------------------------------------- memory


def peak_gigabytes(variant: str, shapes: Shapes, device: torch.device) -> float | None:
    """The peak of parameters, gradients, state and three steps, in a new process; None where no one says it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif not STATUS.is_file():
        return None
    code = "import json, sys; from gdlab.bench.torch import own_peak; print(own_peak(*json.loads(sys.argv[1])))"
    asked = json.dumps([variant, list(shapes), str(device)])
    done = subprocess.run([sys.executable, "-c", code, asked], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout) / 1e9


STATUS = Path("/proc/self/status")
"""Where Linux says what a process holds."""


def own_peak(variant: str, shapes: list, device: str) -> int:
    """The bytes that parameters, gradients, state and three steps take at their peak; for a process of its own."""
    where, rule = torch.device(device), rules.adamw(weight_decay=WEIGHT_DECAY)
    for step in (variants([(10,)], where, rule, False)[variant],) * 2:  # load and compile what it needs
        step()
    before = _held(where, "VmRSS")
    step = variants([tuple(shape) for shape in shapes], where, rule, False)[variant]
    for _ in range(3):
        step()
    return _held(where, "VmHWM") - before


def _held(device: torch.device, which: str) -> int:
    """What is held at the moment (VmRSS), or was at most (VmHWM), in bytes."""
    if device.type == "cuda":
        if which == "VmHWM":
            return torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    return 1024 * int(re.search(rf"{which}:\s+(\d+) kB", STATUS.read_text())[1])
