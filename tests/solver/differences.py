"""Where kaa's answers and py-rattler's differ, sorted by cause; `python -m tests.solver.differences` counts them all.

What a solution is worth is a list of *merits* in the order in which kaa wishes for things (docs/design/0002-solver.md):
python stays as it is, installed packages stay there, what was asked for directly is the best that can be had, other
installed packages stay as they are. The first merit in which two solutions differ is what decides between them.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from kaa.models.record import RepoDataRecord
from kaa.models.version import Version
from kaa.solver.request import SolveRequest
from tests.solver.peer import Outcome, Peer
from tests.solver.scenarios import Scenario, channels, scenario

ALL = 2000
"""So many scenarios count as all of them."""

SAMPLE = 600
"""So many, the first, are asked in every check of a change."""

Rank: TypeAlias = tuple[bool, bool, int, Version, int]
"""Kept as installed; without track_features; minus the place of the channel (flexible priority); version; number."""


class Merit(msgspec.Struct, frozen=True):
    """One thing that is wished for, and how well a solution fulfils it: more is better."""

    name: str
    wish: str
    worth: bool | Rank | None


def merits(request: SolveRequest, records: Sequence[RepoDataRecord], ranks: Mapping[str, int]) -> Iterator[Merit]:
    """What a solution is worth, the most important first; `ranks` are the places of the channels, 0 the first."""
    present = {record.name: record for record in records}
    before = {record.name: record for record in request.installed}
    named = list(dict.fromkeys(spec.name or "" for spec in request.install))
    held = [
        spec.name or ""
        for spec in request.history
        if spec.name in before and spec.name not in named and spec.matches(before[spec.name])
    ]
    kept = list(dict.fromkeys([*held, *(name for name in sorted(before) if name not in named)]))
    if "python" in before and "python" not in named:
        old, new = before["python"], present.get("python")
        yield Merit("python", "python keeps its minor version", new is not None and minor(new) == minor(old))
        yield Merit("python", "python stays as it is", new == old)
    for name in kept:
        yield Merit(name, "an installed package stays there", name in present)
    for name in named:
        record = present.get(name)
        if record is not None:
            yield Merit(name, "a requested package", rank_of(record, before.get(name), request, ranks))
        else:
            yield Merit(name, "a requested package", None)
    for name in kept:
        yield Merit(name, "an installed package stays as it is", present.get(name) == before[name])


def rank_of(
    record: RepoDataRecord, before: RepoDataRecord | None, request: SolveRequest, ranks: Mapping[str, int]
) -> Rank:
    """How good a candidate is among those of its name; more is better."""
    flexible = request.options.channel_priority == "flexible"
    return (
        record == before,
        not record.track_features,
        -ranks.get(record.channel, len(ranks)) if flexible else 0,
        Version(record.version),
        record.build_number,
    )


def minor(record: RepoDataRecord) -> tuple[str, ...]:
    return tuple(record.version.split(".")[:2])


class Difference(msgspec.Struct):
    """How two answers to one request differ."""

    number: int
    answered: str
    """Empty when both have a solution or neither; else who has one."""
    merit: str = ""
    """The first merit in which they differ, and whose answer is better there."""
    detail: str = ""
    direct_versions: int = 0
    """How many requested packages have another version."""
    direct_builds: int = 0
    """How many requested packages have another build of the same version."""
    newer_here: int = 0
    newer_there: int = 0
    """Of the packages that both have and nobody asked for: how many are newer."""
    builds: int = 0
    only_here: int = 0
    only_there: int = 0

    @property
    def cause(self) -> str:
        """The difference in a few words; one that is in several respects is counted for the first."""
        if self.answered:
            return f"only {self.answered} has a solution"
        if self.merit:
            return self.merit
        if self.direct_versions or self.direct_builds:
            return "requested packages: a tie in version and build number was broken otherwise"
        if self.newer_here and self.newer_there:
            return "dependencies only: some newer here, others there"
        if self.newer_here:
            return "dependencies only: newer here"
        if self.newer_there:
            return "dependencies only: newer there"
        if self.builds:
            return "dependencies only: other builds of the same versions"
        if self.only_here or self.only_there:
            return "dependencies only: other packages"
        return "no difference"


def compare(outcome: Outcome) -> Difference:
    """The difference between two answers."""
    case, ours, theirs = outcome.case, outcome.ours, outcome.theirs
    if ours is None or theirs is None:
        answered = "" if ours is theirs else "kaa" if theirs is None else "py-rattler"
        return Difference(case.number, answered)
    ranks = {channel: place for place, channel in enumerate(channels(case.platform, case.layout))}
    found = Difference(case.number, "")
    decisive = first_difference(outcome.request, ours, theirs, ranks)
    if decisive is not None:
        mine, other = decisive
        whose = "here" if mine.worth is not None and (other.worth is None or mine.worth > other.worth) else "there"  # type: ignore[operator]
        found.merit = f"{mine.wish}: better {whose}"
        found.detail = f"{mine.name}: {shown(ours, mine.name)} here, {shown(theirs, mine.name)} there"
    count(found, outcome.request, {one.name: one for one in ours}, {one.name: one for one in theirs})
    return found


def first_difference(
    request: SolveRequest, ours: Sequence[RepoDataRecord], theirs: Sequence[RepoDataRecord], ranks: Mapping[str, int]
) -> tuple[Merit, Merit] | None:
    """The first merit in which two solutions differ; none from where a tie between equal candidates was broken."""
    mine, other = ({record.name: record for record in records} for records in (ours, theirs))
    for here, there in zip(merits(request, ours, ranks), merits(request, theirs, ranks), strict=True):
        if here.worth != there.worth:
            return here, there
        if isinstance(here.worth, tuple) and mine[here.name] != other[here.name]:
            return None
    return None


def count(
    found: Difference, request: SolveRequest, mine: Mapping[str, RepoDataRecord], other: Mapping[str, RepoDataRecord]
) -> None:
    """Count what differs."""
    named = {spec.name for spec in request.install}
    found.only_here = len(mine.keys() - other.keys())
    found.only_there = len(other.keys() - mine.keys())
    for name in mine.keys() & other.keys():
        here, there = mine[name], other[name]
        if here == there:
            continue
        first, second = Version(here.version), Version(there.version)
        if name in named:
            found.direct_versions += first != second
            found.direct_builds += first == second
        else:
            found.newer_here += first > second
            found.newer_there += first < second
            found.builds += first == second


def shown(records: Sequence[RepoDataRecord], name: str) -> str:
    """What is there of a name."""
    return next((f"{one.version} {one.build}" for one in records if one.name == name), "nothing")


# The whole of it


def outcomes(numbers: Sequence[int]) -> Iterator[Outcome]:
    """Ask kaa and py-rattler, one scenario after the other."""
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory() as folder:
        peer = Peer(Path(folder), runner)
        for number in numbers:
            yield peer.run(scenario(number))


def told(case: Scenario) -> str:
    """A scenario in one line."""
    parts = [f"{case.number}: {case.platform}, {case.kind}; {' '.join(map(repr, case.install))}"]
    if case.earlier:
        parts.append(f"after {' '.join(map(repr, case.earlier))}")
    if case.pins:
        parts.append(f"pins {' '.join(map(repr, case.pins))}")
    return "; ".join(parts)


class Tally:
    """Counts over many outcomes."""

    def __init__(self) -> None:
        self.causes: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.details: Counter[str] = Counter()
        self.faults: list[str] = []
        self.their_faults: Counter[str] = Counter()
        self.times: list[tuple[float, float, bool]] = []

    def add(self, outcome: Outcome) -> Difference:
        """Count one more."""
        found = compare(outcome)
        self.kinds[outcome.case.kind] += 1
        self.answers[f"kaa {verdict(outcome.ours)}, py-rattler {verdict(outcome.theirs)}"] += 1
        if outcome.ours is not None:
            self.causes[found.cause] += 1
        for name in (
            "direct_versions",
            "direct_builds",
            "newer_here",
            "newer_there",
            "builds",
            "only_here",
            "only_there",
        ):
            self.details[name] += getattr(found, name)
        if outcome.our_faults:
            self.faults.append(f"{told(outcome.case)}: {outcome.our_faults}")
        self.their_faults.update({fault_kind(fault) for fault in outcome.their_faults})
        self.times.append((outcome.our_time, outcome.their_time, outcome.ours is not None))
        return found

    def report(self) -> str:
        """All counts as text."""
        lines: list[str] = []
        for title, counter in (
            ("kinds of requests", self.kinds),
            ("answers", self.answers),
            ("solutions by the first cause of a difference", self.causes),
            ("packages in all solutions", self.details),
            ("faults of py-rattler's solutions by the same judge", self.their_faults),
        ):
            lines += ["", f"{title}:", *(f"{number:6} {text}" for text, number in sorted(counter.items()))]
        lines += ["", f"faults of kaa's solutions: {len(self.faults)}", *self.faults, ""]
        for place, who in ((0, "kaa"), (1, "py-rattler")):
            times = sorted(1000 * row[place] for row in self.times)
            points = statistics.quantiles(times, n=100)
            lines.append(
                f"{who}: {sum(times) / 1000:.1f} s of CPU in all, median {points[49]:.0f} ms, "
                f"90th percentile {points[89]:.0f}, 99th {points[98]:.0f}, most {times[-1]:.0f}"
            )
        return "\n".join(lines[1:])


def verdict(answer: object) -> str:
    return "unsolvable" if answer is None else "solved"


def fault_kind(fault: str) -> str:
    """What sort of fault it is, without the names."""
    for words in (
        "could have stayed",
        "nothing needs",
        "needs",
        "goes only with",
        "is pinned",
        "was asked for",
        "comes from",
    ):
        if words in fault:
            return words
    return fault


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=ALL, help="how many scenarios, from the first on")
    parser.add_argument("--number", type=int, action="append", help="one scenario, with all that differs")
    parser.add_argument("--show", default="", help="tell the scenarios whose cause holds this text")
    chosen = parser.parse_args()
    tally = Tally()
    for outcome in outcomes(chosen.number or range(chosen.count)):
        found = tally.add(outcome)
        if chosen.number or (chosen.show and chosen.show in found.cause):
            sys.stdout.write(f"{told(outcome.case)}\n    {found.cause}; {found.detail}\n")
        if chosen.number:
            sys.stdout.write("".join(f"    {line}\n" for line in side_by_side(outcome)))
    if not chosen.number:
        sys.stdout.write(tally.report() + "\n")


def side_by_side(outcome: Outcome) -> list[str]:
    """Every package that differs between the answers."""
    mine, other = ({one.name: one for one in answer or ()} for answer in (outcome.ours, outcome.theirs))
    before = {one.name: one for one in outcome.request.installed}
    lines = []
    for name in sorted(mine.keys() | other.keys()):
        if mine.get(name) != other.get(name):
            texts = [
                f"{one.version} {one.build} {one.channel.rpartition('/')[2]}" if (one := side.get(name)) else "-"
                for side in (mine, other, before)
            ]
            lines.append(f"{name:30} {texts[0]:45} {texts[1]:45} {texts[2] if before else ''}")
    return [*lines, *outcome.our_faults, *(f"there: {fault}" for fault in outcome.their_faults)]


if __name__ == "__main__":
    main()
