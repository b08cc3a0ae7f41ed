"""The journal of a running transaction: what is about to be moved and made, written before it is done.

`conda-meta/.kaa-journal` holds one JSON array per line, only ever appended to. A line is written whole before its first
path is touched, and all paths of a line are done before the next line is written. So whatever the moment at which the
work stopped, undoing the lines from last to first gives the old environment: what was made is removed where it exists,
what was moved aside is moved back where it is aside. A last line that is cut short had not been acted on. A line
`["commit"]` says that the new environment is complete, and that only what was set aside is left to be dropped.

What is set aside, and what is prepared, lies in `conda-meta/.kaa-staging`.
"""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH101, PTH102, PTH104, PTH106, PTH108, PTH112, PTH116, PTH117, PTH202
from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from kaa.errors import KaaError
from kaa.host.files import remove_tree

JOURNAL = "conda-meta/.kaa-journal"
STAGING = "conda-meta/.kaa-staging"

Line: TypeAlias = list[object]
Outcome: TypeAlias = Literal["nothing", "finished", "taken back"]
"""What became of an interrupted change; "nothing": there was none."""
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
            hints=("repair what is named there (permissions, space) and change this environment again",),
        )


class JournalDamaged(KaaError):
    """A journal that an interrupted change left behind says something that no change does."""

    conda_name = "CorruptedEnvironmentError"

    def __init__(self, path: Path, number: int) -> None:
        self.path = str(path)
        self.line = number
        super().__init__(
            f"line {number} of {path}, the journal of an interrupted change, cannot be what kaa wrote",
            hints=(
                "see what is left of the environment with `kaa verify`, and make it again from there",
                "remove that file once nothing in it is needed: nothing is undone then",
            ),
        )


class Journal:
    """The journal of one transaction on one environment; paths are posix and below the prefix.

    `checkpoint` is called with the path before each single change.
    """

    def __init__(self, prefix: Path, checkpoint: Callable[[str], None] = lambda step: None) -> None:
        self.prefix = prefix
        self.checkpoint = checkpoint
        self._root = f"{prefix}{os.sep}"
        self._lines: list[Line] = []
        self._spared: set[str] = set()
        self._aside = 0
        self._descriptor: int | None = None

    @property
    def staging(self) -> Path:
        return self.prefix / STAGING

    def begin(self, made: Iterable[Path] = ()) -> None:
        """Open the journal; `made` are the directories that exist only since this transaction, outermost first."""
        path = self.prefix / JOURNAL
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(path, flags, 0o666)
        self._write(["made", [str(directory) for directory in made]])
        for directory in (self.staging, self.staging / "removed", self.staging / "new"):
            directory.mkdir()

    # What follows announces; whoever calls it then does what was announced.

    def will_create(self, paths: Sequence[str]) -> None:
        """Files or links that are about to be made, where nothing is now."""
        if paths:
            self._write(["create", list(paths)])

    def will_make_directories(self, paths: Sequence[str]) -> None:
        """Directories that are about to be made, outer ones first."""
        if paths:
            self._write(["mkdir", list(paths)])

    def will_append(self, path: str) -> None:
        """A file that is about to grow (or to come into being)."""
        target = self._root + path
        size = os.stat(target).st_size if os.path.lexists(target) else None
        self._write(["append", path, size])

    def spare(self, path: str) -> None:
        """A path that was announced, but belongs to somebody else: it is not to be removed."""
        self._spared.add(path)
        self._write(["spare", path])

    def set_aside(self, paths: Sequence[str]) -> None:
        """Move files away from where they are; missing ones are fine."""
        moves = []
        for path in paths:
            moves.append((path, f"{STAGING}/removed/{self._aside}"))
            self._aside += 1
        self.move(moves)

    def move(self, moves: Sequence[tuple[str, str]]) -> None:
        """Rename (from, to), no directories; a missing source is fine, the directory of `to` must exist."""
        if not moves:
            return
        self._write(["move", [list(move) for move in moves]])
        root = self._root
        for source, target in moves:
            self.checkpoint(source)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.rename(root + source, root + target)

    def make_directories(self, paths: Sequence[str]) -> None:
        """Make directories, outer ones first, where they are missing."""
        missing = [path for path in paths if not os.path.isdir(self._root + path)]
        self.will_make_directories(missing)
        for path in missing:
            self.checkpoint(path)
            try:
                os.mkdir(self._root + path)
            except FileExistsError:
                self.spare(path)
                if not os.path.isdir(self._root + path):
                    raise

    def remove_directories(self, paths: Sequence[str]) -> None:
        """Remove empty directories, inner ones first."""
        if paths:
            modes = [[path, os.lstat(self._root + path).st_mode & 0o7777] for path in paths]
            self._write(["rmdir", modes])
            for path in paths:
                self.checkpoint(path)
                os.rmdir(self._root + path)

    def roll_back(self) -> None:
        """Undo everything, last first; raises RollbackFailed, and keeps the journal, when that is not possible."""
        problems = [problem for line in reversed(self._lines) for problem in self._undone(line)]
        if problems:
            self._close()
            raise RollbackFailed(self.prefix, problems)
        self._discard()

    def declare_complete(self) -> None:
        """From here on the new environment is the one; nothing is undone any more."""
        self._write(["commit"])

    def clean_up(self) -> None:
        """Drop what was set aside, and the journal itself."""
        self._discard()

    def _discard(self) -> None:
        remove_tree(self.staging)
        self._close()
        (self.prefix / JOURNAL).unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, line: Line) -> None:
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        assert self._descriptor is not None
        while data:
            data = data[os.write(self._descriptor, data) :]
        self._lines.append(line)

    def _undone(self, line: Line) -> Iterator[str]:
        """Undo one line; gives what went wrong."""
        match line:
            case ["create", list(paths)]:
                yield from _attempts(self._undo_create, paths)
            case ["mkdir", list(paths)]:
                yield from _attempts(self._undo_mkdir, paths)
            case ["move", list(moves)]:
                yield from _attempts(self._undo_move, moves)
            case ["rmdir", list(directories)]:
                yield from _attempts(self._undo_rmdir, directories)
            case ["append", str(path), int() | None as size]:
                yield from _attempts(self._undo_append, [(path, size)])

    def _undo_create(self, path: str) -> None:
        if path not in self._spared:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(self._root + path)

    def _undo_mkdir(self, path: str) -> None:
        try:
            os.rmdir(self._root + path)
        except FileNotFoundError:
            pass
        except OSError as error:
            # Somebody else put something there meanwhile; it stays.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _undo_move(self, move: Sequence[str]) -> None:
        source, target = self._root + move[0], self._root + move[1]
        if os.path.lexists(target):
            os.rename(target, source)

    def _undo_rmdir(self, item: tuple[str, int]) -> None:
        path = self._root + item[0]
        if not os.path.isdir(path):
            os.mkdir(path)
        os.chmod(path, item[1])

    def _undo_append(self, item: tuple[str, int | None]) -> None:
        path, size = self._root + item[0], item[1]
        if size is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        elif os.path.getsize(path) > size:
            os.truncate(path, size)

    @classmethod
    def read(cls, prefix: Path) -> Journal | None:
        """The journal that a transaction left behind when it was killed; None when there is none.

        Raises JournalDamaged rather than to act on lines that are none, or on paths that lead out of the environment.
        """
        path = prefix / JOURNAL
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        journal = cls(prefix)
        # What follows the last end of a line had not been acted on when the writing stopped.
        for number, text in enumerate(data.split(b"\n")[:-1], 1):
            line = _parsed(text)
            if line is None:
                raise JournalDamaged(path, number)
            journal._lines.append(line)
            if line[0] == "spare":
                journal._spared.add(str(line[1]))
        return journal

    @property
    def committed(self) -> bool:
        """Whether the new environment was complete."""
        return bool(self._lines) and self._lines[-1] == ["commit"]


def recover(prefix: Path) -> Outcome:
    """Finish or take back what a killed transaction left in an environment, and say which.

    The caller holds the lock of the environment.
    """
    journal = Journal.read(prefix)
    if journal is None:
        remove_tree(prefix / STAGING)
        return "nothing"
    if journal.committed:
        journal._discard()
        return "finished"
    journal.roll_back()
    return "taken back"


def _parsed(text: bytes) -> Line | None:
    """A line of a journal, if it is one: of a known kind, and about paths below the environment only."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return list(line) if _is_line(line) else None


def _is_line(line: object) -> bool:
    match line:
        case ["made", list(texts)]:
            return all(isinstance(text, str) for text in texts)
        case ["create" | "mkdir", list(paths)]:
            return all(map(_is_below, paths))
        case ["spare", path] | ["append", path, int() | None]:
            return _is_below(path)
        case ["move", list(moves)]:
            return all(isinstance(move, list) and len(move) == 2 and all(map(_is_below, move)) for move in moves)
        case ["rmdir", list(items)]:
            return all(map(_is_directory_with_mode, items))
    return line == ["commit"]


def _is_below(path: object) -> bool:
    """Whether a value is a posix path that stays below the environment."""
    if not isinstance(path, str) or not path or "\0" in path:
        return False
    return not os.path.isabs(path) and not {"", ".", ".."}.intersection(path.replace(os.sep, "/").split("/"))


def _is_directory_with_mode(item: object) -> bool:
    match item:
        case [path, int() as mode]:
            return _is_below(path) and 0 <= mode <= 0o7777
    return False


def _attempts(undo: Callable[[T], None], items: Sequence[T]) -> Iterator[str]:
    for item in reversed(items):
        try:
            undo(item)
        except OSError as error:
            # Nothing of a name that is too long for the disk can have been made.
            if error.errno != errno.ENAMETOOLONG:
                yield f"{item}: {error.strerror or error}"
