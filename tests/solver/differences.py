"""Where kaa's answers and py-rattler's differ, sorted by cause; `python -m tests.solver.differences` counts them all.

The first merit (`tests.solver.merits`) in which two solutions differ is what decides between them.
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

import msgspec

from kaa.models.record import RepoDataRecord
from kaa.models.version import Version
from kaa.solver.request import SolveRequest
from tests.solver.merits import first_difference, is_better
from tests.solver.peer import Outcome, Peer
from tests.solver.scenarios import Scenario, channels, scenario

ALL = 2000
"""So many scenarios count as all of them."""

SAMPLE = 600
"""So many, the first, are asked in every check of a change."""


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
        whose = "here" if is_better(mine, other) else "there"
        found.merit = f"{mine.wish}: better {whose}"
        found.detail = f"{mine.name}: {shown(ours, mine.name)} here, {shown(theirs, mine.name)} there"
    count(found, outcome.request, {one.name: one for one in ours}, {one.name: one for one in theirs})
    return found


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
