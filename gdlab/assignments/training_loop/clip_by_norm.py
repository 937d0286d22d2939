"""clip_by_norm(grads, max_norm) -> (grads, norm): one norm over all arrays, and one factor for all of them."""

import math

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone, signed
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part
from gdlab.rules import clip_by_norm, global_norm

PICTURE_LIMIT = 2.0
PICTURE_DIRECTION = [np.array([0.1, 0.7]), np.array([-0.1, 0.7])]  # together of length 1


def _clip_cases(rng):
    def grads(*shapes):
        return [signed(rng, 1, 4, shape) for shape in shapes]

    def within(arrays, share):
        return Case("within", {"grads": arrays, "max_norm": float(global_norm(arrays) / share)})

    def over(arrays):
        """A limit below the largest entry, so that cutting entries at it shows."""
        largest = max(np.max(np.abs(array)) for array in arrays)
        return Case("over", {"grads": arrays, "max_norm": float(largest * rng.uniform(0.3, 0.6))})

    return [
        within(grads(3, (2, 2), 1), share=rng.uniform(0.3, 0.7)),
        within(grads(2, 2), share=rng.uniform(0.3, 0.7)),
        within(grads((2, 3), 4), share=1.0),
        Case("within", {"grads": [np.zeros(3), np.zeros((2, 2))], "max_norm": float(rng.uniform(0.5, 2))}),
        over(grads(3, (2, 2), 1)),
        over(grads(3, 3)),
        over(grads(5)),
        Case("over", {"grads": [40 * array for array in grads((2, 2), 3)], "max_norm": float(rng.uniform(0.5, 2))}),
    ]


def _scaled(grads, factor, norm):
    return [factor * grad for grad in grads], norm


def _each_array_alone(grads, max_norm):
    return [clip_by_norm([grad], max_norm)[0][0] for grad in grads], global_norm(grads)


def _always_rescales(grads, max_norm):
    norm = global_norm(grads)
    with np.errstate(all="ignore"):
        return _scaled(grads, np.float64(max_norm) / norm, norm)


def _divides_by_a_zero_norm(grads, max_norm):
    norm = global_norm(grads)
    with np.errstate(invalid="ignore"):
        return [grad / norm * min(norm, max_norm) for grad in grads], norm


def _without_the_root(grads, max_norm):
    norm = sum(np.sum(grad**2) for grad in grads)
    return _scaled(grads, max_norm / max(norm, max_norm), norm)


def _sum_of_norms(grads, max_norm):
    norm = sum(np.linalg.norm(grad) for grad in grads)
    return _scaled(grads, max_norm / max(norm, max_norm), norm)


def _largest_entry(grads, max_norm):
    norm = max(np.max(np.abs(grad)) for grad in grads)
    return _scaled(grads, max_norm / max(norm, max_norm), norm)


def _cuts_off_what_is_over(grads, max_norm):
    norm = global_norm(grads)
    return _scaled(grads, 0.0 if norm > max_norm else 1.0, norm)


def _by_concatenating(grads, max_norm):
    norm = np.linalg.norm(np.concatenate([grad.ravel() for grad in grads]))
    return [grad * max_norm / norm if norm > max_norm else grad for grad in grads], norm


def _by_dividing(grads, max_norm):
    norm = np.sqrt(sum(np.square(grad).sum() for grad in grads))
    return [grad / max(1.0, norm / max_norm) for grad in grads], norm


def _by_hypot(grads, max_norm):
    norm = math.hypot(*(entry for grad in grads for entry in grad.ravel()))
    factor = 1.0 if norm <= max_norm else max_norm / norm
    return tuple((grad * factor).tolist() for grad in grads), norm


def _by_loops(grads, max_norm):
    total = 0.0
    for grad in grads:
        for entry in grad.ravel():
            total += entry * entry
    clipped = [grad.copy() for grad in grads]
    if total > max_norm**2:
        for grad in clipped:
            grad *= max_norm / total**0.5
    return clipped, total**0.5


def _by_vdot(grads, max_norm):
    norm = np.float32(sum(np.vdot(grad, grad) for grad in grads)) ** 0.5
    return [np.float32(grad) * min(1.0, max_norm / max(norm, 1e-12)) for grad in grads], norm


def _as_torch_does(grads, max_norm):
    import torch

    weights = [torch.zeros(grad.shape, dtype=torch.float64, requires_grad=True) for grad in grads]
    for weight, grad in zip(weights, grads, strict=True):
        weight.grad = torch.tensor(grad)
    norm = torch.nn.utils.clip_grad_norm_(weights, max_norm)
    return [weight.grad for weight in weights], norm


def _lengths(answer: Answer) -> list[float]:
    """How long gradients of growing length are after clipping."""
    grads = ([length * part for part in PICTURE_DIRECTION] for length in range(7))
    return [_length(answer({"grads": each, "max_norm": PICTURE_LIMIT}).value) for each in grads]


def _length(came) -> float:
    """The norm of the gradients in (grads, norm); not a number where that is not what came."""
    grads = came[0] if isinstance(came, list) and len(came) == 2 else None
    if not is_numeric(grads) or np.size(grads) != 4:
        return math.nan
    return float(np.linalg.norm(grads))


def _before_and_after(answer: Answer) -> str:
    curves = [("right", _lengths(EXERCISE.local(clip_by_norm))), ("yours", _lengths(answer))]
    return curve_picture(curves, x_label="norm before clipping", y_label=f"norm after, limit {PICTURE_LIMIT:g}")


EXERCISE = Exercise(
    name="clip_by_norm",
    version=1,
    reference=clip_by_norm,
    cases=_clip_cases,
    parts=(
        Part("within", "gradients within the limit, and all zeros", 1),
        Part("over", "gradients longer than the limit", 2),
        Part("unchanged", "the caller's gradients stay as they were", 1),
    ),
    mistakes=(
        Mistake(
            "each-array-alone",
            _each_array_alone,
            "You measure and shorten each array by itself, which turns the direction. One norm for all, one factor for all.",
        ),
        Mistake(
            "each-number-alone",
            lambda grads, max_norm: ([np.clip(grad, -max_norm, max_norm) for grad in grads], global_norm(grads)),
            "You cut single entries, which turns the direction. Shorten the whole gradient instead.",
        ),
        Mistake(
            "always-rescales",
            _always_rescales,
            "You stretch short gradients up to the limit; they should pass untouched.",
        ),
        Mistake(
            "never-clips",
            lambda grads, max_norm: (grads, global_norm(grads)),
            "You find the norm and report it, but long gradients stay as long as they were.",
        ),
        Mistake(
            "forgets-root",
            _without_the_root,
            "What you call the norm is its square: double the gradient, and it grows fourfold.",
        ),
        Mistake(
            "adds-norms",
            _sum_of_norms,
            "Lengths of parts don't add up to the length of the whole: think of the two short sides of a triangle.",
        ),
        Mistake(
            "largest-entry",
            _largest_entry,
            "You measure the gradient by its largest entry, which is another norm. Here all entries count, by their squares.",
        ),
        Mistake(
            "drops-what-is-over",
            _cuts_off_what_is_over,
            "Gradients over the limit vanish in your function. Keep their direction, and only shorten them.",
        ),
        Mistake(
            "returns-clipped-norm",
            lambda grads, max_norm: (clip_by_norm(grads, max_norm)[0], min(global_norm(grads), max_norm)),
            "You report the norm after clipping, which never exceeds the limit. Report what it was before: that is the news.",
        ),
        Mistake(
            "zero-gives-nan",
            _divides_by_a_zero_norm,
            "Gradients of zeros come back as not-a-number: what is zero divided by its own norm?",
        ),
        Mistake(
            "returns-only-gradients",
            lambda grads, max_norm: clip_by_norm(grads, max_norm)[0],
            "The gradients are right; return the norm beside them, as it was before clipping.",
        ),
        Mistake(
            "returns-only-the-norm",
            lambda grads, max_norm: global_norm(grads),
            "That is torch's custom: clip_grad_norm_ changes the gradients in place and returns the norm alone. Here you "
            "return both, and change nothing.",
        ),
    ),
    properties=(leaves_inputs_alone(part="unchanged"),),
    alternatives=(
        Alternative("concatenated", _by_concatenating),
        Alternative("divides by max(1, norm / limit)", _by_dividing),
        Alternative("hypot, returned as tuples of lists", _by_hypot),
        Alternative("loops over entries", _by_loops),
        Alternative("vdot in float32", _by_vdot),
        Alternative("torch's own, a hair below the limit", _as_torch_does),
    ),
    notice="Notice that one factor for all arrays keeps the direction: the step becomes shorter, but it goes the same way.",
    axes={"grads": ("array", "entry", "column")},
    returns=("grads", "norm"),
    picture=_before_and_after,
    equivalent_mutants={
        "factor = max_norm / max(norm, max_norm) → factor = max_norm / max(max_norm, norm)": "The larger of two numbers does not depend on their order.",
    },
)
