"""The schedules' figure in Python: gdlab's numbers, a learner's own schedule, and a picture of both."""

import json

import numpy as np
import pytest
import traitlets

from gdlab import schedules
from gdlab.figures import schedule_plot
from gdlab.figures.schedule import NAMES, asked_steps, schedule_of


def test_it_starts_with_what_large_models_use():
    plot = schedule_plot()
    right = [
        schedules.warmup_cosine(step, 3e-4, 2000, 100_000, floor_lr=3e-5) for step in (0, 1000, 2000, 40_000, 10**5)
    ]
    assert [plot.rate(step) for step in (0, 1000, 2000, 40_000, 10**5)] == right
    assert right[0] == 0 and right[2] == 3e-4 and right[4] == pytest.approx(3e-5)


@pytest.mark.parametrize("name", NAMES)
def test_every_schedule_peaks_where_it_is_told_and_stays_below(name):
    rates = [schedule_of(name, 0.5, 10, 100, 0.05)(step) for step in range(150)]
    assert max(rates) == pytest.approx(0.5) and min(rates) >= 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("warmup", "total", "floor"), [(0, 2, 0.0), (500, 100, 0.1), (100, 100, 9.0)], ids=str)
def test_settings_that_cross_meet_instead(name, warmup, total, floor):
    rates = [schedule_of(name, 0.5, warmup, total, floor)(step) for step in range(total + 5)]
    assert np.isfinite(rates).all() and max(rates) <= 0.5


def test_a_long_run_is_asked_at_evenly_spread_steps():
    assert asked_steps(5) == [0, 1, 2, 3, 4, 5]
    many = asked_steps(123_457)
    assert many[0] == 0 and many[-1] == 123_457 and len(many) == 1_001
    assert set(np.diff(many)) == {123, 124}


def test_own_schedule_is_asked_again_when_the_run_changes():
    asked = []
    plot = schedule_plot(lambda step: asked.append(step) or step / 10, total_steps=4)
    assert plot.values == [0, 0.1, 0.2, 0.3, 0.4] and asked == [0, 1, 2, 3, 4]
    assert all(type(step) is int for step in asked)
    plot.total_steps = 2
    assert plot.values == [0, 0.1, 0.2]


def test_own_schedule_alone_or_beside_gdlabs():
    alone, both = schedule_plot(lambda step: 0.1), schedule_plot(lambda step: 0.1, schedule="wsd")
    assert (alone.own, alone.beside) == (True, False) and (both.own, both.beside) == (True, True)
    assert "your schedule" in alone.picture() and ">wsd<" not in alone.picture()
    assert "your schedule" in both.picture() and ">wsd<" in both.picture()


def test_an_unwritten_schedule_says_what_to_do_and_still_draws():
    def stub(step):
        raise NotImplementedError

    plot = schedule_plot(stub, total_steps=10)
    assert plot.values == [] and plot.trouble.startswith("Your schedule is not written yet")
    assert "your schedule: no points" in plot.picture()


def test_own_schedule_that_breaks_off_keeps_what_it_said():
    plot = schedule_plot(lambda step: 1 / (3 - step), total_steps=10)
    assert len(plot.values) == 3 and "ZeroDivisionError" in plot.trouble


def test_infinity_can_be_sent_to_a_browser():
    plot = schedule_plot(lambda step: float("inf") if step else 1.0, total_steps=3)
    assert plot.values == [1.0, None, None, None]
    json.dumps(plot._repr_mimebundle_()[0], allow_nan=False)


@pytest.mark.parametrize(
    "wrong", [{"schedule": "cosine"}, {"total_steps": 0}, {"peak_lr": -1.0}, {"warmup_steps": 1.5}], ids=str
)
def test_what_is_no_schedule_is_refused(wrong):
    with pytest.raises(traitlets.TraitError):
        schedule_plot(**wrong)
