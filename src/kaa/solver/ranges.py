"""Version ranges as pairs of byte strings, so that finding the versions of a range is bisection in plain bytes.

A version's key (`kaa.models.version`) is packed so that packed keys compare as the keys do: they are kept with the
columns of a name, and no version has to be parsed to find out which candidates a dependency admits.

>>> ranges = Ranges()
>>> low, high = ranges.bounds(">=1.8,<2")
>>> [low <= pack_key(Version(text).key) < high for text in ("1.7.9", "1.8", "1.10", "2.0rc1", "2")]
[False, True, True, True, False]
"""

from __future__ import annotations

import re

from kaa.models.string_match import StringMatch
from kaa.models.version import END, FIRST_NUMBER, POSITIVE, Key, Version
from kaa.models.version_spec import HIGHEST, LOWEST, VersionSpec, fuzzy_bounds

CLAUSE = re.compile(r"([<>]=?|==?|)([0-9][0-9a-z._]*?)(\.\*|\*)?")

NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})*")

BEYOND = b"\xff"


def pack_key(key: Key) -> bytes:
    """The key as bytes that compare as the key does."""
    packed = bytearray()
    for part in key:
        if isinstance(part, int):
            packed += SMALL[part] if 0 <= part < 256 else pack_number(part)
        elif isinstance(part, str):
            # One up, so that every character is above the end of the text.
            packed += bytes(code + 1 for code in part.encode("ascii"))
            packed.append(0)
        else:
            packed += BEYOND
    return bytes(packed)


def pack_number(number: int) -> bytes:
    """Length first, so that longer is larger; negative numbers count down from the middle."""
    length = (abs(number).bit_length() + 7) // 8
    if number >= 0:
        return bytes((0x80 + length,)) + number.to_bytes(length, "big")
    return bytes((0x80 - length,)) + ((1 << (8 * length)) + number).to_bytes(length, "big")


SMALL = [pack_number(number) for number in range(256)]
ZERO = SMALL[0]
NO_EPOCH = pack_key((0,))
NO_LOCAL = pack_key((END, END))
LOWEST_PACKED = pack_key(LOWEST)
HIGHEST_PACKED = pack_key(HIGHEST)
EVERYTHING = (LOWEST_PACKED, HIGHEST_PACKED)


def pack_version(text: str, known: dict[str, bytes]) -> bytes:
    """The packed key of a version, raises InvalidVersion; `known` keeps the parts of versions made of numbers only.

    Those are nearly all, and their key needs no parsing (`kaa.models.version.encode` says what it is).
    """
    if NUMBERS.fullmatch(text) is None:
        return pack_key(Version(text).key)
    packed = [NO_EPOCH]
    zeros = 0
    for part in text.split("."):
        found = known.get(part)
        if found is None:
            number = int(part)
            found = known[part] = pack_key((3 * number + (FIRST_NUMBER + 1),)) if number else b""
        if not found:
            zeros += 1
            continue
        if zeros:
            packed.append(pack_key((POSITIVE, -zeros)))
            zeros = 0
        packed.append(found)
    packed.append(NO_LOCAL)
    return b"".join(packed)


class Ranges:
    """What version ranges (and patterns for build strings) mean, each worked out once."""

    __slots__ = ("_clauses", "_keys", "_patterns", "_ranges")

    def __init__(self) -> None:
        self._ranges: dict[str, tuple[bytes, ...] | None] = {}
        self._clauses: dict[str, tuple[bytes, ...] | None] = {}
        self._keys: dict[str, bytes] = {}
        self._patterns: dict[str, StringMatch] = {}

    def pattern(self, text: str) -> StringMatch:
        """What a build string has to be."""
        pattern = self._patterns.get(text)
        if pattern is None:
            pattern = self._patterns[text] = StringMatch(text)
        return pattern

    def bounds(self, text: str) -> tuple[bytes, ...] | None:
        """Where matching begins and ends, in turn; None when the texts of versions count. Raises InvalidVersionSpec."""
        try:
            return self._ranges[text]
        except KeyError:
            pass
        found = pack_bounds(VersionSpec(text)) if "|" in text or "(" in text else self._all_of(text)
        self._ranges[text] = found
        return found

    def _all_of(self, text: str) -> tuple[bytes, ...] | None:
        """The stretch in which all clauses meet."""
        low, high = LOWEST_PACKED, HIGHEST_PACKED
        for clause in text.split(","):
            bounds = self._clause(clause)
            if bounds is None or len(bounds) != 2:
                # A hole, or a pattern: for the whole text to work out.
                return pack_bounds(VersionSpec(text))
            low = max(low, bounds[0])
            high = min(high, bounds[1])
        return (low, high) if low < high else ()

    def _clause(self, text: str) -> tuple[bytes, ...] | None:
        try:
            return self._clauses[text]
        except KeyError:
            pass
        match = CLAUSE.fullmatch(text)
        found = pack_bounds(VersionSpec(text)) if match is None else self._simple(text, *match.groups())
        self._clauses[text] = found
        return found

    def _simple(self, text: str, operator: str, literal: str, star: str | None) -> tuple[bytes, ...] | None:
        if operator in ("", "=") and (star or operator):
            return tuple(map(pack_key, fuzzy_bounds(Version(literal))))
        if star:
            return pack_bounds(VersionSpec(text))
        key = self._keys.get(literal)
        if key is None:
            key = self._keys[literal] = pack_key(Version(literal).key)
        match operator:
            case ">=":
                return key, HIGHEST_PACKED
            case "<":
                return LOWEST_PACKED, key
            case ">":
                return key + ZERO, HIGHEST_PACKED
            case "<=":
                return LOWEST_PACKED, key + ZERO
        return key, key + ZERO


def pack_bounds(spec: VersionSpec) -> tuple[bytes, ...] | None:
    """The packed bounds of a range."""
    bounds = spec.bounds
    return None if bounds is None else tuple(map(pack_key, bounds))
