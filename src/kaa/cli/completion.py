"""What may stand where the cursor is in a command line that is being typed.

The words before the cursor lead through the parsers of the commands, which know their flags and the kinds of their
values; what is offered is read from disk and from nowhere else. A command's module is loaded only when its parser is
needed. One suggestion is a word and what it means; a suggestion without a word names what the shell is to complete
itself: files, directories or programs.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kaa.cli.dispatch import LEADING_FLAGS, LEADING_VALUES
from kaa.cli.parsers import make_parser
from kaa.cli.table import COMMANDS, find_command

INSTALLED = frozenset({"remove", "uninstall", "update", "upgrade", "why", "repair", "scripts"})
"""Commands whose packages are those of the environment."""
OFFERED = frozenset({"install", "create", "search", "why-not"})
"""Commands whose packages are those of the channels."""
TARGET_FLAGS = ("-n", "--name", "-p", "--prefix")
MANY = 1 << 30
FILES, DIRECTORIES, PROGRAMS = "files", "directories", "programs"


class Suggestion(NamedTuple):
    """A word that may stand there, and what it means; or no word, and what kind of word the shell is to look for."""

    word: str
    meaning: str = ""


class Place(NamedTuple):
    """Where the cursor is, for the parser of a command."""

    parser: argparse.ArgumentParser
    value_of: argparse.Action | None
    """The flag whose value is wanted."""
    needs_value: bool
    positional: argparse.Action | None
    within: bool
    """Whether a word of the positional stands there already."""
    flags_possible: bool


def suggest(words: Sequence[str], environ: Mapping[str, str]) -> list[Suggestion]:
    """What may stand in place of the last of the words, which may be empty; the program's own name is not one of them.

    Every suggestion with a word begins with that last word.
    """
    *before, current = words or [""]
    line = Line(before, current, environ)
    found = {one.word or f"\0{one.meaning}": one for one in line.suggestions()}
    return [one for one in found.values() if one.word.startswith(current) or not one.word]


class Line:
    """A command line that is being typed: the words before the cursor, and the beginning of the one at it."""

    def __init__(self, before: Sequence[str], current: str, environ: Mapping[str, str]) -> None:
        self.current = current
        self.environ = environ
        at = _behind_leading(before)
        self.leading = list(before[:at])
        self.command_word = before[at] if at < len(before) else None
        self.words = list(before[at + 1 :])

    def suggestions(self) -> Iterator[Suggestion]:
        """What may stand there, whatever it begins with."""
        if self.command_word is None:
            yield from self._first_words()
            return
        if self.command_word == "help" and self.words and not self.current.startswith("-"):
            # The words of the command that help is wanted for, and nothing else of it.
            yield from Line(self.words, self.current, self.environ).words_of_command()
            return
        command = find_command(self.command_word)
        if command is None:
            return
        if self._is_plainly_a_package():
            yield from self._packages()
            return
        place = find_place(make_parser(command, importlib.import_module(command.module)), self.words)
        if place is not None:
            yield from self._at(place)

    def words_of_command(self) -> Iterator[Suggestion]:
        """Of all that may stand there, the words that the command itself has."""
        command = find_command(self.command_word or "")
        if command is not None:
            place = find_place(make_parser(command, importlib.import_module(command.module)), self.words)
            if place is not None and isinstance(place.positional, argparse._SubParsersAction):
                yield from self._positional(place.positional, within=False)

    def _is_plainly_a_package(self) -> bool:
        """Whether that can be told without the parser of the command: no flag is near but those for the target."""
        if self.command_word not in INSTALLED | OFFERED or self.current.startswith("-"):
            return False
        flags = [(at, word) for at, word in enumerate(self.words) if word.startswith("-")]
        return all(word in TARGET_FLAGS and at + 1 < len(self.words) for at, word in flags)

    def _first_words(self) -> Iterator[Suggestion]:
        if self.current.startswith("-"):
            for flag in sorted(LEADING_FLAGS | LEADING_VALUES | {"--help", "--version"}):
                yield Suggestion(flag)
            return
        for command in COMMANDS:
            if not command.hidden:
                for name in (command.name, *command.aliases):
                    yield Suggestion(name, command.help)
        external = importlib.import_module("kaa.cli.commands.commands").external_commands
        for name in sorted(set(external(self.environ.get("PATH", "")))):
            yield Suggestion(name)

    def _at(self, place: Place) -> Iterator[Suggestion]:
        flag, equals, _ = self.current.partition("=")
        is_flag = place.flags_possible and self.current.startswith("-")
        if is_flag:
            action = place.parser._option_string_actions.get(flag) if equals else None
            if action is not None:
                for one in self._values(action):
                    yield Suggestion(f"{flag}={one.word}", one.meaning) if one.word else one
            else:
                yield from _flags(place.parser)
        if place.value_of is not None:
            yield from self._values(place.value_of)
        if place.positional is not None and not place.needs_value and not is_flag:
            yield from self._positional(place.positional, within=place.within)

    def _positional(self, action: argparse.Action, *, within: bool) -> Iterator[Suggestion]:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            yield from (Suggestion(name, helps.get(name, "")) for name in action.choices)
        elif action.nargs == argparse.REMAINDER and action.metavar != "SHELL":
            yield from [Suggestion("", FILES)] if within else self._programs()
        elif action.metavar in ("SPEC", "PACKAGE") or action.dest == "package":
            yield from self._packages()
        else:
            yield from self._values(action)

    def _values(self, action: argparse.Action) -> Iterator[Suggestion]:
        """The values of a flag, or of a positional word that stands for no package."""
        metavar = action.metavar[0] if isinstance(action.metavar, tuple) else action.metavar
        if action.choices:
            yield from (Suggestion(str(choice)) for choice in action.choices)
        elif action.dest in ("name", "clone") or metavar == "ENV" or (action.dest, metavar) == ("targets", "NAME"):
            yield from self._environments()
            if metavar == "ENV":
                yield Suggestion("", DIRECTORIES)
        elif action.dest == "names" and self.command_word == "tool":
            yield from map(Suggestion, self._sources().tools())
        elif metavar == "DIR":
            yield Suggestion("", DIRECTORIES)
        elif metavar in ("FILE", "PATH", "LOCK"):
            yield Suggestion("", FILES)
        elif metavar == "SUBDIR":
            yield from (Suggestion(subdir) for subdir in importlib.import_module("kaa.models.subdir").KNOWN_SUBDIRS)
        elif metavar == "KEY":
            options = importlib.import_module("kaa.config.options").OPTIONS
            yield from (Suggestion(name, option.help) for name, option in options.items() if not option.inert)
        elif metavar == "COMMAND":
            yield from (Suggestion(one.name, one.help) for one in COMMANDS if not one.hidden)
        elif metavar == "SHELL" and action.dest == "words":
            yield from map(Suggestion, ("bash", "zsh", "fish"))
        elif metavar == "SHELL":
            yield from map(Suggestion, importlib.import_module("kaa.shell.dialects.table").MODULES)
        elif metavar == "CHANNEL":
            yield from self._channels()
        elif metavar in ("SPEC", "PACKAGE"):
            yield from self._offered()

    # What is on disk

    def _environments(self) -> Iterable[Suggestion]:
        return map(Suggestion, self._sources().environments())

    def _packages(self) -> Iterable[Suggestion]:
        if self.command_word in INSTALLED:
            return map(Suggestion, self._sources().installed())
        return self._offered()

    def _offered(self) -> Iterable[Suggestion]:
        # Tens of thousands of names help nobody: there must be a first letter to go by.
        return map(Suggestion, self._sources().offered(self.current)) if self.current else ()

    def _channels(self) -> Iterable[Suggestion]:
        return map(Suggestion, self._sources().channels())

    def _programs(self) -> Iterable[Suggestion]:
        return [*map(Suggestion, self._sources().programs()), Suggestion("", PROGRAMS)]

    def _sources(self) -> Any:
        # The configuration costs more than all that most suggestions need.
        module = importlib.import_module("kaa.cli.completion_sources")
        return module.Sources(
            self.environ,
            name=self._value(("-n", "--name")),
            prefix=self._value(("-p", "--prefix")),
            root_prefix=self._value(("--root-prefix",)),
            channels=[*self._given(("-c", "--channel"))],
            subdir=self._value(("--subdir", "--platform")),
            only_given="-O" in self.words or "--override-channels" in self.words,
        )

    def _value(self, flags: Sequence[str]) -> str | None:
        """The value of a flag that is given already."""
        return next(self._given(flags), None)

    def _given(self, flags: Sequence[str]) -> Iterator[str]:
        words = [*self.leading, *self.words]
        for at, word in enumerate(words):
            flag, equals, value = word.partition("=")
            if flag in flags and (equals or at + 1 < len(words)):
                yield value if equals else words[at + 1]


def _behind_leading(words: Sequence[str]) -> int:
    """Where the command stands, behind the flags that may come before it."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in LEADING_VALUES else 1
    return at


def _flags(parser: argparse.ArgumentParser) -> Iterator[Suggestion]:
    for action in parser._actions:
        if action.help != argparse.SUPPRESS:
            meaning = " ".join((action.help or "").replace("%%", "%").split())
            yield from (Suggestion(name, meaning) for name in action.option_strings)


def find_place(parser: argparse.ArgumentParser, words: Iterable[str]) -> Place | None:
    """Where the words lead to; None behind a word that the command does not have."""
    positionals = [action for action in parser._actions if not action.option_strings]
    at = used = 0
    waiting, left, optional = None, 0, False
    flags_possible = True
    remaining = iter(words)
    for word in remaining:
        action = positionals[at] if at < len(positionals) else None
        if flags_possible and word.startswith("-") and word != "-":
            flag, equals, _ = word.partition("=")
            flags_possible = word != "--"
            waiting = None if equals or word == "--" else parser._option_string_actions.get(flag)
            left = _most(waiting.nargs) if waiting is not None else 0
            optional = waiting is not None and waiting.nargs in ("?", "*")
        elif waiting is not None and left:
            left -= 1
            optional = optional or waiting.nargs == "+"
        elif isinstance(action, argparse._SubParsersAction):
            inner = action.choices.get(word)
            return find_place(inner, remaining) if inner is not None else None
        elif action is not None:
            used += 1
            flags_possible = flags_possible and action.nargs != argparse.REMAINDER
            if used >= _most(action.nargs):
                at, used = at + 1, 0
    return Place(
        parser,
        waiting if left else None,
        bool(left) and not optional,
        positionals[at] if at < len(positionals) else None,
        used > 0,
        flags_possible,
    )


def _most(count: int | str | None) -> int:
    """How many words an argument may take."""
    if isinstance(count, int):
        return count
    return 1 if count in (None, "?") else MANY
