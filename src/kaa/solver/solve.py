"""`solve`: a request and a source of candidates → a solution, or an error that says why there is none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from kaa.models.allocation import without_collections
from kaa.models.graph import RecordGraph
from kaa.solver.candidates import CandidateSource
from kaa.solver.dependencies import with_dependencies_updated, without_requested
from kaa.solver.failures import PackagesNotFound, TimeLimitReached, Unsolvable, progress
from kaa.solver.keeping import may_keep, solve_keeping
from kaa.solver.removal import remaining, select_installed
from kaa.solver.request import SolveRequest
from kaa.solver.search import NoSolution
from kaa.solver.solution import Solution, Why
from kaa.solver.solving import Solving


def solve(
    request: SolveRequest,
    source: CandidateSource,
    *,
    clock: Callable[[], float] | None = None,
    repair_seconds: float | None = None,
) -> Solution:
    """The records an environment should hold to meet a request.

    Raises Unsolvable when requests contradict each other, PackagesNotFound for what no channel offers, NotInstalled for
    what cannot be removed or updated, and TimeLimitReached; the time limit of the options needs a `clock` in seconds.
    With `repair_seconds` the first two come with ways out that were tried (see `kaa.solver.repair`), as far as they
    were found in that time.
    """
    with without_collections():
        return solve_any(request, source, clock, repair_seconds)


def solve_any(
    request: SolveRequest,
    source: CandidateSource,
    clock: Callable[[], float] | None,
    repair_seconds: float | None,
) -> Solution:
    """`solve` for all kinds of requests."""
    if request.remove and not (request.install or request.update or request.update_all):
        return solve_removal(request)
    if request.no_deps:
        return solve_without_dependencies(request, source, clock, repair_seconds)
    check = stopwatch(request, clock)
    solving = Solving(request, source, check)
    kept = None
    if may_keep(request):
        with telling_progress(solving):
            kept = solve_keeping(solving)
        if kept is None:
            solving = Solving(request, source, check, world=solving.world)
    try:
        with telling_progress(solving):
            solution = kept or solving.solve()
    except (NoSolution, PackagesNotFound) as error:
        raise failure_of(solving, error, check, clock, repair_seconds) from None
    if request.update_deps:
        solution = with_dependencies_updated(solving, solution, check)
    return without_requested(request, solution) if request.only_deps else solution


@contextlib.contextmanager
def telling_progress(solving: Solving) -> Iterator[None]:
    """A search that is broken off tells how far it came."""
    try:
        yield
    except TimeLimitReached as error:
        raise TimeLimitReached(error.seconds, solving.search.effort, solving.contested()) from None
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(
            f"while looking for packages that go together: {progress(solving.search.effort, solving.contested())}"
        )
        raise


def solve_removal(request: SolveRequest) -> Solution:
    """What stays when packages are removed, and nothing is installed."""
    removed = select_installed(request.remove, request.installed, job="remove")
    earlier = [spec.name for spec in request.history if spec.name is not None]
    records = remaining(
        removed,
        request.installed,
        earlier,
        prune=request.prune and not request.no_deps,
        dependents=not request.no_deps,
        extras={spec.name: spec.extras for spec in request.history if spec.name is not None},
    )
    why: dict[str, Why] = {
        record.name: "earlier request" if record.name in earlier else "installed" for record in records
    }
    return Solution(RecordGraph(records).order(), why)


def solve_without_dependencies(
    request: SolveRequest,
    source: CandidateSource,
    clock: Callable[[], float] | None,
    repair_seconds: float | None,
) -> Solution:
    """Change the named packages only; they fit the others if that is possible at all."""
    check = stopwatch(request, clock)
    solving = Solving(request, source, check)
    try:
        solution = solving.solve()
        chosen = {record.name: record for record in solution.records if record.name in solving.named}
    except (NoSolution, PackagesNotFound) as error:
        chosen = solving.best_alone() if isinstance(error, NoSolution) else {}
        if not chosen:
            raise failure_of(solving, error, check, clock, repair_seconds) from None
    records = {**solving.installed, **chosen}
    why: dict[str, Why] = {name: "requested" if name in chosen else "installed" for name in records}
    return Solution(RecordGraph(records.values()).order(), why, solving.search.effort)


def failure_of(
    solving: Solving,
    error: NoSolution | PackagesNotFound,
    check: Callable[[], None],
    clock: Callable[[], float] | None,
    repair_seconds: float | None,
) -> Unsolvable | PackagesNotFound:
    """What to raise when a search ended without a solution; what can tell that is loaded only now."""
    from kaa.solver import advice  # noqa: PLC0415

    try:
        return advice.failure_of(solving, error, check, clock=clock, repair_seconds=repair_seconds)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note("while finding out why there is no set of packages that go together")
        raise


def stopwatch(request: SolveRequest, clock: Callable[[], float] | None) -> Callable[[], None]:
    """A function that raises when the time of the request is over."""
    limit = request.options.time_limit
    if limit is None or clock is None:
        return lambda: None
    read = clock
    end = read() + limit

    def check() -> None:
        if read() > end:
            raise TimeLimitReached(limit)

    return check
