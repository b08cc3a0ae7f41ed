"""--follow-channel-relations and the options behind it, with channels on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa.channels.index import index_channel
from kaa.config.options import Config
from kaa.models.channel_relations import DEFAULT_MAX_DEPTH
from kaa.models.repodata import ChannelRelations
from tests.channels import ChannelBuilder, Package, Server, serve
from tests.cli.commands import Kaa


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Server]:
    """bio needs lib and has an own, newer one; its base is forge, and it overrides old."""
    folder = tmp_path / "world"
    ChannelBuilder(folder / "bio").add(Package("tool", depends=["lib", "relic"]), Package("lib", "2.0"))
    ChannelBuilder(folder / "forge").add(Package("lib", "1.0"))
    ChannelBuilder(folder / "old").add(Package("relic", "1.0"), Package("tool", "9.0"))
    index_channel(folder / "bio", shards=True, relations=ChannelRelations(base="../forge", overrides="../old"))
    for name in ("forge", "old"):
        index_channel(folder / name)
    with serve(folder) as server:
        yield server


def places(kaa: Kaa, *words: str) -> dict[str, str]:
    """Where each package of a planned environment comes from."""
    answer = kaa.ok("create", "-n", "x", "--dry-run", "--json", *words)
    return {entry["name"]: entry["base_url"].rpartition("/")[2] for entry in answer.json()["actions"]["LINK"]}


def test_relations_are_followed_when_asked(kaa: Kaa, world: Server) -> None:
    refused = kaa("create", "-n", "x", "--dry-run", "-O", "-c", f"{world.url}/bio", "tool")
    assert refused.code == 1 and "relic" in refused.err
    assert not any(path.startswith(("/forge", "/old")) for path in seen(world))
    expected = {"lib": "forge", "tool": "bio", "relic": "old"}
    words = ("-O", "-c", f"{world.url}/bio", "tool")
    assert places(kaa, "--follow-channel-relations", *words) == expected
    kaa.ok("config", "--set", "follow_channel_relations", "true")
    assert places(kaa, *words) == expected
    assert kaa("create", "-n", "x", "--dry-run", "--no-follow-channel-relations", *words).code == 1
    kaa.ok("config", "--set", "channel_relations_max_depth", "0")
    assert kaa("create", "-n", "x", "--dry-run", *words).code == 1


def seen(server: Server) -> list[str]:
    return [request.path for request in server.requests]


def test_the_users_order_counts_more(kaa: Kaa, world: Server) -> None:
    words = ("-O", "-c", f"{world.url}/bio", "-c", f"{world.url}/forge", "--follow-channel-relations", "tool")
    assert places(kaa, *words) == {"lib": "bio", "tool": "bio", "relic": "old"}


def test_the_user_is_told_first(kaa: Kaa, world: Server) -> None:
    answer = kaa("create", "-n", "x", "-y", "--follow-channel-relations", "-O", "-c", f"{world.url}/bio", "tool")
    assert answer.code == 0, answer.err
    for line in (f"{world.url}/forge, before it", f"{world.url}/old, behind it"):
        assert f"warning: {world.url}/bio brings in the channel {line}" in answer.err


def test_what_is_not_followed_is_told_to_those_who_ask(kaa: Kaa, world: Server) -> None:
    words = ("create", "-n", "x", "--dry-run", "-O", "-c", f"{world.url}/bio", "lib")
    assert "--follow-channel-relations" not in kaa.ok(*words).err
    assert f"note: {world.url}/bio names other channels" in kaa.ok(*words, "-v").err


def test_a_denied_channel_is_not_brought_in(kaa: Kaa, world: Server) -> None:
    kaa.ok("config", "--add", "denylist_channels", f"{world.url}/old")
    answer = kaa("create", "-n", "x", "--dry-run", "--follow-channel-relations", "-O", "-c", f"{world.url}/bio", "tool")
    assert answer.code == 1
    assert "denylist_channels" in answer.err
    assert not any(path.startswith("/old/") for path in seen(world))


def test_a_token_is_for_the_related_channels_too(kaa: Kaa, world: Server) -> None:
    world.token = "tk-secret"
    address = f"{world.url}/t/tk-secret/bio"
    answer = kaa("create", "-n", "x", "-y", "--follow-channel-relations", "-O", "-c", address, "tool")
    assert answer.code == 0, answer.err
    assert "secret" not in answer.out + answer.err
    found = kaa.ok("list", "-n", "x", "--json").json()
    assert {entry["name"] for entry in found} == {"lib", "relic", "tool"}


def test_search_follows_relations(kaa: Kaa, world: Server) -> None:
    words = ("search", "--json", "-O", "-c", f"{world.url}/bio", "relic")
    assert kaa(*words).code == 1
    assert list(kaa.ok(*words, "--follow-channel-relations").json()) == ["relic"]


def test_a_circle_is_an_error_with_a_way_out(kaa: Kaa, world: Server, tmp_path: Path) -> None:
    index_channel(tmp_path / "world/forge", relations=ChannelRelations(base="../bio"))
    words = ("create", "-n", "x", "--dry-run", "--follow-channel-relations", "-O", "-c", f"{world.url}/bio")
    answer = kaa(*words, "tool")
    assert answer.code == 1 and "circle" in answer.err
    assert kaa.ok(*words, "-c", f"{world.url}/forge", "tool")


def test_the_default_depth_is_that_of_the_standard() -> None:
    assert Config().channel_relations_max_depth == DEFAULT_MAX_DEPTH
