"""What is wrong with an environment, from what was seen on the disk and what its records say. Pure.

The format of CEP 32 records neither modes nor the text of links: of those is judged only what makes a file useless.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from kaa.models.invalid_text import InvalidText
from kaa.models.match_spec import MatchSpec
from kaa.models.match_spec_syntax import name_of
from kaa.models.prefix_record import InstalledPath, PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.prefix.python_packages import PythonDistribution
from kaa.solver.presence import chosen_extras

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""Builders write this for links that led to no file when the package was made."""

_DIST_INFO = re.compile(r"(?:^|/)site-packages/([^/]+?)-[^/-]+\.dist-info/")


class SeenPath(msgspec.Struct, frozen=True):
    """What stands at a recorded path."""

    kind: str
    """file, link, directory, other, missing, unreadable, outside (reached through a link out of the environment)"""
    sha256: str = ""
    """Of files, where the record says what it should be."""
    size: int = 0
    is_executable: bool = False
    leads_somewhere: bool = True
    """Of links: whether their target exists."""
    reason: str = ""
    """Of what could not be read."""


class ChangedPath(msgspec.Struct, frozen=True):
    """A path that is there and is not what the package put there."""

    path: str
    reason: str


class DamagedPackage(msgspec.Struct, frozen=True):
    """A package of which files changed or are missing."""

    name: str
    dist: str
    changed: tuple[ChangedPath, ...] = ()
    missing: tuple[str, ...] = ()
    overwritten_by: tuple[str, ...] = ()
    """The distributions, as `name version`, that pip or its like put in the package's place."""


class BrokenRecord(msgspec.Struct, frozen=True):
    """A file of conda-meta that is no good record; `path` is below the environment."""

    path: str
    kind: str
    """unreadable, misnamed, duplicate, unsafe"""
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
    broken_records: tuple[BrokenRecord, ...] = ()
    damaged: tuple[DamagedPackage, ...] = ()
    unmet: tuple[UnmetDependency, ...] = ()
    pip: tuple[PipFiles, ...] = ()
    user_files: tuple[str, ...] = ()
    """Files of no package; they are no problem."""

    @property
    def problems(self) -> int:
        """How many things are wrong: files, records, dependencies, an unfinished change."""
        files = sum(len(package.changed) + len(package.missing) for package in self.damaged)
        return files + len(self.broken_records) + len(self.unmet) + bool(self.interrupted or self.busy)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def recorded_paths(record: PrefixRecord) -> dict[str, InstalledPath]:
    """Every path of a package below the environment, with what is recorded about it."""
    entries = record.paths_data.paths
    if len(entries) == len(record.files):
        found = dict(zip(record.files, entries, strict=True))
    else:
        known = {entry.path: entry for entry in entries}
        found = {path: known.get(path) or InstalledPath(path=path) for path in record.files}
    for entry in entries:
        # conda lists directories in `paths_data` alone.
        if entry.path_type == "directory":
            found.setdefault(entry.path, entry)
    return found


def expected_hash(entry: InstalledPath) -> str | None:
    """The hash of a file as it is installed; None where the record does not tell."""
    if entry.sha256_in_prefix:
        return entry.sha256_in_prefix
    return None if entry.prefix_placeholder else entry.sha256


def why_changed(entry: InstalledPath, seen: SeenPath) -> str:
    """In what a path differs from what was installed; empty when it does not (or nothing is there)."""
    if seen.kind in ("missing", "outside", "unreadable"):
        reasons = {"missing": "", "outside": "lies behind a link that leads out of the environment"}
        return reasons.get(seen.kind, f"cannot be read: {seen.reason}")
    wanted = {"softlink": "link", "directory": "directory"}.get(entry.path_type, "file")
    if seen.kind != wanted:
        # A directory that became a link to one does its work.
        if wanted == "directory" and seen.kind == "link" and seen.leads_somewhere:
            return ""
        return f"is {_ARTICLES[seen.kind]}, not {_ARTICLES[wanted]}"
    if wanted == "link":
        fine = seen.leads_somewhere or entry.sha256 == EMPTY_SHA256
        return "" if fine else "is a link to nothing"
    if wanted == "file":
        return _why_file_changed(entry, seen)
    return ""


def _why_file_changed(entry: InstalledPath, seen: SeenPath) -> str:
    size = None if entry.prefix_placeholder else entry.size_in_bytes
    digest = expected_hash(entry)
    differs = seen.sha256 != digest if digest else size not in (None, seen.size)
    if differs:
        sizes = f" ({seen.size} bytes instead of {size})" if size not in (None, seen.size) else ""
        return f"has another content{sizes}"
    if entry.path_type == "unix_python_entry_point" and not seen.is_executable:
        return "is not executable any more"
    return ""


_ARTICLES = {"file": "a file", "link": "a link", "directory": "a directory", "other": "no regular file"}


def damaged_packages(
    records: Sequence[PrefixRecord],
    paths: Mapping[str, Mapping[str, InstalledPath]],
    seen: Mapping[str, Mapping[str, SeenPath]],
) -> list[DamagedPackage]:
    """The packages that are not as they were installed; both mappings are by dist string, then by path.

    Where packages share a path, it is enough that it is as one of them wants it.
    """
    verdicts = {
        record.dist: {path: why_changed(paths[record.dist][path], one) for path, one in seen[record.dist].items()}
        for record in records
    }
    good = {
        path
        for dist, reasons in verdicts.items()
        for path, reason in reasons.items()
        if not reason and seen[dist][path].kind != "missing"
    }
    found = []
    for record in records:
        bad = {path: reason for path, reason in verdicts[record.dist].items() if reason and path not in good}
        missing = [path for path, one in seen[record.dist].items() if one.kind == "missing"]
        if bad or missing:
            changed = tuple(ChangedPath(path, bad[path]) for path in sorted(bad))
            found.append(DamagedPackage(record.name, record.dist, changed, tuple(sorted(missing))))
    return found


def with_overwriters(
    package: DamagedPackage, files: Iterable[str], distributions: Mapping[PythonDistribution, frozenset[str]]
) -> DamagedPackage:
    """The package with the distributions that took its place: that list what changed, or are the same project."""
    bad = {one.path for one in package.changed}.union(package.missing)
    projects = {_normalized(match[1]) for path in files if (match := _DIST_INFO.search(path))}
    names = [
        f"{distribution.name} {distribution.version}"
        for distribution, own in distributions.items()
        if bad & own or distribution.normalized_name in projects
    ]
    return msgspec.structs.replace(package, overwritten_by=tuple(names)) if names else package


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def paths_in_record(text: str, site_packages: str, prefix: str) -> frozenset[str]:
    """The paths below the environment that the RECORD of a distribution lists; those outside are passed over."""
    found = set()
    for line in text.splitlines():
        path = _first_field(line).replace("\\", "/")
        if not path:
            continue
        if path.startswith(prefix + "/"):
            path = posixpath.normpath(path[len(prefix) + 1 :])
        else:
            path = posixpath.normpath(posixpath.join(site_packages, path))
        if not path.startswith(("/", "../")) and path not in (".", ".."):
            found.add(path)
    return frozenset(found)


def _first_field(line: str) -> str:
    """The first of the values in a line of a CSV file."""
    if not line.startswith('"'):
        return line.partition(",")[0]
    end = re.match(r'"((?:[^"]|"")*)"', line)
    return end[1].replace('""', '"') if end else ""


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
