"""Unpack wheels (PEP 427) into a directory, verified: nothing gets out that RECORD does not vouch for."""

from __future__ import annotations

import base64
import binascii
import configparser
import csv
import hashlib
import io
import stat
import zipfile
import zlib
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path, PurePosixPath

from packaging.metadata import RawMetadata, parse_email
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from kaa.archive.read import LARGEST_RATIO, LEAST_LIMIT
from kaa.errors import KaaError

HASHES = frozenset({"sha256", "sha384", "sha512"})
SIGNATURES = ("RECORD.jws", "RECORD.p7s")
SCRIPT_GROUPS = ("console_scripts", "gui_scripts")
_BLOCK = 1 << 20


class BadWheel(KaaError):
    """A wheel is damaged, or not what a wheel must be."""

    def __init__(self, path: Path, reason: str, member: str = "") -> None:
        self.path = str(path)
        self.reason = reason
        self.member = member
        at = f" ({member!r})" if member else ""
        super().__init__(f"{path.name} is no sound wheel: {reason}{at}", hints=("fetch it again, or build it again",))


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel, unpacked."""

    path: Path
    folder: Path
    """Where its files are."""
    project: str
    """The normalised name."""
    version: Version
    build_number: int
    tags: frozenset[Tag]
    metadata: RawMetadata
    scripts: tuple[str, ...]
    """`command = module:function`, of consoles and of windows."""
    files: dict[str, bool]
    """Its files by their path, and whether each is to be executable; RECORD and its signatures are not among them."""
    dist_info: str
    newest: tuple[int, int, int, int, int, int]
    """The newest date of its files."""


def read_wheel(path: Path, folder: Path) -> Wheel:
    """Unpack a wheel into the empty directory `folder`, or raise BadWheel."""
    try:
        project, version, build, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise BadWheel(path, f"its name is not one for a wheel: {error}") from error
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked_members(path, archive)
            dist_info = _find_dist_info(path, members, project, version)
            _unpack(path, archive, members, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadWheel(path, f"its zip is damaged ({error})") from error
    except FileExistsError as error:
        raise BadWheel(path, "it holds a file and a directory of one name", str(error.filename)) from error
    _check_record(path, folder, members, dist_info)
    _check_format(path, folder, dist_info)
    metadata = _read_metadata(path, folder, dist_info, project, version)
    kept = {name: _is_executable(member) for name, member in members.items() if not _is_record(name, dist_info)}
    return Wheel(
        path=path,
        folder=folder,
        project=project,
        version=version,
        build_number=build[0] if build else 0,
        tags=tags,
        metadata=metadata,
        scripts=_read_scripts(path, folder / dist_info / "entry_points.txt"),
        files=kept,
        dist_info=dist_info,
        newest=max(member.date_time for member in members.values()),
    )


def _checked_members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files of the zip by their name, each of which stays where it is put."""
    found: dict[str, zipfile.ZipInfo] = {}
    total = 0
    for member in archive.infolist():
        name = member.filename
        parts = name.removesuffix("/").split("/")
        if not name or "\\" in name or "\0" in name or ":" in parts[0] or any(p in ("", ".", "..") for p in parts):
            raise BadWheel(path, "a path in it leads elsewhere", name)
        if member.is_dir():
            continue
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
            raise BadWheel(path, "it holds something that is no file", name)
        if name in found:
            raise BadWheel(path, "it holds two files of one name", name)
        found[name] = member
        total += member.file_size
    if total > max(LEAST_LIMIT, LARGEST_RATIO * path.stat().st_size):
        raise BadWheel(path, f"it would unpack to {total} bytes, which no wheel of its size does")
    return found


def _find_dist_info(path: Path, members: dict[str, zipfile.ZipInfo], project: str, version: Version) -> str:
    folders = {name.split("/")[0] for name in members if name.split("/")[0].endswith(".dist-info") and "/" in name}
    if len(folders) != 1:
        raise BadWheel(path, f"it holds {len(folders)} directories *.dist-info, not one")
    folder = folders.pop()
    name, _, number = folder.removesuffix(".dist-info").rpartition("-")
    try:
        fits = canonicalize_name(name) == project and Version(number) == version
    except InvalidVersion:
        fits = False
    if not fits:
        raise BadWheel(path, "its directory *.dist-info is that of something else", folder)
    return folder


def _unpack(path: Path, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], folder: Path) -> None:
    for name, member in members.items():
        if member.flag_bits & 0x1:
            raise BadWheel(path, "it is encrypted", name)
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except NotADirectoryError as error:
            raise FileExistsError(17, "a file is in the way", name) from error
        if target.is_dir():
            raise FileExistsError(17, "a directory is in the way", name)
        with archive.open(member) as stream, target.open("xb") as writer:
            while block := stream.read(_BLOCK):
                writer.write(block)


def _is_record(name: str, dist_info: str) -> bool:
    return name == f"{dist_info}/RECORD" or name in [f"{dist_info}/{signature}" for signature in SIGNATURES]


def _check_record(path: Path, folder: Path, members: dict[str, zipfile.ZipInfo], dist_info: str) -> None:
    """Compare every file with RECORD, which must name them all and no others."""
    record = folder / dist_info / "RECORD"
    if not record.is_file():
        raise BadWheel(path, "it has no RECORD")
    listed: set[str] = set()
    try:
        rows = [row for row in csv.reader(io.StringIO(record.read_text("utf-8"))) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadWheel(path, f"its RECORD cannot be read ({error})") from error
    for row in rows:
        name, digest, _ = (*row, "", "")[:3]
        name = name.removeprefix("./")
        if name in listed:
            raise BadWheel(path, "its RECORD names a file twice", name)
        listed.add(name)
        if name not in members:
            if not name.endswith("/"):
                raise BadWheel(path, "its RECORD names a file that is not there", name)
        elif not _is_record(name, dist_info):
            _check_digest(path, folder / name, name, digest)
    for name in members:
        if name not in listed and not _is_record(name, dist_info):
            raise BadWheel(path, "its RECORD does not name a file", name)


def _check_digest(path: Path, file: Path, name: str, text: str) -> None:
    algorithm, _, wanted = text.partition("=")
    if algorithm not in HASHES:
        raise BadWheel(path, f"its RECORD has no strong hash for a file ({algorithm or 'none'})", name)
    digest = hashlib.new(algorithm)
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    try:
        expected = base64.urlsafe_b64decode(wanted + "=" * (-len(wanted) % 4))
    except (binascii.Error, ValueError):
        expected = b""
    if expected != digest.digest():
        raise BadWheel(path, "a file is not the one that its RECORD tells of", name)


def _check_format(path: Path, folder: Path, dist_info: str) -> None:
    file = folder / dist_info / "WHEEL"
    message: Message = BytesParser().parsebytes(file.read_bytes() if file.is_file() else b"")
    version = str(message.get("Wheel-Version", ""))
    if version.split(".")[0] != "1":
        raise BadWheel(path, f"its format is version {version or 'unknown'}, and kaa knows only version 1")


def _read_metadata(path: Path, folder: Path, dist_info: str, project: str, version: Version) -> RawMetadata:
    file = folder / dist_info / "METADATA"
    if not file.is_file():
        raise BadWheel(path, "it has no METADATA")
    metadata, _ = parse_email(file.read_bytes())
    try:
        fits = (
            canonicalize_name(metadata.get("name", "")) == project and Version(metadata.get("version", "")) == version
        )
    except InvalidVersion:
        fits = False
    if not fits:
        raise BadWheel(path, "its METADATA is that of something else")
    return metadata


def _read_scripts(path: Path, file: Path) -> tuple[str, ...]:
    if not file.is_file():
        return ()
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(file.read_text("utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        raise BadWheel(path, f"its entry points cannot be read ({error})") from error
    groups = [group for group in SCRIPT_GROUPS if parser.has_section(group)]
    return tuple(f"{command} = {reference}" for group in groups for command, reference in parser.items(group))


def _is_executable(member: zipfile.ZipInfo) -> bool:
    return bool((member.external_attr >> 16) & 0o111)


def is_script_of_data(name: str) -> bool:
    """Whether a path in a wheel is one of `<name>.data/scripts`."""
    parts = PurePosixPath(name).parts
    return len(parts) > 2 and parts[0].endswith(".data") and parts[1] == "scripts"
