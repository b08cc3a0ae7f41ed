"""The candidates of a name as bits of one integer, and what a spec means among them.

Bit 0 is "not installed". Each group of a name (a channel subdir) has a stretch of bits of its own, in the order of its
columns; a version range is found in it by bisection over the runs of equal versions, a build string is looked at only
inside of that, and records are decoded only for specs that ask for more than that.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import cast

import msgspec

from kaa.models.condition import Condition
from kaa.models.match_spec import MatchSpec, channel_matches
from kaa.models.record import RepoDataRecord
from kaa.models.string_match import StringMatch
from kaa.models.version import Version
from kaa.models.version_spec import VersionSpec
from kaa.solver.candidates import (
    Ask,
    CandidateGroup,
    CandidateNeeds,
    LazyGroup,
    Need,
    UnusableCandidate,
    decode_needs,
    decode_numbers,
    decode_texts,
    needs_of_one,
    pack,
    read_plain,
    with_needs,
)
from kaa.solver.ranges import EVERYTHING, Ranges

MOST_LOOKED_AT = 12
"""Among so many candidates one build string is looked for in all of them; for more of them there is a table."""


class Query:
    """What is asked of the candidates of a name; the version as a text, `Ranges` knows what it means."""

    __slots__ = ("build", "spec", "version")

    def __init__(self, version: str | None, build: StringMatch | None, spec: MatchSpec | None = None) -> None:
        self.version = version
        self.build = build
        self.spec = spec
        """The whole spec, when it asks for more than version and build."""

    @property
    def when(self) -> Condition | None:
        return self.spec.when if self.spec is not None else None

    @property
    def extras(self) -> tuple[str, ...]:
        return self.spec.extras if self.spec is not None else ()


def query_of(spec: MatchSpec) -> Query:
    """What a spec asks of the candidates of its name."""
    simple = spec.is_simple and not spec.extras and spec.when is None
    version = None if spec.version is None else str(spec.version)
    return Query(version, spec.build, None if simple else spec)


def read_rest(name: str, rest: str) -> Query:
    """What a dependency string asks for, given what follows its name; raises InvalidText."""
    if "[" in rest:
        text = name + rest if rest[0] == "[" else f"{name} {rest}"
        return query_of(MatchSpec.parse(text, lenient=True))
    version, build = read_plain(rest)
    return Query(version, StringMatch(build) if build else None)


class ReadNeeds(msgspec.Struct, frozen=True):
    """What reading a candidate brought to light, in terms of the states of its name."""

    depends: list[Need]
    constrains: list[Need]
    extras: dict[str, list[Need]]


class Part:
    """The candidates of one group; candidate at position i of its columns is bit `shift` + i + 1."""

    __slots__ = (
        "_builds",
        "_by_build",
        "_constrains",
        "_depends",
        "_extras",
        "_lower_builds",
        "_ranges",
        "_starts",
        "_tie_numbers",
        "_tie_starts",
        "_times",
        "_timestamps",
        "_told",
        "_versions",
        "columns",
        "group",
        "mask",
        "plain",
        "shift",
    )

    def __init__(self, group: CandidateGroup, shift: int, ranges: Ranges) -> None:
        columns = group.columns
        self.group = group
        self.columns = columns
        self.shift = shift
        self.mask = ((1 << columns.count) - 1) << (shift + 1)
        self.plain = ((1 << columns.featured) - 1) << (shift + 1)
        """The candidates without track_features."""
        self._ranges = ranges
        self._starts = [0, *accumulate(columns.version_runs)]
        self._depends: list[Need] | None = None
        self._told: list[Need] | None = None
        self._constrains: list[Need] | None = None
        self._extras: dict[str, list[Need]] = {}
        self._versions: list[str] | None = None
        self._builds: list[str] | None = None
        self._lower_builds: list[str] | None = None
        self._by_build: dict[str, int] | None = None
        self._timestamps: list[int] | None = None
        self._times: list[int] | None = None
        self._tie_starts: list[int] = []
        self._tie_numbers: list[int] = []

    @property
    def depends(self) -> list[Need]:
        """The distinct dependency strings of these candidates, by name, as far as they are known by now."""
        if self._depends is None:
            self._depends = decode_needs(self.columns.depends, self.columns.count, self.shift)
        return self._depends

    @property
    def told(self) -> list[Need]:
        """Those that the columns tell: what is preferred must not hang on what happened to be read before."""
        return self.depends if self._told is None else self._told

    @property
    def constrains(self) -> list[Need]:
        """The distinct constraints of these candidates, by name."""
        if self._constrains is None:
            self._constrains = decode_needs(self.columns.constrains, self.columns.count, self.shift)
        return self._constrains

    def extra_needs(self, extra: str) -> list[Need]:
        """What an extra of these candidates adds, as far as it is known by now."""
        found = self._extras.get(extra)
        if found is None:
            found = [need.shifted(self.shift) for need in self.columns.extras.get(extra, ())]
            self._extras[extra] = found
        return found

    def take_in(self, state: int, needs: CandidateNeeds) -> ReadNeeds:
        """Know what one candidate asks for beyond the columns."""
        ranges = self._ranges
        found = ReadNeeds(
            needs_of_one(state, needs.depends, ranges),
            needs_of_one(state, needs.constrains, ranges),
            {extra: needs_of_one(state, texts, ranges) for extra, texts in needs.extra_depends.items()},
        )
        if self._told is None:
            self._told = self.depends
        self._depends = with_needs(self.depends, found.depends)
        self._constrains = with_needs(self.constrains, found.constrains)
        for extra, own in found.extras.items():
            self._extras[extra] = with_needs(self.extra_needs(extra), own)
        return found

    def matching(self, query: Query) -> int:
        """The candidates that a query asks for."""
        states = self.mask
        if query.version is not None:
            states = self._with_version(query.version)
        if states and query.build is not None:
            states = self._with_build(states, query.build.text)
        if states and query.spec is not None:
            states = self._with_the_rest(states, query.spec)
        return states

    def _with_the_rest(self, states: int, spec: MatchSpec) -> int:
        """Those that meet the fields of a spec beyond version and build."""
        if spec.channel is not None and not channel_matches(spec.channel, self.group.channel):
            return 0
        if spec.subdir is not None and not StringMatch(spec.subdir).matches(self.group.subdir):
            return 0
        for wanted in spec.flags:
            pattern = StringMatch(wanted)
            flagged = 0
            for flag, carriers in self.columns.flags.items():
                if pattern.matches(flag):
                    flagged |= int.from_bytes(carriers, "little")
            states &= flagged << self.shift
        if states and not msgspec.structs.replace(spec, channel=None, subdir=None, flags=()).is_simple:
            record = self.group.record
            states = self._where(states, [spec.matches(record(position)) for position in self.positions(states)])
        return states

    def asked(self, build: str, bounds: tuple[bytes, ...]) -> int:
        """The candidates with a build string (in "" any) and a version within bounds."""
        states = self.mask if bounds == EVERYTHING else self._within(bounds)
        return self._with_build(states, build) if build and states else states

    def _with_version(self, text: str) -> int:
        bounds = self._ranges.bounds(text)
        return self._with_version_text(VersionSpec(text)) if bounds is None else self._within(bounds)

    def _within(self, bounds: tuple[bytes, ...]) -> int:
        columns = self.columns
        keys, starts = columns.keys, self._starts
        if len(bounds) == 2 and not columns.featured_keys:
            # As `within` says; nearly all questions are of this kind.
            low, high = bounds
            place = bisect_left(keys, low)
            end = bisect_left(keys, high, place)
            if place == end:
                return 0
            first = starts[len(keys) - end]
            return ((1 << (starts[len(keys) - place] - first)) - 1) << (first + self.shift + 1)
        states = within(bounds, keys, starts, len(keys))
        if columns.featured_keys:
            states |= within(bounds, columns.featured_keys, self._starts, len(self._starts) - 1)
        return states << (self.shift + 1)

    def _with_version_text(self, spec: VersionSpec) -> int:
        """For globs and regular expressions, which look at the text of a version."""
        states = 0
        starts = self._starts
        for run, text in enumerate(self._version_texts()):
            if spec.matches(Version(text)):
                states |= ((1 << (starts[run + 1] - starts[run])) - 1) << starts[run]
        return states << (self.shift + 1)

    def _version_texts(self) -> list[str]:
        if self._versions is None:
            self._versions = decode_texts(self.columns.versions)
        return self._versions

    def _with_build(self, states: int, text: str) -> int:
        """Those with a build string, as `StringMatch` reads it; nearly always it is plain, or has one asterisk."""
        start, star, rest = text.lower().partition("*")
        first = (states & -states).bit_length() - self.shift - 2
        end = states.bit_length() - self.shift - 1
        if not star and end - first > MOST_LOOKED_AT and text[:1] != "^":
            return self._with_exact_build(start) & states
        builds = enumerate(self._builds_in_lower_case()[first:end], first)
        if "*" in rest or text[:1] == "^":
            build = self._ranges.pattern(text)
            given = self._build_texts()
            chosen = [position for position, _ in builds if build.matches(given[position])]
        elif not star:
            chosen = [position for position, one in builds if one == start]
        elif not start:
            chosen = [position for position, one in builds if one.endswith(rest)]
        elif not rest:
            chosen = [position for position, one in builds if one.startswith(start)]
        else:
            least = len(start) + len(rest)
            chosen = [
                position
                for position, one in builds
                if one.startswith(start) and one.endswith(rest) and len(one) >= least
            ]
        found = 0
        for position in chosen:
            found |= 1 << position
        return (found << (self.shift + 1)) & states

    def positions_of(self, version: str, build: str) -> list[int]:
        """The positions with exactly this version and build string."""
        states = self._with_version("==" + version)
        if not states:
            return []
        builds = self._build_texts()
        return [position for position in self.positions(states) if builds[position] == build]

    def _with_exact_build(self, text: str) -> int:
        """All with this build string; there are many such questions where one package is made of many."""
        if self._by_build is None:
            by_build: dict[str, int] = {}
            state = 2 << self.shift
            for build in self._builds_in_lower_case():
                by_build[build] = by_build.get(build, 0) | state
                state <<= 1
            self._by_build = by_build
        return self._by_build.get(text, 0)

    def _builds_in_lower_case(self) -> list[str]:
        if self._lower_builds is None:
            self._lower_builds = [text.lower() for text in self._build_texts()]
        return self._lower_builds

    def _build_texts(self) -> list[str]:
        if self._builds is None:
            self._builds = decode_texts(self.columns.builds)
        return self._builds

    def _where(self, states: int, holds: Sequence[bool]) -> int:
        """The states for which it holds."""
        found = 0
        shift = self.shift + 1
        for position, good in zip(self.positions(states), holds, strict=True):
            if good:
                found |= 1 << (position + shift)
        return found

    def positions(self, states: int) -> list[int]:
        """The positions of those of the states that belong to this part."""
        states = (states & self.mask) >> (self.shift + 1)
        found: list[int] = []
        end = 0
        while states:
            skip = (states & -states).bit_length()
            end += skip
            states >>= skip
            found.append(end - 1)
        return found

    def position_of(self, state: int) -> int:
        """The position of one state."""
        return state.bit_length() - self.shift - 2

    def versions(self, states: int) -> list[Version]:
        """The versions of those of the states that belong to this part."""
        mine = (states & self.mask) >> (self.shift + 1)
        starts = self._starts
        return [
            Version(text)
            for run, text in enumerate(self._version_texts())
            if mine >> starts[run] & ((1 << (starts[run + 1] - starts[run])) - 1)
        ]

    def version_at(self, position: int) -> Version:
        """The version of a candidate."""
        return Version(self._version_texts()[bisect_right(self._starts, position) - 1])

    def build_at(self, position: int) -> str:
        """The build string of a candidate."""
        return self._build_texts()[position]

    def timestamp_at(self, position: int) -> int:
        """The timestamp of a candidate, 0 when it has none."""
        if self._timestamps is None:
            self._timestamps = decode_numbers(self.columns.timestamps)
        return self._timestamps[position]

    def dists(self) -> list[str]:
        """The dist strings of the candidates (CEP 26)."""
        found: list[str] = []
        builds = self._build_texts()
        for run, version in enumerate(self._version_texts()):
            for build in builds[self._starts[run] : self._starts[run + 1]]:
                found.append(f"{self.group.name}-{version}-{build}")
        return found

    def too_new(self, cutoff: int) -> int:
        """The candidates that were not on offer yet at a time, and those of which no time is known (see `cutoffs`)."""
        if self._times is None:
            columns = self.columns
            built = decode_numbers(columns.timestamps)
            indexed = decode_numbers(columns.indexed)
            self._times = [first or time for first, time in zip(indexed, built, strict=True)] if indexed else built
        positions = [position for position, time in enumerate(self._times) if time > cutoff or not time]
        return int.from_bytes(pack(positions), "little") << self.shift if positions else 0

    def tie_of(self, position: int) -> tuple[int, int]:
        """The build number of a candidate, and all states that tie with it in features, version and build number."""
        if not self._tie_starts:
            starts = [0]
            for length in decode_numbers(self.columns.ties):
                starts.append(starts[-1] + length)
            self._tie_starts = starts
            self._tie_numbers = decode_numbers(self.columns.build_numbers)
        tie = bisect_right(self._tie_starts, position) - 1
        first = self._tie_starts[tie]
        return self._tie_numbers[tie], ((1 << (self._tie_starts[tie + 1] - first)) - 1) << (first + self.shift + 1)

    def first_of_lowest_version(self, states: int) -> int:
        """The position of the first candidate that has the lowest version among the states."""
        position = self.position_of(1 << (states.bit_length() - 1))
        first = self._starts[bisect_right(self._starts, position) - 1]
        run = states >> (first + self.shift + 1)
        return first + (run & -run).bit_length() - 1


def within(bounds: Sequence[bytes], keys: Sequence[bytes], starts: Sequence[int], end: int) -> int:
    """The positions (bit 0 is the first) whose version lies within bounds; `keys` ascend, runs descend up to `end`."""
    positions = 0
    for place in range(0, len(bounds), 2):
        low = bisect_left(keys, bounds[place])
        high = bisect_left(keys, bounds[place + 1], low)
        if low < high:
            first = starts[end - high]
            positions |= ((1 << (starts[end - low] - first)) - 1) << first
    return positions


class NameStates:
    """All states of one name."""

    __slots__ = (
        "_found",
        "_records",
        "fetched",
        "known",
        "name",
        "parts",
        "shut_out",
        "universe",
        "unread",
        "unusable",
    )

    def __init__(
        self,
        name: str,
        groups: Sequence[CandidateGroup],
        ranges: Ranges,
        shut_out: Sequence[CandidateGroup] = (),
    ) -> None:
        self.name = name
        self.parts: list[Part] = []
        self.unread = 0
        """The candidates of which only a part is known."""
        self.fetched = 0
        """Those of which the source was asked to fetch the rest."""
        self.unusable: dict[int, str] = {}
        """Those that turned out to be impossible, and why."""
        shift = 0
        for group in groups:
            part = Part(group, shift, ranges)
            self.parts.append(part)
            unread = part.columns.unread
            if unread:
                self.unread |= int.from_bytes(unread, "little") << shift
            shift += part.columns.count
        self.universe = (2 << shift) - 1
        self.shut_out = shut_out
        """Groups of channels that channel priority left out."""
        self._records: dict[int, RepoDataRecord] = {}
        self._found: tuple[RepoDataRecord, int] | None = None
        """What was looked for last (the installed one, always), and its state."""
        self.known: dict[str, int] = {}
        """What follows the name in dependency strings → the candidates that they ask for, as far as that came up."""

    def matching(self, query: Query) -> int:
        """The candidates that a query asks for."""
        states = 0
        for part in self.parts:
            states |= part.matching(query)
        return states

    def matching_rest(self, rest: str) -> int:
        """The candidates that a dependency string asks for, by what follows the name; raises InvalidText."""
        states = self.known.get(rest)
        if states is None:
            states = self.known[rest] = self.matching(read_rest(self.name, rest))
        return states

    def matching_ask(self, rest: str, ask: Ask) -> int:
        """The same for a dependency string of which it is known what it asks."""
        states = self.known.get(rest)
        if states is None:
            if ask is None:
                return self.matching_rest(rest)
            states = 0
            for part in self.parts:
                states |= part.asked(*ask)
            self.known[rest] = states
        return states

    def part_of(self, state: int) -> Part:
        """The part to which one state belongs."""
        for part in self.parts:
            if state & part.mask:
                return part
        raise KeyError(state)

    def record(self, state: int) -> RepoDataRecord:
        """The record of one state; decoded once, or once more when it was read."""
        record = self._records.get(state)
        if record is None:
            part = self.part_of(state)
            record = part.group.record(part.position_of(state))
            if not state & self.unread:
                self._records[state] = record
        return record

    def read(self, state: int) -> ReadNeeds:
        """What an unread candidate asks for beyond the columns; raises UnusableCandidate."""
        part = self.part_of(state)
        try:
            needs = cast("LazyGroup", part.group).read(part.position_of(state))
        except UnusableCandidate as error:
            self.unread &= ~state
            self.unusable[state] = error.reason
            raise
        self.unread &= ~state
        return part.take_in(state, needs)

    def take_installed(self, record: RepoDataRecord) -> None:
        """The installed record says all that it asks for: if it is one of the unread candidates, it stands for that."""
        state = self.find(record)
        if state & self.unread:
            self.unread &= ~state
            self._records[state] = record
            needs = CandidateNeeds(record.depends, record.constrains, record.extra_depends)
            self.part_of(state).take_in(state, needs)

    def find(self, record: RepoDataRecord) -> int:
        """The state that is this record (the same package file of the same channel), or 0."""
        if self._found is None or self._found[0] is not record:
            self._found = record, self._find(record)
        return self._found[1]

    def _find(self, record: RepoDataRecord) -> int:
        for part in self.parts:
            if part.group.channel != record.channel or part.group.subdir != record.subdir:
                continue
            for position in part.positions_of(record.version, record.build):
                state = 1 << (position + part.shift + 1)
                if is_same_file(self.record(state), record):
                    return state
        return 0

    def versions(self, states: int) -> list[Version]:
        """The distinct versions of the states, highest first."""
        found = {version for part in self.parts for version in part.versions(states)}
        return sorted(found, reverse=True)


def is_same_file(first: RepoDataRecord, second: RepoDataRecord) -> bool:
    """Whether two records of one dist string in one channel subdir are the same package file."""
    if first.dist != second.dist:
        return False
    for field in ("sha256", "md5"):
        one, other = getattr(first, field), getattr(second, field)
        if one and other:
            return bool(one == other)
    return True
