"""One package as it lies unpacked in a cache, and what its `info/` says (CEP 34).

Old packages have no paths.json; their paths are then read from `info/files`, `info/has_prefix` and `info/no_link`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from kaa.errors import KaaError
from kaa.host.files import read_regular_file
from kaa.models.channel import split_credentials
from kaa.models.package_info import DEFAULT_PLACEHOLDER, LinkJson, PathEntry, PathsJson
from kaa.models.pattern import Pattern
from kaa.models.record import RepoDataRecord

T = TypeVar("T")

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
RECORD_FILE = Path("info", "repodata_record.json")
_FIELD = Pattern(r'"([^"]*)"|\'([^\']*)\'|(\S+)')


class UnreadablePackage(KaaError):
    """A package in the cache lacks something, or says something that cannot be understood."""

    conda_name = "CorruptedEnvironmentError"

    def __init__(self, path: Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(
            f"{path} in the package cache cannot be used: {reason}",
            hints=("remove that package's directory from the cache; it is fetched again when it is needed",),
        )


class ExtractedPackage(msgspec.Struct, frozen=True):
    """An unpacked package; `record` is the one that was asked for, `archive` the file it came from, when still there.

    `bytecode_root` is a directory for what is made from the package later, one for all packages of a cache;
    `shared_bytecode` is another one, which is looked into first, and nothing is put there.
    """

    directory: Path
    record: RepoDataRecord
    archive: Path | None
    bytecode_root: Path
    shared_bytecode: Path | None = None
    _entries: list[PathEntry] = msgspec.field(default_factory=list)
    """What `paths` has read: the check of a package and its linking both want it, and it is long."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExtractedPackage) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[object, ...]:
        return self.directory, self.record, self.archive, self.bytecode_root

    def paths(self) -> tuple[PathEntry, ...]:
        """Every path of the package, in its order; all are below the package's root. Read once."""
        if not self._entries:
            self._entries.extend(self._read_paths())
        return tuple(self._entries)

    def _read_paths(self) -> tuple[PathEntry, ...]:
        file = self.directory / "info" / "paths.json"
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            entries = tuple(_old_paths(self.directory))
            file = self.directory / "info" / "files"
        else:
            document = _decode(file, data, PathsJson)
            if document.paths_version != 1:
                raise UnreadablePackage(file, f"its paths_version is {document.paths_version}, and only 1 is known")
            entries = document.paths
        for entry in entries:
            if not is_inside(entry.path):
                raise UnreadablePackage(file, f"the path {entry.path!r} is not one that a package may hold")
        return entries

    def link(self) -> LinkJson:
        """How the package wants to be linked; the empty value when it has no opinion."""
        for name in ("link.json", "package_metadata.json"):
            file = self.directory / "info" / name
            try:
                data = file.read_bytes()
            except FileNotFoundError:
                continue
            return _decode(file, data, LinkJson)
        return LinkJson()

    def bytecode_directory(self, tag: str) -> Path:
        """Where the bytecode of this package for a Python (`cpython-312`) is kept; it need not exist."""
        return self.bytecode_root / self.directory.name / tag

    def bytecode_directories(self, tag: str) -> tuple[Path, ...]:
        """Where there may be such bytecode already."""
        own = self.bytecode_directory(tag)
        return (own,) if self.shared_bytecode is None else (self.shared_bytecode / self.directory.name / tag, own)


def is_inside(path: str) -> bool:
    """Whether a posix path names something below a package's root, other than the environment's own records."""
    if not path or path.startswith(("/", "conda-meta/")) or "\0" in path or "\\" in path[:3]:
        return False
    return ".." not in path or ".." not in path.split("/")


def _decode(file: Path, data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadablePackage(file, str(error)) from error


def _old_paths(directory: Path) -> Iterator[PathEntry]:
    prefixes = {path: (placeholder, mode) for placeholder, mode, path in _prefix_lines(directory)}
    unlinked = set(_lines(directory, "no_link")) | set(_lines(directory, "no_softlink"))
    try:
        names = list(_lines(directory, "files", required=True))
    except FileNotFoundError:
        raise UnreadablePackage(directory / "info", "it has neither paths.json nor files") from None
    for name in names:
        placeholder, mode = prefixes.get(name, (None, None))
        yield PathEntry(
            path=name,
            path_type="softlink" if (directory / name).is_symlink() else "hardlink",
            prefix_placeholder=placeholder,
            file_mode=mode,
            no_link=name in unlinked,
        )


def _prefix_lines(directory: Path) -> Iterator[tuple[str, str, str]]:
    """(placeholder, mode, path) of every line of has_prefix."""
    for line in _lines(directory, "has_prefix"):
        yield parse_prefix_line(line)


def parse_prefix_line(line: str) -> tuple[str, str, str]:
    """(placeholder, mode, path) of a line of has_prefix: `path`, or `placeholder mode path`, each maybe in quotes.

    >>> parse_prefix_line('"/opt/old place" text "bin/a tool"')
    ('/opt/old place', 'text', 'bin/a tool')
    >>> parse_prefix_line("bin/tool")[1:]
    ('text', 'bin/tool')
    """
    fields = ["".join(match.groups("")) for match in _FIELD.finditer(line)]
    if len(fields) == 3 and fields[1] in ("text", "binary"):
        return fields[0], fields[1], fields[2]
    return DEFAULT_PLACEHOLDER, "text", fields[0] if len(fields) == 1 else line


def _lines(directory: Path, name: str, *, required: bool = False) -> Iterator[str]:
    try:
        text = (directory / "info" / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        if required:
            raise
        return
    except UnicodeDecodeError as error:
        raise UnreadablePackage(directory / "info" / name, "it is not UTF-8 text") from error
    # Not splitlines: a path may hold characters that Unicode counts among line ends.
    for line in text.split("\n"):
        if line := line.strip("\r").strip():
            yield line


def read_record(directory: Path) -> RepoDataRecord | None:
    """The record with which a package was unpacked, without credentials; None where there is no sound one."""
    try:
        record = msgspec.json.decode(read_regular_file(directory / RECORD_FILE), type=RepoDataRecord)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    channel = split_credentials(record.channel)[0].rstrip("/")
    if record.subdir and channel.endswith(f"/{record.subdir}"):
        channel = channel.removesuffix(f"/{record.subdir}")
    return msgspec.structs.replace(record, channel=channel, url=split_credentials(record.url)[0])


def write_record(directory: Path, record: RepoDataRecord) -> None:
    """Write the record of an unpacked package as conda does: all of it, the channel as its address with subdir."""
    fields = {"build_number": 0, "depends": [], "constrains": []} | msgspec.to_builtins(record)
    if record.channel and record.subdir:
        fields["channel"] = f"{record.channel}/{record.subdir}"
    path = directory / RECORD_FILE
    path.parent.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(fields, order="sorted"), indent=2) + b"\n"
    # Of a new file only, and like the other files of a package in the cache: not one that is linked somewhere.
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, _NEW_FILE, 0o444), "wb") as stream:
        stream.write(text)


class _Named(msgspec.Struct):
    """The part of info/index.json that a file name repeats."""

    name: str
    version: str
    build: str


TYPES_READ = (PathsJson, LinkJson, RepoDataRecord, _Named)
"""What the files of a package are decoded into."""


def said_dist(directory: Path) -> str:
    """The dist string that an unpacked package gives itself in info/index.json."""
    index = _decode(directory / "info" / "index.json", _read_index(directory), _Named)
    return f"{index.name}-{index.version}-{index.build}"


def _read_index(directory: Path) -> bytes:
    file = directory / "info" / "index.json"
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise UnreadablePackage(file, "it is missing") from None
    except OSError as error:
        raise UnreadablePackage(file, error.strerror or str(error)) from error


def completed(record: RepoDataRecord, directory: Path) -> RepoDataRecord:
    """What an unpacked package says of itself in info/index.json, with the address, hashes and size of `record`."""
    index = _decode(directory / "info" / "index.json", _read_index(directory), RepoDataRecord)
    return msgspec.structs.replace(
        index,
        channel=record.channel,
        fn=record.fn,
        url=record.url,
        subdir=index.subdir or record.subdir,
        md5=record.md5,
        sha256=record.sha256,
        size=record.size,
    )
