"""The journal of a running transaction: what is about to be moved and made, on the disk before it is done.

`conda-meta/.kaa-journal` holds one JSON array per line, each behind one byte that says whether it was undone, only ever
appended to. What is announced together is written and synced together before the first of its paths is touched
(`barrier`); all that was announced has been done before anything new is announced that it could be in the way of.
So whatever the moment at which the work stopped, undoing the lines from last to first gives the old environment: what
was made is removed where it exists, what was moved aside is moved back where it is aside (`undoing`). A last line that
is cut short had not been acted on.

A line `["commit", directories]` says that the new environment is complete, and on the disk; what was set aside is left
to be dropped, and those directories where they are empty.

What is set aside, and what is prepared, lies in `conda-meta/.kaa-staging`.
"""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH102, PTH104, PTH106, PTH112, PTH116, PTH120, PTH208
from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from kaa.host.files import read_regular_file, remove_tree
from kaa.host.syncing import open_directory, sync_descriptor, sync_file_system, sync_path
from kaa.prefix.interruption import JOURNAL, STAGING
from kaa.transaction.undoing import (
    STANDS,
    Entry,
    Line,
    RollbackFailed,
    check_reach,
    parse_journal,
    undo,
)

Move: TypeAlias = tuple[str, str]
Replacement: TypeAlias = tuple[str, str | None]
"""A path and where what stood there is set aside; None: nothing did."""
STAYS = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EBUSY, errno.EACCES, errno.EPERM}
"""Why a directory that lost its files is not removed after all; any other error is one of the disk."""
Outcome: TypeAlias = Literal["nothing", "finished", "taken back"]
"""What became of an interrupted change; "nothing": there was none."""


class Journal:
    """The journal of one transaction on one environment; paths are posix and below the prefix.

    `checkpoint` is called with the path before each single change. Without `sync` nothing waits for the disk, and a
    loss of power may leave an environment that is neither the old nor the new one.
    """

    def __init__(
        self, prefix: Path, checkpoint: Callable[[str], None] = lambda step: None, *, sync: bool = True
    ) -> None:
        self.prefix = prefix
        self.checkpoint = checkpoint
        self.begun = False
        self._sync = sync
        self._root = f"{prefix}{os.sep}"
        self._entries: list[Entry] = []
        self._pending: list[Line] = []
        self._end = 0
        self._broken = False
        self._aside = 0
        self._descriptor: int | None = None
        self._directory: int | None = None

    @property
    def staging(self) -> Path:
        return self.prefix / STAGING

    def begin(self, made: Iterable[Path] = ()) -> None:
        """Open the journal; `made` are the directories that exist only since this transaction, outermost first."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        self._directory = open_directory(self.prefix)
        self._descriptor = os.open(self.prefix / JOURNAL, flags, 0o666)
        self.begun = True
        place = (self.prefix / JOURNAL).parent.stat().st_ino
        self._write([["made", [str(directory) for directory in made], place]])
        for directory in (self.staging, self.staging / "removed", self.staging / "new"):
            directory.mkdir()
        if self._sync:
            for name in (self.staging, self.staging.parent):
                sync_path(name)

    # What follows announces; whoever calls it then does what was announced, after `barrier`.

    def will_create(self, paths: Sequence[str]) -> None:
        """Files or links that are about to be made, where nothing is now."""
        if paths:
            self._pending.append(["create", list(paths)])

    def will_make_directories(self, paths: Sequence[str]) -> Sequence[str]:
        """Directories that are about to be made, where nothing is by then, outer ones first."""
        if paths:
            self._pending.append(["mkdir", list(paths)])
        return paths

    def will_move(self, moves: Iterable[Move]) -> list[Move]:
        """Files that are about to be renamed, (from, to); gives those that are there."""
        present = [move for move in moves if os.path.lexists(self._root + move[0])]
        if present:
            self._pending.append(["move", [list(move) for move in present]])
        return present

    def will_set_aside(self, paths: Iterable[str]) -> list[Move]:
        """Files or empty directories that are about to leave their places; gives the moves that do it."""
        start = self._aside
        moves = [(path, f"{STAGING}/removed/{number}") for number, path in enumerate(paths, start)]
        self._aside += len(moves)
        if moves:
            self._pending.append(["move", [list(move) for move in moves]])
        return moves

    def will_append(self, path: str) -> None:
        """A file that is about to grow (or to come into being)."""
        target = self._root + path
        self._pending.append(["append", path, os.stat(target).st_size if os.path.lexists(target) else None])

    def will_replace(self, paths: Iterable[str]) -> list[Replacement]:
        """Files that are about to come from the staging directory, in place of what is there, if anything is."""
        found: list[Replacement] = []
        for path in paths:
            found.append((path, f"{STAGING}/removed/{self._aside}" if os.path.lexists(self._root + path) else None))
            self._aside += 1
        if found:
            self._pending.append(["replace", [list(one) for one in found]])
        return found

    def will_run_script(self, number: int) -> None:
        """A script that is about to run; what there was before is written down (`script_traces`)."""
        self._pending.append(["script", number])

    def spare(self, path: str) -> None:
        """A path that was announced, but belongs to somebody else: it is not to be removed."""
        self._write([["spare", path]])

    def barrier(self) -> None:
        """Have everything on the disk that was announced; called before any of it is done."""
        if self._pending:
            lines, self._pending = self._pending, []
            self._write(lines)

    # What follows does what was announced.

    def carry_out(self, moves: Sequence[Move]) -> None:
        """Rename, where the source is still there; the directory of the target must exist."""
        self.barrier()
        root = self._root
        for source, target in moves:
            self.checkpoint(source)
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.rename(root + source, root + target)

    def move(self, moves: Iterable[Move]) -> None:
        """Announce that files are renamed, and do it; missing ones are fine."""
        self.carry_out(self.will_move(moves))

    def set_aside(self, paths: Iterable[str]) -> None:
        """Announce that files leave their places, and move them; missing ones are fine."""
        self.carry_out(self.will_set_aside(paths))

    def replace(self, replacements: Sequence[Replacement], staged: Callable[[str], str]) -> None:
        """Bring files from where they are `staged`, below the prefix."""
        self.barrier()
        for path, aside in replacements:
            self.checkpoint(path)
            if aside is not None:
                os.rename(self._root + path, self._root + aside)
            os.rename(self._root + staged(path), self._root + path)

    def set_directories_aside(self, moves: Sequence[Move]) -> None:
        """Move empty directories away; they are not removed, so that undoing needs no space."""
        self.carry_out(moves)
        for source, target in moves:
            if os.listdir(self._root + target):
                raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), self._root + source)

    def make_directories(self, paths: Iterable[str]) -> None:
        """Announce directories that are missing, outer ones first, and make them."""
        self.make_announced(self.will_make_directories(self._missing(paths)))

    def make_announced(self, paths: Sequence[str]) -> None:
        """Make directories, outer ones first."""
        self.barrier()
        for path in paths:
            self.checkpoint(path)
            try:
                os.mkdir(self._root + path)
            except FileExistsError:
                self.spare(path)
                if not os.path.isdir(self._root + path):
                    raise

    def _missing(self, paths: Iterable[str]) -> list[str]:
        return [path for path in paths if not os.path.isdir(self._root + path)]

    def sync_all(self) -> None:
        """Have everything on the disk that was written so far."""
        if self._sync:
            sync_file_system(self._directory, self._written())

    def sync_moved(self, targets: Iterable[str]) -> None:
        """Have the new names of what was moved on the disk, before others take its places."""
        if self._sync:
            for directory in {os.path.dirname(target) for target in targets}:
                sync_path(self._root + directory)

    # The end.

    def roll_back(self) -> None:
        """Undo everything, last first; raises RollbackFailed, and keeps the journal, when that is not possible."""
        if self._descriptor is None:
            self._close()
            return
        try:
            undo(self.prefix, self._entries, self._descriptor)
        except RollbackFailed:
            self._close()
            raise
        self._flush_what_was_undone()
        # Without a journal the staging directory means nothing: what is left of it is swept away by the next change.
        self._remove_journal()
        remove_tree(self.staging)

    def declare_complete(self, emptied: Sequence[str] = ()) -> None:
        """From here on the new environment is the one; `emptied` are directories that go if they are empty.

        Everything that was written is on the disk before this is noted, and the note when this returns.
        """
        self.barrier()
        self.sync_all()
        try:
            self._write([["commit", list(emptied)]])
        except OSError as error:
            if self.committed:
                # The line stands there, may be not on the disk, and cannot be taken back. Nothing was undone nor
                # dropped yet: whatever the journal turns out to say, it is right.
                self._close()
                raise RollbackFailed(self.prefix, [f"{JOURNAL}: {error.strerror or error}"]) from error
            raise

    def clean_up(self) -> None:
        """Drop what was set aside, and the journal itself."""
        remove_tree(self.staging)
        for path in self._emptied:
            try:
                os.rmdir(self._root + path)
            except OSError as error:
                if error.errno not in STAYS:
                    raise
        self._remove_journal()

    @property
    def committed(self) -> bool:
        """Whether the new environment was complete."""
        return bool(self._entries) and self._entries[-1].line[0] == "commit"

    @property
    def _emptied(self) -> Iterator[str]:
        for entry in self._entries[-1:]:
            match entry.line:
                case ["commit", list(paths)]:
                    yield from map(str, paths)

    def abandon(self) -> None:
        """Leave the journal where it is: what it is about has gone as a whole."""
        self._close()

    def _flush_what_was_undone(self) -> None:
        # An error here is one of the files that have just been removed, or of somebody else's.
        with contextlib.suppress(OSError):
            self.sync_all()

    def _remove_journal(self) -> None:
        self._close()
        (self.prefix / JOURNAL).unlink(missing_ok=True)

    def _close(self) -> None:
        for descriptor in (self._descriptor, self._directory):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._directory = None

    def _write(self, lines: Sequence[Line]) -> None:
        """Write lines whole, and have them on the disk; after a failure nothing more is written."""
        assert self._descriptor is not None
        if self._broken:
            raise OSError(errno.EIO, "an earlier line could not be written", str(self.prefix / JOURNAL))
        data = bytearray()
        start, known = self._end, len(self._entries)
        for line in lines:
            self._entries.append(Entry(start + len(data), line))
            data += STANDS + json.dumps(line, separators=(",", ":")).encode() + b"\n"
        try:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            if self._sync:
                sync_descriptor(self._descriptor)
        except OSError as error:
            self._withdraw(start, known)
            error.filename = error.filename or str(self.prefix / JOURNAL)
            raise
        self._end += len(data)

    def _withdraw(self, start: int, known: int) -> None:
        """Take back what could not be written whole: it will not be acted on, and must not be undone later."""
        self._broken = True
        assert self._descriptor is not None
        try:
            os.ftruncate(self._descriptor, start)
            del self._entries[known:]
            sync_descriptor(self._descriptor)
        except OSError:
            # What stands there whole is undone with the rest, and marked.
            size = os.fstat(self._descriptor).st_size
            self._entries = [one for one in self._entries if one.start < size]

    def _written(self) -> Iterator[str]:
        """The absolute paths that were made."""
        for entry in self._entries:
            match entry.line:
                case ["create" | "mkdir", list(paths)]:
                    yield from (f"{self._root}{path}" for path in paths)
                case ["move", list(moves)]:
                    yield from (f"{self._root}{path}" for move in moves for path in move)
                case ["replace", list(items)]:
                    yield from (f"{self._root}{path}" for path, _ in items)
                case ["append", path, _]:
                    yield f"{self._root}{path}"

    @classmethod
    def read(cls, prefix: Path) -> Journal | None:
        """The journal that a transaction left behind when it was killed; None when there is none.

        Raises JournalDamaged rather than to act on lines that are none, or on paths that lead out of the environment.
        """
        path = prefix / JOURNAL
        try:
            data = read_regular_file(path)
        except FileNotFoundError:
            return None
        journal = cls(prefix)
        journal._entries = parse_journal(data, path)
        check_reach(prefix, journal._entries, path)
        return journal

    def open(self) -> None:
        """Open what was read for undoing."""
        self._directory = open_directory(self.prefix)
        self._descriptor = os.open(self.prefix / JOURNAL, os.O_RDWR | getattr(os, "O_BINARY", 0))

    @property
    def created(self) -> frozenset[str]:
        """The paths of all files that were announced to be made."""
        lines = [entry.line for entry in self._entries]
        return frozenset(
            path for line in lines if line[0] == "create" and isinstance(line[1], list) for path in line[1]
        )

    @property
    def made(self) -> tuple[str, ...]:
        """The directories that had been made for the environment, as the journal says."""
        for entry in self._entries[:1]:
            match entry.line:
                case ["made", list(texts), *_]:
                    return tuple(map(str, texts))
        return ()


def recover(prefix: Path) -> Outcome:
    """Finish or take back what a killed transaction left in an environment, and say which.

    The caller holds the lock of the environment.
    """
    journal = Journal.read(prefix)
    if journal is None:
        remove_tree(prefix / STAGING)
        return "nothing"
    if journal.committed:
        journal.clean_up()
        return "finished"
    journal.open()
    journal.roll_back()
    return "taken back"
