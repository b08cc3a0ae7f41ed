"""Put kaa in the place of conda in a root prefix, and take it away again.

What was written is recorded as an installed package `conda`, in conda-meta and with hashes, so that every program which
looks for conda finds one, `kaa verify` sees what became of the files, and taking them away removes those and no others.
A file that is not from here is never touched. The record is written before the files and goes after them: whenever this
is interrupted, running it again ends it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from kaa.errors import KaaError
from kaa.host.files import read_regular_file, write_atomic
from kaa.models.prefix_record import InstalledPath, Link, LinkType, PathsData, PrefixRecord
from kaa.prefix.history import append_revision, new_revision
from kaa.prefix.prefix import Prefix, read_record
from kaa.prefix.prefix_record_file import encode_record
from kaa.shell.conda_files import CondaFile

NAME = "conda"
BUILD = "kaa_0"
"""The build by which a record tells that this conda is kaa."""

PIN_NOTE = "# kaa stands in for conda: kaa init --conda"


class CondaIsInstalled(KaaError):
    """The root prefix has a conda of its own."""

    def __init__(self, root_prefix: str, dist: str) -> None:
        super().__init__(
            f"{root_prefix} is an installation of conda itself ({dist}); kaa does not put itself in its place.",
            hints=(
                "choose another root prefix: kaa init --conda --root-prefix DIR",
                "kaa uses the environments of that installation without being its root: kaa env list",
            ),
        )
        self.root_prefix = root_prefix
        self.dist = dist


class FilesInTheWay(KaaError):
    """Files that are not kaa's stand where its own would have to be."""

    conda_name = "ClobberError"

    def __init__(self, root_prefix: str, paths: Sequence[str]) -> None:
        listed = "".join(f"\n  {root_prefix}/{path}" for path in paths)
        super().__init__(
            f"These were not written by `kaa init --conda`, or changed since, and stay as they are:{listed}\n"
            "Nothing was changed.",
            hints=("move them away and run it again", "choose another root prefix: kaa init --conda --root-prefix DIR"),
        )
        self.root_prefix = root_prefix
        self.paths = tuple(paths)


class CondaRootNotWritable(KaaError):
    """The system does not let kaa write into the root prefix."""

    conda_name = "NotWritableError"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} cannot be written: {reason}. What is missing is written when this is run again.",
            hints=("look at the permissions of the root prefix", "run it again once that is put right"),
        )
        self.path = path
        self.reason = reason


class FileEdit(NamedTuple):
    """A file that is to be written or (None) removed, by its path below the root prefix."""

    path: str
    content: bytes | None
    mode: int = 0o644


class CondaPlan(NamedTuple):
    """What is to change in a root prefix."""

    root_prefix: str
    files: tuple[FileEdit, ...] = ()
    record: PrefixRecord | None = None
    """The record afterwards, if it is another one than before"""
    meanwhile: PrefixRecord | None = None
    """The record while files change: it knows those as well that are about to go"""
    stale: tuple[str, ...] = ()
    """Dist strings of the records that go"""
    pins: FileEdit | None = None
    kept: tuple[str, ...] = ()
    """Files that somebody changed since they were written; they stay as they are."""

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.files or self.record or self.stale or self.pins)

    @property
    def written(self) -> tuple[str, ...]:
        """Every path below the root prefix that is written, the history aside."""
        record = [f"conda-meta/{self.record.dist}.json"] if self.record else []
        return (*record, *(edit.path for edit in self._edits if edit.content is not None))

    @property
    def removed(self) -> tuple[str, ...]:
        """Every path below the root prefix that is removed."""
        records = [f"conda-meta/{dist}.json" for dist in self.stale]
        return (*records, *(edit.path for edit in self._edits if edit.content is None))

    @property
    def _edits(self) -> tuple[FileEdit, ...]:
        return (*self.files, *((self.pins,) if self.pins else ()))


# -- planning ---------------------------------------------------------------------------------------------------------


def plan_conda(root_prefix: str, files: Mapping[str, CondaFile], version: str) -> CondaPlan:
    """What brings the files into the root prefix; raises CondaIsInstalled and FilesInTheWay."""
    records = _own_records(root_prefix)
    known = _known_hashes(records)
    edits: list[FileEdit] = []
    kept: list[str] = []
    foreign: list[str] = []
    for path, file in files.items():
        there, wanted = _hash_of(root_prefix, path), _hash(file.content)
        if there is None or (there != wanted and there in known.get(path, ())):
            edits.append(FileEdit(path, file.content, file.mode))
        elif there != wanted:
            (kept if wanted in known.get(path, ()) else foreign).append(path)
    if foreign:
        raise FilesInTheWay(root_prefix, foreign)
    gone, changed = _removals(root_prefix, {path: known[path] for path in known if path not in files})
    record = _make_record(files, version, {path: _hash_of(root_prefix, path) for path in files}, known)
    is_recorded = len(records) == 1 and _says_the_same(records[0], record)
    return CondaPlan(
        root_prefix,
        (*edits, *gone),
        None if is_recorded else record,
        None if is_recorded else _with_leaving(record, {edit.path: known[edit.path] for edit in gone}),
        tuple(other.dist for other in records if other.dist != record.dist),
        _plan_pins(root_prefix, f"{NAME} =={version} {BUILD}  {PIN_NOTE}"),
        (*kept, *changed),
    )


def plan_conda_removal(root_prefix: str) -> CondaPlan:
    """What takes away all that `plan_conda` brought, but for files that were changed since."""
    records = _own_records(root_prefix)
    gone, changed = _removals(root_prefix, _known_hashes(records))
    stale = tuple(record.dist for record in records)
    return CondaPlan(root_prefix, gone, None, None, stale, _plan_pins(root_prefix, None), changed)


def _own_records(root_prefix: str) -> list[PrefixRecord]:
    """The records of kaa in the place of conda: one, or none, or two where a change was interrupted."""
    found = []
    for path in Prefix(Path(root_prefix)).record_files():
        if path.name.rsplit("-", 2)[0] == NAME:
            record = read_record(path)
            if record.name == NAME and record.build != BUILD:
                raise CondaIsInstalled(root_prefix, record.dist)
            found.append(record)
    return found


def _known_hashes(records: Iterable[PrefixRecord]) -> dict[str, set[str]]:
    """Path → the hashes of what kaa wrote there, or was about to write over."""
    known: dict[str, set[str]] = {}
    for record in records:
        for item in record.paths_data.paths:
            known.setdefault(item.path, set()).update(filter(None, (item.sha256, item.sha256_in_prefix)))
    return known


def _removals(root_prefix: str, known: Mapping[str, set[str]]) -> tuple[tuple[FileEdit, ...], tuple[str, ...]]:
    """The removals of the files that are as they were written, and the paths of those that are not."""
    gone = [FileEdit(path, None) for path in known if _hash_of(root_prefix, path) in known[path]]
    changed = [path for path in known if (there := _hash_of(root_prefix, path)) and there not in known[path]]
    return tuple(gone), tuple(changed)


def _make_record(
    files: Mapping[str, CondaFile], version: str, present: Mapping[str, str | None], known: Mapping[str, set[str]]
) -> PrefixRecord:
    """The record of the files; as the hash `sha256` it keeps what a file says until it is written over."""
    paths = []
    for path, file in files.items():
        there, wanted = present[path], _hash(file.content)
        former = there if there in known.get(path, ()) else wanted
        paths.append(
            InstalledPath(
                path=path,
                path_type="hardlink",
                sha256=former,
                sha256_in_prefix=wanted,
                size_in_bytes=len(file.content),
            )
        )
    return PrefixRecord(
        name=NAME,
        version=version,
        build=BUILD,
        subdir="noarch",
        noarch="generic",
        license="BSD-3-Clause",
        fn=f"{NAME}-{version}-{BUILD}.conda",
        url="",
        channel="",
        files=tuple(files),
        paths_data=PathsData(paths=tuple(paths)),
        link=Link(source="", type=LinkType.COPY),
    )


def _with_leaving(record: PrefixRecord, leaving: Mapping[str, set[str]]) -> PrefixRecord:
    """The record, of files as well that belong to it only until they are removed."""
    paths = [
        InstalledPath(path=path, path_type="hardlink", sha256=min(hashes), sha256_in_prefix=max(hashes))
        for path, hashes in leaving.items()
    ]
    return msgspec.structs.replace(
        record,
        files=(*record.files, *leaving),
        paths_data=PathsData(paths=(*record.paths_data.paths, *paths)),
    )


def _record_content(record: PrefixRecord) -> bytes:
    """The record's file. conda-pack wants to see a `url`, though it is empty."""
    document = json.loads(encode_record(record))
    return json.dumps({**document, "url": record.url}, indent=2).encode() + b"\n"


def _says_the_same(one: PrefixRecord, other: PrefixRecord) -> bool:
    """Whether two records tell of the same files, whatever they were before."""
    wanted = [(item.path, item.sha256_in_prefix) for item in one.paths_data.paths]
    return one.dist == other.dist and wanted == [(item.path, item.sha256_in_prefix) for item in other.paths_data.paths]


def _plan_pins(root_prefix: str, line: str | None) -> FileEdit | None:
    """Keep the solver from putting a conda of some channel over kaa's files: the line in `conda-meta/pinned`."""
    path = "conda-meta/pinned"
    try:
        before = read_regular_file(Path(root_prefix, path))
    except FileNotFoundError:
        before = None
    lines = (before or b"").splitlines(keepends=True)
    kept = b"".join(each for each in lines if PIN_NOTE.encode() not in each)
    after = kept
    if line is not None:
        after += (b"" if not kept or kept.endswith(b"\n") else b"\n") + line.encode() + b"\n"
    if after == (before or b""):
        return None
    return FileEdit(path, after or None)


def _hash_of(root_prefix: str, path: str) -> str | None:
    """The hash of a file, None where there is nothing; what is no plain file has a hash like nothing else."""
    place = Path(root_prefix, path)
    if place.is_symlink() or (place.exists() and not place.is_file()):
        return "no file"
    try:
        return _hash(place.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CondaRootNotWritable(str(place), error.strerror or str(error)) from error


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# -- effects ----------------------------------------------------------------------------------------------------------


def execute_conda_plan(plan: CondaPlan, *, date: str, command: str, program: str) -> None:
    """Carry a plan out; the caller holds the lock of the root prefix."""
    if not plan.changes:
        return
    root = Path(plan.root_prefix)
    environment = Prefix(root)
    try:
        environment.conda_meta.mkdir(parents=True, exist_ok=True)
        if plan.meanwhile is not None:
            write_atomic(environment.record_file(plan.meanwhile), _record_content(plan.meanwhile))
            _remove_records(environment, plan.stale)
        for edit in plan.files:
            _write(root, edit)
        if plan.record is None:
            _remove_records(environment, plan.stale)
        elif plan.record != plan.meanwhile:
            write_atomic(environment.record_file(plan.record), _record_content(plan.record))
        if plan.pins is not None:
            _write(root, plan.pins)
        added = () if plan.record is None else (plan.record.dist,)
        removed = tuple(dist for dist in plan.stale if dist not in added)
        if added or removed or not environment.is_environment():
            append_revision(
                environment,
                new_revision(
                    date,
                    command,
                    program=program,
                    unlinked=[f"kaa/noarch::{dist}" for dist in removed],
                    linked=[f"kaa/noarch::{dist}" for dist in added],
                ),
            )
    except OSError as error:
        raise CondaRootNotWritable(str(error.filename or root), error.strerror or str(error)) from error


def _remove_records(environment: Prefix, dists: Sequence[str]) -> None:
    for dist in dists:
        (environment.conda_meta / f"{dist}.json").unlink(missing_ok=True)


def _write(root: Path, edit: FileEdit) -> None:
    path = root / edit.path
    if edit.content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, edit.content, mode=edit.mode)
        return
    path.unlink(missing_ok=True)
    if path.suffix == ".py":
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (path.parent / "__pycache__").rmdir()
    for folder in path.parents:
        if folder == root:
            break
        with contextlib.suppress(OSError):
            folder.rmdir()


def describe_conda_plan(plan: CondaPlan, *, dry_run: bool) -> dict[str, object]:
    """The plan as a document for machines."""
    return {
        "success": True,
        "dry_run": dry_run,
        "root_prefix": plan.root_prefix,
        "written": list(plan.written),
        "removed": list(plan.removed),
        "kept": list(plan.kept),
    }


def site_packages_of(root_prefix: str) -> str | None:
    """Where the Python of the root prefix looks for modules, below it; None where it has none."""
    python = Prefix(Path(root_prefix)).find("python")
    if python is None:
        return None
    return python.python_site_packages_path or f"lib/python{'.'.join(python.version.split('.')[:2])}/site-packages"
