"""The learning-rate finder in Python: a recorded range test, a reader's own curve, a reader's own suggestion."""

import json
import math

import numpy as np
import pytest
import traitlets

from gdlab.diagnose import RangeTest, smooth, suggest_lr
from gdlab.figures import lr_finder
from gdlab.figures.finder import read_curve
from gdlab.figures.recording import recorded

LRS = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
LOSSES = [2.30, 2.25, 1.80, 1.10, math.nan]


def test_it_starts_with_the_recorded_range_test():
    finder = lr_finder()
    assert not finder.own and finder.lrs == recorded("range_test")["lrs"]
    assert finder.suggestion() == suggest_lr(finder.lrs, finder.losses)
    assert finder.lrs[0] < finder.lr < finder.suggestion()


@pytest.mark.parametrize("given", [(LRS, LOSSES), (RangeTest(np.array(LRS), np.array(LOSSES)),)], ids=["two", "one"])
def test_own_curve_is_taken_as_it_is(given):
    finder = lr_finder(*given)
    assert (finder.own, finder.lrs, finder.losses) == (True, LRS, [2.3, 2.25, 1.8, 1.1, None])
    assert finder.suggestion() == 0.1 and finder.lr == pytest.approx(1e-2) and finder.trouble == ""


def test_smoothing_and_skipping_change_what_is_asked():
    finder = lr_finder([1e-3, 1e-2, 1e-1, 1.0], [9.0, 2.0, 1.9, 1.0])
    assert finder.suggestion() == 1e-3
    finder.skip = 1
    assert finder.suggestion() == suggest_lr(finder.lrs[1:], finder.losses[1:]) == 1.0
    finder.skip, finder.beta = 0, 0.5
    assert finder.suggestion() == suggest_lr(finder.lrs, smooth(finder.losses, 0.5))


def test_a_curve_that_never_falls_has_no_suggestion():
    assert lr_finder([0.1, 1.0], [1.0, 2.0]).suggestion() is None
    assert lr_finder(skip=1000).suggestion() is None


def test_own_suggestion_is_asked_with_arrays_and_asked_again():
    asked = []

    def suggest(lrs, losses):
        asked.append((lrs, losses))
        return lrs[np.nanargmin(losses)] / 10

    finder = lr_finder(LRS, LOSSES, suggest=suggest)
    assert finder.suggested == pytest.approx(1e-2) and finder.own_suggest
    assert all(isinstance(row, np.ndarray) for row in asked[0])
    finder.beta = 0.5
    assert len(asked) == 2 and asked[1][1][:4].tolist() == smooth(LOSSES[:4], 0.5).tolist()


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (None, "is its return statement missing?"),
        ("fast", "a learning rate, one number"),
        (0.0, "a rate above 0"),
        (-1.0, "a rate above 0"),
        (math.nan, "a rate above 0"),
        (math.inf, "a rate above 0"),
    ],
    ids=str,
)
def test_own_suggestion_that_is_no_rate_becomes_a_sentence(returned, sentence):
    finder = lr_finder(suggest=lambda lrs, losses: returned)
    assert finder.suggested is None and sentence in finder.trouble
    assert finder.picture().startswith("<svg")


def test_an_unwritten_suggestion_says_what_to_do():
    def stub(lrs, losses):
        raise NotImplementedError

    assert lr_finder(suggest=stub).trouble.startswith("Your suggest function is not written yet")


@pytest.mark.parametrize(
    ("given", "kept", "sentence"),
    [
        ((None,), 0, "a list of rates and a list of losses, but is None"),
        (([1.0, 2.0, 3.0],), 0, "a list of rates and a list of losses"),
        (("ab",), 0, "a list of rates and a list of losses"),
        (([], []), 0, "There is no curve yet"),
        (([0.1, 1.0], [2.0]), 1, "There are 2 rates and 1 losses"),
        (([0.1, 0.1], [2.0, 1.0]), 1, "rate 1 is 0.1"),
        (([0.0, 0.1], [2.0, 1.0]), 0, "rise from above 0, but rate 0 is 0"),
        (([0.1, 1.0], [2.0, None]), 1, "loss 1, one number, but it returned None"),
    ],
    ids=str,
)
def test_what_is_no_curve_becomes_a_sentence(given, kept, sentence):
    finder = lr_finder(*given)
    assert len(finder.lrs) == len(finder.losses) == kept and sentence in finder.trouble
    assert finder.picture().startswith("<svg")


def test_a_broken_curve_is_told_before_what_a_suggestion_makes_of_it():
    finder = lr_finder(None, suggest=lambda lrs, losses: lrs[0])
    assert finder.trouble.startswith("Your curve cannot be drawn")


def test_reading_leaves_nothing_that_json_cannot_carry():
    read = read_curve([0.1, 1.0], [2.0, math.inf])
    assert json.dumps(read, allow_nan=False) and read["losses"] == [2.0, None]


def test_paper_shows_the_suggestion_unless_it_is_hidden():
    assert ">suggested<" in lr_finder().picture()
    assert ">suggested<" not in lr_finder(reveal=False).picture()
    assert ">your suggestion<" in lr_finder(suggest=lambda lrs, losses: 0.1).picture()


@pytest.mark.parametrize("wrong", [{"lr": 0.0}, {"beta": 1.0}, {"skip": -1}], ids=str)
def test_what_is_no_setting_is_refused(wrong):
    with pytest.raises(traitlets.TraitError):
        lr_finder(**wrong)
