"""Files beside those of packages, removed, kept or put within a transaction: what a repair or an undoing restores."""

# Paths are strings here, as everywhere in a transaction.
# ruff: noqa: PTH112, PTH114, PTH115, PTH118, PTH120, PTH211
from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from kaa.errors import KaaError
from kaa.host.files import copy_file, current_umask
from kaa.models.pattern import Pattern
from kaa.transaction.actions import UnsafePath, why_unsafe
from kaa.transaction.clobber import Conflict, PathConflictError, original_path, parent_directories
from kaa.transaction.journal import Journal, Move
from kaa.transaction.plan import FileChanges, PutFile

FILES_OF_META = frozenset({"conda-meta/state", "conda-meta/pinned"})
DIRECTORIES_OF_META = ("conda-meta/generations/", "conda-meta/replaced/")
"""What may be changed in conda-meta like any other file."""

_RECORD = Pattern(r"conda-meta/[^./][^/]*-[^/]*-[^/]*\.json")
"""A record of a package, which a repair writes again."""


class FileNotKept(KaaError):
    """A file that a change was to put back is no longer where it was kept."""

    def __init__(self, path: str, source: str) -> None:
        self.path = path
        self.source = source
        super().__init__(
            f"{path} cannot be put back: {source}, where it was kept, is missing",
            hints=("see what else is kept with `kaa history`, and go back to another state",),
        )


def check_file_changes(files: FileChanges, prefix: Path) -> None:
    """Raise UnsafePath for a path out of the environment, PathConflictError and FileNotKept for what cannot be done."""
    paths = [*files.leaving, *files.clear, *(target for _, target in files.keep), *(file.path for file in files.put)]
    for path in paths:
        if reason := _why_unsafe(path):
            raise UnsafePath("the change of files", path, reason)
    _check_parents(paths, prefix)
    for _, target in files.keep:
        if os.path.lexists(prefix / target):
            raise PathConflictError([Conflict(target, "what is kept aside", None)], always=True)
    for file in files.put:
        if file.content is None and not os.path.lexists(file.source):
            raise FileNotKept(file.path, file.source)


def _why_unsafe(path: str) -> str:
    # What had lost its place to a package may go as well as what is there.
    path = original_path(path) or path
    in_meta = path in FILES_OF_META or path.startswith(DIRECTORIES_OF_META) or _RECORD.fullmatch(path)
    # What is below conda-meta is looked at as if it were elsewhere: it must not lead out of there either.
    return why_unsafe(path.replace("conda-meta/", "meta/", 1) if in_meta else path)


def _check_parents(paths: Iterable[str], prefix: Path) -> None:
    """Raise UnsafePath where a directory above one of `paths` is a link out of the environment."""
    root = os.path.realpath(prefix)
    for directory in {os.path.dirname(path) for path in paths}:
        real = os.path.realpath(os.path.join(root, directory))
        if real != root and not real.startswith(root.rstrip(os.sep) + os.sep):
            raise UnsafePath("the change of files", directory, f"is a link to {real}, out of the environment")


class FileChanger:
    """Makes the changes of files of one transaction, each announced to the journal first."""

    def __init__(self, prefix: Path, journal: Journal, files: FileChanges) -> None:
        self.root = f"{prefix}{os.sep}"
        self.prefix = prefix
        self.journal = journal
        self.files = files
        self._directories: Sequence[str] = ()
        self._leaving: list[Move] = []

    @property
    def is_idle(self) -> bool:
        """Whether nothing that is there now leaves its place before packages are linked."""
        return not self.files.leaving

    def announce(self) -> None:
        """Have it in the journal what goes and what is kept; directories stay where they are."""
        parents = self._parents(target for _, target in self.files.keep)
        self._directories = self.journal.will_make_directories(parents)
        self._leaving = self.journal.will_move(self.files.keep)
        self._leaving += self.journal.will_set_aside(
            path for path in self.files.remove if os.path.lexists(self.root + path) and not self._is_directory(path)
        )

    def remove(self) -> None:
        """Do what was announced."""
        self.journal.make_announced(self._directories)
        self.journal.carry_out(self._leaving)
        self.journal.sync_moved(target for _, target in self._leaving)

    def put(self) -> None:
        """Bring in what comes, in place of what is there."""
        self.journal.set_aside([path for path in self.files.clear if not self._is_directory(path)])
        files = self.files.put
        if not files:
            return
        paths = [file.path for file in files]
        # Packages were linked since this was looked at first.
        _check_parents(paths, self.prefix)
        self.journal.make_directories(self._parents(paths))
        self.journal.set_aside([path for path in paths if not self._is_directory(path)])
        self.journal.will_create(paths)
        self.journal.barrier()
        for file in files:
            self.journal.checkpoint(file.path)
            try:
                _bring(file, self.root + file.path)
            except FileExistsError:
                self.journal.spare(file.path)
                raise

    def _parents(self, paths: Iterable[str]) -> list[str]:
        """The directories above any of `paths` that are missing, outer ones first."""
        missing = (path for path in parent_directories(set(paths)) if not os.path.isdir(self.root + path))
        return sorted(missing, key=lambda path: path.count("/"))

    def _is_directory(self, path: str) -> bool:
        return os.path.isdir(self.root + path) and not os.path.islink(self.root + path)


def _bring(file: PutFile, target: str) -> None:
    """Make one file; `target` must not exist."""
    if file.content is not None:
        _write(target, file.content, 0o666 & ~current_umask() if file.mode is None else file.mode)
        return
    state = os.lstat(file.source)
    if stat.S_ISLNK(state.st_mode):
        os.symlink(os.readlink(file.source), target)
    elif file.mode is None or stat.S_IMODE(state.st_mode) == file.mode:
        _link_or_copy(file.source, target)
    else:
        _copy(file.source, target, file.mode)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        # Another file system, one without links, or not permitted: the copy says it where that fails, too.
        copy_file(Path(source), Path(target))


def _copy(source: str, target: str, mode: int) -> None:
    copy_file(Path(source), Path(target))
    Path(target).chmod(mode)


def _write(target: str, content: bytes, mode: int) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    Path(target).chmod(mode)
