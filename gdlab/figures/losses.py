"""The loss curve of a real run: train and validation, and what to look for in them.

Chapter 5's figure. A small network learns 200 handwritten digits (`recording.py`): a fast drop, a long tail,
and a validation loss that turns around while the training loss goes on falling. Both axes can be
logarithmic. Smoothing is `diagnose.smooth`, the place where patience runs out is `loop.early_stop`, and the
checkpoint is the best point until then. Losses of your own are drawn in the same way.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import traitlets as t

from gdlab.diagnose import smooth
from gdlab.figures.base import Figure, Number, finite
from gdlab.figures.curve_svg import curve_picture
from gdlab.figures.own import one_number
from gdlab.figures.recording import recorded
from gdlab.loop import early_stop

AXES = ("linear", "log")


class LossCurve(Figure):
    """The figure; see the module's first paragraph. `loss_curve` is its short name."""

    figure = "loss_curve"
    settings = ("step", "loss_axis", "step_axis", "beta", "patience", "overfitting", "clipping", "checkpoint")
    told = ("own", "losses", "norms", "val_steps", "val_losses", "max_norm", "trouble")

    step = t.Int(20, min=0, max=10**7, help="the step that is read out").tag(sync=True)
    loss_axis = t.Enum(AXES, "linear", help="how losses are spaced").tag(sync=True)
    step_axis = t.Enum(AXES, "linear", help="how steps are spaced").tag(sync=True)
    beta = Number(0.8, min=0.0, max=0.99, help="how strongly the training loss is smoothed").tag(sync=True)
    patience = t.Int(8, min=1, max=10**6, help="validations without progress that are one too many").tag(sync=True)
    overfitting = t.Bool(True, help="mark where the validation loss is past its lowest").tag(sync=True)
    clipping = t.Bool(True, help="mark the steps whose gradient was clipped").tag(sync=True)
    checkpoint = t.Bool(True, help="mark early stopping, and the checkpoint it keeps").tag(sync=True)
    own = t.Bool(False, help="whether the losses are a reader's own").tag(sync=True)
    losses = t.List(t.Float(allow_none=True), help="before each update; None is no number").tag(sync=True)
    norms = t.List(t.Float(allow_none=True), help="of the gradients, before clipping").tag(sync=True)
    val_steps = t.List(t.Int(), help="how many updates were made at each validation").tag(sync=True)
    val_losses = t.List(t.Float(allow_none=True), help="what it said").tag(sync=True)
    max_norm = t.Float(None, allow_none=True, help="what gradients were clipped to").tag(sync=True)
    trouble = t.Unicode(help="what was wrong with a reader's own losses; empty if nothing").tag(sync=True)

    def smoothed(self) -> list[float | None]:
        """The training loss as it is drawn, by `diagnose.smooth`; None from the first that is no number."""
        return [finite(float(loss)) for loss in smooth(_floats(self.losses), self.beta)]

    def stop(self) -> tuple[int, int] | None:
        """When patience runs out and which checkpoint is kept, in updates, by `loop.early_stop`; None without validation."""
        if not self.val_losses:
            return None
        stopped, best = early_stop(_floats(self.val_losses), self.patience)
        return self.val_steps[stopped], self.val_steps[best]

    def picture(self) -> str:
        steps = range(len(self.losses))
        curves = [("train", steps, self.smoothed())]
        if self.val_losses:
            curves.append(("validation", self.val_steps, self.val_losses))
        return curve_picture(
            curves, x_label="step", y_label="loss L", log_y=self.loss_axis == "log", width=640, height=340
        )


def _floats(values: Iterable[float | None]) -> list[float]:
    return [float("nan") if value is None else value for value in values]


# A reader's own losses


def read_run(losses: Any, val_losses: Any = None) -> dict[str, Any]:
    """What the figure needs of a reader's own run, whatever form it has; never an exception.

    Args:
        losses: one per step; or a record of `loop.train` (rows with loss, grad_norm and val_loss), or its run.
        val_losses: {updates made: loss}, or one per step with None where it was not measured.

    >>> read_run([4.0, 2.0], {2: 3.0})["val_steps"]
    [2]
    """
    read: dict[str, Any] = {"losses": [], "norms": [], "val_steps": [], "val_losses": [], "trouble": ""}
    try:
        rows = _rows(losses)
        measured = _measured(val_losses, rows)
        for i, row in enumerate(rows):
            if "loss" not in row:
                raise KeyError(f"row {i} of the record has no column loss.")
            read["losses"].append(_number(row["loss"], f"loss {i}"))
            if "grad_norm" in row:
                read["norms"].append(_number(row["grad_norm"], f"gradient norm {i}"))
        for step, loss in measured:
            read["val_losses"].append(_number(loss, f"the validation loss after {step} updates"))
            read["val_steps"].append(step)
        if not rows:
            read["trouble"] = "There are no losses yet: fill the list in your loop, and run this cell again."
    except (TypeError, ValueError, KeyError) as error:
        read["trouble"] = f"Your losses cannot be drawn to the end: {error.args[0]}"
    if len(read["norms"]) != len(read["losses"]):
        read["norms"] = []
    return read


def _rows(losses: Any) -> list[Mapping[str, Any]]:
    record = getattr(losses, "record", losses)
    if record is None or isinstance(record, str | bytes | Mapping) or not hasattr(record, "__iter__"):
        raise TypeError(
            f"they have to be a list with one number per step, or a record of gdlab.loop.train, but are {record!r}."
        )
    return [row if isinstance(row, Mapping) else {"loss": row} for row in record]


def _measured(val_losses: Any, rows: list[Mapping[str, Any]]) -> list[tuple[int, Any]]:
    """(updates made, loss) of each validation, in order. A row's validation comes after its update."""
    if isinstance(val_losses, Mapping):
        return sorted((int(step), loss) for step, loss in val_losses.items())
    if val_losses is None:
        val_losses = [row.get("val_loss") for row in rows]
    return [(i + 1, loss) for i, loss in enumerate(val_losses) if loss is not None]


def _number(value: Any, what: str) -> float | None:
    try:
        return finite(one_number(value, what))
    except TypeError:
        raise TypeError(f"{what} has to be one number, but is {value!r}.") from None


_RECORDED = object()  # None may be what a reader's unfinished loop gave back


def loss_curve(
    losses: Any = _RECORDED, val_losses: Any = None, *, max_norm: float | None = None, **traits
) -> LossCurve:
    """Show a loss curve: `loss_curve()`, `loss_curve(my_losses)`, `loss_curve(run, max_norm=1.0, loss_axis="log")`.

    Args:
        losses: your own, one per step; or the run or the record that `gdlab.loop.train` gave you.
        val_losses: your validation losses, {updates made: loss}, or one per step with None where there is none.
            A record has its own.
        max_norm: what the gradients were clipped to; the steps of a record that were clipped are marked.
        **traits: step, loss_axis, step_axis, beta, patience, overfitting, clipping, checkpoint: what the
            figure starts with. Each stays live: after `curve = loss_curve()`, setting `curve.beta = 0` moves the picture.
    """
    if losses is _RECORDED:
        return LossCurve(**{**recorded("run"), **traits})
    read = read_run(losses, val_losses)
    defaults = {"step": len(read["losses"]) // 2, "beta": 0.0, "max_norm": max_norm}
    return LossCurve(own=True, **{**read, **defaults, **traits})
