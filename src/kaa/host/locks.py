"""One writer at a time: advisory locks on files, which end with their holder, however it ends.

Three ways are tried, in this order, until the file system accepts one: `flock`, record locks of `fcntl`, and a lease (a
file that only one can make, with signs of life). All processes that work on a file system come to the same one.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kaa.errors import KaaError
from kaa.host.leases import Lease, lease_of
from kaa.host.lock_methods import SYSTEM_METHODS as SYSTEM_METHODS
from kaa.host.lock_methods import LockMethod, Release
from kaa.host.lock_notes import LockHolder as LockHolder
from kaa.host.lock_notes import holder_in_kernel, holder_of_note, is_running, parse_note, this_host

METHODS: tuple[LockMethod, ...] = (*SYSTEM_METHODS, Lease())
REFUSALS = frozenset(
    {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EBADF, errno.ENOTTY}
)
"""Errors by which a file system says that it does not do this kind of lock."""
TELL_AFTER = 30.0
TELL_AT_LEAST = 300.0


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
    """Who holds the lock file `path`, when that can be told."""
    for file in (lease_of(path), path):
        try:
            holder = holder_of_note(parse_note(file.read_bytes()))
        except OSError:
            continue
        # What a process that was killed had written stays.
        if holder is not None and (holder.host != this_host() or is_running(holder.process)):
            return holder
    return holder_in_kernel(path)


@contextlib.contextmanager
def file_lock(
    path: Path,
    *,
    shared: bool = False,
    timeout: float = 600.0,
    waiting: Callable[[LockHolder | None], None] = lambda holder: None,
    fallback: Callable[[str], None] = lambda text: None,
    poll: Callable[[], None] = lambda: None,
    methods: Sequence[LockMethod] = METHODS,
    tell_after: float = TELL_AFTER,
) -> Iterator[None]:
    """Hold the lock file `path` for the length of a `with` block.

    The file is made where it is missing, with a mode by the umask, but never for everybody to write; it may stay. That
    of another user, which can only be read, is locked as well. `waiting` is called when somebody else holds it, at
    once and again from time to time, first after `tell_after` seconds; `poll` before each further try: what it raises
    ends the waiting. After `timeout` seconds LockTimeout is raised. `fallback` is told in words when the file system
    refused the first of `methods`, and which is used instead.

    A `shared` lock keeps only exclusive ones out. It needs a file that is there, to which it leaves no note, and one of
    SYSTEM_METHODS: a lease cannot be shared, which is an OSError (ENOLCK).
    """
    release = _acquire(path, shared, timeout, waiting, fallback, poll, list(methods), tell_after)
    try:
        yield
    finally:
        release()


def _acquire(
    path: Path,
    shared: bool,
    timeout: float,
    waiting: Callable[[LockHolder | None], None],
    fallback: Callable[[str], None],
    poll: Callable[[], None],
    methods: list[LockMethod],
    tell_after: float,
) -> Release:
    started = time.monotonic()
    tell_at = started
    pause = 0.01
    refusals: list[str] = []
    while True:
        method = methods[0]
        try:
            release = _take(method, path, shared)
        except OSError as error:
            if error.errno not in REFUSALS or len(methods) == 1:
                raise
            refusals.append(f"{method.name} ({error.strerror or error})")
            del methods[0]
            continue
        if release is not None:
            if refusals:
                fallback(f"the file system of {path.parent} refuses {' and '.join(refusals)}; using a {method.name}")
            return release
        now = time.monotonic()
        if now >= tell_at:
            waiting(read_holder(path))
            tell_at = now + tell_after
            tell_after = min(tell_after * 2, TELL_AT_LEAST)
        if now - started > timeout:
            raise LockTimeout(path, read_holder(path), timeout)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
        poll()


def _take(method: LockMethod, path: Path, shared: bool) -> Release | None:
    try:
        return method.take(path, shared=shared)
    except FileNotFoundError:
        if shared:
            raise
        # As well when what it was in was removed while this one waited.
        path.parent.mkdir(mode=0o775, parents=True, exist_ok=True)
        return method.take(path)
