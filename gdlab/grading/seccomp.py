"""System calls that no exercise needs, refused by the kernel.

A classic BPF program for bubblewrap's --seccomp: calls that make or enter namespaces, mount, trace,
load code into the kernel, keep memory that no process is charged for or reach odder corners fail with
"not permitted". It is a deny-list and therefore only the second wall: the box must hold, and is tested
to hold, by its namespaces alone.
Numbers are those of Linux's unistd tables for x86-64 and 64-bit ARM.
"""

import platform
import struct

X86_64, AARCH64 = 0xC000003E, 0xC00000B7

# name: (x86-64, aarch64)
DENIED = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "setns": (308, 268), "unshare": (272, 97), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "memfd_create": (319, 279),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "kexec_load": (246, 104), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142), "acct": (163, 89),
    "quotactl": (179, 60), "syslog": (103, 116), "personality": (135, 92),
    "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
}  # fmt: skip
CLONE, CLONE3, SOCKET = (56, 220), (435, 435), (41, 198)
NEW_NAMESPACES = 0x7E020000
AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS, EAFNOSUPPORT = 0x50000 | 1, 0x50000 | 38, 0x50000 | 97
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCH_AT, FIRST_ARGUMENT_AT = 0, 4, 16


def deny_list(machine: str = "") -> bytes | None:
    """The program for this machine's processor, or None for a processor without a table."""
    machine = machine or platform.machine()
    column = {"x86_64": 0, "aarch64": 1}.get(machine)
    if column is None:
        return None
    program = [_op(LOAD, ARCH_AT), _op(EQUAL, (X86_64, AARCH64)[column], 1, 0), _op(RETURN, KILL), _op(LOAD, NUMBER_AT)]
    if column == 0:  # the x32 calls of x86-64 would slip past the table
        program += [_op(AT_LEAST, 0x40000000, 0, 1), _op(RETURN, EPERM)]
    for numbers in DENIED.values():
        program += [_op(EQUAL, numbers[column], 0, 1), _op(RETURN, EPERM)]
    program += [
        _op(EQUAL, CLONE3[column], 0, 1),
        _op(RETURN, ENOSYS),
    ]  # its flags lie in memory; callers fall back to clone
    program += [_op(EQUAL, CLONE[column], 0, 4), _op(LOAD, FIRST_ARGUMENT_AT), _op(ANY_BIT, NEW_NAMESPACES, 0, 1)]
    program += [_op(RETURN, EPERM), _op(RETURN, ALLOW)]
    program += [_op(EQUAL, SOCKET[column], 0, 5), _op(LOAD, FIRST_ARGUMENT_AT)]
    program += [_op(EQUAL, AF_UNIX, 3, 0), _op(EQUAL, AF_INET, 2, 0), _op(EQUAL, AF_INET6, 1, 0)]
    program += [_op(RETURN, EAFNOSUPPORT), _op(RETURN, ALLOW)]
    return b"".join(program)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; the two numbers say how many instructions to skip."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
