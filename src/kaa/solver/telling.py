"""Repairs in words: what to change, and what would come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kaa.models.channel import PYPI_SCHEME
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.solver.folding import listed
from kaa.solver.reasons import Pinned, Requested
from kaa.solver.relaxation import Change, Kind, Relaxation, Repair, relax
from kaa.solver.request import SolveRequest
from kaa.solver.spelling import spell

MOST_GIVEN = 4
MOST_CHANGES = 3


def repair_of(
    request: SolveRequest,
    relaxations: tuple[Relaxation, ...],
    records: Mapping[str, RepoDataRecord],
    facts: Sequence[Requested | Pinned],
) -> Repair:
    """The repair that these relaxations of a request are, given the records of their solution."""
    relaxed = relax(request, relaxations)
    asked = (*relaxed.install, *relaxed.update)
    involved = {fact.spec.name for fact in facts} | {spec.name for spec in asked if spec not in request.install}
    names = dict.fromkeys(spec.name for spec in asked if spec.name is not None and spec.name in records)
    first = sorted(names, key=lambda name: name not in involved)[:MOST_GIVEN]
    gives = tuple(f"{name} {records[name].version}" for name in names if name in first)
    changes = tuple(changes_of(request.installed, records))
    done = tell(relaxations)
    return Repair(
        relaxations[0].kind,
        f"{done} ({outcome_of(request, gives, changes, involved)})",
        relaxations,
        tuple(map(spell, asked)),
        gives,
        changes,
        bool(request.pins) and not relaxed.pins,
    )


def tell(relaxations: Sequence[Relaxation]) -> str:
    """What to do, in a sentence; several exchanges of specs are one."""
    exchanges = [one for one in relaxations if TELL[one.kind] is tell_exchange]
    told = [TELL[one.kind](one) for one in relaxations if one not in exchanges]
    if exchanges:
        new = listed([shown(one.new) for one in exchanges])
        told.insert(0, f"ask for {new} instead of {listed([shown(one.old) for one in exchanges])}")
    return listed(told)


def changes_of(installed: Sequence[RepoDataRecord], records: Mapping[str, RepoDataRecord]) -> list[Change]:
    """What becomes of the installed packages."""
    changes = []
    for record in sorted(installed, key=lambda record: record.name):
        after = records.get(record.name)
        if after is None:
            changes.append(Change(record.name, record.version, ""))
        elif (after.version, after.build) != (record.version, record.build):
            changes.append(Change(record.name, record.version, after.version))
    return changes


def outcome_of(
    request: SolveRequest, gives: Sequence[str], changes: Sequence[Change], involved: set[str | None]
) -> str:
    """What comes of a repair, in a few words."""
    parts = [f"gives {listed(gives)}"] if gives else []
    if changes:
        ordered = sorted(changes, key=lambda change: (change.name not in involved, change.name))
        told = [tell_change(change) for change in ordered[:MOST_CHANGES]]
        more = len(changes) - len(told)
        if more:
            told.append(f"{more} more")
        parts.append(f"changes {listed(told)}")
    elif request.installed:
        parts.append("changes nothing that is installed")
    return "; ".join(parts)


def tell_change(change: Change) -> str:
    """What becomes of one package."""
    if not change.after:
        return f"{change.name} {change.before} → removed"
    if change.after == change.before:
        return f"{change.name} {change.before} (another build)"
    return f"{change.name} {change.before} → {change.after}"


def shown(text: str) -> str:
    """The text of a spec as people write it."""
    return spell(MatchSpec.parse(text))


def tell_exchange(relaxation: Relaxation) -> str:
    return f"ask for {shown(relaxation.new)} instead of {shown(relaxation.old)}"


def tell_history(relaxation: Relaxation) -> str:
    return f"let {relaxation.new} change, which was asked for earlier as {shown(relaxation.old)}"


def tell_channel(relaxation: Relaxation) -> str:
    new = MatchSpec.parse(relaxation.new)
    channel = new.channel or ""
    # Indexes of Python packages mostly end alike.
    name = channel if channel.startswith(PYPI_SCHEME) else channel.rpartition("/")[2]
    return f"take {new.name} from {name}, a later channel"


def tell_cutoff(relaxation: Relaxation) -> str:
    return f"set exclude_newer aside for {relaxation.new or 'all packages'}"


TELL: dict[Kind, Callable[[Relaxation], str]] = {
    "name": tell_exchange,
    "build": tell_exchange,
    "version": tell_exchange,
    "channel": tell_channel,
    "drop": lambda relaxation: f"leave out {shown(relaxation.old)}",
    "history": tell_history,
    "frozen": lambda relaxation: (
        f"let {MatchSpec.parse(relaxation.new).name} change: ask for {shown(relaxation.new)} as well"
    ),
    "freeze": lambda relaxation: "let installed packages change",
    "pin": lambda relaxation: f"lift the pin {shown(relaxation.old)}",
    "cutoff": tell_cutoff,
    "priority": lambda relaxation: "let later channels offer what the first one lacks: flexible channel priority",
}
