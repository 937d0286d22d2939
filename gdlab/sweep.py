"""Sweeps: thousands to millions of small training runs at once, as one program of tensors.

A sweep is a grid of hyper-parameters with one training run at each point, T steps long:

    θ_r ← rule(θ_r, ∇L(θ_r), η_r, …)        r = 1 … R, all at once

The parameters of all runs stand in one array, with the runs along its *last* axis. So a learning rate for each run,
an array (R,), meets every parameter by broadcasting, and the step is `gdlab.rules`' own, whatever the shape. Examples
X that all runs share meet the weights of all runs in one large matrix product. The same lines run on NumPy, on torch
and on a GPU, a chunk of runs at a time, as many as the memory holds.

Two problems come with it. `noisy_quadratic` is the loss over (η, B) and over (η, β) for which theory has the answer.
`tanh_network` is that of Sohl-Dickstein 2024, "The boundary of neural network trainability is fractal",
arXiv 2402.06184: one rate for each of two layers, and the border between the pairs with which it learns and those
with which it does not.

>>> grid = Sweep(noisy_quadratic([1.0]), (linear_axis("lr", 0.5, 2.5, 3),), steps=40)
>>> run_sweep(grid, device="numpy").converged.tolist()
[True, True, False]
"""

import hashlib
import inspect
import itertools
import math
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from gdlab import rules
from gdlab.loop import CheckpointError, read_checkpoint, write_checkpoint

Arrays = dict[str, Any]

LIMIT = 1e6
"""A run whose loss has passed so many times its first loss has diverged, for good."""

LAST = 20
"""A run has converged if the mean loss of so many last steps is below the first loss: it may oscillate."""

RULES = (
    rules.gradient_descent,
    rules.momentum,
    rules.momentum_ema,
    rules.nesterov,
    rules.adagrad,
    rules.rmsprop,
    rules.adam,
    rules.adam_l2,
    rules.adamw,
    rules.lion,
)
"""Rules that work number by number, so that runs beside each other do not meet."""

DECAY_RATES = ("momentum", "beta1", "beta2", "decay")
"""What of a rule may differ from run to run: rules keep these as they are given (momentum_ema keeps 1 − β as well)."""

LANES = 64
"""Chunks are multiples of this: every run then meets the same vector instructions, whatever the chunk."""

WORKSPACE = {"cpu": 3 << 20, "cuda": 4 << 30}
"""Bytes that a chunk's arrays take together when nobody says: on a processor what its cache holds."""


# --------------------------------------------------------------------------------- what is swept


@dataclass(frozen=True)
class Axis:
    """One hyper-parameter of a sweep: `count` values from `low` to `high`, both included.

    Attributes:
        name: "lr"; "lr_W1" for the rate of one of the problem's parameters; one of the rule's `DECAY_RATES`; or one
            of the problem's own settings, such as "batch_size".
        low, high: the first and the last value.
        count: how many values.
        log: whether the values grow by equal factors (or by equal amounts).

    Raises:
        ValueError: if they do not grow, or a logarithmic axis is not above 0.

    >>> Axis("lr", 0.01, 1.0, 3).values().round(9).tolist()
    [0.01, 0.1, 1.0]
    """

    name: str
    low: float
    high: float
    count: int
    log: bool = True

    def __post_init__(self):
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"{self.name} goes from a smaller to a larger number, but from {self.low} to {self.high}.")
        if self.log and self.low <= 0:
            raise ValueError(
                f"A logarithmic axis begins above 0, but {self.name} begins at {self.low}: take linear_axis."
            )
        if self.count != int(self.count) or self.count < 2:
            raise ValueError(f"{self.name} needs a whole number of values, 2 or more, but has {self.count!r}.")

    def values(self) -> np.ndarray:
        """The values, (count,), float64."""
        return (np.geomspace if self.log else np.linspace)(self.low, self.high, self.count)

    def zoomed(self, centre: float, factor: float) -> "Axis":
        """The same number of values on a stretch around `centre` that is `factor` times as short.

        >>> Axis("momentum", 0.0, 0.8, 5, log=False).zoomed(0.5, factor=4)
        Axis(name='momentum', low=0.4, high=0.6, count=5, log=False)
        """
        if not (self.low <= centre <= self.high and factor > 1):
            raise ValueError(
                f"A zoom goes to a place on the axis, {self.name} from {self.low} to {self.high}, and a factor above 1 "
                f"closer, but was asked for {centre} and {factor}."
            )
        if self.log:
            half = (self.high / self.low) ** (0.5 / factor)
            return replace(self, low=centre / half, high=centre * half)
        half = (self.high - self.low) / (2 * factor)
        return replace(self, low=centre - half, high=centre + half)


def log_axis(name: str, low: float, high: float, count: int) -> Axis:
    """An axis whose values grow by equal factors: for rates and batch sizes.

    >>> log_axis("batch_size", 1, 16, 5).values().round(9).tolist()
    [1.0, 2.0, 4.0, 8.0, 16.0]
    """
    return Axis(name, low, high, count, log=True)


def linear_axis(name: str, low: float, high: float, count: int) -> Axis:
    """An axis whose values grow by equal amounts.

    >>> linear_axis("momentum", 0.0, 0.5, 3).values().tolist()
    [0.0, 0.25, 0.5]
    """
    return Axis(name, low, high, count, log=False)


@dataclass(frozen=True)
class Problem:
    """What every run of a sweep trains, written for all of them at once.

    Attributes:
        name: what tables call it.
        start: the parameters that every run begins with, without an axis of runs.
        loss_and_grad: (theta, settings, arrays) -> (loss, gradient). Each array of `theta` has the runs along its
            last axis; `settings` holds an array (R,) for each of the problem's settings; `arrays` is what follows.
            The loss is (R,), the gradient built like theta.
        arrays: what is the same for all runs and steps, such as examples.
        each_step: what differs from step to step, a row for each: step t is given row t.
        settings: the names of the problem's own hyper-parameters, each a number above 0.
        workspace: how many numbers `loss_and_grad` holds for each run, at its peak, about.
        work: the arithmetic of one gradient of one run: {"matmul": …, "tanh": …, "other": …}, in operations.
        only_torch: whether `loss_and_grad` is written in torch.
    """

    name: str
    start: Arrays
    loss_and_grad: Callable[[Arrays, Arrays, Arrays], tuple[Any, Arrays]]
    arrays: Arrays = field(default_factory=dict)
    each_step: Arrays = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    workspace: int = 0
    work: Mapping[str, float] = field(default_factory=dict)
    only_torch: bool = False


@dataclass(frozen=True)
class Sweep:
    """A grid of runs.

    Attributes:
        problem: what is trained.
        axes: one or more; the first is the outermost, so of two the first is the rows of a map.
        steps: T, the updates of each run.
        rule: one of `RULES`: the constructor itself, `rules.momentum` rather than `rules.momentum()`.
        fixed: hyper-parameters that are the same for all runs, by the names that an `Axis` may have, or of anything
            else that the rule's constructor takes.

    Raises:
        ValueError: if a hyper-parameter is missing, unknown, given twice or out of its range.

    >>> Sweep(tanh_network(), (log_axis("lr_W1", 0.1, 10, 4), log_axis("lr_W2", 0.1, 10, 3)), steps=100).shape
    (4, 3)
    """

    problem: Problem
    axes: tuple[Axis, ...]
    steps: int
    rule: Callable[..., rules.Rule] = field(default_factory=lambda: rules.gradient_descent)
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self):
        _check_sweep(self)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(axis.count for axis in self.axes)

    @property
    def runs(self) -> int:
        """R, how many runs there are."""
        return math.prod(self.shape)

    def hyperparameters(self, first: int = 0, count: int | None = None) -> dict[str, np.ndarray]:
        """For each axis the values of `count` runs from the `first` on, (count,), the last axis changing fastest."""
        numbers = np.arange(first, self.runs if count is None else first + count)
        places = np.unravel_index(np.minimum(numbers, self.runs - 1), self.shape)
        return {axis.name: axis.values()[place] for axis, place in zip(self.axes, places, strict=True)}

    def zoom(self, factor: float, **centre: float) -> "Sweep":
        """The same sweep on a window `factor` times as narrow, around one place on each axis.

        >>> grid = Sweep(tanh_network(), (log_axis("lr_W1", 0.1, 10, 64), log_axis("lr_W2", 0.1, 10, 64)), steps=100)
        >>> window = grid.zoom(2, lr_W1=1.0, lr_W2=2.0)
        >>> [(round(axis.low, 6), round(axis.high, 6)) for axis in window.axes]
        [(0.316228, 3.162278), (0.632456, 6.324555)]
        """
        names = [axis.name for axis in self.axes]
        if set(centre) != set(names):
            raise ValueError(f"A zoom needs one place on each of the axes {names}, but got {sorted(centre)}.")
        return replace(self, axes=tuple(axis.zoomed(centre[axis.name], factor) for axis in self.axes))


@dataclass(frozen=True)
class Outcome:
    """What became of the runs; every array has the sweep's shape.

    Attributes:
        sweep: what was asked.
        loss: the loss after the last step; infinite where the run diverged.
        measure: how fast it went, by the measure of Sohl-Dickstein 2024, with v_t = L_t/L_0 before step t, at most
            `LIMIT`: −Σ v_t for a run that converged, Σ 1/v_t for one that did not. The fewer steps a run takes to
            come down, or to blow up, the nearer to 0. A run that has once passed `LIMIT` counts as there for the
            rest, even if it would have come back.
    """

    sweep: Sweep
    loss: np.ndarray
    measure: np.ndarray

    @property
    def converged(self) -> np.ndarray:
        """Whether the mean loss of the last `LAST` steps is below the first loss."""
        return self.measure < 0

    @property
    def diverged(self) -> np.ndarray:
        """Whether the loss passed `LIMIT` times the first loss, or was no number."""
        return np.isinf(self.loss)


# --------------------------------------------------------------------------------- the problems


def noisy_quadratic(curvatures, noise=0.0, start=1.0, steps: int = 1000, seed: int = 0) -> Problem:
    """A bowl whose gradient is measured on batches: L(θ) = ½·Σ λᵢθᵢ², g = λᵢθᵢ + σᵢξ/√B.

    ξ are standard normal numbers, new at every step and the same for all runs: what differs between two runs is
    then their hyper-parameters, not their luck. B, "batch_size", may be any number above 0; without noise there is none.

    Args:
        curvatures: λ, (d,).
        noise: σ, the standard deviation of one example's gradient: a number, or (d,).
        start: θ₀: a number, or (d,).
        steps: for so many steps there are ξ.
        seed: of the generator that draws them.

    Source: Zhang et al. 2019, "Which Algorithmic Choices Matter at Which Batch Sizes? Insights From a Noisy Quadratic
    Model", arXiv 1907.04164.
    """
    curvatures = np.atleast_1d(np.asarray(curvatures, dtype=float))
    d = len(curvatures)
    noise, start = (np.broadcast_to(np.asarray(value, dtype=float), (d,)).copy() for value in (noise, start))
    if not (np.isfinite(curvatures).all() and np.isfinite(noise).all() and (noise >= 0).all() and start.any()):
        raise ValueError(
            "A noisy quadratic has finite curvatures, a noise of 0 or more, and a start outside its minimum, but has "
            f"{curvatures}, {noise} and {start}."
        )
    return Problem(
        "noisy quadratic",
        {"theta": start},
        _quadratic_loss_and_grad,
        {"curvatures": curvatures, "noise": noise},
        {"draws": np.random.default_rng(seed).standard_normal((steps, d))} if noise.any() else {},
        ("batch_size",) if noise.any() else (),
        workspace=4 * d,
        work={"other": 7 * d},
    )


def _quadratic_loss_and_grad(theta, settings, arrays):
    theta = theta["theta"]
    slope = arrays["curvatures"][:, None] * theta  # (d, R)
    loss = 0.5 * (slope * theta).sum(0)
    if not settings:
        return loss, {"theta": slope}
    return loss, {"theta": slope + (arrays["noise"] * arrays["draws"])[:, None] / settings["batch_size"] ** 0.5}


def tanh_network(width: int = 8, examples: int | None = None, seed: int = 0) -> Problem:
    """One hidden layer of n tanh units without biases, on random examples, all of them in every gradient.

        f(x) = (1/n)·Σ_h W2_h·tanh(√(2/n)·Σ_k x_k·W1_kh)        L = mean (f(x) − y)²

    Inputs x (n numbers), targets y and first weights are standard normal numbers. With 1/n and not 1/√n at the
    output this is the mean-field scaling.

    Args:
        width: n; the paper's pictures have 16, its code's default is 8.
        examples: D; as many as there are weights, n² + n, when left out, as in the paper.
        seed: of the generator that draws everything.

    Parameters: W1 (n, n) and W2 (n,), with the rates "lr_W1" and "lr_W2".
    """
    if width < 1 or width != int(width) or (examples is not None and examples < 1):
        raise ValueError(
            f"A network needs one unit and one example or more, but has width {width!r} and {examples!r} examples."
        )
    n, rng = int(width), np.random.default_rng(seed)
    count = n * n + n if examples is None else int(examples)
    start = {"W1": rng.standard_normal((n, n)), "W2": rng.standard_normal(n)}
    X, y = rng.standard_normal((count, n)), rng.standard_normal(count)
    return Problem(
        f"tanh network of {n} units on {count} examples",
        start,
        _network_loss_and_grad,
        {"X": math.sqrt(2 / n) * X, "y": y},
        workspace=4 * count * n,
        work={"matmul": 4 * count * n * n, "tanh": count * n, "other": 8 * count * n + 5 * count},
    )


def _network_loss_and_grad(theta, settings, arrays):
    """Forward and backward by hand; `X` holds √(2/n)·x. Shapes: X (D, n), hidden (D, h, R), error (D, R).

    The slope of tanh is 1 − tanh², so the sum inside gets e·W2·(1 − hidden²); W2 waits until after the sum over examples.
    """
    W1, W2, X = theta["W1"], theta["W2"], arrays["X"]
    (inputs, n, runs), count = W1.shape, X.shape[0]
    hidden = _library(X).tanh(X @ W1.reshape(inputs, n * runs)).reshape(count, n, runs)
    error = (hidden * W2).sum(1) / n - arrays["y"][:, None]
    by_output = (error * (2 / (count * n)))[:, None, :]
    part = hidden * by_output
    by_W2 = part.sum(0)
    part *= hidden  # in place, as what follows: whatever more a chunk takes leaves the cache
    part -= by_output
    by_W1 = (X.T @ part.reshape(count, n * runs)).reshape(inputs, n, runs) * -W2
    return (error * error).mean(0), {"W1": by_W1, "W2": by_W2}


def _library(array):
    """NumPy or torch: both call what a sweep needs alike, and torch.compile can follow this."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def from_loss(
    name: str, loss: Callable[[Arrays, Arrays], Any], start: Arrays, arrays: Arrays, workspace: int
) -> Problem:
    """A problem of your own, by the loss of one run in torch: `torch.func` makes the gradients of all runs.

    Args:
        name: what tables call it, and by what `run_sweep`'s folder knows it again: another loss, another name.
        loss: (theta, arrays) -> the loss, one number, for parameters without an axis of runs.
        start: the parameters that every run begins with, NumPy arrays.
        arrays: what it trains on, NumPy arrays.
        workspace: how many numbers a gradient of one run holds at its peak, about.
    """
    return Problem(name, start, partial(_func_loss_and_grad, loss), arrays, workspace=workspace, only_torch=True)


def _func_loss_and_grad(loss, theta, settings, arrays):
    from torch.func import grad_and_value, vmap

    grad, value = vmap(grad_and_value(loss), in_dims=(-1, None), out_dims=(-1, 0))(theta, arrays)
    return value, grad


# --------------------------------------------------------------------------------- checks


def _check_sweep(sweep: Sweep) -> None:
    names = [axis.name for axis in sweep.axes] + list(sweep.fixed)
    twice = {name for name in names if names.count(name) > 1}
    if not sweep.axes or twice:
        raise ValueError(f"A sweep has an axis or more, and each hyper-parameter once, but {sorted(twice)} twice.")
    if sweep.steps != int(sweep.steps) or sweep.steps < 1:
        raise ValueError(f"steps is a whole number from 1 up, but is {sweep.steps!r}.")
    if sweep.rule not in RULES:
        raise ValueError(
            f"A sweep steps by one of {[rule.__name__ for rule in RULES]}, given as the constructor and not what it "
            f"returns, but rule is {sweep.rule!r}: others look at several numbers at once, and would mix the runs."
        )
    rates = _rate_names(sweep)
    constructor = inspect.signature(sweep.rule).parameters
    varied = set(DECAY_RATES) & set(constructor)
    known = {*rates, *varied, *sweep.problem.settings}
    for axis in sweep.axes:
        if axis.name not in known:
            raise ValueError(f"Nothing here is called {axis.name!r}; an axis may be one of {sorted(known)}.")
    for name in sweep.fixed:
        if name not in known | set(constructor):
            raise ValueError(f"Nothing here is called {name!r}; {sorted(known | set(constructor))} may be fixed.")
    missing = [name for name in (*rates, *sweep.problem.settings) if name not in names]
    if missing:
        raise ValueError(f"Each run needs {missing}: give it an axis, or one value in fixed.")
    ends = [{axis.name: end for axis, end in zip(sweep.axes, both, strict=True)} for both in _ends(sweep.axes)]
    for end in ends:  # the rule's own checks
        sweep.rule(**{name: value for name, value in {**sweep.fixed, **end}.items() if name in constructor})
        for name in (*rates, *sweep.problem.settings):
            value = {**sweep.fixed, **end}[name]
            if not (math.isfinite(value) and (value > 0 or (value == 0 and name in rates))):
                raise ValueError(f"{name} is a number above 0, but {value!r} is asked for.")
    for name, rows in sweep.problem.each_step.items():
        if len(rows) < sweep.steps:
            raise ValueError(
                f"The problem has {name} for {len(rows)} steps, but the runs take {sweep.steps}: make it with more."
            )


def _ends(axes: tuple[Axis, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(axis.low for axis in axes), tuple(axis.high for axis in axes)


def _rate_names(sweep: Sweep) -> list[str]:
    """ "lr" for all parameters, or one rate for each of them."""
    each = [f"lr_{name}" for name in sweep.problem.start]
    asked = {axis.name for axis in sweep.axes} | set(sweep.fixed)
    return each if asked & set(each) and "lr" not in asked else ["lr"]


# --------------------------------------------------------------------------------- running it


def run_sweep(
    sweep: Sweep,
    *,
    device: str | None = None,
    dtype: str = "float64",
    memory: float | None = None,
    compiled: bool = False,
    folder: str | Path | None = None,
    progress: bool | None = None,
) -> Outcome:
    """Train every run of a sweep.

    Args:
        sweep: what to run.
        device: "numpy", or a device as torch names it, "cpu", "cuda", "cuda:1". Left out: "cpu" where torch is
            installed, else "numpy".
        dtype: "float64" or "float32". A boundary seen from close by needs all digits.
        memory: how many bytes the arrays of one chunk may take, about; `WORKSPACE` when left out. On a processor
            more is rarely faster: what leaves the cache is slow.
        compiled: make kernels by torch.compile first, which takes seconds. They are for GPUs: where we measured
            it, a processor was slower with them than without.
        folder: where each finished chunk is saved, in one instant. The same call goes on there after a kill, with
            the same result to the bit; when all is done, it only reads.
        progress: show a bar on stderr; None shows it only on a terminal.

    Returns:
        What became of the runs.

    Raises:
        ValueError: if a device or dtype is none, or `folder` holds another sweep, or chunks of another size.
    """
    engine = _engine(sweep, device, dtype, compiled)
    chunk = _chunk_size(sweep, engine.itemsize, memory, engine.kind)
    store = _Store(folder, _identity(sweep, engine.name, dtype, compiled, chunk))
    loss, measure = np.empty(sweep.runs), np.empty(sweep.runs)
    numbers = range(-(-sweep.runs // chunk))
    saved = {number: done for number in numbers if (done := store.read(number)) is not None}
    missing = _train_chunks(engine, chunk, [number for number in numbers if number not in saved])
    with _progress_bar(progress, sweep) as advance:
        for number, done in itertools.chain(saved.items(), missing):
            if number not in saved:
                store.write(number, done)
            first = number * chunk
            count = min(chunk, sweep.runs - first)
            loss[first : first + count], measure[first : first + count] = (row[:count] for row in done)
            advance(count)
    return Outcome(sweep, loss.reshape(sweep.shape), measure.reshape(sweep.shape))


def _train_chunks(engine, chunk: int, numbers: list[int]) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
    """(number, what became of its runs) of each chunk, as they are done: one chunk in each of the engine's threads."""
    own = threading.local()

    def train(number: int) -> tuple[int, tuple[np.ndarray, np.ndarray]]:
        if not hasattr(own, "train"):
            own.train = engine.trainer(chunk)
        return number, own.train(engine.sweep.hyperparameters(number * chunk, chunk))

    if not numbers:
        return
    with engine.alone(), ThreadPoolExecutor(min(engine.workers, len(numbers))) as pool:
        try:
            for done in as_completed([pool.submit(train, number) for number in numbers]):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)  # whoever stops waits for the chunks at work, not for all


@contextmanager
def one_thread() -> Iterator[None]:
    """Each operation of torch in the thread that asks for it.

    The arrays of a chunk are small: to share each operation out costs more than it brings, most of all on a machine
    that has other work. So it is chunks that are shared out, and a run's result depends on no number of threads.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def bytes_a_run(sweep: Sweep, itemsize: int = 8) -> int:
    """What one run needs in memory, about: weights, gradient, the rule's state, and what the gradient takes."""
    rule = sweep.rule()
    weights = sum(array.size for array in sweep.problem.start.values())
    return itemsize * (sweep.problem.workspace + weights * (3 + 2 * rule.state_per_parameter) + 12)


def _chunk_size(sweep: Sweep, itemsize: int, memory: float | None, kind: str) -> int:
    budget = WORKSPACE[kind] if memory is None else memory
    if not budget > 0:
        raise ValueError(f"memory is a number of bytes above 0, but is {memory!r}.")
    fits = int(min(budget, 1e15)) // bytes_a_run(sweep, itemsize) // LANES * LANES
    return max(LANES, min(fits, -(-sweep.runs // LANES) * LANES))


class _Engine:
    """Where the arrays of a sweep live: how they are made, and how a step is run."""

    name, kind, workers = "numpy", "cpu", 1

    def __init__(self, sweep: Sweep, dtype: str):
        self.sweep, self.dtype = sweep, dtype
        self.itemsize = np.dtype(dtype).itemsize

    def array(self, values):
        return np.asarray(values, dtype=self.dtype)

    def fill(self, buffer, values) -> None:
        buffer[...] = values

    def numbers(self, array) -> np.ndarray:
        return np.asarray(array, dtype=np.float64)

    def step(self, take):
        return take

    def alone(self):
        return nullcontext()

    def quiet(self):
        return np.errstate(all="ignore")  # a run that diverges overflows, and is watched for that

    def trainer(self, chunk: int) -> Callable[[dict[str, np.ndarray]], tuple[np.ndarray, np.ndarray]]:
        """A function that trains one chunk of runs: values of the axes -> (loss, measure), each (chunk,)."""
        sweep, problem = self.sweep, self.sweep.problem
        values = {
            name: self.array(np.full(chunk, value, dtype=float))
            for name, value in {**sweep.fixed, **{axis.name: axis.low for axis in sweep.axes}}.items()
            if name not in _constants(sweep)
        }
        constructor = inspect.signature(sweep.rule).parameters
        constants = {name: sweep.fixed[name] for name in _constants(sweep)}
        rule = sweep.rule(**constants, **{name: values[name] for name in values if name in constructor})
        rates = {name: values.get("lr", values.get(f"lr_{name}")) for name in problem.start}
        settings = {name: values[name] for name in problem.settings}
        start = {name: self.array(np.repeat(array[..., None], chunk, -1)) for name, array in problem.start.items()}
        arrays = {name: self.array(array) for name, array in problem.arrays.items()}
        each_step = {name: self.array(rows) for name, rows in problem.each_step.items()}
        take = self.step(partial(_take_step, problem.loss_and_grad, rule, rates, settings, start))
        lose = partial(problem.loss_and_grad, start, settings)

        def train(chosen: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
            for name, numbers in chosen.items():
                self.fill(values[name], numbers)
            with self.quiet():
                at = {name: rows[0] for name, rows in each_step.items()}
                first, _ = lose({**arrays, **at})
                theta, state = start, {name: rule.init(leaf) for name, leaf in start.items()}
                tally = _new_tally(first)
                for step in range(sweep.steps):
                    at = {name: rows[step] for name, rows in each_step.items()}
                    scalars = tuple(self.array(value) for value in rule.scalars(step))
                    late = self.array(float(step >= sweep.steps - LAST))
                    theta, state, tally = take(theta, state, tally, first, {**arrays, **at}, scalars, late)
                    if step % 32 == 31 and not bool(tally["alive"].any()):
                        break  # all of them have diverged, and nothing can change that
                final, _ = problem.loss_and_grad(theta, settings, {**arrays, **at})
                tally = {name: self.numbers(array) for name, array in tally.items()}
                return _outcome(self.numbers(final), self.numbers(first), tally, sweep.steps)

        return train


class _Torch(_Engine):
    """The same on torch tensors."""

    def __init__(self, sweep: Sweep, dtype: str, device: str, compiled: bool):
        import torch

        super().__init__(sweep, dtype)
        self.torch, self.compiled = torch, compiled
        try:
            self.device = torch.zeros(1, device=device).device
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"torch has no device {device!r} here: {str(error).splitlines()[0]}") from None
        self.name, self.kind = str(self.device), "cpu" if self.device.type == "cpu" else "cuda"
        if self.kind == "cpu" and not compiled:
            self.workers = torch.get_num_threads()

    def array(self, values):
        return self.torch.as_tensor(values, dtype=getattr(self.torch, self.dtype), device=self.device)

    def fill(self, buffer, values) -> None:
        buffer.copy_(self.torch.as_tensor(values))

    def numbers(self, array) -> np.ndarray:
        return array.cpu().double().numpy()

    def step(self, take):
        if not self.compiled:
            return take
        # The compiler counts kernels by code object, and gives up after eight: each sweep gets one of its own.
        own = FunctionType(take.func.__code__.replace(), take.func.__globals__)
        return partial(self.torch.compile(own, fullgraph=True, dynamic=False), *take.args)

    def alone(self):
        return one_thread() if self.kind == "cpu" and not self.compiled else nullcontext()

    def quiet(self):
        return self.torch.no_grad()


def _engine(sweep: Sweep, device: str | None, dtype: str, compiled: bool) -> _Engine:
    if dtype not in ("float64", "float32"):
        raise ValueError(f'dtype is "float64" or "float32", but is {dtype!r}.')
    has_torch = find_spec("torch") is not None
    device = device or ("cpu" if has_torch else "numpy")
    if device == "numpy" and not (compiled or sweep.problem.only_torch):
        return _Engine(sweep, dtype)
    if device == "numpy" or not has_torch:
        raise ValueError(
            "This sweep needs torch: its problem is written in it, or it is to be compiled, or a device of torch's is "
            'asked for. Install gdlab[torch], or take device="numpy" with one of gdlab\'s problems.'
        )
    return _Torch(sweep, dtype, device, compiled)


def _constants(sweep: Sweep) -> set[str]:
    """What of `fixed` goes to the rule's constructor as the number it is."""
    return set(sweep.fixed) & set(inspect.signature(sweep.rule).parameters)


def _take_step(loss_and_grad, rule, rates, settings, start, theta, state, tally, first, arrays, scalars, late):
    """One step of all runs of a chunk: watch the loss, then let the rule move each parameter at its own rate."""
    loss, grad = loss_and_grad(theta, settings, arrays)
    tally = _watch(tally, loss / first, late)
    moved, kept = {}, {}
    for name, leaf in theta.items():
        new, kept[name] = rule.update(leaf, grad[name], state[name], scalars, rates[name])
        # Those that have diverged wait where they began: processors are slow with what is infinite or no number.
        moved[name] = _library(new).where(tally["alive"], new, start[name])
    return moved, kept, tally


def _new_tally(first) -> Arrays:
    zero = first * 0
    return {"alive": zero == 0, "lived": zero, "total": zero, "inverse": zero, "tail": zero}


def _watch(tally, ratio, late):
    """Count one step: `ratio` is L/L₀ of each run, `late` whether this step belongs to the last `LAST`."""
    library = _library(ratio)
    alive = tally["alive"] & (ratio <= LIMIT)  # False for "not a number" as well
    one = library.ones_like(ratio)
    ratio, living = library.where(alive, ratio, one), library.where(alive, one, 0 * one)
    return {
        "alive": alive,
        "lived": tally["lived"] + living,
        "total": tally["total"] + living * ratio,
        "inverse": tally["inverse"] + living / ratio,
        "tail": tally["tail"] + late * (living * ratio + (1 - living) * LIMIT),
    }


def _outcome(final, first, tally, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The loss after the last step, and the measure; see `Outcome`."""
    over = steps - tally["lived"]
    converged = (tally["alive"] > 0) & (tally["tail"] / min(LAST, steps) < 1)
    with np.errstate(all="ignore"):
        measure = np.where(converged, -tally["total"], tally["inverse"] + over / LIMIT)
        alive = (tally["alive"] > 0) & (final / first <= LIMIT)
    return np.where(alive, final, np.inf), measure


# --------------------------------------------------------------------------------- what is saved


def _identity(sweep: Sweep, device: str, dtype: str, compiled: bool, chunk: int) -> dict[str, Any]:
    """What two calls have to share for one to go on where the other stopped."""
    digest = hashlib.sha256()
    problem = sweep.problem
    for group in (problem.start, problem.arrays, problem.each_step):
        for name, array in sorted(group.items()):
            digest.update(f"{name}{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return {
        "problem": problem.name,
        "arrays": digest.hexdigest(),
        "axes": [[axis.name, float(axis.low), float(axis.high), axis.count, axis.log] for axis in sweep.axes],
        "steps": sweep.steps,
        "rule": sweep.rule.__name__,
        "fixed": {name: float(value) for name, value in sorted(sweep.fixed.items())},
        "device": device,
        "dtype": dtype,
        "compiled": compiled,
        "runs in a chunk": chunk,
    }


class _Store:
    """The finished chunks of a sweep in a folder, one file each; without a folder nothing is kept."""

    def __init__(self, folder: str | Path | None, identity: dict[str, Any]):
        self.folder, self.identity = folder and Path(folder), identity
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)

    def _file(self, number: int) -> Path:
        return self.folder / f"chunk-{number:06d}.sweep"

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray] | None:
        """What was saved of a chunk; None where nothing was."""
        if not self.folder or not self._file(number).is_file():
            return None
        try:
            saved = read_checkpoint(self._file(number))
        except CheckpointError:
            return None  # a damaged disk: the chunk is run again
        other = [name for name, value in self.identity.items() if saved.get("sweep", {}).get(name) != value]
        if other:
            raise ValueError(
                f"{self.folder} holds another sweep, which differs in {', '.join(other)}: take another folder, or "
                "ask for the same sweep on the same device with the same memory."
            )
        return saved["loss"], saved["measure"]

    def write(self, number: int, done: tuple[np.ndarray, np.ndarray]) -> None:
        if self.folder:
            loss, measure = done
            write_checkpoint(self._file(number), {"sweep": self.identity, "loss": loss, "measure": measure})


@contextmanager
def _progress_bar(wanted: bool | None, sweep: Sweep) -> Iterator[Callable[[int], None]]:
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda runs: None
        return
    from rich.console import Console  # only here: a sweep without a bar need not load it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TextColumn("runs"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"{sweep.steps} steps each", total=sweep.runs)
        yield lambda runs: bar.advance(task, runs)
