"""`kaa help`: the overview of the commands, or what one of them takes."""

from __future__ import annotations

import argparse
import importlib

from kaa.cli.arguments import add_output
from kaa.cli.dispatch import Usage, overview, run_external
from kaa.cli.near_words import meant
from kaa.cli.parsers import make_parser
from kaa.cli.program import as_called
from kaa.cli.table import find_command

HELP = """Show the commands, or what one of them takes.

    kaa help
    kaa help create
    kaa help env update
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words of this command."""
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="the command to tell about")
    parser.add_argument("command_words", nargs="*", metavar="WORD", help="the words of the command, as in `env update`")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the help; of a program `kaa-NAME` the program prints it."""
    name = arguments.command
    if name is None:
        print(as_called(overview()))
        return 0
    command = find_command(name)
    if command is None:
        return run_external(name, ["--help"])
    parser = make_parser(command, importlib.import_module(command.module))
    for word in arguments.command_words:
        parser = parser_of(parser, word)
    print(parser.format_help(), end="")
    return 0


def parser_of(parser: argparse.ArgumentParser, word: str) -> argparse.ArgumentParser:
    """The parser of a word of a command; raises Usage when the command has no such word."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            inner: argparse.ArgumentParser | None = action.choices.get(word)
            if inner is None:
                hint = meant(word, action.choices) or f"its words are {', '.join(action.choices)}"
                raise Usage(f"{parser.prog} has no word {word!r}; {hint}")
            return inner
    raise Usage(f"{parser.prog} has no words of its own to tell about; try `{parser.prog} --help`")
