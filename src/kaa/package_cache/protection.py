"""Packages whose files can be written to: made read-only before they are used, as kaa unpacks its own.

Other programs (conda, micromamba) unpack files that their owner may write to. Environments have hard links to them, so
that whoever edits such a file in one environment edits it in all.
"""

# Paths are strings here: there are thousands of them in a package.
# ruff: noqa: PTH101, PTH116, PTH118
from __future__ import annotations

import contextlib
import os
import stat
import sys
from pathlib import Path

from kaa.errors import KaaError
from kaa.host.locks import file_lock

_WRITABLE = 0o222
_NEVER = 0o7222
"""Rights that no file of a package has: to write, and to run as somebody else."""


def is_unprotected(directory: Path) -> bool:
    """Whether a package's files can still be written to, and are this user's to protect; one look at one file."""
    if sys.platform == "win32":
        # There a link takes its protection along, and removing it would undo that for all.
        return False
    try:
        state = os.stat(f"{directory}/info/index.json")
    except OSError:
        return False
    return bool(state.st_mode & _WRITABLE) and state.st_uid == os.geteuid()


def protect(directory: Path, lock: Path) -> None:
    """Make the files of a package read-only, unless another process is doing that (or more) just now.

    `lock` is the package's. What cannot be changed is left: the next use of the package tries again.
    """
    with contextlib.suppress(OSError, KaaError), file_lock(lock, timeout=0):
        index = f"{directory}/info/index.json"
        for folder, _, names in os.walk(directory):
            _restrict(folder, stat.S_IWOTH)
            for name in names:
                path = os.path.join(folder, name)
                if path != index:
                    _restrict(path, _NEVER)
        # Last: it stands for all the others.
        _restrict(index, _NEVER)


def _restrict(path: str, rights: int) -> None:
    state = os.lstat(path)
    if state.st_mode & rights and not stat.S_ISLNK(state.st_mode):
        os.chmod(path, stat.S_IMODE(state.st_mode) & ~rights)
