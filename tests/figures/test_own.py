"""A learner's own function: its numbers, and one sentence on whatever goes wrong."""

import numpy as np
import pytest

from gdlab.figures.own import ask_each, one_number


@pytest.mark.parametrize("value", [2, 2.0, np.float64(2), np.float32(2), np.array(2.0), np.int64(2)])
def test_any_kind_of_number_is_one(value):
    assert one_number(value, "a rate") == 2.0


@pytest.mark.parametrize("value", [None, "2", [2.0], np.array([2.0]), True, 1j], ids=repr)
def test_anything_else_is_named(value):
    with pytest.raises(TypeError, match="it has to return a rate, one number"):
        one_number(value, "a rate")


def test_a_missing_return_is_guessed():
    assert "return statement missing" in ask_each(lambda step: None, [0], "schedule", "a learning rate")[1]


def test_all_is_well():
    assert ask_each(float, [0, 1], "schedule", "a learning rate") == ([0.0, 1.0], "")


def test_the_numbers_before_an_error_are_kept():
    numbers, sentence = ask_each(lambda step: 1 / (2 - step), range(5), "schedule", "a learning rate")
    assert numbers == [0.5, 1.0]
    assert sentence == "Your schedule stopped here with ZeroDivisionError: division by zero"


def test_an_unwritten_function_is_told_what_to_do():
    def stub(step):
        raise NotImplementedError

    assert ask_each(stub, [0], "schedule", "a learning rate")[1].startswith("Your schedule is not written yet")
