"""What an unpacked package says of itself: paths.json, and what old packages have instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.models.package_info import DEFAULT_PLACEHOLDER, LinkJson, NoArchLink, PathEntry
from kaa.models.record import RepoDataRecord
from kaa.package_cache.extracted_package import (
    ExtractedPackage,
    UnreadablePackage,
    completed,
    is_inside,
    parse_prefix_line,
    read_record,
    write_record,
)

RECORD = RepoDataRecord(
    name="tool",
    version="1.0",
    build="0",
    subdir="linux-64",
    channel="https://host/chan",
    fn="tool-1.0-0.conda",
    url="https://host/chan/linux-64/tool-1.0-0.conda",
    sha256="ab" * 32,
)

Make = Callable[..., ExtractedPackage]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes an unpacked package with these info files."""

    def make(**files: str | bytes) -> ExtractedPackage:
        info = tmp_path / "tool-1.0-0" / "info"
        info.mkdir(parents=True)
        for name, content in files.items():
            (info / name.replace("_json", ".json")).write_bytes(
                content.encode() if isinstance(content, str) else content
            )
        return ExtractedPackage(info.parent, RECORD, None, tmp_path / ".bytecode")

    return make


def test_paths_json(make: Make) -> None:
    document = {
        "paths_version": 1,
        "new_key": 1,
        "paths": [
            {"_path": "a", "path_type": "hardlink", "sha256": "00", "size_in_bytes": 1, "offsets": [1, 2]},
            {"_path": "b", "path_type": "softlink", "no_link": True},
            {"_path": "c"},
            {"_path": "d", "path_type": "directory"},
            {"_path": "e", "file_mode": "binary", "prefix_placeholder": "/opt/x"},
        ],
    }
    assert make(paths_json=json.dumps(document), files="other\n").paths() == (
        PathEntry(path="a", sha256="00", size_in_bytes=1),
        PathEntry(path="b", path_type="softlink", no_link=True),
        PathEntry(path="c"),
        PathEntry(path="d", path_type="directory"),
        PathEntry(path="e", file_mode="binary", prefix_placeholder="/opt/x"),
    )


def test_the_old_trio(make: Make) -> None:
    package = make(
        files="bin/tool\nbin/a tool\nlib/data.bin\nlib/link\nlib/kept\n\r\nlib/soft\n",
        has_prefix='bin/tool\n"/opt/old place" text "bin/a tool"\n/opt/x binary lib/data.bin\n',
        no_link="lib/kept\n",
        no_softlink="lib/soft\n",
    )
    (package.directory / "lib").mkdir()
    (package.directory / "lib" / "link").symlink_to("nowhere")
    assert package.paths() == (
        PathEntry(path="bin/tool", prefix_placeholder=DEFAULT_PLACEHOLDER, file_mode="text"),
        PathEntry(path="bin/a tool", prefix_placeholder="/opt/old place", file_mode="text"),
        PathEntry(path="lib/data.bin", prefix_placeholder="/opt/x", file_mode="binary"),
        PathEntry(path="lib/link", path_type="softlink"),
        PathEntry(path="lib/kept", no_link=True),
        PathEntry(path="lib/soft", no_link=True),
    )


PREFIX_LINES = [
    ("bin/tool", (DEFAULT_PLACEHOLDER, "text", "bin/tool")),
    ('"bin/tool"', (DEFAULT_PLACEHOLDER, "text", "bin/tool")),
    ("'bin/a tool'", (DEFAULT_PLACEHOLDER, "text", "bin/a tool")),
    ("/opt/x text bin/tool", ("/opt/x", "text", "bin/tool")),
    ("/opt/x binary bin/tool", ("/opt/x", "binary", "bin/tool")),
    ('"/opt/x" "text" "bin/tool"', ("/opt/x", "text", "bin/tool")),
    ('"/opt/x y" binary "bin/a tool"', ("/opt/x y", "binary", "bin/a tool")),
    ("C:\\old text Scripts\\x.py", ("C:\\old", "text", "Scripts\\x.py")),
    ("a path with spaces", (DEFAULT_PLACEHOLDER, "text", "a path with spaces")),
    ("two words", (DEFAULT_PLACEHOLDER, "text", "two words")),
    ("a neither b", (DEFAULT_PLACEHOLDER, "text", "a neither b")),
]


@pytest.mark.parametrize(("line", "expected"), PREFIX_LINES)
def test_lines_of_has_prefix(line: str, expected: tuple[str, str, str]) -> None:
    assert parse_prefix_line(line) == expected


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_line_of_has_prefix_is_three_texts(line: str) -> None:
    placeholder, mode, path = parse_prefix_line(line)
    assert isinstance(placeholder, str)
    assert mode in ("text", "binary")
    assert isinstance(path, str)


INSIDE = [
    ("a", True),
    ("a/b", True),
    ("a..b", True),
    ("..a", True),
    ("conda-metadata/x", True),
    ("", False),
    ("/a", False),
    ("..", False),
    ("../a", False),
    ("a/../b", False),
    ("a/..", False),
    ("conda-meta/history", False),
    ("a\0b", False),
    ("\\a", False),
    ("C:\\a", False),
]


@pytest.mark.parametrize(("path", "inside"), INSIDE)
def test_paths_that_leave_are_refused(make: Make, path: str, inside: bool) -> None:
    assert is_inside(path) is inside
    if not path or "\0" in path:
        return
    package = make(files=f"{path}\n")
    if inside:
        assert package.paths()[0].path == path
    else:
        with pytest.raises(UnreadablePackage):
            package.paths()
    (package.directory / "info" / "paths.json").write_text(json.dumps({"paths": [{"_path": path}]}))
    if not inside:
        with pytest.raises(UnreadablePackage, match="may hold"):
            package.paths()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"paths": 1}', b'{"paths": [{}]}', b'\xff{"paths": []}', b'{"paths": [""]}'],
)
def test_broken_paths_json(make: Make, content: bytes) -> None:
    with pytest.raises(UnreadablePackage, match=r"paths\.json"):
        make(paths_json=content).paths()


def test_unknown_version_and_nothing_at_all(make: Make) -> None:
    package = make(paths_json='{"paths_version": 2, "paths": []}')
    with pytest.raises(UnreadablePackage, match="paths_version is 2"):
        package.paths()
    (package.directory / "info" / "paths.json").unlink()
    with pytest.raises(UnreadablePackage, match="neither"):
        package.paths()


def test_files_that_are_no_text(make: Make) -> None:
    with pytest.raises(UnreadablePackage, match="UTF-8"):
        make(files=b"a\xff\n").paths()


LINKS = [
    ({}, LinkJson()),
    ({"link_json": '{"package_metadata_version": 1}'}, LinkJson()),
    (
        {"link_json": '{"noarch": {"type": "python", "entry_points": ["x = a:b"]}, "preferred_env": {"name": "n"}}'},
        LinkJson(noarch=NoArchLink(type="python", entry_points=("x = a:b",))),
    ),
    ({"package_metadata_json": '{"noarch": {"type": "generic"}}'}, LinkJson(noarch=NoArchLink())),
    (
        {"link_json": '{"noarch": {"type": "python"}}', "package_metadata_json": "{"},
        LinkJson(noarch=NoArchLink(type="python")),
    ),
]


@pytest.mark.parametrize(("files", "expected"), LINKS)
def test_link_json(make: Make, files: dict[str, str], expected: LinkJson) -> None:
    assert make(**files).link() == expected


def test_broken_link_json(make: Make) -> None:
    with pytest.raises(UnreadablePackage, match=r"link\.json"):
        make(link_json="{").link()


def test_the_bytecode_directory_is_outside_of_the_package(make: Make) -> None:
    package = make()
    one, other = package.bytecode_directory("cpython-312"), package.bytecode_directory("cpython-313")
    assert one != other
    assert not one.is_relative_to(package.directory)
    assert one.parts[-2:] == ("tool-1.0-0", "cpython-312")


def test_records_make_the_round_trip(make: Make) -> None:
    directory = make().directory
    write_record(directory, RECORD)
    assert read_record(directory) == RECORD
    for broken in (b"", b"{}", b"[]", b"\xff"):
        (directory / "info" / "repodata_record.json").write_bytes(broken)
        assert read_record(directory) is None


def test_a_bare_record_is_completed_from_index_json(make: Make) -> None:
    package = make(index_json='{"name": "tool", "version": "1.0", "build": "0", "depends": ["a"], "license": "MIT"}')
    found = completed(RECORD, package.directory)
    assert (found.depends, found.license) == (("a",), "MIT")
    assert (found.url, found.sha256, found.subdir, found.channel) == (
        RECORD.url,
        RECORD.sha256,
        RECORD.subdir,
        RECORD.channel,
    )
    for broken in ("", "{}", "[]"):
        (package.directory / "info" / "index.json").write_text(broken)
        with pytest.raises(UnreadablePackage, match=r"index\.json"):
            completed(RECORD, package.directory)
    (package.directory / "info" / "index.json").unlink()
    with pytest.raises(UnreadablePackage, match="missing"):
        completed(RECORD, package.directory)
