"""The warm box: as closed as the cold one, proved from outside, and with the same answers."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from ast import literal_eval
from pathlib import Path

import pytest

from gdlab.grading import bubblewrap, warm
from gdlab.grading.box import BoxFailed, Limits, NoSandbox
from gdlab.grading.inside import enter
from gdlab.grading.walled_box import WalledBox
from gdlab.grading.workers import Task, in_warm_boxes, judge_task
from gdlab.judge.answer import Failed

STEP = "def gradient_step(theta, grad, lr):\n    return theta - lr * grad"
QUICK = Limits(cell_seconds=1, cells_seconds=3, function_seconds=1)


@pytest.fixture(scope="module")
def server():
    with warm.ForkServer() as server:
        yield server


@pytest.fixture
def warm_box(server):
    return lambda limits=QUICK: WalledBox(limits, server.raise_walls)


@pytest.fixture
def a_broken_server(monkeypatch, tmp_path):
    """Start a fork server whose enter.py has had some lines changed: a_broken_server(old, new)."""

    def start(old: str, new: str) -> warm.ForkServer:
        source = Path(enter.__file__).read_text()
        assert source.count(old) == 1
        (tmp_path / "enter.py").write_text(source.replace(old, new))
        monkeypatch.setitem(warm.FORK_SERVER, "/box/enter.py", tmp_path / "enter.py")
        return warm.ForkServer()

    return start


def ask(box: WalledBox, expression: str) -> str:
    [outputs] = box.run_cells([expression])
    return outputs[-1].text


def test_cells_functions_errors_and_plots_are_the_cold_boxes_own(server):
    cells = [
        "import numpy as np\nprint('hello')\n3 + 4",
        "def f(x):\n    return 2 * x",
        "f(1) / 0",
        "def broken(:",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()",
        "import os, sys; sorted(os.environ.items()), os.getcwd(), sys.path, sys.flags.no_user_site",
        "import gdlab, gdlab.learn, gdlab.figures; gdlab.__file__, gdlab.__path__, gdlab.learn.__file__, __name__",
        "np.random.random(3), __import__('random').random(), hash('one string')",
        "os.getuid(), os.getgid(), os.getgroups(), sorted(os.listdir('/'))",
    ]
    outputs, answers = [], []
    for walls in (server.raise_walls, None):
        with WalledBox(Limits(), walls) as box:
            outputs.append(box.run_cells(cells))
            with box.function("f") as answer:
                answers.append(answer({"x": 1.5}).value)
    assert answers == [3.0, 3.0]
    for cell, from_warm, from_cold in zip(cells, *outputs, strict=True):
        assert from_warm == from_cold, cell


@pytest.mark.parametrize("threads", [0, 1], ids=["alone", "beside a thread of the notebook's"])
def test_pythons_generator_stands_where_the_cells_left_it_whoever_asks_and_however_often(threads, server):
    cells = [
        f"import random, threading, time\nfor _ in range({threads}): threading.Thread(target=time.sleep, args=(60,)).start()",
        "random.random()\ndef f(x):\n    return random.random()",
    ]
    drawn = set()
    for walls in (server.raise_walls, server.raise_walls, None):
        with WalledBox(Limits(), walls) as box:
            box.run_cells(cells)
            for _ in range(2):
                with box.function("f") as answer:
                    drawn.add(answer({"x": 0.0}).value)
    assert len(drawn) == 1


def test_importing_torch_is_not_on_a_functions_own_time(warm_box):
    """Importing takes seconds, and every function is asked in a copy of its own."""
    with warm_box(Limits(function_seconds=0.5)) as box:
        box.run_cells(["def f(x):\n    import torch\n    return torch.tensor(x) * 2"])
        for _ in range(2):
            with box.function("f") as answer:
                assert answer({"x": 1.5}).value == 3.0


@pytest.fixture
def busy_processor():
    """One of this machine's processors, on which four others work all the time."""
    chosen = min(os.sched_getaffinity(0))
    program = f"import os, time; os.sched_setaffinity(0, {{{chosen}}}); end = time.monotonic() + 60\nwhile time.monotonic() < end: pass"
    others = [subprocess.Popen([sys.executable, "-S", "-c", program], start_new_session=True) for _ in range(4)]
    yield chosen
    for other in others:
        other.kill()
        other.wait()


WORK = """
import time
def work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return seconds
"""


@pytest.mark.parametrize("work", [0.6, 100.0], ids=["enough time of its own", "never enough"])
def test_time_that_others_took_is_not_held_against_a_function(work, warm_box, busy_processor):
    with warm_box() as box:
        box.run_cells([WORK])
        for pid in bubblewrap.descendants(box._walls.roots()):
            os.sched_setaffinity(pid, {busy_processor})
        with box.function("work") as answer:
            if work < QUICK.function_seconds:
                assert answer({"seconds": work}).value == work
            else:
                with pytest.raises(Failed, match="still running"):
                    answer({"seconds": work})


def test_the_kernel_says_that_a_copy_has_nothing_left(warm_box):
    with warm_box() as box:
        status = Path(f"/proc/{box._walls.runner}/status").read_text()
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert [int(facts[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd")] == [0] * 5
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2") and "0" not in facts["Uid"].split()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('_must(libc.capset(header, nothing), "drop its capabilities")', "pass", "it has capabilities"),
        (
            '_must(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(rule), 0, 0), "filter its system calls")',
            "pass",
            "no system-call filter is active",
        ),
        (
            '_must(libc.setns(pidfd, flags), "join',
            '_must(libc.setns(pidfd, flags & ~0x00020000), "join',
            "could not make a box",
        ),
        (
            '_must(libc.setns(pidfd, flags), "join',
            '_must(libc.setns(pidfd, flags & ~0x40000000), "join',
            "net namespace",
        ),
        ('_must(libc.setns(pidfd, flags), "join', '_must(libc.setns(pidfd, flags & ~0x20000000), "join', "process ids"),
    ],
    ids=["capabilities", "filter", "mounts", "network", "processes"],
)
def test_a_copy_that_kept_anything_runs_no_learners_code(old, new, complaint, a_broken_server):
    with (
        a_broken_server(old, new) as server,
        pytest.raises(NoSandbox, match=complaint),
        WalledBox(QUICK, server.raise_walls),
    ):
        raise AssertionError("a box that is not closed was opened")


def test_open_files_of_the_server_are_closed_in_its_copies(server, warm_box):
    """It holds its socket to the grader, and while it copies itself a box's process and both ends of a pipe."""
    with warm_box() as box:
        kept = ask(
            box,
            "import os; places = [f'/proc/self/fd/{fd}' for fd in os.listdir('/proc/self/fd')]; [os.readlink(place) for place in places if os.path.lexists(place)]",
        )
        held = [os.readlink(entry) for entry in Path(f"/proc/{server._process.pid}/fd").iterdir()]
    assert any(what.startswith("socket:") for what in held)
    assert sorted(what.partition(":")[0] for what in literal_eval(kept)) == ["/dev/null"] * 4 + ["pipe"] * 2


def test_the_program_behind_proc_self_exe_cannot_be_written_to(warm_box):
    """In a copy that link leads out of the box, to the file its server was started from."""
    attempt = (
        "import os\n"
        "try:\n    print(os.readlink('/proc/self/exe')); os.open('/proc/self/exe', os.O_WRONLY); print('opened')\n"
        "except OSError as error:\n    print(type(error).__name__)"
    )
    with warm_box() as box:
        said = ask(box, attempt)
    assert "memfd:python" in said and "opened" not in said
    program = warm._sealed_copy(Path(sys.executable).resolve())
    try:
        with pytest.raises(PermissionError):
            os.write(program, b"x")
    finally:
        os.close(program)


def test_a_copy_knows_nothing_of_the_grader(warm_box):
    with warm_box() as box:
        modules = ask(
            box,
            "import sys; sorted(name for name in sys.modules if name.startswith(('gdlab', 'nbgrader', 'sqlalchemy')))",
        )
    judge = ["gdlab.judge", "gdlab.judge.answer", "gdlab.judge.plain", "gdlab.judge.protocols"]
    assert literal_eval(modules) == ["gdlab", "gdlab.figures", *judge, "gdlab.learn"]


def test_one_submission_leaves_nothing_for_the_next(warm_box):
    with warm_box() as box:
        box.run_cells(
            [
                "import numpy as np\nnp.left = 1\nopen('/tmp/note', 'w').write('x')\nopen('/dev/shm/note', 'w').write('x')"
            ]
        )
    with warm_box() as box:
        assert (
            ask(box, "import os, numpy as np\nhasattr(np, 'left'), os.path.exists('/tmp/note'), os.listdir('/dev/shm')")
            == "(False, False, [])"
        )


def test_a_daemon_ends_with_its_box(warm_box):
    daemon = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)"
    with warm_box() as box:
        box.run_cells([daemon])
        inside = [
            pid for pid in os.listdir("/proc") if pid.isdigit() and _namespace(pid) == _namespace(box._walls.runner)
        ]
        assert len(inside) >= 3  # bubblewrap's first, the runner, the daemon
    for pid in map(int, inside):
        _wait_until_gone(pid)


def _namespace(pid) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None


def _wait_until_gone(pid: int) -> None:
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert os.waitid(os.P_PIDFD, ended, os.WEXITED | os.WNOHANG) is None
    except ChildProcessError:
        assert select.select([ended], [], [], 20)[0]
    finally:
        os.close(ended)


def test_processes_that_take_too_much_memory_together_end_their_box(warm_box):
    """Each stays below the limit for one process: only the sum is too much."""
    hungry = (
        "import os, time\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0:\n"
        "        kept = bytearray(os.urandom(1)) * (150 << 20)\n"
        "        time.sleep(30)\n        os._exit(0)\n"
        "time.sleep(30)"
    )
    with (
        warm_box(Limits(cell_seconds=20, cells_seconds=20, memory_bytes=1200 << 20)) as box,
        pytest.raises(BoxFailed, match="more than 1200 MB") as failed,
    ):
        box.run_cells([hungry.replace("150 << 20", "400 << 20")])
    assert failed.value.cell == 0
    with warm_box(Limits(cell_seconds=20, cells_seconds=20, memory_bytes=1200 << 20)) as box:
        [outputs] = box.run_cells([hungry.replace("time.sleep(30)", "time.sleep(1)").replace("150", "50")])
    assert outputs == ()


def test_what_processes_share_is_counted_once(warm_box):
    """A notebook that holds most of what it may is copied for every function; the copy has the same pparents."""
    with warm_box(Limits(cell_seconds=20, cells_seconds=20, memory_bytes=900 << 20)) as box:
        box.run_cells(
            ["import time\nkept = bytearray(b'x') * (500 << 20)\ndef f():\n    time.sleep(0.3)\n    return len(kept)"]
        )
        with box.function("f") as answer:
            assert answer({}).value == 500 << 20


def test_a_function_that_takes_too_much_memory_with_its_helpers_is_told_so(warm_box):
    hungry = "import os, time\ndef f():\n    for _ in range(4):\n        if os.fork() == 0:\n            kept = bytearray(b'x') * (400 << 20)\n            time.sleep(30)\n    time.sleep(30)\ndef g():\n    return 3"
    with warm_box(Limits(function_seconds=20, memory_bytes=1200 << 20)) as box:
        box.run_cells([hungry])
        with box.function("f") as answer, pytest.raises(Failed, match="more memory"):
            answer({})
        with box.function("g") as answer:
            assert answer({}).value == 3


def test_a_server_that_was_ended_is_started_again(server, warm_box):
    with warm_box() as box:
        assert ask(box, "1 + 1") == "2"
    os.kill(server._process.pid, signal.SIGKILL)
    server._process.wait()
    with warm_box() as box:
        assert ask(box, "1 + 2") == "3"


def test_a_box_made_ahead_that_was_ended_is_made_again(server, warm_box):
    with warm_box() as box:
        ask(box, "1")
    ahead = server._coming[1].result()
    ahead.process.kill()
    ahead.process.wait()
    with warm_box() as box:
        assert ask(box, "1 + 2") == "3"


def test_a_notebook_whose_box_the_machine_takes_away_is_judged_again(server):
    """No fault of the learner's: nothing in a box can send bubblewrap a signal."""
    made = []

    def make_box() -> WalledBox:
        made.append(WalledBox(Limits(), server.raise_walls))
        return made[-1]

    taken = threading.Timer(1.0, lambda: made[0]._walls.process.kill())
    taken.start()
    slow = "import time\ntime.sleep(3)\n" + STEP
    judged = judge_task(Task(0, "update_rule", (slow,), (), (), 1), make_box)
    assert judged.verdicts["gradient_step"].outcome == "right" and judged.trouble == "" and len(made) == 2


def test_a_notebook_whose_boxes_are_always_taken_away_stops_the_run(server):
    def make_box() -> WalledBox:
        box = WalledBox(Limits(), server.raise_walls)
        threading.Timer(0.5, lambda: box._walls.process.kill()).start()
        return box

    with pytest.raises(NoSandbox, match="short of memory"):
        judge_task(Task(0, "update_rule", ("import time\ntime.sleep(10)",), (), (), 1), make_box)


def test_a_function_that_ends_its_process_but_leaves_a_child_has_ended(warm_box):
    """The child holds open whatever its parent did: it must not be waited for."""
    with warm_box(Limits(function_seconds=20)) as box:
        box.run_cells(
            [
                "import os, time\ndef f():\n    if os.fork() == 0:\n        time.sleep(60)\n    os._exit(0)\ndef g():\n    return 3"
            ]
        )
        with box.function("f") as answer, pytest.raises(Failed, match="ended the program"):
            answer({})
        with box.function("g") as answer:
            assert answer({}).value == 3


def test_two_workers_share_one_fork_server():
    tasks = [Task(number, "update_rule", (f"import time\ntime.sleep(0.5)\n{STEP}",), (), (), 1) for number in range(6)]
    parents, outcomes = {}, []
    for _, judged in in_warm_boxes(Limits(), workers=2)(tasks):
        parents |= _parents_of_fork_servers()
        outcomes.append(judged.verdicts["gradient_step"].outcome)
    assert outcomes == ["right"] * 6
    assert {parent for parent in parents.values() if parent not in parents} == {
        os.getpid()
    }  # the others are its copies


def test_a_run_with_a_worker_for_each_processor_uses_them_all_and_one_for_each_notebook():
    processors = os.sched_getaffinity(0)
    look = "import os, time\ntime.sleep(0.5)\nprint(*os.sched_getaffinity(0))"
    tasks = [Task(number, "update_rule", (look,), (), (), 1) for number in range(3 * len(processors))]
    workers = in_warm_boxes(Limits(), workers=max(2, len(processors)))
    seen = [judged.outputs[0][0].text.split() for _, judged in workers(tasks)]
    assert {len(one) for one in seen} == {1} and {int(one) for [one] in seen} == processors


def _parents_of_fork_servers() -> dict[int, int]:
    """Of the fork servers below this process, and their copies: the parent of each."""
    found = {}
    for pid in bubblewrap.descendants((os.getpid(),)):
        try:
            if b"forkserver.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    return found


def test_a_server_that_cannot_start_says_why(monkeypatch, tmp_path):
    (tmp_path / "enter.py").write_text("raise RuntimeError('no such luck')")
    monkeypatch.setitem(warm.FORK_SERVER, "/box/enter.py", tmp_path / "enter.py")
    with (
        pytest.raises(NoSandbox, match="no such luck"),
        warm.ForkServer() as server,
        WalledBox(QUICK, server.raise_walls),
    ):
        pass


def test_a_server_leaves_no_folder_behind_even_if_its_grader_is_killed(tmp_path):
    """The grader cannot clean up after a kill -9; the server sees that it has gone, and does."""
    program = (
        "import os, sys, signal\n"
        "from gdlab.grading.warm import ForkServer\n"
        "server = ForkServer(); server.wait_until_ready(); print(server._folder.name, server._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    folder, pid = done.stdout.split()
    _wait_until_gone(int(pid))
    assert not Path(folder).exists()


def test_files_without_content_count_as_memory_too(warm_box):
    """The scratch folders' size bounds what is in files, not how many there are."""
    many = "import itertools\nfor number in itertools.count():\n    open(f'/tmp/{number}', 'w').close()"
    limits = Limits(cell_seconds=30, cells_seconds=30, memory_bytes=250 << 20)
    with warm_box(limits) as box, pytest.raises(BoxFailed, match="more than 250 MB"):
        box.run_cells([many])


def test_a_notebook_says_only_so_much_in_all(warm_box):
    """Forty cells that each use up what one may say."""
    with warm_box(Limits(output_bytes=1000)) as box:
        outputs = box.run_cells(["print('x' * 900)"] * 40)
    said = [sum(len(output.text) for output in cell) for cell in outputs]
    assert said[:15] == [901] * 15 and sum(said) < 17_000 and len(said) == 40


def test_a_notebook_cannot_end_what_holds_its_walls_and_orphans_are_buried(warm_box):
    """kill(-1) reaches all but oneself and the first process; a hundred orphans that stayed would be too many processes."""
    cell = (
        "import contextlib, os, signal, time\n"
        "with contextlib.suppress(ProcessLookupError):\n    os.kill(-1, signal.SIGKILL)\n"
        "for _ in range(100):\n"
        "    if os.fork() == 0:\n"
        "        if os.fork() == 0:\n            os._exit(0)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "    time.sleep(0.005)\n"
        "'still here', len([p for p in os.listdir('/proc') if p.isdigit()]) < 20"
    )
    with warm_box(Limits()) as box:
        assert ask(box, cell) == "('still here', True)"


def test_walls_that_are_torn_down_while_they_rise_leave_no_process(server, warm_box):
    """The spare walls of a server that is stopped at once; bubblewrap alone would leave their first process behind."""
    before = _boxes()
    for _ in range(20):
        bubblewrap.begin_walls(QUICK).tear_down()
    deadline = time.monotonic() + 20
    while _boxes() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _boxes() - before == set()


def _boxes() -> set[int]:
    """This process's own boxes, and those that have lost their parent."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, parent = (
                (entry / "cmdline").read_bytes(),
                (entry / "stat").read_text().rpartition(")")[2].split()[1],
            )
            if b"bwrap" in command and b"cat >/dev/null" in command and int(parent) in (1, os.getpid()):
                found.add(int(entry.name))
        except OSError:
            continue
    return found
