"""Comparing a new environment with the one that it was made of, before the old one goes."""

# Paths are strings here: there are tens of thousands of them.
from __future__ import annotations

import os
import stat
from pathlib import Path

from kaa.errors import KaaError
from kaa.models.prefix_record import InstalledPath
from kaa.prefix.damage import UNKNOWN, expected_hash, recorded_paths
from kaa.prefix.prefix import Prefix, read_record
from kaa.prefix.recorded_files import hash_and_size, look_at
from kaa.transaction.relocation_lists import Made
from kaa.transaction.relocation_plan import How, Item, RelocationPlan


class CopyDiffers(KaaError):
    """The new environment is not what it should be; it was removed, and the old one is untouched."""

    conda_name = "CorruptedEnvironmentError"

    def __init__(self, prefix: Path, path: str, reason: str) -> None:
        self.prefix = str(prefix)
        self.path = path
        self.reason = reason
        super().__init__(
            f"the copy of {prefix} is not right, and was removed again: {path} {reason}",
            hints=("look at the disk of the new place", "look at the environment with `kaa verify`"),
        )


def check_copy(plan: RelocationPlan, made: Made) -> None:
    """Raise CopyDiffers unless every file is there: the same one, or with the content that was read or written.

    What was damaged before may be so now; what was not must be as its package's record says.
    """
    for item in plan.items:
        if reason := _why_wrong(item, made):
            raise CopyDiffers(plan.source, item.path, reason)
    _check_records(plan, made)


def _why_wrong(item: Item, made: Made) -> str:
    target = os.path.join(made.staging, made.place(item.path))  # noqa: PTH118
    try:
        state = os.lstat(target)
    except FileNotFoundError:
        return "" if stat.S_ISSOCK(item.mode) else "is missing"
    if stat.S_IFMT(state.st_mode) != stat.S_IFMT(item.mode):
        return "is of another kind"
    change = made.changed.get(item.path)
    expected = change.now.hex() if change is not None else made.copied.get(item.path)
    if expected is not None:
        return "" if hash_and_size(target)[0] == expected else "has another content"
    if item.how is How.SHARE and (state.st_dev, state.st_ino) == item.inode:
        return ""
    if stat.S_ISREG(item.mode) and state.st_size != item.size:
        return f"has {state.st_size} bytes instead of {item.size}"
    return ""


def _check_records(plan: RelocationPlan, made: Made) -> None:
    """The records of the new environment can be read, and say of rewritten files what these are."""
    environment = Prefix(made.staging)
    known = {path for path, one in made.changed.items() if one.is_known}
    paths: dict[str, dict[str, InstalledPath]] = {}
    for record in plan.records:
        new = read_record(environment.record_file(record))
        paths[new.dist] = {path: entry for path, entry in recorded_paths(new).items() if path in known}
    seen, _ = look_at(made.staging, paths)
    for dist, found in paths.items():
        for path, entry in found.items():
            digest = expected_hash(entry)
            if entry.path_type != UNKNOWN and digest is not None and seen[dist][path].sha256 != digest:
                raise CopyDiffers(plan.source, path, f"is not what the record of {dist} says")
