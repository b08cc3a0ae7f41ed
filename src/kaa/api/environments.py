"""Plan changes of environments: create, install, update, remove, or exactly the packages of a list of addresses.

Planning reads channels, caches and the environment, and returns a `Transaction`; only `kaa.api.execution.execute`
changes anything.
"""

from __future__ import annotations

import importlib
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from kaa.api.elsewhere import located
from kaa.api.on_hand import PackagesOnHand
from kaa.api.pip_sections import PipSection
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.api.specs import channels_named, lives_on_indexes, read_specs, resolve_kept_spec
from kaa.config.values import cutoffs_of, solve_options
from kaa.errors import KaaError
from kaa.models.artifact import is_python_distribution
from kaa.models.channel import PYPI, Channel, names_index
from kaa.models.match_spec import MatchSpec
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.prefix.environments import absolute_location
from kaa.prefix.history import requested_specs
from kaa.prefix.pins import read_pinned
from kaa.prefix.prefix import DirectoryIsNoEnvironment, Prefix, open_prefix
from kaa.solver.candidates import CandidateSource, RecordSource
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.request import SolveRequest
from kaa.solver.solution import Solution
from kaa.solver.solve import solve
from kaa.transaction.plan import NO_FILES, FileChanges, Transaction, plan_transaction


class EnvironmentExists(KaaError):
    """An environment was to be created where one is already."""

    conda_name = "CondaValueError"

    def __init__(self, prefix: Path) -> None:
        self.prefix = str(prefix)
        super().__init__(
            f"prefix already exists: {prefix} is an environment",
            hints=(
                f"add packages to it with `kaa install --prefix {shlex.quote(str(prefix))} …`",
                f"remove it first with `kaa env remove --prefix {shlex.quote(str(prefix))}`",
            ),
        )


class PackagesNotInstalled(KaaError):
    """Packages were to be updated or removed that the environment does not hold."""

    conda_name = "PackagesNotFoundInPrefixError"

    def __init__(self, prefix: Path, names: Sequence[str]) -> None:
        self.prefix = str(prefix)
        self.packages = list(names)
        what = ", ".join(names)
        super().__init__(
            f"not installed in {prefix}: {what}",
            hints=(f"see what is there with `kaa list --prefix {shlex.quote(str(prefix))}`",),
        )


class NothingRequested(KaaError):
    """A change was asked for without saying of what."""

    conda_name = "CondaValueError"

    def __init__(self, verb: str) -> None:
        self.verb = verb
        hints = [f"name one, as in `kaa {verb} numpy`"]
        if verb == "update":
            hints.append("update everything with `kaa update --all`")
        super().__init__(f"nothing to {verb}: no package was named", hints=tuple(hints))


class PlatformMismatch(KaaError):
    """A package is for another platform than the environment."""

    conda_name = "PlatformMismatchError"

    def __init__(self, record: RepoDataRecord, subdir: str) -> None:
        self.package = record.dist
        self.package_subdir = record.subdir
        self.subdir = subdir
        super().__init__(
            f"{record.dist} is a package for {record.subdir}, and the environment is for {subdir}",
            hints=(f"create an environment for it with --platform {record.subdir}",),
        )


class PackageDisallowed(KaaError):
    """A package was asked for that the configuration rules out."""

    conda_name = "DisallowedPackageError"

    def __init__(self, spec: str, rule: str) -> None:
        self.spec = spec
        self.rule = rule
        super().__init__(
            f"{spec} may not be installed here: disallowed_packages lists {rule}",
            hints=("see where with `kaa config --show-sources disallowed_packages`",),
        )


REPAIR_SECONDS = 2.0
"""For how long ways out of a contradiction are looked for."""

KEPT_IN_ROOT = frozenset(
    {"pkgs", "envs", "condabin", ".condarc", "condarc", "condarc.d", "conda-meta", "temporary", "tools"}
)
"""What may lie in a root prefix before it is an environment."""


class Solver(Protocol):
    """What finds a solution: `kaa.solver.solve.solve`, or something around it."""

    def __call__(
        self,
        request: SolveRequest,
        source: CandidateSource,
        *,
        clock: Callable[[], float] | None = None,
        repair_seconds: float | None = None,
    ) -> Solution: ...


class ChangeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a user may say about a change besides the packages."""

    no_deps: bool = False
    """Only the packages that are named, nothing that they need."""
    only_deps: bool = False
    """Only what the named packages need, not themselves."""
    freeze_installed: bool = False
    """Installed packages stay exactly as they are."""
    update_specs: bool = False
    """Packages that are named take the newest version although the installed one would do."""
    update_deps: bool = False
    """So do they, and all that they need."""
    update_all: bool = False
    """Every installed package takes the newest version that fits."""
    no_pin: bool = False
    """Pins (conda-meta/pinned, pinned_packages) do not count."""
    force_reinstall: bool = False
    """Packages that are named are linked again even when nothing changes."""
    prune: bool = False
    """Removing takes along what nothing else needs any more."""
    command: str = ""
    """The command line, for the history."""
    solver: Solver = solve
    """What solves: `kaa.api.problems.ProblemWriter` writes down what it saw, too."""
    section: PipSection | None = None
    """What the `pip:` section of a file asks for besides."""


def plan_create(
    session: Session, prefix: Path, specs: Sequence[str | MatchSpec], options: ChangeOptions = ChangeOptions()
) -> Transaction:
    """A new environment with what `specs` ask for, for the session's platform.

    Raises EnvironmentExists or DirectoryIsNoEnvironment where something is already, and what solving raises.
    """
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    check_free(prefix)
    wanted = _with_section(read_specs(session, specs), options)
    if not wanted:
        return plan_transaction(prefix, session.subdir, (), (), command=options.command)
    request = SolveRequest(install=wanted, pins=pins_of(session, prefix, options))
    return _plan(session, prefix, request, options, asked=wanted)


def plan_install(
    session: Session, prefix: Path, specs: Sequence[str | MatchSpec], options: ChangeOptions = ChangeOptions()
) -> Transaction:
    """`specs` added to an environment, changing of the rest as little as it must."""
    prefix = absolute_location(prefix, session.cwd)
    request = _present(session, prefix, options)
    wanted = _with_section(read_specs(session, specs, request.installed), options)
    if not wanted:
        raise NothingRequested("install")
    # What a section for pip names becomes newer, as with pip.
    updated = options.section.specs if options.section is not None else ()
    if options.update_specs or options.update_deps:
        updated = wanted
    if updated:
        installed = {record.name for record in request.installed}
        request = replace(request, update=tuple(spec for spec in updated if spec.name in installed))
    request = replace(request, install=wanted)
    return _plan(session, prefix, request, options, asked=wanted)


def plan_update(
    session: Session, prefix: Path, names: Sequence[str | MatchSpec], options: ChangeOptions = ChangeOptions()
) -> Transaction:
    """The newest versions that fit of the packages named, or of all with `options.update_all`."""
    prefix = absolute_location(prefix, session.cwd)
    if not names and not options.update_all:
        raise NothingRequested("update")
    request = _present(session, prefix, options)
    wanted = read_specs(session, names, request.installed)
    _check_installed(prefix, request.installed, wanted)
    request = replace(request, update=wanted)
    again = [spec.name for spec in wanted if spec.name] if options.force_reinstall else ()
    return _plan(session, prefix, request, options, again=again)


def is_satisfied(session: Session, prefix: Path, specs: Sequence[str | MatchSpec]) -> bool:
    """Whether installed packages are what the specs ask for already (for --satisfied-skip-solve)."""
    settle(session, prefix)
    installed = {record.name: record for record in open_prefix(absolute_location(prefix, session.cwd)).records()}

    def has(spec: MatchSpec) -> bool:
        record = installed.get(spec.name or "")
        # What an extra brings, and what it brings in turn, is for the solver to find out.
        return record is not None and spec.matches(record) and not spec.extras

    return all(map(has, read_specs(session, specs, tuple(installed.values()))))


def plan_remove(
    session: Session, prefix: Path, names: Sequence[str], options: ChangeOptions = ChangeOptions()
) -> Transaction:
    """The environment without the packages named, and without what needs them.

    With `options.prune` what only the removed packages needed goes as well. Nothing is fetched: what stays is there.
    """
    if not names:
        raise NothingRequested("remove")
    prefix = absolute_location(prefix, session.cwd)
    request = _present(session, prefix, options)
    wanted = read_specs(session, names, request.installed)
    _check_installed(prefix, request.installed, wanted)
    gone = [record.name for record in request.installed if any(spec.matches(record) for spec in wanted)]
    request = replace(request, remove=wanted, prune=options.prune, no_deps=options.no_deps, pins=())
    # What stays is installed: no channel is read, and a package that left its channel is no obstacle.
    request = _on_platform(session, request, subdir_of(session, request.installed))
    solution = options.solver(request, RecordSource({}))
    return _transaction(session, prefix, request, solution, options, removed=gone)


def plan_explicit(
    session: Session, prefix: Path, records: Sequence[RepoDataRecord], options: ChangeOptions = ChangeOptions()
) -> Transaction:
    """Exactly `records` linked into an environment (a new one where there is none), without solving.

    What else is installed stays, except for packages of the same names. See `kaa.api.explicit` for records of an
    explicit list.
    """
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    environment = Prefix(prefix)
    current = environment.records() if environment.is_environment() else ()
    if not environment.is_environment():
        check_free(prefix)
    subdir = subdir_of(session, current)
    check_platform(records, subdir)
    desired = {record.name: record for record in (*current, *records)}
    requested = {record.name: f"{record.name}=={record.version}={record.build}" for record in records}
    again = frozenset(requested) if options.force_reinstall else frozenset()
    return plan_transaction(
        prefix,
        subdir,
        current,
        tuple(desired.values()),
        reinstall=again,
        requested_specs=requested,
        command=options.command,
    )


def plan_dependencies(
    session: Session, prefix: Path, installed: Sequence[PrefixRecord], options: ChangeOptions = ChangeOptions()
) -> tuple[RepoDataRecord, ...]:
    """What an environment of these packages holds when all that they need is there, the rest changing little."""
    request = SolveRequest(
        installed=tuple(installed),
        history=earlier_requests(session, Prefix(prefix), installed),
        pins=pins_of(session, prefix, options),
    )
    return _plan(session, prefix, request, options).final


def _present(session: Session, prefix: Path, options: ChangeOptions) -> SolveRequest:
    """A request to keep an environment as it is."""
    settle(session, prefix)
    environment = open_prefix(prefix)
    installed = environment.records()
    if not installed:
        # Somebody may have removed it meanwhile; what is then read as empty would be made anew.
        open_prefix(prefix)
    return SolveRequest(
        installed=installed,
        history=earlier_requests(session, environment, installed),
        pins=pins_of(session, prefix, options),
        update_all=options.update_all,
        update_deps=options.update_deps,
        freeze_installed=options.freeze_installed,
        refresh=session.config.aggressive_update_packages,
    )


def _plan(
    session: Session,
    prefix: Path,
    request: SolveRequest,
    options: ChangeOptions,
    asked: Sequence[MatchSpec] = (),
    *,
    again: Iterable[str] = (),
) -> Transaction:
    """Solve a request against the session's channels, and plan the way there."""
    subdir = subdir_of(session, request.installed)
    request = _on_platform(session, replace(request, no_deps=options.no_deps, only_deps=options.only_deps), subdir)
    _check_disallowed(session, asked)
    section = options.section
    if section is not None:
        request = replace(request, pins=(*request.pins, *section.constraints))
    channels = _channels_for(session, request, section)
    cutoffs = cutoffs_of(
        session.config, channels, time.time_ns() // 1_000_000, str(session.cwd), session.channel_config
    )
    request = replace(
        request,
        options=replace(request.options, cutoffs=cutoffs),
        on_hand=PackagesOnHand(session.package_cache) if session.config.offline else None,
    )
    # Closing the index keeps what it computed for the next run.
    with session.open_index(channels, subdir) as index:
        index.admit((*request.install, *request.update, *request.history, *request.pins))
        if section is not None:
            index.offer(section.wheels)
            index.keep_to_conda(_of_conda(session, request, section))
        request = replace(
            request,
            install=index.agree(request.install),
            update=index.agree(request.update),
            history=index.agree(request.history),
            pins=index.agree(request.pins),
        )
        try:
            solution = options.solver(request, index, clock=time.monotonic, repair_seconds=REPAIR_SECONDS)
        except (PackagesNotFound, Unsolvable) as error:
            if isinstance(error, PackagesNotFound):
                error = located(session, error, channels, index.platforms)
            error.message = "\n".join([error.message, *index.left_out((*request.install, *request.update))])
            index.forget_absences()
            # It knows the interpreters of this machine, which a solve that succeeds need not load.
            interpreters = importlib.import_module("kaa.api.interpreters")
            raise interpreters.with_interpreters(session, error, channels, subdir, request.install) from None
    transaction = _transaction(session, prefix, request, solution, options, asked=asked, again=again)
    if section is not None and section.for_python is not None and transaction.python is not None:
        # Now it is known which lines of the section are for this python, which stays.
        version = transaction.python.version
        section = section.for_python(version)
        more = [spec for spec in section.specs if spec not in request.install]
        request = replace(
            request,
            install=(*request.install, *more),
            pins=(*request.pins, MatchSpec.parse(f"python=={version}")),
        )
        options = replace(options, section=section)
        return _plan(session, prefix, request, options, [*asked, *more], again=again)
    return transaction


def _channels_for(session: Session, request: SolveRequest, section: PipSection | None) -> tuple[Channel, ...]:
    """The configured channels, and behind them those that specs name themselves, and those of a section for pip.

    What came from an index of Python packages may come from there again. Where all did, and no channel is configured,
    there is no other.
    """
    named = channels_named((*request.install, *request.update))
    configured: Sequence[str] = session.config.channels
    if lives_on_indexes(session, request.installed):
        configured = ()
    indexes = _indexes_of(session, request.installed)
    return session.channels([*configured, *named, *(section.channels if section is not None else ()), *indexes])


def _indexes_of(session: Session, installed: Iterable[RepoDataRecord]) -> list[str]:
    """The permitted indexes of Python packages that installed packages came from, as channels."""
    found = dict.fromkeys(record.channel for record in installed if names_index(record.channel))
    if not found:
        return []
    told = {channel.base_url for channel in session.channel_config.resolve(PYPI, str(session.cwd))}
    texts = dict.fromkeys(PYPI if channel in told else channel for channel in found)
    return [text for text in texts if session.permits(text)]


def _with_section(specs: tuple[MatchSpec, ...], options: ChangeOptions) -> tuple[MatchSpec, ...]:
    return specs if options.section is None else (*specs, *options.section.specs)


def _of_conda(session: Session, request: SolveRequest, section: PipSection) -> set[str]:
    """The names that a section for pip does not make available from PyPI: what is asked for beside it."""
    configured = session.channels() if session.config.channels else ()
    if not configured or any(channel.is_pypi for channel in configured):
        return set()
    return {spec.name for spec in (*request.install, *request.update) if spec.name and not spec.channel} - section.names


def _on_platform(session: Session, request: SolveRequest, subdir: str) -> SolveRequest:
    return replace(request, virtual_packages=session.virtual_packages(subdir), options=solve_options(session.config))


def _transaction(
    session: Session,
    prefix: Path,
    request: SolveRequest,
    solution: Solution,
    options: ChangeOptions,
    *,
    asked: Sequence[MatchSpec] = (),
    removed: Iterable[str] = (),
    again: Iterable[str] = (),
) -> Transaction:
    named = {spec.name: str(spec) for spec in asked if spec.name}
    current = tuple(record for record in request.installed if isinstance(record, PrefixRecord))
    if options.section is not None:
        options.section.check(solution.records)
    files, relinked = _replaced(prefix, current, solution.records)
    forced = [*named, *again] if options.force_reinstall else []
    return plan_transaction(
        prefix,
        subdir_of(session, request.installed),
        current,
        solution.records,
        reinstall=frozenset([*forced, *relinked]),
        requested_specs={} if options.only_deps else named,
        removed_specs=tuple(removed),
        command=options.command,
        files=files,
    )


def _replaced(
    prefix: Path, current: Sequence[PrefixRecord], final: Sequence[RepoDataRecord]
) -> tuple[FileChanges, frozenset[str]]:
    """The files of pip's distributions in whose place wheels come, and the packages that had lost files to them."""
    if not current or not any(is_python_distribution(record.fn) for record in final):
        return NO_FILES, frozenset()
    replacing = importlib.import_module("kaa.api.replaced_distributions").replace_by(Prefix(prefix), current, final)
    return replacing.files, replacing.relinked


def earlier_requests(session: Session, environment: Prefix, installed: Sequence[PrefixRecord]) -> tuple[MatchSpec, ...]:
    """What users asked for in this environment so far, of packages that are still there."""
    texts = requested_specs(environment, installed).values()
    return tuple(resolve_kept_spec(session, MatchSpec.parse(text, lenient=True)) for text in texts)


def pins_of(session: Session, prefix: Path, options: ChangeOptions) -> tuple[MatchSpec, ...]:
    """The pins that count for an environment: its own, and the configured ones."""
    if options.no_pin:
        return ()
    return read_specs(session, (*read_pinned(Prefix(prefix)), *session.config.pinned_packages))


def subdir_of(session: Session, installed: Sequence[RepoDataRecord]) -> str:
    """The platform of an environment: what was asked for, else what its packages are for, else this machine's."""
    if session.config.subdir:
        return session.config.subdir
    present = {record.subdir for record in installed} - {"noarch", ""}
    return present.pop() if len(present) == 1 else session.subdir


def check_free(prefix: Path) -> None:
    """Raise unless an environment can be created at a path: nothing is there, or an empty directory.

    The root prefix may hold what kaa itself keeps there.
    """
    if Prefix(prefix).is_environment():
        raise EnvironmentExists(prefix)
    if prefix.is_dir():
        try:
            names = [path.name for path in prefix.iterdir()]
        except FileNotFoundError:
            # Somebody removed it just now.
            return
        foreign = sorted({*names} - KEPT_IN_ROOT)
        if foreign:
            raise DirectoryIsNoEnvironment(
                prefix,
                f"the directory holds other things ({', '.join(foreign[:3])}{', …' if foreign[3:] else ''})",
                hints=("choose another path, or move them away",),
            )
    elif prefix.exists() or prefix.is_symlink():
        raise DirectoryIsNoEnvironment(prefix, "a file of that name is there", hints=("choose another path",))


def check_platform(records: Iterable[RepoDataRecord], subdir: str) -> None:
    """Raise PlatformMismatch for a package that is not for `subdir`."""
    for record in records:
        if record.subdir not in ("", "noarch", subdir):
            raise PlatformMismatch(record, subdir)


def _check_installed(prefix: Path, installed: Sequence[RepoDataRecord], specs: Sequence[MatchSpec]) -> None:
    missing = [str(spec) for spec in specs if not any(spec.matches(record) for record in installed)]
    if missing:
        raise PackagesNotInstalled(prefix, missing)


def _check_disallowed(session: Session, asked: Iterable[MatchSpec]) -> None:
    rules = [MatchSpec.parse(text) for text in session.config.disallowed_packages]
    for spec in asked:
        for rule in rules:
            if rule.name == spec.name:
                raise PackageDisallowed(str(spec), str(rule))
