"""What becomes of files beside packages when an environment goes back to an earlier state. Pure.

pip's distributions that were not there then go, with every file that they list; those that were there come back from
where their files were kept. Packages that pip wrote over are linked again, and what had gone from them then goes again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.prefix.generations import InstalledDistribution, StateFacts
from kaa.transaction.actions import why_unsafe
from kaa.transaction.plan import FileChanges, PutFile, same_package


class FilesOnDisk(msgspec.Struct, frozen=True):
    """What was seen of the files of pip's distributions."""

    gone: Mapping[InstalledDistribution, Collection[str]] = {}
    """The files of distributions that are there now and go, as they are found"""
    staying: Collection[str] = frozenset()
    """The files of distributions that stay"""
    aside: Collection[str] = frozenset()
    """Where files of distributions that go or come lie aside, because packages have their places"""
    kept: Mapping[InstalledDistribution, Sequence[tuple[str, str]]] = {}
    """Of distributions that come back: (path below the environment, absolute path where it is kept)"""


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
) -> RestoredFiles:
    """What to do beside changing `records` (what is installed) into `packages`, to come from `now` to `target`."""
    wanted = {record.name: record for record in packages}
    staying = {record.name: record for record in records if _stays(record, wanted)}
    removed = {path for files in disk.gone.values() for path in files if not why_unsafe(path)}
    removed.difference_update(disk.staying)
    overwritten = {name for name, missing in now.overwritten.items() if target.overwritten.get(name) != missing}
    relinked = {name for name, record in staying.items() if name in overwritten or not removed.isdisjoint(record.files)}
    unchanged = staying.keys() - relinked
    clear = {
        path
        for name, missing in target.overwritten.items()
        if not (name in unchanged and now.overwritten.get(name) == missing)
        for path in missing
        if not why_unsafe(path)
    }
    # Where a package has its own file, it had it then, unless pip had taken the place of the whole package.
    owned = {path for name, record in staying.items() if name not in target.overwritten for path in record.files}
    put = {
        path: PutFile(path, source=source)
        for files in disk.kept.values()
        for path, source in files
        if path not in owned and not why_unsafe(path)
    }
    files = FileChanges(
        remove=tuple(sorted(removed.union(disk.aside))),
        clear=tuple(sorted(clear - put.keys())),
        put=tuple(put[path] for path in sorted(put)),
    )
    return RestoredFiles(files, frozenset(relinked))


def _stays(record: PrefixRecord, wanted: Mapping[str, RepoDataRecord]) -> bool:
    other = wanted.get(record.name)
    return other is not None and same_package(record, other)
