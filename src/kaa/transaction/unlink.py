"""Which files go when a package goes."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Sequence
from pathlib import Path

from kaa.events import Reporter, Warned
from kaa.host.hashing import hash_file
from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.damage import expected_hash, recorded_paths
from kaa.transaction.actions import UnsafePath, bytecode_source, why_unsafe
from kaa.transaction.clobber import original_path
from kaa.transaction.disk_view import DiskView


def removable_files(record: PrefixRecord, disk: DiskView, shared: Collection[str], reporter: Reporter) -> list[str]:
    """The files of a package that are there and may go, with the bytecode that python left of its modules.

    A recorded path that leads out of the environment is left alone, with a warning. Behind a link of the user files
    are the package's if they are what was installed. Directories are never in the list.
    """
    found: list[str] = []
    modules: dict[str, set[str]] = {}
    for path in record.files:
        if path in shared:
            continue
        reason = why_unsafe(original_path(path) or path)
        if reason:
            reporter(Warned(f"{record.dist}: the recorded path {path!r} {reason}; it is left alone"))
            continue
        try:
            present = disk.find(path)
        except UnsafePath as error:
            reporter(Warned(f"{record.dist}: {path!r} is left alone: {error.reason}"))
            continue
        if present is None or present[1]:
            continue
        if disk.leads_out(path) and not _is_as_installed(record, path, disk.prefix):
            reporter(Warned(f"{record.dist}: {path!r} is left alone: it lies elsewhere, and is not what was installed"))
            continue
        found.append(path)
        if path.endswith(".py"):
            folder, name = posixpath.split(path)
            modules.setdefault(folder, set()).add(name)
    listed = set(found)
    for folder, names in modules.items():
        found += _bytecode_left(disk, folder, names, listed, shared)
    return found


def _is_as_installed(record: PrefixRecord, path: str, prefix: Path) -> bool:
    """Whether a file outside of the environment is the package's by its content: a record can name anything."""
    entry = recorded_paths(record).get(path)
    expected = None if entry is None else expected_hash(entry)
    file = prefix / path
    return expected is not None and file.is_file() and not file.is_symlink() and hash_file(file) == expected.lower()


def _bytecode_left(
    disk: DiskView, folder: str, modules: set[str], listed: Collection[str], shared: Collection[str]
) -> list[str]:
    """The bytecode files of `modules` that no record lists."""
    cache = posixpath.join(folder, "__pycache__")
    found = []
    for name, is_directory in sorted(disk.entries(cache).values()):
        path = f"{cache}/{name}"
        source = bytecode_source(path)
        if source is None or is_directory or posixpath.basename(source) not in modules:
            continue
        if path not in listed and path not in shared:
            found.append(path)
    return found


def directories_of(paths: Sequence[str]) -> list[str]:
    """Every directory above any of `paths`, inner ones first; not the environment itself, nor conda-meta."""
    found: dict[str, None] = {}
    for path in paths:
        parent = posixpath.dirname(path)
        while parent and parent not in found:
            found[parent] = None
            parent = posixpath.dirname(parent)
    found.pop("conda-meta", None)
    return sorted(found, key=lambda path: (-path.count("/"), path))
