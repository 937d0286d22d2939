"""The training loop on a device: forward, backward, clip, step, and nothing that waits for the GPU.

    for step in range(total_steps):
        for batch in accumulated batches:
            (loss_of(model, batch) / accumulation).backward()
        clip_grad_norm_(parameters, max_norm)
        optimizer.step()
        optimizer.zero_grad()

`train` is these lines with what real projects add around them: mixed precision, a schedule, validation, checkpoints
from which a run goes on bit for bit as if it had never stopped, throughput, many processes (`gdlab.torch.parallel`),
and a halt when a number is no longer finite. A GPU works while the host runs ahead, as long as nothing asks it for a number. So losses and norms are kept
on the device and read once every `log_every` steps, and the halt is decided there as well: from the first step whose
loss or gradient is not finite nothing moves any more, and the host learns of it at the next reading.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from gdlab.loop import CheckpointError, NotFinite
from gdlab.torch.checkpoint import read_tensors, write_tensors
from gdlab.torch.devices import random_state, set_random_state, widest_float
from gdlab.torch.optim import RuleOptimizer

WARM_UP_STEPS = 3
"""Steps before a CUDA graph is captured: by then everything is compiled and allocated."""


@dataclass
class TorchRun:
    """A training run: where it stands, and what happened so far.

    Attributes:
        model, optimizer, batches: what `train` was given.
        step: how many updates were made, which is the number of the next one.
        record: one dict per update: step, lr, loss and grad_norm (before clipping), and where they were read
            steps_per_second, tokens_per_second and mfu; val_loss where it was measured.
        best: {"step", "loss", "model"} at the lowest validation loss; None without validation.
        scaler: the loss scale of float16; None otherwise.
    """

    model: torch.nn.Module
    optimizer: RuleOptimizer
    batches: Any
    step: int = 0
    record: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    scaler: torch.amp.GradScaler | None = None


class OneProcess:
    """What `train` asks of the processes that train together, answered for one alone.

    Attributes:
        first: whether this process writes the log.
    """

    first = True

    def micro_batch(self, model: torch.nn.Module, last: bool):
        """A context for the passes over one batch; `last` says that an update follows it."""
        return contextlib.nullcontext()

    def mean(self, value: torch.Tensor | float) -> torch.Tensor | float:
        """The mean of what the processes measured."""
        return value

    def weights(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        """A copy of the weights."""
        return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def save(self, path: str | Path, run: TorchRun) -> None:
        """Save the run; all processes call it together."""
        save_run(path, run)

    def take_up(self, path: str | Path, run: TorchRun) -> None:
        """Bring a fresh run to where the saved one stands, if there is one."""
        if Path(path).exists():
            _take_up(run, path)


def train(
    model: torch.nn.Module,
    loss_of: Callable[[torch.nn.Module, Any], torch.Tensor],
    batches,
    optimizer: RuleOptimizer,
    total_steps: int,
    *,
    schedule: Callable[[int], float] | None = None,
    accumulation: int = 1,
    max_norm: float | None = None,
    precision: torch.dtype | None = None,
    captured: bool = False,
    validate: Callable[[torch.nn.Module], torch.Tensor | float] | None = None,
    validate_every: int | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    parallel: OneProcess | None = None,
    log_every: int = 20,
    log: Callable[[dict[str, Any]], None] | None = None,
    stop_on_nan: bool = True,
    tokens_per_step: int | None = None,
    flops_per_step: float | None = None,
    peak_flops: float | None = None,
) -> TorchRun:
    """Train a model.

    Args:
        model: on the device that it is trained on.
        loss_of: (model, batch) -> the batch's mean loss, a tensor of no dimension. `torch.compile` of one is one, too.
        batches: batches on the model's device without end, with `state` and `restore` (`gdlab.torch.data`).
        optimizer: of the model's parameters.
        total_steps: how many updates the whole run makes, those before a resume included.
        schedule: step -> the learning rate of all groups; each group keeps its own when left out.
        accumulation: batches behind one update. Their mean losses are averaged: make them equally long.
        max_norm: clip the gradients' common norm to this.
        precision: torch.bfloat16 or torch.float16 for mixed precision. float16 scales the loss, and skips the
            steps in which the scaled gradient overflows.
        captured: capture the whole step as a CUDA graph after a few steps: one launch a step, for models so small
            that launches are what takes the time. All batches must have one shape.
        validate: model -> validation loss; called without gradients, in evaluation mode ...
        validate_every: ... whenever so many updates were made.
        checkpoint: the file to save the run in, at the end and ... With `parallel` it is a folder.
        checkpoint_every: ... whenever so many updates were made.
        resume: go on from `checkpoint` if that file exists, and start anew if it does not.
        parallel: the processes that train together (`gdlab.torch.parallel.join`), each on its own share of every
            batch. Losses are then those of the whole batch, and so is what `validate` returns: the processes' mean.
        log_every: how many steps go by between two readings of the device.
        log: called with the last row of each reading, in the first process only.
        stop_on_nan: let nothing move from the first loss or gradient on that is not finite, and say so.
        tokens_per_step: of all accumulated batches; the record then has tokens_per_second.
        flops_per_step, peak_flops: what a step computes (`counting.training_flops`), and what the device can do in
            a second; the record then has mfu, the part of it that is used.

    Raises:
        NotFinite: see `stop_on_nan`; the parameters are those of before the bad step.
        ValueError: if the arguments contradict each other or the checkpoint's.
    """
    device = next(model.parameters()).device
    _check_arguments(device, total_steps, accumulation, log_every, captured, precision, parallel)
    _check_pairs(validate, validate_every, checkpoint, checkpoint_every, resume)
    parallel = parallel or OneProcess()
    if precision == torch.float16 and any(isinstance(parameter, DTensor) for parameter in model.parameters()):
        raise ValueError(
            "float16 skips a step whose gradient overflows, and of a sharded gradient each process sees a part only: use "
            "torch.bfloat16, or replicate the model."
        )
    scaler = torch.amp.GradScaler(device.type) if precision == torch.float16 else None
    run = TorchRun(model, optimizer, batches, scaler=scaler)
    if resume:
        parallel.take_up(checkpoint, run)
    update = _Update(run, loss_of, device, accumulation, max_norm, precision, stop_on_nan, schedule, parallel)
    step_once = _Captured(update) if captured else update
    log = log if parallel.first else None
    reading = _Reading(run, device, log_every, log, stop_on_nan, tokens_per_step, flops_per_step, peak_flops)
    model.train()
    saved = run.step or None  # what was taken up need not be written again
    while run.step < total_steps:
        rate = update.set_rate(run.step)
        loss, norm = step_once([next(batches) for _ in range(accumulation)])
        reading.keep(loss, norm, rate)
        run.step += 1
        validating = validate_every is not None and run.step % validate_every == 0
        saving = checkpoint_every is not None and run.step % checkpoint_every == 0
        if reading.full or validating or saving or run.step == total_steps:
            reading.read()
        if validating:
            _validate(run, validate, parallel)
        if saving:
            parallel.save(checkpoint, run)
            saved = run.step
    if checkpoint is not None and saved != run.step:
        parallel.save(checkpoint, run)
    return run


def _check_arguments(device, total_steps, accumulation, log_every, captured, precision, parallel) -> None:
    for name, value, least in (
        ("total_steps", total_steps, 0),
        ("accumulation", accumulation, 1),
        ("log_every", log_every, 1),
    ):
        if value != int(value) or value < least:
            raise ValueError(f"{name} is a whole number from {least} up, but is {value!r}.")
    if precision not in (None, torch.bfloat16, torch.float16):
        raise ValueError(f"precision is torch.bfloat16, torch.float16 or None, but is {precision!r}.")
    if captured and parallel is not None:
        raise ValueError("captured makes a graph of one process's step: with parallel, leave it out.")
    if captured and (device.type != "cuda" or precision == torch.float16):
        raise ValueError(
            f"captured makes a CUDA graph of the step: it needs an NVIDIA GPU and no float16, whose scale the host keeps, "
            f"but the model is on {device} and precision is {precision}."
        )


def _check_pairs(validate, validate_every, checkpoint, checkpoint_every, resume) -> None:
    if (validate is None) != (validate_every is None):
        raise ValueError("validate says what to measure and validate_every how often: give both or neither.")
    if checkpoint is None and (checkpoint_every is not None or resume):
        raise ValueError("checkpoint_every and resume need to know the file: name it with checkpoint=….")
    for name, value in (("validate_every", validate_every), ("checkpoint_every", checkpoint_every)):
        if value is not None and (value != int(value) or value < 1):
            raise ValueError(f"{name} is a whole number of steps from 1 up, but is {value!r}.")


# ---------------------------------------------------------------- one update


class _Update:
    """One update; everything in it stays on the device.

    Attributes:
        bad: 1 from the first loss or gradient on that was not finite, else 0: the optimizer moves nothing where it is 1.
    """

    def __init__(self, run, loss_of, device, accumulation, max_norm, precision, stop_on_nan, schedule, parallel):
        self.run, self.loss_of, self.device, self.parallel = run, loss_of, device, parallel
        self.accumulation, self.max_norm = accumulation, max_norm
        self.precision, self.schedule, self.guarded = precision, schedule, stop_on_nan and run.scaler is None
        self.params = [p for group in run.optimizer.param_groups for p in group["params"]]
        self.bad = torch.zeros((), device=device)
        self.lr = torch.zeros((), dtype=widest_float(device), device=device)
        if schedule is not None:
            for group in run.optimizer.param_groups:
                group["lr"] = self.lr
        else:
            self.own_rate = float(run.optimizer.param_groups[0]["lr"])

    def set_rate(self, step: int) -> float:
        """Put this step's rate on the device; returns it (the first group's, without a schedule)."""
        if self.schedule is None:
            return self.own_rate
        rate = float(self.schedule(step))
        self.lr.fill_(rate)
        return rate

    def __call__(self, batches: list) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean loss of the batches and the gradients' norm, both before the update."""
        run, total = self.run, torch.zeros((), device=self.device)
        for number, batch in enumerate(batches):
            with self.parallel.micro_batch(run.model, last=number + 1 == len(batches)):
                with self._precision():
                    loss = self.loss_of(run.model, batch) / self.accumulation
                (loss if run.scaler is None else run.scaler.scale(loss)).backward()
            total = total + loss.detach()
        total = self.parallel.mean(total)
        if run.scaler is not None:
            run.scaler.unscale_(run.optimizer)
        norm = self._clip()
        if run.scaler is not None:
            run.scaler.step(run.optimizer)
            run.scaler.update()
        else:
            self._guarded_step(total, norm)
        run.optimizer.zero_grad(set_to_none=True)
        return total, norm

    def _precision(self):
        if self.precision is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.precision)

    def _clip(self) -> torch.Tensor:
        if self.max_norm is not None:
            norm = torch.nn.utils.clip_grad_norm_(self.params, self.max_norm)
        else:
            norm = torch.nn.utils.get_total_norm([p.grad for p in self.params if p.grad is not None])
        return norm.full_tensor() if isinstance(norm, DTensor) else norm  # of sharded gradients each process has a part

    def _guarded_step(self, loss: torch.Tensor, norm: torch.Tensor) -> None:
        optimizer = self.run.optimizer
        if not self.guarded:
            optimizer.step()
            return
        self.bad.copy_(torch.maximum(self.bad, 1.0 - torch.isfinite(loss + norm).to(self.bad.dtype)))
        optimizer.found_inf = self.bad
        try:
            optimizer.step()
        finally:
            del optimizer.found_inf


class _Captured:
    """An update as a CUDA graph: after a few real steps the launches of one are recorded, and then played back."""

    def __init__(self, update: _Update):
        self.update, self.done, self.graph = update, 0, None
        self.stream = torch.cuda.Stream(update.device)

    def __call__(self, batches: list) -> tuple[torch.Tensor, torch.Tensor]:
        self.done += 1
        if self.done <= WARM_UP_STEPS:
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                result = self.update(batches)
            torch.cuda.current_stream().wait_stream(self.stream)
            return result
        if self.graph is None:
            self.inputs = [tuple(part.clone() for part in batch) for batch in batches]
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.result = self.update(self.inputs)
        for held, batch in zip(self.inputs, batches, strict=True):
            for place, part in zip(held, batch, strict=True):
                if place.shape != part.shape:
                    raise ValueError(
                        f"A captured step has fixed shapes, here {tuple(place.shape)}, but a batch has "
                        f"{tuple(part.shape)}: drop the last short batch (drop_last=True)."
                    )
                place.copy_(part, non_blocking=True)
        self.graph.replay()
        return self.result


# ---------------------------------------------------------------- reading the device


class _Reading:
    """Losses and norms, kept on the device until they are read together: one wait for many steps."""

    def __init__(self, run, device, log_every, log, stop_on_nan, tokens_per_step, flops_per_step, peak_flops):
        self.run, self.log, self.stop_on_nan = run, log, stop_on_nan
        self.tokens, self.flops, self.peak = tokens_per_step, flops_per_step, peak_flops
        self.window = torch.zeros(log_every, 2, dtype=widest_float(device), device=device)
        self.rates: list[float] = []
        self.since = time.perf_counter()

    @property
    def full(self) -> bool:
        return len(self.rates) == len(self.window)

    def keep(self, loss: torch.Tensor, norm: torch.Tensor, rate: float) -> None:
        self.window[len(self.rates), 0].copy_(loss)
        self.window[len(self.rates), 1].copy_(norm)
        self.rates.append(rate)

    def read(self) -> None:
        """Write the rows of the record; raises NotFinite at the first that is not."""
        run, first = self.run, self.run.step - len(self.rates)
        values = self.window[: len(self.rates)].tolist()  # waits for the device
        for k, (loss, norm) in enumerate(values):
            finite = np.isfinite(loss) and (np.isfinite(norm) or run.scaler is not None)
            if self.stop_on_nan and not finite:
                run.step = first + k
                raise NotFinite(
                    f"Training stopped at step {run.step}: the loss is {loss:.6g} and the gradient's norm {norm:.6g}. The "
                    f"learning rate was {self.rates[k]:.6g}; nothing has moved since. Try a lower rate, clip the gradient "
                    "(max_norm), or look at this batch.",
                    run,
                )
            run.record.append({"step": first + k, "lr": self.rates[k], "loss": loss, "grad_norm": norm})
        self._add_speed(len(values))
        if self.log is not None:
            self.log(run.record[-1])

    def _add_speed(self, steps: int) -> None:
        now = time.perf_counter()
        speed, self.since, self.rates = steps / (now - self.since), now, []
        row = self.run.record[-1]
        row["steps_per_second"] = speed
        if self.tokens is not None:
            row["tokens_per_second"] = self.tokens * speed
        if self.flops is not None and self.peak is not None:
            row["mfu"] = self.flops * speed / self.peak


def _validate(run: TorchRun, validate: Callable, parallel: OneProcess) -> None:
    run.model.eval()
    with torch.no_grad():
        loss = float(parallel.mean(validate(run.model)))
    run.model.train()
    run.record[-1]["val_loss"] = loss
    if run.best is None or loss < run.best["loss"]:
        run.best = {"step": run.step, "loss": loss, "model": parallel.weights(run.model)}


# ---------------------------------------------------------------- checkpoints


def save_run(path: str | Path, run: TorchRun) -> None:
    """Save a run into one safetensors file, the old one's place taken in one instant (`gdlab.torch.checkpoint`).

    Model, optimizer, the place in the data, what happened so far, the loss scale, and where torch's own chance stands.
    """
    content = {"model": run.model.state_dict(), "optimizer": run.optimizer.state_dict(), "best": run.best}
    write_tensors(path, content | progress_of(run))


def progress_of(run: TorchRun) -> dict[str, Any]:
    """What a run has besides model and optimizer, and goes on from."""
    return {
        "batches": run.batches.state(),
        "step": run.step,
        "record": run.record,
        "scaler": None if run.scaler is None else run.scaler.state_dict(),
        "chance": random_state(_device_of(run)),
    }


PROGRESS = ("batches", "step", "record", "scaler", "chance")
"""The names in what `progress_of` returns."""


def require(names: set[str], saved: dict[str, Any], path: str | Path) -> None:
    """Raise CheckpointError if the file lacks one of these."""
    missing = names - set(saved)
    if missing:
        raise CheckpointError(f"{path} holds no {', '.join(sorted(missing))}: resume needs a file that train wrote.")


def set_progress(run: TorchRun, saved: dict[str, Any], path: str | Path) -> None:
    """Bring a run to where `progress_of` found another; `path` is where that one was saved."""
    if (saved["scaler"] is None) != (run.scaler is None):
        raise ValueError(f"{path} was saved with and this run is without float16, or the reverse: use one precision.")
    run.batches.restore(saved["batches"])
    if run.scaler is not None:
        run.scaler.load_state_dict(saved["scaler"])
    run.step, run.record = saved["step"], saved["record"]
    set_random_state(_device_of(run), saved["chance"])


def _take_up(run: TorchRun, path: str | Path) -> None:
    saved = read_tensors(path)
    require({"model", "optimizer", "best", *PROGRESS}, saved, path)
    set_progress(run, saved, path)
    run.model.load_state_dict(saved["model"])
    run.optimizer.load_state_dict(saved["optimizer"])
    run.best = saved["best"]


def _device_of(run: TorchRun) -> torch.device:
    return next(run.model.parameters()).device
