"""Curves side by side as a still picture: schedules, yours against the right one, or loss curves.

A curve may contain anything a wrong answer can produce: infinities, "not a number", numbers far beyond
all others, a single point or none. The first curve decides how much is in view; the others widen it up
to `FAR` times. What lies outside is cut off, and the picture says which curve leaves it and where.
"""

import math
from collections.abc import Iterable, Sequence

from gdlab.figures.svg import (
    HUGE,
    TINY,
    Axis,
    Point,
    a_float,
    axes,
    clipped,
    colour,
    dash,
    line,
    mark,
    picture,
    shortened,
    spread,
    text,
)
from gdlab.figures.text import significant

FAR = 4.0
"""How many times the first curve's range the picture shows at most."""

DECADES = 4
"""How many powers of ten below or above the first curve a logarithmic picture shows at most."""

FEW = 32
"""Up to so many points each one gets a mark: between two steps there is nothing."""

Curve = tuple[str, list[float], list[float]]
Stretch = list[Point]  # points with nothing missing between them


def curve_picture(
    curves: Sequence[tuple], *, x_label: str, y_label: str, log_y: bool = False, width: int = 460, height: int = 280
) -> str:
    """Draw curves into one picture, each with its label at its end.

    Args:
        curves: (label, ys), drawn over 0, 1, 2 …, or (label, xs, ys) for each; the first one decides
            how much is in view. What is no number stays a gap, and xs and ys end with the shorter one.
        x_label, y_label: what stands along the axes.
        log_y: space the heights by their logarithm; what is not above 0 has no place then.
        width, height: the picture's size in its own units; on a page it shrinks to the room it has.

    Returns:
        The text of one <svg> element.

    >>> curve_picture([("right", [0.0, 0.5, 1.0]), ("yours", [0.0, 1.0, 2.0])], x_label="step", y_label="rate")[:4]
    '<svg'
    """
    read = [_read(*curve) for curve in curves]
    shown = [_points(xs, ys, log_y) for _, xs, ys in read]
    across = _range([_all(stretches, 0) for stretches in shown], heights=False)
    heights = [_all(stretches, 1) for stretches in shown]
    up = _log_range(heights) if log_y else _range(heights)
    notes = [_note(label, xs, ys, Axis(*across, 0, 1), Axis(*up, 0, 1, log_y), x_label) for label, xs, ys in read]
    labels = [shortened(label, 24) for label, _, _ in read]
    room = min(0.4 * width, 24 + 7.6 * max(map(len, labels), default=0))
    told = [(i, note) for i, note in enumerate(notes) if note]
    x = Axis(*across, 62.0, width - 10.0 - room)
    y = Axis(*up, height - 42.0, 26.0 + 19 * len(told), log_y)
    drawn = [_draw(stretches, x, y, i) for i, stretches in enumerate(shown)]
    return picture(
        width,
        height,
        f"{y_label} over {x_label}",
        " ".join(_sentence(*curve, note) for curve, note in zip(read, notes, strict=True)) or "There is no curve.",
        axes(x, y, x_label, y_label),
        clipped(x, y, *drawn),
        _labels(labels, shown, x, y),
        *(_told(i, read[i][0], note, row, width) for row, (i, note) in enumerate(told)),
    )


# What the numbers say


def _read(label, *rows) -> Curve:
    ys = [a_float(y) for y in _each(rows[-1])]
    xs = [a_float(x) for x in _each(rows[0])] if len(rows) > 1 else [float(i) for i in range(len(ys))]
    length = min(len(xs), len(ys))
    return str(label), xs[:length], ys[:length]


def _each(row) -> Iterable:
    if isinstance(row, str | bytes | dict):
        return ()
    try:
        return list(row)
    except TypeError:  # nothing to go through: None, or a single number
        return () if row is None else (row,)


def _points(xs: list[float], ys: list[float], log_y: bool) -> list[Stretch]:
    """The points that have a place somewhere on the axes, however far; a gap begins a new stretch."""
    stretches: list[Stretch] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if math.isfinite(x) and math.isfinite(y) and not (log_y and y < TINY):
            stretches[-1].append((_bounded(x), _bounded(y)))
        elif stretches[-1]:
            stretches.append([])
    return [stretch for stretch in stretches if stretch]


def _bounded(value: float) -> float:
    return 0.0 if abs(value) < TINY else min(max(value, -HUGE), HUGE)


def _all(stretches: list[Stretch], coordinate: int) -> list[float]:
    return [point[coordinate] for stretch in stretches for point in stretch]


def _range(rows: list[list[float]], heights: bool = True) -> tuple[float, float]:
    """From the lowest to the highest number in view; heights from 0 where that costs little room."""
    first = next((row for row in rows if row), [0.0, 1.0])
    low, high = min(first), max(first)
    reach = (FAR - 1) * ((high / 2 - low / 2) or abs(high) / 2 or 0.5)
    kept = [value for row in rows for value in row if low - reach <= value <= high + reach]
    low, high = min([low, *kept]), max([high, *kept])
    if heights and 0 < low < 0.7 * high:
        low = 0.0
    if high - low <= 1e-12 * max(abs(low), abs(high)):  # a level line, or a single point
        gap = abs(high) or 1.0
        low, high = (0.0, 1.25 * high) if heights and high > 0 else (low - 0.5 * gap, high + 0.5 * gap)
    return low, high + (0.04 * (high - low) if heights else 0.0)


def _log_range(rows: list[list[float]]) -> tuple[float, float]:
    first = next((row for row in rows if row), [1.0, 10.0])
    low, high = math.log10(min(first)), math.log10(max(first))
    powers = [math.log10(value) for row in rows for value in row]
    kept = [power for power in powers if low - DECADES <= power <= high + DECADES]
    low, high = min([low, *kept]), max([high, *kept])
    gap = 0.06 * (high - low) or 0.5
    return 10.0 ** max(low - gap, -320), 10.0 ** min(high + gap, 305)


def _note(label: str, xs: list[float], ys: list[float], x: Axis, y: Axis, x_label: str) -> str:
    """Where a curve is not to be seen, in words; empty if all of it is."""
    if not ys:
        return "no points"
    for at, value in zip(xs, ys, strict=True):
        where = f"at {x_label} {significant(at)}"
        if math.isnan(at) or math.isnan(value):
            return f"not a number {where if math.isfinite(at) else ''}".strip()
        if y.log and value < TINY:
            return f"{significant(value)} {where}, and a logarithmic axis has no place for it"
        if not (x.holds(at) and y.holds(value)):
            return f"leaves the picture {where} with {significant(value)}"
    return ""


def _sentence(label: str, xs: list[float], ys: list[float], note: str) -> str:
    shown = [significant(y) for y in ys]
    values = ", ".join(shown if len(shown) <= 8 else [*shown[:5], "…", *shown[-2:]])
    return f"{label}: {values}; {note}." if note and values else f"{label}: {values or note}."


# What the pen does


def _draw(stretches: list[Stretch], x: Axis, y: Axis, i: int) -> str:
    few = sum(map(len, stretches)) <= FEW
    parts = []
    for stretch in stretches:
        placed = [(x.near(at), y.near(value)) for at, value in _thinned(stretch, x)]
        parts.append(line(placed, colour(i), 2.5, dash(i)))
        parts += [mark(px, py, i, 2.8) for px, py in placed if few or len(placed) == 1]
    return "".join(parts)


def _thinned(points: Stretch, x: Axis) -> Stretch:
    """At most four points a unit of width: the first, lowest, highest and last of those that fall there."""
    if len(points) <= 4 * abs(x.end - x.start):
        return points
    columns: dict[int, list[int]] = {}
    for i, (at, _) in enumerate(points):
        columns.setdefault(int(x.near(at)), []).append(i)
    kept = {
        i
        for column in columns.values()
        for i in (
            column[0],
            min(column, key=lambda k: points[k][1]),
            max(column, key=lambda k: points[k][1]),
            column[-1],
        )
    }
    return [points[i] for i in sorted(kept)]


def _labels(labels: list[str], shown: list[list[Stretch]], x: Axis, y: Axis) -> str:
    """Each curve's name beside its end; one without points is named only in the notes."""
    named = [i for i, stretches in enumerate(shown) if stretches]
    ends = [y(min(max(shown[i][-1][-1][1], y.low), y.high)) for i in named]
    return "".join(
        mark(x.end + 12, height, i, 4) + text(x.end + 21, height + 4.5, labels[i], more=' font-weight="600"')
        for i, height in zip(named, spread(ends, 17, y.end, y.start - 2), strict=True)
    )


def _told(i: int, label: str, note: str, row: int, width: int) -> str:
    words = shortened(f"{label}: {note}", int(width / 6.6) - 4)
    return mark(12, 12 + 19 * row, i, 4) + text(22, 16.5 + 19 * row, words)
