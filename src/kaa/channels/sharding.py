"""Shards for a channel as it is: from its repodata.json, without its packages (a mirror, say, or another's channel)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kaa.channels.index import LOCK_NAME, NoChannelFolder, find_subdirs
from kaa.channels.shards import WrittenShards, write_shards
from kaa.errors import KaaError
from kaa.events import Reporter, StageFinished, StageStarted, silent
from kaa.host.locks import file_lock
from kaa.index.decompress import read_document
from kaa.models.repodata import RepodataInvalid, parse_repodata

DOCUMENTS = ("repodata.json", "repodata.json.zst", "repodata.json.bz2")


class NoRepodata(KaaError):
    """A folder was to be sharded in which no subdir has a repodata.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        super().__init__(
            f"no subfolder of {folder} has a repodata.json",
            hints=(f"make one of the packages there: kaa channel index --shards {folder}",),
        )


class RunExports(msgspec.Struct, frozen=True):
    """run_exports.json (CEP 12)."""

    packages: dict[str, dict[str, Any]] = {}
    conda_packages: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict, name="packages.conda")


def shard_channel(
    folder: Path,
    *,
    subdirs: Sequence[str] | None = None,
    reporter: Reporter = silent,
    clock: Callable[[], float] = time.time,
) -> tuple[WrittenShards, ...]:
    """Write the shards of every subdir (or of `subdirs`) that has a repodata.json; nothing else is changed.

    Raises NoChannelFolder, NoRepodata, RepodataInvalid.
    """
    if not folder.is_dir():
        raise NoChannelFolder(folder)
    wanted = find_subdirs(folder) if subdirs is None else list(dict.fromkeys(subdirs))
    written = []
    with file_lock(folder / LOCK_NAME):
        for subdir in wanted:
            document = next((path for name in DOCUMENTS if (path := folder / subdir / name).is_file()), None)
            if document is not None:
                written.append(_shard_subdir(document, reporter, clock))
    if not written:
        raise NoRepodata(folder)
    return tuple(written)


def _shard_subdir(document: Path, reporter: Reporter, clock: Callable[[], float]) -> WrittenShards:
    stage = f"Indexing {document.parent.name}"
    started = time.monotonic()
    reporter(StageStarted(stage))
    repodata = parse_repodata(read_document(document, str(document)), str(document))
    written = write_shards(document.parent, repodata, run_exports=_read_run_exports(document.parent), clock=clock)
    reporter(StageFinished(stage, time.monotonic() - started))
    return written


def _read_run_exports(folder: Path) -> dict[str, dict[str, Any]]:
    """The run exports of packages, where a channel tells them in a file of their own."""
    path = next(
        (path for name in ("run_exports.json", "run_exports.json.zst") if (path := folder / name).is_file()), None
    )
    if path is None:
        return {}
    try:
        found = msgspec.json.decode(bytes(read_document(path, str(path))), type=RunExports)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RepodataInvalid(str(path), f"its JSON cannot be read ({error})") from error
    return {
        name: entry["run_exports"]
        for entries in (found.packages, found.conda_packages)
        for name, entry in entries.items()
        if isinstance(entry.get("run_exports"), dict)
    }
