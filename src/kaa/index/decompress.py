"""Documents as they are served (zstd, bzip2, gzip or plain), unpacked into memory; what they are, their bytes say."""

from __future__ import annotations

import bz2
import gzip
import io
import mmap
import sys
import zlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from kaa.models.repodata import Buffer, RepodataInvalid

if sys.version_info >= (3, 14):
    from compression import zstd

    _ZstdError = zstd.ZstdError
else:
    import zstandard

    _ZstdError = zstandard.ZstdError

LARGEST = 4 << 30
"""No document may unpack to more than this."""
LEAST_LIMIT = 256 << 20
LARGEST_RATIO = 60
"""A document may unpack to 256 MiB, or to 60 times its size if that is more; repodata is 5 to 12 times as large."""
MAX_WINDOW_LOG = 28
_BLOCK = 1 << 22
_HUGE = 1 << 23
"""From this size on, memory is asked for in large pages: 250 MB in small ones cost as much as unpacking them."""


class _Stream(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


def read_document(path: Path, source: str, *, largest: int = LARGEST) -> Buffer:
    """The document in the file `path`, unpacked; `source` is its name for messages. Raises RepodataInvalid."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        return _unpack(stream, size, source, min(largest, max(LEAST_LIMIT, LARGEST_RATIO * size)))


def unpack(content: bytes, source: str, *, largest: int) -> Buffer:
    """As `read_document`, for a document in memory."""
    return _unpack(io.BytesIO(content), len(content), source, largest)


def _unpack(stream: io.BytesIO | io.BufferedReader, size: int, source: str, largest: int) -> Buffer:
    head = stream.read(18)
    stream.seek(0)
    try:
        if head.startswith(b"\x28\xb5\x2f\xfd"):
            with _open_zstd(stream) as plain:
                return _read(plain, _zstd_size(head), source, largest)
        if head.startswith(b"BZh"):
            with bz2.open(stream) as plain:
                return _read(plain, None, source, largest)
        if head.startswith(b"\x1f\x8b"):
            with gzip.open(stream) as plain:
                return _read(plain, None, source, largest)
    except (_ZstdError, zlib.error, OSError, EOFError) as error:
        raise RepodataInvalid(source, f"its compression is damaged ({error})") from error
    return _read(stream, size, source, largest)


def _open_zstd(stream: io.BytesIO | io.BufferedReader) -> AbstractContextManager[_Stream]:
    if sys.version_info >= (3, 14):
        options = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}
        return zstd.ZstdFile(stream, options=options)
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << MAX_WINDOW_LOG)
    return decompressor.stream_reader(stream, read_across_frames=True, closefd=False)


def _zstd_size(head: bytes) -> int | None:
    """The unpacked size that the first frame announces."""
    if sys.version_info >= (3, 14):
        return zstd.get_frame_info(head).decompressed_size
    size = zstandard.get_frame_parameters(head).content_size
    return None if size == zstandard.CONTENTSIZE_UNKNOWN else size


def _read(stream: _Stream, expected: int | None, source: str, largest: int) -> Buffer:
    if expected is not None:
        _check_size(expected, source, largest)
        buffer = _allocate(expected)
        received = _fill(stream, buffer, expected)
        if received < expected:
            raise RepodataInvalid(source, f"it is cut off, {received} of {expected} bytes came")
        first = bytearray(1)
        if not stream.readinto(memoryview(first)):
            return buffer
        return _read_rest(stream, bytearray(buffer) + first, source, largest)
    return _read_rest(stream, bytearray(), source, largest)


def _read_rest(stream: _Stream, content: bytearray, source: str, largest: int) -> Buffer:
    """What comes, however much it is, behind what is there."""
    block = memoryview(bytearray(_BLOCK))
    while count := stream.readinto(block):
        content += block[:count]
        _check_size(len(content), source, largest)
    return content


def _allocate(size: int) -> memoryview:
    if size < _HUGE:
        return memoryview(bytearray(size))
    memory = mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)


def _fill(stream: _Stream, buffer: memoryview, size: int) -> int:
    received = 0
    while received < size:
        count = stream.readinto(buffer[received : received + _BLOCK])
        if not count:
            break
        received += count
    return received


def _check_size(size: int, source: str, largest: int) -> None:
    if size > largest:
        raise RepodataInvalid(source, f"it unpacks to more than {largest} bytes")
