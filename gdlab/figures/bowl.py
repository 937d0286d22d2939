"""Bowl walk: a few steps of gradient descent on L(θ) = (θ − 3)² + ½, one slope and one step at a time.

Chapter 1's figure. With its defaults it walks from θ = −1 with η = 0.3 over the four points −1, 1.4,
2.36, 2.744. The switch `climb` adds the step instead of subtracting it, and the loss climbs.
"""

from collections.abc import Callable
from numbers import Real

import traitlets as t

from gdlab.figures.base import Figure, bundle, finite, source
from gdlab.figures.bowl_svg import bowl_picture
from gdlab.objectives import bowl
from gdlab.rules import descend

Step = Callable[[float, float, float], float]
"""A learner's own rule: (theta, grad, lr) -> the next theta."""


def walk_path(theta0: float, lr: float, steps: int, climb: bool = False) -> list[float]:
    """θ₀ … θ_steps on the bowl, as `gdlab.rules.descend` walks it; `climb` turns the step round.

    >>> walk_path(-1.0, 0.25, 2)
    [-1.0, 1.0, 2.0]
    >>> walk_path(-1.0, 0.25, 2, climb=True)
    [-1.0, -3.0, -6.0]
    """
    return descend(bowl.grad, theta0, -lr if climb else lr, steps).tolist()


def own_path(step: Step, theta0: float, lr: float, steps: int) -> tuple[list[float], str]:
    """θ₀ … θ_steps as a learner's own `step(theta, grad, lr)` walks them.

    Returns:
        The points, and a sentence on why the walk ends early ("" where it does not): an unfinished
        function is what a figure in an exercise starts with, and it deserves a picture, not a traceback.
    """
    path = [float(theta0)]
    for _ in range(steps):
        try:
            path.append(_number(step(path[-1], bowl.grad(path[-1]), lr)))
        except NotImplementedError:
            return path, "Your step is not written yet: fill in the function, run its cell, and run this one again."
        except Exception as error:
            return path, f"Your step stopped here with {type(error).__name__}: {error}"
    return path, ""


def _number(value) -> float:
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # an array that holds one number
        value = value.item()
    if not isinstance(value, Real) or isinstance(value, bool):
        missing = " (is its return statement missing?)" if value is None else ""
        raise TypeError(f"it has to return the next theta, one number, but it returned {value!r}{missing}.")
    return float(value)


class BowlWalk(Figure):
    """The figure; see the module's first paragraph. `bowl_walk` is its short name."""

    figure = "bowl_walk"
    shown = ("theta0", "lr", "steps", "frame", "climb", "path", "trouble")
    _esm = bundle("bowl_walk")
    _css = source("figures.css")

    theta0 = t.Float(bowl.start, help="where the walk starts").tag(sync=True)
    lr = t.Float(0.3, help="the learning rate η").tag(sync=True)
    steps = t.Int(3, min=0, max=200, help="how many steps the walk has").tag(sync=True)
    frame = t.Int(0, min=0, help="the step that is shown, from 0 to steps").tag(sync=True)
    climb = t.Bool(False, help="add the step instead of subtracting it").tag(sync=True)
    path = t.List(
        t.Float(allow_none=True), help="the points of a learner's own step; empty when the figure walks by itself"
    ).tag(sync=True)

    trouble = t.Unicode(help="why a learner's own step went no further; empty when it did").tag(sync=True)

    def __init__(self, *, step: Step | None = None, **traits):
        self._step = step
        super().__init__(**traits)
        self._walk_again()
        self.observe(self._walk_again, names=["theta0", "lr", "steps"])

    def trajectory(self) -> list[float]:
        """The points the figure shows, computed by `gdlab.rules` or by the learner's own step."""
        if self._step is not None:
            return own_path(self._step, self.theta0, self.lr, self.steps)[0]
        return walk_path(self.theta0, self.lr, self.steps, self.climb)

    def picture(self) -> str:
        label = "your own step" if self._step else f"θ ← θ {'+' if self.climb else '−'} η · slope"
        return bowl_picture([(label, self.trajectory())], table=True)

    def _walk_again(self, _change=None):
        if self._step is not None:
            path, trouble = own_path(self._step, self.theta0, self.lr, self.steps)
            with self.hold_sync():
                self.path, self.trouble = [finite(theta) for theta in path], trouble

    @t.validate("theta0", "lr")
    def _is_finite(self, proposal):
        if finite(proposal.value) is None:
            raise t.TraitError(f"{proposal.trait.name} has to be an ordinary number, but is {proposal.value}.")
        return proposal.value

    @t.validate("frame")
    def _is_on_the_walk(self, proposal):
        return min(proposal.value, self.steps)

    @t.observe("steps")
    def _stay_on_the_walk(self, _change):
        self.frame = min(self.frame, self.steps)


def bowl_walk(step: Step | None = None, **traits) -> BowlWalk:
    """Show a walk on the bowl: `bowl_walk()`, `bowl_walk(lr=0.9, steps=6)`, `bowl_walk(step=my_step)`.

    Args:
        step: a function of your own, (theta, grad, lr) -> the next theta; left out, it is gradient descent.
        **traits: theta0, lr, steps, frame, climb: what the figure starts with. Each stays live: after
            `walk = bowl_walk()`, setting `walk.lr = 0.9` moves the picture.
    """
    return BowlWalk(step=step, **traits)
