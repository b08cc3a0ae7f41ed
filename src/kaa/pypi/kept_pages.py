"""The pages of an index that are on this disk, in a form that is read twenty times as fast as the page.

A directory for each index, in it one file for each project:

    <index>/<project>.page      magic, size of the head, checksum of what follows; head; files (MessagePack)

When it was last checked is the file's time. Files are written under a temporary name and renamed; one that cannot be
read, or that is damaged, counts as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import zlib
from pathlib import Path

import msgspec

from kaa.host.files import write_atomic
from kaa.models.pattern import Pattern
from kaa.pypi.project_files import ProjectFile

MAGIC = b"kaa-page"
FORMAT = 1
UNTOLD_SECONDS = 600.0
"""How long an answer is good whose server says neither that nor how to ask whether it has changed; absences, too."""
ENDING = ".page"
_LONGEST_NAME = 100
_MAX_AGE = Pattern(r"max-age\s*=\s*\"?(\d+)")


class PageHead(msgspec.Struct, frozen=True, array_like=True):
    """Where a page came from."""

    url: str
    """The address that was asked."""
    status: int = 200
    content: bytes = b""
    """sha256 of the page as served."""
    etag: str | None = None
    last_modified: str | None = None
    cache_control: str | None = None


class KeptPage(msgspec.Struct):
    """A page as it lies on the disk; its files are read when they are asked for."""

    head: PageHead
    checked: float
    """Seconds since the epoch."""
    body: bytes

    def files(self) -> tuple[ProjectFile, ...]:
        return _files_decoder.decode(self.body)

    def is_fresh(self, ttl: int, now: float) -> bool:
        """Whether nobody need be asked. `ttl` is 0: always ask; 1: as the server said; more: that many seconds."""
        return 0 <= now - self.checked < (_seconds(self.head) if ttl == 1 else ttl)


_files_decoder = msgspec.msgpack.Decoder(tuple[ProjectFile, ...])
_head_decoder = msgspec.msgpack.Decoder(PageHead)


def _seconds(head: PageHead) -> float:
    if head.cache_control is None:
        has_validator = head.etag is not None or head.last_modified is not None
        return 0.0 if has_validator and head.status == 200 else UNTOLD_SECONDS
    directives = head.cache_control.lower()
    if "no-store" in directives or "no-cache" in directives:
        return 0.0
    match = _MAX_AGE.search(directives)
    return float(match[1]) if match else 0.0


class KeptPages:
    """The pages of the index at the clean address `index`, below `directory`."""

    def __init__(self, directory: Path, index: str) -> None:
        self.directory = directory / hashlib.sha256(index.encode()).hexdigest()[:16]
        self._folder = str(self.directory)

    def find(self, project: str, url: str) -> KeptPage | None:
        """The page of a project, when a sound one that came from `url` is there."""
        try:
            with open(self._path(project), "rb") as stream:  # noqa: PTH123 - a hundred paths need not be parsed
                checked = os.fstat(stream.fileno()).st_mtime
                content = stream.read()
            if content[:8] != MAGIC or content[8] != FORMAT:
                return None
            start = 17 + int.from_bytes(content[9:13], "little")
            if zlib.crc32(content[17:]) != int.from_bytes(content[13:17], "little"):
                return None
            head = _head_decoder.decode(content[17:start])
        except (OSError, IndexError, msgspec.MsgspecError):
            return None
        return KeptPage(head, checked, content[start:]) if head.url == url else None

    def write(self, project: str, head: PageHead, files: tuple[ProjectFile, ...]) -> None:
        """Keep a page. Raises OSError."""
        packed = msgspec.msgpack.encode(head)
        rest = packed + msgspec.msgpack.encode(files)
        self.directory.mkdir(mode=0o775, parents=True, exist_ok=True)
        start = MAGIC + bytes((FORMAT,)) + len(packed).to_bytes(4, "little") + zlib.crc32(rest).to_bytes(4, "little")
        write_atomic(Path(self._path(project)), start + rest)

    def set_checked(self, project: str) -> None:
        """Remember that the page of a project was found unchanged just now."""
        now = time.time()
        with contextlib.suppress(OSError):
            os.utime(self._path(project), (now, now))

    def remove(self, project: str) -> None:
        """Forget the page of a project."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(project))  # noqa: PTH108

    def projects(self) -> list[str]:
        """The projects of which a page is there (those with very long names left out)."""
        with contextlib.suppress(OSError):
            names = [name.removesuffix(ENDING) for name in os.listdir(self._folder) if name.endswith(ENDING)]  # noqa: PTH208
            return sorted(name for name in names if not name.startswith((".", "+")))
        return []

    def _path(self, project: str) -> str:
        if len(project) > _LONGEST_NAME:
            project = "+" + hashlib.sha256(project.encode()).hexdigest()
        return f"{self._folder}{os.sep}{project or '+links'}{ENDING}"
