"""What a solution is worth: a list of merits in the order in which kaa wishes for things (docs/design/0002-solver.md).

Python keeps its minor version, installed packages stay there, what was asked for directly is the best that can be had,
other installed packages stay as they are, python first. Of two solutions the one is better that is better in the first
merit in which they differ. Nothing here knows how the solver works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from kaa.models.record import RepoDataRecord
from kaa.models.version import Version
from kaa.solver.request import SolveRequest
from tests.solver.validity import held_specs, names_of_any_channel, removed_names

Rank: TypeAlias = tuple[bool, bool, int, Version, int]
"""Kept as installed; without track_features; minus the place of the channel; version; number."""


class Merit(msgspec.Struct, frozen=True):
    """One thing that is wished for, and how well a solution fulfils it: more is better."""

    name: str
    wish: str
    worth: bool | Rank


def merits(request: SolveRequest, records: Sequence[RepoDataRecord], ranks: Mapping[str, int]) -> Iterator[Merit]:
    """What a solution is worth, the most important first; `ranks` are the places of the channels, 0 the first."""
    present = {record.name: record for record in records}
    before = {one.name: one for one in request.installed if one.name not in removed_names(request)}
    jobs = dict.fromkeys(spec.name or "" for spec in (*request.install, *request.update))
    named = [name for name in jobs if not name.startswith("__")]
    held = [spec.name or "" for spec in held_specs(request) if spec.name not in jobs]
    kept = list(dict.fromkeys([*held, *(name for name in sorted(before) if name not in named)]))
    everything = request.update_all
    if "python" in before and "python" not in named:
        python, new = before["python"], present.get("python")
        yield Merit("python", "python keeps its minor version", new is not None and minor(new) == minor(python))
    for name in kept:
        yield Merit(name, "an installed package stays there", name in present)
    updated = {spec.name for spec in request.update}
    for name in named:
        old = None if everything or name in updated else before.get(name)
        yield Merit(name, "a requested package", rank_of(present[name], old, request, ranks))
    for name in sorted(kept, key=lambda name: name != "python"):
        if not everything:
            yield Merit(name, "an installed package stays as it is", present.get(name) == before[name])
        elif name in held:
            yield Merit(name, "an earlier request is at its best", rank_of(present[name], None, request, ranks))


def rank_of(
    record: RepoDataRecord, before: RepoDataRecord | None, request: SolveRequest, ranks: Mapping[str, int]
) -> Rank:
    """How good a candidate is among those of its name; more is better."""
    strict = request.options.channel_priority == "strict" and record.name in names_of_any_channel(request)
    ranked = strict or request.options.channel_priority == "flexible"
    return (
        record == before,
        not record.track_features,
        -ranks.get(record.channel, len(ranks)) if ranked else 0,
        Version(record.version),
        record.build_number,
    )


def minor(record: RepoDataRecord) -> tuple[str, ...]:
    return tuple(record.version.split(".")[:2])


def first_difference(
    request: SolveRequest, ours: Sequence[RepoDataRecord], theirs: Sequence[RepoDataRecord], ranks: Mapping[str, int]
) -> tuple[Merit, Merit] | None:
    """The first merit in which two solutions differ; none from where a tie between equal candidates was broken."""
    mine, other = ({record.name: record for record in records} for records in (ours, theirs))
    for here, there in zip(merits(request, ours, ranks), merits(request, theirs, ranks), strict=True):
        if here.worth != there.worth:
            return here, there
        if isinstance(here.worth, tuple) and mine[here.name] != other[here.name]:
            return None
    return None


def is_better(one: Merit, other: Merit) -> bool:
    """Whether the same wish is fulfilled better."""
    if isinstance(one.worth, tuple) and isinstance(other.worth, tuple):
        return one.worth > other.worth
    return bool(one.worth) and not other.worth


def better_than(
    request: SolveRequest,
    records: Sequence[RepoDataRecord],
    others: Iterable[Sequence[RepoDataRecord]],
    ranks: Mapping[str, int],
) -> str | None:
    """Which merit one of the other solutions has more of than this one, in words; None when none is better."""
    for other in others:
        difference = first_difference(request, records, other, ranks)
        if difference is not None and is_better(difference[1], difference[0]):
            return f"{difference[0]} is worse than {difference[1]} of {[record.dist for record in other]}"
    return None
