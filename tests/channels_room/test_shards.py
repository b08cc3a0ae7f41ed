from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kaa.channels.index import NoChannelFolder, index_channel
from kaa.channels.sharding import NoRepodata, shard_channel
from kaa.channels.shards import CACHE_NAME, KEPT_SECONDS, SHARD_INDEX, WrittenShards, write_shards
from kaa.cli.main import main
from kaa.models.channel_relations import InvalidChannelRelation
from kaa.models.repodata import (
    ChannelRelations,
    RepoData,
    RepodataInvalid,
    decode_shard_record,
    parse_repodata,
    parse_shard,
    parse_shard_index,
)
from tests.channels import ChannelBuilder, Package, serve

NOW = 1_800_000_000.0
DAY = 24 * 3600.0
MD5 = "0123456789abcdef" * 2
SHA256 = "0123456789abcdef" * 4


def record(name: str, version: str = "1.0", **more: Any) -> dict[str, Any]:
    return {"name": name, "version": version, "build": "0", "build_number": 0, "depends": [], **more}


def document(*records: dict[str, Any], extension: str = ".conda", **more: Any) -> dict[str, Any]:
    section = "packages" if extension == ".tar.bz2" else "packages.conda"
    files = {f"{found['name']}-{found['version']}-{found['build']}{extension}": found for found in records}
    return {"info": {"subdir": "linux-64"}, section: files, **more}


def parsed(content: dict[str, Any]) -> RepoData:
    return parse_repodata(json.dumps(content).encode())


def write(folder: Path, content: dict[str, Any], *, now: float = NOW, **more: Any) -> WrittenShards:
    folder.mkdir(parents=True, exist_ok=True)
    return write_shards(folder, parsed(content), clock=lambda: now, **more)


def unpacked(path: Path) -> Any:
    return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(path.read_bytes()))


def shard_index(folder: Path) -> Any:
    return unpacked(folder / SHARD_INDEX)


def shard(folder: Path, name: str) -> Any:
    """A shard as a client finds it, from the index on."""
    index = shard_index(folder)
    digest: bytes = index["shards"][name]
    path = folder / index["info"]["shards_base_url"] / f"{digest.hex()}.msgpack.zst"
    assert sha256(path.read_bytes()).digest() == digest
    return unpacked(path)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_index_and_a_shard(tmp_path: Path) -> None:
    six, old = record("six", md5=MD5, sha256=SHA256, legacy_bz2_md5=MD5, size=3), record("six", "0.9")
    content = document(six) | document(old, extension=".tar.bz2", removed=["six-0.8-0.conda", "gone-1-0.tar.bz2"])
    written = write(tmp_path, content)
    assert written == WrittenShards(subdir="linux-64", shards=2, written=2, pruned=0)
    index = shard_index(tmp_path)
    assert index["version"] == 1
    assert index["info"] == {
        "subdir": "linux-64",
        "base_url": "./",
        "shards_base_url": "./shards/",
        "created_at": "2027-01-15T08:00:00Z",
    }
    raw = {"md5": bytes.fromhex(MD5), "sha256": bytes.fromhex(SHA256), "legacy_bz2_md5": bytes.fromhex(MD5)}
    assert shard(tmp_path, "six") == {
        "packages": {"six-0.9-0.tar.bz2": old},
        "packages.conda": {"six-1.0-0.conda": six | raw},
        "removed": ["six-0.8-0.conda"],
    }
    assert shard(tmp_path, "gone") == {"packages": {}, "packages.conda": {}, "removed": ["gone-1-0.tar.bz2"]}


INFO: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"base_url": "./"}),
    ({"base_url": "https://elsewhere.example/x"}, {"base_url": "https://elsewhere.example/x"}),
    ({"channel_relations": {"base": "../y"}}, {"channel_relations": {"base": "../y"}}),
    ({"channel_relations": {}}, {}),
    (
        {"repodata_revisions": {"v3": {"n_packages": 2, "message": None}}},
        {"repodata_revisions": {"v3": {"n_packages": 2}}},
    ),
]


@pytest.mark.parametrize(("info", "expected"), INFO)
def test_what_a_document_says_of_itself_is_in_the_index(
    tmp_path: Path, info: dict[str, Any], expected: dict[str, Any]
) -> None:
    write(tmp_path, {"info": {"subdir": "osx-64", **info}})
    found = shard_index(tmp_path)["info"]
    base = {"subdir": "osx-64", "shards_base_url": "./shards/", "created_at": found["created_at"], "base_url": "./"}
    assert found == {**base, **expected}


def test_a_document_that_says_nothing_is_that_of_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "win-64", {})
    assert shard_index(tmp_path / "win-64")["info"]["subdir"] == "win-64"


def test_newer_revisions_and_all_their_formats_are_in_shards(tmp_path: Path) -> None:
    v3 = {
        "conda": {"a-1.0-0": record("a", flags=["x"], sha256=SHA256)},
        "whl": {"a-2.0-py3_none_any_0": record("a", "2.0", fn="a-2.0-py3-none-any.whl")},
    }
    write(tmp_path, document(record("a", "0.1"), v3=v3))
    found = shard(tmp_path, "a")
    assert list(found["packages.conda"]) == ["a-0.1-0.conda"]
    assert found["v3"]["whl"] == v3["whl"]
    assert found["v3"]["conda"]["a-1.0-0"] == record("a", flags=["x"], sha256=bytes.fromhex(SHA256))


@pytest.mark.parametrize(
    ("own", "told", "expected"),
    [(None, None, None), (None, {}, {}), ({"weak": ["a"]}, None, {"weak": ["a"]}), ({"weak": ["a"]}, {}, {})],
)
def test_run_exports(tmp_path: Path, own: Any, told: Any, expected: Any) -> None:
    content = document(record("a", **({} if own is None else {"run_exports": own})))
    write(tmp_path, content, run_exports={} if told is None else {"a-1.0-0.conda": told})
    assert shard(tmp_path, "a")["packages.conda"]["a-1.0-0.conda"].get("run_exports") == expected


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    content = document(record("a"), record("b"), removed=["b-0-0.conda"])
    write(tmp_path, content)
    before = files(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    turned = document(record("b"), record("a"), removed=["b-0-0.conda"])
    assert write(tmp_path, turned, now=NOW + DAY).written == 0
    assert files(tmp_path) == before
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times


def test_the_same_records_are_the_same_bytes_everywhere(tmp_path: Path) -> None:
    rows = [record(name, str(version), sha256=SHA256) for name in ("a", "b", "c") for version in range(200)]
    write(tmp_path / "one", document(*rows), workers=1)
    write(tmp_path / "two", document(*reversed(rows)), workers=4)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    write(tmp_path, document(record("a"), record("b")))
    [before] = [shard_index(tmp_path)]
    written = write(tmp_path, document(record("a"), record("b", "2.0"), record("c")), now=NOW + 60)
    assert (written.shards, written.written) == (3, 2)
    after = shard_index(tmp_path)
    assert after["shards"]["a"] == before["shards"]["a"]
    assert after["info"]["created_at"] != before["info"]["created_at"]
    assert list(shard(tmp_path, "b")["packages.conda"]) == ["b-2.0-0.conda"]


@pytest.mark.parametrize("content", [None, b"", b"\x93\x63\x80", b"\x92\x01\x81\xa1a\x93\xc4\x00\xc4\x00\x00"])
def test_a_lost_cache_costs_time_and_nothing_else(tmp_path: Path, content: bytes | None) -> None:
    write(tmp_path, document(record("a")))
    before = files(tmp_path)
    (tmp_path / CACHE_NAME).unlink()
    if content is not None:
        (tmp_path / CACHE_NAME).write_bytes(content)
    assert write(tmp_path, document(record("a")), now=NOW + DAY).written == 0
    assert files(tmp_path) == before


@pytest.mark.parametrize("damage", [b"", b"x", None])
def test_a_damaged_shard_is_made_again(tmp_path: Path, damage: bytes | None) -> None:
    write(tmp_path, document(record("a")))
    before = files(tmp_path)
    [path] = (tmp_path / "shards").iterdir()
    path.unlink() if damage is None else path.write_bytes(damage)
    assert write(tmp_path, document(record("a")), now=NOW + DAY).written == 1
    assert files(tmp_path) == before


def test_a_damaged_index_is_made_again(tmp_path: Path) -> None:
    write(tmp_path, document(record("a")))
    (tmp_path / SHARD_INDEX).write_bytes(b"no index")
    write(tmp_path, document(record("a")), now=NOW + DAY)
    assert list(shard_index(tmp_path)["shards"]) == ["a"]


def test_an_old_shard_stays_for_a_week_after_it_was_last_named(tmp_path: Path) -> None:
    write(tmp_path, document(record("a")))
    [old] = (tmp_path / "shards").iterdir()
    os.utime(old, (NOW - 300 * DAY, NOW - 300 * DAY))
    assert write(tmp_path, document(record("a", "2")), now=NOW + DAY).pruned == 0
    assert write(tmp_path, document(record("a", "2")), now=NOW + DAY + KEPT_SECONDS - 1).pruned == 0
    assert old.exists()
    assert write(tmp_path, document(record("a", "2")), now=NOW + DAY + KEPT_SECONDS + 1).pruned == 1
    assert not old.exists()
    assert shard(tmp_path, "a")


def test_an_old_shard_that_is_named_again_stays(tmp_path: Path) -> None:
    write(tmp_path, document(record("a")))
    write(tmp_path, document(record("a", "2")), now=NOW + DAY)
    back = write(tmp_path, document(record("a")), now=NOW + 30 * DAY)
    assert (back.written, back.pruned) == (0, 0)
    assert list(shard(tmp_path, "a")["packages.conda"]) == ["a-1.0-0.conda"]


def test_nothing_is_pruned_when_nobody_can_tell_what_was_named(tmp_path: Path) -> None:
    write(tmp_path, document(record("a")))
    [old] = (tmp_path / "shards").iterdir()
    os.utime(old, (1, 1))
    (tmp_path / SHARD_INDEX).unlink()
    assert write(tmp_path, document(record("a", "2"))).pruned == 0
    assert old.exists()


def test_what_others_put_among_the_shards_stays_and_rests_of_a_killed_writer_go(tmp_path: Path) -> None:
    write(tmp_path, document(record("a")))
    rest = tmp_path / "shards" / f".{SHA256}.msgpack.zst.abc"
    foreign = tmp_path / "shards" / "README"
    for path in (rest, foreign):
        path.write_text("x")
        os.utime(path, (1, 1))
    assert write(tmp_path, document(record("a"))).pruned == 0
    assert (rest.exists(), foreign.exists()) == (False, True)


@pytest.mark.parametrize(
    "name", ["a.conda", "a-1.conda", "a/../b-1-0.conda", "-1-0.conda", "\u00e9-1-0.conda", "a b-1-0.conda"]
)
def test_names_that_are_none_are_left_out(tmp_path: Path, name: str) -> None:
    content = document(record("a"))
    content["packages.conda"][name] = record("a")
    written = write(tmp_path, content)
    assert written.left_out == (name,)
    assert list(shard_index(tmp_path)["shards"]) == ["a"]


def test_a_record_that_is_none_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, document(record("a")))
    before = files(tmp_path)
    with pytest.raises(RepodataInvalid, match=r"b-1-0\.conda cannot be read"):
        write(tmp_path, {"packages.conda": {"b-1-0.conda": 3, "a-1-0.conda": record("a", "1")}})
    assert {path: content for path, content in files(tmp_path).items() if "shards/" not in path} == {
        path: content for path, content in before.items() if "shards/" not in path
    }


def test_a_reader_in_between_never_misses_a_shard(tmp_path: Path) -> None:
    """One thread writes versions as fast as it can; another reads index and shards as a client does."""
    write(tmp_path, document(*(record(name, "0") for name in "abcdef")))
    stop = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                index = shard_index(tmp_path)
                for digest in index["shards"].values():
                    path = tmp_path / "shards" / f"{digest.hex()}.msgpack.zst"
                    assert sha256(path.read_bytes()).digest() == digest
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for version in range(1, 40):
        write(tmp_path, document(*(record(name, str(version)) for name in "abcdef")), now=NOW + version)
    stop.set()
    reader.join()
    assert failures == []


TEXTS = st.text(max_size=5)
FIELDS = st.dictionaries(
    st.sampled_from(["md5", "sha256", "size", "depends", "timestamp", "license", "weird", "run_exports"]),
    st.one_of(
        st.none(),
        st.integers(-(2**63), 2**63 - 1),
        TEXTS,
        st.lists(TEXTS, max_size=2),
        st.dictionaries(TEXTS, TEXTS, max_size=2),
    ),
    max_size=4,
)
NAMES = st.sampled_from(["a", "a-b", "_c", "py.x"])
EXTENSIONS = st.sampled_from([".conda", ".tar.bz2"])


@given(st.lists(st.tuples(NAMES, st.integers(0, 5), EXTENSIONS, st.booleans(), FIELDS), max_size=12))
def test_shards_hold_the_document_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str, bool, dict[str, Any]]]
) -> None:
    content: dict[str, Any] = {"packages": {}, "packages.conda": {}, "v3": {}}
    for name, version, extension, is_new, fields in rows:
        stem = f"{name}-{version}-0"
        if is_new:
            content["v3"].setdefault(extension[1:], {})[stem] = record(name, str(version)) | fields
        else:
            content["packages" if extension == ".tar.bz2" else "packages.conda"][stem + extension] = (
                record(name, str(version)) | fields
            )
    folder = tmp_path_factory.mktemp("subdir")
    write(folder, content)
    gathered: dict[str, Any] = {"packages": {}, "packages.conda": {}, "v3": {}}
    for name in shard_index(folder)["shards"]:
        found = shard(folder, name)
        for section in ("packages", "packages.conda"):
            assert all(entry["name"] == name for entry in found[section].values())
            gathered[section] |= found[section]
        for extension, records in found.get("v3", {}).items():
            gathered["v3"].setdefault(extension, {}).update(records)
    assert with_text_hashes(gathered) == with_text_hashes(content)


def with_text_hashes(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {
            key: with_text_hashes(
                inner if not (key in ("md5", "sha256") and isinstance(inner, str)) else as_bytes(inner)
            )
            for key, inner in value.items()
        }
    return value


def as_bytes(text: str) -> bytes | str:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text


# -- with the rest of the index ---------------------------------------------------------------------------------------


def test_a_channel_that_has_shards_keeps_them(tmp_path: Path) -> None:
    builder = ChannelBuilder(tmp_path).add(
        Package("a", info_files={"run_exports.json": b'{"weak": ["a >=1"]}'}), Package("z", noarch="generic")
    )
    assert index_channel(tmp_path)[0].shards is None
    assert not (tmp_path / "linux-64" / SHARD_INDEX).exists()
    indexed = index_channel(tmp_path, shards=True)
    assert [(found.shards.shards, found.shards.written) for found in indexed if found.shards] == [(1, 1), (1, 1)]
    builder.add(Package("b"))
    index_channel(tmp_path)
    assert sorted(shard_index(tmp_path / "linux-64")["shards"]) == ["a", "b"]
    found = shard(tmp_path / "linux-64", "a")["packages.conda"]["a-1.0-0.conda"]
    assert found["run_exports"] == {"weak": ["a >=1"]}
    text = (tmp_path / "linux-64/repodata.json").read_bytes()
    plain = json.loads(text)["packages.conda"]["a-1.0-0.conda"]
    assert {key: value.hex() if isinstance(value, bytes) else value for key, value in found.items()} == plain | {
        "run_exports": {"weak": ["a >=1"]}
    }


def test_kaa_reads_the_records_back(tmp_path: Path) -> None:
    ChannelBuilder(tmp_path).add(Package("a", depends=["x >=1"]))
    index_channel(tmp_path, shards=True)
    digest = shard_index(tmp_path / "linux-64")["shards"]["a"]
    packed = (tmp_path / "linux-64/shards" / f"{digest.hex()}.msgpack.zst").read_bytes()
    found = parse_shard(zstandard.ZstdDecompressor().decompress(packed), "a shard")
    [section] = [section for section in found.sections() if section.records]
    [(file_name, text)] = section.records.items()
    read = decode_shard_record(text, "file:///c", "linux-64", file_name, f"file:///c/linux-64/{file_name}")
    expected = json.loads((tmp_path / "linux-64/repodata.json").read_bytes())["packages.conda"][file_name]
    assert (read.sha256, read.md5, read.depends) == (expected["sha256"], expected["md5"], ("x >=1",))


# -- for a channel as it is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["repodata.json", "repodata.json.zst"])
def test_shards_of_a_channel_without_its_packages(tmp_path: Path, name: str) -> None:
    for subdir in ("linux-64", "noarch"):
        text = json.dumps(document(record("a", sha256=SHA256)) | {"info": {"subdir": subdir}}).encode()
        (tmp_path / subdir).mkdir()
        (tmp_path / subdir / name).write_bytes(
            zstandard.ZstdCompressor().compress(text) if name.endswith("zst") else text
        )
    (tmp_path / "win-64").mkdir()
    exports = {"packages.conda": {"a-1.0-0.conda": {"run_exports": {"weak": ["a"]}}, "b-1-0.conda": {}}, "info": {}}
    (tmp_path / "linux-64/run_exports.json").write_text(json.dumps(exports))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    found = shard_channel(tmp_path)
    assert [(written.subdir, written.shards) for written in found] == [("linux-64", 1), ("noarch", 1)]
    assert shard(tmp_path / "linux-64", "a")["packages.conda"]["a-1.0-0.conda"]["run_exports"] == {"weak": ["a"]}
    assert "run_exports" not in shard(tmp_path / "noarch", "a")["packages.conda"]["a-1.0-0.conda"]
    assert {path: path.read_bytes() for path in before} == before
    assert [written.subdir for written in shard_channel(tmp_path, subdirs=["noarch"])] == ["noarch"]


def test_a_channel_that_cannot_be_sharded(tmp_path: Path) -> None:
    with pytest.raises(NoChannelFolder):
        shard_channel(tmp_path / "missing")
    (tmp_path / "noarch").mkdir()
    with pytest.raises(NoRepodata, match="no subfolder of"):
        shard_channel(tmp_path)
    (tmp_path / "noarch/repodata.json").write_text("{")
    with pytest.raises(RepodataInvalid, match=r"noarch/repodata\.json"):
        shard_channel(tmp_path)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAA_ROOT_PREFIX", str(tmp_path / "root"))
    folder = tmp_path / "channel"
    ChannelBuilder(folder).add(Package("a"))
    assert main(["channel", "index", str(folder), "--shards", "--json"]) == 0
    assert [subdir["shards"] for subdir in json.loads(capsys.readouterr().out)] == [1, 0]
    assert list(shard_index(folder / "linux-64")["shards"]) == ["a"]
    for path in (folder / "linux-64").glob("*.conda"):
        path.unlink()
    assert main(["channel", "index", str(folder), "--from-repodata", "-q"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["subdir", "shards", "written"],
        ["linux-64", "1", "0"],
        ["noarch", "0", "0"],
    ]
    assert records_of(folder) == ["a-1.0-0.conda"]
    assert main(["channel", "index", str(folder), "--from-repodata", "--json"]) == 0
    assert [subdir["shards"] for subdir in json.loads(capsys.readouterr().out)] == [1, 0]


def records_of(folder: Path) -> list[str]:
    return list(json.loads((folder / "linux-64/repodata.json").read_bytes())["packages.conda"])


# -- what is said of other channels -----------------------------------------------------------------------------------


def said(folder: Path, subdir: str) -> Any:
    plain = json.loads((folder / subdir / "repodata.json").read_bytes())["info"].get("channel_relations")
    assert shard_index(folder / subdir)["info"].get("channel_relations") == plain
    return plain


def test_relations_are_in_every_document_and_stay(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    ChannelBuilder(folder).add(Package("a"))
    index_channel(folder, shards=True, relations=ChannelRelations(base="../forge", overrides="../old"))
    expected = {"base": "../forge", "overrides": "../old"}
    assert (said(folder, "linux-64"), said(folder, "noarch")) == (expected, expected)
    (folder / "osx-64").mkdir()
    index_channel(folder, shards=True)
    assert [said(folder, subdir) for subdir in ("linux-64", "noarch", "osx-64")] == [expected] * 3
    index_channel(folder, relations=ChannelRelations(base="../other"))
    assert said(folder, "osx-64") == {"base": "../other"}
    index_channel(folder, relations=ChannelRelations())
    assert said(folder, "linux-64") is None


@pytest.mark.parametrize(
    "relations",
    [
        ChannelRelations(base="forge"),
        ChannelRelations(base="../mine"),
        ChannelRelations(base="../x", overrides="../x/"),
    ],
)
def test_relations_that_nobody_could_follow_are_not_written(tmp_path: Path, relations: ChannelRelations) -> None:
    folder = tmp_path / "mine"
    ChannelBuilder(folder).add(Package("a"))
    with pytest.raises(InvalidChannelRelation):
        index_channel(folder, relations=relations)
    assert not (folder / "linux-64/repodata.json").exists()


COMMANDS = [
    (["--base", "../forge", "--overrides", "../..", "--shards"], 0, {"base": "../forge", "overrides": "../.."}),
    (["--shards"], 0, {"base": "../first"}),
    (["--no-relations"], 0, None),
    (["--base", "https://elsewhere.example"], 1, {"base": "../first"}),
    (["--base", "../x", "--no-relations"], 2, {"base": "../first"}),
    (["--base", "../x", "--subdir", "noarch"], 2, {"base": "../first"}),
    (["--no-relations", "--from-repodata"], 2, {"base": "../first"}),
]


@pytest.mark.parametrize(("words", "code", "expected"), COMMANDS)
def test_the_command_says_what_goes_with_a_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, expected: Any
) -> None:
    monkeypatch.setenv("KAA_ROOT_PREFIX", str(tmp_path / "root"))
    folder = tmp_path / "mine"
    ChannelBuilder(folder).add(Package("a"))
    index_channel(folder, shards=True, relations=ChannelRelations(base="../first"))
    assert main(["channel", "index", str(folder), "-q", *words]) == code
    assert (said(folder, "linux-64"), said(folder, "noarch")) == (expected, expected)


# -- what py-rattler makes of the same files --------------------------------------------------------------------------

RATTLER = """
import asyncio, json, sys
from rattler import Channel, Gateway, SourceConfig

async def main(url, cache):
    config = SourceConfig(zstd_enabled=False, bz2_enabled=False, sharded_enabled=True)
    gateway = Gateway(cache_dir=cache, default_config=config)
    names = await gateway.names([Channel(url)], ["linux-64", "noarch"])
    specs = sorted(name.source for name in names)
    found = await gateway.query([Channel(url)], ["linux-64", "noarch"], specs, recursive=False)
    return [
        {
            "fn": record.file_name, "url": record.url, "sha256": record.sha256.hex(), "md5": record.md5.hex(),
            "size": record.size, "depends": record.depends, "subdir": record.subdir,
        }
        for records in found for record in records
    ]

print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2]))), flush=True)
import os
os._exit(0)
"""


@pytest.mark.peers
def test_rattler_reads_the_shards(tmp_path: Path) -> None:
    packages = [
        Package("a", depends=["b >=1", "c"], info_files={"run_exports.json": b'{"weak": ["a"]}'}),
        Package("a", "2.0", extension=".tar.bz2"),
        Package("b", noarch="generic", index_extra={"license": "MIT", "track_features": "x"}),
        Package("c", index_extra={"schema_version": 3, "depends": ['foo[when="__unix"]']}),
        Package("gone"),
    ]
    folder = tmp_path / "channel"
    ChannelBuilder(folder).add(*packages)
    index_channel(folder, shards=True, relations=ChannelRelations(base="../forge"))
    (folder / "linux-64/gone-1.0-0.conda").unlink()
    index_channel(folder)
    with serve(tmp_path) as server:
        url = f"{server.url}/channel"
        done = subprocess.run(
            [sys.executable, "-c", RATTLER, url, str(tmp_path / "cache")], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        # It follows the relation, too; of the channel itself it needs nothing but shards.
        plain = [request.path.split("/")[1] for request in server.requests if "repodata.json" in request.path]
        assert set(plain) == {"forge"}
        assert {request.path.rpartition("/")[2] for request in server.requests if "/shards/" in request.path} == {
            path.name for path in folder.glob("*/shards/*") if path.name in named(folder)
        }
    found = {record["fn"]: record for record in json.loads(done.stdout)}
    expected = {package.file_name: package for package in packages if package.name != "gone"}
    assert found.keys() == expected.keys()
    for name, package in expected.items():
        content = (folder / package.subdir / name).read_bytes()
        assert found[name]["sha256"] == sha256(content).hexdigest()
        assert found[name]["md5"] == md5(content).hexdigest()
        assert found[name]["size"] == len(content)
        assert found[name]["url"] == f"{url}/{package.subdir}/{name}"
        assert found[name]["subdir"] == package.subdir
    assert found["a-1.0-0.conda"]["depends"] == ["b >=1", "c"]


def named(folder: Path) -> set[str]:
    return {
        f"{digest.hex()}.msgpack.zst"
        for subdir in ("linux-64", "noarch")
        for digest in shard_index(folder / subdir)["shards"].values()
    }


def test_a_rattler_index_without_a_version_is_read() -> None:
    content = {"info": {"subdir": "noarch", "base_url": "", "shards_base_url": "./shards/"}, "shards": {"a": bytes(32)}}
    assert parse_shard_index(msgspec.msgpack.encode(content), "an index").version == 1
