"""Batching: every example once an epoch, exact accumulation, the 1/√B law, and McCandlish's noise scale."""

import doctest
import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gdlab.batching
from gdlab.batching import (
    Batches,
    NoiseScale,
    accumulate_gradients,
    cost_of_batch_size,
    critical_batch_size,
    draw_batch_gradients,
    epoch_batches,
    finite_population_correction,
    fit_cost_of_batch_size,
    gradient_noise,
    in_micro_batches,
    minibatch_gradient,
    noise_scale,
    noise_scale_of,
    scale_lr,
)

unhurried = settings(deadline=None)  # the machine may be busy, and seconds are not what is tested

# ---------------------------------------------------------------- epochs


def broken_epoch_rules(function):
    """Which of the promises of an epoch `function` breaks, over every remainder and both flags."""
    broken = set()
    for n, batch_size, drop_last in itertools.product([12, 13, 17, 3], [1, 4, 5, 20], [False, True]):
        rng = np.random.default_rng(3)
        first, second = function(n, batch_size, rng, drop_last), function(n, batch_size, rng, drop_last)
        sizes = [batch_size] * (n // batch_size) + ([n % batch_size] if n % batch_size and not drop_last else [])
        if [len(batch) for batch in first] != sizes:
            broken.add("sizes")
            continue
        seen = np.concatenate([*first, np.array([], dtype=int)]).tolist()
        if len(set(seen)) != len(seen) or not set(seen) <= set(range(n)):
            broken.add("each once")
        if n == 17 and not drop_last and seen == np.concatenate(second).tolist():
            broken.add("epochs differ")
        if n == 17 and batch_size == 4 and any(np.ptp(batch) == len(batch) - 1 for batch in first[:2]):
            broken.add("neighbours part")
    return broken


def _cut(order, batch_size, count):
    return [order[k * batch_size : (k + 1) * batch_size] for k in range(count)]


def _blocks(n, batch_size, rng, drop_last=False):
    blocks = epoch_batches_in_order(n, batch_size, rng, drop_last)
    full = [block for block in blocks if len(block) == batch_size]
    return [full[k] for k in rng.permutation(len(full))] + blocks[len(full) :]


def epoch_batches_in_order(n, batch_size, rng, drop_last=False):
    return _cut(np.arange(n), batch_size, n // batch_size if drop_last else -(-n // batch_size))


WRONG_EPOCHS = {
    "no-shuffle": epoch_batches_in_order,
    "same-order-every-epoch": lambda n, b, rng, drop_last: epoch_batches(n, b, np.random.default_rng(0), drop_last),
    "always-drops-last": lambda n, b, rng, drop_last: epoch_batches(n, b, rng, True),
    "never-drops-last": lambda n, b, rng, drop_last: epoch_batches(n, b, rng, False),
    "drops-last-even-if-full": lambda n, b, rng, drop_last: epoch_batches(n, b, rng)[: -1 if drop_last else None],
    "with-replacement": lambda n, b, rng, drop_last: _cut(
        rng.integers(n, size=n), b, n // b if drop_last else -(-n // b)
    ),
    "empty-last-batch": lambda n, b, rng, drop_last: _cut(rng.permutation(n), b, n // b + (not drop_last)),
    "shuffles-blocks": _blocks,
}


def test_an_epoch_keeps_its_promises_for_every_remainder_and_both_flags():
    assert broken_epoch_rules(epoch_batches) == set()


@pytest.mark.parametrize("name", WRONG_EPOCHS)
def test_a_wrong_epoch_breaks_a_promise(name):
    assert broken_epoch_rules(WRONG_EPOCHS[name])


@unhurried
@given(n=st.integers(1, 200), batch_size=st.integers(1, 220), drop_last=st.booleans(), seed=st.integers(0, 99))
def test_every_example_comes_once_an_epoch(n, batch_size, drop_last, seed):
    batches = epoch_batches(n, batch_size, np.random.default_rng(seed), drop_last)
    seen = sorted(int(row) for batch in batches for row in batch)
    if drop_last:
        assert len(seen) == n - n % batch_size == len(set(seen)) and set(seen) <= set(range(n))
    else:
        assert seen == list(range(n))


def test_batches_come_only_from_the_generator_passed_in():
    before = np.random.get_state()[1].copy()
    once, again = (epoch_batches(30, 7, np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert np.array_equal(before, np.random.get_state()[1])


SIZES = {
    "n": [
        lambda n: epoch_batches(n, 4, np.random.default_rng(0)),
        lambda n: Batches(n, 4, np.random.default_rng(0)),
        lambda n: finite_population_correction(n, 4),
    ],
    "batch_size": [
        lambda size: epoch_batches(10, size, np.random.default_rng(0)),
        lambda size: Batches(10, size, np.random.default_rng(0)),
        lambda size: gradient_noise(GRADS, size),
        lambda size: finite_population_correction(10, size),
    ],
    "micro_batch": [lambda size: in_micro_batches(lambda theta, batch: (0.0, theta), size)],
    "batch": [lambda size: scale_lr(0.1, 4, size, "linear")],
    "base_batch": [lambda size: scale_lr(0.1, size, 4, "linear")],
    "draws": [lambda draws: draw_batch_gradients(GRADS, 2, draws, np.random.default_rng(0))],
    "small_batch": [lambda size: noise_scale(2.0, size, 1.0, 8)],
    "big_batch": [lambda size: noise_scale(2.0, 1, 1.0, size)],
}


@pytest.mark.parametrize(("name", "place"), [(name, k) for name, calls in SIZES.items() for k in range(len(calls))])
def test_a_size_that_makes_no_sense_is_refused_by_its_name(name, place):
    for bad in (0, -3, 2.5):
        with pytest.raises(ValueError) as refused:
            SIZES[name][place](bad)
        assert str(refused.value) == f"{name} is a whole number from 1 up, but is {bad}."


# ---------------------------------------------------------------- batches without end


@pytest.mark.parametrize(("batch_size", "per_epoch"), [(12, 1), (5, 3), (1, 12)])
def test_full_mini_and_single_batches_make_epochs_of_their_length(batch_size, per_epoch):
    batches = Batches(12, batch_size, np.random.default_rng(0))
    for k, batch in enumerate(itertools.islice(batches, 3 * per_epoch)):
        assert (batches.epoch, batches.position) == (k // per_epoch, k % per_epoch + 1)
        assert len(batch) == min(batch_size, 12 - (k % per_epoch) * batch_size)


def test_batches_are_those_of_epoch_batches_one_epoch_after_the_other():
    rng = np.random.default_rng(8)
    expected = [batch for _ in range(3) for batch in epoch_batches(11, 4, rng)]
    for batch, right in zip(Batches(11, 4, np.random.default_rng(8)), expected, strict=False):
        assert np.array_equal(batch, right)


def test_a_last_batch_that_is_short_is_dropped_in_every_epoch():
    batches = Batches(10, 4, np.random.default_rng(8), drop_last=True)
    assert [len(batch) for batch in itertools.islice(batches, 6)] == [4] * 6
    assert (batches.epoch, batches.position) == (2, 2)


BIT_GENERATORS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]


@unhurried
@given(
    n=st.integers(1, 30),
    batch_size=st.integers(1, 12),
    drop_last=st.booleans(),
    stop=st.integers(0, 25),
    more=st.integers(1, 25),
    bits=st.sampled_from(BIT_GENERATORS),
    draws_between=st.booleans(),
)
def test_taken_up_at_any_batch_it_equals_never_stopping(n, batch_size, drop_last, stop, more, bits, draws_between):
    if drop_last and batch_size > n:
        return
    batches = Batches(n, batch_size, np.random.Generator(bits(1)), drop_last)
    for _ in range(stop):
        next(batches)
        if draws_between:
            batches.rng.random()  # a model that draws its dropout from the same generator
    state = batches.state()
    expected = [next(batches).tolist() for _ in range(more)]
    resumed = Batches(n, batch_size, np.random.Generator(bits(99)), drop_last)
    resumed.restore(state)
    assert [next(resumed).tolist() for _ in range(more)] == expected
    assert (resumed.epoch, resumed.position) == (batches.epoch, batches.position)
    assert resumed.rng.random() == batches.rng.random()


def test_a_seed_is_not_a_state():
    batches = Batches(20, 4, np.random.default_rng(1))
    for _ in range(7):
        next(batches)
    reseeded = Batches(20, 4, np.random.default_rng(1))
    assert next(batches).tolist() != next(reseeded).tolist()


def test_a_saved_state_stays_as_it_was_and_is_small():
    batches = Batches(100_000, 10, np.random.default_rng(1))
    next(batches)
    state = batches.state()
    text = json.dumps(state)
    next(batches)
    batches.rng.random(3)
    assert json.dumps(state) == text and len(text) < 1000


def test_what_is_done_to_a_saved_state_does_not_reach_the_batches():
    batches = Batches(20, 4, np.random.default_rng(1))
    next(batches)
    before = json.dumps(batches.state())
    state = batches.state()
    for part in ("shuffled_from", "rng"):
        state[part]["state"]["state"] = 0
    assert json.dumps(batches.state()) == before


def test_a_state_of_other_batches_is_refused_by_name():
    state = Batches(20, 4, np.random.default_rng(1)).state()
    with pytest.raises(
        ValueError,
        match="batch_size = 5, but the saved ones had 4: to go on where they stopped, make them the same.$",
    ):
        Batches(20, 5, np.random.default_rng(1)).restore(state)
    with pytest.raises(ValueError, match="drawn with PCG64, but rng is a MT19937"):
        Batches(20, 4, np.random.Generator(np.random.MT19937(0))).restore(state)


def test_an_epoch_without_a_batch_is_refused():
    with pytest.raises(ValueError, match="no full batch of 5.* drops the rest: make .* or keep the last batch.$"):
        Batches(4, 5, np.random.default_rng(0), drop_last=True)


# ---------------------------------------------------------------- gradients of batches

RNG = np.random.default_rng(17)
X, Y, THETA = RNG.normal(2.0, 1.5, (23, 3)), RNG.normal(1.0, 2.0, 23), np.array([0.7, -1.3, 0.4])
BATCH = np.array([19, 2, 11, 5, 8])


def torchs_gradient(theta, x, y, batch):
    theta = torch.tensor(theta, requires_grad=True)
    (torch.nn.functional.mse_loss(torch.tensor(x[batch]) @ theta, torch.tensor(y[batch])) / 2).backward()
    return theta.grad.numpy()


def _errors(theta, x, y, batch):
    return x[batch] @ theta - y[batch]


WRONG_GRADIENTS = {
    "sum-not-mean": lambda t, x, y, b: x[b].T @ _errors(t, x, y, b),
    "divides-by-all": lambda t, x, y, b: x[b].T @ _errors(t, x, y, b) / len(x),
    "whole-data": lambda t, x, y, b: minibatch_gradient(t, x, y, np.arange(len(x))),
    "residual-backwards": lambda t, x, y, b: -minibatch_gradient(t, x, y, b),
    "labels-of-others": lambda t, x, y, b: x[b].T @ (x[b] @ t - y[: len(b)]) / len(b),
    "forgets-x": lambda t, x, y, b: np.full(len(t), _errors(t, x, y, b).mean()),
    "column-broadcast": lambda t, x, y, b: (x[b].T @ (x[b] @ t - y[b][:, None])).mean(axis=1) / len(b),
}


def test_the_minibatch_gradient_is_torchs():
    assert minibatch_gradient(THETA, X, Y, BATCH) == pytest.approx(torchs_gradient(THETA, X, Y, BATCH), rel=1e-13)


@pytest.mark.parametrize("name", WRONG_GRADIENTS)
def test_a_wrong_minibatch_gradient_is_not_torchs(name):
    assert WRONG_GRADIENTS[name](THETA, X, Y, BATCH) != pytest.approx(torchs_gradient(THETA, X, Y, BATCH), rel=1e-3)


def test_labels_in_a_column_give_the_same_gradient():
    assert np.array_equal(minibatch_gradient(THETA, X, Y[:, None], BATCH), minibatch_gradient(THETA, X, Y, BATCH))


def test_over_all_batches_of_a_size_the_gradient_is_right_on_average():
    every = [minibatch_gradient(THETA, X[:7], Y[:7], list(batch)) for batch in itertools.combinations(range(7), 3)]
    assert np.mean(every, axis=0) == pytest.approx(minibatch_gradient(THETA, X[:7], Y[:7], np.arange(7)), rel=1e-12)


@pytest.mark.parametrize(
    ("theta", "y", "batch", "sentence"),
    [
        (THETA, Y, [], "^The batch is empty: a mean over no examples has no value.$"),
        (THETA, Y[:5], [0], "one label for each"),
        (THETA[:, None], Y, [0], "one weight for each"),
    ],
)
def test_shapes_that_would_broadcast_are_refused(theta, y, batch, sentence):
    with pytest.raises(ValueError, match=sentence):
        minibatch_gradient(theta, X, y, batch)


PARTS = np.split(np.array([19, 2, 11, 5, 8, 0, 14, 21, 7, 3]), [5, 6])  # 5, 1 and 4 examples


def _accumulated(combine):
    return combine([minibatch_gradient(THETA, X, Y, part) for part in PARTS], [len(part) for part in PARTS])


def _running_half(grads, counts):
    total = grads[0]
    for grad in grads[1:]:
        total = (total + grad) / 2
    return total


WRONG_SUMS = {
    "plain-mean": lambda g, n: sum(g) / len(g),
    "plain-sum": lambda g, n: sum(g),
    "weighted-sum": lambda g, n: sum(k * x for k, x in zip(n, g, strict=True)),
    "weighted-over-k": lambda g, n: sum(k * x for k, x in zip(n, g, strict=True)) / len(g),
    "last-one-wins": lambda g, n: g[-1],
    "running-half": _running_half,
    "last-one-lost": lambda g, n: accumulate_gradients(g[:-1], n[:-1]),
}


def test_unequal_micro_batches_add_up_to_the_large_batch():
    assert _accumulated(accumulate_gradients) == pytest.approx(
        minibatch_gradient(THETA, X, Y, np.concatenate(PARTS)), rel=1e-13
    )


@pytest.mark.parametrize("name", WRONG_SUMS)
def test_a_wrong_sum_of_micro_batches_is_not_the_large_batch(name):
    assert _accumulated(WRONG_SUMS[name]) != pytest.approx(
        minibatch_gradient(THETA, X, Y, np.concatenate(PARTS)), rel=1e-2
    )


def test_accumulation_keeps_trees_float32_and_torch():
    tree = {"w": np.float32([[1.0, 2.0]]), "layers": [np.float32([3.0]), (np.float32([4.0]),)]}
    other = {"w": np.float32([[5.0, 6.0]]), "layers": [np.float32([7.0]), (np.float32([8.0]),)]}
    both = accumulate_gradients([tree, other], np.array([3, 1]))
    assert both["w"].tolist() == [[2.0, 3.0]] and both["w"].dtype == np.float32
    assert both["layers"][0].tolist() == [4.0] and both["layers"][1][0].tolist() == [5.0]
    assert torch.equal(accumulate_gradients([torch.tensor([1.0]), torch.tensor([5.0])], [3, 1]), torch.tensor([2.0]))


def test_a_micro_batch_that_counts_nothing_has_no_say():
    assert accumulate_gradients([np.array([np.nan]), np.array([2.0])], [0, 5]).tolist() == [2.0]


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ([1], "are 2 and 1"),
        ([0, 0], "^There are no examples to average over: every count is 0.$"),
        ([1, -1], "^each count is a whole number from 0 up, but is -1.$"),
    ],
)
def test_counts_that_do_not_fit_are_refused(counts, sentence):
    with pytest.raises(ValueError, match=sentence):
        accumulate_gradients([np.ones(2), np.ones(2)], counts)


def test_gradients_that_are_not_built_alike_are_refused():
    with pytest.raises(ValueError):
        accumulate_gradients([[np.ones(2), np.ones(3)], [np.ones(2)]], [1, 1])


@unhurried
@given(micro_batch=st.integers(1, 12), size=st.integers(1, 10))
def test_looking_in_micro_batches_changes_neither_loss_nor_gradient(micro_batch, size):
    def loss_and_grad(theta, batch):
        return float(np.mean(_errors(theta, X, Y, batch) ** 2) / 2), minibatch_gradient(theta, X, Y, batch)

    batch = np.concatenate(PARTS)[:size]
    (loss, grad), (whole_loss, whole_grad) = (
        f(THETA, batch) for f in (in_micro_batches(loss_and_grad, micro_batch), loss_and_grad)
    )
    assert loss == pytest.approx(whole_loss, rel=1e-12) and isinstance(loss, float)
    assert grad == pytest.approx(whole_grad, rel=1e-11, abs=1e-13)


# ---------------------------------------------------------------- the learning rate and the batch size

WRONG_SCALES = {
    "ratio-upside-down": lambda lr, base, b, rule: scale_lr(lr, b, base, rule),
    "always-linear": lambda lr, base, b, rule: lr * b / base,
    "squares": lambda lr, base, b, rule: lr * (b / base if rule == "linear" else (b / base) ** 2),
    "root-of-everything": lambda lr, base, b, rule: lr * b / base if rule == "linear" else math.sqrt(lr * b / base),
    "whole-number-ratio": lambda lr, base, b, rule: lr * (b // base if rule == "linear" else math.sqrt(b // base)),
    "by-batch-alone": lambda lr, base, b, rule: lr * b,
    "unscaled": lambda lr, base, b, rule: lr,
}
# Goyal et al. 2017 train ImageNet with 0.1 at 256 images and 3.2 at 8192; the rest by hand.
SCALED = [
    ((0.1, 256, 8192, "linear"), 3.2),
    ((0.2, 64, 80, "linear"), 0.25),
    ((0.3, 64, 100, "sqrt"), 0.375),
    ((0.3, 100, 64, "sqrt"), 0.24),
]


def test_the_rate_scales_as_published():
    assert [scale_lr(*given_) for given_, _ in SCALED] == pytest.approx([lr for _, lr in SCALED], rel=1e-14)


@pytest.mark.parametrize("name", WRONG_SCALES)
def test_a_wrong_scaling_misses_a_published_rate(name):
    assert [WRONG_SCALES[name](*given_) for given_, _ in SCALED] != pytest.approx([lr for _, lr in SCALED], rel=1e-3)


def test_a_rule_by_another_name_is_refused():
    with pytest.raises(ValueError, match='"linear" or "sqrt", but is \'cubic\''):
        scale_lr(0.1, 1, 2, "cubic")


# ---------------------------------------------------------------- gradient noise

GRADS = np.random.default_rng(23).normal([3.0, -1.0, 0.2], [1.0, 4.0, 0.5], (8, 3))

WRONG_NOISE = {
    "divides-by-b": lambda g, b: g.std(axis=0, ddof=1) / b,
    "spread-of-one": lambda g, b: g.std(axis=0, ddof=1),
    "root-of-n": lambda g, b: g.std(axis=0, ddof=1) / math.sqrt(len(g)),
    "variance": lambda g, b: g.var(axis=0, ddof=1) / b,
    "not-centred": lambda g, b: np.sqrt((g**2).mean(axis=0) / b),
    "all-coordinates-mixed": lambda g, b: np.full(g.shape[1], g.std(ddof=1) / math.sqrt(b)),
    "wrong-axis": lambda g, b: (g.std(axis=1, ddof=1) / math.sqrt(b))[: g.shape[1]],
    "ddof 0": lambda g, b: g.std(axis=0) / math.sqrt(b),
}


def all_batches_of(batch_size, replace):
    """The mean gradient of every batch that could be drawn: no sampling, the whole distribution."""
    draw = (
        itertools.product(range(len(GRADS)), repeat=batch_size)
        if replace
        else itertools.combinations(range(len(GRADS)), batch_size)
    )
    return np.array([GRADS[list(batch)].mean(axis=0) for batch in draw])


@pytest.mark.parametrize("batch_size", [1, 2, 5, 8])
def test_without_replacement_the_noise_is_exactly_the_spread_over_all_batches(batch_size):
    exact = all_batches_of(batch_size, replace=False).std(axis=0)
    assert gradient_noise(GRADS, batch_size, replace=False) == pytest.approx(exact, rel=1e-11, abs=1e-12)


def test_with_replacement_the_noise_is_the_spread_over_all_batches_of_endless_data():
    # 8 rows stand for endless data that they are a sample of: their own spread is √(7/8) of its estimate.
    exact = all_batches_of(3, replace=True).std(axis=0)
    assert gradient_noise(GRADS, 3) * math.sqrt(7 / 8) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("name", WRONG_NOISE)
def test_a_wrong_noise_is_not_the_spread_over_all_batches(name):
    exact = all_batches_of(3, replace=True).std(axis=0) / math.sqrt(7 / 8)
    assert WRONG_NOISE[name](GRADS, 3) != pytest.approx(exact, rel=1e-3)


def test_forgetting_the_finite_population_is_caught_by_all_batches():
    assert gradient_noise(GRADS, 5) != pytest.approx(all_batches_of(5, replace=False).std(axis=0), rel=0.3)


@pytest.mark.parametrize("replace", [True, False])
def test_measured_noise_follows_one_over_root_b(replace):
    grads = np.random.default_rng(4).standard_t(8, (256, 2)) * [1.0, 5.0] + [2.0, -3.0]
    for batch_size in (4, 16, 64, 128):
        measured = draw_batch_gradients(
            grads, batch_size, 4000, np.random.default_rng(batch_size), replace=replace
        ).std(axis=0)
        # The spread of 4000 draws is known to about 1/√8000 = 1.1 %: five times that is not chance.
        assert measured == pytest.approx(gradient_noise(grads, batch_size, replace=replace), rel=0.056)


def test_lists_of_whole_numbers_are_gradients_too():
    rows = [[1, 0], [3, 4], [5, 8]]
    assert gradient_noise(rows, 4).tolist() == gradient_noise(np.array(rows, dtype=float), 4).tolist() == [1.0, 2.0]
    assert noise_scale_of(rows) == noise_scale_of(np.array(rows, dtype=float))
    assert draw_batch_gradients(rows, 3, 1, np.random.default_rng(0)) == pytest.approx(np.array([[3.0, 4.0]]))


def test_small_kinds_of_numbers_are_measured_in_double_precision():
    narrow = GRADS.astype(np.float32)
    assert np.array_equal(gradient_noise(narrow, 2), gradient_noise(narrow.astype(float), 2))
    once, again = (draw_batch_gradients(g, 3, 5, np.random.default_rng(0)) for g in (narrow, narrow.astype(float)))
    assert np.array_equal(once, again)
    assert noise_scale_of(np.array([[100], [50]], dtype=np.int8)) == noise_scale_of([[100.0], [50.0]])


def test_two_rows_are_enough_for_a_spread():
    assert gradient_noise([[1.0], [3.0]], 2).tolist() == [1.0]


def test_batch_256_has_a_sixteenth_of_the_noise_of_batch_1():
    assert gradient_noise(GRADS, 1) / gradient_noise(GRADS, 256) == pytest.approx([16.0] * 3)


@pytest.mark.parametrize(
    "function",
    [
        lambda: gradient_noise(np.ones(4), 2),
        lambda: gradient_noise(np.ones((1, 4)), 2),
        lambda: noise_scale_of(np.ones((1, 4))),
    ],
)
def test_noise_needs_two_rows(function):
    with pytest.raises(ValueError, match="at least two rows"):
        function()


def test_more_different_examples_than_there_are_is_refused():
    with pytest.raises(ValueError, match="9 different examples cannot be drawn from 8"):
        gradient_noise(GRADS, 9, replace=False)
    assert finite_population_correction(8, 8) == 0.0
    with pytest.raises(ValueError, match="batch_size is a whole number from 1 up"):
        finite_population_correction(8, 0)


# ---------------------------------------------------------------- noise scale and critical batch size

TRUE_GRAD, TRUE_SPREAD = np.array([1.0, -2.0, 0.5]), np.array([3.0, 1.0, 4.0])  # |G|² = 5.25, tr Σ = 26


def average_scale(estimate):
    """Mean of an estimator of (|G|², tr Σ) over 20,000 independent pairs of batches of 2 and 8."""
    rng = np.random.default_rng(9)
    small, big = (rng.normal(TRUE_GRAD, TRUE_SPREAD / math.sqrt(b), (20_000, 3)) for b in (2, 8))
    return np.mean([estimate(s @ s, 2, b @ b, 8) for s, b in zip(small, big, strict=True)], axis=0)


def test_the_two_batch_estimator_is_unbiased():
    # Standard errors by the spread of the 20,000 estimates: 0.05 and 0.25.
    assert average_scale(noise_scale) == pytest.approx([5.25, 26.0], abs=0.9)
    assert average_scale(noise_scale)[0] == pytest.approx(5.25, abs=0.2)


WRONG_SCALE = {
    "plug-in |g_big|²": lambda s, bs, b, bb: (b, noise_scale(s, bs, b, bb).noise),
    "forgets 1/B_big": lambda s, bs, b, bb: (noise_scale(s, bs, b, bb).signal, (s - b) * bs),
    "sizes swapped": lambda s, bs, b, bb: ((bs * b - bb * s) / (bs - bb), (s - b) / (1 / bs - 1 / bb)),
}


@pytest.mark.parametrize("name", WRONG_SCALE)
def test_a_wrong_estimator_is_biased(name):
    signal, noise = average_scale(WRONG_SCALE[name])
    assert abs(signal - 5.25) > 1 or abs(noise - 26) > 3


def test_per_example_gradients_give_the_trace_of_the_sample_covariance():
    found = noise_scale_of(GRADS)
    assert found.noise == pytest.approx(np.trace(np.cov(GRADS.T)), rel=1e-12)
    assert found.signal == pytest.approx(np.sum(GRADS.mean(axis=0) ** 2) - found.noise / len(GRADS), rel=1e-12)
    assert found.batch_size == pytest.approx(found.noise / found.signal)


def test_two_batches_of_all_sizes_agree_with_the_whole_distribution():
    mean_square = {b: np.mean(np.sum(all_batches_of(b, replace=True) ** 2, axis=1)) for b in (1, 2, 4)}
    a, b = noise_scale(mean_square[1], 1, mean_square[4], 4), noise_scale(mean_square[2], 2, mean_square[4], 4)
    assert a == pytest.approx(b, rel=1e-10)
    assert a.signal == pytest.approx(np.sum(GRADS.mean(axis=0) ** 2), rel=1e-10)


def test_where_no_signal_was_measured_no_batch_is_large_enough():
    assert NoiseScale(signal=-0.1, noise=3.0).batch_size == NoiseScale(signal=0.0, noise=3.0).batch_size == math.inf


def test_a_signal_weaker_than_one_is_a_signal():
    assert NoiseScale(signal=0.5, noise=3.0).batch_size == 6.0


def test_batches_of_one_size_tell_nothing_about_noise():
    with pytest.raises(ValueError, match="must be below big_batch, but they are 8 and 8"):
        noise_scale(1.0, 8, 1.0, 8)


# (B, steps / least, examples / least) at B_crit = 1000, as in the project's checked table of the model.
COSTS = [(1, 1001.0, 1.001), (256, 4.90625, 1.256), (1000, 2.0, 2.0), (4000, 1.25, 5.0), (16000, 1.0625, 17.0)]


@pytest.mark.parametrize(("batch_size", "steps", "examples"), COSTS)
def test_small_batches_cost_steps_and_large_ones_examples(batch_size, steps, examples):
    found = cost_of_batch_size(batch_size, min_steps=300, min_examples=300_000)
    assert found == pytest.approx((300 * steps, 300_000 * examples), rel=1e-12)
    assert (found[0] / 300 - 1) * (found[1] / 300_000 - 1) == pytest.approx(1)


@unhurried
@given(min_steps=st.floats(1, 1e5), critical=st.floats(1, 1e5))
def test_the_fit_finds_the_model_that_made_the_runs(min_steps, critical):
    sizes = [8, 64, 512, 4096]
    steps = [cost_of_batch_size(b, min_steps, min_steps * critical)[0] for b in sizes]
    assert critical_batch_size(*fit_cost_of_batch_size(sizes, steps)) == pytest.approx(critical, rel=1e-5)


def test_two_runs_are_enough_for_a_line():
    assert fit_cost_of_batch_size([8, 64], [10 + 160 / 8, 10 + 160 / 64]) == pytest.approx((10, 160))


def test_runs_may_be_counted_in_any_kind_of_number():
    sizes, steps = [500, 1000, 4000], [1500, 1000, 625]
    fractions = ([Fraction(number) for number in numbers] for numbers in (sizes, steps))
    assert fit_cost_of_batch_size(*fractions) == fit_cost_of_batch_size(sizes, steps)


def test_one_batch_size_is_no_line():
    sentence = "^A line needs two points: give steps for at least two different batch sizes, one number each.$"
    with pytest.raises(ValueError, match=sentence):
        fit_cost_of_batch_size([8, 8], [100, 101])


# ---------------------------------------------------------------- the module itself


def test_the_examples_in_the_docstrings_are_true():
    assert doctest.testmod(gdlab.batching).failed == 0
