"""Version ranges: what a spec asks of a version (CEP 29).

Clauses are joined by `,` (and) and `|` (or, which binds less), and grouped by parentheses. All clauses but globs and
regular expressions are stretches of the order of versions; so are all combinations of them. A range therefore compiles
into `bounds`, one sorted tuple of keys, and matching is one bisection.

Where CEP 29 and practice differ: `!=1.8` refuses 1.8 alone (as conda and rattler do), `!=1.8.*` and `!=1.8*` refuse all
of 1.8. A star after `<`, `<=`, `>`, `>=` or `==` is dropped; `find_doubt` names such texts, for those who want to
refuse what does not mean what it seems to.

>>> VersionSpec(">=1.8,<2|==0.9").matches("1.9.1")
True
>>> VersionSpec("1.8.*")
VersionSpec('=1.8')
"""

from __future__ import annotations

import math
import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from kaa.models.invalid_text import InvalidText
from kaa.models.pattern import Pattern
from kaa.models.regex import InvalidRegex
from kaa.models.string_match import StringMatch
from kaa.models.version import (
    FIRST_NUMBER,
    NEGATIVE,
    POSITIVE,
    InvalidVersion,
    Key,
    Segment,
    Version,
    begin_entry,
    bounding_version,
    encode,
    encode_segment,
    join_key,
    split_segment,
    split_version,
)

Bounds: TypeAlias = tuple[Key, ...]

LOWEST: Key = (-1,)
HIGHEST: Key = (math.inf,)
EVERYTHING: Bounds = (LOWEST, HIGHEST)
NOTHING: Bounds = ()

DEEPEST_GROUP = 30

_LITERAL = r"(?:[0-9]+!)?[0-9a-z]+(?:[._][0-9a-z]+)*_?(?:\+[0-9a-z]+(?:[._][0-9a-z]+)*)?"
_OPERATED = rf"(?:[<>]=?|==?|!=){_LITERAL}"
_CANONICAL = Pattern(rf"{_OPERATED}(?:[,|]{_OPERATED})*", re.ASCII)
_BARE = Pattern(rf"({_LITERAL})(\.?\*)?", re.ASCII)
_RANGE = Pattern(rf">=({_LITERAL})(?:,<({_LITERAL}))?", re.ASCII)
_LONG_RUN = Pattern(r"[0-9]{10}", re.ASCII)

_CLAUSE = Pattern(r"(?P<operator>[=<>!~]*)(?P<rest>.*)", re.DOTALL)
_STARS = Pattern(r"(?:\.\*)+$|\*$")
_GLOB = Pattern(r"[0-9A-Za-z._+!*-]*")
_OPERATORS = {"", "=", "==", "!=", "<", "<=", ">", ">=", "~="}
_REGEX_END = Pattern(r"\$(?=\s*(?:[,|)]|$))")

_key = operator.attrgetter("key")


class InvalidVersionSpec(InvalidText):
    """A text that is not a version range."""

    conda_name = "InvalidVersionSpec"
    noun = "version range"


class Doubt(NamedTuple):
    """A clause that is taken for something else than it says."""

    position: int
    reason: str
    hint: str


class VersionSpec:
    """What is asked of a version; equal when the canonical texts are.

    `bounds` are the keys (`Version.key`) at which matching begins and ends, in turn: a version matches when an odd
    number of bounds is not above its key. It is None when the text of a version counts (globs, regular expressions).
    """

    __slots__ = ("_tree", "bounds", "text")

    text: str
    bounds: Bounds | None
    _tree: Tree

    def __init__(self, text: str) -> None:
        if _LONG_RUN.search(text) is None:
            if _CANONICAL.fullmatch(text):
                # Certainly valid; compiled when it is first asked.
                self.text = text
                return
            bare = _BARE.fullmatch(text)
            if bare is not None:
                self.text = ("=" if bare[2] else "==") + bare[1]
                return
        self._tree = _Parser(text).parse()
        self.text = str(self._tree)

    def __getattr__(self, name: str) -> Bounds | Tree | None:
        # The slots `bounds` and `_tree` are empty until they are needed.
        if name == "bounds":
            self.bounds = bounds = _bounds_of_range(self.text) or self._tree.bounds()
            return bounds
        if name == "_tree":
            self._tree = tree = _Parser(self.text).parse()
            return tree
        raise AttributeError(f"'VersionSpec' object has no attribute {name!r}")

    def matches(self, version: Version | str) -> bool:
        """Whether the version is one of those asked for."""
        if version.__class__ is str:
            version = Version(version)
        bounds = self.bounds
        if bounds is None:
            return self._tree.matches(version)  # type: ignore[arg-type]
        return bisect_right(bounds, version.key) % 2 == 1  # type: ignore[union-attr]

    def intervals(self, versions: Sequence[Version]) -> list[tuple[int, int]]:
        """The half-open ranges of places that match, of distinct versions in ascending order."""
        found: list[tuple[int, int]] = []
        if self.bounds is None:
            matching = [place for place, version in enumerate(versions) if self._tree.matches(version)]
            ranges = [(place, place + 1) for place in matching]
        else:
            places = [bisect_left(versions, bound, key=_key) for bound in self.bounds]
            ranges = list(zip(places[::2], places[1::2], strict=True))
        for start, end in ranges:
            if found and found[-1][1] == start:
                start = found.pop()[0]
            if start < end:
                found.append((start, end))
        return found

    @property
    def exact(self) -> Version | None:
        """The version, when this is one exact version and nothing else."""
        clause = self._tree
        return clause.version if isinstance(clause, Clause) and clause.operator == "==" else None

    @property
    def single(self) -> str | None:
        """The operator, when this is one comparison with one version: `==`, `=`, `!=`, `!=.*`, `~=`, `<` and so on."""
        return self._tree.operator if isinstance(self._tree, Clause) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VersionSpec) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"VersionSpec({self.text!r})"

    def __reduce__(self) -> tuple[type[VersionSpec], tuple[str]]:
        return VersionSpec, (self.text,)


def find_doubt(text: str) -> Doubt | None:
    """The first clause of a valid version range that is taken for something else than it says."""
    parser = _Parser(text)
    parser.parse()
    return parser.doubts[0] if parser.doubts else None


class Clause(msgspec.Struct, frozen=True):
    """An operator and a version; `=` is fuzzy, `!=.*` its opposite."""

    operator: str
    version: Version

    def __str__(self) -> str:
        if self.operator == "!=.*":
            return f"!={self.version.text}.*"
        return self.operator + self.version.text

    def bounds(self) -> Bounds:
        key = self.version.key
        match self.operator:
            case "==":
                return key, _after(key)
            case "!=":
                return LOWEST, key, _after(key), HIGHEST
            case "<":
                return LOWEST, key
            case "<=":
                return LOWEST, _after(key)
            case ">":
                return _after(key), HIGHEST
            case ">=":
                return key, HIGHEST
            case "~=":
                return key, _compatible_end(self.version)
        low, high = fuzzy_bounds(self.version)
        return (low, high) if self.operator == "=" else (LOWEST, low, high, HIGHEST)

    def matches(self, version: Version) -> bool:
        return bisect_right(self.bounds(), version.key) % 2 == 1


class Anything(msgspec.Struct, frozen=True):
    """A lone star."""

    def __str__(self) -> str:
        return "*"

    def bounds(self) -> Bounds:
        return EVERYTHING

    def matches(self, version: Version) -> bool:
        return True


class TextClause(msgspec.Struct, frozen=True):
    """A glob or a regular expression on the text of a version."""

    pattern: StringMatch
    negated: bool = False

    def __str__(self) -> str:
        return f"!={self.pattern}" if self.negated else self.pattern.text

    def bounds(self) -> None:
        return None

    def matches(self, version: Version) -> bool:
        return self.pattern.matches(version.text) != self.negated


class AllOf(msgspec.Struct, frozen=True):
    """Clauses joined by a comma."""

    parts: tuple[Tree, ...]

    def __str__(self) -> str:
        return ",".join(f"({part})" if isinstance(part, AnyOf) else str(part) for part in self.parts)

    def bounds(self) -> Bounds | None:
        return _combine(self.parts, len(self.parts))

    def matches(self, version: Version) -> bool:
        return all(part.matches(version) for part in self.parts)


class AnyOf(msgspec.Struct, frozen=True):
    """Clauses joined by a bar."""

    parts: tuple[Tree, ...]

    def __str__(self) -> str:
        return "|".join(map(str, self.parts))

    def bounds(self) -> Bounds | None:
        return _combine(self.parts, 1)

    def matches(self, version: Version) -> bool:
        return any(part.matches(version) for part in self.parts)


Tree: TypeAlias = Clause | Anything | TextClause | AllOf | AnyOf


def _bounds_of_range(text: str) -> Bounds | None:
    """The bounds of `>=a,<b` and `>=a`, which are what nearly all dependencies ask; None for other texts."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    low = bounding_version(match[1]).key
    high = HIGHEST if match[2] is None else bounding_version(match[2]).key
    return (low, high) if low < high else NOTHING


def _after(key: Key) -> Key:
    """The lowest possible key above this one."""
    return (*key, 0)


def _combine(parts: tuple[Tree, ...], needed: int) -> Bounds | None:
    """The bounds within which at least that many of the parts match; None when the text of versions counts."""
    changes: dict[Key, int] = {}
    for part in parts:
        bounds = part.bounds()
        if bounds is None:
            return None
        for place, key in enumerate(bounds):
            changes[key] = changes.get(key, 0) + (-1 if place % 2 else 1)
    combined: list[Key] = []
    depth = 0
    for key in sorted(changes):
        inside = depth >= needed
        depth += changes[key]
        if (depth >= needed) != inside:
            combined.append(key)
    return tuple(combined)


def fuzzy_bounds(version: Version) -> tuple[Key, Key]:
    """The keys between which lie the versions that begin with all parts of this one.

    They lie together: the segments before the last are equal, in the last one all parts, and then anything follows.
    """
    epoch, main, local = split_version(version.text)
    if not local:
        low, high = _prefix_bounds(main)
        return (epoch, *low), (epoch, *high)
    low, high = _prefix_bounds(local)
    # All but the last mark of the joined key, which would close the local part.
    return join_key(epoch, encode(main), low)[:-1], join_key(epoch, encode(main), high)[:-1]


def _compatible_end(version: Version) -> Key:
    """Where `~=` ends: with the versions that share all segments but the last."""
    epoch, main, _ = split_version(version.text)
    if len(main) == 1:
        return HIGHEST
    return (epoch, *_prefix_bounds(main[:-1])[1])


def _prefix_bounds(segments: list[str]) -> tuple[list[int | str], list[int | str]]:
    """Where the encoded segments begin and end that have these as a prefix (see the key of `kaa.models.version`)."""
    zeros = 0
    for text in reversed(segments[:-1]):
        if text.strip("0"):
            break
        zeros += 1
    before = encode(segments[: len(segments) - 1 - zeros])
    segment = split_segment(segments[-1])
    if segment == (0,):
        # Above all that are below 0 sooner, and below all that are above 0 at this place; `post` is after the number.
        return [*before, NEGATIVE, zeros], before + _begin_number(zeros, 1)
    if len(segment) == 1:
        number = int(segment[0])
        return before + _begin_number(zeros, number), before + _begin_number(zeros, number + 1)
    return _prefix_bounds_of_last(before, zeros, segment)


def _begin_number(zeros: int, number: int) -> list[int | str]:
    code: list[int | str] = [3 * number + FIRST_NUMBER]
    return [POSITIVE, -zeros, *code] if zeros else code


def _prefix_bounds_of_last(
    before: list[int | str], zeros: int, segment: Segment
) -> tuple[list[int | str], list[int | str]]:
    """The same for a last segment that holds words."""
    number = 0 if len(segment) % 2 == 0 else int(segment[-1])
    entry = encode_segment(segment if len(segment) % 2 == 0 else segment[:-1])
    # encode_segment closes the segment with a number 0, in whose place anything may follow.
    start = begin_entry(zeros, entry)[:-1]
    if len(segment) % 2:
        return [*before, *start, 3 * number + FIRST_NUMBER], [*before, *start, 3 * number + FIRST_NUMBER + 3]
    last = start.pop()
    return [*before, *start, last], [*before, *start, last + 1 if isinstance(last, int) else last + "\0"]


class _Parser:
    """Texts of version ranges; every fault and every doubt with its place."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.depth = 0
        self.doubts: list[Doubt] = []

    def parse(self) -> Tree:
        tree = self._any_of()
        if self.position < len(self.text):
            raise self._fault(self.position, "this ')' closes nothing")
        return tree

    def _fault(self, position: int, reason: str, *hints: str) -> InvalidVersionSpec:
        return InvalidVersionSpec(self.text, position, reason, hints=hints)

    def _skip_spaces(self) -> None:
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1

    def _any_of(self) -> Tree:
        parts = [self._all_of()]
        while self.text[self.position : self.position + 1] == "|":
            self.position += 1
            parts.append(self._all_of())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all_of(self) -> Tree:
        parts = [self._group_or_clause()]
        while self.text[self.position : self.position + 1] == ",":
            self.position += 1
            parts.append(self._group_or_clause())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _group_or_clause(self) -> Tree:
        self._skip_spaces()
        start = self.position
        if self.text[start : start + 1] != "(":
            return self._clause()
        self.position += 1
        self.depth += 1
        if self.depth > DEEPEST_GROUP:
            raise self._fault(start, "parentheses are nested too deeply")
        tree = self._any_of()
        if self.text[self.position : self.position + 1] != ")":
            raise self._fault(start, "this '(' is never closed")
        self.position += 1
        self.depth -= 1
        self._skip_spaces()
        if self.text[self.position : self.position + 1] not in ("", ",", "|", ")"):
            raise self._fault(self.position, "',', '|' or the end is expected after ')'")
        return tree

    def _clause(self) -> Tree:
        start = self.position
        if self.text[start : start + 1] == "^":
            return self._regex()
        end = start
        while end < len(self.text) and self.text[end] not in ",|()" and not self.text[end].isspace():
            end += 1
        self.position = end
        self._skip_spaces()
        if self.text[self.position : self.position + 1] not in ("", ",", "|", ")"):
            hints = ("leave out the space",) if self.position > end else ()
            raise self._fault(self.position, "',', '|' or the end is expected here", *hints)
        if start == end:
            raise self._fault(start, "a version is expected here")
        return self._clause_of(start, self.text[start:end])

    def _regex(self) -> Tree:
        start = self.position
        end = _REGEX_END.search(self.text, start)
        if end is None:
            raise self._fault(start, "a regular expression goes from '^' to '$'")
        self.position = end.end()
        self._skip_spaces()
        try:
            return TextClause(StringMatch(self.text[start : end.end()]))
        except InvalidRegex as error:
            raise self._fault(start + error.position, error.reason) from None

    def _clause_of(self, start: int, clause: str) -> Tree:
        match = _CLAUSE.match(clause)
        assert match is not None
        sign, rest = match["operator"], match["rest"]
        place = start + len(sign)
        if sign not in _OPERATORS:
            hints = {"===": "write ==", "<>": "write !="}.get(sign)
            raise self._fault(start, f"{sign!r} is not an operator", *([hints] if hints else ()))
        if not rest:
            raise self._fault(place, f"a version is expected after {sign!r}")
        if "*" not in rest:
            return self._doubted(start, Clause(sign or "==", self._version(place, rest)))
        if not rest.strip("*"):
            return self._anything(start, sign)
        literal = _STARS.sub("", rest)
        stars = rest[len(literal) :]
        if "*" in literal or (stars.count("*") > 1 and sign in ("", "!=")):
            return self._glob(start, place, sign, rest)
        return self._starred(start, sign, stars, self._version(place, literal))

    def _doubted(self, start: int, clause: Clause) -> Clause:
        if clause.operator == "~=" and len(split_version(clause.version.text)[1]) == 1:
            version = clause.version.text
            self.doubts.append(Doubt(start, "'~=' needs at least two segments", f"write >={version}"))
        return clause

    def _version(self, place: int, text: str) -> Version:
        text = text.lower()
        try:
            return Version(text)
        except InvalidVersion as error:
            fault = error
        try:
            version = bounding_version(text)
        except InvalidVersion as error:
            raise self._fault(place + error.position, error.reason) from None
        self.doubts.append(Doubt(place + fault.position, fault.reason, "write a smaller number"))
        return version

    def _anything(self, start: int, sign: str) -> Tree:
        if sign in ("!=", "<", ">"):
            raise self._fault(start, f"no version matches {sign}*")
        if sign not in ("", "="):
            self.doubts.append(Doubt(start, f"the operator {sign!r} before '*' has no meaning", "write *"))
        return Anything()

    def _glob(self, start: int, place: int, sign: str, text: str) -> Tree:
        good = _GLOB.match(text)
        assert good is not None
        if good.end() < len(text):
            raise self._fault(place + good.end(), f"{text[good.end()]!r} cannot stand in a version")
        if sign not in ("", "=", "==", "!="):
            raise self._fault(start, f"{sign!r} cannot compare with a pattern")
        if sign == "==":
            self.doubts.append(Doubt(start, "'==' before a pattern has no meaning", f"write {text}"))
        return TextClause(StringMatch(text), negated=sign == "!=")

    def _starred(self, start: int, sign: str, stars: str, version: Version) -> Clause:
        """A version followed by stars."""
        if sign in ("", "="):
            return Clause("=", version)
        if sign == "!=":
            return Clause("!=.*", version)
        if sign == "==" and stars.count("*") > 1:
            self.doubts.append(Doubt(start, f"'==' with {stars!r} is read as '='", f"write ={version}"))
            return Clause("=", version)
        self.doubts.append(Doubt(start, f"the {stars!r} after {sign!r} has no meaning", f"write {sign}{version}"))
        return self._doubted(start, Clause(sign, version))
