"""The environment of `make demo` (python, numpy, pandas, sympy), made whole: cache cold and warm, beside py-rattler.

kaa compiles bytecode (once, into the cache) and links it; py-rattler makes none, so kaa runs without it as well. Each
run is a whole process: solve, fetch from a folder, extract, link. Needs the channel that `make demo` builds.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.link import THEIRS
from benchmarks.measure import Figure, have_rattler, in_turn, run_program, show

CHANNEL = Path(__file__).resolve().parent.parent / "build" / "demo" / "channel"
NAMES = ["python", "numpy", "pandas", "sympy"]

OURS = """
import sys
from kaa.cli.main import main
channel, root, prefix, *names = sys.argv[1:]
sys.exit(main(["create", "-y", "-q", "-p", prefix, "--root-prefix", root, "-O", "-c", channel, *names]))
"""


def main() -> None:
    if not (CHANNEL / "noarch" / "repodata.json").is_file():
        print("\ncreate: skipped, run `make demo` first: it builds the channel")
        return
    with tempfile.TemporaryDirectory() as folder:
        root, prefix = Path(folder, "root"), Path(folder, "prefix")

        def run(program: str, *, warm: bool, bytecode: bool = True) -> Figure:
            def prepare() -> None:
                shutil.rmtree(prefix, ignore_errors=True)
                if not warm:
                    shutil.rmtree(root, ignore_errors=True)

            argv = [sys.executable, "-c", program, str(CHANNEL), str(root), str(prefix), *NAMES]
            return run_program(argv, prepare=prepare, environ={**os.environ, "KAA_COMPILE_BYTECODE": str(bytecode)})

        for title, warm, rounds in (("cold", False, 3), ("warm", True, 7)):
            contestants = {
                "kaa, with bytecode": lambda warm=warm: run(OURS, warm=warm),
                "kaa, no bytecode": lambda warm=warm: run(OURS, warm=warm, bytecode=False),
            }
            if have_rattler():
                contestants["py-rattler, no bytecode"] = lambda warm=warm: run(THEIRS, warm=warm)
            show(f"Create python, numpy, pandas, sympy; cache {title}", in_turn(contestants, rounds=rounds))
