"""The judge's verdicts: points, the first thing that is wrong, and how they read."""

import dataclasses

import numpy as np
import pytest
from msgspec.structs import replace

from gdlab.assignments import find_exercise
from gdlab.judge.answer import Failed, Local
from gdlab.judge.exercise import Case, Exercise, Mistake, Part
from gdlab.judge.judge import draw_cases, judge
from gdlab.judge.verdict import as_html, as_text, verdicts_in

GRADIENT_STEP, DESCEND = find_exercise("gradient_step"), find_exercise("descend")


def verdict(exercise, function, seed=3):
    return judge(exercise, Local(function), seed)


def test_right_is_one_line_the_points_and_what_to_notice():
    right = verdict(GRADIENT_STEP, lambda theta, grad, lr: theta - lr * grad)
    assert right.right and repr(right) == "3"
    assert as_text(right).splitlines() == ["gradient_step: Right: 3 of 3 points", GRADIENT_STEP.notice]


def test_a_named_mistake_shows_its_sentence_and_the_failing_case():
    wrong = verdict(GRADIENT_STEP, lambda theta, grad, lr: theta + lr * grad)
    assert wrong.mistakes == ("adds-the-gradient",) and wrong.points == 0
    assert "You moved uphill" in as_text(wrong)
    assert {name for name, _ in wrong.case.inputs} == {"theta", "grad", "lr"}
    assert wrong.case.expected != wrong.case.got


def test_an_unknown_mistake_is_shown_at_the_first_place_where_it_goes_wrong():
    def slows_down(grad_fn, theta, lr, steps):
        path = [theta]
        for k in range(steps):
            path.append(path[-1] - lr * (0.5 if k >= 2 else 1.0) * grad_fn(path[-1]))
        return path

    wrong = verdict(DESCEND, slows_down)
    assert wrong.mistakes == () and "step 3" in wrong.case.where


def test_a_second_mistake_shows_once_the_first_is_mended():
    def two_mistakes(grad_fn, theta, lr, steps, sign=+1):
        path = [theta]
        for _ in range(steps):
            path.append(path[-1] + sign * lr * grad_fn(path[-1]))
        return path[1:] if sign < 0 else path

    assert verdict(DESCEND, two_mistakes).mistakes == ("climbs",)
    assert verdict(DESCEND, lambda *inputs: two_mistakes(*inputs, sign=-1)).mistakes == ("start-not-recorded",)


def test_half_right_is_worth_half():
    mean_slope = verdict(GRADIENT_STEP, lambda theta, grad, lr: theta - lr * np.mean(grad))
    assert (mean_slope.outcome, mean_slope.points) == ("partly", 1)
    assert [(part.title, part.earned) for part in mean_slope.parts] == [
        ("one parameter", 1),
        ("an array of parameters", 0),
        ("the caller's theta stays as it was", 0),
    ]


def test_changing_the_callers_array_costs_its_share_and_is_named():
    def in_place(theta, grad, lr):
        theta -= lr * grad
        return theta

    found = verdict(GRADIENT_STEP, in_place)
    assert (found.outcome, found.points, found.mistakes) == ("partly", 2, ("changes-its-input",))


def test_asking_for_the_gradient_twice_a_step_costs_its_share():
    def wasteful(grad_fn, theta, lr, steps):
        path = [theta]
        for _ in range(steps):
            grad_fn(path[-1])
            path.append(path[-1] - lr * grad_fn(path[-1]))
        return path

    found = verdict(DESCEND, wasteful)
    assert (found.points, found.mistakes) == (4, ("gradient-more-than-once-a-step",))


def test_what_survives_from_the_first_call_is_found():
    calls = []

    def right_only_once_per_input(theta, grad, lr):
        calls.append(lr)
        return theta - lr * grad if calls.count(lr) == 1 else theta

    assert verdict(GRADIENT_STEP, right_only_once_per_input).mistakes == ("remembers-between-calls",)


def test_printing_instead_of_returning_is_named():
    assert verdict(GRADIENT_STEP, lambda theta, grad, lr: None).mistakes == ("prints-not-returns",)


def test_an_exception_is_quoted_with_the_learners_own_line():
    def misspelt(theta, grad, lr):
        return theta - lr * grda  # noqa: F821

    found = verdict(GRADIENT_STEP, misspelt)
    assert found.outcome == "raised" and "NameError" in found.sentences[0]
    assert "return theta - lr * grda" in found.line


def test_an_exception_inside_a_library_is_quoted_with_the_learners_own_line():
    def inside_numpy(theta, grad, lr):
        return np.linalg.inv(np.zeros((2, 2)))

    assert "np.linalg.inv(np.zeros((2, 2)))" in verdict(GRADIENT_STEP, inside_numpy).line


def test_an_untouched_stub_is_not_an_error():
    def stub(theta, grad, lr):
        raise NotImplementedError

    found = verdict(GRADIENT_STEP, stub)
    assert found.outcome == "untouched" and "Nothing here yet" in found.sentences[0]


def test_the_result_of_a_call_instead_of_the_function_is_explained():
    assert "check wants your function itself" in judge(GRADIENT_STEP, Local(2.5), 1).sentences[0]


@pytest.mark.parametrize("answer", [np.nan, "text", [[1], [2, 3]], {"a": 1}, 1j, object(), True])
def test_odd_answers_get_no_points_and_a_sentence(answer):
    found = verdict(GRADIENT_STEP, lambda theta, grad, lr: answer)
    assert found.points == 0 and found.sentences


def test_an_always_equal_object_is_no_answer():
    class AlwaysEqual:
        def __eq__(self, other):
            return True

    found = verdict(GRADIENT_STEP, lambda theta, grad, lr: AlwaysEqual())
    assert (found.points, found.outcome) == (0, "unreadable")


def test_the_same_seed_draws_the_same_cases_and_another_seed_others():
    first, again, other = (draw_cases(GRADIENT_STEP, seed) for seed in (5, 5, 6))
    assert [str(case.inputs) for case in first] == [str(case.inputs) for case in again]
    assert str(first[0].inputs) != str(other[0].inputs)


def test_nothing_of_the_learners_reaches_the_page_unescaped():
    def hostile(theta, grad, lr):
        raise ValueError("<script>alert(1)</script>")

    assert "<script>" not in as_html(verdict(GRADIENT_STEP, hostile))
    assert "&lt;script&gt;" in as_html(verdict(GRADIENT_STEP, hostile))


def test_a_notebook_gets_points_as_text_and_a_card_with_a_picture():
    bundle, kept = verdict(GRADIENT_STEP, lambda theta, grad, lr: theta + lr * grad)._repr_mimebundle_()
    assert bundle["text/plain"] == "0"
    assert "<svg" in bundle["text/html"] and "yours" in bundle["text/html"]


def half(whole):
    if whole % 2:
        raise ValueError(f"{whole} is odd")
    return whole // 2


HALF = Exercise(
    name="half",
    version=1,
    reference=half,
    cases=lambda rng: [
        Case("even", {"whole": int(2 * rng.integers(1, 9))}),
        Case("odd", {"whole": int(2 * rng.integers(1, 9) + 1)}),
    ],
    parts=(Part("even", "even numbers", 1), Part("odd", "an error for odd ones", 1)),
    mistakes=(Mistake("rounds-down", lambda whole: whole // 2, "Odd numbers have no half here: raise."),),
    properties=(),
    alternatives=(),
    notice="Notice nothing.",
    tolerance=0,
)


def test_an_error_can_be_the_right_answer():
    assert verdict(HALF, half).right
    rounds = verdict(HALF, lambda whole: int(whole / 2))
    assert (rounds.points, rounds.mistakes) == (1, ("rounds-down",))
    assert (rounds.case.where, rounds.case.expected) == ("These inputs call for a ValueError.", "raise ValueError")


def test_another_error_than_the_one_asked_for_is_not_right():
    def asserts(whole):
        assert whole % 2 == 0
        return whole // 2

    assert verdict(HALF, asserts).points == 1


def test_where_the_right_answer_itself_cannot_be_had_nobody_is_judged():
    def needs_what_is_not_installed(whole):
        raise ModuleNotFoundError("No module named 'torch'")

    unavailable = dataclasses.replace(HALF, name="unavailable", reference=needs_what_is_not_installed)
    with pytest.raises(Failed, match="No module named 'torch'"):
        verdict(unavailable, needs_what_is_not_installed)


def test_an_untouched_stub_is_not_shown_inputs_it_never_looked_at():
    def stub(theta, grad, lr):
        raise NotImplementedError

    assert verdict(GRADIENT_STEP, stub).case is None


def test_a_notebook_keeps_the_verdict_without_its_picture():
    wrong = verdict(GRADIENT_STEP, lambda theta, grad, lr: theta + lr * grad)
    data, metadata = wrong._repr_mimebundle_()
    [kept] = verdicts_in([{"outputs": [{"metadata": metadata}, {"metadata": {}}, {"metadata": {"gdlab": 3}}]}]).values()
    assert wrong.picture and kept == replace(wrong, picture="")
