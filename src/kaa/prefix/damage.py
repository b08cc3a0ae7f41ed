"""In what files differ from those that were installed, from what was seen on the disk and what records say. Pure.

The format of CEP 32 records neither modes nor the text of links: of those is judged only what makes a file useless.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

import msgspec

from kaa.models.prefix_record import InstalledPath, PrefixRecord

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""Builders write this for links that led to no file when the package was made."""

UNKNOWN = "unknown"
"""The type of a path of which a record tells the name and nothing else."""


class SeenPath(msgspec.Struct, frozen=True):
    """What stands at a recorded path."""

    kind: str
    """file, link, directory, other, missing, unreadable, outside (reached through a link out of the environment)"""
    sha256: str = ""
    """Of files, where the record says what it should be."""
    size: int = 0
    is_executable: bool = False
    was_executable: bool = False
    """Of files: whether the package in the cache says that it should be."""
    leads_somewhere: bool = True
    """Of links: whether their target exists."""
    target: str = ""
    """Of links: what they say."""
    original_target: str = ""
    """Of links: what the package in the cache says, where it is known."""
    reason: str = ""
    """Of what could not be read."""


class ChangedPath(msgspec.Struct, frozen=True):
    """A path that is there and is not what the package put there."""

    path: str
    reason: str


class DamagedPackage(msgspec.Struct, frozen=True):
    """A package of which files changed or are missing."""

    name: str
    dist: str
    changed: tuple[ChangedPath, ...] = ()
    missing: tuple[str, ...] = ()
    overwritten_by: tuple[str, ...] = ()
    """The distributions, as `name version`, that pip or its like put in the package's place."""


def recorded_paths(record: PrefixRecord) -> dict[str, InstalledPath]:
    """Every path of a package below the environment, with what is recorded about it."""
    entries = record.paths_data.paths
    if len(entries) == len(record.files):
        found = dict(zip(record.files, entries, strict=True))
    else:
        known = {entry.path: entry for entry in entries}
        found = {path: known.get(path) or InstalledPath(path=path, path_type=UNKNOWN) for path in record.files}
    for entry in entries:
        # conda lists directories in `paths_data` alone.
        if entry.path_type == "directory":
            found.setdefault(entry.path, entry)
    return found


def expected_hash(entry: InstalledPath) -> str | None:
    """The hash of a file as it is installed; None where the record does not tell."""
    if entry.sha256_in_prefix:
        return entry.sha256_in_prefix
    return None if entry.prefix_placeholder else entry.sha256


def why_changed(entry: InstalledPath, seen: SeenPath) -> str:
    """In what a path differs from what was installed; empty when it does not (or nothing is there)."""
    if seen.kind in ("missing", "outside", "unreadable"):
        reasons = {"missing": "", "outside": "lies behind a link that leads out of the environment"}
        return reasons.get(seen.kind, f"cannot be read: {seen.reason}")
    if entry.path_type == UNKNOWN and seen.kind == "link":
        return ""
    wanted = {"softlink": "link", "directory": "directory"}.get(entry.path_type, "file")
    if seen.kind != wanted:
        # A directory that became a link to one does its work.
        if wanted == "directory" and seen.kind == "link" and seen.leads_somewhere:
            return ""
        return f"is {_ARTICLES[seen.kind]}, not {_ARTICLES[wanted]}"
    if wanted == "link":
        if seen.original_target:
            same = seen.target == seen.original_target
            return "" if same else f"is a link to {seen.target}, not to {seen.original_target}"
        fine = seen.leads_somewhere or entry.sha256 == EMPTY_SHA256
        return "" if fine else TO_NOTHING
    if wanted == "file":
        return _why_file_changed(entry, seen)
    return ""


def _why_file_changed(entry: InstalledPath, seen: SeenPath) -> str:
    size = None if entry.prefix_placeholder else entry.size_in_bytes
    digest = expected_hash(entry)
    differs = seen.sha256 != digest if digest else size not in (None, seen.size)
    if differs:
        sizes = f" ({seen.size} bytes instead of {size})" if size not in (None, seen.size) else ""
        return f"has another content{sizes}"
    if not seen.is_executable and (seen.was_executable or entry.path_type == "unix_python_entry_point"):
        return "is not executable any more"
    return ""


TO_NOTHING = "is a link to nothing"
_ARTICLES = {"file": "a file", "link": "a link", "directory": "a directory", "other": "no regular file"}


def damaged_packages(
    records: Sequence[PrefixRecord],
    paths: Mapping[str, Mapping[str, InstalledPath]],
    seen: Mapping[str, Mapping[str, SeenPath]],
) -> list[DamagedPackage]:
    """The packages that are not as they were installed; both mappings are by dist string, then by path.

    Where packages share a path, it is enough that it is as one of them wants it. A link to a recorded path is as it
    should be although that is missing.
    """
    verdicts = {
        record.dist: {path: why_changed(paths[record.dist][path], one) for path, one in seen[record.dist].items()}
        for record in records
    }
    recorded = {path for found in paths.values() for path in found}
    good = {
        path
        for dist, reasons in verdicts.items()
        for path, reason in reasons.items()
        if (not reason and seen[dist][path].kind != "missing")
        or (reason == TO_NOTHING and _target(path, seen[dist][path].target) in recorded)
    }
    found = []
    for record in records:
        bad = {path: reason for path, reason in verdicts[record.dist].items() if reason and path not in good}
        missing = [path for path, one in seen[record.dist].items() if one.kind == "missing"]
        if bad or missing:
            changed = tuple(ChangedPath(path, bad[path]) for path in sorted(bad))
            found.append(DamagedPackage(record.name, record.dist, changed, tuple(sorted(missing))))
    return found


def _target(path: str, text: str) -> str:
    """The path below the environment that a relative link at `path` names."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), text))
