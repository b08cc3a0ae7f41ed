"""Removing a whole environment: the scripts of its packages run, then it leaves its place at once, then it goes.

A kill before it has left its place is taken back (what scripts did in the environment, too), one after that is
finished.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kaa.events import Reporter, silent
from kaa.host.locks import file_lock
from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.interruption import LOCK
from kaa.prefix.prefix import Prefix
from kaa.prefix.state import check_not_frozen
from kaa.transaction.execute import check_unchanged, failures, recover_first, tell_waiting
from kaa.transaction.journal import Journal
from kaa.transaction.plan import LinkOptions, Transaction
from kaa.transaction.script_runs import ScriptRuns, runs_here
from kaa.transaction.setting_aside import check_there, move_aside, remove_left_over

SCRIPT_ENDINGS = (".sh", ".bat")


def remove_whole(
    transaction: Transaction,
    options: LinkOptions,
    reporter: Reporter = silent,
    *,
    checkpoint: Callable[[str], None] = lambda step: None,
    gone: Callable[[], None] = lambda: None,
) -> None:
    """Remove the environment that a transaction empties, directory and all; `gone` is called as soon as it has gone.

    Raises with nothing changed, or not at all for what is left of the files.
    """
    prefix = transaction.prefix
    if not options.override_frozen:
        check_not_frozen(Prefix(prefix))
    with (
        failures(prefix),
        file_lock(prefix / LOCK, timeout=options.lock_timeout, waiting=tell_waiting(prefix, reporter)),
    ):
        recover_first(prefix, reporter)
        check_there(prefix)
        check_unchanged(Prefix(prefix), transaction)
        aside = _after_scripts(transaction, options, reporter, checkpoint)
        gone()
        checkpoint("remove")
        remove_left_over(aside, reporter)
        checkpoint("removed")


def _after_scripts(
    transaction: Transaction, options: LinkOptions, reporter: Reporter, checkpoint: Callable[[str], None]
) -> Path:
    """Run the scripts before unlinking, and move the environment aside; gives where it is."""
    prefix = transaction.prefix
    journal = Journal(prefix, checkpoint, sync=options.sync)
    native = runs_here(transaction.subdir, options.native_subdir)
    scripts = ScriptRuns(transaction, options, journal, reporter, checkpoint, native=native)
    checkpoint("begin")
    try:
        journal.begin()
        scripts.before_unlinking((record, _present(record, prefix)) for record in transaction.to_unlink)
        checkpoint("move aside")
        aside = move_aside(prefix, "removed")
    except BaseException:
        journal.roll_back()
        raise
    journal.abandon()
    return aside


def _present(record: PrefixRecord, prefix: Path) -> list[str]:
    """The link scripts of a package that are there."""
    return [path for path in record.files if path.endswith(SCRIPT_ENDINGS) and (prefix / path).is_file()]
