"""Wheels that were built of sdists, in the package cache: for each sdist, by its hash, one per Python and platform.

    <directory>/.built/<sha256>/<file name of the sdist>
    <directory>/.built/<sha256>/<build>-<subdir>/<wheel>     what was built of it
    <directory>/.built/<sha256>/<build>-<subdir>.log         all that the build said

A record of such a package is that of the sdist (its address, hash and size), for one Python: its build string says for
which. So it means the same elsewhere, where it is built again; bytes of two builds differ.
"""

from __future__ import annotations

from pathlib import Path

from kaa.errors import KaaError
from kaa.models.artifact import is_sdist
from kaa.models.pattern import Pattern
from kaa.models.record import RepoDataRecord
from kaa.package_cache.cache import PackageCache, UnsafeName
from kaa.package_cache.trust import is_only_ours

BUILT = ".built"
WHEEL = ".whl"
LOG = ".log"
_SHA256 = Pattern(r"[0-9a-f]{64}")
_SAFE_NAME = Pattern(r"[A-Za-z0-9_][A-Za-z0-9._+!~-]*")


class NotBuilt(KaaError):
    """A wheel is needed of an sdist that nobody has built here."""

    conda_name = "PackagesNotFoundError"

    def __init__(self, record: RepoDataRecord) -> None:
        self.dist = record.dist
        self.file_name = record.fn
        self.url = record.url
        super().__init__(
            f"{record.name} {record.version} has to be built of {record.fn}, which runs code of its makers, and that "
            "was not asked for",
            hints=(
                f"let it be built with --build-package {record.name}, everything with --build, or with build_sdists in "
                "the configuration",
                "solve anew: there may be a version with a wheel",
            ),
        )


def find_built(cache: PackageCache, record: RepoDataRecord) -> Path | None:
    """The wheel that was built of the sdist of a record, for its Python and platform."""
    if not is_sdist(record.fn) or not record.sha256:
        return None
    for directory in cache.sources:
        # Nothing names the hash of what is built: where all is verified, it must be this user's own work.
        if cache.verified and not (is_only_ours(directory) and is_only_ours(directory / BUILT)):
            continue
        try:
            found = sorted(built_directory(directory, record).iterdir())
        except OSError:
            continue
        for path in found:
            if path.name.endswith(WHEEL) and path.is_file():
                return path
    return None


def sdist_directory(directory: Path, record: RepoDataRecord) -> Path:
    """Where in a cache directory is kept what belongs to the sdist of a record, whose hash is known."""
    sha256 = (record.sha256 or "").lower()
    if not _SHA256.fullmatch(sha256) or not _SAFE_NAME.fullmatch(record.fn):
        raise UnsafeName(f"{record.fn} with the hash {sha256}")
    return directory / BUILT / sha256


def built_directory(directory: Path, record: RepoDataRecord) -> Path:
    """Where in a cache directory the wheel is, or will be, that is built of the sdist of a record."""
    name = f"{record.build}-{record.subdir}"
    if not _SAFE_NAME.fullmatch(name):
        raise UnsafeName(name)
    return sdist_directory(directory, record) / name


def log_file(directory: Path, record: RepoDataRecord) -> Path:
    """Where in a cache directory it is kept what a build said."""
    built = built_directory(directory, record)
    return built.with_name(built.name + LOG)
