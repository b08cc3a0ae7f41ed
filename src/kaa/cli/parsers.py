"""The commands' parsers: argparse with kaa's formatting, and with words on what may have been meant.

Loaded where there is something to say: for helps, errors, the reference, and command lines that are not plain
(`kaa.cli.plain_words`).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from kaa.cli.arguments import MAP, NAMES
from kaa.cli.called import program_name
from kaa.cli.near_words import meant
from kaa.cli.plain_words import declare_arguments
from kaa.cli.program import as_called
from kaa.cli.table import Command


def parse(command: Command, module: ModuleType, words: Sequence[str]) -> argparse.Namespace:
    """The arguments of a command; exits as argparse does when they are wrong or the help is wanted."""
    parser = make_parser(command, module, words)
    # Options may stand between positional words, except where everything behind the first word is someone else's.
    greedy = (argparse.REMAINDER, argparse.PARSER)
    if any(action.nargs in greedy for action in parser._actions):
        return parser.parse_args(words)
    return parser.parse_intermixed_args(words)


class WordFormatter(argparse.HelpFormatter):
    """A formatter that asks for the width of the terminal without loading all that shutil does besides.

    argparse makes one for every argument that is added.
    """

    def __init__(self, prog: str, indent_increment: int = 2, max_help_position: int = 24, width: int | None = None):
        super().__init__(prog, indent_increment, max_help_position, width or terminal_width() - 2)


class Formatter(WordFormatter, argparse.RawDescriptionHelpFormatter):
    """The same, for descriptions whose lines stay as they are."""


def terminal_width() -> int:
    """How wide the terminal is: `$COLUMNS`, else what the terminal says, else 80."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:
        return 80


class AddToMap(argparse.Action):
    """NAME=VALUE, several times, as one map."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        name, equals, value = str(values).partition("=")
        if not equals or not name.strip():
            parser.error(f"argument {option_string}: {values!r} is not of the form {self.metavar}")
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), name.strip(): value.strip()})


class AddName(argparse.Action):
    """NAME, several times."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, (*(getattr(namespace, self.dest) or ()), str(values)))


class Parser(argparse.ArgumentParser):
    """A parser whose texts say what to type under the name by which kaa was called, and what may have been meant."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.register("action", MAP, AddToMap)
        self.register("action", NAMES, AddName)

    def format_help(self) -> str:
        return as_called(super().format_help())

    def add_subparsers(self, **options: Any) -> Any:
        return super().add_subparsers(**{"parser_class": WordParser, **options})

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.refuse(unknown)
        return found

    def parse_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = self.parse_known_intermixed_args(args, namespace)
        if unknown:
            self.refuse(unknown)
        return found

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Exit, for words that nothing takes."""
        shown = [name for action in self._actions if action.help != argparse.SUPPRESS for name in action.option_strings]
        flags = [word.partition("=")[0] for word in words if word.startswith("-")]
        lines = [f"  {flag}: {hint}" for flag in flags if (hint := meant(flag, shown))]
        self.error("\n".join([f"unrecognized arguments: {' '.join(words)}", *lines]))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            hint = meant(str(value), map(str, action.choices or ()))
            raise argparse.ArgumentError(action, f"{error.message}; {hint}" if hint else error.message) from error


class WordParser(Parser):
    """The parser of a word of a command: it has the last say on what stands behind that word."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": WordFormatter, **options})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.refuse(unknown)
        return found, unknown


def make_parser(command: Command, module: ModuleType, words: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of one command; if the module says so, of no more than what the words need."""
    parser = Parser(
        prog=f"{program_name()} {command.name}",
        description=getattr(module, "HELP", command.help),
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    declare_arguments(parser, module, words)
    return parser
