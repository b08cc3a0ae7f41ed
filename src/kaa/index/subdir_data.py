"""What one channel subdir offers, by name: records decoded on demand, and the columns for the solver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from kaa.events import Note, Reporter
from kaa.index.kept_columns import NameColumns
from kaa.index.subdir_index import DamagedIndex, Directory
from kaa.index.subdir_source import Absent, Opened, SubdirSource
from kaa.models.artifact import LONGEST_FILE_NAME
from kaa.models.channel import Channel
from kaa.models.record import RepoDataRecord
from kaa.models.repodata import Buffer, ChannelRelations, RepodataInvalid, decode_record, packages_url
from kaa.solver.candidates import Columns, columns_of, decode_numbers
from kaa.solver.ranges import Ranges

T = TypeVar("T")


class ChannelSubdir(Protocol):
    """What one channel subdir offers, by name, in whatever form it comes."""

    channel: Channel
    subdir: str

    @property
    def channel_relations(self) -> ChannelRelations | None:
        """What the subdir says of other channels (CEP 42)."""

    def names(self) -> Sequence[str]:
        """The names of all packages, sorted."""

    def has(self, name: str) -> bool:
        """Whether anything is offered under this name."""

    def records(self, name: str) -> list[RepoDataRecord]:
        """All records of a name that can be read, one per dist: of two formats the preferred one."""

    def columns(self, name: str) -> NameColumns:
        """The columns of a name, from those kept on disk when they are there."""

    def record(self, name: str, place: int) -> RepoDataRecord:
        """The record at a place of what is filed under a name."""

    def save_columns(self) -> None:
        """Keep the columns that were made since the last time."""

    @property
    def unsaved(self) -> int:
        """For how many names there are columns that were not saved yet."""


class SubdirData:
    """One channel subdir. An index that proves to be damaged is built again behind the scenes."""

    def __init__(self, channel: Channel, subdir: str, source: SubdirSource, opened: Opened, reporter: Reporter) -> None:
        self.channel = channel
        self.subdir = subdir
        self._source = source
        self._opened = opened
        self._packages = self._packages_url()
        self._report = reporter
        self._new_columns: dict[str, NameColumns] = {}
        self._noted: set[str] = set()
        self._ranges = Ranges()

    @property
    def record_count(self) -> int:
        """How many records there are, those of one dist in two formats counted twice."""
        return self._opened.index.facts.record_count

    @property
    def channel_relations(self) -> ChannelRelations | None:
        """What the subdir says of other channels (CEP 42)."""
        return self._opened.index.facts.channel_relations

    def names(self) -> Sequence[str]:
        """The names of all packages, sorted."""
        return self._guarded(lambda: self._opened.index.names())

    def has(self, name: str) -> bool:
        """Whether anything is offered under this name."""
        return self._guarded(lambda: name in self._opened.index)

    def records(self, name: str) -> list[RepoDataRecord]:
        """All records of a name that can be read, one per dist: of two formats the preferred one."""
        return [record for _, record in self._guarded(lambda: self._readable_records(name))]

    def columns(self, name: str) -> NameColumns:
        """The columns of a name, from those kept on disk when they are there."""
        found = self._new_columns.get(name) or self._opened.columns.find(name)
        if found is None:
            readable = self._guarded(lambda: self._readable_records(name))
            columns = columns_of([record for _, record in readable], self._ranges)
            found = self._new_columns[name] = NameColumns(columns, [place for place, _ in readable])
        return found

    def record(self, name: str, place: int) -> RepoDataRecord:
        """The record at a place of the directory of a name."""
        return self._guarded(lambda: self._record(name, place))

    def save_columns(self) -> None:
        """Keep the columns that were made since the last time."""
        if self._new_columns:
            self._opened.columns.add(self._new_columns)
            self._new_columns = {}

    @property
    def unsaved(self) -> int:
        """For how many names there are columns that were not saved yet."""
        return len(self._new_columns)

    def _record(self, name: str, place: int) -> RepoDataRecord:
        index = self._opened.index
        directory = index.find(name)
        if directory is None or place >= len(directory.file_names):
            raise DamagedIndex(f"{index.path}: no record {place} of {name}")
        record = self._decode(name, directory, place, index.record(directory, place))
        if record is None:
            raise DamagedIndex(f"{index.path}: record {place} of {name} cannot be read")
        return record

    def _readable_records(self, name: str) -> list[tuple[int, RepoDataRecord]]:
        """The records of a name and their places in its directory."""
        index = self._opened.index
        directory = index.find(name)
        if directory is None:
            return []
        found: dict[str, tuple[int, RepoDataRecord]] = {}
        for place, text in enumerate(index.records(directory)):
            file_name = directory.file_names[place]
            stem = file_name.removesuffix(".conda").removesuffix(".tar.bz2")
            if stem not in found:
                record = self._decode(name, directory, place, text)
                if record is not None:
                    found[stem] = place, record
        return list(found.values())

    def _decode(self, name: str, directory: Directory, place: int, text: Buffer) -> RepoDataRecord | None:
        """One record, or None (and a note) when it cannot be read or is not what its file name says."""
        file_name = directory.file_names[place]
        try:
            record = decode_record(text, self.channel.base_url, self.subdir, file_name, f"{self._packages}/{file_name}")
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError, RecursionError) as error:
            self._note(file_name, str(error))
            return None
        if len(file_name) > LONGEST_FILE_NAME:
            self._note(f"{file_name[:40]}…", f"its file name has more than {LONGEST_FILE_NAME} characters")
            return None
        if record.name != name or file_name not in (f"{record.dist}.conda", f"{record.dist}.tar.bz2"):
            self._note(file_name, f"the record is of {record.dist!a}")
            return None
        return record

    def _packages_url(self) -> str:
        """The address of the folder of the packages."""
        return packages_url(self.channel.subdir_url(self.subdir), self._opened.index.facts.base_url)

    def _note(self, file_name: str, reason: str) -> None:
        if file_name not in self._noted:
            self._noted.add(file_name)
            self._report(Note(f"{self.channel.name}/{self.subdir}: the record of {file_name} is left out: {reason}"))

    def _guarded(self, read: Callable[[], T]) -> T:
        """Read from the index; when it is damaged, build it again and read once more."""
        try:
            return read()
        except DamagedIndex:
            self._rebuild()
        try:
            return read()
        except DamagedIndex as error:
            raise RepodataInvalid(
                f"{self.channel.name}/{self.subdir}",
                f"it changed while it was read, or its index does not stay as it is written ({error})",
                hints=("run the command again", "check the disk of the cache directory"),
            ) from error

    def _rebuild(self) -> None:
        opened = self._source.rebuild()
        if isinstance(opened, Absent):
            shown = f"{self.channel.name}/{self.subdir}"
            raise RepodataInvalid(
                shown, f"it vanished while it was read: {opened.reason}", hints=("run the command again",)
            )
        self._opened = opened
        self._packages = self._packages_url()


class SubdirGroup:
    """What a channel subdir offers under one name, for the solver (`kaa.solver.candidates.CandidateGroup`)."""

    __slots__ = ("_data", "_kept", "_order", "name", "rank")

    def __init__(self, data: ChannelSubdir, name: str, rank: int) -> None:
        self.name = name
        self.rank = rank
        self._data = data
        self._kept: NameColumns | None = None
        self._order: list[int] = []

    @property
    def channel(self) -> str:
        return self._data.channel.base_url

    @property
    def subdir(self) -> str:
        return self._data.subdir

    @property
    def columns(self) -> Columns:
        if self._kept is None:
            self._kept = self._data.columns(self.name)
        return self._kept.columns

    def record(self, position: int) -> RepoDataRecord:
        columns = self.columns
        if not self._order:
            self._order = decode_numbers(columns.order)
        assert self._kept is not None
        return self._data.record(self.name, self._kept.places[self._order[position]])
