"""Take back the last change of an environment, or go back to any of its generations.

What is restored comes from the package cache and from the files that were kept of pip's distributions; only a package
that the cache lost is fetched again. All of it is one transaction: planned, shown, then carried out or not at all.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from kaa.api.environments import subdir_of
from kaa.api.execution import execute, fetch_packages, missing_packages
from kaa.api.looking import looks_at_environment
from kaa.api.overwritten import find_damaged_quickly
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.errors import KaaError
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.prefix.current_state import EnvironmentLook
from kaa.prefix.differences import Differences, differences
from kaa.prefix.environments import absolute_location
from kaa.prefix.generations import (
    UNDO,
    Generation,
    GenerationFacts,
    InstalledDistribution,
    State,
    StateFacts,
    generation_before,
    generation_numbers,
    read_generation,
    read_outlines,
)
from kaa.prefix.history import History, read_history, recorded_specs
from kaa.prefix.kept_distributions import (
    files_aside,
    files_in_place,
    files_that_go,
    is_key,
    iter_kept_files,
    kept_directory,
    kept_keys,
    present_files,
)
from kaa.prefix.kept_hashes import changed_files
from kaa.prefix.prefix import Prefix, open_prefix
from kaa.prefix.state import state_content
from kaa.transaction.actions import is_below
from kaa.transaction.plan import FileChanges, PutFile, Restoring, Transaction, plan_transaction, python_of
from kaa.transaction.restored_files import FilesOnDisk, plan_restored_files

ROLLBACK = "rollback"
STATE = "conda-meta/state"
PINNED = "conda-meta/pinned"


class NothingToUndo(KaaError):
    """There is no state before the present one to go back to."""

    def __init__(self, prefix: Path, reason: str) -> None:
        self.prefix = str(prefix)
        self.reason = reason
        where = shlex.quote(str(prefix))
        super().__init__(
            f"nothing can be undone in {prefix}: {reason}",
            hints=(
                f"see what there is with `kaa history --prefix {where}`",
                f"go to any generation with `kaa rollback --prefix {where} NUMBER`",
            ),
        )


class KeptFilesChanged(KaaError):
    """Files that were kept of pip's distributions are not what pip installed any more."""

    def __init__(self, prefix: Path, changed: Sequence[str]) -> None:
        self.prefix = str(prefix)
        self.changed = list(changed)
        shown = "".join(f"\n  {path}" for path in self.changed[:10])
        more = f"\n  and {len(self.changed) - 10} more" if len(self.changed) > 10 else ""
        super().__init__(
            f"{len(self.changed)} files that would be put back were edited after pip had installed them, "
            f"and are not what they were:{shown}{more}",
            hints=(
                "put them back as they are now, edits included: add --with-edited",
                "install those distributions again with pip instead",
            ),
        )


class FilesNotKept(KaaError):
    """The files of distributions that were there are no longer kept."""

    def __init__(self, prefix: Path, distributions: Sequence[str]) -> None:
        self.prefix = str(prefix)
        self.distributions = list(distributions)
        super().__init__(
            f"files of pip's distributions are no longer kept in {prefix}: {', '.join(distributions)}",
            hints=("go to another generation, and install those distributions again with pip",),
        )


class PackagesLost(KaaError):
    """Packages that an earlier state needs are neither in the cache nor to be had from where they came."""

    conda_name = "PackagesNotFoundError"

    def __init__(self, number: int, lost: Sequence[tuple[str, str]]) -> None:
        self.generation = number
        self.packages = [dist for dist, _ in lost]
        self.reasons = [reason for _, reason in lost]
        listed = "".join(f"\n  {dist}: {reason}" for dist, reason in lost)
        super().__init__(
            f"generation {number} cannot be restored: {len(lost)} of its packages are not in the package cache, "
            f"and could not be fetched:{listed}",
            hints=(
                "put those files into the package cache, or make their channel reachable, and try again",
                "install other builds of these packages with `kaa install`",
            ),
        )


class Seen(msgspec.Struct, frozen=True):
    """What an environment is before it goes back."""

    records: tuple[PrefixRecord, ...]
    history: History
    state: State


class Restoration(msgspec.Struct, frozen=True):
    """The way back to a generation."""

    transaction: Transaction
    target: Generation
    changes: Differences
    """From what the environment is now to what it becomes"""
    left: tuple[str, ...] = ()
    """Distributions that stay though they were not there then: they do not say which files are theirs"""
    lacking: tuple[str, ...] = ()
    """Distributions that do not come back: nothing of theirs was kept"""

    @property
    def is_needed(self) -> bool:
        """Whether the environment is anything but that generation."""
        return not self.changes.is_empty


@looks_at_environment
def plan_undo(session: Session, prefix: Path, *, command: str = "", with_edited: bool = False) -> Restoration:
    """The way back before the last change of an environment.

    If others changed it since its latest generation, that is what is taken back. Undoing twice goes two changes back.
    Raises NothingToUndo, KeptFilesChanged, FilesNotKept, BrokenGeneration, NotAnEnvironment.
    """
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    environment = open_prefix(prefix)
    known: dict[int, GenerationFacts] = {one.number: one for one in read_outlines(prefix)}
    if not known:
        raise NothingToUndo(prefix, "nothing was recorded of what it was before")
    now = _look(environment)
    generation: GenerationFacts | None = known[max(known)]
    number: int | None = max(known)
    while generation is not None:
        assert number is not None
        target = read_generation(prefix, number)
        changes = differences(now.state, target)
        if not changes.is_empty:
            return _plan(session, environment, now, target, UNDO, command, with_edited=with_edited)
        generation, number = generation_before(generation, known)
    pruned = number is not None
    reason = f"generation {number}, from before its last change, was pruned" if pruned else "it was made like this"
    raise NothingToUndo(prefix, reason)


@looks_at_environment
def plan_rollback(
    session: Session, prefix: Path, number: int, *, command: str = "", with_edited: bool = False
) -> Restoration:
    """The way to any generation of an environment; raises NoSuchGeneration, and what `plan_undo` raises."""
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    environment = open_prefix(prefix)
    target = read_generation(prefix, number)
    return _plan(session, environment, _look(environment), target, ROLLBACK, command, with_edited=with_edited)


def restore_generation(session: Session, restoration: Restoration) -> int | None:
    """Carry out the way back; gives the number of the new generation.

    Raises PackagesLost with every package that cannot be had, before anything is changed.
    """
    transaction = restoration.transaction
    get_packages(session, restoration)
    execute(session, transaction)
    numbers = generation_numbers(transaction.prefix)
    return numbers[-1] if numbers else None


def get_packages(session: Session, restoration: Restoration) -> None:
    """Have all packages of the way back in the cache; raises PackagesLost."""
    records = restoration.transaction.to_link
    try:
        fetch_packages(session, records)
    except KaaError as error:
        missing = missing_packages(session, restoration.transaction)
        # The first failure ended it; whoever looks for the packages elsewhere wants to know all of them.
        lost = [(record.dist, reason) for record in missing or records if (reason := _why_lost(session, record))]
        if not lost:
            raise
        raise PackagesLost(restoration.target.number, lost) from error


def _why_lost(session: Session, record: RepoDataRecord) -> str:
    try:
        fetch_packages(session, [record])
    except KaaError as error:
        return error.message.partition("\n")[0]
    return ""


def _look(environment: Prefix) -> Seen:
    records, history = environment.records(), read_history(environment)
    return Seen(records, history, EnvironmentLook(environment).state(records, history))


def _plan(
    session: Session,
    environment: Prefix,
    seen: Seen,
    target: Generation,
    cause: str,
    command: str,
    *,
    with_edited: bool,
) -> Restoration:
    now, prefix = seen.state, environment.path
    going = [one for one in now.distributions if one not in target.distributions]
    coming = [one for one in target.distributions if one not in now.distributions]
    _check_kept(prefix, coming, with_edited=with_edited)
    staying = [one for one in now.distributions if one in target.distributions]
    gone = {path for one in going for path in files_that_go(prefix, one)}
    others = [key for key in kept_keys(prefix) if all(one.key != key for one in staying)]
    hidden = [key for key in others if all(one.key != key for one in going)]
    disk = FilesOnDisk(
        gone=gone,
        staying={path for one in staying for path in present_files(prefix, one)},
        leftover={path for key in hidden for path in files_in_place(prefix, key)},
        aside={path for key in others for path in files_aside(prefix, key)},
        damaged=_damaged(prefix, seen.records, gone, others),
        kept=[(path, str(kept)) for one in coming for path, kept in iter_kept_files(prefix, one.key)],
        taken=_kept_in_place(prefix, target),
    )
    subdir = subdir_of(session, seen.records or target.packages)
    python = python_of(target.packages, subdir)
    tag = python.bytecode_tag if python is not None else None
    restored = plan_restored_files(seen.records, target.packages, now, target, disk, tag)
    requested, removed = _requests(seen, target)
    transaction = plan_transaction(
        prefix,
        subdir,
        seen.records,
        target.packages,
        reinstall=restored.relinked,
        requested_specs=requested,
        removed_specs=removed,
        command=command,
        files=_with_settings(environment, restored.files, now, target),
        restoring=Restoring(target.number, cause, msgspec.convert(now, StateFacts, from_attributes=True)),
    )
    return Restoration(
        transaction,
        target,
        differences(now, target),
        left=tuple(one.label for one in going if not one.key),
        lacking=tuple(one.label for one in coming if not one.key),
    )


def _damaged(
    prefix: Path, records: Sequence[PrefixRecord], gone: Iterable[str], keys: Iterable[str]
) -> tuple[str, ...]:
    """The packages that have lost files to a distribution of pip that is known, here or from earlier."""
    paths = set(gone)
    paths.update(path for key in keys for path, _ in iter_kept_files(prefix, key))
    touched = [record for record in records if not paths.isdisjoint(record.files)] if paths else []
    return find_damaged_quickly(prefix, touched)


def _kept_in_place(prefix: Path, target: Generation) -> list[tuple[str, str]]:
    """Where the files are kept that were in the places of single files of packages."""
    found = []
    for directory in [kept_directory(prefix, one.key) for one in target.distributions if is_key(one.key)]:
        for path in filter(is_below, target.taken):
            folder, _, name = path.rpartition("/")
            bytecode = (directory / folder / "__pycache__").glob(f"{name.removesuffix('.py')}.*.pyc")
            kept = [directory / path, *(bytecode if name.endswith(".py") else ())]
            found += [(one.relative_to(directory).as_posix(), str(one)) for one in kept if one.is_file()]
    return found


def _check_kept(prefix: Path, coming: Sequence[InstalledDistribution], *, with_edited: bool) -> None:
    """Raise unless the files of all these distributions are kept as pip had installed them."""
    listed = [one for one in coming if one.key]
    gone = [one.label for one in listed if not is_key(one.key) or not kept_directory(prefix, one.key).is_dir()]
    if gone:
        raise FilesNotKept(prefix, gone)
    changed = [] if with_edited else [path for one in listed for path in changed_files(prefix, one)]
    if changed:
        raise KeptFilesChanged(prefix, changed)


def _requests(seen: Seen, target: Generation) -> tuple[dict[str, str], tuple[str, ...]]:
    """What history and records must say in addition, so that they say what was asked for then; and take back."""
    said = seen.history.requested_specs()
    recorded = {record.name: recorded_specs(record) for record in seen.records}
    wanted = target.requested_specs
    news = {name: spec for name, spec in wanted.items() if said.get(name) != spec or recorded.get(name) != (spec,)}
    asked = [*said, *(name for name, specs in recorded.items() if specs)]
    return news, tuple(dict.fromkeys(name for name in asked if name not in wanted))


def _with_settings(environment: Prefix, files: FileChanges, now: StateFacts, target: StateFacts) -> FileChanges:
    """The changes of files, with those of the variables and the pins."""
    put, remove = list(files.put), list(files.remove)
    if now.variables != target.variables:
        content = state_content(environment, target.variables)
        if content is None:
            remove.append(STATE)
        else:
            put.append(PutFile(STATE, content=content, mode=_mode(environment.path / STATE)))
    if now.pins != target.pins:
        if target.pins:
            put.append(PutFile(PINNED, content=target.pins.encode(), mode=_mode(environment.path / PINNED)))
        else:
            remove.append(PINNED)
    return msgspec.structs.replace(files, put=tuple(put), remove=tuple(remove))


def _mode(path: Path) -> int | None:
    """The mode of a file, if it is there."""
    try:
        return path.stat().st_mode & 0o7777
    except OSError:
        return None
