"""Temporary environments: made for one question (which packages, from where, for what), kept, and used again.

    <root>/temporary/<packages>/        an environment; its name is a hash of all that is in it, so it never changes
    <root>/temporary/.asked/<question>  which environment answers a question, and when that was solved
    <root>/temporary/.locks/            held while a question is answered, or an environment is made

Two questions with the same answer share an environment. A program that runs in one holds a shared lock on the file
`conda-meta/kaa-temporary` of it, through a descriptor that its children inherit; the time of that file is that of the
last use. Nothing heavy is imported here: using an environment that is there takes a few calls of the system.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from kaa.host.files import read_regular_file, write_atomic
from kaa.prefix.interruption import is_set_aside, is_unsettled

if sys.platform != "win32":
    import fcntl

DIRECTORY = "temporary"
MARKER = "conda-meta/kaa-temporary"
ASKED = ".asked"
LOCKS = ".locks"
LONGEST_AGE = 7 * 24 * 3600.0
"""After so many seconds a question is answered anew: channels have newer packages then."""
_OUT_OF_THE_WAY = 100
"""Programs count on the low numbers of descriptors being free."""


class Answer:
    """The environment that answers a question, and whether it is so old that the question should be asked again."""

    __slots__ = ("is_old", "prefix")

    def __init__(self, prefix: Path, *, is_old: bool) -> None:
        self.prefix = prefix
        self.is_old = is_old


def temporary_directory(root_prefix: Path) -> Path:
    """Where a root prefix keeps its temporary environments."""
    return root_prefix / DIRECTORY


def key_of(content: Mapping[str, object]) -> str:
    """The name of a question, or of an environment, by what it is made of."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def find_answer(root_prefix: Path, question: str) -> Answer | None:
    """The environment that was made for a question; None when there is none that can be used."""
    directory = temporary_directory(root_prefix)
    try:
        asked = json.loads(read_regular_file(directory / ASKED / question, 10_000))
        name, solved = str(asked["environment"]), float(asked["solved"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    prefix = directory / name
    if not name or "/" in name or name.startswith(".") or not is_whole(prefix):
        return None
    return Answer(prefix, is_old=not 0 <= time.time() - solved < LONGEST_AGE)


def write_answer(root_prefix: Path, question: str, prefix: Path) -> None:
    """Note which environment answers a question as of now."""
    path = temporary_directory(root_prefix) / ASKED / question
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps({"environment": prefix.name, "solved": time.time()}).encode())


def is_whole(prefix: Path) -> bool:
    """Whether a temporary environment was made to its end, and nothing has begun to change or remove it."""
    return os.path.isfile(prefix / MARKER) and not is_unsettled(prefix)  # noqa: PTH113


def mark_whole(prefix: Path) -> None:
    """Note that a temporary environment is made to its end."""
    write_atomic(prefix / MARKER, b"")


def iter_temporary(root_prefix: Path) -> Iterator[Path]:
    """The temporary environments of a root prefix, those that were not made to their end included."""
    with contextlib.suppress(OSError):
        for path in sorted(temporary_directory(root_prefix).iterdir()):
            if not path.name.startswith(".") and not is_set_aside(path.name) and (path / "conda-meta").is_dir():
                yield path


def last_use(prefix: Path) -> float:
    """When a program was last started in a temporary environment, in seconds since the epoch."""
    for path in (prefix / MARKER, prefix / "conda-meta"):
        with contextlib.suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def keep(prefix: Path) -> bool:
    """Keep a temporary environment from being removed until this process, and those that inherit from it, have ended.

    False when it is gone. Where the file system has no such locks, only the time of the last use speaks for it.
    """
    try:
        descriptor = _open(prefix)
    except OSError:
        return False
    with contextlib.suppress(OSError):
        os.utime(prefix / MARKER)
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            # Waits for one who is removing it.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
    if not _is_marker(prefix, descriptor):
        os.close(descriptor)
        return False
    _hand_on(descriptor)
    return True


def _open(prefix: Path) -> int:
    try:
        return os.open(prefix / MARKER, os.O_RDWR)
    except PermissionError:
        return os.open(prefix / MARKER, os.O_RDONLY)


def _is_marker(prefix: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat((prefix / MARKER).stat(), os.fstat(descriptor))
    except OSError:
        return False


def _hand_on(descriptor: int) -> None:
    """Let the program that takes this process's place have an open file, under a number that it will not want."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_DUPFD, _OUT_OF_THE_WAY)
            os.close(descriptor)
            return
    os.set_inheritable(descriptor, True)


@contextlib.contextmanager
def claimed(prefix: Path) -> Iterator[bool]:
    """Whether nobody uses a temporary environment; nobody can begin to within the `with` block then."""
    try:
        descriptor = _open(prefix)
    except OSError:
        # Never made to its end, or gone.
        yield True
        return
    try:
        if sys.platform != "win32":
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            except OSError:
                yield time.time() - last_use(prefix) > LONGEST_AGE
                return
        yield _is_marker(prefix, descriptor)
    finally:
        os.close(descriptor)
