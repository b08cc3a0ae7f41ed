"""The usual change of an environment: something is added, and everything that is there can stay as it is.

Then there is no need to look at any other candidate of what is installed. What comes out is what the whole search would
choose, too, or it does not count: python keeps its minor version first of all, so what is named gets the best candidate
that goes with such a python, or nothing comes of this. There is no conflict, so no wish of the whole search is denied.
"""

from __future__ import annotations

from kaa.solver.candidates import ABSENT
from kaa.solver.preference import PYTHON, Wish
from kaa.solver.request import SolveRequest
from kaa.solver.solution import Solution
from kaa.solver.solving import Solving
from kaa.solver.states import query_of


def may_keep(request: SolveRequest) -> bool:
    """Whether a request leaves what is installed and not named as it is, if that can be."""
    return bool(request.installed) and not (request.update_all or request.update_deps or request.refresh)


def solve_keeping(solving: Solving) -> Solution | None:
    """The solution of a search that has not begun, if all that is installed and not named can stay as it is."""
    keeping = Keeping(solving)
    return solving.solution() if keeping.run() else None


class Keeping:
    """A search in which everything is kept."""

    def __init__(self, solving: Solving) -> None:
        self.solving = solving
        self.opening = solving.opening
        self.search = solving.search

    def run(self) -> bool:
        """Whether there is a solution, which is that of the whole search as well."""
        solving, opening = self.solving, self.opening
        opening.pin(solving.request.pins)
        opening.load([*solving.named, *solving.installed])
        if solving.missing():
            return False
        for spec in solving.request.install:
            solving.require(spec, "install")
        for spec in solving.request.update:
            solving.require(spec, "update")
        for spec in solving.held:
            if spec.extras or spec.name in solving.named:
                solving.require(spec, "history")
        for name in solving.removed:
            solving.forbid(name)
        kept: list[tuple[int, int]] = []
        for name in solving.installed:
            state = solving.installed_state(name)
            if name not in solving.named or (name not in solving.updated and self.suits(name, state)):
                kept.append((opening.number_of(name), state))
        kept_numbers = {number for number, _ in kept}
        chosen = [number for number in map(opening.number_of, solving.named) if number not in kept_numbers]
        preference = solving.preference
        preference.wish(map(Wish, chosen))
        preference.mark_direct(map(opening.number_of, solving.direct))
        return self.search.run_undisturbed(preference, kept) and all(map(self.is_best, chosen))

    def suits(self, name: str, states: int) -> bool:
        """Whether all states of a name are as the jobs say."""
        found = self.opening.states(self.opening.number_of(name))
        return not any(states & ~found.matching(query_of(spec)) for spec in self.solving.jobs if spec.name == name)

    def is_best(self, number: int) -> bool:
        """Whether the state of a name is the best that goes with this machine and a python of this minor version."""
        solving, opening, allowed = self.solving, self.opening, self.search.partial.allowed
        states = opening.states(number)
        possible = states.universe & ~ABSENT & ~opening.left_out.get(number, 0)
        for fact in self.search.facts[number]:
            possible &= ~fact.terms[number]
        for implication in self.search.outgoing[number]:
            target = opening.names[implication.target]
            if implication.resolved and target.startswith("__"):
                possible &= ~implication.excluded(allowed[implication.target])
            elif implication.resolved and self.is_kept_python(target):
                possible &= ~implication.excluded(solving.same_minor(solving.installed[PYTHON]))
        return solving.preference.best(number, possible) == allowed[number]

    def is_kept_python(self, name: str) -> bool:
        return name == PYTHON and name in self.solving.installed and name not in self.solving.named
