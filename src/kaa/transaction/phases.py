"""The phases of a transaction, one method after the other; `execute` says what they promise."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

from kaa import __version__
from kaa.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warned
from kaa.host.files import LinkMethod, probe_link_method
from kaa.host.hashing import hash_file
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.models.redaction import redact
from kaa.package_cache.extracted_package import RECORD_FILE, ExtractedPackage
from kaa.prefix.environments import register
from kaa.prefix.history import append_revision, new_revision
from kaa.prefix.interruption import STAGING
from kaa.prefix.prefix import Prefix
from kaa.prefix.prefix_record_file import on_disk_channel
from kaa.transaction.actions import How, PathAction, UnsafePath
from kaa.transaction.bytecode_links import BytecodeLinks
from kaa.transaction.clobber import Conflict, PathConflictError, original_path, parent_directories
from kaa.transaction.emptied import emptied_directories
from kaa.transaction.file_changes import FileChanger
from kaa.transaction.journal import Journal, Move, Replacement
from kaa.transaction.limits import check_lengths, check_space
from kaa.transaction.link import Linker, render
from kaa.transaction.package_records import RecordWriter
from kaa.transaction.plan import Change, Install, LinkOptions, Remove, Transaction
from kaa.transaction.prepare import Prepared, Source, check_links, prepare
from kaa.transaction.recording import GenerationRecorder
from kaa.transaction.script_runs import ScriptRuns, runs_here
from kaa.transaction.signing import needs_signing, sign_binaries

PROBES = (RECORD_FILE, "info/paths.json", "info/files")
"""Files of a package with which linking is tried; not info/index.json, whose time of change tells of unpacking."""
CREATED_AT = "conda-meta/created_at"
"""When an environment was made, in seconds since the epoch (conda's file)."""


class Phases:
    """One run of a transaction, with what its steps hand on to one another."""

    def __init__(
        self,
        transaction: Transaction,
        packages: Mapping[str, ExtractedPackage],
        options: LinkOptions,
        reporter: Reporter,
        checkpoint: Callable[[str], None],
        made: Sequence[Path],
    ) -> None:
        self.transaction = transaction
        self.prefix = transaction.prefix
        self.packages = packages
        self.options = options
        self.reporter = reporter
        self.checkpoint = checkpoint
        self.native = runs_here(transaction.subdir, options.native_subdir)
        self.journal = Journal(self.prefix, checkpoint, sync=options.sync)
        self.made = made
        self.rendered: dict[str, dict[str, tuple[str, str]]] = {}
        self.methods: dict[str, LinkMethod] = {}
        """How the files of a package come in, by its directory."""
        self.records: list[PrefixRecord] = []
        self.recorder = GenerationRecorder(self.prefix, self.journal, transaction.command)
        self.changer = FileChanger(self.prefix, self.journal, transaction.files)
        self.scripts = ScriptRuns(transaction, options, self.journal, reporter, checkpoint, native=self.native)
        self.bytecode = BytecodeLinks(transaction, options, self.journal, reporter, self._linker)
        self._created_at: list[Replacement] = []
        self._is_new = not Prefix(self.prefix).is_environment()

    def run(self) -> None:
        """All phases; raises with everything undone."""
        try:
            if self.made:
                # What a kill leaves of a new environment is known as that by its journal.
                self.journal.begin(self.made)
            prepared = self._prepare()
            self.checkpoint("begin")
            if not self.journal.begun:
                self.journal.begin()
            self._stage(prepared)
            self._change(prepared)
            self.checkpoint("commit")
            self.journal.declare_complete(emptied_directories(self.transaction, prepared))
            self.checkpoint("committed")
        except BaseException:
            if self.journal.committed:
                self._clean_up()
            else:
                self.journal.roll_back()
            raise
        self._clean_up()

    def _prepare(self) -> Prepared:
        compiles = self._interpreter() is not None
        prepared = prepare(self.transaction, self.packages, self.options, self.reporter, compiles=compiles)
        check_links(prepared.sources, self.prefix, self.reporter)
        check_lengths(self.transaction, prepared)
        return prepared

    def _change(self, prepared: Prepared) -> None:
        """Everything between the preparations and the commit."""
        restoring = self.transaction.restoring
        self.recorder.before(self.transaction.current, restoring.expected if restoring else None)
        writer = RecordWriter(self.transaction, self.journal, self.checkpoint, prepared)
        self.scripts.before_unlinking(prepared.unlink)
        self._make_room(prepared, writer)
        self.scripts.before_linking(prepared)
        self._link(prepared)
        self.scripts.after_linking(prepared)
        self.bytecode.bring(prepared, self._interpreter())
        self.changer.put()
        self.records = writer.write(self.rendered, self.bytecode.compiled, self.methods)
        self._write_history()

    def _clean_up(self) -> None:
        # While the journal is there: whoever finishes this after a kill enters it, too.
        registry = self.options.registry
        if registry is not None and self.prefix != self.options.root_prefix and not register(registry, self.prefix):
            self.reporter(Note(f"{self.prefix} could not be entered in {registry}"))
        try:
            self.journal.clean_up()
        except OSError as error:
            where = error.filename or self.prefix
            self.reporter(Warned(f"{where} is left over, until {self.prefix} is changed again: {error.strerror}"))

    def _interpreter(self) -> Path | None:
        """The python that compiles bytecode; None when nothing is compiled."""
        python = self.transaction.python
        if not self.options.compile_bytecode or not self.native or python is None or python.bytecode_tag is None:
            return None
        return self.options.interpreter or self.prefix / python.executable

    # Phase 2

    def _stage(self, prepared: Prepared) -> None:
        """Find out how files come in, and write those whose content depends on the prefix."""
        by_origin: dict[tuple[Path, int], LinkMethod] = {}
        for source in prepared.sources:
            # Whether a file may be linked depends on whose it is, and several users may fill one cache.
            directory = source.package.directory
            probe = next(filter(Path.is_file, (directory / name for name in PROBES)), directory.parent)
            origin = (directory.parent, probe.stat().st_uid)
            if origin not in by_origin:
                by_origin[origin] = self._link_method(probe)
            self.methods[source.directory] = by_origin[origin]
        check_space(self.transaction, prepared, lambda directory: self.methods[directory] is LinkMethod.COPY)
        for number, source in enumerate(prepared.sources):
            self.checkpoint(f"render {source.actions.record.dist}")
            rendered = render(source, self.prefix, self.transaction.subdir, number)
            if needs_signing(self.transaction.subdir):
                self._sign(source, rendered)
            self.rendered[source.actions.record.name] = rendered

    def _sign(self, source: Source, rendered: dict[str, tuple[str, str]]) -> None:
        """Sign the patched binaries of a package, and note what they hold now."""
        entries = {action.target: action.entry for action in source.actions.actions}
        binaries = [target for target in rendered if (entry := entries[target]) and entry.file_mode == "binary"]
        problem = sign_binaries([self.prefix / rendered[target][0] for target in binaries])
        if problem:
            self.reporter(Warned(f"programs of {source.actions.record.dist} could not be signed: {problem}"))
        for target in binaries:
            staged = rendered[target][0]
            rendered[target] = (staged, hash_file(self.prefix / staged))

    def _link_method(self, probe: Path) -> LinkMethod:
        if self.options.always_copy:
            return LinkMethod.COPY
        method, reason = probe_link_method(probe, self.journal.staging)
        if reason:
            self.reporter(Note(f"files are copied: {reason}"))
        return method

    # Phase 3

    def _make_room(self, prepared: Prepared, writer: RecordWriter) -> None:
        """Move away what goes or changes its place, and make directories.

        What takes the place of something else is announced when that has left it, and not before: until then it is the
        old file that stands there, and undoing must not take it for the new one.
        """
        self.changer.announce()
        leaving = self._announce_unlinking(prepared)
        emptied = self.journal.will_set_aside(prepared.emptied)
        early = prepared.settlement.early_links
        late = frozenset(prepared.emptied)
        directories = [path for path in prepared.directories if not _is_below(path, early) and path not in late]
        self.journal.will_make_directories(directories)
        moves = [move for moves in prepared.settlement.moves.values() for move in moves.items()]
        # What goes aside makes room for what comes back.
        moves.sort(key=lambda move: original_path(move[1]) is None)
        moves = self.journal.will_move([*moves, *prepared.unowned, *prepared.restored])
        is_in_the_way = bool(any(leaving) or emptied or moves or not self.changer.is_idle)
        if not is_in_the_way:
            self._announce_linking(prepared, writer)
        self.changer.remove()
        self._unlink(prepared, leaving)
        self.journal.set_directories_aside(emptied)
        self.journal.make_announced(directories)
        self.journal.make_directories(path for path in prepared.directories if path in late)
        self.journal.carry_out(moves)
        if is_in_the_way:
            self.journal.sync_moved(target for _, target in (*chain(*leaving), *emptied, *moves))
            self._announce_linking(prepared, writer)
            self.journal.barrier()

    def _announce_unlinking(self, prepared: Prepared) -> list[list[Move]]:
        """The moves of each package's files, and behind them those of all others."""
        every = {path for _, paths in prepared.unlink for path in paths}
        # A link through which other files are reached goes when they have gone.
        bridges = every & parent_directories(every)
        groups = [[path for path in paths if path not in bridges] for _, paths in prepared.unlink]
        moves = iter(self.journal.will_set_aside([*chain(*groups), *sorted(bridges), *prepared.drop]))
        return [*(list(islice(moves, len(group))) for group in groups), list(moves)]

    def _announce_linking(self, prepared: Prepared, writer: RecordWriter) -> None:
        """Have it in the journal what is made from here on, as far as that is known."""
        early = prepared.settlement.early_links
        self.journal.will_create(
            [
                target
                for source in prepared.sources
                for target in _targets(source, prepared)
                if target in early or not _is_below(target, early)
            ]
        )
        writer.announce()
        if self._is_new:
            self._created_at = self.journal.will_replace([CREATED_AT])
        self.journal.will_append("conda-meta/history")
        self.recorder.announce()

    def _unlink(self, prepared: Prepared, leaving: Sequence[Sequence[Move]]) -> None:
        with self._stage_of("Unlinking", len(prepared.unlink)):
            for (record, _), moves in zip(prepared.unlink, leaving[:-1], strict=True):
                self.checkpoint(f"unlink {record.dist}")
                self.journal.carry_out(moves)
                self.reporter(StageAdvanced("Unlinking", record.dist))
            self.journal.carry_out(leaving[-1])

    def _link(self, prepared: Prepared) -> None:
        early = prepared.settlement.early_links
        self.journal.barrier()
        if early:
            for source in prepared.sources:
                self._link_actions(prepared, source, lambda action: action.target in early)
            _check_early_links(self.prefix, early)
            self._announce_below(prepared, early)
        with self._stage_of("Linking", len(prepared.sources)):
            for source in prepared.sources:
                self.checkpoint(f"link {source.actions.record.dist}")
                self._link_actions(prepared, source, lambda action: action.target not in early)
                self.reporter(StageAdvanced("Linking", source.actions.record.dist))

    def _announce_below(self, prepared: Prepared, early: frozenset[str]) -> None:
        """Have it in the journal what is made below links of packages, now that it shows where they lead."""
        self.journal.make_directories(path for path in prepared.directories if _is_below(path, early))
        targets = [
            (source.actions.record.name, path) for source in prepared.sources for path in _targets(source, prepared)
        ]
        below = [(name, path) for name, path in targets if _is_below(path, early) and path not in early]
        for name, path in below:
            if os.path.lexists(self.prefix / path):
                raise PathConflictError([Conflict(path, name, None)], always=True)
        self.journal.will_create([path for _, path in below])
        self.journal.barrier()

    def _link_actions(self, prepared: Prepared, source: Source, chosen: Callable[[PathAction], bool]) -> None:
        name = source.actions.record.name
        linker = self._linker(source)
        actions = [
            action
            for action in source.actions.actions
            if action.how is not How.DIRECTORY and action.how is not How.BYTECODE and chosen(action)
        ]
        linker.link(source, actions, prepared.settlement.linked_aside.get(name, {}), self.rendered[name])

    def _linker(self, source: Source) -> Linker:
        method = self.methods[source.directory]
        return Linker(self.prefix, self.journal, method, self.reporter)

    def _write_history(self) -> None:
        transaction = self.transaction
        environment = Prefix(self.prefix)
        changes = [one for one in transaction.operations if isinstance(one, Change | Remove)]
        news = [one for one in transaction.operations if isinstance(one, Change | Install)]
        revision = new_revision(
            time.strftime("%Y-%m-%d %H:%M:%S"),
            redact(transaction.command),
            program=f"kaa {__version__}",
            unlinked=[self._in_history(operation.old) for operation in changes],
            linked=[self._in_history(operation.new) for operation in news],
            update_specs=transaction.requested_specs,
            remove_specs=transaction.removed_specs,
            neutered_specs=transaction.neutered_specs,
        )
        self.checkpoint("history")
        if self._is_new:
            (self.journal.staging / "new" / "created_at").write_text(f"{time.time()}\n")
            self.journal.replace(self._created_at, lambda path: f"{STAGING}/new/created_at")
        append_revision(environment, revision)
        restoring = transaction.restoring
        self.recorder.after(
            self.records,
            revision,
            cause=restoring.cause if restoring else "change",
            restored=restoring.number if restoring else None,
        )

    def _in_history(self, record: RepoDataRecord) -> str:
        """`channel/subdir::name-version-build`"""
        channel = on_disk_channel(record)
        if self.options.channel_name is not None and record.channel:
            name = self.options.channel_name(record.channel)
            channel = f"{name}/{record.subdir}" if record.subdir else name
        return f"{channel}::{record.dist}" if channel else record.dist

    @contextlib.contextmanager
    def _stage_of(self, name: str, total: int) -> Iterator[None]:
        if not total:
            yield
            return
        start = time.monotonic()
        self.reporter(StageStarted(name, total))
        yield
        self.reporter(StageFinished(name, time.monotonic() - start))


def _is_below(path: str, links: frozenset[str]) -> bool:
    return any(path == link or path.startswith(f"{link}/") for link in links)


def _check_early_links(prefix: Path, links: frozenset[str]) -> None:
    """Raise UnsafePath for a link that packages use as a directory, and that leads out of the environment."""
    for link in sorted(links):
        if not (prefix / link).resolve().is_relative_to(prefix.resolve()):
            raise UnsafePath(link, link, f"is a link to {(prefix / link).resolve()}, out of the environment")


def _targets(source: Source, prepared: Prepared) -> Iterator[str]:
    """Where the files of a package are put; bytecode of what is kept aside is not made."""
    aside = prepared.settlement.linked_aside.get(source.actions.record.name)
    for action in source.actions.actions:
        if action.how is How.DIRECTORY:
            continue
        if not aside or action.target not in aside:
            yield action.target
        elif action.how is not How.BYTECODE:
            yield aside[action.target]
