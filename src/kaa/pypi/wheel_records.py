"""The wheels of a project as records: one for each that may be the best of its version for some Python on the target.

Only what the index tells is known of them: what they ask of python and of the system. What a wheel depends on besides
is in its metadata (`kaa.pypi.wheel_needs`). Thousands of files are looked at in milliseconds: texts are taken apart
once, and what they mean is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Literal, TypeAlias

import msgspec

from kaa.models.artifact import LONGEST_BUILD, LONGEST_VERSION, is_sdist
from kaa.models.pattern import Pattern
from kaa.models.record import RepoDataRecord
from kaa.models.subdir import NOARCH
from kaa.pypi.pep440 import NotConvertible, conda_version
from kaa.pypi.project_files import ProjectFile, ProjectPage, normalize_project
from kaa.pypi.python_specs import PythonSpecs
from kaa.pypi.wheel_tags import Release, WheelFit, WheelTags

_PLAIN_VERSION = Pattern(r"(?:0|[1-9][0-9]{0,9})(?:\.(?:0|[1-9][0-9]{0,9}))*")
_PRERELEASE = Pattern(r"[0-9](?:a|b|rc|\.dev)[0-9]")
_BUILD_TAG = Pattern(r"([0-9]{1,9})(.*)")
BUILT_FOR = range(7, 20)
"""The minor versions of Python 3 that an sdist may be built for."""
_NOT_IN_BUILD = re.compile(r"[^a-zA-Z0-9_.+]")


class Admitted(msgspec.Struct, frozen=True):
    """What of a project may be chosen although it is not for everybody."""

    prereleases: bool = False
    yanked: frozenset[str] = frozenset()
    """Versions that somebody wants by their number."""


NOTHING_MORE = Admitted()


LeftOut: TypeAlias = Literal["source", "prerelease", "yanked", "other"]
"""A version has sdists and no wheels that fit, is not final, was withdrawn, or has wheels for others only."""


class WheelOffer(msgspec.Struct, frozen=True):
    """What a page offers for a target."""

    records: tuple[RepoDataRecord, ...] = ()
    files: tuple[ProjectFile, ...] = ()
    """The wheel of each record."""
    left_out: dict[str, LeftOut] = {}
    """Why there is nothing of versions."""


class _Judged(msgspec.Struct, frozen=True):
    """What tags and `Requires-Python` together say: thousands of files share a few dozen of these pairs."""

    fit: WheelFit
    depends: tuple[str, ...]
    tags: tuple[str, str, str]
    build_tag: str
    slot: str
    """The same for wheels for the same Pythons, of which only the best counts."""
    merit: tuple[bool, tuple[int, ...], tuple[int, str]]
    """Higher is better, of wheels of one slot."""


class _Row(msgspec.Struct):
    file: ProjectFile
    version: str
    judged: _Judged

    @property
    def merit(self) -> tuple[bool, tuple[bool, tuple[int, ...], tuple[int, str]]]:
        return self.file.yanked is None, self.judged.merit


class Versions:
    """Texts of versions as they stand in file names, in their one spelling; what is no version is None."""

    def __init__(self) -> None:
        self._known: dict[str, str | None] = {}

    def read(self, text: str) -> str | None:
        """The normalised version."""
        try:
            return self._known[text]
        except KeyError:
            found = self._known[text] = text if _PLAIN_VERSION.fullmatch(text) else _normal(text)
            return found


def _normal(text: str) -> str | None:
    try:
        version = conda_version(text)
    except NotConvertible:
        return None
    return version if len(version) <= LONGEST_VERSION else None


def is_prerelease(version: str) -> bool:
    """Whether a normalised version is that of a pre-release (PEP 440), of which nobody gets one unasked."""
    return _PRERELEASE.search(version.partition("+")[0]) is not None


class WheelRecords:
    """Makes records of the pages of one target; what was worked out for one page serves the next.

    Sdists are among them of the projects of which `may_build` says so: one record for each Python that one may be built
    for.
    """

    def __init__(self, tags: WheelTags, may_build: Callable[[str], bool] = lambda project: False) -> None:
        self.tags = tags
        self.may_build = may_build
        self._versions = Versions()
        self._pythons = PythonSpecs()

    def offer(self, page: ProjectPage, name: str, channel: str, admitted: Admitted = NOTHING_MORE) -> WheelOffer:
        """What a page offers, as records of the conda package `name`.

        Pre-releases are among them where they are admitted, or where there is nothing else.
        """
        rows, sdists, others = self._read(page)
        plain = [row for row in rows if row.file.yanked is None or row.version in admitted.yanked]
        chosen = plain
        if not admitted.prereleases:
            final = [row for row in plain if not is_prerelease(row.version)]
            chosen = final or plain
        left_out: dict[str, LeftOut] = dict.fromkeys(others, "other")
        left_out.update(dict.fromkeys(sdists, "source"))
        left_out.update((row.version, "yanked") for row in rows)
        left_out.update((row.version, "prerelease") for row in plain)
        for row in chosen:
            left_out.pop(row.version, None)
        best = list(_best(chosen))
        return WheelOffer(
            tuple(self._records(best, page.project, name, channel)),
            tuple(row.file for row in best),
            left_out,
        )

    def normal_version(self, text: str) -> str | None:
        """A version in its one spelling, None for what is none."""
        return self._versions.read(text)

    def pythons_of(self, record: RepoDataRecord) -> tuple[Release, Release | None]:
        """The Pythons that a record of an offer is for, by its tags."""
        if is_sdist(record.fn):
            minor = int(record.build.partition("_")[0].removeprefix("cp3"))
            return (3, minor), (3, minor + 1)
        return self.fit_of(record.fn).pythons

    def fit_of(self, file_name: str) -> WheelFit:
        """What the tags of a wheel ask for that was offered."""
        fit = self.tags.fit(*_tags_of(file_name))
        assert fit is not None
        return fit

    def odd_versions(self, page: ProjectPage) -> set[str]:
        """The versions of which there are wheels, and which conda and PEP 440 do not order alike."""
        texts = {file.file_name.split("-", 2)[1] for file in page.files if file.is_wheel}
        odd = (self._versions.read(text) for text in texts if _PLAIN_VERSION.fullmatch(text) is None)
        return {version for version in odd if version is not None and ("+" in version or "post" in version)}

    def _read(self, page: ProjectPage) -> tuple[list[_Row], set[str], set[str]]:
        """The wheels that fit, the versions of sdists, and those of wheels that do not fit."""
        rows: list[_Row] = []
        sdists: set[str] = set()
        others: set[str] = set()
        judged: dict[tuple[str, str], _Judged | None] = {}
        version_of = self._versions.read
        may_build = self.may_build(page.project)
        builds: list[_Row] = []
        for file in page.files:
            if not file.file_name.endswith(".whl"):
                version = version_of(sdist_version(file.file_name, page.project))
                if version is not None:
                    sdists.add(version)
                    if may_build:
                        builds += self._sdist_rows(file, version)
                continue
            _, text, tags = file.file_name.split("-", 2)
            version = version_of(text)
            if version is None:
                continue
            key = tags, file.requires_python
            try:
                found = judged[key]
            except KeyError:
                found = judged[key] = self._judge(tags.removesuffix(".whl").split("-"), file.requires_python)
            if found is None:
                others.add(version)
            else:
                rows.append(_Row(file, version, found))
        return [*rows, *_without_wheels(builds, rows)] if builds else rows, sdists, others

    def _judge(self, parts: list[str], requires_python: str) -> _Judged | None:
        """What the end of a file name says, from its build tag on."""
        fit = self.tags.fit(*parts[-3:])
        return None if fit is None else self._joined(fit, requires_python, parts)

    def _joined(self, fit: WheelFit, requires_python: str, parts: list[str]) -> _Judged | None:
        python = self._pythons.clauses(fit.pythons, requires_python)
        if python is None:
            return None
        build_tag = parts[0] if len(parts) == 4 else ""
        match = _BUILD_TAG.fullmatch(build_tag)
        number = (int(match[1]), match[2]) if match is not None else (-1, "")
        rank = fit.rank if fit.is_met else tuple(-part for part in fit.rank)
        return _Judged(
            fit,
            (f"python {python}", *fit.depends),
            (parts[-3], parts[-2], parts[-1]),
            build_tag,
            f"{fit.pythons}{fit.preference}",
            (fit.is_met, rank, number),
        )

    def _sdist_rows(self, file: ProjectFile, version: str) -> Iterable[_Row]:
        """What may be built of an sdist; newer Pythons are preferred to older ones."""
        platform = self.tags.target.subdir
        for minor in BUILT_FOR:
            fit = WheelFit(((3, minor), (3, minor + 1)), (), True, minor, (0, 0, 0), False)
            found = self._joined(fit, file.requires_python, [f"cp3{minor}", "sdist", platform])
            if found is not None:
                yield _Row(file, version, found)

    def _records(self, rows: Iterable[_Row], project: str, name: str, channel: str) -> Iterable[RepoDataRecord]:
        builds: dict[str, set[str]] = {}
        for row in rows:
            file, judged, version = row.file, row.judged, row.version
            fit = judged.fit
            taken = builds.setdefault(version, set())
            build = build_string(judged.tags, judged.build_tag, taken)
            taken.add(build)
            yield RepoDataRecord(
                name=name,
                version=version,
                build=build,
                build_number=fit.preference,
                depends=judged.depends,
                subdir=NOARCH if fit.is_pure else self.tags.target.subdir,
                noarch=None if fit.is_for_one and not fit.is_pure else "python",
                timestamp=file.upload_time,
                indexed_timestamp=file.upload_time,
                md5=file.md5 or None,
                sha256=file.sha256 or None,
                size=file.size,
                purls=(f"pkg:pypi/{project}@{version}",),
                channel=channel,
                fn=file.file_name,
                url=file.url,
            )


def _without_wheels(builds: Iterable[_Row], wheels: Iterable[_Row]) -> Iterable[_Row]:
    """What may be built for Pythons for which there is no wheel of the version."""
    covered: dict[str, list[tuple[Release, Release | None]]] = {}
    for row in wheels:
        if row.judged.fit.is_met and row.file.yanked is None:
            covered.setdefault(row.version, []).append(row.judged.fit.pythons)
    for row in builds:
        python = row.judged.fit.pythons[0]
        if not any(first <= python and (end is None or python < end) for first, end in covered.get(row.version, ())):
            yield row


def _best(rows: Iterable[_Row]) -> Iterable[_Row]:
    """Of the wheels of one version for the same Pythons the best."""
    best: dict[tuple[str, str], _Row] = {}
    for row in rows:
        key = row.version, row.judged.slot
        found = best.get(key)
        if found is None or row.merit > found.merit:
            best[key] = row
    return best.values()


def build_string(tags: tuple[str, str, str], build_tag: str, taken: Collection[str] = ()) -> str:
    """The build string of a wheel: its tags and its build tag; one that no other wheel of its version has.

    >>> build_string(("cp311", "abi3", "win_amd64"), "")
    'cp311_abi3_win_amd64_0'
    """
    end = f"_{_NOT_IN_BUILD.sub('_', build_tag) or 0}"[:20]
    build = _NOT_IN_BUILD.sub("_", "_".join(tags))[: LONGEST_BUILD - len(end)] + end
    count = 1
    while build in taken:
        count += 1
        end = f"_{count}"
        build = build[: LONGEST_BUILD - len(end)] + end
    return build


def _tags_of(file_name: str) -> tuple[str, str, str]:
    parts = file_name.removesuffix(".whl").rsplit("-", 3)
    return parts[1], parts[2], parts[3]


def sdist_version(file_name: str, project: str) -> str:
    """The version that the name of an sdist of a project (normalised) tells; empty for a file of something else.

    >>> sdist_version("zope.interface-5.0.tar.gz", "zope-interface"), sdist_version("tool-more-1.0.zip", "tool")
    ('5.0', '')
    """
    stem = file_name.removesuffix(".zip").removesuffix(".tar.gz")
    left, _, right = stem.rpartition("-")
    if normalize_project(left) == project:
        return right
    for position, character in enumerate(stem):
        if character == "-" and normalize_project(stem[:position]) == project:
            return stem[position + 1 :] if stem[position + 1 : position + 2].isdigit() else ""
    return ""
