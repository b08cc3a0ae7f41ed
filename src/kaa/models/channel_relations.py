"""Channels that name other channels: which ones join a user's list, and where in it they stand (CEP 42).

Channels are given by their base URLs, as in `kaa.models.channel`. A channel's base comes before it, the channel that it
overrides behind it; the order that a user gave is never changed.

>>> bioconda = {"https://host/bioconda": [ChannelRelations(base="../conda-forge")]}
>>> order_channels(["https://host/mine", "https://host/bioconda"], bioconda)
('https://host/mine', 'https://host/conda-forge', 'https://host/bioconda')
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

import msgspec

from kaa.errors import KaaError
from kaa.models.channel import normalize_url
from kaa.models.pattern import Pattern
from kaa.models.repodata import ChannelRelations

DEFAULT_MAX_DEPTH = 10
"""How many steps away from a channel that a user named relations may lead (CEP 42)."""

Declared: TypeAlias = Mapping[str, Sequence[ChannelRelations]]
"""What channels say of others: one value for each subdir that says something, the platform's first."""

_REFERENCE = Pattern(r"\.\./(?P<path>[^/]+(/[^/]+)*)?/?")
_NOT_IN_NAMES = Pattern(r"[\x00-\x20\x7f\\?#:@]|%2e|%2f|%5c", re.IGNORECASE)
_SHOWN = 200
_LEAVE_THEM = "use the channel without its relations: set follow_channel_relations to false"


class InvalidChannelRelation(KaaError, ValueError):
    """What a channel says of another cannot be followed."""

    conda_name = "ChannelError"

    def __init__(self, channel: str, text: str, reason: str) -> None:
        self.channel = channel
        self.text = text
        self.reason = reason
        super().__init__(
            f"the channel {channel} has a relation that cannot be followed: {text}: {reason}",
            hints=(_LEAVE_THEM, "tell those who keep the channel"),
        )


class ChannelRelationsTooDeep(KaaError):
    """Relations lead further away from the user's channels than is allowed."""

    conda_name = "ChannelError"

    def __init__(self, path: Sequence[str], max_depth: int) -> None:
        self.path = tuple(path)
        self.max_depth = max_depth
        super().__init__(
            f"the relations of channels lead further than {max_depth} steps: {' → '.join(path)}",
            hints=("allow more with channel_relations_max_depth, if that is wanted", _LEAVE_THEM),
        )


class ChannelRelationCycle(KaaError):
    """The relations of channels, and the order that the user gave, contradict each other."""

    conda_name = "ChannelError"

    def __init__(self, edges: Sequence[Edge]) -> None:
        self.channels = tuple(edge.before for edge in edges)
        super().__init__(
            f"the relations of channels go round in a circle: {'; '.join(map(str, edges))}",
            hints=("name all these channels yourself, in the order that you want: that order counts", _LEAVE_THEM),
        )


class Edge(msgspec.Struct, frozen=True):
    """One channel comes before another."""

    before: str
    after: str
    declarer: str | None
    """The channel that says so; None for the user."""

    @property
    def other(self) -> str:
        """The channel that the declarer speaks of."""
        return self.after if self.before == self.declarer else self.before

    def __str__(self) -> str:
        source = "as you said" if self.declarer is None else f"says {self.declarer}"
        return f"{self.before} comes before {self.after}, {source}"


def resolve_reference(channel: str, reference: str) -> str:
    """The base URL that a relation of the channel with the base URL `channel` means. Raises InvalidChannelRelation.

    >>> resolve_reference("https://host/conda-forge/label/rc", "../..")
    'https://host/conda-forge'
    """
    text = ascii(reference[:_SHOWN])
    if not _REFERENCE.fullmatch(reference):
        raise InvalidChannelRelation(channel, text, "it must be a relative path that begins with ../")
    scheme, _, rest = channel.partition("://")
    host, *segments = rest.split("/")
    for segment in reference.rstrip("/").split("/"):
        if segment == "..":
            if not segments:
                raise InvalidChannelRelation(channel, text, "it leads out of the server")
            segments.pop()
        elif segment.startswith((".", "~")) or _NOT_IN_NAMES.search(segment):
            raise InvalidChannelRelation(channel, text, f"{segment!a} is not part of a channel's name")
        else:
            segments.append(segment)
    if not host and not segments:
        raise InvalidChannelRelation(channel, text, "it leads to the root of the disk")
    resolved = normalize_url("/".join([f"{scheme}://{host}", *segments]))
    if resolved == channel:
        raise InvalidChannelRelation(channel, text, "it is the channel itself")
    return resolved


def edges_of(channel: str, declared: Iterable[ChannelRelations]) -> tuple[Edge, ...]:
    """The relations that a channel declares in its subdirs, each once. Raises InvalidChannelRelation."""
    found: dict[Edge, None] = {}
    for relations in declared:
        base = resolve_reference(channel, relations.base) if relations.base is not None else None
        overrides = resolve_reference(channel, relations.overrides) if relations.overrides is not None else None
        if base is not None:
            if base == overrides:
                raise InvalidChannelRelation(
                    channel, ascii(relations.base)[:_SHOWN], "it is both above and below the channel"
                )
            found[Edge(base, channel, channel)] = None
        if overrides is not None:
            found[Edge(channel, overrides, channel)] = None
    return tuple(found)


def find_related(users: Sequence[str], declared: Declared, max_depth: int = DEFAULT_MAX_DEPTH) -> dict[str, Edge]:
    """The channels to which relations lead from those of the user: by base URL, how the first path to it ends.

    The nearest first. `declared` may know only some channels yet: call again when it knows those that were found.
    Raises InvalidChannelRelation, ChannelRelationsTooDeep.
    """
    found: dict[str, Edge] = {}
    if max_depth == 0:
        return found
    depths = dict.fromkeys(users, 0)
    for channel in (waiting := list(depths)):
        for edge in edges_of(channel, declared.get(channel, ())):
            if edge.other in depths:
                continue
            depths[edge.other] = depths[channel] + 1
            found[edge.other] = edge
            if depths[edge.other] > max_depth:
                raise ChannelRelationsTooDeep(_path_to(edge.other, found), max_depth)
            waiting.append(edge.other)
    return found


def _path_to(channel: str, found: Mapping[str, Edge]) -> list[str]:
    path = [channel]
    while (edge := found.get(path[-1])) is not None and edge.declarer is not None:
        path.append(edge.declarer)
    return path[::-1]


def order_channels(users: Sequence[str], declared: Declared, max_depth: int = DEFAULT_MAX_DEPTH) -> tuple[str, ...]:
    """The user's channels and all that their relations lead to, the most important first.

    The user's order stays, whatever relations say; a channel that relations bring in stands next to the one that named
    it, where that is possible. `max_depth` 0 follows no relations. Raises InvalidChannelRelation,
    ChannelRelationsTooDeep, ChannelRelationCycle.
    """
    users = tuple(dict.fromkeys(users))
    related = find_related(users, declared, max_depth)
    if not related:
        return users
    rank = {channel: number for number, channel in enumerate(users)}
    edges = [Edge(before, after, None) for before, after in pairwise(users)]
    for channel in (*users, *related):
        for edge in edges_of(channel, declared.get(channel, ())):
            contradicts = rank.get(edge.before, -1) > rank.get(edge.after, len(users))
            if not contradicts:
                edges.append(edge)
    _check_circles((*users, *related), edges)
    return _Placement(users, edges).order()


def _check_circles(channels: Iterable[str], edges: Sequence[Edge]) -> None:
    """Raise ChannelRelationCycle unless the edges can all hold."""
    remaining = dict.fromkeys(channels)
    while True:
        blocked = {edge.after: edge for edge in edges if edge.before in remaining and edge.after in remaining}
        free = [channel for channel in remaining if channel not in blocked]
        if not free:
            break
        for channel in free:
            del remaining[channel]
    if not remaining:
        return
    # Everything that remains has something before it: going back, one comes to the same place again.
    path = [next(iter(remaining))]
    while path.index(path[-1]) == len(path) - 1:
        path.append(blocked[path[-1]].before)
    circle = path[path.index(path[-1]) + 1 :]
    raise ChannelRelationCycle([blocked[channel] for channel in reversed(circle)])


class _Placement:
    """Puts channels in an order that the edges allow: bases right before the one that names them, others behind it."""

    def __init__(self, users: Sequence[str], edges: Iterable[Edge]) -> None:
        self._users = users
        self._before: dict[str, list[str]] = {}
        self._after: dict[str, list[str]] = {}
        for edge in edges:
            self._before.setdefault(edge.after, []).append(edge.before)
            if edge.declarer is not None:
                self._after.setdefault(edge.before, []).append(edge.after)
        self._placed: dict[str, None] = {}

    def order(self) -> tuple[str, ...]:
        for channel in self._users:
            self._place(channel)
            self._place_followers()
        return tuple(self._placed)

    def _place(self, channel: str) -> None:
        """Put a channel behind everything that must come before it."""
        waiting = [channel]
        while waiting:
            missing = [before for before in self._before.get(waiting[-1], ()) if before not in self._placed]
            if missing:
                waiting.append(missing[0])
            else:
                self._placed[waiting.pop()] = None

    def _place_followers(self) -> None:
        """Put in what must come behind the placed ones and need not wait for a channel of the user; nearest first."""
        pending = list(self._placed)
        while pending:
            channel = pending.pop()
            for follower in self._after.get(channel, ()):
                if follower not in self._placed and not self._waits_for_user(follower):
                    start = len(self._placed)
                    self._place(follower)
                    pending += [channel, *list(self._placed)[start:]]
                    break

    def _waits_for_user(self, channel: str) -> bool:
        seen = {channel}
        for one in (waiting := [channel]):
            if one in self._users:
                return True
            missing = {before for before in self._before.get(one, ()) if before not in self._placed} - seen
            seen |= missing
            waiting += sorted(missing)
        return False
