"""What differs between devices. An Apple GPU is not here to be tried: its kind is asked about, never computed on."""

import torch

from gdlab.torch.devices import best_device, random_state, set_random_state, widest_float


def test_an_nvidia_gpu_comes_before_an_apple_gpu_before_the_processor(monkeypatch):
    for cuda, mps, best in ((True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda here=cuda: here)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda here=mps: here)
        assert best_device() == torch.device(best)


def test_chance_goes_on_where_it_stood(device):
    where = torch.device(device)
    before = random_state(where)
    drawn = torch.rand(3), torch.rand(3, device=where)
    set_random_state(where, before)
    again = torch.rand(3), torch.rand(3, device=where)
    assert all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True))


def test_a_state_of_the_host_alone_leaves_the_device_alone(device):
    where = torch.device(device)
    set_random_state(where, {"cpu": torch.get_rng_state()})
    assert set(random_state(where)) == {"cpu", device}


def test_only_apple_gpus_have_no_doubles():
    assert [widest_float(torch.device(kind)) for kind in ("cpu", "cuda", "mps")] == [
        torch.float64,
        torch.float64,
        torch.float32,
    ]
