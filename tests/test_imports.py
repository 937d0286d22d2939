"""What importing a module of the reference brings along: nothing heavy but NumPy."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "matplotlib", "ipywidgets", "IPython", "scipy", "pandas", "rich", "nbgrader"}


@pytest.mark.parametrize(
    "module", ["rules", "schedules", "objectives", "data", "batching", "counting", "loop", "diagnose", "sweep"]
)
def test_an_import_brings_nothing_heavy_but_numpy(module):
    code = f"import sys, gdlab.{module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
