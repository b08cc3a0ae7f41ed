"""One writer at a time: advisory locks on files, released by the system when their holder ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kaa.errors import KaaError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class LockHolder:
    """Who holds a lock, as its holder wrote it down; `since` is in seconds since the epoch."""

    __slots__ = ("host", "process", "since")

    def __init__(self, process: int, host: str, since: float) -> None:
        self.process = process
        self.host = host
        self.since = since

    def __str__(self) -> str:
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.process} on {self.host}, since {clock}"


class LockTimeout(KaaError):
    """Another process held a lock for longer than this one was told to wait."""

    conda_name = "LockError"

    def __init__(self, path: Path, holder: LockHolder | None, seconds: float) -> None:
        self.path = str(path)
        self.holder = str(holder) if holder else "another process"
        self.seconds = seconds
        super().__init__(
            f"waited {seconds:g} seconds for {path}, held by {self.holder}",
            hints=("wait for that process to end, or end it, and run the command again",),
        )


def read_holder(path: Path) -> LockHolder | None:
    """Who wrote itself down in a lock file, when that can be read."""
    try:
        content = importlib.import_module("json").loads(path.read_text())
        return LockHolder(int(content["process"]), str(content["host"]), float(content["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def file_lock(
    path: Path,
    *,
    timeout: float = 600.0,
    waiting: Callable[[LockHolder | None], None] = lambda holder: None,
    shared: bool = False,
) -> Iterator[None]:
    """Hold the lock file `path` (made when missing, mode by umask) for the length of a `with` block.

    `waiting` is called once when somebody else holds it; after `timeout` seconds LockTimeout is raised. A process that
    dies lets go at once: the lock belongs to the open file, and the file itself may stay. A `shared` lock keeps only
    the others out; its file must be there, and is only read.
    """
    if shared:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        _acquire(descriptor, path, timeout, waiting, shared=shared)
        if shared:
            yield
            return
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, _note().encode())
        yield
    finally:
        os.close(descriptor)


def _note() -> str:
    """This process as JSON, made by hand: loading json takes longer than most locks are held."""
    host = os.uname().nodename if sys.platform != "win32" else os.environ.get("COMPUTERNAME", "")
    plain = "".join(letter for letter in host if letter.isalnum() or letter in "-._")
    return f'{{"process": {os.getpid()}, "host": "{plain}", "since": {time.time()!r}}}'


def _acquire(
    descriptor: int, path: Path, timeout: float, waiting: Callable[[LockHolder | None], None], *, shared: bool
) -> None:
    deadline = time.monotonic() + timeout
    told = False
    pause = 0.01
    while True:
        try:
            _try_lock(descriptor, shared=shared)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if not told:
            told = True
            waiting(read_holder(path))
        if time.monotonic() > deadline:
            raise LockTimeout(path, read_holder(path), timeout)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def _try_lock(descriptor: int, *, shared: bool) -> None:
    """Lock an open file, or raise OSError (EAGAIN, EACCES) at once when another holds it."""
    if sys.platform == "win32":
        # A byte far behind the note: Windows locks bytes, and keeps others from reading them.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
