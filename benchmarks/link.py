"""Linking 20,000 files of 24 extracted packages into a new environment, beside py-rattler; whole processes."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Figure, have_rattler, in_turn, run_program, show
from benchmarks.worlds import write_many_files

OURS = """
import sys
from pathlib import Path
from kaa.api.environments import plan_create
from kaa.api.execution import execute
from kaa.api.session import Session
from kaa.config.options import Config
channel, root, prefix, *names = sys.argv[1:]
config = Config({"channels": (channel,), "subdir": "linux-64"}, root_prefix=root, home=root)
with Session(config, environ={"HOME": root}) as session:
    execute(session, plan_create(session, Path(prefix), names))
"""

THEIRS = """
import asyncio, os, sys
from pathlib import Path
import rattler
channel, root, prefix, *names = sys.argv[1:]
async def main():
    records = await rattler.solve(
        sources=[rattler.Channel(Path(channel).as_uri())], specs=names, platforms=["linux-64", "noarch"],
        gateway=rattler.Gateway(cache_dir=root + "/repodata"), virtual_packages=rattler.VirtualPackage.detect(),
    )
    await rattler.install(records, target_prefix=prefix, cache_dir=root + "/rattler", show_progress=False)
asyncio.run(main())
os._exit(0)  # its threads sometimes crash the interpreter on its way out
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        channel, root, prefix = Path(folder, "channel"), Path(folder, "root"), Path(folder, "prefix")
        names = [package.name for package in write_many_files(channel)]

        def run(program: str) -> Figure:
            argv = [sys.executable, "-c", program, str(channel), str(root), str(prefix), *names]
            return run_program(argv, prepare=lambda: shutil.rmtree(prefix, ignore_errors=True))

        contestants = {"kaa": lambda: run(OURS)}
        if have_rattler():
            contestants["py-rattler"] = lambda: run(THEIRS)
        show("Create an environment of 20,000 files, cache warm", in_turn(contestants, rounds=5))
