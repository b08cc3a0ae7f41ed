"""All hostile cases: one table."""

from __future__ import annotations

from tests.hostile import archives, channels, documents, environments, packages, terminal, wheels
from tests.hostile.world import Cases

CASES: Cases = {
    **archives.CASES,
    **packages.CASES,
    **channels.CASES,
    **environments.CASES,
    **documents.CASES,
    **terminal.CASES,
    **wheels.CASES,
}
