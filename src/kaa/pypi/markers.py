"""Environment markers of Python packages (PEP 508) for conda packages, which are made before their target is known.

A marker is read into a small tree. With a complete `Target` it is true or false. For a package that serves several
targets it stays a condition: `condition_text` writes what is left as a `when` (CEP 43), with `python`, `__unix`,
`__win`, `__linux` and `__osx` as its leaves, or says that this cannot be done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from packaging.markers import InvalidMarker
from packaging.markers import Marker as PackagingMarker
from packaging.specifiers import InvalidSpecifier, Specifier
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from kaa.models.subdir import machine, operating_system
from kaa.pypi.pep440 import NotConvertible, conda_version_spec

PYTHON_VARIABLES = frozenset({"python_version", "python_full_version", "implementation_version"})
SYSTEM_VARIABLES = frozenset({"os_name", "sys_platform", "platform_system"})
SYSTEMS = ("linux", "osx", "win")
_SYSTEM_VALUES = {
    "linux": {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"},
    "osx": {"os_name": "posix", "sys_platform": "darwin", "platform_system": "Darwin"},
    "win": {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows"},
}
_SYSTEM_CONDITIONS = {
    frozenset({"linux", "osx"}): "__unix",
    frozenset({"win"}): "__win",
    frozenset({"linux"}): "__linux",
    frozenset({"osx"}): "__osx",
    frozenset({"linux", "win"}): "__linux or __win",
    frozenset({"osx", "win"}): "__osx or __win",
}
_MACHINES = {
    ("linux", "64"): "x86_64",
    ("linux", "32"): "i686",
    ("osx", "64"): "x86_64",
    ("win", "64"): "AMD64",
    ("win", "32"): "x86",
    ("win", "arm64"): "ARM64",
}
_CPYTHON = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
VARIABLES = (
    PYTHON_VARIABLES
    | SYSTEM_VARIABLES
    | frozenset(_CPYTHON)
    | {"platform_machine", "platform_release", "platform_version", "extra", "extras", "dependency_groups"}
)
_OLD_NAMES = {
    "os.name": "os_name",
    "sys.platform": "sys_platform",
    "platform.version": "platform_version",
    "platform.machine": "platform_machine",
    "platform.python_implementation": "platform_python_implementation",
    "python_implementation": "platform_python_implementation",
}
MINORS = ((2, 6), (2, 7), *((3, minor) for minor in range(60)), (4, 0), (4, 1))
"""The versions of Python that a marker can tell apart by `python_version`, more than there will be for long."""
_VERSION_OPERATORS = ("<=", ">=", "==", "!=", "~=", "===", "<", ">")
_SWAPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Target:
    """What a package is for; what is None is not decided: it serves every Python, or every platform."""

    python: Version | None = None
    """A full version of Python."""
    subdir: str | None = None

    @property
    def system(self) -> str | None:
        return None if self.subdir in (None, "noarch") else operating_system(str(self.subdir))


@dataclass(frozen=True, slots=True)
class Comparison:
    """`variable operator 'value'`, or `'value' operator variable` when `reversed`."""

    variable: str
    operator: str
    value: str
    reversed: bool = False

    def __str__(self) -> str:
        left, right = self.variable, f"'{self.value}'"
        return f"{right} {self.operator} {left}" if self.reversed else f"{left} {self.operator} {right}"


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Marker, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one part holds."""

    parts: tuple[Marker, ...]


Marker: TypeAlias = Comparison | All | Any | bool
"""A marker; True and False are what is left when everything is decided."""


class Inexpressible(Exception):
    """A part of a marker that no condition can say; `comparison` is that part."""

    def __init__(self, comparison: Comparison) -> None:
        super().__init__(str(comparison))
        self.comparison = comparison


# -- reading ----------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:(?P<paren>[()])|(?P<text>'[^']*'|"[^"]*")|(?P<operator><=|>=|===|==|!=|~=|<|>)|(?P<word>[A-Za-z_.]+))"""
)


def parse_marker(text: str) -> Marker:
    """The tree of a marker; raises NotConvertible when it is none."""
    try:
        # The reference implementation decides what is valid, and writes it in one of the many possible ways.
        normal = str(PackagingMarker(text))
    except InvalidMarker:
        raise NotConvertible(text, "it is not a marker as PEP 508 defines them") from None
    return _Parser(normal).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._tokens())
        self.position = 0

    def _tokens(self) -> Iterator[tuple[str, str]]:
        position = 0
        while self.text[position:].strip():
            match = _TOKEN.match(self.text, position)
            if match is None or match.lastgroup is None:
                raise NotConvertible(self.text, "it is not a marker as PEP 508 defines them")
            yield match.lastgroup, match[match.lastgroup]
            position = match.end()

    def next(self) -> tuple[str, str]:
        self.position += 1
        return self.tokens[self.position - 1] if self.position <= len(self.tokens) else ("end", "")

    def sees(self, word: str) -> bool:
        if self.position < len(self.tokens) and self.tokens[self.position] == ("word", word):
            self.position += 1
            return True
        return False

    def parse(self) -> Marker:
        parts = [self.parse_all()]
        while self.sees("or"):
            parts.append(self.parse_all())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def parse_all(self) -> Marker:
        parts = [self.parse_one()]
        while self.sees("and"):
            parts.append(self.parse_one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def parse_one(self) -> Marker:
        kind, left = self.next()
        if (kind, left) == ("paren", "("):
            inner = self.parse()
            self.next()
            return inner
        operator = self.next()[1]
        if operator == "not":
            operator = f"not {self.next()[1]}"
        other, right = self.next()
        if kind == "word" and other == "text":
            return Comparison(_OLD_NAMES.get(left, left), operator, right[1:-1])
        if kind == "text" and other == "word":
            return Comparison(_OLD_NAMES.get(right, right), operator, left[1:-1], reversed=True)
        raise NotConvertible(self.text, "it compares two variables or two texts")


# -- deciding ---------------------------------------------------------------------------------------------------------


def comparisons(marker: Marker) -> Iterator[Comparison]:
    """All comparisons of a marker."""
    match marker:
        case Comparison():
            yield marker
        case All(parts) | Any(parts):
            for part in parts:
                yield from comparisons(part)


def decide(marker: Marker, target: Target, extra: str = "") -> Marker:
    """What is left of a marker for a target, with `extra` as the one extra that is asked for."""

    def leaf(comparison: Comparison) -> Marker:
        held = _holds(comparison, target, extra)
        return comparison if held is None else held

    return simplify(marker, leaf)


def simplify(marker: Marker, leaf: Callable[[Comparison], Marker]) -> Marker:
    """A marker with its comparisons replaced, and without the parts that do not matter any more."""
    match marker:
        case Comparison():
            return leaf(marker)
        case All(parts):
            return _joined(All, True, [simplify(part, leaf) for part in parts])
        case Any(parts):
            return _joined(Any, False, [simplify(part, leaf) for part in parts])
        case _:
            return marker


def _joined(kind: type[All] | type[Any], neutral: bool, parts: list[Marker]) -> Marker:
    flat: list[Marker] = []
    for part in parts:
        if part is (not neutral):
            return not neutral
        if part is not neutral:
            flat += part.parts if isinstance(part, kind) else [part]
    unique = tuple(dict.fromkeys(flat))
    return neutral if not unique else unique[0] if len(unique) == 1 else kind(unique)


def _holds(comparison: Comparison, target: Target, extra: str) -> bool | None:
    """Whether a comparison holds; None while the target leaves it open."""
    variable = comparison.variable
    if variable == "extra":
        same = canonicalize_name(comparison.value) == canonicalize_name(extra)
        return same if comparison.operator == "==" else not same
    if variable in ("extras", "dependency_groups"):
        return comparison.operator == "not in"
    if variable == "python_version" and target.python is None:
        found = {compare(comparison, f"{major}.{minor}") for major, minor in MINORS}
        return found.pop() if len(found) == 1 else None
    if variable in SYSTEM_VARIABLES and target.system is None:
        held = systems_of(comparison)
        return bool(held) if len(held) in (0, len(SYSTEMS)) else None
    value = _CPYTHON.get(variable)
    if variable in PYTHON_VARIABLES and target.python is not None:
        value = python_value(variable, target.python)
    elif target.system is not None and variable in SYSTEM_VARIABLES and target.system in _SYSTEM_VALUES:
        value = _SYSTEM_VALUES[target.system][variable]
    elif target.system is not None and variable == "platform_machine":
        name = machine(str(target.subdir))
        value = _MACHINES.get((target.system, name), name)
    return None if value is None else compare(comparison, value)


def python_value(variable: str, python: Version) -> str:
    """What a marker variable says on a Python of that version."""
    return f"{python.major}.{python.minor}" if variable == "python_version" else str(python)


def compare(comparison: Comparison, value: str) -> bool:
    """Whether a comparison holds where its variable has this value."""
    operator = comparison.operator
    left, right = (comparison.value, value) if comparison.reversed else (value, comparison.value)
    if operator == "in":
        return left in right
    if operator == "not in":
        return left not in right
    if comparison.variable in PYTHON_VARIABLES:
        try:
            return Specifier(operator + right).contains(Version(left), prereleases=True)
        except (InvalidSpecifier, InvalidVersion):
            pass
    # Texts have no order that would mean anything here.
    return {"==": left == right, "===": left == right, "!=": left != right, "<=": left == right}.get(
        operator, operator == ">=" and left == right
    )


# -- writing ----------------------------------------------------------------------------------------------------------


def condition_text(marker: Marker) -> str:
    """What `decide` left of a marker as the text of a `when`; raises Inexpressible."""
    return _text(marker, inner=False)


def _text(marker: Marker, *, inner: bool) -> str:
    match marker:
        case Comparison():
            return _condition(marker, inner=inner)
        case All(parts):
            text = " and ".join(_text(part, inner=True) for part in parts)
        case Any(parts):
            text = " or ".join(_text(part, inner=True) for part in parts)
        case _:
            raise ValueError("a marker that is decided has no condition")
    return f"({text})" if inner else text


def systems_of(comparison: Comparison) -> frozenset[str]:
    """The systems on which a comparison of a system variable holds."""
    variable = comparison.variable
    return frozenset(system for system in SYSTEMS if compare(comparison, _SYSTEM_VALUES[system][variable]))


def _condition(comparison: Comparison, *, inner: bool) -> str:
    if comparison.variable in SYSTEM_VARIABLES:
        text = _SYSTEM_CONDITIONS[systems_of(comparison)]
    elif comparison.variable in PYTHON_VARIABLES:
        clauses = [_python_specs(text) for text in python_ranges(comparison)]
        text = " or ".join(f"({clause})" if " and " in clause and len(clauses) > 1 else clause for clause in clauses)
    else:
        raise Inexpressible(comparison)
    return f"({text})" if inner and " " in text else text


def _python_specs(text: str) -> str:
    """`python>=3.8 and python<3.11a0`: a leaf has one clause, for commas would need brackets and quotes."""
    return " and ".join(f"python{clause if clause[0] in '<>=!~' else '=' + clause}" for clause in text.split(","))


def python_ranges(comparison: Comparison) -> list[str]:
    """The conda version specs of python, one of which must hold for a comparison of Python versions to hold."""
    if comparison.variable == "python_version":
        held = [minor for minor in MINORS if compare(comparison, f"{minor[0]}.{minor[1]}")]
        return _runs(held)
    operator = comparison.operator
    if comparison.reversed:
        operator = _SWAPPED.get(operator, operator)
    if operator not in _VERSION_OPERATORS or (comparison.reversed and operator == "~="):
        raise Inexpressible(comparison)
    try:
        return [conda_version_spec(operator + comparison.value)]
    except NotConvertible:
        raise Inexpressible(comparison) from None


def _runs(held: list[tuple[int, int]]) -> list[str]:
    """Minor versions of Python as ranges; what holds at an end of the known ones holds beyond it."""
    ranges = []
    positions = [MINORS.index(minor) for minor in held]
    for first in positions:
        if first - 1 in positions:
            continue
        last = first
        while last + 1 in positions:
            last += 1
        least = [f">={MINORS[first][0]}.{MINORS[first][1]}"] if first else []
        end = [f"<{MINORS[last + 1][0]}.{MINORS[last + 1][1]}a0"] if last + 1 < len(MINORS) else []
        ranges.append(",".join(least + end))
    return ranges
