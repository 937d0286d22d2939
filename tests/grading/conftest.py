"""A real PostgreSQL server for the tests that need one: Debian's package, in a folder of its own, as an ordinary user."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

GRADER = "grader"
STARTS_WITHIN = 60.0


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[..., str]]:
    """Makes databases on a server of ours, empty ones or like another: postgres() -> its URL.

    The password is not in it, but in $PGPASSFILE.
    """
    folder = Path(tempfile.mkdtemp(prefix="gdlab-postgres-", dir="/tmp"))  # short: a socket's path has 107 bytes
    kept = os.environ.get("PGPASSFILE")
    try:
        port = _free_port()
        server = _server(folder, port)
        os.environ["PGPASSFILE"] = str(folder / "pgpass")
        try:
            address = f"{GRADER}@127.0.0.1:{port}"
            _wait_until_ready(server, f"postgresql+psycopg://{address}/postgres", folder / "log")
            numbers = count()

            def new_database(like: str = "") -> str:
                name, template = f"course{next(numbers)}", like.rpartition("/")[2] or "template1"
                ask(f"postgresql+psycopg://{address}/postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
                return f"postgresql://{address}/{name}"

            yield new_database
        finally:
            server.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown": it ends whoever is still connected
            server.wait(STARTS_WITHIN)
    finally:
        os.environ.pop("PGPASSFILE")
        if kept is not None:
            os.environ["PGPASSFILE"] = kept
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def ask_database() -> Callable[..., list]:
    """Ask a database: ask_database(url, question) -> its rows."""
    return lambda url, question: ask(url.replace("postgresql://", "postgresql+psycopg://"), question)


def ask(url: str, question: str) -> list:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            answer = connection.execute(text(question))
            return [tuple(row) for row in answer] if answer.returns_rows else []
    finally:
        engine.dispose()


def _server(folder: Path, port: int) -> subprocess.Popen:
    """A PostgreSQL server with a password, reachable over loopback alone; root is not allowed to run it."""
    [*_, programs] = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    who = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(folder, user.pw_uid, user.pw_gid)
    password = secrets.token_hex(16)
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o644)
    (folder / "pgpass").write_text(f"127.0.0.1:{port}:*:{GRADER}:{password}\n")
    (folder / "pgpass").chmod(0o600)
    make = [programs / "initdb", "--pgdata", folder / "data", "--username", GRADER, "--pwfile", folder / "password"]
    make += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
    subprocess.run(make, check=True, capture_output=True, cwd="/", **who)
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off"}
    command = [programs / "postgres", "-D", folder / "data"]
    command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **who)


def _wait_until_ready(server: subprocess.Popen, url: str, log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            ask(url, "SELECT 1")
            return
        except Exception as error:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-2000:]}") from error
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
