"""Every exercise proves itself: the audit of `gdlab audit`, in a few rounds, and what an exercise must bring along."""

from dataclasses import replace

import msgspec
import pytest

from gdlab.assignments import assignments, exercises_of, find_exercise
from gdlab.audit.audit import audit, verdict_of
from gdlab.audit.solutions import solution_of
from gdlab.grading.inside import wire
from gdlab.grading.walled_box import as_sent
from gdlab.judge.judge import draw_cases

ROUNDS = 4
EVERY = [
    pytest.param(assignment, exercise, id=exercise.name)
    for assignment in assignments()
    for exercise in exercises_of(assignment).values()
]
each_exercise = pytest.mark.parametrize(("assignment", "exercise"), EVERY)


@each_exercise
def test_known_answers_are_judged_as_they_should_be(assignment, exercise, root):
    """Mistakes by their own names, other right answers welcomed, lazy ones and mutants refused."""
    solution = solution_of(exercise, root / "solutions" / assignment / f"{assignment}.ipynb")
    audited = audit(assignment, exercise, solution, ROUNDS)
    assert audited.misses == ()
    assert audited.named == audited.mistakes >= 5 and audited.killed >= 2


@each_exercise
def test_every_mistake_stands_well_clear_of_the_tolerance(assignment, exercise):
    blunt = replace(exercise, tolerance=20 * exercise.tolerance, picture=None)
    for mistake in exercise.mistakes:
        assert not verdict_of(blunt, mistake.function, seed=1000).right, mistake.name


@each_exercise
def test_fresh_cases_are_other_cases(assignment, exercise):
    first, second = ({str(case.inputs) for case in draw_cases(exercise, seed)} for seed in (1, 2))
    assert len(first & second) < len(second) / 2


@each_exercise
def test_its_inputs_travel_to_a_box_and_its_picture_can_be_drawn(assignment, exercise):
    for case in draw_cases(exercise, seed=1):
        assert msgspec.msgpack.encode(wire.Call(as_sent(case.inputs)), enc_hook=wire.encode_special)
    if exercise.picture:
        assert exercise.picture(exercise.local(exercise.reference)).startswith("<svg")


@each_exercise
def test_an_exercise_has_at_least_four_other_right_answers_and_says_what_to_notice(assignment, exercise):
    styles = [alternative.style for alternative in exercise.alternatives]
    assert len(set(styles)) == len(styles) >= 4
    assert exercise.notice.startswith("Notice") and exercise.version >= 1


@each_exercise
def test_an_untouched_stub_earns_nothing_and_a_kind_sentence(assignment, exercise):
    def stub(*inputs):
        raise NotImplementedError

    found = verdict_of(exercise, (stub,) * len(exercise.function_names), seed=1)
    assert (found.points, found.outcome) == (0, "untouched") and found.sentences[0].startswith("Nothing here yet")


def test_the_course_knows_more_than_150_mistakes_each_with_a_sentence():
    mistakes = [mistake for p in EVERY for mistake in p.values[1].mistakes]
    assert len(mistakes) >= 150
    assert all(mistake.sentence.rstrip().endswith((".", "?", ")")) for mistake in mistakes)


def test_an_exercise_is_found_by_its_name_and_a_near_miss_is_answered():
    assert find_exercise("descend").name == "descend"
    with pytest.raises(LookupError, match="did you mean 'descend'"):
        find_exercise("decsend")
    with pytest.raises(LookupError, match="There is no assignment 'nope'"):
        exercises_of("nope")
