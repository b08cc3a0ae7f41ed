"""Small worlds of numbers for the tests of the search: what follows from what, and all answers by force."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies

from kaa.solver.incompatibility import Implication, Incompatibility
from kaa.solver.search import Search

Row = tuple[int, int]


@dataclass(frozen=True)
class World:
    """Names 0, 1, … with so many candidates each; what their states imply; what must not be."""

    candidates: tuple[int, ...]
    rows: tuple[tuple[int, int, int, int], ...] = ()
    """(source, set, target, set): while the source is in the first set, the target is in the second."""
    forbidden: tuple[Mapping[int, int], ...] = ()
    """Terms that must not all hold, known from the start."""

    def universe(self, name: int) -> int:
        return (2 << self.candidates[name]) - 1

    def holds(self, answer: Sequence[int]) -> bool:
        """Whether these states (one bit each) break nothing."""
        return all(not answer[a] & s or answer[b] & m for a, s, b, m in self.rows) and not any(
            all(answer[name] & states for name, states in terms.items()) for terms in self.forbidden
        )

    def answers(self) -> Iterator[tuple[int, ...]]:
        """All answers."""
        for answer in itertools.product(*([1 << i for i in range(count + 1)] for count in self.candidates)):
            if self.holds(answer):
                yield answer


@dataclass
class WorldRules:
    """The rules of a world: names open when needed, implications resolve when wanted, first things first."""

    world: World
    order: Sequence[int]
    checks: int = 0
    loaded: set[int] = field(default_factory=set)
    postponed: dict[int, list[Row]] = field(default_factory=dict)

    def start(self) -> Search:
        search = Search()
        for name in range(len(self.world.candidates)):
            search.add_name(self.world.universe(name))
        for terms in self.world.forbidden:
            search.add_incompatibility(Incompatibility(terms, "forbidden"))
        return search

    def open(self, search: Search, needed: Sequence[int], wanted: Sequence[int]) -> None:
        for target in wanted:
            self.load(search, target)
        for name in needed:
            self.load(search, name)
            fresh = search.partial.allowed[name] & ~search.opened[name]
            for source, states, target, allows in self.world.rows:
                if source == name and states & fresh and not states & search.opened[name]:
                    self.add(search, source, states, target, allows)

    def add(self, search: Search, source: int, states: int, target: int, allows: int) -> None:
        implication = Implication(source, target, "row", demanding=not allows & 1)
        if target in self.loaded:
            implication.resolve([(states, allows)])
        else:
            implication.covered |= states
            self.postponed[id(implication)] = [(states, allows)]
        search.add_implication(implication)
        search.fresh.append(implication)

    def load(self, search: Search, target: int) -> None:
        if target in self.loaded:
            return
        self.loaded.add(target)
        for implication in search.incoming[target]:
            implication.resolve(self.postponed.pop(id(implication)))
            search.fresh.append(implication)

    def choose(self, search: Search) -> tuple[int, int] | None:
        for name in self.order:
            allowed = search.partial.allowed[name]
            if not allowed & 1 and allowed & (allowed - 1):
                return name, allowed & -allowed
        return None

    def check(self) -> None:
        self.checks += 1
        assert self.checks < 10_000, "the search does not come to an end"


def answer_of(search: Search) -> tuple[int, ...]:
    """The answer of a finished search: the state left of what is needed, nothing of the rest."""
    return tuple(1 if allowed & 1 else allowed for allowed in search.partial.allowed)


@strategies.composite
def worlds(draw: strategies.DrawFn, *, most_names: int = 5, most_candidates: int = 3) -> World:
    """Worlds small enough for brute force, in which something is asked for."""
    candidates = tuple(draw(strategies.lists(strategies.integers(1, most_candidates), min_size=1, max_size=most_names)))
    names = strategies.integers(0, len(candidates) - 1)

    def states(name: int) -> strategies.SearchStrategy[int]:
        return strategies.integers(0, (2 << candidates[name]) - 1)

    rows = []
    for _ in range(draw(strategies.integers(0, 12))):
        source = draw(names)
        target = draw(names)
        if source != target:
            rows.append((source, draw(states(source)) & ~1, target, draw(states(target))))
    forbidden: list[Mapping[int, int]] = []
    for _ in range(draw(strategies.integers(1, 4))):
        terms: dict[int, int] = {}
        for name in draw(strategies.lists(names, min_size=1, max_size=3, unique=True)):
            # As with packages: "not installed" is at most one of the terms (what is installed may need one thing).
            terms[name] = draw(states(name)) & (-1 if not terms else ~1)
        forbidden.append(terms)
    first = draw(names)
    forbidden.append({first: 1})
    return World(candidates, tuple(rows), tuple(forbidden))
