"""The update rule: slopes that are close enough, calls that are counted, and words whose order matters."""

import numpy as np
import pytest

from gdlab.assignments import find_exercise
from gdlab.diagnose import classify_run
from gdlab.judge.answer import Local, fresh
from gdlab.judge.judge import draw_cases, judge
from gdlab.objectives import numerical_gradient

SEEDS = range(8)


def verdicts(name, function):
    return [judge(find_exercise(name), Local(function), seed) for seed in SEEDS]


# numerical_gradient


def test_the_tolerance_lies_between_the_error_of_central_differences_and_that_of_one_sided_ones():
    exercise = find_exercise("numerical_gradient")
    one_sided = next(mistake.function for mistake in exercise.mistakes if mistake.name == "one-sided")
    for seed in range(40):
        for case in draw_cases(exercise, seed):
            inputs = fresh(case.inputs)
            exact = np.asarray(numerical_gradient(inputs["loss_fn"], inputs["theta"], 1e-5))
            central, onesided = (
                np.abs(exact - slopes(*inputs.values())).max() / np.abs(exact).max()
                for slopes in (numerical_gradient, one_sided)
            )
            assert central < exercise.tolerance / 4 and onesided > 4 * exercise.tolerance


@pytest.mark.parametrize(("order", "right"), [("4 calls", True), ("5 calls", False)])
def test_up_to_four_calls_a_coordinate_are_free(order, right):
    def asks_again(loss_fn, theta, h):
        for _ in range((2 if order == "4 calls" else 3) * np.size(theta)):
            loss_fn(theta)
        return numerical_gradient(loss_fn, theta, h)

    for verdict in verdicts("numerical_gradient", asks_again):
        assert verdict.right == right
        assert verdict.mistakes == (() if right else ("too-many-calls",))
        assert verdict.points == (4 if right else 3)


def test_nudging_the_callers_own_array_is_seen_even_where_it_is_moved_back():
    def in_place(loss_fn, theta, h):
        if np.ndim(theta) == 0 or theta.dtype.kind == "i":
            return numerical_gradient(loss_fn, theta, h)
        slopes = numerical_gradient(loss_fn, theta, h)
        theta += h
        theta -= h * (1 + 1e-9)
        return slopes

    assert {(v.mistakes, v.points) for v in verdicts("numerical_gradient", in_place)} == {(("changes-its-input",), 3)}


def test_a_wrong_entry_of_a_matrix_is_named_by_its_place():
    def last_entry_off(loss_fn, theta, h):
        slopes = np.array(numerical_gradient(loss_fn, theta, h))
        if slopes.shape == (2, 3):
            slopes[1, 2] += 1
        return slopes

    assert {v.case.where for v in verdicts("numerical_gradient", last_entry_off)} == {
        "It first goes wrong at entry 1, column 2."
    }


@pytest.mark.parametrize("name", ["numerical_gradient", "stable_learning_rate", "classify_run"])
@pytest.mark.parametrize(
    "nonsense",
    [float("nan"), float("inf"), -1e300, "word", None, [[1], [2, 3]], {"a": 1}, np.ones(3), True],
    ids=["nan", "infinity", "huge", "word", "None", "ragged", "dict", "array", "True"],
)
def test_an_answer_that_makes_no_sense_still_gets_its_verdict(name, nonsense):
    assert {v.points for v in verdicts(name, lambda *inputs: nonsense)} == {0}


# stable_learning_rate


def test_no_turned_bowl_shows_its_steepest_curvature_as_an_entry():
    for seed in range(40):
        for case in draw_cases(find_exercise("stable_learning_rate"), seed):
            hessian = case.inputs["hessian"]
            curvatures = np.linalg.eigvalsh(hessian)
            assert (np.abs(hessian).max() < 0.95 * curvatures[-1]) == (case.part == "turned")
            assert np.all(curvatures[1:] / curvatures[:-1] > 1.3)


# classify_run


def test_every_word_is_right_somewhere_and_no_word_alone_earns_a_part():
    for seed in SEEDS:
        words: dict[str, set] = {}
        for case in draw_cases(find_exercise("classify_run"), seed):
            words.setdefault(case.part, set()).add(classify_run(case.inputs["losses"]))
        assert set.union(*words.values()) == {"diverging", "oscillating", "crawling", "converging"}
        assert all(len(found) >= 2 for found in words.values())


def test_cases_keep_away_from_a_tenth_where_rounding_would_decide():
    for seed in range(40):
        for case in draw_cases(find_exercise("classify_run"), seed):
            losses = case.inputs["losses"]
            fall = (losses[0] - losses[-1]) / losses[0]
            assert not 0.095 < fall < 0.105


@pytest.mark.parametrize("share", [0.22, 0.28])
def test_another_share_than_a_quarter_of_the_steps_is_noticed(share):
    def other_share(losses):
        if not np.isfinite(losses).all() or losses[-1] > losses[0]:
            return "diverging"
        if np.mean(np.diff(losses) > 0) > share:
            return "oscillating"
        return "crawling" if losses[0] - losses[-1] < losses[0] / 10 else "converging"

    assert {v.points for v in verdicts("classify_run", other_share)} == {4}


def test_the_picture_puts_the_learners_own_words_on_the_curves():
    [verdict, *_] = verdicts("classify_run", lambda losses: "fine")
    assert verdict.picture.count("fine") >= 4
