"""The metadata of the wheels of an index, by the cheapest way that the index offers.

A copy that is kept here; the metadata file beside the wheel (PEP 658, 714), whose hash is checked; ranges of the wheel;
the wheel itself, which then is kept for who installs it. What comes is checked against the file's name: a wheel that is
called `a-1.0` and says that it is `b 2.0` is neither.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from kaa.events import Note, Reporter
from kaa.models.channel import url_to_path
from kaa.net.client import HttpClient, HttpStatusError
from kaa.net.download import HashMismatch, SizeMismatch, download
from kaa.net.transport import HostUnreachable, IncompleteBody
from kaa.pypi.announced_metadata import fetched_wheel, kept_metadata, key_of
from kaa.pypi.answers import NOT_THERE, REFUSED, IndexBroken, IndexFailure, IndexRefused, IndexUnreachable, NotKept, ask
from kaa.pypi.metadata import LARGEST_METADATA, Metadata, UnreadableMetadata, parse_metadata
from kaa.pypi.project_files import ProjectFile, normalize_project, project_of
from kaa.pypi.remote_wheel import RangesRefused, RemoteFile, read_archive, read_wheel


class MetadataInvalid(IndexFailure):
    """The metadata of one wheel cannot be used; other files of the project may be sound."""

    conda_name = "CondaVerificationError"

    def __init__(self, index: str, file: ProjectFile, reason: str) -> None:
        self.file_name = file.file_name
        self.url = file.url
        self.reason = reason
        super().__init__(
            f"the metadata of {file.file_name} from the index {index} cannot be used: {reason}",
            index,
            project_of(file.file_name),
            (
                "ask for another version of it",
                "check whether a proxy or mirror on the way changes or caches files",
            ),
        )


class WheelMetadata:
    """Reads the metadata of wheels; threads may use one at once."""

    def __init__(self, index: str, client: HttpClient, directory: Path, report: Reporter, *, offline: bool) -> None:
        self._index = index
        self._client = client
        self._report = report
        self._offline = offline
        self._directory = directory
        self._kept = kept_metadata(directory, index)
        self._read: dict[str, Metadata] = {}
        """By address, what this process has read."""
        self._without_ranges: set[str] = set()
        """Hosts that do not give parts of files."""
        self._lock = threading.Lock()

    def read(self, file: ProjectFile) -> Metadata:
        """The metadata of a wheel. Raises MetadataInvalid for what is wrong with it, and IndexFailure."""
        found = self._read.get(file.url)
        if found is None:
            found = self._kept.find(file.sha256) if file.sha256 else None
            if found is None:
                found = self._read_anew(file)
            self._read[file.url] = found
        return found

    def find_wheel(self, file: ProjectFile) -> Path | None:
        """The wheel itself, when it was fetched for its metadata; who installs it may move it away."""
        path = self._wheel_path(file)
        return path if file.sha256 and path.is_file() else None

    def _read_anew(self, file: ProjectFile) -> Metadata:
        stem = "-".join(file.file_name.split("-", 2)[:2])
        if file.url.startswith("file:"):
            return self._check(file, self._from_disk(file, Path(url_to_path(file.url)), stem))
        if (wheel := self.find_wheel(file)) is not None:
            content = self._from_disk(file, wheel, stem)
        elif self._offline:
            raise NotKept(self._index, project_of(file.file_name), f"the metadata of {file.file_name}")
        else:
            beside = self._from_metadata_file(file)
            content = self._fetch_from_wheel(file, stem) if beside is None else beside
        metadata = self._check(file, content)
        # Without a hash it is no answer for the next plan: only the wheel is compared with it.
        self._kept.write(key_of(file.sha256, file.url), metadata)
        return metadata

    def _check(self, file: ProjectFile, content: bytes) -> Metadata:
        try:
            metadata = parse_metadata(content)
        except UnreadableMetadata as error:
            raise MetadataInvalid(self._index, file, str(error)) from error
        name, version = file.file_name.split("-", 2)[:2]
        if normalize_project(metadata.name) != normalize_project(name) or not same_version(metadata.version, version):
            said = f"{metadata.name[:100]} {metadata.version[:100]}"
            raise MetadataInvalid(self._index, file, f"it says that the wheel is {said}")
        return metadata

    def _from_disk(self, file: ProjectFile, path: Path, stem: str) -> bytes:
        try:
            return read_wheel(path, stem)
        except OSError as error:
            raise MetadataInvalid(self._index, file, f"it cannot be read: {error.strerror or error}") from error
        except UnreadableMetadata as error:
            raise MetadataInvalid(self._index, file, str(error)) from error

    # PEP 658

    def _from_metadata_file(self, file: ProjectFile) -> bytes | None:
        """The metadata file beside a wheel; one with a wrong hash is asked for once more, past all caches."""
        if file.metadata is None:
            return None
        address, question, query = file.url.partition("?")
        url = f"{address}.metadata{question}{query}"
        project = project_of(file.file_name)
        headers: dict[str, str] = {}
        found = ""
        for _ in range(2):
            answer = ask(self._client, url, self._index, project, headers, limit=LARGEST_METADATA, kept=lambda: False)
            if answer is None:
                self._report(Note(f"{self._index} promises metadata of {file.file_name} and does not have it"))
                return None
            found = hashlib.sha256(answer.content).hexdigest()
            if not file.metadata or found == file.metadata:
                return answer.content
            headers["Cache-Control"] = "no-cache"
        reason = f"the sha256 of the metadata file is {found}, and the index says {file.metadata}"
        raise MetadataInvalid(self._index, file, reason)

    # The wheel

    def _fetch_from_wheel(self, file: ProjectFile, stem: str) -> bytes:
        host = urlsplit(file.url).netloc
        if host not in self._without_ranges:
            try:
                return self._guarded(file, lambda: self._from_ranges(file, stem))
            except RangesRefused:
                self._without_ranges.add(host)
        return self._guarded(file, lambda: self._from_whole_wheel(file, stem))

    def _from_ranges(self, file: ProjectFile, stem: str) -> bytes:
        return read_archive(RemoteFile(self._client, file.url, file.size), stem)

    def _from_whole_wheel(self, file: ProjectFile, stem: str) -> bytes:
        target = self._wheel_path(file)
        target.parent.mkdir(mode=0o775, parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
        try:
            download(
                file.url,
                target,
                client=self._client,
                sha256=file.sha256 or None,
                md5=file.md5 or None,
                size=file.size,
                reporter=self._report_in_turn,
                partial=partial,
            )
            return read_wheel(target, stem)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()
            if not file.sha256:
                target.unlink(missing_ok=True)

    def _wheel_path(self, file: ProjectFile) -> Path:
        name = file.sha256 or hashlib.sha256(file.url.encode()).hexdigest() + os.urandom(4).hex()
        return fetched_wheel(self._directory, name)

    def _report_in_turn(self, event: object) -> None:
        with self._lock:
            self._report(event)  # type: ignore[arg-type]

    def _guarded(self, file: ProjectFile, work: Callable[[], bytes]) -> bytes:
        """What `work` returns, its failures put in terms of the index."""
        project = project_of(file.file_name)
        try:
            return work()
        except UnreadableMetadata as error:
            raise MetadataInvalid(self._index, file, str(error)) from error
        except HttpStatusError as error:
            if error.status in REFUSED:
                raise IndexRefused(self._index, project, error.status) from error
            if error.status in NOT_THERE:
                raise MetadataInvalid(self._index, file, f"the file is not there: {error.message}") from error
            raise IndexBroken(self._index, project, error.message, error.status) from error
        except (HashMismatch, SizeMismatch) as error:
            raise MetadataInvalid(self._index, file, error.message) from error
        except (HostUnreachable, IncompleteBody) as error:
            raise IndexUnreachable(self._index, project, error, kept=False) from error


def same_version(left: str, right: str) -> bool:
    """Whether two spellings are of one version (PEP 440); `right` may have `_` for `-`, as in file names.

    >>> same_version("1.0-rc1", "1.0rc1"), same_version("1.0", "1.0.1")
    (True, False)
    """
    if left == right:
        return True
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - most are spelled alike

    try:
        return Version(left) == Version(right.replace("_", "-"))
    except InvalidVersion:
        return left.replace("-", "_") == right
