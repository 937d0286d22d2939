"""The system-call filter: what it refuses in a box, and what would be allowed without it."""

import ast
import errno
import platform

import pytest

from gdlab.grading import bubblewrap, seccomp
from gdlab.grading.box import Limits, NoSandbox
from gdlab.grading.walled_box import WalledBox

TRY_CALLS = """
import ctypes, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
column = ("x86_64", "aarch64").index(platform.machine())

def errno_of(*numbers_and_arguments):
    ctypes.set_errno(0)
    numbers, *arguments = numbers_and_arguments
    return ctypes.get_errno() if libc.syscall(numbers[column], *arguments) < 0 else 0

def errno_of_socket(family):
    try:
        socket.socket(family, socket.SOCK_RAW if family == socket.AF_NETLINK else socket.SOCK_STREAM).close()
    except OSError as error:
        return error.errno
    return 0

CLONE_NEWUSER = 0x10000000
{
    "ptrace": errno_of((101, 117), 0, 0, 0, 0),
    "memfd_create": errno_of((319, 279), b"x", 0),
    "shmget": errno_of((29, 194), 0, 4096, 0o1600),
    "semget": errno_of((64, 190), 0, 1, 0o1600),
    "msgget": errno_of((68, 186), 0, 0o1600),
    "mq_open": errno_of((240, 180), b"x", 0, 0, None),
    "keyctl": errno_of((250, 219), 0, -3, 0),
    "unshare": errno_of((272, 97), CLONE_NEWUSER),
    "mount": errno_of((165, 40), b"none", b"/tmp", b"tmpfs", 0, 0),
    "clone3": errno_of((435, 435), None, 0),
    "netlink": errno_of_socket(socket.AF_NETLINK),
    "tcp": errno_of_socket(socket.AF_INET),
}
"""


def errors_in_a_box() -> dict[str, int]:
    with WalledBox(Limits()) as box:
        [outputs] = box.run_cells([TRY_CALLS])
    return ast.literal_eval(outputs[-1].text)


def test_calls_that_no_exercise_needs_are_refused():
    assert errors_in_a_box() == {
        "ptrace": errno.EPERM,
        "memfd_create": errno.EPERM,
        "shmget": errno.EPERM,
        "semget": errno.EPERM,
        "msgget": errno.EPERM,
        "mq_open": errno.EPERM,
        "keyctl": errno.EPERM,
        "unshare": errno.EPERM,
        "mount": errno.EPERM,
        "clone3": errno.ENOSYS,
        "netlink": errno.EAFNOSUPPORT,
        "tcp": 0,
    }


def test_without_the_filter_some_would_go_through_but_the_namespaces_still_hold(monkeypatch):
    allow_everything = seccomp._op(seccomp.RETURN, seccomp.ALLOW)
    monkeypatch.setattr(bubblewrap, "deny_list", lambda: allow_everything)
    errors = errors_in_a_box()
    assert [name for name in ("ptrace", "memfd_create", "netlink") if errors[name]] == []
    assert errors["clone3"] == errno.EINVAL
    assert errors["unshare"] and errors["mount"]


def test_a_program_runs_to_a_return_on_every_path():
    for machine in ("x86_64", "aarch64"):
        program = seccomp.deny_list(machine)
        instructions = [program[i : i + 8] for i in range(0, len(program), 8)]
        assert len(instructions) < 4096
        for at, instruction in enumerate(instructions):
            code, if_true, if_false = instruction[0], instruction[2], instruction[3]
            if code in (seccomp.EQUAL, seccomp.AT_LEAST, seccomp.ANY_BIT):
                assert at + 1 + max(if_true, if_false) < len(instructions)
        assert instructions[-1][0] == seccomp.RETURN


def test_a_processor_without_a_table_gets_no_box(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(NoSandbox, match="no system-call filter for riscv64"), WalledBox(Limits()):
        pass
