"""What may cross the wall, and what is refused with a sentence."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gdlab.judge.plain import NotPlain, plain


class Liar(np.ndarray):
    """An array that lies to whoever asks."""

    def __array__(self, *args, **kwargs):
        return np.zeros(3)

    def __eq__(self, other):
        return np.True_


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(1.5), 1.5),
        (np.int8(7), 7),
        (np.bool_(True), True),
        ((1, 2.5), np.array([1, 2.5])),
        ([np.array([1.0, 2.0]), np.array([3.0, 4.0])], np.array([[1.0, 2.0], [3.0, 4.0]])),
        (torch.tensor([1.0, 2.0], requires_grad=True), np.array([1.0, 2.0], dtype=np.float32)),
        (np.array([1.0, 2.0], dtype=">f8"), np.array([1.0, 2.0])),
        (np.arange(6.0)[::-2], np.array([5.0, 3.0, 1.0])),
        (np.ma.masked_array([1.0, 2.0], mask=[True, False]), np.array([1.0, 2.0])),
        (np.array([1.0, 2.0]).view(Liar), np.array([1.0, 2.0])),
        (np.complex128(3 + 0j), 3.0),
        (np.array([1 + 0j, 2], dtype=np.complex64), np.array([1.0, 2.0], dtype=np.float32)),
    ],
)
def test_these_become_base_values(value, expected):
    result = plain(value)
    assert type(result) is type(expected)
    assert np.array_equal(result, expected)


def test_lists_of_unlike_things_stay_lists():
    batches = plain([[0, 1], [2]])
    assert [batch.tolist() for batch in batches] == [[0, 1], [2]]
    assert plain({"a": [1, "b"]}) == {"a": [1, "b"]}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "object of type object"),
        (lambda: 3, "a function"),
        (np.array([1j]), "complex"),
        (2 + 1j, "complex"),
        (complex(1, float("nan")), "complex"),
        (np.array([object()]), "array of object"),
        (np.zeros(2_000_000), "2,000,000 entries"),
        ("x" * 20_000, "20,000 characters"),
        (10**30, "more than 64 bits"),
        ({1: 2}, "keys are not all texts"),
        ([[[[[[[[[[1, "a"]]]]]]]]]], "more than 8 deep"),
        (np.array([1.0], dtype=np.longdouble), "array of"),
    ],
)
def test_these_are_refused_with_a_sentence(value, says):
    with pytest.raises(NotPlain, match=says):
        plain(value)


def test_a_list_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(NotPlain):
        plain(endless)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.complex_numbers() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(ANYTHING)
def test_anything_is_either_plain_or_refused_and_plain_stays_plain(value):
    try:
        once = plain(value)
    except NotPlain:
        return
    assert repr(plain(once)) == repr(once)
