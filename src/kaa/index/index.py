"""All that the chosen channels offer, by name, in the order of the channels; the solver's `CandidateSource`.

with open_index(channels, ["linux-64", "noarch"], cache_directory=cache, client=client, reporter=reporter) as index:
    index.records("numpy")
"""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from kaa.errors import KaaError
from kaa.events import Event, Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warned, silent
from kaa.host.threads import map_in_threads
from kaa.index.fetch import IndexSettings
from kaa.index.query import find_near_names, find_records
from kaa.index.relations import RelatedChannels, follow_relations, note_relations
from kaa.index.shard_loader import ShardLoader, ShardTraffic
from kaa.index.shard_source import OpenedShards
from kaa.index.sharded_data import ShardedData
from kaa.index.subdir_data import ChannelSubdir, SubdirData, SubdirGroup
from kaa.index.subdir_source import Absent, LocalSource, Opened, Sources, SubdirSource
from kaa.models.channel import Channel
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.repodata import make_decoders
from kaa.net.client import HttpClient
from kaa.solver.candidates import CandidateGroup, RecordSource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kaa.index.pypi_source import PypiSettings, PypiSource

STAGE = "Reading channels"
_AT_ONCE = 8
_MOST_SHARDS = 100
"""A search that would have to fetch more shards of one subdir reads the whole subdir."""
_SHOWN = 5
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


class TooManyShards(KaaError):
    """A search would have to fetch nearly all that a channel has, piece by piece."""

    conda_name = "InvalidSpec"

    def __init__(self, shown: str, spec: str, count: int) -> None:
        self.count = count
        super().__init__(
            f"{spec} may match {count} packages of {shown}, which can only be fetched one by one",
            hints=("search for a name, or for a narrower pattern like 'numpy*'",),
        )


class Index:
    """Channels × subdirs; records are decoded, and columns made, for the names that are asked for.

    Of a subdir in shards only those of the names that are asked for are fetched, and some ahead of the asking. What
    indexes of Python packages offer comes behind what the other channels of this name have, or before: by rank.
    """

    def __init__(
        self,
        subdirs: Sequence[ChannelSubdir],
        ranks: Sequence[int],
        *,
        only_first_channel: bool = False,
        reporter: Reporter = silent,
        pypi: PypiSource | None = None,
    ) -> None:
        self.subdirs = tuple(subdirs)
        """First channel first; within a channel in the order in which the subdirs were given."""
        self._ranks = tuple(ranks)
        self._groups: dict[str, tuple[CandidateGroup, ...]] = {}
        self._report = reporter
        self._pypi = pypi
        self._not_of_pypi: set[str] = set()
        self._shards: ShardLoader | None = None
        if any(isinstance(data, ShardedData) for data in subdirs):
            self._shards = ShardLoader(subdirs, ranks, only_first_channel=only_first_channel)

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
        if self._shards is not None:
            self._shards.close()
            self._tell_of_shards(self._shards.traffic)

    @property
    def shard_traffic(self) -> ShardTraffic:
        """What was fetched of shards so far."""
        return ShardTraffic() if self._shards is None else self._shards.traffic

    def load(self, names: Collection[str]) -> None:
        """Make ready what is offered under these names."""
        if self._shards is not None:
            self._shards.load(names)
        if self._pypi is not None:
            self._pypi.load([name for name in names if name not in self._not_of_pypi])
        for name in names:
            self.groups(name)
        for data in self.subdirs:
            if data.unsaved >= _SAVE_AFTER:
                data.save_columns()

    def admit(self, specs: Iterable[MatchSpec]) -> None:
        """Offer what is only for those who ask for it by number: pre-releases and withdrawn versions of PyPI."""
        if self._pypi is not None:
            self._pypi.admit(specs)

    def agree(self, specs: Iterable[MatchSpec]) -> tuple[MatchSpec, ...]:
        """Specs that mean of versions of PyPI what PEP 440 says that they mean."""
        if self._pypi is None:
            return tuple(specs)
        return tuple(map(self._pypi.agree, specs))

    def left_out(self, specs: Iterable[MatchSpec]) -> list[str]:
        """Why there is nothing for specs although there is something of the name, in sentences."""
        return [] if self._pypi is None else self._pypi.left_out(specs)

    def forget_absences(self) -> None:
        """Ask again the next time about what was not there."""
        if self._pypi is not None:
            self._pypi.forget_absences()

    def offer(self, records: Iterable[RepoDataRecord]) -> None:
        """Offer these packages, which may be in no channel, and under their names no others."""
        given = tuple(records)
        source = RecordSource({"": given})
        names = {record.name for record in given}
        self._groups.update({name: tuple(source.groups(name)) for name in names})
        self._not_of_pypi |= names

    def keep_to_conda(self, names: Collection[str]) -> None:
        """Offer under these names nothing of PyPI."""
        self._not_of_pypi |= set(names)

    def groups(self, name: str) -> Sequence[CandidateGroup]:
        """What is offered under a name, first channel first."""
        groups = self._groups.get(name)
        if groups is None:
            groups = tuple(
                SubdirGroup(data, name, rank)
                for data, rank in zip(self.subdirs, self._ranks, strict=True)
                if data.has(name)
            )
            if self._pypi is not None and name not in self._not_of_pypi:
                groups = tuple(sorted((*groups, *self._pypi.groups(name)), key=lambda group: group.rank))
            self._groups[name] = groups
        return groups

    def read_ahead(self, wanted: Sequence[tuple[CandidateGroup, int]]) -> None:
        """Fetch at once what reading these candidates will need."""
        if self._pypi is not None:
            self._pypi.read_ahead(wanted)

    @property
    def platforms(self) -> tuple[str, ...]:
        """The subdirs that were looked through, each once."""
        pypi = () if self._pypi is None else self._pypi.subdirs
        return tuple(dict.fromkeys((*(data.subdir for data in self.subdirs), *pypi)))

    def near_names(self, name: str) -> Sequence[str]:
        """Names on offer that look like this one, best first."""
        return find_near_names(name, self.names())

    def names(self) -> Collection[str]:
        """The names of all packages on offer, each once, in no particular order.

        Of indexes of Python packages those alone that are known without asking for the list of hundreds of thousands.
        """
        pypi = set() if self._pypi is None else self._pypi.names_at_hand()
        return {name for data in self.subdirs for name in data.names()} | pypi

    def records(self, name: str) -> list[RepoDataRecord]:
        """All records of a name, first channel first."""
        if self._shards is not None:
            self._shards.load_everywhere((name,))
        return [*(record for data in self.subdirs for record in data.records(name)), *self._pypi_records(name)]

    def _pypi_records(self, name: str) -> list[RepoDataRecord]:
        return [] if self._pypi is None else self._pypi.records(name)

    def query(self, spec: MatchSpec) -> list[RepoDataRecord]:
        """The records that a spec matches, by name and version, oldest first.

        Where a pattern matches very many names of a subdir in shards, the whole subdir is read instead; TooManyShards
        if the channel does not offer that.
        """
        names = [spec.name] if spec.name is not None else list(self.names())
        glob = spec.name_glob
        if glob is not None:
            names = [name for name in names if glob.matches(name)]
        subdirs = [self._for_query(data, names, spec) for data in self.subdirs]
        if self._shards is not None:
            kept = {id(data) for data in subdirs}
            self._shards.load_everywhere(names, [data for data in self.subdirs if id(data) in kept])
        if self._pypi is not None:
            self._pypi.admit((spec,))
        return find_records(
            spec,
            names,
            lambda name: [*(record for data in subdirs for record in data.records(name)), *self._pypi_records(name)],
        )

    def _for_query(self, data: ChannelSubdir, names: Sequence[str], spec: MatchSpec) -> ChannelSubdir:
        """A subdir, or the whole of it when too much of it would have to be fetched in shards."""
        if not isinstance(data, ShardedData) or len(names) <= _MOST_SHARDS:
            return data
        lacking = sum(data.has(name) and data.lacks(name) for name in names)
        if lacking <= _MOST_SHARDS:
            return data
        whole = data.open_whole()
        if whole is None:
            raise TooManyShards(data.shown, str(spec), lacking)
        return whole

    def _tell_of_shards(self, traffic: ShardTraffic) -> None:
        if traffic.fetched:
            self._report(Note(f"fetched {traffic.fetched} shards, and waited for them {traffic.waits} times"))
        left_out = {name: None for data in self.subdirs if isinstance(data, ShardedData) for name in data.left_out}
        if left_out:
            shown = ", ".join(sorted(left_out)[:_SHOWN])
            more = f" and {len(left_out) - _SHOWN} more" if len(left_out) > _SHOWN else ""
            self._report(
                Warned(
                    f"kaa works offline, and what the channels offer of {shown}{more} is not on this machine; "
                    "run the command once without --offline"
                )
            )


def open_index(
    channels: Sequence[Channel],
    subdirs: Sequence[str],
    *,
    cache_directory: Path,
    client: HttpClient,
    reporter: Reporter = silent,
    settings: IndexSettings | None = None,
    related_channels: RelatedChannels | None = None,
    pypi: Callable[[], PypiSettings] | None = None,
) -> Index:
    """Open what `channels` offer for `subdirs` (a platform and noarch), fetching what is not fresh.

    A channel without one of the subdirs is fine; one without any raises ChannelNotFound. With `related_channels` the
    channels that these name join them (CEP 42). Indexes of Python packages are left out unless `pypi` says how to read
    them.
    """
    every = tuple(dict.fromkeys(channels))
    chosen = tuple(channel for channel in every if not channel.is_pypi)
    subdirs = tuple(dict.fromkeys(subdirs))
    report = _one_at_a_time(reporter)
    settings = settings or IndexSettings()
    sources = Sources(cache_directory, client, settings, report)

    def open_channels(channels: Sequence[Channel]) -> list[ChannelSubdir]:
        return _open_channels(channels, subdirs, sources, report)

    found = open_channels(chosen)
    if related_channels is None:
        note_relations(found, report)
    else:
        chosen, found = follow_relations(chosen, found, open_channels, related_channels, report)
    if pypi is None or not any(channel.is_pypi for channel in every):
        ranks = [chosen.index(data.channel) for data in found]
        return Index(found, ranks, only_first_channel=settings.only_first_channel, reporter=report)
    order = _in_order(every, chosen)
    ranks = [order.index(data.channel) for data in found]
    opening = importlib.import_module("kaa.index.pypi_source")
    source: PypiSource = opening.open_pypi(
        [(channel, rank) for rank, channel in enumerate(order) if channel.is_pypi],
        subdirs,
        pypi(),
        has_before=lambda name, rank: any(
            own < rank and data.has(name) for data, own in zip(found, ranks, strict=True)
        ),
        cache_directory=cache_directory,
        client=client,
        settings_of_index=settings,
        reporter=report,
    )
    return Index(found, ranks, only_first_channel=settings.only_first_channel, reporter=report, pypi=source)


def _in_order(asked: Sequence[Channel], found: Sequence[Channel]) -> list[Channel]:
    """The channels that were found to be in play, with each index of Python packages behind the one before it."""
    order = list(found)
    for place, channel in enumerate(asked):
        if channel.is_pypi:
            order.insert(order.index(asked[place - 1]) + 1 if place else 0, channel)
    return order


def _open_channels(
    channels: Sequence[Channel], subdirs: Sequence[str], sources: Sources, report: Reporter
) -> list[ChannelSubdir]:
    """The subdirs that there are of some channels, first channel first."""
    if not channels:
        return []
    started = time.monotonic()
    report(StageStarted(STAGE, len(channels) * len(subdirs)))
    wanted = [_Wanted(channel, subdir, sources.source(channel, subdir)) for channel in channels for subdir in subdirs]
    opened = _open_all(wanted, report)
    _check_channels(channels, wanted, opened, report)
    report(StageFinished(STAGE, time.monotonic() - started))
    data: list[ChannelSubdir] = []
    for one, result in zip(wanted, opened, strict=True):
        if isinstance(result, OpenedShards):
            data.append(ShardedData(one.channel, one.subdir, one.source, result, report))
        elif isinstance(result, Opened):
            data.append(SubdirData(one.channel, one.subdir, one.source, result, report))
    return data


class _Wanted(msgspec.Struct, frozen=True):
    channel: Channel
    subdir: str
    source: SubdirSource

    @property
    def shown(self) -> str:
        return f"{self.channel.name}/{self.subdir}"


def _open_all(wanted: Sequence[_Wanted], report: Reporter) -> list[Opened | OpenedShards | Absent]:
    """First what is on this machine, then all others at once: their time is spent waiting for servers."""
    found: dict[int, Opened | OpenedShards | Absent] = {}
    for number, one in enumerate(wanted):
        fresh = one.source.find_fresh()
        if fresh is not None:
            found[number] = fresh
            report(StageAdvanced(STAGE, one.shown))

    def open_one(number: int) -> Opened | OpenedShards | Absent:
        opened = wanted[number].source.open()
        report(StageAdvanced(STAGE, wanted[number].shown))
        return opened

    for number, one in enumerate(wanted):
        if number not in found and isinstance(one.source, LocalSource):
            found[number] = open_one(number)
    missing = [number for number in range(len(wanted)) if number not in found]
    if len(missing) > 1:
        make_decoders(shards=False)
        make_decoders(shards=True)
    found.update(zip(missing, map_in_threads(open_one, missing, workers=_AT_ONCE), strict=True))
    return [found[number] for number in range(len(wanted))]


def _check_channels(
    channels: Sequence[Channel],
    wanted: Sequence[_Wanted],
    opened: Sequence[Opened | OpenedShards | Absent],
    report: Reporter,
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
    if uncached and all(isinstance(result, Absent) for result in opened):
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
