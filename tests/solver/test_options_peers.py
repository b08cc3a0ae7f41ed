"""Cut-offs and strategies on the real records of conda-forge, beside py-rattler."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kaa.models.cutoff import show_cutoff
from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import RecordSource
from kaa.solver.cutoffs import Cutoffs
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.request import SolveOptions, SolveRequest, Strategy
from kaa.solver.solve import solve
from tests.solver.conda_forge import CHANNEL, MACHINE, SUBDIRS, needs_records, records, repodata
from tests.solver.packages import faults, specs

rattler = pytest.importorskip("rattler", reason="py-rattler is not installed")
solver_error = pytest.importorskip("rattler.exceptions").SolverError


pytestmark = [pytest.mark.peers, needs_records]


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    found = []
    for subdir in SUBDIRS:
        path = tmp_path_factory.mktemp("slice") / subdir / "repodata.json"
        path.parent.mkdir()
        path.write_bytes(repodata(subdir))
        found.append(rattler.SparseRepoData(rattler.Channel(CHANNEL), subdir, path))
    return found


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="module")
def source() -> RecordSource:
    return RecordSource({CHANNEL: records()})


def random_requests(count: int) -> list[tuple[list[str], int]]:
    """Requests for one to three packages, and cut-offs at which some of their builds were there."""
    chance = random.Random(47)
    by_name: dict[str, list[int]] = {}
    for record in records():
        by_name.setdefault(record.name, []).append(record.timestamp or 0)
    names = sorted(name for name, times in by_name.items() if len(times) > 3)
    found = []
    for _ in range(count):
        wanted = chance.sample(names, chance.randint(1, 3))
        times = sorted(time for name in wanted for time in by_name[name] if time)
        found.append((wanted, times[chance.randrange(len(times) // 2, len(times))]))
    return found


@pytest.mark.parametrize("strategy", ["highest", "lowest", "lowest-direct"])
@pytest.mark.parametrize("cut", [False, True])
def test_beside_py_rattler(
    sparse: list[Any], runner: asyncio.Runner, source: RecordSource, strategy: Strategy, cut: bool
) -> None:
    answered = 0
    for wanted, cutoff in random_requests(25):

        async def ask(wanted: list[str] = wanted, cutoff: int = cutoff) -> Any:
            return await rattler.solve_with_sparse_repodata(
                specs=wanted,
                sparse_repodata=sparse,
                virtual_packages=[
                    rattler.GenericVirtualPackage(
                        rattler.PackageName(package.name),
                        rattler.Version(package.version),
                        rattler.BuildString(package.build),
                    )
                    for package in MACHINE
                ],
                strategy=strategy,
                exclude_newer=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=cutoff) if cut else None,
            )

        try:
            theirs = {record.name.source: str(record.version) for record in runner.run(ask())}
        except solver_error:
            theirs = None
        options = SolveOptions(strategy=strategy, cutoffs=Cutoffs(cutoff) if cut else Cutoffs())
        request = SolveRequest(install=specs(*wanted), virtual_packages=MACHINE, options=options)
        try:
            ours: tuple[RepoDataRecord, ...] | None = solve(request, source).records
        except (Unsolvable, PackagesNotFound):
            ours = None
        told = (wanted, show_cutoff(cutoff))
        assert (ours is None) == (theirs is None), told
        if ours is not None and theirs is not None:
            answered += 1
            assert faults(ours, specs(*wanted), MACHINE) == [], told
            assert not cut or all(record.timestamp and record.timestamp <= cutoff for record in ours), told
            first = wanted[0]
            assert {record.name: record.version for record in ours}[first] == theirs[first], told
    assert answered > 5
