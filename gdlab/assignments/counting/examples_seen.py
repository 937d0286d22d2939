"""examples_seen(step, n_examples, batch_size, drop_last=False) -> int: by the updates before this step."""

import numpy as np

from gdlab.assignments.counting._data import data_set, moments, none
from gdlab.counting import examples_seen, steps_per_epoch, where_am_i
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part


def _cases(rng):
    return [
        *(Case("kept", inputs) for inputs in moments(rng, drop_last=False)),
        Case("kept", {"step": int(rng.integers(50, 100)), **data_set(rng, none), "drop_last": False}),
        *(Case("dropped", inputs) for inputs in moments(rng, drop_last=True)),
    ]


def _sizes(n_examples, batch_size, drop_last):
    sizes = [batch_size] * (n_examples // batch_size)
    if n_examples % batch_size and not drop_last:
        sizes.append(n_examples % batch_size)
    return sizes


def _batch_after_batch(step, n_examples, batch_size, drop_last):
    seen, left = 0, n_examples
    for _ in range(step):
        if left == 0 or (drop_last and left < batch_size):
            left = n_examples
        seen += min(batch_size, left)
        left -= min(batch_size, left)
    return seen


def _list_of_sizes(step, n_examples, batch_size, drop_last):
    sizes = _sizes(n_examples, batch_size, drop_last)
    return sum(sizes[t % len(sizes)] for t in range(step))


def _epochs_plus_rest(step, n_examples, batch_size, drop_last):
    sizes = _sizes(n_examples, batch_size, drop_last)
    epochs, rest = step // len(sizes), step % len(sizes)
    return epochs * sum(sizes) + sum(sizes[:rest])


def _corrected_per_epoch(step, n_examples, batch_size, drop_last):
    if drop_last:
        return float(step * batch_size)
    steps = -(-n_examples // batch_size)
    return step * batch_size - (step // steps) * (steps * batch_size - n_examples)


def _by_recursion(step, n_examples, batch_size, drop_last):
    sizes = _sizes(n_examples, batch_size, drop_last)
    if step <= len(sizes):
        return sum(sizes[:step])
    return sum(sizes) + _by_recursion(step - len(sizes), n_examples, batch_size, drop_last)


def _whole_epochs_only(step, n, b, drop_last):
    return where_am_i(step, n, b, drop_last)[0] * sum(_sizes(n, b, drop_last))


def _dropped_ones_counted(step, n, b, drop_last):
    epoch, within = where_am_i(step, n, b, drop_last)
    return epoch * n + within * b


def _seen_over_steps(answer: Answer) -> str:
    """Ten examples in batches of four: how many the learner counts at each step of five epochs."""
    data = {"n_examples": 10, "batch_size": 4, "drop_last": False}
    right, yours = [], []
    for step in range(16):
        right.append(examples_seen(step, **data))
        came = answer({"step": step, **data}).value
        yours.append(float(np.asarray(came).item()) if is_numeric(came) and np.size(came) == 1 else np.nan)
    return curve_picture([("right", right), ("yours", yours)], x_label="step", y_label="examples seen")


EXERCISE = Exercise(
    name="examples_seen",
    version=1,
    reference=examples_seen,
    cases=_cases,
    parts=(
        Part("kept", "epochs that keep a short last batch", 2),
        Part("dropped", "epochs that drop it", 2),
    ),
    mistakes=(
        Mistake(
            "every-batch-full",
            lambda step, n, b, drop_last: step * b,
            "You count every batch as full; the last one of each epoch was shorter where it was kept.",
        ),
        Mistake(
            "counts-current-batch",
            lambda step, *data: examples_seen(step + 1, *data),
            "You count this step's own batch; only the updates before it are done.",
        ),
        Mistake(
            "one-epoch-only",
            lambda step, n, b, drop_last: min(step * b, n),
            "You stop at one epoch's worth; seen a second time, an example counts again.",
        ),
        Mistake(
            "whole-epochs-only",
            _whole_epochs_only,
            "You count the epochs that are over and lose what this one has read so far.",
        ),
        Mistake(
            "this-epoch-only",
            lambda step, n, b, drop_last: where_am_i(step, n, b, drop_last)[1] * b,
            "You count what this epoch has read and lose the epochs before it.",
        ),
        Mistake(
            "dropped-ones-counted",
            _dropped_ones_counted,
            "With drop_last the examples of the dropped batch were never seen, in no epoch.",
        ),
        Mistake(
            "ignores-drop-last",
            lambda step, n, b, drop_last: examples_seen(step, n, b),
            "With drop_last an epoch has no short last batch; your answer does not depend on the flag.",
        ),
        Mistake(
            "average-batch",
            lambda step, n, b, drop_last: step * n / steps_per_epoch(n, b, drop_last),
            "You count every batch as one of average size; all but an epoch's last are full.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative("batch after batch", _batch_after_batch),
        Alternative("list of sizes", _list_of_sizes),
        Alternative("epochs plus rest", _epochs_plus_rest),
        Alternative("corrected per epoch, a float", _corrected_per_epoch),
        Alternative("recursion", _by_recursion),
    ),
    notice="Notice that steps times batch size is right only where all batches are full: over many epochs the gap adds up.",
    tolerance=0,
    picture=_seen_over_steps,
    equivalent_mutants={
        "if drop_last or left_over == 0: ⇄ epochs, steps = divmod(step, full_batches + 1)": (
            "the division is made earlier than it is needed, and its results are not used in between"
        ),
    },
)
