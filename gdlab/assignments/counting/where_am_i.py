"""where_am_i(step, n_examples, batch_size, drop_last=False) -> (epoch, step in epoch), both from 0."""

import numpy as np

from gdlab.assignments.counting._data import data_set, moments, none, one
from gdlab.counting import steps_per_epoch, where_am_i
from gdlab.figures.tiles_svg import tiles_picture
from gdlab.judge.answer import Answer
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part

PICTURE_EXAMPLES, PICTURE_BATCH, PICTURE_STEPS = 10, 4, 6


def _cases(rng):
    return [
        *(Case("kept", inputs) for inputs in moments(rng, drop_last=False)),
        Case("kept", {"step": 0, **data_set(rng, one), "drop_last": False}),
        Case("kept", {"step": int(rng.integers(50, 100)), **data_set(rng, none), "drop_last": False}),
        *(Case("dropped", inputs) for inputs in moments(rng, drop_last=True)),
    ]


def _by_subtraction(step, n_examples, batch_size, drop_last):
    per_epoch = n_examples // batch_size
    if not drop_last and n_examples % batch_size != 0:
        per_epoch += 1
    epoch = 0
    while step >= per_epoch:
        step -= per_epoch
        epoch += 1
    return epoch, step


def _by_table(step, n_examples, batch_size, drop_last):
    starts = [i for i in range(0, n_examples, batch_size) if not drop_last or i + batch_size <= n_examples]
    table = [(epoch, k) for epoch in range(step // len(starts) + 1) for k, _ in enumerate(starts)]
    return table[step]


def _by_parts(step, n_examples, batch_size, drop_last):
    per_epoch = n_examples // batch_size if drop_last else (n_examples + batch_size - 1) // batch_size
    epoch = step // per_epoch
    return [epoch, step - epoch * per_epoch]


def _by_walking(step, n_examples, batch_size, drop_last):
    epoch = within = 0
    seen = batch_size
    for _ in range(step):
        within, seen = within + 1, seen + batch_size
        if seen - batch_size >= n_examples or (drop_last and seen > n_examples):
            epoch, within, seen = epoch + 1, 0, batch_size
    return epoch, within


def _examples_by_their_answer(answer: Answer) -> str:
    """The examples that each step reads, were the learner's epoch and step in epoch followed."""
    epochs: list[list] = []
    for step in range(PICTURE_STEPS):
        came = answer(
            {"step": step, "n_examples": PICTURE_EXAMPLES, "batch_size": PICTURE_BATCH, "drop_last": False}
        ).value
        two_numbers = isinstance(came, np.ndarray) and came.shape == (2,)
        if not two_numbers or not np.all((came >= 0) & (came <= PICTURE_STEPS)):
            continue
        epoch, first = int(came[0]), int(came[1]) * PICTURE_BATCH
        epochs += [[] for _ in range(epoch + 1 - len(epochs))]
        epochs[epoch].append(list(range(first, min(first + PICTURE_BATCH, PICTURE_EXAMPLES))))
    return tiles_picture(epochs, PICTURE_EXAMPLES)


EXERCISE = Exercise(
    name="where_am_i",
    version=1,
    reference=where_am_i,
    cases=_cases,
    parts=(
        Part("kept", "epochs that keep a short last batch", 2),
        Part("dropped", "epochs that drop it", 2),
    ),
    mistakes=(
        Mistake(
            "epochs-from-1",
            lambda *inputs: (where_am_i(*inputs)[0] + 1, where_am_i(*inputs)[1]),
            "You count epochs from 1. Many logs do; here step 0 lies in epoch 0.",
        ),
        Mistake(
            "steps-from-1",
            lambda *inputs: (where_am_i(*inputs)[0], where_am_i(*inputs)[1] + 1),
            "You count the steps of an epoch from 1; here its first step is 0.",
        ),
        Mistake(
            "both-from-1",
            lambda *inputs: (where_am_i(*inputs)[0] + 1, where_am_i(*inputs)[1] + 1),
            "You count both from 1. Progress bars do; here step 0 is step 0 of epoch 0.",
        ),
        Mistake(
            "one-step-ahead",
            lambda step, *data: where_am_i(step + 1, *data),
            "You are one step ahead: an epoch's last step already counts as the next epoch.",
        ),
        Mistake(
            "always-floor",
            lambda step, n, b, drop_last: divmod(step, n // b),
            "A short last batch that is kept is a step too. Your epochs are one step short, so you drift.",
        ),
        Mistake(
            "ignores-drop-last",
            lambda step, n, b, drop_last: where_am_i(step, n, b),
            "With drop_last an epoch has no short last batch; your answer does not depend on the flag.",
        ),
        Mistake(
            "swapped",
            lambda *inputs: where_am_i(*inputs)[::-1],
            "Both numbers are right, in the other order: first the epoch, then the step in it.",
        ),
        Mistake(
            "by-examples",
            lambda step, n, b, drop_last: (step * b // n, step * b % n // b),
            "You count examples as if every batch were full, which a short last batch is not. Count steps.",
        ),
        Mistake(
            "running-step",
            lambda step, *data: (where_am_i(step, *data)[0], step),
            "The second number starts again with every epoch.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative(
            "// and %",
            lambda step, n, b, drop_last: (
                step // steps_per_epoch(n, b, drop_last),
                step % steps_per_epoch(n, b, drop_last),
            ),
        ),
        Alternative("subtraction", _by_subtraction),
        Alternative("enumerated table", _by_table),
        Alternative("epoch, then the rest, as a list", _by_parts),
        Alternative("walks through all steps", _by_walking),
        Alternative(
            "numpy floats",
            lambda step, n, b, drop_last: np.divmod(step, np.floor(n / b) if drop_last else np.ceil(n / b)),
        ),
    ),
    notice="Notice that the step alone, a single number in a checkpoint, is enough to find your place in the data again.",
    returns=("epoch", "step in epoch"),
    tolerance=0,
    picture=_examples_by_their_answer,
)
