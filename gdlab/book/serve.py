"""Serve the built book on this machine alone."""

import errno
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gdlab.book.build import BookError


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):  # a reader has no use for a line per request
        pass

    def end_headers(self):
        self.send_header("Cache-Control", "no-cache")  # a rebuilt page must show at the next look
        super().end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):  # a closed browser tab is no error
        pass


def open_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server for a built book on 127.0.0.1, not yet running; port 0 takes any free one.

    Raises:
        BookError: if there is no book, or the port is not to be had.
    """
    if not (Path(folder) / "index.html").is_file():
        raise BookError(f"There is no built book in {folder}: build it first with make course.")
    try:
        return _Server(("127.0.0.1", port), partial(_QuietHandler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        why = "is taken by another program" if taken else f"cannot be used ({error})"
        raise BookError(
            f"Port {port} {why}: choose another one with --port, for example --port {port + 1} (or make course PORT={port + 1})."
        ) from error


def serve_book(folder: Path, port: int, tell: Callable[[str], None] = lambda url: None) -> None:
    """Serve a built book on 127.0.0.1 until Ctrl-C; `tell` is called with its address once it answers.

    Raises:
        BookError: if there is no book, or the port is not to be had.
    """
    with open_server(folder, port) as server, suppress(KeyboardInterrupt):
        tell(f"http://127.0.0.1:{server.server_port}")
        server.serve_forever()
