"""Repodata of every revision, and shards, split and decoded."""

from __future__ import annotations

import doctest
import hashlib
import json
from typing import Any

import msgspec
import pytest

from kaa.models import repodata as repodata_module
from kaa.models.record import RepoDataRecord
from kaa.models.repodata import (
    RepodataInvalid,
    decode_record,
    decode_shard_record,
    packages_url,
    parse_repodata,
    parse_shard,
    parse_shard_index,
)

SIX: dict[str, Any] = {"name": "six", "version": "1.17.0", "build": "py_0", "build_number": 0}


def document(**parts: Any) -> bytes:
    return json.dumps({key.replace("_conda", ".conda"): value for key, value in parts.items()}).encode()


@pytest.mark.parametrize("text", [b"", b" \n\t ", b"{}", b' {"unknown": [1]} ', b'{"info": null, "packages": null}'])
def test_a_document_may_say_nothing(text: bytes) -> None:
    repodata = parse_repodata(text)
    assert [dict(section.records) for section in repodata.sections()] == [{}, {}]
    assert repodata.version == 1
    assert repodata.unusable() == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"<!DOCTYPE html><html></html>", "a web page came instead"),
        (b"\n  <html>", "a web page came instead"),
        (b"[]", "its JSON cannot be read"),
        (b'{"packages": []}', "its JSON cannot be read"),
        (b'{"packages": {"a-1-0.tar.bz2": {"name": "a"', "its JSON cannot be read"),
        (b'{"packages": {}} trailing', "its JSON cannot be read"),
        (b'{"packages": {"\xff": 1}}', "its JSON cannot be read"),
        (b"not found", "its JSON cannot be read"),
        (b'{"repodata_version": 3}', "it has version 3"),
        (b'{"info": {"repodata_version": 4}}', "it has version 4"),
    ],
)
def test_what_is_no_repodata(text: bytes, reason: str) -> None:
    with pytest.raises(RepodataInvalid, match=reason) as caught:
        parse_repodata(text, "https://user:secret@host/noarch/repodata.json")
    assert "https://***@host/noarch/repodata.json" in str(caught.value)
    assert caught.value.hints


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (b'{"repodata_version": 2}', 2),
        (b'{"info": {"repodata_version": 2}}', 2),
        (b'{"repodata_version": 1, "info": {"repodata_version": 2}}', 1),
    ],
)
def test_the_version_stands_in_two_places(text: bytes, version: int) -> None:
    assert parse_repodata(text).version == version


def test_sections_in_order_of_preference() -> None:
    repodata = parse_repodata(
        document(
            packages={"a-1-0.tar.bz2": SIX},
            packages_conda={"a-1-0.conda": SIX},
            v3={"tar.bz2": {"b-1-0": SIX}, "conda": {"c-1-0": SIX}, "whl": {"d-1-0": SIX, "e-1-0": SIX}, "odd": {}},
        )
    )
    assert [(section.extension, section.has_extension, list(section.records)) for section in repodata.sections()] == [
        ("conda", False, ["c-1-0"]),
        ("tar.bz2", False, ["b-1-0"]),
        ("conda", True, ["a-1-0.conda"]),
        ("tar.bz2", True, ["a-1-0.tar.bz2"]),
    ]
    assert repodata.unusable() == {"the archive format 'whl'": 2}


def test_revisions_that_cannot_be_read_are_counted() -> None:
    revisions = {"v3": {"n_packages": 5}, "v4": {"n_packages": 7, "message": "newer"}, "v5": {}}
    repodata = parse_repodata(document(info={"repodata_revisions": revisions}))
    assert repodata.unusable() == {"the repodata revision 'v4'": 7, "the repodata revision 'v5'": 0}


def test_channel_relations() -> None:
    repodata = parse_repodata(document(info={"channel_relations": {"base": "../conda-forge", "odd": 1}}))
    assert repodata.info is not None and repodata.info.channel_relations is not None
    assert repodata.info.channel_relations.base == "../conda-forge"


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        (None, "https://host/chan/linux-64"),
        ("", "https://host/chan/linux-64"),
        ("./", "https://host/chan/linux-64"),
        ("pkgs", "https://host/chan/linux-64/pkgs"),
        ("../../pkgs/", "https://host/pkgs"),
        ("../../../../pkgs", "https://host/pkgs"),
        ("/pkgs", "https://host/pkgs"),
        ("/pkgs/../x/", "https://host/x"),
        ("//other/pkgs", "https://other/pkgs"),
        ("https://other.example/pkgs/", "https://other.example/pkgs"),
        ("https://user:secret@other.example/pkgs", "https://other.example/pkgs"),
        ("https://other.example/t/tk-1/pkgs", "https://other.example/pkgs"),
    ],
)
def test_where_packages_are(base_url: str | None, expected: str) -> None:
    assert packages_url("https://host/chan/linux-64", base_url) == expected


def test_base_urls_of_other_schemes() -> None:
    assert packages_url("s3://bucket/chan/noarch", "../x") == "s3://bucket/chan/x"
    assert packages_url("file:///srv/chan/noarch", "/pkgs") == "file:///pkgs"


@pytest.mark.parametrize(
    ("more", "field", "expected"),
    [
        ({"noarch": True}, "noarch", "generic"),
        ({"noarch": False}, "noarch", None),
        ({"noarch": "python"}, "noarch", "python"),
        ({"timestamp": 1_700_000_000}, "timestamp", 1_700_000_000_000),
        ({"timestamp": 1_700_000_000_123}, "timestamp", 1_700_000_000_123),
        ({"depends": None}, "depends", ()),
        ({"build_number": None}, "build_number", 0),
        ({"track_features": ["a", "b"]}, "track_features", "a b"),
        ({"size": None, "md5": None, "sha256": None}, "sha256", None),
        ({"extra_depends": {"cli": ["rich"]}}, "extra_depends", {"cli": ("rich",)}),
        ({"flags": ["cuda"]}, "flags", ("cuda",)),
        ({"unknown": {"deep": [1]}}, "name", "six"),
        ({"subdir": "win-64"}, "subdir", "linux-64"),
        ({"url": "https://evil/x", "fn": "../x", "channel": "evil"}, "url", "https://host/six-1.17.0-py_0.conda"),
        ({"url": "https://evil/x", "fn": "../x", "channel": "evil"}, "fn", "six-1.17.0-py_0.conda"),
        ({"url": "https://evil/x", "fn": "../x", "channel": "evil"}, "channel", "https://host"),
    ],
)
def test_records_of_all_ages(more: dict[str, Any], field: str, expected: object) -> None:
    text = json.dumps({**SIX, **more}).encode()
    file_name = "six-1.17.0-py_0.conda"
    record = decode_record(text, "https://host", "linux-64", file_name, f"https://host/{file_name}")
    assert getattr(record, field) == expected


@pytest.mark.parametrize("text", [b"[]", b"{}", b'{"name":"a"}', b'{"name":1,"version":"1","build":"0"}', b"nul"])
def test_what_is_no_record(text: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_record(text, "", "", "", "")


DIGEST = hashlib.sha256(b"").digest()


def shard_index(**changes: Any) -> bytes:
    info = {"subdir": "noarch", "base_url": "", "shards_base_url": "./shards/", "created_at": "2026-01-01T00:00:00Z"}
    content = {"version": 1, "info": info, "shards": {"six": DIGEST}, "unknown": 1, **changes}
    return msgspec.msgpack.encode(content)


@pytest.mark.parametrize("value", [DIGEST, list(DIGEST), DIGEST.hex(), DIGEST.hex().upper()])
def test_hashes_of_shards(value: object) -> None:
    index = parse_shard_index(shard_index(shards={"six": value}), "index")
    assert list(index.digests()) == [("six", DIGEST)]
    assert index.info.shards_base_url == "./shards/"


@pytest.mark.parametrize("value", [b"short", [1, 2], [300] * 32, None, 7, "../../etc/passwd"])
def test_hashes_that_are_none(value: object) -> None:
    assert list(parse_shard_index(shard_index(shards={"six": value}), "index").digests()) == [("six", None)]


@pytest.mark.parametrize("content", [b"", b"{}", b"\x81", shard_index(version=2), shard_index(shards=[])])
def test_what_is_no_shard_index(content: bytes) -> None:
    with pytest.raises(RepodataInvalid, match="shard index"):
        parse_shard_index(content, "https://host/noarch/repodata_shards.msgpack.zst")


def test_shards() -> None:
    record = {**SIX, "md5": b"\1" * 16, "sha256": list(DIGEST), "run_exports": {"weak": ["x"]}, "depends": ["python"]}
    shard = parse_shard(
        msgspec.msgpack.encode(
            {
                "packages": {},
                "packages.conda": {"six-1.17.0-py_0.conda": record},
                "removed": ["six-1-0.conda"],
                "v3": {"conda": {"six-2-0": record}},
            }
        ),
        "shard",
    )
    assert [list(section.records) for section in shard.sections()] == [["six-2-0"], ["six-1.17.0-py_0.conda"], []]
    assert shard.removed == ("six-1-0.conda",)
    decoded = decode_shard_record(shard.conda_packages["six-1.17.0-py_0.conda"], "c", "noarch", "f", "u")
    assert isinstance(decoded, RepoDataRecord)
    assert (decoded.md5, decoded.sha256, decoded.depends) == ("01" * 16, DIGEST.hex(), ("python",))
    assert (decoded.channel, decoded.subdir, decoded.fn, decoded.url) == ("c", "noarch", "f", "u")
    with pytest.raises(RepodataInvalid):
        parse_shard(b"\xc1", "shard")


def test_examples() -> None:
    assert doctest.testmod(repodata_module).failed == 0
