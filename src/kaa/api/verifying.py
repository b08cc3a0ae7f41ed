"""Look at every file of an environment: is all as it was installed, and what else is there.

Nothing is changed. What a record names outside the environment is never read, neither by its path nor through links.
"""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH110, PTH114, PTH118
from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.host.locks import LockTimeout, file_lock
from kaa.host.platform import current_subdir
from kaa.host.threads import map_in_threads
from kaa.models.prefix_record import InstalledPath, PrefixRecord
from kaa.prefix.environments import absolute_location
from kaa.prefix.history import requested_specs
from kaa.prefix.prefix import BrokenPrefixRecord, Prefix, open_prefix, read_record
from kaa.prefix.python_packages import PythonDistribution, find_distributions
from kaa.prefix.verification import (
    BrokenRecord,
    DamagedPackage,
    PipFiles,
    SeenPath,
    Verification,
    damaged_packages,
    expected_hash,
    paths_in_record,
    recorded_paths,
    unmet_dependencies,
    with_overwriters,
)
from kaa.transaction.actions import bytecode_source, path_key, why_unsafe
from kaa.transaction.clobber import original_path
from kaa.transaction.execute import LOCK
from kaa.transaction.journal import JOURNAL

WORKERS = 4
FILES_AT_ONCE = 128
BYTES_AT_ONCE = 8_000_000
RECORD_LIMIT = 16 << 20
BLOCK = 1 << 20
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
    distributions = read_distributions(environment, records, damaged)
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


# -- files of packages ------------------------------------------------------------------------------------------------


def look_at(
    prefix: Path, paths: Mapping[str, Mapping[str, InstalledPath]]
) -> tuple[dict[str, dict[str, SeenPath]], int]:
    """What stands at every recorded path, by dist string, and how many bytes were read for that."""
    chunks = list(iter_chunks(paths))
    is_inside = inside_check(prefix)
    root = f"{prefix}{os.sep}"

    def look(chunk: Sequence[tuple[str, str, InstalledPath]]) -> list[SeenPath]:
        return [see(root, path, entry, is_inside) for _, path, entry in chunk]

    seen: dict[str, dict[str, SeenPath]] = {dist: {} for dist in paths}
    size = 0
    for chunk, answers in zip(chunks, map_in_threads(look, chunks, workers=WORKERS), strict=True):
        for (dist, path, _), answer in zip(chunk, answers, strict=True):
            seen[dist][path] = answer
            size += answer.size if answer.sha256 else 0
    return seen, size


def iter_chunks(paths: Mapping[str, Mapping[str, InstalledPath]]) -> Iterator[list[tuple[str, str, InstalledPath]]]:
    """The recorded paths in portions that are worth a turn of a thread; large files stand alone."""
    chunk: list[tuple[str, str, InstalledPath]] = []
    size = 0
    for dist, found in paths.items():
        for path, entry in found.items():
            chunk.append((dist, path, entry))
            size += entry.size_in_bytes or 0
            if len(chunk) == FILES_AT_ONCE or size > BYTES_AT_ONCE:
                yield chunk
                chunk, size = [], 0
    if chunk:
        yield chunk


def inside_check(prefix: Path) -> Callable[[str], bool]:
    """Whether a directory, as it is below the environment, really lies in it; each is looked up once."""
    real = os.path.realpath(prefix).rstrip(os.sep) + os.sep
    known: dict[str, bool] = {}

    def is_inside(directory: str) -> bool:
        answer = known.get(directory)
        if answer is None:
            found = os.path.realpath(os.path.join(prefix, directory))
            answer = known[directory] = (found + os.sep).startswith(real)
        return answer

    return is_inside


def see(root: str, path: str, entry: InstalledPath, is_inside: Callable[[str], bool]) -> SeenPath:
    """What stands at one recorded path; files are read when their hash is known."""
    if not is_inside(path.rpartition("/")[0]):
        return SeenPath("outside")
    try:
        state = os.lstat(root + path)
        if stat.S_ISLNK(state.st_mode):
            return SeenPath("link", leads_somewhere=os.path.exists(root + path))
        if stat.S_ISDIR(state.st_mode):
            return SeenPath("directory")
        if not stat.S_ISREG(state.st_mode):
            return SeenPath("other")
        is_executable = bool(state.st_mode & 0o111) or os.name == "nt"
        if entry.path_type in ("softlink", "directory") or expected_hash(entry) is None:
            return SeenPath("file", size=state.st_size, is_executable=is_executable)
        digest, size = hash_and_size(root + path)
        return SeenPath("file", digest, size, is_executable)
    except (FileNotFoundError, NotADirectoryError):
        return SeenPath("missing")
    except OSError as error:
        return SeenPath("unreadable", reason=error.strerror or str(error))


def hash_and_size(path: str) -> tuple[str, int]:
    """The SHA-256 of a file that is no link, and how long it is."""
    # What was a file a moment ago may be a link or a pipe by now.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    try:
        digest, size = hashlib.sha256(), 0
        while block := os.read(descriptor, BLOCK):
            digest.update(block)
            size += len(block)
    finally:
        os.close(descriptor)
    return digest.hexdigest(), size


# -- files of nobody, and of pip --------------------------------------------------------------------------------------


def read_distributions(
    environment: Prefix, records: Sequence[PrefixRecord], damaged: Sequence[DamagedPackage]
) -> dict[PythonDistribution, frozenset[str]]:
    """The distributions that pip or its like installed, with the files that each lists.

    One that came in the place of a package's own metadata directory is known by the RECORD that changed there.
    """
    try:
        found = list(find_distributions(environment, records))
        changed = {one.path for package in damaged for one in package.changed}
        if any(path.endswith(".dist-info/RECORD") for path in changed):
            unowned = [msgspec.structs.replace(record, files=()) for record in records]
            every = find_distributions(environment, unowned)
            found += [one for one in every if f"{one.metadata}/RECORD" in changed and one not in found]
    except OSError:
        return {}
    return {distribution: files_of_distribution(environment, distribution) for distribution in found}


def files_of_distribution(environment: Prefix, distribution: PythonDistribution) -> frozenset[str]:
    """The files that a distribution's RECORD lists, as paths below the environment."""
    try:
        with (environment.path / distribution.metadata / "RECORD").open("rb") as stream:
            text = stream.read(RECORD_LIMIT).decode(errors="surrogateescape")
    except OSError:
        return frozenset()
    site_packages = distribution.metadata.rpartition("/")[0]
    return paths_in_record(text, site_packages, environment.path.as_posix())


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
