"""The shard index of one channel subdir (CEP 16) as a file that is mapped: the sha256 of a name's shard without more.

Layout, written by `kaa.index.shard_writer` in this machine's byte order:

    header   magic, format version, key of the source, number of names, end of the names, checksums of body and header
    body     the checksums of the names, sorted, and whose they are; the shards' sha256, by name; where each name ends;
             the names, sorted, each ending with a line feed; facts as JSON

As with the index of a subdir (`subdir_index`), a file that is not what was asked for is a DamagedIndex.
"""

from __future__ import annotations

import mmap
import struct
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import msgspec

from kaa.index.subdir_index import DamagedIndex
from kaa.models.pattern import Pattern
from kaa.models.repodata import ChannelRelations

MAGIC = b"kaashard"
FORMAT = 1
HEADER = struct.Struct("=8sI32sIQQII")
"""Magic, format, key, number of names, end of the names, end of the file, checksums of body and of header."""
CRC = struct.Struct("=I")
DIGEST = 32
NO_DIGEST = bytes(DIGEST)
"""In place of a sha256: the index lists something else for that name."""
_NAME = Pattern(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]*")


class ShardFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a shard index says beside the shards."""

    base_url: str = ""
    shards_base_url: str = ""
    channel_relations: ChannelRelations | None = None


_facts_decoder = msgspec.json.Decoder(ShardFacts)


class ShardTable:
    """A mapped table; `key` is the one it was written with."""

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self.key = key
        try:
            with path.open("rb") as stream:
                view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise DamagedIndex(f"{path}: {error}") from error
        self.count, names_end = _check(view, path, key)
        checksums = HEADER.size
        digests = checksums + 8 * self.count
        ends = digests + DIGEST * self.count
        names = ends + 4 * self.count
        hashes = view[checksums:digests].cast("I")
        self._hashes, self._hashed = hashes[: self.count], hashes[self.count :]
        self._digests = view[digests:ends]
        self._ends = view[ends:names].cast("I")
        self._names = view[names:names_end]
        try:
            self.facts = _facts_decoder.decode(view[names_end:])
        except msgspec.MsgspecError as error:
            raise DamagedIndex(f"{path}: {error}") from error

    def names(self) -> Sequence[str]:
        """All names, sorted."""
        return str(self._names, "ascii").split("\n")[:-1]

    def __contains__(self, name: str) -> bool:
        return self._find_number(name) is not None

    def find(self, name: str) -> bytes | None:
        """The sha256 of a name's shard: None when there is no such name, empty when what the index lists is none."""
        number = self._find_number(name)
        if number is None:
            return None
        digest = bytes(self._digests[number * DIGEST : (number + 1) * DIGEST])
        return b"" if digest == NO_DIGEST else digest

    def digests(self) -> Iterator[bytes]:
        """The sha256 of every shard."""
        for start in range(0, len(self._digests), DIGEST):
            yield bytes(self._digests[start : start + DIGEST])

    def _find_number(self, name: str) -> int | None:
        wanted = name.encode()
        checksum = crc32(wanted)
        for place in range(bisect_left(self._hashes, checksum), self.count):
            if self._hashes[place] != checksum:
                break
            number = self._hashed[place]
            start = self._ends[number - 1] if number else 0
            if self._names[start : self._ends[number] - 1] == wanted:
                return number
        return None


def _check(view: memoryview, path: Path, key: bytes) -> tuple[int, int]:
    """The number of names, and where the names end."""
    if len(view) < HEADER.size:
        raise DamagedIndex(f"{path}: cut off")
    magic, version, found, count, names_end, size, body_crc, header_crc = HEADER.unpack_from(view)
    if magic != MAGIC or version != FORMAT or found != key:
        raise DamagedIndex(f"{path}: another format or another source")
    if crc32(view[: HEADER.size - CRC.size]) != header_crc:
        raise DamagedIndex(f"{path}: damaged header")
    if size != len(view) or crc32(view[HEADER.size :]) != body_crc:
        raise DamagedIndex(f"{path}: damaged")
    return count, names_end


def table_key(url: str, content: str) -> str:
    """What a table is keyed to, as text: format, byte order, address and content of the shard index."""
    return f"shards {FORMAT}\n{sys.byteorder}\n{url}\n{content}"
