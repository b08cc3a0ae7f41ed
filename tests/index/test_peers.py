"""The real records of a channel, as kaa and as py-rattler read them."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kaa.index.decompress import read_document
from kaa.models.artifact import parse_file_name
from kaa.models.record import RepoDataRecord
from tests.index.worlds import Reader

pytestmark = pytest.mark.peers

DATA = Path(os.environ.get("KAA_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
SLICE = DATA / "conda-forge-slice"


def fields_of_ours(record: RepoDataRecord) -> tuple[object, ...]:
    return (
        record.url,
        record.version,
        record.build,
        record.build_number,
        record.subdir,
        sorted(record.depends),
        sorted(record.constrains),
        record.md5,
        record.sha256,
        record.size,
        record.timestamp,
        set(record.track_features.replace(",", " ").split()),
        record.noarch,
    )


def fields_of_theirs(record: Any) -> tuple[object, ...]:
    moment = record.timestamp
    if isinstance(moment, datetime):
        moment = round(moment.astimezone(UTC).timestamp() * 1000)
    noarch = "generic" if record.noarch.generic else "python" if record.noarch.python else None
    return (
        record.url,
        str(record.version),
        str(record.build),
        record.build_number,
        record.subdir,
        sorted(record.depends),
        sorted(record.constrains),
        record.md5.hex() if record.md5 else None,
        record.sha256.hex() if record.sha256 else None,
        record.size,
        moment,
        set(" ".join(record.track_features).split()),
        noarch,
    )


@pytest.mark.parametrize("subdir", ["linux-64", "noarch"])
def test_real_records_as_py_rattler_reads_them(tmp_path: Path, subdir: str) -> None:
    rattler = pytest.importorskip("rattler")
    compressed = SLICE / subdir / "repodata.json.zst"
    if not compressed.exists():
        pytest.skip(f"no real records in {SLICE}; set KAA_SHARED_DATA to where they are")
    plain = tmp_path / subdir / "repodata.json"
    plain.parent.mkdir()
    plain.write_bytes(read_document(compressed, str(compressed)))
    channel = rattler.Channel(tmp_path.as_uri())
    theirs = rattler.SparseRepoData(channel, subdir, plain)
    reader = Reader(tmp_path / "cache")
    with reader.open(str(tmp_path), subdirs=[subdir]) as index:
        assert sorted(index.names()) == sorted(theirs.package_names())
        seen = 0
        for name in index.names():
            ours = {record.fn: record for record in index.records(name)}
            others = {record.file_name: record for record in theirs.load_records(name)}
            assert ours.keys() == others.keys()
            for file_name, record in ours.items():
                assert fields_of_ours(record) == fields_of_theirs(others[file_name])
                assert str(parse_file_name(file_name)) == file_name
            seen += len(ours)
    assert seen == theirs.record_count() > 4000
    assert reader.remarks == []
    theirs.close()
