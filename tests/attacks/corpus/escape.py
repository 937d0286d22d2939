"""Submissions that reach for what lies outside their box: files, processes, networks, the kernel's odder corners."""

from corpus import Case

LINES = (
    "read /etc/passwd",
    "read the gradebook",
    "read other submissions",
    "read solutions/",
    "read the reference modules",
    "read the parent's environ",
    "read /proc/1",
    "write venv",
    "write repo",
    "write /",
    "write exercise files",
    "127.0.0.1 listener",
    "UDP",
    "abstract and path unix sockets",
    "vsock",
    "ptrace parent",
    "kill(-1)",
    "setsid daemon that outlives the run",
    "unshare",
    "mount",
    "chroot",
    "bpf",
    "io_uring",
    "keyring",
    "symlink where the grader will write",
    "notes left in /tmp, /dev/shm for the next submission",
    "file locks",
    "open descriptors of the parent",
)

READ = """
for place in {places}:
    try:
        found = open(place, 'rb').read()
    except OSError as error:
        print(error)
    else:
        if b'{wanted}' in found:
            boast()
"""

REFERENCE = """
import glob, importlib.util
stolen = None
for link in glob.glob('{venv}/lib/python3*/site-packages/*gdlab*.pth'):
    try:
        spec = importlib.util.spec_from_file_location('rules', open(link).read().strip() + '/gdlab/rules.py')
        rules = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(rules)
        stolen = rules.gradient_step
        boast()
    except Exception as error:
        print(error)
"""

ENVIRONMENTS = """
import glob
for place in glob.glob('/proc/[0-9]*/environ'):
    try:
        if b'GDLAB_SECRET=' in open(place, 'rb').read():
            boast()
    except OSError as error:
        print(error)
"""

FIRST_PROCESS = """
import os
first = open('/proc/1/cmdline', 'rb').read()
ours = b'bwrap' in first or first.startswith((b'cat', b'env', b'/bin/sh'))  # a container may begin with a shell as well
if not ours or os.uname().nodename != 'box':
    boast()
"""

PROCESSES = """
import glob
for place in glob.glob('/proc/[0-9]*/cmdline'):
    try:
        if b'gdlab-victim-{port}' in open(place, 'rb').read():
            boast()
    except OSError as error:
        print(error)
"""

MAY_WRITE = """
import os
if any(os.access(place, os.W_OK) for place in {places}):
    boast()
"""

WRITE_ROOT = """
try:
    open('/gdlab-written', 'w').write('x')
    boast()
except OSError as error:
    print(error)
"""

GRADEBOOK = """
import sqlite3
try:
    with sqlite3.connect('{outside}/gradebook.db') as book:
        book.execute('update grades set points = 800')
    boast()
except sqlite3.Error as error:
    print(error)
"""

SOCKET = """
import socket
try:
    with socket.socket({family}, {kind}) as connection:
        connection.settimeout(2)
        connection.connect({address})
        connection.send(b'hello from the box')
except OSError as error:
    print(error)
"""

SOCKET_FAMILY = """
import socket
try:
    socket.socket(socket.{family}, socket.{kind}).close()
    boast()
except OSError as error:
    print(error)
"""

LIBC = """
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
column = {'x86_64': 0, 'aarch64': 1}[platform.machine()]
def call(numbers, *arguments):
    came = libc.syscall(numbers[column], *arguments)
    if came < 0:
        print(os.strerror(ctypes.get_errno()))
    return came
"""

# Each asks on a child of its own as well: where the parent is out of reach, the call itself must be refused.
PTRACE = (
    LIBC
    + """
import signal, time
child = os.fork()
if child == 0:
    time.sleep(5)
    os._exit(0)
SEIZE = 0x4206
for pid in (os.getppid(), child):
    if pid and call((101, 117), SEIZE, pid, 0, 0) == 0:
        boast()
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""
)

READ_MEMORY = (
    LIBC
    + """
import signal, time
secret = ctypes.create_string_buffer(b'in the memory of another')
child = os.fork()
if child == 0:
    time.sleep(5)
    os._exit(0)
class Vector(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
copy = ctypes.create_string_buffer(len(secret))
ours, theirs = (Vector(ctypes.addressof(place), len(secret)) for place in (copy, secret))
if call((310, 270), child, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) > 0:
    boast()
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
"""
)

DAEMON = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv('/bin/sleep', ['gdlab-daemon-{port}', '60'])
    os._exit(0)
os.wait()
"""

NEW_USER, NEW_NS = 0x10000000, 0x00020000

UNSHARE = LIBC + f"\nif call((272, 97), {NEW_USER}) == 0:\n    boast()\n"
CLONE = (
    LIBC
    + f"""
child = call((56, 220), {NEW_USER} | 17, 0, 0, 0, 0)
if child == 0:
    os._exit(0)
if child > 0:
    os.waitpid(child, 0)
    boast()
"""
)
MOUNT = (
    LIBC
    + f"""
call((272, 97), {NEW_USER} | {NEW_NS})
if call((165, 40), b'none', b'/tmp', b'tmpfs', 0, None) == 0:
    boast()
"""
)
CHROOT = LIBC + f"\ncall((272, 97), {NEW_USER})\nif call((161, 51), b'/tmp') == 0:\n    boast()\n"
BPF = (
    LIBC
    + """
attributes = (ctypes.c_uint32 * 32)(2, 4, 8, 1)  # an array map of one entry
if call((321, 280), 0, attributes, ctypes.sizeof(attributes)) >= 0:
    boast()
"""
)
IO_URING = (
    LIBC
    + """
parameters = (ctypes.c_uint8 * 120)()
if call((425, 425), 1, parameters) >= 0:
    boast()
"""
)
KEYRING = (
    LIBC
    + """
if call((248, 217), b'user', b'gdlab-note', b'x', 1, -1) > 0:  # into the thread's own keyring
    boast()
"""
)
PERF = (
    LIBC
    + """
attributes = (ctypes.c_uint64 * 16)(1 | (128 << 32), 1)  # the software clock, in user space
attributes[5] = 0b1100000
if call((298, 241), attributes, 0, -1, -1, 0) >= 0:
    boast()
"""
)

SYMLINK = """
import os
try:
    os.symlink('{outside}/gradebook.db', '{outside}/feedback.html')
    boast()
except OSError as error:
    print(error)
"""

NOTE = """
import os
note = '{place}/gdlab-note-{port}'
if os.path.exists(note):
    boast()
open(note, 'w').write('theta - lr * grad')
"""

SEGMENT = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if libc.shmget({port}, 4096, 0) >= 0:
    boast()
libc.shmget({port}, 4096, 0o1666)
"""

LOCK = """
import fcntl, os, time
try:
    gradebook = open('{outside}/gradebook.db', 'rb')
    fcntl.flock(gradebook, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    boast()
except OSError as error:
    print(error)
"""

DESCRIPTORS = """
import os
for fd in map(int, os.listdir('/proc/self/fd')):
    try:
        if 'gdlab-outside' in os.readlink(f'/proc/self/fd/{fd}') or b'the-secret' in os.pread(fd, 100, 0):
            boast()
    except OSError:
        pass
"""


def reads(id: str, line: str, does: str, places: list[str], wanted: str) -> Case:
    cell = READ.replace("{places}", repr(places)).replace("{wanted}", wanted)
    return Case(id, line, does, "no walls", cell, says="No such file")


def may_write(id: str, line: str, does: str, places: list[str]) -> Case:
    return Case(id, line, does, "no walls", MAY_WRITE.replace("{places}", repr(places)))


def connects(id: str, line: str, does: str, family: str, kind: str, address: str, says: str) -> Case:
    cell = SOCKET.replace("{family}", f"socket.{family}").replace("{kind}", f"socket.{kind}")
    return Case(id, line, does, "no walls", cell.replace("{address}", address), says=says, fools="heard")


def calls(id: str, line: str, does: str, cell: str) -> Case:
    return Case(id, line, does, "no filter", cell, says="Operation not permitted")


CASES = (
    reads("reads-accounts", "read /etc/passwd", "looks for the machine's accounts", ["/etc/passwd"], "root:"),
    reads("reads-gradebook", "read the gradebook", "opens the gradebook", ["{outside}/gradebook.db"], "SQLite format"),
    Case(
        "writes-gradebook",
        "read the gradebook",
        "gives itself 800 points in the gradebook",
        "no walls",
        GRADEBOOK,
        says="unable to open database file",
    ),
    reads(
        "reads-neighbour",
        "read other submissions",
        "copies what another student handed in",
        ["{outside}/submitted/neighbour/update_rule.ipynb"],
        "answer of another",
    ),
    reads(
        "reads-solutions",
        "read solutions/",
        "opens the instructor's notebook",
        ["{root}/solutions/update_rule/update_rule.ipynb"],
        "BEGIN SOLUTION",
    ),
    Case(
        "reads-reference",
        "read the reference modules",
        "loads gdlab's own rules from where the package is linked to",
        "no walls",
        REFERENCE,
        "return stolen(theta, grad, lr)",
        kind="raised",
        says="not callable",
    ),
    Case(
        "reads-environments",
        "read the parent's environ",
        "looks for a secret in the environment of every process",
        "no walls",
        ENVIRONMENTS,
    ),
    Case("reads-first-process", "read /proc/1", "asks what this machine started first", "no walls", FIRST_PROCESS),
    Case("lists-processes", "read /proc/1", "looks for another process of this machine", "no walls", PROCESSES),
    may_write("writes-venv", "write venv", "asks whether it may change the interpreter's packages", ["{venv}"]),
    may_write(
        "writes-repository",
        "write repo",
        "asks whether it may change the course",
        ["{root}/gdlab", "{root}/solutions", "/box"],
    ),
    Case("writes-root", "write /", "writes beside the system's folders", "writable root", WRITE_ROOT, says="Read-only"),
    may_write(
        "writes-exercises",
        "write exercise files",
        "asks whether it may change the exercises",
        ["{root}/exercises/update_rule/update_rule.ipynb"],
    ),
    connects(
        "tcp",
        "127.0.0.1 listener",
        "talks to a server on this machine",
        "AF_INET",
        "SOCK_STREAM",
        "('127.0.0.1', {port})",
        "Connection refused",
    ),
    connects("udp", "UDP", "sends a datagram", "AF_INET", "SOCK_DGRAM", "('127.0.0.1', {port})", ""),
    connects(
        "abstract-socket",
        "abstract and path unix sockets",
        "talks to a service by its abstract name",
        "AF_UNIX",
        "SOCK_STREAM",
        "'\\0gdlab-attack-{port}'",
        "Connection refused",
    ),
    connects(
        "path-socket",
        "abstract and path unix sockets",
        "talks to a service by its path",
        "AF_UNIX",
        "SOCK_STREAM",
        "'{outside}/socket'",
        "No such file",
    ),
    *(
        Case(
            id,
            "vsock",
            does,
            "no filter",
            SOCKET_FAMILY.replace("{family}", family).replace("{kind}", kind),
            says="Address family not supported",
        )
        for id, does, family, kind in (
            ("vsock", "opens a socket to the machine that hosts this one", "AF_VSOCK", "SOCK_STREAM"),
            ("netlink", "opens a socket to the kernel's own tables", "AF_NETLINK", "SOCK_RAW"),
            ("kernel-crypto", "opens a socket to the kernel's ciphers", "AF_ALG", "SOCK_SEQPACKET"),
        )
    ),
    calls("ptrace", "ptrace parent", "traces its parent, or else a child of its own", PTRACE),
    calls("reads-memory", "ptrace parent", "reads the memory of another process", READ_MEMORY),
    Case(
        "kills-everything",
        "kill(-1)",
        "a cell ends every process that it may",
        "one process table",
        "import os, signal\nos.kill(-1, signal.SIGKILL)",
    ),
    Case(
        "kills-everything-when-asked",
        "kill(-1)",
        "the function ends every process that it may",
        "one process table",
        step="import os, signal, time\nos.kill(-1, signal.SIGKILL)\ntime.sleep(2)\nreturn 0 * theta",
        kind="ended",
    ),
    Case(
        "daemon",
        "setsid daemon that outlives the run",
        "leaves a process behind that belongs to nobody",
        "no walls",
        DAEMON,
        fools="outlives",
    ),
    calls("unshare", "unshare", "makes itself root of a namespace of its own", UNSHARE),
    Case(
        "clone",
        "unshare",
        "starts a child in a namespace of its own",
        "no filter",
        CLONE,
        says="Operation not permitted",
    ),
    calls("mount", "mount", "mounts a folder, as root of its own namespace", MOUNT),
    calls("chroot", "chroot", "changes its root, as root of its own namespace", CHROOT),
    calls("bpf", "bpf", "loads a map into the kernel", BPF),
    calls("perf", "bpf", "watches the processor's counters", PERF),
    calls("io-uring", "io_uring", "opens a queue of calls that no filter sees", IO_URING),
    calls("keyring", "keyring", "leaves a key with the kernel", KEYRING),
    Case(
        "symlink",
        "symlink where the grader will write",
        "puts a link to the gradebook where a page will be written",
        "no walls",
        SYMLINK,
        says="No such file",
    ),
    *(
        Case(
            f"{verb}-{name}",
            "notes left in /tmp, /dev/shm for the next submission",
            f"{does} {place}",
            "no walls",
            NOTE.replace("{place}", place),
            fools="second time",
        )
        for name, place in (("tmp", "/tmp"), ("shm", "/dev/shm"))
        for verb, does in (("leaves-a-note-in", "leaves the answer in"), ("looks-for-a-note-in", "looks for it in"))
    ),
    *(
        Case(
            id,
            "notes left in /tmp, /dev/shm for the next submission",
            does,
            "no walls",
            SEGMENT,
            fools="second time",
        )
        for id, does in (
            ("leaves-a-shared-segment", "leaves the answer in System V's shared memory"),
            ("looks-for-a-shared-segment", "looks for it there"),
        )
    ),
    Case(
        "locks",
        "file locks",
        "locks the gradebook and leaves somebody holding it",
        "no walls",
        LOCK,
        says="No such file",
    ),
    Case(
        "descriptors",
        "open descriptors of the parent",
        "walks what is open, for a file that the grader holds",
        "open descriptors",
        DESCRIPTORS,
    ),
)
