"""Judging on a Dask cluster: workers on any number of machines make their own boxes, and this process alone records.

    gdlab grade  ──tasks──>  scheduler  ──>  workers, each with a fork server and boxes of its own
       │ <──────────────────judged notebooks─────────────┘
       └──> ledger and gradebook

A task carries all that a judgement depends on, so it does not matter which worker judges it, nor how often it has to be
begun: Dask hands what a lost worker had in hand to another, and what comes back is recorded once. Every task also
carries the versions of this machine, and a worker with others refuses it.

Source: Dask, "Resilience" and `distributed.Client.submit`.
"""

import hashlib
import os
import platform
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import gdlab
from gdlab.grading.box import Limits, NoSandbox
from gdlab.grading.judging import Judged
from gdlab.grading.walled_box import WalledBox
from gdlab.grading.warm import ForkServer
from gdlab.grading.workers import Judges, Task, import_installed, judge_task
from gdlab.installed import installed_versions

if TYPE_CHECKING:
    from distributed import Client, Future

LOCAL = "local"
ANSWERS_WITHIN = 20.0  # seconds until a scheduler has answered
NOBODY_FOR = 60.0  # seconds without a single worker
LOOK_EVERY = 2.0  # seconds between looks at whether anybody is left
PACKAGES = ("distributed", "numpy", "matplotlib", "ipython", "torch")
JUDGING = (
    "assignments",
    "data",
    "grading",
    "judge",
    "objectives",
    "torch",
)  # and the mathematics; not book, not figures
MATHEMATICS = ("batching", "counting", "diagnose", "loop", "rules", "schedules")


class NoCluster(Exception):
    """There is no cluster to judge on (any more); the message says why and what to do."""


def on_a_cluster(address: str, limits: Limits, workers: int = 1, nobody_for: float = NOBODY_FOR) -> Judges:
    """Judge on the workers of a Dask scheduler.

    Args:
        address: the scheduler's, as tcp://10.0.0.5:8786; "local" starts one with workers of its own on this machine.
        limits: what the judges hold submissions to.
        workers: how many a local cluster gets.
        nobody_for: how many seconds a cluster may be without any worker.
    """

    def judge_all(tasks: Iterable[Task], heavy: Sequence[str] = ()) -> Iterator[tuple[int, Judged]]:
        with _client(address, workers) as client:
            try:
                _require_same_versions(client)
                yield from _judge_all(client, tasks, limits, tuple(heavy), nobody_for)
            except (OSError, CancelledError) as error:
                raise NoCluster(
                    f"The Dask scheduler at {address} has gone. What was judged so far is kept: "
                    "start it, and run the same command."
                ) from error

    return judge_all


def require_dask() -> None:
    """Raises `NoCluster` where Dask is not installed."""
    if find_spec("distributed") is None:
        raise NoCluster("--dask needs Dask's distributed: install it with pip install 'gdlab[dask]'.")


@contextmanager
def _client(address: str, workers: int) -> Iterator["Client"]:
    require_dask()
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message=".*Mismatched versions"
            )  # looked at below, and said in a sentence
            if address == LOCAL:
                cluster = LocalCluster(
                    n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
                )
                address = stack.enter_context(cluster).scheduler_address
            try:
                client = Client(address, timeout=ANSWERS_WITHIN)
            except (OSError, ValueError) as error:
                reason = str(error).strip().partition("\n")[0]
                raise NoCluster(
                    f"No Dask scheduler answers at {address} ({reason}). Start one with dask scheduler, and workers "
                    "with dask worker."
                ) from error
        yield stack.enter_context(client)


def _judge_all(
    client: "Client", tasks: Iterable[Task], limits: Limits, heavy: tuple[str, ...], nobody_for: float
) -> Iterator[tuple[int, Judged]]:
    """Twice as many tasks are on their way as there are workers, so that a large class takes no more memory than a small one."""
    from distributed import wait

    left, ours = iter(tasks), versions()
    running: dict[Future, int] = {}
    last_seen = time.monotonic()
    while True:
        workers = len(client.nthreads())
        last_seen = time.monotonic() if workers else last_seen
        for task in islice(left, max(0, 2 * max(workers, 1) - len(running))):
            packed = msgspec.msgpack.encode(task)
            running[client.submit(judge_here, packed, limits, heavy, ours, pure=False)] = task.number
        if not running:
            return
        try:
            done = wait(list(running), timeout=LOOK_EVERY, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            if time.monotonic() - last_seen > nobody_for:
                raise NoCluster(
                    f"The Dask cluster has had no worker for {nobody_for:g} seconds. What was judged so far is kept: "
                    "start workers, and run the same command."
                ) from None
            continue
        for future in done:
            yield running.pop(future), _judged(future)


def _judged(future: "Future") -> Judged:
    from distributed import KilledWorker

    try:
        return msgspec.msgpack.decode(future.result(), type=Judged)
    except KilledWorker as error:
        raise NoCluster(
            "Worker after worker was ended with the same notebook in hand; is there too little memory? What was judged "
            "so far is kept."
        ) from error


_at_work: dict[tuple[str, ...], ForkServer] = {}
_ONE_THREAD = ThreadPoolExecutor(1, "judge")  # walls and their mounts belong to the thread that raised them


def judge_here(task: bytes, limits: Limits, heavy: tuple[str, ...], wanted: dict[str, str]) -> bytes:
    """Judge a task in a worker process, one at a time, in boxes of its own fork server."""
    if wrong := _difference(wanted, versions()):
        raise NoCluster(f"The Dask worker on {platform.node()} has {wrong}. Install the same gdlab everywhere.")
    try:
        return _ONE_THREAD.submit(_judge, msgspec.msgpack.decode(task, type=Task), limits, heavy).result()
    except NoSandbox as error:
        raise NoSandbox(f"On {platform.node()}: {error}") from None


def _judge(task: Task, limits: Limits, heavy: tuple[str, ...]) -> bytes:
    if heavy not in _at_work:
        _at_work[heavy] = server = ForkServer(heavy)
        server.start()
        import_installed(heavy)  # while the server does the same: the judge needs what the notebooks need
    server = _at_work[heavy]
    return msgspec.msgpack.encode(judge_task(task, lambda: WalledBox(limits, server.raise_walls)))


@cache
def versions() -> dict[str, str]:
    """What verdicts depend on, as it is on this machine: gdlab's own source to the last letter, and what it runs on."""
    folder = Path(gdlab.__file__).parent
    files = [folder / f"{name}.py" for name in MATHEMATICS]
    files += [path for name in JUDGING for path in sorted((folder / name).rglob("*.py"))]
    return {"gdlab": _source_hash(folder, files), **installed_versions(PACKAGES)}


def _source_hash(folder: Path, files: Iterable[Path]) -> str:
    """Of what files hold, and of where they lie in a folder: a version number stays the same while one is being worked on."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(os.fsencode(path.relative_to(folder)) + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _difference(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """What is not the same, in words; "" where all is."""
    return ", ".join(
        f"{name} {theirs.get(name) or 'none'} where this machine has {mine or 'none'}"
        for name, mine in ours.items()
        if theirs.get(name) != mine
    )


def _require_same_versions(client: "Client") -> None:
    """Hold scheduler and workers against this machine; raises `NoCluster`. Workers that come later look for themselves."""
    try:
        found = {"scheduler": client.run_on_scheduler(versions)}
        found |= {f"worker at {address}": theirs for address, theirs in client.run(versions).items()}
    except (ImportError, AttributeError) as error:
        raise NoCluster(
            f"The Dask cluster lacks what judging needs ({error}). Install the same gdlab on scheduler and workers."
        ) from error
    for who, theirs in found.items():
        if wrong := _difference(versions(), theirs):
            raise NoCluster(f"The Dask {who} has {wrong}. Install the same gdlab everywhere.")
