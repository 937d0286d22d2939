"""Landscape: two wells and a ridge between them, and what becomes of a walk from each start at each rate.

The appendix's figure. On the double well L(θ) = (θ² − 1)² the wells have L'' = 8, so a walk that comes near one
comes to rest there for η < 2/8; far starts are thrown across, and at larger rates walks bounce or fly off
(the cubic map θ ← (1 + 4η)θ − 4ηθ³). On the saddle L(x, y) = ½x² − ½y² + ¼y⁴ the same happens along y, at
four times the rate: there ∂L/∂y is a quarter of the double well's slope. Gradient noise adds σ times a normal
number to each coordinate of each gradient, from `noise.Seeded`.

Beside gradient descent the two schedule-free rules walk; their walks are those of the average x, by which they
are judged. (Muon does not: a number is no matrix, and on a matrix of one number its steps have one length, so
that no walk would ever come to rest.)
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import traitlets as t

from gdlab import objectives
from gdlab.figures.base import Figure, Number, finite
from gdlab.figures.basins_svg import landscape_picture
from gdlab.figures.contest_svg import LOOKS
from gdlab.figures.noise import Seeded
from gdlab.figures.own import one_number, trouble, two_numbers
from gdlab.rules import Rule, gradient_step, schedule_free_adamw, schedule_free_average, schedule_free_sgd

Step = Callable[[Any, Any, float], Any]
"""A learner's own rule: (theta, grad, lr) -> the next theta; on the saddle theta and grad are arrays [x, y]."""

Point = float | list[float]

RULES: dict[str, Step | Rule] = {
    "gradient_descent": gradient_step,
    "schedule_free_sgd": schedule_free_sgd(),
    "schedule_free_adamw": schedule_free_adamw(),
}

SURFACES = ("double_well", "saddle")
OUTCOMES = ("left", "right", "ridge", "bouncing", "diverged")
GUESSES = ("", *OUTCOMES)
SCALE = {"double_well": 1.0, "saddle": 4.0}
"""How many times as flat a surface is across its ridge as the double well: rates are as many times larger."""

FAR = 10.0
"""Beyond this distance a walk is lost, and ends."""

SETTLE = 200
"""So many steps without noise a walk is followed further, to see where it comes to rest."""

WATCHED = 10
"""It rests if none of the last so many steps is longer than `RESTING`."""

RESTING = 0.01
RIDGE = 0.1
"""A walk that rests within this distance of the ridge is stuck on it."""

CONCAVE = math.sqrt(1 / 3)
"""Up to here from the ridge the surface bends downward: L'' < 0."""

FAN = 40
"""The fan shows seeds 0 … 39."""

REACH, FASTEST = 1.9, 0.55
"""The diagram shows starts from −1.9 to 1.9, and rates up to 0.55 on the double well."""


def middles(low: float, high: float, count: int) -> list[float]:
    """The middles of `count` equal parts of a range.

    >>> middles(0.0, 1.0, 2)
    [0.25, 0.75]
    """
    return [low + (high - low) * (i + 0.5) / count for i in range(count)]


OWN_STARTS, OWN_RATES = middles(-REACH, REACH, 60), middles(0, FASTEST, 24)
"""Where a learner's own step is asked for its outcomes."""


def kicks(surface: str, seed: int, steps: int) -> np.ndarray:
    """The normal numbers of a seed's noise, shape (steps,) on the line and (steps, 2) on the plane.

    >>> kicks("saddle", 0, 5).shape
    (5, 2)
    """
    chance = Seeded(seed)
    shape = (steps, 2) if surface == "saddle" else (steps,)
    return np.array([chance.standard_normal() for _ in range(math.prod(shape))]).reshape(shape)


def noisy_path(
    surface: str,
    start: Point,
    lr: float,
    steps: int,
    noise: float = 0.0,
    seed: int = 0,
    step: Step | Rule = gradient_step,
) -> tuple[list[Point], str]:
    """θ₀ … θ_steps with gradients ∇L + noise · normal, or until the walk is lost; under a schedule-free rule its averages.

    Returns:
        The points, and a sentence on why a learner's own step ends the walk early ("" where it does not).

    >>> noisy_path("double_well", 0.5, 0.1, 2)[0]
    [0.5, 0.65, 0.80015]
    """
    return _followed(surface, start, lr, _pushes(surface, steps, noise, seed), step)


def _pushes(surface: str, steps: int, noise: float, seed: int) -> list:
    return list(noise * kicks(surface, seed, steps)) if noise else [0.0] * steps


def _followed(surface: str, start: Point, lr: float, pushes: Iterable, step: Step | Rule) -> tuple[list[Point], str]:
    """A walk whose gradients get one push each: what `noisy_path` returns."""
    grad = getattr(objectives, surface).grad
    theta = np.array(start) if surface == "saddle" or isinstance(step, Rule) else start
    path, state = [start], step.init(theta) if isinstance(step, Rule) else ()
    for i, push in enumerate(pushes):
        try:
            if isinstance(step, Rule):
                theta, state = step.step(theta, grad(theta) + push, state, i, lr)
                path.append(_point(schedule_free_average(theta, state, lr), surface))
            else:
                path.append(_point(step(theta, grad(theta) + push, lr), surface))
                theta = np.array(path[-1]) if surface == "saddle" else path[-1]
        except Exception as error:
            return path, trouble(error, "step")
        if lost(path[-1]):
            break
    return path, ""


def _point(value: Any, surface: str) -> Point:
    return two_numbers(value, "the next theta") if surface == "saddle" else one_number(value, "the next theta")


def across(point: Point) -> float:
    """The coordinate across the ridge: θ on the line, y on the plane."""
    return point[-1] if isinstance(point, list) else point


def lost(point: Point) -> bool:
    """Whether a point is further away than `FAR`, or no place at all."""
    return not np.max(np.abs(point)) <= FAR


def outcome(
    surface: str,
    start: Point,
    lr: float,
    step: Step | Rule = gradient_step,
    steps: int = 0,
    noise: float = 0.0,
    seed: int = 0,
) -> str:
    """What becomes of a walk after `steps` steps with noise, once no noise pushes it any more.

    Under a schedule-free rule that is said of the average, too. It comes to rest even at rates at which gradient
    descent bounces: the t-th point has a share of 1/t in it.

    Returns:
        "left" or "right": it comes to rest in that well. "ridge": it is still within 0.1 of the ridge.
        "bouncing": it goes on hopping across the wells. "diverged": it is lost.

    >>> outcome("double_well", 1.7, 0.05), outcome("double_well", 1.7, 0.15), outcome("double_well", 0.0, 0.05)
    ('right', 'left', 'ridge')
    >>> outcome("double_well", 0.4, 0.3), outcome("double_well", 1.7, 0.3)
    ('bouncing', 'diverged')
    """
    pushes = [] if lost(start) else [*_pushes(surface, steps, noise, seed), *[0.0] * SETTLE]
    path, _ = _followed(surface, start, lr, pushes, step)
    last = np.array(path[-WATCHED - 1 :])
    return str(_name(lost(path[-1]), np.max(np.abs(np.diff(last, axis=0)), initial=0), across(path[-1])))


def outcome_map(
    starts: list[float], rates: list[float], surface: str = "double_well", rule: str = "gradient_descent"
) -> list[list[str]]:
    """`outcome` for each rate (a row) and each start, under one of `RULES`.

    >>> outcome_map([-0.4, 0.4], [0.05, 0.3])
    [['left', 'right'], ['bouncing', 'bouncing']]
    >>> outcome_map([-0.4, 0.4], [0.05, 0.3], rule="schedule_free_sgd")
    [['left', 'right'], ['left', 'right']]
    """
    theta, lr = np.broadcast_arrays(np.array(starts, dtype=float), np.array(rates, dtype=float)[:, None])
    step = RULES[rule]
    state = step.init(theta) if isinstance(step, Rule) else ()
    end, hop = theta, np.zeros(theta.shape)
    for i in range(SETTLE):
        before = end
        slope = _slope(surface, theta)
        if isinstance(step, Rule):
            theta, state = step.step(theta, slope, state, i, lr)
            end = schedule_free_average(theta, state, lr)
        else:
            theta = end = step(theta, slope, lr)
        theta = np.where(np.abs(end) <= FAR, theta, np.nan)  # lost, and not to overflow
        if i >= SETTLE - WATCHED:
            hop = np.maximum(hop, np.abs(end - before))
    return _name(np.isnan(theta), hop, end).tolist()


def _slope(surface: str, theta: np.ndarray) -> np.ndarray:
    """∂L across the ridge."""
    if surface == "saddle":
        return objectives.saddle.grad(np.stack([np.zeros_like(theta), theta], axis=-1))[..., 1]
    return objectives.double_well.grad(theta)


def _name(gone, hop, end) -> np.ndarray:
    """The outcome, from whether a walk was lost, the longest of its last steps, and where it stands across the ridge."""
    which = (gone, hop > RESTING, np.abs(end) < RIDGE, np.asarray(end) > 0)
    return np.select(which, ("diverged", "bouncing", "ridge", "right"), "left")


def escape_step(path: Iterable[Point]) -> int | None:
    """The first step at which a walk has left the part around the ridge that bends downward; None if it never does.

    >>> escape_step([0.1, 0.3, 0.7]), escape_step([0.0, 0.0])
    (2, None)
    """
    return next((k for k, point in enumerate(path) if abs(across(point)) > CONCAVE), None)


class Landscape(Figure):
    """The figure; see the module's first paragraph. `landscape` is its short name."""

    figure = "landscape"
    settings = ("surface", "rule", "start", "height", "lr", "noise", "seed", "steps", "frame", "ask", "guess")
    told = ("own", "paths", "ends", "outcomes", "trouble")

    surface = t.Enum(SURFACES, "double_well", help="the double well on a line, or the saddle on a plane").tag(sync=True)
    rule = t.Enum(tuple(RULES), "gradient_descent", help="the update rule").tag(sync=True)
    start = Number(-0.3, min=-3.0, max=3.0, help="where the walk starts across the ridge: θ, or y").tag(sync=True)
    height = Number(2.0, min=-3.0, max=3.0, help="where it starts along the ridge: the saddle's x").tag(sync=True)
    lr = Number(0.05, min=0.001, max=2.2, help="the learning rate η").tag(sync=True)
    noise = Number(0.0, min=0.0, max=10.0, help="σ, the standard deviation of the gradient noise").tag(sync=True)
    seed = t.Int(0, min=0, max=9_999, help="whose walk is drawn boldly").tag(sync=True)
    steps = t.Int(60, min=1, max=300, help="how many steps the walks have").tag(sync=True)
    frame = t.Int(60, min=0, max=300, help="the step that is shown, from 0 to steps").tag(sync=True)
    ask = t.Bool(True, help="ask for a prediction before the walk is shown").tag(sync=True)
    guess = t.Enum(GUESSES, "", help="what the reader predicted; empty before").tag(sync=True)
    own = t.Bool(False, help="whether a learner's own step walks").tag(sync=True)
    paths = t.List(help="with a learner's own step: the bold walk, then the fan; else empty").tag(sync=True)
    ends = t.List(t.Unicode(), help="what becomes of each of these walks").tag(sync=True)
    outcomes = t.List(t.List(t.Unicode()), help="its outcomes over the starts: at this rate, then at OWN_RATES").tag(
        sync=True
    )
    trouble = t.Unicode(help="why a learner's own walk went no further; empty when it did").tag(sync=True)

    def __init__(self, *, step: Step | None = None, **traits):
        self._own = step
        scale = SCALE.get(traits.get("surface", ""), 1.0)
        begin = {"lr": 0.05 * scale, "frame": traits.get("steps", 60), "ask": step is None}
        super().__init__(own=step is not None, **{**begin, **traits})
        self._walk_again()
        self._map_again()
        self.observe(self._walk_again, names=["surface", "start", "height", "lr", "noise", "seed", "steps"])
        self.observe(self._map_again, names=["surface", "lr"])

    def trajectory(self, seed: int | None = None) -> list[Point]:
        """The points of a seed's walk, by default of the bold one, by `gdlab.rules` or the learner's own step."""
        return self._walk(self.seed if seed is None else seed)[0]

    def outcome(self, seed: int | None = None) -> str:
        """What becomes of a seed's walk, by default of the bold one."""
        seed = self.seed if seed is None else seed
        return outcome(self.surface, self._start(), self.lr, self._step, self.steps, self.noise, seed)

    def shares(self) -> dict[str, int]:
        """How many of the 40 seeds come to which end."""
        ends = [self.outcome(seed) for seed in range(FAN)]
        return {name: ends.count(name) for name in OUTCOMES}

    def picture(self) -> str:
        scale = SCALE[self.surface]
        rates = OWN_RATES if self.own else middles(0, FASTEST, 55)
        rates = [lr * scale for lr in rates]
        starts = middles(-REACH, REACH, 96)
        rows = self.outcomes[1:] if self.own else outcome_map(starts, rates, self.surface, self.rule)
        name = "the walk" if self.own or self.rule == "gradient_descent" else LOOKS[self.rule][0]
        return landscape_picture(self.surface, self.trajectory(), self.lr, rates, rows, self.trouble, name)

    @property
    def _step(self) -> Step | Rule:
        return self._own or RULES[self.rule]

    def _start(self) -> Point:
        return [self.height, self.start] if self.surface == "saddle" else self.start

    def _walk(self, seed: int) -> tuple[list[Point], str]:
        return noisy_path(self.surface, self._start(), self.lr, self.steps, self.noise, seed, self._step)

    def _walk_again(self, _change=None):
        if self._own is None:
            return
        first, trouble = self._walk(self.seed)
        seeds = [] if trouble or not self.noise else range(FAN)
        walks = [first, *(self.trajectory(seed) for seed in seeds)]
        ends = [] if trouble else [outcome(self.surface, walk[-1], self.lr, self._step) for walk in walks]
        with self.hold_sync():
            self.paths = [[_sent(point) for point in walk] for walk in walks]
            self.ends, self.trouble = ends, trouble

    def _map_again(self, _change=None):
        if self._own is None:
            return
        rates = [] if self.trouble or self.surface == "saddle" else [self.lr, *OWN_RATES]
        self.outcomes = [[outcome(self.surface, start, lr, self._step) for start in OWN_STARTS] for lr in rates]

    @t.observe("steps")
    def _stay_on_the_walk(self, _change):
        self.frame = min(self.frame, self.steps)


def _sent(point: Point):
    return [finite(number) for number in point] if isinstance(point, list) else finite(point)


def landscape(step: Step | None = None, **traits) -> Landscape:
    """Show where walks end: `landscape()`, `landscape(surface="saddle", start=0.001)`, `landscape(step=my_step)`.

    Args:
        step: a function of your own, (theta, grad, lr) -> the next theta; left out, `rule` says who walks.
        **traits: surface, rule, start, height, lr, noise, seed, steps, frame, ask: what the figure starts with.
            Each stays live: after `wells = landscape()`, setting `wells.lr = 0.3` moves the picture.
    """
    return Landscape(step=step, **traits)
