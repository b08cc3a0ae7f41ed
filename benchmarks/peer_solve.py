"""One solve with py-rattler in a process of its own: `python -m benchmarks.peer_solve URL CACHE [--prefix DIR] SPEC…`.

The seconds of CPU and wall time that the solve alone took, and how many packages it found, go to $SOLVE_FIGURES.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import time
from pathlib import Path

import rattler
from rattler.exceptions import SolverError

VIRTUAL = (("__unix", "0", "0"), ("__linux", "6.1", "0"), ("__glibc", "2.36", "0"), ("__archspec", "1", "x86_64_v3"))


async def solve(url: str, cache: Path, prefix: Path | None, specs: list[str]) -> None:
    gateway = rattler.Gateway(cache_dir=cache)
    virtual = [
        rattler.GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build))
        for name, version, build in VIRTUAL
    ]
    locked = (
        [rattler.PrefixRecord.from_path(path) for path in sorted((prefix / "conda-meta").glob("*.json"))]
        if prefix
        else []
    )
    before, start = cpu(), time.perf_counter()
    try:
        found = await rattler.solve(
            sources=[rattler.Channel(url)],
            specs=[rattler.MatchSpec(spec) for spec in specs],
            gateway=gateway,
            platforms=["linux-64", "noarch"],
            virtual_packages=virtual,
            locked_packages=locked,
        )
        count = len(found)
    except SolverError:
        count = 0
    Path(os.environ["SOLVE_FIGURES"]).write_text(f"{cpu() - before} {time.perf_counter() - start} {count}\n")


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("cache", type=Path)
    parser.add_argument("specs", nargs="+")
    parser.add_argument("--prefix", type=Path)
    arguments = parser.parse_args()
    asyncio.run(solve(arguments.url, arguments.cache, arguments.prefix, arguments.specs))
    # Ending Python with its threads still running crashes now and then.
    os._exit(0)


if __name__ == "__main__":
    main()
