"""Chance that comes out the same in the figures' JavaScript and in Python: the same seed, the same numbers.

A figure with random batches or noise draws the walk that `gdlab` computes, so both need one generator.
It is Mulberry32 (Tommy Ettinger 2017): 32 bits of state, mixed anew for each number; plenty for pictures,
too little for research. `mathematics/noise.js` is its twin, and a browser test holds one against the other.
"""

import math

_WORD = 0xFFFFFFFF


def _times(a: int, b: int) -> int:
    return (a * b) & _WORD


class Seeded:
    """A generator with the few methods of `numpy.random.Generator` that the figures need.

    `gdlab.batching.epoch_batches` takes it as its `rng`.

    >>> chance = Seeded(7)
    >>> [round(chance.random(), 4) for _ in range(2)]
    [0.0117, 0.062]
    """

    def __init__(self, seed: int):
        self._state = int(seed) & _WORD

    def random(self) -> float:
        """A number from 0 up to, not including, 1."""
        self._state = (self._state + 0x6D2B79F5) & _WORD
        mixed = _times(self._state ^ (self._state >> 15), self._state | 1)
        mixed ^= (mixed + _times(mixed ^ (mixed >> 7), mixed | 61)) & _WORD
        return (mixed ^ (mixed >> 14)) / 2**32

    def standard_normal(self) -> float:
        """A normal number of mean 0 and standard deviation 1 (Box and Muller 1958)."""
        return math.sqrt(-2 * math.log(1 - self.random())) * math.cos(2 * math.pi * self.random())

    def permutation(self, n: int) -> list[int]:
        """0 … n−1 in random order (Fisher and Yates)."""
        order = list(range(n))
        for last in range(n - 1, 0, -1):
            other = math.floor(self.random() * (last + 1))
            order[last], order[other] = order[other], order[last]
        return order
