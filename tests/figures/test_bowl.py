"""The bowl walk's Python side: its traits, its numbers, and what it leaves in a notebook."""

import json
import subprocess
import sys

import numpy as np
import pytest
import traitlets

from gdlab.figures import BowlWalk, bowl_walk
from gdlab.figures.base import MIME, bundle
from gdlab.figures.bowl import own_path, walk_path
from gdlab.objectives import bowl
from gdlab.rules import descend


def test_the_default_walk_is_the_chapters():
    walk = bowl_walk()
    assert (walk.theta0, walk.lr, walk.steps, walk.frame, walk.climb) == (-1.0, 0.3, 3, 0, False)
    assert walk.trajectory() == pytest.approx([-1, 1.4, 2.36, 2.744])


def test_flipping_the_sign_climbs():
    assert bowl_walk(climb=True).trajectory() == pytest.approx([-1, -3.4, -7.24, -13.384])


@pytest.mark.parametrize("lr", [0.02, 0.5, 1.1])
def test_numbers_are_those_of_rules(lr):
    assert walk_path(-2.0, lr, 9) == descend(bowl.grad, -2.0, lr, 9).tolist()
    assert walk_path(-2.0, lr, 9, climb=True) == descend(lambda theta: -bowl.grad(theta), -2.0, lr, 9).tolist()


def test_a_frame_stays_on_the_walk():
    walk = bowl_walk(frame=99)
    assert walk.frame == 3
    walk.steps = 2
    assert walk.frame == 2


@pytest.mark.parametrize(
    "wrong", [{"lr": float("nan")}, {"theta0": float("inf")}, {"steps": -1}, {"frame": -1}, {"lr": "fast"}]
)
def test_settings_that_make_no_walk_are_refused(wrong):
    with pytest.raises(traitlets.TraitError):
        bowl_walk(**wrong)


# A learner's own step


def test_own_step_is_walked_and_walked_again_when_a_trait_changes():
    walk = bowl_walk(step=lambda theta, grad, lr: theta - 2 * lr * grad)
    assert walk.path == pytest.approx([-1, 3.8, 2.84, 3.032])
    walk.lr = 0.5
    assert walk.path == pytest.approx([-1, 7, -1, 7])
    walk.theta0 = 3.0
    assert walk.path == [3, 3, 3, 3]
    walk.steps = 1
    assert walk.path == [3, 3]


def test_own_step_gets_the_point_the_slope_and_the_rate():
    seen = []
    own_path(lambda theta, grad, lr: seen.append((theta, grad, lr)) or 3.0, -1.0, 0.3, 2)
    assert seen == [(-1.0, -8.0, 0.3), (3.0, 0.0, 0.3)]


@pytest.mark.parametrize("value", [2, np.float64(2), np.float32(2), np.array(2.0), np.int64(2)])
def test_own_step_may_return_any_kind_of_number(value):
    assert own_path(lambda *_: value, -1.0, 0.3, 1) == ([-1.0, 2.0], "")


@pytest.mark.parametrize("value", [None, "2", [2.0], np.array([2.0]), True, 1j])
def test_own_step_that_returns_no_number_is_told_so(value):
    walk = bowl_walk(step=lambda *_: value)
    assert walk.path == [-1.0] and "one number" in walk.trouble


def test_a_missing_return_is_guessed():
    assert "return statement missing" in bowl_walk(step=lambda *_: None).trouble


def test_an_unwritten_step_shows_the_start_and_says_what_to_do():
    def stub(theta, grad, lr):
        raise NotImplementedError

    walk = bowl_walk(step=stub)
    assert walk.path == [-1.0] and walk.trouble.startswith("Your step is not written yet")


def test_own_step_into_infinity_can_be_sent_to_a_browser():
    walk = bowl_walk(step=lambda theta, grad, lr: theta * 1e200, steps=4)
    assert walk.path[:2] == [-1.0, -1e200] and walk.path[-1] is None
    json.dumps(walk._repr_mimebundle_()[0], allow_nan=False)


# What it leaves in a notebook


def test_the_output_has_widget_state_and_picture():
    data, _ = bowl_walk(lr=0.7)._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert data["image/svg+xml"].startswith("<svg")
    figure = data[MIME]
    assert figure["figure"] == "bowl_walk" and figure["svg"] == data["image/svg+xml"]
    assert figure["state"] == {
        "theta0": -1.0,
        "lr": 0.7,
        "steps": 3,
        "frame": 0,
        "climb": False,
        "path": [],
        "trouble": "",
    }


def test_every_trait_the_script_reads_is_shown_and_synced():
    script = bundle("bowl_walk")
    for name in BowlWalk.settings + BowlWalk.told:
        assert f'"{name}"' in script
        assert BowlWalk.class_traits(sync=True)[name]


def test_a_picture_alone_loads_no_widgets():
    code = "import sys; from gdlab.figures import bowl_picture; bowl_picture([]); print('ipywidgets' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )


def test_an_unknown_figure_is_named():
    with pytest.raises(ImportError, match="bowl_wak"):
        from gdlab.figures import bowl_wak  # noqa: F401
