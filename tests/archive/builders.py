"""Archives byte by byte, hostile ones too: what no honest tool would write."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import os
import stat
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import zstandard

INDEX = b'{"name": "tool", "version": "1.0", "build": "0", "build_number": 0, "depends": []}'


@dataclass(frozen=True)
class Entry:
    """One raw tar member."""

    name: bytes | str
    content: bytes = b""
    type: bytes = b"0"
    link: bytes | str = b""
    mode: int = 0o644
    mtime: int = 1_700_000_000
    size: int | None = None
    magic: bytes = b"ustar\x0000"
    prefix: bytes = b""
    owner: int = 0

    def to_bytes(self) -> bytes:
        name = self.name.encode() if isinstance(self.name, str) else self.name
        link = self.link.encode() if isinstance(self.link, str) else self.link
        size = len(self.content) if self.size is None else self.size
        header = (
            name[:100].ljust(100, b"\0")
            + b"%07o\0" % self.mode
            + b"%07o\0" % self.owner * 2
            + (b"%011o\0" % size if size >= 0 else b"\xff" * 12)
            + (b"%011o\0" % self.mtime if self.mtime >= 0 else (self.mtime + (1 << 96)).to_bytes(12, "big"))
            + b" " * 8
            + self.type
            + link[:100].ljust(100, b"\0")
            + self.magic.ljust(8, b"\0")
            + bytes(80)
            + self.prefix.ljust(155, b"\0")
            + bytes(12)
        )
        assert len(header) == 512
        header = header[:148] + b"%06o\0 " % sum(header) + header[156:]
        return header + self.content + bytes(-len(self.content) % 512)


def tar(*entries: Entry, end: bytes = bytes(1024)) -> bytes:
    return b"".join(entry.to_bytes() for entry in entries) + end


def long_name(name: str, kind: bytes = b"L") -> Entry:
    """What GNU tar puts before a member with a long name (`K`: a long link)."""
    return Entry("././@LongLink", name.encode() + b"\0", type=kind)


def pax(records: dict[str, str], kind: bytes = b"x") -> Entry:
    """An extended header."""
    lines = []
    for key, value in records.items():
        rest = b" " + key.encode() + b"=" + value.encode() + b"\n"
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length = len(str(length)) + len(rest)
        lines.append(str(length).encode() + rest)
    return Entry("PaxHeaders/x", b"".join(lines), type=kind)


def info_entries(files: dict[str, bytes] | None = None) -> list[Entry]:
    content = {"info/index.json": INDEX, "info/paths.json": b'{"paths_version": 1, "paths": []}', **(files or {})}
    return [Entry(path, data) for path, data in content.items()]


def conda(
    *entries: Entry,
    info: bytes | None = None,
    pkg: bytes | None = None,
    metadata: bytes = json.dumps({"conda_pkg_format_version": 2}).encode(),
    names: tuple[str, str] = ("info-tool-1.0-0.tar.zst", "pkg-tool-1.0-0.tar.zst"),
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """A `.conda` whose pkg part holds the entries; every part can be replaced."""
    packed = io.BytesIO()
    compress = zstandard.ZstdCompressor().compress
    with zipfile.ZipFile(packed, "w", compression) as archive:
        if metadata:
            archive.writestr("metadata.json", metadata)
        archive.writestr(names[1], compress(tar(*entries)) if pkg is None else pkg)
        archive.writestr(names[0], compress(tar(*info_entries())) if info is None else info)
    return packed.getvalue()


def tar_bz2(*entries: Entry) -> bytes:
    """A `.tar.bz2` with the entries behind its info files."""
    return bz2.compress(tar(*info_entries(), *entries))


@dataclass(frozen=True)
class Found:
    """What a tree comparison looks at."""

    kind: str
    mode: int
    content: str
    mtime: int


def tree(root: Path, *, times: bool = True, ignore: frozenset[str] = frozenset()) -> dict[str, Found]:
    """All that is below a directory, comparable; what is in an ignored directory is not looked at."""
    found = {}
    for parent, folders, names in os.walk(root):
        below = Path(parent).relative_to(root)
        folders[:] = [name for name in folders if (below / name).as_posix() not in ignore]
        for name in [*folders, *names]:
            path = Path(parent, name)
            relative = path.relative_to(root).as_posix()
            if relative in ignore:
                continue
            status = path.lstat()
            entry = Found("file", stat.S_IMODE(status.st_mode), "", int(status.st_mtime) if times else 0)
            if path.is_symlink():
                entry = Found("link", 0, str(path.readlink()), 0)
            elif path.is_dir():
                entry = Found("directory", stat.S_IMODE(status.st_mode), "", 0)
            elif not path.is_file():
                # A pipe would be waited for.
                entry = replace(entry, kind="other")
            else:
                entry = replace(entry, content=hashlib.sha256(path.read_bytes()).hexdigest())
            found[relative] = entry
    return found
