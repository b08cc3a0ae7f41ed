"""How much room a disk has left, in words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk without room, or of a user's share of it that is used up."""


def room_left(path: Path) -> str:
    """`1.2 GB and 340000 files free` on the disk where a path is or is to be; empty where that cannot be asked."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        state = os.statvfs(path)
    except (OSError, AttributeError):
        return ""
    room = size_in_words(state.f_bavail * state.f_frsize)
    # Some file systems have as many files as fit.
    return f"{room} and {state.f_favail} files free" if state.f_files else f"{room} free"


def size_in_words(count: int) -> str:
    """A number of bytes in the unit that suits it.

    >>> size_in_words(999), size_in_words(1_234_567)
    ('999 bytes', '1.2 MB')
    """
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
