"""The main job through the command line: create, install, update, remove, from channels in folders and on loopback."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.channels import ChannelBuilder, Package, Server
from tests.cli.commands import Kaa


@pytest.fixture
def only(channel: ChannelBuilder) -> list[str]:
    """The flags that choose the small channel and no other."""
    return ["-O", "-c", str(channel.folder)]


def versions(kaa: Kaa, name: str) -> dict[str, str]:
    return {entry["name"]: entry["version"] for entry in kaa.ok("list", "-n", name, "--json").json()}


def test_create_takes_the_newest_that_fits(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "tool")
    assert versions(kaa, "env") == {"tool": "2.0", "lib": "2.0"}
    assert (kaa.environment("env") / "bin" / "tool").read_text() == "#!/bin/sh\necho tool 2\n"


def test_install_changes_as_little_as_it_must(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "tool=1")
    kaa.ok("install", "-y", "-n", "env", *only, "alone")
    assert versions(kaa, "env") == {"tool": "1.0", "lib": "1.0", "alone": "1.0"}
    kaa.ok("install", "-y", "-n", "env", *only, "lib")
    assert versions(kaa, "env")["lib"] == "1.0"


def test_update_takes_the_newest_and_all_takes_it_of_everything(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "lib=1")
    answer = kaa.ok("update", "-y", "-n", "env", *only, "lib")
    assert versions(kaa, "env") == {"lib": "2.0"}
    kaa.ok("create", "-y", "-n", "other", *only, "tool=1.0", "notes")
    kaa.ok("update", "-y", "-n", "other", *only, "--all")
    assert versions(kaa, "other")["notes"] == "1.0"
    assert "already installed" not in answer.out


def test_earlier_requests_hold(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "tool=1")
    answer = kaa("install", "-y", "-n", "env", *only, "lib=2")
    assert answer.code == 1
    assert "tool" in answer.err
    assert versions(kaa, "env") == {"tool": "1.0", "lib": "1.0"}


def test_remove_keeps_what_others_may_need_unless_asked(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "tool", "notes")
    kaa.ok("remove", "-y", "-n", "env", "tool")
    assert versions(kaa, "env") == {"lib": "2.0", "notes": "1.0"}
    kaa.ok("create", "-y", "-n", "other", *only, "tool", "notes")
    kaa.ok("remove", "-y", "-n", "other", "--prune", "tool")
    assert versions(kaa, "other") == {"notes": "1.0"}
    kaa.ok("create", "-y", "-n", "third", *only, "tool", "notes")
    kaa.ok("remove", "-y", "-n", "third", "lib")
    assert versions(kaa, "third") == {"notes": "1.0"}


def test_removing_what_was_installed_leaves_what_was_before(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "alone")
    (kaa.environment("env") / "share" / "mine").write_text("mine")
    before = kaa.tree(kaa.environment("env"))
    kaa.ok("install", "-y", "-n", "env", *only, "tool", "notes")
    kaa.ok("remove", "-y", "-n", "env", "--prune", "tool", "notes")
    after = kaa.tree(kaa.environment("env"))
    assert after.pop("conda-meta/history") != before.pop("conda-meta/history")
    later = [f"conda-meta/generations/{number}.json" for number in (2, 3)]
    for notes in later:
        assert after.pop(notes)
    del after["conda-meta/.kaa-lock"], before["conda-meta/.kaa-lock"]
    assert after == before


def test_a_dry_run_changes_nothing(kaa: Kaa, only: list[str]) -> None:
    answer = kaa.ok("create", "-n", "env", *only, "tool", "--dry-run")
    assert "tool" in answer.out
    assert "2.0" in answer.out
    assert not kaa.environment("env").exists()
    assert not list(kaa.packages.glob("*.conda"))
    kaa.ok("create", "-y", "-n", "env", *only, "tool")
    before = kaa.tree(kaa.environment("env"))
    document = kaa.ok("remove", "-n", "env", "tool", "--dry-run", "--json").json()
    assert document["dry_run"] is True
    assert [entry["name"] for entry in document["actions"]["UNLINK"]] == ["tool"]
    assert kaa.tree(kaa.environment("env")) == before


def test_json_says_what_was_done(kaa: Kaa, only: list[str]) -> None:
    document = kaa.ok("create", "-n", "env", *only, "tool", "--json").json()
    assert document["success"] is True
    assert document["prefix"] == str(kaa.environment("env"))
    assert [entry["name"] for entry in document["actions"]["LINK"]] == ["lib", "tool"]
    assert all(len(entry["sha256"]) == 64 for entry in document["actions"]["LINK"])
    again = kaa.ok("install", "-n", "env", *only, "tool", "--json").json()
    assert again == {"success": True, "message": "All requested packages already installed."}


def test_pins_hold_and_install_nothing(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "alone")
    (kaa.environment("env") / "conda-meta" / "pinned").write_text("lib 1.*\nnothing-else 3\n")
    kaa.ok("install", "-y", "-n", "env", *only, "tool")
    assert versions(kaa, "env") == {"alone": "1.0", "lib": "1.0", "tool": "1.0"}
    answer = kaa("install", "-y", "-n", "env", *only, "lib=2")
    assert answer.code == 1
    assert "pin" in answer.err
    kaa.ok("update", "-y", "-n", "env", *only, "--no-pin", "--all")
    assert versions(kaa, "env")["lib"] == "2.0"


def test_spec_files_and_explicit_lists(kaa: Kaa, only: list[str], channel: ChannelBuilder) -> None:
    (kaa.home / "specs.txt").write_text("# wanted\ntool =1\n\nnotes\n")
    kaa.ok("create", "-y", "-n", "env", *only, "--file", "specs.txt")
    assert versions(kaa, "env") == {"tool": "1.0", "lib": "1.0", "notes": "1.0"}
    listed = kaa.ok("list", "-n", "env", "--explicit", "--sha256").out
    (kaa.home / "explicit.txt").write_text(listed)
    kaa.ok("create", "-y", "-n", "copy", "--offline", "--file", "explicit.txt")
    assert versions(kaa, "copy") == versions(kaa, "env")
    record = json.loads((kaa.environment("copy") / "conda-meta" / "tool-1.0-0.json").read_text())
    assert record["depends"] == ["lib <2"]
    (kaa.home / "wrong.txt").write_text(re.sub("#([0-9a-f]{62})..", r"#\g<1>00", listed))
    answer = kaa("create", "-y", "-n", "wrong", "--file", "wrong.txt")
    assert answer.code == 1
    assert not kaa.environment("wrong").exists()


def test_a_package_file_by_its_path(kaa: Kaa, channel: ChannelBuilder) -> None:
    kaa.ok("create", "-y", "-n", "env", str(channel.folder / "linux-64" / "alone-1.0-0.conda"))
    assert (kaa.environment("env") / "share" / "alone").read_text() == "alone"


def test_offline_uses_what_is_cached(kaa: Kaa, server: Server) -> None:
    only = ["-O", "-c", server.url]
    kaa.ok("create", "-y", "-n", "env", *only, "tool")
    seen = len(server.requests)
    kaa.ok("create", "-y", "-n", "again", *only, "--offline", "tool")
    assert versions(kaa, "again") == versions(kaa, "env")
    answer = kaa("create", "-y", "-n", "third", *only, "--offline", "alone")
    assert answer.code == 1
    assert "offline" in answer.err
    assert not kaa.environment("third").exists()
    assert len(server.requests) == seen


def test_unchanged_repodata_is_not_fetched_again(kaa: Kaa, server: Server) -> None:
    only = ["-O", "-c", server.url]
    kaa.ok("search", *only, "tool")
    kaa.ok("search", *only, "tool")
    [first, second] = [request for request in server.requests if request.path == "/linux-64/repodata.json.zst"]
    assert "If-None-Match" not in first.headers
    assert "If-None-Match" in second.headers


def test_only_deps_and_no_deps(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "deps", *only, "--only-deps", "tool")
    assert versions(kaa, "deps") == {"lib": "2.0"}
    kaa.ok("create", "-y", "-n", "bare", *only, "--no-deps", "tool")
    assert versions(kaa, "bare") == {"tool": "2.0"}


def test_freeze_installed(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "lib=1")
    answer = kaa("install", "-y", "-n", "env", *only, "--freeze-installed", "tool=2")
    assert answer.code == 1
    kaa.ok("install", "-y", "-n", "env", *only, "--freeze-installed", "tool")
    assert versions(kaa, "env") == {"lib": "1.0", "tool": "1.0"}


def test_two_channels_and_their_priority(kaa: Kaa, channel: ChannelBuilder, tmp_path: Path) -> None:
    first = ChannelBuilder(tmp_path / "first").add(Package("lib", "1.0", build="first")).write()
    both = ["-O", "-c", str(first.folder), "-c", str(channel.folder)]
    kaa.ok("create", "-y", "-n", "strict", *both, "lib")
    assert versions(kaa, "strict") == {"lib": "1.0"}
    kaa.ok("create", "-y", "-n", "disabled", *both, "--no-channel-priority", "lib")
    assert versions(kaa, "disabled") == {"lib": "2.0"}
    answer = kaa("create", "-y", "-n", "none", *both, "tool=2")
    assert answer.code == 1
    assert "lib" in answer.err
    kaa.ok("create", "-y", "-n", "flexible", *both, "--channel-priority", "flexible", "tool=2")
    assert versions(kaa, "flexible") == {"lib": "2.0", "tool": "2.0"}
    kaa.ok("create", "-y", "-n", "named", *both, f"{channel.folder}::lib=2")
    assert versions(kaa, "named") == {"lib": "2.0"}


@pytest.mark.parametrize("platform", ["win-64", "osx-arm64"])
def test_a_foreign_platform_is_laid_out_and_not_run(kaa: Kaa, platform: str, tmp_path: Path) -> None:
    scripts = "Scripts" if platform == "win-64" else "bin"
    site = "Lib/site-packages" if platform == "win-64" else "lib/python3.12/site-packages"
    python = Package("python", "3.12.1", subdir=platform, files={"python.exe": "not run", "bin/python3.12": "not run"})
    pure = Package(
        "pure",
        noarch="python",
        depends=["python"],
        files={"site-packages/pure.py": "x = 1\n", "python-scripts/pure-script": "#!python\n"},
        entry_points=["pure = pure:main"],
    )
    touchy = Package("touchy", subdir=platform, files={f"{scripts}/.touchy-post-link.sh": "touch $PREFIX/touched\n"})
    channel = ChannelBuilder(tmp_path / "foreign").add(python, pure, touchy).write()
    prefix = tmp_path / "prefix"
    kaa.ok("create", "-y", "-p", str(prefix), "--platform", platform, "-O", "-c", str(channel.folder), "pure", "touchy")
    assert (prefix / site / "pure.py").read_text() == "x = 1\n"
    assert (prefix / scripts / "pure-script").exists()
    assert any(path.name.startswith("pure") for path in (prefix / scripts).iterdir() if path.name != "pure-script")
    assert not list(prefix.rglob("*.pyc"))
    assert not (prefix / "touched").exists()


def test_environments_are_listed_registered_and_removed(kaa: Kaa, only: list[str], tmp_path: Path) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "alone")
    kaa.ok("create", "-y", "-p", str(tmp_path / "elsewhere"), *only, "alone")
    document = kaa.ok("env", "list", "--json").json()
    assert {str(kaa.environment("env")), str(tmp_path / "elsewhere")} <= set(document["envs"])
    rows = [line.split() for line in kaa.ok("env", "list").out.splitlines() if line and not line.startswith("#")]
    assert ["env", str(kaa.environment("env"))] in rows
    kaa.ok("env", "remove", "-y", "-n", "env")
    kaa.ok("env", "remove", "-y", "-p", str(tmp_path / "elsewhere"))
    assert not kaa.environment("env").exists()
    assert not (tmp_path / "elsewhere").exists()
    assert (kaa.home / ".conda" / "environments.txt").read_text().split() == []


def test_clean_removes_what_nobody_uses(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "tool")
    kaa.ok("create", "-y", "-n", "gone", *only, "alone")
    kaa.ok("env", "remove", "-y", "-n", "gone")
    kaa.ok("clean", "--all", "-y")
    left = {path.name for path in kaa.packages.iterdir() if (path / "info").is_dir()}
    assert left == {"tool-2.0-0", "lib-2.0-0"}
    kaa.ok("create", "-y", "-n", "again", *only, "tool", "alone")


def test_history_reads_as_condas(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "tool=1")
    kaa.ok("install", "-y", "-n", "env", *only, "alone")
    text = (kaa.environment("env") / "conda-meta" / "history").read_text()
    assert re.search(r"^# cmd: .* create -y -n env ", text, re.MULTILINE)
    assert re.search(r"^# update specs: \['tool=1'\]$", text, re.MULTILINE)
    assert re.search(r"^\+.*/linux-64::tool-1\.0-0$", text, re.MULTILINE)
    assert re.search(r"^# update specs: \['alone'\]$", text, re.MULTILINE)


def test_create_says_how_to_go_on_and_what_it_says_works(kaa: Kaa, only: list[str], tmp_path: Path) -> None:
    answer = kaa.ok("create", "-y", "-n", "env", *only, "tool")
    assert "kaa activate env\n" in answer.out
    assert "kaa run -n env PROGRAM" in answer.out
    answer = kaa.ok("create", "-y", "-p", str(tmp_path / "with space"), *only, "tool")
    [line] = [line for line in answer.out.splitlines() if "kaa run" in line]
    words = shlex.split(line.partition("kaa ")[2].replace("PROGRAM", "sh -c true"))
    done = subprocess.run([sys.executable, "-m", "kaa", *words])
    assert done.returncode == 0


def test_an_environment_for_another_platform_stays_one(
    kaa: Kaa, channel: ChannelBuilder, only: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    channel.add(Package("alone", "1.0", build="win", subdir="win-64", files={"share/alone": "windows"})).write()
    kaa.ok("create", "-y", "-n", "env", *only, "--platform", "win-64", "notes")
    monkeypatch.delenv("CONDA_SUBDIR")
    kaa.ok("install", "-y", "-n", "env", *only, "alone")
    assert (kaa.environment("env") / "share" / "alone").read_text() == "windows"


def test_an_environment_behind_a_link_is_not_replaced(kaa: Kaa, only: list[str], tmp_path: Path) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "alone")
    link = tmp_path / "link"
    link.symlink_to(kaa.environment("env"))
    answer = kaa("create", "-y", "-p", str(link), *only, "lib")
    assert answer.code == 1
    assert "already exists" in answer.err
    assert versions(kaa, "env") == {"alone": "1.0"}
