"""Deliberately weakened boxes and graders: each lacks one wall, and there the attack on that wall succeeds.

`succeeds(case, world)` tries a case in the box that it names. A naive grader runs the learner's code and its own
assertions in one process, as stock tools do; the others are our own box with a part taken out.
"""

import atexit
import contextlib
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest import mock

import msgspec
import nbformat
import numpy as np
from bs4 import BeautifulSoup
from corpus import BOAST, LIMITS, RIGHT, Case
from grading import cells_of, hand_in, notebook_of
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute
from nbgrader.utils import determine_grade
from world import ROOT, World

from gdlab.grading import bubblewrap, plain_process, walled_box
from gdlab.grading.course import course_directory, enter_assignment, nbgrader_log, tools_on_path
from gdlab.grading.inside import wire
from gdlab.grading.plain_process import start_without_walls
from gdlab.grading.seccomp import ALLOW, RETURN, _op
from gdlab.grading.walled_box import WalledBox
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


def _outcome(command: list, hangs_for: float | None = None, stdin: int = subprocess.DEVNULL) -> str:
    process = subprocess.Popen(command, cwd="/tmp", stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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
    with WalledBox(LIMITS[case.limits]) as box:
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
    with WalledBox(room) as box:
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
        WalledBox(LIMITS[case.limits]) as box,
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

    with mock.patch.object(bubblewrap, "_walls", walls), WalledBox(LIMITS[case.limits]) as box:
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
        box = stack.enter_context(
            _open_box(
                case,
                start_without_walls,
                output_bytes=1 << 30,
                function_seconds=3 if case.fools == "waits" else 60,
                memory_bytes=4 << 30,
            )
        )
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
        "/box/wire.py": (wire, ("MOST_BYTES = 32", "MOST_OUTPUTS = 200", "MOST_PARTS = 100_000")),
        "/box/gdlab/judge/plain.py": (
            plain,
            ("MOST_ENTRIES = 1_000_000", "MOST_PARTS = 50_000", "MOST_CHARACTERS = 10_000"),
        ),
        "/box/gdlab/judge/answer.py": (None, ("said[:300",)),
    }
    for inside, (module, caps) in lifted.items():
        source = bubblewrap.STAND_IN[inside].read_text()
        for cap in caps:
            assert cap in source
            source = source.replace(cap, cap + ("00" if "BYTES" in cap else "00_000"))
            if module:
                name = cap.partition(" ")[0]
                stack.enter_context(mock.patch.object(module, name, 1 << 31))
        copy = folder / Path(inside).name
        copy.write_text(source)
        stack.enter_context(mock.patch.dict(bubblewrap.STAND_IN, {inside: copy}))
    stack.enter_context(mock.patch.object(walled_box, "MOST_SENTENCE", 1 << 31))


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
        for pid in bubblewrap.descendants((box._walls.process.pid,)):  # the copy that answers, too: it holds the pipe
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
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
    copy = world.folder / "copy.ipynb"
    nbformat.write(nbformat.read(_handed_in(case, world), as_version=4), copy)
    return copy.stat().st_size > 1 << 20


READERS = {
    "parses": "import ast, sys\nast.parse(sys.stdin.read())",
    "walks": "import ast, sys\nast.NodeVisitor().visit(ast.parse(sys.stdin.read()))",
}


def _breaks(program: str, source: str) -> bool:
    """Whether a reader with 200 MB of memory dies of a source."""

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))

    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, input=source.encode(), preexec_fn=limit, capture_output=True, timeout=60, check=False
    )
    return done.returncode != 0 and b"SyntaxError" not in done.stderr


def quadratic_notes(case: Case, world: World) -> bool:
    """A reader of sources that compares each name with every other."""
    return _outcome([sys.executable, "-c", QUADRATIC], hangs_for=HANGS_FOR) == "hung"


def stock_score(case: Case, world: World) -> bool:
    """nbgrader's own way from a cell's output to points; where it finds too many, it gives up on the whole class."""
    cells = nbformat.read(_handed_in(case, world), as_version=4).cells
    check = next(cell for cell in cells if cell.get("id") == "check-gradient-step")
    try:
        points, _ = determine_grade(check, log=mock.Mock())
    except ValueError:
        return True
    return points != 0


def stock_nbgrader(case: Case, world: World) -> bool:
    """nbgrader's own autograder, up to where it would run the notebook: it gives up on the whole class."""
    shutil.copytree(_stock_course(), world.folder / "course")
    folder = world.folder / "course" / "submitted" / "student" / "update_rule"
    folder.mkdir(parents=True)
    case.hand_in(folder, notebook_of(case, world))
    course = course_directory(world.folder / "course", ROOT / "solutions", released=world.folder / "course" / "release")
    course.assignment_id = "update_rule"
    stock = Autograde(coursedir=course)
    stock.create_student = True
    stock.autograde_preprocessors = [step for step in stock.autograde_preprocessors if step is not Execute]
    with nbgrader_log(), tools_on_path():
        try:
            stock.start()
        except (Exception, SystemExit):
            return True
    return not list((world.folder / "course" / "autograded").rglob("*.ipynb"))


@cache
def _stock_course() -> Path:
    """A course as `nbgrader generate_assignment` leaves it."""
    folder = Path(tempfile.mkdtemp(prefix="gdlab-stock-course-"))
    atexit.register(shutil.rmtree, folder)
    enter_assignment(course_directory(folder, ROOT / "solutions", released=folder / "release"), "update_rule")
    return folder


def _handed_in(case: Case, world: World) -> Path:
    """Where a case's notebook lies once it is handed in."""
    hand_in(case, world.folder / "class", world)
    return next((world.folder / "class").rglob("*.ipynb"))


def _graded_cells(case: Case, world: World) -> list[dict]:
    cells = json.loads(_handed_in(case, world).read_text())["cells"]
    marks = (cell["metadata"].get("nbgrader", {}) for cell in cells if cell["cell_type"] == "code")
    return [mark for mark in marks if mark.get("grade")]


def points_of_the_file(case: Case, world: World) -> bool:
    """A grader that believes the points written in what was handed in."""
    return sum(mark["points"] for mark in _graded_cells(case, world)) != 20


def checks_of_the_file(case: Case, world: World) -> bool:
    """A grader that asks the file which cells are graded."""
    return len(_graded_cells(case, world)) != 5


def fields_of_today(case: Case, world: World) -> bool:
    """A reader that knows one format."""
    return "cells" not in json.loads(_handed_in(case, world).read_text())


def kernel_by_name(case: Case, world: World) -> bool:
    """A grader that starts the kernel which the file asks for."""
    name = json.loads(_handed_in(case, world).read_text())["metadata"]["kernelspec"]["name"]
    try:
        KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        return True
    return False


def blocking_reader(case: Case, world: World) -> bool:
    """A reader that opens whatever has the right name."""
    command = [sys.executable, "-c", "import sys; open(sys.argv[1]).read()", _handed_in(case, world)]
    return _outcome(command, hangs_for=HANGS_FOR) == "hung"


def reads_them_all(case: Case, world: World) -> bool:
    """A reader that wants every notebook of the folder to be sound."""
    try:
        for path in _handed_in(case, world).parent.glob("*.ipynb"):
            nbformat.read(path, as_version=4)
    except nbformat.reader.NotJSONError:
        return True
    return False


def follows_links(case: Case, world: World) -> bool:
    """A reader that does not look where a path leads: it grades somebody else's work."""
    hand_in(case, world.folder / "class", world)
    path = world.folder / "class" / case.folder / "update_rule" / "update_rule.ipynb"
    return "somebody else's" in str(path.resolve()) and RIGHT in path.read_text()


def top_to_bottom(case: Case, world: World) -> bool:
    """A grader that runs what was handed in from the top to the bottom, checks where they stand: a right answer fails."""
    cells = json.loads(_handed_in(case, world).read_text())["cells"]
    graded = [HARNESS + "def check(name, function):\n    assert score(function)\n"]
    graded += [cell["source"] for cell in cells if cell["id"] in ("gradient-step", "check-gradient-step")]
    return _outcome([sys.executable, "-c", "\n".join(graded)]) == "failed"


def silence_is_gold(case: Case, world: World) -> bool:
    """nbgrader's own way from a check that said nothing to points: all of them."""
    cells = nbformat.read(_handed_in(case, world), as_version=4).cells
    check = next(cell for cell in cells if cell.id == "check-gradient-step")
    return determine_grade(check, log=mock.Mock())[0] == 3


def one_script(case: Case, world: World) -> bool:
    """A grader that makes one program of all cells."""
    program = "\n".join([HARNESS, *cells_of(case, world)[1:-3], STOCK_CHECKS["equals"]])
    return _outcome([sys.executable, "-c", program]) == "failed"


def waits_for_an_answer(case: Case, world: World) -> bool:
    """A grader started at a terminal, or with a pipe for its input."""
    read, write = os.pipe()
    try:
        return _outcome([sys.executable, "-c", case.cell], hangs_for=HANGS_FOR, stdin=read) == "hung"
    finally:
        os.close(read)
        os.close(write)


def careless_paths(case: Case, world: World) -> bool:
    """Scripts that take a student's name for a plain word, one or the other of which it breaks."""
    name, folder = case.folder, world.folder / "pages"
    folder.mkdir()

    def shell():
        subprocess.run(f"cd {folder} && touch -- {name}", shell=True, capture_output=True, check=True)
        return os.listdir(folder) == [name]

    def page():
        (folder / f"{name}.html").write_text(f"<h1>{name}</h1>".format(student_id=name))
        return not BeautifulSoup(f"<h1>{name}</h1>", "html.parser").find("script") and ".." not in name

    def holds(step) -> bool:
        try:
            return step()
        except (OSError, subprocess.CalledProcessError, ValueError, LookupError):
            return False

    return not (holds(shell) and holds(page) and name.isascii())


def pages_as_they_come(case: Case, world: World) -> bool:
    """A page of feedback made by putting texts between tags."""
    cells = json.loads(_handed_in(case, world).read_text())["cells"]
    shown = [cell["source"] for cell in cells]
    shown += [output["data"]["text/html"] for cell in cells for output in cell.get("outputs", ())]
    return BeautifulSoup("".join(shown), "html.parser").find("script") is not None


# ---------------------------------------------------------------- graders that punish right answers

# Each asks in its own way whether gradient_step is right; a plain right answer satisfies all of them.
PUNISHING = {
    "warnings are errors": "import warnings\nwarnings.simplefilter('error')\n{cells}\n{equals}",
    "wants an array": "{cells}\nanswer = gradient_step(np.full(2, 2.0), np.full(2, 3.0), 0.5)\nassert isinstance(answer, np.ndarray)",
    "to the last bit": "{cells}\nassert gradient_step(0.3, 0.1, 0.7) == 0.3 - 0.7 * 0.1",
    "takes the function alone": "{alone}\n{equals}",
    "takes descend alone": "{descend}\nassert len(descend(lambda theta: theta, 1.0, 0.5, 2)) == 3",
    "a fifth of a second": "import signal\n{cells}\nsignal.setitimer(signal.ITIMER_REAL, 0.2)\n{equals}",
    "reads what is printed": (
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as said:\n    exec({source!r})\n"
        "    print(score(gradient_step))\nassert said.getvalue() == '3.0\\n'"
    ),
    "stderr is failure": (
        "import contextlib, io\n{cells}\nwith contextlib.redirect_stderr(io.StringIO()) as said:\n    {equals}\n"
        "assert not said.getvalue()"
    ),
    "forbids -=": "{cells}\nassert '-=' not in {source!r}\n{equals}",
    "allows numpy alone": "{cells}\nassert 'import' not in {source!r}\n{equals}",
    "counts cells": "{cells}\nassert {count} == 1\n{equals}",
    "by execution count": "{by_count}\n{equals}",
}


def punishing(case: Case, world: World) -> bool:
    """A careless grader takes points from a right answer."""
    cells = cells_of(case, world)[1:-3]
    saved = [
        cell
        for cell in json.loads(_handed_in(case, world).read_text())["cells"]
        if cell["id"] == "own" or cell["id"] in ("gradient-step", "check-gradient-step")
    ]
    saved.sort(key=lambda cell: cell["execution_count"] or 0)
    by_count = "def check(name, function):\n    assert score(function)\n" + "\n".join(cell["source"] for cell in saved)
    places = {
        "cells": "\n".join(cells),
        "source": "\n".join(cells),
        "alone": cells[-1],
        "descend": cells_of(case, world)[-2],
        "count": len(cells),
        "by_count": by_count,
        "equals": STOCK_CHECKS["equals"],
    }
    program = HARNESS + PUNISHING[case.fools].format(**places)
    return _outcome([sys.executable, "-c", program]) != "passed"


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
    "stock nbgrader": stock_nbgrader,
    "points of the file": points_of_the_file,
    "checks of the file": checks_of_the_file,
    "fields of today": fields_of_today,
    "kernel by name": kernel_by_name,
    "blocking reader": blocking_reader,
    "reads them all": reads_them_all,
    "follows links": follows_links,
    "top to bottom": top_to_bottom,
    "silence is gold": silence_is_gold,
    "one script": one_script,
    "waits for an answer": waits_for_an_answer,
    "careless paths": careless_paths,
    "pages as they come": pages_as_they_come,
    "punishing": punishing,
}


def _open_box(case: Case, walls, **more) -> WalledBox:
    """A box with time enough for a busy machine: what is shown here is a missing wall, not a missing clock.

    Without a process table of its own, a limit on processes would count all that this user runs.
    """
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    roomy = {"cell_seconds": 30, "cells_seconds": 60, "function_seconds": 30, "processes": processes, **more}
    return WalledBox(replace(LIMITS[case.limits], **roomy), walls)


def _printed(outputs) -> str:
    return "".join(output.text for cell in outputs for output in cell)
