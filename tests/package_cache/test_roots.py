"""What environments need is noted beside the packages, and told apart by host and place."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kaa.host.mounts import mount_of
from kaa.package_cache.holds import host_name
from kaa.package_cache.roots import Root, read_root, read_roots, remove_root, root_file, write_root

NEEDS = {("a-1-0", "00"), ("b-1-0", "11")}


def places(tmp_path: Path) -> tuple[Path, Path]:
    """A cache directory and an environment."""
    for name in ("pkgs", "env"):
        (tmp_path / name).mkdir()
    return tmp_path / "pkgs", tmp_path / "env"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    cache, env = places(tmp_path)
    write_root([cache], env, NEEDS)
    [root] = read_roots(cache)
    assert root.prefix == str(env)
    assert root.host == host_name()
    assert root.inode == env.stat().st_ino
    assert root.mount == mount_of(env)
    assert root.user
    assert set(root.packages) == NEEDS


def test_what_was_needed_before_stays_until_all_is_known(tmp_path: Path) -> None:
    cache, env = places(tmp_path)
    write_root([cache], env, NEEDS)
    write_root([cache], env, {("c-1-0", "22")})
    [root] = read_roots(cache)
    assert set(root.packages) == {*NEEDS, ("c-1-0", "22")}
    write_root([cache], env, {("c-1-0", "22")}, exact=True)
    [root] = read_roots(cache)
    assert set(root.packages) == {("c-1-0", "22")}


def test_another_environment_at_the_same_place_starts_anew(tmp_path: Path) -> None:
    cache, env = places(tmp_path)
    write_root([cache], env, NEEDS)
    env.rename(tmp_path / "moved")
    env.mkdir()
    write_root([cache], env, {("c-1-0", "22")})
    [root] = read_roots(cache)
    assert set(root.packages) == {("c-1-0", "22")}


def test_roots_are_removed_by_host(tmp_path: Path) -> None:
    cache, env = places(tmp_path)
    write_root([cache], env, NEEDS)
    elsewhere = root_file(cache, env, "other")
    elsewhere.write_bytes(msgspec.json.encode(Root(str(env), "other")))
    assert {root.host for root in read_roots(cache)} == {host_name(), "other"}
    remove_root([cache], env)
    assert {root.host for root in read_roots(cache)} == {"other"}
    remove_root([cache, tmp_path / "missing"], env, hosts=["other"])
    assert read_roots(cache) == ()


def test_what_cannot_be_written_or_read_does_no_harm(tmp_path: Path) -> None:
    cache, env = places(tmp_path)
    write_root([tmp_path / "missing", cache], env, NEEDS)
    write_root([cache], tmp_path / "nowhere", NEEDS)
    assert len(read_roots(cache)) == 1
    (cache / ".roots" / "broken.json").write_bytes(b"{")
    (cache / ".roots" / "other.txt").write_bytes(b"")
    assert len(read_roots(cache)) == 1
    assert read_root(cache / ".roots" / "broken.json") is None
    assert read_roots(tmp_path / "missing") == ()


def test_who_may_write_to_the_cache_may_write_roots(tmp_path: Path) -> None:
    cache, env = places(tmp_path)
    cache.chmod(0o2775)
    write_root([cache], env, NEEDS)
    assert (cache / ".roots").stat().st_mode & 0o7777 == 0o2775
