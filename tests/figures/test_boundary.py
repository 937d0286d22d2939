"""Trainability in Python: recorded windows that a sweep would draw again, the run under the ring, a zoom of one's own."""

import math
import struct
import zlib

import numpy as np
import pytest
import traitlets

from gdlab.figures import trainability
from gdlab.figures.boundary_svg import palette, png
from gdlab.figures.zooms import (
    CLOSER,
    SIDE,
    WHOLE,
    bytes_of,
    closer,
    colours_of,
    draw_window,
    most_mixed,
    problem,
    recorded_zooms,
    window_sweep,
)
from gdlab.sweep import Sweep, log_axis, run_sweep


def test_the_recorded_map_is_what_a_sweep_gives():
    every = 10  # the same runs, every tenth of each row and column
    learned = run_sweep(window_sweep(WHOLE, SIDE // every + 1)).converged
    recorded = bytes_of(recorded_zooms()[0])[::every, ::every] < 128
    assert recorded.shape == learned.shape
    assert np.mean(recorded == learned) > 0.95  # at the border the last digit decides


def test_each_recorded_window_lies_in_the_one_before_where_it_is_most_mixed():
    windows = recorded_zooms()
    assert windows[0]["window"] == WHOLE and len(windows) == 6
    for wide, near in zip(windows, windows[1:], strict=False):
        assert near["window"] == pytest.approx(closer(wide["window"], *most_mixed(bytes_of(wide))), abs=1e-11)
        assert near["window"][1] - near["window"][0] == pytest.approx((wide["window"][1] - wide["window"][0]) / CLOSER)
    for drawn in windows:
        assert 0.1 < np.mean(bytes_of(drawn) < 128) < 0.9


def test_the_most_mixed_place_is_found():
    colours = np.zeros((64, 64), dtype=np.uint8)
    colours[40:48:2, 8:16] = 200
    u, v = most_mixed(colours)
    assert 8 / 64 <= u <= 16 / 64 and 40 / 64 <= v <= 48 / 64


def test_a_colour_tells_who_learned_and_how_soon():
    colours = colours_of(np.array([-5.0, -50.0, 3.0, 90.0]))
    assert (colours < 128).tolist() == [True, True, False, False]
    assert colours[0] < colours[1] and colours[3] < colours[2]  # soon is light; gone soon is dark
    brightness = [sum(colour) for colour in palette()]
    assert min(brightness[:128]) > max(brightness[128:])


def test_rates_of_a_pixel_are_those_under_the_ring():
    map = trainability(level=1, u=0.0, v=1.0)
    left, _, _, high = recorded_zooms()[1]["window"]
    assert map.rates == pytest.approx((10**left, 10**high))


@pytest.mark.parametrize(("u", "v"), [(0.1, 0.1), (0.2, 0.3), (0.05, 0.4)])
def test_the_run_under_the_ring_is_the_sweeps(u, v):
    map = trainability(u=u, v=v)
    lr1, lr2 = map.rates
    axes = (log_axis("lr_W2", lr2, 2 * lr2, 2), log_axis("lr_W1", lr1, 2 * lr1, 2))
    outcome = run_sweep(Sweep(problem(), axes, 100))
    losses = map.losses()
    assert losses[0] == 1.0 and len(losses) == 101 and np.mean(losses[80:100]) < 1
    assert outcome.measure[0, 0] == pytest.approx(-sum(losses[:100]), rel=1e-6)


def test_a_zoom_is_drawn_around_the_ring(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "gdlab.figures.boundary.draw_window", lambda window, side: drawn.append(side) or draw_window(window, 3)
    )
    map = trainability(u=0.25, v=0.5)
    map.zoom(4)
    assert map.window == [-0.5, 0.5, 1.25, 1.75] and (map.u, map.v) == (0.5, 0.5)
    assert drawn == [41, 121] and map.own[0]["window"] == map.window  # coarse first
    map.zoom(4)
    assert map.window == [-0.125, 0.125, 1.4375, 1.5625]
    map.asked = []
    assert map.own == [] and map.window == WHOLE


def test_a_zoom_ends_where_numbers_end():
    map = trainability()
    with pytest.raises(ValueError, match="no room for different numbers"):
        map.zoom(1e14)
    assert map.asked == []


@pytest.mark.parametrize("wrong", [{"level": 6}, {"u": 1.1}, {"v": -0.1}, {"u": math.nan}], ids=str)
def test_what_is_no_setting_is_refused(wrong):
    with pytest.raises(traitlets.TraitError):
        trainability(**wrong)


def test_paper_shows_three_windows_and_says_what_share_learns():
    picture = trainability().picture()
    assert picture.count("<image ") == 3 and "64 ×" in picture
    assert "% of the runs learn" in picture and "lighter: sooner" in picture


def test_a_picture_file_holds_the_bytes_upside_up():
    colours = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
    file = png(colours)
    assert file.startswith(b"\x89PNG") and struct.unpack(">2I", file[16:24]) == (3, 2)
    at = file.index(b"IDAT")
    size = struct.unpack(">I", file[at - 4 : at])[0]
    assert zlib.decompress(file[at + 4 : at + 4 + size]) == bytes([0, 4, 5, 6, 0, 1, 2, 3])
