"""What commands make of an environment in which a change was interrupted, or is under way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kaa.api.environments import plan_create, plan_install
from kaa.api.execution import execute
from kaa.api.session import open_session
from kaa.host.locks import file_lock
from kaa.prefix.interruption import JOURNAL, LOCK
from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa
from tests.transaction.test_journal import in_child


@pytest.fixture
def channel(tmp_path: Path) -> str:
    builder = ChannelBuilder(tmp_path / "channel")
    builder.add(
        Package("one", files={f"share/one/{n}": f"{n}" for n in range(9)}),
        Package("one", "2.0", files={f"share/one/{n}": f"{n} {n}" for n in range(9)}),
        Package("two", files={f"share/two/{n}": f"{n}" for n in range(9)}),
    )
    builder.write()
    return (tmp_path / "channel").as_uri()


def interrupt(kaa: Kaa, channel: str, name: str, *specs: str, at: str) -> None:
    """Let a process change or make an environment, and end itself at a step."""

    def die(step: str) -> None:
        if step == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        with open_session(root_prefix=kaa.root, checkpoint=die, channels=[channel], subdir="linux-64") as session:
            prefix = kaa.environment(name)
            plan = plan_install if prefix.exists() else plan_create
            execute(session, plan(session, prefix, list(specs)))

    assert in_child(work) == -signal.SIGKILL
    assert (kaa.environment(name) / JOURNAL).exists()


@pytest.fixture
def unsettled(kaa: Kaa, channel: str) -> Kaa:
    """An environment with one 1.0, where an update of it was interrupted in the middle."""
    kaa.ok("create", "-y", "-n", "demo", "-O", "-c", channel, "one=1")
    interrupt(kaa, channel, "demo", "one=2", "two", at="link one-2.0-0")
    return kaa


READING = {
    "list": ("list", "-n", "demo"),
    "list as JSON": ("list", "-n", "demo", "--json"),
    "export": ("export", "-n", "demo"),
    "explicit list": ("list", "-n", "demo", "--explicit"),
    "why": ("why", "-n", "demo", "one"),
    "history": ("history", "-n", "demo"),
    "variables": ("env", "config", "vars", "list", "-n", "demo"),
    "activation": ("shell", "activate", "posix", "demo"),
    "verify": ("verify", "-n", "demo"),
}


@pytest.mark.parametrize("words", READING.values(), ids=READING)
def test_whoever_reads_is_told(unsettled: Kaa, words: tuple[str, ...]) -> None:
    answer = unsettled(*words)
    assert "interrupted" in answer.out + answer.err
    assert "kaa recover" in answer.out + answer.err
    unsettled.ok("recover", "-n", "demo")
    answer = unsettled(*words)
    assert "interrupted" not in answer.out + answer.err


def test_run_is_told(unsettled: Kaa) -> None:
    command = [sys.executable, "-m", "kaa", "run", "-p", str(unsettled.environment("demo")), "true"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "was interrupted; finish it or take it back" in done.stderr


def test_who_changes_it_just_now_is_told(unsettled: Kaa) -> None:
    with file_lock(unsettled.environment("demo") / LOCK):
        err = unsettled.ok("list", "-n", "demo").err
    assert f"is being changed by process {os.getpid()} on " in err


CHANGING = {
    "install": (("install", "-y", "-n", "demo", "two"), {"one 1.0", "two 1.0"}),
    "update": (("update", "-y", "-n", "demo", "one"), {"one 2.0"}),
    "remove": (("remove", "-y", "-n", "demo", "one"), set()),
    "variables": (("env", "config", "vars", "set", "-n", "demo", "A=b"), {"one 1.0"}),
    "create in its place": (("create", "-y", "-n", "demo", "two"), {"two 1.0"}),
    "environment file": (("env", "update", "-n", "demo", "--file", "FILE"), {"one 1.0", "two 1.0"}),
    "rename": (("rename", "-n", "demo", "demo2", "-y"), None),
    "removal": (("env", "remove", "-y", "-n", "demo"), None),
}


@pytest.mark.parametrize(("words", "packages"), CHANGING.values(), ids=CHANGING)
def test_a_change_works_at_the_first_attempt(
    unsettled: Kaa, channel: str, tmp_path: Path, words: tuple[str, ...], packages: set[str] | None
) -> None:
    file = tmp_path / "environment.yml"
    file.write_text(f"channels: [{channel}, nodefaults]\ndependencies: [two]\n")
    command = [word.replace("FILE", str(file)) for word in words]
    if words[0] in ("install", "update", "create"):
        command += ["-O", "-c", channel]
    answer = unsettled.ok(*command)
    if packages is None:
        assert not unsettled.environment("demo").exists()
        return
    assert "taken back" in answer.err or words[:2] == ("env", "config")
    found = unsettled.ok("list", "-n", "demo", "--json").json()
    assert {f"{one['name']} {one['version']}" for one in found} == packages
    assert "Nothing is wrong" in unsettled.ok("verify", "-n", "demo").out


@pytest.mark.parametrize("at", ["begin", "link one-2.0-0", "share/one/3", "records", "commit"])
def test_a_killed_creation_leaves_no_directory_behind(kaa: Kaa, channel: str, at: str) -> None:
    interrupt(kaa, channel, "new", "one", at=at)
    listed = kaa.ok("env", "list", "--json").json()["envs"]
    # The history makes it an environment; what comes behind that is the commit.
    assert (str(kaa.environment("new")) in listed) is (at == "commit")
    kaa.ok("clean", "--all", "-y")
    assert "no environment" in kaa.ok("recover", "-n", "new").out
    assert not (kaa.root / "envs").exists()


def test_creating_again_where_a_creation_was_killed(kaa: Kaa, channel: str) -> None:
    interrupt(kaa, channel, "new", "one", at="share/one/3")
    err = kaa.ok("create", "-y", "-n", "new", "-O", "-c", channel, "two").err
    assert "taken back" in err
    found = kaa.ok("list", "-n", "new", "--json").json()
    assert [one["name"] for one in found] == ["two"]


def test_a_creation_for_another_platform_says_so_from_its_first_moment(kaa: Kaa, channel: str) -> None:
    kaa.ok("create", "-y", "-n", "mac", "--platform", "osx-arm64")
    assert (kaa.environment("mac") / ".condarc").read_text() == "subdir: osx-arm64\n"
