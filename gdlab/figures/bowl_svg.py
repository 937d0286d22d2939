"""The bowl and one or more walks on it, as a still picture: a self-contained SVG with a title and a description.

It stands in for the living figure on paper and without JavaScript, and it shows a learner "your
trajectory" beside "the right one". A walk may contain anything a wrong answer can produce: points far
outside, infinities, "not a number", a single point or none. The view stops at `FAR` from the minimum,
and the picture says which walk leaves it and when.

Colours come from the page the picture stands in (its theme's variables, else `currentColor`), so it
reads in light and dark. Walks differ in colour, in dash and in mark.
"""

import math
from collections.abc import Callable, Sequence

from gdlab.figures.svg import INK, colour, dash, mark, picture, shortened, text, ticks, unique
from gdlab.figures.text import number
from gdlab.objectives import bowl

FAR = 20.0
"""How far from the minimum the view reaches at most, in units of θ."""

NEAR = 4.0
"""How far from the minimum the view reaches at least: from there the book's walk starts."""

Path = Sequence[float]
Scale = Callable[[float], float]


def bowl_picture(paths: Sequence[tuple[str, Path]], width: int = 640, height: int = 360, *, table: bool = False) -> str:
    """Draw walks on the bowl.

    Args:
        paths: (label, θ₀ θ₁ …) for each walk; the label is shown as it is, whatever it contains.
        width, height: the picture's size in its own units; on a page it shrinks to the room it has.
        table: list the first walk's numbers beside the curve.

    Returns:
        The text of one <svg> element.
    """
    walks = [(str(label), [float(theta) for theta in path]) for label, path in paths]
    listing = _table(walks[0][1], width, height) if table and walks else ""
    room = width - 210 if listing else width
    distance = _view(path for _, path in walks)
    top = 1.18 * (distance**2 + 0.5)
    left, right, ceiling, floor = 46.0, room - 12.0, 14.0 + 20 * len(walks), height - 36.0
    x = _scale(*_domain(distance), left, right)
    y = _scale(-0.14 * top, top, floor, ceiling)
    what = "; ".join(_sentence(label, path) for label, path in walks) or "no walk"
    name = unique(walks, width, height, table)
    return picture(
        width,
        height,
        "Gradient descent on the bowl L(θ) = (θ − 3)² + 0.5",
        f"{what}.",
        f'<clipPath id="{name}c"><rect x="{left}" y="{ceiling}" width="{right - left}" height="{floor - ceiling}"/></clipPath>',
        _axes(x, y, distance, top, (left, right, ceiling, floor)),
        f'<g clip-path="url(#{name}c)">{_curve(x, y, distance)}',
        *reversed([_walk(x, y, path, i) for i, (_, path) in enumerate(walks)]),  # the first walk lies on top
        "</g>",
        _minimum(x, y),
        *(_legend(label, path, i, left) for i, (label, path) in enumerate(walks)),
        listing,
    )


# What the numbers say


def _loss(theta: float) -> float:
    """L(θ), infinite where a float cannot hold it: Python's own power raises instead."""
    try:
        return bowl.loss(theta)
    except OverflowError:
        return math.inf


def _drawable(theta: float) -> bool:
    return abs(theta - bowl.minimum) <= FAR  # False for "not a number" too


def _view(paths) -> float:
    """How far from the minimum the picture has to reach."""
    seen = [abs(theta - bowl.minimum) for path in paths for theta in path if _drawable(theta)]
    return max([NEAR, *seen])


def _domain(distance: float) -> tuple[float, float]:
    """The θ axis: more room on the left, where names stand."""
    return bowl.minimum - 1.75 * distance, bowl.minimum + 1.4 * distance


def _leaves(path: Path) -> str:
    """Where a walk leaves the picture, in words; empty if it stays."""
    for step, theta in enumerate(path):
        if math.isnan(theta):
            return f"not a number at step {step}"
        if not _drawable(theta):
            return f"leaves the picture at step {step}"
    return ""


def _sentence(label: str, path: Path) -> str:
    if not path:
        return f"{label}: no points"
    shown = [number(theta) for theta in path]
    points = ", ".join(shown if len(shown) <= 8 else [*shown[:6], "…", shown[-1]])
    return f"{label}: θ = {points}" + (f", {_leaves(path)}" if _leaves(path) else "")


# What the pen does


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: round(start + (value - low) / (high - low) * (end - start), 2)


def _axes(x: Scale, y: Scale, distance: float, top: float, box: tuple[float, float, float, float]) -> str:
    left, right, ceiling, floor = box
    low, high = _domain(distance)
    lines = [f'<path d="M{left} {floor}H{right}" stroke="{INK}" stroke-opacity=".5"/>']
    for loss in ticks(0, top, 5):
        lines.append(f'<path d="M{left} {y(loss)}H{right}" stroke="{INK}" stroke-opacity=".13"/>')
        lines.append(text(left - 7, y(loss) + 4, number(loss), "end", ' opacity=".75"'))
    for theta in ticks(low, high, 7):
        lines.append(f'<path d="M{x(theta)} {floor}v5" stroke="{INK}" stroke-opacity=".5"/>')
        lines.append(text(x(theta), floor + 19, number(theta), "middle", ' opacity=".75"'))
    lines.append(text(right, floor + 33, "θ", "end", ' font-style="italic"'))
    lines.append(text(left + 7, ceiling + 10, "loss L", more=' font-style="italic"'))
    return "".join(lines)


def _curve(x: Scale, y: Scale, distance: float) -> str:
    thetas = [bowl.minimum + distance * (-1.4 + 2.8 * i / 120) for i in range(121)]
    points = " ".join(f"{x(theta)},{y(bowl.loss(theta))}" for theta in thetas)
    return f'<polyline points="{points}" fill="none" stroke="{INK}" stroke-opacity=".45" stroke-width="2"/>'


def _minimum(x: Scale, y: Scale) -> str:
    px, py = x(bowl.minimum), y(bowl.loss(bowl.minimum))
    ring = f'<circle cx="{px}" cy="{py}" r="6" fill="none" stroke="{INK}" stroke-width="1.5"/>'
    return ring + text(px + 4, py + 20, f"minimum at θ = {number(bowl.minimum)}", more=' font-size="12"')


def _walk(x: Scale, y: Scale, path: Path, i: int) -> str:
    """The walk up to the first point that is no place at all; points far outside are clipped away."""
    points = []
    for theta in path:
        if not math.isfinite(theta):
            break
        theta = min(max(theta, bowl.minimum - 3 * FAR), bowl.minimum + 3 * FAR)  # keeps coordinates small
        points.append((x(theta), y(bowl.loss(theta))))
    line = " ".join(f"{px},{py}" for px, py in points)
    dashes = f' stroke-dasharray="{dash(i)}"' if dash(i) else ""
    trail = f'<polyline points="{line}" fill="none" stroke="{colour(i)}" stroke-width="2.5" stroke-linejoin="round"{dashes}/>'
    return (trail if points else "") + "".join(mark(px, py, i, 4.5 if k else 6.5) for k, (px, py) in enumerate(points))


def _legend(label: str, path: Path, i: int, left: float) -> str:
    words = shortened(label, 60)
    away = "no points" if not path else _leaves(path)
    return mark(left + 8, 13.0 + 20 * i, i) + text(left + 22, 17.5 + 20 * i, f"{words} ({away})" if away else words)


def _table(path: Path, width: int, height: int) -> str:
    """Step, θ and L of a walk, as many rows as fit."""
    rows = [(str(step), number(theta), number(_loss(theta))) for step, theta in enumerate(path)]
    fit = max(2, (height - 90) // 24)
    if len(rows) > fit:
        rows = [*rows[: fit - 2], ("…", "", ""), rows[-1]]
    columns = (width - 160, width - 85, width - 8)
    lines = [_row(columns, 52, ("step", "θ", "L"), ' font-weight="600"')]
    lines.append(f'<path d="M{width - 190} 60H{width - 8}" stroke="{INK}" stroke-opacity=".5"/>')
    lines += [_row(columns, 80 + 24 * i, row) for i, row in enumerate(rows)]
    return "".join(lines)


def _row(columns: Sequence[float], y: float, words: Sequence[str], more: str = "") -> str:
    return "".join(text(x, y, word, "end", more) for x, word in zip(columns, words, strict=True))
