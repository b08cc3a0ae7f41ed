"""The index file alone: what was written is read, and nothing that was altered is."""

from __future__ import annotations

import bz2
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaa.index.decompress import read_document
from kaa.index.index_writer import write_index
from kaa.index.subdir_index import HEADER, PAGE, DamagedIndex, SubdirIndex
from kaa.models.repodata import RepodataInvalid, parse_repodata
from tests.index.worlds import record

KEY = bytes(range(32))


def make_index(path: Path, document: dict[str, Any], key: bytes = KEY) -> list[str]:
    return write_index(path, key, parse_repodata(json.dumps(document).encode()))


def contents(index: SubdirIndex) -> dict[str, list[tuple[str, Any]]]:
    """Everything that an index holds, read in both ways."""
    found = {}
    for name in index.names():
        directory = index.find(name)
        assert directory is not None and name in index
        texts = [bytes(text) for text in index.records(directory)]
        assert texts == [bytes(index.record(directory, place)) for place in range(len(texts))]
        found[name] = [
            (file_name, json.loads(text)) for file_name, text in zip(directory.file_names, texts, strict=True)
        ]
    return found


NAMES = st.from_regex(r"_?[a-z0-9]{1,4}([-._][a-z0-9]{1,3}){0,2}", fullmatch=True)
RECORDS = st.builds(
    lambda name, version, build, more: (f"{name}-{version}-{build}", record(name, version, build, more=more)),
    NAMES,
    st.from_regex(r"[0-9]{1,2}(\.[0-9a-z_+!]{1,3})?", fullmatch=True),
    st.from_regex(r"[a-z0-9_.+]{1,4}", fullmatch=True),
    st.text(max_size=30),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(RECORDS, max_size=30), st.lists(RECORDS, max_size=10), st.lists(RECORDS, max_size=5))
def test_what_is_written_is_read(tmp_path: Path, conda: Any, old: Any, newest: Any) -> None:
    document = {
        "v3": {"conda": dict(newest)},
        "packages": {f"{stem}.tar.bz2": fields for stem, fields in old},
        "packages.conda": {f"{stem}.conda": fields for stem, fields in conda},
    }
    expected: dict[str, list[tuple[str, Any]]] = {}
    for extension, records in ((".conda", newest), (".conda", conda), (".tar.bz2", old)):
        for stem, fields in dict(records).items():
            expected.setdefault(fields["name"], []).append((stem + extension, fields))
    path = tmp_path / "x.index"
    assert make_index(path, document) == []
    index = SubdirIndex(path, KEY)
    assert contents(index) == expected
    assert list(index.names()) == sorted(expected)
    assert index.find("absent-name") is None and "zzzzz" not in index and "" not in index
    assert index.facts.record_count == sum(len(records) for records in expected.values())
    assert [child.name for child in tmp_path.iterdir()] == ["x.index"]


def large_document() -> dict[str, Any]:
    """A few pages of records."""
    numbers = random.Random(1)
    records = {}
    for number in range(300):
        name = f"package-{number % 40}"
        fields = record(name, f"1.{number}", "h0", padding="x" * numbers.randrange(400))
        records[f"{name}-1.{number}-h0.conda"] = fields
    return {"packages.conda": records}


def test_flipped_bytes_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    make_index(path, large_document())
    sound = path.read_bytes()
    expected = contents(SubdirIndex(path, KEY))
    assert len(sound) > 4 * PAGE
    numbers = random.Random(2)
    edges = [0, 8, 12, 44, 52, HEADER.size - 1, HEADER.size, HEADER.size + PAGE, len(sound) - 1]
    for offset in [*edges, *(numbers.randrange(len(sound)) for _ in range(300))]:
        damaged = bytearray(sound)
        damaged[offset] ^= 1 << numbers.randrange(8)
        path.unlink()
        path.write_bytes(damaged)
        with pytest.raises(DamagedIndex):
            assert contents(SubdirIndex(path, KEY)) == expected


@pytest.mark.parametrize("size", [0, 1, HEADER.size - 1, HEADER.size, HEADER.size + 1, -PAGE, -1])
def test_files_that_were_cut_off(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.index"
    make_index(path, large_document())
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedIndex):
        SubdirIndex(path, KEY)


def test_files_that_were_made_longer(tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    make_index(path, large_document())
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DamagedIndex):
        SubdirIndex(path, KEY)


@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda content: b"kaaIndex" + content[8:], id="magic"),
        pytest.param(lambda content: content[:8] + b"\0\0\0\0" + content[12:], id="format version"),
        pytest.param(lambda content: content[:12] + bytes(32) + content[44:], id="key"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, alter: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "x.index"
    make_index(path, large_document())
    path.write_bytes(alter(path.read_bytes()))
    with pytest.raises(DamagedIndex, match="another format or another source"):
        SubdirIndex(path, KEY)


def test_another_key(tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    make_index(path, {}, key=bytes(32))
    assert list(SubdirIndex(path, bytes(32)).names()) == []
    with pytest.raises(DamagedIndex):
        SubdirIndex(path, KEY)
    with pytest.raises(DamagedIndex):
        SubdirIndex(tmp_path / "absent", KEY)


@pytest.mark.parametrize(
    "file_name",
    [
        "../../etc/passwd-1-0.conda",
        "a/b-1-0.conda",
        "a\\b-1-0.conda",
        "a b-1-0.conda",
        "a\n-1-0.conda",
        "a\x1b[31m-1-0.conda",
        "é-1-0.conda",
        ".-1-0.conda",
        "-1-0.conda",
        "~a-1-0.conda",
        "%2e-1-0.conda",
        "",
    ],
)
def test_names_that_no_file_should_have(tmp_path: Path, file_name: str) -> None:
    path = tmp_path / "x.index"
    fields = record("a")
    remarks = make_index(path, {"packages.conda": {"a-1-0.conda": fields, file_name: fields}, "removed": ["x"]})
    assert contents(SubdirIndex(path, KEY)) == {"a": [("a-1-0.conda", fields)]}
    [remark] = remarks
    assert remark.startswith("left out, because they cannot be file names of packages: '")
    assert remark.isprintable() and remark.isascii()


def test_many_bad_names_make_one_remark(tmp_path: Path) -> None:
    document = {"packages": {f"/{number}-1-0.tar.bz2": record("a") for number in range(9)}}
    [remark] = make_index(tmp_path / "x.index", document)
    assert remark.endswith("'/4-1-0.tar.bz2' and 4 more")


def test_removed_and_unusable_records(tmp_path: Path) -> None:
    path = tmp_path / "x.index"
    document = {
        "packages": {"a-1-0.tar.bz2": record("a"), "a-2-0.tar.bz2": record("a", "2")},
        "packages.conda": {"a-1-0.conda": record("a")},
        "v3": {"whl": {"w-1-py3_none_any_0": record("w")}, "conda": {"b-1-0": record("b"), "b-2-0": record("b", "2")}},
        "removed": ["a-2-0.tar.bz2", "a-1-0.conda", "b-2-0.conda", "gone-1-0.conda"],
        "info": {"repodata_revisions": {"v9": {"n_packages": 3}, "v8": {}}, "base_url": "../pkgs"},
    }
    remarks = make_index(path, document)
    index = SubdirIndex(path, KEY)
    assert contents(index) == {"a": [("a-1-0.tar.bz2", record("a"))], "b": [("b-1-0.conda", record("b"))]}
    assert index.facts.base_url == "../pkgs"
    assert remarks == [
        "left out: 1 packages in the archive format 'whl', which this kaa cannot use",
        "left out: packages in the repodata revision 'v8', which this kaa cannot use",
        "left out: 3 packages in the repodata revision 'v9', which this kaa cannot use",
    ]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "x.index"
    path.mkdir(parents=True)
    with pytest.raises(OSError):
        make_index(path, {})
    assert [child.name for child in path.parent.iterdir()] == ["x.index"]


TEXT = json.dumps(large_document()).encode() * 3


def zstd(*parts: bytes, sized: bool = True) -> bytes:
    return b"".join(zstandard.ZstdCompressor(write_content_size=sized).compress(part) for part in parts)


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(TEXT, id="plain"),
        pytest.param(zstd(TEXT), id="zstd"),
        pytest.param(zstd(TEXT, sized=False), id="zstd, no size"),
        pytest.param(zstd(TEXT[:999], TEXT[999:]), id="zstd, two frames"),
        pytest.param(zstd(TEXT[:999], TEXT[999:], sized=False), id="zstd, two frames, no size"),
        pytest.param(bz2.compress(TEXT), id="bzip2"),
        pytest.param(gzip.compress(TEXT), id="gzip"),
    ],
)
def test_documents_say_what_they_are(tmp_path: Path, packed: bytes) -> None:
    path = tmp_path / "document"
    path.write_bytes(packed)
    assert bytes(read_document(path, "document")) == TEXT
    assert bytes(read_document(path, "document", largest=len(TEXT))) == TEXT
    with pytest.raises(RepodataInvalid, match="unpacks to more than"):
        read_document(path, "document", largest=len(TEXT) - 1)


def test_empty_documents(tmp_path: Path) -> None:
    path = tmp_path / "document"
    for packed in (b"", zstd(b""), bz2.compress(b""), gzip.compress(b"")):
        path.write_bytes(packed)
        assert bytes(read_document(path, "document")) == b""


def test_a_large_document(tmp_path: Path) -> None:
    text = b"x" * (9 << 20)
    path = tmp_path / "document"
    path.write_bytes(zstd(text))
    assert bytes(read_document(path, "document")) == text


@pytest.mark.parametrize("pack", [zstd, bz2.compress, gzip.compress])
@pytest.mark.parametrize("keep", [30, -20, -1])
def test_documents_that_were_cut_off(tmp_path: Path, pack: Callable[[bytes], bytes], keep: int) -> None:
    path = tmp_path / "document"
    path.write_bytes(pack(TEXT)[:keep])
    with pytest.raises(RepodataInvalid):
        parse_repodata(read_document(path, "document"), "document")


@pytest.mark.parametrize("pack", [zstd, bz2.compress, gzip.compress])
def test_documents_with_damage(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    packed = bytearray(pack(TEXT))
    middle = len(packed) // 2
    packed[middle : middle + 50] = bytes(50)
    path = tmp_path / "document"
    path.write_bytes(packed)
    with pytest.raises(RepodataInvalid):
        parse_repodata(read_document(path, "document"), "document")


def test_spaces_in_the_text_make_no_difference(tmp_path: Path) -> None:
    document = large_document()
    compact = msgspec.json.encode(document)
    indented = msgspec.json.format(compact, indent=4)
    found = []
    for text in (compact, indented):
        write_index(tmp_path / "x.index", KEY, parse_repodata(text))
        found.append(contents(SubdirIndex(tmp_path / "x.index", KEY)))
    assert found[0] == found[1]


def test_names_with_the_same_checksum(tmp_path: Path) -> None:
    one, other = "3dd5e1c0f6a7f8cae3ce", "d4dcdb7ee7ff0957e454"
    assert crc32(one.encode()) == crc32(other.encode())
    path = tmp_path / "x.index"
    documents = {f"{name}-1-0.conda": record(name) for name in (one, other, "alone")}
    make_index(path, {"packages.conda": documents})
    index = SubdirIndex(path, KEY)
    assert {name: found[0][1]["name"] for name, found in contents(index).items()} == {
        name: name for name in (one, other, "alone")
    }
