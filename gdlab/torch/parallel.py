"""The loop of `gdlab.torch.loop` in many processes: each takes its share of every batch, gradients are averaged.

    gradient of the batch = (1/n) · Σ_k gradient of the k-th of n equal shares

`join` enters the group of processes that `torchrun` started, and what it returns is `train`'s argument `parallel`.
`replicate` gives every process a copy of the model (DistributedDataParallel); `shard` cuts parameters, gradients and
what the optimizer remembers into n parts, one for each process (FSDP2), for a model that does not fit otherwise.
Checkpoints are folders into which every process writes its own part. When a process is lost, `torchrun
--max-restarts` starts all of them again, and they go on from the newest checkpoint.

    torchrun --standalone --nproc-per-node 2 -m gdlab.torch.parallel --help

Sources: Li et al. 2020, arXiv 2006.15704 (DistributedDataParallel); Zhao et al. 2023, arXiv 2304.11277 (FSDP).
"""

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pydoc_data.topics import topics
from typing import Annotated, Any

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import typer
from torch.distributed.checkpoint.state_dict import (
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from gdlab import counting
from gdlab.loop import NotFinite, write_record
from gdlab.rules import adamw
from gdlab.schedules import warmup_cosine
from gdlab.torch.checkpoint import read_tensors, write_tensors
from gdlab.torch.data import Prefetch, TokenBatches
from gdlab.torch.devices import random_state, widest_float
from gdlab.torch.loop import PROGRESS, OneProcess, TorchRun, progress_of, require, set_progress, train
from gdlab.torch.models import GPT, next_token_loss
from gdlab.torch.optim import RuleOptimizer, here

STARTED_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
STEP = re.compile(r"step-(\d+)")


# ---------------------------------------------------------------- the group


class Processes(OneProcess):
    """The processes that train together, as one of them sees it: what `train(…, parallel=…)` asks.

    Attributes:
        rank: the number of this process, from 0.
        world: how many there are.
        device: where this one computes.
        first: whether it is the one that writes logs (rank 0).
        share: (rank, world), the argument of `DeviceBatches` and `TokenBatches`.
    """

    def __init__(self, rank: int, world: int, device: torch.device):
        self.rank, self.world, self.device = rank, world, device
        self.first, self.share = rank == 0, (rank, world)

    def replicate(self, model: torch.nn.Module) -> DistributedDataParallel:
        """A copy of the model in every process, as the first has it; make the optimizer of its parameters."""
        place = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model.to(self.device), device_ids=place, gradient_as_bucket_view=True)

    def shard(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model cut into parts, one for each process, from the weights that the first has.

        What stands in a `ModuleList` (the blocks of a GPT) is put together layer by layer when its turn comes, the rest
        when the model is called. The model is changed itself: make the optimizer of its parameters afterwards. It may
        lie on the host: only the parts go to the device.
        """
        for tensor in [*model.parameters(), *model.buffers()]:
            dist.broadcast(tensor.detach(), src=0)
        mesh = init_device_mesh(self.device.type, (self.world,))
        lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
        for layer in [layer for layers in lists for layer in layers]:
            fully_shard(layer, mesh=mesh)
        return fully_shard(model, mesh=mesh)

    def micro_batch(self, model: torch.nn.Module, last: bool):
        """A context for one forward and backward pass: gradients are exchanged in the last one before an update."""
        if isinstance(model, DistributedDataParallel):
            return contextlib.nullcontext() if last else model.no_sync()
        if isinstance(model, FSDPModule):
            model.set_requires_gradient_sync(last)
            return contextlib.nullcontext()
        raise ValueError(
            f"{self.world} process(es) would each train a {type(model).__name__} of their own, since nothing averages its "
            "gradients: give train what replicate(model) or shard(model) returned."
        )

    def mean(self, value: torch.Tensor | float) -> torch.Tensor:
        """The mean of the processes' values."""
        dtype = None if isinstance(value, torch.Tensor) else widest_float(self.device)
        total = torch.as_tensor(value, dtype=dtype, device=self.device).detach().clone()
        dist.all_reduce(total)
        return total / self.world

    def weights(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        """A copy of the weights, under the names of the bare model; of a sharded one, this process's parts."""
        return {name: tensor.detach().clone() for name, tensor in get_model_state_dict(model).items()}

    def wait(self) -> None:
        """Wait until every process is here."""
        dist.barrier()

    # ---------------------------------------------------------------- checkpoints

    def save(self, path: str | Path, run: TorchRun) -> None:
        """Save a run into the folder `path`, every process its part.

        The new checkpoint is written beside the old one, which is removed when all of the new one is on the disk: whoever
        is killed in between leaves a whole one.
        """
        folder, growing = Path(path, f"step-{run.step:09d}"), Path(path, f".step-{run.step:09d}.partial")
        if self.first:
            for leftover in Path(path).glob(".step-*.partial"):  # of saves that were killed; nobody reads these
                shutil.rmtree(leftover)
            growing.mkdir(parents=True)
        self.wait()
        dcp.save(_tensors_of(run), checkpoint_id=growing)
        progress = progress_of(run)
        write_tensors(growing / f"chance-{self.rank}.safetensors", {"chance": progress.pop("chance")})
        if self.first:
            best = run.best and {name: run.best[name] for name in ("step", "loss")}
            rules = [group["rule"] for group in run.optimizer.param_groups]
            more = {"best": best, "rules": rules, "world": self.world}
            write_tensors(growing / "progress.safetensors", progress | more)
        self.wait()
        if self.first:
            shutil.rmtree(folder, ignore_errors=True)  # of another run; this one has not been at this step before
            os.replace(growing, folder)
            _flush(folder.parent)
            for step, older in _checkpoints(path).items():
                if step != run.step:
                    shutil.rmtree(older)
        self.wait()

    def take_up(self, path: str | Path, run: TorchRun) -> None:
        """Bring a fresh run to where the newest whole checkpoint in the folder stands, if there is one.

        It may have been saved by more processes or fewer: parameters and what the optimizer remembers are then cut up
        anew. Only torch's own chance (dropout) starts elsewhere.
        """
        newest = torch.tensor(max(_checkpoints(path), default=-1), device=self.device)
        dist.broadcast(newest, src=0)  # one answer for all, also where a shared disk shows files late
        if newest < 0:
            return
        folder = Path(path, f"step-{int(newest):09d}")
        saved = read_tensors(folder / "progress.safetensors")
        require({"best", "rules", "world", *PROGRESS} - {"chance"}, saved, folder)
        rules = [group["rule"] for group in run.optimizer.param_groups]
        if saved["rules"] != rules:
            raise ValueError(
                f"{folder} was saved by the rules {saved['rules']}, but here they are {rules}: use the same."
            )
        own = folder / f"chance-{self.rank}.safetensors"
        chance = read_tensors(own)["chance"] if saved["world"] == self.world else random_state(self.device)
        set_progress(run, saved | {"chance": chance}, folder)
        if saved["best"] is not None:
            run.best = saved["best"] | {"model": self.weights(run.model)}
        tensors = _tensors_of(run)
        dcp.load(tensors, checkpoint_id=folder)
        # That filled the tensors in use. Layers and rules may have more to do when they are loaded: they are told, too.
        set_model_state_dict(run.model, tensors["model"])
        groups = get_optimizer_state_dict(run.model, run.optimizer)["param_groups"]
        states = {"state": tensors["optimizer"], "param_groups": groups}
        set_optimizer_state_dict(run.model, run.optimizer, states)


def _tensors_of(run: TorchRun) -> dict[str, Any]:
    """What of a run is spread over the processes: weights, what the optimizer remembers, the best weights."""
    _take_apart(run.model)
    optimizer = get_optimizer_state_dict(run.model, run.optimizer)["state"]
    best = {} if run.best is None else {"best": run.best["model"]}
    return {"model": get_model_state_dict(run.model), "optimizer": optimizer} | best


def _take_apart(model: torch.nn.Module) -> None:
    """Of a sharded model, leave every process its parts alone: after a validation what was put together still is."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def _checkpoints(path: str | Path) -> dict[int, Path]:
    """The whole checkpoints of a folder, by their steps."""
    found = {STEP.fullmatch(entry.name): entry for entry in Path(path).glob("step-*")}
    return {int(match[1]): entry for match, entry in found.items() if match}


def _flush(folder: Path) -> None:
    """Have a renaming survive a power cut too."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


@contextlib.contextmanager
def join(device: str | None = None) -> Iterator[Processes]:
    """Enter the group of processes that `torchrun` started, or a group of one if nobody did.

    Args:
        device: "cuda" or "cpu"; the fastest of the two that is here when left out. On a machine with several GPUs each
            process takes one. (Apple's GPUs cannot talk to each other: there it is the processor.)

    Raises:
        ValueError: if there are more processes than GPUs, or the environment is only half of torchrun's.

    >>> with join("cpu") as group:
    ...     group.rank, group.world, group.mean(3.0).item()
    (0, 1, 3.0)
    """
    known = [name for name in STARTED_BY_TORCHRUN if name in os.environ]
    if known and len(known) < len(STARTED_BY_TORCHRUN):
        absent = ", ".join(sorted(set(STARTED_BY_TORCHRUN) - set(known)))
        raise ValueError(f"The environment has {', '.join(known)}, but no {absent}: start the program with torchrun.")
    rank, world, number, neighbours = (
        int(os.environ.get(name, alone)) for name, alone in zip(STARTED_BY_TORCHRUN, (0, 1, 0, 1), strict=False)
    )
    where = _own_device(device, number, neighbours)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    if world == neighbours and sys.platform != "win32":  # all on one machine: nothing has to leave it
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    how = {}
    if not known or world == neighbours and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        how |= {"store": _own_store() if known else dist.HashStore(), "rank": rank, "world_size": world}
    how |= {"device_id": where} if where.type == "cuda" else {}
    dist.init_process_group("cpu:gloo,cuda:nccl" if where.type == "cuda" else "gloo", **how)
    try:
        yield Processes(rank, world, where)
    finally:
        dist.destroy_process_group()


def _own_store() -> dist.Store:
    """Where the processes of this attempt find each other: a part of torchrun's store that is this attempt's alone.

    The store outlives the processes, and torch 2.13 would look up the addresses of those that are gone
    (https://github.com/pytorch/pytorch/issues/135712). The attempts are counted on each machine for itself, so this
    helps where there is one; for several, TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 gives every attempt a store of its own.
    """
    store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
    return dist.PrefixStore(f"attempt-{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)


def _own_device(device: str | None, number: int, neighbours: int) -> torch.device:
    """The device of the process with this number among those of one machine."""
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if kind not in ("cuda", "cpu"):
        raise ValueError(f"device is 'cuda' or 'cpu', the two that processes can train on together, but is {device!r}.")
    if kind == "cpu":
        return torch.device("cpu")
    if neighbours > torch.cuda.device_count():
        raise ValueError(
            f"{neighbours} processes on this machine need a GPU each, but it has {torch.cuda.device_count()}: start fewer "
            "(torchrun --nproc-per-node), or train on the processor (--device cpu)."
        )
    return torch.device("cuda", number)


# ---------------------------------------------------------------- bookkeeping


@dataclass(frozen=True)
class Plan:
    """How an update's batch is cut up; `counting` does the arithmetic.

    Attributes:
        processes: how many take a share of each micro-batch.
        micro_batch: sequences that one process looks at together.
        accumulation: micro-batches that each process adds up before an update.
        global_batch: sequences behind one update.
        seq_len: tokens in a sequence.

    >>> print(Plan.of(processes=2, global_batch=16, micro_batch=4, seq_len=32))
    2 processes x 4 sequences x 2 accumulated = 16 sequences of 32 tokens = 512 tokens for each update
    """

    processes: int
    micro_batch: int
    accumulation: int
    global_batch: int
    seq_len: int

    @classmethod
    def of(cls, processes: int, global_batch: int, micro_batch: int, seq_len: int) -> "Plan":
        """The plan with this global batch; raises ValueError if it cannot be cut up evenly."""
        accumulation = counting.accumulation_steps(global_batch, micro_batch, processes)
        return cls(processes, micro_batch, accumulation, global_batch, seq_len)

    @property
    def tokens_per_step(self) -> int:
        return counting.tokens_per_step(self.micro_batch, self.seq_len, self.accumulation, self.processes)

    def __str__(self) -> str:
        processes = f"{self.processes} process{'es' * (self.processes > 1)}"
        return (
            f"{processes} x {self.micro_batch} sequences x {self.accumulation} accumulated = "
            f"{self.global_batch} sequences of {self.seq_len} tokens = {self.tokens_per_step:,} tokens for each update"
        )


def numbers_held(optimizer: torch.optim.Optimizer) -> tuple[int, int]:
    """How many numbers the optimizer remembers in this process, and in all of them together, copies counted once.

    >>> from gdlab.rules import adamw
    >>> theta = torch.nn.Parameter(torch.ones(3))
    >>> theta.grad = torch.ones(3)
    >>> optimizer = RuleOptimizer([theta], adamw(), lr=0.1, compiled=False)
    >>> optimizer.step()
    >>> numbers_held(optimizer)
    (6, 6)
    """
    kept = [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]
    return sum(here(value).numel() for value in kept), sum(value.numel() for value in kept)


def usable_folder(path: str | Path) -> Path:
    """The folder, made if need be; a ValueError now if nothing can be written there, and not after an hour."""
    folder = Path(path)
    trial = folder / f".trial-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as problem:
        raise ValueError(
            f"Checkpoints cannot be written into {folder}: {problem.strerror}. Name a folder that can be written to."
        ) from problem
    return folder


# ---------------------------------------------------------------- a run from the command line

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command()
def main(
    steps: Annotated[int, typer.Option(help="Updates of the whole run, those before a restart included.")] = 50,
    global_batch: Annotated[int, typer.Option(help="Sequences behind one update.")] = 16,
    micro_batch: Annotated[int, typer.Option(help="Sequences that one process looks at together.")] = 4,
    sharded: Annotated[bool, typer.Option("--shard", help="Cut the model up (FSDP2) instead of copying it.")] = False,
    lr: Annotated[float, typer.Option(help="Peak learning rate; it warms up and falls along a cosine.")] = 3e-3,
    context: Annotated[int, typer.Option(help="Tokens in a sequence.")] = 32,
    width: Annotated[int, typer.Option(help="Width of the GPT; a multiple of 16.")] = 64,
    layers: Annotated[int, typer.Option(help="Blocks of the GPT.")] = 2,
    bfloat16: Annotated[bool, typer.Option("--bfloat16", help="Mixed precision.")] = False,
    text: Annotated[Path | None, typer.Option(help="What it learns to write; the manual of Python by default.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder to save in, and to go on from.")] = None,
    checkpoint_every: Annotated[int, typer.Option(help="Updates between two checkpoints.")] = 20,
    log_every: Annotated[int, typer.Option(help="Updates between two lines of the log.")] = 10,
    record: Annotated[Path | None, typer.Option(help="Write every update's row to this .csv or .jsonl.")] = None,
    device: Annotated[str | None, typer.Option(help="cuda or cpu; the faster one that is here by default.")] = None,
    seed: Annotated[int, typer.Option(help="Of the start and the shuffling.")] = 0,
) -> None:
    """Train a small GPT on the bytes of a text, in as many processes as torchrun starts.

    [bold]Two processes:[/]  torchrun --standalone --nproc-per-node 2 -m gdlab.torch.parallel

    [bold]A model cut up among four, which goes on after a crash:[/]  torchrun --standalone --nproc-per-node 4 --max-restarts 3 -m gdlab.torch.parallel --shard --checkpoint run

    [bold]On two machines:[/]  TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m gdlab.torch.parallel --global-batch 256 --micro-batch 4

    [bold]One process:[/]  python -m gdlab.torch.parallel
    """
    try:
        with join(device) as group:
            plan = Plan.of(group.world, global_batch, micro_batch, context)
            folder = None if checkpoint is None else usable_folder(checkpoint)
            say = print if group.first else _say_nothing
            say(f"{plan}; {counting.total_tokens(steps, global_batch, context):,} in {steps} updates.", flush=True)
            torch.manual_seed(seed)
            bare = GPT(256, context, width, layers, heads=width // 16)
            model = group.shard(bare) if sharded else group.replicate(bare)
            optimizer = RuleOptimizer(model.parameters(), adamw(), lr, compiled=group.device.type == "cuda")
            rng = np.random.default_rng(seed)
            windows = TokenBatches(_bytes_of(text), micro_batch * group.world, context, rng, group.share)
            run = train(
                model,
                next_token_loss,
                Prefetch(windows, group.device),
                optimizer,
                steps,
                schedule=partial(warmup_cosine, peak_lr=lr, total_steps=steps, warmup_steps=steps // 10),
                accumulation=plan.accumulation,
                max_norm=1.0,
                precision=torch.bfloat16 if bfloat16 else None,
                checkpoint=folder,
                checkpoint_every=folder and checkpoint_every,
                resume=folder is not None,
                parallel=group,
                log_every=log_every,
                log=lambda row: say(_line(row), flush=True),
                tokens_per_step=plan.tokens_per_step,
            )
            own, everywhere = numbers_held(optimizer)
            say(f"AdamW remembers {everywhere:,} numbers; this process holds {own:,} of them.")
            if record is not None and group.first:
                write_record(run.record, record)
    except (ValueError, NotFinite) as problem:
        if int(os.environ.get("RANK", 0)) == 0:
            print(problem, file=sys.stderr, flush=True)
        raise typer.Exit(1) from None


def _say_nothing(*_, **__) -> None:
    """What all processes but the first do with a line of the log."""


def _line(row: dict[str, Any]) -> str:
    return f"step {row['step']:5}  loss {row['loss']:.6f}  {row['tokens_per_second']:,.0f} tokens a second"


def _bytes_of(text: Path | None) -> np.ndarray:
    """The bytes of a file, or of the manual that comes with Python."""
    if text is None:
        pages = [page for _, page in sorted(topics.items())]
        return np.frombuffer("\n".join(pages).encode(), np.uint8)
    if not text.is_file():
        raise ValueError(f"There is no file {text}: --text names the text to learn from.")
    return np.frombuffer(text.read_bytes(), np.uint8)


if __name__ == "__main__":
    app()
