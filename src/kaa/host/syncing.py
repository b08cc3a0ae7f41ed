"""Getting what was written onto the disk, so that it outlasts a loss of power."""

# Descriptors and strings here: thousands of paths where a file system must be told one by one.
# ruff: noqa: PTH120
from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

NOT_SYNCED = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOENT}
"""What systems say that keep no such thing apart (directories of Windows, some network file systems)."""


def open_directory(directory: Path) -> int | None:
    """A descriptor for `sync_file_system`; None where directories cannot be opened.

    A failed writing is told to those who had a descriptor open before: open it first.
    """
    try:
        return os.open(directory, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None


def sync_file_system(descriptor: int | None, written: Iterable[str]) -> None:
    """Get everything onto the disk that was written to the file system of an open directory.

    Where the system can only be told one file at a time, those are the absolute paths `written`, and their
    directories. Raises OSError when the disk refuses.
    """
    if sys.platform == "linux" and descriptor is not None and _syncfs(descriptor):
        return
    if sys.platform == "linux":
        # It waits for all disks of the machine.
        os.sync()
        return
    directories = set()
    for path in written:
        directories.add(os.path.dirname(path))
        sync_path(path)
    for directory in directories:
        sync_path(directory)


def sync_path(path: str | Path) -> None:
    """Get one file or directory onto the disk; raises OSError when the disk refuses, not where there is no way."""
    writable = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY
    try:
        descriptor = os.open(path, writable | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        # Links, and what was closed to its owner: their names are synced with their directory.
        return
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


def sync_descriptor(descriptor: int) -> None:
    """`os.fsync` that says nothing where there is nothing to sync."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NOT_SYNCED:
            raise


def _syncfs(descriptor: int) -> bool:
    """Call `syncfs(2)`; False where the C library or the kernel has none."""
    # It takes 3 ms to load, and only what changes something needs it.
    ctypes = importlib.import_module("ctypes")
    try:
        call = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return False
    if call(descriptor) == 0:
        return True
    code = ctypes.get_errno()
    if code == errno.ENOSYS:
        return False
    raise OSError(code, os.strerror(code))
