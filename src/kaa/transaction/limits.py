"""What the disk has to have room for before anything is changed: bytes, files, names and paths, and the new prefix."""

# Paths are strings here: there are tens of thousands of them.
from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from kaa.errors import KaaError
from kaa.models.subdir import is_windows
from kaa.transaction.actions import How
from kaa.transaction.placeholder import PrefixTooLong
from kaa.transaction.plan import Transaction
from kaa.transaction.prepare import NotEnoughSpace, Prepared, Source

ENTRY = 400
"""About how many bytes a file takes in the record of its package, in the journal, and in its directory."""
BYTECODE = 8192
"""About how many bytes the bytecode of a module has."""
MARGIN = 1 << 16
"""For the journal's own blocks, the history, a generation."""


class PathTooLong(KaaError):
    """A file would get a longer name or path than the file system takes."""

    conda_name = "LinkError"

    def __init__(self, path: str, length: int, limit: int, hint: str) -> None:
        self.path = path
        self.length = length
        self.limit = limit
        super().__init__(
            f"{path} is too long: {length} bytes, and the file system takes {limit}",
            hints=(hint, "leave out the package that brings it"),
        )


def check_lengths(transaction: Transaction, prepared: Prepared) -> None:
    """Raise PathTooLong or PrefixTooLong for what the file system, or a program, has no room for."""
    prefix = transaction.prefix
    paths = list(_new_paths(transaction, prepared))
    name_limit, path_limit = _limit(prefix, "PC_NAME_MAX", 255), _limit(prefix, "PC_PATH_MAX", 4096) - 1
    _check_names(paths, name_limit)
    # A character has up to four bytes; nearly always the longest path is far from the limit however that is counted.
    room = path_limit - len(os.fsencode(prefix)) - 1
    for path in [path for path in paths if len(path) >= room // 4]:
        length = len(os.fsencode(path))
        if length > room:
            whole = f"{prefix}{os.sep}{path}"
            hint = f"create the environment at a path of at most {max(path_limit - length - 1, 1)} bytes"
            raise PathTooLong(whole, len(os.fsencode(whole)), path_limit, hint)
    _check_placeholders(transaction, prepared)


def _check_names(paths: Sequence[str], limit: int) -> None:
    # All at once, which takes a twentieth of the time of one after the other.
    for name in [name for name in "/".join(paths).split("/") if len(name) >= limit // 4]:
        length = len(os.fsencode(name))
        if length > limit:
            hint = "put the environment on a file system that takes longer names"
            raise PathTooLong(name, length, limit, hint)


def _check_placeholders(transaction: Transaction, prepared: Prepared) -> None:
    if is_windows(transaction.subdir):
        return
    prefix = os.fsencode(transaction.prefix)
    for source in prepared.sources:
        for action in source.actions.actions:
            entry = action.entry
            if action.how is How.RENDER and entry is not None and entry.file_mode == "binary":
                placeholder = entry.prefix_placeholder or ""
                if len(prefix) > len(placeholder.encode(errors="surrogateescape")):
                    raise PrefixTooLong(action.target, placeholder, str(transaction.prefix))


def _new_paths(transaction: Transaction, prepared: Prepared) -> Iterator[str]:
    """Every path that is made, below the environment."""
    for source in prepared.sources:
        aside = prepared.settlement.linked_aside.get(source.actions.record.name, {})
        yield from [aside.get(action.target, action.target) for action in source.actions.actions]
        yield f"conda-meta/{source.actions.record.dist}.json"
    yield from chain.from_iterable(moves.values() for moves in prepared.settlement.moves.values())
    yield from (target for _, target in (*prepared.unowned, *prepared.restored, *transaction.files.keep))
    yield from (file.path for file in transaction.files.put)


def _limit(prefix: Path, name: str, default: int) -> int:
    directory = prefix
    while not directory.is_dir() and directory != directory.parent:
        directory = directory.parent
    try:
        return os.pathconf(directory, name)
    except (OSError, ValueError, AttributeError):
        return default


def check_space(transaction: Transaction, prepared: Prepared, is_copied: Callable[[str], bool]) -> None:
    """Raise NotEnoughSpace when the disk has no room for what is written anew, in bytes or in files.

    `is_copied` says of a package's directory whether its files are copied.
    """
    prefix = transaction.prefix
    block, free_bytes, free_files = _free(prefix)
    needed = MARGIN + len(prepared.directories) * block
    files = 64 + len(prepared.directories)
    for source in prepared.sources:
        sizes = [*_written(source, copied=is_copied(source.directory))]
        needed += sum(-(-size // block) * block for size in sizes)
        files += len(sizes) + 1
        needed += ENTRY * len(source.actions.actions)
    for file in transaction.files.put:
        needed += -(-len(file.content or b"") // block) * block
        files += 1
    if needed > free_bytes:
        raise NotEnoughSpace(prefix, needed, free_bytes)
    if free_files is not None and files > free_files:
        raise NotEnoughSpace(prefix, files, free_files, unit="files")


def _written(source: Source, *, copied: bool) -> Iterator[int]:
    """The sizes of the files of one package that take room of their own."""
    for action in source.actions.actions:
        entry = action.entry
        if action.how is How.SOFTLINK:
            yield 0
        elif action.how is How.BYTECODE:
            if copied:
                yield BYTECODE
        elif entry is not None and (copied or action.how is How.RENDER or action.how is How.COPY):
            state = source.stats.get(action.source)
            yield state.st_size if state is not None else entry.size_in_bytes or 0
        elif action.how is How.WRITE:
            yield len(action.content)


def _free(prefix: Path) -> tuple[int, int, int | None]:
    """The size of a block, and how many bytes and files there is room for; None where files are not counted."""
    if not hasattr(os, "statvfs"):
        return 4096, shutil.disk_usage(prefix).free, None
    state = os.statvfs(prefix)
    return state.f_frsize, state.f_bavail * state.f_frsize, state.f_favail if state.f_files else None
