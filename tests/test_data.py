"""The data that ship with the package: what was promised, to the byte, and packed with it."""

import doctest
import hashlib
import re
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hatchling.builders.wheel import WheelBuilder

from gdlab import data
from gdlab.data import AIRFOIL_COLUMNS, airfoil, digits, housing

FOLDER = files("gdlab.data")
ROOT = Path(__file__).parents[1]


def test_the_examples_in_the_docstrings_are_true():
    result = doctest.testmod(data)
    assert result.failed == 0 and result.attempted >= 6


@pytest.mark.parametrize("name", ["airfoil_self_noise.dat", "digits.npz"])
def test_a_file_has_the_checksum_source_and_licence_that_the_readme_states(name):
    row = next(line for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith(f"| `{name}`"))
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() in row
    assert re.search(r"doi\.org/10\.24432/C5\w+", row) and "CC BY 4.0" in row


def test_the_airfoil_file_is_the_one_of_uci():
    assert (
        hashlib.sha1((FOLDER / "airfoil_self_noise.dat").read_bytes()).hexdigest()
        == "76e5be1548fd8222e5074cf0faae75edff8cf93f"
    )


def test_the_data_go_into_the_wheel():
    packed = {included.distribution_path for included in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"gdlab/data/{name}" for name in ("README.md", "airfoil_self_noise.dat", "digits.npz")} <= packed
    assert "gdlab/conventions.md" in packed


def test_airfoil_in_its_own_units():
    X, y = airfoil(rows=None, standardise=False)
    assert X.shape == (1503, 5) and y.shape == (1503,) and len(AIRFOIL_COLUMNS) == 6
    assert X[0].tolist() == [800.0, 0.0, 0.3048, 71.3, 0.00266337] and y[0] == 126.201
    assert (y.min(), y.max()) == (103.38, 140.987)


def test_airfoil_is_standardised_over_all_rows():
    X, y = airfoil(rows=None)
    table = np.column_stack((X, y))
    assert np.abs(table.mean(axis=0)).max() < 1e-12 and table.std(axis=0) == pytest.approx(np.ones(6), rel=1e-12)
    assert np.array_equal(airfoil().X, X[:1500]) and np.array_equal(airfoil(rows=7).y, y[:7])


@pytest.mark.parametrize("rows", [0, -1, 1504])
def test_rows_that_are_not_there_are_refused(rows):
    with pytest.raises(ValueError, match=f"1503 rows; rows is between 1 and that, but is {rows}"):
        airfoil(rows=rows)


def test_the_digits_are_the_test_part_of_ucis():
    X, y = digits()
    assert X.shape == (1797, 64) and np.array_equal(X * 16, (X * 16).round()) and (X.min(), X.max()) == (0.0, 1.0)
    assert np.bincount(y).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]  # UCI's counts of the test part
    assert (X[0] * 16).reshape(8, 8)[0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert y.dtype == np.int64


def test_the_digits_file_is_small_and_holds_nothing_but_numbers():
    assert len((FOLDER / "digits.npz").read_bytes()) < 200_000
    with (FOLDER / "digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
        assert {name: (archive[name].shape, archive[name].dtype.name) for name in archive} == {
            "images": ((1797, 64), "uint8"),
            "labels": ((1797,), "uint8"),
        }
    with (FOLDER / "digits.npz").open("rb") as file:
        assert zipfile.ZipFile(file).testzip() is None


def test_houses_lie_about_their_line_and_repeat_with_the_seed():
    X, y = housing(4000, np.random.default_rng(5), price_per_m2=2.5, base_price=80.0, noise=10.0)
    assert X.shape == (4000, 1) and y.shape == (4000,) and 40 <= X.min() < 41 and 199 < X.max() <= 200
    slope, base = np.polyfit(X[:, 0], y, 1)
    assert slope == pytest.approx(2.5, abs=0.02) and base == pytest.approx(80.0, abs=2.0)
    assert (y - 2.5 * X[:, 0] - 80).std() == pytest.approx(10.0, rel=0.05)
    again, other = (housing(5, np.random.default_rng(seed)) for seed in (5, 6))
    assert np.array_equal(again.X, housing(5, np.random.default_rng(5)).X) and not np.array_equal(again.X, other.X)


@pytest.mark.parametrize("arguments", [{"n": 0}, {"n": 5, "noise": -1.0}])
def test_no_houses_or_negative_noise_are_refused(arguments):
    with pytest.raises(ValueError, match="one house or more and a noise of 0 or more"):
        housing(rng=np.random.default_rng(0), **arguments)
