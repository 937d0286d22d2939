"""The benchmark of the torch optimizer times real steps on the tensors it names, and its ratios fit."""

import json
from functools import partial

import pytest
import torch

from gdlab import rules
from gdlab.bench import torch as bench
from gdlab.bench import torch_training as training

CPU = torch.device("cpu")
SMALL_CASES = {"one large and two small": [(70_000,), (30,), (4, 5)]}


@pytest.fixture(scope="module")
def table():
    trained = [partial(training.perceptron, CPU, steps=2, hidden=8)]
    *progress, table = bench.bench_torch(2, "cpu", SMALL_CASES, torch_compiles_up_to=0, trainings=trained)
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return table


def test_every_case_has_all_variants_and_says_what_it_measured(table):
    assert [(c.name, c.tensors, c.parameters) for c in table.cases] == [("one large and two small", 3, 70_050)]
    for case in table.cases:
        assert {row.variant for row in case.rows} == {
            "gdlab.torch",
            "torch.optim, fused",
            "torch.optim, foreach",
            "torch.optim, a loop",
        }


def test_the_ratios_fit_the_times(table):
    for case in table.cases:
        rows = {row.variant: row for row in case.rows}
        assert rows[bench.FUSED].times_fused == rows[bench.FOREACH].times_foreach == 1.0
        for row in case.rows:
            assert row.of_floor == pytest.approx(case.floor_milliseconds / row.milliseconds)
            assert row.gigabytes is None and row.first_step_seconds > 0
            assert (row.compile_seconds is None) == (row.variant != bench.OURS)
        assert rows[bench.OURS].compile_seconds > rows[bench.OURS].first_step_seconds
        floor = 28 * case.parameters / (case.copy_gigabytes_a_second * 1e9)
        assert case.floor_milliseconds == pytest.approx(1e3 * floor)


def test_all_variants_take_the_same_step():
    shapes, device, rule, ends = [(6,), (3, 4)], torch.device("cpu"), rules.adamw(weight_decay=bench.WEIGHT_DECAY), []
    for name in bench.variants(shapes, device, rule, torch_compiled=False):
        step = bench.variants(shapes, device, rule, torch_compiled=False)[name]
        for _ in range(3):
            step()
        ends.append(torch.cat([p.detach().reshape(-1) for p in step.__self__.param_groups[0]["params"]]))
    assert len(ends) == 4 and all(torch.allclose(end, ends[0], rtol=1e-5, atol=1e-6) for end in ends)
    start = torch.randn(6, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(ends[0][:6], start, rtol=1e-4)


def test_the_table_is_written_for_people_and_for_programs(table, tmp_path):
    page = bench.write_table(table, tmp_path)
    assert page.name == "torch.md" and "| gdlab.torch |" in page.read_text()
    assert "Figures of a GPU are still missing" in page.read_text()
    assert json.loads((tmp_path / "torch.json").read_text())["cases"][0]["parameters"] == 70_050


def test_a_gpus_table_stands_beside_the_processors_and_shows_its_memory(tmp_path):
    row = bench.Row("gdlab.torch", 1.0, 1.0, 1.0, 0.5, 3.0, 0.25, 1.25)
    case = bench.Case("one", 1, 10, 1.0, 0.5, (row,))
    page = bench.write_table(bench.Table("One", "cuda", 1, (case,), (), 12.0, {"GPU": "one"}, ""), tmp_path)
    assert "its first kernel, of another rule, after 12 s" in page.read_text()
    assert page.name == "torch.cuda.md" and "| 3.0 | 0.25 | 1.250 |" in page.read_text()


def test_the_peak_is_that_of_parameters_gradients_and_state_and_foreach_needs_more():
    """16 bytes a parameter; foreach holds a copy for the moment."""
    shapes = [(3_000_000,)]
    fused, foreach = (bench.peak_gigabytes(variant, shapes, CPU) for variant in (bench.FUSED, bench.FOREACH))
    assert fused == pytest.approx(0.048, rel=0.1)
    assert foreach > fused + 0.005


# ------------------------------------------------------------------- training


def perceptron_setting():
    return training.perceptron(CPU, steps=3, hidden=8)


def gpt_setting():
    return training.gpt(CPU, steps=3, batch_size=2, context=8, width=16, layers=1, heads=2)


@pytest.mark.parametrize("make", [perceptron_setting, gpt_setting], ids=["perceptron", "gpt"])
def test_all_loops_train_alike(make):
    setting = make()
    assert list(setting.loops) == [training.BY_HAND, training.OURS]
    ends = []
    for loop in setting.loops.values():
        loop()
        model = loop.args[0]
        ends.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))
    assert len(ends[0]) == setting.parameters
    assert torch.allclose(*ends, rtol=1e-4, atol=1e-5)
    fresh = torch.cat([p.detach().reshape(-1) for p in make().loops[training.OURS].args[0].parameters()])
    assert not torch.allclose(ends[1], fresh, rtol=1e-4, atol=1e-4)


def test_the_pace_by_hand_is_the_measure(table, tmp_path):
    (measured,) = table.trainings
    assert [pace.variant for pace in measured.paces] == [training.BY_HAND, training.OURS]
    assert measured.paces[0].times_by_hand == 1.0 and all(pace.milliseconds > 0 for pace in measured.paces)
    page = bench.write_table(table, tmp_path).read_text()
    assert "## Training: a small perceptron" in page and "| a loop by hand | " in page
