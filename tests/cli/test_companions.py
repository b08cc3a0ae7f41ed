"""Commands of conda that kaa has beside its own: compare, notices, commands, plugins, tos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kaa.cli.table import COMMANDS
from tests.channels import ChannelBuilder, Package, Server
from tests.cli.commands import Kaa


@pytest.fixture
def demo(kaa: Kaa, channel: ChannelBuilder) -> Path:
    """An environment with tool 2.0, lib 2.0 and notes; the channel is configured."""
    kaa.ok("config", "--set", "channel_alias", channel.folder.parent.as_uri())
    kaa.ok("config", "--add", "channels", channel.folder.name)
    kaa.ok("create", "-y", "-n", "demo", "tool", "notes")
    return kaa.environment("demo")


# -- compare ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "sentences"),
    [
        ("environment.yml", "dependencies: [tool, 'lib >=2', notes=1.0]\n", []),
        ("environment.yml", "dependencies: null\n", []),
        ("environment.yml", "dependencies: [tool=1]\n", ["tool=1 is asked for; tool 2.0 0 is there"]),
        ("environment.yml", "dependencies: [alone, lib]\n", ["alone is not there"]),
        (
            "environment.yml",
            "dependencies: [{pip: ['Rich_er>=13', missing, '-e .']}]\n",
            ["missing (by pip) is not there"],
        ),
        (
            "environment.yml",
            "dependencies: [{pip: [rich-er==14]}]\n",
            ["rich-er==14 (by pip) is asked for; rich-er 13.0 is there"],
        ),
        ("specs.txt", "tool\nlib>3\n", ["lib>3 is asked for; lib 2.0 0 is there"]),
        ("list.txt", "@EXPLICIT\nhttps://host/c/linux-64/lib-2.0-0.conda\n", []),
        (
            "list.txt",
            "@EXPLICIT\nhttps://host/c/linux-64/lib-3.0-1.tar.bz2#0123456789abcdef0123456789abcdef\n",
            ["lib-3.0-1 is asked for; lib 2.0 0 is there"],
        ),
    ],
)
def test_compare(kaa: Kaa, channel: ChannelBuilder, demo: Path, name: str, text: str, sentences: list[str]) -> None:
    site = demo / "lib" / "python3.12" / "site-packages" / "Rich_er-13.0.dist-info"
    if "pip" in text:
        python = (
            ChannelBuilder(channel.folder.parent / "python")
            .add(Package("python", "3.12.1", files={"bin/python3.12": "x"}))
            .write()
        )
        kaa.ok("install", "-y", "-n", "demo", "-c", python.folder.as_uri(), "python")
        site.mkdir(parents=True)
        (site / "METADATA").write_text("Metadata-Version: 2.1\nName: Rich_er\nVersion: 13.0\n")
    (kaa.home / name).write_text(text)
    answer = kaa("compare", "-n", "demo", name, "--json")
    told = sentences or [f"{demo} holds all that {name} asks for."]
    assert (answer.code, answer.json()) == (bool(sentences), told)
    assert kaa("compare", "-p", str(demo), name).out.splitlines() == told


def test_compare_without_a_file(kaa: Kaa, demo: Path) -> None:
    assert kaa("compare", "-n", "demo").code == 2
    answer = kaa("compare", "-n", "demo", "absent.yml", "--json")
    assert (answer.code, answer.json()["exception_name"]) == (1, "EnvironmentFileNotFound")


# -- notices ----------------------------------------------------------------------------------------------------------


def notice(message: str, **more: str) -> dict[str, str]:
    return {"id": message, "message": message, "level": "warning", "created_at": "2024-01-01T00:00:00+00:00", **more}


def test_notices(kaa: Kaa, channel: ChannelBuilder, server: Server) -> None:
    words = ("notices", "-O", "-c", server.url)
    assert kaa.ok(*words, "--json").json() == []
    assert kaa.ok(*words).out == "# No notices.\n"
    notices = [
        notice("over", expires_at="2024-02-01T00:00:00Z"),
        notice("goes\x1b[2J on", expires_at="2999-01-01T00:00:00"),
        notice("for ever"),
    ]
    (channel.folder / "notices.json").write_text(json.dumps({"notices": notices}))
    document = kaa.ok(*words, "--json").json()
    assert [one["message"] for one in document] == ["goes\x1b[2J on", "for ever"]
    assert list(document[1]) == ["channel_name", "message", "id", "level", "created_at", "expires_at"]
    assert kaa.ok(*words).out.splitlines() == [
        f"{document[0]['channel_name']} [warning]: goes[2J on",
        f"{document[0]['channel_name']} [warning]: for ever",
    ]


@pytest.mark.parametrize("text", ["{", '{"notices": [{"message": 3}]}'])
def test_a_channel_whose_notices_cannot_be_read_fails_nothing(
    kaa: Kaa, channel: ChannelBuilder, server: Server, text: str
) -> None:
    (channel.folder / "notices.json").write_text(text)
    answer = kaa.ok("notices", "-O", "-c", server.url, "--json")
    assert answer.json() == []
    assert "notices.json" in answer.err


def test_notices_after_a_change(kaa: Kaa, channel: ChannelBuilder, server: Server) -> None:
    (channel.folder / "notices.json").write_text(json.dumps({"notices": [notice(text) for text in "abc"]}))
    kaa.ok("config", "--add", "channels", server.url)
    words = ("create", "-y", "-n")

    def told(*words: str) -> list[str]:
        lines = kaa.ok(*words).err.splitlines()
        return [line.rpartition(" ")[2] for line in lines if "[warning]:" in line]

    # Not unless somebody wants that: it is a connection that serves nothing else.
    assert told(*words, "none", "alone") == []
    assert server.count("/notices.json") == 0
    kaa.ok("config", "--set", "number_channel_notices", "2")
    assert told(*words, "quiet", "alone", "-q") == []
    assert told(*words, "json", "alone", "--json") == []
    assert server.count("/notices.json") == 0
    assert told(*words, "one", "alone") == ["a", "b"]
    assert told("install", "-y", "-n", "one", "notes") == ["c"]
    assert told(*words, "three", "alone") == []
    (channel.folder / "notices.json").write_text("{")
    assert told(*words, "four", "alone") == []


def test_no_channel_no_notices(kaa: Kaa) -> None:
    (kaa.home / ".condarc").write_text("channels: []\n")
    assert kaa.ok("notices", "--json").json() == []
    answer = kaa.ok("notices", "--offline", "-O", "-c", "https://host.invalid/c", "--json")
    assert answer.json() == []


# -- commands, plugins, tos -------------------------------------------------------------------------------------------


def test_commands(kaa: Kaa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "kaa-greet").write_text("#!/bin/sh\n")
    (programs / "kaa-greet").chmod(0o755)
    (programs / "kaa-notes").write_text("no program")
    monkeypatch.setenv("PATH", f"{programs}:{tmp_path / 'absent'}")
    names = kaa.ok("commands").out.splitlines()
    assert names == sorted(names) == kaa.ok("commands", "--json").json()
    own = {name for command in COMMANDS for name in (command.name, *command.aliases)}
    assert set(names) == own | {"greet"}


def test_plugins(kaa: Kaa) -> None:
    assert kaa.ok("plugins", "list", "--json").json() == []
    assert kaa.ok("plugins", "list").out == "# No plugins.\n"
    assert kaa("plugins").code == 2


@pytest.mark.parametrize(
    "words",
    [
        "accept --override-channels --channel https://host/main --channel https://host/r",
        "accept --system -c defaults --json",
        "reject --tos-root dir",
        "view --ignore-cache --cache-timeout 3",
        "",
    ],
)
def test_terms_of_service_are_nobodys_obstacle(kaa: Kaa, words: str) -> None:
    before = kaa.tree(kaa.home)
    answer = kaa.ok("tos", *words.split())
    assert answer.json() == {} if "--json" in words else answer.out.startswith("# ")
    assert kaa.tree(kaa.home) == before
