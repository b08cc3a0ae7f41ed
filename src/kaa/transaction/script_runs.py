"""Running the link scripts of one transaction, so that what they do can be undone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from kaa.events import Note, Reporter
from kaa.host.platform import current_subdir
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.transaction.journal import Journal
from kaa.transaction.plan import LinkOptions, Transaction
from kaa.transaction.prepare import Prepared, Source
from kaa.transaction.script_traces import SCRIPTS, keep_before, look, write_trace
from kaa.transaction.scripts import Action, ignored_post_unlink, run_script, script_path


class ScriptRuns:
    """Runs the scripts of a transaction; most have none, and nothing is done for them."""

    def __init__(
        self,
        transaction: Transaction,
        options: LinkOptions,
        journal: Journal,
        reporter: Reporter,
        checkpoint: Callable[[str], None],
        *,
        native: bool,
    ) -> None:
        self.transaction = transaction
        self.prefix = transaction.prefix
        self.options = options
        self.journal = journal
        self.reporter = reporter
        self.checkpoint = checkpoint
        self.native = native
        self._count = 0

    def before_unlinking(self, going: Iterable[tuple[PrefixRecord, Collection[str]]]) -> None:
        """The scripts of the packages that go, each with its files that are there."""
        # One that a repair takes out of the way is not the package's any more.
        replaced = frozenset(self.transaction.files.leaving)
        for record, paths in going:
            ignored_post_unlink(record, record.files, self.transaction.subdir, self.reporter)
            script = script_path(record.name, "pre-unlink", self.transaction.subdir)
            if script in paths and script not in replaced:
                self._run(record, "pre-unlink", self.prefix, record.link.source if record.link else "")

    def before_linking(self, prepared: Prepared) -> None:
        """The scripts of the packages that come, run from where they lie unpacked."""
        for source in self._with_script(prepared, "pre-link"):
            self._run(source.actions.record, "pre-link", source.package.directory, source.directory)

    def after_linking(self, prepared: Prepared) -> None:
        """The scripts of the packages that came."""
        for source in self._with_script(prepared, "post-link"):
            self._run(source.actions.record, "post-link", self.prefix, source.directory)

    def _with_script(self, prepared: Prepared, action: Action) -> list[Source]:
        subdir = self.transaction.subdir
        return [
            source
            for source in prepared.sources
            if (source.package.directory / script_path(source.actions.record.name, action, subdir)).is_file()
        ]

    def _run(self, record: RepoDataRecord, action: Action, directory: Path, source: str) -> None:
        refused = record.dist in self.options.refused_scripts
        if refused or not self.native:
            why = "it was not allowed to" if refused else f"this machine is not {self.transaction.subdir}"
            self.reporter(Note(f"the {action} script of {record.dist} was not run: {why}"))
            return
        self.checkpoint(f"{action} {record.dist}")
        number = self._look_before()
        try:
            run_script(
                record,
                action,
                directory=directory,
                prefix=self.prefix,
                root_prefix=self.options.root_prefix,
                source=source,
                subdir=self.transaction.subdir,
                environ=self.options.environ,
                reporter=self.reporter,
            )
        finally:
            # From here on others may change things again, and keep them.
            write_trace(self.prefix, f"{number}.after", look(self.prefix))

    def _look_before(self) -> int:
        """Write down what is there before a script runs; the first time, have it kept as well."""
        number, self._count = self._count, self._count + 1
        self.journal.barrier()
        if number == 0:
            (self.prefix / SCRIPTS).mkdir()
            keep_before(self.prefix, self.journal.created)
        write_trace(self.prefix, str(number), look(self.prefix))
        self.journal.sync_all()
        self.journal.will_run_script(number)
        self.journal.barrier()
        return number


def runs_here(subdir: str, native: str) -> bool:
    """Whether programs for `subdir` can be run on this machine."""
    native = native or current_subdir()
    also = {"linux-64": ("linux-32",), "win-64": ("win-32",), "osx-arm64": ("osx-64",)}
    return subdir in ("", "noarch", native, *also.get(native, ()))
