"""What still pictures share: a self-contained SVG with a title and a description, axes, lines, marks, labels.

A picture stands in for a living figure on paper and without JavaScript, and shows a learner "yours"
beside "right". Coordinates are numbers of the picture's own units; on a page it shrinks to the room it
has. Colours come from the page the picture stands in (its theme's variables, else `currentColor`), so it
reads in light and dark. What is drawn side by side differs in colour, in dash and in mark.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from gdlab.figures.text import significant

INK = "var(--gdl-ink, var(--pst-color-text-base, var(--jp-ui-font-color1, currentColor)))"
PAPER = "var(--gdl-paper, var(--pst-color-background, var(--jp-layout-color0, Canvas)))"
COLOURS = (
    "var(--gdl-path, #d55e00)",
    "var(--gdl-slope, #0072b2)",
    "var(--gdl-third, #0b8a66)",
    "var(--gdl-fourth, #a8508a)",
)  # Okabe and Ito's, darkened where white would swallow them
DASHES = ("", "7 4", "2 3", "10 3 2 3")

HUGE = 1e300
"""Numbers beyond this are drawn as this: sums and differences of them still fit into a float."""

TINY = 1e-300
"""Numbers nearer to 0 than this are drawn as 0: they can still be divided by."""

Point = tuple[float, float]


def picture(width: float, height: float, title: str, description: str, *parts: str) -> str:
    """One <svg> element around `parts`, with a title and a description for who cannot see it."""
    name = unique(title, description, width, height, *parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="gdl-picture" viewBox="0 0 {width} {height}" width="{width}"'
        f' role="img" aria-labelledby="{name}t {name}d" style="max-width:100%;height:auto" fill="{INK}"'
        f' font-family="system-ui, sans-serif" font-size="13">'
        f'<title id="{name}t">{escape(printable(title))}</title>'
        f'<desc id="{name}d">{escape(printable(description))}</desc>{"".join(parts)}</svg>'
    )


def unique(*content) -> str:
    """A name for elements of a page, different for different content and the same in every build."""
    return "gdl" + hashlib.sha256(repr(content).encode("utf-8", "replace")).hexdigest()[:10]


def printable(text: str) -> str:
    """Without the control characters that XML forbids."""
    return "".join(c if c in "\t\n" or c.isprintable() else "�" for c in text)


def shortened(text: str, length: int) -> str:
    """At most `length` characters, an ellipsis where something was cut off."""
    return text if len(text) <= length else text[: length - 1] + "…"


def a_float(value) -> float:
    """Whatever a wrong answer holds, as a float: "not a number" stands for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


# ---------------------------------------------------------------------- axes


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` drawn from `start` to `end`; `log` spaces them by their logarithm.

    >>> Axis(0.0, 10.0, 50.0, 150.0)(2.5)
    75.0
    >>> Axis(1.0, 100.0, 0.0, 60.0, log=True)(10.0)
    30.0
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 2)

    def holds(self, value: float) -> bool:
        """Whether a value has a place on the axis; False for "not a number" too."""
        slack = 1e-9 * (self.high - self.low)
        return self.low - slack <= value <= self.high + slack

    def near(self, value: float) -> float:
        """The place of a value; of one far outside, a place as far outside as the axis is long."""
        if self.log:
            value = min(max(value, self.low * (self.low / self.high)), self.high * (self.high / self.low))
        else:
            value = min(max(value, 2 * self.low - self.high), 2 * self.high - self.low)
        return self(value)

    def ticks(self, count: int) -> list[float]:
        """About `count` round numbers on the axis: powers of ten on a logarithmic one that is long enough."""
        if not self.log or math.log10(self.high / self.low) < 1.5:
            return ticks(self.low, self.high, count)
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        return [10.0**power for power in range(first, last + 1, max(1, math.ceil((last - first) / count)))]


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from low to high.

    >>> ticks(0.0, 10.0, 5)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    gap = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    return [i * gap for i in range(math.ceil(low / gap - 1e-9), math.floor(high / gap + 1e-9) + 1)]


def axes(x: Axis, y: Axis, x_label: str, y_label: str, *, across: int = 6, up: int = 5) -> str:
    """A quiet grid, numbers and names along the left and the lower edge."""
    left, right, floor, ceiling = x.start, x.end, y.start, y.end
    parts = [line([(left, floor), (right, floor)], INK, opacity=0.5)]
    for value in y.ticks(up):
        parts.append(line([(left, y(value)), (right, y(value))], INK, opacity=0.13))
        parts.append(text(left - 7, y(value) + 4, significant(value), "end", ' opacity=".75"'))
    for value in x.ticks(across):
        parts.append(line([(x(value), floor), (x(value), floor + 5)], INK, opacity=0.5))
        parts.append(text(x(value), floor + 19, significant(value), "middle", ' opacity=".75"'))
    parts.append(text(right, floor + 35, x_label, "end", ' font-style="italic"'))
    parts.append(text(left - 7, ceiling - 10, y_label, more=' font-style="italic"'))
    return "".join(parts)


# ---------------------------------------------------------------------- marks


def text(x: float, y: float, words: str, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{escape(printable(words))}</text>'


def line(points: Iterable[Point], colour: str, width: float = 1, dash: str = "", opacity: float = 1) -> str:
    """A line through points; of fewer than two nothing is drawn."""
    listed = " ".join(f"{px:g},{py:g}" for px, py in points)
    if " " not in listed:
        return ""
    more = (f' stroke-dasharray="{dash}"' if dash else "") + (f' stroke-opacity="{opacity}"' if opacity != 1 else "")
    return f'<polyline points="{listed}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"{more}/>'


def mark(px: float, py: float, i: int, r: float = 4.5) -> str:
    """A point of the i-th thing that is drawn: circles, squares, diamonds, triangles."""
    shapes = (
        f'<circle cx="{px:g}" cy="{py:g}" r="{r:g}"',
        f'<rect x="{px - r:g}" y="{py - r:g}" width="{2 * r:g}" height="{2 * r:g}"',
        f'<path d="M{px:g} {py - r - 1:g}l{r + 1:g} {r + 1:g}l{-r - 1:g} {r + 1:g}l{-r - 1:g} {-r - 1:g}z"',
        f'<path d="M{px:g} {py - r - 1:g}l{r + 1:g} {2 * r:g}h{-2 * r - 2:g}z"',
    )
    return f'{shapes[i % len(shapes)]} fill="{colour(i)}" stroke="var(--gdl-paper, transparent)" stroke-width="1.5"/>'


def colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def dash(i: int) -> str:
    return DASHES[i % len(DASHES)]


def clipped(x: Axis, y: Axis, *parts: str) -> str:
    """Parts, cut off at the edges of the axes."""
    name = unique("clip", x, y, *parts)
    slack = 4  # a mark on the edge stays whole
    left, width = min(x.start, x.end) - slack, abs(x.end - x.start) + 2 * slack
    top, height = min(y.start, y.end) - slack, abs(y.end - y.start) + 2 * slack
    return (
        f'<clipPath id="{name}"><rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}"/></clipPath>'
        f'<g clip-path="url(#{name})">{"".join(parts)}</g>'
    )


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights for labels that belong at `places`, moved no further than needed to stand `gap` apart.

    >>> spread([10.0, 12.0, 50.0], gap=14.0, low=0.0, high=100.0)
    [10.0, 24.0, 50.0]
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    floor = low
    for i in order:
        moved[i] = max(places[i], floor)
        floor = moved[i] + gap
    ceiling = high
    for i in reversed(order):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved
