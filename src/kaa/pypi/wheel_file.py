"""Read wheels (PEP 427), verified: nothing is given out that RECORD does not vouch for, and no file is left out."""

from __future__ import annotations

import base64
import binascii
import configparser
import contextlib
import csv
import hashlib
import io
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import msgspec
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from kaa.archive.extract import has_control_characters
from kaa.archive.read import LARGEST_RATIO, LEAST_LIMIT
from kaa.archive.tar import Damaged
from kaa.archive.zip import ZipMember, ZipReader
from kaa.errors import KaaError

HASHES = frozenset({"sha256", "sha384", "sha512"})
SIGNATURES = ("RECORD.jws", "RECORD.p7s")
SCRIPT_GROUPS = ("console_scripts", "gui_scripts")


class BadWheel(KaaError):
    """A wheel is damaged, or not what a wheel must be."""

    conda_name = "CondaVerificationError"

    def __init__(self, path: Path, reason: str, member: str = "") -> None:
        self.path = str(path)
        self.reason = reason
        self.member = member
        at = f" ({member!r})" if member else ""
        super().__init__(f"{path.name} is no sound wheel: {reason}{at}", hints=("fetch it again, or build it again",))


class Recorded(msgspec.Struct, frozen=True):
    """What RECORD tells of a file."""

    algorithm: str
    digest: bytes
    size: int | None


class WheelReader:
    """An open wheel, of which the names, RECORD and metadata are sound; contents are compared as they are read."""

    def __init__(self, archive: ZipReader, file_name: str) -> None:
        try:
            project, version, build, tags = parse_wheel_filename(file_name)
        except InvalidWheelFilename as error:
            raise Damaged(f"its name is not one for a wheel: {error}") from error
        self.project = str(project)
        """The normalised name."""
        self.version: Version = version
        self.build_number = build[0] if build else 0
        self.tags: frozenset[Tag] = tags
        self._archive = archive
        self.members = _checked_members(archive)
        self.newest_date = max((member.date for member in archive.members), default=0)
        """The newest date of its files, as zips have it."""
        self.dist_info = _find_dist_info(self.members, self.project, version)
        self.recorded = self._read_record()
        self._check_format()
        self.metadata_text = self._text("METADATA", "it has no METADATA")
        said = header_values(self.metadata_text, ("name", "version"))
        if not _is_of(said.get("name", ""), said.get("version", ""), self.project, version):
            raise Damaged("its METADATA is that of something else")
        self.scripts = self._read_scripts()
        """`command = module:function`, of consoles and of windows."""

    @property
    def files(self) -> Iterator[ZipMember]:
        """Its files but for RECORD and its signatures."""
        return (member for name, member in self.members.items() if name not in self._unlisted)

    def content(self, member: ZipMember) -> bytes:
        """A file's content, compared with RECORD."""
        content = self._archive.content(member, check=False)
        recorded = self.recorded[member.name]
        if hashlib.new(recorded.algorithm, content).digest() != recorded.digest:
            raise _other_content(member)
        return content

    def iter_content(self, member: ZipMember) -> Iterator[bytes]:
        """A file's content in blocks; that it is not what RECORD tells of is found at its end."""
        recorded = self.recorded[member.name]
        digest = hashlib.new(recorded.algorithm)
        for block in self._archive.iter_content(member, check=False):
            digest.update(block)
            yield block
        if digest.digest() != recorded.digest:
            raise _other_content(member)

    @property
    def _unlisted(self) -> frozenset[str]:
        return frozenset(f"{self.dist_info}/{name}" for name in ("RECORD", *SIGNATURES))

    def _text(self, name: str, missing: str) -> bytes:
        member = self.members.get(f"{self.dist_info}/{name}")
        if member is None:
            raise Damaged(missing)
        return self.content(member)

    def _read_record(self) -> dict[str, Recorded]:
        """What RECORD tells of every file, which must name them all and no others."""
        own = self.members.get(f"{self.dist_info}/RECORD")
        if own is None:
            raise Damaged("it has no RECORD")
        unlisted = self._unlisted
        found: dict[str, Recorded] = {}
        listed: set[str] = set()
        for name, digest, size in _rows(self._archive.content(own)):
            name = name.removeprefix("./")
            if name in listed:
                raise Damaged("its RECORD names a file twice", name)
            listed.add(name)
            member = self.members.get(name)
            if member is None:
                if not name.endswith("/"):
                    raise Damaged("its RECORD names a file that is not there", name)
            elif name not in unlisted:
                found[name] = _recorded(member, digest, size)
        for name in self.members:
            if name not in found and name not in unlisted:
                raise Damaged("its RECORD does not name a file", name)
        return found

    def _check_format(self) -> None:
        member = self.members.get(f"{self.dist_info}/WHEEL")
        said = header_values(self.content(member) if member is not None else b"", ("wheel-version",))
        version = said.get("wheel-version", "")
        if version.split(".")[0] != "1":
            raise Damaged(f"its format is version {version or 'unknown'}, and kaa knows only version 1")

    def _read_scripts(self) -> tuple[str, ...]:
        member = self.members.get(f"{self.dist_info}/entry_points.txt")
        if member is None:
            return ()
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        try:
            parser.read_string(self.content(member).decode())
        except (configparser.Error, UnicodeDecodeError) as error:
            raise Damaged(f"its entry points cannot be read ({error})") from error
        groups = [group for group in SCRIPT_GROUPS if parser.has_section(group)]
        return tuple(f"{command} = {reference}" for group in groups for command, reference in parser.items(group))


@contextlib.contextmanager
def open_wheel(path: Path, file_name: str = "") -> Iterator[WheelReader]:
    """Open a wheel, which may lie under another name than its `file_name`; whatever is wrong becomes a BadWheel."""
    with path.open("rb", buffering=0) as stream:
        try:
            limit = max(LEAST_LIMIT, LARGEST_RATIO * path.stat().st_size)
            yield WheelReader(ZipReader(stream, limit), file_name or path.name)
        except Damaged as error:
            raise BadWheel(Path(file_name or path.name), error.reason, error.member) from error


def header_values(text: bytes, names: tuple[str, ...]) -> dict[str, str]:
    """The first values of these headers (in lower case) of a metadata file."""
    found: dict[str, str] = {}
    for line in text.decode(errors="replace").splitlines():
        if not line.strip():
            break
        key, colon, value = line.partition(":")
        if colon and (key := key.lower()) in names:
            found.setdefault(key, value.strip())
    return found


def is_script_of_data(name: str) -> bool:
    """Whether a path in a wheel is one of `<name>.data/scripts`."""
    parts = PurePosixPath(name).parts
    return len(parts) > 2 and parts[0].endswith(".data") and parts[1] == "scripts"


def _checked_members(archive: ZipReader) -> dict[str, ZipMember]:
    """The files of the zip by their name, each of which stays where it is put."""
    found: dict[str, ZipMember] = {}
    for member in archive.members:
        name = member.name
        parts = name.removesuffix("/").split("/")
        if not name or "\\" in name or "\0" in name or ":" in parts[0] or not _OUTSIDE.isdisjoint(parts):
            raise Damaged("a path in it leads elsewhere", name)
        if has_control_characters(name):
            raise Damaged("a name with control characters", name)
        if member.is_directory:
            continue
        if member.kind not in (0, stat.S_IFREG):
            raise Damaged("it holds something that is no file", name)
        if name in found:
            raise Damaged("it holds two files of one name", name)
        found[name] = member
    return found


_OUTSIDE = frozenset({"", ".", ".."})


def _find_dist_info(members: Mapping[str, ZipMember], project: str, version: Version) -> str:
    tops = {name.partition("/")[0] for name in members if ".dist-info/" in name}
    folders = [top for top in tops if top.endswith(".dist-info")]
    if len(folders) != 1:
        raise Damaged(f"it holds {len(folders)} directories *.dist-info, not one")
    name, _, number = folders[0].removesuffix(".dist-info").rpartition("-")
    if not _is_of(name, number, project, version):
        raise Damaged("its directory *.dist-info is that of something else", folders[0])
    return folders[0]


def _is_of(name: str, number: str, project: str, version: Version) -> bool:
    try:
        return canonicalize_name(name) == project and Version(number) == version
    except InvalidVersion:
        return False


def _rows(record: bytes) -> Iterator[tuple[str, str, str]]:
    """The lines of RECORD; values in quotes are rare."""
    try:
        text = record.decode()
        for row in csv.reader(io.StringIO(text, newline="")) if '"' in text else map(_fields, text.split("\n")):
            if row and any(row):
                name, digest, size, *_ = (*row, "", "")
                yield name, digest, size
    except (UnicodeDecodeError, csv.Error) as error:
        raise Damaged(f"its RECORD cannot be read ({error})") from error


def _fields(line: str) -> list[str]:
    return line.rstrip("\r").split(",")


def _recorded(member: ZipMember, text: str, size: str) -> Recorded:
    algorithm, _, wanted = text.partition("=")
    if algorithm not in HASHES:
        raise Damaged(f"its RECORD has no strong hash for a file ({algorithm or 'none'})", member.name)
    try:
        digest = base64.urlsafe_b64decode(wanted + "=" * (-len(wanted) % 4))
    except (binascii.Error, ValueError):
        digest = b""
    if size and not (size.isdecimal() and int(size) == member.size):
        raise Damaged("its RECORD tells another size of a file", member.name)
    return Recorded(algorithm, digest, member.size)


def _other_content(member: ZipMember) -> Damaged:
    return Damaged("a file is not the one that its RECORD tells of", member.name)
