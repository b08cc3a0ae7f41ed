"""Write sharded repodata for a subdir: a file for each package name, and an index that names them (CEP 16, 21, 42).

write_shards(Path("my-channel/linux-64"), parse_repodata(Path("my-channel/linux-64/repodata.json").read_bytes()))

A shard is called by the hash of its bytes, so it is written once and never changed. The index comes last, when all that
it names is there; a shard that it names no longer stays for a week, for those who have read the index before. What a
shard was made from is remembered beside the index: a name whose records are the same is not even decoded again.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b, sha256
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from kaa.channels.compression import Compressor
from kaa.host.files import current_umask, write_atomic
from kaa.index.decompress import read_document
from kaa.models.repodata import RepoData, RepodataInvalid, ShardIndex, parse_shard_index

Json: TypeAlias = dict[str, Any]

SHARD_INDEX = "repodata_shards.msgpack.zst"
SHARDS_FOLDER = "shards"
SHARD_EXTENSION = ".msgpack.zst"
CACHE_NAME = ".kaa-shards-cache.msgpack"
CACHE_VERSION = 1
"""To be raised with every change of what a shard looks like: it makes all of them anew."""
ZSTD_LEVEL = 9
KEPT_SECONDS = 7 * 24 * 3600.0
"""How long a shard stays that the index names no longer (CEP 16)."""
HASHES = ("md5", "sha256", "legacy_bz2_md5")
"""The fields of a record that are raw bytes in a shard."""

_BATCH = 64
_SHARD_FILE = re.compile(r"[0-9a-f]{64}\.msgpack\.zst")
_FILE_NAME = re.compile(r"[A-Za-z0-9_.+!-]+")


class WrittenShards(msgspec.Struct, frozen=True, kw_only=True):
    """What writing the shards of a subdir came to."""

    subdir: str
    shards: int
    """How many the index names."""
    written: int
    """How many of them are new."""
    pruned: int
    """How many that were named a week ago, or earlier, are gone now."""
    left_out: tuple[str, ...] = ()
    """File names that are none of packages."""


class Group(msgspec.Struct):
    """Everything that a document says of one package name."""

    classic: dict[str, dict[str, msgspec.Raw]]
    """`packages` and `packages.conda`, by file name."""
    v3: dict[str, dict[str, msgspec.Raw]]
    """By extension, and by file name without it."""
    removed: list[str]


class KeptShard(msgspec.Struct, frozen=True, array_like=True):
    """A shard that was made: from what, and how it came out."""

    source: bytes
    digest: bytes
    size: int


class Cache(msgspec.Struct, frozen=True, array_like=True):
    """The file in which the shards of a subdir are remembered, by package name."""

    version: int
    shards: dict[str, KeptShard]


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_record_decoder = msgspec.json.Decoder(dict[str, Any])


def write_shards(
    folder: Path,
    repodata: RepoData,
    *,
    run_exports: Mapping[str, Json] | None = None,
    clock: Callable[[], float] = time.time,
    workers: int | None = None,
) -> WrittenShards:
    """Write shards and shard index for the document of the subdir `folder`.

    `run_exports` are those of packages, by file name (CEP 21); a package that is not among them has none that are
    known, and the ones in its record stay. When nothing has changed no file changes either. Nothing but the temporary
    names is removed when this is interrupted; one process at a time may write to a folder.
    """
    groups, left_out = group_by_name(repodata)
    subdir = (repodata.info.subdir if repodata.info else None) or folder.name
    shards_folder = folder / SHARDS_FOLDER
    shards_folder.mkdir(exist_ok=True)
    remembered = _read_cache(folder / CACHE_NAME)
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        writer = _ShardWriter(shards_folder, remembered, run_exports or {})
        made = dict(_chained(pool.map(writer.write, _batches(groups))))
    digests = {name: kept.digest for name, kept in made.items()}
    previous = _read_index(folder / SHARD_INDEX)
    now = clock()
    _touch_leaving(shards_folder, digests, previous, now)
    _write_index(folder / SHARD_INDEX, subdir, repodata, digests, previous, now)
    if made != remembered:
        write_atomic(folder / CACHE_NAME, _encoder.encode(Cache(CACHE_VERSION, made)))
    pruned = _prune(shards_folder, digests, now)
    return WrittenShards(
        subdir=subdir, shards=len(made), written=writer.written, pruned=pruned, left_out=tuple(sorted(left_out))
    )


# -- what a shard holds -----------------------------------------------------------------------------------------------


def group_by_name(repodata: RepoData) -> tuple[dict[str, Group], list[str]]:
    """The records of a document by package name, names in order; and the file names that are none of packages."""
    groups: dict[str, Group] = {}
    left_out: list[str] = []

    def group_of(file_name: str) -> Group | None:
        parts = file_name.rsplit("-", 2)
        if (
            len(parts) != 3
            or not _FILE_NAME.fullmatch(file_name)
            or not (parts[0][:1].isalnum() or parts[0][:1] == "_")
        ):
            left_out.append(file_name)
            return None
        return groups.setdefault(parts[0], Group({}, {}, []))

    for key, records in (("packages", repodata.packages), ("packages.conda", repodata.conda_packages)):
        for file_name, text in (records or {}).items():
            if (group := group_of(file_name)) is not None:
                group.classic.setdefault(key, {})[file_name] = text
    for extension, records in (repodata.v3 or {}).items():
        for stem, text in records.items():
            if (group := group_of(stem)) is not None:
                group.v3.setdefault(extension, {})[stem] = text
    for file_name in repodata.removed or ():
        if (group := group_of(file_name)) is not None:
            group.removed.append(file_name)
    return dict(sorted(groups.items())), left_out


def encode_shard(group: Group, run_exports: Mapping[str, Json]) -> bytes:
    """The msgpack of a shard. Raises RepodataInvalid for a record that is no JSON object."""
    shard: Json = {"packages": {}, "packages.conda": {}, "removed": sorted(set(group.removed))}
    for key, records in group.classic.items():
        shard[key] = {name: _shard_record(name, text, run_exports.get(name)) for name, text in records.items()}
    if group.v3:
        shard["v3"] = {
            extension: {
                stem: _shard_record(stem, text, run_exports.get(f"{stem}.{extension}"))
                for stem, text in records.items()
            }
            for extension, records in group.v3.items()
        }
    return _encoder.encode(shard)


def _shard_record(file_name: str, text: msgspec.Raw, run_exports: Json | None) -> Json:
    try:
        record: Json = _record_decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RepodataInvalid("repodata.json", f"the record of {file_name} cannot be read ({error})") from error
    for key in HASHES:
        value = record.get(key)
        if isinstance(value, str):
            # A hash that is none stays the text that it was.
            with contextlib.suppress(ValueError):
                record[key] = bytes.fromhex(value)
    if run_exports is not None:
        record["run_exports"] = run_exports
    return record


def _source_of(group: Group, run_exports: Mapping[str, Json]) -> bytes:
    """What stands for everything that a shard is made from."""
    hasher = blake2b(digest_size=16)
    for key, section in (*sorted(group.classic.items()), *sorted(group.v3.items())):
        extension = f".{key}" if key in group.v3 else ""
        for file_name, text in sorted(section.items()):
            exports = run_exports.get(file_name + extension)
            told = b"" if exports is None else msgspec.json.encode(exports, order="deterministic")
            hasher.update(f"{key}\0{file_name}\0{len(text)}\0{len(told)}\0".encode())
            hasher.update(text)
            hasher.update(told)
    hasher.update("\0".join(sorted(set(group.removed))).encode())
    return hasher.digest()


class _ShardWriter:
    """Writes the shards of some names; several threads use it, each for names of its own."""

    def __init__(self, folder: Path, remembered: Mapping[str, KeptShard], run_exports: Mapping[str, Json]) -> None:
        self._folder = folder
        self._remembered = remembered
        self._run_exports = run_exports
        self._mode = 0o666 & ~current_umask()
        self.new: set[bytes] = set()

    @property
    def written(self) -> int:
        """How many files were written."""
        return len(self.new)

    def write(self, batch: Sequence[tuple[str, Group]]) -> list[tuple[str, KeptShard]]:
        """Write what is not there yet; says what there is now for each name."""
        compressor = Compressor(ZSTD_LEVEL)
        return [(name, self._write(name, group, compressor)) for name, group in batch]

    def _write(self, name: str, group: Group, compressor: Compressor) -> KeptShard:
        source = _source_of(group, self._run_exports)
        kept = self._remembered.get(name)
        if kept is not None and kept.source == source and _size_of(self._path(kept.digest)) == kept.size:
            return kept
        packed = compressor.compress(encode_shard(group, self._run_exports))
        digest = sha256(packed).digest()
        path = self._path(digest)
        if _size_of(path) != len(packed) or path.read_bytes() != packed:
            write_atomic(path, packed, mode=self._mode)
            self.new.add(digest)
        return KeptShard(source, digest, len(packed))

    def _path(self, digest: bytes) -> Path:
        return self._folder / shard_file_name(digest)


def shard_file_name(digest: bytes) -> str:
    """The name of the file with the shard whose sha256 is `digest`."""
    return digest.hex() + SHARD_EXTENSION


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _batches(groups: Mapping[str, Group]) -> Iterator[list[tuple[str, Group]]]:
    items = iter(groups.items())
    while batch := list(islice(items, _BATCH)):
        yield batch


def _chained(batches: Iterable[list[tuple[str, KeptShard]]]) -> Iterator[tuple[str, KeptShard]]:
    for batch in batches:
        yield from batch


# -- what is kept -----------------------------------------------------------------------------------------------------


def _read_cache(path: Path) -> dict[str, KeptShard]:
    """The shards of the last time; none when the file is missing, damaged or of another version."""
    try:
        cache = msgspec.msgpack.decode(path.read_bytes(), type=Cache)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return cache.shards if cache.version == CACHE_VERSION else {}


def _read_index(path: Path) -> ShardIndex | None:
    """The index that is served now, when there is one and it can be read."""
    try:
        return parse_shard_index(read_document(path, str(path)), str(path))
    except (OSError, RepodataInvalid):
        return None


def _write_index(
    path: Path, subdir: str, repodata: RepoData, digests: Mapping[str, bytes], previous: ShardIndex | None, now: float
) -> None:
    """Write the index; not when it would differ only in the time of its making."""
    info: Json = {
        "subdir": subdir,
        "base_url": (repodata.info.base_url if repodata.info else None) or "./",
        "shards_base_url": f"./{SHARDS_FOLDER}/",
    }
    for key in ("channel_relations", "repodata_revisions"):
        value = _without_nulls(msgspec.to_builtins(getattr(repodata.info, key, None)))
        if value:
            info[key] = value

    def document(created_at: str) -> bytes:
        return _encoder.encode({"version": 1, "info": {**info, "created_at": created_at}, "shards": dict(digests)})

    if previous is not None and previous.info.created_at is not None:
        unchanged = document(previous.info.created_at)
        with contextlib.suppress(OSError, RepodataInvalid):
            if bytes(read_document(path, str(path))) == unchanged:
                return
    created_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    write_atomic(path, Compressor(ZSTD_LEVEL).compress(document(created_at)))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def _touch_leaving(folder: Path, digests: Mapping[str, bytes], previous: ShardIndex | None, now: float) -> None:
    """Let the week begin of the shards that are named for the last time.

    Where nobody can tell which were named, it begins for all others.
    """
    staying = set(digests.values())
    if previous is None:
        leaving = {entry.name for entry in os.scandir(folder) if _SHARD_FILE.fullmatch(entry.name)}
        leaving -= set(map(shard_file_name, staying))
    else:
        named = {msgspec.msgpack.decode(raw) for raw in previous.shards.values()}
        leaving = {shard_file_name(digest) for digest in named - staying if isinstance(digest, bytes)}
    for file_name in leaving:
        with contextlib.suppress(FileNotFoundError):
            os.utime(folder / file_name, (now, now))


def _prune(folder: Path, digests: Mapping[str, bytes], now: float) -> int:
    """Remove the shards that have not been named for a week, and what an interrupted writer left behind."""
    named = set(map(shard_file_name, digests.values()))
    pruned = 0
    for entry in list(os.scandir(folder)):
        is_shard = _SHARD_FILE.fullmatch(entry.name) is not None
        is_rest = entry.name.startswith(".") and SHARD_EXTENSION in entry.name
        if entry.name in named or not (is_shard or is_rest):
            continue
        with contextlib.suppress(FileNotFoundError):
            if entry.stat().st_mtime < now - KEPT_SECONDS:
                Path(entry.path).unlink()
                pruned += is_shard
    return pruned
