"""What is wrong with an environment, from what was seen on the disk and what its records say. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from kaa.models.invalid_text import InvalidText
from kaa.models.match_spec import MatchSpec
from kaa.models.match_spec_syntax import name_of
from kaa.models.record import RepoDataRecord
from kaa.prefix.damage import DamagedPackage
from kaa.prefix.python_packages import PythonDistribution
from kaa.solver.presence import chosen_extras

_DIST_INFO = re.compile(r"(?:^|/)site-packages/([^/]+?)-[^/-]+\.dist-info/")


class BrokenRecord(msgspec.Struct, frozen=True):
    """A file of conda-meta that is no good record; `path` is below the environment."""

    path: str
    kind: str
    """unreadable, misnamed, duplicate, unsafe; missing (the history)"""
    reason: str


class UnmetDependency(msgspec.Struct, frozen=True):
    """A dependency that nothing installed meets, or a constraint that something installed violates."""

    package: str
    """The dist string of who says it"""
    spec: str
    kind: str
    """depends, constrains"""
    installed: tuple[str, ...] = ()
    """What is there under that name, as dist strings."""


class PipFiles(msgspec.Struct, frozen=True):
    """A distribution that pip or its like installed, and how many files are its own."""

    name: str
    version: str
    installer: str
    files: int


class Verification(msgspec.Struct, frozen=True):
    """What looking at every file of an environment showed; times are in seconds."""

    prefix: str
    packages: int
    files: int
    """Recorded paths that were looked at"""
    size: int
    """Bytes that were read"""
    seconds: float
    interrupted: bool = False
    """A change was interrupted, and waits to be finished or taken back."""
    busy: str = ""
    """Who is changing the environment just now; what was seen may be half of it then."""
    moved_from: str = ""
    """Where the environment was when its scripts were written, if that is another place."""
    broken_records: tuple[BrokenRecord, ...] = ()
    damaged: tuple[DamagedPackage, ...] = ()
    unmet: tuple[UnmetDependency, ...] = ()
    pip: tuple[PipFiles, ...] = ()
    user_files: tuple[str, ...] = ()
    """Files of no package; they are no problem."""
    files_of_broken_records: tuple[str, ...] = ()
    """Files of packages whose records cannot be used, as far as that is known."""

    @property
    def problems(self) -> int:
        """How many things are wrong: files, records, dependencies, an unfinished change, another place."""
        files = sum(len(package.changed) + len(package.missing) for package in self.damaged)
        whole = bool(self.interrupted or self.busy) + bool(self.moved_from)
        return files + len(self.broken_records) + len(self.unmet) + whole

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def with_overwriters(
    package: DamagedPackage, files: Iterable[str], distributions: Mapping[PythonDistribution, frozenset[str]]
) -> DamagedPackage:
    """The package with the distributions that took its place: that list what changed, or are the same project."""
    bad = {one.path for one in package.changed}.union(package.missing)
    projects = projects_of(files)
    names = [
        f"{distribution.name} {distribution.version}"
        for distribution, own in distributions.items()
        if bad & own or distribution.normalized_name in projects
    ]
    return msgspec.structs.replace(package, overwritten_by=tuple(names)) if names else package


def projects_of(files: Iterable[str]) -> frozenset[str]:
    """The Python projects, by their normalized names, of which a package brings the metadata."""
    return frozenset(_normalized(match[1]) for path in files if (match := _DIST_INFO.search(path)))


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def unmet_dependencies(
    records: Sequence[RepoDataRecord], virtual: Sequence[RepoDataRecord], requests: Mapping[str, str]
) -> list[UnmetDependency]:
    """The dependencies and constraints that do not hold among `records`, on a machine of these virtual packages.

    `requests` are the specs that were asked for, by name: they may ask for extras of a package.
    """
    by_name: dict[str, list[RepoDataRecord]] = {}
    for record in (*records, *virtual):
        by_name.setdefault(record.name, []).append(record)
    extras = chosen_extras({record.name: record for record in records}, requests)
    found = []
    for record in records:
        texts = [*record.depends]
        texts += [text for extra in sorted(extras.get(record.name, ())) for text in record.extra_depends.get(extra, ())]
        for text in dict.fromkeys(texts):
            there = _violating(text, by_name, must_be_there=True)
            if there is not None:
                found.append(UnmetDependency(record.dist, text, "depends", there))
        for text in dict.fromkeys(record.constrains):
            there = _violating(text, by_name, must_be_there=False)
            if there is not None:
                found.append(UnmetDependency(record.dist, text, "constrains", there))
    return found


def _violating(
    text: str, by_name: Mapping[str, Sequence[RepoDataRecord]], *, must_be_there: bool
) -> tuple[str, ...] | None:
    """What is there in place of what a spec asks for; None when the spec holds."""
    try:
        spec = MatchSpec.parse(text, lenient=True)
    except InvalidText:
        # Nobody can say whether it holds, so nobody is told that it does.
        return tuple(record.dist for record in by_name.get(_name_or_nothing(text), ())) if must_be_there else None
    if spec.when is not None and not spec.when.holds(
        lambda leaf: any(map(leaf.matches, by_name.get(leaf.name or "", ())))
    ):
        return None
    if spec.name is None:
        there = [record for found in by_name.values() for record in found]
        met = not must_be_there or any(map(spec.matches, there))
        return None if met else ()
    there = list(by_name.get(spec.name, ()))
    met = any(map(spec.matches, there)) or not (there or must_be_there)
    return None if met else tuple(record.dist for record in there)


def _name_or_nothing(text: str) -> str:
    try:
        return name_of(text)
    except ValueError:
        return ""
