"""From what a server sent of shards to what is kept of it: the table of a shard index, and the records of a shard.

Only runs that fetch something load this module, and the compression libraries with it.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import msgspec

from kaa.host.files import write_atomic
from kaa.index.decompress import read_document, unpack
from kaa.index.fetch import LARGEST_SHARD_INDEX
from kaa.index.index_writer import is_unsafe, remarks_on
from kaa.index.shard_file import CRC, PLACE
from kaa.index.shard_file import FORMAT as RECORDS_FORMAT
from kaa.index.shard_file import HEADER as RECORDS_HEADER
from kaa.index.shard_file import MAGIC as RECORDS_MAGIC
from kaa.index.shard_table import CRC as TABLE_CRC
from kaa.index.shard_table import FORMAT as TABLE_FORMAT
from kaa.index.shard_table import HEADER as TABLE_HEADER
from kaa.index.shard_table import MAGIC as TABLE_MAGIC
from kaa.index.shard_table import NO_DIGEST, ShardFacts
from kaa.models.repodata import (
    RepoData,
    RepoDataInfo,
    RepodataInvalid,
    Shard,
    ShardIndex,
    packages_url,
    parse_shard,
    parse_shard_index,
    shards_url,
)

LARGEST_SHARD = 64 << 20
"""No shard may unpack to more than this; the largest of conda-forge has 3 MB."""
_SHOWN = 5


def read_shard_index(document: Path, source: str, url: str, subdir: str) -> ShardIndex:
    """Read and check the shard index of the subdir at `url`. Raises RepodataInvalid."""
    index = parse_shard_index(read_document(document, source, largest=LARGEST_SHARD_INDEX), source)
    if index.info.subdir and index.info.subdir != subdir:
        raise RepodataInvalid(source, f"it is for the subdir {index.info.subdir!a}, not for {subdir}")
    packages_url(url, index.info.base_url)
    shards_url(url, index.info.shards_base_url)
    return index


def unpack_shard(content: bytes, source: str) -> Shard:
    """Split a shard as it was served. Raises RepodataInvalid."""
    return parse_shard(unpack(content, source, largest=LARGEST_SHARD), source)


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
        digests[name] = digest or NO_DIGEST
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
    size = TABLE_HEADER.size + len(body)
    header = TABLE_HEADER.pack(
        TABLE_MAGIC, TABLE_FORMAT, key, len(names), TABLE_HEADER.size + len(listed), size, crc32(body), 0
    )
    header = header[: -TABLE_CRC.size]
    write_atomic(path, header + TABLE_CRC.pack(crc32(header)) + body)
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


def write_shard_file(path: Path, digest: bytes, shard: Shard) -> list[str]:
    """Write the records of a shard, without those that it lists as removed, under a temporary name first.

    Returns what there is to say of those that cannot be used, in words.
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
    places = []
    offset = name_end = 0
    for file_name, packed in records.items():
        name_end += len(file_name)
        places.append(PLACE.pack(offset, len(packed), crc32(packed), name_end))
        offset += len(packed)
    directory = b"".join([*places, "".join(records).encode("ascii")])
    header = RECORDS_HEADER.pack(
        RECORDS_MAGIC, RECORDS_FORMAT, digest, len(records), len(directory), crc32(directory), 0
    )[: -CRC.size]
    _write(path, b"".join([header, CRC.pack(crc32(header)), directory, *records.values()]))
    return remarks_on(misnamed)


def _write(path: Path, content: bytes) -> None:
    """As `kaa.host.files.write_atomic`, with half of its system calls: a first solve writes hundreds of these."""
    temporary = f"{path.parent}{os.sep}.{path.name[:16]}.{os.urandom(6).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o664)
    try:
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # noqa: PTH105 - a Path costs as much again
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
