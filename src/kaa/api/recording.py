"""Changes of an environment beside those of packages, each recorded as a generation: variables, what pip brought."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.events import Note
from kaa.host.files import current_umask
from kaa.host.locks import LockHolder, file_lock
from kaa.prefix.generations import FOUND, BrokenGeneration, generation_numbers, read_outline
from kaa.prefix.interruption import LOCK, STAGING
from kaa.prefix.prefix import Prefix
from kaa.prefix.state import check_not_frozen, read_variables, state_content
from kaa.transaction.journal import Journal, recover
from kaa.transaction.recording import GenerationRecorder
from kaa.transaction.setting_aside import check_there

STATE = "conda-meta/state"


def latest_number(prefix: Path) -> int:
    """The number of the latest generation, 0 where there is none: what `since` takes in the other functions."""
    return max(generation_numbers(prefix), default=0)


def change_variables(
    session: Session,
    prefix: Path,
    change: Callable[[dict[str, str]], Mapping[str, str]],
    *,
    command: str = "",
    since: int | None = None,
) -> None:
    """Replace the variables of an environment by what `change` makes of them; what it raises leaves them as they are.

    With `since`, taking this back takes back all that came after that generation.
    """
    environment = Prefix(prefix)
    if session.config.protect_frozen_envs:
        check_not_frozen(environment)
    with _recorder(session, prefix, command) as (journal, recorder):
        records = environment.records()
        recorder.before(records)
        content = state_content(environment, change(read_variables(environment)))
        recorder.announce()
        if content is None:
            journal.set_aside([STATE])
        else:
            (journal.staging / "new" / "state").write_bytes(content)
            (journal.staging / "new" / "state").chmod(_mode(environment.conda_meta / "state"))
            journal.replace(journal.will_replace([STATE]), lambda path: f"{STAGING}/new/state")
        recorder.after(records, cause="variables", parent=_parent(prefix, since))


def note_found(session: Session, prefix: Path) -> None:
    """Record what an environment is, if that is not what its latest generation says."""
    with _recorder(session, prefix, "") as (_, recorder):
        recorder.before(Prefix(prefix).records())


def note_pip(session: Session, prefix: Path, *, command: str = "", since: int | None = None) -> None:
    """Record what an environment is, now that pip has changed it on request; `since` as in `change_variables`."""
    with _recorder(session, prefix, command) as (_, recorder):
        recorder.begin()
        recorder.after(Prefix(prefix).records(), cause="pip", parent=_parent(prefix, since))


@contextlib.contextmanager
def _recorder(session: Session, prefix: Path, command: str) -> Iterator[tuple[Journal, GenerationRecorder]]:
    """A change of an environment under its lock, undone if anything is raised."""

    def tell(holder: LockHolder | None) -> None:
        session.reporter(Note(f"waiting for {prefix}, which {holder or 'another process'} is changing"))

    settle(session, prefix)
    with file_lock(prefix / LOCK, waiting=tell):
        recover(prefix)
        check_there(prefix)
        journal = Journal(prefix, session.checkpoint)
        session.checkpoint("begin")
        try:
            journal.begin()
            yield journal, GenerationRecorder(prefix, journal, command)
            session.checkpoint("commit")
            journal.declare_complete()
        except BaseException:
            if journal.committed:
                journal.clean_up()
            else:
                journal.roll_back()
            raise
        journal.clean_up()


def _parent(prefix: Path, since: int | None) -> int | None:
    """The generation that taking back everything after `since` leads to; 0 for none, None for the latest one."""
    if since is None:
        return None
    for number in generation_numbers(prefix):
        if number > since:
            with contextlib.suppress(BrokenGeneration):
                generation = read_outline(prefix, number)
                if generation.cause != FOUND:
                    return generation.parent or 0
    return None


def _mode(path: Path) -> int:
    """The mode of a file, or that of a new one."""
    try:
        return path.stat().st_mode & 0o7777
    except OSError:
        return 0o666 & ~current_umask()
