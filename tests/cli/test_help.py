"""`kaa help`, what is said about words that are not known, and the man page."""

from __future__ import annotations

import argparse
import importlib
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kaa.cli.completion import find_place
from kaa.cli.man_page import escape, man_page
from kaa.cli.parsers import make_parser
from kaa.cli.table import COMMANDS, find_command
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
    (["clean", "--tarbals"], "--tarbals: did you mean --tarballs?"),
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
    # What begins with -- is a little like everything that does.
    assert kaa("env", "update", "--dry-run").err.endswith("unrecognized arguments: --dry-run\n")


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


PAGES = ("coming-from-conda.md", "coming-from-others.md", "how-to.md")


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_name_only_commands_and_flags_that_there_are(page: str) -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / page).read_text(encoding="utf-8")
    lines = re.findall(r"`kaa ([a-z][^`]*)`", text)
    assert len(lines) > 5
    for line in lines:
        name, *words = line.replace('"', "").split()
        command = find_command(name)
        assert command is not None, line
        parser = make_parser(command, importlib.import_module(command.module))
        place = find_place(parser, [word for word in words if not word.startswith("-")])
        known = (place.parser if place else parser)._option_string_actions
        before = itertools.takewhile(lambda word: word not in ("python", "CMD", "PROGRAM", "jq"), words)
        unknown = [word for word in before if word.startswith("-") and word.partition("=")[0] not in known]
        assert not unknown, (line, unknown)


# -- the manual page --------------------------------------------------------------------------------------------------


def test_the_manual_page_names_every_command_and_every_flag() -> None:
    page = man_page()
    flags: set[str] = set()
    for command in COMMANDS:
        for name in (command.name, *command.aliases):
            assert re.search(rf'^\.SS "(.*, )?kaa {re.escape(escape(name))}[,"]', page, re.MULTILINE), name
        parser = make_parser(command, importlib.import_module(command.module))
        for action in parser._actions:
            if action.help != argparse.SUPPRESS:
                flags.update(action.option_strings)
    for flag in flags - {"-h", "--help"}:
        assert rf"\fB{escape(flag)}\fR" in page, flag
    assert "==SUPPRESS==" not in page


@pytest.mark.parametrize("text", [".request", "'request", "a \\fBb", 'say "so"', "--flag", "`x` ~/y ^z", "a\n.b\n'c"])
def test_text_that_roff_prints_as_it_stands(text: str) -> None:
    printed = roff(f".TH A 1\n.nf\n{escape(text)}\n")
    lines = [line.strip() for line in printed.splitlines()]
    for line in text.split("\n"):
        assert line in lines


def test_the_manual_page_is_roff_without_a_fault() -> None:
    printed = roff(man_page())
    for command in COMMANDS:
        assert f"kaa {command.name}" in printed
    assert "~/.condarc" in printed
    assert "\\f" not in printed


def roff(page: str) -> str:
    """The page as a terminal shows it; groff must have nothing to say about it."""
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    words = ["groff", "-man", "-ww", "-Kutf8", "-Tutf8", "-P-cbou"]
    done = subprocess.run(words, input=page.encode(), capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()
