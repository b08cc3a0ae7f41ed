"""The records of one shard on disk, unpacked, so that one record can be read without decoding any other.

A shard never changes: it is called by the sha256 of what the server sent. Layout (little-endian), written by
`write_shard_file`:

    header      magic, format version, sha256 of the shard, length and checksum of the directory, checksum of the header
    directory   file names, and length and checksum of each record, as msgpack; the preferred archive format first
    records     their msgpack, one after the other

What does not hold together is a DamagedIndex; its owner fetches the shard again.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from zlib import crc32

import msgspec

from kaa.host.files import write_atomic
from kaa.index.index_writer import is_unsafe
from kaa.index.subdir_index import DamagedIndex
from kaa.models.repodata import Buffer, Shard

MAGIC = b"kaarecs\n"
FORMAT = 1
HEADER = struct.Struct("<8sI32sIII")
_CRC = struct.Struct("<I")


class ShardDirectory(msgspec.Struct, frozen=True, array_like=True):
    """Which records a shard holds."""

    file_names: list[str]
    lengths: list[int]
    checksums: list[int]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ShardDirectory)


def write_shard_file(path: Path, digest: bytes, shard: Shard) -> list[str]:
    """Write the records of a shard, without those that it lists as removed, under a temporary name first.

    Returns the file names that cannot be used; their records are left out.
    """
    removed = frozenset(shard.removed)
    records: dict[str, msgspec.Raw] = {}
    misnamed: list[str] = []
    for section in shard.sections():
        for key, packed in section.records.items():
            file_name = key if section.has_extension else f"{key}.{section.extension}"
            if is_unsafe(file_name):
                misnamed.append(file_name)
            elif file_name not in removed:
                records.setdefault(file_name, packed)
    directory = _encoder.encode(
        ShardDirectory(list(records), list(map(len, records.values())), list(map(crc32, records.values())))
    )
    header = HEADER.pack(MAGIC, FORMAT, digest, len(directory), crc32(directory), 0)[: -_CRC.size]
    write_atomic(path, b"".join([header, _CRC.pack(crc32(header)), directory, *records.values()]))
    return misnamed


class ShardFile:
    """An open shard; `digest` is its sha256. Use it with `with`."""

    def __init__(self, path: Path, digest: bytes) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise DamagedIndex(f"{path}: {error}") from error
        try:
            self._directory, self._start = self._read_directory(digest)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ShardFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    @property
    def file_names(self) -> list[str]:
        """The file names of all records."""
        return self._directory.file_names

    def records(self) -> Iterator[Buffer]:
        """The records, in the order of their file names."""
        directory = self._directory
        block = memoryview(self._read(self._start, sum(directory.lengths)))
        for end, length, checksum in zip(
            accumulate(directory.lengths), directory.lengths, directory.checksums, strict=True
        ):
            yield self._checked(block[end - length : end], checksum)

    def record(self, place: int) -> Buffer:
        """One record."""
        directory = self._directory
        start = self._start + sum(directory.lengths[:place])
        return self._checked(self._read(start, directory.lengths[place]), directory.checksums[place])

    def _read_directory(self, digest: bytes) -> tuple[ShardDirectory, int]:
        head = self._read(0, HEADER.size)
        magic, version, found, length, directory_crc, header_crc = HEADER.unpack(head)
        if magic != MAGIC or version != FORMAT or found != digest:
            raise DamagedIndex(f"{self.path}: another format or another shard")
        if crc32(head[: -_CRC.size]) != header_crc:
            raise DamagedIndex(f"{self.path}: damaged header")
        packed = self._read(HEADER.size, length)
        if crc32(packed) != directory_crc:
            raise DamagedIndex(f"{self.path}: damaged directory")
        return _decoder.decode(packed), HEADER.size + length

    def _read(self, start: int, length: int) -> bytes:
        os.lseek(self._descriptor, start, os.SEEK_SET)
        content = os.read(self._descriptor, length)
        if len(content) != length:
            raise DamagedIndex(f"{self.path}: cut off")
        return content

    def _checked(self, content: Buffer, checksum: int) -> Buffer:
        if crc32(content) != checksum:
            raise DamagedIndex(f"{self.path}: damaged record")
        return content
