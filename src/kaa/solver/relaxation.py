"""Ways to ask for a little less, as data: what changes in a request, and the request with that change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from kaa.models.match_spec import MatchSpec
from kaa.solver.cutoffs import Cutoffs
from kaa.solver.request import SolveRequest

Kind: TypeAlias = Literal[
    "name", "build", "version", "channel", "history", "frozen", "freeze", "pin", "cutoff", "priority", "drop"
]


class Relaxation(msgspec.Struct, frozen=True):
    """One thing that a request asks less strictly.

    | kind | `old` | `new` |
    |---|---|---|
    | name, build, version, channel | the spec that was asked for (none: one is added) | the spec instead |
    | drop | the spec that was asked for | |
    | history | the spec of the earlier request | the spec that is asked for besides, and lifts it |
    | frozen | the installed package | the spec that is asked for besides |
    | freeze | | |
    | pin | the pin that is lifted | |
    | cutoff | | the package for which there is no cut-off; none: for all |
    | priority | the channel priority | the channel priority instead |
    """

    kind: Kind
    old: str = ""
    new: str = ""


class Change(msgspec.Struct, frozen=True):
    """What becomes of an installed package; no version: it is not there."""

    name: str
    before: str
    after: str


class Repair(msgspec.Struct, frozen=True):
    """A way out that was tried: what to change, and what that gives."""

    kind: Kind
    """Of the first of its relaxations; mostly there is one."""
    sentence: str
    relaxations: tuple[Relaxation, ...]
    specs: tuple[str, ...]
    """All that is asked for in place of what was asked for."""
    gives: tuple[str, ...]
    """Names and versions of what was asked for, as they would be."""
    changes: tuple[Change, ...] = ()
    """What would become of installed packages."""
    lifts_all_pins: bool = False
    """Whether no pin holds any more."""


def relax(request: SolveRequest, relaxations: Iterable[Relaxation]) -> SolveRequest:
    """The request with these changes."""
    for relaxation in relaxations:
        request = RELAX[relaxation.kind](request, relaxation)
    return request


def _exchange(request: SolveRequest, relaxation: Relaxation) -> SolveRequest:
    """Another spec in the place of one, or one more."""
    new = (MatchSpec.parse(relaxation.new),) if relaxation.new else ()
    if not relaxation.old:
        return _add(request, *new)
    old = MatchSpec.parse(relaxation.old)

    def exchanged(specs: tuple[MatchSpec, ...]) -> tuple[MatchSpec, ...]:
        return tuple(one for spec in specs for one in (new if spec == old else (spec,)))

    return replace(request, install=exchanged(request.install), update=exchanged(request.update))


def _add(request: SolveRequest, *specs: MatchSpec) -> SolveRequest:
    if request.update and not request.install and all(spec.version is None for spec in specs):
        return replace(request, update=(*request.update, *specs))
    return replace(request, install=(*request.install, *specs))


def _add_new(request: SolveRequest, relaxation: Relaxation) -> SolveRequest:
    return _add(request, MatchSpec.parse(relaxation.new))


def _melt(request: SolveRequest, relaxation: Relaxation) -> SolveRequest:
    return replace(request, freeze_installed=False)


def _unpin(request: SolveRequest, relaxation: Relaxation) -> SolveRequest:
    lifted = MatchSpec.parse(relaxation.old)
    return replace(request, pins=tuple(pin for pin in request.pins if pin != lifted))


def _lift_cutoff(request: SolveRequest, relaxation: Relaxation) -> SolveRequest:
    cutoffs = request.options.cutoffs
    packages = {**cutoffs.packages, relaxation.new: None}
    cutoffs = replace(cutoffs, packages=packages) if relaxation.new else Cutoffs()
    return replace(request, options=replace(request.options, cutoffs=cutoffs))


def _set_priority(request: SolveRequest, relaxation: Relaxation) -> SolveRequest:
    return replace(request, options=msgspec.structs.replace(request.options, channel_priority=relaxation.new))


RELAX: dict[Kind, Callable[[SolveRequest, Relaxation], SolveRequest]] = {
    "name": _exchange,
    "build": _exchange,
    "version": _exchange,
    "channel": _exchange,
    "drop": _exchange,
    "history": _add_new,
    "frozen": _add_new,
    "freeze": _melt,
    "pin": _unpin,
    "cutoff": _lift_cutoff,
    "priority": _set_priority,
}
