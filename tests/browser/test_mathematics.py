"""The figures' own mathematics, run in the browser, against gdlab: every objective, rule and schedule, and chance."""

import itertools

import numpy as np
import pytest

from gdlab import objectives, rules, schedules
from gdlab.batching import epoch_batches
from gdlab.figures.base import LIBRARY, packed
from gdlab.figures.contest import of_a_row
from gdlab.figures.noise import Seeded

pytestmark = pytest.mark.system

LINES, PLANES = ("bowl", "double_well"), ("ravine", "saddle", "rosenbrock", "beale", "himmelblau")

RULES = {
    "gradient_descent": [{}],
    "momentum": [{}, {"momentum": 0.7}],
    "nesterov": [{}, {"momentum": 0.6}],
    "adagrad": [{}, {"eps": 1e-3}],
    "rmsprop": [{}, {"decay": 0.9, "eps": 1e-3}],
    "adam": [{}, {"beta1": 0.5, "beta2": 0.7, "eps": 1e-2}],
    "adamw": [{}, {"beta1": 0.8, "beta2": 0.9, "eps": 1e-3, "weight_decay": 0.2}],
    "lion": [{}, {"beta1": 0.6, "beta2": 0.8, "weight_decay": 0.1}],
    "muon": [{}, {"momentum": 0.6, "weight_decay": 0.3}],
    "schedule_free_sgd": [{}, {"beta": 0.6}],
    "schedule_free_adamw": [{}, {"beta1": 0.6, "beta2": 0.8, "eps": 1e-2}],
}

SCHEDULES = {
    "constant": [{"base_lr": 0.3}],
    "linear_warmup": [{"peak_lr": 0.7, "warmup_steps": 13, "start_lr": 0.05}, {"peak_lr": 0.7, "warmup_steps": 0}],
    "cosine_decay": [{"peak_lr": 0.7, "total_steps": 37, "floor_lr": 0.03}, {"peak_lr": 0.7, "total_steps": 0}],
    "linear_decay": [{"peak_lr": 0.7, "total_steps": 37, "floor_lr": 0.03}],
    "polynomial_decay": [{"peak_lr": 0.7, "total_steps": 37, "power": 1.7, "floor_lr": 0.03}],
    "warmup_cosine": [
        {"peak_lr": 0.7, "warmup_steps": 9, "total_steps": 41, "start_lr": 0.01, "floor_lr": 0.07},
        {"peak_lr": 0.7, "warmup_steps": 9, "total_steps": 9, "floor_lr": 0.07},
        {"peak_lr": 3e-4, "warmup_steps": 0, "total_steps": 30},
    ],
    "wsd": [{"peak_lr": 0.7, "warmup_steps": 9, "stable_steps": 11, "decay_steps": 13, "floor_lr": 0.07}],
    "one_cycle": [
        {"peak_lr": 0.7, "total_steps": 37},
        {"peak_lr": 0.7, "total_steps": 37, "warmup_fraction": 0.45, "start_divisor": 7, "end_divisor": 30},
    ],
    "step_decay": [{"base_lr": 0.7, "milestones": [0, 7, 7, 20], "factor": 0.3}],
    "exponential_decay": [{"base_lr": 0.7, "factor": 0.3, "every": 11}, {"base_lr": 0.7, "factor": 0.9}],
    "inverse_time": [{"base_lr": 0.7, "decay": 0.13}],
    "inverse_sqrt": [{"peak_lr": 0.7, "warmup_steps": 9}],
    "cyclic": [
        {"peak_lr": 0.7, "up_steps": 5, "floor_lr": 0.07},
        {"peak_lr": 0.7, "up_steps": 5, "down_steps": 3, "floor_lr": 0.07, "shrink": 0.6},
        {"peak_lr": 0.7, "up_steps": 5, "down_steps": None},
    ],
    "cosine_restarts": [
        {"peak_lr": 0.7, "first_cycle": 7, "floor_lr": 0.07},
        {"peak_lr": 0.7, "first_cycle": 5, "growth": 2},
    ],
}


@pytest.fixture
def run(page):
    """Run one line of JavaScript that knows the library: `run("bowl.loss(x)", x=2)`."""
    page.add_script_tag(content="\n".join(map(packed, LIBRARY)))

    def run(line, **names):
        return page.evaluate(f"({{ {', '.join(names)} }}) => {line}", names)

    return run


def close(found, expected):
    assert np.asarray(found, dtype=float) == pytest.approx(np.asarray(expected, dtype=float), rel=1e-9, abs=1e-9)


# Objectives


@pytest.mark.parametrize("name", LINES + PLANES)
def test_an_objective_has_gdlabs_losses_slopes_and_points(run, name):
    right = getattr(objectives, name)
    points = np.random.default_rng(0).uniform(-4, 4, (200,) if name in LINES else (200, 2))
    close(run("points.map(objectives[name].loss)", points=points.tolist(), name=name), right.loss(points))
    close(run("points.map(objectives[name].grad)", points=points.tolist(), name=name), right.grad(points))
    close(run("objectives[name].start", name=name), right.start)
    close(run("[objectives[name].minimum, ...(objectives[name].others || [])]", name=name), right.minima)
    flat = run("objectives[name].flat || null", name=name)
    assert flat is None or flat == [point if name in LINES else list(point) for point in right.flat_points]


def test_every_objective_is_held_against_gdlab(run):
    assert set(run("Object.keys(objectives)")) == set(LINES + PLANES)


# Rules


def trajectory(rule, grad, theta, lr, steps):
    theta = np.asarray(theta, dtype=float)
    path, state = [theta], rule.init(theta)
    states = [state]
    for step in range(steps):
        theta, state = rule.step(theta, grad(theta), state, step, lr(step) if callable(lr) else lr)
        path.append(theta)
        states.append(state)
    return np.array(path), states


@pytest.mark.parametrize(
    ("name", "settings"), [(name, settings) for name, sets in RULES.items() for settings in sets], ids=str
)
@pytest.mark.parametrize("surface", ["ravine", "saddle"])
def test_a_rule_walks_and_remembers_as_gdlabs_does(run, name, settings, surface):
    right = getattr(objectives, surface)
    theta, lr = [-2.0, 0.7], 0.05
    rule = getattr(rules, name)(**settings)
    path, states = trajectory(of_a_row(rule) if name == "muon" else rule, right.grad, theta, lr, 60)
    walked = run(
        "walk(rules[name](settings), objectives[surface].grad, theta, lr, 60)",
        name=name,
        settings=settings,
        surface=surface,
        theta=theta,
        lr=lr,
    )
    close(walked["thetas"], path)
    for found, expected in zip(walked["states"], states, strict=True):
        close(found, expected)
    if name.startswith("schedule_free"):
        beta = settings.get("beta", settings.get("beta1", 0.9))
        path = [rules.schedule_free_average(theta, state, lr, beta) for theta, state in zip(path, states, strict=True)]
    close(walked["path"], path)


def test_every_rule_is_held_against_gdlab(run):
    assert set(run("Object.keys(rules)")) == set(RULES)
    for name in RULES:
        assert tuple(run("rules[name]().remembers", name=name)) == getattr(rules, name)().state_names


@pytest.mark.parametrize("lr", [0.02, 0.5, 0.97, 1.05])
def test_descent_is_gdlabs(run, lr):
    close(run("descend(bowl.grad, -2, lr, 40)", lr=lr), rules.descend(objectives.bowl.grad, -2.0, lr, 40))
    close(run("descend(bowl.grad, -2, lr, 9, 1)", lr=lr), rules.descend(objectives.bowl.grad, -2.0, -lr, 9))


# Schedules


@pytest.mark.parametrize(
    ("name", "settings"), [(name, settings) for name, sets in SCHEDULES.items() for settings in sets], ids=str
)
def test_a_schedule_is_gdlabs(run, name, settings):
    steps = [*range(60), 0.5, 8.75, 1000]
    found = run("steps.map((step) => schedules[name](step, settings))", name=name, settings=settings, steps=steps)
    close(found, getattr(schedules, name)(np.array(steps), **settings))


def test_every_schedule_is_held_against_gdlab(run):
    assert set(run("Object.keys(schedules)")) == set(SCHEDULES)


# Chance


@pytest.mark.parametrize("seed", [0, 1, 7, 2**31, 2**32 - 1])
def test_chance_is_the_same_in_both_languages(run, seed):
    chance = Seeded(seed)
    assert run("Array.from({ length: 100 }, seeded(seed).uniform)", seed=seed) == [chance.random() for _ in range(100)]
    chance = Seeded(seed)
    close(
        run("Array.from({ length: 100 }, seeded(seed).normal)", seed=seed),
        [chance.standard_normal() for _ in range(100)],
    )


@pytest.mark.parametrize("drop_last", [False, True])
def test_batches_are_gdlabs(run, drop_last):
    found = run("((r) => [1, 2, 3].map(() => epochBatches(10, 4, r, dropLast)))(seeded(5))", dropLast=drop_last)
    chance = Seeded(5)
    assert found == [epoch_batches(10, 4, chance, drop_last) for _ in range(3)]


def test_chance_is_even():
    chance = Seeded(11)
    normal = np.array([chance.standard_normal() for _ in range(20_000)])
    assert abs(normal.mean()) < 0.03 and abs(normal.std() - 1) < 0.03
    orders = [tuple(chance.permutation(3)) for _ in range(6_000)]
    for order in itertools.permutations(range(3)):
        assert 900 < orders.count(order) < 1_100
