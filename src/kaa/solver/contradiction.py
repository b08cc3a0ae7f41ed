"""From the proof of a search to the smallest set of facts that cannot hold together.

A fact is left out, and what remains is solved again: if there is still no solution, the fact does not matter. Only
the facts of the latest proof are asked for, so that what is left at the end contradicts itself, and nothing in it can
be spared.
"""

from __future__ import annotations

from collections.abc import Callable

from kaa.solver.failures import TimeLimitReached
from kaa.solver.incompatibility import Incompatibility
from kaa.solver.proof import facts_of
from kaa.solver.reasons import Pinned, Requested
from kaa.solver.search import NoSolution
from kaa.solver.solving import Solving

FIRST_LEFT_OUT = ("freeze", "history", "update", "install")
"""Where several contradictions are to be had, the one is told that is about what the user just asked for."""

MOST_STEPS = 5000
"""Decisions and conflicts to find out which facts matter: a few seconds. Hardly any real request takes a hundred."""


def smallest_contradiction(
    solving: Solving, proof: Incompatibility, check: Callable[[], None]
) -> tuple[Solving, Incompatibility]:
    """The search and the proof of a contradiction of which no fact can be spared.

    When the time of the request is over, or it takes too long, it is the smallest that was found until then.
    """
    budget = Budget(check)
    needed: list[Requested | Pinned] = []
    undecided = sorted(facts_of(proof), key=lambda fact: FIRST_LEFT_OUT.index(job_of(fact)))
    while undecided:
        fact = undecided.pop(0)
        only = (*needed, *undecided)
        attempt = Solving(solving.request, solving.source, budget.check, world=solving.world, only=only)
        try:
            attempt.run()
        except NoSolution as smaller:
            solving, proof = attempt, smaller.proof
            left = facts_of(proof)
            undecided = [fact for fact in undecided if fact in left]
        except TimeLimitReached:
            break
        else:
            needed.append(fact)
    return solving, proof


class Budget:
    """A check that lets only so many steps be taken, in all searches together."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._steps = 0

    def check(self) -> None:
        """Raise if there was enough."""
        self._check()
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TimeLimitReached(0)


def job_of(fact: Requested | Pinned) -> str:
    """The job that a fact comes from; a pin counts as one that was asked for earlier."""
    return fact.job if isinstance(fact, Requested) else "history"
