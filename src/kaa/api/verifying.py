"""Look at every file of an environment: is all as it was installed, and what else is there.

Nothing is changed. What a record names outside the environment is never read, neither by its path nor through links.
"""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH110, PTH114, PTH118
from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from kaa.api.session import Session
from kaa.host.locks import LockTimeout, file_lock
from kaa.host.platform import current_subdir
from kaa.models.prefix_record import InstalledPath, PrefixRecord
from kaa.prefix.damage import damaged_packages, recorded_paths
from kaa.prefix.distribution_files import read_distributions
from kaa.prefix.environments import absolute_location
from kaa.prefix.history import requested_specs
from kaa.prefix.prefix import BrokenPrefixRecord, Prefix, open_prefix, read_record
from kaa.prefix.python_packages import PythonDistribution
from kaa.prefix.recorded_files import look_at
from kaa.prefix.verification import (
    BrokenRecord,
    PipFiles,
    Verification,
    unmet_dependencies,
    with_overwriters,
)
from kaa.transaction.actions import bytecode_source, path_key, why_unsafe
from kaa.transaction.clobber import original_path
from kaa.transaction.execute import LOCK
from kaa.transaction.journal import JOURNAL

OF_THE_ENVIRONMENT = frozenset({"conda-meta", "condabin", ".condarc", "condarc", "condarc.d"})
"""What may lie at the top of an environment without a package that brought it."""


def verify_environment(session: Session, prefix: Path) -> Verification:
    """What is wrong with an environment; raises NotAnEnvironment.

    Damage is an answer, not an error. A creation that was interrupted can be asked about as well.
    """
    start = time.monotonic()
    prefix = absolute_location(prefix, session.cwd)
    unfinished = (prefix / JOURNAL).is_file()
    environment = Prefix(prefix) if unfinished else open_prefix(prefix)
    busy = find_holder(prefix) if unfinished else ""
    records, broken = read_records(environment)
    paths, unsafe = safe_paths(records)
    seen, size = look_at(prefix, paths)
    damaged = damaged_packages(records, paths, seen)
    owned = {path for found in paths.values() for path in found}
    changed = {one.path for package in damaged for one in package.changed}
    distributions = read_distributions(environment, records, changed)
    pip, user_files = foreign_files(prefix, owned, distributions, session.package_directories)
    files_of = {record.dist: record.files for record in records}
    virtual = [package.record() for package in session.virtual_packages(session.subdir)]
    requests: dict[str, str] = {}
    # A history that cannot be read says nothing of what was asked for.
    with contextlib.suppress(OSError):
        requests = requested_specs(environment, records)
    return Verification(
        prefix=str(prefix),
        packages=len(records),
        files=sum(map(len, paths.values())),
        size=size,
        seconds=time.monotonic() - start,
        interrupted=unfinished and not busy,
        busy=busy,
        broken_records=(*broken, *unsafe),
        damaged=tuple(with_overwriters(one, files_of[one.dist], distributions) for one in damaged),
        unmet=tuple(unmet_dependencies(records, virtual, requests)),
        pip=pip,
        user_files=user_files,
    )


def find_holder(prefix: Path) -> str:
    """Who is changing an environment just now; empty when nobody is."""
    try:
        with file_lock(prefix / LOCK, timeout=0):
            return ""
    except LockTimeout as error:
        return error.holder
    except OSError:
        # The lock cannot be asked for here; that a change is unfinished is seen all the same.
        return ""


def read_records(environment: Prefix) -> tuple[list[PrefixRecord], list[BrokenRecord]]:
    """The records that can be used, and what is wrong with the others."""
    records: list[PrefixRecord] = []
    broken: list[BrokenRecord] = []
    known: dict[str, str] = {}
    for file in environment.record_files():
        where = f"conda-meta/{file.name}"
        if not file.is_file():
            broken.append(BrokenRecord(where, "unreadable", "it is no regular file"))
            continue
        try:
            record = read_record(file)
        except BrokenPrefixRecord as error:
            broken.append(BrokenRecord(where, "unreadable", error.reason))
            continue
        if record.dist != file.name.removesuffix(".json"):
            broken.append(BrokenRecord(where, "misnamed", f"it is the record of {record.dist}"))
            continue
        if record.name in known:
            broken.append(BrokenRecord(where, "duplicate", f"{known[record.name]} is recorded as well"))
        known.setdefault(record.name, record.dist)
        records.append(record)
    return records, broken


def safe_paths(
    records: Sequence[PrefixRecord],
) -> tuple[dict[str, dict[str, InstalledPath]], list[BrokenRecord]]:
    """The recorded paths that may be looked at, by dist string, and the records that name others."""
    paths: dict[str, dict[str, InstalledPath]] = {}
    broken = []
    for record in records:
        found = recorded_paths(record)
        for path in list(found):
            reason = why_unsafe(path) and why_unsafe(original_path(path) or path)
            if reason or ".." in path.split("/"):
                del found[path]
                reason = reason or "leads out of the environment"
                where = f"conda-meta/{record.dist}.json"
                broken.append(BrokenRecord(where, "unsafe", f"the path {path!r} {reason}; it was not looked at"))
        paths[record.dist] = found
    return paths, broken


# -- files of nobody, and of pip --------------------------------------------------------------------------------------


def foreign_files(
    prefix: Path,
    owned: Collection[str],
    distributions: Mapping[PythonDistribution, frozenset[str]],
    elsewhere: Sequence[Path],
) -> tuple[tuple[PipFiles, ...], tuple[str, ...]]:
    """The files that no package brought: how many each distribution has, and those of the user.

    `elsewhere` are directories below the environment that are no part of it.
    """
    key = path_key(current_subdir())
    brought = {key(path) for path in owned}
    owner_of = {key(path): one for one, files in distributions.items() for path in files}
    metadata = {key(one.metadata): one for one in distributions}
    counts = dict.fromkeys(distributions, 0)
    users = []
    for path in iter_files(prefix, frozenset(map(str, elsewhere))):
        at = key(path)
        source = bytecode_source(at)
        if at in brought or (source is not None and source in brought):
            continue
        owner = owner_of.get(at) or metadata.get(at) or metadata.get(at.rpartition("/")[0])
        if owner is None and source is not None:
            owner = owner_of.get(source)
        if owner is None:
            users.append(path)
        else:
            counts[owner] += 1
    pip = [PipFiles(one.name, one.version, one.installer, count) for one, count in counts.items()]
    return tuple(pip), tuple(sorted(users))


def iter_files(prefix: Path, elsewhere: Collection[str]) -> Iterator[str]:
    """Every file and link below an environment, without other environments in it, caches, and what is its own."""
    for folder, folders, files in os.walk(prefix):
        relative = folder[len(str(prefix)) + 1 :].replace(os.sep, "/")
        start = f"{relative}/" if relative else ""
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        left_out = OF_THE_ENVIRONMENT if not relative else frozenset()
        folders[:] = sorted(
            name
            for name in folders
            if name not in left_out
            and os.path.join(folder, name) not in elsewhere
            and not os.path.exists(os.path.join(folder, name, "conda-meta", "history"))
        )
        yield from (start + name for name in (*files, *links) if name not in left_out)
