"""Version literals and their order (CEP 33).

A version is a text and a key. The key is one flat tuple, made once when it is first needed, so that comparing two
versions is comparing two tuples. Tuple order is the order of CEP 33, where missing parts count as 0:

    key      = epoch, segments, local
    segments = one entry for each segment that is not 0, then an end mark
    entry    = NEGATIVE, zeros, word, parts         the segment is below 0; it follows that many segments equal to 0
             | POSITIVE, -zeros, number, parts      the segment is above 0; it follows that many, at least one
             | number, parts                        the segment is above 0 and follows directly
    parts    = nothing when the segment ends | word, number, parts
    number   = 3 * value + 3, plus 1 when the segment ends here, plus 2 when `post` follows (it has no word)
    word     = the letters; empty for `dev`
    local    = the mark END (none or 0) | a mark below or above it, then segments and END

>>> Version("1.1.0") == Version("1.1")
True
>>> Version("1.1rc1") < Version("1.1") < Version("1.1.post1") < Version("1.1.1") < Version("1.1post1")
True
"""

from __future__ import annotations

import re
from typing import TypeAlias

from kaa.models.invalid_text import InvalidText
from kaa.models.pattern import Pattern

Key: TypeAlias = tuple[int | str | float, ...]
Segment: TypeAlias = tuple[int | str, ...]

LARGEST_NUMBER = 2**31 - 1
LARGEST_BOUND = 2**63 - 1
MOST_DIGITS = 19

NEGATIVE = -2
LOCAL_BELOW = -1
END = 0
LOCAL_ABOVE = 1
POSITIVE = 2
FIRST_NUMBER = 3

_PLAIN = Pattern(r"[0-9]{1,9}(?:\.[0-9]{1,9})*", re.ASCII)
_LITERAL = Pattern(
    r"(?:[0-9]+!)?[0-9a-z]+(?:[._][0-9a-z]+)*(?:[._]?_)?(?:\+[0-9a-z]+(?:[._][0-9a-z]+)*)?", re.ASCII | re.IGNORECASE
)
_LITERAL_WITH_DASHES = Pattern(
    r"(?:[0-9]+!)?[0-9a-z]+(?:[.-][0-9a-z]+)*(?:[.-]?-)?(?:\+[0-9a-z]+(?:[.-][0-9a-z]+)*)?", re.ASCII | re.IGNORECASE
)
_RUN = Pattern(r"[0-9]+|[^0-9]+", re.ASCII)
_LONG_RUN = Pattern(r"[0-9]{10,}", re.ASCII)
_FORBIDDEN = Pattern(r"[^0-9A-Za-z._+!-]")


class InvalidVersion(InvalidText):
    """A text that is not a version literal."""

    conda_name = "InvalidVersionSpec"
    noun = "version"


class Version:
    """A version literal: ordered and hashed by meaning, printed as it was spelled.

    `key` is the flat tuple by which versions compare; it is worth using directly where many are sorted.
    """

    __slots__ = ("key", "text")

    text: str
    key: Key

    def __init__(self, text: str) -> None:
        if _PLAIN.fullmatch(text) is None:
            check_version(text)
        self.text = text

    def __getattr__(self, name: str) -> Key:
        # The slot `key` is empty until somebody compares: an empty slot ends up here, once.
        if name != "key":
            raise AttributeError(f"'Version' object has no attribute {name!r}")
        self.key = key = _key_of(self.text)
        return key

    @property
    def epoch(self) -> int:
        """The number before `!`, or 0."""
        return split_version(self.text)[0]

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments of the main part, each one numbers and words in turn, beginning with a number.

        >>> Version("1!2.15rc1").segments
        ((2,), (15, 'rc', 1))
        """
        return tuple(map(split_segment, split_version(self.text)[1]))

    @property
    def local(self) -> tuple[Segment, ...]:
        """The segments after `+`."""
        return tuple(map(split_segment, split_version(self.text)[2]))

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not Version:
            return NotImplemented
        return self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __lt__(self, other: Version) -> bool:
        try:
            return self.key < other.key
        except AttributeError:
            return NotImplemented

    def __le__(self, other: Version) -> bool:
        try:
            return self.key <= other.key
        except AttributeError:
            return NotImplemented

    def __gt__(self, other: Version) -> bool:
        try:
            return self.key > other.key
        except AttributeError:
            return NotImplemented

    def __ge__(self, other: Version) -> bool:
        try:
            return self.key >= other.key
        except AttributeError:
            return NotImplemented

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Version({self.text!r})"

    def __reduce__(self) -> tuple[type[Version], tuple[str]]:
        return Version, (self.text,)


def check_version(text: str, *, largest: int = LARGEST_NUMBER) -> None:
    """Raise `InvalidVersion` if the text is not a version literal."""
    if (_LITERAL.fullmatch(text) or _LITERAL_WITH_DASHES.fullmatch(text)) is None:
        raise _explained(text)
    for run in _LONG_RUN.finditer(text):
        # Leading zeros do not count; int() of a text of any length is never asked for.
        digits = run[0].lstrip("0")
        if len(digits) > MOST_DIGITS or int(digits or "0") > largest:
            raise InvalidVersion(text, run.start(), f"a number in a version is at most {largest}")


def bounding_version(text: str) -> Version:
    """A version to compare with, as ranges name them: real ones hold larger numbers than versions may."""
    check_version(text, largest=LARGEST_BOUND)
    version = Version.__new__(Version)
    version.text = text
    return version


def encode(segments: list[str]) -> list[int | str]:
    """The part of the key for these segments, without its end mark."""
    key: list[int | str] = []
    zeros = 0
    for text in segments:
        if text.isdigit():
            number = int(text)
            if number == 0:
                zeros += 1
            elif zeros == 0:
                key.append(3 * number + (FIRST_NUMBER + 1))
            else:
                key += (POSITIVE, -zeros, 3 * number + (FIRST_NUMBER + 1))
                zeros = 0
        else:
            key += begin_entry(zeros, encode_segment(split_segment(text)))
            zeros = 0
    return key


def encode_segment(segment: Segment) -> list[int | str]:
    """Numbers and words of one segment; a 0 at its end does not count."""
    entry: list[int | str] = []
    code = FIRST_NUMBER
    for part in segment:
        if part.__class__ is int:
            code = 3 * part + FIRST_NUMBER
        elif part == "post":
            entry.append(code + 2)
            code = FIRST_NUMBER
        else:
            entry += (code, "" if part == "dev" else part)
            code = FIRST_NUMBER
    entry.append(code + 1)
    return entry


def begin_entry(zeros: int, entry: list[int | str]) -> list[int | str]:
    """The entry of a segment that is not 0, after that many segments equal to 0."""
    if entry[0] == FIRST_NUMBER:
        return [NEGATIVE, zeros, *entry[1:]]
    return [POSITIVE, -zeros, *entry] if zeros else entry


def split_version(text: str) -> tuple[int, list[str], list[str]]:
    """Epoch, segments of the main part and of the local part of a valid version text, as texts."""
    text = text.lower().replace("-", "_")
    epoch, _, rest = text.rpartition("!")
    main, _, local = rest.partition("+")
    if main[-1] == "_":
        # The trailing underscore belongs to the last segment (openssl's 1.1.1_ is below 1.1.1a).
        segments = main[:-1].replace("_", ".").split(".")
        segments[-1] += "_"
    else:
        segments = main.replace("_", ".").split(".")
    return int(epoch or "0"), segments, local.replace("_", ".").split(".") if local else []


def split_segment(text: str) -> Segment:
    """Numbers and words in turn, beginning with a number."""
    runs = [int(run) if run.isdigit() else run for run in _RUN.findall(text)]
    return tuple(runs) if isinstance(runs[0], int) else (0, *runs)


def join_key(epoch: int, main: list[int | str], local: list[int | str]) -> Key:
    """The key, of its encoded parts."""
    if not local:
        return (epoch, *main, END, END)
    return (epoch, *main, END, LOCAL_BELOW if local[0] == NEGATIVE else LOCAL_ABOVE, *local, END)


def _key_of(text: str) -> Key:
    epoch, main, local = split_version(text)
    return join_key(epoch, encode(main), encode(local))


def _explained(text: str) -> InvalidVersion:
    """What is wrong with a text that is not a version literal, and where."""
    position, reason, hints = _first_fault(text)
    return InvalidVersion(text, position, reason, hints=hints)


def _first_fault(text: str) -> tuple[int, str, tuple[str, ...]]:
    if not text:
        return 0, "a version has at least one character", ()
    forbidden = _FORBIDDEN.search(text)
    if forbidden is not None:
        what = "a space" if forbidden[0].isspace() else repr(forbidden[0])
        hints = ("write a version range where a range is expected; this is one exact version",)
        return forbidden.start(), f"{what} cannot stand in a version", hints if forbidden[0] in "*<>=,|~" else ()
    if "-" in text and "_" in text:
        second = text.index("_") if text.index("-") < text.index("_") else text.index("-")
        return second, "a version holds '-' or '_', not both", ()
    for mark, what in (("!", "an epoch"), ("+", "a local part")):
        if text.count(mark) > 1:
            return text.index(mark, text.index(mark) + 1), f"a version has at most one {mark!r}, for {what}", ()
    epoch, mark, _ = text.partition("!")
    if mark and not epoch.isdigit():
        return 0, "the epoch, before '!', is a number", ()
    return _empty_segment(text), "a part of the version is empty here", ()


def _empty_segment(text: str) -> int:
    """Where a segment is missing: nothing between two separators, or at either end of the main or the local part."""
    start = text.find("!") + 1
    plus = text.find("+", start)
    for begin, end in ((start, plus), (plus + 1, len(text))) if plus >= 0 else ((start, len(text)),):
        expects = True
        for position in range(begin, end):
            separator = text[position] in "._-"
            if separator and expects:
                return position
            expects = separator
        if expects:
            break
    return end
