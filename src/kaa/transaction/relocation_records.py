"""What the records of an environment say after its files were rewritten for another path. Pure.

Two kinds of records hold hashes of files that change: those of packages (conda-meta), and the RECORD of each
distribution that pip installed (PEP 376, 627).
"""

from __future__ import annotations

import base64
import posixpath
import re
from collections.abc import Collection, Mapping

from msgspec.structs import replace

from kaa.models.prefix_record import InstalledPath, Link, LinkType, PathsData, PrefixRecord
from kaa.prefix.damage import expected_hash

_LINE = re.compile(r'("(?:[^"]|"")*"|[^,"\r\n]*),([^,\r\n]*),([^,\r\n]*)(\r?\n?)')


def moved_prefix_record(
    record: PrefixRecord, changed: Mapping[str, tuple[str, str]], gone: Collection[str], *, copied: bool
) -> PrefixRecord:
    """The record of a package at the new path.

    `changed` maps paths below the environment to the hash before and the hash now. A file whose hash before was not the
    recorded one keeps the recorded one: it was damaged, and still is. `gone` are paths that were left out; `copied`
    says that the files are copies now.
    """
    entries = record.paths_data.paths
    aligned = len(entries) == len(record.files)
    paths = record.files if aligned else tuple(entry.path for entry in entries)
    kept = [(path, entry) for path, entry in zip(paths, entries, strict=True) if path not in gone]
    link = record.link
    if copied and link is not None and link.type is LinkType.HARDLINK:
        link = Link(source=link.source, type=LinkType.COPY)
    return replace(
        record,
        files=tuple(path for path in record.files if path not in gone),
        paths_data=replace_paths(record.paths_data, [_moved_entry(entry, changed.get(path)) for path, entry in kept]),
        link=link,
    )


def replace_paths(data: PathsData, entries: list[InstalledPath]) -> PathsData:
    """The same paths data with other entries."""
    return replace(data, paths=tuple(entries))


def _moved_entry(entry: InstalledPath, hashes: tuple[str, str] | None) -> InstalledPath:
    if hashes is None:
        return entry
    before, now = hashes
    if expected_hash(entry) not in (before, None):
        return entry
    if entry.sha256_in_prefix is None and entry.sha256 is None:
        return entry
    # What kaa generated itself has no hash but that of its content.
    is_generated = entry.prefix_placeholder is None and entry.sha256 == entry.sha256_in_prefix
    return replace(entry, sha256_in_prefix=now, sha256=now if is_generated else entry.sha256)


def moved_record_lines(text: str, metadata: str, old: Collection[str], changed: Mapping[str, tuple[bytes, int]]) -> str:
    """The RECORD of a distribution with the hashes and sizes of the files that changed.

    `metadata` is its directory below the environment, `old` the paths of the environment before; `changed` maps paths
    below the environment to the SHA-256 and size now. Lines that list no hash, and all others, stay as they are.
    """
    site_packages = posixpath.dirname(metadata)

    def moved(line: str) -> str:
        match = _LINE.fullmatch(line)
        if match is None:
            return line
        field, digest, size, end = match.groups()
        path = field[1:-1].replace('""', '"') if field.startswith('"') else field
        found = changed.get(_below(path.replace("\\", "/"), site_packages, old))
        if found is None or not digest:
            return line
        encoded = base64.urlsafe_b64encode(found[0]).rstrip(b"=").decode()
        return f"{field},sha256={encoded},{found[1] if size else ''}{end}"

    return "".join(map(moved, text.splitlines(keepends=True)))


def _below(path: str, site_packages: str, old: Collection[str]) -> str:
    """A path of a RECORD as a path below the environment."""
    for prefix in old:
        if path.startswith(prefix + "/"):
            return posixpath.normpath(path[len(prefix) + 1 :])
    return posixpath.normpath(posixpath.join(site_packages, path))
