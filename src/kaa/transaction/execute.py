"""Performing a transaction: the only thing that changes an environment.

1. Prepare: everything is decided and checked, nothing is changed (`prepare`, `limits`).
2. The journal begins; files with a replaced prefix are written to the staging directory.
3. Scripts before unlinking; what goes is announced and moved aside; what comes is announced; scripts before linking;
   new files are linked, dependencies first; scripts after linking; bytecode; files beside packages; the records; the
   history and the generation.
4. Everything is on the disk; commit; the environment is registered; what was moved aside is dropped, and empty
   directories.

An error or an interrupt before the fourth step undoes the journal, and the environment is what it was.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from kaa.errors import KaaError
from kaa.events import Note, Reporter, Warned, silent
from kaa.host.locks import LockHolder, file_lock
from kaa.host.room import FULL, room_left
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.prefix.history import recorded_specs
from kaa.prefix.interruption import JOURNAL, LOCK
from kaa.prefix.prefix import DirectoryIsNoEnvironment, Prefix
from kaa.prefix.record_files import read_record_files
from kaa.prefix.state import check_not_frozen
from kaa.transaction.journal import recover
from kaa.transaction.phases import Phases
from kaa.transaction.plan import EnvironmentChanged as EnvironmentChanged
from kaa.transaction.plan import LinkOptions, Transaction
from kaa.transaction.prepare import NotEnoughSpace, NotWritable
from kaa.transaction.setting_aside import clear_away

NOT_FOREIGN = frozenset({"conda-meta", "pkgs", "envs", "condabin", ".condarc", "condarc", "condarc.d"})
"""What may lie in a directory before it becomes an environment."""


NEVER_LINKS = ("conda-meta", "conda-meta/history", "conda-meta/generations", "conda-meta/generations/files")
"""What kaa writes to in every environment, and so does not let lead out of one."""


class MetadataElsewhere(KaaError):
    """What is known of an environment does not lie in it."""

    conda_name = "CorruptedEnvironmentError"

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        super().__init__(
            f"{path} is a symbolic link, and what is known of an environment is only written into the environment",
            hints=("put what the link leads to into its place",),
        )


class TransactionFailed(KaaError):
    """The operating system refused a step; the environment is what it was."""

    conda_name = "LinkError"

    def __init__(self, prefix: Path, reason: str) -> None:
        self.prefix = str(prefix)
        self.reason = reason
        super().__init__(
            f"{prefix} could not be changed, and is what it was: {reason}",
            hints=("look at the path that is named, its disk and its owner, and run the command again",),
        )


def execute(
    transaction: Transaction,
    packages: Mapping[str, ExtractedPackage],
    options: LinkOptions,
    reporter: Reporter = silent,
    *,
    checkpoint: Callable[[str], None] = lambda step: None,
) -> None:
    """Change the environment as planned, or leave it exactly as it was and raise.

    `packages` holds the extracted package of every record of `transaction.to_link`, by dist string. `checkpoint` is
    called with its name before every step that changes something, down to single files.
    """
    prefix = transaction.prefix
    environment = Prefix(prefix)
    if not options.override_frozen:
        check_not_frozen(environment)
    _check_place(environment, transaction, options)
    if not _changes_something(transaction) and environment.is_environment():
        return
    with (
        failures(prefix),
        _made_directories(environment.conda_meta) as made,
        file_lock(
            prefix / LOCK,
            timeout=options.lock_timeout,
            waiting=tell_waiting(prefix, reporter),
            fallback=lambda text: reporter(Note(text)),
        ),
        _cleared_away(environment, made),
    ):
        recover_first(prefix, reporter)
        check_unchanged(environment, transaction)
        Phases(transaction, packages, options, reporter, checkpoint, made).run()


def recover_first(prefix: Path, reporter: Reporter) -> None:
    """Finish or take back what an interrupted change left, and tell; the caller holds the lock."""
    outcome = recover(prefix)
    if outcome != "nothing":
        reporter(Warned(f"an interrupted change of {prefix} was {outcome} first"))


def _check_place(environment: Prefix, transaction: Transaction, options: LinkOptions) -> None:
    """Raise unless the path is an environment, or can become one."""
    path = environment.path
    for name in NEVER_LINKS:
        if (path / name).is_symlink():
            raise MetadataElsewhere(path / name)
    # What a killed creation left behind is cleared away before anything else.
    if environment.is_environment() or path == options.root_prefix or (path / JOURNAL).is_file():
        return
    hints = ("choose another path", "move what is there away")
    if path.is_symlink() and not path.exists():
        raise DirectoryIsNoEnvironment(path, "it is a link to nowhere", hints=hints)
    if path.exists() and not path.is_dir():
        raise DirectoryIsNoEnvironment(path, "it is a file", hints=hints)
    if path.is_dir():
        if not os.access(path, os.R_OK | os.X_OK):
            raise NotWritable(str(path))
        foreign: set[str] = set()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            foreign = {child.name for child in path.iterdir()} - NOT_FOREIGN
        if foreign:
            raise DirectoryIsNoEnvironment(
                path, f"it holds other things ({', '.join(sorted(foreign)[:3])})", hints=hints
            )


def _changes_something(transaction: Transaction) -> bool:
    """Whether there is anything to do or to remember."""
    return not transaction.is_empty or transaction.restoring is not None or _changed_requests(transaction)


def _changed_requests(transaction: Transaction) -> bool:
    """Whether the user asks for something that is not recorded yet."""
    recorded = {record.name: recorded_specs(record) for record in transaction.current}
    news = any(recorded.get(name) != (spec,) for name, spec in transaction.requested_specs.items())
    return news or bool(transaction.removed_specs or transaction.neutered_specs)


def tell_waiting(prefix: Path, reporter: Reporter) -> Callable[[LockHolder | None], None]:
    def tell(holder: LockHolder | None) -> None:
        reporter(Note(f"waiting for {prefix}, which {holder or 'another process'} is changing"))

    return tell


@contextlib.contextmanager
def failures(prefix: Path) -> Iterator[None]:
    """Errors of the operating system as errors that say what to do."""
    try:
        yield
    except OSError as error:
        where = os.fspath(error.filename2 or error.filename or prefix)
        if error.errno in FULL:
            raise NotEnoughSpace(prefix, None, None, left=room_left(prefix)) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise NotWritable(str(where)) from error
        raise TransactionFailed(prefix, f"{where}: {error.strerror or error}") from error


@contextlib.contextmanager
def _made_directories(path: Path) -> Iterator[list[Path]]:
    """Make a directory with its parents; those that were made are removed again on failure, if nothing is in them."""
    made: list[Path] = []
    missing = [path, *path.parents]
    missing = missing[: next(n for n, parent in enumerate(missing) if parent.is_dir())]
    try:
        for directory in reversed(missing):
            with contextlib.suppress(FileExistsError):
                directory.mkdir()
                made.append(directory)
        yield made
    except BaseException:
        for directory in reversed(made):
            with contextlib.suppress(OSError):
                directory.rmdir()
        raise


@contextlib.contextmanager
def _cleared_away(environment: Prefix, made: Sequence[Path]) -> Iterator[None]:
    """Leave nothing of an environment that does not come to be, not even the lock, while it is held."""
    try:
        yield
    except BaseException:
        if made and not environment.is_environment():
            clear_away(environment.path, made[::-1])
        raise


def check_unchanged(environment: Prefix, transaction: Transaction) -> None:
    """Raise unless conda-meta has the records that the plan was made for."""
    planned = {f"{record.dist}.json" for record in transaction.current}
    present = {path.name for path in environment.record_files()}
    # What a repair writes and takes away.
    missing = planned - present - {_in_meta(file.path) for file in transaction.files.put}
    unknown = present - planned - {_in_meta(path) for path in transaction.files.leaving}
    if unknown:
        # Records that cannot be read, or whose file has another name, do not count.
        unknown &= {file.name for file in read_record_files(environment) if file.counts}
    if missing or unknown:
        raise EnvironmentChanged(environment.path, sorted(name.removesuffix(".json") for name in missing | unknown))


def _in_meta(path: str) -> str:
    return path.removeprefix("conda-meta/")
