"""`kaa completion`: the text that teaches a shell to complete kaa's command lines, and the answers that it asks for."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

from kaa.cli.arguments import add_output
from kaa.cli.called import program_name
from kaa.cli.configuring import ArgumentsMissing
from kaa.errors import KaaError
from kaa.shell.script import HOOKS

HELP = """Print what a shell evaluates to complete kaa's command lines: commands, flags and their values, environments,
the packages of an environment, and those of the channels as far as their indexes are on this machine.

    eval "$(kaa completion bash)"              in ~/.bashrc
    eval "$(kaa completion zsh)"               in ~/.zshrc, behind compinit
    kaa completion fish | source               in ~/.config/fish/config.fish
"""

SHELLS = ("bash", "zsh", "fish")
_NAME = "@program@"
_OUTSIDE = "\t\r\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words and flags of this command."""
    parser.add_argument(
        "--complete", action="store_true", help="print what may stand in place of the last WORD (for the texts above)"
    )
    add_output(parser)
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="SHELL", help=", ".join(SHELLS))


def run(arguments: argparse.Namespace) -> int:
    """Print the text, or the answers: a line is a word and, behind a tab, its meaning."""
    words = [str(word) for word in arguments.words]
    if arguments.complete:
        given = words[words.index("--complete") + 1 :]
        print_suggestions(given[1:] if given[:1] == ["--"] else given)
        return 0
    shells = words[words.index("completion") + 1 :]
    if len(shells) != 1 or shells[0] not in SHELLS:
        raise ArgumentsMissing("kaa completion takes one shell", hints=(f"one of: {', '.join(SHELLS)}",))
    print(completion_text(shells[0], program_name()), end="")
    return 0


def completion_text(shell: str, program: str) -> str:
    """What the shell evaluates, for the name by which kaa is called."""
    return (Path(HOOKS) / f"complete.{shell}").read_text(encoding="utf-8").replace(_NAME, program)


def print_suggestions(words: list[str]) -> None:
    """One line for each; who presses a key is to see no error, whatever is broken: then there is nothing to offer."""
    try:
        suggestions = importlib.import_module("kaa.cli.completion").suggest(words, os.environ)
    except (KaaError, OSError):
        return
    for word, meaning in suggestions:
        # Names come from elsewhere: one that a line cannot hold, or that could be read as something else, is left out.
        if word.isprintable() and not any(character in word for character in _OUTSIDE):
            print(f"{word}\t{meaning}")
