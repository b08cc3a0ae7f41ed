"""What an interrupted change left: nothing is planned on it, and whoever only reads it is told."""

from __future__ import annotations

import importlib
from pathlib import Path

from kaa.api.session import Session
from kaa.events import Warned
from kaa.prefix.environments import absolute_location
from kaa.prefix.interruption import interruption, is_unsettled


def settle(session: Session, prefix: Path) -> None:
    """Finish or take back what was interrupted in an environment, and tell; called before it is read to be changed.

    A change that is under way is waited for. Where nothing was interrupted this costs a few calls of `stat`.
    """
    prefix = absolute_location(prefix, session.cwd)
    if is_unsettled(prefix):
        # Loaded when there is something to do, which is hardly ever.
        importlib.import_module("kaa.api.recovering").recover_whatever(session, prefix)


def warn_of_interruption(session: Session, prefix: Path) -> None:
    """Say so when a change of an environment that is only read is under way, or was interrupted."""
    if word := interruption(prefix):
        session.reporter(Warned(word))
