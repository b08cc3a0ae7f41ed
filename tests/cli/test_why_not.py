"""`kaa why-not`: what keeps a package out of an environment or a plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Answer, Kaa


@pytest.fixture
def only(channel: ChannelBuilder) -> list[str]:
    """The flags that choose the small channel and no other."""
    return ["-O", "-c", str(channel.folder)]


@pytest.fixture
def env(kaa: Kaa, only: list[str]) -> Kaa:
    kaa.ok("create", "-y", "-n", "env", *only, "tool=1", "alone")
    return kaa


def test_what_is_there(env: Kaa, only: list[str]) -> None:
    answer = env.ok("why-not", "-n", "env", "lib=1", *only)
    assert answer.out.startswith(f"Nothing keeps lib=1 out: lib 1.0 is in {env.environment('env')}.\n")
    assert answer.out.splitlines()[1] == "kaa why lib -n env tells who needs it."
    assert env.ok("why-not", "-n", "env", "lib=1", *only, "--json").json()["answer"] == "there"


def test_what_nobody_asked_for_and_the_command_that_gets_it(env: Kaa, only: list[str]) -> None:
    before = env.tree(env.environment("env"))
    answer = env.ok("why-not", "-n", "env", "notes", *only)
    assert "notes can be had in" in answer.out
    assert "Nobody asked for it" in answer.out
    assert answer.out.splitlines()[-4:-2] == ["What would change:", "  notes  1.0"]
    assert env.tree(env.environment("env")) == before
    document = env.ok("why-not", "-n", "env", "notes", *only, "--json").json()
    assert document["answer"] == "possible"
    assert document["changes"] == [{"name": "notes", "before": "", "after": "1.0"}]
    env.ok(*document["command"][1:], "-y")
    assert env.ok("why-not", "-n", "env", "notes", *only, "--json").json()["answer"] == "there"


def test_what_is_installed_in_another_version_merely_stays(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "notes", "lib=1")
    kaa.ok("remove", "-y", "-n", "env", "lib")
    kaa.ok("install", "-y", "-n", "env", *only, "--no-deps", "lib<2")
    kaa.ok("remove", "-y", "-n", "env", "notes")
    kaa.ok("create", "-y", "-n", "other", *only, "tool=1")
    kaa.ok("remove", "-y", "-n", "other", "tool")
    answer = kaa.ok("why-not", "-n", "other", "lib=2", *only)
    assert "lib 1.0 is installed, and stays until something else is asked for." in answer.out
    assert "  lib  1.0 -> 2.0" in answer.out
    assert f"To get it: kaa install -n other -O -c {only[-1]} lib=2" in answer.out


def test_what_an_earlier_request_keeps_out(env: Kaa, only: list[str]) -> None:
    answer = env.ok("why-not", "-n", "env", "lib=2", *only)
    assert answer.out.startswith(f"lib=2 cannot be had in {env.environment('env')}.\n")
    assert "tool=1" in answer.out
    assert "alone" not in answer.out.partition("In an environment")[0]
    assert "What works (each was tried):\n" in answer.out
    assert "In an environment of its own it can be had (lib 2.0):" in answer.out
    document = env.ok("why-not", "-n", "env", "lib=2", *only, "--json").json()
    assert document["answer"] == "conflict"
    assert document["failure"]["exception_name"] == "UnsatisfiableError"
    assert set(document["failure"]["requests"]) == {"lib=2", "tool=1"}
    assert document["alone"]["version"] == "2.0"
    assert [offer["versions"] for offer in document["offers"]] == [["2.0"]]
    history = [repair for repair in document["failure"]["repairs"] if repair["kind"] == "history"]
    assert {"name": "tool", "before": "1.0", "after": "2.0"} in history[0]["changes"]
    command = ["install", "-y", "-n", "env", *only, *history[0]["specs"]]
    env.ok(*command)
    assert env.ok("why-not", "-n", "env", "lib=2", *only, "--json").json()["answer"] == "there"


def test_a_pin_keeps_it_out(env: Kaa, only: list[str]) -> None:
    (env.environment("env") / "conda-meta" / "pinned").write_text("notes <1\n")
    answer = env.ok("why-not", "-n", "env", "notes", *only)
    assert "pin" in answer.out
    assert "notes<1" in answer.out
    assert env.ok("why-not", "-n", "env", "notes", *only, "--json").json()["failure"]["pins"] == ["notes<1"]
    assert env.ok("why-not", "-n", "env", "notes", *only, "--no-pin", "--json").json()["answer"] == "possible"


def test_what_no_channel_has(env: Kaa, only: list[str]) -> None:
    answer = env.ok("why-not", "-n", "env", "lib=3", *only)
    assert "There are 2 versions, 1.0 to 2.0." in answer.out
    assert env.ok("why-not", "-n", "env", "lib=3", *only, "--json").json()["answer"] == "missing"
    answer = env.ok("why-not", "-n", "env", "notess", *only)
    assert "No channel offers a package named notess." in answer.out
    assert "ask for notes instead of notess" in answer.out
    assert "leave out" not in answer.out


def test_what_other_platforms_have(env: Kaa, tmp_path: Path) -> None:
    channel = ChannelBuilder(tmp_path / "windows")
    channel.add(Package("dll", "1.0", subdir="win-64"), Package("dll", "1.1", subdir="win-64"), Package("so", "1"))
    channel.write()
    answer = env.ok("why-not", "-n", "env", "dll", "-O", "-c", str(channel.folder))
    assert "win-64: dll 1.1, 1.0 (another platform)" in answer.out
    document = env.ok("why-not", "-n", "env", "dll=1.0", "-O", "-c", str(channel.folder), "--json").json()
    assert document["answer"] == "missing"
    assert [(offer["subdir"], offer["hidden_by"]) for offer in document["offers"]] == [("win-64", "platform")]


def test_what_strict_channel_priority_hides(env: Kaa, only: list[str], tmp_path: Path) -> None:
    later = ChannelBuilder(tmp_path / "later")
    later.add(Package("notes", "9.0", noarch="generic")).write()
    words = ["why-not", "-n", "env", "notes=9", *only, "-c", str(later.folder)]
    answer = env.ok(*words, "--strict-channel-priority")
    assert "later/noarch: notes 9.0 (strict channel priority takes notes from an earlier channel only)" in answer.out
    document = env.ok(*words, "--strict-channel-priority", "--json").json()
    assert [offer["hidden_by"] for offer in document["offers"]] == ["channel_priority"]
    assert env.ok(*words, "--no-channel-priority", "--json").json()["answer"] == "possible"


def test_what_a_cutoff_hides(env: Kaa, tmp_path: Path) -> None:
    channel = ChannelBuilder(tmp_path / "dated")
    channel.add(
        Package("fresh", "1.0", timestamp=1_600_000_000_000), Package("fresh", "2.0", timestamp=1_700_000_000_000)
    ).write()
    words = ["why-not", "-n", "env", "fresh=2", "-O", "-c", str(channel.folder)]
    answer = env.ok(*words, "--exclude-newer", "2021-01-01")
    assert "fresh 2.0 (newer than exclude_newer allows)" in answer.out
    document = env.ok(*words, "--exclude-newer", "2021-01-01", "--json").json()
    assert (document["answer"], document["offers"][0]["hidden_by"]) == ("missing", "exclude_newer")
    assert env.ok(*words, "--exclude-newer", "2024-01-01", "--json").json()["answer"] == "possible"


def test_what_this_machine_lacks(env: Kaa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = ChannelBuilder(tmp_path / "gpu")
    channel.add(Package("cudatool", "1.0", depends=["__cuda >=12"])).write()
    words = ["why-not", "-n", "env", "cudatool", "-O", "-c", str(channel.folder)]
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "")
    answer = env.ok(*words)
    assert "__cuda" in answer.out
    assert "--virtual-package __cuda=12" in answer.out
    assert env.ok(*words, "--virtual-package", "__cuda=12", "--json").json()["answer"] == "possible"
    assert "environment of its own" not in answer.out
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "12.4")
    assert env.ok(*words, "--json").json()["answer"] == "possible"


def test_what_the_configuration_rules_out(env: Kaa, only: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAA_DISALLOWED_PACKAGES", "notes")
    answer = env.ok("why-not", "-n", "env", "notes", *only)
    assert "disallowed_packages lists notes" in answer.out
    assert env.ok("why-not", "-n", "env", "notes", *only, "--json").json()["answer"] == "disallowed"


def test_a_plan(env: Kaa, only: list[str]) -> None:
    before = env.tree(env.root / "envs")

    def ask(*words: str) -> Answer:
        return env.ok("why-not", *words, *only)

    assert "notes 1.0 would be in a new environment" in ask("notes", "--plan", "notes", "tool").out
    text = ask("lib=1", "--plan", "lib").out
    assert "Without asking for it, lib 2.0 is what fits best." in text
    assert "  lib  2.0 -> 1.0" in text
    assert f"To get it: kaa create -n NAME -O -c {only[-1]} lib lib=1" in text
    text = ask("lib=1", "--plan", "tool=2").out
    assert text.startswith("lib=1 cannot be had in a new environment.\n")
    document = env.ok("why-not", "lib=2", "-n", "env", *only, "--json", "--plan", "tool=2").json()
    assert document["answer"] == "there"
    assert env.tree(env.root / "envs") == before


def test_the_command_has_the_settings_of_the_question(env: Kaa, only: list[str]) -> None:
    settings = ["--platform", "linux-64", "--channel-priority", "flexible", "--virtual-package", "cuda=12.4"]
    words = ["why-not", "notes", "-n", "env", *only, *settings, "--strategy", "lowest", "--no-pin", "--json"]
    command = env.ok(*words).json()["command"]
    for word in (*only, *settings, "lowest", "--no-pin"):
        assert word in command
    env.ok(*command[1:], "-y")


def test_the_problem_of_the_question_is_what_is_saved(env: Kaa, only: list[str]) -> None:
    env.ok("why-not", "lib=1", *only, "--save-problem", "problem.json", "--plan", "tool=2")
    answer = env("solve-problem", "problem.json")
    assert answer.code == 1
    assert "lib=1" in answer.err
    assert "What works" not in answer.err
    document = env("solve-problem", "problem.json", "--json").json()
    assert document["problem"]["as_recorded"] is True
    assert document["repairs"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-n", "nowhere", "lib"], 1, "nowhere"),
        (["-n", "env", "lib >="], 1, "lib >="),
        (["-n", "env", "lib", "--plan", "tool=1", "lib=2"], 1, "tool=1"),
        (["-n", "env"], 2, "SPEC"),
    ],
)
def test_questions_that_cannot_be_answered(env: Kaa, only: list[str], words: list[str], code: int, said: str) -> None:
    answer = env("why-not", *words, *only)
    assert answer.code == code
    assert said in answer.err
