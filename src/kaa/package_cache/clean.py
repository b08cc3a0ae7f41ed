"""What can be removed from the package cache, and removing it.

Planning reads the disk and changes nothing; its value says what would go and how much room that gives. A package is
unused when none of its files has a link in an environment and no environment names its directory as its source.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from kaa.archive.temporary import TEMPORARY_SUFFIX
from kaa.errors import KaaError
from kaa.events import Reporter, Warned, silent
from kaa.host.files import is_writable, remove_tree
from kaa.host.locks import LockTimeout, file_lock
from kaa.package_cache.cache import BYTECODE, EXTENSIONS, LOCKS, PackageCache
from kaa.package_cache.extracted_package import RECORD_FILE

INDEX_CACHE = "cache"
PARTIAL = ".partial"
TRASH = ".trash"


class Removable(msgspec.Struct, frozen=True):
    """A file or directory that can go, and the bytes that this gives back."""

    path: Path
    size: int


class CleanPlan(msgspec.Struct, frozen=True):
    """What is to be removed, by kind."""

    archives: tuple[Removable, ...] = ()
    packages: tuple[Removable, ...] = ()
    index_caches: tuple[Removable, ...] = ()
    temporary: tuple[Removable, ...] = ()

    @property
    def size(self) -> int:
        """The bytes that the whole plan gives back."""
        return sum(removable.size for removable in self.all())

    def all(self) -> tuple[Removable, ...]:
        """Everything, in the order in which it is removed."""
        return (*self.temporary, *self.archives, *self.packages, *self.index_caches)


class CleanFailed(KaaError):
    """Some of what was to be removed is still there."""

    conda_name = "CondaOSError"

    def __init__(self, failures: Sequence[tuple[str, str]]) -> None:
        self.failures = tuple(failures)
        path, reason = failures[0]
        others = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
        super().__init__(
            f"{path} could not be removed: {reason}{others}",
            hints=("ask the owner of the cache to remove it, or run this as that user",),
        )


def plan_clean(
    cache: PackageCache,
    *,
    archives: bool = False,
    packages: bool = False,
    index_cache: bool = False,
    temporary: bool = False,
    in_use: Collection[Path] = (),
) -> CleanPlan:
    """What of these kinds can be removed from the directories that are writable.

    `in_use` are the package directories that environments name as the source of their files; they stay, as do the
    packages with files that are hard-linked somewhere else.
    """
    directories = [path for path in cache.directories if path.is_dir() and is_writable(path)]
    used = {path.absolute() for path in in_use}
    return CleanPlan(
        archives=tuple(item for path in directories for item in _archives(path)) if archives else (),
        packages=tuple(item for path in directories for item in _unused_packages(path, used)) if packages else (),
        index_caches=tuple(item for path in directories for item in _index_caches(path)) if index_cache else (),
        temporary=tuple(item for path in directories for item in _temporary(path)) if temporary else (),
    )


def execute_clean(plan: CleanPlan, reporter: Reporter = silent) -> int:
    """Remove what a plan names; returns the bytes given back.

    What another process is working on is left, with a warning; what cannot be removed is a CleanFailed at the end.
    """
    given_back = 0
    failures = []
    for removable in plan.all():
        try:
            with _not_in_work(removable.path):
                _remove(removable.path)
            given_back += removable.size
        except LockTimeout as error:
            reporter(Warned(f"{removable.path} stays: {error.holder} is working on it"))
        except OSError as error:
            failures.append((str(removable.path), error.strerror or str(error)))
    if failures:
        raise CleanFailed(failures)
    return given_back


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink() and (path / RECORD_FILE).exists():
        # Without its record a package is no package: an interruption leaves none that looks whole.
        (path / RECORD_FILE).unlink()
    remove_tree(path)
    remove_tree(path.parent / BYTECODE / path.name)


@contextlib.contextmanager
def _not_in_work(path: Path) -> Iterator[None]:
    """Hold the lock of the package that a path belongs to, where there is one; raises LockTimeout at once."""
    name = path.name.removeprefix(".")
    # A package's files are called by its name, with something behind a dot or a dash.
    stems = [name, *(name[: match.start()] for match in re.finditer(r"[.-]", name))]
    locks = [path.parent / LOCKS / f"{stem}.lock" for stem in stems if stem]
    with contextlib.ExitStack() as stack:
        for lock in filter(Path.is_file, locks):
            stack.enter_context(file_lock(lock, timeout=0))
        yield


def _archives(directory: Path) -> Iterator[Removable]:
    for path in sorted(directory.iterdir()):
        if path.name.endswith(EXTENSIONS) and path.is_file() and not path.name.startswith("."):
            yield Removable(path, path.lstat().st_size)


def _unused_packages(directory: Path, in_use: Collection[Path]) -> Iterator[Removable]:
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.is_symlink() or not (path / "info").is_dir() or path in in_use:
            continue
        bytecode = directory / BYTECODE / path.name
        if not has_links_outside(path, bytecode):
            yield Removable(path, size_of(path) + size_of(bytecode))


def _index_caches(directory: Path) -> Iterator[Removable]:
    path = directory / INDEX_CACHE
    if path.is_dir():
        yield Removable(path, size_of(path))


def _temporary(directory: Path) -> Iterator[Removable]:
    for path in sorted(directory.iterdir()):
        name = path.name
        # conda's own: names that end with `.c~`, and its trash.
        if name.endswith((PARTIAL, TEMPORARY_SUFFIX, ".c~")) or name == TRASH:
            yield Removable(path, size_of(path))


def has_links_outside(*directories: Path) -> bool:
    """Whether a file below these directories has more names than they hold."""
    expected: dict[tuple[int, int], int] = {}
    seen: Counter[tuple[int, int]] = Counter()
    for found in _iter_files(*directories):
        if found.st_nlink > 1 and stat.S_ISREG(found.st_mode):
            key = (found.st_dev, found.st_ino)
            expected[key] = found.st_nlink
            seen[key] += 1
    return any(seen[key] < count for key, count in expected.items())


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files below a directory, hard links counted once."""
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size if path.is_symlink() or path.exists() else 0
    return sum({(found.st_dev, found.st_ino): found.st_size for found in _iter_files(path)}.values())


def _iter_files(*directories: Path) -> Iterator[os.stat_result]:
    for directory in directories:
        for parent, _, names in os.walk(directory):
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    yield os.lstat(os.path.join(parent, name))  # noqa: PTH118 - a Path each costs too much
