"""early_stop(losses, patience, min_delta=0.0) -> (stop_epoch, best_epoch): stop when waiting no longer pays.

All losses are multiples of 1/64, as is min_delta: sums and differences are then exact, and "lower by more
than min_delta" means the same in every way of writing it.
"""

import math
from itertools import accumulate

import numpy as np

from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part
from gdlab.loop import early_stop

GRAIN = 64
PICTURE_LOSSES = [4.0, 3.0, 2.5, 2.75, 2.625, 2.0, 2.25, 2.0, 2.125, 1.5, 1.25]
PICTURE_PATIENCE = 3


def _early_stop_cases(rng):
    def gain():
        return int(rng.integers(20, 40))

    def falling(start, count):
        return list(accumulate((gain() for _ in range(count)), lambda loss, step: loss - step, initial=start))

    def bad(best, count):
        """Epochs without progress, some of them better than the one before."""
        heights = [
            int(rng.integers(30, 40)),
            int(rng.integers(8, 20)),
            int(rng.integers(21, 29)),
            int(rng.integers(2, 7)),
        ]
        return [best + heights[i % 4] for i in range(count)]

    def start():
        return int(rng.integers(500, 640))

    def case(part, losses, patience, **rest):
        return Case(part, {"losses": [loss / GRAIN for loss in losses], "patience": patience, **rest})

    def recovers_then_stops(patience):
        losses = falling(start(), int(rng.integers(2, 5)))
        losses += bad(losses[-1], patience - 1)
        losses += [min(losses) - gain()]
        losses += bad(losses[-1], patience)
        return case("stop", losses + falling(losses[-1] - 50, 2), patience)

    def never_better(patience):
        """The first loss stays the best."""
        losses = falling(start(), 0)
        losses += bad(losses[-1], patience)
        return case("stop", losses + falling(losses[0] - 50, 2), patience)

    def stops_at_once():
        losses = falling(start(), 2)
        return case("stop", [*losses, losses[-1] + gain(), losses[-1] - gain(), losses[-1] - 50], 1)

    def holds_out(patience):
        losses = falling(start(), int(rng.integers(1, 4)))
        losses += bad(losses[-1], patience - 1)
        losses += falling(min(losses) - gain(), 1)
        return case("never", losses + bad(losses[-1], patience - 1), patience)

    def creeps(patience):
        """Gains of half min_delta: the third one counts, since by then they have added up to more than it."""
        delta = 2 * int(rng.integers(8, 15))
        losses = falling(start(), 2)
        losses += [losses[-1] - k * delta // 2 for k in (1, 2, 3)]
        best = losses[-1]
        tail = [best - delta, best - delta // 2, *(best + 3 + k for k in range(patience - 2))]
        return case("delta", losses + tail + [best - 200, best - 300], patience, min_delta=delta / GRAIN)

    def too_small_a_gain(patience):
        delta = int(rng.integers(4, 9))
        losses = falling(start(), 3)
        tail = [losses[-1] - delta + k for k in range(patience)]
        return case("delta", losses + tail + [losses[-1] - 200, losses[-1] - 150], patience, min_delta=delta / GRAIN)

    def slightly_worse(patience):
        """Losses above the best one by less than min_delta."""
        delta = int(rng.integers(12, 20))
        losses = falling(start(), 3)
        tail = [losses[-1] + 2 + k for k in range(patience)]
        return case("delta", losses + tail + [losses[-1] - 200, losses[-1] - 150], patience, min_delta=delta / GRAIN)

    def small_gains_that_count():
        """Each gain is more than min_delta, but less than that share of the best loss."""
        delta = int(rng.integers(20, 30))
        losses = list(accumulate([delta + 2] * 5, lambda loss, step: loss - step, initial=start()))
        return case("delta", losses + [losses[-1] - 1], 3, min_delta=delta / GRAIN)

    return [
        recovers_then_stops(2),
        recovers_then_stops(int(rng.integers(3, 5))),
        recovers_then_stops(5),
        never_better(int(rng.integers(2, 5))),
        stops_at_once(),
        holds_out(int(rng.integers(2, 4))),
        holds_out(4),
        creeps(int(rng.integers(3, 5))),
        too_small_a_gain(int(rng.integers(2, 4))),
        slightly_worse(int(rng.integers(2, 4))),
        small_gains_that_count(),
    ]


def _counted(losses, patience, is_better, waits_longer=0, resets=True):
    """The usual loop with a wait counter; `is_better` is asked with the loss, the best one, and the one before."""
    best, best_epoch, wait, before = math.inf, 0, 0, math.inf
    for epoch, loss in enumerate(losses):
        if is_better(loss, best, before):
            best, best_epoch = loss, epoch
            wait = 0 if resets else wait
        else:
            wait += 1
            if wait >= patience + waits_longer:
                return epoch, best_epoch
        before = loss
    return len(losses) - 1, best_epoch


def _late(losses, patience, min_delta=0.0):
    return _counted(losses, patience, lambda loss, best, _: loss < best - min_delta, waits_longer=1)


def _early(losses, patience, min_delta=0.0):
    return _counted(losses, patience, lambda loss, best, _: loss < best - min_delta, waits_longer=-1)


def _compared_with_previous(losses, patience, min_delta=0.0):
    return _counted(losses, patience, lambda loss, _, before: loss < before - min_delta)


def _never_resets(losses, patience, min_delta=0.0):
    return _counted(losses, patience, lambda loss, best, _: loss < best - min_delta, resets=False)


def _delta_added(losses, patience, min_delta=0.0):
    return _counted(losses, patience, lambda loss, best, _: loss < best + min_delta)


def _tie_is_progress(losses, patience, min_delta=0.0):
    return _counted(losses, patience, lambda loss, best, _: loss <= best - min_delta)


def _delta_ignored(losses, patience, min_delta=0.0):
    return _counted(losses, patience, lambda loss, best, _: loss < best)


def _delta_as_a_share(losses, patience, min_delta=0.0):
    return _counted(losses, patience, lambda loss, best, _: loss < best * (1 - min_delta))


def _best_creeps_down(losses, patience, min_delta=0.0):
    best, best_epoch, wait = math.inf, 0, 0
    for epoch, loss in enumerate(losses):
        wait = 0 if loss < best - min_delta else wait + 1
        if loss < best:
            best, best_epoch = loss, epoch
        if wait >= patience:
            return epoch, best_epoch
    return len(losses) - 1, best_epoch


def _stop_epoch_twice(losses, patience, min_delta=0.0):
    stop, _ = early_stop(losses, patience, min_delta)
    return stop, stop


def _best_of_all(losses, patience, min_delta=0.0):
    stop, _ = early_stop(losses, patience, min_delta)
    return stop, int(np.argmin(losses))


def _one_past_the_end(losses, patience, min_delta=0.0):
    stop, best = early_stop(losses, patience, min_delta)
    spent = stop - best >= patience
    return (stop if spent else len(losses)), best


def _in_the_other_order(losses, patience, min_delta=0.0):
    return early_stop(losses, patience, min_delta)[::-1]


def _with_a_wait_counter(losses, patience, min_delta=0.0):
    best, best_epoch, wait = losses[0], 0, 0
    for epoch in range(1, len(losses)):
        if best - losses[epoch] > min_delta:
            best, best_epoch, wait = losses[epoch], epoch, 0
        else:
            wait += 1
        if wait == patience:
            return [epoch, best_epoch]
    return [len(losses) - 1, best_epoch]


def _from_the_history(losses, patience, min_delta=0.0):
    improved = [0]
    for epoch in range(len(losses)):
        if losses[epoch] < losses[improved[-1]] - min_delta:
            improved.append(epoch)
        if epoch - improved[-1] >= patience:
            break
    return epoch, improved[-1]


def _with_negated_scores(losses, patience, min_delta=0.0):
    scores = -np.array(losses)
    best_epoch = np.int64(0)
    for epoch in np.arange(len(scores)):
        if scores[epoch] > scores[best_epoch] + min_delta:
            best_epoch = epoch
        elif epoch - best_epoch == patience:
            return epoch, best_epoch
    return epoch, best_epoch


def _by_recursion(losses, patience, min_delta=0.0, best=0):
    window = losses[best + 1 : best + 1 + patience]
    better = next((k for k, loss in enumerate(window, best + 1) if loss < losses[best] - min_delta), None)
    if better is not None:
        return _by_recursion(losses, patience, min_delta, better)
    return best + len(window), best


def _in_torch(losses, patience, min_delta=0.0):
    import torch

    losses = torch.tensor(losses, dtype=torch.float32)
    best = torch.tensor(0)
    while best + patience < len(losses):
        better = torch.nonzero(losses[best + 1 : best + patience + 1] < losses[best] - min_delta)
        if not len(better):
            return best + patience, best
        best = best + 1 + better[0, 0]
    rest = torch.nonzero(losses[best + 1 :] < losses[best] - min_delta)
    while len(rest):
        best = best + 1 + rest[0, 0]
        rest = torch.nonzero(losses[best + 1 :] < losses[best] - min_delta)
    return len(losses) - 1, best


def _where_it_stops(answer: Answer) -> str:
    came = answer({"losses": PICTURE_LOSSES, "patience": PICTURE_PATIENCE, "min_delta": 0.0}).value
    right = early_stop(PICTURE_LOSSES, PICTURE_PATIENCE)[0]
    return curve_picture(
        [("all epochs", PICTURE_LOSSES), ("right", *_up_to(right)), ("yours", *_up_to(_first_number(came)))],
        x_label="epoch",
        y_label="validation loss (patience 3)",
    )


def _up_to(stop: int) -> tuple[list[int], list[float]]:
    """The part of the losses that is seen before stopping."""
    return list(range(len(PICTURE_LOSSES)))[: stop + 1], PICTURE_LOSSES[: stop + 1]


def _first_number(came) -> int:
    """The epoch that an answer stops at; before all of them where it names none."""
    first = came[0] if is_numeric(came) and np.ndim(came) == 1 and len(came) else None
    return int(first) if isinstance(first, int | float | np.number) and math.isfinite(first) and first >= 0 else -1


EXERCISE = Exercise(
    name="early_stop",
    version=1,
    reference=early_stop,
    cases=_early_stop_cases,
    parts=(
        Part("stop", "stopping once patience is spent", 2),
        Part("never", "reaching the end because progress came in time", 1),
        Part("delta", "gains that are too small to count, and gains that add up", 2),
    ),
    mistakes=(
        Mistake(
            "one-epoch-late",
            _late,
            "You wait one epoch too long: count the epochs since the best one at the moment you stop.",
        ),
        Mistake(
            "one-epoch-early",
            _early,
            "You stop one epoch too soon: count the epochs since the best one at the moment you stop.",
        ),
        Mistake(
            "compares-with-previous",
            _compared_with_previous,
            "Recovering from a bad epoch isn't progress. Compare with the best loss so far, not with the last one.",
        ),
        Mistake(
            "patience-never-resets",
            _never_resets,
            "You add up all bad epochs of the run. Progress should restore the patience to the full.",
        ),
        Mistake(
            "delta-wrong-way",
            _delta_added,
            "You accept losses that are worse than the best one; on which side of it should min_delta stand?",
        ),
        Mistake(
            "best-creeps-down",
            _best_creeps_down,
            "Tiny gains moved your yardstick, so many of them never add up. Let best move only when a gain counts.",
        ),
        Mistake("tie-is-progress", _tie_is_progress, "A loss that only just reaches the mark isn't better than it."),
        Mistake(
            "ignores-min-delta",
            _delta_ignored,
            "Any gain counts in your function, however small: min_delta has no effect.",
        ),
        Mistake(
            "relative-delta",
            _delta_as_a_share,
            "You take min_delta as a share of the best loss, as torch's ReduceLROnPlateau does by default. Here it is an "
            "amount, in units of the loss.",
        ),
        Mistake(
            "best-is-stop",
            _stop_epoch_twice,
            "You name the epoch of stopping twice. Which epoch was the best, whose weights you would want back?",
        ),
        Mistake(
            "best-of-all",
            _best_of_all,
            "Your best epoch is the lowest of the whole list: one that you would never have seen, or one that gained too little.",
        ),
        Mistake(
            "end-is-one-too-far",
            _one_past_the_end,
            "Where patience lasts, you name an epoch that does not exist: they count from 0.",
        ),
        Mistake("best-first", _in_the_other_order, "The right two epochs in the other order: first where it stops."),
    ),
    properties=(),
    alternatives=(
        Alternative("wait counter, returned as a list", _with_a_wait_counter),
        Alternative("history of improvements", _from_the_history),
        Alternative("negated scores, numpy integers", _with_negated_scores),
        Alternative("recursion", _by_recursion),
        Alternative("torch tensors in float32", _in_torch),
    ),
    notice="Notice that you stop `patience` epochs after the best one: keep its weights, not the last ones.",
    returns=("stop_epoch", "best_epoch"),
    tolerance=0.0,
    picture=_where_it_stops,
)
