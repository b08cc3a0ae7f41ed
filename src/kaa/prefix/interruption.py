"""What a running or an interrupted change leaves in an environment, and a word about it for those who only read.

Commands that enter an environment look here each time, so nothing heavy is imported before there is something to say.
"""

# One or two calls of `stat` are all there is to do, nearly always.
# ruff: noqa: PTH110, PTH118
from __future__ import annotations

import importlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

JOURNAL = "conda-meta/.kaa-journal"
"""What a change is about to do; `kaa.transaction.journal` says what stands in it."""
STAGING = "conda-meta/.kaa-staging"
"""What a change has set aside, and what it prepares."""
LOCK = "conda-meta/.kaa-lock"
HISTORY = "conda-meta/history"
RELOCATION = "conda-meta/.kaa-relocation"
"""A clone, rename or move that is under way; `kaa.transaction.relocation_marker` says what stands in it."""
SET_ASIDE = "conda-meta/.kaa-set-aside"
"""Why a whole environment was or is to be moved aside; `kaa.transaction.setting_aside` says what stands in it."""


def aside_of(prefix: str) -> str:
    """Where an environment is while another one takes its place, or while it is removed."""
    folder, name = os.path.split(prefix)
    return os.path.join(folder, f".{name[:200]}.kaa-aside")


def is_set_aside(name: str) -> bool:
    """Whether a directory of that name is no environment of its own, but is on its way to become or to stop being one.

    >>> is_set_aside(".demo.kaa-aside"), is_set_aside(".demo"), is_set_aside("demo.kaa-aside")
    (True, False, False)
    """
    return name.startswith(".") and ".kaa-" in name


def is_unsettled(prefix: str | Path) -> bool:
    """Whether something may have been begun with an environment that was not ended: it must be looked at closely."""
    path = os.fspath(prefix)
    return (
        any(os.path.lexists(os.path.join(path, mark)) for mark in (JOURNAL, SET_ASIDE, f"{SET_ASIDE}.new"))
        or os.path.lexists(aside_of(path))
        or is_relocating(path)
        # The first moment of a creation.
        or (os.path.lexists(os.path.join(path, "conda-meta")) and not os.path.lexists(os.path.join(path, HISTORY)))
    )


def is_relocating(prefix: str) -> bool:
    """Whether an environment is being renamed or moved, or is being made at this path as a copy of another one."""
    parent, name = os.path.split(os.fspath(prefix))
    left = [f"{prefix}/{RELOCATION}", f"{prefix}/{RELOCATION}.new"]
    left += [os.path.join(parent, f".{name[:200]}.kaa-{purpose}") for purpose in ("new", "old", "replaced")]
    return any(map(os.path.lexists, left))


def interruption(prefix: str | Path) -> str:
    """A sentence about a change that is under way in an environment or was interrupted; empty when there is none."""
    path = os.fspath(prefix)
    replaced = os.path.exists(os.path.join(aside_of(path), SET_ASIDE))
    if not replaced and not os.path.exists(os.path.join(path, JOURNAL)):
        return ""
    for directory in (aside_of(path), path) if replaced else (path,):
        holder = _find_holder(os.path.join(directory, LOCK))
        if holder:
            return f"{path} is being changed by {holder}"
    quoted = importlib.import_module("shlex").quote(path)
    return f"a change of {path} was interrupted; finish it or take it back with `kaa recover -p {quoted}`"


def _find_holder(lock: str) -> str:
    """Who holds a lock just now; empty when nobody does, or it cannot be told."""
    # Loaded when there is something to say.
    locks = importlib.import_module("kaa.host.locks")
    path = importlib.import_module("pathlib").Path(lock)
    try:
        with locks.file_lock(path, shared=True, timeout=0):
            return ""
    except locks.LockTimeout as error:
        return str(error.holder)
    except OSError:
        # Locks of this file system cannot be shared, or there is none.
        return str(locks.read_holder(path) or "")
