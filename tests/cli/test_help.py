"""`kaa help`, what is said about words that are not known, and the man page."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaa.cli.table import COMMANDS
from tests.cli.commands import Kaa
from tests.shell.houses import House, make_environment


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_help_tells_what_the_flag_tells(kaa: Kaa, command: str) -> None:
    assert kaa.ok("help", command) == kaa.ok(command, "--help")


@pytest.mark.parametrize("words", [["env", "update"], ["env", "config", "vars", "set"], ["channel", "index"]])
def test_help_of_the_words_of_a_command(kaa: Kaa, words: list[str]) -> None:
    answer = kaa.ok("help", *words)
    assert answer.out.startswith(f"usage: kaa {' '.join(words)} [-h]")
    assert answer == kaa.ok(*words, "--help")


def test_help_without_a_word_is_the_overview(kaa: Kaa) -> None:
    assert kaa.ok("help") == kaa.ok("--help") == kaa.ok("--json", "help")


def test_help_of_an_alias(kaa: Kaa) -> None:
    assert kaa.ok("help", "upgrade").out == kaa.ok("help", "update").out


def test_help_of_another_program(tmp_path: Path) -> None:
    house = House(tmp_path)
    program = tmp_path / "kaa-frobnicate"
    program.write_text('#!/bin/sh\necho "frobnicate $*"\n')
    program.chmod(0o755)
    done = house.kaa("help", "frobnicate", environ={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert (done.returncode, done.stdout) == (0, b"frobnicate --help\n")


WRONG = [
    (["instal"], "there is no command 'instal'; did you mean install"),
    (["help", "instal"], "there is no command 'instal'; did you mean install"),
    (["help", "env", "lst"], "kaa env has no word 'lst'; did you mean list?"),
    (["help", "env", "zzz"], "its words are list, create"),
    (["help", "list", "zzz"], "kaa list has no words of its own"),
    (["--jsn", "list"], "unknown flag --jsn before the command; did you mean --json?"),
    (["install", "--dryrun", "x"], "--dryrun: did you mean --dry-run?"),
    (["create", "-n", "x", "--chanel=c", "y"], "--chanel: did you mean --channel"),
    (["list", "--exprot", "--jsno"], "--jsno: did you mean --json"),
    (["env", "update", "--prun"], "--prun: did you mean --prune?"),
    (["env", "lst"], "did you mean list?"),
    (["env", "config", "vars", "sett"], "did you mean set"),
    (["install", "--strategy", "higest", "x"], "did you mean highest?"),
    (["run", "--nme", "x", "y"], "--nme: did you mean --name?"),
]


@pytest.mark.parametrize(("words", "text"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_may_have_been_meant(kaa: Kaa, words: list[str], text: str) -> None:
    answer = kaa(*words)
    assert (answer.code, answer.out) == (2, "")
    assert text in answer.err


def test_a_flag_that_is_like_nothing_gets_no_hint(kaa: Kaa) -> None:
    answer = kaa("list", "--zzzzzzzz")
    assert answer.code == 2
    assert answer.err.endswith("kaa list: error: unrecognized arguments: --zzzzzzzz\n")


def test_a_flag_of_another_word_is_not_proposed(kaa: Kaa) -> None:
    # `env create` has --force; `env list` has nothing like it.
    assert "did you mean" not in kaa("env", "list", "--forc").err


@pytest.mark.parametrize(
    "words",
    [
        ["list", "-n", "analysys"],
        ["remove", "-n", "analysys", "x"],
        ["run", "-n", "analysys", "true"],
        ["shell", "activate", "posix", "analysys"],
        ["env", "remove", "-n", "analysys"],
    ],
)
def test_environments_with_a_name_like_that(kaa: Kaa, words: list[str]) -> None:
    make_environment(kaa.environment("analysis"))
    make_environment(kaa.environment("web"))
    answer = kaa(*words)
    assert answer.code == 1
    assert "try: did you mean analysis?" in answer.err
    if words[0] != "run":
        document = kaa(*words, "--json").json()
        assert document["exception_name"] == "EnvironmentNameNotFound"
        assert document["guidance"]["hints"][0] == "did you mean analysis?"
