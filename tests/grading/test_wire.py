"""The wire: honest frames arrive whole, and nothing else is believed."""

import os
import time

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gdlab.grading.inside import wire


@pytest.fixture
def pair():
    """A judge's channel, and the raw pipe end on which a box would write to it."""
    read, write = os.pipe()
    other_read, other_write = os.pipe()
    channel = wire.Channel(read, other_write, expects=wire.FROM_BOX)
    yield channel, write
    os.close(read)
    os.close(other_write)
    os.close(write)
    os.close(other_read)


def framed(body: bytes) -> bytes:
    return wire.LENGTH.pack(len(body)) + body


def encoded(frame) -> bytes:
    return msgspec.msgpack.encode(frame, enc_hook=wire.encode_special)


def soon() -> float:
    return time.monotonic() + 0.2


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.bool_, np.uint8]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0),
    )
)
def test_arrays_arrive_as_they_left(array):
    back = msgspec.msgpack.decode(encoded(wire.Value(array)), type=wire.FROM_BOX, ext_hook=wire.decode_special).value
    assert back.dtype == array.dtype and back.shape == array.shape
    assert back.tobytes() == array.tobytes()


def test_a_claimed_500_mb_is_refused_before_it_is_read(pair):
    channel, write = pair
    os.write(write, wire.LENGTH.pack(500 << 20))
    with pytest.raises(wire.Broken, match="claims 524,288,000 bytes"):
        channel.receive(soon())


def test_half_a_frame_and_then_silence_is_out_of_time(pair):
    channel, write = pair
    os.write(write, framed(encoded(wire.Ready()))[:-1])
    with pytest.raises(wire.TimeUp):
        channel.receive(soon())


def test_a_reader_that_never_reads_is_out_of_time(pair):
    channel, _ = pair
    with pytest.raises(wire.TimeUp):
        channel.send(wire.Call({"x": np.zeros(100_000)}), soon())


@pytest.mark.parametrize(
    ("dtype", "shape", "body"),
    [
        ("|O", (1,), b"\0" * 8),
        ("|V8", (1,), b"\0" * 8),
        ("<c16", (1,), b"\0" * 16),
        ("<f8", (3,), b"\0" * 8),
        ("<f8", (-1, -1), b"\0" * 8),
        ("<f8", (2**40, 0, 2**40), b"\0" * 8),
        ("<f8", (1,) * 40, b"\0" * 8),
    ],
)
def test_dishonest_arrays_are_refused(dtype, shape, body, pair):
    channel, write = pair
    fake = msgspec.msgpack.Ext(wire.ARRAY, msgspec.msgpack.encode((dtype, shape, body)))
    os.write(write, framed(encoded(wire.Value(fake))))
    with pytest.raises(wire.Broken):
        channel.receive(soon())


@given(body=st.binary(max_size=200))
def test_random_bytes_are_a_frame_or_refused(body):
    read, write = os.pipe()
    other_read, other_write = os.pipe()
    channel = wire.Channel(read, other_write, expects=wire.FROM_BOX)
    os.write(write, framed(body))
    try:
        assert isinstance(channel.receive(soon()), wire.Frame)
    except wire.Broken:
        pass
    finally:
        for fd in (read, write, other_read, other_write):
            os.close(fd)


def test_a_pickle_is_not_a_frame(pair):
    import pickle

    channel, write = pair
    os.write(write, framed(pickle.dumps({"points": 8})))
    with pytest.raises(wire.Broken):
        channel.receive(soon())


def test_nesting_without_end_is_refused(pair):
    channel, write = pair
    start, end = encoded(wire.Value([[7]])).split(b"\x91\x91\x07")
    os.write(write, framed(start + b"\x91" * 50_000 + b"\x07" + end))
    with pytest.raises(wire.Broken):
        channel.receive(soon())
