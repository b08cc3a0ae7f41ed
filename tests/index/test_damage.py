"""Caches that were altered, cut off, emptied or made by others: the answers stay the same."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaa.index.kept_columns import ENTRY, HEADER, KeptColumns, NameColumns
from kaa.index.subdir_index import PAGE
from kaa.models.record import RepoDataRecord
from kaa.models.repodata import RepodataInvalid
from kaa.solver.candidates import columns_of
from tests.channels import ChannelBuilder, Server, serve
from tests.index.worlds import Reader, record
from tests.users import ALICE, BOB, User, let_others_in, needs_root

NAMES = [f"package-{number}" for number in range(12)]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A channel whose index has a few pages."""
    builder = ChannelBuilder(tmp_path / "channel")
    numbers = random.Random(3)
    for name in NAMES:
        for number in range(12):
            fields = record(name, f"1.{number}", license="x" * numbers.randrange(600), depends=[f"d{number} >=1"])
            builder.add_record(f"{name}-1.{number}-0.conda", fields, "noarch")
    return builder.write().folder


@pytest.fixture(params=["file", "http"])
def url(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    with serve(folder) as server:
        yield server.url if request.param == "http" else folder.as_uri()


def answers(reader: Reader, url: str, *, offline: bool = False) -> dict[str, object]:
    """All that can be asked of a channel: names, records, columns, and records by way of the columns."""
    found: dict[str, object] = {}
    with reader.open(url, subdirs=("noarch",), ttl=1000, offline=offline) as index:
        for name in sorted(index.names()):
            [group] = index.groups(name)
            chosen = [group.record(position) for position in range(group.columns.count)]
            found[name] = (index.records(name), bytes(group.columns.builds), group.columns.versions, chosen)
    return found


def flip(path: Path, numbers: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[numbers.randrange(len(content))] ^= 1 << numbers.randrange(8)
    path.unlink()  # a process that has the old file open keeps it
    path.write_bytes(content)


@pytest.mark.parametrize("suffix", ["index", "columns"])
def test_flipped_bytes(reader: Reader, url: str, suffix: str) -> None:
    expected = answers(reader, url)
    assert len(expected) == len(NAMES)
    [path] = reader.cache.glob(f"*.{suffix}")
    numbers = random.Random(4)
    for _ in range(40):
        flip(path, numbers)
        assert answers(reader, url) == expected
        assert answers(reader, url) == expected
    assert path.exists()


@pytest.mark.parametrize("suffix", ["index", "columns", "body", "state"])
@pytest.mark.parametrize(
    "alter",
    [
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"nothing of ours\n" * 100), id="other"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="cut off"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), id="half"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes() * 2), id="twice"),
        pytest.param(lambda path: path.write_bytes(bytes(path.stat().st_size)), id="zeros"),
    ],
)
def test_altered_files(reader: Reader, url: str, suffix: str, alter: Callable[[Path], object]) -> None:
    expected = answers(reader, url)
    for path in reader.cache.glob(f"*.{suffix}"):
        alter(path)
    assert answers(reader, url) == expected
    assert answers(reader, url) == expected


def test_another_format_version(reader: Reader, url: str) -> None:
    expected = answers(reader, url)
    [path] = reader.cache.glob("*.index")
    content = bytearray(path.read_bytes())
    content[8] = 200
    path.write_bytes(content)
    assert answers(reader, url) == expected
    assert path.read_bytes()[8] != 200


def test_damage_while_the_index_is_open(reader: Reader, url: str) -> None:
    """Pages are checked when they are first read: then the index is built again, and read on."""
    expected = answers(reader, url)
    [path] = reader.cache.glob("*.index")
    for columns in reader.cache.glob("*.columns"):
        columns.unlink()
    content = bytearray(path.read_bytes())
    assert len(content) > 3 * PAGE
    content[PAGE * 2] ^= 1
    path.write_bytes(content)
    with reader.open(url, subdirs=("noarch",), ttl=1000) as index:
        groups = {name: index.groups(name)[0] for name in NAMES}
        for name, group in groups.items():
            assert [group.record(place) for place in range(group.columns.count)] == expected[name][3]  # type: ignore[index]
    assert answers(reader, url) == expected


def test_offline_an_index_is_built_from_the_document(reader: Reader, folder: Path) -> None:
    with serve(folder) as server:
        expected = answers(reader, server.url)
    [path] = reader.cache.glob("*.index")
    path.unlink()
    assert answers(reader, server.url, offline=True) == expected


def test_offline_without_the_document(reader: Reader, folder: Path) -> None:
    with serve(folder) as server:
        answers(reader, server.url)
    for path in (*reader.cache.glob("*.index"), *reader.cache.glob("*.body")):
        path.unlink()
    with pytest.raises(RepodataInvalid, match="gone or damaged, and kaa works offline"):
        answers(reader, server.url, offline=True)


def test_a_document_that_was_altered_is_not_trusted(reader: Reader, folder: Path) -> None:
    with serve(folder) as server:
        expected = answers(reader, server.url)
        [index], [body] = reader.cache.glob("*.index"), reader.cache.glob("*.body")
        index.unlink()
        flip(body, random.Random(5))
        assert answers(reader, server.url) == expected
        index.unlink()
        flip(body, random.Random(6))
    with pytest.raises(RepodataInvalid, match="gone or damaged"):
        answers(reader, server.url, offline=True)


def test_temporary_files_of_killed_writers_are_removed(reader: Reader, server_and_folder: tuple[Server, Path]) -> None:
    server, folder = server_and_folder
    answers(reader, server.url)
    [index] = reader.cache.glob("*.index")
    entry = index.name.partition("-")[0]
    left = [reader.cache / f".{index.name}.abc", reader.cache / f".{entry}-xyz", reader.cache / f".{entry}.state.abc"]
    stranger = reader.cache / ".somebody-else.tmp"
    for path in (*left, stranger):
        path.write_bytes(b"half")
    ChannelBuilder(folder).add_record("b-1-0.conda", record("b"), "noarch").write()
    with reader.open(server.url, subdirs=("noarch",)) as opened:
        assert list(opened.names()) == ["b"]
    assert [path for path in left if path.exists()] == []
    assert stranger.exists()


@pytest.fixture
def server_and_folder(folder: Path) -> Iterator[tuple[Server, Path]]:
    with serve(folder) as server:
        yield server, folder


READ_ALL = """
import json, sys
from pathlib import Path
from tests.index.worlds import Reader
print(json.dumps(Reader(Path(sys.argv[1])).dists(sys.argv[2], subdirs=("noarch",), ttl=int(sys.argv[3]))))
"""


@pytest.mark.parametrize("ttl", ["0", "1000"])
def test_processes_side_by_side(reader: Reader, url: str, ttl: str) -> None:
    """Several processes start with nothing, at the same time; all see the same, and the cache is sound afterwards."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", READ_ALL, str(reader.cache), url, ttl]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root) for _ in range(3)]
    outputs = [process.communicate(timeout=100) for process in running]
    assert [errors for _, errors in outputs] == [b""] * 3
    found = [json.loads(output) for output, _ in outputs]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 144
    assert reader.dists(url, subdirs=("noarch",), ttl=1000) == found[0]
    assert not [path for path in reader.cache.iterdir() if path.name.startswith(".")]


def test_processes_while_the_channel_changes(reader: Reader, server_and_folder: tuple[Server, Path]) -> None:
    server, folder = server_and_folder
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", READ_ALL, str(reader.cache), server.url, "0"]
    expected = []
    running = []
    for number in range(4):
        ChannelBuilder(folder).add_record(f"b-{number}-0.conda", record("b", str(number)), "noarch").write()
        expected.append([f"b-{number}-0"])
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root))
        assert reader.dists(server.url, subdirs=("noarch",)) == expected[-1]
    for process in running:
        output, errors = process.communicate(timeout=100)
        assert errors == b""
        assert json.loads(output) in expected
    assert reader.dists(server.url, subdirs=("noarch",)) == expected[-1]


KEY = bytes(32)


def columns_for(name: str, count: int) -> NameColumns:
    records = [RepoDataRecord(name=name, version=f"1.{number}", build="0") for number in range(count)]
    return NameColumns(columns_of(records), list(range(count)))


def test_kept_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.columns"
    kept = KeptColumns(path, KEY)
    assert kept.find("a") is None
    kept.add({"a": columns_for("a", 3)})
    kept.add({"b": columns_for("b", 1), "c": columns_for("c", 200)})
    for again in (kept, KeptColumns(path, KEY)):
        assert again.find("a") == columns_for("a", 3)
        assert again.find("c") == columns_for("c", 200)
        assert again.find("d") is None
    assert KeptColumns(path, bytes([1] * 32)).find("a") is None


@needs_root
def test_columns_that_another_user_of_the_group_kept_are_added_to(tmp_path: Path) -> None:
    let_others_in(tmp_path)
    alice, bob = User(ALICE.uid, (30001,)), User(BOB.uid, (30001,))
    path = alice.directory(tmp_path / "shared", 0o2775) / "x.columns"
    alice.does(lambda: KeptColumns(path, KEY).add({"a": columns_for("a", 3)}))
    assert path.stat().st_mode & 0o777 == 0o644
    bob.does(lambda: KeptColumns(path, KEY).add({"b": columns_for("b", 3)}))
    assert sorted(KeptColumns(path, KEY).names()) == ["a", "b"]


def test_columns_of_another_index_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.columns"
    KeptColumns(path, KEY).add({"a": columns_for("a", 3)})
    other = KeptColumns(path, bytes([1] * 32))
    other.add({"b": columns_for("b", 1)})
    assert other.find("a") is None
    assert KeptColumns(path, bytes([1] * 32)).find("b") == columns_for("b", 1)
    assert KeptColumns(path, KEY).find("a") is None


def test_two_that_keep_columns_of_one_index(tmp_path: Path) -> None:
    path = tmp_path / "x.columns"
    one, other = KeptColumns(path, KEY), KeptColumns(path, KEY)
    one.add({"a": columns_for("a", 1)})
    other.add({"b": columns_for("b", 2)})
    one.add({"c": columns_for("c", 3)})
    again = KeptColumns(path, KEY)
    assert [again.find(name) for name in "abc"] == [
        columns_for(name, count) for name, count in zip("abc", (1, 2, 3), strict=True)
    ]


@pytest.mark.parametrize("cut", [1, 4, ENTRY.size, 60])
def test_an_entry_that_was_cut_off(tmp_path: Path, cut: int) -> None:
    """A process was killed while it appended: what stands before is kept, and the file is sound after the next one."""
    path = tmp_path / "x.columns"
    kept = KeptColumns(path, KEY)
    kept.add({"a": columns_for("a", 3)})
    kept.add({"b": columns_for("b", 3)})
    path.write_bytes(path.read_bytes()[:-cut])
    damaged = KeptColumns(path, KEY)
    assert damaged.find("a") == columns_for("a", 3)
    assert damaged.find("b") is None
    damaged.add({"c": columns_for("c", 3)})
    again = KeptColumns(path, KEY)
    assert again.find("a") == columns_for("a", 3)
    assert again.find("c") == columns_for("c", 3)


def test_flipped_bytes_of_columns_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "x.columns"
    expected = {name: columns_for(name, 5) for name in ("a", "bb", "ccc")}
    KeptColumns(path, KEY).add(expected)
    sound = path.read_bytes()
    for offset in range(HEADER.size, len(sound)):
        content = bytearray(sound)
        content[offset] ^= 1 << offset % 8
        path.write_bytes(content)
        kept = KeptColumns(path, KEY)
        found = {name: kept.find(name) for name in expected}
        assert all(found[name] in (None, expected[name]) for name in expected)
        assert None in found.values()
    path.write_bytes(sound)


def test_columns_that_cannot_be_kept(tmp_path: Path) -> None:
    kept = KeptColumns(tmp_path / "absent" / "x.columns", KEY)
    (tmp_path / "absent").write_text("in the way")
    kept.add({"a": columns_for("a", 1)})
    assert kept.find("a") is None
