"""The training loop: draw a batch, look at its loss and gradient, step, repeat.

    for batch in batches:
        loss, grad = loss_and_grad(theta, batch)
        theta, state = rule.step(theta, grad, state, step, lr)
        step = step + 1

That is all of it. `train_numpy` is these lines and nothing else; `train` is the same lines with what
real projects add around them, each as one argument or one callback: clipping, a record of the run,
validation, early stopping, checkpoints from which a run goes on bit for bit as if it had never
stopped, a progress bar, and a halt, with the place, when a number is no longer finite.

A *callback* is a function of the `Run`, called after each step. If it returns a sentence, training
stops, and the sentence is the run's `stopped`; what it writes into `run.record[-1]` becomes a column.
"""

import contextlib
import csv
import glob
import io
import itertools
import json
import math
import os
import secrets
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gdlab.rules import clip_by_norm, global_norm

# ---------------------------------------------------------------- the loop itself


def train_numpy(theta, X, y, grad_fn, batches_fn, rule, schedule, epochs: int):
    """The bare loop over epochs and batches; every point is kept.

    Args:
        theta: the start, shape (d,).
        X, y: examples (n, …) and labels (n, …).
        grad_fn: (theta, X of a batch, y of a batch) -> gradient (d,); called once a step.
        batches_fn: () -> the row numbers of each batch of one epoch, drawn afresh; called once an epoch.
        rule: (theta, grad, state, step, lr) -> theta, state; the first state is None.
        schedule: step -> learning rate; steps count from 0 and on through all epochs.
        epochs: how many.

    Returns:
        Shape (steps + 1, d), the start included.

    >>> halve = lambda theta, grad, state, step, lr: (theta - lr * grad, state)
    >>> slope = lambda theta, X, y: np.array([np.mean(theta - y)])
    >>> train_numpy(np.array([8.0]), np.zeros(2), np.zeros(2), slope, lambda: [[0], [1]], halve, lambda step: 0.5, epochs=1)
    array([[8.],
           [4.],
           [2.]])
    """
    path, state, step = [np.array(theta)], None, 0
    for _ in range(epochs):
        for batch in batches_fn():
            grad = grad_fn(theta, X[batch], y[batch])
            theta, state = rule(theta, grad, state, step, schedule(step))
            path.append(np.array(theta))
            step += 1
    return np.stack(path)


@dataclass
class Run:
    """A training run: where it stands, and what happened so far.

    Attributes:
        theta: the parameters, one array or number, or nested dicts and lists of them.
        state: what the rule remembers.
        batches: where the batches come from.
        step: how many updates were made, which is the number of the next one.
        record: one dict per update: step, epoch (if the batches tell), lr, loss and grad_norm, both of
            before the update, and grad_norm of before clipping. `pandas.DataFrame(run.record)` reads it.
        best: {"step", "loss", "theta"} at the lowest validation loss; None without `validation`.
        stopped: the sentence of whoever ended the run early; None if it ran to its last step.
        rng: a generator besides the batches' own that is saved with the run.
    """

    theta: Any
    state: Any
    batches: Iterable
    step: int = 0
    record: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    stopped: str | None = None
    rng: np.random.Generator | None = None


Callback = Callable[[Run], str | None]


class NotFinite(ArithmeticError):
    """The loss or the gradient is no longer a finite number; the sentence says where, `run` is the run up to there."""

    def __init__(self, sentence: str, run: Run):
        super().__init__(sentence)
        self.run = run


def train(
    loss_and_grad: Callable,
    theta,
    batches: Iterable,
    rule,
    lr: float | Callable[[int], float],
    total_steps: int,
    *,
    max_norm: float | None = None,
    callbacks: Iterable[Callback] = (),
    checkpoint: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    rng: np.random.Generator | None = None,
    stop_on_nan: bool = True,
    progress: bool | None = None,
) -> Run:
    """Train, with what real projects add.

    Args:
        loss_and_grad: (theta, batch) -> (loss, gradient), the gradient built like theta.
        theta: the start.
        batches: `Batches`, or any iterable of what `loss_and_grad` takes as a batch.
        rule: a `rules.Rule`, or anything with its `init` and `step`.
        lr: the learning rate, a number or a function of the step.
        total_steps: how many updates the whole run makes, those before a resume included.
        max_norm: clip the gradient's global norm to this (`rules.clip_by_norm`).
        callbacks: called in this order after each step, before a checkpoint is written.
        checkpoint: the file to save the run in, at the end and ...
        checkpoint_every: ... whenever so many updates were made.
        resume: go on from `checkpoint` if that file exists, and start anew if it does not: one command
            line serves the first start and every later one. A run that was stopped early stays stopped.
        rng: another generator that `loss_and_grad` draws from (dropout, noise); saved and put back as
            well. The batches' own is always saved.
        stop_on_nan: refuse to step on a loss or gradient that is not finite.
        progress: show a bar on stderr; None shows it only on a terminal.

    Returns:
        The run. `run.stopped` says why if it ended before `total_steps`.

    Raises:
        NotFinite: see `stop_on_nan`; parameters and state are still those of before the bad step.
        ValueError: if the arguments contradict each other or the checkpoint's.

    >>> from gdlab.rules import gradient_descent
    >>> run = train(lambda theta, _: ((theta - 3) ** 2, 2 * (theta - 3)), -1.0, itertools.repeat(None), gradient_descent(), 0.25, 3)
    >>> run.theta, [row["loss"] for row in run.record]
    (2.5, [16.0, 4.0, 1.0])
    """
    _check_arguments(batches, total_steps, checkpoint, checkpoint_every, resume)
    run = Run(theta, rule.init(theta), batches, rng=rng)
    saved = _take_up(run, checkpoint) if resume else None
    if run.stopped:
        return run
    callbacks, schedule = list(callbacks), lr if callable(lr) else lambda step: lr

    with _progress_bar(progress, run.step, total_steps) as show:
        for batch in itertools.islice(batches, max(0, total_steps - run.step)):
            loss, grad = loss_and_grad(run.theta, batch)
            grad, norm = _clip(grad, max_norm)
            rate = schedule(run.step)
            if stop_on_nan:
                _check_finite(run, loss, grad, norm, rate)
            run.theta, run.state = rule.step(run.theta, grad, run.state, run.step, rate)
            run.record.append(_row(run, loss, norm, rate))
            run.step += 1
            run.stopped = _first_sentence(callbacks, run)
            show(run.step, loss)
            if checkpoint_every and run.step % checkpoint_every == 0:
                save_run(checkpoint, run)
                saved = run.step
            if run.stopped:
                break
        else:
            if run.step < total_steps:
                run.stopped = f"The batches ran out after {run.step} of {total_steps} steps."
    if checkpoint and saved != run.step:
        save_run(checkpoint, run)
    return run


def _check_arguments(batches, total_steps, checkpoint, checkpoint_every, resume):
    if total_steps != int(total_steps) or total_steps < 0:
        raise ValueError(f"total_steps is a whole number from 0 up, but is {total_steps!r}.")
    if checkpoint_every is not None and (checkpoint_every != int(checkpoint_every) or checkpoint_every < 1):
        raise ValueError(f"checkpoint_every is a whole number of steps from 1 up, but is {checkpoint_every!r}.")
    if checkpoint is None and (checkpoint_every is not None or resume):
        raise ValueError("checkpoint_every and resume need to know the file: name it with checkpoint=….")
    if checkpoint is not None and not (hasattr(batches, "state") and hasattr(batches, "restore")):
        raise ValueError(
            "To go on exactly, the batches must be saved too: use gdlab.batching.Batches, or give yours state() and restore()."
        )


def _clip(grad, max_norm):
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found by _check_finite, with its place
        return (grad, global_norm(grad)) if max_norm is None else clip_by_norm(grad, max_norm)


def _row(run: Run, loss, norm, rate) -> dict[str, Any]:
    epoch = {"epoch": run.batches.epoch} if hasattr(run.batches, "epoch") else {}
    return {"step": run.step} | epoch | {"lr": float(rate), "loss": float(loss), "grad_norm": float(norm)}


def _first_sentence(callbacks, run: Run) -> str | None:
    """Every callback is called, whoever wants to stop: a later one may have to write its column."""
    sentences = [callback(run) for callback in callbacks]
    return next((sentence for sentence in sentences if sentence), None)


# ---------------------------------------------------------------- a stop on NaN that says where


def named_leaves(tree, place: str = "theta") -> list[tuple[str, Any]]:
    """The arrays of a tree with their places, in the order of `rules.leaves`.

    >>> named_leaves({"w": 1.0, "layers": [2.0, 3.0]})
    [("theta['w']", 1.0), ("theta['layers'][0]", 2.0), ("theta['layers'][1]", 3.0)]
    """
    if isinstance(tree, dict):
        return [pair for key in tree for pair in named_leaves(tree[key], f"{place}[{key!r}]")]
    if isinstance(tree, list | tuple):
        return [pair for k, branch in enumerate(tree) for pair in named_leaves(branch, f"{place}[{k}]")]
    return [(place, tree)]


def _check_finite(run: Run, loss, grad, norm, rate):
    if math.isfinite(loss) and math.isfinite(norm):
        return
    epoch = f" (epoch {run.batches.epoch})" if hasattr(run.batches, "epoch") else ""
    raise NotFinite(
        f"Training stopped at step {run.step}{epoch}: {_what_is_not_finite(run, loss, grad)}. The learning rate was "
        f"{rate:.6g}; the parameters are those of before this step. Try a lower rate, clip the gradient (max_norm), "
        "or look at this batch.",
        run,
    )


def _what_is_not_finite(run: Run, loss, grad) -> str:
    if (place := _first_bad(run.theta, "theta")) is not None:
        return f"{place} is not finite, and so the loss is {float(loss)}"
    if not math.isfinite(loss):
        return f"the loss is {float(loss)}"
    if (place := _first_bad(grad, "grad")) is not None:
        return f"{place} is not finite, while the loss is {float(loss):.6g}"
    return f"the gradient is so large that its norm overflows, while the loss is {float(loss):.6g}"


def _first_bad(tree, name: str) -> str | None:
    return next((place for place, leaf in named_leaves(tree, name) if not np.all(np.isfinite(leaf))), None)


# ---------------------------------------------------------------- validation and early stopping


def validation(loss_of: Callable[[Any], float], every: int, name: str = "val_loss") -> Callback:
    """A callback: measure `loss_of(theta)` whenever `every` updates were made, and remember the best parameters.

    The loss becomes column `name` of that step's row; the lowest so far, with its parameters, is `run.best`.

    Raises:
        ValueError: if `every` is not a whole number from 1 up.

    >>> run = Run(theta=2.0, state=(), batches=[], step=10, record=[{"step": 9}])
    >>> validation(lambda theta: theta**2, every=5)(run)
    >>> run.record, run.best
    ([{'step': 9, 'val_loss': 4.0}], {'step': 10, 'loss': 4.0, 'theta': 2.0})
    """
    if every != int(every) or every < 1:
        raise ValueError(f"every is a whole number of steps from 1 up, but is {every!r}.")

    def validate(run: Run) -> None:
        if run.step % every:
            return
        loss = float(loss_of(run.theta))
        run.record[-1][name] = loss
        if run.best is None or loss < run.best["loss"]:
            run.best = {"step": run.step, "loss": loss, "theta": run.theta}

    return validate


def early_stop(losses, patience: int, min_delta: float = 0.0) -> tuple[int, int]:
    """When to stop on a list of validation losses: after `patience` epochs in a row without a better one.

    Better means below best − min_delta, where best is the last loss that was better: small gains add
    up until they count. An equal loss is not better; neither is one that is not a number.

    Args:
        losses: one per epoch, at least one.
        patience: epochs without progress that are one too many, 1 or more.
        min_delta: what a gain must exceed to count, 0 or more, in units of the loss.

    Returns:
        (stop_epoch, best_epoch), both from 0; stop_epoch is the last epoch if patience was never spent,
        and then stop_epoch − best_epoch < patience.

    Raises:
        ValueError: if there are no losses, or patience or min_delta is too small.

    Source: Prechelt 1998, "Early stopping, but when?"; counted as in Keras (`wait >= patience`).

    >>> early_stop([3.0, 2.0, 2.5, 2.0, 1.0], patience=2)
    (3, 1)
    """
    if len(losses) == 0:
        raise ValueError("There are no losses to judge yet.")
    if patience != int(patience) or patience < 1:
        raise ValueError(f"patience is a whole number of epochs from 1 up, but is {patience!r}.")
    if not min_delta >= 0:
        raise ValueError(f"min_delta is what a gain must exceed, 0 or more, but is {min_delta!r}.")
    best, best_epoch = math.inf, 0
    for epoch, loss in enumerate(losses):
        if loss < best - min_delta:
            best, best_epoch = loss, epoch
        elif epoch - best_epoch >= patience:
            return epoch, best_epoch
    return len(losses) - 1, best_epoch


def early_stopping(patience: int, min_delta: float = 0.0, watch: str = "val_loss") -> Callback:
    """A callback: stop when column `watch` of the record has spent its patience, by `early_stop`.

    It reads the record and remembers nothing itself, so a resumed run stops where it would have.
    Place it after the callback that writes the column.

    >>> stop = early_stopping(patience=1)
    >>> stop(Run(0.0, (), [], record=[{"step": 0, "val_loss": 2.0}, {"step": 1}, {"step": 2, "val_loss": 2.5}]))
    'Early stopping: val_loss has not improved since step 0.'
    """

    def stop(run: Run) -> str | None:
        if watch not in run.record[-1]:
            return None
        rows = [row for row in run.record if watch in row]
        stopped, best = early_stop([row[watch] for row in rows], patience, min_delta)
        if stopped - best < patience:
            return None
        return f"Early stopping: {watch} has not improved since step {rows[best]['step']}."

    return stop


# ---------------------------------------------------------------- the record


def write_record(record: list[dict[str, Any]], path: str | Path) -> None:
    """Write a run's record as CSV (`.csv`) or JSON lines (`.jsonl`), one row per update.

    Numbers keep all their digits. A column that a row lacks is an empty field in CSV and absent in JSON
    lines, where a number that is not finite becomes null, as the standard has no other word for it.
    `pandas.read_csv(path)` and `pandas.read_json(path, lines=True)` read them.

    Raises:
        ValueError: if the name ends otherwise.
    """
    path = Path(path)
    writers = {".csv": _as_csv, ".jsonl": _as_json_lines}
    if path.suffix not in writers:
        raise ValueError(f"A record is written as .csv or .jsonl, but the file is called {path.name!r}.")
    with replacing(path) as file:
        file.write(writers[path.suffix](record).encode())


def _as_csv(record) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, fieldnames=list(dict.fromkeys(column for row in record for column in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(record)
    return text.getvalue()


def _as_json_lines(record) -> str:
    def finite(value):
        value = value.item() if isinstance(value, np.generic) else value
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return "".join(
        json.dumps({column: finite(value) for column, value in row.items()}, allow_nan=False) + "\n" for row in record
    )


# ---------------------------------------------------------------- checkpoints


class CheckpointError(ValueError):
    """This file cannot be read as a checkpoint; the sentence says what it is instead."""


def save_checkpoint(path: str | Path, theta, state, step: int, rng: np.random.Generator | None) -> None:
    """Save what a run needs to go on: parameters, the rule's state, the step, and where chance stands.

    Args:
        path: the file; an older one is replaced in one instant, see `write_checkpoint`.
        theta, state: arrays or numbers, or nested dicts, lists and tuples of them.
        step: the number of the next step.
        rng: the generator that shuffles. Its present state is saved, not its seed.

    Raises:
        TypeError: if something in it is neither array, number, text nor generator.
    """
    write_checkpoint(path, {"theta": theta, "state": state, "step": step, "rng": rng})


def load_checkpoint(path: str | Path) -> tuple[Any, Any, int, np.random.Generator | None]:
    """The (theta, state, step, rng) that `save_checkpoint` was given, equal to the last bit.

    Raises:
        CheckpointError: if the file is damaged or something else.
        FileNotFoundError: if there is none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(f"{folder}/run.ckpt", {"w": np.array([0.1, 0.2])}, (), 7, np.random.default_rng(0))
    ...     theta, state, step, rng = load_checkpoint(f"{folder}/run.ckpt")
    >>> theta, state, step, rng.random() == np.random.default_rng(0).random()
    ({'w': array([0.1, 0.2])}, (), 7, True)
    """
    content = read_checkpoint(path)
    missing = {"theta", "state", "step", "rng"} - set(content)
    if missing:
        raise CheckpointError(f"{path} holds no {', '.join(sorted(missing))}: it was not written by save_checkpoint.")
    return content["theta"], content["state"], content["step"], content["rng"]


def save_run(path: str | Path, run: Run) -> None:
    """Save a whole run, its batches and its record included; `load_checkpoint` reads its first four parts.

    Raises:
        TypeError: if something in it is neither array, number, text nor generator.
    """
    parts = {"theta": run.theta, "state": run.state, "step": run.step, "rng": getattr(run.batches, "rng", None)}
    more = {
        "batches": run.batches.state(),
        "model_rng": run.rng,
        "record": run.record,
        "best": run.best,
        "stopped": run.stopped,
    }
    write_checkpoint(path, parts | more)


def _take_up(run: Run, path: str | Path) -> int | None:
    """Bring a fresh run to where the checkpoint stands, if there is one, and return its step."""
    path = Path(os.path.realpath(path))
    for leftover in glob.glob(f".{glob.escape(path.name)}.*.partial", root_dir=path.parent):
        (path.parent / leftover).unlink()  # from a save that was killed; nobody reads these
    if not path.exists():
        return None
    content = read_checkpoint(path)
    missing = {"theta", "state", "step", "batches", "model_rng", "record", "best", "stopped"} - set(content)
    if missing:
        raise CheckpointError(
            f"{path} holds no {', '.join(sorted(missing))}: resume needs a checkpoint that train wrote."
        )
    ours, theirs = (
        [(place, np.shape(leaf)) for place, leaf in named_leaves(tree)] for tree in (run.theta, content["theta"])
    )
    if ours != theirs:
        raise ValueError(f"{path} belongs to another model: it has {theirs}, this one has {ours}.")
    run.batches.restore(content["batches"])
    _set_generator(run.rng, content["model_rng"])
    for name in ("theta", "state", "step", "record", "best", "stopped"):
        setattr(run, name, content[name])
    return run.step


def _set_generator(rng: np.random.Generator | None, saved: np.random.Generator | None) -> None:
    ours, theirs = ("none" if each is None else type(each.bit_generator).__name__ for each in (rng, saved))
    if ours != theirs:
        raise ValueError(
            f"The run was saved with rng of the kind {theirs}, but rng is now {ours}: pass one of the same kind."
        )
    if rng is not None:
        rng.bit_generator.state = saved.bit_generator.state


# ---------------------------------------------------------------- the file of a checkpoint

FORMAT, VERSION, CONTENTS = "gdlab checkpoint", 1, "checkpoint.json"


def write_checkpoint(path: str | Path, content: dict[str, Any]) -> None:
    """Write nested dicts, lists and tuples of arrays, numbers, text and generators into one file.

    The file is a zip, as NumPy's npz: one `.npy` per array, and `checkpoint.json` that says what goes
    where. Nothing is pickled. Whoever is interrupted in the middle, even by `kill -9`, leaves the old
    file untouched: the new one is written beside it, flushed to the disk, and renamed over it.

    Raises:
        TypeError: if something in it is of another kind.
    """
    arrays: list[np.ndarray] = []
    head = {"format": FORMAT, "version": VERSION, "content": to_json(content, arrays)}
    text = json.dumps(head, allow_nan=False)
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(CONTENTS), text)
        for k, array in enumerate(arrays):
            with archive.open(zipfile.ZipInfo(f"{k}.npy"), "w", force_zip64=True) as entry:
                np.save(entry, array, allow_pickle=False)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """What `write_checkpoint` wrote.

    Raises:
        CheckpointError: if the file is damaged, something else, or of a later version.
        FileNotFoundError: if there is none.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                head = json.loads(archive.read(CONTENTS)) if CONTENTS in archive.namelist() else {}
                if head.get("format") == FORMAT and head["version"] == VERSION:
                    # Whole entries first: that checks their sums before anything is made of them.
                    return from_json(
                        head["content"], lambda k: np.load(io.BytesIO(archive.read(f"{k}.npy")), allow_pickle=False)
                    )
        except (
            Exception
        ) as damage:  # a flipped bit can raise nearly anything inside zipfile; the file was opened before
            raise CheckpointError(
                f"{path} is damaged, or no checkpoint at all: it cannot be read ({damage})."
            ) from damage
    if head.get("format") == FORMAT:
        raise CheckpointError(
            f"{path} has format version {head['version']}, but this gdlab reads version {VERSION}: update gdlab."
        )
    raise CheckpointError(f"{path} is a zip file, but no checkpoint of gdlab: it holds no {CONTENTS} of ours.")


def to_json(value, arrays: list[np.ndarray]):
    """Plain JSON for `value`; every JSON object has one key that says what it stands for. Arrays go to `arrays`."""
    match value:
        case np.ndarray() | np.generic():
            if value.dtype.hasobject:
                raise TypeError("An array of Python objects cannot be saved: give it a number type.")
            arrays.append(np.asarray(value))
            return {"array" if isinstance(value, np.ndarray) else "scalar": len(arrays) - 1}
        case np.random.Generator():
            return {"generator": to_json(_parts_of(value.bit_generator), arrays)}
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else {"float": repr(value)}
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise TypeError(f"A checkpoint's names are text, but a dict has the keys {list(value)[:5]}.")
            return {"dict": {key: to_json(part, arrays) for key, part in value.items()}}
        case list():
            return [to_json(part, arrays) for part in value]
        case tuple():
            return {"tuple": [to_json(part, arrays) for part in value]}
    raise TypeError(
        f"A checkpoint holds arrays, numbers, text and generators, but here is a {type(value).__name__}: turn it into one of these."
    )


def from_json(value, load_array: Callable[[int], np.ndarray]):
    """What `to_json` was given; `load_array` finds the array of a number."""
    if isinstance(value, list):
        return [from_json(part, load_array) for part in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    match kind:
        case "array":
            return load_array(inner)
        case "scalar":
            return load_array(inner)[()]
        case "float":
            return float(inner)
        case "dict":
            return {key: from_json(part, load_array) for key, part in inner.items()}
        case "tuple":
            return tuple(from_json(part, load_array) for part in inner)
        case "generator":
            return np.random.Generator(_bit_generator(from_json(inner, load_array)))
    raise CheckpointError(f"it holds a {kind!r}, which this gdlab does not know")


BIT_GENERATORS = {
    kind.__name__: kind
    for kind in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}
SEED_PARTS = ("entropy", "spawn_key", "pool_size", "n_children_spawned")


def _parts_of(bits) -> dict[str, Any]:
    """A bit generator's state, and its seed sequence: `rng.spawn` goes on from that one."""
    if type(bits).__name__ not in BIT_GENERATORS:
        raise TypeError(
            f"The generator is a {type(bits).__name__}; one that can be saved is {', '.join(BIT_GENERATORS)}."
        )
    return {"state": bits.state, "seed": {name: getattr(bits.seed_seq, name) for name in SEED_PARTS}}


def _bit_generator(parts: dict[str, Any]):
    bits = BIT_GENERATORS[parts["state"]["bit_generator"]](np.random.SeedSequence(**parts["seed"]))
    bits.state = parts["state"]
    return bits


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[io.BufferedWriter]:
    """A file that takes `path`'s place in one instant, when all of it is on the disk, or never."""
    path = Path(os.path.realpath(path))  # through a link, so that the link stays one
    partial = path.with_name(
        f".{path.name}.{secrets.token_hex(4)}.partial"
    )  # the same folder: renaming works only within a disk
    try:
        with open(partial, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # else the name may reach the disk before the contents do
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the renaming itself must survive a power cut too
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


# ---------------------------------------------------------------- the bar


@contextlib.contextmanager
def _progress_bar(wanted: bool | None, done: int, total: int):
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda step, loss: None
        return
    from rich.console import Console  # only here: a loop without a bar need not load it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        "training",
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("training", total=total, completed=done, loss="…")
        yield lambda step, loss: bar.update(task, completed=step, loss=f"{float(loss):.4g}")
