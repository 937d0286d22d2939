"""What a table says about the machine it was measured on."""

import datetime
import platform
from pathlib import Path

import numpy as np


def this_machine(**more: str) -> dict[str, str]:
    """Processor, versions and date, with whatever else a table wants to say between them."""
    return {
        "processor": _processor(),
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        **more,
        "date": datetime.date.today().isoformat(),
    }


def _processor() -> str:
    """The processor's name where the system tells it, else its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if cpuinfo.is_file()
        else []
    )
    return names[0] if names else platform.machine()
