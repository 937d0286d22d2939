"""Trainability: which pairs of learning rates train a small network, and what the border between them looks like.

The figure of the appendix on sweeps. Each pixel is a training run of 100 steps: a network of two layers, with one
learning rate for each (Sohl-Dickstein 2024, arXiv 2402.06184; `zooms.py` says what is recorded). The run under the
ring is trained anew as the ring moves, and its loss drawn. Five recorded windows lead into the border. With a kernel
the figure goes on from the ring, wherever it is, as long as 64-bit numbers tell neighbours apart.
"""

from typing import Any

import numpy as np
import traitlets as t

from gdlab.figures.base import Figure, Number
from gdlab.figures.boundary_svg import trainability_picture
from gdlab.figures.zooms import CLOSER, STEPS, closer, draw_window, problem, recorded_zooms
from gdlab.rules import gradient_descent

COARSE, FINE = 41, 121
"""A window that is asked for is drawn coarsely first."""

NARROWEST = 1e-12
"""Below this width, in log₁₀ η, pixels of a window would share their rates."""


class Trainability(Figure):
    """The figure; see the module's first paragraph. `trainability` is its short name."""

    figure = "trainability"
    settings = ("level", "u", "v")
    told = ("windows", "network", "asked", "own")

    level = t.Int(0, min=0, max=5, help="which recorded window is shown").tag(sync=True)
    u = Number(0.25, min=0.0, max=1.0, help="how far across the window the ring is").tag(sync=True)
    v = Number(0.4, min=0.0, max=1.0, help="how far up").tag(sync=True)
    windows = t.List(help="the recorded windows: window, side and colours of each").tag(sync=True)
    network = t.Dict(help="what the network begins with and learns: W1, W2, X, y, steps").tag(sync=True)
    asked = t.List(t.Float(), help="the window that a reader asks for; empty for the recorded one").tag(sync=True)
    own = t.List(help="what was drawn of it, or nothing").tag(sync=True)

    def __init__(self, **traits):
        made = problem()
        network = {name: np.asarray(array).ravel().tolist() for name, array in {**made.start, **made.arrays}.items()}
        super().__init__(**{"windows": recorded_zooms(), "network": {**network, "steps": STEPS}, **traits})
        self.observe(self._draw, names="asked")

    @property
    def window(self) -> list[float]:
        """What is shown: log₁₀ of the lowest and the highest η₁, then of η₂."""
        return list(self.asked) or self.windows[self.level]["window"]

    @property
    def rates(self) -> tuple[float, float]:
        """(η₁, η₂) of the run under the ring."""
        left, right, low, high = self.window
        return 10.0 ** (left + self.u * (right - left)), 10.0 ** (low + self.v * (high - low))

    def losses(self) -> list[float]:
        """L_t/L_0 of the run under the ring, before each step and after the last, by `gdlab.rules`."""
        made, rule = problem(), gradient_descent()
        theta = {name: array[..., None] for name, array in made.start.items()}
        losses = []
        with np.errstate(all="ignore"):
            for step in range(STEPS + 1):
                loss, grad = made.loss_and_grad(theta, {}, made.arrays)
                losses.append(float(loss[0]))
                for (name, leaf), lr in zip(theta.items(), self.rates, strict=True):
                    theta[name], _ = rule.step(leaf, grad[name], (), step, lr)
        return [loss / losses[0] for loss in losses]

    def zoom(self, factor: float = CLOSER) -> None:
        """Draw the window around the ring that is `factor` times as close.

        Raises:
            ValueError: if it would be too narrow for 64-bit numbers.
        """
        window = closer(self.window, self.u, self.v, factor)
        if window[1] - window[0] < NARROWEST:
            raise ValueError(f"A window narrower than {NARROWEST:g} in log₁₀ η has no room for different numbers.")
        self.asked = window

    def picture(self) -> str:
        shown = (0, 1, 2)
        return trainability_picture([self.windows[i] for i in shown], [f"{CLOSER**i} ×" for i in shown])

    def _draw(self, change: dict[str, Any]) -> None:
        window = list(change["new"])
        if not window:
            self.own = []
            return
        for side in (COARSE, FINE):
            self.own = [draw_window(window, side)]
        self.u = self.v = 0.5


def trainability(**traits) -> Trainability:
    """Show which pairs of rates train a network: `trainability()`, `trainability(level=2)`.

    Args:
        **traits: level, u, v: what the figure starts with. Each stays live: after `map = trainability()`, setting
            `map.level = 3` shows the fourth window, and `map.zoom(8)` draws one that nobody has recorded.
    """
    return Trainability(**traits)
