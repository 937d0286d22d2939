"""Many processes train as one does with the larger batch, share what is to be shared, and survive being killed.

The processes are real: `torchrun` starts them, gloo carries their messages, and all of it stays on this machine.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gdlab import rules
from gdlab.scaling import ring_bytes
from gdlab.torch.models import mlp
from gdlab.torch.optim import RuleOptimizer
from gdlab.torch.parallel import STARTED_BY_TORCHRUN, Plan, app, join, usable_folder

WORKER = Path(__file__).with_name("parallel_worker.py")
WAYS = ("replicated", "sharded")


def torchrun(processes, *arguments, restarts=0):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1")
    how = ("--nproc-per-node", str(processes), "--max-restarts", str(restarts))
    env = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launcher, *how, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)


def seen_by(folder, name, processes):
    """What each of them wrote."""
    return [json.loads((folder / f"{name}-{processes}-{rank}.json").read_text()) for rank in range(processes)]


@pytest.fixture(scope="module")
def worker():
    """The worker's own functions, for the run in one process."""
    sys.path.insert(0, str(WORKER.parent))
    try:
        import parallel_worker
    finally:
        sys.path.remove(str(WORKER.parent))
    return parallel_worker


@pytest.fixture(scope="module")
def alone(worker):
    """The curve of one process with the whole batch, and its run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = worker.run_of(worker.small_gpt())
    torch.set_num_threads(threads)
    return worker.curve(run), run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("parallel")


@pytest.fixture(scope="module")
def two(folder):
    done = torchrun(2, WORKER, folder, "curves")
    assert done.returncode == 0, done.stderr
    return seen_by(folder, "curves", 2)


@pytest.fixture(scope="module")
def four(folder, two):
    done = torchrun(4, WORKER, folder, "curves")
    assert done.returncode == 0, done.stderr
    return seen_by(folder, "curves", 4)


@pytest.fixture(scope="module")
def killed(folder):
    done = torchrun(2, WORKER, folder, "killed", restarts=3)
    assert done.returncode == 0, done.stderr
    return seen_by(folder, "killed", 2)


def as_numbers(curve):
    return np.array(curve, dtype=float)


# ------------------------------------------------------------------- the same curve


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("processes", ["two", "four"])
def test_the_curve_is_that_of_one_process_with_the_larger_batch(request, alone, processes, way, accumulation):
    for seen in request.getfixturevalue(processes):
        ours, whole = as_numbers(seen[f"{way} {accumulation}"]), as_numbers(alone[0])
        assert np.allclose(ours, whole, rtol=1e-9, atol=0, equal_nan=True)


def test_that_curve_falls_and_is_clipped_at_some_steps_only(worker, alone):
    losses, norms, judged = as_numbers(alone[0]).T
    assert losses[-1] < losses[0] - 0.04 and norms.min() < worker.WORST < norms.max()
    assert np.isfinite(judged).sum() == 3


@pytest.mark.parametrize("way", WAYS)
def test_what_two_processes_saved_four_go_on_with(alone, four, way):
    for seen in four:
        assert np.allclose(as_numbers(seen[f"{way} taken up"]), as_numbers(alone[0]), rtol=1e-9, atol=0, equal_nan=True)
        step, loss = seen[f"{way} best"]
        assert step == alone[1].best["step"] and loss == pytest.approx(alone[1].best["loss"], rel=1e-9)


def test_every_process_has_its_own_share(two, four):
    for processes in (two, four):
        assert [seen["share"] for seen in processes] == [[k, len(processes)] for k in range(len(processes))]
        assert [seen["first"] for seen in processes] == [True] + [False] * (len(processes) - 1)


# ------------------------------------------------------------------- what is sharded, what is sent


def test_a_sharded_optimizer_remembers_its_part_and_a_replicated_one_everything(two, four, alone):
    numbers = 2 * sum(p.numel() for p in alone[1].model.parameters())  # AdamW's m and v
    for processes in (two, four):
        assert [seen["replicated held"] for seen in processes] == [[numbers, numbers, "Tensor"]] * len(processes)
        own = [seen["sharded held"][0] for seen in processes]
        assert sum(own) == numbers and max(own) < 1.01 * numbers / len(processes)  # six rows are no four equal parts
        assert all(seen["sharded held"][1:] == [numbers, "DTensor"] for seen in processes)


def test_copies_average_each_number_once_for_an_update_of_two_accumulated_batches(two, four, alone):
    size = sum(p.numel() * p.element_size() for p in alone[1].model.parameters())
    assert all(seen["bucket bytes"] == size for seen in two + four)


if sys.platform == "linux":  # whose kernel counts for each connection

    def test_an_all_reduce_sends_the_bytes_that_the_cost_model_says(two, four):
        for processes in (two, four):
            for size, sent in (seen["all-reduce"] for seen in processes):
                assert sent == pytest.approx(ring_bytes(size, len(processes)), rel=1e-2)


def test_parts_of_a_gradient_are_summed_up_once_for_an_update_of_two_accumulated_batches(two):
    assert all(seen["sums of parts"] == 3 for seen in two)  # two blocks, and what stands around them


def test_a_rule_that_looks_at_a_matrix_refuses_a_part_of_one(two):
    assert all(re.search("muon looks at more than one number .* replicate the model", seen["muon"]) for seen in two)


def test_a_compiled_rule_sees_plain_tensors():
    """Large and small parameters, as kernels see them: sharded in a group of one they walk as bare ones do."""
    models = [mlp([300, 250, 7]) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    with join("cpu") as group:
        models[1] = group.shard(models[1])
        for model in models:
            optimizer = RuleOptimizer(model.parameters(), rules.adamw(), lr=0.01)
            for step in range(3):
                model(torch.full((4, 300), 0.1 * (step + 1))).square().mean().backward()
                optimizer.step()
                optimizer.zero_grad()
        pairs = zip(models[0].parameters(), models[1].parameters(), strict=True)
        assert all(torch.allclose(bare, sharded.full_tensor(), rtol=1e-6, atol=1e-8) for bare, sharded in pairs)
        assert {type(state["v"]).__name__ for state in optimizer.state.values()} == {"DTensor"}


def test_float16_and_a_sharded_model_are_refused_together(worker):
    with join("cpu") as group, pytest.raises(ValueError, match="float16 skips a step .* use torch.bfloat16"):
        worker.run_of(group.shard(worker.small_gpt()), parallel=group, precision=torch.float16)


# ------------------------------------------------------------------- stopping and going on


@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_run_equals_one_that_never_stopped_to_the_bit(two, way):
    for seen in two:
        assert seen[f"{way} resumed"] == seen[f"{way} whole"] and len(seen[f"{way} whole"]) == 12


@pytest.mark.parametrize("way", WAYS)
def test_a_checkpoint_is_one_folder_with_a_part_from_every_process(two, way):
    parts = [".metadata", "__0_0.distcp", "__1_0.distcp", "chance-0.safetensors", "chance-1.safetensors"]
    assert two[0][f"{way} files"] == [*parts, "progress.safetensors", "step-000000012"]


def test_killed_while_training_and_killed_while_saving_it_ends_with_the_same_curve(two, killed):
    for undisturbed, seen in zip(two, killed, strict=True):
        assert seen["attempt"] == 2 and seen["calls"] == 6  # the third start went on from step 6
        assert seen["curve"] == undisturbed["sharded whole"]


def test_a_killed_run_leaves_one_whole_checkpoint(folder, killed):
    assert [path.name for path in (folder / "killed").iterdir()] == ["step-000000012"]


# ------------------------------------------------------------------- halts and errors


@pytest.mark.parametrize("way", WAYS)
def test_a_loss_that_is_bad_in_one_process_stops_all_of_them_at_the_same_step(two, way):
    assert all(re.match("NotFinite: Training stopped at step 3: the loss is nan", seen[f"{way} bad"]) for seen in two)


def test_a_model_that_nothing_averages_is_refused(two):
    assert all("would each train a GPT of their own" in seen["bare"] for seen in two)


def test_a_checkpoint_of_another_rule_is_refused(two):
    assert all("saved by the rules ['adamw'], but here they are ['lion']" in seen["other rule"] for seen in two)


def test_only_the_first_process_logs(two):
    assert [seen["lines of the log"] > 0 for seen in two] == [True, False]


def test_half_of_torchruns_environment_is_refused(monkeypatch):
    for name in STARTED_BY_TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="has WORLD_SIZE, but no LOCAL_RANK, .*: start the program with torchrun"):
        join("cpu").__enter__()


def test_a_device_that_processes_cannot_share_is_refused():
    with pytest.raises(ValueError, match="device is 'cuda' or 'cpu'.* but is 'mps'"):
        join("mps").__enter__()


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for name, value in zip(STARTED_BY_TORCHRUN, ("1", "2", "1", "2", "127.0.0.1", "1"), strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="2 processes on this machine need a GPU each, but it has 1: start fewer"):
        join("cuda").__enter__()


def test_a_folder_that_cannot_be_written_to_is_found_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written into .*file/run: Not a directory. Name a folder"):
        usable_folder(tmp_path / "file" / "run")
    assert list(usable_folder(tmp_path / "new" / "run").iterdir()) == []


# ------------------------------------------------------------------- bookkeeping and the command


@pytest.mark.parametrize(
    ("processes", "global_batch", "micro_batch", "accumulation"), [(1, 16, 4, 4), (4, 16, 4, 1), (8, 4096, 16, 32)]
)
def test_the_plan_adds_up(processes, global_batch, micro_batch, accumulation):
    plan = Plan.of(processes, global_batch, micro_batch, seq_len=100)
    assert plan.accumulation == accumulation and plan.tokens_per_step == 100 * global_batch


def test_two_processes_print_once_and_write_one_record(tmp_path):
    sizes = ("--width", "16", "--layers", "1", "--context", "8", "--global-batch", "8", "--micro-batch", "2")
    log = ("--steps", "6", "--log-every", "3", "--record", tmp_path / "record.jsonl", "--checkpoint", tmp_path / "run")
    done = torchrun(2, "-m", "gdlab.torch.parallel", "--shard", "--device", "cpu", *sizes, *log)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "2 processes x 2 sequences x 2 accumulated = 8 sequences of 8 tokens = 64 tokens for each update; "
        "384 in 6 updates."
    )
    assert [line[:10] for line in lines[1:3]] == ["step     2", "step     5"] and len(lines) == 4
    everywhere, own = (int(number.replace(",", "")) for number in re.findall(r"[\d,]{2,}", lines[3]))
    assert everywhere == 2 * own
    rows = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(6)) and (tmp_path / "run" / "step-000000006").is_dir()


def test_a_batch_that_the_processes_cannot_share_ends_with_one_sentence():
    done = torchrun(2, "-m", "gdlab.torch.parallel", "--device", "cpu", "--global-batch", "12", "--micro-batch", "4")
    assert done.returncode != 0 and done.stdout == ""
    assert done.stderr.count("2 device(s) with 4 examples each take 8 at once, and 12 is no multiple of that") == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--global-batch", "6"], "6 is no multiple of that"),
        (["--text", "nowhere.txt"], "There is no file nowhere.txt: --text names the text"),
        (["--checkpoint", "/dev/null/run"], "cannot be written into /dev/null/run: Not a directory"),
        (["--device", "tpu"], "device is 'cuda' or 'cpu'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_wrong_option_ends_with_a_sentence(options, sentence):
    done = CliRunner().invoke(app, ["--device", "cpu", *options])
    assert done.exit_code == 1 and sentence in done.stderr and "Traceback" not in done.output


def test_the_help_has_examples():
    shown = CliRunner().invoke(app, ["--help"]).output
    assert "torchrun --standalone --nproc-per-node 2" in shown and "--max-restarts 3" in " ".join(shown.split())
