"""The bracketed part of a match spec, `[key=value,…]`: where it begins, its pairs, its quotes (CEP 29, 44).

>>> read_pairs("a[version='>=1,<2', build=py*]", 1, 30)
{'version': Pair(value='>=1,<2', position=11, quoted=True), 'build': Pair(value='py*', position=26, quoted=False)}
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kaa.models.invalid_text import InvalidText
from kaa.models.pattern import Pattern

_KEY = Pattern(r"\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*")
_UNQUOTED = Pattern(r"[^\s,\"'\[\]]+")
_BETWEEN = Pattern(r"\s*,\s*|\s+|$")
_PLAIN = Pattern(r"[A-Za-z0-9_.+*:/!%@-]+", re.ASCII)


class InvalidMatchSpec(InvalidText):
    """A text that is not a match spec; credentials in it are drawn as stars."""

    conda_name = "InvalidMatchSpec"
    noun = "spec"


class Pair(NamedTuple):
    """The value of a key, and where it stands."""

    value: str
    position: int
    quoted: bool


def closing_bracket(text: str, opening: int, end: int) -> int:
    """Where the bracket that opens here is closed."""
    depth = 0
    position = opening
    while position < end:
        character = text[position]
        if character in "\"'":
            position = closing_quote(text, position, end)
        depth += (character == "[") - (character == "]")
        if depth == 0:
            return position
        position += 1
    raise InvalidMatchSpec(text, opening, "this '[' is never closed")


def closing_quote(text: str, opening: int, end: int) -> int:
    """Where the quote that opens here is closed; a backslash protects the next character."""
    position = opening + 1
    while position < end:
        if text[position] == text[opening]:
            return position
        position += 2 if text[position] == "\\" else 1
    raise InvalidMatchSpec(text, opening, "this quote is never closed")


def read_pairs(text: str, opening: int, end: int) -> dict[str, Pair]:
    """The pairs between the bracket that opens here and the one just before `end`."""
    pairs: dict[str, Pair] = {}
    last = end - 1
    position = opening + 1
    while text[position:last].strip():
        key = _KEY.match(text, position, last)
        if key is None:
            raise _no_key(text, position, last)
        pair, position = _read_value(text, key.end(), last)
        if not pair.value.strip():
            raise InvalidMatchSpec(text, key.start(1), f"{key[1]!r} has no value")
        if key[1] in pairs:
            raise InvalidMatchSpec(text, key.start(1), f"{key[1]!r} is given twice")
        pairs[key[1]] = pair
        between = _BETWEEN.match(text, position, last)
        if between is None:
            raise InvalidMatchSpec(text, position, "a comma is expected here", hints=_QUOTE_HINT)
        position = between.end()
        if "," in between[0] and position >= last:
            raise InvalidMatchSpec(text, between.start(), "nothing follows this comma")
    return pairs


_QUOTE_HINT = ("put a value in quotes if it holds a space, a comma, '=', '[' or ']'",)


def _no_key(text: str, position: int, last: int) -> InvalidMatchSpec:
    while text[position].isspace():
        position += 1
    hints = ("write extras='name' for optional dependencies",) if text[position:last].isidentifier() else _QUOTE_HINT
    return InvalidMatchSpec(text, position, "key=value is expected here", hints=hints)


def _read_value(text: str, position: int, last: int) -> tuple[Pair, int]:
    """The value that begins here, and where it ends."""
    character = text[position : position + 1]
    if position >= last:
        return Pair("", position, False), position
    if character in "\"'":
        closing = closing_quote(text, position, last)
        return Pair(unquote(text[position + 1 : closing]), position + 1, True), closing + 1
    if character == "[":
        closing = closing_bracket(text, position, last)
        return Pair(text[position : closing + 1], position, False), closing + 1
    unquoted = _UNQUOTED.match(text, position, last)
    if unquoted is None:
        return Pair("", position, False), position
    return Pair(unquoted[0], position, False), unquoted.end()


def unquote(text: str) -> str:
    r"""The text between quotes: a backslash counts before a quote or a backslash, and stands for itself elsewhere.

    >>> unquote(r"^1\.8\\d$"), unquote(r"it\'s")
    ('^1\\.8\\d$', "it's")
    """
    return re.sub(r"\\([\\\"'])", r"\1", text)


def quote(text: str, *, always: bool = False) -> str:
    r"""The text as a value: in quotes if it needs them.

    >>> quote("py3*"), quote(">=1,<2"), quote("it's"), quote("a\\b")
    ('py3*', "'>=1,<2'", '"it\'s"', "'a\\\\b'")
    """
    if not always and _PLAIN.fullmatch(text):
        return text
    mark = '"' if "'" in text and '"' not in text else "'"
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


def read_list(text: str, pair: Pair) -> list[str]:
    """One item, or a flow list of items as in YAML: `[a, 'b']`."""
    value = pair.value.strip()
    if not value.startswith("["):
        return [value]
    if not value.endswith("]"):
        raise InvalidMatchSpec(text, pair.position, "a list goes from '[' to ']'")
    items = [_bare_item(item) for item in value[1:-1].split(",")]
    if not all(items):
        raise InvalidMatchSpec(text, pair.position, "an item of this list is empty")
    return items


def _bare_item(item: str) -> str:
    item = item.strip()
    if len(item) > 1 and item[0] == item[-1] and item[0] in "\"'":
        return item[1:-1].strip()
    return item
