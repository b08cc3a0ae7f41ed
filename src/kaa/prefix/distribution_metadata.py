"""What an installed Python distribution says beyond its name: where it came from (PEP 610), what it needs (PEP 566)."""

from __future__ import annotations

import re

import msgspec

from kaa.host.files import read_regular_file
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import METADATA_LIMIT, PythonDistribution

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


class _Archive(msgspec.Struct):
    hashes: dict[str, str] = {}
    hash: str = ""


class _DirectUrl(msgspec.Struct):
    url: str
    archive_info: _Archive | None = None


class Origin(msgspec.Struct, frozen=True):
    """The address that a distribution was installed from; the hash is known of archives only."""

    url: str
    sha256: str | None = None


def origin_of(prefix: Prefix, distribution: PythonDistribution) -> Origin | None:
    """Where a distribution came from, if it was not an index."""
    try:
        found = msgspec.json.decode(_read(prefix, distribution, "direct_url.json"), type=_DirectUrl)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    archive = found.archive_info
    if archive is None:
        return Origin(found.url)
    algorithm, _, digest = archive.hash.partition("=")
    return Origin(found.url, archive.hashes.get("sha256") or (digest if algorithm == "sha256" else None))


def was_requested(prefix: Prefix, distribution: PythonDistribution) -> bool:
    """Whether a user asked for a distribution, and not another one that needs it (PEP 376's REQUESTED)."""
    return (prefix.path / distribution.metadata / "REQUESTED").is_file()


def needed_names(prefix: Prefix, distribution: PythonDistribution) -> frozenset[str]:
    """The normalized names of all that a distribution may need, whatever the platform and the extras."""
    found = set()
    try:
        text = _read(prefix, distribution, "METADATA").decode(errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if not line.strip():
            break
        key, colon, value = line.partition(":")
        if colon and key.lower() == "requires-dist" and (match := _NAME.match(value.strip())):
            found.add(normalize_name(match[0]))
    return frozenset(found)


def normalize_name(name: str) -> str:
    """A name in the spelling in which PyPI compares names (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _read(prefix: Prefix, distribution: PythonDistribution, name: str) -> bytes:
    return read_regular_file(prefix.path / distribution.metadata / name, METADATA_LIMIT)
