"""Measuring: `gdlab bench sweep` times a whole sweep beside the same runs one after another, and beside arithmetic.

Two loops do one run after another. The ordinary one is what most training scripts are: a torch module, `backward`, a
`torch.optim` optimizer. The lean one has as little between its numbers as Python allows: NumPy arrays, the gradient
written by hand, gdlab's rule. Both train a sample of the sweep's own runs, spread evenly over the grid, and a run-step
(one step of one run) of the sample counts for all.

The floor is the time that the arithmetic alone would take: the operations of a run-step, counted by the problem, at
the speeds at which this machine multiplies matrices, takes tanh, and multiplies numbers that lie in its cache.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gdlab import rules
from gdlab.bench.table import row_of, write_files
from gdlab.bench.torch_device import device_called, machine_of, note_on, seconds_of
from gdlab.sweep import Sweep, linear_axis, log_axis, noisy_quadratic, one_thread, run_sweep, tanh_network

LEAST_SECONDS = 0.02  # a turn of a speed test takes as long
TURNS = 3  # of a sweep and of the loops beside it: the fastest of each counts
GOAL = 1000
"""How many times as fast as one run after another a sweep is meant to be."""


def cases(side: int) -> dict[str, tuple[Sweep, str]]:
    """What is measured: name -> a sweep of side × side runs, and its dtype."""

    def network(width: int) -> Sweep:
        axes = (log_axis("lr_W2", 1, 1000, side), log_axis("lr_W1", 0.1, 1000, side))
        return Sweep(tanh_network(width), axes, steps=100)

    bowl = noisy_quadratic(np.geomspace(1, 0.01, 8))
    noisy = noisy_quadratic(np.geomspace(1, 0.01, 8), noise=1.0, steps=300)
    rates = log_axis("lr", 0.01, 4, side)
    return {
        "trainability, 8 units, float64": (network(8), "float64"),
        "trainability, 8 units, float32": (network(8), "float32"),
        "trainability, 6 units, float64": (network(6), "float64"),
        "η and β on a bowl": (
            Sweep(bowl, (linear_axis("momentum", 0, 0.99, side), rates), 300, rules.momentum),
            "float64",
        ),
        "η and B on a noisy bowl": (Sweep(noisy, (log_axis("batch_size", 1, 4096, side), rates), 300), "float64"),
    }


@dataclass(frozen=True)
class Row:
    """One sweep. Speeds are run-steps per second; `times_…` says how many times as fast the sweep is."""

    name: str
    runs: int
    steps: int
    seconds: float
    run_steps_a_second: float
    ordinary_loop: float
    times_ordinary: float
    lean_loop: float
    times_lean: float
    floor: float
    of_floor: float


@dataclass(frozen=True)
class Table:
    """What was measured, where, and when; speeds are operations per second."""

    title: str
    device: str
    side: int
    sampled: int
    compiled: bool
    speeds: dict[str, dict[str, float]]
    rows: tuple[Row, ...]
    machine: dict[str, str]
    note: str


def bench_sweep(
    side: int = 256, sampled: int = 12, device: str | None = None, measured: dict | None = None
) -> Iterator[tuple[str, int, int] | Table]:
    """Time sweeps of side × side runs.

    Args:
        side: how many values each axis has.
        sampled: how many of the runs are run one after another.
        device: where the sweep runs; the GPU if there is one. The loops run there as well, the lean one on NumPy.
        measured: name -> (sweep, dtype); `cases(side)` when left out.

    Yields:
        (what is measured, how many sweeps are done, how many in all), and at last the `Table`.
    """
    where = device_called(device)
    compiled = where.type == "cuda"
    measured = cases(side) if measured is None else measured
    speeds = {dtype: arithmetic(where, dtype) for dtype in sorted({dtype for _, dtype in measured.values()})}
    rows = []
    for done, (name, (sweep, dtype)) in enumerate(measured.items()):
        yield name, done, len(measured)
        rows.append(_measure(name, sweep, dtype, sampled, where, compiled, speeds[dtype]))
    yield Table(
        "Sweeps: many small training runs at once",
        where.type,
        side,
        sampled,
        compiled,
        speeds,
        tuple(rows),
        machine_of(where),
        note_on(where, "gdlab bench sweep --side 4096"),
    )


def _measure(name, sweep: Sweep, dtype: str, sampled: int, where, compiled: bool, speeds: dict[str, float]) -> Row:
    how = {"device": str(where), "dtype": dtype, "compiled": compiled, "progress": False}
    few = Sweep(sweep.problem, sweep.axes, 2, sweep.rule, sweep.fixed)
    run_sweep(few, **how)  # compile, allocate, warm the caches
    places = np.unique(np.linspace(0, sweep.runs - 1, sampled).astype(int))
    seconds, loops = math.inf, [0.0, 0.0]
    for _ in range(TURNS):
        seconds = min(seconds, seconds_of(lambda: run_sweep(sweep, **how), where))
        with one_thread():  # faster for arrays as small as one run's
            now = [loop(sweep, places, dtype, where) for loop in (ordinary_loop, lean_loop)]
        loops = [max(pair) for pair in zip(loops, now, strict=True)]
    speed = sweep.runs * sweep.steps / seconds
    floor = sum(sweep.problem.work[kind] / speeds[kind] for kind in sweep.problem.work)
    return Row(
        name,
        sweep.runs,
        sweep.steps,
        seconds,
        speed,
        loops[0],
        speed / loops[0],
        loops[1],
        speed / loops[1],
        1 / floor,
        speed * floor,
    )


# ------------------------------------------------------------------- one run after another


def ordinary_loop(sweep: Sweep, places: Sequence[int], dtype: str, device: torch.device) -> float:
    """Run-steps per second of some runs, one after another, as an ordinary training script in torch takes them."""
    problem, kind = sweep.problem, getattr(torch, dtype)
    arrays = {name: torch.as_tensor(array, dtype=kind, device=device) for name, array in problem.arrays.items()}
    each_step = {name: torch.as_tensor(rows, dtype=kind, device=device) for name, rows in problem.each_step.items()}
    loss_of = _network_loss if "X" in problem.arrays else _quadratic_loss
    asked = [_of_one(sweep, place) for place in places]

    def train(asked: Sequence[dict[str, float]]) -> None:
        for own in asked:
            theta = {
                name: torch.nn.Parameter(torch.tensor(array, dtype=kind, device=device))
                for name, array in problem.start.items()
            }
            groups = [{"params": [leaf], "lr": own.get("lr", own.get(f"lr_{name}"))} for name, leaf in theta.items()]
            optimizer = torch.optim.SGD(groups, lr=1.0, momentum=own.get("momentum", 0.0))
            for step in range(sweep.steps):
                optimizer.zero_grad()
                loss = loss_of(theta, own, {**arrays, **{name: rows[step] for name, rows in each_step.items()}})
                loss.backward()
                optimizer.step()

    return _run_steps_a_second(train, asked, sweep.steps, device)


def _network_loss(theta, own, arrays):
    hidden = torch.tanh(arrays["X"] @ theta["W1"])
    return ((hidden @ theta["W2"] / len(theta["W2"]) - arrays["y"]) ** 2).mean()


def _quadratic_loss(theta, own, arrays):
    """With the noise as a linear term: its gradient is what the batch adds."""
    theta = theta["theta"]
    loss = 0.5 * (arrays["curvatures"] * theta * theta).sum()
    if "draws" not in arrays:
        return loss
    return loss + (arrays["noise"] * arrays["draws"] * theta).sum() / math.sqrt(own["batch_size"])


def lean_loop(sweep: Sweep, places: Sequence[int], dtype: str, device: torch.device) -> float:
    """The same with NumPy, the gradient by hand and gdlab's rule; the loss is computed as well, as a loop logs it."""
    problem = sweep.problem
    arrays = {name: array.astype(dtype) for name, array in problem.arrays.items()}
    each_step = {name: rows.astype(dtype) for name, rows in problem.each_step.items()}
    gradient = _network_gradient if "X" in arrays else _quadratic_gradient
    asked = [_of_one(sweep, place) for place in places]

    def train(asked: Sequence[dict[str, float]]) -> None:
        for own in asked:
            rule = sweep.rule(momentum=own["momentum"]) if "momentum" in own else sweep.rule()
            theta = {name: array.astype(dtype) for name, array in problem.start.items()}
            state = {name: rule.init(leaf) for name, leaf in theta.items()}
            rates = {name: own.get("lr", own.get(f"lr_{name}")) for name in theta}
            for step in range(sweep.steps):
                at = {name: rows[step] for name, rows in each_step.items()}
                _, grad = gradient(theta, own, {**arrays, **at})
                for name in theta:
                    theta[name], state[name] = rule.step(theta[name], grad[name], state[name], step, rates[name])

    with np.errstate(all="ignore"):
        return _run_steps_a_second(train, asked, sweep.steps, torch.device("cpu"))


def _run_steps_a_second(train: Callable[[Sequence], None], asked: Sequence, steps: int, device: torch.device) -> float:
    train(asked[:1])  # the first optimizer of a process imports for a second or two
    return len(asked) * steps / seconds_of(lambda: train(asked), device)


def _network_gradient(theta, own, arrays):
    W2, X, y = theta["W2"], arrays["X"], arrays["y"]
    hidden = np.tanh(X @ theta["W1"])
    error = hidden @ W2 / len(W2) - y
    by_output = error * (2 / (len(y) * len(W2)))
    by_sum = (1 - hidden * hidden) * np.multiply.outer(by_output, W2)
    return error @ error / len(y), {"W1": X.T @ by_sum, "W2": hidden.T @ by_output}


def _quadratic_gradient(theta, own, arrays):
    slope = arrays["curvatures"] * theta["theta"]
    push = arrays["noise"] * arrays["draws"] / math.sqrt(own["batch_size"]) if "draws" in arrays else 0.0
    return 0.5 * slope @ theta["theta"], {"theta": slope + push}


def _of_one(sweep: Sweep, place: int) -> dict[str, float]:
    """The hyper-parameters of one run, as Python numbers."""
    own = {name: float(values[0]) for name, values in sweep.hyperparameters(int(place), 1).items()}
    return {**sweep.fixed, **own}


# ------------------------------------------------------------------- arithmetic


def arithmetic(device: torch.device, dtype: str) -> dict[str, float]:
    """Operations per second: of a large product of matrices, of tanh, and of products of numbers in the cache.

    On a processor it is the speed of one thread, times the threads that torch has.
    """
    kind, cpu = getattr(torch, dtype), device.type == "cpu"
    n, few = (512, 1 << 15) if cpu else (8192, 1 << 24)
    square, numbers = torch.ones(n, n, dtype=kind, device=device), torch.ones(few, dtype=kind, device=device)
    product, out = torch.empty_like(square), torch.empty_like(numbers)
    threads = torch.get_num_threads() if cpu else 1
    with one_thread():
        return {
            "matmul": threads * 2 * n**3 / _best(lambda: torch.mm(square, square, out=product), device),
            "tanh": threads * few / _best(lambda: torch.tanh(numbers, out=out), device),
            "other": threads * few / _best(lambda: torch.mul(numbers, numbers, out=out), device),
        }


def _best(take: Callable[[], Any], device: torch.device) -> float:
    """Seconds of one call, the shortest of some turns: a floor is what the machine can do, not what others leave of it."""
    take()
    repeats = max(1, int(LEAST_SECONDS / max(seconds_of(take, device), 1e-7)))
    return min(seconds_of(lambda: [take() for _ in range(repeats)], device) for _ in range(10)) / repeats


# ------------------------------------------------------------------- the table


def write_table(table: Table, folder: Path) -> Path:
    """Write a table as Markdown and JSON, the processor's as sweep, a GPU's beside it; returns the Markdown file."""
    lines = [
        f"# {table.title}",
        "",
        f"Made by `gdlab bench sweep --side {table.side}`: {table.side} × {table.side} runs each, timed whole, the best of {TURNS} turns. A",
        f"run-step is one step of one run. One after another, {table.sampled} runs of each grid were timed, spread evenly, and their",
        "run-steps per second are taken for all: the *ordinary* loop is a torch module with `backward` and `torch.optim`, the *lean* loop",
        "NumPy with the gradient by hand; both in one thread, in which they are faster. The floor is what the counted arithmetic of",
        "a run-step takes at the speeds that this machine reaches in large products of matrices, in tanh, and in products of",
        "numbers in its cache: " + "; ".join(map(_spoken, table.speeds.items())) + ".",
        "",
        "| sweep | runs × steps | seconds | run-steps/s | ordinary loop | times as fast | lean loop | times as fast | floor | of the floor |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *map(_line, table.rows),
    ]
    lines += ["", _verdict(table.rows)]
    name = "sweep" if table.device == "cpu" else f"sweep.{table.device}"
    return write_files(folder, name, asdict(table), [*lines, *(["", table.note] if table.note else [])])


def _verdict(rows: Sequence[Row]) -> str:
    """Which sweeps reach the goal, and of those that miss it, how far arithmetic would let them come."""
    reached = [row.name for row in rows if row.times_ordinary >= GOAL]
    missed = [row for row in rows if row.times_ordinary < GOAL]
    said = f"The goal is to be {GOAL:,} times as fast as one run after another in the ordinary loop."
    if reached:
        said += f" Reached: {'; '.join(reached)}."
    if missed:
        far = "; ".join(f"{row.name}, {row.floor / row.ordinary_loop:,.0f} times" for row in missed)
        said += f" Missed, with what the floor would allow: {far}."
    return said


def _spoken(item: tuple[str, dict[str, float]]) -> str:
    dtype, speeds = item
    return (
        f"{dtype} {speeds['matmul'] / 1e9:.0f} billion operations, {speeds['tanh'] / 1e9:.2f} billion tanh, "
        f"{speeds['other'] / 1e9:.1f} billion products a second"
    )


def _line(row: Row) -> str:
    return row_of(
        [
            row.name,
            f"{row.runs:,} × {row.steps}",
            f"{row.seconds:.3g}",
            f"{row.run_steps_a_second:,.0f}",
            f"{row.ordinary_loop:,.0f}",
            f"{row.times_ordinary:,.0f}",
            f"{row.lean_loop:,.0f}",
            f"{row.times_lean:,.0f}",
            f"{row.floor:,.0f}",
            f"{row.of_floor:.2f}",
        ]
    )
