"""Matching a string field of a record: exactly, by glob, or by regular expression; case never counts (CEP 29).

`*` is the only wild character: brackets and question marks stand for themselves.

>>> StringMatch("py3*_cpython").matches("PY310_cpython")
True
"""

from __future__ import annotations

from kaa.models.regex import Regex


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
