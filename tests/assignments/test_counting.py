"""Counting: exactly right or not right at all, and a refusal that counts as an answer."""

import pytest

from gdlab.assignments import exercises_of, find_exercise
from gdlab.counting import accumulation_steps, examples_seen, total_tokens, where_am_i
from gdlab.judge.answer import Local
from gdlab.judge.judge import draw_cases, judge

SEEDS = range(8)


def verdicts(name, function):
    return [judge(find_exercise(name), Local(function), seed) for seed in SEEDS]


def test_nothing_here_is_right_by_being_close():
    assert {exercise.tolerance for exercise in exercises_of("counting").values()} == {0}


def test_a_float_that_is_equal_passes_and_one_that_is_a_hair_off_does_not():
    assert all(v.right for v in verdicts("total_tokens", lambda *inputs: float(total_tokens(*inputs))))
    off = verdicts("total_tokens", lambda *inputs: total_tokens(*inputs) * (1 + 1e-12))
    assert {v.points for v in off} == {0}


def test_one_token_too_many_is_wrong_however_many_there_are():
    off_by_one = verdicts("total_tokens", lambda *inputs: total_tokens(*inputs) + (total_tokens(*inputs) > 2**31))
    assert {v.points for v in off_by_one} == {2}
    assert all(int(v.case.got) - int(v.case.expected) == 1 for v in off_by_one)


def test_the_wrong_number_of_two_is_named():
    for verdict in verdicts("where_am_i", lambda *inputs: (where_am_i(*inputs)[0], where_am_i(*inputs)[1] + 7)):
        assert verdict.case.where == "It first goes wrong at step in epoch."
    for verdict in verdicts("where_am_i", lambda *inputs: where_am_i(*inputs)[0]):
        assert verdict.case.where == "It should return 2 things: epoch, step in epoch."


def test_the_picture_shows_which_examples_a_wrong_place_leaves_out():
    [first, *_] = verdicts("where_am_i", lambda *inputs: (where_am_i(*inputs)[0], where_am_i(*inputs)[1] + 1))
    assert "4 missing" in first.picture
    [right, *_] = verdicts("where_am_i", where_am_i)
    assert "missing" not in right.picture and "Epoch 1: [0, 1, 2, 3] [4, 5, 6, 7] [8, 9]" in right.picture


NONSENSE = {
    "far away": (10**12, -5),
    "words": ("here", None),
    "one number": 3,
    "a list of lists": [[1], [2, 3]],
    "a table": {"epoch": 1},
    "nothing": None,
    "not a number": (float("nan"), float("inf")),
}


@pytest.mark.parametrize("name", ["where_am_i", "examples_seen"])
@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_an_answer_that_makes_no_sense_still_gets_its_verdict(name, nonsense):
    assert {v.points for v in verdicts(name, lambda *inputs: nonsense)} == {0}


def test_late_steps_show_what_a_single_epoch_hides():
    def right_in_the_first_epoch(step, n_examples, batch_size, drop_last):
        return step * batch_size if step * batch_size < n_examples else -1

    assert {v.points for v in verdicts("examples_seen", right_in_the_first_epoch)} == {0}
    for seed in SEEDS:
        for case in draw_cases(find_exercise("examples_seen"), seed):
            assert examples_seen(**case.inputs) > 2 * case.inputs["n_examples"]


# accumulation_steps: where ValueError is right


def asked_to_refuse(seed):
    found = []
    for case in draw_cases(find_exercise("accumulation_steps"), seed):
        global_batch, micro_batch, devices = case.inputs.values()
        if global_batch % (micro_batch * devices):
            found.append((global_batch % micro_batch == 0, global_batch % devices == 0, global_batch < micro_batch))
    return found


def test_every_way_not_to_divide_is_asked():
    for seed in SEEDS:
        ways = {(by_micro_batch, by_devices) for by_micro_batch, by_devices, _ in asked_to_refuse(seed)}
        assert {(True, False), (False, True), (False, False)} <= ways


def test_refusing_always_earns_nothing():
    def refuses(*inputs):
        raise ValueError("no")

    assert {v.points for v in verdicts("accumulation_steps", refuses)} == {0}


def test_a_refusal_of_ones_own_kind_counts_if_it_is_a_value_error():
    class DoesNotDivide(ValueError):
        pass

    def own(*inputs):
        try:
            return accumulation_steps(*inputs)
        except ValueError:
            raise DoesNotDivide from None

    def another(*inputs):
        try:
            return accumulation_steps(*inputs)
        except ValueError:
            raise RuntimeError("does not divide") from None

    assert all(v.right for v in verdicts("accumulation_steps", own))
    assert {(v.outcome, v.points) for v in verdicts("accumulation_steps", another)} == {("partly", 2)}


def test_rounding_where_a_refusal_is_due_is_shown_as_such():
    for verdict in verdicts("accumulation_steps", lambda g, m, d: g // (m * d) if g >= m * d else 1):
        assert verdict.case.where == "These inputs call for a ValueError."
        assert verdict.case.expected == "raise ValueError"
