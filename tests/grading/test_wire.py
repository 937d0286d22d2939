"""The wire: honest frames arrive whole, and nothing else is believed."""

import os
import threading
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


def test_a_side_that_never_stops_sending_is_out_of_time_all_the_same(pair):
    """The judge answers questions as long as they come: a flood of them must not put off the end."""
    channel, write = pair
    body = framed(encoded(wire.Query(0, [])))
    os.write(write, body * 1000)  # more of them than can be read before the time is up, if each takes a millisecond
    deadline, answered = soon(), 0
    with pytest.raises(wire.TimeUp):
        while isinstance(channel.receive(deadline), wire.Query):
            answered += 1
            time.sleep(0.001)
    assert answered < 1000


def test_a_frame_that_comes_byte_by_byte_is_out_of_time(pair):
    channel, write = pair
    os.write(write, wire.LENGTH.pack(1 << 20))
    drip, ended = iter(range(200)), threading.Event()

    def send():
        while not ended.wait(0.01) and next(drip, None) is not None:
            os.write(write, b"x")

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with pytest.raises(wire.TimeUp):
            channel.receive(soon())
    finally:
        ended.set()
        sender.join()
    assert next(drip, None) is not None  # it was not the sender that stopped


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.builds(msgspec.msgpack.Ext, st.integers(0, 127), st.binary(max_size=300)),
    lambda inside: st.lists(inside, max_size=40) | st.dictionaries(st.text(max_size=40), inside, max_size=20),
)


def parts_of(value) -> int:
    if isinstance(value, dict):
        return 1 + sum(parts_of(key) + parts_of(entry) for key, entry in value.items())
    return 1 + sum(map(parts_of, value)) if isinstance(value, list) else 1


@given(VALUES | st.integers(0, 70_000).map(lambda n: [0] * n) | st.sampled_from([b"x" * 70_000, "y" * 70_000]))
def test_the_parts_of_a_message_are_counted_without_decoding_it(value):
    body, parts = msgspec.msgpack.encode(value), parts_of(value)
    assert wire.holds_more_parts(body, parts - 1) and not wire.holds_more_parts(body, parts)


@pytest.mark.parametrize("filler", [b"\x90", b"\x80", b"\x00", b"\xc0", b"\x91"])
def test_a_frame_that_would_fill_the_judges_memory_is_refused_before_it_is_decoded(filler, pair, monkeypatch):
    channel, write = pair
    start, end = encoded(wire.Value([7])).split(b"\x91\x07")
    many = 1_000_000
    bomb = start + b"\xdd" + many.to_bytes(4, "big") + filler * many + end
    monkeypatch.setattr(channel, "_decoder", None)  # nothing is to reach it
    sender = threading.Thread(target=send_whole, args=(write, framed(bomb)))
    sender.start()
    with pytest.raises(wire.Broken, match="too many parts"):
        channel.receive(time.monotonic() + 30)
    sender.join()


def send_whole(fd: int, left: bytes) -> None:
    while left:
        left = left[os.write(fd, left) :]


def test_an_output_of_no_known_kind_is_refused(pair):
    """What an output is called counts for nothing when outputs are cut: five megabytes of it would go unseen."""
    channel, write = pair
    os.write(write, framed(encoded(wire.CellRan((wire.Output("x" * 5000),)))))
    with pytest.raises(wire.Broken):
        channel.receive(soon())


def test_an_array_of_too_many_dimensions_is_refused_by_their_number_alone(pair):
    channel, write = pair
    fake = msgspec.msgpack.Ext(wire.ARRAY, msgspec.msgpack.encode(("<f8", (1,) * 9, bytes(8))))
    os.write(write, framed(encoded(wire.Value(fake))))
    with pytest.raises(wire.Broken):
        channel.receive(soon())
