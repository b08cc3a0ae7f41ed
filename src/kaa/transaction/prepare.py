"""The first phase of a transaction: everything that can be found out and decided before anything is changed."""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH112, PTH115, PTH117, PTH118, PTH120, PTH206
from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from kaa.errors import KaaError
from kaa.events import Note, Reporter, Warned
from kaa.host.files import is_writable
from kaa.host.hashing import hash_file
from kaa.host.room import size_in_words
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.transaction.actions import (
    CLOBBERS,
    How,
    PackageActions,
    PathAction,
    UnsafePath,
    bytecode_source,
    path_key,
    plan_actions,
)
from kaa.transaction.clobber import (
    UNOWNED,
    Conflict,
    PathConflictError,
    Settlement,
    aside_path,
    parent_directories,
    settle,
)
from kaa.transaction.disk_view import DiskView
from kaa.transaction.file_changes import check_file_changes
from kaa.transaction.plan import LinkOptions, Transaction
from kaa.transaction.unlink import removable_files
from kaa.transaction.wheel_files import with_installation


class PackageNotExtracted(KaaError):
    """A package of the plan was not handed over extracted."""

    conda_name = "LinkError"

    def __init__(self, package: str) -> None:
        self.package = package
        super().__init__(f"{package} is not in the package cache", hints=("run the command again to fetch it",))


class DamagedPackage(KaaError):
    """A file of the package cache is not what the package says."""

    conda_name = "SafetyError"

    def __init__(self, package: str, path: str, reason: str) -> None:
        self.package = package
        self.path = path
        self.reason = reason
        super().__init__(
            f"the cached package {package} is damaged: {path} {reason}",
            hints=("remove it from the cache with `kaa clean --packages` and run the command again to fetch it anew",),
        )


class NotEnoughSpace(KaaError):
    """The disk has no room for what is to be written."""

    conda_name = "NoSpaceLeftError"

    def __init__(
        self, path: Path, needed: int | None, free: int | None, *, unit: str = "bytes", left: str = ""
    ) -> None:
        self.path = str(path)
        self.needed = needed
        self.free = free
        self.unit = unit
        amounts = f" ({left})" if left else ""
        if needed is not None and free is not None:
            shown = size_in_words if unit == "bytes" else "{} files".format
            amounts = f": {shown(needed)} needed, {shown(free)} free"
        super().__init__(
            f"no space left on the disk of {path}{amounts}",
            hints=(
                "free some space, for example with `kaa clean --all`",
                "keep environments and package cache on one file system, so that files are linked and not copied",
            ),
        )


class NotWritable(KaaError):
    """A directory of the environment cannot be written to by this user."""

    conda_name = "EnvironmentNotWritableError"

    def __init__(self, path: str) -> None:
        self.path = path
        self.read_only = is_read_only(path)
        reason, first = (
            f"no permission to write to {path}",
            "ask its owner, or run as the user who made the environment",
        )
        if self.read_only:
            reason, first = f"the disk of {path} is mounted for reading only", "have that disk mounted for writing"
        super().__init__(reason, hints=(first, "create an environment of your own"))


def is_read_only(path: str) -> bool:
    """Whether a path lies on a file system that is mounted for reading only."""
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except (OSError, AttributeError):
        return False


class Source(msgspec.Struct):
    """An extracted package and what the disk says of its files."""

    package: ExtractedPackage
    actions: PackageActions
    directory: str
    stats: dict[str, os.stat_result] = msgspec.field(default_factory=dict)
    """Path within the package → its state."""


class Prepared(msgspec.Struct):
    """What is going to be done, checked as far as that is possible."""

    sources: list[Source]
    settlement: Settlement
    unlink: list[tuple[PrefixRecord, list[str]]]
    drop: list[str]
    """Unowned files that are equal to what takes their place, or mere bytecode."""
    unowned: list[tuple[str, str]]
    """Unowned files that are kept aside: (from, to)."""
    restored: list[tuple[str, str]]
    """Unowned files that come back: (from, to)."""
    emptied: list[str]
    """Directories that are removed because files take their places, inner ones first."""
    directories: list[str]
    """Directories to make, outer ones first."""


def prepare(
    transaction: Transaction,
    packages: Mapping[str, ExtractedPackage],
    options: LinkOptions,
    reporter: Reporter,
    *,
    compiles: bool,
) -> Prepared:
    """Decide everything and check what can be checked; changes nothing, raises KaaError."""
    key = path_key(transaction.subdir)
    check_file_changes(transaction.files, transaction.prefix)
    sources = [_source(transaction, record, packages, options, reporter, compiles) for record in transaction.to_link]
    new = [source.actions for source in sources]
    kept, removed = transaction.kept, transaction.to_unlink
    order = [record.name for record in transaction.final]
    settlement = settle(new, kept, removed, order, key)
    _report_conflicts(settlement.conflicts, options, reporter)
    owned = {path for record in (*kept, *removed) for path in record.files}
    owned |= {action.target for package in new for action in package.actions if action.how is How.SOFTLINK}
    vanishing: set[str] = set()
    # A directory that the user led elsewhere, and that goes, is not looked into.
    disk = DiskView(transaction.prefix, key, owned, frozenset(transaction.files.leaving))
    unlink = [(record, removable_files(record, disk, settlement.shared, reporter)) for record in removed]
    vanishing.update(path for _, paths in unlink for path in paths)
    vanishing.update(path for moves in settlement.moves.values() for path in moves)
    leaving = vanishing.copy()
    vanishing.update(transaction.files.leaving)
    # What goes may be a link that stands for a directory.
    disk = DiskView(transaction.prefix, key, owned, vanishing)
    prepared = Prepared(sources, settlement, unlink, [], [], [], [], [])
    _look_at_targets(prepared, disk, vanishing, options, reporter)
    put = [file.path for file in transaction.files.put]
    for path in put:
        found = disk.find(path)
        if found is not None and found[1] and found[0] not in transaction.files.leaving:
            prepared.emptied += _emptied(disk, found[0], "what is restored")
    prepared.restored = _restored(prepared, disk, leaving.difference(put, transaction.files.leaving), key)
    prepared.directories = _directories(prepared, disk, transaction.files.leaving)
    _check_permissions(transaction, prepared, disk)
    return prepared


def _source(
    transaction: Transaction,
    record: RepoDataRecord,
    packages: Mapping[str, ExtractedPackage],
    options: LinkOptions,
    reporter: Reporter,
    compiles: bool,
) -> Source:
    package = packages.get(record.dist)
    if package is None:
        raise PackageNotExtracted(record.dist)
    actions = plan_actions(
        record,
        package.paths(),
        package.link(),
        prefix=str(transaction.prefix),
        subdir=transaction.subdir,
        python=transaction.python,
        compile_bytecode=compiles,
    )
    requested = bool(transaction.requests_of(record.name))
    actions = with_installation(actions, package, transaction.python, requested=requested)
    source = Source(package, actions, str(package.directory))
    _check_files(source, options, reporter)
    return source


def _check_files(source: Source, options: LinkOptions, reporter: Reporter) -> None:
    """Look at every file of a package; a link that the package calls a file is treated as a link."""
    dist, directory, stats = source.actions.record.dist, source.directory + "/", source.stats
    checks_size, checks_hash = options.safety_checks != "disabled", options.extra_safety_checks
    # Asking the disk is most of the work here; a plain file that was just checked need not be asked for again.
    trusted = How.LINK if options.files_checked and not checks_hash else None
    changed: dict[int, PathAction] = {}
    for position, action in enumerate(source.actions.actions):
        entry, path = action.entry, action.source
        if entry is None or action.how is trusted or action.how is How.DIRECTORY:
            continue
        try:
            stats[path] = state = os.lstat(directory + path)
        except (FileNotFoundError, NotADirectoryError):
            raise DamagedPackage(dist, path, "is missing") from None
        if (state.st_mode & 0o170000) != stat.S_IFREG or action.how is How.SOFTLINK:
            changed[position] = _as_it_is(action, state, dist)
        elif checks_size and entry.size_in_bytes not in (None, state.st_size):
            reason = f"has {state.st_size} bytes instead of {entry.size_in_bytes}"
            _complain(DamagedPackage(dist, path, reason), options, reporter)
        elif checks_hash and entry.sha256 not in (None, hash_file(Path(directory + path))):
            _complain(DamagedPackage(dist, path, "has another content than it was built with"), options, reporter)
    if changed:
        actions = tuple(changed.get(position, action) for position, action in enumerate(source.actions.actions))
        source.actions = PackageActions(source.actions.record, actions)


def _as_it_is(action: PathAction, state: os.stat_result, dist: str) -> PathAction:
    """The action for a path whose file is a link, or should be one."""
    if stat.S_ISLNK(state.st_mode):
        return action if action.how is How.SOFTLINK else action._replace(how=How.SOFTLINK, path_type="softlink")
    if not stat.S_ISREG(state.st_mode):
        raise DamagedPackage(dist, action.source, "is no file")
    # Unpacked where no links can be made: the target stands there as a file.
    return action._replace(how=How.LINK, path_type="hardlink")


def _complain(error: DamagedPackage, options: LinkOptions, reporter: Reporter) -> None:
    if options.safety_checks == "enabled":
        raise error
    reporter(Warned(error.message))


def _report_conflicts(conflicts: Sequence[Conflict], options: LinkOptions, reporter: Reporter) -> None:
    different = [conflict for conflict in conflicts if not conflict.same_content]
    if different and options.path_conflict == "prevent":
        raise PathConflictError(different)
    for conflict in different:
        text = f"{conflict}, which is kept aside"
        reporter(Warned(text) if options.path_conflict == "warn" else Note(text))


def _look_at_targets(
    prepared: Prepared, disk: DiskView, vanishing: set[str], options: LinkOptions, reporter: Reporter
) -> None:
    """Find what stands where new files go, and decide what becomes of it."""
    if not disk.entries("").keys() - {"conda-meta"}:
        return
    conflicts: list[Conflict] = []
    for source in prepared.sources:
        name = source.actions.record.name
        aside = prepared.settlement.linked_aside.get(name, {})
        for action in source.actions.actions:
            target = aside.get(action.target, action.target)
            found = disk.find(target)
            if found is None or found[0] in vanishing:
                continue
            present, is_directory = found
            if is_directory:
                if action.how is not How.DIRECTORY:
                    prepared.emptied += _emptied(disk, present, name)
            elif action.how is How.DIRECTORY:
                raise PathConflictError([Conflict(target, name, None)], always=True)
            elif target != action.target or _is_replaceable(action, source, f"{disk.prefix}/{present}"):
                prepared.drop.append(present)
            elif disk.leads_out(present):
                # New files follow a link of the user; what is behind it already stays.
                raise UnsafePath(name, present, "is taken by another file, which lies out of the environment")
            else:
                conflicts.append(Conflict(present, name, None))
                prepared.unowned.append((present, _free_aside(disk, present)))
    _report_conflicts(conflicts, options, reporter)


def _free_aside(disk: DiskView, path: str) -> str:
    """Where a file is kept that loses its place: beside one that had lost the same place before."""
    aside = free = aside_path(UNOWNED, path)
    number = 0
    while disk.find(free) is not None:
        number += 1
        free = f"{aside}.{number}"
    return free


def _emptied(disk: DiskView, path: str, name: str) -> list[str]:
    directories = disk.emptied(path)
    if directories is None:
        raise PathConflictError([Conflict(path, name, None)], always=True)
    return directories


def _is_replaceable(action: PathAction, source: Source, present: str) -> bool:
    """Whether nothing is lost when the file at `present` goes: it is equal to what comes, or bytecode."""
    if bytecode_source(action.target) is not None:
        return True
    state = os.lstat(present)
    original = f"{source.directory}/{action.source}"
    if action.how is How.SOFTLINK:
        return stat.S_ISLNK(state.st_mode) and os.readlink(present) == os.readlink(original)
    if not stat.S_ISREG(state.st_mode) or action.how in (How.RENDER, How.BYTECODE):
        return False
    if action.how is How.WRITE:
        return Path(present).read_bytes() == action.content
    entry = action.entry
    # Files that were looked at before this are not looked at again until they must be.
    if entry is None or state.st_size != (source.stats.get(action.source) or os.lstat(original)).st_size:
        return False
    return hash_file(Path(present), "sha256") == (entry.sha256 or hash_file(Path(original), "sha256"))


def _restored(
    prepared: Prepared, disk: DiskView, vanishing: set[str], key: Callable[[str], str]
) -> list[tuple[str, str]]:
    """The unowned files that had lost their places to what goes now, where nothing else takes them."""
    if f"{CLOBBERS}/{UNOWNED}" not in {f"{CLOBBERS}/{name}" for name, _ in disk.entries(CLOBBERS).values()}:
        return []
    taken = {key(action.target) for source in prepared.sources for action in source.actions.actions}
    taken |= {key(target) for moves in prepared.settlement.moves.values() for target in moves.values()}
    found = []
    for path in sorted(vanishing):
        if key(path) not in taken:
            kept = disk.find(aside_path(UNOWNED, path))
            if kept is not None and not kept[1]:
                found.append((kept[0], path))
    return found


def _directories(prepared: Prepared, disk: DiskView, leaving: Collection[str]) -> list[str]:
    """The directories that new files need and that are not there, outer ones first."""
    wanted: set[str] = set()
    targets: set[str] = set()
    links: set[str] = set(prepared.settlement.early_links)
    for source in prepared.sources:
        aside = prepared.settlement.linked_aside.get(source.actions.record.name, {})
        for action in source.actions.actions:
            target = aside.get(action.target, action.target)
            if action.how is How.DIRECTORY:
                wanted.add(target)
            targets.add(target)
    targets.update(target for moves in prepared.settlement.moves.values() for target in moves.values())
    targets.update(target for _, target in (*prepared.unowned, *prepared.restored))
    wanted |= parent_directories({*targets, *wanted})
    gone = set(prepared.emptied)
    missing = [path for path in wanted if path in gone or not disk.directory_exists(path)]
    for path in missing:
        found = disk.find(path)
        if found is not None and not found[1] and path not in links:
            _check_goes(path, prepared, leaving)
    return sorted((path for path in missing if path not in links), key=lambda path: (path.count("/"), path))


def _check_goes(path: str, prepared: Prepared, leaving: Collection[str]) -> None:
    """Raise unless the file at `path`, where a directory is needed, goes in this transaction."""
    if path in leaving or any(path in paths for _, paths in prepared.unlink):
        return
    raise PathConflictError([Conflict(path, "a new package", None)], always=True)


def _check_permissions(transaction: Transaction, prepared: Prepared, disk: DiskView) -> None:
    """Raise NotWritable for a directory in which something is to be made or removed and that is closed to us."""
    prefix, files = transaction.prefix, transaction.files
    touched = {path.rpartition("/")[0] for path in (*files.leaving, *(file.path for file in files.put))}
    touched |= {path.rpartition("/")[0] for _, paths in prepared.unlink for path in paths}
    for source in prepared.sources:
        touched |= {action.target.rpartition("/")[0] for action in source.actions.actions}
    touched |= {path.rpartition("/")[0] for path in prepared.directories}
    touched |= {"conda-meta", ""}
    for directory in sorted(touched):
        if disk.directory_exists(directory):
            path = os.path.join(prefix, directory) if directory else str(prefix)
            if not os.access(path, os.W_OK | os.X_OK):
                raise NotWritable(path)
    if not is_writable(prefix):
        raise NotWritable(str(prefix))


def check_links(sources: Sequence[Source], prefix: Path, reporter: Reporter) -> None:
    """Tell of symbolic links that lead out of the environment; nothing is ever written through them."""
    for source in sources:
        for action in source.actions.actions:
            if action.how is How.SOFTLINK:
                text = os.readlink(f"{source.directory}/{action.source}")
                end = os.path.normpath(os.path.join(os.path.dirname(action.target), text))
                if os.path.isabs(text) or end.split(os.sep)[0] == "..":
                    dist = source.actions.record.dist
                    reporter(Note(f"{dist}: {action.target} is a link to {text}, out of the environment"))
