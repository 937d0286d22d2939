"""The benchmark does what its table says: real runs, the same ones in every loop, ratios that fit."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from gdlab import rules
from gdlab.bench import sweep as bench
from gdlab.sweep import Sweep, linear_axis, log_axis, noisy_quadratic, run_sweep, tanh_network

BOWL = Sweep(
    noisy_quadratic([1.0, 0.1], noise=0.5, steps=20),
    (linear_axis("momentum", 0.0, 0.9, 3), log_axis("lr", 0.01, 0.5, 3)),
    20,
    rules.momentum,
    {"batch_size": 2.0},
)
NETWORK = Sweep(tanh_network(3), (log_axis("lr_W2", 0.1, 1, 3), log_axis("lr_W1", 0.1, 1, 3)), 10)


@pytest.fixture(scope="module")
def news():
    return list(bench.bench_sweep(3, 2, "cpu", {"network": (NETWORK, "float32"), "bowl": (BOWL, "float64")}))


def test_it_says_what_it_measures_and_the_ratios_fit(news):
    *progress, table = news
    assert progress == [("network", 0, 2), ("bowl", 1, 2)]
    assert [row.name for row in table.rows] == ["network", "bowl"]
    for row in table.rows:
        assert row.run_steps_a_second == pytest.approx(row.runs * row.steps / row.seconds)
        assert row.times_ordinary == pytest.approx(row.run_steps_a_second / row.ordinary_loop)
        assert row.times_lean == pytest.approx(row.run_steps_a_second / row.lean_loop)
        assert row.of_floor == pytest.approx(row.run_steps_a_second / row.floor)


@pytest.mark.parametrize("asked", [NETWORK, BOWL], ids=["network", "bowl"])
def test_all_loops_take_the_same_steps(asked, monkeypatch):
    """Each loop's parameters are seen where it computes their loss."""
    seen = {"_network_loss": [], "_quadratic_loss": [], "_network_gradient": [], "_quadratic_gradient": []}
    for name, losses in seen.items():
        plain = getattr(bench, name)

        def watched(*given, plain=plain, losses=losses):
            got = plain(*given)
            theta = {key: np.asarray(torch.as_tensor(value).detach()) for key, value in given[0].items()}
            losses.append({key: value.copy() for key, value in theta.items()})
            return got

        monkeypatch.setattr(bench, name, watched)
    cpu = torch.device("cpu")
    bench.ordinary_loop(asked, [5], "float64", cpu)
    bench.lean_loop(asked, [5], "float64", cpu)
    ordinary, lean = (losses for losses in seen.values() if losses)
    assert len(ordinary) == len(lean) == 2 * asked.steps  # once to warm up
    for one, other in zip(ordinary, lean, strict=True):
        for name in one:
            assert one[name] == pytest.approx(other[name], rel=1e-10)
    shorter = Sweep(asked.problem, asked.axes, asked.steps - 1, asked.rule, asked.fixed)
    problem = asked.problem
    at = {name: rows[-1] for name, rows in problem.each_step.items()}
    theta = {name: array[..., None] for name, array in lean[-1].items()}
    loss, _ = problem.loss_and_grad(theta, {"batch_size": np.array([2.0])} if at else {}, {**problem.arrays, **at})
    assert run_sweep(shorter).loss.ravel()[5] == pytest.approx(loss[0], rel=1e-9)


def test_the_cases_are_the_three_maps_and_the_grid_is_as_asked():
    for asked, dtype in bench.cases(4).values():
        assert asked.shape == (4, 4) and dtype in ("float32", "float64")


def test_arithmetic_is_measured_in_operations_per_second(news):
    for speeds in news[-1].speeds.values():
        assert speeds["matmul"] > speeds["tanh"] > 1e6


def test_the_table_is_written_for_people_and_for_programs(news, tmp_path):
    page = bench.write_table(news[-1], tmp_path).read_text()
    assert "| network | 9 × 10 |" in page and "Figures of a GPU are still missing" in page
    assert "The goal is to be 1,000 times as fast as one run after another" in page
    assert json.loads((tmp_path / "sweep.json").read_text())["sampled"] == 2


@pytest.mark.parametrize("loop", [bench.ordinary_loop, bench.lean_loop])
def test_what_comes_once_in_a_process_is_over_before_the_clock_starts(loop, monkeypatch):
    """The first optimizer of a process imports for longer than the runs of a sample take."""
    steps_before = []

    def losses_before(work, device):
        steps_before.append(len(losses))
        work()
        return 1.0

    losses, loss = [], {bench.ordinary_loop: "_network_loss", bench.lean_loop: "_network_gradient"}[loop]
    plain = getattr(bench, loss)
    monkeypatch.setattr(bench, loss, lambda *given: losses.append(1) or plain(*given))
    monkeypatch.setattr(bench, "seconds_of", losses_before)
    assert loop(NETWORK, [0, 5], "float64", torch.device("cpu")) == 2 * NETWORK.steps
    assert steps_before == [NETWORK.steps] and len(losses) == 3 * NETWORK.steps


def test_the_goal_is_called_reached_only_by_those_who_reach_it(news):
    row = news[-1].rows[0]
    fast, slow = (replace(row, name=f"{times}", times_ordinary=times) for times in (1000.0, 999.0))
    assert bench._verdict([fast]).endswith("Reached: 1000.0.")
    assert f" Missed, with what the floor would allow: 999.0, {row.floor / row.ordinary_loop:,.0f} times." in (
        bench._verdict([slow])
    )
