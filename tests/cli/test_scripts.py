"""Scripts of packages: listed before they first run, and run as the policy says."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.channels import ChannelBuilder, File, Package
from tests.cli.commands import Kaa
from tests.cli.conftest import PLACEHOLDER


def script(text: str, *, placeholder: bool = False) -> File:
    return File(text.encode(), mode=0o755, placeholder=PLACEHOLDER if placeholder else None)


@pytest.fixture
def only(tmp_path: Path) -> list[str]:
    """A channel of packages with scripts of every kind, two versions of one of them, and one package without."""
    channel = ChannelBuilder(tmp_path / "scripted")
    for version in ("1.0", "2.0"):
        linking = script(f"echo post-link {version} >> $PREFIX/log\n")
        channel.add(Package("linked", version, files={"bin/.linked-post-link.sh": linking}))
    channel.add(
        Package("gone", files={"bin/.gone-pre-unlink.sh": script("echo pre-unlink >> $PREFIX/log\n")}),
        Package(
            "entered",
            files={
                "etc/conda/activate.d/one.sh": script("export ONE=1\n"),
                "etc/conda/activate.d/two.sh": script(f"export TWO={PLACEHOLDER}\n", placeholder=True),
                "etc/conda/deactivate.d/one.sh": script("unset ONE\n"),
            },
        ),
        Package("plain", files={"bin/tool": script("true\n")}),
    )
    channel.write()
    return ["-O", "-c", str(channel.folder)]


def log(kaa: Kaa, name: str = "env") -> list[str]:
    file = kaa.environment(name) / "log"
    return file.read_text().split("\n")[:-1] if file.exists() else []


def policy(kaa: Kaa, word: str) -> None:
    kaa.ok("config", "--set", "package_scripts", word)


def entered(kaa: Kaa, name: str = "env") -> tuple[dict[str, str], str]:
    """The variables that a program run in the environment sees, and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "kaa", "run", "-n", name, "env", "-0"], capture_output=True, check=True, text=True
    )
    return dict(item.split("=", 1) for item in done.stdout.split("\0") if item), done.stderr


def test_scripts_are_listed_before_they_first_run_and_not_again(kaa: Kaa, only: list[str]) -> None:
    first = kaa.ok("create", "-y", "-n", "env", *only, "linked=1.0", "entered", "plain")
    lines = [line.split() for line in first.err.splitlines() if line.startswith("  ")]
    assert [line[:2] for line in lines] == [
        ["entered-1.0-0", "etc/conda/activate.d/one.sh"],
        ["entered-1.0-0", "etc/conda/activate.d/two.sh"],
        ["entered-1.0-0", "etc/conda/deactivate.d/one.sh"],
        ["linked-1.0-0", "bin/.linked-post-link.sh"],
    ]
    assert log(kaa) == ["post-link 1.0"]
    assert "bin/.linked" not in kaa.ok("create", "-y", "-n", "other", *only, "linked=1.0").err
    assert log(kaa, "other") == ["post-link 1.0"]
    # Another content is another script.
    assert "bin/.linked" in kaa.ok("install", "-y", "-n", "env", *only, "linked=2.0").err
    assert log(kaa) == ["post-link 1.0", "post-link 2.0"]


def test_packages_without_scripts_leave_no_trace(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "plain")
    assert not (kaa.home / ".conda" / "scripts.json").exists()
    assert "bring no scripts" in kaa.ok("scripts", "-n", "env").out


@pytest.mark.parametrize("word", ["deny", "ask"])
def test_nothing_runs_that_was_not_allowed(kaa: Kaa, only: list[str], word: str) -> None:
    policy(kaa, word)
    # --yes is consent to the change, not to foreign scripts.
    said = kaa.ok("create", "-y", "-n", "env", *only, "linked=1.0", "entered", "gone").err
    assert f"package_scripts: {word}" in said
    kaa.ok("remove", "-y", "-n", "env", "gone")
    assert log(kaa) == []
    variables, told = entered(kaa)
    assert "ONE" not in variables
    assert "TWO" not in variables
    assert "kaa scripts" in told


def test_what_was_allowed_runs(kaa: Kaa, only: list[str]) -> None:
    policy(kaa, "ask")
    kaa.ok("create", "-y", "-n", "env", *only, "linked=1.0", "entered", "gone")
    kaa.ok("scripts", "-n", "env", "--allow", "linked", "gone")
    assert "ONE" not in entered(kaa)[0]
    kaa.ok("install", "-y", "-n", "env", *only, "--force-reinstall", "linked=1.0")
    assert log(kaa) == ["post-link 1.0"]
    kaa.ok("remove", "-y", "-n", "env", "gone")
    assert log(kaa) == ["post-link 1.0", "pre-unlink"]
    kaa.ok("scripts", "-n", "env", "--allow")
    variables, told = entered(kaa)
    assert (variables["ONE"], variables["TWO"]) == ("1", str(kaa.environment("env")))
    assert "kaa scripts" not in told
    # A new version has to be allowed anew.
    kaa.ok("install", "-y", "-n", "env", *only, "linked=2.0")
    assert log(kaa) == ["post-link 1.0", "pre-unlink"]


def test_what_was_denied_by_name_never_runs(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "linked=1.0", "entered")
    kaa.ok("scripts", "-n", "env", "--deny", "linked", "entered")
    kaa.ok("install", "-y", "-n", "env", *only, "--force-reinstall", "linked=1.0")
    assert log(kaa) == ["post-link 1.0"]
    variables, told = entered(kaa)
    assert "ONE" not in variables
    assert "TWO" not in variables
    assert "3 scripts" in told


def test_the_list_for_programs(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "linked=1.0", "entered")
    kaa.ok("scripts", "-n", "env", "--deny", "linked")
    found = kaa.ok("scripts", "-n", "env", "--json").json()["scripts"]
    assert [(one["package"], one["occasion"], one["decision"], one["may_run"]) for one in found] == [
        ("entered-1.0-0", "activate", "shown", True),
        ("entered-1.0-0", "activate", None, True),
        ("entered-1.0-0", "deactivate", "shown", True),
        ("linked-1.0-0", "post-link", "denied", False),
    ]
    assert [one["package"] for one in kaa.ok("scripts", "-n", "env", "--json", "linked").json()["scripts"]] == [
        "linked-1.0-0"
    ]


def test_a_package_without_scripts_cannot_be_decided_about(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "plain")
    answer = kaa("scripts", "-n", "env", "--allow", "plain")
    assert answer.code == 1
    assert "kaa scripts" in answer.err


@pytest.mark.parametrize("content", ["{", "[]", '{"scripts": {"x": {"decision": "perhaps"}}}', '{"scripts": 1}'])
def test_a_damaged_file_of_decisions_stops_the_work(kaa: Kaa, only: list[str], content: str) -> None:
    file = kaa.home / ".conda" / "scripts.json"
    file.parent.mkdir()
    file.write_text(content)
    answer = kaa("create", "-y", "-n", "env", *only, "linked=1.0")
    assert answer.code == 1
    assert str(file) in answer.err
    assert not kaa.environment("env").exists()
    assert file.read_text() == content


def test_the_file_of_decisions_is_the_users_own(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "linked=1.0")
    file = kaa.home / ".conda" / "scripts.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert set(json.loads(file.read_text())) == {"scripts"}


def test_an_environment_cannot_loosen_the_policy(kaa: Kaa, only: list[str]) -> None:
    policy(kaa, "deny")
    kaa.ok("create", "-y", "-n", "env", *only, "entered")
    (kaa.environment("env") / ".condarc").write_text("package_scripts: run\n")
    assert "ONE" not in entered(kaa)[0]


@pytest.mark.parametrize(("answer", "ran"), [("y\n", ["post-link 1.0"]), ("n\n", []), ("\n", [])])
def test_on_a_terminal_the_user_is_asked(kaa: Kaa, only: list[str], answer: str, ran: list[str]) -> None:
    policy(kaa, "ask")
    primary, secondary = pty.openpty()
    words = ["create", "-n", "env", *only, "linked=1.0"]
    child = subprocess.Popen(
        [sys.executable, "-m", "kaa", *words], stdin=secondary, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    os.close(secondary)
    os.write(primary, b"y\n" + answer.encode())
    said = child.communicate()[0].decode()
    os.close(primary)
    assert child.returncode == 0, said
    assert "Let this script run" in said
    assert log(kaa) == ran
    decisions = json.loads((kaa.home / ".conda" / "scripts.json").read_text())["scripts"].values()
    assert [one["decision"] for one in decisions] == ["allowed" if ran else "denied"]
