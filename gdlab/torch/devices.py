"""What differs between devices: a processor, an NVIDIA GPU (cuda) and an Apple GPU (mps).

The loop, the rules and the batches ask here, and nowhere else assume one kind. An Apple GPU has no double precision,
and each kind keeps its own place in the stream of random numbers, which a checkpoint has to hold.
"""

import torch


def best_device() -> torch.device:
    """The fastest device here: an NVIDIA GPU before an Apple GPU before the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def widest_float(device: torch.device) -> torch.dtype:
    """The floating-point numbers with the most digits that the device computes with.

    >>> widest_float(torch.device("cpu")), widest_float(torch.device("mps"))
    (torch.float64, torch.float32)
    """
    return torch.float32 if device.type == "mps" else torch.float64


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Where torch's own chance stands, on the host and on the device; dropout draws from it.

    >>> list(random_state(torch.device("cpu")))
    ['cpu']
    """
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state(device)
    return states


def set_random_state(device: torch.device, states: dict[str, torch.Tensor]) -> None:
    """Put chance back to where `random_state` found it. A kind of device that was not saved stays as it is."""
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu" and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type], device)
