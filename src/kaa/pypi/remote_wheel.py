"""METADATA out of a wheel: a file of this machine, or one on a server of which only the needed ranges are fetched.

The table of contents of an archive is at its end, and most writers put `.dist-info` before it: one or two requests
(RFC 9110, 14) are enough for wheels of any size.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Protocol

from kaa.net.client import HttpClient, HttpStatusError
from kaa.net.transport import IncompleteBody
from kaa.pypi.metadata import LARGEST_METADATA, UnreadableMetadata

TAIL = 64 << 10
"""How much of the end is fetched first."""
AROUND = 32 << 10
"""How much more than was asked for is fetched each time."""
MOST = 64 << 20
"""No more than this is fetched of a wheel by ranges."""
_METADATA_PATH = re.compile(r"([^/]+)\.dist-info/METADATA")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Readable(Protocol):
    """An open file, as much of it as reading an archive needs."""

    def seek(self, offset: int, whence: int = 0, /) -> int: ...

    def read(self, count: int = -1, /) -> bytes: ...


class RangesRefused(Exception):
    """The server does not give parts of this file."""


def read_wheel(path: Path, stem: str) -> bytes:
    """The METADATA of a wheel on this machine; see `read_archive`. Raises OSError and UnreadableMetadata."""
    with path.open("rb") as stream:
        return read_archive(stream, stem)


def read_archive(stream: Readable, stem: str) -> bytes:
    """The METADATA of an open wheel whose file name begins with `stem` (name-version). Raises UnreadableMetadata."""
    try:
        with zipfile.ZipFile(stream) as archive:
            found = [match for name in archive.namelist() if (match := _METADATA_PATH.fullmatch(name))]
            if len(found) != 1:
                count = "no" if not found else f"{len(found)}"
                raise UnreadableMetadata(f"the wheel has {count} .dist-info directories with METADATA, and not one")
            if _comparable(found[0][1]) != _comparable(stem):
                raise UnreadableMetadata(f"the wheel holds {found[0][1][:100]!r}, and is called {stem!r}")
            with archive.open(found[0][0]) as member:
                content = member.read(LARGEST_METADATA + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, NotImplementedError) as error:
        if isinstance(error, UnreadableMetadata):
            raise
        raise UnreadableMetadata(f"the wheel is damaged ({error})") from error
    except RuntimeError as error:
        raise UnreadableMetadata(f"the wheel cannot be unpacked ({error})") from error
    if len(content) > LARGEST_METADATA:
        raise UnreadableMetadata(f"its METADATA is larger than {LARGEST_METADATA} bytes")
    return content


def _comparable(stem: str) -> str:
    return re.sub(r"[-_.]+", "-", stem).lower()


class RemoteFile(io.RawIOBase):
    """A file on a server, opened for reading; what is read is fetched by ranges. Raises RangesRefused."""

    def __init__(self, client: HttpClient, url: str, size: int | None) -> None:
        self._client = client
        self._url = url
        self._blocks: list[tuple[int, bytes]] = []
        self._position = 0
        self._fetched = 0
        self._validator = ""
        self.requests = 0
        self.size = 0
        if size is None:
            self._fetch(f"bytes=-{TAIL}", None)
        else:
            self.size = size
            start = max(0, size - TAIL)
            self._fetch(f"bytes={start}-{size - 1}", start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError("a place before the beginning of the file")
        self._position = base + offset
        return self._position

    def read(self, count: int = -1) -> bytes:
        end = self.size if count is None or count < 0 else min(self.size, self._position + count)
        if end <= self._position:
            return b""
        found = self._find(self._position, end)
        if found is None:
            start, stop = max(0, self._position - AROUND), min(self.size, end + AROUND)
            self._fetch(f"bytes={start}-{stop - 1}", start)
            found = self._find(self._position, end)
        if found is None:
            raise IncompleteBody(self._url, "fewer bytes came than were asked for")
        self._position = end
        return found

    def _find(self, start: int, end: int) -> bytes | None:
        for place, block in self._blocks:
            if place <= start and end <= place + len(block):
                return block[start - place : end - place]
        return None

    def _fetch(self, wanted: str, start: int | None) -> None:
        self.requests += 1
        retries = self._client.settings.max_retries
        for attempt in range(retries + 1):
            try:
                return self._fetch_once(wanted, start)
            except IncompleteBody:
                if attempt == retries:
                    raise
            except HttpStatusError as error:
                if error.status in (400, 405, 416, 501):
                    raise RangesRefused from error
                raise
        raise AssertionError("unreachable")

    def _fetch_once(self, wanted: str, start: int | None) -> None:
        with self._client.open(self._url, headers={"Range": wanted}) as response:
            match = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
            if response.status != 206 or match is None:
                raise RangesRefused
            first, last, size = (int(text) for text in match.groups())
            etag = response.headers.get("etag", "")
            if (start is not None and (first != start or size != self.size)) or etag != (self._validator or etag):
                raise RangesRefused
            self._fetched += last - first + 1
            if self._fetched > MOST:
                raise RangesRefused
            blocks, received = [], 0
            for block in response.iter_bytes():
                blocks.append(block)
                received += len(block)
                if received > last - first + 1:
                    raise IncompleteBody(self._url, "more bytes came than were announced")
        content = b"".join(blocks)
        if len(content) != last - first + 1:
            raise IncompleteBody(self._url, "fewer bytes came than were announced")
        self.size = size
        self._validator = etag
        self._blocks.append((first, content))
