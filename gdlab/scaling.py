"""What one update takes on many GPUs: a cost model that can be computed on paper, and what it leaves out.

    update = computing + waiting for the slowest + averaging the gradients − what of that the backward pass hides

    computing [s] = 6·N·D / (n·F)               N parameters, D tokens an update, n GPUs, F operations a second each
    averaging [s] = 2·(n − 1)/n · b·N / W       b bytes a gradient, W bytes a second that a GPU sends; and 2·(n − 1)·L,
                                                the delay L of each message of the ring
    waiting   [s] = σ · computing · E[largest of n normal numbers]
    hidden    [s] ≤ 2/3 of the last micro-batch's computing, which is its backward pass

It holds for data parallelism: every GPU has all N parameters and its share of the batch. It leaves out attention's
part of the operations, the optimizer's update, failures, and messages that meet on one wire.

Sources: Kaplan et al. 2020, arXiv 2001.08361 (6·N·D); Patarasuk and Yuan 2009, doi:10.1016/j.jpdc.2008.09.002 (the
ring, and that no method sends less).
"""

import math
from dataclasses import dataclass

import numpy as np

from gdlab.counting import training_flops

BACKWARD = 2 / 3
"""The backward pass's part of the six operations: four."""


@dataclass(frozen=True)
class Cluster:
    """GPUs and what connects them.

    Attributes:
        flops: F, operations a second that a GPU really does: its peak times the part of it that is used (MFU).
        near: bytes a second that a GPU sends to another in the same machine.
        far: bytes a second that a GPU sends to one in another machine.
        gpus_per_machine: how many GPUs share a machine; more than these send at `far`.
        delay: L, seconds until a message begins to arrive.
        spread: σ, the standard deviation of a GPU's computing time over its mean.
    """

    flops: float
    near: float
    far: float
    gpus_per_machine: int = 8
    delay: float = 0.0
    spread: float = 0.0

    def bandwidth(self, gpus: int) -> float:
        """W for so many GPUs: a ring is as fast as its slowest link."""
        return self.near if gpus <= self.gpus_per_machine else self.far


@dataclass(frozen=True)
class Update:
    """The seconds that one update takes, and what they are made of.

    Attributes:
        tokens: behind the update, on all GPUs together.
        computing: forward and backward on a GPU of mean speed.
        waiting: from then until the slowest is done.
        averaging: the all-reduce of the gradients.
        hidden: the part of the averaging that takes place during the backward pass.
    """

    tokens: int
    computing: float
    waiting: float
    averaging: float
    hidden: float

    @property
    def seconds(self) -> float:
        return self.computing + self.waiting + self.averaging - self.hidden

    @property
    def efficiency(self) -> float:
        """The part of the time in which a GPU computes."""
        return self.computing / self.seconds

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


def update_time(
    cluster: Cluster, gpus: int, n_params: int, tokens: int, *, accumulation: int = 1, gradient_bytes: int = 4
) -> Update:
    """What an update takes by the model above.

    Args:
        cluster: the GPUs and what connects them.
        gpus: n, how many share the batch.
        n_params: N, parameters that take part in every token.
        tokens: D, tokens behind one update, on all GPUs together.
        accumulation: micro-batches that each GPU adds up; only behind the last one's backward pass can messages hide.
        gradient_bytes: b, bytes of a gradient as it is sent; 4 for float32.

    >>> cluster = Cluster(flops=4e14, near=4e11, far=5e10)
    >>> update = update_time(cluster, gpus=64, n_params=7 * 10**9, tokens=2**22)
    >>> round(update.computing, 3), round(update.averaging, 3), round(update.seconds, 3)
    (6.881, 1.103, 6.881)
    """
    for name, value in (("gpus", gpus), ("accumulation", accumulation)):
        if value != int(value) or value < 1:
            raise ValueError(f"{name} is a whole number from 1 up, but is {value!r}.")
    computing = training_flops(n_params, tokens) / (gpus * cluster.flops)
    sent = ring_bytes(gradient_bytes * n_params, gpus)
    averaging = sent / cluster.bandwidth(gpus) + 2 * (gpus - 1) * cluster.delay
    hidden = min(averaging, BACKWARD * computing / accumulation)
    return Update(tokens, computing, cluster.spread * computing * expected_largest(gpus), averaging, hidden)


def ring_bytes(size: float, processes: int) -> float:
    """Bytes that each process sends in a ring all-reduce of so many bytes: 2·(n − 1)/n · size.

    >>> ring_bytes(1000, 1), ring_bytes(1000, 2), ring_bytes(1000, 4)
    (0.0, 1000.0, 1500.0)
    """
    return 2 * (processes - 1) / processes * size


def expected_largest(n: int) -> float:
    """The expected largest of n independent standard normal numbers.

        E = ∫₀^∞ (1 − Φ(x)ⁿ) dx − ∫₋∞^0 Φ(x)ⁿ dx        Φ the normal distribution function

    It grows without end, but slowly: no faster than √(2·ln n). For n = 2 it is 1/√π.

    >>> expected_largest(1), round(expected_largest(2), 6), round(1 / math.sqrt(math.pi), 6)
    (0.0, 0.56419, 0.56419)
    """
    if n == 1:
        return 0.0
    x = np.linspace(0.0, 12.0, 6001)
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x])  # Φ(x); Φ(−x) is 1 − Φ(x)
    tail = np.array([0.5 * math.erfc(value / math.sqrt(2)) for value in x])
    largest_is_more = -np.expm1(n * np.log1p(-tail))  # 1 − Φⁿ without its rounding where Φ is nearly 1
    return float(np.trapezoid(largest_is_more - (1.0 - below) ** n, x))
