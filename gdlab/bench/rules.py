"""Measuring: `gdlab bench rules` times one AdamW step, ours against others, side by side in one run.

Seconds differ from machine to machine, so tables show ratios as well, and a yardstick: the time it would
take to move the numbers that any AdamW step must read and write at the speed at which this machine
copies memory. (A copy also fetches the memory it is about to overwrite; a step in place does not, so it
can beat the yardstick.) Variants take turns, round by round, so that a slow moment hits all.
"""

import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gdlab.bench.machine import this_machine
from gdlab.bench.table import write_files

LR, WEIGHT_DECAY = 1e-3, 1e-2
BYTES_A_PARAMETER = 4 * 7  # float32: θ, g, m, v are read, θ, m, v are written


@dataclass(frozen=True)
class Row:
    """One variant: the median of its rounds, and how many times the fastest variant's, and copying's, time that is."""

    variant: str
    milliseconds: float
    times_fastest: float
    times_copying: float


@dataclass(frozen=True)
class Table:
    """What was measured, where, and when."""

    title: str
    size: int
    rounds: int
    copy_gigabytes_a_second: float
    copying_milliseconds: float
    rows: tuple[Row, ...]
    machine: dict[str, str]
    note: str


def bench_rules(size: int = 10_000_000, rounds: int = 15) -> Iterator[tuple[int, int] | Table]:
    """Time one AdamW step on `size` float32 parameters.

    Yields:
        (rounds done, rounds in all) after each round, for a progress bar, and at last the `Table`.
    """
    import torch

    variants = {
        "gdlab.rules on NumPy": _numpy_step(size),
        "torch.optim, a loop": _torch_step(size, foreach=False),
        "torch.optim, foreach": _torch_step(size, foreach=True),
        "torch.optim, fused": _torch_step(size, fused=True),
        "copy": _copy(size),
    }
    if has_compiler():
        variants["gdlab.rules, torch.compile"] = _compiled_step(size)
    for step in variants.values():  # compile, allocate, warm the caches
        step()
        step()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for done in range(rounds):
        for name, step in variants.items():
            seconds[name].append(_seconds(step))
        yield done + 1, rounds
    yield _table(
        size, rounds, {name: statistics.median(values) for name, values in seconds.items()}, torch.get_num_threads()
    )


def has_compiler() -> bool:
    """Whether torch.compile can make kernels for this machine's processor: it needs a C++ compiler."""
    return any(map(shutil.which, ("g++", "clang++", "c++")))


def write_table(table: Table, folder: Path) -> Path:
    """Write a table as Markdown and JSON; returns the Markdown file."""
    lines = [
        f"# {table.title}",
        "",
        f"Made by `gdlab bench rules`: {table.size:,} float32 parameters, median of {table.rounds} rounds in which the variants take turns.",
        f"At this machine's copying speed, {table.copy_gigabytes_a_second:.1f} GB/s, the {BYTES_A_PARAMETER} bytes a parameter that any",
        f"AdamW step reads and writes take {table.copying_milliseconds:.1f} ms; a step in place can beat that, because a copy also",
        "fetches the memory it overwrites. Our compiled rule is a pure function: it writes into new memory.",
        "",
        "| variant | ms | times the fastest | times copying |",
        "|---|---:|---:|---:|",
        *(
            f"| {r.variant} | {r.milliseconds:.1f} | {r.times_fastest:.2f} | {r.times_copying:.2f} |"
            for r in table.rows
        ),
        "",
        *([table.note] if table.note else []),
    ]
    return write_files(folder, "rules", asdict(table), lines)


def _table(size: int, rounds: int, medians: dict[str, float], threads: int) -> Table:
    import torch

    bandwidth = 2 * 4 * size / medians.pop("copy")  # a copy reads and writes
    copying = BYTES_A_PARAMETER * size / bandwidth
    fastest = min(medians.values())
    rows = tuple(
        Row(name, 1e3 * s, s / fastest, s / copying) for name, s in sorted(medians.items(), key=lambda item: item[1])
    )
    note = "" if has_compiler() else "There is no C++ compiler here, so our compiled rule could not be measured."
    machine = this_machine(threads=str(threads), torch=torch.__version__)
    return Table("One AdamW step", size, rounds, bandwidth / 1e9, 1e3 * copying, rows, machine, note)


def _seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _start(size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal(size, dtype=np.float32), rng.standard_normal(size, dtype=np.float32)


@dataclass
class _Ours:
    """Our rule, a step a call: `update` is the rule's own or its compiled twin, on arrays of either kind."""

    rule: Any
    update: Callable
    theta: Any
    grad: Any
    as_scalar: Callable = float

    def __post_init__(self):
        self.state, self.steps = self.rule.init(self.theta), 0

    def __call__(self) -> None:
        scalars = tuple(self.as_scalar(value) for value in self.rule.scalars(self.steps))
        self.theta, self.state = self.update(self.theta, self.grad, self.state, scalars, LR)
        self.steps += 1


def _numpy_step(size: int) -> _Ours:
    from gdlab import rules

    rule = rules.adamw(weight_decay=WEIGHT_DECAY)
    return _Ours(rule, rule.update, *_start(size))


def _compiled_step(size: int, backend: str = "inductor") -> _Ours:
    """The scalars arrive as tensors, so that the step number is no constant of the kernel."""
    import torch

    from gdlab import rules

    rule = rules.adamw(weight_decay=WEIGHT_DECAY)
    update = torch.compile(rule.update, fullgraph=True, backend=backend)
    return _Ours(rule, update, *map(torch.from_numpy, _start(size)), as_scalar=torch.tensor)


@dataclass
class _Torchs:
    """torch.optim's AdamW, a step a call."""

    theta: Any
    grad: Any
    how: dict[str, bool]

    def __post_init__(self):
        import torch

        self.theta = torch.nn.Parameter(torch.from_numpy(self.theta))
        self.theta.grad = torch.from_numpy(self.grad)
        self._optimizer = torch.optim.AdamW([self.theta], lr=LR, weight_decay=WEIGHT_DECAY, **self.how)

    def __call__(self) -> None:
        self._optimizer.step()


def _torch_step(size: int, **how) -> _Torchs:
    return _Torchs(*_start(size), how)


def _copy(size: int) -> Callable[[], None]:
    import torch

    source = torch.from_numpy(_start(size)[0])
    target = torch.empty_like(source)
    return lambda: target.copy_(source)
