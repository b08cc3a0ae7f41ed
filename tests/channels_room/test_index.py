from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

from kaa.channels.index import CACHE_NAME, IndexedSubdir, NoChannelFolder, index_channel
from kaa.cli.main import main
from kaa.events import Event, StageAdvanced, StageFinished, StageStarted
from kaa.models.match_spec import MatchSpec
from kaa.models.repodata import parse_repodata
from tests.channels import ChannelBuilder, File, Package

LATER = 1_800_000_000.0


def repodata(folder: Path, subdir: str = "linux-64") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / subdir / "repodata.json").read_bytes())
    return content


def records(folder: Path, subdir: str = "linux-64") -> dict[str, dict[str, Any]]:
    document = repodata(folder, subdir)
    return {**document["packages"], **document["packages.conda"]}


def of(indexed: tuple[IndexedSubdir, ...], subdir: str = "linux-64") -> IndexedSubdir:
    return next(found for found in indexed if found.subdir == subdir)


RECORDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"license": "MIT", "license_family": "MIT"}, {"license": "MIT", "license_family": "MIT"}),
    (
        {"arch": "x86_64", "platform": "linux", "track_features": "a b"},
        {"arch": "x86_64", "platform": "linux", "track_features": "a b"},
    ),
    ({"license": None, "timestamp": None, "features": ""}, {"features": ""}),
    ({"something": 1, "preferred_env": "x", "schema_version": 2}, {}),
    (
        {"constrains": ["b >1"], "depends": ["c  >=1, <2", "d 1.*"]},
        {"constrains": ["b >1"], "depends": ["c  >=1, <2", "d 1.*"]},
    ),
    ({"noarch": False}, {}),
    (
        {"python_site_packages_path": "lib/x", "purls": ["pkg:pypi/x"]},
        {"python_site_packages_path": "lib/x", "purls": ["pkg:pypi/x"]},
    ),
]


@pytest.mark.parametrize("extension", [".conda", ".tar.bz2"])
@pytest.mark.parametrize(("extra", "expected"), RECORDS)
def test_a_record_is_what_the_package_says(
    tmp_path: Path, extra: dict[str, Any], expected: dict[str, Any], extension: Any
) -> None:
    package = Package("tool", index_extra=extra, extension=extension)
    ChannelBuilder(tmp_path).add(package)
    index_channel(tmp_path, clock=lambda: LATER)
    content = (tmp_path / "linux-64" / package.file_name).read_bytes()
    [record] = records(tmp_path).values()
    base = {
        key: value
        for key, value in Package("tool").record(content).items()
        if key != "timestamp" or extra.get("timestamp", 0) is not None
    }
    del base["constrains"]
    assert record == {**base, **expected, "indexed_timestamp": int(LATER * 1000)}


def test_the_documents(tmp_path: Path) -> None:
    ChannelBuilder(tmp_path).add(
        Package("a", extension=".tar.bz2", info_files={"run_exports.json": b'["a >=1"]'}),
        Package("b", info_files={"run_exports.json": b'{"weak": ["b"], "noarch": [], "schema_version": 2}'}),
        Package("c", noarch="generic"),
    )
    (tmp_path / "linux-64" / "notes.txt").write_text("not a package")
    indexed = index_channel(tmp_path)
    assert [(found.subdir, found.packages, found.left_out) for found in indexed] == [
        ("linux-64", 2, ()),
        ("noarch", 1, ()),
    ]
    text = (tmp_path / "linux-64/repodata.json").read_bytes()
    assert zstandard.ZstdDecompressor().decompress((tmp_path / "linux-64/repodata.json.zst").read_bytes()) == text
    document = json.loads(text)
    assert list(document) == sorted(document)
    assert document["info"] == {"subdir": "linux-64"}
    assert (list(document["packages"]), list(document["packages.conda"])) == (["a-1.0-0.tar.bz2"], ["b-1.0-0.conda"])
    exports = json.loads((tmp_path / "linux-64/run_exports.json").read_bytes())
    assert exports == {
        "info": {"subdir": "linux-64", "platform": "linux", "arch": "64", "version": 0},
        "packages": {"a-1.0-0.tar.bz2": {"run_exports": {"weak": ["a >=1"]}}},
        "packages.conda": {"b-1.0-0.conda": {"run_exports": {"weak": ["b"]}}},
    }
    assert json.loads((tmp_path / "noarch/run_exports.json").read_bytes())["packages.conda"] == {
        "c-1.0-0.conda": {"run_exports": {}}
    }


def test_noarch_is_always_made(tmp_path: Path) -> None:
    assert [found.subdir for found in index_channel(tmp_path)] == ["noarch"]
    assert repodata(tmp_path, "noarch")["packages.conda"] == {}


def test_other_folders_are_none_of_its_business(tmp_path: Path) -> None:
    for name in (".git", "docs", "linux-64", "emscripten-wasm32"):
        (tmp_path / name).mkdir()
    assert [found.subdir for found in index_channel(tmp_path)] == ["emscripten-wasm32", "linux-64", "noarch"]
    assert not (tmp_path / "docs/repodata.json").exists()


def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    builder = ChannelBuilder(tmp_path).add(Package("a"), Package("b"), Package("c"))
    for path in (tmp_path / "linux-64").iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert of(index_channel(tmp_path, clock=lambda: LATER)).read == 3
    first = records(tmp_path)
    assert of(index_channel(tmp_path, clock=lambda: LATER + 60)).read == 0
    assert records(tmp_path) == first
    (tmp_path / "linux-64/a-1.0-0.conda").unlink()
    builder.add(Package("b", depends=["x"]), Package("d"))
    indexed = of(index_channel(tmp_path, clock=lambda: LATER + 120))
    assert (indexed.packages, indexed.read) == (3, 2)
    found = records(tmp_path)
    assert sorted(found) == ["b-1.0-0.conda", "c-1.0-0.conda", "d-1.0-0.conda"]
    assert found["b-1.0-0.conda"]["depends"] == ["x"]
    assert found["c-1.0-0.conda"]["indexed_timestamp"] == int(LATER * 1000)
    assert found["d-1.0-0.conda"]["indexed_timestamp"] == int((LATER + 120) * 1000)


def test_a_file_that_keeps_its_bytes_keeps_its_time_of_indexing(tmp_path: Path) -> None:
    ChannelBuilder(tmp_path).add(Package("a"))
    index_channel(tmp_path, clock=lambda: LATER)
    os.utime(tmp_path / "linux-64/a-1.0-0.conda", (1_000_000_000, 1_000_000_000))
    assert of(index_channel(tmp_path, clock=lambda: LATER + 60)).read == 1
    assert records(tmp_path)["a-1.0-0.conda"]["indexed_timestamp"] == int(LATER * 1000)


def test_a_file_changed_a_moment_ago_is_looked_at_again(tmp_path: Path) -> None:
    ChannelBuilder(tmp_path).add(Package("a"))
    path = tmp_path / "linux-64/a-1.0-0.conda"
    now = path.stat().st_mtime
    assert of(index_channel(tmp_path, clock=lambda: now + 0.5)).read == 1
    assert of(index_channel(tmp_path, clock=lambda: now + 60)).read == 1
    assert of(index_channel(tmp_path, clock=lambda: now + 61)).read == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 99, "entries": {}}'])
def test_a_damaged_cache_is_made_again(tmp_path: Path, content: bytes) -> None:
    ChannelBuilder(tmp_path).add(Package("a"))
    index_channel(tmp_path)
    before = (tmp_path / "linux-64/repodata.json").read_bytes()
    (tmp_path / "linux-64" / CACHE_NAME).write_bytes(content)
    assert of(index_channel(tmp_path)).read == 1
    assert set(json.loads(before)["packages.conda"]) == set(records(tmp_path))


def broken(name: str, **index: Any) -> tuple[str, bytes]:
    return f"{name}.conda", Package("bad", index_extra=index).to_bytes()


GOOD = Package("bad", files={"noise": random.Random(1).randbytes(2_000)}).to_bytes()
DAMAGED: list[tuple[str, str, bytes, str]] = [
    ("empty", "bad-1.0-0.conda", b"", "zip is damaged"),
    ("text", "bad-1.0-0.conda", b"no archive at all", "zip is damaged"),
    ("no zip end", "bad-1.0-0.conda", GOOD[:-30], "zip is damaged"),
    ("changed inside", "bad-1.0-0.conda", GOOD[:900] + b"\xff\x00\xff" + GOOD[903:], "damaged|wrong"),
    ("cut bzip2", "bad-1.0-0.tar.bz2", Package("bad", extension=".tar.bz2").to_bytes()[:-40], "cut off|damaged"),
    ("another's name", "good-1.0-0.conda", GOOD, "says that it is bad-1.0-0"),
    ("no name", "bad.conda", GOOD, "its name is none"),
    ("no json", "bad-1.0-0.conda", Package("bad", info_files={"index.json": b"{"}).to_bytes(), "index.json"),
    ("null version", *broken("bad-1.0-0", version=None), "index.json"),
    ("depends a number", *broken("bad-1.0-0", depends=3), "index.json"),
    ("a future kind", *broken("bad-1.0-0", schema_version=4), "schema_version is 4"),
    ("no spec", *broken("bad-1.0-0", depends=["foo >>>1"]), "no match spec"),
    (
        "exports",
        "bad-1.0-0.conda",
        Package("bad", info_files={"run_exports.json": b'{"weak": 1}'}).to_bytes(),
        "run_exports",
    ),
]


@pytest.mark.parametrize(("name", "content", "reason"), [row[1:] for row in DAMAGED], ids=[row[0] for row in DAMAGED])
def test_what_is_damaged_is_left_out_and_told(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    ChannelBuilder(tmp_path).add(Package("fine"))
    (tmp_path / "linux-64" / name).write_bytes(content)
    found = of(index_channel(tmp_path))
    assert list(records(tmp_path)) == ["fine-1.0-0.conda"]
    [left_out] = found.left_out
    assert left_out.path.name == name
    assert re.search(reason, left_out.reason), left_out.reason


def test_verifying_finds_what_cannot_be_unpacked(tmp_path: Path) -> None:
    bad = Package("bad", files={"../outside": File(b"x")})
    ChannelBuilder(tmp_path).add(bad, Package("good", files={"inside": File(b"x")}))
    assert of(index_channel(tmp_path)).packages == 2
    for _ in range(2):
        found = of(index_channel(tmp_path, verify=True))
        assert [left.path.name for left in found.left_out] == ["bad-1.0-0.conda"]
        assert list(records(tmp_path)) == ["good-1.0-0.conda"]


V3: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"depends": ["foo[when='__unix']", "bar >=1,<2"]}, {"depends": ["foo[when='__unix']", "bar[version='>=1,<2']"]}),
    (
        {"depends": ["foo[extras=[a]]"], "constrains": ["b 1.*"]},
        {"depends": ["foo[extras=[a]]"], "constrains": ["b[version='1.*']"]},
    ),
    ({"extra_depends": {"x": ["foo >1"]}}, {"extra_depends": {"x": ["foo[version='>1']"]}}),
    ({"flags": ["gpu:cuda"], "schema_version": 3}, {"flags": ["gpu:cuda"]}),
]


@pytest.mark.parametrize(("extra", "expected"), V3)
def test_new_kinds_of_records_are_listed_apart(tmp_path: Path, extra: dict[str, Any], expected: dict[str, Any]) -> None:
    ChannelBuilder(tmp_path).add(Package("new", index_extra=extra), Package("old"))
    index_channel(tmp_path, clock=lambda: LATER)
    document = repodata(tmp_path)
    assert list(document["packages.conda"]) == ["old-1.0-0.conda"]
    now = int(LATER * 1000)
    assert document["info"]["repodata_revisions"] == {"v3": {"n_packages": 1, "oldest": now, "newest": now}}
    record = document["v3"]["conda"]["new-1.0-0"]
    for key, value in expected.items():
        assert normal(record)[key] == normal(expected)[key] != [] or value == []
    assert parse_repodata((tmp_path / "linux-64/repodata.json").read_bytes()).sections()


def normal(record: dict[str, Any]) -> dict[str, Any]:
    """A record with its specs as values, and without what two indexers may say differently."""
    result = {key: value for key, value in record.items() if key not in ("indexed_timestamp", "run_exports")}
    for key in ("depends", "constrains"):
        if key in result:
            result[key] = [MatchSpec.parse(text, lenient=True) for text in result[key]]
    groups = result.get("extra_depends", {})
    return result | {
        "extra_depends": {g: [MatchSpec.parse(t, lenient=True) for t in texts] for g, texts in groups.items()}
    }


def test_progress_is_told(tmp_path: Path) -> None:
    ChannelBuilder(tmp_path).add(Package("a"), Package("b"))
    events: list[Event] = []
    index_channel(tmp_path, subdirs=["linux-64"], reporter=events.append)
    mine = [event for event in events if "linux-64" in getattr(event, "stage", "")]
    assert [type(event) for event in mine] == [StageStarted, StageAdvanced, StageAdvanced, StageFinished]
    assert mine[0] == StageStarted("Indexing linux-64", 2)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NoChannelFolder, match="there is no folder"):
        index_channel(tmp_path / "missing")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAA_ROOT_PREFIX", str(tmp_path / "root"))
    channel = tmp_path / "channel"
    ChannelBuilder(channel).add(Package("a"))
    assert main(["channel", "index", str(channel), "-q"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["linux-64", "1", "1"]
    (channel / "linux-64/bad-1-0.conda").write_bytes(b"x")
    assert main(["channel", "index", str(channel), "-q"]) == 1
    assert "left out" in capsys.readouterr().err
    assert main(["channel", "index", str(channel), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert [subdir["packages"] for subdir in answer] == [1, 0]
    assert answer[0]["left_out"][0]["path"].endswith("bad-1-0.conda")
    assert main(["channel", "index", str(channel), "--subdir", "../x"]) == 2
    assert main(["channel", "index", str(tmp_path / "missing")]) == 1


# -- what py-rattler makes of the same files --------------------------------------------------------------------------

RATTLER = """
import asyncio, sys
from pathlib import Path
from rattler.index import index_fs
asyncio.run(index_fs(Path(sys.argv[1]), write_shards=False))
"""

SAME = [
    Package("a", noarch="python", entry_points=["a = a:b"], info_files={"run_exports.json": b'{"weak": ["a >=1"]}'}),
    Package("b", extension=".tar.bz2", index_extra={"license": "MIT", "track_features": "x y", "features": "q"}),
    Package("b", "2.0", index_extra={"arch": "x86_64", "platform": "linux", "license_family": "MIT", "weird": 3}),
    Package(
        "c", index_extra={"schema_version": 3, "extra_depends": {"x": ["foo >2"]}, "depends": ['foo[when="__unix"]']}
    ),
    Package("c", "2.0", index_extra={"timestamp": None, "license": None, "extra_depends": {}, "flags": []}),
    Package("d", index_extra={"noarch": True, "constrains": ["b >1"], "timestamp": 1_700_000_000}),
    Package("d", "2.0", index_extra={"depends": ["foo  >=1, <2", "bar 1.*  abc_*", "foo 1.0"], "track_features": ""}),
    Package("e", index_extra={"python_site_packages_path": "lib/x", "purls": ["pkg:pypi/x"]}),
    Package("e", "2.0", extension=".tar.bz2", index_extra={"depends": ["foo[extras=[a]]"], "schema_version": 3}),
    Package("f", index_extra={"noarch": False, "features": "", "license_family": ""}),
]


@pytest.mark.peers
def test_records_are_those_of_rattler(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ChannelBuilder(ours).add(*SAME)
    shutil.copytree(ours, theirs)
    index_channel(ours)
    subprocess.run([sys.executable, "-c", RATTLER, theirs], check=False, capture_output=True)
    for subdir in ("linux-64", "noarch"):
        mine, other = repodata(ours, subdir), repodata(theirs, subdir)
        for section in ("packages", "packages.conda"):
            assert mine[section].keys() == other[section].keys()
            for name, record in mine[section].items():
                assert normal(record) == normal(other[section][name]), name
        for bucket, found in other.get("v3", {}).items():
            assert found.keys() == mine["v3"][bucket].keys()
            for name, record in found.items():
                assert normal(mine["v3"][bucket][name]) == normal(record), name
