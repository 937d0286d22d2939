"""Learning-rate regimes: the same bowl, the same start, eight steps, and what the rate makes of them.

Chapter 2's figure. On L(θ) = (θ − 3)² + ½ the curvature is λ = L'' = 2, and a step multiplies the distance
from the minimum by 1 − λη. So the product λη alone decides: below 0.1 the walk crawls, up to 1 it
converges from one side, below 2 it hops across the minimum and still comes closer, at 2 it stays as far
away for ever, and beyond it flies off. The figure asks for a prediction before it shows the walk.
"""

import math

import traitlets as t

from gdlab.figures.base import Figure, Number
from gdlab.figures.bowl import walk_path
from gdlab.figures.bowl_svg import bowl_picture
from gdlab.objectives import bowl

REGIMES = ("crawling", "converging", "overshooting", "critical", "diverging")
GUESSES = ("", *REGIMES)


def regime(lr: float, curvature: float = bowl.hessian) -> str:
    """What a rate does on a quadratic of this curvature, by λη.

    Args:
        lr: η, 0 or more.
        curvature: λ, the second derivative, above 0.

    >>> [regime(lr) for lr in (0.02, 0.5, 0.9, 1.0, 1.05)]
    ['crawling', 'converging', 'overshooting', 'critical', 'diverging']
    """
    product = curvature * lr
    if math.isclose(product, 2, rel_tol=1e-9):
        return "critical"
    if product > 2:
        return "diverging"
    return "crawling" if product < 0.1 else "converging" if product <= 1 else "overshooting"


class LearningRateRegimes(Figure):
    """The figure; see the module's first paragraph. `learning_rate_regimes` is its short name."""

    figure = "learning_rate_regimes"
    settings = ("lr", "theta0", "steps", "frame", "ask", "guess")

    lr = Number(0.02, min=0.0, max=10.0, help="the learning rate η").tag(sync=True)
    theta0 = Number(bowl.start, min=-1e6, max=1e6, help="where the walk starts").tag(sync=True)
    steps = t.Int(8, min=1, max=200, help="how many steps the walk has").tag(sync=True)
    frame = t.Int(8, min=0, max=200, help="the step that is shown, from 0 to steps").tag(sync=True)
    ask = t.Bool(True, help="ask for a prediction before the walk is shown").tag(sync=True)
    guess = t.Enum(GUESSES, "", help="what the reader predicted; empty before").tag(sync=True)

    def __init__(self, **traits):
        super().__init__(**{"frame": traits.get("steps", 8), **traits})

    def trajectory(self) -> list[float]:
        """The points of the walk, computed by `gdlab.rules`."""
        return walk_path(self.theta0, self.lr, self.steps)

    @property
    def regime(self) -> str:
        """What this rate does on the bowl."""
        return regime(self.lr)

    def picture(self) -> str:
        rates = (0.02, 0.3, 1.05)
        return bowl_picture([(f"η = {lr}: {regime(lr)}", walk_path(self.theta0, lr, self.steps)) for lr in rates])

    @t.observe("steps")
    def _stay_on_the_walk(self, _change):
        self.frame = min(self.frame, self.steps)


def learning_rate_regimes(**traits) -> LearningRateRegimes:
    """Show what a rate does on the bowl: `learning_rate_regimes()`, `learning_rate_regimes(lr=1.05, ask=False)`.

    Args:
        **traits: lr, theta0, steps, frame, ask: what the figure starts with. Each stays live: after
            `rates = learning_rate_regimes()`, setting `rates.lr = 1.05` moves the picture.
    """
    return LearningRateRegimes(**traits)
