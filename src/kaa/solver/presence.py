"""Why a package is among others: the ways from what was asked for, dependency by dependency, down to it.

>>> from kaa.models.record import RepoDataRecord
>>> def record(name, *depends):
...     return RepoDataRecord(name=name, version="1", build="0", depends=depends)
>>> found = presence_of("c", [record("a", "b >=1"), record("b", "c"), record("c")], {"a": "a=1"})
>>> found.origins, [(need.source, need.text) for need in found.shortest()]
(('a',), [('a', 'b >=1'), ('b', 'c')])
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from kaa.models.invalid_text import InvalidText
from kaa.models.match_spec import MatchSpec
from kaa.models.match_spec_syntax import name_of
from kaa.models.record import RepoDataRecord
from kaa.solver.removal import is_active, reach

PYTHON = "python"


class Need(msgspec.Struct, frozen=True):
    """A package that needs another one (or goes only with some of it), and the words in which it says so."""

    source: str
    target: str
    text: str


class Presence(msgspec.Struct, frozen=True):
    """Why a package is there."""

    name: str
    records: Mapping[str, RepoDataRecord]
    """The whole set that it belongs to, by name."""
    requests: Mapping[str, str]
    """What was asked for, by name, in its order."""
    needs: tuple[Need, ...]
    """All needs on all ways to the package; those of packages that need it directly have it for their target."""
    origins: tuple[str, ...]
    """Where the ways begin: what was asked for and needs it, then what needs it though nobody wants that."""
    constrains: tuple[Need, ...]
    """What the others say of the package without needing it."""

    @property
    def requested(self) -> str | None:
        """The spec with which the package itself was asked for."""
        return self.requests.get(self.name)

    @property
    def direct(self) -> tuple[Need, ...]:
        """What needs the package itself."""
        return tuple(need for need in self.needs if need.target == self.name)

    def distances(self) -> dict[str, int]:
        """By name, how many steps it is to the package."""
        sources: dict[str, list[str]] = {}
        for need in self.needs:
            sources.setdefault(need.target, []).append(need.source)
        found = {self.name: 0}
        waiting = [self.name]
        for target in waiting:
            for source in sources.get(target, ()):
                if source not in found:
                    found[source] = found[target] + 1
                    waiting.append(source)
        return found

    def shortest(self) -> tuple[Need, ...]:
        """Only the needs on shortest ways from where they begin."""
        distances = self.distances()
        nearer = [need for need in self.needs if distances[need.target] < distances[need.source]]
        onward: dict[str, set[str]] = {}
        for need in nearer:
            onward.setdefault(need.source, set()).add(need.target)
        met = reach(self.origins, {name: onward.get(name, set()) for name in distances})
        return tuple(need for need in nearer if need.source in met)

    def way_from(self, origin: str) -> tuple[Need, ...]:
        """One shortest way."""
        distances = self.distances()
        way: list[Need] = []
        at = origin
        while at != self.name:
            steps = [need for need in self.needs if need.source == at and distances[need.target] < distances[at]]
            way.append(steps[0])
            at = steps[0].target
        return tuple(way)


def presence_of(name: str, records: Iterable[RepoDataRecord], requests: Mapping[str, str]) -> Presence:
    """Why the package of this name, or the virtual package, is among the records; `requests` are specs by name."""
    by_name = {record.name: record for record in sorted(records, key=lambda record: record.name)}
    extras = chosen_extras(by_name, requests)
    needs: dict[str, list[Need]] = {}
    for record in by_name.values():
        for need in needs_of(record, by_name, extras.get(record.name, ())):
            needs.setdefault(need.target, []).append(need)
    edges = {target: {need.source for need in found} for target, found in needs.items()}
    above = reach([name], edges)
    found = tuple(need for target in sorted(above) for need in needs.get(target, ()) if need.source != name)
    return Presence(
        name=name,
        records=by_name,
        requests={asked: spec for asked, spec in requests.items() if asked in by_name},
        needs=found,
        origins=origins_of(name, above, found, requests),
        constrains=tuple(
            Need(record.name, name, text)
            for record in by_name.values()
            for text in record.constrains
            if name_of(text) == name
        ),
    )


def origins_of(
    name: str, above: Collection[str], needs: Sequence[Need], requests: Mapping[str, str]
) -> tuple[str, ...]:
    """Where the ways to a package begin, so that every package on any way is met."""
    origins = [asked for asked in requests if asked in above and asked != name]
    onward: dict[str, set[str]] = {}
    for need in needs:
        onward.setdefault(need.source, set()).add(need.target)
    edges = {other: onward.get(other, set()) for other in above}
    targets = {need.target for need in needs}
    unneeded = sorted(set(above) - targets - {name})
    # What is left after those needs itself in a circle.
    for other in [*unneeded, *sorted(set(above) - {name})]:
        if other not in reach([*origins, name], edges):
            origins.append(other)
    return tuple(origins)


def needs_of(record: RepoDataRecord, records: dict[str, RepoDataRecord], extras: Collection[str]) -> list[Need]:
    """What a record needs among the records, each dependency string once; virtual packages included."""
    texts = [*record.depends, *(text for extra in sorted(extras) for text in record.extra_depends.get(extra, ()))]
    found: list[Need] = []
    for text in dict.fromkeys(texts):
        target = name_of(text)
        known = target in records or target.startswith("__")
        if known and target != record.name and ("when" not in text or is_active(text, records)):
            found.append(Need(record.name, target, text))
    # "python" says nothing beside "python >=3.9".
    said = {need.target for need in found if need.text != need.target}
    found = [need for need in found if need.text != need.target or need.target not in said]
    if record.noarch == PYTHON and PYTHON in records and not any(need.target == PYTHON for need in found):
        found.append(Need(record.name, PYTHON, PYTHON))
    return found


def chosen_extras(records: Mapping[str, RepoDataRecord], requests: Mapping[str, str]) -> dict[str, set[str]]:
    """The extras that requests and dependencies ask for, by name."""
    texts = [*requests.values(), *(text for record in records.values() for text in record.depends)]
    found: dict[str, set[str]] = {}
    for text in texts:
        if "extras" not in text:
            continue
        try:
            spec = MatchSpec.parse(text, lenient=True)
        except InvalidText:
            continue
        if spec.name is not None and spec.extras:
            found.setdefault(spec.name, set()).update(spec.extras)
    return found
