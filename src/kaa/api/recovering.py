"""Finish or take back a change that was interrupted, from what lies on the disk alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kaa.api.registering import recover_moved, registrar
from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.events import Note, Warned
from kaa.host.locks import LockHolder, file_lock
from kaa.prefix.environments import absolute_location
from kaa.prefix.interruption import JOURNAL, LOCK, STAGING, is_relocating, is_unsettled
from kaa.prefix.prefix import Prefix, open_prefix
from kaa.transaction.journal import Journal, Outcome, recover
from kaa.transaction.setting_aside import clear_away, place_aside, settle_aside


class RecoveryFailed(KaaError):
    """The operating system refused a step of a recovery; it can be tried again."""

    def __init__(self, prefix: Path, reason: str) -> None:
        self.prefix = str(prefix)
        self.reason = reason
        super().__init__(
            f"the interrupted change of {prefix} is still unfinished: {reason}",
            hints=("look at the path that is named, its disk and its owner, and run `kaa recover` again",),
        )


class Recovery(msgspec.Struct, frozen=True):
    """What was done about an interrupted change."""

    prefix: Path
    outcome: Outcome
    exists: bool = True
    """Whether there is an environment now: not after a creation was taken back, or a removal finished."""

    def __str__(self) -> str:
        if self.outcome == "nothing":
            return f"no change of {self.prefix} was interrupted"
        what = "is finished now" if self.outcome == "finished" else "is taken back"
        state = "" if self.exists else "; there is no environment"
        return f"an interrupted change of {self.prefix} {what}{state}"


def recover_whatever(session: Session, prefix: Path) -> None:
    """Recover a change, a removal, a replacement, a rename or a move that was interrupted, and tell (see `settle`)."""
    recovery = _recover(session, prefix)
    if recovery.outcome != "nothing":
        session.reporter(Warned(f"{recovery}"))


def recover_environment(session: Session, prefix: Path) -> Recovery:
    """Finish an interrupted change of an environment, or take it back; raises NotAnEnvironment, RollbackFailed.

    A change that is under way is waited for.
    """
    prefix = absolute_location(prefix, session.cwd)
    if not is_unsettled(prefix):
        open_prefix(prefix)
        if not (prefix / STAGING).is_dir():
            return Recovery(prefix, "nothing")
    recovery = _recover(session, prefix)
    if recovery.outcome == "nothing" and not recovery.exists:
        open_prefix(prefix)
    return recovery


def _recover(session: Session, prefix: Path) -> Recovery:
    try:
        relocated = recover_moved(session, prefix) if is_relocating(str(prefix)) else "nothing"
        if relocated != "nothing" and not is_unsettled(prefix):
            return Recovery(prefix, relocated, Prefix(prefix).is_environment())
        was_there = Prefix(prefix).is_environment()
        with _locked(session, prefix):
            # Whoever held the lock until now may have ended well.
            journal = Journal.read(prefix)
            made = _made_directories(prefix, journal)
            outcome = recover(prefix)
            aside = settle_aside(prefix, session.reporter)
            exists = Prefix(prefix).is_environment()
            if not exists:
                unborn = _is_unborn(prefix)
                clear_away(prefix, made)
                # Of one that went while its lock was waited for, the file of the lock may be left.
                begun = unborn and not was_there
                outcome = "taken back" if begun and outcome == aside == "nothing" else outcome
    except OSError as error:
        raise RecoveryFailed(prefix, f"{error.filename or prefix}: {error.strerror or error}") from error
    outcome = outcome if aside == "nothing" else aside
    if outcome != "nothing" and prefix != session.config.root_prefix:
        # The change was killed before it came to that.
        registrar(session)(None if exists else prefix, prefix if exists else None)
    return Recovery(prefix, outcome, exists)


@contextlib.contextmanager
def _locked(session: Session, prefix: Path) -> Iterator[None]:
    """Hold the locks of an environment and of what was moved aside for it."""

    def tell(holder: LockHolder | None) -> None:
        session.reporter(Note(f"waiting for {prefix}, which {holder or 'another process'} is changing"))

    def find_places() -> list[Path]:
        # Who replaces or removes an environment keeps the lock that is moved aside with it.
        return [directory for directory in (place_aside(prefix), prefix) if (directory / "conda-meta").is_dir()]

    while True:
        with contextlib.ExitStack() as stack:
            places = find_places()
            for directory in places:
                stack.enter_context(file_lock(directory / LOCK, waiting=tell))
            if set(find_places()) <= set(places):
                yield
                return
        # While the lock was waited for, the environment was moved aside with it, and this one is that of the next one.


def _is_unborn(prefix: Path) -> bool:
    """Whether a directory holds nothing but what the very first moment of a creation leaves."""
    conda_meta = prefix / "conda-meta"
    try:
        if os.path.lexists(conda_meta / "history"):
            return False
        kaa_own = {Path(LOCK).name, Path(STAGING).name, Path(JOURNAL).name}
        names = os.listdir(conda_meta)  # noqa: PTH208
        return all(name.startswith(tuple(kaa_own)) for name in names) and os.listdir(prefix) == ["conda-meta"]  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False


def _made_directories(prefix: Path, journal: Journal | None) -> list[Path]:
    """The directories that the interrupted change had made for the environment, inner ones first.

    Only those that lead to the environment's own directory count, whatever the journal says.
    """
    conda_meta = prefix / "conda-meta"
    if journal is not None and journal.made:
        return [one for one in (conda_meta, *conda_meta.parents) if str(one) in journal.made]
    # Killed before its first line was written whole, a journal says nothing of what was made.
    if _is_unborn(prefix):
        return [conda_meta, prefix]
    return [] if journal is None else [conda_meta]
