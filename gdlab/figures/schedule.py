"""Schedules: the learning rate over the steps of a run, with everything about it to be dragged.

Chapter 2's figure. It starts with what large models use: 2,000 steps of warm-up from 0 to 3e-4, then half a
cosine wave down to 3e-5 at step 100,000. A schedule of your own, step -> learning rate, is drawn in the
same way, alone or beside one of gdlab's.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import traitlets as t

from gdlab import schedules
from gdlab.figures.base import Figure, Number, finite
from gdlab.figures.curve_svg import curve_picture
from gdlab.figures.own import ask_each

NAMES = (
    "constant",
    "linear_warmup",
    "warmup_cosine",
    "linear_decay",
    "step_decay",
    "inverse_sqrt",
    "one_cycle",
    "wsd",
    "cyclic",
)

ALL_STEPS = 1_000
"""Up to so many steps a schedule of your own is asked at each one; beyond, at as many spread evenly."""

OwnSchedule = Callable[[int], float]


def schedule_of(name: str, peak_lr: float, warmup_steps: int, total_steps: int, floor_lr: float) -> OwnSchedule:
    """One of gdlab's schedules, as a function of the step, from the four things that the figure lets you drag.

    A floor above the peak counts as the peak, a warm-up longer than the run as the run. Steps decay by a
    tenth at ½ and ¾ of the run, wsd decays over its last fifth, and a cycle rises as long as the warm-up.

    >>> schedule_of("warmup_cosine", 1.0, 10, 100, 0.1)(55)
    0.55
    """
    floor_lr, warmup_steps = min(floor_lr, peak_lr), min(warmup_steps, total_steps)
    decay_steps = min(total_steps // 5, total_steps - warmup_steps)
    settings: dict[str, dict[str, Any]] = {
        "constant": {"base_lr": peak_lr},
        "linear_warmup": {"peak_lr": peak_lr, "warmup_steps": warmup_steps},
        "warmup_cosine": {
            "peak_lr": peak_lr,
            "warmup_steps": warmup_steps,
            "total_steps": total_steps,
            "floor_lr": floor_lr,
        },
        "linear_decay": {"peak_lr": peak_lr, "total_steps": total_steps, "floor_lr": floor_lr},
        "step_decay": {"base_lr": peak_lr, "milestones": [total_steps // 2, 3 * total_steps // 4], "factor": 0.1},
        "inverse_sqrt": {"peak_lr": peak_lr, "warmup_steps": max(1, warmup_steps)},
        "one_cycle": {"peak_lr": peak_lr, "total_steps": total_steps, "warmup_fraction": warmup_steps / total_steps},
        "wsd": {
            "peak_lr": peak_lr,
            "warmup_steps": warmup_steps,
            "stable_steps": total_steps - warmup_steps - decay_steps,
            "decay_steps": decay_steps,
            "floor_lr": floor_lr,
        },
        "cyclic": {"peak_lr": peak_lr, "up_steps": max(1, warmup_steps), "floor_lr": floor_lr},
    }
    return partial(getattr(schedules, name), **settings[name])


def asked_steps(total_steps: int) -> list[int]:
    """The steps at which a schedule of your own is asked: 0 … total, all of them or evenly spread.

    >>> asked_steps(3)
    [0, 1, 2, 3]
    """
    count = min(total_steps, ALL_STEPS)
    return [round(i * total_steps / count) for i in range(count + 1)]


class SchedulePlot(Figure):
    """The figure; see the module's first paragraph. `schedule_plot` is its short name."""

    figure = "schedule_plot"
    settings = ("schedule", "peak_lr", "warmup_steps", "total_steps", "floor_lr", "step")
    told = ("own", "beside", "steps", "values", "trouble")

    schedule = t.Enum(NAMES, "warmup_cosine", help="which of gdlab's schedules").tag(sync=True)
    peak_lr = Number(3e-4, min=1e-12, max=1e6, help="the highest learning rate").tag(sync=True)
    warmup_steps = t.Int(2_000, min=0, max=10**9, help="how many steps the rate rises").tag(sync=True)
    total_steps = t.Int(100_000, min=2, max=10**9, help="how long the run is").tag(sync=True)
    floor_lr = Number(3e-5, min=0.0, max=1e6, help="the rate at the end").tag(sync=True)
    step = t.Int(0, min=0, max=2 * 10**9, help="the step whose rate is read out").tag(sync=True)
    own = t.Bool(False, help="whether a schedule of your own is drawn").tag(sync=True)
    beside = t.Bool(True, help="whether one of gdlab's is drawn").tag(sync=True)
    steps = t.List(t.Int(), help="the steps at which your own schedule was asked").tag(sync=True)
    values = t.List(t.Float(allow_none=True), help="what it said there").tag(sync=True)
    trouble = t.Unicode(help="why it said no more; empty when it did").tag(sync=True)

    def __init__(self, *, own_schedule: OwnSchedule | None = None, **traits):
        self._own_schedule = own_schedule
        super().__init__(own=own_schedule is not None, beside=own_schedule is None or "schedule" in traits, **traits)
        if "step" not in traits:
            self.step = 2 * self.total_steps // 5
        self._ask_again()
        self.observe(self._ask_again, names=["total_steps"])

    def rate(self, step: int) -> float:
        """The learning rate of gdlab's schedule at a step, with what the figure is set to."""
        return schedule_of(self.schedule, self.peak_lr, self.warmup_steps, self.total_steps, self.floor_lr)(step)

    def picture(self) -> str:
        steps = asked_steps(self.total_steps)
        curves = [(self.schedule, steps, [self.rate(step) for step in steps])] if self.beside else []
        if self.own:
            curves.append(("your schedule", self.steps[: len(self.values)], self.values))
        return curve_picture(curves, x_label="step", y_label="learning rate η", width=640, height=340)

    def _ask_again(self, _change=None):
        if self._own_schedule is not None:
            steps = asked_steps(self.total_steps)
            values, trouble = ask_each(self._own_schedule, steps, "schedule", "a learning rate")
            with self.hold_sync():
                self.steps, self.values, self.trouble = steps, [finite(value) for value in values], trouble


def schedule_plot(my_schedule: OwnSchedule | None = None, **traits) -> SchedulePlot:
    """Show a schedule: `schedule_plot()`, `schedule_plot(schedule="wsd")`, `schedule_plot(my_schedule, total_steps=50)`.

    Args:
        my_schedule: a function of your own, step -> learning rate. With `schedule=` as well, both are drawn.
        **traits: schedule, peak_lr, warmup_steps, total_steps, floor_lr, step: what the figure starts
            with. Each stays live: after `plot = schedule_plot()`, setting `plot.peak_lr = 1e-3` moves the picture.
    """
    return SchedulePlot(own_schedule=my_schedule, **traits)
