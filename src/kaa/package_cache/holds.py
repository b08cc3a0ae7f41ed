"""Holds: what running work needs of the package cache, so that no clean takes it away meanwhile.

    <directory>/.holds/gate                         locked by who begins to hold (shared) or removes something (alone)
    <directory>/.holds/<host>-<pid>-<random>.names  a hold: one dist string per line, or `*` for all packages
    <directory>/.holds/<host>-<pid>-<random>.lock   its lock

A hold is locked for its whole life; the system lets go of the lock when the process ends, however it ends, and the
files of a dead one are removed by the next clean. Who cannot write to a cache directory holds a shared lock on its gate
instead, which keeps everything in that directory.

    with hold(cache, records):
        ...find, fetch and link these packages...

Where locks do not work, or cannot be shared, nobody waits at the gate: a hold still counts, by its process, and who
took something out looks again for holds that were made meanwhile (`Removing.holder_since`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from kaa.host.files import read_regular_file
from kaa.host.locks import SYSTEM_METHODS, LockHolder, LockTimeout, file_lock, read_holder
from kaa.models.record import PackageRecord
from kaa.package_cache.cache import NoWritableCache, PackageCache

HOLDS = ".holds"
GATE = "gate"
NAMES = ".names"
EVERYTHING = "*"
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""Errors of file systems that have no locks."""
LONGEST_UNSEEN = 24 * 3600.0
"""How long the hold of another host counts where locks do not work."""
_HASH_AT_END = r"-[0-9a-f]{8}\Z"


class Hold(msgspec.Struct, frozen=True):
    """A hold of a process that lives."""

    holder: LockHolder | None
    names: frozenset[str]

    def needs(self, name: str) -> bool:
        """Whether a package directory of that name is held, or a file or directory made on the way to it."""
        if EVERYTHING in self.names:
            return True
        name = name.lstrip(".")
        # What belongs to a package is called by its name, with something behind a dot or a dash.
        stems = (name[: match.start()] for match in re.finditer(r"[.-]|\Z", name))
        return any(stem in self.names for stem in stems)

    def __str__(self) -> str:
        return str(self.holder or "another process")


@contextlib.contextmanager
def hold(cache: PackageCache, records: Iterable[PackageRecord] | None) -> Iterator[None]:
    """Keep the packages of `records` (None: all) in every directory of a cache for the length of a `with` block.

    What is there when the block begins stays, and so does what the block brings. It costs a file per directory.
    """
    names = [EVERYTHING] if records is None else [record.dist for record in records]
    if names:
        # What is fetched comes there.
        with contextlib.suppress(NoWritableCache):
            cache.writable_directory()
    with contextlib.ExitStack() as stack:
        for directory in cache.directories if names else ():
            if directory.is_dir():
                _hold_directory(stack, directory, "\n".join(names))
        yield


def _hold_directory(stack: contextlib.ExitStack, directory: Path, names: str) -> None:
    if os.access(directory, os.W_OK | os.X_OK):
        # A full disk, a quota, or a directory of holds that is another user's alone: then as who cannot write.
        with contextlib.suppress(OSError):
            gate = make_gate(directory)
            path = gate.with_name(f"{host_name()}-{os.getpid()}-{os.urandom(4).hex()}{NAMES}")
            with _passing(gate):
                stack.enter_context(_held_file(path, names))
            return
    with contextlib.suppress(OSError):
        stack.enter_context(file_lock(directory / HOLDS / GATE, shared=True))


@contextlib.contextmanager
def _held_file(names: Path, text: str) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.callback(_unlink, names)
        stack.callback(_unlink, _lock_of(names))
        try:
            stack.enter_context(file_lock(_lock_of(names), timeout=0, methods=SYSTEM_METHODS))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        names.write_text(text, encoding="utf-8")
        yield


def _lock_of(names: Path) -> Path:
    return names.with_name(f"{names.name.removesuffix(NAMES)}.lock")


@contextlib.contextmanager
def _passing(gate: Path) -> Iterator[None]:
    """Wait until nobody is removing anything, which never takes long."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(file_lock(gate, shared=True))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        yield


class Removing(msgspec.Struct, frozen=True):
    """The right to take things out of a cache directory, and what is not to be taken."""

    directory: Path
    holds: tuple[Hold, ...]
    known: frozenset[str]
    """The files of these holds, and of those of dead processes"""

    def holder_of(self, name: str) -> Hold | None:
        """Who needs the package of that name."""
        return next((hold for hold in self.holds if hold.needs(name)), None)

    def holder_since(self, name: str) -> Hold | None:
        """Who has begun to hold the package of that name although the gate is closed."""
        if all(path.name in self.known for path in _hold_files(self.directory)):
            return None
        return next((hold for hold in read_holds(self.directory) if hold.needs(name)), None)


@contextlib.contextmanager
def removing(directory: Path, *, timeout: float = 5.0) -> Iterator[Removing]:
    """Let nobody begin to hold in a cache directory, for a moment; raises LockTimeout when that cannot be had.

    It cannot while a user is at work who may read this directory but not write to it.
    """
    gate = make_gate(directory)
    with contextlib.ExitStack() as stack:
        works = True
        try:
            stack.enter_context(file_lock(gate, timeout=timeout, methods=SYSTEM_METHODS))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            works = False
        known = frozenset(path.name for path in _hold_files(directory))
        yield Removing(directory, read_holds(directory, remove_dead=works), known)


def read_holds(directory: Path, *, remove_dead: bool = False) -> tuple[Hold, ...]:
    """The holds of living processes in a cache directory; those of dead ones may only be removed behind the gate."""
    found = []
    for path in _hold_files(directory):
        with contextlib.suppress(FileNotFoundError):
            if _is_alive(path):
                found.append(Hold(read_holder(_lock_of(path)), _names_in(path)))
            elif remove_dead:
                _unlink(_lock_of(path))
                _unlink(path)
    return tuple(found)


def _names_in(path: Path) -> frozenset[str]:
    try:
        return frozenset(read_regular_file(path).decode(errors="replace").split("\n"))
    except FileNotFoundError:
        raise
    except OSError:
        # Nobody knows what it needs.
        return frozenset({EVERYTHING})


def _hold_files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in (directory / HOLDS).iterdir() if path.suffix == NAMES)
    except OSError:
        return []


def _is_alive(path: Path) -> bool:
    try:
        with file_lock(_lock_of(path), timeout=0, shared=True):
            return False
    except FileNotFoundError:
        return False
    except LockTimeout:
        return True
    except PermissionError:
        # Of a user with a strict umask: nobody can ask for its lock, and nobody but that user can remove it.
        return _may_live(path)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return _may_live(path)


def _may_live(path: Path) -> bool:
    """Whether the process that a hold is named after is there; of another host, whether it is young."""
    host, process, _ = f"--{path.name}".rsplit("-", 2)
    host = host.removeprefix("--")
    if host != host_name() or not process.isdecimal():
        return time.time() - path.stat().st_mtime < LONGEST_UNSEEN
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def make_gate(directory: Path) -> Path:
    """The gate of a cache directory, made where it is missing, for all who may write to the directory."""
    gate = make_shared(directory, HOLDS) / GATE
    with contextlib.suppress(FileExistsError):
        os.close(os.open(gate, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o664))
    return gate


def make_shared(directory: Path, name: str) -> Path:
    """A directory of a cache directory, made with the same mode: for those who may write there, and no others."""
    path = directory / name
    try:
        path.mkdir()
    except FileExistsError:
        return path
    with contextlib.suppress(OSError):
        path.chmod(directory.stat().st_mode & 0o7777)
    return path


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def host_name() -> str:
    """This machine, as a part of file names."""
    host = os.uname().nodename if sys.platform != "win32" else os.environ.get("COMPUTERNAME", "")
    return re.sub(r"[^A-Za-z0-9_.]", "_", host)[:100] or "host"
