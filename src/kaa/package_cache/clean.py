"""What can be removed from the package cache.

Planning reads the disk and changes nothing; its value says what would go, how much room that gives, and what stays
and why. A package goes when nothing needs it (`kaa.package_cache.needs`), no running work holds it
(`kaa.package_cache.holds`), and none of its files has a name elsewhere. `kaa.package_cache.removing` carries a plan
out.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from kaa.archive.temporary import TEMPORARY_SUFFIX
from kaa.host.files import is_writable
from kaa.host.users import user_name
from kaa.package_cache.built_wheels import BUILT
from kaa.package_cache.cache import BYTECODE, EXTENSIONS, LOCKS, PackageCache, extension_at_end
from kaa.package_cache.extracted_package import RECORD_FILE, read_record
from kaa.package_cache.holds import Hold, read_holds
from kaa.package_cache.measure import Measured, measure, size_of
from kaa.package_cache.needs import Needs, UnknownEnvironment
from kaa.package_cache.roots import ROOTS

INDEX_CACHE = "cache"
PARTIAL = ".partial"
TRASH = ".trash"
CONDA_TEMPORARY = ".c~"
PROBE = ".kaa-probe-"
STALE_SECONDS = 24 * 3600.0
"""After what time a lock that nobody holds, or a file that lives for moments only, was left behind."""
BUILDING_SECONDS = 3600.0
"""What belongs to an sdist and is so young may be at work."""
_HASH_AT_END = r"-[0-9a-f]{8}\Z"

Kind: TypeAlias = Literal["archive", "package", "index", "temporary", "trash", "lock"]


class Removable(msgspec.Struct, frozen=True):
    """A file or directory that can go, and the bytes that this gives back."""

    path: Path
    size: int
    kind: Kind = "temporary"
    last_used: float = 0.0
    """In seconds since the epoch: of packages, when they were last linked"""
    beside: tuple[Path, ...] = ()
    """What goes with it"""
    stamp: int = 0
    """The time of a package's record when this was planned; another one later means that it is in use"""


class Kept(msgspec.Struct, frozen=True):
    """Something of the kinds that were asked for that stays, and why."""

    path: Path
    size: int
    reasons: tuple[str, ...]


class CleanPlan(msgspec.Struct, frozen=True):
    """What is to be removed, by kind, and what stays."""

    archives: tuple[Removable, ...] = ()
    packages: tuple[Removable, ...] = ()
    index_caches: tuple[Removable, ...] = ()
    temporary: tuple[Removable, ...] = ()
    kept: tuple[Kept, ...] = ()
    unknown: tuple[UnknownEnvironment, ...] = ()
    """Environments because of which packages stay: nobody knows what they need"""
    closed: tuple[Path, ...] = ()
    """Cache directories that this user cannot write to"""
    total: int = 0
    """What the whole cache takes now, where a size was asked for"""
    gone: tuple[tuple[Path, str], ...] = ()
    """(environment, host) of those whose root files go, as the environments are gone"""
    forgotten: tuple[Path, ...] = ()
    """Environments that the user named as gone"""
    unread_registries: tuple[str, ...] = ()
    """Users whose lists of environments this user may not read"""
    directories: tuple[Path, ...] = ()
    """The cache directories that this is about"""

    @property
    def size(self) -> int:
        """The bytes that the whole plan gives back."""
        return sum(removable.size for removable in self.all())

    def all(self) -> tuple[Removable, ...]:
        """Everything, in the order in which it is removed."""
        return (*self.temporary, *self.archives, *self.packages, *self.index_caches)


class CleanRequest(msgspec.Struct, frozen=True):
    """Which kinds of things may go, and how many of them."""

    archives: bool = False
    packages: bool = False
    index_cache: bool = False
    temporary: bool = False
    temporary_in: tuple[Path, ...] = ()
    """Environments and other directories in which conda's leftovers are looked for as well"""
    unused_since: float | None = None
    """Only what was last used before that time, in seconds since the epoch"""
    max_size: int | None = None
    """Only as much, least recently used first, as makes the cache no larger than that"""


def plan_clean(cache: PackageCache, request: CleanRequest, needs: Needs | None = None) -> CleanPlan:
    """What can be removed from the directories that are writable; `needs` are those of all environments."""
    needs = needs or Needs()
    present = [path for path in cache.directories if path.is_dir()]
    directories = [path for path in present if is_writable(path)]
    found = _Finding(cache, needs)
    removable: list[Removable] = []
    for directory in directories:
        removable += found.iter_removable(directory, request)
    for path in request.temporary_in:
        removable += _conda_leftovers(path)
    total = 0
    if request.unused_since is not None:
        removable = [one for one in removable if one.kind == "trash" or one.last_used < request.unused_since]
    if request.max_size is not None:
        total = measure(*directories).size
        removable = _least_recently_used(removable, total - request.max_size)
    chosen = sorted(removable, key=lambda one: one.path)
    return CleanPlan(
        archives=tuple(one for one in chosen if one.kind == "archive"),
        packages=tuple(one for one in chosen if one.kind == "package"),
        index_caches=tuple(one for one in chosen if one.kind == "index"),
        temporary=tuple(one for one in chosen if one.kind in ("temporary", "trash", "lock")),
        kept=tuple(found.kept),
        unknown=tuple(found.unknown),
        closed=tuple(path for path in present if path not in directories),
        total=total,
        directories=tuple(directories),
    )


def _least_recently_used(removable: Sequence[Removable], excess: int) -> list[Removable]:
    """What goes to give back `excess` bytes: leftovers first, then what was not used for longest."""
    chosen = [one for one in removable if one.kind in ("temporary", "trash", "lock")]
    excess -= sum(one.size for one in chosen)
    rest = (one for one in removable if one.kind in ("archive", "package", "index") and one.size)
    for one in sorted(rest, key=lambda one: (one.last_used, one.path)):
        if excess <= 0:
            break
        chosen.append(one)
        excess -= one.size
    return chosen


class _Finding:
    """Looks through cache directories; collects what stays on the way."""

    def __init__(self, cache: PackageCache, needs: Needs) -> None:
        self.cache = cache
        self.needs = needs
        self.kept: list[Kept] = []
        self.unknown: list[UnknownEnvironment] = []
        self._holds: tuple[Hold, ...] = ()

    def iter_removable(self, directory: Path, request: CleanRequest) -> Iterator[Removable]:
        self._holds = read_holds(directory)
        if request.archives or request.packages or request.index_cache or request.temporary:
            # What a clean that was killed had taken out already.
            yield from _each(directory / TRASH, _trash)
        if request.temporary:
            yield from _each(directory, self._leftover)
            yield from _each(directory / BYTECODE, _orphaned_bytecode)
            yield from _each(directory / ROOTS, _unfinished_root)
            yield from _each(directory / LOCKS, _lock)
        if request.archives:
            yield from _each(directory, self._archive)
            yield from _each(directory / BUILT, self._built)
        if request.packages:
            yield from _each(directory, self._package)
        if request.index_cache:
            yield from _index_cache(directory)

    def _archive(self, path: Path) -> Removable | None:
        if not path.name.endswith(EXTENSIONS) or path.name.startswith(".") or path.is_symlink():
            return None
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            return None
        reasons = [*self._why_archive(path), *self._held(path.name)]
        if _is_sticky_for_us(path.parent, found):
            reasons.append(f"it belongs to {user_name(found.st_uid)}, and you cannot remove it")
        if reasons:
            self.kept.append(Kept(path, found.st_size, tuple(reasons)))
            return None
        return Removable(path, found.st_size if found.st_nlink == 1 else 0, "archive", found.st_mtime)

    def _built(self, path: Path) -> Removable | None:
        """What belongs to one sdist: its wheels are the archives of packages, and can be built again."""
        found = path.lstat()
        if _age(path) < BUILDING_SECONDS:
            return None
        measured = measure(path)
        if measured.foreign_owner is not None or _is_sticky_for_us(path.parent, found):
            reason = f"it belongs to {user_name(_owner(path, measured))}, and you cannot remove it"
            self.kept.append(Kept(path, measured.size, (reason,)))
            return None
        return Removable(path, measured.given_back, "archive", found.st_mtime)

    def _why_archive(self, path: Path) -> tuple[str, ...]:
        """An archive is needed by who needs the package, unless that lies unpacked."""
        name = path.name.removesuffix(extension_at_end(path.name))
        if any((directory / name / RECORD_FILE).is_file() for directory in self.cache.directories):
            return ()
        return tuple(dict.fromkeys([*self.needs.why_archive(name), *self.needs.why_archive(_without_hash(name))]))

    def _package(self, path: Path) -> Removable | None:
        if path.name.startswith(".") or path.is_symlink() or not (path / "info").is_dir():
            return None
        bytecode = path.parent / BYTECODE / path.name
        measured = measure(path, bytecode)
        reasons = [*self.needs.why(path, read_record(path)), *self._held(path.name)]
        if measured.is_linked and not reasons:
            reasons.append("its files are linked into an environment")
        if measured.foreign_owner is not None or _is_sticky_for_us(path.parent, path.lstat()):
            reasons.append(f"it belongs to {user_name(_owner(path, measured))}, and you cannot remove it")
        if not reasons:
            unknown = self.needs.unknown_for(path.parent)
            self.unknown += [one for one in unknown if one not in self.unknown]
            reasons += [f"{one.path} may need it ({one.reason})" for one in unknown]
        if reasons:
            self.kept.append(Kept(path, measured.size, tuple(dict.fromkeys(reasons))))
            return None
        stamp = stamp_of(path)
        return Removable(path, measured.given_back, "package", stamp / 1e9, (bytecode,), stamp)

    def _held(self, name: str) -> list[str]:
        return [f"held by {one}" for one in self._holds if one.needs(name)]

    def _leftover(self, path: Path) -> Removable | None:
        is_probe = path.name.startswith(PROBE) and _age(path) > STALE_SECONDS
        if not path.name.endswith((PARTIAL, TEMPORARY_SUFFIX, CONDA_TEMPORARY)) and not is_probe:
            return None
        reasons = self._held(path.name)
        if reasons:
            self.kept.append(Kept(path, size_of(path), tuple(reasons)))
            return None
        return _temporary(path)


def _each(directory: Path, look: Callable[[Path], Removable | None]) -> Iterator[Removable]:
    """What `look` finds in a directory; what something else removes meanwhile is no more."""
    try:
        paths = sorted(directory.iterdir())
    except OSError:
        return
    for path in paths:
        found = None
        with contextlib.suppress(FileNotFoundError):
            found = look(path)
        if found is not None:
            yield found


def _temporary(path: Path) -> Removable:
    return Removable(path, measure(path).given_back, "temporary", path.lstat().st_mtime)


def _trash(path: Path) -> Removable:
    return Removable(path, measure(path).given_back, "trash", path.lstat().st_mtime)


def _lock(path: Path) -> Removable | None:
    found = path.lstat()
    return Removable(path, found.st_size, "lock", found.st_mtime) if _age(path) > STALE_SECONDS else None


def _unfinished_root(path: Path) -> Removable | None:
    return _temporary(path) if path.name.startswith(".") and _age(path) > STALE_SECONDS else None


def _orphaned_bytecode(path: Path) -> Removable | None:
    """Bytecode of a package that something else removed."""
    # A name without a dash is not that of a package: bytecode of another directory's packages lies there.
    return _temporary(path) if "-" in path.name and not (path.parent.parent / path.name).exists() else None


def _index_cache(directory: Path) -> Iterator[Removable]:
    path = directory / INDEX_CACHE
    found = measure(path)
    if path.is_dir() and found.size:
        yield Removable(path, found.given_back, "index", found.newest)


def _conda_leftovers(path: Path) -> Iterator[Removable]:
    """The files that conda moved aside in an environment when they could not be removed."""
    for parent, _, names in os.walk(path):
        for name in names:
            if name.endswith((CONDA_TEMPORARY, TRASH)):
                yield _temporary(Path(parent, name))


def stamp_of(path: Path) -> int:
    """When a package was last used, in nanoseconds: the time of its record, else that of its directory."""
    for place in (path / RECORD_FILE, path):
        with contextlib.suppress(OSError):
            return place.stat().st_mtime_ns
    return 0


def _age(path: Path) -> float:
    return time.time() - path.lstat().st_mtime


def _without_hash(name: str) -> str:
    return re.sub(_HASH_AT_END, "", name)


def _is_sticky_for_us(directory: Path, found: os.stat_result) -> bool:
    """Whether only its owner may take something out of a directory, and this user is neither that nor root."""
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    parent = directory.stat()
    return bool(user and parent.st_mode & stat.S_ISVTX and user not in (found.st_uid, parent.st_uid))


def _owner(path: Path, measured: Measured) -> int:
    return path.lstat().st_uid if measured.foreign_owner is None else measured.foreign_owner
