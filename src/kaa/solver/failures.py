"""What `solve` raises: no solution, nothing by that name, not installed, no name, no time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kaa.errors import KaaError
from kaa.models.channel import short_name
from kaa.models.match_spec import MatchSpec
from kaa.solver.candidates import ABSENT, CandidateSource
from kaa.solver.folding import fold, listed
from kaa.solver.ranges import Ranges
from kaa.solver.reasons import Pinned, Requested
from kaa.solver.spelling import spell
from kaa.solver.states import NameStates, Part, Query, query_of

if TYPE_CHECKING:
    from kaa.solver.explain import Explanation
    from kaa.solver.relaxation import Repair
    from kaa.solver.search import Effort


class TimeLimitReached(KaaError):
    """The search took longer than it may; how far it came, and what it mostly failed at."""

    def __init__(self, seconds: float, effort: Effort | None = None, contested: Sequence[str] = ()) -> None:
        self.seconds = seconds
        self.decisions = 0 if effort is None else effort.decisions
        self.conflicts = 0 if effort is None else effort.conflicts
        self.contested = tuple(contested)
        """The packages over which it came to a conflict most often, worst first."""
        told = "" if effort is None else f": {progress(effort, contested)}"
        named = listed(self.contested[:2], last="or") if contested else "the most important packages"
        super().__init__(
            f"No set of packages was found within {seconds:g} seconds{told}.",
            hints=(
                f"ask for versions of {named}, so that less is left to try",
                "allow more time with --solve-timeout or solve_timeout (0: no limit)",
            ),
        )


def progress(effort: Effort, contested: Sequence[str]) -> str:
    """How far a search came, in words."""
    told = f"{effort.decisions} {'choice was' if effort.decisions == 1 else 'choices were'} made"
    if not effort.conflicts:
        return f"{told}, none of them in vain so far"
    led = f"{effort.conflicts} {'time' if effort.conflicts == 1 else 'times'} they led to a contradiction"
    return f"{told}, and {led}" + (f", mostly over {listed(contested)}" if contested else "")


class Unsolvable(KaaError):
    """The requests cannot be met together."""

    conda_name = "UnsatisfiableError"

    def __init__(
        self,
        explanation: Explanation,
        facts: Sequence[Requested | Pinned] = (),
        repairs: Sequence[Repair] | None = None,
    ) -> None:
        self.requests = list(explanation.requests)
        self.pins = list(explanation.pins)
        self.causes = list(explanation.lines)
        self.repairs = tuple(repairs or ())
        """Ways out that were tried and work, best first."""
        self._explanation = explanation
        self._facts = tuple(facts)
        ways = explanation.untried if repairs is None else tuple(repair.sentence for repair in repairs)
        hints = (*ways, *explanation.hints)
        super().__init__("\n".join([explanation.summary, *explanation.lines]), hints=hints)

    @property
    def facts(self) -> tuple[Requested | Pinned, ...]:
        """What cannot hold together; no part of it can be spared."""
        return self._facts

    def with_repairs(self, repairs: Sequence[Repair]) -> Unsolvable:
        """The same with ways out."""
        return Unsolvable(self._explanation, self._facts, repairs)


class PackagesNotFound(KaaError):
    """No channel offers what was asked for."""

    conda_name = "PackagesNotFoundInChannelsError"

    def __init__(
        self,
        specs: Sequence[MatchSpec],
        lines: Sequence[str],
        hints: tuple[str, ...],
        untried: tuple[str, ...] = (),
        repairs: Sequence[Repair] | None = None,
    ) -> None:
        self.packages = [spell(spec) for spec in specs]
        self.repairs = tuple(repairs or ())
        self.channels: list[str] = []
        """Where it was looked for, where that is known."""
        self.subdirs: list[str] = []
        self.elsewhere: dict[str, list[str]] = {}
        """Names → other platforms that have a package of that name."""
        self._specs = tuple(specs)
        self._given = hints
        self._untried = untried
        ways = untried if repairs is None else tuple(repair.sentence for repair in repairs)
        super().__init__("\n".join(lines), hints=(*ways, *hints))

    @property
    def specs(self) -> tuple[MatchSpec, ...]:
        """What was asked for and is not to be had."""
        return self._specs

    def searched(
        self, channels: Sequence[str], subdirs: Sequence[str], elsewhere: Mapping[str, Sequence[str]]
    ) -> PackagesNotFound:
        """The same with where it was looked for: channels and subdirs; and the platforms that have it, by package."""
        lines = [self.message, f"Searched: {', '.join(channels)} for {listed(subdirs)}."]
        lines += [f"{name} exists for {listed(platforms)}." for name, platforms in elsewhere.items()]
        platforms = dict.fromkeys(platform for found in elsewhere.values() for platform in found)
        hints = [f"make an environment for that platform: --platform {platform}" for platform in platforms][:1]
        found = PackagesNotFound(self._specs, lines, (*self._given, *hints), self._untried, self.repairs)
        found.channels = list(channels)
        found.subdirs = list(subdirs)
        found.elsewhere = {name: list(platforms) for name, platforms in elsewhere.items()}
        return found

    def with_repairs(self, repairs: Sequence[Repair]) -> PackagesNotFound:
        """The same with ways out."""
        return PackagesNotFound(self._specs, [self.message], self._given, self._untried, repairs)


class NotInstalled(KaaError):
    """Packages to be removed or updated that the environment does not have."""

    conda_name = "PackagesNotFoundError"

    def __init__(self, specs: Sequence[MatchSpec], *, job: str) -> None:
        self.packages = [spell(spec) for spec in specs]
        self.job = job
        pronoun = "it is" if len(specs) == 1 else "they are"
        hint = f"install it first: {self.packages[0]}" if job == "update" else "list what is installed"
        super().__init__(
            f"Cannot {job} {listed(self.packages)}: {pronoun} not installed in this environment.", hints=(hint,)
        )


class NotInstalledForUpdate(NotInstalled):
    """A package to be updated that the environment does not have."""

    conda_name = "PackageNotInstalledError"


class UnnamedRequest(KaaError):
    """A request that names no package."""

    conda_name = "InvalidMatchSpec"

    def __init__(self, spec: MatchSpec) -> None:
        self.spec = str(spec)
        super().__init__(f"{spec} does not name a package.", hints=("write the name of a package first",))


def name_in(spec: MatchSpec) -> str:
    """The name that a request is about; raises UnnamedRequest."""
    if spec.name is None:
        raise UnnamedRequest(spec)
    return spec.name


def what_there_is(spec: MatchSpec, states: NameStates) -> str:
    """Sentences on a spec that no candidate meets, and on what there is of its name instead."""
    versions = states.versions(states.universe & ~ABSENT)
    what = f"only {versions[0]}" if len(versions) == 1 else f"{len(versions)} versions, {versions[-1]} to {versions[0]}"
    hidden = NameStates(states.name, states.shut_out, Ranges())
    matching = hidden.matching(query_of(spec))
    channels = dict.fromkeys(short(part) for part in hidden.parts if matching & part.mask)
    if channels:
        first = short(states.parts[0])
        rule = f"strict channel priority takes {states.name} from {first} only"
        return f"{spell(spec)} is in {listed(list(channels))}, but {rule}, which has {what}."
    same = spec.version and states.versions(states.matching(Query(str(spec.version), None)))
    if same:
        return f"No channel offers {spell(spec)}. There is {states.name} {fold(same, same)}, but not as asked for."
    return f"No channel offers {spell(spec)}. There {'is' if len(versions) == 1 else 'are'} {what}."


def short(part: Part) -> str:
    """The name of the channel that candidates come from."""
    return short_name(part.group.channel)


def packages_not_found(
    missing: Sequence[MatchSpec], states_by_name: Mapping[str, NameStates], source: CandidateSource
) -> PackagesNotFound:
    """The error for requests that no candidate meets: names alike, or the versions that there are."""
    lines: list[str] = []
    hints: dict[str, None] = {}
    untried: dict[str, None] = {}
    for spec in missing:
        name = name_in(spec)
        states = states_by_name[name]
        if states.universe == ABSENT:
            near = list(source.near_names(name))
            lines.append(f"No channel offers a package named {name}.")
            if near:
                untried[f"use one of these names: {', '.join(near)}"] = None
            hints["add a channel that has it"] = None
            continue
        lines.append(what_there_is(spec, states))
        untried[f"ask for {name} without a version, or for one of these"] = None
    return PackagesNotFound(missing, lines, tuple(hints), tuple(untried))
