"""How much of a disk something takes, what removing it gives back, and whether this user can remove it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec


class Measured(msgspec.Struct, frozen=True):
    """What a walk through files and directories found."""

    size: int
    """The bytes of all files, hard links counted once"""
    given_back: int
    """The bytes of the files that have no name elsewhere"""
    is_linked: bool
    """Whether a file has a name elsewhere"""
    foreign_owner: int | None
    """The user whose directories keep this user from removing all of it"""
    newest: float
    """When a file was last written, in seconds since the epoch; 0 when there is none"""


def measure(*paths: Path) -> Measured:
    """Look at everything below these paths (files or directories), following no links; missing ones count nothing."""
    sizes: dict[tuple[int, int], int] = {}
    missing_names: dict[tuple[int, int], int] = {}
    newest = 0.0
    foreign = None
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    for path in paths:
        for where, found in _iter_tree(path):
            if stat.S_ISDIR(found.st_mode):
                if user and found.st_uid != user and not _may_empty(where, found):
                    foreign = found.st_uid
                continue
            newest = max(newest, found.st_mtime)
            key = (found.st_dev, found.st_ino)
            sizes[key] = found.st_size
            # A link has no other name that counts: it takes no room to speak of.
            if found.st_nlink > 1 and stat.S_ISREG(found.st_mode):
                missing_names[key] = missing_names.get(key, found.st_nlink) - 1
    linked = {key for key, count in missing_names.items() if count > 0}
    size = sum(sizes.values())
    return Measured(size, size - sum(sizes[key] for key in linked), bool(linked), foreign, newest)


def has_links_outside(*paths: Path) -> bool:
    """Whether a file below these paths has more names than there are below them."""
    return measure(*paths).is_linked


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files below a directory, hard links counted once."""
    return measure(path).size


def _may_empty(where: str, found: os.stat_result) -> bool:
    """Whether files can be taken out of another user's directory."""
    return not found.st_mode & stat.S_ISVTX and os.access(where, os.W_OK | os.X_OK)


def _iter_tree(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    try:
        found = os.lstat(path)
    except OSError:
        return
    waiting = [(os.fspath(path), found)]
    while waiting:
        where, found = waiting.pop()
        yield where, found
        if not stat.S_ISDIR(found.st_mode):
            continue
        try:
            with os.scandir(where) as entries:
                for entry in entries:
                    try:
                        waiting.append((entry.path, entry.stat(follow_symlinks=False)))
                    except OSError:
                        continue
        except OSError:
            continue
