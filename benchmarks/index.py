"""Indexing a large channel, opening the index again, and all about one name; py-rattler opens it without an index."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, have_rattler, in_turn, run_function, shared_data, show
from kaa.index.decompress import read_document
from kaa.index.index import Index, open_index
from kaa.index.subdir_data import SubdirData
from kaa.models.channel import ChannelConfig
from kaa.net.client import HttpClient

SUBDIRS = ("linux-64", "noarch")
NAME = "python"
VERSIONS = 25
"""How many older versions each real record gets, with the same dependencies."""


def write_large_channel(source: Path, folder: Path) -> int:
    """The channel of `source` with many more versions, as plain compact JSON; returns how many bytes it has."""
    size = 0
    for subdir in SUBDIRS:
        packed = source / subdir / "repodata.json.zst"
        repodata = json.loads(bytes(read_document(packed, str(packed))))
        for section, extension in (("packages", ".tar.bz2"), ("packages.conda", ".conda")):
            repodata[section] = dict(sorted(with_older_versions(repodata[section], extension).items()))
        text = json.dumps(repodata, separators=(",", ":"))
        (folder / subdir).mkdir(parents=True)
        (folder / subdir / "repodata.json").write_text(text)
        size += len(text)
    return size


def with_older_versions(records: dict[str, Any], extension: str) -> dict[str, Any]:
    more = dict(records)
    for record in records.values():
        for number in range(VERSIONS):
            version = f"0.0.{number}.{record['version'].replace('!', '.')}"
            more[f"{record['name']}-{version}-{record['build']}{extension}"] = {**record, "version": version}
    return more


def main() -> None:
    data = shared_data()
    if data is None:
        sys.exit("this benchmark needs real records: set KAA_SHARED_DATA")
    with tempfile.TemporaryDirectory() as temporary, HttpClient() as client:
        folder, cache = Path(temporary, "channel"), Path(temporary, "cache")
        size = write_large_channel(data / "conda-forge-slice", folder)
        channels = ChannelConfig().resolve(str(folder), "/")

        def index() -> Index:
            return open_index(channels, SUBDIRS, cache_directory=cache, client=client)

        def anew() -> Figure:
            shutil.rmtree(cache, ignore_errors=True)
            return run_function(index)

        count = sum(data.record_count for data in index().subdirs if isinstance(data, SubdirData))
        note = f"{count} records, {size / 1e6:.0f} MB of JSON."
        show("Index a channel for the first time", in_turn({"kaa": anew}, rounds=5), note=note)
        contestants = {"kaa": lambda: run_function(index)}
        if have_rattler():
            contestants["py-rattler, sparse"] = lambda: run_function(lambda: open_sparse(folder))
        show("Open it again", in_turn(contestants))
        opened = index()
        [group, *_] = opened.groups(NAME)
        records = len(opened.records(NAME))
        show(
            f"All about {NAME}, {records} records",
            in_turn(
                {
                    "kaa, decode all records": lambda: run_function(lambda: opened.records(NAME)),
                    "kaa, one record": lambda: run_function(lambda: group.record(0)),
                    "kaa, kept columns": lambda: run_function(lambda: kept_columns(index())),
                }
            ),
        )


def kept_columns(opened: Index) -> None:
    """The columns of one name, from disk from the second time on."""
    with opened:
        for group in opened.groups(NAME):
            assert group.columns.count


def open_sparse(folder: Path) -> None:
    import rattler

    channel = rattler.Channel(folder.as_uri())
    for subdir in SUBDIRS:
        rattler.SparseRepoData(channel, subdir, folder / subdir / "repodata.json").close()


if __name__ == "__main__":
    main()
