"""Batches for training on a device: shuffled, cut and gathered where the model is, and resumable at any batch.

Small data lives on the device, where each epoch is a fresh permutation and a batch is one gather (`DeviceBatches`).
A long text stays on disk as a file of tokens, of which only the pages that a batch needs are read (`TokenBatches`).
What comes from the host can be copied while the model works on the batch before it (`Prefetch`).

Where several processes train together, all of them draw the same batches, and each takes its own share of every one.
So the state is the same in all of them, and says nothing of how many they are: a run can go on with more or fewer.

All three are endless and have `epoch`, `state()` and `restore(state)`, as `gdlab.batching.Batches` has.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gdlab.batching import Batches


class DeviceBatches:
    """Batches of tensors that lie on one device; nothing crosses from the host.

    Args:
        tensors: examples and whatever belongs to them, each (n, …), all on one device.
        batch_size: examples in a batch.
        seed: of the generator on that device which shuffles every epoch.
        drop_last: leave out the last batch of an epoch if it is shorter than the others.
        share: (k, n) hands out the k-th of n equal parts of every batch, k from 0 (`Processes.share`).

    Attributes:
        epoch: the epoch that the last batch came from, counted from 0.
        position: how many batches of that epoch have been handed out.

    Raises:
        ValueError: if the tensors differ in length or device, an epoch would have no batch, or a batch has no equal
            parts.

    >>> batches = DeviceBatches([torch.arange(10)], batch_size=4, seed=0)
    >>> first, second, third = (next(batches)[0] for _ in range(3))
    >>> [len(first), len(second), len(third)], sorted(torch.cat([first, second, third]).tolist()) == list(range(10))
    ([4, 4, 2], True)
    """

    def __init__(
        self,
        tensors: list[torch.Tensor],
        batch_size: int,
        seed: int,
        drop_last: bool = False,
        share: tuple[int, int] = (0, 1),
    ):
        self.tensors, self.batch_size, self.drop_last = list(tensors), batch_size, drop_last
        self.n, self.device = len(self.tensors[0]), self.tensors[0].device
        if any(len(tensor) != self.n or tensor.device != self.device for tensor in self.tensors):
            kinds = ", ".join(f"{len(tensor)} on {tensor.device}" for tensor in self.tensors)
            raise ValueError(f"Every tensor holds one row for each example, on one device, but these hold {kinds}.")
        least = batch_size if drop_last else 1
        if batch_size != int(batch_size) or batch_size < 1 or self.n < least:
            raise ValueError(
                f"batch_size is a whole number from 1 up, and an epoch needs a batch, but batch_size is {batch_size!r} "
                f"and there are {self.n} examples."
            )
        self.share = checked_share(share, batch_size)
        if share[1] > 1 and not drop_last and self.n % batch_size:
            raise ValueError(
                f"{self.n} examples in batches of {batch_size} leave a short one, which has no {share[1]} equal shares: "
                "leave it out with drop_last=True."
            )
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.epoch, self.position = 0, 0
        self._order: torch.Tensor | None = None

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        return self

    def __next__(self) -> tuple[torch.Tensor, ...]:
        if self._order is None:
            self._shuffle()
        elif self.position * self.batch_size >= self.n - (self.n % self.batch_size if self.drop_last else 0):
            self._shuffle()
            self.epoch, self.position = self.epoch + 1, 0
        start = self.position * self.batch_size
        rows = share_of(self._order[start : start + self.batch_size], self.share)
        self.position += 1
        return tuple(tensor.index_select(0, rows) for tensor in self.tensors)

    def _shuffle(self) -> None:
        self._shuffled_from = self.generator.get_state()
        self._order = torch.randperm(self.n, generator=self.generator, device=self.device)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on from here; the order is not stored, but what it was drawn from."""
        return {
            "n": self.n,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "epoch": self.epoch,
            "position": self.position,
            "shuffled_from": None if self._order is None else self._shuffled_from.clone(),
            "generator": self.generator.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken: the same batches follow.

        Raises:
            ValueError: if the state belongs to other data or another batch size.
        """
        for name in ("n", "batch_size", "drop_last"):
            if state[name] != getattr(self, name):
                raise ValueError(
                    f"These batches have {name} = {getattr(self, name)!r}, but the saved ones had {state[name]!r}: "
                    "to go on where they stopped, make them the same."
                )
        self._order = None
        if state["shuffled_from"] is not None:
            self.generator.set_state(state["shuffled_from"])
            self._shuffle()
        self.epoch, self.position = state["epoch"], state["position"]
        self.generator.set_state(state["generator"])


def checked_share(share: tuple[int, int], batch_size: int) -> tuple[int, int]:
    """The share, if there is such a one of a batch; else a ValueError that says why not."""
    number, shares = share
    if not 0 <= number < shares or batch_size % shares:
        raise ValueError(
            f"A batch of {batch_size} is cut into equal shares, numbered from 0, but share is {share!r}: there is no "
            f"number {number} of {shares} equal ones."
        )
    return share


def share_of(rows, share: tuple[int, int]):
    """The k-th of n equal parts of the rows.

    >>> share_of([3, 1, 4, 1, 5, 9], (1, 3))
    [4, 1]
    """
    number, shares = share
    return rows[number * len(rows) // shares : (number + 1) * len(rows) // shares]


def write_tokens(path: str | Path, tokens) -> Path:
    """Write token numbers as a `.npy` file, with the fewest bytes a token that hold the largest.

    Raises:
        ValueError: if a token is below 0 or above what four bytes hold.
    """
    tokens = np.asarray(tokens)
    kinds = [kind for kind in (np.uint8, np.uint16, np.uint32) if tokens.max(initial=0) <= np.iinfo(kind).max]
    if not kinds or tokens.min(initial=0) < 0:
        raise ValueError(
            f"A token is a whole number from 0 to {2**32 - 1}, but these reach from {tokens.min()} to {tokens.max()}."
        )
    np.save(path, tokens.astype(kinds[0]), allow_pickle=False)
    return Path(path)


class TokenBatches:
    """Windows of a long row of tokens, and the same windows one token later: what a language model predicts.

    The row is cut into windows of `context` tokens, which every epoch visits once each in a fresh order
    (`gdlab.batching.Batches`); the tokens after the last whole window are left out.

    Args:
        tokens: the file that `write_tokens` wrote, which is mapped and not read, or an array.
        batch_size: windows in a batch; a shorter last batch is left out.
        context: tokens in a window.
        rng: what shuffles.
        share: (k, n) reads and hands out the k-th of n equal parts of every batch, k from 0 (`Processes.share`).

    Raises:
        ValueError: if the tokens are fewer than a batch needs, or a batch has no equal parts.

    >>> batches = TokenBatches(np.arange(13), batch_size=2, context=3, rng=np.random.default_rng(0))
    >>> inputs, targets = next(batches)
    >>> inputs.shape, bool((targets == inputs + 1).all())
    (torch.Size([2, 3]), True)
    """

    def __init__(
        self,
        tokens: str | Path | np.ndarray,
        batch_size: int,
        context: int,
        rng: np.random.Generator,
        share: tuple[int, int] = (0, 1),
    ):
        self.tokens = np.load(tokens, mmap_mode="r") if isinstance(tokens, str | Path) else tokens
        self.context, self.share = context, checked_share(share, batch_size)
        windows = (len(self.tokens) - 1) // context
        if windows < batch_size:
            raise ValueError(
                f"A batch of {batch_size} windows of {context} tokens needs {batch_size * context + 1} tokens, but there "
                f"are {len(self.tokens)}: take a smaller batch, a shorter window or more text."
            )
        self.batches = Batches(windows, batch_size, rng, drop_last=True)

    @property
    def epoch(self) -> int:
        return self.batches.epoch

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return self

    def __next__(self) -> tuple[torch.Tensor, torch.Tensor]:
        starts = share_of(next(self.batches), self.share) * self.context
        rows = np.stack([self.tokens[start : start + self.context + 1] for start in starts])
        both = torch.from_numpy(rows.astype(np.int64))
        return both[:, :-1].contiguous(), both[:, 1:].contiguous()

    def state(self) -> dict[str, Any]:
        return {"context": self.context} | self.batches.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; raises ValueError if it belongs to other windows."""
        if state["context"] != self.context:
            raise ValueError(
                f"These windows hold {self.context} tokens, but the saved ones {state['context']}: make them the same."
            )
        self.batches.restore({name: value for name, value in state.items() if name != "context"})


class Prefetch:
    """Batches on a device, fetched one ahead: the next one travels while the model works on this one.

    Host memory is pinned where there is a GPU, so that the copy does not wait for anything. The state is that of the
    batches handed out: one that is only on its way comes again after a restore.

    Args:
        batches: batches of tensors with `state` and `restore`.
        device: where to.
    """

    def __init__(self, batches, device: str | torch.device):
        self.batches, self.device = batches, torch.device(device)
        self.epoch = 0
        self._state, self._ahead = copy.deepcopy(batches.state()), None

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        return self

    def __next__(self) -> tuple[torch.Tensor, ...]:
        ready, self.epoch, self._state = self._ahead or self._fetch()
        self._ahead = self._fetch()
        return ready

    def _fetch(self) -> tuple[tuple[torch.Tensor, ...], int, dict]:
        batch = next(self.batches)
        if self.device.type == "cuda":
            batch = tuple(part.pin_memory() for part in batch)
        there = tuple(part.to(self.device, non_blocking=True) for part in batch)
        return there, self.batches.epoch, self.batches.state()

    def state(self) -> dict[str, Any]:
        return copy.deepcopy(self._state)

    def restore(self, state: dict[str, Any]) -> None:
        self.batches.restore(state)
        self.epoch, self._state, self._ahead = state["epoch"], copy.deepcopy(state), None
