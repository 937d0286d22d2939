"""The picture of curves: valid whatever the curves hold, honest about what it leaves out, true where it draws."""

import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gdlab.figures import curve_picture
from gdlab.figures.svg import spread
from gdlab.figures.text import significant
from gdlab.schedules import warmup_cosine

SVG = "{http://www.w3.org/2000/svg}"
any_row = st.lists(st.floats() | st.none() | st.text(max_size=3) | st.booleans() | st.integers(), max_size=40)
any_curve = st.tuples(st.text(max_size=40), any_row) | st.tuples(st.text(max_size=40), any_row, any_row)


def draw(*curves, **options):
    return curve_picture(curves, **{"x_label": "step", "y_label": "learning rate", **options})


def words(picture):
    return [node.text or "" for node in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def lines(picture, colour):
    """The points of the lines in one colour."""
    return [
        [tuple(map(float, point.split(","))) for point in node.get("points").split()]
        for node in ElementTree.fromstring(picture).iter(f"{SVG}polyline")
        if colour in node.get("stroke")
    ]


@example([("", [5e-324])], False)
@given(st.lists(any_curve, max_size=5), st.booleans())
def test_any_curves_give_a_valid_picture_without_holes(curves, log_y):
    root = ElementTree.fromstring(draw(*curves, log_y=log_y))
    assert root.find(f"{SVG}title").text and root.find(f"{SVG}desc").text
    for node in root.iter():
        for name, value in node.attrib.items():
            if name in ("x", "y", "cx", "cy", "points", "d", "width", "height"):
                assert "nan" not in value and "inf" not in value
                assert all(abs(float(n)) < 1e4 for n in re.findall(r"-?\d+\.?\d*(?:e[+-]?\d+)?", value))


@pytest.mark.parametrize("answer", [None, 3.0, "0.5", [], [[1.0, 2.0]], {"lr": 1.0}, [1e400, -1e308, 1e308]], ids=str)
@pytest.mark.parametrize("log_y", [False, True])
def test_an_answer_of_any_kind_leaves_the_right_curve_standing(answer, log_y):
    picture = draw(("right", [0.1, 0.2, 0.3]), ("yours", answer), log_y=log_y)
    assert len(lines(picture, "--gdl-path")[0]) == 3
    assert "right" in words(picture)


def test_heights_are_in_proportion():
    ((first, second, third),) = lines(draw(("curve", [0.0, 1.0, 4.0])), "--gdl-path")
    assert (first[1] - third[1]) == pytest.approx(4 * (first[1] - second[1]), abs=0.1)
    assert (third[0] - first[0]) == pytest.approx(2 * (second[0] - first[0]), abs=0.1)


def test_on_a_logarithmic_axis_equal_factors_are_equal_steps():
    ((first, second, third),) = lines(draw(("curve", [1.0, 10.0, 100.0]), log_y=True), "--gdl-path")
    assert first[1] - second[1] == pytest.approx(second[1] - third[1], abs=0.1)


def test_xs_are_taken_where_they_are_given():
    ((first, second, third),) = lines(draw(("curve", [0, 1, 4], [1.0, 2.0, 3.0])), "--gdl-path")
    assert (third[0] - first[0]) == pytest.approx(4 * (second[0] - first[0]), abs=0.1)


def test_the_first_curve_decides_what_is_in_view():
    picture = draw(("right", [0.0, 1.0]), ("yours", [0.0, 1e9]))
    assert lines(picture, "--gdl-path") == lines(draw(("right", [0.0, 1.0]), ("other", [0.0, -1e9])), "--gdl-path")
    assert any("yours: leaves the picture at step 1" in line for line in words(picture))
    assert not any("leaves" in line for line in words(draw(("right", [0.0, 1.0]), ("yours", [0.0, 2.0]))))


def test_what_is_no_number_is_a_gap_and_is_said():
    picture = draw(("right", [1.0] * 6), ("yours", [1.0, 1.0, math.nan, 1.0, 1.0, 1.0]))
    assert [len(stretch) for stretch in lines(picture, "--gdl-slope")] == [2, 3]
    assert "yours: not a number at step 2" in words(picture)
    assert "yours: leaves the picture at step 1 with ∞" in words(
        draw(("right", [1.0, 2.0]), ("yours", [1.0, math.inf]))
    )


def test_a_curve_without_points_is_named_and_a_zero_has_no_logarithm():
    assert "yours: no points" in words(draw(("right", [1.0, 2.0]), ("yours", [])))
    told = words(draw(("right", [1.0, 2.0]), ("yours", [1.0, 0.0]), log_y=True))
    assert any(line.startswith("yours: 0 at step 1") for line in told)


def test_curves_carry_their_names_beside_their_ends_and_differ_in_dash():
    steps = np.arange(26)
    right = warmup_cosine(steps, 1.0, 7, 21, floor_lr=0.1)
    picture = draw(("right", right), ("yours", right + 0.1))
    assert {"right", "yours", "step", "learning rate"} <= set(words(picture))
    dashes = [node.get("stroke-dasharray") for node in ElementTree.fromstring(picture).iter(f"{SVG}polyline")]
    assert dashes.count("7 4") == 1


def test_a_long_curve_is_thinned_and_keeps_its_spikes():
    ys = np.ones(100_000)
    ys[54_321] = 2.0
    picture = draw(("loss", ys))
    assert len(picture) < 60_000
    (points,) = lines(picture, "--gdl-path")
    assert max(y for _, y in points) - min(y for _, y in points) > 50


def test_labels_are_text_and_never_markup():
    assert "<script" not in draw(("<script>alert(1)</script>\x00", [1.0, 2.0]))


def test_the_description_reads_the_numbers_out():
    root = ElementTree.fromstring(draw(("mine", [0.0, 1.5e-4, 3e-4])))
    assert root.find(f"{SVG}desc").text == "mine: 0, 0.00015, 0.0003."


def test_labels_stand_apart_and_inside():
    assert spread([10.0, 10.0, 10.0], gap=15.0, low=0.0, high=30.0) == [0.0, 15.0, 30.0]
    assert spread([5.0], gap=15.0, low=0.0, high=30.0) == [5.0]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3e-4, "0.0003"),
        (3e-5, "3 × 10⁻⁵"),
        (-2.5e-7, "−2.5 × 10⁻⁷"),
        (-1e-6, "−10⁻⁶"),
        (0.0, "0"),
        (2.0, "2"),
        (0.123456, "0.123"),
        (999.9, "1,000"),
        (54321.0, "54,321"),
        (999_999.0, "10⁶"),
        (1.5e9, "1.5 × 10⁹"),
        (math.inf, "∞"),
        (math.nan, "not a number"),
    ],
)
def test_small_numbers_keep_their_leading_digits(value, text):
    assert significant(value) == text
