"""Candidates in memory of which a part is known at once, and the rest when they are read.

>>> from kaa.models.record import RepoDataRecord
>>> record = RepoDataRecord(name="web", version="1", build="0", depends=("python >=3.9",))
>>> group = LazyRecordGroup("web", "", "noarch", 0, [record], {0: CandidateNeeds(("http >=2",))})
>>> group.read(0).depends, group.record(0).depends
(('http >=2',), ('python >=3.9', 'http >=2'))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import (
    CandidateNeeds,
    Columns,
    Need,
    RecordGroup,
    UnusableCandidate,
    decode_needs,
    dependency_text,
    in_bytes,
)
from kaa.solver.ranges import Ranges


class LazyRecordGroup(RecordGroup):
    """A group made from records in memory; `rest` is what some of them ask for besides, by their place."""

    __slots__ = ("_lazy_columns", "_places_read", "_rest")

    def __init__(
        self,
        name: str,
        channel: str,
        subdir: str,
        rank: int,
        records: Sequence[RepoDataRecord],
        rest: Mapping[int, CandidateNeeds | UnusableCandidate],
        ranges: Ranges | None = None,
    ) -> None:
        super().__init__(name, channel, subdir, rank, records, ranges)
        self._rest = rest
        self._lazy_columns: Columns | None = None
        self._places_read: set[int] = set()

    @property
    def columns(self) -> Columns:
        if self._lazy_columns is None:
            columns = super().columns
            unread = sum(2 << position for position, place in enumerate(self._order) if place in self._rest)
            self._lazy_columns = replace(columns, unread=in_bytes(unread))
        return self._lazy_columns

    def read(self, position: int) -> CandidateNeeds:
        """What the candidate at a position asks for in addition to its columns; raises UnusableCandidate."""
        assert position < self.columns.count
        place = self._order[position]
        found = self._rest[place]
        if isinstance(found, UnusableCandidate):
            raise UnusableCandidate(found.reason)
        self._places_read.add(place)
        return found

    def record(self, position: int) -> RepoDataRecord:
        """The record at a position, which is complete once it was read."""
        record = super().record(position)
        place = self._order[position]
        found = self._rest[place] if place in self._places_read else None
        return with_rest(record, found) if isinstance(found, CandidateNeeds) else record


def with_rest(record: RepoDataRecord, rest: CandidateNeeds) -> RepoDataRecord:
    """A record with all that it asks for."""
    extras = {extra: tuple(texts) for extra, texts in record.extra_depends.items()}
    for extra, texts in rest.extra_depends.items():
        extras[extra] = (*extras.get(extra, ()), *texts)
    return replace(
        record,
        depends=(*record.depends, *rest.depends),
        constrains=(*record.constrains, *rest.constrains),
        extra_depends=extras,
    )


def unread_positions(columns: Columns) -> list[int]:
    """The positions of the candidates of which the columns say only a part."""
    unread = int.from_bytes(columns.unread, "little")
    return [position for position in range(columns.count) if unread >> (position + 1) & 1]


def needs_in_columns(columns: Columns) -> dict[int, CandidateNeeds]:
    """What the columns say of those candidates, by position."""
    positions = unread_positions(columns)
    if not positions:
        return {}
    depends = decode_needs(columns.depends, columns.count)
    constrains = decode_needs(columns.constrains, columns.count)
    extras = {extra: [need.shifted(0) for need in needs] for extra, needs in columns.extras.items()}
    found: dict[int, CandidateNeeds] = {}
    for position in positions:
        of_extras = {extra: texts_at(position, needs) for extra, needs in extras.items()}
        found[position] = CandidateNeeds(
            texts_at(position, depends),
            texts_at(position, constrains),
            {extra: texts for extra, texts in of_extras.items() if texts},
        )
    return found


def texts_at(position: int, needs: Iterable[Need]) -> tuple[str, ...]:
    """The dependency strings that the candidate at a position carries."""
    return tuple(
        dependency_text(need.name, rest)
        for need in needs
        for states, rest, _ in need.rows
        if states >> (position + 1) & 1
    )
