"""Asking a server whether a document is still the same, without an HTTP library (RFC 9110, 304 Not Modified).

Most runs ask nothing else, and loading urllib3 and ssl takes twice as long as a solve. Only the one answer "304" over
plain HTTP is understood here; with any other the question is put again, to `kaa.net.http_transport`.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from kaa.net.transport import LocalResponse, Request, Response

LARGEST_HEAD = 1 << 16


def find_unchanged(request: Request, *, connect_timeout: float, read_timeout: float) -> Response | None:
    """The answer, if it is that the document has not changed; timeouts are in seconds."""
    parts = urlsplit(request.url)
    if not parts.hostname:
        return None
    headers = {"Host": parts.netloc.rpartition("@")[2], "Connection": "close", **request.headers}
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    with contextlib.suppress(OSError, ValueError):
        question = "\r\n".join(lines).encode("latin-1")
        if question.count(b"\n") != len(lines) - 1 or not path.isascii() or " " in path:
            return None
        with socket.create_connection((parts.hostname, parts.port or 80), connect_timeout) as connection:
            connection.settimeout(read_timeout)
            connection.sendall(question)
            found = parse_head(_receive_head(connection))
            if found is not None and found[0] == 304:
                return LocalResponse(304, found[1], request.shown)
    return None


def _receive_head(connection: socket.socket) -> bytes:
    """The bytes up to the end of the headers, or as many as came or are allowed."""
    received = b""
    while b"\r\n\r\n" not in received and len(received) < LARGEST_HEAD:
        block = connection.recv(8192)
        if not block:
            break
        received += block
    return received


def parse_head(received: bytes) -> tuple[int, Mapping[str, str]] | None:
    """The status and the headers (names in lower case) at the beginning of an answer; None if it is not whole.

    >>> parse_head(b'HTTP/1.1 304 Not Modified\\r\\nETag: "a"\\r\\n\\r\\n')
    (304, {'etag': '"a"'})
    """
    head, end, _ = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status.partition(" ")
    code = rest[:3]
    if not end or version not in ("HTTP/1.1", "HTTP/1.0") or not (code.isascii() and code.isdigit()):
        return None
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            return None
        headers[name.lower()] = value.strip()
    return int(code), headers
