"""Solving on a channel of conda-forge's size, served over loopback with ETags: whole processes, caches warm.

py-rattler is measured twice: its solve alone (opening its cached repodata included), and its whole process. The channel
is made of real records by the script beside them (tools/scale_channel.py of the shared data).
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.installed import FOLDER, clean_environ, installed_kaa
from benchmarks.measure import Figure, have_rattler, in_turn, run_program, shared_data, show
from benchmarks.server import served

MANY = "python numpy pandas scipy scikit-learn matplotlib jupyterlab"
REQUESTS = ["python=3.12 numpy pandas", MANY, "gdal geopandas xarray dask python=3.11"]
UNSOLVABLE = "python=3.13 numpy=1.26 pandas"
ONE_MORE = "polars"
OVERRIDES = {
    "CONDA_OVERRIDE_GLIBC": "2.36",
    "CONDA_OVERRIDE_LINUX": "6.1",
    "CONDA_OVERRIDE_ARCHSPEC": "x86_64_v3",
    "CONDA_OVERRIDE_CUDA": "",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are in one run of this benchmark."""

    kaa: Path
    url: str
    home: Path
    environ: Mapping[str, str]

    def command(self, *words: str) -> list[str]:
        common = ["--override-channels", "-c", self.url, "--platform", "linux-64", "--strict-channel-priority"]
        return [str(self.kaa), *words, *common, "--dry-run", "--quiet"]


def scaled_channel(data: Path) -> Path:
    """The scaled channel, made once."""
    folder = FOLDER / "scaled"
    if not (folder / "noarch" / "repodata.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        script = data.parent / "tools" / "scale_channel.py"
        subprocess.run([sys.executable, script, data / "conda-forge-slice", folder], check=True, capture_output=True)
    return folder


def run_kaa(place: Place, words: Sequence[str], *, may_fail: bool = False) -> Figure:
    return run_program(place.command(*words), environ=place.environ, codes=(0, 1) if may_fail else (0,))


def run_peer(place: Place, specs: str, prefix: Path | None, alone: list[Figure]) -> Figure:
    """The whole process of py-rattler; what it says of its solve alone is added to `alone`."""
    words = [sys.executable, "-m", "benchmarks.peer_solve", place.url, str(place.home / "rattler")]
    words += ["--prefix", str(prefix)] if prefix else []
    with tempfile.NamedTemporaryFile("r+") as output:
        figure = run_program([*words, *specs.split()], environ={**place.environ, "SOLVE_FIGURES": output.name})
        cpu, wall, _ = output.read().split()
    alone.append(Figure(float(cpu), float(wall)))
    return figure


def measure(place: Place, title: str, words: Sequence[str], specs: str, prefix: Path | None = None) -> None:
    alone: list[Figure] = []
    contestants: dict[str, Callable[[], Figure]] = {
        "kaa, whole process": lambda: run_kaa(place, words, may_fail=True),
    }
    if have_rattler():
        contestants["py-rattler, whole process"] = lambda: run_peer(place, specs, prefix, alone)
    medians = in_turn(contestants, rounds=9)
    if alone:
        counted = alone[1:]
        medians["py-rattler, solve alone"] = Figure(
            statistics.median(figure.cpu for figure in counted), statistics.median(figure.wall for figure in counted)
        )
    show(title, medians)


def write_environment(place: Place, prefix: Path) -> None:
    """An environment with the records of the 254 packages, and nothing else: a solve looks at no more."""
    script = Path(__file__).with_name("records_of.py")
    words = [str(place.kaa.with_name("python")), str(script), place.url, str(prefix), *MANY.split()]
    subprocess.run(words, check=True, env=dict(place.environ))


def first_use(place: Place) -> None:
    """Fetching and indexing all, as on the first day; then the index alone, from a folder."""

    def forget() -> None:
        shutil.rmtree(place.home / "kaa" / "pkgs" / "cache", ignore_errors=True)

    words = place.command("create", "-n", "first", *REQUESTS[0].split())
    whole = lambda: run_program(words, environ=place.environ, prepare=forget)  # noqa: E731
    show("The first use of the channel: fetch, index, make columns, solve", in_turn({"kaa": whole}, rounds=3))


def main() -> None:
    data = shared_data()
    if data is None:
        print("\nscale: skipped, the conda-forge records are not here")
        return
    folder = scaled_channel(data)
    kaa = installed_kaa()
    with tempfile.TemporaryDirectory() as temporary, served(folder) as url:
        home = Path(temporary)
        place = Place(kaa, url, home, {**clean_environ(home), **OVERRIDES})
        first_use(place)
        for request in REQUESTS:
            measure(place, f"Solve {request}", ["create", "-n", "x", *request.split()], request)
        title = f"Find {UNSOLVABLE} unsolvable, and say why"
        measure(place, title, ["create", "-n", "x", *UNSOLVABLE.split()], UNSOLVABLE)
        prefix = home / "kaa" / "envs" / "many"
        write_environment(place, prefix)
        measure(place, f"Add {ONE_MORE} to the 254 packages", ["install", "-n", "many", ONE_MORE], ONE_MORE, prefix)


if __name__ == "__main__":
    main()
