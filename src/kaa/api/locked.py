"""Make environments equal to locks: which packages a lock means on this machine, and where their bytes are.

A package of a lock is recognised by its hash. It is taken from the package cache if it is there, else from a channel
that offers the same bytes (a local folder and a mirror are such), and last from the address that the lock hints at.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from kaa.api.environments import ChangeOptions, check_free, check_platform, plan_explicit
from kaa.api.exact import plan_exactly
from kaa.api.execution import DEFAULT_THREADS
from kaa.api.session import NoChannels, Session
from kaa.api.settling import settle
from kaa.config.sources import expand_text
from kaa.envfiles.lock import DEFAULT_ENVIRONMENT, Lock, LockedDistribution, LockedEnvironment, LockedPlatform
from kaa.errors import KaaError
from kaa.events import Warned
from kaa.models.artifact import is_python_distribution
from kaa.models.channel import PYPI_SCHEME, Channel, split_package_url, url_to_path
from kaa.models.match_spec import InvalidMatchSpec, MatchSpec
from kaa.models.match_spec_syntax import name_of
from kaa.models.record import PackageRecord, RepoDataRecord
from kaa.models.virtual_package import VirtualPackage
from kaa.package_cache.fetch import ensure
from kaa.prefix.environments import absolute_location
from kaa.prefix.prefix import Prefix
from kaa.pypi.interpreters.addresses import is_interpreter
from kaa.transaction.plan import NO_FILES, Transaction


class NotLockedFor(KaaError):
    """A lock has nothing for this machine's platform, or needs what this machine lacks."""

    conda_name = "PlatformMismatchError"

    def __init__(self, filename: str, subdir: str, platforms: Sequence[str], missing: Sequence[str] = ()) -> None:
        self.filename = filename
        self.subdir = subdir
        self.platforms = tuple(platforms)
        self.missing = tuple(missing)
        reason = (
            f"it needs {', '.join(missing)}, which this machine has not" if missing else "it is not locked for that"
        )
        super().__init__(
            f"{filename} cannot be used on {subdir}: {reason} (its platforms: {', '.join(platforms) or 'none'})",
            hints=(
                ("use the lock on another machine", "lock for an older one: kaa lock … --virtual-package NAME=VERSION")
                if missing
                else (f"lock for it as well: kaa lock … --platform {subdir}",)
            ),
        )


class NoSuchEnvironmentInLock(KaaError):
    """An environment was asked for that a lock does not have."""

    conda_name = "CondaValueError"

    def __init__(self, filename: str, name: str, known: Sequence[str]) -> None:
        self.filename = filename
        self.name = name
        self.known = tuple(known)
        super().__init__(
            f"{filename} has no environment {name!r}; it has {', '.join(known) or 'none'}",
            hints=("name one of them with --environment",) if known else (),
        )


class MissingFromLock(KaaError):
    """The packages of a lock cannot be had: not in the cache, in no channel, and without an address."""

    conda_name = "PackagesNotFoundInChannelsError"

    def __init__(self, packages: Sequence[RepoDataRecord]) -> None:
        self.packages = [record.dist for record in packages]
        listed = "".join(f"\n  {record.dist}  {record.sha256 or record.md5 or ''}" for record in packages[:20])
        rest = f"\n  and {len(packages) - 20} more" if len(packages) > 20 else ""
        super().__init__(
            f"packages of the lock are nowhere to be had (package cache, configured channels):{listed}{rest}",
            hints=("name a channel or a folder that holds them: --channel PATH",),
        )


class Locked(msgspec.Struct, frozen=True):
    """What a lock means on this machine."""

    filename: str
    folder: Path
    """Where the lock is: relative addresses start there"""
    environment: LockedEnvironment
    platform: LockedPlatform
    wheels: tuple[LockedDistribution, ...] = ()
    """What the lock takes from PyPI as far as kaa itself installs it"""
    distributions: tuple[LockedDistribution, ...] = ()
    """What is left to pip: source archives, checkouts, directories"""

    @property
    def records(self) -> tuple[RepoDataRecord, ...]:
        return self.environment.conda.get(self.platform.name, ())

    @property
    def projects(self) -> tuple[str, ...]:
        """The Python projects of which kaa itself installs packages."""
        purls = (purl for record in self.records for purl in record.purls or () if is_python_distribution(record.fn))
        return (*(one.name for one in self.wheels), *(purl.rpartition("/")[2].partition("@")[0] for purl in purls))


def choose_locked(session: Session, lock: Lock, filename: str, folder: Path, environment: str | None = None) -> Locked:
    """The environment of a lock, and the platform in it for this machine.

    Without a name it is `default`, or the only one. Raises NotLockedFor, NoSuchEnvironmentInLock, PlatformMismatch;
    nothing was fetched then.
    """
    names = [one.name for one in lock.environments]
    name = environment or (names[0] if len(names) == 1 else DEFAULT_ENVIRONMENT)
    chosen = lock.environment(name)
    if chosen is None:
        raise NoSuchEnvironmentInLock(filename, name, names)
    locked = Locked(filename, folder, chosen, choose_platform(session, lock, chosen, filename))
    distributions = chosen.pypi.get(locked.platform.name, ())
    if distributions:
        divided = _locked_wheels().divided(session, locked.records, distributions)
        locked = replace(locked, wheels=divided.wheels, distributions=divided.others)
    check_platform(locked.records, locked.platform.subdir)
    check_machine(session, filename, locked.platform, locked.records)
    return locked


def plan_locked(
    session: Session,
    prefix: Path,
    locked: Locked,
    options: ChangeOptions = ChangeOptions(),
    *,
    keep_others: bool = False,
) -> Transaction:
    """An environment made equal to a lock: what the lock does not name goes, unless `keep_others`.

    Raises MissingFromLock, and what creating an environment raises.
    """
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    if not Prefix(prefix).is_environment():
        check_free(prefix)
    wanted = locked.records
    if any(map(is_interpreter, wanted)):
        wanted = importlib.import_module("kaa.api.locked_interpreters").with_a_python(session, locked)
    records = find_records(session, wanted, locked.folder)
    if locked.wheels:
        records = (*records, *_locked_wheels().wheel_records(session, locked))
    if any(is_python_distribution(record.fn) for record in records):
        records = _locked_wheels().without_present(session, prefix, records)
    if keep_others:
        return plan_explicit(session, prefix, records, options)
    requested = requests_of(locked.environment, records)
    reinstall, files = frozenset[str](), NO_FILES
    if any(is_python_distribution(record.fn) for record in records):
        replacing = _locked_wheels().replacing(prefix, records)
        reinstall, files = replacing.relinked, replacing.files
    return plan_exactly(
        prefix,
        locked.platform.subdir,
        records,
        requested,
        command=options.command,
        reinstall=reinstall,
        files=files,
    )


def _locked_wheels() -> Any:
    """What knows of indexes of Python packages is loaded where there is something of theirs."""
    return importlib.import_module("kaa.api.locked_wheels")


def choose_platform(session: Session, lock: Lock, environment: LockedEnvironment, filename: str) -> LockedPlatform:
    """The first platform of a lock that is this machine's, and asks for nothing that it lacks."""
    subdir = session.subdir
    held = [one for one in lock.platforms if one.name in environment.conda or one.name in environment.pypi]
    fitting = [one for one in held if one.subdir == subdir]
    if not fitting:
        raise NotLockedFor(filename, subdir, [one.name for one in held])
    special = [one for one in fitting if one.name != one.subdir]
    there = {package.name: package for package in session.virtual_packages(subdir)}
    for platform in special:
        if all(_has(there, text) for text in platform.virtual_packages):
            return platform
    plain = [one for one in fitting if one.name == one.subdir]
    if not plain:
        lacking = [text for one in special for text in one.virtual_packages if not _has(there, text)]
        raise NotLockedFor(filename, subdir, [one.name for one in held], lacking)
    return plain[0]


def _has(there: Mapping[str, VirtualPackage], text: str) -> bool:
    """Whether a machine has a virtual package in that version or a newer one."""
    name, _, version = text.partition("=")
    found = there.get(name)
    return found is not None and (not version or MatchSpec.parse(f"{name} >={version}").matches(found.record()))


def check_machine(session: Session, filename: str, platform: LockedPlatform, records: Iterable[RepoDataRecord]) -> None:
    """Raise NotLockedFor when packages need what this machine's operating system or hardware is not."""
    there = {package.name: package.record() for package in session.virtual_packages(platform.subdir)}
    missing: dict[str, None] = {}
    for record in records:
        for text in record.depends:
            if text.startswith("__") and not _met(text, there, when_absent=False):
                missing[text] = None
        for text in record.constrains:
            if text.startswith("__") and not _met(text, there, when_absent=True):
                missing[text] = None
    if missing:
        raise NotLockedFor(filename, platform.subdir, [platform.name], list(missing))


def _met(text: str, there: Mapping[str, PackageRecord], *, when_absent: bool) -> bool:
    try:
        spec = MatchSpec.parse(text, lenient=True)
    except InvalidMatchSpec:
        return True
    found = there.get(spec.name or "")
    return when_absent if found is None else spec.matches(found)


def find_records(session: Session, records: Sequence[RepoDataRecord], folder: Path) -> tuple[RepoDataRecord, ...]:
    """The records with the addresses at which their bytes are: in the cache, in a configured channel, as hinted.

    Paths start at `folder`, where the lock is. Records of which the lock tells only a part are completed from there.
    Raises MissingFromLock.
    """
    records = [_without_credentials(session, record, folder) for record in records]
    cache = session.package_cache
    absent = [one for one in records if cache.find(one) is None and cache.find_archive(one) is None]
    of_indexes = [record for record in absent if is_python_distribution(record.fn)]
    of_channels = [record for record in absent if not (is_python_distribution(record.fn) or is_interpreter(record))]
    offered = _offered(session, of_channels) if of_channels else {}
    if of_indexes:
        offered |= _locked_wheels().offered_elsewhere(session, of_indexes)
    nowhere = [one for one in absent if _digest(one) not in offered and not can_be_fetched(session, one)]
    if nowhere:
        raise MissingFromLock(nowhere)
    return _completed(session, [_offered_as(record, offered.get(_digest(record))) for record in records])


def _digest(record: RepoDataRecord) -> str:
    return record.sha256 or record.md5 or ""


def _without_credentials(session: Session, record: RepoDataRecord, folder: Path) -> RepoDataRecord:
    """A record with its whole, clean address."""
    url = whole_address(session, record.url, folder) if record.url else ""
    if url == record.url:
        return record
    channel = record.channel if record.channel.startswith(PYPI_SCHEME) else split_package_url(url)[0]
    return replace(record, url=url, channel=channel)


def whole_address(session: Session, url: str, folder: Path) -> str:
    """An address of a lock with the variables of this environment, and credentials where they belong: in the client.

    conda-lock writes `$TOKEN` where a channel needs one. Paths start at `folder`, where the lock is.
    """
    if "://" not in url:
        return (session.cwd / folder / url).resolve().as_uri()
    return session.credentials.add_url(expand_text(url, session.environ))


def can_be_fetched(session: Session, record: RepoDataRecord) -> bool:
    """Whether the address that the lock hints at can be tried."""
    if record.url.startswith("file:"):
        return Path(url_to_path(record.url)).is_file()
    return is_interpreter(record) or (bool(record.url) and not session.config.offline)


def _offered_as(record: RepoDataRecord, offered: RepoDataRecord | None) -> RepoDataRecord:
    """A record as a channel offers the same bytes; the name in the channel counts for nothing more than the address."""
    if offered is None:
        return record
    if _is_partial(record):
        return replace(offered, sha256=offered.sha256 or record.sha256, md5=offered.md5 or record.md5)
    return replace(record, url=offered.url, channel=offered.channel, fn=offered.fn)


def _offered(session: Session, wanted: Sequence[RepoDataRecord]) -> dict[str, RepoDataRecord]:
    """What configured channels offer with the same hashes, by hash."""
    try:
        channels = [channel for channel in session.channels() if not channel.is_pypi]
    except NoChannels:
        return {}
    if all(record.channel in {channel.base_url for channel in channels} for record in wanted):
        # They are where the lock says, and that is the configured place.
        return {}
    found: dict[str, RepoDataRecord] = {}
    for channel in channels:
        left = [record for record in wanted if _digest(record) and _digest(record) not in found]
        if left:
            found.update(_offered_by(session, channel, left))
    return found


def _offered_by(session: Session, channel: Channel, wanted: Sequence[RepoDataRecord]) -> Mapping[str, RepoDataRecord]:
    """What one channel offers; one that cannot be reached offers nothing, for the lock may need it not at all."""
    try:
        return dict(_same_bytes(session, channel, wanted))
    except KaaError as error:
        session.reporter(Warned(f"packages of the lock are not looked for in {channel.name}: {error.message}"))
        return {}


def _same_bytes(
    session: Session, channel: Channel, wanted: Sequence[RepoDataRecord]
) -> Iterator[tuple[str, RepoDataRecord]]:
    subdirs = {record.subdir for record in wanted} - {"noarch", ""}
    with session.open_index((channel,), min(subdirs, default=session.subdir)) as index:
        for name in dict.fromkeys(record.name for record in wanted):
            mine = [record for record in wanted if record.name == name]
            for offered in index.query(MatchSpec.parse(name)):
                for record in mine:
                    if _are_the_same(record, offered):
                        yield _digest(record), offered


def _are_the_same(record: RepoDataRecord, offered: RepoDataRecord) -> bool:
    if record.sha256 and offered.sha256:
        return record.sha256 == offered.sha256
    return bool(record.md5) and record.md5 == offered.md5


def _is_partial(record: RepoDataRecord) -> bool:
    """Whether a record may lack what its package says: conda-lock.yml knows no noarch and no sizes."""
    return record.size is None and record.noarch is None and not is_python_distribution(record.fn)


def _completed(session: Session, records: Sequence[RepoDataRecord]) -> tuple[RepoDataRecord, ...]:
    """The records as their packages tell them, where only a part is known; those packages are fetched."""
    partial = [record for record in records if _is_partial(record)]
    if not partial:
        return tuple(records)
    packages = ensure(
        partial,
        session.package_cache,
        session.client,
        session.reporter,
        parallel=session.config.fetch_threads or DEFAULT_THREADS,
        bare=True,
    )
    whole = {package.record.dist: package.record for package in packages}
    return tuple(whole.get(record.dist, record) for record in records)


def requests_of(locked: LockedEnvironment, records: Sequence[RepoDataRecord]) -> dict[str, str]:
    """What counts as asked for: what the lock says was, else the packages that no other one needs."""
    names = {record.name for record in records}
    if locked.requests:
        texts = {name_of(text): text for text in locked.requests}
        return {name: text for name, text in texts.items() if name in names}
    needed = {name_of(text) for record in records for text in record.depends}
    return {record.name: record.name for record in records if record.name not in needed}
