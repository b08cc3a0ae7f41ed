"""The phases of a transaction, one method after the other; `execute` says what they promise."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from kaa import __version__
from kaa.events import Note, Reporter, StageAdvanced, StageFinished, StageStarted, Warned
from kaa.host.files import LinkMethod, probe_link_method, write_atomic
from kaa.host.hashing import hash_file
from kaa.host.platform import current_subdir
from kaa.models.prefix_record import LinkType, PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.models.redaction import redact
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.prefix.history import append_revision, new_revision, recorded_specs
from kaa.prefix.prefix import Prefix
from kaa.prefix.prefix_record_file import encode_record, on_disk_channel
from kaa.transaction.actions import CLOBBERS, How, PathAction, UnsafePath, bytecode_path, bytecode_source, why_unsafe
from kaa.transaction.bytecode import Job, PackageBytecode, compile_packages, find_bytecode
from kaa.transaction.clobber import original_path, parent_directories
from kaa.transaction.file_changes import FileChanger
from kaa.transaction.journal import JOURNAL, STAGING, Journal
from kaa.transaction.link import Linker, moved_record, prefix_record, render
from kaa.transaction.plan import Change, Install, LinkOptions, Remove, Transaction
from kaa.transaction.prepare import Prepared, Source, check_links, check_space, prepare
from kaa.transaction.recording import GenerationRecorder
from kaa.transaction.scripts import Action, ignored_post_unlink, run_script, script_path
from kaa.transaction.signing import needs_signing, sign_binaries
from kaa.transaction.unlink import directories_of

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
        self.native = _runs_here(transaction.subdir, options.native_subdir)
        self.journal = Journal(self.prefix, checkpoint)
        self.made = made
        self.rendered: dict[str, dict[str, tuple[str, str]]] = {}
        self.compiled: set[str] = set()
        self.methods: dict[Path, LinkMethod] = {}
        self.records: list[PrefixRecord] = []
        self.recorder = GenerationRecorder(self.prefix, self.journal, transaction.command)

    def run(self) -> None:
        """All phases; raises with everything undone."""
        prepared = prepare(
            self.transaction, self.packages, self.options, self.reporter, compiles=self._interpreter() is not None
        )
        check_links(prepared.sources, self.prefix, self.reporter)
        self.checkpoint("begin")
        try:
            self.journal.begin(self.made)
            self._stage(prepared)
            restoring = self.transaction.restoring
            self.recorder.before(self.transaction.current, restoring.expected if restoring else None)
            changer = FileChanger(self.prefix, self.journal, self.transaction.files)
            changer.remove()
            self._unlink(prepared)
            self._link(prepared)
            self._run_scripts_after(prepared)
            self._link_bytecode(prepared)
            changer.put()
            self._write_records(prepared)
            self._write_history()
            self.checkpoint("commit")
            self.journal.declare_complete()
            self.checkpoint("committed")
        except BaseException:
            if self.journal.committed:
                self.journal.clean_up()
            else:
                self.journal.roll_back()
            raise
        self.journal.clean_up()
        self._remove_empty_directories(prepared)

    def _interpreter(self) -> Path | None:
        """The python that compiles bytecode; None when nothing is compiled."""
        python = self.transaction.python
        if not self.options.compile_bytecode or not self.native or python is None or python.bytecode_tag is None:
            return None
        return self.options.interpreter or self.prefix / python.executable

    # Phase 2

    def _stage(self, prepared: Prepared) -> None:
        """Find out how files come in, and write those whose content depends on the prefix."""
        for source in prepared.sources:
            cache = source.package.directory.parent
            if cache not in self.methods:
                self.methods[cache] = self._link_method(cache)
        copied = LinkMethod.COPY in self.methods.values()
        check_space(self.prefix, prepared.sources, copied=copied)
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

    def _link_method(self, cache: Path) -> LinkMethod:
        if self.options.always_copy:
            return LinkMethod.COPY
        method, reason = probe_link_method(cache, self.journal.staging)
        if reason:
            self.reporter(Note(f"files are copied: {reason}"))
        return method

    # Phase 3

    def _unlink(self, prepared: Prepared) -> None:
        for record, paths in prepared.unlink:
            ignored_post_unlink(record, record.files, self.transaction.subdir, self.reporter)
            if script_path(record.name, "pre-unlink", self.transaction.subdir) in paths:
                self._run_script(record, "pre-unlink", self.prefix, record.link.source if record.link else "")
        with self._stage_of("Unlinking", len(prepared.unlink)):
            every = {path for _, paths in prepared.unlink for path in paths}
            # A link through which other files are reached goes when they have gone.
            bridges = every & parent_directories(every)
            for record, paths in prepared.unlink:
                self.checkpoint(f"unlink {record.dist}")
                self.journal.set_aside([path for path in paths if path not in bridges])
                self.reporter(StageAdvanced("Unlinking", record.dist))
            self.journal.set_aside(sorted(bridges))
        self.journal.set_aside(prepared.drop)
        self.journal.remove_directories(prepared.emptied)

    def _link(self, prepared: Prepared) -> None:
        early = prepared.settlement.early_links
        self.journal.make_directories([path for path in prepared.directories if not _is_below(path, early)])
        moves = [move for moves in prepared.settlement.moves.values() for move in moves.items()]
        # What goes aside makes room for what comes back.
        self.journal.move(sorted(moves, key=lambda move: original_path(move[1]) is None))
        self.journal.move(prepared.unowned)
        self.journal.move(prepared.restored)
        for source in prepared.sources:
            script = script_path(source.actions.record.name, "pre-link", self.transaction.subdir)
            if (source.package.directory / script).is_file():
                self._run_script(source.actions.record, "pre-link", source.package.directory, source.directory)
        if early:
            for source in prepared.sources:
                self._link_actions(prepared, source, lambda action: action.target in early)
            _check_early_links(self.prefix, early)
            self.journal.make_directories([path for path in prepared.directories if _is_below(path, early)])
        with self._stage_of("Linking", len(prepared.sources)):
            for source in prepared.sources:
                self.checkpoint(f"link {source.actions.record.dist}")
                self._link_actions(prepared, source, lambda action: action.target not in early)
                self.reporter(StageAdvanced("Linking", source.actions.record.dist))

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
        method = self.methods[source.package.directory.parent]
        return Linker(self.prefix, self.journal, method, self.reporter)

    def _run_scripts_after(self, prepared: Prepared) -> None:
        for source in prepared.sources:
            script = script_path(source.actions.record.name, "post-link", self.transaction.subdir)
            if (source.package.directory / script).is_file():
                self._run_script(source.actions.record, "post-link", self.prefix, source.directory)

    def _run_script(self, record: RepoDataRecord, action: Action, directory: Path, source: str) -> None:
        """Run a script; what it makes below the prefix is entered in the journal, so that it can be undone."""
        refused = record.dist in self.options.refused_scripts
        if refused or not self.native:
            why = "it was not allowed to" if refused else f"this machine is not {self.transaction.subdir}"
            self.reporter(Note(f"the {action} script of {record.dist} was not run: {why}"))
            return
        self.checkpoint(f"{action} {record.dist}")
        before = _tree(self.prefix)
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
            made = {path: kind for path, kind in _tree(self.prefix).items() if path not in before}
            self.journal.will_make_directories(sorted(path for path, is_directory in made.items() if is_directory))
            self.journal.will_create(sorted(path for path, is_directory in made.items() if not is_directory))

    def _link_bytecode(self, prepared: Prepared) -> None:
        """Compile what has no bytecode yet, and link all of it."""
        interpreter, python = self._interpreter(), self.transaction.python
        if interpreter is None or python is None or python.bytecode_tag is None:
            return
        tag = python.bytecode_tag
        wanted = []
        in_place: list[Job] = []
        for source in prepared.sources:
            aside = prepared.settlement.linked_aside.get(source.actions.record.name, {})
            actions = [one for one in source.actions.actions if one.how is How.BYTECODE and one.target not in aside]
            linked, own = self._split_bytecode(source, actions)
            in_place += own
            if linked:
                wanted.append((source, find_bytecode(source, [action.source for action in linked], tag), linked))
        if not interpreter.exists() and (in_place or any(bytecode.missing for _, bytecode, _ in wanted)):
            self.reporter(Note(f"no bytecode was compiled: {interpreter} is missing"))
            in_place = []
            wanted = [one for one in wanted if not one[1].missing]
        self.checkpoint("compile")
        self.journal.will_create([self._below(job.target) for job in in_place])
        written = compile_packages(
            [(source, bytecode) for source, bytecode, _ in wanted],
            in_place,
            interpreter=interpreter,
            tag=tag,
            scratch=self.journal.staging / "new",
            workers=self.options.workers,
            environ=self.options.environ,
            reporter=self.reporter,
        )
        self.compiled = {self._below(target) for target in written}
        for source, bytecode, linked in wanted:
            self._link_package_bytecode(source, bytecode, linked, tag)

    def _split_bytecode(self, source: Source, actions: Sequence[PathAction]) -> tuple[list[PathAction], list[Job]]:
        """Bytecode that is linked from the cache, and bytecode of modules that are not the same everywhere."""
        rendered = {one.source for one in source.actions.actions if one.how is How.RENDER}
        own = []
        for action in actions:
            if action.source in rendered:
                module = bytecode_source(action.target) or action.target
                own.append(Job(f"{self.prefix}/{module}", f"{self.prefix}/{action.target}", module))
        return [action for action in actions if action.source not in rendered], own

    def _link_package_bytecode(
        self, source: Source, bytecode: PackageBytecode, actions: Sequence[PathAction], tag: str
    ) -> None:
        present = [action for action in actions if action.source in bytecode.modules]
        self._linker(source).link_files(
            [(f"{bytecode.directory}/{bytecode_path(one.source, tag)}", one.target) for one in present]
        )
        self.compiled.update(action.target for action in present)

    def _below(self, path: str) -> str:
        """An absolute path as a path below the environment."""
        return path[len(str(self.prefix)) + 1 :]

    def _write_records(self, prepared: Prepared) -> None:
        """The records of what is installed now; the last thing before the history."""
        environment = Prefix(self.prefix)
        writes: list[tuple[PrefixRecord, bytes | None]] = []
        gone = [record for record, _ in prepared.unlink]
        for record in self.transaction.kept:
            changed = self._kept_record(record, prepared)
            self.records.append(changed)
            if changed != record:
                writes.append((changed, environment.record_file(record).read_bytes()))
                gone.append(record)
        news = [self._new_record(source, prepared) for source in prepared.sources]
        self.records += news
        writes += [(record, None) for record in news]
        self.checkpoint("records")
        self.journal.set_aside([f"conda-meta/{record.dist}.json" for record in gone])
        self.journal.will_create([f"conda-meta/{record.dist}.json" for record, _ in writes])
        for record, previous in writes:
            self.checkpoint(f"record {record.dist}")
            write_atomic(environment.record_file(record), encode_record(record, previous))

    def _new_record(self, source: Source, prepared: Prepared) -> PrefixRecord:
        record = source.actions.record
        method = self.methods[source.package.directory.parent]
        return prefix_record(
            record,
            source,
            [one for one in source.actions.actions if one.how is not How.BYTECODE or one.target in self.compiled],
            prepared.settlement.linked_aside.get(record.name, {}),
            self.rendered[record.name],
            link_type=LinkType.HARDLINK if method is LinkMethod.HARDLINK else LinkType.COPY,
            requested_specs=self._requested(record.name),
        )

    def _requested(self, name: str) -> tuple[str, ...]:
        spec = self.transaction.requested_specs.get(name) or self.transaction.neutered_specs.get(name)
        if spec is not None:
            return (spec,)
        if name in self.transaction.forgotten:
            return ()
        old = next((record for record in self.transaction.current if record.name == name), None)
        return recorded_specs(old) if old is not None else ()

    def _kept_record(self, record: PrefixRecord, prepared: Prepared) -> PrefixRecord:
        """The record of a package that stays, with what this transaction changes in it."""
        moves = prepared.settlement.moves.get(record.name)
        if moves:
            record = moved_record(record, moves)
        requested = self._requested(record.name)
        if requested != recorded_specs(record):
            record = replace(record, requested_specs=requested, requested_spec=None)
        return record

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
        if not environment.is_environment():
            self.journal.will_create([CREATED_AT])
            write_atomic(self.prefix / CREATED_AT, f"{time.time()}\n".encode())
        self.journal.will_append("conda-meta/history")
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

    # Phase 4

    def _remove_empty_directories(self, prepared: Prepared) -> None:
        """Remove the directories that lost their last file; those that installed packages ask for stay."""
        wanted = {action.target for source in prepared.sources for action in source.actions.actions}
        wanted.update(path for record in self.transaction.kept for path in _recorded_directories(record))
        left = [path for _, paths in prepared.unlink for path in paths]
        left += [path for moves in prepared.settlement.moves.values() for path in moves]
        left += [path for path, _ in prepared.restored]
        left += (*self.transaction.files.leaving, *self.transaction.files.clear)
        for record, _ in prepared.unlink:
            left += [f"{path}/" for path in _recorded_directories(record) if _is_inside(path, self.prefix)]
        # Other programs leave empty directories where they had set files aside.
        aside = self.prefix / CLOBBERS
        if not aside.is_symlink():
            left += [f"{Path(folder).relative_to(self.prefix).as_posix()}/" for folder, _, _ in os.walk(aside)]
        for directory in directories_of(left):
            if directory not in wanted:
                with contextlib.suppress(OSError):
                    (self.prefix / directory).rmdir()

    @contextlib.contextmanager
    def _stage_of(self, name: str, total: int) -> Iterator[None]:
        if not total:
            yield
            return
        start = time.monotonic()
        self.reporter(StageStarted(name, total))
        yield
        self.reporter(StageFinished(name, time.monotonic() - start))


def _runs_here(subdir: str, native: str) -> bool:
    """Whether programs for `subdir` can be run on this machine."""
    native = native or current_subdir()
    also = {"linux-64": ("linux-32",), "win-64": ("win-32",), "osx-arm64": ("osx-64",)}
    return subdir in ("", "noarch", native, *also.get(native, ()))


def _is_below(path: str, links: frozenset[str]) -> bool:
    return any(path == link or path.startswith(f"{link}/") for link in links)


def _check_early_links(prefix: Path, links: frozenset[str]) -> None:
    """Raise UnsafePath for a link that packages use as a directory, and that leads out of the environment."""
    for link in sorted(links):
        if not (prefix / link).resolve().is_relative_to(prefix.resolve()):
            raise UnsafePath(link, link, f"is a link to {(prefix / link).resolve()}, out of the environment")


def _recorded_directories(record: PrefixRecord) -> list[str]:
    return [entry.path for entry in record.paths_data.paths if entry.path_type == "directory"]


def _is_inside(path: str, prefix: Path) -> bool:
    return not why_unsafe(path) and (prefix / path).parent.resolve().is_relative_to(prefix.resolve())


def _tree(prefix: Path) -> dict[str, bool]:
    """Every path below an environment, and whether it is a directory; without what kaa keeps there for the moment."""
    found: dict[str, bool] = {}
    for folder, folders, files in os.walk(prefix):
        relative = Path(folder).relative_to(prefix).as_posix()
        start = "" if relative == "." else f"{relative}/"
        folders[:] = [name for name in folders if start + name != STAGING]
        # os.walk counts links to directories among the directories.
        found.update({start + name: not Path(folder, name).is_symlink() for name in folders})
        found.update({start + name: False for name in files if start + name != JOURNAL})
    return found
