"""Locks for file systems that offer none: a file beside the lock file, which only one process can make.

    <lock>.lease    who holds the lock: process, machine, since when, and what tells its process from a later one

The holder touches it every HEARTBEAT seconds. It counts no more when its process has ended, where that can be seen (on
the same machine), else when it was not touched for ABANDONED seconds by the clock of the file system. A machine that
was halted for so long and goes on has lost its lease without knowing: that is why this comes last.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import sys
from pathlib import Path

from kaa.host.lock_methods import LOCK_MODE, Release
from kaa.host.lock_notes import is_running, make_note, parse_note, start_of, this_host

HEARTBEAT = 10.0
"""Seconds between two signs of life."""
ABANDONED = 120.0
"""Seconds without a sign of life after which the holder, on another machine, counts as dead."""
UNWRITTEN = 10.0
"""Seconds after which a lease without content counts as that of a process that died while it made it."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Lease:
    """The lock by a file of its own."""

    name = "lease file"

    def __init__(self, *, heartbeat: float = HEARTBEAT, abandoned: float = ABANDONED) -> None:
        self._heartbeat = heartbeat
        self._abandoned = abandoned

    def take(self, path: Path, *, shared: bool = False) -> Release | None:
        if shared:
            raise OSError(errno.ENOLCK, "a lease cannot be shared", str(path))
        lease = lease_of(path)
        note = make_note(started=start_of(os.getpid()), machine=this_machine(), token=os.urandom(8).hex())
        if not (_made(lease, note) or (self._is_abandoned(lease) and self._removed(lease) and _made(lease, note))):
            return None
        ended = _thread.allocate_lock()
        ended.acquire()
        _thread.start_new_thread(self._live, (lease, note, ended))
        process = os.getpid()

        def release() -> None:
            ended.release()
            # A child that was forked meanwhile has a copy of this, and no lease.
            if os.getpid() == process and _content(lease) == note:
                with contextlib.suppress(OSError):
                    lease.unlink()

        return release

    def _live(self, lease: Path, note: bytes, ended: _thread.LockType) -> None:
        while not ended.acquire(timeout=self._heartbeat):
            with contextlib.suppress(OSError):
                if lease.read_bytes() == note:
                    os.utime(lease)

    def _is_abandoned(self, lease: Path) -> bool:
        """Whether the holder of a lease is dead, as far as that can be known."""
        content = parse_note(_content(lease) or b"")
        match content:
            case {"process": int() as process, "machine": str() as machine, "started": str() as started}:
                if machine == this_machine():
                    return not is_running(process, started)
                return _age(lease) > self._abandoned
        return _age(lease) > min(UNWRITTEN, self._abandoned)

    def _removed(self, lease: Path) -> bool:
        """Remove an abandoned lease, as the only one who does so: another might meanwhile hold a new one."""
        guard = lease.with_name(f"{lease.name}.ending")
        if not _made(guard, make_note(started=start_of(os.getpid()), machine=this_machine())):
            if self._is_abandoned(guard):
                with contextlib.suppress(OSError):
                    guard.unlink()
            return False
        try:
            if not self._is_abandoned(lease):
                return False
            lease.unlink(missing_ok=True)
            return True
        finally:
            with contextlib.suppress(OSError):
                guard.unlink()


def lease_of(path: Path) -> Path:
    """The lease that belongs to a lock file."""
    return path.with_name(f"{path.name}.lease")


def this_machine() -> str:
    """What tells apart machines of one name, and containers on one of them: their processes have numbers of their own.

    After a restart it is another one.
    """
    parts = [this_host()]
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        with contextlib.suppress(OSError):
            # pid:[4026531836]
            parts.append("".join(filter(str.isdigit, os.readlink("/proc/self/ns/pid"))))  # noqa: PTH115
    return "/".join(parts)


def _made(path: Path, content: bytes) -> bool:
    """Make a file, unless there is one; raises OSError, with none left, when it cannot be written."""
    try:
        descriptor = os.open(path, _NEW_FILE, LOCK_MODE)
    except FileExistsError:
        return False
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(f"{path} cannot be written")
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    return True


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _age(path: Path) -> float:
    """The seconds since a file was touched, by the clock of its file system: other machines have others."""
    probe = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        touched = path.stat().st_mtime
        os.close(os.open(probe, _NEW_FILE, LOCK_MODE))
        return probe.stat().st_mtime - touched
    except FileNotFoundError:
        return 0.0
    finally:
        probe.unlink(missing_ok=True)
