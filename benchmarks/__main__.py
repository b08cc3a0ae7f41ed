"""`python -m benchmarks [NAME…]`."""

from __future__ import annotations

import importlib
import subprocess
import sys

NAMES = [
    "start_up",
    "commands",
    "parse",
    "index",
    "solve",
    "random_solves",
    "scale",
    "shards",
    "extract",
    "link",
    "create",
    "pypi",
    "durability",
    "verify",
]


def main() -> None:
    wanted = sys.argv[1:] or NAMES
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if len(wanted) == 1:
        importlib.import_module(f"benchmarks.{wanted[0]}").main()
        return
    for name in wanted:
        # Each in a process of its own: a child's peak memory is at least what its parent held when it was made.
        if subprocess.run([sys.executable, "-m", "benchmarks", name]).returncode:
            sys.exit(1)


main()
