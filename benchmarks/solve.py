"""Solving on real conda-forge records, beside py-rattler on the same ones; the solve alone, records loaded before."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Figure, have_rattler, in_turn, run_function, shared_data, show
from benchmarks.worlds import open_folder
from kaa.index.index import Index
from kaa.models.match_spec import MatchSpec
from kaa.models.virtual_package import VirtualPackage
from kaa.solver.request import SolveRequest
from kaa.solver.solve import solve

REQUESTS = [
    "python=3.12 numpy pandas",
    "python numpy pandas scipy scikit-learn matplotlib jupyterlab",
    "gdal geopandas xarray dask python=3.11",
    "r-base",
    "pytorch",
]
VIRTUAL = (
    VirtualPackage("__archspec", "1", "x86_64_v3"),
    VirtualPackage("__glibc", "2.36"),
    VirtualPackage("__linux", "6.1"),
    VirtualPackage("__unix", "0"),
)


def ours(index: Index, request: str) -> Figure:
    specs = tuple(MatchSpec.parse(text) for text in request.split())
    return run_function(lambda: solve(SolveRequest(install=specs, virtual_packages=VIRTUAL), index))


def theirs(folder: Path) -> Callable[[str], Figure]:
    """py-rattler with its records read lazily, as it does best."""
    import rattler

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

    def run(request: str) -> Figure:
        solving = rattler.solve_with_sparse_repodata(
            specs=[rattler.MatchSpec(text) for text in request.split()],
            sparse_repodata=sparse,
            virtual_packages=virtual,
        )
        return run_function(lambda: asyncio.run(_wait(solving)))

    return run


async def _wait(solving: object) -> object:
    return await solving  # type: ignore[misc]


def main() -> None:
    data = shared_data()
    if data is None:
        print("\nsolve: skipped, the conda-forge records are not here")
        return
    with tempfile.TemporaryDirectory() as folder:
        world = open_folder(data / "conda-forge-slice", Path(folder))
        peer = theirs(world.folder) if have_rattler() else None
        for request in REQUESTS:
            contestants: dict[str, Callable[[], Figure]] = {"kaa": lambda request=request: ours(world.index, request)}
            if peer is not None:
                contestants["py-rattler"] = lambda request=request: peer(request)
            show(f"Solve {request}", in_turn(contestants))
