"""Channels that the user's channels name (CEP 42): read what they say, open them too, put all in order.

Nothing here happens unasked: a channel that a user did not name is opened only where the configuration says so, and the
user is told first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from kaa.errors import KaaError
from kaa.events import Note, Reporter, Warned
from kaa.index.subdir_data import ChannelSubdir
from kaa.models.channel import Channel
from kaa.models.channel_relations import DEFAULT_MAX_DEPTH, find_related, order_channels
from kaa.models.repodata import ChannelRelations

OpenChannels: TypeAlias = Callable[[Sequence[Channel]], list[ChannelSubdir]]
"""Opens some channels; raises what `kaa.index.index.open_index` raises."""


class RelatedChannels(msgspec.Struct, frozen=True):
    """How the relations of channels are followed."""

    find_channel: Callable[[str, Channel], Channel]
    """The channel with a base URL, which another channel named; raises when it may not be used."""
    max_depth: int = DEFAULT_MAX_DEPTH


class RelatedChannelUnusable(KaaError):
    """A channel that another one brought in cannot be read."""

    conda_name = "UnavailableInvalidChannel"

    def __init__(self, channel: Channel, declarer: Channel, cause: KaaError) -> None:
        self.channel = channel.name
        self.declarer = declarer.name
        super().__init__(
            f"{declarer.name} brings in the channel {channel.name}, which cannot be used: {cause.message}",
            hints=(
                "use the channel without its relations: set follow_channel_relations to false",
                f"name {channel.name} yourself, or another channel in its place, to see more",
            ),
        )


def follow_relations(
    channels: Sequence[Channel],
    opened: Sequence[ChannelSubdir],
    open_channels: OpenChannels,
    related_channels: RelatedChannels,
    report: Reporter,
) -> tuple[tuple[Channel, ...], list[ChannelSubdir]]:
    """All channels, in order, and their subdirs, after the relations of `opened` and of what they lead to.

    Raises what `kaa.models.channel_relations.order_channels` raises, and RelatedChannelUnusable.
    """
    by_url = {channel.base_url: channel for channel in channels}
    users = list(by_url)
    found = list(opened)
    while True:
        declared = _declared(found)
        related = find_related(users, declared, related_channels.max_depth)
        new = {base_url: edge for base_url, edge in related.items() if base_url not in by_url}
        if not new:
            break
        # A contradiction is told before anything more is fetched.
        order_channels(users, declared, related_channels.max_depth)
        declarers = {base_url: by_url[edge.declarer] for base_url, edge in new.items() if edge.declarer}
        for base_url, declarer in declarers.items():
            by_url[base_url] = channel = related_channels.find_channel(base_url, declarer)
            place = "before it" if new[base_url].before == base_url else "behind it"
            report(Warned(f"{declarer.name} brings in the channel {channel.name}, {place}"))
        for base_url, declarer in declarers.items():
            found += _open_one(by_url[base_url], declarer, open_channels)
    order = order_channels(users, declared, related_channels.max_depth)
    ranks = {base_url: number for number, base_url in enumerate(order)}
    found.sort(key=lambda data: ranks[data.channel.base_url])
    return tuple(by_url[base_url] for base_url in order), found


def note_relations(opened: Sequence[ChannelSubdir], report: Reporter) -> None:
    """Tell those who want to know everything that there are relations which are not followed."""
    for name in dict.fromkeys(data.channel.name for data in opened if _says_something(data.channel_relations)):
        report(Note(f"{name} names other channels to be used with it; --follow-channel-relations does so"))


def _says_something(relations: ChannelRelations | None) -> bool:
    return relations is not None and (relations.base is not None or relations.overrides is not None)


def _declared(opened: Sequence[ChannelSubdir]) -> dict[str, list[ChannelRelations]]:
    """What the channels say, each in all of its subdirs."""
    declared: dict[str, list[ChannelRelations]] = {}
    for data in opened:
        if data.channel_relations is not None:
            declared.setdefault(data.channel.base_url, []).append(data.channel_relations)
    return declared


def _open_one(channel: Channel, declarer: Channel, open_channels: OpenChannels) -> list[ChannelSubdir]:
    try:
        return open_channels([channel])
    except KaaError as error:
        raise RelatedChannelUnusable(channel, declarer, error) from error
