"""Whose cache directories are trusted: what lies there comes into environments, and is run.

The owner of a directory and its group are trusted, for somebody has configured it. Everybody is not: a directory that
all users may write to is neither used nor filled, with the sticky bit or without; others could put packages there
before this user does. A directory on the way that stands where all may write must belong to this user or to root,
as anybody could have made it.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path


def why_untrusted(directory: Path) -> str:
    """Why packages of a cache directory are not used; empty where they are, and where there is no directory yet."""
    if sys.platform == "win32":
        return ""
    path = Path(os.path.realpath(directory))
    child: tuple[Path, os.stat_result] | None = None
    for place in (path, *path.parents):
        try:
            state = place.stat()
        except OSError:
            continue
        if state.st_mode & stat.S_IWOTH:
            if place == path:
                return "everybody may write to it"
            if child is not None and child[1].st_uid not in (0, os.geteuid()):
                return f"{child[0]} belongs to another user, and stands in {place}, where everybody may write"
        child = place, state
    return ""


def is_only_ours(directory: Path) -> bool:
    """Whether nobody but this user and root can change what a directory holds; as well where it is not there yet."""
    if sys.platform == "win32":
        return True
    try:
        state = directory.stat()
    except OSError:
        return True
    return state.st_uid in (0, os.geteuid()) and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
