"""The package cache: directories in conda's layout, all of which are searched and the first writable one filled.

    <directory>/urls.txt                   marks a cache; the addresses that its archives came from
    <directory>/name-1.0-0.conda           an archive
    <directory>/name-1.0-0/                the same unpacked, with info/repodata_record.json
    <directory>/name-1.0-0-1a2b3c4d/       another package of that name, version and build, with other bytes
    <directory>/.bytecode/<package>/<tag>/ what kaa compiled from a package
    <directory>/.locks/<package>.lock      who is fetching it

Two packages are the same when their hashes are: channels do ship different bytes under one name.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from kaa.errors import KaaError
from kaa.host.files import create_temporary, is_writable
from kaa.host.hashing import hash_file
from kaa.host.room import FULL, room_left
from kaa.models.channel import url_to_path
from kaa.models.pattern import Pattern
from kaa.models.record import RepoDataRecord
from kaa.package_cache.extracted_package import RECORD_FILE, read_record
from kaa.package_cache.extracted_package import ExtractedPackage as ExtractedPackage
from kaa.package_cache.trust import is_only_ours, why_untrusted

URLS = "urls.txt"
INDEXES = "cache"
BYTECODE = ".bytecode"
LOCKS = ".locks"
WHEEL = ".whl"
EXTENSIONS = (".conda", ".tar.bz2", WHEEL)
_HASH_AT_END = Pattern(r"-[0-9a-f]{8}\Z")
_SAFE_NAME = Pattern(r"[A-Za-z0-9_][A-Za-z0-9_.!+~=-]*")


class NoWritableCache(KaaError):
    """None of the cache directories can be written to."""

    conda_name = "NoWritablePkgsDirError"

    def __init__(self, directories: Sequence[Path], untrusted: Mapping[Path, str]) -> None:
        self.directories = tuple(map(str, directories))
        reasons = [f"{path} ({untrusted[path]})" if path in untrusted else str(path) for path in directories]
        listed = ", ".join(reasons) or "none is configured"
        super().__init__(
            f"packages cannot be stored: no cache directory is writable ({listed})",
            hints=(
                "set pkgs_dirs in .condarc, or CONDA_PKGS_DIRS, to a directory that you may write to",
                "ask the owner of one of these directories for the right to write there",
            ),
        )


class CacheDiskFull(KaaError):
    """No cache directory can be written to, and disks are full."""

    conda_name = "NoSpaceLeftError"

    def __init__(self, directories: Sequence[Path]) -> None:
        self.directories = tuple(map(str, directories))
        listed = ", ".join(f"{path} ({room_left(path)})" for path in directories)
        super().__init__(
            f"packages cannot be stored: no space left on the disk of {listed}",
            hints=(
                "free some space there",
                "set pkgs_dirs in .condarc, or CONDA_PKGS_DIRS, to a directory on a larger disk",
            ),
        )


class UnsafeName(KaaError):
    """A record's name, version and build, or its file name, cannot be the name of a directory."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"{name!r} cannot be the name of a package",
            hints=("tell the maintainers of the channel that this record is wrong",),
        )


class PackageCache:
    """Where packages lie unpacked on this machine; `directories` come in the order in which they are searched.

    With `verified` nothing counts that cannot be compared with what a channel names: what is kept of channels and what
    is made from packages is taken from directories only that nobody but this user and root can change.
    """

    def __init__(self, directories: Sequence[Path], *, verified: bool = False) -> None:
        self.directories = tuple(dict.fromkeys(directory.absolute() for directory in directories))
        self.verified = verified
        self._untrusted: dict[Path, str] | None = None
        self._told = False
        self._writable: Path | None = None
        self._bytecode: dict[Path, tuple[Path, Path | None]] = {}

    @property
    def untrusted(self) -> Mapping[Path, str]:
        """Directories that are neither used nor filled, and why."""
        if self._untrusted is None:
            reasons = ((directory, why_untrusted(directory)) for directory in self.directories)
            self._untrusted = {directory: reason for directory, reason in reasons if reason}
        return self._untrusted

    def newly_untrusted(self) -> tuple[tuple[Path, str], ...]:
        """Those of them that are there, once: whoever asks is to tell."""
        told, self._told = self._told, True
        return () if told else tuple((path, why) for path, why in self.untrusted.items() if path.is_dir())

    @property
    def sources(self) -> tuple[Path, ...]:
        """The directories that packages are taken from."""
        return tuple(path for path in self.directories if path not in self.untrusted)

    def writable_directory(self) -> Path:
        """The first directory that new packages can be put into; it is made, and marked as a cache, when needed."""
        if self._writable is None:
            self._writable = next((path for path in self.sources if _is_usable(path)), None)
            if self._writable is None:
                full = [path for path in self.sources if _has_no_room(path)]
                if full:
                    raise CacheDiskFull(full)
                raise NoWritableCache(self.directories, self.untrusted)
        return self._writable

    def index_directory(self) -> Path:
        """Where the indexes of channels are kept: in the first directory where this user can renew them."""
        first = self.writable_directory()
        for path in self.sources[self.sources.index(first) :]:
            if self._counts(path, INDEXES) and is_writable(path / INDEXES) and (path == first or _is_usable(path)):
                return path / INDEXES
        return first / INDEXES

    def find(self, record: RepoDataRecord) -> ExtractedPackage | None:
        """The package of `record` unpacked in any of the directories; what is in there is not looked at."""
        return next(self.iter_found(record), None)

    def iter_found(self, record: RepoDataRecord) -> Iterator[ExtractedPackage]:
        """Every place in the directories where the package of `record` lies unpacked."""
        return (package for package, _ in self.iter_unpacked(record))

    def iter_unpacked(self, record: RepoDataRecord) -> Iterator[tuple[ExtractedPackage, RepoDataRecord]]:
        """The same, each with the record with which it was unpacked."""
        for directory in self.sources:
            for name in names_of(record):
                found = read_record(directory / name)
                if found is not None and is_same_package(found, record):
                    yield self.package_at(directory / name, record), found

    def find_archive(self, record: RepoDataRecord) -> Path | None:
        """An archive with exactly the bytes of `record`, when its hash is known."""
        for directory in self.sources:
            for path in archives_of(record, directory):
                if has_the_bytes(path, record):
                    return path
        return None

    def dists(self) -> frozenset[str]:
        """The dist strings of what lies in the directories, by the names of files alone: nothing is looked into."""
        found: set[str] = set()
        for directory in self.directories:
            with contextlib.suppress(OSError):
                for path in directory.iterdir():
                    name = path.name.removesuffix(extension_at_end(path.name))
                    found.add(name)
                    found.add(_HASH_AT_END.sub("", name))
        return frozenset(found)

    def iter_packages(self) -> Iterator[ExtractedPackage]:
        """Every unpacked package of every directory, by name."""
        for directory in self.directories:
            if not directory.is_dir():
                continue
            for path in sorted(directory.iterdir()):
                if not path.name.startswith(".") and (path / RECORD_FILE).is_file():
                    record = read_record(path)
                    if record is not None:
                        yield self.package_at(path, record)

    def package_at(self, path: Path, record: RepoDataRecord) -> ExtractedPackage:
        """The unpacked package in a directory of this cache, which is known to be that of `record`."""
        archives = archives_of(record, path.parent)
        if record.url.startswith("file:"):
            archives = (Path(url_to_path(record.url)), *archives)
        archive = next((archive for archive in archives if _may_be(archive, record)), None)
        own, shared = self._bytecode_roots(path.parent)
        return ExtractedPackage(path, record, archive, own, shared)

    def _bytecode_roots(self, directory: Path) -> tuple[Path, Path | None]:
        """Where bytecode of a directory's packages is made, and where else there may be some.

        Beside the packages where that is possible, else below the writable directory, kept apart by its origin.
        """
        if directory not in self._bytecode:
            beside = directory / BYTECODE
            counts = self._counts(directory, BYTECODE)
            places = [path for path in self.sources if is_writable(path / BYTECODE) and self._counts(path, BYTECODE)]
            if (counts and is_writable(beside)) or not places:
                self._bytecode[directory] = beside, None
            else:
                origin = _sha256(str(directory).encode("utf-8", "surrogateescape"))[:8]
                self._bytecode[directory] = places[0] / BYTECODE / origin, beside if counts else None
        return self._bytecode[directory]

    def _counts(self, directory: Path, name: str) -> bool:
        """Whether what is kept below `name` in a directory may be used: nothing tells whether it was altered."""
        return not self.verified or (is_only_ours(directory) and is_only_ours(directory / name))


def _is_usable(directory: Path) -> bool:
    """Whether files can be made in a cache directory, seen by touching the file that marks it."""
    try:
        directory.mkdir(mode=0o775, parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK | os.X_OK):
            return False
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        try:
            descriptor, probe = os.open(directory / URLS, flags, 0o664), None
        except PermissionError:
            # That of another user of the group, who has a stricter umask.
            descriptor, probe = create_temporary(directory, ".kaa-probe-")
        os.close(descriptor)
        if probe is not None:
            probe.unlink()
    except OSError:
        return False
    return True


def _has_no_room(directory: Path) -> bool:
    """Whether a cache directory cannot be written to because its disk is full."""
    try:
        directory.mkdir(mode=0o775, parents=True, exist_ok=True)
        descriptor, probe = create_temporary(directory, ".kaa-probe-")
        os.close(descriptor)
        probe.unlink()
    except OSError as error:
        return error.errno in FULL
    return False


def names_of(record: RepoDataRecord) -> tuple[str, str]:
    """The directory names that a package may have: the dist string, and one with a part of its hash."""
    dist = record.dist
    # From outside, and about to become a path.
    if not _SAFE_NAME.fullmatch(dist):
        raise UnsafeName(dist)
    known = record.sha256 or record.md5 or _sha256(record.url.encode())
    if not re.fullmatch(r"[0-9A-Fa-f]{8,}", known):
        raise UnsafeName(f"{dist} with the hash {known}")
    return dist, f"{dist}-{known[:8].lower()}"


def extension_at_end(name: str) -> str:
    """The extension of a package archive that a file name ends in, or nothing."""
    return next((extension for extension in EXTENSIONS if name.endswith(extension)), "")


def extension_of(record: RepoDataRecord) -> str:
    """The extension of a record's archive; `.conda` when its names do not say."""
    for name in (record.fn, record.url):
        if extension := extension_at_end(name):
            return extension
    return EXTENSIONS[0]


def archives_of(record: RepoDataRecord, directory: Path) -> tuple[Path, ...]:
    """Where in a cache directory the archive of a record may lie."""
    extension = extension_of(record)
    return tuple(directory / f"{name}{extension}" for name in names_of(record))


def is_same_package(one: RepoDataRecord, other: RepoDataRecord) -> bool:
    """Whether two records are of the same bytes: by sha256, else md5, else by address and size."""
    if one.sha256 and other.sha256:
        return one.sha256.lower() == other.sha256.lower()
    if one.md5 and other.md5:
        return one.md5.lower() == other.md5.lower()
    if not one.url or one.url != other.url:
        return False
    return one.size is None or other.size is None or one.size == other.size


def with_identity(record: RepoDataRecord, archive: Path) -> RepoDataRecord:
    """A record with the hash and size of its archive, where it knows no hash itself."""
    if record.sha256 or record.md5:
        return record
    return msgspec.structs.replace(record, sha256=hash_file(archive), size=archive.stat().st_size)


def has_the_bytes(path: Path, record: RepoDataRecord) -> bool:
    """Whether a file has the size and hash of a record; False when the record knows no hash."""
    algorithm, expected = ("sha256", record.sha256) if record.sha256 else ("md5", record.md5)
    if not expected or not _may_be(path, record):
        return False
    return hash_file(path, "sha256" if algorithm == "sha256" else "md5") == expected.lower()


def _may_be(path: Path, record: RepoDataRecord) -> bool:
    try:
        size = path.stat().st_size
    except OSError:
        return False
    return record.size is None or record.size == size


def _sha256(data: bytes) -> str:
    # Loaded where it is needed: it brings OpenSSL along.
    digest: str = importlib.import_module("hashlib").sha256(data).hexdigest()
    return digest
