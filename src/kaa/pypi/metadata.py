"""The metadata of a wheel (core metadata, PEP 314 to 643) as far as installing needs it: from text, and on the disk.

What was read once is kept under the sha256 of the wheel: a wheel never changes.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from kaa.host.files import write_atomic
from kaa.pypi.project_files import normalize_project

LARGEST_METADATA = 16 << 20
_MAGIC = b"kaa-meta\x01"


class Metadata(msgspec.Struct, frozen=True, array_like=True):
    """The fields of a METADATA file, as they are written there."""

    name: str
    version: str
    requires_dist: tuple[str, ...] = ()
    requires_python: str = ""
    provides_extra: tuple[str, ...] = ()
    license: str = ""
    """The SPDX expression where there is one, else the free text, when it is a single line."""
    summary: str = ""

    def differences(self, other: Metadata) -> tuple[str, ...]:
        """The fields that decide what is installed, and that do not mean the same in both, however they are spelled."""
        pairs: list[tuple[str, Callable[[str], object], Iterable[str], Iterable[str]]] = [
            ("Name", normalize_project, (self.name,), (other.name,)),
            ("Version", _version, (self.version,), (other.version,)),
            ("Requires-Dist", _requirement, self.requires_dist, other.requires_dist),
            ("Requires-Python", _specifiers, (self.requires_python,), (other.requires_python,)),
            ("Provides-Extra", normalize_project, self.provides_extra, other.provides_extra),
        ]
        return tuple(
            field
            for field, meaning, own, theirs in pairs
            if set(own) != set(theirs) and set(map(meaning, own)) != set(map(meaning, theirs))
        )


def _version(text: str) -> object:
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - nearly all are spelled alike

    try:
        return Version(text)
    except InvalidVersion:
        return text


def _requirement(text: str) -> object:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - nearly all are spelled alike

    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return text
    extras = frozenset(map(normalize_project, requirement.extras))
    marker = str(requirement.marker or "")
    return normalize_project(requirement.name), extras, requirement.specifier, requirement.url, marker


def _specifiers(text: str) -> object:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - nearly all are spelled alike

    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return text


class UnreadableMetadata(ValueError):
    """A text that is no METADATA file; the message says why."""


def parse_metadata(content: bytes) -> Metadata:
    """The fields of a METADATA file. Raises UnreadableMetadata.

    >>> parse_metadata(b"Metadata-Version: 2.1\\nName: a\\nVersion: 1\\nRequires-Dist: b\\n\\nText").requires_dist
    ('b',)
    """
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UnreadableMetadata("it is not written in UTF-8") from error
    one: dict[str, str] = {}
    many: dict[str, list[str]] = {"requires-dist": [], "provides-extra": []}
    for name, value in iter_headers(text):
        if name in many:
            many[name].append(value)
        elif one.setdefault(name, value) != value and name in ("name", "version", "requires-python"):
            raise UnreadableMetadata(f"it has {name.title()} twice")
    version = one.get("metadata-version", "")
    if version.partition(".")[0] not in ("1", "2"):
        raise UnreadableMetadata(f"its Metadata-Version is {version[:20]!r}, and kaa knows 1 and 2")
    if not one.get("name") or not one.get("version"):
        raise UnreadableMetadata("it names no project or no version")
    free_text = one.get("license", "")
    return Metadata(
        one["name"],
        one["version"],
        tuple(many["requires-dist"]),
        one.get("requires-python", ""),
        tuple(many["provides-extra"]),
        one.get("license-expression") or (free_text if "\n" not in free_text and len(free_text) < 100 else ""),
        one.get("summary", "").partition("\n")[0],
    )


def iter_headers(text: str) -> Iterator[tuple[str, str]]:
    """(name in lower case, value) of every header; lines that begin with white space continue the one before."""
    name, lines = "", [""]
    for line in text.replace("\r\n", "\n").split("\n"):
        if line[:1] in (" ", "\t") and name:
            lines.append(line.strip())
            continue
        if name:
            yield name, "\n".join(lines).strip()
        if not line:
            return
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or not name.isascii() or " " in name:
            raise UnreadableMetadata(f"its line {line[:60]!r} is no header")
        lines = [value.strip()]
    if name:
        yield name, "\n".join(lines).strip()


class KeptMetadata:
    """Metadata of wheels on this disk, by the sha256 of the wheel."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def find(self, sha256: str) -> Metadata | None:
        """The metadata of a wheel, when a sound copy is there."""
        try:
            content = (self.directory / sha256).read_bytes()
            if content[:9] != _MAGIC or zlib.crc32(content[13:]) != int.from_bytes(content[9:13], "little"):
                return None
            return _decoder.decode(content[13:])
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, sha256: str, metadata: Metadata) -> None:
        """Keep the metadata of a wheel, where the disk takes it."""
        packed = msgspec.msgpack.encode(metadata)
        with contextlib.suppress(OSError):
            self.directory.mkdir(mode=0o775, parents=True, exist_ok=True)
            write_atomic(self.directory / sha256, _MAGIC + zlib.crc32(packed).to_bytes(4, "little") + packed)


_decoder = msgspec.msgpack.Decoder(Metadata)
