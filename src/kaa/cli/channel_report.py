"""What is told about an indexed channel."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kaa.channels.index import IndexedSubdir


def report_left_out(indexed: Sequence[IndexedSubdir]) -> int:
    """Name the files that are in no index, on standard error; the exit code: 1 if there are any."""
    left_out = [file for subdir in indexed for file in subdir.left_out]
    for file in left_out:
        print(f"left out: {file.path}: {file.reason}", file=sys.stderr)
    return 1 if left_out else 0
