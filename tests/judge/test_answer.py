"""What the judge hands to a function, and what it sees of the call."""

import numpy as np
import pytest

from gdlab.judge.answer import Failed, Local, Oracle, Relay, Seed, same


def test_a_generator_travels_as_its_seed():
    reply = Local(lambda rng: rng.random(3))({"rng": Seed(7)})
    assert np.array_equal(reply.value, np.random.default_rng(7).random(3))


@pytest.mark.parametrize(
    ("draw", "seen"),
    [
        (lambda rng: rng.random(), False),
        (lambda rng: np.random.random(), True),
        (lambda rng: np.random.seed(0), True),
        (lambda rng: __import__("random").random(), True),
    ],
    ids=["rng", "numpy", "numpy's seed", "python"],
)
def test_drawing_from_a_global_generator_is_seen(draw, seen):
    assert Local(draw)({"rng": Seed(7)}).global_randomness is seen


def test_a_list_of_arrays_changed_in_place_is_seen():
    def doubles(grads, limit):
        grads[0] *= 2

    assert Local(doubles)({"grads": [np.ones(2), np.ones(3)], "limit": 1.0}).changed == ("grads",)


def test_an_oracle_takes_its_arguments_by_name_and_remembers_them_in_order():
    oracle = Oracle(lambda theta, lr: theta * lr, "a rule")
    assert oracle(lr=2.0, theta=3.0) == oracle(3.0, lr=2.0) == oracle(3.0, 2.0) == 6.0
    assert oracle.queries == [[3.0, 2.0]] * 3
    for wrong in ({"eta": 2.0}, {"theta": 1.0}, {}):
        with pytest.raises(TypeError):
            oracle(3.0, **wrong)


def test_an_oracle_with_a_memory_starts_anew_for_each_call():
    def epochs():
        left = iter([[0, 1], [1, 0]])
        return lambda: next(left)

    oracle = Oracle(None, "the batches of the next epoch", make=epochs)
    first, second = oracle(), oracle()
    assert (first.tolist(), second.tolist()) == ([0, 1], [1, 0])
    assert oracle.fresh()().tolist() == [0, 1]


@pytest.mark.parametrize(
    "arguments",
    [
        (np.zeros(1), np.zeros((40_000, 1)), np.zeros((40_000, 1))),
        (np.zeros(5001), 0.0, 0.0),
        ([np.zeros((2, 2)), np.zeros(5000)], 0.0, 0.0),
        (np.zeros((1, 1, 3)), np.zeros((1, 3, 1)), np.zeros((3, 1, 1))),
    ],
    ids=["sixteen hundred million differences", "one large array", "several", "three dimensions"],
)
def test_an_oracle_takes_no_more_than_any_exercise_needs(arguments):
    """It computes in the judge's process: 12.8 GB of differences there would end the class."""
    oracle = Oracle(lambda theta, x, y: pytest.fail("it was computed"), "a slope")
    with pytest.raises(ValueError, match="5,000 numbers at a time at most, in arrays of 2 dimensions"):
        oracle(*arguments)
    assert oracle.queries == []


def test_an_oracle_remembers_only_so_much():
    oracle = Oracle(lambda theta: 0.0, "a loss")
    with pytest.raises(ValueError, match=r"asked 4,987 times already. Does a loop of yours ever end\?"):
        while True:
            oracle(np.zeros(4000))
    assert sum(array.size for [array] in oracle.queries) < 20_000_000 and oracle.fresh()(1.0) == 0.0


def test_one_function_gets_what_the_one_before_it_gave():
    relay = Relay((Local(lambda x: x + 1), Local(lambda received: received * 10)), ("once", "once"))
    assert relay({"x": 2.0}).value == 30.0


def test_an_error_on_a_curve_says_at_which_step():
    with pytest.raises(Failed, match="ZeroDivisionError at step 0") as failed:
        Local(lambda step, lr: lr / step)({"step": np.arange(3), "lr": 1.0}, "every_step")
    assert failed.value.error == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        ([np.ones(2), None], [np.ones(2), None], True),
        ([np.ones(2)], [np.zeros(2)], False),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"b": 1}, False),
        ([1], [1, 2], False),
        (np.array(["x"]), np.array(["x"]), True),
    ],
)
def test_plain_values_are_compared_to_the_bit(first, second, alike):
    assert same(first, second) is alike
