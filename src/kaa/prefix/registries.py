"""Where environments of any user of this machine are to be found: registries, and directories of environments.

Every user has a registry, `~/.conda/environments.txt` (CEP 32); users are those of the password database.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from kaa.prefix.environments import registry_file


class User(msgspec.Struct, frozen=True):
    """A user of this machine."""

    name: str
    number: int
    group: int
    home: Path


class Registry(msgspec.Struct, frozen=True):
    """The environments that a user has registered."""

    owner: User | None
    paths: tuple[Path, ...]


def users() -> tuple[User, ...]:
    """The users of the password database, each home once; none where there is no such database (Windows)."""
    if sys.platform == "win32":
        return ()
    import pwd  # noqa: PLC0415 - not there on Windows

    found: dict[str, User] = {}
    for entry in pwd.getpwall():
        if entry.pw_dir.startswith("/"):
            found.setdefault(entry.pw_dir, User(entry.pw_name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir)))
    return tuple(found.values())


def read_registries(known: Iterable[User], own_home: Path) -> tuple[tuple[Registry, ...], tuple[User, ...]]:
    """The registries of users, that of `own_home` first, and the users whose registry may not be read."""
    own = own_home.absolute()
    candidates: list[tuple[User | None, Path]] = [(None, own)]
    candidates += [(user, user.home) for user in known if user.home != own]
    registries, closed = [], []
    for owner, home in candidates:
        try:
            text = registry_file(home).read_text(encoding="utf-8", errors="surrogateescape")
        except PermissionError:
            if owner is not None:
                closed.append(owner)
            continue
        except OSError:
            continue
        lines = (line.strip() for line in text.splitlines())
        paths = tuple(dict.fromkeys(Path(line) for line in lines if line and Path(line).is_absolute()))
        registries.append(Registry(owner, paths))
    return tuple(registries), tuple(closed)


def iter_environments_in(directory: Path) -> Iterator[Path]:
    """The environments right below a directory, as far as it may be read."""
    with contextlib.suppress(OSError):
        for child in sorted(directory.iterdir()):
            with contextlib.suppress(OSError):
                # One that may not be looked into is one for all that is known.
                if child.is_dir() and (not os.access(child, os.X_OK) or (child / "conda-meta").is_dir()):
                    yield child


def may_read(user: User, directory: Path) -> bool:
    """Whether a user may get to a directory and read it, as far as modes tell; in doubt they may."""
    if user.number == 0 or sys.platform == "win32":
        return True
    try:
        groups = set(os.getgrouplist(user.name, user.group))
        real = Path(os.path.realpath(directory))
        return all(_grants(user.number, groups, path) for path in (real, *real.parents))
    except OSError:
        return True


def _grants(number: int, groups: set[int], path: Path) -> bool:
    found = path.stat()
    if found.st_uid == number:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid in groups:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH) or _has_access_list(path)


def _has_access_list(path: Path) -> bool:
    try:
        return "system.posix_acl_access" in os.listxattr(path)
    except (AttributeError, OSError):
        return False
