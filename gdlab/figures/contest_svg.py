"""The optimizer race as a still picture: the walks on contours of the loss, and below them the loss over the steps.

Contour lines come from marching squares: each small cell of a grid says from the signs of its corners
which of its edges a line crosses; the pieces are joined into lines where they share an edge. The figure's
JavaScript draws them in the same way (contours.js).
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from gdlab.figures.svg import COLOURS, INK, Axis, axes, clipped, line, picture, shortened, spread, text
from gdlab.figures.text import significant
from gdlab.objectives import Objective

Span = tuple[float, float]
Edge = tuple[int, int, int]  # of a grid: row, column, and 0 for the edge to the right, 1 for the edge downwards

WIDTH, LEFT, RIGHT = 640.0, 62.0, 474.0
TOP, FLOOR = 14.0, 330.0  # of the contours
CEILING, BOTTOM = 392.0, 520.0  # of the losses
CELL = 8.0
LOWEST = 1e-6
"""Losses closer to the lowest than this lie below the picture."""

HUES = dict(zip(("path", "slope", "third", "fourth"), COLOURS, strict=True)) | {"quiet": INK, "ink": INK}
LOOKS = {
    "gradient_descent": ("gradient descent", "quiet", ""),
    "momentum": ("momentum", "slope", ""),
    "nesterov": ("Nesterov", "slope", "7 4"),
    "adagrad": ("AdaGrad", "third", ""),
    "rmsprop": ("RMSProp", "third", "7 4"),
    "adam": ("Adam", "path", ""),
    "adamw": ("AdamW", "path", "7 4"),
    "lion": ("Lion", "fourth", ""),
    "muon": ("Muon", "fourth", "7 4"),
    "schedule_free_sgd": ("schedule-free SGD", "quiet", "7 4"),
    "schedule_free_adamw": ("schedule-free AdamW", "path", "2 3"),
}
"""Name, hue and dashes of each rule; kin share a hue."""

OWN_DASHES = ("2 3", "9 3 2 3", "5 2", "1 5")


def look_of(name: str, own: Sequence[str]) -> tuple[str, str, str]:
    """Name, hue and dashes of a rule: one of `LOOKS`, or one of a learner's own.

    >>> look_of("lion", []), look_of("mine", ["mine"])
    (('Lion', 'fourth', ''), ('mine', 'ink', '2 3'))
    """
    return LOOKS[name] if name in LOOKS else (name, "ink", OWN_DASHES[own.index(name) % len(OWN_DASHES)])


def contest_picture(
    name: str,
    objective: Objective,
    view: tuple[Span, Span],
    levels: tuple[float, float, int, float],
    walks: Mapping[str, Sequence[Sequence[float]]],
    note: str = "",
) -> str:
    """Draw the walks of a race and their losses.

    Args:
        name: what the landscape is called.
        objective: its loss.
        view: what has to be in sight, across and up.
        levels: of the contour lines: lowest, highest, how many, and the power by which they crowd at the bottom.
        walks: the points [x, y] of each walk, under a key of `LOOKS` or under a name of its own.
        note: a sentence that stands below: why a learner's own rule went no further.

    Returns:
        The text of one <svg> element.
    """
    x, y = _plane(view)
    own = [key for key in walks if key not in LOOKS]
    looks = [look_of(key, own) for key in walks]
    placed = [[(x.near(a), y.near(b)) for a, b in walk if math.isfinite(a + b)] for walk in walks.values()]
    lines = [line(points, HUES[hue], 1.8, dash) for points, (_, hue, dash) in zip(placed, looks, strict=True)]
    lowest = float(objective.loss(np.array(objective.minimum)))
    with np.errstate(all="ignore"):  # a walk may fly off
        losses = [(objective.loss(np.array(walk, dtype=float)) - lowest).tolist() for walk in walks.values()]
    ends = ", ".join(f"{look[0]} {significant(loss[-1], 2)}" for look, loss in zip(looks, losses, strict=True))
    return picture(
        WIDTH,
        BOTTOM + (64 if note else 44),
        f"Optimizer race: {name}",
        f"Walks on contours of the loss. How far above the lowest loss each ends: {ends or 'nobody takes part'}. {note}".strip(),
        axes(x, y, "", ""),
        clipped(x, y, *_contours(objective, x, y, levels), *lines, *_points(objective, walks, x, y)),
        _losses(looks, losses),
        text(LEFT, BOTTOM + 56, shortened(note, 84), more=' font-weight="600"') if note else "",
    )


def _plane(view: tuple[Span, Span]) -> tuple[Axis, Axis]:
    """Axes of one unit, so that gradients stand at right angles to the contours; `view` is in the middle."""
    unit = min((RIGHT - LEFT) / (view[0][1] - view[0][0]), (FLOOR - TOP) / (view[1][1] - view[1][0]))
    reach = (RIGHT - LEFT) / unit / 2, (FLOOR - TOP) / unit / 2
    (left, right), (low, high) = [
        (sum(span) / 2 - half, sum(span) / 2 + half) for span, half in zip(view, reach, strict=True)
    ]
    return Axis(left, right, LEFT, RIGHT), Axis(low, high, FLOOR, TOP)


def _points(objective: Objective, walks: Mapping[str, Sequence[Sequence[float]]], x: Axis, y: Axis) -> list[str]:
    """The minima as rings, and the start."""
    parts = [_ring(x(a), y(b), 5) + text(x(a) + 8, y(b) + 15, "minimum") for a, b in objective.minima]
    for start in [walk[0] for walk in walks.values()][:1]:
        at = x.near(start[0]), y.near(start[1])
        parts.append(_ring(*at, 8) + text(at[0] + 12, at[1] + 5, "start", more=' font-weight="600"'))
    return parts


def _ring(px: float, py: float, r: float) -> str:
    return f'<circle cx="{px:g}" cy="{py:g}" r="{r:g}" fill="none" stroke="{INK}" stroke-width="1.5"/>'


# ---------------------------------------------------------------------- losses


def _losses(looks: Sequence[tuple[str, str, str]], losses: Sequence[Sequence[float]]) -> str:
    known = [loss for row in losses for loss in row if math.isfinite(loss)]
    top = 10.0 ** math.ceil(math.log10(min(max([1.0, *(row[0] for row in losses), *known[:1]]), 1e6)) + 0.3)
    x = Axis(0.0, float(max([1, *(len(row) - 1 for row in losses)])), LEFT, RIGHT)
    y = Axis(LOWEST, top, BOTTOM, CEILING, log=True)
    curves, heights = [], []
    for row, (_, hue, dash) in zip(losses, looks, strict=True):
        points = [(x(i), y.near(max(loss, 1e-300))) for i, loss in enumerate(row) if math.isfinite(loss)]
        curves.append(line(points, HUES[hue], 1.8, dash))
        heights.append(min(max(points[-1][1] if points else CEILING, CEILING), BOTTOM))
    names = [
        line([(RIGHT + 4, place - 4), (RIGHT + 22, place - 4)], HUES[hue], 2, dash)
        + text(RIGHT + 26, place, shortened(name, 19), more=' font-size="12"')
        for place, (name, hue, dash) in zip(spread(heights, 16, CEILING + 4, BOTTOM + 4), looks, strict=True)
    ]
    return axes(x, y, "step", "loss above the lowest", up=4) + clipped(x, y, *curves) + "".join(names)


# -------------------------------------------------------------------- contours


def _contours(objective: Objective, x: Axis, y: Axis, levels: tuple[float, float, int, float]) -> list[str]:
    low, high, count, power = levels
    columns, rows = round((x.end - x.start) / CELL), round((y.start - y.end) / CELL)
    across, down = np.linspace(x.start, x.end, columns + 1), np.linspace(y.end, y.start, rows + 1)
    values_x = np.linspace(x.low, x.high, columns + 1)
    values_y = np.linspace(y.high, y.low, rows + 1)
    loss = objective.loss(np.stack(np.meshgrid(values_x, values_y), axis=-1))
    lines = []
    for i in range(count):
        level = low + (high - low) * ((i + 1) / count) ** power
        d = contour_path(loss, level, across, down)
        lines.append(f'<path d="{d}" fill="none" stroke="{INK}" stroke-opacity=".18"/>')
    return lines


def contour_lines(heights: np.ndarray, level: float) -> list[list[Edge]]:
    """The lines along which a grid of heights has a level, each as the row of edges that it crosses.

    >>> contour_lines(np.array([[0.0, 0.0], [0.0, 1.0]]), 0.5)
    [[(0, 1, 1), (1, 0, 0)]]
    """
    above = heights >= level
    neighbours: dict[Edge, list[Edge]] = {}
    rows, columns = heights.shape
    for row in range(rows - 1):
        for column in range(columns - 1):
            edges = ((row, column, 0), (row, column + 1, 1), (row + 1, column, 0), (row, column, 1))
            corners = above[row, column], above[row, column + 1], above[row + 1, column + 1], above[row + 1, column]
            crossed = [edge for i, edge in enumerate(edges) if corners[i] != corners[(i + 1) % 4]]
            for a, b in zip(crossed[::2], crossed[1::2], strict=True):
                neighbours.setdefault(a, []).append(b)
                neighbours.setdefault(b, []).append(a)
    ends = [edge for edge, near in neighbours.items() if len(near) == 1]
    return [_follow(edge, neighbours) for edge in (*ends, *list(neighbours)) if neighbours[edge]]


def _follow(edge: Edge, neighbours: dict[Edge, list[Edge]]) -> list[Edge]:
    """From one edge to the next until there is none; what was walked is taken away."""
    chain = [edge]
    while neighbours[edge]:
        following = neighbours[edge].pop()
        neighbours[following].remove(edge)
        chain.append(following)
        edge = following
    return chain


def contour_path(heights: np.ndarray, level: float, across: np.ndarray, down: np.ndarray) -> str:
    """The same lines as an SVG path, for a grid whose columns stand at `across` and whose rows stand at `down`.

    >>> contour_path(np.array([[0.0, 0.0], [0.0, 1.0]]), 0.5, np.array([0.0, 10.0]), np.array([0.0, 10.0]))
    'M10.0 5.0L5.0 10.0'
    """
    lines = []
    for chain in contour_lines(heights, level):
        points = []
        for row, column, downwards in chain:
            other = row + downwards, column + 1 - downwards
            part = (level - heights[row, column]) / (heights[other] - heights[row, column])
            px = across[column] + part * (across[other[1]] - across[column])
            py = down[row] + part * (down[other[0]] - down[row])
            points.append(f"{px:.1f} {py:.1f}")
        lines.append("M" + "L".join(points))
    return "".join(lines)
