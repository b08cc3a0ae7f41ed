"""Shards of real records, and shards that another program wrote: the same answers as from whole documents."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kaa.channels.shards import write_shards
from kaa.index.decompress import read_document
from kaa.index.index import Index
from kaa.models.match_spec import MatchSpec
from kaa.models.repodata import parse_repodata
from kaa.solver.request import SolveRequest
from kaa.solver.solve import solve
from tests.channels import ChannelBuilder, Package, serve
from tests.index.test_peers import SLICE
from tests.index.worlds import Reader
from tests.solver.conda_forge import MACHINE, SUBDIRS

REQUESTS = (
    "python=3.12 numpy pandas",
    "python numpy pandas scipy scikit-learn matplotlib jupyterlab",
    "gdal geopandas xarray dask python=3.11",
)


def solved(index: Index, request: str) -> list[str]:
    specs = tuple(map(MatchSpec.parse, request.split()))
    solution = solve(SolveRequest(install=specs, virtual_packages=MACHINE), index)
    return sorted(record.url for record in solution.records)


@pytest.mark.slow
def test_shards_of_real_records(tmp_path: Path) -> None:
    folder = tmp_path / "channel"
    for subdir in SUBDIRS:
        compressed = SLICE / subdir / "repodata.json.zst"
        if not compressed.exists():
            pytest.skip(f"no real records in {SLICE}; set KAA_SHARED_DATA to where they are")
        (folder / subdir).mkdir(parents=True)
        (folder / subdir / "repodata.json.zst").write_bytes(compressed.read_bytes())
        write_shards(folder / subdir, parse_repodata(read_document(compressed, str(compressed))))
    with (
        serve(folder) as server,
        Reader(tmp_path / "whole", use_shards=False).open(server.url) as whole,
    ):
        expected = [solved(whole, request) for request in REQUESTS]
        reader = Reader(tmp_path / "cache")
        for _ in range(2):
            for request, answer in zip(REQUESTS, expected, strict=True):
                with reader.open(server.url, only_first_channel=True) as index:
                    assert solved(index, request) == answer
        fetched = sum("/shards/" in request.path for request in server.requests)
        assert fetched < 500
        with reader.open(server.url) as index:
            assert sorted(index.names()) == sorted(whole.names())
            for name in index.names():
                assert index.records(name) == whole.records(name)
                assert [group.columns for group in index.groups(name)] == [
                    group.columns for group in whole.groups(name)
                ]
        assert reader.remarks == [remark for remark in reader.remarks if remark.startswith("fetched")]


RATTLER = """
import asyncio, sys
from pathlib import Path
from rattler.index import index_fs
asyncio.run(index_fs(Path(sys.argv[1]), write_shards=True))
"""


@pytest.mark.peers
def test_shards_that_py_rattler_wrote(tmp_path: Path) -> None:
    pytest.importorskip("rattler")
    folder = tmp_path / "channel"
    ChannelBuilder(folder).add(
        Package("app", "1.0", depends=["lib >=1"], index_extra={"license": "MIT", "track_features": "x"}),
        Package("app", "2.0", depends=["lib >=2", "__unix"], constrains=["other <1"]),
        Package("lib", "2.0", noarch="python", extension=".tar.bz2"),
        Package("lib", "2.0", noarch="python"),
        Package("other", "1.0", index_extra={"python_site_packages_path": "lib/x"}),
    )
    subprocess.run([sys.executable, "-c", RATTLER, str(folder)], check=True, capture_output=True)

    def answers(index: Index) -> dict[str, object]:
        return {name: index.records(name) for name in sorted(index.names())}

    with serve(folder) as server:
        with Reader(tmp_path / "whole", use_shards=False).open(server.url) as index:
            expected = answers(index)
        assert sorted(expected) == ["app", "lib", "other"]
        server.requests.clear()
        reader = Reader(tmp_path / "cache")
        with reader.open(server.url) as index:
            assert answers(index) == expected
            assert solved(index, "app") == [
                f"{server.url}/linux-64/app-2.0-0.conda",
                f"{server.url}/noarch/lib-2.0-0.conda",
            ]
        assert not server.count("repodata.json.zst") and not server.count("repodata.json")
