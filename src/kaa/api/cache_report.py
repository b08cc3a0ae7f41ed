"""How the package cache stands: which directory is used and which is filled, whose they are, and how files come out."""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
import sys
from itertools import islice
from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.host.files import LinkMethod, is_writable, probe_link_method
from kaa.host.mounts import file_system_of
from kaa.package_cache.cache import PackageCache
from kaa.package_cache.extracted_package import RECORD_FILE

MOST = 2000
"""So many files of a directory are looked at for one of another user."""


class EnvironmentLink(msgspec.Struct, frozen=True):
    """How files of a cache directory come into the environments of a directory."""

    directory: str
    method: str
    """`reflink`, `hard link` or `copy`."""
    reason: str
    """Why it is a copy; empty otherwise."""


class CacheDirectory(msgspec.Struct, frozen=True):
    """One directory of the package cache."""

    path: str
    exists: bool
    owner: str
    """Names where they are known, else numbers; of a directory that is not there, empty."""
    group: str
    mode: str
    """As `ls` shows it."""
    writable: bool
    """Whether this user can put something there; of one that is not there, whether it could be made."""
    untrusted: str
    """Why it is neither used nor filled; empty when it is."""
    filled: bool
    """Whether new packages go there."""
    file_system: str
    """Its type, where the system tells."""
    links: tuple[EnvironmentLink, ...]

    @property
    def use(self) -> str:
        """In words, what the directory is used for."""
        if self.untrusted:
            return f"not used: {self.untrusted}"
        if self.filled:
            return "new packages go here"
        if not self.exists:
            return "not there"
        return "used" if self.writable else "used, read only"


class CacheReport(msgspec.Struct, frozen=True):
    """The directories in the order in which they are searched."""

    directories: tuple[CacheDirectory, ...]
    verified: bool
    """Whether packages are compared with their archives before they are used (`verify_cache`)."""

    @property
    def filled(self) -> CacheDirectory | None:
        """The directory that new packages go to; None when nothing can be stored."""
        return next((one for one in self.directories if one.filled), None)


def cache_report(session: Session) -> CacheReport:
    """Look at every directory of the cache; links are tried with a file into each directory of environments.

    Nothing is made but the files of these trials, which are gone afterwards.
    """
    cache = session.package_cache
    environments = [path for path in session.environments.directories if path.is_dir() and is_writable(path)]
    # It is not made here, as `PackageCache.writable_directory` would do.
    filled = next((path for path in cache.sources if is_writable(path)), None)
    return CacheReport(
        directories=tuple(_look_at(path, cache, environments, filled=path == filled) for path in cache.directories),
        verified=cache.verified,
    )


def _look_at(path: Path, cache: PackageCache, environments: list[Path], *, filled: bool) -> CacheDirectory:
    try:
        state = path.stat()
    except OSError:
        state = None
    return CacheDirectory(
        path=str(path),
        exists=state is not None,
        owner="" if state is None else _name("pwd", "getpwuid", state.st_uid),
        group="" if state is None else _name("grp", "getgrgid", state.st_gid),
        mode="" if state is None else stat.filemode(state.st_mode),
        writable=is_writable(path),
        untrusted=cache.untrusted.get(path, ""),
        filled=filled,
        file_system=file_system_of(path),
        links=tuple(link for directory in environments if (link := _try_link(path, directory)) is not None),
    )


def _try_link(cache: Path, environments: Path) -> EnvironmentLink | None:
    """How files come from the one into the other; None where there is nothing to try with."""
    origin = _package_file(cache)
    if origin is None and not (cache.is_dir() and os.access(cache, os.W_OK | os.X_OK)):
        return None
    try:
        method, reason = probe_link_method(origin or cache, environments)
    except OSError as error:
        return EnvironmentLink(str(environments), LinkMethod.COPY.value, error.strerror or str(error))
    return EnvironmentLink(str(environments), method.value, reason)


def _package_file(cache: Path) -> Path | None:
    """A file of a package, of another user if there is one: those are the ones that may not be linked."""
    found = None
    with contextlib.suppress(OSError):
        for path in islice(cache.iterdir(), MOST):
            file = path / RECORD_FILE
            with contextlib.suppress(OSError):
                owner = file.stat().st_uid
                found = file
                if sys.platform == "win32" or owner != os.geteuid():
                    break
    return found


def _name(module: str, function: str, number: int) -> str:
    with contextlib.suppress(ImportError, KeyError):
        return str(getattr(importlib.import_module(module), function)(number)[0])
    return str(number)
