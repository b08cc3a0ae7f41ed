"""Lock environments: solve what files ask for, once for every platform, into exact packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from kaa.api.environments import ChangeOptions, plan_create
from kaa.api.pip_sections import PipSection
from kaa.api.replacing import plan_anew
from kaa.api.session import Session
from kaa.envfiles.lock import DEFAULT_ENVIRONMENT, Lock, LockedEnvironment, LockedPlatform
from kaa.envfiles.spec import EnvironmentSpec
from kaa.errors import KaaError
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.redaction import redact
from kaa.transaction.plan import Transaction, dependency_order


class PlatformsNotLocked(KaaError):
    """What is asked for has no solution for some of the platforms; says for each what is in the way."""

    conda_name = "UnsatisfiableError"

    def __init__(self, failed: dict[str, KaaError], solved: Sequence[str]) -> None:
        self.platforms = list(failed)
        self.solved = list(solved)
        self.reasons = {platform: error.message for platform, error in failed.items()}
        blocks = [f"for {platform}: {error.message}" for platform, error in failed.items()]
        if solved:
            blocks.append(f"There is a solution for {', '.join(solved)}.")
        hints = dict.fromkeys(hint for error in failed.values() for hint in error.hints)
        super().__init__("\n".join(blocks), hints=tuple(hints))


class PipNotLocked(KaaError):
    """Packages are wanted that only pip itself can install, of which no lock is made."""

    def __init__(self, requirements: Sequence[str], *, hints: Sequence[str] = ()) -> None:
        self.requirements = [redact(text) for text in requirements]
        more = f" and {len(requirements) - 5} more" if len(requirements) > 5 else ""
        super().__init__(
            f"the lock would not hold what comes from pip: {', '.join(self.requirements[:5])}{more}",
            hints=(
                *hints,
                "take these packages from a channel, where one has them: kaa search NAME",
                "lock the rest: add --without-pip",
            ),
        )


class Asked(msgspec.Struct, frozen=True):
    """What is asked for on one platform, and the channels that it comes from, first one first."""

    spec: EnvironmentSpec
    channels: tuple[str, ...]
    section: Callable[[Session], PipSection] | None = None
    """Reads, with the session for the platform, what sections for pip ask for besides; None where they do not count."""


class Solved(msgspec.Struct, frozen=True):
    """The packages of one platform, each after what it needs, and what is told of them in a lock."""

    records: tuple[RepoDataRecord, ...]
    channels: tuple[str, ...]
    requests: tuple[str, ...]


def lock_environment(
    session: Session,
    asked: Callable[[str], Asked],
    platforms: Sequence[str],
    *,
    options: ChangeOptions = ChangeOptions(),
) -> Lock:
    """A lock of one environment for several platforms, each with its own virtual packages.

    `asked` tells what is wanted on a platform. Raises PlatformsNotLocked, PipNotLocked, and for a single platform what
    solving raises.
    """
    conda: dict[str, tuple[RepoDataRecord, ...]] = {}
    locked, channels, requests, variables = [], dict[str, None](), dict[str, None](), dict[str, str]()
    failed: dict[str, KaaError] = {}
    for platform in platforms:
        wanted = asked(platform)
        try:
            found = _solve(session, wanted, platform, options)
        except PipNotLocked:
            raise
        except KaaError as error:
            if len(platforms) == 1:
                raise
            failed[platform] = error
            continue
        conda[platform] = found.records
        locked.append(platform_of(session, platform))
        channels.update(dict.fromkeys(found.channels))
        requests.update(dict.fromkeys(found.requests))
        variables.update(wanted.spec.variables)
    if failed:
        raise PlatformsNotLocked(failed, [platform.name for platform in locked])
    environment = LockedEnvironment(
        name=DEFAULT_ENVIRONMENT,
        channels=tuple(channels),
        conda=conda,
        requests=tuple(requests),
        variables=variables,
    )
    return Lock(tuple(locked), (environment,))


def _solve(session: Session, wanted: Asked, platform: str, options: ChangeOptions) -> Solved:
    """What is asked for on one platform, with the sections for pip; raises PipNotLocked, and what solving raises."""
    specs = wanted.spec.specs
    with _session_for(session, platform, wanted.channels) as inner:
        section = wanted.section(inner) if wanted.section is not None else PipSection()
        if section.left:
            raise PipNotLocked(section.left, hints=_hints_for(inner))
        transaction = _plan(inner, specs, replace(options, section=section))
        records = dependency_order(transaction.final)
        used = {record.channel for record in records}
        channels = [channel.base_url for channel in inner.channels(wanted.channels)]
        channels += [channel for channel in section.channels if channel in used and channel not in channels]
    # Which lines of a section count may depend on the python that was found.
    of_section = [text for text in transaction.requested_specs.values() if text not in map(str, specs)]
    return Solved(records, tuple(channels), (*map(str, specs), *of_section))


def _hints_for(session: Session) -> tuple[str, ...]:
    """Why sections for pip as a whole are left to pip, if that is so."""
    if session.config.pip_section == "pip":
        return ("have their packages locked: kaa config --remove-key pip_section",)
    return ()


def platform_of(session: Session, subdir: str) -> LockedPlatform:
    """A platform, with the virtual packages that its machines are taken to have."""
    virtual = session.virtual_packages(subdir)
    return LockedPlatform(subdir, subdir, tuple(f"{one.name}={one.version}" for one in virtual))


def solve_anew(
    session: Session,
    specs: Sequence[MatchSpec],
    platform: str,
    channels: Sequence[str],
    options: ChangeOptions = ChangeOptions(),
) -> tuple[RepoDataRecord, ...]:
    """The packages of a new environment of a platform, each after what it needs; raises what solving raises."""
    with _session_for(session, platform, channels) as inner:
        return dependency_order(_plan(inner, specs, options).final)


def _session_for(session: Session, platform: str, channels: Sequence[str]) -> Session:
    config = session.config.with_values(subdir=platform, channels=tuple(channels))
    return Session(config, session.reporter, environ=session.environ, cwd=session.cwd)


def _plan(session: Session, specs: Sequence[MatchSpec], options: ChangeOptions) -> Transaction:
    return plan_anew(session.cwd / "lock", lambda place: plan_create(session, place, specs, options))
