"""Sharded repodata: the same answers as whole documents, and nothing fetched that nobody looks at."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kaa.events import Warned
from kaa.index.index import ChannelNotFound, ChannelsNotCached, Index, TooManyShards
from kaa.index.repodata_cache import CacheEntry, CacheState
from kaa.index.shard_source import STALE_SECONDS, ShardNotServed
from kaa.index.sharded_data import ShardedData, ShardNotCached
from kaa.index.subdir_data import SubdirData
from kaa.models.match_spec import MatchSpec
from kaa.models.repodata import RepodataInvalid
from kaa.models.virtual_package import VirtualPackage
from kaa.solver.request import SolveRequest
from kaa.solver.solve import solve
from tests.channels import ChannelBuilder, Server, read_shard_index, serve, write_shard_index
from tests.index.worlds import Reader, all_dists, record

SHARDS = "repodata_shards.msgpack.zst"
ALL = ["app-1-0", "app-2-0", "extra-1-0", "lib-1-0", "lib-2-0", "other-1-0", "python-3-0"]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "cache")


@pytest.fixture
def builder(tmp_path: Path) -> ChannelBuilder:
    """A channel: app → lib → python; app constrains extra, and nobody needs other."""
    return fill(ChannelBuilder(tmp_path / "channel")).write_shards()


@pytest.fixture
def server(builder: ChannelBuilder) -> Iterator[Server]:
    with serve(builder.folder) as server:
        yield server


def fill(builder: ChannelBuilder) -> ChannelBuilder:
    offer(builder, "python", "3", subdir="linux-64")
    for version in ("1", "2"):
        offer(builder, "lib", version, depends=["python", "__unix"], subdir="linux-64")
        offer(builder, "app", version, depends=[f"lib >={version}"], constrains=["extra <9"])
    offer(builder, "extra", "1", depends=["other"])
    return offer(builder, "other", "1")


def offer(builder: ChannelBuilder, name: str, version: str, *, subdir: str = "noarch", **fields: Any) -> ChannelBuilder:
    """A record with hashes, as a real one has them."""
    file_name = f"{name}-{version}-0.conda"
    hashes = {key: hashlib.new(key, file_name.encode()).hexdigest() for key in ("md5", "sha256")}
    return builder.add_record(file_name, record(name, version, **hashes, **fields), subdir)


def requested(server: Server) -> list[str]:
    """The files that were asked for since the last call."""
    paths = [request.path for request in server.requests]
    server.requests.clear()
    return sorted({path.rpartition("/")[2] for path in paths})


def shards_of(builder: ChannelBuilder, *names: str) -> list[str]:
    """The file names of the shards of these packages."""
    found = []
    for subdir in builder.repodata:
        for name, digest in read_shard_index(builder.folder / subdir)["shards"].items():
            if name in names:
                found.append(f"{digest.hex()}.msgpack.zst")
    return sorted(found)


def solved(index: Index, *specs: str) -> list[str]:
    """The dists of a solution."""
    machine = (VirtualPackage("__unix", "0"),)
    request = SolveRequest(install=tuple(map(MatchSpec.parse, specs)), virtual_packages=machine)
    return sorted(record.dist for record in solve(request, index).records)


# -- the same answers -------------------------------------------------------------------------------------------------


def test_the_same_answers_as_from_whole_documents(tmp_path: Path, reader: Reader) -> None:
    builder = fill(ChannelBuilder(tmp_path / "channel"))
    builder.add_record("app-2-0.tar.bz2", record("app", "2", license="the older archive format"), "noarch")
    offer(builder, "gone", "1").subdir("noarch")["removed"].append("gone-1-0.conda")
    offer(builder, "lib", "3", subdir="linux-64", track_features="slow", extra_depends={"more": ["app"]})
    newest = record("app", "3", depends=['lib[when="python >=3"]'], flags=["gpu:cuda"], indexed_timestamp=1700000000)
    builder.subdir("noarch")["v3"] = {"conda": {"app-3-0": newest}, "whl": {"app-9-0": newest}}
    offer(builder, "old", "not+a+version")
    builder.write().write_shards()

    def everything(reader: Reader, url: str) -> dict[str, object]:
        with reader.open(url) as index:
            return {
                name: (
                    index.records(name),
                    [
                        (group.columns, [group.record(place) for place in range(group.columns.count)])
                        for group in index.groups(name)
                    ],
                )
                for name in sorted(index.names())
                if index.records(name)
            }

    with serve(builder.folder) as server:
        expected = everything(Reader(tmp_path / "whole", use_shards=False), server.url)
        assert sorted(expected) == ["app", "extra", "lib", "old", "other", "python"]
        for _ in range(2):
            assert everything(reader, server.url) == expected
    with serve(builder.folder) as server:
        reader.dists(server.url)
        assert not server.count("repodata.json.zst")


@pytest.mark.parametrize(
    "encode",
    [bytes, list, lambda digest: digest.hex(), lambda digest: digest.hex().upper()],
    ids=["bytes", "list", "text", "upper"],
)
def test_every_way_to_write_a_hash(
    reader: Reader, builder: ChannelBuilder, server: Server, encode: Callable[[bytes], object]
) -> None:
    for subdir in builder.repodata:
        index = read_shard_index(builder.folder / subdir)
        index["shards"] = {name: encode(digest) for name, digest in index["shards"].items()}
        write_shard_index(builder.folder / subdir, index)
    assert reader.dists(server.url) == ALL


# -- what is fetched --------------------------------------------------------------------------------------------------


def test_only_what_a_solve_needs_is_fetched(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    """What is only constrained is not needed, nor is what that depends on."""
    with reader.open(server.url, ttl=1000) as index:
        assert solved(index, "app", "python") == ["app-2-0", "lib-2-0", "python-3-0"]
    assert requested(server) == sorted([SHARDS, *shards_of(builder, "app", "lib", "python")])
    with reader.open(server.url, ttl=1000) as index:
        assert solved(index, "app", "python") == ["app-2-0", "lib-2-0", "python-3-0"]
    assert requested(server) == []
    with reader.open(server.url) as index:
        assert solved(index, "app", "extra") == ["app-2-0", "extra-1-0", "lib-2-0", "other-1-0", "python-3-0"]
    assert requested(server) == sorted([SHARDS, *shards_of(builder, "extra", "other")])


def test_what_will_be_needed_is_fetched_ahead(reader: Reader, tmp_path: Path) -> None:
    builder = ChannelBuilder(tmp_path / "long")
    names = [f"link{number}" for number in range(30)]
    for name, following in zip(names, [*names[1:], "end"], strict=True):
        offer(builder, name, "1", depends=[f"{following} >=1"])
    builder.write_shards()
    with serve(builder.folder) as server, reader.open(server.url) as index:
        index.load(names[:1])
        deadline = time.monotonic() + 30
        while server.count(".msgpack.zst") < 2 + len(names) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert set(shards_of(builder, *names)) <= {request.path.rpartition("/")[2] for request in server.requests}
        assert index.shard_traffic.waits == 1


def test_a_changed_shard_is_fetched_alone(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    assert reader.dists(server.url) == ALL
    offer(builder, "lib", "4", subdir="linux-64").write_shards()
    requested(server)
    assert reader.dists(server.url) == sorted([*ALL, "lib-4-0"])
    assert requested(server) == sorted([SHARDS, *shards_of(builder, "lib")])


def test_names_of_earlier_runs_that_changed_are_fetched_ahead(
    reader: Reader, builder: ChannelBuilder, server: Server
) -> None:
    with reader.open(server.url) as index:
        solved(index, "app", "extra")
    offer(builder, "lib", "4", subdir="linux-64")
    offer(builder, "extra", "4")
    builder.write_shards()
    requested(server)
    with reader.open(server.url) as index:
        index.load(["lib"])
        deadline = time.monotonic() + 30
        while server.count(".msgpack.zst") < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert requested(server) == sorted([SHARDS, *shards_of(builder, "lib", "extra")])


def test_the_first_channel_with_a_name_is_enough(reader: Reader, builder: ChannelBuilder, tmp_path: Path) -> None:
    second = fill(ChannelBuilder(tmp_path / "second"))
    offer(second, "app", "9")
    offer(second, "more", "1", depends=["app"]).write_shards()
    with serve(builder.folder) as server, serve(second.folder) as other:
        with reader.open(server.url, other.url, only_first_channel=True) as index:
            assert solved(index, "app", "more") == ["app-2-0", "lib-2-0", "more-1-0", "python-3-0"]
        assert requested(other) == sorted([SHARDS, *shards_of(second, "more")])
        with reader.open(server.url, other.url, only_first_channel=True) as index:
            assert [group.columns.count for group in index.groups("app")] == [2, 3], "when asked, all are there"


# -- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [(), ("noarch",), ("linux-64",), ("linux-64", "noarch")])
@pytest.mark.parametrize("sharded", [(), ("noarch",), ("linux-64",), ("linux-64", "noarch")])
def test_each_subdir_in_the_form_in_which_it_comes(
    reader: Reader, tmp_path: Path, sharded: tuple[str, ...], whole: tuple[str, ...]
) -> None:
    builder = fill(ChannelBuilder(tmp_path / "channel")).write().write_shards()
    for subdir in builder.repodata:
        for file in (SHARDS,) if subdir not in sharded else ():
            (builder.folder / subdir / file).unlink()
        for file in ("repodata.json", "repodata.json.zst") if subdir not in whole else ():
            (builder.folder / subdir / file).unlink()
    with serve(builder.folder) as server:
        for url in (server.url, builder.folder.as_uri()):
            if not sharded and not whole:
                with pytest.raises(ChannelNotFound):
                    reader.dists(url)
                continue
            with reader.open(url) as index:
                there = {*sharded, *whole}
                records = [record for name in index.names() for record in index.records(name)]
                assert {record.subdir for record in records} == there
                if there == {"linux-64", "noarch"}:
                    assert all_dists(index) == ALL
                    assert solved(index, "app") == ["app-2-0", "lib-2-0", "python-3-0"]
                if url == server.url:
                    assert {data.subdir for data in index.subdirs if isinstance(data, ShardedData)} == set(sharded)


def test_without_shards(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    builder.write()
    reader.use_shards = False
    assert reader.dists(server.url) == ALL
    assert not server.count(SHARDS)


def test_that_there_are_no_shards_is_remembered_for_a_week(reader: Reader, builder: ChannelBuilder) -> None:
    builder.write()
    for subdir in builder.repodata:
        (builder.folder / subdir / SHARDS).unlink()
    with serve(builder.folder) as server:
        for expected in (True, False):
            assert reader.dists(server.url, subdirs=("noarch",)) == ["app-1-0", "app-2-0", "extra-1-0", "other-1-0"]
            assert (SHARDS in requested(server)) == expected
        entry = CacheEntry(reader.cache, f"{server.url}/noarch", "shards")
        state = entry.read_state()
        assert state is not None and state.is_missing
        builder.write_shards()
        day = 24 * 3600.0
        for days, expected in ((6, False), (8, True)):
            entry.write_state(CacheState(url=state.url, checked=state.checked - days * day, status=404))
            with reader.open(server.url, subdirs=("noarch",)) as index:
                assert isinstance(index.subdirs[0], ShardedData) == expected


def test_a_fresh_document_on_this_machine_saves_all_requests(
    reader: Reader, builder: ChannelBuilder, server: Server
) -> None:
    builder.write()
    reader.use_shards = False
    assert reader.dists(server.url, ttl=1000) == ALL
    reader.use_shards = True
    requested(server)
    assert reader.dists(server.url, ttl=1000) == ALL
    assert requested(server) == []
    with reader.open(server.url) as index:
        assert all(isinstance(data, ShardedData) for data in index.subdirs)


@pytest.mark.parametrize(
    ("base_url", "packages"),
    [
        ("", "{server}/noarch"),
        ("./", "{server}/noarch"),
        ("../packages/", "{server}/packages"),
        ("https://host/pkgs", "https://host/pkgs"),
    ],
)
@pytest.mark.parametrize(
    "shards_base_url", ["shards", "./shards/", "../noarch/shards", "/noarch/shards/", "{server}/noarch/shards/"]
)
def test_where_packages_and_shards_lie(
    reader: Reader, builder: ChannelBuilder, server: Server, base_url: str, packages: str, shards_base_url: str
) -> None:
    builder.write_shards(base_url=base_url, shards_base_url=shards_base_url.format(server=server.url))
    with reader.open(server.url, subdirs=("noarch",)) as index:
        [one, _] = index.records("app")
        assert one.url == f"{packages.format(server=server.url)}/app-1-0.conda"


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"shards_base_url": "s3://bucket/shards"}, "s3://"),
        ({"shards_base_url": "gs://bucket/shards/"}, "gs://"),
        ({"shards_base_url": "file:///etc"}, "files of this machine"),
        ({"base_url": "file:///etc"}, "files of this machine"),
        ({"subdir": "osx-64"}, "'osx-64'"),
    ],
)
def test_shard_indexes_that_cannot_be_followed(
    reader: Reader, builder: ChannelBuilder, server: Server, info: dict[str, str], reason: str
) -> None:
    builder.write_shards(**info)
    with pytest.raises(RepodataInvalid, match=reason):
        reader.dists(server.url, subdirs=("noarch",))
    builder.write()
    assert reader.dists(server.url, subdirs=("noarch",)) == ["app-1-0", "app-2-0", "extra-1-0", "other-1-0"]
    assert any(reason in remark and "is used instead" in remark for remark in reader.remarks)


# -- credentials ------------------------------------------------------------------------------------------------------


def test_a_token_goes_along_to_shards_of_the_channel(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    server.token = "tk-secret"
    assert reader.dists(f"{server.url}/t/tk-secret") == ALL
    assert all(request.path.startswith("/t/tk-secret/") for request in server.requests)
    assert not any(b"tk-secret" in path.read_bytes() for path in reader.cache.rglob("*") if path.is_file())


def test_a_password_goes_to_no_other_host(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    server.credentials = "Basic bWU6c2VjcmV0"  # me:secret
    with serve(builder.folder) as other:
        builder.write_shards(shards_base_url=f"{other.url}/noarch/shards/")
        url = server.url.replace("http://", "http://me:secret@")
        found = ["app-1-0", "app-2-0", "extra-1-0", "other-1-0"]
        assert reader.dists(url, subdirs=("noarch",)) == found
        assert server.requests and all("Authorization" in request.headers for request in server.requests)
        assert other.requests and not any("Authorization" in request.headers for request in other.requests)


# -- offline ----------------------------------------------------------------------------------------------------------


def test_offline_with_what_is_here(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    with pytest.raises(ChannelsNotCached):
        reader.dists(server.url, offline=True)
    with reader.open(server.url) as index:
        solved(index, "app", "python")
    requested(server)
    with reader.open(server.url, offline=True) as index:
        assert solved(index, "app", "python") == ["app-2-0", "lib-2-0", "python-3-0"]
        assert not any(isinstance(event, Warned) for event in reader.events)
    with reader.open(server.url, offline=True) as index:
        assert [group.columns.count for group in index.groups("extra")] == [0]
        assert index.near_names("extre") == ["extra"]
    [warning] = [event.text for event in reader.events if isinstance(event, Warned)]
    assert "extra" in warning and "--offline" in warning
    with reader.open(server.url, offline=True) as index:
        assert [record.dist for record in index.query(MatchSpec.parse("app"))] == ["app-1-0", "app-2-0"]
        with pytest.raises(ShardNotCached, match="extra") as caught:
            index.query(MatchSpec.parse("extra"))
        assert any("--offline" in hint for hint in caught.value.hints)
    assert requested(server) == []


def test_offline_an_earlier_shard_will_do(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    """The index was renewed, and then there was no network to fetch the new shard."""
    with reader.open(server.url) as index:
        solved(index, "app")
    offer(builder, "app", "3", depends=["lib"]).write_shards()
    with reader.open(server.url):
        pass
    server.requests.clear()
    with reader.open(server.url, offline=True) as index:
        assert solved(index, "app") == ["app-2-0", "lib-2-0", "python-3-0"]
    with reader.open(server.url) as index:
        assert solved(index, "app") == ["app-3-0", "lib-2-0", "python-3-0"]


def test_offline_what_was_asked_for_last_counts(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    builder.write()
    for use_shards, kind in ((False, SubdirData), (True, ShardedData), (False, SubdirData)):
        reader.use_shards = use_shards
        assert reader.dists(server.url) == ALL
        for either in (False, True):
            reader.use_shards = either
            with reader.open(server.url, offline=True) as index:
                assert all(isinstance(data, kind) for data in index.subdirs)
                assert all_dists(index) == ALL


# -- searching --------------------------------------------------------------------------------------------------------


def test_a_search_for_a_name_fetches_its_shard(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    with reader.open(server.url) as index:
        requested(server)
        assert [record.dist for record in index.query(MatchSpec.parse("app >1"))] == ["app-2-0"]
    assert set(shards_of(builder, "app")) <= set(requested(server))


@pytest.fixture
def large(tmp_path: Path) -> ChannelBuilder:
    builder = ChannelBuilder(tmp_path / "large")
    for number in range(120):
        offer(builder, f"package-{number}", "1")
    return builder.write_shards()


def test_a_narrow_pattern_fetches_what_it_matches(reader: Reader, large: ChannelBuilder) -> None:
    with serve(large.folder) as server, reader.open(server.url, subdirs=("noarch",)) as index:
        found = [record.name for record in index.query(MatchSpec.parse("package-11*"))]
        assert found == sorted(f"package-{number}" for number in [11, *range(110, 120)])
        assert requested(server) == sorted([SHARDS, *shards_of(large, *found)])


def test_a_wide_pattern_reads_the_whole_document(reader: Reader, large: ChannelBuilder) -> None:
    with serve(large.folder) as server:
        with reader.open(server.url, subdirs=("noarch",)) as index, pytest.raises(TooManyShards, match="120"):
            index.query(MatchSpec.parse("*"))
        large.write()
        requested(server)
        with reader.open(server.url, subdirs=("noarch",)) as index:
            assert len(index.query(MatchSpec.parse("*"))) == 120
        assert requested(server) == ["repodata.json", SHARDS]
        with reader.open(server.url, subdirs=("noarch",), offline=True) as index:
            assert len(index.query(MatchSpec.parse("*"))) == 120


# -- what is on the disk ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["*.state", "*.body", "*.index", "*.columns", "*.shards/*"])
@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"nothing of ours\n" * 100), id="other"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="cut off"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), id="half"),
        pytest.param(lambda path: path.write_bytes(bytes(path.stat().st_size)), id="zeros"),
        pytest.param(lambda path: flip_each(path), id="flipped"),
    ],
)
def test_altered_files(
    reader: Reader, builder: ChannelBuilder, server: Server, kind: str, alter: Callable[[Path], object]
) -> None:
    def answers() -> list[object]:
        with reader.open(server.url, ttl=1000) as index:
            solution = solved(index, "app", "extra")
            return [solution, [group.record(0) for group in index.groups("lib")], index.records("app")]

    expected = answers()
    paths = list(reader.cache.glob(kind))
    assert paths
    for path in paths:
        alter(path)
    assert answers() == expected
    requested(server)
    assert answers() == expected
    assert requested(server) == [], "what was damaged was made again"


def flip_each(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()  # a process that has the old file open keeps it
    path.write_bytes(
        content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]
    )


def test_every_flipped_bit_of_a_shard_is_noticed(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    def answers() -> object:
        with reader.open(server.url, subdirs=("noarch",), ttl=1000) as index:
            return index.records("extra")

    expected = answers()
    [path] = reader.cache.glob("*.shards/*")
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        assert answers() == expected


def test_old_shards_go_and_young_ones_stay(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    noarch = ("noarch",)
    assert len(reader.dists(server.url, subdirs=noarch)) == 4
    [folder] = reader.cache.glob("*.shards")
    first = {path.name for path in folder.iterdir()}
    assert len(first) == 3
    old = time.time() - STALE_SECONDS - 60
    for path in folder.iterdir():
        os.utime(path, (old, old))
    for version in ("5", "6"):
        offer(builder, "app", version).write_shards()
        reader.dists(server.url, subdirs=noarch)
    names = {path.name for path in folder.iterdir()}
    listed = {name.partition(".")[0] for name in shards_of(builder, "app", "extra", "other")}
    assert listed < names
    assert len(names - listed) == 1, "the app of version 5 is young; the first one is gone"
    assert len(names & first) == 2


def test_columns_of_replaced_shards_are_forgotten(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    sizes = []
    for number in range(12):
        offer(builder, "app", f"5.{number % 3}").write_shards()
        with reader.open(server.url, subdirs=("noarch",)) as index:
            index.load(["app"])
            assert index.groups("app")[0].columns.count
        [path] = reader.cache.glob("*.columns")
        sizes.append(path.stat().st_size)
    assert max(sizes) < 6 * sizes[0]


def test_a_shard_index_that_is_out_of_date_is_read_again(
    reader: Reader, builder: ChannelBuilder, server: Server
) -> None:
    with reader.open(server.url, ttl=1000) as index:
        index.load(["python"])
    old = shards_of(builder, "app")
    offer(builder, "app", "3", depends=["lib"]).write_shards()
    for name in old:
        (builder.folder / "noarch" / "shards" / name).unlink()
    requested(server)
    with reader.open(server.url, ttl=1000) as index:
        assert solved(index, "app") == ["app-3-0", "lib-2-0", "python-3-0"]
    assert SHARDS in requested(server)
    for name in shards_of(builder, "app"):
        (builder.folder / "noarch" / "shards" / name).unlink()
    reader.cache = reader.cache.with_name("empty")
    with reader.open(server.url, ttl=1000) as index:
        with pytest.raises(ShardNotServed, match="app") as caught:
            index.load(["app"])
        assert any("--no-repodata-use-shards" in hint for hint in caught.value.hints)


def test_records_of_other_names_are_left_out(reader: Reader, builder: ChannelBuilder) -> None:
    noarch = builder.repodata["noarch"]["packages.conda"]
    noarch["app-4-0.conda"] = record("python", "4")
    noarch["app-5-0.conda"] = record("app", "5", sha256="00", md5=None, depends=None)
    builder.write_shards()
    with serve(builder.folder) as server, reader.open(server.url, subdirs=("noarch",)) as index:
        assert index.groups("app")[0].columns.count == 3
        assert [record.dist for record in index.records("app")] == ["app-1-0", "app-2-0", "app-5-0"]
    [remark] = [remark for remark in reader.remarks if "left out" in remark]
    assert "app-4-0.conda" in remark and "python-4-0" in remark


def test_json_and_shards_of_one_channel_are_kept_apart(reader: Reader, builder: ChannelBuilder, server: Server) -> None:
    builder.write()
    for use_shards in (True, False, True):
        reader.use_shards = use_shards
        assert reader.dists(server.url) == ALL
    assert len(list(reader.cache.glob("*.state"))) == 4
    states = [json.loads(path.read_bytes())["document_url"] for path in reader.cache.glob("*.state")]
    assert sum(url.endswith(SHARDS) for url in states) == 2
