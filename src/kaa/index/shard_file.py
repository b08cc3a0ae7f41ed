"""The records of one shard on disk, unpacked, so that one record can be read without decoding any other.

A shard never changes: it is called by the sha256 of what the server sent. Layout (little-endian), written by
`kaa.index.shard_writer`:

    header      magic, format version, sha256 of the shard, number of records, length of the directory, checksum of the
                directory, checksum of the header
    directory   for each record where it begins, its length and checksum, and where its file name ends; the file names
    records     their msgpack, one after the other; those of the preferred archive format first

What does not hold together is a DamagedIndex; its owner fetches the shard again.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from zlib import crc32

from kaa.index.subdir_index import DamagedIndex
from kaa.models.repodata import Buffer

MAGIC = b"kaarecs\n"
FORMAT = 1
HEADER = struct.Struct("<8sI32sIIII")
PLACE = struct.Struct("<IIII")
"""Of a record: its offset behind the directory, its length and checksum, and where its name ends among the names."""
CRC = struct.Struct("<I")
_FIRST_READ = 1 << 14
"""Enough for the directories of nearly all shards."""


class ShardFile:
    """An open shard; `digest` is its sha256. Use it with `with`."""

    def __init__(self, path: str, digest: bytes) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise DamagedIndex(f"{path}: {error}") from error
        try:
            self._read_directory(digest)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ShardFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def file_name(self, place: int) -> str:
        """The file name of one record."""
        start = PLACE.unpack_from(self._directory, (place - 1) * PLACE.size)[3] if place else 0
        end = PLACE.unpack_from(self._directory, place * PLACE.size)[3]
        names = self.count * PLACE.size
        return str(self._directory[names + start : names + end], "ascii")

    def records(self) -> Iterator[tuple[str, Buffer]]:
        """All records with their file names."""
        places = list(PLACE.iter_unpack(self._directory[: self.count * PLACE.size]))
        names = str(self._directory[self.count * PLACE.size :], "ascii")
        block = memoryview(self._read(self._start, sum(place[1] for place in places)))
        name_start = 0
        for offset, length, checksum, name_end in places:
            yield names[name_start:name_end], self._checked(block[offset : offset + length], checksum)
            name_start = name_end

    def record(self, place: int) -> tuple[str, Buffer]:
        """One record with its file name."""
        if place >= self.count:
            raise DamagedIndex(f"{self.path}: no record {place}")
        offset, length, checksum, _ = PLACE.unpack_from(self._directory, place * PLACE.size)
        return self.file_name(place), self._checked(self._read(self._start + offset, length), checksum)

    def _read_directory(self, digest: bytes) -> None:
        self._start = 0
        self._begin = b""
        self._begin = self._read_some(0, _FIRST_READ)
        if len(self._begin) < HEADER.size:
            raise DamagedIndex(f"{self.path}: cut off")
        magic, version, found, self.count, length, directory_crc, header_crc = HEADER.unpack_from(self._begin)
        if magic != MAGIC or version != FORMAT or found != digest:
            raise DamagedIndex(f"{self.path}: another format or another shard")
        if crc32(self._begin[: HEADER.size - CRC.size]) != header_crc:
            raise DamagedIndex(f"{self.path}: damaged header")
        self._directory = self._read(HEADER.size, length)
        if crc32(self._directory) != directory_crc:
            raise DamagedIndex(f"{self.path}: damaged directory")
        self._start = HEADER.size + length

    def _read(self, start: int, length: int) -> bytes:
        end = start + length
        content = self._begin[start:end] if end <= len(self._begin) else self._read_some(start, length)
        if len(content) != length:
            raise DamagedIndex(f"{self.path}: cut off")
        return content

    def _read_some(self, start: int, length: int) -> bytes:
        os.lseek(self._descriptor, start, os.SEEK_SET)
        return os.read(self._descriptor, length)

    def _checked(self, content: Buffer, checksum: int) -> Buffer:
        if crc32(content) != checksum:
            raise DamagedIndex(f"{self.path}: damaged record")
        return content
