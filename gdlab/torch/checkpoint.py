"""The file of a checkpoint of torch: one safetensors file, which other programs can read too.

A safetensors file is a table of names, dtypes, shapes and places, and then the numbers; nothing in it is code, so
nothing in it can run when it is opened (as a pickle can). Here the name of a tensor is its place in what was saved,
as in "model.0.weight" or "optimizer.state.1.m". What is no tensor (the step, the record, where the data stand) is
JSON, held as bytes under the name "gdlab.json". A sum of every part is checked before anything is used.

Source of the format: https://huggingface.co/docs/safetensors.
"""

import json
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gdlab.loop import CheckpointError, from_json, replacing, to_json

FORMAT, VERSION, CONTENT = "gdlab.torch checkpoint", "2", "gdlab.json"


def write_tensors(path: str | Path, content: dict[str, Any]) -> None:
    """Write nested dicts, lists and tuples of tensors, arrays, numbers, text and NumPy generators into one file.

    Whoever is interrupted in the middle leaves the old file untouched: the new one is written beside it, flushed to
    the disk, and renamed over it.

    Raises:
        TypeError: if something in it is of another kind.
    """
    tensors: dict[str, torch.Tensor] = {}
    arrays: list = []
    plain = to_json(_take_out(content, "", tensors), arrays)
    held = [_take_out(torch.from_numpy(array.copy()), f"gdlab.array.{k}", tensors) for k, array in enumerate(arrays)]
    text = json.dumps({"content": plain, "arrays": held}, allow_nan=False).encode()
    tensors[CONTENT] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    about = {"format": "pt", "written by": FORMAT, "version": VERSION, "crc32": str(zlib.crc32(text))}
    with replacing(path) as file:
        save_file(tensors, file.name, metadata=about)  # opens the same file once more, by its name


def read_tensors(path: str | Path) -> dict[str, Any]:
    """What `write_tensors` wrote, every tensor on the host.

    Raises:
        CheckpointError: if the file is damaged, something else, or of a later version.
        FileNotFoundError: if there is none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tensors(f"{folder}/run", {"m": {0: torch.tensor([1.5], dtype=torch.bfloat16)}, "step": 3})
    ...     read_tensors(f"{folder}/run")
    {'m': {0: tensor([1.5000], dtype=torch.bfloat16)}, 'step': 3}
    """
    with open(path, "rb") as file:
        if file.read(2) == b"PK":
            raise CheckpointError(
                f"{path} is a zip file. gdlab.torch keeps its checkpoints as safetensors: this is one of gdlab.loop, or of "
                "an earlier gdlab.torch. Finish that run with the program that began it, or start anew with another file."
            )
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except Exception as damage:  # the library has a kind of error for each way in which a header can be wrong
        raise CheckpointError(f"{path} is damaged, or no checkpoint at all: it cannot be read ({damage}).") from damage
    if about.get("written by") != FORMAT:
        raise CheckpointError(
            f"{path} is a safetensors file, but no checkpoint of gdlab: it does not say who wrote it."
        )
    if about.get("version") != VERSION:
        raise CheckpointError(
            f"{path} has format version {about.get('version')}, but this gdlab reads version {VERSION}: update gdlab."
        )
    text = bytes(tensors.pop(CONTENT, torch.empty(0, dtype=torch.uint8)).numpy())
    if str(zlib.crc32(text)) != about.get("crc32"):
        raise CheckpointError(f"{path} is damaged: what says how its tensors belong together is not what was written.")
    head = json.loads(text)
    arrays = [_put_back(held, tensors, path).numpy() for held in head["arrays"]]
    return _put_back(from_json(head["content"], arrays.__getitem__), tensors, path)


def _take_out(value, name: str, tensors: dict[str, torch.Tensor]):
    """`value` with every tensor moved into `tensors`, and its name and sum in its place; `_put_back` undoes it."""
    if isinstance(value, torch.Tensor):
        while name in tensors:
            name += "'"
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()  # a copy: two names may share their memory
        return {"tensor": name, "crc32": _sum(tensors[name])}
    if isinstance(value, dict):
        parts = [[key, _take_out(part, f"{name}.{key}" if name else str(key), tensors)] for key, part in value.items()]
        return dict(parts) if all(isinstance(key, str) for key in value) else {"pairs": parts}
    if isinstance(value, list | tuple):
        return type(value)(_take_out(part, f"{name}.{k}", tensors) for k, part in enumerate(value))
    return value


def _put_back(value, tensors: dict[str, torch.Tensor], path):
    if isinstance(value, dict):
        if set(value) == {"tensor", "crc32"}:
            name = value["tensor"]
            if name not in tensors or _sum(tensors[name]) != value["crc32"]:
                raise CheckpointError(f"{path} is damaged: the tensor {name!r} is not what was written.")
            return tensors[name]
        if set(value) == {"pairs"}:
            return {key: _put_back(part, tensors, path) for key, part in value["pairs"]}
        return {key: _put_back(part, tensors, path) for key, part in value.items()}
    return type(value)(_put_back(part, tensors, path) for part in value) if isinstance(value, list | tuple) else value


def _sum(tensor: torch.Tensor) -> int:
    return zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy())
