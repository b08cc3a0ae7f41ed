"""Take over what pip or its like installed by hand: it becomes packages, where the very wheels can be found.

A distribution is taken over when a wheel is found whose files are its files: those that its RECORD lists, with the
same content, and none of them edited since. The packages are linked in their place in one transaction, which can be
taken back like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import msgspec

from kaa.api.adopting_files import InstalledFiles, edited_files, find_difference, read_installed_files
from kaa.api.environments import subdir_of
from kaa.api.execution import fetch_packages
from kaa.api.looking import looks_at_environment
from kaa.api.replaced_distributions import replace_distributions
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.config.values import pypi_names
from kaa.errors import KaaError
from kaa.host.files import read_regular_file
from kaa.models.channel import PYPI_SCHEME, split_credentials
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.prefix.distribution_metadata import normalize_name, origin_of, was_requested
from kaa.prefix.environments import absolute_location
from kaa.prefix.prefix import Prefix, open_prefix
from kaa.prefix.python_packages import METADATA_LIMIT, PythonDistribution, find_distributions
from kaa.pypi.answers import IndexFailure
from kaa.pypi.index_client import ProjectIndex, open_index
from kaa.pypi.installed_wheels import InstalledWheel, WheelFinder, read_installed
from kaa.pypi.metadata import UnreadableMetadata
from kaa.pypi.names import ProjectNames
from kaa.pypi.project_files import ProjectFile
from kaa.pypi.wheel_tags import WheelTags, target_of
from kaa.solver.candidates import UnusableCandidate
from kaa.transaction.actions import plan_actions
from kaa.transaction.plan import PythonInfo, Transaction, plan_transaction, python_of

MOST_TRIED = 4
"""Of so many wheels the files are looked at: each is fetched for that."""


class DistributionsNotFound(KaaError):
    """What was to be taken over is not there, or is a package already."""

    conda_name = "PackagesNotFoundInPrefixError"

    def __init__(self, prefix: Path, names: Sequence[str], present: Sequence[str]) -> None:
        self.prefix = str(prefix)
        self.packages = list(names)
        there = f"what is not kaa's there: {', '.join(present)}" if present else "all that is there is kaa's already"
        super().__init__(f"nobody installed {', '.join(names)} into {prefix} by hand", hints=(there,))


class Left(msgspec.Struct, frozen=True):
    """A distribution that stays what it is, and why."""

    name: str
    version: str
    reason: str


class Adopted(msgspec.Struct, frozen=True):
    """A distribution and the package that takes its place."""

    distribution: PythonDistribution
    record: RepoDataRecord


class Adoption(msgspec.Struct, frozen=True):
    """The taking over, planned; the packages are in the cache."""

    transaction: Transaction
    adopted: tuple[Adopted, ...]
    left: tuple[Left, ...]


class _Origin(msgspec.Struct, frozen=True):
    """A wheel that a distribution may have come from."""

    file: ProjectFile
    index: str
    channel: str


class _Candidate(msgspec.Struct):
    """A distribution that may be taken over."""

    distribution: PythonDistribution
    wheel: InstalledWheel
    files: InstalledFiles
    origins: list[_Origin] = []
    reason: str = "no index has a wheel of this version that fits"
    found: RepoDataRecord | None = None


@looks_at_environment
def plan_adoption(session: Session, prefix: Path, names: Sequence[str] = (), *, command: str = "") -> Adoption:
    """How distributions that others installed, all or those named, become packages; their wheels are fetched.

    Raises DistributionsNotFound, NotAnEnvironment, and IndexUnreachable where no index can be asked.
    """
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    environment = open_prefix(prefix)
    records = environment.records()
    chosen = _chosen(prefix, find_distributions(environment, records), names)
    work = _Adopting(session, environment, records)
    left = [one for distribution in chosen if (one := work.look(distribution)) is not None]
    work.ask_indexes()
    work.compare()
    adopted = [Adopted(one.distribution, one.found) for one in work.candidates if one.found is not None]
    left += [
        Left(one.distribution.name, one.distribution.version, one.reason)
        for one in work.candidates
        if one.found is None
    ]
    transaction = _plan(environment, records, adopted, work.subdir, command)
    return Adoption(transaction, tuple(adopted), tuple(sorted(left, key=lambda one: one.name.lower())))


def _chosen(
    prefix: Path, present: Sequence[PythonDistribution], names: Sequence[str]
) -> tuple[PythonDistribution, ...]:
    by_name = {one.normalized_name: one for one in present}
    missing = [name for name in names if normalize_name(name) not in by_name]
    if missing:
        raise DistributionsNotFound(prefix, missing, [one.name for one in present])
    wanted = {normalize_name(name) for name in names} or set(by_name)
    return tuple(one for name, one in by_name.items() if name in wanted)


class _Adopting:
    """The search for the wheels of distributions."""

    def __init__(self, session: Session, environment: Prefix, records: Sequence[PrefixRecord]) -> None:
        self.session = session
        self.environment = environment
        self.prefix = environment.path
        self.subdir = subdir_of(session, records)
        self.python: PythonInfo | None = python_of(records, self.subdir)
        self.candidates: list[_Candidate] = []
        names = ProjectNames(pypi_names(session.config))
        target = target_of(self.subdir, session.virtual_packages(self.subdir))
        self._finder = WheelFinder(WheelTags(target), names)

    def look(self, distribution: PythonDistribution) -> Left | None:
        """Take a distribution among the candidates, or tell why it is none."""

        def left(reason: str) -> Left:
            return Left(distribution.name, distribution.version, reason)

        if distribution.editable_source is not None:
            return left(f"it is installed from {distribution.editable_source} as that is (editable)")
        if self.python is None:
            return left("the environment has no python package")
        files = read_installed_files(self.prefix, distribution)
        if not distribution.metadata.endswith(".dist-info") or not files.paths:
            return left("it does not list its files")
        origin = origin_of(self.environment, distribution)
        if origin is not None and not origin.url.partition("#")[0].endswith(".whl"):
            return left(f"it was built from {split_credentials(origin.url)[0]}, and is no wheel of an index")
        try:
            wheel = read_installed(self._read(distribution, "METADATA"), self._read(distribution, "WHEEL"))
        except (UnreadableMetadata, OSError) as error:
            return left(f"its metadata cannot be read: {error}")
        if edited := edited_files(self.prefix, files):
            more = f" and {len(edited) - 1} more" if len(edited) > 1 else ""
            return left(f"edited or removed since it was installed: {edited[0]}{more}")
        candidate = _Candidate(distribution, wheel, files)
        if origin is not None:
            candidate.origins = [_of_address(origin.url, origin.sha256 or "")]
        self.candidates.append(candidate)
        return None

    def _read(self, distribution: PythonDistribution, name: str) -> bytes:
        try:
            return read_regular_file(self.prefix / distribution.metadata / name, METADATA_LIMIT)
        except FileNotFoundError:
            return b""

    def ask_indexes(self) -> None:
        """Find wheels for what came from an index: from the first index on, each asked about what is still unknown."""
        configuration = self.session.pip_configuration
        asked = [one for one in self.candidates if not one.origins]
        for url in configuration.indexes:
            if not asked:
                return
            index = open_index(
                url,
                self.session.client,
                self.session.package_cache.index_directory(),
                offline=self.session.config.offline,
                reporter=self.session.reporter,
            )
            self._ask(index, asked)

    def _ask(self, index: ProjectIndex, asked: Sequence[_Candidate]) -> None:
        pages = index.pages([one.wheel.project for one in asked])
        for one in asked:
            page = pages.get(one.wheel.project)
            if page is None:
                try:
                    page = index.page(one.wheel.project)
                except IndexFailure as error:
                    one.reason = error.message
            if page is not None:
                possible = self._finder.possible(one.wheel, page.files)
                one.origins += [_Origin(file, index.url, PYPI_SCHEME + index.url) for file in possible]

    def compare(self) -> None:
        """Fetch the likeliest wheels of all, then the next ones of those whose files were others."""
        waiting = [one for one in self.candidates if one.origins]
        for turn in range(MOST_TRIED):
            waiting = [one for one in waiting if one.found is None and turn < len(one.origins)]
            wanted = [(one, record) for one in waiting if (record := self._record(one, one.origins[turn])) is not None]
            for (one, record), package in zip(wanted, self._fetch(wanted), strict=True):
                if package is None:
                    continue
                one.reason = self._difference(one, package)
                if not one.reason:
                    one.found = record

    def _record(self, one: _Candidate, origin: _Origin) -> RepoDataRecord | None:
        try:
            return self._finder.record(one.wheel, origin.file, origin.index, origin.channel)
        except UnusableCandidate as error:
            one.reason = error.reason
            return None

    def _fetch(self, wanted: Sequence[tuple[_Candidate, RepoDataRecord]]) -> Sequence[ExtractedPackage | None]:
        """The unpacked wheels; None for one that cannot be had, of which the reason is noted."""
        try:
            return fetch_packages(self.session, [record for _, record in wanted])
        except KaaError:
            # One by one: each failure is that of one distribution.
            return [self._fetch_one(one, record) for one, record in wanted]

    def _fetch_one(self, one: _Candidate, record: RepoDataRecord) -> ExtractedPackage | None:
        try:
            return fetch_packages(self.session, [record])[0]
        except KaaError as error:
            one.reason = error.message.partition("\n")[0]
            return None

    def _difference(self, one: _Candidate, package: ExtractedPackage) -> str:
        assert self.python is not None
        planned = plan_actions(
            package.record,
            package.paths(),
            package.link(),
            prefix=str(self.prefix),
            subdir=self.subdir,
            python=self.python,
            compile_bytecode=False,
        )
        return find_difference(self.prefix, one.files, planned, self.python.scripts)


def _of_address(url: str, sha256: str) -> _Origin:
    """The wheel at an address of its own (PEP 610)."""
    address = split_credentials(url.partition("#")[0])[0]
    folder, _, name = address.rpartition("/")
    return _Origin(ProjectFile(unquote(name), address, sha256), folder, folder)


def _plan(
    environment: Prefix, records: Sequence[PrefixRecord], adopted: Sequence[Adopted], subdir: str, command: str
) -> Transaction:
    news = {one.record.name: one.record for one in adopted}
    replacing = replace_distributions(environment, records, [one.distribution for one in adopted], news)
    return plan_transaction(
        environment.path,
        subdir,
        records,
        [*(record for record in records if record.name not in news), *news.values()],
        reinstall=replacing.relinked,
        requested_specs={
            one.record.name: _request(one.record) for one in adopted if was_requested(environment, one.distribution)
        },
        command=command,
        files=replacing.files,
    )


def _request(record: RepoDataRecord) -> str:
    """What the user asked for when they had a package installed."""
    if record.channel.startswith(PYPI_SCHEME):
        return f"pypi::{record.name}"
    return f"{record.name}=={record.version}={record.build}"
