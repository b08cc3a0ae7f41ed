"""A folder over HTTP on loopback, as a channel's server does it: ETags and 304; `python -m benchmarks.server FOLDER`.

A process of its own, so that what it does is no part of what is measured. The first line it prints is its address.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD with files below `folder`."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.folder / self.path.partition("?")[0].lstrip("/")
        if not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        found = path.stat()
        etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
        same = self.headers.get("If-None-Match") == etag
        self.send_response(304 if same else 200)
        self.send_header("ETag", etag)
        self.send_header("Last-Modified", self.date_time_string(int(found.st_mtime)))
        if same:
            self.end_headers()
            return
        self.send_header("Content-Length", str(found.st_size))
        self.end_headers()
        if self.command == "GET":
            with path.open("rb") as stream, contextlib.suppress(OSError):
                shutil.copyfileobj(stream, self.wfile, 1 << 20)


class QuietServer(ThreadingHTTPServer):
    """Does not complain about clients that hang up."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, served for the length of a `with` block."""
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        yield child.stdout.readline().strip()
    finally:
        child.terminate()
        child.communicate()


def main() -> None:
    Handler.folder = Path(sys.argv[1])
    server = QuietServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
