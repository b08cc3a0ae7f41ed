"""One search for one request: its facts, its wishes, its answer.

Every spec of a request is a fact that has to hold, and everything softer is a list of wishes, tried in order:

    python keeps its minor version, unless a job names it
    what is installed stays there, in some version
    what was named is installed: the installed record if that will do, the best candidate for an update
    what is brought up to date besides gets its best candidate
    everything else that is installed stays as it is, python first
    what is needed besides gets its best candidate, those with the fewest candidates left first
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from kaa.models.graph import RecordGraph
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import ABSENT, CandidateSource
from kaa.solver.failures import NotInstalledForUpdate, name_in, packages_not_found
from kaa.solver.incompatibility import Incompatibility
from kaa.solver.opening import World
from kaa.solver.preference import PYTHON, Preference, Wish
from kaa.solver.reasons import Job, Pinned, Removed, Requested
from kaa.solver.removal import select_installed
from kaa.solver.request import SolveRequest
from kaa.solver.solution import Solution, Why
from kaa.solver.states import Query, query_of

MOST_CONTESTED = 3


class Solving:
    """One search for one request."""

    def __init__(
        self,
        request: SolveRequest,
        source: CandidateSource,
        check: Callable[[], None],
        *,
        world: World | None = None,
        only: Collection[Requested | Pinned] | None = None,
        needed: Collection[str] = (),
    ) -> None:
        self.request = request
        self.source = source
        self.only = only
        """The facts that count, to find out which of them matter; None for all."""
        self.needed = needed
        """Names that the named packages are known to need, when those are to be updated, too."""
        self.removed = select_installed(request.remove, request.installed, job="remove")
        self.installed = {
            record.name: record
            for record in sorted(request.installed, key=lambda record: record.name)
            if record.name not in self.removed
        }
        self.jobs = [*request.install, *request.update]
        self.named = {name_in(spec): None for spec in self.jobs}
        self.updated = {name_in(spec) for spec in request.update}
        self.direct: Collection[str] = self.named
        """What is asked for itself, for the strategy "lowest-direct"."""
        missing = [spec for spec in request.update if spec.name not in self.installed]
        if missing:
            raise NotInstalledForUpdate(missing, job="update")
        self.held = self._held_history()
        self.world = World(
            source,
            request.options.channel_priority,
            {package.name: package for package in request.virtual_packages},
            self.installed,
            {
                spec.name
                for spec in (*self.jobs, *self.held, *request.pins)
                if spec.channel is not None and spec.name is not None
            },
            cutoffs=request.options.cutoffs,
            on_hand=request.on_hand,
            reads=not request.no_deps,
        )
        if world is not None:
            self.world.share(world)
        self.preference = Preference(self.world, request.options, check)
        self.search = self.preference.search
        self.opening = self.preference.opening

    def solve(self) -> Solution:
        """The solution; raises NoSolution or PackagesNotFound."""
        self.run()
        return self.solution()

    def run(self) -> None:
        """Search; raises NoSolution or PackagesNotFound."""
        self._ask()
        self.search.run(self.preference)

    def contested(self) -> list[str]:
        """The packages over which it came to a conflict most often."""
        disputes = self.search.disputes
        names = self.opening.names
        packages = [number for number in disputes if self.opening.is_package(number)]
        worst = sorted(packages, key=lambda number: (-disputes[number], names[number]))
        return [names[number] for number in worst[:MOST_CONTESTED]]

    # What has to hold

    def _ask(self) -> None:
        opening = self.opening
        opening.pin(pin for pin in self.request.pins if self._counts(Pinned(pin)))
        if self.only is None:
            opening.load([*self.named, *self.installed])
            missing = self.missing()
            if missing:
                named = {name: opening.states(opening.number_of(name)) for name in self.named}
                raise packages_not_found(missing, named, self.source)
        else:
            opening.load([name_in(fact.spec) for fact in self.only])
        for spec in self.request.install:
            self.require(spec, "install")
        for spec in self.request.update:
            self.require(spec, "update")
        for spec in self.held:
            self.require(spec, "history")
        for name in self.removed:
            self.forbid(name)
        if self.request.freeze_installed:
            self._freeze()
        if self.only is None:
            self._wish()
        else:
            self.preference.wish(Wish(opening.number_of(name_in(fact.spec))) for fact in self.only)

    def _counts(self, fact: Requested | Pinned) -> bool:
        return self.only is None or fact in self.only

    def _held_history(self) -> list[MatchSpec]:
        """The specs of earlier requests that still hold: what is installed meets them, and no job replaces them.

        Of what is updated they hold no version and no build. Extras and flags go on holding when the installed version
        is another one by now: those were not what changed.
        """
        requested = {spec.name for spec in self.request.install}
        held = []
        for spec in self.request.history:
            record = self.installed.get(spec.name or "")
            if record is None or record.name in requested:
                continue
            is_updated = self.request.update_all or record.name in self.updated or record.name in self.needed
            if spec.matches(record):
                held.append(without_version(spec) if is_updated else spec)
            elif (spec.extras or spec.flags) and without_version(spec).matches(record):
                held.append(without_version(spec))
        return held

    def require(self, spec: MatchSpec, job: Job) -> None:
        reason = Requested(spec, job)
        if not self._counts(reason):
            return
        name = name_in(spec)
        number = self.opening.number_of(name)
        states = self.opening.states(number)
        refused = states.universe & ~states.matching(query_of(spec))
        self.search.add_incompatibility(Incompatibility({number: refused}, reason))
        for extra in spec.extras:
            chosen = self.opening.extra_of(name, extra)
            self.search.add_incompatibility(Incompatibility({chosen: ABSENT}, reason))

    def forbid(self, name: str) -> None:
        """No candidate of a name may be installed."""
        self.opening.load((name,))
        number = self.opening.number_of(name)
        present = self.opening.states(number).universe & ~ABSENT
        self.search.add_incompatibility(Incompatibility({number: present}, Removed(MatchSpec.parse(name))))

    def _freeze(self) -> None:
        for name, record in self.installed.items():
            if self.only is not None and not any(fact.spec.name == name for fact in self.only):
                continue
            number = self.opening.number_of(name)
            states = self.opening.states(number)
            state = states.find(record)
            if name in self.updated or not all(
                spec.matches(record) for spec in self.request.install if spec.name == name
            ):
                continue
            reason = Requested(exact_spec(record), "freeze")
            if self._counts(reason):
                self.search.add_incompatibility(Incompatibility({number: states.universe & ~state}, reason))

    def missing(self) -> list[MatchSpec]:
        """The jobs that no candidate meets; what they name must have been loaded."""
        return [spec for spec in dict.fromkeys(self.jobs) if not self._exists(spec)]

    def _exists(self, spec: MatchSpec) -> bool:
        name = name_in(spec)
        if name.startswith("__"):
            return True
        return self.opening.states(self.opening.number_of(name)).matching(query_of(spec)) != 0

    # What is wished for

    def _wish(self) -> None:
        number_of = self.opening.number_of
        everything = self.request.update_all
        wishes: list[Wish] = []
        fresh = {*self.needed, *self.request.refresh, *(self.installed if everything else ())}
        keep = {name: self.installed_state(name) for name in self.installed}
        if PYTHON in keep and PYTHON not in self.named:
            wishes.append(Wish(number_of(PYTHON), self.same_minor(self.installed[PYTHON])))
        earlier = [name for name in dict.fromkeys(map(name_in, self.held)) if name not in self.named]
        kept = [*earlier, *(name for name in keep if name not in earlier and name not in self.named)]
        wishes += [Wish(number_of(name), self._present(name)) for name in kept]
        for name in self.named:
            if name in keep and name not in self.updated and not everything:
                wishes.append(Wish(number_of(name), keep[name]))
            wishes.append(Wish(number_of(name)))
        wishes += [Wish(number_of(name)) for name in (earlier if everything else kept) if name in fresh]
        kept.sort(key=lambda name: name != PYTHON)
        wishes += [Wish(number_of(name), keep[name]) for name in kept if name not in fresh]
        self.preference.wish(wishes)
        self.preference.mark_direct(number_of(name) for name in self.direct)

    def installed_state(self, name: str) -> int:
        return self.opening.states(self.opening.number_of(name)).find(self.installed[name])

    def _present(self, name: str) -> int:
        return self.opening.states(self.opening.number_of(name)).universe & ~ABSENT

    def same_minor(self, python: RepoDataRecord) -> int:
        minor = ".".join(python.version.split(".")[:2])
        states = self.opening.states(self.opening.number_of(PYTHON))
        return states.matching(Query("=" + minor, None))

    # What came out

    def solution(self) -> Solution:
        opening, partial = self.opening, self.search.partial
        records = [
            opening.states(number).record(partial.allowed[number])
            for number in partial.required
            if opening.is_package(number)
        ]
        earlier = {spec.name for spec in self.request.history}
        why: dict[str, Why] = {}
        for record in records:
            if record.name in self.named:
                why[record.name] = "requested"
            elif record.name in earlier and record.name in self.installed:
                why[record.name] = "earlier request"
            else:
                why[record.name] = "installed" if record.name in self.installed else "dependency"
        return Solution(RecordGraph(records).order(), why, self.search.effort)

    def best_alone(self) -> dict[str, RepoDataRecord]:
        """The best candidate of everything that was named, whatever it needs; the search must have been asked."""
        chosen: dict[str, RepoDataRecord] = {}
        for name in self.named:
            number = self.opening.number_of(name)
            states = self.opening.states(number)
            allowed = states.universe & ~ABSENT & ~self.opening.left_out.get(number, 0)
            for spec in self.jobs:
                if spec.name == name:
                    allowed &= states.matching(query_of(spec))
            for pin in self.request.pins:
                if pin.name == name:
                    allowed &= states.matching(query_of(pin))
            if not allowed:
                return {}
            kept = self.installed_state(name) if name in self.installed and name not in self.updated else 0
            chosen[name] = states.record(kept & allowed or self.preference.best(number, allowed))
        return chosen


def without_version(spec: MatchSpec) -> MatchSpec:
    """What a spec asks for beyond a version: where a package comes from, extras and flags."""
    return MatchSpec(
        name=spec.name,
        channel=spec.channel,
        subdir=spec.subdir,
        extras=spec.extras,
        flags=spec.flags,
        credentials=spec.credentials,
    )


def exact_spec(record: RepoDataRecord) -> MatchSpec:
    """The spec that only this dist string meets."""
    return MatchSpec.parse(f"{record.name}=={record.version}={record.build}")
