"""Counting as a still picture: one row a frame, with the batch just taken, and what the counts are then."""

from collections.abc import Sequence
from fractions import Fraction

from gdlab.figures.svg import COLOURS, INK, picture, text

MOST_ROWS = 13
"""How many frames are drawn; the rest is counted in words."""

Row = tuple[int, Sequence[Sequence[int]], int, int, int, Fraction]

LEFT, ROOM, TOP, PITCH = 30.0, 330.0, 40.0, 29.0
HIGH = 21.0  # of a tile


def epochs_picture(rows: Sequence[Row]) -> str:
    """Draw what has been taken after each update.

    Args:
        rows: (epoch, its batches, batches taken of it, updates made, examples seen, epochs seen) of each frame.

    Returns:
        The text of one <svg> element.
    """
    parts = [
        text(8, 22, "updates made", more=' font-weight="600"'),
        text(LEFT + ROOM + 14, 22, "examples", more=' font-weight="600"'),
        text(LEFT + ROOM + 90, 22, "epochs", more=' font-weight="600"'),
    ]
    for i, (epoch, batches, taken, made, examples, epochs) in enumerate(rows[:MOST_ROWS]):
        y = TOP + i * PITCH
        parts += [text(20, y + 15, str(made), "end"), *_batches(batches, taken, y)]
        parts.append(text(LEFT + ROOM + 14, y + 15, str(examples)))
        parts.append(text(LEFT + ROOM + 90, y + 15, f"{epochs}  (epoch {epoch})"))
    height = TOP + min(len(rows), MOST_ROWS) * PITCH + 8
    if len(rows) > MOST_ROWS:
        parts.append(text(LEFT, height + 8, f"… and {len(rows) - MOST_ROWS} more"))
        height += 20
    said = " ".join(
        f"After {made} updates: {examples} examples, {epochs} epochs." for *_, made, examples, epochs in rows
    )
    return picture(LEFT + ROOM + 190, max(height, 160), "Epochs and steps", said, *parts)


def _batches(batches: Sequence[Sequence[int]], taken: int, y: float) -> list[str]:
    """The tiles of an epoch: taken before, taken just now, still to come."""
    count = sum(map(len, batches))
    size = min(24.0, (ROOM - 8 * len(batches)) / max(count, 1) if count <= 16 else (ROOM - 2 * len(batches)) / count)
    x, parts = LEFT, []
    for number, batch in enumerate(batches):
        for example in batch:
            fill, opacity = (COLOURS[0], 0.2 if number < taken - 1 else 0.75) if number < taken else ("none", 1)
            box = f'<rect x="{x:.1f}" y="{y:g}" width="{size - 2:.1f}" height="{HIGH:g}" rx="3" fill="{fill}"'
            parts.append(f'{box} fill-opacity="{opacity}" stroke="{INK}" stroke-opacity=".6"/>')
            if size >= 16:
                parts.append(text(round(x + size / 2 - 1, 1), y + 15, str(example), "middle", ' font-size="11"'))
            x += size
        x += 8 if count <= 16 else 2
    return parts
