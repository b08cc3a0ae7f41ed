"""Specs that name their channel, on the command line: groups of channels, paths, and strict priority."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels import ChannelBuilder, Package, Server, serve
from tests.cli.commands import Kaa


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """first has everything, main and extra have a tool of their own."""
    first = [Package("tool", "9.0", noarch="generic"), Package("user", depends=["tool"], noarch="generic")]
    ChannelBuilder(tmp_path / "world/first").add(*first).write()
    ChannelBuilder(tmp_path / "world/main").add(Package("tool", "1.0", noarch="generic")).write()
    ChannelBuilder(tmp_path / "world/extra").add(Package("rare", "1.0", noarch="generic")).write()
    with serve(tmp_path / "world") as running:
        yield running


@pytest.fixture
def configured(kaa: Kaa, server: Server) -> Kaa:
    (kaa.home / ".condarc").write_text(
        f"channels: [{server.url}/first]\n"
        f"default_channels: [{server.url}/main, {server.url}/extra]\n"
        f"custom_multichannels:\n  lab: [defaults, {server.url}/first]\n"
        "channel_priority: strict\n"
    )
    return kaa


def placed(kaa: Kaa, *words: str) -> dict[str, tuple[str, str]]:
    """Name → where it would come from, and its version."""
    links = kaa.ok("create", "-n", "plan", "--dry-run", "--json", *words).json()["actions"]["LINK"]
    return {link["name"]: (link["base_url"].rpartition("/")[2], link["version"]) for link in links}


PLANS = [
    (["tool", "user"], {"tool": ("first", "9.0"), "user": ("first", "1.0")}),
    (["defaults::tool", "user"], {"tool": ("main", "1.0"), "user": ("first", "1.0")}),
    (["user", "defaults::tool"], {"tool": ("main", "1.0"), "user": ("first", "1.0")}),
    (["defaults::rare"], {"rare": ("extra", "1.0")}),
    (["lab::tool"], {"tool": ("first", "9.0")}),
    (["lab::tool<2"], {"tool": ("main", "1.0")}),
    (["lab::tool>2"], {"tool": ("first", "9.0")}),
    (["../world/main::tool"], {"tool": ("main", "1.0")}),
    (["tool[channel=defaults]", "user"], {"tool": ("main", "1.0"), "user": ("first", "1.0")}),
]


@pytest.mark.parametrize(("words", "expected"), PLANS)
def test_where_packages_come_from(configured: Kaa, words: list[str], expected: dict[str, tuple[str, str]]) -> None:
    assert placed(configured, *words) == expected


def test_a_group_that_lacks_what_is_asked_for(configured: Kaa) -> None:
    answer = configured("create", "-n", "x", "--dry-run", "defaults::tool>2")
    assert answer.code == 1
    assert "defaults::tool" in answer.err


def test_an_environment_goes_on_with_the_channel_that_was_asked_for(configured: Kaa, server: Server) -> None:
    configured.ok("create", "-n", "x", "-y", "defaults::tool")
    history = (configured.environment("x") / "conda-meta/history").read_text()
    assert "# update specs: ['defaults::tool']" in history
    configured.ok("install", "-n", "x", "-y", "user")
    configured.ok("update", "-n", "x", "-y", "--all")
    found = {entry["name"]: entry["version"] for entry in configured.ok("list", "-n", "x", "--json").json()}
    assert found == {"tool": "1.0", "user": "1.0"}
    configured.ok("remove", "-n", "x", "-y", "defaults::tool")
    assert configured.ok("list", "-n", "x", "--json").json() == []


def test_search_in_a_group(configured: Kaa, server: Server) -> None:
    found = configured.ok("search", "--json", "defaults::tool").json()["tool"]
    assert [record["version"] for record in found] == ["1.0"]
    assert [record["version"] for record in configured.ok("search", "--json", "lab::tool").json()["tool"]] == [
        "1.0",
        "9.0",
    ]


def test_a_file_of_specs(configured: Kaa) -> None:
    (configured.home / "specs.txt").write_text("defaults::tool\n../world/first::user\n")
    assert placed(configured, "--file", "specs.txt") == {"tool": ("main", "1.0"), "user": ("first", "1.0")}
