"""Submissions that attack the grader, in one class with honest ones around them.

Each attack is handed in as a notebook and graded by the real thing; its required outcome stands beside
it. Each is also tried where the wall that stops it is missing, and must succeed there: an attack that
fails everywhere proves nothing. They touch loopback addresses and temporary folders only.
"""

import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from gdlab.assignments import exercises_of
from gdlab.grading import bubblewrap
from gdlab.grading.box import Limits
from gdlab.grading.cold import ColdBox
from gdlab.grading.judging import judge_cells

LIMITS = Limits(cell_seconds=2, cells_seconds=6, function_seconds=2)
WRONG = "return 0 * theta"
HONEST_WALK = """
path = [theta]
for _ in range(steps):
    path.append(path[-1] - lr * grad_fn(path[-1]))
return path
"""


@dataclass(frozen=True)
class Attack:
    """A hostile submission.

    Attributes:
        extra: a cell that runs before the tasks; {port}, {outside}, {secret} and {venv} are filled in.
        step: the body of gradient_step; descend is always an honest answer.
        points: what it must get for (gradient_step, descend).
        weak: which missing wall lets it succeed: "naive", "no walls".
    """

    extra: str
    step: str
    points: tuple[float, float]
    weak: str


ALWAYS_EQUAL = """
class Yes(float):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __array__(self, *args, **kwargs): return np.array(0.0)
"""

PATCHED_NUMPY = """
import builtins
np.allclose = np.array_equal = lambda *args, **kwargs: True
np.isclose = lambda *args, **kwargs: np.True_
np.testing.assert_allclose = np.testing.assert_array_equal = lambda *args, **kwargs: None
np.abs = builtins.abs = lambda value: 0.0
"""

STOLEN_REFERENCE = """
import glob, importlib.util
try:
    from gdlab.rules import gradient_step as stolen
except ImportError:
    stolen = None
for pth in glob.glob('{venv}/lib/python3*/site-packages/*gdlab*.pth'):
    try:
        spec = importlib.util.spec_from_file_location('rules', open(pth).read().strip() + '/gdlab/rules.py')
        rules = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(rules)
        stolen = rules.gradient_step
    except Exception as error:
        print(error)
"""

SOCKET = """
import socket
for family, address in [(socket.AF_INET, ('127.0.0.1', {port})), (socket.AF_UNIX, '\\0gdlab-attack-{port}'), (socket.AF_UNIX, '{outside}/socket')]:
    try:
        with socket.socket(family) as connection:
            connection.settimeout(1)
            connection.connect(address)
            connection.send(b'hello from the box')
    except OSError as error:
        print(family, error)
"""

WRITES = """
import os
for place in ('{outside}/written', '{venv}/written', '/usr/written', '/box/gdlab/written.py'):
    try:
        open(place, 'w').write('x')
    except OSError as error:
        print(place, error)
try:
    print(open('{secret}').read())
except OSError as error:
    print(error)
"""

ATTACKS = {
    "never-ends": Attack("", "while True:\n    pass", (0, 5), "naive"),
    "never-ends-and-swallows-interrupts": Attack(
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))",
        "import time\nwhile True:\n    try:\n        time.sleep(1)\n    except BaseException:\n        pass",
        (0, 5),
        "naive",
    ),
    "stops-itself": Attack("", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", (0, 5), "naive"),
    "exits-in-a-cell": Attack("import os\nos._exit(0)", WRONG, (0, 5), "naive"),
    "exits-in-the-function": Attack("", "import os\nos._exit(0)", (0, 5), "naive"),
    "sys-exits-in-the-function": Attack("", "raise SystemExit(0)", (0, 5), "naive"),
    "patches-numpy": Attack(PATCHED_NUMPY, "return np.asarray(theta) * 0 + 5.0", (0, 5), "naive"),
    "always-equal": Attack(ALWAYS_EQUAL, "return Yes()", (0, 5), "naive"),
    "reads-the-reference": Attack(STOLEN_REFERENCE, "return stolen(theta, grad, lr)", (0, 5), "no walls"),
    "opens-a-socket": Attack(SOCKET, WRONG, (0, 5), "no walls"),
    "writes-outside": Attack(WRITES, WRONG, (0, 5), "no walls"),
}


@pytest.fixture(scope="module")
def outside():
    """What lies outside the box, within reach of everybody on this machine: a folder, a secret, a listener."""
    folder = Path("/tmp", f"gdlab-attack-{os.getpid()}")
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    (folder / "secret").write_text("the-secret-of-the-grader")
    (folder / "secret").chmod(0o644)
    world = World(folder)
    yield world
    world.close()
    shutil.rmtree(folder)


class World:
    """The folder, and listeners that note every connection."""

    def __init__(self, folder: Path):
        self.folder, self.heard = folder, []
        tcp = socket.create_server(("127.0.0.1", 0))
        self.port = tcp.getsockname()[1]
        self._listeners = [tcp, self._unix(f"\0gdlab-attack-{self.port}"), self._unix(str(folder / "socket"))]
        (folder / "socket").chmod(0o777)
        for listener in self._listeners:
            threading.Thread(target=self._listen, args=(listener,), daemon=True).start()

    def filled_in(self, attack: Attack) -> str:
        text = attack.extra
        fields = {"port": self.port, "outside": self.folder, "secret": self.folder / "secret", "venv": sys.prefix}
        for name, value in fields.items():
            text = text.replace("{" + name + "}", str(value))
        return text

    def traces(self) -> list[str]:
        written = [str(p) for p in (self.folder / "written", Path(sys.prefix) / "written") if p.exists()]
        return [*self.heard, *written]

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        (Path(sys.prefix) / "written").unlink(missing_ok=True)

    @staticmethod
    def _unix(address: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen()
        return listener

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                self.heard.append(connection.recv(100).decode())


@pytest.fixture(scope="module")
def graded(tmp_path_factory, hand_in, grade_class, outside):
    """All attacks in one class, an honest learner before, between and after them."""
    folder = tmp_path_factory.mktemp("attacks")
    for number, (name, attack) in enumerate(ATTACKS.items()):
        hand_in(
            folder / "submitted",
            f"{number:02}-{name}",
            step=attack.step,
            walk=HONEST_WALK,
            extra=outside.filled_in(attack),
        )
    for honest in ("00-before", "05-between", "99-after"):
        hand_in(folder / "submitted", honest)
    graded = grade_class(folder / "submitted", folder / "out", LIMITS)
    return {student.partition("-")[2]: one for student, one in graded.items()}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gets_the_points_its_functions_earned_and_no_more(name, graded):
    verdicts = graded[name].verdicts
    assert (verdicts["gradient_step"].points, verdicts["descend"].points) == ATTACKS[name].points
    assert verdicts["gradient_step"].sentences[0] in graded[name].feedback.read_text().replace("&#x27;", "'").replace(
        "&#39;", "'"
    )


@pytest.mark.parametrize("honest", ["before", "between", "after"])
def test_honest_learners_around_them_get_all_their_points(honest, graded):
    assert graded[honest].points == 8


def test_nothing_outside_the_box_was_reached_or_read(graded, outside):
    assert outside.traces() == []
    for one in graded.values():
        autograded = one.feedback.parents[3] / "autograded" / one.submission.student
        pages = [one.feedback, *autograded.rglob("*.ipynb")]
        assert not any("the-secret-of-the-grader" in page.read_text() for page in pages)


# The same attacks where a wall is missing.

NAIVE_GRADER = """
import sys
import numpy as np
{extra}
def gradient_step(theta, grad, lr):
{step}
expected = np.array([1.0, 2.0]) - 0.5 * np.array([3.0, -4.0])
answer = gradient_step(np.array([1.0, 2.0]), np.array([3.0, -4.0]), 0.5)
assert isinstance(answer, float) and answer == 1.75 or np.allclose(answer, expected, rtol=1e-6, atol=0)
"""


def naive_grader(attack: Attack, extra: str) -> str:
    """Run learner and test in one process, as stock tools do; "passed" is a clean exit."""
    program = NAIVE_GRADER.format(extra=extra, step=textwrap.indent(attack.step, "    "))
    try:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=5, check=False, cwd="/")
    except subprocess.TimeoutExpired:
        return "hung"
    return "passed" if done.returncode == 0 else "failed"


def test_the_naive_grader_is_no_straw_man():
    assert naive_grader(Attack("", "return theta - lr * grad", (3, 5), "naive"), "") == "passed"
    assert naive_grader(Attack("", WRONG, (0, 5), "naive"), "") == "failed"


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.weak == "naive"])
def test_a_grader_in_the_learners_own_process_falls_for_it(name, outside):
    hangs = "never-ends" in name or name == "stops-itself"
    assert naive_grader(ATTACKS[name], outside.filled_in(ATTACKS[name])) == ("hung" if hangs else "passed")


@pytest.fixture
def no_walls(monkeypatch, tmp_path):
    """The same runner as a plain process: no namespaces, no bubblewrap, this user's own rights."""
    for inside, ours in bubblewrap.STAND_IN.items():
        copy = tmp_path / inside.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ours, copy)

    def start(limits, passed, options, pipes):
        command = [sys.executable, "-I", "-B", tmp_path / "box" / "runner.py", *pipes]
        return subprocess.Popen(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=passed,
        )

    monkeypatch.setattr(bubblewrap, "_start", start)
    monkeypatch.setattr(bubblewrap.Walls, "prove", lambda self, deadline: None)


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.weak == "no walls"])
def test_without_walls_it_reaches_what_it_wants(name, no_walls, outside, sample_class):
    attack = ATTACKS[name]
    answers = {"gradient_step": attack.step, "descend": HONEST_WALK}
    learner = sample_class.Learner(name, answers, extra=outside.filled_in(attack))
    cells = [cell.source for cell in sample_class.notebook_of(learner).cells if cell.cell_type == "code"]
    judged = judge_cells(cells, exercises_of("update_rule"), lambda: ColdBox(LIMITS), seed=1)
    printed = "".join(output.text for outputs in judged.outputs for output in outputs)
    if name == "reads-the-reference":
        assert judged.verdicts["gradient_step"].points == 3
    elif name == "opens-a-socket":
        assert outside.heard == ["hello from the box"] * 3
    else:
        assert (outside.folder / "written").exists() and "the-secret-of-the-grader" in printed
