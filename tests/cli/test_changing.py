"""Commands that change environments: what they print, ask, and leave on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.channels import ChannelBuilder, File, Package, Server
from tests.cli.commands import Answer, Kaa

LIST_KEYS = {"base_url", "build_number", "build_string", "channel", "dist_name", "name", "platform", "version"}
LINK_KEYS = LIST_KEYS | {"fn", "url", "md5", "sha256", "depends"}
NOTHING = "All requested packages already installed."


@pytest.fixture
def url(kaa: Kaa, channel: ChannelBuilder) -> str:
    """The address of the small channel, which is the only configured one."""
    kaa.ok("config", "--add", "channels", channel.folder.as_uri())
    return channel.folder.as_uri()


def names(kaa: Kaa, environment: str) -> list[str]:
    return [f"{r['name']}-{r['version']}" for r in kaa.ok("list", "-n", environment, "--json").json()]


def linked(answer: Answer) -> list[str]:
    return [record["dist_name"] for record in answer.json()["actions"].get("LINK", [])]


def unlinked(answer: Answer) -> list[str]:
    return [record["dist_name"] for record in answer.json()["actions"].get("UNLINK", [])]


def with_input(text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, with something on standard input."""
    return subprocess.run([sys.executable, "-m", "kaa", *words], input=text, capture_output=True, text=True)


# -- create -----------------------------------------------------------------------------------------------------------


def test_create_as_json(kaa: Kaa, url: str) -> None:
    answer = kaa.ok("create", "-n", "demo", "tool=1", "--json")
    assert answer.err == ""
    document = answer.json()
    assert list(document) == ["success", "actions", "prefix"]
    assert list(document["actions"]) == ["FETCH", "PREFIX", "LINK"]
    assert document["success"] is True
    assert document["prefix"] == document["actions"]["PREFIX"] == str(kaa.environment("demo"))
    lib, tool = document["actions"]["LINK"]
    assert set(lib) == set(tool) == LINK_KEYS
    assert (lib["dist_name"], tool["dist_name"]) == ("lib-1.0-0", "tool-1.0-0")
    assert tool["depends"] == ["lib <2"]
    assert tool["url"] == f"{url}/linux-64/tool-1.0-0.conda"
    fetched = {record["name"]: record for record in document["actions"]["FETCH"]}
    assert set(fetched) == {"lib", "tool"}
    assert fetched["lib"]["channel"] == f"{url}/linux-64"
    for key in ("version", "build", "build_number", "fn", "md5", "sha256", "url", "size", "timestamp", "subdir"):
        assert fetched["lib"][key] not in (None, "")
    # The second time everything is in the cache.
    assert kaa.ok("create", "-n", "again", "tool=1", "--json").json()["actions"]["FETCH"] == []


def test_create_as_text(kaa: Kaa, url: str) -> None:
    done = with_input("", "create", "-n", "demo", "tool")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1] == f"Environment: {kaa.environment('demo')} (new or empty)"
    assert lines[3].split()[:4] == ["install", "lib", "2.0", "0"]
    assert lines[4].split()[:4] == ["install", "tool", "2.0", "0"]
    assert lines[6].startswith("Packages: 2 to install; ")
    assert lines[6].endswith(" to download.")
    # A closed input means the default, which is yes.
    assert lines[8] == "Proceed ([y]/n)? "
    assert names(kaa, "demo") == ["lib-2.0", "tool-2.0"]


def test_no_is_no_failure_and_changes_nothing(kaa: Kaa, url: str) -> None:
    done = with_input("n\n", "create", "-n", "demo", "tool")
    assert done.returncode == 0
    assert "CondaSystemExit: Exiting." in done.stderr
    assert not kaa.environment("demo").exists()


@pytest.mark.parametrize("word", ["create -n demo tool", "install -n older tool=2", "update -n older --all"])
def test_dry_runs(kaa: Kaa, older: Path, word: str) -> None:
    before = kaa.tree(kaa.root / "envs")
    words = word.split()
    answer = kaa.ok(*words, "--dry-run")
    assert "DryRunExit: Dry run. Exiting." in answer.err
    assert " tool " in answer.out
    document = kaa.ok(*words, "--dry-run", "--json").json()
    assert document["dry_run"] is True
    assert [record["dist_name"] for record in document["actions"]["LINK"]] == ["lib-2.0-0", "tool-2.0-0"]
    assert kaa.tree(kaa.root / "envs") == before


def test_an_empty_environment(kaa: Kaa, url: str) -> None:
    document = kaa.ok("create", "-n", "empty", "--json").json()
    assert document["actions"] == {"FETCH": [], "PREFIX": str(kaa.environment("empty"))}
    assert (kaa.environment("empty") / "conda-meta" / "history").is_file()
    assert names(kaa, "empty") == []


def test_an_existing_environment_is_not_replaced_unasked(kaa: Kaa, url: str) -> None:
    kaa.ok("create", "-y", "-n", "demo", "notes")
    before = kaa.tree(kaa.environment("demo"))
    for answer in ("", "n\n", "\n"):
        done = with_input(answer, "create", "-n", "demo", "tool")
        assert done.returncode == 0
        assert "already, with 1 packages" in done.stdout
        assert "CondaSystemExit: Exiting." in done.stderr
        assert kaa.tree(kaa.environment("demo")) == before
    done = with_input("y\ny\n", "create", "-n", "demo", "tool")
    assert names(kaa, "demo") == ["lib-2.0", "tool-2.0"]


@pytest.mark.parametrize("flag", ["-y", "--json"])
def test_an_existing_environment_is_replaced_when_told(kaa: Kaa, url: str, flag: str) -> None:
    kaa.ok("create", "-y", "-n", "demo", "notes")
    (kaa.environment("demo") / "mine").write_text("x")
    kaa.ok("create", flag, "-n", "demo", "tool")
    assert names(kaa, "demo") == ["lib-2.0", "tool-2.0"]
    assert not (kaa.environment("demo") / "mine").exists()
    assert [path.name for path in (kaa.root / "envs").iterdir()] == ["demo"]


def without_lock(tree: dict[str, str]) -> dict[str, str]:
    """The picture of an environment without who changed it last."""
    return {path: picture for path, picture in tree.items() if path != "conda-meta/.kaa-lock"}


def test_the_old_environment_comes_back_when_the_new_one_fails(kaa: Kaa, channel: ChannelBuilder, url: str) -> None:
    script = File(b"#!/bin/sh\nexit 1\n", mode=0o755)
    channel.add(Package("broken", "1.0", files={"bin/.broken-post-link.sh": script, "bin/x": "x"})).write()
    kaa.ok("create", "-y", "-n", "demo", "notes")
    (kaa.environment("demo") / "mine").write_text("x")
    before = without_lock(kaa.tree(kaa.environment("demo")))
    for package in ("broken", "absent"):
        assert kaa("create", "-y", "-n", "demo", package).code == 1
        assert without_lock(kaa.tree(kaa.environment("demo"))) == before
        assert [path.name for path in (kaa.root / "envs").iterdir()] == ["demo"]


def test_base_and_the_active_environment_are_not_replaced(kaa: Kaa, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kaa.ok("create", "-y", "-p", str(kaa.root), "notes")
    kaa.ok("create", "-y", "-n", "demo", "notes")
    monkeypatch.setenv("CONDA_PREFIX", str(kaa.environment("demo")))
    for words in (["-p", str(kaa.root)], ["-n", "demo"]):
        answer = kaa("create", "-y", *words, "tool")
        assert (answer.code, "prefix already exists" in answer.err) == (1, True)
    assert names(kaa, "demo") == ["notes-1.0"]


def test_default_packages(kaa: Kaa, url: str) -> None:
    kaa.ok("config", "--add", "create_default_packages", "notes", "--add", "create_default_packages", "lib=1")
    kaa.ok("create", "-y", "-n", "a", "alone")
    assert names(kaa, "a") == ["alone-1.0", "lib-1.0", "notes-1.0"]
    kaa.ok("create", "-y", "-n", "b", "lib=2")
    assert names(kaa, "b") == ["lib-2.0", "notes-1.0"]
    kaa.ok("create", "-y", "-n", "c", "alone", "--no-default-packages")
    assert names(kaa, "c") == ["alone-1.0"]


def test_files_of_specs(kaa: Kaa, url: str) -> None:
    (kaa.home / "one.txt").write_text("# mine\ntool =1\n")
    (kaa.home / "two.txt").write_text("notes\n")
    kaa.ok("create", "-y", "-n", "demo", "--file", "one.txt", "-f", "~/two.txt", "alone")
    assert names(kaa, "demo") == ["alone-1.0", "lib-1.0", "notes-1.0", "tool-1.0"]


def test_packages_by_address(kaa: Kaa, channel: ChannelBuilder, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = channel.folder / "linux-64" / "alone-1.0-0.conda"
    kaa.ok("create", "-y", "-n", "a", str(archive))
    kaa.ok("create", "-y", "-n", "b", f"{url}/linux-64/alone-1.0-0.conda")
    monkeypatch.chdir(archive.parent)
    kaa.ok("create", "-y", "-n", "c", "alone-1.0-0.conda", "./lib-2.0-0.conda")
    monkeypatch.setenv("WHERE", str(archive.parent))
    (kaa.home / "list.txt").write_text("@EXPLICIT\n$WHERE/alone-1.0-0.conda\n")
    kaa.ok("create", "-y", "-n", "d", "--file", str(kaa.home / "list.txt"))
    assert [names(kaa, name) for name in "abd"] == [["alone-1.0"]] * 3
    assert names(kaa, "c") == ["alone-1.0", "lib-2.0"]
    answer = kaa("create", "-y", "-n", "e", str(archive), "tool")
    assert (answer.code, "cannot be mixed" in answer.err) == (1, True)


def test_for_another_platform(kaa: Kaa, channel: ChannelBuilder, url: str) -> None:
    channel.add(Package("only", "1.0", subdir="win-64", files={"Library/bin/x.exe": "x"})).write()
    answer = kaa.ok("create", "-n", "win", "only", "--platform", "win-64", "--json")
    assert answer.json()["actions"]["LINK"][0]["platform"] == "win-64"


def test_download_only(kaa: Kaa, url: str) -> None:
    answer = kaa.ok("create", "-n", "demo", "tool", "--download-only", "--json")
    assert len(answer.json()["actions"]["FETCH"]) == 2
    assert not kaa.environment("demo").exists()
    assert (kaa.packages / "tool-2.0-0" / "info" / "index.json").is_file()


def test_quiet_and_yes_say_nothing(kaa: Kaa, url: str) -> None:
    answer = kaa.ok("create", "-q", "-y", "-n", "demo", "tool")
    assert (answer.out, answer.err) == ("", "")


def test_the_history_names_the_command(kaa: Kaa, url: str) -> None:
    assert with_input("", "create", "-n", "demo", "tool=1").returncode == 0
    lines = (kaa.environment("demo") / "conda-meta" / "history").read_text().splitlines()
    [command] = [line for line in lines if line.startswith("# cmd: ")]
    assert command.endswith(" create -n demo tool=1")


# -- install and update -----------------------------------------------------------------------------------------------


@pytest.fixture
def older(kaa: Kaa, channel: ChannelBuilder, tmp_path: Path) -> Path:
    """An environment with tool 1.0, made when there was no other; newer packages came into the channel since."""
    growing = ChannelBuilder(tmp_path / "growing")
    growing.add(Package("lib", "1.0"), Package("tool", "1.0", depends=["lib"])).write()
    kaa.ok("config", "--add", "channels", growing.folder.as_uri())
    kaa.ok("create", "-y", "-n", "older", "tool")
    growing.add(Package("lib", "2.0"), Package("tool", "2.0", depends=["lib >=2"])).write()
    return kaa.environment("older")


@pytest.fixture
def demo(kaa: Kaa, url: str) -> Path:
    kaa.ok("create", "-y", "-n", "demo", "tool=1")
    return kaa.environment("demo")


def test_install(kaa: Kaa, demo: Path) -> None:
    answer = kaa.ok("install", "-n", "demo", "notes", "--json")
    assert linked(answer) == ["notes-1.0-0"]
    assert "UNLINK" not in answer.json()["actions"]
    answer = kaa.ok("install", "-p", str(demo), "tool=2", "--json")
    assert sorted(unlinked(answer)) == ["lib-1.0-0", "tool-1.0-0"]
    assert linked(answer) == ["lib-2.0-0", "tool-2.0-0"]
    assert set(answer.json()["actions"]["UNLINK"][0]) == LIST_KEYS
    assert names(kaa, "demo") == ["lib-2.0", "notes-1.0", "tool-2.0"]


@pytest.mark.parametrize("words", ["install tool", "install -S tool lib", "install lib=1", "update notes"])
def test_nothing_to_do(kaa: Kaa, demo: Path, words: str) -> None:
    kaa.ok("install", "-y", "-n", "demo", "notes")
    answer = kaa.ok(*words.split(), "-n", "demo", "--json")
    assert answer.json() == {"success": True, "message": NOTHING}
    assert kaa.ok(*words.split(), "-n", "demo").out == f"\n# {NOTHING}\n\n"


def test_the_active_environment_is_meant(kaa: Kaa, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_PREFIX", str(demo))
    kaa.ok("install", "-y", "notes")
    assert names(kaa, "demo") == ["lib-1.0", "notes-1.0", "tool-1.0"]


PLANS: list[tuple[str, list[str]]] = [
    ("update tool", ["lib-2.0", "tool-2.0"]),
    ("upgrade lib", ["lib-1.0", "tool-1.0"]),
    ("install notes --no-deps", ["lib-1.0", "notes-1.0", "tool-1.0"]),
    ("install alone --freeze-installed", ["alone-1.0", "lib-1.0", "tool-1.0"]),
    ("install tool --force-reinstall", ["lib-1.0", "tool-1.0"]),
]


@pytest.mark.parametrize(("words", "expected"), PLANS)
def test_plans(kaa: Kaa, demo: Path, words: str, expected: list[str]) -> None:
    kaa.ok(*words.split(), "-y", "-n", "demo")
    assert names(kaa, "demo") == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("update --all", ["lib-2.0", "tool-2.0"]),
        ("update lib", ["lib-2.0", "tool-1.0"]),
        ("update tool", ["lib-2.0", "tool-2.0"]),
        ("install --all", ["lib-2.0", "tool-2.0"]),
        ("install tool", ["lib-1.0", "tool-1.0"]),
        ("install tool --update-specs", ["lib-2.0", "tool-2.0"]),
    ],
)
def test_updates(kaa: Kaa, older: Path, words: str, expected: list[str]) -> None:
    kaa.ok(*words.split(), "-y", "-n", "older")
    assert names(kaa, "older") == expected


def test_reinstalling(kaa: Kaa, demo: Path) -> None:
    (demo / "bin" / "tool").write_text("spoilt")
    answer = kaa.ok("install", "tool", "--force-reinstall", "-n", "demo", "--json")
    assert (unlinked(answer), linked(answer)) == (["tool-1.0-0"], ["tool-1.0-0"])
    assert (demo / "bin" / "tool").read_text().startswith("#!/bin/sh")


def test_only_dependencies(kaa: Kaa, url: str) -> None:
    kaa.ok("create", "-y", "-n", "parts", "tool", "--only-deps")
    assert names(kaa, "parts") == ["lib-2.0"]


def test_pins(kaa: Kaa, older: Path) -> None:
    (older / "conda-meta" / "pinned").write_text("lib <2\n")
    assert kaa.ok("update", "--all", "-n", "older", "--json").json()["message"] == NOTHING
    kaa.ok("update", "--all", "-n", "older", "-y", "--no-pin")
    assert names(kaa, "older") == ["lib-2.0", "tool-2.0"]


def test_explicit_packages_into_an_environment(kaa: Kaa, demo: Path, url: str) -> None:
    kaa.ok("install", "-y", "-n", "demo", f"{url}/linux-64/lib-2.0-0.conda")
    assert names(kaa, "demo") == ["lib-2.0", "tool-1.0"]


REFUSED: list[tuple[str, str]] = [
    ("update lib=1.0", "CondaUpdatePackageError"),
    ("update absent", "PackageNotInstalledError"),
    ("update", "CondaValueError"),
    ("install", "CondaValueError"),
    ("remove", "CondaValueError"),
    ("remove absent", "PackagesNotFoundInPrefixError"),
    ("install absent", "PackagesNotFoundInChannelsError"),
]


@pytest.mark.parametrize(("words", "exception"), REFUSED)
def test_refusals(kaa: Kaa, demo: Path, words: str, exception: str) -> None:
    before = kaa.tree(demo)
    answer = kaa(*words.split(), "-n", "demo", "--json")
    assert answer.code == 1
    assert answer.json()["exception_name"] == exception
    assert kaa.tree(demo) == before


@pytest.mark.parametrize("words", ["install notes", "update tool", "remove tool", "remove --all", "env remove"])
def test_a_frozen_environment(kaa: Kaa, demo: Path, words: str) -> None:
    (demo / "conda-meta" / "frozen").write_text('{"message": "ask Ann"}')
    before = kaa.tree(demo)
    answer = kaa(*words.split(), "-y", "-n", "demo")
    assert answer.code == 1
    assert answer.err.strip().startswith("EnvironmentIsFrozenError: ")
    assert "ask Ann" in answer.err
    assert "--override-frozen" in answer.err
    assert kaa.tree(demo) == before
    kaa.ok(*words.split(), "-y", "-n", "demo", "--override-frozen")


# -- remove -----------------------------------------------------------------------------------------------------------


def test_remove(kaa: Kaa, demo: Path) -> None:
    kaa.ok("install", "-y", "-n", "demo", "notes")
    answer = kaa.ok("remove", "-n", "demo", "lib", "--json")
    assert unlinked(answer) == ["tool-1.0-0", "lib-1.0-0"]
    assert "LINK" not in answer.json()["actions"]
    assert names(kaa, "demo") == ["notes-1.0"]


def test_remove_with_what_nobody_needs_any_more(kaa: Kaa, demo: Path) -> None:
    kaa.ok("remove", "-y", "-n", "demo", "tool", "--prune")
    assert names(kaa, "demo") == []


def test_remove_by_force(kaa: Kaa, demo: Path) -> None:
    kaa.ok("uninstall", "-y", "-n", "demo", "lib", "--force")
    assert names(kaa, "demo") == ["tool-1.0"]


def test_remove_all_but_the_environment(kaa: Kaa, demo: Path) -> None:
    kaa.ok("remove", "-y", "-n", "demo", "--all", "--keep-env")
    assert names(kaa, "demo") == []


@pytest.mark.parametrize("words", [["remove", "--all"], ["env", "remove"]])
def test_remove_an_environment(kaa: Kaa, demo: Path, words: list[str]) -> None:
    answer = kaa.ok(*words, "-n", "demo", "--dry-run", "--json")
    assert answer.json()["dry_run"] is True
    assert demo.is_dir()
    answer = kaa.ok(*words, "-n", "demo", "--json")
    assert sorted(unlinked(answer)) == ["lib-1.0-0", "tool-1.0-0"]
    assert not demo.exists()
    assert str(demo) not in kaa.ok("env", "list", "--json").json()["envs"]
    assert not (kaa.home / ".conda" / "environments.txt").read_text()
    assert kaa(*words, "-n", "demo").code == 1


def test_files_of_ones_own_are_asked_about(kaa: Kaa, demo: Path) -> None:
    (demo / "share").mkdir()
    for number in range(12):
        (demo / "share" / f"mine{number:02}").touch()
    done = with_input("", "env", "remove", "-n", "demo")
    assert "share/mine00" in done.stdout
    assert "and 2 more" in done.stdout
    assert "Remove them (y/[n])? " in done.stdout
    assert "CondaSystemExit" in done.stderr
    assert demo.is_dir()
    done = with_input("y\ny\n", "env", "remove", "-n", "demo")
    assert done.returncode == 0
    assert not demo.exists()


@pytest.mark.parametrize("active", [False, True])
def test_base_and_the_active_environment_stay(
    kaa: Kaa, demo: Path, monkeypatch: pytest.MonkeyPatch, active: bool
) -> None:
    target = demo if active else kaa.root
    if active:
        monkeypatch.setenv("CONDA_PREFIX", str(demo))
    else:
        kaa.ok("create", "-y", "-p", str(kaa.root), "notes")
    before = kaa.tree(target)
    answer = kaa("remove", "--all", "-y", "-p", str(target))
    assert answer.code == 1
    assert kaa.tree(target) == before


# -- channels ---------------------------------------------------------------------------------------------------------


def test_over_http_with_a_password(kaa: Kaa, server: Server) -> None:
    host = server.url.removeprefix("http://")
    words = ["create", "-n", "demo", "-O", "-c", f"http://me:hunter2@{host}", "tool", "--json"]
    answer = kaa.ok(*words)
    assert len(linked(answer)) == 2
    assert "hunter2" not in answer.out + answer.err
    for path in [*kaa.root.rglob("*.json"), *kaa.root.rglob("history"), *kaa.root.rglob("urls*")]:
        assert "hunter2" not in path.read_text()


def test_offline_uses_what_is_there(kaa: Kaa, server: Server) -> None:
    kaa.ok("create", "-y", "-n", "one", "-O", "-c", server.url, "tool")
    asked = len(server.requests)
    kaa.ok("create", "-y", "-n", "two", "-O", "-c", server.url, "tool", "--offline")
    assert len(server.requests) == asked
    answer = kaa("create", "-y", "-n", "three", "-O", "-c", server.url, "alone", "--offline")
    assert answer.code == 1
    assert "offline" in answer.err
    assert not kaa.environment("three").exists()


# -- clean ------------------------------------------------------------------------------------------------------------


def test_clean(kaa: Kaa, server: Server) -> None:
    kaa.ok("create", "-y", "-n", "demo", "-O", "-c", server.url, "tool=1")
    kaa.ok("create", "-y", "-n", "gone", "-O", "-c", server.url, "alone")
    kaa.ok("env", "remove", "-y", "-n", "gone")
    before = kaa.tree(kaa.packages)
    document: dict[str, Any] = kaa.ok("clean", "--all", "--dry-run", "--json").json()
    assert kaa.tree(kaa.packages) == before
    assert set(document) >= {"success", "tarballs", "index_cache", "packages", "tempfiles", "logfiles"}
    packages = document["packages"]
    assert list(packages["pkgs_dirs"].values()) == [["alone-1.0-0"]]
    assert packages["total_size"] == sum(packages["pkg_sizes"][str(kaa.packages)].values())
    assert document["tarballs"]["warnings"] == []
    answer = kaa.ok("clean", "--all", "-y")
    assert "Freed " in answer.out
    assert not (kaa.packages / "alone-1.0-0").exists()
    assert (kaa.packages / "lib-1.0-0").is_dir()
    assert "There is nothing to clean." in kaa.ok("clean", "--all", "-y").out
    assert kaa("clean", "-y").code == 2


@pytest.mark.parametrize(("flag", "key"), [("-t", "tarballs"), ("-p", "packages"), ("-i", "index_cache"),
                                           ("-c", "tempfiles"), ("-l", "logfiles")])  # fmt: skip
def test_clean_of_one_kind(kaa: Kaa, demo: Path, flag: str, key: str) -> None:
    kinds = {"tarballs", "packages", "index_cache", "tempfiles", "logfiles"}
    assert kinds & set(kaa.ok("clean", flag, "--json").json()) == {key}


def test_json_is_alone_on_standard_output(kaa: Kaa, demo: Path) -> None:
    for words in ("update --all", "remove tool", "install notes", "clean --all", "env list", "search lib"):
        target = [] if words.split()[0] in ("clean", "env", "search") else ["-n", "demo"]
        done = with_input("", *words.split(), *target, "--json")
        assert done.returncode == 0
        assert done.stderr == ""
        json.loads(done.stdout)
