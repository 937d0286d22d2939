"""Judging on a Dask cluster: real schedulers and workers, each a process of its own; one may be killed, and nothing is lost."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress

import pytest
from distributed import Client
from nbgrader.api import Gradebook

from gdlab.grading import dask_workers
from gdlab.grading.box import Limits
from gdlab.grading.class_run import ClassRun
from gdlab.grading.dask_workers import NoCluster, on_a_cluster, require_dask
from gdlab.grading.ledger import Ledger
from gdlab.grading.workers import Task, in_warm_boxes

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
LIMITS = Limits()
STARTS_WITHIN = 60.0
SEED = 7


class Cluster:
    """A scheduler on the loopback address, and workers, as `dask scheduler` and `dask worker` start them."""

    def __init__(self, folder, **environment):
        self.folder, self.address = folder, f"tcp://127.0.0.1:{_free_port()}"
        self.processes: list[subprocess.Popen] = []
        self.scheduler = self._start("scheduler", "--no-dashboard", "--no-show", "--host", self.address, **environment)

    def add_worker(self, **environment) -> subprocess.Popen:
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder)]
        return self._start("worker", self.address, *options, **environment)

    def _start(self, *command: str, **environment) -> subprocess.Popen:
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *command],
                env=os.environ | environment,
                cwd="/",  # python -m looks in its own folder first
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in reversed(self.processes):
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(folder, workers=0, **environment):
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder, **environment)
    try:
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running(tmp_path_factory.mktemp("cluster"), workers=2) as cluster:
        yield cluster


def graded(root, submitted, out, judges) -> dict:
    """What every learner gets, to the last word of every verdict."""
    run = ClassRun(submitted, out, root / "solutions", judges, LIMITS, seed=SEED)
    verdicts = {one.submission.student: one.verdicts for one in run.grade(run.find())}
    assert run.problems == []
    return verdicts


@pytest.fixture(scope="module")
def wanted(root, tmp_path_factory):
    """The sample class's verdicts, judged without Dask."""
    submitted = root / "tests" / "sample_class" / "submitted"
    return graded(root, submitted, tmp_path_factory.mktemp("calm"), in_warm_boxes(LIMITS, 2))


def judgements(out) -> Counter:
    with Gradebook(f"sqlite:///{out / 'gradebook.db'}") as book:
        return Counter(entry.student for entry in Ledger(book.db).standing())


def test_a_cluster_judges_as_this_machine_does(root, tmp_path, cluster, wanted):
    submitted = root / "tests" / "sample_class" / "submitted"
    assert graded(root, submitted, tmp_path, on_a_cluster(cluster.address, LIMITS)) == wanted
    assert judgements(tmp_path) == dict.fromkeys(wanted, 1)


def test_a_worker_that_is_killed_takes_nothing_with_it(root, tmp_path, wanted):
    submitted = root / "tests" / "sample_class" / "submitted"
    with running(tmp_path / "cluster") as cluster:
        workers = [cluster.add_worker(), cluster.add_worker()]
        judges, came = on_a_cluster(cluster.address, LIMITS), []

        def killing(tasks, heavy=()):
            for number, judged in judges(tasks, heavy):
                came.append(number)
                if len(came) == 3:
                    os.kill(workers[0].pid, signal.SIGKILL)
                yield number, judged

        assert graded(root, submitted, tmp_path / "out", killing) == wanted
    assert workers[0].returncode == -signal.SIGKILL
    assert Counter(came) == dict.fromkeys(came, 1) and len(came) == len(wanted)


def test_a_local_cluster_needs_no_address(tmp_path):
    """In a program of its own: Dask starts its workers as copies of what is being run."""
    program = (
        "from gdlab.grading.box import Limits\nfrom gdlab.grading.dask_workers import on_a_cluster\n"
        "from gdlab.grading.workers import Task\n"
        "if __name__ == '__main__':\n"
        "    tasks = [Task(n, 'update_rule', ('x = 1',), (), (), 1) for n in range(3)]\n"
        "    print(sorted(number for number, judged in on_a_cluster('local', Limits(), 2)(tasks)))\n"
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.strip() == "[0, 1, 2]", done.stderr


def test_the_command_says_where_it_judges(root, tmp_path, cluster, hand_in):
    hand_in(tmp_path / "submitted", "ada")
    command = ["grade", str(tmp_path / "submitted"), "--out", str(tmp_path / "out"), "--dask", cluster.address]
    done = subprocess.run(
        [sys.executable, "-c", "from gdlab.cli import main; main()", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0 and "1 submissions, on a Dask cluster" in done.stdout, done.stderr
    assert done.stderr == "" and judgements(tmp_path / "out") == {"ada": 1}


@pytest.mark.parametrize("who", ["scheduler", "worker"])
def test_another_gdlab_anywhere_is_refused(who, root, tmp_path):
    shutil.copytree(root / "gdlab", tmp_path / "older" / "gdlab", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "older" / "gdlab" / "rules.py").write_text("# a line that this machine's has not")
    other = {"PYTHONPATH": str(tmp_path / "older")}
    with running(tmp_path, **(other if who == "scheduler" else {})) as cluster:
        cluster.add_worker(**(other if who == "worker" else {}))
        _wait_for_workers(cluster, 1)
        with pytest.raises(NoCluster, match=rf"The Dask {who} .*has gdlab \w+ where this machine has \w+\. Install"):
            list(on_a_cluster(cluster.address, LIMITS)([]))


def _wait_for_workers(cluster: Cluster, count: int) -> None:
    with Client(cluster.address, timeout=STARTS_WITHIN, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=STARTS_WITHIN)


TASK = Task(0, "update_rule", ("x = 1",), (), (), 1)


def test_a_worker_that_comes_later_with_another_gdlab_refuses_by_itself():
    with pytest.raises(NoCluster, match=r"The Dask worker on .* has numpy .* where this machine has 0\.1"):
        dask_workers.judge_here(b"", LIMITS, (), dask_workers.versions() | {"numpy": "0.1"})


def test_no_scheduler_is_said(monkeypatch):
    monkeypatch.setattr(dask_workers, "ANSWERS_WITHIN", 1.0)
    with pytest.raises(NoCluster, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:1 .*dask scheduler"):
        list(on_a_cluster("tcp://127.0.0.1:1", LIMITS)([TASK]))


def test_a_cluster_without_workers_is_not_waited_for_for_ever(tmp_path):
    with running(tmp_path) as cluster, pytest.raises(NoCluster, match="has had no worker for 1 seconds"):
        list(on_a_cluster(cluster.address, LIMITS, nobody_for=1.0)([TASK]))


def test_a_scheduler_that_is_killed_ends_the_run_with_a_sentence(tmp_path):
    with running(tmp_path, workers=1) as cluster:
        results = on_a_cluster(cluster.address, LIMITS)(Task(n, *_rest(TASK)) for n in range(1000))
        next(results)
        cluster.scheduler.kill()
        until = time.monotonic() + STARTS_WITHIN
        with pytest.raises(NoCluster, match="has gone. What was judged so far is kept"):
            for _ in results:
                assert time.monotonic() < until


def _rest(task: Task) -> tuple:
    return tuple(getattr(task, name) for name in task.__struct_fields__[1:])


def test_a_missing_dask_is_said_with_what_to_install(monkeypatch):
    monkeypatch.setattr(dask_workers, "find_spec", lambda name: None)
    with pytest.raises(NoCluster, match=r"pip install 'gdlab\[dask\]'"):
        require_dask()
