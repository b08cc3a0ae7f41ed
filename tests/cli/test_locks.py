"""`kaa lock`, `kaa sync`, and --file with a lock: the same bytes from anywhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa.api.lock_formats import parse_lock
from tests.channels import ChannelBuilder, Package, Server, serve
from tests.cli.commands import Kaa


@pytest.fixture
def channel(tmp_path: Path) -> ChannelBuilder:
    """tool needs lib; gpu needs what this machine lacks; mac is for macOS, and both have common."""
    channel = ChannelBuilder(tmp_path / "channel")
    for version in ("1.0", "2.0"):
        channel.add(Package("lib", version, files={"lib/libx.so": f"library {version}"}))
    channel.add(
        Package("tool", "2.0", depends=["lib >=2"], files={"bin/tool": "tool"}),
        Package("tool", "1.0", depends=["lib"], files={"bin/tool": "tool 1"}, extension=".tar.bz2"),
        Package("notes", "1.0", noarch="generic", depends=["__unix"], files={"share/notes.txt": "noted"}),
        Package("gpu", "1.0", depends=["__cuda >=12"], files={"lib/gpu": "x"}),
        Package("tool", "2.0", subdir="osx-arm64", depends=["__osx >=11"], files={"bin/tool": "tool of the mac"}),
        Package("mac", "1.0", subdir="osx-arm64", files={"bin/mac": "x"}),
        Package("alone", "1.0", files={"share/alone": "alone"}),
    )
    return channel.write()


@pytest.fixture
def origin(channel: ChannelBuilder, kaa: Kaa) -> Iterator[Server]:
    """The channel behind HTTP, as the only one that is configured."""
    with serve(channel.folder) as server:
        only(kaa, server.url)
        yield server


def only(kaa: Kaa, url: str) -> None:
    (kaa.home / ".condarc").write_text(f"channels: ['{url}']\n")


def write(kaa: Kaa, text: str, name: str = "environment.yml") -> None:
    (kaa.home / name).write_text(text)


def names(kaa: Kaa, environment: str) -> list[str]:
    return [f"{record['name']}-{record['version']}" for record in kaa.ok("list", "-n", environment, "--json").json()]


def fresh_root(kaa: Kaa) -> None:
    """Nothing in any cache, and no environment."""
    shutil.rmtree(kaa.root, ignore_errors=True)


FILE = "name: demo\ndependencies:\n  - tool\n  - notes\n"

# -- lock -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", ["kaa.lock", "conda-lock.yml", "pixi.lock"])
def test_lock_and_check(kaa: Kaa, channel: ChannelBuilder, origin: Server, output: str) -> None:
    write(kaa, FILE)
    missing = kaa("lock", "-o", output, "--check")
    assert (missing.code, (kaa.home / output).exists()) == (1, False)
    kaa.ok("lock", "-o", output)
    text = (kaa.home / output).read_text()
    lock = parse_lock(text, output)
    found = sorted(record.dist for record in lock.environments[0].conda["linux-64"])
    assert found == ["lib-2.0-0", "notes-1.0-0", "tool-2.0-0"]
    assert kaa("lock", "-o", output, "--check").code == 0
    channel.add(Package("lib", "3.0", files={"lib/libx.so": "library 3"})).write()
    answer = kaa("lock", "-o", output, "--check", "--json")
    document = answer.json()
    assert (answer.code, document["success"], document["changed"]) == (1, False, True)
    assert document["platforms"]["linux-64"] == {"added": [], "removed": [], "changed": [["lib-2.0-0", "lib-3.0-0"]]}
    assert (kaa.home / output).read_text() == text
    kaa.ok("lock", "-o", output, "--dry-run")
    assert (kaa.home / output).read_text() == text
    assert "lib-2.0-0 → lib-3.0-0" in kaa.ok("lock", "-o", output).out
    assert (kaa.home / output).read_text() != text


def test_another_kernel_makes_no_other_lock(kaa: Kaa, origin: Server) -> None:
    write(kaa, FILE)
    kaa.ok("lock", "--virtual-package", "__linux=5.0")
    text = (kaa.home / "kaa.lock").read_text()
    assert kaa("lock", "--check", "--virtual-package", "__linux=6.0").code == 0
    kaa.ok("lock", "--virtual-package", "__linux=6.0")
    assert (kaa.home / "kaa.lock").read_text() == text


def test_several_files_and_platforms(kaa: Kaa, origin: Server) -> None:
    write(kaa, "platforms: [linux-64, osx-arm64]\ndependencies:\n  - tool\n  - lib  # [linux]\n  - mac  # [osx]\n")
    write(kaa, "alone  \n", "more.txt")
    write(kaa, "dependencies: [{sel(linux): notes}]\nvariables: {A: b}\n", "other.yaml")
    kaa.ok("lock", "environment.yml", "other.yaml")
    [environment] = parse_lock((kaa.home / "kaa.lock").read_text(), "").environments
    found = {platform: {record.name for record in records} for platform, records in environment.conda.items()}
    assert found == {"linux-64": {"lib", "tool", "notes"}, "osx-arm64": {"tool", "mac"}}
    assert environment.variables == {"A": "b"}
    kaa.ok("lock", "environment.yml", "more.txt", "--platform", "linux-64")
    [environment] = parse_lock((kaa.home / "kaa.lock").read_text(), "").environments
    assert {platform: len(records) for platform, records in environment.conda.items()} == {"linux-64": 3}
    answer = kaa("lock", "environment.yml", "more.txt", "--json")
    document = answer.json()
    assert (document["platforms"], document["solved"]) == (["osx-arm64"], ["linux-64"])
    assert "alone" in document["reasons"]["osx-arm64"]


def test_each_platform_has_its_own_virtual_packages(kaa: Kaa, origin: Server) -> None:
    write(kaa, "dependencies: [tool]\n")
    kaa.ok("lock", "--platform", "linux-64", "--platform", "osx-arm64")
    lock = parse_lock((kaa.home / "kaa.lock").read_text(), "")
    assumed = {platform.name: platform.virtual_packages for platform in lock.platforms}
    assert any(text.startswith("__osx=") for text in assumed["osx-arm64"])
    assert not any(text.startswith("__osx=") for text in assumed["linux-64"])


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("dependencies: [tool, {pip: [-e ./rich]}]\n", "environment.yml", "comes from pip: -e ./rich"),
        ("@EXPLICIT\nhttps://h/linux-64/a-1-0.conda\n", "list.txt", "as exact as a lock"),
        ("dependencies: [nothing-like-it]\n", "environment.yml", "nothing-like-it"),
    ],
)
def test_what_cannot_be_locked(kaa: Kaa, origin: Server, text: str, name: str, words: str) -> None:
    write(kaa, text, name)
    answer = kaa("lock", name)
    assert (answer.code, words in answer.err) == (1, True)
    assert not (kaa.home / "kaa.lock").exists()


def test_pip_left_out(kaa: Kaa, origin: Server) -> None:
    write(kaa, "dependencies: [alone, {pip: [rich]}]\n")
    kaa.ok("lock", "--without-pip")
    [environment] = parse_lock((kaa.home / "kaa.lock").read_text(), "").environments
    assert [record.name for record in environment.conda["linux-64"]] == ["alone"]


def test_no_secrets_in_locks(kaa: Kaa, channel: ChannelBuilder) -> None:
    with serve(channel.folder) as server:
        server.token = "tk-sesame"
        secret = server.url + "/t/tk-sesame"
        write(kaa, f"channels: ['{secret}', nodefaults]\ndependencies: ['{secret}::tool', alone]\n")
        for output in ("kaa.lock", "conda-lock.yml", "pixi.lock"):
            kaa.ok("lock", "-o", output)
            assert "sesame" not in (kaa.home / output).read_text()
            answer = kaa("sync", output, "-p", f"by-{output}", "-y")
            assert (answer.code, "sesame" in answer.err + answer.out) == (1, False)
            kaa.ok("sync", output, "-p", f"by-{output}", "-y", "-c", secret)
            assert len(kaa.ok("list", "-p", f"by-{output}", "--json").json()) == 3
            fresh_root(kaa)


# -- the same bytes from anywhere -------------------------------------------------------------------------------------


def installed(kaa: Kaa, environment: str = "demo") -> dict[str, str]:
    """The files of an environment, without what records where they came from."""
    tree = kaa.tree(kaa.environment(environment))
    return {path: content for path, content in tree.items() if not path.startswith("conda-meta")}


@pytest.mark.parametrize("output", ["kaa.lock", "conda-lock.yml", "pixi.lock"])
def test_online_behind_a_mirror_from_a_folder_and_offline(
    kaa: Kaa, channel: ChannelBuilder, output: str, tmp_path: Path
) -> None:
    write(kaa, FILE)
    with serve(channel.folder) as origin:
        only(kaa, origin.url)
        kaa.ok("lock", "-o", output)
        lock = (kaa.home / output).read_bytes()
        fresh_root(kaa)
        kaa.ok("sync", output, "-n", "demo", "-y")
        online = installed(kaa)
        assert online
    # The original channel is gone from here on.
    kaa.ok("create", "-n", "again", "--file", output, "-y", "--offline")
    assert installed(kaa, "again") == online
    fresh_root(kaa)
    assert kaa("sync", output, "-n", "demo", "-y").code == 1
    mirror = tmp_path / "elsewhere" / "mirrored"
    shutil.copytree(channel.folder, mirror)
    with serve(mirror.parent) as server:
        only(kaa, f"{server.url}/mirrored")
        kaa.ok("sync", output, "-n", "demo", "-y")
        assert installed(kaa) == online
        urls = {record["base_url"] for record in kaa.ok("list", "-n", "demo", "--json").json()}
        assert urls == {f"{server.url}/mirrored"}
    fresh_root(kaa)
    only(kaa, mirror.as_uri())
    kaa.ok("env", "create", "-n", "demo", "-f", output, "--offline")
    assert installed(kaa) == online
    fresh_root(kaa)
    only(kaa, (tmp_path / "empty").as_uri())
    ChannelBuilder(tmp_path / "empty").write()
    answer = kaa("sync", output, "-n", "demo", "-y", "--offline")
    assert (answer.code, "tool-2.0-0" in answer.err, kaa.environment("demo").exists()) == (1, True, False)
    assert (kaa.home / output).read_bytes() == lock


def test_other_bytes_under_the_same_name_are_not_taken(kaa: Kaa, channel: ChannelBuilder, tmp_path: Path) -> None:
    write(kaa, FILE)
    with serve(channel.folder) as origin:
        only(kaa, origin.url)
        kaa.ok("lock")
    fresh_root(kaa)
    other = ChannelBuilder(tmp_path / "other")
    forged = {"share/forged": "other bytes"}
    other.add(Package("lib", "2.0", files=forged), Package("tool", "2.0", files=forged))
    other.add(Package("notes", "1.0", noarch="generic", files=forged))
    only(kaa, other.write().folder.as_uri())
    answer = kaa("sync", "-n", "demo", "-y", "--offline")
    assert (answer.code, "nowhere to be had" in answer.err) == (1, True)


def test_a_channel_that_cannot_be_reached_is_no_obstacle(kaa: Kaa, channel: ChannelBuilder) -> None:
    write(kaa, FILE)
    with serve(channel.folder) as origin:
        only(kaa, origin.url)
        kaa.ok("lock")
        fresh_root(kaa)
        only(kaa, "http://127.0.0.1:9/gone")
        answer = kaa.ok("sync", "-n", "demo", "-y")
    assert "are not looked for in" in answer.err
    assert names(kaa, "demo") == ["lib-2.0", "notes-1.0", "tool-2.0"]


@pytest.mark.parametrize("output", ["kaa.lock", "conda-lock.yml", "pixi.lock"])
def test_what_the_machine_lacks_is_told_before_anything_is_fetched(kaa: Kaa, origin: Server, output: str) -> None:
    write(kaa, "dependencies: [gpu]\n")
    kaa.ok("lock", "-o", output, "--virtual-package", "__cuda=12.4")
    before = len(origin.requests)
    answer = kaa("sync", output, "-n", "demo", "-y")
    assert (answer.code, "__cuda >=12" in answer.err, kaa.environment("demo").exists()) == (1, True, False)
    assert len(origin.requests) == before


def test_a_platform_that_was_not_locked(kaa: Kaa, origin: Server) -> None:
    write(kaa, "dependencies: [mac]\n")
    kaa.ok("lock", "--platform", "osx-arm64")
    answer = kaa("create", "-n", "demo", "--file", "kaa.lock", "-y")
    assert (answer.code, "lock … --platform linux-64" in answer.err) == (1, True)


# -- equal to a lock --------------------------------------------------------------------------------------------------


def test_sync_makes_equal_and_can_be_taken_back(kaa: Kaa, origin: Server) -> None:
    write(kaa, FILE + "variables: {A: one}\n")
    kaa.ok("lock")
    kaa.ok("create", "-n", "demo", "-y", "alone", "lib=1")
    before = installed(kaa)
    answer = kaa.ok("sync", "-n", "demo", "-y", "--json")
    actions = answer.json()["actions"]
    assert sorted(record["name"] for record in actions["UNLINK"]) == ["alone", "lib"]
    assert names(kaa, "demo") == ["lib-2.0", "notes-1.0", "tool-2.0"]
    assert kaa.ok("env", "config", "vars", "list", "-n", "demo").out == "A = one\n"
    # What was asked for is what the lock says was.
    exported = kaa.ok("export", "-n", "demo", "--from-history", "--json").json()
    assert exported["dependencies"] == ["tool", "notes"]
    assert kaa.ok("sync", "-n", "demo", "-y", "--json").json()["message"]
    kaa.ok("undo", "-n", "demo", "-y")
    assert installed(kaa) == before


def test_sync_needs_to_know_the_environment(kaa: Kaa, origin: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    write(kaa, FILE)
    assert "no lock is here" in kaa("sync", "-n", "demo").err
    kaa.ok("lock")
    answer = kaa("sync", "-y")
    assert (answer.code, "one of --name and --prefix" in answer.err) == (2, True)
    kaa.ok("create", "-n", "demo", "-y")
    monkeypatch.setenv("CONDA_PREFIX", str(kaa.environment("demo")))
    kaa.ok("sync", "-y")
    assert names(kaa, "demo") == ["lib-2.0", "notes-1.0", "tool-2.0"]


def test_an_environment_that_is_there(kaa: Kaa, origin: Server) -> None:
    write(kaa, FILE)
    kaa.ok("lock")
    kaa.ok("create", "-n", "demo", "-y", "alone")
    (kaa.environment("demo") / "mine").touch()
    answer = kaa("env", "create", "-n", "demo", "-f", "kaa.lock")
    assert (answer.code, "prefix already exists" in answer.err) == (1, True)
    kaa.ok("env", "update", "-n", "demo", "-f", "kaa.lock")
    assert names(kaa, "demo") == ["alone-1.0", "lib-2.0", "notes-1.0", "tool-2.0"]
    kaa.ok("env", "update", "-n", "demo", "-f", "kaa.lock", "--prune")
    assert names(kaa, "demo") == ["lib-2.0", "notes-1.0", "tool-2.0"]
    assert (kaa.environment("demo") / "mine").exists()
    kaa.ok("create", "-n", "demo", "--file", "kaa.lock", "-y")
    assert not (kaa.environment("demo") / "mine").exists()


def test_a_lock_says_everything(kaa: Kaa, origin: Server) -> None:
    write(kaa, FILE)
    kaa.ok("lock")
    answer = kaa("create", "-n", "demo", "--file", "kaa.lock", "alone")
    assert (answer.code, "kaa lock FILE" in answer.err) == (2, True)


def test_environments_of_a_lock(kaa: Kaa, channel: ChannelBuilder, origin: Server) -> None:
    write(kaa, "dependencies: [alone]\n")
    kaa.ok("lock", "-o", "conda-lock.yml")
    text = (kaa.home / "conda-lock.yml").read_text()
    notes = json.loads((channel.folder / "noarch" / "repodata.json").read_text())["packages.conda"]["notes-1.0-0.conda"]
    write(
        kaa,
        f"{text}- {{name: notes, version: '1.0', manager: conda, platform: linux-64, dependencies: {{}}, "
        f"url: '{origin.url}/noarch/notes-1.0-0.conda', hash: {{md5: {notes['md5']}}}, category: docs}}\n",
        "conda-lock.yml",
    )
    kaa.ok("sync", "-n", "main", "-y")
    kaa.ok("sync", "-n", "docs", "-y", "--environment", "docs")
    assert (names(kaa, "main"), names(kaa, "docs")) == (["alone-1.0"], ["alone-1.0", "notes-1.0"])
    # What the lock does not tell stands in the package.
    record = json.loads((kaa.environment("docs") / "conda-meta" / "notes-1.0-0.json").read_text())
    assert (record["noarch"], record["depends"]) == ("generic", ["__unix"])
    answer = kaa("sync", "-n", "x", "--environment", "nothing")
    assert (answer.code, "default, docs" in answer.err) == (1, True)


@pytest.mark.parametrize("text", ["", "{", "a: b\n", "version: 9\nmetadata: x\n", "\x00"])
def test_files_that_are_no_locks(kaa: Kaa, origin: Server, text: str) -> None:
    write(kaa, text, "kaa.lock")
    answer = kaa("sync", "-n", "demo", "-y")
    assert (answer.code, answer.err.count("kaa.lock") > 0, kaa.environment("demo").exists()) == (1, True, False)
