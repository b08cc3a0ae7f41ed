"""Whether an unpacked package is still what it was: by the sizes that paths.json names, or by the hashes too."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from kaa.host.hashing import hash_file
from kaa.models.package_info import PathEntry
from kaa.package_cache.extracted_package import ExtractedPackage, UnreadablePackage

Check: TypeAlias = Literal["none", "sizes", "hashes"]
"""How closely an unpacked package is compared with its own list of files."""


class Damage(msgspec.Struct, frozen=True):
    """What is wrong with an unpacked package: the path, and what is the matter with it."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


def find_damage(package: ExtractedPackage, check: Check = "sizes") -> Damage | None:
    """The first thing that is wrong with an unpacked package; None when nothing was found."""
    if check == "none":
        return None
    if not (package.directory / "info" / "index.json").is_file():
        return Damage("info/index.json", "is missing")
    try:
        entries = package.paths()
    except UnreadablePackage as error:
        return Damage("info", f"cannot be used: {error.reason}")
    root = f"{package.directory}{os.sep}"
    for entry in entries:
        path = root + entry.path
        if check == "sizes":
            # Nearly all are as they should be, and there are many.
            try:
                if os.lstat(path).st_size == entry.size_in_bytes:
                    continue
            except OSError:
                pass
        damage = _damage_of(path, entry, check)
        if damage:
            return Damage(entry.path, damage)
    return None


def _damage_of(path: str, entry: PathEntry, check: Check) -> str | None:
    try:
        found = os.lstat(path)
    except OSError:
        # Empty directories and the like were not always packed.
        return None if entry.path_type == "directory" else "is missing"
    if stat.S_ISDIR(found.st_mode):
        return None if entry.path_type == "directory" else "is a directory"
    # A link that was packed as a file is that file's content; a real link was checked when it was unpacked.
    if entry.path_type == "directory" or not stat.S_ISREG(found.st_mode):
        return None
    if entry.size_in_bytes is not None and found.st_size != entry.size_in_bytes:
        return f"has {found.st_size} bytes instead of {entry.size_in_bytes}"
    if check == "hashes" and entry.sha256 and hash_file(Path(path)) != entry.sha256.lower():
        return "has another content than it was packed with"
    return None
