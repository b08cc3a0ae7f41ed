"""Deleted environments and those on disks that are not there are told apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kaa.host.mounts import Mount, mount_of
from kaa.prefix.presence import State, find_presence
from tests.users import ALICE, BOB, let_others_in, needs_root


def make(path: Path) -> Path:
    (path / "conda-meta").mkdir(parents=True)
    (path / "conda-meta" / "history").touch()
    return path


def nothing(disk: Path) -> None:
    pass


def delete(disk: Path) -> None:
    shutil.rmtree(disk / "envs" / "env")


def delete_with_its_directory(disk: Path) -> None:
    shutil.rmtree(disk / "envs")


def unmount(disk: Path) -> None:
    disk.rename(disk.with_name("elsewhere"))


def unmount_to_an_empty_directory(disk: Path) -> None:
    unmount(disk)
    (disk / "envs").mkdir(parents=True)


def unmount_the_environment_itself(disk: Path) -> None:
    delete(disk)
    (disk / "envs" / "env").mkdir()


def put_something_else_there(disk: Path) -> None:
    delete(disk)
    (disk / "envs" / "env").write_text("a file")


STATES: list[tuple[Callable[[Path], None], State, State]] = [
    # what happens, what is known without its mount, and what with it when that is there
    (nothing, "here", "here"),
    (delete, "gone", "gone"),
    (delete_with_its_directory, "away", "away"),
    (unmount, "away", "away"),
    (unmount_to_an_empty_directory, "away", "gone"),
    (unmount_the_environment_itself, "away", "gone"),
    (put_something_else_there, "gone", "gone"),
]


@pytest.mark.parametrize(("happens", "unknown", "known"), STATES, ids=[row[0].__name__ for row in STATES])
def test_states(tmp_path: Path, happens: Callable[[Path], None], unknown: State, known: State) -> None:
    env = make(tmp_path / "disk" / "envs" / "env")
    make(tmp_path / "disk" / "envs" / "other")
    mount = mount_of(env)
    happens(tmp_path / "disk")
    assert find_presence(env).state == unknown
    assert find_presence(env, mount).state == known
    if happens is not nothing:
        away = find_presence(env, Mount(str(tmp_path / "disk"), "0123"))
        assert (away.state, away.reason) == ("away", f"{tmp_path / 'disk'} is not mounted")


@needs_root
def test_what_may_not_be_read(tmp_path: Path) -> None:
    let_others_in(tmp_path)
    home = ALICE.directory(tmp_path / "alice")
    env = make(home / "env")
    for path in (env, env / "conda-meta"):
        ALICE.own(path)
    assert BOB.does(lambda: find_presence(env).state) == "here"
    for path in (env / "conda-meta", env, home):
        path.chmod(0o700)
        assert BOB.does(lambda: find_presence(env).state) == "unreadable"
        assert BOB.does(lambda: find_presence(env, mount_of(tmp_path)).state) == "unreadable"
    assert ALICE.does(lambda: find_presence(env).state) == "here"
