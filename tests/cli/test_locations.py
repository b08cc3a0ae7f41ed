"""Environments by path: however a path is written, the environment is the same, and hints can be typed as they are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa


@pytest.fixture
def only(channel: ChannelBuilder) -> list[str]:
    """The flags that choose the small channel and no other."""
    return ["-O", "-c", str(channel.folder)]


def hinted(error: str, start: str) -> list[str]:
    """The words of a command in the hints that starts so, without `kaa`."""
    found = re.search(rf"kaa ({start}[^`\n…]*)", error)
    assert found, error
    return shlex.split(found[1])


@pytest.mark.parametrize("written", ["./away/../env", "env/", "./env/.", "~/away/../env"])
def test_what_is_recorded_does_not_depend_on_how_the_path_was_written(kaa: Kaa, only: list[str], written: str) -> None:
    kaa.ok("create", "-y", "-p", written, *only, "notes")
    assert not (kaa.home / "away").exists()
    assert (kaa.home / "env" / "bin" / "where").read_text().splitlines()[-1] == f"echo {kaa.home}/env"
    assert (kaa.home / ".conda" / "environments.txt").read_text().splitlines() == [str(kaa.home / "env")]
    assert f"{kaa.home}/env:" in kaa.ok("list", "-p", written).out


def test_a_link_to_an_environment_is_removed_with_it(kaa: Kaa, only: list[str]) -> None:
    (kaa.home / "real").mkdir()
    (kaa.home / "link").symlink_to("real")
    kaa.ok("create", "-y", "-p", "link", *only, "notes")
    kaa.ok("env", "remove", "-y", "-p", "link")
    assert not (kaa.home / "real").exists()
    assert not (kaa.home / "link").is_symlink()
    assert (kaa.home / ".conda" / "environments.txt").read_text().split() == []


@pytest.mark.parametrize("kept", ["base", "active"])
def test_a_link_is_no_way_around_what_keeps_an_environment(
    kaa: Kaa, only: list[str], kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = kaa.root if kept == "base" else kaa.home / "env"
    kaa.ok("create", "-y", "-p", str(place), *only, "notes")
    if kept == "active":
        monkeypatch.setenv("CONDA_PREFIX", str(place))
    (kaa.home / "link").symlink_to(place)
    answer = kaa("env", "remove", "-y", "-p", "link")
    assert answer.code == 1
    assert kept in answer.err
    assert (place / "share" / "notes.txt").exists()


def test_hints_hold_for_paths_with_spaces(kaa: Kaa, only: list[str]) -> None:
    path = kaa.home / "my envs" / "one"
    missing = kaa("install", "-y", "-p", str(path), *only, "alone")
    assert "kaa env list" in missing.err
    kaa.ok(*hinted(missing.err, "create"), "-y", *only, "lib=1")
    (kaa.home / "environment.yml").write_text("dependencies: [alone]")
    exists = kaa("env", "create", "-p", str(path), *only)
    kaa.ok(*hinted(exists.err, "install"), "-y", *only, "alone")
    absent = kaa("update", "-y", "-p", str(path), *only, "notes")
    kaa.ok(*hinted(absent.err, "install"), "-y", *only)
    unknown = kaa("remove", "-y", "-p", str(path), "nothing")
    assert "notes" in kaa.ok(*hinted(unknown.err, "list")).out
    unmatched = kaa("list", "-p", str(path), "nothing")
    assert "notes" in kaa.ok(*hinted(unmatched.err, "list")).out
    condition = kaa("update", "-y", "-p", str(path), *only, "lib>1")
    kaa.ok(*hinted(condition.err, "install"), "-y", *only)
    assert (path / "lib" / "libx.so").read_text() == "library 2.0"
    kaa.ok(*hinted(exists.err, "env remove"), "-y")
    assert not path.exists()


def test_update_without_a_name_tells_of_all(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "lib=1")
    assert "kaa update --all" in kaa("update", "-y", "-n", "env", *only).err


def test_the_hint_of_a_failed_link_script_works(kaa: Kaa, tmp_path: Path) -> None:
    channel = ChannelBuilder(tmp_path / "scripts")
    channel.add(Package("bad", files={"bin/.bad-post-link.sh": "exit 3\n", "share/bad": "bad"})).write()
    words = ("create", "-y", "-n", "env", "-O", "-c", str(channel.folder), "bad")
    failed = kaa(*words)
    assert failed.code == 1
    kaa.ok(*hinted(failed.err, "config"))
    kaa.ok(*words)


@pytest.mark.parametrize(("text", "told"), [("osx-arm65", "osx-arm64"), ("windows", "win-64"), ("noarch", "linux-64")])
def test_a_misspelt_platform_is_refused(kaa: Kaa, only: list[str], text: str, told: str) -> None:
    answer = kaa("create", "-y", "-n", "env", "--platform", text, *only, "alone")
    assert answer.code == 2
    assert repr(text) in answer.err
    assert told in answer.err


@pytest.mark.parametrize("flag", ["--dry-run", "--yes"])
def test_an_environment_is_not_replaced_without_a_word(kaa: Kaa, only: list[str], flag: str) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "tool")
    told = f"There is an environment at {kaa.environment('env')} already, with 2 packages. The new one takes its place."
    assert told in kaa.ok("create", flag, "-n", "env", *only, "alone").out
    assert (kaa.environment("env") / "bin" / "tool").exists() == (flag == "--dry-run")
