"""Fetching repodata: which formats are offered, conditional requests, and how long an answer stays fresh.

A document is asked for as repodata.json.zst, .json and .json.bz2, in this order; that a channel lacks a format is
remembered for a week (CEP 36). The shard index (CEP 16) is an entry of its own, with one format.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from kaa.errors import KaaError
from kaa.events import BytesReceived, DownloadFinished, DownloadStarted, Note, Reporter, Warned
from kaa.host.files import create_temporary, current_umask
from kaa.index.repodata_cache import ALTERNATIVE_SECONDS, CacheEntry, CacheState
from kaa.models.pattern import Pattern
from kaa.models.repodata import RepodataInvalid
from kaa.net.client import HttpClient, HttpStatusError
from kaa.net.transport import HostUnreachable, IncompleteBody, Response

SHARDS = "repodata_shards.msgpack.zst"
FORMATS = ("repodata.json.zst", "repodata.json", "repodata.json.bz2")
PLAIN = "repodata.json"
NOT_THERE = frozenset({403, 404, 410})
"""What servers say of a file that they do not have (object stores say 403)."""
LARGEST_BODY = 1 << 30
LARGEST_SHARD_INDEX = 128 << 20
_MAX_AGE = Pattern(r"max-age\s*=\s*\"?(\d+)")


class ChannelUnreachable(KaaError):
    """A channel could not be asked what it offers."""

    conda_name = "CondaHTTPError"

    def __init__(self, channel: str, cause: HostUnreachable | IncompleteBody, *, cached: bool) -> None:
        self.channel = channel
        self.url = cause.url
        self.host = getattr(cause, "host", "")
        hints = cause.hints
        if cached:
            rest = (hint for hint in hints if "--offline" not in hint)
            hints = ("use --offline to work with what was fetched from this channel before", *rest)
        super().__init__(f"the channel {channel} cannot be read: {cause.message}", hints=hints)


class IndexSettings(msgspec.Struct, frozen=True):
    """How repodata is kept up to date."""

    offline: bool = False
    use_zst: bool = True
    use_shards: bool = True
    only_first_channel: bool = False
    """Whether only the first channel that offers a name counts; the shards of others are fetched when asked for."""
    local_repodata_ttl: int = 1
    """0: ask every time; 1: as long as the server's Cache-Control says; more: that many seconds."""


Accept: TypeAlias = Callable[[Path, str, str], None]
"""Takes the file of a new document, its address and its sha256; raises RepodataInvalid when it is none."""


def is_fresh(state: CacheState, settings: IndexSettings, now: float) -> bool:
    """Whether what is cached may be used without asking."""
    if settings.offline:
        return True
    seconds = settings.local_repodata_ttl
    if seconds == 1:
        directives = (state.cache_control or "").lower()
        match = _MAX_AGE.search(directives)
        seconds = int(match[1]) if match and "no-store" not in directives and "no-cache" not in directives else 0
    return 0 <= now - state.checked < seconds


class _Downloaded(msgspec.Struct, frozen=True):
    """A document that has come, in a temporary file."""

    path: Path
    sha256: str
    size: int
    headers: Mapping[str, str]


class _NotModified(msgspec.Struct, frozen=True):
    headers: Mapping[str, str]


class _NotThere(msgspec.Struct, frozen=True):
    status: int


class RepodataFetcher:
    """Renews one entry of the cache, in the first of `formats`; `shown` names the channel and subdir for people."""

    def __init__(
        self,
        entry: CacheEntry,
        client: HttpClient,
        settings: IndexSettings,
        reporter: Reporter,
        shown: str,
        formats: Sequence[str] = FORMATS,
    ) -> None:
        self._entry = entry
        self._client = client
        self._settings = settings
        self._report = reporter
        self._shown = shown
        self._formats = tuple(name for name in formats if settings.use_zst or name != FORMATS[0])

    def renew(self, state: CacheState | None, accept: Accept) -> CacheState:
        """Ask the channel, and return what it has now; `accept` is called with a document that is new.

        The document becomes the body of the entry when it is accepted; one that is not sends the search on to the
        next format. The state is not written here.
        """
        now = time.time()
        not_offered = {
            name: when
            for name, when in (state.not_offered if state else {}).items()
            if now - when < ALTERNATIVE_SECONDS
        }
        invalid: RepodataInvalid | None = None
        status = 404
        for document in self._wanted(not_offered):
            url = f"{self._entry.url}/{document}"
            known = state if state and state.document_url == url and self._entry.has_body(state) else None
            answer = self._ask(url, known)
            if isinstance(answer, _NotThere):
                # A refusal (403) tells more than an absence (404): credentials may be missing.
                status = min(status, answer.status)
                not_offered[document] = now
                continue
            if isinstance(answer, _NotModified):
                assert known is not None
                cache_control = answer.headers.get("cache-control", known.cache_control)
                return replace(known, checked=now, cache_control=cache_control, not_offered=not_offered)
            try:
                renewed = self._keep(answer, url, now, not_offered, accept)
            except RepodataInvalid as error:
                invalid = invalid or error
                not_offered[document] = now
                continue
            if invalid is not None:
                self._report(Warned(f"{invalid.message}; {document} is used instead"))
            return renewed
        if invalid is not None:
            raise invalid
        return CacheState(url=self._entry.url, checked=now, status=status, not_offered=not_offered)

    def _wanted(self, not_offered: Mapping[str, float]) -> list[str]:
        return [name for name in self._formats if name in (PLAIN, SHARDS) or name not in not_offered]

    def _keep(
        self, answer: _Downloaded, url: str, now: float, not_offered: Mapping[str, float], accept: Accept
    ) -> CacheState:
        try:
            accept(answer.path, url, answer.sha256)
            answer.path.replace(self._entry.body_path(answer.sha256))
        finally:
            answer.path.unlink(missing_ok=True)
        return CacheState(
            url=self._entry.url,
            document_url=url,
            content=answer.sha256,
            size=answer.size,
            etag=answer.headers.get("etag"),
            last_modified=answer.headers.get("last-modified"),
            cache_control=answer.headers.get("cache-control"),
            checked=now,
            not_offered=dict(not_offered),
        )

    def _ask(self, url: str, known: CacheState | None) -> _Downloaded | _NotModified | _NotThere:
        # Compression for the journey is worth asking for only where the document is not compressed itself.
        headers = {"Accept-Encoding": "gzip" if url.endswith(PLAIN) else "identity"}
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        if known is not None and known.last_modified:
            headers["If-Modified-Since"] = known.last_modified
        retries = self._client.settings.max_retries
        for attempt in range(retries + 1):
            try:
                return self._ask_once(url, headers)
            except HttpStatusError as error:
                if error.status not in NOT_THERE:
                    raise
                return _NotThere(error.status)
            except IncompleteBody as error:
                if attempt == retries:
                    raise
                self._report(Note(f"{self._shown}: {error.message}; trying again"))
                time.sleep(self._client.settings.backoff_factor * 2**attempt)
        raise AssertionError("unreachable")

    def _ask_once(self, url: str, headers: Mapping[str, str]) -> _Downloaded | _NotModified:
        with self._client.open(url, headers=headers) as response:
            if response.status == 304:
                if "If-None-Match" not in headers and "If-Modified-Since" not in headers:
                    raise RepodataInvalid(url, "the server says that it has not changed, but it was never here")
                return _NotModified(dict(response.headers))
            return self._download(response, url)

    def _download(self, response: Response, url: str) -> _Downloaded:
        announced = response.headers.get("content-length", "")
        size = int(announced) if announced.isdigit() else None
        self._report(DownloadStarted(self._shown, size))
        descriptor, path = create_temporary(self._entry.directory, f".{self._entry.name}-")
        digest = hashlib.sha256()
        received = 0
        largest = LARGEST_SHARD_INDEX if url.endswith(SHARDS) else LARGEST_BODY
        try:
            with os.fdopen(descriptor, "wb") as stream:
                for block in response.iter_bytes():
                    received += len(block)
                    if received > largest:
                        raise RepodataInvalid(url, f"it is larger than {largest} bytes")
                    digest.update(block)
                    stream.write(block)
                    self._report(BytesReceived(self._shown, len(block)))
            path.chmod(0o666 & ~current_umask())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._report(DownloadFinished(self._shown))
        return _Downloaded(path, digest.hexdigest(), received, dict(response.headers))
