"""The engine in a real browser: numbers written as Python writes them, axes, paths, scales."""

import pytest

from gdlab.figures.base import LIBRARY, packed
from gdlab.figures.svg import ticks
from gdlab.figures.text import number, significant

pytestmark = pytest.mark.system

NUMBERS = [
    *(0.0, -0.0, 1.4, -7.24, -13.384, 0.0004, -0.00049, 999.9996, 1234.56, -54321.0, 1e6, 2.5e9, -3e20, 1e300),
    *(3e-4, 1.69327e-4, 3e-5, -2.5e-7, 1e-6, -1e-6, 9.9996e-5, 0.25, 100.0, 12345.0, 100_000.0, 999_999.0, 5e-324),
    *(float("inf"), float("-inf"), float("nan")),
]


@pytest.fixture
def library(page):
    """A page that knows the library."""
    page.add_script_tag(content="\n".join(map(packed, LIBRARY)))
    return page


def in_javascript(value):
    return str(value).replace("inf", "Infinity")


@pytest.mark.parametrize(("script", "python"), [("fmt", number), ("sig", significant)], ids=["number", "significant"])
def test_numbers_read_the_same_in_javascript_and_python(library, script, python):
    written = library.evaluate(f"(all) => all.map((x) => {script}(Number(x)))", list(map(in_javascript, NUMBERS)))
    assert dict(zip(map(repr, NUMBERS), written, strict=True)) == {repr(x): python(x) for x in NUMBERS}


@pytest.mark.parametrize(
    ("low", "high", "count"), [(0, 10, 5), (-4, 8.6, 7), (0, 3e-4, 5), (0, 115_000, 6), (-1, 1, 3)]
)
def test_ticks_are_those_of_the_still_pictures(library, low, high, count):
    assert library.evaluate("([a, b, n]) => ticks(a, b, n)", [low, high, count]) == pytest.approx(
        ticks(low, high, count)
    )


def test_a_long_logarithmic_axis_has_powers_of_ten(library):
    powers = library.evaluate("scale([1e-6, 20], [0, 100], true).ticks(8)")
    assert powers == pytest.approx([10.0**p for p in range(-6, 2)])
    assert len(library.evaluate("scale([1e-30, 1], [0, 100], true).ticks(6)")) <= 7


def test_a_shorter_logarithmic_axis_has_1_2_and_5_of_each_power(library):
    assert library.evaluate("scale([1, 315], [0, 100], true).ticks(7)") == [1, 2, 5, 10, 20, 50, 100, 200]
    assert library.evaluate("scale([0.04, 3], [0, 100], true).ticks(5)") == pytest.approx([0.05, 0.1, 0.2, 0.5, 1, 2])


@pytest.mark.parametrize("log", [False, True])
def test_a_scale_goes_there_and_back(library, log):
    there = library.evaluate("(log) => [1, 10, 100].map(scale([1, 100], [40, 240], log))", log)
    assert there == pytest.approx([40, 140, 240] if log else [40, 40 + 200 / 11, 240])
    assert library.evaluate(
        "([log, xs]) => xs.map(scale([1, 100], [40, 240], log).back)", [log, there]
    ) == pytest.approx([1, 10, 100])


def test_a_path_has_a_gap_where_there_is_no_number(library):
    assert library.evaluate("trace([[0, 1], [1, 2], [2, NaN], [3, 4], [4, 5]])") == "M0.0 1.0L1.0 2.0M3.0 4.0L4.0 5.0"


# Contours


def test_contour_lines_lie_where_the_loss_has_their_level(library):
    paths = library.evaluate(
        """() => { const box = { left: 0, right: 400, top: 0, bottom: 300 };
        const x = scale([-4, 4], [0, 400]), y = scale([-3, 3], [300, 0]);
        return contourPaths(([a, b]) => a * a + b * b, x, y, box, [1, 4, 100]).map((d) =>
            [...d.matchAll(/[ML]([\\d.-]+) ([\\d.-]+)/g)].map(([, px, py]) => x.back(Number(px)) ** 2 + y.back(Number(py)) ** 2)); }"""
    )
    one, four, none = paths
    assert len(one) > 40 and one == pytest.approx([1.0] * len(one), abs=0.02)
    assert len(four) > len(one) and four == pytest.approx([4.0] * len(four), abs=0.03)
    assert none == []


def test_levels_rise_and_end_at_the_top(library):
    levels = library.evaluate("levelsBetween(1, 17, 4)")
    assert levels == [2, 5, 10, 17]
