"""When answers are equal, and where they first differ."""

import numpy as np
import pytest

from gdlab.judge.compare import compare

PATH = np.array([[1.0, 2.0], [0.5, 1.0], [0.25, 0.5]])


@pytest.mark.parametrize("got", [PATH.tolist(), PATH.astype(np.float32), PATH * (1 + 9e-6), PATH + 9e-6])
def test_equal_within_the_tolerance_and_in_any_form(got):
    assert compare(PATH, np.asarray(got), 1e-5) is None


@pytest.mark.parametrize("factor", [1 + 3e-5, 1 - 3e-5])
def test_not_equal_beyond_the_tolerance(factor):
    assert compare(PATH, PATH * factor, 1e-5) is not None


def test_the_difference_names_the_first_place():
    wrong = PATH.copy()
    wrong[1, 1] = 7.0
    difference = compare(PATH, wrong, 1e-5, axes=("step", "coordinate"))
    assert (difference.sentence, difference.expected, difference.got) == (
        "It first goes wrong at step 1, coordinate 1.",
        "1",
        "7",
    )


@pytest.mark.parametrize(
    ("expected", "got", "says"),
    [
        (PATH, PATH[1:], "shape is 2 × 2, but 3 × 2 is expected"),
        (PATH, None, "returned nothing"),
        (PATH, "a text", "did not return numbers"),
        (PATH, [np.zeros(2), np.zeros(3)], "there are 2 entries, but 3 are expected"),
        (2.0, np.array([2.0]), "shape is 1"),
        (2.0, True, "did not return numbers"),
        ("converging", "diverging", "not the value expected"),
    ],
)
def test_other_differences_are_told_apart(expected, got, says):
    assert says in compare(expected, got, 1e-5).sentence.lower()


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_odd_numbers_equal_only_themselves(odd):
    assert compare(np.array([1.0, odd]), np.array([1.0, odd]), 1e-5) is None
    assert compare(np.array([1.0, 2.0]), np.array([1.0, odd]), 1e-5) is not None
    assert compare(np.array([1.0, odd]), np.array([1.0, 2.0]), 1e-5) is not None


def test_a_right_answer_of_zeros_allows_no_error():
    assert compare(np.zeros(2), np.zeros(2), 1e-5) is None
    assert compare(np.zeros(2), np.array([0.0, 1e-12]), 1e-5) is not None


def test_an_empty_list_stands_for_an_empty_array():
    assert compare(np.zeros(0), [], 1e-5) is None
    assert "shape is 0" in compare(PATH, [], 1e-5).sentence


RETURNS = ("theta", "velocity")


@pytest.mark.parametrize(
    "got",
    [[np.ones(2), np.zeros(2)], np.array([[1.0, 1.0], [0.0, 0.0]])],
    ids=["a list", "stacked, since alike"],
)
def test_several_things_returned_together_compare_one_by_one(got):
    assert compare([np.ones(2), np.zeros(2)], got, 1e-5, returns=RETURNS) is None


@pytest.mark.parametrize(
    ("got", "says"),
    [
        ([np.ones(2), np.ones(2)], "It first goes wrong at velocity, index 0."),
        ([np.ones(2), 0.0], "At velocity, the shape is that of a single number"),
        ([np.ones(2), None], "At velocity, your function returned nothing"),
        (np.ones((3, 2)), "It should return 2 things: theta, velocity. Yours returned 3."),
        (1.5, "It should return 2 things: theta, velocity."),
        (None, "It should return 2 things: theta, velocity."),
    ],
)
def test_what_is_wrong_among_several_things_is_called_by_its_name(got, says):
    assert says in compare([np.ones(2), np.zeros(2)], got, 1e-5, returns=RETURNS).sentence


def test_lists_of_unlike_arrays_compare_entry_by_entry():
    right = [np.ones(2), np.zeros(3)]
    assert compare(right, [np.ones(2), np.zeros(3)], 1e-5) is None
    assert compare(right, [np.ones(2), np.ones(3)], 1e-5, axes=("batch",)).sentence == (
        "It first goes wrong at batch 1, index 0."
    )
    assert "there are 1 entries, but 2 are expected" in compare(right, [np.ones(2)], 1e-5).sentence.lower()


def test_whole_numbers_beyond_what_a_float_can_hold_are_told_apart():
    assert compare(2**60, 2**60, 0) is None
    assert compare(2**60, 2**60 + 1, 0) is not None
    assert compare(12, 12.0, 0) is None
