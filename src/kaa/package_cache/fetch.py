"""Have packages unpacked: what is there is checked, what is missing or damaged is fetched.

The fetching itself is `kaa.package_cache.fetching`, which is loaded when something has to be fetched.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from kaa.events import Reporter, StageFinished, StageStarted, Warned, silent
from kaa.models.artifact import parse_file_name
from kaa.models.channel import split_package_url, url_to_path
from kaa.models.record import RepoDataRecord
from kaa.net.client import HttpClient
from kaa.package_cache.cache import LOCKS, WHEEL, PackageCache, with_identity
from kaa.package_cache.extracted_package import ExtractedPackage, read_record
from kaa.package_cache.protection import is_unprotected, protect
from kaa.package_cache.validate import Check, Damage, find_damage

if TYPE_CHECKING:
    from kaa.package_cache.fetching import UnpackInterpreter

STAGE = "Fetching packages"
PARALLEL_DOWNLOADS = 5


def ensure(
    records: Sequence[RepoDataRecord],
    cache: PackageCache,
    client: HttpClient,
    reporter: Reporter = silent,
    *,
    parallel: int = PARALLEL_DOWNLOADS,
    check: Check = "sizes",
    bare: bool = False,
) -> list[ExtractedPackage]:
    """Every package of `records` unpacked, in their order.

    What is there already is checked as `check` says, and against its archive if the cache is to be `verified`; files
    that this user could write to are made read-only. The first failure stops the others and is raised; what they had
    received so far is resumed next time. `bare` records know only names, address and perhaps a hash (see
    `record_of_url`): the packages that are returned have the records that they say of themselves.
    """
    records = [_identified(record) for record in records]
    if records:
        for directory, reason in cache.newly_untrusted():
            reporter(Warned(f"packages in {directory} are not used: {reason}; {_way_out(directory)}"))
    found = [_find_sound(record, cache, check, reporter) for record in records]
    missing = [position for position, package in enumerate(found) if package is None]
    if missing:
        # Unpacking and downloading take 50 ms to load, and mostly all is there.
        from kaa.package_cache.fetching import Fetching  # noqa: PLC0415

        started = time.monotonic()
        reporter(StageStarted(STAGE, len(missing)))
        wanted = [records[position] for position in missing]
        fetching = Fetching(cache, client, reporter, check, bare, STAGE, _unpacking_of_interpreters(wanted))
        for position, package in zip(missing, fetching.run(wanted, parallel), strict=True):
            found[position] = package
        reporter(StageFinished(STAGE, time.monotonic() - started))
    packages = [package for package in found if package is not None]
    return [_with_own_record(package) for package in packages] if bare else packages


def _unpacking_of_interpreters(records: Sequence[RepoDataRecord]) -> UnpackInterpreter | None:
    """What makes packages of interpreters of this machine, if any of these records is of one."""
    from kaa.pypi.interpreters.addresses import is_interpreter  # noqa: PLC0415

    if not any(map(is_interpreter, records)):
        return None
    from kaa.pypi.interpreters.unpacked import unpack_interpreter  # noqa: PLC0415

    return unpack_interpreter


def record_of_url(url: str, *, sha256: str | None = None, md5: str | None = None) -> RepoDataRecord:
    """The bare record of a package of which only the (clean) address is known; raises InvalidArtifactName."""
    channel, subdir, file_name = split_package_url(url)
    name = parse_file_name(unquote(file_name))
    return RepoDataRecord(
        name=name.name,
        version=name.version,
        build=name.build,
        subdir=subdir,
        channel=channel,
        fn=str(name),
        url=url,
        sha256=sha256,
        md5=md5,
    )


def _with_own_record(package: ExtractedPackage) -> ExtractedPackage:
    stored = read_record(package.directory) or package.record
    return msgspec.structs.replace(
        package,
        record=msgspec.structs.replace(
            stored, channel=package.record.channel, fn=package.record.fn, url=package.record.url
        ),
    )


def _find_sound(
    record: RepoDataRecord, cache: PackageCache, check: Check, reporter: Reporter
) -> ExtractedPackage | None:
    for package, unpacked in cache.iter_unpacked(record):
        damage = find_damage(package, check)
        if damage is not None:
            reporter(Warned(f"{package.directory} is damaged ({damage}); it is unpacked again"))
        elif cache.verified and (forgery := _find_forgery(package, cache)) is not None:
            reporter(Warned(f"{package.directory} is refused ({forgery}); {record.dist} is taken from elsewhere"))
        else:
            if unpacked.channel != record.channel and record.fn.endswith(WHEEL):
                _check_announced(package, cache)
            _protect(package)
            return package
    return None


def _check_announced(package: ExtractedPackage, cache: PackageCache) -> None:
    """Of a wheel that another index gave, too, this index must have said what it says of itself."""
    from kaa.pypi.announced_metadata import check_announced  # noqa: PLC0415

    metadata = next((package.directory / "site-packages").glob("*.dist-info/METADATA"), None)
    if metadata is not None:
        check_announced(cache.index_directory(), package.record, metadata.read_bytes())


def _find_forgery(package: ExtractedPackage, cache: PackageCache) -> Damage | None:
    from kaa.package_cache.verification import find_forgery  # noqa: PLC0415

    return find_forgery(package, cache)


def _protect(package: ExtractedPackage) -> None:
    """Make the files of a package read-only that another program has unpacked."""
    if is_unprotected(package.directory):
        protect(package.directory, package.directory.parent / LOCKS / f"{package.record.dist}.lock")


def _way_out(directory: Path) -> str:
    return f"if its content is to be trusted, `chmod o-w {directory}`, and share it with a group"


def _identified(record: RepoDataRecord) -> RepoDataRecord:
    """A record with a hash, if it is of a file on this machine: such a file may be another one tomorrow."""
    if not record.url.startswith("file:"):
        return record
    path = Path(url_to_path(record.url))
    return with_identity(record, path) if path.is_file() else record
