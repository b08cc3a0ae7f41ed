"""Conditions, extras and flags of a dependency (CEP 43, 44, 45).

A condition is a tree of match specs. It is not a filter: whether a leaf holds depends on the proposed solution, and is
for the solver to find out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from kaa.models.invalid_text import InvalidText
from kaa.models.match_spec_brackets import InvalidMatchSpec, closing_bracket
from kaa.models.pattern import Pattern

if TYPE_CHECKING:
    from kaa.models.match_spec import MatchSpec

DEEPEST_GROUP = 30

_EXTRA = Pattern(r"[a-z0-9_.+-]{1,64}", re.ASCII)
_FLAG = Pattern(r"[a-z0-9_*]+(?::[a-z0-9_*]+)?", re.ASCII)
_POSITIONAL = Pattern(r"[^\s=<>!~:\[\]]+(?:(?:[<>]=?|[=!~]=|=)[^\s=<>!~\[\]]+(?:,(?:[<>]=?|[!=~]=)[^\s=<>!~,]+)*)?")


class InvalidCondition(InvalidText):
    """A text that is not a condition."""

    conda_name = "InvalidMatchSpec"
    noun = "condition"


class Leaf(msgspec.Struct, frozen=True):
    """True when the solution holds a package, or the platform a virtual one, that matches."""

    spec: MatchSpec

    def __str__(self) -> str:
        return self.spec.bracket_text()

    def holds(self, is_true: Callable[[MatchSpec], bool]) -> bool:
        """Whether the condition holds, given which specs do."""
        return is_true(self.spec)

    def specs(self) -> Iterator[MatchSpec]:
        """The specs of all leaves, from left to right."""
        yield self.spec


class And(msgspec.Struct, frozen=True):
    """True when all parts are."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " and ".join(f"({part})" if isinstance(part, Or) else str(part) for part in self.parts)

    def holds(self, is_true: Callable[[MatchSpec], bool]) -> bool:
        """Whether the condition holds, given which specs do."""
        return all(part.holds(is_true) for part in self.parts)

    def specs(self) -> Iterator[MatchSpec]:
        """The specs of all leaves, from left to right."""
        for part in self.parts:
            yield from part.specs()


class Or(msgspec.Struct, frozen=True):
    """True when one of the parts is."""

    parts: tuple[Condition, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))

    def holds(self, is_true: Callable[[MatchSpec], bool]) -> bool:
        """Whether the condition holds, given which specs do."""
        return any(part.holds(is_true) for part in self.parts)

    def specs(self) -> Iterator[MatchSpec]:
        """The specs of all leaves, from left to right."""
        for part in self.parts:
            yield from part.specs()


Condition: TypeAlias = And | Or | Leaf


def parse_condition(text: str, parse_spec: Callable[[str], MatchSpec]) -> Condition:
    """The condition that a text says; `and` binds tighter than `or`."""
    return _Parser(text, parse_spec).parse()


def is_extra(text: str) -> bool:
    """Whether a group of optional dependencies can have this name."""
    return _EXTRA.fullmatch(text) is not None


def is_flag(text: str) -> bool:
    """Whether a spec can ask for this flag, which may hold `*`."""
    return _FLAG.fullmatch(text) is not None


class _Parser:
    def __init__(self, text: str, parse_spec: Callable[[str], MatchSpec]) -> None:
        self.text = text
        self.parse_spec = parse_spec
        self.position = 0
        self.depth = 0

    def parse(self) -> Condition:
        condition = self._or()
        if self.position < len(self.text):
            if self.text[self.position] == ")":
                raise self._fault(self.position, "this ')' closes nothing")
            raise self._fault(
                self.position, "'and', 'or' or the end is expected here", "leave out spaces in specs: python>=3.10"
            )
        return condition

    def _fault(self, position: int, reason: str, *hints: str) -> InvalidCondition:
        return InvalidCondition(self.text, position, reason, hints=hints)

    def _skip_spaces(self) -> None:
        while self.text[self.position : self.position + 1].isspace():
            self.position += 1

    def _or(self) -> Condition:
        parts = [self._and()]
        while self._take_word("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _and(self) -> Condition:
        parts = [self._group_or_leaf()]
        while self._take_word("and"):
            parts.append(self._group_or_leaf())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _take_word(self, word: str) -> bool:
        self._skip_spaces()
        end = self.position + len(word)
        if self.text[self.position : end] != word or self.text[end : end + 1] not in ("", "(", ")", " ", "\t"):
            return False
        self.position = end
        return True

    def _group_or_leaf(self) -> Condition:
        self._skip_spaces()
        start = self.position
        if self.text[start : start + 1] != "(":
            return self._leaf()
        self.depth += 1
        if self.depth > DEEPEST_GROUP:
            raise self._fault(start, "parentheses are nested too deeply")
        self.position += 1
        condition = self._or()
        if self.text[self.position : self.position + 1] != ")":
            raise self._fault(start, "this '(' is never closed")
        self.position += 1
        self.depth -= 1
        return condition

    def _leaf(self) -> Condition:
        start = self.position
        end = self._end_of_leaf()
        word = self.text[start:end]
        if word in ("", "and", "or"):
            raise self._fault(start, "a spec is expected here")
        if not word.endswith("]") and _POSITIONAL.fullmatch(word) is None:
            raise self._fault(start, "only name or name<op>version may stand without brackets")
        try:
            spec = self.parse_spec(word)
        except InvalidMatchSpec as error:
            raise self._fault(start + error.position, error.reason, *error.hints) from None
        if spec.when is not None:
            raise self._fault(start, "a condition cannot hold another one")
        self.position = end
        return Leaf(spec)

    def _end_of_leaf(self) -> int:
        position = self.position
        while position < len(self.text) and self.text[position] not in " \t\r\n()":
            if self.text[position] == "[":
                try:
                    position = closing_bracket(self.text, position, len(self.text))
                except InvalidMatchSpec as error:
                    raise self._fault(error.position, error.reason) from None
            position += 1
        return position
