"""What one channel subdir offers, by name, where it comes in shards: as `SubdirData`, a shard for every name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

import msgspec

from kaa.errors import KaaError
from kaa.events import Note, Reporter
from kaa.index.kept_columns import NameColumns
from kaa.index.shard_source import NotOffered, OpenedShards
from kaa.index.subdir_data import SubdirData
from kaa.index.subdir_index import DamagedIndex
from kaa.index.subdir_source import Absent, SubdirSource
from kaa.models.artifact import LONGEST_FILE_NAME
from kaa.models.channel import Channel
from kaa.models.record import RepoDataRecord
from kaa.models.repodata import (
    Buffer,
    ChannelRelations,
    RepodataInvalid,
    Shard,
    decode_shard_candidate,
    decode_shard_record,
    packages_url,
)
from kaa.solver.candidates import columns_of
from kaa.solver.ranges import Ranges

T = TypeVar("T")
Decode: TypeAlias = Callable[[Buffer, str], RepoDataRecord]
"""From the msgpack of a record and its file name to the record."""

_NO_COLUMNS = NameColumns(columns_of(()), [])


class ShardNotCached(KaaError):
    """kaa works offline, and the records of a package are not on this machine."""

    conda_name = "OfflineError"

    def __init__(self, shown: str, names: Sequence[str]) -> None:
        self.packages = tuple(names)
        super().__init__(
            f"kaa works offline, and what {shown} offers of {', '.join(names)} is not on this machine",
            hints=(
                "run the command once without --offline",
                "run `kaa search --no-repodata-use-shards NAME` before going offline: it fetches the whole channel",
            ),
        )


class ShardedData:
    """One channel subdir in shards.

    Several threads may call `fetch` and `keep`; everything else is for one thread. A name keeps the shard in which it
    was seen first, whatever the channel does in the meantime.
    """

    def __init__(
        self, channel: Channel, subdir: str, source: SubdirSource, opened: OpenedShards, reporter: Reporter
    ) -> None:
        self.channel = channel
        self.subdir = subdir
        self.offline = opened.source.offline
        self.get: Callable[[str], None] = self._fetch_and_keep
        """Has the shard of a name fetched and kept; whoever fetches many at once puts something better here."""
        self.left_out: dict[str, None] = {}
        """Names whose records are not on this machine and could not be fetched, because kaa works offline."""
        self._subdir_source = source
        self._source = opened.source
        self._opened = opened
        self._packages = packages_url(channel.subdir_url(subdir), opened.table.facts.base_url)
        self._report = reporter
        self._digests: dict[str, bytes] = {}
        self._new_columns: dict[str, NameColumns] = {}
        self._ranges = Ranges()
        self._noted: set[str] = set()
        self._earlier: dict[str, bytes] | None = None

    @property
    def shown(self) -> str:
        """Channel and subdir, for people."""
        return self._source.shown

    @property
    def channel_relations(self) -> ChannelRelations | None:
        """What the subdir says of other channels (CEP 42)."""
        return self._opened.table.facts.channel_relations

    def names(self) -> Sequence[str]:
        """The names of all packages, sorted."""
        return self._opened.table.names()

    def has(self, name: str) -> bool:
        """Whether anything is offered under this name."""
        return name in self._digests or name in self._opened.table

    def lacks(self, name: str) -> bool:
        """Whether a shard is needed for this name that is not on this machine."""
        digest = self._digest(name)
        if digest is None or name in self._new_columns:
            return False
        return _key(name, digest) not in self._opened.columns and not self._source.has(digest)

    def fetch(self, name: str) -> tuple[bytes, Shard] | None:
        """Fetch the shard of a name, if there is one: its sha256, and what it holds.

        Raises what `ShardSource.fetch` raises.
        """
        digest = self._digest(name)
        if digest is None:
            return None
        if not digest:
            raise RepodataInvalid(self.shown, f"its shard index lists no sha256 for {name}")
        return digest, self._source.fetch(self._opened.table, name, digest)

    def keep(self, digest: bytes, shard: Shard) -> None:
        """Keep a shard on this machine. Raises CacheNotWritable."""
        self._source.keep(digest, shard)

    def refresh(self) -> None:
        """Have the shard index read anew, after a shard that it lists was not there."""
        opened = self._source.refresh(self._opened.table)
        if isinstance(opened, NotOffered):
            raise RepodataInvalid(
                self.shown, "its shards vanished while they were read", hints=("run the command again",)
            )
        self._opened = opened

    def open_whole(self) -> SubdirData | None:
        """The same subdir as one document, when the channel offers that."""
        opened = self._subdir_source.open_whole()
        if isinstance(opened, Absent):
            return None
        return SubdirData(self.channel, self.subdir, self._subdir_source, opened, self._report)

    def changed_names(self) -> list[str]:
        """The names that were looked at in earlier runs, and whose shards are not on this machine any more."""
        names = dict.fromkeys(key.partition("/")[0] for key in reversed(self._opened.columns.names()))
        return [name for name in names if self.lacks(name)]

    def records(self, name: str) -> list[RepoDataRecord]:
        """All records of a name that can be read, one per dist: of two formats the preferred one."""
        return [record for _, record in self._readable_records(name, self._decode_whole)]

    def columns(self, name: str) -> NameColumns:
        """The columns of a name, from those kept on disk when they are there."""
        digest = self._digest(name)
        if digest is None:
            return _NO_COLUMNS
        self._digests[name] = digest
        found = self._new_columns.get(name) or self._opened.columns.find(_key(name, digest))
        if found is None:
            if self.offline and not self._source.has(digest):
                self.left_out[name] = None
                return _NO_COLUMNS
            readable = self._readable_records(name, decode_shard_candidate)
            columns = columns_of([record for _, record in readable], self._ranges)
            found = self._new_columns[name] = NameColumns(columns, [place for place, _ in readable])
        return found

    def record(self, name: str, place: int) -> RepoDataRecord:
        """The record at a place of the shard of a name."""

        def read(digest: bytes) -> RepoDataRecord:
            with self._source.open_shard(digest) as shard:
                record = self._decode(name, *shard.record(place), self._decode_whole)
            if record is None:
                raise DamagedIndex(f"{shard.path}: record {place} cannot be read")
            return record

        return self._guarded(name, read)

    def save_columns(self) -> None:
        """Keep the columns that were made since the last time."""
        if self._new_columns:
            columns = {_key(name, self._digests[name]): found for name, found in self._new_columns.items()}
            self._opened.columns.add(columns)
            self._new_columns = {}

    @property
    def unsaved(self) -> int:
        """For how many names there are columns that were not saved yet."""
        return len(self._new_columns)

    def _readable_records(self, name: str, decode: Decode) -> list[tuple[int, RepoDataRecord]]:
        """The records of a name and their places in its shard."""

        def read(digest: bytes) -> list[tuple[int, RepoDataRecord]]:
            found: dict[str, tuple[int, RepoDataRecord]] = {}
            with self._source.open_shard(digest) as shard:
                for place, (file_name, packed) in enumerate(shard.records()):
                    stem = file_name.removesuffix(".conda").removesuffix(".tar.bz2")
                    if stem not in found:
                        record = self._decode(name, file_name, packed, decode)
                        if record is not None:
                            found[stem] = place, record
            return list(found.values())

        return [] if self._digest(name) is None else self._guarded(name, read)

    def _decode_whole(self, packed: Buffer, file_name: str) -> RepoDataRecord:
        url = f"{self._packages}/{file_name}"
        return decode_shard_record(packed, self.channel.base_url, self.subdir, file_name, url)

    def _decode(self, name: str, file_name: str, packed: Buffer, decode: Decode) -> RepoDataRecord | None:
        """One record, or None (and a note) when it cannot be read or is not what its file name says."""
        try:
            record = decode(packed, file_name)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError, RecursionError) as error:
            self._note(file_name, str(error))
            return None
        if len(file_name) > LONGEST_FILE_NAME:
            self._note(f"{file_name[:40]}…", f"its file name has more than {LONGEST_FILE_NAME} characters")
            return None
        if record.name != name or file_name not in (f"{record.dist}.conda", f"{record.dist}.tar.bz2"):
            self._note(file_name, f"the record is of {record.dist!a}, in the shard of {name}")
            return None
        return record

    def _note(self, file_name: str, reason: str) -> None:
        if file_name not in self._noted:
            self._noted.add(file_name)
            self._report(Note(f"{self.shown}: the record of {file_name!a} is left out: {reason}"))

    def _digest(self, name: str) -> bytes | None:
        """The sha256 of the shard to read for a name; offline an earlier one if it is all there is on this machine."""
        digest = self._digests.get(name)
        if digest is None:
            digest = self._opened.table.find(name)
            if digest is not None and self.offline and not self._source.has(digest):
                digest = self._find_earlier(name) or digest
        return digest

    def _find_earlier(self, name: str) -> bytes | None:
        if self._earlier is None:
            self._earlier = self._source.find_kept()
        return self._earlier.get(name)

    def _fetch_and_keep(self, name: str) -> None:
        fetched = self.fetch(name)
        if fetched is not None:
            self.keep(*fetched)

    def _guarded(self, name: str, read: Callable[[bytes], T]) -> T:
        """Read from the shard of a name; when it is not here or damaged, have it fetched and read once more."""
        for last in (False, True):
            digest = self._digest(name)
            assert digest is not None
            try:
                return read(digest)
            except DamagedIndex as error:
                if last:
                    raise RepodataInvalid(
                        self.shown,
                        f"what it offers of {name} does not stay as it is written ({error})",
                        hints=("check the disk of the cache directory",),
                    ) from error
            if self.offline:
                raise ShardNotCached(self.shown, [name])
            self.get(name)
        raise AssertionError("unreachable")


def _key(name: str, digest: bytes) -> str:
    """What the columns of a name are kept under."""
    return f"{name}/{digest.hex()}"
