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

import msgspec

from kaa.api.looking import looks_at_environment
from kaa.api.lost_packages import packages_called
from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.host.locks import LockTimeout, file_lock
from kaa.host.platform import current_subdir
from kaa.models.prefix_record import InstalledPath, PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.package_cache.cache import ExtractedPackage, PackageCache, UnsafeName
from kaa.prefix.damage import SeenPath, damaged_packages, recorded_paths
from kaa.prefix.distribution_files import read_distributions
from kaa.prefix.environments import absolute_location, read_registry, registry_file
from kaa.prefix.former_place import find_former_place
from kaa.prefix.history import requested_specs
from kaa.prefix.interruption import HISTORY, LOCK, interruption, is_relocating, is_set_aside
from kaa.prefix.prefix import Prefix, open_prefix
from kaa.prefix.python_packages import PythonDistribution
from kaa.prefix.record_files import RecordFile, read_record_files
from kaa.prefix.recorded_files import look_at
from kaa.prefix.verification import (
    BrokenRecord,
    PipFiles,
    UnmetDependency,
    Verification,
    unmet_dependencies,
    with_overwriters,
)
from kaa.transaction.actions import bytecode_source, path_key, why_unsafe
from kaa.transaction.clobber import original_path
from kaa.transaction.expected import expected_record
from kaa.transaction.plan import python_of

LOOKS = 3
"""How often an environment is looked at that changes meanwhile; what is found wrong then says nothing."""
OF_THE_ENVIRONMENT = frozenset({"conda-meta", "condabin", ".condarc", "condarc", "condarc.d"})
"""What may lie at the top of an environment without a package that brought it."""


class Inspection(msgspec.Struct, frozen=True):
    """An environment as a look at every file showed it, with what the look went by."""

    verification: Verification
    record_files: tuple[RecordFile, ...]
    paths: dict[str, dict[str, InstalledPath]]
    """The recorded paths that may be looked at, by dist string"""
    seen: dict[str, dict[str, SeenPath]]
    distributions: dict[PythonDistribution, frozenset[str]]

    @property
    def records(self) -> tuple[PrefixRecord, ...]:
        """The records that count, those of two of one name included."""
        return tuple(file.record for file in self.record_files if file.record is not None and file.counts)


def verify_environment(session: Session, prefix: Path) -> Verification:
    """What is wrong with an environment; raises NotAnEnvironment.

    Damage is an answer, not an error. A creation that was interrupted can be asked about as well.
    """
    return inspect_environment(session, prefix).verification


@looks_at_environment
def inspect_environment(session: Session, prefix: Path) -> Inspection:
    """The same, with the records and what stands at their paths."""
    prefix = absolute_location(prefix, session.cwd)
    for _ in range(LOOKS - 1):
        before = _moment(prefix)
        inspection = _inspect(session, prefix)
        if not inspection.verification.problems or _moment(prefix) == before:
            return inspection
    return _inspect(session, prefix)


def _moment(prefix: Path) -> tuple[str, tuple[int, int] | None]:
    """What is another one when a change of an environment began or ended."""
    state = None
    with contextlib.suppress(OSError):
        found = (prefix / HISTORY).stat()
        state = found.st_ino, found.st_mtime_ns
    return interruption(prefix), state


def _inspect(session: Session, prefix: Path) -> Inspection:
    start = time.monotonic()
    unfinished = bool(interruption(prefix)) or is_relocating(str(prefix))
    environment = Prefix(prefix)
    without_history = not environment.is_environment()
    if without_history and not unfinished and not environment.record_files():
        open_prefix(prefix)
    busy = find_holder(prefix) if unfinished else ""
    record_files = read_record_files(environment)
    records = [file.record for file in record_files if file.record is not None and file.counts]
    paths, unsafe = safe_paths(records)
    name = session.environments.name_of(prefix)
    seen, size = look_at(prefix, paths, originals_of(session, records), session.reporter, f"Checking {name}")
    damaged = damaged_packages(records, paths, seen)
    changed = {one.path for package in damaged for one in package.changed}
    distributions = read_distributions(environment, records, changed)
    owned = {path for found in paths.values() for path in found}
    claimed = claimed_files(session, prefix, record_files)
    pip, users, broken_ones = foreign_files(prefix, owned, distributions, claimed, session.package_directories)
    files_of = {record.dist: record.files for record in records}
    broken = [*broken_records(record_files), *unsafe]
    if without_history and not unfinished:
        broken.append(BrokenRecord("conda-meta/history", "missing", "without it other programs see no environment"))
    verification = Verification(
        prefix=str(prefix),
        packages=len(records),
        files=sum(map(len, paths.values())),
        size=size,
        seconds=time.monotonic() - start,
        interrupted=unfinished and not busy,
        busy=busy,
        moved_from=find_former_place(prefix, records),
        broken_records=tuple(broken),
        damaged=tuple(with_overwriters(one, files_of[one.dist], distributions) for one in damaged),
        unmet=unmet_in(session, environment, records),
        pip=pip,
        user_files=users,
        files_of_broken_records=broken_ones,
    )
    return Inspection(verification, record_files, paths, seen, distributions)


def every_environment(session: Session) -> tuple[Path, ...]:
    """All environments that are known, and what lies among them with records but without a history."""
    known = session.environments.list(read_registry(registry_file(session.home)))
    found = dict.fromkeys(known)
    for directory in session.environments.directories:
        with contextlib.suppress(OSError):
            here = (path for path in sorted(directory.iterdir()) if not is_set_aside(path.name))
            found.update((path, None) for path in here if Prefix(path).record_files())
    return tuple(found)


def originals_of(session: Session, records: Sequence[PrefixRecord]) -> dict[str, Path]:
    """Where the packages lie unpacked in the cache, by dist string, of those that do."""
    cache = session.package_cache
    found = {record.dist: find_in_cache(cache, record) for record in records}
    return {dist: package.directory for dist, package in found.items() if package is not None}


def find_in_cache(cache: PackageCache, record: RepoDataRecord) -> ExtractedPackage | None:
    """The unpacked package of a record that others wrote: its name may be none that a package can have."""
    try:
        return cache.find(record)
    except UnsafeName:
        return None


def unmet_in(session: Session, environment: Prefix, records: Sequence[PrefixRecord]) -> tuple[UnmetDependency, ...]:
    """The dependencies that do not hold, on this machine, with what was asked for."""
    virtual = [package.record() for package in session.virtual_packages(session.subdir)]
    requests: dict[str, str] = {}
    # A history that cannot be read says nothing of what was asked for.
    with contextlib.suppress(OSError):
        requests = requested_specs(environment, records)
    return tuple(unmet_dependencies(records, virtual, requests))


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


def broken_records(files: Sequence[RecordFile]) -> list[BrokenRecord]:
    """What is wrong with files that should be records."""
    return [BrokenRecord(file.path, file.problem, file.reason) for file in files if file.problem]


def claimed_files(session: Session, prefix: Path, files: Sequence[RecordFile]) -> frozenset[str]:
    """The paths that are known to belong to packages whose records do not count."""
    paths: set[str] = set()
    python = python_of([file.record for file in files if file.record is not None and file.counts], session.subdir)
    # Where other packages lie depends on python, the record of which may be broken as well.
    for file in sorted(files, key=lambda file: file.package != "python"):
        if file.counts:
            continue
        if file.record is not None:
            paths.update(file.record.files)
            continue
        paths.update(file.fragments.files)
        for package in packages_called(session.package_cache, file.dist):
            python = python or python_of([package.record], session.subdir)
            # A package that cannot be read, or needs a python that is not there, tells nothing.
            with contextlib.suppress(KaaError, OSError):
                paths.update(expected_record(package.record, package, prefix, session.subdir, python).files)
    return frozenset(paths)


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
    claimed: Collection[str],
    elsewhere: Sequence[Path],
) -> tuple[tuple[PipFiles, ...], tuple[str, ...], tuple[str, ...]]:
    """The files that no package brought: how many each distribution has, those of the user, and the `claimed` ones.

    `elsewhere` are directories below the environment that are no part of it.
    """
    key = path_key(current_subdir())
    brought = {key(path) for path in owned}
    owner_of = {key(path): one for one, files in distributions.items() for path in files}
    metadata = {key(one.metadata): one for one in distributions}
    counts = dict.fromkeys(distributions, 0)
    of_broken_records = {key(path) for path in claimed}
    users, broken = [], []
    for path in iter_files(prefix, frozenset(map(str, elsewhere))):
        at = key(path)
        source = bytecode_source(at)
        if at in brought or (source is not None and source in brought):
            continue
        owner = owner_of.get(at) or metadata.get(at) or metadata.get(at.rpartition("/")[0])
        if owner is None and source is not None:
            owner = owner_of.get(source)
        if owner is not None:
            counts[owner] += 1
        elif at in of_broken_records or source in of_broken_records:
            broken.append(path)
        else:
            users.append(path)
    pip = [PipFiles(one.name, one.version, one.installer, count) for one, count in counts.items()]
    return tuple(pip), tuple(sorted(users)), tuple(sorted(broken))


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
