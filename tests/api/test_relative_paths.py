"""Calls of the Python API with relative paths, as the reference shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

import kaa
from tests.channels import ChannelBuilder, File, Package

PLACEHOLDER = "/opt/placeholder"


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> kaa.Session:
    for version in ("1.0", "2.0"):
        text = File(PLACEHOLDER.encode(), placeholder=PLACEHOLDER)
        package = Package("tool", version, noarch="generic", files={"share/place": text})
        ChannelBuilder(tmp_path / f"channel{version}").add(package).write()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    environ = {"HOME": str(tmp_path / "home")}
    channels = [f"../channel{version}" for version in ("2.0", "1.0")]
    return kaa.open_session(
        root_prefix=tmp_path / "root", environ=environ, channels=channels, channel_priority="disabled"
    )


def test_environments_at_relative_paths(session: kaa.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    relative, place = Path("envs/../envs/demo"), tmp_path / "work" / "envs" / "demo"
    with session:
        kaa.execute(session, kaa.plan_create(session, relative, ["tool=1"]))
        assert (place / "share" / "place").read_text() == str(place)
        assert (tmp_path / "home" / ".conda" / "environments.txt").read_text().splitlines() == [str(place)]
        monkeypatch.chdir(tmp_path)
        # The session keeps the directory in which it was opened.
        assert [record.version for record in kaa.read_environment(session, relative).records] == ["1.0"]
        plans = [
            kaa.plan_install(session, relative, ["tool=2"]),
            kaa.plan_update(session, relative, ["tool"]),
            kaa.plan_remove(session, relative, ["tool"]),
            kaa.plan_explicit(session, relative, kaa.read_environment(session, relative).records),
            kaa.plan_environment_removal(session, relative).transaction,
        ]
        assert {plan.prefix for plan in plans} == {place}


@pytest.mark.parametrize("spec", ["tool>1", kaa.MatchSpec.parse("tool>1")])
def test_search_takes_text_and_values(session: kaa.Session, spec: str | kaa.MatchSpec) -> None:
    with session:
        assert [record.version for record in kaa.search_packages(session, spec)["tool"]] == ["2.0"]
