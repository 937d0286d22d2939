"""Deliberately weakened boxes and graders: each lacks one wall, and there the attack on that wall succeeds.

`succeeds(case, world)` tries a case in the box that it names. A naive grader runs the learner's code and its own
assertions in one process, as stock tools do; the others are our own box with a part taken out.
"""

import contextlib
import json
import os
import pickle
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import msgspec
import nbformat
import numpy as np
from corpus import BOAST, LIMITS, Case
from grading import cells_of, hand_in
from nbgrader.utils import determine_grade
from world import World

from gdlab.grading import bubblewrap, cold, plain_process
from gdlab.grading.cold import ColdBox
from gdlab.grading.inside import wire
from gdlab.grading.plain_process import start_without_walls
from gdlab.grading.seccomp import ALLOW, RETURN, _op
from gdlab.judge import plain
from gdlab.judge.answer import Failed

HANGS_FOR = 1.0
PUBLIC = {"theta": 2.0, "grad": 3.0, "lr": 0.5}

# How instructors write assertions. Each takes the right function for right, and one that returns nothing for wrong.
STOCK_CHECKS = {
    "equals": "assert gradient_step(2.0, 3.0, 0.5) == 0.5",
    "difference": "assert abs(gradient_step(2.0, 3.0, 0.5) - expected) < 1e-6",
    "not far": "assert not abs(gradient_step(2.0, 3.0, 0.5) - expected) > 1e-6",
    "relative": "answer = gradient_step(2.0, 3.0, 0.5)\nassert not abs(answer - expected) / max(abs(answer), expected) > 1e-6",
    "all equal": "assert np.all(gradient_step(2.0, 3.0, 0.5) == expected)",
    "none far": "assert not np.any(np.abs(gradient_step(2.0, 3.0, 0.5) - expected) > 1e-6)",
    "broadcast": "assert np.all(gradient_step(np.full(2, 2.0), np.full(2, 3.0), 0.5) == np.full(2, 0.5))",
    "allclose": "assert np.allclose(gradient_step(2.0, 3.0, 0.5), expected)",
    "testing": "np.testing.assert_allclose(gradient_step(2.0, 3.0, 0.5), expected)",
    "printed": "assert str(gradient_step(2.0, 3.0, 0.5)) == '0.5'",
    "as float": "assert abs(float(gradient_step(2.0, 3.0, 0.5)) - expected) < 1e-6",
    "cast": "assert np.allclose(np.asarray(gradient_step(2.0, 3.0, 0.5)).astype(float), expected)",
    "sign": "assert np.signbit(gradient_step(1.0, 3.0, 0.5))",
    "type": "assert isinstance(gradient_step(np.ones(2), np.ones(2), 0.5), np.ndarray)",
}
HARNESS = "import numpy as np\nexpected = 0.5\ndef score(function):\n    return 3.0 if function(2.0, 3.0, 0.5) == 0.5 else 0.0\n"

# The way of stock tools: IPython runs cell after cell, and what is shown tells whether the last one, the check, passed.
NOTEBOOK = """
import json, sys
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
class Shown(DisplayHook):
    values = []
    def write_output_prompt(self): pass
    def write_format_data(self, data, metadata=None): self.values.append(data['text/plain'])
    def finish_displayhook(self): pass
class Shell(InteractiveShell):
    displayhook_class = Shown
    complained = False
    def enable_gui(self, gui=None): pass
    def _showtraceback(self, *args): Shell.complained = True
config = Config()
config.HistoryManager.enabled = False
shell = Shell.instance(config=config)
cells, believes = json.loads(sys.argv[1]), sys.argv[2]
for cell in cells:
    Shell.complained, Shown.values = False, []
    result = shell.run_cell(cell, store_history=True)
if believes == 'result':
    passed = result.success
elif believes == 'displayed points':
    passed = bool(Shown.values) and float(Shown.values[0]) > 0
else:
    passed = not Shell.complained
sys.exit(0 if passed else 1)
"""

WATCH_A_NEIGHBOUR = """
import subprocess, sys
neighbour = subprocess.Popen(['/bin/sleep', '60'])
subprocess.run([sys.executable, '-c', sys.argv[1]])
sys.exit(0 if neighbour.poll() is not None else 1)
"""

QUADRATIC = """
names = [f'torch.optim.a{number}' for number in range(20_000)]
print(len([name for name in names if not any(other.startswith(name + '.') for other in names)]))
"""


def succeeds(case: Case, world: World) -> bool:
    """Whether a case gets what it wants from the weakened box that it names."""
    return WEAK[case.weak](case, world)


# ---------------------------------------------------------------- graders in the learner's own process


def stock_grader(case: Case, world: World, fools: str) -> str:
    """What a grader says that asks its question in the learner's own process: passed, failed, hung, crashed."""
    cells = [HARNESS, *(cell.replace("from gdlab.learn import check", "") for cell in cells_of(case, world)[:-3])]
    question = STOCK_CHECKS.get(fools.removeprefix("script "), STOCK_CHECKS["equals"])
    if fools == "displayed points":
        question = "score(gradient_step)"
    if fools in ("hung", "crashed") or fools.startswith("script "):
        walk = "" if fools != "hung" else cells_of(case, world)[-2] + "\ndescend(lambda theta: theta, 1.0, 0.1, 3)"
        program = "\n".join([*cells, walk, question]).replace("get_ipython()", "None")
        return _outcome([sys.executable, "-c", program], hangs_for=HANGS_FOR if fools == "hung" else None)
    return _outcome([sys.executable, "-c", NOTEBOOK, json.dumps([*cells, question]), fools])


def _outcome(command: list, hangs_for: float | None = None) -> str:
    process = subprocess.Popen(command, cwd="/tmp", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        code = process.wait(60 if hangs_for is None else hangs_for + 1)
    except subprocess.TimeoutExpired:
        return "hung"
    finally:
        process.kill()
        process.wait()
    return "passed" if code == 0 else "failed" if code == 1 else "crashed"


def naive(case: Case, world: World) -> bool:
    wanted = case.fools if case.fools in ("hung", "crashed") else "passed"
    return stock_grader(case, world, case.fools) == wanted


def results_from_outside(case: Case, world: World) -> bool:
    """A grader that believes a file, or a pipe, which its own harness was to write in the learner's process."""
    read, write = os.pipe()
    harness = {
        "results file": "import json\njson.dump({'points': points}, open('results.json', 'w'))",
        "results pipe": f"import os\nos.write({write}, b'{{\"points\": %g}}' % points)",
    }
    program = "\n".join(
        [HARNESS, *cells_of(replace(case, cell=""), world)[1:2], "points = score(gradient_step)", harness[case.fools]]
    )
    subprocess.run([sys.executable, "-c", program], cwd=world.folder, pass_fds=[write], check=False, timeout=60)
    os.close(write)
    with open(read) as pipe:
        said = (world.folder / "results.json").read_text() if case.fools == "results file" else pipe.readline()
    return json.loads(said)["points"] == 3


def public_case(case: Case, world: World) -> bool:
    """A grader with walls and a wire, and a single public question."""
    with ColdBox(LIMITS[case.limits]) as box:
        box.run_cells(cells_of(case, world))
        with box.function("gradient_step") as answer:
            return answer(PUBLIC).value == 0.5


def one_process_table(case: Case, world: World) -> bool:
    """A naive grader and its neighbour under a process table of their own, so that nothing else can be ended."""
    program = "\n".join([HARNESS, case.cell, cells_of(case, world)[-4], STOCK_CHECKS["equals"]])
    walls = ["--unshare-user", "--unshare-pid", "--as-pid-1", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    command = [
        bubblewrap.find_bubblewrap(),
        *walls,
        "--die-with-parent",
        sys.executable,
        "-c",
        WATCH_A_NEIGHBOUR,
        program,
    ]
    return subprocess.run(command, timeout=60, capture_output=True, check=False).returncode == 0


# ---------------------------------------------------------------- our own box, a part taken out


def no_walls(case: Case, world: World) -> bool:
    """The runner as a plain process of this user's."""
    times = 2 if case.fools == "second time" else 1
    for _ in range(times):
        with _open_box(case, start_without_walls) as box:
            printed = _printed(box.run_cells(cells_of(case, world)))
    if case.fools == "heard":
        return world.wait_until_heard()
    return bool(world.daemons()) if case.fools == "outlives" else BOAST in printed


def no_limits(case: Case, world: World) -> bool:
    """The same box, with room for everything that the corpus takes."""
    room = replace(LIMITS[case.limits], memory_bytes=4 << 30, processes=200, file_bytes=1 << 30, disk_bytes=256 << 20)
    with ColdBox(room) as box:
        printed = _printed(box.run_cells(cells_of(case, world)))
        if case.fools == "right":
            with box.function("gradient_step") as answer:
                return answer(PUBLIC).value == 0.5
    return BOAST in printed


def no_filter(case: Case, world: World) -> bool:
    """The same box without a filter of system calls, where namespaces may be made anew."""
    honest = bubblewrap._walls

    def walls(*args):
        return [word for word in honest(*args) if word != "--disable-userns"]

    with (
        mock.patch.object(bubblewrap, "deny_list", lambda: _op(RETURN, ALLOW)),
        mock.patch.object(bubblewrap, "_walls", walls),
        ColdBox(LIMITS[case.limits]) as box,
    ):
        got_through = BOAST in _printed(box.run_cells(cells_of(case, world)))
    return got_through or not offered_here(case, world)


# What a kernel may keep from ordinary users on its own: then no box, however weak, lets anybody through.
KEPT_BACK = {
    "bpf": ("unprivileged_bpf_disabled", 0),
    "perf": ("perf_event_paranoid", 2),
    "io-uring": ("io_uring_disabled", 0),
}


def offered_here(case: Case, world: World) -> bool:
    """Whether this machine's kernel has what a case asks for, and gives it to ordinary users."""
    setting, most = KEPT_BACK.get(case.id, ("", 0))
    place = Path("/proc/sys/kernel", setting)
    kept_back = place.is_file() and int(place.read_text()) > most
    return not kept_back and no_walls(case, world)


def writable_root(case: Case, world: World) -> bool:
    """The same box, whose root folder was not made read-only at the end."""
    honest = bubblewrap._walls

    def walls(*args):
        words = honest(*args)
        at = len(words) - words[::-1].index("--remount-ro") - 1
        return words[:at] + words[at + 2 :]

    with mock.patch.object(bubblewrap, "_walls", walls), ColdBox(LIMITS[case.limits]) as box:
        return BOAST in _printed(box.run_cells(cells_of(case, world)))


def open_descriptors(case: Case, world: World) -> bool:
    """A runner that was started with a file of the grader's still open."""
    honest = subprocess.Popen

    def careless(command, pass_fds, **kwargs):
        return honest(command, pass_fds=(*pass_fds, world.secret_fd), **kwargs)

    with mock.patch.object(plain_process.subprocess, "Popen", careless), _open_box(case, start_without_walls) as box:
        return BOAST in _printed(box.run_cells(cells_of(case, world)))


def no_cap(case: Case, world: World) -> bool:
    """No walls, and none of the caps on what travels to the judge, on either side."""
    with contextlib.ExitStack() as stack:
        _lift_caps(stack, world.folder)
        box = stack.enter_context(_open_box(case, start_without_walls, output_bytes=1 << 30, function_seconds=3))
        shown = [output for outputs in box.run_cells(cells_of(case, world)) for output in outputs]
        if case.fools == "printed":
            return max(len(output.text) for output in shown) > 10 * LIMITS[case.limits].output_bytes
        if case.fools == "displays":
            return len(shown) > 200
        answer = stack.enter_context(box.function("gradient_step"))
        try:
            value = answer(PUBLIC).value
        except Failed as failed:
            return failed.kind == "slow" if case.fools == "waits" else len(failed.sentence) > 100_000
        return np.size(value) > 1_000_000 if case.fools == "numbers" else len(value) > 1_000_000


def _lift_caps(stack: contextlib.ExitStack, folder: Path) -> None:
    """Both sides of the wire, the judge's modules and the runner's copies, take a million times as much."""
    lifted = {
        "/box/wire.py": (wire, ("MOST_BYTES = 32", "MOST_OUTPUTS = 200")),
        "/box/gdlab/judge/plain.py": (plain, ("MOST_ENTRIES = 1_000_000", "MOST_CHARACTERS = 10_000")),
        "/box/gdlab/judge/answer.py": (None, ("said[:300",)),
    }
    for inside, (module, caps) in lifted.items():
        source = bubblewrap.STAND_IN[inside].read_text()
        for cap in caps:
            assert cap in source
            source = source.replace(cap, cap + "00_000" if module is not wire or "OUT" in cap else cap + "00")
            if module:
                name = cap.partition(" ")[0]
                stack.enter_context(mock.patch.object(module, name, 1 << 31))
        copy = folder / Path(inside).name
        copy.write_text(source)
        stack.enter_context(mock.patch.dict(bubblewrap.STAND_IN, {inside: copy}))
    stack.enter_context(mock.patch.object(cold, "MOST_SENTENCE", 1 << 31))


def no_deadline(case: Case, world: World) -> bool:
    """A judge that waits for an answer as long as it takes."""
    with _open_box(case, start_without_walls, function_seconds=3600) as box:
        box.run_cells(cells_of(case, world))

        def ask():
            with contextlib.suppress(Failed), box.function("gradient_step") as answer:
                answer(PUBLIC)

        judge = threading.Thread(target=ask, daemon=True)
        judge.start()
        judge.join(HANGS_FOR)
        hung = judge.is_alive()
        box._walls.process.kill()
        judge.join()
    return hung


def unpickling(case: Case, world: World) -> bool:
    """A judge that opens what it does not understand as a pickle."""

    class Unpickler:
        def __init__(self, decoder):
            self._decoder = decoder

        def decode(self, body):
            try:
                return self._decoder.decode(body)
            except msgspec.MsgspecError:
                return pickle.loads(body)

    with _open_box(case, start_without_walls) as box:
        box.run_cells(cells_of(case, world))
        box._channel._decoder = Unpickler(box._channel._decoder)
        with contextlib.suppress(Failed), box.function("gradient_step") as answer:
            try:
                answer(PUBLIC)
            except pickle.UnpicklingError:
                answer.lost = True
                return case.fools == "breaks"
    return case.fools == "runs" and (world.folder / "unpickled").is_dir()


def careless_wire(case: Case, world: World) -> bool:
    """A wire that sends the bytes as they lie in memory: a right answer arrives wrong."""
    names: dict = {"np": np}
    exec(cells_of(case, world)[-4], names)
    theta, grad = np.array([1.0, 2.0]), np.array([3.0, -4.0])
    answer = names["gradient_step"](theta, grad, 0.5)
    sent = (answer if answer.base is None else answer.base).tobytes()
    return not np.array_equal(np.frombuffer(sent, "<f8"), theta - 0.5 * grad)


# ---------------------------------------------------------------- readers that trust a file


def trusting(case: Case, world: World) -> bool:
    """What reads a notebook as if nobody meant harm: Python's parser, nbformat, nbgrader."""
    if case.fools in ("parses", "walks"):
        source = {"parses": case.cell, "walks": f"def f(theta, lr):\n{cells_of(case, world)[-4].partition(chr(10))[2]}"}
        return _breaks(READERS[case.fools], source[case.fools])
    hand_in(case, world.folder / "class", world)
    [path] = (world.folder / "class").rglob("*.ipynb")
    copy = world.folder / "copy.ipynb"
    nbformat.write(nbformat.read(path, as_version=4), copy)
    return copy.stat().st_size > 1 << 20


READERS = {
    "parses": "import ast, sys\nast.parse(sys.stdin.read())",
    "walks": "import ast, sys\nast.NodeVisitor().visit(ast.parse(sys.stdin.read()))",
}


def _breaks(program: str, source: str) -> bool:
    """Whether a reader with 500 MB of memory dies of a source."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (500 << 20, 500 << 20))

    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, input=source.encode(), preexec_fn=limit, capture_output=True, timeout=60, check=False
    )
    return done.returncode != 0 and b"SyntaxError" not in done.stderr


def quadratic_notes(case: Case, world: World) -> bool:
    """A reader of sources that compares each name with every other."""
    return _outcome([sys.executable, "-c", QUADRATIC], hangs_for=HANGS_FOR) == "hung"


def stock_score(case: Case, world: World) -> bool:
    """nbgrader's own way from a cell's output to points."""
    hand_in(case, world.folder / "class", world)
    [path] = (world.folder / "class").rglob("*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    check = next(cell for cell in cells if cell.get("id") == "check-gradient-step")
    points, _ = determine_grade(check, log=mock.Mock())
    return points != 0


WEAK: dict[str, Callable[[Case, World], bool]] = {
    "naive": naive,
    "results from outside": results_from_outside,
    "public case": public_case,
    "one process table": one_process_table,
    "no walls": no_walls,
    "no limits": no_limits,
    "no filter": no_filter,
    "writable root": writable_root,
    "open descriptors": open_descriptors,
    "no cap": no_cap,
    "no deadline": no_deadline,
    "unpickling": unpickling,
    "careless wire": careless_wire,
    "trusting": trusting,
    "quadratic notes": quadratic_notes,
    "stock score": stock_score,
}


def _open_box(case: Case, walls, **more) -> ColdBox:
    return ColdBox(replace(LIMITS[case.limits], **more), walls)


def _printed(outputs) -> str:
    return "".join(output.text for cell in outputs for output in cell)
