"""The environments of all users are found as far as they may be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kaa.prefix.registries import User, iter_environments_in, may_read, read_registries, users
from tests.users import ALICE, BOB, let_others_in, needs_root


def user(name: str, home: Path, number: int = 20001) -> User:
    return User(name, number, number, home)


def registry(home: Path, *lines: str) -> Path:
    (home / ".conda").mkdir(parents=True, exist_ok=True)
    path = home / ".conda" / "environments.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_the_users_of_this_machine_are_found() -> None:
    if not hasattr(os, "getuid"):
        pytest.skip("there is no password database here")
    assert os.getuid() in {found.number for found in users()}
    assert all(found.home.is_absolute() for found in users())


def test_registries_are_read_once_and_with_their_owners(tmp_path: Path) -> None:
    registry(tmp_path / "own", "/a", "", "relative", "/b", "/a")
    registry(tmp_path / "alice", "/c")
    known = [user("me", tmp_path / "own"), user("alice", tmp_path / "alice"), user("bob", tmp_path / "bob")]
    found, closed = read_registries(known, tmp_path / "own")
    assert [(one.owner and one.owner.name, one.paths) for one in found] == [
        (None, (Path("/a"), Path("/b"))),
        ("alice", (Path("/c"),)),
    ]
    assert closed == ()


@needs_root
@pytest.mark.parametrize("what", ["home", "registry"])
def test_what_may_not_be_read_is_told(tmp_path: Path, what: str) -> None:
    let_others_in(tmp_path)
    home = ALICE.directory(tmp_path / "alice")
    file = registry(home, "/c")
    ALICE.own(home if what == "home" else file, 0o700)
    alice = user("alice", home)
    assert BOB.does(lambda: read_registries([alice], tmp_path / "bob")) == ((), (alice,))


@needs_root
def test_environments_in_a_directory(tmp_path: Path) -> None:
    let_others_in(tmp_path)
    for name in ("b", "a", "closed"):
        (tmp_path / "envs" / name / "conda-meta").mkdir(parents=True)
    (tmp_path / "envs" / "none").mkdir()
    (tmp_path / "envs" / "file").touch()
    ALICE.own(tmp_path / "envs" / "closed", 0o700)
    names = BOB.does(lambda: [path.name for path in iter_environments_in(tmp_path / "envs")])
    assert names == ["a", "b", "closed"], "what may not be looked into may be one"
    assert list(iter_environments_in(tmp_path / "missing")) == []


@needs_root
def test_who_may_read_a_directory(tmp_path: Path) -> None:
    let_others_in(tmp_path)
    folder = tmp_path / "folder" / "pkgs"
    folder.mkdir(parents=True)
    ALICE.own(folder)
    alice, bob, root = user("a", tmp_path), user("b", tmp_path, 20002), user("root", tmp_path, 0)
    for mode, expected in (
        (0o755, (True, True, True)),
        (0o700, (True, False, True)),
        (0o701, (True, True, True)),
        (0o070, (False, False, True)),
    ):
        folder.chmod(mode)
        assert (may_read(alice, folder), may_read(bob, folder), may_read(root, folder)) == expected
    folder.chmod(0o755)
    folder.parent.chmod(0o700)
    assert not may_read(alice, folder), "the way there counts as well"
    assert may_read(alice, tmp_path / "missing")
