"""How a function is asked: once with its inputs, at every step of a schedule, for two epochs in a row.

A protocol is a function (learner's function, inputs) -> what the judge gets. It runs beside the
learner's code, in their notebook or in the box, because some questions need several calls that share a
generator, a model or a file. It only asks and reports; whether the report is right is decided outside.
This file needs nothing but NumPy; what needs torch imports it where it is used.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

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


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {protocol.__name__: protocol for protocol in (once, every_step, two_epochs)}
)
"""Every protocol, by the name that travels to the box."""
