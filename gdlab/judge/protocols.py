"""How a function is asked: once with its inputs, at every step of a schedule, for several steps of an
optimizer, for two epochs in a row, with a torch model to train, by saving to a file and loading from it.

A protocol is a function (learner's function, inputs) -> what the judge gets. It runs beside the
learner's code, in their notebook or in the box, because some questions need several calls that share a
generator, a model or a file. It only asks and reports; whether the report is right is decided outside.
This file needs nothing but NumPy and `plain.py`; what needs torch imports it where it is used.
"""

import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from gdlab.judge.plain import NotPlain, plain

Inputs = Mapping[str, Any]
Protocol = Callable[[Callable, Inputs], Any]


def once(function: Callable, inputs: Inputs):
    """Call the function with its inputs in order."""
    return function(*inputs.values())


def every_step(function: Callable, inputs: Inputs) -> list:
    """A whole curve: call the function at each entry of the input `step`, and list what comes."""
    values = []
    for step in np.asarray(inputs["step"]).tolist():
        try:
            values.append(function(*{**inputs, "step": step}.values()))
        except Exception as error:
            error.add_note(f"at step {step}")
            raise
    return values


def two_epochs(function: Callable, inputs: Inputs) -> dict[str, Any]:
    """Two epochs from one generator, and the first once more from a generator with the same seed."""
    again = np.random.Generator(type(inputs["rng"].bit_generator)())
    again.bit_generator.state = inputs["rng"].bit_generator.state
    return {
        "first": function(*inputs.values()),
        "second": function(*inputs.values()),
        "again": function(*{**inputs, "rng": again}.values()),
    }


def several_steps(function: Callable, inputs: Inputs) -> dict[str, Any]:
    """One step of an optimizer after the other, each from what the one before returned.

    The inputs are theta, `grads` (one gradient a step), the parts of the state, `step` where the function
    takes one (the step to begin with), and from `lr` on what stays the same. The report is a dict of
    dicts, {"step 0": {"theta": …, "velocity": …}, …}, so that the first wrong thing has a name. What is not
    of theta's shape, or not as many things as were asked for, is reported as it came, and not carried on.
    """
    names, shape = list(inputs), np.shape(inputs["theta"])
    kept = [name for name in names[: names.index("lr")] if name not in ("grads", "step")]
    now, report = dict(inputs), {}
    for step, grad in enumerate(inputs["grads"], start=inputs.get("step", 0)):
        now["grads"] = grad if shape else float(grad)
        if "step" in inputs:
            now["step"] = step
        try:
            came = function(*now.values())
        except Exception as error:
            error.add_note(f"at step {step}")
            raise
        parts = _returned_together(came, kept, shape)
        now |= {name: plain(part) for name, part in parts.items() if _is_like(part, shape)}
        report[f"step {step}"] = parts or plain(came)
    return report


def _returned_together(came, names: list[str], shape: tuple[int, ...]) -> dict[str, Any]:
    """Each thing by its name, out of a tuple, a list or one array of them; empty if they are not that many."""
    together = came if isinstance(came, tuple | list) else plain(came)
    if isinstance(together, np.ndarray) and together.shape != (len(names), *shape):
        return {}
    if not isinstance(together, tuple | list | np.ndarray) or len(together) != len(names):
        return {}
    return {name: plain(part) for name, part in zip(names, together, strict=True)}


def _is_like(part, shape: tuple[int, ...]) -> bool:
    return isinstance(part, int | float | np.ndarray) and np.shape(part) == shape


def train_a_torch_model(function: Callable, inputs: Inputs) -> dict[str, Any]:
    """Build a model and all that trains it from plain values, have it trained, and look at what came of it.

    The inputs: `model` is [W₁, b₁, W₂, b₂] of Linear, Tanh, Linear, as torch keeps them; `loss_fn` says in
    words what is in the code below, a squared error that tells predictions from labels; `optimizer` is a
    class of torch.optim by `name`, and its options; `scheduler` lists the factor of each step, the last one
    held; `batches` are pairs [X, y]. `events` lists when gradients came and when the optimizer had stepped.
    Nothing here draws from torch's generator, or leaves a setting changed.
    """
    import torch

    def tensor(values):
        return torch.tensor(np.asarray(values), dtype=torch.float64, device="cpu")

    weight_1, bias_1, weight_2, bias_2 = map(tensor, inputs["model"])
    factors, options = inputs["scheduler"], dict(inputs["optimizer"])
    events: list[str] = []
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")  # torch warns of what the verdict will name
        model = torch.nn.Sequential(_torch_linear(weight_1, bias_1), torch.nn.Tanh(), _torch_linear(weight_2, bias_2))
        optimizer = getattr(torch.optim, options.pop("name"))(model.parameters(), **options)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factors[min(step, len(factors) - 1)])
        model[2].bias.register_hook(lambda grad: events.append("gradient"))
        optimizer.register_step_post_hook(lambda *_: events.append("step"))
        losses = function(
            model,
            lambda prediction, label: ((1 + label.abs()) * (prediction - label) ** 2).mean() / 2,
            optimizer,
            scheduler,
            [(tensor(X), tensor(y)) for X, y in inputs["batches"]],
            inputs["epochs"],
        )
    entries = losses if isinstance(losses, list | tuple) else [losses]
    return {
        "losses": losses,
        "weights": {name: weights.detach() for name, weights in model.named_parameters()},
        "rate": optimizer.param_groups[0]["lr"],
        "events": events,
        "keeps a graph": any(getattr(loss, "requires_grad", False) for loss in entries),
    }


def _torch_linear(weight, bias):
    """A torch Linear with these weights; torch's generator stands where it stood."""
    import torch

    with torch.random.fork_rng(devices=[]):  # skip_init draws no weights at all, and takes six times as long
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


CHECKPOINT = "checkpoint.npz"
"""What the file is called: with this ending NumPy adds none of its own, and no other format minds it."""

SHUFFLED = 12
"""How many things the generator of a checkpoint shuffles."""


def save_and_go_on(function: Callable, inputs: Inputs) -> dict[str, np.ndarray]:
    """Save a run, let it go on in place, and only then read the file: what was saved must not go on with it.

    The inputs are theta, `state` (two arrays), step, `rng`, and how often it shuffled before (`shuffles`).
    The report is the bytes of each file in the folder, by name.
    """
    theta, state = np.array(inputs["theta"]), tuple(np.array(array) for array in inputs["state"])
    rng = inputs["rng"]
    for _ in range(inputs["shuffles"]):
        rng.permutation(SHUFFLED)
    with tempfile.TemporaryDirectory() as folder:
        function(str(Path(folder) / CHECKPOINT), theta, state, inputs["step"], rng)
        for array in (theta, *state):
            array *= -2
        rng.permutation(SHUFFLED)
        written = [file for file in Path(folder).iterdir() if file.is_file()]
        if not written:
            raise NotPlain("save_checkpoint wrote no file at the path it was given.")
        return {file.name: np.frombuffer(file.read_bytes(), dtype=np.uint8) for file in written}


def load_and_draw(function: Callable, inputs: Inputs):
    """Load what `save_and_go_on` reported, from another folder; of four things returned, the last is made to draw."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in inputs["received"].items():
            (Path(folder) / Path(name).name).write_bytes(content.tobytes())
        returned = function(str(Path(folder) / CHECKPOINT))
    if not isinstance(returned, list | tuple) or len(returned) != 4:
        return returned
    theta, state, step, rng = returned
    draws = rng.permutation(SHUFFLED) if isinstance(rng, np.random.Generator) else type(rng).__name__
    return [theta, state, step, draws]


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        protocol.__name__: protocol
        for protocol in (
            once,
            every_step,
            two_epochs,
            several_steps,
            train_a_torch_model,
            save_and_go_on,
            load_and_draw,
        )
    }
)
"""Every protocol, by the name that travels to the box."""
