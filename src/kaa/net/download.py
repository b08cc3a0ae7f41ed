"""One file from an address to a path: checked while it streams, resumed when it broke off, complete or not there.

What has come so far waits in `<target>.partial`. It is taken up again (by this process or a later one) when a hash can
prove the result, and only if the server says with 206 that it continues the same file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from kaa.errors import KaaError
from kaa.events import BytesReceived, DownloadFinished, DownloadStarted, Note, Reporter, silent
from kaa.host.room import FULL, room_left
from kaa.net.client import HttpClient, HttpStatusError
from kaa.net.transport import HostUnreachable, IncompleteBody, Response, TlsFailure

if TYPE_CHECKING:
    from hashlib import _Hash

PROGRESS = 1 << 20
"""An interrupted download that got this much further may be interrupted again without counting as a failure."""


class HashMismatch(KaaError):
    """A file's content is not what the channel's index says."""

    conda_name = "ChecksumMismatchError"

    def __init__(self, url: str, algorithm: str, expected: str, got: str) -> None:
        self.url = url
        self.algorithm = algorithm
        self.expected = expected
        self.got = got
        super().__init__(
            f"{url} has the {algorithm} {got}, but {expected} was expected",
            hints=(
                "read the channel's index again (`kaa clean --index-cache`): the package may have been replaced",
                "check whether a proxy or mirror on the way changes or caches files",
            ),
        )


class SizeMismatch(KaaError):
    """A file is longer or shorter than the channel's index says."""

    conda_name = "ChecksumMismatchError"

    def __init__(self, url: str, expected: int, got: int) -> None:
        self.url = url
        self.expected = expected
        self.got = got
        at_least = "at least " if got > expected else ""
        super().__init__(
            f"{url} has {at_least}{got} bytes, but {expected} were expected",
            hints=(
                "read the channel's index again (`kaa clean --index-cache`): the package may have been replaced",
                "check whether a proxy or mirror on the way answers with a page of its own",
            ),
        )


class CannotWrite(KaaError):
    """What was received could not be written to the disk."""

    conda_name = "CondaOSError"

    def __init__(self, path: Path, url: str, reason: str) -> None:
        self.path = str(path)
        self.url = url
        self.reason = reason
        super().__init__(
            f"{url} could not be written to {path}: {reason}",
            hints=("set pkgs_dirs to a directory that you may write to and that has room",),
        )


class DiskFull(CannotWrite):
    """The disk, or the user's share of it, is full; nothing unfinished was left on it."""

    conda_name = "NoSpaceLeftError"

    def __init__(self, path: Path, url: str, reason: str) -> None:
        super().__init__(path, url, reason)
        self.hints = (
            "remove cached packages that nothing uses with `kaa clean --all`",
            "set pkgs_dirs to a directory on a larger disk",
        )


class Expected(msgspec.Struct, frozen=True):
    """What is known of a file beforehand; sha256 counts before md5."""

    sha256: str | None = None
    md5: str | None = None
    size: int | None = None

    @property
    def digest(self) -> tuple[str, str] | None:
        """(algorithm, hexadecimal digest), when one is known."""
        if self.sha256:
            return "sha256", self.sha256.lower()
        return ("md5", self.md5.lower()) if self.md5 else None


def download(
    url: str,
    target: Path,
    *,
    client: HttpClient,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    reporter: Reporter = silent,
    partial: Path | None = None,
) -> None:
    """Fetch `url` (a clean address) to `target`, which is replaced when the new file is complete and verified.

    A wrong hash or size is met with one more download from the start; then HashMismatch or SizeMismatch is raised.
    `partial` is where the unfinished file lies; two downloads must not share it at the same time.
    """
    expected = Expected(sha256, md5, size)
    partial = partial or target.with_name(target.name + ".partial")
    what = url.rpartition("/")[2]
    reporter(DownloadStarted(what, size))
    transfer = Transfer(url, partial, expected, client, reporter, what)
    with _write_failures(partial, url), _nothing_useless(partial, expected):
        try:
            transfer.run(resume=expected.digest is not None)
        except (HashMismatch, SizeMismatch) as error:
            reporter(Note(f"{error.message}; fetching it once more from the start"))
            partial.unlink(missing_ok=True)
            try:
                transfer.run(resume=False)
            except (HashMismatch, SizeMismatch):
                partial.unlink(missing_ok=True)
                raise
        partial.replace(target)
    reporter(DownloadFinished(what))


@contextlib.contextmanager
def _nothing_useless(partial: Path, expected: Expected) -> Iterator[None]:
    """After a failure, keep an unfinished file only where it can be taken up again."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if expected.digest is None or partial.stat().st_size == 0:
                partial.unlink()
        raise


@contextlib.contextmanager
def _write_failures(partial: Path, url: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno not in FULL:
            raise CannotWrite(partial.parent, url, reason) from error
        with contextlib.suppress(OSError):
            partial.unlink()
        raise DiskFull(partial.parent, url, f"{reason} ({room_left(partial.parent)})") from error


def _open(path: str, flags: int) -> int:
    """Open a file that is not for everybody to write to, whatever the umask says."""
    return os.open(path, flags, 0o664)


class Transfer:
    """One download: requests until the whole file is in `partial`, and its verification."""

    def __init__(
        self, url: str, partial: Path, expected: Expected, client: HttpClient, reporter: Reporter, what: str
    ) -> None:
        self._url = url
        self._partial = partial
        self._expected = expected
        self._client = client
        self._reporter = reporter
        self._what = what
        self._digest = self._new_digest()
        self._received = 0
        self._validator = ""
        """The ETag (or date) of the file that the bytes so far are of, when this process has seen it."""

    def _new_digest(self) -> _Hash:
        algorithm = self._expected.digest[0] if self._expected.digest else "sha256"
        return hashlib.new(algorithm, usedforsecurity=algorithm == "sha256")

    def run(self, *, resume: bool) -> None:
        """Bring the file into `partial` and verify it."""
        mode = "r+b" if resume and self._partial.exists() else "w+b"
        with open(self._partial, mode, buffering=0, opener=_open) as stream:
            self._forget()
            if resume:
                self._take_up(stream)
            failures = 0
            while not self._is_complete():
                before = self._received
                try:
                    self._request(stream, fresh=not resume)
                    break
                except (IncompleteBody, HostUnreachable) as error:
                    failures = 0 if self._received - before >= PROGRESS else failures + 1
                    if failures > self._client.settings.max_retries or isinstance(error, TlsFailure):
                        raise
                    if self._received == before and isinstance(error, HostUnreachable):
                        # The client has repeated this request already.
                        raise
                    self._reporter(Note(f"{error.message}; going on from byte {self._received}"))
                    time.sleep(self._client.settings.backoff_factor * failures)
        self._verify()

    def _take_up(self, stream: IO[bytes]) -> None:
        """Hash what is there already; too much of it is none."""
        while block := stream.read(PROGRESS):
            self._digest.update(block)
            self._received += len(block)
        if self._expected.size is not None and self._received > self._expected.size:
            self._start_over(stream)
        if self._received:
            self._reporter(BytesReceived(self._what, self._received))

    def _start_over(self, stream: IO[bytes]) -> None:
        stream.seek(0)
        stream.truncate()
        self._forget()

    def _forget(self) -> None:
        self._digest = self._new_digest()
        self._received = 0

    def _is_complete(self) -> bool:
        """Whether the bytes that lay there already are the whole file."""
        digest = self._expected.digest
        return self._received == self._expected.size and digest is not None and self._digest.hexdigest() == digest[1]

    def _request(self, stream: IO[bytes], *, fresh: bool) -> None:
        headers = {"Cache-Control": "no-cache"} if fresh and self._expected.digest else {}
        if self._received:
            headers["Range"] = f"bytes={self._received}-"
            if self._validator:
                headers["If-Range"] = self._validator
        try:
            with self._client.open(self._url, headers=headers) as response:
                self._receive(response, stream)
        except HttpStatusError as error:
            if error.status != 416 or not self._received:
                raise
            self._start_over(stream)
            with self._client.open(self._url) as response:
                self._receive(response, stream)

    def _receive(self, response: Response, stream: IO[bytes]) -> None:
        continues = response.status == 206 and start_of_range(response) == self._received
        if response.status == 206 and not continues:
            raise IncompleteBody(self._url, "the server sent another range than it was asked for")
        if not continues and self._received:
            self._start_over(stream)
        etag = response.headers.get("etag", "")
        self._validator = etag if etag.startswith('"') else response.headers.get("last-modified", "")
        limit = self._expected.size
        for block in response.iter_bytes():
            # A raw file may take less than it was given.
            view = memoryview(block)
            while view:
                view = view[stream.write(view) :]
            self._digest.update(block)
            self._received += len(block)
            if limit is not None and self._received > limit:
                raise SizeMismatch(self._url, limit, self._received)
            self._reporter(BytesReceived(self._what, len(block)))

    def _verify(self) -> None:
        size, digest = self._expected.size, self._expected.digest
        if size is not None and self._received != size:
            raise SizeMismatch(self._url, size, self._received)
        if digest is not None and self._digest.hexdigest() != digest[1]:
            raise HashMismatch(self._url, digest[0], digest[1], self._digest.hexdigest())


def start_of_range(response: Response) -> int | None:
    """Where the body of a 206 answer starts in the file."""
    match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    return int(match.group(1)) if match else None
