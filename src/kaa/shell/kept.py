"""Activations that are kept, so that a shell can take the same steps again without starting a process.

A kept activation is a script of the shell. It first looks at what the steps rest on: the variables that were looked at
when they were planned, and the files that were read. If all of that is as it was, the script takes the steps; if not,
it does nothing, and the shell's function asks kaa as it did the first time.

Whether a file is as it was, a shell can tell by comparing its time with that of another file (`-nt`, `-ot`): beside the
script lie empty files with the times that the files had. Scripts lie in a directory of the user's own, which nobody
else may write to, never in an environment; a shell takes only those that belong to its user.
"""

# os.path, not pathlib: this runs in the process that a shell waits for.
# ruff: noqa: PTH100, PTH102, PTH105, PTH106, PTH108, PTH116, PTH119, PTH120, PTH123, PTH208
from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence

from kaa.models.value import Value
from kaa.shell.activation import PathChange, ShellAction

SETTLED = 2_000_000_000
"""Nanoseconds for which a file must have been as it is: one that changes within the tick of a clock shows no change."""
MOST = 200
"""How many activations are kept before all of them go."""


class ReadVariables(Mapping[str, str]):
    """The variables of a shell, with a list of those that somebody looked at."""

    __slots__ = ("environ", "listed", "read")

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.read: dict[str, str | None] = {}
        """Name → value, None for a variable that is not there."""
        self.listed = False
        """Whether somebody went through all names, so that any other variable might have mattered."""

    def __getitem__(self, name: str) -> str:
        value = self.environ.get(name)
        self.read[name] = value
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        self.listed = True
        return iter(self.environ)

    def __len__(self) -> int:
        self.listed = True
        return len(self.environ)


class Kept(Value):
    """An activation, and what it rests on."""

    variables: Mapping[str, str | None]
    present: tuple[tuple[str, str], ...]
    """The files and directories that must be as they were, each with the empty file that has the time which it had."""
    absent: tuple[str, ...]
    path: PathChange
    actions: tuple[ShellAction, ...]
    """All steps but that of the search path."""
    warnings: tuple[str, ...]


def plan_stamps(
    paths: Sequence[str], directory: str, now: int
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]] | None:
    """The files that are there and those that are not; None if one has just been changed, or cannot be looked at.

    `directory` is where the stamps are to be, `now` the time in nanoseconds.
    """
    present, absent = [], []
    for path in dict.fromkeys(paths):
        try:
            changed = os.stat(path).st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            absent.append(path)
            continue
        except OSError:
            return None
        if not 0 <= changed <= now - SETTLED:
            return None
        present.append((path, f"{directory}/{changed}"))
    return tuple(present), tuple(absent)


def keep(script: str, text: str, stamps: Sequence[str]) -> None:
    """Write a script and its stamps, whose names are their times. Raises OSError when there is no place for them."""
    folder, name = os.path.split(script)
    _make_own(folder)
    directory = f"{script}.times"
    _make_own(directory)
    for stamp in stamps:
        _write_stamp(stamp, int(os.path.basename(stamp)))
    # Two processes may write the same script at once.
    temporary = f"{folder}/.{name[-100:]}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(os.fsencode(text))
    os.replace(temporary, script)
    wanted = {os.path.basename(stamp) for stamp in stamps}
    for old in os.listdir(directory):
        if old not in wanted:
            os.unlink(f"{directory}/{old}")


def keep_few(directory: str) -> None:
    """Remove all that is kept below a directory if it is more than `MOST` scripts."""
    tree = list(os.walk(directory, topdown=False))
    if sum(name.endswith((".sh", ".fish")) for _, _, files in tree for name in files) <= MOST:
        return
    for folder, _, files in tree:
        for name in files:
            os.unlink(f"{folder}/{name}")
        if folder != directory:
            os.rmdir(folder)


def is_own(directory: str, user: int) -> bool:
    """Whether nobody but the user and root can put something into a directory, or another one in its place."""
    path = os.path.abspath(directory)
    while True:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            path = os.path.realpath(path)
            continue
        sticky = bool(status.st_mode & stat.S_ISVTX) and path != directory
        if status.st_uid not in (0, user) or (status.st_mode & 0o022 and not sticky):
            return False
        if path == os.path.dirname(path):
            return True
        path = os.path.dirname(path)


def _make_own(directory: str) -> None:
    """Make a directory of the user's own, and those above it; raises PermissionError where others may write."""
    user = os.geteuid()
    there, missing = directory, list[str]()
    while not os.path.lexists(there):
        missing.append(there)
        there = os.path.dirname(there)
    # Root in the home of someone else makes nothing there that this one could not use.
    if os.stat(there).st_uid != user or not is_own(there, user):
        raise PermissionError(f"{there} is not this user's own")
    for path in reversed(missing):
        os.mkdir(path, 0o700)


def _write_stamp(path: str, changed: int) -> None:
    with open(path, "ab"):
        os.utime(path, ns=(changed, changed))
    if os.stat(path).st_mtime_ns != changed:
        raise OSError(f"{path}: this file system does not keep times as exactly")


def now() -> int:
    """The time in nanoseconds."""
    return time.time_ns()
