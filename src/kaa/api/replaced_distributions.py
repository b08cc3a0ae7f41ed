"""Distributions that pip or its like installed, and in whose place packages come: their files go in the same change."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from kaa.models.artifact import is_python_distribution
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.prefix.kept_distributions import files_that_go, with_key
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import PythonDistribution, find_distributions
from kaa.pypi.project_files import normalize_project
from kaa.transaction.plan import FileChanges

PURL = "pkg:pypi/"


class Replacing(msgspec.Struct, frozen=True):
    """What else changes when packages come in place of distributions."""

    files: FileChanges = FileChanges()
    relinked: frozenset[str] = frozenset()
    """Packages that had lost files to the distributions, and get them back"""


def replace_distributions(
    environment: Prefix,
    records: Sequence[PrefixRecord],
    distributions: Sequence[PythonDistribution],
    coming: Collection[str],
) -> Replacing:
    """How the files of distributions go; `coming` are the names of the packages in their place."""
    prefix = environment.path
    going = {path for one in distributions for path in files_that_go(prefix, with_key(prefix, one))}
    if not going:
        return Replacing()
    relinked = {record.name for record in records if record.name not in coming and not going.isdisjoint(record.files)}
    # What installed packages record goes, or comes again, with them.
    own = {path for record in records if record.name in coming or record.name in relinked for path in record.files}
    return Replacing(FileChanges(remove=tuple(sorted(going - own))), frozenset(relinked))


def replace_by(environment: Prefix, records: Sequence[PrefixRecord], final: Sequence[RepoDataRecord]) -> Replacing:
    """How the files of those distributions go of whose projects wheels are to come."""
    installed = {record.dist for record in records}
    coming = {
        normalize_project(purl.removeprefix(PURL).partition("@")[0]): record.name
        for record in final
        if record.dist not in installed and is_python_distribution(record.fn)
        for purl in record.purls or ()
        if purl.startswith(PURL)
    }
    if not coming:
        return Replacing()
    replaced = [one for one in find_distributions(environment, records) if one.normalized_name in coming]
    return replace_distributions(environment, records, replaced, set(coming.values()))
