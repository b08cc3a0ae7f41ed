"""Read packages: the tars inside a `.conda` or `.tar.bz2`, as streams (CEP 35).

What a file is, its content says, not its name: packages get renamed. `.conda` is a zip that holds `info-*.tar.zst`
and `pkg-*.tar.zst`; its `info` part is read without touching the rest.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import json
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, BinaryIO, Literal, Protocol, TypeAlias

from kaa.archive.tar import FILE, Damaged, Readable, TarReader
from kaa.errors import KaaError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    import zstandard

Part: TypeAlias = Literal["info", "pkg"]

MAX_WINDOW_LOG = 28
"""The largest zstd window that is granted, 256 MiB; level 22 uses 128 MiB."""
LEAST_LIMIT = 1 << 30
LARGEST_RATIO = 200
"""A package may unpack to 1 GiB, or to 200 times its size if that is more."""
MAX_INFO_FILE = 256 << 20
_COMPRESSED_BLOCK = 1 << 17


class BadArchive(KaaError):
    """A package file is damaged, or holds something that a package must not hold."""

    conda_name = "CondaVerificationError"

    def __init__(self, path: str, reason: str, member: str = "") -> None:
        self.path = path
        self.member = member
        self.reason = reason
        at = f" at {member!r}" if member else ""
        super().__init__(
            f"{path} cannot be unpacked: {reason}{at}",
            hints=(
                "remove the file and fetch it again",
                "tell the channel's maintainers if it is the same after that",
            ),
        )


class PackageReader:
    """An open package; `tars` gives its parts, each a `TarReader` that must be read before the next one."""

    def __init__(self, stream: BinaryIO, name: str, limit: int | None) -> None:
        self.name = name
        self.size = stream.seek(0, os.SEEK_END)
        self.limit = limit if limit is not None else max(LEAST_LIMIT, LARGEST_RATIO * self.size)
        stream.seek(0)
        magic = stream.read(4)
        stream.seek(0)
        self._stream = stream
        self._zip: zipfile.ZipFile | None = None
        if magic[:2] == b"PK":
            with _zip_damage():
                self._zip = zipfile.ZipFile(stream)
                _check_format_version(self._zip)
            self._parts = _find_parts(self._zip)
        elif magic[:3] != b"BZh":
            raise Damaged("it is neither a .conda nor a .tar.bz2 file")

    @property
    def extension(self) -> Literal[".conda", ".tar.bz2"]:
        return ".tar.bz2" if self._zip is None else ".conda"

    def tars(self, *parts: Part) -> Iterator[TarReader]:
        """The tars of these parts; a `.tar.bz2` has one for everything, whatever is asked for."""
        if self._zip is None:
            yield TarReader(bzip_stream(self._stream), self.limit)
            return
        for part in parts:
            with _zip_damage():
                entry = self._zip.open(self._parts[part])
            with entry:
                compressed = ZipEntryStream(entry)
                yield TarReader(zstd_stream(compressed), self.limit)
                compressed.drain()

    def close(self) -> None:
        """Close the zip; the stream belongs to whoever opened it."""
        if self._zip is not None:
            self._zip.close()


@contextlib.contextmanager
def open_package(source: Path | BinaryIO, *, limit: int | None = None) -> Iterator[PackageReader]:
    """Open a package file; whatever is wrong with it, in the `with` block too, becomes a BadArchive.

    `limit` bounds the bytes that each of its tars may unpack to.
    """
    name = str(source) if isinstance(source, Path) else str(getattr(source, "name", "<stream>"))
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        try:
            reader = PackageReader(stream, name, limit)
            stack.callback(reader.close)
            yield reader
        except Damaged as error:
            raise BadArchive(name, error.reason, error.member) from error


def read_info(
    source: Path | BinaryIO, names: Collection[str] | None = None, *, limit: int | None = None
) -> dict[str, bytes]:
    """The files below `info/` of a package, or those of them in `names`, by path (`info/index.json`).

    Of a `.conda` only the info part is read; a `.tar.bz2` is read until all `names` are found.
    """
    wanted = None if names is None else set(names)
    found: dict[str, bytes] = {}
    with open_package(source, limit=limit) as package:
        for tar in package.tars("info"):
            for member in tar:
                name = member.name.removeprefix("./")
                if not name.startswith("info/") or member.kind != FILE or (wanted is not None and name not in wanted):
                    continue
                if member.size > MAX_INFO_FILE:
                    raise Damaged(f"it is larger than {MAX_INFO_FILE} bytes", name)
                found[name] = bytes(tar.content())
                # The info part of a .conda is read to its end, where its checksum is.
                if wanted is not None and package.extension == ".tar.bz2" and found.keys() >= wanted:
                    return found
    return found


def _find_parts(archive: zipfile.ZipFile) -> dict[Part, zipfile.ZipInfo]:
    parts: dict[Part, zipfile.ZipInfo] = {}
    kinds: tuple[Part, Part] = ("info", "pkg")
    for part in kinds:
        entries = [entry for entry in archive.infolist() if _is_part(entry.filename, part)]
        if len(entries) != 1:
            how_many = f"{len(entries)} files" if entries else "no file"
            raise Damaged(f"its zip holds {how_many} named {part}-….tar.zst, not one")
        parts[part] = _readable(entries[0])
    return parts


def _is_part(name: str, part: Part) -> bool:
    return name.startswith(f"{part}-") and name.endswith(".tar.zst") and "/" not in name


def _readable(entry: zipfile.ZipInfo) -> zipfile.ZipInfo:
    if entry.flag_bits & 0x1:
        raise Damaged("it is encrypted", entry.filename)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Damaged("it is compressed in an unknown way", entry.filename)
    return entry


def _check_format_version(archive: zipfile.ZipFile) -> None:
    try:
        entry = _readable(archive.getinfo("metadata.json"))
    except KeyError:
        raise Damaged("its zip holds no metadata.json") from None
    if entry.file_size > 1 << 20:
        raise Damaged("it is too large", "metadata.json")
    try:
        version = json.loads(archive.read(entry))["conda_pkg_format_version"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError):
        raise Damaged("it names no conda_pkg_format_version", "metadata.json") from None
    if version != 2:
        raise Damaged(f"its format version is {version!r}, and kaa knows only version 2", "metadata.json")


class ZipEntryStream:
    """The raw bytes of one file of a zip; its checksum is compared when the end is reached."""

    def __init__(self, entry: IO[bytes]) -> None:
        self._entry = entry

    def read(self, size: int = -1) -> bytes:
        with _zip_damage():
            return self._entry.read(size)

    def drain(self) -> None:
        """Read to the end, for the checksum's sake."""
        while self.read(_COMPRESSED_BLOCK):
            pass


@contextlib.contextmanager
def _zip_damage() -> Iterator[None]:
    """What zipfile says of damaged zips, in all its many ways, as Damaged."""
    try:
        yield
    except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, struct.error, OverflowError, zlib.error) as error:
        raise Damaged(f"its zip is damaged ({error})") from error
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise Damaged("its zip is damaged (an offset lies outside of the file)") from error


class Decompressor(Protocol):
    """What `bz2.BZ2Decompressor` and the standard library's `ZstdDecompressor` have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class DecompressedStream:
    """The plain bytes of one or more compressed streams on end, in bounded blocks."""

    def __init__(
        self, stream: Readable, start: Callable[[], Decompressor], failure: type[Exception], name: str
    ) -> None:
        self._stream = stream
        self._start = start
        self._failure = failure
        self._name = name
        self._decompressor = start()

    def read(self, size: int) -> bytes:
        while True:
            block = b""
            if self._decompressor.eof:
                block = self._decompressor.unused_data or self._stream.read(_COMPRESSED_BLOCK)
                # Some tools pad with zero bytes.
                if not block.strip(b"\0"):
                    return b""
                self._decompressor = self._start()
            elif self._decompressor.needs_input:
                block = self._stream.read(_COMPRESSED_BLOCK)
                if not block:
                    raise Damaged(f"its {self._name} data is cut off")
            try:
                plain = self._decompressor.decompress(block, size)
            except (self._failure, ValueError) as error:
                raise Damaged(f"its {self._name} data is damaged ({error})") from error
            if plain:
                return plain


def bzip_stream(stream: Readable) -> Readable:
    """The plain bytes of a bzip2 file, which may consist of several streams."""
    return DecompressedStream(stream, bz2.BZ2Decompressor, OSError, "bzip2")


if sys.version_info >= (3, 14):

    def zstd_stream(stream: Readable) -> Readable:
        """The plain bytes of one or more zstd frames."""
        options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
        return DecompressedStream(stream, lambda: zstd.ZstdDecompressor(options=options), zstd.ZstdError, "zstd")

else:

    class ZstandardStream:
        """The plain bytes of one or more zstd frames, in bounded blocks."""

        def __init__(self, stream: Readable) -> None:
            decompressor = zstandard.ZstdDecompressor(max_window_size=1 << MAX_WINDOW_LOG)
            self._reader = decompressor.stream_reader(
                stream,  # type: ignore[arg-type]
                read_size=_COMPRESSED_BLOCK,
                read_across_frames=True,
                closefd=False,
            )

        def read(self, size: int) -> bytes:
            try:
                return self._reader.read(size)
            except zstandard.ZstdError as error:
                raise Damaged(f"its zstd data is damaged ({error})") from error

    def zstd_stream(stream: Readable) -> Readable:
        """The plain bytes of one or more zstd frames."""
        return ZstandardStream(stream)
