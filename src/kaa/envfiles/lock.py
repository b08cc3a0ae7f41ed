"""What a lock file says, whatever its format: the exact packages of environments, for several platforms.

A locked package is a `RepoDataRecord`. Its identity is name, version, build and hash; its address is a hint, which a
reader may replace by a mirror, a local folder or the package cache. Some formats keep only part of a record.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kaa.envfiles.spec import is_yaml
from kaa.errors import KaaError
from kaa.models.record import RepoDataRecord

DEFAULT_ENVIRONMENT = "default"
LOCK_NAMES = ("kaa.lock", "conda-lock.yml", "conda-lock.yaml", "pixi.lock")
"""What locks are mostly called."""


class InvalidLock(KaaError, ValueError):
    """A lock file cannot be understood; says the file, where in it, and what is wrong."""

    conda_name = "CondaValueError"

    def __init__(self, filename: str, where: str, reason: str, *, hints: tuple[str, ...] = ()) -> None:
        self.filename = filename
        self.where = where
        self.reason = reason
        place = ": ".join(part for part in (filename, where) if part)
        super().__init__(
            f"{place}: {reason}" if place else reason, hints=hints or ("write the lock anew with `kaa lock`",)
        )


def is_lock_name(filename: str) -> bool:
    """Whether a file is a lock, going by its name or address."""
    return filename.partition("?")[0].endswith((".lock", "conda-lock.yml", "conda-lock.yaml"))


def is_description(filename: str) -> bool:
    """Whether a file may say more than a list does, going by its name: an environment file, or a lock."""
    return is_yaml(filename) or is_lock_name(filename)


class LockedPlatform(msgspec.Struct, frozen=True):
    """A platform that was locked for: its name, and what was taken for granted of such machines."""

    name: str
    subdir: str
    virtual_packages: tuple[str, ...] = ()
    """`__glibc=2.28` and the like; empty when the lock does not say."""


class LockedDistribution(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution from PyPI, or from an address of its own."""

    name: str
    version: str
    url: str
    sha256: str | None = None
    requires_dist: tuple[str, ...] = ()
    requires_python: str | None = None


class LockedEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """One environment: its channels, and by platform name its packages, in an order in which they can be linked."""

    name: str = DEFAULT_ENVIRONMENT
    channels: tuple[str, ...] = ()
    """Base addresses, or names"""
    conda: Mapping[str, tuple[RepoDataRecord, ...]] = msgspec.field(default_factory=dict)
    pypi: Mapping[str, tuple[LockedDistribution, ...]] = msgspec.field(default_factory=dict)
    indexes: tuple[str, ...] = ()
    """Where distributions come from, when it is not the public index"""
    requests: tuple[str, ...] = ()
    """The specs that were asked for; only kaa's own format keeps them."""
    variables: Mapping[str, str] = msgspec.field(default_factory=dict)


class Lock(msgspec.Struct, frozen=True):
    """A whole lock file."""

    platforms: tuple[LockedPlatform, ...]
    environments: tuple[LockedEnvironment, ...]

    def environment(self, name: str) -> LockedEnvironment | None:
        """The environment of that name, if the lock has one."""
        return next((one for one in self.environments if one.name == name), None)
