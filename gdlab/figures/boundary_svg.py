"""Trainability as a still picture: recorded windows, each the middle of the one before seen closer."""

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from gdlab.figures.svg import INK, Axis, axes, picture, text
from gdlab.figures.text import significant
from gdlab.figures.zooms import bytes_of

LEARNS = ((244, 248, 252), (74, 150, 207))
"""From the run that learns soonest to the last one that does: light, so that lightness alone tells."""

FAILS = ((146, 64, 0), (30, 10, 0))
"""From the run that fails latest to the one that blows up first: dark."""

SIZE, GAP, LEFT = 186.0, 48.0, 52.0


def palette() -> list[tuple[int, ...]]:
    """The colour of each byte of `zooms.colours_of`.

    >>> len(palette()), palette()[0], palette()[255]
    (256, (244, 248, 252), (30, 10, 0))
    """
    return [
        tuple(round(a + (b - a) * i / 127) for a, b in zip(*ends, strict=True))
        for ends in (LEARNS, FAILS)
        for i in range(128)
    ]


def png(colours: np.ndarray) -> bytes:
    """A picture of bytes, row 0 at the bottom, as a PNG file with `palette`."""
    height, width = colours.shape
    rows = b"".join(b"\x00" + row.tobytes() for row in colours[::-1])
    parts = (
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", b"".join(map(bytes, palette()))),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def trainability_picture(windows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """Draw windows side by side.

    Args:
        windows: drawn windows, as in `zooms.recorded_zooms`.
        names: what stands above each.

    Returns:
        The text of one <svg> element.
    """
    parts, shares = [], []
    for i, (drawn, name) in enumerate(zip(windows, names, strict=True)):
        left, right, low, high = drawn["window"]
        start = LEFT + i * (SIZE + GAP)
        colours = bytes_of(drawn)
        data = base64.b64encode(png(colours)).decode()
        parts.append(
            f'<image x="{start:g}" y="36" width="{SIZE:g}" height="{SIZE:g}" preserveAspectRatio="none" '
            f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
        )
        x, y = Axis(left, right, start, start + SIZE), Axis(low, high, 36 + SIZE, 36.0)
        parts.append(axes(x, y, "log₁₀ η₁", "", across=2, up=3))
        parts.append(text(start, 24, name, more=f' font-weight="600" fill="{INK}"'))
        shares.append(f"{name}: {100 * float(np.mean(colours < 128)):.0f} % of the runs learn")
    parts.append(text(LEFT - 7, 10, "log₁₀ η₂", more=' font-style="italic"'))
    foot = 36 + SIZE + 62
    for x, ends, name in (
        (LEFT, LEARNS, "learns (lighter: sooner)"),
        (LEFT + 230, FAILS, "does not (darker: sooner gone)"),
    ):
        parts.append(f'<rect x="{x:g}" y="{foot - 12:g}" width="26" height="15" fill="rgb{ends[1]}" stroke="{INK}"/>')
        parts.append(text(x + 34, foot, name))
    width = LEFT + len(windows) * (SIZE + GAP)
    last = windows[-1]["window"]
    said = f"The last window spans {significant(10 ** (last[1] - last[0]) - 1)} of a rate."
    return picture(
        width, foot + 14, "Which pairs of learning rates train a network", f"{'; '.join(shares)}. {said}", *parts
    )
