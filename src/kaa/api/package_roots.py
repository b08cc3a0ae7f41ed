"""What keeps packages in the cache: all environments that can be found, whosever they are, and those that cannot.

Environments are found by the registries of all users, in directories of environments, and by the root files of the
cache. One that is there speaks for itself; for one that is away its root file speaks; and of one that is away without a
root file nobody knows what it needs.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.config.condarc import read_condarc
from kaa.config.sources import files_of
from kaa.errors import KaaError
from kaa.package_cache.holds import host_name
from kaa.package_cache.needs import Needs, UnknownEnvironment
from kaa.package_cache.roots import Root, read_roots
from kaa.prefix.environments import absolute_location
from kaa.prefix.generations import BrokenGeneration
from kaa.prefix.package_needs import iter_package_needs
from kaa.prefix.presence import Presence, find_presence
from kaa.prefix.registries import Registry, User, iter_environments_in, may_read, read_registries, users

KINDS = ("envs", "temporary", "tools")
"""The directories of a root prefix that hold environments."""


class StillThere(KaaError):
    """An environment was named as gone that is there."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        super().__init__(
            f"{path} is there, so what it needs stays in the package cache",
            hints=("remove the environment first if it is no longer wanted",),
        )


class Found(msgspec.Struct):
    """What keeps packages, and what was learnt on the way."""

    needs: Needs
    gone: list[tuple[Path, str]] = []
    """(environment, host) of root files whose environments were deleted or named as gone"""
    closed: tuple[str, ...] = ()
    """Users whose registry may not be read"""
    unnoted: dict[Path, frozenset[tuple[str, str]]] = {}
    """What environments that were read need, where their root files do not say so"""


def find_roots(session: Session, *, forget: Sequence[Path] = (), everyone: Sequence[User] | None = None) -> Found:
    """Everything that needs packages; environments in `forget` are taken as gone. Raises StillThere.

    `everyone` are the users whose environments are looked for beside those of the session's own.
    """
    forgotten = {absolute_location(path, session.cwd) for path in forget}
    for path in sorted(forgotten):
        if find_presence(path).state == "here":
            raise StillThere(path)
    if everyone is None:
        everyone = users() if session.config.clean_for_all_users else ()
    registries, closed = read_registries(everyone, session.home)
    found = Found(Needs(), [], tuple(user.name for user in closed))
    roots = _roots_by_prefix(session.package_cache.directories)
    known = _known_environments(session, everyone, registries, roots)
    for path, owners in known.items():
        one = _Environment(path, owners, roots.get(path, ()))
        if path in forgotten:
            found.gone += [(path, root.host) for root in one.roots]
        else:
            one.add_to(found, session.package_cache.directories)
    return found


class _Environment(msgspec.Struct):
    """One place where an environment is said to be, by whom, and what root files say of it."""

    path: Path
    owners: list[User]
    """Those who registered it; empty when the user of this session did, or nobody"""
    roots: Sequence[Root]

    def add_to(self, found: Found, directories: Iterable[Path]) -> None:
        here = [root for root in self.roots if root.host == host_name()]
        mount = next((root.mount for root in here), None)
        presence = find_presence(self.path, mount)
        is_read = presence.state == "here" and self._add_own(found)
        inode = _inode(self.path) if presence.state == "here" else None
        is_told = False
        for root in self.roots:
            is_here = root.host == host_name()
            if (is_here and presence.state == "gone") or (is_here and inode and root.inode != inode):
                # Deleted, or another environment has taken its place. While others list it, the file tells that.
                if not self.owners or presence.state == "here":
                    found.gone.append((self.path, root.host))
            elif not (is_read and root.inode == inode):
                self._add_root(found.needs, root, presence, is_here=is_here)
                is_told = True
        if presence.state != "gone" and not is_read and not is_told:
            reason = presence.reason or "what it needs cannot be read"
            found.needs.unknown.append(UnknownEnvironment(str(self.path), reason, self._closed(directories)))

    def _add_own(self, found: Found) -> bool:
        """Add what the environment says itself; False when it cannot say all."""
        told: set[tuple[str, str]] = set()
        try:
            for need in iter_package_needs(self.path):
                told.add((need.dist, need.digest))
                which = "in use by" if need.generation is None else f"generation {need.generation} of"
                reason = f"{which} {self.path}"
                found.needs.add(reason, dist=need.dist, digest=need.digest)
                for directory in need.directories:
                    found.needs.add(reason, directory=directory)
        except (OSError, BrokenGeneration):
            return False
        noted = {need for root in self.roots if root.host == host_name() for need in root.packages}
        if noted != told:
            found.unnoted[self.path] = frozenset(told)
        return True

    def _add_root(self, needs: Needs, root: Root, presence: Presence, *, is_here: bool) -> None:
        why = presence.reason or "not all of it can be read"
        reason = f"needed by {self.path}, of which nobody knows now ({why if is_here else f'it is on {root.host}'})"
        for dist, digest in root.packages:
            needs.add(reason, dist=dist, digest=digest)

    def _closed(self, directories: Iterable[Path]) -> frozenset[str]:
        """The cache directories that none of those who registered the environment can read."""
        if not self.owners:
            return frozenset()
        return frozenset(
            os.fspath(path) for path in directories if not any(may_read(owner, path) for owner in self.owners)
        )


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _roots_by_prefix(directories: Iterable[Path]) -> dict[Path, tuple[Root, ...]]:
    """The root files of all cache directories; the same one in two directories counts with what both say."""
    found: dict[Path, tuple[Root, ...]] = {}
    for directory in directories:
        for root in read_roots(directory):
            path = Path(root.prefix)
            found[path] = (*found.get(path, ()), root)
    return found


def _known_environments(
    session: Session, everyone: Sequence[User], registries: Sequence[Registry], roots: Iterable[Path]
) -> dict[Path, list[User]]:
    """Every place where an environment is or was, and the users who registered it when they alone did."""
    found: dict[Path, list[User]] = {}
    unowned: set[Path] = set()
    for registry in registries:
        for path in registry.paths:
            place = absolute_location(path, session.cwd)
            if registry.owner is None:
                unowned.add(place)
            else:
                found.setdefault(place, []).append(registry.owner)
    for directory, owner in _environment_directories(session, everyone):
        for path in iter_environments_in(directory):
            if owner is None:
                unowned.add(path)
            elif owner not in found.setdefault(path, []):
                found[path].append(owner)
    # A cache belongs to a root prefix, which is an environment itself.
    bases = [session.config.root_prefix, *(path.parent for path in session.package_cache.directories)]
    unowned.update(path for path in bases if find_presence(path).state in ("here", "unreadable"))
    unowned.update(path for path in roots if path not in found)
    return dict(sorted((found | {path: [] for path in unowned}).items()))


def _environment_directories(session: Session, everyone: Sequence[User]) -> Iterator[tuple[Path, User | None]]:
    """Directories of environments: this user's, those beside caches, and those of all users, with whose they are."""
    seen: set[Path] = set()
    roots = dict.fromkeys([session.config.root_prefix, *(path.parent for path in session.package_cache.directories)])
    own = [*session.environments.directories, *(root / name for root in roots for name in KINDS)]
    for path in own:
        if path not in seen:
            seen.add(path)
            yield path, None
    for user in everyone:
        own_kaa = [user.home / "kaa" / name for name in KINDS]
        for path in (user.home / ".conda" / "envs", *own_kaa, *_configured(user.home)):
            if path not in seen:
                seen.add(path)
                yield path, user


def _configured(home: Path) -> Iterator[Path]:
    """What a user's configuration files name as directories of environments, as far as they may be read."""
    seen: set[Path] = set()
    files = [file for place in (home, home / ".conda", home / ".config" / "conda") for file in files_of(place, seen)]
    for file in (*files, home / ".config" / "kaa" / "config.yaml"):
        with contextlib.suppress(OSError, KaaError):
            entries = read_condarc(file)
            for key in ("envs_dirs", "envs_path"):
                value = entries[key].value if key in entries else ()
                for text in value if isinstance(value, list | tuple) else ():
                    path = Path(f"{home}{text[1:]}" if str(text).startswith("~/") else str(text))
                    if path.is_absolute() and "$" not in str(path):
                        yield path
