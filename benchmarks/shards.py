"""Solving on a sharded channel of conda-forge's size: nothing on this machine yet, and again; with and without latency.

Whole processes, beside py-rattler on the same server. What the server has served is told with each.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.installed import FOLDER, clean_environ, installed_kaa
from benchmarks.measure import Figure, have_rattler, in_turn, shared_data, show
from benchmarks.scale import OVERRIDES, REQUESTS, Place, run_kaa, run_peer, scaled_channel
from benchmarks.slow_server import SlowServer, serve_slowly

MILLISECONDS = (0.0, 30.0)


def sharded_channel(data: Path) -> Path:
    """The scaled channel in shards and nothing else, made once."""
    folder = FOLDER / "sharded"
    if not (folder / "noarch" / "repodata_shards.msgpack.zst").exists():
        for source in scaled_channel(data).glob("*/repodata.json"):
            (folder / source.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / source.parent.name)
        words = [sys.executable, "-m", "kaa", "channel", "index", "--shards", "--from-repodata", str(folder)]
        subprocess.run(words, check=True, capture_output=True)
        for whole in folder.glob("*/repodata.json*"):
            whole.unlink()
    return folder


def measure(place: Place, server: SlowServer, title: str, request: str, *, warm: bool) -> None:
    """One request, by both; `warm` with what an earlier run has left on this machine."""
    alone: list[Figure] = []
    traffic: dict[str, dict[str, int]] = {}

    def run(name: str, cache: Path, program: Callable[[], Figure]) -> Callable[[], Figure]:
        def once() -> Figure:
            if not warm:
                shutil.rmtree(cache, ignore_errors=True)
            server.traffic()
            figure = program()
            traffic[name] = server.traffic()
            return figure

        return once

    words = ["create", "-n", "x", *request.split()]
    kaas = place.home / "kaa" / "pkgs" / "cache"
    contestants = {"kaa": run("kaa", kaas, lambda: run_kaa(place, words))}
    if have_rattler():
        theirs = place.home / "rattler"
        contestants["py-rattler"] = run("py-rattler", theirs, lambda: run_peer(place, request, None, alone))
    medians = in_turn(contestants, rounds=5)
    note = "; ".join(
        f"{name}: {served['requests']} requests, {served['bytes'] / 1e6:.2f} MB, up to {served['at once']} at once"
        for name, served in traffic.items()
    )
    show(title, medians, note=note)


def main() -> None:
    data = shared_data()
    if data is None:
        print("\nshards: skipped, the conda-forge records are not here")
        return
    folder = sharded_channel(data)
    kaa = installed_kaa()
    for milliseconds in MILLISECONDS:
        with tempfile.TemporaryDirectory() as temporary, serve_slowly(folder, milliseconds) as server:
            home = Path(temporary)
            place = Place(kaa, server.url, home, {**clean_environ(home), **OVERRIDES})
            for request in REQUESTS:
                for warm in (False, True):
                    state = "again" if warm else "nothing on this machine"
                    title = f"{request}, in shards, {milliseconds:.0f} ms for each request, {state}"
                    measure(place, server, title, request, warm=warm)


if __name__ == "__main__":
    main()
