"""The answer to a solve: the records of the final state, and why each of them is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from kaa.models.record import RepoDataRecord
from kaa.solver.search import Effort

Why: TypeAlias = Literal["requested", "earlier request", "installed", "dependency"]


@dataclass(frozen=True, slots=True)
class Solution:
    """The records of the final state, each after those that it needs."""

    records: tuple[RepoDataRecord, ...]
    why: Mapping[str, Why] = field(default_factory=dict)
    """For every name: asked for now, asked for earlier, installed before, or needed by another."""
    effort: Effort = field(default_factory=Effort, compare=False)

    def find(self, name: str) -> RepoDataRecord | None:
        """The record of a name, if it is part of the solution."""
        for record in self.records:
            if record.name == name:
                return record
        return None
