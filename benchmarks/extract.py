"""Unpacking 24 packages with 20,000 files, beside py-rattler; each run is a whole process with an empty target."""

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
from kaa.archive.extract import extract
for archive in sorted(Path(sys.argv[1]).glob("*.conda")):
    extract(archive, Path(sys.argv[2], archive.stem))
"""

THEIRS = """
import sys
from pathlib import Path
from rattler.package_streaming import extract
for archive in sorted(Path(sys.argv[1]).glob("*.conda")):
    extract(archive, Path(sys.argv[2], archive.stem))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        channel, target = Path(folder, "channel"), Path(folder, "target")
        write_many_files(channel)

        def run(program: str) -> Figure:
            def prepare() -> None:
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir()

            argv = [sys.executable, "-c", program, str(channel / "linux-64"), str(target)]
            return run_program(argv, prepare=prepare)

        contestants = {"kaa": lambda: run(OURS)}
        if have_rattler():
            contestants["py-rattler"] = lambda: run(THEIRS)
        show("Extract 24 packages, 20,000 files", in_turn(contestants, rounds=5))
