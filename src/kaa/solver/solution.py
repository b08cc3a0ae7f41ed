"""The answer to a solve: the records of the final state, and why each of them is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from kaa.models.record import RepoDataRecord
from kaa.solver.search import Effort

Why: TypeAlias = Literal["requested", "earlier request", "installed", "dependency"]


class Solution(msgspec.Struct, frozen=True):
    """The records of the final state, each after those that it needs."""

    records: tuple[RepoDataRecord, ...]
    why: Mapping[str, Why] = msgspec.field(default_factory=dict)
    """For every name: asked for now, asked for earlier, installed before, or needed by another."""
    effort: Effort = msgspec.field(default_factory=Effort)
    """What the search took; two solutions are equal whatever it was."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Solution) and (self.records, self.why) == (other.records, other.why)

    __hash__ = None  # type: ignore[assignment]

    def find(self, name: str) -> RepoDataRecord | None:
        """The record of a name, if it is part of the solution."""
        for record in self.records:
            if record.name == name:
                return record
        return None
