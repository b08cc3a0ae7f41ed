"""Which package a broken record was of, and where that package can be had again.

The name of the file says name, version and build. Where those bytes come from is written in the environment's latest
generation, in what is left of the record's text, in the package cache, and in the channels; the first that knows is
believed.
"""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.models.artifact import parse_file_name
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.package_cache.cache import EXTENSIONS, PackageCache
from kaa.package_cache.extracted_package import ExtractedPackage, read_record
from kaa.package_cache.fetch import ensure, record_of_url
from kaa.prefix.damage import damaged_packages, recorded_paths
from kaa.prefix.generations import latest_generation
from kaa.prefix.history import read_history
from kaa.prefix.prefix import Prefix
from kaa.prefix.record_files import RecordFile
from kaa.prefix.recorded_files import look_at
from kaa.transaction.expected import expected_record
from kaa.transaction.plan import PythonInfo


class LostPackage(msgspec.Struct, frozen=True):
    """A package of which the record in the environment cannot be used, and what is known of it elsewhere."""

    record: RepoDataRecord
    bare: bool = False
    """Only names, address and hash are known; the rest stands in the package."""


def find_lost_package(
    session: Session, prefix: Path, file: RecordFile, subdir: str, python: PythonInfo | None
) -> LostPackage | None:
    """The package whose record `file` was; None when nobody knows it any more."""
    for record in _remembered(prefix, file):
        return LostPackage(record)
    for url, sha256, md5 in _addresses(file):
        return LostPackage(record_of_url(url, sha256=sha256, md5=md5), bare=True)
    cached = packages_called(session.package_cache, file.dist)
    if cached:
        return LostPackage(_closest(cached, prefix, subdir, python).record)
    offered = _offered(session, prefix, file, subdir)
    return LostPackage(offered) if offered is not None else None


def fetch_lost_package(session: Session, lost: LostPackage) -> ExtractedPackage:
    """The package unpacked and checked by hash, with all that is known of it; raises what fetching raises."""
    records = [lost.record]
    cache, client, reporter = session.package_cache, session.client, session.reporter
    return ensure(records, cache, client, reporter, parallel=1, check="hashes", bare=lost.bare)[0]


def packages_called(cache: PackageCache, dist: str) -> list[ExtractedPackage]:
    """Every unpacked package of the cache with that name, version and build: there may be several."""
    found = []
    for directory in cache.directories:
        for path in sorted([directory / dist, *directory.glob(f"{glob.escape(dist)}-????????")]):
            record = read_record(path)
            if record is not None and record.dist == dist:
                found.append(cache.package_at(path, record))
    return found


def _remembered(prefix: Path, file: RecordFile) -> Iterator[RepoDataRecord]:
    """What the latest generation says."""
    with contextlib.suppress(KaaError):
        generation = latest_generation(prefix)
        if generation is not None:
            yield from (record for record in generation.packages if record.dist == file.dist and record.url)


def _addresses(file: RecordFile) -> Iterator[tuple[str, str | None, str | None]]:
    """(address, sha256, md5) as the record still says, if that is the address of a package of this name."""
    fragments = file.fragments
    known = [(fragments.url, fragments.sha256, fragments.md5)]
    if file.record is not None:
        known.append((file.record.url, file.record.sha256, file.record.md5))
    for url, sha256, md5 in known:
        with contextlib.suppress(KaaError):
            if any(url.endswith(f"/{file.dist}{extension}") for extension in EXTENSIONS):
                record_of_url(url)
                yield url, sha256, md5


def _closest(
    packages: Sequence[ExtractedPackage], prefix: Path, subdir: str, python: PythonInfo | None
) -> ExtractedPackage:
    """The package of which most files are in the environment; the first of equals."""

    def differences(package: ExtractedPackage) -> int:
        try:
            record = expected_record(package.record, package, prefix, subdir, python)
        except KaaError:
            return len(package.paths()) + 1
        paths = {record.dist: recorded_paths(record)}
        damaged = damaged_packages([record], paths, look_at(prefix, paths)[0])
        return sum(len(one.changed) + len(one.missing) for one in damaged)

    return packages[0] if len(packages) == 1 else min(packages, key=differences)


def _offered(session: Session, prefix: Path, file: RecordFile, subdir: str) -> RepoDataRecord | None:
    """The package as the channels offer it: those of the history first, then the configured ones."""
    with contextlib.suppress(KaaError):
        name = parse_file_name(file.dist + EXTENSIONS[0])
        spec = MatchSpec.parse(f"{name.name}=={name.version}={name.build}")
        channels = session.channels([*_channels_of(prefix, file.dist), *session.config.channels])
        with session.open_index(channels, subdir) as index:
            return next((record for record in index.query(spec) if record.dist == file.dist), None)
    return None


def _channels_of(prefix: Path, dist: str) -> list[str]:
    """From which channels the history says that a package came, latest first."""
    found = []
    for revision in reversed(read_history(Prefix(prefix)).revisions):
        for line in revision.linked:
            origin, colons, linked = line.rpartition("::")
            if colons and linked == dist:
                found.append(origin.rpartition("/")[0])
    return found
