"""Batch noise as a still picture: the fan at each batch size, and beside them the standard error over the batch size.

The first walk of each panel is bold, the others make the fan, and the full batch's walk is dashed.
"""

import math
from collections.abc import Sequence

from gdlab.figures.svg import COLOURS, INK, Axis, Point, axes, clipped, line, mark, picture, shortened, text
from gdlab.figures.text import number

Walk = Sequence[Sequence[float]]
Panel = tuple[str, Sequence[Walk]]

ACROSS, UP = (-3.6, 3.0), (-2.6, 4.0)  # what the panels show of intercept and slope
SIZE, GAP, PITCH = 200.0, 18.0, 272.0


def fan_picture(
    panels: Sequence[Panel],
    full: Walk,
    minimum: Sequence[float],
    errors: Sequence[tuple[int, float, float]],
    note: str = "",
) -> str:
    """Draw the walks of each panel, and the standard error of the gradient.

    Args:
        panels: (name, walks) for each; a walk is a list of [intercept, slope].
        full: the walk of the full batch.
        minimum: where the loss is least.
        errors: (batch size, expected error, measured error), batch sizes ascending.
        note: a sentence that stands beside the walks: why they end early.

    Returns:
        The text of one <svg> element.
    """
    width = 2 * SIZE + 3 * GAP + 60
    parts = [_panel(panel, full, minimum, _corner(i)) for i, panel in enumerate(panels)]
    parts.append(_errors(errors, _corner(len(panels))))
    rows = math.ceil((len(panels) + 1) / 2)
    height = rows * PITCH + (24 if note else 0)
    if note:
        parts.append(text(GAP, height - 10, shortened(note, 70), more=' font-weight="600"'))
    said = ", ".join(f"{number(error)} at {size}" for size, error, _ in errors)
    names = ", ".join(name for name, _ in panels)
    return picture(
        width,
        height,
        "Batch noise",
        f"Walks to the minimum with gradients of {names}. Standard error by batch size: {said}. {note}".strip(),
        *parts,
    )


def _corner(i: int) -> Point:
    return 40 + (i % 2) * (SIZE + GAP + 40), 30 + (i // 2) * PITCH


def _panel(panel: Panel, full: Walk, minimum: Sequence[float], corner: Point) -> str:
    name, walks = panel
    left, top = corner
    x, y = Axis(*ACROSS, left, left + SIZE), Axis(*UP, top + SIZE, top)
    placed = [[(x.near(b), y.near(w)) for b, w in walk if math.isfinite(b + w)] for walk in (full, *walks)]
    fan = [line(points, COLOURS[0], 1, opacity=0.25) for points in placed[2:]]
    bold = placed[1] if len(placed) > 1 else []
    ring = (
        f'<circle cx="{x(minimum[0]):g}" cy="{y(minimum[1]):g}" r="5" fill="none" stroke="{INK}" stroke-width="1.5"/>'
    )
    dots = [mark(*point, 0, 2.5) for point in bold]
    walked = (*fan, line(placed[0], COLOURS[1], 2, "5 3"), line(bold, COLOURS[0], 2), *dots, ring)
    return axes(x, y, "intercept b", "", across=5, up=5) + clipped(x, y, *walked) + _title(left, top, name)


def _errors(errors: Sequence[tuple[int, float, float]], corner: Point) -> str:
    left, top = corner
    x = Axis(0, math.log2(errors[-1][0]), left, left + SIZE)  # in doublings
    y = Axis(0, 1.1 * max(max(error, measured) for _, error, measured in errors), top + SIZE, top)
    curve = line([(x(math.log2(size)), y(error)) for size, error, _ in errors], COLOURS[1], 2)
    dots = [mark(x(math.log2(size)), y(measured), 2, 3) for size, _, measured in errors]
    floor = [
        text(x(math.log2(size)), top + SIZE + 19, str(size), "middle", ' opacity=".75"') for size, *_ in errors[::2]
    ]
    grid = [line([(left, y(v)), (left + SIZE, y(v))], INK, opacity=0.13) for v in y.ticks(4)]
    heights = [text(left - 7, y(v) + 4, number(v), "end", ' opacity=".75"') for v in y.ticks(4)]
    name = text(left + SIZE, top + SIZE + 35, "batch size B", "end", ' font-style="italic"')
    return "".join([*grid, *heights, *floor, name, curve, *dots, _title(left, top, "standard error")])


def _title(left: float, top: float, words: str) -> str:
    return text(left, top - 10, words, more=' font-weight="600"')
