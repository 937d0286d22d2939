"""save_checkpoint(path, theta, state, step, rng) and load_checkpoint(path): a run that goes on as if it had never stopped.

One process saves and then trains on; another one, which has only the file's bytes, loads. What comes back must
be equal to the last bit, so the tolerance is 0. The generator is compared by what it draws next. The reference
is plain JSON: `gdlab.loop`'s own pair, which is among the alternatives, waits for the disk at every file.
"""

import json
import pickle
from pathlib import Path

import numpy as np

from gdlab.assignments._shared import signed
from gdlab.judge.answer import Seed
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part, Unlike
from gdlab.judge.protocols import SHUFFLED
from gdlab.loop import load_checkpoint, save_checkpoint


def _checkpoint_cases(rng):
    def numbers(shape):
        """Numbers of many sizes, with digits down to the last bit; their squares fit half precision."""
        return signed(rng, 1, 10, shape) * 10.0 ** rng.integers(-9, 2, shape)

    def case(part, shape, step, shuffles):
        m, v = (numbers(shape), numbers(shape) ** 2) if part != "weights" else (np.zeros(shape), np.zeros(shape))
        seed = int(rng.integers(2**31))
        while shuffles and not _half_a_draw_matters(seed, shuffles):
            seed = int(rng.integers(2**31))
        return Case(
            part, {"theta": numbers(shape), "state": [m, v], "step": step, "rng": Seed(seed), "shuffles": shuffles}
        )

    return [
        case("weights", 3, 0, 0),
        case("rule", (3, 2), int(rng.integers(2, 900)), 0),
        case("rng", 5, int(rng.integers(2, 900)), 1),
        case("rng", (2, 2), int(rng.integers(2, 900)), int(rng.integers(2, 9))),
    ]


def _half_a_draw_matters(seed: int, shuffles: int) -> bool:
    """Shuffling uses draws of 64 bits by halves. Here a half is left over, and the next shuffle needs it."""
    with_it, without = np.random.default_rng(seed), np.random.default_rng()
    for _ in range(shuffles):
        with_it.permutation(SHUFFLED)
    without.bit_generator.state = {**with_it.bit_generator.state, "has_uint32": 0}
    return not np.array_equal(with_it.permutation(SHUFFLED), without.permutation(SHUFFLED))


def _save_as_json(path, theta, state, step, rng):
    content = {
        "theta": theta.tolist(),
        "state": [array.tolist() for array in state],
        "step": step,
        "rng": rng.bit_generator.state,
    }
    with open(path, "w") as file:
        json.dump(content, file)


def _load_from_json(path):
    with open(path) as file:
        content = json.load(file)
    rng = np.random.default_rng()
    rng.bit_generator.state = content["rng"]
    return content["theta"], content["state"], content["step"], rng


def _what_is_at_stake(inputs, value) -> dict:
    """Weights and state always; step and generator once they are no longer as a new run has them."""
    if not isinstance(value, list) or len(value) != 4:
        raise Unlike("load_checkpoint should return four things: theta, state, step, rng.")
    theta, state, step, draws = value
    seen = {"theta": theta, "state": state}
    if inputs["step"]:
        seen["step"] = step
    if inputs["shuffles"]:
        if isinstance(draws, str):
            raise Unlike(
                f"The fourth thing that load_checkpoint returns should be a numpy Generator, but is a {draws}."
            )
        seen["next draws of rng"] = draws
    return seen


def _what_came_back(inputs, value) -> dict:
    """The same for naming a slip: of a wrong generator only whether it is back at its seed."""
    if not isinstance(value, list) or len(value) != 4:
        return {"only": value}
    seen = _what_is_at_stake(inputs, value)
    if inputs["shuffles"]:
        seen["next draws of rng"] = _where_in_the_stream(inputs, seen["next draws of rng"])
    return seen


def _where_in_the_stream(inputs, draws) -> str:
    rng = np.random.default_rng(inputs["rng"])
    stream = [rng.permutation(SHUFFLED) for _ in range(inputs["shuffles"] + 1)]
    if np.array_equal(draws, stream[-1]):
        return "where it was"
    return "back at its seed" if np.array_equal(draws, stream[0]) else "elsewhere"


def _spoiling(change):
    """A pair that saves all, and gives back what `change` makes of it."""
    return _save_as_json, lambda path: change(*_load_from_json(path))


def _rounding(kind):
    """A pair that keeps fewer digits."""

    def save(path, theta, state, step, rng):
        _save_as_json(path, theta.astype(kind), tuple(array.astype(kind) for array in state), step, rng)

    return save, _load_from_json


_KEPT = {}


def _keep_a_reference(path, *run):
    _KEPT["run"] = run
    Path(path).touch()


def _give_back_what_was_kept(path):
    return _KEPT["run"]


def _save_the_seed(path, theta, state, step, rng):
    seed = rng.bit_generator.seed_seq.entropy
    _save_as_json(path, theta, state, step, np.random.default_rng(seed))


def _save_as_npz(path, theta, state, step, rng):
    np.savez(path, theta=theta, m=state[0], v=state[1], step=step, rng=json.dumps(rng.bit_generator.state))


def _load_from_npz(path):
    with np.load(path) as content:
        bits = np.random.PCG64()
        bits.state = json.loads(str(content["rng"]))
        return content["theta"], (content["m"], content["v"]), content["step"], np.random.Generator(bits)


def _save_by_pickling(path, *content):
    with open(path, "wb") as file:
        pickle.dump(content, file)


def _load_by_unpickling(path):
    with open(path, "rb") as file:
        return pickle.load(file)


def _save_with_torch(path, theta, state, step, rng):
    import torch

    tensors = {"theta": torch.tensor(theta), "state": [torch.tensor(array) for array in state]}
    torch.save({**tensors, "step": step, "rng": rng.bit_generator.state}, path)


def _load_with_torch(path):
    import torch

    content = torch.load(path)
    rng = np.random.default_rng(0)
    rng.bit_generator.state = content["rng"]
    return [content["theta"], content["state"], content["step"], rng]


def _save_in_two_files(path, theta, state, step, rng):
    np.save(path.replace(".npz", ".npy"), np.stack([theta, *state]))
    with open(path, "w") as file:
        file.write(f"{step}\n{rng.bit_generator.state!r}")


def _load_from_two_files(path):
    theta, m, v = np.load(path.replace(".npz", ".npy"))
    with open(path) as file:
        step, state = file.read().split("\n")
    rng = np.random.default_rng()
    rng.bit_generator.state = eval(state)
    return theta, np.array([m, v]), int(step), rng


EXERCISE = Exercise(
    name="checkpoint",
    version=1,
    reference=(_save_as_json, _load_from_json),
    cases=_checkpoint_cases,
    parts=(
        Part("weights", "the weights of a run that has not begun", 2),
        Part("rule", "the optimizer's state and the step as well", 2),
        Part("rng", "all of a run that is under way, its generator included", 2),
    ),
    mistakes=(
        Mistake(
            "weights-only",
            _spoiling(lambda theta, state, step, rng: theta),
            "Only the weights come back. What else was running: the optimizer's state, the step, the generator?",
        ),
        Mistake(
            "optimizer-forgotten",
            _spoiling(lambda theta, state, step, rng: (theta, np.zeros_like(state), step, rng)),
            "The optimizer's state comes back as zeros, so momentum begins again from nothing.",
        ),
        Mistake(
            "state-swapped",
            _spoiling(lambda theta, state, step, rng: (theta, state[::-1], step, rng)),
            "The two arrays of the state come back in the other order.",
        ),
        Mistake(
            "step-forgotten",
            _spoiling(lambda theta, state, step, rng: (theta, state, 0, rng)),
            "The step comes back as 0, so the schedule starts over with its warm-up.",
        ),
        Mistake(
            "step-one-behind",
            _spoiling(lambda theta, state, step, rng: (theta, state, step - 1, rng)),
            "The step comes back one too low: one step would be made twice.",
        ),
        Mistake(
            "step-one-ahead",
            _spoiling(lambda theta, state, step, rng: (theta, state, step + 1, rng)),
            "The step comes back one too high: one step would be skipped.",
        ),
        Mistake(
            "shuffle-restarts",
            (_save_the_seed, _load_from_json),
            "Your generator begins again at its seed, so early batches are replayed. A seed says where it began, not where it is.",
        ),
        Mistake(
            "generator-is-another",
            _spoiling(lambda theta, state, step, rng: (theta, state, step, np.random.default_rng())),
            "The generator that comes back draws other numbers than the run would have. Keep all of its bit_generator.state.",
        ),
        Mistake(
            "keeps-a-reference",
            (_keep_a_reference, _give_back_what_was_kept),
            "Later training changed what you had saved: you kept the arrays themselves, and nothing of them is in the file.",
        ),
        Mistake(
            "half-precision",
            _rounding(np.float16),
            "Most digits were lost on the way: half precision keeps about three.",
        ),
        Mistake(
            "single-precision",
            _rounding(np.float32),
            "Half of the digits were lost on the way: float32 keeps about seven, and you were given sixteen.",
        ),
    ),
    properties=(),
    alternatives=(
        Alternative("gdlab's own: a zip that takes the file's place at once", (save_checkpoint, load_checkpoint)),
        Alternative("npz with the generator as text", (_save_as_npz, _load_from_npz)),
        Alternative("pickle", (_save_by_pickling, _load_by_unpickling)),
        Alternative("torch.save", (_save_with_torch, _load_with_torch)),
        Alternative("two files, the state stacked", (_save_in_two_files, _load_from_two_files)),
    ),
    notice="Notice that a run is more than its weights: with state, step and generator saved, nobody can tell that it ever stopped.",
    axes={"state": ("array", "entry", "column"), "theta": ("entry", "column"), "next draws of rng": ("draw",)},
    tolerance=0.0,
    protocols=("save_and_go_on", "load_and_draw"),
    functions=("save_checkpoint", "load_checkpoint"),
    judged_on=_what_is_at_stake,
    recognised_by=_what_came_back,
    equivalent_mutants={
        "with open(path) as file: ⇄ rng = np.random.default_rng()": "The file and a new generator have nothing to do with each other.",
        "rng.bit_generator.state = content['rng'] ⇄ state = [np.array(array) for array in content['state']]": "Neither line uses what the other sets.",
    },
)
