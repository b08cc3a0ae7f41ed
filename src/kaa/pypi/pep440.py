"""Versions and version ranges of Python packages (PEP 440) as conda versions and version specs.

A version keeps its normalised PEP 440 spelling, which is what conda packages of Python projects have always carried:
people ask for `python-dateutil ==2.9.0.post0`. The two orders agree on releases and on pre-releases; they differ here,
and no other spelling that people would recognise avoids it:

- `1.0.post1` is newer than `1.0.0.1` for conda; for PEP 440 it lies between `1.0` and `1.0.0.1`;
- zeros before a suffix count for conda: `2.0rc1` is older than `2.0.0rc1`; for PEP 440 they are equal;
- `1.0.dev1` is newer than `1.0a1` for conda; for PEP 440 it is older;
- `1.0+local` is older than `1.0` for conda; for PEP 440 it is newer, and all that is true of 1.0 is true of it: `==1.0`
  and `>=1.0` admit it.

A range keeps what PEP 440 says of its ends as far as conda's order can say it: `<2.0` keeps all pre-releases of 2 out
(`<2a0`), `~=2.2` becomes `>=2.2,2.*`. Post-releases of 1.7 are greater than 1.7 for conda, so `>1.7` lets them in.
Whether pre-releases are welcome at all is for PEP 440 a matter of the installer; conda's ranges include them. Where it
is known which versions there are, `agreeing_version_spec` says exactly what PEP 440 says.
"""

from __future__ import annotations

from collections.abc import Iterable

from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from kaa.errors import KaaError
from kaa.models.artifact import check_package_name
from kaa.models.version_spec import VersionSpec

_ORDER = {">=": 0, ">": 0, "~=": 0, "==": 1, "===": 1, "<": 2, "<=": 2, "!=": 3}


class NotConvertible(KaaError):
    """A name, version or range of a Python package that conda has no form for."""

    def __init__(self, text: str, reason: str) -> None:
        self.text = text
        self.reason = reason
        super().__init__(f"{text!r} cannot be said in a conda package: {reason}")


def conda_name(project: str) -> str:
    """The conda name of a Python project: its normalised name (PEP 503), where that is a valid one (CEP 26)."""
    name: str = canonicalize_name(project)
    try:
        check_package_name(name)
    except KaaError as error:
        raise NotConvertible(project, error.message) from error
    return name


def conda_version(text: str) -> str:
    """The conda version of a PEP 440 version."""
    try:
        return str(Version(text))
    except InvalidVersion:
        raise NotConvertible(text, "it is not a version as PEP 440 defines them") from None


def conda_version_spec(text: str) -> str:
    """The conda version spec of a PEP 440 version range; empty for a range that holds everything."""
    try:
        specifiers = SpecifierSet(text)
    except InvalidSpecifier:
        raise NotConvertible(text, "it is not a version range as PEP 440 defines them") from None
    clauses = sorted(specifiers, key=lambda clause: (_ORDER.get(clause.operator, 9), clause.version))
    return ",".join(dict.fromkeys(part for clause in clauses for part in _conda_clauses(clause)))


def agreeing_version_spec(text: str, versions: Iterable[str]) -> str:
    """The conda version spec of a range that admits of these versions exactly those that PEP 440 admits.

    >>> agreeing_version_spec("==2.1", ["2.1", "2.1+cpu"]), agreeing_version_spec(">1.7", ["1.7.post1"])
    ('==2.1|==2.1+cpu', '>1.7,!=1.7.post1')
    """
    plain = conda_version_spec(text)
    specifiers = SpecifierSet(text)
    spec = VersionSpec(plain) if plain else None
    lacking: list[str] = []
    excess: list[str] = []
    for version in versions:
        admits = spec is None or spec.matches(version)
        if admits != specifiers.contains(version, prereleases=True):
            (excess if admits else lacking).append(version)
    narrowed = ",".join([plain or "*", *(f"!={version}" for version in excess)]) if excess else plain
    return "|".join([narrowed, *(f"=={version}" for version in lacking)])


def names_prerelease(text: str) -> bool:
    """Whether a range names a pre-release, and so lets pre-releases in (PEP 440)."""
    return bool(SpecifierSet(text).prereleases)


def _conda_clauses(clause: Specifier) -> list[str]:
    operator, text = clause.operator, clause.version
    if operator in ("==", "!=") and text.endswith(".*"):
        version = conda_version(text.removesuffix(".*"))
        return [f"{version}.*" if operator == "==" else f"!={version}.*"]
    version = conda_version(text)
    if operator == "===":
        return [f"=={version}"]
    if operator == "~=":
        return [f">={version}", _compatible(Version(text))]
    if operator == "<":
        return [f"<{_least_of(Version(text))}"]
    return [f"{operator}{version}"]


def _compatible(version: Version) -> str:
    """What `~=` adds to `>=`: the release without its last part, and anything behind it."""
    epoch = f"{version.epoch}!" if version.epoch else ""
    return epoch + ".".join(str(part) for part in version.release[:-1]) + ".*"


def _least_of(version: Version) -> str:
    """The least version that `<version` must not admit: pre-releases belong to what is excluded."""
    if version.is_prerelease:
        return str(version)
    if version.is_postrelease:
        return f"{version}.dev0"
    # Without final zeros it is before the pre-releases of 2, of 2.0 and of 2.0.0 alike.
    release = list(version.release)
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    epoch = f"{version.epoch}!" if version.epoch else ""
    return f"{epoch}{'.'.join(map(str, release))}a0"
