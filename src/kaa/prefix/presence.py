"""Whether an environment that was somewhere is there now, is gone, or cannot be known about.

Deleted and not mounted look much alike: a path that is not there. What tells them apart is the directory around it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from kaa.host.mounts import Mount

State: TypeAlias = Literal["here", "gone", "away", "unreadable"]


class Presence(msgspec.Struct, frozen=True):
    """What became of an environment: here, gone, away (it may come back), or unreadable (for this user)."""

    state: State
    reason: str = ""


def find_presence(prefix: Path, mount: Mount | None = None) -> Presence:
    """Whether an environment is at a path; `mount` is the file system that it lay on when that is known."""
    try:
        os.listdir(prefix / "conda-meta")  # noqa: PTH208 - the question is whether that is permitted
        return Presence("here")
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        return _unreadable(error)
    try:
        if mount is not None and not mount.is_there():
            return Presence("away", f"{mount.point} is not mounted")
        if os.path.lexists(prefix):
            # An environment may be a mount point itself.
            is_empty = prefix.is_dir() and not os.listdir(prefix)  # noqa: PTH208
            return Presence("away", "its directory is empty") if is_empty and mount is None else Presence("gone")
        parent = prefix.parent
        if not parent.is_dir():
            return Presence("away", f"{parent} is not there")
        if mount is None and parent != Path(parent.anchor) and not os.listdir(parent):  # noqa: PTH208
            return Presence("away", f"{parent} is empty, as where a disk is not mounted")
    except OSError as error:
        return _unreadable(error)
    return Presence("gone")


def _unreadable(error: OSError) -> Presence:
    if error.errno in (errno.EACCES, errno.EPERM):
        return Presence("unreadable", "it may not be read by you")
    return Presence("away", f"it cannot be read: {error.strerror or error}")
