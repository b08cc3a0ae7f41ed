"""Conflicts of real packages, as a person reads them: the texts in `golden/`, and their repairs, run.

With KAA_WRITE_GOLDEN=1 in the environment the texts are written anew; read each of them before it is kept.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kaa.models.cutoff import parse_cutoff
from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import RecordSource
from kaa.solver.cutoffs import Cutoffs
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.request import SolveOptions, SolveRequest
from kaa.solver.solve import solve
from tests.solver.conda_forge import MACHINES, needs_records, two_channels, where
from tests.solver.packages import specs
from tests.solver.repairs import check_repairs

pytestmark = needs_records

GOLDEN = Path(__file__).parent / "golden"
MOST_LINES = 12

LINUX, WITH_CUDA, OLD_LINUX = MACHINES["linux-64"]
MAC = MACHINES["osx-arm64"][0]
WINDOWS = MACHINES["win-64"][0]


@functools.cache
def environment(*wanted: str) -> tuple[RepoDataRecord, ...]:
    """What an environment with these holds."""
    return solve(SolveRequest(install=specs(*wanted), virtual_packages=LINUX), where()).records


@functools.cache
def both() -> RecordSource:
    """Two channels, of which the first shuts out much of the second."""
    return RecordSource(two_channels("linux-64"))


def fresh(*wanted: str, pins: tuple[str, ...] = (), **options: object) -> SolveRequest:
    return SolveRequest(
        install=specs(*wanted),
        pins=specs(*pins),
        virtual_packages=LINUX,
        options=SolveOptions(**options),  # type: ignore[arg-type]
    )


def on_top(present: tuple[str, ...], *wanted: str, pins: tuple[str, ...] = (), frozen: bool = False) -> SolveRequest:
    """A request in an environment that was made with these specs."""
    return SolveRequest(
        install=specs(*wanted),
        pins=specs(*pins),
        installed=environment(*present),
        history=specs(*present),
        freeze_installed=frozen,
        virtual_packages=LINUX,
    )


def machine(packages: tuple[object, ...], *wanted: str) -> SolveRequest:
    return SolveRequest(install=specs(*wanted), virtual_packages=packages)  # type: ignore[arg-type]


SCIENCE = ("python=3.11", "numpy=1.26", "pandas")
LAB = ("python=3.11", "jupyterlab", "matplotlib")

Case = tuple[str, Callable[[], SolveRequest], Callable[[], RecordSource]]

CASES: list[Case] = [
    ("package-too-old-for-python", lambda: fresh("python=3.13", "numba=0.59"), where),
    ("numpy-1-with-a-new-python", lambda: fresh("numpy=1.26", "python=3.14"), where),
    ("two-versions-of-a-library", lambda: fresh("libcurl>=8.21", "pyqtwebengine"), where),
    ("two-compilers-of-a-library", lambda: fresh("clang-20", "gazebo<11.15.1"), where),
    ("several-libraries", lambda: fresh("python=3.12", "vtk-io-ffmpeg=9.3"), where),
    ("many-libraries", lambda: fresh("contextily=1.5", "py-opencv=4.11"), where),
    ("many-ways-to-one-library", lambda: fresh("c-ares=1.26", "qgis=3.38"), where),
    ("a-gap-in-the-builds", lambda: fresh("pdal", "libpq=16.9"), where),
    ("both-sides-long", lambda: fresh("libparquet=22.0", "libpdal-core=2.8"), where),
    ("one-package-alone", lambda: fresh("numba=0.60"), where),
    ("python-2", lambda: fresh("python=2.7", "pandas"), where),
    ("a-version-of-long-ago", lambda: fresh("python=3.12", "numpy=1.19"), where),
    ("a-typing-error", lambda: fresh("nmpy", "pandas"), where),
    ("the-name-of-the-import", lambda: fresh("sklearn", "python=3.12"), where),
    ("nothing-like-it", lambda: fresh("tensorflow", "python=3.12"), where),
    ("several-missing-versions", lambda: fresh("python=3.11", "numpy=1.23", "scipy=1.9", "pandas=3"), where),
    ("a-dependency-that-nobody-has", lambda: fresh("m2-patch"), where),
    ("a-package-for-windows", lambda: fresh("python=3.12", "vswhere"), where),
    ("an-old-glibc", lambda: machine(OLD_LINUX, "nodejs>=24"), where),
    ("no-graphics-card", lambda: fresh("pytorch=2.8=cuda*", "python=3.13"), where),
    ("mac-python-of-others", lambda: machine(MAC, "bullet=3.21", "watchfiles=0.22"), lambda: where("osx-arm64")),
    ("mac-libraries", lambda: machine(MAC, "libmamba=2.8", "qt6-main=6.8"), lambda: where("osx-arm64")),
    ("windows-runtime", lambda: machine(WINDOWS, "vs2015_runtime=14.38", "dvc=3.67"), lambda: where("win-64")),
    (
        "windows-python-of-others",
        lambda: machine(WINDOWS, "conda-libmamba-solver=24.7", "ruamel.yaml=0.17"),
        lambda: where("win-64"),
    ),
    ("a-pin", lambda: fresh("python=3.14", "pandas", pins=("numpy=1.26",)), where),
    ("a-pin-on-python", lambda: on_top(SCIENCE, "networkx=3.6", pins=("python=3.10",)), where),
    ("an-earlier-request", lambda: on_top(SCIENCE, "python=3.14"), where),
    ("two-earlier-requests", lambda: on_top(("python=3.11", "numba=0.59"), "numpy=2.4"), where),
    ("frozen", lambda: on_top(LAB, "numpy=1.26", "numba=0.59", frozen=True), where),
    ("strict-channels", lambda: fresh("python=3.13", "numpy"), both),
    ("strict-channels-version", lambda: fresh("pandas=3", "python=3.12"), both),
    (
        "too-new",
        lambda: fresh("python=3.14", "numpy>=2.4", cutoffs=Cutoffs(parse_cutoff("2025-06-01", now=0))),
        where,
    ),
]


@pytest.mark.parametrize(("name", "request_of", "source_of"), CASES, ids=[case[0] for case in CASES])
def test_a_real_conflict(
    name: str, request_of: Callable[[], SolveRequest], source_of: Callable[[], RecordSource]
) -> None:
    request, source = request_of(), source_of()
    with pytest.raises((Unsolvable, PackagesNotFound)) as caught:
        solve(request, source, repair_seconds=60)
    error = caught.value
    assert isinstance(error, Unsolvable | PackagesNotFound)
    text = f"{error}\n"
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("KAA_WRITE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    check_repairs(error, request, source)
    if isinstance(error, Unsolvable):
        check_minimal(error, request, source)


def check_minimal(error: Unsolvable, request: SolveRequest, source: RecordSource) -> None:
    """Without any one of the requests that are named, nothing of the rest contradicts itself."""
    named = [fact.spec for fact in error.facts]
    kept = [spec for spec in request.install if spec in named]
    for spared in kept:
        rest = tuple(spec for spec in kept if spec != spared)
        if rest and not request.installed:
            solve(
                SolveRequest(install=rest, virtual_packages=request.virtual_packages, options=request.options), source
            )


def test_every_text_has_its_conflict() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(name for name, _, _ in CASES)
