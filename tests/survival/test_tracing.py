"""The tests of survival can fail: they see the calls that they are to interrupt, and damage where there is some."""

from __future__ import annotations

import errno
import subprocess
import threading
from pathlib import Path

import pytest

from tests.survival.grounds import cache_problems, differences, picture
from tests.survival.tracing import GO, KILL, SHORT, Call, trace, why_no_tracing

pytestmark = pytest.mark.skipif(bool(why_no_tracing()), reason=why_no_tracing())


def write_and_move(folder: Path) -> None:
    (folder / "a").write_text("0123456789")
    (folder / "a").rename(folder / "b")
    (folder / "c").mkdir()


def names(calls: list[Call]) -> list[str]:
    return [call.name for call in calls]


def test_calls_are_seen_with_their_paths(tmp_path: Path) -> None:
    ended = trace(lambda: write_and_move(tmp_path), lambda call: GO, below=str(tmp_path))
    assert ended.code == 0
    assert names(ended.calls) == ["openat", "write", "rename", "mkdir"]
    assert [call.number for call in ended.calls] == [1, 2, 3, 4]
    assert ended.calls[1].paths == (str(tmp_path / "a"),)
    assert ended.calls[2].paths == (str(tmp_path / "a"), str(tmp_path / "b"))


def test_calls_elsewhere_and_calls_that_only_read_are_not_seen(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").write_text("x")
    (tmp_path / "inside").mkdir()

    def work() -> None:
        (tmp_path / "in" / "file").read_text()
        write_and_move(tmp_path / "inside")

    assert trace(work, lambda call: GO, below=str(tmp_path / "in")).calls == []


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_killed_before_a_call_it_has_not_happened(tmp_path: Path, number: int) -> None:
    ended = trace(
        lambda: write_and_move(tmp_path), lambda call: KILL if call.number == number else GO, below=str(tmp_path)
    )
    assert ended.killed
    left = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert left == [{}, {"a": 0}, {"a": 10}, {"b": 10}][number - 1]


def test_killed_in_the_middle_of_a_write(tmp_path: Path) -> None:
    def decide(call: Call) -> int:
        return {1: GO, 2: SHORT}.get(call.number, KILL)

    assert trace(lambda: write_and_move(tmp_path), decide, below=str(tmp_path)).killed
    assert (tmp_path / "a").read_text() == "01234"


def test_a_call_fails_as_it_is_told(tmp_path: Path) -> None:
    def work() -> int:
        try:
            write_and_move(tmp_path)
        except OSError as error:
            return error.errno or 0
        return 0

    ended = trace(work, lambda call: errno.ENOSPC if call.name == "rename" else GO, below=str(tmp_path))
    assert ended.code == errno.ENOSPC
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_threads_and_programs_that_are_started_are_seen_and_end(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")

    def work() -> None:
        thread = threading.Thread(target=(tmp_path / "of-a-thread").mkdir)
        thread.start()
        thread.join()
        subprocess.run(["rm", str(tmp_path / "link")], check=True)
        subprocess.Popen(["sleep", "1000"])
        (tmp_path / "last").mkdir()

    ended = trace(work, lambda call: KILL if call.paths[0].endswith("last") else GO, below=str(tmp_path))
    assert ended.killed
    assert names(ended.calls) == ["mkdir", "unlinkat", "mkdir"]


def test_pictures_show_every_difference(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "text").write_text("x")
    (tree / "link").symlink_to("a")
    before = picture(tree)
    (tree / "a" / "text").chmod(0o600)
    assert [line.split()[:2] for line in differences(picture(tree), before)] == [["differs:", "a/text"]]
    (tree / "a" / "text").chmod(0o644)
    assert differences(picture(tree), before) == []
    (tree / "link").unlink()
    (tree / "link").symlink_to("b")
    (tree / "a" / "more").mkdir()
    (tree / "a" / "text").write_text("y")
    assert [line.partition(": ")[0] for line in differences(picture(tree), before)] == [
        "too much",
        "differs",
        "differs",
    ]


def test_what_is_wrong_with_a_cache_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "demo-1.0-0"
    (package / "info").mkdir(parents=True)
    (package / "file").write_text("x")
    assert cache_problems(tmp_path) == ["without a record: demo-1.0-0"]
    (package / "info" / "repodata_record.json").write_text('{"fn": "demo-1.0-0.conda", "sha256": "0"}')
    (package / "info" / "paths.json").write_text(
        '{"paths": [{"_path": "file", "path_type": "hardlink", "sha256": "0"}]}'
    )
    (tmp_path / ".demo-1.0-0.12345678.kaa~").mkdir()
    assert cache_problems(tmp_path) == [
        "left over in the cache: .demo-1.0-0.12345678.kaa~",
        "demo-1.0-0: file is damaged",
    ]
