"""Every exercise proves itself on a few seeds: every mistake is caught by name, every right answer welcomed.

`gdlab audit` asks the same and more, on many seeds.
"""

from dataclasses import replace

import numpy as np
import pytest

from gdlab.assignments import assignments, exercises_of, find_exercise
from gdlab.judge.answer import Local
from gdlab.judge.exercise import Exercise
from gdlab.judge.judge import draw_cases, judge

SEEDS = range(6)
EXERCISES = [exercise for assignment in assignments() for exercise in exercises_of(assignment).values()]
MISTAKES = [pytest.param(e, m, id=f"{e.name}-{m.name}") for e in EXERCISES for m in e.mistakes]
RIGHT = [pytest.param(e, a.function, id=f"{e.name}-{a.style}") for e in EXERCISES for a in e.alternatives]
RIGHT += [pytest.param(e, e.reference, id=f"{e.name}-reference") for e in EXERCISES]
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)


def verdict(exercise: Exercise, functions, seed: int):
    functions = functions if isinstance(functions, tuple) else (functions,)
    return judge(exercise, [Local(function) for function in functions], seed)


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_every_mistake_loses_points_and_is_called_by_its_own_name(exercise, mistake):
    for seed in SEEDS:
        found = verdict(exercise, mistake.function, seed)
        assert found.mistakes == (mistake.name,)
        assert found.sentences == (mistake.sentence,)
        assert found.points < found.max_points


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_every_mistake_stands_well_clear_of_the_tolerance(exercise, mistake):
    blunt = replace(exercise, tolerance=20 * exercise.tolerance)
    assert not any(verdict(blunt, mistake.function, seed).right for seed in SEEDS)


@pytest.mark.parametrize(("exercise", "function"), RIGHT)
def test_every_right_answer_gets_all_points(exercise, function):
    for seed in SEEDS:
        found = verdict(exercise, function, seed)
        assert found.right and found.points == exercise.points, found


@each_exercise
@pytest.mark.parametrize(
    "lazy",
    [
        lambda *inputs: inputs[0],
        lambda *inputs: inputs[-1],
        lambda *inputs: None,
        lambda *inputs: np.nan,
        lambda *inputs: 0,
        lambda *inputs: 1.0,
        lambda *inputs: True,
        lambda *inputs: "converging",
        lambda *inputs: (0, 0),
        lambda *inputs: [],
        lambda *inputs: np.ones(np.shape(inputs[0])) * 1.5,
    ],
    ids=[
        "first input",
        "last input",
        "None",
        "NaN",
        "zero",
        "one",
        "True",
        "a word",
        "two zeros",
        "empty",
        "right shape",
    ],
)
def test_lazy_answers_earn_nothing(exercise, lazy):
    functions = (lazy,) * len(exercise.function_names)
    assert all(verdict(exercise, functions, seed).points == 0 for seed in SEEDS)


@each_exercise
def test_learning_the_public_cases_by_heart_does_not_earn_all_points(exercise):
    first, second = ([str(case.inputs) for case in draw_cases(exercise, seed)] for seed in (1, 2))
    shared = set(first) & set(second)
    assert len(shared) < len(set(second)) / 2


@each_exercise
def test_an_exercise_has_at_least_four_other_right_answers_and_says_what_to_notice(exercise):
    assert len(exercise.alternatives) >= 4
    assert len({a.style for a in exercise.alternatives}) == len(exercise.alternatives)
    assert exercise.notice.startswith("Notice") and exercise.version >= 1


@each_exercise
def test_an_untouched_stub_earns_nothing_and_a_kind_sentence(exercise):
    def stub(*inputs):
        raise NotImplementedError

    found = verdict(exercise, (stub,) * len(exercise.function_names), 1)
    assert (found.points, found.outcome) == (0, "untouched") and "Nothing here yet" in found.sentences[0]


def test_an_exercise_is_found_by_its_functions_name_and_a_near_miss_is_answered():
    assert find_exercise("descend").name == "descend"
    with pytest.raises(LookupError, match="did you mean 'descend'"):
        find_exercise("decsend")
    with pytest.raises(LookupError, match="There is no assignment 'nope'"):
        exercises_of("nope")
