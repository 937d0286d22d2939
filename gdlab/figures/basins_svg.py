"""Landscape as a still picture: the walk over the loss across the ridge, and below it the outcomes of starts and rates.

Both share the horizontal axis. Outcomes differ in colour and in pattern, and stand with their names beside the map.
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from gdlab import objectives
from gdlab.figures.svg import COLOURS, INK, PAPER, Axis, axes, clipped, line, mark, picture, shortened, text, unique
from gdlab.figures.text import number, significant

WIDTH, LEFT, RIGHT = 640.0, 58.0, 500.0
REACH = 1.9

FAR = 10.0
"""What lies further away is not drawn."""

LOOKS = {
    "left": (COLOURS[1], "M-2 2l4-4M0 8l8-8M6 10l4-4", "left well"),
    "right": (COLOURS[2], "M2 2h2M6 6h2", "right well"),
    "ridge": (INK, "M0 0h8v8h-8z", "stuck"),
    "bouncing": (COLOURS[3], "M0 2l2 4 2-4 2 4 2-4", "bouncing"),
    "diverged": (INK, "", "diverged"),
}
"""For each outcome its colour, its pattern and its name."""


def landscape_picture(
    surface: str,
    walk: Sequence,
    lr: float,
    rates: Sequence[float],
    rows: Sequence[Sequence[str]],
    note: str = "",
    name: str = "the walk",
) -> str:
    """Draw a walk, and the outcomes of many.

    Args:
        surface: "double_well" or "saddle", of which the cut through both wells is drawn.
        walk: its points, θ or [x, y].
        lr: its rate.
        rates: the rates of the map's rows, evenly spaced and ascending.
        rows: for each rate the outcomes over evenly spaced starts; empty when nothing is known.
        note: a sentence that stands above: why the walk ends early.
        name: what the walk is called.

    Returns:
        The text of one <svg> element.
    """
    plane = surface == "saddle"
    loss = getattr(objectives, surface).loss
    low, high = (-0.4, 2.2) if plane else (-0.25, 3.0)
    x, y = Axis(-REACH, REACH, LEFT, RIGHT), Axis(low, high, 190.0, 30.0)
    cut = [-REACH + 2 * REACH * i / 120 for i in range(121)]
    curve = [(x(place), y.near(float(loss([0.0, place] if plane else place)))) for place in cut]
    inside = [point for point in walk if np.max(np.abs(point)) <= FAR]  # False for "not a number" too
    spots = [(x.near(_across(point)), y.near(float(loss(point)))) for point in inside]
    half = (rates[1] - rates[0]) / 2
    down = Axis(0.0, rates[-1] + half, 440.0, 240.0)
    start = (x.near(_across(walk[0])), down.near(lr))
    said = f"From {_named(walk[0])} at η = {significant(lr)} the walk is at {_named(walk[-1])} after {len(walk) - 1} steps."
    counts = {name: sum(row.count(name) for row in rows) for name in LOOKS}
    total = max(1, sum(counts.values()))
    shares = ", ".join(f"{LOOKS[name][2]} {100 * count / total:.0f} %" for name, count in counts.items())
    patterns = unique(surface, rates, rows)
    return picture(
        WIDTH,
        490,
        "Where walks end between two wells",
        f"{said} Of the starts and rates in the map: {shares}. {note}".strip(),
        axes(x, y, "", "loss L", across=4, up=3),
        clipped(
            x,
            y,
            line(curve, INK, 2, opacity=0.4),
            line(spots, COLOURS[0], 2),
            *(mark(px, py, 0, 3) for px, py in spots[1:]),
            *(mark(px, py, 0, 5.5) for px, py in spots[:1]),
        ),
        text(RIGHT + 14, 60, shortened(note or name, 24), more=f' fill="{COLOURS[0]}" font-weight="600"'),
        _map(patterns, rows, down.end, down.start),
        axes(x, down, "start y₀" if plane else "start θ₀", "learning rate η", across=4, up=5),
        line([(x(0), down.start), (x(0), down.end)], INK, 1.5),
        text(
            x(0),
            y(float(loss([0.0, 0.0] if plane else 0.0))) + 18,
            "saddle" if plane else "ridge",
            "middle",
            ' opacity=".75"',
        ),
        line([start, (start[0], 190.0)], INK, 1, "1 4"),
        mark(*start, 0, 5.5),
        _names(patterns, [outcome for outcome in LOOKS if counts[outcome]]),
    )


def _across(point) -> float:
    return float(point[-1]) if isinstance(point, list) else float(point)


def _named(point) -> str:
    if isinstance(point, list):
        return f"({number(point[0])}, {number(point[1])})"
    return f"θ = {number(point)}"


def _map(name: str, rows: Sequence[Sequence[str]], top: float, bottom: float) -> str:
    """Tiles of every outcome, those of one outcome beside each other in one piece, the lowest rate at the bottom."""
    tiles = dict.fromkeys(LOOKS, "")
    high = (bottom - top) / max(1, len(rows))
    for j, row in enumerate(rows):
        wide, i = (RIGHT - LEFT) / len(row), 0
        for outcome, same in groupby(row):
            count = len(list(same))
            tiles[outcome] += (
                f"M{LEFT + i * wide:.1f} {bottom - (j + 1) * high:.1f}h{count * wide:.1f}v{high:.1f}h{-count * wide:.1f}z"
            )
            i += count
    return "".join(_pattern(name, outcome) for outcome in LOOKS) + "".join(
        f'<path d="{d}" fill="url(#{name}{outcome})"/>' for outcome, d in tiles.items() if d
    )


def _pattern(name: str, outcome: str) -> str:
    colour, lines, _ = LOOKS[outcome]
    fill = colour if outcome == "ridge" else "none"
    return (
        f'<pattern id="{name}{outcome}" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" fill="{PAPER}"/><rect width="8" height="8" fill="{colour}" fill-opacity=".14"/>'
        f'<path d="{lines}" fill="{fill}" stroke="{colour}" stroke-width="1.5" stroke-opacity=".75"/></pattern>'
    )


def _names(name: str, outcomes: Sequence[str]) -> str:
    return "".join(
        f'<rect x="{RIGHT + 14:g}" y="{244 + 30 * i}" width="22" height="18" fill="url(#{name}{outcome})"/>'
        + text(RIGHT + 43, 257 + 30 * i, LOOKS[outcome][2])
        for i, outcome in enumerate(outcomes)
    )
