"""Carry out the plan of a clean, beside other processes that work with the same cache.

Behind the gate of a cache directory (`kaa.package_cache.holds`) each thing is looked at once more and renamed into
`.trash`, which takes moments; what lies there is deleted afterwards. So a package is there whole or not at all, also
when a clean is killed, and the next one empties the trash.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from kaa.archive.temporary import random_name
from kaa.errors import KaaError
from kaa.events import Reporter, Warned, silent
from kaa.host.files import remove_tree
from kaa.host.locks import LockTimeout, file_lock
from kaa.package_cache.cache import LOCKS
from kaa.package_cache.clean import TRASH, CleanPlan, Removable, stamp_of
from kaa.package_cache.extracted_package import RECORD_FILE
from kaa.package_cache.holds import Removing, make_shared, removing
from kaa.package_cache.measure import has_links_outside

LONGEST_TURN = 0.05
"""For how many seconds others who want to begin may be kept waiting."""
NOT_OURS = "it belongs to another user, and you cannot remove it"
_ENTRY = r"\.?([0-9a-f]{16})[-.].*"
"""The names of files of the index cache, by the entry that they belong to."""


class Cleaned(msgspec.Struct, frozen=True):
    """What came of a clean."""

    given_back: int
    """Bytes"""
    stayed: tuple[tuple[Path, str], ...] = ()
    """What was to go and did not, and why"""


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


class _Stays(Exception):
    """Ends the removal of one thing: it is in use."""


def execute_clean(
    plan: CleanPlan,
    reporter: Reporter = silent,
    *,
    checkpoint: Callable[[str], None] = lambda step: None,
    patience: float = 5.0,
) -> Cleaned:
    """Remove what a plan names, as far as it is not in use by now; raises CleanFailed when something cannot go.

    `checkpoint` is called with its name before every step that changes something; `patience` is for how many seconds
    a user is waited for who works with a cache directory that is not theirs to write.
    """
    cleaning = _Cleaning(reporter, checkpoint, patience)
    for directory in plan.directories:
        own = [one for one in plan.all() if _cache_directory(one) == directory]
        cleaning.clean_directory(directory, own)
    for one in plan.all():
        if _cache_directory(one) not in plan.directories:
            cleaning.delete(one)
    if cleaning.failures:
        raise CleanFailed(cleaning.failures)
    return Cleaned(cleaning.given_back, tuple(cleaning.stayed))


def _cache_directory(one: Removable) -> Path:
    """The cache directory that something lies in, or in a directory of that."""
    parent = one.path.parent
    return parent.parent if parent.name.startswith(".") and one.kind != "index" else parent


class _Cleaning:
    """One clean, and what came of it so far."""

    def __init__(self, reporter: Reporter, checkpoint: Callable[[str], None], patience: float) -> None:
        self.reporter = reporter
        self.checkpoint = checkpoint
        self.patience = patience
        self.given_back = 0
        self.failures: list[tuple[str, str]] = []
        self.stayed: list[tuple[Path, str]] = []

    def clean_directory(self, directory: Path, own: Sequence[Removable]) -> None:
        """Remove things of one cache directory."""
        for one in own:
            if one.kind == "trash":
                self.delete(one)
        waiting = [one for one in reversed(own) if one.kind != "trash"]
        while waiting:
            try:
                with removing(directory, timeout=self.patience) as gate:
                    taken = self._take_turn(directory, waiting, gate)
            except LockTimeout as error:
                reason = f"{error.holder}, of a user who cannot write there, is working with it"
                self._stay(waiting, f"everything in {directory} stays: {reason}", reason)
                return
            except OSError as error:
                self.failures.append((str(directory), error.strerror or str(error)))
                return
            for path in taken:
                try:
                    self._delete_trash(path)
                except OSError as error:
                    self.failures.append((str(path), error.strerror or str(error)))

    def _take_turn(self, directory: Path, waiting: list[Removable], gate: Removing) -> list[Path]:
        """Take out what comes first, for a short while; gives where it lies now."""
        taken: list[Path] = []
        until = time.monotonic() + LONGEST_TURN
        while waiting and time.monotonic() < until:
            one = waiting.pop()
            try:
                self._check_unused(one, gate)
                with _not_in_work(directory, one.path):
                    taken += self._take(directory, one, gate)
                self.given_back += one.size
            except LockTimeout as error:
                self._stay([one], f"{one.path} stays: {error.holder} is working on it", error.holder)
            except _Stays as reason:
                self._stay([one], f"{one.path} stays: {reason}", str(reason))
            except PermissionError:
                self._stay([one], f"{one.path} stays: {NOT_OURS}", NOT_OURS)
            except OSError as error:
                self.failures.append((str(one.path), error.strerror or str(error)))
        return taken

    def _stay(self, ones: Iterable[Removable], told: str, reason: str) -> None:
        self.stayed += [(one.path, reason) for one in ones]
        self.reporter(Warned(told))

    def _check_unused(self, one: Removable, gate: Removing) -> None:
        """Raise _Stays when something is needed that nobody needed when it was planned."""
        hold = gate.holder_of(one.path.name)
        if hold is not None and one.kind in ("package", "archive", "temporary"):
            raise _Stays(f"{hold} needs it")
        if one.kind == "package" and (stamp_of(one.path) != one.stamp or has_links_outside(one.path, *one.beside)):
            raise _Stays("it is in use since a moment ago")

    def _take(self, directory: Path, one: Removable, gate: Removing) -> list[Path]:
        if one.kind == "index":
            return self._take_index(directory, one.path)
        taken = {path: self._take_path(directory, path) for path in (*one.beside, one.path)}
        in_trash = [(path, trash) for path, trash in taken.items() if trash is not None]
        hold = gate.holder_since(one.path.name)
        if hold is not None:
            for path, trash in reversed(in_trash):
                trash.rename(path)
            raise _Stays(f"{hold} needs it")
        return [trash for _, trash in in_trash]

    def _take_path(self, directory: Path, path: Path) -> Path | None:
        """Move one file or directory into the trash, and say what it is called there; a missing one is fine."""
        trash = make_shared(directory, TRASH) / f"{random_name()}-{path.name[:200]}"
        self.checkpoint(f"take {path}")
        try:
            _rename(path, trash)
        except FileNotFoundError:
            return None
        except OSError as error:
            # A package of a lower layer of an image, or one that is a mount point.
            if error.errno not in (errno.EXDEV, errno.EBUSY):
                raise
            self._delete_in_place(path)
            return None
        return trash

    def _delete_in_place(self, path: Path) -> None:
        """Delete a package where it lies, in an order in which no part of it ever looks like a package."""
        for name in (RECORD_FILE, Path("info", "index.json")):
            self.checkpoint(f"delete {path / name}")
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                (path / name).unlink()
        if path.is_dir() and not path.is_symlink():
            # By `info` a leftover is known for one.
            for child in sorted(path.iterdir(), key=lambda child: child.name == "info"):
                self.checkpoint(f"delete {child}")
                remove_tree(child)
        remove_tree(path)

    def _take_index(self, directory: Path, path: Path) -> list[Path]:
        """Take out the files of the index cache, entry by entry; directories stay for who writes there now."""
        taken: list[Path] = []
        for child in sorted(path.iterdir()):
            if child.name.endswith(".lock"):
                continue
            entry = re.fullmatch(_ENTRY, child.name)
            lock = path / f"{entry[1]}.lock" if entry else None
            try:
                with file_lock(lock, timeout=0) if lock and lock.exists() else contextlib.nullcontext():
                    # Shards are written without the lock, into a directory that must not go meanwhile.
                    inner = sorted(child.iterdir()) if child.is_dir() and not child.is_symlink() else [child]
                    taken += filter(None, [self._take_path(directory, one) for one in inner])
            except LockTimeout as error:
                self._stay([Removable(child, 0)], f"{child} stays: {error.holder} is working on it", error.holder)
        return taken

    def delete(self, one: Removable) -> None:
        """Delete something that nobody else can want; in a directory that the user named, that must succeed."""
        try:
            self._delete_trash(one.path)
            self.given_back += one.size
        except PermissionError as error:
            if one.kind == "trash":
                self._stay([one], f"{one.path} stays: {NOT_OURS}", NOT_OURS)
            else:
                self.failures.append((str(one.path), error.strerror or str(error)))
        except OSError as error:
            self.failures.append((str(one.path), error.strerror or str(error)))

    def _delete_trash(self, path: Path) -> None:
        self.checkpoint(f"delete {path}")
        # Another clean may be at the same trash.
        for _ in range(5):
            remove_tree(path)
            if not os.path.lexists(path):
                return


def _rename(path: Path, target: Path) -> None:
    try:
        path.rename(target)
    except PermissionError:
        # A directory that moves to another one must be writable itself; packages are not.
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_mode & stat.S_IWUSR:
            raise
        path.chmod(found.st_mode | stat.S_IWUSR)
        path.rename(target)


@contextlib.contextmanager
def _not_in_work(directory: Path, path: Path) -> Iterator[None]:
    """Hold the lock of the package that a path belongs to, where there is one; raises LockTimeout at once."""
    if path.parent.name == LOCKS:
        locks = [path]
    else:
        name = path.name.lstrip(".")
        # A package's files are called by its name, with something behind a dot or a dash.
        stems = [name, *(name[: match.start()] for match in re.finditer(r"[.-]", name))]
        locks = [directory / LOCKS / f"{stem}.lock" for stem in stems if stem]
    with contextlib.ExitStack() as stack:
        for lock in filter(Path.is_file, locks):
            stack.enter_context(file_lock(lock, timeout=0))
        yield
