"""Diagnosing: words for loss curves, rates from a range test and from curvature, when to stop, what to check first."""

import doctest
import functools
import importlib
import inspect
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gdlab.diagnose
from gdlab import rules
from gdlab.batching import Batches
from gdlab.counting import tokens_per_step
from gdlab.data import airfoil
from gdlab.diagnose import (
    best_rate,
    check_initial_loss,
    classify_run,
    decades,
    gradient_below,
    gradient_report,
    hessian_vector_product,
    largest_curvature,
    largest_stable_rate,
    loss_settled,
    lr_range_test,
    out_of_budget,
    overfit_ten,
    smooth,
    stable_learning_rate,
    suggest_lr,
    try_rates,
)
from gdlab.loop import early_stopping, train
from gdlab.objectives import linear_regression, numerical_gradient, with_intercept

unhurried = settings(deadline=None)  # the machine may be busy, and seconds are not what is tested


# ---------------------------------------------------------------- the loss curve

CURVES = {
    "falls to zero": ([20.0, 8.0, 3.0, 1.0, 0.3], "converging"),
    "falls to a floor above zero": ([20.0, 14.0, 13.1, 13.0, 12.9], "converging"),
    "small scale": ([0.05, 0.03, 0.02, 0.012, 0.01], "converging"),
    "one bump": ([8.0, 5.0, 5.5, 3.0, 2.0, 1.5, 1.2], "converging"),
    "a quarter of rises exactly": ([8.0, 5.0, 5.5, 3.0, 2.0], "converging"),
    "barely falls": ([20.0, 19.9, 19.7, 19.5, 19.2], "crawling"),
    "barely falls, small scale": ([0.05, 0.0499, 0.0498, 0.0497, 0.0496], "crawling"),
    "falls by a tenth exactly": ([10.0, 9.5, 9.0], "converging"),
    "falls by not quite a tenth": ([10.0, 9.5, 9.05], "crawling"),
    "stands still": ([3.0, 3.0, 3.0], "crawling"),
    "falls below zero": ([-1.0, -1.5, -1.9], "converging"),
    "zigzag that falls": ([20.0, 9.0, 14.0, 7.0, 11.0, 5.0], "oscillating"),
    "zigzag that stays": ([20.0, 25.0, 20.0, 25.0, 19.9], "oscillating"),
    "zigzag that grows": ([20.0, 9.0, 25.0, 8.0, 31.0], "diverging"),
    "creeps upwards": ([20.0, 20.1, 20.3, 20.4], "diverging"),
    "explodes": ([1.0, 4.0, 16.0, 64.0], "diverging"),
    "nan at the end": ([20.0, 9.0, 4.0, math.nan], "diverging"),
    "nan in the middle": ([20.0, math.nan, 4.0, 1.0], "diverging"),
    "infinite once": ([20.0, 9.0, math.inf, 1.0], "diverging"),
    "last step rises": ([20.0, 9.0, 4.0, 2.0, 2.2], "converging"),
}


def word(
    losses,
    bad=lambda x: not np.isfinite(x).all(),
    grew=lambda x: x[-1] > x[0],
    swings=lambda x: np.mean(np.diff(x) > 0) > 0.25,
    slow=lambda x: x[0] - x[-1] < 0.1 * abs(x[0]),
    order="diverging oscillating crawling",
):
    """The rule with its parts to be filled in wrongly."""
    x = np.array(losses)
    tests = {"diverging": lambda: bad(x) or grew(x), "oscillating": lambda: swings(x), "crawling": lambda: slow(x)}
    with np.errstate(invalid="ignore"):
        return next((name for name in order.split() if tests[name]()), "converging")


WRONG_WORDS = {
    "misses-nan": functools.partial(word, bad=lambda x: False),
    "misses infinity": functools.partial(word, bad=lambda x: np.isnan(x).any()),
    "looks-at-last-two": functools.partial(word, grew=lambda x: x[-1] > x[-2]),
    "any-rise-is-oscillation": functools.partial(word, swings=lambda x: np.any(np.diff(x) > 0)),
    "absolute-drop": functools.partial(word, slow=lambda x: x[0] - x[-1] < 0.1),
    "oscillation-before-divergence": functools.partial(word, order="oscillating diverging crawling"),
    "crawling-before-divergence": functools.partial(
        word, order="crawling diverging oscillating", slow=lambda x: abs(x[0] - x[-1]) < 0.1 * abs(x[0])
    ),
    "wants-zero-loss": functools.partial(word, slow=lambda x: x[-1] > 0.1 * x[0]),
    "a rise on a quarter is enough": functools.partial(word, swings=lambda x: np.mean(np.diff(x) > 0) >= 0.25),
}


def misses_words(function):
    return [name for name, (losses, right) in CURVES.items() if function(losses) != right]


def test_every_curve_gets_its_word():
    assert misses_words(classify_run) == [] == misses_words(word)


@pytest.mark.parametrize("name", WRONG_WORDS)
def test_a_wrong_classifier_misses_a_curve(name):
    assert misses_words(WRONG_WORDS[name])


@pytest.mark.parametrize(
    ("lr", "right"), [(0.002, "crawling"), (0.3, "converging"), (0.9, "converging"), (1.05, "diverging")]
)
def test_descents_on_the_bowl_are_called_by_their_rate(lr, right):
    assert classify_run([16 * (1 - 2 * lr) ** (2 * k) + 0.5 for k in range(9)]) == right


@pytest.mark.parametrize("losses", [[1.0], [], [[1.0, 2.0]]])
def test_one_loss_is_no_curve(losses):
    with pytest.raises(ValueError, match="row of at least two numbers"):
        classify_run(losses)


def test_smoothing_is_a_weighted_mean_of_the_past_without_a_pull_towards_zero():
    losses, beta = np.random.default_rng(0).normal(5.0, 1.0, 30), 0.9
    for t, found in enumerate(smooth(losses, beta)):
        assert found == pytest.approx(np.average(losses[: t + 1], weights=beta ** np.arange(t, -1, -1)), rel=1e-12)
    assert smooth(losses, 0.0) == pytest.approx(losses, rel=1e-15)
    with pytest.raises(ValueError, match="below 1, but is 1.0"):
        smooth(losses, 1.0)


# ---------------------------------------------------------------- learning rates

# An S-shaped fall over log(lr), steepest at 0.02, on a grid that is densest just there and uneven everywhere.
GRID = np.array([1e-5, 1e-4, 1e-3, 4e-3, 0.01, 0.017, 0.02, 0.0235, 0.04, 0.1, 0.2, 0.25, 0.3, 0.4, 0.55])
FALL = 2.0 + 1.0 / (1 + (GRID / 0.02) ** 1.5)
RATES = [
    (GRID, FALL),
    (np.append(GRID, [0.8, 1.2, 1.6]), np.append(FALL, [2.4, 9.0, 80.0])),  # with an explosion
    (np.append(GRID, [0.8, 1.2, 1.6]), np.append(FALL, [2.4, math.inf, math.nan])),
]


def wrong_rate(
    lrs, losses, slopes=lambda lrs, losses: np.gradient(losses, np.log(lrs)), pick=np.argmin, keep=np.isfinite
):
    lrs, losses = lrs[keep(losses)], losses[keep(losses)]
    with np.errstate(invalid="ignore"):
        return lrs[pick(slopes(lrs, losses))]


WRONG_RATES = {
    "lowest-loss": functools.partial(wrong_rate, slopes=lambda lrs, losses: losses),
    "steepest-rise": functools.partial(wrong_rate, pick=np.argmax),
    "slope-by-lr": functools.partial(wrong_rate, slopes=lambda lrs, losses: np.gradient(losses, lrs)),
    "slope-by-index": functools.partial(wrong_rate, slopes=lambda lrs, losses: np.gradient(losses)),
    "returns-the-index": lambda lrs, losses: float(np.flatnonzero(lrs == 0.02)[0]),
    "nan-wins": functools.partial(wrong_rate, keep=lambda losses: np.ones(len(losses), bool)),
    "absolute-slope": functools.partial(wrong_rate, pick=lambda slopes: np.argmax(abs(slopes))),
}


def test_the_suggested_rate_is_where_the_loss_falls_fastest_by_the_logarithm():
    assert [suggest_lr(*curve) for curve in RATES] == [0.02] * 3
    assert [wrong_rate(*curve) for curve in RATES] == [0.02] * 3


@pytest.mark.parametrize("name", WRONG_RATES)
def test_a_wrong_suggestion_is_elsewhere(name):
    assert [WRONG_RATES[name](*curve) for curve in RATES] != [0.02] * 3


@pytest.mark.parametrize(
    ("lrs", "losses", "sentence"),
    [
        ([0.1, 0.01], [1.0, 2.0], "rising order"),
        ([0.0, 0.1], [1.0, 2.0], "rising order"),
        ([0.1, 0.1], [2.0, 1.0], "rising order"),
        ([0.1, 0.2], [1.0, 2.0, 3.0], "rising order"),
        ([0.1, 0.2], [1.0, math.nan], "Fewer than two"),
        ([0.1, 0.2, 0.3], [1.0, 1.0, 2.0], "never falls"),
    ],
)
def test_a_curve_without_an_answer_is_refused(lrs, losses, sentence):
    with pytest.raises(ValueError, match=sentence):
        suggest_lr(lrs, losses)


X, Y = airfoil()
X = with_intercept(X)
HESSIAN = X.T @ X / len(X)


def airfoil_loss(theta, batch):
    return float(linear_regression.loss(theta, X[batch], Y[batch])), linear_regression.grad(theta, X[batch], Y[batch])


def airfoil_batches(batch_size, seed=0):
    return Batches(len(X), batch_size, np.random.default_rng(seed))


def range_test(batch_size, seed=0, **options):
    start = np.zeros(6)
    batches = airfoil_batches(batch_size, seed)
    found = lr_range_test(airfoil_loss, start, batches, min_lr=1e-4, max_lr=100.0, steps=120, **options)
    assert not start.any()
    return found


def fixed_sample(theta):
    return airfoil_loss(theta, slice(None, None, 5))[0]


def test_a_range_test_on_real_data_suggests_a_rate_below_the_limit_and_sees_the_explosion():
    found = range_test(1500, beta=0.0)
    assert len(found.lrs) == len(found.losses) < 120
    assert found.losses[-1] > 4 * found.losses.min() >= found.losses[-2]
    assert found.lrs == pytest.approx(np.geomspace(1e-4, 100, 120)[: len(found.lrs)])
    assert 0.01 < found.suggestion() < stable_learning_rate(HESSIAN) < found.lrs[-1]


def test_with_mini_batches_noise_wins_unless_the_start_is_skipped_or_the_loss_is_measured():
    plain = [range_test(50, seed) for seed in range(5)]
    measured = [range_test(50, seed, beta=0.0, measure=fixed_sample) for seed in range(5)]
    assert np.median([found.suggestion() for found in plain]) < 1e-3
    assert all(0.02 < found.suggestion(skip=30) < 0.953 for found in plain)
    assert all(found.suggestion() > 0.02 for found in measured)
    assert 0.02 < np.median([found.suggestion() for found in measured]) < 0.953
    assert measured[0].losses[0] == fixed_sample(np.zeros(6))


def test_a_range_test_pairs_each_rate_with_the_loss_before_its_update():
    found = lr_range_test(
        lambda t, _: (t * t, 2 * t), 8.0, itertools.repeat(None), min_lr=0.125, max_lr=0.5, steps=3, beta=0.0
    )
    assert found.lrs == pytest.approx([0.125, 0.25, 0.5]) and found.losses == pytest.approx([64.0, 36.0, 9.0])


@pytest.mark.parametrize("at_the_end", [math.nan, 1e9])
def test_a_range_test_ends_at_the_explosion(at_the_end):
    losses = iter([9.0, 8.0, 7.0, at_the_end, 6.0, 5.0])
    found = lr_range_test(lambda t, _: (next(losses), 1.0), 0.0, itertools.repeat(None), steps=6, beta=0.0)
    assert found.losses.tolist()[:3] == [9.0, 8.0, 7.0] and len(found.lrs) == 4


@pytest.mark.parametrize(("low", "high", "steps"), [(0.0, 1.0, 5), (1.0, 0.1, 5), (0.1, 1.0, 1)])
def test_rates_that_do_not_rise_are_refused(low, high, steps):
    with pytest.raises(ValueError, match="rises from min_lr"):
        lr_range_test(airfoil_loss, np.zeros(6), airfoil_batches(10), min_lr=low, max_lr=high, steps=steps)


def test_a_grid_over_decades_finds_the_rate_that_theory_calls_fastest():
    def losses_at(lr):
        run = train(
            airfoil_loss, np.zeros(6), airfoil_batches(1500), rules.gradient_descent(), lr, 40, stop_on_nan=False
        )
        return [row["loss"] for row in run.record]

    rows = try_rates(losses_at, decades(-3, 1, per_decade=2))
    assert [row["lr"] for row in rows] == pytest.approx(
        [1e-3, 10**-2.5, 0.01, 10**-1.5, 0.1, 10**-0.5, 1.0, 10**0.5, 10.0]
    )
    assert [row["verdict"] for row in rows][:4] == ["crawling", "crawling", "converging", "converging"]
    assert [row["verdict"] for row in rows][-2:] == ["diverging"] * 2
    assert best_rate(rows) == pytest.approx(
        10**-0.5
    )  # the highest on this grid that is clearly below the limit of 0.953
    assert rows[0]["first"] == pytest.approx(0.493259, abs=5e-7)


def test_a_grid_that_makes_no_sense_and_a_search_without_a_survivor_are_refused():
    with pytest.raises(ValueError, match="grid rises"):
        decades(0, 0)
    with pytest.raises(ValueError, match="Every rate diverged"):
        best_rate(try_rates(lambda lr: [1.0, 2.0], [0.1, 1.0]))


# ---------------------------------------------------------------- curvature


def test_the_limit_on_the_airfoil_data_is_the_published_one_from_the_matrix_and_from_gradients_alone():
    assert stable_learning_rate(HESSIAN) == pytest.approx(0.953, abs=5e-4)
    grad = functools.partial(linear_regression.grad, X=X, y=Y)
    assert largest_stable_rate(grad, np.zeros(6), np.random.default_rng(3)) == pytest.approx(2 / 2.0985, rel=5e-5)


def test_gradient_descent_shrinks_just_below_the_limit_and_grows_just_above():
    limit = largest_stable_rate(
        functools.partial(linear_regression.grad, X=X, y=Y), np.zeros(6), np.random.default_rng(3)
    )
    late = {}
    for factor in (0.99, 1.01):
        run = train(airfoil_loss, np.zeros(6), airfoil_batches(1500), rules.gradient_descent(), factor * limit, 800)
        late[factor] = run.record[-1]["loss"] / run.record[-100]["loss"]
    assert late[0.99] <= 1.0 < 2.0 < late[1.01]


WRONG_LIMITS = {
    "one-over": lambda eigenvalues, H: 1 / eigenvalues[-1],
    "smallest-curvature": lambda eigenvalues, H: 2 / eigenvalues[0],
    "sum-of-curvatures": lambda eigenvalues, H: 2 / np.trace(H),
    "largest-entry": lambda eigenvalues, H: 2 / np.abs(H).max(),
    "best-not-limit": lambda eigenvalues, H: 2 / (eigenvalues[0] + eigenvalues[-1]),
    "upside-down": lambda eigenvalues, H: eigenvalues[-1] / 2,
}


@pytest.mark.parametrize("name", WRONG_LIMITS)
def test_a_wrong_limit_is_not_the_published_one(name):
    assert WRONG_LIMITS[name](np.linalg.eigvalsh(HESSIAN), HESSIAN) != pytest.approx(0.953, abs=5e-3)


@unhurried
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.integers(0, 50))
def test_power_iteration_finds_the_highest_eigenvalue_whatever_the_others_are(eigenvalues, seed):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(len(eigenvalues),) * 2))[0]
    H = axes @ np.diag(eigenvalues) @ axes.T
    found = largest_curvature(lambda v: H @ v, np.zeros(len(eigenvalues)), rng)
    # Eigenvalues that nearly agree need many steps to tell apart, but then either will do.
    assert found.value == pytest.approx(max(eigenvalues), abs=0.03 * max(map(abs, eigenvalues)) + 1e-12)


@pytest.mark.parametrize(
    ("eigenvalues", "right"), [([3.0, -8.0, 1.0], 3.0), ([4.0, -4.0], 4.0), ([-2.0, -7.0], -2.0), ([0.0, 0.0], 0.0)]
)
def test_a_larger_curvature_downwards_does_not_deceive_it(eigenvalues, right):
    found = largest_curvature(lambda v: np.array(eigenvalues) * v, np.zeros(len(eigenvalues)), np.random.default_rng(0))
    assert found.value == pytest.approx(right, abs=1e-5)


def test_where_nothing_curves_upwards_there_is_no_limit():
    with pytest.raises(ValueError, match="not a bowl"):
        largest_stable_rate(lambda theta: -theta, np.ones(2), np.random.default_rng(0))


def test_the_error_says_whether_it_has_settled():
    H = np.diag([1.0, 0.999, 0.5])
    hasty = largest_curvature(lambda v: H @ v, np.zeros(3), np.random.default_rng(1), max_iterations=4)
    patient = largest_curvature(lambda v: H @ v, np.zeros(3), np.random.default_rng(1), max_iterations=20_000)
    assert hasty.error > 1e-4 > 1e-6 >= patient.error and patient.value == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_however_few_the_iterations_the_estimate_is_never_above_the_highest_eigenvalue(iterations):
    H = np.diag(np.linspace(0.5, 4.0, 60))
    for seed in range(5):
        found = largest_curvature(lambda v: H @ v, np.zeros(60), np.random.default_rng(seed), max_iterations=iterations)
        assert 0.5 <= found.value <= 4.0 and abs(found.value - 4.0) > 0.1


def test_hessian_vector_products_from_gradients_are_torchs():
    def loss(theta):
        return (torch.tanh(theta[0] * theta[1]) + theta[1] ** 3 * theta[0]).sum()

    theta, vector = (
        torch.tensor([[0.3, 1.2], [-0.7, 0.4]], dtype=torch.float64),
        torch.tensor([[0.2, -0.5], [0.6, 0.1]], dtype=torch.float64),
    )
    exact = torch.autograd.functional.hvp(loss, theta, vector)[1].numpy()
    grad_fn = lambda t: torch.func.grad(loss)(torch.tensor(t)).numpy()  # noqa: E731
    assert hessian_vector_product(grad_fn, theta.numpy(), vector.numpy()) == pytest.approx(exact, rel=1e-8)
    one_sided = (grad_fn(theta.numpy() + 1e-5 * vector.numpy()) - grad_fn(theta.numpy())) / 1e-5
    assert one_sided != pytest.approx(exact, rel=1e-8)


# ---------------------------------------------------------------- when to stop


def bowl_run(lr, steps, *callbacks):
    return train(
        lambda t, _: (t * t + 1, 2 * t),
        8.0,
        itertools.repeat(None),
        rules.gradient_descent(),
        lr,
        steps,
        callbacks=callbacks,
    )


def test_a_small_gradient_stops_at_the_first_step_below_the_tolerance():
    run = bowl_run(0.25, 50, gradient_below(0.1))
    norms = [row["grad_norm"] for row in run.record]
    assert norms[-1] < 0.1 <= norms[-2] and run.stopped == "Converged: the gradient has norm 0.0625, below 0.1."


def test_a_gradient_exactly_at_the_tolerance_is_not_below_it():
    run = bowl_run(0.25, 50, gradient_below(0.0625))
    assert [row["grad_norm"] for row in run.record][-2:] == [0.0625, 0.03125]


def test_a_settled_loss_stops_when_all_of_the_last_steps_agree():
    run = bowl_run(0.25, 50, loss_settled(0.01, steps=4))
    losses = [row["loss"] for row in run.record]
    assert max(losses[-5:]) - min(losses[-5:]) < 0.01 * max(losses[-5:])
    assert max(losses[-6:-1]) - min(losses[-6:-1]) >= 0.01 * max(losses[-6:-1])
    assert run.stopped.startswith("Converged: loss changed by ") and run.stopped.endswith(" % over the last 4 steps.")


@pytest.mark.parametrize(
    ("losses", "stopped_at"),
    [
        ([5.0, 1.0, 5.0, 1.0, 5.0, 1.0], None),  # first and last of an oscillation agree, but it has not settled
        ([math.nan] * 6, None),
        ([2.0, 2.0], None),
        ([0.0] * 6, 3),
        ([9.0, 2.0, 2.0, 2.0, 1.0], 4),
    ],
)
def test_what_counts_as_settled(losses, stopped_at):
    values = iter(losses)
    run = train(
        lambda t, _: (next(values), 0.0), 0.0, itertools.repeat(None), rules.gradient_descent(), 0.1, len(losses),
        callbacks=[loss_settled(0.01, steps=2)], stop_on_nan=False,
    )  # fmt: skip
    assert (run.step if run.stopped else None) == stopped_at


def test_validation_losses_settle_by_their_own_measurements():
    values = iter([4.0, 4.0, 3.0, 3.0, 3.0])

    def measure(run):
        if run.step % 10 == 0:
            run.record[-1]["val_loss"] = next(values)

    assert bowl_run(0.1, 50, measure, loss_settled(0.01, steps=2, watch="val_loss")).step == 50


def test_patience_can_watch_the_training_loss():
    run = bowl_run(1.0, 50, early_stopping(patience=4, watch="loss"))  # hops between 8 and −8 for ever
    assert run.step == 5 and run.stopped == "Early stopping: loss has not improved since step 0."


@pytest.mark.parametrize(("budget", "steps"), [(8 * 512 * 2 * 6, 6), (8 * 512 * 2 * 7 - 1, 6), (8 * 512 * 2, 1)])
def test_a_budget_of_tokens_is_never_exceeded(budget, steps):
    per_step = tokens_per_step(8, 512, accumulation=2)
    run = bowl_run(0.1, 50, out_of_budget(budget, per_step))
    assert run.step == steps and run.step * per_step <= budget < (run.step + 1) * per_step
    assert run.stopped == f"The budget of {budget} tokens is spent: {steps} steps took {steps * per_step}."


def test_criteria_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="does not pay for one step"):
        out_of_budget(10, 11)
    with pytest.raises(ValueError, match="1 or more, but is 0"):
        loss_settled(0.1, 0)


# ---------------------------------------------------------------- the published descents on the airfoil data

# Full batches at rate 1, over the limit of 0.953: loss after so many steps, as published for Dive into Deep Learning's setup.
FULL_BATCH = {1: 0.2757, 6: 0.2451, 10: 0.2470, 50: 9.56}


def full_batch_losses(loss_and_grad, lr=1.0):
    run = train(loss_and_grad, np.zeros(6), airfoil_batches(1500), rules.gradient_descent(), lr, 51)
    return {step: run.record[step]["loss"] for step in FULL_BATCH}


def test_full_batches_at_rate_one_fall_and_then_diverge_as_published():
    assert full_batch_losses(airfoil_loss) == pytest.approx(FULL_BATCH, rel=1e-3)
    zero, floor = airfoil_loss(np.zeros(6), slice(None))[0], airfoil_loss(np.linalg.lstsq(X, Y)[0], slice(None))[0]
    assert (zero, floor) == (pytest.approx(0.493259, abs=5e-7), pytest.approx(0.241688, abs=5e-7))


def test_below_the_limit_or_with_the_half_forgotten_the_numbers_are_others():
    assert full_batch_losses(airfoil_loss, lr=0.94) != pytest.approx(FULL_BATCH, rel=1e-2)
    doubled = lambda theta, batch: tuple(2 * part for part in airfoil_loss(theta, batch))  # noqa: E731
    assert full_batch_losses(doubled, lr=0.5) != pytest.approx(FULL_BATCH, rel=1e-2)


# After one epoch, Dive into Deep Learning's rates: the published range of losses over 20 seeds.
ONE_EPOCH = [
    (rules.gradient_descent, 0.005, 1, (0.242, 0.256)),
    (rules.gradient_descent, 0.05, 10, (0.242, 0.257)),
    (rules.gradient_descent, 0.4, 100, (0.242, 0.263)),
    (rules.adam, 0.01, 10, (0.242, 0.253)),
    (rules.adagrad, 0.1, 10, (0.242, 0.246)),
    (rules.rmsprop, 0.01, 10, (0.242, 0.248)),
]


def after_one_epoch(rule, lr, batch_size, seed):
    rng = np.random.default_rng(seed)
    run = train(airfoil_loss, rng.normal(0, 0.01, 6), Batches(1500, batch_size, rng), rule(), lr, 1500 // batch_size)
    return run, airfoil_loss(run.theta, slice(None))[0]


@pytest.mark.parametrize(("rule", "lr", "batch_size", "published"), ONE_EPOCH)
def test_one_epoch_in_mini_batches_ends_in_the_published_range(rule, lr, batch_size, published):
    for seed in range(3):
        run, loss = after_one_epoch(rule, lr, batch_size, seed)
        assert run.batches.epoch == 0 and run.batches.position == 1500 // batch_size
        assert published[0] - 5e-4 <= loss <= published[1] + 5e-4


def test_a_tenth_of_the_rate_does_not_get_there():
    assert all(after_one_epoch(rule, lr / 10, batch_size, 0)[1] > high for rule, lr, batch_size, (_, high) in ONE_EPOCH)


# ---------------------------------------------------------------- what to check first


# micrograd's README: g = 24.7041 at a = −4, b = 2, with ∂g/∂a = 138.8338 and ∂g/∂b = 645.5773.
def micrograd(theta):
    a, b = theta
    c, d = a + b, a * b + b**3
    c = c + c + 1
    c = c + 1 + c - a
    d = d + d * 2 + max(b + a, 0)
    d = d + 3 * d + max(b - a, 0)
    f = (c - d) ** 2
    return f / 2 + 10 / f


def test_the_derivatives_in_micrograds_readme():
    # b + a = −2 and b − a = 6: no kink is near, and whole numbers come in.
    assert micrograd([-4, 2]) == pytest.approx(24.7041, abs=5e-5)
    assert numerical_gradient(micrograd, np.array([-4, 2])) == pytest.approx([138.8338, 645.5773], abs=5e-5)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [(50_257, 10.82490511970208), (32_000, 10.373491181781864), (128_256, 11.761783545564427), (10, 2.302585)],
)
def test_a_fresh_classifier_starts_at_ln_c(classes, expected):
    # All logits alike: each class has probability 1/C, and torch's cross-entropy says what that costs.
    uniform = float(
        torch.nn.functional.cross_entropy(torch.zeros(4, classes, dtype=torch.float64), torch.tensor([0, 1, 2, 3]))
    )
    found = check_initial_loss(uniform, classes)
    assert found.fits and found.expected == pytest.approx(expected, rel=1e-6) == pytest.approx(uniform)
    assert check_initial_loss(math.log(classes), classes, tolerance=0.0).fits
    assert not check_initial_loss(math.log2(classes), classes).fits  # bits
    assert not check_initial_loss(math.log10(classes), classes).fits


@pytest.mark.parametrize(
    ("loss", "fits", "sentence"),
    [
        (2.6, False, "too high, so the model is confident"),
        (2.5, True, "as it should"),
        (2.1, True, "as it should"),
        (2.0, False, "too low, so it knows the answers"),
        (math.inf, False, "too high"),
        (math.nan, False, "no number at all"),
    ],
)
def test_the_sentence_says_which_way_the_first_loss_is_off(loss, fits, sentence):
    found = check_initial_loss(loss, 10)
    assert found.fits == fits and sentence in found.sentence
    with pytest.raises(ValueError, match="two classes or more"):
        check_initial_loss(loss, 1)


RNG = np.random.default_rng(12)
WIDE, NARROW = RNG.normal(size=(30, 14)), RNG.normal(size=(30, 2))
LABELS = RNG.normal(size=30)
TENS = [  # start, X, lr, max_steps, tol
    (np.zeros(14), WIDE, 0.3, 400, 1e-3),  # fourteen weights learn ten labels by heart
    (np.zeros(14), WIDE, 0.3, 5, 1e-3),  # not in five steps
    (np.zeros(2), NARROW, 0.3, 40, 1e-3),  # two weights cannot
    (np.zeros(2), NARROW, 3.0, 20, 1e-3),  # the rate is too high
    (np.full(14, 0.5), WIDE, 0.1, 60, 0.05),  # tol is a level: 5 % of the first loss is reached later
    (np.zeros(14), WIDE, 0.3, 9, 10.0),  # already below
]


def ten_loss(theta, x, y):
    return 0.5 * float(np.mean((x @ theta - y) ** 2))


def ten_grad(theta, x, y):
    return x.T @ (x @ theta - y) / len(y)


def tens(
    theta,
    x,
    y,
    lr,
    max_steps,
    tol,
    rows=lambda k: slice(10),
    seen=slice(10),
    good=lambda L, tol: L[-1] < tol,
    early=True,
    last=True,
):
    """`overfit_ten` with its parts to be filled in wrongly."""
    losses = [ten_loss(theta, x[seen], y[seen])]
    for k in range(max_steps):
        if early and good(losses, tol):
            break
        theta = theta - lr * ten_grad(theta, x[rows(k)], y[rows(k)])
        losses.append(ten_loss(theta, x[seen], y[seen]))
    return good(losses, tol), losses if last or len(losses) == 1 else losses[:-1]


WRONG_TENS = {
    "trains-on-everything": functools.partial(tens, rows=lambda k: slice(None)),
    "fresh-ten-each-step": functools.partial(tens, rows=lambda k: slice(k % 3 * 10, k % 3 * 10 + 10)),
    "reports-all-data": functools.partial(tens, seen=slice(None)),
    "any-fall-will-do": functools.partial(tens, good=lambda L, tol: len(L) > 1 and L[-1] < L[0], early=False),
    "relative-tolerance": functools.partial(tens, good=lambda L, tol: L[-1] < tol * L[0]),
    "always-passes": lambda *a: (True, tens(*a)[1]),
    "last-loss-missing": functools.partial(tens, last=False),
    "never-stops-early": functools.partial(tens, early=False),
}


def answers(function):
    return [
        (passed, [f"{loss:.9g}" for loss in losses])
        for passed, losses in (function(t, x, LABELS, *rest) for t, x, *rest in TENS)
    ]


def ours(theta, x, y, lr, max_steps, tol):
    return overfit_ten(theta, x, y, ten_loss, ten_grad, lr, max_steps, tol)


def test_ten_examples_are_learned_by_heart_or_not():
    assert [passed for passed, _ in answers(ours)] == [True, False, False, False, True, True]
    assert answers(ours) == answers(tens)
    assert len(answers(ours)[1][1]) == 6 and len(answers(ours)[5][1]) == 1 and len(answers(ours)[0][1]) < 400


@pytest.mark.parametrize("name", WRONG_TENS)
def test_a_wrong_check_on_ten_examples_shows(name):
    assert answers(WRONG_TENS[name]) != answers(ours)


def test_a_loss_that_is_not_a_number_is_not_learned_by_heart():
    passed, losses = overfit_ten(0.0, WIDE, LABELS, lambda *a: math.nan, lambda *a: 0.0, 0.1, 3, 1.0)
    assert passed is False and len(losses) == 4


def test_the_report_finds_the_dead_the_huge_and_the_broken_layer():
    grads = {"first": np.zeros((3, 2)), "rest": [np.array([3.0, -4.0, 0.0, 0.0]), np.array([1e200]), np.array([])]}
    rows = {row["name"]: row for row in gradient_report(grads)}
    assert list(rows) == ["grad['first']", "grad['rest'][0]", "grad['rest'][1]", "grad['rest'][2]", "all"]
    assert rows["grad['first']"] == {
        "name": "grad['first']",
        "size": 6,
        "norm": 0.0,
        "largest": 0.0,
        "zeros": 1.0,
        "finite": True,
    }
    assert rows["grad['rest'][0]"] == {
        "name": "grad['rest'][0]",
        "size": 4,
        "norm": 5.0,
        "largest": 4.0,
        "zeros": 0.5,
        "finite": True,
    }
    assert rows["grad['rest'][1]"]["norm"] == math.inf and rows["grad['rest'][1]"]["largest"] == 1e200
    assert rows["grad['rest'][2]"]["size"] == 0 and rows["all"]["size"] == 11
    assert not gradient_report(np.array([1.0, math.nan]))[0]["finite"]


def test_the_report_of_all_is_the_global_norm_and_the_relative_step_is_that_of_the_update():
    grads, theta = {"w": np.array([3.0, 4.0]), "b": np.array([12.0])}, {"b": np.array([6.0]), "w": np.array([0.0, 2.0])}
    rows = gradient_report(grads, theta, lr=0.5)
    assert rows[-1]["norm"] == rules.global_norm(grads) == 13.0
    moved = rules.gradient_descent().step(theta, grads, (), 0, 0.5)[0]
    steps = [np.linalg.norm(moved[name] - theta[name]) / np.linalg.norm(theta[name]) for name in ("w", "b")]
    assert [row["relative_step"] for row in rows[:2]] == pytest.approx(steps)
    assert gradient_report(np.ones(2), np.zeros(2), lr=0.1)[0]["relative_step"] == math.inf
    with pytest.raises(ValueError, match="needs both theta and lr"):
        gradient_report(grads, theta)


# ---------------------------------------------------------------- the module itself


@pytest.mark.parametrize("name", ["batching", "counting", "loop", "diagnose"])
def test_every_public_function_is_in_the_table_of_conventions(name):
    module = importlib.import_module(f"gdlab.{name}")
    table = Path(module.__file__).with_name("conventions.md").read_text()
    functions = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]
    assert [f.__name__ for f in functions if f.__name__[0] != "_" and f"\n| `{f.__name__}(" not in table] == []


def test_the_examples_in_the_docstrings_are_true():
    assert doctest.testmod(gdlab.diagnose).failed == 0
