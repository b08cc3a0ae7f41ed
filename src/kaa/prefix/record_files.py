"""The files of conda-meta that should be package records, looked at one by one: none of them stops the others."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.prefix import BrokenPrefixRecord, Prefix, read_record

LARGEST_RECORD = 64 << 20

_TEXT = r'"((?:[^"\\]|\\.)*)"'
_FIELDS = {name: re.compile(rf'"{name}"\s*:\s*{_TEXT}') for name in ("url", "sha256", "md5")}
_FILES = re.compile(r'"files"\s*:\s*\[([^\]]*)')
_STRING = re.compile(_TEXT)


class Fragments(msgspec.Struct, frozen=True):
    """What the text of a broken record still tells."""

    url: str = ""
    sha256: str | None = None
    md5: str | None = None
    files: tuple[str, ...] = ()


class RecordFile(msgspec.Struct, frozen=True):
    """One file of conda-meta that is called like a record."""

    name: str
    """Of the file, `lib-1.0-0.json`"""
    record: PrefixRecord | None = None
    problem: str = ""
    """unreadable, misnamed, duplicate; empty for a good one"""
    reason: str = ""
    fragments: Fragments = Fragments()
    """Of an unreadable one."""

    @property
    def dist(self) -> str:
        """The dist string that the name of the file says."""
        return self.name.removesuffix(".json")

    @property
    def package(self) -> str:
        """The name of the package that the name of the file says."""
        return self.dist.rsplit("-", 2)[0]

    @property
    def path(self) -> str:
        """The path below the environment."""
        return f"conda-meta/{self.name}"

    @property
    def counts(self) -> bool:
        """Whether other programs take the record for one of the environment."""
        return self.record is not None and self.problem != "misnamed"


def read_record_files(environment: Prefix) -> tuple[RecordFile, ...]:
    """Every file that may be a record, by name, with what is wrong with it.

    Of two records of one package the second is the duplicate; which of them is right is not looked into.
    """
    found: list[RecordFile] = []
    known: dict[str, str] = {}
    for file in environment.record_files():
        if not file.is_file():
            found.append(RecordFile(file.name, None, "unreadable", "it is no regular file"))
            continue
        try:
            record = read_record(file)
        except BrokenPrefixRecord as error:
            fragments = read_fragments(environment, file.name)
            found.append(RecordFile(file.name, None, "unreadable", error.reason, fragments))
            continue
        if record.dist != file.name.removesuffix(".json"):
            found.append(RecordFile(file.name, record, "misnamed", f"it is the record of {record.dist}"))
            continue
        other = known.setdefault(record.name, record.dist)
        if other != record.dist:
            found.append(RecordFile(file.name, record, "duplicate", f"{other} is recorded as well"))
        else:
            found.append(RecordFile(file.name, record))
    return tuple(found)


def read_counting_records(environment: Prefix) -> tuple[PrefixRecord, ...]:
    """The records that other programs take for those of the environment, two of one name included."""
    files = read_record_files(environment)
    return tuple(file.record for file in files if file.counts and file.record is not None)


def read_fragments(environment: Prefix, name: str) -> Fragments:
    """What can still be read in a record of which the whole cannot."""
    try:
        with (environment.conda_meta / name).open("rb") as stream:
            text = stream.read(LARGEST_RECORD).decode(errors="replace")
    except OSError:
        return Fragments()
    return parse_fragments(text)


def parse_fragments(text: str) -> Fragments:
    """The address, the hashes and the files that a piece of a record's text names.

    >>> parse_fragments('{"url": "https://c.example/linux-64/lib-1.0-0.conda", "files": ["bin/x", "lib/').files
    ('bin/x',)
    """
    # The hashes of files come later, under the same names.
    head = text[: match.start()] if (match := re.search(r'"paths_data"\s*:', text)) else text
    fields: Mapping[str, str] = {
        name: _unquoted(match[1])
        for name, pattern in _FIELDS.items()
        if (match := pattern.search(text if name == "url" else head))
    }
    files = _FILES.search(head)
    return Fragments(
        url=fields.get("url", ""),
        sha256=_hash(fields.get("sha256"), 64),
        md5=_hash(fields.get("md5"), 32),
        files=tuple(_unquoted(match[1]) for match in _STRING.finditer(files[1])) if files else (),
    )


def _hash(text: str | None, length: int) -> str | None:
    return text.lower() if text and re.fullmatch(rf"[0-9A-Fa-f]{{{length}}}", text) else None


def _unquoted(text: str) -> str:
    try:
        return msgspec.json.decode(f'"{text}"'.encode(errors="replace"), type=str)
    except msgspec.DecodeError:
        return ""
