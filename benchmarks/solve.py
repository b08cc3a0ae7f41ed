"""Solving on real conda-forge records, beside py-rattler on the same ones; the solve alone, records loaded before."""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmarks.measure import Figure, have_rattler, in_turn, run_function, shared_data, show
from benchmarks.worlds import open_folder
from kaa.index.index import Index
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.virtual_package import VirtualPackage
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.request import SolveRequest
from kaa.solver.solve import solve

MANY = "python numpy pandas scipy scikit-learn matplotlib jupyterlab"
REQUESTS = ["python=3.12 numpy pandas", MANY, "gdal geopandas xarray dask python=3.11", "r-base", "pytorch"]
UNSOLVABLE = ["python=3.13 numpy=1.26 pandas<2.2", "pytorch python=3.9 numpy"]
ONE_MORE = "polars"
VIRTUAL = (
    VirtualPackage("__archspec", "1", "x86_64_v3"),
    VirtualPackage("__glibc", "2.36"),
    VirtualPackage("__linux", "6.1"),
    VirtualPackage("__unix", "0"),
)


def ours(index: Index, wanted: Sequence[str], installed: Sequence[RepoDataRecord] = ()) -> tuple[RepoDataRecord, ...]:
    """What kaa chooses; nothing when there is no solution."""
    specs = tuple(MatchSpec.parse(text, lenient=True) for text in wanted)
    request = SolveRequest(install=specs, installed=tuple(installed), virtual_packages=VIRTUAL)
    try:
        return solve(request, index).records
    except (Unsolvable, PackagesNotFound):
        return ()


class Peer(Protocol):
    def __call__(self, wanted: Sequence[str], installed: Sequence[Any] = ()) -> Sequence[Any]:
        """What is chosen; nothing when there is no solution."""


def theirs(folder: Path, runner: asyncio.Runner) -> Peer:
    """py-rattler with its records read lazily, as it does best."""
    import rattler
    from rattler.exceptions import SolverError

    channel = rattler.Channel(folder.as_uri())
    sparse = [
        rattler.SparseRepoData(channel, subdir, folder / subdir / "repodata.json") for subdir in ("linux-64", "noarch")
    ]
    virtual = [
        rattler.GenericVirtualPackage(
            rattler.PackageName(v.name), rattler.Version(v.version), rattler.BuildString(v.build)
        )
        for v in VIRTUAL
    ]

    async def ask(wanted: Sequence[str], installed: Sequence[Any]) -> Sequence[Any]:
        chosen: Sequence[Any] = await rattler.solve_with_sparse_repodata(
            specs=[rattler.MatchSpec(text, strict=False) for text in wanted],
            sparse_repodata=sparse,
            locked_packages=list(installed),
            virtual_packages=virtual,
        )
        return chosen

    def run(wanted: Sequence[str], installed: Sequence[Any] = ()) -> Sequence[Any]:
        try:
            return runner.run(ask(wanted, installed))
        except SolverError:
            return ()

    return run


def compare(title: str, mine: Callable[[], object], other: Callable[[], object] | None) -> None:
    contestants: dict[str, Callable[[], Figure]] = {"kaa": functools.partial(run_function, mine)}
    if other is not None:
        contestants["py-rattler"] = functools.partial(run_function, other)
    show(title, in_turn(contestants))


def main() -> None:
    data = shared_data()
    if data is None:
        print("\nsolve: skipped, the conda-forge records are not here")
        return
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        world = open_folder(data / "conda-forge-slice", Path(folder))
        index = world.index
        peer = theirs(world.folder, runner) if have_rattler() else None
        for request in (*REQUESTS, *UNSOLVABLE):
            wanted = request.split()
            solvable = bool(ours(index, wanted))
            assert solvable == (request in REQUESTS)
            title = f"Solve {request}" if solvable else f"Find {request} unsolvable, and say why"
            compare(title, functools.partial(ours, index, wanted), functools.partial(peer, wanted) if peer else None)
        before = ours(index, MANY.split())
        # py-rattler keeps only what a spec asks for, or what that needs.
        locked = peer(MANY.split()) if peer else ()
        compare(
            f"Add {ONE_MORE} to {len(before)} packages",
            functools.partial(ours, index, [ONE_MORE], before),
            functools.partial(peer, [ONE_MORE, *MANY.split()], locked) if peer else None,
        )


if __name__ == "__main__":
    main()
