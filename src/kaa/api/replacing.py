"""Which environment a new one would replace, and the plan of the new one; `replacement` does it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from kaa.api.environments import EnvironmentExists
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.prefix.environments import absolute_location
from kaa.prefix.prefix import Prefix
from kaa.prefix.state import check_not_frozen
from kaa.transaction.plan import Transaction


class Replaced(msgspec.Struct, frozen=True):
    """An environment that is to be replaced, as it was when that was asked for."""

    prefix: Path
    packages: tuple[str, ...]
    """The files of their records"""
    history: tuple[int, int, int]
    """Inode, size and time of its history."""


def find_replaced(session: Session, prefix: Path) -> Replaced | None:
    """The environment that a new one at `prefix` would replace; None where there is none.

    Raises EnvironmentExists for the base, the active one, and one behind a link: these are not replaced. Raises
    EnvironmentFrozen.
    """
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    active = session.environ.get("CONDA_PREFIX")
    kept = [session.config.root_prefix, *([Path(active)] if active else [])]
    while Prefix(prefix).is_environment():
        # A link would be moved aside, and what it leads to would stay: such an environment is not replaced either.
        if prefix.is_symlink() or prefix.resolve() in [path.resolve() for path in kept]:
            raise EnvironmentExists(prefix)
        if session.config.protect_frozen_envs:
            check_not_frozen(Prefix(prefix))
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return look_at(prefix)
        # It went at this very moment: to make place for another one, or for good.
        settle(session, prefix)
    return None


def plan_anew(prefix: Path, plan: Callable[[Path], Transaction]) -> Transaction:
    """The plan of a new environment at `prefix`, whatever is there: that has no say in what the new one holds."""
    number = 0
    while (place := prefix.with_name(f".{prefix.name}.new{number or ''}")).exists():
        number += 1
    return msgspec.structs.replace(plan(place), prefix=prefix)


def look_at(prefix: Path) -> Replaced:
    """What tells an environment from another one at the same place, and from itself after a change."""
    environment = Prefix(prefix)
    state = environment.history_file.stat()
    names = tuple(path.name for path in environment.record_files())
    return Replaced(prefix, names, (state.st_ino, state.st_size, state.st_mtime_ns))
