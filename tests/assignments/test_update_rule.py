"""The first assignment proves itself: every mistake is caught by name, every right answer welcomed."""

import numpy as np
import pytest

from gdlab.assignments import ASSIGNMENTS, exercises_of, find_exercise
from gdlab.assignments.update_rule import EXERCISES
from gdlab.judge.answer import Local, fresh
from gdlab.judge.judge import draw_cases, judge

SEEDS = range(40)
MISTAKES = [(exercise, mistake) for exercise in EXERCISES for mistake in exercise.mistakes]
RIGHT = [(e, a.style, a.function) for e in EXERCISES for a in e.alternatives] + [
    (e, "reference", e.reference) for e in EXERCISES
]


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES, ids=lambda x: x.name)
def test_every_mistake_loses_points_and_is_called_by_its_own_name(exercise, mistake):
    for seed in SEEDS:
        verdict = judge(exercise, Local(mistake.function), seed)
        assert verdict.mistakes == (mistake.name,)
        assert verdict.sentences == (mistake.sentence,)
        assert verdict.points < verdict.max_points


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES, ids=lambda x: x.name)
def test_every_mistake_stands_well_clear_of_the_tolerance(exercise, mistake):
    assert min(largest_error(exercise, mistake.function, seed) for seed in range(200)) > 50 * exercise.tolerance


def largest_error(exercise, function, seed) -> float:
    """The largest error over the cases of a seed, relative to the right answer's largest entry; a wrong shape is infinite."""
    errors = []
    for case in draw_cases(exercise, seed):
        right = np.asarray(exercise.reference(*fresh(case.inputs).values()))
        wrong = np.asarray(function(*fresh(case.inputs).values()))
        errors.append(np.max(np.abs(right - wrong)) / np.max(np.abs(right)) if right.shape == wrong.shape else np.inf)
    return max(errors)


@pytest.mark.parametrize(("exercise", "style", "function"), RIGHT, ids=lambda x: x if isinstance(x, str) else "")
def test_every_right_answer_gets_all_points(exercise, style, function):
    for seed in SEEDS:
        verdict = judge(exercise, Local(function), seed)
        assert verdict.right and verdict.points == exercise.points, verdict


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
@pytest.mark.parametrize(
    "lazy",
    [
        lambda *inputs: inputs[0],
        lambda *inputs: inputs[1],
        lambda *inputs: None,
        lambda *inputs: np.nan,
        lambda *inputs: np.zeros_like(inputs[1]),
        lambda *inputs: np.ones(np.shape(inputs[1])) * 1.5,
    ],
    ids=["first input", "second input", "None", "NaN", "zeros", "right shape"],
)
def test_lazy_answers_earn_nothing(exercise, lazy):
    assert all(judge(exercise, Local(lazy), seed).points == 0 for seed in SEEDS)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_learning_the_public_cases_by_heart_earns_nothing_on_others(exercise):
    public = {str(case.inputs): exercise.reference(*case.inputs.values()) for case in draw_cases(exercise, seed=1)}

    def by_heart(*inputs):
        return next((value for key, value in public.items() if all(str(i) in key for i in inputs)), 0.0)

    assert judge(exercise, Local(by_heart), seed=2).points == 0


def test_an_exercise_is_found_by_its_functions_name_and_a_near_miss_is_answered():
    assert find_exercise("descend").name == "descend"
    with pytest.raises(LookupError, match="did you mean 'descend'"):
        find_exercise("decsend")
    with pytest.raises(LookupError, match="There is no assignment 'nope'"):
        exercises_of("nope")


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_every_exercise_offers_at_least_four_other_right_answers(assignment):
    assert all(len(exercise.alternatives) >= 4 for exercise in exercises_of(assignment).values())
