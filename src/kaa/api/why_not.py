"""What keeps a package out of an environment, or out of a plan: `kaa why-not`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from kaa.api.elsewhere import open_elsewhere, query_known
from kaa.api.environments import ChangeOptions, PackageDisallowed, Solver, subdir_of
from kaa.api.listing import read_environment
from kaa.api.session import Session
from kaa.api.specs import read_specs
from kaa.api.why import plan_only
from kaa.errors import KaaError
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.version import InvalidVersion, Version
from kaa.prefix.python_packages import PythonDistribution
from kaa.solver.candidates import CandidateGroup, CandidateSource
from kaa.solver.failures import PackagesNotFound, TimeLimitReached, Unsolvable, name_in
from kaa.solver.relaxation import Change
from kaa.solver.request import SolveRequest
from kaa.solver.solution import Solution
from kaa.solver.solve import solve

Answer: TypeAlias = Literal["there", "possible", "conflict", "missing", "disallowed"]

REPAIR_SECONDS = 5.0
"""For how long ways out are looked for: whoever asks why is ready to wait a little."""


class Offer(msgspec.Struct, frozen=True):
    """What a channel has of what was asked about, or another platform."""

    channel: str
    subdir: str
    versions: tuple[str, ...]
    """Those that are meant, newest first."""
    hidden_by: str = ""
    """What keeps them out whatever else is asked: an option; empty when nothing does."""


class WhyNot(msgspec.Struct, frozen=True):
    """What keeps a package out, or what would change if it came."""

    spec: MatchSpec
    prefix: Path | None
    """The environment; None for a plan of a new one."""
    answer: Answer
    present: RepoDataRecord | None = None
    """The package of that name that is there, or would be without asking for it."""
    pip: PythonDistribution | None = None
    """One of that name that pip installed."""
    changes: tuple[Change, ...] = ()
    """What would change if it came, when that is possible; a package that comes has nothing before."""
    failure: KaaError | None = None
    """Why it is not possible."""
    alone: RepoDataRecord | None = None
    """What an environment with nothing else would get."""
    offers: tuple[Offer, ...] = ()
    """Who has it, when it is not possible."""


def explain_absence(
    session: Session,
    package: str | MatchSpec,
    prefix: Path | None = None,
    specs: Sequence[str | MatchSpec] = (),
    options: ChangeOptions = ChangeOptions(),
) -> WhyNot:
    """What keeps a package out of the environment at `prefix`, with `specs` installed besides.

    Without a prefix it is asked of a new environment with `specs`. Nothing is changed. Raises what planning raises for
    `specs` alone, NotAnEnvironment and InvalidMatchSpec.
    """
    [spec] = read_specs(session, [package])
    name = name_in(spec)
    before, pip = _without_asking(session, prefix, specs, options)
    present = before.get(name)
    found = WhyNot(spec, prefix, "there", present, next((one for one in pip if one.normalized_name == name), None))
    if present is not None and spec.matches(present):
        return found
    inquiry = Inquiry(spec, options.solver)
    try:
        after = plan_only(session, [*specs, spec], prefix, replace(options, solver=inquiry)).final
    except PackageDisallowed as error:
        return replace(found, answer="disallowed", failure=error)
    except (Unsolvable, PackagesNotFound) as error:
        is_offered = any(not offer.hidden_by for offer in inquiry.offers)
        offers = inquiry.offers or _on_other_platforms(session, spec, tuple(before.values()))
        return replace(
            found,
            answer="conflict" if is_offered or name.startswith("__") else "missing",
            failure=error,
            alone=inquiry.alone,
            offers=tuple(offers),
        )
    return replace(found, answer="possible", changes=tuple(changes_between(before, after)))


def _without_asking(
    session: Session, prefix: Path | None, specs: Sequence[str | MatchSpec], options: ChangeOptions
) -> tuple[Mapping[str, RepoDataRecord], Sequence[PythonDistribution]]:
    """What is there, or would be, without the package that is asked about; and what pip put there."""
    pip: Sequence[PythonDistribution] = ()
    records: Sequence[RepoDataRecord] = ()
    if prefix is not None:
        content = read_environment(session, prefix)
        records, pip = content.records, content.pip
    if specs:
        records = plan_only(session, specs, prefix, replace(options, solver=solve)).final
    return {record.name: record for record in records}, pip


def changes_between(before: Mapping[str, RepoDataRecord], after: Iterable[RepoDataRecord]) -> list[Change]:
    """What becomes of the packages, by name."""
    then = {record.name: record for record in after}
    found = []
    for name in sorted({*before, *then}):
        old, new = before.get(name), then.get(name)
        if old is None or new is None or (old.dist, old.channel, old.subdir) != (new.dist, new.channel, new.subdir):
            found.append(Change(name, "" if old is None else old.version, "" if new is None else new.version))
    return found


class Inquiry:
    """A solver that finds out more while the channels are open, when there is no solution."""

    def __init__(self, spec: MatchSpec, solver: Solver) -> None:
        self._spec = spec
        self._solver = solver
        self.alone: RepoDataRecord | None = None
        self.offers: list[Offer] = []

    def __call__(
        self,
        request: SolveRequest,
        source: CandidateSource,
        *,
        clock: Callable[[], float] | None = None,
        repair_seconds: float | None = None,
    ) -> Solution:
        """Solve, with the repairs that there are."""
        try:
            return self._solver(request, source, clock=time.monotonic, repair_seconds=REPAIR_SECONDS)
        except (Unsolvable, PackagesNotFound):
            self.offers = list(self._offers(request, source))
            self.alone = self._alone(request, source)
            raise

    def _alone(self, request: SolveRequest, source: CandidateSource) -> RepoDataRecord | None:
        """The package as a new environment of its own would get it."""
        alone = replace(
            request, install=(self._spec,), update=(), remove=(), refresh=(), installed=(), history=(), pins=()
        )
        if alone == request:
            return None
        try:
            return solve(alone, source, clock=time.monotonic).find(name_in(self._spec))
        except (Unsolvable, PackagesNotFound, TimeLimitReached):
            return None

    def _offers(self, request: SolveRequest, source: CandidateSource) -> Iterable[Offer]:
        """Who has what was asked about, and what hides it."""
        name = name_in(self._spec)
        source.load((name,))
        groups = source.groups(name)
        first = min((group.rank for group in groups if group.columns.count), default=0)
        is_strict = request.options.channel_priority == "strict" and self._spec.channel is None
        for group in groups:
            matching = [record for record in records_of(group) if self._spec.matches(record)]
            if is_strict and group.rank > first:
                parts = [("channel_priority", matching)]
            else:
                cutoff = request.options.cutoffs.cutoff_of(name, group.channel)
                newer = [] if cutoff is None else [record for record in matching if is_newer(record, cutoff)]
                parts = [("", [record for record in matching if record not in newer]), ("exclude_newer", newer)]
            for hidden_by, records in parts:
                if records:
                    yield Offer(group.channel, group.subdir, versions_of(records), hidden_by)


def records_of(group: CandidateGroup) -> list[RepoDataRecord]:
    """All records of a group."""
    return [group.record(position) for position in range(group.columns.count)]


def is_newer(record: RepoDataRecord, cutoff: int) -> bool:
    """Whether a record is from after a cut-off (see `kaa.solver.cutoffs`)."""
    time = record.timestamp if record.indexed_timestamp is None else record.indexed_timestamp
    return time is None or time > cutoff


def versions_of(records: Iterable[RepoDataRecord]) -> tuple[str, ...]:
    """The distinct versions of records, newest first; what is no version stands last."""
    known: dict[Version, str] = {}
    unknown: dict[str, None] = {}
    for record in records:
        try:
            known.setdefault(Version(record.version), record.version)
        except InvalidVersion:
            unknown[record.version] = None
    return (*(known[version] for version in sorted(known, reverse=True)), *unknown)


def _on_other_platforms(session: Session, spec: MatchSpec, present: Sequence[RepoDataRecord]) -> list[Offer]:
    """What the channels have for other platforms, as far as that is known without asking a server."""
    channels = session.channels()
    found = []
    for subdir, index in open_elsewhere(session, channels, (subdir_of(session, present),)):
        for channel in channels:
            records = [record for record in query_known(index, spec) if record.channel == channel.base_url]
            if records:
                found.append(Offer(channel.base_url, subdir, versions_of(records), "platform"))
    return found
