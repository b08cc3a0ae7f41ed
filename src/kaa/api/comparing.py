"""An environment beside a file: what the file asks for and the environment lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from packaging.requirements import InvalidRequirement, Requirement

from kaa.api.environment_files import FileContent, read_environment_file
from kaa.api.listing import EnvironmentContent, read_environment
from kaa.api.session import Session
from kaa.envfiles.text_specs import ExplicitEntry
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.prefix.distribution_metadata import normalize_name
from kaa.solver.spelling import spell

PURL = "pkg:pypi/"


class Lack(msgspec.Struct, frozen=True):
    """Something that a file asks for; `found` is what is there in its place, or empty."""

    wanted: str
    found: str = ""
    by_pip: bool = False


def compare_with_file(session: Session, prefix: Path, file: str) -> tuple[Lack, ...]:
    """What an environment lacks of what a file asks for; raises what reading either of them raises."""
    content = read_environment_file(session, file)
    return tuple(_lacks(content, read_environment(session, prefix)))


def _lacks(content: FileContent, present: EnvironmentContent) -> Iterator[Lack]:
    records = {record.name: record for record in present.records}
    for spec in content.spec.specs:
        matching = [record for record in present.records if spec.matches(record)]
        if not matching:
            yield Lack(spell(spec), _shown(_namesake(spec, records)))
    dists = {record.dist for record in present.records}
    for entry in content.entries:
        if (dist := _dist_of(entry)) not in dists:
            yield Lack(dist, _shown(records.get(dist.rsplit("-", 2)[0])))
    yield from _lacking_distributions(content.spec.pip, present)


def _namesake(spec: MatchSpec, records: Mapping[str, RepoDataRecord]) -> RepoDataRecord | None:
    return records.get(spec.name) if spec.name else None


def _shown(record: RepoDataRecord | None) -> str:
    return f"{record.name} {record.version} {record.build}" if record is not None else ""


def _dist_of(entry: ExplicitEntry) -> str:
    name = entry.location.replace("\\", "/").rpartition("/")[2]
    return name.removesuffix(".conda").removesuffix(".tar.bz2")


def _lacking_distributions(lines: Sequence[str], present: EnvironmentContent) -> Iterator[Lack]:
    """Lines of the pip section that nothing installed answers to; options, paths and addresses are for pip to tell."""
    versions = {normalize_name(one.name): one.version for one in present.pip}
    # What a package of a channel brought, pip takes as installed too.
    versions |= {normalize_name(one.name): one.version for one in present.records if one.name not in versions}
    purls = [purl for one in present.records for purl in one.purls or () if purl.startswith(PURL)]
    versions |= {name: version for purl in purls for name, _, version in [purl.removeprefix(PURL).partition("@")]}
    for line in lines:
        try:
            wanted = Requirement(line.partition(" #")[0].strip())
        except InvalidRequirement:
            continue
        if wanted.url or (wanted.marker is not None and not wanted.marker.evaluate()):
            continue
        found = versions.get(normalize_name(wanted.name))
        if found is None:
            yield Lack(str(wanted), by_pip=True)
        elif not wanted.specifier.contains(found, prereleases=True):
            yield Lack(str(wanted), f"{wanted.name} {found}", by_pip=True)
