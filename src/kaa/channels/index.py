"""Index a folder of packages, so that it becomes a channel: repodata.json, its .zst, run_exports.json (CEP 12, 36, 48).

With shards as well when they are asked for, and from then on (see `shards`).

index_channel(Path("my-channel"))      # noarch always, and every platform that has a folder

A record is what the package says of itself, with its hashes, its size and the time of its first indexing (CEP 47).
Packages that use conditions, extras or flags are listed under `v3` and nowhere else. A file that is damaged, or is not
the package that its name says, is left out and told about; it keeps nobody from the others. What was read once is read
again only when the file's size or time has changed.
"""

from __future__ import annotations

import hashlib
import os
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import msgspec

from kaa.archive.extract import extract
from kaa.archive.read import BadArchive, read_info
from kaa.channels.compression import Compressor
from kaa.channels.relations import check_relations, find_relations
from kaa.channels.shards import SHARD_INDEX, WrittenShards, write_shards
from kaa.errors import KaaError
from kaa.events import Reporter, StageAdvanced, StageFinished, StageStarted, silent
from kaa.host.files import write_atomic
from kaa.host.locks import file_lock
from kaa.host.threads import know_types
from kaa.models.artifact import parse_file_name
from kaa.models.match_spec import MatchSpec
from kaa.models.package_info import IndexJson
from kaa.models.repodata import ChannelRelations, parse_repodata
from kaa.models.subdir import is_well_formed

Json: TypeAlias = dict[str, Any]

EXTENSIONS = (".conda", ".tar.bz2")
CACHE_NAME = ".kaa-index-cache.json"
LOCK_NAME = ".kaa-index.lock"
CACHE_VERSION = 1
NEWEST_SCHEMA = 3
ZSTD_LEVEL = 16
TOO_YOUNG = 2_000_000_000
"""Nanoseconds: a file changed so short a time before it was read may change again without its time telling."""
RECORD_FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(IndexJson)) - {"schema_version"}
ADDED_FIELDS = frozenset({"md5", "sha256", "size", "indexed_timestamp"})
EMPTY_MEANS_ABSENT = frozenset({"constrains", "extra_depends", "flags"})
RUN_EXPORT_KINDS = frozenset({"weak", "strong", "noarch", "weak_constrains", "strong_constrains"})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file of a channel that is in no index, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class IndexedSubdir:
    """What one subdir of a channel offers now; `read` of its packages had to be read, the others had not changed."""

    subdir: str
    packages: int
    read: int
    left_out: tuple[LeftOut, ...]
    shards: WrittenShards | None = None
    """What was done about its sharded form, where it has one."""


class NoChannelFolder(KaaError):
    """The folder to index is not there."""

    conda_name = "DirectoryNotFoundError"

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        super().__init__(
            f"there is no folder {path}", hints=("make it, with the packages in subfolders like linux-64 and noarch",)
        )


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one package file."""

    size: int
    mtime_ns: int
    record: Json
    revision: int = 1
    """1, or 3 for a record that belongs under `v3`."""
    run_exports: Json
    verified: bool = False
    """Whether it has been unpacked, too."""


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """The file in which a subdir's entries are kept from one indexing to the next."""

    version: int
    entries: dict[str, Entry]


def index_channel(
    folder: Path,
    *,
    subdirs: Sequence[str] | None = None,
    reporter: Reporter = silent,
    workers: int | None = None,
    verify: bool = False,
    shards: bool = False,
    relations: ChannelRelations | None = None,
    clock: Callable[[], float] = time.time,
) -> tuple[IndexedSubdir, ...]:
    """Write the index of every subdir of the channel in `folder` (or of `subdirs`, and noarch).

    With `shards` the sharded form is written, too; a subdir that has one keeps it, and it is never left behind.
    `relations` are what the channel says of others from now on (CEP 42); None lets it say what it said before.
    Packages that are left out are in the answer. With `verify` a package that is read is unpacked, too, to see whether
    that is possible. Two processes can index the same folder: one waits for the other.
    """
    if not folder.is_dir():
        raise NoChannelFolder(folder)
    if relations is not None:
        check_relations(folder, relations)
    wanted = sorted({"noarch", *(find_subdirs(folder) if subdirs is None else subdirs)})
    know_types(IndexJson)
    with file_lock(folder / LOCK_NAME), ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        return tuple(
            _index_subdir(folder / subdir, pool, reporter, clock, verify=verify, shards=shards, relations=relations)
            for subdir in wanted
        )


def find_subdirs(folder: Path) -> list[str]:
    """The platforms that have a folder in a channel, by name."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and is_well_formed(path.name))


def _index_subdir(
    folder: Path,
    pool: ThreadPoolExecutor,
    reporter: Reporter,
    clock: Callable[[], float],
    *,
    verify: bool,
    shards: bool,
    relations: ChannelRelations | None,
) -> IndexedSubdir:
    started = time.monotonic()
    folder.mkdir(exist_ok=True)
    known = _read_cache(folder / CACHE_NAME)
    first_seen = _first_seen(known)
    files = sorted((path for path in folder.iterdir() if path.name.endswith(EXTENSIONS)), key=lambda path: path.name)
    files = [path for path in files if not path.name.startswith(".") and path.is_file()]
    stage = f"Indexing {folder.name}"
    reporter(StageStarted(stage, len(files)))
    now = clock()
    entries: dict[str, Entry] = {}
    left_out: list[LeftOut] = []
    fresh = {
        path.name: pool.submit(_read_entry, path, verify=verify) for path in files if not _is_known(path, known, verify)
    }
    for path in files:
        if path.name not in fresh:
            entries[path.name] = known[path.name]
        else:
            try:
                entries[path.name] = _with_first_seen(fresh[path.name].result(), first_seen, now)
            except (BadArchive, OSError) as error:
                left_out.append(LeftOut(path, _reason(error)))
        reporter(StageAdvanced(stage, path.name))
    text = _write_index(folder, entries, find_relations(folder) if relations is None else relations)
    written = None
    if shards or (folder / SHARD_INDEX).exists():
        exports = {name: entry.run_exports for name, entry in entries.items()}
        written = write_shards(folder, parse_repodata(text), run_exports=exports, clock=clock)
    _write_cache(folder / CACHE_NAME, entries, now)
    reporter(StageFinished(stage, time.monotonic() - started))
    return IndexedSubdir(folder.name, len(entries), len(fresh) - len(left_out), tuple(left_out), written)


def _reason(error: BadArchive | OSError) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{error.reason} ({error.member})" if error.member else error.reason


# -- one package ------------------------------------------------------------------------------------------------------


def _read_entry(path: Path, *, verify: bool) -> Entry:
    """Everything about a package file; raises BadArchive."""
    found = path.stat()
    _check_archive(path, unpack=verify)
    with path.open("rb") as stream:
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        while block := stream.read(1 << 20):
            md5.update(block)
            sha256.update(block)
    info = read_info(path, ("info/index.json", "info/run_exports.json"))
    if "info/index.json" not in info:
        raise BadArchive(str(path), "it holds no info/index.json")
    index = _read_index_json(path, info["info/index.json"])
    record = {
        key: value
        for key, value in index.items()
        if key in RECORD_FIELDS and value is not None and (value or key not in EMPTY_MEANS_ABSENT)
    }
    if record.get("noarch") is False:
        del record["noarch"]
    record |= {"md5": md5.hexdigest(), "sha256": sha256.hexdigest(), "size": found.st_size}
    revision = _revision(path, index)
    if revision == NEWEST_SCHEMA:
        record |= _in_brackets(index)
    run_exports = _read_run_exports(path, info.get("info/run_exports.json"))
    return Entry(
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        record=record,
        revision=revision,
        run_exports=run_exports,
        verified=verify,
    )


def _check_archive(path: Path, *, unpack: bool) -> None:
    """Compare the checksums of a zip, or unpack the package; raises BadArchive."""
    if unpack:
        with TemporaryDirectory(prefix="kaa-index-") as folder:
            extract(path, Path(folder, "package"), subdir=path.parent.name)
    elif path.name.endswith(".conda"):
        try:
            with zipfile.ZipFile(path) as archive:
                damaged = archive.testzip()
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
            raise BadArchive(str(path), f"its zip is damaged ({error})") from error
        if damaged is not None:
            raise BadArchive(str(path), "its checksum is wrong", damaged)


def _read_index_json(path: Path, content: bytes) -> Json:
    try:
        index: Json = msgspec.json.decode(content, type=dict[str, Any])
        parsed = msgspec.convert(index, IndexJson, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadArchive(str(path), f"it cannot be understood ({error})", "info/index.json") from error
    if parsed.schema_version > NEWEST_SCHEMA:
        reason = f"its schema_version is {parsed.schema_version}, and kaa knows them up to {NEWEST_SCHEMA}"
        raise BadArchive(str(path), reason, "info/index.json")
    try:
        named = parse_file_name(path.name)
    except KaaError as error:
        raise BadArchive(str(path), f"its name is none for a package: {error.message}") from error
    if (named.name, named.version, named.build) != (parsed.name, parsed.version, parsed.build):
        raise BadArchive(str(path), f"it says that it is {parsed.dist}, which is not its name")
    index.setdefault("subdir", path.parent.name)
    index.setdefault("depends", [])
    index.setdefault("build_number", 0)
    return index


def _specs(path: Path, texts: Iterable[str]) -> Iterable[MatchSpec]:
    for text in texts:
        try:
            yield MatchSpec.parse(text, lenient=True)
        except KaaError as error:
            raise BadArchive(str(path), f"{text!r} is no match spec", "info/index.json") from error


def _revision(path: Path, index: Json) -> int:
    """Under which revision of repodata a package must be listed (CEP 43, 44, 45)."""
    groups = index.get("extra_depends") or {}
    texts = [*(index.get("depends") or ()), *(index.get("constrains") or ()), *(t for g in groups.values() for t in g)]
    conditional = [spec for spec in _specs(path, texts) if spec.when is not None or spec.extras or spec.flags]
    return NEWEST_SCHEMA if conditional or groups or index.get("flags") else 1


def _in_brackets(index: Json) -> Json:
    """The dependencies of a v3 record in the one form that CEP 48 admits."""

    def rewritten(texts: Iterable[str]) -> list[str]:
        return [MatchSpec.parse(text, lenient=True).bracket_text() for text in texts]

    changed: Json = {key: rewritten(index[key]) for key in ("depends", "constrains") if index.get(key)}
    groups = index.get("extra_depends")
    if groups:
        changed["extra_depends"] = {group: rewritten(texts) for group, texts in groups.items()}
    return changed


def _read_run_exports(path: Path, content: bytes | None) -> Json:
    if content is None:
        return {}
    try:
        found = msgspec.json.decode(content, type=dict[str, Any] | list[str])
        if isinstance(found, list):
            found = {"weak": found} if found else {}
        chosen = {key: value for key, value in found.items() if key in RUN_EXPORT_KINDS and value}
        return msgspec.convert(chosen, dict[str, list[str]])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadArchive(str(path), f"it cannot be understood ({error})", "info/run_exports.json") from error


# -- what is kept -----------------------------------------------------------------------------------------------------


def _read_cache(path: Path) -> dict[str, Entry]:
    """The entries of the last indexing; none when the file is missing, damaged or of another version."""
    try:
        cache = msgspec.json.decode(path.read_bytes(), type=Cache)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return cache.entries if cache.version == CACHE_VERSION else {}


def _write_cache(path: Path, entries: Mapping[str, Entry], now: float) -> None:
    young = now * 1e9 - TOO_YOUNG
    kept = {
        name: msgspec.structs.replace(entry, mtime_ns=-1) if entry.mtime_ns > young else entry
        for name, entry in entries.items()
    }
    write_atomic(path, msgspec.json.encode(Cache(version=CACHE_VERSION, entries=kept), order="sorted"))


def _is_known(path: Path, known: Mapping[str, Entry], verified: bool) -> bool:
    entry = known.get(path.name)
    if entry is None or entry.verified < verified:
        return False
    found = path.stat()
    return (entry.size, entry.mtime_ns) == (found.st_size, found.st_mtime_ns)


def _first_seen(known: Mapping[str, Entry]) -> dict[str, int]:
    return {entry.record["sha256"]: entry.record["indexed_timestamp"] for entry in known.values()}


def _with_first_seen(entry: Entry, first_seen: Mapping[str, int], now: float) -> Entry:
    seen = first_seen.get(entry.record["sha256"], int(now * 1000))
    return msgspec.structs.replace(entry, record={**entry.record, "indexed_timestamp": seen})


# -- the files that are served ----------------------------------------------------------------------------------------


def _write_index(folder: Path, entries: Mapping[str, Entry], relations: ChannelRelations | None) -> bytes:
    text = msgspec.json.encode(repodata(folder.name, entries, relations), order="sorted") + b"\n"
    # The compressed file first: clients that see the new plain one must not find an old compressed one.
    write_atomic(folder / "repodata.json.zst", Compressor(ZSTD_LEVEL).compress(text))
    write_atomic(folder / "repodata.json", text)
    write_atomic(folder / "run_exports.json", msgspec.json.encode(_run_exports(folder.name, entries), order="sorted"))
    return text


def repodata(subdir: str, entries: Mapping[str, Entry], relations: ChannelRelations | None = None) -> Json:
    """The document repodata.json for the entries of a subdir."""
    document: Json = {
        "info": {"subdir": subdir},
        "packages": {},
        "packages.conda": {},
        "removed": [],
        "repodata_version": 1,
    }
    if relations is not None:
        said = {key: value for key, value in msgspec.to_builtins(relations).items() if value is not None}
        document["info"] |= {"channel_relations": said} if said else {}
    newer: dict[str, dict[str, Json]] = {}
    for name, entry in entries.items():
        extension = ".conda" if name.endswith(".conda") else ".tar.bz2"
        if entry.revision == NEWEST_SCHEMA:
            newer.setdefault(extension[1:], {})[name.removesuffix(extension)] = entry.record
        else:
            document["packages.conda" if extension == ".conda" else "packages"][name] = entry.record
    if newer:
        times = [record["indexed_timestamp"] for bucket in newer.values() for record in bucket.values()]
        about = {"n_packages": len(times), "oldest": min(times), "newest": max(times)}
        document["info"]["repodata_revisions"] = {"v3": about}
        document["v3"] = newer
    return document


def _run_exports(subdir: str, entries: Mapping[str, Entry]) -> Json:
    platform, _, arch = subdir.partition("-")
    info = {"subdir": subdir, "platform": platform, "arch": arch or None, "version": 0}
    document: Json = {"info": info, "packages": {}, "packages.conda": {}}
    for name, entry in entries.items():
        section = "packages.conda" if name.endswith(".conda") else "packages"
        document[section][name] = {"run_exports": entry.run_exports}
    return document
