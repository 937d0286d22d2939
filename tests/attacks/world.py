"""What lies outside the box, within reach of everybody on this machine: decoys that note whether they were touched.

A gradebook, a neighbour's submission, listeners, a process with a secret in its environment. What a submission that
got out does to them is seen here.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from corpus import DECOYS

ROOT = Path(__file__).resolve().parents[2]
SECRET = "the-secret-of-the-grader"


class World:
    """The decoys; `traces` says what happened to them."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="gdlab-outside-", dir="/tmp"))
        self.folder.chmod(0o777)
        self.heard: list[str] = []
        self._neighbour()
        self._gradebook()
        self._listen()
        # Its environment and its command line are there to be found.
        self.victim = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(600)", f"gdlab-victim-{self.port}"],
            env={"GDLAB_SECRET": SECRET},
        )
        # Held open and inheritable, as a careless grader would.
        self.secret_fd = os.open(self.folder / "gradebook.db", os.O_RDONLY)
        os.set_inheritable(self.secret_fd, True)

    def filled_in(self, text: str) -> str:
        """A submission's code with the places of this world's decoys."""
        places = (self.port, self.folder, ROOT, sys.prefix, self.victim.pid)
        for name, value in zip(DECOYS, places, strict=True):
            text = text.replace("{" + name + "}", str(value))
        return text

    def traces(self) -> list[str]:
        """Everything that somebody outside did to this world."""
        found = [f"heard {said!r}" for said in self.heard]
        found += [f"wrote {path}" for path in self._strangers()]
        found += [f"left process {pid}" for pid in self.daemons()]
        if self.victim.poll() is not None:
            found.append("ended a process")
        with contextlib.closing(sqlite3.connect(self.folder / "gradebook.db")) as book:
            found += [f"scored {points}" for (points,) in book.execute("select points from grades where points != 3")]
        with open(self.folder / "gradebook.db", "rb") as book:
            try:
                fcntl.flock(book, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append("locked the gradebook")
        if self._segment() >= 0:
            found.append("left a shared segment")
        return found

    def wait_until_heard(self, seconds: float = 10.0) -> bool:
        """Whether a listener heard anything, once its thread has had its turn."""
        deadline = time.monotonic() + seconds
        while not self.heard and time.monotonic() < deadline:
            time.sleep(0.01)
        return bool(self.heard)

    def daemons(self) -> list[int]:
        """The processes that a submission of this world left behind."""
        found = []
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if place.read_bytes().startswith(f"gdlab-daemon-{self.port}".encode()):
                    found.append(int(place.parent.name))
        return found

    def close(self) -> None:
        """Undo whatever a submission did where a wall was missing."""
        for pid in self.daemons():
            os.kill(pid, 9)
        for path in self._notes():
            path.unlink(missing_ok=True)
        if self._segment() >= 0:
            ctypes.CDLL(None).shmctl(self._segment(), 0, None)
        self.victim.kill()
        self.victim.wait()
        os.close(self.secret_fd)
        for listener in self._listeners:
            listener.close()
        shutil.rmtree(self.folder)

    def _notes(self) -> list[Path]:
        return [Path(place, f"gdlab-note-{self.port}") for place in ("/tmp", "/dev/shm")]

    def _strangers(self) -> list[Path]:
        own = {"submitted", "gradebook.db", "socket"}
        return [path for path in self.folder.iterdir() if path.name not in own] + [
            p for p in self._notes() if p.exists()
        ]

    def _segment(self) -> int:
        """System V's shared memory under this world's key, or −1."""
        return ctypes.CDLL(None).shmget(self.port, 4096, 0)

    def _neighbour(self) -> None:
        place = self.folder / "submitted" / "neighbour" / "update_rule.ipynb"
        place.parent.mkdir(parents=True)
        place.write_text("the answer of another")

    def _gradebook(self) -> None:
        place = self.folder / "gradebook.db"
        with contextlib.closing(sqlite3.connect(place)) as book, book:
            book.execute("create table grades (student text, points real)")
            book.execute("insert into grades values (?, 3)", (SECRET,))
        place.chmod(0o666)

    def _listen(self) -> None:
        tcp = socket.create_server(("127.0.0.1", 0))
        self.port = tcp.getsockname()[1]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", self.port))
        path = str(self.folder / "socket")
        streams = [tcp, *map(_unix_listener, (f"\0gdlab-attack-{self.port}", path))]
        os.chmod(path, 0o777)
        self._listeners = [*streams, udp]
        for listener in streams:
            threading.Thread(target=self._hear_stream, args=(listener,), daemon=True).start()
        threading.Thread(target=self._hear_datagrams, args=(udp,), daemon=True).start()

    def _hear_stream(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # until it is closed
            while True:
                connection, _ = listener.accept()
                with connection:
                    self.heard.append(connection.recv(100).decode())

    def _hear_datagrams(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.heard.append(listener.recv(100).decode())


def _unix_listener(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    return listener
