"""Who needs whom among a set of records, one per name, as in an environment or a solution.

Edges come from `depends` and from every group of `extra_depends`, whatever their versions and conditions: in a
consistent set only the names matter, and an edge too many costs nothing but a package kept or linked a little earlier.
Names that no record has (virtual packages, say) are no edges. Cycles are legal (python ↔ pip).

>>> from kaa.models.record import PackageRecord
>>> def record(name, *depends, **fields):
...     return PackageRecord(name=name, version="1", build="0", depends=depends, **fields)
>>> graph = RecordGraph([record("pip", "python", noarch="python"), record("python", "pip", "zlib >=1"), record("zlib")])
>>> [record.name for record in graph.order()]
['zlib', 'python', 'pip']
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from kaa.models.match_spec_syntax import name_of
from kaa.models.record import PackageRecord

R = TypeVar("R", bound=PackageRecord)

PYTHON = "python"


class RecordGraph(Generic[R]):
    """Records of different names and the edges between them; the order of every answer depends on names only."""

    def __init__(self, records: Iterable[R]) -> None:
        self._records: dict[str, R] = {}
        for record in records:
            if record.name in self._records:
                raise ValueError(f"two records named {record.name} in one graph")
            self._records[record.name] = record
        self._records = dict(sorted(self._records.items()))
        self._needs = {name: self._names_needed_by(record) for name, record in self._records.items()}
        self._needed_by: dict[str, list[str]] = {name: [] for name in self._records}
        for name, needed in self._needs.items():
            for other in needed:
                self._needed_by[other].append(name)

    def _names_needed_by(self, record: R) -> tuple[str, ...]:
        names = {name_of(text) for text in record.depends}
        for group in record.extra_depends.values():
            names.update(name_of(text) for text in group)
        if record.noarch == PYTHON:
            names.add(PYTHON)
        return tuple(sorted(name for name in names if name in self._records and name != record.name))

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def __getitem__(self, name: str) -> R:
        return self._records[name]

    @property
    def records(self) -> tuple[R, ...]:
        """All records, by name."""
        return tuple(self._records.values())

    def order(self) -> tuple[R, ...]:
        """All records, each after what it needs; in a cycle python goes first, then whoever needs the fewest of it."""
        return tuple(self._records[name] for name in _ordered(self._needs))

    def dependencies(self, name: str) -> tuple[R, ...]:
        """The records that `name` needs directly."""
        return tuple(self._records[other] for other in self._needs[name])

    def dependents(self, name: str) -> tuple[R, ...]:
        """The records that need `name` directly."""
        return tuple(self._records[other] for other in self._needed_by[name])

    def closure(self, names: Iterable[str]) -> tuple[R, ...]:
        """The records of `names` and everything they need, however indirectly; unknown names are left out."""
        return self._reached(names, self._needs)

    def all_dependents(self, names: Iterable[str]) -> tuple[R, ...]:
        """The records of `names` and everything that needs them, however indirectly; unknown names are left out."""
        return self._reached(names, self._needed_by)

    def orphans(self, roots: Iterable[str]) -> tuple[R, ...]:
        """The records that none of `roots` is or needs."""
        kept = {record.name for record in self.closure(roots)}
        return tuple(record for name, record in self._records.items() if name not in kept)

    def _reached(self, names: Iterable[str], edges: Mapping[str, Iterable[str]]) -> tuple[R, ...]:
        waiting = [name for name in names if name in self._records]
        seen = set(waiting)
        while waiting:
            for other in edges[waiting.pop()]:
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)
        return tuple(record for name, record in self._records.items() if name in seen)


def _ordered(needs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The keys of `needs`, each after its values where no cycle prevents it."""
    order: list[str] = []
    for component in _components(needs):
        if len(component) == 1:
            order.extend(component)
            continue
        inner = {name: tuple(other for other in needs[name] if other in component) for name in sorted(component)}
        first = PYTHON if PYTHON in component else min(inner, key=lambda name: (len(inner[name]), name))
        # With its own needs forgotten, `first` closes no cycle any more; the rest may hold smaller ones.
        inner[first] = ()
        order.extend(_ordered(inner))
    return order


def _components(needs: Mapping[str, tuple[str, ...]]) -> Iterator[set[str]]:
    """The strongly connected components, dependencies first (Tarjan, without recursion)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for root in needs:
        if root in number:
            continue
        walk: list[tuple[str, Iterator[str]]] = []
        _enter(root, needs, number, low, stack, on_stack, walk)
        while walk:
            name, rest = walk[-1]
            for other in rest:
                if other not in number:
                    _enter(other, needs, number, low, stack, on_stack, walk)
                    break
                if other in on_stack:
                    low[name] = min(low[name], number[other])
            else:
                walk.pop()
                if walk:
                    parent = walk[-1][0]
                    low[parent] = min(low[parent], low[name])
                if low[name] == number[name]:
                    yield _leave(name, stack, on_stack)


def _enter(
    name: str,
    needs: Mapping[str, tuple[str, ...]],
    number: dict[str, int],
    low: dict[str, int],
    stack: list[str],
    on_stack: set[str],
    walk: list[tuple[str, Iterator[str]]],
) -> None:
    number[name] = low[name] = len(number)
    stack.append(name)
    on_stack.add(name)
    walk.append((name, iter(needs[name])))


def _leave(name: str, stack: list[str], on_stack: set[str]) -> set[str]:
    component: set[str] = set()
    while True:
        other = stack.pop()
        on_stack.discard(other)
        component.add(other)
        if other == name:
            return component
