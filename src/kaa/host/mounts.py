"""Mount points: on which file system a path lies, and whether that one is there now."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

VOLATILE = frozenset({"tmpfs", "ramfs"})
"""File systems that are empty each time they are mounted."""


class Mount(msgspec.Struct, frozen=True):
    """A mounted file system."""

    point: str
    identity: str = ""
    """What the file system calls itself; empty for the root and for volatile ones, and where it cannot be told."""

    def is_there(self) -> bool:
        """Whether this file system is mounted at its point now."""
        try:
            if not os.path.ismount(self.point):
                return False
            return not self.identity or _identity(self.point) == self.identity
        except OSError:
            return False


def mount_of(path: Path) -> Mount:
    """The file system that a path lies on; of a path that is not there, that of the nearest directory above it."""
    real = os.path.realpath(path)
    while not os.path.ismount(real) and real != os.path.dirname(real):  # noqa: PTH120 - a link is not followed twice
        real = os.path.dirname(real)  # noqa: PTH120
    if real == os.path.dirname(real) or _kind(real) in VOLATILE:  # noqa: PTH120
        return Mount(real)
    return Mount(real, _identity(real))


def _identity(point: str) -> str:
    try:
        return f"{os.statvfs(point).f_fsid:x}"
    except (AttributeError, OSError):
        return ""


def _kind(point: str) -> str:
    """The type of the file system mounted at a point (Linux); empty where it cannot be told."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    escaped = point.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")
    # The last one covers those before.
    kinds = [fields[2] for line in lines if len(fields := line.split(" ")) > 2 and fields[1] == escaped]
    return kinds[-1] if kinds else ""
