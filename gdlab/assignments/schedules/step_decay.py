"""step_decay(step, base_lr, milestones, factor) -> a rate: a staircase that drops at each milestone."""

import itertools
import math

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone
from gdlab.assignments.schedules._curve import a_rate, beside_the_right_one, curve, whole_number
from gdlab.judge.exercise import Alternative, Exercise, Mistake, Part
from gdlab.schedules import step_decay


def _cases(rng):
    def factor():
        """Not a half, of which two times is one."""
        return float(rng.uniform(0.2, 0.4) if rng.random() < 0.5 else rng.uniform(0.6, 0.8))

    def case(part, milestones, last):
        return curve(part, 0, last, base_lr=a_rate(rng), milestones=milestones, factor=factor())

    def unequal_gaps(first):
        gaps = rng.permutation([2, 3, 5]).tolist()
        return [first, first + gaps[0], first + gaps[0] + gaps[1]]

    one, other, late = whole_number(rng, 3, 6), whole_number(rng, 2, 5), whole_number(rng, 15, 99)
    first, second = unequal_gaps(whole_number(rng, 2, 4)), unequal_gaps(whole_number(rng, 5, 7))
    return [
        case("one", [one], one + 4),
        case("one", [other], other + 3),
        case("several", first, first[-1] + 4),
        case("several", second, second[-1] + 3),
        case("corners", [0, 3], 7),
        case("corners", [4, late], 9),
        case("corners", [], 5),
    ]


def _reached(step, milestones):
    return sum(m <= step for m in milestones)


def _drops_once(step, base_lr, milestones, factor):
    return base_lr * factor if _reached(step, milestones) else base_lr


def _keeps_dropping(step, base_lr, milestones, factor):
    return base_lr * factor ** sum(max(step - m + 1, 0) for m in milestones)


def _only_at_milestone(step, base_lr, milestones, factor):
    return base_lr * factor if step in milestones else base_lr


def _divides_by_factor(step, base_lr, milestones, factor):
    return base_lr / factor ** _reached(step, milestones)


def _factor_times_count(step, base_lr, milestones, factor):
    return base_lr * factor * _reached(step, milestones) if _reached(step, milestones) else base_lr


def _subtracts(step, base_lr, milestones, factor):
    return base_lr - base_lr * (1 - factor) * _reached(step, milestones)


def _one_step_early(step, base_lr, milestones, factor):
    return base_lr * factor ** _reached(step + 1, milestones)


def _one_step_late(step, base_lr, milestones, factor):
    return base_lr * factor ** sum(m < step for m in milestones)


def _milestones_as_lengths(step, base_lr, milestones, factor):
    return base_lr * factor ** _reached(step, itertools.accumulate(milestones))


def _by_loop(step, base_lr, milestones, factor):
    lr = base_lr
    for milestone in milestones:
        if milestone > step:
            break
        lr *= factor
    return lr


def _by_recursion(step, base_lr, milestones, factor):
    if len(milestones) == 0 or step < milestones[0]:
        return base_lr
    return _by_recursion(step, base_lr * factor, milestones[1:], factor)


def _in_torch(step, base_lr, milestones, factor):
    import torch

    return base_lr * torch.tensor(factor) ** (torch.tensor(milestones) <= step).sum()


EXERCISE = Exercise(
    name="step_decay",
    version=1,
    reference=step_decay,
    cases=_cases,
    parts=(
        Part("one", "a single milestone", 1),
        Part("several", "several milestones", 1),
        Part("corners", "a milestone at step 0, one never reached, none at all; the list stays as it was", 1),
    ),
    mistakes=(
        Mistake(
            "drops-once", _drops_once, "The second milestone changes nothing in yours: how many have been reached?"
        ),
        Mistake(
            "keeps-dropping",
            _keeps_dropping,
            "Between milestones the rate should rest; yours drops at every step after one.",
        ),
        Mistake(
            "only-at-milestone",
            _only_at_milestone,
            "One step after a milestone your rate is back up: a milestone that is behind you still counts (and do not take it out of the caller's list).",
        ),
        Mistake(
            "divides-by-factor",
            _divides_by_factor,
            "Your rate grows at milestones: factor is what it is multiplied by.",
        ),
        Mistake("factor-times-count", _factor_times_count, "Two drops mean factor of factor, not twice the factor."),
        Mistake(
            "subtracts",
            _subtracts,
            "Every drop of yours takes away the same amount; each should leave the same share of what is there.",
        ),
        Mistake("one-step-early", _one_step_early, "You drop one step before the milestone."),
        Mistake(
            "one-step-late",
            _one_step_late,
            "You drop one step after the milestone. Keras does so too; here, as in PyTorch, the milestone's own step already has the lower rate.",
        ),
        Mistake(
            "milestones-as-lengths",
            _milestones_as_lengths,
            "Milestones are positions from the start of the run, not distances from one to the next.",
        ),
    ),
    properties=(leaves_inputs_alone(part="corners"),),
    alternatives=(
        Alternative("a loop that breaks", _by_loop),
        Alternative("recursion", _by_recursion),
        Alternative(
            "searchsorted",
            lambda step, base_lr, milestones, factor: (
                base_lr * factor ** np.searchsorted(milestones, step, side="right")
            ),
        ),
        Alternative(
            "a product",
            lambda step, base_lr, milestones, factor: base_lr * math.prod(factor for m in milestones if step >= m),
        ),
        Alternative(
            "logarithms",
            lambda step, base_lr, milestones, factor: math.exp(
                math.log(base_lr) + math.log(factor) * sum(step >= m for m in milestones)
            ),
        ),
        Alternative("torch tensors", _in_torch),
        Alternative(
            "float32",
            lambda step, base_lr, milestones, factor: (
                np.float32(base_lr) * np.float32(factor) ** np.count_nonzero(np.array(milestones) <= step)
            ),
        ),
    ),
    notice="Notice that the step at a milestone already has the lower rate, and that k drops multiply by factor k times.",
    axes=("step",),
    picture=beside_the_right_one(step_decay, 16, base_lr=1e-3, milestones=[4, 9, 12], factor=0.4),
    protocols=("every_step",),
)
