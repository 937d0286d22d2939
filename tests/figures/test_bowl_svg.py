"""The still picture: valid and self-contained whatever the walk, and honest about what it leaves out."""

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdlab.figures import bowl_picture
from gdlab.figures.bowl import walk_path
from gdlab.figures.text import number

SVG = "{http://www.w3.org/2000/svg}"
any_float = st.floats(allow_nan=True, allow_infinity=True)


def parse(picture):
    return ElementTree.fromstring(picture)


def words(picture):
    return " ".join(node.text or "" for node in parse(picture).iter(f"{SVG}text"))


@given(st.lists(st.tuples(st.text(max_size=30), st.lists(any_float, max_size=12)), max_size=5), st.booleans())
def test_any_walk_gives_a_valid_picture_without_holes(paths, table):
    picture = bowl_picture(paths, table=table)
    root = parse(picture)
    assert root.find(f"{SVG}title").text and root.find(f"{SVG}desc").text
    for node in root.iter():
        for name, value in node.attrib.items():
            if name in ("x", "y", "cx", "cy", "points", "d", "width", "height"):
                assert "nan" not in value and "inf" not in value
                assert all(abs(float(n)) < 1e6 for n in re.findall(r"-?\d+\.?\d*(?:e[+-]?\d+)?", value))


def test_labels_are_text_and_never_markup():
    picture = bowl_picture([("<script>alert(1)</script> & \"'\x00", [-1.0, 1.0])])
    assert "<script" not in picture
    assert "<script>alert(1)</script>" in words(picture)


def test_points_stand_on_the_curve():
    picture = parse(bowl_picture([("walk", walk_path(-1.0, 0.3, 3))]))
    curve, trail = [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        for line in picture.iter(f"{SVG}polyline")
    ]
    assert len(trail) == 4
    for px, py in trail:
        left, right = max(p for p in curve if p[0] <= px), min(p for p in curve if p[0] >= px)
        share = 0 if left == right else (px - left[0]) / (right[0] - left[0])
        assert py == pytest.approx(left[1] + share * (right[1] - left[1]), abs=1)


def test_a_walk_that_leaves_the_picture_is_said_to():
    assert "leaves the picture at step 2" in words(bowl_picture([("mine", [-1.0, 5.0, 1e9, 3.0])]))
    assert "not a number at step 1" in words(bowl_picture([("mine", [-1.0, math.nan])]))
    assert "leaves the picture at step 1" in words(bowl_picture([("mine", [-1.0, math.inf])]))
    assert "leaves" not in words(bowl_picture([("right", walk_path(-1.0, 0.9, 8))]))


def test_one_point_and_no_point():
    assert "mine" in words(bowl_picture([("mine", [-1.0])]))
    assert "no points" in words(bowl_picture([("mine", [])]))
    assert "no walk" in bowl_picture([])


def test_two_walks_differ_in_colour_dash_and_mark():
    picture = bowl_picture([("your trajectory", [-1.0, -3.4]), ("the right one", [-1.0, 1.4])])
    _, right, mine = parse(picture).iter(f"{SVG}polyline")
    assert mine.get("stroke") != right.get("stroke")
    assert mine.get("stroke-dasharray") != right.get("stroke-dasharray")
    assert parse(picture).findall(f".//{SVG}rect[@fill]") and parse(picture).findall(f".//{SVG}circle")
    assert "your trajectory" in words(picture) and "the right one" in words(picture)


def test_the_description_reads_the_numbers_out():
    description = parse(bowl_picture([("mine", [-1.0, 1.4])])).find(f"{SVG}desc").text
    assert description == "mine: θ = −1, 1.4."


def test_the_table_lists_every_frame_and_shortens_a_long_walk():
    listed = words(bowl_picture([("walk", walk_path(-1.0, 0.3, 3))], table=True))
    for text in ("−1", "16.5", "1.4", "3.06", "2.36", "0.91", "2.744", "0.566"):
        assert text in listed
    assert "…" in words(bowl_picture([("walk", walk_path(-1.0, 0.1, 50))], table=True))


def test_pictures_with_different_walks_share_no_name():
    ids = [re.findall(r' id="([^"]+)"', bowl_picture([("walk", [theta])])) for theta in (1.0, 2.0)]
    assert set(ids[0]).isdisjoint(ids[1])


def test_colours_come_from_the_page():
    picture = bowl_picture([("walk", [-1.0, 1.4])])
    assert "currentColor" in picture and "var(--pst-color-text-base" in picture and "var(--jp-ui-font-color1" in picture
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-13.384, "−13.384"),
        (-0.0, "0"),
        (-0.0001, "0"),
        (2.5, "2.5"),
        (100.0, "100"),
        (2213.26, "2213.3"),
        (-1.2e7, "−1.2 × 10⁷"),
        (math.nan, "not a number"),
        (-math.inf, "−∞"),
    ],
)
def test_numbers_have_a_true_minus_and_no_tail_of_zeros(value, text):
    assert number(value) == text
