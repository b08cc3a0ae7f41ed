"""What kaa says of itself under the names kaa and conda, and what a user is told where base is empty."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa

NAMES = ("kaa", "conda")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name by which kaa is called."""
    called: str = request.param
    monkeypatch.setattr("sys.argv", [f"/somewhere/bin/{called}"])
    return called


@pytest.fixture
def demo(kaa: Kaa, channel: ChannelBuilder) -> str:
    channel.add(Package("top", "1.0", depends=["tool >=1"]), Package("tooling", "1.0", depends=["toolbox"])).write()
    kaa.ok("config", "--add", "channels", channel.folder.as_uri())
    kaa.ok("create", "-y", "-n", "demo", "tool=1")
    return channel.folder.as_uri()


def version_of(name: str, kaa: Kaa) -> str:
    document = kaa.ok("info", "--json").json()
    return str(document["kaa_version" if name == "kaa" else "conda_version"])


@pytest.mark.parametrize("words", [["list", "--export"], ["list", "--explicit"], ["export", "--format", "explicit"]])
def test_the_header_of_lists(kaa: Kaa, demo: str, name: str, words: list[str]) -> None:
    lines = kaa.ok(*words, "-n", "demo").out.splitlines()
    assert lines[:4] == [
        "# This file may be used to create an environment using:",
        f"# $ {name} create --name <env> --file <this file>",
        "# platform: linux-64",
        f"# created-by: {name} {version_of(name, kaa)}",
    ]


def test_doctor_names_the_program(kaa: Kaa, demo: str, name: str) -> None:
    (kaa.environment("demo") / "lib" / "libx.so").unlink()
    told = kaa("doctor", "-n", "demo").out
    document = kaa("doctor", "-n", "demo", "--json").json()
    advice = [finding["advice"] for check in document["checks"] for finding in check["findings"] if finding["advice"]]
    assert advice
    other = next(one for one in NAMES if one != name)
    for text in (told, *advice):
        assert f"{other} doctor" not in text
        assert f"{other} repair" not in text
    assert f"{name} repair" in told


def test_the_commands_of_repairs(kaa: Kaa, demo: str, name: str) -> None:
    document = kaa("create", "-n", "x", "tool=2", "lib=1", "--json").json()
    commands = [repair["command"] for repair in document["repairs"]]
    assert commands
    assert all(command.startswith(f"{name} create") for command in commands)


@pytest.mark.parametrize(
    "words", ["list", "list --json", "install -y tool", "remove -y tool", "env export", "run true"]
)
def test_where_base_is_empty(kaa: Kaa, name: str, words: str) -> None:
    answer = kaa(*words.split())
    assert answer.code == 1
    if "--json" in words:
        document = answer.json()
        assert document["exception_name"] == "EnvironmentLocationNotFound"
        assert document["location"] == str(kaa.root)
        told = " ".join([document["message"], *document["guidance"]["hints"]])
    else:
        told = answer.err
    assert f"No environment is active or named, and base is no environment yet: {kaa.root}" in told
    assert f"{name} create --name NAME PACKAGES" in told
    assert f"{name} env list" in told


def test_where_base_is_named_and_empty(kaa: Kaa) -> None:
    for words in (("run", "-n", "base", "true"), ("list", "-n", "base"), ("shell.posix", "activate", "base")):
        answer = kaa(*words)
        assert answer.code == 1
        assert "base is no environment yet" in answer.err
        assert "No environment is active" not in answer.err


def test_external_commands(kaa: Kaa, tmp_path: Path) -> None:
    """`kaa-<word>` by the name kaa, and by the name conda `conda-<word>` before it."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for file in ("kaa-both", "conda-both", "kaa-ours", "conda-theirs"):
        path = programs / file
        path.write_text(f'#!/bin/sh\necho {file} "$@"\nexit 7\n')
        path.chmod(0o755)
    conda = tmp_path / "bin" / "conda"
    conda.parent.mkdir()
    conda.symlink_to(Path(sys.executable).with_name("kaa"))
    environ = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(kaa.home)}

    def run(program: Path, word: str) -> tuple[int, str]:
        words = [sys.executable, str(program), word, "a b", "--flag", "-h"]
        done = subprocess.run(words, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout.strip()

    own = Path(sys.executable).with_name("kaa")
    for word in ("both", "ours"):
        assert run(own, word) == (7, f"kaa-{word} a b --flag -h")
    assert run(own, "theirs")[0] == 2
    assert run(conda, "both") == (7, "conda-both a b --flag -h")
    assert run(conda, "theirs") == (7, "conda-theirs a b --flag -h")
    assert run(conda, "ours") == (7, "kaa-ours a b --flag -h")


def test_a_record_without_a_channel(kaa: Kaa, demo: str) -> None:
    """Such as conda's own in a root prefix where kaa stands in for it."""
    path = kaa.environment("demo") / "conda-meta" / "tool-1.0-0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"channel": "", "url": ""}))
    (tool,) = kaa.ok("list", "-n", "demo", "-f", "tool", "--json").json()
    assert (tool["base_url"], tool["channel"]) == ("", "<unknown>")


def test_the_columns_that_are_configured(kaa: Kaa, demo: str) -> None:
    for field in ("name", "platform"):
        kaa.ok("config", "--append", "list_fields", field)
    lines = kaa.ok("list", "-n", "demo").out.splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["#", "Name", "Platform"], ["lib", "linux-64"], ["tool", "linux-64"],
    ]  # fmt: skip
    assert kaa.ok("list", "-n", "demo", "--fields", "version,name").out.splitlines()[-1].split() == ["1.0", "tool"]
    assert len(kaa.ok("list", "-n", "demo", "--json").json()[0]) == 8
    kaa.ok("config", "--append", "list_fields", "nmae")
    refused = kaa("list", "-n", "demo")
    assert (refused.code, "did you mean name?" in refused.err) == (2, True)


def test_what_depends_on_a_package(kaa: Kaa, demo: str) -> None:
    found = kaa.ok("search", "--reverse-dependency", "tool", "--json").json()
    assert {key: [one["version"] for one in records] for key, records in found.items()} == {"top": ["1.0"]}
    assert "tool" in kaa.ok("search", "--reverse-dependency", "lib").out
    nobody = kaa("search", "--reverse-dependency", "alone", "--json")
    assert (nobody.code, nobody.json()["exception_name"]) == (1, "PackagesNotFoundInChannelsError")
    refused = kaa("search", "--reverse-dependency", "tool>=2", "--json")
    assert (refused.code, refused.json()["exception_name"]) == (1, "CondaValueError")
