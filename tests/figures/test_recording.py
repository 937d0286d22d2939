"""The recorded runs in the package are what the code records, and they show what the figures say of them."""

import numpy as np
import pytest

from gdlab.diagnose import classify_run, smooth, suggest_lr
from gdlab.figures import recording
from gdlab.figures.recording import MAX_NORM, STEPS, record_range_test, record_run, recorded
from gdlab.loop import early_stop

SIX_DIGITS = 5e-6
"""What is written has six digits; another processor rounds the last of them differently now and then."""


def test_the_recorded_run_is_what_training_gives():
    made, shipped = record_run(), recorded("run")
    assert made.keys() == shipped.keys()
    for name in made:
        assert made[name] == pytest.approx(shipped[name], rel=SIX_DIGITS), name


def test_the_recorded_range_test_is_what_the_test_gives():
    made, shipped = record_range_test(), recorded("range_test")
    assert made.keys() == shipped.keys()
    for name in made:
        assert made[name] == pytest.approx(shipped[name], rel=SIX_DIGITS), name


def test_recording_is_deterministic():
    assert record_run() == record_run()
    assert record_range_test() == record_range_test()


def test_both_files_can_be_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "HERE", tmp_path)
    recording.write()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recorded_range_test.json", "recorded_run.json"]


def test_the_run_drops_fast_has_a_long_tail_overfits_and_was_clipped():
    run = recorded("run")
    losses, held_out = smooth(run["losses"], 0.8), np.array(run["val_losses"])
    assert len(losses) == STEPS and classify_run(losses[::10]) == "converging"
    assert losses[0] - losses[50] > 0.75 * losses[0] and losses[-1] < losses[150] / 10
    best = int(held_out.argmin())
    assert run["val_steps"][best] < STEPS / 2 and held_out[-1] > 1.5 * held_out[best]
    clipped = np.array(run["norms"]) > MAX_NORM
    assert clipped[:100].sum() >= 10 and not clipped[100:].any()
    assert early_stop(run["val_losses"], 2)[1] < best == early_stop(run["val_losses"], 8)[1]


def test_the_range_test_finds_a_rate_and_ends_in_the_explosion():
    lrs, losses = recorded("range_test")["lrs"], recorded("range_test")["losses"]
    suggested = suggest_lr(lrs, losses)
    assert lrs[0] < suggested < lrs[int(np.argmin(losses))] < lrs[-1]
    assert losses[-1] > 4 * min(losses)
