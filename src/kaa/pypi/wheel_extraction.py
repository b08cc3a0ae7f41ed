"""Unpack wheels as packages: in the layout of `noarch: python` (CEP 17, 20), whatever Python they are for.

So one directory in the package cache serves every environment: where the python of an environment has its modules and
programs is decided when the package is linked. The RECORD that is unpacked lists what lies in site-packages; what an
installation adds (programs, data, REQUESTED) is added by `kaa.transaction.wheel_files` when the package is linked.
"""

from __future__ import annotations

import base64
import calendar
import contextlib
import csv
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from kaa.archive.extract import Extracted, MemberReader, extract_members
from kaa.archive.tar import FILE, Damaged, Member
from kaa.archive.zip import ZipMember, date_time
from kaa.models.artifact import is_sdist
from kaa.models.entry_point import InvalidEntryPoint, parse_entry_point
from kaa.models.package_info import IndexJson, LinkJson, NoArchLink
from kaa.models.record import RepoDataRecord
from kaa.pypi.interpreters.build_configuration import PLACEHOLDER
from kaa.pypi.wheel_file import WheelReader, is_script_of_data, open_wheel
from kaa.pypi.wheel_layout import MADE_BY_INSTALLERS, SITE_PACKAGES, WheelLayout, check_command, with_own_python

INSTALLER = b"kaa\n"
LARGEST_SCRIPT = 16 << 20
"""Larger programs are no scripts."""
INDEX = "info/index.json"


def extract_wheel(
    source: Path,
    target: Path,
    record: RepoDataRecord,
    *,
    read_only: bool = False,
    check: Callable[[bytes], object] = lambda metadata: None,
    complete: Callable[[Path], object] = lambda directory: None,
) -> Extracted:
    """Unpack a wheel as the new directory `target`, the package of `record`, or raise BadWheel and leave nothing.

    The record gives the package's name, version, build and dependencies; its purl says of what project it must be.
    `check` is given the wheel's METADATA, and refuses it by raising an error.
    """
    return extract_members(
        open_members(source, record, check), target, subdir=record.subdir, read_only=read_only, complete=complete
    )


@contextlib.contextmanager
def open_members(
    source: Path, record: RepoDataRecord, check: Callable[[bytes], object] = lambda metadata: None
) -> Iterator[Iterable[MemberReader]]:
    """The files of the package that a wheel becomes."""
    # One that was built of an sdist has a name of its own.
    with open_wheel(source, "" if is_sdist(record.fn) else record.fn) as wheel:
        _check_project(wheel, record)
        check(wheel.metadata_text)
        yield (WheelMembers(wheel, record),)


def _check_project(wheel: WheelReader, record: RepoDataRecord) -> None:
    """Raise Damaged unless the wheel is of the project and version that the record was made of."""
    for purl in record.purls or ():
        name, _, version = unquote(purl.partition("?")[0]).removeprefix("pkg:pypi/").partition("@")
        try:
            if canonicalize_name(name) == wheel.project and (not version or Version(version) == wheel.version):
                return
        except InvalidVersion:
            continue
    if record.purls:
        raise Damaged(f"it is {wheel.project} {wheel.version}, and was offered as {', '.join(record.purls)}")


class WheelMembers:
    """The files of the package that a wheel becomes, one after another, those of `info/` last."""

    def __init__(self, wheel: WheelReader, record: RepoDataRecord) -> None:
        self._wheel = wheel
        self._record = record
        self._layout = WheelLayout(wheel.project, include=_include_directory(wheel))
        self._member: ZipMember | None = None
        self._content = b""
        self._paths: dict[str, dict[str, object]] = {}
        self._lines: list[str] = []
        self._seconds: dict[int, int] = {}

    def __iter__(self) -> Iterator[Member]:
        wheel = self._wheel
        made = {f"{wheel.dist_info}/{name}" for name in MADE_BY_INSTALLERS}
        for member in wheel.files:
            if member.name not in made:
                yield self._packaged(member, self._layout.place(member.name))
        information = f"{SITE_PACKAGES}/{wheel.dist_info}"
        yield self._generated(f"{information}/INSTALLER", INSTALLER)
        self._lines.append(_line(f"{wheel.dist_info}/INSTALLER", hashlib.sha256(INSTALLER).digest(), len(INSTALLER)))
        self._lines.append(f"{_quoted(wheel.dist_info + '/RECORD')},,\n")
        yield self._generated(f"{information}/RECORD", "".join(self._lines).encode())
        for path, document in self._documents().items():
            self._content = msgspec.json.encode(document)
            yield Member(path, FILE, 0o644, self._time(wheel.newest_date), len(self._content), "")

    def content(self) -> bytes:
        """The content of the file that was given last."""
        return self._content if self._member is None else self._wheel.content(self._member)

    def iter_content(self) -> Iterator[bytes]:
        """The same in blocks."""
        if self._member is None:
            yield self._content
        else:
            yield from self._wheel.iter_content(self._member)

    def _packaged(self, member: ZipMember, path: str) -> Member:
        """A file of the wheel."""
        if path in self._paths:
            raise Damaged("two files of it have one place", path)
        self._member = member
        mode, size, script = member.mode & 0o777, member.size, is_script_of_data(member.name)
        entry: dict[str, object] = {"_path": path, "path_type": "hardlink"}
        if script:
            mode |= 0o755
            if size <= LARGEST_SCRIPT:
                original = self._wheel.content(member)
                self._member, self._content = None, with_own_python(original)
                size = len(self._content)
                if self._content != original:
                    entry |= {"file_mode": "text", "prefix_placeholder": PLACEHOLDER}
        digest = self._digest(member)
        entry |= {"sha256": digest.hex(), "size_in_bytes": size}
        self._paths[path] = entry
        if path.startswith(f"{SITE_PACKAGES}/"):
            self._lines.append(_line(path[len(SITE_PACKAGES) + 1 :], digest, size))
        return Member(path, FILE, mode, self._time(member.date), size, "")

    def _digest(self, member: ZipMember) -> bytes:
        """The SHA-256 of what is written for a file, which is compared with RECORD when it is read."""
        if self._member is None:
            return hashlib.sha256(self._content).digest()
        recorded = self._wheel.recorded[member.name]
        if recorded.algorithm == "sha256":
            return recorded.digest
        digest = hashlib.sha256()
        for block in self._wheel.iter_content(member):
            digest.update(block)
        return digest.digest()

    def _generated(self, path: str, content: bytes) -> Member:
        if path in self._paths:
            raise Damaged("two files of it have one place", path)
        self._member, self._content = None, content
        self._paths[path] = {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_in_bytes": len(content),
        }
        return Member(path, FILE, 0o644, self._time(self._wheel.newest_date), len(content), "")

    def _documents(self) -> dict[str, object]:
        """The files of `info/`."""
        record, scripts = self._record, self._wheel.scripts
        for text in scripts:
            try:
                check_command(parse_entry_point(text, record.dist).command, text)
            except InvalidEntryPoint as error:
                raise Damaged(error.reason, error.entry_point) from error
        index = IndexJson(**{name: getattr(record, name) for name in _SAID_BY_PACKAGES})
        link = LinkJson(noarch=NoArchLink(type="python", entry_points=scripts))
        return {
            INDEX: {"build_number": 0, "depends": [], **msgspec.to_builtins(index)},
            "info/paths.json": {"paths": list(self._paths.values()), "paths_version": 1},
            "info/link.json": {"package_metadata_version": 1, **msgspec.to_builtins(link)},
        }

    def _time(self, date: int) -> int:
        """Seconds since the epoch for a date of the zip; most files have the same."""
        seconds = self._seconds.get(date)
        if seconds is None:
            seconds = self._seconds[date] = calendar.timegm((*date_time(date), 0, 0, 0))
        return seconds


_SAID_BY_PACKAGES = (
    "name",
    "version",
    "build",
    "build_number",
    "depends",
    "constrains",
    "extra_depends",
    "subdir",
    "noarch",
    "license",
    "timestamp",
    "purls",
)


def _include_directory(wheel: WheelReader) -> str:
    """Where headers go: below the directory of the one Python that a wheel is for."""
    tags = {(tag.interpreter, tag.abi) for tag in wheel.tags}
    if len(tags) == 1:
        [(interpreter, abi)] = tags
        if interpreter.startswith("cp3") and abi.rstrip("t") == interpreter:
            return f"include/python3.{interpreter[3:]}{abi[len(interpreter) :]}"
    return "include"


def _line(path: str, digest: bytes, size: int) -> str:
    """A line of RECORD."""
    return f"{_quoted(path)},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{size}\n"


def _quoted(path: str) -> str:
    if not _SPECIAL.isdisjoint(path):
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow([path])
        return text.getvalue()
    return path


_SPECIAL = frozenset(',"')
