"""Data sets with a given rest in their last batch, and moments in a run over them."""

from collections.abc import Callable

Rest = Callable[[int], int]
"""Batch size -> examples in the short last batch, 0 where all batches are full."""


def none(batch_size: int) -> int:
    return 0


def one(batch_size: int) -> int:
    return 1


def all_but_one(batch_size: int) -> int:
    return batch_size - 1


def data_set(rng, rest: Rest) -> dict[str, int]:
    """A data set of 4 to 19 full batches and a rest."""
    batch_size = int(rng.integers(5, 40))
    return {"n_examples": int(rng.integers(4, 20)) * batch_size + rest(batch_size), "batch_size": batch_size}


def moments(rng, drop_last: bool) -> list[dict]:
    """Steps in late epochs, with a short last batch: the first, one in the middle, and the last of its epoch."""
    found = []
    for rest, where in ((one, "first"), (all_but_one, "middle"), (one, "last"), (all_but_one, "last")):
        data = data_set(rng, rest)
        per_epoch = data["n_examples"] // data["batch_size"] + (not drop_last)
        within = {"first": 0, "middle": int(rng.integers(1, per_epoch - 1)), "last": per_epoch - 1}[where]
        step = int(rng.integers(5, 30)) * per_epoch + within
        found.append({"step": step, **data, "drop_last": drop_last})
    return found
