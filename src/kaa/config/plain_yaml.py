"""The plain part of YAML 1.2 that nearly every condarc file keeps to, read without a YAML library.

Accepted: top-level `key: scalar`, and `key:` with a block list or a block map of scalars; comments; plain scalars that
no rule of YAML could read otherwise, and quoted ones without escapes. For all else `parse_plain` answers None and the
caller asks a real YAML reader: it may be narrow, never wrong. A property test compares the two.
"""

from __future__ import annotations

import re

from kaa.models.pattern import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

Scalar: TypeAlias = "str | int | float | bool | None"
Value: TypeAlias = "Scalar | list[Scalar] | dict[str, Scalar]"
Plain: TypeAlias = "dict[str, tuple[Value, int, str, dict[int | str, str]]]"
"""Key → value, its line (from 1), the comment behind the key, the comments behind items by position or key."""

_PRINTABLE = Pattern(r"[\n\x20-\x7e]*\Z")
_KEY = Pattern(r"(?P<indent> *)(?P<key>[A-Za-z_][A-Za-z0-9_./-]*):(?: +(?P<rest>.*))?\Z")
_ITEM = Pattern(r"(?P<indent> *)- +(?P<rest>.*)\Z")
_SCALAR = Pattern(
    r"""
    (?P<text> '[^'\\]*' | "[^"\\]*"
            | [A-Za-z_/~$(.0-9] (?: [^\ '"#\\:] | :(?=[^\ ]) | \ +(?=[^\ \#]) )* )
    (?: \ +(?P<comment>\#.*) )? \ *\Z
    """,
    re.VERBOSE,
)
_INTEGER = Pattern(r"(?:0|[1-9][0-9]*)\Z")
_FLOAT = Pattern(r"[0-9]+\.[0-9]+\Z")
_AGE = Pattern(r"[0-9]+[dhmsw]\Z")
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~"), None),
}


class _NotPlain(Exception):
    pass


def parse_plain(text: str) -> Plain | None:
    """The keys of a file that keeps to the plain part of YAML, or None."""
    if not _PRINTABLE.match(text):
        return None
    try:
        return _parse(text)
    except _NotPlain:
        return None


def _parse(text: str) -> Plain:
    lines = [
        (number, line)
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    found: Plain = {}
    at = 0
    while at < len(lines):
        number, line = lines[at]
        indent, key, rest = _pair(line)
        if indent or key in found:
            raise _NotPlain
        end = at + 1
        while end < len(lines) and lines[end][1].startswith((" ", "- ")):
            end += 1
        block = [inner for _, inner in lines[at + 1 : end]]
        if rest and not rest.startswith("#"):
            if block:
                raise _NotPlain
            value, comment = _scalar(rest)
            found[key] = (value, number, comment, {})
        else:
            inner_value, comments = _block(block)
            found[key] = (inner_value, number, rest, comments)
        at = end
    return found


def _pair(line: str) -> tuple[int, str, str]:
    match = _KEY.match(line)
    if match is None or match["key"] in _CONSTANTS:
        raise _NotPlain
    return len(match["indent"]), match["key"], (match["rest"] or "").strip()


def _block(lines: list[str]) -> tuple[Value, dict[int | str, str]]:
    """What stands below a key: a list, a map, or nothing."""
    if not lines:
        return None, {}
    comments: dict[int | str, str] = {}
    if lines[0].lstrip().startswith("- "):
        items: list[Scalar] = []
        indents = set()
        for line in lines:
            match = _ITEM.match(line)
            if match is None:
                raise _NotPlain
            indents.add(len(match["indent"]))
            value, comment = _scalar(match["rest"])
            if comment:
                comments[len(items)] = comment
            items.append(value)
        if len(indents) != 1:
            raise _NotPlain
        return items, comments
    pairs: dict[str, Scalar] = {}
    indents = set()
    for line in lines:
        indent, key, rest = _pair(line)
        indents.add(indent)
        if key in pairs or not rest:
            raise _NotPlain
        value, comment = _scalar(rest)
        if comment:
            comments[key] = comment
        pairs[key] = value
    if len(indents) != 1:
        raise _NotPlain
    return pairs, comments


def _scalar(text: str) -> tuple[Scalar, str]:
    match = _SCALAR.match(text)
    if match is None:
        raise _NotPlain
    word, comment = match["text"], match["comment"] or ""
    if word[0] in "'\"":
        return word[1:-1], comment
    if word in _CONSTANTS:
        return _CONSTANTS[word], comment
    if word[0] in "0123456789":
        if _INTEGER.match(word):
            return int(word), comment
        if _FLOAT.match(word):
            return float(word), comment
        if _AGE.match(word):
            return word, comment
        # Dates, times, other bases, exponents: the real reader knows.
        raise _NotPlain
    if word[0] == "." and not word.startswith(("./", "../")):
        raise _NotPlain
    if word.startswith("~") and not word.startswith("~/"):
        raise _NotPlain
    return word, comment
