"""The picture of batches: every example where it is used, and what is wrong marked and said, whatever the answer."""

import itertools
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdlab.batching import epoch_batches
from gdlab.figures import tiles_picture

SVG = "{http://www.w3.org/2000/svg}"
junk = st.recursive(
    st.floats() | st.none() | st.text(max_size=3) | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=30,
)


def words(picture):
    return [node.text or "" for node in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def tiles(picture):
    """The numbers on filled tiles and on dashed frames."""
    filled, dashed = [], []
    nodes = [node for node in ElementTree.fromstring(picture) if node.tag in (f"{SVG}rect", f"{SVG}text")]
    frame = None
    for node in nodes:
        if node.tag == f"{SVG}rect":
            frame = node
        elif node.get("text-anchor") == "middle":
            (dashed if frame.get("stroke-dasharray") else filled).append(node.text)
    return filled, dashed


@given(junk, st.integers(0, 12))
def test_any_answer_gives_a_valid_picture(answer, n):
    root = ElementTree.fromstring(tiles_picture(answer, n))
    assert root.find(f"{SVG}title").text and root.find(f"{SVG}desc").text
    assert float(root.get("viewBox").split()[3]) < 5000


def test_every_example_stands_on_a_tile():
    epochs = [epoch_batches(12, 5, np.random.default_rng(seed)) for seed in (0, 1)]
    filled, dashed = tiles(tiles_picture(epochs, 12))
    assert filled == [str(i) for epoch in epochs for batch in epoch for i in batch]
    assert dashed == []
    assert "epoch 0" in words(tiles_picture(epochs, 12)) and "epoch 1" in words(tiles_picture(epochs, 12))


def test_batches_differ_in_colour_and_stand_apart():
    root = ElementTree.fromstring(tiles_picture([[[0, 1], [2, 3]]], 4))
    boxes = [node for node in root.iter(f"{SVG}rect")]
    assert boxes[0].get("fill") == boxes[1].get("fill") != boxes[2].get("fill") == boxes[3].get("fill")
    places = [float(node.get("x")) for node in boxes]
    assert places[2] - places[1] > places[1] - places[0]


def test_missing_examples_are_dashed_and_counted():
    picture = tiles_picture([[[0, 1], [3]]], 5)
    assert tiles(picture) == (["0", "1", "3"], ["2", "4"])
    assert "2 missing" in words(picture)


def test_a_repeated_example_is_struck_out_and_counted():
    picture = tiles_picture([[[0, 1], [1, 2]]], 3)
    assert "1 repeated" in words(picture)
    assert len([n for n in ElementTree.fromstring(picture).iter(f"{SVG}path")]) == 1
    assert "repeated" not in " ".join(words(tiles_picture([[[0, 1, 2]], [[0, 1, 2]]], 3)))


@pytest.mark.parametrize("entry", [3, -1, 0.5, "1", True, None, float("nan")], ids=repr)
def test_what_is_no_example_is_said_to_be_none(entry):
    assert "1 not an example" in words(tiles_picture([[[0, 1, 2, entry]]], 3))


def test_empty_things_are_said_to_be_empty():
    assert "no epochs" in words(tiles_picture([], 3))
    assert "no batches" in words(tiles_picture([[]], 0))
    assert "a batch empty" in words(tiles_picture([[[], [0]]], 1))


def test_numbers_instead_of_batches_are_batches_of_one():
    assert tiles(tiles_picture([np.arange(4)], 4)) == (["0", "1", "2", "3"], [])


def test_more_than_fits_is_counted():
    assert "… and 40 more" in words(tiles_picture([[range(100)]], 100))
    assert "and 3 more epochs" in words(tiles_picture([[[0]]] * 9, 1))


def test_an_epoch_without_end_is_cut_off():
    ElementTree.fromstring(tiles_picture([[itertools.count()], itertools.repeat([0])], 3))


def test_the_description_reads_the_batches_out():
    description = ElementTree.fromstring(tiles_picture([[[2, 0], [2]]], 3)).find(f"{SVG}desc").text
    assert description == "Epoch 0: [2, 0] [2]; 1 missing, 1 repeated."
