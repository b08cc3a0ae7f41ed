"""The search: propagate, open, decide, learn and jump back.

It knows names and states only as numbers. What they mean, which implications a name brings when it is first needed,
and which state to try first, it asks of its `Rules`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from kaa.solver.analysis import LEARNT, analyze
from kaa.solver.incompatibility import Implication, Incompatibility
from kaa.solver.partial_solution import PartialSolution, Reason


class Rules(Protocol):
    """What the search asks while it runs."""

    def open(self, search: Search, needed: Sequence[int], wanted: Sequence[int]) -> None:
        """Add what the remaining states of the needed names imply, and resolve the implications on the wanted names."""

    def choose(self, search: Search) -> tuple[int, int] | None:
        """A name and the states to try first, out of those allowed; None when nothing is left to decide.

        What it adds on the way (implications, incompatibilities) is looked at first, and then the question comes up
        again.
        """

    def check(self) -> None:
        """Raise if the search is to end; called at every decision and conflict, and when many names are opened."""


OPENINGS_PER_CHECK = 64


class Effort(msgspec.Struct):
    """How much work a search was."""

    decisions: int = 0
    conflicts: int = 0
    openings: int = 0


class NoSolution(Exception):
    """There is no solution; the incompatibility has no terms, and its causes are the proof."""

    def __init__(self, proof: Incompatibility) -> None:
        super().__init__("no solution")
        self.proof = proof


class Search:
    """One search; `run` ends with every required name in one state, or raises `NoSolution`.

    It knows its rules only while it runs: they know the search, and what refers to each other in a circle would stay in
    memory until the collector comes by.
    """

    def __init__(self) -> None:
        self.partial = PartialSolution()
        self.effort = Effort()
        self.disputes: Counter[int] = Counter()
        """For every name how many lessons are about it."""
        self.opened: list[int] = []
        """For every name the states whose implications are known."""
        self.outgoing: list[list[Implication]] = []
        self.incoming: list[list[Implication]] = []
        self.facts: list[list[Incompatibility]] = []
        """For every name the incompatibilities that have no other term."""
        self.watching: list[list[Incompatibility]] = []
        self.clauses: list[list[Incompatibility]] = []
        """For every name the incompatibilities of several terms that the world (not analysis) gave."""
        self.fresh: deque[Implication] = deque()
        """Implications to look at from both ends at the next propagation: new ones, and those with new rows."""
        self._queue: deque[int] = deque()
        self._queued: list[bool] = []
        self._restored: dict[int, None] = {}
        """The names to look at in both directions when their turn comes."""
        self._needed: dict[int, None] = {}
        self._wanted: dict[int, None] = {}

    # Building

    def add_name(self, universe: int, *, opened: int = 0) -> int:
        """A new name with its states, of which some bring no implications; returns its number."""
        name = self.partial.add_name(universe)
        self.opened.append(opened | 1)
        self.outgoing.append([])
        self.incoming.append([])
        self.facts.append([])
        self.watching.append([])
        self.clauses.append([])
        self._queued.append(False)
        return name

    def add_implication(self, implication: Implication) -> None:
        """Take part from now on; who adds it (or adds rows to it) puts it among the fresh ones, once it is resolved."""
        self.outgoing[implication.source].append(implication)
        self.incoming[implication.target].append(implication)

    def want(self, name: int) -> None:
        """The implications on this name are to be resolved: something that is needed implies it."""
        self._wanted[name] = None

    def add_incompatibility(self, incompatibility: Incompatibility) -> None:
        """Take part from now on."""
        names = list(incompatibility.terms)
        if len(names) == 1:
            self.facts[names[0]].append(incompatibility)
        else:
            for name in names:
                self.clauses[name].append(incompatibility)
        for name in names:
            self.touch(name)

    def touch(self, name: int) -> None:
        """Look at everything around a name again, in both directions."""
        self._restored[name] = None
        self._enqueue(name)

    def _enqueue(self, name: int) -> None:
        if not self._queued[name]:
            self._queued[name] = True
            self._queue.append(name)

    @property
    def is_restless(self) -> bool:
        """Whether there is something to look at before anything is decided."""
        return bool(self.fresh or self._queue or self._wanted)

    # Running

    def run(self, rules: Rules) -> None:
        """Search until nothing is left to decide."""
        partial, effort = self.partial, self.effort
        while True:
            conflict = self.propagate(rules)
            rules.check()
            if conflict is not None:
                effort.conflicts += 1
                self.learn(conflict)
                continue
            choice = rules.choose(self)
            if self.is_restless:
                # Choosing brought something new to light.
                continue
            if choice is None:
                return
            effort.decisions += 1
            partial.decide(*choice)
            self._enqueue(choice[0])

    def run_undisturbed(self, rules: Rules, choices: Iterable[tuple[int, int]]) -> bool:
        """Search with these choices made beforehand, all at once; at the first conflict it ends and returns False."""
        partial = self.partial
        partial.level_starts.append(len(partial.names))
        for name, states in choices:
            if not partial.allowed[name] & states:
                return False
            if partial.allowed[name] & ~states:
                partial.narrow(name, states, None)
                self._enqueue(name)
        while self.propagate(rules) is None:
            rules.check()
            choice = rules.choose(self)
            if self.is_restless:
                continue
            if choice is None:
                return True
            self.effort.decisions += 1
            partial.decide(*choice)
            self._enqueue(choice[0])
        return False

    def learn(self, conflict: Incompatibility) -> None:
        """Go back to where the lesson of a conflict is news, and apply it."""
        lesson = analyze(self.partial, conflict)
        if lesson.name < 0:
            raise NoSolution(lesson.learnt)
        self.disputes.update(lesson.learnt.terms)
        while self._queue:
            self._queued[self._queue.pop()] = False
        for name in self.partial.backjump(lesson.level):
            self._restored[name] = None
        for name in self._restored:
            self._enqueue(name)
        learnt = lesson.learnt
        if learnt.reason is LEARNT:
            if lesson.other < 0:
                self.facts[lesson.name].append(learnt)
            else:
                learnt.watched = (lesson.name, lesson.other)
                self.watching[lesson.name].append(learnt)
                self.watching[lesson.other].append(learnt)
        found = self._remove(lesson.name, learnt.terms[lesson.name], learnt)
        assert found is None

    def propagate(self, rules: Rules) -> Incompatibility | None:
        """Draw all conclusions; returns an incompatibility that holds, if there is one."""
        queue, queued, fresh = self._queue, self._queued, self.fresh
        while True:
            while fresh:
                implication = fresh.popleft()
                conflict = self._apply(implication)
                if conflict is not None:
                    fresh.append(implication)
                    return conflict
            while queue:
                name = queue.popleft()
                queued[name] = False
                conflict = self._visit(name)
                if conflict is not None:
                    return conflict
            if not self._open(rules):
                return None

    def _open(self, rules: Rules) -> bool:
        """Have the names opened that turned out to be needed; says whether there were any."""
        allowed, opened = self.partial.allowed, self.opened
        needed = [name for name in self._needed if not allowed[name] & 1 and allowed[name] & ~opened[name]]
        wanted = [name for name in self._wanted if self._is_wanted(name)]
        self._needed.clear()
        self._wanted.clear()
        if not needed and not wanted:
            return False
        before = self.effort.openings
        self.effort.openings += len(needed)
        if before // OPENINGS_PER_CHECK != self.effort.openings // OPENINGS_PER_CHECK:
            rules.check()
        rules.open(self, needed, wanted)
        for name in needed:
            opened[name] |= allowed[name]
        return True

    def _is_wanted(self, name: int) -> bool:
        """Whether something that is needed implies a name whose implications are not resolved yet."""
        allowed = self.partial.allowed
        return any(
            not implication.resolved
            and implication.demanding
            and not allowed[implication.source] & ~implication.covered
            for implication in self.incoming[name]
        )

    def _apply(self, implication: Implication) -> Incompatibility | None:
        """Draw the conclusions from one implication, in both directions."""
        allowed = self.partial.allowed
        source, target = implication.source, implication.target
        if not allowed[source] & implication.covered:
            return None
        if not implication.resolved:
            if implication.demanding and not allowed[source] & ~implication.covered:
                self._wanted[target] = None
            return None
        if not allowed[target] & implication.meet:
            forbidden = allowed[source] & implication.excluded(allowed[target])
            if forbidden:
                conflict = self._remove(source, forbidden, implication)
                if conflict is not None:
                    return conflict
        if not allowed[source] & ~implication.covered:
            forbidden = allowed[target] & ~implication.required(allowed[source])
            if forbidden:
                return self._remove(target, forbidden, implication)
        return None

    def _visit(self, name: int) -> Incompatibility | None:
        """Draw the conclusions from what is allowed of one name."""
        partial = self.partial
        allowed = partial.allowed
        if name in self._restored:
            conflict = self._revisit(name)
            if conflict is not None:
                # It stays to be done: what is new may not have been looked at.
                return conflict
            self._restored.pop(name, None)
        mine = allowed[name]
        if not mine & 1:
            if mine & ~self.opened[name]:
                self._needed[name] = None
            for implication in self.outgoing[name]:
                if mine & ~implication.covered:
                    continue
                if not implication.resolved:
                    if implication.demanding:
                        self._wanted[implication.target] = None
                    continue
                target = allowed[implication.target]
                if target & ~implication.meet:
                    forbidden = target & ~implication.required(mine)
                    if forbidden:
                        conflict = self._remove(implication.target, forbidden, implication)
                        if conflict is not None:
                            return conflict
        for implication in self.incoming[name]:
            source = implication.source
            if not mine & implication.meet and implication.resolved and allowed[source] & implication.covered:
                forbidden = allowed[source] & implication.excluded(mine)
                if forbidden:
                    conflict = self._remove(source, forbidden, implication)
                    if conflict is not None:
                        return conflict
        if self.watching[name]:
            conflict = self._visit_watching(name)
            if conflict is not None:
                return conflict
        for clause in self.clauses[name]:
            if not allowed[name] & ~clause.terms[name]:
                conflict = self._visit_clause(clause)
                if conflict is not None:
                    return conflict
        return None

    def _revisit(self, name: int) -> Incompatibility | None:
        """Draw the conclusions about a name that is wider than before, or has new implications, from all around it."""
        allowed = self.partial.allowed
        for fact in self.facts[name]:
            if allowed[name] & fact.terms[name]:
                conflict = self._remove(name, fact.terms[name], fact)
                if conflict is not None:
                    return conflict
        for implication in self.outgoing[name]:
            if implication.resolved:
                forbidden = allowed[name] & implication.excluded(allowed[implication.target])
                if forbidden:
                    conflict = self._remove(name, forbidden, implication)
                    if conflict is not None:
                        return conflict
        for implication in self.incoming[name]:
            source = allowed[implication.source]
            if not source & ~implication.covered:
                if not implication.resolved:
                    if implication.demanding:
                        self._wanted[name] = None
                    continue
                forbidden = allowed[name] & ~implication.required(source)
                if forbidden:
                    conflict = self._remove(name, forbidden, implication)
                    if conflict is not None:
                        return conflict
        for clause in self.clauses[name]:
            conflict = self._visit_clause(clause)
            if conflict is not None:
                return conflict
        return None

    def _visit_watching(self, name: int) -> Incompatibility | None:
        """Look at the learnt incompatibilities that watch a name; each watches two terms that do not hold yet."""
        allowed = self.partial.allowed
        mine = allowed[name]
        keep: list[Incompatibility] = []
        watching = self.watching[name]
        conflict = None
        for place, clause in enumerate(watching):
            if mine & ~clause.terms[name]:
                keep.append(clause)
                continue
            first, second = clause.watched
            other = second if first == name else first
            for candidate, states in clause.terms.items():
                if candidate != name and candidate != other and allowed[candidate] & ~states:
                    clause.watched = (candidate, other)
                    self.watching[candidate].append(clause)
                    break
            else:
                keep.append(clause)
                forbidden = clause.terms[other]
                if allowed[other] & forbidden:
                    conflict = self._remove(other, forbidden, clause)
                    if conflict is not None:
                        keep.extend(watching[place + 1 :])
                        break
        self.watching[name] = keep
        return conflict

    def _visit_clause(self, clause: Incompatibility) -> Incompatibility | None:
        """If all terms hold but one, that one must not."""
        allowed = self.partial.allowed
        open_name = -1
        for name, states in clause.terms.items():
            if allowed[name] & ~states:
                if open_name >= 0:
                    return None
                open_name = name
        if open_name < 0:
            return clause
        if allowed[open_name] & clause.terms[open_name]:
            return self._remove(open_name, clause.terms[open_name], clause)
        return None

    def _remove(self, name: int, states: int, reason: Reason) -> Incompatibility | None:
        """Forbid states of a name; if none would be left, that is a conflict instead."""
        allowed = self.partial.allowed[name]
        if not allowed & ~states:
            assert reason is not None
            return reason.explain(name, allowed)
        self.partial.narrow(name, ~states, reason)
        self._enqueue(name)
        return None
