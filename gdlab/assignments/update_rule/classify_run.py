"""classify_run(losses) -> str: "diverging", "oscillating", "crawling" or "converging", the first that fits.

Cases keep 5 % away from a tenth of the first loss, where rounding would decide; a quarter of the steps
is exact, so there they go right up to it. In every part at least two words are right, so that a
constant answer earns nothing.
"""

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone
from gdlab.diagnose import classify_run
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part
from gdlab.objectives import bowl
from gdlab.rules import descend

NOT_A_NUMBER, INFINITY = float("nan"), float("inf")


def _falling(rng, first, fall, steps):
    """From `first` down by the share `fall` of it, every step downwards, the early ones longer."""
    lengths = rng.uniform(0.5, 1.5, steps) * np.linspace(2, 1, steps)
    return first * (1 - fall * np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()]))


def _with_bumps(rng, losses, rises):
    """As many steps turned upwards, none of them the last: each bump doubles the loss before it."""
    losses = losses.copy()
    bumps = 2 * rng.choice((len(losses) - 2) // 2, rises, replace=False) + 1
    losses[bumps] = 2 * losses[bumps - 1]
    return losses


def _zigzag(rng, ends, size):
    """Up and down about the line between two losses, on every step; the last step is upwards."""
    steps = 2 * int(rng.integers(6, 9))
    line = np.linspace(*ends, steps + 1)
    return line * (1 - size * (np.arange(steps + 1) % 2))


def _cases(rng):
    def first():
        return float(rng.uniform(2, 9))

    def case(part, losses):
        return Case(part, {"losses": np.array(losses, dtype=float)})

    def steps():
        return int(rng.integers(12, 20))

    start = first()
    return [
        case("plain", _falling(rng, first(), rng.uniform(0.92, 0.99), steps())),
        case("plain", _falling(rng, first(), rng.uniform(0.092, 0.0945), steps())),
        case("plain", _falling(rng, first(), rng.uniform(0.106, 0.109), steps())),
        case("plain", [first()] * steps()),
        case("plain", start * np.cumprod([1.0, *rng.uniform(1.2, 1.6, 8)])),
        case("plain", _zigzag(rng, (start, start * rng.uniform(0.4, 0.6)), rng.uniform(0.2, 0.4))),
        case("judgement", _with_bumps(rng, _falling(rng, first(), rng.uniform(0.8, 0.9), 20), 1)),
        case("judgement", _with_bumps(rng, _falling(rng, first(), rng.uniform(0.8, 0.9), 24), 6)),
        case("judgement", _with_bumps(rng, _falling(rng, first(), rng.uniform(0.8, 0.9), 22), 6)),
        case("judgement", _falling(rng, rng.uniform(0.04, 0.06), rng.uniform(0.5, 0.6), steps())),
        case("judgement", _falling(rng, rng.uniform(18, 22), rng.uniform(0.03, 0.05), steps())),
        case("order", _zigzag(rng, (start, start * rng.uniform(1.3, 2)), rng.uniform(0.2, 0.4))),
        case("order", start * np.linspace(1, rng.uniform(1.02, 1.06), steps())),
        case("order", _zigzag(rng, (start, start * rng.uniform(0.93, 0.97)), rng.uniform(0.2, 0.4))),
        case("not-finite", [*_falling(rng, first(), 0.8, steps()), NOT_A_NUMBER, NOT_A_NUMBER]),
        case("not-finite", np.insert(_falling(rng, first(), 0.8, steps()), -4, INFINITY)),
        case("not-finite", _falling(rng, first() * 1e30, rng.uniform(0.7, 0.8), steps())),
    ]


# ---------------------------------------------------------------- right in other ways


def _plain_loop(losses):
    rises, before = 0, None
    for loss in losses:
        if loss != loss or loss in (INFINITY, -INFINITY):
            return "diverging"
        if before is not None and loss > before:
            rises += 1
        before = loss
    if losses[-1] > losses[0]:
        return "diverging"
    if 4 * rises > len(losses) - 1:
        return "oscillating"
    if losses[-1] > 0.9 * losses[0]:
        return "crawling"
    return "converging"


def _masks(losses):
    first, last = losses[0], losses[-1]
    diverging = not np.isfinite(losses).all() or last > first
    oscillating = not diverging and (losses[1:] > losses[:-1]).mean() > 0.25
    crawling = not diverging and not oscillating and first - last < 0.1 * first
    words = np.array(["diverging", "oscillating", "crawling", "converging"])
    return str(words[[diverging, oscillating, crawling, not (diverging or oscillating or crawling)]][0])


def _converging_first(losses):
    finite = bool(np.all(np.isfinite(losses)))
    fell = (losses[0] - losses[-1]) / losses[0] if finite else -1.0
    swings = np.count_nonzero(np.diff(losses) > 0) / (len(losses) - 1) > 0.25 if finite else True
    if fell >= 0.1 and not swings:
        return "converging"
    if fell >= 0 and not swings:
        return "crawling"
    return "oscillating" if fell >= 0 else "diverging"


def _lists_and_sums(losses):
    losses = [float(loss) for loss in losses]
    if sum(loss - loss for loss in losses) != 0 or losses[-1] > losses[0]:  # infinity - infinity is no number
        return "diverging"
    if sum(b > a for a, b in zip(losses[:-1], losses[1:], strict=True)) * 4 > len(losses[1:]):
        return "oscillating"
    return "crawling" if losses[0] - losses[-1] < losses[0] / 10 else "converging"


def _in_torch(losses):
    import torch

    losses = torch.as_tensor(losses)
    if not torch.isfinite(losses).all() or losses[-1] > losses[0]:
        return "diverging"
    if (torch.diff(losses) > 0).double().mean() > 0.25:
        return "oscillating"
    return "crawling" if 1 - losses[-1] / losses[0] < 0.1 else "converging"


# ---------------------------------------------------------------- wrong


def _rises(losses) -> float:
    return float(np.mean(np.diff(losses) > 0))


def _first_that_fits(*tests):
    """A classifier from (word, losses -> whether it fits), in this order; "converging" where none does."""
    return lambda losses: next((word for word, fits in tests if fits(losses)), "converging")


def _grew(losses) -> bool:
    return not np.isfinite(losses).all() or losses[-1] > losses[0]


DIVERGING = ("diverging", _grew)
OSCILLATING = ("oscillating", lambda losses: _rises(losses) > 1 / 4)
CRAWLING = ("crawling", lambda losses: losses[0] - losses[-1] < losses[0] / 10)


def _words_for_four_runs(answer: Answer) -> str:
    """Three runs on the bowl, from too slow to too fast, one on |θ|, each with the learner's word for it."""
    runs = [(f"lr {lr:g}", bowl.loss(np.asarray(descend(bowl.grad, bowl.start, lr, 20)))) for lr in (0.15, 0.001, 1.02)]
    runs.append(("on |θ|", np.abs(descend(np.sign, 3.0, 0.7, 20))))
    return curve_picture(
        [(f"{name}: {answer({'losses': losses}).value}", losses) for name, losses in runs],
        x_label="step",
        y_label="loss",
        log_y=True,
    )


EXERCISE = Exercise(
    name="classify_run",
    version=1,
    reference=classify_run,
    cases=_cases,
    parts=(
        Part("plain", "runs that are plainly one of the four", 2),
        Part("judgement", "a single bump, a quarter of the steps, small and large losses", 1),
        Part("order", "runs that fit two words", 1),
        Part("not-finite", "losses that are not finite, and finite ones however large", 1),
    ),
    mistakes=(
        Mistake(
            "misses-nan",
            _first_that_fits(("diverging", lambda losses: losses[-1] > losses[0]), OSCILLATING, CRAWLING),
            "This run holds NaN or infinity. Every comparison with NaN is False, so none of your tests sees it.",
        ),
        Mistake(
            "nan-but-not-infinity",
            _first_that_fits(
                ("diverging", lambda losses: np.isnan(losses).any() or losses[-1] > losses[0]), OSCILLATING, CRAWLING
            ),
            "You look for NaN, and infinity is another thing: a loss can be not finite in two ways.",
        ),
        Mistake(
            "looks-at-last-two",
            _first_that_fits(
                ("diverging", lambda losses: not np.isfinite(losses).all() or losses[-1] > losses[-2]),
                OSCILLATING,
                CRAWLING,
            ),
            "One step says little about a run; compare its end with its start.",
        ),
        Mistake(
            "any-rise-is-oscillation",
            _first_that_fits(DIVERGING, ("oscillating", lambda losses: _rises(losses) > 0), CRAWLING),
            "One bump is not a swing; how often does it rise?",
        ),
        Mistake(
            "absolute-drop",
            _first_that_fits(DIVERGING, OSCILLATING, ("crawling", lambda losses: losses[0] - losses[-1] < 0.1)),
            "Whether that fall is small depends on where the run began.",
        ),
        Mistake(
            "oscillation-before-divergence",
            _first_that_fits(OSCILLATING, DIVERGING, CRAWLING),
            "It rises often *and* ends above its start: which of the two comes first?",
        ),
        Mistake(
            "crawling-before-divergence",
            _first_that_fits(
                ("crawling", lambda losses: abs(losses[0] - losses[-1]) < losses[0] / 10), DIVERGING, OSCILLATING
            ),
            "It crept upwards: a small change is not the same as a small fall.",
        ),
        Mistake(
            "crawling-before-oscillation",
            _first_that_fits(DIVERGING, CRAWLING, OSCILLATING),
            "It swings *and* gets nowhere: which of the two comes first?",
        ),
        Mistake(
            "wants-zero-loss",
            _first_that_fits(DIVERGING, OSCILLATING, ("crawling", lambda losses: losses[-1] > 0.1 * losses[0])),
            "Some losses end well above zero. Judge how far it fell, not what is left.",
        ),
    ),
    properties=(leaves_inputs_alone(part="plain"),),
    alternatives=(
        Alternative("plain loop", _plain_loop),
        Alternative("masks", _masks),
        Alternative("tests in another order", _converging_first),
        Alternative("lists and sums", _lists_and_sums),
        Alternative("torch tensors", _in_torch),
        Alternative("float32", lambda losses: _plain_loop(losses.astype(np.float32))),
    ),
    notice="Notice that the order of the tests is part of the definition: a run that explodes in zigzag is diverging first.",
    picture=_words_for_four_runs,
    equivalent_mutants={
        "if first - last < 0.1 * first: → if first - last <= 0.1 * first:": (
            "they part only where a run fell by exactly a tenth, and there rounding decides: 10 - 9 is not below 10 / 10, "
            "but 1 - 9 / 10 is below 0.1"
        ),
    },
)
