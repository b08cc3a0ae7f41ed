"""`python -m benchmarks [NAME…]`."""

from __future__ import annotations

import importlib
import sys

NAMES = ["start_up", "parse", "index", "solve", "extract", "link", "create"]


def main() -> None:
    wanted = sys.argv[1:] or NAMES
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    for name in wanted:
        importlib.import_module(f"benchmarks.{name}").main()


main()
