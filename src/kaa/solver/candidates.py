"""What the solver asks of the world: the candidates of a name, as columns, and where they come from.

A *group* is what one channel subdir offers under one name. Its candidates stand in order of preference (no
track_features first, then version, build number and timestamp, each highest first, then the dist string), and its
`Columns` say all that a search needs without decoding a single record: hundreds of builds of one package share a few
dozen dependency strings, so that each distinct string is kept once, with the set of candidates that carry it.

>>> record = RepoDataRecord(name="six", version="1.17.0", build="py_0", depends=("python >=3.9",))
>>> columns = columns_of([record])
>>> [need] = decode_needs(columns.depends, columns.count)
>>> decode_texts(columns.versions), need.name, need.rows[0][:2]
(['1.17.0'], 'python', (2, '>=3.9'))
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Protocol, TypeAlias

import msgspec

from kaa.errors import KaaError
from kaa.models.invalid_text import InvalidText
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.version import InvalidVersion
from kaa.solver.ranges import EVERYTHING, Ranges, pack_version

COLUMNS_VERSION = 5
"""Of the layout of `Columns`: what was stored with another number is made anew."""

ABSENT = 1
"""The state "not installed": bit 0 of every set of states. Candidate number i (from 0) is bit i + 1."""


Ask: TypeAlias = tuple[str, tuple[bytes, ...]] | None
"""What a dependency string asks of a name: a build string ("" for any) and version bounds; None: read the text."""


Row: TypeAlias = tuple[int, str, Ask]
"""States of a name, what follows the other name in a dependency string that they carry, and what that asks."""

MOST_IN_A_NUMBER = 62
"""The sets of so many candidates and the state "not installed" are stored as numbers, larger ones as bytes."""


class Need(msgspec.Struct, array_like=True, frozen=True):
    """All distinct dependency strings on one name, without the name.

    A string whose name does not stand at its beginning (`channel::name`) is kept whole, under the name "". It is
    `irregular`, and so are those of which it is not known what they ask.
    """

    name: str
    irregular: bool
    rows: list[Row]


class StoredNeed(msgspec.Struct, array_like=True, frozen=True):
    """A need as columns hold it; large sets are little-endian numbers. Bit i + 1 is the candidate at position i."""

    name: str
    irregular: bool
    rows: list[tuple[int | bytes, str, Ask]]

    def shifted(self, shift: int) -> Need:
        """The need in terms of the states of a group whose stretch of bits begins there."""
        unpack = int.from_bytes
        return Need(
            self.name,
            self.irregular,
            [
                ((states if isinstance(states, int) else unpack(states, "little")) << shift, text, ask)
                for states, text, ask in self.rows
            ],
        )


NO_NUMBERS = msgspec.Raw(msgspec.msgpack.encode(()))
"""A column with nothing in it."""


class Columns(msgspec.Struct, array_like=True, frozen=True):
    """The candidates of a group in order of preference, by column.

    `versions` and `version_runs` are the texts of the versions and how many candidates follow each other with it;
    from position `featured` on stand the candidates with track_features. `keys` and `featured_keys` are the sort keys
    (`kaa.solver.ranges`) of the runs before and after that position, in ascending order. Candidates that tie in
    track_features, version and build number are next to each other: `ties` holds how many, and `build_numbers` their
    number. What is rarely needed stays undecoded: `order` maps a position to the place of the record among those that
    the columns were made from. Records whose version cannot be read are no candidates.
    """

    count: int
    keys: list[bytes]
    featured_keys: list[bytes]
    version_runs: list[int]
    featured: int
    depends: msgspec.Raw
    """Encoded `StoredNeed`s, as in `constrains`; they are decoded when a candidate is needed, most names never are."""
    constrains: msgspec.Raw
    versions: msgspec.Raw
    ties: msgspec.Raw
    build_numbers: msgspec.Raw
    builds: msgspec.Raw
    timestamps: msgspec.Raw
    order: msgspec.Raw
    extras: dict[str, list[StoredNeed]] = {}
    flags: dict[str, bytes] = {}
    unreadable: list[tuple[str, str]] = []
    """Dist strings of records with an unreadable version, and what is wrong with it."""
    indexed: msgspec.Raw = NO_NUMBERS
    """When the channel first offered each candidate, 0 where it does not say; none if it says so of no candidate."""
    unread: bytes = b""
    """The set of candidates (as in `sets_of`) of which `depends`, `constrains` and `extras` say only a part.

    The group is a `LazyGroup`, which reads the rest when a search is about to choose one of them. What they do say must
    hold, and counts before anything is read.
    """


class CandidateNeeds(msgspec.Struct, frozen=True):
    """What a candidate asks for beyond its columns."""

    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    extra_depends: Mapping[str, tuple[str, ...]] = {}


class UnusableCandidate(KaaError):
    """What a candidate asks for cannot be read, or is not to be believed: it cannot be chosen.

    The search goes on with others; `reason` stands in the explanation if there is no solution: "its metadata is
    damaged".
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class CandidateGroup(Protocol):
    """What one channel subdir offers under one name.

    Candidates that tie in version and build number are told apart by what their columns say of dependencies that all
    of them share (better is which admits the higher version), by the higher timestamp, and by the build string that
    sorts first. A group that prefers one of its files to another gives it the higher build number or timestamp, and
    says in `indexed` when it came to be on offer: cut-offs look there first.
    """

    @property
    def name(self) -> str: ...

    @property
    def channel(self) -> str:
        """The base URL of the channel."""

    @property
    def subdir(self) -> str: ...

    @property
    def rank(self) -> int:
        """The place of the channel in the order of channels, 0 for the first."""

    @property
    def columns(self) -> Columns:
        """The columns; asked for only when the name takes part in the search."""

    def record(self, position: int) -> RepoDataRecord:
        """The record at a position of the columns; of an unread candidate it says as much as they do."""


class LazyGroup(CandidateGroup, Protocol):
    """A group with candidates of which not everything is known before somebody reads it."""

    def read(self, position: int) -> CandidateNeeds:
        """What an unread candidate asks for in addition to its columns; raises UnusableCandidate.

        From then on `record` gives the complete record. One solve may ask for the same candidate more than once, and
        gets the same answer; any other error ends the solve.
        """


class CandidateSource(Protocol):
    """Where candidates come from."""

    def load(self, names: Collection[str]) -> None:
        """Make ready what is offered under these names; the search asks for all that it will need next at once."""

    def groups(self, name: str) -> Sequence[CandidateGroup]:
        """The groups of a name, first channel first; none when nobody offers it."""

    def near_names(self, name: str) -> Sequence[str]:
        """Names on offer that look like this one, best first."""


class LazySource(CandidateSource, Protocol):
    """A source that can make ready at once what several reads will need."""

    def read_ahead(self, wanted: Sequence[tuple[CandidateGroup, int]]) -> None:
        """Fetch what `read` of these candidates will need; what goes wrong is for `read` to tell.

        Every candidate that is read was among them before. Some of them may never be read, and a later search of the
        same solve may name some of them again.
        """


class RecordGroup:
    """A group made from records in memory."""

    __slots__ = ("_columns", "_order", "_ranges", "_records", "channel", "name", "rank", "subdir")

    def __init__(
        self,
        name: str,
        channel: str,
        subdir: str,
        rank: int,
        records: Sequence[RepoDataRecord],
        ranges: Ranges | None = None,
    ) -> None:
        self.name = name
        self.channel = channel
        self.subdir = subdir
        self.rank = rank
        self._records = records
        self._ranges = ranges
        self._columns: Columns | None = None
        self._order: list[int] = []

    @property
    def columns(self) -> Columns:
        if self._columns is None:
            self._columns = columns_of(self._records, self._ranges)
            self._order = decode_numbers(self._columns.order)
        return self._columns

    def record(self, position: int) -> RepoDataRecord:
        columns = self.columns
        assert position < columns.count
        return self._records[self._order[position]]


class RecordSource:
    """Candidates from records in memory; the order of the mapping is the order of the channels."""

    def __init__(self, channels: Mapping[str, Iterable[RepoDataRecord]]) -> None:
        grouped: dict[str, dict[tuple[int, str, str], list[RepoDataRecord]]] = {}
        for rank, (channel, records) in enumerate(channels.items()):
            for record in records:
                grouped.setdefault(record.name, {}).setdefault((rank, channel, record.subdir), []).append(record)
        ranges = Ranges()
        self._groups: dict[str, tuple[RecordGroup, ...]] = {
            name: tuple(
                RecordGroup(name, channel, subdir, rank, places[rank, channel, subdir], ranges)
                for rank, channel, subdir in sorted(places)
            )
            for name, places in grouped.items()
        }

    def load(self, names: Collection[str]) -> None:
        """Nothing to do: everything is in memory."""

    def groups(self, name: str) -> Sequence[CandidateGroup]:
        return self._groups.get(name, ())

    def near_names(self, name: str) -> Sequence[str]:
        close: list[str] = importlib.import_module("difflib").get_close_matches(
            name, sorted(self._groups), n=5, cutoff=0.7
        )
        return close


NAME_AT_START = re.compile(r"\s*([A-Za-z0-9_.\-]+)(?=$|[\s=<>!~\[])")


def split_dependency(text: str) -> tuple[str, str]:
    """The name of a dependency string, and the rest of it; ("", text) when the name does not come first.

    >>> split_dependency("python >=3.9,<3.10.0a0"), split_dependency("six"), split_dependency("defaults::six >=1")
    (('python', '>=3.9,<3.10.0a0'), ('six', ''), ('', 'defaults::six >=1'))
    """
    match = NAME_AT_START.match(text)
    if match is None:
        return "", text
    return match[1].lower(), text[match.end() :].strip()


def dependency_text(name: str, rest: str) -> str:
    """A dependency string of its two halves (see `split_dependency`)."""
    if not name or not rest:
        return name + rest
    return name + rest if rest[0] == "[" else f"{name} {rest}"


def columns_of(records: Sequence[RepoDataRecord], ranges: Ranges | None = None) -> Columns:
    """The columns of the records that one channel subdir offers under one name.

    Who makes the columns of many names saves time with one `ranges` for all: most version ranges are common.
    """
    if ranges is None:
        ranges = Ranges()
    packed, unreadable_versions = pack_versions({record.version for record in records})
    ranks = {key: rank for rank, key in enumerate(sorted(set(packed.values())))}
    keys = []
    for place, record in enumerate(records):
        version = packed.get(record.version)
        if version is not None:
            rank = -ranks[version]
            time = -(record.timestamp or 0)
            featured = bool(record.track_features)
            keys.append((featured, rank, -record.build_number, time, record.build, record.version, record.fn, place))
    keys.sort()
    ordered = [records[key[-1]] for key in keys]
    runs = [(key, len(list(run))) for key, run in groupby(keys, lambda key: (key[0], key[5]))]
    ties = [(key[2], len(list(run))) for key, run in groupby(keys, lambda key: key[:3])]
    return Columns(
        count=len(ordered),
        keys=[packed[text] for (featured, text), _ in reversed(runs) if not featured],
        featured_keys=[packed[text] for (featured, text), _ in reversed(runs) if featured],
        version_runs=[length for _, length in runs],
        featured=sum(length for (featured, _), length in runs if not featured),
        depends=encode(needs_of([record.depends for record in ordered], ranges)),
        constrains=encode(needs_of([record.constrains for record in ordered], ranges)),
        versions=encode([text for (_, text), _ in runs]),
        ties=encode([length for _, length in ties]),
        build_numbers=encode([-number for number, _ in ties]),
        builds=encode([record.build for record in ordered]),
        timestamps=encode([record.timestamp or 0 for record in ordered]),
        order=encode([key[-1] for key in keys]),
        extras=extras_of(ordered, ranges),
        flags=sets_of([record.flags for record in ordered]),
        unreadable=sorted(
            (record.dist, unreadable_versions[record.version])
            for record in records
            if record.version in unreadable_versions
        ),
        indexed=indexed_times(ordered),
    )


def indexed_times(ordered: Sequence[RepoDataRecord]) -> msgspec.Raw:
    """The column of the times at which a channel first offered its packages (CEP 47)."""
    times = [record.indexed_timestamp or 0 for record in ordered]
    return encode(times) if any(times) else NO_NUMBERS


def pack_versions(texts: Collection[str]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The sort key of each version text, and what is wrong with those that are no versions."""
    packed: dict[str, bytes] = {}
    unreadable: dict[str, str] = {}
    known: dict[str, bytes] = {}
    for text in texts:
        try:
            packed[text] = pack_version(text, known)
        except InvalidVersion as error:
            unreadable[text] = error.message
    return packed, unreadable


def states_of(texts_of_each: Sequence[Sequence[str]]) -> dict[str, int]:
    """For every distinct text the set of states that carry it. Most candidates carry the same texts as others do."""
    positions: dict[Sequence[str], list[int]] = {}
    for position, texts in enumerate(texts_of_each):
        found = positions.get(texts)
        if found is None:
            positions[texts] = [position]
        else:
            found.append(position)
    states: dict[str, int] = {}
    for texts, carriers in positions.items():
        own = 2 << carriers[0] if len(carriers) == 1 else int.from_bytes(pack(carriers), "little")
        for text in texts:
            states[text] = states.get(text, 0) | own
    return dict(sorted(states.items()))


def sets_of(texts_of_each: Sequence[Sequence[str]]) -> dict[str, bytes]:
    """For every distinct text the set of states that carry it, as a little-endian number."""
    return {text: in_bytes(states) for text, states in states_of(texts_of_each).items()}


def in_bytes(states: int) -> bytes:
    return states.to_bytes((states.bit_length() + 7) // 8, "little")


def pack(positions: Sequence[int]) -> bytes:
    """Positions in ascending order as a little-endian set of states."""
    packed = bytearray((positions[-1] + 1) // 8 + 1)
    for position in positions:
        state = position + 1
        packed[state >> 3] |= 1 << (state & 7)
    return bytes(packed)


def needs_of(texts_of_each: Sequence[Sequence[str]], ranges: Ranges) -> list[StoredNeed]:
    """The distinct dependency strings by the name they ask for."""
    by_name: dict[str, list[tuple[int | bytes, str, Ask]]] = {}
    in_numbers = len(texts_of_each) <= MOST_IN_A_NUMBER
    for text, states in states_of(texts_of_each).items():
        name, rest = split_dependency(text)
        row = (states if in_numbers else in_bytes(states), rest, ask_of(name, rest, ranges))
        by_name.setdefault(name, []).append(row)
    return [
        StoredNeed(name, not name or any(ask is None for _, _, ask in rows), rows)
        for name, rows in sorted(by_name.items())
    ]


def needs_of_one(state: int, texts: Iterable[str], ranges: Ranges) -> list[Need]:
    """The dependency strings that a single state carries, by the name they ask for."""
    by_name: dict[str, list[Row]] = {}
    for text in dict.fromkeys(texts):
        name, rest = split_dependency(text)
        by_name.setdefault(name, []).append((state, rest, ask_of(name, rest, ranges)))
    return [Need(name, is_irregular(name, rows), rows) for name, rows in by_name.items()]


def is_irregular(name: str, rows: Iterable[Row]) -> bool:
    return not name or any(ask is None for _, _, ask in rows)


def with_needs(needs: Iterable[Need], more: Iterable[Need]) -> list[Need]:
    """All needs together, by name; the given ones stay as they are."""
    found = {need.name: need for need in needs}
    for need in more:
        before = found.get(need.name)
        if before is not None:
            rows = {rest: (states, rest, ask) for states, rest, ask in before.rows}
            for states, rest, ask in need.rows:
                rows[rest] = (states | (rows[rest][0] if rest in rows else 0), rest, ask)
            need = Need(need.name, before.irregular or need.irregular, list(rows.values()))
        found[need.name] = need
    return [need for _, need in sorted(found.items())]


def ask_of(name: str, rest: str, ranges: Ranges) -> Ask:
    """What a dependency string means, if that can be said with a build string and bounds."""
    if not name or "[" in rest:
        return None
    try:
        version, build = read_plain(rest)
        bounds = EVERYTHING if version is None else ranges.bounds(version)
    except InvalidText:
        return None
    return None if bounds is None else (build, bounds)


PLAIN_REST = re.compile(
    r"(?P<version>(?:[<>]=?|==|!=|~=|=)?[0-9A-Za-z._+!*-]+(?:[,|](?:[<>]=?|==|!=|~=|=)?[0-9A-Za-z._+!*-]+)*)"
    r"(?:\s+(?P<build>[0-9A-Za-z._+*]+))?"
)
"""The usual shapes of a dependency string after its name: a version range, and perhaps a build string."""


def read_plain(rest: str) -> tuple[str | None, str]:
    """The version range (None for any) and the build string ("" for any) that follow a name; raises InvalidText."""
    if not rest or rest == "*":
        return None, ""
    match = PLAIN_REST.fullmatch(rest)
    # `=1.8 build` is one exact version in practice; the full parser knows such things.
    if match is not None and (match["build"] is None or rest[0] != "=" or rest[1] == "="):
        version, build = match["version"], match["build"]
    else:
        spec = MatchSpec.parse(f"x {rest}", lenient=True)
        version = None if spec.version is None else str(spec.version)
        build = None if spec.build is None else str(spec.build)
    return None if version == "*" else version, "" if build is None or build == "*" else build


def extras_of(ordered: Sequence[RepoDataRecord], ranges: Ranges) -> dict[str, list[StoredNeed]]:
    """The dependency strings that each extra adds (CEP 44)."""
    groups = sorted({group for record in ordered for group in record.extra_depends})
    return {group: needs_of([record.extra_depends.get(group, ()) for record in ordered], ranges) for group in groups}


def encode(values: Sequence[int] | Sequence[str] | Sequence[StoredNeed]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(values))


numbers_decoder = msgspec.msgpack.Decoder(list[int])
texts_decoder = msgspec.msgpack.Decoder(list[str])
needs_decoder = msgspec.msgpack.Decoder(list[Need])
stored_needs_decoder = msgspec.msgpack.Decoder(list[StoredNeed])


def decode_needs(raw: msgspec.Raw, count: int, shift: int = 0) -> list[Need]:
    """A column of dependency strings of so many candidates, whose stretch of bits begins there."""
    if not shift and count <= MOST_IN_A_NUMBER:
        return needs_decoder.decode(raw)
    return [need.shifted(shift) for need in stored_needs_decoder.decode(raw)]


def decode_numbers(raw: msgspec.Raw) -> list[int]:
    """A column of numbers."""
    return numbers_decoder.decode(raw)


def decode_texts(raw: msgspec.Raw) -> list[str]:
    """A column of texts."""
    return texts_decoder.decode(raw)
