"""Ways out of a contradiction that were tried: relax one part of a request, solve again, say what that gives.

Every fact of the contradiction can be asked less strictly in a few ways (another version, up or down, the nearest that
works; without a pin; a package of a channel that strict priority shuts out; …). Each of them is solved, and only those
that have a solution are offered. Where no single one helps, because there are several contradictions, one
combination of them is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from kaa.models.match_spec import MatchSpec
from kaa.models.version import Version
from kaa.models.version_spec import VersionSpec
from kaa.solver.candidates import ABSENT, CandidateSource
from kaa.solver.failures import name_in
from kaa.solver.reasons import Pinned, Requested
from kaa.solver.relaxation import Kind, Relaxation, Repair, relax
from kaa.solver.request import SolveRequest
from kaa.solver.solving import Solving, exact_spec
from kaa.solver.states import Query
from kaa.solver.telling import repair_of
from kaa.solver.trials import Outcome, OutOfTime, Trials, without_details

PYTHON = "python"
MOST_REPAIRS = 4
ENOUGH = 3
"""With so many repairs, nobody needs to be told to leave something out."""
MOST_ROUNDS = 8
MOST_NEAR_NAMES = 2
MOST_SHUT_OUT = 3
MOST_TOO_NEW = 2


def find_repairs(
    solving: Solving,
    facts: Sequence[Requested | Pinned],
    names: Sequence[str],
    too_new: Sequence[str] = (),
    *,
    clock: Callable[[], float] | None = None,
    seconds: float = 1.0,
) -> tuple[Repair, ...]:
    """Ways out for a search without a solution, best first.

    `facts` are what contradicts itself, `names` what the proof of that is about, `too_new` the names of which it leaves
    candidates out. Without a clock the number of trials
    and the length of each is limited, with one the time of all.
    """
    trials = Trials(solving.source, solving.world, clock, seconds)
    search = Repairs(solving.request, solving.source, facts, names, too_new, trials)
    try:
        search.run()
    except OutOfTime:
        pass
    return search.best()


class Repairs:
    """The search for ways out of one contradiction."""

    def __init__(
        self,
        request: SolveRequest,
        source: CandidateSource,
        facts: Sequence[Requested | Pinned],
        names: Sequence[str],
        too_new: Sequence[str],
        trials: Trials,
    ) -> None:
        self.request = request
        self.source = source
        places = {spec: place for place, spec in enumerate((*request.install, *request.update))}
        self.facts = sorted(facts, key=lambda fact: places.get(fact.spec, len(places)))
        self.names = names
        self.too_new = too_new
        self.trials = trials
        self.found: list[tuple[tuple[int, ...], Repair]] = []
        self._older: set[Relaxation] = set()
        """Those that ask for an older version."""

    def best(self) -> tuple[Repair, ...]:
        """What was found so far, best first."""
        self.found.sort(key=lambda pair: pair[0])
        return tuple(repair for _, repair in self.found[:MOST_REPAIRS])

    def run(self) -> None:
        """Try one relaxation after the other, those that change least first."""
        for fact in sorted(self.facts, key=self._precedence):
            for relaxation in self._ways(fact):
                self._try(relaxation)
        for relaxation in self._ways_of_the_world():
            self._try(relaxation)
        if not any(repair.kind in OF_REQUESTS for _, repair in self.found):
            self._combine()
        if not self.found and self._shut_out():
            self._combine(Relaxation("priority", self.request.options.channel_priority, "flexible"))
        if len(self.found) < ENOUGH:
            for fact in self.facts:
                if self._can_be_dropped(fact):
                    self._try(Relaxation("drop", str(fact.spec)))

    def _precedence(self, fact: Requested | Pinned) -> int:
        if isinstance(fact, Pinned):
            return 4
        if fact.job in ("history", "freeze"):
            return 1
        return 3 if fact.spec.name == PYTHON else 2

    def _try(self, relaxation: Relaxation) -> None:
        self._add((relaxation,), self.trials.solve(relax(self.request, (relaxation,))))

    def _add(self, relaxations: tuple[Relaxation, ...], outcome: Outcome) -> None:
        known = any(set(repair.relaxations) == set(relaxations) for _, repair in self.found)
        if outcome.records is None or known or not self._asks_for_something(relaxations):
            return
        repair = repair_of(self.request, relaxations, outcome.records, self.facts)
        worst = max(RANK[one.kind] for one in relaxations)
        older = sum(one in self._older for one in relaxations)
        rank = (len(relaxations), worst, older, len(repair.changes), len(self.found))
        self.found.append((rank, repair))

    def _asks_for_something(self, relaxations: Sequence[Relaxation]) -> bool:
        """Whether anything is left of what was asked for; to leave out all of it is no way out."""
        relaxed = relax(self.request, relaxations)
        asked_before = self.request.install or self.request.update
        return bool(relaxed.install or relaxed.update or relaxed.update_all or not asked_before)

    # What can be relaxed

    def _ways(self, fact: Requested | Pinned) -> Iterator[Relaxation]:
        """The ways to ask for less than a fact, as far as they look possible at all."""
        spec = fact.spec
        if isinstance(fact, Pinned):
            yield Relaxation("pin", str(spec))
        elif fact.job == "history" and self.request.freeze_installed:
            # It is frozen as well: what lifts one must lift the other.
            installed = {record.name: record for record in self.request.installed}
            yield from self._thaw(exact_spec(installed[name_in(spec)]))
        elif fact.job == "history":
            yield Relaxation("history", str(spec), name_in(spec))
        elif fact.job == "freeze":
            yield from self._thaw(spec)
        elif name_in(spec).startswith("__"):
            # What a machine has cannot be asked for differently.
            return
        elif self._has_candidates(name_in(spec)):
            yield from self._ways_of_a_request(spec)
        else:
            near = [name for name in self.source.near_names(name_in(spec)) if is_probably(name_in(spec), name)]
            for name in near[:MOST_NEAR_NAMES]:
                yield Relaxation("name", str(spec), str(MatchSpec(name=name, version=spec.version)))

    def _ways_of_a_request(self, spec: MatchSpec) -> Iterator[Relaxation]:
        plain = without_details(spec)
        if plain != spec:
            yield Relaxation("build", str(spec), str(plain))
        if spec.version is not None:
            for lowest, probe in self._probes(spec):
                relaxation = self._nearest(spec, probe, lowest=lowest)
                if relaxation is not None:
                    yield relaxation

    def _has_candidates(self, name: str) -> bool:
        return name.startswith("__") or self.trials.world.states_of(name).universe != ABSENT

    def _can_be_dropped(self, fact: Requested | Pinned) -> bool:
        if not isinstance(fact, Requested) or fact.job in ("history", "freeze"):
            return False
        if any(relaxation.old == str(fact.spec) for _, repair in self.found for relaxation in repair.relaxations):
            return False
        return any(spec.name != fact.spec.name for spec in (*self.request.install, *self.request.update))

    # Versions

    def _probes(self, spec: MatchSpec) -> Iterator[tuple[bool, MatchSpec]]:
        """Specs for the versions above and below those that a spec asks for, and whether the lowest is the nearest."""
        states = self.trials.world.states_of(name_in(spec))
        everything = states.versions(states.universe & ~ABSENT)
        assert spec.version is not None
        asked = states.versions(states.matching(Query(str(spec.version), None)))
        if asked:
            above, below = f">{asked[0]}", f"<{asked[-1]}"
        else:
            bounds = spec.version.bounds
            if not bounds:
                return
            higher = [version for version in everything if version.key >= bounds[-1]]
            lower = [version for version in everything if version.key < bounds[0]]
            above = f">={higher[-1]}" if higher else ""
            below = f"<={lower[0]}" if lower else ""
        for lowest, text in ((True, above), (False, below)):
            if text and any(map(VersionSpec(text).matches, everything)):
                yield (
                    lowest,
                    MatchSpec(name=spec.name, version=VersionSpec(text), channel=spec.channel, extras=spec.extras),
                )

    def _nearest(
        self, spec: MatchSpec, probe: MatchSpec, others: Sequence[Relaxation] = (), *, lowest: bool
    ) -> Relaxation | None:
        """The spec for the nearest version that works among those of the probe, when others are relaxed as well."""
        request = relax(self.request, (*others, Relaxation("version", str(spec), str(probe))))
        name = name_in(spec)
        solve = self.trials.solve_for_lowest
        outcome = solve(request, name) if lowest else self.trials.solve(request)
        if outcome.records is None or name not in outcome.records:
            return None
        version = self._around(spec, Version(outcome.records[name].version))
        new = MatchSpec(name=name, version=version, channel=spec.channel, extras=spec.extras)
        nearest = Relaxation("version", str(spec), str(new))
        if not lowest:
            self._older.add(nearest)
        return nearest

    def _around(self, spec: MatchSpec, version: Version) -> VersionSpec:
        """A version as one would ask for it: major and minor number, unless that would ask for the same again."""
        wide = VersionSpec("=" + ".".join(str(version).split(".")[:2]))
        states = self.trials.world.states_of(name_in(spec))
        asked = states.universe if spec.version is None else states.matching(Query(str(spec.version), None))
        return VersionSpec(f"=={version}") if asked & states.matching(Query(str(wide), None)) else wide

    # Installed packages and the world

    def _thaw(self, exact: MatchSpec) -> Iterator[Relaxation]:
        """Let one frozen package change."""
        name = name_in(exact)
        assert exact.version is not None
        literal = exact.version.text.removeprefix("==")
        probe = Relaxation("frozen", str(exact), str(MatchSpec(name=name, version=VersionSpec(f"!={literal}"))))
        outcome = self.trials.solve(relax(self.request, (probe,)))
        if outcome.records is not None and name in outcome.records:
            version = self._around(MatchSpec(name=name, version=exact.version), Version(outcome.records[name].version))
            yield Relaxation("frozen", str(exact), str(MatchSpec(name=name, version=version)))

    def _ways_of_the_world(self) -> Iterator[Relaxation]:
        """What is no part of the request itself: what stays installed, which channels count."""
        if any(isinstance(fact, Requested) and fact.job == "freeze" for fact in self.facts):
            yield Relaxation("freeze")
        if self.request.options.cutoffs.are_any:
            for name in self.too_new[:MOST_TOO_NEW]:
                yield Relaxation("cutoff", new=name)
            if not any(repair.kind == "cutoff" for _, repair in self.found):
                yield Relaxation("cutoff")
        shut_out = self._shut_out()
        asked = {spec.name: spec for spec in self.request.install}
        for name in shut_out[:MOST_SHUT_OUT]:
            for channel in dict.fromkeys(group.channel for group in self.trials.world.states_of(name).shut_out):
                spec = asked.get(name)
                if spec is None or spec.channel is None:
                    new = MatchSpec(name=name, version=None if spec is None else spec.version, channel=channel)
                    yield Relaxation("channel", "" if spec is None else str(spec), str(new))
        if shut_out:
            yield Relaxation("priority", self.request.options.channel_priority, "flexible")

    def _shut_out(self) -> list[str]:
        """The names of which strict channel priority leaves something out."""
        return [name for name in self.names if self.trials.world.states_of(name).shut_out]

    # Several contradictions at once

    def _combine(self, *first: Relaxation) -> None:
        """Relax whatever contradicts itself until there is a solution, then take back what was not needed."""
        relaxed = list(first)
        facts = self.trials.solve(relax(self.request, relaxed)).facts if relaxed else self.facts
        for _ in range(MOST_ROUNDS):
            relaxation = self._widest(facts, relaxed)
            if relaxation is None:
                return
            relaxed.append(relaxation)
            outcome = self.trials.solve(relax(self.request, relaxed))
            if outcome.records is not None:
                break
            facts = outcome.facts
        else:
            return
        for relaxation in relaxed[:-1]:
            fewer = [one for one in relaxed if one is not relaxation]
            if self.trials.solve(relax(self.request, fewer)).records is not None:
                relaxed = fewer
        self._settle(relaxed)

    def _widest(self, facts: Sequence[Requested | Pinned], relaxed: Sequence[Relaxation]) -> Relaxation | None:
        """A way to ask for as little as possible of one of these facts."""
        done = {relaxation.old for relaxation in relaxed} | {relaxation.new for relaxation in relaxed}
        for fact in sorted(facts, key=self._precedence):
            if str(fact.spec) in done:
                continue
            if isinstance(fact, Pinned) or fact.job == "history":
                # What is frozen as well may have no other version that works.
                way = next(self._ways(fact), None)
                if way is not None:
                    return way
                continue
            if fact.job == "freeze":
                return Relaxation("freeze")
            if not self._has_candidates(name_in(fact.spec)):
                near = next(self._ways(fact), None)
                if near is not None:
                    return near
            elif name_in(fact.spec).startswith("__"):
                continue
            elif fact.spec.version is not None or without_details(fact.spec) != fact.spec:
                new = MatchSpec(name=fact.spec.name, channel=fact.spec.channel, extras=fact.spec.extras)
                return Relaxation("version", str(fact.spec), str(new))
        for fact in facts:
            if isinstance(fact, Requested) and str(fact.spec) not in done and self._can_be_dropped(fact):
                return Relaxation("drop", str(fact.spec))
        return None

    def _settle(self, relaxed: Sequence[Relaxation]) -> None:
        """Put the nearest version that works in place of "any version", one after the other."""
        settled = list(relaxed)
        for place, relaxation in enumerate(settled):
            if relaxation.kind == "version" and MatchSpec.parse(relaxation.old).version is not None:
                others = [*settled[:place], *settled[place + 1 :]]
                spec = MatchSpec.parse(relaxation.old)
                for lowest, probe in self._probes(spec):
                    nearest = self._nearest(spec, probe, others, lowest=lowest)
                    if nearest is not None:
                        settled[place] = nearest
                        break
        self._add(tuple(settled), self.trials.solve(relax(self.request, settled)))


def is_probably(name: str, other: str) -> bool:
    """Whether somebody who wrote a name is likely to have meant the other one, not only something like it."""
    if name.translate(SEPARATORS) == other.translate(SEPARATORS) or other.startswith(name) or name.startswith(other):
        return True
    letters = iter(other)
    abbreviated = len(name) > 3 and name[0] == other[0] and all(letter in letters for letter in name)
    return abbreviated or changes_between(name, other) <= (1 if len(name) < 6 else 2)


def changes_between(one: str, other: str) -> int:
    """How many letters must be typed, left out, changed or exchanged with the next to make one text the other."""
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, wanted in enumerate(other, 1):
            cost = min(above[column] + 1, line[-1] + 1, above[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and (letter, one[row - 2]) == (other[column - 2], wanted):
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        before, above = above, line
    return above[-1]


SEPARATORS = str.maketrans("", "", "-_.")

OF_REQUESTS: frozenset[Kind] = frozenset({"name", "build", "version", "history", "frozen"})
"""What is left to the user where rules that stand elsewhere (pins, channels, cut-offs) are to hold."""

RANK = {
    kind: place
    for place, kind in enumerate(
        ("name", "build", "history", "frozen", "version", "channel", "pin", "freeze", "cutoff", "priority", "drop")
    )
}
"""What changes least of what a person meant stands first."""
