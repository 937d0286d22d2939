"""The runs that two figures show, and how they were recorded: a small network learns handwritten digits.

Chapter 5's loss curve and chapter 2's range test are real. Both train `gdlab.objectives.mlp` with 64 hidden
units on 200 of the digits by `gdlab.loop`; 200 other digits are for validation. So few
examples are soon learned by heart, and the run overfits before the reader's eyes. The numbers ship in
`recorded_run.json` and `recorded_range_test.json`, to six digits; `python -m gdlab.figures.recording` makes
both files again, and a test compares them with what it would write.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gdlab.batching import Batches
from gdlab.data import digits
from gdlab.diagnose import lr_range_test
from gdlab.loop import train, validation
from gdlab.objectives import mlp, mlp_start
from gdlab.rules import momentum

EXAMPLES, HIDDEN, SEED = 200, 64, 1
LR, STEPS, MAX_NORM, EVERY = 0.3, 300, 1.5, 5

HERE = Path(__file__).parent


def record_run() -> dict[str, Any]:
    """Train for 300 steps of batches of 20 at η = 0.3 with momentum 0.9, clip gradients to 1.5, validate after every fifth step.

    Returns:
        losses and norms (before clipping), one per step and both of before its update; val_steps and
        val_losses: how many updates were made when it was measured, and what it said; max_norm.
    """
    loss_and_grad, theta, batches, held_out = _task(20)
    measure = validation(held_out, EVERY)
    run = train(
        loss_and_grad, theta, batches, momentum(), LR, STEPS, max_norm=MAX_NORM, callbacks=[measure], progress=False
    )
    validated = [row for row in run.record if "val_loss" in row]
    return {
        "losses": [_short(row["loss"]) for row in run.record],
        "norms": [_short(row["grad_norm"]) for row in run.record],
        "val_steps": [row["step"] + 1 for row in validated],
        "val_losses": [_short(row["val_loss"]) for row in validated],
        "max_norm": MAX_NORM,
    }


def record_range_test() -> dict[str, list[float]]:
    """The rate rises from 10⁻⁴ to 30 in 100 steps of gradient descent, batches of 50; watched is the loss on the held-out digits.

    Returns:
        lrs and losses, up to the explosion.
    """
    loss_and_grad, theta, batches, held_out = _task(50)
    found = lr_range_test(
        loss_and_grad, theta, batches, min_lr=1e-4, max_lr=30.0, steps=100, beta=0.0, measure=held_out
    )
    return {"lrs": [_short(lr) for lr in found.lrs], "losses": [_short(loss) for loss in found.losses]}


def _task(batch_size: int):
    """Loss and gradient of a batch, the first weights, the batches, and the loss on the held-out digits."""
    X, y = digits()
    rng = np.random.default_rng(SEED)
    rows = rng.permutation(len(X))
    seen, held_out = rows[:EXAMPLES], rows[EXAMPLES : 2 * EXAMPLES]
    theta = mlp_start(rng, X.shape[1], HIDDEN, classes=10)
    batches = Batches(EXAMPLES, batch_size, rng)
    return (
        mlp.on_batches(X[seen], y[seen]),
        theta,
        batches,
        lambda theta: float(mlp.loss(theta, X[held_out], y[held_out])),
    )


def _short(value: float) -> float:
    return float(f"{value:.6g}")


@cache
def recorded(name: str) -> dict[str, Any]:
    """What a file of this package holds: `recorded("run")`, `recorded("range_test")`.

    >>> len(recorded("run")["losses"])
    300
    """
    return json.loads((HERE / f"recorded_{name}.json").read_text(encoding="utf-8"))


def write() -> None:
    """Record both anew, and write the files."""
    for name, record in (("run", record_run), ("range_test", record_range_test)):
        (HERE / f"recorded_{name}.json").write_text(json.dumps(record()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
