"""The instructors' guide: its commands do what they say, its files are what systemd and cron take, its plan is computed."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from distributed import Client
from nbgrader.api import Gradebook

from gdlab.grading.database import database_url
from gdlab.grading.ledger import Ledger

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
PAGE = Path(__file__).parents[2] / "book" / "guide-instructors.ipynb"
SERVICE = PAGE.parent / "service"
CELLS = json.loads(PAGE.read_text(encoding="utf-8"))["cells"]
TEXT = "\n\n".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
BLOCKS = re.findall(r"```\{code-block\} bash\n:class: ([\w -]+)\n(.*?)```", TEXT, re.DOTALL)
SERVER, SCHEDULER = "postgresql://grader@db.example.org/autumn", "tcp://10.0.0.5:8786"
LEARNERS = ("amara", "gustav", "noor")
POINTS = {"amara": 20, "gustav": 0, "noor": 3}
PROGRAMS = Path(sys.executable).parent


def run(commands: str, folder: Path, **replaced: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-euc", _replaced(commands, replaced)],
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def _replaced(commands: str, replaced: dict[str, str]) -> str:
    for name, address in {SERVER: replaced.get("server"), SCHEDULER: replaced.get("scheduler")}.items():
        commands = commands.replace(name, address or name)
    return commands


def _environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def place(root, tmp_path_factory):
    """A folder with a class in it, as the guide has it."""
    folder = tmp_path_factory.mktemp("guide")
    for student in LEARNERS:
        source = root / "tests" / "sample_class" / "submitted" / student
        shutil.copytree(source, folder / "submitted" / student)
    return folder


@pytest.fixture(scope="module")
def scheduler(place):
    """The cluster that the guide starts, on this machine alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    [commands] = [text for kind, text in BLOCKS if kind == "starts"]
    running = []
    try:
        for line in _replaced(commands, {"scheduler": address}).splitlines():
            log = (place / f"{len(running)}.log").open("wb")
            with log:
                running.append(
                    subprocess.Popen(
                        ["bash", "-c", f"exec {line}"],
                        cwd=place,
                        env=_environment(),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        with Client(address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
        yield address
    finally:
        for process in reversed(running):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


@pytest.fixture(scope="module")
def done(place, scheduler):
    """What came of the commands that need no database server, in their order."""
    return [(text, run(text, place, scheduler=scheduler)) for kind, text in BLOCKS if kind == "runs"]


def scores(url: str) -> dict[str, float]:
    with Gradebook(database_url(url)) as book:
        return {one.student.id: one.score for one in book.assignment_submissions("update_rule")}


def test_the_guides_commands_run_as_they_stand_there(done):
    assert len(done) == 4
    for commands, process in done:
        assert (process.returncode, process.stderr) == (0, ""), commands


def test_they_grade_the_class_report_on_it_and_back_it_up(done, place):
    assert scores(f"sqlite:///{place}/results/gradebook.db") == POINTS
    assert scores(f"sqlite:///{place}/backup.db") == POINTS
    assert (place / "results" / "report.html").is_file()


@pytest.mark.system
def test_the_way_to_a_server_and_back_is_as_the_guide_says(done, place, postgres):
    server = postgres()
    blocks = [text for kind, text in BLOCKS if kind == "runs on-a-server"]
    assert len(blocks) == 2
    for commands in blocks:
        process = run(commands, place, server=server)
        assert (process.returncode, process.stderr) == (0, ""), commands
    assert scores(server) == POINTS and scores(f"sqlite:///{place}/from-the-server.db") == POINTS
    with Gradebook(database_url(server)) as book:
        assert len(list(Ledger(book.db).standing())) == len(LEARNERS)


def test_every_option_and_command_that_the_guide_names_is_there(root):
    said = TEXT + "".join(path.read_text(encoding="utf-8") for path in SERVICE.iterdir())
    commands = set(re.findall(r"(?:`|^|bin/)gdlab ((?:db )?[a-z]+)", said, re.MULTILINE))
    assert {"grade", "doctor", "class", "report", "forget", "db copy", "db upgrade"} <= commands
    for command in sorted(commands):
        help_ = run(f"gdlab {command} --help", root)
        assert help_.returncode == 0, f"gdlab {command}"


@pytest.mark.system
@pytest.mark.parametrize("unit", ["gdlab-grade.service", "gdlab-grade.timer"])
def test_systemd_finds_no_fault_with_the_units(unit, tmp_path):
    """Where the guide's programs would lie, this environment's do."""
    for name in ("gdlab-grade.service", "gdlab-grade.timer"):
        text = (SERVICE / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/srv/gdlab/course/.venv/bin", str(PROGRAMS)))
    checked = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / unit], capture_output=True, text=True, check=False, timeout=60
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_line_for_cron_is_a_line_for_cron(place, done):
    lines = (SERVICE / "crontab").read_text().splitlines()
    [line] = [line for line in lines if not line.startswith("#")]
    [grades] = [line.removeprefix("# ") for line in lines if line.startswith("# *")]
    unit = (SERVICE / "gdlab-grade.service").read_text()
    assert f"ExecStart={grades.partition('nice ')[2]}\n" in unit and grades.startswith("*/15 * * * * umask 077; ")
    *when, command = line.split(maxsplit=5)
    assert when == ["15", "3", "*", "*", "*"]
    assert not re.search(r"(?<!\\)%", command)  # cron takes what follows for the command's input
    here = {"/srv/gdlab/course/.venv/bin": PROGRAMS, "/srv/gdlab/autumn": place / "results", "/srv/gdlab": place}
    command = command.replace(r"\%", "%")
    for there, path in here.items():
        command = command.replace(there, str(path))
    assert run(command, place).returncode == 0
    [backup] = (place / "backup").iterdir()
    assert re.fullmatch(r"gradebook-\d{4}-\d\d-\d\d\.db", backup.name) and scores(f"sqlite:///{backup}") == POINTS


@pytest.fixture(scope="module")
def plan():
    """The page's own cells, run where the page lies."""
    names = {"print": lambda *_: None}
    before = os.getcwd()
    os.chdir(PAGE.parent)
    try:
        for cell in CELLS:
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), names)
    finally:
        os.chdir(before)
    return names


def test_the_plan_is_made_of_what_was_measured(plan, root):
    measured = json.loads((root / "benchmarks" / "grading.json").read_text())
    [two] = [c for c in measured["costs"] if c["way"] == "ours, two workers" and c["assignment"] == "update_rule"]
    hours, core_hours, _ = plan["plan"]("update_rule", 2)
    assert hours * 3600 == pytest.approx(plan["notebooks"] * two["seconds_each"])  # as fast as it was measured
    assert core_hours == pytest.approx(2 * hours)


@pytest.mark.parametrize("assignment", ["update_rule", "training_loop"])
def test_more_cores_help_until_one_grader_cannot_record_faster(assignment, plan):
    hours = [plan["plan"](assignment, cores)[0] for cores in (1, 2, 4, 1000, 2000)]
    assert hours[0] == pytest.approx(2 * hours[1]) == pytest.approx(4 * hours[2])
    assert hours[3] == hours[4] and plan["plan"](assignment, 1000)[2] == "recording"
    assert plan["plan"](assignment, 1000, graders=2)[0] < hours[3]
