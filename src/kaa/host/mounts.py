"""Mount points: on which file system a path lies, and whether that one is there now.

On Linux the kernel lists what is mounted; elsewhere a mount point is known by its device.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from kaa.models.pattern import Pattern

MOUNTS = Path("/proc/self/mounts")
VOLATILE = frozenset({"tmpfs", "ramfs"})
"""File systems that are empty each time they are mounted."""
WAITING = "autofs"
"""What stands at a mount point until somebody looks at it."""
_ESCAPE = Pattern(r"\\([0-7]{3})")


class Mount(msgspec.Struct, frozen=True):
    """A mounted file system."""

    point: str
    identity: str = ""
    """What the file system calls itself; empty for the root and for volatile ones, and where it cannot be told."""

    def is_there(self) -> bool:
        """Whether this file system is mounted at its point now."""
        kinds = _mounted()
        try:
            is_mounted = os.path.ismount(self.point) if kinds is None else kinds.get(self.point, WAITING) != WAITING
            return is_mounted and (not self.identity or _identity(self.point) == self.identity)
        except OSError:
            return False


def mount_of(path: Path) -> Mount:
    """The file system that a path lies on; of a path that is not there, that of the nearest directory above it."""
    kinds = _mounted()
    real = Path(os.path.realpath(path))
    point = real
    for point in (real, *real.parents):
        if os.path.ismount(point) if kinds is None else str(point) in kinds:
            break
    if point == point.parent or (kinds or {}).get(str(point)) in VOLATILE:
        return Mount(str(point))
    return Mount(str(point), _identity(str(point)))


def _identity(point: str) -> str:
    try:
        return f"{os.statvfs(point).f_fsid:x}"
    except (AttributeError, OSError):
        return ""


def _mounted() -> dict[str, str] | None:
    """Mount points and the types of the file systems mounted there; None where the system has no such list."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    found = {}
    for line in lines:
        _, _, rest = line.partition(" ")
        point, _, rest = rest.partition(" ")
        if "\\" in point:
            point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), point)
        # The last one covers those before.
        found[point] = rest.partition(" ")[0]
    return found


def file_system_of(path: Path) -> str:
    """The type of the file system that a path lies on, such as `ext4` or `nfs4`; empty where that cannot be told."""
    kinds = _mounted() or {}
    real = Path(os.path.realpath(path))
    return next((kinds[str(place)] for place in (real, *real.parents) if str(place) in kinds), "")
