"""Requests solved on trial: what comes out of a relaxed request, within bounds, on a world that is loaded already."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import CandidateSource
from kaa.solver.dependencies import with_dependencies_updated, without_requested
from kaa.solver.failures import NotInstalled, PackagesNotFound, TimeLimitReached
from kaa.solver.opening import World
from kaa.solver.proof import facts_of
from kaa.solver.reasons import Pinned, Requested
from kaa.solver.request import SolveRequest
from kaa.solver.search import NoSolution
from kaa.solver.solving import Solving

MOST_STEPS = 4000
"""Decisions and conflicts of one trial; whoever needs more than that is given up."""
MOST_TRIALS = 60


class OutOfTime(Exception):
    """No more trials can be made."""


class Outcome:
    """What a trial came to: the records of a solution, or the facts of a contradiction (none: it was given up)."""

    __slots__ = ("facts", "records")

    def __init__(
        self, records: Mapping[str, RepoDataRecord] | None = None, facts: Sequence[Requested | Pinned] = ()
    ) -> None:
        self.records = records
        self.facts = tuple(facts)


class Trials:
    """Solves one relaxed request after the other; what a world tells is asked for once."""

    def __init__(
        self,
        source: CandidateSource,
        world: World,
        clock: Callable[[], float] | None = None,
        seconds: float = 0.0,
    ) -> None:
        self._source = source
        self.world = world
        self._clock = clock
        self._end = 0.0 if clock is None else clock() + seconds
        self._steps = 0
        self._trials = 0

    def solve(self, request: SolveRequest) -> Outcome:
        """What comes out of a request; raises OutOfTime."""
        return self._run(Solving(request, self._source, self._check, world=self.world))

    def solve_for_lowest(self, request: SolveRequest, name: str) -> Outcome:
        """The same with the lowest possible version of one name, which is decided first."""
        first = [spec for spec in request.install if spec.name == name]
        rest = [spec for spec in request.install if spec.name != name]
        options = replace(request.options, strategy="lowest-direct")
        request = replace(request, install=(*first, *rest), options=options)
        solving = Solving(request, self._source, self._check, world=self.world)
        solving.direct = (name,)
        return self._run(solving)

    def _run(self, solving: Solving) -> Outcome:
        self._trials += 1
        self._steps = 0
        self._check_time()
        request = solving.request
        try:
            solution = solving.solve()
            if request.update_deps:
                solution = with_dependencies_updated(solving, solution, self._check)
            if request.only_deps:
                solution = without_requested(request, solution)
        except NoSolution as error:
            return Outcome(facts=facts_of(error.proof))
        except PackagesNotFound as error:
            return Outcome(facts=[Requested(spec, "install") for spec in error.specs])
        except (TimeLimitReached, NotInstalled):
            self._check_time()
            return Outcome()
        return Outcome({record.name: record for record in solution.records})

    def _check_time(self) -> None:
        if self._trials > MOST_TRIALS or (self._clock is not None and self._clock() > self._end):
            raise OutOfTime

    def _check(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS or (self._clock is not None and self._clock() > self._end):
            raise TimeLimitReached(0)


def without_details(spec: MatchSpec) -> MatchSpec:
    """A spec that asks for no more than name, version, channel and extras."""
    return MatchSpec(name=spec.name, version=spec.version, channel=spec.channel, extras=spec.extras)
