"""The optimizer race: eleven update rules set out from one start, each at a rate that suits it, and a learner's own beside them.

The figure of the appendix on optimizers. On a ravine, a saddle, Rosenbrock's valley, a double well or
Beale's surface you drag the start, switch rules on and off, change the rate of the one you highlight, and
see what it remembers: its velocity, and the root of its mean square of gradients. Walks come from
`gdlab.rules` with its defaults, but for AdamW's weight decay: at torch's 0.01 nobody could tell it from Adam.
Muon, a rule for matrices, gets the two coordinates as a matrix of one row, on which it is momentum with steps
of one length. The schedule-free rules are shown where they are judged, at their averages x.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import traitlets as t

from gdlab import objectives, rules
from gdlab.figures.base import Figure, Number, finite
from gdlab.figures.contest_svg import contest_picture, look_of
from gdlab.figures.own import one_number, trouble
from gdlab.objectives import Objective, double_well
from gdlab.rules import Rule

OwnRule = Rule | Callable[[np.ndarray, np.ndarray, Any, int, float], tuple[Any, Any]]
"""A learner's own rule, as `gdlab.loop` takes them: a function (theta, grad, state, step, lr) -> theta, state
whose first state is None, or a `gdlab.rules.Rule`, or anything with its `init` and `step`."""

Path = list[list[float]]

WEIGHT_DECAY = 0.1


def of_a_row(rule: Rule) -> Rule:
    """A rule for matrices as one for vectors: each vector is to it a matrix of one row.

    >>> rule = of_a_row(rules.muon(weight_decay=0.0))
    >>> theta, state = rule.step(np.zeros(2), np.array([3.0, 4.0]), rule.init(np.zeros(2)), step=0, lr=1.0)
    >>> theta.round(2).tolist(), float(np.linalg.norm(theta).round(2))
    ([-0.42, -0.56], 0.7)
    """
    return replace(rule, direct=partial(_row_direction, rule))


def _row_direction(rule, theta, grad, state, scalars):
    direction, state = rule.direct(theta[None], grad[None], tuple([part[None] for part in state]), scalars)
    return direction[0], tuple([part[0] for part in state])


RULES: dict[str, Rule] = {
    "gradient_descent": rules.gradient_descent(),
    "momentum": rules.momentum(),
    "nesterov": rules.nesterov(),
    "adagrad": rules.adagrad(),
    "rmsprop": rules.rmsprop(),
    "adam": rules.adam(),
    "adamw": rules.adamw(weight_decay=WEIGHT_DECAY),
    "lion": rules.lion(),
    "muon": of_a_row(rules.muon()),
    "schedule_free_sgd": rules.schedule_free_sgd(),
    "schedule_free_adamw": rules.schedule_free_adamw(),
}

SCHEDULE_FREE = "g at y = 0.1·z + 0.9·x; x = z − η·u, the average of all z, is drawn and judged."

FORMULAS = {
    "gradient_descent": "θ ← θ − η·g; It remembers nothing.",
    "momentum": "v ← 0.9·v + g; θ ← θ − η·v",
    "nesterov": "v ← 0.9·v + g; θ ← θ − η·(g + 0.9·v)",
    "adagrad": "s ← s + g²; θ ← θ − η·g/(√s + ε)",
    "rmsprop": "s ← 0.99·s + 0.01·g²; θ ← θ − η·g/(√s + ε)",
    "adam": "m ← 0.9·m + 0.1·g; v ← 0.999·v + 0.001·g²; θ ← θ − η·m̂/(√v̂ + ε)",
    "adamw": f"Adam's m and v; θ ← θ − η·(m̂/(√v̂ + ε) + {WEIGHT_DECAY}·θ)",
    "lion": "θ ← θ − η·sign(0.9·m + 0.1·g); m ← 0.99·m + 0.01·g",
    "muon": (
        f"m ← 0.95·m + 0.05·g; θ ← θ − η·(d + {WEIGHT_DECAY}·θ); "
        "d is 0.95·m + 0.05·g brought to length 0.7: all that Muon does to a matrix of one row."
    ),
    "schedule_free_sgd": f"z ← z − η·g, {SCHEDULE_FREE}",
    "schedule_free_adamw": f"z ← z − η·g/(√v̂ + ε), v as Adam's, {SCHEDULE_FREE}",
}
"""What each rule does, line by line."""

MOST_OWN = 4
OWN = tuple(f"own_{i + 1}" for i in range(MOST_OWN))
"""What `highlight` calls rules of your own, in the order in which you hand them in."""


def _two_wells_loss(theta):
    return double_well.loss(theta[..., 0]) + 0.5 * theta[..., 1] ** 2


def _two_wells_grad(theta):
    return np.stack((double_well.grad(theta[..., 0]), theta[..., 1]), axis=-1)


two_wells = Objective(
    name="double well",
    formula=r"L(x, y) = (x^2 - 1)^2 + \tfrac12 y^2",
    loss=_two_wells_loss,
    grad=_two_wells_grad,
    start=(-1.8, 1.4),
    minimum=(1.0, 0.0),
    other_minima=((-1.0, 0.0),),
    flat_points=((0.0, 0.0),),
)
"""`gdlab.objectives.double_well` along x, a bowl along y: with enough speed a walk crosses the pass between the wells."""


@dataclass(frozen=True)
class Landscape:
    """Where a race can be run.

    Attributes:
        name: what the figure calls it.
        objective: its loss.
        view: what has to be in sight, ((left, right), (low, high)); the start can be dragged as far.
        levels: of the contour lines: lowest, highest, how many, and the power by which they crowd at the bottom.
        grain: how finely the start can be set.
        rates: each rule's learning rate. Found by trying: 150 steps from the start, and no rate that
            blows up a little further out.
    """

    name: str
    objective: Objective
    view: tuple[tuple[float, float], tuple[float, float]]
    levels: tuple[float, float, int, float]
    grain: float
    rates: Mapping[str, float]


def _rates(*rates: float) -> dict[str, float]:
    return dict(zip(RULES, rates, strict=True))


LANDSCAPES = {
    "ravine": Landscape(
        "ravine",
        objectives.ravine,
        view=((-6.0, 6.0), (-3.2, 3.2)),
        levels=(0.0, 22.0, 11, 2.0),
        grain=0.05,
        rates=_rates(0.4, 0.05, 0.05, 0.4, 0.02, 0.1, 0.1, 0.07, 0.1, 0.4, 0.4),
    ),
    "saddle": Landscape(
        "saddle",
        objectives.saddle,
        view=((-2.4, 2.4), (-1.7, 1.7)),
        levels=(-0.25, 3.75, 12, 2.0),
        grain=0.02,
        rates=_rates(0.1, 0.02, 0.02, 0.4, 0.02, 0.05, 0.05, 0.03, 0.05, 0.3, 0.2),
    ),
    "rosenbrock": Landscape(
        "Rosenbrock",
        objectives.rosenbrock,
        view=((-2.0, 2.0), (-0.8, 2.2)),
        levels=(0.0, 1200.0, 11, 3.0),
        grain=0.02,
        rates=_rates(0.001, 0.0005, 0.0005, 0.5, 0.1, 0.2, 0.2, 0.02, 0.03, 0.001, 0.5),
    ),
    "double_well": Landscape(
        "double well",
        two_wells,
        view=((-2.3, 2.3), (-1.8, 1.8)),
        levels=(0.0, 36.0, 24, 2.0),
        grain=0.02,
        rates=_rates(0.02, 0.02, 0.02, 0.2, 0.02, 0.05, 0.05, 0.03, 0.05, 0.1, 0.1),
    ),
    "beale": Landscape(
        "Beale",
        objectives.beale,
        view=((-0.6, 4.4), (-1.6, 1.9)),
        levels=(0.0, 400.0, 12, 3.5),
        grain=0.02,
        rates=_rates(0.01, 0.002, 0.002, 0.4, 0.05, 0.2, 0.2, 0.05, 0.05, 0.005, 0.3),
    ),
}


def settings_of(landscape: str) -> dict[str, float]:
    """The start and the rates that the figure takes when you go to a landscape.

    >>> settings_of("beale")["start_x"], settings_of("beale")["adam_lr"]
    (1.0, 0.2)
    """
    place = LANDSCAPES[landscape]
    start_x, start_y = place.objective.start
    return {"start_x": start_x, "start_y": start_y, **{f"{rule}_lr": lr for rule, lr in place.rates.items()}}


def is_schedule_free(rule: OwnRule) -> bool:
    """Whether a rule is one of gdlab's that are judged by an average of their walk.

    >>> is_schedule_free(rules.schedule_free_sgd()), is_schedule_free(rules.adam())
    (True, False)
    """
    return "ahead" in getattr(rule, "state_names", ())


def rate_for(name: str, rule: OwnRule, landscape: str) -> float:
    """The rate of a rule of your own: that of gdlab's rule of the same name, else that of gradient descent.

    >>> rate_for("Adam", rules.momentum(), "ravine"), rate_for("mine", rules.adam(), "ravine")
    (0.1, 0.1)
    """
    rates = LANDSCAPES[landscape].rates
    named = (name.lower(), getattr(rule, "name", ""))
    return next((rates[one] for one in named if one in rates), rates["gradient_descent"])


def walk(rule: OwnRule, objective: Objective, start: tuple[float, float], lr: float, steps: int, name: str = "rule"):
    """θ₀ … θ_steps = [x, y] under a rule; under a schedule-free one of gdlab's, the averages that it is judged by.

    Returns:
        The points, and a sentence on why a learner's own rule ends the walk early ("" where it does not).

    >>> walk(lambda theta, grad, state, step, lr: (theta - lr * grad, state), objectives.ravine, (5.0, 0.0), 1.0, 2)
    ([[5.0, 0.0], [4.0, 0.0], [3.2, 0.0]], '')
    """
    theta, state, take = np.array(start, dtype=float), None, rule
    path = [theta.tolist()]
    try:
        if hasattr(rule, "init"):
            state, take = rule.init(theta), rule.step
        for step in range(steps):
            with np.errstate(all="ignore"):  # a walk may fly off
                theta, state = _theta_and_state(take(theta, objective.grad(theta), state, step, lr))
                judged = rules.schedule_free_average(theta, state, lr) if is_schedule_free(rule) else theta
            path.append(judged.tolist())
    except Exception as error:
        return path, trouble(error, name)
    return path, ""


def _theta_and_state(value: Any) -> tuple[np.ndarray, Any]:
    asked = "it has to return the new theta and the state, as in return theta, state"
    if not isinstance(value, tuple | list) or len(value) != 2:
        missing = " (is its return statement missing?)" if value is None else ""
        raise TypeError(f"{asked}, but it returned {value!r}{missing}.")
    theta, state = value
    if np.shape(theta) != (2,):
        raise TypeError(f"{asked}: theta is two numbers, but it returned {theta!r}.")
    return np.array([one_number(number, "theta, two numbers") for number in theta]), state


class Race(Figure):
    """The figure; see the module's first paragraph. `race` is its short name."""

    figure = "race"
    settings = (
        *("landscape", "start_x", "start_y", "steps", "frame", "highlight"),
        *RULES,
        *(f"{rule}_lr" for rule in RULES),
    )
    told = ("landscapes", "field", "own_rates", "own_paths", "trouble")

    landscape = t.Enum(tuple(LANDSCAPES), "ravine", help="where the race is run").tag(sync=True)
    start_x = Number(-5.0, min=-10.0, max=10.0, help="where the walks start, across").tag(sync=True)
    start_y = Number(-2.0, min=-10.0, max=10.0, help="where the walks start, up").tag(sync=True)
    steps = t.Int(150, min=1, max=1_000, help="how many steps the walks have").tag(sync=True)
    frame = t.Int(40, min=0, max=1_000, help="the step that is shown, from 0 to steps").tag(sync=True)
    highlight = t.Enum((*RULES, *OWN), "momentum", help="the rule that is drawn boldly").tag(sync=True)

    gradient_descent = t.Bool(True, help="whether gradient descent takes part").tag(sync=True)
    momentum = t.Bool(True, help="whether momentum takes part").tag(sync=True)
    nesterov = t.Bool(True, help="whether Nesterov's momentum takes part").tag(sync=True)
    adagrad = t.Bool(True, help="whether AdaGrad takes part").tag(sync=True)
    rmsprop = t.Bool(True, help="whether RMSProp takes part").tag(sync=True)
    adam = t.Bool(True, help="whether Adam takes part").tag(sync=True)
    adamw = t.Bool(True, help="whether AdamW takes part").tag(sync=True)
    lion = t.Bool(True, help="whether Lion takes part").tag(sync=True)
    muon = t.Bool(True, help="whether Muon takes part").tag(sync=True)
    schedule_free_sgd = t.Bool(True, help="whether schedule-free SGD takes part").tag(sync=True)
    schedule_free_adamw = t.Bool(True, help="whether schedule-free AdamW takes part").tag(sync=True)

    gradient_descent_lr = Number(0.4, min=0.0, max=10.0, help="gradient descent's rate").tag(sync=True)
    momentum_lr = Number(0.05, min=0.0, max=10.0, help="momentum's rate").tag(sync=True)
    nesterov_lr = Number(0.05, min=0.0, max=10.0, help="the rate of Nesterov's momentum").tag(sync=True)
    adagrad_lr = Number(0.4, min=0.0, max=10.0, help="AdaGrad's rate").tag(sync=True)
    rmsprop_lr = Number(0.02, min=0.0, max=10.0, help="RMSProp's rate").tag(sync=True)
    adam_lr = Number(0.1, min=0.0, max=10.0, help="Adam's rate").tag(sync=True)
    adamw_lr = Number(0.1, min=0.0, max=10.0, help="AdamW's rate").tag(sync=True)
    lion_lr = Number(0.07, min=0.0, max=10.0, help="Lion's rate").tag(sync=True)
    muon_lr = Number(0.1, min=0.0, max=10.0, help="Muon's rate").tag(sync=True)
    schedule_free_sgd_lr = Number(0.4, min=0.0, max=10.0, help="the rate of schedule-free SGD").tag(sync=True)
    schedule_free_adamw_lr = Number(0.4, min=0.0, max=10.0, help="the rate of schedule-free AdamW").tag(sync=True)

    landscapes = t.Dict(help="how each landscape is set out").tag(sync=True)
    field = t.List(t.Dict(), help="who runs: gdlab's rules and yours, their looks and formulas").tag(sync=True)
    own_rates = t.List(t.Float(), help="the learning rates of your own rules").tag(sync=True)
    own_paths = t.List(help="their walks").tag(sync=True)
    trouble = t.Unicode(help="why one of them went no further; empty when all did").tag(sync=True)

    def __init__(
        self, *, rules: Mapping[str, OwnRule] | None = None, rates: Mapping[str, float] | None = None, **traits
    ):
        self._own, self._rates = dict(rules or {}), dict(rates or {})
        if len(self._own) > MOST_OWN:
            raise ValueError(f"The race has room for {MOST_OWN} rules of your own, but there are {len(self._own)}.")
        if unknown := [name for name in self._rates if name not in self._own]:
            raise ValueError(f"rates has a rate for {unknown[0]!r}, but rules has no rule of that name.")
        self._names = [f"your {name}" if name.lower() in RULES else name for name in self._own]
        first = {"highlight": OWN[0] if self._own else "momentum"}
        there = traits.get("landscape", "ravine")
        place = settings_of(there) if there in LANDSCAPES else {}  # else the trait says what is wrong
        super().__init__(**{**first, **place, **traits}, landscapes=self._sheets(), field=self._field())
        self.own_rates = self._own_rates(self.landscape)
        self._walk_again()
        self.observe(self._move_there, names=["landscape"])
        self.observe(self._walk_again, names=["landscape", "start_x", "start_y", "steps", "own_rates"])

    @property
    def objective(self) -> Objective:
        """The surface that the race is run on."""
        return LANDSCAPES[self.landscape].objective

    def trajectories(self) -> dict[str, Path]:
        """The points of every walk: those of gdlab's rules that take part, and of your own under their names."""
        start = self.start_x, self.start_y
        walks = {
            name: walk(rule, self.objective, start, getattr(self, f"{name}_lr"), self.steps)[0]
            for name, rule in RULES.items()
            if getattr(self, name)
        }
        return walks | {name: path for name, (path, _) in zip(self._names, self._own_walks(), strict=True)}

    def picture(self) -> str:
        place = LANDSCAPES[self.landscape]
        return contest_picture(place.name, self.objective, place.view, place.levels, self.trajectories(), self.trouble)

    def _own_walks(self) -> list[tuple[Path, str]]:
        start = self.start_x, self.start_y
        return [
            walk(rule, self.objective, start, lr, self.steps, f"rule {name!r}")
            for (name, rule), lr in zip(self._own.items(), self.own_rates, strict=True)
        ]

    def _own_rates(self, landscape: str) -> list[float]:
        return [float(self._rates.get(name, rate_for(name, rule, landscape))) for name, rule in self._own.items()]

    def _sheets(self) -> dict[str, dict[str, Any]]:
        return {
            key: {
                "name": place.name,
                "view": [list(side) for side in place.view],
                "levels": list(place.levels),
                "grain": place.grain,
                "settings": settings_of(key),
                "own_rates": self._own_rates(key),
            }
            for key, place in LANDSCAPES.items()
        }

    def _field(self) -> list[dict[str, Any]]:
        looks = [(key, look_of(key, ()), FORMULAS[key]) for key in RULES]
        looks += [(OWN[i], look_of(name, self._names), "Your own rule.") for i, name in enumerate(self._names)]
        field = [
            {"id": key, "name": name, "hue": hue, "dashes": dashes, "does": does}
            for key, (name, hue, dashes), does in looks
        ]
        field[list(RULES).index("adamw")]["settings"] = {"weight_decay": WEIGHT_DECAY}
        return field

    def _move_there(self, _change):
        with self.hold_trait_notifications():
            for name, value in settings_of(self.landscape).items():
                setattr(self, name, value)
            self.own_rates = self._own_rates(self.landscape)

    def _walk_again(self, _change=None):
        if self._own:
            walks = self._own_walks()
            with self.hold_sync():
                self.own_paths = [[[finite(number) for number in point] for point in path] for path, _ in walks]
                self.trouble = next((sentence for _, sentence in walks if sentence), "")

    @t.observe("steps")
    def _stay_on_the_walk(self, _change):
        self.frame = min(self.frame, self.steps)


def race(**options) -> Race:
    """Show the race: `race()`, `race(landscape="beale", adam_lr=0.4)`, `race(rules={"mine": my_rule})`.

    Args:
        **options: what the figure starts with. `rules` are rules of your own by name, each a function
            (theta, grad, state, step, lr) -> theta, state that gets None as its first state, or a
            `gdlab.rules.Rule`; `rates` are their learning rates by name, which are else those that
            `rate_for` names. The rest are traits: landscape, start_x, start_y, steps, frame, highlight, and
            for each rule a switch and a rate, such as lion=False and lion_lr=0.01. Each stays live: after
            `contest = race()`, setting `contest.landscape = "saddle"` moves everybody there.
    """
    return Race(**options)
