"""Runs in the box, beside the learner's code: runs the cells, then answers calls to their functions.

    Hello ──>            <── Start(cells)         limits are set before the first cell
    CellRan … Ready ──>  <── Ask(function)        one copy of the process for each function asked for:
    Value|Failure ──>    <── Call(inputs)         what one leaves behind, the next does not see
    Query ──>            <── OracleValue
    Ready ──>            <── Done

Nothing here decides about points. Everything here can be tampered with by the code it runs.
"""

import base64
import io
import itertools
import os
import random
import re
import resource
import select
import signal
import sys
import traceback
from contextlib import suppress

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import msgspec
import numpy
import numpy.random
import wire
from fork import end_with, fork
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats
from traitlets.config import Config

from gdlab.judge.answer import Failed, Local, in_order
from gdlab.judge.plain import NotPlain, plain
from gdlab.learn import CHECKED

HERE = sys.path[0]
ROOM_FOR_TORCH = 2 << 30  # it takes 0.6 GB, and a process that has not so much left ends; perhaps no function needs it
# Files that are mapped take addresses and no memory of a process's own: PyTorch's libraries for GPUs 3 GB.
LIBRARIES_BYTES = 16 << 30
IMPORTS_TORCH = re.compile(r"^\s*(?:import|from)\s+torch\b", re.MULTILINE)
REHEARSAL = wire.Call({"theta": numpy.zeros(2)})


class CappedText(io.TextIOBase):
    """Collects what is printed, up to a number of characters."""

    def __init__(self, most: int):
        self._parts: list[str] = []
        self._left = most

    def write(self, text: str) -> int:
        text = str(text)
        if self._left > 0:
            self._parts.append(text[: self._left])
            self._left -= len(text)
            if self._left <= 0:
                self._parts.append(wire.CUT)
        return len(text)

    def value(self) -> str:
        return sendable("".join(self._parts))


def sendable(text: str) -> str:
    """Text as UTF-8 can carry it: half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


class CollectedResult(DisplayHook):
    """The value of a cell's last line, kept instead of printed."""

    collected: list = []

    def write_output_prompt(self):
        pass

    def write_format_data(self, format_dict, md_dict=None):
        self.collected.append({"data": format_dict})

    def finish_displayhook(self):
        pass


class Shell(InteractiveShell):
    """IPython without a terminal, a history or a kernel."""

    display_pub_class = CapturingDisplayPublisher
    displayhook_class = CollectedResult

    def enable_gui(self, gui=None):
        pass

    def showtraceback(self, *args, **kwargs):
        pass  # `error_text` says it, in a hundredth of the time

    def showsyntaxerror(self, *args, **kwargs):
        pass

    def _format_exception_for_storage(self, *args, **kwargs):
        return {}  # for a history that nobody reads


def main(read_fd: int, write_fd: int) -> None:
    """Serve one submission, then end."""
    for fd in (read_fd, write_fd):
        os.set_inheritable(fd, False)
    close_streams()
    channel = wire.Channel(read_fd, write_fd, expects=wire.TO_BOX)
    channel.send(wire.Hello())
    shell = make_shell()
    rehearse_cell(shell)
    start = channel.receive()
    set_limits(start)
    random.seed(0)  # the same at every run, so that a verdict can be replayed
    numpy.random.seed(0)
    if start.pictures:
        set_picture_formats(shell, {"png"})
    import_what_functions_will(start)
    for source in start.cells:
        channel.send(wire.CellRan(tuple(run_cell(shell, source, start) if source else ())))
    channel.send(wire.Ready())
    answer_asks(shell, channel)


def answer_asks(shell: Shell, channel: wire.Channel) -> None:
    """A copy for each function asked for: the next one is made, and those before are buried, while this one answers."""
    copy, ending = Copy(shell, channel), []
    for asked in itertools.count(1):
        copy = copy or Copy(shell, channel)
        ask = channel.receive()
        copy.let_answer(ask, channel.hand_over())
        now, copy = copy, Copy(shell, channel) if asked < len(CHECKED) else None  # more than the checks are rare
        ending = [one for one in ending if not one.is_buried()]
        now.wait_until_done()
        ending.append(now)
        channel.send(wire.Ready())


def import_what_functions_will(start: wire.Start) -> None:
    """Import torch now if it is imported anywhere: in a function it would take the function's own time, in every copy anew."""
    room = start.memory_bytes >= ROOM_FOR_TORCH or start.memory_bytes == resource.RLIM_INFINITY
    if room and any(map(IMPORTS_TORCH.search, start.cells)):
        with suppress(ImportError):
            import torch  # noqa: F401


def close_streams() -> None:
    """From here on, what is printed past Python's own streams goes nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


def set_limits(start: wire.Start) -> None:
    """Hard limits: nothing in the box has the privilege to raise them again. Where lower ones stand, they stay."""
    endless = start.memory_bytes == resource.RLIM_INFINITY
    for what, most in (
        (resource.RLIMIT_DATA, start.memory_bytes),
        (resource.RLIMIT_AS, start.memory_bytes if endless else start.memory_bytes + LIBRARIES_BYTES),
        (resource.RLIMIT_CPU, start.cpu_seconds),
        (resource.RLIMIT_FSIZE, start.file_bytes),
        (resource.RLIMIT_NPROC, start.processes),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        stands = resource.getrlimit(what)[1]
        lower = stands != resource.RLIM_INFINITY and (most == resource.RLIM_INFINITY or stands < most)
        resource.setrlimit(what, (stands, stands) if lower else (most, most))


def make_shell() -> Shell:
    """The shell that cells run in: a new one, or the one that a fork server has made."""
    if Shell.initialized():
        return Shell.instance()
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    shell = Shell.instance(config=config)
    set_picture_formats(shell, set())
    return shell


def set_picture_formats(shell: Shell, formats: set[str]) -> None:
    """In none, a figure shows as its size in words: drawing takes longer than all else that a notebook does."""
    shell.config.InlineBackend.figure_formats = formats
    if "matplotlib.figure" in sys.modules:
        select_figure_formats(shell, formats)


def rehearse_cell(shell: Shell) -> None:
    """Touch what the first cell will: in a forked process the first touch costs most, and nobody waits for this one."""
    publisher, shell.displayhook.collected = shell.display_pub, []
    shell.run_cell("None", store_history=False)
    shell.run_cell("0", store_history=False)
    publisher.outputs = []


def interrupt(signum, frame):
    raise TimeoutError("this cell took too long and was stopped; does a loop in it ever end?")


def run_cell(shell: Shell, source: str, start: wire.Start) -> list[wire.Output]:
    """Run one cell as a notebook would, and collect what it shows.

    A cell that takes too long is interrupted, so that the cells after it still run. That is a
    courtesy: code that resists it meets the judge's own deadline.
    """
    most = start.output_bytes
    printed = {"stdout": CappedText(most), "stderr": CappedText(most)}
    shell.displayhook.collected = shown = []
    shell.display_pub.outputs = displays = []
    keep = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = printed["stdout"], printed["stderr"]
    try:
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, start.cell_seconds)
        result = shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
    except BaseException as escaped:  # a hook of the learner's may raise anything at all
        error = escaped
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout, sys.stderr = keep
    outputs = [wire.Output(name, stream.value()) for name, stream in printed.items() if stream.value()]
    outputs += [shown_output("display", bundle, most) for bundle in displays[: wire.MOST_OUTPUTS]]
    outputs += [shown_output("result", bundle, most) for bundle in shown[: wire.MOST_OUTPUTS]]
    if error is not None:
        outputs.append(wire.Output("error", sendable(error_text(error))[:most]))
    return outputs


def shown_output(kind: str, bundle: dict, most: int) -> wire.Output:
    """A display as plain text and, for a plot, PNG: HTML and scripts of a learner's stay in the box."""
    data = bundle.get("data", {})
    text, png = sendable(str(data.get("text/plain", "")))[:most], data.get("image/png", "")
    if isinstance(png, str) and 0 < len(png) <= most:
        return wire.Output(kind, text, base64.b64decode(png))
    return wire.Output(kind, text)


def error_text(error: BaseException) -> str:
    """The traceback, from the learner's own lines on."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename and not f.filename.startswith(HERE + "/")]
    head = "".join(traceback.format_list(own))
    return head + "".join(traceback.format_exception_only(type(error), error)).rstrip()


class Copy:
    """A copy of this process that waits until it is asked for a function: making one takes longer than most answers."""

    def __init__(self, shell: Shell, channel: wire.Channel):
        its_question, self._question = os.pipe()
        self._done, its_done = os.pipe()
        here = os.getpid()
        self._pid = fork()
        if self._pid == 0:
            try:
                end_with(here)
                for fd in (self._question, self._done):
                    os.close(fd)
                self._wait_and_answer(its_question, shell, channel)
                os.write(its_done, b".")
            finally:
                os._exit(0)
        for fd in (its_question, its_done):
            os.close(fd)

    def _wait_and_answer(self, its_question: int, shell: Shell, channel: wire.Channel) -> None:
        if not select.select([its_question], [], [], 0)[0]:
            rehearse_answer()
        with open(its_question, "rb") as question:
            function, exercise, position, arrived = msgspec.msgpack.decode(
                question.read(), type=tuple[str, str, int, bytes]
            )
        channel.take_over(arrived)
        ask = wire.Ask(function, exercise, position)
        answer_calls(asked_for(ask, shell), function, channel)

    def let_answer(self, ask: wire.Ask, arrived: bytes) -> None:
        """Hand it the question, and what came along with that."""
        with suppress(BrokenPipeError), open(self._question, "wb") as question:  # it may have been ended
            question.write(msgspec.msgpack.encode((ask.function, ask.exercise, ask.position, arrived)))

    def wait_until_done(self) -> None:
        """Wait until it has answered all, or ended by itself."""
        if not hasattr(os, "pidfd_open"):  # only Linux tells of an end through a file
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            return
        with suppress(ProcessLookupError):  # buried already, where a learner's code has asked for that
            ended = os.pidfd_open(self._pid)
            poll = select.poll()
            for fd in (self._done, ended):
                poll.register(fd, select.POLLIN)
            poll.poll()
            os.close(ended)

    def is_buried(self) -> bool:
        """Bury it if it has ended. Giving back its memory takes longer than most answers: nobody waits for that."""
        with suppress(ChildProcessError):  # buried already
            if not os.waitpid(self._pid, os.WNOHANG)[0]:
                return False
        os.close(self._done)
        return True


def asked_for(ask: wire.Ask, shell: Shell):
    """The function that the exercise's check was given; where the check never ran, the one of that name."""
    checked = CHECKED.get(ask.exercise, ())
    return checked[ask.position] if ask.position < len(checked) else shell.user_ns.get(ask.function)


def rehearse_answer() -> None:
    """Touch what the first answer will, as `rehearse_cell` does; nothing random is drawn."""
    read_fd, write_fd = os.pipe()
    channel = wire.Channel(read_fd, write_fd, expects=wire.TO_BOX)
    channel.send(REHEARSAL)
    call = channel.receive()
    channel.send(reply_to(lambda theta: theta, "rehearsal", call.inputs, call.protocol))
    for fd in (read_fd, write_fd):
        os.close(fd)


def answer_calls(function, name: str, channel: wire.Channel) -> None:
    sys.stdout = sys.stderr = CappedText(0)
    while isinstance(call := channel.receive(), wire.Call):
        inputs = {
            key: oracle(value, channel) if isinstance(value, wire.OracleNumber) else value
            for key, value in call.inputs.items()
        }
        channel.send(reply_to(function, name, inputs, call.protocol))


def reply_to(function, name: str, inputs: dict, protocol: str) -> wire.Frame:
    if function is None:
        return wire.Failure("missing", f"There is no function called {name} in your notebook.")
    try:
        reply = Local(function)(inputs, protocol)
    except Failed as failed:
        return wire.Failure(failed.kind, sendable(failed.sentence), sendable(failed.line), sendable(failed.error))
    except BaseException as error:
        return wire.Failure("ended", f"Your function tried to end the program ({type(error).__name__}).")
    return wire.Value(reply.value, reply.changed, reply.global_randomness)


def oracle(known: wire.OracleNumber, channel: wire.Channel):
    """A function whose values the judge computes."""

    def asked(*arguments, **named):
        ordered = in_order(known.parameters, arguments, named)
        try:
            channel.send(wire.Query(known.number, [plain(argument) for argument in ordered]))
        except NotPlain as refused:
            raise ValueError(f"This function wants numbers: {refused}") from None
        answer = channel.receive()
        if answer.refusal:
            raise ValueError(answer.refusal)
        return answer.value

    return asked


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
