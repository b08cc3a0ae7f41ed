"""py-rattler (resolvo) and kaa with the same requests, records and machines."""

from __future__ import annotations

import asyncio
import functools
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest

from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.virtual_package import VirtualPackage
from kaa.solver.candidates import RecordSource
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.request import SolveOptions, SolveRequest
from kaa.solver.solve import solve
from tests.solver.conda_forge import repodata_of
from tests.solver.packages import specs
from tests.solver.scenarios import Layout, Scenario, channels
from tests.solver.validity import Judge, channels_of, held_specs

rattler = pytest.importorskip("rattler", reason="py-rattler is not installed")
solver_error = pytest.importorskip("rattler.exceptions").SolverError

INSTEAD = {1232: ("python_abi 3.14.*", "ujson")}
"""What py-rattler is asked in place of scenarios that it cannot answer, by number.

The text in which it would say why there is no solution grows beyond all memory (more than 20 GB), and nothing but the
end of the process stops it. Here it is what every conda-rattler-solver of the request needs, with the other half of
the request that does not go with it.
"""

Answer: TypeAlias = tuple[RepoDataRecord, ...] | None
"""The records of a solution, or None when there is none."""


class Outcome(msgspec.Struct):
    """A scenario as kaa was asked, both answers, what is wrong with them, and the CPU time of each in seconds."""

    case: Scenario
    request: SolveRequest
    ours: Answer
    theirs: Answer
    our_faults: list[str]
    their_faults: list[str]
    our_time: float
    their_time: float


@functools.cache
def source(platform: str, layout: Layout) -> RecordSource:
    """The channels as kaa's solver takes them."""
    return RecordSource(channels(platform, layout))


@functools.cache
def by_url(platform: str, layout: Layout) -> Mapping[str, RepoDataRecord]:
    return {record.url: record for members in channels(platform, layout).values() for record in members}


@functools.cache
def offered(platform: str, layout: Layout) -> Mapping[str, Sequence[str]]:
    return channels_of(channels(platform, layout))


class Peer:
    """py-rattler, with the channels of all scenarios in files."""

    def __init__(self, folder: Path, runner: asyncio.Runner) -> None:
        self.folder = folder
        self.runner = runner
        self._repodata: dict[tuple[str, str, str], Any] = {}
        self._records: dict[str, Any] = {}
        """What py-rattler answered with, by URL: installed records are given back to it as they came."""

    def repodata(self, case: Scenario) -> list[Any]:
        """The repodata of the channels of a scenario, in their order."""
        found = []
        for channel, members in channels(case.platform, case.layout).items():
            for subdir in (case.platform, "noarch"):
                key = (case.platform, channel, subdir)
                if key not in self._repodata:
                    path = self.folder / case.platform / channel.rpartition("/")[2] / subdir / "repodata.json"
                    path.parent.mkdir(parents=True)
                    path.write_bytes(repodata_of(members, subdir))
                    self._repodata[key] = rattler.SparseRepoData(rattler.Channel(channel), subdir, path)
                found.append(self._repodata[key])
        return found

    def solve(
        self,
        case: Scenario,
        wanted: Sequence[str],
        *,
        locked: Sequence[RepoDataRecord] = (),
        pinned: Sequence[RepoDataRecord] = (),
    ) -> Answer:
        """The records that py-rattler chooses, or None when it finds no solution."""
        known = by_url(case.platform, case.layout)

        async def ask() -> Any:
            return await rattler.solve_with_sparse_repodata(
                specs=[rattler.MatchSpec(text, strict=False) for text in wanted],
                sparse_repodata=self.repodata(case),
                virtual_packages=virtual_packages(case.machine),
                channel_priority=getattr(rattler.ChannelPriority, case.priority.capitalize()),
                locked_packages=[self._records[record.url] for record in locked],
                pinned_packages=[self._records[record.url] for record in pinned],
                constraints=[rattler.MatchSpec(text, strict=False) for text in case.pins],
            )

        try:
            found = self.runner.run(ask())
        except solver_error:
            return None
        self._records.update((str(record.url), record) for record in found)
        return tuple(known[str(record.url)] for record in found)

    def run(self, case: Scenario) -> Outcome:
        """Ask both; the environment that a scenario begins with is one that py-rattler made."""
        before = self.environment(case)
        request = request_of(case, before)
        judge = Judge(request, offered(case.platform, case.layout))
        ours, our_time = timed(lambda: answer(request, case))
        theirs, their_time = timed(lambda: self.answer(case, request, before))
        return Outcome(
            case,
            request,
            ours,
            theirs,
            [] if ours is None else judge.faults(ours),
            [] if theirs is None else judge.faults(theirs),
            our_time,
            their_time,
        )

    def environment(self, case: Scenario) -> tuple[RepoDataRecord, ...]:
        """What is installed: the answer to the earlier requests, as many of them as can be met together."""
        earlier = case.earlier
        while earlier:
            found = self.solve(msgspec.structs.replace(case, pins=()), earlier)
            if found is not None:
                return found
            earlier = earlier[:-1]
        return ()

    def answer(self, case: Scenario, request: SolveRequest, before: Sequence[RepoDataRecord]) -> Answer:
        """What py-rattler makes of a request."""
        if case.number in INSTEAD:
            return self.solve(case, INSTEAD[case.number])
        if case.installed == "pinned":
            return self.solve(case, case.install, pinned=[record for record in before if is_chosen(record)])
        wanted = [*case.install, *held_texts(case, request)]
        if case.installed == "frozen":
            fixed = [record for record in before if is_wanted(record, request)]
            return self.solve(case, [*wanted, *(record.name for record in before)], locked=before, pinned=fixed)
        return self.solve(case, wanted, locked=before)


def request_of(case: Scenario, before: Sequence[RepoDataRecord]) -> SolveRequest:
    """A scenario as kaa is asked."""
    pins = specs(*case.pins)
    if case.installed == "pinned":
        pins += specs(*(f"{one.name}=={one.version}={one.build}" for one in before if is_chosen(one)))
    kept = case.installed in ("kept", "frozen")
    return SolveRequest(
        install=specs(*case.install),
        installed=tuple(before) if kept else (),
        history=specs(*case.earlier) if kept else (),
        pins=pins,
        freeze_installed=case.installed == "frozen",
        virtual_packages=case.machine,
        options=SolveOptions(channel_priority=case.priority),
    )


def is_chosen(record: RepoDataRecord) -> bool:
    """Whether a package of the environment is one of those that must not change: every other one."""
    return zlib.crc32(record.name.encode()) % 2 == 0


def is_wanted(record: RepoDataRecord, request: SolveRequest) -> bool:
    """Whether an installed package meets what is asked for under its name."""
    return all(spec.matches(record) for spec in request.install if spec.name == record.name)


def held_texts(case: Scenario, request: SolveRequest) -> list[str]:
    """The earlier requests that go on holding, as they were written."""
    held = held_specs(request)
    return [text for text in case.earlier if MatchSpec.parse(text, lenient=True) in held]


def answer(request: SolveRequest, case: Scenario) -> Answer:
    """What kaa makes of a request."""
    try:
        return solve(request, source(case.platform, case.layout)).records
    except (Unsolvable, PackagesNotFound):
        return None


def timed(ask: Callable[[], Answer]) -> tuple[Answer, float]:
    """An answer, and how much CPU time of this process it took."""
    begin = time.process_time()
    found = ask()
    return found, time.process_time() - begin


def virtual_packages(machine: Sequence[VirtualPackage]) -> list[Any]:
    """A machine in py-rattler's terms."""
    return [
        rattler.GenericVirtualPackage(
            rattler.PackageName(package.name), rattler.Version(package.version), rattler.BuildString(package.build)
        )
        for package in machine
    ]
