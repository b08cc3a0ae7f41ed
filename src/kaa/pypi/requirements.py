"""The dependencies of a Python package (PEP 508, 621, 685) as those of a conda package.

With `v3` (CEP 43, 44) a marker becomes a condition and an extra a group of `extra_depends`: one package serves all.
Without, a dependency is there or not. A marker that asks for the Python version then makes several packages, each for
the range of versions over which its markers say the same; one that asks for the platform makes the package one for that
platform. Both are exact. What belongs to extras is left out, and a note says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from kaa.models.condition import is_extra
from kaa.models.match_spec import MatchSpec
from kaa.pypi.markers import (
    MINORS,
    PYTHON_VARIABLES,
    All,
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
from kaa.pypi.pep440 import NotConvertible, conda_name, conda_version_spec

_LATEST_PATCH = 30
PYTHONS = tuple(Version(f"{major}.{minor}.{patch}") for major, minor in MINORS for patch in range(_LATEST_PATCH))
"""Versions of Python, enough of them to see where a range begins and ends."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a Python package says that it needs."""

    project: str
    """Its own normalised name."""
    python: SpecifierSet
    dists: tuple[tuple[Requirement, Marker], ...]
    extras: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PythonRange:
    """Versions of Python from `least` to before `end` (None: no bound); `sample` is one of them."""

    least: Version | None
    end: Version | None
    sample: Version


@dataclass
class Dependencies:
    """What a conda package needs, and what could not be said."""

    python: str
    """The version spec of python."""
    depends: list[str] = field(default_factory=list)
    extra_depends: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    uses_v3: bool = False


class PlatformMatters(Exception):
    """A marker asks for the platform, in a package that is for all of them."""


def parse_requirements(
    project: str, requires_dist: Sequence[str], requires_python: str, extras: Sequence[str]
) -> Requirements:
    """The requirements of a package from its metadata; raises NotConvertible."""
    dists = []
    for text in requires_dist:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise NotConvertible(text, "it is not a requirement as PEP 508 defines them") from error
        dists.append((requirement, parse_marker(str(requirement.marker)) if requirement.marker else True))
    try:
        python = SpecifierSet(requires_python)
    except InvalidSpecifier as error:
        raise NotConvertible(requires_python, "it is not a range of Python versions") from error
    named = dict.fromkeys(canonicalize_name(extra) for extra in extras)
    return Requirements(project, python, tuple(dists), tuple(named))


# -- ranges of Python -------------------------------------------------------------------------------------------------


def python_ranges_of(requirements: Requirements, tag_spec: str, *, split: bool) -> list[PythonRange]:
    """The ranges of Python versions that the tag and Requires-Python admit.

    With `split` they end where a marker changes its mind; else it is one range. Raises NotConvertible when nothing is
    left.
    """
    allowed = [python for python in PYTHONS if _tag_admits(tag_spec, python)]
    allowed = [python for python in allowed if requirements.python.contains(python, prereleases=True)]
    if not allowed:
        raise NotConvertible(str(requirements.python), f"no Python that is {tag_spec} satisfies it")
    cuts = sorted(_cuts(requirements)) if split else []
    ranges: list[PythonRange] = []
    for least, end in zip([None, *cuts], [*cuts, None], strict=True):
        inside = [p for p in allowed if (least is None or p >= least) and (end is None or p < end)]
        if inside:
            ranges.append(PythonRange(least if ranges else None, end, inside[0]))
    ranges[-1] = PythonRange(ranges[-1].least, None, ranges[-1].sample)
    return _merged(ranges, requirements)


def _tag_admits(tag_spec: str, python: Version) -> bool:
    if tag_spec.startswith(">="):
        return python >= Version(tag_spec[2:])
    return python.release[:2] == Version(tag_spec.split(".*")[0]).release[:2]


def _cuts(requirements: Requirements) -> Iterable[Version]:
    """The versions of Python at which some marker may become true or false."""
    found: set[Version] = set()
    for _, marker in requirements.dists:
        for comparison in comparisons(marker):
            if comparison.variable == "python_version":
                held = [compare(comparison, f"{major}.{minor}") for major, minor in MINORS]
                found |= {
                    Version(f"{MINORS[i][0]}.{MINORS[i][1]}") for i in range(1, len(held)) if held[i] != held[i - 1]
                }
            elif comparison.variable in PYTHON_VARIABLES:
                found |= set(_cuts_at(comparison))
    return found


def _cuts_at(comparison: Comparison) -> Iterable[Version]:
    for text in comparison.value.replace(",", " ").split():
        try:
            major, minor, patch = (*Version(text.removesuffix(".*")).release, 0, 0)[:3]
        except InvalidVersion:
            continue
        for release in ((major, minor, patch), (major, minor, patch + 1), (major, minor + 1, 0), (major + 1, 0, 0)):
            yield Version(".".join(map(str, release)))


def _merged(ranges: list[PythonRange], requirements: Requirements) -> list[PythonRange]:
    """Neighbours over which every marker says the same are one range."""
    merged: list[PythonRange] = []
    said: list[list[Marker]] = []
    for part in ranges:
        says = [decide(marker, Target(part.sample)) for _, marker in requirements.dists]
        if merged and said[-1] == says:
            merged[-1] = PythonRange(merged[-1].least, part.end, merged[-1].sample)
        else:
            merged.append(part)
            said.append(says)
    return merged


def python_spec(requirements: Requirements, tag_spec: str, part: PythonRange) -> str:
    """The spec of python for one range: what the tag says, what Requires-Python adds, the range's own bounds."""
    tag, _, build = tag_spec.partition(" ")
    clauses = [tag]
    admitted = [python for python in PYTHONS if _tag_admits(tag, python)]
    if not all(requirements.python.contains(python, prereleases=True) for python in admitted):
        clauses += conda_version_spec(str(requirements.python)).split(",")
    if part.least is not None:
        clauses.append(f">={_short(part.least)}")
    if part.end is not None:
        clauses.append(f"<{_short(part.end)}a0")
    return " ".join(filter(None, [",".join(_tightest(clauses)), build]))


def _short(version: Version) -> str:
    return f"{version.major}.{version.minor}" if version.micro == 0 else str(version)


def _tightest(clauses: list[str]) -> list[str]:
    """The clauses without lower bounds that a higher one covers, and upper bounds that a lower one covers."""
    lower = [clause for clause in clauses if clause.startswith(">=")]
    upper = [clause for clause in clauses if clause.startswith("<") and not clause.startswith("<=")]
    others = [clause for clause in clauses if clause not in lower and clause not in upper]
    if lower:
        lower = [max(lower, key=lambda clause: Version(clause[2:]))]
    if upper:
        upper = [min(upper, key=lambda clause: Version(clause[1:]))]
    return list(dict.fromkeys([*lower, *upper, *others]))


# -- dependencies -----------------------------------------------------------------------------------------------------


def plain_dependencies(requirements: Requirements, python: str, part: PythonRange, subdir: str | None) -> Dependencies:
    """The dependencies for one range of Pythons, each of them simply there (repodata v1).

    `subdir` None stands for every platform; raises PlatformMatters when that cannot be.
    """
    found = Dependencies(python)
    target = Target(part.sample, subdir)
    left_out: set[str] = set()
    for requirement, marker in requirements.dists:
        held = decide(marker, target)
        if held is False:
            left_out |= {extra for extra in requirements.extras if decide(marker, target, extra) is not False}
            continue
        if held is not True:
            _keep_anyway(requirement, held, subdir, found)
        if requirement.extras:
            found.notes.append(
                f"the extras {', '.join(sorted(requirement.extras))} of {requirement.name} are not asked for: only "
                "packages made with --v3 can do that"
            )
        _note_url(requirement, found)
        found.depends.append(_spec(requirement))
    if left_out:
        names = ", ".join(sorted(left_out))
        found.notes.append(f"what the extras {names} need is left out: only packages made with --v3 can hold it")
    found.depends = list(dict.fromkeys(found.depends))
    return found


def conditional_dependencies(
    requirements: Requirements, python: str, tag_spec: str, subdir: str | None
) -> Dependencies:
    """The dependencies with conditions and extras (repodata v3); raises PlatformMatters."""
    found = Dependencies(python)
    samples = _telling_pythons(requirements, tag_spec)
    for requirement, marker in requirements.dists:
        base = _decide_over(marker, samples, subdir, "")
        _add(found, found.depends, requirement, base, subdir)
    for extra in requirements.extras:
        group = _group(found, requirements, extra, samples, subdir, frozenset())
        if not is_extra(extra):
            found.notes.append(f"the extra {extra!r} is left out: conda has no such names")
        elif group:
            found.extra_depends[extra] = list(dict.fromkeys(group))
    found.depends = list(dict.fromkeys(found.depends))
    found.uses_v3 = bool(found.extra_depends) or any("[" in text for text in found.depends)
    if found.uses_v3:
        found.depends = [MatchSpec.parse(text).bracket_text() for text in found.depends]
        found.extra_depends = {
            extra: [MatchSpec.parse(text).bracket_text() for text in group]
            for extra, group in found.extra_depends.items()
        }
    return found


def _group(
    found: Dependencies,
    requirements: Requirements,
    extra: str,
    samples: Sequence[Version],
    subdir: str | None,
    above: frozenset[str],
    condition: Marker = True,
) -> list[str]:
    """What an extra adds; a project that names its own extras there means what these add."""
    group: list[str] = []
    for requirement, marker in requirements.dists:
        base = _decide_over(marker, samples, subdir, "")
        held = _decide_over(marker, samples, subdir, extra)
        if held is False or held == base:
            continue
        held = simplify(All((condition, held)), lambda comparison: comparison)
        if canonicalize_name(requirement.name) == requirements.project:
            for other in sorted({canonicalize_name(name) for name in requirement.extras} - above - {extra}):
                group += _group(found, requirements, other, samples, subdir, above | {extra}, held)
        else:
            _add(found, group, requirement, held, subdir)
    return group


def _telling_pythons(requirements: Requirements, tag_spec: str) -> tuple[Version, ...]:
    """Versions of Python that the package admits, at least one from each side of everything that markers compare."""
    admitted = [p for p in PYTHONS if _tag_admits(tag_spec, p) and requirements.python.contains(p, prereleases=True)]
    cuts = [python for python in sorted(_cuts(requirements)) if python in admitted]
    return tuple(dict.fromkeys([admitted[0], *cuts, admitted[-1]]))


def _decide_over(marker: Marker, samples: Sequence[Version], subdir: str | None, extra: str) -> Marker:
    """What is left of a marker, given that python is one of those that the package admits."""

    def leaf(comparison: Comparison) -> Marker:
        if comparison.variable in PYTHON_VARIABLES:
            said = {decide(comparison, Target(python, subdir)) for python in samples}
            return said.pop() if len(said) == 1 else comparison
        return decide(comparison, Target(None, subdir), extra)

    return simplify(marker, leaf)


def _add(found: Dependencies, group: list[str], requirement: Requirement, held: Marker, subdir: str | None) -> None:
    if held is False:
        return
    condition = ""
    if held is not True:
        try:
            condition = condition_text(held)
        except Inexpressible:
            _keep_anyway(requirement, held, subdir, found)
    _note_url(requirement, found)
    if not condition and not requirement.extras:
        group.append(_spec(requirement))
        return
    pairs = [f"version='{version}'"] if (version := conda_version_spec(str(requirement.specifier))) else []
    if requirement.extras:
        pairs.append(f"extras=[{','.join(sorted(canonicalize_name(extra) for extra in requirement.extras))}]")
    if condition:
        pairs.append(f'when="{condition}"')
    group.append(f"{conda_name(requirement.name)}[{','.join(pairs)}]")


def _keep_anyway(requirement: Requirement, held: Marker, subdir: str | None, found: Dependencies) -> None:
    """A condition that cannot be decided: the package must be for one platform, or the dependency is always there."""
    if subdir is None:
        raise PlatformMatters
    open_questions = sorted({comparison.variable for comparison in comparisons(held)})
    found.notes.append(
        f"{requirement.name} is always needed: whether it is depends on {', '.join(open_questions)}, which a package "
        "cannot ask"
    )


def _note_url(requirement: Requirement, found: Dependencies) -> None:
    if requirement.url:
        found.notes.append(f"{requirement.name} is wanted from a URL; any {requirement.name} of a channel is taken")


def _spec(requirement: Requirement) -> str:
    return f"{conda_name(requirement.name)} {conda_version_spec(str(requirement.specifier))}".strip()
