"""The training loop's exercises: what their protocols see, and what they leave as it was."""

import json
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pytest
import torch

from gdlab.assignments import find_exercise
from gdlab.assignments.training_loop.train_torch import train_torch
from gdlab.judge.answer import Local, Reply
from gdlab.judge.judge import draw_cases, judge

TRAIN_NUMPY, TRAIN_TORCH, CLIP, EARLY_STOP, CHECKPOINT, OVERFIT = map(
    find_exercise, ("train_numpy", "train_torch", "clip_by_norm", "early_stop", "checkpoint", "overfit_ten")
)
SAVE, LOAD = CHECKPOINT.reference


def verdict(exercise, *functions, seed=3):
    return judge(exercise, [Local(function) for function in functions], seed)


# ---------------------------------------------------------------- train_numpy


def test_the_first_wrong_step_is_named():
    def rate_runs_out(*inputs):
        *rest, schedule, epochs = inputs
        return TRAIN_NUMPY.reference(*rest, lambda step: schedule(step) if step < 5 else 0.0, epochs)

    wrong = verdict(TRAIN_NUMPY, rate_runs_out)
    assert (wrong.points, wrong.mistakes) == (2, ()) and "step 6" in wrong.case.where


def test_a_second_gradient_or_a_second_draw_costs_its_share():
    def asks_twice(theta, X, y, grad_fn, *rest):
        return TRAIN_NUMPY.reference(theta, X, y, lambda *at: (grad_fn(*at), grad_fn(*at))[1], *rest)

    def draws_once_more(theta, X, y, grad_fn, batches_fn, *rest):
        path = TRAIN_NUMPY.reference(theta, X, y, grad_fn, batches_fn, *rest)
        batches_fn()
        return path

    assert verdict(TRAIN_NUMPY, asks_twice).mistakes == ("gradient-more-than-once-a-step",)
    assert verdict(TRAIN_NUMPY, draws_once_more).mistakes == ("draws-too-often",)
    assert verdict(TRAIN_NUMPY, draws_once_more).points == 5


# ---------------------------------------------------------------- train_torch


def test_losses_that_keep_their_graph_cost_one_point():
    def keeps_tensors(model, loss_fn, optimizer, scheduler, batches, epochs):
        kept = []

        def keeping(prediction, label):
            kept.append(loss_fn(prediction, label))
            return kept[-1]

        train_torch(model, keeping, optimizer, scheduler, batches, epochs)
        return kept

    found = verdict(TRAIN_TORCH, keeps_tensors)
    assert (found.points, found.mistakes) == (5, ("keeps-the-graph",))


def test_a_wrong_loss_and_a_wrong_weight_are_told_apart():
    def forgets_the_bias(model, *rest):
        losses = train_torch(model, *rest)
        with torch.no_grad():
            model[2].bias.zero_()
        return losses

    wrong = verdict(TRAIN_TORCH, forgets_the_bias)
    assert wrong.mistakes == () and "weights, 2.bias" in wrong.case.where
    assert "losses, step 0" in verdict(TRAIN_TORCH, lambda *inputs: np.array(train_torch(*inputs)) + 1).case.where


def test_judging_torch_draws_nothing_and_changes_no_setting():
    def settings():
        return (
            torch.get_rng_state().tolist(),
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            list(warnings.filters),
        )

    before = settings()
    assert verdict(TRAIN_TORCH, train_torch).right
    assert settings() == before


def test_what_a_learner_has_set_in_torch_does_not_disturb_the_judge():
    with torch.no_grad():
        torch.set_default_dtype(torch.float16)
        try:
            assert verdict(TRAIN_TORCH, train_torch).right
        finally:
            torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "forged", [None, 3.0, [], {"losses": [1.0]}, {"losses": None, "weights": {}, "rate": "x", "events": 1}]
)
def test_a_forged_report_gets_nothing_and_breaks_nothing(forged):
    found = judge(TRAIN_TORCH, lambda inputs, protocol="once": Reply(forged), 3)
    assert found.points == 0 and found.picture.startswith("<svg")


def test_torch_is_not_imported_before_it_is_needed():
    code = "import sys; from gdlab.assignments import find_exercise; find_exercise('train_torch'); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


# ---------------------------------------------------------------- clip_by_norm, early_stop, overfit_ten


def test_clipping_in_place_as_torch_does_is_right_but_for_the_callers_arrays():
    def in_place(grads, max_norm):
        clipped, norm = CLIP.reference(grads, max_norm)
        for grad, short in zip(grads, clipped, strict=True):
            grad[...] = short
        return grads, norm

    found = verdict(CLIP, in_place)
    assert (found.points, found.mistakes) == (3, ("changes-its-input",))


def test_the_array_that_is_wrong_is_named():
    def forgets_the_last(grads, max_norm):
        clipped, norm = CLIP.reference(grads, max_norm)
        return [*clipped[:-1], grads[-1]], norm

    assert "grads, array" in verdict(CLIP, forgets_the_last).case.where


def test_losses_of_early_stopping_are_exact_in_every_precision():
    for case in draw_cases(EARLY_STOP, 1):
        losses = np.array(case.inputs["losses"])
        assert np.array_equal(losses, np.float16(losses)) and np.float16(case.inputs.get("min_delta", 0)) * 64 % 1 == 0


def test_a_gradient_too_many_costs_the_share_for_manners():
    def one_too_many(theta, X, y, loss_fn, grad_fn, *rest):
        answer = OVERFIT.reference(theta, X, y, loss_fn, grad_fn, *rest)
        grad_fn(theta, X[:10], y[:10])
        return answer

    found = verdict(OVERFIT, one_too_many)
    assert (found.points, found.mistakes) == (3, ("gradient-more-than-once-a-step",))


# ---------------------------------------------------------------- checkpoint


def test_nothing_written_is_said_to_be_nothing_written():
    found = verdict(CHECKPOINT, lambda *run: None, LOAD)
    assert found.points == 0 and "wrote no file" in found.sentences[0]


def test_a_checkpoint_that_only_works_in_the_folder_it_was_written_in_is_no_checkpoint():
    written = []

    def remembers_where(path, *run):
        SAVE(path, *run)
        written.append(path)

    found = verdict(CHECKPOINT, remembers_where, lambda path: LOAD(written[-1]))
    assert (found.points, found.outcome) == (0, "raised") and "FileNotFoundError" in found.sentences[0]


def test_one_lost_bit_is_found_and_its_place_named():
    def nearly(path):
        theta, state, step, rng = LOAD(path)
        state[1] = np.nextafter(state[1], np.inf).tolist()
        return theta, state, step, rng

    wrong = verdict(CHECKPOINT, SAVE, nearly)
    assert wrong.points == 0 and "state, array 1, entry 0" in wrong.case.where


def test_half_of_a_generators_state_is_not_its_state():
    """PCG64 keeps the unused half of its last draw: without it, every second shuffle goes another way."""

    def save(path, theta, state, step, rng):
        SAVE(path, theta, state, step, rng)
        with open(path) as file:
            content = json.load(file)
        content["rng"] |= {"has_uint32": 0, "uinteger": 0}
        with open(path, "w") as file:
            json.dump(content, file)

    found = [verdict(CHECKPOINT, save, LOAD, seed=seed) for seed in range(6)]
    assert all(each.points <= 4 and each.mistakes == ("generator-is-another",) for each in found)


def test_what_is_not_a_generator_is_refused_with_its_kind():
    wrong = verdict(CHECKPOINT, SAVE, lambda path: (*LOAD(path)[:3], {"state": 1}))
    assert wrong.points == 4 and "should be a numpy Generator, but is a dict" in wrong.case.where


def test_no_folder_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert verdict(CHECKPOINT, SAVE, LOAD).right
    verdict(CHECKPOINT, SAVE, lambda path: 1 / 0)
    assert list(tmp_path.iterdir()) == []
