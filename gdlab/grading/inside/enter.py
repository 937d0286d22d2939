"""How a forked copy of a warm Python goes behind walls that bubblewrap has raised, and cannot come back.

The copy joins the namespaces, forks once more (a process namespace holds only for children), lets go of every
open file but two pipe ends, and gives up every privilege that joining gave it. bubblewrap's own filter and
dropped capabilities are not inherited by those who join, so these lines bear load: they are few, and the grader
holds the kernel's account of the result against what is claimed before a learner's line runs.

Sources: namespaces(7), setns(2), capabilities(7), seccomp(2); numbers from linux/sched.h and linux/prctl.h.
"""

import ctypes
import os
import signal
import struct

REQUEST = struct.Struct(">I")  # a box's first process; the system-call filter follows

NAMESPACES = {
    "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000, "ipc": 0x08000000, "mnt": 0x00020000,
    "uts": 0x04000000, "cgroup": 0x02000000,
}  # fmt: skip
OPTIONAL = {"cgroup"}  # not every kernel has them

PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 4, 24, 22, 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_SET_CHILD_SUBREAPER = 47, 4, 36
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522
FILTER_INSTRUCTION = 8

libc = ctypes.CDLL(None, use_errno=True)


class Filter(ctypes.Structure):
    """struct sock_fprog: how the kernel is handed a classic BPF program."""

    _fields_ = [("length", ctypes.c_ushort), ("program", ctypes.c_char_p)]


def join(pidfd: int, pid: int) -> None:
    """Enter every namespace that process `pid` has and this one has not."""
    flags = 0
    for name, flag in NAMESPACES.items():
        if os.readlink(f"/proc/{pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}"):
            flags |= flag
        elif name not in OPTIONAL:
            raise OSError(f"the box has no {name} namespace of its own")
    _must(libc.setns(pidfd, flags), "join the box's namespaces")


def give_up_everything(keep: tuple[int, ...], program: bytes) -> None:
    """No terminal, no open file but `keep`, no capability, no way to gain one, and the system-call filter `program`."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)  # the box's own
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    first = 3
    for fd in sorted(keep):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))
    for number in range(64):  # past the last one the kernel says no
        if libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0):
            break
    _must(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "clear ambient capabilities")
    header, nothing = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    _must(libc.capset(header, nothing), "drop its capabilities")
    _must(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges")
    _must(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "show itself to the grader")  # joining had hidden it
    rule = Filter(len(program) // FILTER_INSTRUCTION, program)
    _must(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(rule), 0, 0), "filter its system calls")


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose parent has gone, and bury them at once: a box ends only when all are."""
    _must(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "adopt orphans")
    signal.signal(signal.SIGCHLD, _bury)


def _bury(signum, frame) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _must(failed: int, what: str) -> None:
    if failed:
        raise OSError(ctypes.get_errno(), f"it could not {what} ({os.strerror(ctypes.get_errno())})")
