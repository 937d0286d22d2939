"""Counting: which examples each update looks at, and what a step number says in epochs and examples.

Chapter 4's figure. It starts with 12 examples in batches of 3: 4 steps an epoch, two epochs, nine frames.
After every epoch the examples are shuffled anew (`gdlab.batching.epoch_batches`), and the numbers beside
the tiles are those of `gdlab.counting`. A `where_am_i` of your own is asked at every step and compared.
"""

from collections.abc import Callable
from typing import Any

import traitlets as t

from gdlab import counting
from gdlab.batching import epoch_batches
from gdlab.figures.base import Figure
from gdlab.figures.epochs_svg import epochs_picture
from gdlab.figures.noise import Seeded
from gdlab.figures.own import one_number, trouble

MOST_EXAMPLES = 48
MOST_EPOCHS = 6

WhereAmI = Callable[[int, int, int, bool], tuple[int, int]]
"""A learner's own answer: (step, n_examples, batch_size, drop_last) -> (epoch, step in that epoch)."""


def own_places(
    where_am_i: WhereAmI, steps: range, n_examples: int, batch_size: int, drop_last: bool
) -> tuple[list[list[float]], str]:
    """What a learner's own `where_am_i` says of each step.

    Returns:
        The pairs, and the sentence on why there are not more of them ("" where all are there).

    >>> own_places(lambda step, n, size, drop_last: (step // 4, step % 4), range(3, 5), 12, 3, False)
    ([[0.0, 3.0], [1.0, 0.0]], '')
    """
    places: list[list[float]] = []
    for step in steps:
        try:
            places.append(_a_pair(where_am_i(step, n_examples, batch_size, drop_last)))
        except Exception as error:
            return places, trouble(error, "where_am_i")
    return places, ""


def _a_pair(value: Any) -> list[float]:
    try:
        given = list(value)
    except TypeError:
        given = []
    if len(given) != 2:
        missing = " (is its return statement missing?)" if value is None else ""
        raise TypeError(f"it has to return a pair (epoch, step in that epoch), but it returned {value!r}{missing}.")
    pair = [one_number(number, "a pair of whole numbers, each of them") for number in given]
    for number in pair:
        if not number.is_integer():
            raise TypeError(f"it has to return whole numbers, but it returned {value!r}.")
    return pair


class EpochCounter(Figure):
    """The figure; see the module's first paragraph. `epoch_counter` is its short name."""

    figure = "epoch_counter"
    settings = ("n_examples", "batch_size", "drop_last", "epochs", "seed", "frame")
    told = ("own", "places", "trouble")

    n_examples = t.Int(12, min=1, max=MOST_EXAMPLES, help="n, how many examples there are").tag(sync=True)
    batch_size = t.Int(3, min=1, max=MOST_EXAMPLES, help="B, the examples behind one update").tag(sync=True)
    drop_last = t.Bool(False, help="leave out a last batch that is shorter than B").tag(sync=True)
    epochs = t.Int(2, min=1, max=MOST_EPOCHS, help="how often to go through the data").tag(sync=True)
    seed = t.Int(0, min=0, max=9_999, help="of the shuffles").tag(sync=True)
    frame = t.Int(0, min=0, max=MOST_EXAMPLES * MOST_EPOCHS, help="how many updates have been made").tag(sync=True)
    own = t.Bool(False, help="whether a where_am_i of your own is asked").tag(sync=True)
    places = t.List(help="what it says of each step: [epoch, step in that epoch]").tag(sync=True)
    trouble = t.Unicode(help="why it said no more; empty when it did").tag(sync=True)

    def __init__(self, *, where_am_i: WhereAmI | None = None, **traits):
        self._where_am_i = where_am_i
        super().__init__(own=where_am_i is not None, **traits)
        self._count_again()
        self.observe(self._count_again, names=["n_examples", "batch_size", "drop_last", "epochs"])

    @property
    def steps(self) -> int:
        """How many updates all epochs make: 0 where no batch is full and short ones are dropped."""
        return self.epochs * counting.steps_per_epoch(self.n_examples, self.batch_size, self.drop_last)

    def batches(self) -> list[list[list[int]]]:
        """The example numbers of each batch of each epoch."""
        chance = Seeded(self.seed)
        return [epoch_batches(self.n_examples, self.batch_size, chance, self.drop_last) for _ in range(self.epochs)]

    def picture(self) -> str:
        batches, rows = self.batches(), []
        per_epoch = len(batches[0])
        for made in range(self.steps + 1 if per_epoch else 0):
            epoch = max(0, made - 1) // per_epoch
            given = (made, self.n_examples, self.batch_size, self.drop_last)
            seen = counting.examples_seen(*given), counting.epochs_seen(*given)
            rows.append((epoch, batches[epoch], made - epoch * per_epoch, made, *seen))
        return epochs_picture(rows)

    def _count_again(self, _change=None):
        self.frame = min(self.frame, self.steps)
        if self._where_am_i is not None:
            per_epoch = self.steps // self.epochs  # a step of an epoch without steps is nowhere
            asked = range(self.steps + 1 if per_epoch else 0)
            places, trouble = own_places(self._where_am_i, asked, self.n_examples, self.batch_size, self.drop_last)
            with self.hold_sync():
                self.places, self.trouble = places, trouble


def epoch_counter(my_where_am_i: WhereAmI | None = None, **traits) -> EpochCounter:
    """Show epochs as tiles: `epoch_counter()`, `epoch_counter(n_examples=13, drop_last=True)`, `epoch_counter(my_where_am_i)`.

    Args:
        my_where_am_i: a function of your own, (step, n_examples, batch_size, drop_last) -> (epoch, step in
            that epoch), like `gdlab.counting.where_am_i`; its answer stands beside the right one.
        **traits: n_examples, batch_size, drop_last, epochs, seed, frame: what the figure starts with. Each
            stays live: after `counter = epoch_counter()`, setting `counter.batch_size = 5` moves the picture.
    """
    return EpochCounter(where_am_i=my_where_am_i, **traits)
