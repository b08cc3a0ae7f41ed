"""Frozen environments (CEP 22) and the protection of base: no command changes them unasked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.channels import ChannelBuilder
from tests.cli.commands import Kaa
from tests.cli.conftest import small_channel

MESSAGE = "built by the image; make an environment of your own"


@pytest.fixture
def only(tmp_path: Path) -> list[str]:
    channel: ChannelBuilder = small_channel(tmp_path / "channel")
    return ["-O", "-c", str(channel.folder)]


@pytest.fixture
def frozen(kaa: Kaa, only: list[str]) -> Kaa:
    """An environment with two generations, which nobody may change any more; files for the commands beside it."""
    kaa.ok("create", "-y", "-n", "env", *only, "lib=1.0")
    kaa.ok("install", "-y", "-n", "env", *only, "notes")
    kaa.ok("env", "config", "vars", "set", "-n", "env", "A=1")
    (kaa.home / "environment.yml").write_text(f"channels: [{only[-1]}, nodefaults]\ndependencies: [alone]\n")
    (kaa.environment("env") / "conda-meta/frozen").write_text(f'{{"message": "{MESSAGE}"}}')
    return kaa


COMMANDS: dict[str, Sequence[str]] = {
    # C stands for a channel
    "install": ("install", "-y", "-n", "env", "C", "alone"),
    "install by address": ("install", "-y", "-n", "env", "URL"),
    "update": ("update", "-y", "-n", "env", "C", "--all"),
    "remove": ("remove", "-y", "-n", "env", "notes"),
    "remove --all": ("remove", "-y", "-n", "env", "--all"),
    "remove --all --keep-env": ("remove", "-y", "-n", "env", "--all", "--keep-env"),
    "env update": ("env", "update", "-n", "env", "-f", "environment.yml"),
    "env remove": ("env", "remove", "-y", "-n", "env"),
    "env config vars set": ("env", "config", "vars", "set", "-n", "env", "B=2"),
    "env config vars unset": ("env", "config", "vars", "unset", "-n", "env", "A"),
    "env create": ("env", "create", "-y", "--force", "-n", "env", "-f", "environment.yml"),
    "create": ("create", "-y", "-n", "env", "C", "alone"),
    "repair": ("repair", "-y", "-n", "env"),
    "undo": ("undo", "-y", "-n", "env"),
    "rollback": ("rollback", "-y", "-n", "env", "1"),
    "rename": ("rename", "-y", "-n", "env", "other"),
    "move": ("move", "-y", "-n", "env", "elsewhere"),
}
"""Every command that changes an environment which is there."""


def words_of(name: str, only: list[str]) -> list[str]:
    words: list[str] = []
    for word in COMMANDS[name]:
        words += only if word == "C" else [f"file://{only[-1]}/linux-64/alone-1.0-0.conda"] if word == "URL" else [word]
    return words


@pytest.mark.parametrize("name", COMMANDS)
def test_a_frozen_environment_is_not_changed_unless_that_is_overridden(frozen: Kaa, only: list[str], name: str) -> None:
    if name == "repair":
        (frozen.environment("env") / "share/notes.txt").unlink()
    words = words_of(name, only)
    before = frozen.tree(frozen.environment("env"))
    answer = frozen(*words)
    assert answer.code == 1, answer.out
    assert "EnvironmentIsFrozenError" in answer.err
    assert MESSAGE in answer.err
    assert "--override-frozen" in answer.err
    assert frozen.tree(frozen.environment("env")) == before
    document = frozen(*words, "--json").json()
    assert document["exception_name"] == "EnvironmentIsFrozenError"
    assert document["prefix"] == str(frozen.environment("env"))
    frozen.ok(*words, "--override-frozen")
    assert not frozen.environment("env").is_dir() or frozen.tree(frozen.environment("env")) != before


def test_the_configuration_can_override_as_well(frozen: Kaa) -> None:
    (frozen.home / ".condarc").write_text("protect_frozen_envs: false\n")
    frozen.ok("remove", "-y", "-n", "env", "notes")
    # An environment cannot say that of itself.
    (frozen.home / ".condarc").unlink()
    (frozen.environment("env") / ".condarc").write_text("protect_frozen_envs: false\n")
    assert frozen("remove", "-y", "-n", "env", "lib").code == 1


@pytest.mark.parametrize(
    "words",
    [
        ["list", "-n", "env"],
        ["verify", "-n", "env"],
        ["doctor", "-n", "env"],
        ["recover", "-n", "env"],
        ["history", "-n", "env"],
        ["diff", "-n", "env"],
        ["export", "-n", "env"],
        ["env", "config", "vars", "list", "-n", "env"],
        ["create", "-y", "-n", "copy", "--clone", "env"],
        ["repair", "-n", "env", "--dry-run", "--override-frozen"],
    ],
    ids=" ".join,
)
def test_what_changes_nothing_is_allowed(frozen: Kaa, words: list[str]) -> None:
    before = frozen.tree(frozen.environment("env"))
    frozen.ok(*words)
    assert frozen.tree(frozen.environment("env")) == before


@pytest.mark.parametrize(
    "words",
    [
        ["env", "remove", "-y", "-n", "base"],
        ["remove", "-y", "-n", "base", "--all"],
        ["remove", "-y", "-n", "base", "--all", "--keep-env"],
        ["rename", "-y", "-n", "base", "other"],
        ["move", "-y", "-n", "base", "elsewhere"],
    ],
    ids=" ".join,
)
def test_base_is_neither_removed_nor_moved(kaa: Kaa, only: list[str], words: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "base", *only, "lib")
    before = kaa.tree(kaa.root)
    answer = kaa(*words)
    assert answer.code == 1
    assert "base" in answer.err
    assert "try: " in answer.err
    assert kaa.tree(kaa.root) == before


def test_a_protected_base(kaa: Kaa, only: list[str]) -> None:
    """conda protects base by the same marker."""
    kaa.ok("create", "-y", "-n", "base", *only, "lib")
    (kaa.root / "conda-meta/frozen").write_text("")
    assert "--override-frozen" in kaa("install", "-y", "-n", "base", *only, "alone").err
    kaa.ok("create", "-y", "-n", "env", *only, "alone")
    kaa.ok("install", "-y", "-n", "base", *only, "alone", "--override-frozen")
    assert "is protected" in kaa("doctor", "-v", "root-prefix").out
