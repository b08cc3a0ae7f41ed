"""In what two states of an environment differ: packages, requests, distributions of pip, variables, pins. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from kaa.prefix.generations import InstalledDistribution, StateFacts
from kaa.prefix.state import pinned_lines


class Identified(Protocol):
    """A package, by what it is told apart."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def build(self) -> str: ...
    @property
    def subdir(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def sha256(self) -> str | None: ...
    @property
    def md5(self) -> str | None: ...
    @property
    def url(self) -> str: ...
    @property
    def dist(self) -> str: ...


class Described(Protocol):
    """A state with its packages: that of now, a generation, or the outline of one."""

    @property
    def packages(self) -> Sequence[Identified]: ...
    @property
    def requested_specs(self) -> Mapping[str, str]: ...
    @property
    def distributions(self) -> Sequence[InstalledDistribution]: ...
    @property
    def overwritten(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def taken(self) -> Sequence[str]: ...
    @property
    def variables(self) -> Mapping[str, str]: ...
    @property
    def pins(self) -> str: ...


class PackageDifference(msgspec.Struct, frozen=True):
    """A package that came, went or changed; what is not there is None."""

    name: str
    old: Identified | None
    new: Identified | None


class DistributionDifference(msgspec.Struct, frozen=True):
    """A distribution of pip that came, went or changed; what is not there is None."""

    name: str
    old: InstalledDistribution | None
    new: InstalledDistribution | None


class TextDifference(msgspec.Struct, frozen=True):
    """A request or a variable that came, went or changed; what is not there is None."""

    name: str
    old: str | None
    new: str | None


class Differences(msgspec.Struct, frozen=True):
    """What is different in one state from what it was in another, by name."""

    packages: tuple[PackageDifference, ...] = ()
    requested_specs: tuple[TextDifference, ...] = ()
    distributions: tuple[DistributionDifference, ...] = ()
    overwritten: tuple[str, ...] = ()
    """Packages that pip wrote over in one of the states, or in another way than in the other"""
    taken: tuple[str, ...] = ()
    """Single files of packages in whose place files of distributions are in one of the states"""
    variables: tuple[TextDifference, ...] = ()
    removed_pins: tuple[str, ...] = ()
    added_pins: tuple[str, ...] = ()
    pins_text: bool = False
    """Whether the text of the pins is another one, perhaps in comments alone"""

    @property
    def is_empty(self) -> bool:
        return self == SAME


SAME = Differences()


def differences(old: Described, new: Described) -> Differences:
    """What changed from one state to another."""
    old_pins, new_pins = pinned_lines(old.pins), pinned_lines(new.pins)
    names = old.overwritten.keys() | new.overwritten.keys()
    return Differences(
        packages=_packages(old.packages, new.packages),
        requested_specs=_texts(old.requested_specs, new.requested_specs),
        distributions=_distributions(old.distributions, new.distributions),
        overwritten=tuple(sorted(name for name in names if old.overwritten.get(name) != new.overwritten.get(name))),
        taken=tuple(sorted(set(old.taken).symmetric_difference(new.taken))),
        variables=_texts(old.variables, new.variables),
        removed_pins=tuple(pin for pin in old_pins if pin not in new_pins),
        added_pins=tuple(pin for pin in new_pins if pin not in old_pins),
        pins_text=old.pins != new.pins,
    )


def changed_facts(old: StateFacts, new: StateFacts) -> tuple[str, ...]:
    """In what two states differ besides packages and requests, as words: names of distributions, and of files."""
    found = [change.name for change in _distributions(old.distributions, new.distributions)]
    found += [name for name in new.overwritten if old.overwritten.get(name) != new.overwritten[name]]
    found += [name for name in old.overwritten if name not in new.overwritten]
    found += sorted(set(old.taken).symmetric_difference(new.taken))
    found += ["variables"] if old.variables != new.variables else []
    found += ["pins"] if old.pins != new.pins else []
    return tuple(dict.fromkeys(found))


def is_same(old: Identified, new: Identified) -> bool:
    """Whether two packages are of the same bytes, as far as both tell."""
    if (old.name, old.version, old.build) != (new.name, new.version, new.build) or (
        old.subdir and new.subdir and old.subdir != new.subdir
    ):
        return False
    for ours, theirs in ((old.sha256, new.sha256), (old.md5, new.md5)):
        if ours and theirs:
            return ours.lower() == theirs.lower()
    return True


def _packages(old: Sequence[Identified], new: Sequence[Identified]) -> tuple[PackageDifference, ...]:
    before, after = {one.name: one for one in old}, {one.name: one for one in new}
    return tuple(
        PackageDifference(name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if name not in before or name not in after or not is_same(before[name], after[name])
    )


def _distributions(
    old: Sequence[InstalledDistribution], new: Sequence[InstalledDistribution]
) -> tuple[DistributionDifference, ...]:
    gone, come = _missing_in(old, new), _missing_in(new, old)
    return tuple(
        DistributionDifference(name, gone.get(name), come.get(name)) for name in sorted(gone.keys() | come.keys())
    )


def _missing_in(
    some: Sequence[InstalledDistribution], others: Sequence[InstalledDistribution]
) -> dict[str, InstalledDistribution]:
    there = set(others)
    return {one.name.lower(): one for one in some if one not in there}


def _texts(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[TextDifference, ...]:
    return tuple(
        TextDifference(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )
