"""A python in a lock that was made of an interpreter of the machine on which the lock was written.

Elsewhere it is made of an interpreter that is the same; else any python of that version takes its place, from the
channels or of another interpreter. Who makes the environment is told so.
"""

from __future__ import annotations

import contextlib

from kaa.api.locked import Locked
from kaa.api.locking import solve_anew
from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.events import Warned
from kaa.models.channel import PYPI
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.pypi.interpreters.addresses import interpreter_of, is_interpreter
from kaa.pypi.interpreters.known import find_interpreters


class NoSuchPython(KaaError):
    """The python of a lock was made of an interpreter of another machine, and nothing here can take its place."""

    conda_name = "PackagesNotFoundInChannelsError"

    def __init__(self, record: RepoDataRecord, filename: str, error: KaaError) -> None:
        self.packages = [record.dist]
        self.interpreter = interpreter_of(record)
        super().__init__(
            f"python {record.version} of {filename} was made of {self.interpreter} on another machine, and there is no "
            f"python like it here: {error.message}",
            hints=(
                "name a channel that has one: --channel conda-forge",
                *error.hints,
                "lock anew on this machine: kaa lock",
            ),
        )


def with_a_python(session: Session, locked: Locked) -> tuple[RepoDataRecord, ...]:
    """The packages of a lock with a python that can be had here; raises NoSuchPython."""
    records: list[RepoDataRecord] = []
    names = {record.name for record in locked.records}
    for record in locked.records:
        if not is_interpreter(record) or _can_be_made(session, record):
            records.append(record)
            continue
        found = _substitute(session, locked, record)
        python = next(one for one in found if one.name == record.name)
        source = f"of {interpreter_of(python)}" if is_interpreter(python) else f"from {python.channel}"
        session.reporter(
            Warned(
                f"python {record.version} of {locked.filename} was made of {interpreter_of(record)} on another "
                f"machine; python {python.version} {source} takes its place"
            )
        )
        # What it needs besides comes along, unless the lock has it.
        records += [one for one in found if one.name == record.name or one.name not in names]
    return tuple(records)


def _can_be_made(session: Session, record: RepoDataRecord) -> bool:
    """Whether the package is in the cache, or an interpreter of this machine is the very one."""
    cache = session.package_cache
    if cache.find(record) is not None:
        return True
    interpreters = find_interpreters(session.environ, cache.index_directory())
    return any(each.fingerprint == record.sha256 for each in interpreters.usable)


def _substitute(session: Session, locked: Locked, record: RepoDataRecord) -> tuple[RepoDataRecord, ...]:
    """A python of the same version and what it needs; if there is none, one of the same minor version."""
    channels = tuple(dict.fromkeys([*session.config.channels, *_safe(locked), PYPI]))
    minor = ".".join(record.version.split(".")[:2])
    with contextlib.suppress(KaaError):
        return solve_anew(session, [MatchSpec.parse(f"python =={record.version}")], locked.platform.subdir, channels)
    try:
        return solve_anew(session, [MatchSpec.parse(f"python {minor}.*")], locked.platform.subdir, channels)
    except KaaError as error:
        raise NoSuchPython(record, locked.filename, error) from None


def _safe(locked: Locked) -> list[str]:
    """The conda channels of the lock; its indexes are those of another machine."""
    return [channel for channel in locked.environment.channels if not channel.startswith(PYPI)]
