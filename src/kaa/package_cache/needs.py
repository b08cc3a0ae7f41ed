"""What of the package cache is needed, and by whom: environments, their generations, and what nobody knows.

Who needs a package may know its directory, or its dist string and hash, or its dist string alone. Anything that may be
meant is needed.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from kaa.models.record import RepoDataRecord

HASH_LENGTHS = {64: "sha256", 32: "md5"}


class UnknownEnvironment(msgspec.Struct, frozen=True):
    """An environment that is registered, of which nobody knows now what it needs."""

    path: str
    reason: str
    cannot_use: frozenset[str] = frozenset()
    """Cache directories that its owners cannot read, so that it needs nothing of them"""


class Needs:
    """A collection of needs, filled with `add`; `why` tells why a package stays."""

    __slots__ = ("_by_directory", "_by_dist", "_places", "unknown")

    def __init__(self) -> None:
        self._by_directory: dict[str, list[str]] = {}
        self._by_dist: dict[str, dict[str, list[str]]] = {}
        self._places: dict[str, str] = {}
        self.unknown: list[UnknownEnvironment] = []

    def add(self, reason: str, *, dist: str = "", digest: str = "", directory: str = "") -> None:
        """Something needs the package unpacked in `directory`, or any with that dist string and digest.

        A digest is a sha256, an md5 or an address; without one every package of that dist string is meant.
        """
        if directory:
            _note(self._by_directory.setdefault(self._real(directory), []), reason)
        if dist:
            _note(self._by_dist.setdefault(dist, {}).setdefault(digest.lower(), []), reason)

    def why(self, path: Path, record: RepoDataRecord | None) -> tuple[str, ...]:
        """Who needs the package that lies unpacked in the directory `path`; nobody does when it is empty.

        `record` is what the package says of itself, None when it cannot say.
        """
        found = [*self._by_directory.get(self._real(os.fspath(path)), ())]
        for digest, reasons in self._by_dist.get(path.name if record is None else record.dist, {}).items():
            if record is None or _may_be(record, digest):
                found += reasons
        return tuple(dict.fromkeys(found))

    def why_archive(self, dist: str) -> tuple[str, ...]:
        """Who may need an archive of that dist string, when the package does not lie unpacked anywhere."""
        every = (reason for reasons in self._by_dist.get(dist, {}).values() for reason in reasons)
        return tuple(dict.fromkeys(every))

    def unknown_for(self, directory: Path) -> tuple[UnknownEnvironment, ...]:
        """The environments that may need anything in a cache directory."""
        return tuple(one for one in self.unknown if os.fspath(directory) not in one.cannot_use)

    def _real(self, path: str) -> str:
        parent, name = os.path.split(path.rstrip("/\\"))
        if parent not in self._places:
            self._places[parent] = os.path.realpath(parent)
        return os.path.join(self._places[parent], name)  # noqa: PTH118 - there are thousands


def _note(reasons: list[str], reason: str) -> None:
    if reason not in reasons:
        reasons.append(reason)


def _may_be(record: RepoDataRecord, digest: str) -> bool:
    """Whether a package may have a digest; an address alone does not tell two packages apart, as there are mirrors."""
    kind = HASH_LENGTHS.get(len(digest))
    own = (record.sha256 if kind == "sha256" else record.md5) if kind else None
    return own is None or own.lower() == digest
