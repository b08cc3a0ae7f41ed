"""`kaa why`: on environments, on plans, for what pip installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa


@pytest.fixture
def only(tmp_path: Path) -> list[str]:
    channel = ChannelBuilder(tmp_path / "layers")
    channel.add(
        Package("app", "1.0", depends=["middle >=1", "base"]),
        Package("middle", "1.2", depends=["base >=2,<3", "side"]),
        Package("side", "1.0", depends=["base <4"]),
        Package("base", "2.5", depends=["__glibc >=2.5"]),
        Package("loner", "1.0", constrains=["base >=2.1"]),
    )
    return ["-O", "-c", str(channel.write().folder)]


@pytest.fixture
def env(kaa: Kaa, only: list[str], monkeypatch: pytest.MonkeyPatch) -> Kaa:
    monkeypatch.setenv("CONDA_OVERRIDE_GLIBC", "2.28")
    kaa.ok("create", "-y", "-n", "env", *only, "app>=1", "loner")
    return kaa


def test_the_ways_from_what_was_asked_for(env: Kaa) -> None:
    assert env.ok("why", "-n", "env", "side").out.splitlines() == [
        "side 1.0 is needed:",
        "",
        "app 1.0 (asked for: app>=1)",
        "└─ needs middle >=1: middle 1.2",
        "   └─ needs side",
    ]
    assert env.ok("why", "-n", "env", "base").out.splitlines() == [
        "base 2.5 is needed:",
        "",
        "app 1.0 (asked for: app>=1)",
        "└─ needs base",
        "",
        "Needed directly by middle, side as well; -v shows all ways.",
    ]


def test_all_ways_with_each_package_told_once(env: Kaa) -> None:
    assert env.ok("why", "-v", "-n", "env", "base").out.splitlines() == [
        "base 2.5 is needed:",
        "",
        "app 1.0 (asked for: app>=1)",
        "├─ needs base",
        "└─ needs middle >=1: middle 1.2",
        "   ├─ needs base >=2,<3",
        "   └─ needs side: side 1.0",
        "      └─ needs base <4",
        "",
        "These go only with some versions of base:",
        "  loner 1.0: base >=2.1",
    ]


def test_the_same_as_data(env: Kaa) -> None:
    document = env.ok("why", "-n", "env", "side", "--json").json()
    assert document["package"]["dist_name"] == "side-1.0-0"
    assert document["requested"] is None
    assert document["unneeded"] is False
    assert document["needed_by"] == [{"name": "middle", "needs": "side", "spec": "side"}]
    assert document["origins"] == [{"name": "app", "requested": "app[version='>=1']"}]
    assert [[need["spec"] for need in way] for way in document["ways"]] == [["middle >=1", "side"]]
    assert env.ok("why", "-n", "env", "base", "--json").json()["constrained_by"] == [
        {"name": "loner", "needs": "base", "spec": "base >=2.1"}
    ]


def test_what_was_asked_for_itself(env: Kaa) -> None:
    assert env.ok("why", "-n", "env", "loner").out == "loner 1.0 was asked for. Nothing else needs it.\n"
    env.ok("install", "-y", "-n", "env", *channels_of(env), "side<2")
    assert env.ok("why", "-n", "env", "side").out.startswith("side 1.0 was asked for (side<2), and it is")


def channels_of(kaa: Kaa) -> list[str]:
    folder = kaa.ok("list", "-n", "env", "--json").json()[0]["base_url"]
    return ["-O", "-c", folder]


def test_what_nobody_needs_any_more_and_how_to_take_it_away(env: Kaa) -> None:
    env.ok("remove", "-y", "-n", "env", "app")
    answer = env.ok("why", "-n", "env", "middle")
    assert answer.out.startswith("middle 1.2: nothing needs it, and nobody asked for it.\n")
    command = answer.out.splitlines()[-1].partition("kaa ")[2].split()
    answer = env.ok("why", "-n", "env", "side")
    assert "side 1.0 is needed only by what nobody asked for:" in answer.out
    assert "middle 1.2 (nobody asked for it)" in answer.out
    assert env.ok("why", "-n", "env", "side", "--json").json()["unneeded"] is True
    env.ok(*command, "-y")
    assert [entry["name"] for entry in env.ok("list", "-n", "env", "--json").json()] == ["loner"]


def test_virtual_packages(env: Kaa) -> None:
    answer = env.ok("why", "-n", "env", "__glibc")
    assert answer.out.startswith("__glibc is a fact about the machine. It is needed by:\n")
    assert "needs __glibc >=2.5" in answer.out


def test_what_pip_installed(env: Kaa) -> None:
    info = env.environment("env") / "lib" / "python3.12" / "site-packages" / "Py_Thing-3.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Py.Thing\nVersion: 3.1\n")
    (info / "INSTALLER").write_text("uv\n")
    answer = env.ok("why", "-n", "env", "py_thing")
    assert answer.out.startswith("Py.Thing 3.1 was installed by uv, not from a channel.\n")
    document = env.ok("why", "-n", "env", "py-thing", "--json").json()
    assert document["package"] is None
    assert document["pip"] == {"name": "Py.Thing", "version": "3.1", "installer": "uv", "editable_source": None}


def test_names_that_are_not_there(env: Kaa) -> None:
    answer = env("why", "-n", "env", "midle")
    assert answer.code == 1
    assert "midle is not in" in answer.err
    assert "ask about one of these: middle" in answer.err
    assert f"kaa why-not midle --prefix {env.environment('env')}" in answer.err
    answer = env("why", "-n", "env", "middle>=2")
    assert answer.code == 1
    assert "which has middle-1.2-0" in answer.err
    assert env("why", "-n", "nowhere", "middle").code == 1


def test_a_plan_of_a_new_environment_and_of_one_that_is_there(env: Kaa, only: list[str]) -> None:
    before = env.tree(env.root / "envs")
    answer = env.ok("why", "side", *only, "--plan", "middle", "loner")
    assert "middle 1.2 (asked for: middle)" in answer.out
    assert env("why", "app", *only, "--plan", "middle").code == 1
    env.ok("remove", "-y", "-n", "env", "--prune", "app")
    before = env.tree(env.environment("env"))
    answer = env.ok("why", "-n", "env", "base", *only, "--plan", "side", "--json")
    assert [one["name"] for one in answer.json()["origins"]] == ["side"]
    assert [one["spec"] for one in answer.json()["constrained_by"]] == ["base >=2.1"]
    assert env.tree(env.environment("env")) == before
    assert sorted(path.name for path in env.root.iterdir()) == ["envs", "pkgs"]
