"""What a wheel's metadata says that it depends on (PEP 508, 621, 685), as dependencies of a conda package for a target.

A marker is decided as far as the target and the Pythons of the wheel decide it; what is left is a condition on python
(`when`, CEP 43). What belongs to an extra becomes a group of `extra_depends` (CEP 44).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from kaa.models.artifact import InvalidPackageName
from kaa.models.condition import is_extra
from kaa.models.pattern import Pattern
from kaa.pypi.markers import (
    PYTHON_VARIABLES,
    Comparison,
    Inexpressible,
    Marker,
    Target,
    compare,
    comparisons,
    condition_text,
    decide,
    parse_marker,
    simplify,
)
from kaa.pypi.metadata import Metadata
from kaa.pypi.names import ProjectNames
from kaa.pypi.pep440 import NotConvertible, agreeing_version_spec, conda_version, conda_version_spec, names_prerelease
from kaa.pypi.project_files import normalize_project
from kaa.pypi.python_specs import PythonSpecs
from kaa.pypi.wheel_tags import Release
from kaa.solver.candidates import CandidateNeeds, UnusableCandidate

_LAST_MINOR = 40
"""More minor versions of Python 3 than there will be for long."""
_LATEST_PATCH = 99
_REQUIREMENT = Pattern(
    r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([A-Za-z0-9._,\s-]*)\])?\s*"
    r"(?:\(([^()@;]*)\)|([<>=!~][^()@;]*))?\s*(?:;(.*))?"
)
"""The usual shapes of a requirement; of all others the reference implementation says what they mean."""

Held = bool | str
"""Whether a requirement counts: always, never, or while a condition holds."""


class Wanted(msgspec.Struct, frozen=True):
    """A requirement, taken apart."""

    project: str
    name: str
    """The conda name."""
    specifier: str
    """The version range as it is written (PEP 440)."""
    extras: tuple[str, ...]
    marker: str

    @property
    def is_exact(self) -> bool:
        """Whether it pins a version."""
        return "==" in self.specifier


class Decided(msgspec.Struct, frozen=True):
    """What is left of a marker: without an extra, and with each of the extras that it names."""

    plain: Held
    by_extra: dict[str, Held]


class WheelNeeds:
    """Reads the metadata of wheels for one platform; texts that many wheels share are read once.

    `odd_versions` tells of a conda name which versions on offer there are that conda and PEP 440 do not order alike.
    """

    def __init__(
        self, subdir: str, names: ProjectNames, odd_versions: Callable[[str], Collection[str]] = lambda name: ()
    ) -> None:
        self.subdir = subdir
        self._names = names
        self._odd_versions = odd_versions
        self._pythons = PythonSpecs()
        self._wanted: dict[str, Wanted | str] = {}
        self._trees: dict[str, Marker | None] = {}
        self._decided: dict[tuple[str, Release, Release], Decided] = {}

    def wanted(self, metadata: Metadata, python: str, extras: Collection[str] = ()) -> list[Wanted]:
        """The requirements of a wheel that count for its range of Pythons, and with these extras, for all one knows."""
        span = _span(python)
        found = []
        for text in metadata.requires_dist:
            wanted = self._parse(text)
            if not isinstance(wanted, Wanted):
                continue
            decided = self._decide(wanted.marker, *span)
            if decided.plain is True or any(decided.by_extra.get(extra) is True for extra in extras):
                found.append(wanted)
        return found

    def needs(
        self,
        metadata: Metadata,
        project: str,
        version: str,
        pythons: tuple[Release, Release | None],
        python: str,
        extras_asked: Collection[str] = (),
    ) -> CandidateNeeds:
        """What a wheel asks for beside what is known: `python` is its range of Pythons as far as the index told.

        What is on offer of a requirement is asked for those alone that count, of extras for those that are asked for.

        Raises UnusableCandidate.
        """
        _check_same(metadata, project, version)
        asked = self._pythons.clauses(pythons, metadata.requires_python)
        if asked is None:
            raise UnusableCandidate(f"its tags are for another Python than its metadata ({metadata.requires_python})")
        depends: dict[str, None] = {} if asked == python else {f"python {asked}": None}
        extras: dict[str, list[tuple[Wanted, Held]]] = {}
        span = _span(asked)
        for text in metadata.requires_dist:
            wanted = self._parse(text)
            decided = self._decide(wanted.marker if isinstance(wanted, Wanted) else _marker_of(text), *span)
            if isinstance(wanted, str):
                if decided.plain is not False:
                    raise UnusableCandidate(wanted)
                continue
            if decided.plain is not False:
                depends[self._text(wanted, decided.plain, look=decided.plain is True)] = None
            for extra, held in decided.by_extra.items():
                if held is not False and held != decided.plain:
                    extras.setdefault(extra, []).append((wanted, held))
        groups = {
            extra: self._group(extra, extras, project, look=extra in extras_asked)
            for extra in extras
            if is_extra(extra)
        }
        return CandidateNeeds(tuple(depends), (), {extra: texts for extra, texts in groups.items() if texts})

    # Requirements

    def _parse(self, text: str) -> Wanted | str:
        """A requirement, or why it cannot be used."""
        found = self._wanted.get(text)
        if found is None:
            found = self._wanted[text] = self._read(text)
        return found

    def _read(self, text: str) -> Wanted | str:
        match = _REQUIREMENT.fullmatch(text)
        if match is not None:
            project, extras, bracketed, plain, marker = match.groups()
            specifier = (bracketed or plain or "").strip()
            named = [extra.strip() for extra in (extras or "").split(",")]
        else:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                return f"its requirement {text!r} cannot be read"
            if requirement.url:
                return f"it wants {requirement.name} from an address of its own"
            project, specifier, named = requirement.name, str(requirement.specifier), sorted(requirement.extras)
            marker = str(requirement.marker or "")
        try:
            name = self._names.conda_name(project)
            conda_version_spec(specifier)
        except (InvalidPackageName, NotConvertible):
            return f"its requirement {text!r} cannot be read"
        extras_wanted = tuple(sorted({normalize_project(extra) for extra in named if extra}))
        return Wanted(normalize_project(project), name, specifier, extras_wanted, (marker or "").strip())

    def _text(self, wanted: Wanted, held: Held, *, look: bool) -> str:
        """A requirement as the text of a dependency; with `look` it agrees with PEP 440 on all that is on offer."""
        version = ""
        if wanted.specifier:
            odd = self._odd_versions(wanted.name) if look else ()
            version = agreeing_version_spec(wanted.specifier, odd) if odd else conda_version_spec(wanted.specifier)
        if held is True and not wanted.extras:
            return f"{wanted.name} {version}" if version else wanted.name
        pairs = [f"version='{version}'"] if version else []
        extras = [extra for extra in wanted.extras if is_extra(extra)]
        if extras:
            pairs.append(f"extras=[{','.join(extras)}]")
        if held is not True:
            pairs.append(f'when="{held}"')
        return f"{wanted.name}[{','.join(pairs)}]" if pairs else wanted.name

    def _group(
        self, extra: str, extras: Mapping[str, list[tuple[Wanted, Held]]], project: str, *, look: bool
    ) -> tuple[str, ...]:
        """What an extra adds. Where it names other extras of its own project, what these add."""
        group = _members(extra, extras, project, True, frozenset())
        return tuple(dict.fromkeys(self._text(wanted, held, look=look and held is True) for wanted, held in group))

    # Markers

    def _decide(self, text: str, first: Release, last: Release) -> Decided:
        """What is left of a marker for the Pythons from `first` to `last`."""
        if not text:
            return _ALWAYS
        key = text, first, last
        found = self._decided.get(key)
        if found is None:
            found = self._decided[key] = self._decide_anew(text, first, last)
        return found

    def _decide_anew(self, text: str, first: Release, last: Release) -> Decided:
        try:
            marker = self._trees[text]
        except KeyError:
            try:
                marker = parse_marker(text)
            except NotConvertible:
                marker = None
            self._trees[text] = marker
        if marker is None:
            raise UnusableCandidate(f"its marker {text!r} cannot be read")
        named = {
            normalize_project(comparison.value) for comparison in comparisons(marker) if comparison.variable == "extra"
        }
        plain = self._held(marker, "", first, last)
        return Decided(plain, {extra: self._held(marker, extra, first, last) for extra in sorted(named)})

    def _held(self, marker: Marker, extra: str, first: Release, last: Release) -> Held:
        target = Target(None, self.subdir)

        def leaf(comparison: Comparison) -> Marker:
            if comparison.variable in PYTHON_VARIABLES:
                said = {compare(comparison, value) for value in _telling(comparison, first, last)}
                return said.pop() if len(said) == 1 else comparison
            return decide(comparison, target, extra)

        left = simplify(marker, leaf)
        if isinstance(left, bool):
            return left
        try:
            return condition_text(left)
        except Inexpressible:
            # Nothing tells: it is installed in any case.
            return True


_ALWAYS = Decided(True, {})


def _members(
    extra: str,
    extras: Mapping[str, list[tuple[Wanted, Held]]],
    project: str,
    condition: Held,
    above: frozenset[str],
) -> Iterator[tuple[Wanted, Held]]:
    for wanted, held in extras.get(extra, ()):
        both = _both(condition, held)
        if wanted.project != project:
            yield wanted, both
            continue
        for other in wanted.extras:
            if other != extra and other not in above:
                yield from _members(other, extras, project, both, above | {extra})


def _both(one: Held, other: Held) -> Held:
    if one is True:
        return other
    return one if other is True or other == one else f"({one}) and ({other})"


def _telling(comparison: Comparison, first: Release, last: Release) -> Iterable[str]:
    """Versions of Python, from the first to the last minor one, at least one from each side of what is compared."""
    minors = range(first[1], last[1] + 1)
    if comparison.variable == "python_version":
        return [f"3.{minor}" for minor in minors]
    patches = {0, _LATEST_PATCH}
    for part in comparison.value.replace(",", " ").split():
        numbers = part.split(".")
        if len(numbers) > 2 and numbers[2].isdigit():
            patches |= {int(numbers[2]), int(numbers[2]) + 1, max(0, int(numbers[2]) - 1)}
    return [f"3.{minor}.{patch}" for minor in minors for patch in patches]


_FIRST = Pattern(r"(?:.*,)?>=?3\.([0-9]{1,4})(?:\..*|,.*|)")
_END = Pattern(r"(?:.*,)?<3\.([0-9]{1,4})(?:\.0)?a0(?:,.*|)")


def _span(python: str) -> tuple[Release, Release]:
    """The first and last minor versions of Python that a range may admit."""
    first, end = _FIRST.fullmatch(python), _END.fullmatch(python)
    least = int(first[1]) if first is not None else 0
    return (3, least), (3, max(least, int(end[1]) - 1) if end is not None else max(_LAST_MINOR, least))


def _marker_of(text: str) -> str:
    return text.partition(";")[2].strip()


def _check_same(metadata: Metadata, project: str, version: str) -> None:
    try:
        found = conda_version(metadata.version)
        same = normalize_project(metadata.name) == project and (found == version or Version(found) == Version(version))
    except (NotConvertible, InvalidVersion):
        same = False
    if not same:
        raise UnusableCandidate(f"its metadata is of {metadata.name} {metadata.version}")


def admits_prereleases(wanted: Wanted) -> bool:
    """Whether a requirement names a pre-release."""
    return any(letter.isalpha() for letter in wanted.specifier) and names_prerelease(wanted.specifier)
