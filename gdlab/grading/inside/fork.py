"""A copy of this process that goes on exactly where it stood.

Python's own `os.fork` runs hooks in the copy: they give `random` a new seed, with which no verdict could be replayed, and
renew the locks of threads. A process with a single thread needs none of them, and without them a copy is made with
a third of the memory touched. Source: os.register_at_fork in Python's documentation; fork(2).
"""

import ctypes
import os
import random
import signal

PR_SET_PDEATHSIG = 1  # linux/prctl.h

_libc = ctypes.PyDLL(None)  # unlike CDLL, it keeps the interpreter's lock: the copy holds it too


def fork() -> int:
    """0 in the copy, its process number here; what `random` draws next is the same in both."""
    if _has_one_thread():
        pid = _libc.fork()
        return pid if pid >= 0 else os.fork()  # which raises the error
    state = random.getstate()
    pid = os.fork()
    if pid == 0:
        random.setstate(state)
    return pid


def end_with(parent: int) -> None:
    """In a copy: have the kernel end it once `parent`, which made it, has ended. Nobody waits for its answer then."""
    if hasattr(_libc, "prctl"):  # Linux
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it has ended already
            os._exit(0)


def _has_one_thread() -> bool:
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:  # not Linux
        return False
