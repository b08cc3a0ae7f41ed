"""What carries one request: the `Transport` and `Response` protocols, and the transport of `file://` addresses.

A transport knows nothing of retries, redirects or credentials; `kaa.net.client` does. The HTTP transport is
`kaa.net.http_transport`, which is loaded when the first request really goes out.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from kaa.errors import KaaError
from kaa.models.channel import url_to_path

BLOCK = 1 << 17


class IncompleteBody(KaaError):
    """A response ended before all the bytes that it had announced."""

    conda_name = "CondaHTTPError"

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(
            f"the answer for {url} ended too early: {reason}",
            hints=("run the command again; what came so far is kept where it can be resumed",),
        )


CAUSES = {
    "dns": "its name could not be resolved",
    "refused": "it refused the connection",
    "timeout": "it did not answer in time",
    "tls": "no trusted encrypted connection could be made",
    "proxy": "the proxy did not let the request through",
    "connection": "the connection broke",
}


class HostUnreachable(KaaError):
    """No answer from a host; `cause` is a key of CAUSES, `detail` what the system said."""

    conda_name = "CondaHTTPError"

    def __init__(self, url: str, cause: str, detail: str, *, via: str = "", trusted: str = "") -> None:
        self.url = url
        self.host = urlsplit(url).netloc.rpartition("@")[2]
        self.cause = cause
        self.detail = detail
        self.proxy = via
        """The proxy that the request went through, without its password; empty for none."""
        self.trusted = trusted
        """For `tls`: whose certificates were trusted."""
        way = f" through the proxy {via}" if via else ""
        source = f"; certificates were checked against {trusted}" if trusted else ""
        super().__init__(
            f"{self.host} cannot be reached{way}: {CAUSES[cause]} ({detail}){source}, for {url}",
            hints=tuple(_ways_out(cause, self.host, via)),
        )


class TlsFailure(HostUnreachable):
    """No encrypted connection: the certificate is not signed by anyone trusted here, or the host speaks no TLS."""

    conda_name = "CondaSSLError"


class ProxyUnreachable(HostUnreachable):
    """The proxy, not the host behind it, did not answer or refused."""

    conda_name = "ProxyError"


def _ways_out(cause: str, host: str, via: str) -> Iterator[str]:
    if cause == "tls":
        yield "set ssl_verify to the file of your organisation's certificate authority, or set SSL_CERT_FILE to it"
        yield f"check the clock of this machine, and whether a proxy stands between it and {host}"
        return
    if cause == "proxy" or via:
        yield "check proxy_servers in the configuration and http_proxy, https_proxy and no_proxy in the environment"
    else:
        yield "check the network, and set proxy_servers (or https_proxy) if this network needs a proxy"
    if cause == "dns":
        yield f"check the spelling of {host}"
    yield "name a mirror of the channel or another channel with --override-channels -c"
    yield "use --offline to work with what is already on this machine"


class Response(Protocol):
    """An answer whose body has not been read yet; whoever opened it closes it."""

    @property
    def url(self) -> str:
        """The address that answered, after redirects; without login, and without query where it was redirected to."""
        ...

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with names in lower case."""
        ...

    def iter_bytes(self, size: int = BLOCK) -> Iterator[bytes]:
        """The body in blocks of at most `size` bytes; raises IncompleteBody or a HostUnreachable."""
        ...

    def close(self) -> None: ...


class Request(msgspec.Struct, frozen=True):
    """One request as it goes out; `url` and `headers` may hold credentials, `shown` is the address for messages."""

    method: str
    url: str
    headers: Mapping[str, str]
    shown: str

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.shown!r})"


class Transport(Protocol):
    """Sends one request and returns its answer, whatever its status."""

    def request(self, request: Request) -> Response: ...

    def close(self) -> None: ...


class LocalResponse:
    """An answer that comes from this machine: a file, or only a status."""

    def __init__(self, status: int, headers: Mapping[str, str], url: str, path: Path | None = None, start: int = 0):
        self.status = status
        self.headers = headers
        self.url = url
        self._path = path
        self._start = start

    def iter_bytes(self, size: int = BLOCK) -> Iterator[bytes]:
        if self._path is None:
            return
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._start)
                while block := stream.read(size):
                    yield block
        except OSError as error:
            raise IncompleteBody(self.url, error.strerror or str(error)) from error

    def close(self) -> None:
        """Nothing is held open between reads."""


class FileTransport:
    """Answers `file://` requests as a server would: 200, 206, 304, 403, 404, with ETag and Last-Modified."""

    def request(self, request: Request) -> Response:
        url, headers = request.shown, request.headers
        path = Path(url_to_path(request.url))
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return LocalResponse(404, {}, url)
        except OSError:
            return LocalResponse(403, {}, url)
        if not stat.S_ISREG(found.st_mode):
            return LocalResponse(404, {}, url)
        if not os.access(path, os.R_OK):
            return LocalResponse(403, {}, url)
        etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"'
        if headers.get("If-None-Match") == etag:
            return LocalResponse(304, {"etag": etag}, url)
        answer = {"etag": etag, "content-length": str(found.st_size)}
        if request.method == "HEAD":
            return LocalResponse(200, answer, url)
        start = range_start(headers)
        if start and start < found.st_size and headers.get("If-Range", etag) == etag:
            answer["content-length"] = str(found.st_size - start)
            answer["content-range"] = f"bytes {start}-{found.st_size - 1}/{found.st_size}"
            return LocalResponse(206, answer, url, path, start)
        return LocalResponse(200, answer, url, path)

    def close(self) -> None:
        """There is nothing to close."""


def range_start(headers: Mapping[str, str]) -> int:
    """Where an open-ended byte range (`bytes=N-`) of a request starts; 0 for every other request."""
    match = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
    return int(match.group(1)) if match else 0
