"""Write packages, `.conda` and `.tar.bz2`, the same bytes for the same content (CEP 35).

write_package(Path("tool-1.0-0.conda"), {"info/index.json": b"{}"}, [("bin/tool", SourceFile(Path("build/tool")))])
"""

from __future__ import annotations

import bz2
import contextlib
import io
import json
import os
import stat
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Protocol, TypeAlias

import msgspec

from kaa.archive.extract import EARLIEST, LATEST, MADE_BY_THE_CLIENT
from kaa.host.files import current_umask

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    import zstandard

ZSTD_LEVEL = 19
BZIP_LEVEL = 9
_COPY_BLOCK = 1 << 20
_LARGE = 1 << 30
"""From this many bytes on a zip entry is written in the 64-bit form."""
_ZIP_TIME = (1980, 1, 2, 0, 0, 0)


class SourceFile(msgspec.Struct, frozen=True):
    """A file of the disk that goes into a package; `mode` None takes the file's own."""

    path: Path
    mode: int | None = None


class SourceBytes(msgspec.Struct, frozen=True):
    """Content that goes into a package as a file."""

    content: bytes
    mode: int = 0o644


class SourceLink(msgspec.Struct, frozen=True):
    """A symbolic link that goes into a package."""

    target: str


Source: TypeAlias = SourceFile | SourceBytes | SourceLink | bytes


def write_package(
    target: Path,
    info_files: Mapping[str, Source],
    files: Iterable[tuple[str, Source]],
    *,
    level: int | None = None,
    timestamp: int | None = None,
) -> None:
    """Write the package `target`, whose extension says which format; `info_files` are named `info/…`.

    Members are sorted, owned by nobody; their times are `timestamp` (in seconds), or those of the source files where
    it is None. `level` is zstd's (19) or bzip2's (9). The file appears complete or not at all.
    """
    info = sorted(info_files.items(), key=lambda item: item[0])
    content = sorted(files, key=lambda item: item[0])
    for path, _ in info:
        if not path.startswith("info/"):
            raise ValueError(f"{path} is not below info/")
    with _new_file(target) as stream:
        if target.name.endswith(".conda"):
            stem = target.name.removesuffix(".conda")
            _write_conda(stream, stem, info, content, ZSTD_LEVEL if level is None else level, timestamp)
        elif target.name.endswith(".tar.bz2"):
            with bz2.open(stream, "wb", compresslevel=BZIP_LEVEL if level is None else level) as compressed:
                _write_tar(compressed, [*info, *content], timestamp)
        else:
            raise ValueError(f"{target.name} ends neither with .conda nor with .tar.bz2")


def write_folder(target: Path, folder: Path, *, level: int | None = None, timestamp: int | None = None) -> None:
    """Write a package from a folder that holds it unpacked, info/ included."""
    found: dict[str, Source] = {path: source for path, source in iter_folder(folder) if path != MADE_BY_THE_CLIENT}
    info_files = {path: source for path, source in found.items() if path.startswith("info/")}
    files = [(path, source) for path, source in found.items() if path not in info_files]
    write_package(target, info_files, files, level=level, timestamp=timestamp)


def iter_folder(folder: Path) -> Iterator[tuple[str, SourceFile | SourceLink]]:
    """All files and links below a folder, by their posix path in it; empty directories are not seen."""
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in [*names, *links]:
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            yield relative, SourceLink(os.readlink(path)) if path.is_symlink() else SourceFile(path)  # noqa: PTH115


@contextlib.contextmanager
def _new_file(target: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name when the block ends well."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            yield stream
        temporary.chmod(0o666 & ~current_umask())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write_conda(
    stream: IO[bytes],
    stem: str,
    info: Iterable[tuple[str, Source]],
    files: Iterable[tuple[str, Source]],
    level: int,
    timestamp: int | None,
) -> None:
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry("metadata.json"), json.dumps({"conda_pkg_format_version": 2}))
        # The info part comes last: it can then be read from the tail of a remote file.
        for part, members in (("pkg", files), ("info", info)):
            with tempfile.TemporaryFile() as packed:
                with _compressing(packed, level) as compressed:
                    _write_tar(compressed, members, timestamp)
                large = packed.tell() >= _LARGE
                packed.seek(0)
                with archive.open(_entry(f"{part}-{stem}.tar.zst"), "w", force_zip64=large) as entry:
                    while block := packed.read(_COPY_BLOCK):
                        entry.write(block)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _ZIP_TIME)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


class Writable(Protocol):
    """What a tar is written to."""

    def write(self, data: bytes, /) -> int: ...


@contextlib.contextmanager
def _compressing(stream: IO[bytes], level: int) -> Iterator[Writable]:
    if sys.version_info >= (3, 14):
        options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: level,
            zstd.CompressionParameter.checksum_flag: 1,
        }
        with zstd.ZstdFile(stream, "wb", options=options) as compressed:
            yield compressed
    else:
        compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)
        with compressor.stream_writer(stream, closefd=False) as writer:
            yield writer


def _write_tar(stream: Writable, members: Iterable[tuple[str, Source]], timestamp: int | None) -> None:
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_COPY_BLOCK) as archive:  # type: ignore[call-overload]
        for path, source in members:
            _write_member(archive, path, source, timestamp)


def _write_member(archive: tarfile.TarFile, path: str, source: Source, timestamp: int | None) -> None:
    member = tarfile.TarInfo(path)
    member.mtime = EARLIEST if timestamp is None else timestamp
    match source:
        case SourceLink(target):
            member.type, member.linkname, member.mode = tarfile.SYMTYPE, target, 0o777
            archive.addfile(member)
        case SourceFile(file, mode):
            with file.open("rb") as stream:
                found = os.fstat(stream.fileno())
                member.size = found.st_size
                member.mode = stat.S_IMODE(found.st_mode) & 0o777 if mode is None else mode
                if timestamp is None:
                    member.mtime = min(max(int(found.st_mtime), EARLIEST), LATEST)
                archive.addfile(member, stream)
        case SourceBytes(content, mode):
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
        case bytes():
            member.size, member.mode = len(source), 0o644
            archive.addfile(member, io.BytesIO(source))
