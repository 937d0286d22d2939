"""How a function is asked: once with its inputs, at every step of a schedule, for several steps of an
optimizer, for two epochs in a row.

A protocol is a function (learner's function, inputs) -> what the judge gets. It runs beside the
learner's code, in their notebook or in the box, because some questions need several calls that share a
generator, a model or a file. It only asks and reports; whether the report is right is decided outside.
This file needs nothing but NumPy and `plain.py`; what needs torch imports it where it is used.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from gdlab.judge.plain import plain

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


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {protocol.__name__: protocol for protocol in (once, every_step, two_epochs, several_steps)}
)
"""Every protocol, by the name that travels to the box."""
