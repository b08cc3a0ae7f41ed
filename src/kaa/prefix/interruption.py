"""What a running or an interrupted change leaves in an environment, and a word about it for those who only read.

Reading commands look here each time, so nothing heavy is imported.
"""

# One `stat` is all there is to do, nearly always.
# ruff: noqa: PTH118
from __future__ import annotations

import os

JOURNAL = "conda-meta/.kaa-journal"
"""What a change is about to do; `kaa.transaction.journal` says what stands in it."""
STAGING = "conda-meta/.kaa-staging"
"""What a change has set aside, and what it prepares."""
LOCK = "conda-meta/.kaa-lock"
RELOCATION = "conda-meta/.kaa-relocation"
"""A clone, rename or move that is under way; `kaa.transaction.relocation_marker` says what stands in it."""


def is_relocating(prefix: str) -> bool:
    """Whether an environment is being renamed or moved, or is being made at this path as a copy of another one."""
    parent, name = os.path.split(os.fspath(prefix))
    left = [f"{prefix}/{RELOCATION}", f"{prefix}/{RELOCATION}.new"]
    left += [os.path.join(parent, f".{name}.kaa-{purpose}") for purpose in ("new", "old", "replaced")]
    return any(map(os.path.lexists, left))
