"""Names for directories that are being made: beside their target, and recognisable when a killed process left one."""

from __future__ import annotations

import os
from pathlib import Path

TEMPORARY_SUFFIX = ".kaa~"
"""How the names of such directories end."""


def temporary_beside(target: Path) -> Path:
    """A new name in the directory of `target` for something that is to become it."""
    return target.with_name(f".{target.name[:200]}.{random_name()}{TEMPORARY_SUFFIX}")


def random_name() -> str:
    """Eight hexadecimal digits that nobody else has."""
    return os.urandom(4).hex()
