"""A box, from the grader's side: the conversation with the runner in it, whatever walls stand around that.

The walls are bubblewrap around a fresh Python (the cold box: slow, and almost nothing of it is ours), or around
a copy of a warm one (`gdlab.grading.warm`). A function that never ends takes its box with it; the next function
is asked in a new box in which the cells have run again.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from gdlab.grading import bubblewrap
from gdlab.grading.box import BoxFailed, BoxTaken, Limits, NoSandbox, Walls
from gdlab.grading.inside import wire
from gdlab.judge.answer import Failed, Oracle, Reply, Seed
from gdlab.judge.plain import NotPlain, plain

KINDS = frozenset({"raised", "untouched", "missing", "ended", "unreadable"})
MOST_TIMES_LONGER = 5
MOST_SENTENCE = 1_000
ERROR_CHARACTERS = 1_000
CELLS_OF_OUTPUT = 16  # that may each use up what a cell may say; the others then say nothing
SLOW = "Your function was still running after {:g} seconds. Does a loop in it ever end?"
ENDED = "Your function ended the program it runs in."
SLOW_CELL = "Your notebook was still running after {:g} seconds, in this cell. Does a loop in it ever end?"
ENDED_IN_CELL = "This cell ended the program that runs your notebook."
BIG = "Your function took more memory than there is for it. How many numbers does it keep?"
BIG_CELL = "Your notebook took more than {} MB of memory, in this cell."
TAKEN = "A box was ended from outside; is this machine short of memory?"
GARBAGE = "Your notebook's process sent something that is not an answer."


class TooMuchMemory(wire.Broken):
    """The box's processes hold more than they may, together."""


class WalledBox:
    """A `gdlab.grading.box.Box` in which a runner answers.

    Args:
        limits: what each submission may use.
        raise_walls: what walls it off; bubblewrap where nothing else is named.

    Example:
        with WalledBox(Limits()) as box:
            box.run_cells(["def double(x): return 2 * x"])
            with box.function("double") as answer:
                answer({"x": 4.0}).value    # 8.0
    """

    def __init__(self, limits: Limits, raise_walls: Callable[..., Walls] | None = None):
        self._limits = limits
        self._raise_walls = raise_walls or bubblewrap.raise_walls
        self._cells: tuple[str, ...] = ()
        self._walls: Walls | None = None
        self._channel: wire.Channel | None = None

    def __enter__(self) -> "WalledBox":
        self._open()
        return self

    def __exit__(self, *exc_info) -> None:
        self._close()

    def run_cells(self, cells: Sequence[str]) -> list[tuple[wire.Output, ...]]:
        self._cells = tuple(cells)
        if self._walls is None:
            self._open()
        return self._run_cells()

    @contextmanager
    def function(self, name: str, exercise: str = "", position: int = 0) -> Iterator["BoxedFunction"]:
        if self._walls is None:
            self._open()
            self._run_cells()
        self._granted = 0.0
        boxed = BoxedFunction(self._channel, self._limits.function_seconds)
        boxed.ask_for(wire.Ask(name, exercise or name, position))
        yield boxed
        boxed.let_go()
        if boxed.lost:
            taken = self._walls.ended_from_outside()
            self._close()
            if taken:
                raise BoxTaken(TAKEN)

    def _open(self) -> None:
        self._walls = self._raise_walls(self._limits)
        self._channel = wire.Channel(*self._walls.ends, wire.FROM_BOX, self._watch_memory, self._time_lost_to_others)
        self._granted, self._cells_have_run = 0.0, False
        self._wait_until_it_stands()

    def _watch_memory(self) -> None:
        """No limit of the kernel's bounds the sum over a box's processes."""
        if self._walls.holds_more_than(self._limits.memory_bytes):
            raise TooMuchMemory

    def _time_lost_to_others(self) -> float:
        """What a box could not run because others had the processors is not held against it, within bounds."""
        lost = self._walls.seconds_kept_waiting(copies_only=self._cells_have_run)
        lost = min(lost, MOST_TIMES_LONGER * self._limits.function_seconds)
        more, self._granted = lost - self._granted, max(lost, self._granted)
        return more

    def _wait_until_it_stands(self) -> None:
        """Nothing of the learner's is sent before the runner has been seen to be walled off."""
        deadline = time.monotonic() + bubblewrap.STARTS_WITHIN
        try:
            self._channel.receive(deadline)
            self._walls.prove(deadline)
        except (wire.Broken, wire.TimeUp):
            reason = self._walls.did_not_start()
            self._close()
            raise reason from None
        except NoSandbox:
            self._close()
            raise

    def _run_cells(self) -> list[tuple[wire.Output, ...]]:
        limits, deadline, self._channel.put_off = self._limits, time.monotonic() + self._limits.cells_seconds, 0.0
        start = wire.Start(
            cells=self._cells,
            cell_seconds=limits.cell_seconds,
            memory_bytes=limits.memory_bytes,
            cpu_seconds=int(limits.cells_seconds + 10 * limits.function_seconds),
            file_bytes=limits.file_bytes,
            processes=limits.processes,
            output_bytes=limits.output_bytes,
            pictures=limits.pictures,
        )
        ran: list[tuple[wire.Output, ...]] = []
        left = CELLS_OF_OUTPUT * limits.output_bytes
        try:
            self._channel.send(start, deadline)
            while isinstance(frame := self._channel.receive(deadline), wire.CellRan) and len(ran) < len(self._cells):
                ran.append(_cut(frame.outputs, min(limits.output_bytes, left)))
                left -= sum(len(output.text) + len(output.png) for output in ran[-1])
        except wire.TimeUp:
            raise self._broken(SLOW_CELL.format(limits.cells_seconds), len(ran), "slow") from None
        except TooMuchMemory:
            raise self._broken(BIG_CELL.format(limits.memory_bytes >> 20), len(ran), "ended") from None
        except wire.Broken:
            raise self._broken(ENDED_IN_CELL, len(ran), "ended") from None
        if not isinstance(frame, wire.Ready) or len(ran) != len(self._cells):
            raise self._broken(GARBAGE, len(ran), "ended")
        self._cells_have_run = True
        return ran

    def _broken(self, sentence: str, cell: int, kind: str) -> BoxFailed | BoxTaken:
        taken = self._walls.ended_from_outside()
        self._close()
        return BoxTaken(TAKEN) if taken else BoxFailed(sentence, cell, kind)

    def _close(self) -> None:
        if self._walls is not None:
            self._walls.tear_down()
            self._walls = self._channel = None


class BoxedFunction:
    """A `gdlab.judge.answer.Answer` whose function lives in a box; all its calls share its seconds.

    Only the time spent waiting for it counts. What the judge does in between does not: it may import torch for
    the right answer, or open a box for the second of two functions.
    """

    def __init__(self, channel: wire.Channel, seconds: float):
        self._channel, self._seconds = channel, seconds
        self._left = seconds
        self.lost = False

    @contextmanager
    def _clock(self) -> Iterator[float]:
        """A deadline, by the seconds that are left; what is used up meanwhile is taken off them."""
        began, self._channel.put_off = time.monotonic(), 0.0
        try:
            yield began + self._left
        finally:
            self._left -= time.monotonic() - began - self._channel.put_off

    def ask_for(self, ask: wire.Ask) -> None:
        """Have the box make a copy of itself that answers for one function."""
        try:
            with self._clock() as deadline:
                self._channel.send(ask, deadline)
        except (wire.Broken, wire.TimeUp):  # the notebook's process has gone since its cells ran
            self.lost = True

    def __call__(self, inputs: Mapping[str, Any], protocol: str = "once") -> Reply:
        if self.lost:
            raise Failed("ended", ENDED)
        oracles = [value for value in inputs.values() if isinstance(value, Oracle)]
        try:
            with self._clock() as deadline:
                self._channel.send(wire.Call(as_sent(inputs), protocol), deadline)
                frame = self._frame_after_queries(oracles, deadline)
        except wire.TimeUp:
            raise self._lose("slow", SLOW.format(self._seconds)) from None
        except TooMuchMemory:
            raise self._lose("ended", BIG) from None
        except wire.Broken:
            raise self._lose("ended", ENDED) from None
        if isinstance(frame, wire.Failure):
            kind = frame.kind if frame.kind in KINDS else "raised"
            raise Failed(kind, frame.sentence[:MOST_SENTENCE], frame.line[:MOST_SENTENCE], frame.error[:MOST_SENTENCE])
        if isinstance(frame, wire.Value):
            changed = tuple(name for name in frame.changed if name in inputs)
            return Reply(_plain_or_failed(frame.value), changed, frame.global_randomness)
        raise self._lose("ended", ENDED if isinstance(frame, wire.Ready) else GARBAGE)

    def let_go(self) -> None:
        """Tell the function's copy to go, and wait until it has."""
        if self.lost:
            return
        try:
            with self._clock() as deadline:
                self._channel.send(wire.Done(), deadline)
                self.lost = not isinstance(self._channel.receive(deadline), wire.Ready)
        except (wire.Broken, wire.TimeUp):
            self.lost = True

    def _frame_after_queries(self, oracles: list[Oracle], deadline: float) -> wire.Frame:
        while isinstance(frame := self._channel.receive(deadline), wire.Query):
            self._channel.send(_oracle_value(oracles, frame), deadline)
        return frame

    def _lose(self, kind: str, sentence: str) -> Failed:
        self.lost = True
        return Failed(kind, sentence)


def _cut(outputs: tuple[wire.Output, ...], most: int) -> tuple[wire.Output, ...]:
    """A cell's outputs within the limits, whatever the box made of them: the runner's own cut can be tampered with."""
    kept, left, of_errors = [], most, ERROR_CHARACTERS
    for output in outputs[: wire.MOST_OUTPUTS]:
        room = max(left, of_errors if output.kind == "error" else 0)  # why a cell failed is always said, once
        if room <= 0 or len(output.png) > room:
            continue
        text = output.text if len(output.text) <= room + len(wire.CUT) else output.text[:room] + wire.CUT
        kept.append(wire.Output(output.kind, text, output.png))
        left -= len(text) + len(output.png)
        of_errors = 0 if output.kind == "error" else of_errors
    return tuple(kept)


def as_sent(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs as they travel: of a function its number and its arguments' names, of a generator its seed."""
    sent: dict[str, Any] = {}
    oracles = 0
    for name, value in inputs.items():
        if isinstance(value, Oracle):
            sent[name] = wire.oracle_input(oracles, value.parameters)
            oracles += 1
        else:
            sent[name] = wire.seed_input(value) if isinstance(value, Seed) else value
    return sent


def _oracle_value(oracles: list[Oracle], query: wire.Query) -> wire.OracleValue:
    """The oracle's value at the point asked for; a point it cannot take is the learner's error, told to them."""
    if not 0 <= query.oracle < len(oracles):
        return wire.OracleValue(refusal="There is no such function.")
    try:
        return wire.OracleValue(oracles[query.oracle](*query.arguments))
    except Exception as error:
        return wire.OracleValue(refusal=f"This function cannot be asked at that point ({error}).")


def _plain_or_failed(value: Any) -> Any:
    """Once more on this side: what came over the wire is held to the same rules."""
    try:
        return plain(value)
    except NotPlain as refused:
        raise Failed("unreadable", str(refused)) from None
