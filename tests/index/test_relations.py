"""Channels that name others (CEP 42): opened when that is asked for, in the right order, and told about first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kaa.events import Note, StageStarted, Warned
from kaa.index.index import ChannelNotFound, Index
from kaa.index.relations import RelatedChannels, RelatedChannelUnusable
from kaa.models.channel import Channel
from kaa.models.channel_relations import ChannelRelationCycle, ChannelRelationsTooDeep, InvalidChannelRelation
from tests.channels import ChannelBuilder, serve
from tests.index.worlds import Reader, record


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "cache")


def channel(
    folder: Path, relations: dict[str, Any] | None = None, subdirs: Sequence[str] = ("linux-64", "noarch")
) -> str:
    """A channel with a package that is called like it, and what its subdirs say of others."""
    builder = ChannelBuilder(folder)
    builder.add_record(f"{folder.name}-1-0.conda", record(folder.name), "noarch")
    for subdir in subdirs if relations is not None else ():
        builder.subdir(subdir)["info"]["channel_relations"] = relations
    return builder.write().url


def find_channel(base_url: str, declarer: Channel) -> Channel:
    assert base_url.rpartition("/")[0].startswith(declarer.base_url.partition("://")[0])
    return Channel(base_url, base_url.rpartition("/")[2])


FOLLOWING = RelatedChannels(find_channel)


def order(index: Index) -> list[str]:
    ranks = {group.channel.rpartition("/")[2]: group.rank for name in index.names() for group in index.groups(name)}
    subdirs = list(dict.fromkeys(data.channel.base_url.rpartition("/")[2] for data in index.subdirs))
    assert subdirs == sorted(subdirs, key=lambda name: ranks[name])
    return subdirs


def test_relations_are_followed_in_the_order_of_channels(tmp_path: Path, reader: Reader) -> None:
    mine = channel(tmp_path / "mine", {"base": "../bio", "overrides": "../old", "unknown": 3})
    channel(tmp_path / "bio", {"base": "../forge"}, ["noarch"])
    channel(tmp_path / "forge")
    channel(tmp_path / "old", {}, ["linux-64"])
    last = channel(tmp_path / "last")
    with reader.open(mine, last, related_channels=FOLLOWING) as index:
        assert order(index) == ["forge", "bio", "mine", "old", "last"]
    with reader.open(mine, last) as index:
        assert order(index) == ["mine", "last"]


def test_a_channel_is_told_about_before_it_is_opened(tmp_path: Path, reader: Reader) -> None:
    mine = channel(tmp_path / "mine", {"base": "../bio"})
    channel(tmp_path / "bio", {"overrides": "../old"})
    channel(tmp_path / "old")
    with reader.open(mine, related_channels=FOLLOWING):
        pass
    told = [event for event in reader.events if isinstance(event, StageStarted | Warned)]
    stage = StageStarted("Reading channels", 2)
    names = [Warned(f"{mine} brings in the channel bio, before it"), Warned("bio brings in the channel old, behind it")]
    assert told == [stage, names[0], stage, names[1], stage]


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_a_warm_run_knows_the_relations(tmp_path: Path, reader: Reader, scheme: str) -> None:
    channel(tmp_path / "world/mine", {"base": "../bio"})
    channel(tmp_path / "world/bio")
    with serve(tmp_path / "world") as server:
        root = server.url if scheme == "http" else (tmp_path / "world").as_uri()
        for _ in range(2):
            with reader.open(f"{root}/mine", ttl=3600, related_channels=FOLLOWING) as index:
                assert order(index) == ["bio", "mine"]
        asked = len(server.requests)
        with reader.open(f"{root}/mine", ttl=3600, related_channels=FOLLOWING) as index:
            assert order(index) == ["bio", "mine"]
        assert len(server.requests) == asked
    with reader.open(f"{root}/mine", offline=True, related_channels=FOLLOWING) as index:
        assert order(index) == ["bio", "mine"]


def test_what_subdirs_say_counts_together(tmp_path: Path, reader: Reader) -> None:
    mine = ChannelBuilder(tmp_path / "mine").add_record("mine-1-0.conda", record("mine"), "linux-64")
    mine.subdir("linux-64")["info"]["channel_relations"] = {"base": "../a"}
    mine.subdir("noarch")["info"]["channel_relations"] = {"base": "../b"}
    mine.write()
    channel(tmp_path / "a")
    channel(tmp_path / "b")
    with reader.open(mine.url, related_channels=FOLLOWING) as index:
        assert order(index) == ["a", "b", "mine"]
    with reader.open(mine.url, subdirs=["noarch"], related_channels=FOLLOWING) as index:
        assert [data.channel.name for data in index.subdirs] == ["b", mine.url]


def test_relations_that_nobody_follows_are_a_note(tmp_path: Path, reader: Reader) -> None:
    mine = channel(tmp_path / "mine", {"base": "../bio"})
    plain = channel(tmp_path / "plain", {})
    with reader.open(mine, plain):
        pass
    assert [event.text for event in reader.events if isinstance(event, Warned)] == []
    [note] = [event.text for event in reader.events if isinstance(event, Note)]
    assert note.startswith(f"{mine} names other channels") and "--follow-channel-relations" in note


def test_a_related_channel_that_is_none(tmp_path: Path, reader: Reader) -> None:
    mine = channel(tmp_path / "mine", {"base": "../gone"})
    reason = "brings in the channel gone, which cannot be used"
    with (
        pytest.raises(RelatedChannelUnusable, match=reason) as caught,
        reader.open(mine, related_channels=FOLLOWING),
    ):
        pass
    assert isinstance(caught.value.__cause__, ChannelNotFound)


BAD: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"base": "../mine"}, InvalidChannelRelation),
    ({"base": "https://elsewhere.example/x"}, InvalidChannelRelation),
    ({"base": "../bio", "overrides": "../bio"}, InvalidChannelRelation),
    ({"base": "../circle"}, ChannelRelationCycle),
    ({"overrides": "../chain"}, ChannelRelationsTooDeep),
]


@pytest.mark.parametrize(("relations", "error"), BAD)
def test_relations_that_cannot_be_followed(
    tmp_path: Path, reader: Reader, relations: dict[str, Any], error: type[Exception]
) -> None:
    mine = channel(tmp_path / "mine", relations)
    channel(tmp_path / "circle", {"base": "../mine"})
    channel(tmp_path / "chain", {"base": "../far"})
    channel(tmp_path / "far", {"base": "../further"})
    channel(tmp_path / "further")
    with pytest.raises(error), reader.open(mine, related_channels=RelatedChannels(find_channel, max_depth=2)):
        pass
    # Nobody who does not follow relations is troubled by them.
    assert reader.dists(mine) == ["mine-1-0"]
