"""The one client that everything goes through: retries, redirects, credentials, offline.

with HttpClient(HttpSettings(), Credentials()) as client:
    document = client.get("https://conda.anaconda.org/conda-forge/noarch/repodata.json.zst").content
"""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec

from kaa.errors import KaaError
from kaa.events import Note, Reporter, silent
from kaa.net.auth import Credentials
from kaa.net.proxies import proxies_for
from kaa.net.settings import HttpSettings
from kaa.net.transport import (
    BLOCK,
    FileTransport,
    HostUnreachable,
    IncompleteBody,
    Request,
    Response,
    TlsFailure,
    Transport,
)

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 10
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})
"""Statuses of troubles that often pass by themselves."""


class HttpStatusError(KaaError):
    """A server answered, and what it said is a refusal."""

    conda_name = "CondaHTTPError"

    def __init__(self, url: str, status: int) -> None:
        self.url = url
        self.status = self.status_code = status
        self.host = urlsplit(url).hostname or ""
        meaning = STATUS_MEANINGS.get(status, "server error" if status >= 500 else "refused")
        super().__init__(f"{status} ({meaning}) for {url}", hints=_hints_for_status(status, self.host))


STATUS_MEANINGS = {
    400: "bad request",
    401: "credentials are needed",
    403: "not allowed",
    404: "not found",
    407: "the proxy wants credentials",
    410: "gone",
    416: "no such range",
    429: "too many requests",
    500: "server error",
    502: "bad gateway",
    503: "not available now",
    504: "gateway did not answer in time",
}


def _hints_for_status(status: int, host: str) -> tuple[str, ...]:
    if status in (401, 403):
        return (f"check the token or password for {host} (in the channel's address, or in your netrc file)",)
    if status == 407:
        return ("put user and password into the proxy's address in proxy_servers or https_proxy",)
    if status in (404, 410):
        return ("check the address; a package may have been withdrawn since the channel's index was read",)
    if status in PASSING:
        return ("run the command again later, or name a mirror of the channel",)
    return ()


class Offline(KaaError):
    """The network was needed, and kaa was told not to use it."""

    conda_name = "OfflineError"

    def __init__(self, url: str) -> None:
        self.url = url
        super().__init__(
            f"{url} is needed, and kaa works offline", hints=("run the command once without --offline to fetch it",)
        )


class RedirectRefused(KaaError):
    """A server pointed to a place that kaa does not follow to."""

    conda_name = "CondaHTTPError"

    def __init__(self, url: str, location: str, reason: str) -> None:
        self.url = url
        self.location = location
        super().__init__(
            f"{url} redirects to {location}, which is not followed: {reason}",
            hints=("check the address; a login page or a proxy may have answered in its place",),
        )


class BodyTooLarge(KaaError):
    """A document is larger than its reader allows."""

    conda_name = "CondaHTTPError"

    def __init__(self, url: str, limit: int) -> None:
        self.url = url
        self.limit = limit
        super().__init__(f"the answer for {url} is larger than the {limit} bytes that are allowed for it")


class UnsupportedScheme(KaaError):
    """An address begins with something else than https, http or file."""

    conda_name = "CondaHTTPError"

    def __init__(self, url: str, scheme: str) -> None:
        self.url = url
        self.scheme = scheme
        super().__init__(
            f"{url} cannot be fetched: {scheme or 'an address without a scheme'} is not supported",
            hints=("use an https://, http:// or file:// address",),
        )


class Document(msgspec.Struct, frozen=True):
    """A whole answer; `headers` have lower-case names, `content` is empty for 304."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes
    answered_by: str = ""
    """The address that answered: another than `url` after redirects."""

    def __repr__(self) -> str:
        return f"Document({self.url!r}, status={self.status}, {len(self.content)} bytes)"


class HttpClient:
    """Fetches over HTTP and from files; safe to share between threads, closed by `with` or `close`.

    Addresses given to it and shown by it hold no credentials: those come from `credentials` and are added on the wire.
    """

    def __init__(
        self,
        settings: HttpSettings | None = None,
        credentials: Credentials | None = None,
        reporter: Reporter = silent,
        *,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings or HttpSettings()
        self.environ = dict(os.environ) if environ is None else environ
        self.credentials = credentials or Credentials()
        self._reporter = reporter
        self._files = FileTransport()
        self._http: Transport | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; a later request opens new ones."""
        with self._lock:
            if self._http is not None:
                self._http.close()
                self._http = None

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, limit: int | None = None) -> Document:
        """Fetch a whole document of at most `limit` bytes; 304 is an answer, 400 and above raise HttpStatusError.

        A body that breaks off is asked for again, as a failed request is.
        """
        wanted = {"Accept-Encoding": "gzip", **(headers or {})}
        for attempt in range(self.settings.max_retries + 1):
            try:
                with self.open(url, headers=wanted) as response:
                    content = _read_all(response, url, limit)
                    return Document(url, response.status, response.headers, content, response.url)
            except (IncompleteBody, HostUnreachable) as error:
                # `open` has repeated the request itself: only a body that broke off is worth another one.
                if attempt == self.settings.max_retries or not isinstance(error, IncompleteBody):
                    raise
                self._pause(attempt, None, url, str(error.message))
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def open(self, url: str, *, headers: Mapping[str, str] | None = None, method: str = "GET") -> Iterator[Response]:
        """Send a request and hand out its answer for reading; 400 and above raise HttpStatusError."""
        response = self._send(url, headers or {}, method)
        try:
            yield response
        finally:
            response.close()

    def _send(self, url: str, headers: Mapping[str, str], method: str) -> Response:
        """The answer after retries and redirects."""
        for attempt in range(self.settings.max_retries + 1):
            last = attempt == self.settings.max_retries
            try:
                response = self._follow(url, headers, method)
            except HostUnreachable as error:
                if last or isinstance(error, TlsFailure):
                    raise
                self._pause(attempt, None, url, error.detail)
                continue
            if response.status < 400:
                return response
            response.close()
            if last or response.status not in PASSING:
                raise HttpStatusError(url, response.status)
            self._pause(attempt, response.headers.get("retry-after"), url, f"status {response.status}")
        raise AssertionError("unreachable")

    def _follow(self, url: str, headers: Mapping[str, str], method: str) -> Response:
        """The answer after redirects; each host gets its own credentials and nobody else's."""
        current = url
        for _ in range(MAX_REDIRECTS + 1):
            request = self._request(current, url, headers, method)
            response = self._find_unchanged(request) or self._transport(current).request(request)
            location = response.headers.get("location")
            if response.status not in REDIRECTS or location is None:
                return response
            response.close()
            following = urljoin(current, location)
            _check_redirect(url, current, following)
            current = following
        raise RedirectRefused(url, _shown(current), f"there were more than {MAX_REDIRECTS} redirects")

    def _request(self, current: str, asked: str, headers: Mapping[str, str], method: str) -> Request:
        sent = {"Accept-Encoding": "identity", "User-Agent": self.settings.user_agent, **headers}
        if current.startswith("file:"):
            return Request(method, current, sent, current)
        wire, login = self.credentials.apply(current)
        return Request(method, wire, {**sent, **login}, asked if current == asked else _shown(current))

    def _transport(self, url: str) -> Transport:
        scheme = urlsplit(url).scheme.lower()
        if scheme == "file":
            return self._files
        if scheme not in ("http", "https"):
            raise UnsupportedScheme(_shown(url), scheme)
        if self.settings.offline:
            raise Offline(_shown(url))
        with self._lock:
            if self._http is None:
                self._http = self._make_http_transport()
            return self._http

    def _find_unchanged(self, request: Request) -> Response | None:
        """The answer that a document has not changed, when it can be had without loading an HTTP library."""
        if self._http is not None or self.settings.offline or not is_question(request):
            return None
        if proxies_for(self.settings.proxies, self.environ).find(request.url) is not None:
            return None
        # The module of sockets takes 3 ms, and a run that asks nobody need not spend them.
        from kaa.net.unchanged import find_unchanged  # noqa: PLC0415

        settings = self.settings
        return find_unchanged(request, connect_timeout=settings.connect_timeout, read_timeout=settings.read_timeout)

    def _make_http_transport(self) -> Transport:
        # urllib3 and ssl take 0.1 s to load, and a run that finds all in its caches sends nothing.
        from kaa.net.http_transport import HttpTransport  # noqa: PLC0415

        return HttpTransport(self.settings, proxies_for(self.settings.proxies, self.environ), self.environ)

    def _pause(self, attempt: int, retry_after: str | None, url: str, reason: str) -> None:
        asked = seconds_of_retry_after(retry_after)
        if asked is None:
            pause = self.settings.backoff_factor * 2**attempt * (0.5 + int.from_bytes(os.urandom(2)) / 0x20000)
        else:
            pause = min(asked, self.settings.max_retry_after)
        with self._lock:
            self._reporter(Note(f"{_shown(url)}: {reason}; trying again in {pause:.1f} seconds"))
        time.sleep(pause)


def is_question(request: Request) -> bool:
    """Whether a request over plain HTTP asks only if something has changed."""
    conditions = ("If-None-Match", "If-Modified-Since")
    asks = any(name in request.headers for name in conditions)
    return asks and request.method == "GET" and request.url[:7].lower() == "http://"


def _read_all(response: Response, url: str, limit: int | None) -> bytes:
    if response.status == 304:
        return b""
    announced = response.headers.get("content-length", "")
    if limit is not None and announced.isdigit() and int(announced) > limit:
        raise BodyTooLarge(url, limit)
    blocks = []
    received = 0
    for block in response.iter_bytes(BLOCK):
        received += len(block)
        if limit is not None and received > limit:
            raise BodyTooLarge(url, limit)
        blocks.append(block)
    return b"".join(blocks)


def _check_redirect(url: str, current: str, following: str) -> None:
    before, after = urlsplit(current).scheme, urlsplit(following).scheme
    if after not in ("http", "https"):
        raise RedirectRefused(url, _shown(following), "only http and https addresses are followed")
    if before == "https" and after == "http":
        raise RedirectRefused(url, _shown(following), "it would leave the encrypted connection")


def _shown(url: str) -> str:
    """An address for messages: without login, query and fragment (signed addresses carry secrets there)."""
    if url.startswith("file:"):
        return url
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def seconds_of_retry_after(value: str | None) -> float | None:
    """The pause that a Retry-After header asks for: seconds or a date; None when it says neither.

    >>> [seconds_of_retry_after(value) for value in ("7", "soon", "Sun, 06 Nov 1994 08:49:37 GMT")]
    [7.0, None, 0.0]
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        # The one form of dates that HTTP servers send (IMF-fixdate).
        when = datetime.datetime.strptime(value, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=datetime.UTC)
    except ValueError:
        return None
    return max(0.0, when.timestamp() - time.time())
