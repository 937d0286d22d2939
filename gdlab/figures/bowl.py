"""Bowl walk: a few steps of gradient descent on L(θ) = (θ − 3)² + ½, one slope and one step at a time.

Chapter 1's figure. With its defaults it walks from θ = −1 with η = 0.3 over the four points −1, 1.4,
2.36, 2.744. The switch `climb` adds the step instead of subtracting it, and the loss climbs.
"""

from collections.abc import Callable

import traitlets as t

from gdlab.figures.base import Figure, Number, finite
from gdlab.figures.bowl_svg import bowl_picture
from gdlab.figures.own import one_number, trouble
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
            path.append(one_number(step(path[-1], bowl.grad(path[-1]), lr), "the next theta"))
        except Exception as error:
            return path, trouble(error, "step")
    return path, ""


class BowlWalk(Figure):
    """The figure; see the module's first paragraph. `bowl_walk` is its short name."""

    figure = "bowl_walk"
    settings = ("theta0", "lr", "steps", "frame", "climb")
    told = ("path", "trouble")

    theta0 = Number(bowl.start, min=-1e6, max=1e6, help="where the walk starts").tag(sync=True)
    lr = Number(0.3, min=-1e6, max=1e6, help="the learning rate η").tag(sync=True)
    steps = t.Int(3, min=0, max=200, help="how many steps the walk has").tag(sync=True)
    frame = t.Int(0, min=0, max=200, help="the step that is shown, from 0 to steps").tag(sync=True)
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
