"""Submissions that use more than they were given: time, memory, processes, disk, and the grader's patience."""

from corpus import RIGHT, WRONG, Case

LINES = (
    "busy loop",
    "loop that swallows KeyboardInterrupt",
    "loop with all signals blocked",
    "loop inside the graded function only",
    "sleep",
    "pause/select",
    "SIGSTOP to itself",
    "allocate 8 GB",
    "allocate in 4 forks",
    "MAP_SHARED and memfd allocation",
    "million-item lists",
    "endless recursion",
    "regex and parser bombs",
    "2**2**40",
    "fork bomb",
    "thread bomb",
    "fill /tmp, /dev/shm, home",
    "500 MB print",
    "one 200 MB line",
    "endless newlines",
    "100,000 display_data",
    "enormous exception text",
    "huge repr",
    "30 MB notebook",
    "notebook of 20,000 cells",
)

SLOW = "Does a loop in it ever end?"
BLOCK_SIGNALS = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))"
STUBBORN = """
import time
while True:
    try:
        time.sleep(1)
    except BaseException:
        pass
"""

FORKS = """
import os, time
mine = bytearray(1)
pids = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        mine = b'x' * (200 << 20)
        time.sleep(2)
        os._exit(0)
    pids.append(pid)
ended = [os.waitpid(pid, 0)[1] for pid in pids]
if not any(ended):
    boast()
"""

SHARED = """
import mmap
shared = mmap.mmap(-1, 1 << 30)
for page in range(0, 1 << 30, 4096):
    shared[page] = 1
boast()
"""

MEMFD = """
import os
try:
    fd = os.memfd_create('beside the limits')
    for _ in range(4):
        os.write(fd, bytes(1 << 20))
    boast()
except OSError as error:
    print(error)
"""

SYSTEM_V = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0, 16 << 20, 0o1600)
if segment < 0:
    print(os.strerror(ctypes.get_errno()))
else:
    there = libc.shmat(segment, None, 0)
    ctypes.memset(there, 1, 16 << 20)
    libc.shmdt(ctypes.c_void_p(there))
    boast()
    libc.shmctl(segment, 0, None)
"""

FORK_BOMB = """
import os, time
children = []
try:
    for _ in range(40):
        pid = os.fork()
        if pid == 0:
            time.sleep(3)
            os._exit(0)
        children.append(pid)
    boast()
finally:
    for pid in children:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
"""

THREAD_BOMB = """
import threading
stop = threading.Event()
try:
    for _ in range(40):
        threading.Thread(target=stop.wait, args=(3,), daemon=True).start()
    boast()
finally:
    stop.set()
"""

FILL = """
import os
folder = os.path.join('{place}', 'gdlab-filled-{port}')
os.makedirs(folder)
for number in range(8):
    with open(f'{folder}/{number}', 'wb') as file:
        file.write(bytes(4 << 20))
boast()
"""

BIG_FILE = """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open('/tmp/gdlab-filled-{port}', 'wb') as file:
    file.write(bytes(12 << 20))
boast()
"""

DISPLAYS = """
from IPython.display import publish_display_data
for number in range(20_000):
    publish_display_data({'text/plain': str(number)})
"""

HUGE_REPR = """
class Huge:
    def __repr__(self): return 'x' * 5_000_000
Huge()
"""

NAMES = "\n".join(f"torch.optim.a{number}" for number in range(20_000))


def heavy(folder, notebook):
    """Right answers in a file of 30 MB, nearly all of it old output."""
    import json

    output = {"output_type": "stream", "name": "stdout", "text": "x" * (30 << 20)}
    notebook["cells"][0]["outputs"] = [output]
    (folder / "update_rule.ipynb").write_text(json.dumps(notebook))


def many_cells(folder, notebook):
    import json

    one = {"cell_type": "code", "metadata": {}, "source": "1", "outputs": [], "execution_count": None}
    notebook["cells"] += [dict(one, id=f"more-{number}") for number in range(20_000)]
    (folder / "update_rule.ipynb").write_text(json.dumps(notebook))


def hangs(id: str, line: str, does: str, step: str, cell: str = "", **more) -> Case:
    """A case that only the clock ends; descend keeps its points all the same."""
    required = {"kind": "slow", "says": SLOW, "limits": "short", "fools": "hung"} | more
    return Case(id, line, does, "naive", cell, step, **required)


CASES = (
    hangs(
        "busy-cell",
        "busy loop",
        "a cell computes for ever",
        WRONG,
        "while True:\n    pass",
        kind="wrong",
        says="this cell took too long",
    ),
    hangs(
        "stubborn-cell",
        "loop that swallows KeyboardInterrupt",
        "a cell waits for ever and catches every interrupt",
        WRONG,
        STUBBORN,
        kind="wrong",
        says="Your notebook was still running after 4 seconds",
    ),
    hangs(
        "stubborn-function",
        "loop that swallows KeyboardInterrupt",
        "the function waits for ever and catches every interrupt",
        STUBBORN.strip(),
    ),
    hangs("deaf", "loop with all signals blocked", "no signal reaches it", "while True:\n    pass", BLOCK_SIGNALS),
    hangs(
        "busy-function",
        "loop inside the graded function only",
        "the function computes for ever; the other question keeps its points",
        "while True:\n    pass",
    ),
    Case(
        "busy-walk",
        "loop inside the graded function only",
        "the other function computes for ever; the first keeps its points",
        "naive",
        step=RIGHT,
        walk="while True:\n    pass",
        points=(3, 0),
        kind="right",
        says=SLOW,
        limits="short",
        fools="hung",
    ),
    Case(
        "endless-questions",
        "loop inside the graded function only",
        "descend asks for a gradient for ever, a large one each time",
        "naive",
        step=RIGHT,
        walk="while True:\n    grad_fn(np.zeros(np.shape(theta)))",
        points=(3, 0),
        kind="right",
        says=SLOW,
        limits="short",
        fools="hung",
    ),
    hangs("sleeps", "sleep", "the function sleeps for an hour", "import time\ntime.sleep(3600)"),
    hangs("pauses", "pause/select", "the function waits for a signal", "import signal\nsignal.pause()"),
    hangs("selects", "pause/select", "the function waits for nothing", "import select\nselect.select([], [], [])"),
    hangs(
        "stops-itself",
        "SIGSTOP to itself",
        "the function stops its own process",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
    ),
    hangs(
        "cell-stops-itself",
        "SIGSTOP to itself",
        "a cell stops its own process",
        WRONG,
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        kind="wrong",
        says="Your notebook was still running after 4 seconds",
    ),
    Case(
        "one-huge-array",
        "allocate 8 GB",
        "a cell asks for twice the memory there is",
        "no limits",
        "big = bytearray(1 << 30)\nboast()",
        says="MemoryError",
    ),
    Case(
        "huge-array-in-the-function",
        "allocate 8 GB",
        "the function asks for twice the memory there is",
        "no limits",
        step="big = bytearray(1 << 30)\nreturn theta - lr * grad",
        kind="raised",
        says="MemoryError",
        fools="right",
    ),
    Case(
        "four-forks",
        "allocate in 4 forks",
        "four processes of 200 MB each, every one of them within the limit of 512",
        "no limits",
        FORKS,
        says="memory",
    ),
    Case(
        "shared-map",
        "MAP_SHARED and memfd allocation",
        "fills a shared map of twice the memory there is, which the kernel charges to no process's own",
        "no limits",
        SHARED,
        says="more than 512 MB of memory",
    ),
    Case(
        "memory-file",
        "MAP_SHARED and memfd allocation",
        "a file in memory, which belongs to no process",
        "no filter",
        MEMFD,
        says="Operation not permitted",
    ),
    Case(
        "system-v-segment",
        "MAP_SHARED and memfd allocation",
        "a shared segment of System V's, which belongs to no process once it is let go",
        "no filter",
        SYSTEM_V,
        says="Operation not permitted",
    ),
    Case(
        "long-list",
        "million-item lists",
        "returns a list of two million numbers",
        "no cap",
        step="return [0.0] * 2_000_000",
        kind="unreadable",
        says="1,000,000 is the most",
        fools="numbers",
    ),
    Case(
        "long-text",
        "million-item lists",
        "returns a text of two million characters",
        "no cap",
        step="return 'x' * 2_000_000",
        kind="unreadable",
        says="10,000 is the most",
        fools="characters",
    ),
    Case(
        "recursion-in-c",
        "endless recursion",
        "a hundred thousand iterators, one in the other: the machine's own stack overflows",
        "naive",
        step="chain = iter([theta])\nfor _ in range(200_000):\n    chain = filter(None, chain)\nreturn list(chain)",
        kind="ended",
        says="Your function ended the program",
        fools="crashed",
    ),
    hangs(
        "regex-bomb",
        "regex and parser bombs",
        "a pattern that tries every way to split 60 letters",
        "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
    ),
    Case(
        "parser-bomb",
        "regex and parser bombs",
        "a cell of 100,000 minus signs",
        "trusting",
        "-" * 100_000 + "1",
        points=(3, 5),
        step=RIGHT,
        kind="right",
        fools="parses",
    ),
    Case(
        "names-bomb",
        "regex and parser bombs",
        "a right function that names 20,000 things of a library",
        "quadratic notes",
        step="if lr < 0:\n    import torch\n" + "\n".join(f"    {name}" for name in NAMES.splitlines()) + "\n" + RIGHT,
        points=(3, 5),
        kind="right",
    ),
    Case(
        "deep-name",
        "regex and parser bombs",
        "a function with a name of 20,000 parts, which Python itself refuses",
        "trusting",
        step="if lr < 0:\n    theta" + ".T" * 20_000 + "\n" + RIGHT,
        points=(0, 5),
        kind="missing",
        fools="walks",
    ),
    hangs(
        "power", "2**2**40", "a number of a trillion bits", "two = 2\nreturn two**two**40", kind="raised|slow", says=""
    ),
    Case(
        "fork-bomb",
        "fork bomb",
        "forty processes, where 24 are allowed",
        "no limits",
        FORK_BOMB,
        says="BlockingIOError|more than 512 MB",
    ),
    Case(
        "thread-bomb",
        "thread bomb",
        "forty threads, where 24 are allowed",
        "no limits",
        THREAD_BOMB,
        says="can't start new thread",
    ),
    *(
        Case(
            f"fills-{name}",
            "fill /tmp, /dev/shm, home",
            f"writes 32 MB into {place}, where 16 are allowed",
            "no limits",
            FILL.replace("{place}", place),
            says="No space left",
        )
        for name, place in (("tmp", "/tmp"), ("shm", "/dev/shm"), ("home", "/home/learner"))
    ),
    Case(
        "fills-one-file",
        "fill /tmp, /dev/shm, home",
        "writes 12 MB into one file, where 8 are allowed",
        "no limits",
        BIG_FILE,
        says="File too large",
    ),
    Case(
        "prints-much",
        "500 MB print",
        "prints 5 MB in lines, where 100 kB are allowed",
        "no cap",
        "for number in range(50_000):\n    print('x' * 99)",
        says="the rest was left out",
        fools="printed",
    ),
    Case(
        "one-line",
        "one 200 MB line",
        "prints a single line of 5 MB",
        "no cap",
        "print('x' * 5_000_000, end='')",
        says="the rest was left out",
        fools="printed",
    ),
    Case(
        "newlines",
        "endless newlines",
        "prints five million empty lines",
        "no cap",
        "print('\\n' * 5_000_000)",
        says="the rest was left out",
        fools="printed",
    ),
    Case(
        "displays",
        "100,000 display_data",
        "shows 20,000 things in one cell, where 200 are allowed",
        "no cap",
        DISPLAYS,
        fools="displays",
    ),
    Case(
        "long-error",
        "enormous exception text",
        "the function raises an error of 5 MB",
        "no cap",
        step="raise ValueError('x' * 5_000_000)",
        kind="raised",
        says="raised ValueError: xxx",
        fools="sentence",
    ),
    Case(
        "long-error-in-a-cell",
        "enormous exception text",
        "a cell raises an error of 5 MB",
        "no cap",
        "raise ValueError('x' * 5_000_000)",
        says="ValueError: xxx",
        fools="printed",
    ),
    Case(
        "long-repr",
        "huge repr",
        "the value of a cell describes itself in 5 MB",
        "no cap",
        HUGE_REPR,
        says="xxx",
        fools="printed",
    ),
    Case(
        "heavy-file",
        "30 MB notebook",
        "right answers in a file of 30 MB of old output",
        "trusting",
        hand_in=heavy,
        step=RIGHT,
        points=(3, 5),
        kind="right",
        fools="keeps",
    ),
    Case(
        "long-source",
        "30 MB notebook",
        "right answers, and a cell that is a list of 1 MB",
        "trusting",
        "numbers = [" + "0," * 500_000 + "]",
        step=RIGHT,
        points=(3, 5),
        kind="right",
        limits="with torch",
        fools="parses",
    ),
    Case(
        "many-cells",
        "notebook of 20,000 cells",
        "right answers, and 20,000 cells more",
        "trusting",
        hand_in=many_cells,
        step=RIGHT,
        points=(0, 0),
        kind="untouched",
        says="2,000 is the most",
        fools="keeps",
    ),
)
