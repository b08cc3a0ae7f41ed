"""Machine-written YAML: read with every scalar as the text that stands there, written with quotes where needed.

Lock files are long, so a parser in C reads them. `1.10` stays `1.10`: what is a number is for whoever knows the field.
"""

from __future__ import annotations

import re
from typing import cast

import yaml

from kaa.envfiles.lock import InvalidLock
from kaa.models.pattern import Pattern

_NESTED = Pattern(r"(?:[-?:][ \t]+){40}|^[ ]{400}|(?:[-?:]\n[ ]*){40}", re.MULTILINE)
_BRACKET = Pattern(r"[\[\]{}]")
DEEPEST = 40
_PLAIN = Pattern(r"[A-Za-z0-9_/.][A-Za-z0-9_/.+=<>!*,()@~^ |%$-]*(?::[A-Za-z0-9_/.+=<>!*,()@~^|%$#-]+)*")
_TYPED = Pattern(
    r"(?:y|n|yes|no|on|off|true|false|null|~|<<|=)|[-+]?(?:[0-9][0-9_]*)?(?:\.[0-9_]*)?(?:e[-+]?[0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|0[xob][0-9a-f_]+|[-+]?\.(?:inf|nan)"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*",
    re.IGNORECASE,
)


def parse_yaml(text: str, filename: str) -> object:
    """The document as maps, lists and texts; raises InvalidLock.

    Aliases of maps and lists, with which a small file can stand for a huge one, are refused: no program writes them
    here.
    """
    if _NESTED.search(text) or _depth(text) > DEEPEST:
        # The parser in C does not survive this.
        raise InvalidLock(filename, "", "it is nested deeper than any lock file")
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        document = cast(object, yaml.load(text.removeprefix("\ufeff"), Loader=loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}" if mark else ""
        reason = " ".join(str(error.problem or error.context or "").split())
        raise InvalidLock(filename, where, f"no valid YAML: {reason}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidLock(filename, "", f"no valid YAML: {' '.join(str(error).split())}") from error
    if "&" in text and _has_alias(document):
        raise InvalidLock(filename, "", "anchors and aliases have no place in a lock file")
    return document


def _has_alias(document: object) -> bool:
    """Whether a map or list stands in more than one place."""
    seen: set[int] = set()
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            if id(value) in seen:
                return True
            seen.add(id(value))
            waiting += value.values() if isinstance(value, dict) else value
    return False


def _depth(text: str) -> int:
    """How deep brackets are nested, those within texts included."""
    depth = deepest = 0
    for match in _BRACKET.finditer(text):
        depth = depth + 1 if match[0] in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def scalar(text: str) -> str:
    """A text as YAML that every reader takes for that text."""
    if _PLAIN.fullmatch(text) and not _TYPED.fullmatch(text) and text == text.strip():
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
