"""The index of one channel subdir: one file, from which single records are read without decoding any other.

Layout (little-endian), written by `kaa.index.index_writer`:

    header   magic, format version, key of the source, places of the parts, checksums of header and tail
    body     the records' JSON, grouped by name; then per name a directory of its file names and record lengths
    tail     a checksum for every page of the body; the places of the directories; the names, sorted; the checksums
             of the names, sorted, and whose they are; facts as JSON

A reader maps the file. Opening it checks header and tail (a few hundred kilobytes); the pages of the body are checked
when they are first read. Nothing here is trusted: a file of another format version, for another state of its source,
cut off or altered is a DamagedIndex, and its owner builds it anew.
"""

from __future__ import annotations

import mmap
import struct
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import msgspec

from kaa.models.repodata import ChannelRelations

MAGIC = b"kaaindex"
FORMAT = 2
"""Raised with every change of the layout, or of what is filed where."""
PAGE = 1 << 14
HEADER = struct.Struct("<8sI32sQQQQQQII")
"""Magic, format and key; ends of body, page checksums, places, names, name checksums, facts; crc of tail, of header."""
PLACE = struct.Struct("<QII")
"""Of a directory: its offset and length, and where its name ends among the names."""
CRC = struct.Struct("<I")


class DamagedIndex(Exception):
    """This file is not the index that was asked for; never leaves this room."""


class IndexFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an index knows of its document beside the records."""

    base_url: str | None = None
    channel_relations: ChannelRelations | None = None
    record_count: int = 0


class Directory(msgspec.Struct, frozen=True, array_like=True):
    """The records of one name, the preferred archive format first: file names, and where each record's text ends."""

    start: int
    file_names: list[str]
    lengths: list[int]


class Layout(msgspec.Struct, frozen=True):
    """Where the parts of an index file end."""

    body: int
    pages: int
    places: int
    names: int
    hashes: int
    facts: int


_directory_decoder = msgspec.msgpack.Decoder(Directory)
_facts_decoder = msgspec.json.Decoder(IndexFacts)


class SubdirIndex:
    """A mapped index file. All methods may raise DamagedIndex."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self.key = key
        try:
            with path.open("rb") as stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise DamagedIndex(f"{path}: {error}") from error
        self._view = memoryview(self._map)
        self._layout = self._check_header()
        layout = self._layout
        self._verified = bytearray((layout.pages - layout.body) // CRC.size)
        self._places = self._view[layout.pages : layout.places]
        self._names = self._view[layout.places : layout.names]
        # In this machine's byte order, which is part of the key.
        hashes = self._view[layout.names : layout.hashes].cast("I")
        self._hashes, self._hashed = hashes[: len(hashes) // 2], hashes[len(hashes) // 2 :]
        try:
            self.facts = _facts_decoder.decode(self._view[layout.hashes : layout.facts])
        except msgspec.MsgspecError as error:
            raise DamagedIndex(f"{path}: {error}") from error

    def _check_header(self) -> Layout:
        view = self._view
        if len(view) < HEADER.size:
            raise DamagedIndex(f"{self.path}: cut off")
        magic, version, key, *ends, tail_crc, header_crc = HEADER.unpack_from(view)
        if magic != MAGIC or version != FORMAT or key != self.key:
            raise DamagedIndex(f"{self.path}: another format or another source")
        if crc32(view[: HEADER.size - CRC.size]) != header_crc:
            raise DamagedIndex(f"{self.path}: damaged header")
        layout = Layout(*ends)
        if layout.facts != len(view) or crc32(view[layout.body :]) != tail_crc:
            raise DamagedIndex(f"{self.path}: damaged tail")
        return layout

    def names(self) -> Sequence[str]:
        """All names, sorted."""
        return str(self._names, "ascii").split("\n")[:-1]

    def __contains__(self, name: str) -> bool:
        return self._find_place(name) is not None

    def find(self, name: str) -> Directory | None:
        """The directory of a name, or None when the subdir has no such package."""
        place = self._find_place(name)
        if place is None:
            return None
        offset, length = place
        try:
            return _directory_decoder.decode(self._read(offset, length))
        except msgspec.MsgspecError as error:
            raise DamagedIndex(f"{self.path}: {error}") from error

    def records(self, directory: Directory) -> list[memoryview]:
        """The texts of all records of a directory."""
        start = directory.start
        block = self._read(start, sum(directory.lengths))
        texts, end = [], 0
        for length in directory.lengths:
            texts.append(block[end : end + length])
            end += length
        return texts

    def record(self, directory: Directory, place: int) -> memoryview:
        """The text of one record of a directory."""
        return self._read(directory.start + sum(directory.lengths[:place]), directory.lengths[place])

    def _find_place(self, name: str) -> tuple[int, int] | None:
        wanted = name.encode()
        checksum = crc32(wanted)
        for number in range(bisect_left(self._hashes, checksum), len(self._hashes)):
            if self._hashes[number] != checksum:
                break
            if self._name(self._hashed[number]) == wanted:
                offset, length, _ = PLACE.unpack_from(self._places, self._hashed[number] * PLACE.size)
                return offset, length
        return None

    def _name(self, number: int) -> bytes:
        """The name at a place; each name ends with a line feed."""
        start = PLACE.unpack_from(self._places, (number - 1) * PLACE.size)[2] if number else 0
        return bytes(self._names[start : PLACE.unpack_from(self._places, number * PLACE.size)[2] - 1])

    def _read(self, offset: int, length: int) -> memoryview:
        """Bytes of the body, with every page that they lie on checked once."""
        end = offset + length
        if not HEADER.size <= offset <= end <= self._layout.body:
            raise DamagedIndex(f"{self.path}: a place outside the body")
        for page in range((offset - HEADER.size) // PAGE, (end - HEADER.size + PAGE - 1) // PAGE):
            if not self._verified[page]:
                self._check_page(page)
        return self._view[offset:end]

    def _check_page(self, page: int) -> None:
        start = HEADER.size + page * PAGE
        found = crc32(self._view[start : min(start + PAGE, self._layout.body)])
        (expected,) = CRC.unpack_from(self._view, self._layout.body + page * CRC.size)
        if found != expected:
            raise DamagedIndex(f"{self.path}: damaged at byte {start}")
        self._verified[page] = 1
