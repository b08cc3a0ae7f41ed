"""Keeping lists right when an environment comes to a path, or leaves it: the registry, and what packages are needed."""

from __future__ import annotations

from pathlib import Path

from kaa.api.remembering import forget_environment, remember_environment
from kaa.api.session import Session
from kaa.prefix.environments import register, registry_file
from kaa.transaction.journal import Outcome
from kaa.transaction.relocation_recovery import Registrar, recover_relocation


def registrar(session: Session) -> Registrar:
    """What is told of the path that is no environment any more, and of the one that is."""
    registry = registry_file(session.home)

    def change(old: Path | None, new: Path | None) -> None:
        if old is not None:
            forget_environment(session, old)
        if new is not None and session.config.register_envs:
            register(registry, new)
        if new is not None:
            remember_environment(session, new)

    return change


def recover_moved(session: Session, prefix: Path) -> Outcome:
    """Finish or take back a clone, rename or move that was interrupted, from or to a path."""
    return recover_relocation(prefix, session.reporter, registrar(session))
