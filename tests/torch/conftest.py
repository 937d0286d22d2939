"""Where the tests of `gdlab.torch` run: on the processor, and where there is a GPU on that as well."""

import pytest
import torch

GPU = torch.cuda.is_available()
collect_ignore = [] if GPU else ["test_gpu.py"]


@pytest.fixture(params=["cpu", "cuda"] if GPU else ["cpu"])
def device(request) -> str:
    """Each device that this machine has."""
    return request.param
