"""Command lines that are understood without argparse mean what argparse says they mean."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.cli.parsers import make_parser
from kaa.cli.parsers import parse as parse_with_argparse
from kaa.cli.plain_words import NotPlain, parse_plain
from kaa.cli.table import COMMANDS, Command, find_command

VALUES = ("demo", "python=3.12", "a=b", "", "-", "--", "-x", "strict", "linux-64", "7d", "2", "a b", "-1", "--json=1")
COMMAND_NAMES = [command.name for command in COMMANDS]


def words_of(parser: argparse.ArgumentParser) -> list[str]:
    """All flags and words that a parser and those of its words know, and some that none knows."""
    found = ["-h", "--nonsense", *VALUES]
    for action in parser._actions:
        found += [*action.option_strings, *(f"{name}=demo" for name in action.option_strings)]
        found += [f"{name}demo" for name in action.option_strings if not name.startswith("--")]
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                found += [word, *words_of(inner)]
        elif action.choices is not None:
            found += map(str, action.choices)
    return found


def by_argparse(command: Command, words: list[str]) -> dict[str, object] | None:
    """What argparse makes of the words; None where it exits."""
    module = importlib.import_module(command.module)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return comparable(vars(parse_with_argparse(command, module, words)))
        except SystemExit:
            return None


def comparable(values: dict[str, object]) -> dict[str, object]:
    """Values that are equal when they mean the same: functions made at each declaration by their names."""
    return {key: getattr(value, "__qualname__", value) for key, value in values.items()}


@pytest.mark.parametrize("name", COMMAND_NAMES)
@settings(max_examples=60)
@given(data=st.data())
def test_what_is_understood_means_the_same_to_argparse(name: str, data: st.DataObject) -> None:
    command = find_command(name)
    assert command is not None
    module = importlib.import_module(command.module)
    known = words_of(make_parser(command, module))
    words = data.draw(st.lists(st.sampled_from(known), max_size=6))
    try:
        plain = comparable(vars(parse_plain(module, words)))
    except NotPlain:
        return
    assert plain == by_argparse(command, words)


@pytest.mark.parametrize(
    "line",
    [
        "run -n demo true",
        "run --prefix ./env python -c pass --json",
        "run --cwd /tmp -n demo sh -c x -n y -- z",
        "run --with jq --with curl sh",
        "run -n demo",
        "info --json",
        "env list --json",
        "env list",
        "list -n demo --json",
        "list --prefix=/envs/demo --json python",
        "shell activate posix demo",
        "shell.posix activate demo",
        "create -n demo -c conda-forge python=3.12 numpy -y",
        "install --json --dry-run -q scipy",
        "history -n demo --json",
    ],
)
def test_common_lines_need_no_argparse(line: str) -> None:
    """The other way round: nothing is so narrow that it never says anything."""
    word, *words = line.split()
    command = find_command(word)
    assert command is not None
    plain = vars(parse_plain(importlib.import_module(command.module), words))
    assert comparable(plain) == by_argparse(command, words)


@pytest.mark.parametrize(
    "line",
    ["info --help", "info -q --jason", "run -ndemo true", "run -n", "list -n a -p b", "env", "env nonsense", "info x"],
)
def test_what_is_wrong_or_rare_is_argparse_s(line: str) -> None:
    word, *words = line.split()
    command = find_command(word)
    assert command is not None
    with pytest.raises(NotPlain):
        parse_plain(importlib.import_module(command.module), words)
