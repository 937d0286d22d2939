"""Batches as coloured tiles: a block for each epoch, a group for each batch, a numbered tile for each example.

What an epoch repeats, leaves out, or holds without it being an example at all is marked by form as well
as colour, and said in words. The epochs may be anything a wrong answer can produce: no lists at all,
numbers where batches should be, indices far outside, thousands of them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from gdlab.figures.svg import INK, a_float, colour, picture, shortened, text

MOST_EPOCHS = 6
MOST_TILES = 60
"""How many epochs, and tiles of one, are drawn; the rest is counted in words."""

READ = 100_000
"""How many examples of an epoch are looked at: enough for any exercise, and an answer cannot hold us up."""

SIZE, GAP, SPACE, LEFT = 25, 3, 11, 72  # a tile's edge; between tiles, between batches; where tiles begin
WARNING = "var(--gdl-path, #d55e00)"


class Tile(NamedTuple):
    """One example of a batch: what stands on it, and what is wrong with it ("", "again" or "none")."""

    words: str
    batch: int
    trouble: str


class Epoch(NamedTuple):
    """The tiles of an epoch, batch by batch, and which examples it never uses."""

    batches: list[list[Tile]]
    missing: list[int]


def tiles_picture(epochs: Sequence, n: int, *, width: int = 460) -> str:
    """Draw which example is used when.

    Args:
        epochs: a sequence of epochs, each a sequence of batches, each a sequence of example numbers 0 … n−1.
        n: how many examples there are.
        width: the picture's width in its own units; its height follows from what there is to draw.

    Returns:
        The text of one <svg> element.

    >>> tiles_picture([[[2, 0], [1]]], 3)[:4]
    '<svg'
    """
    read = [_read(epoch, n) for epoch in islice(_each(epochs), 1000)]
    parts: list[str] = []
    y = 8.0
    for i, epoch in enumerate(read[:MOST_EPOCHS]):
        block, y = _block(i, epoch, y, width)
        parts += [*block]
        y += 14
    if not read:
        parts.append(text(8, y + 17, "no epochs"))
        y += 30
    if len(read) > MOST_EPOCHS:
        parts.append(text(8, y + 6, f"and {len(read) - MOST_EPOCHS} more epochs"))
        y += 20
    return picture(
        width,
        round(y),
        f"Which of {n} examples is used when",
        " ".join(map(_sentence, range(len(read)), read)) or "No epochs.",
        *parts,
    )


# What the batches say


def _each(value) -> Iterable:
    """What can be gone through; anything else is a row of itself."""
    if isinstance(value, str | bytes | dict):
        return (value,)
    try:
        return iter(value)
    except TypeError:
        return () if value is None else (value,)


def _read(epoch, n: int) -> Epoch:
    batches, seen, left = [], Counter(), READ
    for number, batch in enumerate(islice(_each(epoch), READ)):
        entries = list(islice(_each(batch), left))
        left -= len(entries)
        tiles = []
        for entry in entries:
            index = _index(entry, n)
            if index is not None:
                seen[index] += 1
            trouble = "none" if index is None else "again" if seen[index] > 1 else ""
            tiles.append(Tile(_words(entry) if index is None else str(index), number, trouble))
        batches.append(tiles)
    return Epoch(batches, [index for index in range(n) if index not in seen])


def _index(entry, n: int) -> int | None:
    """The example that an entry names; None where it names none."""
    value = a_float(entry)
    return int(value) if 0 <= value < n and value == int(value) and not isinstance(entry, str | bytes | bool) else None


def _words(entry) -> str:
    return shortened(repr(entry) if not hasattr(entry, "item") else str(entry), 3).replace("-", "−")


def _troubles(epoch: Epoch) -> list[str]:
    tiles = [tile for batch in epoch.batches for tile in batch]
    again = sum(tile.trouble == "again" for tile in tiles)
    wrong = sum(tile.trouble == "none" for tile in tiles)
    empty = sum(not batch for batch in epoch.batches)
    return [
        *([f"{len(epoch.missing)} missing"] if epoch.missing else []),
        *([f"{again} repeated"] if again else []),
        *([f"{wrong} not an example"] if wrong else []),
        *([f"{empty} batches empty" if empty > 1 else "a batch empty"] if empty else []),
    ]


def _sentence(number: int, epoch: Epoch) -> str:
    if number >= MOST_EPOCHS:
        return ""
    shown = [
        "[" + ", ".join(tile.words for tile in batch[:12]) + (", …]" if len(batch) > 12 else "]")
        for batch in epoch.batches[:12]
    ]
    told = ", ".join(_troubles(epoch))
    return f"Epoch {number}: {' '.join(shown) or 'no batches'}{' …' if len(epoch.batches) > 12 else ''}{f'; {told}' if told else ''}."


# What the pen does


def _block(number: int, epoch: Epoch, y: float, width: int) -> tuple[list[str], float]:
    """One epoch, its tiles wrapped to the width; returns where the next may begin."""
    parts = [text(8, y + 17, f"epoch {number}", more=' font-weight="600"')]
    x, drawn, total = float(LEFT), 0, sum(map(len, epoch.batches))
    for batch in epoch.batches:
        length = max(1, len(batch)) * (SIZE + GAP)
        if x > LEFT and x + length > width - 8 and length <= width - 8 - LEFT:
            x, y = float(LEFT), y + SIZE + 10
        if not batch and drawn < MOST_TILES:
            parts.append(_ghost(x, y, ""))
            x += SIZE + GAP
        for tile in batch[: MOST_TILES - drawn]:
            if x + SIZE > width - 8:
                x, y = float(LEFT), y + SIZE + 10
            parts.append(_tile(x, y, tile))
            x += SIZE + GAP
            drawn += 1
        x += SPACE - GAP
        if drawn >= MOST_TILES:
            break
    y += SIZE
    if total > drawn:
        parts.append(text(LEFT, y + 17, f"… and {total - drawn:,} more"))
        y += 20
    if told := _troubles(epoch) or ([] if epoch.batches else ["no batches"]):
        y += 6
        parts.append(text(LEFT, y + 17, ", ".join(told), more=' font-weight="600"'))
        x = LEFT + 8.0 * len(", ".join(told)) + 10
        if epoch.missing and x + SIZE > width - 8:
            x, y = float(LEFT), y + SIZE
        for index in epoch.missing:
            if x + SIZE > width - 8:
                break
            parts.append(_ghost(x, y, str(index)))
            x += SIZE + GAP
        y += SIZE
    return parts, y


def _tile(x: float, y: float, tile: Tile) -> str:
    """A tile in its batch's colour; a repeated example is struck out, and what is no example is a dashed frame."""
    if tile.trouble == "none":
        return _ghost(x, y, tile.words)
    shade = colour(1 + tile.batch % 3)  # the first colour is kept for what is wrong
    box = f'<rect x="{x:g}" y="{y:g}" width="{SIZE}" height="{SIZE}" rx="4" fill="{shade}" fill-opacity=".22" stroke="{shade}" stroke-width="1.5"/>'
    number = text(x + SIZE / 2, y + SIZE / 2 + 4.5, shortened(tile.words, 4), "middle", ' font-size="11.5"')
    if tile.trouble != "again":
        return box + number
    frame = f'<rect x="{x:g}" y="{y:g}" width="{SIZE}" height="{SIZE}" rx="4" fill="none" stroke="{WARNING}" stroke-width="3"/>'
    return f'{box}{frame}<path d="M{x:g} {y + SIZE:g}l{SIZE} {-SIZE}" stroke="{WARNING}" stroke-width="2"/>{number}'


def _ghost(x: float, y: float, words: str) -> str:
    box = f'<rect x="{x:g}" y="{y:g}" width="{SIZE}" height="{SIZE}" rx="4" fill="none" stroke="{INK}" stroke-dasharray="3 3"/>'
    return box + text(x + SIZE / 2, y + SIZE / 2 + 4.5, shortened(words, 4), "middle", ' font-size="11.5"')
