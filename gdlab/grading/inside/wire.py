"""The wire between judge and box: frames of plain values over two pipes.

    frame = length (4 bytes, big-endian) + msgpack of one of the structs below

Both sides use this file. The box's end shares a process with a learner's code, so the judge's end
believes nothing: a frame is refused by its claimed length before it is read, arrays must have an
allowed dtype and exactly as many bytes as their shape needs, and there is no pickle anywhere. A
learner can forge any frame; a frame is therefore only ever an answer, never a verdict.
"""

import math
import os
import select
import struct
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from gdlab.judge.answer import Seed

LENGTH = struct.Struct(">I")
MOST_BYTES = 32 << 20
MOST_PARTS = 100_000
MOST_OUTPUTS = 200
AT_ONCE = 1 << 20
WATCH_EVERY = 0.02  # seconds
CUT = "\n… the rest of this output was cut."
ARRAY, ORACLE, SEED = 1, 2, 3
DTYPES = frozenset({"|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"})


class Broken(Exception):
    """The other side sent what is not a frame, or nothing more."""


class TimeUp(Exception):
    """The other side did not answer, or did not listen, before the deadline."""


class Frame(msgspec.Struct, frozen=True, tag=True):
    """What goes over the wire."""


# From the judge to the box.


class Start(Frame, frozen=True):
    """Set these limits, then run these cells."""

    cells: tuple[str, ...]
    cell_seconds: float
    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    processes: int
    output_bytes: int
    pictures: bool = False


class Ask(Frame, frozen=True):
    """Fork, and let the copy answer for this function: the one that an exercise's check was given, or that has its name."""

    function: str
    exercise: str = ""
    position: int = 0


class Call(Frame, frozen=True):
    """Ask the function by this protocol, with these inputs in this order."""

    inputs: dict[str, Any]
    protocol: str = "once"


class OracleValue(Frame, frozen=True):
    """What the oracle gives at the point asked for, or why it gives nothing."""

    value: Any = None
    refusal: str = ""


class Done(Frame, frozen=True):
    """No more calls: the copy may go."""


# From the box to the judge.


class Hello(Frame, frozen=True):
    """The runner stands; no line of the learner's has run."""


class Output(msgspec.Struct, frozen=True):
    """One output of a cell."""

    kind: Literal["stdout", "stderr", "error", "result", "display"]
    text: str = ""
    png: bytes = b""


class CellRan(Frame, frozen=True):
    """What the next cell printed and showed."""

    outputs: tuple[Output, ...]


class Ready(Frame, frozen=True):
    """All cells have run, or a function's copy has gone: ask on."""


class Value(Frame, frozen=True):
    """What the function returned, which inputs it changed, and whether it drew from a global generator."""

    value: Any
    changed: tuple[str, ...] = ()
    global_randomness: bool = False


class Failure(Frame, frozen=True):
    """The function gave no value."""

    kind: str
    sentence: str
    line: str = ""
    error: str = ""


class Query(Frame, frozen=True):
    """The function calls oracle number `oracle` with these arguments."""

    oracle: int
    arguments: list[Any]


TO_BOX = Start | Ask | Call | OracleValue | Done
FROM_BOX = Hello | CellRan | Ready | Value | Failure | Query


class OracleNumber(msgspec.Struct, frozen=True):
    """An input that is a function on the judge's side: only its number and its arguments' names travel."""

    number: int
    parameters: tuple[str, ...]


_ARRAY = msgspec.msgpack.Decoder(tuple[str, Annotated[tuple[int, ...], msgspec.Meta(max_length=8)], bytes])
_ORACLE = msgspec.msgpack.Decoder(OracleNumber)
_NUMBER = msgspec.msgpack.Decoder(int)


def encode_special(value):
    """msgspec's hook for arrays and oracles."""
    if isinstance(value, np.ndarray):
        little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        body = msgspec.msgpack.encode((little.dtype.str, value.shape, little.tobytes()))
        return msgspec.msgpack.Ext(ARRAY, body)
    raise TypeError(f"{type(value).__name__} does not travel")


def decode_special(code: int, data: memoryview):
    """msgspec's hook for the other side; refuses whatever is not a small honest array."""
    if code == ORACLE:
        return _ORACLE.decode(data)
    if code == SEED:
        return Seed(_NUMBER.decode(data))
    if code != ARRAY:
        raise Broken(f"no such extension: {code}")
    dtype, shape, body = _ARRAY.decode(data)
    if dtype not in DTYPES or any(n < 0 for n in shape):
        raise Broken("an array of a kind that does not travel")
    if math.prod(shape) * np.dtype(dtype).itemsize != len(body):
        raise Broken("an array whose bytes do not fit its shape")
    return np.frombuffer(body, dtype=dtype).reshape(shape).copy()


def oracle_input(number: int, parameters: tuple[str, ...]) -> msgspec.msgpack.Ext:
    """How an oracle stands among the inputs of a call."""
    return msgspec.msgpack.Ext(ORACLE, msgspec.msgpack.encode(OracleNumber(number, parameters)))


def seed_input(seed: int) -> msgspec.msgpack.Ext:
    """How a generator stands among the inputs of a call."""
    return msgspec.msgpack.Ext(SEED, msgspec.msgpack.encode(int(seed)))


class Channel:
    """Frames over a pair of pipe ends; every read and write has a deadline (None: wait for ever).

    Args:
        read_fd, write_fd: the pipe ends.
        expects: the frames that the other side may send.
        watch: called every so often while this side waits; what it raises ends the waiting.
        more_time: asked once a deadline has passed: by how many seconds it is put off, if at all.

    Attributes:
        put_off: the seconds by which deadlines have been put off; whoever sets a new one starts from 0.
    """

    def __init__(
        self,
        read_fd: int,
        write_fd: int,
        expects,
        watch: Callable[[], None] | None = None,
        more_time: Callable[[], float] | None = None,
    ):
        self._watch, self._look_again = watch, 0.0
        self._more_time, self.put_off = more_time, 0.0
        self._read_fd, self._write_fd = read_fd, write_fd
        self._decoder = msgspec.msgpack.Decoder(expects, ext_hook=decode_special)
        self._encoder = msgspec.msgpack.Encoder(enc_hook=encode_special)
        self._arrived = bytearray()  # what was read along with an earlier frame
        self._readable, self._writable = _poll(read_fd, select.POLLIN), _poll(write_fd, select.POLLOUT)
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)

    def send(self, frame: Frame, deadline: float | None = None) -> None:
        """Write a frame; raises `TimeUp`, or `Broken` where nobody reads any more."""
        body = self._encoder.encode(frame)
        left = memoryview(LENGTH.pack(len(body)) + body)
        while left:
            try:
                left = left[os.write(self._write_fd, left) :]
            except BlockingIOError:
                self._wait(self._writable, deadline)
            except OSError as error:
                raise Broken("the other side has gone") from error

    def receive(self, deadline: float | None = None) -> Frame:
        """Read a frame; raises `TimeUp` or `Broken`."""
        self._keep_time(deadline)
        (length,) = LENGTH.unpack(self._read(LENGTH.size, deadline))
        if length > MOST_BYTES:
            raise Broken(f"a frame that claims {length:,} bytes")
        body = self._read(length, deadline)
        if length > MOST_PARTS and holds_more_parts(body, MOST_PARTS):  # a byte makes one part at most
            raise Broken("a frame of too many parts")
        try:
            return self._decoder.decode(body)
        except (msgspec.MsgspecError, RecursionError, ValueError, OverflowError) as error:
            raise Broken("not a frame") from error

    def hand_over(self) -> bytes:
        """What had arrived beyond the last frame, for another process to go on with."""
        arrived = bytes(self._arrived)
        self._arrived.clear()
        return arrived

    def take_over(self, arrived: bytes) -> None:
        """Go on where another process has stopped."""
        self._arrived += arrived

    def _read(self, count: int, deadline: float | None) -> bytes:
        while len(self._arrived) < count:
            self._wait(self._readable, deadline)
            try:
                part = os.read(self._read_fd, AT_ONCE)
            except BlockingIOError:
                continue
            if not part:
                raise Broken("the other side has gone")
            self._arrived += part
        taken = bytes(self._arrived[:count])
        del self._arrived[:count]
        return taken

    def _wait(self, poll: select.poll, deadline: float | None) -> None:
        """Wait for the other side, and call the watchman meanwhile."""
        while True:
            self._keep_time(deadline)
            left = None if deadline is None else deadline + self.put_off - time.monotonic()
            slice_ = left if not self._watch else WATCH_EVERY if left is None else min(left, WATCH_EVERY)
            if poll.poll(None if slice_ is None else max(0.0, slice_) * 1000):
                return

    def _keep_time(self, deadline: float | None) -> None:
        """Call the watchman, and look at the clock: also where the other side never stops sending."""
        now = time.monotonic()
        if self._watch and now >= self._look_again:
            self._watch()
            self._look_again = time.monotonic() + WATCH_EVERY
        if deadline is not None and now >= deadline + self.put_off:
            more = self._more_time() if self._more_time else 0.0
            if more <= 0:
                raise TimeUp
            self.put_off += more


def holds_more_parts(body: bytes, most: int) -> bool:
    """Whether a message would be decoded into more parts than that: one of a byte may take sixty-four.

    Only what lists and dicts say of their lengths is read; texts, bytes and arrays are leapt over. Format: msgpack's
    specification, https://github.com/msgpack/msgpack/blob/master/spec.md.
    """
    at, parts, to_come = 0, 0, 1
    while to_come and at < len(body):
        head, at = body[at], at + 1
        parts, to_come = parts + 1, to_come - 1
        inside, beyond, counted = _PARTS.get(head, (0, 0, 0))
        if counted:
            length = int.from_bytes(body[at : at + counted], "big")
            at += counted
            inside, beyond = inside * length, beyond + (0 if inside else length)
        to_come, at = to_come + inside, at + beyond
        if parts + to_come > most:
            return True
    return False


def _poll(fd: int, event: int) -> select.poll:
    poll = select.poll()
    poll.register(fd, event)
    return poll


def _parts() -> dict[int, tuple[int, int, int]]:
    """Of each first byte in msgpack: the parts inside (a length: each counts so often), the bytes to leap over, those of the length."""
    parts = {0x90 + n: (n, 0, 0) for n in range(16)} | {0x80 + n: (2 * n, 0, 0) for n in range(16)}
    parts |= {0xA0 + n: (0, n, 0) for n in range(32)}
    parts |= {0xDC: (1, 0, 2), 0xDD: (1, 0, 4), 0xDE: (2, 0, 2), 0xDF: (2, 0, 4)}  # lists, dicts
    for first, kind in ((0xC4, 0), (0xC7, 1), (0xD9, 0)):  # bytes, extensions (with a byte for their kind), texts
        parts |= {first + n: (0, kind, 1 << n) for n in range(3)}
    parts |= {0xCA: (0, 4, 0), 0xCB: (0, 8, 0)}  # floats
    parts |= {first + n: (0, 1 << n, 0) for first in (0xCC, 0xD0) for n in range(4)}  # whole numbers
    return parts | {0xD4 + n: (0, 1 + (1 << n), 0) for n in range(5)}  # extensions of 1, 2, 4, 8, 16 bytes


_PARTS = _parts()
