"""Recording generations within a change: what was found before it, and what came of it.

Everything goes through the journal of the change: if that is taken back, so are the generations. Files that pip brought
are kept (linked) before anything is changed.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kaa import __version__
from kaa.host.files import current_umask, write_atomic
from kaa.models.prefix_record import PrefixRecord
from kaa.models.redaction import redact
from kaa.prefix.current_state import EnvironmentLook
from kaa.prefix.differences import changed_facts, differences
from kaa.prefix.generations import (
    FOUND,
    GENERATIONS,
    BrokenGeneration,
    Generation,
    GenerationOutline,
    State,
    StateFacts,
    encode_generation,
    generation_numbers,
    read_outline,
)
from kaa.prefix.history import History, Revision, read_history
from kaa.prefix.kept_distributions import KEPT, keep_missing
from kaa.prefix.prefix import Prefix
from kaa.transaction.journal import Journal
from kaa.transaction.plan import EnvironmentChanged


class GenerationRecorder:
    """Records the generations of one change of an environment; used under its lock, with a journal that has begun."""

    def __init__(self, prefix: Path, journal: Journal, command: str = "") -> None:
        self.prefix = prefix
        self.journal = journal
        self.command = redact(command)
        self.environment = Prefix(prefix)
        self.history = History()
        self._look = EnvironmentLook(self.environment)
        self._latest: tuple[int, State | GenerationOutline | None] = (0, None)
        self._directories: Sequence[str] | None = None

    def begin(self) -> None:
        """Read what was recorded so far."""
        numbers = generation_numbers(self.prefix)
        if numbers:
            self._latest = (numbers[-1], self._read(numbers[-1]))
        self.history = read_history(self.environment)

    def before(self, records: Sequence[PrefixRecord], expected: StateFacts | None = None) -> None:
        """Note what the environment is before the change, if that is not what its latest generation says.

        Raises EnvironmentChanged if it is not as `expected`, either.
        """
        self.begin()
        if not self.environment.is_environment():
            return
        state = self._look.state(records, self.history)
        if expected is not None and (changed := changed_facts(expected, state)):
            raise EnvironmentChanged(self.prefix, changed)
        self._keep_files(state)
        latest = self._latest[1]
        if latest is None or not differences(latest, state).is_empty:
            self._write(state, FOUND)

    def announce(self) -> None:
        """Announce to the journal what `after` may write, together with other things."""
        missing = [] if (self.prefix / GENERATIONS).is_dir() else [GENERATIONS]
        self._directories = self.journal.will_make_directories(missing)
        self.journal.will_create([f"{GENERATIONS}/{self._latest[0] + 1}.json"])

    def after(
        self,
        records: Sequence[PrefixRecord],
        revision: Revision | None = None,
        *,
        cause: str = "change",
        restored: int | None = None,
        parent: int | None = None,
    ) -> int | None:
        """Note what came of the change, if anything did; gives the number of the generation.

        `revision` is what the change added to the history. `parent` is the generation that taking the change back leads
        to, 0 for none; it is the latest one if nothing else is said.
        """
        if revision is not None:
            self.history = History((*self.history.revisions, revision))
        state = self._look.state(records, self.history)
        latest = self._latest[1]
        if restored is None and latest is not None and differences(latest, state).is_empty:
            return None
        self._keep_files(state)
        return self._write(state, cause, restored=restored, parent=parent)

    def _read(self, number: int) -> GenerationOutline | None:
        try:
            return read_outline(self.prefix, number)
        except BrokenGeneration:
            # The change is not to fail for that, and whoever asks for the history is told.
            return None

    def _keep_files(self, state: State) -> None:
        scratch = self.journal.staging / "new"

        def place(made: str, target: str) -> None:
            self.journal.make_directories([GENERATIONS, KEPT])
            self.journal.move([(made, target)])

        keep_missing(self.prefix, state.distributions, scratch, place)

    def _write(self, state: State, cause: str, *, restored: int | None = None, parent: int | None = None) -> int:
        latest = self._latest[0]
        number = latest + 1
        generation = Generation(
            **{name: getattr(state, name) for name in State.__struct_fields__},
            number=number,
            time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            user=_user(),
            host=_host(),
            program=f"kaa {__version__}",
            command="" if cause == FOUND else self.command,
            parent=(latest if parent is None else parent) or None,
            restored=restored,
            cause=cause,
            revision=len(self.history.revisions) - 1,
        )
        if self._directories is None:
            self.announce()
        self.journal.make_announced(self._directories or ())
        self._directories = None
        # Written where a kill leaves nothing behind, then moved to its place.
        made = self.journal.staging / "new" / f"generation-{number}"
        write_atomic(made, encode_generation(generation), mode=self._mode())
        self.journal.checkpoint(f"{GENERATIONS}/{number}.json")
        made.rename(self.prefix / GENERATIONS / f"{number}.json")
        self._latest = (number, state)
        return number

    def _mode(self) -> int:
        """The mode of a new file, but no wider than that of the variables, which it holds as well."""
        mode = 0o666 & ~current_umask()
        try:
            return mode & (self.environment.conda_meta / "state").stat().st_mode
        except OSError:
            return mode


def _user() -> str:
    """Who runs this, as the system knows them."""
    if sys.platform != "win32":
        import pwd  # noqa: PLC0415 - not there on Windows

        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())
    return os.environ.get("USERNAME", "")


def _host() -> str:
    return os.uname().nodename if sys.platform != "win32" else os.environ.get("COMPUTERNAME", "")
