"""What it costs that a change outlasts a loss of power: creating and installing with the journal's syncs, and without.

Both are kaa, in one process per run, the cache warm; the runs alternate. The syncs wait for the disk below `TMPDIR`, so
that is where the figures are from; on a RAM disk they cost nothing.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Figure, run_program
from benchmarks.worlds import write_many_files

CHANGE = """
import sys
from pathlib import Path
from kaa.api.environments import plan_create, plan_install
from kaa.api.execution import fetch_packages
from kaa.api.session import Session
from kaa.config.options import Config
from kaa.config.values import link_options
from kaa.prefix.prefix import Prefix
from kaa.transaction.execute import execute
from msgspec.structs import replace
channel, root, prefix, sync, *names = sys.argv[1:]
config = Config({"channels": (channel,), "subdir": "linux-64"}, root_prefix=root, home=root)
with Session(config, environ={"HOME": root}) as session:
    plan = plan_install if Prefix(Path(prefix)).is_environment() else plan_create
    transaction = plan(session, Path(prefix), names)
    packages = {package.record.dist: package for package in fetch_packages(session, transaction.to_link)}
    execute(transaction, packages, replace(link_options(config, environ={}, files_checked=True), sync=sync == "sync"))
"""
ROUNDS = 15


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        channel, root, prefix = Path(folder, "channel"), Path(folder, "root"), Path(folder, "prefix")
        names = [package.name for package in write_many_files(channel)]

        def run(sync: str, wanted: list[str], *, fresh: bool) -> Figure:
            def prepare() -> None:
                if fresh:
                    shutil.rmtree(prefix, ignore_errors=True)
                # What was removed and made before is not to be waited for here.
                os.sync()

            return run_program(
                [sys.executable, "-c", CHANGE, str(channel), str(root), str(prefix), sync, *wanted], prepare=prepare
            )

        def creating(sync: str) -> Figure:
            return run(sync, names, fresh=True)

        def installing(sync: str) -> Figure:
            run("nosync", names[:-2], fresh=True)
            return run(sync, names[-2:], fresh=False)

        creating("nosync")
        tell("Create an environment of 20,000 files, cache warm", *in_pairs(creating))
        tell("Install 2 of its packages into the others, cache warm", *in_pairs(installing))


def in_pairs(work: Callable[[str], Figure]) -> tuple[list[Figure], list[Figure]]:
    """Figures with and without syncs, in turn, each first every other time."""
    with_syncs: list[Figure] = []
    without: list[Figure] = []
    for turn in range(ROUNDS):
        sides = [("sync", with_syncs), ("nosync", without)]
        for word, figures in sides if turn % 2 else reversed(sides):
            figures.append(work(word))
    return with_syncs, without


def tell(title: str, with_syncs: list[Figure], without: list[Figure]) -> None:
    """Print medians, and the median of what a pair differs by."""
    print(f"\n### {title}\n\n| | CPU s | wall s |\n|---|---|---|")
    for name, figures in (("with syncs", with_syncs), ("without", without)):
        cpu, wall = (statistics.median(getattr(figure, kind) for figure in figures) for kind in ("cpu", "wall"))
        print(f"| {name} | {cpu:.3f} | {wall:.3f} |")
    pairs = list(zip(with_syncs, without, strict=True))
    cpu, wall = (
        statistics.median(getattr(one, kind) / getattr(other, kind) - 1 for one, other in pairs)
        for kind in ("cpu", "wall")
    )
    print(f"| difference within a pair | {cpu:+.1%} | {wall:+.1%} |", flush=True)
