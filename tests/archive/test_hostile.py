"""Archives that must be refused: by name, with nothing written outside and nothing left behind."""

from __future__ import annotations

import errno
import os
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.archive.extract import extract, find_case_clashes, leaves_package, possible_on_windows
from kaa.archive.read import BadArchive, read_info
from tests.archive.builders import Entry, conda, info_entries, long_name, pax, tar, tar_bz2, tree

LINK, HARD, FOLDER = b"2", b"1", b"5"

HOSTILE = {
    "absolute": ([Entry("/etc/passwd", b"x")], "/etc/passwd", "absolute"),
    "absolute directory": ([Entry("/evil/", type=FOLDER)], "/evil/", "absolute"),
    "only a slash": ([Entry("/", type=FOLDER)], "/", "absolute"),
    "absolute in the root": ([Entry("/x", b"x")], "/x", "absolute"),
    "dot dot": ([Entry("../x", b"x")], "../x", "`..`"),
    "dot dot inside": ([Entry("a/../../x", b"x")], "a/../../x", "`..`"),
    "dot dot at the end": ([Entry("a/..", b"x")], "a/..", "not the name"),
    "dot dot directory": ([Entry("a/../..", type=FOLDER)], "a/../..", "`..`"),
    "dot dot that would stay": ([Entry("a/../x", b"x")], "a/../x", "`..`"),
    "dot dot in a long name": ([long_name("../" + "a" * 200), Entry("x", b"x")], "../" + "a" * 200, "`..`"),
    "dot dot in a pax path": ([pax({"path": "../x"}), Entry("x", b"x")], "../x", "`..`"),
    "dot dot in a prefix": ([Entry("x", b"x", prefix=b"..")], "../x", "`..`"),
    "empty name": ([Entry("", b"x")], "", "empty"),
    "dot": ([Entry(".", b"x")], ".", "not the name"),
    "name in a pax header with NUL": ([pax({"path": "a\0b"}), Entry("x", b"x")], "a\0b", "control"),
    "newline": ([Entry("a\nb", b"x")], "a\nb", "control"),
    "escape": ([Entry("a/\x1b[2Jb", b"x")], "a/\x1b[2Jb", "control"),
    "escape in a folder": ([Entry("\x1b[2J/b", b"x")], "\x1b[2J/b", "control"),
    "C1 control": ([Entry("a\x9bb", b"x")], "a\x9bb", "control"),
    "not UTF-8": ([Entry(b"a\xff", b"x")], "a\\xff", "UTF-8"),
    "link out": ([Entry("l", type=LINK, link="..")], "l", "out of the package"),
    "link far out": ([Entry("a/l", type=LINK, link="../../etc")], "a/l", "out of the package"),
    "absolute link": ([Entry("l", type=LINK, link="/etc/passwd")], "l", "out of the package"),
    "link without target": ([Entry("lib/libz.so.1", type=LINK)], "lib/libz.so.1", "without a target"),
    "link with control characters": ([Entry("l", type=LINK, link="a\nb")], "l", "control"),
    "link out through another": (
        [Entry("a", type=LINK, link="."), Entry("b", type=LINK, link="a/..")],
        "b",
        "out of the package",
    ),
    "link out through a later one": (
        [Entry("b", type=LINK, link="deep/.."), Entry("deep", type=LINK, link="x/../.")],
        "b",
        "out of the package",
    ),
    "through a link": (
        [Entry("a/l", type=LINK, link="../b"), Entry("a/l/x", b"x")],
        "a/l/x",
        "goes through the symbolic link a/l",
    ),
    "through a link that stays": ([Entry("l", type=LINK, link="b"), Entry("l/x", b"x")], "l/x", "symbolic link l"),
    "a directory through a link": ([Entry("l", type=LINK, link="b"), Entry("l/x/", type=FOLDER)], "l/x/", "link l"),
    "a directory where a link is": ([Entry("l", type=LINK, link="b"), Entry("l/", type=FOLDER)], "l/", "link l"),
    "a link where a directory is": ([Entry("a/x", b"x"), Entry("a", type=LINK, link="b")], "a", "twice"),
    "a link where a file is": ([Entry("a", b"x"), Entry("a", type=LINK, link="b")], "a", "twice"),
    "a file where a link is": ([Entry("a", type=LINK, link="b"), Entry("a", b"x")], "a", "twice"),
    "a file where a directory is": ([Entry("a/x", b"x"), Entry("a", b"x")], "a", "twice"),
    "below a file": ([Entry("a", b"x"), Entry("a/b", b"x")], "a/b", "below a, which is a file"),
    "a directory where a file is": ([Entry("a", b"x"), Entry("a/", type=FOLDER)], "a/", "below a, which is a file"),
    "twice": ([Entry("a", b"x"), Entry("a", b"y")], "a", "twice"),
    "twice, spelt otherwise": ([Entry("d/a", b"x"), Entry("./d//a", b"y")], "./d//a", "twice"),
    "twice, longer": ([Entry("a", b"x"), Entry("a", b"xx")], "a", "twice"),
    "twice, shorter": ([Entry("a", b"xx"), Entry("a", b"x")], "a", "twice"),
    "twice, another link": ([Entry("a", type=LINK, link="b"), Entry("a", type=LINK, link="c")], "a", "twice"),
    "info again": ([Entry("info/index.json", b"other")], "info/index.json", "twice"),
    "hard link out": ([Entry("h", type=HARD, link="../x")], "h", "out of the package"),
    "absolute hard link": ([Entry("h", type=HARD, link="/etc/passwd")], "h", "out of the package"),
    "hard link forward": ([Entry("h", type=HARD, link="x"), Entry("x", b"x")], "h", "not a file that came before"),
    "hard link to nothing": ([Entry("h", type=HARD, link="x")], "h", "not a file that came before"),
    "hard link to a directory": ([Entry("a/x", b""), Entry("h", type=HARD, link="a")], "h", "not a file that came"),
    "hard link without target": ([Entry("h", type=HARD)], "h", "without a target"),
    "hard link twice": (
        [Entry("a", b"a"), Entry("b", b"b"), Entry("b", type=HARD, link="a")],
        "b",
        "twice",
    ),
    "hard link to a link, from where it leaves": (
        [Entry("a/b/l", type=LINK, link="../x"), Entry("l", type=HARD, link="a/b/l")],
        "l",
        "out of the package",
    ),
    "character device": ([Entry("d", type=b"3")], "d", "character device"),
    "block device": ([Entry("d", type=b"4")], "d", "block device"),
    "fifo": ([Entry("f", type=b"6")], "f", "fifo"),
    "sparse file": ([Entry("s", type=b"S")], "s", "sparse"),
    "sparse file by pax": ([pax({"GNU.sparse.major": "1"}), Entry("s", b"x")], "s", "sparse"),
    "unknown type": ([Entry("u", type=b"Z")], "u", "unknown type"),
    "records of the environment": ([Entry("conda-meta/history", b"x")], "conda-meta/history", "conda-meta"),
    "records of the environment, spelt": ([Entry("./conda-meta/x", b"x")], "./conda-meta/x", "conda-meta"),
    "pax with a wrong length": ([Entry("x", b"99 path=y\n", type=b"x"), Entry("x", b"x")], "", "extended header"),
    "pax without a value": ([Entry("x", b"7 path\n", type=b"x"), Entry("x", b"x")], "", "extended header"),
    "pax with a wrong size": ([pax({"size": "x"}), Entry("x", b"x")], "x", "size is not a number"),
    "pax with a negative size": ([pax({"size": "-1"}), Entry("x", b"x")], "x", "negative"),
    "a huge extended header": ([Entry("x", b"", type=b"x", size=1 << 30)], "", "header extension of"),
    "a negative size": ([Entry("x", b"", size=-1)], "", "negative"),
}


def surroundings(tmp_path: Path) -> Path:
    """A directory with something beside the target that must stay as it is."""
    outer = tmp_path / "outer"
    (outer / "pkgs" / "neighbour").mkdir(parents=True)
    (outer / "pkgs" / "neighbour" / "file").write_text("untouched")
    (outer / "x").write_text("untouched")
    return outer


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("extension", [".conda", ".tar.bz2"])
def test_refused_by_name_and_nothing_written(tmp_path: Path, case: str, extension: str) -> None:
    entries, member, reason = HOSTILE[case]
    outer = surroundings(tmp_path)
    archive = tmp_path / f"tool-1.0-0{extension}"
    archive.write_bytes((conda if extension == ".conda" else tar_bz2)(*entries))
    before = tree(outer)
    with pytest.raises(BadArchive) as caught:
        extract(archive, outer / "pkgs" / "tool-1.0-0")
    assert tree(outer) == before
    assert caught.value.path == str(archive)
    assert reason in caught.value.reason
    assert caught.value.member == member
    # What is printed can steer no terminal.
    assert str(caught.value).replace("\n", " ").isprintable()


@pytest.mark.parametrize("name", ["a\\b", "C:x", "nul", "aux.txt", "COM1", "a.", "a ", "a?", 'a"b', "x/con/y"])
def test_names_that_windows_has_not(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "x.conda"
    archive.write_bytes(conda(Entry(name, b"x")))
    with pytest.raises(BadArchive, match="not possible on Windows"):
        extract(archive, tmp_path / "win", subdir="win-64")
    assert not (tmp_path / "win").exists()
    extract(archive, tmp_path / "linux", subdir="linux-64")
    assert (tmp_path / "linux" / name).read_bytes() == b"x"


@pytest.mark.parametrize("target", ["..\\x", "C:\\x", "a:b"])
def test_links_that_leave_on_windows(tmp_path: Path, target: str) -> None:
    archive = tmp_path / "x.conda"
    archive.write_bytes(conda(Entry("l", type=LINK, link=target)))
    with pytest.raises(BadArchive, match="out of the package"):
        extract(archive, tmp_path / "win", subdir="win-64")


@pytest.mark.parametrize(("subdir", "reported"), [("linux-64", False), ("osx-arm64", True), ("win-64", True)])
def test_case_clashes_are_reported_where_they_matter(tmp_path: Path, subdir: str, reported: bool) -> None:
    archive = tmp_path / "x.conda"
    archive.write_bytes(conda(Entry("share/A", b"1"), Entry("share/a", b"2"), Entry("Share/b", b"3")))
    found = extract(archive, tmp_path / "x", subdir=subdir)
    expected = {("share/A", "share/a"), ("share", "Share")}
    assert set(found.case_clashes) == (expected if reported else set())


def test_composed_characters_clash() -> None:
    assert list(find_case_clashes(["\u00e9", "e\u0301"])) == [("\u00e9", "e\u0301")]


GOOD_LINKS = [
    ("lib/l", "libz.so.1.2"),
    ("lib/l", "../bin/x"),
    ("lib/l", "./../lib/./x"),
    ("lib/l", "nowhere"),
    ("lib/l", "l"),
    ("l", "."),
    ("a/b/c/l", "../../../x"),
    ("l", "a/../b"),
]


@pytest.mark.parametrize(("name", "target"), GOOD_LINKS)
def test_links_that_stay_are_made(tmp_path: Path, name: str, target: str) -> None:
    archive = tmp_path / "x.conda"
    archive.write_bytes(conda(Entry(name, type=LINK, link=target)))
    extract(archive, tmp_path / "x")
    assert os.readlink(tmp_path / "x" / name) == target  # noqa: PTH115 - a Path would tidy it up


def test_links_in_a_circle_lead_nowhere() -> None:
    assert not leaves_package("a", {"a": "b", "b": "a"})
    assert not leaves_package("a", {"a": "a/.."})


parts = st.sampled_from([".", "..", "a", "b", "l", "m", ""])
paths = st.lists(parts, min_size=1, max_size=6).map("/".join)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["l", "m", "a/l", "a/b/m"]), paths, min_size=1))
def test_no_link_that_is_made_resolves_outside(tmp_path_factory: pytest.TempPathFactory, links: dict[str, str]) -> None:
    tmp_path = tmp_path_factory.mktemp("links")
    archive = tmp_path / "x.conda"
    entries = [Entry("a/b/file", b"x"), *(Entry(name, type=LINK, link=target) for name, target in links.items())]
    archive.write_bytes(conda(*entries))
    root = tmp_path / "root" / "x"
    root.parent.mkdir()
    try:
        extract(archive, root)
    except BadArchive:
        return
    for name in links:
        try:
            (root / name).stat()
        except OSError as error:
            if error.errno == errno.ELOOP:
                continue
        resolved = os.path.realpath(root / name)
        assert resolved == str(root) or resolved.startswith(f"{root}/")


# --- containers


def test_bombs_are_bounded(tmp_path: Path) -> None:
    compress = zstandard.ZstdCompressor().compress
    bomb = Entry("zeros", bytes(20_000_000))
    archive = tmp_path / "x.conda"
    archive.write_bytes(conda(pkg=compress(tar(bomb))))
    with pytest.raises(BadArchive, match="unpacks to more data"):
        extract(archive, tmp_path / "x", limit=10_000_000)
    with pytest.raises(BadArchive, match="unpacks to more data"):
        archive.write_bytes(tar_bz2(bomb))
        extract(archive, tmp_path / "x", limit=10_000_000)
    assert names(tmp_path) == ["x.conda"]


def test_a_bomb_without_an_end_needs_no_memory(tmp_path: Path) -> None:
    # 4 GiB of zeros behind a header that announces them: refused at the default limit, long before the disk is full.
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    header = Entry("zeros", b"", size=4 << 30).to_bytes()
    packed = [compressor.compress(header)]
    packed += [compressor.compress(bytes(1 << 24)) for _ in range(80)]
    packed.append(compressor.flush())
    archive = tmp_path / "x.conda"
    archive.write_bytes(conda(pkg=b"".join(packed)))
    with pytest.raises(BadArchive, match=r"unpacks to more data|cut off"):
        extract(archive, tmp_path / "x", limit=64 << 20)
    assert not (tmp_path / "x").exists()


def compressed(*entries: Entry) -> bytes:
    return zstandard.ZstdCompressor().compress(tar(*entries))


BROKEN = {
    "empty": (b"", "neither"),
    "text": (b"<html>not found</html>", "neither"),
    "only a magic": (b"PK\x03\x04", "zip"),
    "bzip2 magic": (b"BZh9", "bzip2"),
    "no metadata": (conda(metadata=b""), "metadata.json"),
    "metadata is no JSON": (conda(metadata=b"{"), "conda_pkg_format_version"),
    "metadata without version": (conda(metadata=b"{}"), "conda_pkg_format_version"),
    "metadata is a list": (conda(metadata=b"[]"), "conda_pkg_format_version"),
    "metadata too deep": (conda(metadata=b"[" * 100_000), "conda_pkg_format_version"),
    "version 1": (conda(metadata=b'{"conda_pkg_format_version": 1}'), "version is 1"),
    "version 3": (conda(metadata=b'{"conda_pkg_format_version": 3}'), "version is 3"),
    "version is text": (conda(metadata=b'{"conda_pkg_format_version": "2"}'), "version is '2'"),
    "huge metadata": (conda(metadata=b" " * (2 << 20)), "too large"),
    "no info part": (conda(names=("x.tar.zst", "pkg-a.tar.zst")), "no file named info"),
    "no pkg part": (conda(names=("info-a.tar.zst", "x.tar.zst")), "no file named pkg"),
    "info in a folder": (conda(names=("d/info-a.tar.zst", "pkg-a.tar.zst")), "no file named info"),
    "other compression": (conda(names=("info-a.tar.gz", "pkg-a.tar.zst")), "no file named info"),
    "zip compressed by lzma": (conda(Entry("a", b"x"), compression=zipfile.ZIP_LZMA), "compressed in an unknown way"),
    "pkg is not zstd": (conda(pkg=b"not zstd"), "zstd"),
    "pkg is empty": (conda(pkg=b""), "cut off"),
    "pkg is cut": (conda(pkg=compressed(Entry("a", os.urandom(9999)))[:5000]), "cut off"),
    "tar without end": (conda(pkg=zstandard.ZstdCompressor().compress(tar(Entry("a", b"x"), end=b""))), "end marker"),
    "tar cut in a header": (
        conda(pkg=zstandard.ZstdCompressor().compress(tar(Entry("a", b"x"), end=b"")[:700])),
        "cut off",
    ),
    "tar with a wrong checksum": (
        conda(pkg=zstandard.ZstdCompressor().compress(tar(Entry("a", b"x")).replace(b"ustar", b"ustaX", 1))),
        "checksum",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_containers(tmp_path: Path, case: str) -> None:
    content, reason = BROKEN[case]
    archive = tmp_path / "x.conda"
    archive.write_bytes(content)
    with pytest.raises(BadArchive, match=reason):
        extract(archive, tmp_path / "x")
    assert names(tmp_path) == ["x.conda"]


GOOD = {
    ".conda": conda(*(Entry(f"d{i}/f{i}", os.urandom(50) * i) for i in range(30)), Entry("l", type=LINK, link="d1/f1")),
    ".tar.bz2": tar_bz2(*(Entry(f"d{i}/f{i}", os.urandom(50) * i) for i in range(30))),
}


@pytest.mark.parametrize("extension", GOOD)
def test_truncated_anywhere(tmp_path: Path, extension: str) -> None:
    content = GOOD[extension]
    archive = tmp_path / "a"
    archive.write_bytes(content)
    extract(archive, tmp_path / "whole")
    whole = tree(tmp_path / "whole")
    refused = 0
    for length in [*range(64), *range(64, len(content), max(1, len(content) // 150)), len(content) - 1]:
        archive.write_bytes(content[:length])
        try:
            extract(archive, tmp_path / "cut")
        except BadArchive:
            refused += 1
            assert names(tmp_path) == ["a", "whole"]
        else:
            # A few bytes at the end of a bzip2 file say nothing new.
            assert length > len(content) - 20
            assert tree(tmp_path / "cut") == whole
            (tmp_path / "cut").rename(tmp_path / f"cut{length}")
            return
    assert refused > 150


@settings(max_examples=150, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("extension", GOOD)
def test_flipped_bits_are_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, extension: str, data: st.DataObject
) -> None:
    content = bytearray(GOOD[extension])
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    tmp_path = tmp_path_factory.mktemp("flip")
    archive = tmp_path / "a"
    archive.write_bytes(content)
    try:
        extract(archive, tmp_path / "x")
    except BadArchive:
        assert names(tmp_path) == ["a"]
        return
    archive.write_bytes(GOOD[extension])
    extract(archive, tmp_path / "y")
    assert tree(tmp_path / "x") == tree(tmp_path / "y")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_tar_of_anything_is_refused_or_stays_inside(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Headers with random bytes and a right checksum: deeper than flipped bits ever come."""
    names = st.one_of(paths, st.text(max_size=20)).map(lambda text: text.encode("utf-8", "surrogatepass")[:100])
    entries = [
        Entry(
            data.draw(names),
            data.draw(st.binary(max_size=600)),
            type=data.draw(st.sampled_from([b"0", b"1", b"2", b"5", b"x", b"L", b"K", b"g", b"\0"])),
            link=data.draw(names),
            mode=data.draw(st.integers(0, 0o7777)),
        )
        for _ in range(data.draw(st.integers(1, 8)))
    ]
    tmp_path = tmp_path_factory.mktemp("any")
    outer = surroundings(tmp_path)
    before = tree(outer)
    archive = tmp_path / "a"
    archive.write_bytes(conda(*entries))
    try:
        extract(archive, outer / "pkgs" / "x")
    except BadArchive as error:
        assert str(error)
        assert tree(outer) == before
        return
    after = tree(outer)
    assert {path: after[path] for path in before if path in after} == before
    assert all(path in before or path.startswith("pkgs/x") for path in after)
    assert all(found.mode & 0o7000 == 0 for found in after.values())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    archive = tmp_path_factory.mktemp("bytes") / "a"
    for start in (b"", b"PK", b"BZh9", b"PK\x05\x06" + bytes(18)):
        archive.write_bytes(start + content)
        with pytest.raises(BadArchive):
            extract(archive, archive.with_name("x"))
        with pytest.raises(BadArchive):
            read_info(archive)


def test_a_target_that_exists_is_left_alone(tmp_path: Path) -> None:
    archive = tmp_path / "a.conda"
    archive.write_bytes(conda(Entry("f", b"x")))
    for target in ("folder", "file", "link"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "file").touch()
        if not (tmp_path / "link").is_symlink():
            (tmp_path / "link").symlink_to("nowhere")
        before = tree(tmp_path)
        with pytest.raises(FileExistsError):
            extract(archive, tmp_path / target)
        assert tree(tmp_path) == before


def test_a_failure_of_the_caller_leaves_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "a.conda"
    archive.write_bytes(conda(Entry("f", b"x")))

    def fail(directory: Path) -> None:
        assert (directory / "f").read_bytes() == b"x"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(archive, tmp_path / "x", complete=fail)
    assert names(tmp_path) == ["a.conda"]


def test_windows_names() -> None:
    assert possible_on_windows("console")
    assert possible_on_windows(".hidden")
    assert not possible_on_windows("CON")
    assert info_entries({"info/x": b""})[-1].name == "info/x"
