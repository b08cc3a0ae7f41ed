"""Which other platforms have a package, as far as that is known without asking a server."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from kaa.api.session import Session
from kaa.config.values import index_settings
from kaa.index.index import ChannelNotFound, ChannelsNotCached, Index, TooManyShards, open_index
from kaa.index.sharded_data import ShardNotCached
from kaa.models.channel import Channel
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.subdir import KNOWN_SUBDIRS, NOARCH
from kaa.solver.failures import PackagesNotFound
from kaa.solver.spelling import spell


def located(
    session: Session, error: PackagesNotFound, channels: Sequence[Channel], searched: Collection[str]
) -> PackagesNotFound:
    """The error with where it was looked for, and where it might have been found."""
    elsewhere = platforms_with(session, channels, error.specs, searched)
    return error.searched([channel.name for channel in channels], tuple(searched), elsewhere)


def platforms_with(
    session: Session, channels: Sequence[Channel], specs: Iterable[MatchSpec], searched: Collection[str]
) -> Mapping[str, Sequence[str]]:
    """By spec, as people write it, the platforms for which a channel has it; only what is in the cache is read."""
    found: dict[str, list[str]] = {}
    for subdir, index in open_elsewhere(session, channels, searched):
        for spec in specs:
            if query_known(index, spec):
                found.setdefault(spell(spec), []).append(subdir)
    return found


def open_elsewhere(
    session: Session, channels: Sequence[Channel], searched: Collection[str]
) -> Iterator[tuple[str, Index]]:
    """What the channels offer for other platforms than those that were searched; only what is in the cache is read."""
    settings = replace(index_settings(session.config), offline=True)
    for subdir in KNOWN_SUBDIRS:
        if subdir == NOARCH or subdir in searched:
            continue
        try:
            index = open_index(
                channels,
                (subdir,),
                cache_directory=session.package_cache.index_directory(),
                client=session.client,
                settings=settings,
            )
        except (ChannelNotFound, ChannelsNotCached):
            continue
        yield subdir, index


def query_known(index: Index, spec: MatchSpec) -> list[RepoDataRecord]:
    """The records that a spec matches, as far as they are on this machine: of shards only some may be."""
    try:
        return index.query(spec)
    except (ShardNotCached, TooManyShards):
        return []
