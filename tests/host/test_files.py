from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kaa.host.files import (
    LinkMethod,
    copy_file,
    is_writable,
    probe_link_method,
    remove_tree,
    remove_unfinished,
    write_atomic,
)
from kaa.host.hashing import hash_file

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_write_atomic_keeps_the_mode_of_what_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    write_atomic(path, b"new", sync=True)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_write_atomic_follows_the_umask_for_a_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomic(tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_write_atomic_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError):
        write_atomic(tmp_path / "directory", b"x", mode=0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["directory"]


def test_remove_tree_does_not_follow_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "link").symlink_to(outside)
    (tree / "closed").mkdir()
    (tree / "closed" / "file").write_text("x")
    (tree / "closed").chmod(0o500)
    remove_tree(tree)
    assert not tree.exists()
    assert (outside / "kept").exists()
    remove_tree(tree)


def test_copy_keeps_mode_and_times_and_never_overwrites(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("x")
    source.chmod(0o751)
    os.utime(source, (1_000_000_000, 1_000_000_000))
    copy_file(source, tmp_path / "target")
    result = (tmp_path / "target").stat()
    assert (stat.S_IMODE(result.st_mode), result.st_mtime) == (0o751, 1_000_000_000)
    with pytest.raises(FileExistsError):
        copy_file(source, tmp_path / "target")
    assert (tmp_path / "target").read_text() == "x"


def test_probing_leaves_nothing_behind(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    method, reason = probe_link_method(source, target)
    assert method in (LinkMethod.REFLINK, LinkMethod.HARDLINK)
    assert reason == ""
    assert list(source.iterdir()) == list(target.iterdir()) == []


def test_across_file_systems_a_copy_is_the_answer_and_says_why(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not is_writable(memory) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system to try")
    method, reason = probe_link_method(tmp_path, memory)
    assert method is LinkMethod.COPY
    assert "different file systems" in reason


def test_hash_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert hash_file(tmp_path / "empty") == EMPTY_SHA256


def test_what_a_killed_write_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("1")
    others = [
        ".list.txt.",
        ".list.txt.0123456789ag",
        ".list.txt.0123456789abc",
        ".lists.txt.0123456789ab",
        "list.txt.lock",
    ]
    for name in (*others, ".list.txt.0123456789ab", ".list.txt.ffffffffffff"):
        (tmp_path / name).touch()
    remove_unfinished(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([*others, "list.txt"])
    write_atomic(path, b"2")
    assert path.read_bytes() == b"2"
    remove_unfinished(tmp_path / "missing" / "file")
