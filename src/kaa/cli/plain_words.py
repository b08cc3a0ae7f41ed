"""Plain command lines, understood without argparse, which with its parsers takes longer than many a command.

`PlainParser` takes the declarations that `argparse.ArgumentParser` takes: the commands' `add_arguments` are called with
either. It understands words of the plain kind and no others: flags as they were declared, values that nothing checks
or changes, positional words that can mean one thing only. For all else, errors and help among it, it raises NotPlain,
and argparse is asked: it may be narrow, never different. A property test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType, SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

SUPPRESS = "==SUPPRESS=="
"""argparse's word for a help that is not shown, and a default that is not set."""
REMAINDER = "..."
"""argparse's word for a positional argument that takes all words from the first one on."""

SETTING = {"store_true": (False, True), "store_false": (True, False), "store_const": (None, None)}
"""Actions that take no value: the default and the value that they have unless others are declared."""


class NotPlain(Exception):
    """Words, or declarations, that argparse is to look at."""


class Declared:
    """One argument as it was declared."""

    __slots__ = ("action", "choices", "const", "default", "dest", "nargs", "required", "rivals", "typed")

    def __init__(self, names: Sequence[str], options: Mapping[str, object], rivals: set[Declared] | None) -> None:
        self.action = options.get("action", "store")
        default, const = SETTING.get(str(self.action), (None, None))
        self.default = options.get("default", default)
        self.const = options.get("const", const)
        self.nargs = options.get("nargs")
        self.choices = options.get("choices")
        self.typed = options.get("type") is not None
        self.required = bool(options.get("required"))
        self.rivals = rivals
        """Those of which only one may be given."""
        named = next((name for name in names if name.startswith("--")), names[0])
        self.dest = str(options.get("dest") or named.lstrip("-").replace("-", "_"))

    def value(self, word: str) -> str:
        """The value that a word is."""
        if self.typed or (isinstance(self.choices, Iterable) and word not in self.choices):
            raise NotPlain
        return word

    def set(self, values: dict[str, object], word: str | None) -> None:
        """Do what the flag does, with its value where it takes one."""
        given = values.get(self.dest)
        if word is None:
            values[self.dest] = (int(str(given or 0)) + 1) if self.action == "count" else self.const
        elif self.action == "append" and (given is None or isinstance(given, list)):
            values[self.dest] = [*(given or ()), self.value(word)]
        elif self.action == "store":
            values[self.dest] = self.value(word)
        else:
            raise NotPlain


class Declarations:
    """A parser, or a group of one."""

    def __init__(self, parser: PlainParser, rivals: set[Declared] | None = None) -> None:
        self.parser = parser
        self.rivals = rivals

    def add_argument(self, *names: str, **options: object) -> None:
        declared = Declared(names, options, self.rivals)
        if names[0].startswith("-"):
            self.parser.flags.update(dict.fromkeys(names, declared))
        else:
            self.parser.positional.append(declared)
        if self.rivals is not None:
            self.rivals.add(declared)
        if isinstance(declared.default, str) and declared.typed:
            raise NotPlain
        if declared.default != SUPPRESS:
            self.parser.defaults.setdefault(declared.dest, declared.default)

    def add_argument_group(self, title: str | None = None, description: str | None = None) -> Declarations:
        return Declarations(self.parser)

    def add_mutually_exclusive_group(self, *, required: bool = False) -> Declarations:
        if required:
            raise NotPlain
        return Declarations(self.parser, set())


class PlainParser(Declarations):
    """What a command takes, or a word of it."""

    def __init__(self) -> None:
        super().__init__(self)
        self.flags: dict[str, Declared] = {}
        self.positional: list[Declared] = []
        self.defaults: dict[str, object] = {}
        self.own_defaults: dict[str, object] = {}
        self.words: dict[str, PlainParser] | None = None
        self.word_dest = ""

    def set_defaults(self, **values: object) -> None:
        self.own_defaults.update(values)

    def add_subparsers(self, *, dest: str, **options: object) -> PlainParser:
        """The parser again: words are added to what was answered."""
        self.words, self.word_dest = {}, dest
        return self

    def add_parser(self, name: str, **options: object) -> PlainParser:
        if self.words is None or "aliases" in options:
            raise NotPlain
        self.words[name] = PlainParser()
        return self.words[name]

    def parse(self, words: Sequence[str]) -> dict[str, object]:
        """The arguments by name; raises NotPlain."""
        if not self.defaults.keys().isdisjoint(self.own_defaults):
            raise NotPlain
        values = {**self.defaults, **self.own_defaults}
        at, places, seen = 0, list[str](), set[Declared]()
        greedy = self.words is not None or any(declared.nargs == REMAINDER for declared in self.positional)
        while at < len(words):
            word = words[at]
            if not word.startswith("-"):
                if greedy:
                    break
                places.append(word)
                at += 1
                continue
            name, equals, text = word.partition("=") if word.startswith("--") else (word, "", "")
            declared = self.flags.get(name)
            if declared is None:
                raise NotPlain
            value, at = self._value(declared, words, at + 1, text if equals else None)
            declared.set(values, value)
            seen.add(declared)
        if any(declared.rivals and len(seen & declared.rivals) > 1 for declared in seen):
            raise NotPlain
        if any(declared.required for declared in self.flags.values() if declared not in seen):
            raise NotPlain
        if greedy:
            return {**values, **self._rest(list(words[at:]))}
        return {**values, **self._placed(places)}

    @staticmethod
    def _value(declared: Declared, words: Sequence[str], at: int, text: str | None) -> tuple[str | None, int]:
        """The value of a flag, if it takes one, and where the next word is."""
        if declared.action == "count" or declared.action in SETTING:
            if text is not None:
                raise NotPlain
            return None, at
        if declared.nargs is not None:
            raise NotPlain
        if text is None:
            text, at = (words[at] if at < len(words) else ""), at + 1
        if not text or text.startswith("-"):
            raise NotPlain
        return text, at

    def _rest(self, rest: list[str]) -> dict[str, object]:
        """What the first positional word and all behind it are."""
        if self.words is None:
            if len(self.positional) > 1:
                raise NotPlain
            return {self.positional[0].dest: rest}
        word = rest[0] if rest else ""
        if self.positional or word not in self.words:
            raise NotPlain
        return {self.word_dest: word, **self.words[word].parse(rest[1:])}

    def _placed(self, words: list[str]) -> dict[str, object]:
        """What the positional words are: one each, but for the last argument, which may take none, or several."""
        if not self.positional:
            if words:
                raise NotPlain
            return {}
        *single, last = self.positional
        if any(declared.nargs is not None for declared in single) or len(words) < len(single):
            raise NotPlain
        found: dict[str, object] = {
            declared.dest: declared.value(word) for declared, word in zip(single, words, strict=False)
        }
        rest = words[len(single) :]
        if last.nargs == "?" and not rest:
            return found
        if last.nargs == "*" and not rest:
            return {**found, last.dest: [] if last.default is None else last.default}
        if last.nargs in (None, "?") and len(rest) == 1:
            return {**found, last.dest: last.value(rest[0])}
        if last.nargs in ("*", "+") and rest:
            return {**found, last.dest: [last.value(word) for word in rest]}
        raise NotPlain


def parse_plain(module: ModuleType, words: Sequence[str]) -> Namespace:
    """The arguments of a command of that module; raises NotPlain."""
    parser = PlainParser()
    declare_arguments(parser, module, words)
    values: Any = parser.parse(words)
    found: Namespace = SimpleNamespace(**values)  # type: ignore[assignment]
    return found


def declare_arguments(parser: object, module: ModuleType, words: Sequence[str]) -> None:
    """Let a command declare its arguments; if its module can, no more of them than the words need."""
    if words and (narrow := getattr(module, "add_arguments_for", None)) is not None:
        narrow(parser, words)
    else:
        module.add_arguments(parser)
