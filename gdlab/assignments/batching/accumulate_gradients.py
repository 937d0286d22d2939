"""accumulate_gradients(grads, counts) -> (d,): one large batch's gradient from those of its micro-batches."""

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone, signed
from gdlab.batching import accumulate_gradients
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part


def _cases(rng):
    def case(part, counts, d):
        grads = [signed(rng, 0.5, 4, d) for _ in counts]
        return Case(part, {"grads": grads, "counts": [int(count) for count in counts]})

    def unequal(k):
        """Counts of which none is 1 and no two are equal."""
        return rng.permutation(np.arange(2, 17))[:k]

    return [
        case("equal", [rng.integers(4, 9)] * 3, 3),
        case("equal", [rng.integers(2, 5)] * 5, 2),
        case("unequal", unequal(3), 2),
        case("unequal", unequal(4), 3),
        case("unequal", unequal(6), 4),
    ]


def _running_mean(grads, counts):
    mean, seen = np.zeros_like(grads[0]), 0
    for grad, count in zip(grads, counts, strict=True):
        seen += count
        mean = mean + (grad - mean) * count / seen
    return mean


def _loop_and_divide(grads, counts):
    total, examples = 0.0, 0
    for grad, count in zip(grads, counts, strict=True):
        total = total + count * grad
        examples += count
    return total / examples


def _in_torch(grads, counts):
    import torch

    weights = torch.tensor(counts, dtype=torch.float64) / sum(counts)
    return (weights[:, None] * torch.stack([torch.as_tensor(grad) for grad in grads])).sum(dim=0)


def _in_float32(grads, counts):
    weights = np.float32(counts) / np.float32(sum(counts))
    return weights @ np.array(grads, dtype=np.float32)


def _list_by_coordinate(grads, counts):
    return [
        sum(c * g for c, g in zip(counts, column, strict=True)) / sum(counts) for column in zip(*grads, strict=True)
    ]


def _halved(mean, rest):
    """Every new micro-batch is given half of the say."""
    for grad in rest:
        mean = (mean + grad) / 2
    return mean


def _weighted_sum(grads, counts):
    return sum(count * grad for grad, count in zip(grads, counts, strict=True))


EARLY_ONES_FADE = (
    "Early micro-batches are halved again and again: the last one has as much say as all the others together."
)

EXERCISE = Exercise(
    name="accumulate_gradients",
    version=1,
    reference=accumulate_gradients,
    cases=_cases,
    parts=(
        Part("equal", "micro-batches of one size", 1),
        Part("unequal", "micro-batches of different sizes", 1),
        Part("unchanged", "the caller's gradients stay as they were", 1),
    ),
    mistakes=(
        Mistake(
            "plain-mean",
            lambda grads, counts: sum(grads) / len(grads),
            "Small micro-batches count too much: an example in a small one gets more say than an example in a large one.",
        ),
        Mistake(
            "plain-sum",
            lambda grads, counts: sum(grads),
            "More micro-batches should not mean a longer step, and yours grows with every one.",
        ),
        Mistake(
            "weighted-sum",
            _weighted_sum,
            "Your weights are right, but a mean needs weights that sum to one: their total is missing.",
        ),
        Mistake(
            "weighted-over-k",
            lambda grads, counts: _weighted_sum(grads, counts) / len(grads),
            "Divide by the number of examples, not by the number of micro-batches.",
        ),
        Mistake(
            "means-taken-for-sums",
            lambda grads, counts: sum(grads) / sum(counts),
            "You divided by all examples as if each gradient were a sum over its own; each is a mean already, so what does it stand for?",
        ),
        Mistake("last-one-wins", lambda grads, counts: grads[-1], "Only the last micro-batch survived."),
        Mistake("running-half", lambda grads, counts: _halved(grads[0], grads[1:]), EARLY_ONES_FADE),
        Mistake("running-half-from-zero", lambda grads, counts: _halved(0.0, grads), EARLY_ONES_FADE),
        Mistake(
            "last-one-lost",
            lambda grads, counts: accumulate_gradients(grads[:-1], counts[:-1]),
            "The last micro-batch never arrived; when does your loop end?",
        ),
    ),
    properties=(leaves_inputs_alone(part="unchanged"),),
    alternatives=(
        Alternative("np.average", lambda grads, counts: np.average(grads, axis=0, weights=counts)),
        Alternative("dot product", lambda grads, counts: np.dot(counts, grads) / np.sum(counts)),
        Alternative("loop, divided once", _loop_and_divide),
        Alternative("running mean", _running_mean),
        Alternative("np.repeat", lambda grads, counts: np.mean(np.repeat(grads, counts, axis=0), axis=0)),
        Alternative("torch tensors", _in_torch),
        Alternative("float32", _in_float32),
        Alternative("a list, coordinate by coordinate", _list_by_coordinate),
    ),
    notice="Notice that only a running total has to be kept: a batch too large for your memory costs no more memory than its largest part.",
    axes=("coordinate",),
    equivalent_mutants={
        "for grad, count in zip(grads, counts): → for grad, count in zip(counts, grads):": "Only the two names change places, and the product of the two is the same.",
    },
)
