"""A judge of solutions that knows nothing of the solver: it reads the request and the records, and says what is wrong.

A solution is *valid* when all of this holds: one record of a name; what each depends on is there, and what each
constrains is not there otherwise; so with requests, earlier requests and pins; under strict priority every name comes
from the first channel that has it. It is *frugal* when nothing is there that neither a request nor another package nor
the former environment asks for, and *steady* when no package that was installed could stay, all others being equal.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.solver.request import SolveRequest

Present = Mapping[str, RepoDataRecord]


@functools.cache
def read(text: str) -> MatchSpec:
    """A dependency string."""
    return MatchSpec.parse(text, lenient=True)


class Judge:
    """What is wrong with solutions of one request; `offered` says which channels have a name, the first one first."""

    def __init__(self, request: SolveRequest, offered: Mapping[str, Sequence[str]]) -> None:
        self.request = request
        self.offered = offered
        self.machine = {package.name: package.record() for package in request.virtual_packages}
        self.removed = removed_names(request)
        self.before = {record.name: record for record in request.installed if record.name not in self.removed}
        self.named = {spec.name for spec in (*request.install, *request.update)}
        self.held = held_specs(request)
        self.wanted = (*request.install, *request.update, *self.held)
        self.any_channel = names_of_any_channel(request)
        self._accepted: dict[tuple[str, str], bool] = {}

    def faults(self, records: Sequence[RepoDataRecord]) -> list[str]:
        """All that is wrong."""
        found = self.invalid(records)
        if not found:
            found = [*self.superfluous(records), *self.changed_without_need(records)]
        return found

    # Validity

    def invalid(self, records: Sequence[RepoDataRecord]) -> list[str]:
        """What must not be in any answer."""
        found: list[str] = []
        present = dict(self.machine)
        for record in records:
            if record.name in present:
                found.append(f"two records of {record.name}")
            present[record.name] = record
        for spec in self.wanted:
            if not meets(present, spec):
                found.append(f"{spec} was asked for")
        for pin in self.request.pins:
            if pin.name in present and not pin.matches(present[pin.name]):
                found.append(f"{pin} is pinned")
        found += [f"{name} was to be removed" for name in sorted(self.removed & present.keys())]
        found += self.thawed(present)
        chosen_extras = self.extras(present)
        for record in records:
            found += self.broken(record, present, chosen_extras)
            channels = self.offered.get(record.name, ())
            if (
                self.request.options.channel_priority == "strict"
                and record.name not in self.any_channel
                and record.channel not in channels[:1]
                and record != self.before.get(record.name)
            ):
                found.append(f"{record.name} comes from {record.channel}, and {channels[:1]} has it")
        return found

    def thawed(self, present: Present) -> list[str]:
        """Installed packages that were to stay as they are."""
        if not self.request.freeze_installed:
            return []
        updated = {spec.name for spec in self.request.update}
        return [
            f"{name} was to stay"
            for name, record in self.before.items()
            if name not in updated
            and all(spec.matches(record) for spec in self.request.install if spec.name == name)
            and present.get(name) != record
        ]

    def broken(self, record: RepoDataRecord, present: Present, extras: Mapping[str, set[str]]) -> list[str]:
        """What a record asks for and does not get."""
        needs = [*record.depends]
        for extra in sorted(extras.get(record.name, ())):
            needs += record.extra_depends.get(extra, ())
        found = [f"{record.dist} needs {text}" for text in needs if not self.accepts(text, present)]
        for text in record.constrains:
            spec = read(text)
            if spec.name in present and not self.accepts(text, present):
                found.append(f"{record.dist} goes only with {text}")
        return found

    def accepts(self, text: str, present: Present) -> bool:
        """Whether a dependency string is satisfied."""
        spec = read(text)
        if spec.when is not None:
            return meets(present, spec)
        record = present.get(spec.name or "")
        if record is None:
            return False
        key = (text, record.url or record.name)
        known = self._accepted.get(key)
        if known is None:
            known = self._accepted[key] = spec.matches(record)
        return known

    def extras(self, present: Present) -> dict[str, set[str]]:
        """The extras that are asked for, by name."""
        found: dict[str, set[str]] = {}
        for spec in self.wanted:
            found.setdefault(spec.name or "", set()).update(spec.extras)
        grown = True
        while grown:
            grown = False
            for record in list(present.values()):
                needs = [*record.depends]
                for extra in found.get(record.name, ()):
                    needs += record.extra_depends.get(extra, ())
                for spec in map(read, needs):
                    mine = found.get(spec.name or "", set())
                    if spec.extras and not mine.issuperset(spec.extras) and is_active(present, spec):
                        found.setdefault(spec.name or "", set()).update(spec.extras)
                        grown = True
        return found

    # Frugality

    def superfluous(self, records: Sequence[RepoDataRecord]) -> list[str]:
        """Packages that cannot be reached from the requests and the former environment."""
        present = {**self.machine, **{record.name: record for record in records}}
        extras = self.extras(present)
        reached = {spec.name for spec in self.wanted}
        reached |= self.before.keys()
        waiting = list(reached)
        while waiting:
            record = present.get(waiting.pop() or "")
            if record is None:
                continue
            needs = [*record.depends]
            for extra in extras.get(record.name, ()):
                needs += record.extra_depends.get(extra, ())
            for spec in map(read, needs):
                if spec.name not in reached and is_active(present, spec):
                    reached.add(spec.name)
                    waiting.append(spec.name)
        return [f"nothing needs {record.dist}" for record in records if record.name not in reached]

    # Steadiness

    def changed_without_need(self, records: Sequence[RepoDataRecord]) -> list[str]:
        """Installed packages that were changed or removed, and could have stayed with all others as they are."""
        if self.request.update_all:
            return []
        present = {record.name: record for record in records}
        found = []
        for name, old in self.before.items():
            if name in self.named or present.get(name) == old:
                continue
            with_old = [*(record for record in records if record.name != name), old]
            if not self.invalid(with_old) and len(self.superfluous(with_old)) <= len(self.superfluous(records)):
                found.append(f"{old.dist} could have stayed")
        return found


def removed_names(request: SolveRequest) -> set[str]:
    """The installed packages that are to go."""
    return {one.name for one in request.installed if any(spec.matches(one) for spec in request.remove)}


def held_specs(request: SolveRequest) -> list[MatchSpec]:
    """The earlier requests that go on holding; of what is updated they hold no version."""
    before = {one.name: one for one in request.installed if one.name not in removed_names(request)}
    requested = {spec.name for spec in request.install}
    updated = before if request.update_all else {spec.name for spec in request.update}
    held = []
    for spec in request.history:
        record = before.get(spec.name or "")
        if record is not None and spec.name not in requested and spec.matches(record):
            held.append(msgspec.structs.replace(spec, version=None, build=None) if spec.name in updated else spec)
    return held


def names_of_any_channel(request: SolveRequest) -> set[str | None]:
    """The names that strict priority does not bind to the first channel: a request or a pin says which it is."""
    wanted = (*request.install, *request.update, *held_specs(request), *request.pins)
    return {spec.name for spec in wanted if spec.channel is not None}


def is_active(present: Present, spec: MatchSpec) -> bool:
    """Whether the condition of a spec, if it has one, holds."""
    return spec.when is None or spec.when.holds(lambda leaf: meets(present, leaf))


def meets(present: Present, spec: MatchSpec) -> bool:
    """Whether what is there satisfies a spec, or the spec asks for nothing."""
    if not is_active(present, spec):
        return True
    record = present.get(spec.name or "")
    return record is not None and spec.matches(record)


def channels_of(channels: Mapping[str, Iterable[RepoDataRecord]]) -> dict[str, list[str]]:
    """For every name the channels that have it, in their order."""
    found: dict[str, list[str]] = {}
    for channel, records in channels.items():
        for record in records:
            have = found.setdefault(record.name, [])
            if channel not in have:
                have.append(channel)
    return found
