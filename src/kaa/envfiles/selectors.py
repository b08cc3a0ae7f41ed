"""Platform selectors at the ends of lines: `- gcc  # [linux64 or (osx and not arm64)]`, as conda-build has them.

A line whose selector does not hold for a platform is not there. Names: the systems (`linux`, `osx`, `win`, `unix`),
those with the width or the processor (`linux64`, `osx64`, `win32`, …), processors (`x86_64`, `aarch64`, `arm64`, …).
Brackets in which none of these stands (`# [optional]`) are a comment like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kaa.envfiles.spec import InvalidEnvironmentFile
from kaa.models.pattern import Pattern
from kaa.models.subdir import KNOWN_SUBDIRS, NOARCH, operating_system

_LINE = Pattern(r"(?P<before>.*?)[ \t]*#[ \t]*\[(?P<expression>[^\[\]]*)\][ \t]*")
_TOKEN = Pattern(r"[ \t]*(?P<token>[A-Za-z_][A-Za-z0-9_-]*|[()])")
_WORD = Pattern(r"[A-Za-z0-9_-]+")
_WORDS = ("and", "or", "not", "(", ")")


def select_lines(text: str, subdir: str, filename: str = "") -> str:
    """The text with the lines emptied that are not for `subdir`; raises InvalidEnvironmentFile.

    >>> select_lines("- a  # [win]\\n- b  # [linux and x86_64]", "linux-64")
    '\\n- b'
    """
    if "[" not in text or "#" not in text:
        return text
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        match = _LINE.fullmatch(line.rstrip("\r"))
        # A comment of its own selects nothing.
        if match is None or not match["before"].strip() or not _is_selector(match["before"], match["expression"]):
            lines.append(line)
        elif holds(match["expression"], subdir, filename, number):
            lines.append(match["before"])
        else:
            lines.append("")
    return "\n".join(lines)


def _is_selector(before: str, expression: str) -> bool:
    """Whether a comment can begin behind this text, and brackets with this content are meant to select."""
    in_quotes = before.count("'") % 2 == 1 or before.count('"') % 2 == 1
    return not in_quotes and any(word in _NAMES for word in _WORD.findall(expression))


def holds(expression: str, subdir: str, filename: str = "", line: int | None = None) -> bool:
    """Whether a selector holds for a platform; raises InvalidEnvironmentFile."""
    return _Evaluation(expression, names_of(subdir), filename, line).value()


def names_of(subdir: str) -> frozenset[str]:
    """The names that hold for a platform."""
    system = operating_system(subdir)
    _, _, processor = subdir.partition("-")
    machine = {"64": "x86_64", "32": "x86"}.get(processor, processor)
    names = {system, machine, subdir, subdir.replace("-", "_")}
    if system in ("linux", "osx"):
        names.add("unix")
    if processor in ("64", "32"):
        names |= {f"{system}{processor}", "x86"}
    if machine == "aarch64":
        names.add("arm64")
    return frozenset(names)


_NAMES = frozenset(name for subdir in KNOWN_SUBDIRS if subdir != NOARCH for name in names_of(subdir)) | {"unix"}


class _Evaluation:
    """One expression of names, `and`, `or`, `not` and brackets, read from left to right."""

    def __init__(self, expression: str, true: frozenset[str], filename: str, line: int | None) -> None:
        self._expression = expression
        self._true = true
        self._filename = filename
        self._line = line
        self._tokens: Sequence[str] = tuple(self._split())
        self._at = 0

    def value(self) -> bool:
        answer = self._either()
        if self._at < len(self._tokens):
            raise self._error(f"{self._tokens[self._at]!r} is not expected there")
        return answer

    def _error(self, reason: str) -> InvalidEnvironmentFile:
        return InvalidEnvironmentFile(
            self._filename,
            f"the selector [{self._expression}] cannot be understood: {reason}",
            line=self._line,
            hints=("write it with names like linux64, osx, win, unix, arm64, and with and, or, not and brackets",),
        )

    def _split(self) -> Iterator[str]:
        at = 0
        text = self._expression.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self._error(f"{text[at:].strip()[:1]!r} has no meaning in it")
            yield match["token"]
            at = match.end()

    def _next(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _either(self) -> bool:
        answer = self._both()
        while self._next() == "or":
            self._at += 1
            answer = self._both() or answer
        return answer

    def _both(self) -> bool:
        answer = self._one()
        while self._next() == "and":
            self._at += 1
            answer = self._one() and answer
        return answer

    def _one(self) -> bool:
        token = self._next()
        self._at += 1
        if token == "not":
            return not self._one()
        if token == "(":
            answer = self._either()
            if self._next() != ")":
                raise self._error("a bracket is not closed")
            self._at += 1
            return answer
        if token is None or token in _WORDS:
            raise self._error("a name is missing" if token is None else f"{token!r} is not expected there")
        if token not in _NAMES:
            raise self._error(f"{token!r} is the name of no platform")
        return token in self._true
