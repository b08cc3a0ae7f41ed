"""The plan of a change: current records and desired records in, a `Transaction` out. Nothing here touches a disk.

A transaction is what `execute` performs and what a dry run, a confirmation or a preview shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import msgspec

from kaa.errors import KaaError
from kaa.models.graph import RecordGraph
from kaa.models.match_spec_syntax import name_of
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import PackageRecord, RepoDataRecord
from kaa.models.subdir import is_windows
from kaa.prefix.generations import StateFacts
from kaa.prefix.history import recorded_specs

Record = TypeVar("Record", bound=PackageRecord)
PathConflict: TypeAlias = Literal["clobber", "warn", "prevent"]
SafetyChecks: TypeAlias = Literal["disabled", "warn", "enabled"]


class EnvironmentChanged(KaaError):
    """The environment is not the one that the plan was made for."""

    conda_name = "CondaError"

    def __init__(self, prefix: Path, differing: Sequence[str]) -> None:
        self.prefix = str(prefix)
        self.differing = tuple(differing)
        super().__init__(
            f"{prefix} changed since the plan was made: {', '.join(self.differing[:5])}",
            hints=("run the command again; it plans anew",),
        )


class Install(msgspec.Struct, frozen=True):
    """A package comes that was not there."""

    new: RepoDataRecord


class Change(msgspec.Struct, frozen=True):
    """Another version, build or source of a package replaces the installed one."""

    old: PrefixRecord
    new: RepoDataRecord


class Reinstall(msgspec.Struct, frozen=True):
    """The same package is linked again; `reason` says why."""

    old: PrefixRecord
    new: RepoDataRecord
    reason: str = ""


class Remove(msgspec.Struct, frozen=True):
    """A package goes."""

    old: PrefixRecord


Operation: TypeAlias = Install | Change | Reinstall | Remove


class PythonInfo(msgspec.Struct, frozen=True):
    """The python of an environment as the packages beside it see it; paths are posix, below the prefix."""

    version: str
    minor: str
    """`3.12`"""
    executable: str
    """`bin/python3.12`, `python.exe`"""
    site_packages: str
    """`lib/python3.12/site-packages`; may come from the record, so it is checked before anything is linked."""
    scripts: str
    """`bin` or `Scripts`"""
    bytecode_tag: str | None
    """The tag of its bytecode files, `cpython-312`; None where kaa cannot tell (other implementations)."""


class LinkOptions(msgspec.Struct, frozen=True):
    """How a transaction is executed."""

    path_conflict: PathConflict = "clobber"
    safety_checks: SafetyChecks = "enabled"
    """What a cached file of the wrong size means: an error, a warning, or nothing."""
    files_checked: bool = False
    """Whether the caller has just looked at the sizes of all cached files (`package_cache.fetch.ensure` does)."""
    extra_safety_checks: bool = False
    """Whether the hash of every cached file is checked, not only its size."""
    always_copy: bool = False
    compile_bytecode: bool = True
    refused_scripts: frozenset[str] = frozenset()
    """Packages (dist strings) whose link scripts do not run."""
    override_frozen: bool = False
    native_subdir: str = ""
    """The subdir of this machine; scripts and compilation for another one are left out, with a note."""
    root_prefix: Path | None = None
    registry: Path | None = None
    """The environments.txt in which a new environment is entered; None registers nowhere."""
    channel_name: Callable[[str], str] | None = None
    """The short name of a channel for the history; without it the URL is written."""
    environ: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The environment variables that link scripts begin with."""
    interpreter: Path | None = None
    """The program that compiles bytecode, when that is not the environment's own python."""
    workers: int | None = None
    """Processes that compile; None takes one per processor."""
    lock_timeout: float = 600.0
    sync: bool = True
    """Whether the disk is waited for; without it a loss of power may break the environment."""


class PutFile(msgspec.Struct, frozen=True):
    """A file that comes to a place of its own, whatever is there; from a file, or with a content."""

    path: str
    """Posix, below the environment."""
    source: str = ""
    """The absolute path that is linked where that is possible, else copied; symbolic links are made again."""
    content: bytes | None = None
    mode: int | None = None
    """None: the mode of the source, or that of any new file."""


class FileChanges(msgspec.Struct, frozen=True):
    """What becomes of files beside packages; all paths are posix and below the environment.

    Files are removed and moved before packages are unlinked, and put when all packages are linked.
    """

    remove: tuple[str, ...] = ()
    """Files that go; missing ones are fine. Directories that become empty go as well."""
    keep: tuple[tuple[str, str], ...] = ()
    """(from, to): moved, to where nothing is."""
    clear: tuple[str, ...] = ()
    """Files that go when all packages are linked: those that packages bring, and that had gone in an earlier state."""
    put: tuple[PutFile, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.remove or self.keep or self.clear or self.put)

    @property
    def leaving(self) -> tuple[str, ...]:
        """The paths that have gone before anything new comes."""
        return (*self.remove, *(source for source, _ in self.keep))


NO_FILES = FileChanges()


class Restoring(msgspec.Struct, frozen=True):
    """That a transaction goes back to an earlier state of its environment."""

    number: int
    """The generation that it goes back to"""
    cause: str
    """undo, rollback"""
    expected: StateFacts
    """What the environment was beside its packages when this was planned."""


class Transaction(msgspec.Struct, frozen=True):
    """A change of one environment, as a value.

    `operations` stand in the order of linking (dependencies first), removals last. Unlinking goes through the old
    packages in the opposite order.
    """

    prefix: Path
    subdir: str
    operations: tuple[Operation, ...]
    current: tuple[PrefixRecord, ...]
    """What the environment held when this was planned; executing it on anything else is refused."""
    final: tuple[RepoDataRecord, ...]
    """What it holds afterwards, dependencies first."""
    python: PythonInfo | None
    requested_specs: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Package name → what the user asked for, where that changes."""
    removed_specs: tuple[str, ...] = ()
    neutered_specs: Mapping[str, str] = msgspec.field(default_factory=dict)
    command: str = ""
    files: FileChanges = NO_FILES
    """What happens to files beside those of packages."""
    restoring: Restoring | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no package is linked or unlinked and no file changes (the user's requests may still change)."""
        return not self.operations and self.files.is_empty

    @property
    def to_link(self) -> tuple[RepoDataRecord, ...]:
        """The packages that are linked, in that order: those that must be in the cache."""
        return tuple(operation.new for operation in self.operations if not isinstance(operation, Remove))

    @property
    def to_unlink(self) -> tuple[PrefixRecord, ...]:
        """The installed packages whose files go, in that order: dependents first."""
        old = {op.old.name: op.old for op in self.operations if not isinstance(op, Install)}
        return tuple(old[record.name] for record in reversed(dependency_order(self.current)) if record.name in old)

    @property
    def kept(self) -> tuple[PrefixRecord, ...]:
        """The installed packages that stay as they are."""
        gone = {op.old.name for op in self.operations if not isinstance(op, Install)}
        return tuple(record for record in self.current if record.name not in gone)

    @property
    def forgotten(self) -> frozenset[str]:
        """Names of packages that the user no longer asks for."""
        return frozenset(name_of(spec) for spec in self.removed_specs)

    def requests_of(self, name: str) -> tuple[str, ...]:
        """What the user asks for of a package, after this."""
        spec = self.requested_specs.get(name) or self.neutered_specs.get(name)
        if spec is not None:
            return (spec,)
        if name in self.forgotten:
            return ()
        old = next((record for record in self.current if record.name == name), None)
        return recorded_specs(old) if old is not None else ()


def plan_transaction(
    prefix: Path,
    subdir: str,
    current: Sequence[PrefixRecord],
    desired: Sequence[RepoDataRecord],
    *,
    reinstall: Iterable[str] = frozenset(),
    requested_specs: Mapping[str, str] | None = None,
    removed_specs: Sequence[str] = (),
    neutered_specs: Mapping[str, str] | None = None,
    command: str = "",
    files: FileChanges = NO_FILES,
    restoring: Restoring | None = None,
) -> Transaction:
    """The operations that turn `current` into `desired`; `reinstall` names packages to link again in any case."""
    installed = {record.name: record for record in current}
    final = dependency_order(desired)
    wanted = {record.name for record in final}
    python = python_of(final, subdir)
    moved = _moved(python_of(current, subdir), python)
    again = frozenset(reinstall)
    operations: list[Operation] = []
    for record in final:
        old = installed.get(record.name)
        if old is None:
            operations.append(Install(record))
        elif not same_package(old, record):
            operations.append(Change(old, record))
        elif record.name in again:
            operations.append(Reinstall(old, record, "asked for"))
        elif moved and record.noarch == "python":
            operations.append(Reinstall(old, record, moved))
    operations += [Remove(record) for record in reversed(dependency_order(current)) if record.name not in wanted]
    return Transaction(
        prefix=prefix,
        subdir=subdir,
        operations=tuple(operations),
        current=tuple(current),
        final=final,
        python=python,
        requested_specs=dict(requested_specs or {}),
        removed_specs=tuple(removed_specs),
        neutered_specs=dict(neutered_specs or {}),
        command=command,
        files=files,
        restoring=restoring,
    )


def dependency_order(records: Sequence[Record]) -> tuple[Record, ...]:
    """The records, each after what it needs."""
    return RecordGraph(records).order()


def same_package(installed: PackageRecord, desired: PackageRecord) -> bool:
    """Whether two records mean the same bytes: name, version, build and subdir, and the hashes that both know."""
    if (installed.dist, installed.build_number) != (desired.dist, desired.build_number):
        return False
    if installed.subdir and desired.subdir and installed.subdir != desired.subdir:
        return False
    for ours, theirs in ((installed.sha256, desired.sha256), (installed.md5, desired.md5)):
        if ours and theirs:
            return ours.lower() == theirs.lower()
    return True


def python_of(records: Iterable[PackageRecord], subdir: str) -> PythonInfo | None:
    """What the packages of an environment need to know of its python; None when it has none."""
    record = next((record for record in records if record.name == "python"), None)
    if record is None:
        return None
    match = re.match(r"(\d+)\.(\d+)", record.version)
    minor = match.group() if match else record.version
    threads = "t" if re.search(r"_cp\d+t$", record.build) else ""
    windows = is_windows(subdir)
    default = "Lib/site-packages" if windows else f"lib/python{minor}{threads}/site-packages"
    return PythonInfo(
        version=record.version,
        minor=minor,
        executable="python.exe" if windows else f"bin/python{minor}",
        site_packages=record.python_site_packages_path or default,
        scripts="Scripts" if windows else "bin",
        bytecode_tag=_bytecode_tag(record, minor),
    )


def _bytecode_tag(record: PackageRecord, minor: str) -> str | None:
    """`cpython-312`; a pre-release has bytecode of its own, and other implementations are left to themselves."""
    other = re.search(r"pypy|graalpy", record.build, re.IGNORECASE)
    if other or not re.fullmatch(r"3\.\d+(\.\d+)*", record.version) or int(minor[2:]) < 7:
        return None
    return "cpython-" + minor.replace(".", "")


def _moved(old: PythonInfo | None, new: PythonInfo | None) -> str:
    """Why packages that are linked below python's directories must be linked again; empty when they need not."""
    if old is None or new is None:
        return ""
    if old.minor != new.minor:
        return f"python goes from {old.minor} to {new.minor}"
    if old.site_packages != new.site_packages:
        return f"site-packages goes from {old.site_packages} to {new.site_packages}"
    return ""
