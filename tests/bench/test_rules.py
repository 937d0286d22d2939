"""The benchmark does what its table says: real steps, ratios that fit, files that can be read back."""

import json

import numpy as np
import pytest

from gdlab.bench import rules as bench


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(bench, "has_compiler", lambda: False)  # not every machine that runs the tests has one
    *progress, table = bench.bench_rules(size=5_000, rounds=2)
    assert progress == [(1, 2), (2, 2)]
    return table


def test_every_variant_has_its_row_and_the_ratios_fit(table):
    assert {row.variant for row in table.rows} == {
        "gdlab.rules on NumPy",
        "torch.optim, a loop",
        "torch.optim, foreach",
        "torch.optim, fused",
    }
    fastest = min(row.milliseconds for row in table.rows)
    for row in table.rows:
        assert row.times_fastest == pytest.approx(row.milliseconds / fastest)
        assert row.times_copying == pytest.approx(row.milliseconds / table.copying_milliseconds)


def test_all_variants_take_the_same_steps():
    variants = [
        bench._numpy_step(1000),
        bench._compiled_step(1000, backend="eager"),
        bench._torch_step(1000, fused=True),
    ]
    for variant in variants:
        for _ in range(3):
            variant()
    on_numpy, compiled, torchs = (np.asarray(getattr(v.theta, "data", v.theta)) for v in variants)
    assert np.allclose(on_numpy, torchs, rtol=1e-5, atol=1e-7) and np.allclose(compiled, torchs, rtol=1e-5, atol=1e-7)
    assert not np.allclose(torchs, bench._start(1000)[0], rtol=1e-4)


def test_the_table_is_written_for_people_and_for_programs(table, tmp_path):
    page = bench.write_table(table, tmp_path / "benchmarks")
    assert "| gdlab.rules on NumPy |" in page.read_text() and "no C++ compiler here" in page.read_text()
    assert json.loads((tmp_path / "benchmarks" / "rules.json").read_text())["size"] == 5_000
