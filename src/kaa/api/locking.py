"""Lock environments: solve what files ask for, once for every platform, into exact packages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from kaa.api.environments import ChangeOptions, plan_create
from kaa.api.replacing import plan_anew
from kaa.api.session import Session
from kaa.envfiles.lock import DEFAULT_ENVIRONMENT, Lock, LockedEnvironment, LockedPlatform
from kaa.envfiles.spec import EnvironmentSpec
from kaa.errors import KaaError
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.transaction.plan import dependency_order


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
    """Packages from PyPI are wanted, of which no lock is made."""

    def __init__(self, requirements: Sequence[str]) -> None:
        self.requirements = list(requirements)
        more = f" and {len(requirements) - 5} more" if len(requirements) > 5 else ""
        super().__init__(
            f"the lock would not hold what comes from pip: {', '.join(requirements[:5])}{more}",
            hints=(
                "take these packages from a channel, where one has them: kaa search NAME",
                "lock the rest: add --without-pip",
            ),
        )


class Asked(msgspec.Struct, frozen=True):
    """What is asked for on one platform, and the channels that it comes from, first one first."""

    spec: EnvironmentSpec
    channels: tuple[str, ...]


def lock_environment(
    session: Session,
    asked: Callable[[str], Asked],
    platforms: Sequence[str],
    *,
    options: ChangeOptions = ChangeOptions(),
    without_pip: bool = False,
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
        if wanted.spec.pip and not without_pip:
            raise PipNotLocked(wanted.spec.pip)
        try:
            conda[platform] = solve_anew(session, wanted.spec.specs, platform, wanted.channels, options)
        except KaaError as error:
            if len(platforms) == 1:
                raise
            failed[platform] = error
            continue
        locked.append(platform_of(session, platform))
        channels.update((channel.base_url, None) for channel in session.channels(wanted.channels))
        requests.update((str(spec), None) for spec in wanted.spec.specs)
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
    config = session.config.with_values(subdir=platform, channels=tuple(channels))
    with Session(config, session.reporter, environ=session.environ, cwd=session.cwd) as inner:
        transaction = plan_anew(inner.cwd / "lock", lambda place: plan_create(inner, place, specs, options))
    return dependency_order(transaction.final)
