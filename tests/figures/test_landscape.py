"""Landscape in Python: gdlab's walks between two wells, what becomes of them, a learner's own step, and paper."""

import json
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import traitlets

from gdlab import objectives, rules
from gdlab.figures import landscape
from gdlab.figures.base import MIME
from gdlab.figures.basins import (
    CONCAVE,
    FAN,
    FAR,
    OUTCOMES,
    RULES,
    escape_step,
    kicks,
    middles,
    noisy_path,
    outcome,
    outcome_map,
)
from gdlab.figures.noise import Seeded
from gdlab.rules import descend

DRAW = "{http://www.w3.org/2000/svg}"


# Walks


def test_without_noise_it_walks_like_plain_descent():
    assert landscape(start=0.4, lr=0.1).trajectory() == descend(objectives.double_well.grad, 0.4, 0.1, 60).tolist()
    plain = descend(objectives.saddle.grad, np.array([2.0, 0.001]), 0.2, 60)
    assert landscape(surface="saddle", start=0.001).trajectory() == plain.tolist()


def test_noise_is_added_to_each_coordinate_of_each_gradient():
    wells = landscape(start=0.4, noise=0.7, seed=5, steps=2)
    chance = Seeded(5)
    first = 0.4 - 0.05 * (objectives.double_well.grad(0.4) + 0.7 * chance.standard_normal())
    second = first - 0.05 * (objectives.double_well.grad(first) + 0.7 * chance.standard_normal())
    assert wells.trajectory() == pytest.approx([0.4, first, second])
    assert wells.trajectory(6) != wells.trajectory(5)
    moved = (
        np.array(noisy_path("saddle", [2.0, 0.0], 0.2, 1, 0.5, 3)[0][1])
        - noisy_path("saddle", [2.0, 0.0], 0.2, 1)[0][1]
    )
    assert moved == pytest.approx(-0.2 * 0.5 * kicks("saddle", 3, 1)[0])


def test_a_lost_walk_ends_where_it_was_lost():
    path = landscape(start=1.9, lr=0.5).trajectory()
    assert len(path) < 60 and abs(path[-1]) > FAR and abs(path[-2]) <= FAR


# What becomes of them


@pytest.mark.parametrize("surface", ["double_well", "saddle"])
@pytest.mark.parametrize(
    ("start", "lr", "end"),
    [
        (-0.3, 0.05, "left"),
        (0.3, 0.05, "right"),
        (1.7, 0.05, "right"),
        (1.7, 0.15, "left"),
        (0.0, 0.05, "ridge"),
        (0.001, 0.05, "right"),
        (0.4, 0.3, "bouncing"),
        (1.75, 0.3, "diverged"),
        (0.4, 0.52, "diverged"),
    ],
)
def test_each_outcome_and_the_same_on_the_saddle_at_four_times_the_rate(surface, start, lr, end):
    scale = 4 if surface == "saddle" else 1
    assert landscape(surface=surface, start=start, lr=lr * scale, height=1.0).outcome() == end


@pytest.mark.parametrize("start", [0.4, -0.9, 1.2])
def test_the_wells_let_go_where_the_rate_passes_two_over_the_curvature(start):
    side = "right" if start > 0 else "left"
    assert outcome("double_well", start, 0.98 * 2 / 8) == side
    assert outcome("double_well", start, 1.02 * 2 / 8) == "bouncing"


@pytest.mark.parametrize("lr", [0.1, 0.2, 0.24])
def test_starts_between_the_two_edges_are_thrown_across_and_those_beyond_diverge(lr):
    thrown, gone = math.sqrt(1 + 1 / (4 * lr)), math.sqrt(1 + 1 / (2 * lr))  # one hop to 0, one hop to −θ
    ends = [outcome("double_well", start, lr) for start in (thrown - 0.01, thrown + 0.01, gone + 0.01)]
    assert ends == ["right", "left", "diverged"]


def test_beyond_a_half_almost_every_start_diverges():
    counts = [row.count("diverged") for row in outcome_map(middles(-1.2, 1.2, 100), [0.49, 0.51])]
    assert counts[0] == 0 and counts[1] == 100


def test_the_map_has_for_every_start_and_rate_what_its_walk_comes_to():
    starts, rates = middles(-1.9, 1.9, 24), [0.01, 0.07, 0.15, 0.2, 0.26, 0.45, 0.54]
    assert outcome_map(starts, rates) == [[outcome("double_well", start, lr) for start in starts] for lr in rates]
    assert {name for row in outcome_map([*starts, 0.0], rates) for name in row} == set(OUTCOMES)


def test_with_noise_the_seeds_share_the_wells():
    assert landscape(start=0.1).shares()["right"] == FAN
    ridge = landscape(start=0.0, noise=1.0).shares()
    assert min(ridge["left"], ridge["right"]) > 10 and ridge["left"] + ridge["right"] == FAN
    near = [landscape(start=0.1, noise=noise).shares()["left"] for noise in (0.2, 1.0, 2.0)]
    assert near == sorted(near) and near[0] == 0 and near[-1] > 5


# Schedule-free rules


@pytest.mark.parametrize("rule", ["schedule_free_sgd", "schedule_free_adamw"])
@pytest.mark.parametrize("surface", ["double_well", "saddle"])
def test_a_schedule_free_walk_is_that_of_gdlabs_average(rule, surface):
    made, grad = getattr(rules, rule)(), getattr(objectives, surface).grad
    theta = np.array([2.0, 0.4] if surface == "saddle" else 0.4)
    state, path, pushes = made.init(theta), [theta.tolist()], 0.5 * kicks(surface, 3, 30)
    for step in range(30):
        theta, state = made.step(theta, grad(theta) + pushes[step], state, step, 0.1)
        path.append(np.asarray(rules.schedule_free_average(theta, state, 0.1)).tolist())
    assert landscape(surface=surface, rule=rule, start=0.4, lr=0.1, noise=0.5, seed=3, steps=30).trajectory() == path


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("surface", ["double_well", "saddle"])
def test_every_rules_map_has_what_its_walks_come_to(surface, rule):
    starts, rates = middles(-1.9, 1.9, 12), [0.05, 0.3, 0.54]
    walks = [
        [outcome(surface, [0.0, s] if surface == "saddle" else s, lr, RULES[rule]) for s in starts] for lr in rates
    ]
    assert outcome_map(starts, rates, surface, rule) == walks


def test_averages_come_to_rest_at_rates_at_which_gradient_descent_bounces():
    for start in (-0.6, 0.4, 0.9):
        side = "right" if start > 0 else "left"
        ends = {rule: landscape(rule=rule, start=start, lr=0.3).outcome() for rule in RULES}
        assert ends == {"gradient_descent": "bouncing", "schedule_free_sgd": side, "schedule_free_adamw": side}


def test_the_paper_names_a_schedule_free_rule():
    assert ">schedule-free SGD<" in landscape(rule="schedule_free_sgd").picture()
    assert ">the walk<" in landscape().picture()


# Escape


def test_exactly_on_the_ridge_a_walk_stays_and_a_nudge_or_noise_takes_it_off():
    for surface in ("double_well", "saddle"):
        assert escape_step(landscape(surface=surface, start=0.0).trajectory()) is None
        assert escape_step(landscape(surface=surface, start=0.001).trajectory()) == 36
        assert escape_step(landscape(surface=surface, start=0.0, noise=0.2).trajectory()) < 36


@pytest.mark.parametrize("nudge", [1e-1, 1e-2, 1e-4])
def test_ten_times_the_nudge_saves_as_many_steps_as_the_growth_near_the_ridge_says(nudge):
    lr = 0.05
    growth = 1 - lr * -4  # L'' = −4 on the ridge
    steps = escape_step(landscape(start=nudge, lr=lr, steps=200).trajectory())
    assert steps == pytest.approx(math.log(CONCAVE / nudge) / math.log(growth), abs=2)


# A learner's own step


def test_own_step_walks_and_is_asked_again_when_a_trait_changes():
    wells = landscape(step=lambda theta, grad, lr: theta - lr * grad, start=0.4)
    assert wells.paths == [landscape(start=0.4).trajectory()] and wells.ends == ["right"] and not wells.ask
    wells.noise = 1.0
    assert len(wells.paths) == 1 + FAN == len(wells.ends)
    assert wells.paths[1 + 7] == landscape(start=0.4, noise=1.0).trajectory(7)
    wells.noise, wells.start = 0.0, 0.0
    assert wells.ends == ["ridge"] and wells.outcome() == "ridge"


def test_own_step_has_a_map_of_its_own():
    plain = landscape(step=lambda theta, grad, lr: theta - lr * grad).outcomes
    uphill = landscape(step=lambda theta, grad, lr: theta + lr * grad).outcomes
    assert plain[1:] == outcome_map(middles(-1.9, 1.9, 60), middles(0, 0.55, 24))
    assert set(plain[0]) == {"left", "right"} and "left" not in sum(uphill, [])


def test_own_step_gets_arrays_on_the_saddle():
    seen = []
    wells = landscape(surface="saddle", step=lambda *given: seen.append(given) or given[0], steps=1)
    theta, grad, lr = seen[0]
    assert theta.tolist() == [2.0, -0.3] and grad.shape == (2,) and lr == 0.2
    assert wells.paths == [[[2.0, -0.3], [2.0, -0.3]]] and wells.outcomes == []


@pytest.mark.parametrize("value", [None, "ab", [1.0], [True, 1.0]], ids=repr)
@pytest.mark.parametrize("surface", ["double_well", "saddle"])
def test_own_step_that_returns_no_point_is_told_so(surface, value):
    wells = landscape(surface=surface, step=lambda *_: value)
    assert len(wells.paths[0]) == 1 and "it has to return the next theta" in wells.trouble


def test_an_unwritten_step_says_what_to_do_and_still_draws():
    def stub(theta, grad, lr):
        raise NotImplementedError

    wells = landscape(step=stub)
    assert wells.trouble.startswith("Your step is not written yet") and wells.ends == []
    assert "Your step is not written yet" in wells.picture()


def test_infinity_can_be_sent_to_a_browser():
    wells = landscape(step=lambda *_: float("inf"))
    assert wells.paths == [[-0.3, None]] and wells.ends == ["diverged"]
    json.dumps(wells._repr_mimebundle_()[0][MIME], allow_nan=False)


# The figure


def test_the_saddle_starts_at_its_own_rate_and_traits_are_live():
    assert (landscape().lr, landscape(surface="saddle").lr, landscape(surface="saddle", lr=0.3).lr) == (0.05, 0.2, 0.3)
    wells = landscape(steps=5)
    assert wells.frame == 5 and len(wells.trajectory()) == 6
    wells.steps = 3
    assert wells.frame == 3 and len(wells.trajectory()) == 4


@pytest.mark.parametrize("surface", ["double_well", "saddle"])
def test_paper_shows_the_walk_and_the_map_with_the_outcomes_names(surface):
    picture = landscape(surface=surface, start=1.7).picture()
    texts = [node.text for node in ElementTree.fromstring(picture).iter(f"{DRAW}text")]
    assert {"left well", "right well", "bouncing", "diverged", "learning rate η"} <= set(texts)
    patterns = {node.get("id") for node in ElementTree.fromstring(picture).iter(f"{DRAW}pattern")}
    fills = {
        node.get("fill")[5:-1]
        for node in ElementTree.fromstring(picture).iter(f"{DRAW}rect")
        if "url" in node.get("fill", "")
    }
    assert len(fills) == 4 and fills <= patterns


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": 0.0},
        {"lr": 3.0},
        {"noise": -1.0},
        {"steps": 0},
        {"seed": -1},
        {"start": 4.0},
        {"surface": "bowl"},
        {"rule": "muon"},
    ],
    ids=str,
)
def test_what_makes_no_walk_is_refused(wrong):
    with pytest.raises(traitlets.TraitError):
        landscape(**wrong)
