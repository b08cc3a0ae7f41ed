"""Finish or take back a change that was interrupted, from what lies in the environment alone."""

from __future__ import annotations

import contextlib
import importlib
import json
from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.events import Note
from kaa.host.locks import LockHolder, file_lock
from kaa.prefix.environments import absolute_location, register, registry_file
from kaa.prefix.interruption import JOURNAL, LOCK, STAGING, is_relocating
from kaa.prefix.prefix import Prefix, open_prefix
from kaa.transaction.journal import Journal, Outcome, recover


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
    """False when a creation was taken back: there is no environment then."""


def recover_environment(session: Session, prefix: Path) -> Recovery:
    """Finish an interrupted change of an environment, or take it back; raises NotAnEnvironment, RollbackFailed.

    A change that is under way is waited for.
    """
    prefix = absolute_location(prefix, session.cwd)
    moved = recover_relocation(session, prefix)
    if not (prefix / JOURNAL).is_file():
        if moved != "nothing":
            return Recovery(prefix, moved, Prefix(prefix).is_environment())
        open_prefix(prefix)
        if not (prefix / STAGING).is_dir():
            return Recovery(prefix, "nothing")

    def tell(holder: LockHolder | None) -> None:
        session.reporter(Note(f"waiting for {prefix}, which {holder or 'another process'} is changing"))

    try:
        with file_lock(prefix / LOCK, waiting=tell):
            # Whoever held the lock until now may have ended well.
            journal = Journal.read(prefix)
            made = made_directories(prefix) if journal is not None else []
            outcome = recover(prefix)
            if outcome == "nothing":
                return Recovery(prefix, "nothing", Prefix(prefix).is_environment())
            exists = Prefix(prefix).is_environment()
            if not exists:
                clear_away(prefix, made)
    except OSError as error:
        raise RecoveryFailed(prefix, f"{error.filename or prefix}: {error.strerror or error}") from error
    if outcome == "finished" and session.config.register_envs and prefix != session.config.root_prefix:
        # The change was killed before it came to that.
        register(registry_file(session.home), prefix)
    return Recovery(prefix, outcome, exists)


def recover_relocation(session: Session, prefix: Path) -> Outcome:
    """Finish or take back a clone, rename or move, from or to a path, that was interrupted."""
    if not is_relocating(str(prefix)):
        return "nothing"
    try:
        # Loaded when there is one: it brings all along that a copy of an environment needs.
        outcome: Outcome = importlib.import_module("kaa.api.registering").recover_moved(session, prefix)
    except OSError as error:
        raise RecoveryFailed(prefix, f"{error.filename or prefix}: {error.strerror or error}") from error
    return outcome


def made_directories(prefix: Path) -> list[Path]:
    """The directories that the interrupted change had made for the environment, as its journal says.

    Only those that lead to the environment's own directory count, whatever the journal says.
    """
    conda_meta = prefix / "conda-meta"
    with contextlib.suppress(OSError, ValueError), (prefix / JOURNAL).open("rb") as stream:
        match json.loads(stream.readline()):
            case ["made", list(texts)]:
                named = {text for text in texts if isinstance(text, str)}
                return [one for one in (conda_meta, *conda_meta.parents) if str(one) in named]
    # Killed before its first line was written: kaa's own directory is there at the most.
    return [conda_meta]


def clear_away(prefix: Path, made: list[Path]) -> None:
    """Remove the directories of an environment that never came to be, inner ones first, unless something is in them."""
    (prefix / LOCK).unlink(missing_ok=True)
    for directory in made:
        with contextlib.suppress(OSError):
            directory.rmdir()
