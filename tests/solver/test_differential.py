"""The same questions to kaa and to py-rattler, on the real records of conda-forge.

Both have to agree on whether there is a solution, and kaa's has to be one. Where the versions of requested packages
differ, kaa's must be better for the request that comes first among those that differ in version or build number: that
is the order in which it decides (docs/design/0002-solver.md).
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from kaa.models.record import RepoDataRecord
from kaa.models.version import Version
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.request import SolveRequest
from kaa.solver.solve import solve
from tests.solver.conda_forge import CHANNEL, MACHINE, SUBDIRS, needs_records, records, repodata, where
from tests.solver.packages import faults, specs

rattler = pytest.importorskip("rattler", reason="py-rattler is not installed")
solver_error = pytest.importorskip("rattler.exceptions").SolverError

pytestmark = [pytest.mark.peers, needs_records]

REQUESTS = 300
SEED = 20260


Answer: TypeAlias = dict[str, tuple[Version, int]]
"""Version and build number by name."""


class Peer:
    """py-rattler with the same records and the same machine."""

    def __init__(self, folder: Path, runner: asyncio.Runner) -> None:
        self.runner = runner
        channel = rattler.Channel(CHANNEL)
        self.repodata = []
        for subdir in SUBDIRS:
            path = folder / subdir / "repodata.json"
            path.parent.mkdir()
            path.write_bytes(repodata(subdir))
            self.repodata.append(rattler.SparseRepoData(channel, subdir, path))
        self.machine = [
            rattler.GenericVirtualPackage(
                rattler.PackageName(package.name), rattler.Version(package.version), rattler.BuildString(package.build)
            )
            for package in MACHINE
        ]

    def solve(self, wanted: list[str]) -> Answer | None:
        """What is chosen of every package, or None when there is no solution."""

        async def ask() -> Any:
            return await rattler.solve_with_sparse_repodata(
                specs=[rattler.MatchSpec(text, strict=False) for text in wanted],
                sparse_repodata=self.repodata,
                virtual_packages=self.machine,
            )

        try:
            return {
                record.name.normalized: (Version(str(record.version)), record.build_number)
                for record in self.runner.run(ask())
            }
        except solver_error:
            return None


def requests() -> list[list[str]]:
    """Requests as people make them: names, some with versions or builds, often a python."""
    choose = random.Random(SEED)
    by_name: dict[str, list[RepoDataRecord]] = {}
    for record in records():
        by_name.setdefault(record.name, []).append(record)
    made = []
    for _ in range(REQUESTS):
        wanted = []
        for name in choose.sample(sorted(by_name), choose.randint(1, 8)):
            record = choose.choice(by_name[name])
            minor = ".".join(record.version.split(".")[:2])
            shape = choose.random()
            if shape < 0.6:
                wanted.append(name)
            elif shape < 0.75:
                wanted.append(f"{name} >={minor}")
            elif shape < 0.87:
                wanted.append(f"{name} {minor}.*")
            elif shape < 0.95:
                wanted.append(f"{name} <{record.version}")
            else:
                wanted.append(f"{name} {record.version} {record.build}")
        if choose.random() < 0.4:
            wanted.insert(choose.randint(0, len(wanted)), f"python {choose.choice(['3.10', '3.11', '3.12', '3.13'])}.*")
        made.append(wanted)
    return made


def ours(wanted: list[str]) -> Answer | None:
    """The same of kaa, checked for faults."""
    try:
        solution = solve(SolveRequest(install=specs(*wanted), virtual_packages=MACHINE), where())
    except (Unsolvable, PackagesNotFound):
        return None
    assert faults(solution.records, specs(*wanted), MACHINE) == [], wanted
    return {record.name: (Version(record.version), record.build_number) for record in solution.records}


def test_both_agree(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        peer = Peer(tmp_path, runner)
        compare(peer)


def compare(peer: Peer) -> None:
    """All requests, one by one."""
    counts = {True: 0, False: 0}
    differing: list[list[str]] = []
    for wanted in requests():
        mine, theirs = ours(wanted), peer.solve(wanted)
        assert (mine is None) == (theirs is None), wanted
        counts[mine is not None] += 1
        if mine is None or theirs is None:
            continue
        names = [spec.name or "" for spec in specs(*wanted)]
        if all(mine[name][0] == theirs[name][0] for name in names):
            continue
        differing.append(wanted)
        # The first request that differs, by version or build number, got the better candidate: it was decided first.
        first = next(name for name in names if mine[name] != theirs[name])
        assert mine[first] > theirs[first], (wanted, first, mine[first], theirs[first])
    assert counts[True] > REQUESTS // 2
    assert counts[False] > REQUESTS // 20
    assert len(differing) <= REQUESTS // 20, differing
