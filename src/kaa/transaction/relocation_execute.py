"""Cloning, renaming and moving an environment: the new one is whole, compared and on the disk before the old one goes.

1. Both environments are locked, and a marker in each says what is under way (`relocation_marker`).
2. The new environment is made beside its place, from the files of the old one alone, and compared with it.
3. Everything is synced; the new directory gets its name. From here on the relocation is finished, not taken back.
4. Rename and move: the old directory loses its name, and is removed. The registry follows; the markers go.

An error before the third step leaves everything as it was. After a kill, `recover_relocation` does what is left.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec.structs import replace

from kaa import __version__
from kaa.errors import KaaError
from kaa.events import Note, Reporter, silent
from kaa.host.files import is_writable
from kaa.host.locks import LockHolder, file_lock
from kaa.host.room import FULL, room_left
from kaa.host.syncing import open_directory, sync_file_system, sync_path
from kaa.models.redaction import redact
from kaa.models.subdir import is_windows
from kaa.prefix.history import append_revision, new_revision
from kaa.prefix.interruption import JOURNAL, LOCK
from kaa.prefix.interruption import RELOCATION as MARKER
from kaa.prefix.prefix import DirectoryIsNoEnvironment, Prefix
from kaa.prefix.record_files import read_counting_records
from kaa.transaction.placeholder import PrefixTooLong
from kaa.transaction.plan import EnvironmentChanged, LinkOptions
from kaa.transaction.prepare import NotEnoughSpace, NotWritable
from kaa.transaction.relocation_build import Builder
from kaa.transaction.relocation_check import check_copy
from kaa.transaction.relocation_marker import (
    Marker,
    aside_of,
    read_marker,
    replaced_of,
    staging_of,
    write_marker,
)
from kaa.transaction.relocation_plan import CannotRelocate, How, RelocationPlan
from kaa.transaction.relocation_recovery import Checkpoint, Registrar, finish, nothing, remove_bare, take_back
from kaa.transaction.relocation_survey import list_tree, signature


class RelocationFailed(KaaError):
    """The operating system refused a step of a clone, rename or move; the environment is what it was."""

    conda_name = "CondaEnvironmentError"

    def __init__(self, prefix: Path, reason: str) -> None:
        self.prefix = str(prefix)
        self.reason = reason
        super().__init__(
            f"{prefix} is what it was, no other environment was made of it: {reason}",
            hints=("look at the path that is named, its disk and its owner, and run the command again",),
        )


class RelocationUnfinished(KaaError):
    """The new environment is whole and has its name, and the operating system refused a step after that."""

    conda_name = "CondaEnvironmentError"

    def __init__(self, target: Path, reason: str) -> None:
        self.target = str(target)
        self.reason = reason
        super().__init__(
            f"{target} is whole, and what it was made of or took the place of could not go yet: {reason}",
            hints=(f"finish it with `kaa recover --prefix {shlex.quote(str(target))}`",),
        )


class RelocationInTheWay(CannotRelocate):
    """A directory that another clone, rename or move makes or leaves is there; nothing was done."""

    def __init__(self, plan: RelocationPlan, directory: Path) -> None:
        self.directory = directory
        super().__init__(
            plan.source,
            f"cannot be cloned, renamed or moved while {directory} is there",
            f"finish what was begun with `kaa recover --prefix {shlex.quote(str(plan.target))}`",
            "move that directory away",
        )


def check_relocation(plan: RelocationPlan) -> None:
    """Raise what would stop a relocation, before anything is done: PrefixTooLong, NotWritable, NotEnoughSpace."""
    new = len(plan.change.new)
    if not is_windows(plan.subdir):
        for item in plan.items:
            entry = item.entry
            if item.how is How.RENDER and entry is not None and entry.file_mode == "binary":
                placeholder = entry.prefix_placeholder or ""
                if new > len(placeholder.encode()):
                    raise PrefixTooLong(item.path, placeholder, str(plan.target))
    if not is_writable(plan.target.parent):
        raise NotWritable(str(plan.target.parent))
    if plan.kind != "clone":
        for directory in (plan.source.parent, plan.source, plan.source / "conda-meta"):
            if not os.access(directory, os.W_OK | os.X_OK):
                raise NotWritable(str(directory))
    existing = next(parent for parent in plan.target.parents if parent.is_dir())
    free = shutil.disk_usage(existing).free
    if plan.copies_size > free:
        raise NotEnoughSpace(plan.target, plan.copies_size, free)


def relocate(
    plan: RelocationPlan,
    options: LinkOptions,
    reporter: Reporter = silent,
    *,
    checkpoint: Checkpoint = nothing,
    registrar: Registrar = lambda old, new: None,
) -> None:
    """Make the environment of a plan, and let the old one go where it is a rename or a move."""
    check_relocation(plan)
    with _failures(plan), _locked(plan, options, reporter):
        _check_still(plan)
        Relocation(plan, options, reporter, checkpoint, registrar).run()


@contextlib.contextmanager
def _failures(plan: RelocationPlan) -> Iterator[None]:
    """Errors of the operating system as errors that say what to do."""
    try:
        yield
    except OSError as error:
        where = os.fspath(error.filename2 or error.filename or plan.target)
        if error.errno in FULL:
            raise NotEnoughSpace(plan.target, None, None, left=room_left(plan.target)) from error
        is_read = plan.kind == "clone" and where.startswith(f"{plan.source}{os.sep}")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and not is_read:
            raise NotWritable(str(where)) from error
        raise RelocationFailed(plan.source, f"{where}: {error.strerror or error}") from error


@contextlib.contextmanager
def _locked(plan: RelocationPlan, options: LinkOptions, reporter: Reporter) -> Iterator[None]:
    """Hold the lock of the source; that of one which only others may write to is shared, where there is one."""
    lock = plan.source / LOCK
    own = os.access(lock if lock.exists() else lock.parent, os.W_OK)
    if not own and not lock.exists():
        yield
        return
    with file_lock(lock, timeout=options.lock_timeout, waiting=_tell(plan.source, reporter), shared=not own):
        yield


def _tell(prefix: Path, reporter: Reporter) -> Callable[[LockHolder | None], None]:
    def tell(holder: LockHolder | None) -> None:
        reporter(Note(f"waiting for {prefix}, which {holder or 'another process'} is changing"))

    return tell


def _check_still(plan: RelocationPlan) -> None:
    """Raise EnvironmentChanged when something else began, or ended, since the plan was made."""
    source = plan.source
    left = [name for name in (JOURNAL, MARKER) if os.path.lexists(source / name)]
    if left or not (source / "conda-meta").is_dir():
        raise EnvironmentChanged(source, left or ["conda-meta"])
    # The signature tells of the files as they were listed; the records, which are written anew, were read before that.
    records = read_counting_records(Prefix(source))
    if records != plan.records:
        differing = {record.dist for record in records} ^ {record.dist for record in plan.records}
        raise EnvironmentChanged(source, sorted(differing) or ["records"])
    if not plan.replaces:
        check_target(plan.target)
    for directory in (staging_of(plan.target), aside_of(source), replaced_of(plan.target)):
        remove_bare(directory)
        if os.path.lexists(directory):
            raise RelocationInTheWay(plan, directory)


def check_target(target: Path) -> None:
    """Raise DirectoryIsNoEnvironment, or EnvironmentChanged, unless nothing is at the target, or an empty directory."""
    if not os.path.lexists(target):
        return
    if Prefix(target).is_environment():
        raise EnvironmentChanged(target, ["it is an environment already"])
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if not target.is_symlink() and not any(target.iterdir()):
            return
    hints = ("choose another path or name", "move what is there away")
    raise DirectoryIsNoEnvironment(target, "something else is there already", hints=hints)


class Relocation:
    """One run of a plan, under the lock of the source."""

    def __init__(
        self,
        plan: RelocationPlan,
        options: LinkOptions,
        reporter: Reporter,
        checkpoint: Checkpoint,
        registrar: Registrar,
    ) -> None:
        self.plan = plan
        self.options = options
        self.reporter = reporter
        self.checkpoint = checkpoint
        self.registrar = registrar
        self.staging = staging_of(plan.target)
        self.goes = plan.kind != "clone"
        self.has_staging = False
        missing = [path for path in plan.target.parents if not path.is_dir()]
        self.marker = Marker(
            id=os.urandom(8).hex(),
            kind=plan.kind,
            source=str(plan.source),
            target=str(plan.target),
            signature=plan.signature,
            replaces=plan.replaces,
            made=tuple(str(path) for path in reversed(missing)),
        )

    def run(self) -> None:
        """All steps; what was begun is taken back when one before the new environment has its name fails."""
        self.checkpoint("mark the old environment")
        try:
            if self.goes:
                write_marker(self.plan.source, self.marker)
            with self._make_staging():
                try:
                    self._build()
                except (FileNotFoundError, NotADirectoryError) as error:
                    # It was planned before this held the lock of the source.
                    if self._is_still():
                        raise
                    raise EnvironmentChanged(self.plan.source, ["files"]) from error
                self._give_name()
                finish(self.marker, self.reporter, self.registrar, checkpoint=self.checkpoint, compared=True)
        except BaseException as error:
            if not self._has_name():
                take_back(self.marker, has_staging=self.has_staging)
            elif isinstance(error, OSError):
                reason = f"{error.filename2 or error.filename or self.plan.target}: {error.strerror or error}"
                raise RelocationUnfinished(self.plan.target, reason) from error
            raise

    def _has_name(self) -> bool:
        found = read_marker(self.plan.target)
        return found is not None and found.id == self.marker.id

    @contextlib.contextmanager
    def _make_staging(self) -> Iterator[None]:
        self.checkpoint("make directories")
        for directory in self.marker.made:
            Path(directory).mkdir(exist_ok=True)
        try:
            self.staging.mkdir()
        except FileExistsError:
            # Somebody else makes another environment for that path, since a moment ago.
            raise RelocationInTheWay(self.plan, self.staging) from None
        self.has_staging = True
        self.checkpoint("make conda-meta")
        # Somebody may take it for something left over until it has a lock.
        (self.staging / "conda-meta").mkdir(parents=True, exist_ok=True)
        with file_lock(self.staging / LOCK, timeout=self.options.lock_timeout):
            self.checkpoint("mark the new environment")
            write_marker(self.staging, self.marker)
            yield

    def _build(self) -> None:
        descriptor = open_directory(self.staging)
        try:
            builder = Builder(self.plan, self.staging, self.options, self.reporter, self.checkpoint)
            builder.build()
            self.checkpoint("compare")
            check_copy(self.plan, builder.made)
            self.checkpoint("history")
            self._write_history()
            self.checkpoint("sync")
            written = (str(path) for path in self.staging.rglob("*"))
            sync_file_system(descriptor, written)
        finally:
            if descriptor is not None:
                os.close(descriptor)
        if not self._is_still():
            raise EnvironmentChanged(self.plan.source, ["files"])

    def _is_still(self) -> bool:
        """Whether the files of the source are those that the plan was made for."""
        try:
            return signature(list_tree(self.plan.source, is_base=self.plan.is_base)[0]) == self.plan.signature
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _write_history(self) -> None:
        """The history of the old environment and one entry more; from then on the directory is an environment."""
        environment = Prefix(self.staging)
        if self.plan.kind == "clone":
            (environment.conda_meta / "created_at").write_text(f"{time.time()}\n")
        date = time.strftime("%Y-%m-%d %H:%M:%S")
        shutil.copyfile(Prefix(self.plan.source).history_file, environment.history_file)
        append_revision(environment, new_revision(date, redact(self.plan.command), program=f"kaa {__version__}"))

    def _give_name(self) -> None:
        self.checkpoint("complete")
        self.marker = replace(self.marker, complete=True)
        write_marker(self.staging, self.marker)
        target = self.plan.target
        if self.plan.replaces:
            self.checkpoint("set the replaced environment aside")
            with file_lock(target / LOCK, timeout=self.options.lock_timeout):
                target.rename(replaced_of(target))
        self.checkpoint("give the name")
        try:
            self.staging.rename(target)
        except OSError:
            # Somebody waited for the lock of what was there, and its directory is there again for that; or an
            # environment came, of which others know nothing before it is whole.
            remove_bare(target)
            check_target(target)
            self.staging.rename(target)
        sync_path(target.parent)
