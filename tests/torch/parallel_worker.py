"""What `test_parallel.py` starts in several processes at once; each writes what it saw to FOLDER/WORLD-RANK.json.

python -m torch.distributed.run --nproc-per-node 2 parallel_worker.py FOLDER curves|killed
"""

import json
import math
import os
import signal
import socket
import struct
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.utils._python_dispatch import TorchDispatchMode

from gdlab import rules
from gdlab.loop import NotFinite
from gdlab.schedules import warmup_cosine
from gdlab.torch.data import TokenBatches
from gdlab.torch.loop import train
from gdlab.torch.models import GPT, next_token_loss
from gdlab.torch.optim import RuleOptimizer
from gdlab.torch.parallel import join, numbers_held

STEPS, BATCH, CONTEXT = 12, 8, 6
TOKENS = np.random.default_rng(0).integers(16, size=40 * CONTEXT + 1)  # five whole batches an epoch
SCHEDULE = partial(warmup_cosine, peak_lr=0.02, warmup_steps=3, total_steps=STEPS, floor_lr=0.001)
WORST = 0.45
"""A norm that clips some steps and not others."""


def small_gpt(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    return GPT(vocabulary=16, context=CONTEXT, width=8, layers=2, heads=2, dropout=dropout).double()


def adam_of(model):
    return RuleOptimizer(model.parameters(), rules.adamw(weight_decay=0.1), lr=0.02, compiled=False)


def held_out(model):
    inputs, targets = next(TokenBatches(TOKENS, 16, CONTEXT, np.random.default_rng(9)))
    return next_token_loss(model, (inputs, targets))


def run_of(model, share=(0, 1), accumulation=1, steps=STEPS, loss_of=next_token_loss, **how):
    """The same global batch, whatever the number of processes and of pieces."""
    batches = TokenBatches(TOKENS, BATCH // accumulation, CONTEXT, np.random.default_rng(3), share)
    how = {"schedule": SCHEDULE, "max_norm": WORST, "validate": held_out, "validate_every": 4, "log_every": 5} | how
    return train(model, loss_of, batches, adam_of(model), steps, accumulation=accumulation, **how)


def curve(run):
    """Loss, gradient norm and validation loss at every step."""
    return [[row["loss"], row["grad_norm"], row.get("val_loss")] for row in run.record]


def sentence_of(call):
    try:
        call()
    except (ValueError, NotFinite) as problem:
        return f"{type(problem).__name__}: {problem}"


def one_share_is_bad(group):
    """A loss that is not a number at the fourth step, and in the last process only."""
    calls = []

    def loss_of(model, batch):
        calls.append(None)
        bad = len(calls) == 4 and group.rank == group.world - 1
        return next_token_loss(model, batch) * (math.nan if bad else 1.0)

    return loss_of


class Called(TorchDispatchMode):
    """The names of the operations that ran, messages among them."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func._schema.name)
        return func(*args, **(kwargs or {}))


def bucket_bytes(group):
    """What DistributedDataParallel hands over to be averaged in one backward pass."""
    sent, model = [], group.replicate(small_gpt())

    def count(state, bucket):
        sent.append(bucket.buffer().nbytes)
        return allreduce_hook(state, bucket)

    model.register_comm_hook(None, count)
    run_of(model, group.share, accumulation=2, steps=1, parallel=group)
    return sum(sent)


def bytes_that_left():
    """What this process has sent over TCP, as the kernel of Linux counts it: tcp_info's bytes_acked, 120 bytes in."""
    total = 0
    for number in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(number))) as one:
                if one.type == socket.SOCK_STREAM and one.family in (socket.AF_INET, socket.AF_INET6):
                    total += struct.unpack_from("Q", one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 120)[0]
        except OSError:  # a file, or a socket that listens
            continue
    return total


def sent_in_an_all_reduce(group, numbers=1_000_000):
    """Bytes of a row of numbers, and the bytes that this process sent until all had its sum."""
    row = torch.ones(numbers)
    torch.distributed.all_reduce(row)
    group.wait()
    before = bytes_that_left()
    torch.distributed.all_reduce(row)
    group.wait()
    return [row.nbytes, bytes_that_left() - before]


def ways_of(group):
    return {"replicated": group.replicate, "sharded": group.shard}


def curves(group, folder):
    """The same run in every way, and going on with what two processes saved."""
    seen = {"share": group.share, "first": group.first}
    for way, spread in ways_of(group).items():
        for accumulation in (1, 2):
            model = spread(small_gpt(seed=group.rank))  # each starts elsewhere, and takes the first one's weights
            run = run_of(model, group.share, accumulation, parallel=group)
            seen[f"{way} {accumulation}"] = curve(run)
        own, everywhere = numbers_held(run.optimizer)
        kinds = {type(state["m"]).__name__ for state in run.optimizer.state.values()}
        seen[f"{way} held"] = [own, everywhere, *kinds]
        begun = folder / f"begun-{way}"
        if group.world == 2:
            run_of(spread(small_gpt()), group.share, steps=7, checkpoint=begun, parallel=group)
        else:
            taken = run_of(spread(small_gpt()), group.share, checkpoint=begun, resume=True, parallel=group)
            seen[f"{way} taken up"], seen[f"{way} best"] = curve(taken), [taken.best["step"], taken.best["loss"]]
    seen["bucket bytes"] = bucket_bytes(group)
    if sys.platform == "linux":
        seen["all-reduce"] = sent_in_an_all_reduce(group)
    return seen | (corners(group, folder) if group.world == 2 else {})


def corners(group, folder):
    """What two processes are enough for."""
    seen, printed = {}, []
    for way, spread in ways_of(group).items():
        # With dropout, so that chance counts: never stopped, and stopped after 5 steps, in which it was the best so far.
        whole = run_of(spread(small_gpt(dropout=0.2)), group.share, parallel=group)
        saved = {"checkpoint": folder / way, "resume": True, "parallel": group}
        for steps in (5, STEPS):
            torch.manual_seed(77)
            resumed = run_of(spread(small_gpt(dropout=0.2)), group.share, steps=steps, **saved)
        seen[f"{way} whole"], seen[f"{way} resumed"] = curve(whole), curve(resumed)
        seen[f"{way} files"] = sorted(path.name for path in saved["checkpoint"].rglob("*"))
        model = spread(small_gpt())
        bad = partial(run_of, model, group.share, loss_of=one_share_is_bad(group), parallel=group)
        seen[f"{way} bad"] = sentence_of(bad)
    model = group.shard(small_gpt())
    with Called() as called:
        run_of(model, group.share, accumulation=2, steps=1, parallel=group)
    seen["sums of parts"] = called.names.count("c10d::_reduce_scatter_base_")
    other = RuleOptimizer(model.parameters(), rules.lion(), lr=0.1, compiled=False)
    batches = TokenBatches(TOKENS, BATCH, CONTEXT, np.random.default_rng(3), group.share)
    seen["other rule"] = sentence_of(
        lambda: train(model, next_token_loss, batches, other, 20, checkpoint=folder / way, resume=True, parallel=group)
    )
    seen["bare"] = sentence_of(lambda: run_of(small_gpt(), group.share, parallel=group))
    matrix = group.shard(torch.nn.Linear(4, 4, bias=False))
    seen["muon"] = sentence_of(lambda: RuleOptimizer(matrix.parameters(), rules.muon(), lr=0.1))
    run_of(group.replicate(small_gpt()), group.share, parallel=group, log=printed.append)
    return seen | {"lines of the log": len(printed)}


def killed(group, folder):
    """Twice killed: the second process while it trains, then the first while it saves. Lines of what was begun."""
    attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    calls = []

    def loss_of(model, batch):
        if model.training:
            calls.append(None)
        if attempt == 0 and group.rank == 1 and len(calls) == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        return next_token_loss(model, batch)

    if attempt == 1 and group.first:
        rename = os.replace
        os.replace = lambda a, b: os.kill(os.getpid(), signal.SIGKILL) if "step-000000009" in str(b) else rename(a, b)
    if group.first:
        (folder / "killed" / ".step-000000002.partial").mkdir(parents=True, exist_ok=True)  # of an earlier save
    model = group.shard(small_gpt(dropout=0.2))
    saved = {"checkpoint": folder / "killed", "checkpoint_every": 3, "resume": True, "parallel": group}
    run = run_of(model, group.share, loss_of=loss_of, **saved)
    return {"attempt": attempt, "calls": len(calls), "curve": curve(run)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    target = Path(sys.argv[1])
    with join("cpu") as processes:
        result = {"curves": curves, "killed": killed}[sys.argv[2]](processes, target)
    Path(target, f"{sys.argv[2]}-{processes.world}-{processes.rank}.json").write_text(json.dumps(result))
