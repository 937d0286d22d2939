"""The optimizer race in Python: gdlab's walks on every landscape, rules of a learner's own, and the picture on paper."""

import json
import re

import numpy as np
import pytest
import traitlets

from gdlab import objectives, rules
from gdlab.figures import race
from gdlab.figures.base import MIME
from gdlab.figures.contest import (
    FORMULAS,
    LANDSCAPES,
    MOST_OWN,
    RULES,
    of_a_row,
    rate_for,
    settings_of,
    two_wells,
    walk,
)
from gdlab.figures.contest_svg import contour_lines, contour_path


def descent(theta, grad, state, step, lr):
    return theta - lr * grad, state


def walked(rule, objective, start, lr, steps, averages=False):
    theta = np.array(start, dtype=float)
    state, path = rule.init(theta), [list(start)]
    for step in range(steps):
        theta, state = rule.step(theta, objective.grad(theta), state, step, lr)
        path.append((rules.schedule_free_average(theta, state, lr) if averages else theta).tolist())
    return path


# gdlab's rules


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_every_rule_walks_as_gdlabs_does(landscape):
    contest = race(landscape=landscape, steps=60)
    place = LANDSCAPES[landscape]
    walks = contest.trajectories()
    assert list(walks) == list(RULES)
    for name, path in walks.items():
        lr = place.rates[name]
        right = walked(
            RULES[name], place.objective, place.objective.start, lr, 60, averages=name.startswith("schedule_free")
        )
        assert path == right


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_muon_takes_the_point_as_a_matrix_of_one_row(landscape):
    place = LANDSCAPES[landscape]
    rule, lr, theta = rules.muon(), place.rates["muon"], np.array([place.objective.start], dtype=float)
    state, path = rule.init(theta), [theta[0].tolist()]
    for step in range(60):
        theta, state = rule.step(theta, place.objective.grad(theta[0])[None], state, step, lr)
        path.append(theta[0].tolist())
    assert race(landscape=landscape, steps=60).trajectories()["muon"] == path


def test_on_a_row_muons_direction_has_one_length_however_steep_it_is():
    rule = of_a_row(rules.muon(weight_decay=0.0))
    for grad in ([3.0, 4.0], [1e-3, 0.0], [-2e5, 7e4]):
        moved, _ = rule.step(np.zeros(2), np.array(grad), rule.init(np.zeros(2)), step=0, lr=1.0)
        assert np.linalg.norm(moved) == pytest.approx(0.6964, abs=1e-3)
        assert moved / np.linalg.norm(moved) == pytest.approx(-np.array(grad) / np.linalg.norm(grad))
    assert "length 0.7" in FORMULAS["muon"]


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_nobody_blows_up_at_the_usual_rates_and_somebody_gets_near_the_minimum(landscape):
    place = LANDSCAPES[landscape]
    lowest = place.objective.loss(np.array(place.objective.minimum))
    ends = {
        name: place.objective.loss(np.array(path[-1])) - lowest
        for name, path in race(landscape=landscape).trajectories().items()
    }
    first = place.objective.loss(np.array(place.objective.start)) - lowest
    assert all(end < first for end in ends.values()) and min(ends.values()) < 0.2


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_start_and_minima_are_in_view(landscape):
    place = LANDSCAPES[landscape]
    for point in (place.objective.start, *place.objective.minima, *place.objective.flat_points):
        assert all(low < number < high for number, (low, high) in zip(point, place.view, strict=True))


def test_the_double_well_of_the_plane_is_gdlabs_along_x():
    x = np.linspace(-2, 2, 9)
    points = np.stack([x, np.full(9, 0.5)], axis=-1)
    assert two_wells.loss(points) == pytest.approx(objectives.double_well.loss(x) + 0.125)
    for point in points:
        assert two_wells.grad(point) == pytest.approx(objectives.numerical_gradient(two_wells.loss, point), abs=1e-6)
    for minimum in two_wells.minima:
        assert two_wells.loss(np.array(minimum)) == 0


def test_on_the_double_well_speed_carries_momentum_across():
    ends = {name: path[-1][0] for name, path in race(landscape="double_well").trajectories().items()}
    assert ends["momentum"] > 0.9 and ends["nesterov"] > 0.9
    assert ends["gradient_descent"] < -0.9 and ends["adam"] < -0.9


def test_who_does_not_take_part_has_no_walk():
    assert "lion" not in race(lion=False).trajectories()
    assert race(**dict.fromkeys(RULES, False)).trajectories() == {}


# Live traits


def test_going_elsewhere_brings_that_landscapes_start_and_rates():
    contest = race(adam_lr=0.9)
    contest.landscape = "beale"
    assert (contest.start_x, contest.start_y, contest.adam_lr) == (1.0, 1.5, 0.2)
    assert race(landscape="beale", adam_lr=0.4).adam_lr == 0.4
    assert race(landscape="saddle").lion_lr == settings_of("saddle")["lion_lr"]


def test_the_traits_begin_with_the_ravine():
    made = race()
    assert {name: getattr(made, name) for name in settings_of("ravine")} == settings_of("ravine")
    assert {name: made.class_traits()[name].default_value for name in settings_of("ravine")} == settings_of("ravine")


def test_the_frame_stays_on_the_walk():
    contest = race(frame=100)
    contest.steps = 30
    assert contest.frame == 30 and len(contest.trajectories()["adam"]) == 31
    assert race(steps=7).frame == 7


# Rules of a learner's own


def test_a_function_walks_like_the_rule_it_is():
    contest = race(rules={"mine": descent})
    assert contest.own_paths[0] == contest.trajectories()["gradient_descent"] == contest.trajectories()["mine"]
    assert contest.highlight == "own_1" and contest.trouble == ""


def test_a_gdlab_rule_or_anything_with_init_and_step_runs_too():
    class Copy:
        init = staticmethod(rules.adam().init)
        step = staticmethod(rules.adam().step)

    contest = race(rules={"theirs": rules.adam(), "copy": Copy()}, rates={"theirs": 0.1, "copy": 0.1})
    assert contest.own_paths[0] == contest.own_paths[1] == contest.trajectories()["adam"]
    contest = race(rules={"theirs": rules.schedule_free_sgd()})
    assert contest.own_paths[0] == contest.trajectories()["schedule_free_sgd"]


def test_a_rules_state_comes_back_to_it_and_is_none_at_first():
    seen = []

    def mine(theta, grad, state, step, lr):
        seen.append((theta.shape, grad.shape, state, step, lr))
        return theta, step

    walk(mine, objectives.ravine, (1.0, 2.0), 0.3, 3)
    assert seen == [((2,), (2,), state, step, 0.3) for state, step in ((None, 0), (0, 1), (1, 2))]


def test_a_rule_that_changes_theta_in_place_does_not_change_the_record():
    def careless(theta, grad, state, step, lr):
        theta -= lr * grad
        return theta, state

    assert walk(careless, objectives.ravine, (1.0, 2.0), 0.1, 4) == walk(descent, objectives.ravine, (1.0, 2.0), 0.1, 4)


def test_own_rules_walk_again_when_a_trait_changes():
    contest = race(rules={"mine": descent}, rates={"mine": 0.1})
    for change in ({"start_x": 3.0}, {"steps": 9}, {"own_rates": [0.2]}):
        for name, value in change.items():
            setattr(contest, name, value)
        right = walk(
            descent, contest.objective, (contest.start_x, contest.start_y), contest.own_rates[0], contest.steps
        )
        assert contest.own_paths[0] == right[0]
    contest.landscape = "saddle"
    assert contest.own_rates == [0.1] and contest.own_paths[0][0] == [2.0, 1e-3]


def test_the_rate_of_an_own_rule_is_that_of_its_namesake():
    for landscape, place in LANDSCAPES.items():
        assert rate_for("ADAM", descent, landscape) == place.rates["adam"]
        assert rate_for("theirs", rules.lion(), landscape) == place.rates["lion"]
        assert rate_for("mine", descent, landscape) == place.rates["gradient_descent"]
    contest = race(rules={"Adam": descent})
    contest.landscape = "rosenbrock"
    assert contest.own_rates == [LANDSCAPES["rosenbrock"].rates["adam"]]
    assert contest.field[-1]["name"] == "your Adam"


def test_an_unwritten_rule_says_what_to_do_and_the_others_run():
    def stub(theta, grad, state, step, lr):
        raise NotImplementedError

    contest = race(rules={"mine": stub})
    assert contest.trouble.startswith("Your rule 'mine' is not written yet")
    assert contest.own_paths == [[[-5.0, -2.0]]] and len(contest.trajectories()["adam"]) == 151
    assert "not written yet" in contest.picture()


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "is its return statement missing?"),
        (np.zeros(2), "theta and the state"),
        ((np.zeros(3), None), "theta is two numbers"),
        ((None, None), "theta is two numbers"),
        ((["a", "b"], None), "theta, two numbers"),
    ],
    ids=["nothing", "theta alone", "three numbers", "none", "words"],
)
def test_a_rule_that_returns_something_else_is_told_so(value, sentence):
    path, trouble = walk(lambda *_: value, objectives.ravine, (1.0, 2.0), 0.1, 4, "rule 'mine'")
    assert (
        path == [[1.0, 2.0]]
        and trouble.startswith("Your rule 'mine' stopped here with TypeError")
        and sentence in trouble
    )


def test_a_rule_that_flies_off_can_be_sent_to_a_browser_and_drawn():
    contest = race(rules={"mine": lambda theta, grad, state, step, lr: (theta * 1e200, state)}, steps=5)
    assert contest.own_paths[0][-1] == [None, None] and contest.trouble == ""
    json.dumps(contest._repr_mimebundle_()[0][MIME], allow_nan=False)
    assert not re.search(r"\b(nan|inf)\b", contest.picture())


def test_there_is_room_for_four_rules_and_a_rate_needs_its_rule():
    with pytest.raises(ValueError, match="room for 4 rules"):
        race(rules={str(i): descent for i in range(MOST_OWN + 1)})
    with pytest.raises(ValueError, match="no rule of that name"):
        race(rates={"mine": 0.1})


@pytest.mark.parametrize(
    "wrong", [{"landscape": "hill"}, {"adam_lr": -0.1}, {"steps": 0}, {"highlight": "sgd"}, {"start_x": 99.0}], ids=str
)
def test_what_is_no_race_is_refused(wrong):
    with pytest.raises(traitlets.TraitError):
        race(**wrong)


# On paper


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_paper_names_everybody_and_says_where_they_end(landscape):
    picture = race(landscape=landscape, rules={"my own": descent}).picture()
    for words in (
        "gradient descent",
        "Nesterov",
        "AdaGrad",
        "Lion",
        "Muon",
        "schedule-free SGD",
        "schedule-free AdamW",
        "my own",
        "minimum",
        "start",
        "loss above the lowest",
    ):
        assert f">{words}<" in picture
    assert f"Optimizer race: {LANDSCAPES[landscape].name}" in picture


def test_paper_with_nobody_on_it_is_still_a_picture():
    assert "nobody takes part" in race(**dict.fromkeys(RULES, False)).picture()


@pytest.mark.parametrize("level", [0.3, 1.0, 2.5])
def test_contour_lines_run_where_the_height_is(level):
    side = np.linspace(-2, 2, 41)
    heights = side[None, :] ** 2 + side[:, None] ** 2
    (ring,) = contour_lines(heights, level)
    assert ring[0] == ring[-1]  # closed
    for row, column, down in ring:
        low, high = sorted((heights[row, column], heights[row + down, column + 1 - down]))
        assert low < level <= high


def test_a_contour_path_meets_the_level_between_the_grids_points():
    side = np.linspace(-20, 20, 41)
    heights = side[None, :] ** 2 + side[:, None] ** 2
    points = np.array(
        [point.split() for point in re.split("[ML]", contour_path(heights, 100.0, side, side))[1:]], float
    )
    # Between grid points one unit apart a line across is off by ¼ in x² + y², and by rounding to one decimal.
    assert len(points) > 50
    assert np.hypot(*points.T) == pytest.approx(10.0, abs=0.06)


def test_a_contour_line_that_leaves_the_grid_has_two_ends():
    heights = np.tile(np.arange(5.0), (4, 1))
    (line,) = contour_lines(heights, 2.5)
    assert sorted(line) == [(row, 2, 0) for row in range(4)]
    assert contour_lines(heights, 9.0) == []
