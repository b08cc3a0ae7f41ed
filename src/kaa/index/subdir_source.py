"""Where the index of a subdir comes from: found on disk, renewed from the channel, or built again after damage."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from kaa.events import Note, Reporter, Warned
from kaa.index.fetch import FORMATS, PLAIN, SHARDS, ChannelUnreachable, IndexSettings, RepodataFetcher, is_fresh
from kaa.index.kept_columns import KeptColumns
from kaa.index.repodata_cache import CacheEntry, CacheState
from kaa.index.shard_source import NotOffered, OpenedShards, ShardSource
from kaa.index.subdir_index import DamagedIndex, SubdirIndex
from kaa.models.allocation import without_collections
from kaa.models.channel import Channel, url_to_path
from kaa.models.repodata import RepodataInvalid, packages_url, parse_repodata
from kaa.net.client import HttpClient
from kaa.net.transport import HostUnreachable, IncompleteBody

_ATTEMPTS = 5


class Absent(msgspec.Struct, frozen=True):
    """There is no such subdir, as far as can be told; `reason` is for people."""

    reason: str
    is_uncached: bool = False
    """True: kaa works offline, and nothing of the subdir is on this machine."""


class Opened(msgspec.Struct, frozen=True):
    """An index, and the columns kept beside it."""

    index: SubdirIndex
    columns: KeptColumns


class SubdirSource(Protocol):
    """Gives the index of one subdir."""

    def find_fresh(self) -> Opened | OpenedShards | Absent | None:
        """The answer, when it is on this machine and nobody need be asked."""

    def open(self) -> Opened | OpenedShards | Absent:
        """The index of what the channel offers now, or may be taken to offer; slow."""

    def open_whole(self) -> Opened | Absent:
        """As `open`, of the whole subdir even where it offers shards."""

    def rebuild(self) -> Opened | Absent:
        """The index anew, after the one that was handed out proved to be damaged."""


class Sources(msgspec.Struct, frozen=True):
    """Makes the sources of subdirs that share a cache and a client."""

    directory: Path
    client: HttpClient
    settings: IndexSettings
    reporter: Reporter
    turn: threading.Lock = msgspec.field(default_factory=threading.Lock)
    """Held while an index is built: two at once take twice the memory, and no less time."""

    def source(self, channel: Channel, subdir: str) -> SubdirSource:
        """The source of a subdir: a folder of this machine, or a server."""
        url = channel.subdir_url(subdir)
        shown = f"{channel.name}/{subdir}"
        builder = _Builder(CacheEntry(self.directory, url), subdir, shown, self)
        if not channel.base_url.startswith("file:"):
            shards = ShardSource(self.directory, url, subdir, shown, self.client, self.settings, self.reporter)
            whole = WholeSource(builder, self.client, self.settings)
            return RemoteSource(shards, whole, self.settings, self.reporter)
        # A folder is there, and can be looked at, whether there is a network or not.
        settings = replace(self.settings, offline=False, local_repodata_ttl=0)
        local = ShardSource(self.directory, url, subdir, shown, self.client, settings, self.reporter)
        return LocalSource(builder, Path(url_to_path(url)), local if settings.use_shards else None)


class _Builder:
    """Opens and builds the index files of one entry of the cache."""

    def __init__(self, entry: CacheEntry, subdir: str, shown: str, sources: Sources) -> None:
        self.entry = entry
        self.shown = shown
        self.report = sources.reporter
        self._subdir = subdir
        self._turn = sources.turn

    def find(self, content: str) -> Opened | None:
        """The index of a document, when it is there and sound as far as a glance tells."""
        key = self.entry.index_key(content)
        try:
            index = SubdirIndex(self.entry.index_path(content), key)
        except DamagedIndex:
            return None
        return Opened(index, KeptColumns(self.entry.columns_path(content), key))

    def build(self, document: Path, source: str, content: str) -> None:
        """Make the index of a document. Raises RepodataInvalid."""
        # Most runs find their indexes made: they need neither these nor three compression libraries.
        from kaa.index.decompress import read_document  # noqa: PLC0415
        from kaa.index.index_writer import write_index  # noqa: PLC0415

        with self._turn, without_collections():
            repodata = parse_repodata(read_document(document, source), source)
            offered = repodata.info.subdir if repodata.info else None
            if offered and offered != self._subdir:
                raise RepodataInvalid(source, f"it is for the subdir {offered!a}, not for {self._subdir}")
            packages_url(self.entry.url, repodata.info.base_url if repodata.info else None)
            remarks = write_index(self.entry.index_path(content), self.entry.index_key(content), repodata)
            del repodata
        for remark in remarks:
            self.report(Note(f"{self.shown}: {remark}"))

    def get(self, content: str) -> Opened:
        """The index that was just built."""
        opened = self.find(content)
        if opened is None:
            raise RepodataInvalid(
                self.shown,
                f"its index in {self.entry.directory} cannot be read back",
                hints=("check the disk of that directory",),
            )
        return opened


class WholeSource:
    """A subdir on a server as one document, by way of the cache."""

    def __init__(self, builder: _Builder, client: HttpClient, settings: IndexSettings) -> None:
        self._builder = builder
        self._entry = builder.entry
        self._settings = settings
        self._fetcher = RepodataFetcher(builder.entry, client, settings, builder.report, builder.shown)

    def find_fresh(self) -> Opened | Absent | None:
        state = self._entry.read_state()
        if state is None and self._settings.offline:
            return Absent("nothing of it is on this machine", is_uncached=True)
        if state is None or not is_fresh(state, self._settings, time.time()):
            return None
        return _absent(state) if state.is_missing else self._builder.find(state.content)

    def open(self) -> Opened | Absent:
        with self._entry.lock(self._builder.report):
            state = self._entry.read_state()
            if state is None or not is_fresh(state, self._settings, time.time()):
                state = self._renew(state)
            if state.is_missing:
                return _absent(state)
            return self._builder.find(state.content) or self._build_again(state)

    @property
    def checked(self) -> float:
        """When the channel was last asked for what is here, in seconds since the epoch; 0 if nothing is."""
        state = self._entry.read_state()
        return 0.0 if state is None or state.is_missing else state.checked

    def rebuild(self) -> Opened | Absent:
        with self._entry.lock(self._builder.report):
            state = self._entry.read_state()
            if state is None or state.is_missing:
                state = self._renew(None)
                return _absent(state) if state.is_missing else self._builder.get(state.content)
            return self._build_again(state)

    def _build_again(self, state: CacheState) -> Opened | Absent:
        """From the document in the cache; from the channel if that has suffered, too."""
        if self._entry.is_body_sound(state):
            self._builder.build(self._entry.body_path(state.content), state.document_url, state.content)
            return self._builder.get(state.content)
        if self._settings.offline:
            reason = "what was fetched of it before is gone or damaged, and kaa works offline"
            raise RepodataInvalid(self._builder.shown, reason, hints=("run the command once without --offline",))
        state = self._renew(None)
        return _absent(state) if state.is_missing else self._builder.get(state.content)

    def _renew(self, state: CacheState | None) -> CacheState:
        builder = self._builder
        try:
            renewed = self._fetcher.renew(state, builder.build)
        except (HostUnreachable, IncompleteBody) as error:
            cached = state is not None and self._entry.has_body(state)
            raise ChannelUnreachable(builder.shown, error, cached=cached) from error
        self._entry.write_state(renewed)
        if not renewed.is_missing:
            self._entry.remove_others(renewed.content)
        return renewed


class RemoteSource:
    """A subdir on a server: its shards where it offers them, else one document.

    A whole document that is here and fresh is used before shards: then nothing need be fetched at all.
    """

    def __init__(self, shards: ShardSource, whole: WholeSource, settings: IndexSettings, report: Reporter) -> None:
        self._shards = shards
        self._whole = whole
        self._settings = settings
        self._report = report

    def find_fresh(self) -> Opened | OpenedShards | Absent | None:
        whole = self._whole.find_fresh()
        if self._settings.offline:
            return self._shards.find_opened() if self._is_sharded_here() else whole
        if isinstance(whole, Opened) or not self._settings.use_shards:
            return whole
        shards = self._shards.find_fresh()
        if not isinstance(shards, NotOffered):
            return shards
        # Where there is no document either, there may be shards by now.
        return None if isinstance(whole, Absent) and shards.is_remembered else whole

    def open(self) -> Opened | OpenedShards | Absent:
        if not (self._is_sharded_here() if self._settings.offline else self._settings.use_shards):
            return self._whole.open()
        try:
            shards = self._shards.open()
        except RepodataInvalid as error:
            whole = self.open_whole()
            if isinstance(whole, Absent):
                raise
            self._report(Warned(f"{error.message}; {PLAIN} is used instead"))
            return whole
        if not isinstance(shards, NotOffered):
            return shards
        whole = self._whole.open()
        if isinstance(whole, Absent) and shards.is_remembered:
            shards = self._shards.open(remembered=False)
        return whole if isinstance(shards, NotOffered) else shards

    def rebuild(self) -> Opened | Absent:
        return self._whole.rebuild()

    def open_whole(self) -> Opened | Absent:
        found = self._whole.find_fresh()
        return self._whole.open() if found is None else found

    def _is_sharded_here(self) -> bool:
        """Whether what was asked for last, of what is on this machine, are shards."""
        state = self._shards.read_state()
        return state is not None and not state.is_missing and state.checked >= self._whole.checked


class LocalSource:
    """A subdir in a folder of this machine: nothing is fetched, and its document is looked at every time.

    Where there is none, there may be shards.
    """

    def __init__(self, builder: _Builder, folder: Path, shards: ShardSource | None) -> None:
        self._builder = builder
        self._shards = shards
        self._entry = builder.entry
        self._folder = folder

    def find_fresh(self) -> Opened | OpenedShards | Absent | None:
        document = self._find_document()
        if document is not None:
            return self._builder.find(self._content_of(document))
        if self._shards is not None and (self._folder / SHARDS).is_file():
            return None
        return Absent(f"there is no {PLAIN} in {self._folder}")

    def open(self) -> Opened | OpenedShards | Absent:
        if self._shards is not None and self._find_document() is None:
            shards = self._shards.open()
            return Absent(f"there is no {PLAIN} in {self._folder}") if isinstance(shards, NotOffered) else shards
        return self._build(anew=False)

    def open_whole(self) -> Opened | Absent:
        return self._build(anew=False)

    def rebuild(self) -> Opened | Absent:
        return self._build(anew=True)

    def _build(self, *, anew: bool) -> Opened | Absent:
        """Make the index, `anew` or only when no other process has made it in the meantime."""
        with self._entry.lock(self._builder.report):
            for _ in range(_ATTEMPTS):
                document = self._find_document()
                if document is None:
                    return Absent(f"{PLAIN} vanished from {self._folder}")
                content = self._content_of(document)
                found = None if anew else self._builder.find(content)
                if found is not None:
                    return found
                self._builder.build(document, str(document), content)
                # Someone may have written a new document while the old one was read.
                if document.exists() and content == self._content_of(document):
                    self._entry.remove_others(content)
                    return self._builder.get(content)
            raise RepodataInvalid(str(self._folder), "it changes faster than it can be read")

    def _find_document(self) -> Path | None:
        """The plain document before the compressed ones: it is the one that people edit."""
        for name in sorted(FORMATS, key=lambda name: name != PLAIN):
            path = self._folder / name
            if path.is_file():
                return path
        return None

    def _content_of(self, document: Path) -> str:
        """What stands for the content of a local document: its name, size, time and inode."""
        try:
            found = document.stat()
        except OSError as error:
            raise RepodataInvalid(str(document), error.strerror or str(error)) from error
        identity = f"{document.name}\n{found.st_size}\n{found.st_mtime_ns}\n{found.st_ino}"
        return hashlib.sha256(identity.encode()).hexdigest()


def _absent(state: CacheState) -> Absent:
    return Absent(f"the server says {state.status}")
