"""All hostile cases: one table."""

from __future__ import annotations

from tests.hostile import archives, channels, packages
from tests.hostile.world import Cases

CASES: Cases = {**archives.CASES, **packages.CASES, **channels.CASES}
