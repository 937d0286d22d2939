"""The benchmark of the torch optimizer times real steps on the tensors it names, and its ratios fit."""

import doctest
import json

import pytest
import torch

from gdlab import rules
from gdlab.bench import torch as bench

SMALL_CASES = {"two small": [(30,), (4, 5)], "a large one": [(70_000,), (3,)]}


@pytest.fixture(scope="module")
def table():
    *progress, table = bench.bench_torch(rounds=2, device="cpu", cases=SMALL_CASES, torch_compiles_up_to=0)
    assert progress == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return table


def test_every_case_has_all_variants_and_says_what_it_measured(table):
    assert [(c.name, c.tensors, c.parameters) for c in table.cases] == [
        ("two small", 2, 50),
        ("a large one", 2, 70_003),
    ]
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
            assert row.gigabytes is None
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
    assert json.loads((tmp_path / "torch.json").read_text())["cases"][1]["parameters"] == 70_003


def test_a_gpus_table_stands_beside_the_processors_and_shows_its_memory(table, tmp_path):
    row = bench.Row("gdlab.torch", 1.0, 1.0, 1.0, 0.5, 3.0, 1.25)
    case = bench.Case("one", 1, 10, 1.0, 0.5, (row,))
    page = bench.write_table(bench.Table("One", "cuda", 1, (case,), {"GPU": "one"}, ""), tmp_path)
    assert page.name == "torch.cuda.md" and "| 3.0 | 1.25 |" in page.read_text()


def test_the_shapes_are_gpt2s():
    result = doctest.testmod(bench)
    assert result.failed == 0 and result.attempted == 2
