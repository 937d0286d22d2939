"""Counting in Python: gdlab's batches and numbers, and a learner's own where_am_i beside them."""

import json
import re

import numpy as np
import pytest
import traitlets

from gdlab.counting import where_am_i
from gdlab.figures import epoch_counter
from gdlab.figures.base import MIME
from gdlab.figures.epochs import own_places


def test_it_starts_with_two_epochs_of_four_steps_in_nine_frames():
    counter = epoch_counter()
    assert (counter.n_examples, counter.batch_size, counter.drop_last, counter.epochs, counter.frame) == (
        12,
        3,
        False,
        2,
        0,
    )
    assert counter.steps == 8
    assert [[len(batch) for batch in epoch] for epoch in counter.batches()] == [[3, 3, 3, 3]] * 2


def test_every_epoch_has_each_example_once_in_an_order_of_its_own():
    first, second = epoch_counter().batches()
    assert sorted(np.concatenate(first)) == sorted(np.concatenate(second)) == list(range(12))
    assert list(np.concatenate(first)) != list(np.concatenate(second))
    assert epoch_counter(seed=1).batches() != epoch_counter().batches() == epoch_counter().batches()


@pytest.mark.parametrize(
    ("n", "size", "drop_last", "steps"),
    [(13, 3, False, 10), (13, 3, True, 8), (5, 8, False, 2), (5, 8, True, 0), (1, 1, False, 2)],
)
def test_a_short_last_batch_counts_unless_it_is_dropped(n, size, drop_last, steps):
    counter = epoch_counter(n_examples=n, batch_size=size, drop_last=drop_last)
    assert counter.steps == steps == sum(map(len, counter.batches()))


def test_a_frame_stays_within_the_run():
    counter = epoch_counter(frame=200)
    assert counter.frame == 8
    counter.batch_size = 6
    assert counter.frame == 4
    counter.n_examples = counter.batch_size = 1
    assert counter.frame <= counter.steps


# A learner's own where_am_i


def test_own_answer_is_asked_at_every_step_and_again_when_the_data_change():
    asked = []
    counter = epoch_counter(lambda *given: asked.append(given) or where_am_i(*given))
    assert asked == [(step, 12, 3, False) for step in range(9)]
    assert counter.places == [[step // 4, step % 4] for step in range(9)] and counter.trouble == ""
    counter.drop_last = True
    assert asked[9:] == [(step, 12, 3, True) for step in range(9)]


@pytest.mark.parametrize("pair", [(1, 2), [1, 2], np.array([1, 2]), (np.int64(1), 2.0)], ids=repr)
def test_own_answer_may_be_any_kind_of_pair(pair):
    assert own_places(lambda *_: pair, range(1), 12, 3, False) == ([[1, 2]], "")


@pytest.mark.parametrize("value", [None, 3, (1,), (1, 2, 3), "12", (1.5, 2), (float("nan"), 0), (True, 1)], ids=repr)
def test_own_answer_that_is_no_pair_of_whole_numbers_is_told_so(value):
    counter = epoch_counter(lambda *_: value)
    assert counter.places == [] and "it has to return" in counter.trouble
    json.dumps(counter._repr_mimebundle_()[0][MIME], allow_nan=False)


def test_an_unwritten_answer_says_what_to_do():
    def stub(step, n_examples, batch_size, drop_last):
        raise NotImplementedError

    assert epoch_counter(stub).trouble.startswith("Your where_am_i is not written yet")


def test_an_epoch_without_steps_asks_nothing():
    counter = epoch_counter(where_am_i, n_examples=5, batch_size=8, drop_last=True)
    assert (counter.places, counter.trouble, counter.frame) == ([], "", 0)


def test_paper_shows_every_frame_with_its_counts():
    picture = epoch_counter().picture()
    assert picture.count("<rect") == 9 * 12
    assert "After 4 updates: 12 examples, 1 epochs. After 5 updates: 15 examples, 5/4 epochs." in picture
    taken = [int(number) for number in re.findall(r'fill-opacity="0.75".*?>(\d+)</text>', picture)]
    assert taken == sum(sum(epoch_counter().batches(), []), [])


def test_paper_says_how_many_frames_it_leaves_out():
    assert "… and 84 more" in epoch_counter(n_examples=48, batch_size=1).picture()
    assert "Epochs and steps" in epoch_counter(n_examples=5, batch_size=8, drop_last=True).picture()


@pytest.mark.parametrize(
    "wrong", [{"n_examples": 0}, {"n_examples": 49}, {"batch_size": 0}, {"epochs": 7}, {"frame": -1}], ids=str
)
def test_what_cannot_be_counted_is_refused(wrong):
    with pytest.raises(traitlets.TraitError):
        epoch_counter(**wrong)
