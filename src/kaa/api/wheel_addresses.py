"""Wheels that are named by their address, in explicit lists and in locks: the records that indexes would give of them.

What a wheel depends on stands in its metadata, which is taken from the package cache, from what is kept of indexes, or
from a part of the wheel; the wheel itself is fetched when it is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from kaa.api.session import Session
from kaa.config.values import pypi_names
from kaa.errors import KaaError
from kaa.host.hashing import hash_file
from kaa.host.threads import map_in_threads
from kaa.models.artifact import wheel_name
from kaa.models.channel import PYPI_SCHEME, url_to_path
from kaa.models.record import RepoDataRecord
from kaa.pypi.installed_wheels import InstalledWheel, WheelFinder
from kaa.pypi.metadata import Metadata, UnreadableMetadata, parse_metadata
from kaa.pypi.names import ProjectNames
from kaa.pypi.project_files import ProjectFile, ProjectPage, normalize_project
from kaa.pypi.wheel_metadata import WheelMetadata
from kaa.pypi.wheel_records import Admitted, Versions, WheelRecords
from kaa.pypi.wheel_tags import WheelTags, target_of
from kaa.solver.candidates import UnusableCandidate

WORKERS = 10


class UnusableWheel(KaaError):
    """A wheel that is named by its address cannot be installed on the platform."""

    conda_name = "PlatformMismatchError"

    def __init__(self, url: str, subdir: str, reason: str) -> None:
        self.url = url
        self.subdir = subdir
        self.reason = reason
        super().__init__(
            f"{url} cannot be installed on {subdir}: {reason}",
            hints=("name a wheel that is for this platform", "have one found: kaa install pypi::NAME"),
        )


class WheelAddress(msgspec.Struct, frozen=True):
    """A wheel by its (clean) address; `channel` is the base URL of the index that it is of, empty for none."""

    url: str
    sha256: str | None = None
    channel: str = ""

    @property
    def file_name(self) -> str:
        return unquote(self.url.rpartition("/")[2])

    @property
    def is_wheel(self) -> bool:
        """Whether it is the address of a wheel at all."""
        return wheel_name(self.file_name) is not None


def records_of_wheels(session: Session, wheels: Sequence[WheelAddress], subdir: str) -> list[RepoDataRecord]:
    """The whole records of wheels, in their order; raises UnusableWheel, and what fetching metadata raises."""
    return map_in_threads(WheelReader(session, subdir).record, wheels, workers=WORKERS)


class WheelReader:
    """Reads what wheels say of themselves, for one platform; threads may use one at once."""

    def __init__(self, session: Session, subdir: str) -> None:
        tags = WheelTags(target_of(subdir, session.virtual_packages(subdir)))
        self._subdir = subdir
        self._names = ProjectNames(pypi_names(session.config))
        self._finder = WheelFinder(tags, self._names)
        self._records = WheelRecords(tags)
        self._versions = Versions()
        self._cache = session.package_cache
        # Made here, for a session is not for several threads.
        self._metadata_of = partial(
            WheelMetadata,
            client=session.client,
            directory=session.package_cache.index_directory(),
            report=session.reporter,
            offline=session.config.offline,
        )

    def record(self, wheel: WheelAddress) -> RepoDataRecord:
        """The whole record of a wheel; raises UnusableWheel, and what fetching metadata raises."""
        file, channel = _file_of(wheel), _channel_of(wheel)
        found = InstalledWheel(self.metadata(wheel), "", frozenset())
        try:
            return self._finder.record(found, file, channel.removeprefix(PYPI_SCHEME), channel)
        except UnusableCandidate as error:
            raise UnusableWheel(wheel.url, self._subdir, error.reason) from None

    def metadata(self, wheel: WheelAddress) -> Metadata:
        """What a wheel says of itself: in the package cache, else where its channel has it."""
        file, bare = _file_of(wheel), self.bare_record(wheel)
        if file.sha256 and (package := self._cache.find(bare)) is not None:
            try:
                return parse_metadata(_read_unpacked(package.directory))
            except (OSError, UnreadableMetadata):
                # Damaged: it will be unpacked again.
                pass
        archive = self._cache.find_archive(bare) if file.sha256 else None
        nearest = file if archive is None else replace(file, url=archive.as_uri())
        return self._metadata_of(_channel_of(wheel).removeprefix(PYPI_SCHEME)).read(nearest)

    def is_here(self, wheel: WheelAddress) -> bool:
        """Whether the package cache has a wheel, by its hash; raises UnusableWheel."""
        record = self.bare_record(wheel)
        return bool(record.sha256) and (
            self._cache.find(record) is not None or self._cache.find_archive(record) is not None
        )

    def bare_record(self, wheel: WheelAddress) -> RepoDataRecord:
        """What the name of a wheel tells of it; raises UnusableWheel."""
        file, channel = _file_of(wheel), _channel_of(wheel)
        project, version = normalize_project(file.file_name.partition("-")[0]), file.file_name.split("-", 2)[1]
        name = self._names.find_conda_name(project)
        normal = self._versions.read(version)
        if name is None or normal is None:
            raise UnusableWheel(wheel.url, self._subdir, "its name or version is not one that a package can have")
        admitted = Admitted(prereleases=True, yanked=frozenset({normal}))
        offer = self._records.offer(ProjectPage(project, channel, (file,)), name, channel, admitted)
        if not offer.records:
            reason = "its tags are for another platform or another kind of Python"
            raise UnusableWheel(wheel.url, self._subdir, reason)
        return offer.records[0]


def _file_of(wheel: WheelAddress) -> ProjectFile:
    return ProjectFile(wheel.file_name, wheel.url, wheel.sha256 or _own_hash(wheel.url))


def _channel_of(wheel: WheelAddress) -> str:
    return wheel.channel or wheel.url.rpartition("/")[0]


def _read_unpacked(directory: Path) -> bytes:
    """The METADATA of an unpacked wheel."""
    found = next(iter((directory / "site-packages").glob("*.dist-info/METADATA")), None)
    return b"" if found is None else found.read_bytes()


def _own_hash(url: str) -> str:
    """The hash of a wheel on this machine."""
    if not url.startswith("file:"):
        return ""
    path = Path(url_to_path(url))
    return hash_file(path) if path.is_file() else ""
