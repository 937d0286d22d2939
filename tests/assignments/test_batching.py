"""Batching: facts about shuffles that no draw can change, and answers that are nearly right."""

import copy
import math

import numpy as np
import pytest

from gdlab.assignments import find_exercise
from gdlab.assignments.batching.epoch_batches import MANY
from gdlab.judge.answer import Local
from gdlab.judge.judge import draw_cases, judge

SEEDS = range(8)


def verdicts(name, function):
    return [judge(find_exercise(name), Local(function), seed) for seed in SEEDS]


def cut(order, batch_size, drop_last):
    end = len(order) - len(order) % batch_size if drop_last else len(order)
    return [order[start : start + batch_size] for start in range(0, end, batch_size)]


# epoch_batches: what is asked


def large_epochs():
    cases = (case for seed in range(200) for case in draw_cases(find_exercise("epoch_batches"), seed))
    found = [(case.inputs["n"], case.inputs["batch_size"]) for case in cases if case.inputs["n"] >= MANY]
    assert len(found) == 600
    return found


def test_a_right_shuffle_has_no_chance_to_look_like_the_data_or_like_the_epoch_before():
    for n, batch_size in large_epochs():
        full, rest = divmod(n, batch_size)
        deals = math.factorial(n) // math.factorial(batch_size) ** full // math.factorial(rest)
        assert deals > 10**100
        assert math.factorial(full) > 10**17  # and a shuffle of whole batches has none to keep their order


def test_two_right_epochs_have_no_chance_to_leave_out_the_same_rows():
    assert all(math.comb(n, n % batch_size) > 10**17 for n, batch_size in large_epochs() if n % batch_size)


def test_drawing_with_replacement_has_no_chance_to_draw_every_row_once():
    assert all(math.lgamma(n + 1) - n * math.log(n) < math.log(1e-100) for n, _ in large_epochs())


def test_every_kind_of_remainder_is_asked_with_and_without_drop_last():
    for seed in SEEDS:
        asked = {
            (
                "larger than n" if inputs["batch_size"] > inputs["n"] else min(inputs["n"] % inputs["batch_size"], 2),
                drop,
            )
            for inputs in (case.inputs for case in draw_cases(find_exercise("epoch_batches"), seed))
            for drop in [inputs["drop_last"]]
        }
        assert asked == {(rest, drop) for rest in (0, 1, 2, "larger than n") for drop in (False, True)}


# epoch_batches: the same mistake in other words


def blocks_sorted_by_random_keys(n, batch_size, rng, drop_last=False):
    blocks = cut(np.arange(n), batch_size, drop_last)
    return [blocks[k] for k in np.argsort(rng.random(len(blocks)))]


def shuffled_inside_each_batch(n, batch_size, rng, drop_last=False):
    return [rng.permutation(batch) for batch in cut(np.arange(n), batch_size, drop_last)]


def each_batch_drawn_anew(n, batch_size, rng, drop_last=False):
    return [rng.choice(n, len(batch), replace=False) for batch in cut(np.arange(n), batch_size, drop_last)]


def from_the_global_generator(n, batch_size, rng, drop_last=False):
    return cut(np.random.permutation(n), batch_size, drop_last)


def from_a_copy_of_the_generator(n, batch_size, rng, drop_last=False):
    return cut(copy.deepcopy(rng).permutation(n), batch_size, drop_last)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (blocks_sorted_by_random_keys, "shuffles-blocks"),
        (shuffled_inside_each_batch, "no-shuffle"),
        (each_batch_drawn_anew, "with-replacement"),
        (from_the_global_generator, "ignores-the-rng"),
        (from_a_copy_of_the_generator, "same-order-every-epoch"),
    ],
)
def test_a_random_mistake_is_named_by_what_it_shows_and_not_by_its_draws(function, name):
    assert {found.mistakes for found in verdicts("epoch_batches", function)} == {(name,)}


# epoch_batches: right, or nearly


def test_a_full_batch_need_not_be_shuffled_because_its_order_has_no_effect():
    def full_batch_as_it_is(n, batch_size, rng, drop_last=False):
        if batch_size == n or batch_size > n and not drop_last:
            return [np.arange(n)]
        return cut(rng.permutation(n), batch_size, drop_last)

    assert all(found.right for found in verdicts("epoch_batches", full_batch_as_it_is))


def test_a_shuffle_that_moves_the_global_generator_loses_only_the_points_of_the_order():
    def reseeds_the_world(n, batch_size, rng, drop_last=False):
        np.random.seed(rng.integers(2**32))
        return cut(np.random.permutation(n), batch_size, drop_last)

    for found in verdicts("epoch_batches", reseeds_the_world):
        assert found.mistakes == ("touches-global-randomness",) and found.points == 4


def test_a_short_batch_that_comes_first_is_shown_by_its_place():
    def short_batch_first(n, batch_size, rng, drop_last=False):
        return sorted(cut(rng.permutation(n), batch_size, drop_last), key=len)

    for found in verdicts("epoch_batches", short_batch_first):
        assert found.points == 4 and not found.mistakes
        assert found.case.where == "It first goes wrong at the sizes, batch 0."


@pytest.mark.parametrize(
    ("made_of", "said"),
    [
        (lambda rows: rows.astype(float), "Row numbers are whole numbers"),
        (lambda rows: np.isin(np.arange(rows.max() + 1), rows), "Row numbers are whole numbers"),
        (lambda rows: rows[:, None], "An epoch is a list of batches"),
        (lambda rows: None, "An epoch is a list of batches"),
    ],
    ids=["floats", "a mask", "columns", "nothing"],
)
def test_batches_of_another_kind_are_answered_with_the_kind_that_is_wanted(made_of, said):
    def another_kind(n, batch_size, rng, drop_last=False):
        return [made_of(batch) for batch in cut(rng.permutation(n), batch_size, drop_last)]

    for found in verdicts("epoch_batches", another_kind):
        assert found.points == 0 and found.case.where.startswith(said)


def test_the_order_alone_is_not_an_epoch_of_batches():
    for found in verdicts("epoch_batches", lambda n, batch_size, rng, drop_last=False: rng.permutation(n)):
        assert found.points == 0 and found.case.where.startswith("An epoch is a list of batches")


def test_two_epochs_are_drawn_whatever_they_hold():
    for function in (from_the_global_generator, lambda n, batch_size, rng, drop_last=False: [[n, -1.5], [], 3]):
        assert all(found.picture.startswith("<svg") for found in verdicts("epoch_batches", function))


# The other four


def test_a_wrong_weight_is_named_by_its_number():
    def last_weight_forgotten(theta, X, y, batch):
        grad = X[batch].T @ (X[batch] @ theta - y[batch]) / len(batch)
        return np.append(grad[:-1], 0.0)

    for found in verdicts("minibatch_gradient", last_weight_forgotten):
        assert found.case.where.startswith("It first goes wrong at weight ")


def test_a_column_of_right_numbers_is_answered_with_both_shapes():
    def as_a_column(theta, X, y, batch):
        return (X[batch].T @ (X[batch] @ theta - y[batch]) / len(batch))[:, None]

    for found in verdicts("minibatch_gradient", as_a_column):
        assert "× 1, but" in found.case.where


def test_adding_into_the_first_gradient_costs_only_the_point_for_manners():
    def into_the_first(grads, counts):
        grads[0] *= counts[0]
        for grad, count in zip(grads[1:], counts[1:], strict=True):
            grads[0] += count * grad
        grads[0] /= sum(counts)
        return grads[0]

    for found in verdicts("accumulate_gradients", into_the_first):
        assert found.mistakes == ("changes-its-input",) and found.points == 2


def test_centring_the_callers_gradients_in_place_costs_only_the_point_for_manners():
    def centred_in_place(grads, batch_size):
        grads -= grads.mean(axis=0)
        return np.sqrt((grads**2).sum(axis=0) / (len(grads) - 1) / batch_size)

    for found in verdicts("gradient_noise", centred_in_place):
        assert found.mistakes == ("changes-its-input",) and found.points == 3


@pytest.mark.parametrize("name", ["minibatch_gradient", "scale_lr", "gradient_noise"])
def test_an_answer_of_no_use_is_drawn_too(name):
    for useless in (lambda *inputs: None, lambda *inputs: "a word", lambda *inputs: [math.nan, math.inf]):
        assert all(found.picture.startswith("<svg") for found in verdicts(name, useless))
