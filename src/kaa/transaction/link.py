"""Putting the files of one package into an environment: links first, then what must be written."""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH104, PTH115, PTH123, PTH211
from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from kaa.events import Note, Reporter
from kaa.host.files import LinkMethod, copy_file, current_umask, private_mode, reflink, remove_file
from kaa.models.package_info import PathEntry
from kaa.models.prefix_record import InstalledPath, Link, LinkType, PathsData, PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.prefix.interruption import STAGING
from kaa.transaction.actions import How, PathAction, UnsafePath
from kaa.transaction.clobber import original_path
from kaa.transaction.journal import Journal
from kaa.transaction.placeholder import PrefixTooLong, replaced
from kaa.transaction.prepare import Source

LARGEST_GROWTH = 64 << 20
"""By how many bytes a text file may grow when its prefix is replaced."""
FALL_BACK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES}
"""Errors of a link that a copy may get around."""


def render(source: Source, prefix: Path, subdir: str, number: int) -> dict[str, tuple[str, str]]:
    """Write the prefix-replaced files of a package to the staging directory.

    Gives target → (staged path below the prefix, hash of the new content).
    """
    rendered: dict[str, tuple[str, str]] = {}
    new_prefix = os.fsencode(prefix)
    for action in source.actions.actions:
        if action.how is not How.RENDER or action.entry is None:
            continue
        content = _rendered(action.entry, source, action, prefix, new_prefix, subdir)
        staged = f"{STAGING}/new/{number}-{len(rendered)}"
        # This file is the environment's own, so it may be written to; no setuid. And the time of now: bytecode that
        # was shipped for the old text must not look valid.
        mode = 0o775 if source.stats[action.source].st_mode & 0o111 else 0o664
        _write(f"{prefix}/{staged}", content, mode)
        rendered[action.target] = (staged, hashlib.sha256(content).hexdigest())
    return rendered


def _rendered(
    entry: PathEntry, source: Source, action: PathAction, prefix: Path, new_prefix: bytes, subdir: str
) -> bytes:
    with open(f"{source.directory}/{action.source}", "rb") as stream:
        data = stream.read()
    placeholder = (entry.prefix_placeholder or "").encode()
    binary = entry.file_mode == "binary"
    if not binary and data.count(placeholder) * (len(new_prefix) - len(placeholder)) > LARGEST_GROWTH:
        dist = source.actions.record.dist
        raise UnsafePath(dist, action.source, f"grows beyond measure where {entry.prefix_placeholder!a} is replaced")
    try:
        return replaced(data, placeholder, new_prefix, subdir, binary=binary)
    except ValueError:
        raise PrefixTooLong(action.target, entry.prefix_placeholder or "", str(prefix)) from None


def _write(path: str, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)


class Linker:
    """Makes the files of packages in one environment; the journal was told of all of them before."""

    def __init__(self, prefix: Path, journal: Journal, method: LinkMethod, reporter: Reporter) -> None:
        self.root = f"{prefix}{os.sep}"
        self.journal = journal
        self.method = method
        self.reporter = reporter
        self._umask = -1
        self._told = False

    def link(
        self,
        source: Source,
        actions: Sequence[PathAction],
        aside: Mapping[str, str],
        rendered: Mapping[str, tuple[str, str]],
    ) -> None:
        """Make everything of a package but its directories and its bytecode."""
        directory = source.directory + "/"
        root, checkpoint, put = self.root, self.journal.checkpoint, self._put_method()
        for action in actions:
            target = aside.get(action.target, action.target)
            checkpoint(target)
            try:
                if action.how is How.LINK:
                    put(directory + action.source, root + target)
                else:
                    self._make(action, directory + action.source, root + target, rendered)
            except FileExistsError:
                # Somebody made it since we looked: it is not ours to remove.
                self.journal.spare(target)
                raise
            except OSError as error:
                if action.how is not How.LINK:
                    raise
                self._copy_instead(directory + action.source, target, error)
                put = self._put_method()

    def _make(self, action: PathAction, original: str, target: str, rendered: Mapping[str, tuple[str, str]]) -> None:
        """Make a file that is not simply linked."""
        if action.how is How.RENDER:
            os.rename(self.root + rendered[action.target][0], target)
        elif action.how is How.SOFTLINK:
            os.symlink(os.readlink(original), target)
        elif action.how is How.COPY:
            self._copy(original, target)
        else:
            _write(target, action.content, action.mode)

    def link_bytecode(self, files: Sequence[tuple[str, str]]) -> None:
        """Bring (absolute path, path below the prefix) in by the same method as files of packages."""
        put = self._put_method()
        for original, target in files:
            self.journal.checkpoint(target)
            try:
                put(original, self.root + target)
            except FileExistsError:
                # A link script ran the module, and python left this here.
                self._replace(original, target)
            except OSError as error:
                self._copy_instead(original, target, error)
                put = self._put_method()

    def _replace(self, original: str, target: str) -> None:
        """Bring a file in where another one is that is not needed."""
        remove_file(self.root + target)
        self._put_method()(original, self.root + target)

    def _put_method(self) -> Callable[[str, str], None]:
        if self.method is LinkMethod.HARDLINK:
            return os.link
        return self._reflink if self.method is LinkMethod.REFLINK else self._copy

    # What is not linked is the environment's own, and may be written to.

    def _reflink(self, source: str, target: str) -> None:
        reflink(Path(source), Path(target), self._own_mode(source))

    def _copy(self, source: str, target: str) -> None:
        copy_file(Path(source), Path(target), self._own_mode(source))

    def _own_mode(self, source: str) -> int:
        if self._umask < 0:
            self._umask = current_umask()
        return private_mode(os.stat(source).st_mode, self._umask)  # noqa: PTH116

    def _copy_instead(self, original: str, target: str, error: OSError) -> None:
        """Copy a file that could not be linked, where that may help; else raise `error`."""
        if self.method is LinkMethod.COPY or error.errno not in FALL_BACK:
            raise error
        if error.errno in (errno.EPERM, errno.EXDEV, errno.EOPNOTSUPP):
            # It will be so with the others.
            self.method = LinkMethod.COPY
        self._copy(original, self.root + target)
        if not self._told:
            self._told = True
            self.reporter(Note(f"{target} is a copy, a link was not possible: {error.strerror}"))


def prefix_record(
    record: RepoDataRecord,
    source: Source,
    actions: Sequence[PathAction],
    aside: Mapping[str, str],
    rendered: Mapping[str, tuple[str, str]],
    *,
    link_type: LinkType,
    requested_specs: tuple[str, ...],
) -> PrefixRecord:
    """The record of a package whose `actions` were performed."""
    package = source.package
    fields = {name: getattr(record, name) for name in RepoDataRecord.__struct_fields__}
    return PrefixRecord(
        **fields,
        extracted_package_dir=str(package.directory),
        package_tarball_full_path=str(package.archive or ""),
        files=tuple(aside.get(action.target, action.target) for action in actions),
        paths_data=PathsData(paths=tuple(_installed(action, aside, rendered) for action in actions)),
        link=Link(source=str(package.directory), type=link_type),
        requested_specs=requested_specs,
    )


def _installed(action: PathAction, aside: Mapping[str, str], rendered: Mapping[str, tuple[str, str]]) -> InstalledPath:
    entry = action.entry
    target = aside.get(action.target, action.target)
    original = action.target if target != action.target else None
    if entry is None:
        digest = hashlib.sha256(action.content).hexdigest() if action.how is How.WRITE else None
        # By the size of its RECORD a package's metadata is told from what an installer put in its place.
        size = len(action.content) if digest and action.path_type == "hardlink" else None
        return InstalledPath(
            path=target,
            path_type=action.path_type,
            sha256=digest,
            sha256_in_prefix=digest,
            size_in_bytes=size,
            original_path=original,
        )
    digest = rendered[action.target][1] if action.how is How.RENDER else entry.sha256
    return InstalledPath(
        path=target if original else entry.path,
        path_type=action.path_type,
        file_mode=entry.file_mode,
        prefix_placeholder=entry.prefix_placeholder,
        no_link=entry.no_link,
        sha256=entry.sha256,
        sha256_in_prefix=None if action.how is How.DIRECTORY else digest,
        size_in_bytes=entry.size_in_bytes,
        original_path=original,
    )


def moved_record(record: PrefixRecord, moves: Mapping[str, str]) -> PrefixRecord:
    """The record of an installed package after some of its files were moved aside, or back."""
    files = tuple(moves.get(path, path) for path in record.files)
    paths = record.paths_data.paths
    aligned = len(paths) == len(record.files)
    changed = []
    for position, entry in enumerate(paths):
        old = record.files[position] if aligned else entry.path
        new = moves.get(old)
        changed.append(entry if new is None else _moved_path(entry, new))
    return replace(record, files=files, paths_data=PathsData(paths=tuple(changed)))


def _moved_path(entry: InstalledPath, new: str) -> InstalledPath:
    return replace(entry, path=new, original_path=original_path(new))
