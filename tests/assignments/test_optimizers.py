"""What is special about optimizers: several steps in a row, state in and out, and other people's conventions."""

import numpy as np
import pytest

from gdlab.assignments import exercises_of
from gdlab.judge.answer import Local
from gdlab.judge.judge import draw_cases, judge
from gdlab.judge.protocols import several_steps
from gdlab.judge.verdict import as_text

OPTIMIZERS = exercises_of("optimizers")
SEEDS = range(4)
each_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def verdict(name, function, seed=3):
    return judge(OPTIMIZERS[name], Local(function), seed)


def earned(found):
    return {part.title: part.earned for part in found.parts}


# ------------------------------------------------------------------ several steps


def momentum(theta, grad, velocity, lr, momentum):
    velocity = momentum * velocity + grad
    return theta - lr * velocity, velocity


def ask(function, theta=2.0, velocity=1.0, grads=(3.0, 5.0, 7.0)):
    inputs = {"theta": theta, "grads": np.array(grads), "velocity": velocity, "lr": 0.5, "momentum": 0.5}
    return several_steps(function, inputs)


def test_each_step_begins_where_the_one_before_ended():
    assert ask(momentum) == {
        "step 0": {"theta": 0.25, "velocity": 3.5},
        "step 1": {"theta": -3.125, "velocity": 6.75},
        "step 2": {"theta": -8.3125, "velocity": 10.375},
    }


def test_steps_count_from_the_one_that_the_case_begins_with():
    def counting(theta, grad, m, step, lr):
        return theta, step

    inputs = {"theta": 0.0, "grads": np.ones(2), "m": 0.0, "step": 5, "lr": 0.1}
    assert [(name, now["m"]) for name, now in several_steps(counting, inputs).items()] == [("step 5", 5), ("step 6", 6)]


def test_a_report_keeps_each_step_although_the_next_one_writes_into_it():
    def in_place(theta, grad, velocity, lr, momentum):
        velocity *= momentum
        velocity += grad
        theta -= lr * velocity
        return theta, velocity

    start = {"theta": np.array([2.0]), "velocity": np.array([1.0]), "grads": [[3.0], [5.0], [7.0]]}
    assert [now["theta"].tolist() for now in ask(in_place, **start).values()] == [[0.25], [-3.125], [-8.3125]]


@pytest.mark.parametrize("pack", [tuple, list, np.stack], ids=["tuple", "list", "one array"])
@pytest.mark.parametrize("theta", [2.0, np.array([2.0, 3.0, 4.0]), np.ones((3, 2))], ids=["number", "vector", "matrix"])
def test_theta_and_state_may_come_in_a_tuple_a_list_or_one_array(pack, theta):
    start = {"theta": theta, "velocity": 0.5 * theta, "grads": [3 * theta, 5 * theta]}
    packed = ask(lambda *inputs: pack(momentum(*inputs)), **start)
    for step, right in ask(momentum, **start).items():
        assert all(np.array_equal(packed[step][part], right[part]) for part in ("theta", "velocity"))


def test_what_cannot_be_carried_on_is_reported_and_the_next_step_begins_where_this_one_did():
    seen = []

    def forgets_one(theta, grad, velocity, lr, momentum):
        seen.append((theta, velocity))
        return theta - lr * grad, None

    assert [now["velocity"] for now in ask(forgets_one).values()] == [None] * 3
    assert seen == [(2.0, 1.0), (0.5, 1.0), (-2.0, 1.0)]
    assert ask(lambda theta, *rest: theta) == {"step 0": 2.0, "step 1": 2.0, "step 2": 2.0}


def test_two_parameters_alone_are_not_taken_for_a_theta_and_a_velocity():
    start = {"theta": np.array([2.0, 3.0]), "velocity": np.zeros(2), "grads": np.ones((1, 2))}
    assert isinstance(ask(lambda theta, *rest: theta, **start)["step 0"], np.ndarray)


def test_an_error_names_the_step_at_which_it_came():
    def fails_at_5(theta, grad, velocity, lr, momentum):
        return momentum_or_fail(theta, grad, velocity, lr, momentum)

    def momentum_or_fail(theta, grad, *rest):
        return momentum(theta, {3.0: grad}[grad], *rest)

    with pytest.raises(KeyError) as raised:
        ask(fails_at_5)
    assert raised.value.__notes__ == ["at step 1"]


# ------------------------------------------------------------------------ places


def test_the_first_wrong_step_is_named_with_the_part_of_the_state():
    adam = OPTIMIZERS["adam_step"].reference

    def v_forgets_from_step_2_on(theta, grad, m, v, step, *rates):
        theta, m, v = adam(theta, grad, m, v, step, *rates)
        return theta, m, v * (0.5 if step == 2 and np.shape(theta) == (4,) else 1)

    found = verdict("adam_step", v_forgets_from_step_2_on)
    assert found.mistakes == () and "It first goes wrong at step 2, v, entry 0." in as_text(found)


@each_optimizer
def test_a_case_that_goes_wrong_begins_with_theta_and_shows_every_gradient(name):
    found = verdict(name, lambda theta, grad, *rest: (theta, *rest))
    assert [input_name for input_name, _ in found.case.inputs][:2] == ["theta", "grads"]


@each_optimizer
def test_a_state_that_was_not_returned_is_asked_for_by_name(name):
    found = verdict(name, lambda *inputs: OPTIMIZERS[name].reference(*inputs)[0])
    assert found.mistakes == ("returns-only-theta",)
    assert "theta, " in found.case.where and "are expected" in found.case.where


@each_optimizer
def test_writing_into_the_callers_arrays_costs_half_a_point_and_is_named(name):
    def in_place(theta, *rest):
        moved, *state = OPTIMIZERS[name].reference(theta, *rest)
        if isinstance(theta, np.ndarray):
            theta[...] = moved
        return moved, *state

    found = verdict(name, in_place)
    assert (found.points, found.mistakes) == (found.max_points - 0.5, ("changes-its-input",))


@each_optimizer
def test_a_state_kept_in_the_function_instead_of_handed_out_is_no_answer(name):
    reference, kept = OPTIMIZERS[name].reference, {}

    def remembers(theta, grad, *rest):
        parts = {"adam_step": 2, "adamw_step": 2}.get(name, 1)
        state = [kept.get(i, np.zeros_like(theta)) for i in range(parts)]
        if any(np.shape(part) != np.shape(theta) for part in state):
            state = [np.zeros_like(theta)] * parts
        theta, *state = reference(theta, grad, *state, *rest[parts:])
        kept.update(enumerate(state))
        return theta, *state

    assert verdict(name, remembers).points < verdict(name, reference).points


@each_optimizer
def test_the_picture_shows_both_paths(name):
    found = verdict(name, OPTIMIZERS[name].reference)
    assert found.picture.startswith("<svg") and "right" in found.picture and "yours" in found.picture


@each_optimizer
def test_the_picture_ends_where_a_path_has_no_place(name):
    def loses_a_coordinate(theta, *rest):
        moved, *state = OPTIMIZERS[name].reference(theta, *rest)
        return (moved[:1], *state) if np.size(theta) == 2 else (moved, *state)

    assert verdict(name, loses_a_coordinate).picture.startswith("<svg")


# ------------------------------------------------------------------- conventions


def keras_momentum(theta, grad, velocity, lr, momentum):
    velocity = momentum * velocity - lr * grad
    return theta + velocity, velocity


def cs231n_nesterov(theta, grad, velocity, lr, momentum):
    before = velocity
    velocity = momentum * velocity - lr * grad
    return theta + (-momentum * before + (1 + momentum) * velocity), velocity


def keras_rmsprop(theta, grad, square_avg, lr, decay=0.99, eps=1e-8):
    square_avg = decay * square_avg + (1 - decay) * grad * grad
    return theta - lr * grad * (square_avg + eps) ** -0.5, square_avg


def keras_adam(theta, grad, m, v, step, lr, beta1, beta2, eps):
    rate = lr * np.sqrt(1 - beta2 ** (step + 1)) / (1 - beta1 ** (step + 1))
    m, v = m + (grad - m) * (1 - beta1), v + (grad * grad - v) * (1 - beta2)
    return theta - rate * m / (v**0.5 + eps), m, v


def torch_adam_with_decay(theta, grad, m, v, step, lr, beta1, beta2, eps, weight_decay):
    grad = grad + weight_decay * theta
    m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad * grad
    return (
        theta - lr * (m / (1 - beta1 ** (step + 1))) / (np.sqrt(v / (1 - beta2 ** (step + 1))) + eps),
        m,
        v,
    )


@pytest.mark.parametrize(
    ("name", "function", "whose"),
    [
        ("momentum_step", keras_momentum, "Keras"),
        ("nesterov_step", cs231n_nesterov, "CS231n"),
        ("rmsprop_step", keras_rmsprop, "Keras"),
        ("adam_step", keras_adam, "Keras"),
        ("adamw_step", torch_adam_with_decay, "torch's Adam"),
    ],
    ids=["momentum", "nesterov", "rmsprop", "adam", "adamw"],
)
def test_another_convention_is_recognised_and_told_whose_it_is(name, function, whose):
    for seed in SEEDS:
        found = verdict(name, function, seed)
        assert len(found.sentences) == 1 and whose in found.sentences[0]


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("momentum_step", momentum, keras_momentum),
        ("nesterov_step", OPTIMIZERS["nesterov_step"].reference, cs231n_nesterov),
    ],
    ids=["momentum", "nesterov"],
)
def test_a_velocity_that_holds_the_rate_gives_the_same_thetas_from_rest(name, ours, theirs):
    """So the state has to be compared, or the two could not be told apart."""
    for step, right in ask(ours, velocity=0.0).items():
        other = ask(theirs, velocity=0.0)[step]
        assert other["theta"] == pytest.approx(right["theta"]) and other["velocity"] != pytest.approx(right["velocity"])


@pytest.mark.parametrize(("name", "function"), [("rmsprop_step", keras_rmsprop), ("adam_step", keras_adam)])
def test_the_place_of_eps_costs_only_what_tiny_gradients_are_worth(name, function):
    for seed in SEEDS:
        lost = [title for title, points in earned(verdict(name, function, seed)).items() if not points]
        assert lost == ["gradients so small that eps counts", "the caller's arrays stay as they were"]


def test_adam_without_correction_is_right_late_in_training():
    def uncorrected(theta, grad, m, v, step, lr, beta1, beta2, eps):
        m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad**2
        return theta - lr * m / (np.sqrt(v) + eps), m, v

    found = verdict("adam_step", uncorrected)
    assert found.mistakes == ("no-correction",)
    assert [title for title, points in earned(found).items() if points] == [
        "steps so late that nothing is left to correct"
    ]


def test_a_wrong_decay_leaves_the_points_for_adam():
    found = verdict("adamw_step", torch_adam_with_decay)
    assert (found.mistakes, found.points) == (("l2-in-gradient",), 1.5)


@pytest.mark.parametrize("seed", range(20))
def test_lions_gradients_tell_which_memory_was_blended_at_every_step(seed):
    for case in draw_cases(OPTIMIZERS["lion_step"], seed):
        inputs = dict(case.inputs)
        m, beta1, beta2 = inputs["m"], inputs["beta1"], inputs["beta2"]
        if np.ndim(m) == 0 or not np.any(m):
            continue
        for grad in inputs["grads"]:
            moved = beta2 * m + (1 - beta2) * grad
            blend, blend_of_moved = beta1 * m + (1 - beta1) * grad, beta1 * moved + (1 - beta1) * grad
            signs = [np.sign(x).ravel().tolist() for x in (blend, moved, blend_of_moved, grad, m)]
            assert all(signs[i] != signs[j] for i in range(5) for j in range(i))
            assert np.all(np.abs(blend) > 0.01 * np.abs(m))  # float32 sees the same signs
            m = moved
