"""What becomes of files beside packages when an environment goes back to an earlier state. Pure.

pip's distributions that were not there then go, with every file that they list; those that were there come back from
where their files were kept. Packages that pip wrote over are linked again, and what had gone from them then goes again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.prefix.generations import StateFacts
from kaa.transaction.actions import bytecode_path, why_unsafe
from kaa.transaction.clobber import UNOWNED, aside_path
from kaa.transaction.plan import FileChanges, PutFile, same_package


class FilesOnDisk(msgspec.Struct, frozen=True):
    """What was seen of the files of pip's distributions; all paths are below the environment, unless they say so."""

    gone: Collection[str] = frozenset()
    """The files of distributions that go"""
    staying: Collection[str] = frozenset()
    """The files of distributions that stay"""
    leftover: Collection[str] = frozenset()
    """Files of distributions that went earlier, with a package in their place, and whose file was not replaced"""
    aside: Collection[str] = frozenset()
    """The files of distributions that do not stay, and that lie aside because packages have their places"""
    damaged: Collection[str] = frozenset()
    """Names of packages that have lost files to distributions"""
    kept: Sequence[tuple[str, str]] = ()
    """The files of distributions that come back: (path, absolute path where it is kept)"""
    taken: Sequence[tuple[str, str]] = ()
    """The same of the files that are to be in the places of single files of packages"""


class RestoredFiles(msgspec.Struct, frozen=True):
    """Files that change, and packages that are linked again for it."""

    files: FileChanges
    relinked: frozenset[str]


def plan_restored_files(
    records: Sequence[PrefixRecord],
    packages: Sequence[RepoDataRecord],
    now: StateFacts,
    target: StateFacts,
    disk: FilesOnDisk,
    bytecode_tag: str | None = None,
) -> RestoredFiles:
    """What to do beside changing `records` (what is installed) into `packages`, to come from `now` to `target`."""
    wanted = {record.name: record for record in packages}
    staying = {record.name: record for record in records if _stays(record, wanted)}
    present = {path: name for name, record in staying.items() for path in record.files}
    owned = {path for record in records for path in record.files}
    removed = {path for path in disk.gone if not why_unsafe(path)}
    removed.update(path for path in disk.leftover if path not in owned and not why_unsafe(path))
    removed.difference_update(disk.staying)
    relinked = _relinked(staying, now, target, disk, {present[path] for path in removed if path in present})
    clear = _cleared(target, now, staying.keys() - relinked, bytecode_tag)
    taken = {path for path, _ in disk.taken}
    # Where a package has its own file, it had it then, unless pip had taken its place.
    own = {path for path, name in present.items() if name not in target.overwritten and path not in taken}
    put = {path: PutFile(path, source=source) for path, source in disk.kept if path not in own and not why_unsafe(path)}
    for path, source in disk.taken:
        if path in present and (path not in now.taken or present[path] in relinked):
            put[path] = PutFile(path, source=source)
    # What lies aside comes back with its package's going, unless that place is emptied first.
    removed.update(path for path in disk.aside if path not in present)
    removed.update(aside_path(UNOWNED, path) for path in disk.aside)
    files = FileChanges(
        remove=tuple(sorted(removed)),
        clear=tuple(sorted(clear - put.keys())),
        put=tuple(put[path] for path in sorted(put)),
    )
    return RestoredFiles(files, relinked)


def _relinked(
    staying: Mapping[str, PrefixRecord],
    now: StateFacts,
    target: StateFacts,
    disk: FilesOnDisk,
    losing: Collection[str],
) -> frozenset[str]:
    """The packages that get their files again: those that lose some now, and those that had lost some to pip."""
    lost = {name for name, missing in now.overwritten.items() if target.overwritten.get(name) != missing}
    had_lost = {name for name, record in staying.items() if not set(target.taken).isdisjoint(record.files)}
    lost.update(set(disk.damaged).difference(target.overwritten, had_lost))
    back = set(now.taken).difference(target.taken)
    lost.update(name for name, record in staying.items() if back and not back.isdisjoint(record.files))
    return frozenset(staying.keys() & lost.union(losing))


def _cleared(target: StateFacts, now: StateFacts, unchanged: Collection[str], bytecode_tag: str | None) -> set[str]:
    """The files of packages that are not to be there, with their bytecode."""
    found = {
        path
        for name, missing in target.overwritten.items()
        if not (name in unchanged and now.overwritten.get(name) == missing)
        for path in missing
        if not why_unsafe(path)
    }
    if bytecode_tag is not None:
        found.update([bytecode_path(path, bytecode_tag) for path in found if path.endswith(".py")])
    return found


def _stays(record: PrefixRecord, wanted: Mapping[str, RepoDataRecord]) -> bool:
    other = wanted.get(record.name)
    return other is not None and same_package(record, other)
