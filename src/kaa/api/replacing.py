"""Replace a whole environment by a new one: at any moment the old one or the new one is there, or the next command sees
to that.

The new environment is made where it is to be, because its files hold that path; the old one lies beside it meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from kaa.api.environments import EnvironmentExists
from kaa.api.execution import execute, fetch_packages
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.errors import KaaError
from kaa.events import Note
from kaa.host.locks import LockHolder, file_lock
from kaa.prefix.environments import absolute_location
from kaa.prefix.interruption import LOCK
from kaa.prefix.prefix import Prefix
from kaa.prefix.state import check_not_frozen
from kaa.transaction.execute import failures
from kaa.transaction.plan import EnvironmentChanged, Transaction
from kaa.transaction.setting_aside import begin_in_place, move_aside, settle_aside


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
    if not Prefix(prefix).is_environment():
        return None
    active = session.environ.get("CONDA_PREFIX")
    kept = [session.config.root_prefix, *([Path(active)] if active else [])]
    # A link would be moved aside, and what it leads to would stay: such an environment is not replaced either.
    if prefix.is_symlink() or prefix.resolve() in [path.resolve() for path in kept]:
        raise EnvironmentExists(prefix)
    if session.config.protect_frozen_envs:
        check_not_frozen(Prefix(prefix))
    return _look_at(prefix)


def plan_anew(prefix: Path, plan: Callable[[Path], Transaction]) -> Transaction:
    """The plan of a new environment at `prefix`, whatever is there: that has no say in what the new one holds."""
    number = 0
    while (place := prefix.with_name(f".{prefix.name}.new{number or ''}")).exists():
        number += 1
    return msgspec.structs.replace(plan(place), prefix=prefix)


def replace_environment(session: Session, transaction: Transaction, replaced: Replaced) -> None:
    """Make the new environment in place of the one that was looked at; raises EnvironmentChanged if it is another now.

    Whatever goes wrong, the old one is back.
    """
    prefix = transaction.prefix

    def tell(holder: LockHolder | None) -> None:
        session.reporter(Note(f"waiting for {prefix}, which {holder or 'another process'} is changing"))

    # Nothing is moved before all that is needed is here.
    fetch_packages(session, transaction.to_link)
    with file_lock(prefix / LOCK, waiting=tell):
        if not Prefix(prefix).is_environment() or _look_at(prefix) != replaced:
            raise EnvironmentChanged(prefix, ["it is not the environment that was to be replaced"])
        session.checkpoint("move aside")
        with failures(prefix):
            move_aside(prefix, "replaced")
        try:
            session.checkpoint("moved aside")
            with failures(prefix):
                begin_in_place(prefix)
            execute(session, transaction)
            session.checkpoint("replaced")
        except BaseException:
            # What cannot be put back now is put back by the next command.
            with contextlib.suppress(KaaError, OSError):
                settle_aside(prefix)
            raise
        settle_aside(prefix, session.reporter)


def _look_at(prefix: Path) -> Replaced:
    environment = Prefix(prefix)
    state = environment.history_file.stat()
    names = tuple(path.name for path in environment.record_files())
    return Replaced(prefix, names, (state.st_ino, state.st_size, state.st_mtime_ns))
