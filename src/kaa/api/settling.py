"""Nothing is planned on what an interrupted change left: it is recovered first."""

from __future__ import annotations

import importlib
from pathlib import Path

from kaa.api.session import Session
from kaa.prefix.environments import absolute_location
from kaa.prefix.interruption import is_unsettled


def settle(session: Session, prefix: Path) -> None:
    """Finish or take back what was interrupted in an environment, and tell; called before it is read to be changed.

    A change that is under way is waited for. Where nothing was interrupted this costs a few calls of `stat`.
    """
    prefix = absolute_location(prefix, session.cwd)
    if is_unsettled(prefix):
        # Loaded when there is something to do, which is hardly ever.
        importlib.import_module("kaa.api.recovering").recover_whatever(session, prefix)
