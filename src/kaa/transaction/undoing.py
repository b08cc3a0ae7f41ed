"""Reading a journal, and undoing what it says; `journal` says what its lines mean.

Lines are undone from the last to the first, and each is marked in its place when it has been: undoing needs no space on
the disk, and when it is stopped itself, the next one goes on from there. Within a line every step is either still
visible as done, or undoing it changes nothing.
"""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH103, PTH105, PTH106, PTH108, PTH112, PTH114, PTH120, PTH202
from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

from kaa.errors import KaaError
from kaa.host.files import remove_file
from kaa.host.syncing import sync_descriptor
from kaa.prefix.interruption import JOURNAL, STAGING
from kaa.transaction.actions import is_below
from kaa.transaction.script_traces import undo_script

STANDS = b" "
UNDONE = b"-"
"""The first byte of a line says whether it was undone."""

Line: TypeAlias = list[object]
T = TypeVar("T")


class RollbackFailed(KaaError):
    """An environment could not be brought back to what it was."""

    conda_name = "CondaMultiError"

    def __init__(self, prefix: Path, problems: Sequence[str]) -> None:
        self.prefix = str(prefix)
        self.problems = tuple(problems)
        listed = "".join(f"\n  {problem}" for problem in problems[:10])
        super().__init__(
            f"{len(problems)} steps of a change that failed could not be undone in {prefix}:{listed}",
            hints=("repair what is named there (permissions, space); the next command then goes on with it",),
        )


class JournalDamaged(KaaError):
    """A journal that an interrupted change left behind says something that no change does."""

    conda_name = "CorruptedEnvironmentError"

    def __init__(self, path: Path, number: int, reason: str = "") -> None:
        self.path = str(path)
        self.line = number
        self.reason = reason
        super().__init__(
            f"line {number} of {path}, the journal of an interrupted change, cannot be what kaa wrote"
            + (f": {reason}" if reason else ""),
            hints=(
                "see what is left of the environment with `kaa verify`, and make it again from there",
                "remove that file once nothing in it is needed: nothing is undone then",
            ),
        )


class Entry(NamedTuple):
    """A line of a journal and where it begins in the file."""

    start: int
    line: Line


def parse_journal(data: bytes, path: Path) -> list[Entry]:
    """The lines that stand; raises JournalDamaged rather than to hand out lines that are none.

    What follows the last end of a line had not been acted on when the writing stopped; nor had what holds a NUL, which
    a file system leaves where it had promised room and the power went.
    """
    entries = []
    start = 0
    for number, text in enumerate(data.split(b"\n")[:-1], 1):
        if b"\0" in text:
            break
        line = _parsed(text.removeprefix(UNDONE))
        if line is None:
            raise JournalDamaged(path, number)
        if not text.startswith(UNDONE):
            entries.append(Entry(start, line))
        start += len(text) + 1
    return entries


def check_reach(prefix: Path, entries: Sequence[Entry], path: Path) -> None:
    """Raise JournalDamaged for a journal that was not written in this environment, and leads out of it by links.

    Where the user let a directory lead elsewhere, what is written there is undone there. But an environment that came
    from somewhere may have brought its journal along.
    """
    match entries[0].line if entries else None:
        case ["made", _, int(inode)] if inode == (prefix / "conda-meta").stat().st_ino:
            return
    real = os.path.realpath(prefix)
    inside = {"": True}
    for number, (_, line) in enumerate(entries, 1):
        if line[0] == "script":
            raise JournalDamaged(path, number, "it is of a script that did not run here")
        for touched in _paths_of(line):
            folder = touched.rpartition("/")[0]
            if folder not in inside:
                inside[folder] = f"{os.path.realpath(f'{prefix}/{folder}')}/".startswith(f"{real}/")
            if not inside[folder] or (line[0] == "append" and os.path.islink(f"{prefix}/{touched}")):
                raise JournalDamaged(path, number, f"{touched} leads out of the environment")


def _paths_of(line: Line) -> Iterator[str]:
    """The paths that undoing a line may touch."""
    match line:
        case ["create" | "mkdir" | "commit", list(paths)]:
            yield from paths
        case ["move" | "replace", list(items)]:
            yield from (path for item in items for path in item if path is not None)
        case ["append", str(path), _]:
            yield path


def undo(prefix: Path, entries: Sequence[Entry], descriptor: int) -> None:
    """Undo lines of the journal that is open for writing; raises RollbackFailed at the first that does not go."""
    undoing = Undoing(prefix, (str(entry.line[1]) for entry in entries if entry.line[0] == "spare"))
    for start, line in reversed(entries):
        problems = list(undoing.undone(line))
        if not problems and line[0] not in ("made", "spare"):
            try:
                mark_undone(descriptor, start)
            except OSError as error:
                problems.append(f"{JOURNAL}: {error.strerror or error}")
        if problems:
            raise RollbackFailed(prefix, problems)


def mark_undone(descriptor: int, start: int) -> None:
    """Note in a journal that the line that begins there was undone, before the one above it is."""
    os.lseek(descriptor, start, os.SEEK_SET)
    os.write(descriptor, UNDONE)
    sync_descriptor(descriptor)


class Undoing:
    """Undoes lines of one environment; `spared` are paths that turned out to belong to somebody else."""

    def __init__(self, prefix: Path, spared: Iterable[str]) -> None:
        self._prefix = prefix
        self._root = f"{prefix}{os.sep}"
        self._spared = frozenset(spared)

    def undone(self, line: Line) -> Iterator[str]:
        """Undo one line; gives what went wrong."""
        match line:
            case ["create", list(paths)]:
                yield from _attempts(self._undo_create, paths)
            case ["mkdir", list(paths)]:
                yield from _attempts(self._undo_mkdir, paths)
            case ["move", list(moves)]:
                yield from _attempts(self._undo_move, moves)
            case ["replace", list(items)]:
                yield from _attempts(self._undo_replace, items)
            case ["script", int(number)]:
                yield from undo_script(self._prefix, number)
            case ["append", str(path), int() | None as size]:
                yield from _attempts(self._undo_append, [(path, size)])

    def _undo_create(self, path: str) -> None:
        if path in self._spared:
            return
        try:
            # It may be read-only, which Windows minds.
            remove_file(self._root + path)
        except NotADirectoryError:
            pass
        except OSError:
            # What was to be made is a file; a directory is what was there.
            if not os.path.isdir(self._root + path):
                raise

    def _undo_mkdir(self, path: str) -> None:
        if path in self._spared:
            return
        try:
            os.rmdir(self._root + path)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            # Somebody else put something there meanwhile; it stays.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _undo_move(self, move: Sequence[str]) -> None:
        source, target = self._root + move[0], self._root + move[1]
        # Names in the staging directory are new ones. Anywhere else, what is at the target may have been there before
        # the move was made; as long as the source is there, it was not made.
        made = move[1].startswith(f"{STAGING}/") or not os.path.lexists(source)
        if made and os.path.lexists(target):
            os.makedirs(os.path.dirname(source), exist_ok=True)
            os.replace(target, source)

    def _undo_replace(self, item: Sequence[str | None]) -> None:
        path, aside = f"{self._root}{item[0]}", item[1]
        if aside is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        elif os.path.lexists(self._root + aside):
            os.replace(self._root + aside, path)

    def _undo_append(self, item: tuple[str, int | None]) -> None:
        path, size = self._root + item[0], item[1]
        with contextlib.suppress(FileNotFoundError):
            if size is None:
                os.unlink(path)
            elif os.path.getsize(path) > size:
                os.truncate(path, size)


def _parsed(text: bytes) -> Line | None:
    """A line of a journal, if it is one: of a known kind, and about paths below the environment only."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return list(line) if _is_line(line) else None


def _is_line(line: object) -> bool:
    match line:
        case ["made", list(texts)] | ["made", list(texts), int()]:
            return all(isinstance(text, str) for text in texts)
        case ["create" | "mkdir" | "commit", list(paths)]:
            return all(map(is_below, paths))
        case ["replace", list(items)]:
            return all(isinstance(item, list) and len(item) == 2 and _is_replacement(*item) for item in items)
        case ["script", int(number)]:
            return number >= 0
        case ["spare", path] | ["append", path, int() | None]:
            return is_below(path)
        case ["move", list(moves)]:
            return all(isinstance(move, list) and len(move) == 2 and all(map(is_below, move)) for move in moves)
    return False


def _is_replacement(path: object, aside: object) -> bool:
    return is_below(path) and (aside is None or is_below(aside))


def _attempts(undo_one: Callable[[T], None], items: Sequence[T]) -> Iterator[str]:
    for item in reversed(items):
        try:
            undo_one(item)
        except OSError as error:
            # Nothing of a name that is too long for the disk can have been made.
            if error.errno != errno.ENAMETOOLONG:
                yield f"{item}: {error.strerror or error}"
