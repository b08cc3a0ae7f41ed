"""Specs of Python projects as people write them: names of PyPI, extras (PEP 508), version ranges of PEP 440.

`requests[socks]>=2` asks for extras of any package. Of a spec for a channel of Python packages the name is that of a
project (`torch` is the conda package pytorch), and the range means what it means to pip.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from kaa.config.options import Config
from kaa.config.values import pypi_names
from kaa.models.condition import is_extra
from kaa.models.match_spec import MatchSpec
from kaa.models.pattern import Pattern
from kaa.pypi.names import ProjectNames
from kaa.pypi.pep440 import NotConvertible, conda_version_spec
from kaa.pypi.project_files import normalize_project

PYTHON = "python"


def names_of(config: Config) -> ProjectNames:
    """The names of projects as they are known here."""
    return ProjectNames(pypi_names(config))


_SPEC = Pattern(
    r"\s*(?P<channel>[^\s\[\]]+::)?\s*(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*"
    r"(?:\[(?P<extras>[A-Za-z0-9._,\s-]*)\])?\s*(?P<rest>(?:[<>=!~(\[\s].*)?|[0-9*].*)"
)
_RANGE = Pattern(r"\(?\s*(?P<range>(?:===|[<>=!~]=|[<>])[^()=<>!~][^()]*?)\s*\)?")


def read_extras(text: str) -> MatchSpec | None:
    """A spec with extras in brackets behind its name (PEP 508), None for any other text; raises InvalidMatchSpec.

    >>> str(read_extras("requests[socks,security]>=2"))
    "requests[version='>=2',extras=['security','socks']]"
    """
    match = _SPEC.fullmatch(text)
    if match is None or not match["extras"] or not match["extras"].strip(" ,"):
        return None
    channel, rest = match["channel"] or "", match["rest"].strip()
    return _with_extras(MatchSpec.parse(f"{channel}{match['name']} {rest}".strip()), _extras(match["extras"]))


def read_project(text: str, names: ProjectNames) -> MatchSpec:
    """A spec of a Python project; raises InvalidMatchSpec, InvalidPackageName.

    >>> str(read_project("Torch~=2.1", ProjectNames())), str(read_project("pypi::tables===3.9", ProjectNames()))
    ("pytorch[version='>=2.1,=2']", 'pypi::pytables==3.9')
    """
    match = _SPEC.fullmatch(text)
    if match is None:
        return MatchSpec.parse(text)
    channel, project, rest = match["channel"] or "", match["name"], match["rest"].strip()
    name = project
    # What is installed is shown by its conda name: that is understood too, unless the channel is told.
    if project.lower() != PYTHON and (channel or not names.is_conda_name(project)):
        name = names.conda_name(project)
    asked = _RANGE.fullmatch(rest)
    if asked is not None:
        try:
            rest = conda_version_spec(asked["range"])
        except NotConvertible:
            # A range as conda knows them, with a build string perhaps.
            asked = None
    gap = "" if asked is None and rest[:1] in "[=<>!~" else " "
    spec = MatchSpec.parse(f"{channel}{name}{gap}{rest}".strip())
    return _with_extras(spec, _extras(match["extras"] or ""))


def _extras(text: str) -> tuple[str, ...]:
    return tuple(sorted({normalize_project(extra.strip()) for extra in text.split(",") if extra.strip()}))


def _with_extras(spec: MatchSpec, extras: Sequence[str]) -> MatchSpec:
    known = tuple(extra for extra in extras if is_extra(extra))
    return replace(spec, extras=(*spec.extras, *known)) if known else spec
