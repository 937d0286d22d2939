"""What the benchmarks of torch share: the device they measure, its clock, and what a table says about it."""

import os
import time
from collections.abc import Callable

import torch

from gdlab.bench.machine import this_machine
from gdlab.torch.devices import best_device


def device_called(name: str | None) -> torch.device:
    """The device of a name as torch knows it; the fastest one here where there is none."""
    return torch.device(name) if name else best_device()


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int = 1) -> float:
    """How long it takes until the device has done it, once."""
    _wait(device)
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    _wait(device)
    return (time.perf_counter() - start) / repeats


def _wait(device: torch.device) -> None:
    """A GPU takes orders and works them off later."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize(device)


def machine_of(device: torch.device) -> dict[str, str]:
    """What a table says about the machine it was measured on."""
    gpu = {"GPU": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    load = f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores in the last minute"
    return this_machine(**gpu, threads=str(torch.get_num_threads()), load=load, torch=torch.__version__)


def note_on(device: torch.device, command: str) -> str:
    """What stands below a table: that the machine had other work, and which command fills in the figures of a GPU."""
    notes = []
    if os.getloadavg()[0] > os.cpu_count():
        notes.append(
            "The machine was busy with other work: times are longer than they would be, and only ratios count."
        )
    if device.type == "cpu":
        notes.append(
            f"These figures are a processor's. **Figures of a GPU are still missing**: `{command}` on a machine with one "
            "measures them and writes them beside these."
        )
    return " ".join(notes)
