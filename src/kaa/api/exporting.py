"""Environments as files from which they can be made again: environment files, lists, and locks."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from kaa.api.environments import subdir_of
from kaa.api.listing import EnvironmentContent
from kaa.api.locking import PipNotLocked, PlatformsNotLocked, platform_of, solve_anew
from kaa.api.session import Session
from kaa.envfiles.lock import Lock, LockedDistribution, LockedEnvironment
from kaa.envfiles.spec import EnvironmentSpec
from kaa.errors import KaaError
from kaa.models.artifact import is_python_distribution
from kaa.models.channel import PYPI, PYPI_SCHEME
from kaa.models.match_spec import MatchSpec
from kaa.models.match_spec_syntax import name_of
from kaa.models.record import RepoDataRecord
from kaa.prefix.distribution_metadata import needed_names, origin_of, was_requested
from kaa.prefix.history import requested_specs
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import PythonDistribution
from kaa.prefix.state import UNSET, read_variables
from kaa.pypi.interpreters.addresses import is_interpreter
from kaa.transaction.plan import dependency_order


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """How an environment is to be exported."""

    from_history: bool = False
    """Only what was asked for, as it was asked for"""
    builds: bool = True
    pip: bool = True
    channels: tuple[str, ...] = ()
    """Before those that the packages came from"""
    only_these_channels: bool = False
    no_channels: bool = False
    platforms: tuple[str, ...] = ()
    """For which it is to serve; empty: for its own"""


class PlatformsBlocked(PlatformsNotLocked):
    """An export was to serve platforms for which it has no solution."""

    def __init__(self, failed: dict[str, KaaError], solved: Sequence[str], *, from_history: bool) -> None:
        super().__init__(failed, solved)
        self.blocking = {platform: list(getattr(error, "packages", ())) for platform, error in failed.items()}
        if not from_history:
            self.hints = ("export only what was asked for: --from-history", *self.hints)


def exported_spec(session: Session, content: EnvironmentContent, wanted: Wanted) -> EnvironmentSpec:
    """An environment as an environment file would describe it."""
    prefix = Prefix(content.prefix)
    packages = [record for record in content.records if not is_python_distribution(record.fn)]
    wheels = [record for record in content.records if is_python_distribution(record.fn)]
    lines: list[str] = []
    if wanted.from_history:
        asked = requested_specs(prefix, content.records)
        names = {record.name for record in wheels}
        specs = tuple(MatchSpec.parse(text) for name, text in asked.items() if name not in names)
        if wheels and wanted.pip:
            to_line = _exporting_wheels().asked_requirement
            lines = [to_line(session, record, asked[record.name]) for record in wheels if record.name in asked]
    else:
        specs = tuple(_exact_spec(record, wanted) for record in packages)
        if wheels and wanted.pip:
            lines = [_exporting_wheels().pip_requirement(session, record) for record in wheels]
    return EnvironmentSpec(
        name=session.environments.name_of(content.prefix),
        prefix=str(content.prefix),
        channels=() if wanted.no_channels else exported_channels(session, content, wanted),
        specs=specs,
        pip=(*sorted(lines), *(f"{found.name}=={found.version}" for found in _distributions(content, wanted))),
        variables=variables_of(prefix),
        platforms=wanted.platforms,
    )


def _exact_spec(record: RepoDataRecord, wanted: Wanted) -> MatchSpec:
    # The package of an interpreter is made anew elsewhere, and has another build there.
    build = f"={record.build}" if wanted.builds and not is_interpreter(record) else ""
    return MatchSpec.parse(f"{record.name}={record.version}{build}")


def _exporting_wheels() -> Any:
    """What knows of indexes of Python packages is loaded where there is something of theirs."""
    return importlib.import_module("kaa.api.exporting_wheels")


def listed_specs(session: Session, content: EnvironmentContent, spec: EnvironmentSpec) -> tuple[MatchSpec, ...]:
    """The specs of an exported environment as a list for kaa has them: what is of PyPI says so."""
    if not spec.pip:
        return spec.specs
    projects = _exporting_wheels().index_specs(session, content.records, spec.pip)
    return (*spec.specs, *projects)


def variables_of(prefix: Prefix) -> dict[str, str]:
    """The variables that an environment sets."""
    return {name: value for name, value in read_variables(prefix).items() if value != UNSET}


def _distributions(content: EnvironmentContent, wanted: Wanted) -> Sequence[PythonDistribution]:
    """What pip installed; of the history, what it was asked for, as far as pip noted that."""
    if not wanted.pip:
        return ()
    prefix = Prefix(content.prefix)
    asked = [found for found in content.pip if was_requested(prefix, found)] if wanted.from_history else []
    return asked or content.pip


def exported_channels(session: Session, content: EnvironmentContent, wanted: Wanted) -> tuple[str, ...]:
    """The channels that the packages came from: the configured ones in their order, then the others.

    The index that `pypi` stands for is not among them where only lines of the pip section are from there.
    """
    if wanted.only_these_channels:
        return wanted.channels
    resolver = session.channel_config

    def name(record: RepoDataRecord) -> str:
        url = record.channel
        return resolver.resolve(url, str(session.cwd))[0].name if "://" in url else url

    used: dict[str, None] = {}
    for record in content.records:
        is_wheel = is_python_distribution(record.fn)
        if record.channel and (not is_wheel or (record.channel.startswith(PYPI_SCHEME) and name(record) != PYPI)):
            used[name(record)] = None
    configured = [channel.name for channel in session.channels()] if session.config.channels else []
    in_order = [one for one in configured if one in used or not used]
    return tuple(dict.fromkeys([*wanted.channels, *in_order, *used]))


def solving_channels(session: Session, content: EnvironmentContent, wanted: Wanted) -> tuple[str, ...]:
    """The channels of an environment, the indexes of its wheels among them."""
    names = exported_channels(session, content, wanted)
    indexes = [record.channel for record in content.records if record.channel.startswith(PYPI_SCHEME)]
    if wanted.only_these_channels or not indexes:
        return names
    known = {channel.base_url for channel in session.channels(names)} if names else set()
    return tuple(dict.fromkeys([*names, *(one for one in indexes if one not in known)]))


def check_platforms(session: Session, content: EnvironmentContent, spec: EnvironmentSpec, wanted: Wanted) -> None:
    """Raise PlatformsBlocked unless what is exported has a solution on each of the platforms."""
    channels = solving_channels(session, content, wanted)
    specs = listed_specs(session, content, spec)
    solve_each(session, specs, wanted.platforms, channels, from_history=wanted.from_history)


def solve_each(
    session: Session,
    specs: Sequence[MatchSpec],
    platforms: Iterable[str],
    channels: Sequence[str],
    *,
    from_history: bool,
) -> dict[str, tuple[RepoDataRecord, ...]]:
    """The packages for each platform; raises PlatformsBlocked, which says for each what is in the way."""
    solved: dict[str, tuple[RepoDataRecord, ...]] = {}
    failed: dict[str, KaaError] = {}
    for platform in platforms:
        try:
            solved[platform] = solve_anew(session, specs, platform, channels)
        except KaaError as error:
            failed[platform] = error
    if failed:
        raise PlatformsBlocked(failed, list(solved), from_history=from_history)
    return solved


def records_by_platform(
    session: Session, content: EnvironmentContent, wanted: Wanted
) -> dict[str, tuple[RepoDataRecord, ...]]:
    """What is installed, on its own platform; on others what asking for the same gives there."""
    own = subdir_of(session, content.records)
    platforms = wanted.platforms or (own,)
    others = [platform for platform in platforms if platform != own]
    specs = [MatchSpec.parse(text) for text in asked_for(content)]
    solved = solve_each(session, specs, others, solving_channels(session, content, wanted), from_history=True)
    installed = tuple(map(_as_channel_has_it, dependency_order(content.records)))
    return {platform: installed if platform == own else solved[platform] for platform in platforms}


def asked_for(content: EnvironmentContent) -> list[str]:
    """The specs that users asked for; if none is known, the packages that no other one needs."""
    known = requested_specs(Prefix(content.prefix), content.records)
    if known:
        return list(known.values())
    needed = {name_of(text) for record in content.records for text in record.depends}
    return sorted(record.name for record in content.records if record.name not in needed)


def _as_channel_has_it(record: RepoDataRecord) -> RepoDataRecord:
    """An installed package's record without what only the environment knows."""
    return RepoDataRecord(**{name: getattr(record, name) for name in RepoDataRecord.__struct_fields__})


def exported_lock(session: Session, content: EnvironmentContent, wanted: Wanted) -> Lock:
    """An environment as a lock; raises PlatformsBlocked, PipNotLocked."""
    conda = records_by_platform(session, content, wanted)
    own = subdir_of(session, content.records)
    distributions = locked_distributions(content) if wanted.pip else ()
    channels = session.channels(solving_channels(session, content, wanted))
    environment = LockedEnvironment(
        channels=tuple(channel.base_url for channel in channels),
        conda=conda,
        pypi={own: distributions} if distributions and own in conda else {},
        requests=tuple(asked_for(content)),
        variables=variables_of(Prefix(content.prefix)),
    )
    return Lock(tuple(platform_of(session, platform) for platform in conda), (environment,))


def locked_distributions(content: EnvironmentContent) -> tuple[LockedDistribution, ...]:
    """What pip installed from addresses with hashes; raises PipNotLocked if there is anything else."""
    prefix = Prefix(content.prefix)
    found: list[LockedDistribution] = []
    unknown: list[str] = []
    for one in content.pip:
        origin = origin_of(prefix, one)
        if origin is None or origin.sha256 is None:
            unknown.append(f"{one.name}=={one.version}")
        else:
            found.append(
                LockedDistribution(
                    name=one.name,
                    version=one.version,
                    url=origin.url,
                    sha256=origin.sha256,
                    requires_dist=tuple(sorted(needed_names(prefix, one))),
                )
            )
    if unknown:
        raise PipNotLocked(unknown)
    return tuple(found)
