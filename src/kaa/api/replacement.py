"""Replace a whole environment by a new one: at any moment the old one or the new one is there, or the next command sees
to that.

The new environment is made where it is to be, because its files hold that path; the old one lies beside it meanwhile.
"""

from __future__ import annotations

import contextlib

from kaa.api.execution import execute, fetch_packages
from kaa.api.replacing import Replaced, look_at
from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.events import Note, Warned
from kaa.host.locks import LockHolder, file_lock
from kaa.prefix.interruption import LOCK
from kaa.transaction.execute import failures
from kaa.transaction.plan import EnvironmentChanged, Transaction
from kaa.transaction.setting_aside import begin_in_place, check_there, move_aside, settle_aside


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
        check_there(prefix)
        if look_at(prefix) != replaced:
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
        try:
            settle_aside(prefix, session.reporter)
        except OSError as error:
            # The new environment is whole; the next command lets go what is left.
            where = error.filename or prefix
            session.reporter(Warned(f"{where} is left over, until the next command: {error.strerror or error}"))
