"""Which packages something else wrote over: pip, say, or an editor that replaces files. A quick look.

Sizes tell nearly always, and asking for them costs a microsecond a file. Files whose size no record tells are read,
and those by which pip and its like say that they were here.
"""

# Paths are strings here: there are tens of thousands of them.
from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from kaa.models.prefix_record import InstalledPath, PrefixRecord
from kaa.prefix.damage import damaged_packages, recorded_paths
from kaa.prefix.recorded_files import inside_check, see

METADATA = (".dist-info/RECORD", ".dist-info/INSTALLER", ".dist-info/METADATA", ".egg-info/PKG-INFO")
"""Files that pip replaces even where it brings the same version."""
GENERATED = ("pyc_file", "directory")
"""Kinds of paths that Python and others make again when they need them."""


def find_damaged_quickly(prefix: Path, records: Sequence[PrefixRecord]) -> tuple[str, ...]:
    """The names of packages with files that are missing, or of another size, or whose metadata changed.

    Of files with another prefix, links and the metadata of Python packages the content is compared. A file whose
    content changed while its size did not is overlooked otherwise; `kaa verify` finds it. Bytecode does not count.
    """
    root = f"{prefix}{os.sep}"
    suspects = {record.dist: dict(_iter_suspects(root, record)) for record in records}
    if not any(suspects.values()):
        return ()
    # Another package may have the path, and have it as it wants it.
    contested = {path for found in suspects.values() for path in found}
    paths = {
        record.dist: {path: entry for path, entry in recorded_paths(record).items() if path in contested}
        for record in records
    }
    is_inside = inside_check(prefix)
    seen = {
        dist: {path: see(root, path, entry, is_inside) for path, entry in found.items()}
        for dist, found in paths.items()
    }
    return tuple(package.name for package in damaged_packages(records, paths, seen))


def _iter_suspects(root: str, record: PrefixRecord) -> Iterator[tuple[str, InstalledPath]]:
    """The paths of a package that a look at their sizes does not clear."""
    for path, entry in recorded_paths(record).items():
        if entry.path_type in GENERATED or ".." in path.split("/"):
            continue
        if entry.path_type == "hardlink" and _has_its_size(root + path, entry) and not path.endswith(METADATA):
            continue
        yield path, entry


def _has_its_size(path: str, entry: InstalledPath) -> bool:
    # In texts another prefix makes another size.
    if entry.size_in_bytes is None or (entry.prefix_placeholder and entry.file_mode != "binary"):
        return False
    try:
        state = os.lstat(path)
    except OSError:
        return False
    return state.st_size == entry.size_in_bytes and stat.S_ISREG(state.st_mode)
