"""The loop does what a hand-written one does, waits for no device, stops in time, and resumes to the bit."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from gdlab import rules
from gdlab.loop import CheckpointError, NotFinite
from gdlab.schedules import warmup_cosine
from gdlab.torch.checkpoint import read_tensors, write_tensors
from gdlab.torch.data import DeviceBatches, Prefetch, TokenBatches
from gdlab.torch.loop import OneProcess, TorchRun, _Update, save_run, train
from gdlab.torch.models import GPT, class_loss, mlp, next_token_loss
from gdlab.torch.optim import RuleOptimizer

SCHEDULE = partial(warmup_cosine, peak_lr=0.02, warmup_steps=3, total_steps=12, floor_lr=0.001)


@pytest.fixture(autouse=True)
def one_thread():
    """Tensors this small gain nothing from a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def examples(n=24):
    rng = torch.Generator().manual_seed(1)
    return [torch.randn(n, 6, generator=rng), torch.randint(3, (n,), generator=rng)]


def perceptron():
    """A small perceptron, its optimizer and its batches, always the same."""
    torch.manual_seed(0)
    model = mlp([6, 8, 3])
    optimizer = RuleOptimizer(model.parameters(), rules.adamw(weight_decay=0.1), lr=0.02, compiled=False)
    return model, optimizer, DeviceBatches(examples(), batch_size=5, seed=2)


def gpt():
    """A small GPT with dropout on mapped tokens, fetched ahead."""
    torch.manual_seed(0)
    model = GPT(vocabulary=16, context=6, width=8, layers=1, heads=2, dropout=0.2)
    optimizer = RuleOptimizer(model.parameters(), rules.lion(weight_decay=0.1), lr=0.01, compiled=False)
    tokens = np.random.default_rng(0).integers(16, size=200)
    return model, optimizer, Prefetch(TokenBatches(tokens, 4, 6, np.random.default_rng(3)), "cpu")


def large_loss(model, batch):
    """So large that its gradients overflow float16 at first, until the scale has come down."""
    return 3e3 * class_loss(model, batch)


def weights(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def train_perceptron(steps=8, parts=None, **how):
    model, optimizer, batches = parts or perceptron()
    return train(model, class_loss, batches, optimizer, steps, **how)


def test_it_does_what_a_hand_written_loop_does():
    run = train_perceptron(schedule=SCHEDULE, accumulation=2, max_norm=0.5, log_every=3)
    model, optimizer, batches = perceptron()
    losses, norms = [], []
    for step in range(8):
        optimizer.param_groups[0]["lr"] = SCHEDULE(step)
        total = 0.0
        for _ in range(2):
            loss = class_loss(model, next(batches)) / 2
            loss.backward()
            total += loss.item()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5).item())
        losses.append(total)
        optimizer.step()
        optimizer.zero_grad()
    assert torch.equal(weights(run.model), weights(model))
    assert [row["loss"] for row in run.record] == pytest.approx(losses, rel=1e-6)
    assert [row["grad_norm"] for row in run.record] == norms
    assert [row["lr"] for row in run.record] == [SCHEDULE(step) for step in range(8)]
    assert [row["step"] for row in run.record] == list(range(8)) and run.step == 8
    assert max(norms) > 0.5


def test_without_a_schedule_every_group_keeps_its_own_rate():
    model, _, batches = perceptron()
    matrices, vectors = ([p for p in model.parameters() if p.dim() == d] for d in (2, 1))
    before = [p.detach().clone() for p in vectors]
    optimizer = RuleOptimizer(
        [{"params": matrices, "lr": 0.1}, {"params": vectors, "lr": 0.0}], rules.gradient_descent(), 0.5, compiled=False
    )
    run = train(model, class_loss, batches, optimizer, 3)
    assert all(torch.equal(a, b) for a, b in zip(before, vectors, strict=True))
    assert [row["lr"] for row in run.record] == [0.1] * 3
    assert run.record[-1]["loss"] != run.record[0]["loss"]


# ------------------------------------------------------------------- resuming


@pytest.mark.parametrize("stop", [4, 7])
@pytest.mark.parametrize(
    ("make", "loss_of", "precision"),
    [(perceptron, class_loss, None), (gpt, next_token_loss, None), (perceptron, large_loss, torch.float16)],
    ids=["perceptron", "gpt", "float16"],
)
def test_a_resumed_run_equals_one_that_never_stopped_to_the_bit(tmp_path, make, loss_of, precision, stop):
    how = {"schedule": SCHEDULE, "accumulation": 2, "max_norm": 1.0, "precision": precision, "log_every": 5}
    how |= {"validate": lambda m: weights(m).square().sum(), "validate_every": 3}
    model, optimizer, batches = make()
    whole = train(model, loss_of, batches, optimizer, 12, **how)
    file = tmp_path / "run.ckpt"
    model, optimizer, batches = make()
    train(model, loss_of, batches, optimizer, stop, checkpoint=file, resume=True, **how)
    model, optimizer, batches = make()
    torch.manual_seed(99)
    resumed = train(model, loss_of, batches, optimizer, 12, checkpoint=file, resume=True, **how)
    assert torch.equal(weights(whole.model), weights(resumed.model))
    for key in ("loss", "grad_norm", "lr", "step", "val_loss"):
        ours, theirs = (np.array([row.get(key) for row in run.record], dtype=float) for run in (resumed, whole))
        assert np.array_equal(ours, theirs, equal_nan=True)  # a step whose scaled gradient overflowed has no norm
    assert resumed.best["step"] == whole.best["step"]
    for ours, theirs in zip(optimizer.state.values(), whole.optimizer.state.values(), strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_checkpoint_is_written_every_so_often_and_at_the_end(tmp_path):
    seen, file = [], tmp_path / "run.ckpt"

    def loss_of(model, batch):
        seen.append(file.exists() and read_tensors(file)["step"])
        return class_loss(model, batch)

    model, optimizer, batches = perceptron()
    train(model, loss_of, batches, optimizer, 5, checkpoint=file, checkpoint_every=2)
    assert seen == [False, False, 2, 2, 4]
    assert read_tensors(file)["step"] == 5


def test_a_finished_run_that_is_resumed_leaves_its_checkpoint_alone(tmp_path):
    file = tmp_path / "run.ckpt"
    train_perceptron(3, checkpoint=file)
    before = file.stat()
    assert train_perceptron(3, checkpoint=file, resume=True).step == 3
    assert file.stat().st_ino == before.st_ino and file.stat().st_mtime_ns == before.st_mtime_ns


# ------------------------------------------------------------------- mixed precision


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_mixed_precision_learns_and_keeps_the_weights_whole(precision):
    seen = set()

    def loss_of(model, batch):
        seen.add(model[0](batch[0]).dtype)
        return class_loss(model, batch)

    model, optimizer, batches = perceptron()
    run = train(model, loss_of, batches, optimizer, 40, precision=precision)
    assert seen == {precision} and weights(model).dtype == torch.float32
    losses = [row["loss"] for row in run.record]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert (run.scaler is not None) == (precision == torch.float16)


def test_float16_skips_the_steps_whose_scaled_gradient_overflows():
    model, optimizer, batches = perceptron()
    run = train(model, large_loss, batches, optimizer, 12, precision=torch.float16)
    skipped = sum(not math.isfinite(row["grad_norm"]) for row in run.record)
    assert 0 < skipped < 12 and torch.isfinite(weights(model)).all()
    assert optimizer.state[next(model.parameters())]["step"] == 12 - skipped
    assert run.scaler.get_scale() == 2.0 ** (16 - skipped)


# ------------------------------------------------------------------- the halt


@pytest.mark.parametrize(("bad", "log_every"), [(5, 4), (5, 1), (0, 20), (7, 20)])
def test_from_the_first_bad_loss_on_nothing_moves_and_the_sentence_says_where(bad, log_every):
    calls = []

    def loss_of(model, batch):
        calls.append(None)
        return class_loss(model, batch) * (math.nan if len(calls) == bad + 1 else 1.0)

    model, optimizer, batches = perceptron()
    with pytest.raises(NotFinite, match=f"stopped at step {bad}: the loss is nan.*nothing has moved since") as stopped:
        train(model, loss_of, batches, optimizer, 8, log_every=log_every)
    assert stopped.value.run.step == bad == len(stopped.value.run.record)
    assert torch.equal(weights(model), weights(train_perceptron(bad).model))


def test_a_gradient_that_is_not_finite_stops_it_too():
    def loss_of(model, batch):
        weight = next(model.parameters())
        return class_loss(model, batch) + (weight * 0).sqrt().sum()  # the root of 0 has no slope

    model, optimizer, batches = perceptron()
    with pytest.raises(NotFinite, match="stopped at step 0: the loss is [0-9.]+ and the gradient's norm nan"):
        train(model, loss_of, batches, optimizer, 3)
    assert torch.isfinite(weights(model)).all()


def test_who_does_not_want_to_be_stopped_is_not():
    model, optimizer, batches = perceptron()
    run = train(model, lambda m, b: class_loss(m, b) * math.inf, batches, optimizer, 3, stop_on_nan=False)
    assert run.step == 3 and run.record[0]["loss"] == math.inf


# ------------------------------------------------------------------- no waiting


@pytest.mark.parametrize(
    "rule", [rules.nesterov(), rules.adagrad(), rules.adam_l2(), rules.lion(), rules.muon()], ids=lambda rule: rule.name
)
def test_no_rule_asks_the_device_for_a_number(rule):
    """Tensors on the meta device have shapes and no numbers: whoever asks for one gets an error."""
    params = [torch.nn.Parameter(torch.zeros(shape, device="meta")) for shape in ((300, 250), (5, 7))]
    optimizer = RuleOptimizer(params, rule, lr=0.1, compiled=False)
    for step in range(3):
        for p in params:
            p.grad = torch.zeros_like(p)
        optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
        optimizer.step()
    assert optimizer.state[params[0]]["step"].device.type == "meta"


@pytest.mark.parametrize("max_norm", [None, 1.0])
@pytest.mark.parametrize("stop_on_nan", [True, False])
def test_no_step_asks_the_device_for_a_number(max_norm, stop_on_nan):
    """Tensors on the meta device have shapes and no numbers: whoever asks for one gets an error."""
    with torch.device("meta"):
        model = GPT(vocabulary=300, context=6, width=256, layers=1, heads=2)
    optimizer = RuleOptimizer(model.parameters(), rules.adamw(), lr=0.1, compiled=False)
    run = TorchRun(model, optimizer, None)
    update = _Update(run, next_token_loss, torch.device("meta"), 2, max_norm, None, stop_on_nan, SCHEDULE, OneProcess())
    batch = torch.zeros(3, 6, dtype=torch.long, device="meta"), torch.zeros(3, 6, dtype=torch.long, device="meta")
    for step in range(3):
        update.set_rate(step)
        loss, norm = update([batch, batch])
    with pytest.raises((RuntimeError, NotImplementedError)):
        loss.item()
    assert norm.device.type == "meta"


# ------------------------------------------------------------------- the log, validation


def test_speed_and_the_use_of_the_device_stand_where_the_device_was_read():
    seen = []
    run = train_perceptron(7, log_every=3, log=seen.append, tokens_per_step=50, flops_per_step=600.0, peak_flops=1e6)
    assert [row["step"] for row in seen] == [2, 5, 6]
    assert [k for k, row in enumerate(run.record) if "mfu" in row] == [2, 5, 6]
    for row in seen:
        assert row["tokens_per_second"] == 50 * row["steps_per_second"]
        assert row["mfu"] == pytest.approx(600 * row["steps_per_second"] / 1e6)


def test_validation_is_in_evaluation_mode_and_the_best_weights_are_kept():
    modes, losses = [], iter([2.0, 1.0, 3.0, 1.5])

    def validate(model):
        modes.append((model.training, torch.is_grad_enabled()))
        return next(losses)

    model, optimizer, batches = perceptron()
    run = train(model, class_loss, batches, optimizer, 8, validate=validate, validate_every=2)
    assert modes == [(False, False)] * 4 and model.training
    assert [row.get("val_loss") for row in run.record] == [None, 2.0, None, 1.0, None, 3.0, None, 1.5]
    assert (run.best["step"], run.best["loss"]) == (4, 1.0)
    best = mlp([6, 8, 3])
    best.load_state_dict(run.best["model"])
    assert torch.equal(weights(best), weights(train_perceptron(4).model))


def test_a_compiled_loss_trains_alike():
    model, optimizer, batches = perceptron()
    run = train(model, torch.compile(class_loss, backend="aot_eager"), batches, optimizer, 4)
    assert torch.allclose(weights(run.model), weights(train_perceptron(4).model), rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"steps": -1}, "total_steps is a whole number from 0 up, but is -1"),
        ({"accumulation": 0}, "accumulation is a whole number from 1 up, but is 0"),
        ({"log_every": 0.5}, "log_every is a whole number from 1 up, but is 0.5"),
        ({"precision": torch.float64}, "precision is torch.bfloat16, torch.float16 or None, but is torch.float64"),
        ({"captured": True}, "needs an NVIDIA GPU .* but the model is on cpu"),
        ({"captured": True, "parallel": OneProcess()}, "a graph of one process's step: with parallel, leave it out"),
        ({"validate_every": 3}, "give both or neither"),
        ({"checkpoint_every": 3}, "name it with checkpoint="),
        ({"resume": True}, "name it with checkpoint="),
        ({"checkpoint": "x", "checkpoint_every": 0}, "checkpoint_every is a whole number of steps from 1 up, but is 0"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused_with_a_sentence(how, sentence):
    with pytest.raises(ValueError, match=sentence):
        train_perceptron(**{"steps": 3} | how)


def test_a_file_that_train_did_not_write_is_refused(tmp_path):
    write_tensors(tmp_path / "other", {"model": 1, "step": 2})
    with pytest.raises(
        CheckpointError, match="holds no batches, best, chance, optimizer, record, scaler: resume needs"
    ):
        train_perceptron(3, checkpoint=tmp_path / "other", resume=True)


def test_a_run_in_another_precision_is_refused(tmp_path):
    save_run(tmp_path / "run", train_perceptron(2))
    with pytest.raises(ValueError, match="use one precision"):
        train_perceptron(3, checkpoint=tmp_path / "run", resume=True, precision=torch.float16)
