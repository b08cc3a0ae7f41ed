"""Reading, unpacking and writing what honest builders make."""

from __future__ import annotations

import bz2
import hashlib
import importlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.archive.extract import EARLIEST, extract
from kaa.archive.read import BadArchive, open_package, read_info
from kaa.archive.tar import Damaged, TarReader
from kaa.archive.write import Source, SourceBytes, SourceFile, SourceLink, write_folder, write_package
from tests.archive.builders import INDEX, Entry, conda, info_entries, long_name, pax, tar, tar_bz2, tree
from tests.channels import File, Package, Symlink

SHARED = Path(os.environ.get("KAA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "real-packages"
needs_real_packages = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"no real packages at {SHARED}; set KAA_SHARED_DATA to where they are"
)
REAL = sorted(path for path in SHARED.rglob("*") if path.is_file()) if SHARED.is_dir() else []
DAMAGED = {"zlib-1.2.11-h7b6447c_3.conda": "lib/libz.so.1", "zlib-1.2.11-h1de35cc_3.conda": "lib/libz.1.dylib"}
"""Real packages whose links lost their targets, and the first of these links."""
LOST_LINKS = {"zlib-1.2.11-h7b6447c_3.tar.bz2", "zlib-1.2.11-h1de35cc_3.tar.bz2"}
"""Real packages with empty files where paths.json names links; a tar cannot know that, the package cache does."""

PACKAGE = Package(
    "tool",
    files={
        "bin/tool": File(b"#!/bin/sh\n", mode=0o755),
        "bin/odd": File(b"x", mode=0o6777),
        "bin/read-only": File(b"x", mode=0o444),
        "lib/empty": b"",
        "lib/" + "deep/" * 40 + "name" * 20: b"deep",
        "lib/zażółć gęślą.txt": "jaźń",
        "lib/big": os.urandom(3_000_000),
        "lib/link": Symlink("big"),
        "lib/far": Symlink("../" * 1 + "a" * 200),
        "share/space name/[x].txt": b"y",
    },
)


@pytest.fixture(params=[".conda", ".tar.bz2"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    PACKAGE.extension = request.param
    path = tmp_path / PACKAGE.file_name
    path.write_bytes(PACKAGE.to_bytes())
    return path


def test_everything_arrives(archive: Path, tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        found = extract(archive, tmp_path / "x")
    finally:
        os.umask(umask)
    there = tree(tmp_path / "x")
    for path, entry in PACKAGE.entries().items():
        if isinstance(entry, Symlink):
            assert there[path].content == entry.target
        else:
            assert there[path].content == hashlib.sha256(entry.content).hexdigest()
            assert there[path].mode == entry.mode & 0o755
            assert there[path].mtime == 1_700_000_000
    assert set(PACKAGE.info()) <= set(there)
    files = [path for path, entry in there.items() if entry.kind != "directory"]
    assert found.files == len(files)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([archive.name, "x"])


def test_a_file_object_will_do(archive: Path, tmp_path: Path) -> None:
    extract(io.BytesIO(archive.read_bytes()), tmp_path / "memory")
    with archive.open("rb") as stream:
        extract(stream, tmp_path / "stream")
        assert not stream.closed
    assert tree(tmp_path / "memory") == tree(tmp_path / "stream")
    with pytest.raises(BadArchive, match="<stream>"):
        extract(io.BytesIO(b""), tmp_path / "none")


def test_the_name_does_not_matter(archive: Path, tmp_path: Path) -> None:
    renamed = archive.rename(tmp_path / "download")
    extract(renamed, tmp_path / "x")
    assert (tmp_path / "x" / "bin" / "tool").is_file()


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o027, 0o077])
def test_the_umask_is_applied(archive: Path, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        extract(archive, tmp_path / "x")
    finally:
        os.umask(before)
    there = tree(tmp_path / "x")
    assert there["bin/odd"].mode == 0o775 & ~umask
    assert there["bin/read-only"].mode == 0o444 & ~umask
    assert there["bin"].mode == 0o775 & ~umask
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o775 & ~umask


def test_read_info(archive: Path) -> None:
    assert read_info(archive) == PACKAGE.info()
    some = read_info(archive, ["info/index.json", "info/nothing"])
    assert some == {"info/index.json": PACKAGE.info()["info/index.json"]}


def test_info_is_read_without_the_rest() -> None:
    class Watched(io.BytesIO):
        seen = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.seen += len(data)
            return data

    content = Watched(conda(Entry("big", os.urandom(2_000_000))))
    assert read_info(content)["info/index.json"] == INDEX
    assert content.seen < 300_000


def test_a_renamed_conda_has_parts_with_the_old_name(tmp_path: Path) -> None:
    archive = tmp_path / "x.conda"
    archive.write_bytes(conda(Entry("a", b"x"), names=("info-old-1-2.tar.zst", "pkg-old-1-2.tar.zst")))
    extract(archive, tmp_path / "x")


def test_what_the_client_writes_cannot_come_with_a_package(tmp_path: Path) -> None:
    archive = tmp_path / "x.conda"
    archive.write_bytes(conda(Entry("info/repodata_record.json", b"{}"), Entry("a", b"x")))
    extract(archive, tmp_path / "x")
    assert not (tmp_path / "x" / "info" / "repodata_record.json").exists()


HARMLESS = {
    "dot slash": ([Entry("./a/b", b"x")], {"a/b": b"x"}),
    "double slash": ([Entry("a//b", b"x")], {"a/b": b"x"}),
    "the root itself": ([Entry("./", type=b"5"), Entry("a", b"x")], {"a": b"x"}),
    "directory as an old file": ([Entry("d/", type=b"0"), Entry("d/a", b"x")], {"d/a": b"x"}),
    "the same twice": ([Entry("a", b"x"), Entry("./a", b"x")], {"a": b"x"}),
    "a link twice": ([Entry("l", type=b"2", link="a"), Entry("l", type=b"2", link="a"), Entry("a", b"x")], {"l": b"x"}),
    "an info file again": ([Entry("info/index.json", INDEX)], {"info/index.json": INDEX}),
    "old type": ([Entry("a", b"x", type=b"\0")], {"a": b"x"}),
    "contiguous": ([Entry("a", b"x", type=b"7")], {"a": b"x"}),
    "a tar from before ustar": ([Entry("a", b"x", magic=b"", prefix=b"not a prefix")], {"a": b"x"}),
    "GNU magic": ([Entry("a", b"x", magic=b"ustar  ", prefix=b"not a prefix")], {"a": b"x"}),
    "ustar prefix": ([Entry("b", b"x", prefix=b"a/very/long")], {"a/very/long/b": b"x"}),
    "long name": ([long_name("a/" * 60 + "b"), Entry("cut", b"x")], {"a/" * 60 + "b": b"x"}),
    "long link": (
        [long_name("../x", b"K"), Entry("d/l", type=b"2"), Entry("x", b"x")],
        {"d/l": b"x"},
    ),
    "pax path": ([pax({"path": "ż/b", "mtime": "1.5"}), Entry("cut", b"x")], {"ż/b": b"x"}),
    "pax size": ([pax({"size": "3"}), Entry("a", b"xyz", size=0)], {"a": b"xyz"}),
    "pax link": ([pax({"linkpath": "x"}), Entry("l", type=b"2", link="cut"), Entry("x", b"x")], {"l": b"x"}),
    "global pax": ([pax({"comment": "hello"}, b"g"), Entry("a", b"x")], {"a": b"x"}),
    "hard link": ([Entry("a", b"x"), Entry("d/b", type=b"1", link="./a")], {"a": b"x", "d/b": b"x"}),
    "hard link to itself": ([Entry("a", b"x"), Entry("a", type=b"1", link="a")], {"a": b"x"}),
    "hard link to a link": (
        [Entry("a", b"x"), Entry("l", type=b"2", link="a"), Entry("m", type=b"1", link="l")],
        {"m": b"x"},
    ),
    "two dots in a name": ([Entry("a..b/..c", b"x")], {"a..b/..c": b"x"}),
    "backslash": ([Entry("system-systemd\\x2d.slice", b"x")], {"system-systemd\\x2d.slice": b"x"}),
    "no break space": ([Entry("a\u00a0b", b"x")], {"a\u00a0b": b"x"}),
    "right to left": ([Entry("\u05d0", b"x")], {"\u05d0": b"x"}),
}


@pytest.mark.parametrize("case", HARMLESS)
@pytest.mark.parametrize("build", [conda, tar_bz2])
def test_unusual_but_harmless(tmp_path: Path, case: str, build: object) -> None:
    entries, expected = HARMLESS[case]
    archive = tmp_path / "a"
    archive.write_bytes((conda if build is conda else tar_bz2)(*entries))
    extract(archive, tmp_path / "x")
    for path, content in expected.items():
        assert (tmp_path / "x" / path).read_bytes() == content


def test_hard_links_are_one_file(tmp_path: Path) -> None:
    archive = tmp_path / "a"
    archive.write_bytes(conda(Entry("a", b"x"), Entry("b", type=b"1", link="a")))
    extract(archive, tmp_path / "x")
    assert (tmp_path / "x" / "a").samefile(tmp_path / "x" / "b")


@pytest.mark.parametrize(
    "mtime", [-(10**9), -1, 0, 1, EARLIEST - 1, EARLIEST, EARLIEST + 1, 1_700_000_000, 0o77777777777]
)
def test_times_are_never_before_1980(tmp_path: Path, mtime: int) -> None:
    archive = tmp_path / "a"
    archive.write_bytes(conda(Entry("a", b"x", mtime=mtime)))
    extract(archive, tmp_path / "x")
    assert int((tmp_path / "x" / "a").stat().st_mtime) == max(mtime, EARLIEST)


def test_bzip2_of_several_streams(tmp_path: Path) -> None:
    content = tar(*info_entries(), Entry("a", os.urandom(100_000)))
    streams = [bz2.compress(content[start : start + 30_000]) for start in range(0, len(content), 30_000)]
    archive = tmp_path / "a"
    for end in (b"", bytes(100)):
        archive.write_bytes(b"".join(streams) + end)
        extract(archive, tmp_path / f"x{len(end)}")
    assert tree(tmp_path / "x0") == tree(tmp_path / "x100")


def test_zstd_of_several_frames_and_a_large_window(tmp_path: Path) -> None:
    data = tar(Entry("a", os.urandom(1000) * 300))
    frames = [zstandard.ZstdCompressor().compress(part) for part in (data[:5000], data[5000:])]
    long = zstandard.ZstdCompressionParameters.from_level(19, window_log=27, enable_ldm=True)
    for number, packed in enumerate(
        [b"".join(frames), zstandard.ZstdCompressor(compression_params=long).compress(data)]
    ):
        archive = tmp_path / f"{number}.conda"
        archive.write_bytes(conda(pkg=packed))
        extract(archive, tmp_path / f"x{number}")
    assert tree(tmp_path / "x0") == tree(tmp_path / "x1")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_tar_reader_agrees_with_the_standard_library(data: st.DataObject) -> None:
    letters = st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"])
    names = st.lists(st.text(letters, min_size=1, max_size=60), min_size=1, max_size=5).map("/".join)
    members = data.draw(st.dictionaries(names, st.binary(max_size=2000), max_size=6))
    form = data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as writer:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), data.draw(st.integers(-(2**40), 2**40))
            writer.addfile(member, io.BytesIO(content))
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as standard:
        expected = [(member.name, int(member.mtime), member.size) for member in standard]
    step = data.draw(st.integers(1, 5000))
    raw = io.BytesIO(buffer.getvalue())

    class Dripping:
        def read(self, size: int) -> bytes:
            return raw.read(min(size, step))

    reader = TarReader(Dripping(), 1 << 30)
    found = []
    for entry in reader:
        assert bytes(reader.content()) == members[entry.name]
        found.append((entry.name, entry.mtime, entry.size))
    assert found == expected


def test_content_that_is_not_read_is_skipped() -> None:
    data = tar(Entry("a", os.urandom(5000)), Entry("b", b"b"), Entry("c", os.urandom(700)))
    assert [member.name for member in TarReader(io.BytesIO(data), 1 << 20)] == ["a", "b", "c"]
    reader = TarReader(io.BytesIO(data), 1 << 20)
    assert [bytes(reader.content()) for member in reader if member.name == "b"] == [b"b"]
    with pytest.raises(Damaged, match="more data"):
        list(TarReader(io.BytesIO(data), 100))


# --- writing

FILES: list[tuple[str, Source]] = [
    ("lib/z", b"z"),
    ("bin/tool", SourceBytes(b"#!/bin/sh\n", 0o755)),
    ("lib/l", SourceLink("z")),
    ("a" * 120 + "/" + "b" * 120, b"long"),
    ("ż", b"utf-8"),
]
INFO = {"info/index.json": INDEX, "info/files": b"bin/tool\n"}


@pytest.fixture(params=[".conda", ".tar.bz2"])
def name(request: pytest.FixtureRequest) -> str:
    return f"tool-1.0-0{request.param}"


def test_what_was_written_is_what_is_read(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    write_package(target, INFO, FILES, timestamp=1_600_000_000)
    assert read_info(target) == INFO
    extract(target, tmp_path / "x")
    there = tree(tmp_path / "x")
    for path, source in FILES:
        match source:
            case SourceLink(link):
                assert there[path].content == link
            case SourceBytes(content, mode):
                assert (there[path].content, there[path].mode) == (hashlib.sha256(content).hexdigest(), mode)
            case bytes():
                assert (there[path].content, there[path].mtime) == (hashlib.sha256(source).hexdigest(), 1_600_000_000)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    digests = set()
    for number, files in enumerate((FILES, FILES[::-1])):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_package(folder / name, dict(reversed(INFO.items())) if number else INFO, files, timestamp=1)
        digests.add(hashlib.sha256((folder / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_a_folder_makes_the_round_trip(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    for path, content in {"info/index.json": INDEX, "info/test/run.sh": b"x", "bin/x": b"y", "lib/d/z": b"z"}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        os.utime(folder / path, (1_650_000_000, 1_650_000_000))
    (folder / "bin/x").chmod(0o755)
    (folder / "lib/d/l").symlink_to("../../bin/x")
    (folder / "lib/e").symlink_to("d")
    (folder / "info/repodata_record.json").write_text("{}")
    write_folder(tmp_path / name, folder)
    extract(tmp_path / name, tmp_path / "x")
    ignored = frozenset({"info/repodata_record.json"})
    assert tree(tmp_path / "x") == tree(folder, ignore=ignored)


def test_the_form_of_a_conda(tmp_path: Path) -> None:
    target = tmp_path / "tool-1.0-0.conda"
    write_package(target, INFO, FILES)
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == ["metadata.json", "pkg-tool-1.0-0.tar.zst", "info-tool-1.0-0.tar.zst"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        assert json.loads(archive.read("metadata.json")) == {"conda_pkg_format_version": 2}
        info = zstandard.ZstdDecompressor().stream_reader(archive.read("info-tool-1.0-0.tar.zst")).read()
    with tarfile.open(fileobj=io.BytesIO(info)) as members:
        assert members.getnames() == ["info/files", "info/index.json"]
        assert {(member.uid, member.gid, member.uname, member.gname) for member in members} == {(0, 0, "", "")}


def test_the_level_can_be_chosen(tmp_path: Path, name: str) -> None:
    content = b"".join(str(number).encode() for number in range(60_000))
    sizes = []
    for level in (1, 9):
        write_package(tmp_path / name, INFO, [("x", content)], level=level)
        sizes.append((tmp_path / name).stat().st_size)
    assert sizes[0] != sizes[1]


def test_a_failure_leaves_the_old_package(tmp_path: Path, name: str) -> None:
    target = tmp_path / name
    target.write_bytes(b"old")
    for files in ([("x", SourceFile(tmp_path / "missing"))], [("a", b"x"), ("b", SourceFile(tmp_path))]):
        with pytest.raises(OSError, match=r"missing|directory"):
            write_package(target, INFO, files)  # type: ignore[arg-type]
        assert [path.name for path in tmp_path.iterdir()] == [name]
        assert target.read_bytes() == b"old"


def test_wrong_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ends neither"):
        write_package(tmp_path / "x.zip", INFO, [])
    with pytest.raises(ValueError, match="below info"):
        write_package(tmp_path / "x-1-0.conda", {"index.json": b""}, [])
    assert list(tmp_path.iterdir()) == []


def test_a_written_package_has_the_mode_of_any_file(tmp_path: Path, name: str) -> None:
    umask = os.umask(0o027)
    try:
        write_package(tmp_path / name, INFO, [])
    finally:
        os.umask(umask)
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o640


# --- real packages


@needs_real_packages
@pytest.mark.parametrize("path", REAL, ids=[f"{path.parent.name}/{path.name}" for path in REAL])
def test_real_packages(path: Path, tmp_path: Path) -> None:
    subdir = path.parent.name
    if path.name in DAMAGED:
        with pytest.raises(BadArchive, match="without a target") as caught:
            extract(path, tmp_path / "x", subdir=subdir)
        assert caught.value.member == DAMAGED[path.name]
        assert list(tmp_path.iterdir()) == []
        return
    extract(path, tmp_path / "x", subdir=subdir)
    info = read_info(path)
    for entry in json.loads(info["info/paths.json"])["paths"]:
        file = tmp_path / "x" / entry["_path"]
        if entry["path_type"] == "hardlink":
            assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"]
            assert file.stat().st_size == entry["size_in_bytes"]
        else:
            assert file.is_symlink() or (path.name in LOST_LINKS and file.stat().st_size == 0)
    for name, content in info.items():
        assert (tmp_path / "x" / name).read_bytes() == content


@needs_real_packages
@pytest.mark.parametrize("path", REAL, ids=[f"{path.parent.name}/{path.name}" for path in REAL])
def test_real_packages_are_written_again(path: Path, tmp_path: Path) -> None:
    if path.name in DAMAGED:
        with pytest.raises(BadArchive):
            extract(path, tmp_path / "x")
        return
    extract(path, tmp_path / "x")
    for extension in (".conda", ".tar.bz2"):
        written = tmp_path / f"again{extension}"
        write_folder(written, tmp_path / "x", level=3)
        extract(written, tmp_path / f"x{extension}")
        assert tree(tmp_path / f"x{extension}", times=False) == tree(tmp_path / "x", times=False)


@pytest.mark.peers
def test_py_rattler_unpacks_the_same(archive: Path, tmp_path: Path) -> None:
    compare_with_py_rattler(archive, tmp_path)


@pytest.mark.peers
@needs_real_packages
@pytest.mark.parametrize("path", REAL, ids=[f"{path.parent.name}/{path.name}" for path in REAL])
def test_py_rattler_unpacks_real_packages_the_same(path: Path, tmp_path: Path) -> None:
    if path.name in DAMAGED:
        with pytest.raises(BadArchive):
            extract(path, tmp_path / "x")
        return
    compare_with_py_rattler(path, tmp_path)


@pytest.mark.peers
def test_py_rattler_reads_what_is_written(tmp_path: Path, name: str) -> None:
    write_package(tmp_path / name, INFO, FILES, timestamp=1_600_000_000)
    compare_with_py_rattler(tmp_path / name, tmp_path)


def compare_with_py_rattler(archive: Path, tmp_path: Path) -> None:
    streaming = importlib.import_module("rattler.package_streaming")
    umask = os.umask(0o022)
    try:
        extract(archive, tmp_path / "ours")
        streaming.extract(archive, tmp_path / "theirs")
    finally:
        os.umask(umask)
    ours, theirs = tree(tmp_path / "ours"), tree(tmp_path / "theirs")
    assert ours.keys() == theirs.keys()
    for path, found in ours.items():
        other = theirs[path]
        assert (found.kind, found.content) == (other.kind, other.content), path
        if found.kind == "file":
            # The other one rounds fractions of a second up, and takes a day earlier for the first of all.
            assert found.mtime == EARLIEST or 0 <= other.mtime - found.mtime <= 1, path
            # Set-user bits and foreign write permission: ours are gone, the owner's read permission is always there.
            assert found.mode == (other.mode & 0o755) | 0o400, path


def test_reading_loads_no_writer() -> None:
    program = (
        "import sys, kaa.archive.extract; print([n for n in ('tarfile', 'urllib3', 'dataclasses') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_open_package_says_what_it_is(archive: Path) -> None:
    with open_package(archive) as package:
        assert archive.name.endswith(package.extension)
        assert package.size == archive.stat().st_size
