"""scale_lr(base_lr, base_batch, batch, rule) -> float: the learning rate for another batch size."""

import math

import numpy as np

from gdlab.batching import scale_lr
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part


def _cases(rng):
    def case(part, base, batch, rule):
        inputs = {"base_lr": float(rng.uniform(0.02, 0.4)), "base_batch": base, "batch": batch, "rule": rule}
        return Case(part, inputs)

    def multiple(part):
        """Whole ratios, without 4, whose root is its half."""
        base = int(rng.integers(8, 33))
        return [case(part, base, base * int(k), part) for k in rng.permutation([2, 3, 5, 6])[:2]]

    def fractions(rule):
        """Ratios above and below 1, none of them whole, nor one over a whole number."""
        base = 2 * int(rng.integers(8, 33)) + 1
        return [
            case("fraction", base, 2 * base + int(rng.integers(3, base - 3)), rule),
            case("fraction", base, base - int(rng.integers(3, base // 3)), rule),
        ]

    return [*multiple("linear"), *multiple("sqrt"), *fractions("linear"), *fractions("sqrt")]


EXPONENTS = {"linear": 1.0, "sqrt": 0.5}


def _ratio(base_batch, batch, rule):
    return (batch / base_batch) ** EXPONENTS[rule]


def _multiply_then_divide(base_lr, base_batch, batch, rule):
    if rule == "linear":
        return base_lr * batch / base_batch
    return math.sqrt(base_lr**2 * batch / base_batch)


def _in_torch(base_lr, base_batch, batch, rule):
    import torch

    ratio = torch.tensor(batch / base_batch, dtype=torch.float64)
    return base_lr * (ratio if rule == "linear" else ratio.sqrt())


def _two_roots(base_lr, base_batch, batch, rule):
    factors = {"linear": lambda: batch / base_batch, "sqrt": lambda: math.sqrt(batch) / math.sqrt(base_batch)}
    return factors[rule]() * base_lr


PICTURE_BATCHES = [16, 32, 64, 96, 128, 192, 256]


def _picture(answer: Answer) -> str:
    """The learner's rates and the right ones, from a rate of 0.1 that works with batches of 64."""
    curves = []
    for rule in EXPONENTS:
        inputs = [{"base_lr": 0.1, "base_batch": 64, "batch": batch, "rule": rule} for batch in PICTURE_BATCHES]
        curves.append((rule, PICTURE_BATCHES, [scale_lr(**each) for each in inputs]))
        curves.append((f"{rule}, yours", PICTURE_BATCHES, [answer(each).value for each in inputs]))
    return curve_picture(curves, x_label="batch", y_label="rate")


EXERCISE = Exercise(
    name="scale_lr",
    version=1,
    reference=scale_lr,
    cases=_cases,
    parts=(
        Part("linear", "the linear rule", 1),
        Part("sqrt", "the square-root rule", 1),
        Part("fraction", "ratios that are not whole", 1),
    ),
    mistakes=(
        Mistake(
            "ratio-upside-down",
            lambda base_lr, base_batch, batch, rule: base_lr * _ratio(batch, base_batch, rule),
            "A bigger batch allows a bigger rate, but yours shrinks.",
        ),
        Mistake(
            "always-linear",
            lambda base_lr, base_batch, batch, rule: base_lr * batch / base_batch,
            '"sqrt" gave the linear answer: look at rule before you answer.',
        ),
        Mistake(
            "always-sqrt",
            lambda base_lr, base_batch, batch, rule: base_lr * _ratio(base_batch, batch, "sqrt"),
            '"linear" gave the square-root answer: look at rule before you answer.',
        ),
        Mistake(
            "rules-swapped",
            lambda base_lr, base_batch, batch, rule: scale_lr(
                base_lr, base_batch, batch, "sqrt" if rule == "linear" else "linear"
            ),
            "Your two rules have changed places.",
        ),
        Mistake(
            "squares",
            lambda base_lr, base_batch, batch, rule: base_lr * (batch / base_batch) ** {"linear": 1, "sqrt": 2}[rule],
            "You squared where a root was asked.",
        ),
        Mistake(
            "power-before-division",
            lambda base_lr, base_batch, batch, rule: base_lr * (batch / base_batch) / {"linear": 1, "sqrt": 2}[rule],
            'Your "sqrt" is half of the linear answer: Python takes a power before it divides, so mind the brackets in an exponent.',
        ),
        Mistake(
            "root-of-everything",
            lambda base_lr, base_batch, batch, rule: (
                scale_lr(base_lr, base_batch, batch, rule)
                if rule == "linear"
                else math.sqrt(base_lr * batch / base_batch)
            ),
            "The root belongs to the ratio of the batches only, not to the rate.",
        ),
        Mistake(
            "whole-number-ratio",
            lambda base_lr, base_batch, batch, rule: base_lr * (batch // base_batch) ** EXPONENTS[rule],
            "// drops the fraction of the ratio: try 80 against 64, and then 48 against 64.",
        ),
        Mistake(
            "by-batch-alone",
            lambda base_lr, base_batch, batch, rule: base_lr * batch ** EXPONENTS[rule],
            "What matters is the new batch relative to the old one, and the old one plays no part in your answer.",
        ),
        Mistake(
            "unscaled",
            lambda base_lr, base_batch, batch, rule: base_lr,
            "The batch changed, and the rate did not.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative(
            "power of one half",
            lambda base_lr, base_batch, batch, rule: base_lr * _ratio(base_batch, batch, rule),
        ),
        Alternative("multiply, then divide", _multiply_then_divide),
        Alternative("lookup of functions", _two_roots),
        Alternative(
            "logarithms",
            lambda base_lr, base_batch, batch, rule: math.exp(
                math.log(base_lr) + EXPONENTS[rule] * (math.log(batch) - math.log(base_batch))
            ),
        ),
        Alternative("torch tensors", _in_torch),
        Alternative(
            "float32",
            lambda base_lr, base_batch, batch, rule: (
                np.float32(base_lr) * np.float32(batch / base_batch) ** np.float32(EXPONENTS[rule])
            ),
        ),
    ),
    notice="Notice that both rules agree where nothing changes, and that they drift apart as the batch grows: at 16 times the batch by a factor of 4.",
    picture=_picture,
)
