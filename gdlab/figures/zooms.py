"""The recorded pictures of the trainability figure: one map of runs, and five windows into it, each eight times as close.

Every map is a sweep of `gdlab.sweep` over the rates of two layers (Sohl-Dickstein 2024, arXiv 2402.06184), with 6 units
where the paper's pictures have 16. Of each run one byte is kept, its colour: below 128 it learned, from 128 on it did
not, and within both the runs of a map are ranked by how soon. The next window lies where learning and not learning
are mixed most. `python -m gdlab.figures.zooms` makes `recorded_zooms.json` again, in a minute or two.
"""

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gdlab.sweep import Problem, Sweep, log_axis, run_sweep, tanh_network

UNITS, SEED, STEPS = 6, 0, 100
WHOLE = [-1.0, 3.0, 0.5, 2.5]
"""The first window: log₁₀ of the lowest and the highest η₁, then of η₂."""

SIDE, CLOSER, LEVELS = 121, 8, 6
FILE = Path(__file__).parent / "recorded_zooms.json"


def problem() -> Problem:
    """The network that every run of the figure trains."""
    return tanh_network(UNITS, seed=SEED)


def window_sweep(window: list[float], side: int) -> Sweep:
    """The runs of a window, [log₁₀ η₁ from, to, log₁₀ η₂ from, to]: rows of η₂, in which η₁ grows.

    >>> [axis.name for axis in window_sweep(WHOLE, 5).axes]
    ['lr_W2', 'lr_W1']
    """
    left, right, low, high = window
    axes = (log_axis("lr_W2", 10.0**low, 10.0**high, side), log_axis("lr_W1", 10.0**left, 10.0**right, side))
    return Sweep(problem(), axes, STEPS)


def colours_of(measure: np.ndarray) -> np.ndarray:
    """A byte for each run: 0 … 127 for those that learned, the soonest first; 128 … 255 for the others, the last to blow up first.

    >>> colours_of(np.array([[-3.0, -9.0], [2.0, 7.0]])).tolist()
    [[0, 127], [255, 128]]
    """
    colours = np.empty(measure.shape, dtype=np.uint8)
    for part, base in ((measure < 0, 0), (measure >= 0, 128)):
        values, places = np.unique(-measure[part], return_inverse=True)
        colours[part] = base + np.round(127 * places / max(1, len(values) - 1)).astype(np.uint8)
    return colours


def draw_window(window: list[float], side: int = SIDE) -> dict[str, Any]:
    """The map of a window, as the figure takes it: window, side, and the bytes row by row from the lowest η₂ up."""
    measure = run_sweep(window_sweep(window, side), progress=False).measure
    return {"window": window, "side": side, "colours": base64.b64encode(colours_of(measure).tobytes()).decode()}


def bytes_of(drawn: dict[str, Any]) -> np.ndarray:
    """A drawn window's bytes, (side, side), row 0 the lowest η₂."""
    return np.frombuffer(base64.b64decode(drawn["colours"]), dtype=np.uint8).reshape(drawn["side"], drawn["side"])


def closer(window: list[float], u: float, v: float, factor: float = CLOSER) -> list[float]:
    """The window `factor` times as close, around the place that is u of the way across and v of the way up.

    >>> closer([0.0, 8.0, 0.0, 4.0], 0.5, 0.25, factor=2)
    [2.0, 6.0, 0.0, 2.0]
    """
    left, right, low, high = window
    x, y = left + u * (right - left), low + v * (high - low)
    half_x, half_y = (right - left) / (2 * factor), (high - low) / (2 * factor)
    return [x - half_x, x + half_x, y - half_y, y + half_y]


def most_mixed(colours: np.ndarray) -> tuple[float, float]:
    """(u, v) of the place where, within an eighth of the picture, most neighbours differ in whether they learned."""
    learned = colours < 128
    differ = np.zeros(learned.shape)
    differ[:, 1:] += learned[:, 1:] != learned[:, :-1]
    differ[1:] += learned[1:] != learned[:-1]
    side, box = len(learned), len(learned) // CLOSER
    sums = np.lib.stride_tricks.sliding_window_view(differ, (box, box)).sum((2, 3))
    row, column = np.unravel_index(sums.argmax(), sums.shape)
    return (column + box / 2) / side, (row + box / 2) / side


def record() -> list[dict[str, Any]]:
    """All windows, the whole map first."""
    drawn = [draw_window(WHOLE)]
    while len(drawn) < LEVELS:
        drawn.append(
            draw_window([round(end, 12) for end in closer(drawn[-1]["window"], *most_mixed(bytes_of(drawn[-1])))])
        )
    return drawn


@cache
def recorded_zooms() -> list[dict[str, Any]]:
    """What the file holds."""
    return json.loads(FILE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    FILE.write_text(json.dumps(record()) + "\n", encoding="utf-8")
