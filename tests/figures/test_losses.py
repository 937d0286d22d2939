"""The loss curve in Python: the recorded run, a reader's own losses in every form, and sentences for what are none."""

import json

import numpy as np
import pytest
import traitlets

from gdlab import loop
from gdlab.batching import Batches
from gdlab.diagnose import smooth
from gdlab.figures import loss_curve
from gdlab.figures.losses import read_run
from gdlab.figures.recording import recorded
from gdlab.rules import gradient_descent


def test_it_starts_with_the_recorded_run():
    curve = loss_curve()
    assert not curve.own and curve.losses == recorded("run")["losses"]
    assert len(curve.losses) == len(curve.norms) == 300
    assert curve.smoothed() == smooth(curve.losses, 0.8).tolist()


def test_patience_decides_which_checkpoint_is_kept():
    curve = loss_curve()
    assert curve.stop() == (125, 85)
    curve.patience = 2
    assert curve.stop() == (50, 40)
    curve.patience = 1000
    assert curve.stop() == (300, 85)


def test_own_losses_are_taken_as_they_are():
    curve = loss_curve([4.0, 2.0, 1.0])
    assert (curve.own, curve.losses, curve.val_losses, curve.stop(), curve.beta) == (True, [4, 2, 1], [], None, 0)
    assert curve.smoothed() == [4, 2, 1] and curve.trouble == ""


@pytest.mark.parametrize(
    "losses",
    [(4.0, 2.0), np.array([4.0, 2.0]), [np.float32(4), np.array(2.0)], iter([4, 2]), [{"loss": 4.0}, {"loss": 2}]],
    ids=["tuple", "array", "numpy numbers", "iterator", "record"],
)
def test_own_losses_may_be_any_row_of_numbers(losses):
    assert loss_curve(losses).losses == [4, 2]


@pytest.mark.parametrize("held_out", [{4: 1.0, 2: 3.0}, [None, 3.0, None, 1.0]], ids=["by step", "one per step"])
def test_own_validation_losses_stand_at_the_updates_made(held_out):
    curve = loss_curve([4.0, 3.0, 2.0, 1.0], held_out)
    assert (curve.val_steps, curve.val_losses) == ([2, 4], [3, 1])


def test_a_run_of_the_loop_brings_all_it_recorded():
    def loss_and_grad(theta, batch):
        return (theta - 3) ** 2, 2 * (theta - 3)

    run = loop.train(
        loss_and_grad,
        -1.0,
        Batches(4, 2, np.random.default_rng(0)),
        gradient_descent(),
        0.3,
        6,
        max_norm=5.0,
        callbacks=[loop.validation(lambda theta: theta**2, every=3)],
        progress=False,
    )
    for given in (run, run.record):
        curve = loss_curve(given, max_norm=5.0)
        assert curve.losses == [row["loss"] for row in run.record]
        assert curve.norms[0] == 8.0 and curve.max_norm == 5.0
        assert curve.val_steps == [3, 6] and curve.val_losses == [run.record[2]["val_loss"], run.record[5]["val_loss"]]


@pytest.mark.parametrize(
    ("losses", "sentence"),
    [
        (None, "one number per step"),
        ("3, 2, 1", "one number per step"),
        (0.5, "one number per step"),
        ([], "There are no losses yet"),
        ([4.0, None, 1.0], "loss 1 has to be one number, but is None"),
        ([4.0, "two"], "loss 1 has to be one number, but is 'two'"),
        ([[4.0, 2.0]], "loss 0 has to be one number"),
        ([{"step": 0}], "row 0 of the record has no column loss"),
    ],
    ids=str,
)
def test_what_are_no_losses_becomes_a_sentence(losses, sentence):
    curve = loss_curve(losses)
    assert sentence in curve.trouble
    assert curve.picture().startswith("<svg")


def test_losses_before_the_one_that_is_none_are_kept():
    assert loss_curve([4.0, 3.0, "two"]).losses == [4, 3]


def test_validation_losses_that_are_none_leave_the_training_losses():
    read = read_run([4.0, 3.0], {1: "low"})
    assert read["losses"] == [4, 3] and "the validation loss after 1 updates" in read["trouble"]


def test_a_run_that_explodes_can_be_sent_to_a_browser():
    curve = loss_curve([1.0, 1e200, float("inf"), float("nan")], {2: float("nan"), 4: 1.0})
    assert curve.losses == [1.0, 1e200, None, None] and curve.val_losses == [None, 1.0]
    assert curve.smoothed() == [1.0, 1e200, None, None]
    json.dumps(curve._repr_mimebundle_()[0], allow_nan=False)


@pytest.mark.parametrize("axis", ["linear", "log"])
def test_paper_shows_both_curves(axis):
    picture = loss_curve(loss_axis=axis).picture()
    assert ">train<" in picture and ">validation<" in picture
    assert ("10⁻" in picture or "0.001" in picture) == (axis == "log")


@pytest.mark.parametrize(
    "wrong", [{"beta": 1.0}, {"patience": 0}, {"loss_axis": "cubic"}, {"step": -1}, {"norms": "none"}], ids=str
)
def test_what_is_no_setting_is_refused(wrong):
    with pytest.raises(traitlets.TraitError):
        loss_curve(**wrong)
