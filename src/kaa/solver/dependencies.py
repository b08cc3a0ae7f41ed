"""Solutions of which more, or less, than the named packages is wanted: --update-deps, --only-deps."""

from __future__ import annotations

from collections.abc import Callable

from kaa.models.graph import RecordGraph
from kaa.solver.failures import name_in
from kaa.solver.removal import needed_by
from kaa.solver.request import SolveRequest
from kaa.solver.solution import Solution
from kaa.solver.solving import Solving


def with_dependencies_updated(solving: Solving, solution: Solution, check: Callable[[], None]) -> Solution:
    """A solution in which what the named packages need is brought up to date as well.

    What they need is known when they are chosen, and may change with what they need: it is solved again until nothing
    new comes up.
    """
    extras = {name_in(spec): spec.extras for spec in (*solving.held, *solving.jobs) if spec.extras}
    needed = needed_by(solution.records, solving.named, extras)
    while needed - set(solving.needed):
        solving = Solving(
            solving.request, solving.source, check, world=solving.world, needed=needed | set(solving.needed)
        )
        solution = solving.solve()
        needed = needed_by(solution.records, solving.named, extras)
    return solution


def without_requested(request: SolveRequest, solution: Solution) -> Solution:
    """A solution without what was asked for by name, unless it was installed before or something else needs it."""
    requested = {spec.name for spec in (*request.install, *request.update)}
    before = {record.name: record for record in request.installed}
    records = {
        record.name: before.get(record.name, record) if record.name in requested else record
        for record in solution.records
    }
    graph = RecordGraph(records.values())
    dropped = {name for name in records if name in requested and name not in before}
    changed = True
    while changed:
        kept = {name for name in dropped if any(user.name not in dropped for user in graph.dependents(name))}
        changed = bool(kept)
        dropped -= kept
    records = {name: record for name, record in records.items() if name not in dropped}
    why = {name: reason for name, reason in solution.why.items() if name in records}
    return Solution(RecordGraph(records.values()).order(), why, solution.effort)
