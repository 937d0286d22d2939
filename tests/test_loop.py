"""The loop: the bare lines, what is added around them, and runs that go on as if they had never stopped."""

import csv
import doctest
import functools
import itertools
import json
import math
import os
import pty
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gdlab.loop
from gdlab import rules, schedules
from gdlab.batching import Batches, epoch_batches, minibatch_gradient
from gdlab.loop import (
    CheckpointError,
    NotFinite,
    Run,
    early_stop,
    early_stopping,
    load_checkpoint,
    named_leaves,
    read_checkpoint,
    save_checkpoint,
    save_run,
    train,
    train_numpy,
    validation,
    write_checkpoint,
    write_record,
)
from gdlab.objectives import bowl

RNG = np.random.default_rng(31)
X = RNG.normal(0.0, [1.0, 2.0, 0.5], (23, 3))
Y = X @ [1.5, -0.7, 2.0] + 0.4 + RNG.normal(0, 0.3, 23)
START = {"w": np.array([0.3, -0.2, 0.1]), "bias": [np.array([0.5])]}


def loss_and_grad(theta, batch):
    """Half the mean squared error of a linear model, its parameters in a tree."""
    errors = X[batch] @ theta["w"] + theta["bias"][0] - Y[batch]
    return np.mean(errors**2) / 2, {"w": X[batch].T @ errors / len(batch), "bias": [np.mean(errors, keepdims=True)]}


def decaying(step, peak=0.2):
    return peak / math.sqrt(step + 1)


def batches(seed=5, batch_size=4):
    return Batches(len(X), batch_size, np.random.default_rng(seed))


def same(a, b):
    """Equal to the bit, kinds and dtypes included."""
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (np.ndarray, np.generic)):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and (a == b or (a != a and b != b))


# ---------------------------------------------------------------- the bare loop


def momentum_from_nothing(theta, grad, state, step, lr):
    return rules.momentum_step(theta, grad, np.zeros_like(theta) if state is None else state, lr, 0.8)


def drawn_epochs(seed=2, batch_size=5):
    """An epoch's batches at each call, 23 examples in fives: the last has three."""
    rng = np.random.default_rng(seed)
    return lambda: epoch_batches(23, batch_size, rng)


def slope(theta, x, y):
    return minibatch_gradient(theta, x, y, np.arange(len(x)))


def unrolled():
    """Three epochs by hand: 15 batches, 15 rates, one velocity."""
    draw, path, theta, velocity = drawn_epochs(), [np.ones(3)], np.ones(3), np.zeros(3)
    for step, batch in enumerate(draw() + draw() + draw()):
        velocity = 0.8 * velocity + minibatch_gradient(theta, X, Y, batch)
        theta = theta - decaying(step, 0.05) * velocity
        path.append(theta)
    return np.array(path)


def broken_loop(fresh=True, by_epoch=False, restart=False, ahead=0, forget="never", whole=False, lose_last=False):
    """`train_numpy` with one of its classic mistakes."""
    draw, path, theta, state, step = drawn_epochs(), [np.ones(3)], np.ones(3), None, 0
    once = draw()
    for epoch in range(3):
        drawn = draw() if fresh and epoch else once
        step, state = 0 if restart else step, None if forget == "epoch" else state
        for batch in drawn[:-1] if lose_last else drawn:
            grad = slope(theta, X, Y) if whole else slope(theta, X[batch], Y[batch])
            theta, state = momentum_from_nothing(
                theta, grad, state, step, decaying((epoch if by_epoch else step) + ahead, 0.05)
            )
            state = None if forget == "step" else state
            path.append(theta)
            step += 1
    return np.array(path)


WRONG_LOOPS = {
    "same-batches-every-epoch": {"fresh": False},
    "schedule-by-epoch": {"by_epoch": True},
    "step-restarts": {"restart": True},
    "schedule-one-ahead": {"ahead": 1},
    "state-thrown-away": {"forget": "step"},
    "state-restarts-each-epoch": {"forget": "epoch"},
    "whole-data-each-step": {"whole": True},
    "last-batch-lost": {"lose_last": True},
}


def test_the_bare_loop_is_three_epochs_by_hand():
    found = train_numpy(
        np.ones(3), X, Y, slope, drawn_epochs(), momentum_from_nothing, functools.partial(decaying, peak=0.05), 3
    )
    assert found.shape == (16, 3) and found == pytest.approx(unrolled(), rel=1e-13)
    assert broken_loop() == pytest.approx(unrolled(), rel=1e-13)  # without a mistake the other loop is right as well


@pytest.mark.parametrize("name", WRONG_LOOPS)
def test_a_wrong_loop_is_not(name):
    found = broken_loop(**WRONG_LOOPS[name])
    assert found.shape != (16, 3) or found != pytest.approx(unrolled(), rel=1e-3)


def test_the_bare_loop_asks_for_each_thing_as_often_as_needed():
    asked = {"grad": 0, "batches": 0, "rates": []}
    draw = drawn_epochs()

    def count_grad(theta, x, y):
        asked["grad"] += 1
        return slope(theta, x, y)

    def count_batches():
        asked["batches"] += 1
        return draw()

    train_numpy(
        np.ones(3),
        X,
        Y,
        count_grad,
        count_batches,
        momentum_from_nothing,
        lambda step: asked["rates"].append(step) or 0.01,
        3,
    )
    assert asked == {"grad": 15, "batches": 3, "rates": list(range(15))}


def test_the_loop_with_everything_is_the_bare_loop():
    class Drawn:
        def __iter__(self):
            draw = drawn_epochs()
            return (batch for _ in itertools.count() for batch in draw())

    path = [np.ones(3)]
    run = train(
        lambda theta, batch: (0.0, minibatch_gradient(theta, X, Y, batch)),
        np.ones(3),
        Drawn(),
        rules.momentum(0.8),
        functools.partial(decaying, peak=0.05),
        15,
        callbacks=[lambda run: path.append(run.theta)],
    )
    assert np.array(path) == pytest.approx(unrolled(), rel=1e-13)
    assert run.stopped is None and run.step == 15


# ---------------------------------------------------------------- published walks


def walk(objective_loss, objective_grad, start, lr, steps, rule=None):
    return train(
        lambda theta, _: (objective_loss(theta), objective_grad(theta)),
        start,
        itertools.repeat(None),
        rule or rules.gradient_descent(),
        lr,
        steps,
    )


def test_the_walk_is_the_primers():
    path = []
    run = train(
        lambda t, _: (bowl.loss(t), bowl.grad(t)),
        -1.0,
        itertools.repeat(None),
        rules.gradient_descent(),
        0.3,
        5,
        callbacks=[lambda run: path.append(run.theta)],
    )
    assert path[:4] == pytest.approx([1.4, 2.36, 2.744, 2.8976], rel=1e-13)
    assert [row["loss"] for row in run.record] == pytest.approx([16.5, 3.06, 0.9096, 0.565536, 0.51048576], rel=1e-12)
    uphill = walk(bowl.loss, bowl.grad, -1.0, -0.3, 3)
    assert uphill.theta == pytest.approx(-13.384, rel=1e-13)  # with the sign flipped, as the primer prints


# Dive into Deep Learning 12.6: momentum on 0.1·x₁² + 2·x₂² from (−5, −2), 20 steps: (lr, momentum) -> end.
D2L_MOMENTUM = [
    ((0.6, 0.5), (0.007188, 0.002553)),
    ((0.6, 0.25), (-0.126340, -0.186632)),
    ((0.4, 0.0), (-0.943467, -0.000073)),
]


def d2l_ends(rule_of):
    scale = np.array([0.2, 4.0])
    return [
        walk(
            lambda x: 0.05 * float(x @ (scale * x)), lambda x: scale * x, np.array([-5.0, -2.0]), lr, 20, rule_of(mu)
        ).theta
        for (lr, mu), _ in D2L_MOMENTUM
    ]


def test_momentum_in_the_loop_ends_where_dive_into_deep_learning_says():
    assert np.array(d2l_ends(rules.momentum)) == pytest.approx(np.array([end for _, end in D2L_MOMENTUM]), abs=6e-7)


def test_momentum_in_the_averaged_form_does_not():
    assert np.array(d2l_ends(rules.momentum_ema)) != pytest.approx(np.array([end for _, end in D2L_MOMENTUM]), abs=1e-3)


# Stanford CS336, tuning the rate: mean(w²) on 10×10 weights, rate lr/√(t+1): L_t/L_0 = ∏(1 − 0.02·lr/√(k+1))².
@pytest.mark.parametrize(("lr", "first_ratio"), [(1, 0.9604), (10, 0.64), (100, 1.0), (1000, 361.0)])
def test_rates_from_crawling_to_exploding_give_the_ratios_of_cs336(lr, first_ratio):
    run = train(
        lambda w, _: (float(np.mean(w**2)), 2 * w / w.size),
        5 * np.random.default_rng(0).normal(size=(10, 10)),
        itertools.repeat(None),
        rules.gradient_descent(),
        functools.partial(decaying, peak=lr),
        10,
    )
    losses = np.array([row["loss"] for row in run.record])
    expected = np.cumprod([1.0] + [(1 - 0.02 * lr / math.sqrt(k + 1)) ** 2 for k in range(9)])
    assert losses[1] / losses[0] == pytest.approx(first_ratio) and losses / losses[0] == pytest.approx(
        expected, rel=1e-9
    )


# ---------------------------------------------------------------- record, clipping, callbacks


def test_the_record_says_what_happened_before_each_update():
    run = train(loss_and_grad, START, batches(), rules.adam(), decaying, 13)
    again, theta, state, rule = batches(), START, None, rules.adam()
    state = rule.init(theta)
    for step, (batch, row) in enumerate(zip(again, run.record, strict=False)):
        loss, grad = loss_and_grad(theta, batch)
        assert row == {
            "step": step,
            "epoch": step // 6,
            "lr": decaying(step),
            "loss": loss,
            "grad_norm": rules.global_norm(grad),
        }
        assert all(type(value) in (int, float) for value in row.values())
        theta, state = rule.step(theta, grad, state, step, decaying(step))
    assert len(run.record) == 13 and same(run.theta, theta) and same(run.state, state)


def test_clipping_shortens_the_step_and_records_the_norm_before():
    start = {"w": np.array([10.0, -20.0, 5.0]), "bias": [np.array([3.0])]}
    grad = loss_and_grad(start, next(batches()))[1]
    norm = rules.global_norm(grad)
    for max_norm, scale in [(norm / 7, 1 / 7), (norm, 1.0), (2 * norm, 1.0)]:
        run = train(loss_and_grad, start, batches(), rules.gradient_descent(), 0.1, 1, max_norm=max_norm)
        assert run.theta["w"] == pytest.approx(start["w"] - 0.1 * scale * grad["w"], rel=1e-12)
        assert run.record[0]["grad_norm"] == pytest.approx(norm, rel=1e-14)


def test_clipping_in_the_loop_is_clipping_in_the_chain():
    one = train(loss_and_grad, START, batches(), rules.adam(), 0.1, 9, max_norm=0.3)
    other = train(loss_and_grad, START, batches(), rules.chain(rules.clip_global_norm(0.3), rules.adam()), 0.1, 9)
    assert same(one.theta, other.theta)


def test_a_callback_that_returns_a_sentence_stops_the_run_and_all_are_called():
    called = []
    run = train(
        loss_and_grad,
        START,
        batches(),
        rules.gradient_descent(),
        0.1,
        50,
        callbacks=[lambda run: "Enough." if run.step == 3 else None, lambda run: called.append(run.step)],
    )
    assert (run.stopped, run.step, called) == ("Enough.", 3, [1, 2, 3])


def test_batches_that_run_out_end_the_run_and_say_so():
    run = train(loss_and_grad, START, [np.array([0, 1]), np.array([2])], rules.gradient_descent(), 0.1, 5)
    assert run.stopped == "The batches ran out after 2 of 5 steps." and len(run.record) == 2


def test_exactly_as_many_batches_are_drawn_as_there_are_steps():
    drawn = []
    train(
        loss_and_grad,
        START,
        (drawn.append(1) or np.array([0]) for _ in itertools.count()),
        rules.gradient_descent(),
        0.1,
        4,
    )
    assert len(drawn) == 4


def test_no_steps_leave_everything_as_it_was():
    run = train(loss_and_grad, START, batches(), rules.adam(), 0.1, 0)
    assert same(run.theta, START) and run.record == [] and run.stopped is None


def test_nothing_that_was_passed_in_changes():
    start = {"w": np.array([0.3, -0.2, 0.1]), "bias": [np.array([0.5])]}
    train(loss_and_grad, start, batches(), rules.adamw(), 0.1, 9, max_norm=0.1)
    assert same(start, START)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"total_steps": -1}, "total_steps is a whole number"),
        ({"total_steps": 2.5}, "total_steps is a whole number"),
        ({"resume": True}, "need to know the file"),
        ({"checkpoint_every": 3}, "need to know the file"),
        ({"checkpoint": "x", "checkpoint_every": 0}, "from 1 up, but is 0"),
        ({"checkpoint": "x", "batches": [np.array([1])]}, "batches must be saved too"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(arguments, sentence):
    given_ = {"total_steps": 3, "batches": batches()} | arguments
    with pytest.raises(ValueError, match=sentence):
        train(loss_and_grad, START, rule=rules.gradient_descent(), lr=0.1, **given_)


# ---------------------------------------------------------------- NaN


def goes_bad_at(step, what):
    """Like loss_and_grad, but at its call number `step` the loss or a gradient goes bad."""
    calls = itertools.count()

    def function(theta, batch):
        loss, grad = loss_and_grad(theta, batch)
        if next(calls) == step:
            if what == "loss":
                loss = math.nan
            elif what == "huge":
                grad = {"w": np.array([1e200, 1e200, 0.0]), "bias": grad["bias"]}
            else:
                grad = {"w": grad["w"], "bias": [np.array([math.inf])]}
        return loss, grad

    return function


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("loss", r"stopped at step 8 \(epoch 1\): the loss is nan\. The learning rate was 0\.25"),
        ("grad", r"stopped at step 8 \(epoch 1\): grad\['bias'\]\[0\] is not finite, while the loss is \d"),
        ("huge", r"stopped at step 8 \(epoch 1\): the gradient is so large that its norm overflows"),
    ],
)
def test_a_number_that_is_not_finite_stops_the_run_before_the_step_and_says_where(what, sentence):
    with pytest.raises(NotFinite, match=sentence) as stopped:
        train(goes_bad_at(8, what), START, batches(), rules.momentum(), 0.25, 50, max_norm=1.0)
    good = train(loss_and_grad, START, batches(), rules.momentum(), 0.25, 8, max_norm=1.0)
    run = stopped.value.run
    assert run.step == 8 and same(run.theta, good.theta) and same(run.state, good.state) and run.record == good.record


def test_parameters_that_are_not_finite_are_named_as_the_cause():
    start = {"w": np.array([0.3, math.nan, 0.1]), "bias": [np.array([0.5])]}
    with pytest.raises(NotFinite, match=r"at step 0 \(epoch 0\): theta\['w'\] is not finite, and so the loss is nan"):
        train(loss_and_grad, start, batches(), rules.gradient_descent(), 0.1, 3)
    with pytest.raises(NotFinite, match=r"at step 0: theta is not finite, and so the loss is inf"):
        train(lambda t, _: (t * t, 2 * t), math.inf, itertools.repeat(None), rules.gradient_descent(), 0.1, 3)


def test_who_asks_for_it_sees_the_divergence_to_its_end():
    with np.errstate(all="ignore"):
        run = train(goes_bad_at(8, "loss"), START, batches(), rules.gradient_descent(), 0.1, 12, stop_on_nan=False)
    assert run.step == 12 and math.isnan(run.record[8]["loss"])


# ---------------------------------------------------------------- early stopping

# losses, patience, min_delta -> (stop, best), counted by hand
STOPS = [
    (([3.0, 2.0, 2.5, 2.0, 1.0], 2, 0), (3, 1)),  # a tie is not better
    (([5.0, 4.0, 6.0, 5.5, 5.2, 3.0, 2.0], 3, 0), (4, 1)),  # recovering from a bad epoch is not progress
    (([5.0, 4.0, 4.5, 3.0, 3.5, 2.0, 2.5, 2.6], 2, 0), (7, 5)),  # progress restores patience
    (([1.0, 0.97, 0.94, 0.91, 0.88, 0.85], 2, 0.05), (5, 4)),  # small gains add up until they count
    (([1.0, 1.02, 1.04, 1.03], 3, 0.05), (3, 0)),  # never better than the best by that much
    (([4.0, 3.0, 2.0], 2, 0), (2, 2)),  # no stop
    (([math.nan, 4.0, math.nan, math.nan, 3.0], 2, 0), (3, 1)),
    (([2.0], 1, 0), (0, 0)),
]


def stop_by(losses, patience, min_delta, better, spent=lambda waited, patience: waited >= patience, update=None):
    """Early stopping with its decisions to be filled in wrongly."""
    best, best_epoch = math.inf, 0
    for epoch, loss in enumerate(losses):
        if better(loss, best, losses[epoch - 1] if epoch else math.inf, min_delta):
            best, best_epoch = loss, epoch
        elif spent(epoch - best_epoch, patience):
            return epoch, best_epoch
        if update:
            best = update(best, loss)
    return len(losses) - 1, best_epoch


def _without_reset(losses, patience, min_delta):
    best, best_epoch, waited = math.inf, 0, 0
    for epoch, loss in enumerate(losses):
        if loss < best - min_delta:
            best, best_epoch = loss, epoch
        else:
            waited += 1
            if waited >= patience:
                return epoch, best_epoch
    return len(losses) - 1, best_epoch


def _right(loss, best, before, delta):
    return loss < best - delta


WRONG_STOPS = {
    "one-epoch-late": lambda *a: stop_by(*a, _right, spent=lambda waited, patience: waited > patience),
    "one-epoch-early": lambda *a: stop_by(*a, _right, spent=lambda waited, patience: waited >= patience - 1),
    "compares-with-previous": lambda *a: stop_by(*a, lambda loss, best, before, delta: loss < before - delta),
    "patience-never-resets": _without_reset,
    "delta-wrong-way": lambda *a: stop_by(*a, lambda loss, best, before, delta: loss < best + delta),
    "best-creeps-down": lambda *a: stop_by(*a, _right, update=min),
    "tie-is-progress": lambda *a: stop_by(*a, lambda loss, best, before, delta: loss <= best - delta),
    "best-is-stop": lambda *a: (early_stop(*a)[0],) * 2,
    "ignores-min-delta": lambda losses, patience, min_delta: early_stop(losses, patience),
}


def test_early_stopping_stops_where_counting_by_hand_does():
    assert [early_stop(*given_) for given_, _ in STOPS] == [stop for _, stop in STOPS]
    assert [stop_by(*given_, _right) for given_, _ in STOPS] == [stop for _, stop in STOPS]


@pytest.mark.parametrize("name", WRONG_STOPS)
def test_a_wrong_early_stop_is_elsewhere(name):
    assert [WRONG_STOPS[name](*given_) for given_, _ in STOPS] != [stop for _, stop in STOPS]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([], 2), "no losses to judge"),
        (([1.0], 0), "patience is a whole number"),
        (([1.0], 1.5), "patience is a whole number"),
        (([1.0], 1, -0.1), "min_delta"),
    ],
)
def test_a_patience_that_makes_no_sense_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        early_stop(*arguments)


def scripted(values):
    """A validation loss that follows a script, by how often it was asked."""
    values = iter(values)
    return lambda theta: next(values)


def test_a_run_stops_early_and_keeps_its_best_parameters():
    path = {}
    run = train(
        loss_and_grad,
        START,
        batches(),
        rules.gradient_descent(),
        0.05,
        100,
        callbacks=[
            validation(scripted([5.0, 4.0, 6.0, 5.5, 5.2, 3.0]), every=2),
            early_stopping(patience=3),
            lambda run: path.update({run.step: run.theta}),
        ],
    )
    assert run.step == 10 and run.stopped == "Early stopping: val_loss has not improved since step 3."
    assert run.best["step"] == 4 and run.best["loss"] == 4.0 and same(run.best["theta"], path[4])
    assert [row["step"] for row in run.record if "val_loss" in row] == [1, 3, 5, 7, 9]


def test_while_it_improves_it_goes_on():
    run = train(
        loss_and_grad,
        START,
        batches(),
        rules.gradient_descent(),
        0.05,
        8,
        callbacks=[validation(scripted([4.0, 3.0, 2.0, 1.0]), every=2), early_stopping(1)],
    )
    assert run.stopped is None and run.step == 8


@pytest.mark.parametrize("every", [0, 2.5])
def test_validating_never_is_refused(every):
    with pytest.raises(ValueError, match="from 1 up"):
        validation(lambda theta: 0.0, every)


# ---------------------------------------------------------------- the record in a file

RECORD = [
    {"step": 0, "lr": 0.1, "loss": 1 / 3},
    {"step": 1, "lr": np.float32(0.5), "loss": math.inf, "val_loss": math.nan},
]


def test_a_record_in_csv_keeps_every_digit(tmp_path):
    write_record(RECORD, str(tmp_path / "run.csv"))
    rows = list(csv.DictReader((tmp_path / "run.csv").read_text().splitlines()))
    assert rows[0] == {"step": "0", "lr": "0.1", "loss": repr(1 / 3), "val_loss": ""}
    assert rows[1] == {"step": "1", "lr": "0.5", "loss": "inf", "val_loss": "nan"}


def test_a_record_in_json_lines_is_strict_json(tmp_path):
    write_record(RECORD, tmp_path / "run.jsonl")
    lines = (tmp_path / "run.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON")) for line in lines]
    assert rows == [{"step": 0, "lr": 0.1, "loss": 1 / 3}, {"step": 1, "lr": 0.5, "loss": None, "val_loss": None}]


def test_a_record_by_another_name_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(ValueError, match="written as .csv or .jsonl, but the file is called 'run.xlsx'"):
        write_record(RECORD, tmp_path / "run.xlsx")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- checkpoints: what comes back

arrays = st.one_of(
    st.lists(st.floats(width=64), max_size=4).map(np.array),
    st.lists(st.integers(-(2**40), 2**40), max_size=4).map(lambda x: np.array(x, dtype=np.int64)),
    st.floats(width=32).map(np.float32),
    st.floats().map(np.array),
    st.sampled_from(
        [
            np.ones((2, 3), dtype=np.float16),
            np.zeros((0, 3)),
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            np.array([True, False]),
            np.bool_(True),
            np.complex64(1j),
        ]
    ),
)
plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=["Cs"]))
)
trees = st.recursive(
    arrays | plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@example(content={"": [math.inf, -math.inf, math.nan, -0.0, 2**80, None, (True, "é")]})
@given(content=st.dictionaries(st.text(max_size=4), trees, max_size=4))
def test_what_was_saved_comes_back_to_the_bit(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.ckpt"
    write_checkpoint(path, content)
    assert same(read_checkpoint(path), content)


@pytest.mark.parametrize("kind", gdlab.loop.BIT_GENERATORS.values())
def test_a_generator_comes_back_where_it_stood_with_its_children(tmp_path, kind):
    rng = np.random.Generator(kind(np.random.SeedSequence(3, spawn_key=(4,))))
    rng.random(5), rng.integers(7, size=3, dtype=np.int32), rng.spawn(2)
    save_checkpoint(tmp_path / "c", 1.5, (), 3, rng)
    theta, state, step, back = load_checkpoint(tmp_path / "c")
    assert (theta, state, step) == (1.5, (), 3)
    assert back.integers(2**31, size=9, dtype=np.int32).tolist() == rng.integers(2**31, size=9, dtype=np.int32).tolist()
    assert back.normal(size=9).tolist() == rng.normal(size=9).tolist()
    assert back.spawn(1)[0].random() == rng.spawn(1)[0].random()


def test_memory_layout_comes_back_too(tmp_path):
    # A product sums in an order that depends on it: without it the last bits would differ.
    write_checkpoint(tmp_path / "c", {"f": np.asfortranarray(np.ones((3, 4)))})
    assert read_checkpoint(tmp_path / "c")["f"].flags.f_contiguous


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (np.array([object()]), "array of Python objects"),
        ({1: 2.0}, r"names are text, but a dict has the keys \[1\]"),
        (object(), "here is a object"),
        ({"f": print}, "here is a builtin_function_or_method"),
        (b"bytes", "here is a bytes"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_the_old_checkpoint_stays(tmp_path, bad, sentence):
    save_checkpoint(tmp_path / "c", 1.0, (), 1, None)
    with pytest.raises(TypeError, match=sentence):
        save_checkpoint(tmp_path / "c", bad, (), 2, None)
    assert load_checkpoint(tmp_path / "c")[2] == 1 and [p.name for p in tmp_path.iterdir()] == ["c"]


def test_a_generator_of_an_unknown_kind_is_refused(tmp_path):
    class Own(np.random.PCG64):
        pass

    with pytest.raises(TypeError, match="The generator is a Own"):
        save_checkpoint(tmp_path / "c", 1.0, (), 1, np.random.Generator(Own(0)))


def test_a_failure_in_the_middle_of_writing_leaves_the_old_checkpoint_and_no_litter(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "c", 1.0, (), 1, None)
    monkeypatch.setattr(np, "save", lambda *a, **k: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path / "c", np.ones(3), (), 2, None)
    assert load_checkpoint(tmp_path / "c")[2] == 1 and [p.name for p in tmp_path.iterdir()] == ["c"]


def test_contents_reach_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    calls, real_replace, real_sync = [], os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda a, b: calls.append("replace") or real_replace(a, b))
    monkeypatch.setattr(
        os,
        "fsync",
        lambda fd: calls.append("folder" if os.path.isdir(f"/proc/self/fd/{fd}") else "file") or real_sync(fd),
    )
    save_checkpoint(tmp_path / "c", 1.0, (), 1, None)
    assert calls == ["file", "replace", "folder"]


def test_saving_leaves_no_file_open(tmp_path):
    save_checkpoint(tmp_path / "c", np.ones(3), (), 1, None)
    before = os.listdir("/proc/self/fd")
    for _ in range(9):
        save_checkpoint(tmp_path / "c", np.ones(3), (), 1, None)
        load_checkpoint(tmp_path / "c")
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_link_to_a_checkpoint_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "real" / "c")
    save_checkpoint(tmp_path / "latest", 1.0, (), 4, None)
    assert (tmp_path / "latest").is_symlink() and load_checkpoint(tmp_path / "real" / "c")[2] == 4


# ---------------------------------------------------------------- checkpoints: damaged and foreign files


def a_checkpoint(path):
    train(loss_and_grad, START, batches(), rules.adam(), 0.1, 3, checkpoint=path)
    return path.read_bytes()


def plain_parts(content):
    """A checkpoint's contents, its generator as its state."""
    return content | {"rng": content["rng"].bit_generator.state}


def test_every_damage_is_noticed_or_harmless(tmp_path):
    whole = a_checkpoint(tmp_path / "c")
    right, rng, noticed = plain_parts(read_checkpoint(tmp_path / "c")), np.random.default_rng(6), 0
    for position in rng.permutation(len(whole))[:1200]:
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        (tmp_path / "d").write_bytes(damaged)
        try:
            assert same(plain_parts(read_checkpoint(tmp_path / "d")), right), f"byte {position} changed it unnoticed"
        except CheckpointError:
            noticed += 1
    assert noticed > 900


def test_a_checkpoint_cut_short_anywhere_is_noticed(tmp_path):
    whole = a_checkpoint(tmp_path / "c")
    for length in [0, 1, 50, len(whole) // 2, len(whole) - 1]:
        (tmp_path / "d").write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"d is damaged, or no checkpoint at all"):
            load_checkpoint(tmp_path / "d")


def test_a_foreign_file_is_called_what_it_is(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(CheckpointError, match="zip file, but no checkpoint of gdlab"):
        load_checkpoint(tmp_path / "other.npz")
    (tmp_path / "notes.txt").write_text("lr 0.1 worked")
    with pytest.raises(CheckpointError, match="no checkpoint at all"):
        load_checkpoint(tmp_path / "notes.txt")
    write_checkpoint(tmp_path / "part", {"theta": 1.0})
    with pytest.raises(CheckpointError, match="holds no rng, state, step"):
        load_checkpoint(tmp_path / "part")
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "nothing")


def test_a_later_version_and_an_unknown_kind_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(gdlab.loop, "VERSION", 2)
    save_checkpoint(tmp_path / "c", 1.0, (), 1, None)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="format version 2, but this gdlab reads version 1"):
        load_checkpoint(tmp_path / "c")
    monkeypatch.setattr(gdlab.loop, "to_json", lambda value, arrays: {"pickle": 0})
    save_checkpoint(tmp_path / "c", 1.0, (), 1, None)
    with pytest.raises(CheckpointError, match="it holds a 'pickle'"):
        load_checkpoint(tmp_path / "c")


def test_a_pickle_inside_is_not_opened(tmp_path, monkeypatch):
    opened = tmp_path / "opened"

    class Trap:
        def __reduce__(self):
            return (open, (str(opened), "w"))

    real = np.save
    monkeypatch.setattr(np, "save", lambda file, array, allow_pickle: real(file, np.array([Trap()]), allow_pickle=True))
    save_checkpoint(tmp_path / "c", np.ones(2), (), 1, None)
    with pytest.raises(CheckpointError, match="damaged, or no checkpoint"):
        load_checkpoint(tmp_path / "c")
    assert not opened.exists()


# ---------------------------------------------------------------- going on as if it had never stopped

RULES = {
    "momentum": lambda: rules.momentum(0.8),
    "adam": rules.adam,
    "adamw, clipped": lambda: rules.chain(rules.clip_global_norm(0.5), rules.adamw(weight_decay=0.1)),
}


def noisy(rng):
    """A model with dropout: each step draws from `rng`."""

    def function(theta, batch):
        loss, grad = loss_and_grad(theta, batch)
        return loss, {"w": grad["w"] * (rng.random(3) < 0.8), "bias": grad["bias"]}

    return function


SCHEDULE = functools.partial(schedules.warmup_cosine, peak_lr=0.2, warmup_steps=5, total_steps=26, start_lr=0.01)


def a_run(rule, total_steps, shared_rng=True, seed=5, **more):
    """A run whose dropout draws from the batches' generator, or from one of its own."""
    own = None if shared_rng else np.random.default_rng(seed + 70)
    drawn = batches(seed)
    return train(
        noisy(drawn.rng if shared_rng else own),
        START,
        drawn,
        RULES[rule](),
        SCHEDULE,
        total_steps,
        rng=own,
        callbacks=[
            validation(lambda theta: loss_and_grad(theta, np.arange(23))[0], every=4),
            early_stopping(patience=3),
        ],
        **more,
    )


WHOLE = {(rule, shared): a_run(rule, 26, shared) for rule in RULES for shared in (True, False)}


@settings(max_examples=40, deadline=None)
@given(rule=st.sampled_from(list(RULES)), shared=st.booleans(), stop=st.integers(0, 26))
def test_resumed_at_any_step_it_equals_never_stopping(tmp_path_factory, rule, shared, stop):
    path = tmp_path_factory.mktemp("resume") / "run.ckpt"
    a_run(rule, stop, shared, checkpoint=path)
    run = a_run(rule, 26, shared, seed=99, checkpoint=path, resume=True)  # another seed: the file must overrule it
    whole = WHOLE[rule, shared]
    for name in ("theta", "state", "step", "record", "best", "stopped"):
        assert same(getattr(run, name), getattr(whole, name)), name
    assert run.batches.rng.bit_generator.state == whole.batches.rng.bit_generator.state
    assert len(whole.record) == 26


def test_a_run_saved_often_and_resumed_again_and_again_is_the_same_run(tmp_path):
    for total_steps in (3, 4, 11, 12, 20, 26):
        run = a_run("adam", total_steps, checkpoint=tmp_path / "c", checkpoint_every=2, resume=True)
    assert same(run.theta, WHOLE["adam", True].theta) and same(run.record, WHOLE["adam", True].record)


def test_resuming_sweeps_away_what_a_killed_save_left_and_nothing_else(tmp_path):
    for name in (".c.0a1b2c3d.partial", ".other.0a1b2c3d.partial", "c.partial", ".c.partial"):
        (tmp_path / name).write_bytes(b"half")
    a_run("adam", 2, checkpoint=tmp_path / "c", resume=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".c.partial",
        ".other.0a1b2c3d.partial",
        "c",
        "c.partial",
    ]


def test_a_run_resumes_through_a_link_given_as_text(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "disk" / "c")
    (tmp_path / "disk" / ".c.0a1b2c3d.partial").write_bytes(b"half")
    for total_steps in (5, 9, 26):
        run = a_run("momentum", total_steps, checkpoint=str(tmp_path / "latest"), resume=True)
    assert same(run.theta, WHOLE["momentum", True].theta) and (tmp_path / "latest").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["c"]


def test_checkpoints_are_written_when_asked_and_at_the_end(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(gdlab.loop, "save_run", lambda path, run: saved.append(run.step))
    for total_steps, every in [(7, 3), (6, 3), (5, None)]:
        train(
            loss_and_grad,
            START,
            batches(),
            rules.gradient_descent(),
            0.1,
            total_steps,
            checkpoint=tmp_path / "c",
            checkpoint_every=every,
        )
    assert saved == [3, 6, 7, 3, 6, 5]


def test_a_run_that_was_stopped_early_stays_stopped(tmp_path):
    def stop(run):
        return "Enough." if run.step == 3 else None

    arguments = (loss_and_grad, START, batches(), rules.adam(), 0.1, 9)
    train(*arguments, callbacks=[stop], checkpoint=tmp_path / "c", checkpoint_every=3)
    again = train(*arguments, callbacks=[stop], checkpoint=tmp_path / "c", resume=True)
    assert again.stopped == "Enough." and again.step == 3


def test_nothing_is_saved_over_the_good_checkpoint_when_a_number_goes_bad(tmp_path):
    with pytest.raises(NotFinite):
        train(
            goes_bad_at(8, "loss"),
            START,
            batches(),
            rules.adam(),
            0.1,
            50,
            checkpoint=tmp_path / "c",
            checkpoint_every=3,
        )
    assert load_checkpoint(tmp_path / "c")[2] == 6


def test_a_checkpoint_of_something_else_is_not_resumed(tmp_path):
    path = tmp_path / "c"
    a_checkpoint(path)
    resume = {"checkpoint": path, "resume": True}
    with pytest.raises(ValueError, match="belongs to another model"):
        train(loss_and_grad, {"w": np.ones(2)}, batches(), rules.adam(), 0.1, 9, **resume)
    with pytest.raises(ValueError, match="batch_size = 7, but the saved ones had 4"):
        train(loss_and_grad, START, batches(batch_size=7), rules.adam(), 0.1, 9, **resume)
    with pytest.raises(ValueError, match="saved with rng of the kind none, but rng is now PCG64"):
        train(loss_and_grad, START, batches(), rules.adam(), 0.1, 9, rng=np.random.default_rng(0), **resume)
    save_checkpoint(path, START, (), 3, None)
    with pytest.raises(CheckpointError, match="resume needs a checkpoint that train wrote"):
        train(loss_and_grad, START, batches(), rules.adam(), 0.1, 9, **resume)


# The four parts of a checkpoint, each saved wrongly: Adam, a decaying rate, shuffled epochs, two epochs before and two after.


def two_epochs(theta, state, step, rng):
    for batch in epoch_batches(23, 4, rng) + epoch_batches(23, 4, rng):
        new, state = rules.adam().step(theta, minibatch_gradient(theta, X, Y, batch), state, step, decaying(step))
        theta[:] = new  # in place, as torch does: what was saved must not be this very array
        step += 1
    return theta, state, step, rng


def _through_a_file(theta, state, step, rng, path):
    save_checkpoint(path, theta, state, step, rng)
    return lambda: load_checkpoint(path)


WRONG_CHECKPOINTS = {
    "weights-only": lambda *a: _through_a_file(a[0], rules.adam().init(a[0]), 0, np.random.default_rng(4), a[4]),
    "optimizer-forgotten": lambda *a: _through_a_file(a[0], rules.adam().init(a[0]), *a[2:]),
    "step-forgotten": lambda *a: _through_a_file(*a[:2], 0, *a[3:]),
    "step-one-behind": lambda *a: _through_a_file(*a[:2], a[2] - 1, *a[3:]),
    "step-one-ahead": lambda *a: _through_a_file(*a[:2], a[2] + 1, *a[3:]),
    "shuffle-restarts": lambda *a: _through_a_file(*a[:3], np.random.default_rng(4), a[4]),
    "keeps-a-reference": lambda theta, state, step, rng, path: (
        lambda: (theta, *_through_a_file(theta, state, step, rng, path)()[1:])
    ),
    "half-precision": lambda *a: _through_a_file(a[0].astype(np.float16).astype(float), *a[1:]),
}


def goes_on(path, through):
    """Whether a run that is saved, continued, loaded and continued gives twice the same."""
    theta = np.array([0.3, -0.2, 0.1])
    parts = two_epochs(theta, rules.adam().init(theta), 0, np.random.default_rng(4))
    load = through(*parts, path)
    # The generator moves on as well; Adam's state is made anew at each step.
    continued = two_epochs(*parts)
    return same(two_epochs(*load())[:3], continued[:3])


@pytest.mark.parametrize("name", [None, *WRONG_CHECKPOINTS])
def test_only_a_checkpoint_of_all_four_parts_goes_on(tmp_path, name):
    through = WRONG_CHECKPOINTS.get(name, _through_a_file)
    if name == "shuffle-restarts" or name == "weights-only":
        assert not goes_on(tmp_path / "c", through)
    else:
        assert goes_on(tmp_path / "c", through) == (name is None)


# ---------------------------------------------------------------- kill -9

KILLED = '''
"""Fork a worker, kill -9 it at a random moment, look at what it left; again and again."""
import contextlib, itertools, json, os, random, signal, sys, time
from pathlib import Path
import numpy as np
import gdlab.loop
from gdlab import rules, schedules
from gdlab.batching import Batches

mode, path = sys.argv[1], Path(sys.argv[2])

@contextlib.contextmanager
def in_place(path):  # what saving looks like without care
    with open(path, "wb") as file:
        yield file

if mode == "in place":
    gdlab.loop.replacing = in_place

def save_for_ever():
    for step in itertools.count(previous + 1):
        gdlab.loop.save_checkpoint(path, np.full(60_000, float(step)), {"m": np.full(60_000, step)}, step, None)

def a_run(path):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(37, 4)); y = x @ [1.0, 2.0, -1.0, 0.5]
    def loss_and_grad(theta, batch):
        e = x[batch] @ theta - y[batch] + 0.1 * batches.rng.normal(size=len(batch))
        return float(e @ e) / len(batch), 2 * x[batch].T @ e / len(batch)
    batches = Batches(37, 5, np.random.default_rng(8))
    return gdlab.loop.train(loss_and_grad, np.zeros(4), batches, rules.adam(), lambda step: 0.1 / (1 + step) ** 0.5, 150,
                            checkpoint=path, checkpoint_every=1, resume=True)

def killed(work, delay):
    """Whether the worker was killed before it was done; the delay counts from when it begins, however busy the machine."""
    begun, begin = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(begin, b"!")
        work()
        os._exit(0)
    os.read(begun, 1)
    os.close(begun), os.close(begin)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])

chance, kills, broken, middle, previous = random.Random(1), 0, 0, 0, 0
if mode == "resume":
    delay = 0.01
    while killed(lambda: a_run(path), delay * chance.uniform(0.5, 1.5)):
        kills, delay = kills + 1, delay * 1.05   # on a slow machine a worker must at last get further
    whole, last = a_run(path.with_name("whole")), gdlab.loop.read_checkpoint(path)
    equal = last["theta"].tobytes() == whole.theta.tobytes() and last["record"] == whole.record and last["rng"].bit_generator.state == whole.batches.rng.bit_generator.state
    print(json.dumps({"kills": kills, "equal": equal, "steps": last["step"], "litter": len(list(path.parent.glob(".*.partial")))}))
else:
    gdlab.loop.save_checkpoint(path, np.zeros(60_000), {"m": np.zeros(60_000)}, 0, None)
    for _ in range(80):
        kills += killed(save_for_ever, chance.uniform(0.002, 0.03))
        left = list(path.parent.glob(".*.partial"))
        middle += len(left) == 1
        for partial in left:
            partial.unlink()
        try:
            theta, state, step, _ = gdlab.loop.load_checkpoint(path)
            assert step >= previous and (theta == step).all() and (state["m"] == step).all()
            previous = step
        except gdlab.loop.CheckpointError:
            broken += 1
    print(json.dumps({"kills": kills, "broken": broken, "middle": middle, "saved": previous}))
'''


def kill_again_and_again(mode, path):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # one thread: a fork takes only one along
    done = subprocess.run(
        [sys.executable, "-c", KILLED, mode, str(path)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kill_minus_nine_in_the_middle_of_saving_never_leaves_a_broken_checkpoint(tmp_path):
    found = kill_again_and_again("replace", tmp_path / "c")
    assert found["kills"] == 80 and found["broken"] == 0
    assert found["middle"] >= 10 and found["saved"] >= 10  # the kills did land in the middle, and saving did go on


def test_writing_in_place_does_leave_broken_ones(tmp_path):
    assert kill_again_and_again("in place", tmp_path / "c")["broken"] >= 5


def test_a_run_killed_again_and_again_ends_as_if_it_had_never_been(tmp_path):
    found = kill_again_and_again("resume", tmp_path / "run.ckpt")
    assert found["kills"] >= 3 and found["steps"] == 150
    assert found["equal"] and found["litter"] == 0


# ---------------------------------------------------------------- the bar

SMALL_RUN = """
import itertools
from gdlab import rules
from gdlab.loop import train
train(lambda t, _: (t * t, 2 * t), 8.0, itertools.repeat(None), rules.gradient_descent(), 0.25, 30, progress={progress})
"""


def stderr_of(progress, terminal):
    """What a small run writes to stderr: a terminal, or a pipe."""
    reader, writer = pty.openpty() if terminal else os.pipe()
    environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR")} | {
        "TERM": "xterm",
        "COLUMNS": "100",
    }
    subprocess.run(
        [sys.executable, "-c", SMALL_RUN.format(progress=progress)],
        stderr=writer,
        stdout=subprocess.DEVNULL,
        check=True,
        env=environment,
    )
    os.close(writer)
    written = b""
    with open(reader, "rb", buffering=0) as file:
        try:
            while piece := file.read(4096):
                written += piece
        except OSError:  # how a terminal without a writer says that it ends
            pass
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.decode())


@pytest.mark.parametrize(
    ("progress", "terminal", "shown"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_the_bar_shows_on_a_terminal_or_when_asked(progress, terminal, shown):
    written = stderr_of(progress, terminal)
    assert ("30/30" in written and "loss 2.22e-16" in written) if shown else written == ""


def test_a_bar_in_this_process_leaves_the_run_as_it_is(capsys):
    run = train(loss_and_grad, START, batches(), rules.adam(), 0.1, 7, progress=True)
    assert "7/7" in capsys.readouterr().err
    assert same(run.theta, train(loss_and_grad, START, batches(), rules.adam(), 0.1, 7, progress=False).theta)


# ---------------------------------------------------------------- the module itself


def test_leaves_have_names_in_the_order_of_the_rules():
    tree = {"b": (1.0, [2.0]), "a": 3.0}
    assert [leaf for _, leaf in named_leaves(tree)] == rules.leaves(tree)


def test_a_run_saved_by_hand_can_be_read_by_parts(tmp_path):
    run = Run(theta=1.0, state=(2.0,), batches=batches(), step=3)
    save_run(tmp_path / "c", run)
    assert load_checkpoint(tmp_path / "c")[:3] == (1.0, (2.0,), 3)


def test_the_examples_in_the_docstrings_are_true():
    assert doctest.testmod(gdlab.loop).failed == 0
