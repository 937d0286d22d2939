"""The landscape as a still picture: whatever a wrong step does, it is drawn."""

import xml.etree.ElementTree as ElementTree

import pytest

from gdlab.figures.basins_svg import LEFT, RIGHT, landscape_picture

DRAW = "{http://www.w3.org/2000/svg}"
RATES = [0.1, 0.3]
ROWS = [["left", "left", "right", "right"], ["diverged", "bouncing", "ridge", "diverged"]]


@pytest.mark.parametrize(
    ("surface", "walk"),
    [
        ("double_well", [0.5]),
        ("double_well", [0.5, float("nan"), float("inf"), -1e300]),
        ("saddle", [[2.0, 0.5], [float("nan"), 1e200]]),
    ],
    ids=["one point", "no numbers", "on the saddle"],
)
def test_any_walk_is_drawn(surface, walk):
    picture = landscape_picture(surface, walk, 0.1, RATES, [], "it went wrong")
    assert ElementTree.fromstring(picture) is not None and "it went wrong" in picture


def test_equal_neighbours_make_one_tile_and_each_outcome_one_path():
    root = ElementTree.fromstring(landscape_picture("double_well", [0.5, 0.7], 0.1, RATES, ROWS))
    tiles = {node.get("fill"): node.get("d") for node in root.iter(f"{DRAW}path") if "url" in node.get("fill", "")}
    assert len(tiles) == 5 and sum(d.count("M") for d in tiles.values()) == 2 + 4
    quarter, found = (RIGHT - LEFT) / 4, [d for d in tiles.values() for d in d[:-1].split("z")]
    lefts = sorted((float(d[1:].split()[0]) - LEFT) / quarter for d in found)
    assert lefts == pytest.approx([0, 0, 1, 2, 2, 3], abs=0.01)


def test_who_cannot_see_it_hears_the_walk_and_the_shares():
    root = ElementTree.fromstring(landscape_picture("double_well", [0.5, 0.75], 0.1, RATES, ROWS))
    said = root.find(f"{DRAW}desc").text
    assert "From θ = 0.5 at η = 0.1 the walk is at θ = 0.75 after 1 steps." in said
    assert "left well 25 %, right well 25 %, stuck 12 %, bouncing 12 %, diverged 25 %" in said
