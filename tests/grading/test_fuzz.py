"""Thousands of inputs that nobody would hand in: whatever a file or a frame holds, no run ends because of it."""

import copy
import json
import os
import random

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdlab.grading.course import release
from gdlab.grading.inside import wire
from gdlab.grading.judging import PNG, Judged, write_outputs
from gdlab.grading.needed import cells_to_leave_out
from gdlab.grading.submission import Submission, sound_notebook
from gdlab.judge.borrowed import borrowed

MANY = settings(max_examples=700, deadline=None, suppress_health_check=list(HealthCheck))
SOME = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def released(root, tmp_path_factory):
    folder = release("update_rule", root / "solutions", tmp_path_factory.mktemp("released"))
    return nbformat.read(folder / "update_rule.ipynb", as_version=4)


@pytest.fixture(scope="module")
def submission(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "someone" / "update_rule"
    folder.mkdir(parents=True)
    return Submission("someone", "update_rule", folder)


def read(submission: Submission, released, content: bytes) -> nbformat.NotebookNode:
    """The sound notebook of a file, which nbformat's schema must accept and which must have every graded cell once."""
    (submission.folder / "update_rule.ipynb").write_bytes(content)
    notebook, note = sound_notebook(submission, released, "update_rule")
    nbformat.validate(notebook)
    wanted = sorted(cell.metadata.nbgrader.grade_id for cell in released.cells if "nbgrader" in cell.metadata)
    assert sorted(cell.metadata.nbgrader.grade_id for cell in notebook.cells if "nbgrader" in cell.metadata) == wanted
    json.dumps(notebook).encode()
    note.encode()
    return notebook


@MANY
@given(content=st.binary(max_size=2000))
def test_any_bytes_become_a_sound_notebook(content, submission, released):
    read(submission, released, content)


@MANY
@given(value=json_values, kept=st.sampled_from(["", "cells", "metadata", "nbformat"]))
def test_any_json_becomes_a_sound_notebook(value, kept, submission, released):
    content = {**json.loads(json.dumps(released)), kept: value} if kept else value
    read(submission, released, json.dumps(content).encode())


def every_place(value, path=()):
    """The paths to everything in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from every_place(value[key], (*path, key))


@MANY
@given(data=st.data())
def test_any_damage_to_a_notebook_leaves_a_sound_one(data, submission, released):
    notebook = json.loads(json.dumps(released))
    for _ in range(data.draw(st.integers(1, 6))):
        places = list(every_place(notebook))[1:]
        if not places:
            break
        *before, key = data.draw(st.sampled_from(places))
        parent = notebook
        for step in before:
            parent = parent[step]
        if data.draw(st.booleans()):
            del parent[key]
        else:
            parent[key] = data.draw(json_values | st.just(copy.deepcopy(parent)))
    read(submission, released, json.dumps(notebook).encode())


@MANY
@given(content=st.binary(max_size=300), honest_length=st.booleans())
def test_any_bytes_on_the_wire_are_a_frame_or_refused(content, honest_length):
    """With an honest length before them they reach the decoder."""
    ours, theirs = os.pipe(), os.pipe()
    channel = wire.Channel(ours[0], theirs[1], wire.FROM_BOX)
    try:
        os.write(ours[1], (wire.LENGTH.pack(len(content)) if honest_length else b"") + content)
        os.close(ours[1])
        frame = channel.receive(deadline=None)
        assert isinstance(frame, wire.FROM_BOX)
    except wire.Broken:
        pass
    finally:
        for fd in (ours[0], *theirs):
            os.close(fd)


outputs = st.builds(
    wire.Output,
    st.sampled_from(["stdout", "stderr", "error", "result", "display", "?"]),
    st.text(max_size=30),
    st.binary(max_size=20) | st.just(PNG + b"not a picture"),
)


@SOME
@given(cells=st.lists(st.text(max_size=200), max_size=6), ours=st.lists(st.integers(0, 5), max_size=4))
def test_any_cells_can_be_read_for_names(cells, ours):
    cells_to_leave_out(cells, {cells[place] for place in ours if place < len(cells)})
    borrowed(cells, ["gradient_step"])


@SOME
@given(data=st.data())
def test_any_outputs_make_a_notebook_that_nbgrader_can_read(data, submission, released):
    notebook = copy.deepcopy(released)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = tuple(tuple(data.draw(st.lists(outputs, max_size=2))) for _ in cells)
    write_outputs(notebook, Judged(shown, {}))
    nbformat.validate(notebook)


def test_a_class_of_damaged_notebooks_is_graded_to_the_last_one(tmp_path, released, hand_in, grade_class):
    """Thirty files, each damaged in another way, between two sound ones, through the real grader."""
    draw = random.Random(5)
    hand_in(tmp_path / "submitted", "00-first")
    hand_in(tmp_path / "submitted", "99-last")
    for number in range(1, 31):
        path = hand_in(tmp_path / "submitted", f"{number:02}-damaged")
        content = bytearray(path.read_bytes())
        for _ in range(draw.choice((1, 3, 30))):
            place = draw.randrange(len(content))
            content[place : place + draw.choice((0, 1, 400))] = draw.randbytes(draw.choice((0, 1, 5)))
        path.write_bytes(content)
    graded = grade_class(tmp_path / "submitted", tmp_path / "out")
    assert len(graded) == 32 and graded["00-first"].points == graded["99-last"].points == 8
