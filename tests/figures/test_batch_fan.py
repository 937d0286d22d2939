"""Batch noise in Python: gdlab's walks and errors, a learner's own gradient, and the picture on paper."""

import json

import numpy as np
import pytest
import traitlets

from gdlab import objectives
from gdlab.batching import minibatch_gradient
from gdlab.figures import batch_noise
from gdlab.figures.base import MIME
from gdlab.figures.batch_fan import (
    EXAMPLES,
    FAN,
    START,
    X,
    Y,
    batches_of,
    loss,
    measured_error,
    noisy_path,
    standard_error,
)
from gdlab.rules import descend


def test_it_starts_with_fourteen_steps_of_a_mini_batch():
    noise = batch_noise()
    assert (noise.batch_size, noise.lr, noise.seed, noise.fan, noise.steps, noise.frame) == (8, 0.3, 0, True, 14, 14)
    assert len(noise.trajectory()) == 15 and noise.trajectory()[0] == list(START)


@pytest.mark.parametrize("seed", [0, 7])
def test_the_full_batch_walks_like_plain_descent_whatever_the_seed(seed):
    exact = descend(lambda theta: minibatch_gradient(theta, X, Y, range(EXAMPLES)), np.array(START), 0.3, 14)
    assert np.array(noisy_path(seed, EXAMPLES, 0.3, 14)[0]) == pytest.approx(np.array(exact))


def test_its_gradient_and_loss_are_those_of_the_linear_model():
    theta = np.array([0.4, -0.2])
    on_data = objectives.linear_regression.on(X, Y, start=theta)
    assert minibatch_gradient(theta, X, Y, range(EXAMPLES)) == pytest.approx(on_data.grad(theta))
    assert loss(theta) == pytest.approx(on_data.loss(theta))


@pytest.mark.parametrize("batch_size", [1, 5, 8, 24, 64])
def test_each_epoch_uses_every_example_once(batch_size):
    per_epoch = -(-EXAMPLES // batch_size)
    batches = batches_of(3, batch_size, 2 * per_epoch)
    for epoch in (batches[:per_epoch], batches[per_epoch:]):
        assert sorted(np.concatenate(epoch).tolist()) == list(range(EXAMPLES))
    assert [list(batch) for batch in batches[:per_epoch]] != [list(batch) for batch in batches[per_epoch:]]


def test_four_times_the_batch_halves_the_standard_error():
    for size in (1, 2, 4, 8, 16):
        ratio = standard_error(START, size, replace=True) / standard_error(START, 4 * size, replace=True)
        assert ratio == pytest.approx(2)
    assert standard_error(START, EXAMPLES) == 0


@pytest.mark.parametrize("theta", [START, (1.0, 2.0)], ids=["at the start", "near the minimum"])
def test_what_the_fan_measures_is_what_the_formula_says(theta):
    for size in (1, 2, 4, 8, 16, 32):
        # A spread measured on 40 batches of 2 coordinates is off by about 1/√80 = 0.11 as a rule.
        assert measured_error(theta, size) == pytest.approx(standard_error(theta, size), rel=0.3)


def test_the_fan_is_wider_the_smaller_the_batch():
    spreads = [batch_noise(batch_size=size).spread() for size in (1, 4, 16, 64)]
    assert spreads == sorted(spreads, reverse=True) and spreads[0] > 4 * spreads[2]
    assert spreads[-1] == pytest.approx(0, abs=1e-12)
    assert batch_noise(batch_size=1, frame=0).spread() == 0


def test_traits_are_live():
    noise = batch_noise(steps=5)
    assert noise.frame == 5
    before = noise.trajectory()
    noise.seed = 1
    assert noise.trajectory() != before
    noise.steps = 3
    assert noise.frame == 3 and len(noise.trajectory()) == 4


# A learner's own gradient


def test_own_gradient_is_walked_for_every_seed_and_again_when_a_trait_changes():
    noise = batch_noise(minibatch_gradient)
    assert len(noise.paths) == 1 + FAN and noise.paths[0] == batch_noise().trajectory()
    noise.batch_size = 1
    assert noise.paths[0] == batch_noise(batch_size=1).trajectory()
    assert noise.paths[1 + 5] == batch_noise(batch_size=1, seed=5).trajectory()
    assert batch_noise(seed=0).paths == []


def test_own_gradient_gets_theta_the_data_and_the_batch():
    seen = []
    noisy_path(0, 8, 0.3, 1, lambda *given: seen.append(given) or np.zeros(2))
    ((theta, inputs, labels, batch),) = seen
    assert theta.tolist() == list(START) and inputs.shape == (64, 2) and labels.shape == (64,) and len(batch) == 8


@pytest.mark.parametrize("value", [None, 2.0, [1.0], np.zeros((2, 1)), "ab", [True, 1.0]], ids=repr)
def test_own_gradient_that_is_no_pair_of_numbers_is_told_so(value):
    noise = batch_noise(lambda *_: value)
    assert noise.paths == [[list(START)]] and "two numbers" in noise.trouble


def test_an_unwritten_gradient_says_what_to_do_and_still_draws():
    def stub(theta, X, y, batch):
        raise NotImplementedError

    noise = batch_noise(stub)
    assert noise.trouble.startswith("Your gradient is not written yet")
    assert "Your gradient is not written yet" in noise.picture()


def test_infinity_can_be_sent_to_a_browser():
    noise = batch_noise(lambda theta, X, y, batch: [float("inf"), 0.0], steps=2)
    assert noise.paths[0] == [[-2.0, -1.0], [None, -1.0], [None, -1.0]]
    json.dumps(noise._repr_mimebundle_()[0][MIME], allow_nan=False)


def test_paper_shows_three_batch_sizes_and_the_error():
    picture = batch_noise().picture()
    for words in ("one example", "mini-batch of 8", "all 64 examples", "standard error", "4.802 at 1, 3.368 at 2"):
        assert words in picture
    assert "your gradient, B = 4" in batch_noise(minibatch_gradient, batch_size=4).picture()


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"batch_size": 65}, {"lr": -0.1}, {"steps": 0}, {"seed": -1}], ids=str
)
def test_what_makes_no_walk_is_refused(wrong):
    with pytest.raises(traitlets.TraitError):
        batch_noise(**wrong)
