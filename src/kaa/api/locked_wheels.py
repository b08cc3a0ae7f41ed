"""Packages of Python indexes in locks: records in kaa's own format, distributions of PyPI in the formats of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from kaa.api.locked import Locked, MissingFromLock, can_be_fetched, whole_address
from kaa.api.replaced_distributions import Replacing, replace_by
from kaa.api.session import Session
from kaa.api.wheel_addresses import WheelAddress, WheelReader
from kaa.config.values import pypi_names
from kaa.envfiles.lock import Lock, LockedDistribution, LockedEnvironment
from kaa.errors import KaaError
from kaa.events import Warned
from kaa.host.hashing import hash_file
from kaa.host.threads import map_in_threads
from kaa.models.artifact import is_python_distribution
from kaa.models.channel import PYPI, PYPI_SCHEME, Channel, InvalidChannel, url_to_path
from kaa.models.match_spec import InvalidMatchSpec, MatchSpec
from kaa.models.match_spec_syntax import name_of
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.prefix.distribution_metadata import origin_of
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import PythonDistribution, find_distributions
from kaa.pypi.index_client import open_index
from kaa.pypi.interpreters.addresses import interpreter_of, is_interpreter
from kaa.pypi.metadata import Metadata
from kaa.pypi.names import ProjectNames
from kaa.pypi.project_files import ProjectFile, project_of

WORKERS = 10


class InterpreterNotForOthers(KaaError):
    """A lock is to be written for other programs, and its python was made of an interpreter of this machine."""

    def __init__(self, record: RepoDataRecord, form: str) -> None:
        self.package = record.dist
        self.interpreter = interpreter_of(record)
        super().__init__(
            f"{record.dist} was made of {self.interpreter}, and no program that reads a {form} could fetch it",
            hints=(
                "write kaa's own lock, from which kaa makes it anew or takes another python: --format kaa-lock",
                "take python from a conda channel: kaa install --channel conda-forge python",
            ),
        )


def project_name(record: RepoDataRecord, names: ProjectNames) -> str:
    """The normalised name of the Python project that a package is of."""
    for purl in record.purls or ():
        if purl.startswith("pkg:pypi/"):
            return purl.removeprefix("pkg:pypi/").partition("@")[0].partition("?")[0]
    return names.project(record.name) or record.name


def project_names(session: Session) -> ProjectNames:
    """The names of projects as the session's configuration gives them."""
    return ProjectNames(pypi_names(session.config))


# -- for other formats -------------------------------------------------------------------------------------------------


def with_distributions(session: Session, lock: Lock, form: str, *, requirements: bool) -> Lock:
    """A lock with the packages of Python indexes as distributions; raises InterpreterNotForOthers.

    With `requirements` they tell all that their metadata asks for, else what of that is in the lock.
    """
    found = [record for one in lock.environments for records in one.conda.values() for record in records]
    for record in found:
        if is_interpreter(record):
            raise InterpreterNotForOthers(record, form)
    if not any(is_python_distribution(record.fn) for record in found):
        return lock
    writer = _Writer(session, requirements=requirements)
    subdirs = {platform.name: platform.subdir for platform in lock.platforms}
    return replace(lock, environments=tuple(writer.environment(one, subdirs) for one in lock.environments))


class _Writer:
    def __init__(self, session: Session, *, requirements: bool) -> None:
        self._session = session
        self._names = project_names(session)
        self._requirements = requirements

    def environment(self, one: LockedEnvironment, subdirs: Mapping[str, str]) -> LockedEnvironment:
        conda: dict[str, tuple[RepoDataRecord, ...]] = {}
        pypi = dict(one.pypi)
        for platform, records in one.conda.items():
            moved = [record for record in records if is_python_distribution(record.fn)]
            conda[platform] = tuple(record for record in records if not is_python_distribution(record.fn))
            if moved:
                pypi[platform] = (*pypi.get(platform, ()), *self._distributions(moved, records, subdirs[platform]))
        indexes = [channel.removeprefix(PYPI_SCHEME) for channel in one.channels if channel.startswith(PYPI_SCHEME)]
        return replace(
            one,
            channels=tuple(channel for channel in one.channels if not channel.startswith(PYPI_SCHEME)),
            indexes=tuple(dict.fromkeys([*one.indexes, *indexes])),
            conda=conda,
            pypi=pypi,
        )

    def _distributions(
        self, wheels: Sequence[RepoDataRecord], records: Sequence[RepoDataRecord], subdir: str
    ) -> list[LockedDistribution]:
        projects = {record.name: project_name(record, self._names) for record in records}
        told: list[Metadata | None] = [None] * len(wheels)
        if self._requirements:
            reader = WheelReader(self._session, subdir)
            told = map_in_threads(lambda record: _metadata(reader, record), wheels, workers=WORKERS)
        return [
            LockedDistribution(
                name=projects[record.name],
                version=record.version,
                url=record.url,
                sha256=record.sha256,
                requires_dist=metadata.requires_dist if metadata is not None else _present(record, projects),
                requires_python=(metadata.requires_python if metadata is not None else "") or None,
            )
            for record, metadata in zip(wheels, told, strict=True)
        ]


def _metadata(reader: WheelReader, record: RepoDataRecord) -> Metadata | None:
    """What a wheel says of itself, if that can be had."""
    if not record.fn.endswith(".whl"):
        return None
    try:
        return reader.metadata(WheelAddress(record.url, record.sha256, record.channel))
    except KaaError:
        return None


def _present(record: RepoDataRecord, projects: Mapping[str, str]) -> tuple[str, ...]:
    """What a package depends on of those with project names, as requirements."""
    found: dict[str, str] = {}
    for text in record.depends:
        name = name_of(text)
        if name in projects and name != "python":
            found.setdefault(projects[name], _version_of(text))
    return tuple(f"{project} {version}".strip() for project, version in found.items())


def _version_of(text: str) -> str:
    try:
        return str(MatchSpec.parse(text, lenient=True).version or "")
    except InvalidMatchSpec:
        return ""


# -- from other formats ------------------------------------------------------------------------------------------------


class LockedWheels(msgspec.Struct, frozen=True):
    """The distributions of a lock, by who installs them."""

    wheels: tuple[LockedDistribution, ...] = ()
    """kaa, as packages"""
    others: tuple[LockedDistribution, ...] = ()
    """pip: source archives, checkouts, what a conda package of the lock already is"""


def divided(
    session: Session, records: Sequence[RepoDataRecord], distributions: Sequence[LockedDistribution]
) -> LockedWheels:
    """Which distributions of a lock kaa itself installs."""
    taken = {record.name for record in records}
    if "python" not in taken:
        return LockedWheels(others=tuple(distributions))
    names = project_names(session)

    def is_ours(one: LockedDistribution) -> bool:
        name = names.find_conda_name(one.name)
        return WheelAddress(one.url).is_wheel and name is not None and name not in taken

    ours = tuple(one for one in distributions if is_ours(one))
    return LockedWheels(ours, tuple(one for one in distributions if one not in ours))


def wheel_records(session: Session, locked: Locked) -> tuple[RepoDataRecord, ...]:
    """The records of the wheels of a lock, with the addresses at which they can be had.

    Raises MissingFromLock, UnusableWheel.
    """
    environment = locked.environment
    reader = WheelReader(session, locked.platform.subdir)
    wheels = [
        WheelAddress(url, one.sha256, channel_of(session, url, environment.indexes))
        for one in locked.wheels
        for url in [whole_address(session, one.url, locked.folder)]
    ]
    absent = [reader.bare_record(wheel) for wheel in wheels if not reader.is_here(wheel)]
    if not environment.indexes:
        # Whichever index they came from, another one may be asked here.
        absent = [replace(record, channel="") for record in absent]
    offered = offered_elsewhere(session, absent)
    nowhere = [record for record in absent if record.sha256 not in offered and not can_be_fetched(session, record)]
    if nowhere:
        raise MissingFromLock(nowhere)
    found = [offered.get(wheel.sha256 or "") for wheel in wheels]
    return tuple(
        map_in_threads(
            reader.record,
            [
                wheel if record is None else WheelAddress(record.url, wheel.sha256, record.channel)
                for wheel, record in zip(wheels, found, strict=True)
            ],
            workers=WORKERS,
        )
    )


def without_present(session: Session, prefix: Path, records: Sequence[RepoDataRecord]) -> tuple[RepoDataRecord, ...]:
    """The records without those of wheels that pip installed already, as far as that can be told."""
    present = by_pip(prefix)
    if not present:
        return tuple(records)
    environment, names = Prefix(prefix), project_names(session)

    def is_there(record: RepoDataRecord) -> bool:
        found = present.get(project_name(record, names)) if is_python_distribution(record.fn) else None
        if found is None or found.version != record.version:
            return False
        origin = origin_of(environment, found)
        return origin is None or not (origin.sha256 and record.sha256) or origin.sha256 == record.sha256

    return tuple(record for record in records if not is_there(record))


def replacing(prefix: Path, records: Sequence[RepoDataRecord]) -> Replacing:
    """What goes of pip's where wheels of the same projects come, and what is linked anew because pip removed it."""
    environment = Prefix(prefix)
    if not environment.is_environment():
        return Replacing()
    current = environment.records()
    lost = {
        record.name for record in current if is_python_distribution(record.fn) and not _has_metadata(prefix, record)
    }
    there = [record for record in current if record.name not in lost]
    made = replace_by(environment, there, records)
    return Replacing(made.files, made.relinked | lost)


def _has_metadata(prefix: Path, record: PrefixRecord) -> bool:
    """Whether the metadata of an installed wheel is there: pip removes it with what it takes to be its own."""
    return any(path.endswith(".dist-info/RECORD") and (prefix / path).is_file() for path in record.files)


def by_pip(prefix: Path) -> dict[str, PythonDistribution]:
    """What pip and its like installed, by normalised name."""
    environment = Prefix(prefix)
    if not environment.is_environment():
        return {}
    return {one.normalized_name: one for one in find_distributions(environment, environment.records())}


def channel_of(session: Session, url: str, indexes: Sequence[str]) -> str:
    """The index that a distribution of a lock is taken to be from; empty for a file that is below none."""
    named = [PYPI_SCHEME + index.rstrip("/") for index in indexes]
    if url.startswith("file:"):
        return next((one for one in named if url.startswith(f"{one.removeprefix(PYPI_SCHEME)}/")), "")
    return next(iter([*named, *(channel.base_url for channel in python_indexes(session))]), PYPI)


def python_indexes(session: Session) -> tuple[Channel, ...]:
    """The indexes of Python packages among the channels, and behind them those that `pypi` stands for."""
    found: dict[str, Channel] = {}
    for text in (*session.config.channels, PYPI):
        try:
            channels = session.channels((text,))
        except InvalidChannel:
            continue
        found.update((channel.base_url, channel) for channel in channels if channel.is_pypi)
    return tuple(found.values())


def offered_elsewhere(session: Session, wanted: Iterable[RepoDataRecord]) -> dict[str, RepoDataRecord]:
    """Wheels and sdists that an index of this machine offers with the same bytes: their new records, by SHA-256.

    Indexes are asked in their order, up to the one that a package is from already. One that cannot be reached offers
    nothing.
    """
    left = {record.sha256: record for record in wanted if record.sha256}
    found: dict[str, RepoDataRecord] = {}
    for channel in python_indexes(session):
        left = {digest: record for digest, record in left.items() if record.channel != channel.base_url}
        if not left:
            break
        try:
            offered = _offered_by(session, channel, left)
        except KaaError as error:
            session.reporter(Warned(f"packages of the lock are not looked for in {channel.name}: {error.message}"))
            continue
        for digest, file in offered.items():
            found[digest] = replace(left.pop(digest), url=file.url, channel=channel.base_url, fn=file.file_name)
    return found


def _offered_by(session: Session, channel: Channel, wanted: Mapping[str, RepoDataRecord]) -> Mapping[str, ProjectFile]:
    """The files of an index with these hashes."""
    index = open_index(
        channel.index_url,
        session.client,
        session.package_cache.index_directory(),
        offline=session.config.offline,
        reporter=session.reporter,
    )
    by_project: dict[str, list[RepoDataRecord]] = {}
    for record in wanted.values():
        by_project.setdefault(project_of(record.fn), []).append(record)
    pages = index.pages(list(by_project))
    found = {}
    for project, page in pages.items():
        for file in page.files:
            for record in by_project.get(project, ()):
                if _is_the_same(file, record):
                    found[record.sha256 or ""] = file
    return found


def _is_the_same(file: ProjectFile, record: RepoDataRecord) -> bool:
    if file.sha256:
        return file.sha256 == record.sha256
    # Folders tell no hashes.
    if file.file_name != record.fn or not file.url.startswith("file:"):
        return False
    path = Path(url_to_path(file.url))
    return path.is_file() and hash_file(path) == record.sha256
