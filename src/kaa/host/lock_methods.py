"""The ways of locking a file that a system offers; each lock belongs to an open file, and ends with its holder.

Where a file system refuses one of them, `kaa.host.locks` tries the next; the last one is `kaa.host.leases`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol, TypeAlias

from kaa.host.lock_notes import make_note

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Release: TypeAlias = Callable[[], None]

LOCK_MODE = 0o664
"""Of new lock files, less the umask: never may everybody write."""
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_BUSY = (errno.EAGAIN, errno.EACCES)


class LockMethod(Protocol):
    """One way of locking."""

    name: str

    def take(self, path: Path, *, shared: bool = False) -> Release | None:
        """Take the lock and give what lets it go; None, at once, when another holds it.

        Raises OSError where the file system refuses this way. A `shared` lock keeps only others out that are not; its
        file must be there.
        """


class FileLock:
    """What the ways have in common: an open file with a note of its holder in it."""

    name = ""

    def take(self, path: Path, *, shared: bool = False) -> Release | None:
        descriptor, writable = (os.open(path, os.O_RDONLY | _FLAGS), False) if shared else _open(path)
        taken = False
        try:
            taken = self._taken(descriptor, path, shared, writable) and _is_at(path, descriptor)
        finally:
            if not taken:
                os.close(descriptor)
        if not taken:
            return None
        if writable:
            _write(descriptor, make_note())
        return partial(_release, descriptor, writable)

    def _taken(self, descriptor: int, path: Path, shared: bool, writable: bool) -> bool:
        try:
            self._try(descriptor, shared)
        except OSError as error:
            if error.errno == errno.EBADF and not writable and not shared:
                # Here only who may write to a file may lock it. Another way would not keep the others out.
                raise PermissionError(errno.EACCES, "only its owner may lock it", str(path)) from error
            if error.errno not in _BUSY:
                raise
            return False
        return True

    def _try(self, descriptor: int, shared: bool) -> None:
        """Lock an open file, or raise OSError: EAGAIN or EACCES when another holds it."""
        raise NotImplementedError


if sys.platform == "win32":

    class ByteLock(FileLock):
        """The lock of one byte (`LockFile`)."""

        name = "byte-range lock"

        def _try(self, descriptor: int, shared: bool) -> None:
            # A byte far behind the note: Windows keeps others from reading what is locked. It knows no sharing here.
            os.lseek(descriptor, 1 << 20, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    SYSTEM_METHODS: tuple[LockMethod, ...] = (ByteLock(),)

else:

    class Flock(FileLock):
        """The lock of a whole file (`flock(2)`); it needs no right to write to it."""

        name = "flock"

        def _try(self, descriptor: int, shared: bool) -> None:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    class RecordLock(FileLock):
        """The lock of a range of bytes (`fcntl(2)`), owned by the open file where the system has that.

        Elsewhere it is the process that owns it: two threads of one process do not keep each other out then.
        """

        name = "fcntl record lock"

        def _try(self, descriptor: int, shared: bool) -> None:
            if sys.platform == "linux":
                kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
                request = struct.pack("hhqqi8x", kind, os.SEEK_SET, 0, 0, 0)
                try:
                    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
                    return
                except OSError as error:
                    if error.errno != errno.EINVAL:
                        raise
            fcntl.lockf(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

    SYSTEM_METHODS = (Flock(), RecordLock())


def _open(path: Path) -> tuple[int, bool]:
    """A lock file, made where it is missing, and whether it is open for writing: that of another user often is not."""
    try:
        descriptor, writable = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, LOCK_MODE), True
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        try:
            descriptor, writable = os.open(path, os.O_RDONLY | _FLAGS), False
        except OSError:
            raise error from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "a lock is not a regular file", str(path))
    return descriptor, writable


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one of that name; whoever held the lock may have removed it."""
    if sys.platform == "win32":
        return True
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(descriptor: int, note: bytes) -> None:
    """Leave a note; a full disk is no reason to do without the lock."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, note)


def _release(descriptor: int, writable: bool) -> None:
    try:
        if writable:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)
