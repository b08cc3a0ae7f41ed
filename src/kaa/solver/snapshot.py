"""Everything that a solve looked at, as a value that can be written down and solved again somewhere else.

`record` puts something between a solve and its source that notes the names that were asked for. `problem_of` makes a
`Problem` of that: the request, the records of those names without what no solver reads, and the outcome. `replay`
solves a problem again, with nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec.structs import force_setattr, replace

from kaa.errors import KaaError
from kaa.models.match_spec import ChannelText, MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import (
    CandidateGroup,
    CandidateNeeds,
    CandidateSource,
    Columns,
    LazyGroup,
    RecordGroup,
    UnusableCandidate,
)
from kaa.solver.lazy_records import LazyRecordGroup, needs_in_columns, unread_positions
from kaa.solver.places import Places
from kaa.solver.problem import (
    FORMAT,
    VERSION,
    InstalledRecord,
    InvalidProblem,
    Outcome,
    Problem,
    ProblemGroup,
    ProblemNeeds,
    ProblemOnHand,
    ProblemRecord,
    ProblemRequest,
)
from kaa.solver.ranges import Ranges
from kaa.solver.request import OnHand, SolveOptions, SolveRequest
from kaa.solver.solution import Solution
from kaa.solver.solve import solve

# -- recording --------------------------------------------------------------------------------------------------------


class RecordedGroup:
    """A group that remembers whether anybody looked at what is in it."""

    __slots__ = ("group", "is_seen", "reads")

    def __init__(self, group: CandidateGroup) -> None:
        self.group = group
        self.is_seen = False
        self.reads: dict[int, ProblemNeeds] = {}
        """What was read, by position."""

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def channel(self) -> str:
        return self.group.channel

    @property
    def subdir(self) -> str:
        return self.group.subdir

    @property
    def rank(self) -> int:
        return self.group.rank

    @property
    def columns(self) -> Columns:
        self.is_seen = True
        return self.group.columns

    def record(self, position: int) -> RepoDataRecord:
        self.is_seen = True
        return self.group.record(position)

    def read(self, position: int) -> CandidateNeeds:
        try:
            needs = cast("LazyGroup", self.group).read(position)
        except UnusableCandidate as error:
            self.reads[position] = ProblemNeeds(place=position, was_read=True, unusable=error.reason)
            raise
        self.reads[position] = ProblemNeeds(
            place=position,
            was_read=True,
            depends=needs.depends,
            constrains=needs.constrains,
            extra_depends=dict(needs.extra_depends),
        )
        return needs

    def records(self) -> list[RepoDataRecord]:
        """All candidates, in the order of the columns, as they were before any was read; none if nobody looked."""
        if not self.is_seen:
            return []
        records = [self.group.record(position) for position in range(self.columns.count)]
        for position, needs in needs_in_columns(self.columns).items():
            records[position] = replace(
                records[position],
                depends=needs.depends,
                constrains=needs.constrains,
                extra_depends=dict(needs.extra_depends),
            )
        return records

    def unread(self) -> tuple[ProblemNeeds, ...]:
        """What is known by now of the candidates of which the columns say only a part."""
        positions = unread_positions(self.columns) if self.is_seen else []
        return tuple(self.reads.get(position) or ProblemNeeds(place=position) for position in positions)


class RecordingSource:
    """A source that remembers what it was asked."""

    def __init__(self, source: CandidateSource) -> None:
        self._source = source
        self.names: dict[str, tuple[RecordedGroup, ...]] = {}
        self.near: dict[str, tuple[str, ...]] = {}

    def load(self, names: Collection[str]) -> None:
        self._source.load(names)

    def groups(self, name: str) -> Sequence[RecordedGroup]:
        groups = self.names.get(name)
        if groups is None:
            groups = self.names[name] = tuple(map(RecordedGroup, self._source.groups(name)))
        return groups

    def read_ahead(self, wanted: Sequence[tuple[RecordedGroup, int]]) -> None:
        read_ahead = getattr(self._source, "read_ahead", None)
        if read_ahead is not None:
            read_ahead([(group.group, position) for group, position in wanted])

    def near_names(self, name: str) -> Sequence[str]:
        near = self.near[name] = tuple(self._source.near_names(name))
        return near


class RecordedOnHand:
    """What is on hand, with a memory of what was asked and is there."""

    def __init__(self, on_hand: OnHand) -> None:
        self._on_hand = on_hand
        self.channels: dict[str, None] = {}
        self.dists: dict[str, None] = {}
        self.records: list[RepoDataRecord] = []

    def has_channel(self, channel: str) -> bool:
        found = self._on_hand.has_channel(channel)
        if found:
            self.channels[channel] = None
        return found

    def may_have(self, dist: str) -> bool:
        found = self._on_hand.may_have(dist)
        if found:
            self.dists[dist] = None
        return found

    def has(self, record: RepoDataRecord) -> bool:
        found = self._on_hand.has(record)
        if found:
            self.records.append(record)
        return found


def record(request: SolveRequest, source: CandidateSource) -> tuple[SolveRequest, RecordingSource]:
    """The same request and the same source, which remember what a solve asks of them."""
    if request.on_hand is not None:
        request = replace(request, on_hand=RecordedOnHand(request.on_hand))
    return request, RecordingSource(source)


# -- writing ----------------------------------------------------------------------------------------------------------


def problem_of(
    request: SolveRequest,
    recording: RecordingSource,
    outcome: Solution | BaseException,
    *,
    kaa: str,
    repair_seconds: float | None = None,
    whole: bool = False,
) -> Problem:
    """The problem that a solve was, by what it was asked, what it saw (both from `record`) and how it ended.

    Of the records is left out what hardly any request asks for (hashes, licenses), unless it is to be `whole`.
    """
    groups = [group for found in recording.names.values() for group in found]
    channels = list(dict.fromkeys(group.channel for group in sorted(groups, key=lambda group: group.rank)))
    places = Places([*channels, *(record.channel for record in request.installed)])
    installed = {record.dist for record in request.installed}
    return Problem(
        format=FORMAT,
        version=VERSION,
        kaa=kaa,
        request=written_request(request, places),
        channels=tuple(map(places.shown, channels)),
        names={
            name: tuple(
                ProblemGroup(
                    channel=channels.index(group.channel),
                    subdir=group.subdir,
                    rank=group.rank,
                    records=tuple(
                        ProblemRecord(**read_fields(record, whole=whole or record.dist in installed))
                        for record in group.records()
                    ),
                    unread=group.unread(),
                )
                for group in found
            )
            for name, found in sorted(recording.names.items())
        },
        near_names=recording.near,
        repair_seconds=repair_seconds,
        outcome=written_outcome(outcome, request, places),
    )


def written_request(request: SolveRequest, places: Places) -> ProblemRequest:
    """A request as a problem has it."""

    def texts(specs: Iterable[MatchSpec]) -> tuple[str, ...]:
        return tuple(str(places.spec(spec)) for spec in specs)

    on_hand = request.on_hand
    return ProblemRequest(
        install=texts(request.install),
        remove=texts(request.remove),
        update=texts(request.update),
        update_all=request.update_all,
        update_deps=request.update_deps,
        refresh=request.refresh,
        installed=tuple(
            InstalledRecord(
                **read_fields(record, whole=True),
                name=record.name,
                channel=places.shown(record.channel),
                subdir=record.subdir,
            )
            for record in request.installed
        ),
        history=texts(request.history),
        pins=texts(request.pins),
        freeze_installed=request.freeze_installed,
        no_deps=request.no_deps,
        only_deps=request.only_deps,
        prune=request.prune,
        virtual_packages=request.virtual_packages,
        options={
            field.encode_name: places.value(msgspec.to_builtins(getattr(request.options, field.name)))
            for field in msgspec.structs.fields(SolveOptions)
            if getattr(request.options, field.name) != getattr(DEFAULTS, field.name)
        },
        channel_names=places.names(specs_of(request)),
        on_hand=written_on_hand(on_hand, places) if isinstance(on_hand, RecordedOnHand) else None,
    )


def specs_of(request: SolveRequest) -> tuple[MatchSpec, ...]:
    """All specs of a request."""
    return (*request.install, *request.remove, *request.update, *request.history, *request.pins)


def written_on_hand(on_hand: RecordedOnHand, places: Places) -> ProblemOnHand:
    """What was on hand of what was asked for."""
    packages = {f"{places.shown(record.channel)}/{record.subdir}/{record.fn}": None for record in on_hand.records}
    return ProblemOnHand(
        channels=tuple(map(places.shown, on_hand.channels)), dists=tuple(on_hand.dists), packages=tuple(packages)
    )


DEFAULTS = SolveOptions()
ALWAYS_READ = frozenset(
    {
        "version",
        "build",
        "build_number",
        "depends",
        "constrains",
        "extra_depends",
        "flags",
        "track_features",
        "noarch",
        "timestamp",
        "indexed_timestamp",
    }
)


def read_fields(record: RepoDataRecord, *, whole: bool) -> dict[str, Any]:
    """The fields of a record that a problem keeps."""
    fields: dict[str, Any] = {
        name: getattr(record, name)
        for name in ProblemRecord.__struct_fields__
        if name != "fn" and (whole or name in ALWAYS_READ)
    }
    if record.fn != f"{record.dist}.conda":
        fields["fn"] = record.fn
    return fields


def written_outcome(outcome: Solution | BaseException, request: SolveRequest, places: Places) -> Outcome:
    """How a solve ended."""
    if isinstance(outcome, Solution):
        return Outcome(packages=tuple(f"{place_of(record, places)}{record.dist}" for record in outcome.records))
    name = type(outcome).__name__
    if not isinstance(outcome, KaaError):
        return Outcome(error=name)
    specs = specs_of(request)
    return Outcome(
        error=name,
        message=places.text(outcome.message, specs),
        hints=tuple(places.text(hint, specs) for hint in outcome.hints),
    )


def place_of(record: RepoDataRecord, places: Places) -> str:
    """`channel/subdir::`, or nothing for a record that comes from nowhere."""
    return f"{places.shown(record.channel)}/{record.subdir}::" if record.channel else ""


# -- reading ----------------------------------------------------------------------------------------------------------


class Replayable(msgspec.Struct, frozen=True):
    """A problem that was read: what to solve, and from what."""

    request: SolveRequest
    source: ProblemSource


class ProblemSource:
    """What a problem's solve saw of its channels."""

    def __init__(self, groups: Mapping[str, Sequence[CandidateGroup]], near: Mapping[str, Sequence[str]]) -> None:
        self._groups = groups
        self._near = near

    def load(self, names: Collection[str]) -> None:
        """Nothing to do: everything is in memory."""

    def groups(self, name: str) -> Sequence[CandidateGroup]:
        return self._groups.get(name, ())

    def near_names(self, name: str) -> Sequence[str]:
        return self._near.get(name, ())


def read_problem(problem: Problem, source: str) -> Replayable:
    """What a problem means; raises InvalidProblem, which names the field that means nothing."""
    request = problem.request
    reading = Reading(source, request.channel_names)
    groups = {
        name: tuple(
            reading.group(name, group, problem.channels, f"names.{name}[{place}]") for place, group in enumerate(found)
        )
        for name, found in problem.names.items()
    }
    return Replayable(
        SolveRequest(
            install=reading.specs("install", request.install),
            remove=reading.specs("remove", request.remove),
            update=reading.specs("update", request.update),
            update_all=request.update_all,
            update_deps=request.update_deps,
            refresh=request.refresh,
            installed=tuple(
                record_of(record.name, record.channel, record.subdir, record) for record in request.installed
            ),
            history=reading.specs("history", request.history),
            pins=reading.specs("pins", request.pins),
            freeze_installed=request.freeze_installed,
            no_deps=request.no_deps,
            only_deps=request.only_deps,
            prune=request.prune,
            virtual_packages=request.virtual_packages,
            options=reading.options(request.options),
            on_hand=None if request.on_hand is None else ProblemsOnHand(request.on_hand),
        ),
        ProblemSource(groups, problem.near_names),
    )


class ProblemsOnHand:
    """What a problem says was on hand."""

    def __init__(self, on_hand: ProblemOnHand) -> None:
        self._channels = frozenset(on_hand.channels)
        self._dists = frozenset(on_hand.dists)
        self._packages = frozenset(on_hand.packages)

    def has_channel(self, channel: str) -> bool:
        return channel in self._channels

    def may_have(self, dist: str) -> bool:
        return dist in self._dists

    def has(self, record: RepoDataRecord) -> bool:
        return f"{record.channel}/{record.subdir}/{record.fn}" in self._packages


class Reading:
    """Reads the parts of one problem."""

    def __init__(self, source: str, channel_names: Mapping[str, Sequence[str]]) -> None:
        self._source = source
        self._channel_names = channel_names
        self._ranges = Ranges()

    def specs(self, field: str, texts: Sequence[str]) -> tuple[MatchSpec, ...]:
        """Specs in the form in which they were written."""
        found = []
        for place, text in enumerate(texts):
            try:
                spec = MatchSpec.parse(text, lenient=True)
            except (KaaError, ValueError) as error:
                raise InvalidProblem(self._source, f"{error} - at `$.request.{field}[{place}]`") from error
            urls = self._channel_names.get(spec.channel or "")
            if urls is not None:
                spec = replace(spec, channel=ChannelText(spec.channel or "", urls))
            found.append(spec)
        return tuple(found)

    def options(self, fields: Mapping[str, object]) -> SolveOptions:
        """The options; one that is not known here would be ignored, and another problem solved."""
        unknown = sorted(fields.keys() - {field.encode_name for field in msgspec.structs.fields(SolveOptions)})
        if unknown:
            reason = f"this kaa does not know the option {unknown[0]!r} - at `$.request.options`"
            raise InvalidProblem(self._source, reason, hints=("use the kaa that wrote it, or a newer one",))
        try:
            return msgspec.convert(dict(fields), SolveOptions)
        except (msgspec.MsgspecError, ValueError) as error:
            raise InvalidProblem(self._source, f"{error} - at `$.request.options`") from error

    def group(self, name: str, group: ProblemGroup, channels: Sequence[str], field: str) -> CandidateGroup:
        """What a channel offers under a name."""
        if not 0 <= group.channel < len(channels):
            raise InvalidProblem(self._source, f"there is no channel {group.channel} - at `$.{field}.channel`")
        channel = channels[group.channel]
        records = [record_of(name, channel, group.subdir, record) for record in group.records]
        if not group.unread:
            return RecordGroup(name, channel, group.subdir, group.rank, records, self._ranges)
        for needs in group.unread:
            if not 0 <= needs.place < len(records):
                raise InvalidProblem(self._source, f"there is no record {needs.place} - at `$.{field}.unread`")
        rest = {needs.place: what_reading_brings(needs) for needs in group.unread}
        return LazyRecordGroup(name, channel, group.subdir, group.rank, records, rest, self._ranges)


def what_reading_brings(needs: ProblemNeeds) -> CandidateNeeds | UnusableCandidate:
    """What reading a record of a problem comes to."""
    if not needs.was_read:
        return UnusableCandidate("what it asks for was not read when the problem was written down")
    if needs.unusable:
        return UnusableCandidate(needs.unusable)
    return CandidateNeeds(needs.depends, needs.constrains, needs.extra_depends)


def record_of(name: str, channel: str, subdir: str, record: ProblemRecord) -> RepoDataRecord:
    """A record of a problem as one of a channel."""
    fields = {field: getattr(record, field) for field in ProblemRecord.__struct_fields__}
    fn = record.fn or f"{name}-{record.version}-{record.build}.conda"
    url = f"{channel}/{subdir}/{fn}" if channel else ""
    made = RepoDataRecord(**{**fields, "name": name, "channel": channel, "subdir": subdir, "fn": fn, "url": url})
    # A channel may mean seconds, a problem never does.
    force_setattr(made, "timestamp", record.timestamp)
    force_setattr(made, "indexed_timestamp", record.indexed_timestamp)
    return made


def replay(
    problem: Problem, source: str, *, clock: Callable[[], float] | None = None
) -> tuple[Solution | KaaError, Outcome]:
    """Solve a problem again: what came out, and the same in the form in which problems keep it.

    Raises InvalidProblem; every other error of a solve is an outcome.
    """
    replayable = read_problem(problem, source)
    request = replayable.request
    result: Solution | KaaError
    try:
        result = solve(request, replayable.source, clock=clock, repair_seconds=problem.repair_seconds)
    except KaaError as error:
        result = error
    channels = [*problem.channels, *(record.channel for record in request.installed)]
    # What is hidden already keeps its name.
    return result, written_outcome(result, request, Places(channels))
