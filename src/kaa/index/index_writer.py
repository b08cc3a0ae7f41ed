"""Turns one document into the index file of its subdir, without decoding the records (see `subdir_index`).

Records are filed by the name in their *file* name, split from the right; that it is the record's own name, too, is
checked when the record is decoded.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Mapping, Sequence
from itertools import chain, groupby
from operator import itemgetter, methodcaller
from pathlib import Path
from typing import BinaryIO, TypeAlias
from zlib import crc32

import msgspec

from kaa.host.files import create_temporary, current_umask
from kaa.index.subdir_index import CRC, FORMAT, HEADER, MAGIC, PAGE, PLACE, Directory, IndexFacts
from kaa.models.repodata import Buffer, RepoData, RepoDataInfo, Section

BATCH = 1 << 20
_SAFE = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._+!"
"""What a file name may consist of (CEP 26); anything else never becomes a path or a URL."""
_SHOWN = 5

Run: TypeAlias = tuple[Sequence[str], Sequence[msgspec.Raw]]
"""File names and texts of records that follow each other in a document and share their name."""

_encoder = msgspec.msgpack.Encoder()
_split_from_the_right = methodcaller("rsplit", "-", 2)


def write_index(path: Path, key: bytes, repodata: RepoData) -> list[str]:
    """Write the index of a document, under a temporary name first; returns what it leaves out, in words."""
    runs, misnamed = _runs_by_name(repodata)
    descriptor, temporary = create_temporary(path.parent, f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as stream:
            _write(stream, key, runs, repodata.info or RepoDataInfo())
        Path(temporary).chmod(0o666 & ~current_umask())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    return [*remarks_on(misnamed), *_remarks_on_unusable(repodata)]


def _runs_by_name(repodata: RepoData) -> tuple[dict[str, list[Run]], list[str]]:
    """The records of every name, the preferred section first; and the file names that cannot be used."""
    removed = frozenset(repodata.removed or ())
    by_name: dict[str, list[Run]] = {}
    misnamed: list[str] = []
    for section in repodata.sections():
        records = _safe_records(section, removed, misnamed)
        file_names = list(records)
        texts = list(records.values())
        start = 0
        for name, run in groupby(map(itemgetter(0), map(_split_from_the_right, file_names))):
            end = start + len(list(run))
            if name[:1].isalnum() or name[:1] == "_":
                by_name.setdefault(name, []).append((file_names[start:end], texts[start:end]))
            else:
                misnamed.extend(file_names[start:end])
            start = end
    return by_name, misnamed


def _safe_records(section: Section, removed: frozenset[str], misnamed: list[str]) -> Mapping[str, msgspec.Raw]:
    """The records of a section by file name, without the removed ones and those whose name cannot be a file's."""
    records = section.records
    if not section.has_extension:
        records = {f"{stem}.{section.extension}": text for stem, text in records.items()}
    withdrawn = removed.intersection(records)
    unsafe = set()
    if is_unsafe("".join(records)):
        unsafe = {file_name for file_name in records if is_unsafe(file_name)}
        misnamed.extend(sorted(unsafe))
    if not withdrawn and not unsafe:
        return records
    return {name: text for name, text in records.items() if name not in withdrawn and name not in unsafe}


def is_unsafe(text: str) -> bool:
    """Whether a file name, or several in one text, has something in it that no file name of a package may have."""
    return bool(text.encode().translate(None, _SAFE))


def remarks_on(misnamed: Sequence[str]) -> list[str]:
    """What to say of file names that cannot be used."""
    if not misnamed:
        return []
    shown = ", ".join(ascii(file_name) for file_name in misnamed[:_SHOWN])
    more = f" and {len(misnamed) - _SHOWN} more" if len(misnamed) > _SHOWN else ""
    return [f"left out, because they cannot be file names of packages: {shown}{more}"]


def _remarks_on_unusable(repodata: RepoData) -> list[str]:
    return [
        f"left out: {f'{count} packages' if count else 'packages'} in {what}, which this kaa cannot use"
        for what, count in sorted(repodata.unusable().items())
    ]


def _write(stream: BinaryIO, key: bytes, by_name: Mapping[str, list[Run]], info: RepoDataInfo) -> None:
    stream.write(bytes(HEADER.size))
    body = _Body(stream)
    names = sorted(by_name)
    directories = []
    for name in names:
        start = body.size
        lengths: list[int] = []
        for _, texts in by_name[name]:
            run_lengths = list(map(len, texts))
            body.write(texts, sum(run_lengths))
            lengths += run_lengths
        file_names = list(chain.from_iterable(run_names for run_names, _ in by_name[name]))
        directories.append(Directory(HEADER.size + start, file_names, lengths))
    places = bytearray()
    name_end = 0
    for name, directory in zip(names, directories, strict=True):
        packed = _encoder.encode(directory)
        name_end += len(name) + 1
        places += PLACE.pack(HEADER.size + body.size, len(packed), name_end)
        body.write([packed], len(packed))
    body.flush()
    facts = IndexFacts(
        base_url=info.base_url,
        channel_relations=info.channel_relations,
        record_count=sum(len(directory.lengths) for directory in directories),
    )
    names_text = "".join(f"{name}\n" for name in names).encode("ascii")
    hashed = sorted((crc32(name.encode()), number) for number, name in enumerate(names))
    hashes = array("I", [pair[0] for pair in hashed] + [pair[1] for pair in hashed]).tobytes()
    parts = [bytes(body.checksums), bytes(places), names_text, hashes, msgspec.json.encode(facts)]
    _write_ends(stream, key, body, parts)


def _write_ends(stream: BinaryIO, key: bytes, body: _Body, parts: Sequence[bytes]) -> None:
    """The tail, and then the header, which makes the file valid."""
    ends = [HEADER.size + body.size]
    for part in parts:
        ends.append(ends[-1] + len(part))
    tail = b"".join(parts)
    write_all(stream, tail)
    header = HEADER.pack(MAGIC, FORMAT, key, *ends, crc32(tail), 0)[: -CRC.size]
    stream.seek(0)
    write_all(stream, header + CRC.pack(crc32(header)))


class _Body:
    """Writes in large blocks, and keeps the checksum of every page."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._parts: list[Buffer | msgspec.Raw] = []
        self._pending = 0
        self.size = 0
        self.checksums = bytearray()

    def write(self, parts: Sequence[Buffer | msgspec.Raw], size: int) -> None:
        self._parts.extend(parts)
        self._pending += size
        self.size += size
        if self._pending >= BATCH:
            self._write_pages(whole=True)

    def flush(self) -> None:
        """Write what is left, with a last page that may be short."""
        self._write_pages(whole=False)

    def _write_pages(self, *, whole: bool) -> None:
        block = memoryview(b"".join(self._parts))
        end = len(block) // PAGE * PAGE if whole else len(block)
        write_all(self._stream, block[:end])
        for start in range(0, end, PAGE):
            self.checksums += CRC.pack(crc32(block[start : min(start + PAGE, end)]))
        self._parts = [block[end:]]
        self._pending = len(block) - end


def write_all(stream: BinaryIO, data: Buffer) -> None:
    """Write all of `data` to an unbuffered stream."""
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]
