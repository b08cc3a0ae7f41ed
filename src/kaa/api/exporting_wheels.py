"""Packages of Python indexes in environment files and lists: by the names that their projects have on PyPI."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace
from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from kaa.api.locked_wheels import project_name, project_names
from kaa.api.session import Session
from kaa.models.channel import PYPI, PYPI_SCHEME
from kaa.models.match_spec import InvalidMatchSpec, MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.pypi.pep440 import conda_version_spec
from kaa.pypi.project_files import normalize_project


def pip_requirement(session: Session, record: RepoDataRecord) -> str:
    """The line of a pip section that means exactly this package."""
    project = project_name(record, project_names(session))
    if record.channel.startswith(PYPI):
        return f"{project}=={record.version}"
    return f"{project} @ {record.url}" + (f"#sha256={record.sha256}" if record.sha256 else "")


def index_specs(session: Session, records: Sequence[RepoDataRecord], lines: Sequence[str]) -> list[MatchSpec]:
    """Lines of a pip section, made from these records, as specs of projects in their indexes."""
    names = project_names(session)
    channels = {project_name(record, names): _channel_name(session, record) for record in records}
    found = []
    for line in lines:
        requirement = Requirement(line)
        project = normalize_project(requirement.name)
        extras = f"extras=[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        version = f"version='{conda_version_spec(str(requirement.specifier))}'" if requirement.specifier else ""
        brackets = ",".join(filter(None, [version, extras]))
        text = f"{project}[{brackets}]" if brackets else project
        spec = MatchSpec.parse(f"{requirement.url}" if requirement.url else text)
        found.append(spec if requirement.url else replace(spec, channel=channels.get(project, PYPI)))
    return found


def _channel_name(session: Session, record: RepoDataRecord) -> str:
    """The short name of the index that a package is from."""
    if not record.channel.startswith(PYPI_SCHEME):
        return PYPI
    return session.channel_config.resolve(record.channel, str(session.cwd))[0].name


def asked_requirement(session: Session, record: RepoDataRecord, text: str) -> str:
    """What was asked for as a spec, as a line of a pip section; exactly the package where PyPI has no words for it."""
    exact = pip_requirement(session, record)
    try:
        spec = MatchSpec.parse(text)
    except InvalidMatchSpec:
        return exact
    if not record.channel.startswith(PYPI) or spec.build is not None or spec.url is not None:
        return exact
    specifier = _specifier(str(spec.version or ""))
    if specifier is None:
        return exact
    extras = f"[{','.join(spec.extras)}]" if spec.extras else ""
    return f"{project_name(record, project_names(session))}{extras}{specifier}"


def _specifier(version: str) -> str | None:
    """A version range in the words of PEP 440, None where it has none.

    >>> _specifier("=1.2,!=1.2.3"), _specifier("==1|==2")
    ('==1.2.*,!=1.2.3', None)
    """
    clauses = [re.sub(r"^=(?=[^=])(.*)", r"==\1.*", clause) for clause in version.split(",") if clause]
    try:
        SpecifierSet(",".join(clauses))
    except InvalidSpecifier:
        return None
    return ",".join(clauses)
