"""The shard index of one channel subdir (CEP 16) as a file that is mapped: the sha256 of a name's shard without more.

Layout, written by `write_shard_table` in this machine's byte order:

    header   magic, format version, key of the source, number of names, end of the names, checksums of body and header
    body     the checksums of the names, sorted, and whose they are; the shards' sha256, by name; where each name ends;
             the names, sorted, each ending with a line feed; facts as JSON

As with the index of a subdir (`subdir_index`), a file that is not what was asked for is a DamagedIndex.
"""

from __future__ import annotations

import mmap
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import msgspec

from kaa.host.files import write_atomic
from kaa.index.index_writer import is_unsafe
from kaa.index.subdir_index import DamagedIndex
from kaa.models.pattern import Pattern
from kaa.models.repodata import ChannelRelations, RepoData, RepoDataInfo, ShardIndex

MAGIC = b"kaashard"
FORMAT = 1
HEADER = struct.Struct("=8sI32sIQQII")
"""Magic, format, key, number of names, end of the names, end of the file, checksums of body and of header."""
_CRC = struct.Struct("=I")
_DIGEST = 32
_NONE = bytes(_DIGEST)
"""In place of a sha256: the index lists something else for that name."""
_NAME = Pattern(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]*")
_SHOWN = 5


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
        ends = digests + _DIGEST * self.count
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
        digest = bytes(self._digests[number * _DIGEST : (number + 1) * _DIGEST])
        return b"" if digest == _NONE else digest

    def digests(self) -> Iterator[bytes]:
        """The sha256 of every shard."""
        for start in range(0, len(self._digests), _DIGEST):
            yield bytes(self._digests[start : start + _DIGEST])

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
    if crc32(view[: HEADER.size - _CRC.size]) != header_crc:
        raise DamagedIndex(f"{path}: damaged header")
    if size != len(view) or crc32(view[HEADER.size :]) != body_crc:
        raise DamagedIndex(f"{path}: damaged")
    return count, names_end


def write_shard_table(path: Path, key: bytes, index: ShardIndex) -> list[str]:
    """Write the table of a shard index; returns what there is to say of it, in words."""
    digests = {}
    unusable = []
    wrong = []
    for name, digest in index.digests():
        if not (name[:1].isalnum() or name[:1] == "_") or is_unsafe(name):
            unusable.append(name)
            continue
        if digest is None:
            wrong.append(name)
        digests[name] = digest or _NONE
    names = sorted(digests)
    hashed = sorted((crc32(name.encode()), number) for number, name in enumerate(names))
    hashes = array("I", [pair[0] for pair in hashed] + [pair[1] for pair in hashed])
    ends = array("I")
    end = 0
    for name in names:
        end += len(name) + 1
        ends.append(end)
    info = index.info
    facts = ShardFacts(
        base_url=info.base_url, shards_base_url=info.shards_base_url, channel_relations=info.channel_relations
    )
    listed = b"".join(
        [
            hashes.tobytes(),
            b"".join(map(digests.__getitem__, names)),
            ends.tobytes(),
            "".join(f"{name}\n" for name in names).encode("ascii"),
        ]
    )
    body = listed + msgspec.json.encode(facts)
    size = HEADER.size + len(body)
    header = HEADER.pack(MAGIC, FORMAT, key, len(names), HEADER.size + len(listed), size, crc32(body), 0)
    header = header[: -_CRC.size]
    write_atomic(path, header + _CRC.pack(crc32(header)) + body)
    return [*_remarks("these cannot be names of packages", unusable), *_remarks("no sha256 is listed for", wrong)] + [
        f"left out: {f'{count} packages' if count else 'packages'} in {what}, which this kaa cannot use"
        for what, count in sorted(
            RepoData(info=RepoDataInfo(repodata_revisions=info.repodata_revisions)).unusable().items()
        )
    ]


def _remarks(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [f"{what}: {', '.join(map(ascii, names[:_SHOWN]))}{more}"]


def table_key(url: str, content: str) -> str:
    """What a table is keyed to, as text: format, byte order, address and content of the shard index."""
    return f"shards {FORMAT}\n{sys.byteorder}\n{url}\n{content}"
