"""What the channel part of a spec stands for: multichannels, custom channels, URLs and paths, on real channels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kaa
from kaa.api.specs import read_specs
from kaa.models.channel import InvalidChannel
from kaa.prefix.history import requested_specs
from kaa.prefix.prefix import Prefix
from tests.channels import ChannelBuilder, Package, Server, serve


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """main/one and main/two, first and here: each has a tool, the newest is in first."""
    for place, version in (("main/one", "1.0"), ("main/two", "2.0"), ("first", "9.0"), ("here/local", "5.0")):
        package = Package("tool", version, noarch="generic", files={"share/tool": version})
        ChannelBuilder(tmp_path / "world" / place).add(package).write()
    with serve(tmp_path / "world") as running:
        yield running


@pytest.fixture
def session(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[kaa.Session]:
    monkeypatch.chdir(tmp_path / "world/here")
    with opened(tmp_path, server) as session:
        yield session


def opened(tmp_path: Path, server: Server, **options: Any) -> kaa.Session:
    return kaa.open_session(
        root_prefix=tmp_path / "root",
        environ={"HOME": str(tmp_path / "world")},
        **{
            "channels": [f"{server.url}/first"],
            "channel_alias": f"{server.url}/main",
            "custom_multichannels": {"mine": [f"{server.url}/main/one", "two"], "all": ["mine", f"{server.url}/first"]},
            "default_channels": ["one"],
            "custom_channels": {"local": str(tmp_path / "world/here")},
            **options,
        },
    )


CHANNELS = [
    ("tool", "9.0"),
    ("first::tool", None),
    ("one::tool", "1.0"),
    ("defaults::tool", "1.0"),
    ("mine::tool", "1.0"),
    ("mine::tool>1", "2.0"),
    ("all::tool", "9.0"),
    ("tool[channel=two]", "2.0"),
    ("{url}/main/two::tool", "2.0"),
    ("{url}/main/two/noarch::tool", "2.0"),
    ("{URL}/main//two/::tool", "2.0"),
    ("./local::tool", "5.0"),
    ("../here/local/noarch::tool", "5.0"),
    ("~/main/two::tool", "2.0"),
    ("{folder}/main/one::tool", "1.0"),
    ("local::tool", "5.0"),
    ("tool[channel='*/first']", "9.0"),
    ("./local/noarch/tool-5.0-0.conda", "5.0"),
    ("tool[url='../main/two/noarch/tool-2.0-0.conda']", "2.0"),
    ("{url}/main/one/noarch/tool-1.0-0.conda", "1.0"),
]


def written(text: str, server: Server, tmp_path: Path) -> str:
    return text.format(url=server.url, URL=server.url.replace("http", "HTTP"), folder=tmp_path / "world")


@pytest.mark.parametrize(("text", "version"), CHANNELS)
def test_a_spec_takes_the_package_of_its_channel(
    session: kaa.Session, server: Server, tmp_path: Path, text: str, version: str | None
) -> None:
    text = written(text, server, tmp_path)
    if version is None:
        with pytest.raises(kaa.KaaError, match="first"):
            kaa.plan_create(session, tmp_path / "x", [text])
        return
    plan = kaa.plan_create(session, tmp_path / "x", [text])
    assert [record.version for record in plan.to_link] == [version]
    assert version in [found.version for found in kaa.search_packages(session, text)["tool"]]


@pytest.mark.parametrize(("text", "version"), [row for row in CHANNELS if row[1]])
def test_an_installed_package_is_the_one_that_a_spec_asked_for(
    session: kaa.Session, server: Server, tmp_path: Path, text: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, prefix = written(text, server, tmp_path), tmp_path / "x"
    kaa.execute(session, kaa.plan_create(session, prefix, [text]))
    assert kaa.plan_install(session, prefix, [text]).is_empty
    # The history means the same from another directory, and holds the package where it was.
    monkeypatch.chdir(tmp_path)
    with opened(tmp_path, server) as elsewhere:
        assert kaa.plan_update(elsewhere, prefix, [], kaa.ChangeOptions(update_all=True)).is_empty
    assert [record.name for record in kaa.plan_remove(session, prefix, [text]).to_unlink] == ["tool"]


def test_the_history_keeps_the_text_of_names_and_makes_paths_whole(
    session: kaa.Session, tmp_path: Path, server: Server
) -> None:
    typed = {
        "mine::tool>1": "mine::tool[version='>1']",
        "./local::tool": f"{(tmp_path / 'world/here/local').as_uri()}::tool",
    }
    for number, (text, kept) in enumerate(typed.items()):
        prefix = tmp_path / str(number)
        kaa.execute(session, kaa.plan_create(session, prefix, [text]))
        assert requested_specs(Prefix(prefix)) == {"tool": kept}


@pytest.mark.parametrize("priority", ["strict", "flexible", "disabled"])
def test_other_channels_are_out_whatever_the_priority(tmp_path: Path, server: Server, priority: str) -> None:
    needing = Package("user", depends=["tool"], noarch="generic")
    ChannelBuilder(tmp_path / "world/first").add(needing, Package("tool", "9.0", noarch="generic")).write()
    with opened(tmp_path, server, channel_priority=priority) as session:
        plan = kaa.plan_create(session, tmp_path / "x", ["mine::tool", "user"])
        found = {record.name: record.channel for record in plan.to_link}
        # Within the multichannel the order of its members counts.
        tool = "one" if priority != "disabled" else "two"
        assert found == {"user": f"{server.url}/first", "tool": f"{server.url}/main/{tool}"}
        with pytest.raises(kaa.KaaError):
            kaa.plan_create(session, tmp_path / "x", ["mine::tool=9", "user"])


def test_a_channel_with_the_same_last_name_is_another_one(tmp_path: Path, server: Server) -> None:
    ChannelBuilder(tmp_path / "world/other/one").add(Package("tool", "7.0", noarch="generic")).write()
    with opened(tmp_path, server, channels=[f"{server.url}/other/one"]) as session:
        assert [record.version for record in kaa.plan_create(session, tmp_path / "x", ["one::tool"]).to_link] == ["1.0"]


def test_pins_mean_channels_too(tmp_path: Path, server: Server) -> None:
    channels = [f"{server.url}/first", "mine"]
    with opened(tmp_path, server, pinned_packages=["mine::tool"], channels=channels) as pinned:
        assert versions(kaa.plan_create(pinned, tmp_path / "x", ["tool"])) == ["1.0"]
    (tmp_path / "x/conda-meta").mkdir(parents=True)
    (tmp_path / "x/conda-meta/history").touch()
    (tmp_path / "x/conda-meta/pinned").write_text("two::tool\n")
    with opened(tmp_path, server, channels=channels) as session:
        assert versions(kaa.plan_install(session, tmp_path / "x", ["tool"])) == ["2.0"]


def versions(plan: kaa.Transaction) -> list[str]:
    return [record.version for record in plan.to_link]


def test_a_multichannel_that_is_gone_does_not_lock_an_environment(
    session: kaa.Session, tmp_path: Path, server: Server
) -> None:
    kaa.execute(session, kaa.plan_create(session, tmp_path / "x", ["defaults::tool"]))
    ChannelBuilder(tmp_path / "world/first").add(Package("more", noarch="generic")).write()
    with opened(tmp_path, server, default_channels=[]) as later:
        with pytest.raises(InvalidChannel, match="stands for no channels"):
            kaa.plan_install(later, tmp_path / "x", ["defaults::more"])
        assert [record.name for record in kaa.plan_install(later, tmp_path / "x", ["more"]).to_link] == ["more"]


def test_credentials_of_a_spec_go_to_its_channel(tmp_path: Path, server: Server, session: kaa.Session) -> None:
    server.token = "tk-1"
    host = server.url.partition("://")[2]
    with opened(tmp_path, server, channels=[f"http://{host}/t/tk-1/first"]) as allowed:
        plan = kaa.plan_create(allowed, tmp_path / "x", [f"http://{host}/t/tk-1/main/two::tool"])
        assert [record.channel for record in plan.to_link] == [f"{server.url}/main/two"]
        assert "tk-1" not in str(plan.requested_specs)


def test_resolving_twice_changes_nothing(session: kaa.Session) -> None:
    for text in ("mine::tool", "./local::tool", "./local/noarch/tool-5.0-0.conda", "tool"):
        once = read_specs(session, [text])
        assert read_specs(session, once) == once
        assert [spec.channel for spec in read_specs(session, once)] == [spec.channel for spec in once]
