"""Sources of which a part is known before candidates are read, made from records of which everything is known.

They count what is read and fetched, and insist on the promises of a search: only what is unread is read, nothing is
read that was not fetched before, and nothing is fetched twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from kaa.models.match_spec_syntax import name_of
from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import CandidateGroup, CandidateNeeds, RecordGroup, RecordSource, UnusableCandidate
from kaa.solver.lazy_records import LazyRecordGroup, unread_positions
from kaa.solver.ranges import Ranges

Known: TypeAlias = Callable[[RepoDataRecord, str], bool]
"""Whether a dependency string of a record is known before it is read."""


def as_of_wheels(record: RepoDataRecord, text: str) -> bool:
    """What the name of a wheel and its index tell: the python and the machine that it needs."""
    return name_of(text) == "python" or text.startswith("__")


def by_chance(seed: int) -> Known:
    """Any part of it, always the same one."""

    def is_known(record: RepoDataRecord, text: str) -> bool:
        return random.Random(f"{seed} {record.url} {text}").random() < 0.5

    return is_known


class CountingGroup(LazyRecordGroup):
    """A group that tells its source what was read."""

    __slots__ = ("source",)

    source: LazyRecordSource

    def read(self, position: int) -> CandidateNeeds:
        dist = super().record(position).dist
        assert position in unread_positions(self.columns), f"{dist} has nothing to be read"
        assert (id(self), position) in self.source.fetched, f"{dist} was read before it was fetched"
        self.source.reads.append(dist)
        return super().read(position)


class LazyRecordSource:
    """The records of channels, of which everything that is not `known` has to be read."""

    def __init__(
        self,
        channels: Mapping[str, Iterable[RepoDataRecord]],
        known: Known = as_of_wheels,
        *,
        unusable: Mapping[str, str] | None = None,
        eager: Callable[[RepoDataRecord], bool] = lambda record: False,
    ) -> None:
        self._source = RecordSource(channels)
        self.known = known
        self._unusable = unusable or {}
        self._eager = eager
        self._ranges = Ranges()
        self._groups: dict[str, tuple[CandidateGroup, ...]] = {}
        self.reads: list[str] = []
        """The dist strings of what was read, in order."""
        self.batches: list[list[str]] = []
        """Those of what was fetched at once."""
        self.loads: list[list[str]] = []
        """The names that were asked for at once."""
        self.fetched: set[tuple[int, int]] = set()

    def load(self, names: Collection[str]) -> None:
        self.loads.append(list(names))

    def near_names(self, name: str) -> Sequence[str]:
        return self._source.near_names(name)

    def groups(self, name: str) -> Sequence[CandidateGroup]:
        if name not in self._groups:
            self._groups[name] = tuple(map(self._lazy, self._source.groups(name)))
        return self._groups[name]

    def read_ahead(self, wanted: Sequence[tuple[CandidateGroup, int]]) -> None:
        assert wanted
        places = {(id(group), position) for group, position in wanted}
        assert len(places) == len(wanted)
        assert not places & self.fetched
        self.fetched |= places
        self.batches.append([group.record(position).dist for group, position in wanted])

    def _lazy(self, group: CandidateGroup) -> CandidateGroup:
        assert isinstance(group, RecordGroup)
        records = [group.record(position) for position in range(group.columns.count)]
        told: list[RepoDataRecord] = []
        rest: dict[int, CandidateNeeds | UnusableCandidate] = {}
        for place, record in enumerate(records):
            if self._eager(record):
                told.append(record)
                continue
            known, more = self._split(record)
            told.append(known)
            why = self._unusable.get(record.dist)
            rest[place] = more if why is None else UnusableCandidate(why)
        lazy = CountingGroup(group.name, group.channel, group.subdir, group.rank, told, rest, self._ranges)
        lazy.source = self
        return lazy

    def _split(self, record: RepoDataRecord) -> tuple[RepoDataRecord, CandidateNeeds]:
        """What is known of a record, and what reading it brings."""

        def parted(texts: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
            known = tuple(text for text in texts if self.known(record, text))
            return known, tuple(text for text in texts if text not in known)

        depends, more_depends = parted(record.depends)
        constrains, more_constrains = parted(record.constrains)
        extras = {extra: parted(texts) for extra, texts in record.extra_depends.items()}
        known = replace(
            record,
            depends=depends,
            constrains=constrains,
            extra_depends={extra: known for extra, (known, _) in extras.items() if known},
        )
        more = CandidateNeeds(
            more_depends, more_constrains, {extra: more for extra, (_, more) in extras.items() if more}
        )
        return known, more


def is_whole(record: RepoDataRecord, original: RepoDataRecord) -> bool:
    """Whether a record that was read says the same as the one it was made from, perhaps in another order."""
    in_order = replace(
        original,
        depends=record.depends,
        constrains=record.constrains,
        extra_depends=record.extra_depends,
    )
    return record == in_order and needs(record) == needs(original)


def needs(record: RepoDataRecord) -> object:
    extras = {extra: sorted(texts) for extra, texts in record.extra_depends.items() if texts}
    return sorted(record.depends), sorted(record.constrains), extras
