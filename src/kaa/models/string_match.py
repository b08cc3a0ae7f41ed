"""Matching a field of a record: exactly, by glob, or by regular expression, case never counting; numbers (CEP 29).

`*` is the only wild character: brackets and question marks stand for themselves.

>>> StringMatch("py3*_cpython").matches("PY310_cpython")
True
"""

from __future__ import annotations

import operator
import re

from kaa.models.invalid_text import InvalidText
from kaa.models.pattern import Pattern
from kaa.models.regex import Regex

_DIGITS_AND_STARS = Pattern(r"[0-9*]+", re.ASCII)
_NUMBER = Pattern(r"(==|=|!=|<=|<|>=|>)?([0-9]{1,18})", re.ASCII)
_COMPARISONS = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class InvalidNumberMatch(InvalidText):
    """A text that says nothing about a number."""

    conda_name = "InvalidMatchSpec"
    noun = "number"


class StringMatch:
    """What a string field must be; equal when the texts are, which (but for regular expressions) are lower case."""

    __slots__ = ("_pieces", "_regex", "text")

    text: str
    _pieces: list[str] | None
    _regex: Regex | None

    def __init__(self, text: str) -> None:
        self._pieces = None
        self._regex = None
        if is_regex(text):
            self._regex = Regex(text)
        else:
            text = text.lower()
            if "*" in text:
                self._pieces = text.split("*")
        self.text = text

    @property
    def is_exact(self) -> bool:
        """Whether only one text matches (in any case)."""
        return self._pieces is None and self._regex is None

    def matches(self, value: str) -> bool:
        """Whether the value is one that is asked for."""
        if self._pieces is not None:
            return _matches_glob(self._pieces, value.lower())
        if self._regex is not None:
            return self._regex.search(value)
        return self.text == value.lower()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StringMatch) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"StringMatch({self.text!r})"

    def __reduce__(self) -> tuple[type[StringMatch], tuple[str]]:
        return StringMatch, (self.text,)


def is_regex(text: str) -> bool:
    """Whether a text is a regular expression, from `^` to `$`."""
    return len(text) > 1 and text[0] == "^" and text[-1] == "$"


def _matches_glob(pieces: list[str], value: str) -> bool:
    """Whether the value is the pieces in order with anything between them: each at the first place it is found."""
    first, *middle, last = pieces
    if len(value) < len(first) + len(last) or not value.startswith(first) or not value.endswith(last):
        return False
    position = len(first)
    end = len(value) - len(last)
    for piece in middle:
        position = value.find(piece, position, end)
        if position < 0:
            return False
        position += len(piece)
    return True


class NumberMatch:
    """What a number must be: `7`, `>=7`, `!=0` and the like, or a pattern for its digits."""

    __slots__ = ("_compare", "_number", "_pattern", "text")

    text: str

    def __init__(self, text: str) -> None:
        match = _NUMBER.fullmatch(text)
        if match is None and _DIGITS_AND_STARS.fullmatch(text) is None and not is_regex(text):
            raise InvalidNumberMatch(text, 0, "a number, or one comparison with a number, is expected")
        self._pattern = None if match else StringMatch(text)
        sign, digits = (match[1] or "==", match[2]) if match else ("==", "0")
        self._compare = _COMPARISONS[sign]
        self._number = int(digits)
        self.text = (f"{sign}{self._number}" if sign not in ("=", "==") else str(self._number)) if match else text

    def matches(self, value: int) -> bool:
        """Whether the number is one that is asked for."""
        if self._pattern is not None:
            return self._pattern.matches(str(value))
        return bool(self._compare(value, self._number))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NumberMatch) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"NumberMatch({self.text!r})"

    def __reduce__(self) -> tuple[type[NumberMatch], tuple[str]]:
        return NumberMatch, (self.text,)
