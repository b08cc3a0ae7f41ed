"""Make temporary environments, and remove those that nobody uses (see `kaa.prefix.temporary`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from kaa.api.environments import ChangeOptions, plan_create, plan_install
from kaa.api.execution import execute
from kaa.api.removal import EnvironmentInUse, plan_environment_removal, remove_environment
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.errors import KaaError
from kaa.events import Note
from kaa.host.files import remove_tree, write_atomic
from kaa.host.locks import LockHolder, file_lock
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.package_cache.measure import measure
from kaa.prefix.prefix import Prefix
from kaa.prefix.temporary import (
    ASKED,
    LOCKS,
    claimed,
    find_answer,
    is_whole,
    iter_temporary,
    key_of,
    last_use,
    mark_whole,
    temporary_directory,
    write_answer,
)
from kaa.transaction.plan import Transaction, plan_transaction

STATE = "conda-meta/state"


class TemporaryEnvironment(msgspec.Struct, frozen=True):
    """A temporary environment that can be removed."""

    prefix: Path
    size: int
    last_used: float


def plan_temporary(
    session: Session, specs: Sequence[str | MatchSpec], *, base: Path | None = None, options: ChangeOptions
) -> Transaction:
    """What a temporary environment for these packages holds, as a plan for a place that is not there.

    With `base` it holds the packages of that environment as well, changed as little as `kaa install` would change
    them; what pip installed there is not among them.
    """
    place = temporary_directory(session.config.root_prefix) / ".new"
    if base is None:
        return plan_create(session, place, specs, options)
    planned = plan_install(session, base, specs, options)
    final = tuple(_offered(record) for record in planned.final)
    asked = {name: spec for name, spec in planned.requested_specs.items() if spec}
    return plan_transaction(place, planned.subdir, (), final, requested_specs=asked, command=options.command)


def make_temporary(
    session: Session,
    question: str,
    plan: Callable[[], Transaction],
    *,
    variables_of: Path | None = None,
    refresh: bool = False,
) -> Path:
    """The environment that answers a question, made if it is not there; whoever asks the same meanwhile waits for it.

    `plan` is called when it must be solved: for a new question, one that is old, or for `refresh`. The environment
    sets the variables that the one at `variables_of` sets.
    """
    root = session.config.root_prefix
    locks = temporary_directory(root) / LOCKS
    before = find_answer(root, question)
    with file_lock(locks / question, waiting=lambda holder: _tell(session, holder)):
        answer = find_answer(root, question)
        # Another one may have answered it just now.
        if answer is not None and not answer.is_old and not (refresh and before is not None):
            return answer.prefix
        transaction = plan()
        variables = b""
        if variables_of is not None:
            with contextlib.suppress(FileNotFoundError):
                variables = (variables_of / STATE).read_bytes()
        name = _name_of(transaction, variables)
        prefix = temporary_directory(root) / name
        with file_lock(locks / name, waiting=lambda holder: _tell(session, holder)):
            if not is_whole(prefix):
                _make(session, msgspec.structs.replace(transaction, prefix=prefix), variables)
        session.checkpoint("answer")
        write_answer(root, question, prefix)
    return prefix


def _make(session: Session, transaction: Transaction, variables: bytes) -> None:
    """Make an environment, or finish one of which only the mark is missing."""
    prefix = transaction.prefix
    settle(session, prefix)
    environment = Prefix(prefix)
    if environment.is_environment() and not _holds(environment, transaction.final):
        remove_environment(session, plan_environment_removal(session, prefix))
    if not environment.is_environment():
        execute(session, transaction)
    if variables:
        write_atomic(prefix / STATE, variables)
    session.checkpoint("mark")
    mark_whole(prefix)


def _holds(environment: Prefix, records: Sequence[RepoDataRecord]) -> bool:
    return {record.dist for record in environment.records()} == {record.dist for record in records}


def _name_of(transaction: Transaction, variables: bytes) -> str:
    """The name of an environment with that content."""
    packages = sorted((record.dist, record.sha256 or record.md5 or record.url) for record in transaction.final)
    return key_of({"packages": packages, "platform": transaction.subdir, "variables": variables.hex()})


def _offered(record: RepoDataRecord) -> RepoDataRecord:
    """A package as a channel offers it, without how it was installed."""
    return RepoDataRecord(**{name: getattr(record, name) for name in RepoDataRecord.__struct_fields__})


def _tell(session: Session, holder: LockHolder | None) -> None:
    session.reporter(Note(f"waiting for {holder or 'another process'}, which is making the same environment"))


def find_removable(session: Session, *, unused_since: float | None = None) -> tuple[TemporaryEnvironment, ...]:
    """The temporary environments that nobody uses now, or since a time (in seconds since the epoch)."""
    found = []
    for prefix in iter_temporary(session.config.root_prefix):
        used = last_use(prefix)
        if unused_since is not None and used >= unused_since:
            continue
        with claimed(prefix) as free:
            if free:
                measured = measure(prefix)
                found.append(TemporaryEnvironment(prefix, measured.size, used))
    return tuple(found)


def remove_temporary(session: Session, environments: Sequence[TemporaryEnvironment]) -> tuple[Path, ...]:
    """Remove temporary environments, but for those that came into use meanwhile; those that are gone now."""
    gone = []
    locks = temporary_directory(session.config.root_prefix) / LOCKS
    for one in environments:
        # Nobody makes it meanwhile either.
        with file_lock(locks / one.prefix.name), claimed(one.prefix) as free:
            if free and last_use(one.prefix) == one.last_used and _remove(session, one.prefix):
                gone.append(one.prefix)
    if gone:
        _forget_answers(session.config.root_prefix)
    return tuple(gone)


def _remove(session: Session, prefix: Path) -> bool:
    try:
        settle(session, prefix)
        if Prefix(prefix).is_environment():
            remove_environment(session, plan_environment_removal(session, prefix))
    except EnvironmentInUse:
        return False
    return not Prefix(prefix).is_environment()


def _forget_answers(root_prefix: Path) -> None:
    """Remove the notes of questions whose environment is gone."""
    directory = temporary_directory(root_prefix) / ASKED
    with contextlib.suppress(OSError, KaaError):
        for path in directory.iterdir():
            if find_answer(root_prefix, path.name) is None:
                remove_tree(path)
