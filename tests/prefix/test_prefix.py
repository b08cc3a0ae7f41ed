from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kaa.models.prefix_record import InstalledPath, Link, LinkType, PathsData, PrefixRecord
from kaa.prefix.prefix import (
    BrokenPrefixRecord,
    DirectoryIsNoEnvironment,
    NotAnEnvironment,
    Prefix,
    open_prefix,
    read_record,
)
from kaa.prefix.prefix_record_file import decode_record, encode_record

RECORD = PrefixRecord(
    name="zlib",
    version="1.3.1",
    build="hb9d3cd8_2",
    build_number=2,
    depends=("__glibc >=2.17", "libgcc >=13"),
    subdir="linux-64",
    channel="https://conda.anaconda.org/conda-forge",
    fn="zlib-1.3.1-hb9d3cd8_2.conda",
    url="https://conda.anaconda.org/conda-forge/linux-64/zlib-1.3.1-hb9d3cd8_2.conda",
    md5="c9f075ab2f33b3bbee9e62d4ad0a6cd8",
    sha256="5d7c0e5f0005f74112a34a7425179f4eb6e73c92f5d109e6af4ddeca407c92ab",
    size=92286,
    timestamp=1727963148474,
    license="Zlib",
    license_family="Other",
    track_features="one two",
    extracted_package_dir="/pkgs/zlib-1.3.1-hb9d3cd8_2",
    package_tarball_full_path="/pkgs/zlib-1.3.1-hb9d3cd8_2.conda",
    files=("lib/libz.so", "lib/libz.so.1"),
    paths_data=PathsData(
        paths=(
            InstalledPath(
                path="lib/libz.so", path_type="softlink", sha256="aa", sha256_in_prefix="aa", size_in_bytes=9
            ),
            InstalledPath(
                path="lib/libz.so.1", sha256="bb", sha256_in_prefix="cc", prefix_placeholder="/p", file_mode="text"
            ),
        )
    ),
    link=Link(source="/pkgs/zlib-1.3.1-hb9d3cd8_2", type=LinkType.HARDLINK),
    requested_specs=("zlib >=1.3",),
)


def environment(path: Path) -> Prefix:
    (path / "conda-meta").mkdir(parents=True)
    (path / "conda-meta" / "history").touch()
    return open_prefix(path)


def put(prefix: Prefix, name: str, content: Any) -> Path:
    path = prefix.conda_meta / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_record_as_conda_writes_it() -> None:
    content = json.loads(encode_record(RECORD))
    assert list(content)[:12] == [
        "name",
        "version",
        "build",
        "build_number",
        "channel",
        "subdir",
        "fn",
        "md5",
        "url",
        "sha256",
        "depends",
        "constrains",
    ]
    assert content["channel"] == "https://conda.anaconda.org/conda-forge/linux-64"
    assert content["constrains"] == []
    assert content["link"] == {"source": "/pkgs/zlib-1.3.1-hb9d3cd8_2", "type": 1}
    assert content["requested_spec"] == "zlib >=1.3"
    assert content["requested_specs"] == ["zlib >=1.3"]
    assert content["paths_data"]["paths_version"] == 1
    assert content["paths_data"]["paths"][1] == {
        "_path": "lib/libz.so.1",
        "path_type": "hardlink",
        "sha256": "bb",
        "sha256_in_prefix": "cc",
        "file_mode": "text",
        "prefix_placeholder": "/p",
    }


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    prefix = environment(tmp_path)
    prefix.write_record(RECORD)
    [found] = prefix.records()
    assert found == replace(RECORD, requested_spec="zlib >=1.3")
    assert prefix.find("zlib") == found
    assert prefix.find("zli") is None
    prefix.remove_record(RECORD)
    prefix.remove_record(RECORD)
    assert prefix.records() == ()


def test_what_others_wrote_into_a_record_stays(tmp_path: Path) -> None:
    prefix = environment(tmp_path)
    theirs = {**json.loads(encode_record(RECORD)), "of_mamba": {"a": [1, None]}, "auth": "secret", "token": "secret"}
    path = put(prefix, f"{RECORD.dist}.json", theirs)
    prefix.write_record(replace(RECORD, requested_specs=()))
    content = json.loads(path.read_text())
    assert content["of_mamba"] == {"a": [1, None]}
    assert content["requested_specs"] == []
    assert content["requested_spec"] == "None"
    assert "secret" not in path.read_text()


@pytest.mark.parametrize(
    ("channel", "url"),
    [
        ("https://user:secret@host/chan", "https://user:secret@host/chan/linux-64/zlib-1.3.1-hb9d3cd8_2.conda"),
        ("https://host/t/secret/chan", "https://host/t/secret/chan/linux-64/zlib-1.3.1-hb9d3cd8_2.conda"),
    ],
)
def test_credentials_are_neither_read_nor_written(tmp_path: Path, channel: str, url: str) -> None:
    prefix = environment(tmp_path)
    prefix.write_record(replace(RECORD, channel=channel, url=url))
    assert "secret" not in (prefix.conda_meta / f"{RECORD.dist}.json").read_text()
    put(prefix, f"{RECORD.dist}.json", {**json.loads(encode_record(RECORD)), "channel": channel, "url": url})
    [found] = prefix.records()
    assert found.channel == "https://host/chan"
    assert "secret" not in found.url


@pytest.mark.parametrize(
    ("on_disk", "in_memory"),
    [
        ("https://h/c/linux-64", "https://h/c"),
        ("https://h/c/linux-64/", "https://h/c"),
        ("https://h/c", "https://h/c"),
        ("https://h/c/", "https://h/c"),
        ("https://h/c/noarch", "https://h/c/noarch"),
        ("conda-forge", "conda-forge"),
        ("", ""),
        (None, ""),
    ],
)
def test_the_channel_in_memory_has_no_subdir(on_disk: str | None, in_memory: str) -> None:
    content = {"name": "a", "version": "1", "build": "0", "subdir": "linux-64", "channel": on_disk}
    assert decode_record(json.dumps(content).encode()).channel == in_memory


OLDER = {"name": "a", "version": "1", "build": "0", "build_number": 0}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"link": {"source": "/p", "type": "hard-link"}}, {"link": Link(source="/p", type=LinkType.HARDLINK)}),
        ({"link": {"source": "/p", "type": "soft-link"}}, {"link": Link(source="/p", type=LinkType.SOFTLINK)}),
        ({"link": {"source": "/p", "type": 3}}, {"link": Link(source="/p", type=LinkType.COPY)}),
        ({"link": None}, {"link": None}),
        ({"link": {"type": "copy"}}, {"link": None}),
        ({"url": None, "fn": None, "package_tarball_full_path": None}, {"url": "", "fn": ""}),
        ({"files": None, "paths_data": None}, {"files": ()}),
        ({"noarch": True}, {"noarch": "generic"}),
        ({"track_features": ["a", "b"]}, {"track_features": "a b"}),
        ({"requested_spec": "None"}, {"requested_spec": "None"}),
        ({"paths_data": {"paths_version": 1, "paths": [{"_path": "a", "inode_paths": None}]}}, {}),
    ],
)
def test_records_of_older_and_laxer_programs(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    record = decode_record(json.dumps({**OLDER, **fields}).encode())
    assert {name: getattr(record, name) for name in expected} == expected


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"name": "a"}', '{"name": 1, "version": "1", "build": "0"}', "\xff"]
)
def test_a_broken_record_is_named(tmp_path: Path, content: str) -> None:
    prefix = environment(tmp_path)
    path = put(prefix, "a-1-0.json", "")
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(BrokenPrefixRecord) as caught:
        prefix.records()
    assert caught.value.path == str(path)
    assert str(path) in str(caught.value)
    with pytest.raises(BrokenPrefixRecord):
        prefix.find("a")


def test_a_record_that_is_a_directory(tmp_path: Path) -> None:
    path = environment(tmp_path).conda_meta / "a-1-0.json"
    path.mkdir()
    with pytest.raises(BrokenPrefixRecord, match="directory"):
        read_record(path)


def test_a_record_under_another_name_does_not_count(tmp_path: Path) -> None:
    prefix = environment(tmp_path)
    put(prefix, "b-1-0.json", OLDER)
    put(prefix, ".hidden-1-0.json", OLDER)
    put(prefix, "settings.json", {"x": 1})
    assert prefix.records() == ()
    assert prefix.find("b") is None


def test_two_records_of_one_name_are_too_many(tmp_path: Path) -> None:
    prefix = environment(tmp_path)
    put(prefix, "a-1-0.json", OLDER)
    put(prefix, "a-2-0.json", {**OLDER, "version": "2"})
    with pytest.raises(BrokenPrefixRecord, match=r"a-1-0 is recorded as well"):
        prefix.records()


def test_records_come_by_name(tmp_path: Path) -> None:
    prefix = environment(tmp_path)
    for name in ("zlib", "a-b", "a", "python"):
        put(prefix, f"{name}-1-0.json", {**OLDER, "name": name, "files": [f"share/{name}"]})
    assert [record.name for record in prefix.records()] == ["a", "a-b", "python", "zlib"]
    assert dict(prefix.owners())["share/a-b"] == "a-b"


def test_what_is_no_environment(tmp_path: Path) -> None:
    with pytest.raises(NotAnEnvironment, match="no such directory"):
        open_prefix(tmp_path / "missing")
    with pytest.raises(DirectoryIsNoEnvironment, match="history is missing"):
        open_prefix(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DirectoryIsNoEnvironment, match="it is a file"):
        open_prefix(tmp_path / "file")
    assert Prefix(tmp_path / "missing").records() == ()
    assert environment(tmp_path / "env").is_environment()


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
RECORDS = st.builds(
    PrefixRecord,
    name=TEXT,
    version=TEXT,
    build=TEXT,
    build_number=st.integers(0, 99),
    depends=st.lists(TEXT, max_size=3).map(tuple),
    subdir=st.sampled_from(["linux-64", "noarch"]),
    channel=st.sampled_from(["https://h/c", ""]),
    noarch=st.sampled_from([None, "python", "generic"]),
    timestamp=st.none() | st.integers(253402300800, 10**13),
    license=st.none() | TEXT.filter(bool),
    files=st.lists(TEXT, max_size=3).map(tuple),
    requested_specs=st.lists(TEXT.filter(bool), max_size=2).map(tuple),
    python_site_packages_path=st.none() | TEXT.filter(bool),
)


@given(RECORDS)
def test_what_is_written_is_read(record: PrefixRecord) -> None:
    found = decode_record(encode_record(record))
    expected = (record.requested_specs or ("None",))[0]
    assert found == replace(record, requested_spec=expected)
    assert encode_record(found) == encode_record(record)
