"""kaa's own lock file, `kaa.lock`: free of places.

A package is its name, version, build and hash. Where it was found is written as a hint, without credentials: whoever
reads the lock may take the same bytes from the package cache, a local folder, a mirror or another channel, so the same
lock serves online, behind a mirror and without a network. It is JSON, one package to a line, in a fixed order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from kaa.envfiles.lock import InvalidLock, Lock, LockedDistribution, LockedEnvironment, LockedPlatform
from kaa.errors import KaaError
from kaa.models.channel import split_credentials
from kaa.models.record import RepoDataRecord

VERSION = 1


class NoIdentity(KaaError):
    """A package cannot be locked: nothing is known by which its bytes could be recognised elsewhere."""

    def __init__(self, package: str) -> None:
        self.package = package
        super().__init__(
            f"{package} cannot be locked: its channel names neither its SHA-256 nor its MD5",
            hints=("index the channel anew: `kaa channel index`", "take the package from another channel"),
        )


class _Environment(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    channels: list[str] = []
    indexes: list[str] = []
    requests: list[str] = []
    variables: dict[str, str] = {}
    packages: dict[str, list[str]]
    distributions: dict[str, list[str]] = {}


class _Distribution(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    version: str
    sha256: str
    hint: str
    requires_dist: list[str] = []
    requires_python: str | None = None


class _Document(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    kaa_lock: int
    platforms: list[LockedPlatform]
    environments: dict[str, _Environment]
    packages: dict[str, RepoDataRecord]
    distributions: dict[str, _Distribution] = {}


class _Version(msgspec.Struct):
    kaa_lock: int


def parse_kaa_lock(data: str | bytes, *, filename: str = "") -> Lock:
    """The lock that a file holds; raises InvalidLock."""
    try:
        version = msgspec.json.decode(data, type=_Version).kaa_lock
        if version != VERSION:
            hint = "read it with a newer kaa, or write it anew with this one: `kaa lock`"
            raise InvalidLock(filename, "kaa_lock", f"version {version} is not known here", hints=(hint,))
        document = msgspec.json.decode(data, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidLock(filename, "", str(error)) from error
    for key, record in document.packages.items():
        if key != package_key(record):
            raise InvalidLock(filename, f"packages[{key!r}]", f"it holds {package_key(record)}")
    environments = [_environment(filename, name, one, document) for name, one in document.environments.items()]
    return Lock(tuple(document.platforms), tuple(environments))


def _environment(filename: str, name: str, one: _Environment, document: _Document) -> LockedEnvironment:
    platforms = {platform.name for platform in document.platforms}

    def where(platform: str, key: str) -> InvalidLock:
        reason = "is not among the packages" if platform in platforms else "is for a platform that is not listed"
        return InvalidLock(filename, f"environments.{name}.packages.{platform}", f"{key} {reason}")

    conda: dict[str, tuple[RepoDataRecord, ...]] = {}
    pypi: dict[str, tuple[LockedDistribution, ...]] = {}
    for platform, keys in one.packages.items():
        unknown = [key for key in keys if key not in document.packages or platform not in platforms]
        if unknown:
            raise where(platform, unknown[0])
        conda[platform] = tuple(document.packages[key] for key in keys)
    for platform, keys in one.distributions.items():
        unknown = [key for key in keys if key not in document.distributions or platform not in platforms]
        if unknown:
            raise where(platform, unknown[0])
        pypi[platform] = tuple(_read_distribution(document.distributions[key]) for key in keys)
    return LockedEnvironment(
        name=name,
        channels=tuple(one.channels),
        indexes=tuple(one.indexes),
        requests=tuple(one.requests),
        variables=one.variables,
        conda=conda,
        pypi=pypi,
    )


def _read_distribution(one: _Distribution) -> LockedDistribution:
    return LockedDistribution(
        name=one.name,
        version=one.version,
        url=one.hint,
        sha256=one.sha256,
        requires_dist=tuple(one.requires_dist),
        requires_python=one.requires_python,
    )


def package_key(record: RepoDataRecord) -> str:
    """How the lock calls a package: `subdir/name-version-build` and the beginning of its hash. Raises NoIdentity."""
    digest = record.sha256 or record.md5
    if not digest:
        raise NoIdentity(record.dist)
    return f"{record.subdir}/{record.dist} {digest[:12]}"


def distribution_key(one: LockedDistribution) -> str:
    """How the lock calls a distribution. Raises NoIdentity."""
    if not one.sha256:
        raise NoIdentity(f"{one.name} {one.version}")
    return f"{one.name} {one.version} {one.sha256[:12]}"


def kaa_lock_text(lock: Lock) -> str:
    """The lock as a file; equal locks are equal texts. Raises NoIdentity."""
    records: dict[str, RepoDataRecord] = {}
    distributions: dict[str, _Distribution] = {}
    environments: dict[str, _Environment] = {}
    for environment in lock.environments:
        for found in environment.conda.values():
            records |= {package_key(record): _without_secrets(record) for record in found}
        for wheels in environment.pypi.values():
            distributions |= {distribution_key(one): _written(one) for one in wheels}
        environments[environment.name] = _Environment(
            channels=[split_credentials(channel)[0] for channel in environment.channels],
            indexes=[split_credentials(index)[0] for index in environment.indexes],
            requests=list(environment.requests),
            variables=dict(environment.variables),
            packages={name: [package_key(one) for one in found] for name, found in environment.conda.items()},
            distributions={name: [distribution_key(one) for one in found] for name, found in environment.pypi.items()},
        )
    return _laid_out(lock.platforms, environments, records, distributions)


def _without_secrets(record: RepoDataRecord) -> RepoDataRecord:
    channel, url = split_credentials(record.channel)[0], split_credentials(record.url)[0]
    return replace(record, channel=channel, url=url)


def _written(one: LockedDistribution) -> _Distribution:
    return _Distribution(
        name=one.name,
        version=one.version,
        sha256=one.sha256 or "",
        hint=split_credentials(one.url)[0],
        requires_dist=list(one.requires_dist),
        requires_python=one.requires_python,
    )


def _laid_out(
    platforms: Sequence[LockedPlatform],
    environments: Mapping[str, _Environment],
    records: Mapping[str, RepoDataRecord],
    distributions: Mapping[str, _Distribution],
) -> str:
    """JSON that shows in a difference of two files which packages changed."""
    head = msgspec.json.format(
        msgspec.json.encode(
            {"kaa_lock": VERSION, "platforms": platforms, "environments": environments}, order="deterministic"
        ),
        indent=1,
    ).decode()
    parts = [head.removesuffix("\n}"), f' "packages": {_lines(records)}']
    if distributions:
        parts.append(f' "distributions": {_lines(distributions)}')
    return ",\n".join(parts) + "\n}\n"


def _lines(values: Mapping[str, object]) -> str:
    if not values:
        return "{}"
    encode = msgspec.json.encode
    lines = [f"  {encode(key).decode()}: {encode(values[key], order='sorted').decode()}" for key in sorted(values)]
    return "{\n" + ",\n".join(lines) + "\n }"
