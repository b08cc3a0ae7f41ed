"""What to tell when a search found no solution: why, in as few requests as it takes, and ways out that were tried.

This is loaded when there is something to tell; a solve that succeeds does without it.
"""

from __future__ import annotations

from collections.abc import Callable

from kaa.solver.contradiction import smallest_contradiction
from kaa.solver.explain import explain
from kaa.solver.failures import PackagesNotFound, Unsolvable, name_in
from kaa.solver.proof import facts_of, leaves_of, names_in
from kaa.solver.reasons import Requested, TooNew
from kaa.solver.repair import find_repairs
from kaa.solver.search import NoSolution
from kaa.solver.solving import Solving


def failure_of(
    solving: Solving,
    error: NoSolution | PackagesNotFound,
    check: Callable[[], None],
    *,
    clock: Callable[[], float] | None = None,
    repair_seconds: float | None = None,
) -> Unsolvable | PackagesNotFound:
    """The error for a search that ended without a solution; without `repair_seconds` no ways out are looked for."""
    if solving.request.no_deps:
        # Packages are then put together whether they fit or not; there is nothing to try.
        repair_seconds = None
    if isinstance(error, PackagesNotFound):
        if repair_seconds is None:
            return error
        facts = [Requested(spec, "install") for spec in error.specs]
        names = [name_in(spec) for spec in error.specs]
        return error.with_repairs(find_repairs(solving, facts, names, clock=clock, seconds=repair_seconds))
    smallest, proof = smallest_contradiction(solving, error.proof, check)
    unsolvable = Unsolvable(explain(proof, smallest.opening, solving.jobs), facts_of(proof))
    if repair_seconds is None:
        return unsolvable
    names = names_in(proof, smallest.opening.names)
    too_new = list(dict.fromkeys(leaf.reason.name for leaf in leaves_of(proof) if isinstance(leaf.reason, TooNew)))
    return unsolvable.with_repairs(
        find_repairs(solving, unsolvable.facts, names, too_new, clock=clock, seconds=repair_seconds)
    )
