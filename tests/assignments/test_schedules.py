"""What is special about schedules: they are judged as curves, and other people's conventions are known by name."""

import math
from dataclasses import replace

import numpy as np
import pytest

from gdlab.assignments import exercises_of
from gdlab.judge.answer import Local
from gdlab.judge.judge import judge
from gdlab.judge.verdict import as_text

SCHEDULES = exercises_of("schedules")
CURVES = [name for name in SCHEDULES if name != "suggest_lr"]
SEEDS = range(4)


def verdict(name, function, seed=3):
    return judge(SCHEDULES[name], Local(function), seed)


def named(name, function):
    """The mistakes recognised, the same on every seed."""
    (mistakes,) = {verdict(name, function, seed).mistakes for seed in SEEDS}
    return mistakes


def test_a_wrong_rate_is_found_by_its_step():
    def wrong_from_step_3(step, peak_lr, total_steps, floor_lr):
        right = floor_lr + (peak_lr - floor_lr) * (1 + math.cos(math.pi * min(step / total_steps, 1))) / 2
        return right * (0.9 if step >= 3 else 1)

    assert "It first goes wrong at step 3." in as_text(verdict("cosine_decay", wrong_from_step_3))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_rate_is_found_by_its_step_where_the_curve_begins_later(seed):
    def wrong_tail(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr):
        right = SCHEDULES["wsd"].reference(step, peak_lr, warmup_steps, stable_steps, decay_steps, floor_lr)
        return right * (0.9 if step > warmup_steps + stable_steps else 1)

    found = verdict("wsd", wrong_tail, seed)
    lengths = {name: int(value) for name, value in found.case.inputs if name.endswith("_steps")}
    assert found.case.where == f"It first goes wrong at step {lengths['warmup_steps'] + lengths['stable_steps'] + 1}."


def test_a_wrong_warm_up_does_not_cost_the_points_of_what_follows():
    def cold_start(step, peak_lr, warmup_steps, total_steps, start_lr, floor_lr):
        right = SCHEDULES["warmup_cosine"].reference(step, peak_lr, warmup_steps, total_steps, start_lr, floor_lr)
        return 0.3 * right if step < warmup_steps else right

    found = verdict("warmup_cosine", cold_start)
    assert [(part.title, part.earned) for part in found.parts if not part.earned] == [("the warm-up", 0)]


def test_a_crash_without_a_warm_up_does_not_hide_a_mistake_that_the_other_curves_show():
    def never_stops_and_crashes(step, peak_lr, warmup_steps, start_lr):
        return start_lr + (peak_lr - start_lr) * step / warmup_steps

    found = verdict("linear_warmup", never_stops_and_crashes)
    assert found.mistakes == ("never-stops-rising",)
    assert "keeps growing" in found.sentences[0] and "ZeroDivisionError at step 0" in found.sentences[1]


def test_a_crash_alone_is_no_mistake_that_shows_only_where_it_crashed():
    def cannot_start_above_zero(step, peak_lr, warmup_steps, start_lr):
        if start_lr > 0:
            raise RuntimeError("I was told that it is 0")
        return peak_lr * step / warmup_steps if step < warmup_steps else peak_lr

    found = verdict("linear_warmup", cannot_start_above_zero)
    assert found.mistakes == () and "I was told that it is 0" in found.sentences[0]


def test_only_a_crash_without_a_warm_up_is_its_own_mistake():
    def crashes(step, peak_lr, warmup_steps, start_lr):
        return start_lr + (peak_lr - start_lr) * min(1, step / warmup_steps)

    assert named("linear_warmup", crashes) == ("divides-by-zero",)


def test_other_peoples_conventions_are_called_by_name():
    def nanogpt(step, peak_lr, warmup_steps, start_lr):
        return start_lr + (peak_lr - start_lr) * min(step + 1, warmup_steps + 1) / (warmup_steps + 1)

    def keras(step, base_lr, milestones, factor):
        return base_lr * factor ** sum(step > m for m in milestones)

    def t5(step, peak_lr, warmup_steps):
        return peak_lr * warmup_steps**0.5 / max(step, warmup_steps) ** 0.5

    def transformer(step, peak_lr, warmup_steps):
        t = step + 1
        return peak_lr * warmup_steps**0.5 * min(t**-0.5, t * warmup_steps**-1.5)

    for name, function, whose in [
        ("linear_warmup", nanogpt, "nanoGPT"),
        ("step_decay", keras, "Keras"),
        ("inverse_sqrt", t5, "T5"),
        ("inverse_sqrt", transformer, "Transformer"),
    ]:
        assert whose in verdict(name, function).sentences[0]


@pytest.mark.parametrize("drops_what_is_missing", [False, True])
def test_the_lowest_loss_is_recognised_whether_or_not_what_is_missing_was_dropped(drops_what_is_missing):
    def lowest(lrs, losses):
        return lrs[np.nanargmin(losses) if drops_what_is_missing else np.argmin(losses)]

    assert named("suggest_lr", lowest) == ("lowest-loss",)


def test_an_answer_that_is_right_until_a_loss_is_missing_keeps_three_quarters():
    found = verdict("suggest_lr", lambda lrs, losses: lrs[np.argmin(np.gradient(losses, np.log(lrs)))])
    assert (found.mistakes, found.points) == (("nan-wins",), 3)


def test_a_schedule_that_empties_the_list_of_milestones_loses_points():
    def uses_them_up(step, base_lr, milestones, factor):
        while milestones and step >= milestones[0]:
            milestones.pop(0)
            base_lr *= factor
        return base_lr

    assert verdict("step_decay", uses_them_up).points == 0


def test_a_schedule_that_adds_to_the_callers_milestones_keeps_its_points_for_the_curve():
    def works_on_the_callers_list(step, base_lr, milestones, factor):
        milestones.append(math.inf)
        return base_lr * factor ** sum(step >= m for m in milestones)

    found = verdict("step_decay", works_on_the_callers_list)
    assert (found.points, found.mistakes) == (2, ("changes-its-input",))


@pytest.mark.parametrize("name", CURVES)
def test_the_picture_shows_the_learners_curve_beside_the_right_one(name):
    exercise = SCHEDULES[name]
    right = verdict(name, exercise.reference).picture
    wrong = verdict(name, lambda step, *fixed: 0.8 * exercise.reference(step, *fixed)).picture
    assert "yours" in right and "right" in right and right != wrong


@pytest.mark.parametrize("value", [None, "fast", float("nan"), -1.0, [1.0, 2.0]], ids=str)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_picture_of_nonsense_does_no_harm(name, value):
    found = verdict(name, lambda *inputs: value)
    assert found.points == 0 and ("<svg" in found.picture or found.picture == "")


def test_a_schedule_that_changes_its_inputs_does_not_spoil_the_next_picture():
    def empties(step, base_lr, milestones, factor):
        milestones.clear()
        return base_lr

    before = verdict("step_decay", SCHEDULES["step_decay"].reference).picture
    verdict("step_decay", empties)
    assert verdict("step_decay", SCHEDULES["step_decay"].reference).picture == before


def test_the_picture_of_a_range_test_marks_the_learners_rate():
    exercise = SCHEDULES["suggest_lr"]
    assert "yours" in verdict("suggest_lr", exercise.reference).picture
    assert "yours" not in verdict("suggest_lr", lambda lrs, losses: 0.0).picture


@pytest.mark.parametrize("name", CURVES)
def test_every_curve_moves_somewhere_in_every_part(name):
    """Without that, a constant would earn points."""
    exercise = replace(SCHEDULES[name], picture=None)
    for constant in ("peak_lr", "base_lr", "floor_lr", "start_lr"):

        def lazy(*inputs, constant=constant):
            names = list(exercise.cases(np.random.default_rng(0))[0].inputs)
            return dict(zip(names, inputs, strict=True)).get(constant, 0.0)

        assert all(judge(exercise, Local(lazy), seed).points == 0 for seed in SEEDS)
