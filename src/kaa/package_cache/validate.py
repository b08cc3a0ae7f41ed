"""Whether an unpacked package is still what it was: by the sizes that paths.json names, or by the hashes too."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal, TypeAlias

from kaa.host.hashing import hash_file
from kaa.models.package_info import PathEntry
from kaa.package_cache.extracted_package import ExtractedPackage, UnreadablePackage

Check: TypeAlias = Literal["none", "sizes", "hashes"]


def find_damage(package: ExtractedPackage, check: Check = "sizes") -> str | None:
    """What is wrong with an unpacked package, in one sentence; None when nothing was found."""
    if check == "none":
        return None
    if not (package.directory / "info" / "index.json").is_file():
        return "info/index.json is missing"
    try:
        entries = package.paths()
    except UnreadablePackage as error:
        return error.reason
    root = f"{package.directory}{os.sep}"
    for entry in entries:
        damage = _damage_of(root + entry.path, entry, check)
        if damage:
            return f"{entry.path} {damage}"
    return None


def _damage_of(path: str, entry: PathEntry, check: Check) -> str | None:
    try:
        found = os.lstat(path)
    except OSError:
        # Empty directories and the like were not always packed.
        return None if entry.path_type == "directory" else "is missing"
    if entry.path_type != "hardlink" or not stat.S_ISREG(found.st_mode):
        return None
    if entry.size_in_bytes is not None and found.st_size != entry.size_in_bytes:
        return f"has {found.st_size} bytes instead of {entry.size_in_bytes}"
    if check == "hashes" and entry.sha256 and hash_file(Path(path)) != entry.sha256.lower():
        return "has another content than it was packed with"
    return None
