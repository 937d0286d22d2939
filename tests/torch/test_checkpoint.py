"""A checkpoint of torch is a safetensors file that others can read, whole or not there, and no damage goes unnoticed."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import gdlab.torch.checkpoint
from gdlab.loop import CheckpointError, write_checkpoint
from gdlab.torch.checkpoint import read_tensors, write_tensors

ONE = torch.arange(6.0).view(2, 3)
TREE = {
    "model": {"0.weight": ONE, "tied": ONE.T, "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16)},
    "rows": [(torch.tensor(3), None), "text", 0.1, float("nan"), 2**200],
    "optimizer": {"state": {0: {"m": torch.ones(2, 2, dtype=torch.float64)}, 1: {}}},
    "rng": np.random.default_rng(5),
    "older": np.random.Generator(np.random.MT19937(1)),
    "empty": torch.zeros(0, 4, dtype=torch.uint8),
}


def test_every_kind_of_tensor_and_value_survives(tmp_path):
    write_tensors(tmp_path / "run", TREE)
    back = read_tensors(tmp_path / "run")
    assert list(back) == list(TREE)
    for name, tensor in TREE["model"].items():
        assert torch.equal(back["model"][name], tensor) and back["model"][name].dtype == tensor.dtype
    assert back["rows"][:3] == [(torch.tensor(3), None), "text", 0.1]
    assert np.isnan(back["rows"][3]) and back["rows"][4] == 2**200
    assert torch.equal(back["optimizer"]["state"][0]["m"], torch.ones(2, 2, dtype=torch.float64))
    assert back["optimizer"]["state"][1] == {} and back["empty"].shape == (0, 4)
    assert back["rng"].random() == np.random.default_rng(5).random()
    assert back["older"].random() == np.random.Generator(np.random.MT19937(1)).random()


def test_other_programs_find_the_weights_under_their_names(tmp_path):
    write_tensors(tmp_path / "run.safetensors", TREE)
    seen = load_file(tmp_path / "run.safetensors")
    assert torch.equal(seen["model.0.weight"], ONE) and seen["model.half"].dtype == torch.bfloat16
    assert torch.equal(seen["optimizer.state.0.m"], torch.ones(2, 2, dtype=torch.float64))


def test_two_places_of_one_name_are_kept_apart(tmp_path):
    tree = {"a.b": torch.tensor(1.0), "a": {"b": torch.tensor(2.0)}}
    write_tensors(tmp_path / "run", tree)
    assert read_tensors(tmp_path / "run") == tree


def test_a_flipped_bit_anywhere_is_noticed_or_changes_nothing(tmp_path):
    write_tensors(tmp_path / "run", {"w": torch.arange(5.0), "step": 7, "state": {0: torch.tensor([1, 2])}})
    whole, noticed = (tmp_path / "run").read_bytes(), 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            back = read_tensors(tmp_path / "damaged")
        except CheckpointError:
            noticed += 1
        else:
            assert torch.equal(back["w"], torch.arange(5.0)) and back["step"] == 7, position
            assert torch.equal(back["state"][0], torch.tensor([1, 2])), position
    assert noticed > 0.9 * len(whole)


def test_what_is_cut_off_is_damaged(tmp_path):
    write_tensors(tmp_path / "run", {"w": torch.arange(5.0)})
    whole = (tmp_path / "run").read_bytes()
    for length in (0, 1, 7, 8, 100, len(whole) - 1):
        (tmp_path / "short").write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="damaged, or no checkpoint at all"):
            read_tensors(tmp_path / "short")


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    write_tensors(tmp_path / "run", {"step": 1})
    with pytest.raises(TypeError, match="here is a set"):
        write_tensors(tmp_path / "run", {"step": 2, "odd": {1, 2}})
    assert read_tensors(tmp_path / "run") == {"step": 1} and len(list(tmp_path.iterdir())) == 1


def test_another_kind_of_file_is_named(tmp_path):
    write_checkpoint(tmp_path / "zip", {"step": 1})
    with pytest.raises(CheckpointError, match="is a zip file. gdlab.torch keeps its checkpoints as safetensors"):
        read_tensors(tmp_path / "zip")
    save_file({"w": torch.ones(2)}, tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="does not say who wrote it"):
        read_tensors(tmp_path / "foreign")
    (tmp_path / "text").write_text("loss 0.1")
    with pytest.raises(CheckpointError, match="no checkpoint at all"):
        read_tensors(tmp_path / "text")
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "none")


def test_a_later_version_asks_for_a_newer_gdlab(tmp_path, monkeypatch):
    monkeypatch.setattr(gdlab.torch.checkpoint, "VERSION", "3")
    write_tensors(tmp_path / "run", {"step": 1})
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="version 3, but this gdlab reads version 2: update gdlab"):
        read_tensors(tmp_path / "run")
