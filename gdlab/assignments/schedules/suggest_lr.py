"""suggest_lr(lrs, losses) -> one of `lrs`: where a range test's loss falls fastest against the logarithm of the rate."""

import math

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone
from gdlab.diagnose import suggest_lr
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer, fresh
from gdlab.judge.compare import compare, is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part

EQUAL_GAPS = np.arange(-7.0, 8.0)
COARSE_BELOW = np.array([-17.0, -13, -9, -5, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8])
COARSE_ABOVE = np.array([-8.0, -7, -6, -5, -4, -3, -2, -1, 0, 1, 5, 9, 13, 17])
"""Where the rates lie, in gaps from the one where the loss falls fastest. A finer search has been added to a coarse one."""


def _cases(rng):
    def case(part, side, *, places=EQUAL_GAPS, blow_up=False, missing=()):
        """A loss that falls in an S over log₁₀ lr; the middle of the S lies a little to one side of a rate.

        The S is wide enough that slopes differ from rate to rate by several percent, and no more than that.
        """
        gap, shift = rng.uniform(0.25, 0.35), side * rng.uniform(0.15, 0.28)
        width = 1.0 if places is EQUAL_GAPS else 1.5
        high, low = rng.uniform(2, 4), rng.uniform(0.2, 0.8)
        losses = high - (high - low) / (1 + np.exp((shift - places) / width))
        if blow_up:
            losses[-3:] += high * np.array([0.3, 1.5, 6.0])
        for place, value in missing:
            losses[place] = value
        return Case(part, {"lrs": 10 ** (rng.uniform(-3, -1) + gap * places), "losses": losses})

    nan, inf = float("nan"), float("inf")
    return [
        case("fall", -1),
        case("fall", 1),
        case("blow-up", -1, blow_up=True),
        case("blow-up", 1, blow_up=True),
        case("unequal", -1, places=COARSE_BELOW),
        case("unequal", 1, places=COARSE_ABOVE),
        case("missing", 1, missing=[(2, nan), (-2, nan), (-1, nan)]),
        case("missing", -1, blow_up=True, missing=[(1, nan), (-1, inf)]),
    ]


def _recognised_by(inputs, value):
    """The rate; where losses are missing, only whether it is right.

    Most mistakes have two forms there, with and without dropping what is missing, and both are wrong.
    """
    if np.isfinite(inputs["losses"]).all():
        return value
    return compare(suggest_lr(**inputs), value, tolerance=1e-5) is None


def _known(lrs, losses):
    known = np.isfinite(losses)
    return lrs[known], losses[known]


def _lowest_loss(lrs, losses):
    lrs, losses = _known(lrs, losses)
    return lrs[np.argmin(losses)]


def _tenth_of_the_lowest(lrs, losses):
    return _lowest_loss(lrs, losses) / 10


def _steepest_rise(lrs, losses):
    lrs, losses = _known(lrs, losses)
    return lrs[np.argmax(np.gradient(losses, np.log(lrs)))]


def _slope_by_lr(lrs, losses):
    lrs, losses = _known(lrs, losses)
    return lrs[np.argmin(np.gradient(losses, lrs))]


def _slope_by_index(lrs, losses):
    lrs, losses = _known(lrs, losses)
    return lrs[np.argmin(np.gradient(losses))]


def _returns_the_index(lrs, losses):
    lrs, losses = _known(lrs, losses)
    return int(np.argmin(np.gradient(losses, np.log(lrs))))


def _returns_the_logarithm(lrs, losses):
    return math.log10(suggest_lr(lrs, losses))


def _returns_the_slope(lrs, losses):
    lrs, losses = _known(lrs, losses)
    return np.min(np.gradient(losses, np.log(lrs)))


def _nan_wins(lrs, losses):
    return lrs[np.argmin(np.gradient(losses, np.log(lrs)))]


def _absolute_slope(lrs, losses):
    lrs, losses = _known(lrs, losses)
    return lrs[np.argmax(np.abs(np.gradient(losses, np.log(lrs))))]


def _slope_to_the_next(lrs, losses):
    lrs, losses = _known(lrs, losses)
    return lrs[np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]


def _slope_from_the_last(lrs, losses):
    lrs, losses = _known(lrs, losses)
    return lrs[1:][np.argmin(np.diff(losses) / np.diff(np.log(lrs)))]


def _by_nanargmin(lrs, losses):
    return lrs[np.nanargmin(np.gradient(losses, np.log10(lrs)))]


def _smallest_pair(lrs, losses):
    kept = [(lr, loss) for lr, loss in zip(lrs, losses, strict=True) if math.isfinite(loss)]
    slopes = np.gradient([loss for _, loss in kept], [math.log2(lr) for lr, _ in kept])
    return min(zip(slopes, (lr for lr, _ in kept), strict=True))[1]


def _by_loop(lrs, losses):
    kept = [(math.log(lr), loss, lr) for lr, loss in zip(lrs, losses, strict=True) if math.isfinite(loss)]
    best, steepest = None, 0.0
    for before, here, after in zip(kept, kept[1:], kept[2:], strict=False):
        slope = (after[1] - before[1]) / (after[0] - before[0])
        if slope < steepest:
            best, steepest = here[2], slope
    return best


def _in_torch(lrs, losses):
    import torch

    lrs, losses = torch.as_tensor(lrs), torch.as_tensor(losses)
    lrs, losses = lrs[losses.isfinite()], losses[losses.isfinite()]
    (slopes,) = torch.gradient(losses, spacing=(lrs.log(),))
    return lrs[slopes.argmin()]


def _in_float32(lrs, losses):
    lrs, losses = np.float32(lrs), np.float32(losses)
    known = ~(np.isnan(losses) | np.isinf(losses))
    return lrs[known][np.gradient(losses[known], np.log(lrs[known])).argmin()]


PICTURE_POWERS = np.arange(-7, 6) * 0.3 - 1.5
PICTURE_LOSSES = 2.5 - 2 / (1 + np.exp(-PICTURE_POWERS / 0.3 - 5.2))
PICTURE_LOSSES[-2:] += [0.6, 2.2]


def _marked_on_a_curve(answer: Answer) -> str:
    """The learner's rate on a range test's curve, beside the right one."""
    lrs = 10**PICTURE_POWERS

    def mark(lr):
        power = math.log10(lr)
        return [power], [np.interp(power, PICTURE_POWERS, PICTURE_LOSSES)]

    curves = [
        ("loss", PICTURE_POWERS, PICTURE_LOSSES),
        ("right", *mark(suggest_lr(lrs, PICTURE_LOSSES))),
    ]
    yours = answer(fresh({"lrs": lrs, "losses": PICTURE_LOSSES})).value
    if is_numeric(yours) and np.size(yours) == 1 and 0 < np.asarray(yours).item() < math.inf:
        curves.append(("yours", *mark(np.asarray(yours).item())))
    return curve_picture(curves, x_label="log₁₀ of the learning rate", y_label="loss")


EXERCISE = Exercise(
    name="suggest_lr",
    version=1,
    reference=suggest_lr,
    cases=_cases,
    parts=(
        Part("fall", "a loss that only falls", 1),
        Part("blow-up", "a loss that blows up in the end", 1),
        Part("unequal", "rates that are not evenly spaced", 1),
        Part("missing", "losses that are missing or infinite; the arrays stay as they were", 1),
    ),
    mistakes=(
        Mistake(
            "lowest-loss",
            _lowest_loss,
            "At its lowest the curve is about to explode: look for where the loss falls fastest, not where it is lowest.",
        ),
        Mistake(
            "tenth-of-the-lowest",
            _tenth_of_the_lowest,
            "A tenth of the rate with the lowest loss is a rule of thumb that fast.ai offers too. Here we want the steepest fall.",
        ),
        Mistake("steepest-rise", _steepest_rise, "You found where it explodes: a fall is a slope below zero."),
        Mistake(
            "slope-by-lr", _slope_by_lr, "The axis is logarithmic, and so is the slope: what should you divide by?"
        ),
        Mistake(
            "slope-by-index",
            _slope_by_index,
            "Your slopes treat all points as evenly spaced, and they are not: where do the points lie on the axis?",
        ),
        Mistake("returns-the-index", _returns_the_index, "That is a position in the list, not a rate."),
        Mistake(
            "returns-the-logarithm", _returns_the_logarithm, "That is the logarithm of the rate; give the rate itself."
        ),
        Mistake(
            "returns-the-slope", _returns_the_slope, "That is how steep the fall is; at which rate is it so steep?"
        ),
        Mistake(
            "nan-wins",
            _nan_wins,
            "Right, until a loss is missing: one NaN wins every search for the smallest. Drop what is not finite first.",
        ),
        Mistake(
            "absolute-slope",
            _absolute_slope,
            "Steep upwards counts too in yours, so the explosion wins; only a fall should count.",
        ),
        Mistake(
            "slope-to-the-next",
            _slope_to_the_next,
            "You measure each slope from a point to the next one: look to both sides, as numpy.gradient does.",
        ),
        Mistake(
            "slope-from-the-last",
            _slope_from_the_last,
            "You measure each slope from the point before: look to both sides, as numpy.gradient does.",
        ),
    ),
    properties=(leaves_inputs_alone(part="missing"),),
    alternatives=(
        Alternative("log10 and nanargmin", _by_nanargmin),
        Alternative("lists, log2 and the smallest pair", _smallest_pair),
        Alternative("a loop of plain differences", _by_loop),
        Alternative("torch.gradient", _in_torch),
        Alternative("float32", _in_float32),
    ),
    notice="Notice that the rate you suggest lies well below the one with the lowest loss: there the explosion has begun.",
    picture=_marked_on_a_curve,
    recognised_by=_recognised_by,
)
