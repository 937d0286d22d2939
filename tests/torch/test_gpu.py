"""What only a GPU does: a captured graph is replayed, no step waits, and memory is counted to the byte.

Where there is no GPU, this file is not collected (`conftest.py`).
"""

import math
from functools import partial

import pytest
import torch

from gdlab import rules
from gdlab.bench import torch as bench
from gdlab.loop import NotFinite
from gdlab.schedules import warmup_cosine
from gdlab.torch.data import DeviceBatches
from gdlab.torch.loop import OneProcess, TorchRun, _Update, train
from gdlab.torch.models import GPT, class_loss, mlp, next_token_loss
from gdlab.torch.optim import SMALL, RuleOptimizer

CUDA = torch.device("cuda")
SCHEDULE = partial(warmup_cosine, peak_lr=0.02, warmup_steps=3, total_steps=12, floor_lr=0.001)
RULES = {"adamw": rules.adamw(weight_decay=0.1), "momentum": rules.momentum(0.9), "lion": rules.lion()}
MATRIX_RULES = {"muon": rules.muon()}


def parameters(shapes):
    rng = torch.Generator(CUDA).manual_seed(1)
    return [torch.nn.Parameter(torch.randn(shape, generator=rng, device=CUDA)) for shape in shapes]


def give_gradients(params, step):
    """Into the same memory at every step, as a graph needs it."""
    rng = torch.Generator(CUDA).manual_seed(step)
    for p in params:
        if p.grad is None:
            p.grad = torch.empty_like(p)
        p.grad.copy_(torch.randn(p.shape, generator=rng, device=CUDA))


def steps_of(rule, shapes, captured):
    """Ten steps at a rate that changes at every step, the last seven replayed if `captured`."""
    params, lr = parameters(shapes), torch.zeros((), dtype=torch.float64, device=CUDA)
    optimizer, graph = RuleOptimizer(params, rule, lr), None
    for step in range(10):
        give_gradients(params, step)
        lr.fill_(0.01 / (step + 1))
        if not captured or step < 3:
            optimizer.step()
            continue
        if graph is None:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                optimizer.step()
        graph.replay()
    return params, [optimizer.state[p]["step"].item() for p in params]


@pytest.mark.parametrize("name", [*RULES, *MATRIX_RULES])
def test_a_replayed_step_is_an_uncaptured_one_and_counts_on(name):
    shapes = [(300, 250), (5, 7)] if name in MATRIX_RULES else [(SMALL,), (5, 7), (9,), ()]
    rule = (RULES | MATRIX_RULES)[name]
    (replayed, counts), (plain, expected) = (steps_of(rule, shapes, captured) for captured in (True, False))
    assert counts == expected == [10.0] * len(shapes)
    assert all(torch.allclose(a, b, rtol=1e-6, atol=1e-7) for a, b in zip(replayed, plain, strict=True))


# ------------------------------------------------------------------- the loop


def perceptron():
    torch.manual_seed(0)
    model = mlp([6, 8, 3]).to(CUDA)
    rng = torch.Generator().manual_seed(1)
    examples = [torch.randn(24, 6, generator=rng).to(CUDA), torch.randint(3, (24,), generator=rng).to(CUDA)]
    optimizer = RuleOptimizer(model.parameters(), RULES["adamw"], lr=0.02)
    return model, DeviceBatches(examples, batch_size=5, seed=2, drop_last=True), optimizer


def weights(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


@pytest.mark.parametrize("precision", [None, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_captured_run_is_an_uncaptured_one(precision):
    how = {"schedule": SCHEDULE, "accumulation": 2, "max_norm": 0.5, "precision": precision, "log_every": 5}
    runs = []
    for captured in (True, False):
        model, batches, optimizer = perceptron()
        runs.append(train(model, class_loss, batches, optimizer, 12, captured=captured, **how))
    replayed, plain = runs
    assert torch.allclose(weights(replayed.model), weights(plain.model), rtol=1e-5, atol=1e-6)
    for key in ("loss", "grad_norm", "lr"):
        assert [row[key] for row in replayed.record] == pytest.approx([row[key] for row in plain.record], rel=1e-5)


class BadFrom:
    """Batches of which all from one on hold infinity."""

    def __init__(self, batches, bad):
        self.batches, self.left = batches, bad

    def __next__(self):
        images, classes = next(self.batches)
        self.left -= 1
        return (images if self.left >= 0 else images * math.inf), classes


def test_a_captured_run_stops_at_a_bad_number_and_nothing_has_moved_since():
    model, batches, optimizer = perceptron()
    with pytest.raises(NotFinite, match="stopped at step 6"):
        train(model, class_loss, BadFrom(batches, 6), optimizer, 12, captured=True)
    twin, batches, optimizer = perceptron()
    train(twin, class_loss, batches, optimizer, 6, captured=True)
    assert torch.equal(weights(model), weights(twin))


def test_a_captured_run_refuses_a_batch_of_another_shape():
    model, batches, optimizer = perceptron()
    batches.drop_last = False
    with pytest.raises(ValueError, match="fixed shapes"):
        train(model, class_loss, batches, optimizer, 12, captured=True)


# ------------------------------------------------------------------- no waiting, and memory


@pytest.fixture
def no_waiting():
    """Whoever waits for the GPU gets an error."""

    def refuse():
        torch.cuda.set_sync_debug_mode("error")

    yield refuse
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", [*RULES, *MATRIX_RULES])
def test_no_step_of_an_optimizer_waits_for_the_gpu(name, no_waiting):
    params = parameters([(300, 250), (5, 7)])
    optimizer = RuleOptimizer(params, (RULES | MATRIX_RULES)[name], 0.01)
    give_gradients(params, 0)
    optimizer.step()
    no_waiting()
    for step in range(3):
        optimizer.param_groups[0]["lr"] = 0.01 / (step + 1)
        optimizer.step()


def test_no_step_of_the_loop_waits_for_the_gpu(no_waiting):
    model = GPT(vocabulary=300, context=6, width=256, layers=1, heads=2).to(CUDA)
    optimizer = RuleOptimizer(model.parameters(), RULES["adamw"], lr=0.1)
    run = TorchRun(model, optimizer, None)
    update = _Update(run, next_token_loss, CUDA, 2, 1.0, torch.bfloat16, True, SCHEDULE, OneProcess())
    batch = tuple(torch.zeros(3, 6, dtype=torch.long, device=CUDA) for _ in range(2))
    update.set_rate(0)
    update([batch, batch])
    no_waiting()
    for step in range(1, 4):
        update.set_rate(step)
        update([batch, batch])


def test_a_step_needs_at_most_a_twentieth_more_memory_than_torchs_fused():
    shapes = bench.gpt2_shapes(layers=2, vocabulary=5000)
    ours, fused = (bench.own_peak(variant, shapes, "cuda") for variant in (bench.OURS, bench.FUSED))
    assert ours <= 1.05 * fused
