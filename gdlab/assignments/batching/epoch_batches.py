"""epoch_batches(n, batch_size, rng, drop_last=False) -> list of arrays: one epoch, shuffled and cut into batches.

Right answers differ by the luck of the draw, so none is compared number by number. A small case asks for
the sizes of the batches, which are exact. Whether every row comes once, and whether the order is fresh, is
asked of hundreds of rows, where the chance that a right shuffle looks like none (or like the one before
it) is below 10⁻¹⁷, and drawing with replacement cannot fail to draw twice.
"""

from typing import NamedTuple

import numpy as np

from gdlab.assignments._shared import draws_only_from_rng
from gdlab.batching import epoch_batches
from gdlab.figures.tiles_svg import tiles_picture
from gdlab.judge.answer import Answer, Seed
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part, Unlike

MANY = 100
"""From so many rows on, we ask which rows are in which batch."""

KIND = "An epoch is a list of batches, and each batch is an array of row numbers, as [array([2, 0]), array([1])]."
WHOLE = "Row numbers are whole numbers, because they will pick rows of X; yours are of another kind."


def _cases(rng):
    def case(part, n, batch_size, drop_last):
        inputs = {"n": int(n), "batch_size": int(batch_size), "rng": Seed(rng.integers(2**31)), "drop_last": drop_last}
        return Case(part, inputs)

    def few_rows(rest):
        """Two or three full batches of 4 to 6, and a rest that would also show if it were evened out."""
        size = int(rng.integers(4, 7))
        return int(rng.integers(2, 4)) * size + (int(rng.integers(2, size - 1)) if rest == "more" else rest), size

    def many_rows(with_rest):
        """At least 20 batches of at least 17, so that batches, rows and left-out rows have no chance to repeat."""
        size = int(rng.integers(17, 21))
        return int(rng.integers(20, 24)) * size + (int(rng.integers(10, size - 2)) if with_rest else 0), size

    few = int(rng.integers(3, 7))
    return [
        *(case("sizes", *few_rows(rest), drop_last) for rest in (0, 1, "more") for drop_last in (False, True)),
        *(case("sizes", few, few + int(rng.integers(2, 6)), drop_last) for drop_last in (False, True)),
        case("sizes", few, few, True),
        case("sizes", few, 1, False),
        case("members", *many_rows(with_rest=True), False),
        case("order", *many_rows(with_rest=False), False),
        case("order", *many_rows(with_rest=True), True),
    ]


class Epoch(NamedTuple):
    """One epoch: the size of each batch, and the row numbers, batch after batch.

    Each batch's rows are sorted, because within a batch the order has no effect.
    """

    sizes: np.ndarray
    rows: np.ndarray


def _epoch(value) -> Epoch:
    """An epoch, however its batches came: as arrays, lists, or one array with a batch in each row."""
    if not isinstance(value, list) and not (isinstance(value, np.ndarray) and value.ndim):
        raise Unlike(KIND)
    batches = [np.empty(0, np.int64) if isinstance(batch, list) and not batch else batch for batch in value]
    if not all(isinstance(batch, np.ndarray) and batch.ndim == 1 for batch in batches):
        raise Unlike(KIND)
    if any(batch.size and batch.dtype.kind not in "iu" for batch in batches):
        raise Unlike(WHOLE)
    sizes = np.array([batch.size for batch in batches], dtype=np.int64)
    rows = np.concatenate([np.empty(0, np.int64), *batches]).astype(np.int64)
    return Epoch(sizes, rows[np.lexsort((rows, np.repeat(np.arange(sizes.size), sizes)))])


def _uses(epoch: Epoch, n: int) -> np.ndarray:
    """How often each row of the data comes."""
    return np.bincount(epoch.rows[(epoch.rows >= 0) & (epoch.rows < n)], minlength=n)


def _mixing(epoch: Epoch) -> str:
    """Whether batches hold rows from all over the data, or each a stretch of it."""
    sizes = epoch.sizes[epoch.sizes > 0]
    if sizes.size < 2:
        return "nothing to mix"
    starts = np.cumsum(sizes) - sizes
    strides = np.delete(np.diff(epoch.rows), starts[1:] - 1)
    if np.any(strides != 1):
        return "mixed"
    return "in the data's order" if np.all(np.diff(epoch.rows[starts]) > 0) else "neighbours stay together"


def _alike(first: Epoch, second: Epoch) -> str:
    """Whether two epochs have the same batches in the same order."""
    return "the same batches" if all(map(np.array_equal, first, second)) else "other batches"


def _left_out(first: Epoch, second: Epoch, n: int) -> str:
    """Whether the rows that one epoch leaves out are those that the other leaves out too."""
    missing = [np.flatnonzero(_uses(epoch, n) == 0) for epoch in (first, second)]
    return "the same every epoch" if missing[0].size and np.array_equal(*missing) else "not the same every epoch"


def _members(epoch: Epoch, n: int) -> dict[str, int]:
    uses = _uses(epoch, n)
    return {
        "how many numbers are no row of the data": int(epoch.rows.size - uses.sum()),
        "how many rows come more than once": int(np.sum(uses > 1)),
        "how many rows never come": int(np.sum(uses == 0)),
    }


def _order(first: Epoch, second: Epoch, again: Epoch, n: int) -> dict[str, str]:
    return {
        "the rows of a batch": _mixing(first),
        "the second epoch": _alike(first, second),
        "the first epoch, once more from the same seed": _alike(first, again),
        "the rows left out": _left_out(first, second, n),
    }


def _judged_on(inputs, value) -> dict:
    """What is asked of a right answer, in the order in which a learner should mend it; each part asks its own."""
    n = inputs["n"]
    first, second, again = (_epoch(value[name]) for name in ("first", "second", "again"))
    if n < MANY:
        return {
            "the number of batches": first.sizes.size,
            "the sizes": first.sizes.tolist(),
            "the number of batches of the second epoch": second.sizes.size,
            "the sizes in the second epoch": second.sizes.tolist(),
        }
    if n % inputs["batch_size"] and not inputs["drop_last"]:
        return _members(first, n) | {f"{fact} in the second epoch": m for fact, m in _members(second, n).items()}
    return _order(first, second, again, n)


def _recognised_by(inputs, value) -> dict:
    """All that a mistake shows on every draw: no counts of chance events, and of few rows only the sizes."""
    n, first = inputs["n"], _epoch(value["first"])
    facts = {"sizes": np.sort(first.sizes)}
    if n < MANY:
        return facts
    second, again = _epoch(value["second"]), _epoch(value["again"])
    return facts | {fact: count > 0 for fact, count in _members(first, n).items()} | _order(first, second, again, n)


# Wrong in a known way


def _cut(order, batch_size, drop_last):
    """An order cut as it should be."""
    end = len(order) - len(order) % batch_size if drop_last else len(order)
    return [order[start : start + batch_size] for start in range(0, end, batch_size)]


def _no_shuffle(n, batch_size, rng, drop_last):
    return _cut(np.arange(n), batch_size, drop_last)


def _same_order_every_epoch(n, batch_size, rng, drop_last):
    return _cut(np.random.default_rng(0).permutation(n), batch_size, drop_last)


def _ignores_the_rng(n, batch_size, rng, drop_last):
    return _cut(np.random.default_rng().permutation(n), batch_size, drop_last)


def _always_drops_last(n, batch_size, rng, drop_last):
    return epoch_batches(n, batch_size, rng, drop_last=True)


def _never_drops_last(n, batch_size, rng, drop_last):
    return epoch_batches(n, batch_size, rng, drop_last=False)


def _drops_last_even_if_full(n, batch_size, rng, drop_last):
    batches = epoch_batches(n, batch_size, rng)
    return batches[:-1] if drop_last else batches


def _drops_before_shuffling(n, batch_size, rng, drop_last):
    kept = n - n % batch_size if drop_last else n
    return _cut(rng.permutation(kept), batch_size, drop_last)


def _with_replacement(n, batch_size, rng, drop_last):
    return _cut(rng.integers(0, n, n), batch_size, drop_last)


def _empty_last_batch(n, batch_size, rng, drop_last):
    order = rng.permutation(n)
    count = n // batch_size + (0 if drop_last else 1)
    return [order[k * batch_size : (k + 1) * batch_size] for k in range(count)]


def _shuffles_blocks(n, batch_size, rng, drop_last):
    blocks = _cut(np.arange(n), batch_size, drop_last)
    return [blocks[k] for k in rng.permutation(len(blocks))]


def _counts_from_one(n, batch_size, rng, drop_last):
    return [batch + 1 for batch in epoch_batches(n, batch_size, rng, drop_last)]


def _evens_out(n, batch_size, rng, drop_last):
    order = rng.permutation(n)
    if drop_last:
        order = order[: n - n % batch_size]
    return np.array_split(order, -(-len(order) // batch_size)) if len(order) else []


def _size_taken_for_count(n, batch_size, rng, drop_last):
    return np.array_split(rng.permutation(n), batch_size)


# Right in another way


def _shuffled_in_place(n, batch_size, rng, drop_last=False):
    order = np.arange(n)
    rng.shuffle(order)
    batches = []
    for start in range(0, n, batch_size):
        batch = order[start : start + batch_size]
        if len(batch) == batch_size or not drop_last:
            batches.append(batch)
    return batches


def _sorted_by_random_keys(n, batch_size, rng, drop_last=False):
    order = np.argsort(rng.random(n))
    batches = np.array_split(order, range(batch_size, n, batch_size))
    return [batch for batch in batches if not drop_last or len(batch) == batch_size]


def _full_batches_as_a_matrix(n, batch_size, rng, drop_last=False):
    order = rng.permutation(n)
    full = n // batch_size
    batches = list(order[: full * batch_size].reshape(full, batch_size))
    return batches if drop_last or n % batch_size == 0 else [*batches, order[full * batch_size :]]


def _drawn_from_a_hat(n, batch_size, rng, drop_last=False):
    hat, batches = list(range(n)), []
    while len(hat) >= batch_size or (hat and not drop_last):
        batches.append([hat.pop(int(rng.integers(len(hat)))) for _ in range(min(batch_size, len(hat)))])
    return batches


def _by_recursion(n, batch_size, rng, drop_last=False):
    def cut(rows):
        if len(rows) < batch_size:
            return () if drop_last or len(rows) == 0 else (rows,)
        return (rows[:batch_size], *cut(rows[batch_size:]))

    return cut(rng.choice(n, n, replace=False))


def _in_torch(n, batch_size, rng, drop_last=False):
    import torch

    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    batches = torch.randperm(n, generator=generator).split(batch_size)
    return [batch for batch in batches if not drop_last or len(batch) == batch_size]


def _picture(answer: Answer) -> str:
    """Two epochs of the learner's own batches."""
    n = 12
    came = answer({"n": n, "batch_size": 5, "rng": Seed(3), "drop_last": False}).value
    return tiles_picture([came["first"], came["second"]], n)


EXERCISE = Exercise(
    name="epoch_batches",
    version=1,
    reference=epoch_batches,
    cases=_cases,
    parts=(
        Part("sizes", "the sizes of the batches, with and without drop_last", 2),
        Part("members", "every row once an epoch", 2),
        Part("order", "a fresh order every epoch, drawn from rng", 2),
    ),
    mistakes=(
        Mistake(
            "no-shuffle",
            _no_shuffle,
            "Your batches come in the data's order: neighbours meet in the same batch every epoch.",
        ),
        Mistake(
            "same-order-every-epoch",
            _same_order_every_epoch,
            "Two epochs came out identical: a generator that starts anew in every call gives the same order in every call.",
        ),
        Mistake(
            "ignores-the-rng",
            _ignores_the_rng,
            "The same seed gave two different epochs: draw from the rng you were given and from no other source, so that runs repeat.",
        ),
        Mistake(
            "always-drops-last",
            _always_drops_last,
            "Some examples are never seen: without drop_last, the short batch at the end stays.",
        ),
        Mistake("never-drops-last", _never_drops_last, "drop_last=True still gave a short batch at the end."),
        Mistake(
            "drops-last-even-if-full",
            _drops_last_even_if_full,
            "A full last batch was thrown away: drop_last is about a batch that came out too short.",
        ),
        Mistake(
            "drops-before-shuffling",
            _drops_before_shuffling,
            "With drop_last, the same rows are left out in every epoch, so the model never sees them: what comes first, the shuffle or the cut?",
        ),
        Mistake(
            "with-replacement",
            _with_replacement,
            "Some examples appear twice in an epoch and others never: put nothing back once it is drawn.",
        ),
        Mistake(
            "empty-last-batch",
            _empty_last_batch,
            "Your last batch is empty when n is a multiple of batch_size, and a mean over nothing is not a number.",
        ),
        Mistake(
            "shuffles-blocks",
            _shuffles_blocks,
            "Neighbours always stay together: you shuffled the batches, not the examples.",
        ),
        Mistake(
            "counts-from-one", _counts_from_one, "Your rows run from 1 to n, but NumPy counts rows from 0 to n − 1."
        ),
        Mistake(
            "evens-out",
            _evens_out,
            "You made the batches as equal as they can be; here all but the last hold exactly batch_size rows.",
        ),
        Mistake(
            "size-taken-for-count",
            _size_taken_for_count,
            "You made batch_size batches; it says how many rows are in each, not how many batches there are.",
        ),
    ),
    properties=(draws_only_from_rng(part="order"),),
    alternatives=(
        Alternative("rng.shuffle in place, a loop", _shuffled_in_place),
        Alternative("argsort of random keys, array_split", _sorted_by_random_keys),
        Alternative("reshaped to a matrix", _full_batches_as_a_matrix),
        Alternative("lists, drawn from a hat", _drawn_from_a_hat),
        Alternative("recursion, a tuple", _by_recursion),
        Alternative("torch.randperm, seeded from rng", _in_torch),
    ),
    notice="Notice that one call to rng makes the whole epoch, and that the same generator never gives you that epoch again.",
    axes={"the sizes": ("batch",), "the sizes in the second epoch": ("batch",)},
    tolerance=0,
    picture=_picture,
    protocols=("two_epochs",),
    judged_on=_judged_on,
    recognised_by=_recognised_by,
)
