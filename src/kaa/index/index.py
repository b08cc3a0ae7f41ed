"""All that the chosen channels offer, by name, in the order of the channels; the solver's `CandidateSource`.

with open_index(channels, ["linux-64", "noarch"], cache_directory=cache, client=client, reporter=reporter) as index:
    index.records("numpy")
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from kaa.errors import KaaError
from kaa.events import Event, Reporter, StageAdvanced, StageFinished, StageStarted, Warned, silent
from kaa.host.threads import map_in_threads
from kaa.index.fetch import IndexSettings
from kaa.index.query import find_near_names, find_records
from kaa.index.relations import RelatedChannels, follow_relations, note_relations
from kaa.index.subdir_data import SubdirData, SubdirGroup
from kaa.index.subdir_source import Absent, LocalSource, Opened, Sources, SubdirSource
from kaa.models.channel import Channel
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.net.client import HttpClient

STAGE = "Reading channels"
_AT_ONCE = 8
_SAVE_AFTER = 256
"""New columns of so many names are kept at once; the rest when the index is closed."""


class ChannelNotFound(KaaError):
    """There is no channel at an address: it has neither the platform's subdir nor noarch."""

    conda_name = "UnavailableInvalidChannel"

    def __init__(self, channel: Channel, reasons: Sequence[str]) -> None:
        self.channel = channel.name
        self.url = channel.base_url
        self.reasons = tuple(reasons)
        hints = ["check the spelling of the channel's name or address"]
        if any("403" in reason for reason in reasons):
            hints.append("give the token or password if the channel is private")
        hints.append("name another channel with --override-channels -c")
        what = "" if channel.name == channel.base_url else f" ({channel.base_url})"
        super().__init__(f"{channel.name}{what} is not a channel: {'; '.join(reasons)}", hints=tuple(hints))


class ChannelsNotCached(KaaError):
    """kaa works offline, and nothing of any channel is on this machine."""

    conda_name = "OfflineError"

    def __init__(self, channels: Sequence[Channel]) -> None:
        self.channels = tuple(channel.name for channel in channels)
        super().__init__(
            f"kaa works offline, and nothing is on this machine of {', '.join(self.channels)}",
            hints=("run the command once without --offline", "name a channel in a folder of this machine"),
        )


class Index:
    """Channels × subdirs; records are decoded, and columns made, for the names that are asked for."""

    def __init__(self, subdirs: Sequence[SubdirData], ranks: Sequence[int]) -> None:
        self.subdirs = tuple(subdirs)
        """First channel first; within a channel in the order in which the subdirs were given."""
        self._ranks = tuple(ranks)
        self._groups: dict[str, tuple[SubdirGroup, ...]] = {}

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Keep what was computed for the next run; the index can be used on."""
        for data in self.subdirs:
            data.save_columns()

    def load(self, names: Collection[str]) -> None:
        """Make ready what is offered under these names."""
        for name in names:
            self.groups(name)
        for data in self.subdirs:
            if data.unsaved >= _SAVE_AFTER:
                data.save_columns()

    def groups(self, name: str) -> Sequence[SubdirGroup]:
        """What is offered under a name, first channel first."""
        groups = self._groups.get(name)
        if groups is None:
            groups = self._groups[name] = tuple(
                SubdirGroup(data, name, rank)
                for data, rank in zip(self.subdirs, self._ranks, strict=True)
                if data.has(name)
            )
        return groups

    def near_names(self, name: str) -> Sequence[str]:
        """Names on offer that look like this one, best first."""
        return find_near_names(name, self.names())

    def names(self) -> Collection[str]:
        """The names of all packages on offer, each once, in no particular order."""
        return {name for data in self.subdirs for name in data.names()}

    def records(self, name: str) -> list[RepoDataRecord]:
        """All records of a name, first channel first."""
        return [record for data in self.subdirs for record in data.records(name)]

    def query(self, spec: MatchSpec) -> list[RepoDataRecord]:
        """The records that a spec matches, by name and version, oldest first."""
        return find_records(spec, self.names() if spec.name is None else (spec.name,), self.records)


def open_index(
    channels: Sequence[Channel],
    subdirs: Sequence[str],
    *,
    cache_directory: Path,
    client: HttpClient,
    reporter: Reporter = silent,
    settings: IndexSettings | None = None,
    related_channels: RelatedChannels | None = None,
) -> Index:
    """Open what `channels` offer for `subdirs` (a platform and noarch), fetching what is not fresh.

    A channel without one of the subdirs is fine; one without any raises ChannelNotFound. With `related_channels` the
    channels that these name join them (CEP 42).
    """
    chosen = tuple(dict.fromkeys(channels))
    subdirs = tuple(dict.fromkeys(subdirs))
    report = _one_at_a_time(reporter)
    sources = Sources(cache_directory, client, settings or IndexSettings(), report)

    def open_channels(channels: Sequence[Channel]) -> list[SubdirData]:
        return _open_channels(channels, subdirs, sources, report)

    found = open_channels(chosen)
    if related_channels is None:
        note_relations(found, report)
    else:
        chosen, found = follow_relations(chosen, found, open_channels, related_channels, report)
    return Index(found, [chosen.index(data.channel) for data in found])


def _open_channels(
    channels: Sequence[Channel], subdirs: Sequence[str], sources: Sources, report: Reporter
) -> list[SubdirData]:
    """The subdirs that there are of some channels, first channel first."""
    started = time.monotonic()
    report(StageStarted(STAGE, len(channels) * len(subdirs)))
    wanted = [_Wanted(channel, subdir, sources.source(channel, subdir)) for channel in channels for subdir in subdirs]
    opened = _open_all(wanted, report)
    _check_channels(channels, wanted, opened, report)
    report(StageFinished(STAGE, time.monotonic() - started))
    return [
        SubdirData(one.channel, one.subdir, one.source, result, report)
        for one, result in zip(wanted, opened, strict=True)
        if isinstance(result, Opened)
    ]


class _Wanted(msgspec.Struct, frozen=True):
    channel: Channel
    subdir: str
    source: SubdirSource

    @property
    def shown(self) -> str:
        return f"{self.channel.name}/{self.subdir}"


def _open_all(wanted: Sequence[_Wanted], report: Reporter) -> list[Opened | Absent]:
    """First what is on this machine, then all others at once: their time is spent waiting for servers."""
    found: dict[int, Opened | Absent] = {}
    for number, one in enumerate(wanted):
        fresh = one.source.find_fresh()
        if fresh is not None:
            found[number] = fresh
            report(StageAdvanced(STAGE, one.shown))

    def open_one(number: int) -> Opened | Absent:
        opened = wanted[number].source.open()
        report(StageAdvanced(STAGE, wanted[number].shown))
        return opened

    for number, one in enumerate(wanted):
        if number not in found and isinstance(one.source, LocalSource):
            found[number] = open_one(number)
    missing = [number for number in range(len(wanted)) if number not in found]
    found.update(zip(missing, map_in_threads(open_one, missing, workers=_AT_ONCE), strict=True))
    return [found[number] for number in range(len(wanted))]


def _check_channels(
    channels: Sequence[Channel], wanted: Sequence[_Wanted], opened: Sequence[Opened | Absent], report: Reporter
) -> None:
    uncached = []
    for channel in channels:
        results = [result for one, result in zip(wanted, opened, strict=True) if one.channel == channel]
        absent = [result for result in results if isinstance(result, Absent)]
        if len(absent) < len(results) or not results:
            continue
        if not any(result.is_uncached for result in absent):
            subdirs = [one.subdir for one in wanted if one.channel == channel]
            reasons = [f"{result.reason} for {subdir}" for subdir, result in zip(subdirs, absent, strict=True)]
            raise ChannelNotFound(channel, reasons)
        uncached.append(channel)
    if uncached and not any(isinstance(result, Opened) for result in opened):
        raise ChannelsNotCached(uncached)
    for channel in uncached:
        report(Warned(f"{channel.name}: kaa works offline and has nothing of this channel on this machine"))


def _one_at_a_time(reporter: Reporter) -> Reporter:
    """The reporter, called by one thread at a time."""
    lock = threading.Lock()

    def report(event: Event) -> None:
        with lock:
            reporter(event)

    return report
