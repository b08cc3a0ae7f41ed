"""What a failed command says to type instead, typed."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa


@pytest.fixture
def only(channel: ChannelBuilder) -> list[str]:
    """The flags that choose the small channel and no other."""
    return ["-O", "-c", str(channel.folder)]


def repairs_of(kaa: Kaa, *words: str) -> list[dict[str, Any]]:
    """The repairs that a failing command gives as data."""
    answer = kaa(*words, "--json")
    assert answer.code == 1
    found: list[dict[str, Any]] = answer.json()["repairs"]
    return found


def versions(kaa: Kaa, name: str) -> dict[str, str]:
    return {package["name"]: package["version"] for package in kaa.ok("list", "-n", name, "--json").json()}


def type_command(kaa: Kaa, command: str, name: str) -> dict[str, str]:
    """Run the command of a repair; what the environment holds then."""
    words = [word for word in shlex.split(command) if word != "--json"]
    assert words[0] == "kaa"
    kaa.ok(*words[1:], "-y")
    return versions(kaa, name)


def check(kaa: Kaa, repair: dict[str, Any], name: str) -> dict[str, str]:
    """Run a repair and compare with what it promises."""
    present = type_command(kaa, repair["command"], name)
    for given in repair["gives"]:
        package, _, version = given.partition(" ")
        assert present[package] == version
    for change in repair["changes"]:
        assert present.get(change["name"], "") == change["after"]
    return present


def test_another_version(kaa: Kaa, only: list[str]) -> None:
    first, second = repairs_of(kaa, "create", "-n", "env", *only, "tool=1", "lib=2", "alone")
    assert check(kaa, first, "env") == {"alone": "1.0", "lib": "2.0", "tool": "2.0"}
    kaa.ok("env", "remove", "-y", "-n", "env")
    assert check(kaa, second, "env") == {"alone": "1.0", "lib": "1.0", "tool": "1.0"}


def test_the_command_stands_below_the_repair(kaa: Kaa, only: list[str]) -> None:
    answer = kaa("create", "-n", "env", *only, "tool=1", "lib=2")
    lines = answer.err.splitlines()
    place = lines.index("  try: ask for tool=2.0 instead of tool=1 (gives tool 2.0 and lib 2.0)")
    assert lines[place + 1] == f"       kaa create -n env {shlex.join(only)} tool=2.0 lib=2"
    assert "UnsatisfiableError: tool=1 and lib=2 cannot be installed together." in lines


def test_guidance_for_programs(kaa: Kaa, only: list[str]) -> None:
    document = kaa("create", "-n", "env", *only, "tool=1", "lib=2", "--json").json()
    assert document["guidance"]["summary"] == "tool=1 and lib=2 cannot be installed together."
    assert document["guidance"]["cause"] == "tool=1 needs lib <2, but lib=2 was asked for"
    assert document["guidance"]["hints"] == [repair["sentence"] for repair in document["repairs"]]


def test_an_earlier_request(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "tool=1")
    repair, *_ = repairs_of(kaa, "install", "-n", "env", *only, "lib=2")
    assert repair["kind"] == "history"
    assert repair["command"].endswith("lib=2 --json tool")
    assert check(kaa, repair, "env") == {"lib": "2.0", "tool": "2.0"}


def test_frozen_packages(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "lib=1")
    kaa.ok("create", "-y", "-n", "other", *only, "lib=1")
    repairs = repairs_of(kaa, "install", "-n", "env", *only, "--freeze-installed", "tool=2")
    thaw = next(repair for repair in repairs if repair["kind"] == "frozen")
    assert check(kaa, thaw, "env") == {"lib": "2.0", "tool": "2.0"}


def test_a_pin(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "alone")
    (kaa.environment("env") / "conda-meta" / "pinned").write_text("lib <2\n")
    repairs = repairs_of(kaa, "install", "-n", "env", *only, "tool=2")
    assert {repair["kind"] for repair in repairs} == {"version", "pin"}
    pin = next(repair for repair in repairs if repair["kind"] == "pin")
    assert "--no-pin" in pin["command"]
    assert check(kaa, pin, "env") == {"alone": "1.0", "lib": "2.0", "tool": "2.0"}


def test_one_of_several_pins_has_no_flag(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "alone")
    (kaa.environment("env") / "conda-meta" / "pinned").write_text("lib <2\nalone 1.*\n")
    repairs = repairs_of(kaa, "install", "-n", "env", *only, "tool=2")
    pin = next(repair for repair in repairs if repair["kind"] == "pin")
    assert pin["command"] == ""


@pytest.fixture
def later(tmp_path: Path) -> str:
    """A second channel with a newer lib."""
    channel = ChannelBuilder(tmp_path / "later")
    channel.add(Package("lib", "3.0", files={"lib/libx.so": "library 3.0"}))
    return str(channel.write().folder)


def test_a_later_channel(kaa: Kaa, only: list[str], later: str) -> None:
    repairs = repairs_of(kaa, "create", "-n", "env", *only, "-c", later, "lib=3")
    assert [repair["kind"] for repair in repairs] == ["version", "channel", "priority"]
    assert check(kaa, repairs[1], "env") == {"lib": "3.0"}
    kaa.ok("env", "remove", "-y", "-n", "env")
    assert check(kaa, repairs[2], "env") == {"lib": "3.0"}


def test_specs_from_a_file_are_told_and_not_typed(kaa: Kaa, only: list[str], tmp_path: Path) -> None:
    (tmp_path / "specs.txt").write_text("tool=1\nlib=2\n")
    repairs = repairs_of(kaa, "create", "-n", "env", *only, "--file", str(tmp_path / "specs.txt"))
    assert repairs[0]["sentence"].startswith("ask for tool=2.0 instead of tool=1")
    assert repairs[0]["command"] == ""


def test_an_environment_named_like_a_spec(kaa: Kaa, only: list[str]) -> None:
    repairs = repairs_of(kaa, "create", "-n", "lib=2", *only, "tool=1", "lib=2")
    assert shlex.split(repairs[0]["command"])[2:4] == ["-n", "lib=2"]


def test_a_typing_error(kaa: Kaa, only: list[str], channel: ChannelBuilder) -> None:
    answer = kaa("create", "-n", "env", *only, "toll")
    assert "No channel offers a package named toll.\n" in answer.err
    assert f"Searched: file://{channel.folder} for linux-64 and noarch." in answer.err
    [repair] = repairs_of(kaa, "create", "-n", "env", *only, "toll")
    assert check(kaa, repair, "env") == {"lib": "2.0", "tool": "2.0"}


def test_what_another_platform_has(kaa: Kaa, tmp_path: Path) -> None:
    channel = ChannelBuilder(tmp_path / "platforms")
    channel.add(Package("lib", "1.0"), Package("winlib", "1.0", subdir="win-64"))
    folder = str(channel.write().folder)
    answer = kaa("create", "-n", "env", "-O", "-c", folder, "winlib")
    assert "winlib exists for win-64." in answer.err
    assert "--platform win-64" in answer.err
    document = kaa("create", "-n", "env", "-O", "-c", folder, "winlib", "--json").json()
    assert document["elsewhere"] == {"winlib": ["win-64"]}
    assert document["packages"] == ["winlib"]


def test_a_later_channel_and_an_earlier_request_at_once(kaa: Kaa, tmp_path: Path) -> None:
    first, second = ChannelBuilder(tmp_path / "first"), ChannelBuilder(tmp_path / "second")
    first.add(
        Package("base", "1.0"), Package("user", "1.0", depends=["base <2"]), Package("user", "2.0", depends=["base"])
    ).write()
    second.add(Package("base", "3.0"), Package("more", "1.0", depends=["base >=3"])).write()
    channels = ["-O", "-c", str(first.folder), "-c", str(second.folder)]
    kaa.ok("create", "-y", "-n", "env", *channels, "user=1")
    answer = kaa("install", "-n", "env", "--dry-run", *channels, "more")
    assert answer.code == 1
    [command] = [line.strip() for line in answer.err.splitlines() if line.strip().startswith("kaa install")]
    assert "--channel-priority flexible" in command
    done = kaa.ok(*shlex.split(command)[1:], "--json").json()
    assert {record["dist_name"] for record in done["actions"]["LINK"]} == {"base-3.0-0", "more-1.0-0", "user-2.0-0"}


def test_what_is_frozen_and_has_no_other_version(kaa: Kaa, tmp_path: Path) -> None:
    channel = ChannelBuilder(tmp_path / "narrow")
    channel.add(Package("old", "1.0"), Package("new", "1.0", constrains=["old 2"])).write()
    only = ["-O", "-c", str(channel.folder)]
    kaa.ok("create", "-y", "-n", "env", *only, "old")
    answer = kaa("install", "-n", "env", "--dry-run", "--freeze-installed", *only, "new")
    assert answer.code == 1
    assert "UnsatisfiableError: new cannot be installed" in answer.err
