"""The lean way to ask whether a document has changed: only a plain 304 is understood, all else goes the long way."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.net.auth import Credentials
from kaa.net.client import HttpClient
from kaa.net.settings import HttpSettings
from kaa.net.transport import Request
from kaa.net.unchanged import LARGEST_HEAD, find_unchanged, parse_head
from tests.channels import serve

NOT_MODIFIED = b'HTTP/1.1 304 Not Modified\r\nETag: "b"\r\nCache-Control: max-age=7\r\n\r\n'


@contextlib.contextmanager
def answering(answer: bytes, *, close: bool = True) -> Iterator[tuple[str, list[bytes]]]:
    """A server that says the same to everyone; yields its address, and what it was told."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []
    done = threading.Event()

    def work() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    heard.append(connection.recv(1 << 16))
                    with contextlib.suppress(OSError):
                        connection.sendall(answer)
                    if not close:
                        done.wait(10)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def ask(url: str, headers: dict[str, str] | None = None) -> object:
    request = Request("GET", f"{url}/repodata.json", headers or {"If-None-Match": '"a"'}, "shown")
    return find_unchanged(request, connect_timeout=5, read_timeout=0.3)


def test_not_modified_is_understood() -> None:
    with answering(NOT_MODIFIED) as (url, heard):
        found = find_unchanged(
            Request("GET", f"{url}/a/b.json?x=1", {"If-None-Match": '"b"', "User-Agent": "kaa"}, "shown"),
            connect_timeout=5,
            read_timeout=5,
        )
        assert found is not None
        with contextlib.closing(found):
            assert (found.status, dict(found.headers)) == (304, {"etag": '"b"', "cache-control": "max-age=7"})
    [question] = heard
    assert question.startswith(b"GET /a/b.json?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b'If-None-Match: "b"\r\n' in question
    assert question.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 301 Moved\r\nLocation: /other\r\n\r\n",
        b"HTTP/1.1 503 Later\r\nRetry-After: 1\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag: cut off",
        b"HTTP/1.1 304 Not Modified\r\nno header\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nETag : space\r\n\r\n",
        b"HTTP/2 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 3\xb24 Not Modified\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nX: " + b"x" * LARGEST_HEAD + b"\r\n\r\n",
    ],
    ids=lambda answer: ascii(answer[:40]),
)
def test_anything_else_is_left_to_the_library(answer: bytes) -> None:
    with answering(answer) as (url, _):
        assert ask(url) is None


def test_a_server_that_stalls_is_left_to_the_library() -> None:
    with answering(b"HTTP/1.1 304", close=False) as (url, _):
        assert ask(url) is None


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert ask(f"http://127.0.0.1:{port}") is None


@pytest.mark.parametrize("bad", ["a\r\nX-Evil: 1", "a\nb", "\u20ac"])
def test_headers_cannot_be_smuggled(bad: str) -> None:
    with answering(NOT_MODIFIED) as (url, heard):
        assert ask(url, {"If-None-Match": bad}) is None
        assert heard == []


@given(st.binary(max_size=300))
def test_no_head_breaks_the_reader(received: bytes) -> None:
    found = parse_head(received)
    assert found is None or 0 <= found[0] <= 999


PROGRAM = """
import sys
from kaa.net.client import HttpClient
with HttpClient() as client, client.open(sys.argv[1], headers={"If-None-Match": sys.argv[2]}) as response:
    content = b"".join(response.iter_bytes())
    print(response.status, len(content), "urllib3" in sys.modules)
"""


def test_the_client_loads_the_library_only_for_what_is_new(tmp_path: Path) -> None:
    (tmp_path / "repodata.json").write_text("{}")
    with serve(tmp_path) as server, HttpClient() as client:
        url = f"{server.url}/repodata.json"
        etag = client.get(url).headers["etag"]

        def run(known: str) -> str:
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, url, known], capture_output=True, text=True, check=True
            )
            return done.stdout.strip()

        assert run(etag) == "304 0 False"
        assert run('"older"') == "200 2 True"


def test_credentials_and_proxies_are_as_for_every_request(tmp_path: Path) -> None:
    (tmp_path / "repodata.json").write_text("{}")
    with serve(tmp_path) as server:
        server.token = "tk-1"
        credentials = Credentials()
        url = credentials.add_url(f"{server.url}/t/tk-1/repodata.json")
        with HttpClient(HttpSettings(), credentials) as client:
            etag = client.get(url).headers["etag"]
        with HttpClient(HttpSettings(), credentials) as client:
            assert client.get(url, headers={"If-None-Match": etag}).status == 304
        with socket.create_server(("127.0.0.1", 0)) as taken:
            proxy = f"http://127.0.0.1:{taken.getsockname()[1]}"
        before = len(server.requests)
        settings = HttpSettings(proxies={"http": proxy}, max_retries=0)
        with HttpClient(settings, credentials) as client, pytest.raises(Exception, match="proxy"):
            client.get(url, headers={"If-None-Match": etag})
        assert len(server.requests) == before
