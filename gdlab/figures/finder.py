"""The learning-rate finder: the rate rises at every step until the loss explodes, and the curve says which to take.

Chapter 2's figure. The range test is a real one, of the small network that learns handwritten digits
(`recording.py`). The suggestion is `diagnose.suggest_lr`: where the loss falls fastest against ln η. The
reader drags a rate of their own along the curve and compares. Curves of your own, and a suggest function of
your own, are drawn in the same way. Source: Smith 2015, arXiv 1506.01186.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import traitlets as t

from gdlab.diagnose import smooth, suggest_lr
from gdlab.figures.base import Figure, Number, finite
from gdlab.figures.curve_svg import curve_picture
from gdlab.figures.own import one_number, trouble
from gdlab.figures.recording import recorded

OwnSuggest = Callable[[np.ndarray, np.ndarray], float]


class LrFinder(Figure):
    """The figure; see the module's first paragraph. `lr_finder` is its short name."""

    figure = "lr_finder"
    settings = ("lr", "beta", "skip", "reveal")
    told = ("own", "lrs", "losses", "own_suggest", "suggested", "trouble")

    lr = Number(0.03, min=1e-12, max=1e6, help="the rate that the reader would take").tag(sync=True)
    beta = Number(0.0, min=0.0, max=0.99, help="how strongly the losses are smoothed").tag(sync=True)
    skip = t.Int(0, min=0, max=10**6, help="how many of the first points the suggestion leaves out").tag(sync=True)
    reveal = t.Bool(True, help="show the suggestion").tag(sync=True)
    own = t.Bool(False, help="whether the curve is a reader's own").tag(sync=True)
    lrs = t.List(t.Float(), help="the rates tried, rising").tag(sync=True)
    losses = t.List(t.Float(allow_none=True), help="the loss at each; None is no number").tag(sync=True)
    own_suggest = t.Bool(False, help="whether a reader's own function suggests").tag(sync=True)
    suggested = t.Float(None, allow_none=True, help="what it suggests").tag(sync=True)
    trouble = t.Unicode(help="what was wrong with the curve or the function; empty if nothing").tag(sync=True)

    def __init__(self, *, suggest: OwnSuggest | None = None, **traits):
        self._suggest, self._unread = suggest, traits.get("trouble", "")
        super().__init__(own_suggest=suggest is not None, **traits)
        self._ask_again()
        self.observe(self._ask_again, names=["beta", "skip", "lrs", "losses"])

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """The rates and the smoothed losses, without the points that are skipped: what is asked for a suggestion."""
        losses = smooth([math.nan if loss is None else loss for loss in self.losses], self.beta)
        return np.array(self.lrs)[self.skip :], losses[self.skip :]

    def suggestion(self) -> float | None:
        """gdlab's suggestion for this curve; None where the curve gives none."""
        try:
            return suggest_lr(*self.curve())
        except ValueError:
            return None

    def picture(self) -> str:
        losses = smooth([math.nan if loss is None else loss for loss in self.losses], self.beta)
        powers = [math.log10(lr) for lr in self.lrs]
        curves = [("range test", powers, losses)]
        for label, lr in (("suggested", self.suggestion()), ("your suggestion", self.suggested)):
            if lr is not None and self.reveal and self.lrs and self.lrs[0] <= lr <= self.lrs[-1]:
                curves.append((label, [math.log10(lr)], [np.interp(math.log10(lr), powers, losses)]))
        return curve_picture(curves, x_label="log₁₀ η", y_label="loss L", width=640, height=340)

    def _ask_again(self, _change=None):
        if self._suggest is None:
            return
        suggested, said = None, ""
        try:
            suggested = finite(one_number(self._suggest(*self.curve()), "a learning rate"))
            if suggested is None or suggested <= 0:
                suggested, said = None, "Your suggest function has to return a rate above 0, an ordinary number."
        except Exception as error:  # whatever a reader's function does
            said = trouble(error, "suggest function")
        with self.hold_sync():
            self.suggested, self.trouble = suggested, self._unread or said


def read_curve(lrs: Any, losses: Any) -> dict[str, Any]:
    """A reader's own range test as the figure needs it; never an exception.

    Args:
        lrs: the rates, rising; or a `diagnose.RangeTest`, or any pair (lrs, losses).
        losses: the loss at each; None if `lrs` holds both.

    >>> read_curve([0.1, 1.0], [2.0, 9.0])["lrs"]
    [0.1, 1.0]
    """
    read: dict[str, Any] = {"lrs": [], "losses": [], "trouble": ""}
    try:
        if losses is None:
            lrs, losses = _pair(lrs)
        if len(lrs) != len(losses):
            read["trouble"] = f"There are {len(lrs)} rates and {len(losses)} losses: give one loss for each rate."
        for i, (lr, loss) in enumerate(zip(lrs, losses, strict=False)):
            lr, loss = _rate(lr, i, read["lrs"]), one_number(loss, f"loss {i}")
            read["lrs"].append(lr)
            read["losses"].append(finite(loss))
        if not read["lrs"]:
            read["trouble"] = "There is no curve yet: run your range test, and run this cell again."
    except (TypeError, ValueError) as error:
        read["trouble"] = f"Your curve cannot be drawn to the end: {error}"
    return read


def _pair(curve: Any) -> Sequence:
    if isinstance(curve, str | bytes | dict) or not hasattr(curve, "__len__") or len(curve) != 2:
        raise TypeError(f"it has to be a list of rates and a list of losses, but is {curve!r}.")
    return curve


def _rate(value: Any, i: int, before: list[float]) -> float:
    rate = one_number(value, f"rate {i}")
    if not (0 < rate < math.inf and (not before or rate > before[-1])):
        raise ValueError(f"the rates have to rise from above 0, but rate {i} is {rate:g}.")
    return rate


_RECORDED = object()  # None may be what a reader's unfinished test gave back


def lr_finder(lrs: Any = _RECORDED, losses: Any = None, *, suggest: OwnSuggest | None = None, **traits) -> LrFinder:
    """Show a range test: `lr_finder()`, `lr_finder(lrs, losses)`, `lr_finder(found, suggest=my_suggest)`.

    Args:
        lrs, losses: your own curve; or `lrs` alone, what `diagnose.lr_range_test` returned.
        suggest: a function of your own, (lrs, losses) -> rate. It is asked again when you smooth or skip.
        **traits: lr, beta, skip, reveal: what the figure starts with. Each stays live: after
            `finder = lr_finder()`, setting `finder.lr = 0.1` moves the picture. With `reveal=False` the reader
            picks a rate before the suggestion is shown.
    """
    if lrs is _RECORDED:
        return LrFinder(suggest=suggest, **{**recorded("range_test"), **traits})
    read = read_curve(lrs, losses)
    if read["lrs"]:
        middle = math.sqrt(read["lrs"][0]) * math.sqrt(read["lrs"][-1])
        traits = {"lr": min(max(middle, 1e-12), 1e6), **traits}
    return LrFinder(suggest=suggest, own=True, **{**read, **traits})
